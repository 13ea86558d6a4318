//! The figures of the console's Home: adoption, what needs attention, what is usual, what operators did last.
//!
//! All of it is read from counters and the ends of indexes, so it costs the same however many users there are.

use serde::{Deserialize, Serialize};

use super::directory::CountUsers;
use super::views::AuditRow;
use super::{App, Context, Operation, Permission};
use crate::domain::figures::{median, middle_half};
use crate::domain::id::UserId;
use crate::domain::time::Timestamp;
use crate::domain::user::{FactorState, User};
use crate::domain::user_filter::UserFilter;
use crate::error::Result;
use crate::records::days::{self, Span, Tallied};
use crate::records::keys;
use crate::store::{Batch, Order};

/// Days of the row of enrolments.
pub const ENROLMENT_DAYS: u64 = 60;
/// Days that tell what is usual, and how many of them there must be.
const USUAL_DAYS: u64 = 28;
const USUAL_DAYS_MIN: u64 = 7;
/// Days back to which adoption is compared.
const WEEK_DAYS: u64 = 7;
/// Acts of operators that are shown.
const LAST_ACTIONS: usize = 10;
/// Most locked users that are looked at to find who has been locked the longest; of more it is not told.
const LOCKED_LOOKED_AT: usize = 200;
/// Backup codes that are few.
const FEW_CODES: u8 = 2;
const MINUTES_PER_HOUR: u64 = 60;
const SECONDS_PER_DAY: i64 = 86_400;

/// What Home shows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Overview {
    /// Staff, then the others.
    pub roles: Vec<Adoption>,
    /// Users with a second factor, and all users, seven days ago; `None` when nothing is known of that day.
    pub with_week_ago: Option<(u64, u64)>,
    /// First devices enrolled on each of the last [`ENROLMENT_DAYS`] days (UTC), today last.
    pub enrolments_per_day: Vec<u32>,
    pub attention: Vec<Attention>,
    /// Second factors reset today (UTC), and the middle half of what the last 28 days had; `None` in the first week.
    pub resets_today: u64,
    pub resets_usual: Option<(u64, u64)>,
    /// Devices and logins locked in the last hour, and the median of the same hour on the last 28 days.
    pub locked_last_hour: u64,
    pub locked_usual: Option<u64>,
    /// What operators did, newest first, ten at most. Of a job its start, not each user.
    pub last_actions: Vec<AuditRow>,
    /// The store on disk.
    pub store_bytes: u64,
    pub started_at: Timestamp,
    /// Mails that will be tried.
    pub outbox_waiting: u64,
    /// The number of the newest audit entry.
    pub audit_newest: u64,
}

/// How many users of a role have a second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adoption {
    pub is_staff: bool,
    pub with: u64,
    pub of: u64,
}

/// One line of what needs attention; also there when there is nobody to look after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attention {
    pub kind: AttentionKind,
    pub count: u64,
    /// Since when the first of them waits.
    pub oldest_at: Option<Timestamp>,
    pub note: Option<String>,
    /// Finds exactly these users.
    pub filters: Vec<UserFilter>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttentionKind {
    Locked,
    MailPending,
    StaffWithout,
    FewCodes,
    ToldToEnrol,
    MailFailed,
}

/// Reads the figures.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReadOverview {}

impl Operation for ReadOverview {
    const NAME: &'static str = "read_overview";
    const NEEDS: Permission = Permission::OPERATOR_READ;
    type Reply = Overview;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let records = cx.records();
        let today = Span::Day.of(cx.now);
        let usual_days = cx.usual_days().await?;
        let enrolments = records.tallies(Tallied::Enrolment, Span::Day, last(ENROLMENT_DAYS, today)).await?;
        let resets = records.tallies(Tallied::Reset, Span::Day, last(usual_days + 1, today)).await?;
        let (resets_today, resets_before) =
            resets.split_last().map_or((0, &[][..]), |(today, before)| (*today, before));
        let minutes = last(MINUTES_PER_HOUR, Span::Minute.of(cx.now));
        let week_ago = today.saturating_sub(WEEK_DAYS);
        let actions = records.audit_by_hand(None, LAST_ACTIONS, Order::Descending).await?;
        Ok(Overview {
            roles: vec![cx.app.adoption(true).await?, cx.app.adoption(false).await?],
            with_week_ago: records.adoption(week_ago).await?.map(|then| (then.with, then.of)),
            enrolments_per_day: enrolments.into_iter().map(|count| u32::try_from(count).unwrap_or(u32::MAX)).collect(),
            attention: cx.attention().await?,
            resets_today,
            resets_usual: middle_half(resets_before),
            locked_last_hour: records.tallies(Tallied::Lock, Span::Minute, minutes).await?.iter().sum(),
            locked_usual: cx.locked_usual(usual_days).await?,
            last_actions: actions.into_iter().map(Into::into).collect(),
            store_bytes: records.store().bytes().await?,
            started_at: cx.app.0.started_at,
            outbox_waiting: records.counter(keys::OUTBOX_COUNTER).await?.max(0).cast_unsigned(),
            audit_newest: records.audit_newest().await?,
        })
    }
}

impl App {
    async fn adoption(&self, is_staff: bool) -> Result<Adoption> {
        let mut adoption = Adoption { is_staff, with: 0, of: 0 };
        for state in FactorState::ALL {
            let users = self.records().users_in_state(is_staff, state).await?;
            adoption.of += users;
            adoption.with += if matches!(state, FactorState::On | FactorState::Locked) { users } else { 0 };
        }
        Ok(adoption)
    }

