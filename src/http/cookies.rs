//! The cookies of spec §1.7: reading them from a request, setting and clearing them in an answer.

use cookie::{Cookie, SameSite};
use hyper::HeaderMap;
use hyper::header::{COOKIE, HeaderValue, SET_COOKIE};

use super::reply::Response;
use crate::app::login::{IssuedRememberedDevice, IssuedSession};
use crate::domain::secret::Secret;

pub const SESSION: &str = "sessionid";
pub const CSRF: &str = "posthog_csrftoken";
const REMEMBERED_PREFIX: &str = "remember-cookie_";

/// Remembered-device cookies looked at in one request; a browser has one for each account at most.
const REMEMBERED_MAX: usize = 20;

/// The cookies that mean something here. Of two with one name the first counts: browsers send the one of the longer
/// path first.
#[derive(Debug, Default)]
pub struct Cookies {
    pub session: Option<Secret>,
    pub csrf: Option<String>,
    /// Values of the `remember-cookie_*` cookies.
    pub remembered: Vec<Secret>,
}

impl Cookies {
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Self {
        let mut cookies = Self::default();
        for line in headers.get_all(COOKIE) {
            // A neighbour's cookie on the same host need not be ASCII, and must not hide ours.
            let line = String::from_utf8_lossy(line.as_bytes());
            for cookie in Cookie::split_parse(line.as_ref()).filter_map(Result::ok) {
                cookies.take(cookie.name(), cookie.value_trimmed());
            }
        }
        cookies
    }

    fn take(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        match name {
            SESSION if self.session.is_none() => self.session = Some(value.into()),
            CSRF if self.csrf.is_none() => self.csrf = Some(value.to_owned()),
            _ if name.starts_with(REMEMBERED_PREFIX) && self.remembered.len() < REMEMBERED_MAX => {
                self.remembered.push(value.into());
            }
            _ => {}
        }
    }
}

/// Sets the two cookies of a session. `secure` is whether the site is reached by https.
pub fn set_session(response: &mut Response, session: &IssuedSession, secure: bool) {
    let key = Cookie::build((SESSION, session.key.expose())).same_site(SameSite::Lax).http_only(true);
    set(response, key.max_age(seconds(session.max_age_s)).secure(secure).build());
    // Scripts have to read this one.
    let csrf = Cookie::build((CSRF, session.csrf_token.expose())).same_site(SameSite::Lax);
    set(response, csrf.max_age(seconds(session.max_age_s)).secure(secure).build());
}

/// Sets the cookie of a remembered device.
pub fn set_remembered(response: &mut Response, device: &IssuedRememberedDevice, secure: bool) {
    let name = format!("{REMEMBERED_PREFIX}{}", device.name);
    let cookie = Cookie::build((name, device.value.expose())).same_site(SameSite::Strict).http_only(true);
    set(response, cookie.max_age(seconds(device.max_age_s)).secure(secure).build());
}

/// Takes the session's cookies back; a remembered device stays (spec §3.5, logout).
pub fn clear_session(response: &mut Response, secure: bool) {
    for (name, http_only) in [(SESSION, true), (CSRF, false)] {
        let gone = Cookie::build((name, "")).same_site(SameSite::Lax).http_only(http_only).secure(secure);
        set(response, gone.max_age(seconds(0)).build());
    }
}

fn set(response: &mut Response, mut cookie: Cookie<'_>) {
    cookie.set_path("/");
    if let Ok(mut value) = HeaderValue::from_str(&cookie.to_string()) {
        value.set_sensitive(true);
        response.headers_mut().append(SET_COOKIE, value);
    }
}

fn seconds(count: i64) -> cookie::time::Duration {
    cookie::time::Duration::seconds(count)
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;

    use super::*;
    use crate::http::reply;

    fn read(lines: &[&str]) -> Cookies {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, line.parse().unwrap());
        }
        Cookies::read(&headers)
    }

    fn set_cookies(response: &Response) -> Vec<&str> {
        response.headers().get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap()).collect()
    }

    #[test]
    fn the_known_cookies_are_read() {
        let cookies = read(&["a=b; sessionid=abc;posthog_csrftoken=tok", "remember-cookie_1=x; remember-cookie_2=y"]);
        assert_eq!(cookies.session.unwrap().expose(), "abc");
        assert_eq!(cookies.csrf.unwrap(), "tok");
        assert_eq!(cookies.remembered.iter().map(Secret::expose).collect::<Vec<_>>(), ["x", "y"]);
    }

    #[test]
    fn the_first_of_two_counts_and_junk_is_passed_over() {
        let cookies = read(&["; ;=; nonsense; sessionid=; sessionid=one; sessionid=two"]);
        assert_eq!(cookies.session.unwrap().expose(), "one");
        assert!(cookies.csrf.is_none());
    }

    #[test]
    fn a_foreign_cookie_that_is_no_ascii_hides_nothing() {
        for line in ["name=J\u{f6}rg; sessionid=abc".as_bytes(), b"name=\xff; sessionid=abc"] {
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, HeaderValue::from_bytes(line).unwrap());
            assert_eq!(Cookies::read(&headers).session.as_ref().map(Secret::expose), Some("abc"));
        }
    }

    #[test]
    fn a_session_is_two_cookies() {
        let mut response = reply::empty(StatusCode::OK);
        let session = IssuedSession { key: "k".into(), csrf_token: "c".into(), max_age_s: 1_209_600 };
        set_session(&mut response, &session, true);
        assert_eq!(
            set_cookies(&response),
            [
                "sessionid=k; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=1209600",
                "posthog_csrftoken=c; SameSite=Lax; Secure; Path=/; Max-Age=1209600",
            ]
        );
    }

    #[test]
    fn plain_http_gets_no_secure_flag() {
        let mut response = reply::empty(StatusCode::OK);
        let device = IssuedRememberedDevice { name: "n".into(), value: "v".into(), max_age_s: 60 };
        set_remembered(&mut response, &device, false);
        assert_eq!(set_cookies(&response), ["remember-cookie_n=v; HttpOnly; SameSite=Strict; Path=/; Max-Age=60"]);
    }

    #[test]
    fn logging_out_takes_the_session_back() {
        let mut response = reply::empty(StatusCode::OK);
        clear_session(&mut response, false);
        assert!(set_cookies(&response).iter().all(|cookie| cookie.contains("Max-Age=0")));
        assert_eq!(set_cookies(&response).len(), 2);
    }
}
