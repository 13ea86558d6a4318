//! Screens as text, reviewed like code.

use super::fixture::{self, ASCII, COLOUR, Console, MONO};
use crate::app::permission::Rights;
use crate::app::requests::RequestOutcome;
use crate::console::link::Failure;
use crate::console::model::Tab;
use crate::console::theme::{Colours, Theme};
use crate::console::update::Msg;
use crate::error::Error;
use crossterm::event::KeyCode;
use ratatui::style::Color;

const SIZES: [(u16, u16); 3] = [(60, 16), (80, 24), (140, 40)];

/// Everything that is drawn only where the locale can show it.
const SIGNS: &str = "●○▲◌✖✔…→─│┌┐└┘◐◓◑◒↑↓█▓░";

/// The console after `prepare`, at each size: a snapshot in `16` and one in ASCII. `mono` shows the same text as `16`
/// and no colour; ASCII has none of our signs.
pub fn check(name: &str, prepare: impl Fn(&mut Console)) {
    for (columns, rows) in SIZES {
        let at = |theme| {
            let mut console = Console::new(theme, columns, rows);
            prepare(&mut console);
            console
        };
        let (sixteen, mono, ascii) = (at(COLOUR), at(MONO), at(ASCII));
        insta::assert_snapshot!(format!("{name}_{columns}x{rows}"), sixteen.screen());
        insta::assert_snapshot!(format!("{name}_ascii_{columns}x{rows}"), ascii.screen());
        assert_eq!(sixteen.screen(), mono.screen(), "{name}");
        for cell in &mono.buffer().content {
            assert!(cell.fg == Color::Reset && cell.bg == Color::Reset, "{name}: a colour in mono: {cell:?}");
        }
        for cell in &sixteen.buffer().content {
            assert!(!matches!(cell.fg, Color::Rgb(..) | Color::Indexed(_)), "{name}: not one of the 16: {cell:?}");
        }
        let sign = ascii.screen().chars().find(|sign| SIGNS.contains(*sign));
        assert_eq!(sign, None, "{name}:\n{}", ascii.screen());
    }
}

#[test]
fn users() {
    check("users", |console| console.keys("ann"));
    check("users_filtered", |console| console.keys("an\nfsfi "));
}

#[test]
fn contrast_is_all_bright_and_nothing_dimmed() {
    let mut console = Console::new(Theme { colours: Colours::Contrast, unicode: true }, 80, 24);
    console.keys("ann\n");
    for cell in &console.buffer().content {
        assert!(!matches!(cell.fg, Color::DarkGray | Color::Red | Color::Green | Color::Cyan), "{cell:?}");
    }
}

#[test]
fn menus() {
    check("filters", |console| console.keys("ann\nf"));
    check("sorts", |console| console.keys("ann\ns"));
    check("copy", |console| console.keys("anna.smith@corp\ny"));
    check("alone", |console| console.keys("anna.smith@corp\nYe"));
    check("palette", |console| console.keys("ann\n:mark"));
    check("messages", |console| {
        console.keys("ann\nWW:mess\n");
    });
}

#[test]
fn waiting() {
    check("waiting", |console| {
        console.keys("ann\n");
        console.hold = true;
        console.keys("j");
        console.pass(2_300);
    });
    check("waiting_glyph", |console| {
        console.keys("ann\n");
        console.hold = true;
        console.keys("j");
        console.pass(400);
    });
}

#[test]
fn failures() {
    check("failed", |console| {
        console.keys("ann\n");
        *console.server.broken.lock().unwrap() =
            Some(Failure::Refused(Error::internal("the store does not answer: no space left on device")));
        console.keys("j");
    });
    check("not_known", lose_a_write);
    for (name, outcome) in [
        ("known_done", RequestOutcome::Done(fixture::detail(fixture::users().remove(1)).audit)),
        ("known_not_done", RequestOutcome::Unknown),
    ] {
        check(name, |console| {
            lose_a_write(console);
            *console.server.outcome.lock().unwrap() = outcome.clone();
            *console.server.broken.lock().unwrap() = None;
            console.pass(6_000);
        });
    }
}

