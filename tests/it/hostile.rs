//! Bad input and bad clients: no request gives a 5xx, every error of the API has the envelope (spec §1.5), and who sends
//! slowly, too much or nonsense is cut off without harm to others.
//!
//! `DOORWARD_HOSTILE_CASES` says how many requests the property test makes up.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value, json};

use crate::harness::{Authenticator, Client, Person, Server, wait_for};
use crate::wire::{Answer, Wire, ask};

const ME: &str = "/api/users/@me";
const HEALTH: &str = "/_health";

/// No rate of the API hides what is behind it.
fn server() -> Server {
    let rates = [
        "user_authentication",
        "email_verification_request",
        "two_factor_login",
        "second_step_address",
        "verify_email",
        "verify_email_address",
        "login_precheck",
    ];
    let builder = rates
        .iter()
        .fold(Server::builder().mail_file(), |builder, rate| builder.setting(&format!("limits.{rate}"), "1000/1s"));
    builder.setting("login.failures_max", "10000").setting("login.account_failures_max", "10000").start()
}

/// Every method and path of the router, read from its source, so that none is forgotten.
fn endpoints() -> Vec<(String, String)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/router.rs");
    let source = std::fs::read_to_string(path).unwrap();
    let table = source.split("fn user_routes").nth(1).unwrap().split("#[cfg(test)]").next().unwrap();
    // Paths stand in quotes, each before its methods; the two helpers at the top have theirs before any path.
    let mut found = Vec::new();
    for (at, _) in table.match_indices("\"/") {
        let (path, rest) = table[at + 1..].split_once('"').unwrap();
        let methods = rest.split("\"/").next().unwrap().split("Method::").skip(1);
        let mut methods: Vec<&str> = methods.map(|text| text.split(',').next().unwrap()).collect();
        if methods.is_empty() {
            methods = vec!["GET", "POST"];
        }
        found.extend(methods.iter().map(|method| ((*method).to_owned(), path.to_owned())));
    }
    assert!(found.len() > 35, "{found:?}");
    found
}

fn templates() -> Vec<String> {
    let mut paths: Vec<String> = endpoints().into_iter().map(|(_, path)| path).collect();
    paths.dedup();
    paths
}

fn is_api(path: &str) -> bool {
    path.strip_prefix("/api").is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
}

/// What holds for every answer.
fn check(method: &str, path: &str, answer: Option<&Answer>) -> Result<(), String> {
    let answer = answer.ok_or("no answer")?;
    if answer.status >= 500 {
        return Err(format!("a fault of the server: {answer:?}"));
    }
    if method == "HEAD" || answer.status == 204 {
        return if answer.text.is_empty() { Ok(()) } else { Err(format!("a body: {answer:?}")) };
    }
    // What is no address does not come as far as the API, and its documentation is a page.
    if !is_api(path) || path.starts_with("/api/docs") || path.parse::<http::Uri>().is_err() {
        return Ok(());
    }
    if answer.header("content-type") != "application/json" {
        return Err(format!("no JSON: {answer:?}"));
    }
    let body: Value = serde_json::from_str(&answer.text).map_err(|error| format!("{error}: {answer:?}"))?;
    let is_bare = path.starts_with("/api/reset_2fa/") && body["success"] == false && body["error"].is_string();
    if answer.status >= 400 && !is_envelope(&body) && !is_bare {
        return Err(format!("no envelope: {answer:?}"));
    }
    Ok(())
}

fn is_envelope(body: &Value) -> bool {
    const TYPES: [&str; 5] =
        ["validation_error", "authentication_error", "invalid_request", "throttled_error", "server_error"];
    let Some(fields) = body.as_object() else { return false };
    let names: Vec<&str> = fields.keys().map(String::as_str).collect();
    names == ["type", "code", "detail", "attr"]
        && TYPES.iter().any(|kind| body["type"] == *kind)
        && body["code"].is_string()
        && body["detail"].is_string()
        && (body["attr"].is_string() || body["attr"].is_null())
}

// ---- callers ----------------------------------------------------------------------------------------------------

/// Everybody who sends nonsense.
struct Callers {
    server: Server,
    people: Vec<Caller>,
    made: usize,
}

struct Caller {
    person: Person,
    client: Client,
    authenticator: Option<Authenticator>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Anonymous,
    Plain,
    WithFactor,
    Key,
    Staff,
    Pending,
}

const KINDS: [Kind; 6] = [Kind::Anonymous, Kind::Plain, Kind::WithFactor, Kind::Key, Kind::Staff, Kind::Pending];

impl Callers {
    fn new() -> Self {
        let mut callers = Self { server: server(), people: Vec::new(), made: 0 };
        callers.people = KINDS.iter().map(|kind| callers.make(*kind)).collect();
        callers
    }

    fn make(&mut self, kind: Kind) -> Caller {
        self.made += 1;
        let server = &self.server;
        let email = format!("caller{}@example.com", self.made);
        let person = if kind == Kind::Staff { server.staff(&email) } else { server.user(&email) };
        let mut client = server.login(&person);
        let has_factor = matches!(kind, Kind::WithFactor | Kind::Pending);
        let authenticator = has_factor.then(|| client.enrol(server));
        match kind {
            Kind::Anonymous => client = server.client(),
            Kind::Key => client = server.key_of(&client, &["*"]),
            Kind::Pending => {
                client.new_backup_codes();
                client = server.client();
                client.login(&person).wants_second_factor();
            }
            Kind::Plain | Kind::WithFactor | Kind::Staff => {}
        }
        Caller { person, client, authenticator }
    }

