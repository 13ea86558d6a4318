//! product.md §7: bad input gets an answer of the specification, never a 5xx and never a cut connection.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};

use crate::harness::{Client, Server};

/// Every endpoint that reads something.
const ENDPOINTS: &[(&str, &str)] = &[
    ("PATCH", "/api/users/@me"),
    ("PUT", "/api/users/@me"),
    ("GET", "/api/users"),
    ("POST", "/api/users/@me/two_factor_start_setup"),
    ("POST", "/api/users/@me/two_factor_validate"),
    ("POST", "/api/users/@me/validate_2fa"),
    ("GET", "/api/users/@me/two_factor_status"),
    ("POST", "/api/users/@me/two_factor_backup_codes"),
    ("POST", "/api/users/@me/two_factor_disable"),
    ("POST", "/api/users/request_email_verification"),
    ("POST", "/api/users/verify_email"),
    ("PATCH", "/api/users/cancel_email_change_request"),
    ("POST", "/api/login"),
    ("POST", "/api/login/token"),
    ("POST", "/api/login/precheck"),
    ("POST", "/api/personal_api_keys"),
    ("DELETE", "/api/personal_api_keys/nonsense"),
];

/// Fields that some endpoint reads.
const FIELDS: &[&str] = &[
    "first_name",
    "last_name",
    "email",
    "password",
    "current_password",
    "notification_settings",
    "anonymize_data",
    "toolbar_mode",
    "theme_mode",
    "is_staff",
    "set_current_organization",
    "set_current_team",
    "events_column_config",
    "has_seen_product_intro_for",
    "hedgehog_config",
    "role_at_organization",
    "uuid",
    "token",
    "code",
    "remember",
    "label",
    "scopes",
    "scoped_teams",
    "scoped_organizations",
    "personal_api_key",
    "ui_configuration",
];

#[track_caller]
fn check(client: &Client, method: &str, path: &str, content_type: &str, body: &[u8]) {
    let reply = client.request(method, path).body(content_type, body).send();
    assert!(reply.status < 500, "{} {}: {reply:?}", method, String::from_utf8_lossy(body));
}

/// Each endpoint is called by somebody who is logged in and by a stranger.
fn check_everywhere(client: &Client, content_type: &str, body: &[u8]) {
    for (method, path) in ENDPOINTS {
        check(client, method, path, content_type, body);
    }
}

#[test]
fn malformed_bodies_never_break_an_endpoint() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let deep = format!("{{\"token\":{}{}}}", "[".repeat(50_000), "]".repeat(50_000));
    let long = format!("{{\"token\":\"{}\"}}", "9".repeat(100_000));
    let bodies: [&[u8]; 9] = [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"{\"token\":\"\xc3\x28\"}",
        b"[]",
        b"{\"token\":\"\\ud800\",\"uuid\":\"\\u0000\",\"email\":\"\\u0000\"}",
        b"{\"token\":1e999,\"uuid\":-0,\"email\":99999999999999999999999999}",
        deep.as_bytes(),
        long.as_bytes(),
    ];
    let types =
        ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "nonsense"];
    for body in bodies {
        for content_type in types {
            check_everywhere(&client, content_type, body);
            check_everywhere(&server.client(), content_type, body);
        }
    }
    client.get("/api/users/@me").is(200);
}

#[test]
fn odd_paths_never_break_the_router() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let staff = server.login(&server.staff("staff@example.com"));
    for path in [
        "/",
        "//",
        "/api//users",
        "/api/users/%00",
        "/api/users/%ff%fe",
        "/api/users/..%2f..",
        "/api/users/@ME",
        "/api/users/a.b",
        "/api/users/%40me",
        "/api/users/1%201",
        "/api/personal_api_keys/%00",
        "/api/users?limit=%ff&offset=%00&email=%ff",
        "/api/users/@me?x",
        "/api/users/%F0%9F%92%A9/two_factor_status",
    ] {
        for method in ["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE"] {
            for caller in [&server.client(), &client, &staff] {
                check(caller, method, path, "application/json", b"{}");
            }
        }
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        "[0-9]{6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((".{0,8}", inner), 0..4)
                .prop_map(|pairs| Value::from(pairs.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn any_body() -> impl Strategy<Value = Value> {
    let field = (prop::sample::select(FIELDS), any_json());
    prop::collection::vec(field, 0..5).prop_map(|fields| {
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
        Value::from(fields.collect::<Map<_, _>>())
    })
}

#[test]
fn no_fields_ever_break_an_endpoint() {
    let server = Server::builder().setting("limits.user_authentication", "1000/1m").start();
    let (person, client) = server.logged_in("ada@example.com");
    let mut runner = TestRunner::new(Config { cases: 64, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&any_body(), |body| {
        let text = body.to_string();
        for (method, path) in ENDPOINTS {
            for caller in [&client, &server.client()] {
                let reply = caller.request(method, path).body("application/json", text.clone()).send();
                prop_assert!(reply.status < 500, "{reply:?}");
            }
        }
        Ok(())
    });
    outcome.unwrap();
    assert_eq!(client.me()["uuid"], json!(person.uuid));
}
