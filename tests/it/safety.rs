//! How sure an operator must be: what each level asks for, through the admin socket and on the command line.

use serde_json::{Value, json};

use crate::harness::{Server, wait_for};

const REASON: &str = "lost phone, HD-4711";
const ADA: &str = "ada@example.com";

/// A whole proof for level 3.
fn proof() -> Value {
    json!({"reason": REASON, "verified_by": "call-back", "confirm": "ada"})
}

/// Ada with a factor, codes, sessions and a key.
fn with_ada(server: &Server) -> String {
    let (_, client) = server.logged_in(ADA);
    client.enrol(server);
    client.new_backup_codes();
    server.key_of(&client, &["user:read"]);
    server.cli(&["key", "list", ADA, "--json"]).json()[0]["id"].as_str().unwrap().to_owned()
}

/// The writes of level 3 and what each takes beside user and proof.
fn most_dangerous() -> Vec<(&'static str, Value)> {
    vec![
        ("reset_two_factor", json!({"keep_sessions": false, "revoke_keys": false, "dry_run": false})),
        ("revoke_backup_codes", json!({})),
        ("revoke_sessions", json!({"id": null})),
        ("revoke_all_api_keys", json!({})),
        ("demand_re_enrolment", json!({"from": null})),
    ]
}

/// The others that ask for a reason.
fn less_dangerous(key: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("unlock_two_factor", json!({})),
        ("resend_verification", json!({})),
        ("cancel_email_change_of", json!({})),
        ("revoke_sessions", json!({"id": "00000000-0000-0000-0000-000000000000"})),
        ("revoke_api_key", json!({"id": key})),
        ("roll_api_key_of", json!({"id": key})),
        ("send_two_factor_reset_link", json!({})),
        ("start_enrolment", json!({})),
        ("confirm_enrolment", json!({"code": "123456"})),
        ("set_user_active", json!({"active": false})),
    ]
}

fn refusal(server: &Server, operation: &str, rest: &Value, proof: &Value) -> String {
    let mut body = json!({"user": ADA, "proof": proof});
    for (name, value) in rest.as_object().unwrap() {
        body[name] = value.clone();
    }
    match server.operate(operation, &body) {
        Ok(reply) => panic!("{operation} was done: {reply}"),
        Err(code) => code,
    }
}

/// Every write refuses what its level asks for and did not get, and nothing changes.
#[test]
fn the_operations_ask_for_what_their_level_says() {
    let server = Server::start();
    let key = with_ada(&server);
    let before = server.cli(&["user", "show", ADA, "--json"]).json();
    for (operation, rest) in most_dangerous().iter().chain(&less_dangerous(&key)) {
        for reason in ["", "       ", "short", "12345678", "HD-4711 12"] {
            let mut proof = proof();
            proof["reason"] = reason.into();
            assert_eq!(refusal(&server, operation, rest, &proof), "reason_too_short", "{operation} {reason:?}");
        }
    }
    for (operation, rest) in &most_dangerous() {
        for (field, values, code) in [
            ("verified_by", [json!(null), json!(""), json!("  ")], "caller_check_needed"),
            ("confirm", [json!(null), json!("ad"), json!("ada@example.com")], "confirmation_wrong"),
        ] {
            for value in values {
                let mut proof = proof();
                proof[field] = value.clone();
                assert_eq!(refusal(&server, operation, rest, &proof), code, "{operation} {field} {value}");
            }
        }
    }
    assert_eq!(server.cli(&["user", "show", ADA, "--json"]).json(), before);
}

/// A proof of another person is none.
#[test]
fn the_confirmation_is_for_one_user() {
    let server = Server::start();
    with_ada(&server);
    let (_, bob) = server.logged_in("bob@example.com");
    bob.enrol(&server);
    let body = json!({"user": "bob@example.com", "proof": proof(), "id": null});
    assert_eq!(server.operate("revoke_sessions", &body).unwrap_err(), "confirmation_wrong");
}

/// With all that is asked for it is done, and the trail has it.
#[test]
fn a_whole_proof_is_on_record() {
    let server = Server::start();
    with_ada(&server);
    for (operation, rest) in most_dangerous().into_iter().rev() {
        let mut body = json!({"user": ADA, "proof": proof()});
        for (name, value) in rest.as_object().unwrap() {
            body[name] = value.clone();
        }
        server.operate(operation, &body).unwrap_or_else(|code| panic!("{operation}: {code}"));
        let row = server.newest_entry();
        assert_eq!((&row["reason"], &row["verified_by"]), (&json!(REASON), &json!("call-back")), "{row}");
        assert_eq!(row["actor"]["name"], "test", "{row}");
    }
}

