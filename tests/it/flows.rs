//! Spec §4.3 to §4.7 and §4.10: the variations of the flows, and the mails they send.

use serde_json::{Value, json};

use crate::harness::{Authenticator, Client, Mail, PASSWORD, Person, Server};

const ME: &str = "/api/users/@me";
const TOKEN: &str = "/api/login/token";
const VERIFY: &str = "/api/users/verify_email";
const REQUEST: &str = "/api/users/request_email_verification";
const SUCCESS: &str = r#"{"success":true}"#;
const SUBJECT: &str = "Verify your email address";

fn first_step(server: &Server, person: &Person) -> Client {
    let client = server.client();
    client.login(person).wants_second_factor();
    client
}

fn stage(server: &Server, client: &Client, email: &str) -> Mail {
    client.patch(ME, json!({"email": email})).is(200);
    server.wait_for_mail(email, SUBJECT)
}

/// The same account under another address.
fn at(person: &Person, email: &str) -> Person {
    Person { email: email.to_owned(), ..person.clone() }
}

// ---- login ------------------------------------------------------------------------------------------------------

/// Spec §4.3: codes of the steps before and after are accepted at login, those beyond are not.
#[test]
fn a_login_takes_codes_one_step_each_way() {
    for (away, is_accepted) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
        let server = Server::start();
        let (person, client) = server.logged_in("ada@example.com");
        let authenticator = client.enrol(&server);
        server.advance(120);
        server.go_to_the_middle_of_a_step();
        let code = authenticator.code_of(server.now() / 30 + away);
        first_step(&server, &person).post(TOKEN, json!({"token": code})).is(if is_accepted { 200 } else { 400 });
    }
}

/// Spec §4.3, W-17: after a code of a later step, earlier ones count as used.
#[test]
fn an_older_code_is_refused_after_a_newer_one() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let authenticator = client.enrol(&server);
    server.advance(120);
    server.go_to_the_middle_of_a_step();
    let step = server.now() / 30;
    let token = |step: i64| first_step(&server, &person).post(TOKEN, json!({"token": authenticator.code_of(step)}));
    token(step).is(200);
    token(step - 1).is_invalid("2fa_invalid", "Invalid authentication code", None);
}

/// Spec §4.3, W-36: a wrong code leaves the pending login alive, a right one uses it up.
#[test]
fn a_pending_login_survives_a_wrong_code() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let mut authenticator = client.enrol(&server);
    let login = first_step(&server, &person);
    login.post(TOKEN, json!({"token": authenticator.wrong_code(&server)})).is(400);
    server.advance(3);
    let copy = login.copy();
    login.post(TOKEN, json!({"token": authenticator.code(&server)})).is_body(200, SUCCESS);
    for replay in [login, copy] {
        let again = replay.post(TOKEN, json!({"token": authenticator.code(&server)}));
        again.is_invalid("2fa_expired", "Login attempt has expired. Re-enter username/password.", None);
    }
}

/// Spec §4.3, last row: the account was deactivated or reset between the two steps.
#[test]
fn a_pending_login_ends_with_the_account() {
    let expired = "Login attempt has expired. Re-enter username/password.";
    for arguments in [
        ["user", "deactivate", "ada@example.com", "--reason", "left the company"].as_slice(),
        ["2fa", "reset", "ada@example.com", "--reason", "lost the phone", "--yes"].as_slice(),
    ] {
        let server = Server::start();
        let (person, client) = server.logged_in("ada@example.com");
        let mut authenticator = client.enrol(&server);
        let login = first_step(&server, &person);
        server.cli(arguments).is(0);
        login.post(TOKEN, json!({"token": authenticator.code(&server)})).is_invalid("2fa_expired", expired, None);
    }
}

