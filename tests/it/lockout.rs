//! Spec §1.11, W-13, W-28, W-35: what failures and repetition cost.

use serde_json::json;

use crate::harness::{Authenticator, Client, PASSWORD, Person, Reply, Server};

const ME: &str = "/api/users/@me";
const TOKEN: &str = "/api/login/token";
const VERIFY: &str = "/api/users/verify_email";
const REQUEST: &str = "/api/users/request_email_verification";

/// A server that believes this test to be its proxy.
fn behind_a_proxy() -> crate::harness::Builder {
    Server::builder().setting("server.trusted_proxies", "[\"127.0.0.1\"]")
}

/// A login whose caller is at this address, as the proxy says.
fn login_from(server: &Server, address: &str, email: &str, password: &str) -> Reply {
    let body = json!({"email": email, "password": password});
    server.client().request("POST", "/api/login").header("x-forwarded-for", address).json(body).send()
}

fn is_locked(reply: Reply) {
    let detail = "Too many failed login attempts. Please try again in 10 minutes.";
    reply.is_error(403, "authentication_error", "too_many_failed_attempts", detail, None);
}

/// Spec §3.5, row 1; W-28: one address is locked, others are not, whatever the client says of itself.
#[test]
fn a_lock_concerns_one_address() {
    let server = behind_a_proxy().start();
    let person = server.user("ada@example.com");
    let other = server.user("bob@example.com");
    let fail = |forwarded: &str| login_from(&server, forwarded, &person.email, "wrong horse 1");
    for count in 0..29 {
        // Only the last hop was written by the proxy; what stands before it is the client's own invention.
        fail(&format!("198.51.100.{count}, 203.0.113.1")).is(400);
    }
    is_locked(fail("198.51.100.99, 203.0.113.1"));
    is_locked(login_from(&server, "203.0.113.1", &person.email, &person.password));
    is_locked(login_from(&server, "203.0.113.1", &other.email, &other.password));
    login_from(&server, "203.0.113.2", &person.email, &person.password).is(200);
    server.advance(601);
    login_from(&server, "203.0.113.1", &other.email, &other.password).is(200);
}

/// W-28: without a trusted proxy the header means nothing.
#[test]
fn a_client_does_not_choose_its_address() {
    let server = Server::builder().setting("login.failures_max", "3").start();
    let person = server.user("ada@example.com");
    for count in 0..2 {
        login_from(&server, &format!("203.0.113.{count}"), &person.email, "wrong horse 1").is(400);
    }
    is_locked(login_from(&server, "203.0.113.7", &person.email, "wrong horse 1"));
    is_locked(login_from(&server, "203.0.113.8", &person.email, &person.password));
}

/// W-28: an account that is attacked from many addresses is slowed down, first by a second.
#[test]
fn many_addresses_slow_one_account_down() {
    let server = behind_a_proxy().setting("login.account_failures_max", "5").start();
    let person = server.user("ada@example.com");
    let other = server.user("bob@example.com");
    let fail = |count: usize| login_from(&server, &format!("203.0.113.{count}"), &person.email, "wrong horse 1");
    for count in 0..4 {
        fail(count).is(400);
    }
    is_locked(fail(4));
    login_from(&server, "203.0.113.77", &other.email, &other.password).is(200);
    for (count, wait) in [(5, 1), (6, 2), (7, 4), (8, 8), (9, 16)] {
        server.advance(wait);
        is_locked(fail(count));
    }
    is_locked(login_from(&server, "203.0.113.78", &person.email, &person.password));
    server.advance(32);
    login_from(&server, "203.0.113.78", &person.email, &person.password).is(200);
    login_from(&server, "203.0.113.79", &person.email, "wrong horse 1").is(400);
}

/// W-28, NIST SP 800-63B-4 (rate limiting): whoever waits between the guesses gets no more of them. They are forgotten after a
/// day without one.
#[test]
fn patience_buys_no_guesses() {
    let server = behind_a_proxy().setting("login.account_failures_max", "5").start();
    let person = server.user("ada@example.com");
    let fail = |count: usize| login_from(&server, &format!("203.0.113.{count}"), &person.email, "wrong horse 1");
    for count in 0..4 {
        fail(count).is(400);
    }
    for count in 4..10 {
        server.advance(1_000);
        is_locked(fail(count));
    }
    is_locked(login_from(&server, "203.0.113.78", &person.email, &person.password));
    server.advance(86_401);
    fail(11).is(400);
}

