//! The way from the console and the command line to the operations: through the running server, or in this process
//! with the store opened. The caller need not know which.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use tokio::sync::mpsc;

use super::client::SocketClient;
use super::{PROTOCOL, Version, clean_label, new_request_id, socket_path};
use crate::app::instance::{self, OpenError};
use crate::app::permission::Rights;
use crate::app::{Actor, AnyOperation, App, Identity, Operation};
use crate::config::{Config, Engine};
use crate::error::{Error, Result};

/// How often, and after what rest, a connection is tried while another process has the store: a server that starts has
/// it some moments before its socket answers, and a command of a script has it for a moment only.
const TRIES: u32 = 5;
const TRY_PAUSE: Duration = Duration::from_millis(100);

/// Who sits at the terminal: the user id is a fact, the name what was claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    pub uid: u32,
    pub name: String,
}

impl Operator {
    /// The present user: `claimed` (`--operator`), else the login name behind sudo, else `USER`.
    #[must_use]
    pub fn present(claimed: Option<&str>) -> Self {
        let from = |variable: &str| std::env::var(variable).ok();
        let name = [claimed.map(str::to_owned), from("SUDO_USER"), from("USER"), from("LOGNAME")]
            .into_iter()
            .flatten()
            .map(|name| clean_label(&name))
            .find(|name| !name.is_empty())
            .unwrap_or_default();
        Self { uid: rustix::process::getuid().as_raw(), name }
    }
}

impl Operator {
    /// The caller of something done in this process. Who can open the store can do anything to it.
    #[must_use]
    pub fn actor(&self, role: &str, request_id: &str) -> Actor {
        Actor {
            identity: Identity::Operator { uid: self.uid, name: self.name.clone(), rights: Rights::Operator },
            address: None,
            user_agent: Some(role.to_owned()),
            request_id: clean_label(request_id),
        }
    }
}

/// A way to the operations.
#[derive(Clone)]
pub enum Link {
    /// Through the admin socket of the running server.
    Live(SocketClient),
    /// In this process; the store is ours until [`Link::close`].
    Offline(OfflineApp),
}

/// Why there is no way to the operations.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    #[error("no server is running on {}: start it with `doorward serve`", .data_dir.display())]
    NoServer { data_dir: PathBuf },
    #[error("there is no store in {}: start the server with `doorward serve`, or name the place with --data-dir", .data_dir.display())]
    NoStore { data_dir: PathBuf },
    #[error("the store in {} is in use by the {holder}, which does not answer on the admin socket: stop it, or try again", .data_dir.display())]
    Held { data_dir: PathBuf, holder: String },
    /// What we wrote there its owner could not read afterwards.
    #[error("{} belongs to user id {owner}: run this as that user, as in `sudo -u '#{owner}' doorward ...`", .data_dir.display())]
    NotOwner { data_dir: PathBuf, owner: u32 },
    #[error("cannot use the admin socket {}: {reason}", .path.display())]
    Socket { path: PathBuf, reason: String },
    /// The server is of another version.
    #[error("{}", super::mismatch_text(.theirs, .ours))]
    Version { ours: Version, theirs: Version },
    /// The server answered, and does not want to talk to us.
    #[error(transparent)]
    Refused(Error),
    #[error(transparent)]
    Open(OpenError),
}

impl Link {
    /// Tries the running server, then the store itself. Does not make a data directory that is not there.
    pub async fn connect(config: &Arc<Config>, operator: Operator, role: &str) -> Result<Self, LinkError> {
        let data_dir = &config.server.data_dir;
        let mut holder = String::new();
        for attempt in 0..TRIES {
            if attempt > 0 {
                tokio::time::sleep(TRY_PAUSE).await;
            }
            if let Some(client) = connect_socket(config, &operator, role).await? {
                return Ok(Self::Live(client));
            }
            if config.store.engine == Engine::Memory {
                return Err(LinkError::NoServer { data_dir: data_dir.clone() });
            }
            check_data_dir(data_dir)?;
            match instance::open(Arc::clone(config), role).await {
                Ok(app) => return Ok(Self::to(app, operator, role)),
                Err(OpenError::Held { holder: name }) => holder = name,
                Err(error) => return Err(LinkError::Open(error)),
            }
        }
        Err(LinkError::Held { data_dir: data_dir.clone(), holder })
    }

    /// Takes the running server only.
    pub async fn connect_live_only(config: &Arc<Config>, operator: Operator, role: &str) -> Result<Self, LinkError> {
        connect_socket(config, &operator, role)
            .await?
            .map(Self::Live)
            .ok_or_else(|| LinkError::NoServer { data_dir: config.server.data_dir.clone() })
    }

    /// Goes to a program in this process.
    #[must_use]
    pub fn to(app: App, operator: Operator, role: &str) -> Self {
        Self::Offline(OfflineApp { app, operator, role: role.to_owned() })
    }

