//! What frames the screens: palette, messages, copy menu, mouse, keys of one's own.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

use super::fixture::{COLOUR, Console};
use crate::console::keys::{Action, Keymap, Place};
use crate::console::link::Request;
use crate::console::model::{Focus, MESSAGES_KEPT, Overlay, Screen, Tab};
use crate::console::update::{Cmd, Msg};

fn console() -> Console {
    Console::new(COLOUR, 80, 24)
}

fn copied(console: &Console) -> Option<&str> {
    console.commands.iter().rev().find_map(|command| match command {
        Cmd::Copy(text) => Some(text.as_str()),
        _ => None,
    })
}

#[test]
fn the_palette_finds_a_command_and_shows_its_key() {
    let mut console = console();
    console.keys("anna.smith@corp\n:reset");
    let screen = console.screen();
    assert!(screen.contains("a r"), "the key of the first hit is shown:\n{screen}");
    console.keys("\n");
    assert!(console.screen().contains("writes are off"), "a refused command says why");
    console.keys("W:reset 2fa\n");
    assert!(matches!(console.model.overlay, Some(Overlay::Dialog(_))), "the palette opens the dialog, no more");
}

#[test]
fn the_palette_does_what_keys_do() {
    let mut console = console();
    console.keys(":audit\n");
    assert_eq!(console.model.screen, Screen::Audit, "from Find too, while it is empty");
    console.keys(":messages\n");
    assert_eq!(console.model.place(), Place::Sheet);
    console.key(KeyCode::Esc);
    console.keys(":mouse\n");
    assert!(console.model.mouse);
    console.keys("2:50%\n");
    assert_eq!(console.model.users.chosen_index(), Some(2));
    console.keys(":qqqqq\n");
    assert_eq!(console.model.place(), Place::Palette, "nothing is done when nothing matches");
}

#[test]
fn the_last_fifty_messages_are_kept() {
    let mut console = console();
    console.keys("\n");
    for _ in 0..60 {
        console.keys("W");
    }
    assert_eq!(console.model.messages.len(), MESSAGES_KEPT);
    console.keys(":messages\n");
    assert!(console.screen().contains("writes are off"));
    console.keys("q");
    assert!(console.model.overlay.is_none() && !console.model.quit);
}

#[test]
fn the_copy_menu_sends_or_shows_alone() {
    let mut console = console();
    console.keys("anna.smith@corp\nye");
    assert_eq!(copied(&console), Some("anna.smith@corp.example.com"));
    assert!(console.screen().contains("was sent to your terminal"), "nobody knows whether it was copied");
    console.keys("yi");
    assert_eq!(copied(&console), Some("2"));
    console.keys("Ye");
    let screen = console.screen();
    let lines: Vec<&str> = screen.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(lines, ["anna.smith@corp.example.com", "Any key closes."]);
    console.keys("x");
    assert!(console.model.overlay.is_none());
    console.keys("3yr");
    assert_eq!(copied(&console), Some("req-1"));
}

#[test]
fn the_value_of_an_api_key_is_nowhere_among_what_is_copied() {
    let mut console = console();
    console.keys("anna.smith@corp\n\n");
    if let Some(detail) = &mut console.model.detail {
        detail.api_keys[0].value = Some("phx_secret".to_owned().into());
    }
    for tab in Tab::ALL {
        console.model.tab = tab;
        let values = crate::console::copy::values(&console.model);
        assert!(values.iter().all(|value| !value.text.contains("secret")), "{values:?}");
        let mut letters: Vec<char> = values.iter().map(|value| value.letter).collect();
        letters.sort_unstable();
        letters.dedup();
        assert_eq!(letters.len(), values.len(), "a letter twice: {values:?}");
    }
}

fn click(console: &mut Console, column: u16, row: u16) {
    let kind = MouseEventKind::Down(MouseButton::Left);
    console.send(Msg::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }));
}