    /// The caller of this kind; a new one when nonsense has ended the old one's credentials.
    fn get(&mut self, kind: Kind) -> &mut Caller {
        let at = KINDS.iter().position(|other| *other == kind).unwrap();
        let needs_login = !matches!(kind, Kind::Anonymous | Kind::Pending);
        if needs_login && self.people[at].client.get(ME).status == 401 {
            self.people[at] = self.make(kind);
        }
        &mut self.people[at]
    }
}

// ---- the property -----------------------------------------------------------------------------------------------

/// A request that somebody made up.
#[derive(Clone, Debug)]
struct Nonsense {
    kind: Kind,
    method: String,
    template: String,
    segments: Vec<String>,
    ending: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    None,
    Json(Value),
    Bytes(&'static str, Vec<u8>),
}

/// Spec §1, §3: no bad input gives a 5xx.
#[test]
fn no_nonsense_is_a_fault() {
    let cases = std::env::var("DOORWARD_HOSTILE_CASES").map_or(600, |cases| cases.parse().unwrap());
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let callers = std::cell::RefCell::new(Callers::new());
    let outcome = TestRunner::new(config).run(&nonsense(), |nonsense| {
        let mut callers = callers.borrow_mut();
        let request = nonsense.request(&mut callers);
        let answer = ask(&callers.server, &request);
        check(&nonsense.method, &nonsense.path(&callers), answer.as_ref()).map_err(|reason| {
            TestCaseError::fail(format!("{reason}\n{}", String::from_utf8_lossy(&request).get(..3000).unwrap_or("...")))
        })
    });
    let callers = callers.into_inner();
    if let Err(error) = outcome {
        let log = callers.server.log();
        let faults: Vec<&str> =
            log.lines().filter(|line| line.contains("ERROR") || line.contains("panicked")).collect();
        panic!("{error}\n{faults:#?}");
    }
    is_well(&callers.server);
}

#[track_caller]
fn is_well(server: &Server) {
    server.client().get(HEALTH).is(200);
    let log = server.log();
    assert!(!log.contains("panicked"), "{log}");
}

impl Nonsense {
    fn path(&self, callers: &Callers) -> String {
        let mut segments = self.segments.iter();
        let parts: Vec<String> = self
            .template
            .split('/')
            .map(|part| if part.starts_with('{') { segments.next().unwrap().clone() } else { part.to_owned() })
            .collect();
        let path = format!("{}{}", parts.join("/"), self.ending);
        let other = &callers.people[1].person;
        path.replace("<uuid>", &other.uuid).replace("<id>", &other.id.to_string())
    }

