//! New accounts: with an organization of their own, or in one that sent an invite (spec §3.6, §4.1).
//!
//! Everything that belongs to a new account is written in one batch: user, organization, project, membership, mail and
//! trail. Invites are made in [`super::invites`].

use serde::{Deserialize, Serialize};

use super::accounts::email_in_use;
use super::audit::Note;
use super::limits::Limit;
use super::login::IssuedSession;
use super::views::UserBasicView;
use super::{Context, Identity, Operation, Permission, Tries};
use crate::domain::audit::Event;
use crate::domain::email::EmailAddress;
use crate::domain::fields::Fields;
use crate::domain::id::InviteId;
use crate::domain::input::Input;
use crate::domain::organization::{Invite, Organization};
use crate::domain::secret::Secret;
use crate::domain::signup::{Person, SignupForm};
use crate::domain::text;
use crate::domain::user::{PasswordHash, User};
use crate::error::{Error, Result};
use crate::records::{Versioned, put_user, remove_invite};
use crate::store::Batch;

const UNKNOWN_INVITE: &str = "The provided invite ID is not valid.";

/// An account was made, or an invite accepted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SignedUp {
    pub user: UserBasicView,
    /// Where a browser goes on: a path on this site.
    pub redirect_url: String,
    /// Set where nobody has to verify an address, because there is no mail.
    pub session: Option<IssuedSession>,
}

/// An invite that the caller can accept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InviteFound {
    pub id: InviteId,
    pub target_email: EmailAddress,
    pub first_name: String,
    pub organization_name: String,
    /// Who made it, by name or address, as long as there is such a user.
    pub inviter: Option<String>,
    /// The caller is logged in and joins as whom they are.
    pub has_account: bool,
}

/// `POST /api/signup`. Fields: see [`SignupForm`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SignUp {
    pub fields: Fields,
}

impl Operation for SignUp {
    const NAME: &'static str = "sign_up";
    const NEEDS: Permission = Permission::ANYONE;
    const INPUTS: &'static [Input] = SignupForm::INPUTS;
    type Reply = SignedUp;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        cx.organization_may_be_founded(Batch::default()).await?;
        // All tries count, since the answer tells which addresses have accounts (W-20).
        cx.count(Limit::Signup, &[]).await?;
        let read = SignupForm::read(&self.fields, cx.config().email.allow_plus_addresses)?;
        let form = read.form;
        let known = [form.email.as_str(), &form.person.first_name, &form.last_name, &form.organization_name];
        cx.check_signup_password(&form.person, &known).await?;
        read.behind_password?;
        if cx.find_by_email(&form.email).await?.is_some() {
            return Err(email_in_use());
        }
        let hash = cx.hash_of(&form.person).await?;
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let (mut user, batch) = cx.new_user(form.email.clone()).await?;
            let batch = cx.organization_may_be_founded(batch).await?;
            cx.introduce(&mut user, &form.person, hash.clone());
            user.last_name.clone_from(&form.last_name);
            user.is_staff = cx.config().signup.first_user_is_staff && user.number == 1;
            let note = Note::of(Event::UserSignedUp, &user).detail("is_staff", user.is_staff);
            let (batch, _) = cx.found_organization(cx.audited(batch, note), &mut user, &form.organization_name).await?;
            let (batch, session) = cx.settled(batch, &mut user).await?;
            if cx.commit(batch).await?.is_some() {
                return Ok(SignedUp {
                    redirect_url: redirect_url(&user, session.is_none(), form.next_url.as_deref()),
                    user: (&user).into(),
                    session,
                });
            }
        }
    }
}

/// Whether the caller could sign up, so that the page need not be filled in for nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CheckSignup {}

impl Operation for CheckSignup {
    const NAME: &'static str = "check_signup";
    const NEEDS: Permission = Permission::ANYONE;
    type Reply = ();

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        cx.organization_may_be_founded(Batch::default()).await.map(|_| ())
    }
}

/// `GET /api/signup/{invite_id}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CheckInvite {
    pub id: Secret,
}

