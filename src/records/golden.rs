//! Stored formats do not change by accident: the bytes of one record of each kind are kept under `golden/`, in hex.
//!
//! A new format gets new files; the old ones stay, and have to decode for as long as the format is read. When a file is
//! missing the test writes it and fails, so that somebody looks at it.

use std::fmt::Debug;
use std::net::IpAddr;
use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::codec::{Record, decode, encode};
use super::days::Adoption;
use super::{AuditKey, FrozenUsers, OutboxRecord, Reminder};
use crate::domain::api_key::ApiKey;
use crate::domain::approval::{Act, Approval};
use crate::domain::audit::{AuditActor, AuditRecord, AuditTarget, Event, Outcome};
use crate::domain::backoff::{Failures, LoginFailures};
use crate::domain::checkpoint::{SEED_BYTES, SigningKey, Statement};
use crate::domain::email::EmailAddress;
use crate::domain::id::{InviteId, MembershipId, OrganizationId, SessionId, UserId};
use crate::domain::job::{AskedBy, Job, JobId, JobKind, JobState, Outcome as JobOutcome, Skip};
use crate::domain::mail::{MailNote, MailState};
use crate::domain::organization::{Invite, Level, Membership, Organization, Team};
use crate::domain::rate::Window;
use crate::domain::session::{PendingLogin, PendingTotp, RememberedDevice, Session};
use crate::domain::text::hex;
use crate::domain::time::Timestamp;
use crate::domain::token::{Code, Token};
use crate::domain::user::{BackupCode, PasswordHash, Preferences, SecondFactor, TotpDevice, User};
use crate::domain::vault::Sealed;
use crate::store::StoreError;

const KEY: &[u8] = b"golden/key";

/// Both directions, and every way a record can be damaged.
#[track_caller]
fn check<T: Record + Debug + PartialEq>(name: &str, record: &T) {
    let bytes = encode(KEY, record);
    let golden = golden(name, &bytes);
    assert_eq!(hex(&bytes), hex(&golden), "{name}: the stored format has changed");
    assert_eq!(decode::<T>(KEY, &golden).as_ref(), Ok(record), "{name}: stored records do not come back");

    let damaged = |bytes: &[u8], key: &[u8]| {
        let Err(StoreError::Corrupt(message)) = decode::<T>(key, bytes) else {
            panic!("{name}: a damaged record was taken: {}", hex(bytes))
        };
        let key = std::str::from_utf8(key).unwrap();
        assert!(message.contains(key), "{name}: `{message}` does not name the key {key}");
        message
    };
    for place in 0..golden.len() {
        for bit in [0x01, 0x80, 0xff] {
            let mut flipped = golden.clone();
            flipped[place] ^= bit;
            damaged(&flipped, KEY);
        }
        damaged(&golden[..place], KEY);
    }
    damaged(&golden, b"golden/other");
    damaged(&[&golden[..], &[0]].concat(), KEY);

    // With a checksum that is right.
    let content = &golden[..golden.len() - 4];
    damaged(&signed(&[content, &[0]].concat()), KEY);
    damaged(&signed(&content[..content.len() - 1]), KEY);
    damaged(&signed(&[&[0], &content[1..]].concat()), KEY);
    let newer = signed(&[&[T::FORMAT + 1], &content[1..]].concat());
    assert!(damaged(&newer, KEY).contains("newer version"), "{name}");
}

