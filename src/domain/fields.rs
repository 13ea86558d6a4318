//! The fields of a request body and the coercions of spec §1.2, with the validation errors of spec §1.5.
//!
//! Works on values, not on bytes: JSON and forms are both read into [`Fields`] by `http`. Each getter looks at one
//! field; the order in which a caller asks is the order in which errors are found.

#![allow(clippy::option_option, reason = "absent, null and a value are three things on the wire")]

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::email::{EMAIL_CHARS_MAX, EmailAddress};
use super::secret::Secret;
use super::text;

/// The fields that a client sent. Does not print: passwords and codes are among them.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fields(pub Map<String, Value>);

impl std::fmt::Debug for Fields {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

/// A 400 `validation_error` (spec §1.5): the first problem found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    pub code: Cow<'static, str>,
    pub detail: Cow<'static, str>,
    pub attr: Option<Cow<'static, str>>,
}

type Found<T> = Result<Option<T>, FieldError>;

impl Fields {
    /// Whether the client sent the field, null included.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    #[must_use]
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A trimmed text, which may be empty. Numbers become text; null is refused.
    pub fn text(&self, name: &'static str) -> Found<String> {
        Ok(self.text_untrimmed(name)?.map(|text| text.trim().to_owned()))
    }

    /// Like [`Fields::text`], blanks kept.
    pub fn text_untrimmed(&self, name: &'static str) -> Found<String> {
        match self.nullable_untrimmed(name)? {
            None => Ok(None),
            Some(None) => Err(FieldError::null(name)),
            Some(Some(text)) => Ok(Some(text)),
        }
    }

    /// A trimmed text or null.
    pub fn nullable_text(&self, name: &'static str) -> Found<Option<String>> {
        Ok(self.nullable_untrimmed(name)?.map(|text| text.map(|text| text.trim().to_owned())))
    }

    /// A trimmed text that must be there and must not be empty.
    pub fn required_text(&self, name: &'static str) -> Result<String, FieldError> {
        let text = self.text(name)?.ok_or_else(|| FieldError::required(name))?;
        if text.is_empty() { Err(FieldError::blank(name)) } else { Ok(text) }
    }

    /// A trimmed text of at most `max` characters, which may be empty.
    pub fn limited_text(&self, name: &'static str, max: usize) -> Found<String> {
        let text = self.text(name)?;
        if text.as_ref().is_some_and(|text| text.chars().count() > max) {
            return Err(FieldError::max_length(max, name));
        }
        Ok(text)
    }

    /// A password or the like: never trimmed, never empty.
    pub fn secret(&self, name: &'static str) -> Found<Secret> {
        let secret = self.text_untrimmed(name)?.map(Secret::new);
        if secret.as_ref().is_some_and(|secret| secret.expose().is_empty()) {
            return Err(FieldError::blank(name));
        }
        Ok(secret)
    }

