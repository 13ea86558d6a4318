//! Finding and inspecting users, for operators.

use serde::{Deserialize, Serialize};

use super::organization_views::OrganizationBasicView;
use super::search::{Found, From, Indexed, Need, Wanted, Window};
use super::views::{FactorView, UserDetail, UserRef, UserRow};
use super::{Context, Operation, Permission};
use crate::domain::audit::{AuditRecord, Event};
use crate::domain::id::UserId;
use crate::domain::time::Timestamp;
use crate::domain::user::{TotpDevice, User};
use crate::domain::user_filter::{UserFilter, UserQuery, UserSort};
use crate::domain::user_place::Place;
use crate::domain::user_search::Terms;
use crate::error::{Error, Result};
use crate::records::{ChainedAudit, keys};
use crate::store::Order;

/// Most rows of one page.
pub const ROWS_MAX: usize = 500;
/// Mails shown with a user.
const MAILS_SHOWN: usize = 3;
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
        let wanted = cx.wanted(&self.query, self.filters, self.sort).await?;
        let place = |text: &str| {
            Place::parse(text).ok_or_else(|| Error::invalid("invalid_input", "not a place of a list", Some("from")))
        };
        let from = match &self.from {
            ListFrom::Start => From::Start,
            ListFrom::End => From::End,
            ListFrom::After(text) => From::After(place(text)?),
            ListFrom::Before(text) => From::Before(place(text)?),
            ListFrom::Share(percent) => From::Share(*percent),
        };
        let (asked, at) = (wanted.clone(), from.clone());
        let need = wanted.need();
        let found =
            cx.app.ask_column(need, move |column, cancelled| column.find(&asked, &at, limit, cancelled)).await?;
        match found {
            Some(window) => cx.rows_found(window, total).await,
            None => cx.rows_listed(cx.list_from_indexes(&wanted, &from, limit).await?, total).await,
        }
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
        let wanted = cx.wanted(&self.query, self.filters, UserSort::default()).await?;
        let asked = wanted.clone();
        let need = wanted.need();
        match cx.app.ask_column(need, move |column, cancelled| column.count(&asked, cancelled)).await? {
            Some(count) => Ok(Hits { count, is_exact: true }),
            None => cx.count_from_indexes(&wanted).await,
        }
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
        let api_keys = cx.api_key_views(&user).await?;
        let mut row = cx.user_row(&user);
        (row.has_keys, row.is_namesake) = (Some(!api_keys.is_empty()), !namesakes.is_empty());
        Ok(UserDetail {
            row,
            factor: cx.factor_view(&user, &audit).await?,
            pending_email: user.pending_email.as_ref().map(|email| email.as_str().to_owned()),
            pending_email_at: user.pending_email_at,
            email_changed_at: user.email_changed_at,
            password_changed_at: user.password_changed_at,
            has_password: user.password_hash.is_some(),
            organizations: cx.places_of(user.id).await?.iter().map(OrganizationBasicView::from).collect(),
            sessions: cx.session_rows(&user).await?,
            api_keys,
            remembered_devices,
            mails_waiting: cx.records().mails_waiting(user.id).await?,
            mails: cx.records().mail_notes(user.id, MAILS_SHOWN).await?,
            unlocked_today: unlocked_lately(&audit, cx.now),
            warnings: cx.warnings(&user),
            namesakes,
            audit: audit.into_iter().map(Into::into).collect(),
        })
    }
}

