//! Login sessions and remembered devices.

use serde_json::json;

use super::describe::{Description, delete, get, post};
use super::users::ONLY_ONESELF;
use crate::app::sessions::SessionsRevoked;
use crate::app::views::{LoginSessionView, RememberedDeviceView};

pub fn descriptions() -> Vec<Description> {
    vec![
        get("/api/users/{uuid}/login_sessions", "users_login_sessions_list")
            .says(
                "List one's login sessions",
                "The caller's, whatever the path says: the present one, then by last activity.",
            )
            .answers_list::<LoginSessionView>(
                200,
                "The sessions.",
                json!([{
                    "id": "0b7f2c9e-5a51-5c7e-9d5e-3f1f8a3c2b10", "created_at": "2025-09-01T12:34:56.789012+00:00",
                    "last_activity": "2025-09-01T13:00:00Z", "location": null, "device": "Firefox 135 on Linux",
                    "login_method": "password", "is_current": true,
                }]),
            ),
        delete("/api/users/{uuid}/login_sessions/{id}", "users_login_sessions_destroy")
            .says("End a login session", "One of the caller's, whoever else's they may look at.")
            .answers_empty(204, "The session is ended.")
            .denied(ONLY_ONESELF)
            .not_found("Login session not found."),
        post("/api/users/{uuid}/login_sessions/revoke_others", "users_login_sessions_revoke_others_create")
            .says(
                "End all other login sessions",
                "And logins that wait for their second step; other remembered devices are forgotten.",
            )
            .answers::<SessionsRevoked>(200, "How many were ended.", json!({"revoked_count": 2}))
            .denied(ONLY_ONESELF),
        get("/api/users/{uuid}/remembered_devices", "users_remembered_devices_list")
            .says("List one's remembered devices", "Browsers that are asked for no code at a login; newest first.")
            .answers_list::<RememberedDeviceView>(
                200,
                "The devices.",
                json!([{
                    "id": "6a0d7c1e-1c1b-5d0a-8a51-0f9b6f5b7a22", "created_at": "2025-09-01T12:34:56.789012Z",
                    "expires_at": "2025-10-01T12:34:56.789012Z", "device": "Firefox 135 on Linux", "is_current": true,
                }]),
            )
            .denied(ONLY_ONESELF),
        delete("/api/users/{uuid}/remembered_devices/{id}", "users_remembered_devices_destroy")
            .says("Forget a remembered device", "Its next login asks for a code again.")
            .answers_empty(204, "The device is forgotten.")
            .denied(ONLY_ONESELF)
            .not_found("Remembered device not found."),
    ]
}