    fn request(&self, callers: &mut Callers) -> Vec<u8> {
        let path = {
            callers.get(self.kind);
            self.path(callers)
        };
        let now = callers.server.now();
        let caller = callers.get(self.kind);
        let code = caller.authenticator.as_ref().map_or_else(|| "123456".to_owned(), |it| it.code_of(now / 30));
        let mut request = caller.client.request(&self.method, &path);
        request = match &self.body {
            Body::None => request,
            Body::Json(value) => {
                let text = value
                    .to_string()
                    .replace("<password>", &caller.person.password)
                    .replace("<email>", &caller.person.email)
                    .replace("<uuid>", &caller.person.uuid)
                    .replace("<code>", &code);
                request.body("application/json", text)
            }
            Body::Bytes(content_type, bytes) => request.body(content_type, bytes.clone()),
        };
        for (name, value) in &self.headers {
            request = request.header_bytes(name, value);
        }
        request.into_bytes()
    }
}

fn nonsense() -> impl Strategy<Value = Nonsense> {
    let method = prop_oneof![
        8 => select(vec!["GET", "POST", "PUT", "PATCH", "DELETE"]).prop_map(str::to_owned),
        1 => select(vec!["HEAD", "OPTIONS", "TRACE", "BREW", "get", "M-SEARCH", "A"]).prop_map(str::to_owned),
        1 => "[A-Z]{1,60}".prop_filter("a tunnel has no path", |method| method != "CONNECT"),
    ];
    let endpoint = prop_oneof![
        2 => (method, select(templates())),
        6 => select(endpoints()),
        // The one with the most fields.
        2 => Just(("PATCH".to_owned(), "/api/users/{uuid}".to_owned())),
    ];
    let headers = prop_oneof![2 => Just(Vec::new()), 1 => vec(header(), 1..3)];
    let path = (endpoint, vec(segment(), 2), ending());
    (select(KINDS.to_vec()), path, headers, body()).prop_map(|(kind, path, headers, body)| {
        let ((method, template), segments, ending) = path;
        Nonsense { kind, method, template, segments, ending, headers, body }
    })
}

fn segment() -> impl Strategy<Value = String> {
    let known = [
        "@me",
        "%40me",
        "<uuid>",
        "<id>",
        "0",
        "-1",
        "18446744073709551616",
        "00000000-0000-0000-0000-000000000000",
        "01a20922-8b2a-7359-b91f-c4f94334f59a",
        "%00",
        "%ff",
        "%",
        "%2",
        "%zz",
        "..",
        "%2e%2e",
        "@me%2f..",
        "%2F",
        "",
        "caller1@example.com",
        "caller1%40example.com",
        "%F0%9F%94%91",
        "%E2%80%AE",
        "{uuid}",
        "*",
        "a;b=c",
        "@ME",
        "null",
    ];
    prop_oneof![
        6 => Just("@me".to_owned()),
        2 => Just("<uuid>".to_owned()),
        4 => select(known.to_vec()).prop_map(str::to_owned),
        1 => "[!-~&&[^#? ]]{1,40}",
        1 => (1_usize..6000).prop_map(|length| "a".repeat(length)),
        1 => vec(any::<u8>(), 1..30).prop_map(|bytes| bytes.iter().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat()),
    ]
}

fn ending() -> impl Strategy<Value = String> {
    let known = [
        "",
        "",
        "",
        "/",
        "//",
        "/..",
        "?",
        "?limit=0",
        "?limit=-1",
        "?limit=99999999999999999999",
        "?limit=a&offset=b",
        "?offset=18446744073709551615",
        "?limit=1000&offset=9223372036854775807",
        "?email=%ff&is_staff=maybe",
        "?email=%00",
        "?personal_api_key=phx_nonsense",
        "?personal_api_key=",
        "?%ff=%ff&&==&",
        "?next=//evil.example",
        "?token=%F0%9F%94%91",
        "?token=",
        "?a=1;b=2#x",
    ];
    prop_oneof![6 => select(known.to_vec()).prop_map(str::to_owned), 1 => "\\?[!-~&&[^#]]{0,60}"]
}

fn header() -> impl Strategy<Value = (String, Vec<u8>)> {
    let names = [
        "accept",
        "authorization",
        "cookie",
        "x-csrftoken",
        "origin",
        "referer",
        "sec-fetch-site",
        "user-agent",
        "content-encoding",
        "accept-language",
        "x-forwarded-for",
        "forwarded",
        "x-http-method-override",
        "if-match",
        "range",
        "access-control-request-method",
        "content-type",
        "x-request-id",
        "upgrade",
        "te",
    ];
    let values: [&[u8]; 30] = [
        b"",
        b"*/*",
        b"text/html",
        b"application/json;q=0",
        b"Bearer",
        b"Bearer ",
        b"Bearer phx_",
        b"Bearer pha_x",
        b"bearer phx_x",
        b"Basic YTpi",
        b"sessionid=",
        b"sessionid=x; sessionid=y",
        b"sessionid=\"x",
        b"=;=;;",
        b"posthog_csrftoken=\xff; remember-cookie_x=y",
        b"null",
        b"https://evil.example",
        b"cross-site",
        b"\xff\xfe",
        b"gzip",
        b"bytes=0-1",
        b"multipart/form-data",
        b"multipart/form-data; boundary=",
        b"application/json; charset=x",
        b"application/x-www-form-urlencoded",
        b"text/plain",
        b"127.0.0.1, ::1",
        b"POST",
        b"websocket",
        b"trailers",
    ];
    let value = prop_oneof![
        6 => select(values.to_vec()).prop_map(<[u8]>::to_vec),
        1 => vec(select((0x20..=0x7e).chain(0x80..=0xff).collect::<Vec<u8>>()), 0..80),
        1 => (1_usize..8000).prop_map(|length| vec![b'x'; length]),
    ];
    (select(names.to_vec()).prop_map(str::to_owned), value)
}

const FIELDS: [&str; 60] = [
    "email",
    "password",
    "current_password",
    "token",
    "code",
    "uuid",
    "first_name",
    "last_name",
    "is_staff",
    "notification_settings",
    "anonymize_data",
    "toolbar_mode",
    "theme_mode",
    "role_at_organization",
    "hedgehog_config",
    "has_seen_product_intro_for",
    "events_column_config",
    "scene_personalisation",
    "ui_configuration",
    "shortcut_position",
    "hide_mcp_hints",
    "allow_sidebar_suggestions",
    "allow_impersonation",
    "passkeys_enabled_for_2fa",
    "set_current_organization",
    "set_current_team",
    "team",
    "organization",
    "id",
    "is_email_verified",
    "pending_email",
    "distinct_id",
    "date_joined",
    "label",
    "scopes",
    "scoped_teams",
    "scoped_organizations",
    "description",
    "remember",
    "next",
    "personal_api_key",
    "csrfmiddlewaretoken",
    "username",
    "requires_credential_review",
    "has_password",
    "is_2fa_enabled",
    "organizations",
    "team_id",
    "theme",
    "plugin_disabled",
    "error_tracking_issue_assigned",
    "onboarding_skipped_at",
    "onboarding_skipped_reason",
    "is_impersonated",
    "user",
    "data",
    "type",
    "attr",
    "",
    "\u{0}",
];

fn body() -> impl Strategy<Value = Body> {
    let field = select(FIELDS.to_vec()).prop_map(str::to_owned);
    let object = vec((field.clone(), value()), 0..6).prop_map(|fields| Body::Json(fields.into_iter().collect()));
    let form = vec((field, select(TEXTS.to_vec())), 0..6).prop_map(|fields| {
        let mut form = form_urlencoded::Serializer::new(String::new());
        Body::Bytes("application/x-www-form-urlencoded", form.extend_pairs(fields).finish().into_bytes())
    });
    let multipart = (select(FIELDS.to_vec()), select(TEXTS.to_vec())).prop_map(|(name, value)| {
        let text = format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n--x--\r\n");
        Body::Bytes("multipart/form-data; boundary=x", text.into_bytes())
    });
    let content_type = select(vec![
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "multipart/form-data",
        "text/plain",
        "application/octet-stream",
    ]);
    prop_oneof![
        1 => Just(Body::None),
        8 => object,
        1 => value().prop_map(Body::Json),
        2 => form,
        1 => multipart,
        1 => (content_type, vec(any::<u8>(), 0..200)).prop_map(|(kind, bytes)| Body::Bytes(kind, bytes)),
        2 => select(broken_bodies()).prop_map(|(kind, bytes)| Body::Bytes(kind, bytes)),
    ]
}

const TEXTS: [&str; 44] = [
    "",
    " ",
    "a",
    "<password>",
    "<email>",
    "<uuid>",
    "<code>",
    "@me",
    "true",
    "yes",
    "0",
    "-1",
    "1e400",
    "null",
    "new address@example.com",
    "ada+tag@example.com",
    "NEW@EXAMPLE.COM",
    "a@b",
    "\"@\"@example.com",
    "üñí@exämple.com",
    "x@xn--a.com",
    "correct horse battery staple 9",
    "short",
    "*",
    "user:read",
    "user:write",
    "all:all",
    "dark",
    "toolbar",
    "engineering",
    "above",
    "\u{0}",
    "a\u{0}b",
    "\r\nSet-Cookie: x=y",
    "\u{202e}txt.exe",
    "\u{1b}[31mred",
    "👩‍👩‍👧‍👦",
    "\u{feff}",
    "\u{ffff}",
    "{{ 7 * 7 }}",
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "2025-09-01T12:34:56Z",
    "123 456",
];

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        10 => select(TEXTS.to_vec()).prop_map(|text| json!(text)),
        1 => Just(Value::Null),
        2 => any::<bool>().prop_map(|it| json!(it)),
        1 => any::<i64>().prop_map(|it| json!(it)),
        1 => any::<u64>().prop_map(|it| json!(it)),
        1 => select(vec![0, 1, -1, 123_456, 1_000_000]).prop_map(|it| json!(it)),
        1 => any::<f64>().prop_map(|it| json!(it)),
        1 => any::<String>().prop_map(|it| json!(it)),
        1 => (0_usize..20_000).prop_map(|length| json!("x".repeat(length))),
        1 => (0_usize..300).prop_map(|length| json!("\u{1f511}".repeat(length))),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::Array),
            vec((select(FIELDS.to_vec()).prop_map(str::to_owned), inner), 0..6)
                .prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

