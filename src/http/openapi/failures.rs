//! The errors that an endpoint can give, and how they are written down: each code as an example.

use std::collections::BTreeMap;

use hyper::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::assemble::{changes, limits, scope_of};
use super::describe::{Description, ErrorCase};
use super::schema::{put, reference};
use crate::app::App;
use crate::app::permission::{KeyRule, Who};
use crate::domain::input::{Input, Kind};
use crate::http::router::Endpoint;

/// The envelope of spec §1.5.
pub fn schema() -> Value {
    let kinds = ["validation_error", "authentication_error", "invalid_request", "throttled_error", "server_error"];
    json!({
        "type": "object",
        "description": "Every error of the API. `code` is stable and meant for programs, `detail` for people.",
        "required": ["type", "code", "detail", "attr"],
        "properties": {
            "type": {"type": "string", "enum": kinds},
            "code": {"type": "string", "description": "What went wrong, for programs."},
            "detail": {"type": "string", "description": "What went wrong, in one sentence."},
            "attr": {
                "type": ["string", "null"],
                "description": "The field that is meant, or null. Names of nested fields are joined with two underscores.",
            },
        },
        "additionalProperties": false,
    })
}

/// The refusals of spec §3.10, which leave the envelope.
pub fn refusal_schema() -> Value {
    json!({
        "type": "object",
        "description": "A refusal of the links that reset a second factor.",
        "required": ["success", "error"],
        "properties": {
            "success": {"type": "boolean", "enum": [false]},
            "error": {"type": "string", "description": "What went wrong, in one sentence."},
            "requires_login": {"type": "boolean", "description": "Whether a login would help."},
        },
        "additionalProperties": false,
    })
}

/// By status: what follows from the table of routes, what the fields can have wrong (one of each code), and the
/// endpoint's own.
pub fn of(description: &Description, endpoint: &Endpoint<App>, inputs: &[Input]) -> BTreeMap<u16, Vec<ErrorCase>> {
    let mut all = everywhere(description, endpoint);
    all.extend(of_body(&description.method, !inputs.is_empty()));
    all.extend(of_caller(description, endpoint));
    for case in inputs.iter().flat_map(|input| of_field(input, description.required.contains(&input.name))) {
        if !all.iter().any(|known| known.code == case.code && known.attr.is_some()) {
            all.push(case);
        }
    }
    for case in &description.errors {
        if !all.contains(case) {
            all.push(case.clone());
        }
    }
    let mut by_status: BTreeMap<u16, Vec<ErrorCase>> = BTreeMap::new();
    for case in all {
        by_status.entry(case.status).or_default().push(case);
    }
    by_status
}

/// One answer; a reference where it is one of the shared ones.
pub fn response(status: u16, cases: &[ErrorCase]) -> Value {
    let equals = |shared: &[Case]| shared.iter().map(Case::owned).eq(cases.iter().cloned());
    if let Some((name, _, _)) = SHARED.iter().find(|(_, _, shared)| equals(shared)) {
        return json!({"$ref": format!("#/components/responses/{name}")});
    }
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    written(status, reason.unwrap_or_default(), cases)
}

/// The answers that many endpoints share.
pub fn shared() -> Value {
    let all = SHARED.iter().map(|(name, text, cases)| {
        let cases: Vec<ErrorCase> = cases.iter().map(Case::owned).collect();
        ((*name).to_owned(), written(cases.first().map_or(500, |case| case.status), text, &cases))
    });
    all.collect::<Map<_, _>>().into()
}

