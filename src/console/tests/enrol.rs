//! Enrolment in person: the code is read back from the drawn cells; and looking into a code.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::buffer::Buffer;
use ratatui::style::Color;

use super::fixture::{ASCII, COLOUR, Console, KEY, MONO, RIGHT_CODE, enrolment};
use super::screens::check;
use crate::console::link::{Failure, Request};
use crate::console::model::{Overlay, Panel, Slot};
use crate::console::theme::Theme;
use crate::console::update::{Cmd, Msg};

/// At somebody without a device, with writes on.
fn at_edu(theme: Theme, columns: u16, rows: u16) -> Console {
    let mut console = Console::new(theme, columns, rows);
    console.keys("anna.smith@edu\nW");
    console.model.toast = None;
    console
}

/// The same, with the key on the screen.
fn enrolling(theme: Theme, columns: u16, rows: u16) -> Console {
    let mut console = at_edu(theme, columns, rows);
    console.dialog('p');
    console.keys("\tnew phone, in person\ty");
    assert!(matches!(console.model.overlay, Some(Overlay::Enrol(_))), "{}", console.screen());
    console
}

/// What a phone reads from the screen: the cells as a picture, each cell two squares or half of one.
fn scanned(buffer: &Buffer) -> Option<String> {
    const SCALE: usize = 4;
    let luma = |colour: Color| match colour {
        Color::White => 255,
        Color::Black => 0,
        _ => 128,
    };
    let area = buffer.area;
    let (columns, rows) = (usize::from(area.width), usize::from(area.height));
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(columns * SCALE, rows * 2 * SCALE, |x, y| {
        let (column, row) = (x / SCALE, y / SCALE);
        let cell = &buffer[(u16::try_from(column).unwrap(), u16::try_from(row / 2).unwrap())];
        luma(if cell.symbol() == "▀" && row % 2 == 0 { cell.fg } else { cell.bg })
    });
    let grid = image.detect_grids().into_iter().next()?;
    grid.decode().ok().map(|(_, text)| text)
}

#[test]
fn a_phone_reads_the_drawn_cells() {
    for theme in [COLOUR, MONO] {
        for (columns, rows) in [(80, 24), (140, 40), (60, 21), (60, 23), (80, 21)] {
            let console = enrolling(theme, columns, rows);
            let read = scanned(&console.buffer());
            assert_eq!(read.as_deref(), Some(enrolment().uri.expose()), "{columns}x{rows}\n{}", console.screen());
        }
    }
}

#[test]
fn help_does_not_lie_over_a_key_that_is_about_to_be_shown() {
    let mut console = at_edu(COLOUR, 80, 24);
    console.dialog('p');
    console.keys("\tnew phone, in person\t");
    console.hold = true;
    console.keys("y?");
    console.release();
    assert!(console.model.help.is_none(), "{}", console.screen());
    console.keys("12");
    assert!(console.screen().contains("1 2 _ _"), "the digits are seen:\n{}", console.screen());
}

#[test]
fn the_full_quiet_zone_is_45_by_23_cells() {
    let buffer = enrolling(COLOUR, 80, 24).buffer();
    let is_drawn = |x: u16, y: u16| matches!(buffer[(x, y)].bg, Color::White | Color::Black);
    assert!((0..45).all(|x| (0..23).all(|y| is_drawn(x, y))));
    assert!(!is_drawn(45, 0) && !is_drawn(0, 23));
    assert!((0..45).all(|x| buffer[(x, 0)].bg == Color::White && buffer[(x, 1)].fg == Color::White));
}

#[test]
fn i_swaps_dark_and_light() {
    let mut console = enrolling(COLOUR, 80, 24);
    let corner = |console: &Console| console.buffer()[(0, 0)].bg;
    assert_eq!(corner(&console), Color::White);
    console.keys("i");
    assert_eq!(corner(&console), Color::Black);
}

#[test]
fn without_room_or_half_blocks_the_key_is_text() {
    for (theme, columns, rows) in [(COLOUR, 60, 16), (COLOUR, 80, 20), (ASCII, 80, 24)] {
        let console = enrolling(theme, columns, rows);
        assert_eq!(scanned(&console.buffer()), None);
        let screen = console.screen();
        let words: Vec<&str> = screen.split_whitespace().collect();
        let groups: Vec<&str> = KEY.as_bytes().chunks(4).map(|group| std::str::from_utf8(group).unwrap()).collect();
        assert!(words.windows(groups.len()).any(|window| window == groups), "{screen}");
        assert!(screen.contains("no room for the QR code here"), "{screen}");
    }
    let console = enrolling(ASCII, 140, 50);
    assert!(scanned_wide(&console.buffer()), "two cells to a square where there is room");
}