    /// A truth value; null is refused.
    pub fn boolean(&self, name: &'static str) -> Found<bool> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Null) => Err(FieldError::null(name)),
            Some(value) => as_boolean(value).map(Some).ok_or_else(|| not_boolean(name)),
        }
    }

    /// A truth value or null; forms, which have no null, say it with an empty text or the word.
    pub fn nullable_boolean(&self, name: &'static str) -> Found<Option<bool>> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(None)),
            Some(Value::String(text)) if matches!(text.trim(), "" | "null" | "Null" | "NULL") => Ok(Some(None)),
            Some(value) => as_boolean(value).map(|value| Some(Some(value))).ok_or_else(|| not_boolean(name)),
        }
    }

    /// An address in its normal form.
    pub fn email(&self, name: &'static str) -> Found<EmailAddress> {
        let Some(text) = self.limited_text(name, EMAIL_CHARS_MAX)? else { return Ok(None) };
        if text.is_empty() {
            return Err(FieldError::blank(name));
        }
        EmailAddress::parse(&text).map(Some).ok_or_else(|| FieldError::invalid("Enter a valid email address.", name))
    }

    /// A JSON integer or its decimal text.
    pub fn integer(&self, name: &'static str) -> Found<i64> {
        let number = match self.value(name) {
            None => return Ok(None),
            Some(Value::Null) => return Err(FieldError::null(name)),
            Some(Value::Number(number)) => number.as_i64(),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(_) => None,
        };
        number.map(Some).ok_or_else(|| FieldError::invalid("A valid integer is required.", name))
    }

    /// One of `choices`, by exact spelling. `blank_ok` allows the empty text, `null_ok` null.
    pub fn choice(&self, name: &'static str, choices: &[&str], blank_ok: bool, null_ok: bool) -> Found<Option<String>> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Null) if null_ok => Ok(Some(None)),
            Some(Value::Null) => Err(FieldError::null(name)),
            Some(Value::String(text)) if choices.contains(&text.as_str()) || (blank_ok && text.is_empty()) => {
                Ok(Some(Some(text.clone())))
            }
            Some(value) => {
                let detail = format!("\"{}\" is not a valid choice.", text::printed(value));
                Err(FieldError::new("invalid_choice", detail, name))
            }
        }
    }

    /// A code of a second factor: text as it was sent, or a JSON integer padded to six digits, because those have lost
    /// their leading zeros (W-16). Whether it can be a code at all is for `totp` and `backup_code` to say.
    pub fn code_token(&self, name: &'static str) -> Found<String> {
        match self.value(name) {
            Some(Value::Number(number)) => Ok(Some(format!("{:0>6}", number.to_string()))),
            _ => self.text_untrimmed(name),
        }
    }

    fn nullable_untrimmed(&self, name: &'static str) -> Found<Option<String>> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(None)),
            Some(Value::String(text)) => Ok(Some(Some(text.clone()))),
            Some(Value::Number(number)) => Ok(Some(Some(number.to_string()))),
            Some(_) => Err(FieldError::invalid("Not a valid string.", name)),
        }
    }
}

impl FieldError {
    pub fn new(
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
        attr: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { code: code.into(), detail: detail.into(), attr: Some(attr.into()) }
    }

    /// A problem that belongs to no field.
    pub fn general(code: impl Into<Cow<'static, str>>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code: code.into(), detail: detail.into(), attr: None }
    }

    pub fn required(attr: impl Into<Cow<'static, str>>) -> Self {
        Self::new("required", "This field is required.", attr)
    }

    pub fn null(attr: impl Into<Cow<'static, str>>) -> Self {
        Self::new("null", "This field may not be null.", attr)
    }

    pub fn blank(attr: impl Into<Cow<'static, str>>) -> Self {
        Self::new("blank", "This field may not be blank.", attr)
    }

    pub fn invalid(detail: impl Into<Cow<'static, str>>, attr: impl Into<Cow<'static, str>>) -> Self {
        Self::new("invalid_input", detail, attr)
    }

    pub fn max_length(max: usize, attr: impl Into<Cow<'static, str>>) -> Self {
        Self::new("max_length", format!("Ensure this field has no more than {max} characters."), attr)
    }

    /// `value` had to be an object.
    pub fn not_a_dict(value: &Value, attr: impl Into<Cow<'static, str>>) -> Self {
        let detail = format!("Expected a dictionary of items but got type \"{}\".", text::type_name(value));
        Self::new("not_a_dict", detail, attr)
    }

    /// `value` had to be an array.
    pub fn not_a_list(value: &Value, attr: impl Into<Cow<'static, str>>) -> Self {
        let detail = format!("Expected a list of items but got type \"{}\".", text::type_name(value));
        Self::new("not_a_list", detail, attr)
    }

    /// There is no object of that id, or none the caller may know.
    pub fn does_not_exist(id: &str, attr: impl Into<Cow<'static, str>>) -> Self {
        Self::new("does_not_exist", format!("Object with id={} does not exist.", text::for_message(id)), attr)
    }
}

/// Lower case, upper case and capitalised, but no other mixture (spec §1.2).
fn as_boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::Number(number) if number.as_f64() == Some(1.0) => Some(true),
        Value::Number(number) if number.as_f64() == Some(0.0) => Some(false),
        Value::String(text) => match text.trim() {
            "true" | "True" | "TRUE" | "t" | "T" | "yes" | "Yes" | "YES" | "y" | "Y" | "on" | "On" | "ON" | "1" => {
                Some(true)
            }
            "false" | "False" | "FALSE" | "f" | "F" | "no" | "No" | "NO" | "n" | "N" | "off" | "Off" | "OFF" | "0" => {
                Some(false)
            }
            _ => None,
        },
        _ => None,
    }
}

