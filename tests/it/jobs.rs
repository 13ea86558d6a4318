//! Acts on many users as jobs of the server, through the command
//! line.

use serde_json::Value;

use crate::harness::{Server, wait_for};

const WHY: &str = "second factor for all by December";
const SUBJECT: &str = "Set up two-factor authentication";

fn with_rate(mails_per_second: &str) -> Server {
    Server::builder().mail_file().setting("admin.job_mails_per_second", mails_per_second).start()
}

fn people(server: &Server, count: usize) -> Vec<String> {
    let emails = (0..count).map(|number| format!("user{number:02}@example.com"));
    emails.map(|email| server.user(&email).email).collect()
}

fn draft(server: &Server, kind: &[&str], query: &str) -> Value {
    server.cli(&[&["job", "draft", "--json", "--query", query, "--kind"], kind].concat()).is(0).json()
}

fn start(server: &Server, draft: &Value) -> String {
    let id = draft["id"].as_str().unwrap().to_owned();
    server.cli(&["job", "start", &id, "--reason", WHY, "--yes"]).is(0);
    id
}

fn show(server: &Server, id: &str) -> Value {
    server.cli(&["job", "show", id, "--limit", "500", "--json"]).is(0).json()
}

fn done(server: &Server, id: &str) -> u64 {
    show(server, id)["row"]["done"].as_u64().unwrap()
}

fn wait_until_over(server: &Server, id: &str) -> Value {
    wait_for("the job to be over", || {
        let job = show(server, id);
        (job["row"]["state"] == "done").then_some(job)
    })
}

fn events(server: &Server, event: &str) -> Vec<Value> {
    let page = server.cli(&["audit", "list", "--event", event, "--limit", "500", "--json"]).is(0).json();
    page["rows"].as_array().unwrap().clone()
}

/// Flow 12: a job survives what ends the server, and everybody gets one mail.
#[test]
fn a_job_goes_on_where_it_was_when_the_server_was_killed() {
    let mut server = with_rate("40");
    let emails = people(&server, 24);
    let drafted = draft(&server, &["remind"], "2fa:off");
    assert_eq!((drafted["users"].as_u64(), drafted["does"].as_u64()), (Some(24), Some(24)));
    let id = start(&server, &drafted);
    for enough in [3, 9, 15] {
        wait_for("some to be reminded", || (done(&server, &id) >= enough).then_some(()));
        server.kill();
        server.start_again();
    }
    wait_until_over(&server, &id);
    let job = show(&server, &id);
    assert_eq!((job["row"]["done"].as_u64(), job["row"]["failed"].as_u64()), (Some(24), Some(0)));
    for email in &emails {
        server.wait_for_mail(email, SUBJECT);
    }
    let mails = server.mails();
    let reminders = mails.iter().filter(|mail| mail.subject == SUBJECT).count();
    assert_eq!(reminders, emails.len(), "one each");
    let mut whom: Vec<String> = events(&server, "two_factor.enrolment_reminded")
        .iter()
        .map(|row| row["target"]["email"].as_str().unwrap().to_owned())
        .collect();
    whom.sort();
    assert_eq!(whom, emails);
    assert_eq!(events(&server, "job.").len(), 2, "started and finished once");
}

/// Flow 12: paused, resumed and stopped between two users, which the trail tells.
#[test]
fn a_job_is_paused_resumed_and_stopped() {
    let mut server = with_rate("10");
    people(&server, 20);
    let id = start(&server, &draft(&server, &["remind"], "2fa:off"));
    wait_for("somebody to be reminded", || (done(&server, &id) >= 1).then_some(()));
    let paused = server.cli(&["job", "pause", &id, "--json"]).is(0).json();
    let at = paused["done"].as_u64().unwrap();
    assert_eq!(paused["state"], "paused");
    // A start of the server is no reason to go on.
    server.stop();
    server.start_again();
    server.cli(&["job", "pause", &id]).is(4);
    assert_eq!(done(&server, &id), at);
    assert_eq!(server.cli(&["job", "resume", &id, "--json"]).is(0).json()["state"], "running");
    wait_for("more to be reminded", || (done(&server, &id) > at).then_some(()));
    let stopped = server.cli(&["job", "stop", &id, "--json"]).is(0).json();
    let at = stopped["done"].as_u64().unwrap();
    assert!(at < 20 && stopped["state"] == "stopped", "{stopped}");
    server.cli(&["job", "resume", &id]).is(4);
    // Another job is not held up, and what the first one did is known.
    let rest = draft(&server, &["remind"], "2fa:off");
    assert_eq!(rest["does"].as_u64(), Some(20 - at));
    assert_eq!(rest["skipped"][0][0], "reminded in the last 24 hours");
    let second = start(&server, &rest);
    wait_until_over(&server, &second);
    assert_eq!(done(&server, &id), at);
    let told: Vec<Value> = events(&server, "job.").iter().rev().map(|row| row["event"].clone()).collect();
    assert_eq!(told, ["job.started", "job.paused", "job.resumed", "job.stopped", "job.started", "job.finished"]);
    let results = show(&server, &id);
    let waiting = results["results"].as_array().unwrap().iter().filter(|result| result["outcome"] == "waiting");
    assert_eq!(waiting.count() as u64, 20 - at);
}

