//! Spec §1: paths, bodies, answers, errors, pages.

use serde_json::{Value, json};

use crate::harness::{Client, Reply, Server};

const ME: &str = "/api/users/@me";

/// Spec §1.1, §7.4 row 47.
#[test]
fn a_slash_at_the_end_makes_no_difference() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    for path in [ME, "/api/users", "/api/users/@me/two_factor_status", &person.path(""), "/api/personal_api_keys"] {
        let without = client.get(path).is(200);
        client.get(&format!("{path}/")).is_body(200, &without.text);
    }
    server.client().post("/api/login/", person.credentials()).is_body(200, r#"{"success":true}"#);
    client.patch("/api/users/@me/", json!({"first_name": "Ada"})).is(200);
    client.get("/api/users/@me/two_factor_start_setup/").is(200);
}

/// Spec §1.1.
#[test]
fn an_unknown_path_has_its_own_text() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    for path in ["/api/nothing", "/api/users/@me/nothing", "/api/users/@me/two_factor_status/more", "/api"] {
        let detail = "Endpoint not found.";
        client.get(path).is_error(404, "invalid_request", "not_found", detail, None);
        server.client().get(path).is_error(404, "invalid_request", "not_found", detail, None);
    }
}

/// Spec §1.1.
#[test]
fn a_wrong_method_is_named_and_the_right_ones_are_listed() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let check = |client: &Client, method: &str, path: &str, allowed: &[&str]| {
        let detail = format!("Method \"{method}\" not allowed.");
        let reply = client.request(method, path).send();
        let reply = reply.is_error(405, "invalid_request", "method_not_allowed", &detail, None);
        for allowed in allowed {
            assert!(reply.header("allow").contains(allowed), "{reply:?}");
        }
        assert!(!reply.header("allow").contains(method), "{reply:?}");
    };
    check(&client, "POST", "/api/users", &["GET"]);
    check(&client, "POST", ME, &["GET", "PATCH", "PUT", "DELETE"]);
    check(&client, "DELETE", "/api/users/@me/two_factor_status", &["GET"]);
    check(&client, "GET", "/api/users/@me/two_factor_disable", &["POST"]);
    check(&client, "GET", "/api/users/@me/two_factor_validate", &["POST"]);
    check(&server.client(), "GET", "/api/login", &["POST"]);
    check(&server.client(), "DELETE", "/api/users/verify_email", &["POST"]);
}

/// Spec §1.1.
#[test]
fn authentication_comes_before_method_and_body() {
    let server = Server::start();
    let anonymous = server.client();
    anonymous.request("POST", ME).send().is_anonymous();
    anonymous.request("DELETE", "/api/users/@me/two_factor_status").send().is_anonymous();
    anonymous.request("PATCH", ME).body("application/json", "{").send().is_anonymous();
    anonymous.request("PATCH", ME).body("text/plain", "x").send().is_anonymous();
    anonymous.request("OPTIONS", ME).send().is_anonymous();
}

/// Spec §1.1.
#[test]
fn head_is_get_without_a_body() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let head = client.request("HEAD", ME).send().is(200);
    assert_eq!(head.text, "");
    assert_eq!(head.header("content-type"), "application/json");
    client.request("OPTIONS", ME).send().is(200);
}

/// Spec §1.1, §7.4 row 46.
#[test]
fn a_body_beyond_the_limit_is_refused() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let big = format!("{{\"first_name\":\"{}\"}}", "a".repeat(2 * 1024 * 1024));
    client.request("PATCH", ME).body("application/json", big.clone()).send().is(413);
    server.client().request("POST", "/api/login").body("application/json", big).send().is(413);
    client.get(ME).is(200);
}

