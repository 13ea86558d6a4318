//! What is said about one endpoint beyond the table of routes: a name, words, examples, its own errors.

use hyper::Method;
use serde_json::Value;
use utoipa::ToSchema;

use super::schema::{Shape, Source};
use crate::domain::input::Input;

/// One endpoint, described for the people who call it.
#[derive(Clone)]
pub struct Description {
    pub method: Method,
    /// As in the table of routes.
    pub template: &'static str,
    /// The `operationId`; generated clients name their functions by it, so it is the reference's where that has one.
    pub id: &'static str,
    pub summary: &'static str,
    pub text: &'static str,
    pub deprecated: bool,
    /// The caller shows a cookie that holds a pending login.
    pub pending_login: bool,
    /// What is read beyond the operation's own inputs.
    pub inputs: &'static [Input],
    /// Names of fields that are required here and not elsewhere.
    pub required: &'static [&'static str],
    /// A body that would be taken.
    pub example: Option<Value>,
    pub query: Vec<Query>,
    pub answers: Vec<Answer>,
    pub errors: Vec<ErrorCase>,
    /// What is counted, and how much of it is allowed.
    pub limits: Vec<&'static str>,
}

/// A parameter of the query.
#[derive(Clone)]
pub struct Query {
    pub name: &'static str,
    pub source: Source,
    pub text: &'static str,
}

/// A success.
#[derive(Clone)]
pub struct Answer {
    pub status: u16,
    pub text: &'static str,
    pub shape: Option<Shape>,
    pub example: Option<Value>,
    /// Cookies that come with it.
    pub cookies: &'static [&'static str],
}

/// An error of this endpoint, as far as it does not follow from the table of routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorCase {
    pub status: u16,
    pub kind: &'static str,
    pub code: &'static str,
    pub detail: String,
    pub attr: Option<&'static str>,
}

impl ErrorCase {
    /// In place of a type and a code: the error is a sentence alone.
    pub const BARE: &'static str = "refusal";
}

pub fn get(template: &'static str, id: &'static str) -> Description {
    describe(Method::GET, template, id)
}

pub fn post(template: &'static str, id: &'static str) -> Description {
    describe(Method::POST, template, id)
}

pub fn put(template: &'static str, id: &'static str) -> Description {
    describe(Method::PUT, template, id)
}

pub fn patch(template: &'static str, id: &'static str) -> Description {
    describe(Method::PATCH, template, id)
}

pub fn delete(template: &'static str, id: &'static str) -> Description {
    describe(Method::DELETE, template, id)
}

fn describe(method: Method, template: &'static str, id: &'static str) -> Description {
    Description {
        method,
        template,
        id,
        summary: "",
        text: "",
        deprecated: false,
        pending_login: false,
        inputs: &[],
        required: &[],
        example: None,
        query: Vec::new(),
        answers: Vec::new(),
        errors: Vec::new(),
        limits: Vec::new(),
    }
}

impl Description {
    pub fn is_of(&self, template: &str, method: &Method) -> bool {
        self.template == template && self.method == method
    }

    /// One line, and a text in Markdown.
    pub fn says(self, summary: &'static str, text: &'static str) -> Self {
        Self { summary, text, ..self }
    }

    pub fn deprecated(self) -> Self {
        Self { deprecated: true, ..self }
    }

    pub fn pending_login(self) -> Self {
        Self { pending_login: true, ..self }
    }

    pub fn reads(self, inputs: &'static [Input]) -> Self {
        Self { inputs, ..self }
    }

