//! What frames the screens: palette, messages, copy menu, mouse, keys of one's own.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

use super::fixture::{COLOUR, Console};
use crate::console::keys::{Action, Keymap, Place};
use crate::console::model::{Focus, MESSAGES_KEPT, Overlay, Screen, Tab};
use crate::console::update::{Cmd, Msg, place};

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
    assert_eq!(place(&console.model), Place::Sheet);
    console.key(KeyCode::Esc);
    console.keys(":mouse\n");
    assert!(console.model.mouse);
    console.keys("2:50%\n");
    assert_eq!(console.model.users.chosen_index(), Some(2));
    console.keys(":qqqqq\n");
    assert_eq!(place(&console.model), Place::Palette, "nothing is done when nothing matches");
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
fn no_secret_can_be_copied() {
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
    let places = [Place::List, Place::Detail, Place::Audit, Place::Find, Place::Absent];
    for action in Action::mappable() {
        let Some(bound) = places.iter().find_map(|place| keys.binding(*place, action)) else { continue };
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
