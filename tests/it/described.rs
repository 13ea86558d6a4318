//! Holds every answer that any test gets to the description of the API: its status, its error code and its shape must be
//! in there. The harness calls this, so an endpoint cannot answer what is not described as soon as one test sees it.

use std::sync::OnceLock;

use serde_json::Value;

/// The document.
pub fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| serde_json::from_str(include_str!("../../assets/openapi.json")).unwrap())
}

/// What was answered to a call of the API.
pub struct Answered<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub status: u16,
    pub content_type: Option<&'a str>,
    pub body: &'a str,
}

/// What is wrong with an answer. Calls of paths or methods that are not described are not looked at: `http::openapi`
/// sees to it that all are that exist.
pub fn check(answered: &Answered<'_>) -> Result<(), String> {
    let Some(operation) = operation(answered.method, answered.path) else { return Ok(()) };
    let id = operation["operationId"].as_str().unwrap_or_default();
    let Some(response) = operation["responses"].get(answered.status.to_string()) else {
        return Err(format!("{id}: status {} is not described", answered.status));
    };
    let response = resolve(response);
    let Some(content) = response["content"].get("application/json") else {
        let is_empty = answered.body.is_empty();
        return if is_empty { Ok(()) } else { Err(format!("{id}: {} has a body", answered.status)) };
    };
    if answered.content_type != Some("application/json") {
        return Err(format!("{id}: {} has the type {:?}", answered.status, answered.content_type));
    }
    let body: Value = serde_json::from_str(answered.body).map_err(|error| format!("{id}: {error}"))?;
    fits(&body, &content["schema"], "").map_err(|error| format!("{id}: {}: {error}", answered.status))?;
    let code = body["code"].as_str().filter(|_| answered.status >= 400);
    let described = |code: &str| {
        let examples = content["examples"].as_object();
        examples.is_some_and(|examples| examples.values().any(|example| example["value"]["code"] == code))
    };
    match code {
        Some(code) if !described(code) => Err(format!("{id}: {} `{code}` is not described", answered.status)),
        _ => Ok(()),
    }
}

/// The described operation that a path, with or without a slash at its end, leads to.
pub fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let path = path.split('?').next()?.replace("%40", "@");
    let segments: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    let found = document()["paths"].as_object()?.iter().filter(|(template, _)| {
        let parts: Vec<&str> = template.trim_end_matches('/').split('/').collect();
        let same = |(part, segment): (&&str, &&str)| {
            part == segment || (part.starts_with('{') && !segment.is_empty() && !segment.contains(['.', '%']))
        };
        parts.len() == segments.len() && parts.iter().zip(&segments).all(same)
    });
    // Fixed paths win.
    let (_, item) = found.min_by_key(|(template, _)| template.matches('{').count())?;
    item.get(method.to_lowercase())
}

/// The part of the document that a reference names, or the value itself.
pub fn resolve(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(reference) => document().pointer(reference.strip_prefix('#').unwrap()).unwrap(),
        None => value,
    }
}

/// Whether a value has this schema. Knows the part of JSON Schema that the document uses, and says so when it meets
/// another.
pub fn fits(value: &Value, schema: &'static Value, at: &str) -> Result<(), String> {
    let schema = resolve(schema);
    for (keyword, rule) in schema.as_object().ok_or(format!("{at}: no schema"))? {
        let fits = match keyword.as_str() {
            "type" => match rule.as_array() {
                Some(kinds) => kinds.iter().any(|kind| is_a(value, kind)),
                None => is_a(value, rule),
            },
            "enum" => rule.as_array().unwrap().contains(value),
            "required" => match value {
                Value::Object(map) => rule.as_array().unwrap().iter().all(|name| map.contains_key(text(name))),
                _ => true,
            },
            "properties" => {
                for (name, schema) in rule.as_object().unwrap() {
                    if let Some(inner) = value.get(name) {
                        fits(inner, schema, &format!("{at}/{name}"))?;
                    }
                }
                true
            }
            "additionalProperties" => additional_fit(value, schema, rule, at)?,
            "items" => {
                for (place, inner) in value.as_array().into_iter().flatten().enumerate() {
                    fits(inner, rule, &format!("{at}/{place}"))?;
                }
                true
            }
            "oneOf" => rule.as_array().unwrap().iter().filter(|one| fits(value, one, at).is_ok()).count() == 1,
            "anyOf" => rule.as_array().unwrap().iter().any(|one| fits(value, one, at).is_ok()),
            "allOf" => rule.as_array().unwrap().iter().all(|one| fits(value, one, at).is_ok()),
            "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().unwrap()),
            "minLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 >= rule.as_u64().unwrap()),
            "maxLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 <= rule.as_u64().unwrap()),
            "format" => value.as_str().is_none_or(|value| has_format(value, text(rule))),
            "description" | "example" | "examples" | "title" | "default" | "readOnly" | "writeOnly" | "deprecated"
            | "propertyNames" => true,
            other => panic!("{at}: the schema has `{other}`, which this reader does not know"),
        };
        if !fits {
            return Err(format!("{at}: {value} against {keyword} {rule}"));
        }
    }
    Ok(())
}

fn additional_fit(value: &Value, schema: &'static Value, rule: &'static Value, at: &str) -> Result<bool, String> {
    let known = |name: &str| schema["properties"].get(name).is_some();
    for (name, inner) in value.as_object().into_iter().flatten().filter(|(name, _)| !known(name)) {
        match rule {
            Value::Bool(allowed) if *allowed => {}
            Value::Bool(_) => return Err(format!("{at}/{name} is too much")),
            rule => fits(inner, rule, &format!("{at}/{name}"))?,
        }
    }
    Ok(true)
}

fn is_a(value: &Value, kind: &Value) -> bool {
    match text(kind) {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the type `{other}`"),
    }
}

fn has_format(value: &str, format: &str) -> bool {
    match format {
        "uuid" => uuid::Uuid::try_parse(value).is_ok(),
        "date-time" => value.parse::<jiff::Timestamp>().is_ok(),
        "email" => value.contains('@'),
        "uri" => value.contains("://"),
        _ => true,
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// Every success and every body shown in the description is one that it allows.
#[test]
fn the_examples_fit_their_schemas() {
    let mut seen = 0;
    for item in document()["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            let id = text(&operation["operationId"]);
            for (status, response) in operation["responses"].as_object().unwrap() {
                let Some(content) = resolve(response)["content"].get("application/json") else { continue };
                if let Some(example) = content.get("example") {
                    fits(example, &content["schema"], "").unwrap_or_else(|error| panic!("{id} {status}: {error}"));
                    seen += 1;
                }
                assert!(content.get("example").is_some() || content.get("examples").is_some(), "{id} {status}");
            }
            if let Some(body) = operation.get("requestBody") {
                let schema = &body["content"]["application/json"]["schema"];
                let examples = resolve(schema)["examples"].as_array().unwrap_or_else(|| panic!("{id}: no example"));
                for example in examples {
                    fits(example, schema, "").unwrap_or_else(|error| panic!("{id}: {error}"));
                    seen += 1;
                }
            }
            assert!(!text(&operation["summary"]).is_empty(), "{id} has no summary");
        }
    }
    assert!(seen > 20);
}
