//! The use cases on a store in memory, at moments of our choice.

mod checkpoints;
mod demand;
mod directory;
mod jobs;
mod model;
mod organizations;
mod overview;
mod pending_invites;
mod verify;

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::json;

use super::accounts::*;
use super::api_keys::*;
use super::approvals::*;
use super::audit::*;
use super::checkpoints::*;
use super::demand::*;
use super::directory::*;
use super::email::*;
use super::export::ExportUsers;
use super::jobs::{DraftJob, ListJobs, ReadDraft, ReadJob, StartJob, SteerJob};
use super::login::*;
use super::operator_keys::*;
use super::overview::ReadOverview;
use super::passwords::*;
use super::pending_invites::*;
use super::permission::Rights;
use super::preferences::*;
use super::remembered_devices::*;
use super::requests::LookUpRequest;
use super::reset::*;
use super::safety::Proof;
use super::second_factor::*;
use super::sessions::*;
use super::verify::{ProblemKind, RepairStore, VerifyStore};
use super::views::UserRef;
use super::*;
use crate::config::{MailTransport, Rate, Verification};
use crate::domain::api_key::KEYS_PER_USER_MAX;
use crate::domain::audit::{AuditActor, Event};
use crate::domain::backoff::Failures;
use crate::domain::fields::Fields;
use crate::domain::mail::MailKind;
use crate::domain::secret::Secret;
use crate::domain::token::Purpose;
use crate::domain::totp;
use crate::domain::user::FactorState;
use crate::domain::vault::sha256;
use crate::records::{keys, put_user};
use crate::store::Order;

const EMAIL: &str = "ada@example.com";
const PASSWORD: &str = "correct horse battery staple";
const REASON: &str = "caller lost the phone";
/// A moment at the start of a step.
const START: Timestamp = Timestamp::from_seconds(1_800_000_000);

struct World {
    app: App,
    now: Timestamp,
}

impl World {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = cheap_config();
        change(&mut config);
        Self { app: App::in_memory(config), now: START }
    }

    fn pass(&mut self, seconds: i64) {
        self.now = self.now.plus_seconds(seconds);
    }

    async fn run<O: Operation>(&self, identity: &Identity, operation: O) -> Result<O::Reply> {
        let actor = Actor {
            identity: identity.clone(),
            address: Some(IpAddr::from([192, 0, 2, 7])),
            user_agent: Some("Mozilla/5.0 (X11; Linux x86_64; rv:135.0) Gecko/20100101 Firefox/135.0".to_owned()),
            request_id: "request".to_owned(),
        };
        let cx = Context { app: &self.app, actor: &actor, now: self.now, step: None, approved: None };
        cx.check(O::NEEDS)?;
        operation.run(&cx).await
    }

    async fn create(&self, email: &str, is_staff: bool) -> UserId {
        let create = CreateUser {
            email: email.to_owned(),
            first_name: "Ada".to_owned(),
            last_name: "Lovelace".to_owned(),
            is_staff,
            is_verified: true,
            password: Some(PASSWORD.into()),
            organization: None,
            level: None,
        };
        self.run(&operator(), create).await.unwrap().user.uuid
    }

    /// The identity behind a session cookie.
    async fn identity(&self, key: &Secret) -> Identity {
        let hash = sha256(key.expose().as_bytes());
        let session = self.app.records().session(&hash).await.unwrap().unwrap().value;
        let user = session.user;
        let session = Arc::new(PresentedSession { hash, session, wants_second_factor: false });
        match user {
            None => Identity::Pending(session),
            Some(user) => Identity::Session { user: Arc::new(self.user(user).await), session },
        }
    }

    async fn first_step(&self, identity: &Identity, email: &str, remembered: Vec<Secret>) -> Result<LoginOutcome> {
        let fields = fields(&json!({"email": email, "password": PASSWORD}));
        self.run(identity, Login { fields, remembered }).await
    }

    /// A session of a user without a second factor.
    async fn login(&self, email: &str) -> Identity {
        match self.first_step(&Identity::Anonymous, email, Vec::new()).await.unwrap() {
            LoginOutcome::Done { session } => self.identity(&session.key).await,
            LoginOutcome::SecondFactorRequired { .. } | LoginOutcome::EmailCodeRequired { .. } => {
                panic!("a second step is required")
            }
        }
    }

    async fn pending(&self, email: &str) -> Identity {
        match self.first_step(&Identity::Anonymous, email, Vec::new()).await.unwrap() {
            LoginOutcome::SecondFactorRequired { session } => self.identity(&session.unwrap().key).await,
            LoginOutcome::Done { .. } | LoginOutcome::EmailCodeRequired { .. } => {
                panic!("no second factor is required")
            }
        }
    }

    async fn enrol(&self, identity: &Identity) -> Vec<u8> {
        let setup = self.run(identity, StartTotpSetup { user: me() }).await.unwrap();
        let secret = totp::decode_secret(setup.secret.expose()).unwrap();
        let fields = fields(&json!({"token": self.code(&secret)}));
        self.run(identity, ValidateTotp { user: me(), fields }).await.unwrap();
        secret
    }

    fn code(&self, secret: &[u8]) -> String {
        totp::code_at(secret, totp::step_at(self.now))
    }

    async fn complete(&self, pending: &Identity, token: &str) -> Result<LoginCompleted> {
        self.run(pending, CompleteLogin { fields: fields(&json!({"token": token})) }).await
    }

    /// A live token to set a password with.
    async fn reset_token(&self, id: UserId) -> String {
        let identity = Identity::System;
        let actor = Actor { identity, address: None, user_agent: None, request_id: String::new() };
        let cx = Context { app: &self.app, actor: &actor, now: self.now, step: None, approved: None };
        let (batch, token) = cx.issue_token(Batch::default(), Purpose::ResetPassword, &self.user(id).await).unwrap();
        self.commit(batch).await;
        token.expose().to_owned()
    }

    async fn user(&self, id: UserId) -> User {
        self.app.records().user(id).await.unwrap().unwrap().value
    }

    /// Changes a stored user directly.
    async fn change(&self, id: UserId, change: impl FnOnce(&mut User)) {
        let before = self.app.records().user(id).await.unwrap().unwrap();
        let mut user = before.value.clone();
        change(&mut user);
        self.commit(put_user(Batch::default(), Some(&before), &user)).await;
    }

    async fn commit(&self, batch: Batch) {
        assert!(matches!(self.app.records().store().commit(batch).await.unwrap(), Commit::Done(_)));
    }

    async fn has(&self, key: &[u8]) -> bool {
        self.app.records().store().get(key).await.unwrap().is_some()
    }

    async fn count(&self, prefix: &[u8]) -> usize {
        self.app.records().store().scan(prefix, None, 1_000, Order::Ascending).await.unwrap().entries.len()
    }

    async fn events(&self) -> Vec<Event> {
        let entries = self.app.records().audit(None, None, 1_000, Order::Descending).await.unwrap();
        entries.into_iter().rev().map(|entry| entry.record.event).collect()
    }

    async fn mails(&self) -> Vec<(String, MailKind)> {
        let mails = self.app.outbox_due(self.now, 100).await.unwrap();
        mails.into_iter().map(|mail| (mail.mail.to.as_str().to_owned(), mail.mail.kind)).collect()
    }

    /// The token in the newest verification mail.
    async fn mailed_token(&self) -> (String, Option<String>) {
        let mails = self.mails().await;
        let found = mails.into_iter().rev().find_map(|(_, kind)| match kind {
            MailKind::VerifyEmail { link, code } => {
                let token = link.unwrap().expose().rsplit('/').next().unwrap().to_owned();
                Some((token, code.map(|code| code.expose().to_owned())))
            }
            _ => None,
        });
        found.unwrap()
    }
}

