//! `doorward user export`: all users with everything that belongs to them, for another program or another server.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::file::{self, cannot_write, is_standard, shown};
use super::import::Format;
use super::output::{complain, count};
use super::progress::Progress;
use super::{Failure, Output, sensitive};
use crate::admin::Link;
use crate::app::audit::ReadStatus;
use crate::app::export::{EXPORTED_AT_ONCE_MAX, ExportOrganizations, ExportUsers};
use crate::domain::django::{write_organization, write_user};

const WARNING: &str = "The export has the password hashes, authenticator secrets and backup codes of all users in clear: \
                       who has it can log in as them.";

#[derive(Debug, Args)]
pub struct Arguments {
    /// File to write, which must not exist [default: `-`, standard output]
    file: Option<PathBuf>,
    /// Which program is to read it
    #[arg(long, value_enum, default_value = "django")]
    format: Format,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Serialize)]
struct Exported {
    users: usize,
    file: Option<PathBuf>,
}

impl Arguments {
    pub async fn run(self, link: &Link, output: Output) -> Result<(), Failure> {
        let Format::Django = self.format;
        be_sure(self.yes, "Export all users?")?;
        let Some(path) = self.file.filter(|path| !is_standard(path)) else {
            let users = write_all(link, output, io::stdout().lock(), "cannot write the export").await?;
            output.note(&format!("exported {}", count(users, "user")));
            return Ok(());
        };
        let new = file::create(&path)?;
        let users = write_all(link, output, new.file(), &format!("cannot write {}", shown(&path))).await?;
        new.keep().map_err(cannot_write(&path))?;
        let text = format!("exported {} to {}", count(users, "user"), shown(&path));
        output.answer(&Exported { users, file: Some(path) }, || text)
    }
}

/// Says what is in an export, and asks, unless nobody has to be asked.
pub(super) fn be_sure(yes: bool, question: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !sensitive::can_ask() {
        return Err(Failure::Usage(format!("{WARNING} There is no terminal to ask on: add --yes to export")));
    }
    complain(WARNING);
    let answer = sensitive::ask(&format!("{question} Type yes:"))?;
    if answer.eq_ignore_ascii_case("yes") { Ok(()) } else { Err(Failure::Failed("nothing was exported".to_owned())) }
}

/// Writes the users as one list, an object a line; answers how many there are.
async fn write_all(link: &Link, output: Output, to: impl Write, failed: &str) -> Result<usize, Failure> {
    let mut to = BufWriter::new(to);
    let io = |error| Failure::io(failed.to_owned())(error);
    let mut progress = Progress::start(output, "exporting", link.call(ReadStatus {}).await?.users);
    let mut separator = "[\n";
    let mut last = None;
    loop {
        let page = link.call(ExportOrganizations { after: last, limit: EXPORTED_AT_ONCE_MAX }).await?;
        for organization in &page {
            write!(to, "{separator}{}", write_organization(organization)).map_err(io)?;
            separator = ",\n";
        }
        last = page.last().map(|organization| organization.id);
        if last.is_none() {
            break;
        }
    }
    let (mut users, mut codes, mut after) = (0, 0, Some(0));
    while let Some(number) = after {
        let page = link.call(ExportUsers { after: number, limit: EXPORTED_AT_ONCE_MAX }).await?;
        for (number, user) in &page.users {
            for object in write_user(user, *number, codes + 1) {
                write!(to, "{separator}{object}").map_err(io)?;
                separator = ",\n";
            }
            codes += user.backup_codes.len() as u64;
        }
        users += page.users.len();
        progress.advance(page.users.len() as u64);
        after = page.next;
    }
    let end = if separator == "[\n" { "[]\n" } else { "\n]\n" };
    to.write_all(end.as_bytes()).and_then(|()| to.flush()).map_err(io)?;
    Ok(users)
}
