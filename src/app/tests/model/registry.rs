//! Addresses that several people want at the same time.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::*;
use super::dice::Dice;
use super::history::{Model, Recorder};
use crate::domain::email::EmailAddress;

const ADDRESSES: u32 = 3;

type Person = usize;
type Address = u32;

#[derive(Clone, Debug)]
pub enum Event {
    /// `None`: the address was taken.
    Create {
        address: Address,
        made: Option<Person>,
    },
    /// By an operator, at once.
    Set {
        person: Person,
        address: Address,
        end: End,
    },
    /// By the person, to be verified.
    Stage {
        person: Person,
        address: Address,
        end: End,
    },
    Verify {
        person: Person,
        end: End,
    },
    Delete {
        person: Person,
        is_done: bool,
    },
    Find {
        address: Address,
        found: Option<Person>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Done,
    Taken,
    /// There was nothing to do, or the person or what was staged is gone.
    Refused,
}

/// Who has which address, and who waits for which.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Registry {
    /// `None`: an address of the person's own, which nobody else wants.
    people: BTreeMap<Person, Option<Address>>,
    staged: BTreeMap<Person, Address>,
}

impl Registry {
    fn owner(&self, address: Address) -> Option<Person> {
        self.people.iter().find(|(_, has)| **has == Some(address)).map(|(person, _)| *person)
    }

    fn is_free(&self, address: Address) -> bool {
        self.owner(address).is_none()
    }

    fn give(&mut self, person: Person, address: Address) {
        self.people.insert(person, Some(address));
        self.staged.remove(&person);
    }
}

impl Model for Registry {
    type Event = Event;

    fn after(&self, event: &Event) -> Option<Self> {
        let mut now = self.clone();
        let is_allowed = match *event {
            Event::Create { address, made: Some(person) } => {
                now.give(person, address);
                self.is_free(address)
            }
            Event::Create { address, made: None } => !self.is_free(address),
            Event::Find { address, found } => self.owner(address) == found,
            Event::Set { person, address, end: End::Done } => {
                now.give(person, address);
                self.people.contains_key(&person) && self.is_free(address)
            }
            Event::Stage { person, address, end: End::Done } => {
                now.staged.insert(person, address);
                self.people.contains_key(&person) && self.is_free(address)
            }
            Event::Verify { person, end: End::Done } => match self.staged.get(&person) {
                Some(address) => {
                    now.give(person, *address);
                    self.is_free(*address)
                }
                // The address that the person has anyway.
                None => self.people.contains_key(&person),
            },
            Event::Set { address, end: End::Taken, .. } | Event::Stage { address, end: End::Taken, .. } => {
                !self.is_free(address)
            }
            Event::Verify { person, end: End::Taken } => {
                self.staged.get(&person).is_some_and(|address| !self.is_free(*address))
            }
            Event::Set { person, address, end: End::Refused } => {
                self.people.get(&person).is_none_or(|has| *has == Some(address))
            }
            Event::Stage { end: End::Refused, .. } | Event::Verify { end: End::Refused, .. } => true,
            Event::Delete { person, is_done } => {
                if is_done {
                    now.staged.remove(&person);
                    now.people.remove(&person);
                }
                self.people.contains_key(&person) || !is_done
            }
        };
        is_allowed.then_some(now)
    }

    fn only_looks(event: &Event) -> bool {
        match event {
            Event::Create { made, .. } => made.is_none(),
            Event::Set { end, .. } | Event::Stage { end, .. } | Event::Verify { end, .. } => *end != End::Done,
            Event::Delete { is_done, .. } => !is_done,
            Event::Find { .. } => true,
        }
    }
}

/// Some people, and the addresses they want.
pub struct Play {
    world: World,
    round: String,
    pub recorder: Recorder<Event>,
    people: Mutex<Vec<(Person, UserId)>>,
    names: AtomicUsize,
}

impl Play {
    /// Two people with addresses of their own.
    pub async fn new(app: &App, round: String) -> (Self, Registry) {
        let world = World { app: app.clone(), now: crate::clock::now() };
        let mut registry = Registry::default();
        let mut people = Vec::new();
        for person in 0..2 {
            people.push((person, world.create(&format!("{round}own{person}@example.com"), false).await));
            registry.people.insert(person, None);
        }
        let names = AtomicUsize::new(people.len());
        (Self { world, round, recorder: Recorder::new(), people: Mutex::new(people), names }, registry)
    }

    pub async fn run(&self, calls: usize, mut dice: Dice) {
        for _ in 0..calls {
            self.act(&mut dice).await;
        }
    }

    pub async fn look_at_all(&self) {
        for address in 0..ADDRESSES {
            self.find(address).await;
        }
    }

    async fn act(&self, dice: &mut Dice) {
        let address = dice.below(ADDRESSES);
        let (person, id) = *dice.choose(&self.people.lock().unwrap());
        match dice.below(10) {
            0..2 => self.create(address).await,
            2 => self.set(person, id, address).await,
            3..5 => self.stage(person, id, address).await,
            5..7 => self.verify(person, id).await,
            7 => self.delete(person, id).await,
            _ => self.find(address).await,
        }
    }

