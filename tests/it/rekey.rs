//! `doorward rekey`: after it the new key opens everything and the old one nothing, whatever happens meanwhile.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::furnished::Furnished;
use crate::harness::{Server, text};
use crate::writers::all_is_well;

fn keys(server: &Server) -> Vec<String> {
    let file = fs::read_to_string(server.data_dir().join("secret.key")).unwrap();
    let keys: Vec<String> = file.lines().map(|line| line[..64].to_owned()).collect();
    for key in &keys {
        server.secret(key);
    }
    keys
}

/// Whether some file below this folder has these bytes.
fn holds(folder: &Path, bytes: &[u8]) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            holds(&path, bytes)
        } else {
            fs::read(path).unwrap().windows(bytes.len()).any(|w| w == bytes)
        }
    })
}

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn a_new_key_opens_everything_and_the_old_one_nothing() {
    let mut furnished = Furnished::start();
    let running = furnished.server.cli(&["rekey", "--yes"]);
    assert_eq!((running.code, running.err.contains("in use by the server")), (5, true), "{running:?}");
    let server = &mut furnished.server;
    server.stop();
    let before = keys(server);
    let unasked = server.cli(&["rekey"]).is(2);
    assert!(unasked.err.contains("--yes") && unasked.err.contains("sealed anew"), "{unasked:?}");

    let planned = server.cli(&["rekey", "--dry-run", "--json"]).json();
    assert_eq!((keys(server), &planned["dry_run"]), (before.clone(), &json!(true)));
    assert_eq!((&planned["authenticators"], &planned["backup_codes"]), (&json!(2), &json!(9)), "{planned}");
    assert_eq!((&planned["enrolments"], &planned["codes_ended"]), (&json!(1), &json!(1)), "{planned}");
    assert!(planned["mails"].as_u64() >= Some(3), "{planned}");
    let old = bytes(&planned["key"]);
    assert!(holds(&server.data_dir().join("store"), &old) && holds(&server.data_dir().join("journal"), &old));

    let done = server.cli(&["rekey", "--yes", "--json", "--operator", "grace"]).json();
    for what in ["authenticators", "backup_codes", "enrolments", "mails"] {
        assert_eq!(done[what], planned[what], "{what}");
    }
    let after = keys(server);
    assert_eq!((after.len(), &after[1]), (2, &before[0]), "the new one and the old");
    let file = server.data_dir().join("secret.key");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let names: Vec<String> =
        fs::read_dir(server.data_dir()).unwrap().map(|entry| text(&entry.unwrap().path())).collect();
    assert!(!names.iter().any(|name| name.contains("before-") || name.contains("building")), "{names:?}");
    assert!(!holds(&server.data_dir().join("store"), &old) && !holds(&server.data_dir().join("journal"), &old));
    let entry = server.newest_entry();
    assert_eq!((&entry["event"], &entry["actor"]["name"]), (&json!("store.rekeyed"), &json!("grace")), "{entry}");
    assert_eq!(entry["details"][0], json!(["from", planned["key"]]));
    all_is_well(server);
    server.cli(&["verify", done["backup"].as_str().unwrap()]).is(0);

    // What whoever has the old key makes of it.
    let whole = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{}\n", before[0])).unwrap();
    let refused = server.cli(&["verify"]).is(1);
    assert!(refused.err.contains("does not hold the secret key"), "{refused:?}");
    fs::write(&file, whole).unwrap();

    server.start_again();
    furnished.everybody_gets_in();
    furnished.server.stop();
    all_is_well(&furnished.server);
}

/// A backup that was made before is of the older key, which the file still has; until somebody removes it.
#[test]
fn backups_of_before_are_restored_with_the_older_key() {
    let mut furnished = Furnished::start();
    let server = &mut furnished.server;
    let backup = text(&server.data_dir().parent().unwrap().join("before.backup"));
    server.cli(&["backup", &backup]).is(0);
    server.stop();
    server.cli(&["rekey", "--yes"]).is(0);
    server.cli(&["verify", &backup]).is(0);
    server.cli(&["restore", &backup, "--replace"]).is(0);
    all_is_well(server);
    let refused = server.cli(&["rekey", "--drop-older", "--yes"]).is(4);
    assert!(refused.err.contains("`doorward rekey` first"), "{refused:?}");

    let before = keys(server);
    server.cli(&["rekey", "--yes"]).is(0);
    assert_eq!(keys(server), before, "the restored store comes to the newest key there is");
    server.start_again();
    furnished.everybody_gets_in();
    furnished.server.stop();

    let server = &furnished.server;
    server.cli(&["rekey", "--drop-older", "--yes"]).is(0);
    assert_eq!(keys(server), before[..1]);
    all_is_well(server);
    let refused = server.cli(&["verify", &backup]).is(1);
    assert!(refused.err.contains("does not hold the secret key"), "{refused:?}");
}

