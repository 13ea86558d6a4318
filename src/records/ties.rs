//! What follows from what: of every entry of the store, from which record it follows, and of every record, which entries
//! follow from it. A check of the store goes by it; whatever changes a record writes the same.
//!
//! Left out are the notes about what has no time of its own (windows of rate limits, whose notes move by settings, and
//! mails that were given up), and the users and results of a job.

use super::audit::index_keys;
use super::mail_notes::kept_until;
use super::{OutboxRecord, Records, Reminder, Result, codec, decode_entry, index_entries, keys};
use crate::domain::api_key::ApiKey;
use crate::domain::approval::Approval;
use crate::domain::audit::{AuditRecord, JOB};
use crate::domain::backoff::LoginFailures;
use crate::domain::checkpoint::Checkpoint;
use crate::domain::id::{InviteId, OrganizationId, UserId};
use crate::domain::job::{Job, JobId, JobState, Outcome, REMINDED_SECONDS};
use crate::domain::mail::MailNote;
use crate::domain::organization::{Invite, Level, Membership, Organization, Team};
use crate::domain::rate::Window;
use crate::domain::session::{PENDING_TOTP_SECONDS, PendingTotp, RememberedDevice, Session};
use crate::domain::token::Token;
use crate::domain::user::User;
use crate::store::{Entry, Expect, LogEntry, decode_counter};

/// The families of records. Each has to be said something of in `app::lines`, too.
pub const RECORDS: &[&[u8]] = &[
    keys::USER,
    keys::SESSION,
    keys::PENDING_TOTP,
    keys::API_KEY,
    keys::REMEMBERED,
    keys::ATTEMPTS,
    keys::TOKEN,
    keys::ORGANIZATION,
    keys::MEMBERSHIP,
    keys::TEAM,
    keys::INVITE,
    keys::OUTBOX,
    keys::OUTBOX_FAILED,
    keys::USER_MAIL,
    keys::APPROVAL,
    keys::JOB,
    keys::JOB_USERS,
    keys::JOB_RESULT,
    keys::REMINDER,
    keys::ADOPTION,
    keys::AUDIT,
    keys::AUDIT_KEY,
    keys::AUDIT_CHECKPOINT,
    keys::AUDIT_START,
];

/// How an entry is tied to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tie {
    /// It is a record: [`Records::follows`] says what follows from it.
    Record,
    /// It follows from the record at this key; `None` when it names none.
    Follows(Option<Vec<u8>>),
    /// It stands alone: a counter, a guard, a note.
    Alone,
    /// Nothing is kept at such a key.
    Nothing,
}

/// What follows from a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Following {
    pub entries: Vec<(Vec<u8>, Vec<u8>)>,
    /// What it follows from besides: another key, as it was read.
    pub besides: Option<(Vec<u8>, Expect)>,
}

impl Following {
    pub fn has(&self, entry: &Entry) -> bool {
        self.entries.iter().any(|(key, value)| *key == entry.key && *value == entry.value)
    }
}