fn golden(name: &str, bytes: &[u8]) -> Vec<u8> {
    let file: PathBuf = [env!("CARGO_MANIFEST_DIR"), "src/records/golden", &format!("{name}.hex")].iter().collect();
    let Ok(text) = std::fs::read_to_string(&file) else {
        std::fs::write(&file, lines(&hex(bytes))).unwrap();
        panic!("{} was missing and is written now: look at it and add it", file.display());
    };
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn lines(digits: &str) -> String {
    let lines: Vec<&str> = digits.as_bytes().chunks(100).map(|line| std::str::from_utf8(line).unwrap()).collect();
    lines.join("\n") + "\n"
}

/// The content with a checksum that fits.
fn signed(content: &[u8]) -> Vec<u8> {
    super::codec::signed(KEY, content)
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros((1_800_000_000 + seconds) * 1_000_000 + 123_456)
}

fn id(byte: u8) -> UserId {
    UserId(Uuid::from_bytes([byte; 16]))
}

fn email(address: &str) -> EmailAddress {
    EmailAddress::parse(address).unwrap()
}

fn fresh_user() -> User {
    User::new(id(1), 7, "f0aZ3m1k".to_owned(), email("ada@example.com"), at(0))
}

fn full_user() -> User {
    User {
        pending_email: Some(email("new@example.com")),
        pending_email_at: Some(at(1)),
        is_email_verified: Some(true),
        previous_email: Some(email("old@example.com")),
        email_changed_at: Some(at(-2)),
        first_name: "Ada".to_owned(),
        last_name: "Łovelace".to_owned(),
        password_hash: Some(PasswordHash("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".to_owned())),
        password_changed_at: Some(at(3)),
        requested_password_reset_at: Some(at(4)),
        is_active: false,
        is_staff: true,
        last_login: Some(at(5)),
        preferences: Preferences {
            notification_settings: Map::from_iter([("plugin_disabled".to_owned(), json!(false))]),
            anonymize_data: Some(true),
            toolbar_mode: Some("disabled".to_owned()),
            events_column_config: json!({"active": ["a", 1]}),
            has_seen_product_intro_for: json!({"x": true}),
            scene_personalisation: json!([{"scene": "s", "dashboard": 2}]),
            theme_mode: Some("dark".to_owned()),
            hedgehog_config: json!({"color": "red"}),
            role_at_organization: Some("founder".to_owned()),
            allow_impersonation: Some(false),
            allow_sidebar_suggestions: Some(true),
            shortcut_position: Some("below".to_owned()),
            hide_mcp_hints: true,
            ui_configuration: json!({"a": null}),
        },
        current_organization: Some(OrganizationId(Uuid::from_bytes([9; 16]))),
        current_team: Some(300),
        session_epoch: 70_000,
        remember_epoch: 3,
        known_devices: vec![[1; 8], [2; 8]],
        second_factor: SecondFactor {
            totp: Some(TotpDevice {
                secret: Sealed(vec![1, 2, 3]),
                confirmed_at: at(6),
                last_used_at: Some(at(7)),
                last_step: 60_000_000,
                disabled: true,
            }),
            backup_codes: vec![
                BackupCode { mac: [3; 32], sealed: Sealed(vec![4, 5]) },
                BackupCode { mac: [6; 32], sealed: Sealed(vec![7]) },
            ],
            backup_codes_issued: 10,
            backup_codes_made_at: Some(at(8)),
            backup_code_used_at: Some(at(9)),
            totp_failures: Failures { count: 100, last_at: at(10) },
            backup_code_failures: Failures { count: 2, last_at: at(11) },
            enrol_from: Some(at(6)),
            generation: 5,
            last_reset_at: Some(at(12)),
        },
        ..fresh_user()
    }
}

fn session() -> Session {
    Session {
        id: SessionId(Uuid::from_bytes([2; 16])),
        user: Some(id(1)),
        epoch: 4,
        created_at: at(0),
        expires_at: at(1_209_600),
        authenticated_at: at(1),
        verified_at: Some(at(2)),
        last_activity: at(3),
        login_method: "password".to_owned(),
        address: Some(IpAddr::from([192, 0, 2, 7])),
        user_agent: "Mozilla/5.0".to_owned(),
        pending_login: Some(PendingLogin { user: id(1), started_at: at(4), epoch: 4, generation: 6 }),
    }
}

fn audit(actor: AuditActor) -> AuditRecord {
    AuditRecord {
        at: at(0),
        event: Event::TwoFactorReset,
        actor,
        target: Some(AuditTarget { id: id(1), email: "ada@example.com".to_owned() }),
        address: Some("192.0.2.7".to_owned()),
        user_agent: Some("curl/8".to_owned()),
        request_id: "request-1".to_owned(),
        outcome: Outcome::Done,
        reason: Some("phone lost, HD-4602".to_owned()),
        verified_by: Some("call-back".to_owned()),
        details: vec![("totp_removed".to_owned(), "true".to_owned()), ("sessions_ended".to_owned(), "2".to_owned())],
    }
}

#[test]
fn what_vouches_for_the_trail() {
    check("audit_key", &AuditKey(Sealed(vec![1, 2, 3, 4])));
    let key = SigningKey::from_seed(&[7; SEED_BYTES]).unwrap();
    check("checkpoint", &key.sign(Statement::Checkpoint, 300, [3; 32], at(0)).unwrap());
    check("audit_start", &key.sign(Statement::Start, 70_000, [4; 32], at(1)).unwrap());
}

#[test]
fn users() {
    check("user_full", &full_user());
    check("user_fresh", &fresh_user());
}

#[test]
fn sessions() {
    check("session", &session());
    let pending = Session {
        user: None,
        verified_at: None,
        address: Some(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1])),
        ..session()
    };
    check("session_pending", &pending);
    let plain = Session { address: None, pending_login: None, ..session() };
    check("session_plain", &plain);
    check(
        "pending_totp",
        &PendingTotp { secret: Sealed(vec![1, 2, 3, 4]), started_at: at(0), failures: 9, generation: 2 },
    );
    check(
        "remembered_device",
        &RememberedDevice {
            user: id(1),
            epoch: 1,
            generation: 2,
            created_at: at(0),
            expires_at: at(2_592_000),
            user_agent: "Mozilla/5.0".to_owned(),
        },
    );
}

