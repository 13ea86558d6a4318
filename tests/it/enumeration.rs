//! Nobody learns from an answer whether there is an account, or what is wrong with it: every byte is the same, but for the
//! moment and the id of the request (W-20). How long the answers take is measured by `cargo bench --bench abuse`.

use serde_json::{Value, json};

use crate::harness::{Builder, Server};
use crate::wire::{Answer, ask};

const NOBODY: &str = "01939c2e-8c5f-7000-8000-00000000abcd";

/// Mails, and a proxy that says where a call comes from.
fn builder() -> Builder {
    Server::builder().mail_file().setting("server.trusted_proxies", "[\"127.0.0.1\"]")
}

/// What an answer says, without what differs between any two.
fn plain(answer: &Answer) -> String {
    let mut headers = answer.headers.clone();
    for name in ["date", "x-request-id"] {
        assert!(headers.remove(name).is_some(), "{name}: {answer:?}");
    }
    format!("{} {headers:?} {}", answer.status, answer.text)
}

/// Several calls from one address of their own.
fn calls(server: &Server, from: usize, path: &str, body: &Value, count: usize) -> Vec<Answer> {
    let address = format!("203.0.113.{from}");
    (0..count)
        .map(|_| {
            let request = server.client().request("POST", path).header("x-forwarded-for", &address).json(body.clone());
            ask(server, &request.into_bytes()).unwrap()
        })
        .collect()
}

/// The answers to each of these bodies, sent so many times, are those to the first, and have these statuses.
#[track_caller]
fn check(server: &Server, path: &str, bodies: &[Value], statuses: &[u16]) {
    let of_all: Vec<Vec<Answer>> =
        bodies.iter().enumerate().map(|(from, body)| calls(server, from, path, body, statuses.len())).collect();
    for (body, answers) in bodies.iter().zip(&of_all) {
        let got: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(got, statuses, "{path} {body}");
        for (answer, first) in answers.iter().zip(&of_all[0]) {
            assert_eq!(plain(answer), plain(first), "{path} {body} and {}", bodies[0]);
        }
    }
}

/// Everybody whom a login may name, with a wrong password and, where that would let nobody in, with the right one.
fn logins(server: &Server) -> Vec<Value> {
    let wrong = |email: &str| json!({"email": email, "password": "wrong horse 1"});
    let plain = server.user("ada@example.com");
    let (enrolled, client) = server.logged_in("bob@example.com");
    client.enrol(server);
    let inactive = server.user("eve@example.com");
    server.cli(&["user", "deactivate", &inactive.email, "--reason", "left the company"]).is(0);
    let unverified = server.person("dan@example.com", &[]);
    server.cli(&["user", "create", "--email", "nopassword@example.com"]).is(0);
    vec![
        wrong("nobody@example.com"),
        wrong(&plain.email),
        wrong(&enrolled.email),
        wrong(&inactive.email),
        inactive.credentials(),
        wrong(&unverified.email),
        wrong("nopassword@example.com"),
        wrong("Nobody@Elsewhere.example"),
    ]
}

/// Spec §3.5, W-20, W-28: a login that fails looks the same for all, and so does the lock that follows.
#[test]
fn a_failed_login_says_nothing_of_the_account() {
    let server = builder().setting("login.failures_max", "3").start();
    let bodies = logins(&server);
    check(&server, "/api/login", &bodies, &[400, 400, 403, 403]);
}

/// W-20, W-28: neither does the lock of an account that is guessed at from everywhere.
#[test]
fn an_account_that_is_slowed_down_looks_like_none() {
    let server = builder().setting("login.account_failures_max", "3").start();
    let mut bodies = logins(&server);
    bodies.dedup_by_key(|body| body["email"].clone());
    check(&server, "/api/login", &bodies, &[400, 400, 403, 403]);
    // From elsewhere, too.
    check(&server, "/api/login", &bodies[..3], &[403]);
}

/// Spec §3.5, §3.7, W-20: nor do the questions how somebody logs in, and for a link that sets a password.
#[test]
fn a_question_about_an_address_says_nothing_of_it() {
    let server = builder().start();
    let emails: Vec<Value> = logins(&server).iter().map(|body| json!({"email": body["email"]})).collect();
    check(&server, "/api/login/precheck", &emails, &[200, 200]);
    let mut once = emails;
    once.dedup();
    check(&server, "/api/reset", &once, &[204; 6]);
    for body in &once {
        assert_eq!(calls(&server, 99, "/api/reset", body, 1)[0].status, 429, "{body}");
    }
}

/// Spec §3.3, §3.7, W-20: nor what asks for, or brings, a link or code that is of no use.
#[test]
fn links_and_codes_say_nothing_of_whom_they_name() {
    let server = builder().start();
    let verified = server.user("ada@example.com").uuid;
    let unverified = server.person("bob@example.com", &[]);
    let inactive = server.user("eve@example.com");
    server.cli(&["user", "deactivate", &inactive.email, "--reason", "left the company"]).is(0);
    let all = [NOBODY, &verified, &unverified.uuid, &inactive.uuid, "nonsense"];
    let each = |rest: Value| -> Vec<Value> {
        let with = |uuid: &&str| {
            let mut body = rest.clone();
            body["uuid"] = json!(uuid);
            body
        };
        all.iter().map(with).collect()
    };
    check(&server, "/api/users/request_email_verification", &each(json!({})), &[200, 200]);
    check(&server, "/api/users/verify_email", &each(json!({"token": "nonsense"})), &[400, 400]);
    let paths = ["/api/reset/UUID", "/api/reset_2fa/UUID"];
    for path in paths {
        let answers: Vec<Answer> = all
            .iter()
            .map(|uuid| {
                let body = json!({"token": "nonsense", "password": "another long secret phrase"});
                calls(&server, 1, &path.replace("UUID", uuid), &body, 1).remove(0)
            })
            .collect();
        for (uuid, answer) in all.iter().zip(&answers) {
            assert!(answer.status >= 400 && answer.status < 500, "{answer:?}");
            assert_eq!(plain(answer), plain(&answers[0]), "{path} {uuid}");
        }
    }
}
