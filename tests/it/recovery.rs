//! Backups, and what brings a store back: from a backup, from the journal alone, and from both after damage to sled's own
//! files at random places.
//!
//! `DOORWARD_DAMAGE_ROUNDS` says how often files are damaged; 12 if it is not set. `DOORWARD_CHANGE_ROUNDS` says how often
//! a byte of a backup and of a stopped store is changed; 10 if it is not set.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::{Server, text};
use crate::writers::{all_is_well, random};

const ME: &str = "/api/users/@me";

/// Everybody, as the command line tells it: with every account field and the state of the second factor.
fn everybody(server: &Server) -> Value {
    server.cli(&["user", "list", "--json"]).is(0).json()
}

fn trail(server: &Server) -> Value {
    server.cli(&["audit", "list", "--limit", "500", "--json"]).is(0).json()
}

/// A server with some people, one of them with a device, a session and a key.
fn inhabited() -> Server {
    let server = Server::builder().start();
    for name in ["ada", "bob", "eve"] {
        server.user(&format!("{name}@example.com"));
    }
    let (_, client) = server.logged_in("dana@example.com");
    client.enrol(&server);
    server.key_of(&client, &["user:read"]);
    server
}

#[test]
fn a_backup_of_a_running_server_is_restored_elsewhere() {
    let mut server = inhabited();
    let backup = server.file("doorward.backup");
    let told = server.cli(&["backup", &text(&backup), "--json"]).is(0).json();
    assert!(told["entries"].as_u64().unwrap() > 20, "{told}");
    assert_eq!(fs::metadata(&backup).unwrap().len(), told["bytes"].as_u64().unwrap());
    assert!(!fs::read(&backup).unwrap().windows(5).any(|bytes| bytes == b"dana@"), "compressed");
    server.cli(&["verify", &text(&backup)]).is(0);
    let (users, audit) = (everybody(&server), trail(&server));
    let newest = &audit["rows"][0];
    assert_eq!(newest["event"], "store.backed_up", "{newest}");
    // What comes behind the backup is not in it.
    server.user("late@example.com");
    server.stop();

    let mut other = Server::builder().stopped();
    fs::create_dir_all(other.data_dir()).unwrap();
    let refused = other.cli(&["restore", &text(&backup)]).is(0);
    assert!(refused.out.contains("restored the store") && refused.out.contains("secret key is missing"), "{refused:?}");
    let without_key = other.cli(&["verify"]);
    assert_eq!(without_key.code, 1);
    assert!(without_key.err.contains("secret.key is missing"), "{}", without_key.err);
    fs::copy(server.data_dir().join("secret.key"), other.data_dir().join("secret.key")).unwrap();
    all_is_well(&other);
    assert_eq!(everybody(&other), users);
    other.start_again();
    let client = other.client();
    client.post("/api/login", json!({"email": "ada@example.com", "password": "wrong"})).is(400);

    let again = other.cli(&["restore", &text(&backup)]);
    assert_eq!((again.code, again.err.contains("in use by the server")), (5, true), "{}", again.err);
    other.stop();
    let again = other.cli(&["restore", &text(&backup)]);
    assert_eq!((again.code, again.err.contains("--replace")), (4, true), "{}", again.err);
    other.cli(&["restore", &text(&backup), "--replace"]).is(0);
    all_is_well(&other);
    // The backups of the store before it are not its own.
    fs::create_dir_all(other.data_dir().join("backups")).unwrap();
    fs::copy(&backup, other.data_dir().join("backups/doorward-20991231T000000Z.backup")).unwrap();
    other.start_again();
    other.wait_for_log("backed up");
    other.stop();
    let aside =
        fs::read_dir(other.data_dir()).unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    let aside: Vec<String> = aside.filter(|name| name.contains(".before-")).collect();
    assert_eq!(aside.len(), 2, "the store and the journal of before: {aside:?}");
}

