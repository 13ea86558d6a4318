//! Spec §3.3 and §4.6: verifying and changing an address. Mails are read from the outbox folder.

use serde_json::json;

use crate::harness::{Client, Mail, PASSWORD, Person, Reply, Server};

const ME: &str = "/api/users/@me";
const REQUEST: &str = "/api/users/request_email_verification";
const VERIFY: &str = "/api/users/verify_email";
const CANCEL: &str = "/api/users/cancel_email_change_request";
const SUCCESS: &str = r#"{"success":true}"#;
const SUBJECT: &str = "Verify your email address";

trait EmailChecks {
    fn is_token_invalid(self);
    fn is_code_invalid(self);
}

impl EmailChecks for Reply {
    /// Golden body of spec §7.1.
    #[track_caller]
    fn is_token_invalid(self) {
        self.is_invalid("invalid_token", "This verification token is invalid or has expired.", Some("token"));
    }

    #[track_caller]
    fn is_code_invalid(self) {
        self.is_invalid("invalid_code", "This code is invalid or has expired.", Some("code"));
    }
}

/// An account whose address is not verified yet, and the mail that asks for it.
fn unverified(server: &Server, email: &str) -> (Person, Mail) {
    let person = server.person(email, &[]);
    server.client().post(REQUEST, json!({"uuid": person.uuid})).is_body(200, SUCCESS);
    let mail = server.wait_for_mail(email, SUBJECT);
    (person, mail)
}

/// Stages an address and returns the mail that went there.
fn stage(server: &Server, client: &Client, email: &str) -> Mail {
    let me = client.patch(ME, json!({"email": email})).is(200).json();
    assert_eq!(me["pending_email"], email);
    server.wait_for_mail(email, SUBJECT)
}

/// Spec §3.3, §4.1, §7.4 row 17: a token is used once.
#[test]
fn a_token_verifies_and_logs_in_once() {
    let server = Server::with_mail();
    let (person, mail) = unverified(&server, "ada@example.com");
    let token = mail.token();
    assert_eq!(mail.link(), format!("http://127.0.0.1:8000/verify_email/{}/{token}", person.uuid));
    let client = server.client();
    let body = json!({"uuid": person.uuid, "token": token});
    let answer = format!("{{\"success\":true,\"token\":\"{token}\"}}");
    let reply = client.post(VERIFY, body.clone()).is_body(200, &answer);
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_eq!(client.me()["is_email_verified"], true);
    server.client().post(VERIFY, body).is_token_invalid();
    server.login(&person);
}

