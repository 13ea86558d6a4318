//! One account: its password, its second factor, the sessions, logins under way and remembered devices.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use super::super::*;
use super::dice::Dice;
use super::history::{Model, Recorder};

/// Passwords that the account changes between.
const PASSWORDS: [&str; 2] = [PASSWORD, "another long secret phrase"];

/// Anything that has been handed out: a session, a login under way, a remembered device, a secret, a backup code.
type Name = usize;

/// A right code of some kind.
#[derive(Clone, Copy, Debug)]
pub enum Code {
    Totp { secret: Name, step: i64 },
    Backup(Name),
}

/// How a call with a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// The session had been ended.
    NotAuthenticated,
    Refused,
}

#[derive(Clone, Debug)]
pub enum LoginEnd {
    Done(Name),
    Pending(Name),
    Refused,
}

#[derive(Clone, Debug)]
pub enum CodeEnd {
    Done { session: Name, device: Option<Name> },
    Expired,
    Wrong,
    Waiting,
}

#[derive(Clone, Debug)]
pub enum Event {
    Login {
        password: usize,
        device: Option<Name>,
        end: LoginEnd,
    },
    Complete {
        pending: Name,
        code: Code,
        now: i64,
        end: CodeEnd,
    },
    /// A session was presented, whatever for.
    Check {
        session: Name,
        is_live: bool,
    },
    Status {
        is_enabled: bool,
        codes: usize,
    },
    Logout {
        session: Name,
    },
    RevokeOne {
        session: Name,
        is_found: bool,
    },
    RevokeOthers {
        session: Name,
        end: Outcome,
    },
    RevokeAll,
    Reset,
    StartSetup {
        session: Name,
        secret: Option<Name>,
    },
    Validate {
        session: Name,
        secret: Name,
        step: i64,
        end: Outcome,
    },
    Regenerate {
        session: Name,
        codes: Vec<Name>,
        end: Outcome,
    },
    Disable {
        session: Name,
        end: Outcome,
    },
    RevokeCodes {
        is_done: bool,
    },
    ChangePassword {
        session: Name,
        from: usize,
        to: usize,
        end: Outcome,
    },
    SetActive {
        active: bool,
        is_done: bool,
    },
}

/// Wrong codes in a row, and the moment of the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Wrong {
    count: u32,
    last: i64,
}

impl Wrong {
    /// After the n-th wrong code 2^n seconds pass before another one is looked at.
    fn asks_to_wait(self, now: i64) -> bool {
        self.count > 0 && now < self.last + (1 << self.count)
    }

    fn and_one(self, now: i64) -> Self {
        Self { count: self.count + 1, last: now }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Factor {
    secret: Name,
    last_step: i64,
    codes: BTreeSet<Name>,
    wrong_totp: Wrong,
    wrong_backup: Wrong,
}

/// A session as long as it is not ended by itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Session {
    epoch: u32,
    is_gone: bool,
}

/// The account as it would be if all came one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Account {
    password: usize,
    is_active: bool,
    factor: Option<Factor>,
    /// Moves with the factor; what is bound to an older one is void. So with the next two.
    generation: u32,
    epoch: u32,
    remembering: u32,
    sessions: BTreeMap<Name, Session>,
    /// Epoch, generation, and whether it was used up.
    pending: BTreeMap<Name, (u32, u32, bool)>,
    devices: BTreeMap<Name, (u32, u32)>,
    setups: BTreeMap<Name, (Name, u32)>,
}

impl Account {
    fn is_live(&self, session: Name) -> bool {
        self.is_active && self.sessions.get(&session).is_some_and(|kept| !kept.is_gone && kept.epoch == self.epoch)
    }

    /// What a call decided for a session: it was let in before, so that only the end of all of them is seen.
    fn allows(&self, session: Name, end: Outcome) -> bool {
        match end {
            Outcome::Done => self.sessions.get(&session).is_some_and(|kept| kept.epoch == self.epoch),
            Outcome::NotAuthenticated => !self.is_live(session),
            // For many reasons, which others hold the server to; here it only has no effect.
            Outcome::Refused => true,
        }
    }

