//! The command line: what can be typed, and how answers and failures are shown. The rules are the operations'.
//!
//! The names of commands, flags and exit codes are a contract with scripts.

pub mod audit;
pub mod backup;
pub mod config;
pub mod console;
mod dump;
pub mod export;
mod failure;
mod file;
pub mod import;
pub mod job;
pub mod key;
pub mod lines;
mod logging;
pub mod output;
pub mod pages;
mod progress;
mod proof;
pub mod rekey;
mod sensitive;
pub mod serve;
pub mod session;
pub mod two_factor;
pub mod user;
pub mod verify;
mod when;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

use crate::admin::{Link, Operator};
use crate::config::{Config, Engine, Loaded, Sources};
pub use failure::Failure;
pub use output::Output;

/// How the commands are named to the lock file and the audit trail.
const ROLE: &str = "command line";

const VERSION: &str =
    concat!(env!("CARGO_PKG_VERSION"), " (", env!("DOORWARD_COMMIT"), ", ", env!("DOORWARD_TARGET"), ")");

/// Accounts and second factors in one file: an HTTP server, a terminal console, and these commands.
///
/// `user`, `2fa`, `key`, `session`, `job`, `audit` and `backup` work while the server runs and when it does not. USER is an e-mail
/// address, a UUID or a numeric id.
#[derive(Debug, Parser)]
#[command(
    name = "doorward",
    version = VERSION,
    after_help = "\
Examples:
  doorward serve
  doorward user create --email ada@example.com --staff
  doorward 2fa reset ada@example.com --reason \"lost phone, HD-4711\"

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 refused by a rule, 5 no connection or store locked,
78 bad configuration."
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Configuration file [default: ./config.toml when it exists]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Data directory, instead of the configured one
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Answers, and errors, as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Say less
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Log more, to standard error; twice for still more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// No colours
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Your name for the audit trail [default: the login name]
    #[arg(long, global = true, value_name = "NAME")]
    pub operator: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server
    #[command(after_help = "Example:\n  doorward serve --data-dir /var/lib/doorward")]
    Serve,
    /// Open the terminal console
    #[command(after_help = "Examples:\n  doorward console\n  doorward console anna.s --read-only")]
    Console(console::Arguments),
    #[command(flatten)]
    Operate(Operate),
    #[command(flatten)]
    Rebuild(backup::Rebuild),
    /// Write everything in the store to a file of JSON lines, in clear
    #[command(after_help = "\
Examples:
  doorward export everything.jsonl
  doorward export - --yes --backup doorward.backup | gpg -e -r ops > everything.jsonl.gpg

No server may run, unless it is a backup that is exported. The file has all secrets in clear: who has it can log in as
everybody. docs/export.md describes it. To move a store as it is, `doorward backup` is simpler and keeps secrets sealed.")]
    Export(lines::ExportArguments),
    /// Make the store from a file of JSON lines
    #[command(after_help = "\
Examples:
  doorward import everything.jsonl --dry-run
  doorward import everything.jsonl

No server may run, and the store must be empty or not there. Nothing is imported unless everything is.")]
    Import(lines::ImportArguments),
    /// Put another secret key in the place of the present one
    #[command(after_help = "\
Examples:
  doorward rekey --dry-run
  doorward rekey
  doorward rekey --drop-older

No server may run. Everything sealed in the store is sealed with the new key, in a new store that takes the place of the old
one; doing it again goes on where it was interrupted. The older key stays in the file, for backups made before.")]
    Rekey(rekey::Arguments),
    /// Look at the configuration
    #[command(subcommand, after_help = "Example:\n  doorward config check")]
    Config(config::Command),
    /// Print the description of the HTTP API, in OpenAPI 3.1
    #[command(after_help = "Example:\n  doorward openapi > openapi.json")]
    Openapi,
    /// Print the completions for a shell
    #[command(after_help = "Example:\n  doorward completions bash > /etc/bash_completion.d/doorward")]
    Completions { shell: clap_complete::Shell },
    /// Print the manual page, or write one for each command into a folder
    #[command(after_help = "Examples:\n  doorward man | man -l -\n  doorward man --dir /usr/local/share/man/man1")]
    Man {
        /// Folder for the pages of all commands
        #[arg(long)]
        dir: Option<PathBuf>,
    },
}

