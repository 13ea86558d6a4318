//! The checks beyond types: ranges, forms, and settings that need each other.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU16;
use std::ops::RangeInclusive;
use std::path::Component;

use super::{Admin, Config, Email, MailTransport, OnOff, Password, Server};
use crate::domain::email::EmailAddress;
use crate::domain::password_hash::{ITERATIONS_MAX, MEMORY_KIB_MAX, PARALLELISM_MAX};

/// The first setting that will not do: its key and what is wrong with it.
pub(super) fn problem(config: &Config) -> Option<(&'static str, String)> {
    server(&config.server)
        .or_else(|| email(&config.email))
        .or_else(|| password(&config.password))
        .or_else(|| issuer(&config.two_factor.issuer))
        .or_else(|| ranges(config))
        .or_else(|| log_level(&config.log.level))
        .or_else(|| login_codes(config))
        .or_else(|| reason_pattern(&config.admin))
        .or_else(|| groups(config))
        .or_else(|| not_there_yet(config))
}

type Problem = Option<(&'static str, String)>;

fn server(server: &Server) -> Problem {
    let data_dir_empty = server.data_dir.as_os_str().is_empty();
    data_dir_empty
        .then(|| ("server.data_dir", "it must name a folder".to_owned()))
        .or_else(|| public_url(&server.public_url).map(|problem| ("server.public_url", problem.to_owned())))
        .or_else(|| {
            let bad = server.trusted_proxies.iter().find(|proxy| parse_network(proxy).is_none())?;
            Some((
                "server.trusted_proxies",
                format!("{bad:?} is neither an address nor a network such as \"10.0.0.0/8\""),
            ))
        })
        .or_else(|| {
            let is_lonely = server.proxy_protocol && server.trusted_proxies.is_empty();
            is_lonely.then(|| {
                let hint = "it needs server.trusted_proxies: only from those is the header believed";
                ("server.proxy_protocol", hint.to_owned())
            })
        })
        .or_else(|| {
            let bad = server.cors_origins.iter().find(|origin| !is_origin(origin))?;
            let hint = if bad == "*" {
                "name the origins, since any could act for a person who is logged in"
            } else {
                "write it as scheme://host or scheme://host:port, in lower case"
            };
            Some(("server.cors_origins", format!("{bad:?} is not taken: {hint}")))
        })
        .or_else(|| {
            let lonely = |key| Some((key, "server.tls.cert_file and server.tls.key_file need each other".to_owned()));
            match (server.tls.is_on(), server.tls.key_file.as_os_str().is_empty()) {
                (true, true) => lonely("server.tls.cert_file"),
                (false, false) => lonely("server.tls.key_file"),
                _ => None,
            }
        })
}

fn public_url(url: &str) -> Option<&'static str> {
    let Some((_, rest)) = url.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https")) else {
        return Some("it must start with http:// or https://");
    };
    if rest.ends_with('/') {
        return Some("it must not end with a slash");
    }
    let bad = |c: char| c.is_whitespace() || c.is_control() || "?#@\\\"<>".contains(c);
    let authority = rest.split('/').next().unwrap_or_default();
    if rest.contains(bad) || !is_authority(authority) {
        return Some("it must be scheme and host, as in https://id.example.com");
    }
    None
}

/// A host, an IPv6 address in brackets, either with a port or without.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && !host.contains(['[', ']', ':', ',', '*']),
    };
    is_host && port.is_none_or(|port| port.parse::<NonZeroU16>().is_ok())
}

/// Whether this is `scheme://host` or `scheme://host:port` as browsers write it. Never `*`.
#[must_use]
pub fn is_origin(origin: &str) -> bool {
    let is_bare = origin.split("://").nth(1).is_some_and(|rest| !rest.contains('/'));
    public_url(origin).is_none() && is_bare && !origin.contains(|c: char| c.is_ascii_uppercase())
}

/// An address, or a network as address and length of its prefix in bits. A lone address has the full length. An IPv4
/// address in IPv6 clothes (`::ffff:10.0.0.1`) comes out as IPv4.
#[must_use]
pub fn parse_network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.parse().ok()?;
    let bits_max = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Some(bits_max), |bits| bits.parse().ok())?;
    match address {
        _ if bits > bits_max => None,
        // Peers are known by their IPv4 address then.
        IpAddr::V6(mapped) if bits >= 96 => Some(match mapped.to_ipv4_mapped() {
            Some(address) => (IpAddr::V4(address), bits - 96),
            None => (IpAddr::V6(mapped), bits),
        }),
        address => Some((address, bits)),
    }
}