/// A second example of the same code gets the name of its field, or a number.
fn written(status: u16, text: &str, cases: &[ErrorCase]) -> Value {
    let mut examples = Map::new();
    let mut codes: Vec<String> = Vec::new();
    for case in cases {
        let named = case.attr.map(|attr| format!("{}_{attr}", case.code));
        let numbered = (2..=99).map(|number| format!("{}_{number}", case.code));
        let mut candidates = std::iter::once(case.code.to_owned()).chain(named).chain(numbered);
        let Some(name) = candidates.find(|name| !examples.contains_key(name)) else { continue };
        let example = if case.kind == ErrorCase::BARE {
            let mut bare = json!({"success": false, "error": case.detail});
            if status == 401 {
                put(&mut bare, "requires_login", true);
            }
            bare
        } else {
            json!({"type": case.kind, "code": case.code, "detail": case.detail, "attr": case.attr})
        };
        examples.insert(name, json!({"value": example}));
        let code = format!("`{}`", case.code);
        if !codes.contains(&code) {
            codes.push(code);
        }
    }
    let mut response = json!({"description": format!("{text}: {}.", codes.join(", "))});
    if matches!(status, 429 | 503) {
        put(
            &mut response,
            "headers",
            json!({"Retry-After": {
                "description": "Seconds after which to try again.",
                "required": true,
                "schema": {"type": "integer", "minimum": 1},
            }}),
        );
    }
    let has_bare = cases.iter().any(|case| case.kind == ErrorCase::BARE);
    let schema =
        if has_bare { json!({"oneOf": [reference("Error"), reference("Refusal")]}) } else { reference("Error") };
    put(&mut response, "content", json!({"application/json": {"schema": schema, "examples": examples}}));
    response
}

// ---- which there are --------------------------------------------------------------------------------------------

