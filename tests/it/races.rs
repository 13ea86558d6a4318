//! Many requests at the same moment: what may happen once happens once, and nothing is lost.
//!
//! `DOORWARD_RACE_ROUNDS` says how often each race is run; once when it is not set.

use serde_json::json;

use crate::harness::{Authenticator, Client, Person, Request, Server};
use crate::wire::{Answer, all_at_once};

const ME: &str = "/api/users/@me";
const TOKEN: &str = "/api/login/token";
const KEYS: &str = "/api/personal_api_keys";

/// The width of a race.
const WIDTH: usize = 64;

fn rounds() -> usize {
    std::env::var("DOORWARD_RACE_ROUNDS").map_or(1, |rounds| rounds.parse().unwrap())
}

/// No rate of the API gets in the way.
fn server() -> Server {
    let rates = [
        "user_authentication",
        "user_authentication_address",
        "two_factor_login",
        "second_step_address",
        "verify_email",
        "verify_email_address",
        "login_precheck",
    ];
    let builder = rates
        .iter()
        .fold(Server::builder().mail_file(), |builder, rate| builder.setting(&format!("limits.{rate}"), "1000/1s"));
    let builder = builder.setting("login.failures_max", "10000").setting("login.account_failures_max", "10000");
    builder.start()
}

/// The same request by each of these clients.
fn each(clients: &[Client], request: impl Fn(usize, &Client) -> Request) -> Vec<(Client, Request)> {
    clients.iter().enumerate().map(|(number, client)| (client.clone(), request(number, client))).collect()
}

/// Somebody with a second factor, and clients that have sent the password.
fn pending_logins(server: &Server, email: &str, count: usize) -> (Person, Client, Authenticator, Vec<Client>) {
    let (person, client) = server.logged_in(email);
    let authenticator = client.enrol(server);
    let clients: Vec<Client> = (0..count).map(|_| server.client()).collect();
    pend(&person, &clients);
    (person, client, authenticator, clients)
}

fn pend(person: &Person, clients: &[Client]) {
    for client in clients {
        client.login(person).wants_second_factor();
    }
}

#[track_caller]
fn count(answers: &[Answer], status: u16) -> usize {
    let unexpected: Vec<&Answer> = answers.iter().filter(|answer| answer.status >= 500).collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
    answers.iter().filter(|answer| answer.status == status).count()
}

/// How many of these are in.
fn logged_in(clients: &[Client]) -> usize {
    clients.iter().filter(|client| client.get(ME).status == 200).count()
}

/// Runs a race as often as asked, each time for somebody else.
fn race(mut once: impl FnMut(&str)) {
    for round in 0..rounds() {
        once(&format!("ada{round}@example.com"));
    }
}

/// 64 parallel uses of one backup code leave exactly one success.
#[test]
fn a_backup_code_is_used_once() {
    let server = server();
    race(|email| {
        let (_, owner, _, clients) = pending_logins(&server, email, WIDTH);
        one_gets_in(&server, &clients, &owner.new_backup_codes()[0]);
        let status = owner.get("/api/users/@me/two_factor_status").is(200).json();
        assert_eq!(status["backup_codes_remaining"], 9, "{status}");
    });
}

/// 64 parallel uses of one TOTP step leave exactly one success.
#[test]
fn a_totp_step_is_used_once() {
    let server = server();
    race(|email| {
        let (_, _, mut authenticator, clients) = pending_logins(&server, email, WIDTH);
        one_gets_in(&server, &clients, &authenticator.code(&server));
    });
}

/// The same code by all of them.
#[track_caller]
fn one_gets_in(server: &Server, clients: &[Client], code: &str) {
    let answers = all_at_once(
        server,
        each(clients, |_, client| client.request("POST", TOKEN).json(json!({"token": code, "remember": false}))),
    );
    assert_eq!(count(&answers, 200), 1, "{answers:?}");
    assert_eq!(count(&answers, 400), clients.len() - 1, "{answers:?}");
    assert_eq!(logged_in(clients), 1);
}