    /// Ends all sessions but this one.
    fn end_sessions(&mut self, but: Option<Name>) {
        self.epoch += 1;
        if let Some(kept) = but.and_then(|session| self.sessions.get_mut(&session)).filter(|kept| !kept.is_gone) {
            kept.epoch = self.epoch;
        }
    }

    fn forget_devices(&mut self) {
        self.remembering += 1;
    }

    fn begin(&mut self, session: Name) {
        self.sessions.insert(session, Session { epoch: self.epoch, is_gone: false });
    }

    fn replace_factor(&mut self, factor: Option<Factor>) {
        self.factor = factor;
        self.generation += 1;
    }

    fn logged_in(mut self, password: usize, device: Option<Name>, end: &LoginEnd) -> Option<Self> {
        if !self.is_active || password != self.password {
            return matches!(end, LoginEnd::Refused).then_some(self);
        }
        let bound = (self.remembering, self.generation);
        let is_remembered = match device {
            Some(device) => *self.devices.get(&device)? == bound,
            None => false,
        };
        match (*end).clone() {
            LoginEnd::Refused => return None,
            LoginEnd::Pending(_) if self.factor.is_none() || is_remembered => return None,
            LoginEnd::Pending(name) => drop(self.pending.insert(name, (self.epoch, self.generation, false))),
            LoginEnd::Done(name) => {
                if let Some(factor) = &mut self.factor {
                    if !is_remembered {
                        return None;
                    }
                    factor.wrong_totp = Wrong::default();
                }
                self.begin(name);
            }
        }
        Some(self)
    }

    fn completed(mut self, pending: Name, code: Code, now: i64, end: &CodeEnd) -> Option<Self> {
        // Another task may have had it before the login was noted.
        let &(epoch, generation, is_used) = self.pending.get(&pending)?;
        let is_void = epoch != self.epoch || generation != self.generation || !self.is_active;
        let is_expired = is_void || is_used;
        let Some(factor) = self.factor.as_mut().filter(|_| !is_void) else {
            return matches!(end, CodeEnd::Expired).then_some(self);
        };
        let (wrong, is_right) = match code {
            Code::Totp { secret, step } => {
                let is_near = (step - totp::step_at(Timestamp::from_seconds(now))).abs() <= totp::TOLERANCE_STEPS;
                (&mut factor.wrong_totp, secret == factor.secret && is_near && step > factor.last_step)
            }
            Code::Backup(code) => (&mut factor.wrong_backup, factor.codes.contains(&code)),
        };
        match end {
            CodeEnd::Expired => return is_expired.then_some(self),
            CodeEnd::Waiting => return wrong.asks_to_wait(now).then_some(self),
            // A login that was used up meanwhile may still have its wrong code counted.
            CodeEnd::Wrong if is_right || wrong.asks_to_wait(now) => return None,
            CodeEnd::Wrong => *wrong = wrong.and_one(now),
            CodeEnd::Done { .. } if is_used || !is_right || wrong.asks_to_wait(now) => return None,
            CodeEnd::Done { session, device } => {
                match code {
                    Code::Totp { step, .. } => factor.last_step = step,
                    Code::Backup(code) => drop(factor.codes.remove(&code)),
                }
                (factor.wrong_totp, factor.wrong_backup) = (Wrong::default(), Wrong::default());
                self.pending.insert(pending, (epoch, generation, true));
                self.begin(*session);
                if let Some(device) = device {
                    self.devices.insert(*device, (self.remembering, self.generation));
                }
            }
        }
        Some(self)
    }

    fn validated(mut self, session: Name, secret: Name, step: i64, end: Outcome) -> Option<Self> {
        if end != Outcome::Done {
            return self.allows(session, end).then_some(self);
        }
        if !self.allows(session, end) || self.setups.get(&session) != Some(&(secret, self.generation)) {
            return None;
        }
        self.setups.remove(&session);
        let (wrong_totp, wrong_backup) = (Wrong::default(), Wrong::default());
        let codes = BTreeSet::new();
        self.replace_factor(Some(Factor { secret, last_step: step, codes, wrong_totp, wrong_backup }));
        self.end_sessions(Some(session));
        Some(self)
    }
}

