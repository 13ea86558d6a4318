//! Spec §4.8: the gate, which stands when an operator's reset or the current organization demands a second factor; and
//! the mark that a session has shown it.

use serde_json::{Value, json};

use crate::harness::{Authenticator, Client, Person, Reply, Server};

const ME: &str = "/api/users/@me";
const CURRENT: &str = "/api/organizations/@current";
const RESET: [&str; 6] = ["2fa", "reset", "ada@example.com", "--reason", "lost the phone", "--yes"];

trait GateChecks {
    fn wants_setup(self);
    fn wants_verification(self);
}

impl GateChecks for Reply {
    #[track_caller]
    fn wants_setup(self) {
        self.is_error(403, "authentication_error", "two_factor_setup_required", "2FA setup required", None);
    }

    #[track_caller]
    fn wants_verification(self) {
        let detail = "2FA verification required";
        self.is_error(403, "authentication_error", "two_factor_verification_required", detail, None);
    }
}

/// An account of which a second factor is demanded, logged in with the password.
fn gated(server: &Server) -> (Person, Client) {
    let (person, client) = server.logged_in("ada@example.com");
    client.enrol(server);
    server.cli(&RESET).is(0);
    (person.clone(), server.login(&person))
}

/// The owner of an organization that demands a second factor, logged in.
fn gated_by_organization(server: &Server) -> (Person, Client) {
    let (person, client) = server.owner("ada@example.com", "Acme");
    demand(&client, json!(true));
    (person, client)
}

fn demand(client: &Client, enforce_2fa: Value) {
    client.patch(CURRENT, json!({"enforce_2fa": enforce_2fa})).is(200);
}

/// Spec §4.8, question 5, §7.4 rows 27 and 47; W-27.
#[test]
fn the_gate_closes_everything_that_is_not_on_the_list() {
    for by in [gated, gated_by_organization] {
        let server = Server::start();
        let (_, client) = by(&server);
        is_closed(&client);
    }
}

fn is_closed(client: &Client) {
    for path in ["/api/users", "/api/users/", "/api/personal_api_keys", "/api/personal_api_keys/nonsense"] {
        client.get(path).wants_setup();
    }
    let own = ["login_sessions", "login_sessions/", "remembered_devices", "hedgehog_config", "github_login"];
    for path in own.into_iter().chain(["pending_invites"]) {
        client.get(&format!("{ME}/{path}")).wants_setup();
    }
    client.delete(&format!("{ME}/login_sessions/nonsense")).wants_setup();
    client.post(&format!("{ME}/login_sessions/revoke_others"), json!({})).wants_setup();
    client.delete(&format!("{ME}/remembered_devices/nonsense")).wants_setup();
    client.patch(&format!("{ME}/hedgehog_config"), json!({})).wants_setup();
    client.post(&format!("{ME}/scene_personalisation"), json!({})).wants_setup();
    client.patch(&format!("{ME}/product_intro_seen"), json!({})).wants_setup();
    client.post(&format!("{ME}/credentials_review_complete"), json!({})).wants_setup();
    for below in ["", "/", "/@current", "/@current/members", "/@current/projects/", "/@current/invites"] {
        client.get(&format!("/api/organizations{below}")).wants_setup();
    }
    client.patch(CURRENT, json!({"enforce_2fa": false})).wants_setup();
    client.delete(CURRENT).wants_setup();
    client.patch(&format!("{CURRENT}/members/@me"), json!({"level": 1})).wants_setup();
    client.delete(&format!("{CURRENT}/members/@me")).wants_setup();
    client.post(&format!("{CURRENT}/projects"), json!({"name": "A way round"})).wants_setup();
    client.post(&format!("{CURRENT}/invites"), json!({"target_email": "eve@example.com"})).wants_setup();
    client.post(&format!("{CURRENT}/invites/bulk"), json!([])).wants_setup();
    client.delete(&format!("{CURRENT}/invites/nonsense")).wants_setup();
    client.post("/api/organizations", json!({"name": "A way round"})).wants_setup();
    client.patch(ME, json!({"first_name": "Ada"})).wants_setup();
    client.patch(ME, json!({"email": "eve@example.com"})).wants_setup();
    client.patch(ME, json!({"set_current_team": 7, "theme_mode": "dark"})).wants_setup();
    client.patch(ME, json!({})).wants_setup();
    client.put(ME, json!({})).wants_setup();
    client.delete(ME).wants_setup();
    client.post("/api/personal_api_keys", json!({})).wants_setup();
    client.patch("/api/personal_api_keys/nonsense", json!({})).wants_setup();
    client.put("/api/personal_api_keys/nonsense", json!({})).wants_setup();
    client.delete("/api/personal_api_keys/nonsense").wants_setup();
    client.post("/api/personal_api_keys/nonsense/roll", json!({})).wants_setup();
    client.patch("/api/users/cancel_email_change_request", json!({})).wants_setup();
}

