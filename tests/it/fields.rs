//! Spec §2.2 to §2.5 and §2.10: what each field takes, and what it says when it does not.

use serde_json::{Value, json};

use crate::harness::{Client, PASSWORD, Server};

const ME: &str = "/api/users/@me";
const KEYS: &str = "/api/personal_api_keys";

fn patch(client: &Client, name: &str, value: Value) -> crate::harness::Reply {
    client.patch(ME, json!({name: value}))
}

/// Spec §2.2: the table of later additions, as a fresh account shows them to its session.
#[test]
fn later_fields_have_their_constants() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let me = client.me();
    for (name, value) in [
        ("passkeys_enabled_for_2fa", json!(false)),
        ("allow_impersonation", json!(null)),
        ("is_impersonated_read_only", json!(null)),
        ("is_impersonated_reason", json!(null)),
        ("allow_sidebar_suggestions", json!(null)),
        ("shortcut_position", json!("above")),
        ("hide_mcp_hints", json!(false)),
        ("ui_configuration", json!(null)),
        ("pending_invites", json!([])),
        ("requires_credential_review", json!(false)),
        ("notification_locks", json!([])),
        ("active_realtime_notification_types", json!([])),
        ("is_organization_first_user", json!(null)),
        ("onboarding_skipped_at", json!(null)),
        ("onboarding_skipped_reason", json!(null)),
        ("onboarding_skipped_organization_id", json!(null)),
        ("onboarding_delegated_to_invite", json!(null)),
        ("onboarding_delegated_to_organization_id", json!(null)),
        ("onboarding_delegation_accepted_at", json!(null)),
    ] {
        assert_eq!(me.get(name), Some(&value), "{name}");
    }
    let fresh = me["fresh_reauth_expires_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!((200..=300).contains(&(fresh.as_second() - server.now())), "{me}");
    assert!(me["fresh_reauth_expires_at"].as_str().unwrap().ends_with("+00:00"), "{me}");
    let key = server.key_of(&client, &["user:read"]);
    assert_eq!(key.me()["fresh_reauth_expires_at"], json!(null));
}

/// Spec §2.2: later additions that can be written.
#[test]
fn later_fields_can_be_written() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    for (name, value) in [
        ("allow_impersonation", json!(true)),
        ("allow_impersonation", json!(null)),
        ("allow_sidebar_suggestions", json!(false)),
        ("shortcut_position", json!("below")),
        ("shortcut_position", json!("hidden")),
        ("hide_mcp_hints", json!(true)),
        ("ui_configuration", json!({"a": [1, null, {"b": "c"}]})),
        ("passkeys_enabled_for_2fa", json!(false)),
    ] {
        assert_eq!(patch(&client, name, value.clone()).is(200).json()[name], value, "{name}");
    }
    let detail = "You must have at least one passkey set up before enabling passkeys for 2FA.";
    let reply = patch(&client, "passkeys_enabled_for_2fa", json!(true));
    assert_eq!((reply.status, reply.json()["code"].as_str()), (400, Some("no_passkeys")), "{reply:?}");
    assert_eq!(reply.json()["detail"], detail);
    let reply = patch(&client, "shortcut_position", json!("left"));
    reply.is_invalid("invalid_choice", "\"left\" is not a valid choice.", Some("shortcut_position"));
    patch(&client, "hide_mcp_hints", json!(null)).is(400);
}

/// Spec §2.2, §1.4: the formats of what the server makes itself.
#[test]
fn generated_values_have_their_formats() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let (_, other) = server.logged_in("bob@example.com");
    let (me, bob) = (client.me(), other.me());
    for name in ["uuid", "id", "distinct_id"] {
        assert_ne!(me[name], bob[name], "{name}");
    }
    let is_moment = |text: &str, end: &str| {
        let fraction = text.strip_suffix(end).and_then(|text| text.get(19..)).unwrap_or("x");
        text.parse::<jiff::Timestamp>().is_ok()
            && (fraction.is_empty() || fraction.len() == 7 && fraction.starts_with('.') && fraction != ".000000")
    };
    let joined = me["date_joined"].as_str().unwrap();
    assert!(is_moment(joined, "Z"), "{joined}");
    for name in ["sensitive_session_expires_at", "fresh_reauth_expires_at"] {
        let text = me[name].as_str().unwrap();
        assert!(is_moment(text, "+00:00"), "{name}: {text}");
    }
    let body = json!({"label": "x", "scopes": ["*"], "scoped_teams": [], "scoped_organizations": []});
    let key = client.post(KEYS, body).is(201).json();
    assert!(is_moment(key["created_at"].as_str().unwrap(), "Z"), "{key}");
    assert!(key["id"].as_str().unwrap().bytes().all(|byte| byte.is_ascii_alphanumeric()), "{key}");
}

