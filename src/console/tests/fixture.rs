//! Made-up users, and a console to press keys on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use uuid::Uuid;

use crate::app::approvals::ApprovalRow;
use crate::app::audit::{AuditPage, ServerStatus};
use crate::app::directory::{FindUsers, Hits, ListFrom, UserRows};
use crate::app::jobs::{DraftJob, JobDetail, JobDraft, JobOutcome, JobResult, JobRow, ReadJob, Selection};
use crate::app::overview::{Adoption, Attention, AttentionKind, Overview};
use crate::app::permission::Rights;
use crate::app::requests::RequestOutcome;
use crate::app::reset::{CodeExplanation, Done, EnrolmentStarted, ResetTwoFactor, TwoFactorReset};
use crate::app::views::{ApiKeyView, AuditRow, FactorView, MailRow, SessionRow, UserDetail, UserRow};
use crate::console::export::{self, ExportPage, Exported, Page};
use crate::console::link::{Answer, Failure, Reply, Request};
use crate::console::model::{LinkState, Model};
use crate::console::theme::{Colours, Theme};
use crate::console::update::{self, Cmd, Msg};
use crate::console::view;
use crate::domain::approval::Act;
use crate::domain::audit::{AuditActor, AuditRecord, AuditTarget, Event, Outcome};
use crate::domain::id::UserId;
use crate::domain::job::{JobAct, JobKind, JobState};
use crate::domain::mail::MailState;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::domain::totp::short_otpauth_uri;
use crate::domain::user::FactorState;
use crate::domain::user_filter::UserFilter;
use crate::error::Error;

pub const MONO: Theme = Theme { colours: Colours::Mono, unicode: true };
pub const COLOUR: Theme = Theme { colours: Colours::Sixteen, unicode: true };
pub const ASCII: Theme = Theme { colours: Colours::Mono, unicode: false };

/// 2026-11-23 09:02:11 UTC.
pub fn start() -> Timestamp {
    Timestamp::from_seconds(1_795_424_531)
}

fn ago(seconds: i64) -> Timestamp {
    start().plus_seconds(-seconds)
}

const DAY: i64 = 86_400;

pub fn row(number: u64, email: &str, name: &str, state: FactorState) -> UserRow {
    UserRow {
        uuid: UserId(Uuid::from_u128(0x0193_5bd0_0000_7000_8000_0000_7f3a_0000 + u128::from(number))),
        id: number,
        email: email.to_owned(),
        name: name.to_owned(),
        is_staff: number.is_multiple_of(2),
        is_active: true,
        state,
        backup_codes: 8,
        waiting_until: None,
        email_change_pending: false,
        is_email_verified: Some(true),
        date_joined: ago(814 * DAY),
        last_login: Some(ago(i64::try_from(number).unwrap() * 7_200)),
        has_keys: None,
        is_namesake: false,
    }
}

pub fn users() -> Vec<UserRow> {
    let mut rows = vec![
        row(1, "anna.schmidt@corp.example.com", "Anna Schmidt", FactorState::On),
        row(2, "anna.smith@corp.example.com", "Anna Smith", FactorState::On),
        row(3, "anna.smith@edu.example.com", "Anna Smith", FactorState::Off),
        row(4, "joanna.storm-with-a-very-long-name@corp.example.com", "Joanna Storm", FactorState::On),
        row(5, "joanna.swan@corp.example.com", "Joanna\u{202e} Swan", FactorState::Enrol),
        row(6, "漢字.susanna.sol@edu.example.com", "漢字 Sol", FactorState::Locked),
    ];
    rows[1].waiting_until = Some(start().plus_seconds(709));
    rows[3].backup_codes = 1;
    rows[4].last_login = None;
    rows
}

