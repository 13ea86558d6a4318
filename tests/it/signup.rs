//! Sign-up (spec §3.6, §4.1).

use serde_json::{Value, json};

use crate::harness::{Client, PASSWORD, Reply, Server};
use crate::wire::all_at_once;

const SIGNUP: &str = "/api/signup";
const ME: &str = "/api/users/@me";
const INVITES: &str = "/api/organizations/@current/invites";
const CLOSED: &str =
    "New organizations cannot be created in this instance. Contact your administrator if you think this is a mistake.";

/// A server on which the rate of sign-ups is in nobody's way.
fn server(settings: &[(&str, &str)]) -> Server {
    let builder = Server::builder().setting("limits.signup", "1000/1d");
    settings.iter().fold(builder, |builder, (name, value)| builder.setting(name, value)).start()
}

fn body(change: Value) -> Value {
    let mut body = json!({"first_name": "Ada", "email": "ada@example.com", "password": format!("{PASSWORD} of ada")});
    for (name, value) in change.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// Makes an account.
#[track_caller]
fn sign_up(client: &Client, change: Value) -> Value {
    client.post(SIGNUP, body(change)).is(201).json()
}

/// The names and order of the answer's keys.
fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Spec §3.6, §4.1, §7.4 row 34: the least that is needed; without mail the answer carries a session.
#[test]
fn without_mail_one_is_logged_in_at_once() {
    let server = server(&[]);
    let client = server.client();
    let reply = client.post(SIGNUP, body(json!({"email": " Ada@Example.COM "}))).is(201);
    assert!(reply.set_cookie("sessionid=").is_some() && reply.set_cookie("posthog_csrftoken=").is_some(), "{reply:?}");
    let made = reply.json();
    assert_eq!(
        keys(&made),
        [
            "id",
            "uuid",
            "distinct_id",
            "first_name",
            "last_name",
            "email",
            "is_email_verified",
            "hedgehog_config",
            "role_at_organization",
            "redirect_url"
        ]
    );
    let me = client.me();
    assert_eq!((&made["id"], &made["uuid"]), (&me["id"], &me["uuid"]));
    assert_eq!(
        (&made["email"], &made["first_name"], &made["last_name"]),
        (&json!("ada@example.com"), &json!("Ada"), &json!(""))
    );
    assert_eq!((&made["is_email_verified"], &made["role_at_organization"]), (&json!(false), &json!("")));
    assert_eq!((&made["hedgehog_config"], &made["redirect_url"]), (&json!(null), &json!("/")));
    assert_eq!((&me["is_staff"], &me["has_password"]), (&json!(false), &json!(true)), "W-38");

    // Login works, and the request of a mail says why it cannot.
    let other = server.client();
    other.post("/api/login", json!({"email": "ada@example.com", "password": format!("{PASSWORD} of ada")})).is(200);
    let reply = other.post("/api/users/request_email_verification", json!({"uuid": made["uuid"]})).is(400);
    assert_eq!(reply.json()["code"], "email_not_available");
    // The owner may make others owners.
    client.post(INVITES, json!({"target_email": "b@example.com", "level": 15})).is(201);
}

/// Spec §3.6, §7.4 row 34: everything that can be said.
#[test]
fn everything_said_is_kept() {
    let server = server(&[]);
    let client = server.client();
    let made = sign_up(
        &client,
        json!({
            "last_name": " Lovelace ", "organization_name": "Analytical Engines", "role_at_organization": "Poetess",
            "referral_source": "a friend", "next_url": "/insights?a=b", "unknown": [1],
        }),
    );
    assert_eq!((&made["last_name"], &made["role_at_organization"]), (&json!("Lovelace"), &json!("Poetess")));
    assert_eq!(made["redirect_url"], "/insights?a=b");
    let invite = client.post(INVITES, json!({"target_email": "b@example.com"})).is(201).json();
    let found = server.client().get(&format!("/api/signup/{}", invite["id"].as_str().unwrap())).is(200).json();
    assert_eq!(found["organization_name"], "Analytical Engines");

    // The default name, and a form as the body.
    let client = server.client();
    let fields = [("first_name", "Grace"), ("email", "grace@example.com"), ("password", "tugboat lantern quarry 5")];
    client.request("POST", SIGNUP).form(&fields).send().is(201);
    let invite = client.post(INVITES, json!({"target_email": "b@example.com"})).is(201).json();
    let found = server.client().get(&format!("/api/signup/{}", invite["id"].as_str().unwrap())).is(200).json();
    assert_eq!(found["organization_name"], "Grace's Organization");

    // An account that no password opens.
    let client = server.client();
    sign_up(&client, json!({"email": "sso@example.com", "password": null}));
    assert_eq!(client.me()["has_password"], false);
}

/// Spec §3.6, §4.1, §4.10, §7.4 row 34, W-25: with mail there is no session before the address is verified.
#[test]
fn with_mail_the_address_is_verified_first() {
    let server = server(&[("email.transport", "file")]);
    let client = server.client();
    let reply = client.post(SIGNUP, body(json!({"next_url": "/a?b=c"}))).is(201);
    assert!(reply.set_cookie("").is_none(), "{reply:?}");
    let made = reply.json();
    let uuid = made["uuid"].as_str().unwrap();
    assert_eq!(made["redirect_url"], format!("/verify_email/{uuid}?next=/a%3Fb%3Dc"));
    assert_eq!(made["is_email_verified"], false);
    client.get(ME).is_anonymous();
    let credentials = json!({"email": "ada@example.com", "password": format!("{PASSWORD} of ada")});
    let detail = "Your account is awaiting verification. Please check your email for a verification link.";
    client.post("/api/login", credentials.clone()).is_invalid("not_verified", detail, None);

    let mail = server.wait_for_mails("ada@example.com", "Verify your email address", 2).pop().unwrap();
    client.post("/api/users/verify_email", json!({"uuid": uuid, "token": mail.token()})).is(200);
    assert_eq!(client.me()["is_email_verified"], true);
    server.client().post("/api/login", credentials).is(200);

    let made = sign_up(&server.client(), json!({"email": "b@example.com"}));
    assert_eq!(made["redirect_url"], format!("/verify_email/{}", made["uuid"].as_str().unwrap()));
}

/// Spec §3.6, §7.4 row 34: only paths of this site lead on.
#[test]
fn the_next_page_is_on_this_site() {
    let server = server(&[]);
    for (number, next) in
        ["//evil.example", "https://evil.example", "javascript:alert(1)", "/\\evil.example", "insights", ""]
            .into_iter()
            .enumerate()
    {
        let email = format!("a{number}@example.com");
        let made = sign_up(&server.client(), json!({"email": email, "next_url": next}));
        assert_eq!(made["redirect_url"], "/", "{next}");
    }
}

/// Spec §3.6, §2.4, §1.5, §7.4 row 34: the first problem in the order of the table.
#[test]
fn each_field_has_its_rules() {
    let server = server(&[]);
    let post = |change: Value| server.client().post(SIGNUP, body(change));
    let long = "a".repeat(129);
    for name in ["first_name", "email", "password"] {
        let mut body = body(json!({}));
        body.as_object_mut().unwrap().remove(name);
        server.client().post(SIGNUP, body).is_required(name);
    }
    for name in ["first_name", "last_name", "email", "organization_name", "role_at_organization"] {
        post(json!({name: null})).is_invalid("null", "This field may not be null.", Some(name));
    }
    for name in ["first_name", "email", "password"] {
        post(json!({name: ""})).is_invalid("blank", "This field may not be blank.", Some(name));
    }
    let too_long = "Ensure this field has no more than 128 characters.";
    for name in ["first_name", "last_name", "organization_name", "role_at_organization", "password"] {
        post(json!({name: long})).is_invalid("max_length", too_long, Some(name));
    }
    let detail = "Enter a valid email address.";
    post(json!({"email": "ada", "password": "a"})).is_invalid("invalid_input", detail, Some("email"));
    for (name, value, code) in [
        ("first_name", "Ada\nLovelace", "invalid_control_char"),
        ("last_name", "a\u{202e}", "invalid_invisible_char"),
        ("last_name", "<b>", "invalid_bracket"),
        ("organization_name", "win at evil.com", "invalid_url"),
    ] {
        let error = post(json!({name: value})).is(400).json();
        assert_eq!((&error["code"], &error["attr"]), (&json!(code), &json!(name)), "{error}");
    }
    assert_eq!(server.cli(&["user", "list", "--json"]).json()["rows"], json!([]), "W-23: nobody was made");
}

/// Spec §2.5, §3.6, §7.4 row 34: the codes of sign-up.
#[test]
fn weak_passwords_have_codes_of_their_own() {
    let server = server(&[]);
    let post = |password: &str, change: Value| {
        let mut body = body(change);
        body["password"] = password.into();
        server.client().post(SIGNUP, body)
    };
    let detail = "This password is too short. It must contain at least 8 characters.";
    post("short", json!({})).is_invalid("password_too_short", detail, Some("password"));
    let detail = "Add another word or two. Uncommon words are better.";
    for weak in ["password", "12345678"] {
        post(weak, json!({})).is_invalid("password_too_weak", detail, Some("password"));
    }
    // A weak password is told before what is wrong behind it, and the own words make it weak.
    let long = "a".repeat(129);
    post("12345678", json!({"organization_name": long})).is_invalid("password_too_weak", detail, Some("password"));
    let known = json!({"organization_name": "Quartzlantern", "last_name": "Zymurgyst"});
    for own in ["quartzlantern", "zymurgyst1"] {
        let error = post(own, known.clone()).is(400).json();
        assert_eq!(error["code"], "password_too_weak", "{own}");
    }
}

/// Spec §3.6, §7.4 row 34, W-20: an address has one account, in whatever case it is written.
#[test]
fn a_taken_address_is_refused() {
    let server = server(&[("email.transport", "file")]);
    server.user("ada@example.com");
    let detail = "There is already an account with this email address.";
    server.client().post(SIGNUP, body(json!({"email": "ADA@example.com"}))).is_invalid("unique", detail, Some("email"));
    assert_eq!(server.count_mails("ada@example.com", "", "w@example.com"), 0);
}

/// Spec §5 (row 13), §3.6.
#[test]
fn plus_addresses_can_be_refused() {
    let server = server(&[("email.allow_plus_addresses", "false")]);
    let error = server.client().post(SIGNUP, body(json!({"email": "ada+1@example.com"}))).is(400).json();
    assert_eq!((&error["code"], &error["attr"]), (&json!("plus_addressing_not_allowed"), &json!("email")));
}

/// Spec §3.6: an instance that is closed for new organizations.
#[test]
fn a_closed_instance_makes_no_organizations() {
    let server = server(&[("signup.enabled", "false")]);
    server.client().post(SIGNUP, body(json!({}))).is_anonymous();
    let (_, client) = server.logged_in("grace@example.com");
    client.post(SIGNUP, body(json!({}))).is_denied(CLOSED);
}

/// Spec §5 (`signup.allow_multiple_organizations`): one organization, by sign-up as well.
#[test]
fn there_can_be_one_organization_only() {
    let server = server(&[("signup.allow_multiple_organizations", "false")]);
    let clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
    let post = |(number, client): (usize, &Client)| {
        let email = format!("a{number}@example.com");
        (client.clone(), client.request("POST", SIGNUP).json(body(json!({"email": email}))))
    };
    let answers = all_at_once(&server, clients.iter().enumerate().map(post).collect());
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 401, 401, 401]);
    server.client().post(SIGNUP, body(json!({}))).is_anonymous();
}

