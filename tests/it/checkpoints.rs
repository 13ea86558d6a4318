//! Checkpoints of the audit trail: signed by the server, kept elsewhere, checked there; and entries that are too old go.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::{CliOutput, Server, wait_for};

const DAY: i64 = 86_400;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn checkpoint(server: &Server) -> Value {
    server.cli(&["audit", "checkpoint"]).json()
}

/// Keeps a checkpoint elsewhere, as the documents say.
fn keep(server: &Server, path: &Path) {
    let line = server.cli(&["audit", "checkpoint"]).is(0).out;
    let before = fs::read_to_string(path).unwrap_or_default();
    fs::write(path, before + &line).unwrap();
}

/// The program on a machine that has a file and nothing else.
fn elsewhere(folder: &Path, arguments: &[&str]) -> CliOutput {
    let output = Command::new(env!("CARGO_BIN_EXE_doorward")).args(arguments).current_dir(folder).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    CliOutput { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

#[test]
fn the_server_signs_what_it_stops_with() {
    let mut server = Server::start();
    let empty = server.cli(&["audit", "checkpoint"]).is(1);
    assert!(empty.err.contains("there is no entry yet"), "{}", empty.err);
    server.user("ada@example.com");
    server.user("bob@example.com");
    server.stop();
    let stopped_at = server.now();
    server.advance(3_600);
    let made = checkpoint(&server);
    assert_eq!((&made["number"], &made["statement"]), (&2.into(), &"checkpoint".into()));
    let at = jiff_seconds(made["at"].as_str().unwrap());
    assert!(at <= stopped_at + 1 && at > stopped_at - 600, "{made}");
    assert_eq!(made["hash"], server.newest_entry()["hash"]);
    server.cli(&["verify"]).is(0);
    server.start_again();
    assert_eq!(checkpoint(&server), made, "nothing was added");
    server.user("eve@example.com");
    assert_eq!(checkpoint(&server)["public_key"], made["public_key"]);
}

fn jiff_seconds(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_second()
}

/// The signature is what other programs understand by one.
#[test]
fn other_programs_check_a_checkpoint() {
    let server = Server::start();
    server.user("ada@example.com");
    let made = checkpoint(&server);
    let [hash, at, key, signature] = ["hash", "at", "public_key", "signature"].map(|name| made[name].as_str().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("key.pem", &format!("-----BEGIN PUBLIC KEY-----\n{key}\n-----END PUBLIC KEY-----\n"));
    write("signature.txt", &format!("{signature}\n"));
    let verified = |number: i64| {
        write("message", &format!("doorward audit checkpoint\n{number}\n{hash}\n{at}\n"));
        let script = "openssl base64 -d -A -in signature.txt -out signature && \
                      openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in message -sigfile signature";
        Command::new("sh").args(["-c", script]).current_dir(folder.path()).output().unwrap().status.success()
    };
    if Command::new("openssl").arg("version").output().is_err() {
        assert!(std::env::var_os("DOORWARD_TEST_EVERYTHING").is_none(), "openssl is missing");
        return;
    }
    assert!(verified(1));
    assert!(!verified(2));
}

#[test]
fn an_export_is_checked_on_another_machine() {
    let server = Server::start();
    server.user("ada@example.com");
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("checkpoints.jsonl");
    keep(&server, &kept);
    server.user("bob@example.com");
    server.cli(&["audit", "list", "--user", "nobody@example.com"]).is(3);
    let (person, client) = server.logged_in("eve@example.com");
    client.enrol(&server);
    keep(&server, &kept);
    server.cli(&["2fa", "reset", &person.email, "--reason", "lost \u{1b}[0m phone, HD-4711", "--yes"]).is(0);
    let exported = folder.path().join("audit.jsonl");
    server.cli(&["audit", "export", text(&exported)]).is(0);
    let names = ["audit", "verify", "audit.jsonl", "--checkpoint", "checkpoints.jsonl"];
    let good = elsewhere(folder.path(), &names).is(0);
    assert!(good.out.contains(" are vouched for by the key MCowBQYDK2VwAyEA"), "{}", good.out);
    assert!(good.out.ends_with("all is as it should be\n"), "{}", good.out);
    assert!(!folder.path().join("data").exists());

    let lines = fs::read_to_string(&exported).unwrap();
    let newest = server.newest_entry()["number"].as_u64().unwrap();
    let is_entry = |line: &&str| line.contains("\"event\"");
    assert_eq!(lines.lines().filter(is_entry).count() as u64, newest);
    assert_eq!(lines.lines().count() as u64, newest + 3, "and three checkpoints");
    fs::write(&exported, lines.replace("HD-4711", "HD-4712")).unwrap();
    let bad = elsewhere(folder.path(), &["audit", "verify", "audit.jsonl", "--json"]).is(1);
    let report: Value = serde_json::from_str(&bad.out).unwrap();
    let problem = format!("entry {newest} was changed: its hash is another one");
    assert_eq!(report["problems"][0]["detail"], problem, "{report}");
    // A part of it, without what vouches for it.
    let shorter: Vec<&str> = lines.lines().filter(is_entry).take(2).collect();
    fs::write(&exported, shorter.join("\n")).unwrap();
    let alone = elsewhere(folder.path(), &names[..3]).is(0);
    assert!(alone.out.contains("nothing vouches for it"), "{}", alone.out);
    // Where the kept ones are no checkpoints.
    fs::write(&kept, fs::read_to_string(&kept).unwrap().replacen("\"number\":1,", "\"number\":2,", 1)).unwrap();
    let told = elsewhere(folder.path(), &names).is(1);
    assert!(told.err.contains("line 1 of checkpoints.jsonl is no checkpoint, or was changed"), "{}", told.err);
    elsewhere(folder.path(), &["audit", "verify", "nowhere.jsonl"]).is(1);
}

/// The store, live and stopped, against what was kept: also one that was put back to an earlier day.
#[test]
fn the_trail_agrees_with_what_was_kept() {
    let mut server = Server::start();
    server.user("ada@example.com");
    let kept = server.file("kept.jsonl");
    let (first, backup) = (server.file("first.backup"), server.file("doorward.backup"));
    server.cli(&["backup", text(&first)]).is(0);
    keep(&server, &kept);
    server.cli(&["backup", text(&backup)]).is(0);
    server.user("bob@example.com");
    keep(&server, &kept);
    let verify = |server: &Server| server.cli(&["audit", "verify", "--checkpoint", text(&kept)]);
    verify(&server).is(0);
    server.stop();
    verify(&server).is(0);
    server.cli(&["restore", text(&backup), "--replace"]).is(0);
    server.cli(&["audit", "verify"]).is(0);
    let told = verify(&server).is(1);
    assert!(told.out.contains("entry 4 of a kept checkpoint is missing"), "{}", told.out);
    // Another history from there on.
    server.start_again();
    for name in ["eve", "dan", "kim"] {
        server.user(&format!("{name}@example.com"));
    }
    let told = verify(&server).is(1);
    assert!(told.out.contains("entry 4 is not the one of its kept checkpoint"), "{}", told.out);
    // One of before the first checkpoint is the same store.
    server.stop();
    server.cli(&["restore", text(&first), "--replace"]).is(0);
    let told = verify(&server).is(1);
    assert!(told.out.contains("entry 4 of a kept checkpoint is missing"), "{}", told.out);
    assert!(!told.out.contains("not signed"), "{}", told.out);
    // The store of somebody else.
    let other = Server::start();
    other.user("ada@example.com");
    let told = other.cli(&["audit", "verify", "--checkpoint", text(&kept)]).is(1);
    assert!(told.out.contains("the kept checkpoint of entry 2 is not signed with the key"), "{}", told.out);
}

#[test]
fn old_entries_go_after_so_many_days() {
    let mut server = Server::builder().setting("audit.keep_days", "30").start();
    let kept = server.file("kept.jsonl");
    for name in ["ada", "bob", "eve"] {
        server.user(&format!("{name}@example.com"));
    }
    keep(&server, &kept);
    server.stop();
    server.advance(29 * DAY);
    server.start_again();
    server.user("kim@example.com");
    // With a checkpoint, which says that the clock goes on.
    server.stop();
    server.advance(2 * DAY);
    server.start_again();
    let first = wait_for("the removal", || {
        let first = server.cli(&["audit", "export"]).is(0).out.lines().next()?.to_owned();
        first.contains("\"statement\":\"start\"").then_some(first)
    });
    let start: Value = serde_json::from_str(&first).unwrap();
    assert_eq!(start["number"], 3, "{start}");
    let listed = wait_for("the entries to go", || {
        let rows = server.cli(&["audit", "list", "--json"]).json()["rows"].as_array().unwrap().clone();
        (rows.len() == 2).then_some(rows)
    });
    assert_eq!((&listed[0]["event"], &listed[0]["number"]), (&"audit.shortened".into(), &5.into()));
    assert_eq!(listed[0]["actor"]["kind"], "system");
    let verified = server.cli(&["audit", "verify", "--checkpoint", text(&kept)]).is(0);
    assert!(
        verified.out.contains("the audit trail begins with entry 4: what was older was removed at"),
        "{verified:?}"
    );
    // The same of all that is made of it.
    let (backup, exported) = (server.file("doorward.backup"), server.file("audit.jsonl"));
    server.cli(&["backup", text(&backup)]).is(0);
    server.cli(&["verify", text(&backup)]).is(0);
    server.cli(&["audit", "export", text(&exported)]).is(0);
    let verified = server.cli(&["audit", "verify", text(&exported), "--checkpoint", text(&kept)]).is(0);
    assert!(verified.out.contains("the trail begins with entry 4"), "{}", verified.out);
    server.stop();
    server.cli(&["restore", text(&backup), "--replace"]).is(0);
    server.cli(&["verify"]).is(0);
    server.start_again();
    server.cli(&["audit", "list", "--since", "2d"]).is(0);
    assert_eq!(server.cli(&["user", "list", "--json"]).json()["rows"].as_array().unwrap().len(), 4);
}

/// Another secret key changes nothing about who signs.
#[test]
fn the_key_that_signs_survives_a_rekey() {
    let mut server = Server::start();
    server.user("ada@example.com");
    let kept = server.file("kept.jsonl");
    keep(&server, &kept);
    server.stop();
    server.cli(&["rekey", "--yes"]).is(0);
    server.cli(&["rekey", "--drop-older", "--yes"]).is(0);
    server.cli(&["verify"]).is(0);
    keep(&server, &kept);
    assert_eq!(fs::read_to_string(&kept).unwrap().lines().count(), 2);
    server.cli(&["audit", "verify", "--checkpoint", text(&kept)]).is(0);
}

/// `-` is a stream in every command, and what a killed export left does not stop the next.
#[test]
fn files_and_streams() {
    let server = Server::start();
    server.user("ada@example.com");
    let exported = server.cli(&["audit", "export", "-"]).is(0).out;
    assert!(exported.lines().count() >= 2 && !server.file("-").exists(), "{exported}");
    server.cli_with_input(&["audit", "verify", "-"], &exported).is(0);
    server.cli_with_input(&["audit", "verify", "-"], &exported.replace("ada@", "eve@")).is(1);
    let checkpoint = server.cli(&["audit", "checkpoint", "-"]).is(0).out;
    assert!(exported.contains(checkpoint.trim_end()), "{checkpoint}");

    // Nothing is less than what was kept.
    let (kept, nothing) = (server.file("kept.jsonl"), server.file("nothing.jsonl"));
    std::fs::write(&kept, checkpoint).unwrap();
    std::fs::write(&nothing, "").unwrap();
    server.cli(&["audit", "verify", text(&nothing), "--checkpoint", text(&kept)]).is(1);

    let path = server.file("audit.jsonl");
    let half = server.file("audit.jsonl.unfinished");
    // Neither where it leads to, nor who else may read it, counts.
    let elsewhere = server.file("elsewhere");
    std::fs::write(&elsewhere, "mine").unwrap();
    std::os::unix::fs::symlink(&elsewhere, &half).unwrap();
    server.cli(&["audit", "export", text(&path)]).is(1);
    assert_eq!(std::fs::read_to_string(&elsewhere).unwrap(), "mine");
    std::fs::remove_file(&half).unwrap();
    std::fs::write(&half, "half").unwrap();
    std::fs::set_permissions(&half, std::fs::Permissions::from_mode(0o666)).unwrap();
    server.cli(&["audit", "export", text(&path)]).is(0);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!((std::fs::read_to_string(&path).unwrap(), half.exists()), (exported, false));
    let again = server.cli(&["audit", "export", text(&path)]).is(1);
    assert!(again.err.contains("exists") && !half.exists(), "{}", again.err);
}