pub fn detail(row: UserRow) -> UserDetail {
    let has_device = matches!(row.state, FactorState::On | FactorState::Locked);
    let target = Some(AuditTarget { id: row.uuid, email: row.email.clone() });
    let entry = |number: u64, seconds, event, actor, reason: Option<&str>| AuditRow {
        number,
        record: AuditRecord {
            at: ago(seconds),
            event,
            actor,
            target: target.clone(),
            address: Some("203.0.113.7".to_owned()),
            user_agent: None,
            request_id: "req-1".to_owned(),
            outcome: Outcome::Done,
            reason: reason.map(str::to_owned),
            verified_by: None,
            details: Vec::new(),
        },
        previous_hash: String::new(),
        hash: String::new(),
    };
    let operator = AuditActor::Operator { uid: 1_000, name: "jdoe".to_owned() };
    let session = |id: &str, device: &str, seconds| SessionRow {
        id: id.to_owned(),
        created_at: ago(seconds * 10),
        last_activity: ago(seconds),
        expires_at: start().plus_seconds(DAY),
        address: Some("203.0.113.7".to_owned()),
        device: device.to_owned(),
        login_method: "password".to_owned(),
        verified: true,
    };
    UserDetail {
        organizations: Vec::new(),
        factor: FactorView {
            state: row.state,
            method: has_device.then(|| "TOTP".to_owned()),
            enrolled_at: has_device.then(|| ago(285 * DAY)),
            last_used_at: has_device.then(|| ago(3_600)),
            backup_codes_remaining: if has_device { 2 } else { 0 },
            backup_codes_issued: if has_device { 10 } else { 0 },
            backup_codes_made_at: has_device.then(|| ago(285 * DAY)),
            backup_code_used_at: has_device.then(|| ago(21 * DAY)),
            totp_failures: if row.waiting_until.is_some() { 5 } else { 0 },
            backup_code_failures: 0,
            last_failure_at: row.waiting_until.map(|_| ago(180)),
            failures_since: row.waiting_until.map(|_| ago(660)),
            locked_from: row.waiting_until.map(|_| "203.0.113.7".to_owned()),
            last_drift_steps: has_device.then_some(if row.waiting_until.is_some() { -1 } else { 0 }),
            waiting_until: row.waiting_until,
            login_locked_until: None,
            enrol_from: (row.state == FactorState::Enrol).then_some(ago(DAY)),
            last_reset_at: None,
        },
        pending_email: Some("a.smith@new.example.com".to_owned()),
        pending_email_at: Some(ago(2 * DAY)),
        email_changed_at: None,
        password_changed_at: Some(ago(203 * DAY)),
        has_password: true,
        sessions: vec![
            session("s1", "Firefox 135 on Linux", 120),
            session("s2", "Safari on iPhone", 3_600),
            session("s3", "Chrome on Windows\u{1b}[31m", 4 * DAY),
        ],
        api_keys: vec![ApiKeyView {
            id: "k1".to_owned(),
            label: "ci-upload".to_owned(),
            value: None,
            mask_value: Some("phx_...9f2c".to_owned()),
            created_at: "2026-01-01T00:00:00Z".to_owned(),
            last_used_at: Some("2026-11-23T06:00:00Z".to_owned()),
            last_rolled_at: None,
            user_id: row.id,
            scopes: vec!["user:read".to_owned()],
            scoped_teams: Vec::new(),
            scoped_organizations: Vec::new(),
            description: None,
            is_legacy_hashing: false,
            local_dev_value: None,
        }],
        remembered_devices: 1,
        mails_waiting: 0,
        mails: mails(),
        unlocked_today: 0,
        namesakes: vec!["anna.smith@edu.example.com".to_owned()],
        audit: vec![
            entry(48_213, 180, Event::TwoFactorLoginFailed, AuditActor::Anonymous, None),
            entry(48_100, 9 * DAY, Event::TwoFactorUnlocked, operator, Some("typed wrong codes, HD-4602")),
        ],
        warnings: vec!["e-mail change pending since 2 days: check the caller with extra care".to_owned()],
        row,
    }
}

