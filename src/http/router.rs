//! The table of routes: which path and method leads to which handler, and what it needs.
//!
//! Only looks up; the order of the checks is kept by `service`.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;

use hyper::Method;
use serde_json::Value;

use super::door::Door;
use super::paging::{Paged, Window};
use super::reply::Answer;
use super::service::Service;
use super::{
    api_keys, docs, email, health, invites, login, organizations, pages, preferences, recovery, reset, sessions,
    signup, two_factor, users,
};
use crate::app::accounts::{DeleteUser, ListUsers, RetrieveUser, UpdateUser};
use crate::app::api_keys::{CreateApiKey, DeleteApiKey, ListApiKeys, RetrieveApiKey, RollApiKey, UpdateApiKey};
use crate::app::email::{CancelEmailChange, RequestEmailVerification, VerifyEmail};
use crate::app::invites::{CreateInvite, CreateInvites, DeleteInvite, ListInvites};
use crate::app::login::{CheckLogin, CompleteLogin, Login, Logout};
use crate::app::login_code::{CompleteLoginByCode, ResendLoginCode};
use crate::app::members::{ListMembers, RemoveMember, UpdateMember};
use crate::app::organizations::{
    CreateOrganization, DeleteOrganization, ListOrganizations, OrganizationRef, RetrieveOrganization,
    UpdateOrganization,
};
use crate::app::passwords::{CheckResetToken, RequestPasswordReset, ResetPassword};
use crate::app::pending_invites::ListPendingInvites;
use crate::app::permission::{Permission, Who};
use crate::app::preferences::{
    CompleteCredentialsReview, MarkProductIntro, PersonaliseScene, ReplaceHedgehogConfig, RetrieveGithubLogin,
    RetrieveHedgehogConfig,
};
use crate::app::projects::{CreateProject, ListProjects};
use crate::app::remembered_devices::{ListRememberedDevices, RevokeRememberedDevice};
use crate::app::reset_link::{CheckTwoFactorResetToken, ConfirmTwoFactorReset};
use crate::app::second_factor::{
    DisableTwoFactor, RegenerateBackupCodes, RetrieveTwoFactorStatus, StartTotpSetup, ValidateTotp,
};
use crate::app::sessions::{ListLoginSessions, RevokeLoginSession, RevokeOtherSessions};
use crate::app::signup::{AcceptInvite, CheckInvite, SignUp};
use crate::app::views::UserRef;
use crate::app::{Actor, Operation};
use crate::domain::fields::Fields;
use crate::domain::input::Input;
use crate::domain::secret::Secret;
use crate::error::Result;

/// A request that has passed every check of HTTP, on its way to an operation.
pub struct Call<D> {
    pub service: Arc<Service<D>>,
    pub actor: Actor,
    pub params: Params,
    /// The raw path, as the client wrote it.
    pub path: String,
    /// Without the question mark; empty when there is none.
    pub query: String,
    pub fields: Fields,
    /// The elements of a body that is an array, where the endpoint takes one.
    pub list: Option<Vec<Value>>,
    /// Values of the `remember-cookie_*` cookies.
    pub remembered: Vec<Secret>,
    /// Another site made the browser send this (`Sec-Fetch-Site`), and it is not on the CORS list.
    pub cross_site: bool,
}

impl<D: Door> Call<D> {
    /// Hands an operation to the program.
    pub async fn run<O: Operation>(&self, operation: O) -> Result<O::Reply> {
        self.service.app.call(&self.actor, operation).await
    }

    /// The user that the path names.
    pub fn user(&mut self) -> UserRef {
        UserRef(std::mem::take(&mut self.params.first))
    }

    /// The organization that the path names.
    pub fn organization(&mut self) -> OrganizationRef {
        OrganizationRef(std::mem::take(&mut self.params.first))
    }

    /// The user that the path names behind something else.
    pub fn member(&mut self) -> UserRef {
        UserRef(std::mem::take(&mut self.params.second))
    }

    /// The page that the query asks for.
    #[must_use]
    pub fn window(&self) -> Window {
        Window::of(&self.query)
    }

    /// A page as it is sent, with its links.
    pub fn page<T>(&self, count: u64, results: Vec<T>) -> Paged<T> {
        let base = format!("{}{}", self.service.site.public_url, self.path);
        self.window().page(&base, &self.query, count, results)
    }

