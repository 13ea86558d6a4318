//! Spec §2.8, §3.9: the members of an organization.

use serde_json::{Value, json};

use crate::harness::{Client, Person, Server};

const MEMBERS: &str = "/api/organizations/@current/members";

fn member(person: &Person) -> String {
    format!("{MEMBERS}/{}", person.uuid)
}

fn emails(page: &Value) -> Vec<&str> {
    page["results"].as_array().unwrap().iter().map(|member| member["user"]["email"].as_str().unwrap()).collect()
}

/// Spec §2.8, §2.2: the membership object, with a user, basic, inside.
#[test]
fn a_member_is_shown_with_the_basic_user() {
    let server = Server::start();
    let (person, client) = server.owner("ada@example.com", "Acme");
    let hedgehog = json!({"color": "red", "skin": "spiderhog", "walking_enabled": true});
    client.patch("/api/users/@me", json!({"hedgehog_config": hedgehog, "role_at_organization": "founder"})).is(200);
    client.enrol(&server);
    let me = client.me();
    let page = client.get(MEMBERS).is(200).json();
    let [shown] = page["results"].as_array().unwrap().as_slice() else { panic!("{page}") };
    let keys: Vec<&str> = shown.as_object().unwrap().keys().map(String::as_str).collect();
    let expected =
        ["id", "user", "level", "joined_at", "updated_at", "is_2fa_enabled", "has_social_auth", "last_login"];
    assert_eq!(keys, expected);
    let basic = json!({"use_as_profile": null, "color": "red", "accessories": null, "skin": "spiderhog"});
    assert_eq!(
        shown["user"],
        json!({
            "id": person.id, "uuid": person.uuid, "distinct_id": me["distinct_id"], "first_name": "", "last_name": "",
            "email": "ada@example.com", "is_email_verified": true, "hedgehog_config": basic,
            "role_at_organization": "founder",
        })
    );
    assert_eq!((&shown["level"], &shown["is_2fa_enabled"]), (&json!(15), &json!(true)));
    assert!(shown["last_login"].as_str().unwrap().ends_with('Z'), "{shown}");
}

/// Spec §3.9: newest first, `order`, `email`, `search`; §1.10.
#[test]
fn members_are_listed_newest_first_and_found() {
    let server = Server::start();
    let (_, client) = server.owner("ada@example.com", "Acme");
    let join = |email: &str, first: &str, last: &str| {
        let names = ["--first-name", first, "--last-name", last, "--organization", "Acme"];
        server.person(email, &names)
    };
    join("bob@example.com", "Bob", "Cratchit");
    let carol = join("carol@example.org", "Carol", "Danvers");
    server.user("outsider@example.com");
    let list = |query: &str| client.get(&format!("{MEMBERS}{query}")).is(200).json();

    let newest = ["carol@example.org", "bob@example.com", "ada@example.com"];
    for (query, expected) in [
        ("", &newest[..]),
        ("?order=-joined_at", &newest),
        ("?order=email", &newest),
        ("?order=joined_at", &["ada@example.com", "bob@example.com", "carol@example.org"]),
        ("?email=BOB@example.com", &["bob@example.com"]),
        ("?email=outsider@example.com", &[]),
        ("?email=nonsense", &[]),
        ("?search=CRATCH", &["bob@example.com"]),
        ("?search=example.com", &["bob@example.com", "ada@example.com"]),
        ("?search=example.com&order=joined_at", &["ada@example.com", "bob@example.com"]),
        ("?search=carol%20danv", &["carol@example.org"]),
        ("?search=bob%20danvers", &[]),
        ("?search=anvers", &["carol@example.org"]),
        ("?search=%20", &newest),
        ("?email=bob@example.com&search=bob", &["bob@example.com"]),
        ("?email=bob@example.com&search=carol", &[]),
    ] {
        let page = list(query);
        assert_eq!(emails(&page), expected, "{query}");
        assert_eq!(page["count"], json!(expected.len()), "{query}");
    }
    let detail = "Ensure this field has no more than 200 characters.";
    let reply = client.get(&format!("{MEMBERS}?search={}", "x".repeat(201)));
    reply.is_invalid("max_length", detail, Some("search"));

    for (query, expected) in [("?limit=1&offset=1", &newest[1..2]), ("?search=example&limit=2&offset=1", &newest[1..])]
    {
        let page = list(query);
        assert_eq!((emails(&page), &page["count"]), (expected.to_vec(), &json!(3)), "{query}");
        assert!(page["previous"].is_string(), "{query}");
    }

    // Inactive members are neither shown nor counted, and come back.
    let turn = |undo: &[&str]| {
        let arguments = ["user", "deactivate", &carol.email, "--reason", "left the company"];
        server.cli(&[&arguments[..], undo].concat()).is(0);
    };
    turn(&[]);
    for query in ["", "?search=carol", "?email=carol@example.org"] {
        assert!(!emails(&list(query)).contains(&"carol@example.org"), "{query}");
    }
    assert_eq!((&list("")["count"], &client.me()["organization"]["member_count"]), (&json!(2), &json!(2)));
    turn(&["--undo"]);
    assert_eq!(emails(&list("")), newest);
    assert_eq!(client.me()["organization"]["member_count"], json!(3));
}

