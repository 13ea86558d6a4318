//! Organizations, their members and projects.

use serde_json::{Value, json};

use super::describe::{Description, delete, get, patch, post};
use super::schema::Source;
use crate::app::organization_views::{MemberView, OrganizationBasicView, OrganizationView, TeamView};

const INSUFFICIENT: &str = "Your organization access level is insufficient.";
const ID: &str = "01990f5c-1f10-7000-9a8b-7c6d5e4f3a2b";

pub fn descriptions() -> Vec<Description> {
    let mut all = organizations();
    all.extend(members());
    all.extend(projects());
    all
}

fn organizations() -> Vec<Description> {
    vec![
        in_keys(get("/api/organizations", "organizations_list"))
            .says("List one's organizations", "In the order of joining.")
            .answers_page::<OrganizationBasicView>(
                "PaginatedOrganizationBasicList",
                "A page of the caller's organizations.",
                page(&basic()),
            ),
        named(in_keys(post("/api/organizations", "organizations_create")))
            .says(
                "Found an organization",
                "The caller becomes its owner; it and its first project become current. A user belongs to at most 20.",
            )
            .example(json!({"name": "Analytical Engines"}))
            .answers::<OrganizationView>(201, "The organization.", full())
            .denied("You must upgrade your PostHog plan to be able to create and manage multiple organizations.")
            .denied("You do not have permission to perform this action.")
            .invalid("invalid_input", "A user can belong to at most 20 organizations.", None),
        at(get("/api/organizations/{organization_id}", "organizations_retrieve"))
            .says("Look at an organization", "One of the caller's; others are not found.")
            .answers::<OrganizationView>(200, "The organization.", full()),
        named(at(patch("/api/organizations/{organization_id}", "organizations_partial_update")))
            .says(
                "Change an organization's settings",
                "For administrators. Only what is sent changes.\n\nWith `enforce_2fa` every member, the caller \
                 included, needs a second factor to get any further while this organization is current.",
            )
            .example(json!({"enforce_2fa": true}))
            .answers::<OrganizationView>(200, "The organization as it is now.", full())
            .denied(INSUFFICIENT)
            .invalid("invalid_input", "\u{201c}x\u{201d} is not a valid UUID.", "logo_media_id"),
        at(delete("/api/organizations/{organization_id}", "organizations_destroy"))
            .says("Delete an organization", "For owners. Nobody is a member any more at once.")
            .answers_empty(204, "The organization is gone.")
            .denied(INSUFFICIENT),
    ]
}

fn members() -> Vec<Description> {
    vec![
        below(get("/api/organizations/{organization_id}/members", "members_list"))
            .says("List members", "Active ones, newest first.")
            .query("email", Source::Text, "Only the member with this address.")
            .query(
                "search",
                Source::Text,
                "Only members whose name or address has these parts; at most 200 characters.",
            )
            .query("order", Source::Text, "`joined_at` for the oldest first, or `-joined_at`.")
            .answers_page::<MemberView>("PaginatedOrganizationMemberList", "A page of members.", page(&member()))
            .invalid("max_length", "Ensure this field has no more than 200 characters.", "search"),
        below(patch("/api/organizations/{organization_id}/members/{user_uuid}", "members_partial_update"))
            .says("Change a member's level", "For administrators, up to their own level; only owners make owners.")
            .example(json!({"level": 8}))
            .answers::<MemberView>(200, "The member as it is now.", member())
            .invalid("invalid_choice", "\"7\" is not a valid choice.", "level")
            .denied("You can't change your own access level.")
            .denied("You can only make another member owner if you're this organization's owner.")
            .denied("You can only change access level of others to lower or equal to your current one.")
            .denied("You can only edit others if you are an admin.")
            .denied("You can only edit others with level lower or equal to you."),
        below(delete("/api/organizations/{organization_id}/members/{user_uuid}", "members_destroy"))
            .says("Remove a member, or leave", "For administrators, and for everybody about oneself.")
            .answers_empty(204, "Not a member any more.")
            .invalid("invalid_input", "Cannot leave the organization as its owner!", None)
            .denied("You can only edit others if you are an admin.")
            .denied("You can only edit others with level lower or equal to you."),
    ]
}

