//! What packagers, shells and client generators want: manual pages, completions, the description of the API.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Failure, output};
use crate::http::openapi;

/// Prints the description of the HTTP API, as `assets/openapi.json` has it.
pub fn openapi() -> Result<(), Failure> {
    let text = openapi::pretty().map_err(|error| Failure::Failed(format!("cannot read the description: {error}")))?;
    output::print(&format!("{text}\n"))
}

/// Prints the completions for a shell.
pub fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "doorward", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}

/// Prints the manual page of the program, or writes one for each command into `dir`.
pub fn man(dir: Option<&Path>) -> Result<(), Failure> {
    if let Some(dir) = dir {
        let failed = Failure::io(format!("cannot write manual pages into {}", dir.display()));
        return clap_mangen::generate_to(Cli::command(), dir).map_err(failed);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page).map_err(Failure::io("cannot make the manual page"))?;
    output::print(&String::from_utf8_lossy(&page))
}
