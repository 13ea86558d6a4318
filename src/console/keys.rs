//! The one table of keys: what a key does where, and how footer and help call it. Does not do anything itself.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Where the keyboard's attention is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The search field.
    Find,
    List,
    Detail,
    Audit,
    /// A menu of letters.
    Menu,
    Dialog,
    Panel,
    Help,
    /// No connection yet, and none to be had without asking.
    Absent,
}

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Open,
    Actions,
    Find,
    Filter,
    DropFilter,
    Copy,
    Down,
    Up,
    PageDown,
    PageUp,
    First,
    Last,
    NextTab,
    PreviousTab,
    NextField,
    PreviousField,
    Toggle,
    ToList,
    Back,
    Users,
    Audit,
    Writes,
    Refresh,
    Repaint,
    Suspend,
    Help,
    Quit,
    Interrupt,
    OpenStore,
    Retry,
}

/// One row of the table.
#[derive(Debug)]
pub struct Binding {
    pub action: Action,
    pub places: &'static [Place],
    keys: &'static [(KeyCode, KeyModifiers)],
    /// How the keys are written.
    pub shown: &'static str,
    /// The word in the footer; empty: not in the footer.
    pub short: &'static str,
    pub help: &'static str,
}

/// What `key` does at `place`. Fields of text come first: there, letters type (see `update`).
#[must_use]
pub fn action(place: Place, key: KeyEvent) -> Option<Action> {
    let modifiers = key.modifiers.difference(KeyModifiers::SHIFT);
    BINDINGS
        .iter()
        .filter(|binding| binding.places.contains(&place))
        .find(|binding| binding.keys.contains(&(key.code, modifiers)))
        .map(|binding| binding.action)
}

/// The rows for a place, in the order of the table.
pub fn bindings(place: Place) -> impl Iterator<Item = &'static Binding> {
    BINDINGS.iter().filter(move |binding| binding.places.contains(&place))
}

const fn plain(letter: char) -> (KeyCode, KeyModifiers) {
    (KeyCode::Char(letter), KeyModifiers::NONE)
}

const fn control(letter: char) -> (KeyCode, KeyModifiers) {
    (KeyCode::Char(letter), KeyModifiers::CONTROL)
}

const fn named(code: KeyCode) -> (KeyCode, KeyModifiers) {
    (code, KeyModifiers::NONE)
}

const BROWSE: &[Place] = &[Place::List, Place::Detail, Place::Audit];
const MOVE: &[Place] = &[Place::List, Place::Detail, Place::Audit, Place::Menu, Place::Help];
const EVERYWHERE: &[Place] = &[
    Place::Find,
    Place::List,
    Place::Detail,
    Place::Audit,
    Place::Menu,
    Place::Dialog,
    Place::Panel,
    Place::Help,
    Place::Absent,
];

macro_rules! bindings {
    ($($action:ident in $places:expr, [$($key:expr),+], $shown:literal, $short:literal, $help:literal;)+) => {
        &[$(Binding {
            action: Action::$action,
            places: $places,
            keys: &[$($key),+],
            shown: $shown,
            short: $short,
            help: $help,
        },)+]
    };
}