#[test]
fn a_stopped_store_is_backed_up_and_compacted() {
    let mut server = inhabited();
    server.stop();
    let users = everybody(&server);
    let told = server.cli(&["backup", "--json"]).is(0).json();
    let path = PathBuf::from(told["file"].as_str().unwrap());
    assert_eq!(path.parent().unwrap(), server.data_dir().join("backups"));
    server.cli(&["compact", "--remove-old"]).is(0);
    let nowhere = server.file("nowhere");
    let refused = server.cli(&["compact", "--data-dir", &text(&nowhere)]).is(1);
    assert!(refused.err.contains("there is no store") && !nowhere.exists(), "{}", refused.err);
    let link = server.file("link.backup");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(server.cli(&["backup", &text(&link)]).is(1).err.contains("no plain file"));
    assert!(server.cli(&["backup", &text(&nowhere.join("x.backup"))]).is(1).err.contains("no such folder"));
    all_is_well(&server);
    assert_eq!(everybody(&server), users);
    server.start_again();
    server.user("after@example.com");
    server.stop();
    all_is_well(&server);
}

/// Nobody made a backup: the journal has everything from the first day.
#[test]
fn the_journal_alone_brings_back_a_lost_store() {
    let mut server = inhabited();
    let (users, audit) = (everybody(&server), trail(&server));
    server.kill();
    fs::remove_dir_all(server.data_dir().join("store")).unwrap();
    let refused = server.cli(&["verify"]);
    assert_eq!((refused.code, refused.err.contains("doorward recover")), (1, true), "{}", refused.err);
    server.cli(&["recover"]).is(0);
    all_is_well(&server);
    assert_eq!((everybody(&server), trail(&server)), (users, audit));
    server.start_again();
    server.logged_in("new@example.com");
    server.stop();
}

/// A journal that was damaged, too, is read up to there when somebody says so; never without.
#[test]
fn damage_to_the_journal_is_told_and_never_passed_over() {
    let mut server = inhabited();
    server.stop();
    fs::remove_dir_all(server.data_dir().join("store")).unwrap();
    let segment = files(&server.data_dir().join("journal")).remove(0);
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let refused = server.cli(&["recover"]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("damaged") && refused.err.contains("--up-to-damage"), "{}", refused.err);
    let told = server.cli(&["recover", "--up-to-damage"]).is(0);
    assert!(told.out.contains("is lost"), "{}", told.out);
    all_is_well(&server);
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.is_file()).collect();
    files.sort();
    files
}

/// Flips, truncations and deletions in sled's own files. Whatever sled makes of them: either the store opens and
/// verify finds nothing wrong, or it says so, and one command brings everything back.
#[test]
fn a_damaged_store_is_noticed_and_recovered_in_full() {
    let rounds = std::env::var("DOORWARD_DAMAGE_ROUNDS").map_or(12, |rounds| rounds.parse().unwrap());
    let mut server = inhabited();
    let backup = server.cli(&["backup", "--json"]).is(0).json();
    assert!(backup["file"].is_string());
    let (_, client) = server.logged_in("late@example.com");
    client.patch(ME, json!({"first_name": "Behind the backup"})).is(200);
    server.kill();
    let (users, audit) = (everybody(&server), trail(&server));
    let whole = server.data_dir().parent().unwrap().join("whole");
    copy(&server.data_dir(), &whole);
    let (mut unharmed, mut recovered) = (0, 0);
    for round in 0..rounds {
        fs::remove_dir_all(server.data_dir()).unwrap();
        copy(&whole, &server.data_dir());
        let damage = damage(&server.data_dir().join("store"));
        let verified = server.cli(&["verify", "--json"]);
        if verified.code == 0 && everybody(&server) == users && trail(&server) == audit {
            unharmed += 1;
            continue;
        }
        assert_ne!(verified.code, 0, "round {round}, {damage}: verify says that all is well");
        let said = server.cli(&["recover"]);
        assert_eq!(said.code, 0, "round {round}, {damage}: {}", said.err);
        all_is_well(&server);
        assert_eq!((everybody(&server), trail(&server)), (users.clone(), audit.clone()), "round {round}, {damage}");
        recovered += 1;
    }
    println!("{rounds} damaged stores: {unharmed} unharmed, {recovered} recovered");
    assert!(recovered > 0);
    server.start_again();
    server.stop();
}

