//! TLS of the server's own: HTTPS by both versions of HTTP, the certificate and its renewal, and clients that do not shake
//! hands as they should.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, StreamOwned, SupportedProtocolVersion,
};

use crate::harness::{Builder, Client, Person, Request, Server, wait_for};
use crate::wire::{Answer, Wire, ask};

const GET_HEALTH: &[u8] = b"GET /_health HTTP/1.1\r\nhost: localhost\r\n\r\n";
const REFUSED: &str = "the new TLS certificate is refused, the old one stays in use";

/// A certificate for `localhost` that signs itself, and its key.
struct Pair {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Pair {
    fn new() -> Self {
        Self::until(4096)
    }

    fn until(year: i32) -> Self {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        Self { certificate: params.self_signed(&key).unwrap(), key }
    }
}

/// The two files of a server.
struct Files(tempfile::TempDir);

impl Files {
    fn of(pair: &Pair) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.write_certificate(pair);
        files.write_key(pair);
        files
    }

    fn write_certificate(&self, pair: &Pair) {
        self.write("cert.pem", &pair.certificate.pem());
    }

    fn write_key(&self, pair: &Pair) {
        self.write("key.pem", &pair.key.serialize_pem());
    }

    /// As ACME clients do: the new file takes the place of the old one whole.
    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path("new"), text).unwrap();
        std::fs::rename(self.path("new"), self.path(name)).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn server(&self) -> Builder {
        Server::builder()
            .setting("server.tls.cert_file", self.path("cert.pem").to_str().unwrap())
            .setting("server.tls.key_file", self.path("key.pem").to_str().unwrap())
    }

    /// With the address that people use.
    fn https_server(&self) -> Builder {
        self.server().setting("server.public_url", "https://localhost")
    }
}

/// Who trusts this certificate and no other.
fn trusting(pair: &Pair, versions: &[&'static SupportedProtocolVersion], protocol: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(pair.certificate.der().to_vec())).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_protocol_versions(versions).unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    Arc::new(config)
}

fn host() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

fn address(server: &Server) -> String {
    server.url().strip_prefix("https://").expect("a server with TLS").to_owned()
}

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A connection for HTTP/1.1 after its handshake, unless that fails.
fn connect_by(server: &Server, pair: &Pair, version: &'static SupportedProtocolVersion) -> io::Result<Tls> {
    shake_hands(TcpStream::connect(address(server))?, pair, version)
}

fn shake_hands(mut socket: TcpStream, pair: &Pair, version: &'static SupportedProtocolVersion) -> io::Result<Tls> {
    let mut tls = ClientConnection::new(trusting(pair, &[version], "http/1.1"), host()).unwrap();
    while tls.is_handshaking() {
        tls.complete_io(&mut socket)?;
    }
    Ok(StreamOwned::new(tls, socket))
}

fn connect(server: &Server, pair: &Pair) -> io::Result<Tls> {
    connect_by(server, pair, &TLS13)
}

/// Asks once. The server says goodbye as TLS wants it, or reading to the end would fail.
fn send(server: &Server, pair: &Pair, request: Request) -> Answer {
    let mut tls = connect(server, pair).unwrap();
    tls.write_all(&request.into_bytes()).unwrap();
    let mut bytes = Vec::new();
    tls.read_to_end(&mut bytes).unwrap();
    Answer::parse(&bytes).expect("an answer")
}

/// Whether the server lives, on a connection that stays open.
fn is_healthy(tls: &mut Tls) -> bool {
    tls.write_all(GET_HEALTH).unwrap();
    let mut said = String::new();
    while !said.ends_with('}') {
        let mut bytes = [0; 4096];
        let count = tls.read(&mut bytes).unwrap();
        assert_ne!(count, 0, "closed after {said:?}");
        said.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
    }
    said.starts_with("HTTP/1.1 200 ")
}

fn login(client: &Client, person: &Person) -> Request {
    client.request("POST", "/api/login").json(person.credentials())
}

/// Logs in and reads, over HTTP/1.1.
#[test]
fn people_log_in_over_https() {
    let pair = Pair::new();
    let files = Files::of(&pair);
    let mut server = files.https_server().start();
    let (person, client) = (server.user("ada@example.com"), server.client());
    let answer = send(&server, &pair, login(&client, &person));
    assert_eq!(answer.status, 200, "{answer:?}");
    client.keep_cookies(&answer.headers);
    let me = send(&server, &pair, client.request("GET", "/api/users/@me"));
    assert_eq!(me.json()["email"], person.email, "{me:?}");
    server.stop();
}

/// The same over HTTP/2, which both sides agree on in the handshake.
#[test]
fn people_log_in_over_http_2() {
    let pair = Pair::new();
    let files = Files::of(&pair);
    let server = files.https_server().start();
    let person = server.user("ada@example.com");
    let work = async {
        let socket = tokio::net::TcpStream::connect(address(&server)).await.unwrap();
        let connector = TlsConnector::from(trusting(&pair, &[&TLS13], "h2"));
        let tls = connector.connect(host(), socket).await.unwrap();
        assert_eq!(tls.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await.unwrap();
        tokio::spawn(connection);
        let request =
            |method: &str, path: &str| http::Request::builder().method(method).uri(format!("https://localhost{path}"));
        let body = Full::new(Bytes::from(person.credentials().to_string()));
        let login = request("POST", "/api/login").header("content-type", "application/json").body(body).unwrap();
        let answer = sender.send_request(login).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, http::Version::HTTP_2));
        let cookies = answer.headers().get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap());
        let session = cookies.filter_map(|cookie| cookie.split(';').next()).find(|pair| pair.starts_with("sessionid="));
        let me = request("GET", "/api/users/@me").header("cookie", session.unwrap()).body(Full::default()).unwrap();
        let me = sender.send_request(me).await.unwrap().into_body().collect().await.unwrap().to_bytes();
        let me: serde_json::Value = serde_json::from_slice(&me).unwrap();
        assert_eq!(me["email"], person.email, "{me}");
    };
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(work);
}