    pub fn take_fields(&mut self) -> Fields {
        std::mem::take(&mut self.fields)
    }
}

/// The variable segments of a path, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params {
    pub first: String,
    pub second: String,
}

pub type Handler<D> = fn(Call<D>) -> Pin<Box<dyn Future<Output = Answer> + Send>>;

/// One method of a route.
pub struct Endpoint<D> {
    pub handle: Handler<D>,
    /// Checks the permission of the operation behind it.
    pub admit: fn(&D, &Actor) -> Result<()>,
    /// What that operation needs, and what it reads.
    pub needs: Permission,
    pub inputs: &'static [Input],
    pub body: BodyRule,
}

/// What an endpoint expects of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyRule {
    /// It is of no matter, but must be readable.
    Ignored,
    /// An object; anything else is an error.
    Fields,
    /// An array; what anything else means is the operation's matter.
    List,
}

/// What a path is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// JSON for programs, with credentials.
    Api,
    /// Answers to anybody without looking at credentials, but for a session where the route says so: health and pages.
    Open,
}

/// A path and its methods.
pub struct Route<D> {
    /// The path with its variable parts named; the log shows it instead of the path.
    pub template: &'static str,
    pub kind: Kind,
    /// Anonymous calls get 401, also with a wrong method (spec §1.1).
    pub needs_login: bool,
    /// Keys are looked at before the cookie (spec §1.6).
    pub key_first: bool,
    /// An open page that is another one for whoever is logged in.
    pub reads_session: bool,
    methods: Vec<(Method, Endpoint<D>)>,
}

impl<D: Door> Route<D> {
    fn new(template: &'static str, kind: Kind) -> Self {
        Self { template, kind, needs_login: false, key_first: false, reads_session: false, methods: Vec::new() }
    }

    fn api(template: &'static str) -> Self {
        Self::new(template, Kind::Api)
    }

    fn open(template: &'static str) -> Self {
        Self::new(template, Kind::Open)
    }

    fn key_first(self) -> Self {
        Self { key_first: true, ..self }
    }

    fn with_session(self) -> Self {
        Self { reads_session: true, ..self }
    }

    /// A method whose body, if any, is of no matter.
    fn on<O: Operation>(mut self, method: Method, handle: Handler<D>) -> Self {
        self.needs_login |= O::NEEDS.who != Who::Anyone;
        let endpoint =
            Endpoint { handle, admit: D::admit::<O>, needs: O::NEEDS, inputs: O::INPUTS, body: BodyRule::Ignored };
        self.methods.push((method, endpoint));
        self
    }

    /// A method whose body holds fields.
    fn fields<O: Operation>(self, method: Method, handle: Handler<D>) -> Self {
        self.with_body::<O>(method, handle, BodyRule::Fields)
    }

    /// A method whose body is an array.
    fn list<O: Operation>(self, method: Method, handle: Handler<D>) -> Self {
        self.with_body::<O>(method, handle, BodyRule::List)
    }

    fn with_body<O: Operation>(self, method: Method, handle: Handler<D>, body: BodyRule) -> Self {
        let mut route = self.on::<O>(method, handle);
        if let Some((_, endpoint)) = route.methods.last_mut() {
            endpoint.body = body;
        }
        route
    }

    /// A method of an open route.
    fn plain(mut self, method: Method, handle: Handler<D>) -> Self {
        let endpoint =
            Endpoint { handle, admit: |_, _| Ok(()), needs: Permission::ANYONE, inputs: &[], body: BodyRule::Ignored };
        self.methods.push((method, endpoint));
        self
    }

    /// The endpoint of a method; HEAD is GET (spec §1.1).
    #[must_use]
    pub fn endpoint(&self, method: &Method) -> Option<&Endpoint<D>> {
        let wanted = if method == Method::HEAD { &Method::GET } else { method };
        self.methods.iter().find(|(method, _)| method == wanted).map(|(_, endpoint)| endpoint)
    }

    /// The value of the `Allow` header.
    #[must_use]
    pub fn allow(&self) -> String {
        let mut names: Vec<&str> = self.methods.iter().map(|(method, _)| method.as_str()).collect();
        if names.contains(&"GET") {
            names.push("HEAD");
        }
        if self.kind == Kind::Api {
            names.push("OPTIONS");
        }
        names.join(", ")
    }
}

