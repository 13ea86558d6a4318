//! Delivery of the outbox: takes the mails that are due, sends them, and says how it went.
//!
//! A mail is queued in the same batch as the change that it tells of (`app::outbox`), so none is lost; it is marked
//! after it left, so a crash in between sends it a second time, with the same Message-ID. What mails there are and who
//! gets them is decided in `app`; this module decides nothing but when to try again.

pub mod render;
mod smtp;
pub mod transport;

pub use transport::Transport;

use std::future::Future;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt, stream};
use tracing::{error, info, warn};

use self::transport::Failure;
use crate::app::App;
use crate::app::outbox::OutboxMail;
use crate::clock;
use crate::domain::mail::Mail;
use crate::domain::time::Timestamp;
use crate::error::Result;

/// Mails under way at once.
const PARALLEL_MAX: usize = 4;
/// Mails taken from the outbox at once.
const BATCH_MAX: usize = 32;
/// Longest rest between two looks into the outbox; a wake-up that was missed costs this much.
const REST_MAX: Duration = Duration::from_secs(3);
/// Waits after the first failures, in seconds; the last one goes on.
const RETRY_SECONDS: [i64; 5] = [10, 30, 120, 600, 3_600];
/// How long a mail is tried for, in seconds from when it was queued.
const GIVE_UP_SECONDS: i64 = 3 * 86_400;
/// Tries of a mail that the server refuses for good; more than one, because servers that are being changed do that too.
const REFUSALS_MAX: u32 = 3;

/// Delivers until `shutdown` is ready and the mails under way are through. With mail off it only waits: what is queued
/// stays queued until there is a way for it again.
pub async fn deliver(app: App, transport: Transport, shutdown: impl Future<Output = ()> + Send) {
    if transport.is_off() {
        shutdown.await;
    } else {
        deliver_from(&app, &transport, shutdown).await;
    }
}

/// A mail that is due, and what its outbox knows it by.
struct Due<T> {
    id: String,
    mail: Mail,
    /// Failed attempts so far.
    attempts: u32,
    queued_at: Timestamp,
    entry: T,
}

/// What delivery needs of the outbox.
trait Outbox: Sync {
    type Entry: Send + Sync;
    fn due(&self, now: Timestamp) -> impl Future<Output = Result<Vec<Due<Self::Entry>>>> + Send;
    fn delivered(&self, entry: &Self::Entry) -> impl Future<Output = Result<()>> + Send;
    fn failed(&self, entry: &Self::Entry, failure: &Failure, next: Next) -> impl Future<Output = Result<()>> + Send;
    fn changed(&self) -> impl Future<Output = ()> + Send;
}

impl Outbox for App {
    type Entry = OutboxMail;

    async fn due(&self, now: Timestamp) -> Result<Vec<Due<OutboxMail>>> {
        let due = self.outbox_due(now, BATCH_MAX).await?;
        let due = due.into_iter().map(|entry| Due {
            id: entry.id.clone(),
            mail: entry.mail.clone(),
            attempts: entry.attempts,
            queued_at: entry.queued_at,
            entry,
        });
        Ok(due.collect())
    }

    async fn delivered(&self, entry: &OutboxMail) -> Result<()> {
        self.outbox_delivered(entry).await
    }

    async fn failed(&self, entry: &OutboxMail, failure: &Failure, next: Next) -> Result<()> {
        match next {
            Next::RetryAt(at) => self.outbox_failed(entry, &failure.reason, at, false).await,
            Next::GiveUp(now) => self.outbox_failed(entry, &failure.reason, now, true).await,
        }
    }

    async fn changed(&self) {
        self.outbox_changed().await;
    }
}

/// What follows a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    RetryAt(Timestamp),
    GiveUp(Timestamp),
}