    async fn create(&self, address: Address) {
        let begun = self.recorder.now();
        let create = CreateUser {
            email: self.address(address),
            first_name: "Ada".to_owned(),
            last_name: "Lovelace".to_owned(),
            is_staff: false,
            is_verified: true,
            password: None,
            organization: None,
            level: None,
        };
        let made = match self.world.run(&operator(), create).await {
            Ok(made) => {
                let person = self.names.fetch_add(1, Ordering::SeqCst);
                self.people.lock().unwrap().push((person, made.user.uuid));
                Some(person)
            }
            Err(error) if ending(&error) == End::Taken => None,
            Err(error) => panic!("{error:?}"),
        };
        self.recorder.note(begun, Event::Create { address, made });
    }

    async fn set(&self, person: Person, id: UserId, address: Address) {
        let begun = self.recorder.now();
        let set = SetUser { user: UserRef(id.to_string()), email: Some(self.address(address)), ..SetUser::default() };
        let end = self.world.run(&operator(), set).await.map_or_else(|error| ending(&error), |_| End::Done);
        self.recorder.note(begun, Event::Set { person, address, end });
    }

    async fn stage(&self, person: Person, id: UserId, address: Address) {
        let begun = self.recorder.now();
        let fields = fields(&json!({"email": self.address(address)}));
        let stage = UpdateUser { user: me(), fields, replace: false };
        let Some(identity) = self.presence(id).await else { return };
        let end = match self.world.run(&identity, stage).await {
            Ok(view) if view.pending_email.as_ref().is_some_and(|email| *email == self.address(address)) => End::Done,
            // One's own address changes nothing, whatever is staged.
            Ok(_) => End::Refused,
            Err(error) => ending(&error),
        };
        self.recorder.note(begun, Event::Stage { person, address, end });
    }

    async fn verify(&self, person: Person, id: UserId) {
        let begun = self.recorder.now();
        let Some(user) = self.world.app.records().user(id).await.unwrap() else { return };
        let actor = Actor { identity: Identity::System, address: None, user_agent: None, request_id: String::new() };
        let cx = Context { app: &self.world.app, actor: &actor, now: self.world.now, step: None, approved: None };
        let (batch, token) = cx.issue_token(Batch::default(), Purpose::VerifyEmail, &user.value).unwrap();
        self.world.commit(batch).await;
        let fields = fields(&json!({"uuid": id.to_string(), "token": token.expose()}));
        let verified = self.world.run(&Identity::Anonymous, VerifyEmail { fields }).await;
        let end = verified.map_or_else(|error| ending(&error), |_| End::Done);
        self.recorder.note(begun, Event::Verify { person, end });
    }

    async fn delete(&self, person: Person, id: UserId) {
        let begun = self.recorder.now();
        let Some(identity) = self.presence(id).await else { return };
        let end = self.world.run(&identity, DeleteUser { user: me() }).await.map_err(|error| ending(&error));
        assert_ne!(end, Err(End::Taken));
        self.recorder.note(begun, Event::Delete { person, is_done: end.is_ok() });
    }

    async fn find(&self, address: Address) {
        let begun = self.recorder.now();
        let actor = Actor { identity: operator(), address: None, user_agent: None, request_id: String::new() };
        let cx = Context { app: &self.world.app, actor: &actor, now: self.world.now, step: None, approved: None };
        let email = EmailAddress::parse(&self.address(address)).unwrap();
        let found = cx.find_by_email(&email).await.unwrap().map(|user| user.value.id);
        let moment = self.recorder.now();
        let found = match found {
            Some(id) => Some(self.name_of(id).await),
            None => None,
        };
        self.recorder.note_between(begun, moment, Event::Find { address, found });
    }

    /// The name of somebody whose creation may not have been answered yet.
    async fn name_of(&self, id: UserId) -> Person {
        loop {
            if let Some((person, _)) = self.people.lock().unwrap().iter().find(|(_, known)| *known == id) {
                return *person;
            }
            tokio::task::yield_now().await;
        }
    }

    /// A session of the person, who is there as a rule.
    async fn presence(&self, id: UserId) -> Option<Identity> {
        let user = self.world.app.records().user(id).await.unwrap()?.value;
        let session = crate::domain::session::Session {
            id: crate::domain::id::SessionId(uuid::Uuid::nil()),
            user: Some(id),
            epoch: user.session_epoch,
            created_at: self.world.now,
            expires_at: self.world.now.plus_seconds(86_400),
            authenticated_at: self.world.now,
            verified_at: Some(self.world.now),
            last_activity: self.world.now,
            login_method: "password".to_owned(),
            address: None,
            user_agent: String::new(),
            pending_login: None,
        };
        let session = Arc::new(PresentedSession { hash: [0; 32], session, wants_second_factor: false });
        Some(Identity::Session { user: Arc::new(user), session })
    }

    fn address(&self, address: Address) -> String {
        format!("{}wanted{address}@example.com", self.round)
    }
}

fn ending(error: &Error) -> End {
    match error.code() {
        "email_taken" | "email_in_use" | "unique" => End::Taken,
        "not_found" | "not_authenticated" | "invalid_token" | "nothing_to_change" => End::Refused,
        _ => panic!("{error:?}"),
    }
}