/// One of each state, the newest first.
fn mails() -> Vec<MailRow> {
    let mail = |kind: &str, to: &str, seconds, state, error: Option<&str>| MailRow {
        kind: kind.to_owned(),
        to: to.to_owned(),
        at: ago(seconds),
        state,
        error: error.map(str::to_owned),
    };
    let (present, wanted) = ("anna.smith@corp.example.com", "a.smith@new.example.com");
    vec![
        mail("verify_email", wanted, 180, MailState::Queued, Some("451 try again later\u{1b}[31m")),
        mail("verify_email", wanted, 2 * DAY, MailState::Failed, Some("550 mailbox unavailable")),
        mail("two_factor_enabled", present, 9 * DAY, MailState::HandedOver, None),
    ]
}

pub fn status() -> ServerStatus {
    ServerStatus {
        version: "0.1.0".to_owned(),
        mode: "live".to_owned(),
        public_url: "https://id.example.com".to_owned(),
        pid: 1,
        users: 1_000_000,
        users_by_state: Vec::new(),
        outbox_waiting: 0,
        outbox_failed: 0,
        audit_newest: 48_213,
        mail_available: true,
        started_at: ago(12 * DAY),
        rights: Rights::Operator,
    }
}

/// Answers like a server that knows [`users`], and remembers what it was asked.
#[derive(Clone)]
pub struct Server {
    /// Who is found.
    pub users: Arc<Mutex<Vec<UserRow>>>,
    pub asked: Arc<Mutex<Vec<Request>>>,
    pub status: Arc<Mutex<ServerStatus>>,
    /// What became of a write whose answer was lost.
    pub outcome: Arc<Mutex<RequestOutcome>>,
    /// What waits for a second operator.
    pub approvals: Arc<Mutex<Vec<ApprovalRow>>>,
    pub jobs: Arc<Mutex<Vec<JobRow>>>,
    /// Mails that wait for a user once a reset was done.
    pub mails_after_write: Arc<AtomicUsize>,
    /// Every request fails with this.
    pub broken: Arc<Mutex<Option<Failure>>>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            users: Arc::new(Mutex::new(users())),
            asked: Arc::default(),
            status: Arc::new(Mutex::new(status())),
            outcome: Arc::new(Mutex::new(RequestOutcome::Unknown)),
            approvals: Arc::new(Mutex::new(approvals())),
            jobs: Arc::new(Mutex::new(jobs())),
            mails_after_write: Arc::default(),
            broken: Arc::default(),
        }
    }
}