/// Finds routes by path.
pub struct Router<D> {
    routes: Vec<Route<D>>,
    paths: matchit::Router<usize>,
}

impl<D: Door> Router<D> {
    /// Builds the table; an error means that two of our own routes clash.
    pub fn new() -> std::result::Result<Self, matchit::InsertError> {
        let mut paths = matchit::Router::new();
        let routes = routes();
        for (index, route) in routes.iter().enumerate() {
            paths.insert(route.template, index)?;
        }
        Ok(Self { routes, paths })
    }

    /// Every path and method of the API.
    pub fn endpoints(&self) -> impl Iterator<Item = (&'static str, &Method, &Endpoint<D>)> {
        let routes = self.routes.iter().filter(|route| route.kind == Kind::Api);
        routes.flat_map(|route| route.methods.iter().map(|(method, endpoint)| (route.template, method, endpoint)))
    }

    /// The route of a raw path, with or without a slash at the end.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<(&Route<D>, Params)> {
        let path = decode(path)?;
        let trimmed = path.strip_suffix('/').filter(|trimmed| !trimmed.is_empty()).unwrap_or(&path);
        let found = self.paths.at(trimmed).ok()?;
        let route = self.routes.get(*found.value)?;
        let mut values = found.params.iter().map(|(_, value)| value.to_owned());
        let params = Params { first: values.next().unwrap_or_default(), second: values.next().unwrap_or_default() };
        // A segment of the API never has a dot in it (spec §1.1).
        let has_dot = params.first.contains('.') || params.second.contains('.');
        (route.kind == Kind::Open || !has_dot).then_some((route, params))
    }
}

/// Undoes percent-encoding: clients write `@me` as `%40me`. `None` when what comes out is no text.
fn decode(path: &str) -> Option<Cow<'_, str>> {
    if !path.contains('%') {
        return Some(path.into());
    }
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        bytes.push(match (byte, after) {
            (b'%', [high, low, after @ ..]) => {
                rest = after;
                hex(*high)? << 4 | hex(*low)?
            }
            (b'%', _) => return None,
            _ => byte,
        });
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Every path there is. Static segments win over variable ones.
fn routes<D: Door>() -> Vec<Route<D>> {
    let mut routes = user_routes();
    routes.extend(session_routes());
    routes.extend(preference_routes());
    routes.extend(account_routes());
    routes.extend(organization_routes());
    routes.extend(open_routes());
    routes
}

fn user_routes<D: Door>() -> Vec<Route<D>> {
    let start = |path| {
        Route::api(path)
            .on::<StartTotpSetup>(Method::GET, |call| Box::pin(two_factor::start(call)))
            .on::<StartTotpSetup>(Method::POST, |call| Box::pin(two_factor::start(call)))
    };
    let validate =
        |path| Route::api(path).fields::<ValidateTotp>(Method::POST, |call| Box::pin(two_factor::validate(call)));
    vec![
        Route::api("/api/users").on::<ListUsers>(Method::GET, |call| Box::pin(users::list(call))),
        Route::api("/api/users/{uuid}")
            .on::<RetrieveUser>(Method::GET, |call| Box::pin(users::retrieve(call)))
            .fields::<UpdateUser>(Method::PUT, |call| Box::pin(users::replace(call)))
            .fields::<UpdateUser>(Method::PATCH, |call| Box::pin(users::update(call)))
            .on::<DeleteUser>(Method::DELETE, |call| Box::pin(users::delete(call))),
        Route::api("/api/users/request_email_verification")
            .fields::<RequestEmailVerification>(Method::POST, |call| Box::pin(email::request_verification(call))),
        Route::api("/api/users/verify_email").fields::<VerifyEmail>(Method::POST, |call| Box::pin(email::verify(call))),
        Route::api("/api/users/cancel_email_change_request")
            .on::<CancelEmailChange>(Method::PATCH, |call| Box::pin(email::cancel_change(call))),
        start("/api/users/{uuid}/two_factor_start_setup"),
        start("/api/users/{uuid}/start_2fa_setup"),
        validate("/api/users/{uuid}/two_factor_validate"),
        validate("/api/users/{uuid}/validate_2fa"),
        Route::api("/api/users/{uuid}/two_factor_status")
            .on::<RetrieveTwoFactorStatus>(Method::GET, |call| Box::pin(two_factor::status(call))),
        Route::api("/api/users/{uuid}/two_factor_backup_codes")
            .on::<RegenerateBackupCodes>(Method::POST, |call| Box::pin(two_factor::backup_codes(call))),
        Route::api("/api/users/{uuid}/two_factor_disable")
            .fields::<DisableTwoFactor>(Method::POST, |call| Box::pin(two_factor::disable(call))),
    ]
}