/// Spec §3.3 (Era C).
#[test]
fn a_code_verifies_and_logs_in_once() {
    let server = Server::with_mail();
    let (person, mail) = unverified(&server, "ada@example.com");
    let typed = format!(" {}-{} ", &mail.code()[..3], &mail.code()[3..]);
    let client = server.client();
    client.post(VERIFY, json!({"uuid": person.uuid, "code": typed})).is_body(200, SUCCESS);
    assert_eq!(client.me()["is_email_verified"], true);
    let again = server.client().post(VERIFY, json!({"uuid": person.uuid, "code": mail.code()}));
    again.is_body(200, r#"{"success":true,"requires_login":true}"#);
    server.client().post(VERIFY, json!({"uuid": person.uuid, "token": mail.token()})).is_token_invalid();
}

/// Spec §3.3: the table of errors; §7.4 row 17.
#[test]
fn verification_checks_its_input() {
    let server = Server::with_mail();
    let (person, mail) = unverified(&server, "ada@example.com");
    let (other, _) = unverified(&server, "bob@example.com");
    let verify = |body| server.client().post(VERIFY, body);
    verify(json!({})).is_required("token");
    verify(json!({"uuid": person.uuid})).is_required("token");
    verify(json!({"token": mail.token()})).is_required("uuid");
    verify(json!({"code": mail.code()})).is_required("uuid");
    for uuid in [other.uuid.as_str(), "01990f5c-1f2e-7000-8b1d-5a0f3b9d2c11", "nonsense", ""] {
        if !uuid.is_empty() {
            verify(json!({"uuid": uuid, "token": mail.token()})).is_token_invalid();
        }
    }
    verify(json!({"uuid": "nonsense", "code": mail.code()})).is_code_invalid();
    verify(json!({"uuid": person.uuid, "token": "nonsense"})).is_token_invalid();
    for code in ["12345", "1234567", "abcdef"] {
        let detail = "Enter the 6-digit code from your email.";
        verify(json!({"uuid": person.uuid, "code": code})).is_invalid("invalid_input", detail, Some("code"));
    }
    verify(json!({"uuid": person.uuid, "token": mail.token()})).is(200);
}

/// Spec §3.3, §7.4 row 17.
#[test]
fn tokens_and_codes_run_out() {
    let server = Server::with_mail();
    let (person, mail) = unverified(&server, "ada@example.com");
    server.advance(601);
    server.client().post(VERIFY, json!({"uuid": person.uuid, "code": mail.code()})).is_code_invalid();
    server.advance(86_400);
    server.client().post(VERIFY, json!({"uuid": person.uuid, "token": mail.token()})).is_token_invalid();
}

/// Spec §3.3 (Era C): at most five wrong codes.
#[test]
fn a_code_is_refused_after_five_wrong_ones() {
    let server = Server::builder().mail_file().setting("limits.verify_email", "1000/20m").start();
    let (person, mail) = unverified(&server, "ada@example.com");
    let wrong = if mail.code() == "111111" { "222222" } else { "111111" };
    for _ in 0..5 {
        server.client().post(VERIFY, json!({"uuid": person.uuid, "code": wrong})).is_code_invalid();
    }
    let detail = "Too many incorrect attempts. Try again later.";
    let reply = server.client().post(VERIFY, json!({"uuid": person.uuid, "code": mail.code()}));
    reply.is_invalid("too_many_attempts", detail, Some("code"));
    server.client().post(VERIFY, json!({"uuid": person.uuid, "token": mail.token()})).is(200);
}

/// Spec §1.11 (Era C).
#[test]
fn verification_is_limited() {
    let server = Server::with_mail();
    let (person, _) = unverified(&server, "ada@example.com");
    let verify = || server.client().post(VERIFY, json!({"uuid": person.uuid, "token": "nonsense"}));
    for _ in 0..6 {
        verify().is_token_invalid();
    }
    verify().is_throttled();
    server.advance(1_201);
    verify().is_token_invalid();
}

/// Spec §3.3; W-7, W-21: the answer says nothing about the account.
#[test]
fn a_request_answers_the_same_for_everybody() {
    let server = Server::with_mail();
    let verified = server.user("ada@example.com");
    for uuid in [verified.uuid.as_str(), "01990f5c-1f2e-7000-8b1d-5a0f3b9d2c11", "nonsense"] {
        server.client().post(REQUEST, json!({"uuid": uuid})).is_body(200, SUCCESS);
    }
    server.client().post(REQUEST, json!({})).is_required("uuid");
    let reply = server.client().post(REQUEST, json!({"uuid": true}));
    reply.is_invalid("invalid_input", "Not a valid string.", Some("uuid"));
    assert_eq!(server.count_mails("ada@example.com", SUBJECT, "witness@example.com"), 0);
}

/// Spec §1.11, §3.3, §7.4 row 18.
#[test]
fn six_requests_a_day_are_enough() {
    let server = Server::with_mail();
    let person = server.person("ada@example.com", &[]);
    let request = |uuid: &str| server.client().post(REQUEST, json!({"uuid": uuid}));
    for _ in 0..6 {
        request(&person.uuid).is_body(200, SUCCESS);
    }
    request(&person.uuid).is_throttled();
    request(&person.uuid.to_uppercase()).is_throttled();
    assert_eq!(server.count_mails("ada@example.com", SUBJECT, "witness@example.com"), 6);
    server.advance(86_401);
    request(&person.uuid).is_body(200, SUCCESS);
}

/// Spec §3.3, §7.4 row 19.
#[test]
fn without_mail_nothing_can_be_requested() {
    let server = Server::start();
    let person = server.person("ada@example.com", &[]);
    let detail = "Cannot verify email address because email is not configured for your instance. \
                  Please contact your administrator.";
    server.client().post(REQUEST, json!({"uuid": person.uuid})).is_invalid("email_not_available", detail, None);
}

/// Spec §4.6, §7.4 row 14.
#[test]
fn a_new_address_is_staged_and_then_verified() {
    let server = Server::with_mail();
    let (person, client) = server.logged_in("ada@example.com");
    let other = server.login(&person);
    let me = client.patch(ME, json!({"email": "New@Example.com"})).is(200).json();
    assert_eq!((&me["email"], &me["pending_email"]), (&json!("ada@example.com"), &json!("new@example.com")));
    let mail = server.wait_for_mail("new@example.com", SUBJECT);
    let login = server.client().post("/api/login", json!({"email": "new@example.com", "password": person.password}));
    login.is_invalid("invalid_credentials", "Invalid email or password.", None);

    let verifier = server.client();
    verifier.post(VERIFY, json!({"uuid": person.uuid, "token": mail.token()})).is(200);
    let me = verifier.me();
    assert_eq!((&me["email"], &me["pending_email"]), (&json!("new@example.com"), &json!(null)));
    assert_eq!(me["is_email_verified"], true);
    server.wait_for_mail("ada@example.com", "no longer your Doorward account email");
    server.wait_for_mail("new@example.com", "your new Doorward account email");
    other.get(ME).is_anonymous();
    assert!(server.mails().iter().all(|mail| mail.to != "ada@example.com" || !mail.subject.contains("Verify")));
    server.client().login(&person).is(400);
    server.client().post("/api/login", json!({"email": "new@example.com", "password": person.password})).is(200);
}

/// Spec §3.4, §7.4 row 15.
#[test]
fn without_mail_an_address_changes_at_once() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let me = client.patch(ME, json!({"email": "new@example.com"})).is(200).json();
    assert_eq!((&me["email"], &me["pending_email"]), (&json!("new@example.com"), &json!(null)));
}

