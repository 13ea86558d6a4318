//! Answers: the one mapping from failures to status, type and code (spec §1.5), and the few shapes of success.
//!
//! What every answer carries (request id, caching, CORS) is added in `service`, once.

use std::borrow::Cow;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE,
};
use hyper::{Method, StatusCode};
use serde::Serialize;

use crate::error::Error;

pub type Response = hyper::Response<Full<Bytes>>;

/// What a handler gives back.
pub type Answer = Result<Response, Fault>;

/// Characters of a client's own text that an error sentence may repeat (W-43).
const QUOTED_CHARS_MAX: usize = 200;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Why a request has no good answer: an operation said no, or HTTP itself did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    App(Error),
    /// 404: no such path.
    EndpointNotFound,
    /// 405; `allow` lists the methods of the path.
    MethodNotAllowed {
        method: Method,
        allow: String,
    },
    /// 406.
    NotAcceptable,
    /// 408: the body did not arrive in time.
    BodyTimeout,
    /// 413; the limit in bytes.
    BodyTooLarge(usize),
    /// 415; the content type as it came.
    UnsupportedMediaType(String),
    /// 400 `parse_error`; the whole sentence.
    Parse(String),
    /// 400: valid JSON that is no object; the name of its type.
    NotAnObject(&'static str),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::App(error)
    }
}

impl Fault {
    /// The answer: status, envelope, and the headers that belong to the failure.
    #[must_use]
    pub fn render(&self) -> Response {
        let (status, kind) = self.classify();
        let envelope = Envelope { kind, code: self.code(), detail: self.detail(), attr: self.attr() };
        let mut response = body(status, JSON, to_bytes(&envelope).unwrap_or_default());
        let headers = response.headers_mut();
        match self {
            Self::App(Error::NotAuthenticated | Error::AuthenticationFailed { .. }) => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::App(Error::Throttled { retry_after_s } | Error::Unavailable { retry_after_s, .. }) => {
                headers.insert(RETRY_AFTER, HeaderValue::from(*retry_after_s));
            }
            Self::MethodNotAllowed { allow, .. } => {
                headers.extend(HeaderValue::from_str(allow).ok().map(|allow| (ALLOW, allow)));
            }
            // The rest of the body is not read: the connection cannot be used again.
            Self::BodyTimeout | Self::BodyTooLarge(_) => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }

    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.classify().0
    }

    /// Status and `type` (spec §1.5). Exhaustive, so that a new failure asks for its answer here.
    fn classify(&self) -> (StatusCode, &'static str) {
        match self {
            Self::App(error) => classify_error(error),
            Self::EndpointNotFound => (StatusCode::NOT_FOUND, "invalid_request"),
            Self::MethodNotAllowed { .. } => (StatusCode::METHOD_NOT_ALLOWED, "invalid_request"),
            Self::NotAcceptable => (StatusCode::NOT_ACCEPTABLE, "invalid_request"),
            Self::BodyTimeout => (StatusCode::REQUEST_TIMEOUT, "invalid_request"),
            Self::BodyTooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "invalid_request"),
            Self::UnsupportedMediaType(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid_request"),
            Self::Parse(_) => (StatusCode::BAD_REQUEST, "invalid_request"),
            Self::NotAnObject(_) => (StatusCode::BAD_REQUEST, "validation_error"),
        }
    }

    fn code(&self) -> &str {
        match self {
            // The internal word never leaves (spec §1.5).
            Self::App(error) if error.code() == "invalid" => "invalid_input",
            Self::App(error) => error.code(),
            Self::EndpointNotFound => "not_found",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::NotAcceptable => "not_acceptable",
            Self::BodyTimeout => "request_timeout",
            Self::BodyTooLarge(_) => "request_too_large",
            Self::UnsupportedMediaType(_) => "unsupported_media_type",
            Self::Parse(_) => "parse_error",
            Self::NotAnObject(_) => "invalid_input",
        }
    }

