//! The few pages for people: those that links in mails and on the terminal lead to (confirm an address, accept an invite,
//! make the first staff account), and sign-up. Rendered from one template, without scripts. `recovery` has those for who
//! cannot get in.
//!
//! Nothing happens on GET, since mail scanners follow links. The forms need no CSRF token: the single-use token in the
//! path, which a stranger does not know, stands in for it, and forms that other sites send are refused.

pub mod signup;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY};
use minijinja::value::Serde;
use minijinja::{Environment, Value};
use serde::Serialize;

use super::cookies;
use super::door::Door;
use super::reply::{self, Answer, Fault};
use super::router::Call;
use crate::app::email::VerifyEmail;
use crate::app::passwords::CompleteSetup;
use crate::domain::fields::Fields;
use crate::error::Error;

const TEMPLATE: &str = include_str!("../../assets/pages/page.html");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// Where the start page sends the curious: the description of the API.
const DOCS: Link = Link { label: "Documentation", href: "/api/docs" };

/// The compiled template.
pub struct Pages(Environment<'static>);

impl Pages {
    pub fn new() -> Result<Self, minijinja::Error> {
        let mut environment = Environment::new();
        // The name's ending switches escaping on.
        environment.add_template("page.html", TEMPLATE)?;
        Ok(Self(environment))
    }

    /// `nonce` lets the page's own style through its content security policy; it must be new for each answer.
    fn render(&self, status: StatusCode, page: &Page<'_>, nonce: &str) -> Answer {
        let broken = |error: minijinja::Error| Error::internal(format!("page {}: {error:#}", page.title));
        let context = Value::from(Serde(&Framed { page, nonce }));
        let html = self.0.get_template("page.html").and_then(|template| template.render(context)).map_err(broken)?;
        let mut response = reply::body(status, HTML, Bytes::from(html));
        let policy = format!(
            "default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        );
        let headers = response.headers_mut();
        headers.extend(HeaderValue::from_str(&policy).ok().map(|policy| (CONTENT_SECURITY_POLICY, policy)));
        // The address holds a token (W-19).
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        Ok(response)
    }
}

/// What a page shows.
#[derive(Default, Serialize)]
pub(super) struct Page<'a> {
    pub(super) title: &'a str,
    pub(super) text: &'a str,
    pub(super) error: Option<String>,
    pub(super) inputs: Vec<Input>,
    /// The label of the form's button; there is a form when there is one.
    pub(super) button: Option<&'a str>,
    /// Where else to go.
    pub(super) link: Option<Link>,
}

#[derive(Serialize)]
pub(super) struct Link {
    pub(super) label: &'static str,
    pub(super) href: &'static str,
}

#[derive(Serialize)]
struct Framed<'a> {
    #[serde(flatten)]
    page: &'a Page<'a>,
    nonce: &'a str,
}

#[derive(Serialize)]
pub(super) struct Input {
    name: &'static str,
    label: &'static str,
    kind: &'static str,
    autocomplete: &'static str,
    value: String,
    required: bool,
}

impl Input {
    pub(super) fn new(name: &'static str, label: &'static str, kind: &'static str, autocomplete: &'static str) -> Self {
        Self { name, label, kind, autocomplete, value: String::new(), required: true }
    }

    fn optional(self) -> Self {
        Self { required: false, ..self }
    }

    /// Filled in with what was sent before.
    pub(super) fn filled(mut self, fields: &Fields) -> Self {
        fields.0.get(self.name).and_then(|value| value.as_str()).unwrap_or_default().clone_into(&mut self.value);
        self
    }
}

pub fn home<D: Door>(call: &Call<D>) -> Answer {
    let text = "This is Doorward, a server for accounts and second factors. Programs use its HTTP API under /api/; \
        people meet it through the applications that do.";
    show(call, &Page { title: "Doorward", text, link: Some(DOCS), ..Page::default() })
}

pub fn verify_email<D: Door>(call: &Call<D>) -> Answer {
    let text = "Press the button to confirm that this e-mail address is yours.";
    show(call, &Page { title: "Confirm your e-mail address", text, button: Some("Confirm"), ..Page::default() })
}