/// Spec §2.2, rows 4 and 5; §2.4: the table of display names.
#[test]
fn names_are_checked() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let control = ("invalid_control_char", "Line breaks and control characters are not allowed in this field.");
    let invisible =
        ("invalid_invisible_char", "Invisible or direction-override characters are not allowed in this field.");
    let bracket = ("invalid_bracket", "Angle brackets are not allowed in this field.");
    let url = ("invalid_url", "URLs are not allowed in this field.");
    for name in ["first_name", "last_name"] {
        for (sent, (code, detail)) in [
            ("Ada\nLovelace", control),
            ("Ada\u{7}", control),
            ("Ada\u{2028}x", control),
            ("A\u{200b}da", invisible),
            ("\u{202e}adA", invisible),
            ("<b>Ada", bracket),
            ("Ada >", bracket),
            ("\u{ff1c}b", bracket),
            ("https://evil.example", url),
            ("see www.evil", url),
            ("evil.com", url),
        ] {
            patch(&client, name, json!(sent)).is_invalid(code, detail, Some(name));
        }
        for good in ["", "Ada", "Jean-Luc O'Neil", "J. R. R.", "李", "Dr. Ada", "x".repeat(150).as_str()] {
            assert_eq!(patch(&client, name, json!(format!("  {good} "))).is(200).json()[name], good);
        }
        let detail = "Ensure this field has no more than 150 characters.";
        patch(&client, name, json!("李".repeat(151))).is_invalid("max_length", detail, Some(name));
    }
}

/// Spec §2.2: null, where a field may not be null, and JSON fields.
#[test]
fn null_is_told_apart() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    for name in ["first_name", "last_name", "email", "notification_settings", "role_at_organization", "password"] {
        patch(&client, name, json!(null)).is_invalid("null", "This field may not be null.", Some(name));
    }
    for name in ["anonymize_data", "toolbar_mode", "theme_mode", "hedgehog_config", "has_seen_product_intro_for"] {
        assert_eq!(patch(&client, name, json!(null)).is(200).json()[name], json!(null), "{name}");
    }
    for value in [json!([1, "a", {"b": null}]), json!("text"), json!(1.5), json!({"a": {"b": []}})] {
        let stored = patch(&client, "events_column_config", value.clone()).is(200).json();
        assert_eq!(stored["events_column_config"], value);
    }
}

/// Spec §2.2, rows 21 and 22: also in numbers and as text.
#[test]
fn a_foreign_place_does_not_exist() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    for value in [json!(7), json!("7")] {
        let reply = patch(&client, "set_current_team", value);
        reply.is_invalid("does_not_exist", "Object with id=7 does not exist.", Some("set_current_team"));
    }
    for value in [json!("foo"), json!(1.5), json!(true), json!([])] {
        let reply = patch(&client, "set_current_team", value).is(400);
        assert_eq!(reply.json()["attr"], "set_current_team", "W-7: {reply:?}");
    }
    server.advance(7_201);
    patch(&client, "set_current_team", json!(7)).is(400);
    patch(&client, "set_current_organization", json!("01990f5c-1f10-0000-9a8b-7c6d5e4f3a2b")).is(400);
}

/// W-43: what a client sent is repeated without control characters, and not for ever.
#[test]
fn errors_repeat_no_more_than_200_characters() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let long = format!("a\u{1b}[31m{}", "x".repeat(5_000));
    for (name, body) in [
        ("theme_mode", json!({"theme_mode": long})),
        ("notification_settings", json!({"notification_settings": {long.as_str(): true}})),
        ("set_current_organization", json!({"set_current_organization": long})),
    ] {
        let reply = client.patch(ME, body).is(400);
        let detail = reply.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.chars().count() < 300 && !detail.contains('\u{1b}'), "{name}: {detail}");
    }
    let body = json!({"label": "x", "scopes": [long], "scoped_teams": [], "scoped_organizations": []});
    let detail = client.post(KEYS, body).is(400).json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with("Invalid scope: a") && detail.chars().count() < 300, "{detail}");
}

