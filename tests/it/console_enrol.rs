//! Enrolment in person and looking into a code, in a real terminal: the QR code is read from the terminal's cells, as a
//! phone would read it.

use serde_json::{Value, json};

use super::harness::{Authenticator, Person, Server};
use super::pty::Pty;

/// What a reader sees on the screen: each cell is two squares, one above the other.
fn scanned(console: &Pty) -> Option<String> {
    const SCALE: usize = 4;
    let screen = console.screen.screen();
    let (rows, columns) = screen.size();
    let luma = |colour: vt100::Color| match colour {
        vt100::Color::Idx(15) => 255,
        vt100::Color::Idx(0) => 0,
        _ => 128,
    };
    let (width, height) = (usize::from(columns.get()) * SCALE, usize::from(rows.get()) * 2 * SCALE);
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| {
        let (column, row) = (x / SCALE, y / SCALE);
        let cell = screen.cell(u16::try_from(row / 2).unwrap(), u16::try_from(column).unwrap()).unwrap();
        let is_upper = row.is_multiple_of(2);
        luma(if cell.contents() == "▀" && is_upper { cell.fgcolor() } else { cell.bgcolor() })
    });
    let grid = image.detect_grids().into_iter().next()?;
    grid.decode().ok().map(|(_, text)| text)
}

/// The key in base32 and the authenticator that took it from the screen, once the frame is whole.
fn phone(console: &mut Pty) -> (String, Authenticator) {
    console.hear_until("a code that can be scanned", |console| scanned(console).is_some());
    let uri = scanned(console).unwrap();
    assert!(uri.starts_with("otpauth://totp/"), "{uri}");
    let secret = uri.split("secret=").nth(1).and_then(|rest| rest.split('&').next()).unwrap();
    (secret.to_owned(), Authenticator::new(secret))
}

/// The newest entry of this event about the user.
fn entry(server: &Server, person: &Person, event: &str) -> Value {
    let audit = server.cli(&["audit", "list", "--user", &person.email, "--event", event, "--json"]).is(0).json();
    audit["rows"][0].clone()
}

#[test]
fn a_phone_scans_the_screen_and_its_code_puts_the_device_in_force() {
    let server = Server::start();
    let person = server.user("anna.smith@corp.example.com");
    let mut console = Pty::ready(&server.data_dir(), &["anna", "--write"]);
    console.shows("anna.smith").keys("ap").shows("Enrol in person").keys("\tnew phone, in person\ty");
    console.shows("hidden in");
    let (key, mut device) = phone(&mut console);
    // As text it comes in groups of four, between which the cursor may be moved.
    let is_told = |console: &Pty| {
        let groups = key.as_bytes().chunks(4).map(|group| std::str::from_utf8(group).unwrap());
        groups.filter(|group| console.raw.contains(group)).count() > 1
    };
    assert!(!is_told(&console), "the key was text unasked:\n{}", console.raw);
    console.keys("t").shows("show the QR code");
    assert!(is_told(&console), "the key was not text:\n{}", console.raw);
    console.keys("t").shows("no camera?");
    let wrong = device.wrong_code(&server);
    console.keys(&wrong).keys("\r").shows("try the next one").shows("9 tries left");
    let code = device.code(&server);
    console.keys(&code).keys("\r").shows("the new device is in force");
    console.keys("\r").quits_with(0);

    let status = server.cli(&["2fa", "status", &person.email, "--json"]).json();
    assert_eq!(status["factor"]["state"], json!("on"), "{status}");
    let started = entry(&server, &person, "two_factor.setup_started");
    assert_eq!(started["reason"], "new phone, in person", "that a key was shown is on record: {started}");
    let enabled = entry(&server, &person, "two_factor.enabled");
    assert_eq!(enabled["reason"], "new phone, in person", "{enabled}");
    assert_eq!(enabled["actor"]["name"], "jdoe");
    assert_eq!(key.len(), 32);
}

#[test]
fn the_code_is_black_on_white_without_colours_too() {
    let server = Server::start();
    server.user("anna.smith@corp.example.com");
    let arguments = ["anna", "--write", "--operator", "jdoe"];
    let mut console = Pty::open_with(&server.data_dir(), &arguments, &[("NO_COLOR", "1")], (24, 80));
    console.settle();
    console.shows("anna.smith").keys("ap").shows("Enrol in person").keys("\tnew phone, in person\ty");
    console.shows("hidden in");
    phone(&mut console);
    console.key("\x1b").shows("no device was enrolled");
    assert_eq!(scanned(&console), None);
    console.quits_with(0);
    assert_eq!(scanned(&console), None, "nothing of it is left behind");
}

#[test]
fn a_code_is_explained_without_being_used_up() {
    let server = Server::start();
    let (person, client) = server.logged_in("tom.ng@edu.example.com");
    let mut device = client.enrol(&server);
    server.go_to_the_middle_of_a_step();
    server.advance(60);
    let code = device.code(&server);
    let mut console = Pty::ready(&server.data_dir(), &["tom.ng"]);
    console.shows("tom.ng").keys("ax").shows("Code from the phone").keys(&code).keys("\r");
    console.shows("would be accepted now").shows("server time");
    let phone = server.client();
    phone.login(&person).wants_second_factor();
    phone.post("/api/login/token", json!({"token": code})).is_body(200, r#"{"success":true}"#);
    let code = device.code(&server);
    server.advance(90);
    console.keys(&code).keys("\r").shows("not accepted").shows("phone clock about");
    console.key("\x1b").quits_with(0);
}
