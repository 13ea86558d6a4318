//! The limits of spec §1.11: in which windows a call counts, under which key, and where the windows are kept.
//!
//! Counted after the permission is checked. What a limit counts by its key is kept in the store where forgetting it would
//! help somebody who guesses codes, floods mailboxes or makes accounts; a window is then written under a version check, so
//! of many calls at once exactly as many pass as the rate says. The buckets of client addresses (W-35) stand in memory.

use super::{Context, Identity, Tries};
use crate::config::{Limits, OnOff, Rate};
use crate::domain::id::UserId;
use crate::domain::vault::sha256;
use crate::error::{Error, Result};
use crate::records::{keys, put_window, remove_window};
use crate::store::Batch;

/// Windows kept in the store at once. Beyond that new keys are counted in memory, which has its own bound: a flood of
/// made-up keys fills neither.
const KEPT_MAX: i64 = 200_000;

/// What is counted. Each says what its key is; where that is an address, none is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Calls with `current_password`, by user.
    UserAuthentication,
    /// Mails that ask to verify an address, by the `uuid` that was sent.
    EmailVerificationRequest,
    /// Tries of a link or code that verifies an address, by the `uuid` that was sent.
    VerifyEmail,
    /// Mails that set a password, by the address that was sent.
    PasswordResetRequest,
    /// Tries of links that set a password or reset a second factor, by address: they are beyond guessing, but each costs.
    MailedLink,
    /// The second step with a code of the second factor, by pending user.
    TwoFactorLogin,
    /// The second step with a code by mail, by pending user.
    LoginEmailCode,
    /// Such codes sent again, by pending user.
    LoginEmailCodeResend,
    /// Questions how somebody may log in, by address.
    LoginPrecheck,
    /// New accounts, by address.
    Signup,
    /// People invited, by organization.
    Invites,
    /// Calls with an API key where `limits.api_keys` is on, by key.
    ApiKey,
}

/// One window that a call counts in.
struct Place {
    name: &'static str,
    rate: Rate,
    what: Vec<u8>,
    is_kept: bool,
}

impl Limit {
    /// Everything that a call counts in: buckets of addresses first, since beyond them nobody uses up the tries of others.
    fn places(self, limits: &Limits, key: &[u8], address: &str) -> Vec<Place> {
        let by_key = |name, rate, is_kept| Place { name, rate, what: key.to_vec(), is_kept };
        let by_address = |name, rate| Place { name, rate, what: address.into(), is_kept: false };
        let verify = || by_address("verify_email_address", limits.verify_email_address);
        let second_step = || by_address("second_step_address", limits.second_step_address);
        match self {
            Self::UserAuthentication => vec![
                by_address("user_authentication_address", limits.user_authentication_address),
                by_key("user_authentication", limits.user_authentication, false),
            ],
            Self::EmailVerificationRequest => {
                vec![verify(), by_key("email_verification_request", limits.email_verification_request, true)]
            }
            Self::VerifyEmail => vec![verify(), by_key("verify_email", limits.verify_email, true)],
            Self::PasswordResetRequest => vec![
                by_address("password_reset_request_address", limits.password_reset_request_address),
                by_key("password_reset_request", limits.password_reset_request, true),
            ],
            Self::MailedLink => vec![by_address("mailed_link_address", limits.verify_email_address)],
            Self::TwoFactorLogin => {
                vec![second_step(), by_key("two_factor_login", limits.two_factor_login, true)]
            }
            Self::LoginEmailCode => vec![second_step(), by_key("login_email_code", limits.login_email_code, true)],
            Self::LoginEmailCodeResend => {
                vec![second_step(), by_key("login_email_code_resend", limits.login_email_code_resend, true)]
            }
            Self::LoginPrecheck => vec![by_address("login_precheck", limits.login_precheck)],
            Self::Signup => vec![Place { is_kept: true, ..by_address("signup", limits.signup) }],
            Self::Invites => vec![
                by_key("invites_daily", limits.invites_daily, true),
                by_key("invites_hourly", limits.invites_hourly, true),
            ],
            Self::ApiKey => vec![
                by_key("api_keys_sustained", limits.api_keys_sustained, false),
                by_key("api_keys_burst", limits.api_keys_burst, false),
            ],
        }
    }
}

