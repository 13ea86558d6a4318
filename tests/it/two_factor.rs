//! Spec §3.2: enrolment, status, backup codes, disabling. What they do at login is in `login.rs`.

use serde_json::{Value, json};

use crate::harness::{Authenticator, Client, Reply, Server};

const START: &str = "/api/users/@me/two_factor_start_setup";
const VALIDATE: &str = "/api/users/@me/two_factor_validate";
const STATUS: &str = "/api/users/@me/two_factor_status";
const CODES: &str = "/api/users/@me/two_factor_backup_codes";
const DISABLE: &str = "/api/users/@me/two_factor_disable";
const SUCCESS: &str = r#"{"success":true}"#;
const OFF: &str = concat!(
    r#"{"is_enabled":false,"backup_codes":[],"backup_codes_remaining":0,"method":null,"#,
    r#""has_passkeys":false,"has_totp":false,"passkeys_enabled_for_2fa":false}"#
);

trait SetupChecks {
    fn is_setup_expired(self);
    fn is_token_invalid(self);
}

/// Golden bodies of spec §7.1.
impl SetupChecks for Reply {
    #[track_caller]
    fn is_setup_expired(self) {
        let body = concat!(
            r#"{"type":"validation_error","code":"setup_expired","#,
            r#""detail":"2FA setup session expired. Please start setup again.","attr":null}"#
        );
        self.is_body(400, body);
    }

    #[track_caller]
    fn is_token_invalid(self) {
        let body = r#"{"type":"validation_error","code":"token_invalid","detail":"Token is not valid","attr":null}"#;
        self.is_body(400, body);
    }
}

fn start(client: &Client) -> Authenticator {
    let setup = client.get(START).is(200).json();
    Authenticator::new(setup["secret"].as_str().unwrap())
}

fn status(client: &Client) -> Value {
    client.get(STATUS).is(200).json()
}

/// Spec §3.2, §7.4 row 20.
#[test]
fn setup_shows_a_secret_of_20_bytes() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    for (method, path) in [("GET", START), ("POST", START), ("GET", "/api/users/@me/start_2fa_setup")] {
        let reply = client.request(method, path).send().is(200);
        let setup = reply.json();
        let secret = setup["secret"].as_str().unwrap();
        assert_eq!(reply.text, format!("{{\"success\":true,\"secret\":\"{secret}\"}}"));
        assert_eq!(secret.len(), 32);
        assert!(secret.bytes().all(|byte| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte)), "{secret}");
        assert_eq!(reply.header("cache-control"), "no-store");
    }
    assert_eq!(client.get(STATUS).text, OFF, "nothing changes before a code is shown");
}

/// Spec §3.2, §7.4 row 20: both names of both calls, under `@me` and the own UUID.
#[test]
fn enrolment_works_under_all_names() {
    let server = Server::with_mail();
    for (n, (first, second)) in
        [("two_factor_start_setup", "two_factor_validate"), ("start_2fa_setup", "validate_2fa")].into_iter().enumerate()
    {
        let (person, client) = server.logged_in(&format!("ada{n}@example.com"));
        let setup = client.get(&person.path(&format!("/{first}"))).is(200).json();
        let mut authenticator = Authenticator::new(setup["secret"].as_str().unwrap());
        let code = authenticator.code(&server);
        client.post(&format!("/api/users/@me/{second}"), json!({"token": code})).is_body(200, SUCCESS);
        assert_eq!(client.me()["is_2fa_enabled"], true);
        server.wait_for_mail(&person.email, "You've enabled 2FA protection");
    }
}