/// Spec §4.3: the remember cookie is good for its own account only, and not after an operator's reset.
#[test]
fn a_remember_cookie_is_bound_to_account_and_device() {
    let server = Server::start();
    let (ada, ada_client) = server.logged_in("ada@example.com");
    let (bob, bob_client) = server.logged_in("bob@example.com");
    let mut authenticator = ada_client.enrol(&server);
    bob_client.enrol(&server);
    let login = first_step(&server, &ada);
    login.post(TOKEN, json!({"token": authenticator.code(&server)})).is(200);
    login.post("/api/logout", json!({})).is(204);
    login.copy().login(&bob).wants_second_factor();
    login.copy().login(&ada).is(200);

    let setup = ada_client.enrol(&server);
    drop(setup);
    login.copy().login(&ada).wants_second_factor();
}

/// Spec §4.4: with no backup codes left TOTP still works, and the count is right all the way.
#[test]
fn without_backup_codes_totp_still_works() {
    let server = Server::builder().setting("limits.two_factor_login", "1000/20m").start();
    let (person, client) = server.logged_in("ada@example.com");
    let mut authenticator = client.enrol(&server);
    let codes = client.new_backup_codes();
    for (used, code) in codes.iter().rev().enumerate() {
        let login = first_step(&server, &person);
        login.post(TOKEN, json!({"token": code, "remember": false})).is_body(200, SUCCESS);
        let status = login.get("/api/users/@me/two_factor_status").is(200).json();
        assert_eq!(status["backup_codes_remaining"], 9 - used, "any order");
    }
    let login = first_step(&server, &person);
    login.post(TOKEN, json!({"token": authenticator.code(&server)})).is_body(200, SUCCESS);
}

/// Changed parameters of the password hash are applied at the next login.
#[test]
fn a_password_is_hashed_anew_when_the_parameters_change() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let with = |iterations: &str| {
        let builder = Server::builder().setting("server.data_dir", data.to_str().unwrap());
        builder.setting("password.iterations", iterations).start()
    };
    let stored = |words: &str| {
        let files = walk(&data.join("store"));
        files.iter().any(|file| std::fs::read(file).unwrap().windows(words.len()).any(|w| w == words.as_bytes()))
    };
    let mut server = with("1");
    let person = server.user("ada@example.com");
    let session = server.login(&person);
    server.stop();
    assert!(stored("$argon2id$v=19$m=64,t=1,p=1$") && !stored("m=64,t=2,p=1"), "the store is where this test looks");

    let mut server = with("2");
    let known = server.client();
    known.set_cookie("sessionid", &session.cookie("sessionid").unwrap());
    known.get(ME).is(200);
    server.login(&person).get(ME).is(200);
    known.get(ME).is(200);
    server.login(&person);
    server.stop();
    assert!(stored("$argon2id$v=19$m=64,t=2,p=1$"), "hashed anew");
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

// ---- addresses --------------------------------------------------------------------------------------------------

/// Spec §3.3: the verification logs in as the user that it names, whoever the cookie belonged to.
#[test]
fn verifying_replaces_the_session() {
    let server = Server::with_mail();
    let ada = server.person("ada@example.com", &[]);
    let (_, client) = server.logged_in("bob@example.com");
    let old = client.copy();
    server.client().post(REQUEST, json!({"uuid": ada.uuid})).is(200);
    let mail = server.wait_for_mail("ada@example.com", SUBJECT);
    let reply = client.post(VERIFY, json!({"uuid": ada.uuid, "token": mail.token()})).is(200);
    for (name, flag) in [("sessionid=", "HttpOnly"), ("posthog_csrftoken=", "SameSite=Lax")] {
        assert!(reply.set_cookie(name).unwrap().contains(flag), "{reply:?}");
    }
    assert_eq!(client.me()["email"], "ada@example.com");
    old.get(ME).is_anonymous();
}