    /// Notes the adoption at the start of this day, unless that is done.
    pub(super) async fn note_adoption(&self, now: Timestamp) -> Result<()> {
        let day = Span::Day.of(now);
        if self.records().adoption(day).await?.is_some() {
            return Ok(());
        }
        let (staff, others) = (self.adoption(true).await?, self.adoption(false).await?);
        let adoption = days::Adoption { with: staff.with + others.with, of: staff.of + others.of };
        // A conflict: somebody else has noted it.
        let _noted = self.records().store().commit(days::note_adoption(Batch::default(), day, &adoption)).await?;
        Ok(())
    }
}

impl Context<'_> {
    /// Whole days before today that say what is usual; 0 while there are too few.
    async fn usual_days(&self) -> Result<u64> {
        let Some(first) = self.records().audit_begun_at().await? else { return Ok(0) };
        // The first day was not a whole one, and today is not.
        let days = Span::Day.of(self.now).saturating_sub(Span::Day.of(first) + 1).min(USUAL_DAYS);
        Ok(if days < USUAL_DAYS_MIN { 0 } else { days })
    }

    /// How many are usually locked in an hour at this time of the day.
    async fn locked_usual(&self, days: u64) -> Result<Option<u64>> {
        // The hour in which most of the last hour lies.
        let middle = self.now.plus_seconds(-1_800);
        let hours = (1..=days).map(|day| {
            let seconds = SECONDS_PER_DAY.saturating_mul(i64::try_from(day).unwrap_or(0));
            Span::Hour.of(middle.plus_seconds(-seconds))
        });
        Ok(median(&self.records().tallies(Tallied::Lock, Span::Hour, hours).await?))
    }

    async fn attention(&self) -> Result<Vec<Attention>> {
        let in_state = async |state| -> Result<(u64, u64)> {
            let records = self.records();
            Ok((records.users_in_state(true, state).await?, records.users_in_state(false, state).await?))
        };
        let (staff_off, _) = in_state(FactorState::Off).await?;
        let (staff_enrol, others_enrol) = in_state(FactorState::Enrol).await?;
        let demanded_since = self.records().first_demanded().await?.filter(|from| *from <= self.now);
        let (pending, pending_since) = self.records().pending_emails().await?;
        let few_codes = self.records().users_with_codes(FEW_CODES).await?.unwrap_or(0);
        let line = |kind, count, filters| Attention { kind, count, oldest_at: None, note: None, filters };
        Ok(vec![
            self.locked().await?,
            Attention {
                oldest_at: pending_since,
                ..line(AttentionKind::MailPending, pending, vec![UserFilter::MailPending])
            },
            line(
                AttentionKind::StaffWithout,
                staff_off,
                vec![UserFilter::Staff(true), UserFilter::State(FactorState::Off)],
            ),
            line(AttentionKind::FewCodes, few_codes, vec![UserFilter::CodesAtMost(FEW_CODES)]),
            Attention {
                oldest_at: demanded_since,
                ..line(
                    AttentionKind::ToldToEnrol,
                    staff_enrol + others_enrol,
                    vec![UserFilter::State(FactorState::Enrol)],
                )
            },
            self.mails_failed().await?,
        ])
    }

    /// Who is locked now: the device is disabled, or wrong codes make the user wait.
    async fn locked(&self) -> Result<Attention> {
        let filters = vec![UserFilter::Locked];
        let hits = CountUsers { query: String::new(), filters: filters.clone() }.run(self).await?;
        let mut locked = Attention {
            kind: AttentionKind::Locked,
            count: hits.count,
            oldest_at: None,
            note: (!hits.is_exact).then(|| "at least".to_owned()),
            filters,
        };
        if locked.count <= LOCKED_LOOKED_AT as u64 {
            let disabled = [true, false].map(|is_staff| keys::user_state_prefix(is_staff, FactorState::Locked));
            let mut ids = self.records().user_list(&disabled, None, LOCKED_LOOKED_AT, Order::Ascending).await?;
            let waiting = Some(keys::user_waits_after(self.now));
            let waiting = waiting.as_deref().and_then(|key| key.strip_prefix(keys::USER_WAITS));
            let waits = [keys::USER_WAITS.to_vec()];
            ids.extend(self.records().user_list(&waits, waiting, LOCKED_LOOKED_AT, Order::Ascending).await?);
            let ids: Vec<UserId> = ids.into_iter().map(|(_, id)| id).collect();
            let failures = |user: &User| {
                [user.second_factor.totp_failures, user.second_factor.backup_code_failures].map(|kind| kind.last_at)
            };
            let users = self.records().users(&ids).await?;
            // The last wrong code began the lock; an unlock forgets it, and a disabled device stays disabled.
            let began = |user: &User| failures(user).into_iter().max().filter(|at| *at > Timestamp::default());
            locked.oldest_at = users.iter().filter_map(began).min();
        }
        Ok(locked)
    }

    async fn mails_failed(&self) -> Result<Attention> {
        let (oldest, newest) = self.records().outbox_failed_ends().await?;
        Ok(Attention {
            kind: AttentionKind::MailFailed,
            count: self.records().counter(keys::OUTBOX_FAILED_COUNTER).await?.max(0).cast_unsigned(),
            oldest_at: oldest.map(|mail| mail.queued_at),
            note: newest.and_then(|mail| mail.last_error),
            filters: vec![UserFilter::MailFailed],
        })
    }
}

/// The last so many numbers, oldest first, up to this one.
fn last(count: u64, number: u64) -> impl Iterator<Item = u64> {
    (0..count).rev().map(move |back| number.saturating_sub(back))
}