#[test]
fn clicks_choose_and_open_what_is_drawn_there() {
    for (columns, rows) in [(80, 24), (140, 40), (60, 16)] {
        let mut console = Console::new(COLOUR, columns, rows);
        console.keys("\n");
        let screen = console.screen();
        let row = screen.lines().position(|line| line.contains("joanna.swan")).unwrap();
        click(&mut console, 5, u16::try_from(row).unwrap());
        assert_eq!(console.model.users.chosen_row().unwrap().email, "joanna.swan@corp.example.com");
        click(&mut console, 5, u16::try_from(row).unwrap());
        assert_eq!(console.model.screen, Screen::Users(Focus::Detail));
        console.key(KeyCode::Esc);
        let column = console.screen().lines().next().unwrap().find("Audit").unwrap();
        click(&mut console, u16::try_from(column).unwrap(), 0);
        assert_eq!(console.model.screen, Screen::Audit);
        for (name, opened) in [("Home", Screen::Home), ("Jobs", Screen::Jobs)] {
            let Some(column) = console.screen().lines().next().unwrap().find(name) else { continue };
            click(&mut console, u16::try_from(column).unwrap(), 0);
            assert_eq!(console.model.screen, opened);
        }
    }
}

#[test]
fn the_wheel_moves_and_clicks_never_reach_a_dialog() {
    let mut console = console().at_anna();
    console.keys("g");
    let wheel = MouseEvent { kind: MouseEventKind::ScrollDown, column: 1, row: 5, modifiers: KeyModifiers::NONE };
    console.send(Msg::Mouse(wheel));
    console.dialog('u');
    for row in 0..24 {
        for column in 0..80 {
            click(&mut console, column, row);
        }
    }
    assert!(matches!(console.model.overlay, Some(Overlay::Dialog(_))));
}

#[test]
fn keys_of_ones_own_are_in_footer_and_help() {
    let mut console = console();
    console.model.keys.set(Action::Actions, vec![(KeyCode::F(2), KeyModifiers::NONE)]);
    console.keys("ann\n");
    assert!(console.screen().contains("F2 actions"));
    console.keys("a");
    assert!(console.model.overlay.is_none(), "the key of the table is free");
    console.key(KeyCode::F(2));
    assert!(matches!(console.model.overlay, Some(Overlay::Actions { .. })));
    console.key(KeyCode::Esc);
    console.keys("?can be done");
    assert!(console.screen().contains("F2"));
}

#[test]
fn every_action_has_a_name_of_its_own() {
    let mut names: Vec<String> = Action::mappable().into_iter().map(Action::name).collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(names.contains(&"drop-filter".to_owned()));
    let mut console = console();
    console.send(Msg::Key(KeyEvent::new(KeyCode::Char('e'), KeyModifiers::CONTROL)));
    assert!(console.model.overlay.is_none(), "in a field it is the end of the line");
}

/// The table of docs/operations.md, as the keys are.
fn table() -> String {
    let mut lines = vec!["| action | keys | what it does |".to_owned(), "| --- | --- | --- |".to_owned()];
    let keys = Keymap::default();
    let places = [Place::List, Place::Detail, Place::Audit, Place::Find, Place::Absent, Place::Panel];
    for action in Action::mappable() {
        let bound = places.iter().find_map(|place| keys.binding(*place, action)).expect("bound somewhere");
        lines.push(format!("| `{}` | {} | {} |", action.name(), bound.shown(), bound.binding.help));
    }
    lines.join("\n")
}

/// `INSTA_UPDATE=always` writes the table anew.
#[test]
fn the_documents_name_the_keys_there_are() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md");
    let text = std::fs::read_to_string(path).unwrap();
    let start = text.find("| action | keys |").expect("the table is there");
    let end = start + text[start..].find("\n\n").expect("a blank line ends it");
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(path, format!("{}{}{}", &text[..start], table(), &text[end..])).unwrap();
    } else {
        assert_eq!(&text[start..end], table());
    }
}

