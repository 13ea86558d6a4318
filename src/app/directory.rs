//! Finding and inspecting users, for operators.

use serde::{Deserialize, Serialize};

use super::organization_views::OrganizationBasicView;
use super::views::{FactorView, UserDetail, UserRef, UserRow};
use super::{Context, Operation, Permission};
use crate::domain::id::UserId;
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::domain::user::{FactorState, User};
use crate::error::Result;
use crate::records::{StateFilter, keys};

/// Most rows of one page.
pub const ROWS_MAX: usize = 500;
/// Users looked at for one search.
const CANDIDATES_MAX: usize = 1_000;
/// Audit entries shown with a user.
const AUDIT_ROWS: usize = 50;
/// Namesakes shown with a user.
const NAMESAKES_MAX: usize = 5;
/// How long a change or reset makes an operator careful.
const LATELY_SECONDS: i64 = 30 * 86_400;

/// Rows for the console and `user list`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UserRows {
    pub rows: Vec<UserRow>,
    /// Pass as `after` for the next page; `None` at the end (a search has one page only).
    pub next: Option<String>,
    /// All users there are (active or not).
    pub total: u64,
}

/// Finds users for an operator: by starts of the e-mail and of words in name and e-mail, by state and role; ordered by
/// e-mail, a search with the exact and the prefix hits first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FindUsers {
    pub query: String,
    pub state: Option<FactorState>,
    pub is_staff: Option<bool>,
    pub after: Option<String>,
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
        let query = self.query.trim().to_lowercase();
        if query.is_empty() {
            let filter = StateFilter { state: self.state, is_staff: self.is_staff };
            let after = self.after.as_deref();
            let ids = if filter == StateFilter::default() {
                cx.records().user_ids_by_email("", after, limit).await?
            } else {
                cx.records().user_ids_by_state(filter, after, limit).await?
            };
            let users = cx.records().users(&ids).await?;
            let next = users.last().filter(|_| ids.len() == limit).map(|user| user.email.as_str().to_owned());
            return Ok(UserRows { rows: users.iter().map(|user| cx.user_row(user)).collect(), next, total });
        }
        let mut users = cx.search(&query).await?;
        users.retain(|user| {
            self.state.is_none_or(|state| user.second_factor.state() == state)
                && self.is_staff.is_none_or(|is_staff| user.is_staff == is_staff)
        });
        let rows = users.iter().take(limit).map(|user| cx.user_row(user)).collect();
        Ok(UserRows { rows, next: None, total })
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
        let audit = cx.records().audit(Some(user.id), None, AUDIT_ROWS).await?;
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

impl Context<'_> {
    /// Users that a query (lower case, not empty) finds, best first.
    async fn search(&self, query: &str) -> Result<Vec<User>> {
        let mut ids = self.records().user_ids_by_email(query, None, CANDIDATES_MAX).await?;
        let terms = text::words(query);
        // The longest word has the fewest hits.
        if let Some(term) = terms.iter().max_by_key(|term| term.len()) {
            ids.extend(self.records().user_ids_by_word(term, CANDIDATES_MAX).await?);
        }
        if let Ok(number) = query.parse() {
            ids.extend(self.records().user_id_by_number(number).await?);
        }
        ids.extend(UserId::parse(query));
        ids.sort_unstable();
        ids.dedup();
        let mut users = self.records().users(&ids).await?;
        let is_id = |user: &User| user.id.to_string() == query || user.number.to_string() == query;
        users.retain(|user| {
            let searchable = format!("{} {}", user.full_name().to_lowercase(), user.email);
            is_id(user) || query.split_whitespace().all(|term| searchable.contains(term))
        });
        users.sort_by_cached_key(|user| {
            let email = user.email.as_str();
            let rank = if email == query {
                0
            } else if email.starts_with(query) {
                1
            } else {
                2
            };
            (rank, email.to_owned())
        });
        Ok(users)
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
            must_enrol: factor.must_enrol,
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
