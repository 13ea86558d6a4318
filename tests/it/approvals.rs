//! The second operator: what is done to staff and cannot be taken back waits until another approves it.

use serde_json::{Value, json};

use crate::harness::{Server, wait_for};

const GRACE: &str = "grace@example.com";
const REASON: &str = "lost phone, HD-4711";

/// A server that wants two operators, with two of staff; Grace has a factor and codes.
fn with_grace() -> Server {
    let server = Server::builder().setting("admin.second_operator", "true").mail_file().start();
    let client = server.login(&server.staff(GRACE));
    client.enrol(&server);
    client.new_backup_codes();
    server.key_of(&client, &["user:read"]);
    server.staff("other@example.com");
    server
}

fn body(user: &str) -> Value {
    let confirm = user.split('@').next();
    let proof = json!({"reason": REASON, "verified_by": "call-back", "confirm": confirm});
    json!({"user": user, "proof": proof, "keep_sessions": false, "revoke_keys": false, "dry_run": false, "id": null,
        "from": null})
}

fn ask(server: &Server, operation: &str) -> String {
    assert_eq!(server.operate_as("jdoe", operation, &body(GRACE)).unwrap_err(), "approval_needed", "{operation}");
    let waiting = server.operate("list_approvals", &json!({})).unwrap();
    waiting.as_array().unwrap().last().unwrap()["id"].as_str().unwrap().to_owned()
}

fn approve(server: &Server, name: &str, id: &str) -> Result<Value, String> {
    server.operate_as(name, "approve_act", &json!({"id": id}))
}

fn detail<'a>(row: &'a Value, name: &str) -> &'a str {
    let details = row["details"].as_array().unwrap();
    let found = details.iter().find(|detail| detail[0] == name);
    found.unwrap_or_else(|| panic!("no {name}: {row}"))[1].as_str().unwrap()
}

fn state(server: &Server) -> Value {
    server.cli(&["2fa", "status", GRACE, "--json"]).json()["factor"]["state"].clone()
}

/// One asks, another approves; both are in the entry of what was done.
#[test]
fn two_operators_reset_one_of_staff() {
    let server = with_grace();
    let refused = server
        .cli(&[
            "2fa",
            "reset",
            GRACE,
            "--reason",
            REASON,
            "--yes",
            "--verified-by",
            "call-back",
            "--keep-sessions",
            "--operator",
            "jdoe",
        ])
        .is(4);
    let waiting = server.cli(&["2fa", "approve", "--list", "--json"]).json();
    let row = &waiting[0];
    let id = row["id"].as_str().unwrap();
    assert!(refused.err.contains(&format!("doorward 2fa approve {id}")), "{refused:?}");
    assert_eq!(
        (&row["operation"], &row["email"], &row["reason"]),
        (&json!("reset_two_factor"), &json!(GRACE), &json!(REASON))
    );
    assert!(row["asked_by"].as_str().unwrap().starts_with("jdoe (uid "), "{row}");
    assert_eq!((&row["verified_by"], &row["options"]), (&json!("call-back"), &json!(["keeps sessions"])));
    assert_eq!((state(&server), server.newest_entry()["event"].clone()), (json!("on"), json!("approval.asked")));
    let listed = server.cli(&["2fa", "approve", "--list"]).is(0).out;
    assert!(listed.contains(id) && listed.contains("jdoe"), "{listed}");
    assert!(listed.contains("keeps sessions; checked: call-back"), "{listed}");

    // Neither who asked nor whom it is about.
    for (name, words) in
        [("jdoe", "another operator"), ("JDOE", "another operator"), ("grace", "own account"), (GRACE, "own account")]
    {
        let refused = server.cli(&["2fa", "approve", id, "--operator", name]).is(4);
        assert!(refused.err.contains(words), "{refused:?}");
    }
    assert_eq!(approve(&server, "jdoe", id).unwrap_err(), "own_approval");
    for (name, is_own) in [("jdoe", true), ("JDOE", true), ("mrossi", false)] {
        let waiting = server.operate_as(name, "list_approvals", &json!({})).unwrap();
        assert_eq!(waiting[0]["is_own"], is_own, "{name}: {waiting}");
    }
    assert_eq!(approve(&server, "grace", id).unwrap_err(), "own_second_factor");
    assert_eq!(state(&server), "on");

    server.cli(&["2fa", "approve", id, "--operator", "mrossi"]).is(0);
    assert_eq!(state(&server), "enrol");
    let row = server.newest_entry();
    assert_eq!((&row["event"], &row["actor"]["name"]), (&json!("two_factor.reset"), &json!("mrossi")), "{row}");
    assert_eq!((&row["reason"], &row["verified_by"]), (&json!(REASON), &json!("call-back")), "{row}");
    assert!(detail(&row, "asked_by").starts_with("jdoe (uid ") && detail(&row, "approval") == id, "{row}");
    server.wait_for_mail(GRACE, "two-factor authentication was reset");
    let refused = server.cli(&["2fa", "approve", id, "--operator", "mrossi"]).is(3);
    assert!(refused.err.contains("nothing waits"), "{refused:?}");
    assert!(server.cli(&["2fa", "approve", "--list"]).is(0).out.starts_with("nothing waits"));
}

