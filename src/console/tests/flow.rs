//! What keys and answers do, and the loop with a made-up server.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use futures_util::stream;
use tokio::sync::watch;

use super::fixture::{COLOUR, Console, Server, detail, start, users};
use crate::app::permission::Rights;
use crate::app::requests::RequestOutcome;
use crate::console::dialog::Part;
use crate::console::link::{Answer, Backend, Failure, Request};
use crate::console::model::{
    Focus, LinkState, Model, Overlay, Panel, Refusal, Screen as Place, Slot, UnknownWrite, Writes,
};
use crate::console::update::{self, Cmd, Msg, is_idle};
use crate::console::{Caught, Ended, Interrupts, Screen, drive};
use crate::domain::user::FactorState;
use crate::domain::user_filter::UserFilter;
use crate::error::Error;

pub(super) fn console() -> Console {
    Console::new(COLOUR, 80, 24)
}

pub(super) fn writes(console: &Console) -> Vec<Request> {
    let asked = console.server.asked.lock().unwrap();
    let is_write = |request: &&Request| match request {
        Request::Reset(reset) => !reset.dry_run,
        Request::Connect
        | Request::ConnectAs(_)
        | Request::Reconnect
        | Request::Status
        | Request::Find(_)
        | Request::Count(_)
        | Request::LookUp(_)
        | Request::Inspect(_)
        | Request::Audit(_)
        | Request::Overview(_)
        | Request::Export(_)
        | Request::Jobs(_)
        | Request::Approvals(_)
        | Request::Job(_)
        | Request::DraftJob(_)
        | Request::Explain(_) => false,
        _ => true,
    };
    asked.iter().filter(is_write).cloned().collect()
}

fn part(console: &Console) -> Part {
    match &console.model.overlay {
        Some(Overlay::Dialog(dialog)) => dialog.focus,
        other => panic!("no dialog but {other:?}"),
    }
}

fn problem(console: &Console) -> Option<&str> {
    match &console.model.overlay {
        Some(Overlay::Dialog(dialog)) => dialog.problem.as_deref(),
        other => panic!("no dialog but {other:?}"),
    }
}

#[test]
fn each_letter_searches_and_words_can_be_filters() {
    let mut console = console();
    console.keys("an role:staff");
    let asked = console.server.asked.lock().unwrap();
    let Some(Request::Find(find)) = asked.iter().rev().find(|request| matches!(request, Request::Find(_))) else {
        panic!("nothing was searched")
    };
    assert_eq!((find.query.as_str(), find.filters.as_slice()), ("an", &[UserFilter::Staff(true)][..]));
}

#[test]
fn a_filter_replaces_its_kind_and_x_drops_it() {
    let mut console = console();
    console.keys("\nfofn");
    assert_eq!(console.model.users.query().filters, [UserFilter::State(FactorState::On)]);
    assert_eq!(console.model.users.filters.len(), 1);
    console.keys("x");
    assert_eq!(console.model.users.filters.len(), 0);
    assert_eq!(console.model.users.rows().len(), 6);
}

#[test]
fn the_cursor_follows_the_user() {
    let mut console = console();
    console.keys("\njj");
    let chosen = console.model.users.chosen;
    let first = console.model.users.rows()[0].uuid;
    console.model.users.window.as_mut().unwrap().remove(first);
    console.send(Msg::Key(KeyEvent::new(KeyCode::Char('r'), KeyModifiers::CONTROL)));
    assert_eq!(console.model.users.chosen, chosen);
    assert_eq!(console.model.users.chosen_index(), Some(2));
}

#[test]
fn a_reset_takes_what_the_design_asks_and_says_what_was_done() {
    let mut console = console().at_anna();
    console.dialog('r');
    console.keys("\t2\tlost phone, ticket HD-4711\t \t \tanna.smith\t\n");
    let written = writes(&console);
    let [Request::Reset(reset)] = written.as_slice() else { panic!("{written:?}") };
    assert_eq!(reset.proof.reason, "lost phone, ticket HD-4711");
    assert_eq!(reset.proof.verified_by.as_deref(), Some("call-back to number on file"));
    assert!(reset.keep_sessions && reset.revoke_keys && !reset.dry_run);
    let Some(Overlay::Panel(Panel::Reset { reset, .. })) = &console.model.overlay else { panic!("no result") };
    assert_eq!(reset.audit_number, Some(48_214));
    console.keys("y");
    assert!(matches!(console.commands.last(), Some(Cmd::Copy(number)) if number == "48214"));
    console.keys("\n");
    assert!(console.model.overlay.is_none());
}

