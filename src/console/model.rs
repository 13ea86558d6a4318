//! Everything the screen shows, as data. No I/O, no drawing; only `update` changes it.

use std::collections::VecDeque;

use tui_input::Input;

use super::dialog::Dialog;
use super::theme::Theme;
use crate::app::audit::{AuditPage, ServerStatus};
use crate::app::reset::{Done, TwoFactorReset};
use crate::app::views::{AuditRow, UserDetail, UserRow};
use crate::domain::id::UserId;
use crate::domain::time::Timestamp;
use crate::domain::user::FactorState;

/// Least size of the terminal, in columns and rows.
pub const SIZE_MIN: (u16, u16) = (60, 16);
/// From this many columns on, list and detail stand side by side.
pub const WIDE_COLUMNS: u16 = 120;
/// Seconds that writes stay on.
pub const WRITES_SECONDS: i64 = 600;
/// Seconds a toast stays.
pub const TOAST_SECONDS: i64 = 4;
/// Microseconds within which keys to a new dialog are dropped: they were meant for the screen before it.
pub const DIALOG_DEAF_MICROS: i64 = 250_000;
/// Rows asked for at once.
pub const PAGE_ROWS: usize = 200;
/// Rows held at most; who needs more needs a narrower search.
pub const ROWS_MAX: usize = 5_000;
/// Letters a reason must have.
pub const REASON_LETTERS_MIN: usize = 8;
/// Reasons that `Up` brings back.
pub const REASONS_KEPT: usize = 10;
/// Microseconds before waiting is shown.
pub const WAITING_SHOWN_MICROS: i64 = 100_000;

#[derive(Debug)]
pub struct Model {
    pub theme: Theme,
    pub size: (u16, u16),
    /// The moment of the last message.
    pub now: Timestamp,
    pub link: LinkState,
    pub status: Option<Box<ServerStatus>>,
    /// Who is on record; empty: must be asked before writes.
    pub operator: String,
    pub writes: Writes,
    pub screen: Screen,
    pub users: Users,
    /// What is known of the chosen user.
    pub detail: Option<Box<UserDetail>>,
    pub tab: Tab,
    /// Row of the tab that is chosen or, where there is nothing to choose, the first one shown.
    pub tab_row: usize,
    pub audit: Audit,
    pub overlay: Option<Overlay>,
    pub toast: Option<Toast>,
    /// What failed; stays until dismissed.
    pub failure: Option<String>,
    /// Answers awaited.
    pub awaited: Vec<Awaited>,
    pub serial: u64,
    /// Reasons given, newest first.
    pub reasons: VecDeque<String>,
    /// Data shown may be old: the link was lost since it was read.
    pub stale: bool,
    /// The store is to be opened in the place of the lost server: what stands in the way is shown.
    pub opening: bool,
    /// The server's data changed while it was not the moment to show it.
    pub outdated: bool,
    pub last_key_at: Timestamp,
    pub last_status_at: Timestamp,
    pub last_found_at: Timestamp,
    /// When a first Ctrl-C at rest asked for a second.
    pub interrupt_at: Option<Timestamp>,
    /// The screen must be drawn.
    pub dirty: bool,
    /// Set when the program is to end.
    pub quit: bool,
}

/// The way to the operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkState {
    Connecting,
    Live,
    /// The store is open in this process.
    Offline,
    Lost {
        since: Timestamp,
        tries: u32,
        next_try_at: Timestamp,
    },
    /// There is none; why.
    Absent(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    Off,
    On {
        until: Timestamp,
    },
    /// Started with `--read-only`.
    Forbidden,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    Users(Focus),
    Audit,
}

/// Which part of the Users screen has the keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    Find,
    List,
    Detail,
}

#[derive(Debug, Default)]
pub struct Users {
    pub find: Input,
    pub filters: Vec<Filter>,
    /// `None` before the first answer.
    pub rows: Option<Vec<UserRow>>,
    pub next: Option<String>,
    /// All users there are.
    pub total: u64,
    /// The cursor follows the user, never the row number.
    pub chosen: Option<UserId>,
    /// Milliseconds the last search took.
    pub took_ms: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    State(FactorState),
    Staff(bool),
}

impl Filter {
    pub const ALL: [Self; 6] = [
        Self::State(FactorState::On),
        Self::State(FactorState::Off),
        Self::State(FactorState::Enrol),
        Self::State(FactorState::Locked),
        Self::Staff(true),
        Self::Staff(false),
    ];

