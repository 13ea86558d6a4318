//! `doorward key`: personal API keys.

use clap::Subcommand;

use super::output::{table, wire_moment};
use super::{Failure, Output};
use crate::admin::Link;
use crate::app::api_keys::{CreateApiKeyFor, ListApiKeysOf, RevokeApiKey};
use crate::app::views::{ApiKeyView, UserRef};
use crate::domain::secret::Secret;
use crate::domain::text::for_display;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a key and print its value, this once
    #[command(after_help = "Example:\n  doorward key create --user ada@example.com --label ci --scope user:read")]
    Create {
        /// Whose key it is
        #[arg(long = "user", value_name = "USER")]
        owner: String,
        /// What the key is for
        #[arg(long)]
        label: String,
        /// What the key may do, such as user:read; may be repeated
        #[arg(long = "scope", value_name = "SCOPE", required = true)]
        scopes: Vec<String>,
    },
    /// List the keys of a user
    #[command(after_help = "Example:\n  doorward key list ada@example.com")]
    List { user: String },
    /// Revoke a key
    #[command(after_help = "Example:\n  doorward key revoke ada@example.com KEY_ID --reason \"leaked in a log\"")]
    Revoke {
        user: String,
        /// The key's id, as `key list` shows it
        id: String,
        /// Why, for the audit trail
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

impl Command {
    pub async fn run(self, link: &Link, output: Output) -> Result<(), Failure> {
        match self {
            Self::Create { owner, label, scopes } => {
                let key = link.call(CreateApiKeyFor { user: UserRef(owner), label, scopes }).await?;
                output.answer(&key, || for_display(key.value.as_ref().map_or("", Secret::expose)))?;
                output.note(&format!("key {}: the value is shown only this once", key.id));
                Ok(())
            }
            Self::List { user } => {
                let keys = link.call(ListApiKeysOf { user: UserRef(user) }).await?;
                output.answer(&keys, || keys_text(&keys))
            }
            Self::Revoke { user, id, reason } => {
                let done = link.call(RevokeApiKey { user: UserRef(user), id, reason }).await?;
                output.answer(&done, || for_display(&done.summary))
            }
        }
    }
}

fn keys_text(keys: &[ApiKeyView]) -> String {
    if keys.is_empty() {
        return "no API keys; `doorward key create` makes one".to_owned();
    }
    let rows = keys.iter().map(|key| {
        [
            key.id.clone(),
            key.label.clone(),
            key.mask_value.clone().unwrap_or_default(),
            key.scopes.join(" "),
            wire_moment(&key.created_at),
            key.last_used_at.as_deref().map_or_else(|| "never".to_owned(), wire_moment),
        ]
    });
    table(["ID", "LABEL", "VALUE", "SCOPES", "CREATED", "LAST USED"], rows.collect())
}
