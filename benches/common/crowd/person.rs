//! One user of the crowd: the record, what belongs to it, and what the audit trail says about it.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};

use doorward::app::second_factor::{kept_backup_code, seal_totp};
use doorward::domain::api_key::{ApiKey, mask};
use doorward::domain::audit::{AuditActor, AuditRecord, AuditTarget, Event, Outcome};
use doorward::domain::backoff::{FAILURES_MAX, Failures};
use doorward::domain::backup_code;
use doorward::domain::email::EmailAddress;
use doorward::domain::id::{SessionId, UserId};
use doorward::domain::secret::Secret;
use doorward::domain::session::{RememberedDevice, Session, public_id};
use doorward::domain::text;
use doorward::domain::time::Timestamp;
use doorward::domain::totp::{self, SECRET_BYTES};
use doorward::domain::user::{PasswordHash, TotpDevice, User};
use doorward::domain::vault::{Vault, sha256};
use doorward::records::{keys, put_api_key, put_remembered, put_session, put_user};
use doorward::store::Batch;
use uuid::Uuid;

use super::dice::{Dice, digest};
use super::names::{Name, Names};

const DAY: i64 = 86_400;
/// The first user joined so long ago; more and more join as time goes on.
const AGE_DAYS: i64 = 1_200;
/// So far back the trail goes.
pub const TRAIL_DAYS: i64 = 60;
const BACKUP_CODES: u64 = 10;
const SESSION_DAYS: i64 = 14;

/// Where staff works.
const STAFF_DOMAIN: &str = "corp.example.com";
const DOMAINS: &[&str] = &[
    "example.com",
    "example.org",
    "mail.example.net",
    "post.example",
    "edu.example.com",
    "corp.example.com",
    "web.example",
    "correo.example",
    "posta.example.org",
    "uni.example",
    "courrier.example.net",
    "students.example.edu",
];
const DEVICES: &[&str] = &[
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 \
     Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0",
    "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:132.0) Gecko/20100101 Firefox/132.0",
];
/// Login name and uid.
const OPERATORS: &[(&str, u32)] = &[("jdoe", 1001), ("mrossi", 1002), ("kchen", 1003), ("aweiss", 1004)];
const RESET_REASONS: &[&str] = &[
    "lost phone, HD-{}",
    "new phone, old one was wiped, HD-{}",
    "phone stolen on Friday, HD-{}",
    "authenticator deleted by mistake, HD-{}",
    "phone in repair for two weeks, HD-{}",
];
const UNLOCK_REASONS: &[&str] =
    &["typed wrong codes, HD-{}", "phone clock was slow, HD-{}", "code of the wrong account, HD-{}"];
const CHECKS: &[&str] = &["call-back to number on file", "video call with ID", "known in person, at the desk"];

/// What all users share.
pub struct Plan {
    pub seed: u64,
    /// The moment at which everything is as described.
    pub now: Timestamp,
    pub users: u64,
    pub vault: Vault,
    pub password_hash: PasswordHash,
}

/// A user as the outside sees it; found one after the other, since no two have the same address.
pub struct Who {
    pub number: u64,
    first: String,
    last: String,
    email: EmailAddress,
    is_staff: bool,
}

/// Draws users in the order of their numbers.
pub struct Draw {
    seed: u64,
    names: Names,
    number: u64,
    taken: HashSet<String>,
}

impl Draw {
    pub fn new(seed: u64) -> Self {
        Self { seed, names: Names::new(), number: 0, taken: HashSet::new() }
    }

    pub fn next(&mut self) -> Who {
        self.number += 1;
        let mut dice = Dice::new(self.seed, "name", self.number);
        let is_staff = dice.percent(1);
        let name = self.names.draw(&mut dice);
        let domain = if is_staff { STAFF_DOMAIN.to_owned() } else { domain(&mut dice, &name) };
        let local = local_part(&mut dice, &name, is_staff);
        let mut email = format!("{local}@{domain}");
        while !self.taken.insert(email.clone()) {
            email = format!("{local}{}@{domain}", 2 + dice.number(9_998));
        }
        let email = EmailAddress::parse(&email).expect("an address of the tables");
        Who { number: self.number, first: name.first, last: name.last, email, is_staff }
    }
}

