//! `doorward export` and `doorward import`: everything in the store as lines of JSON, while no server runs.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::file::{self, cannot_write, is_standard, shown};
use super::output::count;
use super::progress::Steps;
use super::{Failure, Global, Output, ROLE, export, logging};
use crate::admin::Link;
use crate::admin::link::check_data_dir;
use crate::app::instance;
use crate::app::lines::{self, Counts, LinesError};
use crate::config::{Config, Engine};

#[derive(Debug, Args)]
pub struct ExportArguments {
    /// File to write, which must not exist; `-` for standard output
    file: PathBuf,
    /// Export what this backup holds, while a server may run
    #[arg(long, value_name = "FILE")]
    backup: Option<PathBuf>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Args)]
pub struct ImportArguments {
    /// File to read; `-` for standard input
    file: PathBuf,
    /// Read everything, and keep nothing of it
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Report {
    file: PathBuf,
    /// Lines by record.
    records: Counts,
    #[serde(skip_serializing_if = "Option::is_none")]
    dry_run: Option<bool>,
}

impl ExportArguments {
    pub fn run(self, global: &Global, config: Config, output: Output) -> Result<(), Failure> {
        export::be_sure(self.yes, "Export everything?")?;
        prepare(global, &config)?;
        let config = Arc::new(config);
        block_on(async {
            let app = if let Some(backup) = &self.backup {
                instance::open_backup(config, backup).await?
            } else {
                check_data_dir(&config.server.data_dir)?;
                instance::open(config, ROLE).await?
            };
            let actor = global.operator().actor(ROLE, &Link::new_request_id());
            let mut steps = Steps::new(output);
            let mut step = |step| steps.take(step);
            let exported = if is_standard(&self.file) {
                lines::export(&app, &actor, io::stdout(), &mut step).await
            } else {
                let new = file::create(&self.file)?;
                let file = new.file().try_clone().map_err(cannot_write(&self.file))?;
                let exported = lines::export(&app, &actor, file, &mut step).await;
                if exported.is_ok() {
                    new.keep().map_err(cannot_write(&self.file))?;
                }
                exported
            };
            drop(steps);
            app.close().await;
            let records = exported.map_err(|error| failure(&self.file, error))?;
            let text = format!("exported {} to {}", told(&records), shown(&self.file));
            if is_standard(&self.file) {
                output.note(&format!("exported {}", told(&records)));
                return Ok(());
            }
            output.answer(&Report { file: self.file, records, dry_run: None }, || text)
        })
    }
}

impl ImportArguments {
    pub fn run(self, global: &Global, config: Config, output: Output) -> Result<(), Failure> {
        prepare(global, &config)?;
        if config.server.data_dir.exists() {
            check_data_dir(&config.server.data_dir)?;
        }
        let config = Arc::new(config);
        let failed = |error| failure(&self.file, error);
        block_on(async {
            let mut steps = Steps::new(output);
            let mut step = |step| steps.take(step);
            let imported = if is_standard(&self.file) {
                let input = BufReader::new(io::stdin());
                lines::import(config, ROLE, input, 0, self.dry_run, &mut step).await
            } else {
                let cannot = || Failure::io(format!("cannot read {}", shown(&self.file)));
                let file = File::open(&self.file).map_err(cannot())?;
                let bytes = file.metadata().map_err(cannot())?.len();
                lines::import(config, ROLE, BufReader::new(file), bytes, self.dry_run, &mut step).await
            };
            drop(steps);
            let records = imported.map_err(failed)?;
            let said = if self.dry_run { "would import" } else { "imported" };
            let next = if self.dry_run { "" } else { "; check it with `doorward verify`, then start the server" };
            let text = format!("{said} {} from {}{next}", told(&records), shown(&self.file));
            output.answer(&Report { file: self.file.clone(), records, dry_run: Some(self.dry_run) }, || text)
        })
    }
}

fn prepare(global: &Global, config: &Config) -> Result<(), Failure> {
    if config.store.engine == Engine::Memory {
        return Err(Failure::Usage("store.engine is \"memory\": there is nothing on disk".to_owned()));
    }
    logging::start_for_command(global)
}

fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::runtime)?;
    runtime.block_on(work)
}

/// `5 users, 2 organizations and 60 other records`.
fn told(records: &Counts) -> String {
    let number = |name: &str| usize::try_from(records.get(name).copied().unwrap_or(0)).unwrap_or(usize::MAX);
    let all = records.values().fold(0, |all: u64, count| all.saturating_add(*count));
    let others = usize::try_from(all).unwrap_or(usize::MAX).saturating_sub(number("user") + number("organization"));
    let (users, organizations) = (count(number("user"), "user"), count(number("organization"), "organization"));
    format!("{users}, {organizations} and {}", count(others, "other record"))
}

fn failure(file: &Path, error: LinesError) -> Failure {
    match error {
        LinesError::Open(error) => Failure::Open(error),
        LinesError::Failed(error) => Failure::Operation(error),
        LinesError::Io(error) => Failure::io(format!("cannot read or write {}", shown(file)))(error),
        LinesError::Line(..) => Failure::Failed(format!("{}, {error}; nothing was imported", shown(file))),
    }
}