/// Spec §4.6: the current address, and one that differs in case only.
#[test]
fn the_current_address_stages_nothing() {
    let server = Server::with_mail();
    let (_, client) = server.logged_in("ada@example.com");
    for email in ["ada@example.com", "Ada@EXAMPLE.com"] {
        assert_eq!(client.patch(ME, json!({"email": email})).is(200).json()["pending_email"], json!(null));
    }
    stage(&server, &client, "new@example.com");
    let me = client.patch(ME, json!({"email": "ada@example.com"})).is(200).json();
    assert_eq!(me["pending_email"], "new@example.com", "an address staged earlier stays");
    assert_eq!(server.count_mails("ada@example.com", "", "witness@example.com"), 0);
}

/// Spec §3.3, §7.4 row 16.
#[test]
fn a_staged_address_can_be_dropped() {
    let server = Server::with_mail();
    let (person, client) = server.logged_in("ada@example.com");
    let detail = "No active email change requests found.";
    client.patch(CANCEL, json!({})).is_invalid("email_change_request_not_found", detail, None);
    server.client().patch(CANCEL, json!({})).is_anonymous();
    let mail = stage(&server, &client, "new@example.com");
    let me = client.patch(CANCEL, json!({})).is(200).json();
    assert_eq!((&me["email"], &me["pending_email"]), (&json!("ada@example.com"), &json!(null)));
    client.patch(CANCEL, json!({})).is_invalid("email_change_request_not_found", detail, None);
    server.client().post(VERIFY, json!({"uuid": person.uuid, "token": mail.token()})).is_token_invalid();
    server.client().post(VERIFY, json!({"uuid": person.uuid, "code": mail.code()})).is_code_invalid();
}

/// Spec §1.6: a key with `user:write` may drop a staged address.
#[test]
fn a_key_may_drop_a_staged_address() {
    let server = Server::with_mail();
    let (_, client) = server.logged_in("ada@example.com");
    let key = server.key_of(&client, &["user:write"]);
    stage(&server, &client, "new@example.com");
    assert_eq!(key.patch(CANCEL, json!({})).is(200).json()["pending_email"], json!(null));
}

