//! The log of the server: a reader that stops must cost lines only.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::harness::wait_for;

/// A server that waited for its log would stop answering with it, and could not be stopped.
#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Command::new(env!("CARGO_BIN_EXE_doorward"))
        .arg("serve")
        .current_dir(folder.path())
        .env("DOORWARD__SERVER__LISTEN", "127.0.0.1:0")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    BufReader::new(server.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
    let url = ready.trim().strip_prefix("listening on ").unwrap().to_owned();
    let client = reqwest::blocking::Client::new();
    // A pipe holds 64 KiB; a line is more than 100 bytes.
    for _ in 0..2_000 {
        assert_eq!(client.get(format!("{url}/_health")).send().unwrap().status(), 200);
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&server), rustix::process::Signal::TERM).unwrap();
    let ended = wait_for("the end of a server whose log is full", || server.try_wait().unwrap());
    assert_eq!(ended.code(), Some(0));
}
