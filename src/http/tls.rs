//! TLS of our own, by rustls with ring: reads the certificate and its key, again when they change, and opens connections.
//! TLS 1.3 and 1.2 with what rustls deems safe. Fetches no certificates: that is the work of an ACME client.

use std::fmt::Display;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use tokio::net::TcpStream;
use tokio::signal::unix::Signal;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{CertificateError, Error as TlsError, RootCertStore, ServerConfig};
use zeroize::Zeroizing;

use super::connection::Stream;
use crate::clock;
use crate::config::{Config, ConfigError, Tls};
use crate::domain::time::Timestamp;

/// Time for a handshake: some round trips on a bad line.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// The certificate in use, with what keeps it new.
pub struct Certificate {
    config: Arc<Config>,
    /// Asks to read the files again.
    hang_up: Signal,
    /// The files when they were last read.
    read: Marks,
    current: watch::Sender<Arc<ServerConfig>>,
}

impl Certificate {
    /// Reads certificate and key; `None` where TLS is off. What is wrong with them is said with the setting and the file.
    pub fn from_config(config: &Arc<Config>, hang_up: Signal) -> Result<Option<Self>, ConfigError> {
        if !config.server.tls.is_on() {
            return Ok(None);
        }
        // Before they are read: what changes in between is seen as a change.
        let read = Marks::of(&config.server.tls);
        let current = watch::Sender::new(read_pair(config)?);
        Ok(Some(Self { config: Arc::clone(config), hang_up, read, current }))
    }

    pub fn acceptor(&self) -> Acceptor {
        let request_timeout = Duration::from_millis(self.config.server.request_timeout_ms);
        Acceptor { current: self.current.subscribe(), timeout: HANDSHAKE_TIMEOUT.min(request_timeout) }
    }

    /// Reads the files again when they have changed, and on SIGHUP; never ends. Connections stay as they are. A pair that
    /// will not do is refused, and the old one stays.
    pub async fn renew(mut self) {
        let mut seen = self.read.clone();
        loop {
            let is_asked = tokio::select! {
                asked = self.hang_up.recv() => asked.is_some(),
                () = tokio::time::sleep(LOOK_INTERVAL) => false,
            };
            let config = Arc::clone(&self.config);
            let Ok(marks) = tokio::task::spawn_blocking(move || Marks::of(&config.server.tls)).await else { continue };
            // Who writes two files is given the time to write the second.
            let is_settled = marks == seen;
            seen = marks;
            if is_asked || (is_settled && seen != self.read) {
                self.read = seen.clone();
                self.read_again().await;
            }
        }
    }

    async fn read_again(&self) {
        let config = Arc::clone(&self.config);
        match tokio::task::spawn_blocking(move || read_pair(&config)).await {
            Ok(Ok(pair)) => {
                self.current.send_replace(pair);
                tracing::info!("the TLS certificate was read again");
            }
            Ok(Err(error)) => tracing::error!(%error, "the new TLS certificate is refused, the old one stays in use"),
            Err(error) => tracing::error!(%error, "the TLS certificate could not be read again"),
        }
    }
}

/// Opens connections with the certificate that is in use then.
#[derive(Clone)]
pub struct Acceptor {
    current: watch::Receiver<Arc<ServerConfig>>,
    timeout: Duration,
}

impl Acceptor {
    async fn accept(self, stream: TcpStream) -> io::Result<Box<dyn Stream>> {
        let config = Arc::clone(&self.current.borrow());
        let stream = tokio::time::timeout(self.timeout, TlsAcceptor::from(config).accept(stream)).await??;
        Ok(Box::new(stream))
    }
}

/// The stream to talk over: itself, or encrypted once both sides have shaken hands. `None` where that fails or takes too
/// long; who speaks plain HTTP here gets no further.
pub(super) async fn secure(tls: Option<Acceptor>, stream: TcpStream, peer: IpAddr) -> Option<Box<dyn Stream>> {
    let Some(tls) = tls else { return Some(Box::new(stream)) };
    match tls.accept(stream).await {
        Ok(stream) => Some(stream),
        Err(error) => {
            tracing::debug!(%peer, %error, "a TLS handshake failed");
            None
        }
    }
}

/// Reads certificate and key as the server does, and returns what may be a mistake. Nothing where TLS is off.
pub fn check(config: &Config) -> Result<Vec<String>, ConfigError> {
    if !config.server.tls.is_on() {
        return Ok(Vec::new());
    }
    let (chain, _) = load(&config.server.tls)?;
    Ok(doubts(config, &chain))
}

