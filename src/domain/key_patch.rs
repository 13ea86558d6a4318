//! A personal API key as asked for by POST, PATCH or PUT (spec §2.10, §3.8): read from the fields and checked in the
//! declared order.
//!
//! Does not decide whether the owner is a member of the organizations and teams named; that needs more than the fields.

#![allow(clippy::option_option, reason = "absent, null and a value are three things on the wire")]

use serde_json::Value;
use uuid::Uuid;

use super::api_key::{ApiKey, LABEL_CHARS_MAX, check_scope};
use super::fields::{FieldError, Fields};
use super::input::{Input, Kind};

/// Most scopes of one key; more than there are names.
const SCOPES_MAX: usize = 250;
/// Most organizations or teams that one key is limited to.
pub const PLACES_MAX: usize = 50;
/// Longest description, in characters.
const DESCRIPTION_CHARS_MAX: usize = 1_000;

/// What is to change, or to be set on a new key; `None` stays, or begins empty. Checked in itself, so applying it
/// cannot fail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPatch {
    pub label: Option<String>,
    /// Without repetitions.
    pub scopes: Option<Vec<String>>,
    /// Empty lists limit nothing.
    pub scoped_teams: Option<Vec<i64>>,
    pub scoped_organizations: Option<Vec<Uuid>>,
    /// A blank one becomes null.
    pub description: Option<Option<String>>,
}

impl KeyPatch {
    /// Every field that can be set. New keys need a label and scopes.
    pub const INPUTS: &'static [Input] = &[
        Input::filled("label", LABEL_CHARS_MAX, "What the key is for, in the words of its owner."),
        Input::of(Kind::Texts, "scopes", "What it may do: `*`, or any of `<object>:read` and `<object>:write`."),
        Input::of(Kind::Integers, "scoped_teams", "Ids of the teams that it is limited to; none means all."),
        Input::of(Kind::Texts, "scoped_organizations", "UUIDs of the organizations that it is limited to."),
        Input::text("description", DESCRIPTION_CHARS_MAX, "More words about it.").nullable(),
    ];

    /// Reads a body. `whole` is POST or PUT, which want a label and scopes. A PUT without the lists of organizations and
    /// teams leaves them as they are: no key gets wider by what is not said.
    pub fn parse(fields: &Fields, whole: bool) -> Result<Self, FieldError> {
        Ok(Self {
            label: label(fields, whole)?,
            scopes: scopes(fields, whole)?,
            scoped_teams: teams(fields)?,
            scoped_organizations: organizations(fields)?,
            description: description(fields)?,
        })
    }

    pub fn apply(&self, key: &mut ApiKey) {
        set(&mut key.label, self.label.as_ref());
        set(&mut key.scopes, self.scopes.as_ref());
        set(&mut key.scoped_teams, self.scoped_teams.as_ref());
        set(&mut key.scoped_organizations, self.scoped_organizations.as_ref());
        set(&mut key.description, self.description.as_ref());
    }

    /// Names of the fields that would be different afterwards.
    #[must_use]
    pub fn changed_fields(&self, key: &ApiKey) -> Vec<&'static str> {
        let mut after = key.clone();
        self.apply(&mut after);
        [
            ("label", key.label != after.label),
            ("scopes", key.scopes != after.scopes),
            ("scoped_teams", key.scoped_teams != after.scoped_teams),
            ("scoped_organizations", key.scoped_organizations != after.scoped_organizations),
            ("description", key.description != after.description),
        ]
        .into_iter()
        .filter_map(|(name, is_changed)| is_changed.then_some(name))
        .collect()
    }
}

fn set<T: Clone>(place: &mut T, value: Option<&T>) {
    if let Some(value) = value {
        place.clone_from(value);
    }
}

fn label(fields: &Fields, whole: bool) -> Result<Option<String>, FieldError> {
    if !whole && !fields.contains("label") {
        return Ok(None);
    }
    let label = fields.required_text("label")?;
    if label.chars().count() > LABEL_CHARS_MAX {
        return Err(FieldError::max_length(LABEL_CHARS_MAX, "label"));
    }
    Ok(Some(label))
}

/// Never empty (W-32).
fn scopes(fields: &Fields, whole: bool) -> Result<Option<Vec<String>>, FieldError> {
    let Some(list) = list(fields, "scopes", SCOPES_MAX)? else {
        return if whole { Err(FieldError::required("scopes")) } else { Ok(None) };
    };
    if list.is_empty() {
        return Err(FieldError::invalid("This list may not be empty.", "scopes"));
    }
    let scope = |value: &Value, _| {
        let scope = value.as_str().ok_or_else(|| FieldError::invalid("Not a valid string.", "scopes"))?;
        check_scope(scope).map(|()| scope.to_owned())
    };
    each(list, scope).map(Some)
}

fn teams(fields: &Fields) -> Result<Option<Vec<i64>>, FieldError> {
    let team = |value: &Value, place| {
        let number = match value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| FieldError::invalid("A valid integer is required.", format!("scoped_teams__{place}")))
    };
    list(fields, "scoped_teams", PLACES_MAX)?.map(|list| each(list, team)).transpose()
}

fn organizations(fields: &Fields) -> Result<Option<Vec<Uuid>>, FieldError> {
    let organization = |value: &Value, _| {
        let id = value.as_str().and_then(|text| Uuid::try_parse(text.trim()).ok());
        id.ok_or_else(|| FieldError::invalid("Invalid organization UUID", "scoped_organizations"))
    };
    list(fields, "scoped_organizations", PLACES_MAX)?.map(|list| each(list, organization)).transpose()
}

