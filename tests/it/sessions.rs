//! Spec §1.7 to §1.9: sessions, CSRF, the re-authentication window.

use serde_json::{Value, json};

use crate::harness::{PASSWORD, Server};

const ME: &str = "/api/users/@me";

/// Spec §1.7: fourteen days from the login, however often it is used.
#[test]
fn a_session_ends_after_fourteen_days() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    server.advance(7 * 86_400);
    client.get(ME).is(200);
    server.advance(7 * 86_400 - 60);
    client.get(ME).is(200);
    server.advance(61);
    client.get(ME).is_anonymous();
}

/// Spec §1.6: the row of useless session cookies.
#[test]
fn an_unknown_or_inactive_session_is_nobody() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let forger = server.client();
    for cookie in ["nonsense", "a", &"x".repeat(4_000)] {
        forger.set_cookie("sessionid", cookie);
        forger.get(ME).is_anonymous();
    }
    server.cli(&["user", "deactivate", "ada@example.com", "--reason", "left the company"]).is(0);
    client.get(ME).is_anonymous();
}

/// Spec §1.7: logout ends one session, and no other.
#[test]
fn logout_ends_one_session() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let other = server.login(&person);
    let copy = client.copy();
    client.post("/api/logout", json!({})).is(204);
    copy.get(ME).is_anonymous();
    other.get(ME).is(200);
}

/// Spec §1.7: sessions survive a restart of the server.
#[test]
fn sessions_survive_a_restart() {
    let mut server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    server.stop();
    server.start_again();
    client.get(ME).is(200);
    server.kill();
    server.start_again();
    client.get(ME).is(200);
    server.stop();
}

/// Spec §1.8, §7.4 row 52.
#[test]
fn unsafe_calls_need_the_csrf_token() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let bare = client.without_csrf();
    let token = client.cookie("posthog_csrftoken").unwrap();
    let send = |token: &str| bare.request("PATCH", ME).header("x-csrftoken", token).json(json!({})).send();
    bare.patch(ME, json!({})).is_denied("CSRF Failed: CSRF token missing.");
    let last = if token.ends_with('a') { 'b' } else { 'a' };
    let wrong = format!("{}{last}", &token[..token.len() - 1]);
    send(&wrong).is_denied("CSRF Failed: CSRF token from the 'X-Csrftoken' HTTP header incorrect.");
    send("short").is_denied("CSRF Failed: CSRF token from the 'X-Csrftoken' HTTP header has incorrect length.");
    send(&token).is(200);
    let cookieless = bare.copy();
    cookieless.remove_cookie("posthog_csrftoken");
    cookieless.patch(ME, json!({})).is_denied("CSRF Failed: CSRF cookie not set.");
    for path in [ME, "/api/users/@me/two_factor_status", "/api/users/@me/two_factor_start_setup"] {
        bare.get(path).is(200);
    }
}

/// Spec §1.8: the other place for the token, on form posts.
#[test]
fn a_form_may_carry_the_csrf_token() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let token = client.cookie("posthog_csrftoken").unwrap();
    let bare = client.without_csrf();
    bare.request("POST", "/logout").form(&[("csrfmiddlewaretoken", "nonsense")]).send().is(403);
    bare.request("POST", "/logout").form(&[("csrfmiddlewaretoken", &token)]).send().is(302);
    client.get(ME).is_anonymous();
}

/// Spec §1.8: over https the origin counts too.
#[test]
fn over_https_the_origin_is_checked() {
    let server = Server::builder().setting("server.public_url", "https://doorward.example").start();
    let (_, client) = server.logged_in("ada@example.com");
    let patch = |name: &str, value: &str| client.request("PATCH", ME).header(name, value).json(json!({})).send();
    patch("origin", "https://doorward.example").is(200);
    patch("referer", "https://doorward.example/settings").is(200);
    client.patch(ME, json!({})).is_denied("CSRF Failed: Referer checking failed - no Referer.");
    let detail = "CSRF Failed: Origin checking failed - https://evil.example does not match any trusted origins.";
    patch("origin", "https://evil.example").is_denied(detail);
    patch("referer", "https://evil.example/").is(403);
    patch("referer", "https://doorward.example.evil.example/").is(403);
}

/// Spec §1.8: anonymous calls need none, also with a useless cookie.
#[test]
fn anonymous_calls_need_no_csrf_token() {
    let server = Server::start();
    let person = server.user("ada@example.com");
    server.client().login(&person).is(200);
    let client = server.client();
    client.set_cookie("sessionid", "nonsense");
    client.login(&person).is(200);
}