// ---- broken bodies on every endpoint ----------------------------------------------------------------------------

fn broken_bodies() -> Vec<(&'static str, Vec<u8>)> {
    const JSON: &str = "application/json";
    const FORM: &str = "application/x-www-form-urlencoded";
    let nested = |open: &str, close: &str| format!("{}1{}", open.repeat(5_000), close.repeat(5_000)).into_bytes();
    vec![
        (JSON, b"{".to_vec()),
        (JSON, b" ".to_vec()),
        (JSON, b"[]".to_vec()),
        (JSON, b"null".to_vec()),
        (JSON, b"\"text\"".to_vec()),
        (JSON, b"1e999".to_vec()),
        (JSON, b"NaN".to_vec()),
        (JSON, b"{\"token\": 1e999, \"uuid\": 1}".to_vec()),
        (JSON, b"{\"token\": 123456789012345678901234567890, \"email\": -0.0}".to_vec()),
        (JSON, b"{\"email\": \"\\ud800\", \"uuid\": \"\\ud800\"}".to_vec()),
        (JSON, b"{\"email\": \"\xff\xfe\"}".to_vec()),
        (JSON, b"\xef\xbb\xbf{}".to_vec()),
        (JSON, b"{\"email\":\"a@b.example\",\"email\":1,\"email\":null,\"password\":[],\"password\":{}}".to_vec()),
        (JSON, nested("[", "]")),
        (JSON, nested("{\"a\":", "}")),
        (JSON, format!("{{\"notification_settings\": {}1{}}}", "[".repeat(100), "]".repeat(100)).into_bytes()),
        (FORM, b"%".to_vec()),
        (FORM, b"%zz=%ff&=&&&token".to_vec()),
        (FORM, b"email=\xff".to_vec()),
        (FORM, "a=1&".repeat(5_000).into_bytes()),
        ("multipart/form-data", b"--x".to_vec()),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\n".to_vec()),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=token\r\n\r\n\xff".to_vec()),
        ("application/xml", b"<a/>".to_vec()),
        ("", b"{}".to_vec()),
        ("application/json; charset=utf-16", b"\xff\xfe{\0}\0".to_vec()),
    ]
}

/// Malformed JSON, wrong types, 2 MiB bodies, invalid UTF-8, missing fields, in each endpoint.
#[test]
fn broken_bodies_are_refused_everywhere() {
    let mut callers = Callers::new();
    for template in templates() {
        let path = template.replace("{uuid}", "@me").replace("{id}", "nonsense").replace("{token}", "nonsense");
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            for (content_type, body) in broken_bodies() {
                // Nobody is deleted or logged out here: that needs no body.
                let kind =
                    if path.contains("logout") || method == "DELETE" { Kind::Anonymous } else { Kind::WithFactor };
                let request = callers.get(kind).client.request(method, &path).body(content_type, body).into_bytes();
                let answer = ask(&callers.server, &request);
                let shown = String::from_utf8_lossy(&request).chars().take(800).collect::<String>();
                check(method, &path, answer.as_ref()).unwrap_or_else(|reason| panic!("{reason}\n{shown}"));
            }
        }
    }
    is_well(&callers.server);
}

