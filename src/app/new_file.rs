//! Files that are there whole or not at all, for their owner alone: under another name until they are durable.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What a file is called until it is whole.
pub(super) const UNFINISHED: &str = ".unfinished";

/// A file that is being written. Dropped before it was kept, it goes.
pub struct NewFile {
    path: PathBuf,
    unfinished: PathBuf,
    /// Locked while it is under the other name.
    file: File,
    is_kept: bool,
}

impl NewFile {
    /// Begins the file that is to have this name. What a kill left of it goes; what another program is writing just now is
    /// not touched, and the error is [`io::ErrorKind::ResourceBusy`].
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut unfinished = path.to_owned().into_os_string();
        unfinished.push(UNFINISHED);
        let unfinished = PathBuf::from(unfinished);
        if fs::symlink_metadata(&unfinished).is_ok_and(|left| left.is_file()) {
            if let Err(TryLockError::WouldBlock) = File::open(&unfinished)?.try_lock() {
                return Err(busy());
            }
            fs::remove_file(&unfinished)?;
        }
        // A new one, so that nobody else has it open, or gave it a mode.
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
        // Where a file system knows no locks there are none.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(busy());
        }
        Ok(Self { path: path.to_owned(), unfinished, file, is_kept: false })
    }

    /// What to write to.
    pub const fn file(&self) -> &File {
        &self.file
    }

    /// Where it is until it is kept.
    pub fn unfinished(&self) -> &Path {
        &self.unfinished
    }

    /// It is whole: gives it its name, durably.
    pub fn keep(mut self) -> io::Result<()> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        self.file.sync_all()?;
        fs::rename(&self.unfinished, &self.path)?;
        self.is_kept = true;
        File::open(folder)?.sync_all()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.is_kept {
            // There is nobody to tell when it stays.
            let _ = fs::remove_file(&self.unfinished);
        }
    }
}

fn busy() -> io::Error {
    io::Error::new(io::ErrorKind::ResourceBusy, "another command is writing it")
}