/// Spec §4.8: the table of paths that stay open, with and without a slash; §7.4 rows 27 and 47; W-27.
#[test]
fn the_gate_lets_through_what_leads_out_of_it() {
    for by in [gated, gated_by_organization] {
        let server = Server::start();
        let (person, client) = by(&server);
        leads_out(&server, &person, &client);
    }
}

fn leads_out(server: &Server, person: &Person, client: &Client) {
    for slash in ["", "/"] {
        let path = |rest: &str| format!("{ME}{rest}{slash}");
        for method in ["GET", "HEAD", "OPTIONS"] {
            client.request(method, &path("")).send().is(200);
        }
        client.get(&path("/two_factor_start_setup")).is(200);
        client.get(&path("/start_2fa_setup")).is(200);
        client.get(&path("/two_factor_status")).is(200);
        client.post(&path("/two_factor_validate"), json!({"token": "1"})).is(400);
        client.post(&path("/validate_2fa"), json!({"token": "1"})).is(400);
        client.post(&path("/two_factor_backup_codes"), json!({})).is(400);
        client.post(&path("/two_factor_disable"), json!({})).is(200);
        for body in [json!({"set_current_team": 7}), json!({"set_current_team": 7, "set_current_organization": "x"})] {
            client.patch(&path(""), body).is(400);
        }
        client.post(&format!("/api/login/precheck{slash}"), json!({"email": person.email})).is(200);
        client.post(&format!("/api/login/token{slash}"), json!({"token": "1"})).is(400);
        client.post(&format!("/api/login/code-based-verification{slash}"), json!({"code": "1"})).is(400);
        client.post(&format!("/api/login/code-based-verification/resend{slash}"), json!({})).is(400);
        client.post(&format!("/api/reset{slash}"), json!({})).is(400);
        client.post(&format!("/api/signup{slash}"), json!({})).is(400);
        for below in ["reset", "reset_2fa", "signup"] {
            client.get(&format!("/api/{below}/nonsense{slash}")).is(400);
            client.post(&format!("/api/{below}/nonsense{slash}"), json!({})).is(400);
        }
        client.post(&format!("/api/users/verify_email{slash}"), json!({})).is(400);
        client.post(&format!("/api/users/request_email_verification{slash}"), json!({})).is(400);
        client.get(&format!("/_health{slash}")).is(200);
        client.login(person).is(200);
    }
    client.request("POST", "/logout").send().is(302);
    server.login(person).post("/api/logout", json!({})).is(204);
}

/// Spec §4.8: the typical path.
#[test]
fn enrolling_opens_the_gate() {
    for (start, validate) in [("two_factor_start_setup", "two_factor_validate"), ("start_2fa_setup", "validate_2fa")] {
        let server = Server::start();
        let (_, client) = gated(&server);
        client.get("/api/users").wants_setup();
        let setup = client.get(&format!("{ME}/{start}")).is(200).json();
        let code = Authenticator::new(setup["secret"].as_str().unwrap()).code(&server);
        client.post(&format!("{ME}/{validate}"), json!({"token": code})).is(200);
        client.get("/api/users").is(200);
        client.patch(ME, json!({"first_name": "Ada"})).is(200);
    }
}

/// Spec §4.8: the typical path with an organization: whoever throws the switch is gated as well, all members are, and
/// enrolling opens the gate for each; §7.4 rows 27 and 45.
#[test]
fn an_organization_demands_a_second_factor_of_its_members() {
    let server = Server::start();
    let (owner, as_owner) = server.owner("ada@example.com", "Acme");
    let admin = server.member("admin@example.com", "Acme", "admin");
    let as_admin = server.login(&admin);
    let protected = server.login(&server.member("bob@example.com", "Acme", "member"));
    protected.enrol(&server);
    as_admin.get("/api/organizations").is(200);
    demand(&as_admin, json!(true));
    as_admin.get("/api/organizations").wants_setup();
    as_owner.get("/api/organizations").wants_setup();
    protected.get("/api/organizations").is(200);
    as_owner.enrol(&server);
    as_owner.get("/api/organizations").is(200);
    as_admin.get("/api/organizations").wants_setup();
    let codes = as_owner.new_backup_codes();
    let status = || as_owner.get(&format!("{ME}/two_factor_status")).is(200).json();
    assert_eq!(status()["backup_codes"], json!(codes));

    // A login that waits for the second step, in a live session: not verified.
    as_owner.login(&owner).wants_second_factor();
    as_owner.get("/api/organizations").wants_verification();
    as_owner.get(ME).is(200);
    assert_eq!((&status()["backup_codes"], &status()["backup_codes_remaining"]), (&json!([]), &json!(10)));

    // The same as before for all, by null as by false.
    for off in [json!(false), json!(null)] {
        demand(&protected_admin(&server, &off), off);
        as_admin.get("/api/organizations").is(200);
        demand(&as_admin, json!(true));
        as_admin.get("/api/organizations").wants_setup();
    }
}

