//! One connection: HTTP/1.1 or HTTP/2 with limits on heads, streams and silence.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::Watcher;
use tokio::io::{AsyncRead, AsyncWrite};

use super::door::Door;
use super::service::Service;

/// Headers of a request.
const HEADERS_MAX: usize = 100;
/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 64;
/// Streams that a client opened and took back at once, before the connection is closed (rapid reset).
const RESET_STREAMS_MAX: usize = 20;
/// Time for a request's head, and for a client to say anything at all.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// How often an HTTP/2 client is asked whether it is still there, and how long it has to answer.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Silence after which a connection is given up, also one whose client does not take its answer.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// What carries a connection: TCP, or TLS over it.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Makes connections, all with the same limits.
pub struct Connector {
    builder: auto::Builder<TokioExecutor>,
    head_timeout: Duration,
    idle_timeout: Duration,
}

impl Connector {
    /// A head may not take longer than a whole request may, and nobody is silent for longer than two and a half.
    #[must_use]
    pub fn new(request_timeout: Duration) -> Self {
        let head_timeout = HEAD_TIMEOUT.min(request_timeout);
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(head_timeout)
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            // Answers are small: copying a body behind its head is cheaper than sending two pieces.
            .writev(false)
            .keep_alive(true)
            // A client may close its side and still wait for the answer.
            .half_close(true);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_pending_accept_reset_streams(RESET_STREAMS_MAX)
            .max_local_error_reset_streams(RESET_STREAMS_MAX)
            .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT);
        Self { builder, head_timeout, idle_timeout: IDLE_TIMEOUT.min(request_timeout * 5 / 2) }
    }

    /// Takes over an accepted connection.
    pub fn connect<D: Door>(&self, stream: Box<dyn Stream>, peer: IpAddr, service: Arc<Service<D>>) -> Connection<D> {
        let (head_timeout, idle_timeout) = (self.head_timeout, self.idle_timeout);
        Connection { builder: self.builder.clone(), head_timeout, idle_timeout, stream, peer, service }
    }
}

/// An accepted connection that is not served yet.
pub struct Connection<D> {
    builder: auto::Builder<TokioExecutor>,
    head_timeout: Duration,
    idle_timeout: Duration,
    /// Behind a pointer, so that hyper is compiled once for both.
    stream: Box<dyn Stream>,
    peer: IpAddr,
    service: Arc<Service<D>>,
}

impl<D: Door> Connection<D> {
    /// Serves it to its end: the client's, silence, or the stop that `watcher` tells of.
    pub async fn run(self, watcher: Watcher) {
        let Self { builder, head_timeout, idle_timeout, stream, peer, service } = self;
        let activity = Arc::new(Activity::default());
        let outer = Arc::clone(&activity);
        let answer = service_fn(move |request: Request<Incoming>| {
            let service = Arc::clone(&service);
            let busy = Busy::start(&activity);
            async move {
                let response = service.answer(request, peer).await;
                drop(busy);
                Ok::<_, Infallible>(response)
            }
        });
        let connection = builder.serve_connection(TokioIo::new(stream), answer).into_owned();
        tokio::select! {
            outcome = watcher.watch(connection) => {
                if let Err(error) = outcome {
                    tracing::debug!(%peer, %error, "a connection broke");
                }
            }
            () = outer.silence(head_timeout, idle_timeout) => tracing::debug!(%peer, "a silent connection was closed"),
        }
    }
}

/// Requests begun and ended on a connection.
#[derive(Default)]
struct Activity {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Activity {
    /// Ends when nothing was asked for a while and nothing is in the works. hyper itself would wait for ever for the
    /// first byte, for an idle HTTP/2 client, and for one that does not read.
    async fn silence(&self, head_timeout: Duration, idle_timeout: Duration) {
        tokio::time::sleep(head_timeout).await;
        if self.begun.load(Ordering::Relaxed) == 0 {
            return;
        }
        loop {
            let seen = self.begun.load(Ordering::Relaxed);
            tokio::time::sleep(idle_timeout).await;
            let (ended, begun) = (self.ended.load(Ordering::Relaxed), self.begun.load(Ordering::Relaxed));
            if begun == seen && begun == ended {
                return;
            }
        }
    }
}

/// A request in the works; ends when dropped, also when the client went away in the middle.
struct Busy(Arc<Activity>);

impl Busy {
    fn start(activity: &Arc<Activity>) -> Self {
        activity.begun.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(activity))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}
