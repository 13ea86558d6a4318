//! The order of checks and the headers of answers (spec §1), against a stand-in for the program; and the real
//! listener against a real socket.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::fake::{Fake, issued_session};
use super::service::Service;
use crate::config::Config;
use crate::error::Error;

fn config() -> Config {
    let mut config: Config = toml::from_str(include_str!("../../config.toml")).unwrap();
    config.server.listen = "127.0.0.1:0".parse().unwrap();
    config
}

/// An answer, read to its end.
struct Got {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn code(&self) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        body["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// Sends one request; `headers` are lines of `name: value`.
async fn send_to(app: &Fake, config: &Config, line: &str, headers: &[&str], body: &str) -> Got {
    let service = Arc::new(Service::new(app.clone(), config).unwrap());
    let (method, uri) = line.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers.iter().filter_map(|line| line.split_once(": ")) {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap();
    let (head, body) = service.answer(request, IpAddr::V4(Ipv4Addr::LOCALHOST)).await.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Got { status: head.status.as_u16(), headers: head.headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

async fn send(app: &Fake, line: &str, headers: &[&str], body: &str) -> Got {
    send_to(app, &config(), line, headers, body).await
}

const KEY: &str = "authorization: Bearer phx_good";
const JSON: &str = "content-type: application/json";
const FORM: &str = "content-type: application/x-www-form-urlencoded";

async fn check(line: &str, headers: &[&str], body: &str, status: u16, code: &str) {
    let got = send(&Fake::default(), line, headers, body).await;
    assert_eq!((got.status, got.code().as_str()), (status, code), "{line} {headers:?} {body:.40}: {}", got.body);
}

#[tokio::test]
async fn checks_come_in_order() {
    let users = "POST /api/users";
    // Accept, authentication, method, body.
    check(users, &["accept: text/html", "authorization: Bearer x"], "", 406, "not_acceptable").await;
    check(users, &["authorization: Bearer x"], "", 401, "authentication_failed").await;
    check(users, &[], "", 401, "not_authenticated").await;
    check(users, &[KEY], "", 405, "method_not_allowed").await;
    check("PATCH /api/users/@me", &[JSON], "{", 401, "not_authenticated").await;
    check("PATCH /api/users/@me", &[KEY, JSON], "{", 400, "parse_error").await;
    check("PATCH /api/users/@me", &[KEY, JSON], "[]", 400, "invalid_input").await;
    check("PATCH /api/users/@me", &[KEY, "content-type: text/plain"], "x", 415, "unsupported_media_type").await;
    // Permission before body.
    check("DELETE /api/users/@me", &[KEY, JSON], "{", 403, "permission_denied").await;
    // Anonymous endpoints go straight to the method.
    check("GET /api/login", &[], "", 405, "method_not_allowed").await;
    check("POST /api/login", &["authorization: Bearer x"], "", 401, "authentication_failed").await;
    check("GET /api/nothing", &[], "", 404, "not_found").await;
    check("GET /nothing", &[], "", 404, "not_found").await;
}

#[tokio::test]
async fn the_detail_tells_an_unknown_path_from_an_unknown_object() {
    let path = send(&Fake::default(), "GET /api/nothing", &[], "").await;
    assert!(path.body.contains("Endpoint not found."), "{}", path.body);
    let object = send(&Fake::default(), "GET /api/users/7", &[KEY], "").await;
    assert!(object.body.contains("\"Not found.\""), "{}", object.body);
}

#[tokio::test]
async fn a_large_body_is_refused_where_it_would_count() {
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(2 << 20));
    check("POST /api/login", &[JSON], &large, 413, "request_too_large").await;
    check("PATCH /api/users/@me", &[KEY, JSON], &large, 413, "request_too_large").await;
    check("PATCH /api/users/@me", &[JSON], &large, 401, "not_authenticated").await;
}

#[tokio::test]
async fn endpoints_without_fields_take_any_json_but_no_junk() {
    let path = "POST /api/users/@me/two_factor_backup_codes";
    let app = Fake::default().answering("regenerate_backup_codes", json!({ "backup_codes": ["abcd2345"] }));
    let got = send(&app, path, &[KEY, JSON], "[]").await;
    assert_eq!((got.status, got.body.as_str()), (200, r#"{"backup_codes":["abcd2345"]}"#));
    check(path, &[KEY, JSON], "{", 400, "parse_error").await;
    check(path, &[KEY, "content-type: text/plain"], "x", 415, "unsupported_media_type").await;
}

#[tokio::test]
async fn a_wrong_method_lists_the_right_ones() {
    let got = send(&Fake::default(), "PUT /api/users", &[KEY], "").await;
    assert_eq!(got.header("allow"), "GET, HEAD, OPTIONS");
    assert_eq!(
        got.body,
        r#"{"type":"invalid_request","code":"method_not_allowed","detail":"Method \"PUT\" not allowed.","attr":null}"#
    );
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let app = Fake::default().answering("start_totp_setup", json!({ "success": true, "secret": "GEZD" }));
    let path = "/api/users/@me/two_factor_start_setup/";
    let get = send(&app, &format!("GET {path}"), &[KEY], "").await;
    let head = send(&app, &format!("HEAD {path}"), &[KEY], "").await;
    assert_eq!(get.body, r#"{"success":true,"secret":"GEZD"}"#);
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("content-length"), get.body.len().to_string());
}

#[tokio::test]
async fn options_needs_a_login_where_the_path_does() {
    check("OPTIONS /api/users/@me", &[], "", 401, "not_authenticated").await;
    let got = send(&Fake::default(), "OPTIONS /api/users/@me", &[KEY], "").await;
    assert_eq!((got.status, got.header("allow")), (200, "GET, PUT, PATCH, DELETE, HEAD, OPTIONS"));
    assert_eq!(send(&Fake::default(), "OPTIONS /api/login", &[], "").await.status, 200);
}

#[tokio::test]
async fn every_answer_carries_the_common_headers() {
    for (line, headers) in [("GET /api/users/@me", &[KEY][..]), ("GET /api/nothing", &[]), ("GET /", &[])] {
        let got = send(&Fake::default(), line, headers, "").await;
        assert_eq!(got.header("x-request-id").len(), 36, "{line}");
        assert_eq!(got.header("vary"), "Accept, Cookie", "{line}");
        assert_eq!(got.header("cache-control"), "no-store", "{line}");
        assert_eq!(got.header("x-content-type-options"), "nosniff", "{line}");
        assert_eq!(got.header("access-control-allow-origin"), "", "{line}");
        assert_eq!(got.header("deprecation"), "", "{line}");
    }
}

#[tokio::test]
async fn a_key_in_the_address_is_answered_with_a_warning() {
    let got = send(&Fake::default(), "GET /api/users/@me?personal_api_key=phx_good", &[], "").await;
    assert_eq!((got.status, got.header("deprecation")), (404, "@1764547200"));
}

#[tokio::test]
async fn a_key_in_the_body_counts() {
    let app = Fake::default().answering("validate_totp", json!({ "success": true }));
    let got =
        send(&app, "POST /api/users/@me/validate_2fa", &[JSON], r#"{"personal_api_key":"phx_good","token":81804}"#)
            .await;
    assert_eq!((got.status, got.body.as_str()), (200, r#"{"success":true}"#));
    assert_eq!(app.seen()[0].1["fields"]["token"], 81804);
}

#[tokio::test]
async fn accept_is_read_kindly() {
    for accept in ["*/*", "application/*;q=0.5", "text/html, application/JSON", ""] {
        check("GET /api/users/7", &[KEY, &format!("accept: {accept}")], "", 404, "not_found").await;
    }
    for accept in ["text/html", "application/xml, text/*"] {
        check("GET /api/users/7", &[KEY, &format!("accept: {accept}")], "", 406, "not_acceptable").await;
    }
}

#[tokio::test]
async fn only_listed_origins_may_call_across_sites() {
    let mut config = config();
    config.server.cors_origins = vec!["https://app.example".to_owned()];
    let app = Fake::default();
    let ours = "origin: https://app.example";
    let preflight = [ours, "access-control-request-method: PATCH"];
    let got = send_to(&app, &config, "OPTIONS /api/users/@me", &preflight, "").await;
    assert_eq!((got.status, got.header("access-control-allow-origin")), (204, "https://app.example"));
    assert_eq!(got.header("access-control-allow-credentials"), "true");
    let got = send_to(&app, &config, "GET /api/users/@me", &[KEY, ours], "").await;
    assert_eq!(got.header("access-control-allow-origin"), "https://app.example");
    assert_eq!(got.header("vary"), "Accept, Cookie, Origin");
    let theirs = ["origin: https://evil.example", "access-control-request-method: PATCH"];
    let got = send_to(&app, &config, "OPTIONS /api/users/@me", &theirs, "").await;
    assert_eq!((got.status, got.header("access-control-allow-origin")), (401, ""));
}

#[tokio::test]
async fn other_sites_cannot_start_a_setup() {
    let app = Fake::default().answering("start_totp_setup", json!({ "success": true, "secret": "GEZD" }));
    let cookie = "cookie: sessionid=live";
    let path = "GET /api/users/@me/start_2fa_setup";
    assert_eq!(send(&app, path, &[cookie, "sec-fetch-site: cross-site"], "").await.status, 403);
    assert_eq!(send(&app, path, &[cookie, "sec-fetch-site: same-origin"], "").await.status, 200);
    let post = ["cookie: sessionid=live; posthog_csrftoken=c", "x-csrftoken: c"];
    assert_eq!(send(&app, "POST /api/users/@me/two_factor_start_setup", &post, "").await.status, 200);
}

#[tokio::test]
async fn a_login_sets_cookies_also_when_it_is_only_half_done() {
    let app = Fake::default().answering("login", json!({ "Done": { "session": issued_session() } }));
    let cookies = "cookie: remember-cookie_a=1; remember-cookie_b=2";
    let got = send(&app, "POST /api/login/", &[FORM, cookies], "email=a%40b.c&password=p").await;
    assert_eq!((got.status, got.body.as_str()), (200, r#"{"success":true}"#));
    assert_eq!(got.headers.get_all("set-cookie").iter().count(), 2);
    assert_eq!(app.seen()[0].1, json!({ "fields": { "email": "a@b.c", "password": "p" }, "remembered": ["1", "2"] }));

    let app = Fake::default().answering("login", json!({ "SecondFactorRequired": { "session": issued_session() } }));
    let got = send(&app, "POST /api/login", &[], "").await;
    assert_eq!(got.status, 401);
    assert_eq!(got.body, r#"{"type":"server_error","code":"2fa_required","detail":"2FA is required.","attr":null}"#);
    assert!(got.header("set-cookie").starts_with("sessionid=s3ss10n; HttpOnly; SameSite=Lax; Path=/"));
}

#[tokio::test]
async fn the_second_step_sets_the_remembered_device_too() {
    let device = json!({ "name": "n", "value": "v", "max_age_s": 2_592_000 });
    let app = Fake::default().answering("complete_login", json!({ "session": issued_session(), "remembered": device }));
    let got = send(&app, "POST /api/login/token", &[JSON], r#"{"token":"081804"}"#).await;
    let cookies: Vec<_> = got.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!(cookies.len(), 3);
    assert_eq!(cookies[2], "remember-cookie_n=v; HttpOnly; SameSite=Strict; Path=/; Max-Age=2592000");
}

#[tokio::test]
async fn logging_out_leads_to_the_login_page_or_nowhere() {
    let app = Fake::default().answering("logout", Value::Null);
    let got = send(&app, "POST /logout", &[FORM], "next=/a").await;
    assert_eq!((got.status, got.header("location")), (302, "/login?next=/a"));
    let got = send(&app, "POST /api/logout", &[], "").await;
    assert_eq!((got.status, got.body.as_str(), got.header("content-length")), (204, "", "0"));
    assert_eq!(got.header("content-type"), "");
    check("GET /logout", &[], "", 405, "method_not_allowed").await;
    check("POST /logout", &["cookie: sessionid=live; posthog_csrftoken=c"], "", 403, "permission_denied").await;
    let form_token =
        send(&app, "POST /logout", &[FORM, "cookie: sessionid=live; posthog_csrftoken=c"], "csrfmiddlewaretoken=c")
            .await;
    assert_eq!(form_token.status, 302);
}

#[tokio::test]
async fn verifying_an_address_shows_only_the_flags_that_hold() {
    let verified = |token: Value, requires_2fa: bool, session: Value| {
        let reply =
            json!({ "token": token, "requires_2fa": requires_2fa, "requires_login": false, "session": session });
        Fake::default().answering("verify_email", reply)
    };
    let got = send(&verified(json!("t"), false, issued_session()), "POST /api/users/verify_email/", &[], "").await;
    assert_eq!(got.body, r#"{"success":true,"token":"t"}"#);
    assert!(got.headers.contains_key("set-cookie"));
    let got = send(&verified(Value::Null, true, Value::Null), "POST /api/users/verify_email/", &[], "").await;
    assert_eq!(got.body, r#"{"success":true,"requires_2fa":true}"#);
    assert!(!got.headers.contains_key("set-cookie"));
}

#[tokio::test]
async fn a_list_links_to_its_pages() {
    let app = Fake::default().answering("list_users", json!({ "count": 3, "results": [] }));
    let got = send(&app, "GET /api/users/?is_staff=true&limit=1&offset=1", &[KEY], "").await;
    assert_eq!(
        got.body,
        "{\"count\":3,\"next\":\"http://127.0.0.1:8000/api/users/?is_staff=true&limit=1&offset=2\",\
         \"previous\":\"http://127.0.0.1:8000/api/users/?is_staff=true&limit=1\",\"results\":[]}"
    );
    assert_eq!(app.seen()[0].1, json!({ "email": null, "is_staff": true, "limit": 1, "offset": 1 }));
}

#[tokio::test]
async fn keys_are_looked_at_first_on_their_own_endpoints() {
    let app = Fake::default().answering("list_api_keys", json!([]));
    assert_eq!(send(&app, "GET /api/personal_api_keys/", &[KEY], "").await.body, "[]");
    assert!(app.presented().key_first);
    send(&app, "GET /api/users", &[KEY], "").await;
    assert!(!app.presented().key_first);
}

#[tokio::test]
async fn checking_a_reset_token_answers_nothing() {
    let app = Fake::default().answering("check_reset_token", Value::Null);
    let got = send(&app, "GET /api/reset/u?token=t", &[], "").await;
    assert_eq!((got.status, got.header("content-length"), got.header("content-type")), (200, "0", ""));
    assert_eq!(app.seen()[0].1, json!({ "uuid": "u", "token": "t" }));
}

#[tokio::test]
async fn a_panic_and_a_hang_are_answers_too() {
    let got = send(&Fake::default().panicking("retrieve_user"), "GET /api/users/7", &[KEY], "").await;
    assert_eq!(got.status, 500);
    assert_eq!(got.header("x-request-id").len(), 36);
    assert_eq!(got.body, r#"{"type":"server_error","code":"error","detail":"A server error occurred.","attr":null}"#);
    let mut config = config();
    config.server.request_timeout_ms = 1;
    let got = send_to(&Fake::default().hanging("retrieve_user"), &config, "GET /api/users/7", &[KEY], "").await;
    assert_eq!((got.status, got.header("retry-after")), (503, "1"));
}

#[tokio::test]
async fn health_says_whether_the_process_and_the_store_work() {
    let well = Fake::default();
    assert_eq!(send(&well, "GET /_health", &["accept: text/html"], "").await.body, r#"{"status":"ok"}"#);
    assert_eq!(send(&well, "GET /_readyz", &[], "").await.status, 200);
    let away = Fake::default().away();
    assert_eq!(send(&away, "GET /_health", &[], "").await.status, 200);
    let got = send(&away, "GET /_readyz/", &[], "").await;
    assert_eq!((got.status, got.code().as_str()), (503, "database_unavailable"));
}

#[tokio::test]
async fn opening_a_link_changes_nothing() {
    let app = Fake::default().answering("check_reset_token", Value::Null);
    for path in ["/verify_email/u/t.k-n", "/reset/u/t", "/setup/t"] {
        let got = send(&app, &format!("GET {path}"), &[], "").await;
        assert_eq!(got.status, 200, "{path}");
        assert_eq!(got.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(got.header("referrer-policy"), "no-referrer");
        assert!(got.body.contains("<form method=\"post\">"), "{path}");
        assert!(got.header("content-security-policy").contains(got.header("x-request-id")));
    }
    let names: Vec<_> = app.seen().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["check_reset_token"]);
}

#[tokio::test]
async fn the_button_confirms_an_address() {
    let verified = json!({ "token": "t", "requires_2fa": false, "requires_login": false, "session": issued_session() });
    let app = Fake::default().answering("verify_email", verified);
    let got = send(&app, "POST /verify_email/u/t", &["origin: null"], "").await;
    assert_eq!(got.status, 200);
    assert!(got.body.contains("is confirmed") && got.headers.contains_key("set-cookie"));
    assert_eq!(app.seen()[0].1, json!({ "fields": { "uuid": "u", "token": "t" } }));
}

#[tokio::test]
async fn a_refused_password_shows_the_form_again_and_a_dead_token_does_not() {
    let weak = Error::invalid("invalid_input", "This password is too short.", Some("password"));
    let got = send(&Fake::default().failing("reset_password", weak), "POST /reset/u/t", &[FORM], "password=x").await;
    assert_eq!(got.status, 400);
    assert!(got.body.contains("too short") && got.body.contains("<form"));
    let dead = Error::invalid("invalid_token", "This reset token is invalid or has expired.", Some("token"));
    let got = send(&Fake::default().failing("reset_password", dead), "POST /reset/u/t", &[FORM], "password=x").await;
    assert!(got.body.contains("has expired") && !got.body.contains("<form"));
}

#[tokio::test]
async fn the_first_staff_account_is_made_from_the_page() {
    let app = Fake::default().answering("complete_setup", json!({ "success": true }));
    let got = send(&app, "POST /setup/t", &[FORM], "email=a%40b.c&password=p&first_name=A&token=other").await;
    assert_eq!(got.status, 200);
    let sent = json!({ "fields": { "email": "a@b.c", "password": "p", "first_name": "A", "token": "t" } });
    assert_eq!(app.seen()[0].1, sent);
}

#[tokio::test]
async fn forms_of_other_sites_are_refused() {
    let app = Fake::default().answering("complete_setup", json!({ "success": true }));
    for (headers, status) in [
        (&["origin: https://evil.example", "host: h"][..], 403),
        (&["sec-fetch-site: cross-site", "origin: null"], 403),
        (&["sec-fetch-site: same-origin", "origin: null"], 200),
        (&["origin: http://127.0.0.1:8000"], 200),
        (&["origin: https://h", "host: h"], 200),
        (&[], 200),
    ] {
        assert_eq!(send(&app, "POST /setup/t", headers, "").await.status, status, "{headers:?}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 300, failure_persistence: None, ..Default::default() })]

    /// Whatever a client sends, it is the client that is told off, in the envelope.
    #[test]
    fn no_input_is_a_fault_of_ours(
        method in proptest::sample::select(&["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "BREW"][..]),
        path in proptest::sample::select(&[
            "/api/users", "/api/users/verify_email", "/api/users/%40me/validate_2fa", "/api/login", "/api/reset/u",
            "/api/personal_api_keys/x", "/logout", "/setup/t", "/reset/u/t", "/%ff", "/api/users/%",
        ][..]),
        query in "[ -~&&[^\"#<>`{}|^\\\\ ]]{0,20}",
        content_type in proptest::sample::select(&[
            "application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", "",
        ][..]),
        has_key in proptest::bool::ANY,
        body in "(\\{\"[a-z]{1,4}\":.{0,8}\\}|--x\r\n.{0,40}|.{0,40})",
    ) {
        let key = if has_key { KEY } else { "accept: */*" };
        let content_type = format!("content-type: {content_type}");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let line = format!("{method} {path}?{query}");
        let got = runtime.block_on(send(&Fake::default(), &line, &[key, &content_type], &body));
        proptest::prop_assert!(got.status < 500, "{} {:?}: {}", line, body, got.body);
    }
}

/// Starts the real listener; gives its address and what stops it.
async fn started(
    config: Config,
) -> (std::net::SocketAddr, tokio::sync::oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let (server, address) = super::bind(Fake::default(), Arc::new(config), None).await.unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let task = tokio::spawn(server.serve(async { drop(stopped.await) }));
    (address, stop, task)
}

async fn say(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

async fn hear_all(stream: &mut TcpStream) -> String {
    let mut heard = Vec::new();
    // A reset instead of an end is fine too: the client was cut off.
    let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut heard)).await.unwrap();
    String::from_utf8(heard).unwrap()
}

#[tokio::test]
async fn the_listener_answers_and_stops() {
    let (address, stop, task) = started(config()).await;
    let mut idle = TcpStream::connect(address).await.unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    say(&mut stream, "GET /_health HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await;
    let heard = hear_all(&mut stream).await;
    assert!(heard.starts_with("HTTP/1.1 200 OK\r\n") && heard.ends_with("{\"status\":\"ok\"}"), "{heard}");
    stop.send(()).unwrap();
    assert_eq!(hear_all(&mut idle).await, "");
    task.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn http_2_is_spoken_too() {
    let (address, stop, task) = started(config()).await;
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut client, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    let connection = tokio::spawn(connection);
    for _ in 0..3 {
        let request = Request::get(format!("http://{address}/api/users/@me")).body(Full::<Bytes>::default()).unwrap();
        let response = client.send_request(request).await.unwrap();
        assert_eq!(response.status(), 401);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(body.starts_with(b"{\"type\":\"authentication_error\""));
    }
    stop.send(()).unwrap();
    task.await.unwrap();
    connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn requests_under_way_are_finished_at_the_stop() {
    let (address, stop, task) = started(config()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    say(&mut stream, "POST /api/login HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\n").await;
    say(&mut stream, "content-type: application/json\r\ncontent-length: 2\r\n\r\n").await;
    // Once it asks for the body, the request is under way.
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).await.unwrap();
    assert!(asked.starts_with(b"HTTP/1.1 100 "));
    stop.send(()).unwrap();
    say(&mut stream, "{}").await;
    assert!(hear_all(&mut stream).await.starts_with("HTTP/1.1 404 "));
    task.await.unwrap();
}

#[tokio::test]
async fn requests_that_outlast_the_stop_are_cut_off() {
    let mut config = config();
    config.server.shutdown_timeout_ms = 10;
    let (address, stop, task) = started(config).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    say(&mut stream, "POST /api/login HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n").await;
    stream.read_exact(&mut [0; 25]).await.unwrap();
    stop.send(()).unwrap();
    task.await.unwrap();
    assert_eq!(hear_all(&mut stream).await, "");
}

#[tokio::test]
async fn oversized_clients_are_cut_off() {
    let (address, _stop, _task) = started(config()).await;

    let mut many_headers = TcpStream::connect(address).await.unwrap();
    say(&mut many_headers, &format!("GET /_health HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(200))).await;
    assert!(hear_all(&mut many_headers).await.starts_with("HTTP/1.1 431 "));

    let mut too_large = TcpStream::connect(address).await.unwrap();
    say(&mut too_large, "POST /api/login HTTP/1.1\r\nhost: h\r\ncontent-length: 99999999\r\n\r\n").await;
    assert!(hear_all(&mut too_large).await.starts_with("HTTP/1.1 413 "));
}

#[tokio::test]
async fn slow_clients_are_cut_off() {
    let mut config = config();
    config.server.request_timeout_ms = 50;
    let (address, _stop, _task) = started(config).await;

    // Neither of these tells which version of HTTP it speaks.
    for opening in ["", "PRI * HT"] {
        let mut silent = TcpStream::connect(address).await.unwrap();
        say(&mut silent, opening).await;
        assert_eq!(hear_all(&mut silent).await, "", "{opening}");
    }

    let mut slow_head = TcpStream::connect(address).await.unwrap();
    say(&mut slow_head, "GET /_health HTTP/1.1\r\nhost: h\r\n").await;
    assert!(!hear_all(&mut slow_head).await.contains(" 200 "));

    let mut slow_body = TcpStream::connect(address).await.unwrap();
    say(&mut slow_body, "POST /api/login HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\n{").await;
    let heard = hear_all(&mut slow_body).await;
    assert!(heard.starts_with("HTTP/1.1 408 ") && heard.contains("connection: close"), "{heard}");
}

#[tokio::test]
async fn settings_that_cannot_hold_stop_the_start() {
    let mut star = config();
    star.server.cors_origins = vec!["*".to_owned()];
    let mut proxy = config();
    proxy.server.trusted_proxies = vec!["proxy.example".to_owned()];
    for config in [star, proxy] {
        let refused = super::bind(Fake::default(), Arc::new(config), None).await;
        assert_eq!(refused.err().map(|error| error.kind()), Some(std::io::ErrorKind::InvalidInput));
    }
}
