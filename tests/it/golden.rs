//! Spec §7.1: the golden error bodies, byte for byte, each brought about through the real binary.

use serde_json::json;

use crate::harness::Server;

const ME: &str = "/api/users/@me";
const TOKEN: &str = "/api/login/token";

const NOT_AUTHENTICATED: &str = r#"{"type":"authentication_error","code":"not_authenticated","detail":"Authentication credentials were not provided.","attr":null}"#;
const TWO_FACTOR_REQUIRED: &str =
    r#"{"type":"server_error","code":"2fa_required","detail":"2FA is required.","attr":null}"#;
const TWO_FACTOR_INVALID: &str =
    r#"{"type":"validation_error","code":"2fa_invalid","detail":"Invalid authentication code","attr":null}"#;
const TWO_FACTOR_TOO_MANY: &str =
    r#"{"type":"validation_error","code":"2fa_too_many_attempts","detail":"Too many attempts.","attr":null}"#;
const TWO_FACTOR_EXPIRED: &str = r#"{"type":"validation_error","code":"2fa_expired","detail":"Login attempt has expired. Re-enter username/password.","attr":null}"#;
const TOO_MANY_LOGINS: &str = r#"{"type":"authentication_error","code":"too_many_failed_attempts","detail":"Too many failed login attempts. Please try again in 10 minutes.","attr":null}"#;
const INVALID_CREDENTIALS: &str =
    r#"{"type":"validation_error","code":"invalid_credentials","detail":"Invalid email or password.","attr":null}"#;
const SETUP_EXPIRED: &str = r#"{"type":"validation_error","code":"setup_expired","detail":"2FA setup session expired. Please start setup again.","attr":null}"#;
const TOKEN_INVALID: &str =
    r#"{"type":"validation_error","code":"token_invalid","detail":"Token is not valid","attr":null}"#;
const NOT_ENABLED: &str =
    r#"{"type":"validation_error","code":"2fa_not_enabled","detail":"2FA must be enabled first","attr":null}"#;
const INVALID_TOKEN: &str = r#"{"type":"validation_error","code":"invalid_token","detail":"This verification token is invalid or has expired.","attr":"token"}"#;
const NO_EMAIL_CHANGE: &str = r#"{"type":"validation_error","code":"email_change_request_not_found","detail":"No active email change requests found.","attr":null}"#;
const REAUTH: &str = r#"{"type":"authentication_error","code":"sensitive_action_required_reauth","detail":"This action requires you to be recently authenticated.","attr":null}"#;
const SETUP_REQUIRED: &str =
    r#"{"type":"authentication_error","code":"two_factor_setup_required","detail":"2FA setup required","attr":null}"#;
const VERIFICATION_REQUIRED: &str = r#"{"type":"authentication_error","code":"two_factor_verification_required","detail":"2FA verification required","attr":null}"#;
const NO_KEYS_HERE: &str = r#"{"type":"authentication_error","code":"permission_denied","detail":"This action does not support personal API key access","attr":null}"#;
const NOT_STAFF: &str = r#"{"type":"authentication_error","code":"permission_denied","detail":"As a non-staff user you're only allowed to access the `@me` user instance.","attr":null}"#;

/// Spec §7.1, §1.5.
#[test]
fn golden_bodies_of_strangers() {
    let server = Server::builder().setting("login.failures_max", "2").start();
    let wrong = json!({"email": "nobody@example.com", "password": "wrong horse 1"});
    server.client().get(ME).is_body(401, NOT_AUTHENTICATED);
    server.client().post(TOKEN, json!({"token": "123456"})).is_body(400, TWO_FACTOR_EXPIRED);
    server.client().post("/api/login", wrong.clone()).is_body(400, INVALID_CREDENTIALS);
    server.client().post("/api/login", wrong).is_body(403, TOO_MANY_LOGINS);
    let token = json!({"uuid": "nonsense", "token": "nonsense"});
    server.client().post("/api/users/verify_email", token).is_body(400, INVALID_TOKEN);
}

/// Spec §7.1, §3.5.
#[test]
fn golden_bodies_of_the_second_step() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let authenticator = client.enrol(&server);
    let login = server.client();
    login.login(&person).is_body(401, TWO_FACTOR_REQUIRED);
    let wrong = json!({"token": authenticator.wrong_code(&server)});
    login.post(TOKEN, wrong.clone()).is_body(400, TWO_FACTOR_INVALID);
    login.post(TOKEN, wrong.clone()).is_body(400, TWO_FACTOR_TOO_MANY);
    server.advance(601);
    login.post(TOKEN, wrong).is_body(400, TWO_FACTOR_EXPIRED);
}

/// Spec §7.1, §3.2, §3.3.
#[test]
fn golden_bodies_of_a_session() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let other = server.user("bob@example.com");
    let validate = || client.post("/api/users/@me/two_factor_validate", json!({"token": "nonsense"}));
    validate().is_body(400, SETUP_EXPIRED);
    client.get("/api/users/@me/two_factor_start_setup").is(200);
    validate().is_body(400, TOKEN_INVALID);
    client.post("/api/users/@me/two_factor_backup_codes", json!({})).is_body(400, NOT_ENABLED);
    client.patch("/api/users/cancel_email_change_request", json!({})).is_body(400, NO_EMAIL_CHANGE);
    client.get(&other.path("")).is_body(403, NOT_STAFF);
    let key = server.key_of(&client, &["*"]);
    key.post("/api/users/@me/two_factor_backup_codes", json!({})).is_body(403, NO_KEYS_HERE);
    server.advance(7_201);
    client.patch(ME, json!({"first_name": "Ada"})).is_body(403, REAUTH);
}

/// Spec §7.1, §4.8.
#[test]
fn golden_bodies_of_the_gate() {
    let server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    client.enrol(&server);
    client.login(&person).is_body(401, TWO_FACTOR_REQUIRED);
    client.post("/api/users/@me/two_factor_backup_codes", json!({})).is_body(403, VERIFICATION_REQUIRED);
    server.cli(&["2fa", "reset", "ada@example.com", "--reason", "lost the phone", "--yes"]).is(0);
    server.login(&person).get("/api/users").is_body(403, SETUP_REQUIRED);
}
