//! Talking to the mail server: connections of lettre, kept open between the mails of one burst.
//!
//! lettre's own pool is not used: it has no limit on the wait for an answer, and it takes a connection back whose
//! transaction was cut off in the middle, so that the next mail would read the answer meant for the last one.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lettre::Message;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use tokio::time::timeout;

use crate::config::{Smtp as Settings, SmtpTls};
use crate::domain::secret::Secret;
use crate::error::{Error, Result};

/// Longest wait for a connection that takes mail: TCP, TLS, greeting and login.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest wait for a mail to be taken over. Servers that check content are slow (RFC 5321 §4.5.3.2.6 allows more).
const SEND_TIMEOUT: Duration = Duration::from_mins(1);
/// Longest wait for the signs of life and the farewell of an open connection.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// A mail server, as configured.
pub struct Smtp {
    host: String,
    port: u16,
    tls: Tls,
    credentials: Option<Credentials>,
    hello: ClientId,
    open: Mutex<Vec<AsyncSmtpConnection>>,
}

enum Tls {
    /// Refuses to go on without: neither the password nor a mail travels in clear.
    Starttls(TlsParameters),
    Implicit(TlsParameters),
    None,
}

/// How a mail failed.
#[derive(Debug)]
pub enum SmtpFailure {
    /// No connection that takes mail. Says nothing about this mail, not even when the login was refused.
    Connect(SmtpError),
    /// The server refused this mail.
    Send(SmtpError),
    /// No answer in time.
    TimedOut,
}

impl Smtp {
    /// Checks the settings and reads the password file; connects to nothing.
    pub fn from_settings(settings: &Settings) -> Result<Self> {
        if settings.host.is_empty() {
            return Err(Error::internal("email.smtp.host is empty; name the mail server or change email.transport"));
        }
        let parameters = || {
            TlsParameters::new(settings.host.clone())
                .map_err(|error| Error::internal(format!("no TLS to email.smtp.host `{}`: {error}", settings.host)))
        };
        let tls = match settings.tls {
            SmtpTls::Starttls => Tls::Starttls(parameters()?),
            SmtpTls::Implicit => Tls::Implicit(parameters()?),
            SmtpTls::None => Tls::None,
        };
        Ok(Self {
            host: settings.host.clone(),
            port: settings.port,
            tls,
            credentials: credentials(settings)?,
            hello: ClientId::default(),
            open: Mutex::default(),
        })
    }

    /// Hands one mail over.
    pub async fn send(&self, message: &Message) -> std::result::Result<(), SmtpFailure> {
        let mut connection = match self.open_connection().await {
            Some(connection) => connection,
            None => timeout(CONNECT_TIMEOUT, self.connect())
                .await
                .map_err(|_| SmtpFailure::TimedOut)?
                .map_err(SmtpFailure::Connect)?,
        };
        let sent = timeout(SEND_TIMEOUT, connection.send(message.envelope(), &message.formatted())).await;
        // A connection whose transaction was cut off is dropped here, which closes it.
        sent.map_err(|_| SmtpFailure::TimedOut)?.map_err(SmtpFailure::Send)?;
        self.keep(connection);
        Ok(())
    }

    /// Says goodbye on the connections that are open.
    pub async fn close(&self) {
        while let Some(mut connection) = self.take() {
            // Whether the server answers makes no difference: the connection is dropped either way.
            let _farewell = timeout(CHECK_TIMEOUT, connection.quit()).await;
        }
    }

    /// A connection of before that still lives.
    async fn open_connection(&self) -> Option<AsyncSmtpConnection> {
        while let Some(mut connection) = self.take() {
            if timeout(CHECK_TIMEOUT, connection.test_connected()).await.unwrap_or(false) {
                return Some(connection);
            }
        }
        None
    }

    async fn connect(&self) -> std::result::Result<AsyncSmtpConnection, SmtpError> {
        let implicit = if let Tls::Implicit(parameters) = &self.tls { Some(parameters.clone()) } else { None };
        let server = (self.host.as_str(), self.port);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, Some(CONNECT_TIMEOUT), &self.hello, implicit, None).await?;
        if let Tls::Starttls(parameters) = &self.tls {
            connection.starttls(parameters.clone(), &self.hello).await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }

    fn take(&self) -> Option<AsyncSmtpConnection> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}

fn credentials(settings: &Settings) -> Result<Option<Credentials>> {
    if settings.username.is_empty() {
        return Ok(None);
    }
    let password = password(settings)?;
    Ok(Some(Credentials::new(settings.username.clone(), password.expose().to_owned())))
}

/// The password itself, or the first line of its file.
fn password(settings: &Settings) -> Result<Secret> {
    let path = &settings.password_file;
    if path.as_os_str().is_empty() {
        return Ok(settings.password.clone());
    }
    let text = std::fs::read_to_string(path).map_err(|error| {
        Error::internal(format!("email.smtp.password_file `{}` could not be read: {error}", path.display()))
    })?;
    Ok(Secret::from(text.lines().next().unwrap_or_default()))
}
