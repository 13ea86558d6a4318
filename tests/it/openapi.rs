//! The description of the API: where it is found, and that it is true.

use serde_json::{Value, json};

use crate::described;
use crate::harness::{Client, PASSWORD, Server, wait_for};
use crate::snippets::{self, Browser};

const KEPT: &str = include_str!("../../assets/openapi.json");

/// For programs that are told nothing but the address: the same document from the server, the program and the file.
#[test]
fn anybody_gets_the_description() {
    let server = Server::start();
    let reply = server.client().get("/api/schema").is(200);
    assert_eq!(reply.header("content-type"), "application/json");
    let kept: Value = serde_json::from_str(KEPT).unwrap();
    assert!(reply.json() == kept, "/api/schema is not assets/openapi.json");
    assert_eq!(server.cli(&["openapi"]).is(0).out, KEPT);
}

/// A page without anything from elsewhere, and so with the strictest policy.
#[test]
fn the_page_loads_from_this_server_only() {
    let server = Server::start();
    let client = server.client();
    for path in ["/api/docs", "/api/docs/"] {
        let page = client.get(path).is(200);
        let policy = page.header("content-security-policy").to_owned();
        assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
        let text = &page.text;
        assert!(!text.contains("//"), "an address of another site: {text}");
        for loaded in text.split(['"', '\'']).filter(|part| part.starts_with("/api/docs/")) {
            assert!(client.get(loaded).is(200).header("content-type").starts_with("text/"), "{loaded}");
        }
    }
    let viewer = client.get("/api/docs/viewer.js").is(200);
    assert_eq!(viewer.header("content-encoding"), "gzip");
    assert_eq!(viewer.header("cache-control"), "public, max-age=3600");
}

/// In a real browser: every call is on it, nothing is said on the console, and nothing is loaded from elsewhere.
#[test]
fn the_page_shows_every_call() {
    if !snippets::is_there("chromedriver") {
        return snippets::leave_out("no chromedriver");
    }
    let server = Server::start();
    let browser = Browser::start(&server);
    browser.call("/url", &json!({"url": format!("{}/api/docs", server.url())}));
    let paths = described::document()["paths"].as_object().unwrap();
    let calls: usize = paths.values().map(|item| item.as_object().unwrap().len()).sum();
    wait_for("the calls", || {
        let shown = browser.script("return document.querySelectorAll('.opblock').length", json!([]));
        (shown.as_u64() == Some(calls as u64)).then_some(())
    });
    let mut log = browser.call("/se/log", &json!({"type": "browser"}));
    // The browser looked at another page first, which has no icon.
    log.as_array_mut().unwrap().retain(|entry| !entry["message"].as_str().unwrap().contains("/favicon.ico"));
    assert_eq!(log, json!([]));
    let foreign = "return performance.getEntriesByType('resource').map((one) => one.name)\
        .filter((name) => !name.startsWith(location.origin) && !name.startsWith('data:'))";
    assert_eq!(browser.script(foreign, json!([])), json!([]));
}

// ---- bodies -----------------------------------------------------------------------------------------------------

/// Calls whose fields are tried elsewhere.
const ELSEWHERE: &[(&str, &str)] = &[
    ("users_hedgehog_config_partial_update", "any object is taken"),
    ("logout_redirect_create", "what is no path is dropped"),
    ("reset_create", "the token of a mail is looked at before the password"),
    ("reset_2fa_create", "answers in a shape of its own"),
    ("login_code_based_verification_create", "needs a code of a mail, and each try counts"),
    ("invites_bulk_create", "a list of invites, each as in `invites_create`"),
    ("signup_accept_create", "needs an invite, and an account for each"),
];

/// Each field is read as the description says: a value of another kind, one that is too long, and the absence of a
/// required one are errors that name it. An operation gets no field that is not declared, so the two cannot drift apart.
#[test]
fn fields_are_read_as_declared() {
    let server = without_limits();
    let callers = Callers::new(&server);
    let mut tried = 0;
    for (path, item) in described::document()["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let Some(body) = operation.get("requestBody") else { continue };
            let id = operation["operationId"].as_str().unwrap();
            if ELSEWHERE.iter().any(|(other, _)| *other == id) {
                continue;
            }
            let schema = described::resolve(&body["content"]["application/json"]["schema"]);
            let caller = callers.of(id, operation);
            for (body, name, code) in wrong_bodies(schema) {
                let call = caller.request(&method.to_uppercase(), &callers.path(path)).json(body.clone());
                let answer = call.send();
                let error = if answer.status == 400 { answer.json() } else { Value::Null };
                let attr = error["attr"].as_str().unwrap_or_default();
                let is_named = attr == name || attr.starts_with(&format!("{name}__"));
                assert!(is_named, "{id}: {name} in {body}: {answer:?}");
                assert!(code.is_none_or(|code| error["code"] == code), "{id}: {name} in {body}: {answer:?}");
                tried += 1;
            }
        }
    }
    assert!(tried > 100, "{tried}");
}

