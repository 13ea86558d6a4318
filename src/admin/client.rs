//! The caller's end of the admin socket. A connection for each request: on a Unix socket that costs microseconds, and
//! there is never a stale one, so a restarted server is simply found again.

use std::future::ready;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::{
    ANSWER_BYTES_MAX, HEADER_OPERATOR, HEADER_PROTOCOL, HEADER_REQUEST_ID, HEADER_VERSION, Operator, PROGRAM, PROTOCOL,
    Version, check_length, clean_label, mismatch_text, new_request_id, socket_path,
};
use crate::app::AnyOperation;
use crate::config::Config;
use crate::error::{Error, Result};

/// The server has its own, shorter deadline; this one only ends waiting for a server that hangs.
const DEADLINE: Duration = Duration::from_mins(2);

/// The request never reached the server.
pub const NOT_REACHED: &str = "the server cannot be reached; nothing was changed";
/// The request went out and no answer came back.
pub const ANSWER_LOST: &str =
    "the connection to the server broke before its answer; look whether it was done before trying again";

/// Whether the connection failed, rather than the operation.
#[must_use]
pub fn is_link_lost(error: &Error) -> bool {
    matches!(error, Error::Unavailable { detail, .. } if detail == NOT_REACHED || detail == ANSWER_LOST)
}

/// Calls operations in the running server.
#[derive(Clone, Debug)]
pub struct SocketClient {
    path: PathBuf,
    operator: Operator,
    role: String,
}

impl SocketClient {
    /// Connects and compares versions. The inner `None` means that no server listens there.
    ///
    /// `role` names the program's part (`console`, `command line`) to the audit trail.
    pub async fn connect(config: &Config, operator: Operator, role: &str) -> io::Result<Option<Self>> {
        let client = Self { path: socket_path(config), operator, role: role.to_owned() };
        check_length(&client.path)?;
        match UnixStream::connect(&client.path).await {
            Ok(_) => Ok(Some(client)),
            Err(error) if is_nobody(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks the server which version it is, to learn whether both speak the same protocol.
    pub async fn greet(&self) -> Result<Version> {
        let greeting = async {
            let answer = self.send(Method::GET, "/hello", Bytes::new(), &new_request_id()).await?;
            Ok(Version::of(answer.headers()))
        };
        tokio::time::timeout(DEADLINE, greeting).await.unwrap_or_else(|_| Err(lost(ANSWER_LOST)))
    }

    /// Runs an operation in the server, under this id; see [`Link::call_as`](super::Link::call_as). The reply is JSON.
    pub async fn call_as(&self, request_id: &str, operation: Box<dyn AnyOperation>) -> Result<Bytes> {
        let (path, body) = (format!("/op/{}", operation.name()), operation.encode()?);
        self.exchange(Method::POST, &path, body.into(), request_id).await
    }

    /// The numbers of audit entries as they are written, from now on. The stream ends when the server stops or finds
    /// this reader too slow; what happened meanwhile has to be looked up.
    pub async fn events(&self) -> Result<BoxStream<'static, u64>> {
        let stream = UnixStream::connect(&self.path).await.map_err(|_| lost(NOT_REACHED))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|_| lost(NOT_REACHED))?;
        // Ends with the stream: the body is gone then, and so is the sender.
        tokio::spawn(connection);
        let request = self.request(Method::GET, "/events", Bytes::new(), &new_request_id())?;
        let response = sender.send_request(request).await.map_err(|_| lost(ANSWER_LOST))?;
        if response.status() != StatusCode::OK {
            return Err(read(response).await.err().unwrap_or_else(|| lost(ANSWER_LOST)));
        }
        let chunks = response.into_body().into_data_stream().take_while(|chunk| ready(chunk.is_ok()));
        let numbers = chunks.scan(String::new(), |rest, chunk| ready(Some(numbers(rest, &chunk.unwrap_or_default()))));
        Ok(numbers.flat_map(stream::iter).boxed())
    }

    /// A backup, piece by piece.
    pub async fn backup(&self) -> Result<mpsc::Receiver<Bytes>> {
        let id = new_request_id();
        let begun = self.send(Method::GET, "/backup", Bytes::new(), &id);
        let response = tokio::time::timeout(DEADLINE, begun).await.unwrap_or_else(|_| Err(lost(ANSWER_LOST)))?;
        if response.status() != StatusCode::OK {
            return Err(read(response).await.err().unwrap_or_else(|| lost(ANSWER_LOST)));
        }
        let (to, pieces) = mpsc::channel(1);
        let mut chunks = response.into_body().into_data_stream();
        tokio::spawn(async move {
            while let Some(Ok(chunk)) = chunks.next().await {
                if to.send(chunk).await.is_err() {
                    break;
                }
            }
        });
        Ok(pieces)
    }

    pub(super) async fn exchange(&self, method: Method, path: &str, body: Bytes, request_id: &str) -> Result<Bytes> {
        let exchange = async { read(self.send(method, path, body, request_id).await?).await };
        tokio::time::timeout(DEADLINE, exchange).await.unwrap_or_else(|_| Err(lost(ANSWER_LOST)))
    }

    /// Sends a request; the answer's body is yet to come.
    async fn send(&self, method: Method, path: &str, body: Bytes, request_id: &str) -> Result<Response<Incoming>> {
        let stream = UnixStream::connect(&self.path).await.map_err(|_| lost(NOT_REACHED))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|_| lost(NOT_REACHED))?;
        let request = self.request(method, path, body, request_id)?;
        // Ends by itself when sender and answer are gone.
        tokio::spawn(connection);
        sender.send_request(request).await.map_err(|_| lost(ANSWER_LOST))
    }