/// Spec §3.3: what a token is bound to: a login in between kills it. W-37: a newer one kills an older one.
#[test]
fn a_token_dies_with_the_facts_it_was_made_for() {
    let server = Server::with_mail();
    let (person, client) = server.logged_in("ada@example.com");
    let mail = stage(&server, &client, "new@example.com");
    server.login(&person);
    let verify = |body: Value| server.client().post(VERIFY, body);
    let token_detail = "This verification token is invalid or has expired.";
    let code_detail = "This code is invalid or has expired.";
    let by_token = verify(json!({"uuid": person.uuid, "token": mail.token()}));
    by_token.is_invalid("invalid_token", token_detail, Some("token"));
    verify(json!({"uuid": person.uuid, "code": mail.code()})).is_invalid("invalid_code", code_detail, Some("code"));

    server.client().post(REQUEST, json!({"uuid": person.uuid})).is(200);
    let second = server.wait_for_mails("new@example.com", SUBJECT, 2).pop().unwrap();
    server.client().post(REQUEST, json!({"uuid": person.uuid})).is(200);
    let third = server.wait_for_mails("new@example.com", SUBJECT, 3).pop().unwrap();
    let by_token = verify(json!({"uuid": person.uuid, "token": second.token()}));
    by_token.is_invalid("invalid_token", token_detail, Some("token"));
    verify(json!({"uuid": person.uuid, "code": third.code()})).is_body(200, SUCCESS);
}

/// Spec §3.3 (Era C): codes are folded: wide digits, hyphens, invisible characters, and numbers.
#[test]
fn a_code_may_be_typed_in_many_ways() {
    let server = Server::builder().mail_file().setting("limits.verify_email", "1000/20m").start();
    let wide = |code: &str| -> String {
        code.chars().map(|c| char::from_u32(u32::from(c) - u32::from('0') + 0xff10).unwrap()).collect()
    };
    for (n, form) in [0, 1, 2].into_iter().enumerate() {
        let email = format!("ada{n}@example.com");
        let person = server.person(&email, &[]);
        server.client().post(REQUEST, json!({"uuid": person.uuid})).is(200);
        let mail = server.wait_for_mail(&email, SUBJECT);
        let code = mail.code();
        let typed = match form {
            0 => json!(wide(code)),
            1 => json!(format!("{}\u{200b} - {}", &code[..2], &code[2..])),
            _ => json!(code.parse::<u32>().unwrap()),
        };
        server.client().post(VERIFY, json!({"uuid": person.uuid, "code": typed})).is(200);
    }
}

/// Spec §5, settings: what a verification mail carries.
#[test]
fn a_verification_mail_carries_what_is_set() {
    for (setting, has_link, has_code) in [("token", true, false), ("code", false, true), ("both", true, true)] {
        let server = Server::builder().mail_file().setting("email.verification", setting).start();
        let person = server.person("ada@example.com", &[]);
        server.client().post(REQUEST, json!({"uuid": person.uuid})).is(200);
        let mail = server.wait_for_mail("ada@example.com", SUBJECT);
        let is_code = |line: &str| line.trim().len() == 6 && line.trim().bytes().all(|byte| byte.is_ascii_digit());
        assert_eq!(mail.text.lines().any(is_code), has_code, "{setting}: {}", mail.text);
        for text in [&mail.text, &mail.html] {
            assert_eq!(text.contains("verify_email"), has_link, "{setting}: {text}");
        }
    }
}

/// Spec §3.3: an inactive account is as good as none.
#[test]
fn an_inactive_account_verifies_nothing() {
    let server = Server::with_mail();
    let person = server.person("ada@example.com", &[]);
    server.client().post(REQUEST, json!({"uuid": person.uuid})).is(200);
    let mail = server.wait_for_mail("ada@example.com", SUBJECT);
    server.cli(&["user", "deactivate", "ada@example.com", "--reason", "left the company"]).is(0);
    let reply = server.client().post(VERIFY, json!({"uuid": person.uuid, "token": mail.token()}));
    reply.is_invalid("invalid_token", "This verification token is invalid or has expired.", Some("token"));
    server.client().post(REQUEST, json!({"uuid": person.uuid})).is_body(200, SUCCESS);
    assert_eq!(server.count_mails("ada@example.com", SUBJECT, "witness@example.com"), 1);
}

