//! `doorward export` and `doorward import`: everything goes out as lines and comes in again, whole or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::furnished::Furnished;
use crate::harness::{Server, text};
use crate::writers::all_is_well;

/// What a store can have lines of.
const RECORDS: &[&str] = &[
    "adoption",
    "api_key",
    "approval",
    "attempts",
    "audit",
    "audit_checkpoint",
    "audit_key",
    "counter",
    "invite",
    "job",
    "job_audit",
    "job_result",
    "job_users",
    "membership",
    "organization",
    "outbox",
    "pending_totp",
    "remembered",
    "reminder",
    "session",
    "team",
    "token",
    "user",
    "user_mail",
];

fn export(server: &Server, name: &str) -> Vec<String> {
    let path = server.file(name);
    server.cli(&["export", &text(&path), "--yes"]).is(0);
    lines(&fs::read_to_string(path).unwrap())
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

/// All but the first line, and the digest of it all in the last.
#[track_caller]
fn same(one: &[String], other: &[String]) {
    for (one, other) in one[1..one.len() - 1].iter().zip(&other[1..]) {
        assert_eq!(one, other);
    }
    assert_eq!(one.len(), other.len());
}

/// The lines with an end that fits them.
fn ended(mut lines: Vec<String>) -> String {
    lines.pop();
    let mut end = BTreeMap::<String, u64>::new();
    for line in &lines[1..] {
        let record = serde_json::from_str::<Value>(line).unwrap()["record"].as_str().unwrap().to_owned();
        *end.entry(record).or_default() += 1;
    }
    let text = lines.join("\n") + "\n";
    let sha256: Vec<String> = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
    let sha256 = sha256.concat();
    format!("{text}{}\n", json!({"end": end, "sha256": sha256}))
}

#[test]
fn everything_goes_out_and_comes_in_again() {
    let mut furnished = Furnished::start();
    let server = &mut furnished.server;
    let running = server.cli(&["export", "-", "--yes"]);
    assert_eq!((running.code, running.out.as_str()), (5, ""), "{running:?}");
    server.stop();
    let unasked = server.cli(&["export", "-"]).is(2);
    assert!(unasked.err.contains("in clear") && unasked.out.is_empty(), "{unasked:?}");
    let before = export(server, "before.jsonl");
    let end: Value = serde_json::from_str(before.last().unwrap()).unwrap();
    assert_eq!(end["end"].as_object().unwrap().keys().collect::<Vec<_>>(), RECORDS, "one of everything");
    assert!(ended(before.clone()) == before.join("\n") + "\n", "the end is another than {end}");
    assert_eq!(fs::metadata(server.file("before.jsonl")).unwrap().permissions().mode() & 0o777, 0o600);
    let again = server.cli(&["export", &text(&server.file("before.jsonl")), "--yes"]).is(1);
    assert!(again.err.contains("exists"), "{again:?}");
    assert_eq!(server.newest_entry()["event"], "store.exported");
    let users = server.cli(&["user", "list", "--json"]).json();

    let full = server.cli(&["import", &text(&server.file("before.jsonl"))]).is(4);
    assert!(full.err.contains("empty"), "{full:?}");
    let key = fs::read(server.data_dir().join("secret.key")).unwrap();
    fs::remove_dir_all(server.data_dir()).unwrap();
    let planned = server.cli(&["import", &text(&server.file("before.jsonl")), "--dry-run", "--json"]).json();
    assert_eq!((&planned["records"], &planned["dry_run"]), (&end["end"], &json!(true)));
    assert_eq!(server.cli(&["user", "list", "--json"]).json()["rows"], json!([]));
    let done = server.cli(&["import", &text(&server.file("before.jsonl")), "--json"]).json();
    assert_eq!(done["records"], end["end"]);
    all_is_well(server);
    assert_ne!(fs::read(server.data_dir().join("secret.key")).unwrap(), key, "nothing depends on the old key");
    assert_eq!(server.cli(&["user", "list", "--json"]).json(), users);
    let after = export(server, "after.jsonl");
    same(&after, &before);
    let names = fs::read_dir(server.data_dir()).unwrap().map(|entry| text(&entry.unwrap().path()));
    assert_eq!(names.filter(|name| name.contains("before-") || name.contains("building")).count(), 0);

    server.start_again();
    furnished.everybody_gets_in();
    furnished.server.stop();
    all_is_well(&furnished.server);
}

/// Of a backup, while the server runs; through pipes.
#[test]
fn a_backup_goes_out_while_the_server_runs() {
    let server = Server::start();
    server.logged_in("ada@example.com").1.enrol(&server);
    let backup = text(&server.file("doorward.backup"));
    server.cli(&["backup", &backup]).is(0);
    let exported = server.cli(&["export", "-", "--yes", "--backup", &backup]).is(0);
    let secrets = exported.out.lines().filter(|line| line.contains(r#""record":"user""#)).count();
    assert_eq!(secrets, 1);

    let other = Server::builder().stopped();
    let imported = other.cli_with_input(&["import", "-"], &exported.out).is(0);
    assert!(imported.out.starts_with("imported 1 user, 0 organizations and "), "{imported:?}");
    all_is_well(&other);
    same(&lines(&other.cli(&["export", "-", "--yes"]).is(0).out), &lines(&exported.out));
}

/// A file that is not what was written makes nothing.
#[test]
fn a_file_that_is_damaged_or_forged_makes_nothing() {
    let mut server = Server::start();
    let (_, client) = server.owner("ada@example.com", "Acme");
    client.enrol(&server);
    server.user("bob@example.com");
    server.stop();
    let good = export(&server, "good.jsonl");
    fs::remove_dir_all(server.data_dir()).unwrap();
    let path = server.file("bad.jsonl");
    let refused = |content: String, words: &str| {
        fs::write(&path, content).unwrap();
        let refused = server.cli(&["import", &text(&path)]).is(1);
        assert!(refused.err.contains("nothing was imported") && refused.err.contains(words), "{words}: {refused:?}");
    };
    let place = |record: &str| good.iter().position(|line| line.contains(&format!(r#""record":"{record}""#))).unwrap();
    let whole = good.join("\n") + "\n";
    let without =
        |at: usize| good.iter().enumerate().filter(move |(other, _)| *other != at).map(|(_, line)| line.clone());
    let changed = |at: usize, from: &str, to: &str| {
        let mut lines = good.clone();
        assert!(lines[at].contains(from), "{}", lines[at]);
        lines[at] = lines[at].replacen(from, to, 1);
        lines
    };

    refused(String::new(), "cut off");
    refused("[]\n".to_owned(), "no export of Doorward");
    refused(changed(0, r#""format":1"#, r#""format":2"#).join("\n") + "\n", "format 2");
    refused(whole[..whole.len() / 2].to_owned(), "cut off");
    refused(whole[..whole.len() - 1].to_owned(), "cut off");
    refused(without(good.len() - 1).collect::<Vec<_>>().join("\n") + "\n", "cut off");
    refused(without(place("session")).collect::<Vec<_>>().join("\n") + "\n", "missing or changed");
    let user = place("user");
    refused(changed(user, "ada@example.com", "eve@example.com").join("\n") + "\n", "missing or changed");
    refused(whole.clone() + "\n", "behind the end");

    // With an end that fits, as somebody makes it who means to.
    refused(ended(changed(user, r#""record":"user""#, r#""record":"wizard""#)), "no such record");
    refused(ended(changed(user, r#""format":1"#, r#""format":9"#)), "does not read");
    let mut twice = good.clone();
    twice.insert(user, good[user].clone());
    refused(ended(twice), "twice");
    let key = serde_json::from_str::<Value>(&good[user]).unwrap()["key"].as_str().unwrap().to_owned();
    let other_key = format!("{}{}", &key[..31], if key.ends_with('0') { '1' } else { '0' });
    refused(ended(changed(user, &key, &other_key)), "another's");
    let entry = place("audit") + 1;
    refused(ended(without(entry).collect()), "does not follow");
    refused(ended(changed(entry, r#""event":"#, r#""was":"#)), "does not read");
    refused(ended(changed(entry, r#""outcome":"done""#, r#""outcome":"failed""#)), "something else");

    let checkpoint = place("audit_checkpoint");
    let number = serde_json::from_str::<Value>(&good[checkpoint]).unwrap()["value"]["number"].to_string();
    let forged = changed(checkpoint, &format!(r#""number":{number}"#), r#""number":1"#);
    refused(ended(forged), "not signed with the key of the export");

    // Half a store does not pass for an empty one.
    let half = server.cli(&["verify"]).is(1);
    assert!(half.err.contains("was being made") && half.err.contains("import"), "{half:?}");

    fs::remove_dir_all(server.data_dir()).unwrap();
    server.cli(&["import", &text(&path), "--dry-run"]).is(1);
    fs::write(&path, whole).unwrap();
    server.cli(&["import", &text(&path), "--dry-run"]).is(0);
    let left: Vec<_> = fs::read_dir(server.data_dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["doorward.lock"]);
    server.cli(&["import", &text(&path)]).is(0);
    all_is_well(&server);
}