#[test]
fn nothing_is_sent_while_something_is_missing() {
    for (typed, missing) in [
        ("\t\tlost phone\t\t\tanna.smith\t\n", "say how the caller was checked"),
        ("\t4\t\tlost phone\t\t\tanna.smith\t\n", "say who vouched, or what else was checked"),
        ("\t1\t12345678 no\t\t\tanna.smith\t\n", "the reason needs eight letters or more"),
        ("\t1\tlost phone\t\t\tanna.smit\t\n", "type the part before the @"),
        ("\t1\tlost phone\t\t\tanna.smith@corp.example.com\t\n", "type the part before the @"),
    ] {
        let mut console = console().at_anna();
        console.dialog('r');
        console.keys(typed);
        assert_eq!(problem(&console), Some(missing), "{typed:?}");
        assert!(writes(&console).is_empty());
    }
}

#[test]
fn no_single_key_writes() {
    for letter in "ruebmcsdkpx".chars() {
        for key in ('a'..='z').chain('A'..='Z').chain("0123456789 \n".chars()) {
            let mut console = console().at_anna();
            console.dialog(letter);
            console.keys(&key.to_string());
            assert!(writes(&console).is_empty(), "{letter}, {key:?}");
        }
    }
}

#[test]
fn enter_alone_confirms_nothing() {
    let mut console = console().at_anna();
    console.dialog('u');
    assert_eq!(part(&console), Part::Cancel);
    console.keys("\n");
    assert!(console.model.overlay.is_none(), "Cancel has the focus first");
    console.dialog('u');
    console.keys("\ttyped wrong codes\n\n\n");
    assert_eq!(problem(&console), Some("press y to do it"));
    assert!(writes(&console).is_empty());
    console.keys("y");
    assert!(
        matches!(writes(&console).as_slice(), [Request::Unlock(unlock)] if unlock.proof.reason == "typed wrong codes")
    );
    assert!(console.model.toast.as_ref().is_some_and(|toast| toast.text.contains("#48214")));
}

#[test]
fn keys_meant_for_the_screen_before_are_dropped() {
    let mut console = console().at_anna();
    console.keys("ar\t1");
    assert_eq!(part(&console), Part::Cancel);
    assert!(!is_idle(&console.model), "not idle while deaf");
    console.pass(250);
    assert!(is_idle(&console.model));
    console.keys("\t");
    assert_eq!(part(&console), Part::Check);
}

#[test]
fn pasted_text_goes_into_fields_only() {
    let mut console = console().at_anna();
    console.send(Msg::Paste("ar\t1".to_owned()));
    assert!(console.model.overlay.is_none());
    console.dialog('u');
    console.send(Msg::Paste("y\n".to_owned()));
    assert_eq!(part(&console), Part::Cancel);
    console.keys("\t");
    console.send(Msg::Paste("typed wrong\ncodes\ty".to_owned()));
    let Some(Overlay::Dialog(dialog)) = &console.model.overlay else { panic!("closed") };
    assert_eq!(dialog.reason.value(), "typed wrong codes y");
    assert!(writes(&console).is_empty());
}

#[test]
fn writes_start_off_and_end_after_ten_minutes() {
    let mut console = console();
    console.keys("anna.smith@corp\nau");
    assert!(matches!(console.model.overlay, Some(Overlay::Actions { .. })), "a refused action opens no dialog");
    assert!(console.screen().contains("writes are off: W"));
    console.key(KeyCode::Esc);
    console.keys("W");
    assert!(console.screen().contains("WRITES 10:00"));
    console.pass(19_000);
    assert!(console.screen().contains("WRITES 09:41"));
    console.dialog('u');
    console.keys("\ttyped wrong codes\t");
    console.pass(600_000);
    console.keys("y");
    assert!(problem(&console).is_some_and(|problem| problem.starts_with("writes are off")));
    assert!(writes(&console).is_empty());
}

