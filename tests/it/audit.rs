//! Spec §4.11: what happened can be read back, and says no more than it must.

use serde_json::{Value, json};

use crate::harness::{Client, PASSWORD, Server};

const ME: &str = "/api/users/@me";

/// Every entry, oldest first.
fn trail(server: &Server) -> Vec<Value> {
    let page = server.cli(&["audit", "list", "--limit", "1000", "--json"]).json();
    let mut rows = page["rows"].as_array().unwrap().clone();
    rows.reverse();
    rows
}

/// The events that happen while `act` runs, without the sessions and accounts that the test itself needs.
fn events(server: &Server, act: impl FnOnce()) -> Vec<String> {
    let before = trail(server).len();
    act();
    trail(server)[before..].iter().map(|row| row["event"].as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn check(server: &Server, expected: &[&str], act: impl FnOnce()) {
    assert_eq!(events(server, act), expected);
}

fn login_token(client: &Client, token: &str) {
    client.post("/api/login/token", json!({"token": token}));
}

/// Spec §4.11: logging in and out.
#[test]
fn logins_are_on_record() {
    let server = Server::start();
    check(&server, &["user.created"], || drop(server.user("ada@example.com")));
    let person = server.user("bob@example.com");
    let client = server.client();
    check(&server, &["user.logged_in"], || drop(client.login(&person)));
    check(&server, &["user.login_failed"], || {
        server.client().post("/api/login", json!({"email": person.email, "password": "wrong horse 1"})).is(400);
    });
    check(&server, &["user.login_failed"], || {
        server.client().post("/api/login", json!({"email": "nobody@example.com", "password": "wrong horse 1"})).is(400);
    });
    check(&server, &["user.logged_out"], || drop(client.post("/api/logout", json!({})).is(204)));
    check(&server, &[], || drop(server.client().post("/api/logout", json!({})).is(204)));
}

/// Spec §4.11: the user's own changes; names of fields, never values.
#[test]
fn changes_of_an_account_are_on_record() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    check(&server, &["user.updated"], || {
        client.patch(ME, json!({"first_name": "Grace-secret-name", "theme_mode": "dark"})).is(200);
    });
    let row = trail(&server).pop().unwrap();
    assert!(row.to_string().contains("first_name theme_mode"), "{row}");
    assert!(!row.to_string().contains("Grace-secret-name"), "{row}");
    check(&server, &[], || drop(client.patch(ME, json!({"theme_mode": "dark"})).is(200)));
    check(&server, &["user.password_changed"], || {
        let password = format!("{PASSWORD} and more");
        client.patch(ME, json!({"password": password, "current_password": person.password})).is(200);
    });
    check(&server, &["user.email_changed"], || {
        client.patch(ME, json!({"email": "new@example.com"})).is(200);
    });
    let key = server.key_of(&client, &["*"]);
    let row = trail(&server).pop().unwrap();
    assert_eq!(row["event"], "api_key.created");
    assert!(!row.to_string().contains(key.key()), "{row}");
    let id = client.get("/api/personal_api_keys").json()[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/personal_api_keys/{id}");
    check(&server, &["api_key.updated"], || drop(client.patch(&path, json!({"scopes": ["user:read"]})).is(200)));
    check(&server, &[], || drop(client.patch(&path, json!({"scopes": ["user:read"]})).is(200)));
    let mut rolled = Value::Null;
    check(&server, &["api_key.rolled"], || rolled = client.post(&format!("{path}/roll"), json!({})).is(200).json());
    let trail_text = json!(trail(&server)).to_string();
    assert!(trail_text.contains(&id) && !trail_text.contains(rolled["value"].as_str().unwrap()), "{trail_text}");
    check(&server, &["api_key.deleted"], || {
        client.delete(&path).is(204);
    });
    check(&server, &["user.deleted"], || drop(client.delete(ME).is(204)));
    let row = trail(&server).pop().unwrap();
    assert_eq!(row["target"]["email"], "new@example.com", "the row outlives the user (W-44): {row}");
}

/// Spec §4.11: sessions that their owner ends, and remembered devices.
#[test]
fn ended_sessions_are_on_record() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let list = |path: &str| client.get(path).is(200).json();
    server.login(&person);
    let id = list("/api/users/@me/login_sessions")[1]["id"].as_str().unwrap().to_owned();
    check(&server, &["session.revoked"], || {
        client.delete(&format!("/api/users/@me/login_sessions/{id}")).is(204);
        client.delete(&format!("/api/users/@me/login_sessions/{id}")).is(404);
    });
    let row = trail(&server).pop().unwrap();
    assert_eq!((&row["target"]["email"], &row["details"]), (&json!(person.email), &json!([["session", id]])));
    check(&server, &["session.revoked_others"], || {
        client.post("/api/users/@me/login_sessions/revoke_others", json!({})).is(200);
    });

    let mut authenticator = client.enrol(&server);
    let other = server.client();
    other.login(&person).wants_second_factor();
    login_token(&other, &authenticator.code(&server));
    let id = list("/api/users/@me/remembered_devices")[0]["id"].as_str().unwrap().to_owned();
    check(&server, &["remembered_device.revoked"], || {
        client.delete(&format!("/api/users/@me/remembered_devices/{id}")).is(204);
    });
}

/// Spec §4.11: addresses.
#[test]
fn changes_of_an_address_are_on_record() {
    let server = Server::with_mail();
    let (person, client) = server.logged_in("ada@example.com");
    let stage = |email: &str| drop(client.patch(ME, json!({"email": email})).is(200));
    check(&server, &["user.email_change_requested"], || stage("new@example.com"));
    check(&server, &["user.email_change_cancelled"], || {
        client.patch("/api/users/cancel_email_change_request", json!({})).is(200);
    });
    stage("new2@example.com");
    check(&server, &["user.verification_requested"], || {
        server.client().post("/api/users/request_email_verification", json!({"uuid": person.uuid})).is(200);
    });
    let mail = server.wait_for_mails("new2@example.com", "Verify", 2).pop().unwrap();
    let happened = events(&server, || {
        let body = json!({"uuid": person.uuid, "token": mail.token()});
        server.client().post("/api/users/verify_email", body).is(200);
    });
    for event in ["user.email_changed", "user.email_verified", "user.logged_in"] {
        assert!(happened.contains(&event.to_owned()), "{event} is not in {happened:?}");
    }
    let trail = trail(&server);
    assert!(trail.iter().all(|row| !row.to_string().contains(mail.token())), "no token in the trail");
}

/// Spec §4.11: the second factor.
#[test]
fn the_second_factor_is_on_record() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let start = || client.get("/api/users/@me/two_factor_start_setup").is(200).json();
    check(&server, &["two_factor.setup_started"], || drop(start()));
    check(&server, &["two_factor.validate_failed"], || {
        client.post("/api/users/@me/two_factor_validate", json!({"token": "nonsense"})).is(400);
    });
    let mut authenticator = None;
    check(&server, &["two_factor.setup_started", "two_factor.enabled"], || {
        authenticator = Some(client.enrol(&server));
    });
    check(&server, &["two_factor.setup_started", "two_factor.replaced"], || {
        authenticator = Some(client.enrol(&server));
    });
    let mut authenticator = authenticator.unwrap();
    let mut codes = Vec::new();
    check(&server, &["two_factor.backup_codes_regenerated"], || codes = client.new_backup_codes());
    let look = || drop(client.get("/api/users/@me/two_factor_status").is(200));
    check(&server, &["two_factor.codes_viewed"], look);
    check(&server, &[], look);

    let login = server.client();
    login.login(&person).wants_second_factor();
    check(&server, &["two_factor.login_failed"], || login_token(&login, &authenticator.wrong_code(&server)));
    check(&server, &["two_factor.login_failed"], || login_token(&login, &authenticator.wrong_code(&server)));
    check(&server, &["two_factor.backup_code_used", "user.logged_in"], || login_token(&login, &codes[0]));
    let login = server.client();
    login.login(&person).wants_second_factor();
    check(&server, &["user.logged_in"], || login_token(&login, &authenticator.code(&server)));
    let disable = || drop(client.post("/api/users/@me/two_factor_disable", json!({})).is(200));
    check(&server, &["two_factor.disabled"], disable);
    check(&server, &[], disable);
    let trail = trail(&server);
    for code in &codes {
        assert!(trail.iter().all(|row| !row.to_string().contains(code)), "no backup code in the trail");
    }
}