/// One pending login is one login, whatever the codes.
#[test]
fn a_pending_login_is_completed_once() {
    let server = server();
    race(|email| {
        let (_, owner, _, clients) = pending_logins(&server, email, 1);
        let codes = owner.new_backup_codes();
        let copies: Vec<Client> = codes.iter().map(|_| clients[0].copy()).collect();
        let answers = all_at_once(
            &server,
            each(&copies, |number, client| client.request("POST", TOKEN).json(json!({"token": codes[number]}))),
        );
        assert_eq!(count(&answers, 200), 1, "{answers:?}");
        let status = owner.get("/api/users/@me/two_factor_status").is(200).json();
        assert_eq!(status["backup_codes_remaining"], 9, "{status}");
    });
}

/// A code that proves a setup proves nothing else, and the setup is finished once.
#[test]
fn a_setup_is_finished_once() {
    let server = server();
    race(|email| {
        let (_, client) = server.logged_in(email);
        let setup = client.get("/api/users/@me/two_factor_start_setup").is(200).json();
        let code = Authenticator::new(setup["secret"].as_str().unwrap()).code(&server);
        let clients: Vec<Client> = (0..WIDTH).map(|_| client.clone()).collect();
        let answers = all_at_once(
            &server,
            each(&clients, |_, client| {
                client.request("POST", "/api/users/@me/two_factor_validate").json(json!({"token": code}))
            }),
        );
        assert_eq!(count(&answers, 200), 1, "{answers:?}");
    });
}

/// Changes of different fields do not undo each other, and of two values of one field one wins.
#[test]
fn no_change_is_lost() {
    let server = server();
    race(|email| {
        let (_, client) = server.logged_in(email);
        for round in 0..10 {
            let bodies = [
                json!({"first_name": format!("first{round}")}),
                json!({"last_name": format!("last{round}")}),
                json!({"theme_mode": "dark", "toolbar_mode": if round % 2 == 0 { "toolbar" } else { "disabled" }}),
                json!({"role_at_organization": "sales"}),
                json!({"role_at_organization": "product"}),
            ];
            let clients: Vec<Client> = bodies.iter().map(|_| client.clone()).collect();
            let answers = all_at_once(
                &server,
                each(&clients, |number, client| client.request("PATCH", ME).json(bodies[number].clone())),
            );
            assert_eq!(count(&answers, 200), bodies.len(), "{answers:?}");
            let me = client.me();
            for body in &bodies[..3] {
                for (name, value) in body.as_object().unwrap() {
                    assert_eq!(me[name], *value, "round {round}");
                }
            }
            assert!(me["role_at_organization"] == "sales" || me["role_at_organization"] == "product", "{me}");
        }
    });
}

/// Spec §2.10: at most ten keys.
#[test]
fn there_are_never_more_than_ten_keys() {
    let server = server();
    race(|email| {
        let (_, client) = server.logged_in(email);
        let clients: Vec<Client> = (0..20).map(|_| client.clone()).collect();
        let answers = all_at_once(
            &server,
            each(&clients, |number, client| {
                let label = format!("key {number}");
                let scopes = ["user:read"];
                let body = json!({"label": label, "scopes": scopes, "scoped_teams": [], "scoped_organizations": []});
                client.request("POST", KEYS).json(body)
            }),
        );
        assert_eq!((count(&answers, 201), count(&answers, 400)), (10, 10), "{answers:?}");
        let listed = client.get(KEYS).is(200).json();
        assert_eq!(listed.as_array().unwrap().len(), 10, "{listed}");
        for made in answers.iter().filter(|answer| answer.status == 201) {
            server.with_key(made.json()["value"].as_str().unwrap()).get(ME).is(200);
        }
    });
}