impl Server {
    pub fn answer(&self, request: Request) -> Answer {
        self.asked.lock().unwrap().push(request.clone());
        if let Some(failure) = self.broken.lock().unwrap().clone() {
            return Err(failure);
        }
        let done = |summary: &str| {
            let summary = summary.to_owned();
            Ok(Reply::Done(Done { email: "anna.smith@corp.example.com".to_owned(), summary, audit_number: 48_214 }))
        };
        match request {
            Request::Connect | Request::ConnectAs(_) | Request::Reconnect => Ok(Reply::Connected { live: true }),
            Request::Status => Ok(Reply::Status(Box::new(self.status.lock().unwrap().clone()))),
            Request::Find(find) => Ok(Reply::Users(self.found(&find))),
            Request::LookUp(_) => Ok(Reply::LookedUp(self.outcome.lock().unwrap().clone())),
            Request::Count(count) => {
                let count = self.matching(&count.query, &count.filters).len() as u64;
                Ok(Reply::Count(Hits { count, is_exact: true }))
            }
            Request::Inspect(inspect) => {
                let all = self.users.lock().unwrap().clone().into_iter().chain(users());
                let row = all
                    .into_iter()
                    .find(|row| [row.uuid.to_string(), row.email.clone()].contains(&inspect.user.0))
                    .unwrap();
                let mut detail = detail(row);
                let is_reset = |request: &Request| matches!(request, Request::Reset(reset) if !reset.dry_run);
                if self.asked.lock().unwrap().iter().any(is_reset) {
                    detail.mails_waiting = self.mails_after_write.load(Ordering::SeqCst);
                }
                Ok(Reply::User(Box::new(detail)))
            }
            Request::Audit(asked) => {
                let mut rows = detail(users().remove(1)).audit;
                let is_by = |row: &AuditRow, who: &str| matches!(&row.record.actor, AuditActor::Operator { name, .. } if name == who);
                rows.retain(|row| asked.filter.actor.as_ref().is_none_or(|who| is_by(row, who)));
                Ok(Reply::Audit(AuditPage { rows, next: None, newest: 48_213 }))
            }
            Request::Reset(reset) => Ok(Reply::Reset(reset_reply(&reset))),
            Request::Overview(_) => Ok(Reply::Overview(Box::new(overview()))),
            Request::Explain(explain) => Ok(Reply::Explained(explanation(explain.code.expose()))),
            Request::StartEnrolment(_) => Ok(Reply::EnrolmentStarted(enrolment())),
            Request::Demand(_) => done("a new device is demanded from now on"),
            Request::Export(page) => write(&page),
            Request::DiscardExport(_) => Ok(Reply::Exported(Exported { rows: 0, next: None })),
            Request::Approvals(_) => Ok(Reply::Approvals(self.approvals.lock().unwrap().clone())),
            Request::Approve(_) => done("carried out, as mrossi asked"),
            Request::Refuse(_) => done("refused; nothing was done"),
            Request::Jobs(_) => Ok(Reply::Jobs(self.jobs.lock().unwrap().clone())),
            Request::Job(read) => Ok(Reply::Job(Box::new(job_detail(&read, &self.jobs.lock().unwrap())))),
            Request::DraftJob(draft) => Ok(Reply::Draft(drafted(&draft))),
            Request::StartJob(_) => Ok(Reply::Steered(jobs().remove(0))),
            Request::SteerJob(steer) => {
                let mut row = jobs().into_iter().find(|row| row.id == steer.id).unwrap();
                row.state = match steer.act {
                    JobAct::Pause => JobState::Paused,
                    JobAct::Resume => JobState::Running,
                    JobAct::Stop => JobState::Stopped,
                };
                Ok(Reply::Steered(row))
            }
            Request::ConfirmEnrolment(confirm) if confirm.code.expose() == RIGHT_CODE => {
                done("the new device is in force")
            }
            Request::ConfirmEnrolment(_) => {
                let text = "this is not the code of the new device; try the next one";
                Err(Failure::Refused(Error::refused("token_invalid", text)))
            }
            Request::Unlock(_) => done("anna.smith@corp.example.com can sign in again"),
            Request::RevokeCodes(_) => done("2 backup codes deleted; the device stays"),
            Request::ResendVerification(_) => done("verification mail queued"),
            Request::CancelEmailChange(_) => done("the change was cancelled"),
            Request::RevokeSessions(_) => done("3 sessions ended"),
            Request::RevokeKey(_) => done("API key revoked"),
            Request::RevokeAllKeys(_) => done("3 API keys revoked"),
        }
    }
}

/// A file with two pages; there is one called `taken`.
fn write(page: &ExportPage) -> Answer {
    match (&page.page, page.path.to_str()) {
        (Page::First { replace: false }, Some("taken")) => {
            Err(Failure::Refused(Error::refused(export::EXISTS, "there is such a file")))
        }
        (Page::First { .. }, Some("forbidden")) => {
            Err(Failure::Refused(Error::refused("file_failed", "the file cannot be written: permission denied")))
        }
        (Page::First { .. }, _) => Ok(Reply::Exported(Exported { rows: 500, next: Some("500".to_owned()) })),
        (Page::Next(_), _) => Ok(Reply::Exported(Exported { rows: 20, next: None })),
    }
}

impl Server {
    fn matching(&self, query: &str, filters: &[UserFilter]) -> Vec<UserRow> {
        let matches = |row: &UserRow| {
            row.email.contains(query)
                && filters.iter().all(|filter| match *filter {
                    UserFilter::State(state) => row.state == state,
                    UserFilter::Staff(is_staff) => row.is_staff == is_staff,
                    _ => true,
                })
        };
        self.users.lock().unwrap().iter().filter(|row| matches(row)).cloned().collect()
    }