impl Place {
    fn key(&self) -> Vec<u8> {
        keys::window(self.name, &sha256(&self.what))
    }
}

impl Context<'_> {
    /// Counts one event, or refuses it with 429; what is refused is not counted anywhere.
    pub(super) async fn count(&self, limit: Limit, key: &[u8]) -> Result<()> {
        self.count_many(limit, key, 1).await
    }

    /// Counts so many events at once, or none.
    pub(super) async fn count_many(&self, limit: Limit, key: &[u8], amount: u32) -> Result<()> {
        let places = limit.places(&self.config().limits, key, &self.address_bucket());
        let (kept, passing): (Vec<_>, Vec<_>) = places.iter().partition(|place| place.is_kept);
        self.count_in_memory(&passing, amount)?;
        let counted = self.count_in_store(&kept, amount).await;
        if counted.is_err() {
            self.take_back(&passing, amount);
        }
        counted
    }

    /// Counts a call with an API key, where that is switched on and the call is not one of the users endpoints.
    pub(super) fn count_key_use(&self, is_limited: bool) -> Result<()> {
        let limits = &self.config().limits;
        let (Identity::ApiKey { key, .. }, OnOff::On, true) = (&self.actor.identity, limits.api_keys, is_limited)
        else {
            return Ok(());
        };
        let places = Limit::ApiKey.places(limits, &key.hash, "");
        self.count_in_memory(&places.iter().collect::<Vec<_>>(), 1)
    }

    /// Adds to a batch that the tries of a user's second step are forgotten.
    pub(super) async fn second_step_tries_forgotten(&self, mut batch: Batch, user: UserId) -> Result<Batch> {
        for limit in [Limit::TwoFactorLogin, Limit::LoginEmailCode] {
            for place in limit.places(&self.config().limits, user.as_bytes(), "").iter().filter(|place| place.is_kept) {
                self.app.0.throttle.forget(place.name, &place.what);
                if let Some(window) = self.records().rate_window(&place.key()).await? {
                    batch = remove_window(batch, place.key(), &window);
                }
            }
        }
        Ok(batch)
    }

    fn count_in_memory(&self, places: &[&Place], amount: u32) -> Result<()> {
        for (number, place) in places.iter().enumerate() {
            let counted = self.app.0.throttle.count_many(place.name, place.rate, &place.what, amount, self.now);
            if counted.is_err() {
                self.take_back(places.get(..number).unwrap_or_default(), amount);
                return counted;
            }
        }
        Ok(())
    }

    fn take_back(&self, places: &[&Place], amount: u32) {
        for place in places {
            self.app.0.throttle.take_back(place.name, &place.what, amount);
        }
    }

    async fn count_in_store(&self, places: &[&Place], amount: u32) -> Result<()> {
        if places.is_empty() {
            return Ok(());
        }
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let mut batch = Batch::default();
            for place in places {
                let before = self.records().rate_window(&place.key()).await?;
                if before.is_none() && self.records().counter(keys::WINDOWS_COUNTER).await? >= KEPT_MAX {
                    return self.count_in_memory(places, amount);
                }
                let mut window = before.as_ref().map(|before| before.value.clone()).unwrap_or_default();
                let counted = window.count(place.rate, amount, self.now);
                counted.map_err(|retry_after_s| Error::Throttled { retry_after_s })?;
                batch = put_window(batch, place.key(), before.as_ref(), &window);
            }
            if self.commit(batch).await?.is_some() {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::app::{Actor, App};
    use crate::config::Config;
    use crate::domain::time::Timestamp;
    use crate::store::Order;

    const START: i64 = 1_800_000_000;
    const HERE: &str = "192.0.2.7";

    fn app(change: impl FnOnce(&mut Limits)) -> App {
        let mut config: Config = toml::from_str(include_str!("../../config.toml")).unwrap();
        change(&mut config.limits);
        App::in_memory(config)
    }

    /// Counts at a moment (seconds after the start), from an address; the seconds to wait when it is refused.
    async fn count(app: &App, at: i64, from: &str, limit: Limit, key: &str, amount: u32) -> Option<u64> {
        let address = Some(from.parse::<IpAddr>().unwrap());
        let actor = Actor { identity: Identity::Anonymous, address, user_agent: None, request_id: String::new() };
        let cx = Context { app, actor: &actor, now: Timestamp::from_seconds(START + at), step: None, approved: None };
        match cx.count_many(limit, key.as_bytes(), amount).await {
            Ok(()) => None,
            Err(Error::Throttled { retry_after_s }) => Some(retry_after_s),
            Err(other) => panic!("{other:?}"),
        }
    }

    async fn kept(app: &App) -> (usize, i64, usize) {
        let count = async |prefix| app.records().store().scan(prefix, None, 1000, Order::Ascending).await.unwrap();
        let counter = app.records().counter(keys::WINDOWS_COUNTER).await.unwrap();
        (count(keys::WINDOW).await.entries.len(), counter, count(keys::EXPIRY).await.entries.len())
    }

    /// Spec §1.11, row by row, with the defaults.
    #[tokio::test]
    async fn every_row_holds_its_rate() {
        for (limit, rate, seconds, is_by_address) in [
            (Limit::UserAuthentication, 5, 60_i64, false),
            (Limit::EmailVerificationRequest, 6, 86_400, false),
            (Limit::VerifyEmail, 6, 1_200, false),
            (Limit::PasswordResetRequest, 6, 86_400, false),
            (Limit::MailedLink, 60, 1_200, true),
            (Limit::TwoFactorLogin, 6, 1_200, false),
            (Limit::LoginEmailCode, 6, 1_200, false),
            (Limit::LoginEmailCodeResend, 1, 60, false),
            (Limit::LoginPrecheck, 30, 60, true),
            (Limit::Signup, 5, 86_400, true),
            (Limit::Invites, 50, 3_600, false),
        ] {
            let app = app(|_| {});
            for _ in 0..rate {
                assert_eq!(count(&app, 0, HERE, limit, "a", 1).await, None, "{limit:?}");
            }
            assert_eq!(count(&app, 10, HERE, limit, "a", 1).await, Some(seconds.cast_unsigned() - 10), "{limit:?}");
            let other = if is_by_address { count(&app, 10, "192.0.2.8", limit, "a", 1).await } else { None };
            assert_eq!(other, None, "{limit:?}");
            let other_key = count(&app, 10, HERE, limit, "b", 1).await;
            assert_eq!(other_key.is_some(), is_by_address, "{limit:?}");
            assert!(count(&app, seconds - 1, HERE, limit, "a", 1).await.is_some(), "{limit:?}");
            assert_eq!(count(&app, seconds, HERE, limit, "a", 1).await, None, "{limit:?}");
        }
    }

    #[tokio::test]
    async fn invites_count_people_and_the_day_has_a_limit_too() {
        let app = app(|_| {});
        assert_eq!(count(&app, 0, HERE, Limit::Invites, "org", 51).await, Some(3_600));
        for hour in 0..4 {
            assert_eq!(count(&app, hour * 3_600, HERE, Limit::Invites, "org", 30).await, None);
            assert!(count(&app, hour * 3_600, HERE, Limit::Invites, "org", 21).await.is_some());
            assert_eq!(count(&app, hour * 3_600, HERE, Limit::Invites, "org", 20).await, None);
        }
        assert_eq!(count(&app, 4 * 3_600, HERE, Limit::Invites, "org", 1).await, Some(20 * 3_600));
        assert_eq!(count(&app, 4 * 3_600, HERE, Limit::Invites, "other", 50).await, None);
    }

    /// W-35: another key each time, one address; of IPv6 the /64.
    #[tokio::test]
    async fn an_address_has_a_bucket_of_its_own() {
        let rate = Rate { count: 3, seconds: 60 };
        let app = app(|limits| {
            limits.user_authentication_address = rate;
            limits.verify_email_address = rate;
            limits.password_reset_request_address = rate;
            limits.second_step_address = rate;
            limits.signup = rate;
        });
        for limit in [
            Limit::UserAuthentication,
            Limit::VerifyEmail,
            Limit::PasswordResetRequest,
            Limit::TwoFactorLogin,
            Limit::Signup,
        ] {
            for (number, host) in ["0:0:0:1", "0:0:0:2", "ffff:0:0:3"].into_iter().enumerate() {
                let address = format!("2001:db8:1:2:{host}");
                assert_eq!(count(&app, 0, &address, limit, &number.to_string(), 1).await, None, "{limit:?}");
            }
            let same = "2001:db8:1:2:abcd::9";
            assert_eq!(count(&app, 0, same, limit, "new", 1).await, Some(60), "{limit:?}");
            // What was refused is not counted under the key either.
            assert_eq!(count(&app, 0, "2001:db8:1:3::1", limit, "new", 1).await, None, "{limit:?}");
        }
        // Calls that share a bucket.
        for limit in [Limit::EmailVerificationRequest, Limit::LoginEmailCode, Limit::LoginEmailCodeResend] {
            assert_eq!(count(&app, 0, "2001:db8:1:2::5", limit, "new", 1).await, Some(60), "{limit:?}");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn many_at_once_count_exactly() {
        let app = app(|_| {});
        let calls = (0..64).map(|_| {
            let app = app.clone();
            tokio::spawn(async move { count(&app, 0, HERE, Limit::TwoFactorLogin, "ada", 1).await })
        });
        let passed = futures_util::future::join_all(calls).await.into_iter().filter(|call| matches!(call, Ok(None)));
        assert_eq!(passed.count(), 6);
        assert_eq!(kept(&app).await, (1, 1, 1));
    }

    #[tokio::test]
    async fn what_is_over_is_swept_and_what_is_not_stays() {
        let app = app(|_| {});
        let sweep = async |at: i64| app.sweep(Timestamp::from_seconds(START + at)).await.unwrap();
        for (at, key) in [(0, "a"), (600, "a"), (0, "b")] {
            assert_eq!(count(&app, at, HERE, Limit::VerifyEmail, key, 1).await, None);
        }
        assert_eq!(kept(&app).await, (2, 2, 2));
        sweep(1_199).await;
        assert_eq!(kept(&app).await, (2, 2, 2));
        sweep(1_200).await;
        assert_eq!(kept(&app).await, (1, 1, 1));
        sweep(1_799).await;
        assert_eq!(kept(&app).await, (1, 1, 1));
        sweep(1_800).await;
        assert_eq!(kept(&app).await, (0, 0, 0));
    }

    #[tokio::test]
    async fn a_full_store_takes_no_more_keys_and_limits_hold() {
        let app = app(|_| {});
        assert_eq!(count(&app, 0, HERE, Limit::VerifyEmail, "known", 5).await, None);
        let full = Batch::default().add(keys::WINDOWS_COUNTER, KEPT_MAX - 1);
        drop(app.records().store().commit(full).await.unwrap());
        for _ in 0..6 {
            assert_eq!(count(&app, 0, HERE, Limit::VerifyEmail, "new", 1).await, None);
        }
        assert_eq!(count(&app, 0, HERE, Limit::VerifyEmail, "new", 1).await, Some(1_200));
        assert_eq!(kept(&app).await.0, 1);
        assert_eq!(count(&app, 0, HERE, Limit::VerifyEmail, "known", 1).await, None);
        assert_eq!(count(&app, 0, HERE, Limit::VerifyEmail, "known", 1).await, Some(1_200));
    }
}
