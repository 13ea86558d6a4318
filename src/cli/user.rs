//! `doorward user`: make, find and change users.

use std::num::NonZeroUsize;
use std::os::unix::fs::DirBuilderExt;

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use super::output::{count, facts, moment, moment_or, table};
use super::proof::Reason;
use super::{Failure, Output, export, import, sensitive};
use crate::admin::Link;
use crate::app::accounts::{CreateUser, SetUser, SetUserActive, UserCreated};
use crate::app::directory::{FindUsers, InspectUser, ListFrom};
use crate::app::organization_views::OrganizationBasicView;
use crate::app::views::{UserDetail, UserRef, UserRow, UserView};
use crate::config::Config;
use crate::domain::organization::Level;
use crate::domain::secret::Secret;
use crate::domain::text::for_display;
use crate::domain::user::FactorState;
use crate::domain::user_filter::{FILTER_WORDS, UserFilter, UserQuery, UserSort};

/// Most rows that one question to the operations may ask for.
const ROWS_AT_ONCE_MAX: usize = 500;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a user; without a password, print a link that sets one, once
    #[command(after_help = "\
Examples:
  doorward user create --email ada@example.com --staff --verified
  doorward user create --email ada@example.com --password-stdin < password.txt
  doorward user create --email ada@example.com --organization \"Analytical Engines\" --level admin")]
    Create(Create),
    /// List users by e-mail address
    #[command(after_help = "\
Examples:
  doorward user list anna.s
  doorward user list --state locked --staff
  doorward user list role:staff 2fa:off in:90d --sort last-login")]
    List(List),
    /// Show what there is to know about a user
    #[command(after_help = "Example:\n  doorward user show ada@example.com")]
    Show { user: String },
    /// Change fields of a user; what is not named stays
    #[command(after_help = "\
Examples:
  doorward user set ada@example.com --first-name Ada --staff true
  doorward user set ada@example.com --organization analytical-engines --level owner")]
    Set(Set),
    /// Lock a user out and end the sessions, or take that back
    #[command(after_help = "\
Examples:
  doorward user deactivate ada@example.com --reason \"left the company\"
  doorward user deactivate ada@example.com --undo --reason \"came back\"")]
    Deactivate {
        user: String,
        #[command(flatten)]
        why: Reason,
        /// Let the user in again
        #[arg(long)]
        undo: bool,
    },
    /// Take over users of another program, with their passwords and second factors
    #[command(after_help = "\
Examples:
  doorward user import --format django dump.json --dry-run
  doorward user import --format django dump.json

A second run changes nothing, and one after an interruption goes on. docs/import.md says how to make the file.")]
    Import(import::Arguments),
    /// Write all users, with password hashes and second factors, for another program
    #[command(after_help = "Example:\n  doorward user export --format django users.json")]
    Export(export::Arguments),
}

#[derive(Debug, Args)]
pub struct Create {
    /// E-mail address
    #[arg(long)]
    email: String,
    /// First name
    #[arg(long, value_name = "NAME", default_value = "")]
    first_name: String,
    /// Last name
    #[arg(long, value_name = "NAME", default_value = "")]
    last_name: String,
    /// May see and reset others over the API
    #[arg(long)]
    staff: bool,
    /// The address needs no verification
    #[arg(long)]
    verified: bool,
    /// Read the password from the first line of standard input
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    place: Place,
}

/// Where a user belongs.
#[derive(Debug, Args)]
pub struct Place {
    /// Name, slug or id of an organization to put the user into; a name that is new founds one
    #[arg(long, value_name = "NAME_OR_ID")]
    organization: Option<String>,
    /// What the user may do there [default: member, or owner of a new one]
    #[arg(long, requires = "organization")]
    level: Option<MemberLevel>,
}

/// [`Level`] as an argument.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum MemberLevel {
    Member,
    Admin,
    Owner,
}

impl From<MemberLevel> for Level {
    fn from(level: MemberLevel) -> Self {
        match level {
            MemberLevel::Member => Self::Member,
            MemberLevel::Admin => Self::Administrator,
            MemberLevel::Owner => Self::Owner,
        }
    }
}

#[derive(Debug, Args)]
pub struct List {
    /// Parts of the e-mail address or the name, and filters: role:staff 2fa:off locked codes:<=2 mail:pending
    /// mail:failed in:90d new:7d keys sessions
    #[arg(value_parser = words)]
    query: Vec<String>,
    /// Only users whose second factor is in this state
    #[arg(long)]
    state: Option<State>,
    /// Only staff
    #[arg(long)]
    staff: bool,
    /// The order
    #[arg(long, default_value = "email")]
    sort: Sort,
    /// Most users to list
    #[arg(long, value_name = "N", default_value = "100")]
    limit: NonZeroUsize,
}

