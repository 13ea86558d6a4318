//! Spec §3.7, §4.7: a password is forgotten and set anew, through the API and in a browser.

use serde_json::json;

use crate::harness::{Client, PASSWORD, Person, Reply, Server};

const RESET: &str = "/api/reset";
const ME: &str = "/api/users/@me";
const SUBJECT: &str = "Reset your Doorward password";

fn ask(server: &Server, email: &str) -> Reply {
    server.client().post(RESET, json!({"email": email}))
}

/// The API's path of the newest link of so many, and its token.
fn link(server: &Server, person: &Person, count: usize) -> (String, String) {
    let mails = server.wait_for_mails(&person.email, SUBJECT, count);
    let mail = mails.last().unwrap();
    assert!(mail.link().contains(&format!("/reset/{}/", person.uuid)), "{mail:?}");
    server.secret(mail.token());
    (format!("{RESET}/{}", person.uuid), mail.token().to_owned())
}

fn check(server: &Server, (api, token): &(String, String)) -> Reply {
    server.client().get(&format!("{api}?token={token}"))
}

#[track_caller]
fn is_invalid(reply: Reply) {
    reply.is_invalid("invalid_token", "This reset token is invalid or has expired.", Some("token"));
}

/// Spec §3.7, §4.7, §7.4 row 36: asked for, looked at, refused when weak, set, dead. Keys and the second factor stay.
#[test]
fn a_forgotten_password_is_set_anew() {
    let server = Server::with_mail();
    let (person, client) = server.logged_in("ada@example.com");
    let mut authenticator = client.enrol(&server);
    let key = server.key_of(&client, &["user:read"]);
    let reply = ask(&server, " Ada@EXAMPLE.com ").is_body(204, "");
    assert!(reply.set_cookie("").is_none() && reply.header("cache-control") == "no-store", "{reply:?}");
    let found = link(&server, &person, 1);
    let reply = check(&server, &found).is_body(200, "");
    assert_eq!((reply.header("content-length"), reply.header("content-type")), ("0", ""), "{reply:?}");
    let (api, token) = &found;
    for (bad, detail) in [
        ("short", "This password is too short. It must contain at least 8 characters."),
        ("password", "Add another word or two. Uncommon words are better."),
    ] {
        let refused = server.client().post(api, json!({"token": token, "password": bad}));
        refused.is_invalid("invalid_input", detail, Some("password"));
    }
    check(&server, &found).is(200);
    let password = format!("{PASSWORD} anew");
    let set = server.client().post(api, json!({"token": token, "password": password}));
    let set = set.is_body(200, r#"{"success":true,"email":"ada@example.com"}"#);
    assert!(set.set_cookie("").is_none(), "not logged in: {set:?}");
    is_invalid(server.client().post(api, json!({"token": token, "password": password})));
    is_invalid(check(&server, &found));
    client.get(ME).is_anonymous();
    key.get(ME).is(200);
    server.wait_for_mail("ada@example.com", "Your password has been changed");

    server.client().login(&person).is_invalid("invalid_credentials", "Invalid email or password.", None);
    let login = server.client();
    login.login(&Person { password, ..person }).wants_second_factor();
    login.post("/api/login/token", json!({"token": authenticator.code(&server)})).is(200);
    let events = server.cli(&["audit", "list", "--user", "ada@example.com", "--json"]).json();
    let events: Vec<&str> = events["rows"].as_array().unwrap().iter().filter_map(|row| row["event"].as_str()).collect();
    for event in ["user.password_reset_requested", "user.password_reset"] {
        assert!(events.contains(&event), "{events:?}");
    }
}

/// Spec §3.7, §7.4 row 36; W-20: nobody learns whether there is an account, and nobody but its owner gets a mail.
#[test]
fn strangers_learn_nothing_from_a_reset() {
    let server = Server::with_mail();
    server.user("ada@example.com");
    server.user("bob@example.com");
    server.cli(&["user", "deactivate", "bob@example.com", "--reason", "left the company"]).is(0);
    for email in ["nobody@example.com", "bob@example.com", "ada@example.com"] {
        let reply = ask(&server, email).is_body(204, "");
        assert!(reply.set_cookie("").is_none(), "{reply:?}");
    }
    server.wait_for_mail("ada@example.com", SUBJECT);
    assert_eq!(server.mails().len(), 1);
    for (body, code) in [
        (json!({}), "required"),
        (json!({"email": ""}), "blank"),
        (json!({"email": null}), "null"),
        (json!({"email": "nonsense"}), "invalid_input"),
        (json!({"email": ["ada@example.com"]}), "invalid_input"),
    ] {
        let reply = server.client().post(RESET, body).is(400).json();
        assert_eq!((&reply["code"], &reply["attr"]), (&json!(code), &json!("email")));
    }
}

/// Spec §3.7, §7.4 row 36.
#[test]
fn without_mail_no_password_is_reset() {
    let server = Server::start();
    server.user("ada@example.com");
    let detail =
        "Cannot reset passwords because email is not configured for your instance. Please contact your administrator.";
    for email in ["ada@example.com", "nobody@example.com"] {
        ask(&server, email).is_invalid("email_not_available", detail, None);
    }
}

/// Spec §1.11, §3.7, §7.4 row 36: six a day, for each address by itself, whether it is somebody's or not; a restart
/// forgets nothing.
#[test]
fn the_seventh_reset_of_a_day_is_throttled() {
    let mut server = Server::with_mail();
    let person = server.user("ada@example.com");
    for email in ["ada@example.com", "nobody@example.com"] {
        for _ in 0..3 {
            ask(&server, email).is(204);
            ask(&server, &email.to_uppercase()).is(204);
        }
    }
    for email in ["ada@example.com", "ADA@example.com", "nobody@example.com"] {
        ask(&server, email).is_throttled();
    }
    ask(&server, "carol@example.com").is(204);
    link(&server, &person, 6);
    server.stop();
    server.start_again();
    ask(&server, "ada@example.com").is_throttled();
    server.advance(86_401);
    ask(&server, "ada@example.com").is(204);
    link(&server, &person, 7);
}

/// Spec §1.11, W-35: other addresses in the body do not avoid the limit.
#[test]
fn resets_are_limited_by_client_address_too() {
    let server = Server::builder().mail_file().setting("limits.password_reset_request_address", "3/1d").start();
    for number in 0..3 {
        ask(&server, &format!("nobody{number}@example.com")).is(204);
    }
    ask(&server, "somebody@example.com").is_throttled();
}

/// Spec §3.7, §7.4 row 36; W-37: a link dies of age, with a newer one and with every change of what it could replace: a login, an address, a
/// second factor, the sessions.
#[test]
fn reset_links_die_with_what_they_were_for() {
    let server = Server::builder().mail_file().setting("limits.password_reset_request", "100/1d").start();
    let (person, client) = server.logged_in("ada@example.com");
    let mut count = 0;
    let mut fresh = || {
        ask(&server, "ada@example.com").is(204);
        count += 1;
        let found = link(&server, &person, count);
        check(&server, &found).is(200);
        found
    };
    let older = fresh();
    let newer = fresh();
    is_invalid(check(&server, &older));
    check(&server, &newer).is(200);
    server.login(&person);
    is_invalid(check(&server, &newer));

    let before_enrolment = fresh();
    client.enrol(&server);
    is_invalid(check(&server, &before_enrolment));
    let before_disabling = fresh();
    client.post("/api/users/@me/two_factor_disable", json!({"current_password": person.password})).is(200);
    is_invalid(check(&server, &before_disabling));
    let before_revocation = fresh();
    server.cli(&["session", "revoke", "ada@example.com", "--all", "--yes", "--reason", "stolen laptop"]).is(0);
    is_invalid(check(&server, &before_revocation));
    let before_deactivation = fresh();
    server.cli(&["user", "deactivate", "ada@example.com", "--reason", "left the company"]).is(0);
    server.cli(&["user", "deactivate", "ada@example.com", "--undo", "--reason", "came back"]).is(0);
    is_invalid(check(&server, &before_deactivation));
    let foreign = fresh();
    let other = server.user("bob@example.com");
    is_invalid(check(&server, &(format!("{RESET}/{}", other.uuid), foreign.1.clone())));
    check(&server, &foreign).is(200);
    server.advance(86_401);
    is_invalid(check(&server, &foreign));
}

fn submit(client: &Client, path: &str, fields: &[(&str, &str)]) -> Reply {
    client.request("POST", path).form(fields).send()
}

/// Spec §3.7: the same in a browser, from the question to the login.
#[test]
fn a_browser_resets_a_password() {
    let server = Server::with_mail();
    let person = server.user("ada@example.com");
    let browser = server.client();
    let page = browser.get("/reset").is(200);
    assert!(page.text.contains("Forgotten your password?") && page.text.contains("name=\"email\""), "{}", page.text);
    let wrong = submit(&browser, "/reset", &[("email", "<b>nonsense")]).is(400);
    assert!(wrong.text.contains("Enter a valid email address.") && !wrong.text.contains("<b>"), "{}", wrong.text);
    let unknown = submit(&browser, "/reset", &[("email", "nobody@example.com")]).is(200);
    let known = submit(&browser, "/reset", &[("email", "ada@example.com")]).is(200);
    assert!(known.text.contains("Look into your mailbox"), "{}", known.text);
    let without_nonce = |text: &str| text.lines().filter(|line| !line.contains("nonce")).collect::<String>();
    assert_eq!(without_nonce(&known.text), without_nonce(&unknown.text));

    let (_, token) = link(&server, &person, 1);
    let path = format!("/reset/{}/{token}", person.uuid);
    let page = browser.get(&path).is(200);
    assert!(page.text.contains("Choose a new password"), "{}", page.text);
    let password = format!("{PASSWORD} anew");
    let page = submit(&browser, &path, &[("password", &password)]).is(200);
    assert!(page.text.contains("Your new password is set") && page.set_cookie("").is_none(), "{page:?}");
    let dead = browser.get(&path).is(400);
    assert!(dead.text.contains("Ask for a new link</a>"), "{}", dead.text);
    server.login(&Person { password, ..person });
}

/// W-20: what was promised with an answer is done, also when the server stops at once.
#[test]
fn a_stop_waits_for_what_was_promised() {
    let mut server = Server::with_mail();
    let person = server.user("ada@example.com");
    ask(&server, "ada@example.com").is(204);
    server.stop();
    server.start_again();
    let found = link(&server, &person, 1);
    check(&server, &found).is(200);
}