impl Operation for CheckInvite {
    const NAME: &'static str = "check_invite";
    const NEEDS: Permission = Permission::ANYONE;
    type Reply = InviteFound;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let found = cx.usable_invite(&self.id, log_in_first).await?;
        let invite = found.invite.value;
        let inviter = match invite.created_by {
            Some(id) => cx.records().user(id).await?.map(|user| user.value.name_or_email()),
            None => None,
        };
        Ok(InviteFound {
            id: invite.id,
            target_email: invite.target_email,
            first_name: invite.first_name,
            organization_name: found.organization.value.name,
            inviter,
            has_account: cx.logged_in_user().is_some(),
        })
    }
}

/// `POST /api/signup/{invite_id}`: whoever is logged in joins; for a stranger an account is made. Fields: see [`Person`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AcceptInvite {
    pub id: Secret,
    pub fields: Fields,
}

impl Operation for AcceptInvite {
    const NAME: &'static str = "accept_invite";
    const NEEDS: Permission = Permission::ANYONE;
    const INPUTS: &'static [Input] = Person::INPUTS;
    type Reply = SignedUp;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        if cx.logged_in_user().is_some() {
            cx.join_by_invite(&self.id).await
        } else {
            cx.sign_up_by_invite(&self.id, &self.fields).await
        }
    }
}

/// An invite with its organization, both there and neither expired.
struct Usable {
    invite: Versioned<Invite>,
    organization: Versioned<Organization>,
}

