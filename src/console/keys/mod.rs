//! The one table of keys: what a key does where, and how footer, help and palette call it. Does not do anything itself.

mod map;

use crossterm::event::{KeyCode, KeyModifiers};

pub use map::{Bound, Key, Keymap, Unusable, key_name, read_key, read_own_key};

/// Where the keyboard's attention is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The search field.
    Find,
    List,
    Detail,
    Home,
    Audit,
    /// The filter of the audit trail.
    AuditFilter,
    Jobs,
    /// A menu of letters.
    Menu,
    Dialog,
    Panel,
    Help,
    /// The field of the command palette.
    Palette,
    /// A list or a value that lies over the screen and only can be read.
    Sheet,
    /// No connection yet, and none to be had without asking.
    Absent,
}

/// What a key asks for. In `console.toml` it is written like `drop-filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    Open,
    Actions,
    Find,
    Filter,
    DropFilter,
    Sort,
    Mark,
    MarkRange,
    MarkAll,
    Unmark,
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
    Home,
    Users,
    Audit,
    Jobs,
    Writes,
    Refresh,
    Repaint,
    Suspend,
    Help,
    Quit,
    Interrupt,
    OpenStore,
    Retry,
    /// Leave a dialog; nothing has been changed.
    Cancel,
    /// Close a result.
    Close,
    Palette,
    Messages,
    Mouse,
    /// Show a value alone, to be marked by hand.
    ShowAlone,
    Enrol,
    /// Write what is listed to a file.
    Export,
}

impl Action {
    /// As `console.toml` and the palette write it: `drop-filter`.
    #[must_use]
    pub fn name(self) -> String {
        let mut name = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.extend(letter.to_lowercase());
        }
        name
    }

    /// Whether its keys are for ever the same: what leaves or cancels must be found blindly, and the keys of fields and
    /// dialogs are those of every form.
    #[must_use]
    pub const fn is_fixed(self) -> bool {
        matches!(
            self,
            Self::Interrupt
                | Self::Cancel
                | Self::Close
                | Self::NextField
                | Self::PreviousField
                | Self::Toggle
                | Self::ToList
        )
    }

    /// All that can have other keys, in the order of the table.
    #[must_use]
    pub fn mappable() -> Vec<Self> {
        let mut actions: Vec<Self> = Vec::new();
        for binding in BINDINGS.iter().filter(|binding| !binding.action.is_fixed()) {
            if !actions.contains(&binding.action) {
                actions.push(binding.action);
            }
        }
        actions
    }
}

/// One row of the table.
#[derive(Debug)]
pub struct Binding {
    pub action: Action,
    pub places: &'static [Place],
    keys: &'static [Key],
    /// How the keys are written.
    shown: &'static str,
    /// The word in the footer; empty: not in the footer.
    pub short: &'static str,
    pub help: &'static str,
}

const fn plain(letter: char) -> Key {
    (KeyCode::Char(letter), KeyModifiers::NONE)
}

const fn control(letter: char) -> Key {
    (KeyCode::Char(letter), KeyModifiers::CONTROL)
}

const fn named(code: KeyCode) -> Key {
    (code, KeyModifiers::NONE)
}

