//! Spec §3.5, §4.2 to §4.4: login, the second step, logout.

use serde_json::json;

use crate::harness::{Client, PASSWORD, Person, Reply, Server};

const SUCCESS: &str = r#"{"success":true}"#;
const TOKEN: &str = "/api/login/token";
const ME: &str = "/api/users/@me";

trait LoginChecks {
    fn is_bad_credentials(self);
    fn is_locked_out(self);
    fn is_code_wrong(self);
    fn is_too_soon(self);
    fn is_login_expired(self);
}

/// Golden bodies of spec §7.1.
impl LoginChecks for Reply {
    #[track_caller]
    fn is_bad_credentials(self) {
        self.is_invalid("invalid_credentials", "Invalid email or password.", None);
    }

    #[track_caller]
    fn is_locked_out(self) {
        let detail = "Too many failed login attempts. Please try again in 10 minutes.";
        self.is_error(403, "authentication_error", "too_many_failed_attempts", detail, None);
    }

    #[track_caller]
    fn is_code_wrong(self) {
        self.is_invalid("2fa_invalid", "Invalid authentication code", None);
    }

    #[track_caller]
    fn is_too_soon(self) {
        self.is_invalid("2fa_too_many_attempts", "Too many attempts.", None);
    }

    #[track_caller]
    fn is_login_expired(self) {
        self.is_invalid("2fa_expired", "Login attempt has expired. Re-enter username/password.", None);
    }
}

/// The first step of somebody whose second one is missing.
fn first_step(server: &Server, person: &Person) -> Client {
    let client = server.client();
    client.login(person).wants_second_factor();
    client
}

/// Spec §1.7, §3.5, §4.2.
#[test]
fn a_login_sets_both_cookies() {
    let server = Server::start();
    let person = server.user("ada@example.com");
    let client = server.client();
    let reply = client.login(&person).is_body(200, SUCCESS);
    let session = reply.set_cookie("sessionid=").unwrap();
    for attribute in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=1209600"] {
        assert!(session.contains(attribute), "{session}");
    }
    assert!(!session.contains("Secure"), "no https here: {session}");
    let csrf = reply.set_cookie("posthog_csrftoken=").unwrap();
    for attribute in ["SameSite=Lax", "Path=/"] {
        assert!(csrf.contains(attribute), "{csrf}");
    }
    assert!(!csrf.contains("HttpOnly"), "scripts read it: {csrf}");
    client.get(ME).is(200);
}

/// Spec §1.7: https makes cookies `Secure`.
#[test]
fn cookies_are_secure_behind_https() {
    let server = Server::builder().setting("server.public_url", "https://doorward.example").start();
    let person = server.user("ada@example.com");
    let reply = server.client().login(&person).is(200);
    for name in ["sessionid=", "posthog_csrftoken="] {
        assert!(reply.set_cookie(name).unwrap().contains("Secure"), "{reply:?}");
    }
}

/// Spec §3.5: the table of failures, rows 2 and 4.
#[test]
fn a_login_that_fails_says_no_more_than_it_must() {
    let server = Server::start();
    let person = server.user("ada@example.com");
    let login = |body| server.client().post("/api/login", body);
    login(json!({})).is_required("email");
    login(json!({"email": "ada@example.com"})).is_required("password");
    let detail = "Enter a valid email address.";
    login(json!({"email": "ada", "password": "x"})).is_invalid("invalid_input", detail, Some("email"));
    login(json!({"email": true, "password": "x"})).is_invalid("invalid_input", "Not a valid string.", Some("email"));
    login(json!({"email": "ada@example.com", "password": []})).is_invalid(
        "invalid_input",
        "Not a valid string.",
        Some("password"),
    );
    login(json!({"email": person.email, "password": "wrong horse 1"})).is_bad_credentials();
    login(json!({"email": "nobody@example.com", "password": person.password})).is_bad_credentials();
    login(json!({"email": person.email, "password": format!(" {}", person.password)})).is_bad_credentials();
    login(json!({"email": "ADA@Example.com", "password": person.password})).is_body(200, SUCCESS);
    server.cli(&["user", "deactivate", "ada@example.com", "--reason", "left the company"]).is(0);
    server.client().login(&person).is_bad_credentials();
}

