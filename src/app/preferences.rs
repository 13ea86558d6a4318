//! The preferences that have calls of their own (spec §3.4), for sessions and one's own account only. Those that change
//! something ask for no recent authentication (spec §1.9).

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::audit::Note;
use super::views::{UserRef, UserView};
use super::{Context, Operation, Permission, Tries};
use crate::domain::audit::Event;
use crate::domain::fields::{FieldError, Fields};
use crate::domain::input::Input;
use crate::domain::preferences::{ProductIntro, SceneChoice, hedgehog_config};
use crate::domain::user::{Preferences, User};
use crate::error::Result;
use crate::records::{keys, put_user};
use crate::store::{Batch, Expect};

/// `GET /api/users/{uuid}/hedgehog_config`: what is stored, or an empty object.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RetrieveHedgehogConfig {
    pub user: UserRef,
}

impl Operation for RetrieveHedgehogConfig {
    const NAME: &'static str = "retrieve_hedgehog_config";
    const NEEDS: Permission = Permission::USER;
    type Reply = Value;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        cx.own_account(&self.user)?;
        let stored = &cx.require_caller()?.preferences.hedgehog_config;
        Ok(if stored.is_null() { Value::Object(serde_json::Map::new()) } else { stored.clone() })
    }
}

/// `PATCH /api/users/{uuid}/hedgehog_config`: the body replaces what is stored, and is the answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReplaceHedgehogConfig {
    pub user: UserRef,
    pub fields: Fields,
}

impl Operation for ReplaceHedgehogConfig {
    const NAME: &'static str = "replace_hedgehog_config";
    const NEEDS: Permission = Permission::USER;
    const INPUTS: &'static [Input] = &[Input::ANY];
    type Reply = Value;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let config = hedgehog_config(self.fields)?;
        let change = |preferences: &mut Preferences| {
            preferences.hedgehog_config.clone_from(&config);
            Ok(())
        };
        cx.change_preference(&self.user, "hedgehog_config", change).await?;
        Ok(config)
    }
}

/// `POST /api/users/{uuid}/scene_personalisation`. Fields: `scene`, `dashboard`. There are no dashboards here: a number
/// that the application sends is kept for it, as long as the user has a current team for it to belong to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PersonaliseScene {
    pub user: UserRef,
    pub fields: Fields,
}

impl Operation for PersonaliseScene {
    const NAME: &'static str = "personalise_scene";
    const NEEDS: Permission = Permission::USER;
    const INPUTS: &'static [Input] = SceneChoice::INPUTS;
    type Reply = UserView;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        cx.own_account(&self.user)?;
        let has_team = cx.with_current_place(cx.require_caller()?).await?.current_team.is_some();
        let choice = SceneChoice::parse(&self.fields, has_team)?;
        let change = |preferences: &mut Preferences| {
            preferences.scene_personalisation = choice.merge(&preferences.scene_personalisation)?;
            Ok(())
        };
        let user = cx.change_preference(&self.user, "scene_personalisation", change).await?;
        cx.user_view(&user).await
    }
}

/// `PATCH /api/users/{uuid}/product_intro_seen`. Fields: `product_key`, `seen`. The answer is the whole map.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MarkProductIntro {
    pub user: UserRef,
    pub fields: Fields,
}

impl Operation for MarkProductIntro {
    const NAME: &'static str = "mark_product_intro";
    const NEEDS: Permission = Permission::USER;
    const INPUTS: &'static [Input] = ProductIntro::INPUTS;
    type Reply = Value;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let intro = ProductIntro::parse(&self.fields)?;
        let change = |preferences: &mut Preferences| {
            preferences.has_seen_product_intro_for = intro.merge(&preferences.has_seen_product_intro_for)?;
            Ok(())
        };
        let user = cx.change_preference(&self.user, "has_seen_product_intro_for", change).await?;
        Ok(user.preferences.has_seen_product_intro_for)
    }
}

/// The answer of `github_login`: there is no social login.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(description = "Never a name: there is no social login.")]
pub struct GithubLogin {
    pub github_login: Option<String>,
}

/// `GET /api/users/{uuid}/github_login`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RetrieveGithubLogin {
    pub user: UserRef,
}

impl Operation for RetrieveGithubLogin {
    const NAME: &'static str = "retrieve_github_login";
    const NEEDS: Permission = Permission::USER;
    type Reply = GithubLogin;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        cx.own_account(&self.user)?;
        Ok(GithubLogin { github_login: None })
    }
}

/// `POST /api/users/{uuid}/credentials_review_complete`: no review is ever asked for, so it is complete.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CompleteCredentialsReview {
    pub user: UserRef,
}

impl Operation for CompleteCredentialsReview {
    const NAME: &'static str = "complete_credentials_review";
    const NEEDS: Permission = Permission::USER.sensitive();
    type Reply = ();

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        cx.own_account(&self.user).map(|_| ())
    }
}

impl Context<'_> {
    /// Changes one of the caller's own preferences. `change` may be called again when somebody else was faster.
    async fn change_preference(
        &self,
        user: &UserRef,
        field: &'static str,
        change: impl Fn(&mut Preferences) -> Result<(), FieldError> + Send + Sync,
    ) -> Result<User> {
        let id = self.own_account(user)?;
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let before = self.user(id).await?;
            let mut user = before.value.clone();
            change(&mut user.preferences)?;
            // A change that changes nothing still waits until what it saw is on disk.
            let batch = if user == before.value {
                Batch::default().expect(keys::user(id), Expect::Version(before.version))
            } else {
                let note = Note::of(Event::UserUpdated, &user).detail("fields", field);
                self.audited(put_user(Batch::default(), Some(&before), &user), note)
            };
            if self.commit(batch).await?.is_some() {
                return Ok(user);
            }
        }
    }
}
