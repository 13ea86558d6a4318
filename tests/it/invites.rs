//! Invites: made, listed, deleted, accepted (spec §2.9, §3.6, §3.9).

use serde_json::{Value, json};

use crate::harness::{Client, PASSWORD, Reply, Server};
use crate::wire::all_at_once;

const ME: &str = "/api/users/@me";
const INVITES: &str = "/api/organizations/@current/invites";
const UNKNOWN: &str = "The provided invite ID is not valid.";
const USED: &str = "This invite has already been used.";

fn server(settings: &[(&str, &str)]) -> Server {
    let builder = Server::builder().setting("limits.signup", "1000/1d");
    settings.iter().fold(builder, |builder, (name, value)| builder.setting(name, value)).start()
}

fn password(email: &str) -> String {
    format!("{PASSWORD} of {email}")
}

/// The owner of an organization of that name.
#[track_caller]
fn owner(server: &Server, email: &str, organization: &str) -> Client {
    let client = server.client();
    let body = json!({
        "first_name": "Grace", "last_name": "Hopper", "email": email, "password": password(email),
        "organization_name": organization,
    });
    let made = client.post("/api/signup", body).is(201).json();
    if made["redirect_url"] != "/" {
        let mail = server.wait_for_mail(email, "Verify your email address");
        client.post("/api/users/verify_email", json!({"uuid": made["uuid"], "token": mail.token()})).is(200);
    }
    client
}

/// Makes an invite; its path for whoever accepts it.
#[track_caller]
fn invite(client: &Client, body: Value) -> String {
    let made = client.post(INVITES, body).is(201).json();
    format!("/api/signup/{}", made["id"].as_str().unwrap())
}

/// A new member of this level.
#[track_caller]
fn member(server: &Server, owner: &Client, email: &str, level: u8) -> Client {
    let path = invite(owner, json!({"target_email": email, "level": level, "send_email": false}));
    let (_, client) = server.logged_in(email);
    client.post(&path, json!({})).is(201);
    client
}

fn stranger() -> Value {
    json!({"first_name": "Ada", "password": password("ada")})
}

/// The addresses of the organization's invites, newest first.
#[track_caller]
fn invited(client: &Client) -> Vec<String> {
    let page = client.get(INVITES).is(200).json();
    assert_eq!(page["count"], page["results"].as_array().unwrap().len());
    let address = |invite: &Value| invite["target_email"].as_str().unwrap().to_owned();
    page["results"].as_array().unwrap().iter().map(address).collect()
}

/// The ids of the paths of the invites.
fn id(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

/// Spec §2.9, §3.9: the object, with all that can be said.
#[test]
fn an_invite_has_every_field() {
    let server = server(&[]);
    let client = owner(&server, "grace@example.com", "Engines");
    let made = client.post(INVITES, json!({"target_email": " Ada@Example.COM "})).is(201).json();
    let keys: Vec<&str> = made.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "id",
            "target_email",
            "first_name",
            "emailing_attempt_made",
            "level",
            "is_expired",
            "created_by",
            "created_at",
            "updated_at",
            "message",
            "private_project_access"
        ]
    );
    assert_eq!(
        (&made["target_email"], &made["first_name"], &made["level"], &made["is_expired"], &made["message"]),
        (&json!("ada@example.com"), &json!(""), &json!(1), &json!(false), &json!(null))
    );
    assert_eq!(made["emailing_attempt_made"], false, "there is no mail");
    assert_eq!(made["created_by"]["email"], "grace@example.com");
    assert_eq!(made["private_project_access"], json!([]));
    assert!(made["created_at"].as_str().unwrap().ends_with('Z'), "{made}");

    let project = client.get(INVITES).is(200).json()["results"][0].clone();
    assert_eq!(project, made);
    let body = json!({
        "target_email": "b@example.com", "first_name": "Bob", "level": 15, "message": "Welcome!", "is_expired": true,
        "private_project_access": [{"id": 1, "level": "admin"}], "send_email": false, "combine_pending_invites": true,
    });
    let made = client.post(INVITES, body).is(201).json();
    assert_eq!(
        (&made["first_name"], &made["level"], &made["message"]),
        (&json!("Bob"), &json!(15), &json!("Welcome!"))
    );
    assert_eq!(made["private_project_access"], json!([{"id": 1, "level": "admin"}]));
    assert_eq!(made["is_expired"], false);
    server.advance(3 * 86_400);
    client.post("/api/login", json!({"email": "grace@example.com", "password": password("grace@example.com")})).is(200);
    assert_eq!(client.get(INVITES).is(200).json()["results"][0]["is_expired"], true);
}

