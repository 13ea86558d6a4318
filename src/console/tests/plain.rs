//! The console line by line, with a made-up server.

use tokio::sync::mpsc;

use super::fixture::{KEY, RIGHT_CODE, Server};
use crate::admin::link::Operator;
use crate::console::Options;
use crate::console::link::{Answer, Backend, Failure, Request};
use crate::console::plain::Plain;

/// Answers like the other one, also what the loop's tests keep from it.
#[derive(Clone, Default)]
struct Plainly(Server);

impl Backend for Plainly {
    async fn perform(&self, _: &str, request: Request) -> Answer {
        self.0.answer(request)
    }
}

/// What is said when these lines are typed.
async fn said(server: &Server, options: Options, lines: &[&str]) -> String {
    let (sender, receiver) = mpsc::channel(lines.len().max(1));
    for line in lines {
        sender.try_send((*line).to_owned()).unwrap();
    }
    drop(sender);
    let mut out = Vec::new();
    let operator = Operator { uid: 1_000, name: "jdoe".to_owned() };
    let mut plain = Plain::new(Plainly(server.clone()), &mut out, receiver, &operator, &options);
    plain.talk(options.query.as_deref(), options.home).await.unwrap();
    drop(plain);
    let text = String::from_utf8(out).unwrap();
    assert!(text.is_ascii() || !text.contains('\u{1b}'), "{text}");
    assert!(!text.contains(['\u{1b}', '\u{202e}', '\r']), "no control characters: {text}");
    text
}

fn writing() -> Options {
    Options { write: true, ..Options::default() }
}

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
}

#[tokio::test]
async fn users_are_found_and_shown() {
    let server = Server::default();
    let text =
        said(&server, Options::default(), &["find anna role:staff", "show 1", "show 1 sessions", "show 1 2fa"]).await;
    has(
        &text,
        &[
            "Link: live. Writes are off.",
            "1. anna.smith@corp.example.com, Anna Smith, staff, 2FA ",
            "lock: 5 wrong codes",
            "similar: anna.smith@edu.example.com has the same name.",
            "1. Firefox 135 on Linux, from 203.0.113.7, started ",
            "backup codes left: 2 of 10.",
            "Good-bye.",
        ],
    );
}

#[tokio::test]
async fn nothing_is_done_while_writes_are_off_and_nothing_by_one_line() {
    let server = Server::default();
    let text = said(&server, Options::default(), &["find anna.smith@corp", "reset 1", "unlock 1"]).await;
    has(&text, &["Reset 2FA: writes are off: `writes on` allows them.", "Unlock: writes are off"]);
    let read_only = Options { read_only: true, ..Options::default() };
    let text = said(&server, read_only, &["writes on", "find anna.smith@corp", "unlock 1"]).await;
    has(&text, &["writes stay off", "started with --read-only"]);
    let lines = ["find anna.smith@corp", "unlock 1", "typed wrong codes", "no"];
    let text = said(&server, writing(), &lines).await;
    has(&text, &["Nothing was changed."]);
    let asked = server.asked.lock().unwrap();
    assert!(!asked.iter().any(|request| matches!(request, Request::Unlock(_))));
}

#[tokio::test]
async fn a_reset_asks_what_the_screen_asks() {
    let server = Server::default();
    let lines =
        ["find anna.smith@corp", "reset 1", "9", "2", "short", "lost phone, HD-4711", "no", "yes", "anna.smith", "yes"];
    let text = said(&server, writing(), &lines).await;
    has(
        &text,
        &[
            "Careful: anna.smith@edu.example.com has the same name.",
            "remove the TOTP device enrolled 2026-02-11: always.",
            "Answer with a number from 1 to 4.",
            "The reason needs eight letters or more.",
            "Done, audit #48214.",
            "Tell the caller: sign in with your password",
        ],
    );
    let asked = server.asked.lock().unwrap();
    let reset = asked.iter().rev().find_map(|request| match request {
        Request::Reset(reset) if !reset.dry_run => Some(reset.clone()),
        _ => None,
    });
    let reset = reset.unwrap();
    assert_eq!(reset.proof.reason, "lost phone, HD-4711");
    assert_eq!(reset.proof.verified_by.as_deref(), Some("call-back to number on file"));
    assert_eq!(reset.proof.confirm.as_deref(), Some("anna.smith"));
    assert!(reset.keep_sessions && reset.revoke_keys);
}

#[tokio::test]
async fn a_wrong_local_part_stops_it() {
    let server = Server::default();
    let lines = ["find anna.smith@corp", "codes 1", "1", "list was photographed", "anna.smit", "yes"];
    let text = said(&server, writing(), &lines).await;
    has(&text, &["Not done: type the part before the @.", "Nothing was changed."]);
    assert!(!server.asked.lock().unwrap().iter().any(|request| matches!(request, Request::RevokeCodes(_))));
}

