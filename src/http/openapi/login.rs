//! Logging in and out, and passwords set with a link.

use serde_json::json;

use super::describe::{Description, get, post};
use super::schema::Source;
use crate::app::login::LoginMethods;
use crate::app::passwords::PasswordReset;
use crate::app::views::Success;
use crate::domain::input::Input;

pub const SESSION: &[&str] = &["sessionid", "posthog_csrftoken"];

pub fn descriptions() -> Vec<Description> {
    vec![login(), complete(), precheck(), logout(), logout_to_login(), check_reset(), reset()]
}

fn login() -> Description {
    post("/api/login", "login_create")
        .says(
            "Log in",
            "The first step, and the only one for an account without a second factor. Inside a session of the same \
             user it proves that they are still there.\n\n401 `2fa_required` means that the password was right: its \
             cookie holds the pending login, and `POST /api/login/token/` completes it.",
        )
        .example(json!({"email": "ada@example.com", "password": "correct horse battery staple"}))
        .answers::<Success>(200, "Logged in.", json!({"success": true}))
        .sets(SESSION)
        .invalid("invalid_credentials", "Invalid email or password.", None)
        .invalid(
            "not_verified",
            "Your account is awaiting verification. Please check your email for a verification link.",
            None,
        )
        .error(401, "server_error", "2fa_required", "2FA is required.", None)
        .error(
            403,
            "authentication_error",
            "too_many_failed_attempts",
            "Too many failed login attempts. Please try again in 10 minutes.",
            None,
        )
}

fn complete() -> Description {
    post("/api/login/token", "login_token_create")
        .says(
            "Complete a login with a second factor",
            "Wants the cookie that came with 401 `2fa_required`. A code is accepted once. After a wrong one the next \
             try has to wait: 1, 2, 4 seconds, and so on.",
        )
        .pending_login()
        .example(json!({"token": "123456", "remember": false}))
        .answers::<Success>(200, "Logged in.", json!({"success": true}))
        .sets(&["sessionid", "posthog_csrftoken", "remember-cookie_<uuid>, unless `remember` is false"])
        .invalid("2fa_invalid", "Invalid authentication code", None)
        .invalid("2fa_too_many_attempts", "Too many attempts.", None)
        .invalid("2fa_expired", "Login attempt has expired. Re-enter username/password.", None)
        .limited("6 tries in 20 minutes for each account.")
}

fn precheck() -> Description {
    post("/api/login/precheck", "login_precheck_create")
        .says("Ask how an account logs in", "The answer is the same for every address, known or not.")
        .example(json!({"email": "ada@example.com"}))
        .answers::<LoginMethods>(
            200,
            "With a password.",
            json!({"sso_enforcement": null, "saml_available": false, "webauthn_credentials": []}),
        )
        .limited("30 a minute for each client address.")
}

fn logout() -> Description {
    post("/api/logout", "logout_create")
        .says("Log out", "Ends the session, if there is one.")
        .answers_empty(204, "Logged out.")
}

fn logout_to_login() -> Description {
    const INPUTS: &[Input] = &[Input::text("next", 0, "Where to go after the next login: a path of this site.")];
    post("/logout", "logout_redirect_create")
        .says("Log out, in a browser", "As `POST /api/logout/`, for a form on a page.")
        .reads(INPUTS)
        .example(json!({"next": "/insights"}))
        .answers_empty(302, "On to the login page.")
}

fn check_reset() -> Description {
    get("/api/reset/{uuid}", "reset_retrieve")
        .says("Check a password link", "Does not use it up.")
        .query("token", Source::Text, "From the link in the mail.")
        .answers_empty(200, "The token would be taken.")
        .invalid("required", "This field is required.", "token")
        .invalid("invalid_token", "This reset token is invalid or has expired.", "token")
        .limited("tries for each user and client address, as `limits.verify_email_address` says.")
}

fn reset() -> Description {
    post("/api/reset/{uuid}", "reset_create")
        .says(
            "Set a password with a link",
            "Ends all sessions of the user, and logs nobody in. The second factor stays on. The token is looked at \
             before the password: a password that is refused does not use it up.",
        )
        .example(json!({"token": "MfLp0q...", "password": "a brand new battery staple"}))
        .answers::<PasswordReset>(200, "The password is set.", json!({"success": true, "email": "ada@example.com"}))
        .invalid("invalid_token", "This reset token is invalid or has expired.", "token")
        .invalid("invalid_input", "This password is too short. It must contain at least 8 characters.", "password")
        .limited("tries for each user and client address, as `limits.verify_email_address` says.")
}
