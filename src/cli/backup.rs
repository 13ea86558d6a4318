//! `doorward backup`, `restore`, `recover`, `compact`: what keeps a store, and what brings it back.

use std::fs;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use bytes::{Buf as _, Bytes};
use clap::Args;
use serde::Serialize;
use tokio::sync::mpsc;

use super::file::{cannot_write, is_standard, shown};
use super::output::count;
use super::progress::{Progress, Steps};
use super::{Failure, Output};
use crate::admin::Link;
use crate::admin::link::check_data_dir;
use crate::app::backups::{
    BackupError, Reader, Trailer, Verified, directory, free_path, header, make_directory, read_back, write_pieces,
};
use crate::app::new_file::NewFile;
use crate::app::recovery::{self, Rebuilt, RecoveryError, Step};
use crate::clock;
use crate::config::{Config, Engine};
use crate::domain::text::for_display;
use crate::domain::time::Timestamp;

#[derive(Debug, Args)]
pub struct BackupArguments {
    /// File to write, `-` for standard output [default: a new one in the directory of backups]
    file: Option<PathBuf>,
}

#[derive(Serialize)]
struct BackedUp {
    file: PathBuf,
    bytes: u64,
    #[serde(flatten)]
    trailer: Trailer,
    made_at: Timestamp,
}

impl BackupArguments {
    pub async fn run(self, link: &Link, config: &Config, output: Output) -> Result<(), Failure> {
        let path = match self.file {
            Some(file) if is_standard(&file) => return to_standard_output(link.backup().await?).await,
            Some(file) => {
                check_target(&file)?;
                file
            }
            None => {
                let directory = directory(config);
                // What root makes there the server could neither use nor remove.
                check_data_dir(&config.server.data_dir)?;
                let cannot = format!("cannot make {}", shown(&directory));
                make_directory(&directory).map_err(Failure::io(cannot))?;
                free_path(&directory, clock::now())
            }
        };
        let shown = shown(&path);
        let failed = cannot_write(&path);
        let new = NewFile::create(&path).map_err(&failed)?;
        let pieces = link.backup().await?;
        let progress = Progress::bytes(output, "backing up");
        let to = path.clone();
        let (verified, kept, bytes) = blocking(move || {
            write_pieces(new.file(), pieces, |bytes| progress.advance_to(bytes)).map_err(&failed)?;
            let verified = read_back(new.unfinished()).map_err(|error| broken(&error))?;
            let kept = keep_other(&to, &verified)?;
            let bytes = new.file().metadata().map_err(&failed)?.len();
            new.keep().map_err(&failed)?;
            Ok::<_, Failure>((verified, kept, bytes))
        })
        .await??;
        let made_at = Timestamp::from_micros(verified.header.made_at);
        if let Some(kept) = kept {
            output.note(&format!("the backup that was there is of another store, and is {} now", self::shown(&kept)));
        }
        let text = format!("backed up {} entries to {shown} and read them back", verified.trailer.entries);
        output.answer(&BackedUp { file: path, bytes, trailer: verified.trailer, made_at }, || text)
    }
}

/// An older backup may be replaced; anything else is not, and a folder that is not there is a disk that is not mounted
/// rather than one to make.
fn check_target(file: &Path) -> Result<(), Failure> {
    let shown = shown(file);
    match fs::symlink_metadata(file) {
        Ok(there) if !there.is_file() => {
            return Err(Failure::Failed(format!("{shown} is no plain file; name one, or `-` for standard output")));
        }
        Ok(_) if header(file).is_err() => {
            return Err(Failure::Failed(format!("{shown} is there and no backup, so it is not replaced")));
        }
        _ => {}
    }
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            Err(Failure::Failed(format!("cannot write {shown}: there is no such folder")))
        }
        _ => Ok(()),
    }
}

/// Puts a backup of another store aside, which may be all that is left of that; says where to.
fn keep_other(path: &Path, new: &Verified) -> Result<Option<PathBuf>, Failure> {
    let Some(old) = header(path).ok().filter(|old| old.store != new.header.store) else { return Ok(None) };
    let mut aside = path.to_owned().into_os_string();
    aside.push(format!(".{}", Timestamp::from_micros(old.made_at).as_seconds()));
    let aside = PathBuf::from(aside);
    fs::rename(path, &aside).map_err(Failure::io(format!("cannot move {} aside", shown(path))))?;
    Ok(Some(aside))
}

fn broken(error: &BackupError) -> Failure {
    Failure::Failed(format!("the backup is not whole ({error}); the server's log may say more"))
}

/// Reads the backup while it passes, so that one that breaks off does not end in success.
async fn to_standard_output(pieces: mpsc::Receiver<Bytes>) -> Result<(), Failure> {
    blocking(move || {
        let mut reader = Reader::open(Passing { pieces, piece: Bytes::new() })?;
        while reader.changes()?.is_some() {}
        io::stdout().lock().flush()?;
        Ok(())
    })
    .await?
    .map_err(|error: BackupError| broken(&error))
}

/// What is read of the pieces has been written to standard output.
struct Passing {
    pieces: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Passing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            let Some(piece) = self.pieces.blocking_recv() else { return Ok(0) };
            io::stdout().lock().write_all(&piece)?;
            self.piece = piece;
        }
        self.piece.as_ref().read(buffer).inspect(|read| self.piece.advance(*read))
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Failure::Failed(error.to_string()))
}