/// Whether a code of two cells to a square is there.
fn scanned_wide(buffer: &Buffer) -> bool {
    let (columns, rows) = (usize::from(buffer.area.width) / 2, usize::from(buffer.area.height));
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(columns * 4, rows * 4, |x, y| {
        let cell = &buffer[(u16::try_from(x / 4 * 2).unwrap(), u16::try_from(y / 4).unwrap())];
        if cell.bg == Color::Black { 0 } else { 255 }
    });
    image.detect_grids().iter().any(|grid| grid.decode().is_ok_and(|(_, text)| text == enrolment().uri.expose()))
}

#[test]
fn t_shows_the_key_as_text_and_the_code_again() {
    let mut console = enrolling(COLOUR, 80, 24);
    assert!(!console.screen().contains("GEZD"));
    console.keys("t");
    assert!(console.screen().contains("GEZD GNBV"));
    assert_eq!(scanned(&console.buffer()), None);
    console.keys("t");
    assert!(scanned(&console.buffer()).is_some());
}

#[test]
fn six_right_digits_put_the_device_in_force() {
    let mut console = enrolling(COLOUR, 80, 24);
    console.keys("123456\n");
    assert!(console.screen().contains("9 tries left") && console.screen().contains("not the code"));
    console.keys("12");
    console.key(KeyCode::Backspace);
    console.key(KeyCode::Backspace);
    console.keys(RIGHT_CODE);
    assert!(console.screen().contains("4 8 2 9 1 3"));
    console.keys("\n");
    let asked = console.server.asked.lock().unwrap().clone();
    let Some(Request::ConfirmEnrolment(confirm)) =
        asked.iter().rev().find(|request| matches!(request, Request::ConfirmEnrolment(_)))
    else {
        panic!("{asked:?}")
    };
    assert_eq!(confirm.proof.reason, "new phone, in person");
    assert!(matches!(console.model.overlay, Some(Overlay::Panel(Panel::Done { .. }))));
    assert!(console.screen().contains("the new device is in force"));
}

#[test]
fn nothing_is_sent_before_all_digits_are_there() {
    let mut console = enrolling(COLOUR, 80, 24);
    console.keys("48291\n");
    let asked = console.server.asked.lock().unwrap().clone();
    assert!(!asked.iter().any(|request| matches!(request, Request::ConfirmEnrolment(_))));
    assert!(console.screen().contains("type all six digits first"));
}

/// Whether the key can still be seen.
fn is_shown(console: &mut Console) -> bool {
    let drawn = scanned(&console.buffer()).is_some();
    let Some(Overlay::Enrol(enrol)) = &console.model.overlay else { return false };
    drawn || enrol.key.is_some()
}

#[test]
fn the_key_goes_away_by_itself() {
    let mut console = enrolling(COLOUR, 80, 24);
    assert!(console.screen().contains("hidden in 60 s"));
    console.pass(2_000);
    assert!(console.screen().contains("hidden in 58 s"));
    console.pass(58_000);
    assert!(!is_shown(&mut console));
    assert!(console.screen().contains("hidden for good"));
    console.keys(RIGHT_CODE);
    console.keys("\n");
    assert!(console.screen().contains("the new device is in force"), "the phone had it already");
}

#[test]
fn the_key_goes_away_on_esc_suspend_and_a_small_terminal() {
    let mut console = enrolling(COLOUR, 80, 24);
    console.key(KeyCode::Esc);
    assert!(console.model.overlay.is_none());

    let mut console = enrolling(COLOUR, 80, 24);
    console.send(Msg::Key(KeyEvent::new(KeyCode::Char('z'), KeyModifiers::CONTROL)));
    assert!(matches!(console.commands.last(), Some(Cmd::Suspend)));
    assert!(!is_shown(&mut console));

    let mut console = enrolling(COLOUR, 80, 24);
    console.send(Msg::Resize(48, 12));
    console.send(Msg::Resize(80, 24));
    assert!(!is_shown(&mut console));

    let mut console = enrolling(COLOUR, 80, 24);
    console.now = console.now.plus_seconds(-3_600);
    console.pass(0);
    assert!(!is_shown(&mut console), "a clock that is set back does not show it longer");
}

