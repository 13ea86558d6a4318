//! Users: the account itself, its e-mail address, its second factor.

use serde_json::{Value, json};

use super::describe::{Description, delete, get, patch, post, put};
use super::organizations;
use super::schema::{Source, put as put_key};
use crate::app::second_factor::{BackupCodes, TotpSetup};
use crate::app::views::{Success, TwoFactorStatusView, UserView};
use crate::http::email::Verified;

pub const ONLY_ONESELF: &str = "As a non-staff user you're only allowed to access the `@me` user instance.";
const REAUTH: &str = "This action requires you to be recently authenticated.";

pub fn descriptions() -> Vec<Description> {
    let mut all = account();
    all.extend(email());
    all.extend(two_factor());
    all
}

fn account() -> Vec<Description> {
    let changes = |description: Description| {
        description
            .answers::<UserView>(200, "The user as it is now.", user())
            .denied(ONLY_ONESELF)
            .denied("You are not a staff user, contact your instance admin.")
            .denied("You can only change your email or password from the PostHog app, not with an API key or token.")
            .wants_reauth(REAUTH)
            .wants_reauth("Confirm it's you before changing your email.")
            .gated()
            .invalid("required", "This field is required when updating your password.", "current_password")
            .invalid("incorrect_password", "Your current password is incorrect.", "current_password")
            .invalid("invalid_input", "This password is too short. It must contain at least 8 characters.", "password")
            .invalid("unique", "There is already an account with this email address.", "email")
            .invalid(
                "plus_addressing_not_allowed",
                "Email addresses with a '+' aren't supported. Please use your primary email address.",
                "email",
            )
            .invalid("does_not_exist", "Object with id=7 does not exist.", "set_current_team")
            .names("first_name")
            .invalid(
                "invalid_input",
                "Key foo is not valid as a key for notification settings",
                "notification_settings",
            )
            .invalid("max_length", "Ensure this field has no more than 8192 bytes.", "hedgehog_config")
            .invalid(
                "no_passkeys",
                "You must have at least one passkey set up before enabling passkeys for 2FA.",
                "passkeys_enabled_for_2fa",
            )
            .limited("5 calls a minute with `current_password` in the body.")
            .limited("changes of the address, which send mails.")
    };
    vec![
        get("/api/users", "users_list")
            .says("List users", "Staff see everybody who is active, in the order of `id`; others see themselves.")
            .query("email", Source::Text, "Only the user with this address.")
            .query("is_staff", Source::Boolean, "Only staff, or only others.")
            .answers_page::<UserView>(
                "PaginatedUserList",
                "A page of users.",
                json!({"count": 1, "next": null, "previous": null, "results": [user()]}),
            ),
        get("/api/users/{uuid}", "users_retrieve")
            .says("Look at a user", "")
            .answers::<UserView>(200, "The user.", user())
            .denied(ONLY_ONESELF)
            .gated(),
        changes(
            put("/api/users/{uuid}", "users_update")
                .says(
                    "Replace a user's settings",
                    "As PATCH, which is nearly always what is wanted; only that `email` and `password` must be there. \
                     Fields that are not sent stay as they are.",
                )
                .requires(&["email", "password"])
                .example(json!({
                    "email": "ada@example.com", "password": "a brand new battery staple",
                    "current_password": "correct horse battery staple", "first_name": "Ada",
                })),
        ),
        changes(
            patch("/api/users/{uuid}", "users_partial_update")
                .says(
                    "Change a user's settings",
                    "Only what is sent changes, and all of it or nothing.\n\nA new `email` is staged in \
                     `pending_email` and confirmed by mail; where the server cannot send mail it is changed at once. \
                     Keys change neither address nor password. Bodies that hold nothing but small preferences, such as \
                     `theme_mode`, need no recent login.",
                )
                .example(json!({
                    "first_name": "Ada", "theme_mode": "dark",
                    "notification_settings": {"all_weekly_digest_disabled": true},
                })),
        ),
        delete("/api/users/{uuid}", "users_destroy")
            .says(
                "Delete an account",
                "With its keys, devices, codes and sessions. Its organizations have to be left first.",
            )
            .answers_empty(204, "The account is gone.")
            .denied(ONLY_ONESELF)
            .denied("The last staff user cannot be removed from staff.")
            .error(409, "server_error", "conflict", "Cannot delete user with organization memberships.", None),
    ]
}

fn email() -> Vec<Description> {
    vec![
        post("/api/users/request_email_verification", "users_request_email_verification_create")
            .says(
                "Ask for a verification mail",
                "It goes to the address that waits to be confirmed. The answer is the same for users that do not exist.",
            )
            .example(json!({"uuid": "01990f5c-1f2e-7000-9b1d-5a0f3b9d2c11"}))
            .answers::<Success>(200, "Sent, if there was something to send.", json!({"success": true}))
            .invalid(
                "email_not_available",
                "Cannot verify email address because email is not configured for your instance. Please contact your administrator.",
                None,
            )
            .limited("6 a day for each user, and tries for each client address."),
        post("/api/users/verify_email", "users_verify_email_create")
            .says(
                "Confirm an address",
                "With the token of the link or the six digits of the mail. Logs the user in, unless the answer says \
                 what is wanted first.",
            )
            .example(json!({"uuid": "01990f5c-1f2e-7000-9b1d-5a0f3b9d2c11", "code": "123456"}))
            .answers::<Verified>(200, "Confirmed.", json!({"success": true}))
            .sets(&["sessionid", "posthog_csrftoken"])
            .invalid("invalid_token", "This verification token is invalid or has expired.", "token")
            .invalid("required", "This field is required.", "token")
            .invalid("invalid_input", "Enter the 6-digit code from your email.", "code")
            .invalid("invalid_code", "This code is invalid or has expired.", "code")
            .invalid("too_many_attempts", "Too many incorrect attempts. Try again later.", "code")
            .invalid(
                "email_taken",
                "Another account now uses this email address. Start the change again with a different address.",
                "email",
            )
            .limited("6 tries in 20 minutes for each user, and tries for each client address."),
        patch("/api/users/cancel_email_change_request", "users_cancel_email_change_request_partial_update")
            .says("Drop a staged address", "Its tokens and codes die with it.")
            .answers::<UserView>(200, "The user, without a staged address.", user())
            .invalid("email_change_request_not_found", "No active email change requests found.", None),
    ]
}

