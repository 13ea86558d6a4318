//! The credentials of a request, gathered for [`crate::app::App::authenticate`] (spec §1.6, §1.8). What they are worth
//! is decided there.

use hyper::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN, REFERER};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method};

use super::body::Parsed;
use super::cookies::Cookies;
use crate::app::{CsrfFacts, Presented};
use crate::domain::secret::Secret;

/// The field that carries a key in a body or query, where no header does.
const KEY_FIELD: &str = "personal_api_key";
const CSRF_FIELD: &str = "csrfmiddlewaretoken";
pub(super) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const X_CSRF_TOKEN: HeaderName = HeaderName::from_static("x-csrftoken");

/// Everything presented. The cookies' values move into it, except those of remembered devices.
#[must_use]
pub fn gather(head: &Parts, cookies: &mut Cookies, body: Option<&Parsed>, key_first: bool) -> Presented {
    let in_body = |name| body.and_then(|body| body.text(name));
    let in_form = |name| body.and_then(|body| body.form_text(name));
    Presented {
        bearer: bearer(&head.headers),
        session: cookies.session.take(),
        body_key: in_body(KEY_FIELD).and_then(non_blank),
        query_key: head.uri.query().and_then(query_key),
        csrf: CsrfFacts {
            is_unsafe: is_unsafe(&head.method),
            cookie: cookies.csrf.take(),
            token: text(&head.headers, &X_CSRF_TOKEN).or_else(|| in_form(CSRF_FIELD).map(str::to_owned)),
            origin: text(&head.headers, &ORIGIN),
            fetch_site: text(&head.headers, &SEC_FETCH_SITE),
            referer: text(&head.headers, &REFERER),
            host: host(head),
        },
        key_first,
    }
}

/// Whether the method changes something (spec §1.8).
fn is_unsafe(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

/// The host that was asked for. HTTP/2 puts it into the address.
#[must_use]
pub fn host(head: &Parts) -> Option<String> {
    text(&head.headers, &HOST).or_else(|| head.uri.authority().map(ToString::to_string))
}

/// The value behind the keyword `Bearer`, spelt just so; `OAuth` tokens are passed over (spec §1.6).
fn bearer(headers: &HeaderMap) -> Option<Secret> {
    let rest = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer")?;
    let value = rest.strip_prefix([' ', '\t'])?.trim();
    (!value.is_empty() && !value.starts_with("pha_")).then(|| value.into())
}

/// Whether a key stands in the address, where it should not (W-29).
#[must_use]
pub fn has_query_key(head: &Parts) -> bool {
    head.uri.query().and_then(query_key).is_some()
}

fn query_key(query: &str) -> Option<Secret> {
    // Most queries have none; do not decode them.
    query.contains(KEY_FIELD).then_some(())?;
    let (_, value) = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == KEY_FIELD)?;
    non_blank(&value)
}

fn non_blank(value: &str) -> Option<Secret> {
    let value = value.trim();
    (!value.is_empty()).then(|| value.into())
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hyper::Request;

    use super::*;
    use crate::http::body;

    fn head(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn gathered(head: &Parts, body: Option<&Parsed>) -> Presented {
        gather(head, &mut Cookies::read(&head.headers), body, false)
    }

    #[track_caller]
    fn check_bearer(header: &str, expected: Option<&str>) {
        let presented = gathered(&head("GET", "/", &[("authorization", header)]), None);
        assert_eq!(presented.bearer.as_ref().map(Secret::expose), expected, "{header:?}");
    }

    #[test]
    fn the_keyword_is_case_sensitive_and_the_value_trimmed() {
        check_bearer("Bearer phx_1", Some("phx_1"));
        check_bearer("Bearer \t  phx_1  ", Some("phx_1"));
        check_bearer("bearer phx_1", None);
        check_bearer("Bearerphx_1", None);
        check_bearer("Basic phx_1", None);
        check_bearer("Bearer", None);
        check_bearer("Bearer   ", None);
        check_bearer("Bearer pha_1", None);
    }

    #[tokio::test]
    async fn a_key_may_be_in_the_body_or_the_query() {
        let head = head("POST", "/api/users?x=1&personal_api_key=phx%5F1", &[]);
        let json =
            body::parse(Some("application/json"), Bytes::from(r#"{"personal_api_key":" phx_2 "}"#)).await.unwrap();
        let presented = gathered(&head, Some(&json));
        assert_eq!(presented.query_key.unwrap().expose(), "phx_1");
        assert_eq!(presented.body_key.unwrap().expose(), "phx_2");
        let number = body::parse(Some("application/json"), Bytes::from(r#"{"personal_api_key":7}"#)).await.unwrap();
        assert!(gathered(&head, Some(&number)).body_key.is_none());
    }

    #[tokio::test]
    async fn the_csrf_token_comes_in_a_header_or_a_form() {
        let form =
            body::parse(Some("application/x-www-form-urlencoded"), Bytes::from("csrfmiddlewaretoken=f")).await.unwrap();
        let json = body::parse(Some("application/json"), Bytes::from(r#"{"csrfmiddlewaretoken":"j"}"#)).await.unwrap();
        let bare = head("POST", "/", &[("cookie", "sessionid=s; posthog_csrftoken=c"), ("host", "h")]);
        let presented = gathered(&bare, Some(&form));
        assert_eq!(presented.session.unwrap().expose(), "s");
        assert_eq!(presented.csrf.cookie.as_deref(), Some("c"));
        assert_eq!(presented.csrf.token.as_deref(), Some("f"));
        assert_eq!(presented.csrf.host.as_deref(), Some("h"));
        assert!(presented.csrf.is_unsafe);
        assert_eq!(gathered(&bare, Some(&json)).csrf.token, None);
        let with_header = head("GET", "/", &[("x-csrftoken", "h")]);
        let presented = gathered(&with_header, Some(&form));
        assert_eq!(presented.csrf.token.as_deref(), Some("h"));
        assert!(!presented.csrf.is_unsafe);
    }
}
