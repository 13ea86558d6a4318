//! The keys. Built only here; each reads aloud: `user/<id>`, `email/<address>`, `session/<hash>`.

use super::days::{Span, Tallied};
use crate::domain::id::{InviteId, OrganizationId, SessionId, UserId};
use crate::domain::job::JobId;
use crate::domain::time::Timestamp;
use crate::domain::token::Purpose;
use crate::domain::user::FactorState;
use crate::domain::vault::sha256;

pub const USER: &[u8] = b"user/";
/// What begins with the name of a user's records and lists: all that listings of users follow from.
pub const USERS: &[u8] = b"user";
pub const USER_CREATED: &[u8] = b"user_created/";
pub const USER_SIGNED_IN: &[u8] = b"user_signed_in/";
pub const USER_PENDING_EMAIL: &[u8] = b"user_pending_email/";
pub const USER_DEMANDED: &[u8] = b"user_demanded/";
pub const USER_WAITS: &[u8] = b"user_waits/";
pub const USER_FAILED_MAIL: &[u8] = b"user_failed_mail/";
pub const USER_SESSION: &[u8] = b"user_session/";
pub const USER_API_KEY: &[u8] = b"user_api_key/";
pub const USER_STATE: &[u8] = b"user_state/";
pub const USER_CODES: &[u8] = b"user_codes/";
pub const ACTIVE_USER: &[u8] = b"active_user/";
pub const WORD: &[u8] = b"word/";
pub const NAME: &[u8] = b"name/";
pub const USER_NUMBER: &[u8] = b"user_number/";
pub const EMAIL: &[u8] = b"email/";
pub const OUTBOX: &[u8] = b"outbox/";
pub const OUTBOX_FAILED: &[u8] = b"outbox_failed/";
pub const EXPIRY: &[u8] = b"expiry/";
pub const SESSION: &[u8] = b"session/";
pub const PENDING_TOTP: &[u8] = b"pending_totp/";
pub const REMEMBERED: &[u8] = b"remembered/";
pub const ATTEMPTS: &[u8] = b"attempts/";
/// Windows of rate limits; before [`ATTEMPTS`], below which they lie.
pub const WINDOW: &[u8] = b"attempts/window/";
pub const TOKEN: &[u8] = b"token/";
pub const ORGANIZATION: &[u8] = b"organization/";
pub const MEMBERSHIP: &[u8] = b"membership/";
pub const TEAM: &[u8] = b"team/";
pub const INVITE: &[u8] = b"invite/";
/// What deleted organizations left behind; a name in [`expiry`] only.
pub const ORGANIZATION_REMAINS: &[u8] = b"organization_remains/";
/// The audit log; entries lie at `audit/` + number.
pub const AUDIT: &[u8] = b"audit/";
/// Index of the audit log: what operators did, one by one. What a job did for one is not among it, but its start is.
pub const OPERATOR_AUDIT: &[u8] = b"operator_audit/";
/// Index of the audit log: the same, by the request's id.
pub const REQUEST_AUDIT: &[u8] = b"request_audit/";
/// The key that signs checkpoints of the trail; nothing lies below.
pub const AUDIT_KEY: &[u8] = b"audit_key/";
pub const AUDIT_CHECKPOINT: &[u8] = b"audit_checkpoint/";
/// Where the trail begins; nothing lies below.
pub const AUDIT_START: &[u8] = b"audit_start/";
pub const USER_MAIL: &[u8] = b"user_mail/";
pub const APPROVAL: &[u8] = b"approval/";
pub const JOB: &[u8] = b"job/";
pub const JOB_STARTED: &[u8] = b"job_started/";
pub const JOB_RUNNING: &[u8] = b"job_running/";
pub const REMINDER: &[u8] = b"reminder/";
pub const ADOPTION: &[u8] = b"adoption/";
pub const API_KEY: &[u8] = b"api_key/";
pub const USER_API_KEY_GUARD: &[u8] = b"user_api_key_guard/";
pub const USER_REMEMBERED: &[u8] = b"user_remembered/";
pub const ORGANIZATION_SLUG: &[u8] = b"organization_slug/";
pub const USER_MEMBERSHIP: &[u8] = b"user_membership/";
pub const ACTIVE_MEMBER: &[u8] = b"active_member/";
pub const ACTIVE_OWNER: &[u8] = b"active_owner/";
pub const ORGANIZATION_TEAM: &[u8] = b"organization_team/";
pub const ORGANIZATION_INVITE: &[u8] = b"organization_invite/";
pub const EMAIL_INVITE: &[u8] = b"email_invite/";
pub const USER_OUTBOX: &[u8] = b"user_outbox/";
pub const JOB_USERS: &[u8] = b"job_users/";
pub const JOB_RESULT: &[u8] = b"job_result/";
pub const JOB_AUDIT: &[u8] = b"job_audit/";
pub const USER_AUDIT: &[u8] = b"user_audit/";
pub const COUNTER: &[u8] = b"counter/";
pub const GUARD: &[u8] = b"guard/";
pub const META: &[u8] = b"meta/";
/// Where the store keeps the ends of logs.
pub const LOG_HEAD: &[u8] = b"log_head/";

