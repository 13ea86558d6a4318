//! The preferences that have calls of their own.

use serde_json::json;

use super::describe::{Description, get, patch, post};
use super::users::{ONLY_ONESELF, user};
use crate::app::pending_invites::PendingInviteView;
use crate::app::preferences::GithubLogin;
use crate::app::views::UserView;

pub fn descriptions() -> Vec<Description> {
    let all = vec![
        get("/api/users/{uuid}/hedgehog_config", "users_hedgehog_config_retrieve")
            .says("Look at the hedgehog's settings", "")
            .answers_object(200, "What is stored, or an empty object.", json!({"color": "red"})),
        patch("/api/users/{uuid}/hedgehog_config", "users_hedgehog_config_partial_update")
            .says("Replace the hedgehog's settings", "The body, any object, takes the place of what is stored.")
            .example(json!({"color": "red"}))
            .answers_object(200, "What is stored now.", json!({"color": "red"}))
            .invalid("max_length", "Ensure this field has no more than 8192 bytes.", None),
        post("/api/users/{uuid}/scene_personalisation", "users_scene_personalisation_create")
            .says("Choose the dashboard of a scene", "")
            .example(json!({"scene": "Person", "dashboard": 7}))
            .answers::<UserView>(200, "The user as it is now.", user())
            .invalid("invalid_input", "Scene must be provided.", None)
            .invalid("invalid_input", "Dashboard must belong to the user's current team.", "dashboard")
            .invalid("max_length", "Ensure this field has no more than 8192 bytes.", "scene"),
        patch("/api/users/{uuid}/product_intro_seen", "users_product_intro_seen_partial_update")
            .says("Mark the introduction of a product as seen", "")
            .example(json!({"product_key": "surveys", "seen": true}))
            .answers_object(200, "All marks.", json!({"surveys": true}))
            .invalid("invalid_input", "Cannot track more than 100 product intros", None)
            .invalid("max_length", "Ensure this field has no more than 14336 bytes.", "product_key"),
        get("/api/users/{uuid}/pending_invites", "users_pending_invites_list")
            .says(
                "List the invites that wait for one",
                "To organizations one is not in; newest first, at most 25. None while the address is not verified.",
            )
            .answers_list::<PendingInviteView>(
                200,
                "The invites.",
                json!([{
                    "id": "01990f5c-1f50-7000-8c1d-5a0f3b9d2c12", "target_email": "ada@example.com",
                    "organization_id": "01990f5c-1f10-7000-9a8b-7c6d5e4f3a2b",
                    "organization_name": "Analytical Engines", "created_at": "2025-09-01T12:34:56.789012Z",
                }]),
            ),
        get("/api/users/{uuid}/github_login", "users_github_login_retrieve")
            .says("Look at the social login", "")
            .answers::<GithubLogin>(200, "There is none.", json!({"github_login": null})),
        post("/api/users/{uuid}/credentials_review_complete", "users_credentials_review_complete_create")
            .says("Say that a review of credentials is complete", "None is ever asked for.")
            .answers_empty(204, "It is."),
    ];
    all.into_iter().map(|one| one.denied(ONLY_ONESELF)).collect()
}
