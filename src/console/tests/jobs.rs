//! The Jobs screen, and what is done to many users at once.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::fixture::{COLOUR, Console};
use super::screens::check;
use crate::app::jobs::{JobDetail, JobOutcome, Selection};
use crate::console::bulk::Stage;
use crate::console::link::{Failure, Reply, Request};
use crate::console::model::{Overlay, Panel, Screen, Slot};
use crate::console::theme::Theme;
use crate::console::update::{Cmd, Msg};
use crate::domain::approval::Act;
use crate::domain::job::{JobAct, JobKind, JobState};
use crate::error::Error;

fn at_jobs(theme: Theme, columns: u16, rows: u16) -> Console {
    let mut console = Console::new(theme, columns, rows);
    to_jobs(&mut console);
    console
}

fn to_jobs(console: &mut Console) {
    console.keys("\nW4");
    console.model.toast = None;
}

#[test]
fn a_second_operator_approves_or_refuses_after_a_question() {
    let mut console = at_jobs(COLOUR, 80, 24);
    console.keys("kao");
    console.pass(300);
    assert!(console.screen().contains("carry it out at once, as mrossi (uid 1001) asked"), "{}", console.screen());
    console.keys("\ty");
    assert!(matches!(console.model.overlay, Some(Overlay::Panel(Panel::Done { .. }))), "a reset shows its result");
    assert!(console.screen().contains("carried out, as mrossi asked"), "{}", console.screen());
    console.key(KeyCode::Esc);
    console.keys("ax");
    console.pass(300);
    console.keys("\tshort\ty");
    assert!(console.screen().contains("eight letters or more"));
    console.keys(": not her voice\ty");
    let asked = console.server.asked.lock().unwrap().clone();
    assert!(asked.iter().any(|request| matches!(request, Request::Approve(act) if act.id == "a1b2")));
    assert!(
        asked.iter().any(|request| matches!(request, Request::Refuse(act) if act.reason == "short: not her voice"))
    );
}

#[test]
fn what_waits_for_a_second_operator_says_so() {
    let ask = |console: &mut Console| {
        console.keys("anna.smith@corp\nW");
        console.dialog('b');
        let text = "nothing is changed yet: another operator must approve a1b2 within 15 minutes";
        *console.server.broken.lock().unwrap() = Some(Failure::Refused(Error::refused("approval_needed", text)));
        console.keys("\t1\tlist was photographed\tanna.smith\t\n");
    };
    check("approval_needed", ask);
    let mut console = Console::new(COLOUR, 80, 24);
    ask(&mut console);
    assert!(!console.screen().contains("copy audit number"), "nothing to copy:\n{}", console.screen());
    console.keys("y");
    assert!(!console.commands.iter().any(|command| matches!(command, Cmd::Copy(_))), "nothing to copy");
}

#[test]
fn nobody_approves_what_they_asked_for() {
    let mut console = Console::new(COLOUR, 80, 24);
    console.server.approvals.lock().unwrap()[0].is_own = true;
    to_jobs(&mut console);
    console.keys("kao");
    assert!(console.screen().contains("asked for by you"), "{}", console.screen());
    assert!(matches!(console.model.overlay, Some(Overlay::JobActions { .. })));
}

/// Two users marked, and the menu for many open.
fn marked(theme: Theme, columns: u16, rows: u16) -> Console {
    let mut console = Console::new(theme, columns, rows);
    mark(&mut console);
    console
}

fn mark(console: &mut Console) {
    console.keys("\nW j a");
    console.model.toast = None;
}

/// The dry run is done, and the dialog listens.
fn reviewed(theme: Theme, columns: u16, rows: u16) -> Console {
    let mut console = marked(theme, columns, rows);
    console.keys("m");
    console.pass(300);
    console
}

fn stage(console: &Console) -> &Stage {
    match &console.model.overlay {
        Some(Overlay::Bulk(bulk)) => &bulk.stage,
        other => panic!("no bulk but {other:?}"),
    }
}

fn started(console: &Console) -> Vec<crate::app::jobs::StartJob> {
    let asked = console.server.asked.lock().unwrap();
    let starts = asked.iter().filter_map(|request| match request {
        Request::StartJob(start) => Some(start.clone()),
        _ => None,
    });
    starts.collect()
}

