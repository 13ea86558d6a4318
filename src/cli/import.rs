//! `doorward user import`: users from a file of another program.
//!
//! The file is read three times: for what stands elsewhere in it and has to come with the users (second factors,
//! organizations, memberships); for a dry run over all users; and for the import itself. So only that is in memory, and
//! the addresses, to notice those that come twice: about 2 KiB for a user with an authenticator and ten codes. What is
//! wrong with the file as a whole is known before anything is changed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;
use zeroize::Zeroizing;

use super::dump::{file_failure, objects};
use super::output::count;
use super::progress::Progress;
use super::{Failure, Output};
use crate::admin::Link;
use crate::admin::client::is_link_lost;
use crate::app::Operation;
use crate::app::import::{IMPORTED_AT_ONCE_MAX, ImportOrganizations, ImportOutcome, ImportUsers, Imported};
use crate::clock;
use crate::domain::django::{ORGANIZATION, Object, SecondFactors, USER_MODELS};
use crate::domain::dump::DumpError;
use crate::domain::id::OrganizationId;
use crate::domain::portable::{PortableMembership, PortableOrganization, PortableUser};
use crate::domain::text::for_display;
use crate::error::{Error, Result as OperationResult};

/// Users sent in one call, and bytes of their JSON at which it is full: the admin socket takes 1 MiB.
const USERS_AT_ONCE: usize = 50;
const BYTES_AT_ONCE: usize = 512 * 1024;
/// Longest JSON of one user, in bytes.
const USER_BYTES_MAX: usize = 256 * 1024;
/// Problems that are listed; the others are counted.
const PROBLEMS_LISTED_MAX: usize = 1_000;
/// How often a call is made again when the server is busy, and after what rest.
const TRIES: u32 = 50;
const TRY_PAUSE: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub struct Arguments {
    /// File to read: JSON of Django's `dumpdata`, or JSON lines
    file: PathBuf,
    /// What wrote the file
    #[arg(long, value_enum, default_value = "django")]
    format: Format,
    /// The model of the users, when the project has its own [default: auth.user or posthog.user]
    #[arg(long, value_name = "MODEL")]
    user_model: Option<String>,
    /// Say what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// The programs whose files are read and written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Format {
    Django,
}

/// What was found and done; with `--json` as it is.
#[derive(Debug, Default, Serialize)]
struct Report {
    dry_run: bool,
    /// In the file.
    users: u64,
    created: u64,
    present: u64,
    conflicts: u64,
    refused: u64,
    /// Of the users created.
    authenticators: u64,
    backup_codes: u64,
    must_enrol: u64,
    memberships: u64,
    organizations: u64,
    organizations_created: u64,
    organizations_present: u64,
    /// Objects of other models, which are not read.
    not_read: BTreeMap<String, u64>,
    problems: Vec<Finding>,
    problems_not_listed: u64,
}

#[derive(Clone, Debug, Serialize)]
struct Finding {
    line: u64,
    object: String,
    problem: String,
}

impl Arguments {
    pub async fn run(self, link: &Link, output: Output) -> Result<(), Failure> {
        let Format::Django = self.format;
        let dump = Dump::read(self.file, self.user_model.map(|model| model.to_lowercase()))?;
        let checked = dump.pass(link, output, true).await?;
        if self.dry_run {
            return output.answer(&checked, || checked.text());
        }
        output.note(&format!("checked: {}", checked.outcomes()));
        let report = dump.pass(link, output, false).await?;
        output.answer(&report, || report.text())
    }
}

/// A file, with what has to be known of it before its users can be sent.
struct Dump {
    path: PathBuf,
    user_model: String,
    second_factors: SecondFactors,
    organizations: Vec<(u64, PortableOrganization)>,
    /// By the primary key of the user.
    memberships: HashMap<String, Vec<PortableMembership>>,
    /// The first user of each address, as reports name it.
    addresses: HashMap<String, String>,
    users: u64,
    not_read: BTreeMap<String, u64>,
    problems: Problems,
}

impl Dump {
    /// Reads all but the users, and of those what tells them apart.
    fn read(path: PathBuf, user_model: Option<String>) -> Result<Self, Failure> {
        let is_named = user_model.is_some();
        let mut dump = Self {
            path,
            user_model: user_model.unwrap_or_default(),
            second_factors: SecondFactors::default(),
            organizations: Vec::new(),
            memberships: HashMap::new(),
            addresses: HashMap::new(),
            users: 0,
            not_read: BTreeMap::new(),
            problems: Problems::default(),
        };
        let mut keys = HashSet::new();
        for object in objects(&dump.path)? {
            let (line, object) = object?;
            if !is_named && USER_MODELS.contains(&object.model.as_str()) && object.model != dump.user_model {
                if !dump.user_model.is_empty() {
                    let problem = "there are users of two models: name one with --user-model";
                    return Err(dump.failure(&DumpError { line, problem: problem.to_owned() }));
                }
                dump.user_model.clone_from(&object.model);
            }
            if object.model == dump.user_model {
                dump.users += 1;
                if !keys.insert(object.pk.clone()) {
                    dump.problems.add(line, &object.name(), "comes a second time".to_owned());
                }
                if let Ok((user, _)) = object.user() {
                    dump.addresses.entry(address(&user)).or_insert_with(|| object.name());
                }
                continue;
            }
            match dump.take(line, &object) {
                Ok(true) => {}
                Ok(false) => *dump.not_read.entry(object.model).or_default() += 1,
                Err(problem) => dump.problems.add(line, &object.name(), problem),
            }
        }
        dump.keep_memberships();
        let strays = dump.second_factors.owners().filter(|owner| !keys.contains(*owner)).count();
        if strays > 0 {
            let problem = format!("{} of users who are not in the file", count(strays, "second factor"));
            dump.problems.add(0, "", problem);
        }
        Ok(dump)
    }

