//! Users: create, read, find, change, deactivate, delete (spec §3.4).

use serde::{Deserialize, Serialize};

use super::audit::Note;
use super::email::unstage_email;
use super::limits::Limit;
use super::organization_views::current_of;
use super::permission::KeyRule;
use super::reset::{Done, UserChange};
use super::safety::{Proof, SafetyLevel};
use super::second_factor::incorrect_password;
use super::views::{UserPage, UserRef, UserView};
use super::{Context, Identity, Operation, Permission, Tries, random};
use crate::config::Rate;
use crate::domain::audit::Event;
use crate::domain::email::EmailAddress;
use crate::domain::fields::{FieldError, Fields};
use crate::domain::id::{OrganizationId, UserId};
use crate::domain::input::Input;
use crate::domain::mail::MailKind;
use crate::domain::organization::Level;
use crate::domain::password::{PasswordProblem, check_password};
use crate::domain::secret::Secret;
use crate::domain::text;
use crate::domain::token::Purpose;
use crate::domain::user::{PasswordHash, User};
use crate::domain::user_patch::{self, NAME_CHARS_MAX, PatchRules, Reach, UserPatch, is_reauth_exempt, wanted_team};
use crate::error::{Error, Result};
use crate::records::{
    Versioned, change_activity, keys, put_user, remove_api_key, remove_remembered, remove_session, remove_user,
};
use crate::store::{Batch, Expect};

/// How often a caller may have a mail sent to a new address.
const EMAIL_CHANGES: Rate = Rate { count: 20, seconds: 86_400 };

/// A user made just now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UserCreated {
    pub user: UserView,
    /// Single-use link to set a password, when none was given.
    pub set_password_link: Option<Secret>,
}

/// An operator makes an account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateUser {
    pub email: String,
    pub first_name: String,
    pub last_name: String,
    pub is_staff: bool,
    /// Marks the address as verified.
    pub is_verified: bool,
    pub password: Option<Secret>,
    /// Id, slug or name of an organization to put the user into; one that is not there is founded.
    pub organization: Option<String>,
    /// The level there; member, or owner of a new one, when not given.
    pub level: Option<Level>,
}

impl Operation for CreateUser {
    const NAME: &'static str = "create_user";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = UserCreated;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let email = parse_email(&self.email)?;
        let password_hash = match &self.password {
            Some(password) => {
                let known = [self.email.as_str(), &self.first_name, &self.last_name];
                Some(cx.hash_new_password(password, &known).await?)
            }
            None => None,
        };
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let (mut user, batch) = cx.new_user(email.clone()).await?;
            user.first_name = parse_name("first_name", &self.first_name)?;
            user.last_name = parse_name("last_name", &self.last_name)?;
            user.is_staff = self.is_staff;
            user.is_email_verified = Some(self.is_verified);
            user.password_hash.clone_from(&password_hash);
            user.password_changed_at = password_hash.as_ref().map(|_| cx.now);
            let mut batch = cx.placed(batch, &mut user, self.organization.as_deref(), self.level).await?;
            batch = put_user(batch, None, &user);
            let mut set_password_link = None;
            if user.password_hash.is_none() {
                let (with_token, token) = cx.issue_token(batch, Purpose::ResetPassword, &user)?;
                batch = with_token;
                set_password_link = Some(cx.reset_link(user.id, &token));
            }
            let batch = cx.audited(batch, Note::of(Event::UserCreated, &user).detail("is_staff", user.is_staff));
            if cx.commit(batch).await?.is_some() {
                return Ok(UserCreated { user: cx.user_view(&user).await?, set_password_link });
            }
        }
    }
}

/// `GET /api/users`: staff see all active users by `id`, others themselves.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListUsers {
    pub email: Option<String>,
    pub is_staff: Option<bool>,
    pub limit: usize,
    pub offset: usize,
}

