//! Spec §3.1 and §3.4: the user resource.

use serde_json::{Value, json};

use crate::harness::{Client, PASSWORD, Server};

const ME: &str = "/api/users/@me";
const NOT_STAFF: &str = "As a non-staff user you're only allowed to access the `@me` user instance.";

/// Spec §7.4 row 1, golden body of §7.1.
#[test]
fn strangers_see_nobody() {
    let server = Server::start();
    let person = server.user("ada@example.com");
    for path in [ME, "/api/users", &person.path("")] {
        server.client().get(path).is_body(
            401,
            r#"{"type":"authentication_error","code":"not_authenticated","detail":"Authentication credentials were not provided.","attr":null}"#,
        );
    }
}

/// Spec §2.2, §7.4 row 2: every field of a fresh account, in the declared order.
#[test]
fn a_user_has_every_field() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let me = client.me();
    let names: Vec<&str> = me.as_object().unwrap().keys().map(String::as_str).collect();
    let declared = [
        "date_joined",
        "uuid",
        "distinct_id",
        "first_name",
        "last_name",
        "email",
        "pending_email",
        "is_email_verified",
        "notification_settings",
        "anonymize_data",
        "toolbar_mode",
        "has_password",
        "id",
        "is_staff",
        "is_impersonated",
        "is_impersonated_until",
        "sensitive_session_expires_at",
        "team",
        "organization",
        "organizations",
        "events_column_config",
        "is_2fa_enabled",
        "has_social_auth",
        "has_sso_enforcement",
        "has_seen_product_intro_for",
        "scene_personalisation",
        "theme_mode",
        "hedgehog_config",
        "role_at_organization",
    ];
    assert_eq!(&names[..declared.len()], declared);
    for (name, value) in [
        ("first_name", json!("")),
        ("last_name", json!("")),
        ("email", json!("ada@example.com")),
        ("pending_email", json!(null)),
        ("is_email_verified", json!(true)),
        ("anonymize_data", json!(false)),
        ("toolbar_mode", json!("toolbar")),
        ("has_password", json!(true)),
        ("id", json!(person.id)),
        ("is_staff", json!(false)),
        ("is_impersonated", json!(false)),
        ("is_impersonated_until", json!(null)),
        ("team", json!(null)),
        ("organization", json!(null)),
        ("organizations", json!([])),
        ("events_column_config", json!({"active": "DEFAULT"})),
        ("is_2fa_enabled", json!(false)),
        ("has_social_auth", json!(false)),
        ("has_sso_enforcement", json!(false)),
        ("has_seen_product_intro_for", json!(null)),
        ("scene_personalisation", json!([])),
        ("theme_mode", json!(null)),
        ("hedgehog_config", json!(null)),
        ("role_at_organization", json!(null)),
    ] {
        assert_eq!(me[name], value, "{name}");
    }
    for name in ["password", "current_password", "set_current_team", "set_current_organization"] {
        assert!(me.get(name).is_none(), "{name}");
    }
}

/// Spec §3.1, §7.4 rows 3 and 4.
#[test]
fn the_path_says_whom_and_staff_may_look_at_others() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let other = server.user("bob@example.com");
    let staff = server.login(&server.staff("staff@example.com"));
    let unknown = "/api/users/01990f5c-1f2e-7000-8b1d-5a0f3b9d2c11";

    client.get(&person.path("")).is_body(200, &client.get(ME).text);
    for path in [&other.path(""), unknown, "/api/users/nonsense"] {
        client.get(path).is_denied(NOT_STAFF);
        client.patch(path, json!({})).is_denied(NOT_STAFF);
    }
    assert_eq!(staff.get(&other.path("")).is(200).json()["email"], "bob@example.com");
    assert_eq!(staff.patch(&other.path(""), json!({"first_name": "Bob"})).is(200).json()["first_name"], "Bob");
    for path in [unknown, "/api/users/nonsense", "/api/users/1"] {
        staff.get(path).is_not_found();
    }
    server.cli(&["user", "deactivate", "bob@example.com", "--reason", "left the company"]).is(0);
    staff.get(&other.path("")).is_not_found();
}