    /// As it is shown, and typed into Find.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::State(FactorState::On) => "2fa:on",
            Self::State(FactorState::Off) => "2fa:off",
            Self::State(FactorState::Enrol) => "2fa:enrol",
            Self::State(FactorState::Locked) => "2fa:locked",
            Self::Staff(true) => "role:staff",
            Self::Staff(false) => "role:user",
        }
    }

    /// The letter in the filter menu.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::State(FactorState::On) => 'n',
            Self::State(FactorState::Off) => 'o',
            Self::State(FactorState::Enrol) => 'e',
            Self::State(FactorState::Locked) => 'l',
            Self::Staff(true) => 's',
            Self::Staff(false) => 'u',
        }
    }

    /// Reads a word of Find; `None` when it is a word to search.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let word = if word == "locked" { "2fa:locked" } else { word };
        Self::ALL.into_iter().find(|filter| filter.text() == word)
    }

    /// Whether both speak about the same thing, so that one replaces the other.
    #[must_use]
    pub const fn same_kind(self, other: Self) -> bool {
        matches!((self, other), (Self::State(_), Self::State(_)) | (Self::Staff(_), Self::Staff(_)))
    }
}

/// What is searched: words, and the filters chosen or typed (the later one of a kind counts).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Search {
    pub words: String,
    pub state: Option<FactorState>,
    pub is_staff: Option<bool>,
}

impl Users {
    #[must_use]
    pub fn search(&self) -> Search {
        let mut search = Search::default();
        let typed = self.find.value().split_whitespace();
        let (filters, words): (Vec<_>, Vec<_>) = typed.partition(|word| Filter::parse(word).is_some());
        for filter in self.filters.iter().copied().chain(filters.into_iter().filter_map(Filter::parse)) {
            match filter {
                Filter::State(state) => search.state = Some(state),
                Filter::Staff(is_staff) => search.is_staff = Some(is_staff),
            }
        }
        search.words = words.join(" ");
        search
    }

    #[must_use]
    pub fn rows(&self) -> &[UserRow] {
        self.rows.as_deref().unwrap_or_default()
    }

    #[must_use]
    pub fn chosen_index(&self) -> Option<usize> {
        self.rows().iter().position(|row| Some(row.uuid) == self.chosen)
    }