/// Spec §2.3: the table of defaults, as far as Era B.
#[test]
fn notification_settings_have_their_defaults() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let defaults = json!({
        "plugin_disabled": true,
        "error_tracking_issue_assigned": true,
        "discussions_mentioned": true,
        "project_weekly_digest_disabled": {},
        "all_weekly_digest_disabled": false,
        "error_tracking_weekly_digest": true,
        "data_pipeline_error_threshold": 0.01,
        "project_api_key_exposed": true,
        "materialized_view_sync_failed": false,
        "web_analytics_weekly_digest": true,
        "organization_member_join_email_disabled": {},
    });
    assert_eq!(client.me()["notification_settings"], defaults);
    let set = |name: &str, value: Value| {
        let stored = patch(&client, "notification_settings", json!({name: value})).is(200).json();
        assert_eq!(stored["notification_settings"][name], value, "{name}");
    };
    for (name, value) in defaults.as_object().unwrap() {
        if let Some(flag) = value.as_bool() {
            set(name, json!(!flag));
        }
    }
    for share in [json!(0), json!(0.5), json!(1)] {
        set("data_pipeline_error_threshold", share);
    }
    for name in ["materialized_view_sync_failed_daily", "materialized_view_sync_failed_immediate"] {
        set(name, json!(true));
    }
}

/// Spec §2.3: the table of errors, for every map-valued key.
#[test]
fn notification_maps_hold_booleans() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let refused = |sent: Value, detail: &str| {
        let reply = patch(&client, "notification_settings", sent);
        reply.is_invalid("invalid_input", detail, Some("notification_settings"));
    };
    for name in [
        "project_weekly_digest_disabled",
        "organization_member_join_email_disabled",
        "pipeline_notifications_disabled",
        "error_tracking_weekly_digest_project_enabled",
        "web_analytics_weekly_digest_project_enabled",
    ] {
        for (value, kind) in [(json!("x"), "str"), (json!(1), "int"), (json!(null), "NoneType"), (json!([]), "list")] {
            let detail = format!("Notification setting values must be boolean, got <class '{kind}'> instead");
            refused(json!({name: {"1": value}}), &detail);
        }
        let stored = patch(&client, "notification_settings", json!({name: {"7": true}})).is(200).json();
        assert_eq!(stored["notification_settings"][name], json!({"7": true}));
    }
    let sentence =
        |value: &str| format!("{value} is not a valid type for notification settings, should be <class 'bool'>");
    for (value, printed) in [(json!(0), "0"), (json!("x"), "x"), (json!(null), "None"), (json!(1.5), "1.5")] {
        refused(json!({"discussions_mentioned": value}), &sentence(printed));
    }
}

/// Spec §2.5: up to 128 characters, of which the first 72 are judged.
#[test]
fn long_passwords_are_fine() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let long: String = format!("{PASSWORD} and then some more of it, until it is quite long enough ").repeat(3);
    let long: String = long.chars().take(128).collect();
    let long = long.trim_end().to_owned() + "x".repeat(128 - long.trim_end().len()).as_str();
    client.patch(ME, json!({"password": long, "current_password": person.password})).is(200);
    server.client().post("/api/login", json!({"email": person.email, "password": long})).is(200);
    let cut = &long[..127];
    server.client().post("/api/login", json!({"email": person.email, "password": cut})).is(400);
}

/// Spec §2.5: passwords are not trimmed, and the person's own names make weak ones.
#[test]
fn passwords_are_kept_as_they_are_typed() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada.qxvrntplakw@example.com");
    for weak in ["ada.qxvrntplakw@example.com", "Qxvrntplakw1"] {
        let body = json!({"password": weak, "current_password": person.password});
        assert_eq!(client.patch(ME, body).is(400).json()["attr"], "password", "{weak}");
    }
    let spaced = format!("  {PASSWORD}  ");
    client.patch(ME, json!({"password": spaced, "current_password": person.password})).is(200);
    let login =
        |password: &str| server.client().post("/api/login", json!({"email": person.email, "password": password}));
    login(&spaced).is(200);
    login(spaced.trim()).is(400);
}

