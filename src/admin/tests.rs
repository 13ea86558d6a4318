//! Both ends of the socket together, over a program without users.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::client::{SocketClient, is_link_lost};
use super::server::AdminServer;
use super::{Link, LinkError, Operator, REQUEST_BYTES_MAX, socket_path};
use crate::app::instance;
use crate::app::reset::UnlockTwoFactor;
use crate::app::safety::Proof;
use crate::app::views::UserRef;
use crate::config::{Config, Sources, load};
use crate::error::Error;

/// A server on a folder of its own.
struct Running {
    folder: tempfile::TempDir,
    config: Arc<Config>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = memory_config(folder.path());
        std::fs::write(socket_path(&config), "left behind by a crash").unwrap();
        let app = instance::open(Arc::clone(&config), "server").await.unwrap();
        let server = AdminServer::bind(app, Arc::clone(&config), None).unwrap();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server.serve(async {
            let _ = stopped.await;
        }));
        Self { folder, config, stop, task }
    }

    async fn client(&self) -> SocketClient {
        SocketClient::connect(&self.config, operator(), "test").await.unwrap().unwrap()
    }

    async fn stop(self) -> (tempfile::TempDir, Arc<Config>) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
        (self.folder, self.config)
    }
}

fn memory_config(data_dir: &Path) -> Arc<Config> {
    let environment = vec![("DOORWARD__STORE__ENGINE".to_owned(), "memory".to_owned())];
    let sources = Sources { environment, data_dir: Some(data_dir.to_owned()), ..Sources::default() };
    Arc::new(load(&sources).unwrap().config)
}

fn operator() -> Operator {
    Operator { uid: 1, name: "ada".to_owned() }
}

fn unlock() -> UnlockTwoFactor {
    UnlockTwoFactor { user: UserRef("nobody@example.com".to_owned()), proof: Proof::of("typed wrong codes") }
}

#[tokio::test]
async fn the_socket_is_ours_alone_and_goes_away_with_the_server() {
    let running = Running::start().await;
    let path = socket_path(&running.config);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(Link::connect(&running.config, operator(), "test").await.unwrap().is_live());
    let (_folder, _) = running.stop().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn what_the_server_refuses_arrives_as_the_same_error() {
    let running = Running::start().await;
    let client = running.client().await;
    let not_found = client.exchange(Method::POST, "/op/drop_everything", Bytes::new(), "1").await.unwrap_err();
    assert_eq!(not_found, Error::NotFound { detail: "no operation is called \"drop_everything\"".into() });
    let malformed = client.exchange(Method::POST, "/op/create_user", Bytes::from_static(b"{\"email\": 1}"), "2").await;
    assert_eq!(malformed.unwrap_err(), Error::invalid("parse_error", "not a valid create_user", None));
    let too_large =
        client.exchange(Method::POST, "/op/create_user", vec![b' '; REQUEST_BYTES_MAX + 1].into(), "3").await;
    let detail = "the request is larger than the admin socket takes";
    assert_eq!(too_large.unwrap_err(), Error::invalid("parse_error", detail, None));
    let elsewhere = client.exchange(Method::GET, "/op/create_user", Bytes::new(), "4").await.unwrap_err();
    assert_eq!(elsewhere.code(), "not_found");
}

#[tokio::test]
async fn another_version_of_the_protocol_is_named() {
    let running = Running::start().await;
    let mut stream = UnixStream::connect(socket_path(&running.config)).await.unwrap();
    let request = "GET /hello HTTP/1.1\r\nhost: x\r\ndoorward-protocol: 999\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("doorward-protocol: 1\r\n"), "{answer}");
    assert!(
        answer.contains("protocol_mismatch") && answer.contains("doorward unknown and speaks version 999"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_lost_server_is_told_from_a_busy_one() {
    let running = Running::start().await;
    let client = running.client().await;
    let (folder, config) = running.stop().await;
    let error = Link::Live(client).call(unlock()).await.unwrap_err();
    assert!(is_link_lost(&error), "{error:?}");
    assert!(!is_link_lost(&Error::Unavailable { detail: "The server is busy.".into(), retry_after_s: 1 }));
    let no_server = LinkError::NoServer { data_dir: folder.path().to_owned() };
    let link = Link::connect_live_only(&config, operator(), "test").await;
    assert_eq!(link.err(), Some(no_server.clone()));
    // What is kept in memory went with the server.
    assert_eq!(Link::connect(&config, operator(), "test").await.err(), Some(no_server));
}

#[tokio::test]
async fn a_stream_of_events_does_not_keep_the_server_from_stopping() {
    let running = Running::start().await;
    let mut events = running.client().await.events().await.unwrap();
    let _folder = running.stop().await;
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn a_store_that_is_not_there_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("typo");
    let sources = Sources { data_dir: Some(data_dir.clone()), ..Sources::default() };
    let config = Arc::new(load(&sources).unwrap().config);
    let link = Link::connect(&config, operator(), "test").await;
    assert_eq!(link.err(), Some(LinkError::NoStore { data_dir: data_dir.clone() }));
    assert!(!data_dir.exists());
}

#[tokio::test]
async fn a_place_that_can_hold_no_socket_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("a".repeat(120));
    let refused = Link::connect(&memory_config(&deep), operator(), "test").await.err().unwrap().to_string();
    assert!(refused.contains("choose a shorter server.data_dir") && !refused.contains("root"), "{refused}");
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let Err(LinkError::NoServer { .. }) = Link::connect(&memory_config(&file), operator(), "test").await else {
        panic!("a file is no data directory");
    };
}

#[test]
fn an_operators_name_is_one_short_line() {
    let name = |claimed| Operator::present(Some(claimed)).name;
    assert_eq!(name(" ada\u{1b}[31m\n "), "ada[31m");
    assert_eq!(name(&"\u{e9}".repeat(200)), "\u{e9}".repeat(64));
}