fn session_routes<D: Door>() -> Vec<Route<D>> {
    vec![
        Route::api("/api/users/{uuid}/login_sessions")
            .on::<ListLoginSessions>(Method::GET, |call| Box::pin(sessions::list(call))),
        Route::api("/api/users/{uuid}/login_sessions/{id}")
            .on::<RevokeLoginSession>(Method::DELETE, |call| Box::pin(sessions::revoke(call))),
        Route::api("/api/users/{uuid}/login_sessions/revoke_others")
            .on::<RevokeOtherSessions>(Method::POST, |call| Box::pin(sessions::revoke_others(call))),
        Route::api("/api/users/{uuid}/remembered_devices")
            .on::<ListRememberedDevices>(Method::GET, |call| Box::pin(sessions::list_devices(call))),
        Route::api("/api/users/{uuid}/remembered_devices/{id}")
            .on::<RevokeRememberedDevice>(Method::DELETE, |call| Box::pin(sessions::revoke_device(call))),
    ]
}

fn preference_routes<D: Door>() -> Vec<Route<D>> {
    vec![
        Route::api("/api/users/{uuid}/hedgehog_config")
            .on::<RetrieveHedgehogConfig>(Method::GET, |call| Box::pin(preferences::hedgehog_config(call)))
            .fields::<ReplaceHedgehogConfig>(Method::PATCH, |call| {
                Box::pin(preferences::replace_hedgehog_config(call))
            }),
        Route::api("/api/users/{uuid}/scene_personalisation")
            .fields::<PersonaliseScene>(Method::POST, |call| Box::pin(preferences::personalise_scene(call))),
        Route::api("/api/users/{uuid}/product_intro_seen")
            .fields::<MarkProductIntro>(Method::PATCH, |call| Box::pin(preferences::mark_product_intro(call))),
        Route::api("/api/users/{uuid}/pending_invites")
            .on::<ListPendingInvites>(Method::GET, |call| Box::pin(preferences::pending_invites(call))),
        Route::api("/api/users/{uuid}/github_login")
            .on::<RetrieveGithubLogin>(Method::GET, |call| Box::pin(preferences::github_login(call))),
        Route::api("/api/users/{uuid}/credentials_review_complete")
            .on::<CompleteCredentialsReview>(Method::POST, |call| {
                Box::pin(preferences::complete_credentials_review(call))
            }),
    ]
}