/// Spec §2.2, rows 12 and 23; §3.4, §7.4 row 10: the first password needs no current one.
#[test]
fn a_first_password_needs_no_current_one() {
    let server = Server::with_mail();
    let made = server.cli(&["user", "create", "--email", "ada@example.com", "--json"]).json();
    let uuid = made["uuid"].as_str().unwrap();
    server.client().post("/api/users/request_email_verification", json!({"uuid": uuid})).is(200);
    let mail = server.wait_for_mail("ada@example.com", "Verify");
    let client = server.client();
    client.post("/api/users/verify_email", json!({"uuid": uuid, "token": mail.token()})).is(200);
    assert_eq!(client.me()["has_password"], false);
    let password = format!("{PASSWORD} of ada");
    assert_eq!(client.patch(ME, json!({"password": password})).is(200).json()["has_password"], true);
    let required = "This field is required when updating your password.";
    client.patch(ME, json!({"password": password})).is_invalid("required", required, Some("current_password"));
    server.client().post("/api/login", json!({"email": "ada@example.com", "password": password})).is(200);
}

/// Spec §3.4: the text of an address in use.
#[test]
fn an_address_in_use_is_named() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    server.user("bob@example.com");
    let detail = "There is already an account with this email address.";
    patch(&client, "email", json!("bob@example.com")).is_invalid("unique", detail, Some("email"));
}

/// Spec §2.10, §7.3: every scope name, in both forms.
#[test]
fn every_known_scope_is_accepted() {
    const NAMES: &str = "
        access_control account action activity_log alert annotation approvals batch_export batch_import billing
        business_knowledge canvas cohort comment conversation customer_analytics dashboard dashboard_template dataset
        early_access_feature element endpoint error_tracking evaluation event_definition event_filter experiment
        experiment_holdout experiment_saved_metric export external_data_schema external_data_source feature_flag
        file_system file_system_shortcut group health_issue heatmap hog_flow hog_function ingestion_warning insight
        insight_variable integration legal_document link live_debugger llm_analytics llm_gateway llm_prompt
        llm_provider_key llm_skill logs loop marketing_analytics mcp_analytics metrics notebook organization
        organization_integration organization_member person plugin product_tour project property_definition query
        revenue_analytics session_recording session_recording_playlist sharing_configuration signal_scout subscription
        survey tagger task ticket toolbar tracing uploaded_media usage_metric user user_interview visual_review
        warehouse_objects warehouse_table warehouse_view web_analytics webhook wizard_session";
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let scopes: Vec<String> =
        NAMES.split_whitespace().flat_map(|name| [format!("{name}:read"), format!("{name}:write")]).collect();
    let body = json!({"label": "x", "scopes": scopes, "scoped_teams": [], "scoped_organizations": []});
    assert_eq!(client.post(KEYS, body).is(201).json()["scopes"], json!(scopes));
}

/// Spec §2.10 (Era C): the further fields of a key.
#[test]
fn a_key_may_have_a_description() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    for (sent, stored) in [(json!(" for CI "), json!("for CI")), (json!(" "), json!(null)), (json!(null), json!(null))]
    {
        let body = json!({"label": "x", "scopes": ["*"], "scoped_teams": [], "scoped_organizations": [],
                          "description": sent});
        let key = client.post(KEYS, body).is(201).json();
        assert_eq!(key["description"], stored);
        assert_eq!((&key["is_legacy_hashing"], &key["local_dev_value"]), (&json!(false), &json!(null)));
    }
}

/// Spec §1.2: integers may be decimal text.
#[test]
fn integers_may_be_text() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let refused = |teams: Value, detail: &str, attr: &str| {
        let body = json!({"label": "x", "scopes": ["*"], "scoped_teams": teams, "scoped_organizations": []});
        client.post(KEYS, body).is_invalid("invalid_input", detail, Some(attr));
    };
    let teams = "You must be a member of all teams that you are scoping the key to.";
    refused(json!([7]), teams, "scoped_teams");
    refused(json!(["7"]), teams, "scoped_teams");
    refused(json!(["seven"]), "A valid integer is required.", "scoped_teams__0");
    refused(json!([7, 1.5]), "A valid integer is required.", "scoped_teams__1");
}

/// Spec §1.9: the window ends after two hours sharp, for deleting keys too.
#[test]
fn the_window_ends_after_two_hours() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let body = json!({"label": "x", "scopes": ["*"], "scoped_teams": [], "scoped_organizations": []});
    let id = client.post(KEYS, body).is(201).json()["id"].as_str().unwrap().to_owned();
    server.advance(7_140);
    client.patch(ME, json!({"first_name": "Ada"})).is(200);
    server.advance(61);
    client.patch(ME, json!({"first_name": "Eve"})).wants_reauth();
    client.delete(&format!("{KEYS}/{id}")).wants_reauth();
    client.delete(ME).wants_reauth();
    client.get(&format!("{KEYS}/{id}")).is(200);
}