/// Every act of level 3, and none of the others; and only for staff.
#[test]
fn what_waits_for_a_second_operator() {
    let server = with_grace();
    for operation in
        ["revoke_backup_codes", "revoke_all_api_keys", "demand_re_enrolment", "revoke_sessions", "reset_two_factor"]
    {
        let id = ask(&server, operation);
        approve(&server, "mrossi", &id).unwrap_or_else(|code| panic!("{operation}: {code}"));
        assert_eq!(detail(&server.newest_entry(), "approval"), id);
    }
    server.operate_as("jdoe", "unlock_two_factor", &body(GRACE)).unwrap();
    let (_, ada) = server.logged_in("ada@example.com");
    ada.enrol(&server);
    server.operate_as("jdoe", "reset_two_factor", &body("ada@example.com")).unwrap();
    // What it would do can be looked at.
    let mut preview = body(GRACE);
    preview["dry_run"] = true.into();
    server.operate_as("jdoe", "reset_two_factor", &preview).unwrap();
}

/// Nothing that one operator does alone to a staff user gets around the second one.
#[test]
fn nobody_gets_around_the_second_operator() {
    let server = with_grace();
    let key = server.cli(&["key", "list", GRACE, "--json"]).json()[0]["id"].as_str().unwrap().to_owned();
    for (operation, more) in [
        ("set_user", json!({"is_staff": false})),
        ("set_user", json!({"email": "thief@example.com"})),
        ("set_user", json!({"is_verified": false})),
        ("set_user", json!({"password": "another long secret phrase"})),
        ("create_api_key_for", json!({"fields": {"label": "mine", "scopes": ["*"]}})),
        ("set_api_key", json!({"id": key, "fields": {"scopes": ["*"]}})),
        ("roll_api_key_of", json!({"id": key, "proof": {"reason": REASON}})),
    ] {
        let mut body = more;
        body["user"] = GRACE.into();
        assert_eq!(server.operate_as("jdoe", operation, &body).unwrap_err(), "second_operator_needed", "{body}");
    }
    // A device that one operator puts in place is a factor of that operator's; without one it is the user's to enrol.
    server.staff("new@example.com");
    for operation in ["start_enrolment", "confirm_enrolment"] {
        let body = json!({"user": "new@example.com", "code": "123456", "proof": {"reason": REASON}});
        assert_eq!(server.operate_as("jdoe", operation, &body).unwrap_err(), "second_operator_needed", "{operation}");
    }
    // What opens nothing needs nobody; and others than staff are changed as ever.
    server.operate_as("jdoe", "set_user", &json!({"user": GRACE, "first_name": "Grace", "is_staff": true})).unwrap();
    server.user("ada@example.com");
    let password = "another long secret phrase";
    server.operate_as("jdoe", "set_user", &json!({"user": "ada@example.com", "password": password})).unwrap();

    let mut asked = body(GRACE);
    asked["active"] = false.into();
    for (operation, text) in [("send_two_factor_reset_link", "queued"), ("set_user_active", "cannot log in")] {
        assert_eq!(server.operate_as("jdoe", operation, &asked).unwrap_err(), "approval_needed", "{operation}");
        let id = server.operate("list_approvals", &json!({})).unwrap()[0]["id"].as_str().unwrap().to_owned();
        let done = approve(&server, "mrossi", &id).unwrap();
        assert!(done["summary"].as_str().unwrap().contains(text), "{done}");
    }
}