/// Spec §1.11: five a day from one address, whatever comes of them.
#[test]
fn five_a_day_are_enough() {
    let server = Server::start();
    for number in 0..4 {
        sign_up(&server.client(), json!({"email": format!("a{number}@example.com")}));
    }
    server.client().post(SIGNUP, json!({})).is(400);
    server.client().post(SIGNUP, body(json!({}))).is_throttled();
    server.advance(86_400);
    sign_up(&server.client(), json!({}));
}

/// W-38: the first becomes staff only where the setting says so.
#[test]
fn the_first_user_is_staff_where_that_is_wanted() {
    let server = server(&[("signup.first_user_is_staff", "true")]);
    for (email, is_staff) in [("a@example.com", true), ("b@example.com", false)] {
        let client = server.client();
        sign_up(&client, json!({"email": email}));
        assert_eq!(client.me()["is_staff"], is_staff);
    }
}

/// Spec §1.7, §3.6: whoever is logged in may make another account; without mail the session becomes its own.
#[test]
fn a_second_account_takes_the_session_over() {
    let server = server(&[]);
    let (_, client) = server.logged_in("grace@example.com");
    let old = client.copy();
    client.without_csrf().post(SIGNUP, body(json!({}))).is(403);
    sign_up(&client, json!({}));
    assert_eq!(client.me()["email"], "ada@example.com");
    old.get(ME).is_anonymous();
}

