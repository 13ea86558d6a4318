//! The console in a real terminal.
//!
//! See [`super::pty`] for how a test waits.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use portable_pty::PtySize;
use serde_json::json;

use super::harness::Server;
use super::pty::{Pty, cells};

const ESC: &str = "\x1b";
const DOWN: &str = "\x1b[B";

/// A user with an authenticator, backup codes and a session.
fn enrolled(server: &Server, email: &str) {
    let (_, client) = server.logged_in(email);
    client.enrol(server);
    client.new_backup_codes();
}

// ------------------------------------------------------------------------------------------------------------ flows

#[test]
fn search_and_reset_while_the_server_runs() {
    let server = Server::with_mail();
    enrolled(&server, "anna.smith@corp.example.com");
    server.user("anna.storm@corp.example.com");
    let mut console = Pty::ready(&server.data_dir(), &[]);
    console.shows("live").shows("READ-ONLY").shows("2 of 2");
    console.keys("anna.smi").shows("1 of 2").shows("TOTP since");
    console.keys("\rar").shows("writes are off: W");
    console.key(ESC).keys("W").shows("WRITES").keys("ar").shows("This will, at once and for good");
    console.keys("\t2\tlost phone, ticket HD-4711\t\t\tanna.smith\t\r");
    console
        .shows("Done in")
        .shows("TOTP device removed")
        .shows("10 backup codes deleted")
        .shows("Tell the caller")
        .shows("handed to the mail server");
    console.keys("\r").shows("enrol").quits_with(0);

    let status = server.cli(&["2fa", "status", "anna.smith@corp.example.com", "--json"]).json();
    assert_eq!(status["factor"]["state"], json!("enrol"), "{status}");
    let audit = server.cli(&["audit", "list", "--user", "anna.smith@corp.example.com", "--json"]).json();
    let entry =
        audit["rows"].as_array().unwrap().iter().find(|row| row["event"] == "two_factor.reset").unwrap().clone();
    assert_eq!(entry["reason"], "lost phone, ticket HD-4711");
    assert_eq!(entry["verified_by"], "call-back to number on file");
    assert_eq!(entry["actor"]["name"], "jdoe");
    server.wait_for_mail("anna.smith@corp.example.com", "two-factor authentication was reset");
}

#[test]
fn unlock_needs_a_reason_and_y() {
    let server = Server::start();
    let person = server.user("tom.ng@edu.example.com");
    let client = server.login(&person);
    let device = client.enrol(&server);
    let other = server.client();
    other.login(&person);
    other.post("/api/login/token", json!({"token": device.wrong_code(&server)}));
    let mut console = Pty::ready(&server.data_dir(), &["tom.ng", "--write"]);
    console.shows("1 wrong code").keys("au").shows("forget 1 wrong code").keys("\ttyped a wrong code\t\r");
    console.shows("press y to do it").send_shows("y", "audit #");
    console.shows("not locked").quits_with(0);
}

#[test]
fn re_enrolment_is_demanded_from_a_day_on() {
    let server = Server::with_mail();
    enrolled(&server, "anna.smith@corp.example.com");
    let mut console = Pty::ready(&server.data_dir(), &["anna", "--write"]);
    let day = jiff::Timestamp::from_second(server.now() + 7 * 86_400).unwrap().to_string();
    console.keys("\rae").shows("Demand re-enrolment").keys("\t2\tphone was seen by others\t");
    console.keys(&day[..10]).keys("\tanna.smith\t\r").shows("Done in").key(ESC).quits_with(0);

    let status = server.cli(&["2fa", "status", "anna.smith@corp.example.com", "--json"]).json();
    assert_eq!(status["factor"]["state"], "on", "in force until then: {status}");
    let entry = server.cli(&["audit", "list", "--event", "two_factor.enrolment_demanded", "--json"]).json();
    let entry = &entry["rows"][0];
    assert_eq!((&entry["actor"]["name"], &entry["reason"]), (&json!("jdoe"), &json!("phone was seen by others")));
    assert_eq!(entry["target"]["email"], "anna.smith@corp.example.com", "{entry}");
}

#[test]
fn the_filtered_trail_is_exported() {
    let server = Server::start();
    server.user("anna.smith@corp.example.com");
    server.user("bob@example.com");
    let file = server.data_dir().with_file_name("trail.jsonl");
    let mut console = Pty::ready(&server.data_dir(), &[]);
    console.keys("\r3").shows("user.created").keys("/on:bob@example.com\r").shows("bob@example.com");
    console.keys("e").shows("oldest first, as JSON lines").keys(&format!("{}\r", file.display()));
    console.shows("1 line written").key(ESC).quits_with(0);
    let lines: Vec<serde_json::Value> =
        std::fs::read_to_string(&file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["target"]["email"]), (1, &json!("bob@example.com")), "{lines:?}");
}

#[test]
fn the_console_works_without_a_server_and_says_so() {
    let mut server = Server::start();
    enrolled(&server, "ada@example.com");
    server.stop();
    let mut console = Pty::ready(&server.data_dir(), &["ada"]);
    console.shows("offline").shows("ada@example.com").shows("TOTP since");
    let refused = server.cli(&["serve"]).is(5);
    assert!(refused.err.contains("console"), "the holder is named: {refused:?}");
    console.quits_with(0);
    server.start_again();
}