    #[must_use]
    pub fn chosen_row(&self) -> Option<&UserRow> {
        self.chosen_index().and_then(|index| self.rows().get(index))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tab {
    Overview,
    TwoFactor,
    Sessions,
    Keys,
    Audit,
}

impl Tab {
    pub const ALL: [Self; 5] = [Self::Overview, Self::TwoFactor, Self::Sessions, Self::Keys, Self::Audit];

    /// The tab so many places on, round the end.
    #[must_use]
    pub fn step(self, places: usize) -> Self {
        let index = Self::ALL.iter().position(|tab| *tab == self).unwrap_or(0);
        Self::ALL.get((index + places) % Self::ALL.len()).copied().unwrap_or(Self::Overview)
    }
}

/// The Audit screen.
#[derive(Debug, Default)]
pub struct Audit {
    /// `None` before the first answer.
    pub rows: Option<Vec<AuditRow>>,
    pub next: Option<u64>,
    /// Number of the entry under the cursor.
    pub chosen: Option<u64>,
}

impl Audit {
    #[must_use]
    pub fn rows(&self) -> &[AuditRow] {
        self.rows.as_deref().unwrap_or_default()
    }

    #[must_use]
    pub fn chosen_index(&self) -> usize {
        self.rows().iter().position(|row| Some(row.number) == self.chosen).unwrap_or(0)
    }

    /// Takes the first page, or the page behind what is there.
    pub fn take(&mut self, page: AuditPage, more: bool) {
        self.next = page.next;
        match &mut self.rows {
            Some(rows) if more => rows.extend(page.rows),
            rows => *rows = Some(page.rows),
        }
        if self.chosen.is_none_or(|number| !self.rows().iter().any(|row| row.number == number)) {
            self.chosen = self.rows().first().map(|row| row.number);
        }
    }
}

/// What lies over the screen and has the keyboard.
#[derive(Debug)]
pub enum Overlay {
    Help {
        place: super::keys::Place,
        filter: Input,
        row: usize,
    },
    Filters {
        row: usize,
    },
    Actions {
        row: usize,
    },
    Dialog(Box<Dialog>),
    Panel(Panel),
    /// Who is at the keyboard, asked of root before writes go on.
    Name(Input),
}

/// What was done, and what to say to the caller.
#[derive(Clone, Debug)]
pub enum Panel {
    Reset { reset: TwoFactorReset, took_ms: i64, at: Timestamp },
    Done { done: Done, took_ms: i64 },
}

impl Panel {
    #[must_use]
    pub fn audit_number(&self) -> Option<u64> {
        match self {
            Self::Reset { reset, .. } => reset.audit_number,
            Self::Done { done, .. } => Some(done.audit_number),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Toast {
    pub text: String,
    pub since: Timestamp,
}

/// Which of the console's questions an answer belongs to. A newer question takes an older one of its slot back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    Connect,
    Status,
    Find,
    MoreUsers,
    Inspect,
    Audit,
    MoreAudit,
    Preview,
    Write,
}

#[derive(Clone, Debug)]
pub struct Awaited {
    pub slot: Slot,
    pub serial: u64,
    pub since: Timestamp,
}

impl Model {
    #[must_use]
    pub fn new(theme: Theme, size: (u16, u16), now: Timestamp) -> Self {
        Self {
            theme,
            size,
            now,
            link: LinkState::Connecting,
            status: None,
            operator: String::new(),
            writes: Writes::Off,
            screen: Screen::Users(Focus::Find),
            users: Users::default(),
            detail: None,
            tab: Tab::Overview,
            tab_row: 0,
            audit: Audit::default(),
            overlay: None,
            toast: None,
            failure: None,
            awaited: Vec::new(),
            serial: 0,
            reasons: VecDeque::new(),
            stale: false,
            opening: false,
            outdated: false,
            last_key_at: now,
            last_status_at: now,
            last_found_at: now,
            interrupt_at: None,
            dirty: true,
            quit: false,
        }
    }

    #[must_use]
    pub fn is_too_small(&self) -> bool {
        self.size.0 < SIZE_MIN.0 || self.size.1 < SIZE_MIN.1
    }

    #[must_use]
    pub fn is_wide(&self) -> bool {
        self.size.0 >= WIDE_COLUMNS
    }

    /// Whether requests can be answered.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        matches!(self.link, LinkState::Live | LinkState::Offline)
    }

    #[must_use]
    pub fn is_awaiting(&self, slot: Slot) -> bool {
        self.awaited.iter().any(|awaited| awaited.slot == slot)
    }

    /// What is known of the user under the cursor; `None` while it is being read.
    #[must_use]
    pub fn chosen_detail(&self) -> Option<&UserDetail> {
        self.detail.as_deref().filter(|detail| Some(detail.row.uuid) == self.users.chosen)
    }

    /// What the rows of the present tab are known by; empty where there is nothing to choose.
    #[must_use]
    pub fn ids_in_tab(&self) -> Vec<String> {
        let Some(detail) = self.chosen_detail() else { return Vec::new() };
        match self.tab {
            Tab::Sessions => detail.sessions.iter().map(|session| session.id.clone()).collect(),
            Tab::Keys => detail.api_keys.iter().map(|key| key.id.clone()).collect(),
            Tab::Audit => detail.audit.iter().map(|row| row.number.to_string()).collect(),
            Tab::Overview | Tab::TwoFactor => Vec::new(),
        }
    }

    /// What is chosen in the present tab.
    #[must_use]
    pub fn chosen_in_tab(&self) -> Option<String> {
        self.ids_in_tab().into_iter().nth(self.tab_row)
    }

    /// Seconds writes stay on; `None` when they are off. A clock that was set back does not make it longer.
    #[must_use]
    pub fn writes_left(&self) -> Option<i64> {
        match self.writes {
            Writes::On { until } => {
                Some(until.seconds_since(self.now)).filter(|left| (0..=WRITES_SECONDS).contains(left))
            }
            Writes::Off | Writes::Forbidden => None,
        }
    }

    /// Why nothing can be changed at the moment.
    #[must_use]
    pub fn writes_refused(&self) -> Option<&'static str> {
        if !self.is_connected() {
            Some("no server")
        } else if self.writes == Writes::Forbidden {
            Some("started with --read-only")
        } else if self.writes_left().is_none() {
            Some("writes are off: W")
        } else {
            None
        }
    }

    /// Tenths of a second the oldest visible question has waited, once that is long enough to show.
    #[must_use]
    pub fn waiting_tenths(&self) -> Option<u64> {
        let oldest =
            self.awaited.iter().filter(|awaited| awaited.slot != Slot::Status).map(|awaited| awaited.since).min()?;
        let waited = self.now.as_micros().saturating_sub(oldest.as_micros());
        (waited >= WAITING_SHOWN_MICROS).then(|| u64::try_from(waited / 100_000).unwrap_or(0))
    }
}