/// Spec §4.11: what operators and staff do, and who they are.
#[test]
fn what_operators_and_staff_do_is_on_record() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let staff = server.login(&server.staff("staff@example.com"));
    let cli = |arguments: &[&str]| drop(server.cli(arguments).is(0));
    let email = person.email.as_str();
    let reason = ["--reason", "on the phone, HD-4711"];
    let with_reason = |arguments: &[&str]| cli(&[arguments, &reason[..]].concat());

    client.enrol(&server);
    client.new_backup_codes();
    check(&server, &["two_factor.backup_codes_revoked"], || with_reason(&["2fa", "codes", email, "--revoke", "--yes"]));
    check(&server, &["two_factor.unlocked"], || with_reason(&["2fa", "unlock", email]));
    check(&server, &["session.revoked"], || with_reason(&["session", "revoke", email, "--all", "--yes"]));
    check(&server, &["two_factor.reset"], || with_reason(&["2fa", "reset", email, "--yes"]));
    let row = trail(&server).pop().unwrap();
    assert_eq!((&row["actor"]["kind"], &row["reason"]), (&json!("operator"), &json!("on the phone, HD-4711")), "{row}");
    assert_eq!((&row["target"]["email"], &row["outcome"]), (&json!(email), &json!("done")), "{row}");
    check(&server, &["user.updated"], || cli(&["user", "set", email, "--first-name", "Ada"]));
    check(&server, &["user.deactivated"], || with_reason(&["user", "deactivate", email]));
    check(&server, &["user.reactivated"], || with_reason(&["user", "deactivate", email, "--undo"]));

    let client = server.login(&person);
    client.enrol(&server);
    check(&server, &["two_factor.reset"], || {
        staff.post(&person.path("/two_factor_disable"), json!({})).is(200);
    });
    let row = trail(&server).pop().unwrap();
    assert_eq!(
        (&row["actor"]["email"], &row["target"]["email"]),
        (&json!("staff@example.com"), &json!(email)),
        "{row}"
    );

    let client = server.login(&person);
    client.enrol(&server);
    let key = server.key_of(&staff, &["user:write"]);
    key.post(&person.path("/two_factor_disable"), json!({})).is(200);
    let row = trail(&server).pop().unwrap();
    assert!(row["actor"]["api_key"].is_string(), "with the key's id: {row}");
}