#[test]
fn versions_before_tls_1_2_are_refused() {
    let pair = Pair::new();
    let files = Files::of(&pair);
    let server = files.https_server().start();
    for (version, name) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let mut tls = connect_by(&server, &pair, version).unwrap();
        assert_eq!(tls.conn.protocol_version(), Some(name));
        assert!(is_healthy(&mut tls));
    }
    // The hello of a client that knows TLS 1.1: one cipher suite of its time, and how it wants to see signatures.
    let mut hello = vec![22, 3, 1, 0, 55, 1, 0, 0, 51, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x13, 1, 0]);
    hello.extend([0, 8, 0, 13, 0, 4, 0, 2, 4, 3]);
    let mut wire = Wire::open(&server);
    wire.send(hello).unwrap();
    // A fatal alert: protocol_version.
    let said = wire.rest();
    assert!(said.ends_with(&[2, 70]), "{said:?}");
}

/// HSTS belongs to TLS of our own and an address that is a https one: a proxy has its own.
#[test]
fn hsts_is_sent_over_tls_alone() {
    let pair = Pair::new();
    let files = Files::of(&pair);
    let get = |server: &Server, path: &str| send(server, &pair, server.client().request("GET", path));
    let server = files.https_server().start();
    for path in ["/_health", "/login", "/api/users/@me", "/nowhere"] {
        let answer = get(&server, path);
        assert_eq!(answer.header("strict-transport-security"), "max-age=31536000", "{path}: {answer:?}");
    }
    let by_http = files.server().start();
    assert!(!get(&by_http, "/login").headers.contains_key("strict-transport-security"));
    let behind_a_proxy = Server::builder().setting("server.public_url", "https://localhost").start();
    assert!(!behind_a_proxy.client().get("/login").headers.contains_key("strict-transport-security"));
}