/// Spec §3.2, §7.4 row 21; the order of the checks; W-16.
#[test]
fn a_wrong_code_does_not_end_the_setup() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    client.post(VALIDATE, json!({"token": "123456"})).is_setup_expired();
    client.post(VALIDATE, json!({})).is_setup_expired();
    let mut authenticator = start(&client);
    client.post(VALIDATE, json!({})).is_required("token");
    let wrong = authenticator.wrong_code(&server);
    for token in [json!(wrong), json!("nonsense"), json!(-1), json!("12345"), json!("1234567"), json!("١٢٣٤٥٦")] {
        client.post(VALIDATE, json!({"token": token})).is_token_invalid();
    }
    let code = authenticator.code(&server);
    for token in [format!("+{code}"), format!("{}_{}", &code[..3], &code[3..])] {
        client.post(VALIDATE, json!({"token": token})).is_token_invalid();
    }
    client.post(VALIDATE, json!({"token": format!(" {code} ")})).is_body(200, SUCCESS);
    client.post(VALIDATE, json!({"token": code})).is_setup_expired();
}

/// Spec §3.2, §7.1: a JSON integer is padded to six digits.
#[test]
fn a_code_may_be_a_number() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let code: u32 = start(&client).code(&server).parse().unwrap();
    client.post(VALIDATE, json!({"token": code})).is_body(200, SUCCESS);
}

/// Spec §2.12, §3.2: the step before and the step after are accepted, those beyond are not.
#[test]
fn one_step_each_way_is_accepted() {
    for (away, is_accepted) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
        let server = Server::start();
        let (_, client) = server.logged_in("ada@example.com");
        let authenticator = start(&client);
        server.go_to_the_middle_of_a_step();
        let code = authenticator.code_of(server.now() / 30 + away);
        client.post(VALIDATE, json!({"token": code})).is(if is_accepted { 200 } else { 400 });
    }
}

/// Spec §3.2, §7.4 rows 21 and 44; W-4.
#[test]
fn a_setup_lives_for_600_seconds() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let mut authenticator = start(&client);
    server.advance(590);
    client.post(VALIDATE, json!({"token": authenticator.wrong_code(&server)})).is_token_invalid();
    server.advance(11);
    let code = authenticator.code(&server);
    client.post(VALIDATE, json!({"token": code})).is_setup_expired();
}

/// Spec §3.2, §7.4 row 41; W-8.
#[test]
fn ten_wrong_codes_end_the_setup() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let mut authenticator = start(&client);
    let wrong = authenticator.wrong_code(&server);
    for _ in 0..10 {
        client.post(VALIDATE, json!({"token": wrong})).is_token_invalid();
    }
    let code = authenticator.code(&server);
    client.post(VALIDATE, json!({"token": code})).is_setup_expired();
    assert_eq!(client.get(STATUS).text, OFF);
}

/// Spec §3.2: last call wins.
#[test]
fn a_second_start_replaces_the_first() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let mut first = start(&client);
    let mut second = start(&client);
    client.post(VALIDATE, json!({"token": first.code(&server)})).is_token_invalid();
    client.post(VALIDATE, json!({"token": second.code(&server)})).is_body(200, SUCCESS);
}

/// Spec §7.4 row 43.
#[test]
fn a_setup_belongs_to_its_session() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let other = server.login(&person);
    let code = start(&client).code(&server);
    other.post(VALIDATE, json!({"token": code})).is_setup_expired();
    client.post(VALIDATE, json!({"token": code})).is_body(200, SUCCESS);
}

/// Spec §3.2, side effects 2 and 5.
#[test]
fn enrolment_ends_the_other_sessions() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let other = server.login(&person);
    client.enrol(&server);
    client.get("/api/users/@me").is(200);
    other.get("/api/users/@me").is_anonymous();
    client.new_backup_codes();
    assert_eq!(status(&client)["backup_codes"].as_array().unwrap().len(), 10, "this session is verified");
}

/// Spec §3.2, §7.4 rows 22 and 45: the three bodies.
#[test]
fn status_tells_what_is_on() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    client.get(STATUS).is_body(200, OFF);
    client.enrol(&server);
    let on = |codes: &[String]| {
        json!({"is_enabled": true, "backup_codes": codes, "backup_codes_remaining": codes.len(), "method": "TOTP",
               "has_passkeys": false, "has_totp": true, "passkeys_enabled_for_2fa": false})
        .to_string()
    };
    client.get(STATUS).is_body(200, &on(&[]));
    let codes = client.new_backup_codes();
    client.get(STATUS).is_body(200, &on(&codes));
    server.advance(7_201);
    client.get(STATUS).is_body(200, &on(&codes));
}

