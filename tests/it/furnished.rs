//! A server that has something of everything that is kept, for what is done to a store as a whole.

use serde_json::json;

use crate::harness::{Authenticator, Builder, Client, Person, Server, wait_for};

pub const ME: &str = "/api/users/@me";
const REASON: &str = "lost phone, HD-4711";

/// The server, and people who know what they have there.
pub struct Furnished {
    pub server: Server,
    /// Has an authenticator, backup codes, a remembered device and a key, and owns an organization.
    pub dana: Person,
    pub authenticator: Authenticator,
    /// Unused ones.
    pub codes: Vec<String>,
    /// Logged in as Dana.
    pub session: Client,
    pub key: Client,
    /// Somebody else, who is enrolling an authenticator.
    pub enrolling: Client,
    pub enrolled: Authenticator,
}

impl Furnished {
    /// Mails wait, since nobody takes them.
    pub fn builder() -> Builder {
        Server::builder()
            .setting("email.transport", "smtp")
            .setting("email.smtp.host", "127.0.0.1")
            .setting("email.smtp.port", "1")
            .setting("email.smtp.tls", "none")
            .setting("admin.second_operator", "true")
    }

    pub fn start() -> Self {
        let server = Self::builder().start();
        let (dana, session) = server.owner("dana@example.com", "Acme");
        let authenticator = session.enrol(&server);
        let mut codes = session.new_backup_codes();
        session.patch(ME, json!({"theme_mode": "dark", "notification_settings": {"plugin_disabled": false}})).is(200);
        let device = server.client();
        device.login(&dana).wants_second_factor();
        device.post("/api/login/token", json!({"token": codes.remove(0), "remember": true})).is(200);
        let key = server.key_of(&session, &["user:read"]);
        let invite = json!({"target_email": "guest@example.com", "first_name": "Guest", "level": 1});
        session.post("/api/organizations/@current/invites", invite).is(201);

        let (_, enrolling) = server.logged_in("enrolling@example.com");
        let setup = enrolling.get("/api/users/@me/two_factor_start_setup").is(200).json();
        let enrolled = Authenticator::new(setup["secret"].as_str().unwrap());
        let (_, moving) = server.logged_in("moving@example.com");
        moving.patch(ME, json!({"email": "moved@example.com"})).is(200);
        let forgetful = server.member("forgetful@example.com", "Acme", "admin");
        server.client().post("/api/reset", json!({"email": forgetful.email})).is(204);
        server.client().post("/api/login", json!({"email": forgetful.email, "password": "wrong"})).is(400);
        server.member("gone@example.com", "Acme", "member");
        server.cli(&["user", "deactivate", "gone@example.com", "--reason", REASON]).is(0);
        server.client().login(&dana).wants_second_factor();

        let drafted = server.cli(&["job", "draft", "--json", "--kind", "remind", "--query", "2fa:off"]).json();
        let job = drafted["id"].as_str().unwrap().to_owned();
        server.cli(&["job", "draft", "--kind", "remind", "--query", "role:user"]).is(0);
        server.cli(&["job", "start", &job, "--reason", REASON, "--yes"]).is(0);
        wait_for("the job to be over", || {
            let shown = server.cli(&["job", "show", &job, "--json"]).json();
            (shown["row"]["state"] == "done").then_some(())
        });
        let staff = server.staff("staff@example.com");
        server.login(&staff).enrol(&server);
        let reset = ["2fa", "reset", &staff.email, "--reason", REASON, "--verified-by", "call-back", "--yes"];
        assert!(server.cli(&reset).is(4).err.contains("doorward 2fa approve"));
        server.cli(&["audit", "checkpoint"]).is(0);
        Self { server, dana, authenticator, codes, session, key, enrolling, enrolled }
    }

    /// Everybody gets in as before: what is shared with a phone or printed on paper still counts, and so does who is
    /// logged in.
    pub fn everybody_gets_in(&mut self) {
        let Self { server, dana, authenticator, codes, .. } = self;
        for token in [authenticator.code(server), codes.remove(0)] {
            let client = server.client();
            client.login(dana).wants_second_factor();
            client.post("/api/login/token", json!({"token": token, "remember": false})).is(200);
        }
        let left = self.session.get("/api/users/@me/two_factor_status").is(200).json();
        assert_eq!(left["backup_codes"], json!(self.codes));
        self.session.patch(ME, json!({"first_name": "Dana"})).is(200);
        self.key.get(ME).is(200);
        let code = self.enrolled.code(&self.server);
        self.enrolling.post("/api/users/@me/two_factor_validate", json!({"token": code})).is(200);
    }
}
