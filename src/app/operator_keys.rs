//! What an operator does with the personal API keys of others.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::reset::Done;
use super::safety::{Proof, SafetyLevel};
use super::views::{ApiKeyView, UserRef};
use super::{Context, Operation, Permission};
use crate::domain::fields::Fields;
use crate::domain::key_patch::KeyPatch;
use crate::error::{Error, Result};

/// An operator makes a key for a user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateApiKeyFor {
    pub user: UserRef,
    pub fields: KeyFields,
}

impl Operation for CreateApiKeyFor {
    const NAME: &'static str = "create_api_key_for";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = ApiKeyView;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let wanted = KeyPatch::parse(&self.fields.into_fields(), true)?;
        let user = cx.find_user(&self.user).await?.value;
        cx.refuse_alone(&user)?;
        cx.create_api_key(user.id, &wanted).await
    }
}

/// An operator lists the keys of a user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListApiKeysOf {
    pub user: UserRef,
}

impl Operation for ListApiKeysOf {
    const NAME: &'static str = "list_api_keys_of";
    const NEEDS: Permission = Permission::OPERATOR_READ;
    type Reply = Vec<ApiKeyView>;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let user = cx.find_user(&self.user).await?.value;
        cx.api_key_views(&user).await
    }
}

/// An operator changes a key of a user; absent fields stay.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetApiKey {
    pub user: UserRef,
    pub id: String,
    pub fields: KeyFields,
}

impl Operation for SetApiKey {
    const NAME: &'static str = "set_api_key";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = ApiKeyView;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let patch = KeyPatch::parse(&self.fields.into_fields(), false)?;
        if patch == KeyPatch::default() {
            return Err(Error::refused("nothing_to_change", "say what to change, for example --label"));
        }
        let user = cx.find_user(&self.user).await?.value;
        cx.refuse_alone(&user)?;
        cx.update_api_key(user.id, &self.id, &patch).await
    }
}

/// An operator gives a key of a user a new value, which is only in this answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RollApiKeyOf {
    pub user: UserRef,
    pub id: String,
    pub proof: Proof,
}

impl Operation for RollApiKeyOf {
    const NAME: &'static str = "roll_api_key_of";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = ApiKeyView;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let user = cx.find_user(&self.user).await?.value;
        let proven = cx.prove(&self.proof, SafetyLevel::Reason, &user)?;
        cx.refuse_alone(&user)?;
        cx.roll_api_key(user.id, &self.id, Some(&proven)).await
    }
}

/// An operator revokes a key by its id.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RevokeApiKey {
    pub user: UserRef,
    pub id: String,
    pub proof: Proof,
}

impl Operation for RevokeApiKey {
    const NAME: &'static str = "revoke_api_key";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = Done;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let user = cx.find_user(&self.user).await?.value;
        let proven = cx.prove(&self.proof, SafetyLevel::Reason, &user)?;
        let (label, audit_number) = cx.remove_api_key(&user, &self.id, Some(&proven)).await?;
        Ok(Done {
            email: user.email.as_str().to_owned(),
            summary: format!("API key \"{label}\" is revoked"),
            audit_number,
        })
    }
}

/// An operator revokes all keys of a user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RevokeAllApiKeys {
    pub user: UserRef,
    /// Level 3.
    pub proof: Proof,
}

impl Operation for RevokeAllApiKeys {
    const NAME: &'static str = "revoke_all_api_keys";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = Done;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let user = cx.find_user(&self.user).await?.value;
        let proven = cx.prove_fully(&self, &self.proof, &user).await?;
        let (count, audit_number) = cx.remove_api_keys(&user, &proven).await?;
        Ok(Done {
            email: user.email.as_str().to_owned(),
            summary: format!("{count} API keys are revoked"),
            audit_number,
        })
    }
}

/// What an operator says about a key; checked by the same rules as what its owner sends.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct KeyFields {
    pub label: Option<String>,
    /// An empty one takes it away.
    pub description: Option<String>,
    pub scopes: Option<Vec<String>>,
    /// UUIDs of the organizations that the key is limited to; none is no limit.
    pub organizations: Option<Vec<String>>,
    /// Ids of the teams, likewise.
    pub teams: Option<Vec<i64>>,
}

impl KeyFields {
    fn into_fields(self) -> Fields {
        let said = [
            ("label", self.label.map(Value::from)),
            ("description", self.description.map(Value::from)),
            ("scopes", self.scopes.map(Value::from)),
            ("scoped_organizations", self.organizations.map(Value::from)),
            ("scoped_teams", self.teams.map(|teams| json!(teams))),
        ];
        let said = said.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Fields(said.collect())
    }
}
