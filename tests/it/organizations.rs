//! Spec §2.6, §2.7, §3.9: organizations, their projects, and where a user is.

use serde_json::{Value, json};

use crate::harness::{Client, Server};

const ME: &str = "/api/users/@me";
const ORGANIZATIONS: &str = "/api/organizations";
const INSUFFICIENT: &str = "Your organization access level is insufficient.";
const NOBODY: &str = "01990f5c-1f10-7000-9a8b-7c6d5e4f3a2b";

/// The id of the caller's current organization.
fn current(client: &Client) -> String {
    client.me()["organization"]["id"].as_str().unwrap().to_owned()
}

fn found(client: &Client, name: &str) -> Value {
    client.post(ORGANIZATIONS, json!({"name": name})).is(201).json()
}

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Spec §2.2, rows 18 to 20, §2.6, §2.7; §7.4 row 2: the nested objects have the documented fields and no others.
#[test]
fn a_user_object_says_where_the_user_is() {
    let server = Server::start();
    let (_, alone) = server.logged_in("alone@example.com");
    let me = alone.me();
    assert_eq!((&me["team"], &me["organization"], &me["organizations"]), (&json!(null), &json!(null), &json!([])));
    assert_eq!(me["is_organization_first_user"], json!(null));

    let (person, client) = server.owner("ada@example.com", "Analytical Engines");
    let me = client.me();
    let organization = &me["organization"];
    let team = &me["team"];
    assert_eq!(
        keys(team),
        [
            "id",
            "uuid",
            "organization",
            "project_id",
            "api_token",
            "name",
            "completed_snippet_onboarding",
            "has_completed_onboarding_for",
            "ingested_event",
            "is_demo",
            "timezone",
            "access_control",
        ]
    );
    assert_eq!((&team["name"], &team["id"]), (&json!("Default project"), &team["project_id"]));
    assert_eq!((&team["organization"], &team["timezone"]), (&organization["id"], &json!("UTC")));
    assert!(team["api_token"].as_str().unwrap().starts_with("phc_"), "{team}");
    assert_eq!(
        keys(organization),
        [
            "id",
            "name",
            "slug",
            "logo_media_id",
            "created_at",
            "updated_at",
            "membership_level",
            "plugins_access_level",
            "teams",
            "projects",
            "available_product_features",
            "is_member_join_email_enabled",
            "metadata",
            "customer_id",
            "enforce_2fa",
            "members_can_invite",
            "members_can_use_personal_api_keys",
            "allow_publicly_shared_resources",
            "member_count",
            "is_ai_data_processing_approved",
            "default_experiment_stats_method",
            "default_role_id",
        ]
    );
    let project = json!({"id": team["id"], "organization_id": organization["id"], "name": "Default project"});
    for (name, value) in [
        ("name", json!("Analytical Engines")),
        ("slug", json!("analytical-engines")),
        ("membership_level", json!(15)),
        ("plugins_access_level", json!(9)),
        ("teams", json!([team])),
        ("projects", json!([project])),
        ("available_product_features", json!([])),
        ("is_member_join_email_enabled", json!(true)),
        ("enforce_2fa", json!(null)),
        ("members_can_invite", json!(true)),
        ("members_can_use_personal_api_keys", json!(true)),
        ("allow_publicly_shared_resources", json!(true)),
        ("member_count", json!(1)),
        ("is_ai_data_processing_approved", json!(null)),
        ("default_experiment_stats_method", json!("bayesian")),
    ] {
        assert_eq!(organization[name], value, "{name}");
    }
    assert!(organization["metadata"]["instance_tag"].is_string(), "{organization}");
    let basic = json!({
        "id": organization["id"], "name": "Analytical Engines", "slug": "analytical-engines", "logo_media_id": null,
        "membership_level": 15, "members_can_use_personal_api_keys": true, "is_active": true,
        "is_not_active_reason": null, "is_pending_deletion": false,
    });
    assert_eq!(me["organizations"], json!([basic]));
    assert_eq!(me["is_organization_first_user"], json!(true));

    let staff = server.login(&server.staff("staff@example.com"));
    let seen = staff.get(&person.path("")).is(200).json();
    assert_eq!((&seen["organization"], &seen["is_organization_first_user"]), (organization, &json!(null)));
    let listed = staff.get("/api/users?email=ada@example.com").is(200).json();
    assert_eq!(listed["results"][0]["team"], *team);
}

