//! Finding and inspecting users, for operators.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::organization_views::OrganizationBasicView;
use super::views::{FactorView, UserDetail, UserRef, UserRow};
use super::{Context, Operation, Permission};
use crate::domain::id::UserId;
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::domain::user::{FactorState, User};
use crate::domain::user_filter::{UserFilter, UserSort};
use crate::domain::user_search::{Class, Terms};
use crate::error::{Error, Result};
use crate::records::keys;
use crate::store::Order;

/// Most rows of one page.
pub const ROWS_MAX: usize = 500;
/// Audit entries shown with a user.
const AUDIT_ROWS: usize = 50;
/// Namesakes shown with a user.
const NAMESAKES_MAX: usize = 5;
/// How long a change or reset makes an operator careful.
const LATELY_SECONDS: i64 = 30 * 86_400;

/// Rows for the console and `user list`: a window of the users that match.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UserRows {
    pub rows: Vec<UserRow>,
    /// Places to go on from, for [`ListFrom::Before`] and [`ListFrom::After`]; `None` at that end of the list.
    pub before: Option<String>,
    pub after: Option<String>,
    pub hits: Hits,
    /// About how many rows lie before the first one.
    pub position: Option<u64>,
    /// All users there are (active or not).
    pub total: u64,
}

/// How many users match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hits {
    pub count: u64,
    /// Otherwise there may be more.
    pub is_exact: bool,
}

/// Where a window of a list lies. Places are those of [`UserRows`], and mean something for the same list only; the user
/// at a place may be gone meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListFrom {
    #[default]
    Start,
    End,
    After(String),
    Before(String),
    /// So many percent of the list on.
    Share(u8),
}

/// Finds users for an operator: by parts of the e-mail and of the name, and by filters, all of which must hold.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FindUsers {
    /// Words only; see [`crate::domain::user_filter::UserQuery`].
    pub query: String,
    pub filters: Vec<UserFilter>,
    pub sort: UserSort,
    pub from: ListFrom,
    /// At most [`ROWS_MAX`].
    pub limit: usize,
}

impl Operation for FindUsers {
    const NAME: &'static str = "find_users";
    const NEEDS: Permission = Permission::OPERATOR_READ;
    type Reply = UserRows;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let limit = self.limit.clamp(1, ROWS_MAX);
        let total = cx.records().counter(keys::USERS_COUNTER).await?.max(0).cast_unsigned();
        let list = cx.matching(&self.query, &self.filters, self.sort).await?;
        let place = |text: &str| {
            Place::parse(text).ok_or_else(|| Error::invalid("invalid_input", "not a place of a list", Some("from")))
        };
        let is_before = |place: &Place| list.partition_point(|(at, _)| at.cmp(place, self.sort).is_lt());
        let start = match &self.from {
            ListFrom::Start => 0,
            ListFrom::End => list.len().saturating_sub(limit),
            ListFrom::Share(percent) => {
                (list.len() * usize::from(*percent) / 100).min(list.len().saturating_sub(limit))
            }
            ListFrom::Before(text) => is_before(&place(text)?).saturating_sub(limit),
            ListFrom::After(text) => {
                let place = place(text)?;
                list.partition_point(|(at, _)| at.cmp(&place, self.sort).is_le())
            }
        };
        let end = match &self.from {
            ListFrom::Before(text) => is_before(&place(text)?),
            _ => list.len().min(start + limit),
        };
        let window = list.get(start..end).unwrap_or_default();
        Ok(UserRows {
            before: window.first().filter(|_| start > 0).map(|(place, _)| place.to_string()),
            after: window.last().filter(|_| end < list.len()).map(|(place, _)| place.to_string()),
            rows: window.iter().map(|(_, user)| cx.user_row(user)).collect(),
            hits: Hits { count: list.len() as u64, is_exact: true },
            position: Some(start as u64),
            total,
        })
    }
}

/// How many users [`FindUsers`] would list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CountUsers {
    pub query: String,
    pub filters: Vec<UserFilter>,
}

impl Operation for CountUsers {
    const NAME: &'static str = "count_users";
    const NEEDS: Permission = Permission::OPERATOR_READ;
    type Reply = Hits;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let list = cx.matching(&self.query, &self.filters, UserSort::default()).await?;
        Ok(Hits { count: list.len() as u64, is_exact: true })
    }
}

/// Everything an operator may see of one user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InspectUser {
    pub user: UserRef,
}