/// A further administrator, who has a second factor.
fn protected_admin(server: &Server, round: &Value) -> Client {
    let client = server.login(&server.member(&format!("admin-{round}@example.com"), "Acme", "admin"));
    client.enrol(server);
    client
}

/// Spec §4.8: only the current organization counts, and moving is allowed; W-27.
#[test]
fn moving_leads_into_the_gate_and_out_of_it() {
    let server = Server::start();
    let (_, client) = server.owner("ada@example.com", "Strict");
    let strict = client.me();
    let free = client.post("/api/organizations", json!({"name": "Free"})).is(201).json();
    client.patch(&format!("/api/organizations/{}", id(&strict["organization"])), json!({"enforce_2fa": true})).is(200);
    client.get("/api/users").is(200);
    client.patch(ME, json!({"set_current_team": strict["team"]["id"]})).is(200);
    client.get("/api/users").wants_setup();
    let moves = json!({"set_current_organization": free["id"], "theme_mode": "dark"});
    client.patch(ME, moves).wants_setup();
    client.patch(ME, json!({"set_current_organization": free["id"]})).is(200);
    client.get("/api/users").is(200);
    let both =
        json!({"set_current_organization": strict["organization"]["id"], "set_current_team": strict["team"]["id"]});
    client.patch(ME, both).is(200);
    client.get("/api/users").wants_setup();
    // A new session is no way out either.
    server.login(&server.member("bob@example.com", "Strict", "member")).get("/api/users").wants_setup();
    client.patch(&format!("{ME}/"), json!({"set_current_organization": free["id"]})).is(200);
    client.get("/api/users").is(200);
}

fn id(object: &Value) -> &str {
    object["id"].as_str().unwrap()
}

/// Spec §4.8, question 5, and §3.1: staff are gated like anybody; another user's UUID is no way round.
#[test]
fn staff_are_gated_as_well() {
    let server = Server::start();
    let person = server.person("staff@example.com", &["--verified", "--staff", "--organization", "Acme"]);
    let other = server.user("bob@example.com");
    let client = server.login(&person);
    demand(&client, json!(true));
    client.get("/api/users").wants_setup();
    client.get(&other.path("")).wants_setup();
    client.get(&other.path("/two_factor_status")).wants_setup();
    client.post(&other.path("/two_factor_disable"), json!({})).wants_setup();
    client.get(&person.path("")).is(200);
}

/// Spec §4.8: keys and anonymous calls never meet the gate; §7.4 row 27.
#[test]
fn a_key_does_not_meet_the_gate() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let key = server.key_of(&client, &["user:write"]);
    client.enrol(&server);
    server.cli(&RESET).is(0);
    key.get("/api/users").is(200);
    key.patch(ME, json!({"first_name": "Ada"})).is(200);
    server.login(&person).get("/api/users").wants_setup();

    let (_, client) = server.owner("bob@example.com", "Acme");
    let key = server.key_of(&client, &["user:read", "organization:read"]);
    demand(&client, json!(true));
    key.get("/api/users").is(200);
    key.get(CURRENT).is(200);
    client.get(CURRENT).wants_setup();
}

/// Spec §4.8: the table of the verified mark; §3.5: a new login clears it; W-11.
#[test]
fn a_login_that_waits_for_its_second_step_hides_the_codes() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let mut authenticator = client.enrol(&server);
    client.new_backup_codes();
    let status = || client.get("/api/users/@me/two_factor_status").is(200).json();
    assert_eq!(status()["backup_codes"].as_array().unwrap().len(), 10);

    client.login(&person).wants_second_factor();
    let seen = status();
    assert_eq!((&seen["backup_codes"], &seen["backup_codes_remaining"]), (&json!([]), &json!(10)));
    client.post("/api/users/@me/two_factor_backup_codes", json!({})).wants_verification();
    client.get("/api/users/@me/two_factor_start_setup").wants_verification();

    client.post("/api/login/token", json!({"token": authenticator.code(&server)})).is(200);
    assert_eq!(status()["backup_codes"].as_array().unwrap().len(), 10);
    client.new_backup_codes();
}
