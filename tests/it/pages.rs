//! The pages that links lead to (W-19, W-38), as a browser without scripts uses them.

use serde_json::json;

use crate::harness::{Client, PASSWORD, Reply, Server, wait_for};

const ME: &str = "/api/users/@me";

/// The path of a link that the server gave out.
fn path(link: &str) -> String {
    let (_, path) = link.split_once("://").unwrap().1.split_once('/').unwrap();
    format!("/{path}")
}

/// A page, with the headers that all of them have.
#[track_caller]
fn is_page(reply: Reply, status: u16, words: &str) -> Reply {
    let reply = reply.is(status);
    assert_eq!(reply.header("content-type"), "text/html; charset=utf-8", "{reply:?}");
    assert_eq!(reply.header("referrer-policy"), "no-referrer", "W-19: {reply:?}");
    assert_eq!(reply.header("cache-control"), "no-store", "{reply:?}");
    assert_eq!(reply.header("x-content-type-options"), "nosniff", "{reply:?}");
    let policy = reply.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(reply.text.contains(words), "`{words}` is not on the page:\n{}", reply.text);
    assert!(!reply.text.contains("<script"), "{}", reply.text);
    reply
}

fn submit(client: &Client, path: &str, fields: &[(&str, &str)]) -> Reply {
    client.request("POST", path).form(fields).send()
}

/// Spec §3.3, W-19: mail scanners follow links, so only the button verifies.
#[test]
fn looking_at_the_verification_page_verifies_nothing() {
    let server = Server::with_mail();
    let person = server.person("ada@example.com", &[]);
    server.client().post("/api/users/request_email_verification", json!({"uuid": person.uuid})).is(200);
    let link = path(server.wait_for_mail("ada@example.com", "Verify").link());
    for _ in 0..3 {
        let page = is_page(server.client().get(&link), 200, "Confirm your e-mail address");
        assert!(page.set_cookie("").is_none(), "{page:?}");
        server.client().request("HEAD", &link).send().is(200);
    }

    // The token still works, so nothing was verified: a verified address kills it.
    let browser = server.client();
    let page = is_page(submit(&browser, &link, &[]), 200, "Your e-mail address is confirmed");
    assert!(page.set_cookie("sessionid=").is_some(), "{page:?}");
    assert_eq!(browser.me()["is_email_verified"], true);
    is_page(submit(&server.client(), &link, &[]), 400, "This verification token is invalid or has expired.");
    server.login(&person);
}

/// Spec §3.3, W-18: the page is no way round the second factor.
#[test]
fn the_verification_page_asks_for_the_second_factor() {
    let server = Server::with_mail();
    let (_, client) = server.logged_in("ada@example.com");
    client.enrol(&server);
    client.patch(ME, json!({"email": "new@example.com"})).is(200);
    let link = path(server.wait_for_mail("new@example.com", "Verify").link());
    let page = is_page(submit(&server.client(), &link, &[]), 200, "You can log in now");
    assert!(page.set_cookie("").is_none(), "{page:?}");
}

/// A page of another site cannot press the button.
#[test]
fn other_sites_cannot_submit_a_page() {
    let server = Server::with_mail();
    let person = server.person("ada@example.com", &[]);
    server.client().post("/api/users/request_email_verification", json!({"uuid": person.uuid})).is(200);
    let link = path(server.wait_for_mail("ada@example.com", "Verify").link());
    let post = |name: &str, value: &str| server.client().request("POST", &link).header(name, value).form(&[]).send();
    post("sec-fetch-site", "cross-site").is(403);
    post("sec-fetch-site", "same-site").is(403);
    post("origin", "https://evil.example").is(403);
    post("sec-fetch-site", "same-origin").is(200);
}

/// Spec §3.7: an account made without a password gets a link that sets one, once.
#[test]
fn the_link_of_a_new_account_sets_a_password_once() {
    let server = Server::start();
    let made = server.cli(&["user", "create", "--email", "ada@example.com", "--verified", "--json"]).json();
    let link = path(made["set_password_link"].as_str().unwrap());
    let token = link.rsplit('/').next().unwrap();
    server.secret(token);
    assert_eq!(made["has_password"], false);
    let password = format!("{PASSWORD} of ada");

    is_page(server.client().get(&link), 200, "Choose a new password");
    is_page(submit(&server.client(), &link, &[("password", "short")]), 400, "This password is too short.");
    is_page(submit(&server.client(), &link, &[]), 400, "This field is required.");
    let page = is_page(submit(&server.client(), &link, &[("password", &password)]), 200, "Your new password is set");
    assert!(page.set_cookie("").is_none(), "not logged in: {page:?}");
    let login = server.client();
    login.post("/api/login", json!({"email": "ada@example.com", "password": password})).is(200);
    assert_eq!(login.me()["has_password"], true);
    for reply in [server.client().get(&link), submit(&server.client(), &link, &[("password", &password)])] {
        is_page(reply, 400, "This reset token is invalid or has expired.");
    }
}