#[test]
fn read_only_stays_read_only() {
    let mut console = console();
    console.model.writes = Writes::Forbidden;
    console.keys("anna.smith@corp\nWau");
    assert_eq!(console.model.writes, Writes::Forbidden);
    assert!(console.model.toast.as_ref().is_some_and(|toast| toast.text.contains("--read-only")));
}

#[test]
fn who_may_look_only_is_told_so() {
    let mut console = console().at_anna();
    assert!(console.screen().contains("WRITES"));
    console.server.status.lock().unwrap().rights = Rights::Reader;
    console.model.status.as_mut().unwrap().rights = Rights::Reader;
    assert!(console.screen().contains("READ-ONLY"));
    assert_eq!(console.model.refusal(), Some(Refusal::LooksOnly));
    console.keys("W");
    assert!(console.model.toast.as_ref().is_some_and(|toast| toast.text.contains("your group may look only")));
    console.keys("a");
    assert!(console.screen().contains("your group may look only"), "{}", console.screen());
}

#[test]
fn root_is_asked_for_a_name() {
    let mut console = console();
    console.model.operator.clear();
    console.keys("\nW");
    assert!(matches!(console.model.overlay, Some(Overlay::Name(_))));
    console.keys("\n");
    assert!(console.model.writes_left().is_none());
    console.keys("jdoe\n");
    assert!(console.model.writes_left().is_some());
    assert!(
        console
            .server
            .asked
            .lock()
            .unwrap()
            .iter()
            .any(|request| matches!(request, Request::ConnectAs(name) if name == "jdoe"))
    );
}

#[test]
fn a_refusal_keeps_what_was_typed() {
    let mut console = console().at_anna();
    console.dialog('u');
    *console.server.broken.lock().unwrap() = Some(Failure::Refused(Error::refused("self_reset", "not your own")));
    console.keys("\ttyped wrong codes\ty");
    assert_eq!(problem(&console), Some("not your own"));
    let Some(Overlay::Dialog(dialog)) = &console.model.overlay else { panic!("closed") };
    assert_eq!((dialog.sent, dialog.reason.value()), (false, "typed wrong codes"));
}

#[test]
fn a_lost_server_is_tried_for_ever_and_comes_back() {
    let mut console = console().at_anna();
    console.lose_server();
    assert!(console.screen().contains("! no server since 09:02:12 (stale)"));
    assert!(console.screen().contains("anna.smith"));
    assert_eq!(console.model.refusal(), Some(Refusal::NoServer));
    let tries = |console: &Console| {
        let asked = console.server.asked.lock().unwrap();
        asked.iter().filter(|request| matches!(request, Request::Reconnect)).count()
    };
    for _ in 0..600 {
        console.pass(100);
    }
    // 0.25 s doubled up to 5 s: six tries in the first 16 s, then one in 5 s.
    assert!((12..=18).contains(&tries(&console)), "{}", tries(&console));
    *console.server.broken.lock().unwrap() = None;
    console.pass(5_000);
    assert_eq!(console.model.link, LinkState::Live);
    assert!(!console.screen().contains("stale"));
}

#[test]
fn a_server_that_hangs_counts_as_lost_after_two_seconds() {
    let mut console = console().at_anna();
    console.hold = true;
    console.pass(1_100);
    let pause = |console: &Console| update::next_tick(&console.model).as_micros() - console.now.as_micros();
    assert!(console.model.is_awaiting(Slot::Status) && pause(&console) > 500_000, "no tick every millisecond");
    console.pass(1_000);
    assert_eq!(console.model.link, LinkState::Live);
    console.pass(1_000);
    assert!(matches!(console.model.link, LinkState::Lost { .. }));
    assert!(console.screen().contains("no server since"));
}

#[test]
fn what_was_under_way_when_the_server_was_lost_can_be_asked_again() {
    let mut lost = console().at_anna();
    lost.hold = true;
    lost.keys("ar");
    lost.pass(300);
    lost.hold = false;
    lost.lose_server();
    let preview = |console: &Console| match &console.model.overlay {
        Some(Overlay::Dialog(dialog)) => (dialog.preview.is_some(), dialog.problem.is_some()),
        other => panic!("{other:?}"),
    };
    assert_eq!(preview(&lost), (false, true));
    *lost.server.broken.lock().unwrap() = None;
    lost.pass(1_000);
    assert_eq!(preview(&lost), (true, false));

    let mut lost = console().at_anna();
    lost.keys("3e");
    lost.hold = true;
    lost.keys("audit.jsonl\n");
    lost.hold = false;
    lost.lose_server();
    let Some(Overlay::Export(export)) = &lost.model.overlay else { panic!("{:?}", lost.model.overlay) };
    assert_eq!(export.problem.as_deref(), Some("the server was lost: no file was written"));
}

