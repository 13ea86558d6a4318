//! The lock of the data directory: one process works on it at a time, and the others can say which.
//!
//! The lock is the operating system's and ends with the process, however that dies. What the file says is only for
//! people.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// The file inside the data directory.
const LOCK_FILE: &str = "doorward.lock";
/// A holder that is just going away is waited for this long.
const PATIENCE: Duration = Duration::from_millis(300);

/// The right to use a data directory, until dropped.
#[derive(Debug)]
pub struct DataLock {
    file: File,
}

/// Why the data directory cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Another process has it; `holder` names its role, process id and start time.
    #[error("the data directory is in use by the {holder}")]
    Held { holder: String },
    #[error("cannot lock the data directory {}: {reason}", directory.display())]
    Io { directory: PathBuf, reason: String },
}

impl DataLock {
    /// Takes the lock for `role` ("server", "offline console", "command") from `since` on, creating the data directory
    /// (for its owner only) if it is not there. Blocks, for a fraction of a second at most.
    pub fn acquire(data_dir: &Path, role: &str, since: &str) -> Result<Self, LockError> {
        let failed = |error: io::Error| LockError::Io { directory: data_dir.into(), reason: error.to_string() };
        DirBuilder::new().recursive(true).mode(0o700).create(data_dir).map_err(failed)?;
        let path = data_dir.join(LOCK_FILE);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(failed(error)),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(10));
                }
                Err(TryLockError::WouldBlock) => return Err(LockError::Held { holder: holder(&path) }),
            }
        }
        let lock = Self { file };
        lock.write_holder(role, since).map_err(failed)?;
        Ok(lock)
    }

    fn write_holder(&self, role: &str, since: &str) -> io::Result<()> {
        self.file.set_len(0)?;
        (&self.file).write_all(format!("{role}, process {}, since {since}\n", std::process::id()).as_bytes())
    }
}

impl Drop for DataLock {
    fn drop(&mut self) {
        // The text must not outlive the lock. Should this fail, the next holder writes over it.
        drop(self.file.set_len(0));
    }
}

fn holder(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let text = text.trim();
    if text.is_empty() { "process that has just started".into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_held_lock_names_its_holder() {
        let parent = tempfile::tempdir().unwrap();
        let data = parent.path().join("data");
        let lock = DataLock::acquire(&data, "offline console", "2026-11-23T09:00:00Z").unwrap();
        assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);

        let LockError::Held { holder } = DataLock::acquire(&data, "server", "2026-11-23T09:00:00Z").unwrap_err() else {
            panic!()
        };
        let expected = format!("offline console, process {}, since 20", std::process::id());
        assert!(holder.starts_with(&expected), "{holder}");

        drop(lock);
        DataLock::acquire(&data, "server", "2026-11-23T09:00:00Z").unwrap();
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_explained() {
        let parent = tempfile::tempdir().unwrap();
        let file = parent.path().join("file");
        fs::write(&file, "").unwrap();
        let error = DataLock::acquire(&file.join("data"), "server", "now").unwrap_err();
        assert!(matches!(error, LockError::Io { .. }), "{error}");
    }
}