fn lose_a_write(console: &mut Console) {
    console.keys("anna.smith@corp\nW");
    console.dialog('u');
    console.keys("\ttyped wrong codes\t");
    *console.server.broken.lock().unwrap() = Some(Failure::Lost);
    console.keys("y");
}

#[test]
fn not_allowed() {
    check("not_allowed", |console| {
        console.server.status.lock().unwrap().rights = Rights::Reader;
        console.model.status.as_mut().unwrap().rights = Rights::Reader;
        console.keys("anna.smith@corp\na");
    });
}

#[test]
fn changes_wait() {
    check("changes", |console| {
        console.keys("\n");
        console.server.status.lock().unwrap().audit_newest += 3;
        console.pass(900);
        console.keys("j");
        console.pass(200);
    });
}

#[test]
fn no_data() {
    check("no_data", |console| {
        console.keys("anna.smith@corp\n\n");
        let detail = console.model.detail.as_mut().unwrap();
        detail.sessions.clear();
        detail.api_keys.clear();
        detail.audit.clear();
    });
}

#[test]
fn nobody_found() {
    check("nobody", |console| console.keys("anna.x\nfs"));
}

#[test]
fn first_frame() {
    for (columns, rows) in SIZES {
        let console = Console::unconnected(COLOUR, columns, rows);
        insta::assert_snapshot!(format!("first_frame_{columns}x{rows}"), console.screen());
    }
}

#[test]
fn detail() {
    check("detail", |console| console.keys("anna.smith@corp\n\n"));
}

#[test]
fn detail_tabs() {
    for tab in [Tab::TwoFactor, Tab::Sessions, Tab::Keys, Tab::Audit] {
        check(&format!("detail_{tab:?}"), |console| {
            console.keys("anna.smith@corp\n\n");
            while console.model.tab != tab {
                console.key(KeyCode::Right);
            }
        });
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
    check("unlock_dialog_again", |console| {
        console.keys("anna.smith@corp\nW");
        console.model.detail.as_mut().unwrap().unlocked_today = 2;
        console.dialog('u');
    });
}

#[test]
fn what_is_demanded_of_a_user_with_a_device() {
    for (days, overview, tab) in [
        (8, "a new device from 2026-12-01 on", "from 2026-12-01 09:02 UTC on (in 8 d)"),
        (-1, "a new device since 2026-11-22", "since 2026-11-22 09:02 UTC (1 d ago)"),
    ] {
        let mut console = Console::new(COLOUR, 140, 40);
        console.keys("anna.smith@corp\n\n");
        console.model.detail.as_mut().unwrap().factor.enrol_from = Some(console.now.plus_seconds(days * 86_400));
        assert!(console.screen().contains(overview), "{}", console.screen());
        console.key(KeyCode::Right);
        assert!(console.screen().contains(tab), "{}", console.screen());
    }
}

#[test]
fn the_message_line_tells_of_the_server() {
    let mut console = Console::new(COLOUR, 140, 40);
    console.keys("ann\n");
    assert!(console.screen().contains("outbox 0   audit #48,213   server up 12 d\n"), "{}", console.screen());
    console.keys("12");
    assert!(console.screen().contains("audit #48,213   store 931 MB   server up 12 d\n"), "{}", console.screen());
    console.lose_server();
    assert!(!console.screen().contains("server up"), "nobody knows: {}", console.screen());
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
    check("help_filtered", |console| console.keys("ann\n?page"));
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

#[test]
fn mail_dialogs() {
    check("resend_dialog", |console| {
        console.keys("anna.smith@corp\nW");
        console.dialog('m');
    });
    check("cancel_change_dialog", |console| {
        console.keys("anna.smith@corp\nW");
        console.dialog('c');
    });
}
