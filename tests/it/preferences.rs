//! Spec §3.4, the table of preference routes.

use serde_json::{Value, json};

use crate::harness::{Client, Server};

const ME: &str = "/api/users/@me";
const HEDGEHOG: &str = "/api/users/@me/hedgehog_config";
const SCENE: &str = "/api/users/@me/scene_personalisation";
const WAITING: &str = "/api/users/@me/pending_invites";
const INTRO: &str = "/api/users/@me/product_intro_seen";

/// Every route, with a body that it takes from somebody without a team.
fn routes() -> [(&'static str, &'static str, Value, u16); 7] {
    [
        ("GET", "hedgehog_config", json!({}), 200),
        ("PATCH", "hedgehog_config", json!({"color": "red"}), 200),
        ("POST", "scene_personalisation", json!({}), 400),
        ("PATCH", "product_intro_seen", json!({"product_key": "a"}), 200),
        ("GET", "pending_invites", json!({}), 200),
        ("GET", "github_login", json!({}), 200),
        ("POST", "credentials_review_complete", json!({}), 204),
    ]
}

/// Spec §3.4: `hedgehog_config`.
#[test]
fn a_hedgehog_config_is_replaced() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    client.get(HEDGEHOG).is_body(200, "{}");
    let config = r#"{"use_as_profile":true,"color":"red","accessories":["cap"],"skin":null}"#;
    let body: Value = serde_json::from_str(config).unwrap();
    client.patch(HEDGEHOG, body.clone()).is_body(200, config);
    client.get(HEDGEHOG).is_body(200, config);
    assert_eq!(client.me()["hedgehog_config"], body);
    client.patch(HEDGEHOG, json!({"skin": "robo"})).is_body(200, r#"{"skin":"robo"}"#);
    client.patch(HEDGEHOG, json!({})).is_body(200, "{}");
    assert_eq!(client.me()["hedgehog_config"], json!({}));
    client.patch(ME, json!({"hedgehog_config": null})).is(200);
    client.get(HEDGEHOG).is_body(200, "{}");

    let detail = "Invalid data. Expected a dictionary, but got list.";
    client.patch(HEDGEHOG, json!([1])).is_invalid("invalid_input", detail, None);
    let large = "Ensure this field has no more than 8192 bytes.";
    client.patch(HEDGEHOG, json!({"color": "x".repeat(9_000)})).is_invalid("max_length", large, None);
    // Six of these in a minute are no matter.
    for _ in 0..7 {
        client.patch(HEDGEHOG, json!({"color": "blue"})).is(200);
    }
    // A credential is not kept with the rest of the body.
    let form = [("color", "green"), ("csrfmiddlewaretoken", "x"), ("personal_api_key", "phx_y")];
    client.request("PATCH", HEDGEHOG).form(&form).send().is_body(200, r#"{"color":"green"}"#);
}

/// Spec §3.4: `product_intro_seen`, at most a hundred.
#[test]
fn seen_introductions_are_collected() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    client.patch(INTRO, json!({"product_key": "surveys"})).is_body(200, r#"{"surveys":true}"#);
    let both = r#"{"surveys":true,"flags":false}"#;
    client.patch(INTRO, json!({"product_key": "flags", "seen": false})).is_body(200, both);
    assert_eq!(client.me()["has_seen_product_intro_for"].to_string(), both);
    client.patch(INTRO, json!({})).is_required("product_key");
    client.patch(INTRO, json!({"product_key": " "})).is_invalid(
        "blank",
        "This field may not be blank.",
        Some("product_key"),
    );
    let long = "Ensure this field has no more than 128 characters.";
    client.patch(INTRO, json!({"product_key": "a".repeat(129)})).is_invalid("max_length", long, Some("product_key"));
    let seen = json!({"product_key": "a", "seen": "maybe"});
    client.patch(INTRO, seen).is_invalid("invalid_input", "Must be a valid boolean.", Some("seen"));

    for n in 0..98 {
        client.patch(INTRO, json!({"product_key": format!("{n:0>128}")})).is(200);
    }
    let full = "Cannot track more than 100 product intros";
    client.patch(INTRO, json!({"product_key": "one more"})).is_invalid("invalid_input", full, None);
    let last = client.patch(INTRO, json!({"product_key": "surveys", "seen": false})).is(200).json();
    assert_eq!((last.as_object().unwrap().len(), &last["surveys"]), (100, &json!(false)));
}

/// Spec §3.4: `scene_personalisation`. Without a current team no dashboard can belong to it.
#[test]
fn a_scene_wants_a_dashboard_of_the_current_team() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    client.post(SCENE, json!({"dashboard": "x"})).is_invalid(
        "invalid_input",
        "A valid integer is required.",
        Some("dashboard"),
    );
    client.post(SCENE, json!({})).is_invalid("invalid_input", "Scene must be provided.", None);
    client.post(SCENE, json!({"scene": "Person"})).is_invalid("invalid_input", "Dashboard must be provided.", None);
    let detail = "Dashboard must belong to the user's current team.";
    let body = json!({"scene": "Person", "dashboard": 7});
    client.post(SCENE, body).is_invalid("invalid_input", detail, Some("dashboard"));
    assert_eq!(client.me()["scene_personalisation"], json!([]));

    // A team is current as soon as there is one.
    let acme = ["user", "set", "ada@example.com", "--organization", "Acme"];
    server.cli(&acme).is(0);
    let choose = |scene: &str, dashboard: Value| {
        let me = client.post(SCENE, json!({"scene": scene, "dashboard": dashboard})).is(200).json();
        assert_eq!(me, client.me());
        me["scene_personalisation"].clone()
    };
    assert_eq!(choose("Person", json!(7)), json!([{"scene": "Person", "dashboard": 7}]));
    assert_eq!(choose("Person", json!("8")), json!([{"scene": "Person", "dashboard": 8}]));
    let both = json!([{"scene": "Person", "dashboard": 8}, {"scene": "Group", "dashboard": 9}]);
    assert_eq!(choose("Group", json!(9)), both);
}

