//! Spec §1.6, §2.10 and §3.8: personal API keys, and how they are presented.

use serde_json::{Value, json};

use crate::harness::{Client, Reply, Server, wait_for};

const KEYS: &str = "/api/personal_api_keys";
const ME: &str = "/api/users/@me";

fn body(label: &str, scopes: &[&str]) -> Value {
    json!({"label": label, "scopes": scopes, "scoped_teams": [], "scoped_organizations": []})
}

fn make(client: &Client, label: &str, scopes: &[&str]) -> Value {
    client.post(KEYS, body(label, scopes)).is(201).json()
}

#[track_caller]
fn is_bad_key(reply: Reply, place: &str) {
    let detail = format!("Personal API key found in request {place} is invalid.");
    reply.is_error(401, "authentication_error", "authentication_failed", &detail, None);
}

/// Spec §2.10, §3.8, §7.4 row 29.
#[test]
fn a_key_is_shown_once() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let made = make(&client, " CI ", &["user:read"]);
    let names: Vec<&str> = made.as_object().unwrap().keys().map(String::as_str).collect();
    let declared = [
        "id",
        "label",
        "value",
        "mask_value",
        "created_at",
        "last_used_at",
        "user_id",
        "scopes",
        "scoped_teams",
        "scoped_organizations",
        "last_rolled_at",
    ];
    assert_eq!(&names[..declared.len()], declared);
    let value = made["value"].as_str().unwrap();
    assert!(value.starts_with("phx_") && value.len() > 40, "{value}");
    assert!(value[4..].bytes().all(|byte| byte.is_ascii_alphanumeric()), "{value}");
    assert_eq!(made["mask_value"], format!("phx_...{}", &value[value.len() - 4..]));
    assert_eq!((&made["label"], &made["user_id"]), (&json!("CI"), &json!(person.id)));
    assert_eq!((&made["scopes"], &made["last_used_at"]), (&json!(["user:read"]), &Value::Null));
    assert!(made["id"].as_str().unwrap().len() <= 50);

    let later = make(&client, "later", &["*"]);
    let list = client.get(KEYS).is(200).json();
    assert_eq!((&list[0]["id"], &list[1]["id"]), (&later["id"], &made["id"]), "newest first");
    let mut hidden = made.clone();
    hidden["value"] = Value::Null;
    assert_eq!(list[1], hidden);
    assert_eq!(client.get(&format!("{KEYS}/{}", made["id"].as_str().unwrap())).is(200).json(), hidden);
}

/// Spec §3.8: the table of errors; W-32.
#[test]
fn making_a_key_checks_its_input() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let refused = |change: Value, code: &str, detail: &str, attr: &str| {
        let mut sent = body("test", &["*"]);
        for (name, value) in change.as_object().unwrap() {
            sent[name] = value.clone();
        }
        client.post(KEYS, sent).is_invalid(code, detail, Some(attr));
    };
    client.post(KEYS, json!({"scopes": ["*"]})).is_required("label");
    client.post(KEYS, json!({"label": "test"})).is_required("scopes");
    refused(json!({"label": " "}), "blank", "This field may not be blank.", "label");
    refused(json!({"label": null}), "null", "This field may not be null.", "label");
    let long = json!({"label": "a".repeat(41)});
    refused(long, "max_length", "Ensure this field has no more than 40 characters.", "label");
    for scope in ["nonsense", "user", "user:delete", "nonsense:read", "*:read", ""] {
        refused(json!({"scopes": [scope]}), "invalid_input", &format!("Invalid scope: {scope}"), "scopes");
    }
    let list = "Expected a list of items but got type \"str\".";
    refused(json!({"scopes": "*"}), "not_a_list", list, "scopes");
    let uuid = "01990f5c-1f10-0000-9a8b-7c6d5e4f3a2b";
    let teams = "You must be a member of all teams that you are scoping the key to.";
    refused(json!({"scoped_teams": [7]}), "invalid_input", teams, "scoped_teams");
    refused(json!({"scoped_teams": ["x"]}), "invalid_input", "A valid integer is required.", "scoped_teams__0");
    let organizations = "You must be a member of all organizations that you are scoping the key to.";
    refused(json!({"scoped_organizations": [uuid]}), "invalid_input", organizations, "scoped_organizations");
    let organization = "Invalid organization UUID";
    refused(json!({"scoped_organizations": ["x"]}), "invalid_input", organization, "scoped_organizations");
    let mut empty = body("test", &[]);
    empty["label"] = json!("test");
    assert_eq!(client.post(KEYS, empty).is(400).json()["attr"], "scopes", "an empty list is refused (W-32)");
    assert_eq!(client.get(KEYS).json(), json!([]));
    make(&client, &"a".repeat(40), &["*"]);
}