#[test]
fn many_are_reminded_after_reason_number_and_ten_seconds() {
    let mut console = reviewed(COLOUR, 80, 24);
    let asked = console.server.asked.lock().unwrap().clone();
    let draft = asked.iter().find_map(|request| match request {
        Request::DraftJob(draft) => Some(draft.clone()),
        _ => None,
    });
    let draft = draft.unwrap();
    assert_eq!(draft.kind, JobKind::RemindToEnrol);
    assert!(matches!(&draft.selection, Selection::Users(users) if users.len() == 2));
    assert!(console.screen().contains("Dry run: 1 of 2 users"), "{}", console.screen());
    console.keys("\tstaff without 2FA\t1\t\n");
    assert!(matches!(stage(&console), Stage::Countdown { .. }), "{}", console.screen());
    console.pass(3_000);
    assert!(console.screen().contains("in 7 s"), "{}", console.screen());
    assert!(started(&console).is_empty());
    seconds(&mut console, 7);
    assert!(console.model.users.marks.is_empty(), "nobody is marked twice for one thing");
    let starts = started(&console);
    assert_eq!(starts.len(), 1);
    assert_eq!(starts[0].proof.confirm.as_deref(), Some("1"));
    assert_eq!(starts[0].proof.reason, "staff without 2FA");
    assert_eq!(console.model.screen, Screen::Jobs, "its progress is shown");
    assert!(console.screen().contains("anna.smith@corp.example.com"), "{}", console.screen());
}

/// So many ticks of a second.
fn seconds(console: &mut Console, count: usize) {
    (0..count).for_each(|_| console.pass(1_000));
}

#[test]
fn only_a_countdown_that_was_seen_all_the_time_begins_anything() {
    type Stop = fn(&mut Console);
    let suspend = |console: &mut Console| {
        console.send(Msg::Key(KeyEvent::new(KeyCode::Char('z'), KeyModifiers::CONTROL)));
    };
    let lose = |console: &mut Console| {
        console.lose_server();
        *console.server.broken.lock().unwrap() = None;
    };
    let shrink = |console: &mut Console| {
        console.send(Msg::Resize(20, 5));
        console.send(Msg::Resize(80, 24));
    };
    let set_back = |console: &mut Console| console.pass(-3_000);
    let jump = |console: &mut Console| console.pass(60_000);
    let stops: [(&str, Stop); 5] = [
        ("out of sight", suspend),
        ("no server", lose),
        ("out of sight", shrink),
        ("the clock was set back", set_back),
        ("nothing was shown for a while", jump),
    ];
    for (why, stop) in stops {
        let mut console = reviewed(COLOUR, 80, 24);
        console.keys("\tstaff without 2FA\t1\t\n");
        seconds(&mut console, 4);
        stop(&mut console);
        assert!(matches!(stage(&console), Stage::Review { .. }), "{why}\n{}", console.screen());
        assert!(console.screen().contains(why), "{why}\n{}", console.screen());
        seconds(&mut console, 20);
        assert!(started(&console).is_empty(), "{why}");
        // What was typed is still there, and the whole countdown begins again.
        console.keys("\t\t\t\n");
        seconds(&mut console, 9);
        assert!(started(&console).is_empty(), "{why}");
        seconds(&mut console, 2);
        assert_eq!(started(&console).len(), 1, "{why}\n{}", console.screen());
    }
}

#[test]
fn a_menu_closes_when_its_approval_is_gone_and_the_cursor_goes_nowhere() {
    let mut console = at_jobs(COLOUR, 80, 24);
    console.keys("ka");
    assert!(console.screen().contains("refuse..."), "{}", console.screen());
    console.server.approvals.lock().unwrap().clear();
    console.pass(1_100);
    assert!(console.model.overlay.is_none(), "{}", console.screen());
    assert!(console.screen().contains("no longer there"), "{}", console.screen());
    assert_eq!(console.model.jobs.chosen_index(), None);
    console.keys("ax");
    assert!(console.model.overlay.is_none(), "nothing is chosen in its place");
    console.keys("ja");
    assert!(console.screen().contains("pause..."), "{}", console.screen());
}

#[test]
fn a_job_menu_stays_with_its_job_when_approvals_arrive() {
    let mut console = at_jobs(COLOUR, 80, 24);
    console.keys("a");
    let mut more = console.server.approvals.lock().unwrap().clone();
    more[0].id = "c3d4".to_owned();
    console.server.approvals.lock().unwrap().extend(more);
    console.pass(1_100);
    console.keys("p");
    console.pass(300);
    assert!(console.screen().contains("stop between two users"), "{}", console.screen());
}

