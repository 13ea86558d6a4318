//! Users: create, read, find, change, deactivate, delete (spec §3.4).

use serde::{Deserialize, Serialize};

use super::{Context, Operation, Permission};
use crate::error::Result;
use super::permission::KeyRule;
use super::reset::Done;
use super::views::{Success, UserDetail, UserPage, UserRef, UserRow, UserView};
use crate::domain::fields::Fields;
use crate::domain::secret::Secret;
use crate::domain::user::FactorState;

/// A user made just now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UserCreated {
    pub user: UserView,
    /// Single-use link to set a password, when none was given.
    pub set_password_link: Option<Secret>,
}

/// Rows for the console and `user list`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UserRows {
    pub rows: Vec<UserRow>,
    /// Pass as `after` for the next page; `None` at the end.
    pub next: Option<String>,
    /// All users there are (active or not).
    pub total: u64,
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
}

impl Operation for CreateUser {
    const NAME: &'static str = "create_user";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = UserCreated;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        todo!()
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
        todo!()
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
        todo!()
    }
}

/// `PATCH` and `PUT /api/users/{uuid}`; `replace` is PUT. The gate and the re-authentication window depend on the fields, so the operation checks them itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UpdateUser {
    pub user: UserRef,
    pub fields: Fields,
    pub replace: bool,
}

impl Operation for UpdateUser {
    const NAME: &'static str = "update_user";
    const NEEDS: Permission = Permission::USER.key(KeyRule::Scope("user:write")).passes_gate();
    type Reply = UserView;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        todo!()
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
        todo!()
    }
}

/// An operator changes fields of a user; absent ones stay.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetUser {
    pub user: UserRef,
    pub email: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub is_staff: Option<bool>,
    pub is_verified: Option<bool>,
    pub password: Option<Secret>,
}

impl Operation for SetUser {
    const NAME: &'static str = "set_user";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = UserView;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        todo!()
    }
}

/// An operator deactivates (ending sessions) or reactivates a user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetUserActive {
    pub user: UserRef,
    pub active: bool,
    pub reason: String,
}

impl Operation for SetUserActive {
    const NAME: &'static str = "set_user_active";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = Done;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        todo!()
    }
}

/// Finds users for an operator: by parts of e-mail and name, by state and role; ordered by e-mail.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FindUsers {
    pub query: String,
    pub state: Option<FactorState>,
    pub is_staff: Option<bool>,
    pub after: Option<String>,
    /// At most 500.
    pub limit: usize,
}

impl Operation for FindUsers {
    const NAME: &'static str = "find_users";
    const NEEDS: Permission = Permission::OPERATOR_READ;
    type Reply = UserRows;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        todo!()
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
        todo!()
    }
}

/// Makes the first staff account from the link printed at the first start. Fields: `token`, `email`, `password`, optional `first_name`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CompleteSetup {
    pub fields: Fields,
}

impl Operation for CompleteSetup {
    const NAME: &'static str = "complete_setup";
    const NEEDS: Permission = Permission::ANYONE;
    type Reply = Success;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        todo!()
    }
}

/// `POST /api/reset/{uuid}`: sets a password with a single-use token. Fields: `token`, `password`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ResetPassword {
    pub uuid: String,
    pub fields: Fields,
}

impl Operation for ResetPassword {
    const NAME: &'static str = "reset_password";
    const NEEDS: Permission = Permission::ANYONE;
    type Reply = PasswordReset;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        todo!()
    }
}

/// `GET /api/reset/{uuid}`: whether the token would be taken.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CheckResetToken {
    pub uuid: String,
    pub token: Option<Secret>,
}

impl Operation for CheckResetToken {
    const NAME: &'static str = "check_reset_token";
    const NEEDS: Permission = Permission::ANYONE;
    type Reply = ();

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        todo!()
    }
}

/// A password was set with a token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PasswordReset {
    pub success: bool,
    pub email: String,
}