#[test]
fn the_key_never_reaches_the_clipboard_and_prints_nowhere() {
    let mut console = enrolling(COLOUR, 80, 24);
    console.keys("yYc");
    assert!(!console.commands.iter().any(|command| matches!(command, Cmd::Copy(_))));
    let text = format!("{:?}", console.model);
    assert!(!text.contains(KEY) && !text.contains("GEZD"), "{text}");
}

#[test]
fn after_a_reset_the_panel_offers_it() {
    let mut console = Console::new(COLOUR, 80, 24).at_anna();
    console.dialog('r');
    console.keys("\t2\tlost phone, ticket HD-4711\t\t\tanna.smith\t\n");
    assert!(console.screen().contains("p enrol in person (QR)"), "{}", console.screen());
    let detail = console.model.detail.as_mut().unwrap();
    detail.factor.state = crate::domain::user::FactorState::Enrol;
    console.keys("p");
    let Some(Overlay::Dialog(dialog)) = &console.model.overlay else { panic!("{}", console.screen()) };
    assert_eq!(dialog.deed, crate::console::dialog::Deed::Enrol);
    assert_eq!(dialog.reason.value(), "", "never filled in");
}

#[test]
fn whoever_has_a_device_is_not_enrolled() {
    let mut console = Console::new(COLOUR, 80, 24).at_anna();
    console.keys("ap");
    assert!(console.screen().contains("has a device: reset first"));
}

#[test]
fn enrolment_screens() {
    // Not among the others: a QR code is black on white in every theme.
    for (columns, rows) in [(60, 16), (80, 24), (140, 40)] {
        let [colour, mono, ascii] = [COLOUR, MONO, ASCII].map(|theme| {
            let mut console = enrolling(theme, columns, rows);
            console.keys("482");
            console.screen()
        });
        insta::assert_snapshot!(format!("enrol_{columns}x{rows}"), colour);
        insta::assert_snapshot!(format!("enrol_ascii_{columns}x{rows}"), ascii);
        assert_eq!(colour, mono);
    }
    let mut console = at_edu(COLOUR, 80, 24);
    console.dialog('p');
    insta::assert_snapshot!("enrol_dialog_80x24", console.screen());
    let mut console = enrolling(COLOUR, 80, 24);
    console.keys("123456\n");
    insta::assert_snapshot!("enrol_wrong_80x24", console.screen());
    console.pass(60_000);
    insta::assert_snapshot!("enrol_hidden_80x24", console.screen());
}

// ----------------------------------------------------------------------------------------------------------- explain

#[test]
fn a_code_is_looked_into_without_writes() {
    let mut console = Console::new(COLOUR, 80, 24);
    console.keys("anna.smith@corp\nax");
    console.keys("111222\n");
    let screen = console.screen();
    for text in ["not accepted", "phone clock about 90 s slow", "server time 2026-11-23 09:02:11 UTC"] {
        assert!(screen.contains(text), "{text}\n{screen}");
    }
    console.keys(RIGHT_CODE);
    console.keys("\n");
    assert!(console.screen().contains("would be accepted now"));
    console.key(KeyCode::Esc);
    assert!(console.model.overlay.is_none());
}

#[test]
fn a_code_that_cannot_be_looked_into_says_so() {
    let mut console = Console::new(COLOUR, 80, 24);
    console.keys("anna.smith@corp\nax");
    *console.server.broken.lock().unwrap() = Some(Failure::Refused(crate::error::Error::not_found()));
    console.keys("111222\n");
    let Some(Overlay::Explain(explain)) = &console.model.overlay else { panic!("closed") };
    assert!(explain.problem.is_some() && !explain.sent);
}

#[test]
fn an_interrupted_question_about_a_code_is_not_answered_in_the_next_dialog() {
    let mut console = Console::new(COLOUR, 80, 24);
    console.keys("anna.smith@corp\nax123456");
    assert!(matches!(console.model.overlay, Some(Overlay::Explain(_))), "{}", console.screen());
    console.hold = true;
    console.keys("\n");
    console.send(Msg::Key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)));
    assert!(console.model.overlay.is_none() && !console.model.is_awaiting(Slot::Explain));
    console.keys("ax");
    console.release();
    let Some(Overlay::Explain(explain)) = &console.model.overlay else { panic!("closed") };
    assert!(explain.answer.is_none());
}

#[test]
fn explain_screens() {
    check("explain", |console| console.keys("anna.smith@corp\nax111222\n"));
}