async fn deliver_from(outbox: &impl Outbox, transport: &Transport, shutdown: impl Future<Output = ()> + Send) {
    let shutdown = shutdown.shared();
    while shutdown.peek().is_none() {
        let is_busy = deliver_due(outbox, transport, shutdown.clone()).await.unwrap_or_else(|error| {
            error!(%error, "the outbox could not be read or written; trying again");
            false
        });
        if !is_busy {
            transport.close().await;
            tokio::select! {
                () = shutdown.clone() => {}
                () = outbox.changed() => {}
                () = tokio::time::sleep(REST_MAX) => {}
            }
        }
    }
    transport.close().await;
}

/// Tries every mail that is due, and says whether there was one. After `shutdown` no further one is begun.
async fn deliver_due(outbox: &impl Outbox, transport: &Transport, shutdown: impl Future<Output = ()>) -> Result<bool> {
    let due = outbox.due(clock::now()).await?;
    let is_busy = !due.is_empty();
    let results: Vec<Result<()>> = stream::iter(due)
        .take_until(shutdown)
        .map(|due| deliver_one(outbox, transport, due))
        .buffer_unordered(PARALLEL_MAX)
        .collect()
        .await;
    results.into_iter().collect::<Result<()>>()?;
    Ok(is_busy)
}

/// Logs say which mail and what kind, never to whom.
async fn deliver_one<O: Outbox>(outbox: &O, transport: &Transport, due: Due<O::Entry>) -> Result<()> {
    let (id, kind, attempt) = (&due.id, due.mail.kind.template(), due.attempts.saturating_add(1));
    let Err(failure) = transport.send(id, &due.mail).await else {
        info!(id, kind, attempt, "mail delivered");
        return outbox.delivered(&due.entry).await;
    };
    let next = next_after(&failure, due.attempts, due.queued_at, clock::now());
    let reason = &failure.reason;
    match next {
        Next::RetryAt(at) => warn!(id, kind, attempt, reason, retry_at = at.to_rfc3339_z(), "mail not delivered"),
        Next::GiveUp(_) => error!(id, kind, attempt, reason, "mail given up"),
    }
    outbox.failed(&due.entry, &failure, next).await
}