/// An error that is known when this is compiled.
struct Case(u16, &'static str, &'static str, &'static str);

impl Case {
    fn owned(&self) -> ErrorCase {
        let Self(status, kind, code, detail) = *self;
        ErrorCase { status, kind, code, detail: detail.to_owned(), attr: None }
    }
}

const NOT_AUTHENTICATED: Case =
    Case(401, "authentication_error", "not_authenticated", "Authentication credentials were not provided.");
const BAD_KEY: Case = Case(
    401,
    "authentication_error",
    "authentication_failed",
    "Personal API key found in request Authorization header is invalid.",
);
const CSRF: Case = Case(403, "authentication_error", "permission_denied", "CSRF Failed: CSRF token missing.");
const NOT_FOUND: Case = Case(404, "invalid_request", "not_found", "Not found.");
const NOT_ACCEPTABLE: Case =
    Case(406, "invalid_request", "not_acceptable", "Could not satisfy the request Accept header.");
const TIMEOUT: Case = Case(408, "invalid_request", "request_timeout", "The request body did not arrive in time.");
const TOO_LARGE: Case =
    Case(413, "invalid_request", "request_too_large", "The request body is larger than 1048576 bytes.");
const UNSUPPORTED: Case =
    Case(415, "invalid_request", "unsupported_media_type", "Unsupported media type \"text/plain\" in request.");
const THROTTLED: Case =
    Case(429, "throttled_error", "throttled", "Request was throttled. Expected available in 42 seconds.");
const FAULT: Case = Case(500, "server_error", "error", "A server error occurred.");
const BUSY: Case =
    Case(503, "server_error", "database_unavailable", "The server is busy. Please try again in a moment.");
const NOT_JSON: Case =
    Case(400, "invalid_request", "parse_error", "JSON parse error - expected value at line 1 column 1");
const NO_OBJECT: Case =
    Case(400, "validation_error", "invalid_input", "Invalid data. Expected a dictionary, but got list.");

/// Name, text, and the errors in it.
const SHARED: &[(&str, &str, &[Case])] = &[
    ("BadRequest", "The body cannot be read", &[NOT_JSON]),
    ("Unauthorized", "No usable credential", &[NOT_AUTHENTICATED, BAD_KEY]),
    ("InvalidKey", "Needs no credential, but was sent a bad one", &[BAD_KEY]),
    ("Forbidden", "Inside a session, and no CSRF token", &[CSRF]),
    ("NotFound", "There is nothing of that name", &[NOT_FOUND]),
    ("NotAcceptable", "The `Accept` header leaves no room for JSON", &[NOT_ACCEPTABLE]),
    ("RequestTimeout", "The body did not arrive in time", &[TIMEOUT]),
    ("PayloadTooLarge", "The body is larger than `server.max_body_bytes`", &[TOO_LARGE]),
    ("UnsupportedMediaType", "The body is neither JSON nor a form", &[UNSUPPORTED]),
    ("TooManyRequests", "A limit is reached, which the description names", &[THROTTLED]),
    ("InternalError", "A fault of the server; its log has the id in the header `X-Request-Id`", &[FAULT]),
    ("Unavailable", "Busy, or the store is away", &[BUSY]),
];

fn everywhere(description: &Description, endpoint: &Endpoint<App>) -> Vec<ErrorCase> {
    let mut all = vec![NOT_ACCEPTABLE, FAULT, BUSY];
    if description.template.contains('{') {
        all.push(NOT_FOUND);
    }
    if !limits(description, endpoint).is_empty() {
        all.push(THROTTLED);
    }
    all.iter().map(Case::owned).collect()
}

fn of_body(method: &Method, has_fields: bool) -> Vec<ErrorCase> {
    let mut all = Vec::new();
    if matches!(*method, Method::POST | Method::PUT | Method::PATCH) {
        all.extend([NOT_JSON, TIMEOUT, TOO_LARGE, UNSUPPORTED]);
    }
    if has_fields {
        all.push(NO_OBJECT);
    }
    all.iter().map(Case::owned).collect()
}

/// Credentials, scopes, the window of recent authentication, the gate.
fn of_caller(description: &Description, endpoint: &Endpoint<App>) -> Vec<ErrorCase> {
    let needs = endpoint.needs;
    let is_for_users = needs.who == Who::User;
    let mut all = Vec::new();
    if is_for_users {
        all.push(NOT_AUTHENTICATED.owned());
    }
    all.push(BAD_KEY.owned());
    if changes(description) {
        all.push(CSRF.owned());
    }
    if !is_for_users {
        return all;
    }
    let forbidden = |code, detail: String| ErrorCase { code, detail, ..CSRF.owned() };
    let no_keys = |detail: &str| forbidden("permission_denied", detail.to_owned());
    match (scope_of(endpoint), needs.key) {
        (Some(scope), _) => {
            all.push(forbidden("permission_denied", format!("API key missing required scope '{scope}'")));
        }
        (None, KeyRule::UnsupportedOnKeys) => {
            all.push(no_keys("This action does not support Personal API Key access"));
        }
        (None, KeyRule::Unsupported) => all.push(no_keys("This action does not support personal API key access")),
        (None, _) => {}
    }
    if needs.sensitive {
        let detail = "This action requires you to be recently authenticated.";
        all.push(forbidden("sensitive_action_required_reauth", detail.to_owned()));
    }
    if !needs.passes_gate {
        all.push(forbidden("two_factor_setup_required", "2FA setup required".to_owned()));
        all.push(forbidden("two_factor_verification_required", "2FA verification required".to_owned()));
    }
    all
}

/// What the reading of one field can find wrong (spec §1.5).
fn of_field(input: &Input, required_here: bool) -> Vec<ErrorCase> {
    let case = |code, detail: &str| ErrorCase {
        status: 400,
        kind: "validation_error",
        code,
        detail: detail.to_owned(),
        attr: Some(input.name),
    };
    let mut all = Vec::new();
    if input.required || required_here {
        all.push(case("required", "This field is required."));
    }
    if !input.nullable {
        all.push(case("null", "This field may not be null."));
    }
    if matches!(input.kind, Kind::Text { min: 1.., .. } | Kind::Secret { .. } | Kind::Email) {
        all.push(case("blank", "This field may not be blank."));
    }
    if let Some(max) = input.chars_max() {
        all.push(case("max_length", &format!("Ensure this field has no more than {max} characters.")));
    }
    let (code, detail) = match input.kind {
        Kind::Text { .. } | Kind::Secret { .. } | Kind::Code => ("invalid_input", "Not a valid string."),
        Kind::Email => ("invalid_input", "Enter a valid email address."),
        Kind::Boolean => ("invalid_input", "Must be a valid boolean."),
        Kind::Integer => ("invalid_input", "A valid integer is required."),
        Kind::Choice { .. } => ("invalid_choice", "\"foo\" is not a valid choice."),
        Kind::Object => ("not_a_dict", "Expected a dictionary of items but got type \"str\"."),
        Kind::Texts | Kind::Integers => ("not_a_list", "Expected a list of items but got type \"str\"."),
        Kind::Json => return all,
    };
    all.push(case(code, detail));
    all
}