#[test]
fn what_may_be_old_is_called_stale_on_every_screen() {
    for (columns, rows) in [(60, 16), (80, 24), (140, 40)] {
        for keys in ["", "\n", "\n\n", "\n1", "\n3", "\n4", "\n4j\n"] {
            let mut console = Console::new(COLOUR, columns, rows);
            console.keys(keys);
            assert!(!console.screen().contains("stale"), "{keys:?}");
            console.lose_server();
            let screen = console.screen();
            let header = screen.lines().next().unwrap();
            assert!(header.contains("no server since 09:02:12") && header.ends_with("(stale)"), "{keys:?}\n{screen}");
            assert_eq!(screen.matches("stale").count(), 1, "{keys:?}\n{screen}");
        }
    }
}

#[test]
fn an_idle_console_draws_nothing() {
    let mut console = console();
    console.keys("ann\n");
    console.pass(5_000);
    console.model.dirty = false;
    for _ in 0..20 {
        console.pass(1_000);
        assert!(!console.model.dirty, "at {:?}", console.now);
    }
}

fn press(console: &mut Console, code: KeyCode, modifiers: KeyModifiers) {
    console.send(Msg::Key(KeyEvent::new(code, modifiers)));
}

#[test]
fn a_letter_of_a_menu_is_the_letter_alone() {
    for (keys, letters) in [("\n4Wa", "oxpr"), ("\nW j a", "mderx"), ("\nWa", "rum"), ("\nf", "sno"), ("\ns", "dn")] {
        for letter in letters.chars() {
            for modifiers in [KeyModifiers::CONTROL, KeyModifiers::ALT] {
                let mut console = console();
                console.keys(keys);
                let before = format!("{:?}", console.model.overlay);
                press(&mut console, KeyCode::Char(letter), modifiers);
                assert!(!matches!(console.model.overlay, None | Some(Overlay::Confirm(_) | Overlay::Dialog(_))));
                let after = format!("{:?}", console.model.overlay);
                let menu = |text: &str| text.split_whitespace().next().map(str::to_owned);
                assert_eq!(menu(&after), menu(&before), "{keys:?} {letter} {modifiers}");
            }
        }
    }
}

#[test]
fn every_menu_is_moved_in_with_the_keys_there_are() {
    for keys in ["\n4a", "\n a", "\na", "\nf", "\ns", "\ny"] {
        let mut console = console();
        console.model.keys.set(Action::Down, vec![(KeyCode::F(5), KeyModifiers::NONE)]);
        console.keys("\n");
        console.model.users.marks = crate::console::model::Marks::default();
        console.keys(keys.trim_start_matches('\n'));
        let row = |console: &Console| {
            console.screen().lines().position(|line| line.contains("| > ") || line.contains("│ > "))
        };
        let first = row(&console);
        assert!(first.is_some(), "{keys:?}\n{}", console.screen());
        console.key(KeyCode::F(5));
        let second = row(&console);
        assert!(second > first, "{keys:?}\n{}", console.screen());
        for (letter, is_down) in [('u', false), ('d', true), ('u', false)] {
            press(&mut console, KeyCode::Char(letter), KeyModifiers::CONTROL);
            let row = row(&console);
            assert!(if is_down { row >= second } else { row == first }, "{keys:?} {letter}\n{}", console.screen());
        }
        console.key(KeyCode::Esc);
        assert!(console.model.overlay.is_none(), "{keys:?}");
    }
}

#[test]
fn help_is_everywhere_but_in_what_is_typed_and_comes_back_to_where_it_was() {
    for keys in ["\n4a", "\nWau", "\na", "\nW j a", "\n:messages\n", "\ny", "\n3\n"] {
        let mut console = console();
        console.keys(keys);
        console.pass(300);
        let before = console.screen();
        console.keys("?");
        assert!(console.screen().contains("Help: "), "{keys:?}\n{}", console.screen());
        press(&mut console, KeyCode::End, KeyModifiers::NONE);
        console.key(KeyCode::Esc);
        assert_eq!(console.screen(), before, "{keys:?}");
    }
    let mut console = console().at_anna();
    console.dialog('u');
    console.keys("\tlocked?");
    assert!(console.model.help.is_none() && console.screen().contains("locked?"), "{}", console.screen());
}

