//! Spec §1.1, §1.3, §1.7, §1.12: headers, cookies, CORS, HEAD and OPTIONS, and the order of the checks.

use serde_json::json;

use crate::harness::{Client, Reply, Server, wait_for};

const ME: &str = "/api/users/@me";
const ORIGIN: &str = "https://app.example.com";

/// Every path and method of spec §3.0 that is there, with what a stranger gets.
const INDEX: &[(&str, &str, u16)] = &[
    ("POST", "/api/users/@me/two_factor_disable", 401),
    ("GET", "/api/users/@me/two_factor_start_setup", 401),
    ("POST", "/api/users/@me/two_factor_start_setup", 401),
    ("GET", "/api/users/@me/two_factor_status", 401),
    ("POST", "/api/users/@me/two_factor_validate", 401),
    ("POST", "/api/users/@me/validate_2fa", 401),
    ("PATCH", "/api/users/cancel_email_change_request", 401),
    ("POST", "/api/users/request_email_verification", 400),
    ("POST", "/api/users/verify_email", 400),
    ("GET", "/api/users/@me/start_2fa_setup", 401),
    ("POST", "/api/users/@me/two_factor_backup_codes", 401),
    ("GET", "/api/users", 401),
    ("GET", "/api/users/@me", 401),
    ("PATCH", "/api/users/@me", 401),
    ("PUT", "/api/users/@me", 401),
    ("DELETE", "/api/users/@me", 401),
    ("GET", "/api/users/@me/hedgehog_config", 401),
    ("PATCH", "/api/users/@me/hedgehog_config", 401),
    ("POST", "/api/users/@me/scene_personalisation", 401),
    ("PATCH", "/api/users/@me/product_intro_seen", 401),
    ("GET", "/api/users/@me/pending_invites", 401),
    ("GET", "/api/users/@me/github_login", 401),
    ("POST", "/api/users/@me/credentials_review_complete", 401),
    ("GET", "/api/users/@me/login_sessions", 401),
    ("DELETE", "/api/users/@me/login_sessions/nonsense", 401),
    ("POST", "/api/users/@me/login_sessions/revoke_others", 401),
    ("GET", "/api/users/@me/remembered_devices", 401),
    ("DELETE", "/api/users/@me/remembered_devices/nonsense", 401),
    ("POST", "/api/login", 400),
    ("POST", "/api/login/token", 400),
    ("POST", "/api/login/precheck", 400),
    ("POST", "/logout", 302),
    ("POST", "/api/logout", 204),
    ("POST", "/api/login/code-based-verification", 400),
    ("POST", "/api/login/code-based-verification/resend", 400),
    ("POST", "/api/reset", 400),
    ("GET", "/api/reset/nonsense", 400),
    ("POST", "/api/reset/nonsense", 400),
    ("GET", "/api/reset_2fa/nonsense", 400),
    ("POST", "/api/reset_2fa/nonsense", 400),
    ("POST", "/api/signup", 400),
    ("GET", "/api/signup/nonsense", 400),
    ("POST", "/api/signup/nonsense", 400),
    ("GET", "/api/personal_api_keys", 401),
    ("POST", "/api/personal_api_keys", 401),
    ("GET", "/api/personal_api_keys/nonsense", 401),
    ("PATCH", "/api/personal_api_keys/nonsense", 401),
    ("PUT", "/api/personal_api_keys/nonsense", 401),
    ("DELETE", "/api/personal_api_keys/nonsense", 401),
    ("POST", "/api/personal_api_keys/nonsense/roll", 401),
    ("GET", "/api/organizations", 401),
    ("POST", "/api/organizations", 401),
    ("GET", "/api/organizations/@current", 401),
    ("PATCH", "/api/organizations/@current", 401),
    ("DELETE", "/api/organizations/@current", 401),
    ("GET", "/api/organizations/@current/members", 401),
    ("PATCH", "/api/organizations/@current/members/@me", 401),
    ("DELETE", "/api/organizations/@current/members/@me", 401),
    ("GET", "/api/organizations/@current/invites", 401),
    ("POST", "/api/organizations/@current/invites", 401),
    ("POST", "/api/organizations/@current/invites/bulk", 401),
    ("DELETE", "/api/organizations/@current/invites/nonsense", 401),
    ("GET", "/api/organizations/@current/projects", 401),
    ("POST", "/api/organizations/@current/projects", 401),
    ("GET", "/_health", 200),
    ("GET", "/_readyz", 200),
];