    /// Runs an operation. A connection that fails is [`Error::Unavailable`], and
    /// [`is_link_lost`](super::client::is_link_lost) tells it from a busy server.
    pub async fn call<O: Operation>(&self, operation: O) -> Result<O::Reply> {
        self.call_as(&Self::new_request_id(), operation).await
    }

    /// The same under an id of the caller's. When the answer is lost,
    /// [`LookUpRequest`](crate::app::requests::LookUpRequest) says under this id what became of a write, and a second
    /// write under it is refused. Dropping the future takes a read back; a write goes on to its end.
    pub async fn call_as<O: Operation>(&self, request_id: &str, operation: O) -> Result<O::Reply> {
        let reply = self.call_any(request_id, Box::new(operation)).await?;
        serde_json::from_slice(&reply).map_err(|_| Error::internal(format!("the answer is no reply to {}", O::NAME)))
    }

    /// Boxed, so that the callers' own state stays small.
    fn call_any<'a>(&'a self, request_id: &'a str, operation: Box<dyn AnyOperation>) -> BoxFuture<'a, Result<Bytes>> {
        Box::pin(async move {
            match self {
                Self::Live(client) => client.call_as(request_id, operation).await,
                Self::Offline(offline) => offline.call_as(request_id, operation).await.map(Bytes::from),
            }
        })
    }

    /// A fresh id for [`Link::call_as`].
    #[must_use]
    pub fn new_request_id() -> String {
        new_request_id()
    }

    /// The numbers of audit entries as they are written, from now on, until the stream ends: then look at the present
    /// state, and ask again.
    pub async fn events(&self) -> Result<BoxStream<'static, u64>> {
        match self {
            Self::Live(client) => client.events().await,
            Self::Offline(offline) => Ok(offline.app.watch_audit()),
        }
    }

    /// A backup, piece by piece. One that breaks off is noticed when it is read back.
    pub async fn backup(&self) -> Result<mpsc::Receiver<Bytes>> {
        match self {
            Self::Live(client) => client.backup().await,
            Self::Offline(offline) => {
                let running = offline.app.begin_backup(offline.actor(&new_request_id()))?;
                Ok(running.pieces)
            }
        }
    }

    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self, Self::Live(_))
    }

    /// Keeps what is searched in ready, if the store is ours and stays so for a while.
    pub fn keep_search(&self) {
        if let Self::Offline(offline) = self {
            let app = offline.app.clone();
            tokio::spawn(async move { app.keep_search().await });
        }
    }

    /// Carries jobs out, if the store is ours and stays so for a while.
    pub fn run_jobs(&self) {
        if let Self::Offline(offline) = self {
            let app = offline.app.clone();
            tokio::spawn(async move { app.run_jobs().await });
        }
    }

    /// Lets go of the store, if it is ours.
    pub async fn close(self) {
        if let Self::Offline(offline) = self {
            offline.app.close().await;
        }
    }
}

/// The data directory is there and ours. Root could open that of the server's user, and would leave files in it that the
/// server may not touch.
pub fn check_data_dir(data_dir: &Path) -> Result<(), LinkError> {
    let Some(metadata) = std::fs::metadata(data_dir).ok().filter(Metadata::is_dir) else {
        return Err(LinkError::NoStore { data_dir: data_dir.to_owned() });
    };
    let owner = metadata.uid();
    if owner == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    Err(LinkError::NotOwner { data_dir: data_dir.to_owned(), owner })
}

async fn connect_socket(config: &Config, operator: &Operator, role: &str) -> Result<Option<SocketClient>, LinkError> {
    let client = SocketClient::connect(config, operator.clone(), role)
        .await
        .map_err(|error| LinkError::Socket { path: socket_path(config), reason: socket_reason(config, &error) })?;
    let Some(client) = client else { return Ok(None) };
    match client.greet().await {
        Ok(theirs) if theirs.protocol == PROTOCOL.to_string() => Ok(Some(client)),
        Ok(theirs) => Err(LinkError::Version { ours: Version::ours(), theirs }),
        // A server that stops just now.
        Err(Error::Unavailable { .. }) => Ok(None),
        Err(error) => Err(LinkError::Refused(error)),
    }
}

fn socket_reason(config: &Config, error: &io::Error) -> String {
    let group = &config.admin.group;
    match error.kind() {
        io::ErrorKind::PermissionDenied if !group.is_empty() => {
            format!("{error}; run this as a member of group {group:?}, as the user of the server, or as root")
        }
        io::ErrorKind::PermissionDenied => format!("{error}; run this as the user of the server, or as root"),
        _ => error.to_string(),
    }
}

/// The operations in this process, for one operator.
#[derive(Clone)]
pub struct OfflineApp {
    app: App,
    operator: Operator,
    role: String,
}

impl OfflineApp {
    async fn call_as(&self, request_id: &str, operation: Box<dyn AnyOperation>) -> Result<Vec<u8>> {
        self.app.call_to_the_end(&self.actor(request_id), operation).await
    }

    fn actor(&self, request_id: &str) -> Actor {
        self.operator.actor(&self.role, request_id)
    }
}