/// Spec §3.5, row 1; W-28.
#[test]
fn thirty_failures_lock_for_ten_minutes() {
    let server = Server::start();
    let person = server.user("ada@example.com");
    let fail = |email: &str| server.client().post("/api/login", json!({"email": email, "password": "wrong horse 1"}));
    for _ in 0..29 {
        fail("ada@example.com").is_bad_credentials();
    }
    fail("ada@example.com").is_locked_out();
    server.client().login(&person).is_locked_out();
    server.client().post("/api/login", json!({})).is_locked_out();
    server.advance(601);
    server.client().login(&person).is_body(200, SUCCESS);
}

/// Spec §3.5, row 5.
#[test]
fn an_unverified_address_waits_for_its_mail() {
    let server = Server::with_mail();
    let person = server.person("ada@example.com", &[]);
    let detail = "Your account is awaiting verification. Please check your email for a verification link.";
    for count in 1..=2 {
        server.client().login(&person).is_invalid("not_verified", detail, None);
        server.wait_for_mails("ada@example.com", "Verify your email address", count);
    }
    server.client().post("/api/login", json!({"email": person.email, "password": "wrong 1"})).is_bad_credentials();
}

/// Spec §3.5, row 5.
#[test]
fn without_mail_nobody_has_to_verify() {
    let server = Server::start();
    let person = server.person("ada@example.com", &[]);
    let client = server.login(&person);
    assert_eq!(client.me()["is_email_verified"], false);
}

/// Spec §3.5, row 6, §4.3.
#[test]
fn a_pending_login_is_not_a_login() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let mut authenticator = client.enrol(&server);
    let login = server.client();
    let reply = login.login(&person).wants_second_factor();
    assert!(reply.set_cookie("sessionid=").is_some(), "{reply:?}");
    let pending = login.cookie("sessionid").unwrap();
    login.get(ME).is_anonymous();
    login.get("/api/users/@me/two_factor_status").is_anonymous();
    login.post("/api/personal_api_keys", json!({})).is_anonymous();

    let reply = login.post(TOKEN, json!({"token": authenticator.code(&server)})).is_body(200, SUCCESS);
    assert_ne!(login.cookie("sessionid").unwrap(), pending, "the key is rotated");
    assert!(reply.set_cookie("posthog_csrftoken=").is_some(), "{reply:?}");
    let remember = reply.set_cookie("remember-cookie_").unwrap();
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=2592000"] {
        assert!(remember.contains(attribute), "{remember}");
    }
    login.get(ME).is(200);

    let thief = server.client();
    thief.set_cookie("sessionid", &pending);
    thief.get(ME).is_anonymous();
    thief.post(TOKEN, json!({"token": authenticator.code(&server)})).is_login_expired();
}

/// Spec §4.3, §7.4 row 25; W-13.
#[test]
fn a_wrong_code_costs_two_seconds() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let mut authenticator = client.enrol(&server);
    let login = first_step(&server, &person);
    let wrong = authenticator.wrong_code(&server);
    login.post(TOKEN, json!({"token": wrong})).is_code_wrong();
    let code = authenticator.code(&server);
    login.post(TOKEN, json!({"token": code})).is_too_soon();
    server.advance(3);
    login.post(TOKEN, json!({"token": code})).is_body(200, SUCCESS);
}

/// Spec §3.5: the table of the second step.
#[test]
fn the_second_step_checks_its_input() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let mut authenticator = client.enrol(&server);
    server.client().post(TOKEN, json!({"token": "123456"})).is_login_expired();
    server.client().post(TOKEN, json!({})).is_login_expired();
    let login = first_step(&server, &person);
    login.post(TOKEN, json!({})).is_required("token");
    login.post(TOKEN, json!({"token": "nonsense"})).is_code_wrong();
    let code: u32 = authenticator.code(&server).parse().unwrap();
    login.post(TOKEN, json!({"token": code})).is_body(200, SUCCESS);
}

/// Spec §4.3, §7.4 row 25.
#[test]
fn a_pending_login_lives_for_600_seconds() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let mut authenticator = client.enrol(&server);
    let login = first_step(&server, &person);
    server.advance(601);
    login.post(TOKEN, json!({"token": authenticator.code(&server)})).is_login_expired();
}

/// Spec §4.3, §7.4 row 39; W-6.
#[test]
fn a_code_works_once() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let mut authenticator = client.enrol(&server);
    let login = first_step(&server, &person);
    login.post(TOKEN, json!({"token": authenticator.last_code()})).is_code_wrong();
    server.advance(3);
    let code = authenticator.code(&server);
    login.post(TOKEN, json!({"token": code})).is_body(200, SUCCESS);
    first_step(&server, &person).post(TOKEN, json!({"token": code})).is_code_wrong();
}