fn not_boolean(name: &'static str) -> FieldError {
    FieldError::invalid("Must be a valid boolean.", name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn of(value: Value) -> Fields {
        Fields(Map::from_iter([("x".to_owned(), value)]))
    }

    /// What a getter makes of one value, in short: the value, `code`, or `absent`.
    fn short<T: std::fmt::Debug>(found: Found<T>) -> String {
        match found {
            Ok(Some(value)) => format!("{value:?}"),
            Ok(None) => "absent".to_owned(),
            Err(error) => {
                assert_eq!(error.attr.as_deref(), Some("x"));
                error.code.into_owned()
            }
        }
    }

    #[test]
    fn absent_fields_are_not_errors_unless_required() {
        let none = Fields::default();
        assert!(!none.contains("x"));
        assert_eq!(none.text("x"), Ok(None));
        assert_eq!(none.boolean("x"), Ok(None));
        assert_eq!(none.choice("x", &[], false, false), Ok(None));
        assert_eq!(none.code_token("x"), Ok(None));
        assert_eq!(none.required_text("x"), Err(FieldError::required("x")));
        assert!(of(Value::Null).contains("x"));
    }

    #[test]
    fn texts() {
        for (value, trimmed, untrimmed) in [
            (json!("  Ada \n"), "\"Ada\"", "\"  Ada \\n\""),
            (json!(""), "\"\"", "\"\""),
            (json!(12), "\"12\"", "\"12\""),
            (json!(-1.5), "\"-1.5\"", "\"-1.5\""),
            (json!(null), "null", "null"),
            (json!(true), "invalid_input", "invalid_input"),
            (json!(["a"]), "invalid_input", "invalid_input"),
            (json!({}), "invalid_input", "invalid_input"),
        ] {
            let fields = of(value.clone());
            assert_eq!(short(fields.text("x")), trimmed, "{value}");
            assert_eq!(short(fields.text_untrimmed("x")), untrimmed, "{value}");
        }
        assert_eq!(of(json!(null)).nullable_text("x"), Ok(Some(None)));
        assert_eq!(of(json!(" a ")).nullable_text("x"), Ok(Some(Some("a".to_owned()))));
        assert_eq!(of(json!("  ")).required_text("x"), Err(FieldError::blank("x")));
        assert_eq!(of(json!(["a"])).text("x").unwrap_err().detail, "Not a valid string.");
    }

    #[test]
    fn limits_count_characters_after_trimming() {
        assert!(of(json!(format!(" {} ", "ä".repeat(150)))).limited_text("x", 150).is_ok());
        let error = of(json!("ä".repeat(151))).limited_text("x", 150).unwrap_err();
        assert_eq!(
            (&*error.code, &*error.detail),
            ("max_length", "Ensure this field has no more than 150 characters.")
        );
    }

    #[test]
    fn secrets_keep_their_blanks_and_are_never_empty() {
        assert_eq!(of(json!(" p ")).secret("x").unwrap().unwrap().expose(), " p ");
        assert_eq!(short(of(json!("")).secret("x")), "blank");
        assert_eq!(short(of(json!(null)).secret("x")), "null");
        let printed = format!("{:?}", Fields(Map::from_iter([("password".to_owned(), json!("hunter2"))])));
        assert!(printed.contains("password") && !printed.contains("hunter2"));
    }

    #[test]
    fn truth_values() {
        for (value, found) in [
            (json!(true), "true"),
            (json!(1), "true"),
            (json!(0), "false"),
            (json!("True"), "true"),
            (json!("Y"), "true"),
            (json!(" on "), "true"),
            (json!("OFF"), "false"),
            (json!("0"), "false"),
            (json!("tRUE"), "invalid_input"),
            (json!(2), "invalid_input"),
            (json!(""), "invalid_input"),
            (json!([]), "invalid_input"),
            (json!(null), "null"),
        ] {
            assert_eq!(short(of(value.clone()).boolean("x")), found, "{value}");
        }
        for (value, found) in [
            (json!(null), "None"),
            (json!(""), "None"),
            (json!("null"), "None"),
            (json!("no"), "Some(false)"),
            (json!("none"), "invalid_input"),
        ] {
            assert_eq!(short(of(value.clone()).nullable_boolean("x")), found, "{value}");
        }
        assert_eq!(of(json!("maybe")).boolean("x").unwrap_err().detail, "Must be a valid boolean.");
    }

    #[test]
    fn addresses() {
        for (value, found) in [
            (json!(" Ada@Example.COM "), "EmailAddress(\"ada@example.com\")"),
            (json!(""), "blank"),
            (json!(null), "null"),
            (json!("ada"), "invalid_input"),
            (json!(5), "invalid_input"),
            (json!(format!("{}@example.com", "a".repeat(243))), "max_length"),
        ] {
            assert_eq!(short(of(value.clone()).email("x")), found, "{value}");
        }
        assert_eq!(of(json!("ada")).email("x").unwrap_err().detail, "Enter a valid email address.");
    }

    #[test]
    fn integers() {
        for (value, found) in [
            (json!(5), "5"),
            (json!(" -7 "), "-7"),
            (json!("5.0"), "invalid_input"),
            (json!(1.5), "invalid_input"),
            (json!("99999999999999999999"), "invalid_input"),
            (json!("1_000"), "invalid_input"),
            (json!(true), "invalid_input"),
            (json!(null), "null"),
        ] {
            assert_eq!(short(of(value.clone()).integer("x")), found, "{value}");
        }
        assert_eq!(of(json!("x")).integer("x").unwrap_err().detail, "A valid integer is required.");
    }

    #[test]
    fn choices() {
        for (value, blank_ok, null_ok, found) in [
            (json!("dark"), false, false, "Some(\"dark\")"),
            (json!("Dark"), true, true, "invalid_choice"),
            (json!(""), true, false, "Some(\"\")"),
            (json!(""), false, true, "invalid_choice"),
            (json!(null), false, true, "None"),
            (json!(null), true, false, "null"),
            (json!(true), true, true, "invalid_choice"),
        ] {
            assert_eq!(short(of(value.clone()).choice("x", &["light", "dark"], blank_ok, null_ok)), found, "{value}");
        }
        let detail = |value: Value| of(value).choice("x", &[], false, false).unwrap_err().detail.into_owned();
        assert_eq!(detail(json!("foo")), "\"foo\" is not a valid choice.");
        assert_eq!(detail(json!(true)), "\"True\" is not a valid choice.");
        assert_eq!(
            detail(json!("\u{1b}".to_owned() + &"a".repeat(999))).len(),
            200 + "\"\" is not a valid choice.".len()
        );
    }

    #[test]
    fn codes_may_be_numbers_that_lost_their_zeros() {
        for (value, found) in [
            (json!(81804), "\"081804\""),
            (json!("081804"), "\"081804\""),
            (json!(0), "\"000000\""),
            (json!(1_234_567), "\"1234567\""),
            (json!(-81804), "\"-81804\""),
            (json!(" abcd-2345 "), "\" abcd-2345 \""),
            (json!(""), "\"\""),
            (json!(null), "null"),
            (json!([81804]), "invalid_input"),
        ] {
            assert_eq!(short(of(value.clone()).code_token("x")), found, "{value}");
        }
    }

    #[test]
    fn nested_values_are_named_by_type() {
        assert_eq!(
            FieldError::not_a_dict(&json!("a"), "x").detail,
            "Expected a dictionary of items but got type \"str\"."
        );
        assert_eq!(FieldError::not_a_list(&json!({}), "x").detail, "Expected a list of items but got type \"dict\".");
        assert_eq!(FieldError::does_not_exist("5\n", "x").detail, "Object with id=5 does not exist.");
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(any::<String>(), inner, 0..4)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_json_gives_a_value_or_an_error_of_the_field(value in any_json()) {
            let fields = of(value.clone());
            let results = [
                fields.text("x").err(),
                fields.nullable_text("x").err(),
                fields.required_text("x").err(),
                fields.limited_text("x", 3).err(),
                fields.secret("x").err(),
                fields.boolean("x").err(),
                fields.nullable_boolean("x").err(),
                fields.email("x").err(),
                fields.integer("x").err(),
                fields.choice("x", &["a"], true, true).err(),
                fields.code_token("x").err(),
            ];
            for error in results.into_iter().flatten() {
                prop_assert_eq!(error.attr.as_deref(), Some("x"));
                prop_assert!(error.detail.chars().count() < 300);
            }
        }
    }
}
