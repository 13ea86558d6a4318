//! Jobs, step by step.

use super::*;
use crate::app::job_runner::{Frozen, Went};
use crate::app::jobs::*;
use crate::app::safety::Proof;

const WHY: &str = "everybody by the end of the year";

fn proof(confirm: u64) -> Proof {
    let (verified_by, confirm) = (Some("call-back".to_owned()), Some(confirm.to_string()));
    Proof { verified_by, confirm, ..Proof::of(WHY) }
}

pub(super) async fn people(world: &World, count: u32) -> Vec<UserId> {
    let mut ids = Vec::new();
    for number in 0..count {
        ids.push(world.create(&format!("user{number:02}@example.com"), false).await);
    }
    ids
}

async fn draft(world: &World, kind: JobKind, ids: &[UserId]) -> Result<JobDraft> {
    world.run(&operator(), DraftJob { kind, selection: Selection::Users(ids.to_vec()) }).await
}

async fn start(world: &World, draft: &JobDraft) -> Result<JobRow> {
    world.run(&operator(), StartJob { id: draft.id.clone(), proof: proof(draft.does) }).await
}

pub(super) async fn started(world: &World, kind: JobKind, ids: &[UserId]) -> JobRow {
    let draft = draft(world, kind, ids).await.unwrap();
    start(world, &draft).await.unwrap()
}

async fn steer(world: &World, job: &JobRow, act: JobAct) -> Result<JobRow> {
    world.run(&operator(), SteerJob { id: job.id.clone(), act }).await
}

async fn read(world: &World, id: &str) -> JobDetail {
    world.run(&operator(), ReadJob { id: id.to_owned(), after: None, limit: 500 }).await.unwrap()
}

/// Works until there is nothing to do.
pub(super) async fn work(world: &World) {
    while world.app.job_step(&mut Frozen::default(), world.now).await.unwrap() != Went::Idle {}
}

async fn reminders(world: &World) -> usize {
    let is_reminder = |kind: &MailKind| matches!(kind, MailKind::EnrolmentReminder { .. });
    world.mails().await.iter().filter(|(_, kind)| is_reminder(kind)).count()
}

/// The dry run counts what happens and what is skipped and why; the job does that and no more.
#[tokio::test]
async fn a_job_does_what_its_draft_said() {
    let world = World::new();
    let ids = people(&world, 8).await;
    let session = world.login("user01@example.com").await;
    world.enrol(&session).await;
    world.change(ids[2], |user| user.is_active = false).await;
    world.change(ids[3], |user| user.is_email_verified = Some(false)).await;
    let twice = [ids.as_slice(), &ids].concat();
    let found = draft(&world, JobKind::RemindToEnrol, &twice).await.unwrap();
    assert_eq!((found.users, found.does), (8, 5));
    let skipped = [("deactivated", 1), ("has a second factor", 1), ("e-mail address not verified", 1)];
    assert_eq!(found.skipped, skipped.map(|(why, count)| (why.to_owned(), count)));
    assert_eq!(found.samples.len(), 5);
    let again = world.run(&operator(), ReadDraft { id: found.id.clone() }).await.unwrap();
    assert_eq!((again.does, &again.skipped, again.samples.len()), (found.does, &found.skipped, 5));
    assert_eq!(found.expires_at, world.now.plus_seconds(3_600));
    assert!(world.run(&operator(), ListJobs {}).await.unwrap().is_empty(), "a draft is no job");

    let job = start(&world, &found).await.unwrap();
    assert_eq!((job.state, job.asked_by.as_str(), job.reason.as_str()), (JobState::Running, "jdoe", WHY));
    // Two changes after the draft: one falls out, one that could come in does not.
    world.change(ids[4], |user| user.is_active = false).await;
    world.change(ids[2], |user| user.is_active = true).await;
    work(&world).await;
    let job = read(&world, &found.id).await;
    assert_eq!((job.row.state, job.row.done, job.row.skipped, job.row.failed), (JobState::Done, 4, 4, 0));
    let outcomes: Vec<(u64, &str, JobOutcome, Option<&str>)> = job
        .results
        .iter()
        .map(|result| (result.number, result.email.as_str(), result.outcome, result.note.as_deref()))
        .collect();
    assert_eq!(outcomes[0], (1, "user00@example.com", JobOutcome::Done, None));
    assert_eq!(outcomes[1], (2, "user01@example.com", JobOutcome::Skipped, Some("has a second factor")));
    assert_eq!(outcomes[2].3, Some("deactivated"));
    assert_eq!(outcomes[4].3, Some("deactivated"));
    assert_eq!(reminders(&world).await, 4);
    // Each act is in the trail, with the job, in the name of who started it.
    for result in job.results.iter().filter(|result| result.outcome == JobOutcome::Done) {
        let number = result.audit_number.unwrap();
        let entry =
            world.app.records().audit(None, Some(number + 1), 1, Order::Descending).await.unwrap().remove(0).record;
        assert_eq!(entry.event, Event::TwoFactorEnrolmentReminded);
        assert_eq!((entry.whom().unwrap(), entry.reason.as_deref()), (result.email.as_str(), Some(WHY)));
        assert!(entry.details.contains(&("job".to_owned(), found.id.clone())), "{entry:?}");
        assert!(matches!(entry.actor, AuditActor::Operator { uid: 1_000, .. }), "{entry:?}");
    }
    assert!(job.results.iter().all(|result| (result.outcome == JobOutcome::Done) == result.audit_number.is_some()));
    let events = world.events().await;
    assert_eq!(events.iter().filter(|event| **event == Event::TwoFactorEnrolmentReminded).count(), 4);
    assert_eq!(events.last(), Some(&Event::JobFinished));
    // What operators did lately: the start, not each user.
    let acts = world.app.records().audit_by_hand(None, 3, Order::Descending).await.unwrap();
    assert_eq!(acts[0].record.event, Event::JobStarted);
}