/// Spec §2.10, §3.8, §7.4 row 29.
#[test]
fn ten_keys_are_enough() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let keys: Vec<Value> = (0..10).map(|n| make(&client, &n.to_string(), &["*"])).collect();
    let detail = "You can only have 10 personal API keys. Remove an existing key before creating a new one.";
    client.post(KEYS, body("one more", &["*"])).is_invalid("invalid_input", detail, None);
    client.delete(&format!("{KEYS}/{}", keys[3]["id"].as_str().unwrap())).is_body(204, "");
    make(&client, "one more", &["*"]);
    assert_eq!(client.get(KEYS).json().as_array().unwrap().len(), 10);
}

/// Spec §3.8, §7.4 row 29.
#[test]
fn other_peoples_keys_do_not_exist() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let (_, other) = server.logged_in("bob@example.com");
    let made = make(&other, "test", &["*"]);
    for id in [made["id"].as_str().unwrap(), "nonsense", "@current"] {
        let path = format!("{KEYS}/{id}");
        client.get(&path).is_not_found();
        client.patch(&path, json!({"label": "mine"})).is_not_found();
        client.put(&path, json!({})).is_not_found();
        client.post(&format!("{path}/roll"), json!({})).is_not_found();
        client.delete(&path).is_not_found();
    }
    assert_eq!(other.get(KEYS).json()[0]["label"], "test");
    server.with_key(made["value"].as_str().unwrap()).get(ME).is(200);
    assert_eq!(client.get(KEYS).json(), json!([]));
    server.client().get(KEYS).is_anonymous();
}

/// Spec §3.8: works at once.
#[test]
fn a_deleted_key_is_dead() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let made = make(&client, "test", &["*"]);
    let key = server.with_key(made["value"].as_str().unwrap());
    key.get(ME).is(200);
    client.delete(&format!("{KEYS}/{}", made["id"].as_str().unwrap())).is_body(204, "");
    is_bad_key(key.get(ME), "Authorization header");
}

/// Spec §3.8: the last row of the table, with its capital letters.
#[test]
fn a_key_reads_itself_and_manages_nothing() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let made = make(&client, "test", &["*"]);
    let other = make(&client, "other", &["*"]);
    let key = server.with_key(made["value"].as_str().unwrap());
    let path = |key: &Value| format!("{KEYS}/{}", key["id"].as_str().unwrap());
    for path in [path(&made), format!("{KEYS}/@current")] {
        let read = key.get(&path).is(200).json();
        assert_eq!((&read["id"], &read["value"]), (&made["id"], &Value::Null));
    }
    let detail = "This action does not support Personal API Key access";
    key.get(KEYS).is_denied(detail);
    key.get(&path(&other)).is_denied(detail);
    key.post(KEYS, body("more", &["*"])).is_denied(detail);
    for path in [path(&made), path(&other), format!("{KEYS}/@current")] {
        key.patch(&path, json!({"scopes": ["*"]})).is_denied(detail);
        key.put(&path, body("more", &["*"])).is_denied(detail);
        key.post(&format!("{path}/roll"), json!({})).is_denied(detail);
        key.delete(&path).is_denied(detail);
    }
    let weak = server.key_of(&client, &["project:read"]);
    weak.get(&format!("{KEYS}/@current")).is(200);
}