impl Operation for ListUsers {
    const NAME: &'static str = "list_users";
    const NEEDS: Permission = Permission::USER.key(KeyRule::Scope("user:read"));
    type Reply = UserPage;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let caller = cx.require_caller()?;
        let found = match &self.email {
            // An address names at most one.
            Some(address) => match EmailAddress::parse(address) {
                Some(address) => cx.find_by_email(&address).await?.map(|user| user.value).into_iter().collect(),
                None => Vec::new(),
            },
            None if !caller.is_staff => vec![User::clone(caller)],
            None => return cx.list_all(&self).await,
        };
        let wanted = |user: &User| {
            user.is_active
                && (caller.is_staff || user.id == caller.id)
                && self.is_staff.is_none_or(|is_staff| user.is_staff == is_staff)
        };
        let found: Vec<User> = found.into_iter().filter(wanted).collect();
        let window: Vec<User> = found.iter().skip(self.offset).take(self.limit).cloned().collect();
        Ok(UserPage { count: found.len() as u64, results: cx.user_views(&window).await? })
    }
}

/// `GET /api/users/{uuid}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RetrieveUser {
    pub user: UserRef,
}

impl Operation for RetrieveUser {
    const NAME: &'static str = "retrieve_user";
    const NEEDS: Permission = Permission::USER.key(KeyRule::Scope("user:read")).passes_gate();
    type Reply = UserView;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let caller = cx.require_caller()?;
        let id = cx.account(&self.user).await?;
        if id == caller.id {
            return cx.user_view(&cx.with_current_place(caller).await?).await;
        }
        cx.user_view(&cx.user(id).await?.value).await
    }
}

/// `PATCH` and `PUT /api/users/{uuid}`; `replace` is PUT. The gate and the re-authentication window depend on the
/// fields, so the operation checks them itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UpdateUser {
    pub user: UserRef,
    pub fields: Fields,
    pub replace: bool,
}

impl Operation for UpdateUser {
    const NAME: &'static str = "update_user";
    const NEEDS: Permission = Permission::USER.key(KeyRule::Scope("user:write")).passes_gate();
    const INPUTS: &'static [Input] = UserPatch::INPUTS;
    type Reply = UserView;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let id = cx.account(&self.user).await?;
        let fields = &self.fields;
        cx.check_update_windows(fields, self.replace)?;
        if fields.contains("current_password") {
            cx.count(Limit::UserAuthentication, cx.require_caller()?.id.as_bytes()).await?;
        }
        let before = cx.user(id).await?.value;
        cx.check_update_guards(fields, &before)?;
        let rules = PatchRules {
            allow_plus_addresses: cx.config().email.allow_plus_addresses,
            password_min_length: cx.config().password.min_length,
        };
        let reach = cx.reach(fields, &before).await?;
        let patch = UserPatch::parse(fields, self.replace, &before, &reach, &rules)?;
        let new_password = cx.check_new_password(&patch, &before, rules).await?;
        cx.limit_email_changes(&patch, &before)?;
        let change = Change { patch: &patch, password: new_password, checked_hash: &before };
        cx.update(id, &change).await
    }
}

/// `DELETE /api/users/{uuid}`: the account and all that is its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteUser {
    pub user: UserRef,
}