fn projects() -> Vec<Description> {
    vec![
        below(get("/api/organizations/{organization_id}/projects", "organizations_projects_list"))
            .says("List projects", "A key that is limited to projects sees those.")
            .answers_page::<TeamView>("PaginatedTeamBasicList", "A page of projects.", page(&team())),
        named(below(post("/api/organizations/{organization_id}/projects", "organizations_projects_create")))
            .says("Make a project", "For administrators. An organization has at most 100.")
            .example(json!({"name": "Rockets"}))
            .answers::<TeamView>(201, "The project.", team())
            .denied(INSUFFICIENT)
            .invalid("invalid_input", "An organization can have at most 100 projects.", None),
    ]
}

/// What keys are told about their limits.
fn in_keys(description: Description) -> Description {
    description.denied("API keys with scoped projects are only supported on project-based endpoints.")
}

/// A path that ends with an organization.
fn at(description: Description) -> Description {
    in_keys(description)
        .denied(&format!("API key does not have access to the requested organization: ID {ID}."))
        .denied(
            "Organization 'Analytical Engines' does not allow using personal API keys. Contact an admin to enable \
             personal API keys for this organization.",
        )
        .not_found("Current organization not found.")
        .not_found("Not found.")
}

/// A path that leads through an organization.
fn below(description: Description) -> Description {
    at(description).denied("You do not have permission to perform this action.").not_found("Organization not found.")
}

/// What a name can have wrong.
fn named(description: Description) -> Description {
    description
        .invalid("invalid_url", "URLs are not allowed in this field.", "name")
        .invalid("invalid_bracket", "Angle brackets are not allowed in this field.", "name")
        .invalid("invalid_control_char", "Line breaks and control characters are not allowed in this field.", "name")
        .invalid(
            "invalid_invisible_char",
            "Invisible or direction-override characters are not allowed in this field.",
            "name",
        )
}

fn page(entry: &Value) -> Value {
    json!({"count": 1, "next": null, "previous": null, "results": [entry]})
}

/// Spec §2.6.
pub fn team() -> Value {
    json!({
        "id": 1, "uuid": "01990f5c-1f40-7000-aa3b-4c5d6e7f8091", "organization": ID, "project_id": 1,
        "api_token": "phc_...", "name": "Default project", "completed_snippet_onboarding": false,
        "has_completed_onboarding_for": null, "ingested_event": false, "is_demo": false, "timezone": "UTC",
        "access_control": false,
    })
}

/// Spec §2.7.
pub fn basic() -> Value {
    json!({
        "id": ID, "name": "Analytical Engines", "slug": "analytical-engines", "logo_media_id": null,
        "membership_level": 15, "members_can_use_personal_api_keys": true, "is_active": true,
        "is_not_active_reason": null, "is_pending_deletion": false,
    })
}

pub fn full() -> Value {
    json!({
        "id": ID, "name": "Analytical Engines", "slug": "analytical-engines", "logo_media_id": null,
        "created_at": "2025-09-01T12:34:56.789012Z", "updated_at": "2025-09-01T12:34:56.789012Z",
        "membership_level": 15, "plugins_access_level": 9, "teams": [team()],
        "projects": [{"id": 1, "organization_id": ID, "name": "Default project"}], "available_product_features": [],
        "is_member_join_email_enabled": true, "metadata": {"instance_tag": "none"}, "customer_id": null,
        "enforce_2fa": null, "members_can_invite": true, "members_can_use_personal_api_keys": true,
        "allow_publicly_shared_resources": true, "member_count": 1, "is_ai_data_processing_approved": null,
        "default_experiment_stats_method": "bayesian", "default_role_id": null,
    })
}

/// Spec §2.8.
fn member() -> Value {
    json!({
        "id": "01990f5c-1f50-7000-8c3d-2b1a0f9e8d7c",
        "user": {
            "id": 1, "uuid": "01990f5c-1f2e-7000-9b1d-5a0f3b9d2c11",
            "distinct_id": "f0aZ3m1kQ9sV7bX2cY5dW8eR4tT6uI0oPlKjHgFdSaQ", "first_name": "Ada",
            "last_name": "Lovelace", "email": "ada@example.com", "is_email_verified": true, "hedgehog_config": null,
            "role_at_organization": "engineering",
        },
        "level": 15, "joined_at": "2025-09-01T12:34:56.789012Z", "updated_at": "2025-09-01T12:34:56.789012Z",
        "is_2fa_enabled": false, "has_social_auth": false, "last_login": "2025-09-01T12:34:56.789012Z",
    })
}
