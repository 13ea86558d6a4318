//! The invites of an organization.

use serde_json::{Value, json};

use super::describe::{Description, delete, get, post};
use crate::app::invites::InviteView;

const INSUFFICIENT: &str = "Your organization access level is insufficient.";
const NOT_A_MEMBER: &str = "You do not have permission to perform this action.";

pub fn descriptions() -> Vec<Description> {
    let all = vec![
        get("/api/organizations/{organization_id}/invites", "invites_list")
            .says(
                "List the invites of an organization",
                "Newest first, expired ones included. The `id` of an invite is the secret of its link, so members are shown \
                 those that they have made or could make: none above their own level, and none of others' where they may \
                 not invite. A key is shown none without `organization_member:write`.",
            )
            .answers_page::<InviteView>(
                "PaginatedOrganizationInviteList",
                "The invites.",
                json!({"count": 1, "next": null, "previous": null, "results": [invite()]}),
            ),
        refusals(post("/api/organizations/{organization_id}/invites", "invites_create"))
            .says(
                "Invite somebody",
                "For members, or administrators where `members_can_invite` is off. It lasts three days and takes the \
                 place of an older one for the same address.",
            )
            .example(json!({"target_email": "ada@example.com", "first_name": "Ada", "level": 1}))
            .answers::<InviteView>(201, "The invite.", invite()),
        refusals(post("/api/organizations/{organization_id}/invites/bulk", "invites_bulk_create"))
            .says("Invite several people", "At most 20. All are checked before the first invite is made.")
            .example(json!([{"target_email": "ada@example.com"}, {"target_email": "bob@example.com", "level": 8}]))
            .answers_list::<InviteView>(201, "The invites, in the order of the body.", json!([invite()]))
            .invalid("max_length", "A maximum of 20 invites can be sent in a single request.", None)
            .invalid("invalid_input", "This endpoint needs an array of data for bulk invite creation.", None),
        delete("/api/organizations/{organization_id}/invites/{invite_id}", "invites_destroy")
            .says("Delete an invite", "For administrators, and whoever made it. Its link stops working at once.")
            .answers_empty(204, "It is gone.")
            .denied(INSUFFICIENT),
    ];
    let somewhere = |one: Description| {
        one.denied(NOT_A_MEMBER).not_found("Organization not found.").not_found("Current organization not found.")
    };
    all.into_iter().map(somewhere).collect()
}

fn refusals(description: Description) -> Description {
    let projects = "private_project_access";
    description
        .names("first_name")
        .invalid("invalid_choice", "\"2\" is not a valid choice.", "level")
        .invalid("not_a_list", "Expected a list of items but got type \"str\".", projects)
        .invalid(
            "invalid_input",
            "Project does not exist on this organization, or it is private and you do not have access to it.",
            projects,
        )
        .invalid(
            "plus_addressing_not_allowed",
            "Email addresses with a '+' aren't supported. Please use your primary email address.",
            "target_email",
        )
        .invalid("invalid_input", "A user with this email address already belongs to the organization.", None)
        .denied("You cannot invite a user with a higher permission level than your own.")
        .denied(INSUFFICIENT)
        .limited("50 people an hour and 200 a day for each organization.")
}

fn invite() -> Value {
    json!({
        "id": "01990f5c-1f10-7000-9a8b-7c6d5e4f3a2b", "target_email": "ada@example.com", "first_name": "Ada",
        "emailing_attempt_made": true, "level": 1, "is_expired": false,
        "created_by": {
            "id": 1, "uuid": "01990f5c-1f2e-7000-8b1d-5a0f3b9d2c11",
            "distinct_id": "f0aZ3m1kQ9sV7bX2cY5dW8eR4tT6uI0oPlKjHgFdSaQ", "first_name": "Grace",
            "last_name": "Hopper", "email": "grace@example.com", "is_email_verified": true,
            "hedgehog_config": null, "role_at_organization": "engineering",
        },
        "created_at": "2025-09-01T12:34:56.789012Z", "updated_at": "2025-09-01T12:34:56.789012Z",
        "message": null, "private_project_access": [],
    })
}
