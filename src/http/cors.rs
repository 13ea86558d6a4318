//! Which other sites' scripts may call the API with cookies: an explicit list, empty by default (spec §1.12, W-33).

use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    HeaderValue, ORIGIN,
};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, StatusCode};

use super::reply::{self, Response};
use crate::config::is_origin;

/// The allowed origins.
#[derive(Clone, Debug, Default)]
pub struct Cors(Vec<HeaderValue>);

impl Cors {
    /// Checks the list: each must be `scheme://host[:port]`, and never `*`.
    pub fn parse(origins: &[String]) -> Result<Self, String> {
        origins.iter().map(|origin| parse_origin(origin)).collect::<Result<_, _>>().map(Self)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The origin of a request, when it is on the list.
    #[must_use]
    pub fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        self.0.iter().find(|allowed| *allowed == origin).cloned()
    }

    /// The answer to a preflight of an allowed origin. It carries no credentials, so none are looked at.
    #[must_use]
    pub fn preflight(&self, head: &Parts) -> Option<Response> {
        let is_preflight = head.method == Method::OPTIONS && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        (is_preflight && self.allowed(&head.headers).is_some()).then(|| {
            let mut response = reply::empty(StatusCode::NO_CONTENT);
            let headers = response.headers_mut();
            let methods = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
            let names = HeaderValue::from_static("Authorization, Content-Type, X-CSRFToken");
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
            response
        })
    }
}

/// Lets the scripts of an allowed origin read an answer.
pub fn allow(origin: HeaderValue, headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("X-Request-Id, Retry-After"));
}

fn parse_origin(origin: &str) -> Result<HeaderValue, String> {
    Some(origin)
        .filter(|origin| is_origin(origin))
        .and_then(|origin| HeaderValue::from_str(origin).ok())
        .ok_or_else(|| format!("`{origin}` is not an origin such as https://app.example.com"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_is_no_origin() {
        for bad in ["*", "https://*", "https://a.example/", "a.example", "https://", "null", "https://a b"] {
            assert!(Cors::parse(&[bad.to_owned()]).is_err(), "{bad}");
        }
        assert!(Cors::parse(&["https://a.example:8443".to_owned()]).is_ok());
    }
}
