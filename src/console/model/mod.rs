//! Everything the screen shows, as data. No I/O, no drawing; only `update` changes it.

mod audit;
mod detail;
mod home;
mod jobs;
mod marks;
mod messages;
mod unknown;
mod users;
mod window;

use std::collections::{BTreeSet, VecDeque};

use tui_input::Input;

use super::bulk::{Bulk, Stage};
use super::confirm::{self, Confirm};
use super::dialog::Dialog;
use super::enrol::Enrol;
use super::explain::Explain;
use super::export::{self, Export};
use super::keys::{Action, Keymap, Place};
use super::theme::Theme;
use crate::app::audit::ServerStatus;
use crate::app::permission::Rights;
use crate::app::reset::{Done, TwoFactorReset};
use crate::app::views::{AuditRow, UserDetail};
use crate::domain::id::UserId;
use crate::domain::time::Timestamp;
pub use audit::Audit;
pub use detail::Tab;
pub use home::Home;
pub use jobs::{JobRef, Jobs, OpenJob};
pub use marks::Marks;
pub use messages::{MESSAGES_KEPT, Message, Toast};
pub use unknown::UnknownWrite;
pub use users::{FILTERS, Goal, SORTS, Users};
pub use window::{End, WINDOW_PAGE_ROWS, Window};

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
/// Reasons that `Up` brings back.
pub const REASONS_KEPT: usize = 10;
/// Microseconds before waiting is shown.
pub const WAITING_SHOWN_MICROS: i64 = 100_000;

#[derive(Debug)]
pub struct Model {
    pub theme: Theme,
    pub keys: Keymap,
    /// Nothing on the screen turns.
    pub calm: bool,
    /// Clicks and the wheel come to us.
    pub mouse: bool,
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
    /// When it was asked for: what happened before that is in it.
    pub detail_asked_at: Timestamp,
    pub tab: Tab,
    /// Row of the tab that is chosen or, where there is nothing to choose, the first one shown.
    pub tab_row: usize,
    /// What is marked in the present tab, by what its rows are known by.
    pub tab_marks: BTreeSet<String>,
    pub audit: Audit,
    pub home: Home,
    pub jobs: Jobs,
    pub overlay: Option<Overlay>,
    /// Lies over everything else while it is open.
    pub help: Option<Help>,
    pub toast: Option<Toast>,
    /// What failed; stays until dismissed.
    pub failure: Option<String>,
    /// What was said, newest first.
    pub messages: VecDeque<Message>,
    /// Answers awaited.
    pub awaited: Vec<Awaited>,
    pub serial: u64,
    /// Reasons given, newest first.
    pub reasons: VecDeque<String>,
    /// The store is to be opened in the place of the lost server: what stands in the way is shown.
    pub opening: bool,
    /// The server's data changed while it was not the moment to show it.
    pub outdated: bool,
    /// How often, as far as it is known.
    pub changes: u64,
    pub last_key_at: Timestamp,
    pub last_status_at: Timestamp,
    /// When a first Ctrl-C at rest asked for a second.
    pub interrupt_at: Option<Timestamp>,
    /// The screen must be drawn.
    pub dirty: bool,
    /// Set when the program is to end.
    pub quit: bool,
    /// Set when it is to end since the server is older or newer: what to tell.
    pub mismatch: Option<String>,
    /// Begins the ids of this console's requests, and of nobody else's.
    pub session: String,
    /// Writes whose answers never came, in the order in which they are looked up.
    pub unknown: VecDeque<UnknownWrite>,
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

/// Why nothing can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    NoServer,
    ReadOnly,
    LooksOnly,
    /// Until the operator turns them on.
    WritesOff,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    Home,
    Users(Focus),
    Audit,
    Jobs,
}