/// How the entry at a key is tied to others.
pub fn tie(entry: &Entry) -> Tie {
    let Entry { key, value, .. } = entry;
    let trailing = |make: fn(u64) -> Vec<u8>| keys::parse_trailing_number(key).map(make);
    let hash_behind = |make: fn(&[u8; 32]) -> Vec<u8>| key.last_chunk::<32>().map(make);
    let hash_in_value = |make: fn(&[u8; 32]) -> Vec<u8>| value.as_slice().try_into().ok().map(|hash| make(&hash));
    Tie::Follows(match keys::family(key) {
        keys::EMAIL | keys::USER_NUMBER | keys::USER_STATE | keys::ACTIVE_USER => {
            uuid_in(value).map(|id| keys::user(UserId(id)))
        }
        keys::USER_CREATED
        | keys::USER_SIGNED_IN
        | keys::USER_PENDING_EMAIL
        | keys::USER_CODES
        | keys::USER_WAITS
        | keys::USER_DEMANDED
        | keys::WORD
        | keys::NAME => keys::parse_trailing_user(key).map(keys::user),
        keys::USER_SESSION => hash_in_value(keys::session),
        keys::USER_API_KEY => hash_in_value(keys::api_key),
        keys::USER_REMEMBERED => hash_behind(keys::remembered),
        keys::ORGANIZATION_SLUG => uuid_in(value).map(|id| keys::organization(OrganizationId(id))),
        keys::USER_MEMBERSHIP => keys::parse_leading_user(key, keys::USER_MEMBERSHIP)
            .and_then(|user| Some(keys::membership(keys::parse_trailing_organization(key)?, user))),
        family @ (keys::ACTIVE_MEMBER | keys::ACTIVE_OWNER) => {
            let organization = keys::parse_leading_user(key, family).map(|UserId(id)| OrganizationId(id));
            organization.and_then(|id| Some(keys::membership(id, keys::parse_trailing_user(key)?)))
        }
        keys::ORGANIZATION_TEAM => trailing(keys::team),
        keys::ORGANIZATION_INVITE => keys::parse_trailing_invite(key).map(keys::invite),
        keys::EMAIL_INVITE => uuid_in(value).map(|id| keys::invite(InviteId(id))),
        keys::USER_OUTBOX => {
            key.last_chunk::<16>().filter(|_| value.len() == 8).map(|id| [keys::OUTBOX, value, id].concat())
        }
        keys::USER_FAILED_MAIL => key.last_chunk::<16>().map(keys::outbox_failed),
        keys::JOB_STARTED | keys::JOB_RUNNING => trailing(|number| keys::job(JobId(number))),
        keys::USER_AUDIT | keys::OPERATOR_AUDIT | keys::REQUEST_AUDIT | keys::JOB_AUDIT => trailing(keys::audit),
        keys::EXPIRY if value.is_empty() && keys::parse_expiry(key).is_some() => return Tie::Alone,
        keys::COUNTER if decode_counter(value).is_some() => return Tie::Alone,
        keys::GUARD | keys::USER_API_KEY_GUARD | keys::META | keys::LOG_HEAD => return Tie::Alone,
        family if RECORDS.contains(&family) => return Tie::Record,
        _ => return Tie::Nothing,
    })
}