/// Spec §1.6: the table of methods; §7.4 row 30; W-29: a key in the address is answered with a warning.
#[test]
fn a_key_may_come_in_header_body_or_query() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let made = make(&client, "test", &["user:write"]);
    let key = made["value"].as_str().unwrap();
    let anonymous = server.client();
    let header = |value: &str| anonymous.request("GET", ME).header("authorization", value).send();
    header(&format!("Bearer {key}")).is(200);
    header(&format!("Bearer    {key}  ")).is(200);
    header(&format!("bearer {key}")).is_anonymous();
    header(&format!("Token {key}")).is_anonymous();
    is_bad_key(header("Bearer phx_nonsense"), "Authorization header");

    anonymous.patch(ME, json!({"personal_api_key": key, "first_name": "Ada"})).is(200);
    anonymous.request("PATCH", ME).form(&[("personal_api_key", key), ("first_name", "Eve")]).send().is(200);
    is_bad_key(anonymous.patch(ME, json!({"personal_api_key": "phx_nonsense"})), "body");

    let reply = anonymous.get(&format!("{ME}?personal_api_key={key}")).is(200);
    assert_ne!(reply.header("deprecation"), "", "W-29: {reply:?}");
    is_bad_key(anonymous.get(&format!("{ME}?personal_api_key=phx_nonsense")), "query string");

    let bad_header = anonymous.request("GET", &format!("{ME}?personal_api_key={key}"));
    let bad_header = bad_header.header("authorization", "Bearer phx_nonsense").send();
    is_bad_key(bad_header, "Authorization header");
    let passed_over = anonymous.request("GET", &format!("{ME}?personal_api_key={key}"));
    passed_over.header("authorization", "Bearer pha_nonsense").send().is(200);
}

/// W-29: keys in addresses can be switched off.
#[test]
fn keys_in_queries_can_be_switched_off() {
    let server = Server::builder().setting("auth.allow_key_in_query", "false").start();
    let (_, client) = server.logged_in("ada@example.com");
    let made = make(&client, "test", &["*"]);
    let key = made["value"].as_str().unwrap();
    server.client().get(&format!("{ME}?personal_api_key={key}")).is_anonymous();
    server.with_key(key).get(ME).is(200);
}

/// Spec §1.6: the table of failures.
#[test]
fn a_bad_key_is_refused_everywhere() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let key = server.key_of(&client, &["*"]);
    let bad = server.with_key("phx_nonsense1");
    is_bad_key(bad.get(ME), "Authorization header");
    is_bad_key(bad.login(&person), "Authorization header");
    is_bad_key(bad.post("/api/users/verify_email", json!({})), "Authorization header");
    key.delete(ME).is_anonymous();
    server.cli(&["user", "deactivate", "ada@example.com", "--reason", "left the company"]).is(0);
    is_bad_key(key.get(ME), "Authorization header");
}

/// Spec §1.6: the tables of scopes; §7.4 row 28.
#[test]
fn a_key_does_what_its_scopes_say() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let missing = |scope: &str| format!("API key missing required scope '{scope}'");
    let reader = server.key_of(&client, &["user:read"]);
    let writer = server.key_of(&client, &["user:write"]);
    let everything = server.key_of(&client, &["*"]);
    let other = server.key_of(&client, &["organization:write", "project:read"]);
    for key in [&reader, &writer, &everything] {
        key.get(ME).is(200);
        key.get("/api/users").is(200);
    }
    other.get(ME).is_denied(&missing("user:read"));
    other.get("/api/users").is_denied(&missing("user:read"));
    for key in [&reader, &other] {
        key.patch(ME, json!({"first_name": "Ada"})).is_denied(&missing("user:write"));
        key.put(ME, json!({})).is_denied(&missing("user:write"));
    }
    for key in [&writer, &everything] {
        key.patch(ME, json!({"first_name": "Ada"})).is(200);
    }
    reader.request("HEAD", ME).send().is(200);
}

/// Spec §1.6: a key of staff may look at others.
#[test]
fn a_key_has_the_rights_of_its_owner() {
    let server = Server::start();
    let bob = server.user("bob@example.com");
    let staff = server.login(&server.staff("staff@example.com"));
    let (_, client) = server.logged_in("ada@example.com");
    server.key_of(&staff, &["user:read"]).get(&bob.path("")).is(200);
    server.key_of(&client, &["*"]).get(&bob.path("")).is(403);
    let staff_key = server.key_of(&staff, &["user:write"]);
    staff_key.post(&bob.path("/two_factor_disable"), json!({})).is(200);
    staff_key.patch(&bob.path(""), json!({"is_staff": true})).is(403);
}