impl Operation for DeleteUser {
    const NAME: &'static str = "delete_user";
    const NEEDS: Permission = Permission::USER.key(KeyRule::Ignored).sensitive();
    type Reply = ();

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let id = cx.account(&self.user).await?;
        cx.require_fresh("This action requires you to be recently authenticated.")?;
        cx.require_no_membership(id).await?;
        cx.without_last_staff(Batch::default(), &cx.user(id).await?.value).await?;
        // Sessions, devices and keys first, a bounded number in each batch; the user last. A stop in between leaves a
        // user who has to log in again, never a key without a user.
        cx.remove_belongings(id).await?;
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let before = cx.user(id).await?;
            cx.require_no_membership(id).await?;
            // No key may be made meanwhile.
            let guard = keys::api_key_guard(id);
            let mut batch = remove_user(cx.guarded(Batch::default(), &guard).await?.delete(guard), &before);
            batch = cx.without_last_staff(batch, &before.value).await?;
            for key in cx.records().api_keys_of(id).await? {
                batch = remove_api_key(batch, &key.value);
            }
            for purpose in Purpose::OF_USERS {
                batch = batch.delete(keys::token(purpose, Some(id)));
            }
            for key in cx.records().pending_totp_keys(id).await? {
                batch = batch.delete(key);
            }
            batch = cx.mailed(batch, &before.value, MailKind::AccountDeleted)?;
            if cx.commit(cx.audited(batch, Note::of(Event::UserDeleted, &before.value))).await?.is_some() {
                return Ok(());
            }
        }
    }
}

/// An operator changes fields of a user; absent ones stay.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SetUser {
    pub user: UserRef,
    pub email: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub is_staff: Option<bool>,
    pub is_verified: Option<bool>,
    pub password: Option<Secret>,
    /// Id, slug or name of an organization to put the user into (or to change the level in).
    pub organization: Option<String>,
    pub level: Option<Level>,
}

impl Operation for SetUser {
    const NAME: &'static str = "set_user";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = UserView;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let found = cx.find_user(&self.user).await?.value;
        let email = self.email.as_deref().map(parse_email).transpose()?;
        let password = match &self.password {
            Some(password) => {
                let new = [&self.email, &self.first_name, &self.last_name].into_iter().filter_map(Option::as_deref);
                let known = [found.email.as_str(), &found.first_name, &found.last_name];
                let known: Vec<&str> = new.chain(known).collect();
                Some(cx.hash_new_password(password, &known).await?)
            }
            None => None,
        };
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let before = cx.user(found.id).await?;
            let mut user = before.value.clone();
            if self.opens_account(&user, email.as_ref()) {
                cx.refuse_alone(&user)?;
            }
            let mut names = Vec::new();
            let mut batch = Batch::default();
            if let Some(email) = email.as_ref().filter(|email| **email != user.email) {
                if cx.find_by_email(email).await?.is_some() {
                    return Err(email_in_use());
                }
                batch = cx.mailed(batch, &user, MailKind::EmailChangedOld)?;
                user.change_email(email.clone(), cx.now);
                user.is_email_verified = Some(self.is_verified.unwrap_or(false));
                batch = cx.mailed(batch, &user, MailKind::EmailChangedNew)?;
                batch = cx.audited(batch, Note::of(Event::UserEmailChanged, &user));
                names.push("email");
            }
            if let Some(name) = &self.first_name {
                user.first_name = parse_name("first_name", name)?;
                names.push("first_name");
            }
            if let Some(name) = &self.last_name {
                user.last_name = parse_name("last_name", name)?;
                names.push("last_name");
            }
            if let Some(is_staff) = self.is_staff {
                if before.value.is_staff && !is_staff {
                    batch = cx.keep_one_staff(batch, user.id).await?;
                }
                if before.value.is_staff != is_staff {
                    batch = cx.mailed(batch, &user, MailKind::StaffChanged { is_staff })?;
                }
                user.is_staff = is_staff;
                names.push("is_staff");
            }
            if let Some(is_verified) = self.is_verified {
                user.is_email_verified = Some(is_verified);
                names.push("is_email_verified");
            }
            if let Some(hash) = &password {
                user.password_hash = Some(hash.clone());
                user.password_changed_at = Some(cx.now);
                user.end_presence();
                let note = Note::of(Event::UserPasswordChanged, &user);
                let (without_staged, note) = unstage_email(batch, &mut user, note);
                batch = cx.mailed(without_staged, &user, MailKind::PasswordChanged)?;
                batch = cx.audited(batch, note);
            }
            batch = cx.placed(batch, &mut user, self.organization.as_deref(), self.level).await?;
            if names.is_empty() && password.is_none() && self.organization.is_none() {
                return Err(Error::refused("nothing_to_change", "say what to change, for example --first-name"));
            }
            if !names.is_empty() {
                batch = cx.audited(batch, Note::of(Event::UserUpdated, &user).detail("fields", names.join(" ")));
            }
            if cx.commit(put_user(batch, Some(&before), &user)).await?.is_some() {
                return cx.user_view(&user).await;
            }
        }
    }
}

