//! Logging in and out, and passwords set with a link.

use serde_json::json;

use super::describe::{Description, get, post};
use super::schema::Source;
use crate::app::login::LoginMethods;
use crate::app::passwords::PasswordReset;
use crate::app::reset_link::TwoFactorResetToken;
use crate::app::views::Success;
use crate::domain::input::Input;

pub const SESSION: &[&str] = &["sessionid", "posthog_csrftoken"];
const NOTHING_PENDING: &str = "No login is waiting for a code. Re-enter username/password.";

pub fn descriptions() -> Vec<Description> {
    vec![
        login(),
        complete(),
        complete_by_code(),
        resend_code(),
        precheck(),
        logout(),
        logout_to_login(),
        request_reset(),
        check_reset(),
        reset(),
        check_two_factor_reset(),
        two_factor_reset(),
    ]
}

fn login() -> Description {
    post("/api/login", "login_create")
        .says(
            "Log in",
            "The first step, and the only one for an account without a second factor. Inside a session of the same \
             user it proves that they are still there.\n\n401 `2fa_required` means that the password was right: its \
             cookie holds the pending login, and `POST /api/login/token/` completes it. Where the server asks people \
             without a second factor for a code by mail, 401 `code_based_verification_required` is the same with \
             `POST /api/login/code-based-verification/`; its detail is the address that got the code.",
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
        .error(401, "authentication_error", "code_based_verification_required", "ada@example.com", None)
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

fn complete_by_code() -> Description {
    post("/api/login/code-based-verification", "login_code_based_verification_create")
        .says(
            "Complete a login with a code by mail",
            "Wants the cookie that came with 401 `code_based_verification_required`. A code lives ten minutes and \
             takes five tries.",
        )
        .pending_login()
        .example(json!({"code": "123456", "remember": false}))
        .answers::<Success>(200, "Logged in.", json!({"success": true}))
        .sets(&["sessionid", "posthog_csrftoken", "remember-cookie_<uuid>, unless `remember` is false"])
        .invalid("invalid_code", "This code is invalid or has expired.", "code")
        .invalid("too_many_attempts", "Too many incorrect attempts. Try again later.", "code")
        .invalid("no_pending_verification", NOTHING_PENDING, None)
        .limited("6 tries in 20 minutes for each account.")
}

fn resend_code() -> Description {
    post("/api/login/code-based-verification/resend", "login_code_based_verification_resend_create")
        .says("Have the code by mail sent again", "The one before is dead then; tries that were used up stay so.")
        .pending_login()
        .answers::<Success>(200, "A new code is on its way.", json!({"success": true}))
        .invalid("no_pending_verification", NOTHING_PENDING, None)
        .limited("once a minute for each account.")
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

fn request_reset() -> Description {
    post("/api/reset", "reset_request_create")
        .says(
            "Ask for a password link",
            "The answer is the same for every address, known or not. A newer link kills an older one.",
        )
        .example(json!({"email": "ada@example.com"}))
        .answers_empty(204, "If there is such an account, a mail is on its way.")
        .invalid(
            "email_not_available",
            "Cannot reset passwords because email is not configured for your instance. Please contact your administrator.",
            None,
        )
        .limited("6 a day for each address asked for, 60 for each client address.")
}

fn check_two_factor_reset() -> Description {
    refusals(
        get("/api/reset_2fa/{uuid}", "reset_2fa_retrieve")
            .says("Check a link that resets a second factor", RESET_2FA)
            .query("token", Source::Text, "From the link in the mail.")
            .answers::<TwoFactorResetToken>(
                200,
                "The link would be taken.",
                json!({"success": true, "token": "MfLp0q..."}),
            ),
    )
}

fn two_factor_reset() -> Description {
    refusals(
        post("/api/reset_2fa/{uuid}", "reset_2fa_create")
            .says("Reset a second factor with a link", RESET_2FA)
            .example(json!({"token": "MfLp0q..."}))
            .answers::<Success>(200, "Device and backup codes are removed.", json!({"success": true})),
    )
}

const RESET_2FA: &str = "An administrator has the link sent; it lives an hour. Wants a pending login or a session of the \
    same user, also an hour old at most. Its refusals are not in the envelope.";

/// The refusals of both, in their own shape.
fn refusals(description: Description) -> Description {
    description
        .pending_login()
        .refused(400, "Token is required.")
        .refused(400, "This reset link is invalid or has expired.")
        .refused(401, "You must log in with your credentials first.")
        .refused(401, "Your login session has expired. Please log in again.")
        .refused(403, "This reset link is for a different account.")
        .limited("tries for each client address, as `limits.verify_email_address` says.")
}

fn check_reset() -> Description {
    get("/api/reset/{uuid}", "reset_retrieve")
        .says("Check a password link", "Does not use it up.")
        .query("token", Source::Text, "From the link in the mail.")
        .answers_empty(200, "The token would be taken.")
        .invalid("required", "This field is required.", "token")
        .invalid("invalid_token", "This reset token is invalid or has expired.", "token")
        .limited("tries for each client address, as `limits.verify_email_address` says.")
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
        .limited("tries for each client address, as `limits.verify_email_address` says.")
}