#[test]
fn keys_tokens_and_counters() {
    check(
        "api_key",
        &ApiKey {
            id: "3kT9".to_owned(),
            user: id(1),
            label: "CI".to_owned(),
            description: Some("for the build".to_owned()),
            mask: "phx_...9aZq".to_owned(),
            hash: [8; 32],
            created_at: at(0),
            last_used_at: Some(at(1)),
            last_rolled_at: Some(at(2)),
            scopes: vec!["user:read".to_owned(), "*".to_owned()],
            scoped_teams: vec![1, -2],
            scoped_organizations: vec![Uuid::from_bytes([5; 16])],
        },
    );
    let code = Code { mac: [2; 32], expires_at: at(600), failures: 4, used: true };
    let token = Token { hash: [1; 32], expires_at: at(86_400), binding: [3; 32], code: Some(code) };
    check("token_with_code", &token);
    check("token", &Token { code: None, ..token });
    check("login_failures", &LoginFailures { count: 29, last_at: at(0), forgotten_at: at(60) });
}

#[test]
fn organizations() {
    let organization = OrganizationId(Uuid::from_bytes([5; 16]));
    let fresh =
        Organization::new(organization, "Analytical Engines".to_owned(), "analytical-engines".to_owned(), at(0));
    check("organization_fresh", &fresh);
    check(
        "organization",
        &Organization {
            logo_media_id: Some(Uuid::from_bytes([6; 16])),
            updated_at: at(1),
            is_member_join_email_enabled: false,
            enforce_2fa: Some(true),
            members_can_invite: None,
            members_can_use_personal_api_keys: false,
            allow_publicly_shared_resources: false,
            is_ai_data_processing_approved: Some(false),
            default_experiment_stats_method: "frequentist".to_owned(),
            session_cookie_age: Some(3_600),
            ..fresh
        },
    );
    let membership = Membership {
        id: MembershipId(Uuid::from_bytes([7; 16])),
        organization,
        user: id(1),
        level: Level::Owner,
        joined_at: at(0),
        updated_at: at(1),
        invited_by: None,
    };
    check("membership_first", &membership);
    check("membership", &Membership { level: Level::Administrator, invited_by: Some(id(2)), ..membership });
    check(
        "team",
        &Team {
            number: 300,
            uuid: Uuid::from_bytes([8; 16]),
            organization,
            api_token: "phc_3kT9".to_owned(),
            name: "Default project".to_owned(),
            created_at: at(0),
        },
    );
    let invite = Invite {
        id: InviteId(Uuid::from_bytes([9; 16])),
        organization,
        target_email: email("ada@example.com"),
        first_name: "Ada".to_owned(),
        level: Level::Member,
        emailing_attempt_made: true,
        created_by: Some(id(1)),
        created_at: at(0),
        updated_at: at(1),
        message: Some("Welcome".to_owned()),
        private_project_access: vec![(300, true), (7, false)],
    };
    check("invite", &invite);
    let bare = Invite { created_by: None, message: None, private_project_access: Vec::new(), ..invite };
    check("invite_bare", &bare);
}

