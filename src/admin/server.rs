//! The server's end of the admin socket. Takes only our own user, root, and the members of the group that the
//! configuration names; the system's word for who that is goes into the audit trail, with the claimed name beside it.

use std::convert::Infallible;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::groups::Groups;
use super::registry;
use super::{
    CONNECTIONS_MAX, HEADER_OPERATOR, HEADER_PROTOCOL, HEADER_REQUEST_ID, HEADER_VERSION, LABEL_BYTES_MAX, PROGRAM,
    PROTOCOL, REQUEST_BYTES_MAX, STATUS_FAILED, Version, check_length, mismatch_text, new_request_id, socket_path,
};
use crate::app::permission::Rights;
use crate::app::{Actor, App, Identity};
use crate::config::Config;
use crate::error::Error;

/// Time for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Rest after a failed accept: it fails when descriptors run out, and trying at once would only turn in circles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound admin socket. The socket file goes away with it.
pub struct AdminServer {
    listener: UnixListener,
    socket: SocketFile,
    service: Service,
    groups: Option<Groups>,
    /// Ends the streams of events, which would otherwise keep the server from stopping.
    stopping: watch::Sender<bool>,
}

impl AdminServer {
    /// Binds the socket where the configuration says; `groups` are those it names. An [`App`] exists only where the data
    /// directory is locked, so a socket file found there is nobody's and is removed. In a folder elsewhere it is so when
    /// nobody answers.
    pub fn bind(app: App, config: Arc<Config>, groups: Option<Groups>) -> io::Result<Self> {
        let path = socket_path(&config);
        check_length(&path)?;
        if let Some(groups) = groups {
            groups.make_dir(&config.admin.socket_dir)?;
            if std::os::unix::net::UnixStream::connect(&path).is_ok() {
                return Err(io::Error::new(
                    io::ErrorKind::AddrInUse,
                    "another server answers there (admin.socket_dir)",
                ));
            }
        }
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        let socket = SocketFile(path);
        match groups {
            Some(groups) => groups.give_socket(&socket.0)?,
            // Until this line the data directory, which is 0700, keeps others out.
            None => std::fs::set_permissions(&socket.0, Permissions::from_mode(0o600))?,
        }
        let (stopping, stopped) = watch::channel(false);
        Ok(Self { listener, socket, service: Service { app, config, stopped }, groups, stopping })
    }