impl Model for Account {
    type Event = Event;

    fn after(&self, event: &Event) -> Option<Self> {
        let mut now = self.clone();
        let is_allowed = match event.clone() {
            Event::Login { password, device, end } => return now.logged_in(password, device, &end),
            Event::Complete { pending, code, now: at, end } => return now.completed(pending, code, at, &end),
            Event::Validate { session, secret, step, end } => return now.validated(session, secret, step, end),
            Event::Check { session, is_live } => self.is_live(session) == is_live,
            Event::Status { is_enabled, codes } => {
                let kept = self.factor.as_ref().map(|factor| factor.codes.len());
                kept.is_some() == is_enabled && kept.unwrap_or_default() == codes
            }
            Event::Logout { session } => {
                now.sessions.get_mut(&session)?.is_gone = true;
                true
            }
            Event::RevokeOne { session, is_found } => {
                let is_live = self.is_live(session);
                now.sessions.get_mut(&session)?.is_gone |= is_found;
                is_found == is_live
            }
            Event::RevokeOthers { session, end } => {
                if end == Outcome::Done {
                    now.end_sessions(Some(session));
                    now.forget_devices();
                }
                self.allows(session, end)
            }
            Event::RevokeAll => {
                now.end_sessions(None);
                now.forget_devices();
                true
            }
            Event::Reset => {
                now.replace_factor(None);
                now.end_sessions(None);
                now.forget_devices();
                true
            }
            Event::StartSetup { session, secret } => {
                if let Some(secret) = secret {
                    now.setups.insert(session, (secret, self.generation));
                }
                true
            }
            Event::Regenerate { session, codes, end } => {
                if end == Outcome::Done {
                    let factor = now.factor.as_mut()?;
                    factor.codes = codes.into_iter().collect();
                    factor.wrong_backup = Wrong::default();
                }
                self.allows(session, end)
            }
            Event::Disable { session, end } => {
                if end == Outcome::Done && self.factor.is_some() {
                    now.replace_factor(None);
                }
                self.allows(session, end)
            }
            Event::RevokeCodes { is_done } => {
                let had_some = self.factor.as_ref().is_some_and(|factor| !factor.codes.is_empty());
                if let Some(factor) = &mut now.factor {
                    factor.codes.clear();
                }
                is_done == had_some
            }
            Event::ChangePassword { session, from, to, end } => {
                if end == Outcome::Done {
                    now.password = to;
                    now.end_sessions(Some(session));
                    now.forget_devices();
                }
                self.allows(session, end) && (end != Outcome::Done || self.password == from)
            }
            Event::SetActive { active, is_done } => {
                if is_done {
                    now.is_active = active;
                }
                if is_done && !active {
                    now.end_sessions(None);
                    now.forget_devices();
                }
                is_done == (self.is_active != active)
            }
        };
        is_allowed.then_some(now)
    }

    fn only_looks(event: &Event) -> bool {
        match event {
            Event::Check { .. } | Event::Status { .. } => true,
            Event::Login { end, .. } => matches!(end, LoginEnd::Refused),
            Event::Complete { end, .. } => matches!(end, CodeEnd::Expired | CodeEnd::Waiting),
            Event::Validate { end, .. }
            | Event::RevokeOthers { end, .. }
            | Event::Regenerate { end, .. }
            | Event::Disable { end, .. }
            | Event::ChangePassword { end, .. } => *end != Outcome::Done,
            Event::StartSetup { secret, .. } => secret.is_none(),
            Event::RevokeOne { is_found: is_done, .. }
            | Event::RevokeCodes { is_done }
            | Event::SetActive { is_done, .. } => !is_done,
            Event::Logout { .. } | Event::RevokeAll | Event::Reset => false,
        }
    }
}

/// What somebody holds who takes part.
#[derive(Default)]
struct Held {
    sessions: Vec<(Name, Secret)>,
    pending: Vec<(Name, Secret)>,
    devices: Vec<(Name, Secret)>,
    secrets: Vec<(Name, Vec<u8>)>,
    codes: Vec<(Name, String)>,
    setups: Vec<(Name, Name)>,
}