impl Context<'_> {
    /// What is asked for, with the user whose id or number was typed.
    async fn wanted(&self, words: &str, filters: Vec<UserFilter>, sort: UserSort) -> Result<Wanted> {
        let terms = Terms::new(words);
        let id = match terms.whole().parse() {
            Ok(number) => self.records().user_id_by_number(number).await?,
            Err(_) => UserId::parse(terms.whole()),
        };
        // Of two of one kind the later one counts.
        let mut query = UserQuery::default();
        for filter in filters {
            query.add(filter);
        }
        Ok(Wanted { terms, id, filters: query.filters, sort, now: self.now })
    }

    /// The ids of all users that a question finds, for acts on many; in no order that means anything.
    /// Unavailable while nobody knows all of them.
    pub async fn matching_ids(&self, words: &str, filters: Vec<UserFilter>) -> Result<Vec<UserId>> {
        let wanted = self.wanted(words, filters, UserSort::default()).await?;
        let asked = wanted.clone();
        if let Some(ids) =
            self.app.ask_column(Need::Everybody, move |column, cancelled| column.ids(&asked, cancelled)).await?
        {
            return Ok(ids);
        }
        if !wanted.terms.is_empty() {
            // The indexes find some of those with these words.
            return Err(Error::Unavailable {
                detail: "The search is not ready yet, and nobody may be left out. Please try again in a moment.".into(),
                retry_after_s: 5,
            });
        }
        let (mut ids, mut from) = (Vec::new(), From::Start);
        loop {
            let listed = self.list_from_indexes(&wanted, &from, ROWS_MAX).await?;
            ids.extend(listed.users.iter().map(|(place, _)| place.id));
            match listed.after {
                Some(place) => from = From::After(place),
                None => return Ok(ids),
            }
        }
    }

    /// The rows of a window of the column. Who went meanwhile is left out.
    async fn rows_found(&self, window: Window, total: u64) -> Result<UserRows> {
        let ids: Vec<UserId> = window.rows.iter().map(|found| found.place.id).collect();
        let mut users = self.records().users(&ids).await?.into_iter().peekable();
        let end = window.position + window.rows.len() as u64;
        let place = |found: Option<&Found>| found.map(|found| found.place.to_string());
        let (before, after) = (place(window.rows.first()), place(window.rows.last()));
        let rows = window.rows.iter().filter_map(|found| {
            let user = users.next_if(|user| user.id == found.place.id)?;
            let mut row = self.user_row(&user);
            row.has_keys = Some(found.has_keys);
            row.is_namesake = found.is_namesake;
            Some(row)
        });
        Ok(UserRows {
            rows: rows.collect(),
            before: before.filter(|_| window.position > 0),
            after: after.filter(|_| end < window.count),
            hits: Hits { count: window.count, is_exact: true },
            position: Some(window.position),
            total,
        })
    }

    /// The rows of a window from the indexes.
    async fn rows_listed(&self, listed: Indexed, total: u64) -> Result<UserRows> {
        let mut rows = Vec::with_capacity(listed.users.len());
        for (_, user) in &listed.users {
            let mut row = self.user_row(user);
            let name = user.full_name();
            row.is_namesake = !name.is_empty() && self.records().user_ids_by_name(&name, 2).await?.len() > 1;
            row.has_keys = Some(self.records().has_api_keys(user.id).await?);
            rows.push(row);
        }
        Ok(UserRows {
            rows,
            before: listed.before.map(|place| place.to_string()),
            after: listed.after.map(|place| place.to_string()),
            hits: listed.hits,
            position: listed.position,
            total,
        })
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

    async fn factor_view(&self, user: &User, newest: &[ChainedAudit]) -> Result<FactorView> {
        let factor = &user.second_factor;
        let failures = [factor.totp_failures, factor.backup_code_failures];
        let count = failures.iter().map(|one| one.count as usize).sum();
        let wrong: Vec<&AuditRecord> =
            newest.iter().map(|entry| &entry.record).filter(|record| is_wrong_code(record)).take(count).collect();
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
            failures_since: wrong.last().map(|record| record.at),
            locked_from: wrong.first().and_then(|record| record.address.clone()),
            last_drift_steps: factor.totp.as_ref().and_then(TotpDevice::last_drift),
            waiting_until: self.waiting_until(user),
            login_locked_until: self.login_locked_until(user).await?,
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

    /// The facts that betray an attack, besides users of the same name.
    fn warnings(&self, user: &User) -> Vec<String> {
        let lately = |at: Option<Timestamp>| at.is_some_and(|at| self.now.seconds_since(at) < LATELY_SECONDS);
        let factor = &user.second_factor;
        let mut warnings = Vec::new();
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
        if self.is_own(user) {
            warnings.push("this is you: nobody resets the own second factor".to_owned());
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

fn is_wrong_code(record: &AuditRecord) -> bool {
    matches!(record.event, Event::TwoFactorLoginFailed | Event::TwoFactorValidateFailed)
}

fn unlocked_lately(newest: &[ChainedAudit], now: Timestamp) -> u32 {
    let unlocks = newest
        .iter()
        .filter(|entry| entry.record.event == Event::TwoFactorUnlocked && now.seconds_since(entry.record.at) < 86_400);
    u32::try_from(unlocks.count()).unwrap_or(u32::MAX)
}
