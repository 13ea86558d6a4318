//! `doorward console`: the terminal console.

use std::io::{self, IsTerminal};
use std::sync::Arc;

use clap::Args;

use super::{Failure, Global};
use crate::config::Config;
use crate::console;

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
}

impl Arguments {
    pub fn run(self, global: &Global, config: Config) -> Result<(), Failure> {
        if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
            return Err(Failure::Usage(format!(
                "the console needs a terminal; `doorward user list{}` does the same in a script",
                self.query.map(|query| format!(" {query}")).unwrap_or_default()
            )));
        }
        let options = console::Options {
            query: self.query,
            read_only: self.read_only,
            write: self.write,
            no_color: global.no_color,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::runtime)?;
        let result = runtime.block_on(console::run(Arc::new(config), global.operator(), options));
        // The thread that waits for keys cannot be woken.
        runtime.shutdown_background();
        result.map_err(Failure::io("the console failed"))
    }
}