/// Users there are, active or not.
pub const USERS_COUNTER: &[u8] = b"counter/users";
/// Users whose new address waits for verification.
pub const PENDING_EMAILS_COUNTER: &[u8] = b"counter/pending_emails";
/// The highest number (`id` on the wire) given to a user.
pub const USER_NUMBER_COUNTER: &[u8] = b"counter/user_number";
/// Organizations there are.
pub const ORGANIZATIONS_COUNTER: &[u8] = b"counter/organizations";
/// The highest number (`id` on the wire) given to a project.
pub const TEAM_NUMBER_COUNTER: &[u8] = b"counter/team_number";
/// Moved by whoever takes the staff flag (or the activity) from a user, so that the last one keeps it.
pub const STAFF_GUARD: &[u8] = b"guard/staff";
/// The highest number given to a job or a draft of one.
pub const JOB_COUNTER: &[u8] = b"counter/job";
/// Windows of rate limits there are.
pub const WINDOWS_COUNTER: &[u8] = b"counter/windows";
/// Mails in the outbox: those that will be tried.
pub const OUTBOX_COUNTER: &[u8] = b"counter/outbox";
/// Mails that were given up and are still kept.
pub const OUTBOX_FAILED_COUNTER: &[u8] = b"counter/outbox_failed";
/// Names the secret key that this store is sealed with.
pub const SECRET_KEY_ID: &[u8] = b"meta/secret_key_id";

/// When the newest backup was begun, in microseconds since 1970 (eight bytes, big endian).
pub const BACKUP_MARK: &[u8] = b"meta/backup";

/// Begins what is written of a failed login to an address that nobody has, where of one to somebody's there is a place in the
/// user's part of the trail: both take as long. Nobody reads it.
const NOBODY: &[u8] = b"meta/nobody/";

/// Below these lie the counters of users, each in one of them once.
pub const USER_COUNTERS: &[&[u8]] = &[b"counter/users", b"counter/active_users/", PENDING_EMAILS_COUNTER];

/// Whether a key is that of a counter in which users count.
pub fn is_user_counter(key: &[u8]) -> bool {
    key == USERS_COUNTER
        || key == PENDING_EMAILS_COUNTER
        || [&b"counter/users_in_state/"[..], b"counter/users_with_codes/", b"counter/active_users/"]
            .iter()
            .any(|prefix| key.starts_with(prefix))
}