/// Spec §4.4, §7.4 row 25; W-14, W-15.
#[test]
fn a_backup_code_works_once() {
    let server = Server::with_mail();
    let (person, client) = server.logged_in("ada@example.com");
    let mut authenticator = client.enrol(&server);
    let codes = client.new_backup_codes();
    let login = first_step(&server, &person);
    login.post(TOKEN, json!({"token": codes[0]})).is_body(200, SUCCESS);
    let status = login.get("/api/users/@me/two_factor_status").is(200).json();
    assert_eq!(status["backup_codes_remaining"], 9);
    assert_eq!(status["backup_codes"], json!(codes[1..]));
    let mail = server.wait_for_mail(&person.email, "A backup code was used for your account");
    assert!(mail.text.contains("9 backup codes are left") && !mail.text.contains(&codes[0]), "{mail:?}");

    first_step(&server, &person).post(TOKEN, json!({"token": codes[0]})).is_code_wrong();
    server.advance(3);
    let typed = format!(" {}-{} ", &codes[1][..4], &codes[1][4..]).to_uppercase();
    first_step(&server, &person).post(TOKEN, json!({"token": typed})).is_body(200, SUCCESS);
    first_step(&server, &person).post(TOKEN, json!({"token": authenticator.code(&server)})).is_body(200, SUCCESS);
}

/// W-13: each has a counter of its own.
#[test]
fn backup_codes_work_while_totp_waits() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let mut authenticator = client.enrol(&server);
    let codes = client.new_backup_codes();
    let login = first_step(&server, &person);
    login.post(TOKEN, json!({"token": authenticator.wrong_code(&server)})).is_code_wrong();
    login.post(TOKEN, json!({"token": authenticator.code(&server)})).is_too_soon();
    login.post(TOKEN, json!({"token": codes[0]})).is_body(200, SUCCESS);
    let code = authenticator.code(&server);
    first_step(&server, &person).post(TOKEN, json!({"token": code})).is_body(200, SUCCESS);
}

/// Spec §7.4 row 40; W-17: of 64 parallel uses one succeeds.
#[test]
fn parallel_uses_of_one_code_leave_one_success() {
    let server = Server::builder().setting("limits.two_factor_login", "1000/20m").start();
    let (person, client) = server.logged_in("ada@example.com");
    let mut authenticator = client.enrol(&server);
    let codes = client.new_backup_codes();
    for is_totp in [false, true] {
        let token = if is_totp { authenticator.code(&server) } else { codes[0].clone() };
        let logins: Vec<Client> = (0..64).map(|_| first_step(&server, &person)).collect();
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                logins.iter().map(|login| scope.spawn(|| login.post(TOKEN, json!({"token": token})).status)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let count = |status: u16| statuses.iter().filter(|&&other| other == status).count();
        assert_eq!((count(200), count(400)), (1, 63), "{statuses:?}");
    }
}

/// Spec §1.11 (Era B): more than six tries in twenty minutes.
#[test]
fn the_seventh_try_of_the_second_step_is_throttled() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let mut authenticator = client.enrol(&server);
    let login = first_step(&server, &person);
    for _ in 0..6 {
        login.post(TOKEN, json!({"token": authenticator.wrong_code(&server)})).is(400);
    }
    login.post(TOKEN, json!({"token": authenticator.code(&server)})).is_throttled();
    server.advance(1_201);
    let login = first_step(&server, &person);
    login.post(TOKEN, json!({"token": authenticator.code(&server)})).is_body(200, SUCCESS);
}

/// Spec §4.3, §7.4 row 26.
#[test]
fn a_remembered_device_skips_the_second_step() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let mut authenticator = client.enrol(&server);
    let login = first_step(&server, &person);
    login.post(TOKEN, json!({"token": authenticator.code(&server)})).is_body(200, SUCCESS);
    login.post("/api/logout", json!({})).is(204);
    login.login(&person).is_body(200, SUCCESS);
    assert_eq!(login.get("/api/users/@me/two_factor_status").is(200).json()["is_enabled"], true);

    login.post("/api/logout", json!({})).is(204);
    let late = login.copy();
    let changed = format!("{PASSWORD} and more");
    client.patch(ME, json!({"password": changed, "current_password": person.password})).is(200);
    let body = json!({"email": person.email, "password": changed});
    login.post("/api/login", body.clone()).wants_second_factor();
    server.advance(31 * 86_400);
    late.post("/api/login", body).wants_second_factor();
}