#[test]
fn jobs() {
    let draft = Job {
        id: JobId(7),
        kind: JobKind::RequireEnrolment { from: at(86_400) },
        state: None,
        asked_by: AskedBy { uid: 1_000, name: "jdoe".to_owned() },
        reason: String::new(),
        verified_by: None,
        created_at: at(0),
        started_at: None,
        finished_at: None,
        users: 214,
        planned: 200,
        next: 0,
        done: 0,
        skipped: 0,
        failed: 0,
    };
    check("job_draft", &draft);
    let stopped = Job {
        kind: JobKind::ResetTwoFactor,
        state: Some(JobState::Stopped),
        reason: "phones of one batch".to_owned(),
        verified_by: Some("call-back".to_owned()),
        started_at: Some(at(60)),
        finished_at: Some(at(90)),
        next: 6,
        done: 3,
        skipped: 2,
        failed: 1,
        ..draft
    };
    check("job_stopped", &stopped);
    let every_skip = Skip::ALL.into_iter().map(|skip| (UserId(Uuid::from_u128(7)), Some(skip)));
    check("job_users", &FrozenUsers(every_skip.chain([(UserId(Uuid::from_u128(8)), None)]).collect()));
    check("job_result_done", &JobOutcome::Done);
    check("job_result_skipped", &JobOutcome::Skipped(Skip::HasFactor));
    check("job_result_failed", &JobOutcome::Failed("the mail server is gone".to_owned()));
    check("reminder", &Reminder { at: at(0) });
}

#[test]
fn approvals() {
    check(
        "approval",
        &Approval {
            id: "0a1b2c3d".to_owned(),
            act: Act::ResetTwoFactor,
            request: "{\"user\":\"ada\"}".to_owned(),
            user: id(1),
            email: "ada@example.com".to_owned(),
            asked_by: AskedBy { uid: 1_000, name: "jdoe".to_owned() },
            reason: "lost phone, HD-4711".to_owned(),
            asked_at: at(0),
            expires_at: at(900),
        },
    );
}

#[test]
fn windows_of_rate_limits_and_figures() {
    check("adoption", &Adoption { with: 612_480, of: 1_000_000 });
    check("window", &Window { seconds: 1_200, times: [at(0), at(60), at(60)].into() });
}

#[test]
fn mails() {
    let mail = OutboxRecord {
        id: [4; 16],
        user: Some(id(1)),
        due: at(30),
        queued_at: at(0),
        attempts: 3,
        last_error: Some("421 try again".to_owned()),
        sealed: Sealed(vec![9, 8, 7]),
    };
    check("outbox", &mail);
    check(
        "mail_note",
        &MailNote {
            kind: "verify_email".to_owned(),
            to: "ada@example.com".to_owned(),
            at: at(0),
            state: MailState::Failed,
            error: Some("550 mailbox unavailable".to_owned()),
        },
    );
    check("outbox_fresh", &OutboxRecord { user: None, attempts: 0, last_error: None, ..mail });
}

#[test]
fn audit_entries() {
    let user = |session: Option<&str>, api_key: Option<&str>| AuditActor::User {
        id: id(2),
        email: "staff@example.com".to_owned(),
        session: session.map(str::to_owned),
        api_key: api_key.map(str::to_owned),
    };
    check("audit_by_session", &audit(user(Some("01990f5c-1f2e-7000-8b1d-5a0f3b9d2c11"), None)));
    check("audit_by_key", &audit(user(None, Some("3kT9"))));
    check("audit_by_operator", &audit(AuditActor::Operator { uid: 1_000, name: "jdoe".to_owned() }));
    check("audit_by_system", &AuditRecord { outcome: Outcome::Refused, ..audit(AuditActor::System) });
    let bare = AuditRecord {
        event: Event::UserLoginFailed,
        target: None,
        address: None,
        user_agent: None,
        outcome: Outcome::Failed,
        reason: None,
        verified_by: None,
        details: Vec::new(),
        ..audit(AuditActor::Anonymous)
    };
    check("audit_by_nobody", &bare);
}

/// Every event can be stored and read, also when it is new.
#[test]
fn every_event_comes_back() {
    for event in Event::ALL {
        let record = AuditRecord { event: *event, ..audit(AuditActor::System) };
        assert_eq!(decode(KEY, &encode(KEY, &record)), Ok(record));
    }
}

fn times() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp::from_micros)
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn addresses() -> impl Strategy<Value = EmailAddress> {
    "[a-z0-9]{1,12}@[a-z]{1,8}\\.example".prop_map(|text| email(&text))
}