/// Spec §3.9: the invite errors.
#[test]
fn what_cannot_be_invited() {
    let server = server(&[("email.allow_plus_addresses", "false")]);
    let client = owner(&server, "grace@example.com", "Engines");
    let other = owner(&server, "eve@example.com", "Others");
    client.post(INVITES, json!({})).is_required("target_email");
    let detail = "A user with this email address already belongs to the organization.";
    client.post(INVITES, json!({"target_email": "Grace@example.com"})).is_invalid("invalid_input", detail, None);
    invite(&client, json!({"target_email": "eve@example.com"}));
    let detail = "Project does not exist on this organization, or it is private and you do not have access to it.";
    for id in [2, 99] {
        let body = json!({"target_email": "a@example.com", "private_project_access": [{"id": id, "level": "member"}]});
        client.post(INVITES, body).is_invalid("invalid_input", detail, Some("private_project_access"));
    }
    let administrator = member(&server, &client, "admin@example.com", 8);
    let detail = "You cannot invite a user with a higher permission level than your own.";
    administrator.post(INVITES, json!({"target_email": "a@example.com", "level": 15})).is_denied(detail);
    administrator.post(INVITES, json!({"target_email": "a@example.com", "level": 8})).is(201);
    for (body, code, attr) in [
        (json!({"target_email": "x"}), "invalid_input", "target_email"),
        (json!({"target_email": "a+b@example.com"}), "plus_addressing_not_allowed", "target_email"),
        (json!({"target_email": "a@example.com", "first_name": "a".repeat(31)}), "max_length", "first_name"),
        (json!({"target_email": "a@example.com", "first_name": "<b>"}), "invalid_bracket", "first_name"),
        (json!({"target_email": "a@example.com", "level": 2}), "invalid_choice", "level"),
        (json!({"target_email": "a@example.com", "message": "http://evil"}), "invalid_url", "message"),
    ] {
        let error = client.post(INVITES, body).is(400).json();
        assert_eq!((&error["code"], &error["attr"]), (&json!(code), &json!(attr)), "{error}");
    }
    // Nobody else looks in, and nobody without a login.
    let id = other.post(INVITES, json!({"target_email": "a@example.com"})).is(201).json();
    let foreign = format!("{INVITES}/{}", id["id"].as_str().unwrap());
    client.delete(&foreign).is_not_found();
    client.delete(&format!("{INVITES}/nonsense")).is_not_found();
    server.client().get(INVITES).is_anonymous();
    let missing = |reply: Reply| reply.is_error(404, "invalid_request", "not_found", "Organization not found.", None);
    missing(client.get("/api/organizations/nonsense/invites"));
    missing(client.post("/api/organizations/01990f5c-1f10-7000-9a8b-7c6d5e4f3a2b/invites", json!({})));
    let (_, nowhere) = server.logged_in("nowhere@example.com");
    let detail = "Current organization not found.";
    nowhere.get(INVITES).is_error(404, "invalid_request", "not_found", detail, None);
}

/// Spec §2.8, §3.9, §1.9: who may invite, list and delete.
#[test]
fn members_invite_and_administrators_delete() {
    let server = server(&[]);
    let client = owner(&server, "grace@example.com", "Engines");
    let one = member(&server, &client, "one@example.com", 1);
    let two = member(&server, &client, "two@example.com", 1);
    let made = one.post(INVITES, json!({"target_email": "a@example.com"})).is(201).json();
    let path = format!("{INVITES}/{}", made["id"].as_str().unwrap());
    assert_eq!(invited(&two), ["a@example.com"]);
    two.delete(&path).is_denied("Your organization access level is insufficient.");
    one.delete(&path).is_body(204, "");
    one.delete(&path).is_not_found();
    one.post(INVITES, json!({"target_email": "b@example.com"})).is(201);
    let made = client.get(INVITES).json();
    client.delete(&format!("{INVITES}/{}", made["results"][0]["id"].as_str().unwrap())).is(204);
    assert_eq!(invited(&client), Vec::<String>::new());

    server.advance(7_200);
    client.post(INVITES, json!({"target_email": "c@example.com"})).wants_reauth();
    client.post(&format!("{INVITES}/bulk"), json!([])).wants_reauth();
    client.delete(&path).wants_reauth();
    client.get(INVITES).is(200);
}

