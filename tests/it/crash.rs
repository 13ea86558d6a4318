//! `kill -9` in the middle of writing: whatever was acknowledged is there after a restart on the same
//! data, and what was not is there as a whole or not at all.
//!
//! `DOORWARD_CRASH_ROUNDS` says how often; `scripts/crash-test` sets it.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::harness::{Client, Person, Server, wait_for};

const ME: &str = "/api/users/@me";
const KEYS: &str = "/api/personal_api_keys";
const PASSWORD_MAIL: &str = "password has been changed";

/// Users whose name is changed as fast as it goes, each by a writer of its own.
const NAMES: usize = 8;
/// Sessions and keys looked at after a restart, the newest of them.
const LOOKED_AT: usize = 8;
/// Writes that a round may see acknowledged before the kill.
const WRITES_MAX: usize = 150;

fn rounds() -> usize {
    std::env::var("DOORWARD_CRASH_ROUNDS").map_or(20, |rounds| rounds.parse().unwrap())
}

fn random(below: usize) -> usize {
    let bits = RandomState::new().hash_one(());
    usize::try_from(bits % u64::try_from(below).unwrap()).unwrap()
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let mut server = Server::builder().mail_file().setting("limits.user_authentication", "1000/1s").start();
    let mut writers = Writers::new(&server);
    for round in 0..rounds() {
        let acknowledged = AtomicUsize::new(0);
        let enough = 1 + random(WRITES_MAX);
        std::thread::scope(|scope| {
            writers.start(scope, &acknowledged);
            wait_for("writes", || (acknowledged.load(Ordering::Relaxed) >= enough).then_some(()));
            server.kill();
        });
        server.start_again();
        writers.check(&server, round);
        check_chain(&server, 1_000);
    }
    check_chain(&server, 1_000_000);
    writers.check_mails(&server);
    server.stop();
}

/// Everybody who writes, and what they were told.
struct Writers {
    names: Vec<NameWriter>,
    logins: LoginWriter,
    keys: KeyWriter,
    passwords: PasswordWriter,
}

impl Writers {
    fn new(server: &Server) -> Self {
        let names = (0..NAMES).map(|n| NameWriter {
            client: server.logged_in(&format!("name{n}@example.com")).1,
            written: 0,
            tried: 0,
        });
        let (key_owner, password_owner) =
            (server.logged_in("keys@example.com").1, server.logged_in("password@example.com"));
        Self {
            names: names.collect(),
            logins: LoginWriter { person: server.user("login@example.com"), client: server.client(), made: Vec::new() },
            keys: KeyWriter { client: key_owner, live: Vec::new(), dead: Vec::new() },
            passwords: PasswordWriter {
                person: password_owner.0,
                client: password_owner.1,
                tried: String::new(),
                changes: 0,
            },
        }
    }

    /// Writes until the server is gone.
    fn start<'scope>(
        &'scope mut self,
        scope: &'scope std::thread::Scope<'scope, '_>,
        acknowledged: &'scope AtomicUsize,
    ) {
        fn go_on(acknowledged: &AtomicUsize, mut write: impl FnMut() -> Option<()>) {
            while write().is_some() {
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
        }
        for writer in &mut self.names {
            scope.spawn(move || go_on(acknowledged, || writer.write()));
        }
        let Self { logins, keys, passwords, .. } = self;
        scope.spawn(move || go_on(acknowledged, || logins.write()));
        scope.spawn(move || go_on(acknowledged, || keys.write()));
        scope.spawn(move || go_on(acknowledged, || passwords.write()));
    }

    fn check(&mut self, server: &Server, round: usize) {
        for writer in &mut self.names {
            writer.check(round);
        }
        self.logins.check(round);
        self.keys.check(server, round);
        self.passwords.check(server, round);
    }

    /// A mail is in the batch of its change, so each change has one at least.
    fn check_mails(&self, server: &Server) {
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
        self.client.request("PATCH", ME).json(body).try_send().ok()?.is(200);
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
        client.request("POST", "/api/login").json(self.person.credentials()).try_send().ok()?.is(200);
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
            self.client.request("DELETE", &format!("{KEYS}/{id}")).try_send().ok()?.is(204);
            self.dead.push(value);
            return Some(());
        }
        let body = json!({"label": "crash", "scopes": ["*"], "scoped_teams": [], "scoped_organizations": []});
        let made = self.client.request("POST", KEYS).json(body).try_send().ok()?.is(201).json();
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
                self.client.delete(&format!("{KEYS}/{id}")).is(204);
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
        self.client.request("PATCH", ME).json(body).try_send().ok()?.is(200);
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
fn check_chain(server: &Server, limit: usize) {
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