#[test]
fn a_name_given_while_the_server_restarts_keeps_the_screen() {
    let mut console = console();
    console.model.operator.clear();
    console.keys("\nW");
    *console.server.broken.lock().unwrap() = Some(Failure::Lost);
    console.keys("jdoe\n");
    assert!(matches!(console.model.link, LinkState::Lost { .. }));
}

#[test]
fn a_notice_is_not_called_handed_over_by_what_was_read_before_the_reset() {
    let mut console = console().at_anna();
    console.dialog('r');
    let Some(Overlay::Dialog(dialog)) = &console.model.overlay else { panic!("{:?}", console.model.overlay) };
    let reset = dialog.preview.clone().unwrap();
    console.model.overlay = Some(Overlay::Panel(Panel::Reset { reset, took_ms: 1, at: console.now.plus_seconds(1) }));
    console.lose_server();
    assert!(console.screen().contains("e-mail queued"), "{}", console.screen());
    *console.server.broken.lock().unwrap() = None;
    console.pass(5_000);
    assert!(console.screen().contains("e-mail handed to the mail server"));
}

#[test]
fn a_running_job_is_followed_offline() {
    let mut console = console();
    console.keys("\n4");
    console.model.link = LinkState::Offline;
    let asked = |console: &Console| {
        console.server.asked.lock().unwrap().iter().filter(|request| matches!(request, Request::Jobs(_))).count()
    };
    let before = asked(&console);
    console.pass(1_000);
    assert_eq!(asked(&console), before + 1);
}

#[test]
fn lost_while_writing_says_that_it_is_not_known() {
    let mut console = console().at_anna();
    console.dialog('u');
    *console.server.broken.lock().unwrap() = Some(Failure::Lost);
    console.keys("\ttyped wrong codes\ty");
    assert!(console.screen().contains("Not known yet whether this was done"));
    console.pass(60_000);
    assert!(console.model.failure.is_some(), "it stays until dismissed");
    console.key(KeyCode::Esc);
    assert!(console.model.failure.is_none());
}

#[test]
fn changes_by_others_are_shown_when_nobody_is_busy() {
    let mut console = console();
    console.keys("\n");
    let found = |console: &Console| {
        let asked = console.server.asked.lock().unwrap();
        asked.iter().filter(|request| matches!(request, Request::Find(_))).count()
    };
    let before = found(&console);
    console.model.status.as_mut().unwrap().audit_newest -= 1;
    console.pass(1_100);
    console.pass(1_100);
    assert_eq!(found(&console), before + 1);
}

#[test]
fn interrupt_asks_twice_at_rest() {
    let mut console = console();
    let interrupt = || Msg::Key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL));
    console.send(interrupt());
    assert!(!console.model.quit);
    console.pass(3_000);
    console.send(interrupt());
    assert!(!console.model.quit);
    console.send(interrupt());
    assert!(console.model.quit);
}

#[test]
fn reasons_come_back_with_up() {
    let mut console = console().at_anna();
    console.dialog('u');
    console.keys("\ttyped wrong codes\ty");
    console.dialog('u');
    console.keys("\t");
    console.key(KeyCode::Up);
    let Some(Overlay::Dialog(dialog)) = &console.model.overlay else { panic!("closed") };
    assert_eq!(dialog.reason.value(), "typed wrong codes");
}

// -------------------------------------------------------------------------------------------------------- the loop

impl Backend for Server {
    async fn perform(&self, _: &str, request: Request) -> Answer {
        assert!(!matches!(&request, Request::Audit(_)), "the audit trail is broken in this test");
        self.answer(request)
    }
}

#[derive(Default)]
struct Frames {
    drawn: usize,
    idle: Arc<watch::Sender<bool>>,
    last: Option<String>,
    suspended: usize,
}