/// The command line asks for the same; a script says `--yes`, and that is on record.
#[test]
fn the_command_line_obeys_the_levels() {
    let server = Server::start();
    with_ada(&server);
    let commands = [
        vec!["key", "revoke", ADA, "--all"],
        vec!["session", "revoke", ADA, "--all"],
        vec!["2fa", "codes", ADA, "--revoke"],
        vec!["2fa", "demand", ADA],
        vec!["2fa", "reset", ADA],
    ];
    for command in &commands {
        let with = |more: &[&'static str]| server.cli(&[command, more].concat());
        assert!(with(&["--reason", REASON]).is(2).err.contains("--yes"), "{command:?}");
        assert!(with(&["--reason", "short", "--yes"]).is(4).err.contains("eight letters"), "{command:?}");
    }
    for (at, command) in commands.iter().enumerate() {
        let more: &[&str] = if at % 2 == 0 { &["--verified-by", "in person"] } else { &[] };
        server.cli(&[command, &["--reason", REASON, "--yes"][..], more].concat()).is(0);
        let said = if at % 2 == 0 { "in person" } else { "not stated (--yes)" };
        assert_eq!(server.newest_entry()["verified_by"], said, "{command:?}");
    }
}

/// Nobody does it to the own second factor.
#[test]
fn nobody_resets_the_own_second_factor() {
    let server = Server::start();
    let (_, client) = server.logged_in(ADA);
    client.enrol(&server);
    client.new_backup_codes();
    let staff = server.login(&server.staff("grace@example.com"));
    staff.enrol(&server);
    let reset = |name: &str, user: &str| {
        let confirm = user.split('@').next();
        let proof = json!({"reason": REASON, "verified_by": "call-back", "confirm": confirm});
        let body =
            json!({"user": user, "proof": proof, "keep_sessions": false, "revoke_keys": false, "dry_run": false});
        server.operate_as(name, "reset_two_factor", &body).map(|reply| reply["totp_removed"].clone())
    };
    let own = Err("own_second_factor".to_owned());
    assert_eq!(reset("ada@example.com", ADA), own);
    assert_eq!(reset("Ada@Example.COM", ADA), own);
    assert_eq!(reset("grace", "grace@example.com"), own);
    assert_eq!(reset("GRACE", "grace@example.com"), own);
    for command in [
        vec!["2fa", "reset", ADA, "--yes"],
        vec!["2fa", "reset", ADA, "--send-link"],
        vec!["2fa", "codes", ADA, "--revoke", "--yes"],
        vec!["2fa", "enrol", ADA],
    ] {
        let refused = server.cli(&[&command[..], &["--reason", REASON, "--operator", ADA]].concat()).is(4);
        assert!(refused.err.contains("own second factor"), "{refused:?}");
    }
    // A name that many have is no claim to be a user who is not of staff.
    assert_eq!(reset("ada", ADA), Ok(json!(true)));
    assert_eq!(reset("ada@example.com", "grace@example.com"), Ok(json!(true)));
}

/// `admin.reason_pattern`: each reason names a ticket.
#[test]
fn a_pattern_for_reasons_is_enforced() {
    let server = Server::builder().setting("admin.reason_pattern", "'\\bHD-\\d{4}\\b'").start();
    with_ada(&server);
    let unlock = |reason: &str| server.cli(&["2fa", "unlock", ADA, "--reason", reason, "--json"]);
    let refused = unlock("typed wrong codes").is(4);
    assert!(refused.err.contains("reason_pattern") && refused.err.contains("HD-"), "{refused:?}");
    let body =
        json!({"user": ADA, "proof": {"reason": "typed wrong codes, HD-47", "verified_by": null, "confirm": null}});
    assert_eq!(server.operate("unlock_two_factor", &body).unwrap_err(), "reason_pattern");
    unlock("typed wrong codes, HD-4711").is(0);
}

/// The old device stays valid until the day, and its owner is told.
#[test]
fn a_new_device_is_demanded_by_a_day() {
    let server = Server::with_mail();
    let (person, client) = server.logged_in(ADA);
    let mut authenticator = client.enrol(&server);
    let demand = |more: &[&str]| {
        let base = ["2fa", "demand", ADA, "--reason", "new rule for staff", "--verified-by", "manager", "--yes"];
        server.cli(&[&base[..], more].concat())
    };
    assert!(demand(&["--from", "tomorrow"]).is(2).err.contains("2026-11-25"));
    assert!(demand(&["--from", "800d"]).is(4).err.contains("a year ahead"));
    demand(&["--from", "2d"]).is(0);
    let mail = server.wait_for_mail(ADA, "Set up a new authenticator");
    assert!(mail.text.contains("goes on working"), "{mail:?}");
    let row = server.newest_entry();
    assert_eq!((&row["event"], &row["verified_by"]), (&json!("two_factor.enrolment_demanded"), &json!("manager")));
    assert_eq!(row["details"][0][0], "from", "{row}");
    let mut login = || {
        let login = server.client();
        login.login(&person).wants_second_factor();
        server.advance(30);
        login.post("/api/login/token", json!({"token": authenticator.code(&server)})).is(200);
        login
    };
    login().get("/api/personal_api_keys").is(200);
    let status = server.cli(&["2fa", "status", ADA]).is(0).out;
    assert!(status.contains("must enrol") && status.contains("from 20"), "{status}");
    server.advance(2 * 86_400);
    let late = login();
    let refused = late.get("/api/personal_api_keys").is(403).json();
    assert_eq!(refused["code"], "two_factor_setup_required");
    late.enrol(&server);
    late.get("/api/personal_api_keys").is(200);
}

/// Flow 6, without a day: at once.
#[test]
fn a_new_device_is_demanded_at_once() {
    let server = Server::start();
    let (_, client) = server.logged_in(ADA);
    client.enrol(&server);
    client.get("/api/personal_api_keys").is(200);
    let body = json!({"user": ADA, "proof": proof(), "from": null});
    server.operate("demand_re_enrolment", &body).unwrap();
    let refused = client.get("/api/personal_api_keys").is(403).json();
    assert_eq!(refused["code"], "two_factor_setup_required");
    client.enrol(&server);
    client.get("/api/personal_api_keys").is(200);
}

/// Drift, where wrong codes came from, unlocks, the last mails.
#[test]
fn the_detail_says_what_a_caller_is_asked_about() {
    let server = Server::with_mail();
    server.go_to_the_middle_of_a_step();
    let (person, client) = server.logged_in(ADA);
    let mut authenticator = client.enrol(&server);
    let detail = || server.cli(&["user", "show", ADA, "--json"]).json();
    let factor = || detail()["factor"].clone();
    assert_eq!(factor()["last_drift_steps"], json!(null));
    server.advance(30);
    let login = server.client();
    login.login(&person).wants_second_factor();
    login.post("/api/login/token", json!({"token": authenticator.code(&server)})).is(200);
    assert_eq!(factor()["last_drift_steps"], 0, "{}", factor());

    assert_eq!((&factor()["failures_since"], &factor()["locked_from"]), (&json!(null), &json!(null)));
    let login = server.client();
    login.login(&person).wants_second_factor();
    login.post("/api/login/token", json!({"token": authenticator.wrong_code(&server)})).is(400);
    let began = factor()["failures_since"].as_str().unwrap().to_owned();
    server.advance(10);
    login.post("/api/login/token", json!({"token": authenticator.wrong_code(&server)})).is(400);
    assert_eq!((&factor()["failures_since"], &factor()["locked_from"]), (&json!(began), &json!("127.0.0.1")));

    for unlocked in 1..=2 {
        server.cli(&["2fa", "unlock", ADA, "--reason", "typed wrong codes"]).is(0);
        assert_eq!(detail()["unlocked_today"], unlocked);
    }
    assert_eq!(factor()["locked_from"], json!(null));
    server.advance(86_401);
    assert_eq!(detail()["unlocked_today"], 0);

    for _ in 0..3 {
        let proof = json!({"reason": REASON, "verified_by": "call-back", "confirm": "ada"});
        server.operate("demand_re_enrolment", &json!({"user": ADA, "proof": proof, "from": null})).unwrap();
    }
    let mails = wait_for("three mails with the mail server", || {
        let mails = detail()["mails"].as_array().unwrap().clone();
        assert_eq!(mails.len(), 3, "no more than three");
        mails.iter().all(|mail| mail["state"] == "handed_over").then_some(mails)
    });
    for mail in mails {
        assert_eq!((&mail["kind"], &mail["to"]), (&json!("enrolment_demanded"), &json!(ADA)));
        assert!(mail["error"].is_null() && mail["at"].is_string(), "{mail}");
    }
    let own = server.cli(&["user", "show", ADA, "--json", "--operator", ADA]).json();
    assert!(own["warnings"].to_string().contains("this is you"), "{own}");
}

/// Flow 8: the mail server's answer.
#[test]
fn a_mail_that_fails_says_why() {
    let server = Server::builder()
        .setting("email.transport", "smtp")
        .setting("email.smtp.host", "127.0.0.1")
        .setting("email.smtp.port", "1")
        .setting("email.smtp.tls", "none")
        .start();
    let (_, client) = server.logged_in(ADA);
    client.enrol(&server);
    let mail = wait_for("a failed attempt", || {
        let mail = server.cli(&["user", "show", ADA, "--json"]).json()["mails"][0].clone();
        mail["error"].is_string().then_some(mail)
    });
    assert_eq!((&mail["kind"], &mail["state"]), (&json!("two_factor_enabled"), &json!("queued")), "{mail}");
}
