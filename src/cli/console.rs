//! `doorward console`: the terminal console.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::{Failure, Global};
use crate::config::{Config, ConfigError};
use crate::console;
use crate::console::settings::{self, Settings};
use crate::console::theme::Colours;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Search for this at once
    query: Option<String>,
    /// Forbid changes
    #[arg(long, conflicts_with = "write")]
    read_only: bool,
    /// Start with changes allowed
    #[arg(long)]
    write: bool,
    /// Line by line, for screen readers, braille and terminals that cannot show a screen; also through pipes
    #[arg(long)]
    plain: bool,
    /// Begin with the overview
    #[arg(long, conflicts_with = "query")]
    home: bool,
    /// Colours: 16, mono or contrast
    #[arg(long, value_name = "NAME", value_parser = theme)]
    theme: Option<Colours>,
    /// Nothing on the screen turns
    #[arg(long)]
    calm: bool,
    /// Take clicks and the wheel
    #[arg(long)]
    mouse: bool,
    /// Keys and looks from this file, instead of console.toml
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
}

impl Arguments {
    /// `file` is the configuration file, beside which a `console.toml` may lie.
    pub fn run(self, global: &Global, config: Config, file: Option<&Path>) -> Result<(), Failure> {
        let mut settings = Settings::read(&settings::files(self.keys.as_deref(), file)).map_err(ConfigError::in_use)?;
        settings.calm |= self.calm;
        settings.mouse |= self.mouse;
        let has_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
        if !(self.plain || has_terminal) {
            return Err(Failure::Usage(format!(
                "the console needs a terminal; `doorward user list{}` does the same in a script",
                self.query.map(|query| format!(" {query}")).unwrap_or_default()
            )));
        }
        let options = console::Options {
            query: self.query,
            read_only: self.read_only,
            write: self.write,
            home: self.home,
            plain: self.plain,
            no_color: global.no_color,
            theme: self.theme,
            settings,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::runtime)?;
        let result = runtime.block_on(console::run(Arc::new(config), global.operator(), options));
        // The thread that waits for keys cannot be woken.
        runtime.shutdown_background();
        result.map_err(Failure::io("the console failed"))
    }
}

fn theme(name: &str) -> Result<Colours, String> {
    let found = Colours::ALL.into_iter().find(|(known, _)| *known == name);
    found.map(|(_, colours)| colours).ok_or_else(|| "there are 16, mono and contrast".to_owned())
}