/// One account, the calls made to it, and what is known of it.
pub struct Play {
    app: App,
    email: String,
    user: UserId,
    pub recorder: Recorder<Event>,
    held: Mutex<Held>,
    names: AtomicUsize,
    /// Seconds; each call is one later than the one before it.
    now: AtomicI64,
}

/// What a round is about: how often each kind of call is made.
#[derive(Clone, Copy, Debug)]
pub struct Theme(&'static [(u32, Act)]);

#[derive(Clone, Copy, Debug)]
enum Act {
    Login,
    Complete,
    Look,
    Logout,
    RevokeOne,
    RevokeOthers,
    RevokeAll,
    Reset,
    StartSetup,
    Validate,
    Regenerate,
    Disable,
    RevokeCodes,
    ChangePassword,
    Deactivate,
    Reactivate,
}

pub const THEMES: &[Theme] = &[
    // Codes, of which each works once.
    Theme(&[(1, Act::Login), (8, Act::Complete), (1, Act::Look), (1, Act::Regenerate), (1, Act::RevokeCodes)]),
    // Sessions that are ended.
    Theme(&[
        (2, Act::Login),
        (3, Act::Complete),
        (6, Act::Look),
        (2, Act::Logout),
        (2, Act::RevokeOne),
        (2, Act::RevokeOthers),
        (1, Act::RevokeAll),
        (2, Act::ChangePassword),
        (1, Act::Deactivate),
        (2, Act::Reactivate),
    ]),
    // Resets, and the factors before and after them.
    Theme(&[
        (4, Act::Login),
        (4, Act::Complete),
        (3, Act::Look),
        (2, Act::Reset),
        (1, Act::Disable),
        (3, Act::StartSetup),
        (4, Act::Validate),
        (2, Act::Regenerate),
    ]),
    // Everything.
    Theme(&[
        (3, Act::Login),
        (4, Act::Complete),
        (4, Act::Look),
        (1, Act::Logout),
        (1, Act::RevokeOne),
        (1, Act::RevokeOthers),
        (1, Act::RevokeAll),
        (1, Act::Reset),
        (2, Act::StartSetup),
        (2, Act::Validate),
        (1, Act::Regenerate),
        (1, Act::Disable),
        (1, Act::RevokeCodes),
        (1, Act::ChangePassword),
        (1, Act::Deactivate),
        (2, Act::Reactivate),
    ]),
];

impl Play {
    /// An account with a second factor, three backup codes, a session, and some logins that wait for their code.
    pub async fn new(app: &App, email: String) -> (Self, Account) {
        let now = crate::clock::now().as_seconds();
        let world = World { app: app.clone(), now: Timestamp::from_seconds(now) };
        let user = world.create(&email, false).await;
        let play = Self {
            app: app.clone(),
            email,
            user,
            recorder: Recorder::new(),
            held: Mutex::default(),
            names: AtomicUsize::new(0),
            now: AtomicI64::new(now),
        };
        let initial = Account {
            password: 0,
            is_active: true,
            factor: None,
            generation: 0,
            epoch: 0,
            remembering: 0,
            sessions: BTreeMap::new(),
            pending: BTreeMap::new(),
            devices: BTreeMap::new(),
            setups: BTreeMap::new(),
        };
        let mut dice = Dice::new(0);
        for act in [Act::Login, Act::StartSetup, Act::Validate, Act::Regenerate] {
            play.act(act, &mut dice).await;
        }
        for _ in 0..4 {
            play.login(0, None).await;
        }
        (play, initial)
    }

    /// Makes some calls, one after the other.
    pub async fn run(&self, theme: Theme, calls: usize, mut dice: Dice) {
        for _ in 0..calls {
            let act = *dice.weighted(theme.0);
            self.act(act, &mut dice).await;
        }
    }

    /// Looks at everything once more, when nobody else is there.
    pub async fn look_at_all(&self) {
        let sessions = self.held.lock().unwrap().sessions.clone();
        for session in &sessions {
            self.look(session).await;
        }
        for password in 0..PASSWORDS.len() {
            self.login(password, None).await;
        }
        let pending = self.held.lock().unwrap().pending.clone();
        let code = self.held.lock().unwrap().codes.last().cloned();
        if let Some((name, code)) = code {
            for pending in pending.iter().rev().take(2) {
                self.complete(pending, Code::Backup(name), &code, false).await;
            }
        }
    }

    async fn act(&self, act: Act, dice: &mut Dice) {
        let session = self.pick(dice, |held| &held.sessions);
        match (act, session) {
            (Act::Login, _) => {
                let device = self.pick(dice, |held| &held.devices).filter(|_| dice.one_in(3));
                let password = usize::from(dice.one_in(6));
                self.login(password, device).await;
            }
            (Act::Complete, _) => self.complete_something(dice).await,
            (Act::RevokeAll, _) => {
                let revoke = RevokeSessions { user: self.named(), id: None, proof: proof_for(&self.email) };
                self.by_operator(revoke, |_| Event::RevokeAll).await;
            }
            (Act::Reset, _) => self.by_operator(reset_of(&self.email, false), |_| Event::Reset).await,
            (Act::RevokeCodes, _) => {
                let revoke = RevokeBackupCodes { user: self.named(), proof: proof_for(&self.email) };
                self.by_operator(revoke, |is_done| Event::RevokeCodes { is_done }).await;
            }
            (Act::Deactivate | Act::Reactivate, _) => {
                let active = matches!(act, Act::Reactivate);
                let set = SetUserActive { user: self.named(), active, proof: Proof::of(REASON) };
                self.by_operator(set, |is_done| Event::SetActive { active, is_done }).await;
            }
            (Act::Look, Some(session)) => self.look(&session).await,
            (Act::Logout, Some(session)) => {
                let (name, begun) = (session.0, self.recorder.now());
                if let Some(identity) = self.let_in(begun, &session).await {
                    self.call(&identity, Logout {}).await.unwrap();
                    self.recorder.note(begun, Event::Logout { session: name });
                }
            }
            (Act::RevokeOne, Some(session)) => self.revoke_one(&session, dice).await,
            (Act::RevokeOthers, Some(session)) => {
                let revoke = RevokeOtherSessions { user: me(), remembered: Vec::new() };
                self.by_session(&session, revoke, |session, end, _| Event::RevokeOthers { session, end }).await;
            }
            (Act::StartSetup, Some(session)) => self.start_setup(&session).await,
            (Act::Validate, _) => self.validate(dice).await,
            (Act::Regenerate, Some(session)) => {
                let event = |session, end, made: Option<BackupCodes>| {
                    let codes = made.map(|made| made.backup_codes).unwrap_or_default();
                    let codes = codes.iter().map(|code| self.hold(code.expose().to_owned(), |held| &mut held.codes));
                    Event::Regenerate { session, codes: codes.collect(), end }
                };
                self.by_session(&session, RegenerateBackupCodes { user: me() }, event).await;
            }
            (Act::Disable, Some(session)) => {
                let disable = DisableTwoFactor { user: me(), fields: fields(&json!({})) };
                self.by_session(&session, disable, |session, end, _| Event::Disable { session, end }).await;
            }
            (Act::ChangePassword, Some(session)) => {
                let from = usize::from(dice.one_in(2));
                let to = 1 - from;
                let change = json!({"password": PASSWORDS[to], "current_password": PASSWORDS[from]});
                let change = UpdateUser { user: me(), fields: fields(&change), replace: false };
                let event = |session, end, _| Event::ChangePassword { session, from, to, end };
                self.by_session(&session, change, event).await;
            }
            (_, None) => {}
        }
    }

    async fn login(&self, password: usize, device: Option<(Name, Secret)>) {
        let begun = self.recorder.now();
        let (device, remembered) = device.unzip();
        let fields = fields(&json!({"email": self.email, "password": PASSWORDS[password]}));
        let login = Login { fields, remembered: remembered.into_iter().collect() };
        let end = match self.call(&Identity::Anonymous, login).await {
            Ok(LoginOutcome::Done { session }) => LoginEnd::Done(self.hold(session.key, |held| &mut held.sessions)),
            Ok(LoginOutcome::SecondFactorRequired { session }) => {
                LoginEnd::Pending(self.hold(session.unwrap().key, |held| &mut held.pending))
            }
            Ok(LoginOutcome::EmailCodeRequired { .. }) => panic!("no codes by mail are configured"),
            Err(error) if error.code() == "invalid_credentials" => LoginEnd::Refused,
            Err(error) => panic!("{error:?}"),
        };
        self.recorder.note(begun, Event::Login { password, device, end });
    }

    /// Few different codes, so that several have the same at once.
    async fn complete_something(&self, dice: &mut Dice) {
        let Some(pending) = self.pick_of_last(dice, 4, |held| &held.pending) else { return };
        let remember = dice.one_in(3);
        if dice.one_in(2)
            && let Some((name, code)) = self.pick_of_last(dice, 4, |held| &held.codes)
        {
            return self.complete(&pending, Code::Backup(name), &code, remember).await;
        }
        let Some((secret, bytes)) = self.pick_of_last(dice, 2, |held| &held.secrets) else { return };
        let here = totp::step_at(Timestamp::from_seconds(self.now.load(Ordering::SeqCst)));
        let step = here + i64::from(dice.below(3)) - 1;
        let code = totp::code_at(&bytes, step);
        self.complete(&pending, Code::Totp { secret, step }, &code, remember).await;
    }

    async fn complete(&self, (pending, key): &(Name, Secret), code: Code, typed: &str, remember: bool) {
        let begun = self.recorder.now();
        let now = self.next_second();
        let identity = self.identity(key).await;
        let fields = fields(&json!({"token": typed, "remember": remember}));
        let end = match self.at(now, &identity, CompleteLogin { fields }).await {
            Ok(done) => CodeEnd::Done {
                session: self.hold(done.session.key, |held| &mut held.sessions),
                device: done.remembered.map(|device| self.hold(device.value, |held| &mut held.devices)),
            },
            Err(error) => match error.code() {
                "2fa_expired" => CodeEnd::Expired,
                "2fa_invalid" => CodeEnd::Wrong,
                "2fa_too_many_attempts" => CodeEnd::Waiting,
                _ => panic!("{error:?}"),
            },
        };
        self.recorder.note(begun, Event::Complete { pending: *pending, code, now: now.as_seconds(), end });
    }

    async fn look(&self, session: &(Name, Secret)) {
        let begun = self.recorder.now();
        if let Some(identity) = self.let_in(begun, session).await {
            let status = self.call(&identity, RetrieveTwoFactorStatus { user: me() }).await.unwrap();
            let codes = status.backup_codes_remaining;
            self.recorder.note(begun, Event::Status { is_enabled: status.is_enabled, codes });
        }
    }

    async fn revoke_one(&self, session: &(Name, Secret), dice: &mut Dice) {
        let begun = self.recorder.now();
        let Some((target, key)) = self.pick(dice, |held| &held.sessions) else { return };
        let Some(identity) = self.let_in(begun, session).await else { return };
        let id = crate::domain::session::public_id("session", &sha256(key.expose().as_bytes())).to_string();
        let is_found = match self.call(&identity, RevokeLoginSession { user: me(), id }).await {
            Ok(()) => true,
            Err(error) if error.code() == "not_found" => false,
            // A new second factor is demanded first.
            Err(Error::TwoFactorSetupRequired) => return,
            Err(error) => panic!("{error:?}"),
        };
        self.recorder.note(begun, Event::RevokeOne { session: target, is_found });
    }

    async fn start_setup(&self, session: &(Name, Secret)) {
        let begun = self.recorder.now();
        let Some(identity) = self.let_in(begun, session).await else { return };
        let started = self.call(&identity, StartTotpSetup { user: me() }).await.ok();
        let secret = started.map(|setup| {
            let bytes = totp::decode_secret(setup.secret.expose()).unwrap();
            let secret = self.hold(bytes, |held| &mut held.secrets);
            self.held.lock().unwrap().setups.push((session.0, secret));
            secret
        });
        self.recorder.note(begun, Event::StartSetup { session: session.0, secret });
    }

    async fn validate(&self, dice: &mut Dice) {
        let Some((name, secret)) = self.pick_of_last(dice, 3, |held| &held.setups) else { return };
        let find = |held: &Held| {
            let session = held.sessions.iter().find(|session| session.0 == name).cloned();
            session.zip(held.secrets.iter().find(|known| known.0 == secret).cloned())
        };
        let Some((session, (_, bytes))) = find(&self.held.lock().unwrap()) else { return };
        let begun = self.recorder.now();
        let Some(identity) = self.let_in(begun, &session).await else { return };
        let now = self.next_second();
        let step = totp::step_at(now);
        let fields = fields(&json!({"token": totp::code_at(&bytes, step)}));
        let end = outcome(&self.at(now, &identity, ValidateTotp { user: me(), fields }).await);
        self.recorder.note(begun, Event::Validate { session: name, secret, step, end });
    }

    /// A call with a session: that it was let in is one event, what the call did another.
    async fn by_session<O: Operation>(
        &self,
        session: &(Name, Secret),
        operation: O,
        event: impl FnOnce(Name, Outcome, Option<O::Reply>) -> Event,
    ) {
        let begun = self.recorder.now();
        if let Some(identity) = self.let_in(begun, session).await {
            let result = self.call(&identity, operation).await;
            self.recorder.note(begun, event(session.0, outcome(&result), result.ok()));
        }
    }

    async fn by_operator<O: Operation>(&self, operation: O, event: impl FnOnce(bool) -> Event) {
        let begun = self.recorder.now();
        let result = self.call(&operator(), operation).await;
        if let Err(error) = &result {
            assert!(matches!(error.code(), "no_backup_codes" | "nothing_to_change"), "{error:?}");
        }
        self.recorder.note(begun, event(result.is_ok()));
    }

    /// The identity behind a session, if it still is one.
    async fn let_in(&self, begun: u32, (session, key): &(Name, Secret)) -> Option<Identity> {
        let identity = self.identity(key).await;
        let is_live = matches!(identity, Identity::Session { .. });
        self.recorder.note(begun, Event::Check { session: *session, is_live });
        is_live.then_some(identity)
    }

    async fn identity(&self, key: &Secret) -> Identity {
        let presented = Presented { session: Some(key.clone()), ..Presented::default() };
        self.app.identify(&presented, self.next_second()).await.unwrap()
    }

    async fn call<O: Operation>(&self, identity: &Identity, operation: O) -> Result<O::Reply> {
        self.at(self.next_second(), identity, operation).await
    }

    async fn at<O: Operation>(&self, now: Timestamp, identity: &Identity, operation: O) -> Result<O::Reply> {
        World { app: self.app.clone(), now }.run(identity, operation).await
    }

    fn next_second(&self) -> Timestamp {
        Timestamp::from_seconds(self.now.fetch_add(1, Ordering::SeqCst))
    }

    fn named(&self) -> UserRef {
        UserRef(self.user.to_string())
    }

    fn hold<T>(&self, value: T, into: impl FnOnce(&mut Held) -> &mut Vec<(Name, T)>) -> Name {
        let name = self.names.fetch_add(1, Ordering::SeqCst);
        into(&mut self.held.lock().unwrap()).push((name, value));
        name
    }

    fn pick<T: Clone>(&self, dice: &mut Dice, of: impl FnOnce(&Held) -> &Vec<T>) -> Option<T> {
        self.pick_of_last(dice, usize::MAX, of)
    }

    fn pick_of_last<T: Clone>(&self, dice: &mut Dice, last: usize, of: impl FnOnce(&Held) -> &Vec<T>) -> Option<T> {
        let held = self.held.lock().unwrap();
        let all = of(&held);
        let some = &all[all.len().saturating_sub(last)..];
        (!some.is_empty()).then(|| dice.choose(some).clone())
    }
}

fn outcome<T>(result: &Result<T>) -> Outcome {
    match result {
        Ok(_) => Outcome::Done,
        Err(Error::NotAuthenticated) => Outcome::NotAuthenticated,
        Err(error) => {
            let is_trouble = |error: &Error| {
                matches!(error, Error::Unavailable { .. } | Error::Throttled { .. } | Error::Internal { .. })
            };
            assert!(!is_trouble(error), "{error:?}");
            Outcome::Refused
        }
    }
}