impl Operation for InspectUser {
    const NAME: &'static str = "inspect_user";
    const NEEDS: Permission = Permission::OPERATOR_READ;
    type Reply = UserDetail;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let user = cx.find_user(&self.user).await?.value;
        let (_, remembered_devices) = cx.live_presence(&user).await?;
        let namesakes = cx.namesakes(&user).await?;
        let audit = cx.records().audit(Some(user.id), None, AUDIT_ROWS, Order::Descending).await?;
        Ok(UserDetail {
            row: cx.user_row(&user),
            factor: cx.factor_view(&user).await?,
            pending_email: user.pending_email.as_ref().map(|email| email.as_str().to_owned()),
            pending_email_at: user.pending_email_at,
            email_changed_at: user.email_changed_at,
            password_changed_at: user.password_changed_at,
            has_password: user.password_hash.is_some(),
            organizations: cx.places_of(user.id).await?.iter().map(OrganizationBasicView::from).collect(),
            sessions: cx.session_rows(&user).await?,
            api_keys: cx.api_key_views(&user).await?,
            remembered_devices,
            mails_waiting: cx.records().mails_waiting(user.id).await?,
            warnings: cx.warnings(&user, &namesakes),
            namesakes,
            audit: audit.into_iter().map(Into::into).collect(),
        })
    }
}

/// The place of a user in a list: what the list is ordered by, and the id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    key: Vec<u8>,
    id: UserId,
}

impl Place {
    fn of(user: &User, class: Class, sort: UserSort) -> Self {
        // Big endian with the sign bit turned orders as times do; newest first is all bits turned.
        let newest_first = |at: Timestamp| (!(at.as_micros().cast_unsigned() ^ (1 << 63))).to_be_bytes().to_vec();
        let key = match sort {
            UserSort::Email => [&[class as u8], user.email.as_str().as_bytes()].concat(),
            UserSort::EmailDescending => user.email.as_str().as_bytes().to_vec(),
            UserSort::Created => newest_first(user.date_joined),
            UserSort::LastLogin => user.last_login.map_or_else(|| vec![u8::MAX; 9], newest_first),
            UserSort::Name => {
                let name = text::folded(&user.full_name());
                if name.is_empty() { vec![u8::MAX] } else { name.into_bytes() }
            }
        };
        Self { key, id: user.id }
    }

    fn parse(text: &str) -> Option<Self> {
        let bytes = text::unhex(text)?;
        let (key, id) = bytes.split_last_chunk::<16>()?;
        Some(Self { key: key.to_vec(), id: UserId(uuid::Uuid::from_bytes(*id)) })
    }

    fn cmp(&self, other: &Self, sort: UserSort) -> Ordering {
        let ascending = Ord::cmp(self, other);
        if sort == UserSort::EmailDescending { ascending.reverse() } else { ascending }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&text::hex(&[self.key.as_slice(), self.id.as_bytes()].concat()))
    }
}