/// The first word of a key, which says what is kept there; empty where there is none.
pub fn family(key: &[u8]) -> &[u8] {
    let end = key.iter().position(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    key.get(..end).unwrap_or_default()
}

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

pub fn user(id: UserId) -> Vec<u8> {
    join(&[USER, id.as_bytes()])
}

pub fn email(address: &str) -> Vec<u8> {
    join(&[EMAIL, address.as_bytes()])
}

pub fn user_number(number: u64) -> Vec<u8> {
    join(&[USER_NUMBER, &number.to_be_bytes()])
}

/// Users by the second in which they were made.
pub fn user_created(second: u32, id: UserId) -> Vec<u8> {
    join(&[USER_CREATED, &second.to_be_bytes(), id.as_bytes()])
}

/// Users by the second of their last login; 0: never.
pub fn user_signed_in(second: u32, id: UserId) -> Vec<u8> {
    join(&[USER_SIGNED_IN, &second.to_be_bytes(), id.as_bytes()])
}

/// Users whose new address waits for verification, the longest first.
pub fn user_pending_email(since: Timestamp, id: UserId) -> Vec<u8> {
    join(&[USER_PENDING_EMAIL, &sortable(since), id.as_bytes()])
}

/// Users without a device of whom one is demanded, by the moment from which.
pub fn user_demanded(from: Timestamp, id: UserId) -> Vec<u8> {
    join(&[USER_DEMANDED, &sortable(from), id.as_bytes()])
}

/// The time of a [`user_pending_email`] or [`user_demanded`] key.
pub fn parse_user_time(key: &[u8]) -> Option<Timestamp> {
    let (rest, _) = key.split_last_chunk::<16>()?;
    let (_, at) = rest.split_last_chunk::<8>()?;
    Some(unsortable(*at))
}

/// Users with a device and so many backup codes, which are few.
pub fn user_codes_prefix(codes: u8) -> Vec<u8> {
    join(&[USER_CODES, &[codes]])
}

pub fn user_codes(codes: u8, id: UserId) -> Vec<u8> {
    join(&[&user_codes_prefix(codes), id.as_bytes()])
}

/// How many users have a device and so many backup codes.
pub fn users_with_codes_counter(codes: u8) -> Vec<u8> {
    join(&[b"counter/users_with_codes/", &[codes]])
}

/// Users whom wrong codes make wait, by the moment until which.
pub fn user_waits(until: Timestamp, id: UserId) -> Vec<u8> {
    join(&[USER_WAITS, &sortable(until), id.as_bytes()])
}

/// Behind whom nobody waits any more at this moment.
pub fn user_waits_after(now: Timestamp) -> Vec<u8> {
    join(&[USER_WAITS, &sortable(now), &[u8::MAX; 16]])
}

/// Mails to a user that were given up and are still kept.
pub fn user_failed_mail_prefix(user: UserId) -> Vec<u8> {
    join(&[USER_FAILED_MAIL, user.as_bytes()])
}

pub fn user_failed_mail(user: UserId, id: &[u8; 16]) -> Vec<u8> {
    join(&[&user_failed_mail_prefix(user), id])
}

/// The user at the front of a key such as [`user_failed_mail`], [`user_api_key`] or [`user_session`].
pub fn parse_leading_user(key: &[u8], prefix: &[u8]) -> Option<UserId> {
    let (bytes, _) = key.strip_prefix(prefix)?.split_first_chunk::<16>()?;
    Some(UserId(uuid::Uuid::from_bytes(*bytes)))
}

/// Active users, all or of one role, in the order of their numbers.
pub fn active_user_prefix(is_staff: Option<bool>) -> Vec<u8> {
    let list: &[u8] = match is_staff {
        None => b"all/",
        Some(true) => b"staff/",
        Some(false) => b"other/",
    };
    join(&[ACTIVE_USER, list])
}

pub fn active_user(is_staff: Option<bool>, number: u64) -> Vec<u8> {
    join(&[&active_user_prefix(is_staff), &number.to_be_bytes()])
}

/// How many active users have a role.
pub fn active_users_counter(is_staff: bool) -> &'static [u8] {
    if is_staff { b"counter/active_users/staff" } else { b"counter/active_users/other" }
}

fn role(is_staff: bool) -> &'static [u8] {
    if is_staff { b"staff/" } else { b"other/" }
}

/// Users of one role and state, ordered by e-mail.
pub fn user_state_prefix(is_staff: bool, state: FactorState) -> Vec<u8> {
    join(&[USER_STATE, role(is_staff), state.as_str().as_bytes(), b"/"])
}

pub fn user_state(is_staff: bool, state: FactorState, address: &str) -> Vec<u8> {
    join(&[&user_state_prefix(is_staff, state), address.as_bytes()])
}

/// How many users have a role and are in a state.
pub fn users_in_state_counter(is_staff: bool, state: FactorState) -> Vec<u8> {
    join(&[b"counter/users_in_state/", role(is_staff), state.as_str().as_bytes()])
}

/// Below this lie the counters of how often something happened.
pub const TALLIES: &[u8] = b"counter/per_";

