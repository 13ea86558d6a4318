//! How a mail leaves: over SMTP or as an `.eml` file. Knows nothing of the outbox or of retrying.

use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::{Address, Message};

use super::render::{Rendered, Renderer};
use super::smtp::{Smtp, SmtpFailure};
use crate::config::{Config, MailTransport};
use crate::domain::mail::Mail;
use crate::error::{Error, Result};

/// Longest reason kept of a failure, in characters.
const REASON_CHARS_MAX: usize = 200;

/// Where mails go, as configured.
pub struct Transport {
    from: Mailbox,
    renderer: Renderer,
    way: Way,
}

enum Way {
    Off,
    Smtp(Smtp),
    File(PathBuf),
}

/// Why a mail did not leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// One line for the operator, without the address of the recipient.
    pub reason: String,
    /// The mail server refused this mail and says that it always will (5xx).
    pub is_permanent: bool,
}

impl Transport {
    /// Checks the settings and reads the password file; connects to nothing yet, so a mail server that is away does
    /// not keep the program from starting.
    pub fn from_config(config: &Config) -> Result<Self> {
        let email = &config.email;
        let from = email.from.parse().map_err(|error| {
            Error::internal(format!(
                "email.from `{}` is not an address such as `Doorward <a@b.example>`: {error}",
                email.from
            ))
        })?;
        let renderer = Renderer::new(&config.server.public_url)
            .map_err(|error| Error::internal(format!("a mail template is broken: {error}")))?;
        let way = match email.transport {
            MailTransport::Off => Way::Off,
            MailTransport::Smtp => Way::Smtp(Smtp::from_settings(&email.smtp)?),
            MailTransport::File => Way::File(config.server.data_dir.join(&email.file.dir)),
        };
        Ok(Self { from, renderer, way })
    }

    /// Whether mails leave at all.
    #[must_use]
    pub fn is_off(&self) -> bool {
        matches!(self.way, Way::Off)
    }

    /// Sends one mail. `id` identifies it: the same mail sent again has the same Message-ID (and replaces its file).
    pub async fn send(&self, id: &str, mail: &Mail) -> std::result::Result<(), Failure> {
        let message = self.compose(id, mail)?;
        match &self.way {
            Way::Off => Err(Failure::passing("mail is off")),
            Way::Smtp(smtp) => smtp.send(&message).await.map_err(|failure| Failure::of_smtp(&failure, mail)),
            Way::File(folder) => {
                let path = folder.join(file_name(id, mail));
                let bytes = message.formatted();
                let written = tokio::task::spawn_blocking(move || write_whole(&path, &bytes)).await;
                let written = written.unwrap_or_else(|error| Err(std::io::Error::other(error)));
                written.map_err(|error| Failure::passing(format!("the mail file could not be written: {error}")))
            }
        }
    }

    /// Closes what is kept open between mails. To be called when there is nothing to send for now.
    pub async fn close(&self) {
        if let Way::Smtp(smtp) = &self.way {
            smtp.close().await;
        }
    }

    fn compose(&self, id: &str, mail: &Mail) -> std::result::Result<Message, Failure> {
        let to: Address =
            mail.to.as_str().parse().map_err(|_| Failure::for_good("no mail can be addressed to this address"))?;
        let Rendered { subject, text, html } =
            self.renderer.render(mail).map_err(|error| Failure::for_good(format!("the template failed: {error}")))?;
        let written_at = UNIX_EPOCH + Duration::from_secs(mail.at.as_seconds().try_into().unwrap_or(0));
        let message = Message::builder().from(self.from.clone()).to(Mailbox::new(None, to));
        // An address that cannot be written as a header is named in the text still.
        let reply_to = mail.kind.reply_to().and_then(|address| address.as_str().parse().ok());
        match reply_to {
            Some(address) => message.reply_to(Mailbox::new(None, address)),
            None => message,
        }
        .subject(subject)
        .date(written_at)
        .message_id(Some(format!("<{}@{}>", plain(id), self.from.email.domain())))
        .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()))
        .multipart(MultiPart::alternative_plain_html(text, html))
        .map_err(|error| Failure::for_good(format!("the mail could not be put together: {error}")))
    }
}