/// Spec §3.4, §7.4 row 5.
#[test]
fn lists_show_what_the_caller_may_see() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    server.user("bob@example.com");
    let staff = server.login(&server.staff("staff@example.com"));
    let check = |client: &Client, query: &str, emails: &[&str]| {
        let page = client.get(&format!("/api/users{query}")).is(200).json();
        let found: Vec<&str> =
            page["results"].as_array().unwrap().iter().map(|user| user["email"].as_str().unwrap()).collect();
        assert_eq!((found.as_slice(), page["count"].as_u64().unwrap()), (emails, emails.len() as u64), "{query}");
    };
    check(&client, "", &["ada@example.com"]);
    check(&client, "?email=ada@example.com", &["ada@example.com"]);
    check(&client, "?email=bob@example.com", &[]);
    check(&client, "?is_staff=true", &[]);
    check(&staff, "", &["ada@example.com", "bob@example.com", "staff@example.com"]);
    check(&staff, "?email=bob@example.com", &["bob@example.com"]);
    check(&staff, "?is_staff=true", &["staff@example.com"]);
    check(&staff, "?is_staff=false", &["ada@example.com", "bob@example.com"]);
    server.cli(&["user", "deactivate", "bob@example.com", "--reason", "left the company"]).is(0);
    check(&staff, "", &["ada@example.com", "staff@example.com"]);
}

/// Spec §1.2, §7.4 row 6.
#[test]
fn read_only_fields_are_ignored() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let before = client.me();
    let body = json!({
        "uuid": "1", "id": 7, "organization": "x", "team": 3, "date_joined": "2000-01-01", "distinct_id": "x",
        "pending_email": "eve@example.com", "is_email_verified": false, "has_password": false, "organizations": [],
        "is_2fa_enabled": true, "is_impersonated": true, "scene_personalisation": [1],
    });
    assert_eq!(client.patch(ME, body).is(200).json(), before);
}

/// Spec §3.4.
#[test]
fn what_is_written_is_returned_and_kept() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let check = |name: &str, value: Value| {
        assert_eq!(client.patch(ME, json!({name: value})).is(200).json()[name], value, "{name}");
        assert_eq!(client.me()[name], value, "{name}");
    };
    check("first_name", json!("Ada"));
    check("last_name", json!("Lovelace"));
    check("anonymize_data", json!(true));
    check("anonymize_data", json!(null));
    for mode in [json!("disabled"), json!("toolbar"), json!(""), json!(null)] {
        check("toolbar_mode", mode);
    }
    for mode in [json!("light"), json!("dark"), json!("system"), json!(""), json!(null)] {
        check("theme_mode", mode);
    }
    for role in ["engineering", "data", "product", "founder", "leadership", "marketing", "sales", "other"] {
        check("role_at_organization", json!(role));
    }
    check("events_column_config", json!({"active": ["a", "b"]}));
    check("has_seen_product_intro_for", json!({"insights": true}));
    check("hedgehog_config", json!({"color": "green", "accessories": []}));
    check("hedgehog_config", json!(null));
}

/// Spec §2.2.
#[test]
fn choices_are_checked() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    for (name, sent, shown) in [
        ("toolbar_mode", json!("foo"), "foo"),
        ("theme_mode", json!("Dark"), "Dark"),
        ("role_at_organization", json!("foo"), "foo"),
        ("role_at_organization", json!(""), ""),
    ] {
        let detail = format!("\"{shown}\" is not a valid choice.");
        client.patch(ME, json!({name: sent})).is_invalid("invalid_choice", &detail, Some(name));
    }
    let body = json!({"role_at_organization": null});
    client.patch(ME, body).is_invalid("null", "This field may not be null.", Some("role_at_organization"));
}

/// Spec §2.2, §7.4 row 7; W-39.
#[test]
fn only_staff_may_touch_is_staff() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let staff = server.login(&server.staff("staff@example.com"));
    let bob = server.user("bob@example.com");
    for value in [json!(true), json!(false), json!(null), json!("foo")] {
        let reply = client.patch(ME, json!({"is_staff": value, "first_name": "Eve"}));
        reply.is_denied("You are not a staff user, contact your instance admin.");
    }
    assert_eq!(client.me()["first_name"], "");
    assert_eq!(staff.patch(&bob.path(""), json!({"is_staff": true})).is(200).json()["is_staff"], true);
    assert_eq!(staff.patch(&bob.path(""), json!({"is_staff": false})).is(200).json()["is_staff"], false);
    let reply = staff.patch(ME, json!({"is_staff": false}));
    assert!((400..404).contains(&reply.status), "the last staff member stays: {reply:?}");
    assert_eq!(staff.me()["is_staff"], true);
    server.advance(301);
    staff.patch(&bob.path(""), json!({"is_staff": true})).is(403);
}