    /// Keeps an object that belongs to users; false when it is none.
    fn take(&mut self, line: u64, object: &Object) -> Result<bool, String> {
        if object.model == ORGANIZATION {
            self.organizations.push((line, object.organization()?));
        } else if let Some((user, membership)) = object.membership()? {
            self.memberships.entry(user).or_insert_with(|| Vec::with_capacity(1)).push(membership);
        } else {
            return self.second_factors.take(object);
        }
        Ok(true)
    }

    /// Keeps those in organizations of the file.
    fn keep_memberships(&mut self) {
        let here: HashSet<OrganizationId> =
            self.organizations.iter().map(|(_, organization)| organization.id).collect();
        let mut strays = 0;
        for memberships in self.memberships.values_mut() {
            let before = memberships.len();
            memberships.retain(|membership| here.contains(&membership.organization));
            memberships.sort_by_key(|membership| membership.joined_at);
            strays += before - memberships.len();
        }
        if strays > 0 {
            let problem = format!("{} in organizations that are not in the file", count(strays, "membership"));
            self.problems.add(0, "", problem);
        }
    }

    /// Sends the organizations, then all users, in the order of the file.
    async fn pass(&self, to: &Link, output: Output, dry_run: bool) -> Result<Report, Failure> {
        let what = if dry_run { "checking" } else { "importing" };
        let mut progress = Progress::start(output, what, self.users);
        let mut pass = Pass {
            dump: self,
            report: Report {
                dry_run,
                users: self.users,
                organizations: self.organizations.len() as u64,
                not_read: self.not_read.clone(),
                ..Report::default()
            },
            problems: self.problems.clone(),
            waiting: Vec::new(),
            waiting_bytes: 0,
        };
        pass.send_organizations(to).await?;
        for object in objects(&self.path)? {
            let (line, object) = object?;
            if object.model != self.user_model {
                continue;
            }
            pass.take(line, &object)?;
            if pass.waiting.len() >= USERS_AT_ONCE || pass.waiting_bytes >= BYTES_AT_ONCE {
                pass.send(to).await?;
            }
            progress.advance(1);
        }
        pass.send(to).await?;
        Ok(pass.done())
    }

    fn failure(&self, error: &DumpError) -> Failure {
        file_failure(&self.path, error)
    }
}

/// One way through all users.
struct Pass<'a> {
    dump: &'a Dump,
    report: Report,
    problems: Problems,
    /// Not sent yet, with their lines.
    waiting: Vec<(u64, PortableUser)>,
    waiting_bytes: usize,
}