/// What the server works with; doubts go to the log.
fn read_pair(config: &Config) -> Result<Arc<ServerConfig>, ConfigError> {
    let (chain, pair) = load(&config.server.tls)?;
    for doubt in doubts(config, &chain) {
        tracing::warn!("{doubt}");
    }
    Ok(Arc::new(pair))
}

fn load(tls: &Tls) -> Result<(Vec<CertificateDer<'static>>, ServerConfig), ConfigError> {
    let (cert_file, key_file) = (tls.cert_file.display(), tls.key_path());
    let chain = CertificateDer::pem_slice_iter(&read("cert_file", &tls.cert_file)?)
        .collect::<Result<Vec<_>, _>>()
        .ok()
        .filter(|chain| !chain.is_empty());
    let chain = chain.ok_or_else(|| wrong("cert_file", format!("{cert_file} holds no certificate in PEM form")))?;
    // What the reader complains about could show a piece of the key.
    let key = PrivateKeyDer::from_pem_slice(&read("key_file", &key_file)?).map_err(|_| {
        let problem = format!("{} holds no private key in PEM form, or one with a passphrase", key_file.display());
        wrong("key_file", problem)
    })?;
    let mut pair = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain.clone(), key))
        .map_err(|error| match error {
            TlsError::InvalidCertificate(_) => wrong("cert_file", format!("{cert_file}: {error}")),
            TlsError::InconsistentKeys(_) => {
                wrong("key_file", format!("{} is not the key of the certificate in {cert_file}", key_file.display()))
            }
            _ => wrong("key_file", format!("{}: {error}", key_file.display())),
        })?;
    pair.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((chain, pair))
}

fn read(key: &str, file: &Path) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
    let bytes = std::fs::read(file);
    bytes.map(Zeroizing::new).map_err(|error| wrong(key, format!("cannot read {}: {error}", file.display())))
}

fn wrong(key: &str, problem: impl Display) -> ConfigError {
    ConfigError::in_use(format!("server.tls.{key}: {problem}"))
}

/// What clients will not like, though the server can work with it.
fn doubts(config: &Config, chain: &[CertificateDer<'_>]) -> Vec<String> {
    let Some((first, others)) = chain.split_first() else { return Vec::new() };
    let Ok(certificate) = ParsedCertificate::try_from(first) else { return Vec::new() };
    let file = config.server.tls.cert_file.display();
    let about = |problem: String| format!("server.tls.cert_file: the certificate in {file} {problem}");
    let dates = dates_doubt(&certificate, others).map(about);
    let public_url = &config.server.public_url;
    let name = if public_url.starts_with("https://") {
        name_doubt(&certificate, public_url).map(about)
    } else {
        Some("server.public_url: it does not start with https://, and links in mails lead there".to_owned())
    };
    dates.into_iter().chain(name).collect()
}

fn dates_doubt(certificate: &ParsedCertificate<'_>, others: &[CertificateDer<'_>]) -> Option<String> {
    let now = Duration::from_micros(u64::try_from(clock::now().as_micros()).unwrap_or_default());
    let now = UnixTime::since_unix_epoch(now);
    let date =
        |time: UnixTime| Timestamp::from_seconds(i64::try_from(time.as_secs()).unwrap_or(i64::MAX)).to_rfc3339_z();
    let algorithms = ring::default_provider().signature_verification_algorithms.all;
    // Without authorities to trust it never verifies; its dates are looked at before.
    let verified =
        verify_server_cert_signed_by_trust_anchor(certificate, &RootCertStore::empty(), others, now, algorithms);
    match verified {
        Err(TlsError::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            Some(format!("expired at {}", date(not_after)))
        }
        Err(TlsError::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. })) => {
            Some(format!("is valid from {} on", date(not_before)))
        }
        _ => None,
    }
}

fn name_doubt(certificate: &ParsedCertificate<'_>, public_url: &str) -> Option<String> {
    let uri: Uri = public_url.parse().ok()?;
    let host = uri.host()?.trim_matches(['[', ']']);
    let name = ServerName::try_from(host).ok()?;
    let is_for_others = verify_server_name(certificate, &name).is_err();
    is_for_others.then(|| format!("is not for {host}, of server.public_url"))
}

/// What changes when a file is written, replaced, or found somewhere else; of certificate and key. Not the time of the
/// last write alone, which programs that copy like to keep.
#[derive(Clone, PartialEq, Eq)]
struct Marks([Option<(u64, u64, i64, i64)>; 2]);

impl Marks {
    fn of(tls: &Tls) -> Self {
        let mark = |path: &Path| {
            let file = std::fs::metadata(path).ok()?;
            Some((file.dev(), file.ino(), file.ctime(), file.ctime_nsec()))
        };
        Self([mark(&tls.cert_file), mark(&tls.key_path())])
    }
}