/// Spec §4.6: a staged address is no login name, and is verified for one account only.
#[test]
fn two_may_stage_one_address_and_one_gets_it() {
    let server = Server::with_mail();
    let (ada, ada_client) = server.logged_in("ada@example.com");
    let (bob, bob_client) = server.logged_in("bob@example.com");
    let first = stage(&server, &ada_client, "new@example.com");
    bob_client.patch(ME, json!({"email": "new@example.com"})).is(200);
    let second = server.wait_for_mails("new@example.com", SUBJECT, 2).pop().unwrap();
    let (first, second) = if first.link().contains(&ada.uuid) { (first, second) } else { (second, first) };
    server.client().post(VERIFY, json!({"uuid": ada.uuid, "token": first.token()})).is(200);
    let reply = server.client().post(VERIFY, json!({"uuid": bob.uuid, "code": second.code()}));
    assert_eq!(reply.is(400).json()["code"], "email_taken");
    server.login(&bob);
    server.login(&at(&ada, "new@example.com"));
    assert_eq!(bob_client.me()["pending_email"], "new@example.com", "the staged address stays");
}

/// Spec §3.3: a change of address ends the other sessions, but not the one that verifies it.
#[test]
fn a_verified_change_keeps_the_devices_away() {
    let server = Server::with_mail();
    let (person, client) = server.logged_in("ada@example.com");
    client.enrol(&server);
    let mail = stage(&server, &client, "new@example.com");
    let body = json!({"uuid": person.uuid, "token": mail.token()});
    client.post(VERIFY, body).is_body(200, r#"{"success":true,"requires_2fa":true}"#);
    assert_eq!(client.me()["email"], "new@example.com", "the session that verified it stays");
    first_step(&server, &at(&person, "new@example.com"));
}

// ---- passwords --------------------------------------------------------------------------------------------------

/// Spec §4.7: what a password change kills, and what it leaves.
#[test]
fn a_password_change_kills_what_hangs_on_the_old_one() {
    let server = Server::with_mail();
    let (person, client) = server.logged_in("ada@example.com");
    let mut authenticator = client.enrol(&server);
    let device = first_step(&server, &person);
    device.post(TOKEN, json!({"token": authenticator.code(&server)})).is(200);
    let pending = first_step(&server, &person);
    let key = server.key_of(&client, &["*"]);
    let password = format!("{PASSWORD} and more");
    client.patch(ME, json!({"password": password, "current_password": person.password})).is(200);
    client.get(ME).is(200);
    key.get(ME).is(200);
    device.get(ME).is_anonymous();
    let changed = Person { password, ..person };
    device.login(&changed).wants_second_factor();
    pending.post(TOKEN, json!({"token": authenticator.code(&server)})).is(400);
    assert_eq!(client.me()["is_2fa_enabled"], true);
    let mail = server.wait_for_mail("ada@example.com", "Your password has been changed");
    assert!(!mail.text.contains(PASSWORD) && !mail.html.contains(PASSWORD), "{mail:?}");
}

/// Spec §3.4: PUT changes the password with the other fields, or nothing at all.
#[test]
fn a_put_changes_everything_or_nothing() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let password = format!("{PASSWORD} and more");
    let put = |current: &str| {
        let body = json!({"email": person.email, "password": password, "current_password": current,
                          "first_name": "Eve", "theme_mode": "dark"});
        client.put(ME, body)
    };
    put("wrong horse 1").is(400);
    assert_eq!((&client.me()["first_name"], &client.me()["theme_mode"]), (&json!(""), &json!(null)));
    put(&person.password).is(200);
    assert_eq!(client.me()["first_name"], "Eve");
    server.login(&Person { password, ..person.clone() });
}

// ---- staff ------------------------------------------------------------------------------------------------------