/// Spec §2.2, rows 18 and 19: what is not there any more is chosen anew, and that is stored.
#[test]
fn a_place_that_is_gone_is_replaced() {
    let server = Server::start();
    let (_, client) = server.owner("ada@example.com", "First");
    let first = current(&client);
    let second = found(&client, "Second")["id"].as_str().unwrap().to_owned();
    assert_eq!(current(&client), second);
    client.patch(&format!("{ORGANIZATIONS}/{first}"), json!({"enforce_2fa": true})).is(200);
    client.delete(&format!("{ORGANIZATIONS}/{second}")).is(204);
    // Nothing is current, so the gate is open; reading the user object makes the first one current.
    client.get("/api/users").is(200);
    assert_eq!(current(&client), first);
    client.get("/api/users").is(403);
}

/// Spec §2.2, rows 21 and 22, §3.4: `set_current_organization` and `set_current_team`; §7.4 row 9.
#[test]
fn another_place_can_be_made_current() {
    let server = Server::start();
    let (_, client) = server.owner("ada@example.com", "First");
    let (_, stranger) = server.owner("eve@example.com", "Foreign");
    let first = client.me();
    let other = found(&client, "Second");
    let more = client.post(&format!("{ORGANIZATIONS}/@current/projects"), json!({"name": "More"})).is(201).json();
    let (first_id, other_id) = (&first["organization"]["id"], &other["id"]);
    let other_team = &other["teams"][0]["id"];
    let foreign = stranger.me();

    let place = |me: &Value| (me["organization"]["id"].clone(), me["team"]["id"].clone());
    for (body, organization, team) in [
        (json!({"set_current_organization": first_id}), first_id, &first["team"]["id"]),
        (json!({"set_current_organization": other_id}), other_id, other_team),
        (json!({"set_current_team": first["team"]["id"]}), first_id, &first["team"]["id"]),
        (json!({"set_current_team": more["id"].to_string()}), other_id, &more["id"]),
        (json!({"set_current_organization": other_id, "set_current_team": other_team}), other_id, other_team),
        (json!({"set_current_organization": other_id, "set_current_team": more["id"]}), other_id, &more["id"]),
    ] {
        let answer = client.patch(ME, body.clone()).is(200).json();
        assert_eq!(place(&answer), (organization.clone(), team.clone()), "{body}");
        assert_eq!(place(&client.me()), place(&answer), "{body}");
    }

    let before = client.me();
    let mismatch = json!({"set_current_organization": first_id, "set_current_team": other_team});
    let detail = "Team must belong to the same organization in set_current_organization.";
    client.patch(ME, mismatch).is_invalid("invalid_input", detail, Some("set_current_team"));
    let missing = |id: &Value| format!("Object with id={} does not exist.", id.to_string().trim_matches('"'));
    for (name, id) in [
        ("set_current_organization", &foreign["organization"]["id"]),
        ("set_current_organization", &json!(NOBODY)),
        ("set_current_team", &foreign["team"]["id"]),
        ("set_current_team", &json!(999)),
    ] {
        // In the declared order: before a later field.
        let reply = client.patch(ME, json!({name: id, "theme_mode": "pink", "first_name": "Not this"}));
        reply.is_invalid("does_not_exist", &missing(id), Some(name));
    }
    let foreign_team = json!({"set_current_organization": first_id, "set_current_team": foreign["team"]["id"]});
    let reply = client.patch(ME, foreign_team);
    reply.is_invalid("does_not_exist", &missing(&foreign["team"]["id"]), Some("set_current_team"));
    let detail = "\u{201c}x\u{201d} is not a valid UUID.";
    let reply = client.patch(ME, json!({"set_current_organization": "x"}));
    reply.is_invalid("invalid_input", detail, Some("set_current_organization"));
    assert_eq!(client.me()["first_name"], before["first_name"]);
    assert_eq!(place(&client.me()), place(&before));
}