/// How often something happened in a span of time; continue with the number of the span.
pub fn tally_prefix(span: Span, what: Tallied) -> Vec<u8> {
    join(&[TALLIES, span.as_str().as_bytes(), b"/", what.as_str().as_bytes(), b"/"])
}

/// `number`: spans since the epoch.
pub fn tally(span: Span, what: Tallied, number: u64) -> Vec<u8> {
    join(&[&tally_prefix(span, what), &number.to_be_bytes()])
}

pub fn job(id: JobId) -> Vec<u8> {
    join(&[JOB, &id.0.to_be_bytes()])
}

/// The job of a [`job`] key.
pub fn parse_job(key: &[u8]) -> Option<JobId> {
    key.strip_prefix(JOB)?.try_into().ok().map(|bytes| JobId(u64::from_be_bytes(bytes)))
}

/// Jobs that were started.
pub fn job_started(id: JobId) -> Vec<u8> {
    join(&[JOB_STARTED, &id.0.to_be_bytes()])
}

/// Jobs that are running or waiting to.
pub fn job_running(id: JobId) -> Vec<u8> {
    join(&[JOB_RUNNING, &id.0.to_be_bytes()])
}

pub fn job_users_prefix(id: JobId) -> Vec<u8> {
    join(&[JOB_USERS, &id.0.to_be_bytes()])
}

/// A page of a job's users.
pub fn job_users(id: JobId, page: u64) -> Vec<u8> {
    join(&[&job_users_prefix(id), &page.to_be_bytes()])
}

pub fn job_result_prefix(id: JobId) -> Vec<u8> {
    join(&[JOB_RESULT, &id.0.to_be_bytes()])
}

/// What became of a job's user with this number.
pub fn job_result(id: JobId, number: u64) -> Vec<u8> {
    join(&[&job_result_prefix(id), &number.to_be_bytes()])
}

pub fn job_audit_prefix(id: JobId) -> Vec<u8> {
    join(&[JOB_AUDIT, &id.0.to_be_bytes()])
}

/// The audit entries of what a job did to its user with this number; continue with an entry's number.
pub fn job_audit(id: JobId, number: u64) -> Vec<u8> {
    join(&[&job_audit_prefix(id), &number.to_be_bytes()])
}

/// The numbers of user and entry of a [`job_audit`] key.
pub fn parse_job_audit(key: &[u8]) -> Option<(u64, u64)> {
    let (rest, entry) = key.split_last_chunk::<8>()?;
    let (_, user) = rest.split_last_chunk::<8>()?;
    Some((u64::from_be_bytes(*user), u64::from_be_bytes(*entry)))
}