impl Screen for Frames {
    fn size(&self) -> io::Result<(u16, u16)> {
        Ok((80, 24))
    }

    fn draw(&mut self, model: &Model) -> io::Result<()> {
        self.drawn += 1;
        self.last = model.failure.clone();
        self.idle.send_replace(is_idle(model));
        Ok(())
    }

    fn repaint(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn suspend(&mut self) -> io::Result<()> {
        self.suspended += 1;
        Ok(())
    }

    fn copy(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn mouse(&mut self, _: bool) -> io::Result<()> {
        Ok(())
    }
}

struct Never;

impl Interrupts for Never {
    async fn next(&mut self) -> Caught {
        std::future::pending().await
    }
}

struct At(Option<Caught>);

impl Interrupts for At {
    async fn next(&mut self) -> Caught {
        match self.0.take() {
            Some(caught) => caught,
            None => std::future::pending().await,
        }
    }
}

/// Runs the loop on these keys, each pressed when the console has become idle.
async fn pressed(keys: Vec<KeyEvent>) -> (Ended, Frames) {
    let mut frames = Frames::default();
    let idle = Arc::clone(&frames.idle);
    let events = stream::unfold((VecDeque::from(keys), idle), |(mut keys, idle)| async move {
        idle.subscribe().wait_for(|idle| *idle).await.ok()?;
        let key = keys.pop_front()?;
        idle.send_replace(false);
        Some((Ok(Event::Key(key)), (keys, idle)))
    });
    let server = Server::default();
    let model = Model::new(COLOUR, (80, 24), start());
    let ended = drive(&mut frames, Box::pin(events), &mut Never, &server, model).await.unwrap();
    (ended, frames)
}

fn key(letter: char) -> KeyEvent {
    KeyEvent::new(KeyCode::Char(letter), KeyModifiers::NONE)
}

#[tokio::test]
async fn the_loop_quits_and_suspends() {
    let suspend = KeyEvent::new(KeyCode::Char('z'), KeyModifiers::CONTROL);
    let enter = KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE);
    let (ended, frames) = pressed(vec![key('a'), enter, suspend, key('q')]).await;
    assert_eq!(ended, Ended::Quit { connected: true });
    assert_eq!(frames.suspended, 1);
    assert!(frames.drawn > 0);
}

#[tokio::test]
async fn a_worker_that_crashes_is_a_message() {
    let enter = KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE);
    let (_, frames) = pressed(vec![enter, key('3'), key('j'), key('q')]).await;
    assert!(frames.last.is_some_and(|failure| failure.contains("the request crashed")));
}

#[tokio::test]
async fn the_end_of_the_terminal_ends_the_loop() {
    let (ended, _) = pressed(vec![key('a')]).await;
    assert_eq!(ended, Ended::Signal(1));
}

#[tokio::test]
async fn a_signal_ends_the_loop() {
    let model = Model::new(COLOUR, (80, 24), start());
    let events = Box::pin(stream::pending());
    let ended = drive(&mut Frames::default(), events, &mut At(Some(Caught::End(15))), &Server::default(), model).await;
    assert_eq!(ended.unwrap(), Ended::Signal(15));
}

#[test]
fn q_quits_from_the_list_only() {
    let mut console = console();
    console.keys("q");
    assert!(!console.model.quit, "in Find it types");
    assert_eq!(console.model.screen, Place::Users(Focus::Find));
    console.keys("\nq");
    assert!(console.model.quit);
}

#[test]
fn the_cursor_stays_on_a_user_who_no_longer_matches() {
    let mut console = console().at_anna();
    let anna = console.model.users.chosen;
    console.server.users.lock().unwrap().retain(|row| Some(row.uuid) != anna);
    console.send(Msg::Key(KeyEvent::new(KeyCode::Char('r'), KeyModifiers::CONTROL)));
    assert_eq!(console.model.users.chosen, anna, "nobody else takes the place under the operator's hands");
    assert_eq!(console.model.users.chosen_row().map(|row| row.uuid), anna);
    console.keys("/.");
    assert_ne!(console.model.users.chosen, anna, "a new search forgets him");
}