    /// A window of the list; a place is the id of a user.
    fn found(&self, find: &FindUsers) -> UserRows {
        let list = self.matching(&find.query, &find.filters);
        let at = |place: &str| list.iter().position(|row| row.uuid.to_string() == place).unwrap();
        let latest = list.len().saturating_sub(find.limit);
        let (start, end) = match &find.from {
            ListFrom::Start => (0, find.limit),
            ListFrom::End => (latest, list.len()),
            ListFrom::After(place) => (at(place) + 1, at(place) + 1 + find.limit),
            ListFrom::Before(place) => (at(place).saturating_sub(find.limit), at(place)),
            ListFrom::Share(percent) => {
                let start = (list.len() * usize::from(*percent) / 100).min(latest);
                (start, start + find.limit)
            }
        };
        let end = end.min(list.len());
        let rows = list[start.min(end)..end].to_vec();
        let place = |row: Option<&UserRow>, there: bool| row.filter(|_| there).map(|row| row.uuid.to_string());
        UserRows {
            before: place(rows.first(), start > 0),
            after: place(rows.last(), end < list.len()),
            hits: Hits { count: list.len() as u64, is_exact: true },
            position: Some(start as u64),
            total: 1_000_000,
            rows,
        }
    }
}

/// What waits for a second operator.
pub fn approvals() -> Vec<ApprovalRow> {
    vec![ApprovalRow {
        id: "a1b2".to_owned(),
        operation: Act::ResetTwoFactor,
        email: "lena.koch@corp.example.com".to_owned(),
        asked_by: "mrossi (uid 1001)".to_owned(),
        is_own: false,
        reason: "lost phone, HD-4711".to_owned(),
        verified_by: Some("call-back".to_owned()),
        options: vec!["revokes keys".to_owned()],
        asked_at: ago(120),
        expires_at: start().plus_seconds(780),
    }]
}

/// A running job, and one that is done.
pub fn jobs() -> Vec<JobRow> {
    let job = |id: &str, kind, state, done| JobRow {
        id: id.to_owned(),
        kind,
        state,
        asked_by: "jdoe".to_owned(),
        reason: "staff without 2FA, audit of November".to_owned(),
        created_at: ago(900),
        finished_at: None,
        users: 214,
        done,
        skipped: 6,
        failed: 1,
        rate_note: None,
    };
    let require = JobKind::RequireEnrolment { from: start().plus_seconds(8 * DAY) };
    vec![job("8", JobKind::RemindToEnrol, JobState::Running, 93), job("7", require, JobState::Done, 207)]
}

/// The results of a job that were asked for: the first three are told in full, all that were not dealt with wait.
fn job_detail(read: &ReadJob, jobs: &[JobRow]) -> JobDetail {
    let row = jobs.iter().find(|row| row.id == read.id).unwrap().clone();
    let result = |number, email: &str, outcome, note: Option<&str>, audit_number| JobResult {
        number,
        email: email.to_owned(),
        outcome,
        note: note.map(str::to_owned),
        audit_number,
    };
    let dealt_with = row.seen_to();
    let any = |number: u64| match number {
        1 => result(1, "anna.smith@corp.example.com", JobOutcome::Done, None, Some(48_300)),
        2 => result(2, "joanna.storm@corp.example.com", JobOutcome::Skipped, Some("reminded today"), None),
        3 => result(3, "tom\u{1b}[31m@edu.example.com", JobOutcome::Failed, Some("550 mailbox unavailable"), None),
        number => {
            let outcome = if number <= dealt_with { JobOutcome::Done } else { JobOutcome::Waiting };
            result(number, &format!("user{number}@edu.example.com"), outcome, None, None)
        }
    };
    let first = read.after.unwrap_or(0);
    let end = (first + read.limit as u64).min(row.users);
    JobDetail { results: (first + 1..=end).map(any).collect(), next: (end < row.users).then_some(end), row }
}

