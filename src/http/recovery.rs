//! Pages for people who cannot get in: ask for a link that sets a password, set it, and reset a second factor with the
//! link that an administrator had sent (spec §3.7, §3.10).
//!
//! The last wants the password before it shows its button, and the session cookie that comes of it; like all pages it
//! does nothing on GET.

use super::cookies;
use super::door::Door;
use super::pages::{Input, Link, Page, concerns_token, dead_link, fail, show};
use super::reply::{self, Answer};
use super::router::Call;
use crate::app::Identity;
use crate::app::login::{Login, LoginOutcome};
use crate::app::passwords::{CheckResetToken, RequestPasswordReset, ResetPassword};
use crate::app::reset_link::{CheckTwoFactorResetToken, ConfirmTwoFactorReset};
use crate::domain::fields::Fields;
use crate::error::Error;

const ASK: Link = Link { label: "Ask for a new link", href: "/reset" };

pub fn ask<D: Door>(call: &Call<D>) -> Answer {
    show(call, &ask_page(&Fields::default()))
}

pub async fn submit_ask<D: Door>(mut call: Call<D>) -> Answer {
    let fields = call.take_fields();
    let again = ask_page(&fields);
    match call.run(RequestPasswordReset { fields }).await {
        Ok(()) => {
            let text =
                "If there is an account with this address, a mail with a link is on its way. Follow it within a day.";
            show(&call, &Page { title: "Look into your mailbox", text, ..Page::default() })
        }
        Err(error) => fail(&call, error, again),
    }
}

pub async fn reset<D: Door>(call: Call<D>) -> Answer {
    let operation =
        CheckResetToken { uuid: call.params.first.clone(), token: Some(call.params.second.as_str().into()) };
    match call.run(operation).await {
        Ok(()) => show(&call, &reset_page()),
        Err(error) => fail(&call, error, dead_reset_link()),
    }
}

pub async fn submit_reset<D: Door>(mut call: Call<D>) -> Answer {
    let mut fields = call.take_fields();
    fields.0.insert("token".to_owned(), call.params.second.clone().into());
    match call.run(ResetPassword { uuid: call.params.first.clone(), fields }).await {
        Ok(_) => {
            let text = "Your new password is set. You can log in with it now.";
            show(&call, &Page { title: "Password set", text, ..Page::default() })
        }
        Err(error) if concerns_token(&error) => fail(&call, error, dead_reset_link()),
        Err(error) => fail(&call, error, reset_page()),
    }
}

/// The button for who has given the password, the question for it to everybody else.
pub async fn reset_two_factor<D: Door>(call: Call<D>) -> Answer {
    let operation =
        CheckTwoFactorResetToken { uuid: call.params.first.clone(), token: Some(call.params.second.as_str().into()) };
    match call.run(operation).await {
        Ok(_) => show(&call, &two_factor_page()),
        // Nothing is wrong yet.
        Err(Error::AuthenticationFailed { .. }) => show(&call, &password_page(&Fields::default())),
        Err(error) => fail_two_factor(&call, error),
    }
}

/// Either of the two forms: with a password it is the first.
pub async fn submit_reset_two_factor<D: Door>(mut call: Call<D>) -> Answer {
    let mut fields = call.take_fields();
    if fields.contains("password") {
        return give_password(&call, fields).await;
    }
    fields.0.insert("token".to_owned(), call.params.second.clone().into());
    match call.run(ConfirmTwoFactorReset { uuid: call.params.first.clone(), fields }).await {
        Ok(_) => {
            let text = "Your authenticator and your backup codes are removed. Log in with your password, \
                and set up a new authenticator soon.";
            let mut response = show(&call, &Page { title: "Second factor removed", text, ..Page::default() })?;
            // The pending login is used up (W-36).
            if matches!(call.actor.identity, Identity::Pending(_)) {
                cookies::clear_session(&mut response, call.service.site.is_https);
            }
            Ok(response)
        }
        Err(error) => fail_two_factor(&call, error),
    }
}

/// The first step of a login, then the same page again.
async fn give_password<D: Door>(call: &Call<D>, fields: Fields) -> Answer {
    let again = password_page(&fields);
    let session = match call.run(Login { fields, remembered: Vec::new() }).await {
        Ok(LoginOutcome::Done { session }) => Some(session),
        Ok(LoginOutcome::SecondFactorRequired { session } | LoginOutcome::EmailCodeRequired { session, .. }) => session,
        Err(error) => return fail(call, error, again),
    };
    let mut response = reply::found(&call.path);
    if let Some(session) = &session {
        cookies::set_session(&mut response, session, call.service.site.is_https);
    }
    Ok(response)
}

fn fail_two_factor<D: Door>(call: &Call<D>, error: Error) -> Answer {
    let page = match &error {
        Error::Invalid { .. } => {
            let text = "Ask your administrator for a new link and use it within an hour.";
            Page { text, ..dead_link() }
        }
        // No login, one that is too old, or one of another account.
        _ => password_page(&Fields::default()),
    };
    fail(call, error, page)
}

fn ask_page(sent: &Fields) -> Page<'static> {
    Page {
        title: "Forgotten your password?",
        text: "You get a mail with a link that sets a new one.",
        inputs: vec![Input::new("email", "E-mail address of your account", "email", "username").filled(sent)],
        button: Some("Send the link"),
        ..Page::default()
    }
}

fn reset_page() -> Page<'static> {
    Page {
        title: "Set a password",
        text: "Choose a new password for your account.",
        inputs: vec![Input::new("password", "New password", "password", "new-password")],
        button: Some("Set password"),
        ..Page::default()
    }
}

fn dead_reset_link() -> Page<'static> {
    Page { link: Some(ASK), ..dead_link() }
}

fn password_page(sent: &Fields) -> Page<'static> {
    Page {
        title: "Reset two-factor authentication",
        text: "First show that you know your password. The next page asks once more before anything is removed.",
        inputs: vec![
            Input::new("email", "E-mail address", "email", "username").filled(sent),
            Input::new("password", "Password", "password", "current-password"),
        ],
        button: Some("Go on"),
        ..Page::default()
    }
}

fn two_factor_page() -> Page<'static> {
    Page {
        title: "Reset two-factor authentication",
        text: "This removes your authenticator and your backup codes. Until you set up a new authenticator your password \
            alone is enough to log in.",
        button: Some("Remove them"),
        ..Page::default()
    }
}