/// Spec §1.2: the table of content types; §7.4 row 46.
#[test]
fn a_body_may_be_json_or_a_form() {
    let server = Server::start();
    let person = server.user("ada@example.com");
    let login = || server.client().request("POST", "/api/login");
    let (email, password) = (person.email.as_str(), person.password.as_str());

    login().json(person.credentials()).send().is(200);
    login().body("application/json; charset=utf-8", person.credentials().to_string()).send().is(200);
    login().form(&[("email", email), ("password", password)]).send().is(200);
    let part = |name: &str, value: &str| {
        format!("--limit\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let file = "--limit\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nx\r\n";
    let body = format!("{}{file}{}--limit--\r\n", part("email", email), part("password", password));
    login().body("multipart/form-data; boundary=limit", body).send().is(200);
    login().send().is_required("email");
    let unsupported = |content_type: &str| {
        let detail = format!("Unsupported media type \"{content_type}\" in request.");
        let reply = login().body(content_type, person.credentials().to_string()).send();
        reply.is_error(415, "invalid_request", "unsupported_media_type", &detail, None);
    };
    unsupported("text/plain");
    unsupported("application/xml");
}

/// Spec §1.2: the table of coercions, strings.
#[test]
fn strings_may_be_numbers_and_are_trimmed() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let stored = |sent: Value| client.patch(ME, json!({"first_name": sent})).is(200).json()["first_name"].clone();
    assert_eq!(stored(json!("  Ada  ")), "Ada");
    assert_eq!(stored(json!(42)), "42");
    assert_eq!(stored(json!(1.5)), "1.5");
    assert_eq!(stored(json!("")), "");
    assert_eq!(stored(json!("a".repeat(150))), "a".repeat(150));
    let refused = |sent: Value, code: &str, detail: &str| {
        client.patch(ME, json!({"first_name": sent})).is_invalid(code, detail, Some("first_name"));
    };
    for sent in [json!(true), json!([]), json!({}), json!(["Ada"])] {
        refused(sent, "invalid_input", "Not a valid string.");
    }
    refused(json!(null), "null", "This field may not be null.");
    refused(json!("a".repeat(151)), "max_length", "Ensure this field has no more than 150 characters.");
}

/// Spec §1.2: the table of coercions, booleans.
#[test]
fn booleans_have_many_spellings() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let patch = |sent: Value| client.patch(ME, json!({"anonymize_data": sent}));
    let words = |words: &[&str]| -> Vec<Value> { words.iter().map(|word| json!(word)).collect() };
    let truths = words(&["true", "True", "TRUE", "t", "T", "yes", "Yes", "YES", "y", "Y", "on", "On", "ON", "1"]);
    let lies = words(&["false", "False", "FALSE", "f", "F", "no", "No", "NO", "n", "N", "off", "Off", "OFF", "0"]);
    for sent in truths.into_iter().chain([json!(true), json!(1)]) {
        assert_eq!(patch(sent.clone()).is(200).json()["anonymize_data"], true, "{sent}");
    }
    for sent in lies.into_iter().chain([json!(false), json!(0)]) {
        assert_eq!(patch(sent.clone()).is(200).json()["anonymize_data"], false, "{sent}");
    }
    for sent in [json!("maybe"), json!(2), json!([]), json!({})] {
        patch(sent).is_invalid("invalid_input", "Must be a valid boolean.", Some("anonymize_data"));
    }
}

/// Spec §1.2: the table of coercions, e-mail addresses.
#[test]
fn email_fields_are_checked() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    for sent in ["ada", "ada@", "@example.com", "a b@example.com", "ada@example"] {
        let detail = "Enter a valid email address.";
        client.patch(ME, json!({"email": sent})).is_invalid("invalid_input", detail, Some("email"));
    }
    let long = format!("{}@{}.com", "a".repeat(60), "b.".repeat(100));
    let detail = "Ensure this field has no more than 254 characters.";
    client.patch(ME, json!({"email": long})).is_invalid("max_length", detail, Some("email"));
    client.patch(ME, json!({"email": null})).is_invalid("null", "This field may not be null.", Some("email"));
    client.patch(ME, json!({"email": " "})).is_invalid("blank", "This field may not be blank.", Some("email"));
    assert_eq!(client.patch(ME, json!({"email": " Eve@Example.com "})).is(200).json()["email"], "eve@example.com");
}

/// Spec §1.2.
#[test]
fn unknown_fields_are_ignored() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let before = client.me();
    assert_eq!(client.patch(ME, json!({"nonsense": {"a": [1]}, "__proto__": 1})).is(200).json(), before);
}

/// Spec §1.2, §7.4 row 46: the table of malformed bodies.
#[test]
fn malformed_bodies_are_named() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let send = |body: &[u8]| client.request("PATCH", ME).body("application/json", body).send();
    for body in [&b"{"[..], b"{\"first_name\": }", b"\xff\xfe", b"{\"first_name\": \"\xff\"}", b"{} {}", b"nonsense"] {
        let reply = send(body).is(400);
        let value = reply.json();
        assert_eq!((&value["type"], &value["code"]), (&json!("invalid_request"), &json!("parse_error")), "{reply:?}");
        assert!(value["detail"].as_str().unwrap().starts_with("JSON parse error - "), "{reply:?}");
        assert_eq!(value["attr"], Value::Null, "{reply:?}");
    }
    for (body, kind) in
        [("\"a\"", "str"), ("1", "int"), ("1.5", "float"), ("true", "bool"), ("[]", "list"), ("null", "NoneType")]
    {
        let detail = format!("Invalid data. Expected a dictionary, but got {kind}.");
        send(body.as_bytes()).is_invalid("invalid_input", &detail, None);
        let login = server.client().request("POST", "/api/login").body("application/json", body).send();
        login.is_invalid("invalid_input", &detail, None);
    }
    let deep = format!("{{\"hedgehog_config\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    send(deep.as_bytes()).is(400);
}

/// Spec §1.2.
#[test]
fn only_json_can_be_asked_for() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let ask = |accept: &str| client.request("GET", ME).header("accept", accept).send();
    for accept in ["application/json", "*/*", "application/*", "text/html, application/json;q=0.5", "text/html,*/*"] {
        ask(accept).is(200);
    }
    let detail = "Could not satisfy the request Accept header.";
    for accept in ["text/plain", "application/xml"] {
        ask(accept).is_error(406, "invalid_request", "not_acceptable", detail, None);
    }
}

