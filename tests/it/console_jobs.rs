//! What is done to many users at once, and the figures of Home, in a real terminal.

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