impl Records {
    /// Which entries follow from a record; corrupt when it does not read.
    pub async fn follows(&self, record: &Entry) -> Result<Following> {
        let mut besides = None;
        let key = &record.key;
        let note = |at| (keys::expiry(at, key), Vec::new());
        let entries = match keys::family(key) {
            keys::USER => index_entries(&read::<User>(record)?),
            keys::AUDIT => index_keys(&audit_record(record)?, keys::parse_trailing_number(key).unwrap_or(0)),
            keys::SESSION => {
                let session: Session = read(record)?;
                let hash = key.strip_prefix(keys::SESSION).unwrap_or_default().to_vec();
                let listed = session.user.map(|user| (keys::user_session(user, session.id), hash));
                listed.into_iter().chain([note(session.expires_at)]).collect()
            }
            keys::PENDING_TOTP => {
                let pending: PendingTotp = read(record)?;
                vec![note(pending.started_at.plus_seconds(PENDING_TOTP_SECONDS))]
            }
            keys::API_KEY => {
                let api_key: ApiKey = read(record)?;
                vec![(keys::user_api_key(api_key.user, &api_key.id), api_key.hash.to_vec())]
            }
            keys::REMEMBERED => {
                let device: RememberedDevice = read(record)?;
                let hash = key.last_chunk().ok_or_else(|| codec::corrupt(key, "not a hash"))?;
                vec![(keys::user_remembered(device.user, hash), Vec::new()), note(device.expires_at)]
            }
            keys::ATTEMPTS if key.starts_with(keys::WINDOW) => read::<Window>(record).map(|_| Vec::new())?,
            keys::ATTEMPTS => vec![note(read::<LoginFailures>(record)?.forgotten_at)],
            keys::TOKEN => vec![note(read::<Token>(record)?.expires_at)],
            keys::ORGANIZATION => {
                let organization: Organization = read(record)?;
                vec![(keys::organization_slug(&organization.slug), organization.id.as_bytes().to_vec())]
            }
            keys::MEMBERSHIP => {
                let membership: Membership = read(record)?;
                let user = self.user(membership.user).await?;
                let is_active = user.as_ref().is_some_and(|user| user.value.is_active);
                let expect = user.map_or(Expect::Absent, |user| Expect::Version(user.version));
                besides = Some((keys::user(membership.user), expect));
                of_membership(&membership, is_active)
            }
            keys::TEAM => {
                let team: Team = read(record)?;
                vec![(keys::organization_team(team.organization, team.number), Vec::new())]
            }
            keys::INVITE => {
                let invite: Invite = read(record)?;
                let listed = keys::organization_invite(invite.organization, invite.created_at, invite.id);
                let by_email = keys::email_invite(invite.target_email.as_str(), invite.organization);
                vec![(listed, Vec::new()), (by_email, invite.id.as_bytes().to_vec())]
            }
            keys::OUTBOX => read::<OutboxRecord>(record)?.listed().into_iter().collect(),
            keys::OUTBOX_FAILED => {
                let mail: OutboxRecord = read(record)?;
                mail.user.map(|user| (keys::user_failed_mail(user, &mail.id), Vec::new())).into_iter().collect()
            }
            keys::USER_MAIL => vec![note(kept_until(&read::<MailNote>(record)?))],
            keys::APPROVAL => vec![note(read::<Approval>(record)?.expires_at)],
            keys::JOB => {
                let job: Job = read(record)?;
                let started = job.state.map(|_| (keys::job_started(job.id), Vec::new()));
                let running = (job.state == Some(JobState::Running)).then(|| (keys::job_running(job.id), Vec::new()));
                started.into_iter().chain(running).chain(job.kept_until().map(note)).collect()
            }
            keys::JOB_USERS => read::<super::FrozenUsers>(record).map(|_| Vec::new())?,
            keys::JOB_RESULT => read::<Outcome>(record).map(|_| Vec::new())?,
            keys::REMINDER => vec![note(read::<Reminder>(record)?.at.plus_seconds(REMINDED_SECONDS))],
            keys::ADOPTION => read::<super::days::Adoption>(record).map(|_| Vec::new())?,
            keys::AUDIT_KEY => read::<super::AuditKey>(record).map(|_| Vec::new())?,
            keys::AUDIT_CHECKPOINT | keys::AUDIT_START => read::<Checkpoint>(record).map(|_| Vec::new())?,
            _ => return Err(codec::corrupt(key, "no record of a kind that is known")),
        };
        Ok(Following { entries, besides })
    }

    /// Whether an entry follows from this record, which it names.
    pub async fn is_following(&self, record: &Entry, entry: &Entry) -> Result<bool> {
        if keys::family(&entry.key) == keys::JOB_AUDIT {
            // Which of the job's users it was, the trail does not say.
            let details = audit_record(record)?.details;
            let job = keys::parse_leading_number(&entry.key, keys::JOB_AUDIT).map(|number| number.to_string());
            return Ok(details.iter().any(|(name, value)| name == JOB && Some(value) == job.as_ref()));
        }
        Ok(self.follows(record).await?.has(entry))
    }
}

fn of_membership(membership: &Membership, is_active: bool) -> Vec<(Vec<u8>, Vec<u8>)> {
    let Membership { user, joined_at, organization, level, .. } = *membership;
    let mut keys = vec![keys::user_membership(user, joined_at, organization)];
    if is_active {
        keys.push(keys::active_member(organization, joined_at, user));
    }
    if is_active && level == Level::Owner {
        keys.push(keys::active_owner(organization, user));
    }
    keys.into_iter().map(|key| (key, Vec::new())).collect()
}

fn read<T: codec::Record>(entry: &Entry) -> Result<T> {
    Ok(decode_entry(entry)?.value)
}

fn audit_record(entry: &Entry) -> Result<AuditRecord> {
    let link = LogEntry::decode(&entry.value).ok_or_else(|| codec::corrupt(&entry.key, "too short"))?;
    codec::decode(keys::AUDIT, &link.payload)
}

fn uuid_in(value: &[u8]) -> Option<uuid::Uuid> {
    uuid::Uuid::from_slice(value).ok()
}