/// The number behind a prefix, such as that of the job in a [`job_audit`] key.
pub fn parse_leading_number(key: &[u8], prefix: &[u8]) -> Option<u64> {
    key.strip_prefix(prefix)?.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

/// That a user was reminded.
pub fn reminder(user: UserId) -> Vec<u8> {
    join(&[REMINDER, user.as_bytes()])
}

/// How many users had a second factor at the start of a day, by days since the epoch.
pub fn adoption(day: u64) -> Vec<u8> {
    join(&[ADOPTION, &day.to_be_bytes()])
}

/// Users with a word of name or e-mail that starts with this.
pub fn word_prefix(start: &str) -> Vec<u8> {
    join(&[WORD, start.as_bytes()])
}

pub fn word(word: &str, id: UserId) -> Vec<u8> {
    join(&[&word_prefix(word), b"\0", id.as_bytes()])
}

/// Users of one full name, as [`name_key`](crate::domain::user_place::name_key) writes it.
pub fn name_prefix(name: &[u8]) -> Vec<u8> {
    join(&[NAME, name, b"\0"])
}

pub fn name(name: &[u8], id: UserId) -> Vec<u8> {
    join(&[&name_prefix(name), id.as_bytes()])
}

/// The user id at the end of a [`word`], [`name`], [`active_member`] or [`active_owner`] key.
pub fn parse_trailing_user(key: &[u8]) -> Option<UserId> {
    let (_, bytes) = key.split_last_chunk::<16>()?;
    Some(UserId(uuid::Uuid::from_bytes(*bytes)))
}

pub fn session(hash: &[u8; 32]) -> Vec<u8> {
    join(&[SESSION, hash])
}

pub fn user_session_prefix(user: UserId) -> Vec<u8> {
    join(&[USER_SESSION, user.as_bytes()])
}

pub fn user_session(user: UserId, id: SessionId) -> Vec<u8> {
    join(&[&user_session_prefix(user), id.as_bytes()])
}

pub fn pending_totp_prefix(user: UserId) -> Vec<u8> {
    join(&[PENDING_TOTP, user.as_bytes()])
}

/// `credential` is the hash that finds the session or API key which started the enrolment.
pub fn pending_totp(user: UserId, credential: &[u8; 32]) -> Vec<u8> {
    join(&[&pending_totp_prefix(user), credential])
}

pub fn api_key(hash: &[u8; 32]) -> Vec<u8> {
    join(&[API_KEY, hash])
}

pub fn user_api_key_prefix(user: UserId) -> Vec<u8> {
    join(&[USER_API_KEY, user.as_bytes()])
}

pub fn user_api_key(user: UserId, id: &str) -> Vec<u8> {
    join(&[&user_api_key_prefix(user), id.as_bytes()])
}

/// Moved by every new key of a user, so that the limit on their number holds.
pub fn api_key_guard(user: UserId) -> Vec<u8> {
    join(&[USER_API_KEY_GUARD, user.as_bytes()])
}

pub fn remembered(hash: &[u8; 32]) -> Vec<u8> {
    join(&[REMEMBERED, hash])
}

pub fn user_remembered_prefix(user: UserId) -> Vec<u8> {
    join(&[USER_REMEMBERED, user.as_bytes()])
}

pub fn user_remembered(user: UserId, hash: &[u8; 32]) -> Vec<u8> {
    join(&[&user_remembered_prefix(user), hash])
}

pub fn token(purpose: Purpose, user: Option<UserId>) -> Vec<u8> {
    let purpose: &[u8] = match purpose {
        Purpose::VerifyEmail => b"verify_email/",
        Purpose::ResetPassword => b"reset_password/",
        Purpose::ResetTwoFactor => b"reset_two_factor/",
        Purpose::LoginCode => b"login_code/",
        Purpose::Setup => b"setup/",
    };
    join(&[TOKEN, purpose, user.as_ref().map_or(&[][..], |id| id.as_bytes())])
}

pub fn organization(id: OrganizationId) -> Vec<u8> {
    join(&[ORGANIZATION, id.as_bytes()])
}

pub fn organization_slug(slug: &str) -> Vec<u8> {
    join(&[ORGANIZATION_SLUG, slug.as_bytes()])
}

/// All members of an organization, by user.
pub fn membership_prefix(organization: OrganizationId) -> Vec<u8> {
    join(&[MEMBERSHIP, organization.as_bytes()])
}

pub fn membership(organization: OrganizationId, user: UserId) -> Vec<u8> {
    join(&[&membership_prefix(organization), user.as_bytes()])
}

/// The organizations of a user, in the order of joining.
pub fn user_membership_prefix(user: UserId) -> Vec<u8> {
    join(&[USER_MEMBERSHIP, user.as_bytes()])
}

pub fn user_membership(user: UserId, joined_at: Timestamp, organization: OrganizationId) -> Vec<u8> {
    join(&[&user_membership_prefix(user), &sortable(joined_at), organization.as_bytes()])
}

/// The organization at the end of a [`user_membership`] key.
pub fn parse_trailing_organization(key: &[u8]) -> Option<OrganizationId> {
    let (_, bytes) = key.split_last_chunk::<16>()?;
    Some(OrganizationId(uuid::Uuid::from_bytes(*bytes)))
}

/// Active members of an organization, in the order of joining.
pub fn active_member_prefix(organization: OrganizationId) -> Vec<u8> {
    join(&[ACTIVE_MEMBER, organization.as_bytes()])
}

pub fn active_member(organization: OrganizationId, joined_at: Timestamp, user: UserId) -> Vec<u8> {
    join(&[&active_member_prefix(organization), &sortable(joined_at), user.as_bytes()])
}

/// The time and user at the end of an [`active_member`] key.
pub fn parse_active_member(key: &[u8]) -> Option<(Timestamp, UserId)> {
    let (rest, user) = key.split_last_chunk::<16>()?;
    let (_, at) = rest.split_last_chunk::<8>()?;
    Some((unsortable(*at), UserId(uuid::Uuid::from_bytes(*user))))
}

/// Active owners of an organization.
pub fn active_owner_prefix(organization: OrganizationId) -> Vec<u8> {
    join(&[ACTIVE_OWNER, organization.as_bytes()])
}

pub fn active_owner(organization: OrganizationId, user: UserId) -> Vec<u8> {
    join(&[&active_owner_prefix(organization), user.as_bytes()])
}

/// How many active members an organization has.
pub fn active_members_counter(organization: OrganizationId) -> Vec<u8> {
    join(&[b"counter/active_members/", organization.as_bytes()])
}

/// Moved by whoever takes an owner from an organization, so that the last one keeps it.
pub fn owner_guard(organization: OrganizationId) -> Vec<u8> {
    join(&[b"guard/owner/", organization.as_bytes()])
}

pub fn team(number: u64) -> Vec<u8> {
    join(&[TEAM, &number.to_be_bytes()])
}

/// The projects of an organization, by number.
pub fn organization_team_prefix(organization: OrganizationId) -> Vec<u8> {
    join(&[ORGANIZATION_TEAM, organization.as_bytes()])
}

pub fn organization_team(organization: OrganizationId, number: u64) -> Vec<u8> {
    join(&[&organization_team_prefix(organization), &number.to_be_bytes()])
}

/// Moved by every new project of an organization, so that the limit on their number holds.
pub fn team_guard(organization: OrganizationId) -> Vec<u8> {
    join(&[b"guard/team/", organization.as_bytes()])
}

pub fn invite(id: InviteId) -> Vec<u8> {
    join(&[INVITE, id.as_bytes()])
}

/// The invites of an organization, in the order of their creation.
pub fn organization_invite_prefix(organization: OrganizationId) -> Vec<u8> {
    join(&[ORGANIZATION_INVITE, organization.as_bytes()])
}

pub fn organization_invite(organization: OrganizationId, created_at: Timestamp, id: InviteId) -> Vec<u8> {
    join(&[&organization_invite_prefix(organization), &sortable(created_at), id.as_bytes()])
}

/// The invites for an e-mail address, one for each organization.
pub fn email_invite_prefix(address: &str) -> Vec<u8> {
    join(&[EMAIL_INVITE, address.as_bytes(), b"\0"])
}

pub fn email_invite(address: &str, organization: OrganizationId) -> Vec<u8> {
    join(&[&email_invite_prefix(address), organization.as_bytes()])
}

/// The invite at the end of an [`organization_invite`] key.
pub fn parse_trailing_invite(key: &[u8]) -> Option<InviteId> {
    let (_, bytes) = key.split_last_chunk::<16>()?;
    Some(InviteId(uuid::Uuid::from_bytes(*bytes)))
}

/// How many invites an organization has.
pub fn invites_counter(organization: OrganizationId) -> Vec<u8> {
    join(&[b"counter/invites/", organization.as_bytes()])
}

/// What a deleted organization left behind.
pub fn organization_remains(id: OrganizationId) -> Vec<u8> {
    join(&[ORGANIZATION_REMAINS, id.as_bytes()])
}

/// The organization of an [`organization_remains`] key.
pub fn parse_organization_remains(key: &[u8]) -> Option<OrganizationId> {
    let bytes: [u8; 16] = key.strip_prefix(ORGANIZATION_REMAINS)?.try_into().ok()?;
    Some(OrganizationId(uuid::Uuid::from_bytes(bytes)))
}

/// Failed logins of one account, address by address: continue with the address's hash.
pub fn attempts_of_account(email: &str) -> Vec<u8> {
    join(&[ATTEMPTS, b"pair/", &sha256(email.as_bytes())])
}

/// The counter of an address over all accounts, from that of one account and the address ([`attempts_of_account`]).
pub fn attempts_of_address(pair: &[u8]) -> Option<Vec<u8>> {
    pair.split_last_chunk::<32>().map(|(_, address)| attempts("address", address))
}

/// Failed logins; `kind` is `account`, `known` (of an account, by callers that it knows) or `address`, `what` a hash of it.
pub fn attempts(kind: &str, what: &[u8; 32]) -> Vec<u8> {
    join(&[ATTEMPTS, kind.as_bytes(), b"/", what])
}

/// The window of a rate limit; `what` is a hash of what it counts.
pub fn window(limit: &str, what: &[u8; 32]) -> Vec<u8> {
    join(&[WINDOW, limit.as_bytes(), b"/", what])
}

pub fn outbox(due: Timestamp, id: &[u8; 16]) -> Vec<u8> {
    join(&[OUTBOX, &sortable(due), id])
}

/// The mails to one user that will be tried.
pub fn user_outbox_prefix(user: UserId) -> Vec<u8> {
    join(&[USER_OUTBOX, user.as_bytes()])
}

pub fn user_outbox(user: UserId, id: &[u8; 16]) -> Vec<u8> {
    join(&[&user_outbox_prefix(user), id])
}

/// A mail that was given up.
pub fn outbox_failed(id: &[u8; 16]) -> Vec<u8> {
    join(&[OUTBOX_FAILED, id])
}

/// A note that the record at `key` may be removed after `at`; the sweeper reads them in order.
pub fn expiry(at: Timestamp, key: &[u8]) -> Vec<u8> {
    join(&[EXPIRY, &sortable(at), key])
}

/// The time and key of a note of [`expiry`].
pub fn parse_expiry(key: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (at, key) = key.strip_prefix(EXPIRY)?.split_first_chunk::<8>()?;
    Some((unsortable(*at), key))
}

/// What became of the mails to one user.
pub fn user_mail_prefix(user: UserId) -> Vec<u8> {
    join(&[USER_MAIL, user.as_bytes()])
}

pub fn user_mail(user: UserId, id: &[u8; 16]) -> Vec<u8> {
    join(&[&user_mail_prefix(user), id])
}

/// An act that waits for a second operator.
pub fn approval(id: &str) -> Vec<u8> {
    join(&[APPROVAL, id.as_bytes()])
}

pub fn audit(number: u64) -> Vec<u8> {
    join(&[AUDIT, &number.to_be_bytes()])
}

/// The checkpoint that names the entry of this number.
pub fn audit_checkpoint(number: u64) -> Vec<u8> {
    join(&[AUDIT_CHECKPOINT, &number.to_be_bytes()])
}

/// What an operator's request did, by its id.
pub fn request_audit_prefix(request_id: &str) -> Vec<u8> {
    join(&[REQUEST_AUDIT, &sha256(request_id.as_bytes())])
}

pub fn user_audit_prefix(user: UserId) -> Vec<u8> {
    join(&[USER_AUDIT, user.as_bytes()])
}

/// One of 4,096 places for addresses that nobody has: what strangers try does not make the store grow.
pub fn nobody(email: &str) -> Vec<u8> {
    let [first, second, ..] = sha256(email.as_bytes());
    join(&[NOBODY, &[first, second & 0x0f]])
}

pub fn user_audit(user: UserId, number: u64) -> Vec<u8> {
    join(&[&user_audit_prefix(user), &number.to_be_bytes()])
}

/// The number at the end of a key of [`audit`], its indexes, [`audit_checkpoint`], [`organization_team`], [`tally`] or [`adoption`].
pub fn parse_trailing_number(key: &[u8]) -> Option<u64> {
    key.split_last_chunk::<8>().map(|(_, bytes)| u64::from_be_bytes(*bytes))
}

/// Big endian with the sign bit turned, so that bytes order as times do.
pub(super) fn sortable(at: Timestamp) -> [u8; 8] {
    (at.as_micros().cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

fn unsortable(bytes: [u8; 8]) -> Timestamp {
    Timestamp::from_micros((u64::from_be_bytes(bytes) ^ (1 << 63)).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_keys_sort_and_come_back() {
        let times = [-5, 0, 1, 1_756_730_096_789_012].map(Timestamp::from_micros);
        for pair in times.windows(2) {
            assert!(expiry(pair[0], b"k") < expiry(pair[1], b"k"));
        }
        for at in times {
            assert_eq!(parse_expiry(&expiry(at, b"key")), Some((at, &b"key"[..])));
        }
    }
}