#[test]
fn a_job_that_was_left_does_not_open_late() {
    let mut console = at_jobs(COLOUR, 80, 24);
    console.hold = true;
    console.keys("\n");
    console.key(KeyCode::Esc);
    console.keys("4");
    console.release();
    assert!(console.model.jobs.open.is_none(), "{}", console.screen());
}

#[test]
fn a_reset_of_many_asks_how_the_callers_were_checked() {
    let mut console = marked(COLOUR, 80, 24);
    console.keys("r");
    console.pass(300);
    console.keys("\t\tphones of one batch\t1\t\n");
    assert!(console.screen().contains("say how the callers were checked"), "{}", console.screen());
    seconds(&mut console, 20);
    assert!(started(&console).is_empty());

    let mut console = marked(COLOUR, 80, 24);
    console.keys("r");
    console.pass(300);
    console.keys("\tmanager\tphones of one batch\t1\t\n");
    seconds(&mut console, 10);
    assert_eq!(started(&console)[0].proof.verified_by.as_deref(), Some("manager"));
}

#[test]
fn esc_stops_the_countdown() {
    let mut console = reviewed(COLOUR, 80, 24);
    console.keys("\tstaff without 2FA\t1\t\n");
    seconds(&mut console, 9);
    console.key(KeyCode::Esc);
    assert!(console.screen().contains("stopped: nothing was changed"));
    seconds(&mut console, 20);
    assert!(started(&console).is_empty() && console.model.overlay.is_none());
}

#[test]
fn nothing_begins_while_something_is_missing() {
    for (typed, missing) in [
        ("\tshort\t1\t\n", "the reason needs eight letters or more"),
        ("\tstaff without 2FA\t2\t\n", "type the number of users, 1"),
    ] {
        let mut console = reviewed(COLOUR, 80, 24);
        console.keys(typed);
        assert!(console.screen().contains(missing), "{}", console.screen());
        seconds(&mut console, 20);
        assert!(started(&console).is_empty());
    }
}

#[test]
fn writes_that_end_meanwhile_stop_it() {
    let mut console = reviewed(COLOUR, 80, 24);
    console.keys("\tstaff without 2FA\t1\t\n");
    console.model.writes = crate::console::model::Writes::Off;
    seconds(&mut console, 10);
    assert!(started(&console).is_empty());
    assert!(console.screen().contains("writes are off"));
}

#[test]
fn a_day_is_asked_for_where_one_is_needed() {
    let mut console = marked(COLOUR, 80, 24);
    console.keys("dsoon\n");
    assert!(console.screen().contains("a day as in 2026-12-01"));
    for _ in 0..4 {
        console.key(KeyCode::Backspace);
    }
    console.keys("2026-12-01\n");
    assert!(matches!(stage(&console), Stage::Review { .. }));
}

#[test]
fn without_writes_only_the_export_is_possible() {
    let mut console = Console::new(COLOUR, 80, 24);
    console.keys("\n am");
    assert!(console.screen().contains("writes are off: W"));
    assert!(matches!(stage(&console), Stage::Menu { .. }));
    console.keys("xusers.jsonl\n");
    assert!(console.screen().contains("520 lines written to users.jsonl"), "{}", console.screen());
}

#[test]
fn no_single_key_begins_or_steers_anything() {
    for letter in "mder".chars() {
        for key in ('a'..='z').chain("0123456789 \n".chars()) {
            let mut console = marked(COLOUR, 80, 24);
            console.keys(&letter.to_string());
            console.pass(300);
            console.keys(&key.to_string());
            seconds(&mut console, 20);
            assert!(started(&console).is_empty(), "{letter} {key:?}");
        }
    }
    for letter in "prx".chars() {
        for key in ('a'..='z').chain("0123456789 \n".chars()) {
            let mut console = at_jobs(COLOUR, 80, 24);
            console.keys(&format!("a{letter}"));
            console.pass(300);
            console.keys(&key.to_string());
            let asked = console.server.asked.lock().unwrap();
            assert!(!asked.iter().any(|request| matches!(request, Request::SteerJob(_))), "{letter} {key:?}");
        }
    }
}

#[test]
fn a_job_is_paused_after_a_question() {
    let mut console = at_jobs(COLOUR, 80, 24);
    console.keys("ap");
    console.pass(300);
    assert!(console.screen().contains("stop between two users"));
    console.keys("\ty");
    let asked = console.server.asked.lock().unwrap().clone();
    assert!(
        asked.iter().any(
            |request| matches!(request, Request::SteerJob(steer) if steer.act == JobAct::Pause && steer.id == "8")
        )
    );
    assert!(console.screen().contains("remind to enrol: paused"), "{}", console.screen());
}