impl Screen {
    /// The screens there are, as the header names them, and what shows them.
    pub const ALL: &[(Self, &'static str, Action)] = &[
        (Self::Home, "Home", Action::Home),
        (Self::Users(Focus::List), "Users", Action::Users),
        (Self::Audit, "Audit", Action::Audit),
        (Self::Jobs, "Jobs", Action::Jobs),
    ];

    /// Whether both are the same screen, wherever in it the keyboard is.
    #[must_use]
    pub fn is(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

/// Which part of the Users screen has the keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    Find,
    List,
    Detail,
}

/// What the keys of a place do.
#[derive(Debug)]
pub struct Help {
    pub place: Place,
    pub filter: Input,
    /// The first line that is shown.
    pub row: usize,
}

/// What lies over the screen and has the keyboard.
#[derive(Debug)]
pub enum Overlay {
    Filters {
        row: usize,
    },
    /// The orders a list can have.
    Sorts {
        row: usize,
    },
    Actions {
        row: usize,
        /// For whom it was opened.
        user: UserId,
    },
    Dialog(Box<Dialog>),
    /// An enrolment in person, on the whole screen.
    Enrol(Box<Enrol>),
    Explain(Box<Explain>),
    Export(Box<Export>),
    /// What can be done to an approval or a job.
    JobActions {
        row: usize,
        on: JobRef,
    },
    Confirm(Box<Confirm>),
    Bulk(Box<Bulk>),
    Panel(Panel),
    /// All commands of the place it was opened from, found by typing.
    Palette {
        place: Place,
        /// Who was under the cursor.
        user: Option<UserId>,
        input: Input,
        row: usize,
    },
    Messages {
        row: usize,
    },
    /// One entry of the audit trail in full; the line it is shown from.
    Entry {
        row: Box<AuditRow>,
        line: usize,
    },
    /// What can be copied; `alone`: shown instead, to be marked by hand.
    Copy {
        row: usize,
        alone: bool,
    },
    /// A value alone on the screen.
    Alone(String),
    /// Who is at the keyboard, asked of root before writes go on.
    Name(Input),
}

/// What was done, and what to say to the caller.
#[derive(Clone, Debug)]
pub enum Panel {
    Reset {
        reset: TwoFactorReset,
        took_ms: i64,
        at: Timestamp,
    },
    Done {
        done: Done,
        took_ms: i64,
    },
    /// Nothing was done yet: another operator must say yes. What the operation says about it.
    Waits {
        email: String,
        text: String,
    },
}

impl Panel {
    #[must_use]
    pub fn audit_number(&self) -> Option<u64> {
        match self {
            Self::Reset { reset, .. } => reset.audit_number,
            Self::Done { done, .. } => Some(done.audit_number),
            Self::Waits { .. } => None,
        }
    }

    /// Whether the action, one of its place, means anything here.
    #[must_use]
    pub fn offers(&self, action: Action) -> bool {
        match action {
            Action::Copy => self.audit_number().is_some(),
            Action::Enrol => matches!(self, Self::Reset { .. }),
            _ => true,
        }
    }
}

/// Which of the console's questions an answer belongs to. A newer question takes an older one of its slot back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    Connect,
    Status,
    Find,
    MoreUsers,
    /// What lies before the rows that are held.
    FormerUsers,
    Count,
    LookUp,
    Inspect,
    Overview,
    Audit,
    MoreAudit,
    Preview,
    Explain,
    Export,
    Jobs,
    Approvals,
    Job,
    Draft,
    Write,
}

/// Whether what opened at `since` still drops keys: they were meant for what was there before. A clock that was set back
/// does not prolong it.
#[must_use]
pub fn is_deaf(since: Timestamp, now: Timestamp) -> bool {
    (0..DIALOG_DEAF_MICROS).contains(&now.as_micros().saturating_sub(since.as_micros()))
}

#[derive(Clone, Debug)]
pub struct Awaited {
    /// The id of the request.
    pub id: String,
    pub slot: Slot,
    pub serial: u64,
    pub since: Timestamp,
}

impl Model {
    #[must_use]
    pub fn new(theme: Theme, size: (u16, u16), now: Timestamp) -> Self {
        Self {
            theme,
            keys: Keymap::default(),
            calm: false,
            mouse: false,
            size,
            now,
            link: LinkState::Connecting,
            status: None,
            operator: String::new(),
            writes: Writes::Off,
            screen: Screen::Users(Focus::Find),
            users: Users::default(),
            detail: None,
            detail_asked_at: now,
            tab: Tab::Overview,
            tab_row: 0,
            tab_marks: BTreeSet::new(),
            audit: Audit::default(),
            home: Home::default(),
            jobs: Jobs::default(),
            overlay: None,
            help: None,
            toast: None,
            failure: None,
            messages: VecDeque::new(),
            awaited: Vec::new(),
            serial: 0,
            reasons: VecDeque::new(),
            opening: false,
            outdated: false,
            changes: 0,
            last_key_at: now,
            last_status_at: now,
            interrupt_at: None,
            dirty: true,
            quit: false,
            mismatch: None,
            session: String::new(),
            unknown: VecDeque::new(),
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

    /// Whether what is shown may be old: the link was lost since it was read.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        matches!(self.link, LinkState::Lost { .. })
    }

    /// Where the keyboard's attention is.
    #[must_use]
    pub fn place(&self) -> Place {
        if self.help.is_some() {
            return Place::Help;
        }
        match &self.overlay {
            Some(
                Overlay::Filters { .. }
                | Overlay::Sorts { .. }
                | Overlay::Actions { .. }
                | Overlay::Copy { .. }
                | Overlay::JobActions { .. },
            ) => Place::Menu,
            Some(Overlay::Bulk(bulk)) if matches!(bulk.stage, Stage::Menu { .. }) => Place::Menu,
            Some(Overlay::Palette { .. }) => Place::Palette,
            Some(Overlay::Messages { .. } | Overlay::Entry { .. } | Overlay::Alone(_)) => Place::Sheet,
            Some(
                Overlay::Dialog(_)
                | Overlay::Name(_)
                | Overlay::Enrol(_)
                | Overlay::Explain(_)
                | Overlay::Export(_)
                | Overlay::Confirm(_)
                | Overlay::Bulk(_),
            ) => Place::Dialog,
            Some(Overlay::Panel(_)) => Place::Panel,
            None if matches!(self.link, LinkState::Absent(_)) => Place::Absent,
            None => match self.screen {
                Screen::Users(Focus::Find) => Place::Find,
                Screen::Users(Focus::List) => Place::List,
                Screen::Users(Focus::Detail) => Place::Detail,
                Screen::Home => Place::Home,
                Screen::Audit if self.audit.typing => Place::AuditFilter,
                Screen::Audit => Place::Audit,
                Screen::Jobs => Place::Jobs,
            },
        }
    }

    /// Whether something lies over the screen.
    #[must_use]
    pub const fn is_covered(&self) -> bool {
        self.overlay.is_some() || self.help.is_some()
    }

    /// Whether a letter goes into a field of text, so that it means nothing else. The empty fields of the screens hold
    /// nothing that `?` could be a part of.
    #[must_use]
    pub fn is_typing(&self) -> bool {
        match &self.overlay {
            Some(Overlay::Dialog(dialog)) => dialog.is_typing(),
            Some(Overlay::Confirm(confirm)) => confirm.focus == confirm::Part::Reason,
            Some(Overlay::Bulk(bulk)) => bulk.is_typing(),
            Some(Overlay::Export(export)) => export.stage == export::Stage::Asking,
            Some(Overlay::Name(_) | Overlay::Enrol(_) | Overlay::Explain(_) | Overlay::Palette { .. }) => true,
            Some(_) => false,
            None => match self.place() {
                Place::Find => !self.users.find.value().is_empty(),
                Place::AuditFilter => !self.audit.input.value().is_empty(),
                _ => false,
            },
        }
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

    /// Seconds writes stay on; `None` when they are off. A clock that was set back does not make it longer.
    #[must_use]
    pub fn writes_left(&self) -> Option<i64> {
        match self.writes {
            Writes::On { until } if !self.may_look_only() => {
                Some(until.seconds_since(self.now)).filter(|left| (0..=WRITES_SECONDS).contains(left))
            }
            Writes::On { .. } | Writes::Off | Writes::Forbidden => None,
        }
    }

    /// Whether the server lets this operator look and no more.
    #[must_use]
    pub fn may_look_only(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.rights == Rights::Reader)
    }

    /// Why nothing can be changed at the moment.
    /// Whether the server sends mail, as far as is known.
    #[must_use]
    pub fn is_mail_on(&self) -> bool {
        self.status.as_ref().is_none_or(|status| status.mail_available)
    }

    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        if !self.is_connected() {
            Some(Refusal::NoServer)
        } else if self.writes == Writes::Forbidden {
            Some(Refusal::ReadOnly)
        } else if self.may_look_only() {
            Some(Refusal::LooksOnly)
        } else if self.writes_left().is_none() {
            Some(Refusal::WritesOff)
        } else {
            None
        }
    }

    /// The same in words.
    #[must_use]
    pub fn writes_refused(&self) -> Option<String> {
        self.refusal().map(|refusal| match refusal {
            Refusal::NoServer => "no server".to_owned(),
            Refusal::ReadOnly => "started with --read-only".to_owned(),
            Refusal::LooksOnly => "your group may look only".to_owned(),
            Refusal::WritesOff => format!("writes are off: {}", self.keys.first(Place::List, Action::Writes)),
        })
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
