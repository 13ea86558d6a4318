//! What an operation reads from a request body, declared once: [`Input`]s.
//!
//! The declaration is what lets a field through to the operation ([`keep_declared`]) and what the description of the
//! API is made from, so that neither can know a field that the other does not. Reading itself, with its coercions, is
//! `fields`' part; that it agrees with the kinds, limits and choices declared here is tried field by field in
//! `tests/it/openapi.rs`.

use super::email::EMAIL_CHARS_MAX;
use super::fields::Fields;

/// A field of a request body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input {
    pub name: &'static str,
    pub kind: Kind,
    /// Its absence is an error, whatever the state of the account.
    pub required: bool,
    pub nullable: bool,
    /// For readers of the API's description, in Markdown.
    pub text: &'static str,
}

/// What a field holds, in the form that clients are told to send. What else is taken is for `fields` to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Characters, at least and at most; `max` 0 means that there is no limit but the body's.
    Text {
        min: usize,
        max: usize,
    },
    /// Never shown again; at most so many characters, or 0.
    Secret {
        max: usize,
    },
    Email,
    /// Six digits or a backup code; numbers are taken too.
    Code,
    Boolean,
    Integer,
    /// One of these, or the empty text where `blank` allows it.
    Choice {
        choices: &'static [&'static str],
        blank: bool,
    },
    /// Any object.
    Object,
    /// Any JSON.
    Json,
    Texts,
    Integers,
}

impl Input {
    /// All fields, whatever they are called.
    pub const ANY: Self = Self::new("*", Kind::Json, "").nullable();

    const fn new(name: &'static str, kind: Kind, text: &'static str) -> Self {
        Self { name, kind, required: false, nullable: false, text }
    }

    /// A text that may be empty; `max` in characters.
    pub const fn text(name: &'static str, max: usize, text: &'static str) -> Self {
        Self::new(name, Kind::Text { min: 0, max }, text)
    }

    /// A text that may not be empty.
    pub const fn filled(name: &'static str, max: usize, text: &'static str) -> Self {
        Self::new(name, Kind::Text { min: 1, max }, text)
    }

    pub const fn secret(name: &'static str, max: usize, text: &'static str) -> Self {
        Self::new(name, Kind::Secret { max }, text)
    }

    pub const fn email(name: &'static str, text: &'static str) -> Self {
        Self::new(name, Kind::Email, text)
    }

    pub const fn code(name: &'static str, text: &'static str) -> Self {
        Self::new(name, Kind::Code, text)
    }

    pub const fn boolean(name: &'static str, text: &'static str) -> Self {
        Self::new(name, Kind::Boolean, text)
    }

    pub const fn choice(name: &'static str, choices: &'static [&'static str], text: &'static str) -> Self {
        Self::new(name, Kind::Choice { choices, blank: false }, text)
    }

    /// Any other kind.
    pub const fn of(kind: Kind, name: &'static str, text: &'static str) -> Self {
        Self::new(name, kind, text)
    }

    #[must_use]
    pub const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    #[must_use]
    pub const fn nullable(self) -> Self {
        Self { nullable: true, ..self }
    }

    /// Most characters of a text.
    #[must_use]
    pub const fn chars_max(&self) -> Option<usize> {
        match self.kind {
            Kind::Text { max, .. } | Kind::Secret { max } if max > 0 => Some(max),
            Kind::Email => Some(EMAIL_CHARS_MAX),
            _ => None,
        }
    }
}

/// Hides what an operation does not declare: of such a field only the name stays, which some rules ask for (spec §1.9),
/// and the value is gone. An operation that reads a field without declaring it therefore never gets a value.
pub fn keep_declared(fields: &mut Fields, inputs: &[Input]) {
    for (name, value) in &mut fields.0 {
        if !inputs.iter().any(|input| input.name == name || *input == Input::ANY) {
            value.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_is_not_declared_has_no_value() {
        const INPUTS: &[Input] = &[Input::text("a", 0, "")];
        let Value::Object(map) = json!({"a": 1, "b": {"c": 2}}) else { panic!() };
        let mut fields = Fields(map);
        keep_declared(&mut fields, INPUTS);
        assert_eq!(Value::Object(fields.0.clone()), json!({"a": 1, "b": null}));
        keep_declared(&mut fields, &[Input::ANY]);
        assert_eq!(Value::Object(fields.0), json!({"a": 1, "b": null}));
    }
}