/// Spec §3.1, §3.4: what staff may do to others, and whom they may name.
#[test]
fn staff_may_do_this_much() {
    let server = Server::with_mail();
    let (person, client) = server.logged_in("ada@example.com");
    let staff = server.login(&server.staff("staff@example.com"));
    for name in ["01990f5c-1f2e-7000-8b1d-5a0f3b9d2c11", "nonsense", "7"] {
        staff.get(&format!("/api/users/{name}/two_factor_status")).is_not_found();
        staff.post(&format!("/api/users/{name}/two_factor_disable"), json!({})).is_not_found();
        staff.patch(&format!("/api/users/{name}"), json!({})).is_not_found();
        staff.delete(&format!("/api/users/{name}")).is_not_found();
    }
    let path = person.path("").to_uppercase().replace("/API/USERS", "/api/users");
    assert_eq!(staff.get(&path).is(200).json()["email"], "ada@example.com", "case does not matter in a UUID");
    let me = staff.patch(&person.path(""), json!({"first_name": "Ada", "theme_mode": "dark"})).is(200).json();
    assert_eq!((&me["first_name"], &me["uuid"]), (&json!("Ada"), &json!(person.uuid)));
    let reply = staff.patch(&person.path(""), json!({"password": format!("{PASSWORD} by staff")}));
    assert_eq!(reply.is(400).json()["attr"], "current_password", "staff do not know it");
    assert_eq!(client.me()["email"], "ada@example.com");
    staff.delete(&person.path("")).is_body(204, "");
    client.get(ME).is_anonymous();
    server.wait_for_mail("ada@example.com", "deleted");
}

/// Spec §3.1, §3.2: disabling by staff is a reset, which tells the user and names both.
#[test]
fn staff_cannot_disable_with_an_old_login() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    client.enrol(&server);
    let staff = server.login(&server.staff("staff@example.com"));
    server.advance(7_201);
    staff.post(&person.path("/two_factor_disable"), json!({})).wants_reauth();
    assert_eq!(server.cli(&["2fa", "status", "ada@example.com", "--json"]).json()["factor"]["state"], "on");
}

/// Spec §3.1: naming oneself by UUID is the same as `@me`, on every route.
#[test]
fn the_own_uuid_is_as_good_as_me() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    for path in [person.path(""), format!("/api/users/{}", person.uuid.to_uppercase())] {
        let setup = client.get(&format!("{path}/two_factor_start_setup")).is(200).json();
        let code = Authenticator::new(setup["secret"].as_str().unwrap()).code(&server);
        client.post(&format!("{path}/two_factor_validate"), json!({"token": code})).is_body(200, SUCCESS);
        let codes = client.post(&format!("{path}/two_factor_backup_codes"), json!({})).is(200).json();
        let status = client.get(&format!("{path}/two_factor_status")).is(200).json();
        assert_eq!(status["backup_codes"], codes["backup_codes"]);
        client.post(&format!("{path}/two_factor_disable"), json!({})).is_body(200, SUCCESS);
        client.patch(&path, json!({"first_name": "Ada"})).is(200);
    }
    client.put(&person.path(""), json!({})).is_required("email");
    client.delete(&person.path("")).is_body(204, "");
}

/// Spec §3.4: the filters of the list; what is neither true nor false filters nothing.
#[test]
fn the_filters_of_the_list_take_what_they_know() {
    let server = Server::start();
    server.user("ada@example.com");
    let staff = server.login(&server.staff("staff@example.com"));
    let count = |query: &str| staff.get(&format!("/api/users?{query}")).is(200).json()["count"].clone();
    for (query, expected) in [
        ("email=ADA@example.com", 1),
        ("email=ada%40example.com&is_staff=true", 0),
        ("email=nonsense", 0),
        ("email=ada@example.com&limit=1&offset=0", 1),
        ("is_staff=perhaps", 2),
        ("unknown=1", 2),
    ] {
        assert_eq!(count(query), expected, "{query}");
    }
}