impl Pass<'_> {
    fn take(&mut self, line: u64, object: &Object) -> Result<(), Failure> {
        let name = object.name();
        let (mut user, notes) = match object.user() {
            Ok(read) => read,
            Err(problem) => {
                self.report.refused += 1;
                self.problems.add(line, &name, problem);
                return Ok(());
            }
        };
        if let Some(first) = self.dump.addresses.get(&address(&user)).filter(|first| **first != name) {
            self.report.conflicts += 1;
            self.problems.add(line, &name, format!("has the e-mail address of {first}"));
            return Ok(());
        }
        let factor = self.dump.second_factors.of(&object.pk);
        user.totp = factor.totp;
        user.backup_codes = factor.backup_codes;
        user.enrol_from = factor.is_lost.then(clock::now);
        user.memberships = self.dump.memberships.get(&object.pk).cloned().unwrap_or_default();
        for note in notes.into_iter().chain(factor.notes) {
            self.problems.add(line, &name, note);
        }
        if user.enrol_from.is_some() {
            self.problems.add(line, &name, "has to enrol a new authenticator at the next login".to_owned());
        }
        let json = serde_json::to_vec(&user).map_err(|error| Failure::Failed(error.to_string()))?;
        let bytes = Zeroizing::new(json).len();
        if bytes > USER_BYTES_MAX {
            self.report.refused += 1;
            self.problems.add(line, &name, format!("has more than {USER_BYTES_MAX} bytes"));
            return Ok(());
        }
        self.waiting_bytes += bytes;
        self.waiting.push((line, user));
        Ok(())
    }

    async fn send_organizations(&mut self, to: &Link) -> Result<(), Failure> {
        for waiting in self.dump.organizations.chunks(IMPORTED_AT_ONCE_MAX) {
            let organizations = waiting.iter().map(|(_, organization)| organization.clone()).collect();
            let operation = ImportOrganizations { organizations, dry_run: self.report.dry_run };
            let outcomes = call_patiently(to, operation).await.map_err(|error| self.stopped(error))?;
            for ((line, organization), Imported { outcome, notes }) in waiting.iter().zip(outcomes) {
                match outcome {
                    ImportOutcome::Created => self.report.organizations_created += 1,
                    ImportOutcome::Present => self.report.organizations_present += 1,
                    ImportOutcome::Conflict | ImportOutcome::Refused => {}
                }
                for note in notes {
                    self.problems.add(*line, &organization.source, note);
                }
            }
        }
        Ok(())
    }

    async fn send(&mut self, to: &Link) -> Result<(), Failure> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.waiting_bytes = 0;
        let waiting = std::mem::take(&mut self.waiting);
        let users: Vec<PortableUser> = waiting.iter().map(|(_, user)| user.clone()).collect();
        let operation = ImportUsers { users, dry_run: self.report.dry_run };
        let outcomes = call_patiently(to, operation).await.map_err(|error| self.stopped(error))?;
        for ((line, user), Imported { outcome, notes }) in waiting.into_iter().zip(outcomes) {
            match outcome {
                ImportOutcome::Created => {
                    self.report.created += 1;
                    self.report.authenticators += u64::from(user.totp.is_some());
                    self.report.backup_codes += user.backup_codes.len() as u64;
                    self.report.must_enrol += u64::from(user.enrol_from.is_some());
                    self.report.memberships += user.memberships.len() as u64;
                }
                ImportOutcome::Present => self.report.present += 1,
                ImportOutcome::Conflict => self.report.conflicts += 1,
                ImportOutcome::Refused => self.report.refused += 1,
            }
            for note in notes {
                self.problems.add(line, &user.source, note);
            }
        }
        Ok(())
    }

    /// A call has failed for good.
    fn stopped(&self, error: Error) -> Failure {
        if self.report.dry_run {
            return error.into();
        }
        let done = count(usize::try_from(self.report.created).unwrap_or(usize::MAX), "user");
        Failure::Failed(format!("{error} (imported so far: {done}; the same command again goes on from there)"))
    }

    fn done(self) -> Report {
        let Problems { listed, more } = self.problems;
        Report { problems: listed, problems_not_listed: more, ..self.report }
    }
}

/// Makes a call; while the server is busy, again.
async fn call_patiently<O: Operation + Clone>(to: &Link, operation: O) -> OperationResult<O::Reply> {
    let mut tries = 0;
    loop {
        tries += 1;
        match to.call(operation.clone()).await {
            Err(error @ Error::Unavailable { .. }) if tries < TRIES && !is_link_lost(&error) => {
                tokio::time::sleep(TRY_PAUSE).await;
            }
            answer => return answer,
        }
    }
}

#[derive(Clone, Default)]
struct Problems {
    listed: Vec<Finding>,
    more: u64,
}

impl Problems {
    fn add(&mut self, line: u64, object: &str, problem: String) {
        if self.listed.len() < PROBLEMS_LISTED_MAX {
            self.listed.push(Finding { line, object: object.to_owned(), problem });
        } else {
            self.more += 1;
        }
    }
}

impl Report {
    fn outcomes(&self) -> String {
        let Self { created, present, conflicts, refused, .. } = self;
        let created_word = self.created_word();
        format!(
            "{} in the file: {created} {created_word}, {present} there already, {conflicts} in conflict, {refused} refused",
            count(usize::try_from(self.users).unwrap_or(usize::MAX), "user"),
        )
    }

    fn created_word(&self) -> &'static str {
        if self.dry_run { "to create" } else { "created" }
    }

    fn text(&self) -> String {
        let created_word = self.created_word();
        let mut lines = Vec::new();
        for Finding { line, object, problem } in &self.problems {
            lines.push(if *line == 0 { problem.clone() } else { format!("line {line}: {object}: {problem}") });
        }
        if self.problems_not_listed > 0 {
            lines.push(format!("... and {} more", self.problems_not_listed));
        }
        if !self.not_read.is_empty() {
            let models = self.not_read.iter().map(|(model, count)| format!("{model} ({count})"));
            lines.push(format!("not read: {}", models.collect::<Vec<_>>().join(", ")));
        }
        lines.push(self.outcomes());
        let Self { authenticators, backup_codes, must_enrol, memberships, .. } = self;
        lines.push(format!(
            "with them: {authenticators} authenticators, {backup_codes} backup codes, {memberships} memberships; {must_enrol} \
             have to enrol anew"
        ));
        if self.organizations > 0 {
            let Self { organizations, organizations_created, organizations_present, .. } = self;
            lines.push(format!(
                "organizations: {organizations} in the file, {organizations_created} {created_word}, \
                 {organizations_present} there already"
            ));
        }
        if self.dry_run {
            lines.push("nothing was changed".to_owned());
        }
        lines.iter().map(|line| for_display(line) + "\n").collect()
    }
}

/// As far as the file alone tells whether two are the same.
fn address(user: &PortableUser) -> String {
    user.email.trim().to_lowercase()
}
