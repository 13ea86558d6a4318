//! Opens the program: the lock, the store and the secret key, in that order. (To be replaced.)

use std::sync::Arc;

use super::App;
use crate::config::Config;

/// Why the program could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Another process has the data directory; `holder` names it.
    #[error("the data directory is in use by {holder}")]
    Held { holder: String },
    #[error("{0}")]
    Store(String),
    #[error("{0}")]
    Io(String),
    #[error("{0}")]
    SecretKey(String),
}

/// Opens the program under `config`; `role` goes into the lock file for others to read.
#[allow(clippy::unused_async)]
pub async fn open(_config: Arc<Config>, _role: &str) -> Result<App, OpenError> {
    Err(OpenError::Store("not there yet".to_owned()))
}

impl App {
    /// Stops the store and releases the lock.
    #[allow(clippy::unused_async)]
    pub async fn close(&self) {}
}

impl App {
    /// The single-use link that makes the first staff account, while there is no user.
    #[allow(clippy::unused_async)]
    pub async fn first_start_link(&self) -> crate::error::Result<Option<crate::domain::secret::Secret>> {
        Ok(None)
    }

    /// Numbers of new audit entries.
    pub fn watch_audit(&self) -> futures_util::stream::BoxStream<'static, u64> {
        Box::pin(futures_util::stream::pending())
    }
}

/// Removes what has expired, now and then.
pub async fn sweep(_app: App, shutdown: impl Future<Output = ()> + Send) {
    shutdown.await;
}
