//! The console line by line, with a made-up server.

use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;

use super::fixture::{KEY, RIGHT_CODE, Server};
use crate::admin::link::Operator;
use crate::clock;
use crate::console::Options;
use crate::console::link::{Answer, Backend, Failure, Request};
use crate::console::model::WRITES_SECONDS;
use crate::console::plain::Plain;
use crate::error::Error;

/// Answers like the other one, also what the loop's tests keep from it.
#[derive(Clone, Default)]
struct Plainly {
    server: Server,
    /// The answers to writes are lost.
    loses_writes: bool,
    /// Nobody is told what became of them.
    refuses_look_ups: bool,
    /// The ids of the writes.
    writes: Arc<Mutex<Vec<String>>>,
}

impl Backend for Plainly {
    async fn perform(&self, id: &str, request: Request) -> Answer {
        if !is_write(&request) {
            let refused = self.refuses_look_ups && matches!(request, Request::LookUp(_));
            let answer = self.server.answer(request);
            return if refused { Err(Failure::Refused(Error::refused("forbidden", "not for you"))) } else { answer };
        }
        self.writes.lock().unwrap().push(id.to_owned());
        let answer = self.server.answer(request);
        if self.loses_writes { Err(Failure::Lost) } else { answer }
    }
}

fn is_write(request: &Request) -> bool {
    match request {
        Request::Reset(reset) => !reset.dry_run,
        _ => matches!(
            request,
            Request::Unlock(_)
                | Request::SteerJob(_)
                | Request::Approve(_)
                | Request::Refuse(_)
                | Request::StartEnrolment(_)
                | Request::ConfirmEnrolment(_)
        ),
    }
}

thread_local! {
    static LATER: Cell<i64> = const { Cell::new(0) };
}

/// What is said when these lines are typed; before one that begins with `later `, writes have had their time, and one
/// that begins with `begun ` waits for a job to be started.
async fn said_by(plainly: Plainly, options: Options, lines: &[&str]) -> String {
    LATER.with(|later| later.set(0));
    let (sender, receiver) = mpsc::channel(1);
    let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    let server = plainly.server.clone();
    let typing = async move {
        for line in lines {
            // A line goes out only when the one before was dealt with.
            let Ok(permit) = sender.reserve().await else { return };
            let (waits, line) = line.strip_prefix("begun ").map_or((false, line.as_str()), |line| (true, line));
            while waits && begun(&server) == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let late = line.strip_prefix("later ");
            LATER.with(|later| later.set(later.get() + if late.is_some() { WRITES_SECONDS + 1 } else { 0 }));
            permit.send(late.unwrap_or(line).to_owned());
        }
    };
    let operator = Operator { uid: 1_000, name: "jdoe".to_owned() };
    let mut out = Vec::new();
    let mut plain = Plain::new(plainly, &mut out, receiver, &operator, &options);
    plain.clock = || clock::now().plus_seconds(LATER.with(Cell::get));
    assert_eq!(plain.countdown, Duration::from_secs(10));
    plain.countdown = Duration::from_millis(10);
    let (talked, ()) = tokio::join!(plain.talk(None, false), typing);
    talked.unwrap();
    drop(plain);
    String::from_utf8(out).unwrap()
}