/// Wrong types for each field.
#[test]
fn wrong_types_are_refused_in_every_field() {
    let mut callers = Callers::new();
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(u64::MAX),
        json!(""),
        json!("\u{0}"),
        json!("x".repeat(10_000)),
        json!([]),
        json!([null, 1, "a", {}]),
        json!({}),
        json!({"a": {"b": [1]}, "": null}),
        deep,
    ];
    for field in FIELDS {
        for value in &values {
            let body = json!({ field: value });
            for path in [ME, "/api/login", "/api/users/verify_email", "/api/personal_api_keys"] {
                let method = if path == ME { "PATCH" } else { "POST" };
                let client = &callers.get(Kind::Staff).client;
                let request = client.request(method, path).json(body.clone()).into_bytes();
                let answer = ask(&callers.server, &request);
                check(method, path, answer.as_ref()).unwrap_or_else(|reason| panic!("{body:.200}: {reason}"));
            }
        }
    }
    is_well(&callers.server);
}

/// Spec §1.1: 1 MiB, and 413 beyond it, whether or not the length is said.
#[test]
fn large_bodies_are_refused_everywhere() {
    let server = server();
    let client = server.client();
    let large = format!("{{\"email\": \"{}\"}}", "a".repeat(2 * 1024 * 1024)).into_bytes();
    for template in templates() {
        let path = template.replace("{uuid}", "@me").replace("{id}", "nonsense").replace("{token}", "nonsense");
        for method in ["POST", "PUT", "PATCH"] {
            let request = client.request(method, &path).body("application/json", large.clone()).into_bytes();
            let answer = ask(&server, &request);
            check(method, &path, answer.as_ref()).unwrap_or_else(|reason| panic!("{method} {path}: {reason}"));
        }
    }
    for path in ["/api/login", "/api/users/verify_email"] {
        let request = client.request("POST", path).body("application/json", large.clone()).into_bytes();
        let answer = ask(&server, &request).unwrap();
        assert_eq!((answer.status, answer.header("connection")), (413, "close"), "{answer:?}");

        // Two MiB in chunks, and more than the server has patience for.
        for (chunks, end) in [(32, "0\r\n\r\n"), (160, "")] {
            let mut wire = Wire::open(&server);
            let head = "host: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
            wire.send(format!("POST {path} HTTP/1.1\r\n{head}")).unwrap();
            let chunk = [b"10000\r\n".as_slice(), "a".repeat(0x10000).as_bytes(), b"\r\n"].concat();
            // The server need not take it all; who sends far too much may find the connection broken.
            let _ = (0..chunks).all(|_| wire.send(&chunk).is_ok()) && wire.send(end).is_ok();
            let answer = Answer::parse(&wire.rest());
            let status = answer.as_ref().map(|answer| answer.status);
            assert!(status == Some(413) || (end.is_empty() && status.is_none()), "{answer:?}");
        }
    }
    is_well(&server);
}

/// Somebody who makes as much of everything as the server lets him can still be reset, ended and deleted.
#[test]
fn much_of_everything_is_no_trouble() {
    let server = server();
    let person = server.user("ada@example.com");
    let owner = server.login(&person);
    let mut authenticator = owner.enrol(&server);
    let mut last = owner.clone();
    for _ in 0..30 {
        let client = server.client();
        client.login(&person).wants_second_factor();
        client.post("/api/login/token", json!({"token": authenticator.code(&server)})).is(200);
        client.get("/api/users/@me/two_factor_start_setup").is(200);
        last = client;
    }
    while last.post("/api/personal_api_keys", key_body()).status == 201 {}
    for n in 0..200 {
        let email = format!("unknown{n}@example.com");
        server.client().post("/api/login", json!({"email": email, "password": "nonsense"})).is(400);
        server.client().post("/api/login", json!({"email": person.email, "password": "nonsense"}));
    }
    let email = person.email.as_str();
    let shown = server.cli(&["user", "show", email, "--json"]).json();
    assert_eq!(shown["api_keys"].as_array().unwrap().len(), 10, "{shown}");
    let reason = "lost phone, HD-4711";
    server.cli(&["2fa", "unlock", email, "--reason", reason]).is(0);
    server.cli(&["2fa", "reset", email, "--reason", reason, "--revoke-keys", "--yes"]).is(0);
    last.get(ME).is_anonymous();
    let person = server.user("bea@example.com");
    let email = person.email.as_str();
    for _ in 0..120 {
        last = server.login(&person);
        last.get("/api/users/@me/two_factor_start_setup").is(200);
    }
    while last.post("/api/personal_api_keys", key_body()).status == 201 {}
    server.cli(&["session", "list", email]).is(0);
    last.request("DELETE", ME).send().is(204);
    server.cli(&["user", "show", email]).is(3);
    last.get(ME).is_anonymous();
    server.user(email);
    is_well(&server);
}

fn key_body() -> Value {
    json!({"label": "much", "scopes": ["*"], "scoped_teams": [], "scoped_organizations": []})
}

// ---- bad clients ------------------------------------------------------------------------------------------------

const GET_HEALTH: &str = "GET /_health HTTP/1.1\r\nhost: a\r\n\r\n";