/// W-28: strangers do not keep those out who were let in before: a browser with a remembered device, and one that is
/// logged in. These have a limit of their own.
#[test]
fn strangers_do_not_lock_known_devices_out() {
    let server = behind_a_proxy().setting("login.account_failures_max", "5").start();
    let (person, session) = server.logged_in("ada@example.com");
    let mut authenticator = session.enrol(&server);
    let device = first_step(&server, &person);
    device.post(TOKEN, json!({"token": authenticator.code(&server)})).is(200);
    device.post("/api/logout", json!({})).is(204);
    for count in 0..14 {
        server.advance(1_000);
        let reply = login_from(&server, &format!("203.0.113.{count}"), &person.email, "wrong horse 1");
        if count < 4 {
            reply.is(400);
        } else {
            is_locked(reply);
        }
    }
    is_locked(server.client().login(&person));
    let on_session = |password: &str| session.post("/api/login", json!({"email": person.email, "password": password}));
    for _ in 0..4 {
        on_session("wrong horse 1").is(400);
    }
    is_locked(on_session("wrong horse 1"));
    is_locked(device.login(&person));
    server.advance(2);
    device.login(&person).is(200);
    // The owner's login gives strangers no new tries.
    server.advance(1_000);
    is_locked(login_from(&server, "203.0.113.99", &person.email, "wrong horse 1"));
}

/// W-28: a link from the mailbox is a way in for everybody: with it, all failures are forgotten.
#[test]
fn a_mailed_link_ends_the_lock() {
    let server = behind_a_proxy().mail_file().setting("login.account_failures_max", "2").start();
    let person = server.person("ada@example.com", &["--verified"]);
    for count in 0..12 {
        server.advance(1_000);
        login_from(&server, &format!("203.0.113.{count}"), &person.email, "wrong horse 1");
    }
    is_locked(server.client().login(&person));
    server.client().post("/api/reset", json!({"email": person.email})).is(204);
    let mail = server.wait_for_mail(&person.email, "Reset");
    let token = mail.link().rsplit('/').next().unwrap();
    let password = format!("{PASSWORD} and more");
    let body = json!({"token": token, "password": password});
    server.client().post(&format!("/api/reset/{}", person.uuid), body).is(200);
    server.client().post("/api/login", json!({"email": person.email, "password": password})).is(200);
}

/// Spec §1.11, NIST SP 800-63B-4 (rate limiting): tries of the present password have an end, too, however slowly they come; the
/// end is no other than that of logins in the same browser.
#[test]
fn the_present_password_is_not_guessed_with_patience() {
    let server = Server::builder().setting("login.account_failures_max", "7").start();
    let (person, client) = server.logged_in("ada@example.com");
    client.enrol(&server);
    let change = |current: &str| {
        client.patch(ME, json!({"password": format!("{PASSWORD} and more"), "current_password": current}))
    };
    let disable = || client.post("/api/users/@me/two_factor_disable", json!({"current_password": "wrong horse 1"}));
    for _ in 0..3 {
        change("wrong horse 1").is(400);
        disable().is(400);
        server.advance(61);
    }
    for _ in 0..9 {
        disable().is(400);
        server.advance(600);
    }
    disable().is(400);
    server.advance(61);
    disable().is_throttled();
    change(&person.password).is_throttled();
    first_step(&server, &person);
    server.advance(600);
    change(&person.password).is(200);
}

/// W-28: a success clears the account's counters.
#[test]
fn a_success_forgives() {
    let server =
        behind_a_proxy().setting("login.failures_max", "1000").setting("login.account_failures_max", "4").start();
    let person = server.user("ada@example.com");
    for _ in 0..3 {
        for _ in 0..3 {
            login_from(&server, "203.0.113.1", &person.email, "wrong horse 1").is(400);
        }
        login_from(&server, "203.0.113.1", &person.email, &person.password).is(200);
    }
}

/// W-28, A lock survives a restart.
#[test]
fn a_lock_survives_a_restart() {
    let mut server = Server::builder().setting("login.failures_max", "2").start();
    let person = server.user("ada@example.com");
    let fail = |server: &Server| {
        server.client().post("/api/login", json!({"email": person.email, "password": "wrong horse 1"}))
    };
    fail(&server).is(400);
    is_locked(fail(&server));
    server.kill();
    server.start_again();
    is_locked(server.client().login(&person));
}