/// Spec §3.8: of many new values at once the last one is the key's, and all others are dead.
#[test]
fn a_rolled_key_has_one_value() {
    let server = server();
    race(|email| {
        let (_, client) = server.logged_in(email);
        let body = json!({"label": "CI", "scopes": ["user:read"], "scoped_teams": [], "scoped_organizations": []});
        let made = client.post(KEYS, body).is(201).json();
        let path = format!("{KEYS}/{}", made["id"].as_str().unwrap());
        let clients: Vec<Client> = (0..10).map(|_| client.clone()).collect();
        let answers = all_at_once(
            &server,
            each(&clients, |_, client| client.request("POST", &format!("{path}/roll")).json(json!({}))),
        );
        assert_eq!(count(&answers, 200), 10, "each is done, one after the other: {answers:?}");
        let mask = client.get(&path).is(200).json()["mask_value"].clone();
        for rolled in answers.iter().map(Answer::json).chain([made]) {
            let status = if rolled["mask_value"] == mask { 200 } else { 401 };
            server.with_key(rolled["value"].as_str().unwrap()).get(ME).is(status);
        }
        assert_eq!(client.get(KEYS).is(200).json().as_array().unwrap().len(), 1);
    });
}

/// Spec §3.3: a token works once.
#[test]
fn an_address_is_verified_once() {
    let server = server();
    race(|email| {
        let person = server.person(email, &[]);
        server.client().post("/api/users/request_email_verification", json!({"uuid": person.uuid})).is(200);
        let token = server.wait_for_mail(email, "Verify your email address").token().to_owned();
        server.secret(&token);
        let clients: Vec<Client> = (0..WIDTH).map(|_| server.client()).collect();
        let body = json!({"uuid": person.uuid, "token": token});
        let answers = all_at_once(
            &server,
            each(&clients, |_, client| client.request("POST", "/api/users/verify_email").json(body.clone())),
        );
        assert_eq!((count(&answers, 200), count(&answers, 400)), (1, WIDTH - 1), "{answers:?}");
        assert_eq!(logged_in(&clients), 1);
    });
}

/// One address, many who want it: without mail it changes at once.
#[test]
fn an_address_is_taken_once() {
    let server = Server::start();
    let clients: Vec<Client> = (0..16).map(|n| server.logged_in(&format!("ada{n}@example.com")).1).collect();
    race(|email| {
        let email = email.replace("ada", "wanted");
        let answers =
            all_at_once(&server, each(&clients, |_, client| client.request("PATCH", ME).json(json!({"email": email}))));
        assert_eq!((count(&answers, 200), count(&answers, 400)), (1, clients.len() - 1), "{answers:?}");
        let owners = clients.iter().filter(|client| client.me()["email"] == email.as_str()).count();
        assert_eq!(owners, 1);
    });
}

/// The same through `user create`.
#[test]
fn an_account_is_made_once() {
    let server = Server::start();
    race(|email| {
        let exits: Vec<i32> = std::thread::scope(|scope| {
            let create = || server.cli(&["user", "create", "--email", email, "--json"]);
            let threads: Vec<_> = (0..WIDTH / 2).map(|_| scope.spawn(create)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap().code).collect()
        });
        assert_eq!(exits.iter().filter(|code| **code == 0).count(), 1, "{exits:?}");
        assert_eq!(exits.iter().filter(|code| **code == 4).count(), exits.len() - 1, "{exits:?}");
        let listed = server.cli(&["user", "list", email, "--json"]).json();
        assert_eq!(listed["rows"].as_array().unwrap().len(), 1, "{listed}");
    });
}

/// A reset while the user's old codes are shown: whoever got in before is out after it.
#[test]
fn a_reset_leaves_nobody_in() {
    let server = server();
    let (_, staff) = {
        let person = server.staff("staff@example.com");
        let client = server.login(&person);
        (person, client)
    };
    race(|email| {
        let (person, owner, _, _) = pending_logins(&server, email, 0);
        let codes = owner.new_backup_codes();
        let clients: Vec<Client> = codes.iter().map(|_| server.client()).collect();
        pend(&person, &clients);
        let mut requests = each(&clients, |number, client| {
            client.request("POST", TOKEN).json(json!({"token": codes[number], "remember": true}))
        });
        let reset = staff.request("POST", &person.path("/two_factor_disable")).json(json!({}));
        requests.insert(requests.len() / 2, (staff.clone(), reset));
        let answers = all_at_once(&server, requests);
        assert_eq!(answers[clients.len() / 2].status, 200, "{answers:?}");
        assert_eq!(logged_in(&clients), 0, "{answers:?}");
        owner.get(ME).is_anonymous();
    });
}