const BROWSE: &[Place] = &[Place::List, Place::Detail, Place::Home, Place::Audit, Place::Jobs];
const MOVE: &[Place] = &[
    Place::List,
    Place::Detail,
    Place::Home,
    Place::Audit,
    Place::Jobs,
    Place::Menu,
    Place::Help,
    Place::Palette,
    Place::Sheet,
];
const EVERYWHERE: &[Place] = &[
    Place::Find,
    Place::List,
    Place::Detail,
    Place::Home,
    Place::Audit,
    Place::AuditFilter,
    Place::Jobs,
    Place::Menu,
    Place::Dialog,
    Place::Panel,
    Place::Help,
    Place::Palette,
    Place::Sheet,
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
    OpenStore in &[Place::Absent, Place::List, Place::Detail, Place::Home, Place::Audit, Place::Jobs], [plain('o')], "o", "",
        "without a server: open the store directly";
    Open in &[Place::List], [named(KeyCode::Enter)], "Enter", "open", "open the user";
    Open in &[Place::Audit], [named(KeyCode::Enter)], "Enter", "in full", "show the entry in full";
    Open in &[Place::Jobs], [named(KeyCode::Enter)], "Enter", "look into it", "what a job did, user by user";
    Actions in &[Place::Jobs], [plain('a')], "a", "actions", "pause, resume or stop a job; approve or refuse what waits";
    Jobs in &[Place::List, Place::Detail, Place::Home, Place::Audit], [plain('4')], "4", "", "the jobs, and what waits for a second operator";
    Open in &[Place::Home], [named(KeyCode::Enter)], "Enter", "list them", "list the users behind the line";
    Open in &[Place::Menu, Place::Palette], [named(KeyCode::Enter)], "Enter", "choose", "choose what the cursor is on";
    ToList in &[Place::Find], [named(KeyCode::Enter), named(KeyCode::Down), named(KeyCode::Tab)], "Enter", "to the list",
        "go to the list (also Down)";
    NextTab in &[Place::Detail], [named(KeyCode::Right), named(KeyCode::Tab), plain('l')], "<- ->", "tabs",
        "next tab (also Tab and l)";
    PreviousTab in &[Place::Detail], [named(KeyCode::Left), named(KeyCode::BackTab), plain('h')], "<-", "",
        "previous tab (also h)";
    Actions in &[Place::List, Place::Detail], [plain('a')], "a", "actions",
        "what can be done to this user: reset 2FA, unlock, ...";
    Writes in &[Place::List, Place::Detail], [plain('W')], "W", "writes on/off", "turn writes on for ten minutes, or off";
    Writes in &[Place::Home, Place::Audit, Place::Jobs, Place::Menu], [plain('W')], "W", "", "turn writes on for ten minutes, or off";
    Find in &[Place::List, Place::Detail, Place::Home, Place::Jobs], [plain('/')], "/", "find", "type to search e-mail and name; also role:staff, 2fa:off";
    Filter in &[Place::Audit], [plain('/'), plain('f')], "/", "filter", "filter: who, whom, what, when, as in by:jdoe on:anna@... event:two_factor since:7d operators";
    DropFilter in &[Place::Audit], [plain('x')], "x", "", "drop the filter";
    Export in &[Place::Audit], [plain('e')], "e", "export", "write the filtered entries to a file, as JSON lines";
    ToList in &[Place::AuditFilter], [named(KeyCode::Enter), named(KeyCode::Down), named(KeyCode::Tab)], "Enter", "list them", "list what matches (also Down)";
    Back in &[Place::AuditFilter], [named(KeyCode::Esc)], "Esc", "leave", "leave the field";
    Filter in &[Place::List], [plain('f')], "f", "filter", "add a filter: role, second factor, locked, mail, sign-in";
    DropFilter in &[Place::List], [plain('x')], "x", "", "drop the last filter";
    Sort in &[Place::List], [plain('s')], "s", "sort", "choose the order of the list";
    Mark in &[Place::List], [plain(' ')], "Space", "mark", "mark the user, or take the mark away";
    Mark in &[Place::Detail], [plain(' ')], "Space", "", "mark a session or an API key, or take the mark away";
    MarkRange in &[Place::List], [plain('V')], "V", "", "begin a range; again at its other end: mark it";
    MarkAll in &[Place::List], [plain('*')], "*", "", "mark all that match";
    Unmark in &[Place::List, Place::Detail], [plain('u')], "u", "", "take all marks away";
    Copy in BROWSE, [plain('y')], "y", "copy", "menu: send the address, an id, a number to your terminal's clipboard";
    ShowAlone in BROWSE, [plain('Y')], "Y", "", "menu: show a value alone on the screen, to mark it by hand";
    ShowAlone in &[Place::Menu], [plain('Y')], "Y", "", "in the copy menu: show what the cursor is on alone";
    Down in MOVE, [named(KeyCode::Down), plain('j')], "Down j", "", "next row";
    Up in MOVE, [named(KeyCode::Up), plain('k')], "Up k", "", "previous row";
    PageDown in MOVE, [named(KeyCode::PageDown), control('d')], "PgDn Ctrl-D", "", "a page down";
    PageUp in MOVE, [named(KeyCode::PageUp), control('u')], "PgUp Ctrl-U", "", "a page up";
    First in MOVE, [named(KeyCode::Home), plain('g')], "Home g", "", "first row";
    Last in MOVE, [named(KeyCode::End), plain('G')], "End G", "", "last row";
    NextField in &[Place::Dialog], [named(KeyCode::Tab)], "Tab", "next field", "next field";
    PreviousField in &[Place::Dialog], [named(KeyCode::BackTab)], "Shift-Tab", "", "previous field";
    Toggle in &[Place::Dialog], [plain(' ')], "Space", "toggle", "switch the line under the cursor on or off";
    Cancel in &[Place::Dialog], [named(KeyCode::Esc)], "Esc", "cancel, nothing changes", "close; nothing has been changed";
    Close in &[Place::Panel, Place::Sheet], [named(KeyCode::Enter), named(KeyCode::Esc), plain('q')], "Enter", "close",
        "close (also Esc)";
    Copy in &[Place::Panel], [plain('y')], "y", "copy audit number", "send the audit number to your terminal's clipboard";
    Enrol in &[Place::Panel], [plain('p')], "p", "enrol in person (QR)", "after a reset: enrol the new device now, together with the user";
    Back in &[Place::Find], [named(KeyCode::Esc)], "Esc", "clear", "clear the search, then leave the field";
    Back in &[Place::List, Place::Detail, Place::Home, Place::Audit, Place::Jobs, Place::Menu, Place::Help, Place::Palette], [named(KeyCode::Esc)], "Esc", "back",
        "back, close, dismiss a message";
    Home in &[Place::List, Place::Detail, Place::Audit, Place::Jobs], [plain('1')], "1", "", "adoption, and who needs attention";
    Users in &[Place::Detail, Place::Home, Place::Audit, Place::Jobs], [plain('2')], "2", "users", "the users";
    Users in &[Place::List], [plain('2')], "2", "", "the users";
    Audit in &[Place::List, Place::Detail, Place::Home, Place::Jobs, Place::Panel], [plain('3')], "3", "audit", "the audit trail";
    Palette in BROWSE, [plain(':')], ":", "commands", "all commands, found by typing; also :50% and :messages";
    Palette in &[Place::Find, Place::Absent], [plain(':')], ":", "", "all commands, while the field is empty";
    Messages in BROWSE, [control('e')], "Ctrl-E", "", "the last fifty messages";
    Mouse in BROWSE, [control('g')], "Ctrl-G", "", "take clicks and the wheel, or leave them to the terminal";
    Refresh in BROWSE, [control('r')], "Ctrl-R", "", "read everything again";
    Repaint in EVERYWHERE, [control('l')], "Ctrl-L", "", "draw the screen again";
    Suspend in EVERYWHERE, [control('z')], "Ctrl-Z", "", "suspend; fg comes back";
    Interrupt in EVERYWHERE, [control('c')], "Ctrl-C", "", "cancel what is open; twice at rest: quit";
    Help in &[Place::Find, Place::AuditFilter], [plain('?')], "?", "help", "this help, while the field is empty; type to filter it";
    Help in &[Place::List, Place::Detail, Place::Home, Place::Audit, Place::Jobs, Place::Menu, Place::Panel, Place::Sheet, Place::Absent], [plain('?')], "?", "help", "this help; type to filter it";
    Help in &[Place::Dialog], [plain('?')], "?", "help", "this help, outside fields of text";
    Quit in &[Place::List, Place::Detail, Place::Home, Place::Audit, Place::Jobs, Place::Absent], [plain('q')], "q", "", "quit";
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things_in_one_place() {
        assert_eq!(Keymap::default().clash(), None);
    }

    #[test]
    fn no_default_needs_altgr() {
        for (code, _) in BINDINGS.iter().flat_map(|binding| binding.keys) {
            if let KeyCode::Char(letter) = code {
                assert!(!"[]{}\\|@~".contains(*letter), "{letter}");
            }
        }
    }

    #[test]
    fn what_the_table_writes_are_its_keys() {
        for binding in BINDINGS {
            let first = binding.shown.split(' ').next().unwrap();
            let arrow = matches!(first, "<-" | "->");
            assert!(arrow || binding.keys.contains(&read_key(first).unwrap()), "{first}");
        }
    }
}