/// Spec §4.11: every row says when, who, whom, from where and with what.
#[test]
fn every_entry_says_where_it_came_from() {
    let server = Server::start();
    let person = server.user("ada@example.com");
    let login = server.client().request("POST", "/api/login").header("user-agent", "tester/1.0");
    let login = login.json(person.credentials()).send().is(200);
    let row = trail(&server).pop().unwrap();
    assert!(row["at"].as_str().is_some() || row["at"].is_number(), "{row}");
    assert_eq!((&row["address"], &row["user_agent"]), (&json!("127.0.0.1"), &json!("tester/1.0")), "{row}");
    assert_eq!(row["request_id"], login.header("x-request-id"), "{row}");
    assert_eq!(row["actor"]["email"], "ada@example.com", "{row}");
    assert_eq!(row["outcome"], "done", "{row}");
}

/// Who, whom, what, when.
#[test]
fn the_trail_is_filtered() {
    let server = Server::start();
    let (_, ada) = server.logged_in("ada@example.com");
    server.logged_in("bob@example.com");
    ada.enrol(&server);
    let unlock = |user: &str, operator: &str| {
        server.cli(&["2fa", "unlock", user, "--reason", "typed wrong codes", "--operator", operator]).is(0);
    };
    unlock("ada@example.com", "jdoe");
    unlock("bob@example.com", "mrossi");
    server.advance(3 * 86_400);
    unlock("ada@example.com", "mrossi");
    let list = |filter: &[&str]| -> Vec<(String, String)> {
        let arguments = [&["audit", "list", "--json"], filter].concat();
        let page = server.cli(&arguments).json();
        let rows = page["rows"].as_array().unwrap().clone();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        rows.iter().map(|row| (text(&row["event"]), text(&row["target"]["email"]))).collect()
    };
    let unlocked = |user: &str| ("two_factor.unlocked".to_owned(), user.to_owned());
    let (a, b) = (unlocked("ada@example.com"), unlocked("bob@example.com"));
    assert_eq!(list(&["--operators", "--event", "two_factor"]), [a.clone(), b.clone(), a.clone()]);
    assert_eq!(list(&["--by", "MROSSI"]), [a.clone(), b.clone()]);
    assert_eq!(list(&["--by", "jd", "--user", "ada@example.com"]), std::slice::from_ref(&a));
    assert_eq!(list(&["--since", "1d"]), std::slice::from_ref(&a));
    assert_eq!(list(&["--operators", "--since", "1h", "--until", "1m"]), []);
    assert_eq!(list(&["--event", "two_factor.unl", "--until", "1d"]), [b, a.clone()]);
    assert_eq!(list(&["--by", "ada@", "--event", "two_factor.en"]).len(), 1);
    assert_eq!(list(&["--by", "ada@", "--operators"]), []);
    server.cli(&["audit", "list", "--since", "yesterday"]).is(2);

    let all = server.cli(&["audit", "list", "--limit", "1000", "--json"]).json()["rows"].as_array().unwrap().clone();
    let lines = |filter: &[&str]| -> Vec<Value> {
        let out = server.cli(&[&["audit", "export"], filter].concat()).is(0).out;
        // What vouches for them stands between the entries.
        let is_entry = |line: &Value| line.get("event").is_some();
        out.lines().map(|line| serde_json::from_str(line).unwrap()).filter(is_entry).collect()
    };
    assert_eq!(lines(&[]), all.iter().rev().cloned().collect::<Vec<_>>());
    assert_eq!(lines(&["--operators", "--since", "1d"]), &all[..1]);
    assert_eq!(lines(&["--until", "1d"]).len(), all.len() - 1);
    let file = server.data_dir().with_file_name("trail.jsonl");
    let path = file.to_str().unwrap();
    let exported = server.cli(&["audit", "export", path, "--by", "jdoe", "--json"]).json();
    assert_eq!(exported["entries"], 1);
    assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 1);
    server.cli(&["audit", "export", path]).is(1);
}

/// A page of a search in a long trail looks at so much and no more, and says where to go on.
#[test]
fn a_search_goes_on_where_a_page_ended() {
    let server = Server::start();
    for number in 0..12 {
        server.user(&format!("user{number}@example.com"));
    }
    let mut filter = json!({"user": null, "actor": null, "event": "user.created", "since": null, "until": null, "operators_only": true});
    let mut before = Value::Null;
    let mut found = Vec::new();
    loop {
        let page = server.operate("list_audit", &json!({"filter": filter, "before": before, "limit": 5})).unwrap();
        let rows = page["rows"].as_array().unwrap();
        assert!(rows.len() <= 5, "{page}");
        found.extend(rows.iter().map(|row| row["number"].as_u64().unwrap()));
        before = page["next"].clone();
        if before.is_null() {
            break;
        }
    }
    assert_eq!(found, (1..=12).rev().collect::<Vec<_>>());
    filter["user"] = "nobody@example.com".into();
    let nobody = server.operate("list_audit", &json!({"filter": filter, "before": null, "limit": 5}));
    assert_eq!(nobody.unwrap_err(), "not_found");
}