/// Spec §1.6, §1.8, §7.4 row 52; W-30.
#[test]
fn a_key_beside_the_cookie_wins() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let key = server.key_of(&client, &["user:write"]);
    client.without_csrf().and_key_of(&key).patch(ME, json!({"first_name": "Ada"})).is(200);
    let detail = "Personal API key found in request Authorization header is invalid.";
    let wrong = client.request("GET", ME).header("authorization", "Bearer phx_nonsense").send();
    wrong.is_error(401, "authentication_error", "authentication_failed", detail, None);
}

/// Spec §1.9, §7.4 row 31.
#[test]
fn sensitive_calls_want_a_recent_login() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let key = server.key_of(&client, &["user:write"]);
    let id = client.get("/api/personal_api_keys").json()[0]["id"].as_str().unwrap().to_owned();
    server.advance(7_201);
    client.patch(ME, json!({"first_name": "Ada"})).wants_reauth();
    client.patch(ME, json!({"first_name": "Ada", "theme_mode": "dark"})).wants_reauth();
    client.put(ME, json!({})).wants_reauth();
    client.patch("/api/users/cancel_email_change_request", json!({})).wants_reauth();
    client.delete(ME).wants_reauth();
    client.post("/api/personal_api_keys", json!({})).wants_reauth();
    for path in ["/api/personal_api_keys/nonsense", &format!("/api/personal_api_keys/{id}")] {
        client.patch(path, json!({})).wants_reauth();
        client.put(path, json!({})).wants_reauth();
        client.post(&format!("{path}/roll"), json!({})).wants_reauth();
        client.delete(path).wants_reauth();
    }
    client.get(&format!("/api/personal_api_keys/{id}")).is(200);
    client.get("/api/personal_api_keys").is(200);
    client.get(ME).is(200);
    key.patch(ME, json!({"first_name": "Ada"})).is(200);
    client.login(&person).is(200);
    client.patch(ME, json!({"first_name": "Ada"})).is(200);
}

/// Spec §1.9: the fields that are exempt, unless one other is sent with them; §7.4 row 31.
#[test]
fn preferences_need_no_recent_login() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    server.advance(7_201);
    let mut all = json!({});
    for (name, value) in [
        ("theme_mode", json!("dark")),
        ("allow_sidebar_suggestions", json!(true)),
        ("shortcut_position", json!("below")),
        ("has_seen_product_intro_for", json!({"a": true})),
        ("events_column_config", json!({"active": "DEFAULT"})),
        ("role_at_organization", json!("data")),
        ("ui_configuration", json!({})),
    ] {
        client.patch(ME, json!({name: value})).is(200);
        client.put(ME, json!({name: value})).wants_reauth();
        for other in ["first_name", "hedgehog_config", "current_password", "nonsense"] {
            client.patch(ME, json!({name: value, other: "x"})).wants_reauth();
        }
        all[name] = value;
    }
    client.patch(ME, all).is(200);
    // These are looked at, and only then refused: there is no such place.
    for name in ["set_current_organization", "set_current_team"] {
        client.patch(ME, json!({name: "01990f5c-1f10-4000-9a8b-7c6d5e4f3a2b"})).is(400);
        client.patch(ME, json!({name: "x", "first_name": "x"})).wants_reauth();
    }
}

/// Spec §1.9: the window that the user object tells.
#[test]
fn the_user_object_tells_the_window() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let seconds = |me: &Value| {
        let text = me["sensitive_session_expires_at"].as_str().unwrap().to_owned();
        text.parse::<jiff::Timestamp>().unwrap().as_second() - server.now()
    };
    assert!((7_100..=7_200).contains(&seconds(&client.me())));
    server.advance(1_000);
    assert!((6_100..=6_200).contains(&seconds(&client.me())));
    client.login(&person).is(200);
    assert!((7_100..=7_200).contains(&seconds(&client.me())));
}

/// Spec §1.7: a password change binds this session anew.
#[test]
fn the_session_that_changes_the_password_stays() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let new = format!("{PASSWORD} and more");
    client.patch(ME, json!({"password": new, "current_password": person.password})).is(200);
    client.patch(ME, json!({"first_name": "Ada"})).is(200);
}

/// W-25: only logins make sessions.
#[test]
fn only_logins_set_cookies() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let key = server.key_of(&client, &["*"]);
    for reply in [
        key.get(ME),
        key.patch(ME, json!({"first_name": "Ada"})),
        server.client().get(ME),
        server.client().post("/api/login", json!({"email": "ada@example.com", "password": "wrong 1"})),
        server.client().post("/api/login/precheck", json!({"email": "ada@example.com"})),
    ] {
        assert!(reply.set_cookie("").is_none(), "{reply:?}");
    }
}