/// Spec §3.9: founding; the slug of §2.7; §1.9.
#[test]
fn whoever_founds_an_organization_owns_it() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let made = found(&client, "  Łódź & Söhne ");
    assert_eq!((&made["name"], &made["slug"]), (&json!("Łódź & Söhne"), &json!("odz-sohne")));
    assert_eq!((&made["membership_level"], &made["member_count"]), (&json!(15), &json!(1)));
    assert_eq!(made["teams"][0]["name"], json!("Default project"));
    assert_eq!(client.me()["organization"], made);

    // The same name once more: four letters behind the slug.
    let twin = found(&client, "Łódź & Söhne");
    let slug = twin["slug"].as_str().unwrap();
    assert!(slug.starts_with("odz-sohne-") && slug.len() == "odz-sohne-".len() + 4, "{slug}");

    client.post(ORGANIZATIONS, json!({})).is_required("name");
    for (name, code) in [
        (json!(""), "blank"),
        (json!(null), "null"),
        (json!("x".repeat(65)), "max_length"),
        (json!("evil.com"), "invalid_url"),
        (json!("<b>"), "invalid_bracket"),
        (json!(["x"]), "invalid_input"),
    ] {
        let reply = client.post(ORGANIZATIONS, json!({"name": name})).is(400);
        assert_eq!((&reply.json()["code"], &reply.json()["attr"]), (&json!(code), &json!("name")), "{name}");
    }
    server.client().post(ORGANIZATIONS, json!({"name": "x"})).is_anonymous();
    server.advance(7_201);
    client.post(ORGANIZATIONS, json!({"name": "x"})).wants_reauth();
    client.get(ORGANIZATIONS).is(200);
}

/// Spec §3.9, §5: `signup.allow_multiple_organizations`.
#[test]
fn one_organization_can_be_all_there_are() {
    let server = Server::builder().setting("signup.allow_multiple_organizations", "false").start();
    let (_, client) = server.logged_in("ada@example.com");
    found(&client, "The one");
    let detail = "You must upgrade your PostHog plan to be able to create and manage multiple organizations.";
    client.post(ORGANIZATIONS, json!({"name": "Another"})).is_denied(detail);
    let (_, other) = server.logged_in("bob@example.com");
    other.post(ORGANIZATIONS, json!({"name": "Another"})).is_denied(detail);
    // The operator's word counts more.
    server.owner("eve@example.com", "Another");
}

/// A user belongs to a bounded number of organizations, all of which are listed, in pages (spec §1.10, §3.9).
#[test]
fn a_user_belongs_to_twenty_organizations_at_most() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    for number in 1..=20 {
        found(&client, &format!("Number {number}"));
    }
    let detail = "A user can belong to at most 20 organizations.";
    client.post(ORGANIZATIONS, json!({"name": "One more"})).is_invalid("invalid_input", detail, None);
    assert_eq!(client.me()["organizations"].as_array().unwrap().len(), 20);
    let page = client.get(&format!("{ORGANIZATIONS}?limit=2&offset=2")).is(200).json();
    assert_eq!(page["count"], json!(20));
    assert_eq!(page["results"][0], client.me()["organizations"][2]);
    assert_eq!(page["results"][1]["name"], json!("Number 4"));
    assert!(page["next"].as_str().unwrap().ends_with("/api/organizations?limit=2&offset=4"), "{page}");
    // Everything that follows from it fits into one batch.
    let turn = |undo: &[&str]| {
        let arguments = ["user", "deactivate", "ada@example.com", "--reason", "left the company"];
        server.cli(&[&arguments[..], undo].concat()).is(0);
    };
    turn(&[]);
    client.get(ME).is_anonymous();
    turn(&["--undo"]);
}