/// One of ten works at a small company or has a domain of the family; the others are with the large ones.
fn domain(dice: &mut Dice, name: &Name) -> String {
    if dice.percent(10) && !name.latin_last.is_empty() {
        let tail = dice.pick(&["", "-consulting", "-media", "-group", "-bau", "-design"]);
        return format!("{}{tail}.example", name.latin_last.trim_matches('-'));
    }
    DOMAINS[dice.ranked(DOMAINS.len())].to_owned()
}

fn local_part(dice: &mut Dice, name: &Name, is_staff: bool) -> String {
    let (first, last) = (name.latin_first.trim_matches('-'), name.latin_last.trim_matches('-'));
    let initial = first.get(..1).unwrap_or("x");
    let (first, last) = (if first.is_empty() { "info" } else { first }, if last.is_empty() { "user" } else { last });
    if is_staff {
        return format!("{first}.{last}");
    }
    match dice.number(100) {
        0..45 => format!("{first}.{last}"),
        45..60 => format!("{initial}{last}"),
        60..70 => format!("{first}{last}"),
        70..76 => format!("{first}_{last}"),
        76..82 => format!("{last}.{first}"),
        82..94 => format!("{first}{}", 1955 + dice.number(55)),
        _ => format!("{first}.{last}{}", dice.number(100)),
    }
}

/// The TOTP secret of a user: the first 20 bytes of SHA-256 over `doorward crowd <seed> totp <number>`.
pub fn totp_secret(seed: u64, number: u64) -> [u8; SECRET_BYTES] {
    let digest = digest(seed, "totp", number);
    *digest.first_chunk().expect("32 are more than 20")
}

/// The backup codes of a user as they were made; the first ones may be used up.
pub fn backup_codes(seed: u64, number: u64) -> Vec<Secret> {
    let code = |place| {
        let digest = digest(seed, "backup code", number * BACKUP_CODES + place);
        Secret::new(backup_code::from_bytes(*digest.first_chunk().expect("32 are more than 5")))
    };
    (0..BACKUP_CODES).map(code).collect()
}

/// The value of a user's API key, for users who have any.
pub fn api_key_value(seed: u64, number: u64, place: u64) -> String {
    format!("phx_{}", text::base62(&digest(seed, &format!("api key {place}"), number)))
}

/// A user with all that belongs to it, as one batch, and the entries of the trail.
pub struct Made {
    pub batch: Batch,
    pub trail: Vec<AuditRecord>,
    pub joined_at: Timestamp,
    /// Since when there is a device.
    pub enrolled_at: Option<Timestamp>,
}

/// Makes one user.
pub fn make(plan: &Plan, who: Who) -> Made {
    let dice = Dice::new(plan.seed, "life", who.number);
    let joined = joined_at(plan, who.number);
    let user = User::new(user_id(plan, who.number, joined), who.number, String::new(), who.email, joined);
    let mut life = Life { plan, dice, user, batch: Batch::default(), trail: Vec::new() };
    life.user.distinct_id = text::base62(&digest(plan.seed, "distinct id", who.number));
    (life.user.first_name, life.user.last_name) = (who.first, who.last);
    life.user.is_staff = who.is_staff;
    life.account();
    life.second_factor();
    life.presence();
    life.api_keys();
    let batch = life.batch.add(keys::USER_NUMBER_COUNTER, 1);
    Made {
        batch: put_user(batch, None, &life.user),
        trail: life.trail,
        joined_at: joined,
        enrolled_at: life.user.second_factor.totp.map(|device| device.confirmed_at),
    }
}

/// The number of users grows with the square of time.
fn joined_at(plan: &Plan, number: u64) -> Timestamp {
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a moment of a made-up life")]
    let micros = (AGE_DAYS * DAY * 1_000_000) as f64 * (1.0 - (number as f64 / plan.users as f64).sqrt());
    #[allow(clippy::cast_possible_truncation, reason = "a moment of a made-up life")]
    let micros = micros as i64;
    Timestamp::from_micros(plan.now.as_micros() - micros)
}

/// As the server makes them, in the order of time.
fn user_id(plan: &Plan, number: u64, joined: Timestamp) -> UserId {
    let random: [u8; 10] = *digest(plan.seed, "id", number).first_chunk().expect("32 are more than 10");
    let millis = joined.as_millis().max(0).cast_unsigned();
    UserId(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
}

struct Life<'a> {
    plan: &'a Plan,
    dice: Dice,
    user: User,
    batch: Batch,
    trail: Vec<AuditRecord>,
}