impl SetUser {
    /// Whether it changes what the account rests on: whose it is, or what a second operator is asked for.
    fn opens_account(&self, user: &User, email: Option<&EmailAddress>) -> bool {
        self.is_staff.is_some_and(|is_staff| is_staff != user.is_staff)
            || email.is_some_and(|email| *email != user.email)
            || self.is_verified.is_some_and(|is_verified| user.is_email_verified != Some(is_verified))
            || self.password.is_some()
    }
}

/// An operator deactivates (ending sessions) or reactivates a user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetUserActive {
    pub user: UserRef,
    pub active: bool,
    pub proof: Proof,
}

impl Operation for SetUserActive {
    const NAME: &'static str = "set_user_active";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = Done;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        cx.change_user(&self).await
    }
}

impl UserChange for SetUserActive {
    fn user(&self) -> &UserRef {
        &self.user
    }

    async fn apply(&self, cx: &Context<'_>, user: &mut User) -> Result<(Batch, String)> {
        let proven = cx.prove(&self.proof, SafetyLevel::Reason, user)?;
        if user.is_active == self.active {
            let state = if self.active { "active" } else { "inactive" };
            return Err(Error::refused("nothing_to_change", format!("the user is {state} already")));
        }
        let proven = cx.seconded(self, proven, user).await?;
        let mut batch = Batch::default();
        if user.is_staff && !self.active {
            batch = cx.keep_one_staff(batch, user.id).await?;
        }
        user.is_active = self.active;
        let memberships: Vec<_> = cx.places_of(user.id).await?.into_iter().map(|place| place.membership).collect();
        batch = change_activity(batch, &memberships, user.is_active);
        let (event, summary) = if self.active {
            (Event::UserReactivated, "the user can log in again")
        } else {
            user.end_presence();
            (Event::UserDeactivated, "the user cannot log in, and all sessions are ended")
        };
        Ok((cx.audited(batch, Note::of(event, user).proven(&proven)), summary.to_owned()))
    }
}

/// A checked change of a user by PATCH or PUT.
struct Change<'a> {
    patch: &'a UserPatch,
    password: Option<PasswordHash>,
    /// The user whose password was checked.
    checked_hash: &'a User,
}