fn two_factor() -> Vec<Description> {
    let start = |description: Description| {
        description
            .answers::<TotpSetup>(
                200,
                "The secret of the new device.",
                json!({"success": true, "secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"}),
            )
            .denied(ONLY_ONESELF)
            .denied("You do not have permission to perform this action.")
            .wants_reauth(REAUTH)
            .gated()
    };
    let starts = "Makes a secret and shows it, as 32 characters of base 32: for \
        `otpauth://totp/<issuer>:<email>?secret=<secret>&issuer=<issuer>` (SHA-1, six digits, 30 seconds). Nothing \
        changes until a code proves it, within ten minutes; a second call replaces the secret.";
    let validate = |description: Description| {
        description
            .example(json!({"token": "123456"}))
            .answers::<Success>(200, "The second factor is on.", json!({"success": true}))
            .denied(ONLY_ONESELF)
            .invalid("setup_expired", "2FA setup session expired. Please start setup again.", None)
            .invalid("token_invalid", "Token is not valid", None)
    };
    let validates = "Proves the secret of the setup that the same session or key has started, and switches the second \
        factor on. All other sessions of the user end. Ten wrong codes end the setup.";
    let old = "The older name of the same call.";
    vec![
        start(get("/api/users/{uuid}/two_factor_start_setup", "users_two_factor_start_setup_retrieve"))
            .says("Start to enrol an authenticator", starts),
        start(post("/api/users/{uuid}/two_factor_start_setup", "users_two_factor_start_setup_create"))
            .says("Start to enrol an authenticator, by POST", starts),
        start(get("/api/users/{uuid}/start_2fa_setup", "users_start_2fa_setup_retrieve"))
            .says("Start to enrol an authenticator (older name)", old)
            .deprecated(),
        start(post("/api/users/{uuid}/start_2fa_setup", "users_start_2fa_setup_create"))
            .says("Start to enrol an authenticator (older name), by POST", old)
            .deprecated(),
        validate(post("/api/users/{uuid}/two_factor_validate", "users_two_factor_validate_create"))
            .says("Finish to enrol an authenticator", validates),
        validate(post("/api/users/{uuid}/validate_2fa", "users_validate_2fa_create"))
            .says("Finish to enrol an authenticator (older name)", old)
            .deprecated(),
        get("/api/users/{uuid}/two_factor_status", "users_two_factor_status_retrieve")
            .says("Look at a second factor", "Staff see that of others, without the codes.")
            .answers::<TwoFactorStatusView>(
                200,
                "Whether and how the account is protected.",
                json!({
                    "is_enabled": true, "backup_codes": ["abcd2345", "mnop6723"], "backup_codes_remaining": 2,
                    "method": "TOTP", "has_passkeys": false, "has_totp": true, "passkeys_enabled_for_2fa": false,
                }),
            )
            .denied(ONLY_ONESELF)
            .gated(),
        post("/api/users/{uuid}/two_factor_backup_codes", "users_two_factor_backup_codes_create")
            .says(
                "Make new backup codes",
                "Ten of them; the old ones die. The session must have proved the second factor.",
            )
            .answers::<BackupCodes>(200, "The new codes.", json!({"backup_codes": ["abcd2345", "mnop6723"]}))
            .denied(ONLY_ONESELF)
            .gated()
            .invalid("2fa_not_enabled", "2FA must be enabled first", None),
        post("/api/users/{uuid}/two_factor_disable", "users_two_factor_disable_create")
            .says(
                "Switch the second factor off",
                "For oneself: with a code or the password in the body, or a session that authenticated within the last \
                 five minutes. A key always needs one of the two. Staff do it for others without.",
            )
            .example(json!({"token": "123456"}))
            .answers::<Success>(200, "The second factor is off, or was.", json!({"success": true}))
            .denied(ONLY_ONESELF)
            .gated()
            .wants_reauth(REAUTH)
            .invalid("token_invalid", "Token is not valid", None)
            .invalid("incorrect_password", "Your current password is incorrect.", "current_password")
            .limited("5 calls a minute with `current_password` in the body."),
    ]
}

/// Spec §2.2.
pub fn user() -> Value {
    let mut user = serde_json::from_str(include_str!("user.json")).unwrap_or_default();
    put_key(&mut user, "team", organizations::team());
    put_key(&mut user, "organization", organizations::full());
    put_key(&mut user, "organizations", vec![organizations::basic()]);
    put_key(&mut user, "is_organization_first_user", true);
    user
}
