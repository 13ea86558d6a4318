//! Spec §2.11 and the table "Login sessions" of §3.4: a user lists and ends the own sessions, and the remembered devices
//! with them.

use serde_json::{Value, json};

use crate::harness::{Authenticator, Client, Person, Reply, Server};

const ME: &str = "/api/users/@me";
const SESSIONS: &str = "/api/users/@me/login_sessions";
const OTHERS: &str = "/api/users/@me/login_sessions/revoke_others";
const DEVICES: &str = "/api/users/@me/remembered_devices";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:135.0) Gecko/20100101 Firefox/135.0";
const CHROME: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Chrome/135.0.0.0 Safari/537.36";

fn login_with(server: &Server, person: &Person, user_agent: &str) -> Client {
    let client = server.client();
    client.request("POST", "/api/login").header("user-agent", user_agent).json(person.credentials()).send().is(200);
    client
}

fn sessions(client: &Client) -> Vec<Value> {
    serde_json::from_value(client.get(SESSIONS).is(200).json()).unwrap()
}

fn devices(client: &Client) -> Vec<Value> {
    serde_json::from_value(client.get(DEVICES).is(200).json()).unwrap()
}

/// The path of the session that this client is in.
fn path_of(client: &Client) -> String {
    format!("{SESSIONS}/{}", sessions(client)[0]["id"].as_str().unwrap())
}

#[track_caller]
fn is_no_session(reply: Reply) {
    reply.is_error(404, "invalid_request", "not_found", "Login session not found.", None);
}

/// A browser that skips the second step from now on.
fn remembered(server: &Server, person: &Person, authenticator: &mut Authenticator) -> Client {
    let client = server.client();
    client.login(person).wants_second_factor();
    client.post("/api/login/token", json!({"token": authenticator.code(server), "remember": true})).is(200);
    client
}

/// Spec §2.11, §3.4, §7.4 row 32.
#[test]
fn sessions_are_listed_with_the_present_one_first() {
    let server = Server::start();
    let person = server.user("ada@example.com");
    let firefox = login_with(&server, &person, FIREFOX);
    server.advance(400);
    let chrome = login_with(&server, &person, CHROME);
    let script = login_with(&server, &person, "");
    server.logged_in("bob@example.com");
    server.advance(400);
    firefox.get(ME).is(200);
    server.advance(400);

    let seen = sessions(&script);
    let order: Vec<&Value> = seen.iter().map(|session| &session["device"]).collect();
    assert_eq!(order, [&Value::Null, &json!("Firefox 135 on Linux"), &json!("Chrome 135 on macOS")], "{seen:?}");
    let current: Vec<&Value> = seen.iter().map(|session| &session["is_current"]).collect();
    assert_eq!(current, [true, false, false]);
    let names: Vec<&str> = seen[1].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["id", "created_at", "last_activity", "location", "device", "login_method", "is_current"]);
    assert_eq!((&seen[1]["location"], &seen[1]["login_method"]), (&Value::Null, &json!("password")));
    assert!(seen[1]["created_at"].as_str().unwrap().ends_with("+00:00"), "{seen:?}");
    assert!(seen[1]["last_activity"].as_str().unwrap().ends_with('Z'), "{seen:?}");
    let id = seen[1]["id"].as_str().unwrap();
    assert!(uuid::Uuid::try_parse(id).is_ok_and(|uuid| uuid.to_string() == id), "{id}");

    let seen = sessions(&chrome);
    let order: Vec<&Value> = seen.iter().map(|session| &session["device"]).collect();
    assert_eq!(order, [&json!("Chrome 135 on macOS"), &Value::Null, &json!("Firefox 135 on Linux")], "{seen:?}");
    let text = chrome.get(SESSIONS).text;
    for hidden in [chrome.cookie("sessionid").unwrap().as_str(), "127.0.0.1", "Mozilla"] {
        assert!(!text.contains(hidden), "{hidden} is in {text}");
    }
    chrome.post("/api/logout", json!({})).is(204);
    assert_eq!(sessions(&firefox).len(), 2);
}

/// Spec §2.11, §7.2: refreshed at most every five minutes.
#[test]
fn the_last_activity_is_kept_to_five_minutes() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let last_activity = || sessions(&client)[0]["last_activity"].clone();
    let first = last_activity();
    server.advance(290);
    assert_eq!(last_activity(), first);
    server.advance(11);
    client.get(ME).is(200);
    let second = last_activity();
    assert_ne!(second, first);
    assert_eq!(last_activity(), second);
}

/// Spec §3.4, §7.4 row 32.
#[test]
fn one_session_can_be_ended() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let (other, third) = (server.login(&person), server.login(&person));
    let path = path_of(&other);
    client.delete(&path).is_body(204, "");
    other.get(ME).is_anonymous();
    client.get(ME).is(200);
    third.get(ME).is(200);
    is_no_session(client.delete(&path));
    assert_eq!(sessions(&client).len(), 2);

    client.delete(&person.path(&path_of(&third)[ME.len()..])).is_body(204, "");
    third.get(ME).is_anonymous();
    client.delete(&path_of(&client)).is_body(204, "");
    client.get(ME).is_anonymous();
}