/// Spec §2.9, §3.9: the id is the secret of the link, so nobody is shown an invite that they could not have made.
#[test]
fn an_invite_is_shown_to_who_could_have_made_it() {
    let server = server(&[]);
    let client = owner(&server, "grace@example.com", "Engines");
    let one = member(&server, &client, "one@example.com", 1);
    let administrator = member(&server, &client, "eight@example.com", 8);
    let all = ["c@example.com", "b@example.com", "a@example.com"];
    for (email, level) in [("a@example.com", 15), ("b@example.com", 8), ("c@example.com", 1)] {
        invite(&client, json!({"target_email": email, "level": level}));
    }
    assert_eq!(invited(&client), all);
    assert_eq!(invited(&administrator), all[..2]);
    assert_eq!(invited(&one), all[..1]);
    let page = administrator.get(&format!("{INVITES}?limit=1&offset=1")).is(200).json();
    assert_eq!((&page["count"], &page["results"][0]["target_email"]), (&json!(2), &json!("b@example.com")));
    assert_eq!(invited(&server.key_of(&client, &["organization_member:write"])), all);
    assert_eq!(invited(&server.key_of(&client, &["organization_member:read"])), [""; 0], "it could make none");

    invite(&one, json!({"target_email": "d@example.com"}));
    client.patch("/api/organizations/@current", json!({"members_can_invite": false})).is(200);
    assert_eq!(invited(&one), ["d@example.com"], "which they made");
    assert_eq!(invited(&administrator), ["d@example.com", "c@example.com", "b@example.com"]);
}

/// Spec §3.4: who has not shown that an address is theirs is not told of the invites to it. Without mail, an account with
/// any address is one sign-up away.
#[test]
fn an_address_that_is_only_claimed_has_no_invites_waiting() {
    let server = server(&[]);
    let client = owner(&server, "grace@example.com", "Engines");
    let path = invite(&client, json!({"target_email": "ada@example.com", "level": 15}));
    let waiting = format!("{ME}/pending_invites");
    let claimed = owner(&server, "ada@example.com", "Others");
    claimed.get(&waiting).is_body(200, "[]");
    claimed.post(&path, json!({})).is(201);

    let (_, bob) = server.logged_in("bob@example.com");
    let path = invite(&client, json!({"target_email": "bob@example.com"}));
    assert_eq!(bob.get(&waiting).is(200).json()[0]["id"], id(&path), "an operator says that it is theirs");
}

/// Spec §3.9, §1.10: newest first, in pages.
#[test]
fn invites_are_listed_newest_first() {
    let server = server(&[]);
    let client = owner(&server, "grace@example.com", "Engines");
    for number in 0..5 {
        invite(&client, json!({"target_email": format!("a{number}@example.com")}));
    }
    let page = client.get(&format!("{INVITES}?limit=2&offset=1")).is(200).json();
    let addresses: Vec<&str> =
        page["results"].as_array().unwrap().iter().map(|invite| invite["target_email"].as_str().unwrap()).collect();
    assert_eq!((&page["count"], addresses), (&json!(5), vec!["a3@example.com", "a2@example.com"]));
    assert!(page["next"].as_str().unwrap().ends_with("/invites?limit=2&offset=3"), "{page}");
}

/// Spec §3.9, §1.5: many at once, all or none.
#[test]
fn many_are_invited_at_once() {
    let server = server(&[("email.transport", "file")]);
    let client = owner(&server, "grace@example.com", "Engines");
    let bulk = |body: Value| client.post(&format!("{INVITES}/bulk"), body);
    let detail = "This endpoint needs an array of data for bulk invite creation.";
    bulk(json!({"target_email": "a@example.com"})).is_invalid("invalid_input", detail, None);
    client.request("POST", &format!("{INVITES}/bulk")).send().is_invalid("invalid_input", detail, None);
    let many = |count: usize| -> Value {
        (0..count).map(|number| json!({"target_email": format!("a{number}@example.com")})).collect()
    };
    let detail = "A maximum of 20 invites can be sent in a single request.";
    bulk(many(21)).is_invalid("max_length", detail, None);
    bulk(json!([{"target_email": "a@example.com"}, {"level": 1}])).is_required("1__target_email");
    let detail = "Invalid data. Expected a dictionary, but got str.";
    bulk(json!(["a@example.com"])).is_invalid("invalid_input", detail, None);
    let twice = json!([{"target_email": "a@example.com"}, {"target_email": "A@example.com"}]);
    let detail = "This email address is in the list more than once.";
    bulk(twice).is_invalid("invalid_input", detail, Some("1__target_email"));
    let detail = "A user with this email address already belongs to the organization.";
    bulk(json!([{"target_email": "a@example.com"}, {"target_email": "grace@example.com"}])).is_invalid(
        "invalid_input",
        detail,
        None,
    );
    assert_eq!(invited(&client), Vec::<String>::new());

    bulk(json!([])).is_body(201, "[]");
    // Twice: the second takes the place of the first.
    bulk(many(20)).is(201);
    let made = bulk(many(20)).is(201).json();
    assert_eq!(made.as_array().unwrap().len(), 20);
    assert_eq!(made[19]["target_email"], "a19@example.com");
    assert_eq!(invited(&client).len(), 20);
    server.wait_for_mails("a19@example.com", "invited you", 2);
}