/// W-39: nor does the last staff member go with the account; what the account has is left alone.
#[test]
fn the_last_staff_account_stays() {
    let server = Server::start();
    let person = server.staff("staff@example.com");
    let staff = server.login(&person);
    let key = server.key_of(&staff, &["user:read"]);
    staff.delete(ME).is_denied("The last staff user cannot be removed from staff.");
    assert_eq!(staff.me()["is_staff"], true);
    key.get(ME).is(200);
    server.staff("other@example.com");
    staff.delete(ME).is(204);
}

/// Spec §2.3, §7.4 row 8.
#[test]
fn notification_settings_are_merged() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let patch = |sent: Value| client.patch(ME, json!({"notification_settings": sent}));
    let settings = patch(json!({"plugin_disabled": false})).is(200).json()["notification_settings"].clone();
    for (name, value) in [
        ("plugin_disabled", json!(false)),
        ("error_tracking_issue_assigned", json!(true)),
        ("discussions_mentioned", json!(true)),
        ("project_weekly_digest_disabled", json!({})),
        ("all_weekly_digest_disabled", json!(false)),
        ("data_pipeline_error_threshold", json!(0.01)),
    ] {
        assert_eq!(settings[name], value, "{name}");
    }
    patch(json!({"project_weekly_digest_disabled": {"123": true}})).is(200);
    let settings = patch(json!({"project_weekly_digest_disabled": {"5": false}, "all_weekly_digest_disabled": true}));
    let settings = settings.is(200).json()["notification_settings"].clone();
    assert_eq!(settings["project_weekly_digest_disabled"], json!({"123": true, "5": false}));
    assert_eq!((&settings["all_weekly_digest_disabled"], &settings["plugin_disabled"]), (&json!(true), &json!(false)));

    let refused = |sent: Value, detail: &str| {
        patch(sent).is_invalid("invalid_input", detail, Some("notification_settings"));
    };
    refused(json!({"foo": true}), "Key foo is not valid as a key for notification settings");
    refused(
        json!({"project_weekly_digest_disabled": true}),
        "project_weekly_digest_disabled must be a dictionary mapping project IDs to boolean values",
    );
    refused(
        json!({"project_weekly_digest_disabled": {"1": "yes"}}),
        "Notification setting values must be boolean, got <class 'str'> instead",
    );
    refused(json!({"plugin_disabled": 1}), "1 is not a valid type for notification settings, should be <class 'bool'>");
    refused(
        json!({"plugin_disabled": "no"}),
        "no is not a valid type for notification settings, should be <class 'bool'>",
    );
    let dictionary = "Expected a dictionary of items but got type \"str\".";
    patch(json!("foo")).is_invalid("not_a_dict", dictionary, Some("notification_settings"));
    let after = client.me()["notification_settings"].clone();
    assert_eq!(after, settings, "a refused change changes nothing");
}

/// Spec §2.2, §7.4 row 9: somebody without an organization.
#[test]
fn an_organization_one_is_not_in_does_not_exist() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let uuid = "01990f5c-1f10-0000-9a8b-7c6d5e4f3a2b";
    for (name, value) in [("set_current_organization", json!(uuid)), ("set_current_team", json!(7))] {
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let detail = format!("Object with id={shown} does not exist.");
        client.patch(ME, json!({name: value})).is_invalid("does_not_exist", &detail, Some(name));
    }
    let reply = client.patch(ME, json!({"set_current_organization": "foo"}));
    reply.is_invalid("invalid_input", "\u{201c}foo\u{201d} is not a valid UUID.", Some("set_current_organization"));
    let reply = client.patch(ME, json!({"set_current_team": "foo"})).is(400);
    assert_eq!(reply.json()["attr"], "set_current_team");
}

/// Spec §3.4, §7.4 row 10.
#[test]
fn a_password_change_wants_the_current_one() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let new = format!("{PASSWORD} and more");
    let required = "This field is required when updating your password.";
    client.patch(ME, json!({"password": new})).is_invalid("required", required, Some("current_password"));
    let wrong = client.patch(ME, json!({"password": new, "current_password": "wrong horse 1"}));
    wrong.is_invalid("incorrect_password", "Your current password is incorrect.", Some("current_password"));
    client.patch(ME, json!({"password": new, "current_password": person.password})).is(200);
    let fail = server.client().login(&person);
    fail.is_invalid("invalid_credentials", "Invalid email or password.", None);
    server.client().post("/api/login", json!({"email": person.email, "password": new})).is(200);
}