/// Spec §4.6: the newest request counts.
#[test]
fn a_newer_address_replaces_an_older_one() {
    let server = Server::with_mail();
    let (person, client) = server.logged_in("ada@example.com");
    let first = stage(&server, &client, "first@example.com");
    let second = stage(&server, &client, "second@example.com");
    server.client().post(VERIFY, json!({"uuid": person.uuid, "token": first.token()})).is_token_invalid();
    server.client().post(VERIFY, json!({"uuid": person.uuid, "token": second.token()})).is(200);
    server.client().post("/api/login", json!({"email": "second@example.com", "password": person.password})).is(200);
}

/// Spec §3.3, §7.4 row 17: a token made before an address was staged does not confirm it.
#[test]
fn an_older_token_does_not_confirm_a_change() {
    let server = Server::with_mail();
    let (person, mail) = unverified(&server, "ada@example.com");
    server.cli(&["user", "set", "ada@example.com", "--verified", "true"]).is(0);
    let client = server.login(&person);
    stage(&server, &client, "new@example.com");
    server.client().post(VERIFY, json!({"uuid": person.uuid, "token": mail.token()})).is_token_invalid();
    assert_eq!(client.me()["email"], "ada@example.com");
}

/// Spec §3.3, §4.6, §7.4 row 48; W-22.
#[test]
fn an_address_taken_meanwhile_is_not_taken_over() {
    let server = Server::with_mail();
    let (person, client) = server.logged_in("ada@example.com");
    let mail = stage(&server, &client, "new@example.com");
    server.user("new@example.com");
    let detail = "Another account now uses this email address. Start the change again with a different address.";
    let reply = server.client().post(VERIFY, json!({"uuid": person.uuid, "token": mail.token()}));
    reply.is_invalid("email_taken", detail, Some("email"));
    let me = client.me();
    assert_eq!((&me["email"], &me["pending_email"]), (&json!("ada@example.com"), &json!("new@example.com")));
}

/// Spec §3.3, §7.4 row 49; W-18.
#[test]
fn a_mail_is_no_second_factor() {
    let server = Server::with_mail();
    let (person, client) = server.logged_in("ada@example.com");
    client.enrol(&server);
    let mail = stage(&server, &client, "new@example.com");
    let stranger = server.client();
    let reply = stranger.post(VERIFY, json!({"uuid": person.uuid, "token": mail.token()}));
    let reply = reply.is_body(200, r#"{"success":true,"requires_2fa":true}"#);
    assert!(reply.set_cookie("").is_none(), "{reply:?}");
    stranger.get(ME).is_anonymous();
    let body = json!({"email": "new@example.com", "password": person.password});
    server.client().post("/api/login", body).wants_second_factor();
}

/// Spec §3.4, §7.4 row 50; W-23.
#[test]
fn a_refused_change_stages_and_mails_nothing() {
    let server = Server::with_mail();
    let (person, client) = server.logged_in("ada@example.com");
    let weak = json!({"email": "new@example.com", "password": "short", "current_password": person.password});
    client.patch(ME, weak).is(400);
    let wrong = json!({"email": "new@example.com", "password": PASSWORD, "current_password": "wrong horse 1"});
    client.patch(ME, wrong).is(400);
    assert_eq!(client.me()["pending_email"], json!(null));
    assert_eq!(server.count_mails("new@example.com", "", "witness@example.com"), 0);
}

/// Spec §3.4 (Era C), as a setting.
#[test]
fn plus_addresses_can_be_refused() {
    let server = Server::builder().setting("email.allow_plus_addresses", "false").start();
    let (_, client) = server.logged_in("ada@example.com");
    let detail = "Email addresses with a '+' aren't supported. Please use your primary email address.";
    let reply = client.patch(ME, json!({"email": "ada+tag@example.com"}));
    reply.is_invalid("plus_addressing_not_allowed", detail, Some("email"));
}

/// A mail that was queued is delivered after a restart; each kind once.
#[test]
fn mails_survive_a_restart() {
    let mut server = Server::with_mail();
    let person = server.person("ada@example.com", &[]);
    server.client().post(REQUEST, json!({"uuid": person.uuid})).is(200);
    server.kill();
    server.start_again();
    let mails = server.wait_for_mails("ada@example.com", SUBJECT, 1);
    assert_eq!(mails.len(), 1);
    server.client().post(VERIFY, json!({"uuid": person.uuid, "token": mails[0].token()})).is(200);
    server.stop();
}
