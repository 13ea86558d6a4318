//! JSON schemas: of the types that are sent, and of the fields that are read.

use std::borrow::Cow;

use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, schema::Schema};

use crate::domain::input::{Input, Kind};

type Named = (String, RefOr<Schema>);

/// The shape of an answer: a type, or several of it.
#[derive(Clone)]
pub struct Shape {
    kind: ShapeKind,
    name: fn() -> Cow<'static, str>,
    schema: fn() -> RefOr<Schema>,
    inner: fn(&mut Vec<Named>),
}

#[derive(Clone, Copy)]
enum ShapeKind {
    One,
    List,
    /// Any object; the type does not matter.
    Object,
    /// A page with this name.
    Page(&'static str),
}

/// Where the schema of a query parameter comes from.
#[derive(Clone, Copy)]
pub enum Source {
    Text,
    Boolean,
    Count { min: u64 },
}

impl Shape {
    pub fn one<T: ToSchema>() -> Self {
        Self::new::<T>(ShapeKind::One)
    }

    pub fn object() -> Self {
        Self::new::<Value>(ShapeKind::Object)
    }

    pub fn list<T: ToSchema>() -> Self {
        Self::new::<T>(ShapeKind::List)
    }

    pub fn page<T: ToSchema>(name: &'static str) -> Self {
        Self::new::<T>(ShapeKind::Page(name))
    }

    fn new<T: ToSchema>(kind: ShapeKind) -> Self {
        Self { kind, name: T::name, schema: T::schema, inner: T::schemas }
    }

    /// The schema, whose named parts are put into `components`.
    pub fn register(&self, components: &mut Map<String, Value>) -> Value {
        if matches!(self.kind, ShapeKind::Object) {
            return json!({"type": "object"});
        }
        let mut named = vec![((self.name)().into_owned(), (self.schema)())];
        (self.inner)(&mut named);
        for (name, schema) in named {
            components.entry(name).or_insert_with(|| all_sent(serde_json::to_value(schema).unwrap_or_default()));
        }
        let one = reference(&(self.name)());
        match self.kind {
            ShapeKind::One | ShapeKind::Object => one,
            ShapeKind::List => json!({"type": "array", "items": one}),
            ShapeKind::Page(name) => {
                components.entry(name).or_insert_with(|| page(&one));
                reference(name)
            }
        }
    }
}

/// Sets a key of an object.
pub fn put(object: &mut Value, key: &str, value: impl Into<Value>) {
    if let Value::Object(map) = object {
        map.insert(key.to_owned(), value.into());
    }
}

pub fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// Spec §1.10.
fn page(items: &Value) -> Value {
    let link = |text| json!({"type": ["string", "null"], "format": "uri", "description": text});
    json!({
        "type": "object",
        "description": "A page of a list.",
        "required": ["count", "next", "previous", "results"],
        "properties": {
            "count": {"type": "integer", "minimum": 0, "description": "Entries on all pages together."},
            "next": link("The next page, or null on the last."),
            "previous": link("The page before, or null on the first."),
            "results": {"type": "array", "items": items},
        },
    })
}

/// Our types send every field, null where there is nothing; the derive macro takes a nullable one for optional.
fn all_sent(mut schema: Value) -> Value {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return schema };
    let required = schema.get("required").and_then(Value::as_array);
    let was_required = |name: &str| required.is_some_and(|names| names.iter().any(|other| other == name));
    let sent: Vec<Value> = properties
        .iter()
        .filter(|(name, property)| was_required(name) || is_nullable(property))
        .map(|(name, _)| Value::from(name.as_str()))
        .collect();
    put(&mut schema, "required", sent);
    schema
}

fn is_nullable(property: &Value) -> bool {
    let is_null = |value: &Value| *value == "null";
    let list = |key: &str| property.get(key).and_then(Value::as_array);
    list("type").is_some_and(|types| types.iter().any(is_null))
        || list("oneOf").is_some_and(|all| all.iter().any(|one| one.get("type").is_some_and(is_null)))
}

/// The schema of a query parameter.
pub fn of_query(source: Source) -> Value {
    match source {
        Source::Text => json!({"type": "string"}),
        Source::Boolean => json!({"type": "boolean"}),
        Source::Count { min } => json!({"type": "integer", "minimum": min}),
    }
}

/// The schema of a body with these fields.
pub fn of_body(inputs: &[Input], required: &[&str], example: Option<&Value>) -> Value {
    let mut body = json!({"type": "object"});
    let names: Vec<&str> = inputs
        .iter()
        .filter(|input| input.required || required.contains(&input.name))
        .map(|input| input.name)
        .collect();
    if !names.is_empty() {
        put(&mut body, "required", names);
    }
    let known = inputs.iter().filter(|input| **input != Input::ANY);
    let properties: Map<String, Value> = known.map(|input| (input.name.to_owned(), of_input(input))).collect();
    put(&mut body, "properties", properties);
    if let Some(example) = example {
        put(&mut body, "examples", json!([example]));
    }
    body
}

fn of_input(input: &Input) -> Value {
    let mut schema = match input.kind {
        Kind::Text { min: 0, .. } => json!({"type": "string"}),
        Kind::Text { min, .. } => json!({"type": "string", "minLength": min}),
        Kind::Secret { .. } => json!({"type": "string", "minLength": 1, "format": "password", "writeOnly": true}),
        Kind::Email => json!({"type": "string", "format": "email"}),
        Kind::Code => json!({"type": ["string", "integer"], "writeOnly": true}),
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::Integer => json!({"type": "integer"}),
        Kind::Choice { choices, blank } => {
            json!({"type": "string", "enum": all_choices(choices, blank, input.nullable)})
        }
        Kind::Object => json!({"type": "object"}),
        Kind::Json => json!({}),
        Kind::Texts => json!({"type": "array", "items": {"type": "string"}}),
        Kind::Integers => json!({"type": "array", "items": {"type": "integer"}}),
    };
    if let Some(max) = input.chars_max() {
        put(&mut schema, "maxLength", max);
    }
    if input.nullable
        && let Some(kind) = schema.get_mut("type")
    {
        *kind = match kind.take() {
            Value::Array(mut kinds) => {
                kinds.push("null".into());
                kinds.into()
            }
            one => json!([one, "null"]),
        };
    }
    if !input.text.is_empty() {
        put(&mut schema, "description", input.text);
    }
    schema
}

fn all_choices(choices: &[&str], blank: bool, nullable: bool) -> Vec<Value> {
    let mut all: Vec<Value> = choices.iter().map(|choice| Value::from(*choice)).collect();
    all.extend(blank.then(|| Value::from("")));
    all.extend(nullable.then_some(Value::Null));
    all
}
