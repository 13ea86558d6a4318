//! Screens as text, reviewed like code.

use super::fixture::{ASCII, COLOUR, Console, MONO};
use crate::console::link::Failure;
use crate::console::model::Tab;
use crate::console::update::Msg;
use crossterm::event::KeyCode;

const SIZES: [(u16, u16); 3] = [(60, 16), (80, 24), (140, 40)];

/// One snapshot for each size, of the console after `prepare`.
fn check(name: &str, prepare: impl Fn(&mut Console)) {
    for (columns, rows) in SIZES {
        let mut console = Console::new(COLOUR, columns, rows);
        prepare(&mut console);
        insta::assert_snapshot!(format!("{name}_{columns}x{rows}"), console.screen());
    }
}

#[test]
fn users() {
    check("users", |console| console.keys("ann"));
}

#[test]
fn users_mono_and_ascii() {
    for (name, theme) in [("mono", MONO), ("ascii", ASCII)] {
        let mut console = Console::new(theme, 80, 24);
        console.keys("an\nfs");
        insta::assert_snapshot!(format!("users_{name}_80x24"), console.screen());
    }
}

#[test]
fn nobody_found() {
    check("nobody", |console| console.keys("anna.x\nfs"));
}

#[test]
fn first_frame() {
    insta::assert_snapshot!("first_frame_80x24", Console::unconnected(COLOUR, 80, 24).screen());
}

#[test]
fn detail() {
    check("detail", |console| console.keys("anna.smith@corp\n\n"));
}

#[test]
fn detail_tabs() {
    for tab in [Tab::TwoFactor, Tab::Sessions, Tab::Keys, Tab::Audit] {
        let mut console = Console::new(COLOUR, 80, 24);
        console.keys("anna.smith@corp\n\n");
        while console.model.tab != tab {
            console.key(KeyCode::Right);
        }
        insta::assert_snapshot!(format!("detail_{tab:?}_80x24"), console.screen());
    }
}

#[test]
fn actions() {
    check("actions", |console| console.keys("anna.smith@corp\nWa"));
}

#[test]
fn reset_dialog() {
    check("reset_dialog", |console| {
        console.keys("anna.smith@corp\nW");
        console.dialog('r');
        console.keys("\t3\tLena Koch\tlost phone, ticket HD-4711\t\t\tanna.smi");
    });
}

#[test]
fn unlock_dialog() {
    check("unlock_dialog", |console| {
        console.keys("anna.smith@corp\nW");
        console.dialog('u');
        console.keys("\ttyped\t\n");
    });
}

#[test]
fn result_panel() {
    check("result", |console| {
        console.keys("anna.smith@corp\nW");
        console.dialog('r');
        console.keys("\t2\tlost phone, ticket HD-4711\t\t\tanna.smith\t\n");
    });
}

#[test]
fn help() {
    check("help", |console| console.keys("ann\n?"));
    let mut console = Console::new(COLOUR, 80, 24);
    console.keys("ann\n?page");
    insta::assert_snapshot!("help_filtered_80x24", console.screen());
}

#[test]
fn audit() {
    check("audit", |console| console.keys("\n3"));
    check("audit_entry", |console| console.keys("\n3j\n"));
}

#[test]
fn link_lost() {
    check("lost", |console| {
        console.keys("ann\n");
        console.lose_server();
    });
}

#[test]
fn no_way_in() {
    check("absent", |console| {
        *console.server.broken.lock().unwrap() =
            Some(Failure::NoWay("the store in data is in use by `backup` (pid 7)".to_owned()));
        console.model.link = crate::console::model::LinkState::Absent(String::new());
        console.keys("r");
    });
}

#[test]
fn too_small() {
    let mut console = Console::new(COLOUR, 80, 24);
    console.send(Msg::Resize(48, 12));
    insta::assert_snapshot!("too_small_48x12", console.screen());
    console.send(Msg::Resize(80, 24));
    assert!(console.screen().contains("anna.schmidt"), "it recovers by itself");
}

#[test]
fn nothing_from_users_reaches_the_terminal_raw() {
    let mut console = Console::new(COLOUR, 140, 40);
    console.keys("joanna.swan\n\n");
    let screen = console.screen();
    assert!(!screen.chars().any(|c| c == '\u{1b}' || c == '\u{202e}'), "{screen}");
    assert!(screen.contains("Joanna\\u{202e} Swan") && screen.contains("\\u{1b}"), "{screen}");
}