/// The settings that come with the program, with hashes that cost little and mails that are kept.
fn cheap_config() -> Config {
    let mut config: Config = toml::from_str(include_str!("../../config.toml")).unwrap();
    config.password.memory_kib = 8;
    config.password.iterations = 1;
    config.email.transport = MailTransport::File;
    config
}

fn operator() -> Identity {
    Identity::Operator { uid: 1_000, name: "jdoe".to_owned(), rights: Rights::Operator }
}

fn me() -> UserRef {
    UserRef("@me".to_owned())
}

fn named(email: &str) -> UserRef {
    UserRef(email.to_owned())
}

fn fields(value: &serde_json::Value) -> Fields {
    Fields(value.as_object().unwrap().clone())
}

fn code_of<T: std::fmt::Debug>(result: Result<T>) -> String {
    result.unwrap_err().code().to_owned()
}

/// What level 3 asks for.
fn proof_for(email: &str) -> Proof {
    let (confirm, _) = email.split_once('@').unwrap();
    Proof { reason: REASON.to_owned(), verified_by: Some("call-back".to_owned()), confirm: Some(confirm.to_owned()) }
}

fn revoke_all() -> RevokeSessions {
    RevokeSessions { user: named(EMAIL), id: None, proof: proof_for(EMAIL) }
}

fn reset_of(email: &str, dry_run: bool) -> ResetTwoFactor {
    ResetTwoFactor {
        user: named(email),
        proof: if dry_run { Proof::default() } else { proof_for(email) },
        keep_sessions: false,
        revoke_keys: true,
        dry_run,
    }
}

// Sessions that are ended stay ended, whatever was under way in them.

#[tokio::test]
async fn a_revoked_session_cannot_come_back_through_a_call_under_way() {
    let mut world = World::new();
    let id = world.create(EMAIL, false).await;
    let session = world.login(EMAIL).await;
    let setup = world.run(&session, StartTotpSetup { user: me() }).await.unwrap();
    let secret = totp::decode_secret(setup.secret.expose()).unwrap();
    world.run(&operator(), revoke_all()).await.unwrap();
    world.pass(30);

    // The calls were let in before, and decide after.
    let validate = ValidateTotp { user: me(), fields: fields(&json!({"token": world.code(&secret)})) };
    assert_eq!(code_of(world.run(&session, validate).await), "not_authenticated");
    let change = UpdateUser {
        user: me(),
        fields: fields(&json!({"password": "another long secret phrase", "current_password": PASSWORD})),
        replace: false,
    };
    assert_eq!(code_of(world.run(&session, change).await), "not_authenticated");
    let key = fields(&json!({"label": "CI", "scopes": ["*"]}));
    assert_eq!(code_of(world.run(&session, CreateApiKey { fields: key }).await), "not_authenticated");

    let user = world.user(id).await;
    assert!(!user.second_factor.is_enabled());
    assert!(world.run(&operator(), ListSessionsOf { user: named(EMAIL) }).await.unwrap().is_empty());
    assert!(world.app.records().api_keys_of(id).await.unwrap().is_empty());
}