/// A server that waits for a second at most.
fn impatient_server() -> Server {
    Server::builder().setting("server.request_timeout_ms", "1000").start()
}

/// Sends a byte every now and then, until the server has had enough.
fn dribble(wire: &mut Wire, bytes: &[u8]) -> Vec<u8> {
    for byte in bytes {
        if wire.send([*byte]).is_err() {
            return wire.rest();
        }
        if let Some(said) = wire.some_within(Duration::from_millis(100)) {
            return said;
        }
    }
    panic!("the server took {} bytes, one by one", bytes.len());
}

/// A slow client is cut off without harm.
#[test]
fn slow_clients_are_cut_off_while_others_are_served() {
    let server = impatient_server();
    let slow_head = format!("GET /_health HTTP/1.1\r\nx: {}", "y".repeat(600));
    let slow_body =
        "POST /api/login HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 600\r\n\r\n";
    std::thread::scope(|scope| {
        let heads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| dribble(&mut Wire::open(&server), slow_head.as_bytes()))).collect();
        let bodies: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut wire = Wire::open(&server);
                    wire.send(slow_body).unwrap();
                    let mut said = dribble(&mut wire, " ".repeat(600).as_bytes());
                    said.extend(wire.rest());
                    said
                })
            })
            .collect();
        let silent = Wire::open(&server);
        while !heads.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            server.client().get(HEALTH).is(200);
        }
        for thread in bodies {
            let answer = Answer::parse(&thread.join().unwrap()).expect("an answer to a slow body");
            assert_eq!((answer.status, answer.header("connection")), (408, "close"), "{answer:?}");
            check("POST", "/api/login", Some(&answer)).unwrap();
        }
        let mut silent = silent;
        assert_eq!(silent.rest(), b"", "who says nothing is told nothing");
    });
    is_well(&server);
}

/// Connections that say nothing do not keep the others out for longer than the time for a head.
#[test]
fn silent_clients_make_room() {
    let server =
        Server::builder().setting("server.request_timeout_ms", "1000").setting("server.max_connections", "4").start();
    let silent: Vec<Wire> = (0..8).map(|_| Wire::open(&server)).collect();
    server.client().get(HEALTH).is(200);
    drop(silent);
}

/// One address does not hold all connections; a trusted proxy has many clients and may.
#[test]
fn one_address_does_not_hold_all_connections() {
    let limited = || Server::builder().setting("server.max_connections_per_address", "3");
    let server = limited().start();
    let begun = |server: &Server| {
        let mut wire = Wire::open(server);
        wire.send("GET /_health HTTP/1.1\r\nhost: a\r\n\r\n").map(|()| wire.some_within(Duration::from_secs(50)))
    };
    let mut held: Vec<Wire> = (0..3).map(|_| Wire::open(&server)).collect();
    for wire in &mut held {
        wire.send("GET /_health HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        assert!(!wire.some().is_empty());
    }
    // Closed without a word; whether the reset comes before the request is sent is chance.
    if let Ok(said) = begun(&server) {
        assert_eq!(said.as_deref(), Some(&b""[..]));
    }
    held.pop();
    wait_for("a place", || matches!(begun(&server), Ok(Some(said)) if !said.is_empty()).then_some(()));

    let behind = limited().setting("server.trusted_proxies", "[\"127.0.0.1\"]").start();
    let _held: Vec<Wire> = (0..8).map(|_| Wire::open(&behind)).collect();
    behind.client().get(HEALTH).is(200);
}

// ---- HTTP/2, frame by frame -------------------------------------------------------------------------------------

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `GET http://a/` as the compression of heads has it.
const GET_ROOT: &[u8] = &[0x82, 0x86, 0x84, 0x41, 1, b'a'];
/// The code of a connection that is closed because its client asks too much.
const ENHANCE_YOUR_CALM: u8 = 11;

fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), content].concat()
}

/// A connection that has begun to speak HTTP/2.
fn http2(server: &Server) -> Wire {
    let mut wire = Wire::open(server);
    wire.send([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &frame(4, 0, 0, &[])].concat()).unwrap();
    assert_eq!(wire.some().get(3), Some(&4), "it answers with its settings");
    wire
}

/// Sends pieces until the server has had enough; true when it had before they ended.
fn is_cut_off(mut wire: Wire, pieces: impl Iterator<Item = Vec<u8>>) -> bool {
    for piece in pieces {
        if wire.send(piece).is_err() {
            return true;
        }
    }
    let goodbye = frame(7, 0, 0, &[]);
    let said = wire.rest();
    said.windows(17).any(|words| words[3..9] == goodbye[3..9] && words[16] == ENHANCE_YOUR_CALM)
}