/// Spec §4.11: what the trail says of a sign-up.
#[test]
fn the_trail_knows_sign_ups() {
    let server = server(&[("email.transport", "file")]);
    sign_up(&server.client(), json!({}));
    let rows = server.cli(&["audit", "list", "--user", "ada@example.com", "--json"]).json();
    let events: Vec<&str> = rows["rows"].as_array().unwrap().iter().map(|row| row["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["member.joined", "user.signed_up"]);
    let text = server.cli(&["audit", "list"]).is(0).out;
    assert!(text.contains("user.signed_up") && text.contains("ada@example.com"), "{text}");
}

/// Spec §3.6: two at once with one address: one account.
#[test]
fn two_at_once_make_one_account() {
    let server = server(&[]);
    let clients: Vec<Client> = (0..8).map(|_| server.client()).collect();
    let post = |client: &Client| (client.clone(), client.request("POST", SIGNUP).json(body(json!({}))));
    let answers = all_at_once(&server, clients.iter().map(post).collect());
    let count = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(201), count(400)), (1, 7), "{answers:?}");
    assert_eq!(server.cli(&["user", "list", "--json"]).json()["rows"].as_array().unwrap().len(), 1);
}

// ---- the page ---------------------------------------------------------------------------------------------------

#[track_caller]
fn has(reply: Reply, status: u16, words: &str) -> Reply {
    let reply = reply.is(status);
    assert_eq!(reply.header("referrer-policy"), "no-referrer", "W-19");
    assert!(reply.text.contains(words), "`{words}` is not on the page:\n{}", reply.text);
    reply
}