/// Spec §2.10: refreshed at most once an hour.
#[test]
fn the_last_use_is_kept_to_the_hour() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let key = server.key_of(&client, &["*"]);
    // The server does not let a read wait for the disk: the new value may come a moment later.
    let last_used = || client.get(KEYS).is(200).json()[0]["last_used_at"].clone();
    assert_eq!(last_used(), Value::Null);
    key.get(ME).is(200);
    let first = wait_for("the first use", || Some(last_used()).filter(Value::is_string));
    server.advance(1_800);
    key.get(ME).is(200);
    assert_eq!(last_used(), first);
    server.advance(1_801);
    key.get(ME).is(200);
    wait_for("a later use", || (last_used() != first).then_some(()));
}

/// Spec §1.6, §4.7: keys survive what ends sessions.
#[test]
fn a_key_survives_a_password_change() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let key = server.key_of(&client, &["*"]);
    let new = format!("{} and more", person.password);
    client.patch(ME, json!({"password": new, "current_password": person.password})).is(200);
    key.get(ME).is(200);
    client.enrol(&server);
    key.get(ME).is(200);
}

/// Spec §2.10, §3.8: a key is changed by those who may make one.
#[test]
fn a_key_can_be_changed() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let made = make(&client, "CI", &["user:read"]);
    let path = format!("{KEYS}/{}", made["id"].as_str().unwrap());
    let key = server.with_key(made["value"].as_str().unwrap());
    key.patch(ME, json!({})).is(403);

    let mut expected = made.clone();
    expected["value"] = Value::Null;
    let unused = |mut key: Value| {
        key["last_used_at"] = Value::Null;
        key
    };
    let change = |body: Value| unused(client.patch(&path, body).is(200).json());
    // A value or a mask that is sent along is no business of the client's.
    let ignored = json!({"id": "x", "value": "phx_mine", "mask_value": "x", "user_id": 7, "last_rolled_at": "x"});
    assert_eq!(change(ignored), expected);
    expected["label"] = json!("build server");
    assert_eq!(change(json!({"label": " build server "})), expected);
    (expected["scopes"], expected["description"]) = (json!(["user:write"]), json!("in the cellar"));
    assert_eq!(change(json!({"scopes": ["user:write"], "description": "in the cellar"})), expected);
    key.patch(ME, json!({})).is(200);
    expected["description"] = Value::Null;
    assert_eq!(change(json!({"description": " "})), expected);

    expected["label"] = json!("laptop");
    let replaced = client.put(&path, json!({"label": "laptop", "scopes": ["user:write"]})).is(200).json();
    assert_eq!(unused(replaced), expected);
    assert_eq!(unused(client.get(&path).is(200).json()), expected);
}

/// Spec §3.8: the table of errors, for changes; W-32.
#[test]
fn changing_a_key_checks_its_input() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let made = make(&client, "CI", &["user:read"]);
    let path = format!("{KEYS}/{}", made["id"].as_str().unwrap());
    client.put(&path, json!({})).is_required("label");
    client.put(&path, json!({"label": "x"})).is_required("scopes");
    client.put(&path, json!({"scopes": ["*"]})).is_required("label");
    for method in ["PATCH", "PUT"] {
        let refused = |change: Value, code: &str, detail: &str, attr: &str| {
            let mut sent = body("test", &["*"]);
            sent.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            client.request(method, &path).json(sent).send().is_invalid(code, detail, Some(attr));
        };
        refused(json!({"label": ""}), "blank", "This field may not be blank.", "label");
        refused(json!({"label": null}), "null", "This field may not be null.", "label");
        let long = json!({"label": "a".repeat(41)});
        refused(long, "max_length", "Ensure this field has no more than 40 characters.", "label");
        refused(json!({"scopes": []}), "invalid_input", "This list may not be empty.", "scopes");
        refused(json!({"scopes": null}), "null", "This field may not be null.", "scopes");
        refused(json!({"scopes": ["x"]}), "invalid_input", "Invalid scope: x", "scopes");
        let organization = "Invalid organization UUID";
        refused(json!({"scoped_organizations": [7]}), "invalid_input", organization, "scoped_organizations");
        refused(json!({"scoped_teams": [[]]}), "invalid_input", "A valid integer is required.", "scoped_teams__0");
    }
    let kept = client.get(&path).is(200).json();
    assert_eq!((&kept["label"], &kept["scopes"]), (&json!("CI"), &json!(["user:read"])));
}