#[test]
fn a_user_who_was_deleted_leaves() {
    let mut console = console();
    console.keys("\n\n");
    *console.server.broken.lock().unwrap() = Some(Failure::Refused(Error::not_found()));
    console.send(Msg::Key(KeyEvent::new(KeyCode::Char('r'), KeyModifiers::CONTROL)));
    assert_eq!(console.model.users.chosen, None);
    assert_eq!(console.model.screen, Place::Users(Focus::List));
    assert!(console.screen().contains("This user is no longer there."));
}

#[test]
fn the_cursor_follows_the_session() {
    let mut console = console().at_anna();
    console.keys("\nllj");
    assert_eq!(console.model.chosen_in_tab().as_deref(), Some("s2"));
    let session = console.model.detail.as_ref().unwrap().sessions[0].clone();
    console.model.detail.as_mut().unwrap().sessions.insert(0, session);
    console.model.tab_row = 2;
    console.send(Msg::Key(KeyEvent::new(KeyCode::Char('r'), KeyModifiers::CONTROL)));
    assert_eq!(console.model.chosen_in_tab().as_deref(), Some("s2"), "one above it has ended");
    console.dialog('d');
    assert!(
        console.screen().contains("Safari on iPhone from 203.0.113.7, signed in 2026-11-2"),
        "{}",
        console.screen()
    );
}

#[test]
fn only_a_session_that_is_seen_marked_can_be_ended() {
    let mut console = console().at_anna();
    console.keys("\nll");
    console.key(KeyCode::Esc);
    console.keys("a");
    assert!(console.screen().contains("(choose it in Sessions)"));
}

#[test]
fn a_store_that_does_not_open_leaves_the_console_trying() {
    let mut console = console().at_anna();
    console.lose_server();
    *console.server.broken.lock().unwrap() = Some(Failure::NoWay("in use by the server".to_owned()));
    console.keys("o");
    assert!(matches!(console.model.link, LinkState::Lost { .. }), "{:?}", console.model.link);
    assert!(console.screen().contains("in use by the server") && console.screen().contains("no server since"));
    *console.server.broken.lock().unwrap() = None;
    console.pass(5_000);
    assert_eq!(console.model.link, LinkState::Live);
}

#[test]
fn help_is_there_from_the_first_key() {
    let mut console = console();
    assert!(console.screen().contains("? help"));
    console.keys("?");
    assert!(console.model.help.is_some());
    assert!(console.screen().contains("reset 2FA"), "also the keys of the list");
    console.key(KeyCode::Esc);
    console.keys("a?");
    assert_eq!(console.model.users.find.value(), "a?");
}

#[test]
fn the_menu_takes_the_key_that_it_names() {
    let mut console = console();
    console.keys("\naWr");
    assert!(matches!(console.model.overlay, Some(Overlay::Dialog(_))));
}

/// Fewer than twelve keys besides the typed text.
#[test]
fn a_practised_hand_needs_few_keys_for_a_reset() {
    let mut console = console();
    let mut keys = 0;
    for typed_or_keys in
        ["anna.smith@corp", "\n", "W", "a", "r", "\t", "2", "\t", "lost phone, HD-1", "\n", "anna.smith"]
    {
        console.keys(typed_or_keys);
        console.pass(300);
        keys += usize::from(typed_or_keys.chars().count() == 1);
    }
    console.keys("\n\n");
    assert!(keys + 2 < 12, "{keys}");
    assert!(matches!(writes(&console).as_slice(), [Request::Reset(reset)] if !reset.revoke_keys));
}

#[test]
fn all_that_betrays_an_attack_is_shown() {
    let mut console = console().at_anna();
    let detail = console.model.detail.as_mut().unwrap();
    let others = (0..5).map(|number| format!("anna{number}@corp.example.com"));
    detail.namesakes = others.collect();
    detail.warnings.push("the second factor was reset in the last 30 days".to_owned());
    console.dialog('r');
    let screen = console.screen();
    assert!(screen.contains("5 others have the same name: anna0@corp.example.com"), "{screen}");
    assert!(screen.contains("was reset in the last 30 days"), "{screen}");
}

/// Loses the server while a write is under way.
fn lost_while_writing() -> Console {
    let mut console = console().at_anna();
    console.dialog('u');
    console.keys("\ttyped wrong codes\t");
    *console.server.broken.lock().unwrap() = Some(Failure::Lost);
    console.keys("y");
    assert!(console.screen().contains("Not known yet whether this was done"));
    console
}

