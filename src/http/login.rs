//! Logging in and out (spec §3.5).

use hyper::StatusCode;

use super::cookies;
use super::door::Door;
use super::reply::{self, Answer};
use super::router::Call;
use crate::app::login::{CheckLogin, CompleteLogin, Login, LoginCompleted, LoginOutcome, Logout};
use crate::app::login_code::{CompleteLoginByCode, ResendLoginCode};
use crate::app::views::Success;
use crate::domain::text;

pub async fn login<D: Door>(mut call: Call<D>) -> Answer {
    let operation = Login { fields: call.take_fields(), remembered: std::mem::take(&mut call.remembered) };
    let (mut response, session) = match call.run(operation).await? {
        LoginOutcome::Done { session } => (reply::json(StatusCode::OK, &Success::YES)?, Some(session)),
        LoginOutcome::SecondFactorRequired { session } => (reply::second_factor_required()?, session),
        LoginOutcome::EmailCodeRequired { session, email } => (reply::login_code_required(&email)?, session),
    };
    if let Some(session) = &session {
        cookies::set_session(&mut response, session, call.service.site.is_https);
    }
    Ok(response)
}

pub async fn complete<D: Door>(mut call: Call<D>) -> Answer {
    let fields = call.take_fields();
    completed(&call, &call.run(CompleteLogin { fields }).await?)
}

pub async fn complete_by_code<D: Door>(mut call: Call<D>) -> Answer {
    let fields = call.take_fields();
    completed(&call, &call.run(CompleteLoginByCode { fields }).await?)
}

pub async fn resend_code<D: Door>(call: Call<D>) -> Answer {
    reply::json(StatusCode::OK, &call.run(ResendLoginCode {}).await?)
}

fn completed<D: Door>(call: &Call<D>, completed: &LoginCompleted) -> Answer {
    let mut response = reply::json(StatusCode::OK, &Success::YES)?;
    cookies::set_session(&mut response, &completed.session, call.service.site.is_https);
    if let Some(device) = &completed.remembered {
        cookies::set_remembered(&mut response, device, call.service.site.is_https);
    }
    Ok(response)
}

pub async fn precheck<D: Door>(mut call: Call<D>) -> Answer {
    let fields = call.take_fields();
    reply::json(StatusCode::OK, &call.run(CheckLogin { fields }).await?)
}

/// For API clients: 204.
pub async fn logout<D: Door>(call: Call<D>) -> Answer {
    call.run(Logout {}).await?;
    let mut response = reply::empty(StatusCode::NO_CONTENT);
    cookies::clear_session(&mut response, call.service.site.is_https);
    Ok(response)
}

/// For browsers: on to the login page, which may lead back to where they were.
pub async fn logout_to_login<D: Door>(call: Call<D>) -> Answer {
    call.run(Logout {}).await?;
    let next = call.fields.0.get("next").and_then(|next| next.as_str());
    let mut response = reply::found(&login_location(next));
    cookies::clear_session(&mut response, call.service.site.is_https);
    Ok(response)
}

fn login_location(next: Option<&str>) -> String {
    let next = next.filter(|next| text::is_safe_path(next));
    next.map_or_else(|| "/login".to_owned(), |next| text::with_next("/login", next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(next: Option<&str>, location: &str) {
        assert_eq!(login_location(next), location, "{next:?}");
    }

    #[test]
    fn only_paths_of_this_site_lead_back() {
        check(None, "/login");
        check(Some("/insights"), "/login?next=/insights");
        check(Some("/a?b=c&d"), "/login?next=/a%3Fb%3Dc%26d");
        for bad in [
            "//evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/\\evil.example",
            "/\t/evil.example",
            "",
            "a",
        ] {
            check(Some(bad), "/login");
        }
    }
}