fn account_routes<D: Door>() -> Vec<Route<D>> {
    vec![
        Route::api("/api/login").fields::<Login>(Method::POST, |call| Box::pin(login::login(call))),
        Route::api("/api/login/token").fields::<CompleteLogin>(Method::POST, |call| Box::pin(login::complete(call))),
        Route::api("/api/login/code-based-verification")
            .fields::<CompleteLoginByCode>(Method::POST, |call| Box::pin(login::complete_by_code(call))),
        Route::api("/api/login/code-based-verification/resend")
            .on::<ResendLoginCode>(Method::POST, |call| Box::pin(login::resend_code(call))),
        Route::api("/api/login/precheck").fields::<CheckLogin>(Method::POST, |call| Box::pin(login::precheck(call))),
        Route::api("/api/logout").on::<Logout>(Method::POST, |call| Box::pin(login::logout(call))),
        Route::api("/logout").on::<Logout>(Method::POST, |call| Box::pin(login::logout_to_login(call))),
        Route::api("/api/reset").fields::<RequestPasswordReset>(Method::POST, |call| Box::pin(reset::request(call))),
        Route::api("/api/reset_2fa/{uuid}")
            .on::<CheckTwoFactorResetToken>(Method::GET, |call| Box::pin(reset::check_two_factor(call)))
            .fields::<ConfirmTwoFactorReset>(Method::POST, |call| Box::pin(reset::confirm_two_factor(call))),
        Route::api("/api/reset/{uuid}")
            .on::<CheckResetToken>(Method::GET, |call| Box::pin(reset::check(call)))
            .fields::<ResetPassword>(Method::POST, |call| Box::pin(reset::confirm(call))),
        Route::api("/api/signup").fields::<SignUp>(Method::POST, |call| Box::pin(signup::sign_up(call))),
        Route::api("/api/signup/{invite_id}")
            .on::<CheckInvite>(Method::GET, |call| Box::pin(signup::check_invite(call)))
            .fields::<AcceptInvite>(Method::POST, |call| Box::pin(signup::accept_invite(call))),
        Route::api("/api/organizations/{organization_id}/invites")
            .on::<ListInvites>(Method::GET, |call| Box::pin(invites::list(call)))
            .fields::<CreateInvite>(Method::POST, |call| Box::pin(invites::create(call))),
        Route::api("/api/organizations/{organization_id}/invites/bulk")
            .list::<CreateInvites>(Method::POST, |call| Box::pin(invites::create_many(call))),
        Route::api("/api/organizations/{organization_id}/invites/{invite_id}")
            .on::<DeleteInvite>(Method::DELETE, |call| Box::pin(invites::delete(call))),
        Route::api("/api/personal_api_keys")
            .key_first()
            .on::<ListApiKeys>(Method::GET, |call| Box::pin(api_keys::list(call)))
            .fields::<CreateApiKey>(Method::POST, |call| Box::pin(api_keys::create(call))),
        Route::api("/api/personal_api_keys/{id}")
            .key_first()
            .on::<RetrieveApiKey>(Method::GET, |call| Box::pin(api_keys::retrieve(call)))
            .fields::<UpdateApiKey>(Method::PUT, |call| Box::pin(api_keys::replace(call)))
            .fields::<UpdateApiKey>(Method::PATCH, |call| Box::pin(api_keys::update(call)))
            .on::<DeleteApiKey>(Method::DELETE, |call| Box::pin(api_keys::delete(call))),
        Route::api("/api/personal_api_keys/{id}/roll")
            .key_first()
            .on::<RollApiKey>(Method::POST, |call| Box::pin(api_keys::roll(call))),
    ]
}

fn organization_routes<D: Door>() -> Vec<Route<D>> {
    vec![
        Route::api("/api/organizations")
            .on::<ListOrganizations>(Method::GET, |call| Box::pin(organizations::list(call)))
            .fields::<CreateOrganization>(Method::POST, |call| Box::pin(organizations::create(call))),
        Route::api("/api/organizations/{organization_id}")
            .on::<RetrieveOrganization>(Method::GET, |call| Box::pin(organizations::retrieve(call)))
            .fields::<UpdateOrganization>(Method::PATCH, |call| Box::pin(organizations::update(call)))
            .on::<DeleteOrganization>(Method::DELETE, |call| Box::pin(organizations::delete(call))),
        Route::api("/api/organizations/{organization_id}/members")
            .on::<ListMembers>(Method::GET, |call| Box::pin(organizations::list_members(call))),
        Route::api("/api/organizations/{organization_id}/members/{user_uuid}")
            .fields::<UpdateMember>(Method::PATCH, |call| Box::pin(organizations::update_member(call)))
            .on::<RemoveMember>(Method::DELETE, |call| Box::pin(organizations::remove_member(call))),
        Route::api("/api/organizations/{organization_id}/projects")
            .on::<ListProjects>(Method::GET, |call| Box::pin(organizations::list_projects(call)))
            .fields::<CreateProject>(Method::POST, |call| Box::pin(organizations::create_project(call))),
    ]
}