fn description(fields: &Fields) -> Result<Option<Option<String>>, FieldError> {
    let Some(description) = fields.nullable_text("description")? else { return Ok(None) };
    let description = description.filter(|text| !text.is_empty());
    if description.as_ref().is_some_and(|text| text.chars().count() > DESCRIPTION_CHARS_MAX) {
        return Err(FieldError::max_length(DESCRIPTION_CHARS_MAX, "description"));
    }
    Ok(Some(description))
}

fn list<'a>(fields: &'a Fields, name: &'static str, max: usize) -> Result<Option<&'a Vec<Value>>, FieldError> {
    match fields.value(name) {
        None => Ok(None),
        Some(Value::Null) => Err(FieldError::null(name)),
        Some(Value::Array(list)) if list.len() > max => {
            let detail = format!("Ensure this field has no more than {max} elements.");
            Err(FieldError::new("max_length", detail, name))
        }
        Some(Value::Array(list)) => Ok(Some(list)),
        Some(other) => Err(FieldError::not_a_list(other, name)),
    }
}

/// The elements of a list, each once.
fn each<T: PartialEq>(
    list: &[Value],
    parse: impl Fn(&Value, usize) -> Result<T, FieldError>,
) -> Result<Vec<T>, FieldError> {
    let mut found = Vec::with_capacity(list.len());
    for (place, value) in list.iter().enumerate() {
        let value = parse(value, place)?;
        if !found.contains(&value) {
            found.push(value);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::id::UserId;
    use crate::domain::time::Timestamp;

    fn parse(body: Value, whole: bool) -> Result<KeyPatch, FieldError> {
        let Value::Object(body) = body else { panic!("not an object: {body}") };
        KeyPatch::parse(&Fields(body), whole)
    }

    fn key() -> ApiKey {
        ApiKey {
            id: "k".to_owned(),
            user: UserId(Uuid::nil()),
            label: "CI".to_owned(),
            description: None,
            mask: String::new(),
            hash: [0; 32],
            created_at: Timestamp::default(),
            last_used_at: None,
            last_rolled_at: None,
            scopes: vec!["user:read".to_owned()],
            scoped_teams: vec![7],
            scoped_organizations: Vec::new(),
        }
    }

    #[test]
    fn a_whole_key_has_label_and_scopes() {
        for (body, attr) in [
            (json!({}), "label"),
            (json!({"scopes": ["*"]}), "label"),
            (json!({"label": "CI"}), "scopes"),
            (json!({"label": "CI", "scoped_teams": ["x"]}), "scopes"),
        ] {
            assert_eq!(parse(body, true), Err(FieldError::required(attr)));
        }
        assert_eq!(parse(json!({}), false), Ok(KeyPatch::default()));
    }

    #[test]
    fn elements_count_once() {
        let uuid = "01990f5c-1f10-0000-9a8b-7c6d5e4f3a2b";
        let patch = parse(
            json!({
                "scopes": ["user:read", "*", "user:read"], "scoped_teams": [1, "2", 1, " 2 "],
                "scoped_organizations": [uuid, uuid.to_uppercase()],
            }),
            false,
        );
        let expected = KeyPatch {
            scopes: Some(vec!["user:read".to_owned(), "*".to_owned()]),
            scoped_teams: Some(vec![1, 2]),
            scoped_organizations: Some(vec![Uuid::try_parse(uuid).unwrap()]),
            ..KeyPatch::default()
        };
        assert_eq!(patch, Ok(expected));
    }

    #[test]
    fn the_first_problem_is_reported() {
        for (body, code, attr) in [
            (json!({"label": "a".repeat(41), "scopes": []}), "max_length", "label"),
            (json!({"scopes": [], "scoped_teams": "x"}), "invalid_input", "scopes"),
            (json!({"scopes": vec!["*"; 251]}), "max_length", "scopes"),
            (json!({"scoped_teams": [1, true]}), "invalid_input", "scoped_teams__1"),
            (json!({"scoped_teams": [1.5]}), "invalid_input", "scoped_teams__0"),
            (json!({"scoped_teams": null}), "null", "scoped_teams"),
            (json!({"scoped_teams": vec![1; 51]}), "max_length", "scoped_teams"),
            (json!({"scoped_organizations": ["x"]}), "invalid_input", "scoped_organizations"),
            (json!({"scoped_organizations": {}}), "not_a_list", "scoped_organizations"),
            (json!({"description": "a".repeat(1_001)}), "max_length", "description"),
        ] {
            let error = parse(body.clone(), false).unwrap_err();
            assert_eq!((&*error.code, error.attr.as_deref()), (code, Some(attr)), "{body}");
        }
    }

    #[test]
    fn what_is_not_said_stays() {
        let check = |body: Value, fields: &[&str]| {
            let patch = parse(body, false).unwrap();
            assert_eq!(patch.changed_fields(&key()), fields);
            let mut changed = key();
            patch.apply(&mut changed);
            changed
        };
        check(json!({}), &[]);
        check(json!({"label": " CI ", "scopes": ["user:read"], "description": " "}), &[]);
        let changed = check(json!({"label": "laptop", "description": " mine "}), &["label", "description"]);
        assert_eq!((changed.label.as_str(), changed.description.as_deref()), ("laptop", Some("mine")));
        assert_eq!((changed.scopes, changed.scoped_teams), (key().scopes, key().scoped_teams));
        assert!(check(json!({"scoped_teams": []}), &["scoped_teams"]).scoped_teams.is_empty());
    }
}