impl Context<'_> {
    /// Commits a checked change: everything or nothing, mails after it (W-23).
    async fn update(&self, id: UserId, change: &Change<'_>) -> Result<UserView> {
        let Change { patch, password, checked_hash } = change;
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let before = self.user(id).await?;
            if password.is_some() && before.value.password_hash != checked_hash.password_hash {
                return Err(incorrect_password());
            }
            let names = patch.changed_fields(&before.value);
            let mut user = before.value.clone();
            patch.apply(&mut user);
            let mut batch = self.moved(Batch::default(), patch, &mut user).await?;
            if let Some(is_staff) = patch.is_staff.filter(|is_staff| *is_staff != user.is_staff) {
                if !is_staff {
                    batch = self.keep_one_staff(batch, id).await?;
                }
                batch = self.mailed(batch, &user, MailKind::StaffChanged { is_staff })?;
                user.is_staff = is_staff;
            }
            if let Some(hash) = password {
                user.password_hash = Some(hash.clone());
                user.password_changed_at = Some(self.now);
                user.end_presence();
                batch = self.rebind_session(batch, &before.value, &user, |_| {}).await?;
                batch = self.forget_failures(batch, &before.value.email);
                batch = self.mailed(batch, &user, MailKind::PasswordChanged)?;
                batch = self.audited(batch, Note::of(Event::UserPasswordChanged, &user));
            }
            // After the password, which the link to the new address depends on.
            if let Some(email) = patch.new_email(&before.value) {
                batch = self.change_email(batch, &mut user, email).await?;
            }
            if names.iter().any(|name| !matches!(*name, "email" | "password")) {
                batch = self.audited(batch, Note::of(Event::UserUpdated, &user).detail("fields", names.join(" ")));
            }
            // A change that changes nothing still waits until what it saw is on disk.
            let batch = if user == before.value {
                batch.expect(keys::user(id), Expect::Version(before.version))
            } else {
                put_user(batch, Some(&before), &user)
            };
            if self.commit(batch).await?.is_some() {
                return self.user_view(&user).await;
            }
        }
    }

    /// Puts a user where an operator wants; a level alone says nothing.
    async fn placed(
        &self,
        batch: Batch,
        user: &mut User,
        organization: Option<&str>,
        level: Option<Level>,
    ) -> Result<Batch> {
        match organization.map(str::trim) {
            Some(named) => self.place(batch, user, named, level).await,
            None if level.is_some() => Err(Error::required("organization")),
            None => Ok(batch),
        }
    }

    /// What there is of that which a body asks for.
    async fn reach(&self, fields: &Fields, user: &User) -> Result<Reach> {
        let is_email_taken = match fields.email("email") {
            Ok(Some(email)) if email != user.email => self.find_by_email(&email).await?.is_some(),
            _ => false,
        };
        if !fields.contains("set_current_organization") && !fields.contains("set_current_team") {
            return Ok(Reach { is_email_taken, ..Reach::default() });
        }
        let organizations = self.places_of(user.id).await?.into_iter().map(|place| place.organization.id).collect();
        let team = match wanted_team(fields) {
            Some(number) => self.records().team(number).await?,
            None => None,
        };
        Ok(Reach { is_email_taken, organizations, of_team: team.map(|team| team.organization) })
    }

    /// Makes another organization or project current; the user has to be a member there when the batch is applied.
    async fn moved(&self, batch: Batch, patch: &UserPatch, user: &mut User) -> Result<Batch> {
        let (organization, team) = match (patch.set_current_organization, patch.set_current_team) {
            (None, None) => return Ok(batch),
            (Some(organization), None) => (organization, self.records().first_team(organization).await?),
            (_, Some(number)) => {
                let gone = || FieldError::does_not_exist(&number.to_string(), "set_current_team");
                let team = self.records().team(number).await?.ok_or_else(gone)?;
                (team.organization, Some(team))
            }
        };
        let gone = || match patch.set_current_organization {
            Some(id) => FieldError::does_not_exist(&id.to_string(), "set_current_organization"),
            None => FieldError::does_not_exist(
                &patch.set_current_team.map(|team| team.to_string()).unwrap_or_default(),
                "set_current_team",
            ),
        };
        let membership = self.records().membership(organization, user.id).await?.ok_or_else(gone)?;
        user.current_organization = Some(organization);
        user.current_team = team.map(|team| team.number);
        Ok(batch.expect(keys::membership(organization, user.id), Expect::Version(membership.version)))
    }

    /// A user whose current organization and project are those that the user object shows: what was not set, or is not
    /// there any more, is chosen and stored (spec §2.2).
    pub(super) async fn with_current_place(&self, user: &User) -> Result<User> {
        if self.is_settled(user).await? {
            return Ok(user.clone());
        }
        // The version first, which whoever takes a membership away moves.
        let before = self.user(user.id).await?;
        let (current_organization, current_team) = self.choose_place(&before.value).await?;
        let settled = User { current_organization, current_team, ..before.value.clone() };
        // A conflict means that something newer is there, from which the next reader chooses.
        self.commit(put_user(Batch::default(), Some(&before), &settled)).await?;
        Ok(settled)
    }

    async fn is_settled(&self, user: &User) -> Result<bool> {
        Ok(self.choose_place(user).await? == (user.current_organization, user.current_team))
    }

    async fn choose_place(&self, user: &User) -> Result<(Option<OrganizationId>, Option<u64>)> {
        let places = self.places_of(user.id).await?;
        let Some(place) = current_of(&places, user) else { return Ok((None, None)) };
        let organization = place.organization.id;
        let team = match user.current_team {
            Some(number) => self.records().team(number).await?.filter(|team| team.organization == organization),
            None => None,
        };
        let team = if team.is_some() { team } else { self.records().first_team(organization).await? };
        Ok((Some(organization), team.map(|team| team.number)))
    }

    /// Stages a new address and has it verified; where mail is not available it changes at once (spec §3.4).
    async fn change_email(&self, batch: Batch, user: &mut User, email: &EmailAddress) -> Result<Batch> {
        if self.find_by_email(email).await?.is_some() {
            return Err(email_in_use());
        }
        if self.app.is_mail_available() {
            user.pending_email = Some(email.clone());
            user.pending_email_at = Some(self.now);
            // Nobody else may have got it since it was looked up.
            let batch = batch.expect(keys::email(email.as_str()), Expect::Absent);
            let batch = self.audited(batch, Note::of(Event::UserEmailChangeRequested, user));
            return self.verification_mailed(batch, user);
        }
        user.change_email(email.clone(), self.now);
        // Nobody has shown that this address is theirs; once there is mail, login asks for it.
        user.is_email_verified = Some(false);
        Ok(self.audited(batch, Note::of(Event::UserEmailChanged, user)))
    }

    /// The gate (spec §4.8) and the re-authentication window (spec §1.9), as far as the fields need them.
    fn check_update_windows(&self, fields: &Fields, replace: bool) -> Result<()> {
        let Identity::Session { session, .. } = &self.actor.identity else { return Ok(()) };
        let only_moves = !fields.0.is_empty()
            && fields.0.keys().all(|name| matches!(name.as_str(), "set_current_organization" | "set_current_team"));
        if !only_moves {
            self.check_gate_of_caller()?;
        }
        if !replace && is_reauth_exempt(fields) { Ok(()) } else { self.check_reauth(&session.session) }
    }

    /// What may not be asked at all, before any field is looked at, so that it tells nothing about addresses.
    fn check_update_guards(&self, fields: &Fields, user: &User) -> Result<()> {
        let sent_email = fields.value("email").and_then(serde_json::Value::as_str);
        let changes_email = sent_email.is_some_and(|sent| sent.trim().to_lowercase() != user.email.as_str());
        let is_key = matches!(self.actor.identity, Identity::ApiKey { .. });
        if is_key && (changes_email || fields.contains("password")) {
            let detail =
                "You can only change your email or password from the PostHog app, not with an API key or token.";
            return Err(Error::denied(detail));
        }
        if changes_email {
            self.require_fresh("Confirm it's you before changing your email.")?;
        }
        if fields.contains("is_staff") {
            if !self.require_caller()?.is_staff {
                return Err(Error::denied("You are not a staff user, contact your instance admin."));
            }
            // W-39: a session, authenticated just now.
            self.require_fresh("This action requires you to be recently authenticated.")?;
        }
        let is_other = self.require_caller()?.id != user.id;
        if self.needs_approval(user)
            && (fields.contains("is_staff") || is_other && (changes_email || fields.contains("password")))
        {
            return Err(Error::denied("Not while two operators have to decide about a staff user."));
        }
        Ok(())
    }

    /// A change of address has a mail sent to whatever address the caller names, for whichever user.
    fn limit_email_changes(&self, patch: &UserPatch, user: &User) -> Result<()> {
        if patch.new_email(user).is_none() || !self.app.is_mail_available() {
            return Ok(());
        }
        let caller = self.require_caller()?.id;
        self.app.0.throttle.count("email_change", EMAIL_CHANGES, caller.as_bytes(), self.now)
    }

    /// The current password first, then the strength of the new one; its hash is the answer.
    async fn check_new_password(
        &self,
        patch: &UserPatch,
        user: &User,
        rules: PatchRules,
    ) -> Result<Option<PasswordHash>> {
        if !patch.has_password() {
            return Ok(None);
        }
        if let (Some(_), Some(current)) = (&user.password_hash, &patch.current_password)
            && !self.is_current_password(user, current).await?
        {
            return Err(incorrect_password());
        }
        let (patch, user, app) = (patch.clone(), user.clone(), self.app.clone());
        let strength = move || {
            let service = app.config().service_names();
            patch.new_password(&user, &rules, &service).map(Option::<&Secret>::cloned)
        };
        let checked = self.app.0.hasher.check(strength).await?;
        match checked? {
            Some(password) => Ok(Some(self.app.0.hasher.hash(password).await?)),
            None => Ok(None),
        }
    }

    /// Checks the strength of a password that an operator or a link sets, and hashes it.
    pub(super) async fn hash_new_password(&self, password: &Secret, known: &[&str]) -> Result<PasswordHash> {
        self.check_strength(password, known).await?.map_err(|problem| Error::from(problem.at_change()))?;
        self.app.0.hasher.hash(password.clone()).await
    }

    /// Whether a password may be chosen by somebody of whom these words are known, beside the names of the service.
    pub(super) async fn check_strength(
        &self,
        password: &Secret,
        known: &[&str],
    ) -> Result<std::result::Result<(), PasswordProblem>> {
        let known: Vec<String> =
            known.iter().copied().chain(self.config().service_names()).map(str::to_owned).collect();
        let (checked, min_length) = (password.clone(), self.config().password.min_length);
        let strength = move || {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            check_password(checked.expose(), min_length, &known)
        };
        self.app.0.hasher.check(strength).await
    }

    /// A user with the next number, and the batch that takes the number.
    pub(super) async fn new_user(&self, email: EmailAddress) -> Result<(User, Batch)> {
        if self.find_by_email(&email).await?.is_some() {
            return Err(email_in_use());
        }
        let (batch, number) = self.next_number(Batch::default(), keys::USER_NUMBER_COUNTER).await?;
        let id = UserId(random::uuid(self.now)?);
        let distinct_id = random::token()?.expose().to_owned();
        let user = User::new(id, number, distinct_id, email, self.now);
        Ok((user, batch))
    }

    /// [`Self::keep_one_staff`] for a user who goes away whole.
    async fn without_last_staff(&self, batch: Batch, leaving: &User) -> Result<Batch> {
        if leaving.is_staff && leaving.is_active { self.keep_one_staff(batch, leaving.id).await } else { Ok(batch) }
    }

    /// Requires that another active staff user remains (W-39), also when two calls race: both move one key.
    async fn keep_one_staff(&self, batch: Batch, leaving: UserId) -> Result<Batch> {
        let batch = self.guarded(batch, keys::STAFF_GUARD).await?;
        let two = self.records().active_user_ids(Some(true), 0, 2).await?;
        if two.iter().any(|id| *id != leaving) {
            Ok(batch)
        } else {
            Err(Error::denied("The last staff user cannot be removed from staff."))
        }
    }

    async fn list_all(&self, list: &ListUsers) -> Result<UserPage> {
        let count = self.records().active_users(list.is_staff).await?;
        let ids = if (list.offset as u64) < count {
            self.records().active_user_ids(list.is_staff, list.offset, list.limit).await?
        } else {
            Vec::new()
        };
        let users = self.records().users(&ids).await?;
        Ok(UserPage { count, results: self.user_views(&users).await? })
    }

    /// A member cannot be deleted (spec §3.4). Joining changes the user, so what is found here holds for the version read
    /// before.
    async fn require_no_membership(&self, id: UserId) -> Result<()> {
        if self.places_of(id).await?.is_empty() {
            return Ok(());
        }
        Err(Error::Conflict { detail: "Cannot delete user with organization memberships.".into() })
    }

    async fn remove_belongings(&self, id: UserId) -> Result<()> {
        loop {
            let sessions = self.records().sessions_of(id).await?;
            let devices = self.records().remembered_of(id).await?;
            if sessions.is_empty() && devices.is_empty() {
                return Ok(());
            }
            let mut batch = Batch::default();
            for (hash, session) in sessions.iter().take(15) {
                batch = remove_session(batch, hash, session);
            }
            for (hash, device) in devices.iter().take(15) {
                batch = remove_remembered(batch, hash, device);
            }
            self.commit(batch).await?;
        }
    }

    /// The account a path names, for what one may only do to oneself (spec §3.1).
    pub(super) fn own_account(&self, user: &UserRef) -> Result<UserId> {
        let caller = self.require_caller()?;
        if user.0 == "@me" || UserId::parse(&user.0.to_lowercase()) == Some(caller.id) {
            Ok(caller.id)
        } else {
            Err(only_me())
        }
    }

    /// The account a path names, for what staff may do to others (spec §3.1).
    pub(super) async fn account(&self, user: &UserRef) -> Result<UserId> {
        let caller = self.require_caller()?;
        match self.own_account(user) {
            Ok(id) => Ok(id),
            Err(_) if caller.is_staff => {
                self.check_gate_of_caller()?;
                let id = UserId::parse(&user.0.to_lowercase()).ok_or_else(Error::not_found)?;
                let found = self.user(id).await?;
                if found.value.is_active { Ok(id) } else { Err(Error::not_found()) }
            }
            Err(refused) => Err(refused),
        }
    }

    fn check_gate_of_caller(&self) -> Result<()> {
        match &self.actor.identity {
            Identity::Session { user, session } => self.check_gate(user, session),
            _ => Ok(()),
        }
    }

    /// A user as operators name one: e-mail address, UUID or numeric id.
    pub(super) async fn find_user(&self, user: &UserRef) -> Result<Versioned<User>> {
        let named = user.0.trim();
        let id = if let Some(id) = UserId::parse(&named.to_lowercase()) {
            Some(id)
        } else if let Ok(number) = named.parse() {
            self.records().user_id_by_number(number).await?
        } else if let Some(email) = EmailAddress::parse(named) {
            self.records().user_id_by_email(&email).await?
        } else {
            None
        };
        let found = match id {
            Some(id) => self.records().user(id).await?,
            None => None,
        };
        found.ok_or_else(|| Error::NotFound { detail: format!("no user {}", text::for_message(named)).into() })
    }

    pub(super) async fn find_by_email(&self, email: &EmailAddress) -> Result<Option<Versioned<User>>> {
        match self.records().user_id_by_email(email).await? {
            Some(id) => Ok(self.records().user(id).await?),
            None => Ok(None),
        }
    }
}

fn only_me() -> Error {
    Error::denied("As a non-staff user you're only allowed to access the `@me` user instance.")
}

pub(super) fn email_in_use() -> Error {
    user_patch::email_in_use().into()
}

fn parse_email(typed: &str) -> Result<EmailAddress> {
    EmailAddress::parse(typed)
        .ok_or_else(|| Error::invalid("invalid_input", "Enter a valid email address.", Some("email")))
}

fn parse_name(attr: &'static str, typed: &str) -> Result<String> {
    let name = typed.trim();
    if name.chars().count() > NAME_CHARS_MAX {
        return Err(FieldError::max_length(NAME_CHARS_MAX, attr).into());
    }
    text::check_display_name(attr, name)?;
    Ok(name.to_owned())
}