    /// Serves until `shutdown` completes; then takes no more connections and answers what is under way.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send) {
        let graceful = GracefulShutdown::new();
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let (permit, stream) = tokio::select! {
                () = &mut shutdown => break,
                accepted = self.accept(&permits) => accepted,
            };
            let (service, groups, watcher) = (self.service.clone(), self.groups, graceful.watcher());
            tokio::spawn(async move {
                if let Some(peer) = admitted(&stream, groups).await {
                    let answer = service_fn(move |request| {
                        let service = service.clone();
                        async move { Ok::<_, Infallible>(service.answer(peer, request).await) }
                    });
                    let connection = http1::Builder::new()
                        .timer(TokioTimer::new())
                        .header_read_timeout(HEAD_TIMEOUT)
                        .serve_connection(TokioIo::new(stream), answer);
                    // A client that goes away early is its own affair.
                    let _ = watcher.watch(connection).await;
                }
                drop(permit);
            });
        }
        drop(self.listener);
        drop(self.socket);
        self.stopping.send_replace(true);
        graceful.shutdown().await;
    }

    /// The next connection, as soon as one more may be served.
    async fn accept(&self, permits: &Arc<Semaphore>) -> (Option<OwnedSemaphorePermit>, UnixStream) {
        // The semaphore is never closed; without a permit there would simply be no limit.
        let permit = Arc::clone(permits).acquire_owned().await.ok();
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => return (permit, stream),
                Err(error) => {
                    tracing::warn!(%error, "admin socket: cannot accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Who is at the other end, as the system says.
#[derive(Clone, Copy)]
struct Peer {
    uid: u32,
    rights: Rights,
}

/// The caller, if it may come in: once for each connection, so who leaves a group keeps what is open and no more.
async fn admitted(stream: &UnixStream, groups: Option<Groups>) -> Option<Peer> {
    let credentials = stream.peer_cred().ok()?;
    let (uid, gid) = (credentials.uid(), credentials.gid());
    if uid == 0 || uid == rustix::process::geteuid().as_raw() {
        return Some(Peer { uid, rights: Rights::Operator });
    }
    let rights = match groups {
        // The system may ask others for the groups of a user.
        Some(groups) => tokio::task::spawn_blocking(move || groups.rights(uid, gid)).await.ok().flatten(),
        None => None,
    };
    if rights.is_none() {
        tracing::warn!(uid, "admin socket: refused a caller of another user");
    }
    rights.map(|rights| Peer { uid, rights })
}

/// Removes the socket file when the server stops, so that clients look no further.
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[derive(Clone)]
struct Service {
    app: App,
    config: Arc<Config>,
    stopped: watch::Receiver<bool>,
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

impl Service {
    /// Answers one request; the deadline is that of the HTTP API.
    async fn answer(&self, peer: Peer, request: Request<Incoming>) -> Response<Body> {
        let deadline = Duration::from_millis(self.config.server.request_timeout_ms);
        // A panic is logged by its hook; the caller gets an answer, and the server goes on.
        let route = AssertUnwindSafe(self.route(peer, request)).catch_unwind();
        let answer = match tokio::time::timeout(deadline, route).await {
            Ok(Ok(Ok(answer))) => answer,
            Ok(Ok(Err(error))) => failed(&error),
            Ok(Err(_)) => failed(&Error::internal("a fault in the server; its log says more")),
            Err(_) => failed(&Error::Unavailable {
                detail: "the server took too long; look whether it was done before trying again".into(),
                retry_after_s: 1,
            }),
        };
        let (status, body) = answer;
        let mut response = Response::new(body);
        *response.status_mut() = status;
        response.headers_mut().insert(HEADER_PROTOCOL, PROTOCOL.into());
        response.headers_mut().insert(HEADER_VERSION, HeaderValue::from_static(PROGRAM));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    async fn route(&self, peer: Peer, request: Request<Incoming>) -> Result<(StatusCode, Body), Error> {
        let (head, body) = request.into_parts();
        check_protocol(&head.headers)?;
        match (&head.method, head.uri.path()) {
            (&Method::GET, "/hello") => Ok(whole(StatusCode::OK, b"null".to_vec())),
            (&Method::GET, "/events") => Ok((StatusCode::OK, self.events())),
            (&Method::GET, "/backup") => self.backup(actor(peer, &head.headers)),
            (&Method::POST, path) if path.starts_with("/op/") => {
                let name = path.trim_start_matches("/op/");
                let body = read(body).await?;
                let reply = registry::run(&self.app, &actor(peer, &head.headers), name, &body).await?;
                Ok(whole(StatusCode::OK, reply))
            }
            _ => Err(Error::NotFound { detail: "no such path on the admin socket".into() }),
        }
    }

    /// A backup as it is made. It ends before its trailer when something goes wrong, which whoever reads it notices.
    fn backup(&self, actor: Actor) -> Result<(StatusCode, Body), Error> {
        let running = self.app.begin_backup(actor)?;
        let pieces = stream::unfold(running.pieces, async |mut pieces| {
            let piece = pieces.recv().await?;
            Some((Ok(Frame::data(piece)), pieces))
        });
        Ok((StatusCode::OK, StreamBody::new(pieces).boxed_unsync()))
    }

    /// The numbers of new audit entries, one on a line, until the client has enough or the server stops. It ends, too,
    /// when the client is too slow to keep up: then it has to look at the present state anyway.
    fn events(&self) -> Body {
        let mut stopped = self.stopped.clone();
        let stop = async move {
            // An error means that the server is gone, which is a stop too.
            let _ = stopped.wait_for(|stopped| *stopped).await;
        };
        let lines = self.app.watch_audit().map(|number| Ok(Frame::data(Bytes::from(format!("{number}\n")))));
        StreamBody::new(lines.take_until(stop)).boxed_unsync()
    }
}

/// A body that is there as a whole.
fn whole(status: StatusCode, body: Vec<u8>) -> (StatusCode, Body) {
    (status, Full::new(Bytes::from(body)).boxed_unsync())
}

/// The answer for an error.
fn failed(error: &Error) -> (StatusCode, Body) {
    match serde_json::to_vec(error) {
        Ok(body) => whole(STATUS_FAILED, body),
        Err(_) => whole(StatusCode::INTERNAL_SERVER_ERROR, Vec::new()),
    }
}

async fn read(body: Incoming) -> Result<Bytes, Error> {
    let body = Limited::new(body, REQUEST_BYTES_MAX).collect().await.map_err(|error| {
        let too_large = error.downcast_ref::<LengthLimitError>().is_some();
        let detail =
            if too_large { "the request is larger than the admin socket takes" } else { "the request broke off" };
        Error::invalid("parse_error", detail, None)
    })?;
    Ok(body.to_bytes())
}

fn check_protocol(headers: &HeaderMap) -> Result<(), Error> {
    let theirs = Version::of(headers);
    if theirs.protocol == PROTOCOL.to_string() {
        return Ok(());
    }
    Err(Error::refused("protocol_mismatch", mismatch_text(&Version::ours(), &theirs)))
}

fn actor(Peer { uid, rights }: Peer, headers: &HeaderMap) -> Actor {
    Actor {
        identity: Identity::Operator { uid, name: label(headers, HEADER_OPERATOR).unwrap_or_default(), rights },
        address: None,
        user_agent: label(headers, http::header::USER_AGENT.as_str()),
        request_id: label(headers, HEADER_REQUEST_ID).unwrap_or_else(new_request_id),
    }
}

/// A header's text, if it is there, UTF-8 and not overlong.
fn label(headers: &HeaderMap, name: &str) -> Option<String> {
    let text = std::str::from_utf8(headers.get(name)?.as_bytes()).ok()?;
    (!text.is_empty() && text.len() <= LABEL_BYTES_MAX).then(|| text.to_owned())
}