/// Streams that are opened and taken back at once (CVE-2023-44487) cost the client its connection.
#[test]
fn rapid_resets_are_cut_off() {
    let server = server();
    let resets = (0..20_000_u32).step_by(100).map(|first| {
        let pairs = (first..first + 100).flat_map(|number| {
            let stream = 2 * number + 1;
            let opened = frame(HEADERS, END_HEADERS | END_STREAM, stream, GET_ROOT);
            [opened, frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
        });
        pairs.collect()
    });
    assert!(is_cut_off(http2(&server), resets));
    is_well(&server);
}

/// A head that never ends (CVE-2024-27316) does as well, whether it says something or nothing.
#[test]
fn endless_heads_are_cut_off() {
    let server = server();
    for size in [0, 16_384] {
        // A field that is not kept, of a name and a value of one letter, again and again.
        let content: Vec<u8> = [0, 1, b'x', 1, b'y'].iter().copied().cycle().take(size / 5 * 5).collect();
        let begun = std::iter::once(frame(HEADERS, END_STREAM, 1, GET_ROOT));
        let on = (0..100_000).map(|_| frame(CONTINUATION, 0, 1, &content));
        assert!(is_cut_off(http2(&server), begun.chain(on)), "{size}");
    }
    is_well(&server);
}

/// A connection that takes no more than heads, and has asked for the whole description many times.
fn without_window(server: &Server) -> Wire {
    const INITIAL_WINDOW_SIZE: u8 = 4;
    let mut wire = Wire::open(server);
    let path = b"/api/schema";
    let ask: Vec<u8> = [&[0x82, 0x86, 0x41, 1, b'a', 4, u8::try_from(path.len()).unwrap()], &path[..]].concat();
    let asked = (0..60).flat_map(|number| frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, &ask));
    let settings = frame(4, 0, 0, &[0, INITIAL_WINDOW_SIZE, 0, 0, 0, 0]);
    let begun = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &settings].concat();
    wire.send(begun.into_iter().chain(asked).collect::<Vec<_>>()).unwrap();
    wire
}

/// Who asks and does not take the answer is cut off, and has cost no more than a few buffers until then.
#[test]
fn clients_that_do_not_take_their_answers_are_cut_off() {
    const CLIENTS: usize = 20;
    let server = impatient_server();
    server.client().get("/api/schema").is(200);
    let mut after_rounds = Vec::new();
    for _ in 0..3 {
        let (sockets, before) = server.sockets_and_memory();
        let asking = "GET /api/schema HTTP/1.1\r\nhost: a\r\n\r\n".repeat(60);
        let mut stalled: Vec<Wire> = (0..CLIENTS).map(|_| without_window(&server)).collect();
        stalled.extend((0..CLIENTS).map(|_| {
            let mut wire = Wire::open(&server);
            wire.send(&asking).unwrap();
            wire
        }));
        wait_for("the stalled", || (server.sockets_and_memory().0 >= sockets + 2 * CLIENTS).then_some(()));
        is_well(&server);
        let (_, meanwhile) = server.sockets_and_memory();
        // What they asked for is more than a gigabyte.
        assert!(meanwhile < before + 100_000_000, "{meanwhile} bytes, {before} before");
        wait_for("the end of the stalled", || (server.sockets_and_memory().0 <= sockets).then_some(()));
        after_rounds.push(server.sockets_and_memory().1);
        drop(stalled);
    }
    assert!(after_rounds[2] < after_rounds[0] + 10_000_000, "{after_rounds:?}");
    is_well(&server);
}

// ---- HTTP/1 -----------------------------------------------------------------------------------------------------

/// An oversized client is cut off without harm.
#[test]
fn oversized_heads_are_refused() {
    let server = Server::start();
    let long = format!("x: {}\r\n", "y".repeat(100 * 1024));
    let many = (0..300).map(|n| format!("x{n}: y\r\n")).collect::<Vec<_>>().concat();
    for (line, headers) in [
        ("GET /_health HTTP/1.1", long.as_str()),
        ("GET /_health HTTP/1.1", many.as_str()),
        (&format!("GET /{} HTTP/1.1", "a".repeat(100 * 1024)), ""),
    ] {
        let answer = ask(&server, format!("{line}\r\nhost: a\r\n{headers}\r\n").as_bytes());
        let status = answer.map(|answer| answer.status);
        assert!(matches!(status, Some(400 | 414 | 431) | None), "{status:?}");
    }
    // A few more than a browser sends are fine.
    let some = (0..60).map(|n| format!("x{n}: {}\r\n", "y".repeat(100))).collect::<Vec<_>>().concat();
    let request = format!("GET /_health HTTP/1.1\r\nconnection: close\r\nhost: a\r\n{some}\r\n");
    assert_eq!(ask(&server, request.as_bytes()).unwrap().status, 200);
    is_well(&server);
}

#[test]
fn bytes_that_are_no_requests_are_refused() {
    let server = Server::start();
    let login = "POST /api/login HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
    let cases: Vec<Vec<u8>> = vec![
        vec![0; 5_000],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense nonsense nonsense".to_vec(),
        b"GET /\r\n\r\n".to_vec(),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        b"GET /\xff HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(),
        b"GET http://[::1 HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(),
        b"G\0T / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nhost: a\r\n x: folded\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nx y: z\r\n\r\n".to_vec(),
        b"CONNECT example.com:443 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".to_vec(),
        b"OPTIONS * HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".to_vec(),
        format!("{login}content-length: -1\r\n\r\n").into_bytes(),
        format!("{login}content-length: 99999999999999999999999\r\n\r\n").into_bytes(),
        format!("{login}content-length: 1\r\ncontent-length: 2\r\n\r\nab").into_bytes(),
        format!("{login}transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\na").into_bytes(),
        format!("{login}transfer-encoding: chunked\r\n\r\nnonsense\r\n").into_bytes(),
        format!("{login}transfer-encoding: gzip\r\n\r\n").into_bytes(),
        format!(
            "{login}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n"
        )
        .into_bytes(),
    ];
    for bytes in cases {
        let mut wire = Wire::open(&server);
        drop(wire.send(&bytes));
        wire.close_half();
        let said = wire.rest();
        let text = String::from_utf8_lossy(&said);
        // Never a fault, and never an answer to what was smuggled.
        assert!(!text.starts_with("HTTP/1.1 5"), "{:?}: {text}", String::from_utf8_lossy(&bytes));
        assert!(text.matches("HTTP/1.1 ").count() <= 1, "{:?}: {text}", String::from_utf8_lossy(&bytes));
        server.client().get(HEALTH).is(200);
    }
    is_well(&server);
}