/// Spec §2.5, §7.4 row 10. The last but one is on the list of common passwords only.
#[test]
fn weak_passwords_are_refused() {
    let server = Server::builder().setting("limits.user_authentication", "100/1m").start();
    let (person, client) = server.logged_in("ada@example.com");
    for (password, code, detail) in [
        ("short", "invalid_input", "This password is too short. It must contain at least 8 characters."),
        ("password", "invalid_input", "Add another word or two. Uncommon words are better."),
        ("12345678", "invalid_input", "Add another word or two. Uncommon words are better."),
        (
            "test test test",
            "invalid_input",
            "Add another word or two. Uncommon words are better. Avoid repeated words and characters.",
        ),
        ("3odi15ngxb", "invalid_input", "Add another word or two. Uncommon words are better."),
        ("", "blank", "This field may not be blank."),
    ] {
        let reply = client.patch(ME, json!({"password": password, "current_password": person.password}));
        reply.is_invalid(code, detail, Some("password"));
    }
    let long = "pq7 ".repeat(40);
    let reply = client.patch(ME, json!({"password": long, "current_password": person.password}));
    reply.is_invalid("max_length", "Ensure this field has no more than 128 characters.", Some("password"));
    server.client().login(&person).is(200);
}

/// ASVS 6.2.11: what the service is called is no password, in any of the places where one is chosen.
#[test]
fn the_name_of_the_service_is_no_password() {
    const WEAK: [&str; 2] = ["Vrolqux Tembari 1", "plimforth2024"];
    let named = Server::builder()
        .setting("two_factor.issuer", "Vrolqux Tembari")
        .setting("server.public_url", "http://plimforth.example")
        .start();
    let (person, client) = named.logged_in("ada@example.com");
    let elsewhere = Server::start();
    let (other, other_client) = elsewhere.logged_in("ada@example.com");
    for password in WEAK {
        let change = |client: &Client, current: &str| {
            client.patch(ME, json!({"password": password, "current_password": current}))
        };
        let weak = change(&client, &person.password).is(400).json();
        assert_eq!((&weak["code"], &weak["attr"]), (&json!("invalid_input"), &json!("password")), "{weak}");
        let create = ["user", "create", "--email", "bob@example.com", "--password-stdin"];
        assert_ne!(named.cli_with_input(&create, &format!("{password}\n")).code, 0);
        if password == WEAK[0] {
            change(&other_client, &other.password).is(200);
        }
    }
}

/// Spec §3.4, §7.4 row 10: an account without a password sets its first one without the current one.
#[test]
fn without_a_password_login_is_impossible() {
    let server = Server::start();
    let arguments = ["user", "create", "--email", "ada@example.com", "--verified", "--json"];
    server.cli(&arguments).is(0);
    let login = server.client().post("/api/login", json!({"email": "ada@example.com", "password": ""}));
    login.is_invalid("blank", "This field may not be blank.", Some("password"));
    let login = server.client().post("/api/login", json!({"email": "ada@example.com", "password": "anything 1"}));
    login.is_invalid("invalid_credentials", "Invalid email or password.", None);
}

/// Spec §1.11, §7.4 row 11.
#[test]
fn only_calls_with_the_current_password_are_limited() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    for _ in 0..10 {
        client.patch(ME, json!({"first_name": "Ada"})).is(200);
        client.get(ME).is(200);
    }
    for _ in 0..5 {
        client.patch(ME, json!({"current_password": "wrong horse 1"})).is(200);
    }
    client.patch(ME, json!({"current_password": person.password})).is_throttled();
    client.patch(ME, json!({"first_name": "Ada"})).is(200);
    client.get(ME).is(200);
    server.advance(61);
    client.patch(ME, json!({"current_password": person.password})).is(200);
}

/// Spec §1.7, §7.4 row 12.
#[test]
fn a_password_change_ends_the_other_sessions() {
    let server = Server::with_mail();
    let (person, client) = server.logged_in("ada@example.com");
    let other = server.login(&person);
    let new = format!("{PASSWORD} and more");
    client.patch(ME, json!({"password": new, "current_password": person.password})).is(200);
    client.get(ME).is(200);
    other.get(ME).is_anonymous();
    server.wait_for_mail("ada@example.com", "Your password has been changed");
}