fn drafted(draft: &DraftJob) -> JobDraft {
    let users = match &draft.selection {
        Selection::Users(users) => users.len() as u64,
        Selection::Matching { .. } => 214,
    };
    JobDraft {
        id: "9".to_owned(),
        kind: draft.kind,
        users,
        does: users - 1,
        skipped: vec![("has a second factor".to_owned(), 1)],
        samples: vec!["anna.schmidt@corp.example.com".to_owned(), "anna.smith@edu.example.com".to_owned()],
        expires_at: start().plus_seconds(3_600),
    }
}

/// A morning with something to do.
pub fn overview() -> Overview {
    let attention = |kind, count, days: Option<i64>, filters| Attention {
        kind,
        count,
        oldest_at: days.map(|days| ago(days * DAY)),
        note: None,
        filters,
    };
    let mut attentions = vec![
        attention(AttentionKind::Locked, 12, None, vec![UserFilter::Locked]),
        attention(AttentionKind::MailPending, 4, Some(6), vec![UserFilter::MailPending]),
        attention(
            AttentionKind::StaffWithout,
            214,
            None,
            vec![UserFilter::Staff(true), UserFilter::State(FactorState::Off)],
        ),
        attention(AttentionKind::FewCodes, 381, None, vec![UserFilter::CodesAtMost(2)]),
        attention(AttentionKind::ToldToEnrol, 0, None, vec![UserFilter::State(FactorState::Enrol)]),
        attention(AttentionKind::MailFailed, 2, None, vec![UserFilter::MailFailed]),
    ];
    attentions[5].note = Some("550 mailbox unavailable\u{1b}[31m".to_owned());
    let mut last_actions = detail(users().remove(1)).audit;
    last_actions.remove(0);
    Overview {
        roles: vec![
            Adoption { is_staff: true, with: 9_310, of: 9_524 },
            Adoption { is_staff: false, with: 603_122, of: 990_476 },
        ],
        with_week_ago: Some((608_480, 1_000_000)),
        enrolments_per_day: (0..60).map(|day| if day % 7 > 4 { 0 } else { 10 + day * (60 - day) }).collect(),
        attention: attentions,
        resets_today: 9,
        resets_usual: Some((4, 8)),
        locked_last_hour: 12,
        locked_usual: Some(3),
        last_actions,
        store_bytes: 931_000_000,
        started_at: ago(12 * DAY),
        outbox_waiting: 0,
        audit_newest: 48_213,
    }
}

/// The code that the phone shows.
pub const RIGHT_CODE: &str = "482913";
/// The key of an enrolment.
pub const KEY: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

pub fn enrolment() -> EnrolmentStarted {
    let email = "anna.smith@edu.example.com";
    EnrolmentStarted {
        email: email.to_owned(),
        secret: Secret::from(KEY),
        uri: Secret::new(short_otpauth_uri("Doorward", email, KEY)),
        expires_at: start().plus_seconds(600),
    }
}

fn explanation(code: &str) -> CodeExplanation {
    let is_right = code == RIGHT_CODE;
    let text = if is_right {
        "the code is right and would be accepted now"
    } else {
        "right secret, but the phone's clock is about 90 s slow (or the code is that old): set its clock to automatic"
    };
    CodeExplanation {
        accepted: is_right,
        verdict: if is_right { "accepted" } else { "clock_off" }.to_owned(),
        explanation: text.to_owned(),
        drift_steps: Some(if is_right { 0 } else { -3 }),
        server_time: start(),
    }
}

fn reset_reply(reset: &ResetTwoFactor) -> TwoFactorReset {
    TwoFactorReset {
        dry_run: reset.dry_run,
        email: "anna.smith@corp.example.com".to_owned(),
        totp_enrolled_at: Some(ago(285 * DAY)),
        totp_removed: true,
        backup_codes_deleted: 2,
        sessions_ended: if reset.keep_sessions { 0 } else { 3 },
        remembered_devices_forgotten: 1,
        api_keys_revoked: usize::from(reset.revoke_keys),
        staged_email_dropped: false,
        notice_to: vec!["anna.smith@corp.example.com".to_owned()],
        enrolment_demanded: true,
        audit_number: (!reset.dry_run).then_some(48_214),
    }
}