impl Context<'_> {
    /// The user of a session. An API key counts as nobody: sign-up and invites are for people (spec §3.0).
    fn logged_in_user(&self) -> Option<&User> {
        match &self.actor.identity {
            Identity::Session { user, .. } => Some(user),
            _ => None,
        }
    }

    /// Whether the settings allow a new organization by sign-up; the batch holds only as long as they do.
    async fn organization_may_be_founded(&self, batch: Batch) -> Result<Batch> {
        let allowed = if self.config().signup.enabled { self.founding_allowed(batch).await? } else { None };
        match allowed {
            Some(batch) => Ok(batch),
            None if self.caller().is_some() => Err(Error::denied(
                "New organizations cannot be created in this instance. Contact your administrator if you think this is a mistake.",
            )),
            None => Err(Error::NotAuthenticated),
        }
    }

    async fn check_signup_password(&self, person: &Person, known: &[&str]) -> Result<()> {
        match &person.password {
            Some(password) => self.check_strength(password, known).await?.map_err(|problem| problem.at_signup().into()),
            None => Ok(()),
        }
    }

    async fn hash_of(&self, person: &Person) -> Result<Option<PasswordHash>> {
        match &person.password {
            Some(password) => self.app.0.hasher.hash(password.clone()).await.map(Some),
            None => Ok(None),
        }
    }

    /// Fills a new user in.
    fn introduce(&self, user: &mut User, person: &Person, hash: Option<PasswordHash>) {
        user.first_name.clone_from(&person.first_name);
        user.preferences.role_at_organization = Some(person.role_at_organization.clone());
        user.password_changed_at = hash.as_ref().map(|_| self.now);
        user.password_hash = hash;
    }

    /// Adds a new user, who has to verify the address first; without mail nobody could, and the user is logged in (spec
    /// §4.1).
    async fn settled(&self, batch: Batch, user: &mut User) -> Result<(Batch, Option<IssuedSession>)> {
        if self.app.is_mail_available() {
            let batch = put_user(batch, None, user);
            return Ok((self.verification_mailed(batch, user)?, None));
        }
        let replaced = self.session().cloned();
        let (batch, session) = self.logged_in(batch, replaced.as_deref(), None, user, "sign-up", false).await?;
        Ok((batch, Some(session)))
    }

    /// The invite of a link, if this caller can accept it; else the first reason why not, in the order of spec §3.6. Two
    /// members with one address, the last of them there, cannot be: addresses are unique without regard to case.
    /// `has_account` is the answer to somebody who is not logged in and has an account.
    async fn usable_invite(&self, id: &Secret, has_account: fn(&Invite) -> Error) -> Result<Usable> {
        let invite = match InviteId::parse(&id.expose().to_lowercase()) {
            Some(id) => self.records().invite(id).await?,
            None => None,
        };
        let invite = invite.ok_or_else(unknown_invite)?;
        let organization = self.records().organization(invite.value.organization).await?.ok_or_else(unknown_invite)?;
        let caller = match self.logged_in_user() {
            Some(caller) => Some(self.user(caller.id).await?.value),
            None => None,
        };
        if caller.as_ref().is_some_and(|caller| caller.email != invite.value.target_email) {
            let detail = "This invite is intended for another email address.";
            return Err(Error::invalid("invalid_recipient", detail, None));
        }
        if invite.value.is_expired(self.now) {
            let detail = "This invite has expired. Please ask your admin for a new one.";
            return Err(Error::invalid("expired", detail, None));
        }
        match caller {
            None if self.find_by_email(&invite.value.target_email).await?.is_some() => Err(has_account(&invite.value)),
            Some(caller) if self.records().membership(organization.value.id, caller.id).await?.is_some() => {
                let detail = "You already are a member of this organization.";
                Err(Error::invalid("user_already_member", detail, None))
            }
            None | Some(_) => Ok(Usable { invite, organization }),
        }
    }

    async fn join_by_invite(&self, id: &Secret) -> Result<SignedUp> {
        let caller = self.require_caller()?.id;
        self.usable_invite(id, log_in_first).await?;
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let usable = self.usable_invite(id, log_in_first).await.map_err(used_meanwhile)?;
            let before = self.user(caller).await?;
            let mut user = before.value.clone();
            let batch = self.invite_used(Batch::default(), &mut user, &usable).await?;
            if self.commit(put_user(batch, Some(&before), &user)).await?.is_some() {
                return Ok(SignedUp { user: (&user).into(), redirect_url: "/".to_owned(), session: None });
            }
        }
    }

    async fn sign_up_by_invite(&self, id: &Secret, fields: &Fields) -> Result<SignedUp> {
        let usable = self.usable_invite(id, has_account).await?;
        let email = usable.invite.value.target_email;
        let read = Person::read(fields)?;
        let person = read.form;
        let known = [email.as_str(), &person.first_name, &usable.organization.value.name];
        self.check_signup_password(&person, &known).await?;
        read.behind_password?;
        let hash = self.hash_of(&person).await?;
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let usable = self.usable_invite(id, has_account).await.map_err(used_meanwhile)?;
            let (mut user, batch) = match self.new_user(email.clone()).await {
                Err(error) if error.code() == "unique" => return Err(has_account(&usable.invite.value)),
                found => found?,
            };
            self.introduce(&mut user, &person, hash.clone());
            let batch = self.audited(batch, Note::of(Event::UserSignedUp, &user).detail("how", "invite"));
            let batch = self.invite_used(batch, &mut user, &usable).await?;
            let (batch, session) = self.settled(batch, &mut user).await?;
            if self.commit(batch).await?.is_some() {
                let redirect_url = redirect_url(&user, session.is_none(), None);
                return Ok(SignedUp { user: (&user).into(), redirect_url, session });
            }
        }
    }

    /// Adds that the invite is used: the user joins, the others learn of it, and nobody can use it again.
    async fn invite_used(&self, batch: Batch, user: &mut User, usable: &Usable) -> Result<Batch> {
        let Usable { invite, organization } = usable;
        let batch =
            self.join_organization(batch, user, organization, invite.value.level, invite.value.created_by).await?;
        self.joining_announced(remove_invite(batch, invite), user, &organization.value)
    }
}

/// Where a browser goes on after a sign-up (spec §3.6).
fn redirect_url(user: &User, must_verify: bool, next: Option<&str>) -> String {
    match (must_verify, next) {
        (true, None) => format!("/verify_email/{}", user.id),
        (true, Some(next)) => text::with_next(&format!("/verify_email/{}", user.id), next),
        (false, next) => next.unwrap_or("/").to_owned(),
    }
}

fn unknown_invite() -> Error {
    Error::invalid("invalid_input", UNKNOWN_INVITE, None)
}

/// An invite that was there a moment ago and is not any more.
fn used_meanwhile(error: Error) -> Error {
    if error == unknown_invite() {
        Error::invalid("expired", "This invite has already been used.", None)
    } else {
        error
    }
}

/// The answer to whoever looks at an invite: the detail is a path.
fn log_in_first(invite: &Invite) -> Error {
    Error::invalid("account_exists", text::with_next("/login", &format!("/signup/{}", invite.id)), None)
}

/// The answer to whoever would make a second account.
fn has_account(invite: &Invite) -> Error {
    let address = text::for_message(invite.target_email.as_str());
    let detail = format!("There already exists an account with email address {address}. Please log in instead.");
    Error::invalid("invalid_input", detail, None)
}