/// Spec §3.8, §7.4 row 29: a new value, everything else unchanged, the old value dies.
#[test]
fn a_rolled_key_has_a_new_value() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let other = make(&client, "other", &["*"]);
    let made = make(&client, "CI", &["user:read"]);
    let path = format!("{KEYS}/{}", made["id"].as_str().unwrap());
    let old = server.with_key(made["value"].as_str().unwrap());
    old.get(ME).is(200);
    let used =
        wait_for("the first use", || Some(client.get(&path).json()).filter(|key| key["last_used_at"].is_string()));
    server.advance(60);
    let mut expected = used;
    for _ in 0..2 {
        let rolled = client.post(&format!("{path}/roll"), json!({})).is(200).json();
        let value = rolled["value"].as_str().unwrap();
        assert!(value.starts_with("phx_") && value != made["value"], "{value}");
        assert_ne!(rolled["last_rolled_at"], expected["last_rolled_at"]);
        expected["mask_value"] = json!(format!("phx_...{}", &value[value.len() - 4..]));
        expected["last_rolled_at"] = rolled["last_rolled_at"].clone();
        assert_eq!(client.get(&path).is(200).json(), expected, "the value is hidden again, and the rest is as it was");
        is_bad_key(old.get(ME), "Authorization header");
        server.with_key(value).get(ME).is(200);
    }
    assert_eq!(client.get(KEYS).json().as_array().unwrap().len(), 2);
    server.with_key(other["value"].as_str().unwrap()).get(ME).is(200);
}

/// Spec §2.10, §3.8, §1.6: a key reaches no further than its owner, and no further than it is said to.
#[test]
fn a_key_can_be_limited_to_places() {
    let server = Server::start();
    let (_, owner) = server.owner("ada@example.com", "Acme");
    let (_, other) = server.owner("bob@example.com", "Other");
    let acme = owner.me();
    let second = owner.post("/api/organizations", json!({"name": "Second"})).is(201).json();
    let foreign = other.me();
    let (id, team) = (acme["organization"]["id"].clone(), acme["team"]["id"].clone());
    let (second_id, second_team) = (second["id"].clone(), second["teams"][0]["id"].clone());
    let of = |id: &Value| format!("/api/organizations/{}", id.as_str().unwrap());

    let teams = "You must be a member of all teams that you are scoping the key to.";
    let organizations = "You must be a member of all organizations that you are scoping the key to.";
    let made = make(&owner, "CI", &["*"]);
    let path = format!("{KEYS}/{}", made["id"].as_str().unwrap());
    for (name, values, detail) in [
        ("scoped_teams", json!([team, foreign["team"]["id"]]), teams),
        ("scoped_teams", json!([999_999]), teams),
        ("scoped_teams", json!([-1]), teams),
        ("scoped_organizations", json!([id, foreign["organization"]["id"]]), organizations),
        ("scoped_organizations", json!(["01990f5c-1f10-7000-9a8b-7c6d5e4f3a2b"]), organizations),
    ] {
        let mut sent = body("test", &["*"]);
        sent[name] = values.clone();
        owner.post(KEYS, sent).is_invalid("invalid_input", detail, Some(name));
        owner.patch(&path, json!({name: values})).is_invalid("invalid_input", detail, Some(name));
    }

    let mut sent = body("test", &["*"]);
    sent["scoped_organizations"] = json!([id]);
    let limited = owner.post(KEYS, sent).is(201).json();
    assert_eq!((&limited["scoped_organizations"], &limited["scoped_teams"]), (&json!([id]), &json!([])));
    let key = server.with_key(limited["value"].as_str().unwrap());
    key.get(&of(&id)).is(200);
    let detail =
        format!("API key does not have access to the requested organization: ID {}.", second_id.as_str().unwrap());
    key.get(&of(&second_id)).is_denied(&detail);
    key.get(ME).is(200);
    // What is not said stays: no key gets wider by a PUT.
    let path = format!("{KEYS}/{}", limited["id"].as_str().unwrap());
    let replaced = owner.put(&path, json!({"label": "x", "scopes": ["*"]})).is(200).json();
    assert_eq!(replaced["scoped_organizations"], json!([id]));

    let change = json!({"scoped_organizations": [], "scoped_teams": [team, second_team, team.to_string()]});
    let changed = owner.patch(&path, change).is(200).json();
    assert_eq!(changed["scoped_teams"], json!([team, second_team]));
    let detail = "API keys with scoped projects are only supported on project-based endpoints.";
    key.get(&of(&id)).is_denied(detail);
    key.get(&format!("{}/projects", of(&second_id))).is(200);
    key.get(ME).is(200);
    owner.patch(&path, json!({"scoped_teams": []})).is(200);
    key.get(&of(&second_id)).is(200);
}