pub async fn submit_verify_email<D: Door>(call: Call<D>) -> Answer {
    let fields = fields([("uuid", &call.params.first), ("token", &call.params.second)]);
    let verified = match call.run(VerifyEmail { fields }).await {
        Ok(verified) => verified,
        Err(error) => return fail(&call, error, Page { title: "Not confirmed", text: ASK_AGAIN, ..Page::default() }),
    };
    let text = if verified.requires_2fa || verified.requires_login {
        "Your e-mail address is confirmed. You can log in now."
    } else {
        "Your e-mail address is confirmed. You can close this page."
    };
    let mut response = show(&call, &Page { title: "Confirmed", text, ..Page::default() })?;
    if let Some(session) = &verified.session {
        cookies::set_session(&mut response, session, call.service.site.is_https);
    }
    Ok(response)
}

pub fn setup<D: Door>(call: &Call<D>) -> Answer {
    show(call, &setup_page(&Fields::default()))
}

pub async fn submit_setup<D: Door>(mut call: Call<D>) -> Answer {
    let mut fields = call.take_fields();
    let again = setup_page(&fields);
    fields.0.insert("token".to_owned(), call.params.first.clone().into());
    match call.run(CompleteSetup { fields }).await {
        Ok(_) => {
            let text = "The first staff account is made. You can log in with it now.";
            show(&call, &Page { title: "Ready", text, ..Page::default() })
        }
        Err(error) if concerns_token(&error) => {
            let text = "As long as there are no users, each start of the server prints a new one.";
            fail(&call, error, Page { text, ..dead_link() })
        }
        Err(error) => fail(&call, error, again),
    }
}

const ASK_AGAIN: &str = "Ask for a new link and use it within a day.";

fn setup_page(sent: &Fields) -> Page<'static> {
    Page {
        title: "Make the first staff account",
        text: "Whoever has this account can manage all others.",
        inputs: vec![
            Input::new("email", "E-mail address", "email", "username").filled(sent),
            Input::new("first_name", "First name (if you like)", "text", "given-name").optional().filled(sent),
            Input::new("password", "Password", "password", "new-password"),
        ],
        button: Some("Make account"),
        ..Page::default()
    }
}

pub(super) fn dead_link() -> Page<'static> {
    Page { title: "This link does not work", text: ASK_AGAIN, ..Page::default() }
}

/// The link itself will not do, whatever else was sent.
pub(super) fn concerns_token(error: &Error) -> bool {
    matches!(error, Error::Invalid { attr: Some(attr), .. } if attr == "token")
        || matches!(error, Error::NotFound { .. })
}

pub(super) fn show<D: Door>(call: &Call<D>, page: &Page<'_>) -> Answer {
    call.service.pages.render(StatusCode::OK, page, &call.actor.request_id)
}

/// The page with the error on it. Faults of ours go the usual way, which logs them.
pub(super) fn fail<D: Door>(call: &Call<D>, error: Error, page: Page<'_>) -> Answer {
    if matches!(error, Error::Internal { .. }) {
        return Err(error.into());
    }
    let error_text = error.to_string();
    let status = Fault::App(error).status();
    call.service.pages.render(status, &Page { error: Some(error_text), ..page }, &call.actor.request_id)
}

fn fields<const N: usize>(pairs: [(&str, &str); N]) -> Fields {
    Fields(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect())
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn html(page: &Page<'_>) -> String {
        let response = Pages::new().unwrap().render(StatusCode::OK, page, "abc").unwrap();
        assert!(response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().contains("style-src 'nonce-abc'"));
        assert_eq!(response.headers()[REFERRER_POLICY], "no-referrer");
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn what_was_typed_is_escaped() {
        let sent = fields([("email", "\"><script>alert(1)</script>"), ("password", "hunter22")]);
        let page = html(&Page { error: Some("<b>".to_owned()), ..setup_page(&sent) }).await;
        assert!(!page.contains("<script"), "{page}");
        assert!(page.contains("&lt;b&gt;"), "{page}");
        assert!(page.contains("&quot;&gt;&lt;script"), "{page}");
        assert!(!page.contains("hunter22"), "{page}");
    }

    #[tokio::test]
    async fn a_page_without_a_button_has_no_form() {
        assert!(!html(&dead_link()).await.contains("<form"));
        let page = html(&setup_page(&Fields::default())).await;
        assert!(page.contains("<form method=\"post\">"), "{page}");
        assert!(page.contains("autocomplete=\"new-password\" value=\"\" required>"), "{page}");
        assert!(page.contains("<style nonce=\"abc\">"), "{page}");
    }
}