/// Spec §4.3: the cookie is bound to the authenticator.
#[test]
fn a_new_authenticator_forgets_the_devices() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let mut authenticator = client.enrol(&server);
    let login = first_step(&server, &person);
    login.post(TOKEN, json!({"token": authenticator.code(&server)})).is_body(200, SUCCESS);
    login.post("/api/users/@me/two_factor_disable", json!({})).is(200);
    login.enrol(&server);
    login.post("/api/logout", json!({})).is(204);
    login.login(&person).wants_second_factor();
}

/// Spec §3.5, W-40: an optional field of the second step; a cookie works for its own account only.
#[test]
fn a_device_need_not_be_remembered() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let mut authenticator = client.enrol(&server);
    let login = first_step(&server, &person);
    let reply = login.post(TOKEN, json!({"token": authenticator.code(&server), "remember": false}));
    assert!(reply.is(200).set_cookie("remember-cookie_").is_none());
    login.post("/api/logout", json!({})).is(204);
    login.login(&person).wants_second_factor();
}

/// Spec §4.3: the last two rows.
#[test]
fn a_pending_login_ends_with_what_it_was_for() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let mut authenticator = client.enrol(&server);
    let login = first_step(&server, &person);
    let code = authenticator.code(&server);
    client.post("/api/users/@me/two_factor_disable", json!({})).is(200);
    login.post(TOKEN, json!({"token": code})).is_login_expired();

    let mut authenticator = client.enrol(&server);
    let login = first_step(&server, &person);
    let changed = format!("{PASSWORD} and more");
    client.patch(ME, json!({"password": changed, "current_password": person.password})).is(200);
    login.post(TOKEN, json!({"token": authenticator.code(&server)})).is_login_expired();
}

/// Spec §3.5, §1.9: a login on a live session.
#[test]
fn a_repeated_login_needs_the_csrf_token() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let reply = client.without_csrf().login(&person);
    assert_eq!((reply.status, reply.json()["code"].as_str()), (403, Some("permission_denied")), "{reply:?}");
    let (session, csrf) = (client.cookie("sessionid"), client.cookie("posthog_csrftoken"));
    client.login(&person).is_body(200, SUCCESS);
    assert_ne!(client.cookie("sessionid"), session);
    assert_ne!(client.cookie("posthog_csrftoken"), csrf);
}

/// Spec §1.7: another user's login discards the old session.
#[test]
fn a_login_as_somebody_else_replaces_the_session() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let old = client.copy();
    let bob = server.user("bob@example.com");
    client.login(&bob).is_body(200, SUCCESS);
    assert_eq!(client.me()["email"], "bob@example.com");
    old.get(ME).is_anonymous();
}

/// Spec §4.10: only a device that was not seen before is told of.
#[test]
fn a_new_device_is_told_of() {
    let server = Server::with_mail();
    let person = server.user("ada@example.com");
    let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    let login = |agent: &str| {
        server
            .client()
            .request("POST", "/api/login")
            .header("user-agent", agent)
            .json(person.credentials())
            .send()
            .is(200)
    };
    login(firefox);
    login("curl/8.5.0");
    let mail = server.wait_for_mail(&person.email, "A new device logged into your account");
    assert!(mail.text.contains("127.0.0.1"), "{mail:?}");
    let before = server.count_mails(&person.email, "A new device", "witness@example.com");
    login(firefox);
    assert_eq!(server.count_mails(&person.email, "A new device", "witness2@example.com"), before);
}

/// Spec §3.5.
#[test]
fn precheck_says_the_same_of_everybody() {
    let server = Server::start();
    server.user("ada@example.com");
    let body = r#"{"sso_enforcement":null,"saml_available":false,"webauthn_credentials":[]}"#;
    for email in ["ada@example.com", "nobody@example.com"] {
        server.client().post("/api/login/precheck", json!({"email": email})).is_body(200, body);
    }
    server.client().post("/api/login/precheck", json!({})).is_required("email");
}

/// Spec §1.11.
#[test]
fn precheck_is_limited_by_address() {
    let server = Server::start();
    let ask = || server.client().post("/api/login/precheck", json!({"email": "nobody@example.com"}));
    for _ in 0..30 {
        ask().is(200);
    }
    ask().is_throttled();
    server.advance(61);
    ask().is(200);
}

