//! People who write to a server as fast as it goes, remember what it acknowledged, and look whether that is there after
//! whatever happened to it. What was not acknowledged may be there as a whole or not at all.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::ScopedJoinHandle;

use serde_json::{Value, json};

use crate::harness::{Client, Person, Reply, Request, Server, wait_for};

const ME: &str = "/api/users/@me";
const KEYS: &str = "/api/personal_api_keys";
const PASSWORD_MAIL: &str = "password has been changed";

/// Users whose name is changed as fast as it goes, each by a writer of its own.
const NAMES: usize = 8;
/// Sessions and keys looked at after a restart, the newest of them.
const LOOKED_AT: usize = 8;

pub fn random(below: usize) -> usize {
    let bits = RandomState::new().hash_one(());
    usize::try_from(bits % u64::try_from(below).unwrap()).unwrap()
}

/// Every record, index and counter is right, and the trail is whole.
#[track_caller]
pub fn all_is_well(server: &Server) {
    let verified = server.cli(&["verify", "--json"]).is(0).json();
    assert_eq!(verified["problems"], json!([]));
    server.cli(&["audit", "verify"]).is(0);
}

/// The answer if this was acknowledged. A server that is gone, or that says that it failed, acknowledged nothing; where the
/// login is too long ago by now, another is made; any other answer is wrong.
#[track_caller]
fn acknowledged(person: &Person, client: &Client, status: u16, request: impl Fn() -> Request) -> Option<Reply> {
    loop {
        let reply = request().try_send().ok()?;
        if reply.status >= 500 {
            return None;
        }
        if reply.status != 403 || !reply.text.contains("sensitive_action_required_reauth") {
            return Some(reply.is(status));
        }
        let login = client.request("POST", "/api/login").json(person.credentials()).try_send().ok()?;
        if login.status >= 500 {
            return None;
        }
        login.is(200);
    }
}

/// How far the writers are, and whether they may rest.
#[derive(Default)]
pub struct Progress {
    pub acknowledged: AtomicUsize,
    pub is_enough: AtomicBool,
}

/// Everybody who writes, and what they were told.
pub struct Writers {
    names: Vec<NameWriter>,
    logins: LoginWriter,
    keys: KeyWriter,
    passwords: PasswordWriter,
}

impl Writers {
    pub fn new(server: &Server) -> Self {
        let names = (0..NAMES).map(|n| {
            let (person, client) = server.logged_in(&format!("name{n}@example.com"));
            NameWriter { person, client, written: 0, tried: 0 }
        });
        let (key_owner, password_owner) =
            (server.logged_in("keys@example.com"), server.logged_in("password@example.com"));
        Self {
            names: names.collect(),
            logins: LoginWriter { person: server.user("login@example.com"), client: server.client(), made: Vec::new() },
            keys: KeyWriter { person: key_owner.0, client: key_owner.1, live: Vec::new(), dead: Vec::new() },
            passwords: PasswordWriter {
                person: password_owner.0,
                client: password_owner.1,
                tried: String::new(),
                changes: 0,
            },
        }
    }

    /// Writes until the server is gone, has failed, or it is enough.
    pub fn start<'scope>(
        &'scope mut self,
        scope: &'scope std::thread::Scope<'scope, '_>,
        progress: &'scope Progress,
    ) -> Vec<ScopedJoinHandle<'scope, ()>> {
        fn go_on(progress: &Progress, mut write: impl FnMut() -> Option<()>) {
            while !progress.is_enough.load(Ordering::Relaxed) && write().is_some() {
                progress.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
        }
        let Self { names, logins, keys, passwords } = self;
        let mut running: Vec<_> =
            names.iter_mut().map(|writer| scope.spawn(move || go_on(progress, || writer.write()))).collect();
        running.push(scope.spawn(move || go_on(progress, || logins.write())));
        running.push(scope.spawn(move || go_on(progress, || keys.write())));
        running.push(scope.spawn(move || go_on(progress, || passwords.write())));
        running
    }

    pub fn check(&mut self, server: &Server, round: usize) {
        for writer in &mut self.names {
            writer.check(round);
        }
        self.logins.check(round);
        self.keys.check(server, round);
        self.passwords.check(server, round);
    }

    /// Ends the sessions that were made so far: of too many, the oldest go by themselves.
    pub fn forget_logins(&mut self, server: &Server) {
        server
            .cli(&["session", "revoke", &self.logins.person.email, "--all", "--reason", "too many by now", "--yes"])
            .is(0);
        self.logins.made.clear();
    }

    /// A mail is in the batch of its change, so each change has one at least.
    pub fn check_mails(&self, server: &Server) {
        let email = &self.passwords.person.email;
        wait_for("the outbox to be empty", || {
            let shown = server.cli(&["user", "show", email, "--json"]).json();
            (shown["mails_waiting"] == 0).then_some(())
        });
        let mails = server.wait_for_mails(email, PASSWORD_MAIL, self.passwords.changes).len();
        assert!(mails >= self.passwords.changes, "{mails} mails of {} changes", self.passwords.changes);
    }
}

/// Counts in a field.
struct NameWriter {
    person: Person,
    client: Client,
    /// Acknowledged.
    written: usize,
    /// Sent.
    tried: usize,
}

