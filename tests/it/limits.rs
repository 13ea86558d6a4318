//! Spec §1.11: rates, row by row, as clients meet them. What failures cost is in `lockout`.

use serde_json::json;

use crate::harness::{Authenticator, Client, Reply, Server};

const TOKEN: &str = "/api/login/token";
const VERIFY: &str = "/api/users/verify_email";
const REQUEST: &str = "/api/users/request_email_verification";
const KEYS: &str = "/api/personal_api_keys";

/// A JSON post whose caller is at this address, as the proxy says.
fn post_from(server: &Server, address: &str, path: &str, body: serde_json::Value) -> Reply {
    server.client().request("POST", path).header("x-forwarded-for", address).json(body).send()
}

fn behind_a_proxy() -> crate::harness::Builder {
    Server::builder().mail_file().setting("server.trusted_proxies", "[\"127.0.0.1\"]")
}

fn wrong_code(client: &Client, authenticator: &Authenticator, server: &Server) -> Reply {
    client.post(TOKEN, json!({"token": authenticator.wrong_code(server)}))
}

/// Spec §1.11: a restart gives nobody a new set of tries at the second step.
#[test]
fn tries_of_the_second_step_survive_a_restart() {
    let mut server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let mut authenticator = client.enrol(&server);
    let login = server.client();
    login.login(&person).wants_second_factor();
    for number in 0..6 {
        wrong_code(&login, &authenticator, &server).is(400);
        // Within the 600 s of the login, beyond the wait after each wrong code.
        server.advance(2 << number);
        if number == 3 {
            server.kill();
            server.start_again();
        }
    }
    wrong_code(&login, &authenticator, &server).is_throttled();
    server.stop();
    server.start_again();
    wrong_code(&login, &authenticator, &server).is_throttled();
    let again = server.client();
    again.login(&person).wants_second_factor();
    wrong_code(&again, &authenticator, &server).is_throttled();
    server.advance(1_201);
    let later = server.client();
    later.login(&person).wants_second_factor();
    later.post(TOKEN, json!({"token": authenticator.code(&server)})).is(200);
}

/// Spec §1.11: nor at the code of a mail, nor more mails.
#[test]
fn tries_of_mailed_codes_survive_a_restart() {
    let mut server = Server::with_mail();
    let person = server.person("ada@example.com", &[]);
    let request = |server: &Server| server.client().post(REQUEST, json!({"uuid": person.uuid}));
    let verify = |server: &Server| server.client().post(VERIFY, json!({"uuid": person.uuid, "token": "nonsense"}));
    for _ in 0..6 {
        request(&server).is(200);
        verify(&server).is(400);
    }
    server.stop();
    server.start_again();
    request(&server).is_throttled();
    verify(&server).is_throttled();
    server.advance(1_201);
    verify(&server).is(400);
    request(&server).is_throttled();
    server.advance(86_401);
    request(&server).is(200);
}

/// Spec §1.11, W-21: somebody logged in is counted too, whomever the mails are for.
#[test]
fn a_caller_who_is_logged_in_is_limited_by_account() {
    let server = Server::with_mail();
    let (person, client) = server.logged_in("ada@example.com");
    let uuid = |count: usize| format!("01990f5c-1f2e-7000-8b1d-5a0f3b9d{count:04}");
    for count in 0..6 {
        client.post(REQUEST, json!({"uuid": uuid(count)})).is(200);
    }
    client.post(REQUEST, json!({"uuid": uuid(7)})).is_throttled();
    client.post(REQUEST, json!({"uuid": person.uuid})).is_throttled();
    server.client().post(REQUEST, json!({"uuid": uuid(7)})).is(200);
}

