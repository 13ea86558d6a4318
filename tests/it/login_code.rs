//! Spec §3.5, row 7: logins of people without a second factor that want a code sent by mail.

use serde_json::json;

use crate::harness::{Client, Mail, PASSWORD, Person, Reply, Server};
use crate::wire::all_at_once;

const CODE: &str = "/api/login/code-based-verification";
const RESEND: &str = "/api/login/code-based-verification/resend";
const ME: &str = "/api/users/@me";
const SUBJECT: &str = "Your Doorward login code";

fn builder() -> crate::harness::Builder {
    Server::builder().mail_file().setting("login.email_code", "on")
}

/// The first step, whose answer names the address.
#[track_caller]
fn wants_code(client: &Client, person: &Person) -> Reply {
    let reply = client.login(person);
    reply.is_error(401, "authentication_error", "code_based_verification_required", &person.email, None)
}

fn pending(server: &Server, person: &Person) -> Client {
    let client = server.client();
    wants_code(&client, person);
    client
}

fn mail(server: &Server, person: &Person, count: usize) -> Mail {
    let mail = server.wait_for_mails(&person.email, SUBJECT, count).pop().unwrap();
    server.secret(mail.code());
    mail
}

fn send(client: &Client, code: &str) -> Reply {
    client.post(CODE, json!({"code": code}))
}

/// A code that is not this one.
fn other_than(code: &str) -> String {
    let number: u32 = code.parse().unwrap();
    format!("{:06}", (number + 1) % 1_000_000)
}

#[track_caller]
fn is_wrong(reply: Reply) {
    reply.is_invalid("invalid_code", "This code is invalid or has expired.", Some("code"));
}

#[track_caller]
fn is_spent(reply: Reply) {
    reply.is_invalid("too_many_attempts", "Too many incorrect attempts. Try again later.", Some("code"));
}

#[track_caller]
fn is_void(reply: Reply) {
    let detail = "No login is waiting for a code. Re-enter username/password.";
    reply.is_invalid("no_pending_verification", detail, None);
}