/// Damages one file at a random place and says what it did.
fn damage(store: &Path) -> String {
    let files: Vec<PathBuf> = files(store).into_iter().filter(|path| fs::metadata(path).unwrap().len() > 0).collect();
    let path = &files[random(files.len())];
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let mut bytes = fs::read(path).unwrap();
    // sled writes segments of half a MiB; most of the last one is empty.
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1);
    let at = random(used);
    match random(4) {
        0 => {
            fs::remove_file(path).unwrap();
            format!("{name} removed")
        }
        1 => {
            bytes.truncate(at);
            fs::write(path, bytes).unwrap();
            format!("{name} cut at {at}")
        }
        _ => {
            bytes[at] ^= 1 << random(8);
            fs::write(path, bytes).unwrap();
            format!("{name} flipped at {at}")
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy(&entry.path(), &target);
        } else if kind.is_file() {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn changes() -> usize {
    std::env::var("DOORWARD_CHANGE_ROUNDS").map_or(10, |rounds| rounds.parse().unwrap())
}

/// Changes one byte of what is not empty in a file, and says which.
fn change_a_byte(path: &Path) -> String {
    let mut bytes = fs::read(path).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1);
    let at = random(used);
    let before = bytes[at];
    bytes[at] ^= u8::try_from(1 + random(255)).unwrap();
    let told = format!("{} at {at} of {used}: {before:02x} to {:02x}", path.display(), bytes[at]);
    fs::write(path, bytes).unwrap();
    told
}

/// `verify` of a backup: no healthy one is called damaged, no damaged one healthy.
#[test]
fn every_change_of_a_backup_is_found() {
    let server = inhabited();
    let backup = server.file("doorward.backup");
    server.cli(&["backup", &text(&backup)]).is(0);
    let bytes = fs::read(&backup).unwrap();
    for _ in 0..changes() {
        let change = change_a_byte(&backup);
        let told = server.cli(&["verify", &text(&backup)]);
        assert_eq!(told.code, 1, "{change}");
        fs::write(&backup, &bytes).unwrap();
    }
    server.cli(&["verify", &text(&backup)]).is(0);
}

/// One byte of a stopped store's own files, of its journal or of its secret key: `verify` finds it, or says that the
/// journal had to begin anew, or everything is as it
/// was and can be brought back from the journal as before.
#[test]
fn every_change_of_a_stopped_store_is_found() {
    let mut server = inhabited();
    server.stop();
    let (users, audit) = (everybody(&server), trail(&server));
    let whole = server.file("whole");
    copy(&server.data_dir(), &whole);
    let places = |server: &Server| {
        let mut places = files(&server.data_dir().join("store"));
        places.extend(files(&server.data_dir().join("journal")));
        places.push(server.data_dir().join("secret.key"));
        places.retain(|path| fs::metadata(path).unwrap().len() > 0);
        places
    };
    let (mut found, mut meaningless) = (0, 0);
    for round in 0..changes() {
        fs::remove_dir_all(server.data_dir()).unwrap();
        copy(&whole, &server.data_dir());
        let places = places(&server);
        let change = change_a_byte(&places[random(places.len())]);
        let verified = server.cli(&["verify", "--json"]);
        if verified.code != 0 || verified.out.contains("make a backup") {
            found += 1;
            continue;
        }
        assert_eq!(everybody(&server), users, "round {round}, {change}");
        assert_eq!(trail(&server), audit, "round {round}, {change}");
        lose_and_recover(&server);
        assert_eq!(everybody(&server), users, "round {round}, {change}, recovered");
        meaningless += 1;
    }
    println!("{} changed bytes: {found} found, {meaningless} without meaning", changes());
    assert!(found > 0);
    fs::remove_dir_all(server.data_dir()).unwrap();
    copy(&whole, &server.data_dir());
    all_is_well(&server);
}

/// A restore into a new folder that was broken off leaves no store: an empty one would pass for it.
#[test]
fn a_restore_that_was_broken_off_is_no_empty_store() {
    let server = inhabited();
    let backup = server.file("doorward.backup");
    server.cli(&["backup", &text(&backup)]).is(0);
    let mut other = Server::builder().stopped();
    let building = other.data_dir().join("store.building");
    fs::create_dir_all(&building).unwrap();
    fs::write(building.join("doorward-store.unfinished"), "doorward store, format 1\n").unwrap();
    fs::copy(server.data_dir().join("secret.key"), other.data_dir().join("secret.key")).unwrap();
    for command in ["verify", "serve"] {
        let refused = other.cli(&[command]);
        assert_eq!((refused.code, refused.err.contains("broken off")), (1, true), "{}", refused.err);
    }
    other.cli(&["restore", &text(&backup)]).is(0);
    all_is_well(&other);
    // One that is damaged where it was built does not stand in the way either.
    fs::rename(other.data_dir().join("store"), &building).unwrap();
    fs::remove_file(building.join("db")).unwrap();
    other.cli(&["restore", &text(&backup)]).is(4);
    other.cli(&["restore", &text(&backup), "--replace"]).is(0);
    all_is_well(&other);
    assert!(other.data_dir().join("store.building.damaged").exists());
    other.start_again();
}

#[test]
fn a_backup_that_no_key_here_opens_replaces_nothing() {
    let server = inhabited();
    let backup = server.file("doorward.backup");
    server.cli(&["backup", &text(&backup)]).is(0);
    let mut other = inhabited();
    other.stop();
    let users = everybody(&other);
    let refused = other.cli(&["restore", &text(&backup), "--replace"]).is(1);
    assert!(refused.err.contains("secret.key: put that key there first"), "{}", refused.err);
    assert!(!other.data_dir().join("store.building").exists());
    all_is_well(&other);
    assert_eq!(everybody(&other), users);
}

/// A data directory that was lost does not begin anew as an empty one, as long as its backups are there.
#[test]
fn a_lost_store_is_not_an_empty_one() {
    let mut server = inhabited();
    server.cli(&["backup"]).is(0);
    let users = everybody(&server);
    server.kill();
    for part in ["store", "journal"] {
        fs::remove_dir_all(server.data_dir().join(part)).unwrap();
    }
    for command in ["serve", "verify"] {
        let refused = server.cli(&[command]).is(1);
        assert!(refused.err.contains("there are backups of one"), "{}", refused.err);
    }
    server.cli(&["recover"]).is(0);
    all_is_well(&server);
    assert_eq!(everybody(&server), users);
    server.start_again();
    // Another store than that of the backup from now on: its journal needs a backup of its own.
    server.wait_for_log("backed up");
    server.user("late@example.com");
    let users = everybody(&server);
    server.kill();
    lose_and_recover(&server);
    assert_eq!(everybody(&server), users);
    // A journal alone is more than a backup, too.
    let backup = files(&server.data_dir().join("backups")).remove(0);
    fs::remove_dir_all(server.data_dir().join("store")).unwrap();
    let refused = server.cli(&["restore", &text(&backup)]).is(4);
    assert!(refused.err.contains("doorward recover"), "{}", refused.err);
}

/// The data directory was put back to an earlier time, and backups that lie elsewhere hold what came after.
#[test]
fn a_backup_of_a_later_time_than_the_journal_is_not_taken_by_itself() {
    let mut server = inhabited();
    server.stop();
    let earlier = server.file("earlier");
    copy(&server.data_dir(), &earlier);
    let put_back = |server: &Server| {
        for part in ["store", "journal"] {
            fs::remove_dir_all(server.data_dir().join(part)).unwrap();
            copy(&earlier.join(part), &server.data_dir().join(part));
        }
    };
    server.start_again();
    server.user("later@example.com");
    server.cli(&["backup"]).is(0);
    let backup = files(&server.data_dir().join("backups")).remove(0);
    server.kill();
    put_back(&server);
    fs::remove_dir_all(server.data_dir().join("store")).unwrap();
    let refused = server.cli(&["recover"]).is(1);
    assert!(refused.err.contains("--from") && refused.err.contains(&text(&backup)), "{}", refused.err);
    server.cli(&["recover", "--from", &text(&backup)]).is(0);
    all_is_well(&server);
    assert!(everybody(&server).to_string().contains("later@example.com"));
    // What goes on from the earlier time has its backup at once.
    put_back(&server);
    server.start_again();
    server.wait_for_log("backed up");
    server.user("other@example.com");
    let users = everybody(&server);
    server.kill();
    lose_and_recover(&server);
    assert_eq!(everybody(&server), users);
}

/// `backup FILE` replaces an older backup, and nothing else.
#[test]
fn a_backup_replaces_only_a_backup_of_the_same_store() {
    let (one, other) = (inhabited(), Server::start());
    let path = one.file("nightly.backup");
    one.cli(&["backup", &text(&path)]).is(0);
    one.cli(&["backup", &text(&path)]).is(0);
    assert_eq!(siblings(&path).len(), 1);
    let told = other.cli(&["backup", &text(&path)]).is(0);
    let siblings = siblings(&path);
    assert!(siblings.len() == 2 && told.err.contains("of another store"), "{siblings:?} {told:?}");
    one.cli(&["verify", &text(siblings.iter().find(|sibling| **sibling != path).unwrap())]).is(0);
    let key = one.data_dir().join("secret.key");
    let refused = one.cli(&["backup", &text(&key)]).is(1);
    assert!(refused.err.contains("no backup, so it is not replaced"), "{}", refused.err);
}

/// The store is lost, and made anew.
#[track_caller]
fn lose_and_recover(server: &Server) {
    fs::remove_dir_all(server.data_dir().join("store")).unwrap();
    server.cli(&["recover"]).is(0);
}

/// The files whose names begin as this one does.
fn siblings(path: &Path) -> Vec<PathBuf> {
    let name = path.file_name().unwrap().to_str().unwrap();
    let all = files(path.parent().unwrap());
    all.into_iter().filter(|file| file.file_name().unwrap().to_str().unwrap().starts_with(name)).collect()
}

/// What a kill left of a scheduled backup goes at the next start.
#[test]
fn half_a_backup_goes() {
    let mut server = inhabited();
    server.stop();
    let half = server.data_dir().join("backups/doorward-20261126T130745Z.backup.unfinished");
    fs::create_dir_all(half.parent().unwrap()).unwrap();
    fs::write(&half, "half").unwrap();
    server.start_again();
    crate::harness::wait_for("half a backup to go", || (!half.exists()).then_some(()));
}

/// The store goes on with a new journal when the old one is damaged, and makes a backup at once: from it and the new
/// journal everything can be brought back again.
#[test]
fn a_backup_follows_at_once_on_a_damaged_journal() {
    let mut server = inhabited();
    server.stop();
    let segment = files(&server.data_dir().join("journal")).remove(0);
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let told = server.cli(&["verify", "--json"]).is(0).json();
    assert!(told["notes"][0].as_str().unwrap().contains("make a backup"), "{told}");
    let kept = server.file("kept");
    copy(&server.data_dir(), &kept);

    // Without one the journal brings nothing back, and says so.
    fs::remove_dir_all(server.data_dir().join("store")).unwrap();
    let refused = server.cli(&["recover"]);
    assert_eq!((refused.code, refused.err.contains("no good backup")), (1, true), "{}", refused.err);
    fs::remove_dir_all(server.data_dir()).unwrap();
    copy(&kept, &server.data_dir());

    server.start_again();
    server.wait_for_log("backed up");
    server.user("late@example.com");
    let users = everybody(&server);
    assert_eq!(server.cli(&["verify", "--json"]).is(0).json()["notes"], json!([]));
    server.stop();
    lose_and_recover(&server);
    all_is_well(&server);
    assert_eq!(everybody(&server), users);
}

/// The schedule: a first backup a while after the start, then one each day; old ones go, and the journal with them.
#[test]
fn backups_are_made_by_themselves_and_old_ones_go() {
    let mut server = Server::builder().setting("backup.keep", "2").start();
    server.user("ada@example.com");
    let backups = server.data_dir().join("backups");
    for day in 0..3 {
        server.advance(86_400);
        crate::harness::wait_for("a backup", || (server.log().matches("backed up").count() > day).then_some(()));
    }
    assert_eq!(files(&backups).len(), 2);
    server.stop();
    lose_and_recover(&server);
    all_is_well(&server);
    assert_eq!(everybody(&server)["rows"].as_array().map(Vec::len), Some(1));
}
