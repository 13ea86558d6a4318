//! Who stands where in the organization that a path names.

use serde::{Deserialize, Serialize};

use super::Context;
use crate::domain::id::OrganizationId;
use crate::domain::organization::{Level, Membership, Organization};
use crate::error::{Error, Result};
use crate::records::{Versioned, keys};
use crate::store::{Batch, Expect};

/// Names an organization: `@current` or its id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OrganizationRef(pub String);

/// The caller in the organization that a path names.
pub(super) struct Standing {
    pub organization: Versioned<Organization>,
    pub membership: Versioned<Membership>,
}

impl Standing {
    pub(super) fn level(&self) -> Level {
        self.membership.value.level
    }

    pub(super) fn require(&self, level: Level) -> Result<()> {
        if self.level() < level {
            return Err(Error::denied("Your organization access level is insufficient."));
        }
        Ok(())
    }

    /// The organization and the caller's place in it, as they were read, have to hold when the batch is applied.
    pub(super) fn expected(&self, batch: Batch) -> Batch {
        let organization = &self.organization;
        let membership = &self.membership;
        batch.expect(keys::organization(organization.value.id), Expect::Version(organization.version)).expect(
            keys::membership(membership.value.organization, membership.value.user),
            Expect::Version(membership.version),
        )
    }
}

impl Context<'_> {
    pub(super) async fn standing_below(&self, named: &OrganizationRef) -> Result<Standing> {
        let missing = || Error::NotFound { detail: "Organization not found.".into() };
        let caller = self.require_caller()?;
        let id = if named.0 == "@current" {
            let missing = || Error::NotFound { detail: "Current organization not found.".into() };
            caller.current_organization.ok_or_else(missing)?
        } else {
            OrganizationId::parse(&named.0).ok_or_else(missing)?
        };
        let organization = self.records().organization(id).await?.ok_or_else(missing)?;
        let membership = self.records().membership(id, caller.id).await?.ok_or_else(Error::permission_denied)?;
        Ok(Standing { organization, membership })
    }
}