/// Spec §3.9: reading, changing, deleting, each for its level; others do not find it.
#[test]
fn an_organization_is_changed_by_administrators_and_deleted_by_owners() {
    let server = Server::start();
    let (_, owner) = server.owner("ada@example.com", "Acme");
    let admin = server.login(&server.member("admin@example.com", "Acme", "admin"));
    let member = server.login(&server.member("member@example.com", "acme", "member"));
    let (_, stranger) = server.owner("eve@example.com", "Foreign");
    let path = format!("{ORGANIZATIONS}/{}", current(&owner));

    for (client, level) in [(&owner, 15), (&admin, 8), (&member, 1)] {
        let seen = client.get(&path).is(200).json();
        assert_eq!((&seen["membership_level"], &seen["member_count"]), (&json!(level), &json!(3)));
        assert_eq!(client.get(&format!("{ORGANIZATIONS}/@current/")).is(200).json(), seen);
        assert_eq!(client.me()["organization"], seen);
    }
    // Who may not is told so before the body is looked at.
    member.patch(&path, json!({"name": ""})).is_denied(INSUFFICIENT);
    stranger.patch(&path, json!({"name": ""})).is_not_found();
    member.delete(&path).is_denied(INSUFFICIENT);
    admin.delete(&path).is_denied(INSUFFICIENT);
    stranger.get(&path).is_not_found();
    stranger.delete(&path).is_not_found();
    for id in [NOBODY, "x", "@me", "7"] {
        owner.get(&format!("{ORGANIZATIONS}/{id}")).is_not_found();
    }
    owner.put(&path, json!({"name": "x"})).is(405);
    server.client().get(&path).is_anonymous();

    let body = json!({
        "name": " Acme Ltd ", "enforce_2fa": false, "members_can_invite": false, "slug": "stolen", "member_count": 99,
        "logo_media_id": NOBODY, "default_experiment_stats_method": "frequentist", "is_member_join_email_enabled": "no",
        "is_ai_data_processing_approved": true, "allow_publicly_shared_resources": false, "customer_id": "x",
    });
    let changed = admin.patch(&path, body).is(200).json();
    for (name, value) in [
        ("name", json!("Acme Ltd")),
        ("enforce_2fa", json!(false)),
        ("members_can_invite", json!(false)),
        ("slug", json!("acme")),
        ("member_count", json!(3)),
        ("logo_media_id", json!(NOBODY)),
        ("default_experiment_stats_method", json!("frequentist")),
        ("is_member_join_email_enabled", json!(false)),
        ("is_ai_data_processing_approved", json!(true)),
        ("allow_publicly_shared_resources", json!(false)),
        ("customer_id", json!(null)),
    ] {
        assert_eq!(changed[name], value, "{name}");
    }
    assert_ne!(changed["updated_at"], changed["created_at"]);
    admin.patch(&path, json!({"name": ""})).is_invalid("blank", "This field may not be blank.", Some("name"));

    owner.delete(&path).is(204);
    for client in [&owner, &admin, &member] {
        client.get(&path).is_not_found();
        client.get(&format!("{ORGANIZATIONS}/@current")).is_missing("Current organization not found.");
        client.get(&format!("{ORGANIZATIONS}/@current/members")).is_missing("Current organization not found.");
        client.get(&format!("{path}/members")).is_missing("Organization not found.");
        assert_eq!(client.me()["organizations"], json!([]));
    }
    // Its slug is free again.
    assert_eq!(found(&owner, "Acme")["slug"], json!("acme"));
}

