//! Spec §3.10: an administrator has a link sent, with which users remove their own second factor.

use serde_json::json;

use crate::harness::{Authenticator, Client, Person, Reply, Server};

const ME: &str = "/api/users/@me";
const SUBJECT: &str = "Reset your two-factor authentication";
const INVALID: &str = "This reset link is invalid or has expired.";
const LOG_IN: &str = "You must log in with your credentials first.";
const EXPIRED: &str = "Your login session has expired. Please log in again.";
const OTHER: &str = "This reset link is for a different account.";

/// Somebody with a second factor.
fn enrolled(server: &Server, email: &str) -> (Person, Client, Authenticator) {
    let (person, client) = server.logged_in(email);
    let authenticator = client.enrol(server);
    (person, client, authenticator)
}

fn pending(server: &Server, person: &Person) -> Client {
    let client = server.client();
    client.login(person).wants_second_factor();
    client
}

/// Has a link sent; the API's path and the token.
fn send(server: &Server, person: &Person, count: usize) -> (String, String) {
    server.cli(&["2fa", "reset", &person.email, "--send-link", "--reason", "lost phone, HD-4711"]).is(0);
    let mail = server.wait_for_mails(&person.email, SUBJECT, count).pop().unwrap();
    assert!(mail.link().contains(&format!("/reset_2fa/{}/", person.uuid)), "{mail:?}");
    server.secret(mail.token());
    (format!("/api/reset_2fa/{}", person.uuid), mail.token().to_owned())
}

fn check(client: &Client, (api, token): &(String, String)) -> Reply {
    client.get(&format!("{api}?token={token}"))
}

fn confirm(client: &Client, (api, token): &(String, String)) -> Reply {
    client.post(api, json!({"token": token}))
}