/// Spec §3.7, §7.4 row 36: the same link through the API: looked at, refused, used, dead.
#[test]
fn a_reset_token_works_through_the_api() {
    let server = Server::builder().setting("limits.verify_email", "1000/20m").start();
    let made = server.cli(&["user", "create", "--email", "ada@example.com", "--verified", "--json"]).json();
    let (api, token) = api_of(&made);
    let client = server.client();
    let check = |token: &str| client.get(&format!("{api}?token={token}"));
    let invalid = |reply: Reply| {
        reply.is_invalid("invalid_token", "This reset token is invalid or has expired.", Some("token"));
    };
    let reply = check(&token).is_body(200, "");
    assert_eq!((reply.header("content-length"), reply.header("cache-control")), ("0", "no-store"), "{reply:?}");
    client.get(&api).is_required("token");
    invalid(check("nonsense"));
    invalid(client.get(&format!("/api/reset/nonsense?token={token}")));
    client.post(&api, json!({})).is_required("token");
    invalid(client.post(&api, json!({"token": "nonsense", "password": "short"})));
    client.post(&api, json!({"token": token})).is_required("password");
    let weak = client.post(&api, json!({"token": token, "password": "short"}));
    let detail = "This password is too short. It must contain at least 8 characters.";
    weak.is_invalid("invalid_input", detail, Some("password"));
    check(&token).is(200);
    let password = format!("{PASSWORD} of ada");
    let reply = client.post(&api, json!({"token": token, "password": password}));
    let reply = reply.is_body(200, r#"{"success":true,"email":"ada@example.com"}"#);
    assert!(reply.set_cookie("").is_none(), "{reply:?}");
    invalid(check(&token));
    invalid(client.post(&api, json!({"token": token, "password": password})));
}

/// Spec §3.7, §4.7, §7.4 row 36; W-37: a token dies of age, of a password set another way, and of deactivation.
#[test]
fn reset_tokens_die() {
    let server = Server::builder().setting("limits.verify_email", "1000/20m").start();
    let create = |email: &str| {
        let made = server.cli(&["user", "create", "--email", email, "--verified", "--json"]).json();
        let (api, token) = api_of(&made);
        server.client().get(&format!("{api}?token={token}")).is(200);
        (api, token)
    };
    let is_dead = |(api, token): (String, String)| drop(server.client().get(&format!("{api}?token={token}")).is(400));
    let other_password = create("ada@example.com");
    let set = ["user", "set", "ada@example.com", "--password-stdin"];
    server.cli_with_input(&set, &format!("{PASSWORD} of ada\n")).is(0);
    is_dead(other_password);
    let deactivated = create("bob@example.com");
    server.cli(&["user", "deactivate", "bob@example.com", "--reason", "left the company"]).is(0);
    is_dead(deactivated);
    let old = create("eve@example.com");
    server.advance(86_401);
    is_dead(old);
}

/// The API's path of a set-password link, and its token.
fn api_of(made: &serde_json::Value) -> (String, String) {
    let link = path(made["set_password_link"].as_str().unwrap());
    let (page, token) = link.rsplit_once('/').unwrap();
    (format!("/api{page}"), token.to_owned())
}

/// The paths of the links that first starts have printed, as soon as there are so many.
fn setup_links(server: &Server, count: usize) -> Vec<String> {
    wait_for("the set-up link", || {
        // The route in the lines about requests is no link.
        let log = server.log();
        let words = log.split_whitespace().filter(|word| word.starts_with("http") && word.contains("/setup/"));
        let links: Vec<String> = words.map(path).collect();
        (links.len() >= count).then_some(links)
    })
}

/// W-38: whoever starts the server makes the first staff account, once.
#[test]
fn the_setup_link_works_once() {
    let server = Server::start();
    let link = setup_links(&server, 1).remove(0);
    let password = format!("{PASSWORD} of ada");
    let fields = |email: &'static str| [("email", email), ("first_name", "Ada"), ("password", password.as_str())];
    is_page(server.client().get(&link), 200, "Make the first staff account");
    is_page(
        submit(&server.client(), "/setup/nonsense", &fields("eve@example.com")),
        400,
        "invalid, used, or more than an hour old",
    );
    let weak = [("email", "ada@example.com"), ("password", "short")];
    let page = is_page(submit(&server.client(), &link, &weak), 400, "This password is too short.");
    assert!(page.text.contains("ada@example.com"), "what was typed is still there: {}", page.text);
    is_page(submit(&server.client(), &link, &fields("ada@example.com")), 200, "The first staff account is made");

    let login = server.client();
    login.post("/api/login", json!({"email": "ada@example.com", "password": password})).is(200);
    let me = login.me();
    assert_eq!(
        (&me["is_staff"], &me["is_email_verified"], &me["first_name"]),
        (&json!(true), &json!(true), &json!("Ada"))
    );
    is_page(
        submit(&server.client(), &link, &fields("eve@example.com")),
        400,
        "invalid, used, or more than an hour old",
    );
}

/// W-38: once there is a user the link is dead, and after an hour too; another start without users makes a new one.
#[test]
fn the_setup_link_dies() {
    let mut server = Server::start();
    let link = setup_links(&server, 1).remove(0);
    let fields = [("email", "eve@example.com"), ("password", PASSWORD)];
    server.advance(3_601);
    is_page(submit(&server.client(), &link, &fields), 400, "invalid, used, or more than an hour old");
    server.stop();
    server.start_again();
    let newest = setup_links(&server, 2).remove(1);
    assert_ne!(newest, link);
    server.user("ada@example.com");
    is_page(submit(&server.client(), &newest, &fields), 400, "invalid, used, or more than an hour old");
    server.stop();
    server.start_again();
    server.stop();
    assert_eq!(setup_links(&server, 2).len(), 2, "there is somebody now");
}

/// The start page, and what is nowhere.
#[test]
fn the_start_page_says_what_this_is() {
    let server = Server::start();
    is_page(server.client().get("/"), 200, "This is Doorward");
    for path in ["/nothing", "/verify_email", "/reset/a", "/setup", "/static/app.js"] {
        server.client().get(path).is_not_found();
    }
    let page = server.client().request("DELETE", "/").send().is(405);
    assert!(page.header("allow").contains("GET"), "{page:?}");
}
