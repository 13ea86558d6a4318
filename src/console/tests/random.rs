//! Random keys, pastes, clicks, sizes, pauses and failures.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use proptest::prelude::*;

use super::fixture::Console;
use super::flow::{console, writes};
use crate::console::link::Failure;
use crate::console::model::Writes;
use crate::console::update::Msg;

fn any_key() -> impl Strategy<Value = KeyEvent> {
    let named = prop_oneof![
        Just(KeyCode::Enter),
        Just(KeyCode::Esc),
        Just(KeyCode::Tab),
        Just(KeyCode::BackTab),
        Just(KeyCode::Up),
        Just(KeyCode::Down),
        Just(KeyCode::Left),
        Just(KeyCode::Right),
        Just(KeyCode::Home),
        Just(KeyCode::End),
        Just(KeyCode::PageUp),
        Just(KeyCode::PageDown),
        Just(KeyCode::Backspace),
        Just(KeyCode::Delete),
    ];
    let letters = prop_oneof![proptest::char::range(' ', '~'), Just('漢'), Just('\u{301}'), Just('W'), Just('a')];
    let code = prop_oneof![named, letters.prop_map(KeyCode::Char)];
    (code, 0..8u8).prop_map(|(code, modifiers)| {
        KeyEvent::new(code, if modifiers == 1 { KeyModifiers::CONTROL } else { KeyModifiers::NONE })
    })
}

#[derive(Clone, Debug)]
enum Happening {
    Key(KeyEvent),
    Size(u16, u16),
    Paste(String),
    Pass(i64),
    Click(u16, u16),
    Break(bool),
}

fn any_happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        20 => any_key().prop_map(Happening::Key),
        2 => (0..200u16, 0..60u16).prop_map(|(columns, rows)| Happening::Size(columns, rows)),
        1 => any::<String>().prop_map(Happening::Paste),
        4 => (0..2_000_000i64).prop_map(Happening::Pass),
        1 => (0..200u16, 0..60u16).prop_map(|(column, row)| Happening::Click(column, row)),
        1 => any::<bool>().prop_map(Happening::Break),
    ]
}

/// Sequences tried; `PROPTEST_CASES=10000` is the long form.
fn cases(usual: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual);
    ProptestConfig { cases, ..ProptestConfig::default() }
}

fn happen(console: &mut Console, happening: Happening) {
    match happening {
        Happening::Key(key) => console.send(Msg::Key(key)),
        Happening::Size(columns, rows) => console.send(Msg::Resize(columns, rows)),
        Happening::Paste(text) => console.send(Msg::Paste(text)),
        Happening::Pass(milliseconds) => console.pass(milliseconds),
        Happening::Click(column, row) => {
            let kind = MouseEventKind::Down(MouseButton::Left);
            console.send(Msg::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }));
        }
        Happening::Break(broken) => {
            *console.server.broken.lock().unwrap() = broken.then_some(Failure::Lost);
        }
    }
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn nothing_that_happens_makes_it_panic(happenings in proptest::collection::vec(any_happening(), 1..120)) {
        let mut console = console().at_anna();
        for happening in happenings {
            happen(&mut console, happening);
            console.screen();
        }
    }

    /// Whatever is pressed, pasted, clicked and waited for: with writes off nothing that writes is ever asked.
    #[test]
    fn with_writes_off_nothing_is_written(happenings in proptest::collection::vec(any_happening(), 1..200)) {
        let mut console = console();
        console.model.writes = Writes::Forbidden;
        console.keys("anna.smith@corp\n");
        for happening in happenings {
            happen(&mut console, happening);
        }
        let written = writes(&console);
        prop_assert!(written.is_empty(), "{:?}", written);
    }
}