static BINDINGS: &[Binding] = bindings! {
    Retry in &[Place::Absent], [plain('r')], "r", "retry", "try to reach the server again";
    OpenStore in &[Place::Absent, Place::List, Place::Detail, Place::Audit], [plain('o')], "o", "",
        "without a server: open the store directly";
    Open in &[Place::List], [named(KeyCode::Enter)], "Enter", "open", "open the user";
    Open in &[Place::Menu], [named(KeyCode::Enter)], "Enter", "choose", "choose what the cursor is on";
    ToList in &[Place::Find], [named(KeyCode::Enter), named(KeyCode::Down), named(KeyCode::Tab)], "Enter", "to the list",
        "go to the list (also Down)";
    NextTab in &[Place::Detail], [named(KeyCode::Right), named(KeyCode::Tab), plain('l')], "<- ->", "tabs",
        "next tab (also Tab and l)";
    PreviousTab in &[Place::Detail], [named(KeyCode::Left), named(KeyCode::BackTab), plain('h')], "<-", "",
        "previous tab (also h)";
    Actions in &[Place::List, Place::Detail], [plain('a')], "a", "actions",
        "what can be done to this user: reset 2FA, unlock, ...";
    Writes in &[Place::List, Place::Detail], [plain('W')], "W", "writes on/off", "turn writes on for ten minutes, or off";
    Writes in &[Place::Audit, Place::Menu], [plain('W')], "W", "", "turn writes on for ten minutes, or off";
    Find in BROWSE, [plain('/')], "/", "find", "type to search e-mail and name; also role:staff, 2fa:off";
    Filter in &[Place::List], [plain('f')], "f", "filter", "add a filter: second-factor state, role";
    DropFilter in &[Place::List], [plain('x')], "x", "", "drop the last filter";
    Copy in &[Place::List, Place::Detail], [plain('y')], "y", "copy", "send the e-mail address to your terminal's clipboard";
    Down in MOVE, [named(KeyCode::Down), plain('j')], "Down j", "", "next row";
    Up in MOVE, [named(KeyCode::Up), plain('k')], "Up k", "", "previous row";
    PageDown in MOVE, [named(KeyCode::PageDown), control('d')], "PgDn Ctrl-D", "", "a page down";
    PageUp in MOVE, [named(KeyCode::PageUp), control('u')], "PgUp Ctrl-U", "", "a page up";
    First in BROWSE, [named(KeyCode::Home), plain('g')], "Home g", "", "first row";
    Last in BROWSE, [named(KeyCode::End), plain('G')], "End G", "", "last row";
    NextField in &[Place::Dialog], [named(KeyCode::Tab)], "Tab", "next field", "next field";
    PreviousField in &[Place::Dialog], [named(KeyCode::BackTab)], "Shift-Tab", "", "previous field";
    Toggle in &[Place::Dialog], [plain(' ')], "Space", "toggle", "switch the line under the cursor on or off";
    Back in &[Place::Dialog], [named(KeyCode::Esc)], "Esc", "cancel, nothing changes", "close; nothing has been changed";
    Open in &[Place::Panel], [named(KeyCode::Enter), named(KeyCode::Esc)], "Enter", "close", "close";
    Copy in &[Place::Panel], [plain('y')], "y", "copy audit number", "send the audit number to your terminal's clipboard";
    Back in &[Place::Find], [named(KeyCode::Esc)], "Esc", "clear", "clear the search, then leave the field";
    Back in &[Place::List, Place::Detail, Place::Audit, Place::Menu, Place::Help], [named(KeyCode::Esc)], "Esc", "back",
        "back, close, dismiss a message";
    Users in &[Place::Detail, Place::Audit], [plain('2')], "2", "users", "the users";
    Users in &[Place::List], [plain('2')], "2", "", "the users";
    Audit in &[Place::List, Place::Detail, Place::Panel], [plain('3')], "3", "audit", "the audit trail";
    Refresh in BROWSE, [control('r')], "Ctrl-R", "", "read everything again";
    Repaint in EVERYWHERE, [control('l')], "Ctrl-L", "", "draw the screen again";
    Suspend in EVERYWHERE, [control('z')], "Ctrl-Z", "", "suspend; fg comes back";
    Interrupt in EVERYWHERE, [control('c')], "Ctrl-C", "", "cancel what is open; twice at rest: quit";
    Help in &[Place::Find], [plain('?')], "?", "help", "this help, while the field is empty; type to filter it";
    Help in &[Place::List, Place::Detail, Place::Audit, Place::Absent], [plain('?')], "?", "help", "this help; type to filter it";
    Quit in &[Place::List, Place::Detail, Place::Audit, Place::Absent], [plain('q')], "q", "", "quit";
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things_in_one_place() {
        for place in EVERYWHERE {
            let mut seen = Vec::new();
            for key in bindings(*place).flat_map(|binding| binding.keys) {
                assert!(!seen.contains(key), "{key:?} twice in {place:?}");
                seen.push(*key);
            }
        }
    }

    #[test]
    fn no_default_needs_altgr() {
        for (code, _) in BINDINGS.iter().flat_map(|binding| binding.keys) {
            if let KeyCode::Char(letter) = code {
                assert!(!"[]{}\\|@~".contains(*letter), "{letter}");
            }
        }
    }
}