#[test]
fn a_lost_answer_names_what_was_asked() {
    let mut console = at_jobs(COLOUR, 140, 40);
    console.keys("ap");
    console.pass(300);
    *console.server.broken.lock().unwrap() = Some(Failure::Lost);
    console.keys("\ty");
    let said = "Not known yet whether this was done: Pause the job, remind to enrol.";
    assert!(console.screen().contains(said), "{}", console.screen());
}

#[test]
fn what_cannot_be_done_says_why() {
    let mut console = at_jobs(COLOUR, 80, 24);
    console.keys("ar");
    assert!(console.screen().contains("(it is running already)"), "{}", console.screen());
    assert!(matches!(console.model.overlay, Some(Overlay::JobActions { .. })));
    console.key(KeyCode::Esc);
    console.keys("jap");
    assert!(console.screen().contains("(it is over)"), "{}", console.screen());
}

#[test]
fn a_job_is_looked_into_and_left() {
    let mut console = at_jobs(COLOUR, 80, 24);
    console.keys("\n");
    let screen = console.screen();
    for text in ["93 done, 6 skipped, 1 failed of 214", "audit #48,300", "reminded today", "tom\\u{1b}"] {
        assert!(screen.contains(text), "{text}\n{screen}");
    }
    console.keys("G");
    let screen = console.screen();
    assert!(screen.contains("◌ waiting   user214@edu.example.com"), "{screen}");
    console.key(KeyCode::Esc);
    assert!(console.model.jobs.open.is_none() && console.model.screen == Screen::Jobs);
    console.key(KeyCode::Esc);
    assert_ne!(console.model.screen, Screen::Jobs);
}

#[test]
fn screens() {
    check("jobs", |console| {
        to_jobs(console);
        console.keys("j");
    });
    check("jobs_question", |console| {
        to_jobs(console);
        console.keys("ap");
        console.pass(300);
    });
    check("jobs_paused", |console| {
        to_jobs(console);
        console.model.jobs.rows.as_mut().unwrap()[0].state = JobState::Paused;
    });
    check("jobs_one", |console| {
        to_jobs(console);
        console.keys("\n");
    });
    check("jobs_empty", |console| {
        console.server.approvals.lock().unwrap().clear();
        to_jobs(console);
        console.model.jobs.rows = Some(Vec::new());
    });
    check("jobs_loading", |console| {
        console.hold = true;
        console.keys("\n4");
    });
    check("jobs_error", |console| {
        *console.server.broken.lock().unwrap() = Some(Failure::Refused(Error::internal("the disk is full")));
        console.keys("\n4");
    });
    check("jobs_lost", |console| {
        to_jobs(console);
        console.lose_server();
    });
    check("job_approved", |console| {
        to_jobs(console);
        console.keys("kao");
        console.pass(300);
        console.keys("\ty");
    });
}

#[test]
fn screens_of_many() {
    check("bulk_menu", mark);
    check("bulk_review", |console| {
        mark(console);
        console.keys("m");
        console.pass(300);
        console.keys("\tstaff without 2FA\t1");
    });
    check("bulk_countdown", |console| {
        mark(console);
        console.keys("m");
        console.pass(300);
        console.keys("\tstaff without 2FA\t1\t\n");
    });
}

#[test]
fn a_refusal_is_seen_beside_what_was_read_before() {
    for screen in ["1", "4", "4\n"] {
        let mut console = Console::new(COLOUR, 80, 24);
        console.keys(&format!("\n{screen}"));
        let refused = Failure::Refused(Error::refused("busy", "the server is too busy"));
        *console.server.broken.lock().unwrap() = Some(refused);
        console.send(Msg::Key(KeyEvent::new(KeyCode::Char('r'), KeyModifiers::CONTROL)));
        console.model.failure = None;
        assert!(console.screen().contains("the server is too busy"), "{screen:?}\n{}", console.screen());
        *console.server.broken.lock().unwrap() = None;
        console.send(Msg::Key(KeyEvent::new(KeyCode::Char('r'), KeyModifiers::CONTROL)));
        assert!(!console.screen().contains("the server is too busy"), "{screen:?}\n{}", console.screen());
    }
}

/// What was asked of jobs' results: from where on, and how many.
fn results_asked(console: &Console) -> Vec<(u64, usize)> {
    let asked = console.server.asked.lock().unwrap();
    let reads = asked.iter().filter_map(|request| match request {
        Request::Job(read) => Some((read.after.unwrap_or(0), read.limit)),
        _ => None,
    });
    reads.collect()
}

