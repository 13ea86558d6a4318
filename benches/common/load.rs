//! A load generator: keep-alive connections that each send a request as soon as the last one is answered.
//!
//! Reads no more of an answer than where it ends, so that it costs less than any server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Barrier;

use super::Row;

/// What one connection sends, in turn.
pub type Requests = Vec<Vec<u8>>;

/// A request in the form it has on the wire. `headers` are whole lines, each with its line end.
pub fn request(method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = if method == "GET" { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    format!("{method} {path} HTTP/1.1\r\nhost: bench\r\n{headers}{length}\r\n{body}").into_bytes()
}

/// The header line of an API key.
pub fn bearer(key: &str) -> String {
    format!("authorization: Bearer {key}\r\n")
}

/// What the generator does when nothing is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Sleeps until an answer comes.
    Eager,
    /// Keeps its core busy, so that the server does not pay for waking it up, which costs a slow server more than a
    /// fast one. For a generator with a core of its own.
    Spinning,
    /// Each connection waits so long after an answer.
    Pausing(Duration),
}

/// Sends on one connection for each element of `connections`, on the calling thread alone. Stops at an answer that is
/// not 200.
pub fn run(address: SocketAddr, connections: &[Requests], time: Duration, pace: Pace) -> Row {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let together = Arc::new(Barrier::new(connections.len() + 1));
        let tasks: Vec<_> = connections
            .iter()
            .map(|requests| tokio::spawn(converse(address, requests.clone(), time, pace, Arc::clone(&together))))
            .collect();
        together.wait().await;
        let start = Instant::now();
        if pace == Pace::Spinning {
            tokio::spawn(async move {
                while start.elapsed() < time {
                    tokio::task::yield_now().await;
                }
            });
        }
        let mut latencies = Vec::new();
        for task in tasks {
            latencies.extend(task.await.unwrap());
        }
        Row::new(latencies, start.elapsed())
    })
}

async fn converse(
    address: SocketAddr,
    requests: Requests,
    time: Duration,
    pace: Pace,
    together: Arc<Barrier>,
) -> Vec<f64> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut buffer = vec![0; 64 * 1024];
    let mut latencies = Vec::new();
    together.wait().await;
    let start = Instant::now();
    for request in requests.iter().cycle() {
        let before = Instant::now();
        if before - start >= time {
            break;
        }
        stream.write_all(request).await.unwrap();
        read_answer(&mut stream, &mut buffer).await;
        latencies.push(before.elapsed().as_secs_f64());
        if let Pace::Pausing(pause) = pace {
            tokio::time::sleep(pause).await;
        }
    }
    latencies
}

async fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await.unwrap();
        assert!(read > 0, "the server closed the connection");
        filled += read;
        if let Some(end) = answer_end(&buffer[..filled])
            && filled >= end
        {
            assert!(buffer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&buffer[..filled]));
            return;
        }
    }
}

/// Where an answer ends, once its head is there.
pub fn answer_end(answer: &[u8]) -> Option<usize> {
    let head_end = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    if answer.starts_with(b"HTTP/1.1 204") {
        return Some(head_end);
    }
    let name = b"content-length: ";
    let at = answer[..head_end].windows(name.len()).position(|window| window == name)? + name.len();
    let digits = answer[at..head_end].iter().take_while(|byte| byte.is_ascii_digit());
    let length = digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'));
    Some(head_end + length)
}

/// One request on a connection of its own; the whole answer as text.
pub fn exchange(address: SocketAddr, request: &[u8]) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while answer_end(&answer).is_none_or(|end| answer.len() < end) {
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "the server closed the connection");
        answer.extend_from_slice(&piece[..read]);
    }
    String::from_utf8(answer).unwrap()
}
