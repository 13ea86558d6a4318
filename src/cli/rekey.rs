//! `doorward rekey`: another secret key, while no server runs.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::output::{complain, count};
use super::progress::Steps;
use super::{Failure, Global, Output, ROLE, logging, sensitive};
use crate::admin::Link;
use crate::admin::link::check_data_dir;
use crate::app::rekey::{Rekey, RekeyError, Resealed, State};
use crate::config::{Config, Engine};
use crate::domain::text::for_display;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Say what would be done, and whether everything sealed opens
    #[arg(long, conflicts_with = "drop_older")]
    dry_run: bool,
    /// Make no new key, but remove the older ones from the file: backups sealed with them are of no use any more
    #[arg(long)]
    drop_older: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

#[derive(Serialize)]
struct Report {
    dry_run: bool,
    file: PathBuf,
    /// The id of the key that the store is sealed with.
    key: String,
    /// What was sealed anew; none where an earlier run had done it.
    #[serde(flatten)]
    resealed: Option<Resealed>,
    /// The backup that was made at the end.
    backup: Option<PathBuf>,
    /// What older keys open, in the places that we know of.
    older: Vec<PathBuf>,
    older_keys: usize,
}

impl Arguments {
    pub fn run(self, global: &Global, config: Config, output: Output) -> Result<(), Failure> {
        if config.store.engine == Engine::Memory {
            return Err(Failure::Usage("store.engine is \"memory\": there is nothing on disk".to_owned()));
        }
        logging::start_for_command(global)?;
        check_data_dir(&config.server.data_dir)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::runtime)?;
        runtime.block_on(async {
            let rekey = Rekey::begin(Arc::new(config), ROLE).await?;
            if self.drop_older { self.drop_older(rekey, output).await } else { self.rekey(global, rekey, output).await }
        })
    }

    async fn rekey(self, global: &Global, rekey: Rekey, output: Output) -> Result<(), Failure> {
        let mut steps = Steps::new(output);
        let file = rekey.file().to_owned();
        let shown = for_display(&file.display().to_string());
        if self.dry_run {
            let resealed = rekey.try_out(&mut |step| steps.take(step)).await?;
            let report = Report {
                dry_run: true,
                file,
                key: rekey.key(),
                resealed: Some(resealed),
                backup: None,
                older: rekey.older_files(),
                older_keys: rekey.older_keys(),
            };
            drop(steps);
            let preview = preview(&rekey, &shown);
            rekey.end().await;
            return output.answer(&report, || {
                format!("{preview}\n{}\nnothing was changed", told(&resealed, "would be", "would end"))
            });
        }
        if let Err(failure) = self.ask(&preview(&rekey, &shown), "Change the secret key?") {
            rekey.end().await;
            return Err(failure);
        }
        let older_keys = rekey.older_keys() + usize::from(rekey.state() == State::Fresh);
        let actor = global.operator().actor(ROLE, &Link::new_request_id());
        let done = rekey.carry_out(&actor, &mut |step| steps.take(step)).await?;
        drop(steps);
        let report = Report {
            dry_run: false,
            file,
            key: done.key,
            resealed: done.resealed,
            backup: done.backup,
            older: done.older,
            older_keys,
        };
        output.answer(&report, || report.text(&shown))
    }

    async fn drop_older(self, rekey: Rekey, output: Output) -> Result<(), Failure> {
        let (file, key, older) = (rekey.file().to_owned(), rekey.key(), rekey.older_files());
        let (shown, number) = (for_display(&file.display().to_string()), rekey.older_keys());
        let preview = format!(
            "{} of {shown} will be gone for good, and with them every backup that was made before the last change.",
            count(number, "older key")
        );
        if let Err(failure) = self.ask(&preview, "Remove them?") {
            rekey.end().await;
            return Err(failure);
        }
        rekey.drop_older().await?;
        let report = Report { dry_run: false, file, key, resealed: None, backup: None, older, older_keys: 0 };
        output.answer(&report, || format!("removed {} from {shown}", count(number, "older key")))
    }

    fn ask(&self, preview: &str, question: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !sensitive::can_ask() {
            return Err(Failure::Usage(format!(
                "{} There is no terminal to ask on: add --yes to do it",
                preview.replace('\n', " ")
            )));
        }
        complain(preview);
        let answer = sensitive::ask(&format!("{question} Type yes:"))?;
        if answer.eq_ignore_ascii_case("yes") { Ok(()) } else { Err(Failure::Failed("nothing was changed".to_owned())) }
    }
}

/// What is about to happen.
fn preview(rekey: &Rekey, file: &str) -> String {
    let key = rekey.key();
    let first = match rekey.state() {
        State::Fresh => format!("The store is sealed with the key {key} of {file}. A new one takes its place."),
        State::Begun => format!("The store is sealed with {key}, an older key of {file}. The newest takes its place."),
        State::Sealed => {
            return format!(
                "The store is sealed with {key}, the newest key of {file}. What an interrupted change of the key has left \
                 behind will be removed, after a backup."
            );
        }
    };
    let backups = match rekey.older_files().len() {
        0 => String::new(),
        number => format!(" ({number} in the places that are known)"),
    };
    format!(
        "{first}\nAuthenticators, backup codes and mails that wait are sealed anew and go on working, and so do sessions, API \
         keys and links. Six-digit codes that were mailed and not used yet end. Older keys stay in the file for the backups \
         made before{backups}, which they still open: treat those as leaked if the key is."
    )
}

fn told(resealed: &Resealed, are: &str, end: &str) -> String {
    let Resealed { authenticators, backup_codes, enrolments, mails, codes_ended } = *resealed;
    let count = |number: u64, noun: &str| count(usize::try_from(number).unwrap_or(usize::MAX), noun);
    format!(
        "{}, {}, {} and {} {are} sealed anew; {} {end}",
        count(authenticators, "authenticator"),
        count(backup_codes, "backup code"),
        count(enrolments, "enrolment"),
        count(mails, "mail"),
        count(codes_ended, "mailed code"),
    )
}

impl Report {
    fn text(&self, file: &str) -> String {
        let mut lines: Vec<String> = self.resealed.iter().map(|resealed| told(resealed, "were", "ended")).collect();
        lines.push(format!(
            "the store is sealed with the key {} now, the first of {file}: copy that file anew",
            self.key
        ));
        let path = |path: &PathBuf| for_display(&path.display().to_string());
        lines.push(match &self.backup {
            Some(backup) => format!("made the backup {}", path(backup)),
            None => "make a backup now: none that was made before can be brought up to date".to_owned(),
        });
        if self.older_keys > 0 {
            lines.push(format!(
                "it also has {}, for what was made before; when that is gone: doorward rekey --drop-older",
                count(self.older_keys, "older key")
            ));
        }
        lines.extend(self.older.iter().map(|older| format!("an older key opens {}", path(older))));
        lines.join("\n")
    }
}

impl From<RekeyError> for Failure {
    fn from(error: RekeyError) -> Self {
        match error {
            RekeyError::Open(error) => Self::Open(error),
            RekeyError::Refused(error) => Self::Operation(error),
            error => Self::Failed(error.to_string()),
        }
    }
}
