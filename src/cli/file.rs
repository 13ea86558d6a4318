//! Files that commands write: whole or not at all, for their owner alone. `-` is standard input or output.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::Failure;
use crate::app::backups::create_unfinished;
use crate::domain::text::for_display;

/// What a file is called until it is whole.
const UNFINISHED: &str = ".unfinished";

/// Whether standard input or output is meant.
pub(super) fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// A path for people.
pub(super) fn shown(path: &Path) -> String {
    for_display(&path.display().to_string())
}

/// A file that is being written, under another name. Dropped before it is whole, it goes.
pub(super) struct NewFile {
    path: PathBuf,
    unfinished: PathBuf,
    file: File,
}

impl NewFile {
    /// Fails where there is something of that name. What a killed command left of it goes.
    pub fn create(path: &Path) -> Result<Self, Failure> {
        let mut unfinished = path.to_owned().into_os_string();
        unfinished.push(UNFINISHED);
        let unfinished = PathBuf::from(unfinished);
        let file = match fs::symlink_metadata(path) {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => create_unfinished(&unfinished),
        };
        Ok(Self { path: path.to_owned(), unfinished, file: file.map_err(cannot_write(path))? })
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    /// It is whole: gives it its name, durably.
    pub fn keep(self) -> Result<(), Failure> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let kept = self.file.sync_all().and_then(|()| fs::rename(&self.unfinished, &self.path));
        kept.and_then(|()| File::open(folder)?.sync_all()).map_err(cannot_write(&self.path))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // Where it was kept there is none of that name; there is nobody to tell when it stays.
        let _ = fs::remove_file(&self.unfinished);
    }
}

/// What to say when a file cannot be written.
pub(super) fn cannot_write(path: &Path) -> impl Fn(io::Error) -> Failure + use<> {
    let shown = shown(path);
    move |error| Failure::io(format!("cannot write {shown}"))(error)
}
