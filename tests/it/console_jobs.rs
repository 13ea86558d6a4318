//! What is done to many users at once, and the figures of Home, in a real terminal.

use serde_json::json;

use super::harness::Server;
use super::pty::Pty;

#[test]
fn all_staff_without_a_device_are_reminded() {
    let server = Server::with_mail();
    server.staff("ada@example.com");
    server.staff("bob@example.com");
    server.user("eve@example.com");
    let mut console = Pty::ready(&server.data_dir(), &["role:staff 2fa:off", "--write"]);
    console.shows("bob@example.com").keys("*a").shows("remind by mail");
    console.keys("m").shows("Dry run: 2 of 2 users");
    console.keys("\tstaff without 2FA\t2\t\r");
    // Each number that is seen makes two seconds more pass, until there is none.
    let mut left = 11;
    while left > 2 {
        console.hear_until("the next number", |console| seconds_left(console).is_none_or(|seen| seen < left));
        left = seconds_left(&console).unwrap_or(0);
        server.advance(2);
    }
    console.shows("2 done, 0 skipped, 0 failed of 2");
    console.key("\x1b").shows("remind to enrol").quits_with(0);

    let audit = server.cli(&["audit", "list", "--by", "jdoe", "--json"]).is(0).json();
    let rows = audit["rows"].as_array().unwrap();
    assert!(rows.iter().any(|row| row["reason"] == "staff without 2FA"), "{audit}");
    for email in ["ada@example.com", "bob@example.com"] {
        server.wait_for_mail(email, "Set up two-factor authentication");
    }
}

/// What a countdown on the screen is at.
fn seconds_left(console: &Pty) -> Option<u32> {
    let screen = console.screen.screen().contents();
    let (_, rest) = screen.split_once("Remind by mail in ")?;
    rest.split_once(" s")?.0.parse().ok()
}

#[test]
fn esc_stops_it_while_it_counts_down() {
    let server = Server::with_mail();
    server.staff("ada@example.com");
    let mut console = Pty::ready(&server.data_dir(), &["ada", "--write"]);
    console.shows("ada@example.com").keys(" am").shows("Dry run: 1 of 1 user");
    console.keys("\tstaff without 2FA\t1\t\r").shows("stops it, nothing changes");
    console.key("\x1b").shows("stopped: nothing was changed");
    server.advance(60);
    console.keys("4").shows("No jobs.").quits_with(0);
}

#[test]
fn home_leads_to_those_who_need_attention() {
    let server = Server::start();
    server.staff("ada@example.com");
    server.user("eve@example.com");
    let mut console = Pty::ready(&server.data_dir(), &["--home"]);
    console.shows("2FA ADOPTION").shows("staff without 2FA");
    console.keys("jj\r").shows("ada@example.com").shows("1 of 2").quits_with(0);
}

/// A job that is under way, seen and steered from the Jobs screen.
#[test]
fn a_job_is_paused_resumed_and_stopped_from_its_screen() {
    let server = Server::builder().mail_file().setting("admin.job_mails_per_second", "1").start();
    for number in 0..60 {
        server.user(&format!("user{number:02}@example.com"));
    }
    let draft = server.cli(&["job", "draft", "--json", "--query", "2fa:off", "--kind", "remind"]).is(0).json();
    let id = draft["id"].as_str().unwrap();
    server.cli(&["job", "start", id, "--reason", "second factor for all", "--yes"]).is(0);
    let mut console = Pty::ready(&server.data_dir(), &["--write"]);
    console.keys("\r4").shows("running").shows("remind to enrol");
    for (key, question, state) in [("p", "Pause the job", "paused"), ("r", "Resume the job", "running")] {
        console.keys("a").keys(key).shows(question).keys("\ty").shows(&format!("remind to enrol: {state}"));
    }
    console.keys("ax").shows("Stop the job").keys("\ty").shows("remind to enrol: stopped").quits_with(0);

    let audit = server.cli(&["audit", "list", "--event", "job.", "--json"]).is(0).json();
    let told: Vec<_> = audit["rows"].as_array().unwrap().iter().rev().map(|row| row["event"].clone()).collect();
    assert_eq!(told, ["job.started", "job.paused", "job.resumed", "job.stopped"]);
    assert_eq!(audit["rows"][0]["actor"]["name"], "jdoe");
}

/// One operator asks in one console, another approves in theirs.
#[test]
fn two_operators_reset_one_of_staff_in_two_consoles() {
    let server = Server::builder().setting("admin.second_operator", "true").mail_file().start();
    let client = server.login(&server.staff("grace@example.com"));
    client.enrol(&server);
    let mut asking = Pty::ready(&server.data_dir(), &["grace", "--write"]);
    asking.shows("grace@example.com").keys("\rar").shows("This will, at once and for good");
    asking.keys("\t2\tlost phone, ticket HD-4711\t\t\tgrace\t\r");
    asking.shows("another operator must approve");
    let waiting = server.cli(&["2fa", "status", "grace@example.com", "--json"]).json();
    assert_eq!(waiting["factor"]["state"], "on", "nothing is changed yet");

    let mut approving = Pty::open(&server.data_dir(), &["--write", "--operator", "mrossi"]);
    approving.settle();
    approving.keys("\r4").shows("WAITING FOR A SECOND OPERATOR").shows("grace@example.com");
    approving.keys("ao").shows("as jdoe").keys("\ty").shows("the second factor is reset").key("\x1b").quits_with(0);
    asking.key("\x1b").quits_with(0);

    let status = server.cli(&["2fa", "status", "grace@example.com", "--json"]).json();
    assert_eq!(status["factor"]["state"], "enrol", "{status}");
    let audit = server.cli(&["audit", "list", "--user", "grace@example.com", "--json"]).json();
    let rows = audit["rows"].as_array().unwrap();
    let entry = rows.iter().find(|row| row["event"] == "two_factor.reset").unwrap();
    assert_eq!((&entry["actor"]["name"], &entry["reason"]), (&json!("mrossi"), &json!("lost phone, ticket HD-4711")));
}