/// The commands that need the operations.
#[derive(Debug, Subcommand)]
pub enum Operate {
    /// Make, find and change users
    #[command(subcommand, after_help = "Example:\n  doorward user list --state locked")]
    User(user::Command),
    /// See, reset and repair second factors
    #[command(
        subcommand,
        name = "2fa",
        visible_alias = "two-factor",
        after_help = "Example:\n  doorward 2fa status ada@example.com"
    )]
    TwoFactor(two_factor::Command),
    /// Personal API keys
    #[command(subcommand, after_help = "Example:\n  doorward key list ada@example.com")]
    Key(key::Command),
    /// Login sessions
    #[command(subcommand, after_help = "Example:\n  doorward session list ada@example.com")]
    Session(session::Command),
    /// Acts on many users, one after the other
    #[command(subcommand, after_help = "Example:\n  doorward job list")]
    Job(job::Command),
    /// The audit trail
    #[command(subcommand, after_help = "Example:\n  doorward audit list --user ada@example.com")]
    Audit(audit::Command),
    /// Check every record, index, counter and link of the audit trail, of the store or of a backup
    #[command(after_help = "\
Examples:
  doorward verify
  doorward verify --repair
  doorward verify /backup/doorward.backup

Works while the server runs and when it does not. The exit code is 1 when something is wrong.")]
    Verify(verify::Arguments),
    /// Write everything in the store to a file, while the server runs or not
    #[command(after_help = "\
Examples:
  doorward backup /backup/doorward.backup
  doorward backup - | ssh vault 'cat > doorward.backup'

The secret key is not in it: keep a copy of secret.key in another place. The server also makes backups by itself ([backup]).")]
    Backup(backup::BackupArguments),
}

impl Cli {
    /// Reads the arguments of the process. Help and version are printed here; wrong usage is exit code 2.
    pub fn from_process() -> Result<Self, ExitCode> {
        Self::try_parse().map_err(|error| {
            let is_answer = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            if !is_answer && std::env::args_os().any(|argument| argument == "--json") {
                let message = match error.kind() {
                    ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                        "a command is missing: see --help".to_owned()
                    }
                    _ => first_line(&error.to_string()),
                };
                return Output::json().fail(&Failure::Usage(message));
            }
            // Nobody is left to tell when this fails.
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1))
        })
    }
}

/// What clap says first, without its label.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

impl Global {
    /// Loads and checks the configuration that these flags name.
    pub fn load(&self) -> Result<Loaded, Failure> {
        Ok(crate::config::load(&Sources::of_process(self.config.clone(), self.data_dir.clone())?)?)
    }

    fn operator(&self) -> Operator {
        Operator::present(self.operator.as_deref())
    }
}

impl Operate {
    /// Runs the command through the server or, when none runs, in the store itself.
    pub fn run(self, global: &Global, config: Config, output: Output) -> Result<(), Failure> {
        logging::start_for_command(global)?;
        if let Self::Audit(audit::Command::Verify(verify)) = &self
            && let Some(file) = verify.file()
        {
            return verify.run_on(file, output);
        }
        let config = Arc::new(config);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::runtime)?;
        runtime.block_on(async {
            if let (Self::User(user::Command::Create(_) | user::Command::Import(_)), Engine::Sled) =
                (&self, config.store.engine)
            {
                user::make_data_dir(&config)?;
            }
            let link = match &self {
                Self::Verify(verify::Arguments { file: Some(file), .. }) => {
                    let app = crate::app::instance::open_backup(Arc::clone(&config), file).await?;
                    Link::to(app, global.operator(), ROLE)
                }
                _ => Link::connect(&config, global.operator(), ROLE).await?,
            };
            let result = match self {
                Self::User(command) => command.run(&link, output).await,
                Self::TwoFactor(command) => command.run(&link, output).await,
                Self::Key(command) => command.run(&link, output).await,
                Self::Session(command) => command.run(&link, output).await,
                Self::Job(command) => command.run(&link, output).await,
                Self::Audit(command) => command.run(&link, output).await,
                Self::Verify(arguments) => arguments.run(&link, output).await,
                Self::Backup(arguments) => arguments.run(&link, &config, output).await,
            };
            link.close().await;
            result
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_help_and_an_example() {
        fn check(command: &clap::Command, path: &str) {
            assert!(command.get_about().is_some(), "{path} says nothing about itself");
            let example = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(example.contains(path), "{path} has no example: {example:?}");
            for argument in command.get_arguments() {
                let known = matches!(argument.get_id().as_str(), "shell" | "user" | "help" | "version");
                assert!(known || argument.get_help().is_some(), "{path} {} has no help", argument.get_id());
            }
            for inner in command.get_subcommands() {
                check(inner, &format!("{path} {}", inner.get_name()));
            }
        }
        check(&Cli::command(), "doorward");
    }
}