/// Spec §3.0: the index, as strangers see it; §1.3: the headers that every answer has.
#[test]
fn every_endpoint_of_the_index_answers_strangers() {
    let server = Server::start();
    for (method, path, status) in INDEX {
        let reply = server.client().request(method, path).send();
        assert_eq!(reply.status, *status, "{method} {path}: {reply:?}");
        assert_eq!(reply.header("cache-control"), "no-store", "{reply:?}");
        assert_eq!(reply.header("vary"), "Accept, Cookie", "{reply:?}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{reply:?}");
        assert!(!reply.header("x-request-id").is_empty(), "{reply:?}");
        let challenge = if *status == 401 { "Bearer" } else { "" };
        assert_eq!(reply.header("www-authenticate"), challenge, "W-34: {reply:?}");
        assert!(!reply.headers.contains_key("access-control-allow-origin"), "{reply:?}");
    }
}

/// Spec §1.1: `Allow` lists what the path takes, no more.
#[test]
fn allow_names_the_methods_of_a_path() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let check = |client: &Client, method: &str, path: &str, allow: &str| {
        let reply = client.request(method, path).send().is(405);
        let mut names: Vec<&str> = reply.header("allow").split(", ").collect();
        names.sort_unstable();
        assert_eq!(names.join(" "), allow, "{reply:?}");
    };
    check(&client, "POST", "/api/users", "GET HEAD OPTIONS");
    check(&client, "POST", ME, "DELETE GET HEAD OPTIONS PATCH PUT");
    check(&client, "PUT", "/api/users/@me/two_factor_start_setup", "GET HEAD OPTIONS POST");
    check(&client, "GET", "/api/users/@me/two_factor_validate", "OPTIONS POST");
    check(&client, "HEAD", "/api/users/@me/two_factor_validate", "OPTIONS POST");
    check(&client, "POST", "/api/users/cancel_email_change_request", "OPTIONS PATCH");
    check(&client, "TRACE", "/api/personal_api_keys", "GET HEAD OPTIONS POST");
    check(&server.client(), "GET", "/api/login", "OPTIONS POST");
    check(&server.client(), "GET", "/logout", "OPTIONS POST");
    check(&server.client(), "POST", "/_health", "GET HEAD");
}

/// Spec §1.1: `HEAD` as `GET`, for everybody.
#[test]
fn head_answers_as_get_does() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    for path in [ME, "/api/users", "/api/users/@me/two_factor_status", "/api/personal_api_keys", "/_health", "/"] {
        for caller in [&client, &server.client()] {
            let (get, head) = (caller.get(path), caller.request("HEAD", path).send());
            assert_eq!((head.status, head.text.as_str()), (get.status, ""), "{path}");
            assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
        }
    }
}

/// Spec §1.1: `OPTIONS` needs authentication and, for keys, the read scope.
#[test]
fn options_needs_what_reading_needs() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let options = |client: &Client| client.request("OPTIONS", ME).send();
    options(&server.client()).is_anonymous();
    let reply = options(&client).is(200);
    assert_eq!(reply.header("content-type"), "application/json");
    for method in ["GET", "PATCH", "PUT", "DELETE"] {
        assert!(reply.header("allow").contains(method), "{reply:?}");
    }
    options(&server.key_of(&client, &["user:read"])).is(200);
    options(&server.key_of(&client, &["organization:read"])).is_denied("API key missing required scope 'user:read'");
    server.client().request("OPTIONS", "/api/login").send().is(200);
}

/// Spec §1.1: authentication, then permissions, then the method, then the body.
#[test]
fn permissions_come_before_the_body() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let reader = server.key_of(&client, &["user:read"]);
    let broken = |client: &Client, content_type: &str| client.request("PATCH", ME).body(content_type, "{").send();
    for content_type in ["application/json", "text/plain"] {
        broken(&reader, content_type).is_denied("API key missing required scope 'user:write'");
        broken(&client.without_csrf(), content_type).is_denied("CSRF Failed: CSRF token missing.");
    }
    broken(&client, "application/json").is(400);
    broken(&client, "text/plain").is(415);
    let bad = server.with_key("phx_nonsense1");
    bad.request("POST", ME).send().is(401);
    client.without_csrf().request("POST", ME).send().is_denied("CSRF Failed: CSRF token missing.");
    client.request("POST", ME).send().is(405);
    server.advance(7_201);
    client.request("POST", "/api/personal_api_keys").body("application/json", "{").send().wants_reauth();
}

/// Spec §1.1: a segment is any text without a slash and a dot, percent-encoded or not.
#[test]
fn a_segment_has_no_dot() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    client.get("/api/users/%40me").is(200);
    client.get("/api/users/%40me/two_factor_status").is(200);
    let detail = "Endpoint not found.";
    for path in ["/api/users/a.b", "/api/users/ada@example.com", "/api/users/@me//two_factor_status"] {
        client.get(path).is_error(404, "invalid_request", "not_found", detail, None);
    }
}