/// A refusal, which is not in the envelope.
#[track_caller]
fn is_refused(reply: Reply, status: u16, error: &str) {
    let login = if status == 401 { r#","requires_login":true"# } else { "" };
    let reply = reply.is_body(status, &format!(r#"{{"success":false,"error":"{error}"{login}}}"#));
    assert_eq!(reply.header("www-authenticate"), if status == 401 { "Bearer" } else { "" }, "{reply:?}");
}

/// Spec §3.10, W-36: the password and the link remove device and codes; nothing of the login is left.
#[test]
fn a_link_removes_the_second_factor() {
    let server = Server::with_mail();
    let (person, client, _) = enrolled(&server, "ada@example.com");
    client.new_backup_codes();
    let link = send(&server, &person, 1);
    let login = pending(&server, &person);
    let copy = login.copy();
    for _ in 0..2 {
        let reply = check(&login, &link).is(200);
        assert_eq!(reply.text, format!(r#"{{"success":true,"token":"{}"}}"#, link.1));
    }
    // Looking changes nothing.
    server.client().login(&person).wants_second_factor();
    let done = confirm(&login, &link).is_body(200, r#"{"success":true}"#);
    assert!(done.set_cookie("sessionid=").is_some_and(|cookie| cookie.contains("Max-Age=0")), "{done:?}");
    server.wait_for_mail("ada@example.com", "You've disabled 2FA protection");
    is_refused(confirm(&copy, &link), 401, LOG_IN);
    is_refused(check(&copy, &link), 401, LOG_IN);
    let status = client.get("/api/users/@me/two_factor_status").is(200).json();
    assert_eq!((&status["is_enabled"], &status["backup_codes_remaining"]), (&json!(false), &json!(0)));
    let fresh = server.login(&person);
    assert_eq!(fresh.me()["is_2fa_enabled"], false);
    is_refused(confirm(&fresh, &link), 400, INVALID);

    let events =
        server.cli(&["audit", "list", "--user", "ada@example.com", "--event", "two_factor.reset", "--json"]).json();
    let rows = events["rows"].as_array().unwrap();
    let record = |number: usize| rows[number].clone();
    assert_eq!(record(0)["event"], "two_factor.reset");
    assert_eq!(record(0)["actor"]["email"], "ada@example.com");
    assert_eq!(record(1)["event"], "two_factor.reset_link_sent");
    assert_eq!(
        (&record(1)["actor"]["kind"], &record(1)["reason"]),
        (&json!("operator"), &json!("lost phone, HD-4711"))
    );
}

/// Spec §3.10: each refusal, in its order and its own shape.
#[test]
fn a_link_alone_is_not_enough() {
    let server = Server::builder().mail_file().setting("limits.verify_email_address", "1000/20m").start();
    let (person, _, _) = enrolled(&server, "ada@example.com");
    let (other, _, _) = enrolled(&server, "bob@example.com");
    let link = send(&server, &person, 1);
    let nonsense = (link.0.clone(), "nonsense".to_owned());
    let (stranger, login, foreign) = (server.client(), pending(&server, &person), pending(&server, &other));
    for client in [&stranger, &login] {
        is_refused(client.get(&link.0), 400, "Token is required.");
        is_refused(client.post(&link.0, json!({})), 400, "Token is required.");
        is_refused(client.post(&link.0, json!({"token": ""})), 400, "Token is required.");
    }
    for act in [check, confirm] {
        is_refused(act(&stranger, &link), 401, LOG_IN);
        is_refused(act(&stranger, &nonsense), 401, LOG_IN);
        is_refused(act(&foreign, &link), 403, OTHER);
        is_refused(act(&login, &("/api/reset_2fa/nonsense".to_owned(), link.1.clone())), 403, OTHER);
        is_refused(act(&login, &nonsense), 400, INVALID);
    }
    let key = server.key_of(&server.logged_in("eve@example.com").1, &["user:write"]);
    is_refused(confirm(&key, &link), 401, LOG_IN);
    login.request("PUT", &link.0).json(json!({})).send().is(405);
    confirm(&login, &link).is(200);
}

/// Spec §3.10: the login may be an hour old, and so may the link; a session that has just logged in will do as well.
#[test]
fn links_and_logins_live_for_an_hour() {
    let server = Server::with_mail();
    let (person, client, mut authenticator) = enrolled(&server, "ada@example.com");
    let login = pending(&server, &person);
    server.advance(3_500);
    let link = send(&server, &person, 1);
    // Too old for a code, not for the link.
    let detail = "Login attempt has expired. Re-enter username/password.";
    login.post("/api/login/token", json!({"token": authenticator.code(&server)})).is_invalid(
        "2fa_expired",
        detail,
        None,
    );
    check(&login, &link).is(200);
    server.advance(150);
    is_refused(check(&login, &link), 401, EXPIRED);
    is_refused(confirm(&client, &link), 401, EXPIRED);
    let again = pending(&server, &person);
    check(&again, &link).is(200);
    server.advance(3_460);
    is_refused(confirm(&again, &link), 400, INVALID);

    let session = pending(&server, &person);
    session.post("/api/login/token", json!({"token": authenticator.code(&server)})).is(200);
    let link = send(&server, &person, 2);
    confirm(&session.without_csrf(), &link).is_denied("CSRF Failed: CSRF token missing.");
    confirm(&session, &link).is(200);
    assert_eq!(session.me()["is_2fa_enabled"], false);
}

/// Spec §3.10, W-37: a link dies with a newer one and with every change of what it is for.
#[test]
fn reset_links_of_factors_die_with_what_they_were_for() {
    let server = Server::builder().mail_file().setting("limits.verify_email_address", "1000/20m").start();
    let (person, client, _) = enrolled(&server, "ada@example.com");
    let older = send(&server, &person, 1);
    server.advance(61);
    let newer = send(&server, &person, 2);
    let login = pending(&server, &person);
    is_refused(confirm(&login, &older), 400, INVALID);
    check(&login, &newer).is(200);
    // A new phone.
    client.post("/api/users/@me/two_factor_disable", json!({"current_password": person.password})).is(200);
    client.enrol(&server);
    is_refused(check(&login, &newer), 401, EXPIRED);
    is_refused(confirm(&pending(&server, &person), &newer), 400, INVALID);
    server.advance(61);
    let before_deactivation = send(&server, &person, 3);
    server.cli(&["user", "deactivate", "ada@example.com", "--reason", "left the company"]).is(0);
    server.cli(&["user", "deactivate", "ada@example.com", "--undo", "--reason", "came back"]).is(0);
    is_refused(confirm(&pending(&server, &person), &before_deactivation), 400, INVALID);
}

/// What an operator is refused, and how often a link is sent.
#[test]
fn sending_a_link_has_its_rules() {
    let server = Server::with_mail();
    let (person, _, _) = enrolled(&server, "ada@example.com");
    server.user("bob@example.com");
    let link = |email: &str, reason: &str| server.cli(&["2fa", "reset", email, "--send-link", "--reason", reason]);
    link("ada@example.com", "short").is(4);
    link("bob@example.com", "lost phone, HD-4711").is(4);
    link("nobody@example.com", "lost phone, HD-4711").is(3);
    let sent = link("ada@example.com", "lost phone, HD-4711").is(0);
    assert!(sent.out.contains("queued to ada@example.com"), "{sent:?}");
    let again = link("ada@example.com", "lost phone, HD-4711").is(4);
    assert!(again.err.contains("throttled"), "{again:?}");
    let usage = ["2fa", "reset", "ada@example.com", "--send-link", "--revoke-keys", "--reason", "lost phone, HD-4711"];
    server.cli(&usage).is(2);
    server.client().login(&person).wants_second_factor();

    let without_mail = Server::start();
    enrolled(&without_mail, "ada@example.com");
    let refused =
        without_mail.cli(&["2fa", "reset", "ada@example.com", "--send-link", "--reason", "lost phone, HD-4711"]);
    refused.is(4);
}

/// Spec §3.10, W-18, W-19: the same in a browser: the password first, then a button; nothing on GET.
#[test]
fn a_browser_resets_a_second_factor() {
    let server = Server::with_mail();
    let (person, _, _) = enrolled(&server, "ada@example.com");
    let (other, _, _) = enrolled(&server, "bob@example.com");
    let (_, token) = send(&server, &person, 1);
    let path = format!("/reset_2fa/{}/{token}", person.uuid);
    let browser = server.client();
    let submit = |fields: &[(&str, &str)]| browser.request("POST", &path).form(fields).send();
    let shows = |reply: &Reply, words: &str| assert!(reply.text.contains(words), "`{words}`: {}", reply.text);

    let page = browser.get(&path).is(200);
    shows(&page, "First show that you know your password");
    assert_eq!(page.header("referrer-policy"), "no-referrer", "{page:?}");
    shows(&submit(&[]).is(401), LOG_IN);
    shows(&submit(&[("email", &person.email), ("password", "wrong horse 1")]).is(400), "Invalid email or password.");
    let moved = submit(&[("email", &other.email), ("password", &other.password)]).is(302);
    assert_eq!(moved.header("location"), path, "{moved:?}");
    shows(&browser.get(&path).is(403), OTHER);
    submit(&[("email", &person.email), ("password", &person.password)]).is(302);
    for _ in 0..2 {
        shows(&browser.get(&path).is(200), "This removes your authenticator");
    }
    browser.request("HEAD", &path).send().is(200);
    browser.request("POST", &path).header("sec-fetch-site", "cross-site").form(&[]).send().is(403);
    server.client().login(&person).wants_second_factor();
    let done = submit(&[]).is(200);
    shows(&done, "Second factor removed");
    assert!(browser.cookie("sessionid").is_none(), "{done:?}");
    browser.get(ME).is_anonymous();
    server.login(&person);
    shows(&submit(&[("email", &person.email), ("password", &person.password)]).is(302), "");
    shows(&browser.get(&path).is(400), "This link does not work");
}
