//! Lists written to a file as JSON lines: page by page, so that the screen shows how far it is and a stop takes effect.
//!
//! The file is the operator's alone, has its name only once it is whole, and replaces none that was not asked about.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use tui_input::Input;

use crate::admin::link::Link;
use crate::app::audit::{AuditFilter, ExportAudit};
use crate::app::directory::{FindUsers, InspectUser, ListFrom};
use crate::app::views::UserRef;
use crate::domain::id::UserId;
use crate::domain::user_filter::{UserQuery, UserSort};
use crate::error::{Error, Result};

/// Rows of a page.
const ROWS: usize = 500;
/// Users that are looked up for a page, one by one.
const USERS: usize = 50;
/// The code of the error when there is such a file already.
pub const EXISTS: &str = "file_exists";

/// What is written.
#[derive(Clone, Debug)]
pub enum What {
    Audit(AuditFilter),
    Matching(UserQuery),
    /// Shared: each page is asked for with all of them.
    Users(Arc<[UserId]>),
}

/// One page to be written.
#[derive(Clone, Debug)]
pub enum Page {
    /// The first; whether a file of that name may be replaced.
    First { replace: bool },
    /// One of the others, from this place on.
    Next(String),
}

#[derive(Clone, Debug)]
pub struct ExportPage {
    pub what: What,
    pub path: PathBuf,
    pub page: Page,
}

/// A page was written.
#[derive(Clone, Debug)]
pub struct Exported {
    pub rows: usize,
    /// `None`: the file is whole.
    pub next: Option<String>,
}

/// The window of an export.
#[derive(Debug)]
pub struct Export {
    pub what: What,
    pub path: Input,
    pub stage: Stage,
    pub problem: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Asking,
    /// There is such a file.
    Exists,
    Writing {
        rows: usize,
    },
}

impl Export {
    #[must_use]
    pub fn new(what: What) -> Self {
        Self { what, path: Input::default(), stage: Stage::Asking, problem: None }
    }

    /// The page as it is asked for.
    #[must_use]
    pub fn page(&self, page: Page) -> ExportPage {
        ExportPage { what: self.what.clone(), path: self.file(), page }
    }

    /// Where it is to be.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        path(self.path.value())
    }
}

/// `~/` is the home of who types it.
fn path(text: &str) -> PathBuf {
    let text = text.trim();
    match (text.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(text),
    }
}

/// Reads a page and writes it.
pub async fn write(link: &Link, request: ExportPage) -> Result<Exported> {
    let ExportPage { what, path, page } = request;
    let from = match &page {
        Page::First { replace } => {
            let (path, replace) = (path.clone(), *replace);
            blocking(move || begin(&path, replace)).await?;
            None
        }
        Page::Next(from) => Some(from.clone()),
    };
    let (lines, rows, next) = read(link, &what, from).await?;
    let is_last = next.is_none();
    blocking(move || append(&path, &lines, is_last)).await?;
    Ok(Exported { rows, next })
}

/// Takes away what was written of a file that will not be whole. Needs no way to the operations.
pub async fn discard(path: PathBuf) -> Result<Exported> {
    blocking(move || remove(&part(&path))).await?;
    Ok(Exported { rows: 0, next: None })
}

async fn blocking(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> Result<()> {
    let result = tokio::task::spawn_blocking(work).await;
    let result = result.map_err(|_| Error::internal("writing the file crashed"))?;
    result.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Error::refused(EXISTS, "there is such a file"),
        _ => Error::refused("file_failed", format!("the file cannot be written: {error}")),
    })
}

/// Where it is written until it is whole.
fn part(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn begin(path: &Path, replace: bool) -> io::Result<()> {
    if !replace && path.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let part = part(path);
    remove(&part)?;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(part).map(drop)
}

fn append(path: &Path, lines: &[u8], is_last: bool) -> io::Result<()> {
    let part = part(path);
    let mut file: File = OpenOptions::new().append(true).open(&part)?;
    file.write_all(lines)?;
    if is_last {
        file.sync_all()?;
        fs::rename(part, path)?;
    }
    Ok(())
}

async fn read(link: &Link, what: &What, from: Option<String>) -> Result<(Vec<u8>, usize, Option<String>)> {
    match what {
        What::Audit(filter) => {
            let after = from.and_then(|from| from.parse().ok()).unwrap_or(0);
            let page = link.call(ExportAudit { filter: filter.clone(), after, limit: ROWS }).await?;
            Ok((lines(&page.rows)?, page.rows.len(), page.next.map(|next| next.to_string())))
        }
        What::Matching(UserQuery { words, filters }) => {
            let from = from.map_or(ListFrom::Start, ListFrom::After);
            let (query, filters) = (words.clone(), filters.clone());
            let page = link.call(FindUsers { query, filters, sort: UserSort::Email, from, limit: ROWS }).await?;
            Ok((lines(&page.rows)?, page.rows.len(), page.after))
        }
        What::Users(users) => {
            let begin = from.and_then(|from| from.parse::<usize>().ok()).unwrap_or(0);
            let mut rows = Vec::new();
            for user in users.iter().skip(begin).take(USERS) {
                match link.call(InspectUser { user: UserRef(user.to_string()) }).await {
                    Ok(detail) => rows.push(detail.row),
                    // Whoever was deleted meanwhile is not listed.
                    Err(Error::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            let end = begin + USERS;
            Ok((lines(&rows)?, rows.len(), (end < users.len()).then(|| end.to_string())))
        }
    }
}

fn lines(rows: &[impl Serialize]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut bytes, row).map_err(|error| Error::internal(error.to_string()))?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_whole_or_not_there_and_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        begin(&path, false).unwrap();
        append(&path, b"1\n", false).unwrap();
        assert!(!path.exists());
        append(&path, b"2\n", true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "1\n2\n");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!part(&path).exists());
    }

    #[test]
    fn no_file_is_replaced_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        fs::write(&path, "mine").unwrap();
        assert_eq!(begin(&path, false).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        begin(&path, true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine", "it stays until the new one is whole");
        remove(&part(&path)).unwrap();
        remove(&part(&path)).unwrap();
    }

    #[test]
    fn what_was_left_behind_is_no_trap() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let other = folder.path().join("other");
        fs::write(&other, "theirs").unwrap();
        std::os::unix::fs::symlink(&other, part(&path)).unwrap();
        begin(&path, false).unwrap();
        append(&path, b"1\n", true).unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "theirs");
    }
}