#[test]
fn the_wheel_stops_at_the_end_of_messages_and_help() {
    let mut console = console();
    console.keys("\nWWWW:messages\n");
    let wheel = |console: &mut Console, kind| {
        console.send(Msg::Mouse(MouseEvent { kind, column: 1, row: 5, modifiers: KeyModifiers::NONE }));
    };
    (0..40).for_each(|_| wheel(&mut console, MouseEventKind::ScrollDown));
    (0..2).for_each(|_| wheel(&mut console, MouseEventKind::ScrollUp));
    assert!(matches!(console.model.overlay, Some(Overlay::Messages { row: 0 })), "{:?}", console.model.overlay);
    console.key(KeyCode::Esc);
    console.keys("?");
    let top = console.screen();
    (0..40).for_each(|_| wheel(&mut console, MouseEventKind::ScrollDown));
    let end = console.screen();
    assert_ne!(end, top);
    wheel(&mut console, MouseEventKind::ScrollUp);
    assert_ne!(console.screen(), end, "the first notch back is seen");
}

#[test]
fn what_is_chosen_on_home_and_jobs_can_be_copied() {
    let mut console = console();
    console.keys("\n1jjyf");
    assert_eq!(copied(&console), Some("role:staff 2fa:off"));
    console.keys("4kyi");
    assert_eq!(copied(&console), Some("a1b2"));
    console.keys("jyi");
    assert_eq!(copied(&console), Some("8"));
    console.keys("\nye");
    assert_eq!(copied(&console), Some("anna.smith@corp.example.com"));
    let mut console = Console::unconnected(COLOUR, 80, 24);
    console.keys("\n1y");
    assert!(console.screen().contains("there is nothing to copy"), "{}", console.screen());
}

#[test]
fn slash_finds_from_home_and_jobs() {
    for screen in ["1", "4"] {
        let mut console = console();
        console.keys(&format!("\n{screen}/joanna"));
        assert_eq!(console.model.screen, Screen::Users(Focus::Find));
        assert!(console.screen().contains("Find: joanna"), "{}", console.screen());
    }
}

#[test]
fn only_what_is_shown_is_read_again() {
    let read = |console: &Console| {
        let asked = console.server.asked.lock().unwrap();
        asked.iter().filter(|request| matches!(request, Request::Find(_) | Request::Inspect(_))).count()
    };
    for screen in ["1", "3", "4"] {
        let mut console = console();
        console.keys(&format!("\n{screen}"));
        let before = read(&console);
        press(&mut console, KeyCode::Char('r'), KeyModifiers::CONTROL);
        assert_eq!(read(&console), before, "{screen}");
        console.keys("2");
        assert_eq!(read(&console), before + 2, "what happened meanwhile is read when it is shown");
    }
}

#[test]
fn texts_name_the_keys_there_are() {
    let mut console = console();
    for (action, key) in [(Action::Writes, 9), (Action::Jobs, 8), (Action::Quit, 7), (Action::Retry, 6)] {
        console.model.keys.set(action, vec![(KeyCode::F(key), KeyModifiers::NONE)]);
    }
    console.keys("\nar");
    assert!(console.screen().contains("writes are off: F9"), "{}", console.screen());
    console.key(KeyCode::Esc);
    assert!(console.screen().contains("Jobs F8"), "{}", console.screen());
    let column = console.screen().lines().next().unwrap().find("Jobs F8").unwrap();
    click(&mut console, u16::try_from(column + 6).unwrap(), 0);
    assert_eq!(console.model.screen, Screen::Jobs);
    console.model.link = crate::console::model::LinkState::Absent("no store".to_owned());
    assert!(console.screen().contains("F6  try the server again"), "{}", console.screen());
    console.send(Msg::Resize(40, 10));
    assert!(console.screen().contains("F7 quits"), "{}", console.screen());
    console.keys("q");
    assert!(!console.model.quit);
    console.key(KeyCode::F(7));
    assert!(console.model.quit);
}