/// Spec §2.13, §3.2, §7.4 row 23.
#[test]
fn backup_codes_replace_the_old_set() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let body = concat!(
        r#"{"type":"validation_error","code":"2fa_not_enabled","#,
        r#""detail":"2FA must be enabled first","attr":null}"#
    );
    client.post(CODES, json!({})).is_body(400, body);
    client.enrol(&server);
    let first = client.new_backup_codes();
    let second = client.new_backup_codes();
    for codes in [&first, &second] {
        assert_eq!(codes.len(), 10);
        for code in codes {
            assert_eq!(code.len(), 8, "{code}");
            assert!(code.bytes().all(|byte| byte.is_ascii_lowercase() || (b'2'..=b'7').contains(&byte)), "{code}");
        }
    }
    assert_eq!(status(&client)["backup_codes"], json!(second));
    let login = server.client();
    login.login(&person).wants_second_factor();
    login.post("/api/login/token", json!({"token": first[0]})).is(400);
    server.advance(3);
    login.post("/api/login/token", json!({"token": second[0]})).is_body(200, SUCCESS);
}

/// Spec §3.2, §7.4 row 24; W-12.
#[test]
fn disabling_removes_everything_and_tells_once() {
    let server = Server::with_mail();
    let (person, client) = server.logged_in("ada@example.com");
    let other = server.login(&person);
    client.enrol(&server);
    client.new_backup_codes();
    other.get("/api/users/@me").is_anonymous();
    client.post(DISABLE, json!({})).is_body(200, SUCCESS);
    client.get(STATUS).is_body(200, OFF);
    assert_eq!(client.me()["is_2fa_enabled"], false);
    server.client().login(&person).is_body(200, SUCCESS);
    client.post(DISABLE, json!({})).is_body(200, SUCCESS);
    let mail = server.wait_for_mail(&person.email, "You've disabled 2FA protection");
    assert!(mail.html.contains("disabled"), "{mail:?}");
    assert_eq!(server.count_mails(&person.email, "You've disabled", "witness@example.com"), 1);
}

/// Spec §3.2: a pending enrolment is erased.
#[test]
fn disabling_ends_a_setup() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let mut authenticator = start(&client);
    client.post(DISABLE, json!({})).is_body(200, SUCCESS);
    client.post(VALIDATE, json!({"token": authenticator.code(&server)})).is_setup_expired();
}

/// Spec §3.2, §7.4 row 42; W-9.
#[test]
fn an_older_session_proves_itself_before_disabling() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let mut authenticator = client.enrol(&server);
    let codes = client.new_backup_codes();
    server.advance(301);
    client.post(DISABLE, json!({})).wants_reauth();
    let wrong = authenticator.wrong_code(&server);
    client.post(DISABLE, json!({"token": wrong})).is_token_invalid();
    let reply = client.post(DISABLE, json!({"current_password": "wrong horse 1"}));
    reply.is_invalid("incorrect_password", "Your current password is incorrect.", Some("current_password"));
    assert_eq!(status(&client)["is_enabled"], true);
    server.advance(3);
    client.post(DISABLE, json!({"token": authenticator.code(&server)})).is_body(200, SUCCESS);
    client.get(STATUS).is_body(200, OFF);

    client.enrol(&server);
    server.advance(301);
    client.post(DISABLE, json!({"token": codes[0]})).is_token_invalid();
    client.post(DISABLE, json!({"current_password": person.password})).is_body(200, SUCCESS);
}

/// Spec §3.2; W-9: a backup code does as well, and is used up.
#[test]
fn a_backup_code_proves_an_older_session() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    client.enrol(&server);
    let codes = client.new_backup_codes();
    server.advance(301);
    client.post(DISABLE, json!({"token": codes[3].to_uppercase()})).is_body(200, SUCCESS);
}