/// The file is where the settings say, and what leads to it stays a link.
#[test]
fn a_key_elsewhere_is_changed_there() {
    let elsewhere = tempfile::tempdir().unwrap();
    let (link, file) = (elsewhere.path().join("link.key"), elsewhere.path().join("real.key"));
    symlink(&file, &link).unwrap();
    let mut server = Server::builder().setting("server.secret_key_file", &text(&link)).stopped();
    fs::write(&file, format!("{}\n", "5a".repeat(32))).unwrap();
    server.start_again();
    server.logged_in("ada@example.com").1.enrol(&server);
    server.stop();
    server.cli(&["rekey", "--yes"]).is(0);
    let lines = fs::read_to_string(&file).unwrap();
    assert_eq!(lines.lines().count(), 2);
    assert!(lines.lines().nth(1).unwrap().starts_with(&format!("{} until 20", "5a".repeat(32))));
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(!server.data_dir().join("secret.key").exists());
    all_is_well(&server);
}

/// What it replaces stays until there is a backup that the new key opens; then the rest is done, with no further key.
#[test]
fn nothing_goes_before_there_is_a_backup() {
    let elsewhere = tempfile::tempdir().unwrap();
    let backups = elsewhere.path().join("backups");
    fs::write(&backups, "in the way").unwrap();
    let mut server = Server::builder().setting("backup.dir", &text(&backups)).start();
    server.logged_in("ada@example.com").1.enrol(&server);
    server.stop();
    let unfinished = server.cli(&["rekey", "--yes"]).is(1);
    assert!(unfinished.err.contains("`doorward rekey` again"), "{unfinished:?}");
    let after = keys(&server);
    let aside = |server: &Server| {
        let names = fs::read_dir(server.data_dir()).unwrap().map(|entry| text(&entry.unwrap().path()));
        names.filter(|name| name.contains(".before-rekey-")).count()
    };
    assert_eq!((after.len(), aside(&server)), (2, 2));
    all_is_well(&server);
    fs::remove_file(&backups).unwrap();
    let done = server.cli(&["rekey", "--yes", "--json"]).json();
    assert_eq!((&done["authenticators"], keys(&server), aside(&server)), (&Value::Null, after, 0));
    server.cli(&["verify", done["backup"].as_str().unwrap()]).is(0);
}

/// Killed at any moment the store opens, with nobody locked out; and doing it again ends it.
#[test]
#[allow(clippy::disallowed_methods, reason = "the program is killed after some real time")]
fn a_kill_at_any_moment_does_no_harm() {
    let mut furnished = Furnished::start();
    furnished.server.stop();
    let server = &furnished.server;
    let begun = Instant::now();
    server.cli(&["rekey", "--yes"]).is(0);
    let whole = begun.elapsed();
    let mut killed = 0;
    for round in 0..12 {
        let mut child = server.command(&["rekey", "--yes", "--quiet"]).spawn().unwrap();
        std::thread::sleep(whole.mul_f64(f64::from(round) / 12.0).max(Duration::from_millis(1)));
        child.kill().unwrap();
        killed += u32::from(!child.wait().unwrap().success());
        all_is_well(server);
    }
    assert!(killed > 3, "{killed} of 12 were killed");
    server.cli(&["rekey", "--yes"]).is(0);
    let names: Vec<String> =
        fs::read_dir(server.data_dir()).unwrap().map(|entry| text(&entry.unwrap().path())).collect();
    assert!(!names.iter().any(|name| name.contains("before-") || name.contains("building")), "{names:?}");
    all_is_well(server);
    furnished.server.start_again();
    furnished.everybody_gets_in();
    furnished.server.stop();
}
