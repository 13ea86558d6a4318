//! The figures of the console's Home, asked for on the admin socket as the console does.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use serde_json::Value;

use crate::harness::{Server, wait_for};

const DAY: i64 = 86_400;

fn overview(server: &Server) -> Value {
    let mut stream = UnixStream::connect(server.data_dir().join("admin.sock")).unwrap();
    let request = "POST /op/read_overview HTTP/1.1\r\ndoorward-protocol: 1\r\nhost: a\r\nconnection: close\r\n\
                   content-length: 2\r\n\r\n{}";
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(" 200 "), "{answer}");
    serde_json::from_str(body).unwrap()
}

fn attention<'a>(overview: &'a Value, kind: &str) -> &'a Value {
    overview["attention"].as_array().unwrap().iter().find(|line| line["kind"] == kind).unwrap()
}

/// Section 2: adoption by role, enrolments, resets, and those who need attention, who are those that a list finds.
#[test]
fn home_counts_what_people_and_operators_do() {
    let mut server = Server::with_mail();
    server.staff("staff@example.com");
    let (_, ada) = server.logged_in("ada@example.com");
    let (_, bea) = server.logged_in("bea@example.com");
    ada.enrol(&server);
    bea.enrol(&server);
    let now = overview(&server);
    let roles = serde_json::json!([{"is_staff": true, "with": 0, "of": 1}, {"is_staff": false, "with": 2, "of": 2}]);
    assert_eq!(now["roles"], roles);
    assert_eq!(now["enrolments_per_day"][59], 2);
    assert_eq!((&now["resets_today"], &now["resets_usual"]), (&Value::from(0), &Value::Null));
    assert!(now["store_bytes"].as_u64().unwrap() > 0);

    server
        .cli(&["2fa", "reset", "ada@example.com", "--reason", "lost phone, HD-4711", "--yes", "--operator", "jdoe"])
        .is(0);
    let now = overview(&server);
    assert_eq!((&now["resets_today"], &now["roles"][1]["with"]), (&Value::from(1), &Value::from(1)));
    let last = &now["last_actions"][0];
    assert_eq!((&last["event"], &last["actor"]["name"]), (&Value::from("two_factor.reset"), &Value::from("jdoe")));
    for (kind, expected) in [
        ("staff_without", vec!["staff@example.com"]),
        ("few_codes", vec!["bea@example.com"]),
        ("told_to_enrol", vec!["ada@example.com"]),
        ("locked", vec![]),
        ("mail_pending", vec![]),
        ("mail_failed", vec![]),
    ] {
        let line = attention(&now, kind);
        assert_eq!(line["count"].as_u64().unwrap(), expected.len() as u64, "{kind}");
        let filters: Vec<&str> =
            line["filters"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
        let found = server.cli(&[&["user", "list", "--json"], filters.as_slice()].concat()).is(0).json();
        let found: Vec<&str> =
            found["rows"].as_array().unwrap().iter().map(|row| row["email"].as_str().unwrap()).collect();
        assert_eq!(found, expected, "{kind}");
    }

    // All of it is in the store. A later day has figures of its own.
    wait_for("the outbox to be empty", || (overview(&server)["outbox_waiting"] == 0).then_some(()));
    server.stop();
    server.start_again();
    server.advance(DAY);
    let tomorrow = overview(&server);
    assert_eq!((&tomorrow["resets_today"], &tomorrow["enrolments_per_day"][58]), (&Value::from(0), &Value::from(2)));
    assert_eq!(tomorrow["roles"], now["roles"]);
    assert_eq!(tomorrow["last_actions"][0]["number"], now["last_actions"][0]["number"]);
}

/// Section 2: adoption is compared with that of seven days ago, which the server noted on its day.
#[test]
fn adoption_is_compared_with_a_week_ago() {
    let mut server = Server::start();
    let (_, ada) = server.logged_in("ada@example.com");
    ada.enrol(&server);
    // The first sweep was before anybody was there; the next start has one on the next day.
    server.advance(DAY);
    server.stop();
    server.start_again();
    server.user("bea@example.com");
    server.advance(7 * DAY);
    let then = wait_for("the note of that day", || {
        let then = overview(&server)["with_week_ago"].clone();
        (!then.is_null()).then_some(then)
    });
    assert_eq!(then, serde_json::json!([1, 1]));
    assert_eq!(overview(&server)["roles"][1], serde_json::json!({"is_staff": false, "with": 1, "of": 2}));
}