#[tokio::test]
async fn verifying_an_address_does_not_bring_a_revoked_session_back() {
    let mut world = World::with(|config| config.email.verification = Verification::Token);
    world.create(EMAIL, false).await;
    let session = world.login(EMAIL).await;
    world.enrol(&session).await;
    let session = Identity::clone(&session);
    let Identity::Session { session: presented, user } = &session else { panic!() };
    let fresh = Arc::new(world.user(user.id).await);
    let session = Identity::Session { user: fresh, session: Arc::clone(presented) };
    let stage = fields(&json!({"email": "new@example.com"}));
    world.run(&session, UpdateUser { user: me(), fields: stage, replace: false }).await.unwrap();
    let (token, _) = world.mailed_token().await;
    world.run(&operator(), revoke_all()).await.unwrap();
    world.pass(1);
    let verify = VerifyEmail { fields: fields(&json!({"uuid": user.id.to_string(), "token": token})) };
    assert!(world.run(&session, verify).await.unwrap().requires_2fa);
    assert!(world.run(&operator(), ListSessionsOf { user: named("new@example.com") }).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_session_that_was_bound_again_goes_on() {
    let world = World::new();
    world.create(EMAIL, false).await;
    let session = world.login(EMAIL).await;
    world.enrol(&session).await;
    // Let in before the enrolment ended the other sessions.
    let theme = UpdateUser { user: me(), fields: fields(&json!({"theme_mode": "dark"})), replace: false };
    assert_eq!(world.run(&session, theme).await.unwrap().theme_mode.as_deref(), Some("dark"));
}

/// Neither codes nor the factor itself are for a session that has not proved it (W-11).
#[tokio::test]
async fn a_session_without_the_mark_does_not_switch_the_factor_off() {
    let world = World::new();
    world.create(EMAIL, false).await;
    let session = world.login(EMAIL).await;
    world.enrol(&session).await;
    let session = world.login_again(&session).await;
    let again = world.first_step(&session, EMAIL, Vec::new()).await.unwrap();
    assert!(matches!(again, LoginOutcome::SecondFactorRequired { session: None }), "it stays in the live session");
    let session = world.login_again(&session).await;
    let bare = DisableTwoFactor { user: me(), fields: fields(&json!({})) };
    assert_eq!(code_of(world.run(&session, bare).await), "two_factor_verification_required");
    let codes = world.run(&session, RegenerateBackupCodes { user: me() }).await;
    assert_eq!(code_of(codes), "two_factor_verification_required");
    let password = DisableTwoFactor { user: me(), fields: fields(&json!({"current_password": PASSWORD})) };
    assert!(world.run(&session, password).await.unwrap().success);
}

#[tokio::test]
async fn an_enrolment_in_person_ends_the_sessions_that_never_proved_it() {
    let world = World::new();
    world.create(EMAIL, false).await;
    world.login(EMAIL).await;
    let started =
        world.run(&operator(), StartEnrolment { user: named(EMAIL), proof: Proof::of(REASON) }).await.unwrap();
    let secret = totp::decode_secret(started.secret.expose()).unwrap();
    let confirm = ConfirmEnrolment { user: named(EMAIL), code: world.code(&secret).into(), proof: Proof::of(REASON) };
    world.run(&operator(), confirm).await.unwrap();
    assert!(world.run(&operator(), ListSessionsOf { user: named(EMAIL) }).await.unwrap().is_empty());
}

#[tokio::test]
async fn ten_wrong_codes_end_an_enrolment_in_person() {
    let world = World::new();
    world.create(EMAIL, false).await;
    let started =
        world.run(&operator(), StartEnrolment { user: named(EMAIL), proof: Proof::of(REASON) }).await.unwrap();
    let secret = totp::decode_secret(started.secret.expose()).unwrap();
    let confirm = |code: &str| ConfirmEnrolment { user: named(EMAIL), code: code.into(), proof: Proof::of(REASON) };
    for _ in 0..10 {
        assert_eq!(code_of(world.run(&operator(), confirm("nonsense")).await), "token_invalid");
    }
    assert_eq!(code_of(world.run(&operator(), confirm(&world.code(&secret))).await), "setup_expired");
    let failed = world.events().await.into_iter().filter(|event| *event == Event::TwoFactorValidateFailed).count();
    assert_eq!(failed, 10);
}

#[tokio::test]
async fn a_remembered_device_is_found_among_dead_ones() {
    let mut world = World::new();
    let id = world.create(EMAIL, false).await;
    let session = world.login(EMAIL).await;
    let secret = world.enrol(&session).await;
    world.pass(30);
    let pending = world.pending(EMAIL).await;
    let done = world.complete(&pending, &world.code(&secret)).await.unwrap();
    let mut cookies: Vec<Secret> = (0..15).map(|number| format!("dead {number}").into()).collect();
    cookies.push(done.remembered.unwrap().value);
    world.change(id, |user| user.second_factor.totp_failures = Failures { count: 3, last_at: START }).await;
    let outcome = world.first_step(&Identity::Anonymous, EMAIL, cookies.clone()).await.unwrap();
    let LoginOutcome::Done { session } = outcome else { panic!("not remembered") };
    assert!(matches!(world.identity(&session.key).await,
        Identity::Session { session, .. } if session.session.verified_at.is_some()));
    assert_eq!(world.user(id).await.second_factor.totp_failures, Failures::default());

    // It dies with the password.
    world.change(id, User::end_presence).await;
    let outcome = world.first_step(&Identity::Anonymous, EMAIL, cookies).await.unwrap();
    assert!(matches!(outcome, LoginOutcome::SecondFactorRequired { .. }));
}

#[tokio::test]
async fn a_pending_login_is_void_when_what_it_rests_on_changes() {
    for what in ["password", "factor", "activity"] {
        let mut world = World::new();
        let id = world.create(EMAIL, false).await;
        let session = world.login(EMAIL).await;
        let secret = world.enrol(&session).await;
        world.pass(30);
        let pending = world.pending(EMAIL).await;
        world
            .change(id, |user| match what {
                "password" => user.end_presence(),
                "factor" => user.second_factor.generation += 1,
                _ => user.is_active = false,
            })
            .await;
        assert_eq!(code_of(world.complete(&pending, &world.code(&secret)).await), "2fa_expired", "{what}");
    }
    let mut world = World::new();
    world.create(EMAIL, false).await;
    let session = world.login(EMAIL).await;
    let secret = world.enrol(&session).await;
    let pending = world.pending(EMAIL).await;
    world.pass(599);
    assert!(world.complete(&pending, &world.code(&secret)).await.is_ok());
    assert_eq!(code_of(world.complete(&pending, &world.code(&secret)).await), "2fa_expired", "used up");
    let pending = world.pending(EMAIL).await;
    world.pass(600);
    assert_eq!(code_of(world.complete(&pending, &world.code(&secret)).await), "2fa_expired");
}

// Limits on batches and on rows.

/// Ended sessions and devices are cleared away by logins, but never more than a batch takes. The most that a login
/// writes: an address of many words changes for another one, in a browser that holds the pending login of another user.
#[tokio::test]
async fn a_login_with_everything_fits_into_one_batch() {
    const MANY_WORDS: &str = "q.w.e.r.t.y.u.i.o.p@a.example";
    let mut world = World::with(|config| config.email.verification = Verification::Token);
    let other = world.create(EMAIL, false).await;
    let session = world.login(EMAIL).await;
    world.enrol(&session).await;
    let pending = world.pending(EMAIL).await;
    assert!(world.user(other).await.second_factor.is_enabled());

    let id = world.create(MANY_WORDS, false).await;
    world.change(id, |user| (user.first_name, user.last_name) = Default::default()).await;
    let session = world.login(MANY_WORDS).await;
    let secret = world.enrol(&session).await;
    for _ in 0..20 {
        world.pass(601);
        let pending = world.pending(MANY_WORDS).await;
        world.complete(&pending, &world.code(&secret)).await.unwrap();
    }
    let session = world.first_session(id).await;
    world.run(&session, DisableTwoFactor { user: me(), fields: fields(&json!({})) }).await.unwrap();
    let stage = fields(&json!({"email": "z.x.c.v.b.n.m.k.l.j@h.test"}));
    world.run(&session, UpdateUser { user: me(), fields: stage, replace: false }).await.unwrap();
    world
        .change(id, |user| {
            user.end_presence();
            user.known_devices = vec![[1; 8]];
        })
        .await;
    world.pass(1);
    let (token, _) = world.mailed_token().await;
    let verify = VerifyEmail { fields: fields(&json!({"uuid": id.to_string(), "token": token})) };
    assert!(world.run(&pending, verify).await.unwrap().session.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_calls_do_not_make_an_eleventh_key() {
    for _ in 0..20 {
        let world = Arc::new(World::new());
        let id = world.create(EMAIL, false).await;
        let calls: Vec<_> = (0..KEYS_PER_USER_MAX + 6)
            .map(|_| {
                let world = Arc::clone(&world);
                tokio::spawn(async move {
                    let key = CreateApiKeyFor {
                        user: named(EMAIL),
                        fields: KeyFields {
                            label: Some("CI".to_owned()),
                            scopes: Some(vec!["user:read".to_owned()]),
                            ..KeyFields::default()
                        },
                    };
                    let _ = world.run(&operator(), key).await;
                })
            })
            .collect();
        for call in calls {
            call.await.unwrap();
        }
        assert_eq!(world.app.records().api_keys_of(id).await.unwrap().len(), KEYS_PER_USER_MAX);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_rolled_key_survives_a_reset_that_revokes_all() {
    for _ in 0..100 {
        let world = Arc::new(World::new());
        let id = world.create(EMAIL, false).await;
        let fields = KeyFields {
            label: Some("CI".to_owned()),
            scopes: Some(vec!["user:read".to_owned()]),
            ..KeyFields::default()
        };
        let made = world.run(&operator(), CreateApiKeyFor { user: named(EMAIL), fields }).await.unwrap();
        let rolls: Vec<_> = (0..3)
            .map(|_| {
                let (world, id) = (Arc::clone(&world), made.id.clone());
                let roll = RollApiKeyOf { user: named(EMAIL), id, proof: Proof::of("leaked in a log") };
                tokio::spawn(async move { world.run(&operator(), roll).await })
            })
            .collect();
        let reset = ResetTwoFactor {
            user: named(EMAIL),
            proof: proof_for(EMAIL),
            keep_sessions: false,
            revoke_keys: true,
            dry_run: false,
        };
        world.run(&operator(), reset).await.unwrap();
        let mut values = vec![made.value.unwrap()];
        for roll in rolls {
            values.extend(roll.await.unwrap().ok().and_then(|rolled| rolled.value));
        }
        assert!(world.app.records().api_keys_of(id).await.unwrap().is_empty());
        for value in values {
            assert_eq!(world.app.records().api_key(&sha256(value.expose().as_bytes())).await.unwrap(), None);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_parallel_revocations_one_is_done_and_the_others_find_nothing() {
    for _ in 0..300 {
        let world = Arc::new(World::new());
        world.create(EMAIL, false).await;
        let session = world.login(EMAIL).await;
        let Identity::Session { session: presented, .. } = &session else { panic!() };
        let session_id = presented.session.id.to_string();
        let key = fields(&json!({"label": "CI", "scopes": ["*"]}));
        let key_id = world.run(&session, CreateApiKey { fields: key }).await.unwrap().id;
        let start = Arc::new(tokio::sync::Barrier::new(8));
        let calls: Vec<_> = (0..8)
            .map(|number| {
                let (world, start) = (Arc::clone(&world), Arc::clone(&start));
                let (session, key_id, session_id) = (session.clone(), key_id.clone(), session_id.clone());
                tokio::spawn(async move {
                    start.wait().await;
                    let outcome = match number % 2 {
                        0 => {
                            let revoke = RevokeSessions { id: Some(session_id), ..revoke_all() };
                            world.run(&operator(), revoke).await.map(|_| ())
                        }
                        _ => world.run(&session, DeleteApiKey { id: key_id }).await,
                    };
                    outcome.map_err(|error| error.code().to_owned())
                })
            })
            .collect();
        let mut done = 0;
        for call in calls {
            match call.await.unwrap() {
                Ok(()) => done += 1,
                Err(code) => assert_eq!(code, "not_found"),
            }
        }
        assert_eq!(done, 2);
        let events = world.events().await;
        let times = |event: Event| events.iter().filter(|one| **one == event).count();
        assert_eq!((times(Event::SessionRevoked), times(Event::ApiKeyDeleted)), (1, 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_calls_leave_one_staff_user() {
    for _ in 0..40 {
        let world = Arc::new(World::new());
        let emails = ["a@example.com", "b@example.com", "c@example.com"];
        for email in emails {
            world.create(email, true).await;
        }
        let calls = emails.map(|email| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                let set = SetUser { user: named(email), is_staff: Some(false), ..SetUser::default() };
                world.run(&operator(), set).await.is_ok()
            })
        });
        let mut done = 0;
        for call in calls {
            done += usize::from(call.await.unwrap());
        }
        assert_eq!(done, 2);
    }
}

/// Of the users that are passed over no record is read: here they cannot be.
#[tokio::test]
async fn a_page_of_users_reads_those_on_it() {
    let world = World::new();
    world.create(EMAIL, true).await;
    let staff = world.login(EMAIL).await;
    let mut numbers = vec![1];
    for number in 2..=9_u64 {
        let id = world.create(&format!("user{number}@example.com"), number % 4 == 0).await;
        if number % 3 == 0 {
            world.change(id, |user| user.is_active = false).await;
            world.commit(Batch::default().put(keys::user(id), b"damaged".to_vec())).await;
        } else {
            numbers.push(number);
        }
        if number == 2 {
            world.commit(Batch::default().put(keys::user(id), b"damaged".to_vec())).await;
        }
    }
    assert_eq!(numbers, [1, 2, 4, 5, 7, 8]);
    for (is_staff, offset, limit, expected, count) in [
        (None, 0, 1, &[1][..], 6),
        (None, 2, 2, &[4, 5], 6),
        (None, 2, 100, &[4, 5, 7, 8], 6),
        (None, 6, 100, &[], 6),
        (None, usize::MAX, 100, &[], 6),
        (Some(true), 0, 100, &[1, 4, 8], 3),
        (Some(true), 1, 1, &[4], 3),
        (Some(false), 1, 100, &[5, 7], 3),
    ] {
        let list = ListUsers { email: None, is_staff, limit, offset };
        let page = world.run(&staff, list).await.unwrap();
        let found: Vec<u64> = page.results.iter().map(|user| user.id).collect();
        assert_eq!((found.as_slice(), page.count), (expected, count), "{is_staff:?} {offset} {limit}");
    }
}

// Operators.

#[tokio::test]
async fn after_an_unlock_the_next_try_is_allowed_at_once() {
    let mut world = World::with(|config| config.limits.two_factor_login = Rate { count: 2, seconds: 1_200 });
    let id = world.create(EMAIL, false).await;
    let session = world.login(EMAIL).await;
    let secret = world.enrol(&session).await;
    world.pass(30);
    let pending = world.pending(EMAIL).await;
    assert_eq!(code_of(world.complete(&pending, "000000").await), "2fa_invalid");
    assert_eq!(code_of(world.complete(&pending, &world.code(&secret)).await), "2fa_too_many_attempts");
    assert_eq!(code_of(world.complete(&pending, &world.code(&secret)).await), "throttled");
    assert_eq!(world.user(id).await.second_factor.totp_failures.count, 1);
    let unlock = UnlockTwoFactor { user: named(EMAIL), proof: Proof::of(REASON) };
    world.run(&operator(), unlock).await.unwrap();
    assert!(world.complete(&pending, &world.code(&secret)).await.is_ok());
}

#[tokio::test]
async fn an_unlock_ends_the_lock_out_of_the_account() {
    let world = World::with(|config| config.login.failures_max = 3);
    world.create(EMAIL, false).await;
    let elsewhere = Login { fields: fields(&json!({"email": EMAIL, "password": "wrong"})), remembered: Vec::new() };
    for expected in ["invalid_credentials", "invalid_credentials", "too_many_failed_attempts"] {
        assert_eq!(code_of(world.run(&Identity::Anonymous, elsewhere.clone()).await), expected);
    }
    let detail = world.run(&operator(), InspectUser { user: named(EMAIL) }).await.unwrap();
    assert_eq!(detail.factor.login_locked_until, Some(START.plus_seconds(600)));
    world.run(&operator(), UnlockTwoFactor { user: named(EMAIL), proof: Proof::of(REASON) }).await.unwrap();
    let detail = world.run(&operator(), InspectUser { user: named(EMAIL) }).await.unwrap();
    assert_eq!(detail.factor.login_locked_until, None);
    world.login(EMAIL).await;
}

/// The guesses came from very many addresses.
#[tokio::test]
async fn an_unlock_clears_the_counters_of_all_addresses() {
    let world = World::new();
    world.create(EMAIL, false).await;
    let failures =
        crate::domain::backoff::LoginFailures { count: 30, last_at: START, forgotten_at: START.plus_seconds(600) };
    for address in 0..200_u8 {
        let hash = [address; 32];
        for key in [[keys::attempts_of_account(EMAIL), hash.to_vec()].concat(), keys::attempts("address", &hash)] {
            world.commit(crate::records::put_login_failures(Batch::default(), key, None, &failures)).await;
        }
    }
    world.run(&operator(), UnlockTwoFactor { user: named(EMAIL), proof: Proof::of(REASON) }).await.unwrap();
    assert_eq!(world.count(keys::ATTEMPTS).await, 0);
    assert_eq!(world.events().await.iter().filter(|event| **event == Event::TwoFactorUnlocked).count(), 1);
}

#[tokio::test]
async fn a_dry_run_tells_what_the_reset_does() {
    let mut world = World::new();
    let id = world.create(EMAIL, false).await;
    let session = world.login(EMAIL).await;
    let secret = world.enrol(&session).await;
    world.pass(30);
    let pending = world.pending(EMAIL).await;
    let done = world.complete(&pending, &world.code(&secret)).await.unwrap();
    let session = world.identity(&done.session.key).await;
    world.run(&session, RegenerateBackupCodes { user: me() }).await.unwrap();
    let key = fields(&json!({"label": "CI", "scopes": ["user:read"]}));
    world.run(&session, CreateApiKey { fields: key }).await.unwrap();
    let before = world.app.records().store().version();

    let told = world.run(&operator(), reset_of(EMAIL, true)).await.unwrap();
    assert_eq!(world.app.records().store().version(), before, "a dry run writes nothing");
    let done = world.run(&operator(), reset_of(EMAIL, false)).await.unwrap();
    let comparable = |report: &TwoFactorReset| {
        let report = TwoFactorReset { dry_run: false, audit_number: None, ..report.clone() };
        serde_json::to_value(report).unwrap()
    };
    assert_eq!(comparable(&told), comparable(&done));
    assert!(told.totp_removed && told.audit_number.is_none() && done.audit_number.is_some());
    assert_eq!(
        (told.backup_codes_deleted, told.sessions_ended, told.remembered_devices_forgotten, told.api_keys_revoked),
        (10, 2, 1, 1)
    );

    let user = world.user(id).await;
    assert_eq!((user.second_factor.state(), user.second_factor.backup_codes.len()), (FactorState::Enrol, 0));
    let after = world.run(&operator(), reset_of(EMAIL, true)).await.unwrap();
    assert_eq!((after.totp_removed, after.sessions_ended, after.api_keys_revoked), (false, 0, 0));
    let is_notice = |(to, kind): &(String, MailKind)| to == EMAIL && matches!(kind, MailKind::TwoFactorReset { .. });
    assert_eq!(world.mails().await.iter().filter(|mail| is_notice(mail)).count(), 1);
}

#[tokio::test]
async fn a_code_is_explained() {
    let mut world = World::new();
    let id = world.create(EMAIL, false).await;
    let session = world.login(EMAIL).await;
    let explain = async |world: &World, code: &str| {
        let explained = world.run(&operator(), ExplainCode { user: named(EMAIL), code: code.into() }).await.unwrap();
        (explained.verdict, explained.accepted, explained.drift_steps)
    };
    let verdict = |word: &str, accepted, drift| (word.to_owned(), accepted, drift);
    assert_eq!(explain(&world, "123456").await, verdict("no_device", false, None));

    let secret = world.enrol(&session).await;
    let fresh = Identity::Session {
        user: Arc::new(world.user(id).await),
        session: match &world.login_again(&session).await {
            Identity::Session { session, .. } => Arc::clone(session),
            _ => panic!(),
        },
    };
    let codes = world.run(&fresh, RegenerateBackupCodes { user: me() }).await.unwrap().backup_codes;
    let code_at = |world: &World, drift: i64| totp::code_at(&secret, totp::step_at(world.now) + drift);
    assert_eq!(explain(&world, &code_at(&world, 0)).await, verdict("already_used", false, Some(0)));
    world.pass(3_000);
    assert_eq!(explain(&world, &code_at(&world, 0)).await, verdict("accepted", true, Some(0)));
    assert_eq!(explain(&world, &code_at(&world, -1)).await, verdict("accepted", true, Some(-1)));
    assert_eq!(explain(&world, &code_at(&world, 2)).await, verdict("clock_off", false, Some(2)));
    assert_eq!(explain(&world, &code_at(&world, 10)).await, verdict("clock_off", false, Some(10)));
    assert_eq!(explain(&world, &code_at(&world, 11)).await.0, "wrong", "no word of codes that are good much later");
    assert_eq!(explain(&world, &code_at(&world, -20)).await, verdict("clock_off", false, Some(-20)));
    let entry = world.app.records().audit(None, None, 1, Order::Descending).await.unwrap().remove(0).record;
    assert_eq!(entry.event, Event::TwoFactorCodeExplained);
    assert_eq!(entry.details, [("verdict".to_owned(), "clock_off".to_owned())]);
    assert_eq!(explain(&world, &totp::code_at(b"another secret of 20", 5)).await.0, "wrong");
    assert_eq!(explain(&world, codes[0].expose()).await, verdict("backup_code", true, None));
    assert_eq!(explain(&world, "aaaa2222").await, verdict("backup_code_unknown", false, None));
    assert_eq!(explain(&world, "12345").await, verdict("malformed", false, None));

    let failed = |count| Failures { count, last_at: START.plus_seconds(3_000) };
    world.change(id, |user| user.second_factor.totp_failures = failed(3)).await;
    assert_eq!(explain(&world, &code_at(&world, 0)).await, verdict("waiting", false, Some(0)));
    assert!(explain(&world, codes[0].expose()).await.1, "each kind of code has its own counter");
    world.change(id, |user| user.second_factor.backup_code_failures = failed(3)).await;
    assert_eq!(explain(&world, codes[0].expose()).await, verdict("waiting", false, None));

    // After a hundred wrong ones the right one is refused for good; the explanation has to say so.
    world.pass(3_600);
    world.change(id, |user| user.second_factor.backup_code_failures = failed(100)).await;
    let pending = world.pending(EMAIL).await;
    assert_eq!(code_of(world.complete(&pending, codes[0].expose()).await), "2fa_invalid");
    world.pass(3_600);
    assert_eq!(explain(&world, codes[0].expose()).await, verdict("disabled", false, None));
    world.change(id, |user| user.second_factor.totp.as_mut().unwrap().disabled = true).await;
    assert_eq!(explain(&world, &code_at(&world, 0)).await, verdict("disabled", false, None));

    // It is no place to guess.
    world.pass(600);
    for _ in 0..20 {
        explain(&world, "123456").await;
    }
    let guess = || ExplainCode { user: named(EMAIL), code: "123456".into() };
    assert_eq!(code_of(world.run(&operator(), guess()).await), "throttled");
    world.pass(600);
    world.run(&operator(), guess()).await.unwrap();
}

impl World {
    /// The latest session of a user.
    async fn first_session(&self, id: UserId) -> Identity {
        let sessions = self.app.records().sessions_of(id).await.unwrap();
        let latest = sessions.into_iter().max_by_key(|(_, session)| session.created_at);
        let (hash, session) = latest.unwrap();
        Identity::Session {
            user: Arc::new(self.user(id).await),
            session: Arc::new(PresentedSession { hash, session, wants_second_factor: false }),
        }
    }

    /// The same session as the program reads it now.
    async fn login_again(&self, identity: &Identity) -> Identity {
        let Identity::Session { session, .. } = identity else { panic!() };
        let live = self.app.records().session(&session.hash).await.unwrap().unwrap().value;
        let user = Arc::new(self.user(live.user.unwrap()).await);
        Identity::Session {
            user,
            session: Arc::new(PresentedSession { hash: session.hash, session: live, wants_second_factor: false }),
        }
    }
}

// Addresses.

#[tokio::test]
async fn a_password_change_kills_the_link_to_a_staged_address() {
    let mut world = World::with(|config| config.email.verification = Verification::Both);
    let id = world.create(EMAIL, false).await;
    let session = world.login(EMAIL).await;
    let stage = fields(&json!({"email": "new@example.com"}));
    world.run(&session, UpdateUser { user: me(), fields: stage, replace: false }).await.unwrap();
    let (token, code) = world.mailed_token().await;
    let change = fields(&json!({"password": "another long secret phrase", "current_password": PASSWORD}));
    world.run(&session, UpdateUser { user: me(), fields: change, replace: false }).await.unwrap();
    world.pass(1);
    for proof in [json!({"uuid": id.to_string(), "token": token}), json!({"uuid": id.to_string(), "code": code})] {
        assert!(world.run(&Identity::Anonymous, VerifyEmail { fields: fields(&proof) }).await.is_err());
    }
    assert_eq!(world.user(id).await.email.as_str(), EMAIL);
}

/// The owner is let in anew, by a link or an operator: whoever staged an address in between keeps no way in.
#[tokio::test]
async fn a_staged_address_goes_when_the_owner_is_let_in_anew() {
    for how in ["link", "operator", "second factor"] {
        let world = World::new();
        let id = world.create(EMAIL, false).await;
        let session = world.login(EMAIL).await;
        let stage = fields(&json!({"email": "thief@example.com"}));
        world.run(&session, UpdateUser { user: me(), fields: stage, replace: false }).await.unwrap();
        assert!(world.has(&keys::token(Purpose::VerifyEmail, Some(id))).await);
        match how {
            "link" => {
                let token = world.reset_token(id).await;
                let fields = fields(&json!({"token": token, "password": "another long secret phrase"}));
                world.run(&Identity::Anonymous, ResetPassword { uuid: id.to_string(), fields }).await.unwrap();
            }
            "operator" => {
                let password = Some("another long secret phrase".into());
                let set = SetUser { user: named(EMAIL), password, ..SetUser::default() };
                world.run(&operator(), set).await.unwrap();
            }
            _ => {
                assert!(world.run(&operator(), reset_of(EMAIL, true)).await.unwrap().staged_email_dropped);
                assert!(world.run(&operator(), reset_of(EMAIL, false)).await.unwrap().staged_email_dropped);
            }
        }
        let user = world.user(id).await;
        assert_eq!((user.pending_email, user.pending_email_at), (None, None), "{how}");
        assert!(!world.has(&keys::token(Purpose::VerifyEmail, Some(id))).await, "{how}");
        let newest = world.app.records().audit(None, None, 1, Order::Descending).await.unwrap().remove(0).record;
        assert!(newest.details.contains(&("staged_email_dropped".to_owned(), "true".to_owned())), "{how}");
    }
}

#[tokio::test]
async fn a_user_has_twenty_mails_a_day_sent_to_new_addresses() {
    let mut world = World::new();
    world.create(EMAIL, false).await;
    world.create("taken@example.com", false).await;
    let session = world.login(EMAIL).await;
    let stage = async |world: &World, address: &str| {
        let fields = fields(&json!({"email": address}));
        world.run(&session, UpdateUser { user: me(), fields, replace: false }).await
    };
    for number in 0..20 {
        // What sends no mail does not count.
        assert_eq!(code_of(stage(&world, "taken@example.com").await), "unique");
        stage(&world, EMAIL).await.unwrap();
        stage(&world, &format!("new{number}@example.com")).await.unwrap();
    }
    assert_eq!(code_of(stage(&world, "one.more@example.com").await), "throttled");
    stage(&world, EMAIL).await.unwrap();
    world.pass(250);
    assert_eq!(code_of(stage(&world, "one.more@example.com").await), "throttled");

    let world = World::with(|config| config.email.transport = MailTransport::Off);
    world.create(EMAIL, false).await;
    let session = world.login(EMAIL).await;
    for number in 0..25 {
        let fields = fields(&json!({"email": format!("new{number}@example.com")}));
        world.run(&session, UpdateUser { user: me(), fields, replace: false }).await.unwrap();
    }
}

#[tokio::test]
async fn password_and_address_change_in_one_call() {
    let mut world = World::with(|config| config.email.verification = Verification::Token);
    let id = world.create(EMAIL, false).await;
    let session = world.login(EMAIL).await;
    let both =
        json!({"email": "new@example.com", "password": "another long secret phrase", "current_password": PASSWORD});
    world.run(&session, UpdateUser { user: me(), fields: fields(&both), replace: false }).await.unwrap();
    world.pass(1);
    let (token, _) = world.mailed_token().await;
    let verify = VerifyEmail { fields: fields(&json!({"uuid": id.to_string(), "token": token})) };
    world.run(&Identity::Anonymous, verify).await.unwrap();
    assert_eq!(world.user(id).await.email.as_str(), "new@example.com");
}

#[tokio::test]
async fn an_operators_change_of_address_is_in_the_trail() {
    let world = World::new();
    world.create(EMAIL, false).await;
    let set = SetUser { user: named(EMAIL), email: Some("new@example.com".to_owned()), ..SetUser::default() };
    world.run(&operator(), set).await.unwrap();
    assert!(world.events().await.contains(&Event::UserEmailChanged));
}

// Housekeeping.

#[tokio::test]
async fn the_sweeper_removes_what_expired_and_nothing_else() {
    let mut world = World::new();
    let id = world.create(EMAIL, false).await;
    let session = world.login(EMAIL).await;
    world.run(&session, StartTotpSetup { user: me() }).await.unwrap();
    let wrong = fields(&json!({"email": EMAIL, "password": "wrong"}));
    assert!(world.run(&Identity::Anonymous, Login { fields: wrong, remembered: Vec::new() }).await.is_err());
    let staged = fields(&json!({"email": "new@example.com"}));
    world.run(&session, UpdateUser { user: me(), fields: staged, replace: false }).await.unwrap();
    let counts = async |world: &World| {
        (
            world.count(keys::SESSION).await,
            world.count(keys::PENDING_TOTP).await,
            world.count(keys::ATTEMPTS).await,
            world.count(keys::TOKEN).await,
        )
    };
    assert_eq!(counts(&world).await, (1, 1, 3, 1));
    for (seconds, expected) in [
        (599, (1, 1, 3, 1)),
        (600, (1, 0, 1, 1)),
        (86_399, (1, 0, 1, 1)),
        (86_400, (1, 0, 0, 0)),
        (1_209_599, (1, 0, 0, 0)),
        (1_209_600, (0, 0, 0, 0)),
        // The note of the mail about the new address.
        (2_592_000, (0, 0, 0, 0)),
    ] {
        world.app.sweep(START.plus_seconds(seconds)).await.unwrap();
        assert_eq!(counts(&world).await, expected, "after {seconds} s");
    }
    assert_eq!(world.count(keys::EXPIRY).await, 0);
    assert_eq!(world.count(&keys::user_session_prefix(id)).await, 0);
    world.pass(1);
}

/// A longer memory than the note was written for: the counter goes later, but it goes.
#[tokio::test]
async fn counters_of_failed_logins_do_not_stay_for_ever() {
    let world = World::with(|config| config.login.lock_seconds = 3_600);
    world.create(EMAIL, false).await;
    let wrong = fields(&json!({"email": EMAIL, "password": "wrong"}));
    assert!(world.run(&Identity::Anonymous, Login { fields: wrong, remembered: Vec::new() }).await.is_err());
    for seconds in (0..=7_200).step_by(600).chain([86_400]) {
        world.app.sweep(START.plus_seconds(seconds)).await.unwrap();
    }
    assert_eq!((world.count(keys::ATTEMPTS).await, world.count(keys::EXPIRY).await), (0, 0));
}

/// The lock of the account is longer than that of an address, which is the one that can be set.
#[tokio::test]
async fn the_sweeper_ends_no_lock() {
    let mut world = World::with(|config| {
        config.login.lock_seconds = 1;
        config.login.account_failures_max = 1;
    });
    world.create(EMAIL, false).await;
    let login = |password: &str| Login {
        fields: fields(&json!({"email": EMAIL, "password": password})),
        remembered: Vec::new(),
    };
    for _ in 0..11 {
        assert!(world.run(&Identity::Anonymous, login("wrong")).await.is_err());
        world.pass(899);
        world.app.sweep(world.now).await.unwrap();
    }
    assert_eq!(code_of(world.run(&Identity::Anonymous, login(PASSWORD)).await), "too_many_failed_attempts");
    world.pass(1);
    world.login(EMAIL).await;
}

#[tokio::test]
async fn a_damaged_record_does_not_stop_the_sweeper() {
    let world = World::new();
    world.create(EMAIL, false).await;
    let Identity::Session { session, .. } = world.login(EMAIL).await else { panic!() };
    let key = keys::session(&[9; 32]);
    let note = keys::expiry(START, &key);
    world.commit(Batch::default().put(key, b"damaged".to_vec()).put(note, Vec::new())).await;
    world.app.sweep(START.plus_seconds(1_209_600)).await.unwrap();
    assert!(!world.has(&keys::session(&session.hash)).await);
    assert!(world.has(&keys::session(&[9; 32])).await, "a damaged record is kept for somebody to look at");
}

#[tokio::test]
async fn a_mail_is_delivered_put_off_or_given_up() {
    let mut world = World::new();
    world.create(EMAIL, false).await;
    for address in ["a@example.com", "b@example.com"] {
        world.pass(120);
        let set = SetUser { user: named(EMAIL), email: Some(address.to_owned()), ..SetUser::default() };
        world.run(&operator(), set).await.unwrap();
        let back = SetUser { user: named(address), email: Some(EMAIL.to_owned()), ..SetUser::default() };
        world.run(&operator(), back).await.unwrap();
    }
    let due = world.app.outbox_due(world.now, 100).await.unwrap();
    assert_eq!(due.len(), 8);
    assert!(world.app.outbox_due(START.plus_seconds(-1), 100).await.unwrap().is_empty());
    let counter = async |world: &World| world.app.records().counter(keys::OUTBOX_COUNTER).await.unwrap();
    assert_eq!(counter(&world).await, 8);
    let of_user =
        async |world: &World| world.run(&operator(), InspectUser { user: named(EMAIL) }).await.unwrap().mails_waiting;
    assert_eq!(of_user(&world).await, 8);

    world.app.outbox_delivered(&due[0]).await.unwrap();
    assert!(world.app.outbox_delivered(&due[0]).await.is_err(), "it is gone");
    let later = world.now.plus_seconds(60);
    world.app.outbox_failed(&due[1], "421 later", later, false).await.unwrap();
    world.app.outbox_failed(&due[2], "550 no such mailbox", later, true).await.unwrap();
    let status = async |world: &World| {
        let status = world.run(&operator(), ReadStatus {}).await.unwrap();
        (status.outbox_waiting, status.outbox_failed)
    };
    assert_eq!((status(&world).await, of_user(&world).await), ((6, 1), 6));
    assert_eq!(world.app.outbox_due(world.now, 100).await.unwrap().len(), 5);
    let again = world.app.outbox_due(later, 100).await.unwrap();
    assert_eq!(again.len(), 6);
    let put_off = again.iter().find(|mail| mail.id == due[1].id).unwrap();
    assert_eq!((put_off.attempts, put_off.queued_at), (1, due[1].queued_at));
    assert!(again.iter().all(|mail| mail.id != due[2].id));
    let far = Timestamp::from_seconds(253_402_300_799);
    assert!(world.app.outbox_due(far, 100).await.unwrap().iter().all(|mail| mail.id != due[2].id));

    // Kept for 30 days, then gone for good; those that wait stay.
    world.app.sweep(later.plus_seconds(30 * 86_400 - 1)).await.unwrap();
    assert_eq!((status(&world).await, world.count(keys::OUTBOX_FAILED).await), ((6, 1), 1));
    world.app.sweep(later.plus_seconds(30 * 86_400)).await.unwrap();
    assert_eq!((status(&world).await, world.count(keys::OUTBOX_FAILED).await), ((6, 0), 0));
    assert_eq!((world.count(keys::OUTBOX).await, of_user(&world).await), (6, 6));
}

#[tokio::test]
async fn the_trail_is_a_chain_without_gaps() {
    let world = World::new();
    let id = world.create(EMAIL, false).await;
    world.create("other@example.com", false).await;
    let session = world.login(EMAIL).await;
    world.enrol(&session).await;
    let reset = world.run(&operator(), reset_of(EMAIL, false)).await.unwrap();
    let entries = world.app.records().audit(None, None, 100, Order::Descending).await.unwrap();
    let numbers: Vec<u64> = entries.iter().map(|entry| entry.number).collect();
    let newest = entries.len() as u64;
    assert_eq!(numbers, (1..=newest).rev().collect::<Vec<_>>());
    assert_eq!(reset.audit_number, Some(newest));
    assert_eq!(world.app.records().audit_newest().await.unwrap(), newest);
    for pair in entries.windows(2) {
        assert_eq!(pair[0].previous, pair[1].hash);
    }
    assert_eq!(entries.last().unwrap().previous, [0; 32]);
    assert!(matches!(&entries[0].record.actor, AuditActor::Operator { uid: 1_000, name } if name == "jdoe"));
    let own = world.app.records().audit(Some(id), None, 100, Order::Descending).await.unwrap();
    assert!(own.iter().all(|entry| entry.record.target.as_ref().is_some_and(|target| target.id == id)));
    assert_eq!(own.len(), entries.len() - 1);
    let page = ListAudit {
        filter: AuditFilter { event: Some("two_factor.".to_owned()), ..AuditFilter::default() },
        before: None,
        limit: 1,
    };
    let page = world.run(&operator(), page).await.unwrap();
    assert_eq!((page.rows[0].number, page.next, page.newest), (newest, Some(newest), newest));
}

// Who may do what.

#[tokio::test]
async fn a_request_with_a_pending_login_may_use_a_key() {
    let mut world = World::new();
    let id = world.create(EMAIL, false).await;
    let session = world.login(EMAIL).await;
    let key = fields(&json!({"label": "CI", "scopes": ["user:read"]}));
    let key = world.run(&session, CreateApiKey { fields: key }).await.unwrap();
    world.enrol(&session).await;
    world.now = clock::now();
    let outcome = world.first_step(&Identity::Anonymous, EMAIL, Vec::new()).await.unwrap();
    let LoginOutcome::SecondFactorRequired { session: Some(pending) } = outcome else { panic!() };
    let value = serde_json::to_value(&key).unwrap()["value"].as_str().unwrap().to_owned();
    let presented = Presented { session: Some(pending.key), body_key: Some(value.into()), ..Presented::default() };
    let actor = world.app.authenticate(presented, RequestFacts::default()).await.unwrap();
    assert!(matches!(actor.identity, Identity::ApiKey { user, .. } if user.id == id));
}

/// What each kind of caller gets: anonymous, pending login, session just now, session of three hours, session behind
/// the gate, key without a scope for users, key with `user:read`, key with `*`, operator, operator who may look only.
type Row = [&'static str; 10];

const ANYONE: Row = ["ok"; 10];
const LOOKING: Row = [NO, NO, NO, NO, NO, NO, NO, NO, "ok", "ok"];
const WRITING: Row = [NO, NO, NO, NO, NO, NO, NO, NO, "ok", "not_allowed"];

/// A row for users: what a session of three hours gets, one behind the gate, and the three keys.
const fn user(old: &'static str, gated: &'static str, keys: [&'static str; 3]) -> Row {
    let none = "not_authenticated";
    [none, none, "ok", old, gated, keys[0], keys[1], keys[2], NO, NO]
}

const OLD: &str = "sensitive_action_required_reauth";
const GATE: &str = "two_factor_setup_required";
const NO: &str = "permission_denied";
const READ: [&str; 3] = [NO, "ok", "ok"];
const WRITE: [&str; 3] = [NO, NO, "ok"];
const NEVER: [&str; 3] = [NO, NO, NO];
const IGNORED: [&str; 3] = ["not_authenticated"; 3];

#[tokio::test]
async fn every_operation_is_for_those_it_is_for() {
    let mut world = World::new();
    world.create(EMAIL, false).await;
    world.create("old@example.com", false).await;
    world.create("gated@example.com", false).await;
    let old = world.login("old@example.com").await;
    world.pass(3 * 3_600);
    let live = world.login(EMAIL).await;
    world.run(&operator(), reset_of("gated@example.com", false)).await.unwrap();
    let gated = world.login("gated@example.com").await;
    let Identity::Session { user: owner, session } = &live else { panic!() };
    let mut keys = Vec::new();
    for scope in ["person:write", "user:read", "*"] {
        let fields = fields(&json!({"label": scope, "scopes": [scope]}));
        let id = world.run(&live, CreateApiKey { fields }).await.unwrap().id;
        let held = world.app.records().api_keys_of(owner.id).await.unwrap();
        let key = held.into_iter().find(|key| key.value.id == id).unwrap().value;
        keys.push(Identity::ApiKey { user: Arc::clone(owner), key: Arc::new(key) });
    }
    let mut callers = vec![Identity::Anonymous, Identity::Pending(Arc::clone(session)), live.clone(), old, gated];
    callers.extend(keys);
    callers.push(operator());
    callers.push(Identity::Operator { uid: 1_001, name: "reader".to_owned(), rights: Rights::Reader });

    let outcomes = |needs: Permission| -> Row {
        let got = callers.iter().map(|identity| {
            let actor =
                Actor { identity: identity.clone(), address: None, user_agent: None, request_id: String::new() };
            let cx = Context { app: &world.app, actor: &actor, now: world.now, step: None, approved: None };
            match cx.check(needs) {
                Ok(()) => "ok",
                Err(Error::NotAuthenticated) => "not_authenticated",
                Err(Error::ReauthRequired { .. }) => OLD,
                Err(Error::TwoFactorSetupRequired) => GATE,
                Err(Error::Denied { .. }) => NO,
                Err(Error::Refused { code, .. }) if code == "not_allowed" => "not_allowed",
                Err(other) => panic!("{other}"),
            }
        });
        got.collect::<Vec<_>>().try_into().unwrap()
    };
    macro_rules! check {
        ($($expected:expr => [$($operation:ty),+ $(,)?],)+) => {
            $($(assert_eq!(outcomes(<$operation>::NEEDS), $expected, "{}", <$operation>::NAME);)+)+
        };
    }
    check! {
        ANYONE => [
            Login, CompleteLogin, CheckLogin, Logout, RequestEmailVerification, VerifyEmail, ResetPassword,
            CheckResetToken, CompleteSetup,
        ],
        LOOKING => [
            ListApiKeysOf, ListApprovals, ListAudit, ExportAudit, LookUpRequest, ReadStatus, FindUsers, CountUsers,
            InspectUser, ExplainCode, ListSessionsOf, ListJobs, ReadDraft, ReadJob, ReadOverview, VerifyStore,
            ReadCheckpoints, TakeCheckpoint,
        ],
        WRITING => [
            CreateUser, SetUser, SetUserActive, CreateApiKeyFor, SetApiKey, RollApiKeyOf, RevokeApiKey,
            RevokeAllApiKeys, ApproveAct, RefuseAct, DemandReEnrolment, ResendVerification, CancelEmailChangeOf,
            ResetTwoFactor, UnlockTwoFactor, RevokeBackupCodes, StartEnrolment, ConfirmEnrolment, RevokeSessions,
            DraftJob, StartJob, SteerJob, RepairStore, ExportUsers,
        ],
        user("ok", GATE, READ) => [ListUsers],
        user("ok", "ok", READ) => [RetrieveUser, RetrieveTwoFactorStatus],
        user("ok", "ok", WRITE) => [UpdateUser, StartTotpSetup],
        user(OLD, "ok", WRITE) => [ValidateTotp, DisableTwoFactor],
        user(OLD, GATE, WRITE) => [CancelEmailChange],
        user(OLD, "ok", NEVER) => [RegenerateBackupCodes],
        user("ok", GATE, IGNORED) => [ListLoginSessions, ListRememberedDevices],
        user(OLD, GATE, IGNORED) => [DeleteUser, RevokeLoginSession, RevokeOtherSessions, RevokeRememberedDevice],
        user("ok", GATE, NEVER) => [
            ListApiKeys, RetrieveHedgehogConfig, ReplaceHedgehogConfig, PersonaliseScene, MarkProductIntro,
            RetrieveGithubLogin, ListPendingInvites,
        ],
        user(OLD, GATE, NEVER) => [
            CreateApiKey, UpdateApiKey, RollApiKey, DeleteApiKey, CompleteCredentialsReview,
        ],
        user("ok", GATE, ["ok"; 3]) => [RetrieveApiKey],
    }
}

#[tokio::test]
async fn keys_stay_off_the_second_factor_where_the_setting_says_so() {
    let world = World::with(|config| config.auth.allow_keys_on_two_factor = false);
    world.create(EMAIL, false).await;
    let live = world.login(EMAIL).await;
    let Identity::Session { user: owner, .. } = &live else { panic!() };
    let all = fields(&json!({"label": "all", "scopes": ["*"]}));
    world.run(&live, CreateApiKey { fields: all }).await.unwrap();
    let key = world.app.records().api_keys_of(owner.id).await.unwrap().remove(0).value;
    let key = Identity::ApiKey { user: Arc::clone(owner), key: Arc::new(key) };
    let status = RetrieveTwoFactorStatus { user: me() };
    let Err(Error::Denied { detail }) = world.run(&key, status).await else { panic!() };
    assert_eq!(detail, "This action does not support personal API key access");
}