    fn request(&self, method: Method, path: &str, body: Bytes, request_id: &str) -> Result<Request<Full<Bytes>>> {
        Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "doorward")
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, header_text(&self.role))
            .header(HEADER_PROTOCOL, PROTOCOL)
            .header(HEADER_OPERATOR, header_text(&self.operator.name))
            .header(HEADER_VERSION, PROGRAM)
            .header(HEADER_REQUEST_ID, header_text(request_id))
            .body(Full::new(body))
            .map_err(|error| Error::internal(error.to_string()))
    }
}

/// The numbers of the lines that `chunk` completes; `rest` keeps the beginning of the next.
fn numbers(rest: &mut String, chunk: &[u8]) -> Vec<u64> {
    rest.push_str(&String::from_utf8_lossy(chunk));
    let Some((whole, begun)) = rest.rsplit_once('\n') else { return Vec::new() };
    let numbers = whole.lines().filter_map(|line| line.parse().ok()).collect();
    *rest = begun.to_owned();
    numbers
}

/// Text as a header's value, without what a header cannot hold.
fn header_text(text: &str) -> HeaderValue {
    HeaderValue::from_bytes(clean_label(text).as_bytes()).unwrap_or(HeaderValue::from_static(""))
}

async fn read(response: Response<Incoming>) -> Result<Bytes> {
    let (head, body) = response.into_parts();
    let theirs = Version::of(&head.headers);
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|_| lost(ANSWER_LOST))?.to_bytes();
    if theirs.protocol != PROTOCOL.to_string() {
        return Err(Error::refused("protocol_mismatch", mismatch_text(&theirs, &Version::ours())));
    }
    if head.status == StatusCode::OK {
        return Ok(body);
    }
    Err(serde_json::from_slice(&body)
        .unwrap_or_else(|_| Error::internal(format!("the server answered {} on the admin socket", head.status))))
}

fn lost(detail: &'static str) -> Error {
    Error::Unavailable { detail: detail.into(), retry_after_s: 1 }
}

/// Whether the error means that no server is there, rather than that it cannot be reached.
fn is_nobody(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | ConnectionRefused)
}