#[test]
fn results_are_read_as_far_as_they_are_looked_at() {
    let mut console = at_jobs(COLOUR, 80, 24);
    console.server.jobs.lock().unwrap()[0].users = 1_000_000;
    console.keys("\n");
    assert_eq!(results_asked(&console), [(0, 200)]);
    (0..149).for_each(|_| console.keys("j"));
    assert_eq!(results_asked(&console).len(), 1);
    console.keys("jj");
    assert_eq!(results_asked(&console)[1..], [(51, 200)]);
    console.keys("G");
    assert!(console.screen().contains("user1000000@edu.example.com"), "{}", console.screen());
    console.keys("k");
    assert!(console.screen().contains("user999999@edu.example.com"), "{}", console.screen());
    console.keys("g");
    assert!(console.screen().contains("anna.smith@corp.example.com"), "{}", console.screen());
    assert_eq!(results_asked(&console)[2..], [(999_899, 200), (0, 200)]);
}

#[test]
fn who_moves_on_while_results_are_read_sees_those_that_are_looked_at() {
    let mut console = at_jobs(COLOUR, 80, 24);
    console.server.jobs.lock().unwrap()[0].users = 1_000_000;
    console.keys("\n");
    console.hold = true;
    console.keys("Gg");
    console.release();
    assert!(console.screen().contains("anna.smith@corp.example.com"), "{}", console.screen());
    assert_eq!(results_asked(&console)[1..], [(999_899, 200), (0, 200)]);
}

#[test]
fn a_page_without_results_is_not_asked_for_again() {
    let mut console = at_jobs(COLOUR, 80, 24);
    console.server.jobs.lock().unwrap()[0].users = 1_000_000;
    console.keys("\n");
    console.hold = true;
    console.keys("G");
    let awaited = console.model.awaited.iter().find(|awaited| awaited.slot == Slot::Job).cloned();
    let row = console.model.jobs.open.as_ref().unwrap().row.clone();
    let answer = Ok(Reply::Job(Box::new(JobDetail { row, results: Vec::new(), next: None })));
    console.send(Msg::Answer { slot: Slot::Job, serial: awaited.unwrap().serial, answer });
    assert!(!console.model.is_awaiting(Slot::Job), "{:?}", console.model.awaited);
}

#[test]
fn a_running_job_is_read_again_where_something_is_new() {
    let mut console = at_jobs(COLOUR, 80, 24);
    console.keys("\n");
    seconds(&mut console, 3);
    assert_eq!(results_asked(&console), [(0, 200)], "nothing is new");
    console.server.jobs.lock().unwrap()[0].done += 5;
    seconds(&mut console, 3);
    assert_eq!(results_asked(&console), [(0, 200), (100, 5)]);
    assert!(console.screen().contains("98 done"), "{}", console.screen());
    let open = console.model.jobs.open.as_ref().unwrap();
    assert_eq!(open.results.iter().filter(|result| result.outcome == JobOutcome::Waiting).count(), 95);
    let numbers: Vec<u64> = open.results.iter().map(|result| result.number).collect();
    assert_eq!(numbers, (1..=200).collect::<Vec<u64>>());
    console.server.jobs.lock().unwrap()[0].done += 500;
    seconds(&mut console, 1);
    assert_eq!(results_asked(&console)[2..], [(105, 95)], "no further than what is held");
    seconds(&mut console, 3);
    assert_eq!(results_asked(&console).len(), 3);
}

#[test]
fn whoever_approves_what_changes_a_credential_sees_the_result() {
    for (act, expected) in [
        (Act::ResetTwoFactor, true),
        (Act::RevokeBackupCodes, true),
        (Act::DemandReEnrolment, true),
        (Act::RevokeSessions, true),
        (Act::RevokeAllApiKeys, true),
        (Act::SendTwoFactorResetLink, false),
        (Act::SetUserActive, false),
    ] {
        let mut console = at_jobs(COLOUR, 80, 24);
        console.server.approvals.lock().unwrap()[0].operation = act;
        console.send(Msg::Key(KeyEvent::new(KeyCode::Char('r'), KeyModifiers::CONTROL)));
        console.keys("kao");
        console.pass(300);
        console.keys("\ty");
        let is_shown = matches!(console.model.overlay, Some(Overlay::Panel(Panel::Done { .. })));
        assert_eq!(is_shown, expected, "{act:?}");
    }
}