    fn detail(&self) -> Cow<'_, str> {
        match self {
            // The operator reads the rest in the log.
            Self::App(Error::Internal { .. }) => "A server error occurred.".into(),
            Self::App(error) => error.to_string().into(),
            Self::EndpointNotFound => "Endpoint not found.".into(),
            Self::MethodNotAllowed { method, .. } => {
                format!("Method \"{}\" not allowed.", quoted(method.as_str())).into()
            }
            Self::NotAcceptable => "Could not satisfy the request Accept header.".into(),
            Self::BodyTimeout => "The request body did not arrive in time.".into(),
            Self::BodyTooLarge(limit) => format!("The request body is larger than {limit} bytes.").into(),
            Self::UnsupportedMediaType(kind) => {
                format!("Unsupported media type \"{}\" in request.", quoted(kind)).into()
            }
            Self::Parse(sentence) => sentence.as_str().into(),
            Self::NotAnObject(kind) => format!("Invalid data. Expected a dictionary, but got {kind}.").into(),
        }
    }

    fn attr(&self) -> Option<&str> {
        match self {
            Self::App(Error::Invalid { attr, .. }) => attr.as_deref(),
            _ => None,
        }
    }
}

fn classify_error(error: &Error) -> (StatusCode, &'static str) {
    match error {
        Error::Invalid { .. } | Error::Refused { .. } => (StatusCode::BAD_REQUEST, "validation_error"),
        Error::NotAuthenticated | Error::AuthenticationFailed { .. } => {
            (StatusCode::UNAUTHORIZED, "authentication_error")
        }
        Error::Denied { .. }
        | Error::ReauthRequired { .. }
        | Error::TwoFactorSetupRequired
        | Error::TwoFactorVerificationRequired
        | Error::LockedOut => (StatusCode::FORBIDDEN, "authentication_error"),
        Error::NotFound { .. } => (StatusCode::NOT_FOUND, "invalid_request"),
        Error::Conflict { .. } => (StatusCode::CONFLICT, "server_error"),
        Error::Throttled { .. } => (StatusCode::TOO_MANY_REQUESTS, "throttled_error"),
        Error::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "server_error"),
        Error::Internal { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
    }
}

/// The error envelope; the order of the keys is part of the contract (spec §7.1).
#[derive(Serialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    code: &'a str,
    detail: Cow<'a, str>,
    attr: Option<&'a str>,
}

/// 200, or another status, with JSON.
pub fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    Ok(body(status, JSON, to_bytes(value)?))
}

/// An answer without a body and so without a content type: 204, or 200 where the spec says so.
#[must_use]
pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(0));
    response
}

/// 302 to a path of ours.
#[must_use]
pub fn found(location: &str) -> Response {
    let mut response = empty(StatusCode::FOUND);
    response.headers_mut().extend(HeaderValue::from_str(location).ok().map(|location| (LOCATION, location)));
    response
}

/// Any text with its content type.
#[must_use]
pub fn body(status: StatusCode, content_type: HeaderValue, bytes: Bytes) -> Response {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    *response.body_mut() = Full::new(bytes);
    response
}

/// The first step of a login was right and the second is wanted: a 401 that is not an error of the operation, since it
/// carries a cookie (spec §3.5, row 6). Its odd type is asserted by clients.
pub fn second_factor_required() -> Answer {
    let envelope =
        Envelope { kind: "server_error", code: "2fa_required", detail: "2FA is required.".into(), attr: None };
    let mut response = json(StatusCode::UNAUTHORIZED, &envelope)?;
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    Ok(response)
}

/// The same where the second step is a code by mail: the detail is the address it went to (spec §3.5, row 7).
pub fn login_code_required(email: &str) -> Answer {
    let code = "code_based_verification_required";
    let envelope = Envelope { kind: "authentication_error", code, detail: email.into(), attr: None };
    let mut response = json(StatusCode::UNAUTHORIZED, &envelope)?;
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    Ok(response)
}

/// A refusal of the routes that leave the envelope (spec §3.10, W-42).
#[derive(Serialize)]
struct Bare<'a> {
    success: bool,
    error: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    requires_login: bool,
}