/// A password change while the old password is typed: nobody stays in with the old one.
#[test]
fn a_password_change_leaves_nobody_in() {
    let server = server();
    race(|email| {
        let (person, owner) = server.logged_in(email);
        let clients: Vec<Client> = (0..10).map(|_| server.client()).collect();
        let mut requests = each(&clients, |_, client| client.request("POST", "/api/login").json(person.credentials()));
        let body = json!({"current_password": person.password, "password": format!("{} changed", person.password)});
        requests.insert(5, (owner.clone(), owner.request("PATCH", ME).json(body)));
        let answers = all_at_once(&server, requests);
        assert_eq!(answers[5].status, 200, "{answers:?}");
        assert_eq!(logged_in(&clients), 0, "{answers:?}");
        owner.get(ME).is(200);
    });
}

/// An account that is shut while its owner comes in.
#[test]
fn a_deactivation_leaves_nobody_in() {
    let server = server();
    race(|email| {
        let person = server.user(email);
        let clients: Vec<Client> = (0..10).map(|_| server.client()).collect();
        std::thread::scope(|scope| {
            let reason = "left the company";
            let shut = scope.spawn(|| server.cli(&["user", "deactivate", email, "--reason", reason]).is(0));
            while !shut.is_finished() {
                let answers = all_at_once(
                    &server,
                    each(&clients, |_, client| client.request("POST", "/api/login").json(person.credentials())),
                );
                count(&answers, 200);
            }
        });
        assert_eq!(logged_in(&clients), 0);
    });
}

/// A reset that revokes the keys while more are made: none outlives it.
#[test]
fn a_reset_leaves_no_key() {
    let server = server();
    race(|email| {
        let (_, owner) = server.logged_in(email);
        owner.enrol(&server);
        let arguments = ["2fa", "reset", email, "--reason", "lost phone, HD-4711", "--revoke-keys", "--yes"];
        std::thread::scope(|scope| {
            let reset = scope.spawn(|| server.cli(&arguments).is(0));
            let clients: Vec<Client> = (0..5).map(|_| owner.clone()).collect();
            let mut is_over = false;
            while !is_over {
                is_over = reset.is_finished();
                let body = json!({"label": "quick", "scopes": ["*"], "scoped_teams": [], "scoped_organizations": []});
                let answers =
                    all_at_once(&server, each(&clients, |_, client| client.request("POST", KEYS).json(body.clone())));
                count(&answers, 201);
                for made in answers.iter().filter(|answer| answer.status == 201) {
                    // Makes room for the next one.
                    let id = made.json()["id"].as_str().unwrap().to_owned();
                    owner.delete(&format!("{KEYS}/{id}"));
                }
            }
        });
        let left = server.cli(&["key", "list", email, "--json"]).json();
        assert_eq!(left, json!([]));
    });
}

/// Everything about a guess by its code.
fn codes(answers: &[Answer]) -> Vec<String> {
    count(answers, 200);
    let mut codes: Vec<String> =
        answers.iter().map(|answer| answer.json()["code"].as_str().unwrap_or("none").to_owned()).collect();
    codes.sort();
    codes
}

#[track_caller]
fn at_most(answers: &[Answer], code: &str, most: usize) {
    let codes = codes(answers);
    let found = codes.iter().filter(|found| *found == code).count();
    assert!(found >= 1 && found <= most, "{found} times {code} of {codes:?}");
}

/// W-13: guessing in parallel gains nothing. One wrong code costs a wait, and those beside it are not looked at.
#[test]
fn codes_are_not_guessed_in_parallel() {
    let server = server();
    race(|email| {
        let (_, _, authenticator, clients) = pending_logins(&server, email, WIDTH);
        let wrong = authenticator.wrong_code(&server);
        let answers = all_at_once(
            &server,
            each(&clients, |_, client| client.request("POST", TOKEN).json(json!({"token": wrong}))),
        );
        // A guess takes less than the second that the first one costs, but the machine may be slow.
        at_most(&answers, "2fa_invalid", 3);
    });
}

