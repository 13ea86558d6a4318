//! One request from its first byte to its last: the order of checks (spec §1.1), the headers that every answer
//! carries, the log line, and the time limit. Knows no endpoint.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use http_body_util::Full;
use hyper::body::Body;
use hyper::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, ORIGIN, STRICT_TRANSPORT_SECURITY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, StatusCode};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::body::{self, Parsed};
use super::client::{self, TrustedProxies};
use super::cookies::Cookies;
use super::cors::{self, Cors};
use super::credentials::{self, SEC_FETCH_SITE};
use super::door::Door;
use super::pages::Pages;
use super::reply::{self, Answer, Fault, Response};
use super::router::{BodyRule, Call, Endpoint, Kind, Params, Route, Router};
use crate::app::{Actor, Identity, Presented, RequestFacts};
use crate::config::Config;
use crate::domain::fields::Fields;
use crate::domain::input;
use crate::error::Error;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
/// Since when keys in addresses are discouraged (W-29): the date of the first release, as RFC 9745 writes it.
const QUERY_KEY_DEPRECATED: HeaderValue = HeaderValue::from_static("@1764547200");
/// Browsers come back by https only, for a year.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Bytes of all bodies at once, or four of the largest if that is more. Every connection could otherwise hold a largest
/// body, and over HTTP/2 many.
const BODY_MEMORY_BYTES: usize = 32 * 1024 * 1024;

/// Characters of a method that the log shows; the real ones are shorter.
const METHOD_CHARS_MAX: usize = 16;

/// What the configuration says about this side of the program, checked.
pub struct Site {
    /// How people reach the server; without a slash at the end.
    pub public_url: String,
    /// Cookies are `Secure` then.
    pub is_https: bool,
    /// TLS is ours, not a proxy's, who has its own header, and the address that people use is a https one.
    sends_hsts: bool,
    max_body_bytes: usize,
    request_timeout: Duration,
    pub(super) proxies: TrustedProxies,
    cors: Cors,
    vary: HeaderValue,
}

impl Site {
    /// Refuses a proxy or an origin that is none.
    pub fn new(config: &Config) -> Result<Self, String> {
        let server = &config.server;
        let cors = Cors::parse(&server.cors_origins)?;
        Ok(Self {
            public_url: server.public_url.trim_end_matches('/').to_owned(),
            is_https: server.is_https(),
            sends_hsts: server.tls.is_on() && server.public_url.starts_with("https://"),
            max_body_bytes: server.max_body_bytes,
            request_timeout: Duration::from_millis(server.request_timeout_ms),
            proxies: TrustedProxies::parse(&server.trusted_proxies)?,
            vary: HeaderValue::from_static(if cors.is_empty() { "Accept, Cookie" } else { "Accept, Cookie, Origin" }),
            cors,
        })
    }

    /// Time for a body: half of the request's, so that there is time left to answer.
    fn body_timeout(&self) -> Duration {
        self.request_timeout / 2
    }

    /// Whether another site made a browser send this form.
    fn is_foreign_form(&self, head: &Parts) -> bool {
        // Pages that send no referrer send `null` instead of their origin, ours among them.
        self.is_foreign(head) && (head.headers.contains_key(SEC_FETCH_SITE) || origin(head) != Some("null"))
    }

    /// Whether a browser says that another site made it send this. Programs say nothing of the kind.
    fn is_foreign(&self, head: &Parts) -> bool {
        if let Some(site) = head.headers.get(SEC_FETCH_SITE) {
            return site != "same-origin" && site != "none";
        }
        let Some(origin) = origin(head) else { return false };
        let origin_host = origin.split_once("://").map(|(_, host)| host);
        origin != self.public_url && (origin_host.is_none() || origin_host != credentials::host(head).as_deref())
    }
}

/// Answers requests. One for the whole server.
pub struct Service<D> {
    pub app: D,
    pub site: Site,
    pub pages: Pages,
    router: Router<D>,
    /// Bytes that bodies may still take; see [`BODY_MEMORY_BYTES`].
    body_memory: Semaphore,
}

impl<D: Door> Service<D> {
    /// Builds the routes and templates, which are our own, and checks the settings, which are not.
    pub fn new(app: D, config: &Config) -> Result<Self, String> {
        let router = Router::new().map_err(|error| format!("route table: {error}"))?;
        let pages = Pages::new().map_err(|error| format!("page template: {error:#}"))?;
        let body_memory = Semaphore::new(BODY_MEMORY_BYTES.max(4 * config.server.max_body_bytes));
        Ok(Self { app, site: Site::new(config)?, pages, router, body_memory })
    }