/// A client that has said everything may still listen.
#[test]
fn a_half_closed_connection_is_answered() {
    let server = Server::start();
    let mut wire = Wire::open(&server);
    wire.send(GET_HEALTH).unwrap();
    wire.close_half();
    assert_eq!(Answer::parse(&wire.rest()).expect("an answer").status, 200);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::start();
    let mut wire = Wire::open(&server);
    let mut bytes = String::new();
    for n in 0..50 {
        let path = if n % 2 == 0 { HEALTH.to_owned() } else { format!("/api/nothing{n}") };
        let last = if n == 49 { "connection: close\r\n" } else { "" };
        bytes.extend(["GET ", &path, " HTTP/1.1\r\nhost: a\r\n", last, "\r\n"]);
    }
    wire.send(bytes).unwrap();
    let said = String::from_utf8(wire.rest()).unwrap();
    let statuses: Vec<&str> = said.split("HTTP/1.1 ").skip(1).map(|answer| answer.split(' ').next().unwrap()).collect();
    assert_eq!(statuses.len(), 50);
    for (n, status) in statuses.iter().enumerate() {
        assert_eq!(*status, if n % 2 == 0 { "200" } else { "404" }, "answer {n}");
    }
}

/// Clients that go away in the middle leave nothing behind.
#[test]
fn clients_that_go_away_do_no_harm() {
    let server = Server::builder().setting("server.max_connections", "8").start();
    for n in 0..100 {
        let mut wire = Wire::open(&server);
        let login =
            "POST /api/login HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 60\r\n\r\n{";
        wire.send(&login[..n % login.len()]).unwrap();
    }
    // Who asks and does not wait for the answer.
    for _ in 0..100 {
        Wire::open(&server).send(GET_HEALTH).unwrap();
    }
    is_well(&server);
}

// ---- stopping ---------------------------------------------------------------------------------------------------

/// A login without its last byte.
fn half_a_login(server: &Server, person: &Person) -> Wire {
    let bytes = server.client().request("POST", "/api/login").json(person.credentials()).into_bytes();
    let mut wire = Wire::open(server);
    wire.send(&bytes[..bytes.len() - 1]).unwrap();
    wire
}

/// SIGTERM drains and exits 0 within its deadline.
#[test]
fn a_request_under_way_is_answered_before_the_stop() {
    let mut server = Server::start();
    let person = server.user("ada@example.com");
    let expecting = |wire: &mut Wire| {
        let body = person.credentials().to_string();
        let head = format!(
            "POST /api/login HTTP/1.1\r\nhost: a\r\nconnection: close\r\nexpect: 100-continue\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        wire.send(head).unwrap();
        // Says that the server is in the middle of this request.
        assert!(wire.some().starts_with(b"HTTP/1.1 100"));
        body
    };
    let mut wire = Wire::open(&server);
    let body = expecting(&mut wire);
    server.terminate();
    server.wait_for_log("stopping");
    wire.send(body).unwrap();
    let answer = Answer::parse(&wire.rest()).expect("an answer");
    assert_eq!(answer.status, 200, "{answer:?}");
    server.ends_with(0);
    // What was promised is kept.
    let cookie = answer.header("set-cookie").split(['=', ';']).nth(1).unwrap().to_owned();
    server.start_again();
    let client = server.client();
    client.set_cookie("sessionid", &cookie);
    client.keep_cookies(&answer.headers);
    client.get(ME).is(200);
}

#[test]
fn an_idle_server_stops_at_once() {
    let mut server = Server::builder().setting("server.shutdown_timeout_ms", "60000").start();
    // Connections that are open and idle do not count.
    let mut idle = Wire::open(&server);
    idle.send(GET_HEALTH).unwrap();
    assert!(!idle.some().is_empty());
    let mut silent = Wire::open(&server);
    server.terminate();
    // The harness has no patience for the sixty seconds.
    server.ends_with(0);
    assert_eq!(idle.rest(), b"");
    assert_eq!(silent.rest(), b"");
}

#[test]
fn a_request_that_never_ends_does_not_keep_the_server() {
    let mut server = Server::builder().setting("server.shutdown_timeout_ms", "300").start();
    let person = server.user("ada@example.com");
    let mut wire = half_a_login(&server, &person);
    server.client().get(HEALTH).is(200);
    server.terminate();
    server.ends_with(0);
    drop(wire.rest());
    server.start_again();
    server.login(&person);
}

#[test]
fn a_second_signal_ends_the_server_at_once() {
    let mut server = Server::builder().setting("server.shutdown_timeout_ms", "60000").start();
    let person = server.user("ada@example.com");
    let wire = half_a_login(&server, &person);
    server.client().get(HEALTH).is(200);
    server.terminate();
    server.wait_for_log("stopping");
    server.terminate();
    server.ends_with(128 + 15);
    drop(wire);
    server.start_again();
    server.login(&person);
}