#[test]
fn the_true_answer_is_shown_when_the_server_is_back() {
    let entry = detail(users().remove(1)).audit;
    for (outcome, told) in [
        (RequestOutcome::Done(entry), "It was done: Unlock, anna.smith@corp.example.com. Audit #48,100."),
        (RequestOutcome::Unknown, "It was not done, and nothing was changed: Unlock,"),
    ] {
        let mut console = lost_while_writing();
        *console.server.outcome.lock().unwrap() = outcome;
        *console.server.broken.lock().unwrap() = None;
        console.pass(6_000);
        assert!(console.screen().contains(told), "{}", console.screen());
        console.pass(60_000);
        assert!(console.screen().contains(told), "it stays");
        console.key(KeyCode::Esc);
        assert!(!console.screen().contains(told));
    }
}

#[test]
fn what_is_still_under_way_is_asked_for_again() {
    let mut console = lost_while_writing();
    *console.server.outcome.lock().unwrap() = RequestOutcome::UnderWay;
    *console.server.broken.lock().unwrap() = None;
    console.pass(6_000);
    assert!(!console.model.unknown.is_empty());
    *console.server.outcome.lock().unwrap() = RequestOutcome::Unknown;
    console.pass(1_100);
    assert!(console.model.unknown.is_empty() && console.screen().contains("It was not done"));
}

#[test]
fn two_lost_writes_are_both_looked_up_each_by_its_own_id() {
    let mut console = lost_while_writing();
    let second = UnknownWrite { id: "other".to_owned(), what: "Unlock, tom".to_owned(), asked_by: None };
    console.model.unknown.push_back(second);
    *console.server.broken.lock().unwrap() = None;
    console.pass(6_000);
    assert_eq!(console.model.unknown.len(), 1, "one after the other");
    console.pass(1_100);
    assert!(console.model.unknown.is_empty());
    assert!(console.screen().contains("It was not done, and nothing was changed: Unlock, tom"), "{}", console.screen());
}

#[test]
fn a_refused_look_up_is_told_once_and_not_asked_again() {
    let mut console = lost_while_writing();
    *console.server.outcome.lock().unwrap() = RequestOutcome::UnderWay;
    *console.server.broken.lock().unwrap() = None;
    console.pass(6_000);
    *console.server.broken.lock().unwrap() = Some(Failure::Refused(Error::refused("forbidden", "not for you")));
    let look_ups = |console: &Console| {
        let asked = console.server.asked.lock().unwrap();
        asked.iter().filter(|request| matches!(request, Request::LookUp(_))).count()
    };
    console.pass(1_100);
    let before = look_ups(&console);
    assert!(console.screen().contains("cannot be looked up"), "{}", console.screen());
    (0..5).for_each(|_| console.pass(1_100));
    assert_eq!(look_ups(&console), before);
}

#[test]
fn a_server_of_another_version_ends_the_console_with_one_line() {
    let mut console = console();
    *console.server.broken.lock().unwrap() = Some(Failure::Mismatch("the server speaks version 2".to_owned()));
    console.pass(1_100);
    assert_eq!(console.model.mismatch.as_deref(), Some("the server speaks version 2"));
}

#[test]
fn a_second_unlock_in_a_day_suggests_to_look_for_the_cause() {
    let hint = "unlocked 2 times in the last day: check the phone's clock, or reset the";
    for (unlocked, is_hinted) in [(0, false), (1, false), (2, true)] {
        let mut console = console();
        console.keys("anna.smith@corp\nW");
        console.model.detail.as_mut().unwrap().unlocked_today = unlocked;
        console.dialog('u');
        let screen = console.screen();
        assert!(screen.contains("5 wrong codes 08:51-08:59 from 203.0.113.7, until 09:14 "), "{screen}");
        assert!(screen.contains("phone clock about 30 s slow"), "{screen}");
        assert_eq!(screen.contains(hint), is_hinted, "{unlocked}: {screen}");
        console.keys("\ttyped wrong codes\ty");
        assert_eq!(writes(&console).len(), 1, "a hint does not stand in the way");
    }
}
