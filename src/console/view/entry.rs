//! An audit entry in words: on a line, in a sentence, in full.

use ratatui::text::Line;

use crate::app::views::AuditRow;
use crate::console::model::Model;
use crate::console::text::{ago, cut, cut_email, date_time, fit, shown, thousands, time_of_day, wrap};
use crate::domain::audit::{AuditActor, AuditRecord, Event, Outcome};

/// Columns of an event where the user follows.
const EVENT_COLUMNS: usize = 24;
/// Where the user an entry is about stands on the Audit screen, and the most columns for the address.
const WHOM_AT_COLUMN: usize = 2 + 10 + 8 + 16 + EVENT_COLUMNS + 1;
const WHOM_COLUMNS_MAX: usize = 40;
const SECONDS_PER_DAY: i64 = 86_400;

/// One entry on a line; `whom` adds the user it is about.
pub(super) fn line(model: &Model, row: &AuditRow, whom: bool) -> String {
    let ellipsis = model.theme.ellipsis();
    let record = &row.record;
    let who = who(&record.actor, record.address.as_deref());
    let event = what(record);
    let event = if whom { fit(&event, EVENT_COLUMNS, "") } else { event };
    let room = usize::from(model.size.0).saturating_sub(WHOM_AT_COLUMN).clamp(12, WHOM_COLUMNS_MAX);
    let target = record.whom().filter(|_| whom);
    let target = target.map_or(String::new(), |target| format!(" {}", cut_email(&shown(target), room, ellipsis)));
    let reason = record.reason.as_deref().map_or(String::new(), |reason| format!(": \"{}\"", shown(reason)));
    format!(
        "{} {}{}{event}{target}{reason}",
        fit(&format!("#{}", row.number), 9, ""),
        fit(&ago(model.now, record.at), 8, ""),
        fit(&fit(&who, 15, ellipsis), 16, ""),
    )
}

fn who(actor: &AuditActor, address: Option<&str>) -> String {
    match actor {
        AuditActor::Anonymous => address.map_or("anonymous".to_owned(), shown),
        AuditActor::System => "system".to_owned(),
        AuditActor::User { email, .. } => shown(email),
        AuditActor::Operator { name, uid } if name.is_empty() => format!("uid {uid}"),
        AuditActor::Operator { name, .. } => shown(name),
    }
}

/// What happened, for people; the name that the command line filters by is in the entry's full text.
const fn words(event: Event) -> &'static str {
    match event {
        Event::UserCreated => "user made",
        Event::UserSignedUp => "signed up",
        Event::UserImported => "user imported",
        Event::UserExported => "users exported",
        Event::UserLoggedIn => "signed in",
        Event::UserLoginFailed => "sign-in failed",
        Event::UserLoggedOut => "signed out",
        Event::UserVerificationRequested => "verification mail asked",
        Event::UserEmailVerified => "e-mail verified",
        Event::UserEmailChangeRequested => "e-mail change asked",
        Event::UserEmailChangeCancelled => "e-mail change cancelled",
        Event::UserEmailChanged => "e-mail changed",
        Event::UserUpdated => "details changed",
        Event::UserDeactivated => "user deactivated",
        Event::UserReactivated => "user reactivated",
        Event::UserDeleted => "user deleted",
        Event::UserPasswordChanged => "password changed",
        Event::UserPasswordResetRequested => "password link asked",
        Event::UserPasswordReset => "new password set",
        Event::TwoFactorSetupStarted => "2FA set-up begun",
        Event::TwoFactorEnabled => "2FA turned on",
        Event::TwoFactorReplaced => "2FA device replaced",
        Event::TwoFactorDisabled => "2FA turned off",
        Event::TwoFactorReset => "2FA reset",
        Event::TwoFactorResetLinkSent => "2FA reset link sent",
        Event::TwoFactorEnrolmentDemanded => "new device demanded",
        Event::TwoFactorEnrolmentReminded => "reminded to enrol",
        Event::TwoFactorUnlocked => "unlock",
        Event::TwoFactorLocked => "2FA locked",
        Event::TwoFactorValidateFailed => "code refused at set-up",
        Event::TwoFactorLoginFailed => "code refused at sign-in",
        Event::TwoFactorBackupCodesRegenerated => "backup codes made",
        Event::TwoFactorBackupCodesRevoked => "backup codes revoked",
        Event::TwoFactorBackupCodeUsed => "backup code used",
        Event::TwoFactorCodesViewed => "backup codes shown",
        Event::TwoFactorCodeExplained => "a code explained",
        Event::SessionRevoked => "session ended",
        Event::SessionRevokedOthers => "other sessions ended",
        Event::RememberedDeviceRevoked => "device forgotten",
        Event::ApiKeyCreated => "API key made",
        Event::ApiKeyUpdated => "API key changed",
        Event::ApiKeyRolled => "API key renewed",
        Event::ApiKeyDeleted => "API key revoked",
        Event::OrganizationCreated => "organization made",
        Event::OrganizationUpdated => "organization changed",
        Event::OrganizationEnforce2faChanged => "2FA demand changed",
        Event::OrganizationDeleted => "organization deleted",
        Event::ProjectCreated => "project made",
        Event::MemberJoined => "joined organization",
        Event::MemberLevelChanged => "level changed",
        Event::MemberRemoved => "left organization",
        Event::InviteCreated => "invite made",
        Event::InviteDeleted => "invite deleted",
        Event::ApprovalAsked => "approval asked for",
        Event::ApprovalRefused => "approval refused",
        Event::StoreRepaired => "indexes repaired",
        Event::StoreBackedUp => "backup taken",
        Event::StoreExported => "everything exported",
        Event::StoreRekeyed => "secret key changed",
        Event::AuditShortened => "old entries removed",
        Event::JobStarted => "job started",
        Event::JobPaused => "job paused",
        Event::JobResumed => "job resumed",
        Event::JobStopped => "job stopped",
        Event::JobFinished => "job finished",
    }
}

