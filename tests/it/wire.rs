//! Raw connections: for requests that no client library would send, and for many requests at one moment.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Barrier;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::harness::{Client, Request, Server};

/// A server that says nothing for so long has forgotten us.
const PATIENCE: Duration = Duration::from_mins(1);

/// A connection to the server.
pub struct Wire(TcpStream);

impl Wire {
    pub fn open(server: &Server) -> Self {
        let stream = TcpStream::connect(server.url().split_once("://").unwrap().1).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.0.write_all(bytes.as_ref())
    }

    /// No more will be sent.
    pub fn close_half(&self) {
        // A server that has closed already is not told.
        drop(self.0.shutdown(Shutdown::Write));
    }

    /// Everything that the server says until it closes the connection.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.0.read_to_end(&mut bytes) {
            // A server that closes while we still send.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            outcome => drop(outcome.unwrap()),
        }
        bytes
    }

    /// What comes next, at least one byte; empty at the end.
    pub fn some(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; 64 * 1024];
        let count = self.0.read(&mut bytes).unwrap();
        bytes.truncate(count);
        bytes
    }

    /// What comes within this time; `None` when nothing does.
    pub fn some_within(&mut self, time: Duration) -> Option<Vec<u8>> {
        self.0.set_read_timeout(Some(time)).unwrap();
        let mut bytes = vec![0; 64 * 1024];
        let outcome = self.0.read(&mut bytes);
        self.0.set_read_timeout(Some(PATIENCE)).unwrap();
        match outcome {
            Ok(count) => {
                bytes.truncate(count);
                Some(bytes)
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => None,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Some(Vec::new()),
            Err(error) => panic!("{error}"),
        }
    }
}

/// An answer as it came over the wire.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    /// Parses an answer that ends with the connection. `None` for a connection that was closed without one.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return None;
        }
        // A packed file is no text, and nobody looks into it here.
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no end of the head: {text:?}"));
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("no header: {line:?}"));
            headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        Some(Self { status, headers, text: body.to_owned() })
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Sends these bytes on a connection of their own.
pub fn ask(server: &Server, bytes: &[u8]) -> Option<Answer> {
    let mut wire = Wire::open(server);
    // A server that refuses a large request may close before it has taken all of it.
    drop(wire.send(bytes));
    Answer::parse(&wire.rest())
}

/// Sends every request up to its last byte, and then all the last bytes at once. The clients keep the cookies that they
/// get.
pub fn all_at_once(server: &Server, requests: Vec<(Client, Request)>) -> Vec<Answer> {
    let barrier = Barrier::new(requests.len());
    std::thread::scope(|scope| {
        let threads: Vec<_> = requests
            .into_iter()
            .map(|(client, request)| {
                let barrier = &barrier;
                scope.spawn(move || {
                    let bytes = request.into_bytes();
                    let (last, first) = bytes.split_last().unwrap();
                    let mut wire = Wire::open(server);
                    wire.send(first).unwrap();
                    barrier.wait();
                    wire.send([*last]).unwrap();
                    let answer = Answer::parse(&wire.rest()).expect("an answer");
                    client.keep_cookies(&answer.headers);
                    answer
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}