/// Page by page, as a screen reads it.
#[tokio::test]
async fn results_are_read_in_pages() {
    let world = World::new();
    let ids = people(&world, 7).await;
    let job = started(&world, JobKind::RemindToEnrol, &ids).await;
    let mut frozen = Frozen::default();
    for _ in 0..3 {
        world.app.job_step(&mut frozen, world.now).await.unwrap();
    }
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = world.run(&operator(), ReadJob { id: job.id.clone(), after, limit: 2 }).await.unwrap();
        assert!(page.results.len() <= 2);
        seen.extend(
            page.results
                .iter()
                .map(|result| (result.number, result.outcome == JobOutcome::Done, result.audit_number.is_some())),
        );
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let expected: Vec<(u64, bool, bool)> = (1..=7).map(|number| (number, number <= 3, number <= 3)).collect();
    assert_eq!(seen, expected);
    let behind = ReadJob { id: job.id.clone(), after: Some(u64::MAX), limit: 2 };
    assert!(world.run(&operator(), behind).await.unwrap().results.is_empty());
}

/// What an act on many users asks for, and its limits.
#[tokio::test]
async fn a_job_wants_its_proof_and_keeps_its_limits() {
    let mut world = World::new();
    let ids = people(&world, 21).await;
    let drafted = draft(&world, JobKind::RemindToEnrol, &ids).await.unwrap();
    let attempt = |proof| StartJob { id: drafted.id.clone(), proof };
    let short = Proof { reason: "x".to_owned(), ..proof(21) };
    for (proof, code) in
        [(short, "reason_too_short"), (proof(20), "confirmation_wrong"), (Proof::of(WHY), "confirmation_wrong")]
    {
        assert_eq!(code_of(world.run(&operator(), attempt(proof)).await), code);
    }
    assert_eq!(code_of(draft(&world, JobKind::ResetTwoFactor, &ids).await), "too_many_users");
    let all = Selection::Matching { query: "user".to_owned(), filters: Vec::new() };
    let reset = DraftJob { kind: JobKind::ResetTwoFactor, selection: all.clone() };
    assert_eq!(code_of(world.run(&operator(), reset).await), "too_many_users");
    assert_eq!(code_of(draft(&world, JobKind::RemindToEnrol, &[]).await), "no_users");
    let nothing = draft(&world, JobKind::ResetTwoFactor, &ids[..20]).await.unwrap();
    assert_eq!((nothing.does, code_of(start(&world, &nothing).await).as_str()), (0, "nothing_to_do"));
    let found = world.run(&operator(), DraftJob { kind: JobKind::RemindToEnrol, selection: all }).await.unwrap();
    assert_eq!((found.users, found.does), (21, 21));
    for id in ["99", "x", ""] {
        let unknown = StartJob { id: id.to_owned(), proof: proof(1) };
        assert_eq!(code_of(world.run(&operator(), unknown).await), "not_found");
    }
    start(&world, &found).await.unwrap();
    assert_eq!(code_of(start(&world, &found).await), "draft_over", "started once");
    world.pass(3_600);
    assert_eq!(code_of(start(&world, &drafted).await), "draft_over");

    let world = World::with(|config| config.email.transport = MailTransport::Off);
    let ids = people(&world, 1).await;
    assert_eq!(code_of(draft(&world, JobKind::RemindToEnrol, &ids).await), "mail_off");
}