/// Spec §3.5, row 7; §4.10: the code of the mail logs in, once; the device is remembered.
#[test]
fn a_mailed_code_logs_in_once() {
    let server = builder().start();
    let person = server.user("ada@example.com");
    let client = server.client();
    let reply = wants_code(&client, &person);
    assert_eq!(reply.header("www-authenticate"), "Bearer", "W-34: {reply:?}");
    assert!(reply.set_cookie("sessionid=").is_some(), "{reply:?}");
    client.get(ME).is_anonymous();
    let code = mail(&server, &person, 1).code().to_owned();
    let second = client.copy();
    let done = send(&client, &format!(" {}-{} ", &code[..3], &code[3..])).is_body(200, r#"{"success":true}"#);
    assert!(done.set_cookie("sessionid=").is_some() && done.set_cookie("remember-cookie_").is_some(), "{done:?}");
    assert_eq!(client.me()["email"], "ada@example.com");
    is_void(send(&second, &code));

    // Remembered here, not elsewhere; the code is used up.
    client.post("/api/logout", json!({})).is(204);
    client.login(&person).is(200);
    let elsewhere = pending(&server, &person);
    is_wrong(send(&elsewhere, &code));
    send(&elsewhere, mail(&server, &person, 2).code()).is(200);
    let events = server.cli(&["audit", "list", "--user", "ada@example.com", "--json"]).json();
    let text = events.to_string();
    assert!(text.contains("code by mail"), "{text}");
}

/// Spec §3.5, §5: off by default, and a mistake to switch on without mail.
#[test]
fn login_codes_are_off_by_default() {
    let server = Server::with_mail();
    let person = server.user("ada@example.com");
    let client = server.client();
    client.login(&person).is(200);
    is_void(send(&server.client(), "123456"));
    is_void(server.client().post(RESEND, json!({})));
    let output = Server::builder().setting("login.email_code", "on").stopped().cli(&["config", "check"]).is(78);
    assert!(output.err.contains("login.email_code"), "{output:?}");
}

/// Spec §3.5, W-40: a device need not be remembered.
#[test]
fn a_mailed_code_need_not_remember() {
    let server = builder().start();
    let person = server.user("ada@example.com");
    let client = pending(&server, &person);
    let code = mail(&server, &person, 1).code().to_owned();
    let done = client.post(CODE, json!({"code": code, "remember": false})).is(200);
    assert!(done.set_cookie("remember-cookie_").is_none(), "{done:?}");
}

/// Spec §3.5: five tries, then not even the right code; asking again does not help, nor does logging in again.
#[test]
fn five_wrong_codes_are_enough() {
    let server = builder().setting("limits.login_email_code", "100/20m").start();
    let person = server.user("ada@example.com");
    let client = pending(&server, &person);
    let code = mail(&server, &person, 1).code().to_owned();
    for _ in 0..3 {
        is_wrong(send(&client, &other_than(&code)));
    }
    client.post(RESEND, json!({})).is_body(200, r#"{"success":true}"#);
    let newer = mail(&server, &person, 2).code().to_owned();
    // The older one is dead, and counts as a wrong one.
    let wrong = if newer == code { other_than(&code) } else { code };
    is_wrong(send(&client, &wrong));
    // What cannot be a code is no try.
    is_wrong(send(&client, "nonsense"));
    is_wrong(send(&client, &other_than(&newer)));
    is_spent(send(&client, &newer));
    server.advance(61);
    client.post(RESEND, json!({})).is(200);
    let newest = mail(&server, &person, 3).code().to_owned();
    is_spent(send(&client, &newest));
    is_spent(send(&pending(&server, &person), &newest));
    // The budget comes back when the code that spent it would have ended.
    server.advance(540);
    let later = pending(&server, &person);
    send(&later, mail(&server, &person, 4).code()).is(200);
}

/// Spec §1.11, §3.5: six tries in twenty minutes for a user, whatever the login; a restart forgets none.
#[test]
fn tries_of_login_codes_are_limited() {
    let mut server = builder().start();
    let person = server.user("ada@example.com");
    let client = pending(&server, &person);
    let code = mail(&server, &person, 1).code().to_owned();
    for _ in 0..5 {
        is_wrong(send(&client, &other_than(&code)));
    }
    is_spent(send(&client, &code));
    send(&client, &code).is_throttled();
    server.stop();
    server.start_again();
    send(&client, &code).is_throttled();
    send(&pending(&server, &person), &code).is_throttled();
    server.cli(&["2fa", "unlock", "ada@example.com", "--reason", "cannot read codes"]).is(0);
    is_spent(send(&client, &code));
}

/// Spec §3.5: a code lives for 600 s, like the login that waits for it.
#[test]
fn login_codes_run_out() {
    let server = builder().start();
    let person = server.user("ada@example.com");
    let client = pending(&server, &person);
    let code = mail(&server, &person, 1).code().to_owned();
    server.advance(550);
    // Another login gets a code of its own, since the last mail is some time ago.
    let later = pending(&server, &person);
    let newer = mail(&server, &person, 2).code().to_owned();
    server.advance(51);
    is_void(send(&client, &newer));
    if newer != code {
        is_wrong(send(&later, &code));
    }
    send(&later, &newer).is(200);
    let last = pending(&server, &person);
    let code = mail(&server, &person, 3).code().to_owned();
    server.advance(601);
    is_void(send(&last, &code));
    is_void(last.post(RESEND, json!({})));
}

/// Spec §1.11, §3.5: a new code once a minute. Logins one after the other share the one that was just sent.
#[test]
fn a_code_is_sent_again_once_a_minute() {
    let mut server = builder().start();
    let person = server.user("ada@example.com");
    let client = pending(&server, &person);
    let again = pending(&server, &person);
    client.post(RESEND, json!({})).is(200);
    let reply = again.post(RESEND, json!({})).is_throttled();
    let wait: i64 = reply.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{reply:?}");
    server.kill();
    server.start_again();
    client.post(RESEND, json!({})).is_throttled();
    server.advance(61);
    client.post(RESEND, json!({})).is(200);
    let code = mail(&server, &person, 3).code().to_owned();
    assert_eq!(server.mails().len(), 3);
    send(&again, &code).is(200);
    is_wrong(send(&client, &code));
}

/// Spec §3.5, §4.3: what changes between the steps ends the login: the password, the account, a second factor.
#[test]
fn a_login_that_waits_for_a_code_ends_with_what_it_was_for() {
    let server = builder().start();
    let person = server.user("ada@example.com");
    let client = pending(&server, &person);
    let code = mail(&server, &person, 1).code().to_owned();
    // The page of a second factor is not for this one, nor the other way round.
    let detail = "Login attempt has expired. Re-enter username/password.";
    client.post("/api/login/token", json!({"token": code})).is_invalid("2fa_expired", detail, None);
    let owner = pending(&server, &person);
    send(&owner, &code).is(200);
    is_wrong(send(&client, &code));

    server.advance(61);
    let waiting = pending(&server, &person);
    let code = mail(&server, &person, 2).code().to_owned();
    owner.enrol(&server);
    is_void(send(&waiting, &code));
    is_void(waiting.post(RESEND, json!({})));
    let with_factor = server.client();
    with_factor.login(&person).wants_second_factor();
    is_void(send(&with_factor, &code));

    let bob = server.user("bob@example.com");
    let waiting = pending(&server, &bob);
    let code = mail(&server, &bob, 1).code().to_owned();
    let set = ["user", "set", "bob@example.com", "--password-stdin"];
    server.cli_with_input(&set, &format!("{PASSWORD} another\n")).is(0);
    is_void(send(&waiting, &code));

    let eve = server.user("eve@example.com");
    let waiting = pending(&server, &eve);
    let code = mail(&server, &eve, 1).code().to_owned();
    server.cli(&["user", "deactivate", "eve@example.com", "--reason", "left the company"]).is(0);
    is_void(send(&waiting, &code));
}

/// Spec §3.5: the code is no text of its own; what is missing is named.
#[test]
fn login_codes_check_their_input() {
    let server = builder().start();
    let person = server.user("ada@example.com");
    let client = pending(&server, &person);
    client.post(CODE, json!({})).is_required("code");
    client.post(CODE, json!({"code": [1]})).is_invalid("invalid_input", "Not a valid string.", Some("code"));
    let code = mail(&server, &person, 1).code().to_owned();
    // A number has lost its zeros.
    client.post(CODE, json!({"code": code.parse::<u32>().unwrap()})).is(200);
}

/// Spec §3.5: one code is one login, and wrong ones count exactly.
#[test]
fn login_codes_are_not_guessed_in_parallel() {
    let server = builder().setting("limits.login_email_code", "1000/1s").start();
    let person = server.user("ada@example.com");
    let client = pending(&server, &person);
    let code = mail(&server, &person, 1).code().to_owned();
    let copies: Vec<Client> = (0..16).map(|_| client.copy()).collect();
    let answers = all_at_once(
        &server,
        copies.iter().map(|copy| (copy.clone(), copy.request("POST", CODE).json(json!({"code": code})))).collect(),
    );
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "{answers:?}");

    server.advance(61);
    let client = pending(&server, &person);
    let code = mail(&server, &person, 2).code().to_owned();
    let wrong = other_than(&code);
    let copies: Vec<Client> = (0..32).map(|_| client.copy()).collect();
    let answers = all_at_once(
        &server,
        copies.iter().map(|copy| (copy.clone(), copy.request("POST", CODE).json(json!({"code": wrong})))).collect(),
    );
    let tried = answers.iter().filter(|answer| answer.text.contains("invalid_code")).count();
    assert_eq!(tried, 5, "{answers:?}");
    is_spent(send(&client, &code));
}