/// W-20: an address that nobody has costs a login as much time as one with a wrong password.
#[test]
#[allow(clippy::disallowed_methods, reason = "what is measured is real time")]
fn an_unknown_address_takes_as_long_as_a_known_one() {
    let slow = |name: &str, value: &str| (format!("password.{name}"), value.to_owned());
    let builder = [slow("memory_kib", "32768"), slow("iterations", "4")]
        .into_iter()
        .fold(Server::builder(), |builder, (name, value)| builder.setting(&name, &value));
    let server = builder.start();
    let person = server.user("ada@example.com");
    // The quickest of a few: a loaded machine makes calls slower, never quicker.
    let quickest = |email: &str| {
        let times = (0..4).map(|_| {
            let start = std::time::Instant::now();
            server.client().post("/api/login", json!({"email": email, "password": "wrong horse 1"})).is(400);
            start.elapsed()
        });
        times.min().unwrap()
    };
    let (known, unknown) = (quickest(&person.email), quickest("nobody@example.com"));
    assert!(unknown > known / 4, "{unknown:?} for nobody, {known:?} for somebody");
}

/// Spec §3.2: what other fields a client sends along is of no matter.
#[test]
fn two_factor_calls_read_only_their_fields() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let before = client.me();
    let body = json!({"first_name": "Eve", "email": 7, "password": [], "is_staff": true});
    client.request("POST", "/api/users/@me/two_factor_start_setup").json(body.clone()).send().is(200);
    client.post("/api/users/@me/two_factor_disable", body).is_body(200, SUCCESS);
    assert_eq!(client.me()["first_name"], before["first_name"]);
}

/// Spec §1.6: a cookie that is of use comes before a key in body or query, except where keys are managed.
#[test]
fn the_cookie_comes_before_keys_in_body_and_query() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let (_, bob) = server.logged_in("bob@example.com");
    let key = server.key_of(&bob, &["*"]);
    let query = format!("?personal_api_key={}", key.key());
    assert_eq!(client.get(&format!("{ME}{query}")).is(200).json()["email"], "ada@example.com");
    assert_eq!(client.patch(ME, json!({"personal_api_key": key.key()})).is(200).json()["email"], "ada@example.com");
    let current = client.get(&format!("/api/personal_api_keys/@current{query}")).is(200).json();
    assert_eq!(current["user_id"], bob.me()["id"]);
    client.get(&format!("/api/personal_api_keys{query}")).is(403);
    assert_eq!(client.get("/api/personal_api_keys").is(200).json(), json!([]));
}

// ---- mails ------------------------------------------------------------------------------------------------------

/// Spec §4.10: every mail of the second factor goes to the account's address, says what happened and has no secret.
#[test]
fn every_change_of_the_second_factor_is_mailed() {
    let server = Server::with_mail();
    let (person, client) = server.logged_in("ada@example.com");
    let staff = server.login(&server.staff("staff@example.com"));
    let email = person.email.as_str();
    let authenticator = client.enrol(&server);
    server.wait_for_mail(email, "You've enabled 2FA protection");
    let mut codes = client.new_backup_codes();
    let created = "New backup codes were created for your account";
    assert!(!server.wait_for_mail(email, created).text.contains("no longer work"));
    codes.extend(client.new_backup_codes());
    let replaced = server.wait_for_mails(email, created, 2);
    assert!(replaced.iter().any(|mail| mail.text.contains("The codes from before no longer work.")), "{replaced:?}");
    let revoke = ["2fa", "codes", email, "--revoke", "--yes", "--reason", "the list was photographed"];
    server.cli(&revoke).is(0);
    server.wait_for_mail(email, "Your backup codes were revoked");
    staff.post(&person.path("/two_factor_disable"), json!({})).is(200);
    server.wait_for_mail(email, "Your two-factor authentication was reset");
    let client = server.login(&person);
    client.enrol(&server);
    server.wait_for_mails(email, "You've enabled 2FA protection", 2);
    client.post("/api/users/@me/two_factor_disable", json!({})).is(200);
    server.wait_for_mail(email, "You've disabled 2FA protection");
    for mail in server.mails() {
        assert!(!mail.text.is_empty() && !mail.html.is_empty(), "two parts: {mail:?}");
        for secret in codes.iter().chain([&authenticator.last_code()]) {
            assert!(!mail.text.contains(secret.as_str()), "{mail:?}");
        }
    }
}