/// Pause and stop act between two users; what was done stays done, and what was not is not.
#[tokio::test]
async fn a_job_is_paused_resumed_and_stopped() {
    let world = World::new();
    let ids = people(&world, 6).await;
    let job = started(&world, JobKind::RemindToEnrol, &ids).await;
    let mut frozen = Frozen::default();
    let step = async |frozen: &mut Frozen| world.app.job_step(frozen, world.now).await.unwrap();
    assert_eq!(step(&mut frozen).await, Went::On { mailed: true });
    step(&mut frozen).await;
    assert_eq!(steer(&world, &job, JobAct::Pause).await.unwrap().state, JobState::Paused);
    assert_eq!(step(&mut frozen).await, Went::Idle);
    assert_eq!(code_of(steer(&world, &job, JobAct::Pause).await), "job_state");
    assert_eq!(steer(&world, &job, JobAct::Resume).await.unwrap().state, JobState::Running);
    step(&mut frozen).await;
    let stopped = steer(&world, &job, JobAct::Stop).await.unwrap();
    assert_eq!((stopped.state, stopped.done, stopped.finished_at), (JobState::Stopped, 3, Some(world.now)));
    work(&world).await;
    assert_eq!(reminders(&world).await, 3);
    let results = read(&world, &job.id).await.results;
    assert_eq!(results.iter().filter(|result| result.outcome == JobOutcome::Waiting).count(), 3);
    assert_eq!(code_of(steer(&world, &job, JobAct::Resume).await), "job_state");
    let events = world.events().await;
    let of_job = events.iter().filter(|event| event.as_str().starts_with("job."));
    let of_job: Vec<Event> = of_job.copied().collect();
    assert_eq!(of_job, [Event::JobStarted, Event::JobPaused, Event::JobResumed, Event::JobStopped]);
}

/// A job that went on between reading and writing is read again: of runners on threads of their own, one sees to a user.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_runners_each_user_meets_one() {
    for _ in 0..10 {
        let world = World::new();
        let ids = people(&world, 40).await;
        let job = started(&world, JobKind::RemindToEnrol, &ids).await;
        let barrier = Arc::new(tokio::sync::Barrier::new(4));
        let runners = (0..4).map(|_| {
            let (app, now, barrier) = (world.app.clone(), world.now, Arc::clone(&barrier));
            tokio::spawn(async move {
                let mut frozen = Frozen::default();
                barrier.wait().await;
                while app.job_step(&mut frozen, now).await.unwrap() != Went::Idle {}
            })
        });
        for runner in runners.collect::<Vec<_>>() {
            runner.await.unwrap();
        }
        let row = read(&world, &job.id).await.row;
        assert_eq!((row.state, row.done), (JobState::Done, 40));
        assert_eq!(reminders(&world).await, 40);
    }
}

/// One after the other, in the order of their drafts; a paused one holds up nobody.
#[tokio::test]
async fn jobs_run_one_after_the_other() {
    let world = World::new();
    let ids = people(&world, 6).await;
    let first = started(&world, JobKind::RemindToEnrol, &ids[..3]).await;
    let second = started(&world, JobKind::RemindToEnrol, &ids[3..]).await;
    assert!(first.rate_note.unwrap().contains("5 mails a second"));
    assert_eq!(second.rate_note, Some(format!("waits for job {}", first.id)));
    let first = JobRow { rate_note: None, ..read(&world, &first.id).await.row };
    let mut frozen = Frozen::default();
    world.app.job_step(&mut frozen, world.now).await.unwrap();
    assert_eq!((read(&world, &first.id).await.row.done, read(&world, &second.id).await.row.done), (1, 0));
    steer(&world, &first, JobAct::Pause).await.unwrap();
    work(&world).await;
    assert_eq!((read(&world, &first.id).await.row.done, read(&world, &second.id).await.row.done), (1, 3));
    steer(&world, &first, JobAct::Resume).await.unwrap();
    work(&world).await;
    let jobs = world.run(&operator(), ListJobs {}).await.unwrap();
    let listed: Vec<(&str, JobState)> = jobs.iter().map(|job| (job.id.as_str(), job.state)).collect();
    assert_eq!(listed, [(second.id.as_str(), JobState::Done), (first.id.as_str(), JobState::Done)], "newest first");
}