/// Spec §1.11, W-35: of IPv6 the /64 counts, and only what the proxy says.
#[test]
fn an_address_is_a_bucket_of_its_own() {
    let server = behind_a_proxy().setting("limits.verify_email_address", "3/20m").start();
    let uuid = |count: usize| format!("01990f5c-1f2e-7000-8b1d-5a0f3b9d{count:04}");
    let verify =
        |count: usize, from: &str| post_from(&server, from, VERIFY, json!({"uuid": uuid(count), "token": "nonsense"}));
    for count in 0..3 {
        verify(count, &format!("198.51.100.{count}, 2001:db8:1:2:{count}::7")).is(400);
    }
    verify(3, "2001:db8:1:2:ffff:ffff:ffff:ffff").is_throttled();
    verify(4, "2001:db8:1:3::1").is(400);
    verify(5, "203.0.113.1").is(400);
}

/// Spec §1.11, W-35: a key that is no text is a 400, not a fault.
#[test]
fn keys_of_limits_have_a_type() {
    let server = Server::with_mail();
    for value in [json!([1]), json!({"a": 1}), json!(true), json!(null)] {
        for (path, field) in [(VERIFY, "uuid"), (REQUEST, "uuid"), ("/api/login/precheck", "email")] {
            server.client().post(path, json!({field: value, "token": "nonsense"})).is(400);
        }
    }
}

/// Spec §1.11: keys in general, when it is switched on; the users endpoints are not counted.
#[test]
fn calls_with_a_key_can_be_limited() {
    let limited = |on: &str| {
        Server::builder()
            .setting("limits.api_keys", on)
            .setting("limits.api_keys_burst", "3/1m")
            .setting("limits.api_keys_sustained", "5/1h")
            .start()
    };
    let server = limited("on");
    let (_, client) = server.logged_in("ada@example.com");
    let (key, other) = (server.key_of(&client, &["user:read"]), server.key_of(&client, &["user:read"]));
    for _ in 0..3 {
        key.get(&format!("{KEYS}/@current")).is(200);
        key.get("/api/users/@me").is(200);
        // What is refused for want of permission is not counted.
        key.post(KEYS, json!({})).is(403);
    }
    let reply = key.get(&format!("{KEYS}/@current")).is_throttled();
    let wait: i64 = reply.header("retry-after").parse().unwrap();
    assert!((55..=60).contains(&wait), "{reply:?}");
    key.get("/api/users/@me").is(200);
    other.get(&format!("{KEYS}/@current")).is(200);
    client.get(KEYS).is(200);
    server.advance(61);
    for _ in 0..2 {
        key.get(&format!("{KEYS}/@current")).is(200);
    }
    let reply = key.get(&format!("{KEYS}/@current")).is_throttled();
    let wait: i64 = reply.header("retry-after").parse().unwrap();
    assert!(wait > 3_000, "{reply:?}");

    let server = limited("off");
    let (_, client) = server.logged_in("ada@example.com");
    let key = server.key_of(&client, &["user:read"]);
    for _ in 0..8 {
        key.get(&format!("{KEYS}/@current")).is(200);
    }
}

/// Every limit is in the configuration, and a misspelt one ends the program with 78.
#[test]
fn every_limit_is_a_setting() {
    let server = Server::builder().stopped();
    let printed = server.cli(&["config", "print"]).is(0).out;
    for name in [
        "user_authentication",
        "user_authentication_address",
        "email_verification_request",
        "verify_email",
        "verify_email_address",
        "password_reset_request",
        "password_reset_request_address",
        "two_factor_login",
        "login_email_code",
        "login_email_code_resend",
        "second_step_address",
        "login_precheck",
        "signup",
        "invites_hourly",
        "invites_daily",
        "api_keys",
        "api_keys_burst",
        "api_keys_sustained",
    ] {
        assert!(printed.contains(&format!("\n{name} = ")), "{name}: {printed}");
    }
    let misspelt = Server::builder().setting("limits.signups", "5/1d").stopped();
    let output = misspelt.cli(&["config", "check"]).is(78);
    assert!(output.err.contains("limits.signup"), "{output:?}");
    let bad = Server::builder().setting("limits.signup", "5 a day").stopped();
    bad.cli(&["config", "check"]).is(78);
}