/// Spec §1.11: the rate of the second step, whatever the number of connections.
#[test]
fn the_rate_of_codes_holds_in_parallel() {
    let server = Server::start();
    race(|email| {
        let (_, _, authenticator, clients) = pending_logins(&server, email, 5);
        let clients: Vec<Client> = (0..WIDTH).map(|n| clients[n % clients.len()].copy()).collect();
        let wrong = authenticator.wrong_code(&server);
        let answers = all_at_once(
            &server,
            each(&clients, |_, client| client.request("POST", TOKEN).json(json!({"token": wrong}))),
        );
        assert_eq!(count(&answers, 429), WIDTH - 6, "{answers:?}");
    });
}

/// W-28: failed logins that lock an account are counted one by one.
#[test]
fn passwords_are_not_guessed_in_parallel() {
    let server = Server::start();
    race(|email| {
        let person = server.user(email);
        let clients: Vec<Client> = (0..WIDTH).map(|_| server.client()).collect();
        let body = json!({"email": email, "password": "nonsense"});
        let answers =
            all_at_once(&server, each(&clients, |_, client| client.request("POST", "/api/login").json(body.clone())));
        at_most(&answers, "invalid_credentials", 30);
        assert_eq!(server.client().login(&person).status, 403);
        server.advance(3_600);
    });
}

/// Spec §3.2: ten wrong codes for each setup.
#[test]
fn a_setup_is_not_guessed_in_parallel() {
    let server = server();
    race(|email| {
        let (_, client) = server.logged_in(email);
        let setup = client.get("/api/users/@me/two_factor_start_setup").is(200).json();
        let wrong = Authenticator::new(setup["secret"].as_str().unwrap()).wrong_code(&server);
        let clients: Vec<Client> = (0..WIDTH).map(|_| client.clone()).collect();
        let answers = all_at_once(
            &server,
            each(&clients, |_, client| {
                client.request("POST", "/api/users/@me/two_factor_validate").json(json!({"token": wrong}))
            }),
        );
        at_most(&answers, "token_invalid", 10);
    });
}

/// Spec §3.3: five wrong codes for each code that was sent.
#[test]
fn a_mailed_code_is_not_guessed_in_parallel() {
    let server = server();
    race(|email| {
        let person = server.person(email, &[]);
        server.client().post("/api/users/request_email_verification", json!({"uuid": person.uuid})).is(200);
        let code = server.wait_for_mail(email, "Verify your email address").code().to_owned();
        let wrong = if code == "111111" { "222222" } else { "111111" };
        let clients: Vec<Client> = (0..WIDTH).map(|_| server.client()).collect();
        let guess = |code: &str| {
            let body = json!({"uuid": person.uuid, "code": code});
            each(&clients, |_, client| client.request("POST", "/api/users/verify_email").json(body.clone()))
        };
        at_most(&all_at_once(&server, guess(wrong)), "invalid_code", 5);
        at_most(&all_at_once(&server, guess(&code)), "too_many_attempts", WIDTH);
        // The next round has the rate of this address to itself.
        server.advance(2);
    });
}

/// A key that is made while its owner is deleted is nobody's.
#[test]
fn a_deleted_user_leaves_no_key() {
    let server = server();
    race(|email| {
        let (_, owner) = server.logged_in(email);
        let clients: Vec<Client> = (0..9).map(|_| owner.copy()).collect();
        let body = json!({"label": "quick", "scopes": ["*"], "scoped_teams": [], "scoped_organizations": []});
        let mut requests = each(&clients, |_, client| client.request("POST", KEYS).json(body.clone()));
        requests.insert(4, (owner.clone(), owner.request("DELETE", ME)));
        let answers = all_at_once(&server, requests);
        assert_eq!(answers[4].status, 204, "{answers:?}");
        for made in answers.iter().filter(|answer| answer.status == 201) {
            let reply = server.with_key(made.json()["value"].as_str().unwrap()).get(ME);
            assert_eq!(reply.status, 401, "{reply:?}");
        }
    });
}
