//! The pages of sign-up, and of the link in an invite. Whoever is logged in here joins with one button; there is no page
//! to log in, which is the matter of the applications that people come from.

use super::{Input, Page, fail, show};
use crate::app::signup::{AcceptInvite, CheckInvite, CheckSignup, InviteFound, SignUp, SignedUp};
use crate::domain::fields::Fields;
use crate::error::Error;
use crate::http::cookies;
use crate::http::door::Door;
use crate::http::reply::Answer;
use crate::http::router::Call;

pub async fn show_form<D: Door>(call: Call<D>) -> Answer {
    match call.run(CheckSignup {}).await {
        Ok(()) => show(&call, &form(&Fields::default())),
        Err(error) => refuse_signup(&call, error),
    }
}

pub async fn submit_form<D: Door>(mut call: Call<D>) -> Answer {
    let fields = call.take_fields();
    let again = form(&fields);
    match call.run(SignUp { fields }).await {
        Ok(made) => welcome(&call, &made, "Your account is made."),
        Err(error @ (Error::Denied { .. } | Error::NotAuthenticated)) => refuse_signup(&call, error),
        Err(error) => fail(&call, error, again),
    }
}

pub async fn show_invite<D: Door>(call: Call<D>) -> Answer {
    match find(&call).await {
        Ok(found) => {
            let text = text_of(&found);
            let fields = Fields([("first_name".to_owned(), found.first_name.clone().into())].into_iter().collect());
            show(&call, &invite(&found, &text, &fields))
        }
        Err(error) => refuse_invite(&call, error),
    }
}

pub async fn submit_invite<D: Door>(mut call: Call<D>) -> Answer {
    let found = match find(&call).await {
        Ok(found) => found,
        Err(error) => return refuse_invite(&call, error),
    };
    let text = text_of(&found);
    let fields = call.take_fields();
    let again = invite(&found, &text, &fields);
    let operation = AcceptInvite { id: call.params.first.as_str().into(), fields: fields.clone() };
    match call.run(operation).await {
        Ok(made) => welcome(&call, &made, &format!("You are now a member of {}.", found.organization_name)),
        Err(error @ Error::Invalid { attr: None, .. }) => refuse_invite(&call, error),
        Err(error) => fail(&call, error, again),
    }
}

async fn find<D: Door>(call: &Call<D>) -> Result<InviteFound, Error> {
    call.run(CheckInvite { id: call.params.first.as_str().into() }).await
}

fn form(sent: &Fields) -> Page<'static> {
    Page {
        title: "Make an account",
        text: "It comes with an organization of your own, into which you can invite others.",
        inputs: vec![
            first_name().filled(sent),
            Input::new("last_name", "Last name (if you like)", "text", "family-name").optional().filled(sent),
            Input::new("email", "E-mail address", "email", "username").filled(sent),
            password(),
            Input::new("organization_name", "Organization (if you like)", "text", "organization")
                .optional()
                .filled(sent),
        ],
        button: Some("Make account"),
        ..Page::default()
    }
}

fn invite<'a>(found: &InviteFound, text: &'a str, sent: &Fields) -> Page<'a> {
    let (inputs, button) = if found.has_account {
        (Vec::new(), "Join")
    } else {
        (vec![first_name().filled(sent), password()], "Make account and join")
    };
    Page { title: "You are invited", text, inputs, button: Some(button), ..Page::default() }
}

fn first_name() -> Input {
    Input::new("first_name", "First name", "text", "given-name")
}

fn password() -> Input {
    Input::new("password", "Password", "password", "new-password")
}

fn text_of(found: &InviteFound) -> String {
    let InviteFound { organization_name, target_email, .. } = found;
    let inviter = found.inviter.as_deref().unwrap_or("Somebody");
    if found.has_account {
        format!("{inviter} invites you to {organization_name}. You are logged in as {target_email}.")
    } else {
        format!("{inviter} invites you to {organization_name}. Your account will be {target_email}.")
    }
}

fn welcome<D: Door>(call: &Call<D>, made: &SignedUp, done: &str) -> Answer {
    let must_verify = made.redirect_url.starts_with("/verify_email/");
    let text = if must_verify {
        format!("{done} We have sent a mail to {}: open the link in it to confirm the address.", made.user.email)
    } else {
        format!("{done} You are logged in and can close this page.")
    };
    let title = if must_verify { "Look into your mailbox" } else { "Welcome" };
    let mut response = show(call, &Page { title, text: &text, ..Page::default() })?;
    if let Some(session) = &made.session {
        cookies::set_session(&mut response, session, call.service.site.is_https);
    }
    Ok(response)
}

fn refuse_signup<D: Door>(call: &Call<D>, error: Error) -> Answer {
    // Whether the caller is logged in makes no difference to a person.
    let error = if error == Error::NotAuthenticated { Error::permission_denied() } else { error };
    let text = "New accounts are made by invite only here. Ask somebody who has one to invite you.";
    fail(call, error, Page { title: "Sign-up is closed", text, ..Page::default() })
}

fn refuse_invite<D: Door>(call: &Call<D>, error: Error) -> Answer {
    let (title, text) = match error.code() {
        "account_exists" => {
            let text = "There is an account with your address already. Log in to it in this browser, then open the \
                link of the invite again.";
            return show(call, &Page { title: "Log in first", text, ..Page::default() });
        }
        "invalid_recipient" => {
            ("Another address", "Log out, or use another browser, then open the link of the invite again.")
        }
        "user_already_member" => ("You are in", "There is nothing left to do."),
        _ => ("This invite does not work", "Ask whoever invited you for a new one."),
    };
    fail(call, error, Page { title, text, ..Page::default() })
}