/// Spec §4.10: what outlives a change of the password, and what makes an account more or less than it was.
#[test]
fn keys_and_staff_rights_are_mailed() {
    let server = Server::with_mail();
    let (person, client) = server.logged_in("ada@example.com");
    let email = person.email.as_str();
    let made = client.post("/api/personal_api_keys", json!({"label": "CI", "scopes": ["user:read"]})).is(201).json();
    let path = format!("/api/personal_api_keys/{}", made["id"].as_str().unwrap());
    let created = server.wait_for_mail(email, "A new API key was created for your account");
    assert!(created.text.contains("    CI\r\n"), "{created:?}");
    let rolled = client.post(&format!("{path}/roll"), json!({})).is(200).json();
    server.wait_for_mail(email, "An API key of your account got a new value");
    let by_operator =
        server.cli(&["key", "create", "--user", email, "--label", "bot", "--scope", "user:read", "--json"]);
    let by_operator = by_operator.json();
    server.wait_for_mails(email, "A new API key was created for your account", 2);
    client.patch(&path, json!({"label": "builds"})).is(200);

    let staff = server.login(&server.staff("staff@example.com"));
    staff.patch(&person.path(""), json!({"is_staff": true})).is(200);
    server.wait_for_mail(email, "Your account now has staff rights");
    staff.patch(&person.path(""), json!({"is_staff": true, "first_name": "Ada"})).is(200);
    server.cli(&["user", "set", email, "--staff", "false"]).is(0);
    server.wait_for_mail(email, "Your account no longer has staff rights");
    server.cli(&["user", "set", email, "--staff", "false"]).is(0);
    assert_eq!(server.count_mails(email, "staff rights", "witness@example.com"), 2);
    for mail in server.mails() {
        for value in [&made["value"], &rolled["value"], &by_operator["value"]] {
            assert!(!mail.text.contains(value.as_str().unwrap()), "{mail:?}");
        }
    }
}

/// Spec §3.3, §4.10: dropping a staged address sends no mail.
#[test]
fn dropping_a_staged_address_is_not_mailed() {
    let server = Server::with_mail();
    let (_, client) = server.logged_in("ada@example.com");
    stage(&server, &client, "new@example.com");
    client.patch("/api/users/cancel_email_change_request", json!({})).is(200);
    assert_eq!(server.count_mails("ada@example.com", "", "witness@example.com"), 0);
    assert_eq!(server.count_mails("new@example.com", "", "witness2@example.com"), 1);
}

/// Spec §4.10: a new device is mailed once for each kind, not for the first one, and not for a repeated login.
#[test]
fn a_new_device_is_mailed_once() {
    let server = Server::with_mail();
    let person = server.user("ada@example.com");
    let agent = |name: &str, version: u32| {
        format!("Mozilla/5.0 (X11; Linux x86_64; rv:{version}.0) Gecko/20100101 {name}/{version}.0")
    };
    let login = |client: &Client, agent: &str| {
        client.request("POST", "/api/login").header("user-agent", agent).json(person.credentials()).send().is(200)
    };
    let firefox = server.client();
    login(&firefox, &agent("Firefox", 140));
    login(&firefox, "curl/8.5.0");
    login(&server.client(), &agent("Firefox", 141));
    assert_eq!(server.count_mails(&person.email, "A new device", "witness@example.com"), 0);
    login(&server.client(), "curl/8.5.0");
    login(&server.client(), "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0");
    let mails = server.wait_for_mails(&person.email, "A new device logged into your account", 1);
    assert!(mails.iter().any(|mail| mail.text.contains("Firefox 140 on Windows")), "{mails:?}");
}

// ---- accounts ---------------------------------------------------------------------------------------------------