impl Life<'_> {
    fn account(&mut self) {
        let now = self.plan.now;
        let joined = self.user.date_joined;
        self.user.password_hash = Some(self.plan.password_hash.clone());
        self.user.password_changed_at = Some(joined);
        self.user.is_email_verified = match self.dice.number(100) {
            0..97 => Some(true),
            97..99 => Some(false),
            _ => None,
        };
        self.user.is_active = !self.dice.per_million(15_000);
        self.user.last_login = match self.dice.number(100) {
            0..7 if !self.user.is_staff => None,
            0..20 if now.seconds_since(joined) > 90 * DAY => Some(self.between(joined, now.plus_seconds(-90 * DAY))),
            _ => Some(self.lately(90).max(joined)),
        };
        if self.dice.per_million(200) {
            let asked = self.lately(6).max(joined);
            self.user.pending_email = EmailAddress::parse(&format!("new.{}", self.user.email));
            self.user.pending_email_at = Some(asked);
            self.told(Event::UserEmailChangeRequested, asked, &[]);
        }
        if self.dice.per_million(5_000) {
            let changed = self.between(joined, now);
            self.user.previous_email = EmailAddress::parse(&format!("old.{}", self.user.email));
            self.user.email_changed_at = Some(changed);
        }
    }

    fn second_factor(&mut self) {
        let Some(last_login) = self.user.last_login else { return };
        let now = self.plan.now;
        let mut from = self.user.date_joined;
        let share = if self.user.is_staff { 978_000 } else { 652_000 };
        let is_enrolled = if self.dice.per_million(450) {
            // Lost and reset within the time of the trail; most have a new device since.
            let reset = self.on_some_day().max(from);
            self.user.second_factor.last_reset_at = Some(reset);
            self.user.second_factor.generation = 2;
            let reason = *self.dice.pick(RESET_REASONS);
            self.operated(Event::TwoFactorReset, reset, reason, true);
            from = reset;
            self.dice.percent(80)
        } else {
            self.dice.per_million(share)
        };
        if !is_enrolled {
            let told = if self.dice.per_million(3_000) { Some(self.lately(30).max(from)) } else { None };
            self.user.second_factor.enrol_from = self.user.second_factor.last_reset_at.or(told);
            return;
        }
        let last_used = last_login.max(from.plus_seconds(3 * 3_600)).min(now);
        let confirmed = if self.dice.percent(50) { self.between(from, last_used) } else { from.plus_seconds(900) };
        let confirmed = confirmed.min(last_used);
        let secret = totp_secret(self.plan.seed, self.user.number);
        let sealed = seal_totp(&self.plan.vault, self.user.id, &secret).expect("a sealed secret");
        self.user.second_factor.totp = Some(TotpDevice {
            secret: sealed,
            confirmed_at: confirmed,
            last_used_at: Some(last_used),
            last_step: totp::step_at(last_used),
            disabled: false,
        });
        self.user.second_factor.generation += 1;
        self.told(Event::TwoFactorEnabled, confirmed, &[]);
        if self.dice.percent(55) {
            self.backup_codes(confirmed, last_used);
        }
        self.failures(confirmed);
    }

    /// Most sets are whole; a few are nearly used up.
    fn backup_codes(&mut self, made: Timestamp, last_used: Timestamp) {
        let used = match self.dice.number(10_000) {
            0..8_500 => 0,
            8_500..9_990 => 1 + self.dice.number(7),
            _ => 8 + self.dice.number(3),
        };
        let codes = backup_codes(self.plan.seed, self.user.number);
        let kept = codes.iter().skip(usize::try_from(used).unwrap_or_default());
        let kept = kept.map(|code| kept_backup_code(&self.plan.vault, &self.user, code).expect("a sealed code"));
        self.user.second_factor.backup_codes = kept.collect();
        self.user.second_factor.backup_codes_issued = u32::try_from(BACKUP_CODES).unwrap_or_default();
        self.user.second_factor.backup_codes_made_at = Some(made.plus_seconds(60).min(last_used));
        if used > 0 {
            let at = self.between(made, last_used);
            self.user.second_factor.backup_code_used_at = Some(at);
            let left = (BACKUP_CODES - used).to_string();
            self.told(Event::TwoFactorBackupCodeUsed, at, &[("remaining", &left)]);
        }
    }

    /// Wrong codes: a few who mistyped, a few who wait just now, a few whose device is disabled.
    fn failures(&mut self, confirmed: Timestamp) {
        let now = self.plan.now;
        let (count, last_at) = match self.dice.number(100_000) {
            0..2 => (10, now.plus_seconds(-self.seconds(600))),
            2..30 => (FAILURES_MAX, self.lately(30).max(confirmed)),
            30..330 => (1 + u32::try_from(self.dice.number(4)).unwrap_or_default(), self.lately(40).max(confirmed)),
            330..420 => {
                let at = self.on_some_day().max(confirmed);
                let reason = *self.dice.pick(UNLOCK_REASONS);
                self.told(Event::TwoFactorLoginFailed, at.plus_seconds(-240), &[("wrong_codes", "5")]);
                self.operated(Event::TwoFactorUnlocked, at, reason, false);
                return;
            }
            420..430 => {
                let at = self.on_some_day().max(confirmed);
                self.user.second_factor.backup_codes.clear();
                self.operated(
                    Event::TwoFactorBackupCodesRevoked,
                    at,
                    "list of codes was printed and lost, HD-{}",
                    true,
                );
                return;
            }
            430..440 => {
                let at = self.on_some_day().max(confirmed);
                self.operated(Event::SessionRevoked, at, "stolen laptop, HD-{}", true);
                return;
            }
            _ => return,
        };
        self.user.second_factor.totp_failures = Failures { count, last_at };
        self.told(Event::TwoFactorLoginFailed, last_at, &[("wrong_codes", &count.to_string())]);
        if count >= FAILURES_MAX
            && let Some(device) = &mut self.user.second_factor.totp
        {
            device.disabled = true;
            self.told(Event::TwoFactorLocked, Timestamp::from_micros(last_at.as_micros() + 1), &[]);
        }
    }

    /// Sessions of those who signed in lately, and devices that skip the second step.
    fn presence(&mut self) {
        let Some(last_login) = self.user.last_login else { return };
        let now = self.plan.now;
        let age = now.seconds_since(last_login);
        if age < SESSION_DAYS * DAY && self.dice.percent(50) {
            let sessions = if self.dice.percent(25) { 2 } else { 1 };
            for place in 0..sessions {
                let created = if place == 0 { last_login } else { last_login.max(self.lately(SESSION_DAYS)) };
                self.session(place, created);
            }
        }
        if self.user.second_factor.is_enabled() && age < 30 * DAY && self.dice.percent(5) {
            let hash = digest(self.plan.seed, "remembered", self.user.number);
            let device = RememberedDevice {
                user: self.user.id,
                epoch: 0,
                generation: self.user.second_factor.generation,
                created_at: last_login,
                expires_at: last_login.plus_seconds(30 * DAY),
                user_agent: (*self.dice.pick(DEVICES)).to_owned(),
            };
            self.with_batch(|batch| put_remembered(batch, &hash, &device));
        }
    }

    fn session(&mut self, place: u64, created: Timestamp) {
        let hash = digest(self.plan.seed, &format!("session {place}"), self.user.number);
        let session = Session {
            id: SessionId(public_id("session", &hash)),
            user: Some(self.user.id),
            epoch: 0,
            created_at: created,
            expires_at: created.plus_seconds(SESSION_DAYS * DAY),
            authenticated_at: created,
            verified_at: Some(created),
            last_activity: self.between(created, self.plan.now),
            login_method: "password".to_owned(),
            address: Some(self.address()),
            user_agent: (*self.dice.pick(DEVICES)).to_owned(),
            pending_login: None,
        };
        self.with_batch(|batch| put_session(batch, &hash, &session));
    }

    fn api_keys(&mut self) {
        if !self.dice.percent(2) {
            return;
        }
        for place in 0..=self.dice.number(3) {
            let value = api_key_value(self.plan.seed, self.user.number, place);
            let created = self.between(self.user.date_joined, self.plan.now);
            let key = ApiKey {
                id: text::base62(&digest(self.plan.seed, &format!("api key id {place}"), self.user.number)[..16]),
                user: self.user.id,
                label: (*self.dice.pick(&["ci-upload", "laptop", "nightly export", "dashboard", "backup job"]))
                    .to_owned(),
                description: None,
                mask: mask(&value),
                hash: sha256(value.as_bytes()),
                created_at: created,
                last_used_at: self.dice.percent(70).then(|| self.between(created, self.plan.now)),
                last_rolled_at: None,
                scopes: vec!["user:write".to_owned()],
                scoped_teams: Vec::new(),
                scoped_organizations: Vec::<Uuid>::new(),
            };
            self.with_batch(|batch| put_api_key(batch, None, &key));
        }
    }

    // ---- the trail ----

    /// Something that the user did, if the trail goes back so far.
    fn told(&mut self, event: Event, at: Timestamp, details: &[(&str, &str)]) {
        let email = self.user.email.as_str().to_owned();
        let actor = AuditActor::User { id: self.user.id, email, session: None, api_key: None };
        let address = Some(self.address().to_string());
        let user_agent = Some((*self.dice.pick(DEVICES)).to_owned());
        let outcome = if event == Event::TwoFactorLoginFailed { Outcome::Failed } else { Outcome::Done };
        let details = details.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let record = AuditRecord { outcome, details, ..self.entry(event, at, actor, address, user_agent) };
        self.write(record);
    }

    /// Something that an operator did to the user, for a reason with the number of a ticket.
    fn operated(&mut self, event: Event, at: Timestamp, reason: &str, is_checked: bool) {
        let (name, uid) = *self.dice.pick(OPERATORS);
        let ticket = 1_000 + self.dice.number(9_000);
        let reason = Some(reason.replace("{}", &ticket.to_string()));
        let verified_by = is_checked.then(|| (*self.dice.pick(CHECKS)).to_owned());
        let actor = AuditActor::Operator { uid, name: name.to_owned() };
        let record = AuditRecord { reason, verified_by, ..self.entry(event, at, actor, None, None) };
        self.write(record);
    }

    fn entry(
        &mut self,
        event: Event,
        at: Timestamp,
        actor: AuditActor,
        address: Option<String>,
        user_agent: Option<String>,
    ) -> AuditRecord {
        AuditRecord {
            at,
            event,
            actor,
            target: Some(AuditTarget { id: self.user.id, email: self.user.email.as_str().to_owned() }),
            address,
            user_agent,
            request_id: format!("{:016x}", self.dice.number(u64::MAX)),
            outcome: Outcome::Done,
            reason: None,
            verified_by: None,
            details: Vec::new(),
        }
    }

    fn write(&mut self, record: AuditRecord) {
        let age = self.plan.now.seconds_since(record.at);
        if (0..TRAIL_DAYS * DAY).contains(&age) {
            self.trail.push(record);
        }
    }

    // ---- chance ----

    fn with_batch(&mut self, change: impl FnOnce(Batch) -> Batch) {
        self.batch = change(std::mem::take(&mut self.batch));
    }

    fn seconds(&mut self, end: i64) -> i64 {
        self.dice.number(end.max(0).cast_unsigned()).cast_signed()
    }

    /// A moment from `from` on, before `to`.
    fn between(&mut self, from: Timestamp, to: Timestamp) -> Timestamp {
        let micros = (to.as_micros() - from.as_micros()).max(0).cast_unsigned();
        Timestamp::from_micros(from.as_micros() + self.dice.number(micros).cast_signed())
    }

    /// A moment in the last days, rather later than sooner.
    fn lately(&mut self, days: i64) -> Timestamp {
        let share = self.dice.share();
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a moment of a made-up life")]
        let micros = ((days * DAY * 1_000_000) as f64 * share * share) as i64;
        Timestamp::from_micros(self.plan.now.as_micros() - micros)
    }

    /// A moment in the time of the trail.
    fn on_some_day(&mut self) -> Timestamp {
        self.between(self.plan.now.plus_seconds(-TRAIL_DAYS * DAY), self.plan.now)
    }

    /// One of the networks that exist only in documents.
    fn address(&mut self) -> IpAddr {
        let [a, b, c] = *self.dice.pick(&[[203, 0, 113], [198, 51, 100], [192, 0, 2]]);
        let last = u8::try_from(1 + self.dice.number(254)).unwrap_or(1);
        IpAddr::V4(Ipv4Addr::new(a, b, c, last))
    }
}