/// Two jobs at once: the second waits for the first, and each does its own.
#[test]
fn two_jobs_run_one_after_the_other() {
    let server = with_rate("20");
    people(&server, 6);
    let (_, client) = server.logged_in("ada@example.com");
    client.enrol(&server);
    let tomorrow = ["require", "--from", "1d"];
    let (remind, require) = (draft(&server, &["remind"], ""), draft(&server, &tomorrow, ""));
    for drafted in [&remind, &require] {
        assert_eq!((drafted["users"].as_u64(), drafted["does"].as_u64()), (Some(7), Some(6)));
        assert_eq!(drafted["skipped"][0][0], "has a second factor");
    }
    let (first, second) = (start(&server, &remind), start(&server, &require));
    wait_until_over(&server, &second);
    let jobs = server.cli(&["job", "list", "--json"]).is(0).json();
    let listed: Vec<&str> = jobs.as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap()).collect();
    assert_eq!(listed, [second.as_str(), first.as_str()]);
    assert!(jobs[1]["finished_at"].as_str() <= jobs[0]["finished_at"].as_str(), "{jobs}");
    assert_eq!((jobs[0]["done"].as_u64(), jobs[1]["done"].as_u64()), (Some(6), Some(6)));
    server.wait_for_mail("user03@example.com", "Set up a new authenticator");
    let told = server.cli(&["user", "show", "user03@example.com", "--json"]).json();
    assert_eq!(told["row"]["state"], "enrol");
    assert_eq!(server.cli(&["job", "list"]).is(0).out.lines().count(), 3);
    server.cli(&["job", "show", &first]).is(0);
}

/// Level 4: the proof and the limits hold for scripts too.
#[test]
fn a_job_is_not_started_without_proof() {
    let server = with_rate("1000");
    people(&server, 21);
    let drafted = draft(&server, &["remind"], "");
    let id = drafted["id"].as_str().unwrap();
    assert_eq!(drafted["samples"].as_array().unwrap().len(), 5);
    server.cli(&["job", "start", id, "--reason", WHY]).is(2);
    let refused = server.cli(&["job", "start", id, "--reason", "x", "--yes", "--json"]).is(4);
    assert!(refused.err.contains("reason_too_short"), "{refused:?}");
    let refused = server.cli(&["job", "draft", "--kind", "reset", "--query", "", "--json"]).is(4);
    assert!(refused.err.contains("too_many_users"), "{refused:?}");
    let refused = server.cli(&["job", "draft", "--kind", "remind", "--query", "nobody.here", "--json"]).is(4);
    assert!(refused.err.contains("no_users"), "{refused:?}");
    server.cli(&["job", "draft", "--kind", "require", "--query", ""]).is(2);
    server.cli(&["job", "draft", "--kind", "remind", "--query", "", "--from", "1d"]).is(2);
    for command in [["job", "show", "99"], ["job", "stop", "99"], ["job", "pause", "x"], ["job", "show", id]] {
        server.cli(&command).is(3);
    }
    server.cli(&["job", "pause", id]).is(4);
    assert_eq!(server.cli(&["job", "list", "--json"]).json().as_array().unwrap().len(), 0);
    // An hour later it is too late.
    server.advance(3_600);
    let refused = server.cli(&["job", "start", id, "--reason", WHY, "--yes", "--json"]).is(4);
    assert!(refused.err.contains("draft_over"), "{refused:?}");
    assert!(events(&server, "job.").is_empty());
}

/// Some second factors are reset at once: each is the reset, in the name of who started the job.
#[test]
fn second_factors_of_some_are_reset() {
    let server = with_rate("1000");
    let mut clients = Vec::new();
    for email in ["ada@example.com", "bea@example.com", "cid@example.com"] {
        let (_, client) = server.logged_in(email);
        clients.push((email, client));
    }
    for (_, client) in &clients[..2] {
        client.enrol(&server);
    }
    let drafted = draft(&server, &["reset"], "example.com");
    assert_eq!((drafted["does"].as_u64(), &drafted["skipped"][0][0]), (Some(2), &Value::from("has no second factor")));
    let id = drafted["id"].as_str().unwrap();
    server.cli(&["job", "start", id, "--reason", WHY, "--yes", "--operator", "jdoe"]).is(0);
    let job = wait_until_over(&server, id);
    for (email, client) in &clients[..2] {
        client.get("/api/users/@me").is_anonymous();
        server.wait_for_mail(email, "Your two-factor authentication was reset");
    }
    clients[2].1.get("/api/users/@me").is(200);
    let resets = events(&server, "two_factor.reset");
    assert_eq!(resets.len(), 2);
    for reset in &resets {
        assert_eq!((&reset["actor"]["name"], &reset["reason"]), (&Value::from("jdoe"), &Value::from(WHY)));
        let details = reset["details"].as_array().unwrap();
        assert!(details.iter().any(|detail| detail[0] == "job" && detail[1] == id), "{reset}");
        let number = &reset["number"];
        assert!(job["results"].as_array().unwrap().iter().any(|result| result["audit_number"] == *number), "{job}");
    }
}

/// Without a server the job is drafted and started in the store, and begins when a server does.
#[test]
fn a_job_started_offline_begins_with_the_server() {
    let mut server = with_rate("1000");
    let emails = people(&server, 3);
    server.stop();
    let drafted = draft(&server, &["remind"], "2fa:off");
    let id = drafted["id"].as_str().unwrap().to_owned();
    let started = server.cli(&["job", "start", &id, "--reason", WHY, "--yes"]).is(0);
    assert!(started.err.contains("no server is running"), "{started:?}");
    assert_eq!(show(&server, &id)["row"]["state"], "running");
    assert_eq!(done(&server, &id), 0);
    server.start_again();
    wait_until_over(&server, &id);
    for email in &emails {
        server.wait_for_mail(email, SUBJECT);
    }
}
