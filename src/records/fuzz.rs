//! Records and keys as they lie in a store. See [`crate::fuzz`].
#![allow(clippy::missing_panics_doc, clippy::panic, reason = "what must not be ends the program")]

use super::checkpoints::AuditKey;
use super::codec::{self, Record, decode, encode};
use super::{FrozenUsers, OutboxRecord, Reminder, days, keys};
use crate::domain::api_key::ApiKey;
use crate::domain::approval::Approval;
use crate::domain::audit::AuditRecord;
use crate::domain::backoff::LoginFailures;
use crate::domain::checkpoint::Checkpoint;
use crate::domain::job::{Job, Outcome};
use crate::domain::mail::MailNote;
use crate::domain::organization::{Invite, Membership, Organization, Team};
use crate::domain::rate::Window;
use crate::domain::session::{PendingTotp, RememberedDevice, Session};
use crate::domain::token::Token;
use crate::domain::user::User;

const KEY: &[u8] = b"fuzz/key";

macro_rules! kinds {
    ($($record:ty,)+) => {
        /// What is done with the bytes as each kind of record.
        const KINDS: &[fn(&[u8])] = &[$(check::<$record>,)+];
    };
}

// New ones at the end: the corpus has their places.
kinds! {
    User,
    Session,
    PendingTotp,
    RememberedDevice,
    ApiKey,
    Token,
    LoginFailures,
    Organization,
    Membership,
    Team,
    Invite,
    OutboxRecord,
    MailNote,
    AuditRecord,
    Window,
    days::Adoption,
    Job,
    FrozenUsers,
    Outcome,
    Reminder,
    Approval,
    AuditKey,
    Checkpoint,
}

/// The place of a kind of record, and behind it a record without its checksum, or as the JSON of an export.
///
/// What is read is written so that it is read as the same, and the checksum is looked at.
pub fn record(data: &[u8]) {
    let Some((place, rest)) = data.split_first() else { return };
    if let Some(check) = KINDS.get(usize::from(*place) % KINDS.len()) {
        check(rest);
    }
    check_key(data);
}

fn check<T: Record + PartialEq + std::fmt::Debug>(content: &[u8]) {
    let signed = codec::signed(KEY, content);
    if let Ok(record) = decode::<T>(KEY, &signed) {
        check_json(&record);
        assert_eq!(decode::<T>(KEY, &encode(KEY, &record)), Ok(record));
        assert!(decode::<T>(b"fuzz/other", &signed).is_err());
    }
    // Without a checksum of its own it is one by accident at most.
    let _ = decode::<T>(KEY, content);
    // As a line of an export has it: what is taken over can be read again.
    let json = serde_json::from_slice(content).ok();
    if let Some(record) = json.and_then(|json| T::from_json(T::FORMAT, json)) {
        check_json(&record);
        assert_eq!(decode::<T>(KEY, &encode(KEY, &record)), Ok(record));
    }
}

/// What is exported comes in again as the same. Sealed bytes are no text, and are not exported.
fn check_json<T: Record>(record: &T) {
    let Ok(json) = record.to_json() else { return };
    let again = T::from_json(T::FORMAT, json.clone()).and_then(|record| record.to_json().ok());
    assert_eq!(again, Some(json));
}

fn check_key(key: &[u8]) {
    assert!(!codec::name(key).contains(char::is_control));
    let _ = (keys::parse_user_time(key), keys::parse_job(key), keys::parse_job_audit(key));
    let _ = (keys::parse_leading_user(key, b"user/"), keys::parse_leading_number(key, b"user/"));
    let _ = (keys::parse_trailing_user(key), keys::parse_trailing_organization(key), keys::parse_active_member(key));
    let _ = (keys::parse_trailing_invite(key), keys::parse_organization_remains(key));
    let _ = (keys::parse_expiry(key), keys::parse_trailing_number(key), crate::store::decode_counter(key));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the sources, so that a new kind of record cannot be left out.
    #[test]
    fn every_kind_of_record_is_here() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/records");
        let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let texts = paths.filter(|path| path.is_file()).map(|path| std::fs::read_to_string(path).unwrap());
        let found: usize = texts.map(|text| text.matches("\ncodec::record!(").count()).sum();
        assert_eq!(found, KINDS.len());
    }
}