/// Spec §3.2; a used TOTP code proves nothing.
#[test]
fn a_used_code_does_not_disable() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let authenticator = client.enrol(&server);
    client.post(DISABLE, json!({"token": authenticator.last_code()})).is_token_invalid();
    assert_eq!(status(&client)["is_enabled"], true);
}

/// Spec §3.1, §3.2, §7.4 row 45; W-1, W-2.
#[test]
fn staff_see_counts_and_may_disable_but_get_no_secret() {
    let server = Server::with_mail();
    let (person, client) = server.logged_in("ada@example.com");
    client.enrol(&server);
    client.new_backup_codes();
    let staff = server.login(&server.staff("staff@example.com"));
    let seen = staff.get(&person.path("/two_factor_status")).is(200).json();
    assert_eq!((&seen["is_enabled"], &seen["backup_codes_remaining"]), (&json!(true), &json!(10)));
    assert_eq!(seen["backup_codes"], json!([]));
    let detail = "As a non-staff user you're only allowed to access the `@me` user instance.";
    staff.get(&person.path("/two_factor_start_setup")).is_denied(detail);
    staff.get(&person.path("/start_2fa_setup")).is_denied(detail);
    staff.post(&person.path("/two_factor_validate"), json!({"token": "123456"})).is_denied(detail);
    staff.post(&person.path("/validate_2fa"), json!({"token": "123456"})).is_denied(detail);
    assert_eq!(staff.post(&person.path("/two_factor_backup_codes"), json!({})).status, 403);
    staff.post(&person.path("/two_factor_disable"), json!({})).is_body(200, SUCCESS);
    assert_eq!(staff.get(&person.path("/two_factor_status")).is(200).text, OFF);
    server.wait_for_mail(&person.email, "2FA");
    server.client().login(&person).is_body(200, SUCCESS);
}

/// Spec §3.1: every route of a stranger's account is closed.
#[test]
fn nobody_reaches_into_another_account() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let other = server.user("bob@example.com");
    let detail = "As a non-staff user you're only allowed to access the `@me` user instance.";
    for path in [other.path(""), "/api/users/nonsense".to_owned()] {
        client.get(&format!("{path}/two_factor_start_setup")).is_denied(detail);
        client.get(&format!("{path}/two_factor_status")).is_denied(detail);
        for name in ["two_factor_validate", "validate_2fa", "two_factor_backup_codes", "two_factor_disable"] {
            client.post(&format!("{path}/{name}"), json!({"token": "123456"})).is_denied(detail);
            server.client().post(&format!("{path}/{name}"), json!({"token": "123456"})).is_anonymous();
        }
        server.client().get(&format!("{path}/two_factor_status")).is_anonymous();
    }
}

/// Spec §3.2: a setting hides the codes from everybody.
#[test]
fn codes_in_status_can_be_switched_off() {
    let server = Server::builder().setting("two_factor.expose_backup_codes_in_status", "false").start();
    let (_, client) = server.logged_in("ada@example.com");
    client.enrol(&server);
    client.new_backup_codes();
    let seen = status(&client);
    assert_eq!((&seen["backup_codes"], &seen["backup_codes_remaining"]), (&json!([]), &json!(10)));
}

/// Spec §4.5, §7.4 row 38; W-3, W-10.
#[test]
fn a_new_phone_replaces_the_old_one() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let mut old = client.enrol(&server);
    let codes = client.new_backup_codes();
    let mut new = start(&client);
    let login = server.client();
    login.login(&person).wants_second_factor();
    login.post("/api/login/token", json!({"token": old.code(&server), "remember": false})).is(200);

    client.post(VALIDATE, json!({"token": new.code(&server)})).is_body(200, SUCCESS);
    let seen = status(&client);
    assert_eq!((&seen["is_enabled"], &seen["backup_codes"]), (&json!(true), &json!([])));
    for (token, expected) in [(old.code(&server), 400), (codes[0].clone(), 400), (new.code(&server), 200)] {
        let login = server.client();
        login.login(&person).wants_second_factor();
        server.advance(5);
        login.post("/api/login/token", json!({"token": token})).is(expected);
    }
}

