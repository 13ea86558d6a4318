//! Taking over accounts of another program: each with its second factor and its places in organizations, in one batch
//! with its entry in the trail.
//!
//! The id of an imported user follows from the file it came in, so that a second run of the same import finds what the
//! first one made and leaves it alone, whatever has become of it since.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::accounts::email_in_use;
use super::audit::Note;
use super::second_factor::{kept_backup_code, seal_totp};
use super::{Context, Operation, Permission, Tries};
use crate::domain::audit::Event;
use crate::domain::backoff::Failures;
use crate::domain::email::EmailAddress;
use crate::domain::fields::Fields;
use crate::domain::id::{OrganizationId, UserId};
use crate::domain::organization::{
    FIRST_TEAM_NAME, Membership, NAME_CHARS_MAX as ORGANIZATION_NAME_CHARS_MAX, ORGANIZATIONS_PER_USER_MAX,
    Organization, check_name,
};
use crate::domain::password_hash::import_hash;
use crate::domain::portable::{
    BACKUP_CODES_MAX, DISTINCT_ID_CHARS_MAX, PortableMembership, PortableOrganization, PortableTotp, PortableUser,
};
use crate::domain::secret::Secret;
use crate::domain::text;
use crate::domain::user::{TotpDevice, User};
use crate::domain::user_patch::{NAME_CHARS_MAX, PatchRules, Reach, UserPatch};
use crate::error::{Error, Result};
use crate::records::{keys, put_membership, put_organization, put_user};
use crate::store::{Batch, Expect};

/// Most users, or organizations, of one call.
pub const IMPORTED_AT_ONCE_MAX: usize = 100;
/// Memberships that fit into one batch together with their user.
const MEMBERSHIPS_PER_BATCH: usize = 6;

/// What becomes of a user or organization in an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportOutcome {
    /// There is a new one (or would be, in a dry run).
    Created,
    /// An earlier run has made it. Nothing was changed.
    Present,
    /// Another account has the address. Nothing was changed.
    Conflict,
    /// Cannot be one here; the note says why. Nothing was changed.
    Refused,
}

/// The outcome for one of them, and what was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    pub outcome: ImportOutcome,
    pub notes: Vec<String>,
}

/// An operator takes over users, each for itself: the answer has one outcome for each, in their order. At most
/// [`IMPORTED_AT_ONCE_MAX`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ImportUsers {
    pub users: Vec<PortableUser>,
    /// Only tells what would be.
    pub dry_run: bool,
}

impl Operation for ImportUsers {
    const NAME: &'static str = "import_users";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = Vec<Imported>;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        check_count(self.users.len())?;
        let mut all = Vec::with_capacity(self.users.len());
        for user in &self.users {
            all.push(cx.import_user(user, self.dry_run).await?);
        }
        Ok(all)
    }
}

/// An operator takes over organizations, each with a first project; to be done before their members come. At most
/// [`IMPORTED_AT_ONCE_MAX`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ImportOrganizations {
    pub organizations: Vec<PortableOrganization>,
    /// Only tells what would be.
    pub dry_run: bool,
}

impl Operation for ImportOrganizations {
    const NAME: &'static str = "import_organizations";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = Vec<Imported>;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        check_count(self.organizations.len())?;
        let mut all = Vec::with_capacity(self.organizations.len());
        for organization in &self.organizations {
            all.push(cx.import_organization(organization, self.dry_run).await?);
        }
        Ok(all)
    }
}

fn check_count(count: usize) -> Result<()> {
    if count <= IMPORTED_AT_ONCE_MAX {
        return Ok(());
    }
    Err(Error::invalid("invalid_input", format!("at most {IMPORTED_AT_ONCE_MAX} at once"), None))
}

impl Imported {
    fn nothing(outcome: ImportOutcome, note: &str) -> Self {
        Self { outcome, notes: vec![note.to_owned()] }
    }
}