/// A server with every rate of its configuration out of the way.
fn without_limits() -> Server {
    let config = include_str!("../../config.toml");
    let limits = config.split("[limits]").nth(1).unwrap().split("\n[").next().unwrap();
    let rates = limits.lines().filter_map(|line| line.split_once(" = ")).filter(|(_, value)| value.contains('/'));
    rates.fold(Server::builder(), |builder, (name, _)| builder.setting(&format!("limits.{name}"), "5000/1s")).start()
}

/// Bodies with one thing wrong, the field that it is in, and the code where only one is right.
fn wrong_bodies(schema: &'static Value) -> Vec<(Value, String, Option<&'static str>)> {
    let example = &schema["examples"][0];
    let mut bodies = Vec::new();
    for (name, property) in schema["properties"].as_object().unwrap() {
        let with = |value: Value| {
            let mut body = example.clone();
            body[name] = value;
            body
        };
        if let Some(value) = of_another_kind(property) {
            bodies.push((with(value), name.clone(), None));
        }
        if let Some(max) = property["maxLength"].as_u64() {
            let long = "x".repeat(usize::try_from(max).unwrap() + 1);
            // A longest address is still an address.
            let long = if property["format"] == "email" { format!("{long}@example.com") } else { long };
            bodies.push((with(long.into()), name.clone(), Some("max_length")));
        }
        if property["minLength"] == 1 {
            bodies.push((with("".into()), name.clone(), Some("blank")));
        }
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let mut body = example.clone();
        body.as_object_mut().unwrap().remove(name);
        bodies.push((body, name.to_owned(), Some("required")));
    }
    bodies
}

/// A value that a property does not take; none where any JSON is right.
fn of_another_kind(property: &Value) -> Option<Value> {
    let kinds: Vec<&str> = match &property["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    let is_text = kinds.contains(&"string") && property.get("enum").is_none();
    Some(if is_text { json!({}) } else { json!("\u{1f6aa}") })
}

/// Whoever gets far enough in a call to have its fields looked at.
struct Callers {
    anonymous: Client,
    staff: Client,
    key: String,
    enrolling: Client,
    pending: Client,
}

impl Callers {
    fn new(server: &Server) -> Self {
        // Whoever signs up has an organization.
        let staff = server.client();
        let grace = json!({"first_name": "Grace", "email": "grace@example.com", "password": PASSWORD});
        staff.post("/api/signup", grace).is(201);
        server.cli(&["user", "set", "grace@example.com", "--staff", "true"]).is(0);
        let key = json!({"label": "k", "scopes": ["*"], "scoped_teams": [], "scoped_organizations": []});
        let key = staff.post("/api/personal_api_keys", key).is(201).json()["id"].as_str().unwrap().to_owned();
        let (_, enrolling) = server.logged_in("enid@example.com");
        enrolling.get("/api/users/@me/two_factor_start_setup").is(200);
        let (person, enrolled) = server.logged_in("paul@example.com");
        enrolled.enrol(server);
        let pending = server.client();
        pending.login(&person).is(401);
        Self { anonymous: server.client(), staff, key, enrolling, pending }
    }

    fn of(&self, id: &str, operation: &Value) -> &Client {
        match id {
            "login_token_create" => &self.pending,
            "users_two_factor_validate_create" | "users_validate_2fa_create" => &self.enrolling,
            _ if operation["security"] == json!([]) => &self.anonymous,
            _ => &self.staff,
        }
    }

    fn path(&self, template: &str) -> String {
        let own = [("{uuid}", "@me"), ("{user_uuid}", "@me"), ("{organization_id}", "@current"), ("{id}", &self.key)];
        own.iter().fold(template.to_owned(), |path, (name, value)| path.replace(name, value))
    }
}
