//! The HTTP door: listening, limits of connections, and stopping. Requests are translated into operations of
//! [`crate::app`] and their outcome into answers; nothing is decided here.
//!
//! `service` takes one request through its checks, `router` is the table of paths, `reply` renders outcomes; there is
//! one file for each resource. `tls` is the encryption, where it is not left to a proxy in front,
//! and `proxy_protocol` what a proxy says about the client before it.

mod api_keys;
mod body;
mod client;
mod connection;
mod cookies;
mod cors;
mod credentials;
mod docs;
mod door;
mod email;
mod health;
mod invites;
mod login;
pub mod openapi;
mod organizations;
mod pages;
mod paging;
mod per_address;
mod preferences;
mod proxy_protocol;
mod recovery;
mod reply;
mod reset;
mod router;
mod service;
mod sessions;
mod signup;
pub mod tls;
mod two_factor;
mod users;

#[cfg(test)]
mod fake;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use crate::app::App;
use crate::config::Config;
use connection::{Connection, Connector};
pub use door::Door;
use per_address::{PerAddress, Place};
use proxy_protocol::ProxyProtocol;
use service::Service;
use tls::Acceptor;

/// A pause after a failed accept: out of file descriptors, most likely, and trying at once would only burn the core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A server that holds its port and does not answer yet.
pub struct HttpServer<D = App> {
    listener: TcpListener,
    service: Arc<Service<D>>,
    reads_proxy_protocol: bool,
    tls: Option<Acceptor>,
    max_connections: usize,
    max_connections_per_address: usize,
    request_timeout: Duration,
    shutdown_timeout: Duration,
}

/// Checks the settings of HTTP and takes the port; the address says which one when 0 was asked for. Speaks HTTPS with
/// `tls`, and plain HTTP without.
pub async fn bind<D: Door>(
    app: D,
    config: Arc<Config>,
    tls: Option<Acceptor>,
) -> io::Result<(HttpServer<D>, SocketAddr)> {
    let service = Service::new(app, &config).map_err(|reason| io::Error::new(io::ErrorKind::InvalidInput, reason))?;
    let listener = TcpListener::bind(config.server.listen).await?;
    let address = listener.local_addr()?;
    let server = HttpServer {
        listener,
        service: Arc::new(service),
        reads_proxy_protocol: config.server.proxy_protocol,
        tls,
        max_connections: config.server.max_connections,
        max_connections_per_address: config.server.max_connections_per_address,
        request_timeout: Duration::from_millis(config.server.request_timeout_ms),
        shutdown_timeout: Duration::from_millis(config.server.shutdown_timeout_ms),
    };
    Ok((server, address))
}

impl<D: Door> HttpServer<D> {
    /// Answers until `shutdown` is done; then takes no more connections and gives requests under way their time.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        let permits = Arc::new(Semaphore::new(self.max_connections));
        let entrance = Arc::new(self.entrance());
        let graceful = GracefulShutdown::new();
        let mut tasks = JoinSet::new();
        let (going, stopped) = watch::channel(());
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                Some(_) = tasks.join_next() => {}
                (permit, stream, peer) = accept(&self.listener, &permits) => {
                    // Answers are small; waiting to fill a packet only delays them.
                    let _ = stream.set_nodelay(true);
                    let (entrance, mut stopped) = (Arc::clone(&entrance), stopped.clone());
                    let watched = graceful.watcher();
                    tasks.spawn(async move {
                        let admitted = tokio::select! {
                            admitted = entrance.admit(stream, peer.ip()) => admitted,
                            // Nothing is asked yet, so nothing is waited for.
                            _ = stopped.changed() => None,
                        };
                        if let Some((connection, place)) = admitted {
                            connection.run(watched).await;
                            drop(place);
                        }
                        drop(permit);
                    });
                }
            }
        }
        drop(going);
        drop(self.listener);
        if tokio::time::timeout(self.shutdown_timeout, graceful.shutdown()).await.is_err() {
            tracing::warn!("requests were still under way at the end of shutdown_timeout_ms and are cut off");
        }
        tasks.shutdown().await;
    }

    fn entrance(&self) -> Entrance<D> {
        let proxies = &self.service.site.proxies;
        Entrance {
            proxy: self.reads_proxy_protocol.then(|| ProxyProtocol::new(proxies.clone(), self.request_timeout)),
            places: PerAddress::new(self.max_connections_per_address, proxies.clone()),
            tls: self.tls.clone(),
            connector: Connector::new(self.request_timeout),
            service: Arc::clone(&self.service),
        }
    }
}

/// What every connection passes before its first request.
struct Entrance<D> {
    proxy: Option<ProxyProtocol>,
    places: PerAddress,
    tls: Option<Acceptor>,
    connector: Connector,
    service: Arc<Service<D>>,
}

impl<D: Door> Entrance<D> {
    /// Finds out whose connection it is, looks for a place for one more of that address, and encrypts. `None` closes it.
    async fn admit(&self, mut stream: TcpStream, peer: IpAddr) -> Option<(Connection<D>, Place)> {
        let client = match &self.proxy {
            Some(proxy) => proxy.client(&mut stream, peer).await?,
            None => peer,
        };
        let Some(place) = self.places.take(client) else {
            tracing::debug!(%client, "an address with too many connections got no further one");
            return None;
        };
        let stream = tls::secure(self.tls.clone(), stream, client).await?;
        Some((self.connector.connect(stream, client, Arc::clone(&self.service)), place))
    }
}

/// The next connection, once there is room for it.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> (Option<OwnedSemaphorePermit>, TcpStream, SocketAddr) {
    // The semaphore is never closed.
    let permit = Arc::clone(permits).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (permit, stream, peer),
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