#[tokio::test]
async fn sessions_and_keys_go_by_number() {
    let server = Server::default();
    let lines =
        ["find anna.smith@corp", "end 1 2", "stolen laptop", "yes", "end 1 9", "revoke 1 1", "leaked to a log", "yes"];
    let text = said(&server, writing(), &lines).await;
    has(
        &text,
        &[
            "This will sign out Safari on iPhone",
            "3 sessions ended",
            "End session: choose it in Sessions",
            "API key revoked",
        ],
    );
    let asked = server.asked.lock().unwrap();
    assert!(
        asked.iter().any(|request| matches!(request, Request::RevokeSessions(one) if one.id.as_deref() == Some("s2")))
    );
}

#[tokio::test]
async fn a_device_is_enrolled_with_the_key_as_text() {
    let server = Server::default();
    let lines = ["find anna.smith@edu", "enrol 1", "new phone, in person", "yes", "12", "123456", RIGHT_CODE];
    let text = said(&server, writing(), &lines).await;
    let key: Vec<&str> = KEY.as_bytes().chunks(4).map(|group| std::str::from_utf8(group).unwrap()).collect();
    has(
        &text,
        &[
            &key.join(" "),
            "stays in what your terminal remembers",
            "Six digits, or cancel.",
            "9 tries left",
            "the new device is in force",
        ],
    );
}

#[tokio::test]
async fn the_rest_is_told_too() {
    let server = Server::default();
    let lines = [
        "explain anna.smith@corp.example.com 111222",
        "home",
        "audit by:jdoe",
        "entry 48213",
        "audit who:jdoe",
        "export audit.jsonl",
        "export taken",
        "no",
        "filters",
        "help find",
        "dance",
        "",
        "more",
        "quit",
        "never read",
    ];
    server.users.lock().unwrap().truncate(2);
    let text = said(&server, Options { query: Some("anna".to_owned()), ..Options::default() }, &lines).await;
    has(
        &text,
        &[
            "2 users of 1,000,000.",
            "staff: 9,310 of 9,524 have 2FA.",
            "staff without 2FA: 214; find role:staff 2fa:off.",
            "The chain is at #48,213.",
            "`who:jdoe` is no filter",
            "520 lines written to audit.jsonl.",
            "There is such a file. Replace it?",
            "No file was written.",
            "find WORDS: search e-mail and name",
            "there is no command `dance`",
        ],
    );
}

#[tokio::test]
async fn jobs_are_told_and_steered() {
    let server = Server::default();
    let lines = [
        "jobs",
        "approve a1b2",
        "yes",
        "refuse a1b2",
        "not her voice at all",
        "approve x",
        "job 1",
        "pause 1",
        "no",
        "stop 1",
        "yes",
        "pause 7",
    ];
    let text = said(&server, writing(), &lines).await;
    has(
        &text,
        &[
            "Waits for a second operator: reset 2FA, lena.koch@corp.example.com, asked by mrossi",
            "carried out, as mrossi asked",
            "refused; nothing was done",
            "There is no such id: jobs lists what waits.",
            "1. remind to enrol: running, 93 done, 6 skipped, 1 failed of 214",
            "anna.smith@corp.example.com: done, audit #48300.",
            "Nothing was changed.",
            "remind to enrol: stopped",
            "There is no such number: jobs lists them.",
        ],
    );
}

#[tokio::test]
async fn many_are_dealt_with_by_number_and_after_ten_seconds() {
    let server = Server::default();
    let lines =
        ["remind", "find role:staff", "remind", "staff without 2FA", "213", "", "remind", "staff without 2FA", "12"];
    let text = said(&server, writing(), &lines).await;
    has(
        &text,
        &[
            "Nobody is listed: find those that are meant first.",
            "Dry run: 213 of 214 would be dealt with.",
            "skipped: 1, has a second factor.",
            "It begins in 10 seconds; Enter stops it.",
            "Stopped. Nothing was changed.",
            "That is another number. Nothing was changed.",
        ],
    );
    assert!(!server.asked.lock().unwrap().iter().any(|request| matches!(request, Request::StartJob(_))));
}

#[tokio::test]
async fn a_lost_server_is_told_and_tried_again() {
    let server = Server::default();
    *server.broken.lock().unwrap() = Some(Failure::Lost);
    let (sender, receiver) = mpsc::channel(4);
    drop(sender);
    let operator = Operator { uid: 1_000, name: "jdoe".to_owned() };
    let mut out = Vec::new();
    let mut plain = Plain::new(Plainly(server.clone()), &mut out, receiver, &operator, &Options::default());
    assert!(!plain.talk(None, false).await.unwrap(), "no way in");
    drop(plain);
    has(&String::from_utf8(out).unwrap(), &["No server"]);
}
