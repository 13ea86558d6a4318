//! The description of the API, for programs (`/api/schema`) and for people (`/api/docs`). Open to everybody.
//!
//! The page shows the description with Swagger UI, which is compiled in (`assets/docs`, fetched by
//! `scripts/docs-viewer`), and loads nothing from elsewhere.

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY};

use super::openapi;
use super::reply::{self, Response};

const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Nothing but what this server sends, no inline styles or scripts, and no frame around it. The viewer's icons are
/// `data:` images.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
/// The viewer is large, and changes with the program only.
const FOR_AN_HOUR: HeaderValue = HeaderValue::from_static("public, max-age=3600");
const GZIP: HeaderValue = HeaderValue::from_static("gzip");

pub fn schema() -> Response {
    text(JSON, openapi::DOCUMENT)
}

pub fn page() -> Response {
    let mut response = text(HTML, include_str!("../../assets/docs/page.html"));
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, POLICY);
    // "Try it out" needs a referrer for the CSRF check, on this server only.
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

pub fn page_style() -> Response {
    text(CSS, include_str!("../../assets/docs/page.css"))
}

pub fn page_script() -> Response {
    text(SCRIPT, include_str!("../../assets/docs/page.js"))
}

pub fn viewer_style() -> Response {
    packed(CSS, include_bytes!("../../assets/docs/viewer.css.gz"))
}

pub fn viewer_script() -> Response {
    packed(SCRIPT, include_bytes!("../../assets/docs/viewer.js.gz"))
}

fn text(content_type: &'static str, text: &'static str) -> Response {
    reply::body(StatusCode::OK, HeaderValue::from_static(content_type), Bytes::from_static(text.as_bytes()))
}

/// Compressed as it lies in the program. Every browser takes that; who does not ask for it gets it too.
fn packed(content_type: &'static str, bytes: &'static [u8]) -> Response {
    let mut response = reply::body(StatusCode::OK, HeaderValue::from_static(content_type), Bytes::from_static(bytes));
    response.headers_mut().insert(CONTENT_ENCODING, GZIP);
    response.headers_mut().insert(CACHE_CONTROL, FOR_AN_HOUR);
    response
}