/// Spec §1.2: no body counts as an empty object, in every method.
#[test]
fn no_body_is_an_empty_object() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    client.request("PATCH", ME).send().is(200);
    client.request("PATCH", ME).body("application/json", "").send().is(200);
    client.request("PUT", ME).send().is_required("email");
    client.request("POST", "/api/users/@me/two_factor_disable").send().is(200);
    client.request("POST", "/api/personal_api_keys").send().is_required("label");
    server.client().request("POST", "/api/users/verify_email").send().is_required("token");
}

/// Spec §1.3: compact JSON in UTF-8.
#[test]
fn answers_are_compact_and_in_utf_8() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let reply = client.patch(ME, json!({"first_name": "Zoë 李 🦔"})).is(200);
    assert!(reply.text.contains(r#","first_name":"Zoë 李 🦔","last_name":"","email":"ada@example.com","#), "{reply:?}");
}

/// Spec §1.3: where there is no body there is no content type.
#[test]
fn a_204_has_nothing_in_it() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let key = client.post(
        "/api/personal_api_keys",
        json!({"label": "x", "scopes": ["*"], "scoped_teams": [], "scoped_organizations": []}),
    );
    let id = key.is(201).json()["id"].as_str().unwrap().to_owned();
    for reply in [client.delete(&format!("/api/personal_api_keys/{id}")), client.delete(ME)] {
        let reply = reply.is_body(204, "");
        assert!(!reply.headers.contains_key("content-type"), "{reply:?}");
    }
}

/// Spec §1.12, W-33: nobody may send credentials from elsewhere, unless listed.
#[test]
fn other_origins_get_nothing_by_default() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let reply = client.request("GET", ME).header("origin", ORIGIN).send().is(200);
    assert!(!reply.headers.contains_key("access-control-allow-origin"), "{reply:?}");
    let preflight = server.client().request("OPTIONS", ME).header("origin", ORIGIN);
    let reply = preflight.header("access-control-request-method", "PATCH").send().is(401);
    assert!(!reply.headers.contains_key("access-control-allow-origin"), "{reply:?}");
}

/// Spec §1.12, §1.3: an origin on the list is named, never a wildcard, and the answer varies with it.
#[test]
fn a_listed_origin_may_call_with_cookies() {
    let server = Server::builder().setting("server.cors_origins", &format!("[\"{ORIGIN}\"]")).start();
    let (_, client) = server.logged_in("ada@example.com");
    let check = |reply: Reply| {
        assert_eq!(reply.header("access-control-allow-origin"), ORIGIN, "{reply:?}");
        assert_eq!(reply.header("access-control-allow-credentials"), "true", "{reply:?}");
        assert_eq!(reply.header("vary"), "Accept, Cookie, Origin", "{reply:?}");
        reply
    };
    check(client.request("GET", ME).header("origin", ORIGIN).send().is(200));
    check(server.client().request("GET", ME).header("origin", ORIGIN).send().is(401));
    check(client.request("PATCH", ME).header("origin", ORIGIN).json(json!({})).send().is(200));
    let preflight = server.client().request("OPTIONS", ME).header("origin", ORIGIN);
    let reply = check(preflight.header("access-control-request-method", "PATCH").send().is(204));
    assert!(reply.header("access-control-allow-methods").contains("PATCH"), "{reply:?}");
    for name in ["Authorization", "Content-Type", "X-CSRFToken"] {
        assert!(reply.header("access-control-allow-headers").contains(name), "{reply:?}");
    }
    for other in ["https://evil.example", "https://app.example.com.evil.example", "http://app.example.com", "null"] {
        let reply = client.request("GET", ME).header("origin", other).send().is(200);
        assert!(!reply.headers.contains_key("access-control-allow-origin"), "{other}: {reply:?}");
        assert_eq!(reply.header("vary"), "Accept, Cookie, Origin", "{reply:?}");
        client.request("PATCH", ME).header("origin", other).json(json!({})).send().is(403);
    }
    let page = server.client().request("GET", "/").header("origin", ORIGIN).send().is(200);
    assert!(!page.headers.contains_key("access-control-allow-origin"), "only the API: {page:?}");
}

/// Spec §1.7: the table of cookies, over https.
#[test]
fn every_cookie_is_secure_behind_https() {
    let server = Server::builder().setting("server.public_url", "https://doorward.example").start();
    let (person, client) = server.logged_in("ada@example.com");
    let referer = |client: &Client, path: &str, body| {
        client.request("POST", path).header("referer", "https://doorward.example/").json(body).send()
    };
    let setup = client.get("/api/users/@me/two_factor_start_setup").is(200).json();
    let mut authenticator = crate::harness::Authenticator::new(setup["secret"].as_str().unwrap());
    let code = authenticator.code(&server);
    referer(&client, "/api/users/@me/two_factor_validate", json!({"token": code})).is(200);

    let login = server.client();
    let pending = login.login(&person).wants_second_factor();
    assert!(pending.set_cookie("sessionid=").unwrap().contains("Secure"), "{pending:?}");
    let done = login.post("/api/login/token", json!({"token": authenticator.code(&server)})).is(200);
    for (name, wanted, unwanted) in [
        ("sessionid=", "HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=1209600", "Domain"),
        ("posthog_csrftoken=", "SameSite=Lax; Secure; Path=/; Max-Age=1209600", "HttpOnly"),
        ("remember-cookie_", "HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=2592000", "Domain"),
    ] {
        let cookie = done.set_cookie(name).unwrap();
        assert!(cookie.ends_with(wanted) && !cookie.contains(unwanted), "{cookie}");
    }
    let name = done.set_cookie("remember-cookie_").unwrap().split('=').next().unwrap();
    uuid::Uuid::parse_str(name.trim_start_matches("remember-cookie_")).unwrap();
}

