//! What HTTP needs of the program. [`App`] is it; the tests of this folder put a stand-in here, so that the order of
//! checks and the rendering can be tried without accounts.

use std::future::Future;

use crate::app::{Actor, App, Operation, Presented, RequestFacts};
use crate::error::Result;

/// The ways into the program. Each method is [`App`]'s of the same name.
pub trait Door: Clone + Send + Sync + 'static {
    fn authenticate(&self, presented: Presented, facts: RequestFacts) -> impl Future<Output = Result<Actor>> + Send;

    fn admit<O: Operation>(&self, actor: &Actor) -> Result<()>;

    fn call<O: Operation>(&self, actor: &Actor, operation: O) -> impl Future<Output = Result<O::Reply>> + Send;

    fn is_ready(&self) -> impl Future<Output = bool> + Send;
}

impl Door for App {
    fn authenticate(&self, presented: Presented, facts: RequestFacts) -> impl Future<Output = Result<Actor>> + Send {
        Self::authenticate(self, presented, facts)
    }

    fn admit<O: Operation>(&self, actor: &Actor) -> Result<()> {
        Self::admit::<O>(self, actor)
    }

    fn call<O: Operation>(&self, actor: &Actor, operation: O) -> impl Future<Output = Result<O::Reply>> + Send {
        Self::call(self, actor, operation)
    }

    fn is_ready(&self) -> impl Future<Output = bool> + Send {
        Self::is_ready(self)
    }
}
