//! The figures of Home.

use super::*;
use crate::app::overview::*;

const DAY: i64 = 86_400;

async fn overview(world: &World) -> Overview {
    world.run(&operator(), ReadOverview {}).await.unwrap()
}

fn adoption(overview: &Overview) -> Vec<(u64, u64)> {
    overview.roles.iter().map(|role| (role.with, role.of)).collect()
}

fn count(overview: &Overview, kind: AttentionKind) -> u64 {
    overview.attention.iter().find(|line| line.kind == kind).unwrap().count
}

/// Adoption by role, its change in seven days, enrolments by day.
#[tokio::test]
async fn adoption_is_told_by_role_and_compared_with_a_week_ago() {
    let mut world = World::new();
    let now = overview(&world).await;
    assert_eq!((adoption(&now), now.with_week_ago), (vec![(0, 0), (0, 0)], None));
    assert_eq!((now.enrolments_per_day.len(), now.enrolments_per_day.iter().sum::<u32>()), (60, 0));

    world.create("staff@example.com", true).await;
    world.create(EMAIL, false).await;
    world.create("bob@example.com", false).await;
    let ada = world.login(EMAIL).await;
    world.enrol(&ada).await;
    world.app.sweep(world.now).await.unwrap();
    // Later the same day: the note of the day stays.
    world.pass(60);
    let staff = world.login("staff@example.com").await;
    world.enrol(&staff).await;
    world.app.sweep(world.now).await.unwrap();
    let now = overview(&world).await;
    assert_eq!((adoption(&now), now.with_week_ago), (vec![(1, 1), (1, 2)], None));
    assert_eq!(now.enrolments_per_day.last(), Some(&2));
    assert_eq!(count(&now, AttentionKind::StaffWithout), 0);

    world.run(&operator(), reset_of("staff@example.com", false)).await.unwrap();
    world.pass(7 * DAY);
    let now = overview(&world).await;
    assert_eq!((adoption(&now), now.with_week_ago), (vec![(0, 1), (1, 2)], Some((1, 3))));
    assert_eq!(now.enrolments_per_day[60 - 8..], [2, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(count(&now, AttentionKind::ToldToEnrol), 1);
    world.pass(52 * DAY);
    assert_eq!(overview(&world).await.enrolments_per_day[0], 2);
    world.pass(DAY);
    assert_eq!(overview(&world).await.enrolments_per_day.iter().sum::<u32>(), 0);
}

/// "Usual" is the middle half of the last 28 days, so that a day of many resets is seen as one.
#[tokio::test]
async fn what_is_usual_is_known_after_a_week() {
    let mut world = World::new();
    world.create(EMAIL, false).await;
    let reset = async |world: &World, times: u32| {
        for _ in 0..times {
            world.run(&operator(), reset_of(EMAIL, false)).await.unwrap();
        }
    };
    world.pass(DAY);
    for (day, resets) in [1, 2, 3, 4, 5, 6, 7].into_iter().enumerate() {
        let now = overview(&world).await;
        assert_eq!((now.resets_usual, now.locked_usual), (None, None), "day {day}");
        reset(&world, resets).await;
        assert_eq!(overview(&world).await.resets_today, u64::from(resets));
        world.pass(DAY);
    }
    reset(&world, 9).await;
    let now = overview(&world).await;
    assert_eq!((now.resets_today, now.resets_usual, now.locked_usual), (9, Some((3, 6)), Some(0)));
    world.pass(40 * DAY);
    assert_eq!(overview(&world).await.resets_usual, Some((0, 0)));
}

/// Locked in the last hour, to the minute: wrong passwords here.
#[tokio::test]
async fn locks_count_for_an_hour() {
    let mut world = World::new();
    world.create(EMAIL, false).await;
    let wrong = fields(&json!({"email": EMAIL, "password": "wrong"}));
    while !matches!(
        world.run(&Identity::Anonymous, Login { fields: wrong.clone(), remembered: Vec::new() }).await,
        Err(Error::LockedOut)
    ) {}
    assert_eq!(overview(&world).await.locked_last_hour, 1);
    world.pass(3_540);
    assert_eq!(overview(&world).await.locked_last_hour, 1);
    world.pass(60);
    assert_eq!(overview(&world).await.locked_last_hour, 0);
}

/// The last ten things that operators did, newest first; what users do is not among them.
#[tokio::test]
async fn the_last_acts_are_those_of_operators() {
    let world = World::new();
    for number in 0..12 {
        world.create(&format!("user{number}@example.com"), number == 0).await;
    }
    world.login("user3@example.com").await;
    world.run(&operator(), reset_of("user3@example.com", false)).await.unwrap();
    let now = overview(&world).await;
    let acts: Vec<(Event, &str)> =
        now.last_actions.iter().map(|row| (row.record.event, row.record.whom().unwrap())).collect();
    assert_eq!(acts.len(), 10);
    assert_eq!(acts[0], (Event::TwoFactorReset, "user3@example.com"));
    assert_eq!(acts[1], (Event::UserCreated, "user11@example.com"));
    assert!(now.store_bytes > 0 && now.audit_newest > 12 && now.started_at > Timestamp::default());
}

/// What could not be delivered, with the words of the mail server.
#[tokio::test]
async fn mails_that_were_given_up_need_attention() {
    let mut world = World::new();
    world.create(EMAIL, false).await;
    let line = async |world: &World| {
        let now = overview(world).await;
        let line = now.attention.into_iter().find(|line| line.kind == AttentionKind::MailFailed).unwrap();
        (line.count, line.oldest_at, line.note)
    };
    assert_eq!(line(&world).await, (0, None, None));
    let first = world.now;
    for error in ["421 later", "550 no such mailbox"] {
        world.run(&operator(), reset_of(EMAIL, false)).await.unwrap();
        let due = world.app.outbox_due(world.now, 1).await.unwrap();
        world.app.outbox_failed(&due[0], error, world.now, true).await.unwrap();
        world.pass(60);
    }
    assert_eq!(line(&world).await, (2, Some(first), Some("550 no such mailbox".to_owned())));
}

/// Each line opens Users with exactly those it counts, and says since when the first of them waits.
#[tokio::test]
async fn what_needs_attention_is_counted_and_found() {
    let mut world = World::new();
    let mut ids = Vec::new();
    for number in 0..8 {
        ids.push(world.create(&format!("user{number}@example.com"), number < 2).await);
    }
    for number in 3..7 {
        let session = world.login(&format!("user{number}@example.com")).await;
        world.enrol(&session).await;
    }
    let start = world.now;
    // One waits after wrong codes, one is disabled; a third waited, and may try again.
    let failed = |count, ago: i64| Failures { count, last_at: start.plus_seconds(-ago) };
    world.change(ids[3], |user| user.second_factor.totp_failures = failed(20, 1)).await;
    world
        .change(ids[4], |user| {
            user.second_factor.totp_failures = failed(100, 5_000);
            user.second_factor.totp.as_mut().unwrap().disabled = true;
        })
        .await;
    world.change(ids[5], |user| user.second_factor.totp_failures = failed(1, 9_000)).await;
    world.change(ids[2], |user| user.second_factor.enrol_from = Some(start.plus_seconds(-60))).await;
    world.change(ids[7], |user| user.second_factor.enrol_from = Some(start.plus_seconds(600))).await;
    world
        .change(ids[6], |user| {
            user.pending_email = Some(crate::domain::email::EmailAddress::parse("new@example.com").unwrap());
            user.pending_email_at = Some(start.plus_seconds(-30));
        })
        .await;
    world.pass(1);

    let now = overview(&world).await;
    let line = |kind| now.attention.iter().find(|line| line.kind == kind).unwrap();
    for (kind, expected, oldest) in [
        (AttentionKind::Locked, vec![3, 4], Some(5_000)),
        (AttentionKind::MailPending, vec![6], Some(30)),
        (AttentionKind::StaffWithout, vec![0, 1], None),
        (AttentionKind::FewCodes, vec![3, 4, 5, 6], None),
        (AttentionKind::ToldToEnrol, vec![2, 7], Some(60)),
        (AttentionKind::MailFailed, vec![], None),
    ] {
        let line = line(kind);
        assert_eq!(line.count, expected.len() as u64, "{kind:?}");
        assert_eq!(line.oldest_at, oldest.map(|ago: i64| start.plus_seconds(-ago)), "{kind:?}");
        let find = FindUsers {
            query: String::new(),
            filters: line.filters.clone(),
            sort: crate::domain::user_filter::UserSort::Email,
            from: ListFrom::Start,
            limit: 100,
        };
        let found = world.run(&operator(), find).await.unwrap();
        let found: Vec<UserId> = found.rows.iter().map(|row| row.uuid).collect();
        let expected: Vec<UserId> = expected.into_iter().map(|place: usize| ids[place]).collect();
        assert_eq!(found, expected, "{kind:?}");
    }
}