/// Spec §1.11: fifty an hour and two hundred a day for each organization; invites count, not calls.
#[test]
fn invites_are_limited() {
    let server = server(&[("limits.invites_daily", "60/1d")]);
    let client = owner(&server, "grace@example.com", "Engines");
    let other = owner(&server, "eve@example.com", "Others");
    let log_in = || {
        let credentials = json!({"email": "grace@example.com", "password": password("grace@example.com")});
        client.post("/api/login", credentials).is(200);
    };
    let bulk = |from: usize, count: usize| {
        let body: Value =
            (from..from + count).map(|number| json!({"target_email": format!("a{number}@example.com")})).collect();
        client.post(&format!("{INVITES}/bulk"), body)
    };
    bulk(0, 20).is(201);
    bulk(20, 20).is(201);
    bulk(40, 11).is_throttled();
    client.post(INVITES, json!({})).is(400);
    bulk(40, 10).is(201);
    client.post(INVITES, json!({"target_email": "b@example.com"})).is_throttled();
    other.post(INVITES, json!({"target_email": "b@example.com"})).is(201);
    server.advance(3_600);
    log_in();
    bulk(50, 11).is_throttled();
    bulk(50, 10).is(201);
    client.post(INVITES, json!({"target_email": "b@example.com"})).is_throttled();
    assert_eq!(client.get(INVITES).json()["count"], 60);
}

/// Spec §2.9: a new invite takes the place of the older one for the address, and may keep what that allowed.
#[test]
fn there_is_one_invite_for_an_address() {
    let server = server(&[]);
    let client = owner(&server, "grace@example.com", "Engines");
    let first = invite(&client, json!({"target_email": "ada@example.com", "level": 15, "first_name": "Ada"}));
    let administrator = member(&server, &client, "admin@example.com", 8);
    let body = json!({
        "target_email": "ada@example.com", "combine_pending_invites": true,
        "private_project_access": [{"id": 1, "level": "member"}],
    });
    let made = administrator.post(INVITES, body).is(201).json();
    // Not above the one who combines.
    assert_eq!((&made["level"], &made["first_name"]), (&json!(8), &json!("Ada")));
    server.client().get(&first).is_invalid("invalid_input", UNKNOWN, None);
    let made = administrator.post(INVITES, json!({"target_email": "ada@example.com"})).is(201).json();
    assert_eq!((&made["level"], &made["private_project_access"]), (&json!(1), &json!([])));
    assert_eq!(invited(&client), ["ada@example.com"]);
    let other = owner(&server, "eve@example.com", "Others");
    invite(&other, json!({"target_email": "ada@example.com"}));
    assert_eq!(invited(&client), ["ada@example.com"]);
}

/// Spec §3.6, §7.4 row 35: what somebody sees who was invited.
#[test]
fn an_invite_can_be_looked_at() {
    let server = server(&[]);
    let client = owner(&server, "grace@example.com", "Engines");
    let path = invite(&client, json!({"target_email": "ada@example.com", "first_name": "Ada"}));
    let body = format!(
        r#"{{"id":"{}","target_email":"ada@example.com","first_name":"Ada","organization_name":"Engines"}}"#,
        id(&path)
    );
    server.client().get(&path).is_body(200, &body);
    server.client().get(&format!("{}/", path.to_uppercase().replace("/API/SIGNUP", "/api/signup"))).is_body(200, &body);
    let (_, invited) = server.logged_in("ada@example.com");
    invited.get(&path).is_body(200, &body);
}