/// Spec §3.2, §4.5; W-10.
#[test]
fn a_new_phone_wants_a_recent_login() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    server.advance(7_201);
    start(&client);
    let (_, client) = server.logged_in("bob@example.com");
    client.enrol(&server);
    server.advance(7_201);
    client.get(START).wants_reauth();
}

/// Spec §3.2: prefetching by another site is refused (W-31).
#[test]
fn other_sites_cannot_start_a_setup() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    client.request("GET", START).header("sec-fetch-site", "cross-site").send().is(403);
    client.request("GET", START).header("sec-fetch-site", "same-origin").send().is(200);
}

/// Spec §1.6: the table of keys on the seed actions.
#[test]
fn a_key_may_enrol_and_disable() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let key = server.key_of(&client, &["user:write"]);
    let other_key = server.key_of(&client, &["user:write"]);
    let mut authenticator = start(&key);
    let code = authenticator.code(&server);
    client.post(VALIDATE, json!({"token": code})).is_setup_expired();
    other_key.post(VALIDATE, json!({"token": code})).is_setup_expired();
    key.post(VALIDATE, json!({"token": code})).is_body(200, SUCCESS);
    client.get(STATUS).is_anonymous();
    key.get(START).wants_reauth();
    key.post(CODES, json!({})).is_denied("This action does not support personal API key access");
    key.post(DISABLE, json!({})).wants_reauth();
    key.post(DISABLE, json!({"token": authenticator.wrong_code(&server)})).is_token_invalid();
    server.advance(3);
    key.post(DISABLE, json!({"token": authenticator.code(&server)})).is_body(200, SUCCESS);
    key.get(STATUS).is_body(200, OFF);
    start(&key);
}

/// Spec §1.6, §7.4 row 28.
#[test]
fn keys_need_their_scope_and_see_no_codes() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    client.enrol(&server);
    client.new_backup_codes();
    let reader = server.key_of(&client, &["user:read"]);
    let seen = status(&reader);
    assert_eq!((&seen["backup_codes"], &seen["backup_codes_remaining"]), (&json!([]), &json!(10)));
    let missing = "API key missing required scope 'user:write'";
    reader.post(DISABLE, json!({})).is_denied(missing);
    reader.get(START).is_denied(missing);
    reader.post(VALIDATE, json!({"token": "123456"})).is_denied(missing);
    reader.patch("/api/users/cancel_email_change_request", json!({})).is_denied(missing);
    let other = server.key_of(&client, &["organization:write"]);
    other.get(STATUS).is_denied("API key missing required scope 'user:read'");
}

/// Spec §1.6, §7.4 row 28: the reference's answer is a setting away.
#[test]
fn keys_can_be_kept_from_two_factor_calls() {
    let server = Server::builder().setting("auth.allow_keys_on_two_factor", "false").start();
    let (_, client) = server.logged_in("ada@example.com");
    let key = server.key_of(&client, &["*"]);
    let detail = "This action does not support personal API key access";
    key.get(STATUS).is_denied(detail);
    key.get(START).is_denied(detail);
    key.get("/api/users/@me/start_2fa_setup").is_denied(detail);
    key.post(VALIDATE, json!({"token": "123456"})).is_denied(detail);
    key.post("/api/users/@me/validate_2fa", json!({"token": "123456"})).is_denied(detail);
    key.post(DISABLE, json!({})).is_denied(detail);
    key.patch("/api/users/cancel_email_change_request", json!({})).is_denied(detail);
    key.get("/api/users/@me").is(200);
}

/// Spec §1.9: unsafe calls want a session that authenticated within two hours.
#[test]
fn unsafe_calls_want_a_recent_login() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    server.advance(7_201);
    client.post(VALIDATE, json!({"token": "123456"})).wants_reauth();
    client.post(CODES, json!({})).wants_reauth();
    client.post(DISABLE, json!({})).wants_reauth();
    client.get(STATUS).is(200);
}