    pub fn requires(self, required: &'static [&'static str]) -> Self {
        Self { required, ..self }
    }

    pub fn example(self, body: Value) -> Self {
        Self { example: Some(body), ..self }
    }

    pub fn query(mut self, name: &'static str, source: Source, text: &'static str) -> Self {
        self.query.push(Query { name, source, text });
        self
    }

    /// Paged with `limit` and `offset`.
    pub fn paged(self) -> Self {
        self.query("limit", Source::Count { min: 1 }, "Entries on a page: 100 unless said, at most 1000.").query(
            "offset",
            Source::Count { min: 0 },
            "Entries to skip.",
        )
    }

    /// A success with this type as its body.
    pub fn answers<T: ToSchema>(self, status: u16, text: &'static str, example: Value) -> Self {
        self.answer(status, text, Some(Shape::one::<T>()), Some(example))
    }

    /// A success with an object of no fixed shape.
    pub fn answers_object(self, status: u16, text: &'static str, example: Value) -> Self {
        self.answer(status, text, Some(Shape::object()), Some(example))
    }

    /// A success with an array of this type.
    pub fn answers_list<T: ToSchema>(self, status: u16, text: &'static str, example: Value) -> Self {
        self.answer(status, text, Some(Shape::list::<T>()), Some(example))
    }

    /// A success with a page of this type; `name` names the page.
    pub fn answers_page<T: ToSchema>(self, name: &'static str, text: &'static str, example: Value) -> Self {
        self.answer(200, text, Some(Shape::page::<T>(name)), Some(example)).paged()
    }

    /// A success without a body.
    pub fn answers_empty(self, status: u16, text: &'static str) -> Self {
        self.answer(status, text, None, None)
    }

    fn answer(mut self, status: u16, text: &'static str, shape: Option<Shape>, example: Option<Value>) -> Self {
        self.answers.push(Answer { status, text, shape, example, cookies: &[] });
        self
    }

    /// The success named last sets these cookies.
    pub fn sets(mut self, cookies: &'static [&'static str]) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.cookies = cookies;
        }
        self
    }

    /// 400 `validation_error`.
    pub fn invalid(self, code: &'static str, detail: &str, attr: impl Into<Option<&'static str>>) -> Self {
        self.error(400, "validation_error", code, detail, attr)
    }

    /// The rules for a name that others see.
    pub fn names(self, attr: &'static str) -> Self {
        let hidden = "Invisible or direction-override characters are not allowed in this field.";
        self.invalid("invalid_url", "URLs are not allowed in this field.", attr)
            .invalid("invalid_bracket", "Angle brackets are not allowed in this field.", attr)
            .invalid("invalid_control_char", "Line breaks and control characters are not allowed in this field.", attr)
            .invalid("invalid_invisible_char", hidden, attr)
    }

    /// 403 `permission_denied`.
    pub fn denied(self, detail: &str) -> Self {
        self.error(403, "authentication_error", "permission_denied", detail, None)
    }

    /// 403 `sensitive_action_required_reauth`.
    pub fn wants_reauth(self, detail: &str) -> Self {
        self.error(403, "authentication_error", "sensitive_action_required_reauth", detail, None)
    }

    /// 404, where the words are not the usual ones.
    pub fn not_found(self, detail: &str) -> Self {
        self.error(404, "invalid_request", "not_found", detail, None)
    }

    /// 403 of the gate, where the operation asks for it by itself.
    pub fn gated(self) -> Self {
        let gate = |one: Self, code, detail| one.error(403, "authentication_error", code, detail, None);
        let one = gate(self, "two_factor_setup_required", "2FA setup required");
        gate(one, "two_factor_verification_required", "2FA verification required")
    }

    pub fn error(
        mut self,
        status: u16,
        kind: &'static str,
        code: &'static str,
        detail: &str,
        attr: impl Into<Option<&'static str>>,
    ) -> Self {
        self.errors.push(ErrorCase { status, kind, code, detail: detail.to_owned(), attr: attr.into() });
        self
    }

    /// A refusal that is not in the envelope (spec §3.10).
    pub fn refused(self, status: u16, error: &str) -> Self {
        self.error(status, ErrorCase::BARE, ErrorCase::BARE, error, None)
    }

    /// 429 `throttled`; the sentence says what is counted, and how much of it is allowed.
    pub fn limited(mut self, limit: &'static str) -> Self {
        self.limits.push(limit);
        self
    }
}
