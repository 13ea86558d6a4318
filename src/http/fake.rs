//! A stand-in for the program: it knows one credential of each kind, remembers what it was asked to do, and gives the
//! answers it was told to give.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::door::Door;
use crate::app::permission::{KeyRule, Who};
use crate::app::{Actor, Identity, Operation, Presented, RequestFacts};
use crate::error::{Error, Result};

#[derive(Clone, Default)]
pub struct Fake(Arc<Inner>);

#[derive(Default)]
struct Inner {
    replies: HashMap<&'static str, Reply>,
    seen: Mutex<Vec<(&'static str, Value)>>,
    presented: Mutex<Option<Presented>>,
    is_away: bool,
}

#[derive(Clone)]
enum Reply {
    Value(Value),
    Error(Error),
    Panic,
    Hang,
}

impl Fake {
    fn with(mut self, name: &'static str, reply: Reply) -> Self {
        Arc::get_mut(&mut self.0).expect("set up before use").replies.insert(name, reply);
        self
    }

    /// Operation `name` answers this; without being told, operations are not found.
    pub fn answering(self, name: &'static str, value: Value) -> Self {
        self.with(name, Reply::Value(value))
    }

    pub fn failing(self, name: &'static str, error: Error) -> Self {
        self.with(name, Reply::Error(error))
    }

    pub fn panicking(self, name: &'static str) -> Self {
        self.with(name, Reply::Panic)
    }

    pub fn hanging(self, name: &'static str) -> Self {
        self.with(name, Reply::Hang)
    }

    pub fn away(mut self) -> Self {
        Arc::get_mut(&mut self.0).expect("set up before use").is_away = true;
        self
    }

    /// The operations that arrived, by name, with their contents.
    pub fn seen(&self) -> Vec<(&'static str, Value)> {
        self.0.seen.lock().unwrap().clone()
    }

    /// The credentials of the last request.
    pub fn presented(&self) -> Presented {
        self.0.presented.lock().unwrap().clone().expect("a request came")
    }
}

impl Door for Fake {
    async fn authenticate(&self, presented: Presented, facts: RequestFacts) -> Result<Actor> {
        *self.0.presented.lock().unwrap() = Some(presented.clone());
        let key = presented.bearer.as_ref().or(presented.body_key.as_ref()).or(presented.query_key.as_ref());
        let identity = match (key, &presented.session) {
            (Some(key), _) if key.matches("phx_good") => Identity::System,
            (Some(_), _) => return Err(Error::AuthenticationFailed { detail: "bad key".into() }),
            (None, Some(_)) if presented.csrf.is_unsafe && presented.csrf.token != presented.csrf.cookie => {
                return Err(Error::denied("CSRF Failed: CSRF token missing."));
            }
            (None, Some(_)) => Identity::System,
            (None, None) => Identity::Anonymous,
        };
        let RequestFacts { address, user_agent, request_id } = facts;
        Ok(Actor { identity, address, user_agent, request_id })
    }

    fn admit<O: Operation>(&self, actor: &Actor) -> Result<()> {
        if O::NEEDS.who != Who::Anyone && matches!(actor.identity, Identity::Anonymous) {
            return Err(Error::NotAuthenticated);
        }
        if O::NEEDS.key == KeyRule::Ignored {
            return Err(Error::permission_denied());
        }
        Ok(())
    }

    async fn call<O: Operation>(&self, actor: &Actor, operation: O) -> Result<O::Reply> {
        self.admit::<O>(actor)?;
        self.0.seen.lock().unwrap().push((O::NAME, serde_json::to_value(&operation).unwrap()));
        match self.0.replies.get(O::NAME).cloned() {
            Some(Reply::Value(value)) => Ok(serde_json::from_value(value).unwrap()),
            Some(Reply::Error(error)) => Err(error),
            Some(Reply::Panic) => panic!("as told"),
            Some(Reply::Hang) => std::future::pending().await,
            None => Err(Error::not_found()),
        }
    }

    async fn is_ready(&self) -> bool {
        !self.0.is_away
    }
}

/// A session as operations issue it.
pub fn issued_session() -> Value {
    json!({ "key": "s3ss10n", "csrf_token": "csrf", "max_age_s": 1_209_600 })
}