/// Spec §1.7, §7.2: lifetimes are settings.
#[test]
fn lifetimes_can_be_set() {
    let server = Server::builder().setting("auth.session_days", "2").setting("two_factor.remember_days", "3").start();
    let (person, client) = server.logged_in("ada@example.com");
    let mut authenticator = client.enrol(&server);
    let login = server.client();
    login.login(&person).wants_second_factor();
    let done = login.post("/api/login/token", json!({"token": authenticator.code(&server)})).is(200);
    assert!(done.set_cookie("sessionid=").unwrap().contains("Max-Age=172800"), "{done:?}");
    assert!(done.set_cookie("remember-cookie_").unwrap().contains("Max-Age=259200"), "{done:?}");
    server.advance(2 * 86_400 + 1);
    login.get(ME).is_anonymous();
    login.login(&person).is(200);
    login.remove_cookie("sessionid");
    server.advance(86_400);
    login.login(&person).wants_second_factor();
}

/// Spec §1.7: logging out takes the session's cookies back and leaves the device remembered.
#[test]
fn logging_out_clears_the_session_cookies() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let mut authenticator = client.enrol(&server);
    for path in ["/api/logout", "/logout"] {
        let login = server.client();
        login.login(&person).wants_second_factor();
        login.post("/api/login/token", json!({"token": authenticator.code(&server)})).is(200);
        let reply = login.request("POST", path).send();
        for name in ["sessionid=", "posthog_csrftoken="] {
            assert!(reply.set_cookie(name).unwrap().contains("Max-Age=0"), "{reply:?}");
        }
        assert!(reply.set_cookie("remember-cookie_").is_none(), "{reply:?}");
        login.login(&person).is(200);
    }
}

/// Spec §1.7, W-26: an expired session is a 401 in the API, and a redirect to the login elsewhere.
#[test]
fn an_expired_session_is_no_redirect_in_the_api() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    server.advance(14 * 86_400 + 1);
    for path in [ME, "/api/users", "/api/personal_api_keys"] {
        client.get(path).is_anonymous();
    }
    client.patch(ME, json!({})).is_anonymous();
    let reply = client.request("POST", "/logout").send().is(302);
    assert!(reply.header("location").starts_with("/login"), "{reply:?}");
}

/// Spec §3.0, What supervisors ask.
#[test]
fn health_needs_no_credential() {
    let server = Server::start();
    for path in ["/_health", "/_health/", "/_readyz", "/_readyz/"] {
        for caller in [server.client(), server.with_key("phx_nonsense1")] {
            let reply = caller.get(path).is_body(200, r#"{"status":"ok"}"#);
            assert!(reply.set_cookie("").is_none(), "{reply:?}");
        }
    }
}

/// Spec §1.11, W-34: `Retry-After` counts down.
#[test]
fn retry_after_counts_down() {
    let server = Server::builder().setting("limits.login_precheck", "1/1d").start();
    let ask = || server.client().post("/api/login/precheck", json!({"email": "nobody@example.com"}));
    ask().is(200);
    let seconds = || ask().is_throttled().header("retry-after").parse::<i64>().unwrap();
    let first = seconds();
    assert!((86_300..=86_400).contains(&first), "{first}");
    server.advance(80_000);
    let later = seconds();
    assert!((6_300..=6_400).contains(&later), "{later}");
}

/// Spec §1.11: one second is spelled so.
#[test]
fn one_second_is_spelled_in_the_singular() {
    let server = Server::builder().setting("limits.login_precheck", "1/1s").start();
    let ask = || server.client().post("/api/login/precheck", json!({"email": "nobody@example.com"}));
    // Two calls in one second, sooner or later, however loaded the machine is.
    let throttled = wait_for("a throttled call", || Some(ask()).filter(|reply| reply.status == 429));
    assert_eq!(throttled.header("retry-after"), "1");
    throttled.is_body(
        429,
        r#"{"type":"throttled_error","code":"throttled","detail":"Request was throttled. Expected available in 1 second.","attr":null}"#,
    );
}
