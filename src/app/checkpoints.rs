//! Signs checkpoints of the audit trail (daily, when the server stops, and when somebody asks), and removes what is too old.
//!
//! Nothing else removes entries. They go from the front only, as far as a checkpoint: what the trail begins with then is
//! said by a statement of its own, signed like a checkpoint, and the removal is an entry of the trail.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::audit::Note;
use super::{Actor, App, Context, Identity, Operation, Permission, Tries, random};
use crate::domain::audit::Event;
use crate::domain::checkpoint::{Checkpoint, PublicKey, SEED_BYTES, SigningKey, Statement};
use crate::domain::time::Timestamp;
use crate::domain::vault::{Sealed, Vault, VaultError};
use crate::error::{Error, Result};
use crate::records::{AuditKey, put_audit_key, put_audit_start, put_checkpoint};
use crate::store::{Batch, Commit, Order};

const DAY_S: i64 = 24 * 3_600;
/// How old a checkpoint is that shows that the clock goes on as it did: one that was set far forward has no such yet.
const WITNESS_S: RangeInclusive<i64> = DAY_S..=7 * DAY_S;
/// Checkpoints looked at at once.
const PAGE: usize = 500;
/// Batches of old entries removed in one sweep.
const REMOVALS_MAX: usize = 10_000;
/// What the secret of the signing key is sealed for.
const PURPOSE: &str = "audit_key";

/// What vouches for the trail.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Checkpoints {
    /// `None` before the first checkpoint.
    pub public_key: Option<PublicKey>,
    pub newest: Option<Checkpoint>,
    /// Behind which entry the trail begins, if not with the first.
    pub start: Option<Checkpoint>,
}

/// Signs what the newest entry is, unless that was done; `None` while there is no entry.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TakeCheckpoint {}

impl Operation for TakeCheckpoint {
    const NAME: &'static str = "take_checkpoint";
    // What was there stays as it is.
    const NEEDS: Permission = Permission::OPERATOR_READ;
    type Reply = Option<Checkpoint>;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        cx.app.take_checkpoint(cx.now).await
    }
}

/// The public key, the newest checkpoint, and where the trail begins.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReadCheckpoints {}

impl Operation for ReadCheckpoints {
    const NAME: &'static str = "read_checkpoints";
    const NEEDS: Permission = Permission::OPERATOR_READ;
    type Reply = Checkpoints;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        Ok(Checkpoints {
            public_key: cx.app.audit_public_key().await?,
            newest: cx.records().newest_checkpoint().await?,
            start: cx.records().audit_start().await?.map(|start| start.value),
        })
    }
}

/// The key that a store's checkpoints are signed with.
pub(super) fn open_audit_key(vault: &Vault, key: &AuditKey) -> std::result::Result<SigningKey, VaultError> {
    let seed = vault.open(PURPOSE, b"", &key.0)?;
    SigningKey::from_seed(&seed).ok_or(VaultError::Damaged)
}

/// A new one, and the batch that keeps it too.
pub(super) fn new_audit_key(vault: &Vault, batch: Batch) -> Result<(SigningKey, Batch)> {
    let seed = Zeroizing::new(random::bytes::<SEED_BYTES>()?);
    let sealed = AuditKey(vault.seal(PURPOSE, b"", random::bytes()?, &*seed));
    let key = SigningKey::from_seed(&*seed).ok_or_else(no_key)?;
    Ok((key, put_audit_key(batch, &sealed)))
}

/// The key with its secret in clear.
pub(super) fn opened_audit_key(key: &AuditKey, vault: &Vault) -> Result<AuditKey> {
    let seed = vault.open(PURPOSE, b"", &key.0).map_err(unopened)?;
    Ok(AuditKey(Sealed(seed.to_vec())))
}

/// The other way.
pub(super) fn sealed_audit_key(key: &AuditKey, vault: &Vault) -> Result<AuditKey> {
    Ok(AuditKey(vault.seal(PURPOSE, b"", random::bytes()?, &key.0.0)))
}