    /// Answers one request. Always: what fails, hangs or panics becomes an error answer.
    pub async fn answer<B>(self: &Arc<Self>, request: Request<B>, peer: IpAddr) -> Response
    where
        B: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let started = Instant::now();
        let (head, body) = request.into_parts();
        let address = self.site.proxies.client_address(peer, &head.headers);
        let facts = RequestFacts {
            address: Some(address),
            user_agent: client::user_agent(&head.headers),
            request_id: client::request_id(),
        };
        let request_id = facts.request_id.clone();
        let found = self.router.find(head.uri.path());
        // Never the path itself: it may hold a token.
        let template = found.as_ref().map_or("-", |(route, _)| route.template);

        let work = tokio::time::timeout(self.site.request_timeout, self.respond(&head, body, found, facts));
        let answer = match AssertUnwindSafe(work).catch_unwind().await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Error::busy().into()),
            Err(_) => Err(Error::internal("the request panicked").into()),
        };
        let mut response = answer.unwrap_or_else(|fault| {
            log_fault(&fault, &request_id);
            fault.render()
        });
        self.dress(&head, &request_id, &mut response);

        tracing::info!(
            method = head.method.as_str().get(..METHOD_CHARS_MAX).unwrap_or(head.method.as_str()),
            route = template,
            status = response.status().as_u16(),
            duration_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
            request_id,
            client = %address,
            "request"
        );
        response
    }

    async fn respond<B>(
        self: &Arc<Self>,
        head: &Parts,
        body: B,
        found: Option<(&Route<D>, Params)>,
        facts: RequestFacts,
    ) -> Answer
    where
        B: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let is_api = is_api(head);
        if is_api && let Some(preflight) = self.site.cors.preflight(head) {
            return Ok(preflight);
        }
        let Some((route, params)) = found else {
            return Err(if is_api { Fault::EndpointNotFound } else { Error::not_found().into() });
        };
        match route.kind {
            Kind::Open => self.respond_open(head, body, route, params, facts).await,
            Kind::Api => self.respond_api(head, body, route, params, facts).await,
        }
    }

    /// Authentication, permission, method, body: in this order (spec §1.1). The body is read before them, because it
    /// may hold a credential, but what is wrong with it is said last.
    async fn respond_api<B>(
        self: &Arc<Self>,
        head: &Parts,
        body: B,
        route: &Route<D>,
        params: Params,
        facts: RequestFacts,
    ) -> Answer
    where
        B: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        if !accepts_json(&head.headers) {
            return Err(Fault::NotAcceptable);
        }
        let (body, _permit) = match self.read_body(head, body).await {
            Ok((parsed, permit)) => (Ok(parsed), permit),
            Err(fault) => (Err(fault), None),
        };
        let mut cookies = Cookies::read(&head.headers);
        let presented = credentials::gather(head, &mut cookies, body.as_ref().ok(), route.key_first);
        let actor = self.app.authenticate(presented, facts).await?;
        let Some(endpoint) = route.endpoint(&head.method) else { return self.without_endpoint(head, route, &actor) };
        (endpoint.admit)(&self.app, &actor)?;
        let (fields, list) = take_body(&head.method, endpoint, body)?;
        let mut call = self.call(head, actor, params, fields);
        call.list = list;
        call.remembered = cookies.remembered;
        (endpoint.handle)(call).await
    }

    /// Pages and health checks: no credentials but a session, where the page looks at it, and a form only from our own
    /// pages, which is what protects the session.
    async fn respond_open<B>(
        self: &Arc<Self>,
        head: &Parts,
        body: B,
        route: &Route<D>,
        params: Params,
        facts: RequestFacts,
    ) -> Answer
    where
        B: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let Some(endpoint) = route.endpoint(&head.method) else { return Err(wrong_method(head, route)) };
        let (mut fields, mut _permit) = (Fields::default(), None);
        if head.method == Method::POST {
            if self.site.is_foreign_form(head) {
                return Err(Error::permission_denied().into());
            }
            let (parsed, permit) = self.read_body(head, body).await?;
            (fields, _permit) = (parsed.into_fields()?, permit);
        }
        let session = if route.reads_session { Cookies::read(&head.headers).session } else { None };
        let actor = self.app.authenticate(Presented { session, ..Presented::default() }, facts).await?;
        (endpoint.handle)(self.call(head, actor, params, fields)).await
    }

    /// A method that the path does not have, or `OPTIONS`.
    fn without_endpoint(&self, head: &Parts, route: &Route<D>, actor: &Actor) -> Answer {
        if route.needs_login && matches!(actor.identity, Identity::Anonymous | Identity::Pending(_)) {
            return Err(Error::NotAuthenticated.into());
        }
        if head.method != Method::OPTIONS {
            return Err(wrong_method(head, route));
        }
        if let Some(read) = route.endpoint(&Method::GET) {
            (read.admit)(&self.app, actor)?;
        }
        let types = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"];
        let mut response = reply::json(StatusCode::OK, &json!({ "renders": ["application/json"], "parses": types }))?;
        let allow = HeaderValue::from_str(&route.allow()).ok();
        response.headers_mut().extend(allow.map(|allow| (hyper::header::ALLOW, allow)));
        Ok(response)
    }

    async fn read_body<B>(&self, head: &Parts, body: B) -> Result<(Parsed, Option<SemaphorePermit<'_>>), Fault>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let (bytes, permit) =
            body::read(body, self.site.max_body_bytes, self.site.body_timeout(), &self.body_memory).await?;
        let content_type = head.headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
        Ok((body::parse(content_type.as_deref(), bytes).await?, permit))
    }

    fn call(self: &Arc<Self>, head: &Parts, actor: Actor, params: Params, fields: Fields) -> Call<D> {
        let is_cross_site = head.headers.get(SEC_FETCH_SITE).is_some_and(|site| site == "cross-site");
        Call {
            service: Arc::clone(self),
            actor,
            params,
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            fields,
            list: None,
            remembered: Vec::new(),
            cross_site: is_cross_site && self.site.cors.allowed(&head.headers).is_none(),
        }
    }

    /// The headers that every answer carries (spec §1.3).
    fn dress(&self, head: &Parts, request_id: &str, response: &mut Response) {
        if head.method == Method::HEAD {
            *response.body_mut() = Full::default();
        }
        let headers = response.headers_mut();
        headers.extend(HeaderValue::from_str(request_id).ok().map(|id| (X_REQUEST_ID, id)));
        headers.insert(VARY, self.site.vary.clone());
        // Nearly every answer is private, and most others are too small to be worth a cache.
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if self.site.sends_hsts {
            headers.insert(STRICT_TRANSPORT_SECURITY, HSTS);
        }
        if is_api(head) {
            if let Some(origin) = self.site.cors.allowed(&head.headers) {
                cors::allow(origin, headers);
            }
            if credentials::has_query_key(head) {
                headers.insert(DEPRECATION, QUERY_KEY_DEPRECATED);
            }
        }
    }
}

