//! Sign-up, and invites as those see them who were invited.

use serde_json::{Value, json};

use super::describe::{Description, get, post};
use super::login::SESSION;
use crate::http::signup::{Invitation, NewAccount};

pub fn descriptions() -> Vec<Description> {
    vec![sign_up(), check_invite(), accept_invite()]
}

fn sign_up() -> Description {
    let closed = "New organizations cannot be created in this instance. Contact your administrator if you think this \
                  is a mistake.";
    let made = post("/api/signup", "signup_create")
        .says(
            "Make an account",
            "With an organization of its own, whose owner it is. Where mail is configured the address has to be \
             verified first; otherwise the answer logs in.\n\nMay be closed by `signup.enabled` or \
             `signup.allow_multiple_organizations`: 401 without a login, 403 with one.",
        )
        .example(json!({
            "first_name": "Ada", "email": "ada@example.com", "password": "correct horse battery staple",
            "organization_name": "Analytical Engines",
        }))
        .answers::<NewAccount>(201, "The account.", account())
        .sets(SESSION)
        .invalid("unique", "There is already an account with this email address.", "email")
        .invalid(
            "plus_addressing_not_allowed",
            "Email addresses with a '+' aren't supported. Please use your primary email address.",
            "email",
        )
        .error(401, "authentication_error", "not_authenticated", "Authentication credentials were not provided.", None)
        .denied(closed)
        .limited("5 a day from one client address, whatever comes of them.");
    passwords(made.names("first_name"))
}

fn check_invite() -> Description {
    refusals(
        get("/api/signup/{invite_id}", "signup_retrieve")
            .says("Look at an invite", "Whoever is logged in has to be the one who is invited.")
            .answers::<Invitation>(
                200,
                "It can be accepted.",
                json!({
                    "id": "01990f5c-1f10-7000-9a8b-7c6d5e4f3a2b", "target_email": "ada@example.com",
                    "first_name": "Ada", "organization_name": "Analytical Engines",
                }),
            )
            .invalid("account_exists", "/login?next=/signup/01990f5c-1f10-7000-9a8b-7c6d5e4f3a2b", None),
    )
}

fn accept_invite() -> Description {
    let accepted = post("/api/signup/{invite_id}", "signup_accept_create")
        .says(
            "Accept an invite",
            "Whoever is logged in joins, and nothing else about them changes: the fields are for those who have no \
             account yet. They need `first_name` and `password`, and get one, as with `POST /api/signup/`.",
        )
        .example(json!({"first_name": "Ada", "password": "correct horse battery staple"}))
        .answers::<NewAccount>(201, "The new member.", account())
        .sets(SESSION)
        .invalid("required", "This field is required.", "first_name")
        .invalid(
            "invalid_input",
            "There already exists an account with email address ada@example.com. Please log in instead.",
            None,
        )
        .invalid("expired", "This invite has already been used.", None)
        .invalid("invalid_input", "A user can belong to at most 20 organizations.", None);
    refusals(passwords(accepted.names("first_name")))
}

fn refusals(description: Description) -> Description {
    description
        .invalid("invalid_input", "The provided invite ID is not valid.", None)
        .invalid("invalid_recipient", "This invite is intended for another email address.", None)
        .invalid("expired", "This invite has expired. Please ask your admin for a new one.", None)
        .invalid("user_already_member", "You already are a member of this organization.", None)
}

fn passwords(description: Description) -> Description {
    description
        .invalid("password_too_short", "This password is too short. It must contain at least 8 characters.", "password")
        .invalid("password_too_weak", "Add another word or two. Uncommon words are better.", "password")
}

fn account() -> Value {
    json!({
        "id": 7, "uuid": "01990f5c-1f2e-7000-8b1d-5a0f3b9d2c11",
        "distinct_id": "f0aZ3m1kQ9sV7bX2cY5dW8eR4tT6uI0oPlKjHgFdSaQ", "first_name": "Ada", "last_name": "",
        "email": "ada@example.com", "is_email_verified": false, "hedgehog_config": null, "role_at_organization": "",
        "redirect_url": "/verify_email/01990f5c-1f2e-7000-8b1d-5a0f3b9d2c11",
    })
}
