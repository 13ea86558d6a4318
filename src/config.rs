//! The configuration: one struct for each section of `config.toml`, parsed and checked in one step ([`load`]).
//!
//! Does not open, bind or create anything, so `doorward config check` is safe at any time. A file that holds a secret is
//! read when the server starts ([`Smtp::read_password`]), not before.

mod check;
mod load;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use check::{is_origin, parse_network};
pub use load::{ConfigError, Loaded, Sources, load};

use crate::domain::password_hash::HashParameters;
pub use crate::domain::rate::Rate;
use crate::domain::secret::Secret;

/// Memory that a compiled pattern may take, in bytes.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub server: Server,
    pub store: Store,
    pub backup: Backup,
    pub audit: Audit,
    pub email: Email,
    pub password: Password,
    pub two_factor: TwoFactor,
    pub auth: Auth,
    pub signup: Signup,
    pub login: Login,
    pub limits: Limits,
    pub admin: Admin,
    pub metrics: Metrics,
    pub log: Log,
}

impl Config {
    /// What the service is called, which no password may rest on: at authenticators, and the host of its address.
    #[must_use]
    pub fn service_names(&self) -> [&str; 2] {
        let url = &self.server.public_url;
        let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        [&self.two_factor.issuer, rest.split('/').next().unwrap_or_default()]
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    pub listen: SocketAddr,
    /// Without a slash at the end.
    pub public_url: String,
    pub data_dir: PathBuf,
    /// Empty: `<data_dir>/secret.key`.
    pub secret_key_file: PathBuf,
    pub trusted_proxies: Vec<String>,
    pub proxy_protocol: bool,
    pub max_body_bytes: usize,
    pub request_timeout_ms: u64,
    pub max_connections: usize,
    pub max_connections_per_address: usize,
    pub shutdown_timeout_ms: u64,
    pub cors_origins: Vec<String>,
    pub tls: Tls,
}

impl Server {
    /// Whether people reach the server by https: what makes cookies `Secure`.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.public_url.starts_with("https://") || self.tls.is_on()
    }
}

/// TLS of our own, where both files are given.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
}

impl Tls {
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.cert_file.as_os_str().is_empty()
    }

    /// Where the key is.
    #[must_use]
    pub fn key_path(&self) -> PathBuf {
        secret_path(&self.key_file)
    }
}

/// Where a file with a secret is. A name without a folder is looked for among the credentials that systemd hands over,
/// then in the working directory.
fn secret_path(file: &Path) -> PathBuf {
    std::env::var_os("CREDENTIALS_DIRECTORY")
        .map(|folder| PathBuf::from(folder).join(file))
        .filter(|path| path.is_file())
        .unwrap_or_else(|| file.to_owned())
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    pub engine: Engine,
    pub sled: Sled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    Sled,
    Memory,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Sled {
    pub cache_mib: u64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// 0: none by themselves.
    pub every_hours: u32,
    /// Those that stay.
    pub keep: usize,
    /// Empty: `<data_dir>/backups`.
    pub dir: PathBuf,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// How long entries of the trail stay; 0: for ever.
    pub keep_days: u32,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Email {
    pub transport: MailTransport,
    pub from: String,
    pub verification: Verification,
    pub allow_plus_addresses: bool,
    pub smtp: Smtp,
    pub file: MailFile,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MailTransport {
    Off,
    Smtp,
    File,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verification {
    Token,
    Code,
    Both,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Smtp {
    pub host: String,
    pub port: u16,
    pub tls: SmtpTls,
    pub username: String,
    #[serde(skip_serializing)]
    pub password: Secret,
    pub password_file: PathBuf,
}

impl Smtp {
    /// The password: the value, or the content of `password_file` without the line end.
    pub fn read_password(&self) -> Result<Secret, ConfigError> {
        if self.password_file.as_os_str().is_empty() {
            return Ok(self.password.clone());
        }
        let path = secret_path(&self.password_file);
        let text = zeroize::Zeroizing::new(std::fs::read_to_string(&path).map_err(|error| {
            ConfigError::new(None, format!("email.smtp.password_file: cannot read {}: {error}", path.display()))
        })?);
        Ok(Secret::from(text.trim_end_matches(['\r', '\n'])))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SmtpTls {
    Starttls,
    Implicit,
    None,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MailFile {
    pub dir: PathBuf,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Password {
    pub memory_kib: u32,
    pub iterations: u32,
    pub parallelism: u32,
    /// 0: one for each core.
    pub max_parallel_hashes: usize,
    pub min_length: usize,
}

impl Password {
    /// The cost of the hashes that are made.
    #[must_use]
    pub const fn hash_parameters(&self) -> HashParameters {
        HashParameters { memory_kib: self.memory_kib, iterations: self.iterations, parallelism: self.parallelism }
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TwoFactor {
    pub issuer: String,
    pub backup_codes: usize,
    pub expose_backup_codes_in_status: bool,
    pub remember_days: u32,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    pub session_days: u32,
    pub allow_key_in_query: bool,
    pub allow_keys_on_two_factor: bool,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Signup {
    pub enabled: bool,
    pub allow_multiple_organizations: bool,
    pub first_user_is_staff: bool,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    pub email_code: OnOff,
    pub failures_max: u32,
    pub lock_seconds: u32,
    pub account_failures_max: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnOff {
    Off,
    On,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    pub user_authentication: Rate,
    pub user_authentication_address: Rate,
    pub email_verification_request: Rate,
    pub verify_email: Rate,
    pub verify_email_address: Rate,
    pub password_reset_request: Rate,
    pub password_reset_request_address: Rate,
    pub two_factor_login: Rate,
    pub login_email_code: Rate,
    pub login_email_code_resend: Rate,
    pub second_step_address: Rate,
    pub login_precheck: Rate,
    pub signup: Rate,
    pub invites_hourly: Rate,
    pub invites_daily: Rate,
    pub api_keys: OnOff,
    pub api_keys_burst: Rate,
    pub api_keys_sustained: Rate,
}

/// What binds operators at the console and the command line.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// The Unix group, by name or number, that may use the admin socket beside the server's user and root; empty for none.
    pub group: String,
    /// Those of `group` who are members of this one too may look only; empty for none.
    pub readers_group: String,
    /// Where the admin socket is when there is a `group`: an absolute path outside the data directory.
    pub socket_dir: PathBuf,
    /// A regular expression that is to match in each reason; empty for none.
    pub reason_pattern: String,
    /// What cannot be taken back takes two operators where it is done to staff.
    pub second_operator: bool,
    /// Mails that a job on many users queues in a second, at most.
    pub job_mails_per_second: u32,
}

impl Admin {
    /// The pattern, where there is one. It was compiled once when the configuration was checked.
    pub fn reason_pattern(&self) -> Result<Option<regex::Regex>, regex::Error> {
        if self.reason_pattern.is_empty() {
            return Ok(None);
        }
        regex::RegexBuilder::new(&self.reason_pattern).size_limit(PATTERN_BYTES_MAX).build().map(Some)
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    pub listen: String,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub format: LogFormat,
    pub level: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Text,
    Json,
}