/// Spec §2.2, §3.4: `pending_invites`, by itself and in the user object; for the one who is invited alone.
#[test]
fn invites_wait_for_whom_they_are_for() {
    let server = Server::start();
    let (_, acme) = server.owner("grace@example.com", "Acme");
    let (_, other) = server.owner("eve@example.com", "Other");
    let (person, client) = server.logged_in("ada@example.com");
    let staff = server.login(&server.staff("staff@example.com"));
    let waiting = |client: &Client| {
        let list = client.get(WAITING).is(200).json();
        assert_eq!(client.me()["pending_invites"], list);
        list
    };
    let invite = |owner: &Client, email: &str| {
        let body = json!({"target_email": email, "send_email": false});
        owner.post("/api/organizations/@current/invites", body).is(201).json()
    };
    assert_eq!(waiting(&client), json!([]));
    invite(&acme, "bob@example.com");
    let first = invite(&acme, "Ada@Example.com");
    server.advance(60);
    let second = invite(&other, "ada@example.com");
    let seen = |invite: &Value, organization: &Client, name: &str| {
        json!({
            "id": invite["id"], "target_email": "ada@example.com",
            "organization_id": organization.me()["organization"]["id"], "organization_name": name,
            "created_at": invite["created_at"],
        })
    };
    let (from_acme, from_other) = (seen(&first, &acme, "Acme"), seen(&second, &other, "Other"));
    assert_eq!(waiting(&client), json!([from_other, from_acme]));
    assert_eq!(waiting(&acme), json!([]));
    assert_eq!(staff.get(&person.path("")).is(200).json()["pending_invites"], json!([]));

    client.post(&format!("/api/signup/{}", second["id"].as_str().unwrap()), json!({})).is(201);
    assert_eq!(waiting(&client), json!([from_acme]));
    server.advance(3 * 86_400);
    assert_eq!(waiting(&client), json!([]));
}

/// Spec §3.4: `github_login` and `credentials_review_complete`.
#[test]
fn there_is_no_github_and_nothing_to_review() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    client.get("/api/users/@me/github_login").is_body(200, r#"{"github_login":null}"#);
    client.post("/api/users/@me/credentials_review_complete", json!({})).is_body(204, "");
    assert_eq!(client.me()["requires_credential_review"], false);
    client.get("/api/users/@me/pinned_scene_tabs").is(404);
}

/// Spec §3.1, §1.6: one's own, by session; keys are refused with the text of custom actions.
#[test]
fn preferences_are_for_sessions_and_oneself() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let other = server.user("bob@example.com");
    let staff = server.login(&server.staff("staff@example.com"));
    let key = server.key_of(&client, &["*"]);
    let only_me = "As a non-staff user you're only allowed to access the `@me` user instance.";
    for (method, path, body, status) in routes() {
        let call = |client: &Client, path: String| client.request(method, &path).json(body.clone()).send();
        call(&client, format!("{ME}/{path}")).is(status);
        call(&client, format!("{ME}/{path}/")).is(status);
        call(&client, person.path(&format!("/{path}"))).is(status);
        call(&client, other.path(&format!("/{path}"))).is_denied(only_me);
        call(&staff, other.path(&format!("/{path}"))).is_denied(only_me);
        call(&key, format!("{ME}/{path}")).is_denied("This action does not support personal API key access");
        call(&server.client(), format!("{ME}/{path}")).is_anonymous();
    }
}

/// Spec §1.9: `hedgehog_config`, `scene_personalisation` and `product_intro_seen` are exempt; §7.4 row 31.
#[test]
fn preference_routes_need_no_recent_login() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    server.advance(7_201);
    for (method, path, body, status) in routes() {
        let reply = client.request(method, &format!("{ME}/{path}")).json(body).send();
        match path {
            "credentials_review_complete" => drop(reply.wants_reauth()),
            _ => drop(reply.is(status)),
        }
    }
    client.patch(ME, json!({"hedgehog_config": {}})).wants_reauth();
    client.login(&person).is(200);
    client.post(&format!("{ME}/credentials_review_complete"), json!({})).is(204);
}
