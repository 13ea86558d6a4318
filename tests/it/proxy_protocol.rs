//! The PROXY protocol: who is at the other end of a connection that a proxy only passes on. With TLS behind it: `tls`.

use std::time::Duration;

use crate::harness::{Builder, Server, wait_for};
use crate::wire::{Answer, Wire};

const REQUEST: &[u8] = b"GET /_health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
/// The first bytes of a header of version 2.
const MAGIC: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;

/// A server that trusts what comes from here.
fn behind_a_proxy() -> Builder {
    Server::builder().setting("server.proxy_protocol", "true").setting("server.trusted_proxies", "[\"127.0.0.1\"]")
}

fn version_1(source: &str) -> Vec<u8> {
    let (family, target) = if source.contains(':') { ("TCP6", "2001:db8::1") } else { ("TCP4", "192.0.2.1") };
    format!("PROXY {family} {source} {target} 50000 443\r\n").into_bytes()
}

fn version_2(command: u8, family: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [MAGIC, &[command, family], &length, content].concat()
}

/// The client 203.0.113.9 by TCP over IPv4, with this behind the addresses.
fn version_2_ipv4(additions: &[u8]) -> Vec<u8> {
    version_2(PROXY, 0x11, &[&[203, 0, 113, 9, 192, 0, 2, 1, 195, 80, 1, 187], additions].concat())
}

fn send(server: &Server, bytes: &[u8]) -> Option<Answer> {
    let mut wire = Wire::open(server);
    // A server that closes does not take all of it.
    drop(wire.send(bytes));
    Answer::parse(&wire.rest())
}

/// Both versions, and connections of the proxy's own, which name nobody.
#[test]
fn a_trusted_proxy_names_the_client() {
    let server = behind_a_proxy().start();
    let of_ipv6 = [&[0x20, 1, 0x0d, 0xb8][..], &[0; 11], &[9], &[0; 16], &[195, 80, 1, 187]].concat();
    // TLS at the proxy: an unknown addition of 300 bytes.
    let addition = [&[0xea, 1, 44][..], &[7; 300]].concat();
    for (header, client) in [
        (version_1("203.0.113.1"), "203.0.113.1"),
        (version_1("2001:db8::7"), "2001:db8::7"),
        (version_1("::ffff:203.0.113.2"), "203.0.113.2"),
        (version_2_ipv4(b""), "203.0.113.9"),
        (version_2(PROXY, 0x21, &of_ipv6), "2001:db8::9"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (version_2(LOCAL, 0x00, b""), "127.0.0.1"),
        (version_2(LOCAL, 0x11, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9]), "127.0.0.1"),
        (version_2_ipv4(&addition), "203.0.113.9"),
    ] {
        let before = server.log().lines().count();
        let answer = send(&server, &[&header, REQUEST].concat()).unwrap_or_else(|| panic!("{client}: no answer"));
        assert_eq!(answer.status, 200, "{client}: {answer:?}");
        let named = || server.log().lines().skip(before).any(|line| line.contains(&format!("client={client}")));
        wait_for(client, || named().then_some(()));
    }
}

/// However small the pieces are: what follows the header is left as it is.
#[test]
fn a_header_may_come_in_pieces() {
    let server = behind_a_proxy().start();
    for header in [version_1("203.0.113.1"), version_2_ipv4(&[4, 0, 2, 0, 0])] {
        let mut wire = Wire::open(&server);
        for byte in header.iter().chain(REQUEST) {
            wire.send([*byte]).unwrap();
        }
        assert_eq!(Answer::parse(&wire.rest()).unwrap().status, 200);
    }
}

/// Closed without a word, and told with their number.
#[test]
fn what_is_no_header_closes_the_connection() {
    let server = behind_a_proxy().setting("server.request_timeout_ms", "500").start();
    let endless = [MAGIC, &[PROXY, 0x11, 255, 255], &[0; 2000]].concat();
    let long_text = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200]].concat();
    let bad = [
        REQUEST,
        b"PROXY TCP4 203.0.113.300 192.0.2.1 50000 443\r\n",
        b"PROXY TCP4 203.0.113.1 192.0.2.1 50000 443 \r\n",
        b"PROXY TCP4 2001:db8::1 2001:db8::2 50000 443\r\n",
        &endless,
        &version_2(0x22, 0x11, &[0; 12]),
        &version_2(PROXY, 0x11, &[0; 4]),
        &version_2(PROXY, 0x77, &[0; 12]),
        &[22, 3, 1, 0, 200, 1, 0],
    ];
    for bytes in bad {
        let answer = send(&server, &[bytes, REQUEST].concat());
        assert!(answer.is_none(), "{bytes:?}: {answer:?}");
    }
    let unfinished = [b"".as_slice(), b"PROXY TCP4 203.0", &long_text, MAGIC];
    for bytes in unfinished {
        assert!(send(&server, bytes).is_none(), "{bytes:?}");
    }
    let mut half = Wire::open(&server);
    half.send(b"PROXY TCP4 203.0").unwrap();
    half.close_half();
    assert_eq!(half.rest(), b"");
    server.wait_for_log(&format!("refused={}", bad.len() + unfinished.len() + 1));
    assert_eq!(send(&server, &[&version_1("203.0.113.1"), REQUEST].concat()).unwrap().status, 200);
}

/// W-28: who is no trusted proxy names nobody, and needs no header. And the client that a header names is no proxy whose
/// `X-Forwarded-For` would be believed.
#[test]
fn strangers_do_not_name_the_client() {
    let elsewhere = Server::builder().setting("server.proxy_protocol", "true");
    let server = elsewhere.setting("server.trusted_proxies", "[\"192.0.2.1\"]").start();
    let answer = send(&server, &[&version_1("203.0.113.1"), REQUEST].concat());
    assert_eq!(answer.map(|answer| answer.status), Some(400));
    assert_eq!(send(&server, REQUEST).unwrap().status, 200);
    assert!(!server.log().contains("client=203.0.113.1"), "{}", server.log());

    let server = behind_a_proxy().start();
    let request = b"GET /_health HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 203.0.113.8\r\nconnection: close\r\n\r\n";
    assert_eq!(send(&server, &[&version_1("203.0.113.1"), request.as_slice()].concat()).unwrap().status, 200);
    server.wait_for_log("client=203.0.113.1");
    assert!(!server.log().contains("client=203.0.113.8"), "{}", server.log());
}

/// One client behind the proxy does not hold all connections.
#[test]
fn the_limit_of_an_address_is_the_clients() {
    let server = behind_a_proxy().setting("server.max_connections_per_address", "2").start();
    let open = |source: &str| {
        let mut wire = Wire::open(&server);
        // Whether a reset comes before all is sent is chance.
        drop(wire.send([version_1(source), b"GET /_health HTTP/1.1\r\nhost: a\r\n\r\n".to_vec()].concat()));
        let said = wire.some_within(Duration::from_secs(50)).expect("an answer, or the end");
        (!said.is_empty()).then_some(wire)
    };
    let mut held: Vec<Wire> = (0..2).map(|_| open("203.0.113.1").expect("a place")).collect();
    assert!(open("203.0.113.1").is_none());
    assert!(open("203.0.113.2").is_some());
    held.pop();
    wait_for("a place", || open("203.0.113.1"));
}
