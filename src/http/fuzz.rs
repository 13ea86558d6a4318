//! What a stranger sends: bodies, and the heads of requests. See [`crate::fuzz`].
#![allow(clippy::missing_panics_doc, clippy::panic, reason = "what must not be ends the program")]

use std::net::IpAddr;

use bytes::Bytes;
use futures_util::FutureExt;
use hyper::Request;
use hyper::header::HeaderValue;
use hyper::http::request::Parts;

use super::body::{self, Parsed};
use super::client::{TrustedProxies, USER_AGENT_CHARS_MAX, user_agent};
use super::cookies::Cookies;
use super::credentials;
use super::paging::{LIMIT_MAX, Window, parameter};
use super::proxy_protocol;
use crate::domain::email::EmailAddress;
use crate::domain::fields::{FieldError, Fields};
use crate::domain::id::UserId;
use crate::domain::invite::InviteForm;
use crate::domain::key_patch::KeyPatch;
use crate::domain::organization_patch::OrganizationPatch;
use crate::domain::preferences::{ProductIntro, SceneChoice};
use crate::domain::signup::{Person, SignupForm};
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::domain::user_patch::{NAME_CHARS_MAX, PatchRules, Reach, UserPatch};
use crate::error::Error;

/// A content type on the first line, and behind it the body.
///
/// A body that cannot be read is answered with a 4xx, whatever is wrong with it, and one that can be is read by each
/// endpoint that takes fields.
pub fn body(data: &[u8]) {
    let (kind, rest) = first_line(data);
    let kind = (!kind.is_empty()).then(|| String::from_utf8_lossy(kind));
    // All of it is there, so that nothing is waited for.
    match body::parse(kind.as_deref(), Bytes::copy_from_slice(rest)).now_or_never() {
        None => panic!("a body that is there is waited for"),
        Some(Err(fault)) => assert!(fault.render().status().is_client_error(), "{fault:?}"),
        Some(Ok(Parsed::Other(value))) => {
            if let Some(Err(error)) = Parsed::Other(value).into_list().map(|list| InviteForm::read_list(&list, false)) {
                check_error(error);
            }
        }
        Some(Ok(Parsed::Fields { fields, .. })) => read_fields(&fields),
    }
}

fn read_fields(fields: &Fields) {
    let again = serde_json::to_vec(fields).ok().and_then(|json| serde_json::from_slice::<Fields>(&json).ok());
    // The last digit of a long fraction may differ; nothing here reads fractions.
    assert!(
        again.is_some_and(|again| again.0.keys().eq(fields.0.keys())),
        "fields that are sent on change: {fields:?}"
    );
    let errors = [
        KeyPatch::parse(fields, true).err(),
        KeyPatch::parse(fields, false).err(),
        OrganizationPatch::parse(fields).err(),
        InviteForm::read(fields, false).err(),
        SignupForm::read(fields, false).err(),
        Person::read(fields).err(),
        ProductIntro::parse(fields).err(),
        SceneChoice::parse(fields, true).err(),
        fields.code_token("token").err(),
        fields.secret("password").err(),
        fields.integer("limit").err(),
    ];
    errors.into_iter().flatten().for_each(check_error);
    let Some(email) = EmailAddress::parse("ada@example.com") else { return };
    let mut user = User::new(UserId(uuid::Uuid::nil()), 1, String::new(), email, Timestamp::from_seconds(0));
    let rules = PatchRules { allow_plus_addresses: false, password_min_length: 8 };
    for replace in [false, true] {
        match UserPatch::parse(fields, replace, &user, &Reach::default(), &rules) {
            Ok(patch) => patch.apply(&mut user),
            Err(error) => check_error(error),
        }
        assert!(user.first_name.chars().count() <= NAME_CHARS_MAX && user.last_name.chars().count() <= NAME_CHARS_MAX);
    }
}

fn check_error(error: FieldError) {
    assert!(super::reply::Fault::App(Error::from(error)).render().status().is_client_error());
}

/// A method and an address on the first line, and behind it a header on each.
///
/// What is taken from the head of a request is bounded and plain, and only proxies that are trusted say whose it is.
pub fn head(data: &[u8]) {
    let Some(head) = read_head(data) else { return };
    let mut cookies = Cookies::read(&head.headers);
    assert!(cookies.session.as_ref().is_none_or(|key| !key.expose().is_empty()));
    for key_first in [false, true] {
        let presented = credentials::gather(&head, &mut cookies, None, key_first);
        let keys = [&presented.bearer, &presented.query_key].into_iter().flatten();
        for key in keys {
            assert!(!key.expose().is_empty() && key.expose().trim() == key.expose());
        }
        assert_eq!(presented.query_key.is_some(), credentials::has_query_key(&head));
    }
    let peer = IpAddr::from([10, 1, 2, 3]);
    for (trusted, is_trusted) in [(&["10.0.0.0/8"][..], true), (&["::1"], false)] {
        let trusted: Vec<String> = trusted.iter().map(|text| (*text).to_owned()).collect();
        let Ok(proxies) = TrustedProxies::parse(&trusted) else { return };
        let client = proxies.client_address(peer, &head.headers);
        assert!(is_trusted || client == peer, "{client} without a proxy");
    }
    if let Some(agent) = user_agent(&head.headers) {
        assert!(agent.chars().count() <= USER_AGENT_CHARS_MAX && !agent.contains(char::is_control));
    }
    let query = head.uri.query().unwrap_or_default();
    let window = Window::of(query);
    assert!(window.limit > 0 && window.limit <= LIMIT_MAX);
    let page = window.page("http://localhost/api/users/", query, u64::MAX, vec![()]);
    for link in [page.next, page.previous].into_iter().flatten() {
        let (_, query) = link.split_once('?').unwrap_or_default();
        assert_eq!(Window::of(query).limit, window.limit, "{link}");
    }
    if let Some(next) = parameter(query, "next").filter(|next| text::is_safe_path(next)) {
        let link = text::with_next("/login", &next);
        assert!(HeaderValue::from_str(&link).is_ok() && link.starts_with("/login"), "{link}");
    }
}

/// What a proxy sends first.
///
/// However it arrives, the header has one end, and says one thing.
pub fn proxy(data: &[u8]) {
    let whole = proxy_protocol::parse(data);
    let first = (0..=data.len()).filter_map(|end| data.get(..end)).find_map(|part| match proxy_protocol::parse(part) {
        Ok(None) => None,
        other => Some(other),
    });
    if let Some(Ok(Some((source, length)))) = first {
        assert!(length <= data.len());
        assert!(matches!(whole, Ok(Some((same, end))) if same == source && end == length), "{whole:?}");
    }
}

fn read_head(data: &[u8]) -> Option<Parts> {
    let (first, mut rest) = first_line(data);
    let (method, uri) = std::str::from_utf8(first).ok()?.split_once(' ')?;
    let mut request = Request::builder().method(method).uri(uri);
    while !rest.is_empty() {
        let (line, behind) = first_line(rest);
        rest = behind;
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at_checked(colon)?;
        request = request.header(name, value.get(1..)?.trim_ascii());
    }
    request.body(()).ok().map(|request| request.into_parts().0)
}

/// The first line without its end, and the rest.
fn first_line(data: &[u8]) -> (&[u8], &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    (data.get(..end).unwrap_or_default(), data.get(end + 1..).unwrap_or_default())
}
