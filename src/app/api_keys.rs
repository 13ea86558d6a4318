//! Personal API keys (spec §3.8).

use serde::{Deserialize, Serialize};

use super::{Context, Operation, Permission};
use crate::error::Result;
use super::permission::KeyRule;
use super::reset::Done;
use super::views::{ApiKeyView, UserRef};
use crate::domain::fields::Fields;

/// `GET /api/personal_api_keys`: own keys, newest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListApiKeys {}

impl Operation for ListApiKeys {
    const NAME: &'static str = "list_api_keys";
    const NEEDS: Permission = Permission::USER.key(KeyRule::UnsupportedOnKeys);
    type Reply = Vec<ApiKeyView>;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        todo!()
    }
}

/// `POST /api/personal_api_keys`; the value is only in this answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateApiKey {
    pub fields: Fields,
}

impl Operation for CreateApiKey {
    const NAME: &'static str = "create_api_key";
    const NEEDS: Permission = Permission::USER.key(KeyRule::UnsupportedOnKeys).sensitive();
    type Reply = ApiKeyView;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        todo!()
    }
}

/// `DELETE /api/personal_api_keys/{id}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteApiKey {
    pub id: String,
}

impl Operation for DeleteApiKey {
    const NAME: &'static str = "delete_api_key";
    const NEEDS: Permission = Permission::USER.key(KeyRule::UnsupportedOnKeys).sensitive();
    type Reply = ();

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        todo!()
    }
}

/// An operator makes a key for a user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateApiKeyFor {
    pub user: UserRef,
    pub label: String,
    pub scopes: Vec<String>,
}

impl Operation for CreateApiKeyFor {
    const NAME: &'static str = "create_api_key_for";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = ApiKeyView;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        todo!()
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
        todo!()
    }
}

/// An operator revokes a key by its id.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RevokeApiKey {
    pub user: UserRef,
    pub id: String,
    pub reason: String,
}

impl Operation for RevokeApiKey {
    const NAME: &'static str = "revoke_api_key";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = Done;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        todo!()
    }
}