/// Spec §1.3.
#[test]
fn answers_are_json_that_nobody_caches() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let check = |reply: Reply| {
        assert_eq!(reply.header("content-type"), "application/json", "{reply:?}");
        assert_eq!(reply.header("cache-control"), "no-store", "{reply:?}");
        for name in ["Accept", "Cookie"] {
            assert!(reply.header("vary").contains(name), "{reply:?}");
        }
    };
    check(client.get(ME));
    check(client.get("/api/users/@me/two_factor_status"));
    check(client.get("/api/users/@me/two_factor_start_setup"));
    check(client.post("/api/users/@me/two_factor_validate", json!({"token": "111111"})));
    check(server.client().login(&person));
    check(server.client().post("/api/login", json!({})));
    check(server.client().post("/api/users/verify_email", json!({})));
    server.client().login(&person).is_body(200, r#"{"success":true}"#);
}

/// Spec §1.3.
#[test]
fn an_empty_answer_has_no_content_type() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let reply = client.post("/api/logout", json!({})).is_body(204, "");
    assert!(!reply.headers.contains_key("content-type"), "{reply:?}");
    assert!(matches!(reply.header("content-length"), "" | "0"), "{reply:?}");
}

/// Spec §1.4.
#[test]
fn ids_and_times_have_their_formats() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let me = client.me();
    assert_eq!(me["uuid"], person.uuid.as_str());
    assert_eq!(person.uuid, person.uuid.to_lowercase());
    assert_eq!(person.uuid.as_bytes()[14], b'7', "UUIDv7: {}", person.uuid);
    assert!(me["id"].as_i64().unwrap() > 0);
    let distinct_id = me["distinct_id"].as_str().unwrap();
    assert!(distinct_id.len() >= 40 && distinct_id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{distinct_id}");
    let joined = me["date_joined"].as_str().unwrap();
    assert!(joined.ends_with('Z') && joined.as_bytes()[10] == b'T', "{joined}");
    let expires = me["sensitive_session_expires_at"].as_str().unwrap();
    assert!(expires.ends_with("+00:00"), "{expires}");
}

/// Spec §1.5: only the first problem is told, in the declared order of the fields.
#[test]
fn the_first_problem_in_the_declared_order_is_told() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let body = json!({"role_at_organization": "foo", "theme_mode": "foo", "email": "nobody", "last_name": true});
    client.patch(ME, body).is_invalid("invalid_input", "Not a valid string.", Some("last_name"));
    let body = json!({"role_at_organization": "foo", "theme_mode": "foo"});
    client.patch(ME, body).is_invalid("invalid_choice", "\"foo\" is not a valid choice.", Some("theme_mode"));
    server.client().post("/api/login", json!({"password": ""})).is_required("email");
}

/// Spec §1.6 and W-34.
#[test]
fn a_401_names_the_scheme() {
    let server = Server::start();
    assert_eq!(server.client().get(ME).is_anonymous().header("www-authenticate"), "Bearer");
}

/// Spec §1.10.
#[test]
fn lists_come_in_pages() {
    let server = Server::builder().setting("server.public_url", "http://doorward.example").start();
    let staff = server.staff("a@example.com");
    for name in ["b", "c", "d", "e"] {
        server.user(&format!("{name}@example.com"));
    }
    let client = server.login(&staff);
    let page = |query: &str| client.get(&format!("/api/users{query}")).is(200).json();
    let emails = |page: &Value| -> Vec<String> {
        page["results"].as_array().unwrap().iter().map(|user| user["email"].as_str().unwrap()[..1].to_owned()).collect()
    };
    let all = page("");
    assert_eq!(emails(&all), ["a", "b", "c", "d", "e"]);
    assert_eq!((&all["count"], &all["next"], &all["previous"]), (&json!(5), &Value::Null, &Value::Null));
    let names: Vec<&String> = all.as_object().unwrap().keys().collect();
    assert_eq!(names, ["count", "next", "previous", "results"]);

    let url = "http://doorward.example";
    let first = page("?limit=2");
    assert_eq!((emails(&first), &first["previous"]), (vec!["a".to_owned(), "b".to_owned()], &Value::Null));
    assert_eq!(first["next"], format!("{url}/api/users?limit=2&offset=2"));
    let second = page("?limit=2&offset=2");
    assert_eq!(emails(&second), ["c", "d"]);
    assert_eq!(second["next"], format!("{url}/api/users?limit=2&offset=4"));
    assert_eq!(second["previous"], format!("{url}/api/users?limit=2"), "the first page has no offset");
    let last = page("?limit=2&offset=4&is_staff=false");
    assert_eq!((emails(&last).len(), &last["next"]), (0, &Value::Null));
    assert!(last["previous"].as_str().unwrap().contains("is_staff=false"), "{last}");

    for query in ["?limit=0", "?limit=-1", "?limit=many", "?limit=", "?offset=-1", "?offset=far", "?limit=100000"] {
        assert_eq!(emails(&page(query)).len(), 5, "{query}");
    }
    assert_eq!(emails(&page("?offset=100")).len(), 0);
}
