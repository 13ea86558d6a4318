//! The preferences that have calls of their own (spec §3.4): read from the fields, checked, merged into what is stored.

use serde_json::{Value, json};

use super::fields::{FieldError, Fields};
use super::input::{Input, Kind};
use super::user_patch::JSON_BYTES_MAX;

/// Longest name of a scene, in characters.
const SCENE_CHARS_MAX: usize = 200;
/// Scenes that one user may have personalised; more than there are.
const SCENES_MAX: usize = 100;
/// Longest key of a product, in characters, and how many of them are kept (spec §3.4).
const PRODUCT_KEY_CHARS_MAX: usize = 128;
const PRODUCTS_MAX: usize = 100;
/// Longest form of the seen introductions, in bytes: a hundred keys of ordinary letters, and the user's record has room
/// for them.
const INTROS_BYTES_MAX: usize = 14 * 1024;

/// Fields that are credentials wherever they are sent, and no preference.
const CREDENTIALS: &[&str] = &["personal_api_key", "csrfmiddlewaretoken"];

/// The body of `hedgehog_config`, which is any object.
pub fn hedgehog_config(mut fields: Fields) -> Result<Value, FieldError> {
    fields.0.retain(|name, _| !CREDENTIALS.contains(&name.as_str()));
    let config = Value::Object(fields.0);
    check_size(&config, JSON_BYTES_MAX, None)?;
    Ok(config)
}

/// The dashboard that a user wants to see on a scene. Dashboards are the application's: only their numbers are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SceneChoice {
    scene: String,
    dashboard: i64,
}

impl SceneChoice {
    /// Both are needed, although their absence is no error of a field (spec §3.4).
    pub const INPUTS: &'static [Input] = &[
        Input::filled("scene", SCENE_CHARS_MAX, "The name of the scene; needed."),
        Input::of(Kind::Integer, "dashboard", "The id of a dashboard of the current team's; needed."),
    ];

    /// `has_team`: the user has a current team, which a dashboard has to belong to.
    pub fn parse(fields: &Fields, has_team: bool) -> Result<Self, FieldError> {
        let scene = fields.limited_text("scene", SCENE_CHARS_MAX)?;
        if scene.as_ref().is_some_and(String::is_empty) {
            return Err(FieldError::blank("scene"));
        }
        let dashboard = fields.integer("dashboard")?;
        if dashboard.is_some() && !has_team {
            return Err(FieldError::invalid("Dashboard must belong to the user's current team.", "dashboard"));
        }
        let missing = |what: &str| FieldError::general("invalid_input", format!("{what} must be provided."));
        let scene = scene.ok_or_else(|| missing("Scene"))?;
        let dashboard = dashboard.ok_or_else(|| missing("Dashboard"))?;
        Ok(Self { scene, dashboard })
    }

    /// Puts the choice into the stored list, in place of an earlier one for the scene.
    pub fn merge(&self, stored: &Value) -> Result<Value, FieldError> {
        let mut list = stored.as_array().cloned().unwrap_or_default();
        list.retain(|choice| choice.get("scene").and_then(Value::as_str) != Some(self.scene.as_str()));
        if list.len() >= SCENES_MAX {
            let detail = format!("Cannot personalise more than {SCENES_MAX} scenes");
            return Err(FieldError::general("invalid_input", detail));
        }
        list.push(json!({"scene": self.scene, "dashboard": self.dashboard}));
        let list = Value::Array(list);
        check_size(&list, JSON_BYTES_MAX, Some("scene"))?;
        Ok(list)
    }
}

/// Whether the introduction of a product was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductIntro {
    product_key: String,
    seen: bool,
}

impl ProductIntro {
    pub const INPUTS: &'static [Input] = &[
        Input::filled("product_key", PRODUCT_KEY_CHARS_MAX, "The name of the product.").required(),
        Input::boolean("seen", "Whether its introduction was seen; yes unless said."),
    ];

    pub fn parse(fields: &Fields) -> Result<Self, FieldError> {
        let product_key = fields.required_text("product_key")?;
        if product_key.chars().count() > PRODUCT_KEY_CHARS_MAX {
            return Err(FieldError::max_length(PRODUCT_KEY_CHARS_MAX, "product_key"));
        }
        Ok(Self { product_key, seen: fields.boolean("seen")?.unwrap_or(true) })
    }

    /// Puts the mark into the stored map. What is no map, which a change of the user can leave there, begins anew.
    pub fn merge(&self, stored: &Value) -> Result<Value, FieldError> {
        let mut map = stored.as_object().cloned().unwrap_or_default();
        map.insert(self.product_key.clone(), Value::Bool(self.seen));
        let has_grown = stored.get(&self.product_key).is_none();
        if has_grown && map.len() > PRODUCTS_MAX {
            let detail = format!("Cannot track more than {PRODUCTS_MAX} product intros");
            return Err(FieldError::general("invalid_input", detail));
        }
        let map = Value::Object(map);
        if has_grown {
            check_size(&map, INTROS_BYTES_MAX, Some("product_key"))?;
        }
        Ok(map)
    }
}