fn submit(client: &Client, fields: &[(&str, &str)]) -> Reply {
    client.request("POST", "/signup").form(fields).send()
}

/// Spec §3.6: people sign up with a browser.
#[test]
fn a_page_makes_an_account() {
    let password = format!("{PASSWORD} of ada");
    let fields = [("first_name", "Ada"), ("email", "ada@example.com"), ("password", password.as_str())];
    let without_mail = server(&[]);
    without_mail.secret(&password);
    let browser = without_mail.client();
    has(browser.get("/signup"), 200, "autocomplete=\"new-password\"");
    let page = has(submit(&browser, &[("first_name", "Ada"), ("email", "x")]), 400, "Enter a valid email address.");
    assert!(page.text.contains("value=\"Ada\""), "{page:?}");
    has(submit(&browser, &fields), 200, "You are logged in");
    assert_eq!(browser.me()["email"], "ada@example.com");

    let with_mail = server(&[("email.transport", "file")]);
    let browser = with_mail.client();
    let page = has(submit(&browser, &fields), 200, "Look into your mailbox");
    assert!(page.set_cookie("").is_none(), "{page:?}");
    with_mail.wait_for_mail("ada@example.com", "Verify your email address");
}

/// Spec §3.6: the page says so when sign-up is closed.
#[test]
fn the_page_may_be_closed() {
    let server = server(&[("signup.enabled", "false")]);
    has(server.client().get("/signup"), 403, "Sign-up is closed");
    has(submit(&server.client(), &[("first_name", "Ada")]), 403, "Sign-up is closed");
    let browser = server.client();
    let post = browser.request("POST", "/signup").header("sec-fetch-site", "cross-site").form(&[]).send();
    post.is(403);
}