/// Spec §1.7: cookies are `Secure` over TLS, whatever the address in links.
#[test]
fn cookies_are_secure_over_tls() {
    let pair = Pair::new();
    let files = Files::of(&pair);
    let server = files.server().start();
    server.wait_for_log(&format!("{}/setup/", server.url()));
    let person = server.user("ada@example.com");
    let answer = send(&server, &pair, login(&server.client(), &person));
    let cookies: Vec<&str> =
        answer.headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap()).collect();
    assert_eq!(cookies.len(), 2, "{answer:?}");
    assert!(cookies.iter().all(|cookie| cookie.contains("; Secure;")), "{cookies:?}");
}

#[test]
fn a_new_certificate_is_taken_up_without_a_restart() {
    let (old, new) = (Pair::new(), Pair::new());
    let files = Files::of(&old);
    let server = files.https_server().start();
    let mut early = connect(&server, &old).unwrap();
    assert!(connect(&server, &new).is_err(), "somebody else's certificate was trusted");
    files.write_certificate(&new);
    files.write_key(&new);
    wait_for("the new certificate", || connect(&server, &new).ok());
    assert!(connect(&server, &old).is_err(), "the old certificate is still in use");
    assert!(is_healthy(&mut early), "a connection from before");
}

#[test]
fn a_signal_reads_the_certificate_again() {
    let files = Files::of(&Pair::new());
    let server = files.https_server().start();
    server.hang_up();
    server.wait_for_log("the TLS certificate was read again");
    let mut plain = Server::start();
    plain.hang_up();
    plain.client().get("/_health").is(200);
    plain.stop();
}

#[test]
fn a_bad_pair_is_refused_and_the_old_one_stays() {
    let (old, new) = (Pair::new(), Pair::new());
    let files = Files::of(&old);
    let server = files.https_server().start();
    files.write_certificate(&new);
    server.wait_for_log(&format!("{REFUSED} error=server.tls.key_file: "));
    assert!(is_healthy(&mut connect(&server, &old).unwrap()));
    std::fs::remove_file(files.path("cert.pem")).unwrap();
    server.hang_up();
    server.wait_for_log(&format!("{REFUSED} error=server.tls.cert_file: cannot read "));
    assert!(is_healthy(&mut connect(&server, &old).unwrap()));
    files.write_certificate(&new);
    files.write_key(&new);
    wait_for("the new certificate", || connect(&server, &new).ok());
}