impl Context<'_> {
    /// All users of a list, in its order.
    async fn matching(&self, words: &str, filters: &[UserFilter], sort: UserSort) -> Result<Vec<(Place, User)>> {
        let terms = Terms::new(words);
        let mut list = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let ids = self.records().user_ids_by_email("", after.as_deref(), ROWS_MAX).await?;
            if ids.is_empty() {
                break;
            }
            for user in self.records().users(&ids).await? {
                after = Some(user.email.as_str().to_owned());
                let is_id = !terms.is_empty()
                    && (user.id.to_string() == terms.whole() || user.number.to_string() == terms.whole());
                let class = if is_id {
                    Some(Class::Exact)
                } else {
                    terms.class(user.email.as_str(), &text::folded(&user.full_name()))
                };
                if let Some(class) = class
                    && self.matches_all(&user, filters).await?
                {
                    list.push((Place::of(&user, class, sort), user));
                }
            }
        }
        list.sort_by(|(one, _), (other, _)| one.cmp(other, sort));
        Ok(list)
    }

    async fn matches_all(&self, user: &User, filters: &[UserFilter]) -> Result<bool> {
        for filter in filters {
            let factor = &user.second_factor;
            let within = |at: Timestamp, days: u16| self.now.seconds_since(at) <= i64::from(days) * 86_400;
            let matches = match *filter {
                UserFilter::Staff(is_staff) => user.is_staff == is_staff,
                UserFilter::State(state) => factor.state() == state,
                UserFilter::Locked => factor.state() == FactorState::Locked || self.waiting_until(user).is_some(),
                UserFilter::CodesAtMost(codes) => {
                    factor.is_enabled() && factor.backup_codes.len() <= usize::from(codes)
                }
                UserFilter::MailPending => user.pending_email.is_some(),
                UserFilter::MailFailed => false,
                UserFilter::SignedInWithin { days } => user.last_login.is_some_and(|at| within(at, days)),
                UserFilter::MadeWithin { days } => within(user.date_joined, days),
                UserFilter::HasKeys => !self.records().api_keys_of(user.id).await?.is_empty(),
                UserFilter::HasSessions => !self.session_rows(user).await?.is_empty(),
            };
            if !matches {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn user_row(&self, user: &User) -> UserRow {
        UserRow {
            uuid: user.id,
            id: user.number,
            email: user.email.as_str().to_owned(),
            name: user.full_name(),
            is_staff: user.is_staff,
            is_active: user.is_active,
            state: user.second_factor.state(),
            backup_codes: user.second_factor.backup_codes.len(),
            waiting_until: self.waiting_until(user),
            email_change_pending: user.pending_email.is_some(),
            is_email_verified: user.is_email_verified,
            date_joined: user.date_joined,
            last_login: user.last_login,
            has_keys: None,
            is_namesake: false,
        }
    }

    fn waiting_until(&self, user: &User) -> Option<Timestamp> {
        let factor = &user.second_factor;
        let waits = [factor.totp_failures.next_try_at(), factor.backup_code_failures.next_try_at()];
        waits.into_iter().flatten().filter(|until| self.now < *until).max()
    }

    async fn factor_view(&self, user: &User) -> Result<FactorView> {
        let factor = &user.second_factor;
        let failures = [factor.totp_failures, factor.backup_code_failures];
        Ok(FactorView {
            state: factor.state(),
            method: factor.is_enabled().then(|| "TOTP".to_owned()),
            enrolled_at: factor.totp.as_ref().map(|device| device.confirmed_at),
            last_used_at: factor.totp.as_ref().and_then(|device| device.last_used_at),
            backup_codes_remaining: factor.backup_codes.len(),
            backup_codes_issued: factor.backup_codes_issued,
            backup_codes_made_at: factor.backup_codes_made_at,
            backup_code_used_at: factor.backup_code_used_at,
            totp_failures: factor.totp_failures.count,
            backup_code_failures: factor.backup_code_failures.count,
            last_failure_at: failures.into_iter().filter(|one| one.count > 0).map(|one| one.last_at).max(),
            waiting_until: self.waiting_until(user),
            login_locked_until: self.login_locked_until(user).await?,
            must_enrol: factor.enrol_from.is_some(),
            enrol_from: factor.enrol_from,
            last_reset_at: factor.last_reset_at,
        })
    }

    async fn namesakes(&self, user: &User) -> Result<Vec<String>> {
        let name = user.full_name();
        if name.is_empty() {
            return Ok(Vec::new());
        }
        let mut ids = self.records().user_ids_by_name(&name, NAMESAKES_MAX + 1).await?;
        ids.retain(|id| *id != user.id);
        ids.truncate(NAMESAKES_MAX);
        Ok(self.records().users(&ids).await?.into_iter().map(|user| user.email.into()).collect())
    }

    /// The facts that betray an attack.
    fn warnings(&self, user: &User, namesakes: &[String]) -> Vec<String> {
        let lately = |at: Option<Timestamp>| at.is_some_and(|at| self.now.seconds_since(at) < LATELY_SECONDS);
        let factor = &user.second_factor;
        let mut warnings = Vec::new();
        for email in namesakes {
            warnings.push(format!("another {} exists: {email}", user.full_name()));
        }
        if user.pending_email.is_some() {
            warnings.push("an e-mail change is pending: check the caller with extra care".to_owned());
        }
        if lately(user.email_changed_at) {
            warnings.push("the e-mail address changed in the last 30 days".to_owned());
        }
        if lately(factor.last_reset_at) {
            warnings.push("the second factor was reset in the last 30 days".to_owned());
        }
        if user.is_staff {
            warnings.push("this is a staff user".to_owned());
        }
        if self.waiting_until(user).is_some() {
            warnings.push("wrong codes were tried just now".to_owned());
        }
        if !user.is_active {
            warnings.push("the user is deactivated".to_owned());
        }
        warnings
    }
}