fn email(email: &Email) -> Problem {
    if !is_sender(&email.from) {
        return Some(("email.from", "it must be an address, as in \"Doorward <doorward@example.com>\"".to_owned()));
    }
    let smtp = &email.smtp;
    let has_file = !smtp.password_file.as_os_str().is_empty();
    if has_file && !smtp.password.expose().is_empty() {
        return Some(("email.smtp.password_file", "give email.smtp.password or this, not both".to_owned()));
    }
    if email.transport == MailTransport::Smtp && smtp.host.trim().is_empty() {
        return Some((
            "email.smtp.host",
            "email.transport is \"smtp\", which needs the name of a mail server".to_owned(),
        ));
    }
    if email.file.dir.as_os_str().is_empty() {
        return Some(("email.file.dir", "it must name a folder".to_owned()));
    }
    within("email.smtp.port", u64::from(smtp.port), 1..=65_535)
}

/// An address, alone or as `Name <address>`, where a name with special characters stands in quotes (RFC 5322).
fn is_sender(from: &str) -> bool {
    let parts = from.strip_suffix('>').and_then(|from| from.rsplit_once('<'));
    let (name, address) = parts.unwrap_or(("", from));
    let name = name.trim();
    let quoted = name.strip_prefix('"').and_then(|name| name.strip_suffix('"'));
    let is_name = match quoted {
        Some(name) => !name.contains(['"', '\\']),
        None => !name.contains(|c| "()<>[]:;@\\,\"".contains(c)),
    };
    is_name && EmailAddress::parse(address).is_some() && !from.contains(char::is_control)
}

fn password(password: &Password) -> Problem {
    let least = 8 * u64::from(password.parallelism.max(1));
    within("password.parallelism", password.parallelism.into(), 1..=PARALLELISM_MAX.into())
        .or_else(|| within("password.iterations", password.iterations.into(), 1..=ITERATIONS_MAX.into()))
        .or_else(|| within("password.memory_kib", password.memory_kib.into(), least..=MEMORY_KIB_MAX.into()))
        .or_else(|| password.hash_parameters().check().err().map(|error| ("password.memory_kib", error.to_string())))
        .or_else(|| within("password.max_parallel_hashes", password.max_parallel_hashes as u64, 0..=1_024))
        .or_else(|| within("password.min_length", password.min_length as u64, 8..=128))
}

/// The issuer is part of an `otpauth:` label, where a colon separates it from the account.
fn issuer(issuer: &str) -> Problem {
    let good = !issuer.trim().is_empty()
        && issuer.chars().count() <= 64
        && !issuer.contains(|c: char| c == ':' || c.is_control());
    (!good).then(|| ("two_factor.issuer", "it must be 1 to 64 characters without a colon".to_owned()))
}