/// The first step of somebody whose second one is missing.
fn first_step(server: &Server, person: &Person) -> Client {
    let client = server.client();
    client.login(person).wants_second_factor();
    client
}

fn is_wrong(reply: Reply) {
    reply.is_invalid("2fa_invalid", "Invalid authentication code", None);
}

fn is_too_soon(reply: Reply) {
    reply.is_invalid("2fa_too_many_attempts", "Too many attempts.", None);
}

/// Fails once, and checks that the next try waits for this long.
fn check_wait(server: &Server, login: &Client, wrong: &str, wait: i64) {
    is_wrong(login.post(TOKEN, json!({"token": wrong})));
    // A second of slack: the test's clock runs on.
    server.advance(wait - 2);
    is_too_soon(login.post(TOKEN, json!({"token": wrong})));
    server.advance(2);
}

/// Spec §1.11, W-13: the waits double from two seconds to a quarter of an hour, for TOTP and for backup codes.
#[test]
fn the_wait_doubles_up_to_a_quarter_of_an_hour() {
    for is_totp in [true, false] {
        let server = Server::builder().setting("limits.two_factor_login", "1000/20m").start();
        let (person, client) = server.logged_in("ada@example.com");
        let mut authenticator = client.enrol(&server);
        client.new_backup_codes();
        for wait in [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
            let login = first_step(&server, &person);
            let wrong = if is_totp { authenticator.wrong_code(&server) } else { "aaaaaaaa".to_owned() };
            if wait <= 512 {
                check_wait(&server, &login, &wrong, wait);
            } else {
                // Longer than a pending login lives.
                is_wrong(login.post(TOKEN, json!({"token": wrong})));
                server.advance(890);
                is_too_soon(first_step(&server, &person).post(TOKEN, json!({"token": wrong})));
                server.advance(10);
            }
        }
        let code = authenticator.code(&server);
        first_step(&server, &person).post(TOKEN, json!({"token": code})).is(200);
        let login = first_step(&server, &person);
        let wrong = if is_totp { authenticator.wrong_code(&server) } else { "aaaaaaaa".to_owned() };
        check_wait(&server, &login, &wrong, 2);
    }
}

/// W-13: a new pending login does not shorten the wait, nor does a restart.
#[test]
fn the_wait_belongs_to_the_account() {
    let mut server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let mut authenticator = client.enrol(&server);
    let wrong = authenticator.wrong_code(&server);
    is_wrong(first_step(&server, &person).post(TOKEN, json!({"token": wrong})));
    server.advance(3);
    is_wrong(first_step(&server, &person).post(TOKEN, json!({"token": wrong})));
    server.advance(3);
    is_wrong_or_soon(&server, &person, &mut authenticator);
    server.kill();
    server.start_again();
    server.advance(60);
    first_step(&server, &person).post(TOKEN, json!({"token": authenticator.code(&server)})).is(200);
}

/// After three failures within ten seconds: eight seconds to wait, wherever one comes from.
fn is_wrong_or_soon(server: &Server, person: &Person, authenticator: &mut Authenticator) {
    server.advance(2);
    let wrong = authenticator.wrong_code(server);
    is_wrong(first_step(server, person).post(TOKEN, json!({"token": wrong})));
    is_too_soon(first_step(server, person).post(TOKEN, json!({"token": wrong})));
}

/// Spec §4.3: a remembered device clears the back-off.
#[test]
fn a_remembered_device_clears_the_wait() {
    let server = Server::builder().setting("limits.two_factor_login", "1000/20m").start();
    let (person, client) = server.logged_in("ada@example.com");
    let mut authenticator = client.enrol(&server);
    let device = first_step(&server, &person);
    device.post(TOKEN, json!({"token": authenticator.code(&server)})).is(200);
    device.post("/api/logout", json!({})).is(204);
    let wrong = authenticator.wrong_code(&server);
    is_wrong(first_step(&server, &person).post(TOKEN, json!({"token": wrong})));
    is_too_soon(first_step(&server, &person).post(TOKEN, json!({"token": wrong})));
    device.login(&person).is(200);
    first_step(&server, &person).post(TOKEN, json!({"token": authenticator.code(&server)})).is(200);
}

/// W-9: wrong codes at disabling count against the same wait.
#[test]
fn disabling_shares_the_wait_of_the_login() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let authenticator = client.enrol(&server);
    let wrong = authenticator.wrong_code(&server);
    let disable = client.post("/api/users/@me/two_factor_disable", json!({"token": wrong}));
    disable.is_invalid("token_invalid", "Token is not valid", None);
    is_too_soon(first_step(&server, &person).post(TOKEN, json!({"token": wrong})));
}