impl Context<'_> {
    async fn import_user(&self, sent: &PortableUser, dry_run: bool) -> Result<Imported> {
        let Some(email) = EmailAddress::parse(&sent.email) else {
            return Ok(Imported::nothing(ImportOutcome::Refused, "the e-mail address is not a valid one"));
        };
        let id = sent.uuid.unwrap_or_else(|| self.id_of_import(sent, &email));
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            if self.records().user(id).await?.is_some() {
                return Ok(Imported { outcome: ImportOutcome::Present, notes: Vec::new() });
            }
            let (blank, batch) = match self.new_user(email.clone()).await {
                Err(error) if error == email_in_use() => {
                    let note = "another account has this e-mail address";
                    return Ok(Imported::nothing(ImportOutcome::Conflict, note));
                }
                made => made?,
            };
            let (mut user, mut notes) = self.filled(User { id, ..blank }, sent)?;
            if dry_run {
                return Ok(Imported { outcome: ImportOutcome::Created, notes });
            }
            let Some(batch) = self.joined(batch, &mut user, sent, &mut notes).await? else { continue };
            let batch = put_user(batch, None, &user);
            let factor = &user.second_factor;
            let note = Note::of(Event::UserImported, &user)
                .detail("from", text::for_message(&sent.source))
                .detail("is_staff", user.is_staff)
                .detail("second_factor", factor.state().as_str())
                .detail("backup_codes", factor.backup_codes.len())
                .detail("organizations", sent.memberships.len());
            if self.commit(self.audited(batch, note)).await?.is_some() {
                return Ok(Imported { outcome: ImportOutcome::Created, notes });
            }
        }
    }

    /// Adds the user's places in organizations that are here. Those that do not fit into the batch are written before,
    /// so that with the user everything is there; after an interruption the next run finds them. `None` is a lost race.
    async fn joined(
        &self,
        mut batch: Batch,
        user: &mut User,
        sent: &PortableUser,
        notes: &mut Vec<String>,
    ) -> Result<Option<Batch>> {
        let mut places = Vec::new();
        for membership in sent.memberships.iter().take(ORGANIZATIONS_PER_USER_MAX) {
            if places.iter().any(|(place, _): &(&PortableMembership, _)| place.organization == membership.organization)
            {
                notes.push("a membership is left out: it is there twice".to_owned());
                continue;
            }
            match self.records().organization(membership.organization).await? {
                Some(organization) => places.push((membership, organization.version)),
                None => notes.push("a membership is left out: there is no such organization".to_owned()),
            }
        }
        if sent.memberships.len() > ORGANIZATIONS_PER_USER_MAX {
            notes.push(format!("memberships beyond {ORGANIZATIONS_PER_USER_MAX} are left out"));
        }
        let is_here = |id: &OrganizationId| places.iter().any(|(place, _)| place.organization == *id);
        user.current_organization =
            sent.current_organization.filter(is_here).or_else(|| Some(places.first()?.0.organization));
        if let Some(id) = user.current_organization {
            user.current_team = self.records().first_team(id).await?.map(|team| team.number);
        }
        for (place, (membership, version)) in places.into_iter().enumerate() {
            let key = keys::organization(membership.organization);
            let add = |batch: Batch| {
                let record = self.membership_of(user, membership);
                put_membership(batch.expect(key, Expect::Version(version)), None, &record, user.is_active)
            };
            if place < MEMBERSHIPS_PER_BATCH {
                batch = add(batch);
            } else if self.records().membership(membership.organization, user.id).await?.is_none()
                && self.commit(add(Batch::default())).await?.is_none()
            {
                return Ok(None);
            }
        }
        Ok(Some(batch))
    }

    fn membership_of(&self, user: &User, sent: &PortableMembership) -> Membership {
        Membership {
            id: sent.id,
            organization: sent.organization,
            user: user.id,
            level: sent.level,
            joined_at: sent.joined_at.unwrap_or(user.date_joined),
            updated_at: self.now,
            invited_by: None,
        }
    }

    async fn import_organization(&self, sent: &PortableOrganization, dry_run: bool) -> Result<Imported> {
        let name = sent.name.trim();
        if let Err(error) = check_name("name", name, ORGANIZATION_NAME_CHARS_MAX) {
            return Ok(Imported::nothing(
                ImportOutcome::Refused,
                &format!("its name cannot be taken: {}", error.detail),
            ));
        }
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            if self.records().organization(sent.id).await?.is_some() {
                return Ok(Imported { outcome: ImportOutcome::Present, notes: Vec::new() });
            }
            if dry_run {
                return Ok(Imported { outcome: ImportOutcome::Created, notes: Vec::new() });
            }
            let wanted = if sent.slug.trim().is_empty() { name } else { &sent.slug };
            let organization = Organization {
                created_at: sent.created_at.unwrap_or(self.now),
                is_member_join_email_enabled: sent.is_member_join_email_enabled,
                enforce_2fa: sent.enforce_2fa,
                members_can_invite: sent.members_can_invite,
                members_can_use_personal_api_keys: sent.members_can_use_personal_api_keys,
                allow_publicly_shared_resources: sent.allow_publicly_shared_resources,
                is_ai_data_processing_approved: sent.is_ai_data_processing_approved,
                session_cookie_age: sent.session_cookie_age,
                ..Organization::new(sent.id, name.to_owned(), self.free_slug(wanted).await?, self.now)
            };
            let batch = put_organization(Batch::default(), None, &organization);
            let note = Note::new(Event::OrganizationCreated)
                .detail("organization", organization.id)
                .detail("from", text::for_message(&sent.source));
            let (batch, _) = self.new_team(self.audited(batch, note), organization.id, FIRST_TEAM_NAME).await?;
            if self.commit(batch).await?.is_some() {
                return Ok(Imported { outcome: ImportOutcome::Created, notes: Vec::new() });
            }
        }
    }

    /// The id of a user whose program has none: a UUIDv7 of the day the user joined, whose other bits only this server
    /// can compute.
    fn id_of_import(&self, sent: &PortableUser, email: &EmailAddress) -> UserId {
        let mac = self.vault().mac("imported_user", &[sent.source.as_bytes(), email.as_str().as_bytes()]);
        let mut random = [0; 10];
        random.iter_mut().zip(mac).for_each(|(place, byte)| *place = byte);
        let millis = sent.date_joined.map_or(0, |at| at.as_millis().max(0).cast_unsigned());
        UserId(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// A blank user with everything that was sent, as far as the rules here allow; the notes say what they do not.
    fn filled(&self, mut user: User, sent: &PortableUser) -> Result<(User, Vec<String>)> {
        let mut notes = Vec::new();
        if let Some(id) = sent.distinct_id.as_ref().filter(|id| id.chars().count() <= DISTINCT_ID_CHARS_MAX) {
            user.distinct_id.clone_from(id);
        }
        user.first_name = taken_name("first_name", &sent.first_name, &mut notes);
        user.last_name = taken_name("last_name", &sent.last_name, &mut notes);
        match import_hash(sent.password_hash.expose()) {
            Ok(hash) => user.password_hash = hash,
            Err(error) => notes.push(format!("comes without a password: {error}")),
        }
        user.is_active = sent.is_active;
        user.is_staff = sent.is_staff;
        user.is_email_verified = sent.is_email_verified;
        user.date_joined = sent.date_joined.unwrap_or(self.now);
        user.last_login = sent.last_login;
        self.take_preferences(&mut user, &sent.preferences, &mut notes);
        user.second_factor.enrol_from = sent.enrol_from;
        if let Some(totp) = &sent.totp {
            self.take_second_factor(&mut user, totp, &sent.backup_codes, &mut notes)?;
        }
        Ok((user, notes))
    }

    fn take_second_factor(
        &self,
        user: &mut User,
        totp: &PortableTotp,
        codes: &[Secret],
        notes: &mut Vec<String>,
    ) -> Result<()> {
        let Some(secret) = text::unhex(totp.secret.expose()).map(zeroize::Zeroizing::new) else {
            notes.push("the secret of the authenticator is not hexadecimal".to_owned());
            user.second_factor.enrol_from = Some(self.now);
            return Ok(());
        };
        let failures = Failures { count: totp.failures, last_at: totp.failed_at.unwrap_or_default() };
        let codes = codes.iter().take(BACKUP_CODES_MAX).map(|code| kept_backup_code(self.vault(), user, code));
        let backup_codes = codes.collect::<Result<Vec<_>>>()?;
        let device = TotpDevice {
            secret: seal_totp(self.vault(), user.id, &secret)?,
            confirmed_at: totp.confirmed_at.unwrap_or(user.date_joined),
            last_used_at: totp.last_used_at,
            last_step: totp.last_step,
            disabled: failures.reached_the_end(),
        };
        let factor = &mut user.second_factor;
        factor.totp = Some(device);
        factor.totp_failures = failures;
        factor.backup_codes_issued = u32::try_from(backup_codes.len()).unwrap_or(u32::MAX);
        factor.backup_codes = backup_codes;
        Ok(())
    }

    /// Takes over each preference that its owner could set here.
    fn take_preferences(&self, user: &mut User, sent: &Map<String, Value>, notes: &mut Vec<String>) {
        let rules = PatchRules { allow_plus_addresses: true, password_min_length: self.config().password.min_length };
        for (name, value) in sent {
            // Nothing chosen, which cannot be chosen.
            if value.is_null() && matches!(name.as_str(), "role_at_organization" | "notification_settings") {
                continue;
            }
            let one = Fields(Map::from_iter([(name.clone(), value.clone())]));
            match UserPatch::parse(&one, false, user, &Reach::default(), &rules) {
                Ok(patch) => patch.apply(user),
                Err(error) => notes.push(format!("`{}` is left out: {}", text::for_message(name), error.detail)),
            }
        }
    }
}

/// A name, or none where the rules of spec §2.4 do not allow it.
fn taken_name(attr: &'static str, sent: &str, notes: &mut Vec<String>) -> String {
    let name = sent.trim();
    let problem = if name.chars().count() > NAME_CHARS_MAX {
        Some(format!("more than {NAME_CHARS_MAX} characters"))
    } else {
        text::check_display_name(attr, name).err().map(|error| error.detail.into_owned())
    };
    match problem {
        None => name.to_owned(),
        Some(problem) => {
            notes.push(format!("`{attr}` is left out: {problem}"));
            String::new()
        }
    }
}