#[tokio::test]
async fn writes_that_went_off_during_the_questions_stop_all_of_them() {
    for lines in [
        &["jobs", "stop 1", "later yes"][..],
        &["approve a1b2", "later yes"],
        &["refuse a1b2", "later not her voice at all"],
        &["find anna.smith@corp", "unlock 1", "typed wrong codes", "later yes"],
    ] {
        let plainly = Plainly::default();
        let text = said_by(plainly.clone(), writing(), lines).await;
        has(&text, &["Writes are off again. Nothing was changed."]);
        assert!(plainly.writes.lock().unwrap().is_empty(), "{lines:?}");
    }
    let plainly = Plainly::default();
    let late = format!("later {RIGHT_CODE}");
    let lines = ["find anna.smith@edu", "enrol 1", "new phone, in person", "yes", &late];
    has(&said_by(plainly.clone(), writing(), &lines).await, &["Writes are off again. Nothing was changed."]);
    assert_eq!(plainly.writes.lock().unwrap().len(), 1, "the key was handed out, and not put in force");
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_looked_up() {
    for (lines, what) in [
        (&["jobs", "stop 1", "yes", "status"][..], "stop the job, remind to enrol"),
        (&["approve a1b2", "yes"], "approve reset 2FA, lena.koch@corp.example.com"),
        (&["refuse a1b2", "not her voice at all"], "refuse reset 2FA, lena.koch@corp.example.com"),
        (&["find anna.smith@corp", "unlock 1", "typed wrong codes", "yes"], "Unlock, anna.smith@corp.example.com"),
    ] {
        let plainly = Plainly { loses_writes: true, ..Plainly::default() };
        let text = said_by(plainly.clone(), writing(), lines).await;
        let unknown = format!("Not known yet whether this was done: {what}.");
        has(&text, &[&unknown, &format!("It was not done, and nothing was changed: {what}.")]);
        let writes = plainly.writes.lock().unwrap().clone();
        let asked = plainly.server.asked.lock().unwrap();
        let looked_up = asked
            .iter()
            .any(|request| matches!(request, Request::LookUp(look_up) if writes == [look_up.request_id.clone()]));
        assert!(looked_up, "{lines:?}");
    }
}

#[tokio::test]
async fn a_refused_look_up_is_told_once_and_not_asked_again() {
    let plainly = Plainly { loses_writes: true, refuses_look_ups: true, ..Plainly::default() };
    let text = said_by(plainly.clone(), writing(), &["jobs", "stop 1", "yes", "status", "status"]).await;
    has(&text, &["stop the job, remind to enrol. It cannot be looked up (not for you): see the audit trail."]);
    assert!(!text.contains("Still not known"), "{text}");
    let asked = plainly.server.asked.lock().unwrap();
    assert_eq!(asked.iter().filter(|request| matches!(request, Request::LookUp(_))).count(), 1);
}

#[tokio::test]
async fn a_notice_that_is_still_queued_is_not_told_as_sent() {
    let lines = ["find anna.smith@corp", "reset 1", "2", "lost phone, HD-4711", "no", "no", "anna.smith", "yes"];
    let text = said_by(Plainly::default(), writing(), &lines).await;
    has(&text, &["e-mail handed to the mail server"]);
    let server = Server::default();
    server.mails_after_write.store(1, Ordering::SeqCst);
    let text = said_by(Plainly { server, ..Plainly::default() }, writing(), &lines).await;
    has(&text, &["e-mail queued"]);
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
    let mut plain =
        Plain::new(Plainly { server: server.clone(), ..Plainly::default() }, &mut out, receiver, &operator, &options);
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
        "no",
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
            "Waits for a second operator: reset 2FA (revokes keys; checked: call-back), lena.koch@corp.example.com, asked by mrossi (uid 1001)",
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
async fn nobody_approves_what_they_asked_for() {
    let server = Server::default();
    server.approvals.lock().unwrap()[0].is_own = true;
    let text = said(&server, writing(), &["approve a1b2", "refuse a1b2", "not needed any more"]).await;
    has(&text, &["Not by you: asked for by you: another decides.", "refused; nothing was done"]);
    assert!(!server.asked.lock().unwrap().iter().any(|request| matches!(request, Request::Approve(_))));
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
    assert_eq!(begun(&server), 0);
    for (last, says, begins) in [
        ("stop", "Stopped. Nothing was changed.", 0),
        ("begun quit", "remind to enrol began; jobs tells how far it is.", 1),
    ] {
        let server = Server::default();
        let lines = ["find role:staff", "remind", "staff without 2FA", "213", last];
        let text = said_by(Plainly { server: server.clone(), ..Plainly::default() }, writing(), &lines).await;
        has(&text, &[says]);
        assert_eq!(begun(&server), begins, "{text}");
    }
}

/// Jobs that were started.
fn begun(server: &Server) -> usize {
    server.asked.lock().unwrap().iter().filter(|request| matches!(request, Request::StartJob(_))).count()
}

#[tokio::test]
async fn a_reason_is_asked_for_until_it_is_one() {
    for lines in [
        &["find role:staff", "remind", "12345678", "cancel"][..],
        &["refuse a1b2", "no", "cancel"],
        &["find anna.smith@corp", "unlock 1", "", "cancel"],
    ] {
        let plainly = Plainly::default();
        let text = said_by(plainly.clone(), writing(), lines).await;
        has(&text, &["The reason needs eight letters or more.", "Nothing was changed."]);
        assert!(plainly.writes.lock().unwrap().is_empty(), "{lines:?}");
    }
}

#[tokio::test]
async fn what_begins_like_a_filter_and_is_none_says_so() {
    let text = said_by(Plainly::default(), writing(), &["find role:nonsense"]).await;
    has(&text, &["role:nonsense is no filter: filters tells them."]);
}

#[tokio::test]
async fn a_lost_server_is_told_and_tried_again() {
    let server = Server::default();
    *server.broken.lock().unwrap() = Some(Failure::Lost);
    let (sender, receiver) = mpsc::channel(4);
    drop(sender);
    let operator = Operator { uid: 1_000, name: "jdoe".to_owned() };
    let mut out = Vec::new();
    let mut plain = Plain::new(
        Plainly { server: server.clone(), ..Plainly::default() },
        &mut out,
        receiver,
        &operator,
        &Options::default(),
    );
    assert!(!plain.talk(None, false).await.unwrap(), "no way in");
    drop(plain);
    has(&String::from_utf8(out).unwrap(), &["No server"]);
}