impl App {
    /// Signs what the newest entry is, unless that was done.
    pub(super) async fn take_checkpoint(&self, now: Timestamp) -> Result<Option<Checkpoint>> {
        let records = self.records();
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let Some((number, hash)) = records.audit_end().await? else { return Ok(None) };
            if let Some(checkpoint) = records.checkpoint(number).await? {
                return Ok(Some(checkpoint));
            }
            let (key, batch) = self.audit_key().await?;
            let checkpoint = signed(&key, Statement::Checkpoint, number, hash, now)?;
            let batch = put_checkpoint(batch, &checkpoint);
            if matches!(records.store().commit(batch).await?, Commit::Done(_)) {
                return Ok(Some(checkpoint));
            }
        }
    }

    /// Removes entries that are too old, and signs a checkpoint each day on which something was added.
    pub(super) async fn keep_trail(&self, now: Timestamp) -> Result<()> {
        let is_shortened = self.shorten_trail(now).await?;
        let newest = self.records().newest_checkpoint().await?;
        // Also when the clock was put back.
        let is_due = newest.is_none_or(|newest| !(0..DAY_S).contains(&now.seconds_since(newest.at)));
        if is_due || is_shortened {
            self.take_checkpoint(now).await?;
        }
        self.remove_old_entries().await
    }

    /// Says that the trail begins behind the newest checkpoint that is too old; false when there is none, and while the
    /// clock may have been set forward just now.
    async fn shorten_trail(&self, now: Timestamp) -> Result<bool> {
        let keep_days = i64::from(self.config().audit.keep_days);
        if keep_days == 0 {
            return Ok(false);
        }
        let records = self.records();
        let start = records.audit_start().await?;
        let begin = start.as_ref().map_or(0, |start| start.value.number);
        // What a checkpoint names was made before it was signed.
        let signed_before = now.plus_seconds(-keep_days.saturating_mul(DAY_S));
        let Some(last) = self.last_checkpoint(begin, signed_before, now).await? else { return Ok(false) };
        let (key, _) = self.audit_key().await?;
        let found = records.audit(None, Some(last.number.saturating_add(1)), 1, Order::Descending).await?.pop();
        let found = found.filter(|entry| entry.number == last.number && entry.hash == last.hash);
        // One that is younger was signed while the clock was set back; its time comes.
        if found.as_ref().is_some_and(|entry| entry.record.at > signed_before) {
            return Ok(false);
        }
        if found.is_none() || key.public_key().is_none_or(|key| !last.is_of(key)) {
            let number = last.number;
            tracing::error!(number, "nothing of the audit trail is removed: it does not agree with its checkpoint");
            return Ok(false);
        }
        let actor = Actor {
            identity: Identity::System,
            address: None,
            user_agent: None,
            request_id: format!("audit-{}", now.as_seconds()),
        };
        let note = Note::new(Event::AuditShortened)
            .detail("entries", last.number - begin)
            .detail("up_to", last.number)
            .detail("until", last.at.to_rfc3339_z())
            .detail("keep_days", keep_days);
        let begins = signed(&key, Statement::Start, last.number, last.hash, now)?;
        let batch = put_audit_start(Batch::default(), start.as_ref(), &begins);
        let batch = Context { app: self, actor: &actor, now, step: None, approved: None }.audited(batch, note);
        // A conflict: it was done just now.
        Ok(matches!(records.store().commit(batch).await?, Commit::Done(_)))
    }

    /// The checkpoint with the highest number beyond `begin` that was signed up to a moment; none without a younger one
    /// that says that the clock is right.
    async fn last_checkpoint(
        &self,
        begin: u64,
        signed_before: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Checkpoint>> {
        let (mut from, mut has_witness) = (None, false);
        loop {
            let page = self.records().checkpoints(from, PAGE, Order::Descending).await?;
            let Some(last) = page.last() else { return Ok(None) };
            from = Some(last.number);
            for checkpoint in page {
                if checkpoint.at <= signed_before || checkpoint.number <= begin {
                    return Ok(Some(checkpoint).filter(|found| has_witness && found.number > begin));
                }
                has_witness |= WITNESS_S.contains(&now.seconds_since(checkpoint.at));
            }
        }
    }

    /// Removes what lies before the start, some of it now and the rest in later sweeps.
    async fn remove_old_entries(&self) -> Result<()> {
        let Some(start) = self.records().audit_start().await? else { return Ok(()) };
        if self.audit_public_key().await?.is_none_or(|key| !start.value.is_of(key)) {
            tracing::error!(
                "nothing of the audit trail is removed: what says where it begins is not signed by this store"
            );
            return Ok(());
        }
        for _ in 0..REMOVALS_MAX {
            let Some(batch) = self.records().removal_of_audit(start.value.number).await? else { return Ok(()) };
            // Without expectations a batch cannot conflict.
            let _removed = self.records().store().commit(batch).await?;
        }
        Ok(())
    }

    /// The key that signs; one for a store of before there were any, with the batch that keeps it.
    async fn audit_key(&self) -> Result<(SigningKey, Batch)> {
        let vault = &self.0.vault;
        if let Some(key) = self.records().audit_key().await? {
            return Ok((open_audit_key(vault, &key).map_err(unopened)?, Batch::default()));
        }
        new_audit_key(vault, Batch::default())
    }

    /// The public key of a store that has one.
    pub(super) async fn audit_public_key(&self) -> Result<Option<PublicKey>> {
        let Some(key) = self.records().audit_key().await? else { return Ok(None) };
        Ok(open_audit_key(&self.0.vault, &key).map_err(unopened)?.public_key())
    }
}

fn signed(key: &SigningKey, statement: Statement, number: u64, hash: [u8; 32], now: Timestamp) -> Result<Checkpoint> {
    key.sign(statement, number, hash, now).ok_or_else(no_key)
}

fn unopened(error: VaultError) -> Error {
    Error::internal(format!("the key of the audit trail does not open: {error}"))
}

fn no_key() -> Error {
    Error::internal("a key of the audit trail is not one of Ed25519")
}