/// Spec §1.9: changes of organizations need a recent login; reading does not.
#[test]
fn changing_an_organization_needs_a_recent_login() {
    let server = Server::start();
    let (person, client) = server.owner("ada@example.com", "Acme");
    let path = format!("{ORGANIZATIONS}/@current");
    server.advance(7_201);
    client.patch(&path, json!({"name": "Other"})).wants_reauth();
    client.delete(&path).wants_reauth();
    client.patch(&format!("{path}/members/{}", person.uuid), json!({"level": 1})).wants_reauth();
    client.delete(&format!("{path}/members/@me")).wants_reauth();
    client.get(&path).is(200);
    client.get(&format!("{path}/members")).is(200);
    client.patch(ME, json!({"set_current_organization": current(&client)})).is(200);
    client.login(&person).is(200);
    client.patch(&path, json!({"name": "Other"})).is(200);
}

/// Spec §3.9, §4.11: the switch is in the trail with the old and the new value, other changes with their names.
#[test]
fn switching_the_gate_is_audited() {
    let server = Server::start();
    let (_, client) = server.owner("ada@example.com", "Acme");
    let path = format!("{ORGANIZATIONS}/@current");
    client.patch(&path, json!({"enforce_2fa": false, "name": "Acme Ltd"})).is(200);
    client.patch(&path, json!({"enforce_2fa": false})).is(200);
    client.patch(&path, json!({"enforce_2fa": true})).is(200);
    let entries = |event: &str| server.cli(&["audit", "list", "--event", event, "--json"]).is(0).json();
    let switched = entries("organization.enforce_2fa_changed");
    let rows = switched["rows"].as_array().unwrap();
    let details: Vec<String> = rows.iter().map(|row| row["details"].to_string()).collect();
    assert_eq!(details.len(), 2, "{switched}");
    assert!(details[0].contains(r#"["old","false"],["new","true"]"#), "{details:?}");
    assert!(details[1].contains(r#"["old","null"],["new","false"]"#), "{details:?}");
    assert_eq!(rows[0]["actor"]["email"], json!("ada@example.com"));
    let updated = entries("organization.updated")["rows"].to_string();
    assert!(updated.contains("name enforce_2fa") && !updated.contains("Acme Ltd"), "{updated}");
}

/// Spec §3.9: projects, and the paths below an organization.
#[test]
fn projects_are_listed_for_members_and_made_by_administrators() {
    let server = Server::start();
    let (_, owner) = server.owner("ada@example.com", "Acme");
    let member = server.login(&server.member("member@example.com", "Acme", "member"));
    let (_, stranger) = server.owner("eve@example.com", "Foreign");
    let path = format!("{ORGANIZATIONS}/{}/projects", current(&owner));
    let made = owner.post(&path, json!({"name": " Rockets "})).is(201).json();
    assert_eq!((&made["name"], &made["organization"]), (&json!("Rockets"), &json!(current(&owner))));
    assert_eq!(owner.post(&path, json!({})).is(201).json()["name"], json!("Default project"));
    owner.post(&path, json!({"name": ""})).is_invalid("blank", "This field may not be blank.", Some("name"));
    member.post(&path, json!({"name": "x"})).is_denied(INSUFFICIENT);
    let page = member.get(&format!("{path}/?limit=1&offset=1")).is(200).json();
    assert_eq!((&page["count"], &page["results"]), (&json!(3), &json!([made])));
    assert_eq!(member.me()["organization"]["teams"].as_array().unwrap().len(), 3);
    assert_eq!(member.me()["organization"]["projects"][1]["name"], json!("Rockets"));

    let forbidden = "You do not have permission to perform this action.";
    for below in ["projects", "members"] {
        let at = |id: &str| format!("{ORGANIZATIONS}/{id}/{below}");
        stranger.get(&at(&current(&owner))).is_denied(forbidden);
        owner.get(&at("x")).is_missing("Organization not found.");
        owner.get(&at(NOBODY)).is_missing("Organization not found.");
    }
}

/// Spec §1.6: scopes on these endpoints, the switch of the organization, and no re-authentication for keys.
#[test]
fn keys_need_their_scope_and_the_organizations_leave() {
    let server = Server::start();
    let (_, owner) = server.owner("ada@example.com", "Acme");
    let member = server.login(&server.member("member@example.com", "Acme", "member"));
    let path = format!("{ORGANIZATIONS}/@current");
    let missing = |scope: &str| format!("API key missing required scope '{scope}'");

    let user_key = server.key_of(&owner, &["user:read"]);
    user_key.get(ORGANIZATIONS).is_denied(&missing("organization:read"));
    user_key.post(ORGANIZATIONS, json!({"name": "x"})).is_denied(&missing("organization:write"));
    user_key.get(&path).is_denied(&missing("organization:read"));
    user_key.patch(&path, json!({})).is_denied(&missing("organization:write"));
    user_key.delete(&path).is_denied(&missing("organization:write"));
    user_key.get(&format!("{path}/members")).is_denied(&missing("organization_member:read"));
    user_key.patch(&format!("{path}/members/@me"), json!({})).is_denied(&missing("organization_member:write"));
    user_key.delete(&format!("{path}/members/@me")).is_denied(&missing("organization_member:write"));
    user_key.get(&format!("{path}/projects")).is_denied(&missing("project:read"));
    user_key.post(&format!("{path}/projects"), json!({})).is_denied(&missing("project:write"));

    let scopes = ["organization:write", "organization_member:write", "project:write", "user:read"];
    let owner_key = server.key_of(&owner, &scopes);
    let member_key = server.key_of(&member, &scopes);
    server.advance(7_201);
    assert_eq!(owner_key.get(ORGANIZATIONS).is(200).json()["count"], json!(1));
    owner_key.patch(&path, json!({"members_can_use_personal_api_keys": false})).is(200);
    owner_key.get(&format!("{path}/members")).is(200);
    owner_key.post(&format!("{path}/projects"), json!({"name": "x"})).is(201);
    let detail = "Organization 'Acme' does not allow using personal API keys. \
        Contact an admin to enable personal API keys for this organization.";
    member_key.get(&path).is_denied(detail);
    member_key.get(&format!("{path}/members")).is_denied(detail);
    assert_eq!(member_key.get(ORGANIZATIONS).is(200).json()["count"], json!(0));
    // The user object is exempt.
    assert_eq!(member_key.me()["organization"]["name"], json!("Acme"));
    member.get(&path).is(200);
}

/// Spec §1.6: keys that are limited to organizations or projects; the user object is exempt.
#[test]
fn keys_may_be_limited_to_places() {
    let server = Server::start();
    let (_, client) = server.owner("ada@example.com", "First");
    let first = client.me();
    let (first_id, first_team) = (&first["organization"]["id"], &first["team"]["id"]);
    let second = found(&client, "Second");
    let more = client.post(&format!("{ORGANIZATIONS}/@current/projects"), json!({"name": "More"})).is(201).json();
    let path = |organization: &Value, below: &str| format!("{ORGANIZATIONS}/{}{below}", organization.as_str().unwrap());
    let key = |teams: Value, organizations: Value| {
        let body =
            json!({"label": "CI", "scopes": ["*"], "scoped_teams": teams, "scoped_organizations": organizations});
        let made = client.post("/api/personal_api_keys", body).is(201).json();
        server.with_key(made["value"].as_str().unwrap())
    };

    let of_first = key(json!([]), json!([first_id]));
    of_first.get(&path(first_id, "")).is(200);
    of_first.get(&path(first_id, "/members")).is(200);
    let detail =
        format!("API key does not have access to the requested organization: ID {}.", second["id"].as_str().unwrap());
    for below in ["", "/members", "/projects", "/invites"] {
        of_first.get(&path(&second["id"], below)).is_denied(&detail);
    }
    assert_eq!(of_first.get(ORGANIZATIONS).is(200).json()["count"], json!(1));
    assert_eq!(of_first.me()["organizations"].as_array().unwrap().len(), 2);

    let of_project = key(json!([more["id"]]), json!([]));
    let detail = "API keys with scoped projects are only supported on project-based endpoints.";
    of_project.get(ORGANIZATIONS).is_denied(detail);
    for below in ["", "/members", "/invites"] {
        of_project.get(&path(&second["id"], below)).is_denied(detail);
    }
    of_project.post(&path(&second["id"], "/projects"), json!({"name": "x"})).is_denied(detail);
    assert_eq!(of_project.get(&path(&second["id"], "/projects")).is(200).json()["results"], json!([more]));
    assert_eq!(of_project.me()["organizations"].as_array().unwrap().len(), 2);
    key(json!([first_team]), json!([first_id]));
}

/// Spec §3.4: DELETE of a user with and without memberships; §7.4 row 33.
#[test]
fn a_member_cannot_be_deleted() {
    let server = Server::start();
    let (_, client) = server.owner("ada@example.com", "Acme");
    let conflict = |client: &Client| {
        let detail = "Cannot delete user with organization memberships.";
        client.delete(ME).is_error(409, "server_error", "conflict", detail, None);
    };
    conflict(&client);
    // Nothing went.
    client.get(ME).is(200);
    let member = server.login(&server.member("bob@example.com", "Acme", "member"));
    conflict(&member);
    member.delete(&format!("{ORGANIZATIONS}/@current/members/@me")).is(204);
    member.delete(ME).is(204);
    client.delete(&format!("{ORGANIZATIONS}/@current")).is(204);
    client.delete(ME).is(204);
    client.get(ME).is_anonymous();
}

/// The operator's way: accounts made at the command line belong somewhere.
#[test]
fn an_operator_puts_people_into_organizations() {
    let server = Server::start();
    let create = |email: &str, options: &[&str]| server.cli(&[&["user", "create", "--email", email], options].concat());
    let made = create("ada@example.com", &["--organization", "Analytical Engines"]).is(0);
    assert!(made.out.contains("in Analytical Engines (analytical-engines, 1 member)"), "{}", made.out);
    create("bob@example.com", &["--organization", "analytical engines", "--level", "admin"]).is(0);
    let carol = create("carol@example.com", &["--organization", "analytical-engines", "--json"]).is(0).json();
    assert_eq!(
        (&carol["organization"]["membership_level"], &carol["organization"]["member_count"]),
        (&json!(1), &json!(3))
    );
    // By id; a name that is not there is only founded by an owner.
    let id = carol["organization"]["id"].as_str().unwrap();
    create("dan@example.com", &["--organization", id, "--level", "owner"]).is(0);
    create("eve@example.com", &["--organization", "Typo", "--level", "member"]).is(3);
    create("eve@example.com", &["--organization", NOBODY]).is(3);
    create("eve@example.com", &["--organization", "evil.com"]).is(4);
    create("eve@example.com", &["--level", "member"]).is(2);
    server.cli(&["user", "show", "eve@example.com"]).is(3);

    let set = |email: &str, level: &str| {
        server.cli(&["user", "set", email, "--organization", "analytical-engines", "--level", level])
    };
    set("carol@example.com", "owner").is(0);
    set("dan@example.com", "member").is(0);
    set("ada@example.com", "admin").is(0);
    // The last owner stays one.
    set("carol@example.com", "member").is(4);
    server.cli(&["user", "set", "ada@example.com", "--organization", "Second"]).is(0);
    let shown = server.cli(&["user", "show", "ada@example.com"]).is(0).out;
    assert!(shown.contains("Analytical Engines (admin), Second (owner)"), "{shown}");
    let trail = server.cli(&["audit", "list", "--event", "member.", "--json"]).is(0).json();
    let events: Vec<&str> =
        trail["rows"].as_array().unwrap().iter().map(|row| row["event"].as_str().unwrap()).collect();
    assert_eq!(events.iter().filter(|event| **event == "member.level_changed").count(), 3, "{events:?}");
    assert_eq!(events.iter().filter(|event| **event == "member.joined").count(), 5, "{events:?}");
}
