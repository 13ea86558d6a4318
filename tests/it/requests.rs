//! What became of a request whose answer was lost: nothing is lost, and nothing is done twice.

use std::io::Write;

use serde_json::{Value, json};

use crate::harness::{Server, admin_request, wait_for};

const ADA: &str = "ada@example.com";

fn reset() -> Value {
    let proof = json!({"reason": "lost phone, HD-4711", "verified_by": "call-back", "confirm": "ada"});
    json!({"user": ADA, "proof": proof, "keep_sessions": false, "revoke_keys": false, "dry_run": false})
}

fn look_up(server: &Server, id: &str) -> Value {
    server.operate("look_up_request", &json!({"request_id": id})).unwrap()
}

/// The look-up's last word.
fn became(server: &Server, id: &str) -> Value {
    wait_for("the request to be over", || Some(look_up(server, id)).filter(|said| said["outcome"] != "under_way"))
}

fn resets(server: &Server) -> usize {
    let page = server.cli(&["audit", "list", "--event", "two_factor.reset", "--json"]).json();
    page["rows"].as_array().unwrap().len()
}

fn with_ada() -> Server {
    let server = Server::start();
    let (_, client) = server.logged_in(ADA);
    client.enrol(&server);
    server
}

/// The connection is gone as soon as the request went out, or once it was carried out.
#[test]
fn what_became_of_a_write_whose_answer_was_lost_is_told() {
    let server = with_ada();
    let mut socket = server.socket();
    socket.write_all(admin_request("jdoe", "carried out", "reset_two_factor", &reset()).as_bytes()).unwrap();
    wait_for("the reset", || (resets(&server) == 1).then_some(()));
    drop(socket);
    assert_eq!(became(&server, "carried out")["outcome"], "done");
    for number in 0..20 {
        let id = format!("lost-{number}");
        let mut socket = server.socket();
        socket.write_all(admin_request("jdoe", &id, "reset_two_factor", &reset()).as_bytes()).unwrap();
        drop(socket);
        // The server may not have read it yet, and then must not do so any more.
        let said = became(&server, &id);
        let before = resets(&server);
        let entries = said["entries"].as_array().map_or(0, Vec::len);
        match said["outcome"].as_str().unwrap() {
            "done" => {
                assert_eq!(entries, 1, "{said}");
                assert_eq!(said["entries"][0]["request_id"], id.as_str(), "{said}");
                assert_eq!(said["entries"][0]["actor"]["name"], "jdoe", "{said}");
            }
            "unknown" => assert_eq!(entries, 0),
            other => panic!("{other}"),
        }
        assert_eq!(server.operate_under(&id, "reset_two_factor", &reset()).unwrap_err(), "already_done");
        assert_eq!((resets(&server), became(&server, &id)), (before, said));
    }
    server.operate_under("another", "reset_two_factor", &reset()).unwrap();
    assert_eq!(became(&server, "another")["outcome"], "done");
}

/// The connection breaks before the request is whole: it was never made, and is refused should it come again.
#[test]
fn half_a_request_is_none() {
    let server = with_ada();
    let whole = admin_request("jdoe", "half", "reset_two_factor", &reset());
    let mut socket = server.socket();
    socket.write_all(&whole.as_bytes()[..whole.len() - 5]).unwrap();
    assert_eq!(look_up(&server, "half")["outcome"], "unknown");
    // The rest comes late, after the operator was told that nothing had been done.
    drop(socket.write_all(&whole.as_bytes()[whole.len() - 5..]));
    drop(socket);
    assert_eq!(server.operate_under("half", "reset_two_factor", &reset()).unwrap_err(), "already_done");
    assert_eq!(resets(&server), 0);
}

/// What was refused changed nothing, and may be tried again under the same id.
#[test]
fn a_refused_write_leaves_its_id() {
    let server = with_ada();
    let mut wrong = reset();
    wrong["proof"]["confirm"] = "eda".into();
    assert_eq!(server.operate_under("again", "reset_two_factor", &wrong).unwrap_err(), "confirmation_wrong");
    server.operate_under("again", "reset_two_factor", &reset()).unwrap();
    assert_eq!(server.operate_under("again", "reset_two_factor", &reset()).unwrap_err(), "already_done");
    assert_eq!(resets(&server), 1);
}

/// While it is carried out a look-up says so, a second one is refused, and a caller who has gone does not stop it.
#[test]
fn a_write_under_way_is_said_to_be() {
    let server =
        Server::builder().setting("password.iterations", "10").setting("password.memory_kib", "131072").start();
    server.secret("correct horse battery staple");
    // A look-up that comes before the request keeps it out; then the next one is tried.
    let id = (0..100).map(|number| format!("slow-{number}")).find(|id| {
        let body = json!({"email": format!("{id}@example.com"), "password": "correct horse battery staple",
            "first_name": "", "last_name": "", "is_staff": false, "is_verified": true, "organization": null, "level": null});
        let mut socket = server.socket();
        socket.write_all(admin_request("jdoe", id, "create_user", &body).as_bytes()).unwrap();
        server.operate("read_status", &json!({})).unwrap();
        look_up(&server, id)["outcome"] == "under_way"
    });
    // The connection is gone by now.
    let id = id.expect("one of a hundred under way");
    assert_eq!(server.operate_under(&id, "reset_two_factor", &reset()).unwrap_err(), "already_done");
    let said = became(&server, &id);
    assert_eq!((&said["outcome"], &said["entries"][0]["event"]), (&json!("done"), &json!("user.created")), "{said}");
}

/// The server is killed at some moment of the write: after its restart the look-up tells the truth.
#[test]
fn a_killed_server_tells_the_truth_afterwards() {
    let mut server = with_ada();
    let mut done = 0;
    for number in 0..6 {
        let id = format!("killed-{number}");
        let mut socket = server.socket();
        socket.write_all(admin_request("jdoe", &id, "reset_two_factor", &reset()).as_bytes()).unwrap();
        if number % 2 == 0 {
            // Time enough for the whole of it, or for a part.
            server.operate("read_status", &json!({})).unwrap();
        }
        server.kill();
        server.start_again();
        let said = became(&server, &id);
        done += usize::from(said["outcome"] == "done");
        assert_eq!(resets(&server), done, "{said}");
        assert_eq!(server.operate_under(&id, "reset_two_factor", &reset()).unwrap_err(), "already_done");
    }
}

/// Writes under one id at the same time: one is done.
#[test]
fn of_many_under_one_id_one_is_done() {
    let server = with_ada();
    let outcomes: Vec<Result<Value, String>> = std::thread::scope(|scope| {
        let calls: Vec<_> =
            (0..16).map(|_| scope.spawn(|| server.operate_under("same", "reset_two_factor", &reset()))).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    let done = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().err().is_none_or(|code| code == "already_done")));
    assert_eq!((done, resets(&server)), (1, 1), "{outcomes:?}");
}

/// Without a server the same holds within the process that has the store; from one to the next the trail tells.
#[test]
fn the_trail_remembers_the_request() {
    let mut server = with_ada();
    server.operate_under("kept", "reset_two_factor", &reset()).unwrap();
    server.stop();
    server.start_again();
    assert_eq!(look_up(&server, "kept")["outcome"], "done");
    assert_eq!(server.operate_under("kept", "reset_two_factor", &reset()).unwrap_err(), "already_done");
}