/// A proof that is not enough asks for nothing.
#[test]
fn only_a_whole_proof_is_asked_about() {
    let server = with_grace();
    let mut wrong = body(GRACE);
    wrong["proof"]["confirm"] = "ada".into();
    assert_eq!(server.operate_as("jdoe", "reset_two_factor", &wrong).unwrap_err(), "confirmation_wrong");
    assert_eq!(server.operate_as("grace", "reset_two_factor", &body(GRACE)).unwrap_err(), "own_second_factor");
    assert_eq!(server.operate("list_approvals", &json!({})).unwrap(), json!([]));
}

/// It lapses after a quarter of an hour, can be turned down, and is swept.
#[test]
fn what_nobody_approves_lapses() {
    let mut server = with_grace();
    let lapsing = ask(&server, "reset_two_factor");
    server.advance(14 * 60);
    let refused = ask(&server, "revoke_backup_codes");
    assert_eq!(server.operate("list_approvals", &json!({})).unwrap().as_array().unwrap().len(), 2);
    assert!(server.cli(&["2fa", "refuse", &refused, "--reason", "no"]).is(4).err.contains("eight letters"));
    server.cli(&["2fa", "refuse", &refused, "--reason", "did not call back", "--operator", "mrossi"]).is(0);
    let row = server.newest_entry();
    assert_eq!((&row["event"], detail(&row, "operation")), (&json!("approval.refused"), "revoke_backup_codes"));
    assert_eq!(approve(&server, "mrossi", &refused).unwrap_err(), "not_found");
    server.advance(61);
    assert_eq!(approve(&server, "mrossi", &lapsing).unwrap_err(), "not_found");
    assert_eq!(server.operate("list_approvals", &json!({})).unwrap(), json!([]));
    assert_eq!(state(&server), "on");
    // What waits outlives a restart; the sweep at the start takes what has lapsed.
    let kept = ask(&server, "reset_two_factor");
    server.stop();
    server.start_again();
    wait_for("a restarted server", || server.operate("list_approvals", &json!({})).ok());
    approve(&server, "mrossi", &kept).unwrap();
    assert_eq!(state(&server), "enrol");
}

/// Two who approve at the same time, and one who turns it down: one of them wins.
#[test]
fn of_many_who_decide_one_wins() {
    for _ in 0..3 {
        let server = with_grace();
        let id = ask(&server, "reset_two_factor");
        let outcomes: Vec<Result<Value, String>> = std::thread::scope(|scope| {
            let (server, id) = (&server, &id);
            let decide = move |number: usize| {
                let name = format!("operator{number}");
                if number % 4 == 3 {
                    return server.operate_as(&name, "refuse_act", &json!({"id": id, "reason": "did not call back"}));
                }
                approve(server, &name, id)
            };
            let calls: Vec<_> = (0..12).map(|number| scope.spawn(move || decide(number))).collect();
            calls.into_iter().map(|call| call.join().unwrap()).collect()
        });
        let won = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(won, 1, "{outcomes:?}");
        assert!(outcomes.iter().all(|outcome| outcome.as_ref().err().is_none_or(|code| code == "not_found")));
        let decided = |event: &str| {
            let page = server.cli(&["audit", "list", "--event", event, "--json"]).json();
            page["rows"].as_array().unwrap().len()
        };
        assert_eq!(decided("two_factor.reset") + decided("approval.refused"), 1);
    }
}

/// Staff do not get around it over HTTP.
#[test]
fn staff_do_not_disable_each_other_over_http() {
    let server = with_grace();
    let person = server.staff("third@example.com");
    let uuid = server.cli(&["user", "show", GRACE, "--json"]).json()["row"]["uuid"].as_str().unwrap().to_owned();
    let staff = server.login(&person);
    staff.post(&format!("/api/users/{uuid}/two_factor_disable"), json!({})).is(403);
    for change in [json!({"is_staff": false}), json!({"email": "thief@example.com"})] {
        staff.patch(&format!("/api/users/{uuid}"), change).is(403);
    }
    assert_eq!(state(&server), "on");
}

/// Without the setting nothing waits.
#[test]
fn one_operator_is_enough_by_default() {
    let server = Server::start();
    let client = server.login(&server.staff(GRACE));
    client.enrol(&server);
    server.operate_as("jdoe", "reset_two_factor", &body(GRACE)).unwrap();
    assert_eq!(state(&server), "enrol");
}
