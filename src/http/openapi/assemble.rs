//! Puts the document together: from each description and its entry in the table of routes.

use hyper::Method;
use serde_json::{Map, Value, json};

use super::describe::{Answer, Description, Query};
use super::failures;
use super::schema::{self, put, reference};
use crate::app::App;
use crate::app::permission::{KeyRule, Who};
use crate::domain::input::Input;
use crate::http::router::{BodyRule, Endpoint};

/// What the description as a whole says, before any endpoint.
const INTRODUCTION: &str = include_str!("introduction.md");

type Described<'a> = (Description, &'a Endpoint<App>);

pub fn document(described: &[Described<'_>]) -> Value {
    let mut schemas = Map::new();
    schemas.insert("Error".to_owned(), failures::schema());
    schemas.insert("Refusal".to_owned(), failures::refusal_schema());
    let mut paths = Map::new();
    for (description, endpoint) in described {
        let path = paths.entry(path_of(description.template)).or_insert_with(|| json!({}));
        let method = description.method.as_str().to_ascii_lowercase();
        put(path, &method, operation(description, endpoint, &mut schemas));
    }
    schemas.sort_keys();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Doorward",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Accounts, logins and second factors.",
            "description": INTRODUCTION,
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This server."}],
        "tags": tags(described),
        "paths": paths,
        "components": {
            "securitySchemes": security_schemes(),
            "schemas": schemas,
            "responses": failures::shared(),
        },
    })
}

/// Clients of the reference write API paths with a slash at the end; both forms are the same resource.
fn path_of(template: &str) -> String {
    if template.starts_with("/api/") { format!("{template}/") } else { template.to_owned() }
}

/// The resource: the first word behind `/api/`, or the first of all.
fn tag_of(template: &str) -> &str {
    let rest = template.strip_prefix("/api/").or_else(|| template.strip_prefix('/')).unwrap_or(template);
    rest.split('/').next().unwrap_or(rest)
}

/// What the resources are.
const TAGS: &[(&str, &str)] = &[
    ("users", "Accounts: what is known of a user, the e-mail address, the second factor, sessions, preferences."),
    ("login", "Logging in, in one step or two."),
    ("logout", "Logging out."),
    ("reset", "Forgotten passwords: a link by mail, and the new password."),
    ("reset_2fa", "Lost second factors: a link by mail, for which staff or an operator asked."),
    ("personal_api_keys", "Keys for programs that act for a user."),
    ("signup", "New accounts, on their own or with an invite."),
    ("organizations", "Organizations, their members, invites and projects."),
];

fn tags(described: &[Described<'_>]) -> Vec<Value> {
    let mut names: Vec<&str> = Vec::new();
    for (description, _) in described {
        let name = tag_of(description.template);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let text = |name| TAGS.iter().find(|(tag, _)| *tag == name).map_or("", |(_, text)| *text);
    names.into_iter().map(|name| json!({"name": name, "description": text(name)})).collect()
}

fn operation(description: &Description, endpoint: &Endpoint<App>, schemas: &mut Map<String, Value>) -> Value {
    let mut operation = json!({
        "operationId": description.id,
        "tags": [tag_of(description.template)],
        "summary": description.summary,
        "description": text(description, endpoint),
        "security": security(description, endpoint),
    });
    if let Some(scope) = scope_of(endpoint) {
        put(&mut operation, "x-required-scope", scope);
    }
    if description.deprecated {
        put(&mut operation, "deprecated", true);
    }
    let mut parameters = path_parameters(description.template);
    parameters.extend(description.query.iter().map(query_parameter));
    if !parameters.is_empty() {
        put(&mut operation, "parameters", parameters);
    }
    let inputs: Vec<Input> = endpoint.inputs.iter().chain(description.inputs).copied().collect();
    if !inputs.is_empty() {
        put(&mut operation, "requestBody", request_body(description, endpoint, &inputs, schemas));
    }
    let mut responses = Map::new();
    for answer in &description.answers {
        responses.insert(answer.status.to_string(), success(answer, schemas));
    }
    for (status, cases) in failures::of(description, endpoint, &inputs) {
        responses.insert(status.to_string(), failures::response(status, &cases));
    }
    responses.sort_keys();
    put(&mut operation, "responses", responses);
    operation
}

// ---- who may call -----------------------------------------------------------------------------------------------

pub fn scope_of(endpoint: &Endpoint<App>) -> Option<&'static str> {
    match endpoint.needs.key {
        KeyRule::Scope(scope) | KeyRule::TwoFactorScope(scope) => Some(scope),
        _ => None,
    }
}

fn takes_keys(endpoint: &Endpoint<App>) -> bool {
    endpoint.needs.who == Who::User && (scope_of(endpoint).is_some() || endpoint.needs.key == KeyRule::Itself)
}

pub fn changes(description: &Description) -> bool {
    description.method != Method::GET
}

fn security(description: &Description, endpoint: &Endpoint<App>) -> Value {
    if description.pending_login {
        return json!([{"pendingLogin": []}]);
    }
    if endpoint.needs.who != Who::User {
        return json!([]);
    }
    let session = if changes(description) { json!({"session": [], "csrf": []}) } else { json!({"session": []}) };
    let mut ways = vec![session];
    if takes_keys(endpoint) {
        let scopes: Vec<&str> = scope_of(endpoint).into_iter().collect();
        ways.push(json!({"key": scopes}));
        ways.push(json!({"keyInQuery": scopes}));
    }
    ways.into()
}

fn security_schemes() -> Value {
    json!({
        "session": {
            "type": "apiKey", "in": "cookie", "name": "sessionid",
            "description": "The cookie that logging in sets. Lives 14 days.",
        },
        "csrf": {
            "type": "apiKey", "in": "header", "name": "X-CSRFToken",
            "description": "The value of the cookie `posthog_csrftoken`. Wanted beside the session cookie by every \
                method that changes something.",
        },
        "pendingLogin": {
            "type": "apiKey", "in": "cookie", "name": "sessionid",
            "description": "The cookie that the first step of a login sets when a second one is wanted. It proves \
                nothing else, and lives 10 minutes.",
        },
        "key": {
            "type": "http", "scheme": "bearer", "bearerFormat": "phx_...",
            "description": "A personal API key, limited to its scopes. It may also stand in the field \
                `personal_api_key` of a body.",
        },
        "keyInQuery": {
            "type": "apiKey", "in": "query", "name": "personal_api_key", "deprecated": true,
            "description": "A personal API key in the address. Addresses end up in logs: prefer the header. The \
                setting `auth.allow_key_in_query` can switch it off.",
        },
    })
}

// ---- words ------------------------------------------------------------------------------------------------------

/// What is counted: the endpoint's own limits, and that of keys.
pub fn limits(description: &Description, endpoint: &Endpoint<App>) -> Vec<&'static str> {
    let of_keys = endpoint.needs.limits_keys().then_some("calls of one key, where `limits.api_keys` is on.");
    description.limits.iter().copied().chain(of_keys).collect()
}