/// Spec §3.6, §7.4 row 35: the errors of looking and of accepting, in their order. The sixth of them, another member with
/// the address, cannot be: addresses are unique whatever their case.
#[test]
fn an_invite_may_be_refused() {
    let server = server(&[]);
    let client = owner(&server, "grace@example.com", "Engines");
    for unknown in ["nonsense", "01990f5c-1f10-7000-9a8b-7c6d5e4f3a2b"] {
        let path = format!("/api/signup/{unknown}");
        server.client().get(&path).is_invalid("invalid_input", UNKNOWN, None);
        server.client().post(&path, stranger()).is_invalid("invalid_input", UNKNOWN, None);
    }
    let path = invite(&client, json!({"target_email": "ada@example.com"}));
    let detail = "This invite is intended for another email address.";
    client.get(&path).is_invalid("invalid_recipient", detail, None);
    client.post(&path, json!({})).is_invalid("invalid_recipient", detail, None);

    let (_, ada) = server.logged_in("ada@example.com");
    let detail = format!("/login?next=/signup/{}", id(&path));
    server.client().get(&path).is_invalid("account_exists", &detail, None);
    let detail = "There already exists an account with email address ada@example.com. Please log in instead.";
    server.client().post(&path, stranger()).is_invalid("invalid_input", detail, None);

    // A member already: put there by another invite while this one was under way is not possible, so by address.
    ada.post(&path, json!({})).is(201);
    let second = invite(&client, json!({"target_email": "bob@example.com"}));
    ada.patch(ME, json!({"email": "bob@example.com"})).is(200);
    let detail = "You already are a member of this organization.";
    ada.get(&second).is_invalid("user_already_member", detail, None);
    ada.post(&second, json!({})).is_invalid("user_already_member", detail, None);

    let path = invite(&client, json!({"target_email": "late@example.com"}));
    server.advance(3 * 86_400 - 60);
    server.client().get(&path).is(200);
    server.advance(61);
    let detail = "This invite has expired. Please ask your admin for a new one.";
    server.client().get(&path).is_invalid("expired", detail, None);
    server.client().post(&path, stranger()).is_invalid("expired", detail, None);
    let detail = "This invite is intended for another email address.";
    client.get(&path).is_invalid("invalid_recipient", detail, None);
}

/// Spec §3.6, §4.1, §7.4 row 35: a stranger gets an account; without mail with a session.
#[test]
fn a_stranger_accepts() {
    let server = server(&[]);
    let client = owner(&server, "grace@example.com", "Engines");
    let path = invite(&client, json!({"target_email": "ada@example.com", "level": 8}));
    let ada = server.client();
    ada.post(&path, json!({"password": password("ada")})).is_required("first_name");
    ada.post(&path, json!({"first_name": "Ada"})).is_required("password");
    ada.post(&path, json!({"first_name": "Ada", "password": null})).is_invalid(
        "null",
        "This field may not be null.",
        Some("password"),
    );
    let detail = "This password is too short. It must contain at least 8 characters.";
    ada.post(&path, json!({"first_name": "Ada", "password": "a"})).is_invalid(
        "password_too_short",
        detail,
        Some("password"),
    );
    let error = ada.post(&path, json!({"first_name": "Ada", "password": "password"})).is(400).json();
    assert_eq!(error["code"], "password_too_weak");
    let error = ada.post(&path, json!({"first_name": "a\u{0}", "password": password("ada")})).is(400).json();
    assert_eq!(error["code"], "invalid_control_char");

    let made = ada.post(&path, json!({"first_name": "Ada", "password": password("ada"), "role_at_organization": "x"}));
    let made = made.is(201).json();
    assert_eq!((&made["email"], &made["first_name"]), (&json!("ada@example.com"), &json!("Ada")));
    assert_eq!((&made["redirect_url"], &made["role_at_organization"]), (&json!("/"), &json!("x")));
    assert_eq!(ada.me()["is_email_verified"], false);
    // The organization is current, with the level of the invite, and the invite is used up.
    assert_eq!(invited(&ada), Vec::<String>::new());
    let detail = "You cannot invite a user with a higher permission level than your own.";
    ada.post(INVITES, json!({"target_email": "b@example.com", "level": 15})).is_denied(detail);
    ada.post(INVITES, json!({"target_email": "b@example.com", "level": 8})).is(201);
    server.client().get(&path).is_invalid("invalid_input", UNKNOWN, None);
}