/// W-9, spec §1.11: wrong passwords at disabling count against the limit on passwords.
#[test]
fn disabling_shares_the_limit_on_passwords() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    client.enrol(&server);
    let disable = || client.post("/api/users/@me/two_factor_disable", json!({"current_password": "wrong horse 1"}));
    for _ in 0..5 {
        disable().is(400);
    }
    disable().is_throttled();
    let password = format!("{PASSWORD} and more");
    client.patch(ME, json!({"password": password, "current_password": "wrong horse 1"})).is_throttled();
    server.advance(61);
    disable().is(400);
}

/// Spec §1.11: one user's limit is no other's.
#[test]
fn limits_are_kept_apart() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let (_, other) = server.logged_in("bob@example.com");
    let patch = |client: &Client| client.patch(ME, json!({"current_password": "wrong horse 1"}));
    for _ in 0..5 {
        patch(&client).is(200);
    }
    patch(&client).is_throttled();
    patch(&other).is(200);
}

/// Spec §1.11: the window slides; each use leaves it by itself.
#[test]
fn the_window_slides() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let patch = || client.patch(ME, json!({"current_password": "wrong horse 1"}));
    for _ in 0..3 {
        patch().is(200);
    }
    server.advance(40);
    for _ in 0..2 {
        patch().is(200);
    }
    patch().is_throttled();
    server.advance(21);
    for _ in 0..3 {
        patch().is(200);
    }
    patch().is_throttled();
}

/// Spec §1.11, W-21, W-35: changing the `uuid` does not avoid the limits on verification.
#[test]
fn verification_is_limited_by_address_too() {
    let server = Server::builder().mail_file().setting("limits.verify_email_address", "10/20m").start();
    let uuid = |count: usize| format!("01990f5c-1f2e-7000-8b1d-5a0f3b9d{count:04}");
    for count in 0..5 {
        server.client().post(VERIFY, json!({"uuid": uuid(count), "token": "nonsense"})).is(400);
        server.client().post(REQUEST, json!({"uuid": uuid(count)})).is(200);
    }
    server.client().post(VERIFY, json!({"uuid": uuid(10), "token": "nonsense"})).is_throttled();
    server.client().post(REQUEST, json!({"uuid": uuid(11)})).is_throttled();
    server.advance(1_201);
    server.client().post(REQUEST, json!({"uuid": uuid(12)})).is(200);
}

/// Spec §1.11: the pre-check does not count for one's own address.
#[test]
fn the_own_address_may_be_prechecked_at_will() {
    let server = Server::builder().setting("limits.login_precheck", "2/1m").start();
    let (person, client) = server.logged_in("ada@example.com");
    for _ in 0..5 {
        client.post("/api/login/precheck", json!({"email": person.email})).is(200);
    }
    for _ in 0..2 {
        client.post("/api/login/precheck", json!({"email": "bob@example.com"})).is(200);
    }
    client.post("/api/login/precheck", json!({"email": "bob@example.com"})).is_throttled();
}

/// NIST SP 800-63B-4 §3.2.2: a disabled authenticator stays so until it is reset; the trail says when.
#[test]
fn a_disabled_authenticator_is_replaced_by_a_reset() {
    let server = Server::builder().setting("limits.two_factor_login", "1000/20m").start();
    let (person, client) = server.logged_in("ada@example.com");
    let mut authenticator = client.enrol(&server);
    let codes = client.new_backup_codes();
    for _ in 0..100 {
        let wrong = authenticator.wrong_code(&server);
        is_wrong(first_step(&server, &person).post(TOKEN, json!({"token": wrong})));
        server.advance(901);
    }
    is_wrong(first_step(&server, &person).post(TOKEN, json!({"token": authenticator.code(&server)})));
    let events = server.cli(&["audit", "list", "--event", "two_factor.locked", "--json"]).json();
    assert_eq!(events["rows"].as_array().unwrap().len(), 1, "{events}");
    first_step(&server, &person).post(TOKEN, json!({"token": codes[0]})).is(200);
    server.cli(&["2fa", "reset", "ada@example.com", "--reason", "a hundred wrong codes", "--yes"]).is(0);
    let client = server.login(&person);
    let mut authenticator = client.enrol(&server);
    first_step(&server, &person).post(TOKEN, json!({"token": authenticator.code(&server)})).is(200);
}