fn origin(head: &Parts) -> Option<&str> {
    head.headers.get(ORIGIN).map(|origin| origin.to_str().unwrap_or("null"))
}

fn is_api(head: &Parts) -> bool {
    head.uri.path().strip_prefix("/api").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The fields, or the list, for an endpoint. Where a body is of no matter it must still be readable, if the method has
/// one.
fn take_body<D>(
    method: &Method,
    endpoint: &Endpoint<D>,
    body: Result<Parsed, Fault>,
) -> Result<(Fields, Option<Vec<Value>>), Fault> {
    match (endpoint.body, method) {
        (BodyRule::Fields, _) => {
            let mut fields = body?.into_fields()?;
            input::keep_declared(&mut fields, endpoint.inputs);
            Ok((fields, None))
        }
        (BodyRule::List, _) => Ok((Fields::default(), body?.into_list())),
        (BodyRule::Ignored, &Method::POST | &Method::PUT | &Method::PATCH) => {
            Ok((body?.into_fields().unwrap_or_default(), None))
        }
        (BodyRule::Ignored, _) => Ok((Fields::default(), None)),
    }
}

/// Whether any media range covers JSON. A missing header accepts everything.
fn accepts_json(headers: &HeaderMap) -> bool {
    let mut ranges = headers
        .get_all(ACCEPT)
        .iter()
        .flat_map(|line| line.to_str().unwrap_or_default().split(','))
        .map(|range| range.split(';').next().unwrap_or_default().trim())
        .filter(|range| !range.is_empty())
        .peekable();
    let covers =
        |range: &str| ["*/*", "application/*", "application/json"].iter().any(|ours| range.eq_ignore_ascii_case(ours));
    ranges.peek().is_none() || ranges.any(covers)
}

fn wrong_method<D: Door>(head: &Parts, route: &Route<D>) -> Fault {
    Fault::MethodNotAllowed { method: head.method.clone(), allow: route.allow() }
}

fn log_fault(fault: &Fault, request_id: &str) {
    match fault {
        Fault::App(Error::Internal { detail }) => tracing::error!(request_id, %detail, "a request failed"),
        Fault::App(Error::Unavailable { detail, .. }) => tracing::warn!(request_id, %detail, "a request was put off"),
        _ => {}
    }
}
