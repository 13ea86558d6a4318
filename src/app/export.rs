//! Giving out accounts with everything that belongs to them, for another program: the other way of
//! [`import`](super::import).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::audit::Note;
use super::second_factor::{open_backup_code, open_totp};
use super::{Context, Operation, Permission};
use crate::domain::audit::Event;
use crate::domain::id::OrganizationId;
use crate::domain::organization::Organization;
use crate::domain::password_hash::export_hash;
use crate::domain::portable::{PortableMembership, PortableOrganization, PortableTotp, PortableUser};
use crate::domain::secret::Secret;
use crate::domain::text;
use crate::domain::user::{Preferences, TotpDevice, User};
use crate::error::Result;
use crate::store::Batch;

/// Most users, or organizations, of one call.
pub const EXPORTED_AT_ONCE_MAX: usize = 200;

/// A page of an export: password hashes, secrets and codes in clear.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExportedUsers {
    /// By number (`id` on the wire).
    pub users: Vec<(u64, PortableUser)>,
    /// Pass as `after` for the next page; `None` at the end.
    pub next: Option<u64>,
}

/// An operator takes out users, active or not, in the order of their numbers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExportUsers {
    /// Only users with a greater number.
    pub after: u64,
    /// At most [`EXPORTED_AT_ONCE_MAX`].
    pub limit: usize,
}

impl Operation for ExportUsers {
    const NAME: &'static str = "export_users";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = ExportedUsers;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let ids = cx.records().user_ids_after(self.after, self.limit.clamp(1, EXPORTED_AT_ONCE_MAX)).await?;
        let found = cx.records().users(&ids).await?;
        let next = found.last().map(|user| user.number);
        let mut users = Vec::with_capacity(found.len());
        for user in &found {
            users.push((user.number, cx.portable(user).await?));
        }
        if let (Some(first), Some(last)) = (found.first(), found.last()) {
            // Before anything is given out: the answer waits for the disk.
            let note = Note::new(Event::UserExported)
                .detail("users", found.len())
                .detail("from_id", first.number)
                .detail("to_id", last.number);
            cx.commit(cx.audited(Batch::default(), note)).await?;
        }
        Ok(ExportedUsers { users, next })
    }
}

/// An operator takes out organizations, in the order of their ids.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExportOrganizations {
    /// Only organizations behind this one.
    pub after: Option<OrganizationId>,
    /// At most [`EXPORTED_AT_ONCE_MAX`].
    pub limit: usize,
}

impl Operation for ExportOrganizations {
    const NAME: &'static str = "export_organizations";
    const NEEDS: Permission = Permission::OPERATOR_READ;
    /// None at the end.
    type Reply = Vec<PortableOrganization>;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let limit = self.limit.clamp(1, EXPORTED_AT_ONCE_MAX);
        let found = cx.records().organizations_after(self.after, limit).await?;
        Ok(found.into_iter().map(portable_organization).collect())
    }
}

fn portable_organization(organization: Organization) -> PortableOrganization {
    PortableOrganization {
        source: String::new(),
        id: organization.id,
        name: organization.name,
        slug: organization.slug,
        created_at: Some(organization.created_at),
        enforce_2fa: organization.enforce_2fa,
        members_can_invite: organization.members_can_invite,
        is_member_join_email_enabled: organization.is_member_join_email_enabled,
        members_can_use_personal_api_keys: organization.members_can_use_personal_api_keys,
        allow_publicly_shared_resources: organization.allow_publicly_shared_resources,
        is_ai_data_processing_approved: organization.is_ai_data_processing_approved,
        session_cookie_age: organization.session_cookie_age,
    }
}

impl Context<'_> {
    async fn portable(&self, user: &User) -> Result<PortableUser> {
        let memberships = self.places_of(user.id).await?.into_iter().map(|place| {
            let membership = place.membership.value;
            PortableMembership {
                id: membership.id,
                organization: membership.organization,
                level: membership.level,
                joined_at: Some(membership.joined_at),
            }
        });
        let factor = &user.second_factor;
        let codes = factor.backup_codes.iter().map(|code| open_backup_code(self.vault(), user, code));
        Ok(PortableUser {
            source: String::new(),
            uuid: Some(user.id),
            distinct_id: Some(user.distinct_id.clone()),
            email: user.email.as_str().to_owned(),
            first_name: user.first_name.clone(),
            last_name: user.last_name.clone(),
            password_hash: Secret::new(user.password_hash.as_ref().map(export_hash).unwrap_or_default()),
            is_active: user.is_active,
            is_staff: user.is_staff,
            is_email_verified: user.is_email_verified,
            date_joined: Some(user.date_joined),
            last_login: user.last_login,
            preferences: preferences(&user.preferences),
            totp: factor.totp.as_ref().map(|device| self.portable_device(user, device)).transpose()?,
            backup_codes: codes.collect::<Result<_>>()?,
            enrol_from: factor.enrol_from,
            memberships: memberships.collect(),
            current_organization: user.current_organization,
        })
    }

    fn portable_device(&self, user: &User, device: &TotpDevice) -> Result<PortableTotp> {
        let failures = user.second_factor.totp_failures;
        Ok(PortableTotp {
            secret: Secret::new(text::hex(&open_totp(self.vault(), user.id, &device.secret)?)),
            confirmed_at: Some(device.confirmed_at),
            last_used_at: device.last_used_at,
            last_step: device.last_step,
            failures: failures.count,
            failed_at: (failures.count > 0).then_some(failures.last_at),
        })
    }
}

/// Under the names of spec §2.2, as their owner could set them.
fn preferences(preferences: &Preferences) -> Map<String, Value> {
    let text = |value: &Option<String>| value.clone().map_or(Value::Null, Value::from);
    let flag = |value: Option<bool>| value.map_or(Value::Null, Value::from);
    let all = [
        ("anonymize_data", flag(preferences.anonymize_data)),
        ("toolbar_mode", text(&preferences.toolbar_mode)),
        ("events_column_config", preferences.events_column_config.clone()),
        ("has_seen_product_intro_for", preferences.has_seen_product_intro_for.clone()),
        ("theme_mode", text(&preferences.theme_mode)),
        ("hedgehog_config", preferences.hedgehog_config.clone()),
        ("role_at_organization", text(&preferences.role_at_organization)),
        ("allow_impersonation", flag(preferences.allow_impersonation)),
        ("allow_sidebar_suggestions", flag(preferences.allow_sidebar_suggestions)),
        ("shortcut_position", text(&preferences.shortcut_position)),
        ("ui_configuration", preferences.ui_configuration.clone()),
    ];
    let mut all: Map<String, Value> = all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    if !preferences.notification_settings.is_empty() {
        all.insert("notification_settings".to_owned(), Value::Object(preferences.notification_settings.clone()));
    }
    all
}