#[test]
fn a_lost_server_is_found_again() {
    let mut server = Server::start();
    enrolled(&server, "ada@example.com");
    let mut console = Pty::ready(&server.data_dir(), &["ada", "--write"]);
    console.shows("TOTP since");
    server.kill();
    console.shows("! no server since").shows("(stale)").shows("ada@example.com");
    console.keys("ar").shows("(no server)");
    console.key(ESC);
    server.start_again();
    console.shows("live").quits_with(0);
}

/// Names take no such characters; reasons do.
#[test]
fn escapes_in_reasons_never_reach_the_terminal() {
    let server = Server::start();
    server.user("mallory@example.com");
    let reason = "left \u{1b}[35mthe\u{202e} company\u{200b}";
    server.cli(&["user", "deactivate", "mallory@example.com", "--reason", reason]).is(0);
    let mut console = Pty::ready(&server.data_dir(), &["mallory"]);
    console.keys("3\r").shows("left \\u{1b}[35mthe\\u{202e} company\\u{200b}");
    assert!(!console.raw.contains(['\u{202e}', '\u{200b}']) && !console.raw.contains("\u{1b}[35m"), "{}", console.raw);
}

// --------------------------------------------------------------------------------------------------------- terminal

#[test]
fn no_store_is_said_and_costs_exit_code_5() {
    let folder = tempfile::tempdir().unwrap();
    let mut console = Pty::ready(&folder.path().join("data"), &[]);
    console.shows("Not connected").shows("there is no store in").quits_with(5);
}

#[test]
fn signals_give_the_terminal_back() {
    use rustix::process::Signal;
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129), (Signal::QUIT, 131)] {
        let folder = tempfile::tempdir().unwrap();
        let mut console = Pty::ready(&folder.path().join("data"), &[]);
        console.signal(signal);
        console.ends_with(code);
    }
}

#[test]
fn suspending_gives_the_terminal_back_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let mut console = Pty::ready(&folder.path().join("data"), &[]);
    // It may be idle before this test has heard of its first frame, and seems to have given the terminal back until then.
    console.shows("Not connected");
    console.pressed += 1;
    console.keyboard.write_all(b"\x1a").unwrap();
    console.hear_until("the terminal to be given back", |pty| !pty.screen.screen().alternate_screen());
    // It stops after that, at a moment nobody tells; going on before it stopped has no effect, so it is repeated.
    while !console.screen.screen().alternate_screen() {
        console.signal(rustix::process::Signal::CONT);
        match console.heard.recv_timeout(Duration::from_millis(20)) {
            Ok(heard) => console.take(heard),
            Err(RecvTimeoutError::Timeout) => {}
            Err(error) => panic!("{error}"),
        }
    }
    console.settle();
    console.shows("Not connected").quits_with(5);
}

#[test]
fn resizing_below_and_above_the_least_size() {
    let folder = tempfile::tempdir().unwrap();
    let mut console = Pty::ready(&folder.path().join("data"), &[]);
    for (rows, cols, shown) in [(12, 48, "needs 60x16"), (40, 140, "Not connected")] {
        console.screen.screen_mut().set_size(cells(rows), cells(cols));
        console.master.as_ref().unwrap().resize(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
        console.shows(shown);
    }
    console.key(DOWN).quits_with(5);
}

#[test]
fn a_closed_terminal_ends_the_console() {
    let folder = tempfile::tempdir().unwrap();
    let mut console = Pty::ready(&folder.path().join("data"), &[]);
    console.close_terminal();
    assert_eq!(console.child.wait().unwrap().exit_code(), 129);
}

#[test]
fn who_is_no_terminal_is_told_the_command() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
    let output = command.args(["console", "anna"]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(err.contains("doorward user list anna") && err.lines().count() == 1, "{err}");
}

#[test]
fn a_mistake_in_console_toml_is_told_and_nothing_starts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    std::fs::write(&file, "calm = true\n[keys]\nopne = \"Enter\"\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
    let output =
        command.current_dir(&folder).arg("console").arg("--keys").arg(&file).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(err.contains("mine.toml:3: unknown action `opne`; the nearest is `open`"), "{err}");
    assert_eq!(err.lines().count(), 1);
}

#[test]
fn keys_of_ones_own_and_no_colours() {
    let server = Server::start();
    server.user("anna@example.com");
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("doorward");
    std::fs::create_dir(&own).unwrap();
    std::fs::write(own.join("console.toml"), "theme = \"mono\"\n[keys]\nquit = \"F10\"\n").unwrap();
    let home = folder.path().to_str().unwrap();
    let mut console =
        Pty::open_with(&server.data_dir(), &["--operator", "jdoe"], &[("XDG_CONFIG_HOME", home)], (24, 80));
    console.settle();
    console.keys("anna\r").shows("anna@example.com").keys("q");
    let screen = console.screen.screen();
    let cells = (0..24).flat_map(|row| (0..80).filter_map(move |column| screen.cell(row, column)));
    assert!(cells.into_iter().all(|cell| cell.fgcolor() == vt100::Color::Default), "no colour");
    console.keyboard.write_all(b"\x1b[21~").unwrap();
    console.ends_with(0);
}