const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "",
        Outcome::Failed => " failed",
        Outcome::Refused => " refused",
    }
}

/// Everything an entry says, on lines of so many columns.
pub(super) fn in_full(row: &AuditRow, columns: usize) -> Vec<Line<'static>> {
    let record = &row.record;
    let mut parts = vec![
        format!("#{}  {} UTC  {}{}", row.number, date_time(record.at), record.event.as_str(), outcome(record.outcome)),
        format!("by {}", who(&record.actor, record.address.as_deref())),
    ];
    parts.extend(record.target.as_ref().map(|target| format!("on {}", shown(&target.email))));
    parts.extend(record.address.as_deref().map(|address| format!("from {}", shown(address))));
    parts.extend(record.reason.as_deref().map(|reason| format!("reason \"{}\"", shown(reason))));
    parts.extend(record.verified_by.as_deref().map(|by| format!("caller checked: {}", shown(by))));
    parts.extend(record.details.iter().map(|(name, value)| shown(&format!("{name} {value}"))));
    parts.push(format!("request {}", shown(&record.request_id)));
    wrap(&parts.join(", "), columns.saturating_sub(2)).into_iter().map(Line::from).collect()
}

/// What an operator did, on a line of so many columns: when, who, what, whom, why.
pub(super) fn action(model: &Model, row: &AuditRow, columns: usize) -> String {
    let ellipsis = model.theme.ellipsis();
    let record = &row.record;
    let is_today =
        record.at.as_seconds().div_euclid(SECONDS_PER_DAY) == model.now.as_seconds().div_euclid(SECONDS_PER_DAY);
    let when = if is_today { time_of_day(record.at).chars().take(5).collect() } else { ago(model.now, record.at) };
    let whom = record.whom().map(shown).unwrap_or_default();
    let reason = record.reason.as_deref().map(shown).unwrap_or_default();
    let text = format!(
        "{}{}{}{}  {reason}",
        fit(&when, 7, ""),
        fit(&fit(&who(&record.actor, None), 8, ellipsis), 9, ""),
        fit(&what(record), 23, ""),
        fit(&cut_email(&whom, 24, ellipsis), 24, ""),
    );
    cut(text.trim_end(), columns, ellipsis)
}

/// The same as a sentence, for the line-by-line mode.
#[must_use]
pub fn sentence(model: &Model, row: &AuditRow) -> String {
    let record = &row.record;
    let whom = record.whom().map(|whom| format!(", {}", shown(whom))).unwrap_or_default();
    let reason = record.reason.as_deref().map(|reason| format!(", \"{}\"", shown(reason))).unwrap_or_default();
    let ago = ago(model.now, record.at);
    let ago = if ago == "now" { "just now".to_owned() } else { format!("{ago} ago") };
    let who = who(&record.actor, record.address.as_deref());
    format!("#{}, {ago}, {who}: {}{whom}{reason}", thousands(row.number), what(record))
}

/// What happened, with how it ended where that is not said already.
fn what(record: &AuditRecord) -> String {
    match words(record.event) {
        words if words.contains("refused") || words.contains("failed") => words.to_owned(),
        words => format!("{words}{}", outcome(record.outcome)),
    }
}

/// Everything an entry says, by name.
#[must_use]
pub fn facts(row: &AuditRow) -> Vec<(String, String)> {
    let record = &row.record;
    let named = |name: &str, value: Option<&str>| value.map(|value| (name.to_owned(), shown(value)));
    let mut facts = vec![
        (
            "when".to_owned(),
            format!(
                "{} UTC",
                record.at.to_rfc3339_z().chars().take(19).map(|c| if c == 'T' { ' ' } else { c }).collect::<String>()
            ),
        ),
        ("what".to_owned(), format!("{} ({})", what(record), record.event.as_str())),
        ("who".to_owned(), actor(&record.actor)),
    ];
    facts.extend(named("whom", record.whom()));
    facts.extend(named("from", record.address.as_deref()));
    facts.extend(named("with", record.user_agent.as_deref()));
    facts.extend(named("why", record.reason.as_deref()));
    facts.extend(named("checked", record.verified_by.as_deref()));
    facts.extend(record.details.iter().map(|(name, value)| (shown(&name.replace('_', " ")), shown(value))));
    facts.push(("request".to_owned(), shown(&record.request_id)));
    facts.push(("hash".to_owned(), row.hash.clone()));
    facts.push(("before it".to_owned(), row.previous_hash.clone()));
    facts
}

/// Who acted, with all that is known of it.
fn actor(actor: &AuditActor) -> String {
    match actor {
        AuditActor::Anonymous => "anonymous".to_owned(),
        AuditActor::System => "system".to_owned(),
        AuditActor::User { email, session, api_key, .. } => {
            let how = match (session, api_key) {
                (_, Some(key)) => format!(" with API key {}", shown(key)),
                (Some(session), None) => format!(" in session {}", shown(session)),
                (None, None) => String::new(),
            };
            format!("{}{how}", shown(email))
        }
        AuditActor::Operator { uid, name } if name.is_empty() => format!("operator, uid {uid}"),
        AuditActor::Operator { uid, name } => format!("{} (operator, uid {uid})", shown(name)),
    }
}