impl Failure {
    fn passing(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_permanent: false }
    }

    fn for_good(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_permanent: true }
    }

    fn of_smtp(failure: &SmtpFailure, mail: &Mail) -> Self {
        match failure {
            SmtpFailure::Connect(error) => Self::passing(without_address(&error.to_string(), mail)),
            SmtpFailure::Send(error) => {
                Self { reason: without_address(&error.to_string(), mail), is_permanent: error.is_permanent() }
            }
            SmtpFailure::TimedOut => Self::passing("the mail server did not answer in time"),
        }
    }
}

/// `20250901T123456.789012Z-<id>.eml`: in order of time, and the same for the same mail.
fn file_name(id: &str, mail: &Mail) -> String {
    let at = jiff::Timestamp::from_microsecond(mail.at.as_micros()).unwrap_or(jiff::Timestamp::MIN);
    format!("{}-{}.eml", at.strftime("%Y%m%dT%H%M%S.%6fZ"), plain(id))
}

/// An id with nothing in it that a file name or a header could stumble over.
fn plain(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}

/// Writes a file that a reader sees whole or not at all, and that is on the disk when this returns.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let unfinished = path.with_extension("tmp");
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    std::fs::File::open(folder)?.sync_all()
}

/// What a mail server said, on one line, with the words that name the recipient left out: it is kept and logged.
fn without_address(text: &str, mail: &Mail) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let said: Vec<&str> =
        words.map(|word| if word.contains('@') || word == mail.to.local_part() { "..." } else { word }).collect();
    said.join(" ").chars().take(REASON_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use mail_parser::MessageParser;

    use super::*;
    use crate::config::SmtpTls;
    use crate::domain::email::EmailAddress;
    use crate::domain::mail::MailKind;
    use crate::domain::time::Timestamp;

    fn config(change: impl FnOnce(&mut Config)) -> Config {
        let mut config: Config = toml::from_str(include_str!("../../config.toml")).unwrap();
        config.server.public_url = "https://doorward.example".into();
        config.email.from = "Doorward <no-reply@doorward.example>".into();
        change(&mut config);
        config
    }

    fn mail(to: &str) -> Mail {
        let link = Some("https://doorward.example/v/abc".into());
        let kind = MailKind::VerifyEmail { link, code: Some("081804".into()) };
        let at = Timestamp::from_micros(1_756_730_096_789_012);
        Mail { to: EmailAddress::parse(to).unwrap(), name: "Ada Lovelace".into(), kind, at }
    }

    #[tokio::test]
    async fn a_mail_becomes_one_whole_file() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(|config| {
            config.email.transport = MailTransport::File;
            config.server.data_dir = folder.path().to_owned();
        });
        let transport = Transport::from_config(&config).unwrap();
        for _ in 0..2 {
            transport.send("0199-7", &mail("ada@example.com")).await.unwrap();
        }
        let names: Vec<String> = std::fs::read_dir(folder.path().join("outbox"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(names, ["20250901T123456.789012Z-0199-7.eml"], "sent twice, kept once");

        let bytes = std::fs::read(folder.path().join("outbox").join(&names[0])).unwrap();
        let parsed = MessageParser::default().parse(&bytes).unwrap();
        assert_eq!(parsed.subject(), Some("Verify your email address"));
        assert_eq!(parsed.to().unwrap().first().unwrap().address(), Some("ada@example.com"));
        assert_eq!(parsed.from().unwrap().first().unwrap().name(), Some("Doorward"));
        assert_eq!(parsed.message_id(), Some("0199-7@doorward.example"));
        assert_eq!(parsed.date().unwrap().to_rfc3339(), "2025-09-01T12:34:56Z");
        assert!(parsed.body_text(0).unwrap().contains("https://doorward.example/v/abc"));
        assert!(parsed.body_html(0).unwrap().contains("081804"));
    }

    /// A mail server for one connection: answers each command with the given line, and returns what it was told.
    fn mail_server(answer: impl Fn(&str) -> String + Send + 'static) -> (u16, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let told = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut out = stream.try_clone().unwrap();
            let mut told = String::new();
            let mut in_data = false;
            write!(out, "220 ready\r\n").unwrap();
            for line in BufReader::new(stream).lines() {
                let Ok(line) = line else { break };
                told.push_str(&line);
                told.push('\n');
                in_data = if in_data { line != "." } else { line == "DATA" };
                if in_data && line == "DATA" {
                    write!(out, "354 go on\r\n").unwrap();
                } else if !in_data {
                    write!(out, "{}\r\n", answer(&line)).unwrap();
                }
            }
            told
        });
        (port, told)
    }

    fn smtp_config(port: u16) -> Config {
        config(|config| {
            config.email.transport = MailTransport::Smtp;
            config.email.smtp.host = "127.0.0.1".into();
            config.email.smtp.port = port;
            config.email.smtp.tls = SmtpTls::None;
        })
    }

    #[tokio::test]
    async fn smtp_hands_over_envelope_and_message() {
        let (port, told) = mail_server(|_| "250 fine".into());
        let transport = Transport::from_config(&smtp_config(port)).unwrap();
        transport.send("0199-7", &mail("ada@example.com")).await.unwrap();
        transport.send("0199-8", &mail("bob@example.com")).await.unwrap();
        transport.close().await;
        let told = told.join().unwrap();
        assert!(told.contains("MAIL FROM:<no-reply@doorward.example>"), "{told}");
        assert!(told.contains("RCPT TO:<ada@example.com>") && told.contains("RCPT TO:<bob@example.com>"), "{told}");
        assert!(told.contains("Message-ID: <0199-7@doorward.example>"), "{told}");
        assert_eq!(told.matches("EHLO").count(), 1, "the connection is used again: {told}");
    }

    #[tokio::test]
    async fn a_refusal_tells_no_address_and_whether_it_is_final() {
        for (code, is_permanent) in [("450", false), ("550", true)] {
            let (port, _told) = mail_server(move |line| {
                let refusal = format!("{code} <ada@example.com> mailbox ada unavailable");
                if line.starts_with("RCPT") { refusal } else { "250 fine".into() }
            });
            let failure = Transport::from_config(&smtp_config(port))
                .unwrap()
                .send("1", &mail("ada@example.com"))
                .await
                .unwrap_err();
            assert_eq!(failure.is_permanent, is_permanent, "{failure:?}");
            assert!(
                failure.reason.contains(code) && failure.reason.ends_with("... mailbox ... unavailable"),
                "{failure:?}"
            );
        }
    }

    #[tokio::test]
    async fn no_password_goes_over_a_connection_without_tls_when_tls_is_required() {
        let (port, told) = mail_server(|_| "250 fine".into());
        let mut config = smtp_config(port);
        config.email.smtp.tls = SmtpTls::Starttls;
        config.email.smtp.username = "doorward".into();
        config.email.smtp.password = "hunter2".into();
        let transport = Transport::from_config(&config).unwrap();
        let failure = transport.send("1", &mail("ada@example.com")).await.unwrap_err();
        assert!(!failure.is_permanent, "{failure:?}");
        drop(transport);
        let told = told.join().unwrap();
        assert!(!told.contains("AUTH") && !told.contains("MAIL"), "{told}");
    }

    /// A wrong password is the operator's mistake; the mails wait until it is put right.
    #[tokio::test]
    async fn a_refused_login_is_not_held_against_the_mail() {
        let (port, _told) = mail_server(|line| match line {
            line if line.starts_with("EHLO") => "250 AUTH PLAIN".into(),
            line if line.starts_with("AUTH") => "535 no".into(),
            _ => "250 fine".into(),
        });
        let mut config = smtp_config(port);
        config.email.smtp.username = "doorward".into();
        config.email.smtp.password = "wrong".into();
        let transport = Transport::from_config(&config).unwrap();
        let failure = transport.send("1", &mail("ada@example.com")).await.unwrap_err();
        assert!(!failure.is_permanent && failure.reason.contains("535"), "{failure:?}");
    }

    #[test]
    fn bad_settings_are_named() {
        let told =
            |change: fn(&mut Config)| Transport::from_config(&config(change)).err().map(|error| error.to_string());
        assert!(told(|config| config.email.from = "nobody".into()).unwrap().contains("email.from"));
        let smtp = told(|config| config.email.transport = MailTransport::Smtp);
        assert!(smtp.unwrap().contains("email.smtp.host"));
        let missing = told(|config| {
            config.email.transport = MailTransport::Smtp;
            config.email.smtp.host = "mail.example.com".into();
            config.email.smtp.username = "doorward".into();
            config.email.smtp.password_file = "/nonexistent/password".into();
        });
        assert!(missing.unwrap().contains("/nonexistent/password"));
        assert_eq!(told(|_| ()), None);
    }
}