/// Nobody is reminded twice in a day, also not by two jobs that were drafted before either ran.
#[tokio::test]
async fn nobody_is_reminded_twice_in_a_day() {
    let mut world = World::new();
    let ids = people(&world, 3).await;
    started(&world, JobKind::RemindToEnrol, &ids).await;
    let second = started(&world, JobKind::RemindToEnrol, &ids).await;
    work(&world).await;
    let second = read(&world, &second.id).await;
    assert_eq!((second.row.done, second.row.skipped), (0, 3));
    assert_eq!(second.results[0].note.as_deref(), Some("reminded in the last 24 hours"));
    world.pass(86_399);
    world.app.sweep(world.now).await.unwrap();
    assert_eq!(draft(&world, JobKind::RemindToEnrol, &ids).await.unwrap().does, 0);
    world.pass(1);
    world.app.sweep(world.now).await.unwrap();
    assert_eq!(world.count(keys::REMINDER).await, 0);
    assert_eq!(draft(&world, JobKind::RemindToEnrol, &ids).await.unwrap().does, 3);
}

/// Require by date, demand re-enrolment: the demand is set, told by mail and in the trail.
#[tokio::test]
async fn devices_are_demanded_of_many() {
    let world = World::new();
    let ids = people(&world, 3).await;
    let session = world.login("user00@example.com").await;
    world.enrol(&session).await;
    let from = world.now.plus_seconds(86_400);
    let require = draft(&world, JobKind::RequireEnrolment { from }, &ids).await.unwrap();
    assert_eq!((require.does, require.skipped[0].0.as_str()), (2, "has a second factor"));
    start(&world, &require).await.unwrap();
    let demand = draft(&world, JobKind::DemandReEnrolment, &ids).await.unwrap();
    assert_eq!((demand.does, demand.skipped[0].0.as_str()), (1, "has no second factor"));
    start(&world, &demand).await.unwrap();
    work(&world).await;
    let mut demanded = Vec::new();
    for id in ids {
        let factor = world.user(id).await.second_factor;
        demanded.push((factor.enrol_from, factor.is_enabled()));
    }
    assert_eq!(demanded, [(Some(world.now), true), (Some(from), false), (Some(from), false)]);
    let mails = world.mails().await;
    let told = |wanted: bool| {
        let is_told =
            |kind: &MailKind| matches!(kind, MailKind::EnrolmentDemanded { has_device, .. } if *has_device == wanted);
        mails.iter().filter(|(_, kind)| is_told(kind)).count()
    };
    assert_eq!((told(true), told(false)), (1, 2));
    let far = JobKind::RequireEnrolment { from: world.now.plus_seconds(400 * 86_400) };
    assert_eq!(code_of(draft(&world, far, &[]).await), "too_far_ahead");
    let events = world.events().await;
    assert_eq!(events.iter().filter(|event| **event == Event::TwoFactorEnrolmentDemanded).count(), 3);
}

/// A bulk reset is the reset: the same entry, the same mail, sessions ended.
#[tokio::test]
async fn second_factors_of_some_are_reset() {
    let world = World::new();
    let ids = people(&world, 3).await;
    let session = world.login("user00@example.com").await;
    world.enrol(&session).await;
    let own = world.login("user01@example.com").await;
    world.enrol(&own).await;
    let jane = Identity::Operator { uid: 0, name: "user01@example.com".to_owned(), rights: Rights::Operator };
    let selection = Selection::Users(ids.clone());
    let found = world.run(&jane, DraftJob { kind: JobKind::ResetTwoFactor, selection }).await.unwrap();
    let skipped: Vec<&str> = found.skipped.iter().map(|(why, _)| why.as_str()).collect();
    assert_eq!((found.does, skipped), (1, vec!["has no second factor", "the operator's own account"]));
    let unchecked = Proof { verified_by: None, ..proof(1) };
    let refused = world.run(&jane, StartJob { id: found.id.clone(), proof: unchecked }).await;
    assert_eq!(code_of(refused), "caller_check_needed");
    world.run(&jane, StartJob { id: found.id.clone(), proof: proof(1) }).await.unwrap();
    work(&world).await;
    let job = read(&world, &found.id).await;
    let number = job.results[0].audit_number.unwrap();
    let entry = world.app.records().audit(None, Some(number + 1), 1, Order::Descending).await.unwrap().remove(0).record;
    assert_eq!((entry.event, entry.reason.as_deref()), (Event::TwoFactorReset, Some(WHY)));
    assert_eq!(entry.verified_by.as_deref(), Some("call-back"));
    assert_eq!(world.user(ids[0]).await.second_factor.state(), FactorState::Enrol);
    assert_eq!(world.user(ids[1]).await.second_factor.state(), FactorState::On);
    assert!(world.mails().await.iter().any(|(_, kind)| matches!(kind, MailKind::TwoFactorReset { .. })));
}

