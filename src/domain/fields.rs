//! The fields of a request body and the coercions of spec §1.2, with the validation errors of spec §1.5.
//!
//! Works on values, not on bytes: JSON and forms are both read into [`Fields`] by `http`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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