/// Spec §3.6, §4.1, §4.10, §7.4 row 35, W-25: with mail the address is verified first, and the others learn of it.
#[test]
fn a_stranger_accepts_by_mail() {
    let server = server(&[("email.transport", "file")]);
    let client = owner(&server, "grace@example.com", "Engines");
    let body = json!({"target_email": "ada@example.com", "first_name": "Ada", "message": "See you there!"});
    let made = client.post(INVITES, body).is(201).json();
    assert_eq!(made["emailing_attempt_made"], true);
    let mail = server.wait_for_mail("ada@example.com", "Grace Hopper invited you to join Engines on Doorward");
    assert_eq!(mail.reply_to, "grace@example.com");
    assert!(mail.text.starts_with("Hello Ada,") && mail.text.contains("See you there!"), "{}", mail.text);
    server.secret(mail.token());
    assert_eq!(mail.token(), made["id"].as_str().unwrap());

    let ada = server.client();
    let reply = ada.post(&format!("/api/signup/{}", mail.token()), stranger()).is(201);
    assert!(reply.set_cookie("").is_none(), "{reply:?}");
    let made = reply.json();
    assert_eq!(made["redirect_url"], format!("/verify_email/{}", made["uuid"].as_str().unwrap()));
    let mail = server.wait_for_mail("ada@example.com", "Verify your email address");
    ada.post("/api/users/verify_email", json!({"uuid": made["uuid"], "token": mail.token()})).is(200);
    assert_eq!(invited(&ada), Vec::<String>::new());
    let mail = server.wait_for_mail("grace@example.com", "Ada joined you on Doorward");
    assert!(mail.text.contains("Ada (ada@example.com) is now a member of Engines"), "{}", mail.text);
    assert_eq!(mail.reply_to, "");
}

/// Spec §3.6, §4.1, §7.4 row 35: who has an account joins as whom they are.
#[test]
fn a_user_accepts() {
    let server = server(&[("email.transport", "file")]);
    let client = owner(&server, "grace@example.com", "Engines");
    let ada = owner(&server, "ada@example.com", "Own");
    let before = ada.me();
    let path = invite(&client, json!({"target_email": "ada@example.com"}));
    ada.without_csrf().post(&path, json!({})).is(403);
    let made = ada.post(&path, json!({"first_name": "Eve", "password": "x", "role_at_organization": "y"})).is(201);
    assert!(made.set_cookie("sessionid=").is_none(), "{made:?}");
    let made = made.json();
    assert_eq!((&made["first_name"], &made["redirect_url"]), (&json!("Grace"), &json!("/")));
    let after = ada.me();
    for name in ["first_name", "last_name", "email", "role_at_organization", "is_email_verified"] {
        assert_eq!(before[name], after[name], "{name}");
    }
    server
        .client()
        .post("/api/login", json!({"email": "ada@example.com", "password": password("ada@example.com")}))
        .is(200);
    // Engines is current now: a member of it is refused there, Own's owner is not.
    let detail = "You cannot invite a user with a higher permission level than your own.";
    ada.post(INVITES, json!({"target_email": "b@example.com", "level": 8})).is_denied(detail);
    assert_eq!(server.count_mails("ada@example.com", "Verify", "w@example.com"), 1, "the one of the sign-up");
    ada.post(&path, json!({})).is_invalid("invalid_input", UNKNOWN, None);
}

/// Spec §3.0, §1.6: keys are not for accepting; a stranger with a bad one is refused.
#[test]
fn keys_do_not_accept() {
    let server = server(&[]);
    let client = owner(&server, "grace@example.com", "Engines");
    let (_, ada) = server.logged_in("ada@example.com");
    let path = invite(&client, json!({"target_email": "ada@example.com"}));
    let key = server.key_of(&ada, &["*"]);
    let detail = "There already exists an account with email address ada@example.com. Please log in instead.";
    key.post(&path, stranger()).is_invalid("invalid_input", detail, None);
    server.with_key("phx_nonsense").get(&path).is(401);
}