/// Spec §1.7, §2.2: a deactivated account that is let in again gets none of its sessions back.
#[test]
fn sessions_stay_ended_after_a_deactivation() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let key = server.key_of(&client, &["*"]);
    let deactivate = ["user", "deactivate", "ada@example.com", "--reason", "on leave, HD-4711"];
    server.cli(&deactivate).is(0);
    server.client().login(&person).is_invalid("invalid_credentials", "Invalid email or password.", None);
    server.cli(&[&deactivate[..], &["--undo"]].concat()).is(0);
    client.get(ME).is_anonymous();
    key.get(ME).is(200);
    server.login(&person);
}

/// Spec §3.5: the fields of the second step and their types.
#[test]
fn the_second_step_checks_its_types() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    client.enrol(&server);
    let login = first_step(&server, &person);
    for token in [json!(true), json!([]), json!({})] {
        login.post(TOKEN, json!({"token": token})).is_invalid("invalid_input", "Not a valid string.", Some("token"));
    }
    let body = json!({"token": "nonsense", "remember": "perhaps"});
    login.post(TOKEN, body).is_invalid("invalid_input", "Must be a valid boolean.", Some("remember"));
}

/// Spec §3.4: tokens of a deleted account are dead, and its address can be used again by somebody else.
#[test]
fn a_deleted_account_leaves_nothing_behind() {
    let server = Server::with_mail();
    let (person, client) = server.logged_in("ada@example.com");
    let (_, other) = server.logged_in("bob@example.com");
    let mail = stage(&server, &client, "new@example.com");
    client.delete(ME).is(204);
    let reply = server.client().post(VERIFY, json!({"uuid": person.uuid, "token": mail.token()}));
    reply.is_invalid("invalid_token", "This verification token is invalid or has expired.", Some("token"));
    server.client().post(REQUEST, json!({"uuid": person.uuid})).is_body(200, SUCCESS);
    let me = other.patch(ME, json!({"email": "ada@example.com"})).is(200).json();
    assert_eq!(me["pending_email"], "ada@example.com");
}

/// W-28, spec §4.11: the address on record is the one that the trusted proxy names.
#[test]
fn the_trail_has_the_address_behind_the_proxy() {
    let server = Server::builder().setting("server.trusted_proxies", "[\"127.0.0.0/8\"]").start();
    let person = server.user("ada@example.com");
    let login = server.client().request("POST", "/api/login").header("x-forwarded-for", "10.9.9.9, 203.0.113.7");
    login.json(person.credentials()).send().is(200);
    let row = server.newest_entry();
    assert_eq!((&row["event"], &row["address"]), (&json!("user.logged_in"), &json!("203.0.113.7")), "{row}");
}

/// Spec §1.10: pages keep the other parameters, so that a client with its key in the query can follow the links.
#[test]
fn a_link_to_a_page_can_be_followed() {
    let server = Server::builder().setting("server.public_url", "http://doorward.example").start();
    server.user("bob@example.com");
    server.user("eve@example.com");
    let staff = server.login(&server.staff("staff@example.com"));
    let key = server.key_of(&staff, &["user:read"]);
    let get = |path: &str| server.client().get(path).is(200).json();
    let page = get(&format!("/api/users?is_staff=false&limit=1&personal_api_key={}", key.key()));
    let path = |link: &Value| link.as_str().unwrap().strip_prefix("http://doorward.example").unwrap().to_owned();
    let next = get(&path(&page["next"]));
    assert_eq!((&next["results"][0]["email"], &next["next"]), (&json!("eve@example.com"), &json!(null)));
    assert_eq!(get(&path(&next["previous"])), page);
}

/// Spec §1.10, W-41: a page has at most 1000 entries, as the links say.
#[test]
fn a_page_has_an_upper_bound() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    for (sent, used) in [("100000", "1000"), ("1000", "1000"), ("999", "999"), ("nonsense", "100")] {
        let page = client.get(&format!("/api/users?limit={sent}&offset=1")).is(200).json();
        let previous = page["previous"].as_str().unwrap();
        assert!(previous.ends_with(&format!("/api/users?limit={used}")), "{previous}");
    }
}