fn next_after(failure: &Failure, attempts: u32, queued_at: Timestamp, now: Timestamp) -> Next {
    let is_refused = failure.is_permanent && attempts.saturating_add(1) >= REFUSALS_MAX;
    if is_refused || now.seconds_since(queued_at) >= GIVE_UP_SECONDS {
        return Next::GiveUp(now);
    }
    let attempts = usize::try_from(attempts).unwrap_or(usize::MAX);
    let seconds = RETRY_SECONDS.get(attempts).or(RETRY_SECONDS.last()).copied().unwrap_or_default();
    Next::RetryAt(now.plus_seconds(seconds))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use tokio::sync::{Notify, mpsc, oneshot};

    use std::sync::Arc;

    use super::*;
    use crate::config::Config;
    use crate::domain::email::EmailAddress;
    use crate::domain::mail::MailKind;

    #[test]
    fn waits_grow_and_end_after_three_days() {
        let (queued_at, now) = (Timestamp::from_seconds(1_000_000), Timestamp::from_seconds(1_000_100));
        let passing = Failure { reason: "away".into(), is_permanent: false };
        for (attempts, seconds) in [(0, 10), (1, 30), (2, 120), (3, 600), (4, 3_600), (5, 3_600), (70, 3_600)] {
            let next = next_after(&passing, attempts, queued_at, now);
            assert_eq!(next, Next::RetryAt(now.plus_seconds(seconds)), "{attempts}");
        }
        let late = queued_at.plus_seconds(GIVE_UP_SECONDS);
        assert_eq!(next_after(&passing, 70, queued_at, late), Next::GiveUp(late));
        let before = late.plus_seconds(-1);
        assert_eq!(next_after(&passing, 70, queued_at, before), Next::RetryAt(before.plus_seconds(3_600)));
    }

    #[test]
    fn a_refusal_is_believed_the_third_time() {
        let now = Timestamp::from_seconds(1_000_100);
        let refused = Failure { reason: "550".into(), is_permanent: true };
        assert_eq!(next_after(&refused, 0, now, now), Next::RetryAt(now.plus_seconds(10)));
        assert_eq!(next_after(&refused, 1, now, now), Next::RetryAt(now.plus_seconds(30)));
        assert_eq!(next_after(&refused, 2, now, now), Next::GiveUp(now));
    }

    /// An outbox whose mails are due at once, however often they failed.
    struct Fake {
        /// Failed attempts of each mail.
        attempts: Mutex<BTreeMap<String, u32>>,
        changed: Notify,
        delivered: mpsc::UnboundedSender<(String, u32)>,
    }

    impl Outbox for Fake {
        type Entry = String;

        async fn due(&self, now: Timestamp) -> Result<Vec<Due<String>>> {
            let due = |(id, attempts): (&String, &u32)| {
                let to = EmailAddress::parse("ada@example.com").unwrap();
                let mail = Mail { to, name: "Ada".into(), kind: MailKind::PasswordChanged, at: now };
                Due { id: id.clone(), mail, attempts: *attempts, queued_at: now, entry: id.clone() }
            };
            Ok(self.attempts.lock().unwrap().iter().map(due).collect())
        }

        async fn delivered(&self, entry: &String) -> Result<()> {
            let attempts = self.attempts.lock().unwrap().remove(entry).unwrap();
            self.delivered.send((entry.clone(), attempts)).unwrap();
            Ok(())
        }

        async fn failed(&self, entry: &String, _failure: &Failure, next: Next) -> Result<()> {
            assert!(matches!(next, Next::RetryAt(_)), "{next:?}");
            *self.attempts.lock().unwrap().get_mut(entry).unwrap() += 1;
            Ok(())
        }

        async fn changed(&self) {
            self.changed.notified().await;
        }
    }

    fn file_transport(data_dir: &std::path::Path) -> Transport {
        let mut config: Config = toml::from_str(include_str!("../../config.toml")).unwrap();
        config.email.transport = crate::config::MailTransport::File;
        config.server.data_dir = data_dir.to_owned();
        Transport::from_config(&config).unwrap()
    }

    /// A file in the place of the outbox folder makes every delivery fail until it is gone.
    #[tokio::test]
    async fn a_mail_is_tried_until_it_leaves() {
        let data_dir = tempfile::tempdir().unwrap();
        let obstacle = data_dir.path().join("outbox");
        std::fs::write(&obstacle, "").unwrap();
        let (delivered, mut deliveries) = mpsc::unbounded_channel();
        let outbox = Arc::new(Fake { attempts: Mutex::default(), changed: Notify::new(), delivered });
        outbox.attempts.lock().unwrap().extend((0..10).map(|n| (n.to_string(), 0)));
        let (stop, stopped) = oneshot::channel::<()>();
        let transport = file_transport(data_dir.path());
        let running = tokio::spawn({
            let outbox = Arc::clone(&outbox);
            async move { deliver_from(&*outbox, &transport, async { drop(stopped.await) }).await }
        });
        while outbox.attempts.lock().unwrap().values().any(|attempts| *attempts == 0) {
            tokio::task::yield_now().await;
        }
        std::fs::remove_file(&obstacle).unwrap();
        for _ in 0..10 {
            let (_, attempts) = deliveries.recv().await.unwrap();
            assert!(attempts > 0);
        }
        outbox.attempts.lock().unwrap().insert("late".to_owned(), 0);
        outbox.changed.notify_one();
        assert_eq!(deliveries.recv().await.unwrap(), ("late".to_owned(), 0));
        stop.send(()).unwrap();
        running.await.unwrap();
        assert_eq!(std::fs::read_dir(&obstacle).unwrap().count(), 11);
    }
}