/// Spec §3.4, §7.4 row 13.
#[test]
fn a_put_needs_email_and_password() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    client.put(ME, json!({"password": "x"})).is_required("email");
    client.put(ME, json!({"email": person.email})).is_required("password");
    let new = format!("{PASSWORD} and more");
    let body = json!({"email": person.email, "password": new, "current_password": person.password, "first_name": "A"});
    assert_eq!(client.put(ME, body).is(200).json()["first_name"], "A");
}

/// Spec §3.4; §1.5: in the declared order.
#[test]
fn an_email_in_use_is_refused() {
    let server = Server::with_mail();
    let (_, client) = server.logged_in("ada@example.com");
    server.user("bob@example.com");
    let reply = client.patch(ME, json!({"email": "BOB@example.com", "first_name": "Eve"}));
    let value = reply.is(400).json();
    assert_eq!((&value["code"], &value["attr"]), (&json!("unique"), &json!("email")));
    assert_eq!((&client.me()["pending_email"], &client.me()["first_name"]), (&json!(null), &json!("")));
    for (name, first) in [("last_name", "last_name"), ("toolbar_mode", "email"), ("role_at_organization", "email")] {
        let reply = client.patch(ME, json!({"email": "bob@example.com", name: "<b>"})).is(400).json();
        assert_eq!(reply["attr"], first, "{reply}");
    }
}

/// Spec §3.4, W-24: both guards come before the fields are looked at.
#[test]
fn a_key_changes_neither_email_nor_password() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    server.user("bob@example.com");
    let key = server.key_of(&client, &["*"]);
    let detail = "You can only change your email or password from the PostHog app, not with an API key or token.";
    for body in [
        json!({"email": "bob@example.com"}),
        json!({"email": "eve@example.com"}),
        json!({"password": format!("{PASSWORD} and more"), "current_password": person.password}),
    ] {
        key.patch(ME, body).is_denied(detail);
    }
    key.patch(ME, json!({"first_name": "Ada"})).is(200);
}

/// Spec §3.4.
#[test]
fn an_email_change_wants_a_fresh_login() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    server.user("bob@example.com");
    server.advance(301);
    for email in ["eve@example.com", "bob@example.com"] {
        let reply = client.patch(ME, json!({"email": email}));
        let detail = "Confirm it's you before changing your email.";
        reply.is_error(403, "authentication_error", "sensitive_action_required_reauth", detail, None);
    }
    client.patch(ME, json!({"first_name": "Ada"})).is(200);
    client.login(&person).is(200);
    assert_eq!(client.patch(ME, json!({"email": "eve@example.com"})).is(200).json()["email"], "eve@example.com");
}

/// Spec §3.4, §7.4 row 33: without a membership, of somebody else, with a key; W-44.
#[test]
fn deleting_an_account_takes_everything_with_it() {
    let server = Server::with_mail();
    let (person, client) = server.logged_in("ada@example.com");
    let (bob, _) = server.logged_in("bob@example.com");
    let second = server.login(&person);
    let key = server.key_of(&client, &["*"]);
    client.delete(&bob.path("")).is_denied(NOT_STAFF);
    key.delete(ME).is_anonymous();
    second.without_csrf().delete(ME).is(403);
    let reply = client.delete(ME).is_body(204, "");
    assert!(!reply.headers.contains_key("content-type"), "{reply:?}");
    client.get(ME).is_anonymous();
    second.get(ME).is_anonymous();
    key.get(ME).is(401);
    server.client().login(&person).is_invalid("invalid_credentials", "Invalid email or password.", None);
    server.wait_for_mail("ada@example.com", "deleted");
    let again = server.user("ada@example.com");
    assert_ne!(again.uuid, person.uuid, "the address is free again");
}

/// W-44.
#[test]
fn deleting_an_account_wants_a_fresh_login() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    server.advance(301);
    client.delete(ME).is(403);
    client.login(&person).is(200);
    client.delete(ME).is(204);
}

/// Spec §2.2: a key has no session window.
#[test]
fn a_key_sees_no_session_window() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let key = server.key_of(&client, &["user:read"]);
    assert!(client.me()["sensitive_session_expires_at"].is_string());
    assert_eq!(key.me()["sensitive_session_expires_at"], Value::Null);
}