#[derive(Debug, Args)]
pub struct Set {
    user: String,
    /// E-mail address
    #[arg(long)]
    email: Option<String>,
    /// First name
    #[arg(long, value_name = "NAME")]
    first_name: Option<String>,
    /// Last name
    #[arg(long, value_name = "NAME")]
    last_name: Option<String>,
    /// May see and reset others over the API
    #[arg(long, value_name = "true|false")]
    staff: Option<bool>,
    /// Whether the address counts as verified
    #[arg(long, value_name = "true|false")]
    verified: Option<bool>,
    /// Read the password from the first line of standard input
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    place: Place,
}

/// [`UserSort`] as an argument.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Sort {
    /// By e-mail address; the best hits of a search first
    Email,
    /// By e-mail address, the last one first
    EmailDescending,
    /// The newest account first
    Created,
    /// The newest login first
    LastLogin,
    /// By name
    Name,
}

impl From<Sort> for UserSort {
    fn from(sort: Sort) -> Self {
        match sort {
            Sort::Email => Self::Email,
            Sort::EmailDescending => Self::EmailDescending,
            Sort::Created => Self::Created,
            Sort::LastLogin => Self::LastLogin,
            Sort::Name => Self::Name,
        }
    }
}

/// [`FactorState`] as an argument.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum State {
    Off,
    On,
    Enrol,
    Locked,
}

impl From<State> for FactorState {
    fn from(state: State) -> Self {
        match state {
            State::Off => Self::Off,
            State::On => Self::On,
            State::Enrol => Self::Enrol,
            State::Locked => Self::Locked,
        }
    }
}

impl Command {
    pub async fn run(self, link: &Link, output: Output) -> Result<(), Failure> {
        match self {
            Self::Create(create) => create.run(link, output).await,
            Self::List(list) => list.run(link, output).await,
            Self::Show { user } => {
                let detail = link.call(InspectUser { user: UserRef(user) }).await?;
                output.answer(&detail, || detail_text(&detail))
            }
            Self::Set(set) => set.run(link, output).await,
            Self::Import(arguments) => arguments.run(link, output).await,
            Self::Export(arguments) => arguments.run(link, output).await,
            Self::Deactivate { user, why, undo } => {
                let change = SetUserActive { user: UserRef(user), active: undo, proof: why.proof() };
                let done = link.call(change).await?;
                output.answer(&done, || for_display(&done.summary))
            }
        }
    }
}

/// Makes the data directory, which a first user may be the first to need.
pub(super) fn make_data_dir(config: &Config) -> Result<(), Failure> {
    let path = &config.server.data_dir;
    let failed = Failure::io(format!("cannot make the data directory {}", path.display()));
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)
}

fn password(from_stdin: bool) -> Result<Option<Secret>, Failure> {
    from_stdin.then(sensitive::read_password).transpose()
}

impl Create {
    async fn run(self, link: &Link, output: Output) -> Result<(), Failure> {
        let password = password(self.password_stdin)?;
        let created = link
            .call(CreateUser {
                email: self.email,
                first_name: self.first_name,
                last_name: self.last_name,
                is_staff: self.staff,
                is_verified: self.verified,
                password,
                organization: self.place.organization,
                level: self.place.level.map(Level::from),
            })
            .await?;
        output.answer(&created_json(&created)?, || created_text(&created))
    }
}

/// The user object, and the link beside its fields.
fn created_json(created: &UserCreated) -> Result<serde_json::Value, Failure> {
    let mut user = serde_json::to_value(&created.user).map_err(|error| Failure::Failed(error.to_string()))?;
    if let (Some(fields), Some(link)) = (user.as_object_mut(), &created.set_password_link) {
        fields.insert("set_password_link".to_owned(), link.expose().into());
    }
    Ok(user)
}

fn created_text(created: &UserCreated) -> String {
    let place = match &created.user.organization {
        Some(organization) => {
            let members = count(usize::try_from(organization.member_count).unwrap_or(usize::MAX), "member");
            format!("in {} ({}, {members})\n", for_display(&organization.name), organization.slug)
        }
        None => String::new(),
    };
    let made = format!("created {}\n{place}", user_line(&created.user));
    match &created.set_password_link {
        Some(link) => format!("{made}set a password here, once: {}\n", for_display(link.expose())),
        None => made,
    }
}

fn user_line(user: &UserView) -> String {
    let staff = if user.is_staff { ", staff" } else { "" };
    format!("{} (id {}, uuid {}{staff})", for_display(&user.email), user.id, user.uuid)
}

impl Set {
    async fn run(self, link: &Link, output: Output) -> Result<(), Failure> {
        let nothing = [&self.email, &self.first_name, &self.last_name, &self.place.organization]
            .iter()
            .all(|field| field.is_none())
            && self.staff.is_none()
            && self.verified.is_none()
            && !self.password_stdin;
        if nothing {
            return Err(Failure::Usage("name at least one field to change, such as --first-name".to_owned()));
        }
        let password = password(self.password_stdin)?;
        let user = link
            .call(SetUser {
                user: UserRef(self.user),
                email: self.email,
                first_name: self.first_name,
                last_name: self.last_name,
                is_staff: self.staff,
                is_verified: self.verified,
                password,
                organization: self.place.organization,
                level: self.place.level.map(Level::from),
            })
            .await?;
        output.answer(&user, || format!("changed {}", user_line(&user)))
    }
}

