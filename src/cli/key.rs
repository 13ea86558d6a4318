//! `doorward key`: personal API keys.

use clap::{ArgGroup, Args, Subcommand};

use super::output::{table, wire_moment};
use super::proof::{Reason, Sure};
use super::{Failure, Output};
use crate::admin::Link;
use crate::app::operator_keys::{
    CreateApiKeyFor, KeyFields, ListApiKeysOf, RevokeAllApiKeys, RevokeApiKey, RollApiKeyOf, SetApiKey,
};
use crate::app::views::{ApiKeyView, UserRef};
use crate::domain::secret::Secret;
use crate::domain::text::for_display;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a key and print its value, this once
    #[command(after_help = "\
Examples:
  doorward key create --user ada@example.com --label ci --scope user:read
  doorward key create --user ada@example.com --label ci --scope '*' --organization UUID")]
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
        /// More about it
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// UUID of an organization to limit the key to; may be repeated
        #[arg(long = "organization", value_name = "UUID")]
        organizations: Vec<String>,
        /// Id of a team to limit the key to; may be repeated
        #[arg(long = "team", value_name = "ID")]
        teams: Vec<i64>,
    },
    /// List the keys of a user
    #[command(after_help = "Example:\n  doorward key list ada@example.com")]
    List { user: String },
    /// Change a key; what is not named stays
    #[command(after_help = "\
Examples:
  doorward key set ada@example.com KEY_ID --label \"build server\"
  doorward key set ada@example.com KEY_ID --scope user:read --any-team")]
    Set(Set),
    /// Give a key a new value and print it, this once; the old one stops working
    #[command(after_help = "Example:\n  doorward key roll ada@example.com KEY_ID --reason \"leaked in a log\"")]
    Roll {
        user: String,
        /// The key's id, as `key list` shows it
        id: String,
        #[command(flatten)]
        why: Reason,
    },
    /// Revoke a key, or all of them
    #[command(after_help = "\
Examples:
  doorward key revoke ada@example.com KEY_ID --reason \"leaked in a log\"
  doorward key revoke ada@example.com --all --reason \"stolen laptop\"")]
    Revoke(Revoke),
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).args(["id", "all"]))]
pub struct Revoke {
    user: String,
    /// The key's id, as `key list` shows it
    id: Option<String>,
    /// All keys
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    sure: Sure,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("change").required(true).multiple(true).args([
    "label", "scopes", "description", "organizations", "any_organization", "teams", "any_team",
]))]
pub struct Set {
    user: String,
    /// The key's id, as `key list` shows it
    id: String,
    /// What the key is for
    #[arg(long)]
    label: Option<String>,
    /// All that the key may do from now on; may be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// More about it; an empty text takes it away
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// UUID of an organization to limit the key to; may be repeated
    #[arg(long = "organization", value_name = "UUID")]
    organizations: Vec<String>,
    /// Lift the limit to organizations
    #[arg(long, conflicts_with = "organizations")]
    any_organization: bool,
    /// Id of a team to limit the key to; may be repeated
    #[arg(long = "team", value_name = "ID")]
    teams: Vec<i64>,
    /// Lift the limit to teams
    #[arg(long, conflicts_with = "teams")]
    any_team: bool,
}

impl Command {
    pub async fn run(self, link: &Link, output: Output) -> Result<(), Failure> {
        match self {
            Self::Create { owner, label, scopes, description, organizations, teams } => {
                let fields = KeyFields {
                    label: Some(label),
                    description,
                    scopes: Some(scopes),
                    organizations: Some(organizations),
                    teams: Some(teams),
                };
                show_value(&link.call(CreateApiKeyFor { user: UserRef(owner), fields }).await?, output)
            }
            Self::List { user } => {
                let keys = link.call(ListApiKeysOf { user: UserRef(user) }).await?;
                output.answer(&keys, || keys_text(&keys))
            }
            Self::Set(set) => {
                let key = link.call(set.into_operation()).await?;
                output.answer(&key, || keys_text(std::slice::from_ref(&key)))
            }
            Self::Roll { user, id, why } => {
                let roll = RollApiKeyOf { user: UserRef(user), id, proof: why.proof() };
                show_value(&link.call(roll).await?, output)
            }
            Self::Revoke(Revoke { user, id, sure, .. }) => {
                let user = UserRef(user);
                let done = if let Some(id) = id {
                    link.call(RevokeApiKey { user, id, proof: sure.unconfirmed() }).await?
                } else {
                    let proof = sure.proof(link, &user).await?;
                    link.call(RevokeAllApiKeys { user, proof }).await?
                };
                output.answer(&done, || for_display(&done.summary))
            }
        }
    }
}

impl Set {
    fn into_operation(self) -> SetApiKey {
        fn list<T>(named: Vec<T>, any: bool) -> Option<Vec<T>> {
            (any || !named.is_empty()).then_some(named)
        }
        let fields = KeyFields {
            label: self.label,
            description: self.description,
            scopes: list(self.scopes, false),
            organizations: list(self.organizations, self.any_organization),
            teams: list(self.teams, self.any_team),
        };
        SetApiKey { user: UserRef(self.user), id: self.id, fields }
    }
}

fn show_value(key: &ApiKeyView, output: Output) -> Result<(), Failure> {
    output.answer(key, || for_display(key.value.as_ref().map_or("", Secret::expose)))?;
    output.note(&format!("key {}: the value is shown only this once", key.id));
    Ok(())
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
            limits_text(key),
            wire_moment(&key.created_at),
            key.last_used_at.as_deref().map_or_else(|| "never".to_owned(), wire_moment),
        ]
    });
    table(["ID", "LABEL", "VALUE", "SCOPES", "ONLY FOR", "CREATED", "LAST USED"], rows.collect())
}

fn limits_text(key: &ApiKeyView) -> String {
    let organizations = key.scoped_organizations.iter().map(|id| format!("organization {id}"));
    let teams = key.scoped_teams.iter().map(|id| format!("team {id}"));
    organizations.chain(teams).collect::<Vec<_>>().join(", ")
}