/// Spec §1.6, §3.9: keys and their scopes.
#[test]
fn keys_need_the_scope_of_members() {
    let server = server(&[]);
    let client = owner(&server, "grace@example.com", "Engines");
    let read = server.key_of(&client, &["organization_member:read"]);
    read.get(INVITES).is(200);
    let detail = "API key missing required scope 'organization_member:write'";
    read.post(INVITES, json!({"target_email": "a@example.com"})).is_denied(detail);
    read.post(&format!("{INVITES}/bulk"), json!([])).is_denied(detail);
    let write = server.key_of(&client, &["organization_member:write"]);
    let made = write.post(INVITES, json!({"target_email": "a@example.com"})).is(201).json();
    write.delete(&format!("{INVITES}/{}", made["id"].as_str().unwrap())).is(204);
    let other = server.key_of(&client, &["user:write"]);
    other.get(INVITES).is_denied("API key missing required scope 'organization_member:read'");
}

/// Spec §2.3, §4.10: members learn of somebody new, but those who do not want to; all of many do.
#[test]
fn members_learn_who_joined() {
    let server = server(&[("email.transport", "file"), ("limits.invites_hourly", "200/1h")]);
    let client = owner(&server, "grace@example.com", "Engines");
    let mut organization = String::new();
    for number in 0..30 {
        let one = member(&server, &client, &format!("a{number}@example.com"), 1);
        if number == 3 {
            let me = client.get(&format!("{INVITES}?limit=1")).is(200);
            drop(me);
            organization = server.cli(&["audit", "list", "--event", "member.joined", "--limit", "1", "--json"]).json()
                ["rows"][0]["details"][0][1]
                .as_str()
                .unwrap()
                .to_owned();
            let off = json!({"organization_member_join_email_disabled": {organization.as_str(): true}});
            one.patch(ME, json!({"notification_settings": off})).is(200);
        }
    }
    assert_eq!(organization.len(), 36);
    let path = invite(&client, json!({"target_email": "last@example.com", "send_email": false}));
    let (_, last) = server.logged_in("last@example.com");
    last.post(&path, json!({})).is(201);
    let joined = "last@example.com joined you on Doorward";
    for number in (0..30).filter(|number| *number != 3) {
        server.wait_for_mail(&format!("a{number}@example.com"), joined);
    }
    server.wait_for_mail("grace@example.com", joined);
    assert_eq!(server.count_mails("a3@example.com", "joined you", "w@example.com"), 0);
    let mails = server.mails();
    assert!(!mails.iter().any(|mail| mail.to == "last@example.com" && mail.subject.contains("joined you")));
    assert_eq!(mails.iter().filter(|mail| mail.subject == joined).count(), 30);
}

/// Spec §3.9, §4.10: no mail where none is wanted.
#[test]
fn an_invite_need_not_be_mailed() {
    let server = server(&[("email.transport", "file")]);
    let client = owner(&server, "grace@example.com", "Engines");
    let made = client.post(INVITES, json!({"target_email": "a@example.com", "send_email": false})).is(201).json();
    assert_eq!(made["emailing_attempt_made"], false);
    assert_eq!(server.count_mails("a@example.com", "", "w@example.com"), 0);
}

/// Spec §4.11: the trail knows whom an invite was for, and never its id, which is the secret of its link.
#[test]
fn the_trail_knows_invites() {
    let server = server(&[]);
    let client = owner(&server, "grace@example.com", "Engines");
    let path = invite(&client, json!({"target_email": "ada@example.com"}));
    server.secret(id(&path));
    client.delete(&format!("{INVITES}/{}", id(&path))).is(204);
    let used = invite(&client, json!({"target_email": "bob@example.com"}));
    server.client().post(&used, json!({"first_name": "Bob", "password": password("bob")})).is(201);
    let rows = server.cli(&["audit", "list", "--json"]).json();
    let rows = rows["rows"].as_array().unwrap();
    let events: Vec<&str> = rows.iter().map(|row| row["event"].as_str().unwrap()).collect();
    for event in ["invite.created", "invite.deleted", "user.signed_up", "member.joined"] {
        assert!(events.contains(&event), "{event} in {events:?}");
    }
    let made = rows.iter().find(|row| row["event"] == "invite.deleted").unwrap();
    assert_eq!(made["details"][0], json!(["email", "ada@example.com"]));
    assert_eq!(made["actor"]["email"], "grace@example.com");
    let text = format!("{rows:?}");
    assert!(!text.contains(id(&path)) && !text.contains(id(&used)));
    let listed = server.cli(&["audit", "list", "--event", "invite"]).is(0).out;
    assert!(listed.contains("ada@example.com") && listed.contains("bob@example.com"), "{listed}");
}

