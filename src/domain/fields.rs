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