/// A user who is deleted meanwhile is skipped, and named by id.
#[tokio::test]
async fn who_is_gone_is_skipped() {
    let world = World::new();
    let ids = people(&world, 2).await;
    let job = started(&world, JobKind::RemindToEnrol, &ids).await;
    let gone = world.app.records().user(ids[0]).await.unwrap().unwrap();
    world.commit(crate::records::remove_user(Batch::default(), &gone)).await;
    work(&world).await;
    let results = read(&world, &job.id).await.results;
    assert_eq!((results[0].email.clone(), results[0].note.as_deref()), (ids[0].to_string(), Some("deleted meanwhile")));
    assert_eq!(results[1].outcome, JobOutcome::Done);
}

/// A damaged record is a failure of its own, not the end of the job.
#[tokio::test]
async fn who_cannot_be_read_does_not_hold_up_the_others() {
    let world = World::new();
    let ids = people(&world, 3).await;
    let job = started(&world, JobKind::RemindToEnrol, &ids).await;
    world.commit(Batch::default().put(keys::user(ids[1]), b"damaged".to_vec())).await;
    work(&world).await;
    let results = world.app.records().job_results(crate::domain::job::JobId(1), 0..3).await.unwrap();
    assert!(matches!(results[1], crate::domain::job::Outcome::Failed(_)), "{results:?}");
    let row = world.run(&operator(), ListJobs {}).await.unwrap().remove(0);
    assert_eq!((row.id, row.state, row.done, row.failed), (job.id, JobState::Done, 2, 1));
}

/// A job that can never go on is stopped, with what was wrong in the trail; those behind it run.
#[tokio::test]
async fn a_broken_job_holds_up_no_other() {
    let world = World::new();
    let ids = people(&world, 9).await;
    let mut jobs = Vec::new();
    for ids in ids.chunks(3) {
        jobs.push(started(&world, JobKind::RemindToEnrol, ids).await);
    }
    let id = |number| crate::domain::job::JobId(number);
    // The record of one, the users of another.
    let broken = Batch::default().put(keys::job(id(1)), b"damaged".to_vec());
    world.commit(broken.put(keys::job_users(id(2), 0), b"damaged".to_vec())).await;
    work(&world).await;
    assert_eq!(read(&world, &jobs[2].id).await.row.done, 3);
    let second = world.app.records().job(id(2)).await.unwrap().unwrap().value;
    assert_eq!((second.state, second.done, second.failed), (Some(JobState::Stopped), 0, 1));
    let outcomes = world.app.records().job_results(id(2), 0..3).await.unwrap();
    assert!(matches!(outcomes.as_slice(), [crate::domain::job::Outcome::Failed(_)]), "{outcomes:?}");
    let entries = world.app.records().audit(None, None, 1_000, Order::Descending).await.unwrap();
    let stopped: Vec<_> = entries.iter().filter(|entry| entry.record.event == Event::JobStopped).collect();
    assert_eq!(stopped.len(), 2);
    for entry in stopped {
        assert!(entry.record.details.iter().any(|(name, why)| name == "error" && !why.is_empty()));
        assert_eq!(entry.record.actor, AuditActor::System);
    }
}

/// Drafts lapse after an hour, jobs 90 days after they are over; nothing stays behind.
#[tokio::test]
async fn drafts_and_old_jobs_go() {
    let mut world = World::new();
    let ids = people(&world, 100).await;
    let prefixes = || [&b"job/"[..], b"job_users/", b"job_result/", b"job_audit/", b"job_started/", b"job_running/"];
    let counts = async |world: &World| {
        let mut counts = Vec::new();
        for prefix in prefixes() {
            counts.push(world.count(prefix).await);
        }
        counts
    };
    draft(&world, JobKind::RemindToEnrol, &ids).await.unwrap();
    let kept = started(&world, JobKind::RemindToEnrol, &ids).await;
    assert_eq!(counts(&world).await, [2, 2, 0, 0, 1, 1]);
    world.pass(3_600);
    world.app.sweep(world.now).await.unwrap();
    assert_eq!(counts(&world).await, [1, 1, 0, 0, 1, 1], "under way for more than an hour");
    work(&world).await;
    assert_eq!(counts(&world).await, [1, 1, 100, 100, 1, 0]);
    world.pass(90 * 86_400 - 1);
    world.app.sweep(world.now).await.unwrap();
    assert_eq!(read(&world, &kept.id).await.row.done, 100);
    world.pass(1);
    world.app.sweep(world.now).await.unwrap();
    assert_eq!(counts(&world).await, [0; 6]);
}