/// Spec §3.6, §7.4 row 35: an invite that many accept at once is used once.
#[test]
fn an_invite_is_used_once() {
    let server = server(&[]);
    let client = owner(&server, "grace@example.com", "Engines");
    let path = invite(&client, json!({"target_email": "ada@example.com"}));
    let clients: Vec<Client> = (0..8).map(|_| server.client()).collect();
    let accept = |client: &Client, body: &Value| (client.clone(), client.request("POST", &path).json(body.clone()));
    let answers = all_at_once(&server, clients.iter().map(|client| accept(client, &stranger())).collect());
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1, "{answers:?}");
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        let text = format!("{answer:?}");
        assert!(answer.status == 400 && (text.contains(USED) || text.contains(UNKNOWN)), "{text}");
    }

    let path = invite(&client, json!({"target_email": "bob@example.com"}));
    let (bob, _) = server.logged_in("bob@example.com");
    let clients: Vec<Client> = (0..8).map(|_| server.login(&bob)).collect();
    let accept = |client: &Client| (client.clone(), client.request("POST", &path).json(json!({})));
    let answers = all_at_once(&server, clients.iter().map(accept).collect());
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1, "{answers:?}");
}

/// Spec §2.9: of many at once for one address there is one invite.
#[test]
fn invites_at_once_leave_one() {
    let server = server(&[]);
    let client = owner(&server, "grace@example.com", "Engines");
    let body = json!({"target_email": "ada@example.com"});
    let requests = (0..8).map(|_| (client.clone(), client.request("POST", INVITES).json(body.clone()))).collect();
    let answers = all_at_once(&server, requests);
    assert!(answers.iter().all(|answer| answer.status == 201), "{answers:?}");
    assert_eq!(invited(&client), ["ada@example.com"]);
}

// ---- the page ---------------------------------------------------------------------------------------------------

#[track_caller]
fn has(reply: Reply, status: u16, words: &str) -> Reply {
    let reply = reply.is(status);
    assert_eq!(reply.header("referrer-policy"), "no-referrer", "W-19");
    assert!(reply.text.contains(words), "`{words}` is not on the page:\n{}", reply.text);
    reply
}

/// Spec §3.6: the link in the mail works in a browser; looking changes nothing.
#[test]
fn the_link_in_the_mail_leads_to_a_page() {
    let server = server(&[("email.transport", "file")]);
    let client = owner(&server, "grace@example.com", "Engines");
    invite(&client, json!({"target_email": "ada@example.com", "first_name": "Ada"}));
    let mail = server.wait_for_mail("ada@example.com", "invited you");
    let path = format!("/signup/{}", mail.token());
    assert!(mail.link().ends_with(&path), "{}", mail.link());
    let browser = server.client();
    for _ in 0..2 {
        let page = has(browser.get(&path), 200, "Grace Hopper invites you to Engines.");
        assert!(page.text.contains("ada@example.com") && page.text.contains("value=\"Ada\""), "{page:?}");
    }
    let submit = |fields: &[(&str, &str)]| browser.request("POST", &path).form(fields).send();
    has(submit(&[("first_name", "Ada"), ("password", "short")]), 400, "This password is too short.");
    let password = password("ada");
    let page = has(submit(&[("first_name", "Ada"), ("password", &password)]), 200, "You are now a member of Engines.");
    assert!(page.set_cookie("").is_none() && page.text.contains("ada@example.com"), "{page:?}");
    has(browser.get(&path), 400, "This invite does not work");
}

/// Spec §3.6: the page tells those who have an account what to do, and lets them join once they are logged in.
#[test]
fn the_page_lets_users_join() {
    let server = server(&[]);
    let client = owner(&server, "grace@example.com", "Engines");
    let (_, ada) = server.logged_in("ada@example.com");
    let path = invite(&client, json!({"target_email": "ada@example.com"})).replace("/api", "");
    let page = has(server.client().get(&path), 200, "Log in to it in this browser");
    assert!(!page.text.contains("<form"), "{page:?}");
    has(client.get(&path), 400, "Another address");
    let page = has(ada.get(&path), 200, "You are logged in as ada@example.com");
    assert!(!page.text.contains("password"), "{page:?}");
    let foreign = ada.request("POST", &path).header("sec-fetch-site", "cross-site").form(&[]).send();
    foreign.is(403);
    has(ada.request("POST", &path).form(&[]).send(), 200, "You are now a member of Engines.");
    assert_eq!(invited(&ada), Vec::<String>::new());
    has(server.client().get("/signup/nonsense"), 400, "This invite does not work");
}
