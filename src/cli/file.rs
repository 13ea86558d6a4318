//! The files that commands write and read. `-` is standard input or output.

use std::fs;
use std::io;
use std::path::Path;

use super::Failure;
use crate::app::new_file::NewFile;
use crate::domain::text::for_display;

/// Whether standard input or output is meant.
pub(super) fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// A path for people.
pub(super) fn shown(path: &Path) -> String {
    for_display(&path.display().to_string())
}

/// Begins a file that a command writes. Fails where there is something of that name.
pub(super) fn create(path: &Path) -> Result<NewFile, Failure> {
    let created = match fs::symlink_metadata(path) {
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => NewFile::create(path),
    };
    created.map_err(cannot_write(path))
}

/// What to say when a file cannot be written.
pub(super) fn cannot_write(path: &Path) -> impl Fn(io::Error) -> Failure + use<> {
    let shown = shown(path);
    move |error| Failure::io(format!("cannot write {shown}"))(error)
}