/// W-43: what a client sent comes back cut and without control characters.
#[test]
fn an_unknown_scope_is_repeated_in_short() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let scope = format!("\u{1b}[2J{}", "a".repeat(999));
    let detail = format!("Invalid scope: [2J{}", "a".repeat(197));
    client.post(KEYS, body("test", &[&scope])).is_invalid("invalid_input", &detail, Some("scopes"));
}

/// Keys are made and listed at the command line too.
#[test]
fn the_command_line_makes_keys() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let arguments = ["key", "create", "--user", "ada@example.com", "--label", "CI", "--scope", "user:read", "--json"];
    let made = server.cli(&arguments).json();
    server.with_key(made["value"].as_str().unwrap()).get(ME).is(200);
    assert_eq!(client.get(KEYS).is(200).json()[0]["label"], "CI");

    let id = made["id"].as_str().unwrap();
    let set = |rest: &[&str]| server.cli(&[&["key", "set", "ada@example.com", id], rest].concat());
    set(&[]).is(2);
    let changed = set(&["--label", "build server", "--scope", "user:write", "--description", "new", "--json"]).json();
    assert_eq!((&changed["label"], &changed["description"]), (&json!("build server"), &json!("new")));
    assert_eq!((&changed["scopes"], &changed["value"]), (&json!(["user:write"]), &Value::Null));
    assert!(set(&["--description", "", "--any-team"]).is(0).out.contains("build server"));
    set(&["--scope", "nonsense"]).is(4);
    server.cli(&["key", "set", "ada@example.com", "nonsense", "--label", "x"]).is(3);

    server.cli(&["user", "set", "ada@example.com", "--organization", "Acme"]).is(0);
    let me = client.me();
    let (place, team) = (me["organization"]["id"].as_str().unwrap(), me["team"]["id"].to_string());
    let limits = ["--organization", place, "--team", &team, "--json"];
    let limited = set(&limits).json();
    assert_eq!((&limited["scoped_organizations"], &limited["scoped_teams"][0]), (&json!([place]), &me["team"]["id"]));
    let create = ["key", "create", "--user", "ada@example.com", "--label", "new", "--scope", "*", "--description", "d"];
    let new = server.cli(&[&create[..], &limits].concat()).json();
    assert_eq!(new["scoped_organizations"], json!([place]));
    let list = server.cli(&["key", "list", "ada@example.com"]).is(0).out;
    assert!(list.contains(&format!("organization {place}, team {team}")), "{list}");
    let lifted = set(&["--any-organization", "--any-team", "--json"]).json();
    assert_eq!((&lifted["scoped_organizations"], &lifted["scoped_teams"]), (&json!([]), &json!([])));
    set(&["--team", "999"]).is(4);
    set(&["--team", "1", "--any-team"]).is(2);

    server.cli(&["key", "roll", "ada@example.com", id, "--reason", "short"]).is(4);
    let reason = ["--reason", "leaked in a log", "--json"];
    let rolled = server.cli(&[&["key", "roll", "ada@example.com", id], &reason[..]].concat()).json();
    server.with_key(rolled["value"].as_str().unwrap()).get(ME).is(200);
    is_bad_key(server.with_key(made["value"].as_str().unwrap()).get(ME), "Authorization header");
    let trail = server.cli(&["audit", "list", "--event", "api_key.rolled", "--json"]).json();
    assert!(trail.to_string().contains("leaked in a log"), "{trail}");
}
