//! Login sessions, pending logins, pending enrolments and remembered devices, as values (spec §1.7, §2.11).

use std::net::IpAddr;

use uuid::Uuid;

use super::id::{SessionId, UserId};
use super::time::Timestamp;
use super::vault::{Sealed, sha256};

/// Seconds within which a sensitive action counts as recently authenticated (spec §1.9).
pub const REAUTH_SECONDS: i64 = 7_200;
/// The narrower window for what takes an account over (spec §1.9, W-9, W-39, W-44).
pub const FRESH_REAUTH_SECONDS: i64 = 300;
/// Seconds between the two steps of a login (spec §3.5).
pub const PENDING_LOGIN_SECONDS: i64 = 600;
/// Seconds an enrolment may take (spec §3.2), and the wrong codes it allows (W-8).
pub const PENDING_TOTP_SECONDS: i64 = 600;
pub const PENDING_TOTP_FAILURES_MAX: u32 = 10;
/// Seconds between refreshes of a session's last activity (spec §2.11).
pub const LAST_ACTIVITY_SECONDS: i64 = 300;

/// The id under which a session or a remembered device is shown: one-way from the hash that finds it, so that it tells
/// nothing about the cookie (spec §2.11).
#[must_use]
pub fn public_id(what: &str, hash: &[u8; 32]) -> Uuid {
    let digest = sha256(&[what.as_bytes(), b" id", hash.as_slice()].concat());
    uuid::Builder::from_random_bytes(*digest.first_chunk::<16>().unwrap_or(&[0; 16])).into_uuid()
}

/// A session, found by the SHA-256 of its key; the key itself is only in the cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub id: SessionId,
    /// `None` while only the first step of a login has been taken.
    pub user: Option<UserId>,
    /// The user's epoch when the session was made; see `User::session_epoch`.
    pub epoch: u32,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    /// The last explicit authentication (login), from which the windows of spec §1.9 count.
    pub authenticated_at: Timestamp,
    /// When the second factor was proved, or found not to be needed (the verified mark of spec §4.8).
    pub verified_at: Option<Timestamp>,
    pub last_activity: Timestamp,
    pub login_method: String,
    pub address: Option<IpAddr>,
    pub user_agent: String,
    pub pending_login: Option<PendingLogin>,
}

/// The right password was given; the second factor is awaited (spec §4.3). Void when the epoch or the generation of
/// the user's second factor has moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingLogin {
    pub user: UserId,
    pub started_at: Timestamp,
    pub epoch: u32,
    pub generation: u32,
}

/// An enrolment under way, bound to the credential that started it (spec §3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingTotp {
    /// 20 bytes, sealed for the user.
    pub secret: Sealed,
    pub started_at: Timestamp,
    pub failures: u32,
    pub generation: u32,
}

/// A device that may skip the second step, found by the SHA-256 of its cookie's value (spec §4.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RememberedDevice {
    pub user: UserId,
    /// `User::remember_epoch` and `SecondFactor::generation` when it was made.
    pub epoch: u32,
    pub generation: u32,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub user_agent: String,
}
