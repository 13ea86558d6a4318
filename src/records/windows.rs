//! The sliding windows of rate limits that must survive a restart (spec §1.11).

use super::codec::{self, Decode, Deserialize, Encode, Serialize};
use super::{Records, Result, Versioned, keys, put};
use crate::domain::rate::Window;
use crate::domain::time::Timestamp;
use crate::store::{Batch, Expect};

impl Records {
    /// The window under a key of [`keys::window`]; may be over.
    pub async fn rate_window(&self, key: &[u8]) -> Result<Option<Versioned<Window>>> {
        self.read(key).await
    }
}

/// Adds a window to a batch, which fails when somebody else counted meanwhile. It has one note for the sweeper, however
/// often it is counted in: the sweeper moves the note to where the window ends by then.
pub fn put_window(batch: Batch, key: Vec<u8>, before: Option<&Versioned<Window>>, window: &Window) -> Batch {
    let batch = match before {
        Some(before) => batch.expect(key.clone(), Expect::Version(before.version)),
        None => batch
            .expect(key.clone(), Expect::Absent)
            .add(keys::WINDOWS_COUNTER, 1)
            .put(keys::expiry(window.ends_at(), &key), Vec::new()),
    };
    put(batch, key, window)
}

/// Forgets what was counted; fails when somebody counted meanwhile.
pub fn remove_window(batch: Batch, key: Vec<u8>, before: &Versioned<Window>) -> Batch {
    batch.expect(key.clone(), Expect::Version(before.version)).delete(key).add(keys::WINDOWS_COUNTER, -1)
}

#[derive(Encode, Decode, Serialize, Deserialize)]
struct WindowV1 {
    seconds: u32,
    times: Vec<i64>,
}

codec::record!(Window, WindowV1, 1);

impl From<&Window> for WindowV1 {
    fn from(window: &Window) -> Self {
        Self { seconds: window.seconds, times: window.times.iter().map(|at| at.as_micros()).collect() }
    }
}

impl From<WindowV1> for Window {
    fn from(stored: WindowV1) -> Self {
        Self { seconds: stored.seconds, times: stored.times.into_iter().map(Timestamp::from_micros).collect() }
    }
}
