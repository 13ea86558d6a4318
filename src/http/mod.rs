//! The HTTP door: listening, limits of connections, and stopping. Requests are translated into operations of
//! [`crate::app`] and their outcome into answers; nothing is decided here.
//!
//! `service` takes one request through its checks, `router` is the table of paths, `reply` renders outcomes; there is
//! one file for each resource. `tls` is the encryption, where it is not left to a proxy in front.

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
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use crate::app::App;
use crate::config::Config;
use connection::Connector;
pub use door::Door;
use per_address::PerAddress;
use service::Service;
use tls::Acceptor;

/// A pause after a failed accept: out of file descriptors, most likely, and trying at once would only burn the core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A server that holds its port and does not answer yet.
pub struct HttpServer<D = App> {
    listener: TcpListener,
    service: Arc<Service<D>>,
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
        let connector = Arc::new(Connector::new(self.request_timeout));
        let permits = Arc::new(Semaphore::new(self.max_connections));
        let places = PerAddress::new(self.max_connections_per_address, self.service.site.proxies.clone());
        let graceful = GracefulShutdown::new();
        let mut tasks = JoinSet::new();
        let (going, stopped) = watch::channel(());
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                Some(_) = tasks.join_next() => {}
                (permit, stream, peer) = accept(&self.listener, &permits) => {
                    let Some(place) = places.take(peer.ip()) else {
                        tracing::debug!(%peer, "an address with too many connections got no further one");
                        continue;
                    };
                    // Answers are small; waiting to fill a packet only delays them.
                    let _ = stream.set_nodelay(true);
                    let (connector, service) = (Arc::clone(&connector), Arc::clone(&self.service));
                    let (tls, mut stopped) = (self.tls.clone(), stopped.clone());
                    let watched = graceful.watcher();
                    tasks.spawn(async move {
                        let stream = tokio::select! {
                            stream = tls::secure(tls, stream, peer.ip()) => stream,
                            // Nothing is asked yet, so nothing is waited for.
                            _ = stopped.changed() => None,
                        };
                        if let Some(stream) = stream {
                            connector.connect(stream, peer.ip(), service).run(watched).await;
                        }
                        drop((place, permit));
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