/// Spec §3.9: the table of level changes, in its order; §7.4 row 37.
#[test]
fn levels_are_given_by_the_rules() {
    let server = Server::start();
    let (owner, as_owner) = server.owner("owner@example.com", "Acme");
    let admin = server.member("admin@example.com", "Acme", "admin");
    let as_admin = server.login(&admin);
    let low = server.member("member@example.com", "Acme", "member");
    let as_low = server.login(&low);
    let (_, stranger) = server.owner("eve@example.com", "Foreign");

    let denied = |client: &Client, person: &Person, level: u8, detail: &str| {
        client.patch(&member(person), json!({"level": level})).is_denied(detail);
    };
    denied(&as_owner, &owner, 15, "You can't change your own access level.");
    denied(&as_low, &low, 15, "You can't change your own access level.");
    as_low.patch(&format!("{MEMBERS}/@me"), json!({"level": 8})).is_denied("You can't change your own access level.");
    let only_owners = "You can only make another member owner if you're this organization's owner.";
    denied(&as_admin, &low, 15, only_owners);
    denied(&as_low, &admin, 15, only_owners);
    let above = "You can only change access level of others to lower or equal to your current one.";
    denied(&as_low, &admin, 8, above);
    denied(&as_low, &admin, 1, "You can only edit others if you are an admin.");
    denied(&as_admin, &owner, 8, "You can only edit others with level lower or equal to you.");

    let bad = as_admin.patch(&member(&low), json!({"level": 7}));
    bad.is_invalid("invalid_choice", "\"7\" is not a valid choice.", Some("level"));
    let bad = as_admin.patch(&member(&low), json!({"level": "x"}));
    bad.is_invalid("invalid_input", "A valid integer is required.", Some("level"));
    as_low.patch(&member(&admin), json!({"level": 7})).is_denied("You can only edit others if you are an admin.");
    for path in [format!("{MEMBERS}/x"), member(&server.user("outsider@example.com"))] {
        as_owner.patch(&path, json!({"level": 1})).is_not_found();
        as_owner.delete(&path).is_not_found();
    }
    stranger.patch(&member(&low), json!({"level": 1})).is_not_found();

    assert_eq!(as_admin.patch(&member(&low), json!({})).is(200).json()["level"], json!(1));
    assert_eq!(as_admin.patch(&member(&low), json!({"level": 8})).is(200).json()["level"], json!(8));
    assert_eq!(as_low.me()["organization"]["membership_level"], json!(8));
    assert_eq!(as_owner.patch(&member(&admin), json!({"level": "15"})).is(200).json()["level"], json!(15));
    assert_eq!(as_admin.patch(&member(&owner), json!({"level": 1})).is(200).json()["level"], json!(1));
    assert_eq!(as_owner.me()["organization"]["membership_level"], json!(1));

    let trail = server.cli(&["audit", "list", "--event", "member.level_changed", "--json"]).is(0).json();
    let newest = trail["rows"][0].clone();
    assert_eq!(newest["target"]["email"], json!("owner@example.com"));
    assert!(newest["details"].to_string().contains(r#"["old","15"],["new","1"]"#), "{newest}");
}

/// Spec §2.8, §3.9: removing and leaving; the last owner cannot leave; §7.4 row 37.
#[test]
fn members_leave_and_are_removed() {
    let server = Server::start();
    let (owner, as_owner) = server.owner("owner@example.com", "Acme");
    let admin = server.member("admin@example.com", "Acme", "admin");
    let as_admin = server.login(&admin);
    let low = server.member("member@example.com", "Acme", "member");
    let as_low = server.login(&low);
    let other = server.member("other@example.com", "Acme", "member");

    as_low.delete(&member(&other)).is_denied("You can only edit others if you are an admin.");
    as_admin.delete(&member(&owner)).is_denied("You can only edit others with level lower or equal to you.");
    let last = "Cannot leave the organization as its owner!";
    as_owner.delete(&format!("{MEMBERS}/@me")).is_invalid("invalid_input", last, None);
    as_owner.delete(&member(&owner)).is_invalid("invalid_input", last, None);

    as_low.delete(&member(&low)).is(204);
    assert_eq!((&as_low.me()["organization"], &as_low.me()["team"]), (&json!(null), &json!(null)));
    as_admin.delete(&member(&other)).is(204);
    as_admin.delete(&member(&other)).is_not_found();
    assert_eq!(emails(&as_owner.get(MEMBERS).is(200).json()), ["admin@example.com", "owner@example.com"]);
    assert_eq!(as_owner.me()["organization"]["member_count"], json!(2));

    as_owner.patch(&member(&admin), json!({"level": 15})).is(200);
    as_owner.delete(&format!("{MEMBERS}/@me")).is(204);
    as_admin.delete(&format!("{MEMBERS}/@me")).is_invalid("invalid_input", last, None);
    let trail = server.cli(&["audit", "list", "--event", "member.removed", "--json"]).is(0).json();
    let who = |row: &Value| (row["actor"]["email"].clone(), row["target"]["email"].clone());
    assert_eq!(who(&trail["rows"][1]), (json!("admin@example.com"), json!("other@example.com")));
    assert_eq!(trail["rows"].as_array().unwrap().len(), 3);
}

/// Spec §3.9: of two owners who leave at once, one stays.
#[test]
fn two_last_owners_do_not_leave_together() {
    let server = Server::start();
    let (_, one) = server.owner("one@example.com", "Acme");
    for round in 0..5 {
        let other = server.login(&server.member(&format!("other{round}@example.com"), "Acme", "owner"));
        let mut statuses = std::thread::scope(|scope| {
            let calls = [&one, &other].map(|client| scope.spawn(|| client.delete(&format!("{MEMBERS}/@me")).status));
            calls.map(|call| call.join().unwrap())
        });
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 400], "round {round}");
        // Whoever stayed lets the first one in again.
        server.cli(&["user", "set", "one@example.com", "--organization", "Acme", "--level", "owner"]).is(0);
        let page = one.get(MEMBERS).is(200).json();
        for member in page["results"].as_array().unwrap() {
            if member["user"]["email"] != json!("one@example.com") {
                one.delete(&format!("{MEMBERS}/{}", member["user"]["uuid"].as_str().unwrap())).is(204);
            }
        }
    }
}