prop_compose! {
    fn factors()(
        device in prop::option::of((any::<Vec<u8>>(), times(), prop::option::of(times()), any::<i64>(), any::<bool>())),
        codes in prop::collection::vec((any::<[u8; 32]>(), any::<Vec<u8>>()), 0..10),
        moments in (
            prop::option::of(times()), prop::option::of(times()), prop::option::of(times()), prop::option::of(times()),
        ),
        failures in ((any::<u32>(), times()), (any::<u32>(), times())),
        counts in (any::<u32>(), any::<u32>()),
    ) -> SecondFactor {
        let failed = |(count, last_at)| Failures { count, last_at };
        SecondFactor {
            totp: device.map(|(secret, confirmed_at, last_used_at, last_step, disabled)| TotpDevice {
                secret: Sealed(secret), confirmed_at, last_used_at, last_step, disabled,
            }),
            backup_codes: codes.into_iter().map(|(mac, sealed)| BackupCode { mac, sealed: Sealed(sealed) }).collect(),
            backup_codes_issued: counts.0,
            backup_codes_made_at: moments.0,
            backup_code_used_at: moments.1,
            totp_failures: failed(failures.0),
            backup_code_failures: failed(failures.1),
            enrol_from: moments.3,
            generation: counts.1,
            last_reset_at: moments.2,
        }
    }
}

prop_compose! {
    fn any_user()(
        who in (any::<[u8; 16]>(), any::<u64>(), any::<String>(), addresses()),
        other_addresses in (prop::option::of(addresses()), prop::option::of(addresses())),
        names in (any::<String>(), any::<String>(), prop::option::of(any::<String>())),
        flags in (any::<bool>(), any::<bool>(), any::<Option<bool>>(), any::<Option<bool>>(), any::<bool>()),
        moments in prop::collection::vec(prop::option::of(times()), 5),
        joined in times(),
        json in (values(), values(), values(), values(), values()),
        settings in prop::collection::btree_map(any::<String>(), values(), 0..4),
        words in prop::collection::vec(prop::option::of(any::<String>()), 4),
        counts in (any::<u32>(), any::<u32>(), any::<Option<u64>>(), any::<Option<[u8; 16]>>()),
        known_devices in prop::collection::vec(any::<[u8; 8]>(), 0..20),
        second_factor in factors(),
    ) -> User {
        User {
            pending_email: other_addresses.0,
            previous_email: other_addresses.1,
            pending_email_at: moments[0],
            email_changed_at: moments[1],
            password_changed_at: moments[2],
            requested_password_reset_at: moments[3],
            last_login: moments[4],
            first_name: names.0,
            last_name: names.1,
            password_hash: names.2.map(PasswordHash),
            is_active: flags.0,
            is_staff: flags.1,
            is_email_verified: flags.2,
            preferences: Preferences {
                notification_settings: settings.into_iter().collect(),
                anonymize_data: flags.3,
                toolbar_mode: words[0].clone(),
                theme_mode: words[1].clone(),
                role_at_organization: words[2].clone(),
                shortcut_position: words[3].clone(),
                allow_impersonation: flags.2,
                allow_sidebar_suggestions: flags.3,
                hide_mcp_hints: flags.4,
                events_column_config: json.0,
                has_seen_product_intro_for: json.1,
                scene_personalisation: json.2,
                hedgehog_config: json.3,
                ui_configuration: json.4,
            },
            session_epoch: counts.0,
            remember_epoch: counts.1,
            current_team: counts.2,
            current_organization: counts.3.map(|id| OrganizationId(Uuid::from_bytes(id))),
            known_devices,
            second_factor,
            ..User::new(UserId(Uuid::from_bytes(who.0)), who.1, who.2, who.3, joined)
        }
    }
}

proptest! {
    #[test]
    fn any_user_comes_back(user in any_user()) {
        prop_assert_eq!(decode::<User>(KEY, &encode(KEY, &user)), Ok(user));
    }

    #[test]
    fn noise_is_never_a_record(bytes: Vec<u8>) {
        prop_assert!(decode::<User>(KEY, &bytes).is_err());
        // Also when the checksum happens to fit, nothing panics and nothing large is allocated.
        let _ = decode::<User>(KEY, &signed(&bytes));
        let _ = decode::<AuditRecord>(KEY, &signed(&bytes));
    }
}