fn check_size(value: &Value, bytes_max: usize, attr: Option<&'static str>) -> Result<(), FieldError> {
    if value.to_string().len() <= bytes_max {
        return Ok(());
    }
    let detail = format!("Ensure this field has no more than {bytes_max} bytes.");
    Err(FieldError { code: "max_length".into(), detail: detail.into(), attr: attr.map(Into::into) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(body: Value) -> Fields {
        let Value::Object(body) = body else { panic!("not an object: {body}") };
        Fields(body)
    }

    #[track_caller]
    fn refused<T: std::fmt::Debug>(parsed: Result<T, FieldError>, code: &str, detail: &str, attr: Option<&str>) {
        let error = parsed.unwrap_err();
        assert_eq!((&*error.code, &*error.detail, error.attr.as_deref()), (code, detail, attr));
    }

    #[test]
    fn a_config_is_any_object_without_credentials() {
        let body = json!({"color": "red", "personal_api_key": "phx_1", "csrfmiddlewaretoken": "x", "skin": null});
        assert_eq!(hedgehog_config(fields(body)), Ok(json!({"color": "red", "skin": null})));
        let large = fields(json!({"color": "x".repeat(JSON_BYTES_MAX)}));
        refused(hedgehog_config(large), "max_length", "Ensure this field has no more than 8192 bytes.", None);
    }

    #[test]
    fn a_scene_has_one_dashboard() {
        let parse = |body: Value| SceneChoice::parse(&fields(body), true);
        let choice = parse(json!({"scene": " Person ", "dashboard": "7"})).unwrap();
        let stored = choice.merge(&json!([])).unwrap();
        assert_eq!(stored, json!([{"scene": "Person", "dashboard": 7}]));
        let other = parse(json!({"scene": "Group", "dashboard": 8})).unwrap().merge(&stored).unwrap();
        let changed = parse(json!({"scene": "Person", "dashboard": 9})).unwrap().merge(&other).unwrap();
        assert_eq!(changed, json!([{"scene": "Group", "dashboard": 8}, {"scene": "Person", "dashboard": 9}]));

        refused(parse(json!({})), "invalid_input", "Scene must be provided.", None);
        refused(parse(json!({"scene": "a"})), "invalid_input", "Dashboard must be provided.", None);
        refused(parse(json!({"scene": ""})), "blank", "This field may not be blank.", Some("scene"));
        let bad = parse(json!({"scene": "a", "dashboard": "x"}));
        refused(bad, "invalid_input", "A valid integer is required.", Some("dashboard"));
        let body = fields(json!({"scene": "a", "dashboard": 1}));
        let detail = "Dashboard must belong to the user's current team.";
        refused(SceneChoice::parse(&body, false), "invalid_input", detail, Some("dashboard"));
        let many: Vec<Value> = (0..100).map(|n| json!({"scene": n.to_string(), "dashboard": n})).collect();
        let full = choice.merge(&json!(many));
        refused(full, "invalid_input", "Cannot personalise more than 100 scenes", None);
    }

    #[test]
    fn a_hundred_introductions_are_kept() {
        let parse = |body: Value| ProductIntro::parse(&fields(body));
        let mut stored = Value::Null;
        for n in 0..100 {
            let body = json!({"product_key": format!("{n:0>128}")});
            stored = parse(body).unwrap().merge(&stored).unwrap();
        }
        let more = parse(json!({"product_key": "more"})).unwrap();
        refused(more.merge(&stored), "invalid_input", "Cannot track more than 100 product intros", None);
        let again =
            parse(json!({"product_key": format!("{:0>128}", 7), "seen": "false"})).unwrap().merge(&stored).unwrap();
        assert_eq!((again.as_object().unwrap().len(), &again[format!("{:0>128}", 7)]), (100, &json!(false)));
        assert_eq!(more.merge(&json!(["not a map"])).unwrap(), json!({"more": true}));

        refused(parse(json!({"seen": true})), "required", "This field is required.", Some("product_key"));
        let long = parse(json!({"product_key": "x".repeat(129)}));
        refused(long, "max_length", "Ensure this field has no more than 128 characters.", Some("product_key"));
        let bad = parse(json!({"product_key": "x", "seen": "maybe"}));
        refused(bad, "invalid_input", "Must be a valid boolean.", Some("seen"));
        let mut wide = Value::Null;
        for n in 0..99 {
            wide = parse(json!({"product_key": format!("{n:ü>128}")})).unwrap().merge(&wide).unwrap_or(wide);
        }
        assert!(wide.to_string().len() <= INTROS_BYTES_MAX);
    }
}