/// What an operation behind such a route refuses, in their shape: bad input, no login, the wrong account. Everything else
/// stays in the envelope.
pub fn bare(error: Error) -> Answer {
    let requires_login = matches!(error, Error::AuthenticationFailed { .. });
    let is_bare = requires_login || matches!(error, Error::Invalid { .. } | Error::Denied { .. });
    if !is_bare {
        return Err(error.into());
    }
    let (status, _) = classify_error(&error);
    let mut response = json(status, &Bare { success: false, error: &error.to_string(), requires_login })?;
    if requires_login {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    Ok(response)
}

fn to_bytes(value: &impl Serialize) -> Result<Bytes, Error> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|error| Error::internal(error.to_string()))
}

/// A client's text, fit for a sentence of ours (W-43).
fn quoted(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(QUOTED_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn text(response: Response) -> String {
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    async fn check(fault: impl Into<Fault>, status: u16, body: &str) {
        let response = fault.into().render();
        assert_eq!(response.status(), status, "{body}");
        assert_eq!(response.headers()[CONTENT_LENGTH], body.len().to_string());
        assert_eq!(text(response).await, body);
    }

    /// Spec §7.1, byte for byte: the bodies of validation errors.
    const GOLDEN_INVALID: [&str; 10] = [
        r#"{"type":"validation_error","code":"2fa_invalid","detail":"Invalid authentication code","attr":null}"#,
        r#"{"type":"validation_error","code":"2fa_too_many_attempts","detail":"Too many attempts.","attr":null}"#,
        r#"{"type":"validation_error","code":"2fa_expired","detail":"Login attempt has expired. Re-enter username/password.","attr":null}"#,
        r#"{"type":"validation_error","code":"invalid_credentials","detail":"Invalid email or password.","attr":null}"#,
        r#"{"type":"validation_error","code":"setup_expired","detail":"2FA setup session expired. Please start setup again.","attr":null}"#,
        r#"{"type":"validation_error","code":"token_invalid","detail":"Token is not valid","attr":null}"#,
        r#"{"type":"validation_error","code":"2fa_not_enabled","detail":"2FA must be enabled first","attr":null}"#,
        r#"{"type":"validation_error","code":"invalid_token","detail":"This verification token is invalid or has expired.","attr":"token"}"#,
        r#"{"type":"validation_error","code":"email_change_request_not_found","detail":"No active email change requests found.","attr":null}"#,
        r#"{"type":"validation_error","code":"required","detail":"This field is required.","attr":"token"}"#,
    ];

    #[tokio::test]
    async fn golden_bodies_of_validation_errors() {
        for golden in GOLDEN_INVALID {
            let body: serde_json::Value = serde_json::from_str(golden).unwrap();
            let text = |key: &str| body[key].as_str().map(str::to_owned);
            let (code, detail) = (text("code").unwrap(), text("detail").unwrap());
            check(
                Error::Invalid { code: code.into(), detail: detail.into(), attr: text("attr").map(Into::into) },
                400,
                golden,
            )
            .await;
        }
    }

    /// The other bodies of spec §7.1, byte for byte.
    #[tokio::test]
    async fn golden_bodies() {
        let cases = [
            (
                Error::NotAuthenticated,
                401,
                r#"{"type":"authentication_error","code":"not_authenticated","detail":"Authentication credentials were not provided.","attr":null}"#,
            ),
            (
                Error::LockedOut,
                403,
                r#"{"type":"authentication_error","code":"too_many_failed_attempts","detail":"Too many failed login attempts. Please try again in 10 minutes.","attr":null}"#,
            ),
            (
                Error::reauth_required(),
                403,
                r#"{"type":"authentication_error","code":"sensitive_action_required_reauth","detail":"This action requires you to be recently authenticated.","attr":null}"#,
            ),
            (
                Error::TwoFactorSetupRequired,
                403,
                r#"{"type":"authentication_error","code":"two_factor_setup_required","detail":"2FA setup required","attr":null}"#,
            ),
            (
                Error::TwoFactorVerificationRequired,
                403,
                r#"{"type":"authentication_error","code":"two_factor_verification_required","detail":"2FA verification required","attr":null}"#,
            ),
            (
                Error::denied("This action does not support personal API key access"),
                403,
                r#"{"type":"authentication_error","code":"permission_denied","detail":"This action does not support personal API key access","attr":null}"#,
            ),
            (
                Error::denied("As a non-staff user you're only allowed to access the `@me` user instance."),
                403,
                r#"{"type":"authentication_error","code":"permission_denied","detail":"As a non-staff user you're only allowed to access the `@me` user instance.","attr":null}"#,
            ),
            (
                Error::Conflict { detail: "Cannot delete user with organization memberships.".into() },
                409,
                r#"{"type":"server_error","code":"conflict","detail":"Cannot delete user with organization memberships.","attr":null}"#,
            ),
            (
                Error::not_found(),
                404,
                r#"{"type":"invalid_request","code":"not_found","detail":"Not found.","attr":null}"#,
            ),
            (
                Error::Throttled { retry_after_s: 1 },
                429,
                r#"{"type":"throttled_error","code":"throttled","detail":"Request was throttled. Expected available in 1 second.","attr":null}"#,
            ),
        ];
        for (error, status, golden) in cases {
            check(error, status, golden).await;
        }
        assert_eq!(
            text(second_factor_required().unwrap()).await,
            r#"{"type":"server_error","code":"2fa_required","detail":"2FA is required.","attr":null}"#
        );
    }

    #[tokio::test]
    async fn a_fault_of_ours_shows_no_detail() {
        check(
            Error::internal("key user/7: bad checksum"),
            500,
            r#"{"type":"server_error","code":"error","detail":"A server error occurred.","attr":null}"#,
        )
        .await;
    }

    #[tokio::test]
    async fn the_internal_word_invalid_never_leaves() {
        check(
            Error::invalid("invalid", "Not a valid string.", Some("email")),
            400,
            r#"{"type":"validation_error","code":"invalid_input","detail":"Not a valid string.","attr":"email"}"#,
        )
        .await;
    }

    #[test]
    fn a_wait_is_named_in_seconds() {
        let throttled = Fault::App(Error::Throttled { retry_after_s: 42 }).render();
        assert_eq!(throttled.status(), 429);
        assert_eq!(throttled.headers()[RETRY_AFTER], "42");
        let busy = Fault::App(Error::Unavailable { detail: "busy".into(), retry_after_s: 1 }).render();
        assert_eq!(busy.status(), 503);
        assert_eq!(busy.headers()[RETRY_AFTER], "1");
    }

    #[test]
    fn a_challenge_comes_with_every_401() {
        let bad_key = Error::AuthenticationFailed { detail: "no".into() };
        for response in [
            Fault::App(Error::NotAuthenticated).render(),
            Fault::App(bad_key).render(),
            second_factor_required().unwrap(),
        ] {
            assert_eq!(response.status(), 401);
            assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer");
        }
    }

    #[tokio::test]
    async fn http_says_no_in_the_envelope_too() {
        check(
            Fault::EndpointNotFound,
            404,
            r#"{"type":"invalid_request","code":"not_found","detail":"Endpoint not found.","attr":null}"#,
        )
        .await;
        check(
            Fault::UnsupportedMediaType("text/plain".into()),
            415,
            r#"{"type":"invalid_request","code":"unsupported_media_type","detail":"Unsupported media type \"text/plain\" in request.","attr":null}"#,
        )
        .await;
        check(
            Fault::NotAnObject("list"),
            400,
            r#"{"type":"validation_error","code":"invalid_input","detail":"Invalid data. Expected a dictionary, but got list.","attr":null}"#,
        )
        .await;
        let wrong_method = Fault::MethodNotAllowed { method: Method::POST, allow: "GET, HEAD, OPTIONS".into() };
        assert_eq!(wrong_method.render().headers()[ALLOW], "GET, HEAD, OPTIONS");
        check(
            wrong_method,
            405,
            r#"{"type":"invalid_request","code":"method_not_allowed","detail":"Method \"POST\" not allowed.","attr":null}"#,
        )
        .await;
    }

    #[test]
    fn an_empty_answer_has_a_length_and_no_type() {
        let response = empty(StatusCode::NO_CONTENT);
        assert_eq!(response.headers()[CONTENT_LENGTH], "0");
        assert!(!response.headers().contains_key(CONTENT_TYPE));
    }

    #[test]
    fn a_client_s_own_text_is_cut_and_cleaned() {
        assert_eq!(quoted("text/\u{7f}plain"), "text/plain");
        assert_eq!(quoted(&"x".repeat(300)).len(), QUOTED_CHARS_MAX);
    }
}