/// Spec §3.4: unknown, malformed or foreign ids; §7.4 row 32.
#[test]
fn nobody_ends_the_sessions_of_others() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let (other, victim) = server.logged_in("bob@example.com");
    let staff = server.login(&server.staff("staff@example.com"));
    let only_me = "As a non-staff user you're only allowed to access the `@me` user instance.";
    for caller in [&client, &staff] {
        is_no_session(caller.delete(&path_of(&victim)));
        is_no_session(caller.delete(&format!("{SESSIONS}/01990f5c-1f10-4000-9a8b-7c6d5e4f3a2b")));
        is_no_session(caller.delete(&format!("{SESSIONS}/nonsense")));
        // Whatever the path says, these are the caller's own.
        assert_eq!(caller.get(&other.path("/login_sessions")).is(200).json(), json!(sessions(caller)));
        caller.delete(&other.path(&path_of(&victim)[ME.len()..])).is_denied(only_me);
        caller.post(&other.path("/login_sessions/revoke_others"), json!({})).is_denied(only_me);
    }
    victim.get(ME).is(200);
}

/// Spec §3.4, §7.4 row 32.
#[test]
fn all_other_sessions_can_be_ended() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let others = [server.login(&person), server.login(&person)];
    let (_, stranger) = server.logged_in("bob@example.com");
    let key = server.key_of(&client, &["user:read"]);
    client.post(OTHERS, json!({})).is_body(200, r#"{"revoked_count":2}"#);
    for other in &others {
        other.get(ME).is_anonymous();
    }
    for alive in [&client, &stranger, &key] {
        alive.get(ME).is(200);
    }
    assert_eq!(sessions(&client).len(), 1);
    client.post(OTHERS, json!({})).is_body(200, r#"{"revoked_count":0}"#);
    client.patch(ME, json!({"first_name": "Ada"})).is(200);
    assert_eq!(sessions(&server.login(&person)).len(), 2);
}

/// A login that waits for its second step is thrown out with the sessions.
#[test]
fn a_pending_login_is_ended_with_the_others() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let mut authenticator = client.enrol(&server);
    let pending = server.client();
    pending.login(&person).wants_second_factor();
    client.post(OTHERS, json!({})).is_body(200, r#"{"revoked_count":0}"#);
    let late = pending.post("/api/login/token", json!({"token": authenticator.code(&server)}));
    late.is_invalid("2fa_expired", "Login attempt has expired. Re-enter username/password.", None);
}

/// Spec §3.4: session authentication only; the window for what ends something, none for looking; §1.9.
#[test]
fn ending_sessions_wants_a_session_with_a_recent_login() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let other = server.login(&person);
    let key = server.key_of(&client, &["*"]);
    let path = path_of(&other);
    for caller in [&key, &server.client()] {
        caller.get(SESSIONS).is_anonymous();
        caller.delete(&path).is_anonymous();
        caller.post(OTHERS, json!({})).is_anonymous();
        caller.get(DEVICES).is_anonymous();
        caller.delete(&format!("{DEVICES}/nonsense")).is_anonymous();
    }
    server.advance(7_201);
    client.get(SESSIONS).is(200);
    client.get(DEVICES).is(200);
    client.delete(&path).wants_reauth();
    client.post(OTHERS, json!({})).wants_reauth();
    client.delete(&format!("{DEVICES}/nonsense")).wants_reauth();
    client.login(&person).is(200);
    client.delete(&path).is(204);
    client.without_csrf().post(OTHERS, json!({})).is_denied("CSRF Failed: CSRF token missing.");
}

/// W-40: remembered devices are listed and revoked with the sessions.
#[test]
fn remembered_devices_are_listed_and_revoked() {
    let server = Server::start();
    let (person, owner) = server.logged_in("ada@example.com");
    let mut authenticator = owner.enrol(&server);
    assert_eq!(devices(&owner), [] as [Value; 0]);
    let laptop = remembered(&server, &person, &mut authenticator);
    server.advance(30);
    let phone = remembered(&server, &person, &mut authenticator);
    let seen = devices(&laptop);
    let current: Vec<&Value> = seen.iter().map(|device| &device["is_current"]).collect();
    assert_eq!(current, [false, true], "the newest first: {seen:?}");
    let names: Vec<&str> = seen[0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["id", "created_at", "expires_at", "device", "is_current"]);
    assert!(devices(&owner).iter().all(|device| device["is_current"] == false));

    let path = format!("{DEVICES}/{}", seen[0]["id"].as_str().unwrap());
    let not_found = |reply: Reply| {
        reply.is_error(404, "invalid_request", "not_found", "Remembered device not found.", None);
    };
    let (stranger, other) = server.logged_in("bob@example.com");
    not_found(other.delete(&path));
    other.get(&person.path("/remembered_devices")).is(403);
    laptop.delete(&stranger.path(&path[ME.len()..])).is(403);
    not_found(laptop.delete(&format!("{DEVICES}/nonsense")));
    laptop.delete(&path).is_body(204, "");
    not_found(laptop.delete(&path));
    assert_eq!(devices(&laptop).len(), 1);
    phone.get(ME).is(200);
    phone.post("/api/logout", json!({})).is(204);
    phone.login(&person).wants_second_factor();
    laptop.post("/api/logout", json!({})).is(204);
    laptop.login(&person).is(200);
}

/// W-40: who is thrown out does not come back with the password alone; the device of the one who throws stays.
#[test]
fn ending_the_others_forgets_their_devices() {
    let server = Server::start();
    let (person, owner) = server.logged_in("ada@example.com");
    let mut authenticator = owner.enrol(&server);
    let laptop = remembered(&server, &person, &mut authenticator);
    let stolen = remembered(&server, &person, &mut authenticator);
    laptop.post(OTHERS, json!({})).is_body(200, r#"{"revoked_count":2}"#);
    assert_eq!(devices(&laptop).len(), 1);
    stolen.login(&person).wants_second_factor();
    laptop.post("/api/logout", json!({})).is(204);
    laptop.login(&person).is(200);
    owner.get(ME).is_anonymous();
}