fn ranges(config: &Config) -> Problem {
    let server = &config.server;
    let login = &config.login;
    let numbers: [(&'static str, u64, RangeInclusive<u64>); 13] = [
        ("server.max_body_bytes", server.max_body_bytes as u64, 1_024..=64 * 1024 * 1024),
        ("server.request_timeout_ms", server.request_timeout_ms, 100..=600_000),
        ("server.max_connections", server.max_connections as u64, 1..=1_000_000),
        ("server.max_connections_per_address", server.max_connections_per_address as u64, 1..=1_000_000),
        ("server.shutdown_timeout_ms", server.shutdown_timeout_ms, 0..=600_000),
        ("store.sled.cache_mib", config.store.sled.cache_mib, 1..=1_048_576),
        ("backup.every_hours", config.backup.every_hours.into(), 0..=8_760),
        ("backup.keep", config.backup.keep as u64, 2..=1_000),
        ("two_factor.backup_codes", config.two_factor.backup_codes as u64, 1..=20),
        ("two_factor.remember_days", config.two_factor.remember_days.into(), 1..=365),
        ("auth.session_days", config.auth.session_days.into(), 1..=365),
        ("login.failures_max", login.failures_max.into(), 1..=10_000),
        ("login.lock_seconds", login.lock_seconds.into(), 1..=86_400),
    ];
    numbers
        .into_iter()
        .find_map(|(key, value, range)| within(key, value, range))
        .or_else(|| within("login.account_failures_max", login.account_failures_max.into(), 1..=100_000))
        .or_else(|| match config.audit.keep_days {
            0 => None,
            days => within("audit.keep_days", days.into(), 30..=36_500),
        })
        .or_else(|| within("admin.job_mails_per_second", config.admin.job_mails_per_second.into(), 1..=1_000))
}

fn within(key: &'static str, value: u64, range: RangeInclusive<u64>) -> Problem {
    (!range.contains(&value)).then(|| (key, format!("it must be between {} and {}", range.start(), range.end())))
}

/// Stricter than the filter's own parser, which takes a misspelt level for the name of a module.
fn log_level(level: &str) -> Problem {
    let is_level = |text: &str| matches!(text, "off" | "error" | "warn" | "info" | "debug" | "trace");
    let is_directive = |directive: &str| match directive.trim().split_once('=') {
        None => is_level(directive.trim()),
        Some((target, level)) => {
            is_level(level) && target.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
        }
    };
    let good = level.split(',').all(is_directive);
    (!good).then(|| {
        (
            "log.level",
            "it must be error, warn, info, debug, or a filter such as \"info,doorward::http=debug\"".to_owned(),
        )
    })
}

/// Codes by mail need mail: without it everybody would get in with the password alone.
fn login_codes(config: &Config) -> Problem {
    let is_on = config.login.email_code == OnOff::On && config.email.transport == MailTransport::Off;
    is_on.then(|| ("login.email_code", "the codes go by mail, and email.transport is \"off\"".to_owned()))
}

fn reason_pattern(admin: &Admin) -> Problem {
    let error = admin.reason_pattern().err()?;
    // The last line says what is wrong, those before draw where.
    let text = error.to_string();
    let text = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
    Some(("admin.reason_pattern", format!("it is no regular expression: {text}")))
}

/// A group needs a folder that it may enter, which the data directory is not.
fn groups(config: &Config) -> Problem {
    let Admin { group, readers_group, socket_dir, .. } = &config.admin;
    let has_dir = !socket_dir.as_os_str().is_empty();
    if group.is_empty() {
        let lonely = "it has no effect without admin.group: set both or neither".to_owned();
        return (!readers_group.is_empty())
            .then(|| ("admin.readers_group", lonely.clone()))
            .or_else(|| has_dir.then_some(("admin.socket_dir", lonely)));
    }
    // Without a working directory nothing relative can be found either.
    let data_dir = std::path::absolute(&config.server.data_dir).unwrap_or_default();
    let is_plain = socket_dir.components().all(|part| part != Component::ParentDir);
    let problem = if !has_dir {
        "admin.group is set, which needs a folder for the admin socket, as in \"/run/doorward\""
    } else if !socket_dir.is_absolute() || !is_plain {
        "it must be an absolute path without `..`, as in \"/run/doorward\""
    } else if socket_dir.starts_with(&data_dir) {
        "it must be outside of server.data_dir, which only the server's user may enter"
    } else {
        return None;
    };
    Some(("admin.socket_dir", problem.to_owned()))
}

/// Settings whose part of the program is still to come: taking them without effect would deceive.
fn not_there_yet(config: &Config) -> Problem {
    if !config.metrics.listen.is_empty() {
        return Some(("metrics.listen", "metrics are not there yet: leave it empty".to_owned()));
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::config::{Sources, load};

    /// The key of the complaint about these settings, or nothing.
    fn complaint(settings: &[(&str, &str)]) -> Option<String> {
        let environment = settings
            .iter()
            .map(|(key, value)| (format!("DOORWARD__{}", key.to_uppercase().replace('.', "__")), (*value).to_owned()))
            .collect();
        let error = load(&Sources { environment, ..Sources::default() }).err()?.to_string();
        Some(error.split('`').nth(1).unwrap().to_owned())
    }

    #[test]
    fn values_that_will_not_do_are_refused() {
        for (key, value) in [
            ("server.public_url", "https://id.example.com/"),
            ("server.public_url", "ftp://id.example.com"),
            ("server.public_url", "https://"),
            ("server.public_url", "https://id example.com"),
            ("server.public_url", "https://id.example.com?x"),
            ("server.public_url", "https://id.example.com:99999"),
            ("server.public_url", "https://id.example.com:"),
            ("server.public_url", "https://:8443"),
            ("server.public_url", "https://[::1"),
            ("server.public_url", "https://::1"),
            ("server.cors_origins", "['https://App.example.com']"),
            ("server.cors_origins", "['https://*.example.com']"),
            ("server.cors_origins", "['null']"),
            ("server.data_dir", ""),
            ("server.trusted_proxies", "['10.0.0.0/33']"),
            ("server.trusted_proxies", "['proxy.example.com']"),
            ("server.proxy_protocol", "true"),
            ("server.cors_origins", "['*']"),
            ("server.cors_origins", "['https://app.example.com/x']"),
            ("server.max_body_bytes", "10"),
            ("server.tls.cert_file", "cert.pem"),
            ("server.tls.key_file", "key.pem"),
            ("audit.keep_days", "29"),
            ("email.from", "Doorward"),
            ("email.from", "Ada, Bob <a@example.com>"),
            ("email.from", "'Ada (x) <a@example.com>'"),
            ("email.smtp.port", "0"),
            ("password.memory_kib", "7"),
            ("password.iterations", "0"),
            ("password.iterations", "65"),
            ("password.memory_kib", "262145"),
            ("password.min_length", "3"),
            ("two_factor.issuer", "a:b"),
            ("two_factor.backup_codes", "0"),
            ("login.email_code", "on"),
            ("admin.job_mails_per_second", "0"),
            ("admin.reason_pattern", "'HD-(\\d'"),
            ("admin.reason_pattern", "'(a{1000}){1000}'"),
            ("metrics.listen", "127.0.0.1:9000"),
            ("log.level", "inof"),
            ("log.level", "info,doorward=loud"),
        ] {
            assert_eq!(complaint(&[(key, value)]).as_deref(), Some(key), "{key} = {value}");
        }
    }

    #[test]
    fn values_that_will_do_are_taken() {
        for (key, value) in [
            ("server.public_url", "https://id.example.com:8443"),
            ("server.public_url", "http://[::1]:8000"),
            ("server.public_url", "http://[::1]"),
            ("server.public_url", "https://example.com/id"),
            ("server.trusted_proxies", "['10.0.0.0/8', 'fd00::/8', '192.0.2.1']"),
            ("server.cors_origins", "['https://app.example.com', 'http://localhost:3000']"),
            ("audit.keep_days", "30"),
            ("email.from", "ops@example.com"),
            ("email.from", "<ops@example.com>"),
            ("email.from", "'\"Doe, Jane\" <jane@example.com>'"),
            ("email.from", "D\u{f6}rward <ops@example.com>"),
            ("password.memory_kib", "8"),
            ("admin.reason_pattern", "'[A-Z]+-\\d+'"),
            ("log.level", "warn,doorward::http=debug"),
        ] {
            assert_eq!(complaint(&[(key, value)]), None, "{key} = {value}");
        }
    }

    #[test]
    fn settings_that_need_each_other() {
        let proxied = [("server.proxy_protocol", "true"), ("server.trusted_proxies", "['10.0.0.0/8']")];
        assert_eq!(complaint(&proxied), None);
        assert_eq!(complaint(&[("email.transport", "smtp")]).as_deref(), Some("email.smtp.host"));
        assert_eq!(complaint(&[("email.transport", "smtp"), ("email.smtp.host", "mail.example.com")]), None);
        assert_eq!(
            complaint(&[("email.smtp.password", "a"), ("email.smtp.password_file", "b")]).as_deref(),
            Some("email.smtp.password_file")
        );
        assert_eq!(
            complaint(&[("password.parallelism", "4"), ("password.memory_kib", "31")]).as_deref(),
            Some("password.memory_kib")
        );
        let together = [("password.iterations", "64"), ("password.memory_kib", "65537")];
        assert_eq!(complaint(&together).as_deref(), Some("password.memory_kib"));
        assert_eq!(complaint(&[("password.iterations", "64"), ("password.memory_kib", "65536")]), None);
        assert_eq!(complaint(&[("admin.readers_group", "support")]).as_deref(), Some("admin.readers_group"));
        assert_eq!(complaint(&[("admin.socket_dir", "/run/doorward")]).as_deref(), Some("admin.socket_dir"));
        assert_eq!(complaint(&[("admin.group", "ops")]).as_deref(), Some("admin.socket_dir"));
        for (socket_dir, is_good) in [
            ("/run/doorward", true),
            ("/srv/doorward-run", true),
            ("run", false),
            ("/run/../srv/doorward", false),
            ("/srv/doorward", false),
            ("/srv/doorward/run", false),
        ] {
            let settings =
                [("server.data_dir", "/srv/doorward"), ("admin.group", "ops"), ("admin.socket_dir", socket_dir)];
            assert_eq!(complaint(&settings).as_deref(), (!is_good).then_some("admin.socket_dir"), "{socket_dir}");
        }
    }
}