/// The users of `user list`, as JSON shows them.
#[derive(Default, Serialize)]
struct Listed {
    rows: Vec<UserRow>,
    /// Where the list would go on.
    next: Option<String>,
    total: u64,
}

impl List {
    async fn run(self, link: &Link, output: Output) -> Result<(), Failure> {
        let found = self.find(link).await?;
        output.answer(&found, || rows_text(&found.rows))?;
        if found.next.is_some() {
            output.note(&format!("there are more: raise --limit above {}", self.limit));
        }
        Ok(())
    }

    /// What is asked for, in words and in flags.
    fn query(&self) -> UserQuery {
        let mut query = UserQuery::parse(&self.query.join(" "));
        if let Some(state) = self.state {
            query.add(UserFilter::State(state.into()));
        }
        if self.staff {
            query.add(UserFilter::Staff(true));
        }
        query
    }

    /// Asks page by page until there are enough.
    async fn find(&self, link: &Link) -> Result<Listed, Failure> {
        let mut found = Listed::default();
        let UserQuery { words, filters } = self.query();
        loop {
            let missing = self.limit.get().saturating_sub(found.rows.len());
            let page = link
                .call(FindUsers {
                    query: words.clone(),
                    filters: filters.clone(),
                    sort: self.sort.into(),
                    from: found.next.take().map_or(ListFrom::Start, ListFrom::After),
                    limit: missing.min(ROWS_AT_ONCE_MAX),
                })
                .await?;
            found.rows.extend(page.rows);
            found.next = page.after;
            found.total = page.total;
            if found.next.is_none() || found.rows.len() >= self.limit.get() {
                return Ok(found);
            }
        }
    }
}

/// Words and filters as they are typed. What begins like a filter and is none is an error: nobody has it in a name.
pub(super) fn words(typed: &str) -> Result<String, String> {
    match UserQuery::parse(typed).misspelt() {
        Some(word) => Err(format!("{word} is no filter; there are {FILTER_WORDS}")),
        None => Ok(typed.to_owned()),
    }
}

fn rows_text(rows: &[UserRow]) -> String {
    if rows.is_empty() {
        return "no user matches; `doorward user create --email ...` makes one".to_owned();
    }
    let rows = rows.iter().map(|row| {
        [
            row.id.to_string(),
            row.email.clone(),
            row.name.clone(),
            role(row).to_owned(),
            row.state.as_str().to_owned(),
            row.backup_codes.to_string(),
            moment_or(row.last_login, "never"),
        ]
    });
    table(["ID", "E-MAIL", "NAME", "ROLE", "2FA", "CODES", "LAST LOGIN"], rows.collect())
}

fn role(row: &UserRow) -> &'static str {
    match (row.is_active, row.is_staff) {
        (false, _) => "inactive",
        (true, true) => "staff",
        (true, false) => "user",
    }
}

fn detail_text(detail: &UserDetail) -> String {
    let row = &detail.row;
    let verified = match row.is_email_verified {
        Some(true) => "yes",
        Some(false) => "no",
        None => "not asked for",
    };
    let mut text = facts(&[
        ("e-mail", row.email.clone()),
        ("name", row.name.clone()),
        ("id", row.id.to_string()),
        ("uuid", row.uuid.to_string()),
        ("role", role(row).to_owned()),
        ("verified", verified.to_owned()),
        ("change to", detail.pending_email.clone().unwrap_or_default()),
        ("password", if detail.has_password { "set" } else { "none" }.to_owned()),
        ("organizations", organizations_text(&detail.organizations)),
        ("joined", moment(row.date_joined)),
        ("last login", moment_or(row.last_login, "never")),
        ("2fa", row.state.as_str().to_owned()),
        ("codes left", row.backup_codes.to_string()),
        ("sessions", detail.sessions.len().to_string()),
        ("remembered", count(detail.remembered_devices, "device")),
        ("api keys", detail.api_keys.len().to_string()),
        ("mails waiting", detail.mails_waiting.to_string()),
        ("same name", detail.namesakes.join(", ")),
    ]);
    for warning in &detail.warnings {
        text.extend(["! ", &for_display(warning), "\n"]);
    }
    if !detail.audit.is_empty() {
        text.push('\n');
        text.push_str(&super::audit::rows_text(&detail.audit));
    }
    text
}

fn organizations_text(organizations: &[OrganizationBasicView]) -> String {
    let level = |organization: &OrganizationBasicView| match organization.membership_level {
        Some(Level::Owner) => "owner",
        Some(Level::Administrator) => "admin",
        Some(Level::Member) | None => "member",
    };
    let shown: Vec<String> = organizations.iter().map(|one| format!("{} ({})", one.name, level(one))).collect();
    shown.join(", ")
}
