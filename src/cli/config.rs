//! `doorward config`: looks at the configuration without starting anything.

use clap::Subcommand;
use serde_json::json;

use super::{Failure, Global, Output};
use crate::app::instance::open_key_warning;
use crate::http::tls;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check the configuration and say which file it comes from
    #[command(after_help = "Example:\n  doorward config check --config /etc/doorward/config.toml")]
    Check,
    /// Print the configuration in force, without secrets
    #[command(after_help = "Example:\n  doorward config print > config.toml")]
    Print,
    /// Print the path of the configuration file
    #[command(after_help = "Example:\n  $EDITOR \"$(doorward config path)\"")]
    Path,
}

impl Command {
    pub fn run(&self, global: &Global, output: Output) -> Result<(), Failure> {
        let loaded = global.load()?;
        let file = loaded.file.map(|file| file.display().to_string());
        match self {
            Self::Check => {
                let source = file.as_deref().unwrap_or("built-in defaults, no file");
                let mut warnings = tls::check(&loaded.config)?;
                warnings.extend(open_key_warning(&loaded.config));
                output.answer(&json!({"ok": true, "file": file, "warnings": warnings}), || {
                    let warnings = warnings.iter().map(|warning| format!("\nwarning: {warning}"));
                    format!("ok: {source}{}", warnings.collect::<String>())
                })
            }
            Self::Print => {
                let text = toml::to_string(&loaded.config).map_err(|error| Failure::Failed(error.to_string()))?;
                output.answer(&loaded.config, || text)
            }
            Self::Path => match &file {
                Some(path) => output.answer(&json!({"file": path}), || path.clone()),
                None => Err(Failure::Failed(
                    "no configuration file is in use: make ./config.toml, or name one with --config".to_owned(),
                )),
            },
        }
    }
}