impl NameWriter {
    fn write(&mut self) -> Option<()> {
        self.tried += 1;
        let body = json!({"first_name": format!("n{}", self.tried)});
        acknowledged(&self.person, &self.client, 200, || self.client.request("PATCH", ME).json(body.clone()))?;
        self.written = self.tried;
        Some(())
    }

    fn check(&mut self, round: usize) {
        let me = self.client.me();
        let name = me["first_name"].as_str().unwrap();
        let read: usize = name.trim_start_matches('n').parse().unwrap_or(0);
        let (written, tried) = (self.written, self.tried);
        assert!((written..=tried).contains(&read), "round {round}: {read} read, {written} acknowledged, {tried} sent");
        self.tried = read;
        self.written = read;
    }
}

/// Logs in again and again.
struct LoginWriter {
    person: Person,
    client: Client,
    made: Vec<Client>,
}

impl LoginWriter {
    fn write(&mut self) -> Option<()> {
        let client = self.client.copy();
        let login = || client.request("POST", "/api/login").json(self.person.credentials());
        acknowledged(&self.person, &client, 200, login)?;
        self.made.push(client);
        Some(())
    }

    fn check(&self, round: usize) {
        for client in self.made.iter().rev().take(LOOKED_AT) {
            let reply = client.get(ME);
            assert_eq!(reply.status, 200, "round {round}: an acknowledged session is gone: {reply:?}");
        }
    }
}

/// Makes keys, and removes the oldest ones to have room.
struct KeyWriter {
    person: Person,
    client: Client,
    /// Id and value.
    live: Vec<(String, String)>,
    dead: Vec<String>,
}

impl KeyWriter {
    fn write(&mut self) -> Option<()> {
        // One place stays free for a key whose acknowledgement was lost.
        if self.live.len() >= 5 {
            let (id, value) = self.live.remove(0);
            let path = format!("{KEYS}/{id}");
            acknowledged(&self.person, &self.client, 204, || self.client.request("DELETE", &path))?;
            self.dead.push(value);
            return Some(());
        }
        let body = json!({"label": "crash", "scopes": ["*"], "scoped_teams": [], "scoped_organizations": []});
        let made =
            acknowledged(&self.person, &self.client, 201, || self.client.request("POST", KEYS).json(body.clone()))?
                .json();
        self.live.push((text(&made["id"]), text(&made["value"])));
        Some(())
    }

    fn check(&mut self, server: &Server, round: usize) {
        for (id, value) in self.live.iter().rev().take(LOOKED_AT) {
            let reply = server.with_key(value).get(ME);
            assert_eq!(reply.status, 200, "round {round}: the acknowledged key {id} is gone: {reply:?}");
        }
        for value in self.dead.iter().rev().take(LOOKED_AT) {
            let reply = server.with_key(value).get(ME);
            assert_eq!(reply.status, 401, "round {round}: a deleted key is back: {reply:?}");
        }
        let listed = self.client.get(KEYS).is(200).json();
        for key in listed.as_array().unwrap() {
            let id = text(&key["id"]);
            if !self.live.iter().any(|(live, _)| *live == id) {
                let path = format!("{KEYS}/{id}");
                acknowledged(&self.person, &self.client, 204, || self.client.request("DELETE", &path)).unwrap();
            }
        }
    }
}

/// Changes a password, which queues a mail.
struct PasswordWriter {
    person: Person,
    client: Client,
    /// The one sent last.
    tried: String,
    /// Acknowledged.
    changes: usize,
}

impl PasswordWriter {
    fn write(&mut self) -> Option<()> {
        self.tried = format!("correct horse battery staple number {}", random(1_000_000_000));
        let body = json!({"current_password": self.person.password, "password": self.tried});
        acknowledged(&self.person, &self.client, 200, || self.client.request("PATCH", ME).json(body.clone()))?;
        self.person.password.clone_from(&self.tried);
        self.changes += 1;
        Some(())
    }

    /// The acknowledged password is the right one, or the one that was under way.
    fn check(&mut self, server: &Server, round: usize) {
        self.client = server.client();
        if self.client.login(&self.person).status == 200 {
            return;
        }
        self.person.password.clone_from(&self.tried);
        // A day of such guesses would lock the account.
        server.cli(&["2fa", "unlock", &self.person.email, "--reason", "a guess of this test"]).is(0);
        let reply = self.client.login(&self.person);
        assert_eq!(reply.status, 200, "round {round}: neither password is right: {reply:?}");
        self.changes += 1;
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Each entry has the number and the hash of the one before.
#[track_caller]
pub fn check_chain(server: &Server, limit: usize) {
    let listed = server.cli(&["audit", "list", "--limit", &limit.to_string(), "--json"]).json();
    let rows = listed["rows"].as_array().unwrap();
    assert_eq!(rows[0]["number"], listed["newest"]);
    for pair in rows.windows(2) {
        let (later, earlier) = (&pair[0], &pair[1]);
        assert_eq!(later["number"].as_u64().unwrap(), earlier["number"].as_u64().unwrap() + 1, "{later}");
        assert_eq!(later["previous_hash"], earlier["hash"], "{later}");
    }
    let first = rows.last().unwrap();
    if first["number"] == 1 {
        assert_eq!(text(&first["previous_hash"]).trim_matches('0'), "", "{first}");
    } else {
        assert_eq!(rows.len(), limit, "the trail has a beginning");
    }
}
