//! The PROXY protocol, versions 1 and 2: a proxy that only passes bytes on says in front of them whose they are. Read where
//! `server.proxy_protocol` says so, before TLS, from trusted proxies alone, and from those always: nothing is guessed.
//!
//! What else such a header says, of TLS at the proxy for example, is not looked at.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proxy_header::{Error, ParseConfig, ProxyHeader};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::client::TrustedProxies;

/// Time for a header; proxies send it at once.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a header: one of version 1 has 107 at most, one of version 2 with a few additions some hundred.
const HEADER_BYTES_MAX: usize = 1024;

/// Finds out who is at the other end of connections.
pub struct ProxyProtocol {
    proxies: TrustedProxies,
    timeout: Duration,
    /// Connections that were closed for their header.
    refused: AtomicU64,
}

impl ProxyProtocol {
    /// A header may not take longer than a whole request may.
    #[must_use]
    pub fn new(proxies: TrustedProxies, request_timeout: Duration) -> Self {
        Self { proxies, timeout: HEADER_TIMEOUT.min(request_timeout), refused: AtomicU64::new(0) }
    }

    /// The client's address: what the header says that a trusted proxy begins with, and which is taken off the stream;
    /// that of `peer` for everybody else. `None` where a trusted proxy sends no header, or not in time.
    pub async fn client(&self, stream: &mut TcpStream, peer: IpAddr) -> Option<IpAddr> {
        if !self.proxies.trusts(peer.to_canonical()) {
            return Some(peer);
        }
        let header = tokio::time::timeout(self.timeout, read(stream)).await.map_err(io::Error::from).flatten();
        match header {
            // Of connections that are the proxy's own, which looks whether the server lives, it names no client.
            Ok(source) => Some(source.map_or(peer, |source| source.ip())),
            Err(error) => {
                let refused = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
                tracing::warn!(%peer, %error, refused, "a trusted proxy began with no PROXY header; closed");
                None
            }
        }
    }
}

/// The address that a header names, and how long the header is; `None` while it is not there as a whole.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Option<SocketAddr>, usize)>, Error> {
    let config = ParseConfig { include_tlvs: false, ..ParseConfig::default() };
    match ProxyHeader::parse(bytes, config) {
        Ok((header, length)) => Ok(Some((header.proxied_address().map(|address| address.source), length))),
        Err(Error::BufferTooShort) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Takes the header off the stream, and not a byte of what follows.
async fn read(stream: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    let mut buffer = [0; HEADER_BYTES_MAX];
    let mut taken = 0;
    loop {
        let (_, free) = buffer.split_at_mut(taken);
        let seen = taken + stream.peek(free).await?;
        if seen == taken {
            // The end, of the stream or of the patience.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (seen, _) = buffer.split_at(seen);
        let header = parse(seen).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let end = header.map_or(seen.len(), |(_, length)| length);
        let (start, _) = buffer.split_at_mut(end);
        let (_, new) = start.split_at_mut(taken);
        stream.read_exact(new).await?;
        taken = end;
        if let Some((source, _)) = header {
            return Ok(source);
        }
    }
}