/// A console whose questions are answered at once.
pub struct Console {
    pub model: Model,
    pub server: Server,
    pub now: Timestamp,
    /// Commands other than questions.
    pub commands: Vec<Cmd>,
    /// Questions wait for [`Console::release`].
    pub hold: bool,
    held: Vec<Cmd>,
}

impl Console {
    /// Started and connected; the cursor is in Find.
    pub fn new(theme: Theme, columns: u16, rows: u16) -> Self {
        Self::unconnected(theme, columns, rows).connected()
    }

    pub fn connected(mut self) -> Self {
        let commands = update::start(&mut self.model);
        self.carry_out(commands);
        self
    }

    /// Answers the questions that were held.
    pub fn release(&mut self) {
        self.hold = false;
        let held = std::mem::take(&mut self.held);
        self.carry_out(held);
    }

    pub fn unconnected(theme: Theme, columns: u16, rows: u16) -> Self {
        let mut model = Model::new(theme, (columns, rows), start());
        model.operator = "jdoe".to_owned();
        model.session = "7c3e9b01f4d2".to_owned();
        Self { model, server: Server::default(), now: start(), commands: Vec::new(), hold: false, held: Vec::new() }
    }

    pub fn send(&mut self, msg: Msg) {
        let commands = update::update(&mut self.model, msg, self.now);
        self.carry_out(commands);
    }

    fn carry_out(&mut self, commands: Vec<Cmd>) {
        for command in commands {
            match command {
                Cmd::Perform { .. } if self.hold => self.held.push(command),
                Cmd::Perform { slot, serial, request, .. } => {
                    let answer = self.server.answer(request);
                    self.send(Msg::Answer { slot, serial, answer });
                }
                other => self.commands.push(other),
            }
        }
    }

    pub fn key(&mut self, code: KeyCode) {
        self.send(Msg::Key(KeyEvent::new(code, KeyModifiers::NONE)));
    }

    /// Presses a key for each letter; `\n` is Enter, `\t` Tab.
    pub fn keys(&mut self, letters: &str) {
        for letter in letters.chars() {
            self.key(match letter {
                '\n' => KeyCode::Enter,
                '\t' => KeyCode::Tab,
                letter => KeyCode::Char(letter),
            });
        }
    }

    pub fn pass(&mut self, milliseconds: i64) {
        self.now = Timestamp::from_micros(self.now.as_micros() + milliseconds * 1_000);
        self.send(Msg::Tick);
    }

    /// Finds Anna Smith, who is locked, and turns writes on.
    pub fn at_anna(mut self) -> Self {
        self.keys("anna.smith@corp\nW");
        self.model.toast = None;
        self
    }

    /// Opens the dialog of an action and waits until it listens.
    pub fn dialog(&mut self, letter: char) {
        self.keys("a");
        self.keys(&letter.to_string());
        self.pass(300);
    }

    pub fn lose_server(&mut self) {
        assert_eq!(self.model.link, LinkState::Live);
        *self.server.broken.lock().unwrap() = Some(Failure::Lost);
        self.pass(1_100);
    }

    /// The cells of the screen.
    pub fn buffer(&self) -> Buffer {
        let (columns, rows) = self.model.size;
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
        terminal.draw(|frame| view::draw(&self.model, frame)).unwrap();
        terminal.backend().buffer().clone()
    }

    pub fn screen(&self) -> String {
        let (columns, rows) = self.model.size;
        let buffer = self.buffer();
        let mut text = String::new();
        for y in 0..rows {
            let mut line = String::new();
            let mut skip = 0;
            for x in 0..columns {
                if skip > 0 {
                    skip -= 1;
                    continue;
                }
                let symbol = buffer[(x, y)].symbol();
                skip = crate::console::text::width(symbol).saturating_sub(1);
                line.push_str(symbol);
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}