/// Spec §3.5.
#[test]
fn logout_ends_the_session_and_leads_to_the_login() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let logout = |client: &Client, fields: &[(&str, &str)]| {
        client.request("POST", "/logout").form(fields).send().is(302).header("location").to_owned()
    };
    assert_eq!(client.without_csrf().request("POST", "/logout").send().status, 403);
    client.get(ME).is(200);
    let old = client.copy();
    assert_eq!(logout(&client, &[]), "/login");
    old.get(ME).is_anonymous();
    client.get(ME).is_anonymous();
    for (next, location) in [
        ("/settings", "/login?next=/settings"),
        ("//evil.example", "/login"),
        ("https://evil.example/", "/login"),
        ("javascript:alert(1)", "/login"),
        ("/\\evil.example", "/login"),
    ] {
        let client = server.login(&person);
        assert_eq!(logout(&client, &[("next", next)]).replace("%2F", "/"), location, "{next}");
    }
    assert_eq!(logout(&server.client(), &[]), "/login");
    server.client().get("/logout").is(405);
    server.login(&person).post("/api/logout", json!({})).is_body(204, "");
}

/// At a hundred failures in a row the authenticator is disabled (NIST SP 800-63B-4 §3.2.2).
#[test]
fn a_hundred_failures_disable_the_authenticator() {
    let server = Server::builder().setting("limits.two_factor_login", "1000/20m").start();
    let (person, client) = server.logged_in("ada@example.com");
    let mut authenticator = client.enrol(&server);
    for _ in 0..100 {
        let login = first_step(&server, &person);
        login.post(TOKEN, json!({"token": authenticator.wrong_code(&server)})).is_code_wrong();
        server.advance(901);
    }
    let login = first_step(&server, &person);
    login.post(TOKEN, json!({"token": authenticator.code(&server)})).is(400);
}

/// Spec §1.8, W-33: pages of other sites do not log a browser in to an account of theirs; programs, which say nothing of
/// where they come from, are no browsers.
#[test]
fn other_sites_do_not_log_a_browser_in() {
    const ORIGIN: &str = "https://app.example.com";
    let server = Server::builder()
        .mail_file()
        .setting("server.cors_origins", &format!("[\"{ORIGIN}\"]"))
        .setting("signup.enabled", "true")
        .start();
    let person = server.person("ada@example.com", &["--verified"]);
    let login = json!({"email": person.email, "password": person.password});
    let key = server.key_of(&server.login(&person), &["user:read"]).key().to_owned();
    for path in [
        "/api/login",
        "/api/login/token",
        "/api/login/code-based-verification",
        "/api/users/verify_email",
        "/api/signup",
        "/api/reset",
    ] {
        let post = || server.client().request("POST", path);
        let failed = |origin: &str| {
            format!("CSRF Failed: Origin checking failed - {origin} does not match any trusted origins.")
        };
        post()
            .header("origin", "https://evil.example")
            .json(json!({}))
            .send()
            .is_denied(&failed("https://evil.example"));
        post().header("origin", "null").json(json!({})).send().is_denied(&failed("null"));
        let cross = post().header("sec-fetch-site", "cross-site").form(&[("email", &person.email)]).send();
        assert!(cross.is_denied(&failed("null")).set_cookie("").is_none());
        post().header("sec-fetch-site", "same-site").json(json!({})).send().is(403);
        // A form of any page can hold a key, and its address too: they prove nothing of who sends them.
        let form = [("personal_api_key", key.as_str()), ("email", person.email.as_str())];
        post().header("origin", "https://evil.example").form(&form).send().is_denied(&failed("https://evil.example"));
        let in_query = server.client().request("POST", &format!("{path}?personal_api_key={key}"));
        in_query.header("sec-fetch-site", "cross-site").json(json!({})).send().is_denied(&failed("null"));
    }
    let post = || server.client().request("POST", "/api/login");
    let url = server.url();
    post().header("origin", &url).json(login.clone()).send().is(200);
    post().header("origin", &url).header("sec-fetch-site", "same-origin").json(login.clone()).send().is(200);
    post().header("origin", ORIGIN).header("sec-fetch-site", "cross-site").json(login.clone()).send().is(200);
    server.client().request("GET", "/api/users/@me").header("sec-fetch-site", "cross-site").send().is(401);
}