#[test]
fn a_pair_that_will_not_do_is_bad_configuration() {
    let pair = Pair::new();
    let files = Files::of(&pair);
    let server = files.https_server().stopped();
    let refused = |words: &str| {
        for command in [&["config", "check"][..], &["serve"]] {
            let said = server.cli(command).is(78);
            assert!(said.err.contains(words), "{}", said.err);
        }
    };
    let checked = server.cli(&["config", "check"]).is(0);
    assert_eq!(checked.out, "ok: built-in defaults, no file\n");
    files.write_key(&Pair::new());
    refused("is not the key of the certificate in");
    files.write("key.pem", "no key");
    refused("key.pem holds no private key in PEM form");
    files.write_key(&pair);
    files.write("cert.pem", &pair.key.serialize_pem());
    refused("cert.pem holds no certificate in PEM form");
    files.write("cert.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    refused("server.tls.cert_file: ");
    std::fs::remove_file(files.path("cert.pem")).unwrap();
    refused("server.tls.cert_file: cannot read ");
}

/// What the server can work with and clients will not like.
#[test]
fn a_doubtful_certificate_is_a_warning() {
    let files = Files::of(&Pair::until(2020));
    let warnings = |builder: Builder| {
        let server = builder.stopped();
        let checked = server.cli(&["config", "check", "--json"]).json();
        let warnings: Vec<String> = serde_json::from_value(checked["warnings"].clone()).unwrap();
        let said = server.cli(&["config", "check"]).is(0).out;
        assert!(warnings.iter().all(|warning| said.contains(&format!("warning: {warning}\n"))), "{said}");
        warnings
    };
    let elsewhere = || files.server().setting("server.public_url", "https://id.example.com:8443");
    let [expired, name] = &warnings(elsewhere())[..] else { panic!("two warnings") };
    assert!(expired.ends_with("cert.pem expired at 2020-01-01T00:00:00Z"), "{expired}");
    assert!(name.ends_with("cert.pem is not for id.example.com, of server.public_url"), "{name}");
    elsewhere().start().wait_for_log("expired at 2020-01-01T00:00:00Z");
    let pair = Pair::new();
    files.write_certificate(&pair);
    files.write_key(&pair);
    let [address] = &warnings(files.server())[..] else { panic!("one warning") };
    assert!(address.starts_with("server.public_url: "), "{address}");
    assert!(warnings(files.https_server()).is_empty());
    assert!(warnings(Server::builder()).is_empty());
}

#[test]
fn plain_http_gets_no_answer_and_does_not_hang() {
    let files = Files::of(&Pair::new());
    let server = files.https_server().start();
    let mut wire = Wire::open(&server);
    wire.send(GET_HEALTH).unwrap();
    let said = wire.rest();
    assert!(said.is_empty() || said[0] == 21, "an alert at most: {said:?}");
    // And the other way round: a hello is no request.
    let plain = Server::start();
    let answer = ask(&plain, &[22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 3]);
    assert!(answer.is_none_or(|answer| answer.status == 400));
}

/// What a proxy says of the client comes before TLS. Without it there is no handshake.
#[test]
fn a_proxy_names_the_client_before_the_handshake() {
    let pair = Pair::new();
    let files = Files::of(&pair);
    let builder = files.https_server().setting("server.proxy_protocol", "true");
    let server = builder.setting("server.trusted_proxies", "[\"127.0.0.1\"]").start();
    let mut socket = TcpStream::connect(address(&server)).unwrap();
    socket.write_all(b"PROXY TCP4 203.0.113.7 192.0.2.1 50000 443\r\n").unwrap();
    assert!(is_healthy(&mut shake_hands(socket, &pair, &TLS13).unwrap()));
    server.wait_for_log("client=203.0.113.7");
    assert!(connect(&server, &pair).is_err(), "a handshake without the header");
}

/// Whoever does not shake hands in time makes room for others.
#[test]
fn slow_handshakes_are_cut_off() {
    let pair = Pair::new();
    let files = Files::of(&pair);
    let settings = [("server.request_timeout_ms", "500"), ("server.max_connections", "2")];
    let builder = settings.iter().fold(files.https_server(), |builder, (name, value)| builder.setting(name, value));
    let server = builder.start();
    let mut silent = Wire::open(&server);
    let mut half = Wire::open(&server);
    half.send([22, 3, 1, 0, 200, 1, 0]).unwrap();
    assert!(is_healthy(&mut connect(&server, &pair).unwrap()));
    assert_eq!(silent.rest(), b"");
    assert_eq!(half.rest(), b"");
}

/// Handshakes under way do not keep a server that is to stop.
#[test]
fn a_handshake_does_not_keep_the_server() {
    let pair = Pair::new();
    let files = Files::of(&pair);
    let mut server = files.https_server().setting("server.shutdown_timeout_ms", "60000").start();
    let mut silent = Wire::open(&server);
    assert!(is_healthy(&mut connect(&server, &pair).unwrap()));
    server.stop();
    assert_eq!(silent.rest(), b"");
    assert!(!server.log().contains("still under way"), "{}", server.log());
}

#[test]
fn a_flood_of_handshakes_does_not_stop_others() {
    let pair = Pair::new();
    let files = Files::of(&pair);
    let server = files.https_server().start();
    let mut steady = connect(&server, &pair).unwrap();
    let mut flood = Vec::new();
    for round in 0..300 {
        let mut wire = Wire::open(&server);
        match round % 3 {
            0 => {}
            1 => wire.send([22, 3, 1, 0, 200, 1, 0]).unwrap(),
            _ => wire.send(GET_HEALTH).unwrap(),
        }
        flood.push(wire);
        // Whole handshakes that are thrown away are what costs the server most.
        drop(connect(&server, &pair).unwrap());
        if round % 30 == 0 {
            assert!(is_healthy(&mut steady));
            assert!(is_healthy(&mut connect(&server, &pair).unwrap()));
        }
    }
}
