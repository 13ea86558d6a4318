//! What became of a request whose answer was lost.
//!
//! The id of an operator's request is the key of its write: the audit entry is found by it, and a second write under the
//! same id is refused. So whoever lost an answer looks instead of trying again, and nothing is done twice.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::permission::Who;
use super::views::AuditRow;
use super::{Actor, AnyOperation, App, Context, Operation, Permission};
use crate::error::{Error, Result};

/// Entries of one request that a look-up answers; a write has one or two.
const ROWS_MAX: usize = 100;
/// Ids kept that were looked up in vain. What they were for is in a socket's buffer, if anywhere, and so soon there.
const BARRED_MAX: usize = 4_096;

/// What became of a write.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "outcome", content = "entries", rename_all = "snake_case")]
pub enum RequestOutcome {
    /// It was done; its audit entries.
    Done(Vec<AuditRow>),
    /// It is being carried out: ask again.
    UnderWay,
    /// It never arrived, or changed nothing. From now on it is refused, should it arrive after all.
    Unknown,
}

/// Asks what became of the request of this id.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LookUpRequest {
    pub request_id: String,
}

impl Operation for LookUpRequest {
    const NAME: &'static str = "look_up_request";
    const NEEDS: Permission = Permission::OPERATOR_READ;
    type Reply = RequestOutcome;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        // Before the trail is read: whatever is not under way now has its entry there, or never will.
        if !cx.app.0.requests.bar(&self.request_id) {
            return Ok(RequestOutcome::UnderWay);
        }
        let entries = cx.records().audit_of_request(&self.request_id, ROWS_MAX).await?;
        if entries.is_empty() {
            return Ok(RequestOutcome::Unknown);
        }
        Ok(RequestOutcome::Done(entries.into_iter().map(Into::into).collect()))
    }
}

/// The writes of operators that are being carried out, and those that must not be any more.
#[derive(Debug, Default)]
pub(super) struct Requests(Mutex<Ids>);

#[derive(Debug, Default)]
struct Ids {
    under_way: HashSet<String>,
    /// Oldest first.
    barred: VecDeque<String>,
}

impl Requests {
    /// Marks a request as under way until the mark is dropped; `None` when it is so already, or barred.
    fn begin(&self, id: &str) -> Option<UnderWay<'_>> {
        let mut ids = self.lock();
        if ids.barred.iter().any(|barred| barred == id) || !ids.under_way.insert(id.to_owned()) {
            return None;
        }
        Some(UnderWay { requests: self, id: id.to_owned() })
    }

    /// Lets nobody begin under this id any more; false when somebody is at it.
    fn bar(&self, id: &str) -> bool {
        let mut ids = self.lock();
        if ids.under_way.contains(id) {
            return false;
        }
        if !ids.barred.iter().any(|barred| barred == id) {
            if ids.barred.len() >= BARRED_MAX {
                ids.barred.pop_front();
            }
            ids.barred.push_back(id.to_owned());
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Ids> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The mark of a request that is being carried out.
pub(super) struct UnderWay<'a> {
    requests: &'a Requests,
    id: String,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.requests.lock().under_way.remove(&self.id);
    }
}

impl Context<'_> {
    /// Takes the request's id for a write of an operator, which is refused when the id was used before.
    pub(super) async fn take_request(&self) -> Result<UnderWay<'_>> {
        let id = &self.actor.request_id;
        let used = || Error::refused("already_done", "this request was made before: look up what became of it");
        let mark = self.app.0.requests.begin(id).ok_or_else(used)?;
        if self.records().audit_of_request(id, 1).await?.is_empty() { Ok(mark) } else { Err(used()) }
    }
}

impl App {
    /// [`App::call`] for an operation of any type, answered in JSON. A write of an operator is carried out to its end
    /// when the caller goes away meanwhile: a batch on its way to the disk cannot be called back, and until it is there
    /// nobody could say what became of it.
    pub async fn call_to_the_end(&self, actor: &Actor, operation: Box<dyn AnyOperation>) -> Result<Vec<u8>> {
        if operation.needs().who != Who::OperatorWrite {
            return self.call_any(actor, operation).await;
        }
        let permit = std::sync::Arc::clone(&self.0.after_answering).acquire_owned().await.map_err(|_| Error::busy())?;
        let (app, actor) = (self.clone(), actor.clone());
        let call = tokio::spawn(async move {
            let result = app.call_any(&actor, operation).await;
            drop(permit);
            result
        });
        call.await.unwrap_or_else(|_| Err(Error::internal("a fault in the program; its log says more")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_under_way_once_and_barred_for_good() {
        let requests = Requests::default();
        let mark = requests.begin("a").unwrap();
        assert!(requests.begin("a").is_none() && !requests.bar("a"));
        let other = requests.begin("b").unwrap();
        drop((mark, other));
        assert!(requests.begin("a").is_some(), "what changed nothing may be tried again");
        assert!(requests.bar("a") && requests.bar("a"));
        assert!(requests.begin("a").is_none() && requests.begin("b").is_some());
        for number in 0..2 * BARRED_MAX {
            requests.bar(&number.to_string());
        }
        assert_eq!(requests.lock().barred.len(), BARRED_MAX);
    }
}
