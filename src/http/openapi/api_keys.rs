//! Personal API keys.

use serde_json::{Value, json};

use super::describe::{Description, delete, get, patch, post, put};
use crate::app::views::ApiKeyView;

pub fn descriptions() -> Vec<Description> {
    vec![
        get("/api/personal_api_keys", "personal_api_keys_list")
            .says("List one's keys", "Newest first.")
            .answers_list::<ApiKeyView>(200, "The caller's keys, without their values.", json!([key(&Value::Null)])),
        set(post("/api/personal_api_keys", "personal_api_keys_create"))
            .says("Make a key", "Its value is in this answer and never again. At most 10 for each user.")
            .requires(&["label", "scopes"])
            .example(json!({"label": "CI", "scopes": ["user:read"], "scoped_teams": [], "scoped_organizations": []}))
            .answers::<ApiKeyView>(201, "The key, with its value.", key(&"phx_Vt8...".into()))
            .invalid(
                "invalid_input",
                "You can only have 10 personal API keys. Remove an existing key before creating a new one.",
                None,
            ),
        get("/api/personal_api_keys/{id}", "personal_api_keys_retrieve")
            .says("Look at a key", "One of the caller's, by its id. A key may look at itself: `@current`, or its id.")
            .answers::<ApiKeyView>(200, "The key, without its value.", key(&Value::Null))
            .denied("This action does not support Personal API Key access"),
        set(put("/api/personal_api_keys/{id}", "personal_api_keys_update"))
            .says("Replace a key's settings", "Limits to organizations and teams stay where they are not sent.")
            .requires(&["label", "scopes"])
            .example(json!({"label": "CI", "scopes": ["user:read"], "scoped_teams": [], "scoped_organizations": []}))
            .answers::<ApiKeyView>(200, "The key as it is now, without its value.", key(&Value::Null)),
        set(patch("/api/personal_api_keys/{id}", "personal_api_keys_partial_update"))
            .says("Change a key's settings", "Only what is sent changes.")
            .example(json!({"label": "CI, nightly"}))
            .answers::<ApiKeyView>(200, "The key as it is now, without its value.", key(&Value::Null)),
        post("/api/personal_api_keys/{id}/roll", "personal_api_keys_roll_create")
            .says("Give a key a new value", "It is in this answer and never again. The old one stops working at once.")
            .answers::<ApiKeyView>(200, "The key, with its new value.", key(&"phx_Vt8...".into())),
        delete("/api/personal_api_keys/{id}", "personal_api_keys_destroy")
            .says("Revoke a key", "It stops working at once.")
            .answers_empty(204, "The key is gone."),
    ]
}

/// What the settings of a key can have wrong.
fn set(description: Description) -> Description {
    description
        .invalid("invalid_input", "Invalid scope: user:fly", "scopes")
        .invalid("invalid_input", "A valid integer is required.", "scoped_teams__0")
        .invalid(
            "invalid_input",
            "You must be a member of all organizations that you are scoping the key to.",
            "scoped_organizations",
        )
}

/// Spec §3.8.
fn key(value: &Value) -> Value {
    json!({
        "id": "3kT9", "label": "CI", "value": value, "mask_value": "phx_...9aZq",
        "created_at": "2025-09-01T12:00:00.000001Z", "last_used_at": null, "user_id": 1, "scopes": ["user:read"],
        "scoped_teams": [], "scoped_organizations": [], "last_rolled_at": null, "description": null,
        "is_legacy_hashing": false, "local_dev_value": null,
    })
}