fn open_routes<D: Door>() -> Vec<Route<D>> {
    let page = |path, handle: Handler<D>| Route::open(path).plain(Method::GET, handle);
    vec![
        Route::open("/_health").plain(Method::GET, |call| Box::pin(async move { health::health(&call) })),
        Route::open("/_readyz").plain(Method::GET, |call| Box::pin(health::ready(call))),
        page("/api/schema", |_| Box::pin(async { Ok(docs::schema()) })),
        page("/api/docs", |_| Box::pin(async { Ok(docs::page()) })),
        page("/api/docs/page.css", |_| Box::pin(async { Ok(docs::page_style()) })),
        page("/api/docs/page.js", |_| Box::pin(async { Ok(docs::page_script()) })),
        page("/api/docs/viewer.css", |_| Box::pin(async { Ok(docs::viewer_style()) })),
        page("/api/docs/viewer.js", |_| Box::pin(async { Ok(docs::viewer_script()) })),
        Route::open("/").plain(Method::GET, |call| Box::pin(async move { pages::home(&call) })),
        Route::open("/verify_email/{uuid}/{token}")
            .plain(Method::GET, |call| Box::pin(async move { pages::verify_email(&call) }))
            .plain(Method::POST, |call| Box::pin(pages::submit_verify_email(call))),
        Route::open("/reset")
            .plain(Method::GET, |call| Box::pin(async move { recovery::ask(&call) }))
            .plain(Method::POST, |call| Box::pin(recovery::submit_ask(call))),
        Route::open("/reset/{uuid}/{token}")
            .plain(Method::GET, |call| Box::pin(recovery::reset(call)))
            .plain(Method::POST, |call| Box::pin(recovery::submit_reset(call))),
        Route::open("/reset_2fa/{uuid}/{token}")
            .with_session()
            .plain(Method::GET, |call| Box::pin(recovery::reset_two_factor(call)))
            .plain(Method::POST, |call| Box::pin(recovery::submit_reset_two_factor(call))),
        Route::open("/signup")
            .with_session()
            .plain(Method::GET, |call| Box::pin(pages::signup::show_form(call)))
            .plain(Method::POST, |call| Box::pin(pages::signup::submit_form(call))),
        Route::open("/signup/{invite_id}")
            .with_session()
            .plain(Method::GET, |call| Box::pin(pages::signup::show_invite(call)))
            .plain(Method::POST, |call| Box::pin(pages::signup::submit_invite(call))),
        Route::open("/setup/{token}")
            .plain(Method::GET, |call| Box::pin(async move { pages::setup(&call) }))
            .plain(Method::POST, |call| Box::pin(pages::submit_setup(call))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::fake::Fake;

    #[track_caller]
    fn check(path: &str, expected: Option<(&str, &str)>) {
        let router = Router::<Fake>::new().unwrap();
        let found = router.find(path).map(|(route, params)| (route.template, params.first));
        assert_eq!(found.as_ref().map(|(template, first)| (*template, first.as_str())), expected, "{path}");
    }

    #[test]
    fn a_slash_at_the_end_changes_nothing() {
        check("/api/users/@me", Some(("/api/users/{uuid}", "@me")));
        check("/api/users/@me/", Some(("/api/users/{uuid}", "@me")));
        check("/", Some(("/", "")));
        check("/api/users//", None);
    }

    #[test]
    fn fixed_paths_win_over_users() {
        check("/api/users/verify_email", Some(("/api/users/verify_email", "")));
        check(
            "/api/users/verify_email/two_factor_status",
            Some(("/api/users/{uuid}/two_factor_status", "verify_email")),
        );
    }

    #[test]
    fn segments_are_decoded_and_have_no_dots() {
        check("/api/users/%40me", Some(("/api/users/{uuid}", "@me")));
        check("/api/users/a.b", None);
        check("/api/users/a%2eb", None);
        for broken in ["/api/users/%", "/api/users/%4", "/api/users/%zz", "/api/users/%ff"] {
            check(broken, None);
        }
    }

    #[test]
    fn unknown_paths_are_unknown() {
        for path in ["/api", "/api/nothing", "/api/users/@me/nothing", "", "*"] {
            check(path, None);
        }
    }

    #[test]
    fn allow_lists_what_the_path_takes() {
        let router = Router::<Fake>::new().unwrap();
        let allow = |path| router.find(path).unwrap().0.allow();
        assert_eq!(allow("/api/users/@me"), "GET, PUT, PATCH, DELETE, HEAD, OPTIONS");
        assert_eq!(allow("/api/login"), "POST, OPTIONS");
        // Open paths do not answer it.
        assert_eq!(allow("/_health"), "GET, HEAD");
    }
}