/// Offline commands that make the store anew.
#[derive(Debug, clap::Subcommand)]
pub enum Rebuild {
    /// Make the store from a backup
    #[command(after_help = "\
Examples:
  doorward restore /backup/doorward-20261126T020000Z.backup
  doorward restore doorward.backup --replace

The secret key is not in a backup: bring secret.key back too. No server may run. What was written after the backup was made
is not in it; `doorward recover` brings that back as well, where the journal is still there.")]
    Restore {
        /// Backup to read
        file: PathBuf,
        /// Move the store that is there aside
        #[arg(long)]
        replace: bool,
    },
    /// Make a store that is damaged or lost anew, from the newest good backup and the journal
    #[command(after_help = "\
Examples:
  doorward recover
  doorward recover --from /backup/doorward-20261126T020000Z.backup

Loses nothing that was acknowledged. No server may run. The old store stays beside the new one until you remove it.")]
    Recover {
        /// Begin with this backup instead of the newest good one
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
        /// Where the journal is damaged too, recover what lies before the damage and lose what lies behind it
        #[arg(long)]
        up_to_damage: bool,
    },
    /// Copy the store into a new one that takes no more room than it needs
    #[command(after_help = "\
Example:
  doorward compact

No server may run. Needs room for a second store. The old one stays beside it until you remove it, unless --remove-old.")]
    Compact {
        /// Remove the old store when the new one is there
        #[arg(long)]
        remove_old: bool,
    },
}

#[derive(Serialize)]
struct Report {
    backup: Option<PathBuf>,
    /// Commits that came from the journal.
    commits: u64,
    passed_over: Vec<String>,
    stopped_at: Option<String>,
    old_store: Option<PathBuf>,
    old_journal: Option<PathBuf>,
    /// Where the secret key is missing.
    lacks_key: Option<PathBuf>,
}

impl Rebuild {
    pub fn run(self, config: &Config, output: Output) -> Result<(), Failure> {
        if config.store.engine == Engine::Memory {
            return Err(Failure::Usage("store.engine is \"memory\": there is nothing on disk".to_owned()));
        }
        if config.server.data_dir.exists() {
            check_data_dir(&config.server.data_dir)?;
        }
        let mut steps = Steps::new(output);
        let mut step = |step: Step| steps.take(step);
        let (rebuilt, said) = match &self {
            Self::Restore { file, replace } => (recovery::restore(config, file, *replace, &mut step), "restored"),
            Self::Recover { from, up_to_damage } => {
                (recovery::recover(config, from.as_deref(), *up_to_damage, &mut step), "recovered")
            }
            Self::Compact { .. } => (recovery::compact(config, &mut step), "compacted"),
        };
        drop(steps);
        let mut rebuilt = rebuilt?;
        if let Self::Compact { remove_old: true } = self
            && let Some(old) = rebuilt.replaced.store.take()
        {
            fs::remove_dir_all(&old).map_err(Failure::io(format!("cannot remove {}", old.display())))?;
        }
        let report = Report::of(&rebuilt);
        output.answer(&report, || report.text(said))
    }
}

impl Report {
    fn of(rebuilt: &Rebuilt) -> Self {
        Self {
            backup: rebuilt.backup.clone(),
            commits: rebuilt.commits,
            passed_over: rebuilt.passed_over.iter().map(|(file, why)| format!("{}: {why}", file.display())).collect(),
            stopped_at: rebuilt.stopped_at.clone(),
            old_store: rebuilt.replaced.store.clone(),
            old_journal: rebuilt.replaced.journal.clone(),
            lacks_key: rebuilt.lacks_key.clone(),
        }
    }

    fn text(&self, said: &str) -> String {
        let mut lines: Vec<String> =
            self.passed_over.iter().map(|text| format!("passed over {}", for_display(text))).collect();
        let commits = usize::try_from(self.commits).unwrap_or(usize::MAX);
        lines.push(match &self.backup {
            Some(backup) if said == "restored" => format!("{said} the store from {}", shown(backup)),
            Some(backup) => {
                format!("{said} the store from {} and {} of the journal", shown(backup), count(commits, "commit"))
            }
            None if said == "recovered" => format!("{said} the store from {} of the journal", count(commits, "commit")),
            None => format!("{said} the store"),
        });
        lines.extend(
            self.stopped_at.iter().map(|error| format!("what lies behind the damage is lost: {}", for_display(error))),
        );
        lines.extend(
            self.old_store
                .iter()
                .map(|old| format!("the store of before is {}: remove it when all is well", shown(old))),
        );
        lines.extend(self.old_journal.iter().map(|old| format!("the journal of before is {}", shown(old))));
        let key = self.lacks_key.as_deref();
        lines.extend(key.map(|key| format!("the secret key is missing: bring it back to {} first", shown(key))));
        lines.push("check it with `doorward verify`, then start the server".to_owned());
        lines.join("\n")
    }
}

impl From<RecoveryError> for Failure {
    fn from(error: RecoveryError) -> Self {
        match error {
            RecoveryError::Held(holder) => Self::Open(crate::app::instance::OpenError::Held { holder }),
            RecoveryError::StoreThere(_) | RecoveryError::JournalThere(_) => {
                Self::Operation(crate::error::Error::refused("store_not_empty", error.to_string()))
            }
            error => Self::Failed(error.to_string()),
        }
    }
}