/// The description, and what follows from the table of routes, so that it stands at every endpoint in the same words.
fn text(description: &Description, endpoint: &Endpoint<App>) -> String {
    let mut parts = vec![description.text.trim().to_owned()];
    let needs = endpoint.needs;
    let mut rules = Vec::new();
    if needs.who == Who::User {
        match (scope_of(endpoint), needs.key) {
            (Some(scope), _) => rules.push(format!("**Keys** need the scope `{scope}`.")),
            (None, KeyRule::Itself) => rules.push("**Keys** of any scope may call it for themselves.".to_owned()),
            (None, _) => rules.push("**Keys** are refused: session only.".to_owned()),
        }
        if needs.sensitive {
            rules.push("**Sessions** must have authenticated within the last two hours.".to_owned());
        }
        if needs.passes_gate {
            rules.push("Works before a second factor that an organization demands is set up.".to_owned());
        }
    }
    rules.extend(limits(description, endpoint).iter().map(|limit| format!("**Limited**: {limit}")));
    if !rules.is_empty() {
        parts.push(rules.iter().map(|rule| format!("* {rule}")).collect::<Vec<_>>().join("\n"));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

// ---- what goes in -----------------------------------------------------------------------------------------------

fn path_parameters(template: &str) -> Vec<Value> {
    let names = template.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    names
        .map(|name| {
            let (text, example) = match name {
                "uuid" if template.starts_with("/api/users") => {
                    ("The user: `@me` for the caller, or a UUID. Only staff may name somebody else.", "@me")
                }
                "uuid" => ("The UUID of the user.", "01990f5c-1f2e-7000-9b1d-5a0f3b9d2c11"),
                "user_uuid" => ("The member: `@me` for the caller, or a UUID.", "@me"),
                "organization_id" => ("The organization: its UUID, or `@current` for the caller's.", "@current"),
                _ => ("Its id.", "@current"),
            };
            json!({
                "name": name, "in": "path", "required": true, "description": text, "example": example,
                // A segment has neither slash nor dot (spec §1.1).
                "schema": {"type": "string", "minLength": 1, "pattern": "^[^/.]+$"},
            })
        })
        .collect()
}

fn query_parameter(query: &Query) -> Value {
    json!({
        "name": query.name, "in": "query", "description": query.text,
        "schema": schema::of_query(query.source),
    })
}

fn request_body(
    description: &Description,
    endpoint: &Endpoint<App>,
    inputs: &[Input],
    schemas: &mut Map<String, Value>,
) -> Value {
    let name = format!("{}Request", camel_case(description.id));
    let content = json!({"schema": reference(&name)});
    if endpoint.body == BodyRule::List {
        let list = json!({
            "type": "array",
            "items": schema::of_body(inputs, description.required, None),
            "examples": [description.example],
        });
        schemas.insert(name, list);
        return json!({"required": true, "content": {"application/json": content}});
    }
    let body = schema::of_body(inputs, description.required, description.example.as_ref());
    let is_required = body.get("required").is_some();
    schemas.insert(name, body);
    // Forms are taken too, as the introduction says. Generators of clients that find several types send all at once.
    json!({"required": is_required, "content": {"application/json": content}})
}

/// `users_verify_email_create` becomes `UsersVerifyEmailCreate`.
fn camel_case(id: &str) -> String {
    let capitalised = |word: &str| {
        let mut rest = word.chars();
        rest.next().map(|first| first.to_uppercase().chain(rest).collect::<String>())
    };
    id.split('_').filter_map(capitalised).collect()
}

// ---- what comes out ---------------------------------------------------------------------------------------------

fn success(answer: &Answer, schemas: &mut Map<String, Value>) -> Value {
    let mut response = json!({"description": answer.text});
    if !answer.cookies.is_empty() {
        let names: Vec<String> = answer.cookies.iter().map(|name| format!("`{name}`")).collect();
        put(
            &mut response,
            "headers",
            json!({
                "Set-Cookie": {"description": names.join(", "), "schema": {"type": "string"}},
            }),
        );
    }
    if let Some(shape) = &answer.shape {
        let mut content = json!({"schema": shape.register(schemas)});
        if let Some(example) = &answer.example {
            put(&mut content, "example", example.clone());
        }
        put(&mut response, "content", json!({"application/json": content}));
    }
    response
}
