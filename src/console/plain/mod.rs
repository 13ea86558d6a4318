//! The console line by line: for screen readers, braille displays and terminals that cannot move the cursor.
//!
//! The same operations, levels and words as the screen. Whatever is told stands on a line of its own and is never
//! changed again; no colours, no cursor movement, no control characters. Works through pipes, so that it can be tried
//! and tested like any filter.

mod act;
mod bulk;
pub mod command;
mod jobs;
mod look;
mod tell;

use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::bulk::COUNTDOWN_SECONDS;
use super::link::{Answer, Backend, Failure, LinkBackend, Reply, Request};
use super::model::{LinkState, Model, UnknownWrite, WRITES_SECONDS, Writes};
use super::text::shown;
use super::theme::{Colours, Theme};
use super::{NO_CONNECTION, Options, SIGNALLED, is_nameless};
use crate::admin::link::{Link, Operator};
use crate::app::requests::LookUpRequest;
use crate::app::safety::is_reason;
use crate::clock;
use crate::config::Config;
use crate::domain::time::Timestamp;
use crate::error::Error;
use act::NOTHING;
use command::{Command, parse};

/// How often it is looked whether the server is still there while a line is awaited.
const WATCH: Duration = Duration::from_secs(1);
/// Columns that texts of several lines are broken at; a braille line and a dumb terminal break them again.
const COLUMNS: usize = 72;
const PROMPT: &str = "doorward> ";

/// Runs the mode until it is left. When there was no way to the users, or a signal ended it, the process exits here.
pub async fn run(config: Arc<Config>, operator: Operator, options: Options) -> io::Result<()> {
    let backend = LinkBackend::new(config, operator.clone());
    let lines = lines();
    let mut plain = Plain::new(backend.clone(), io::stdout(), lines, &operator, &options);
    let ended = tokio::select! {
        ended = plain.talk(options.query.as_deref(), options.home) => Ok(ended?),
        number = signalled() => Err(number?),
    };
    backend.close().await;
    match ended {
        Ok(true) => Ok(()),
        Ok(false) => std::process::exit(NO_CONNECTION),
        Err(number) => std::process::exit(SIGNALLED + number),
    }
}

/// The number of the signal that asks for an end.
async fn signalled() -> io::Result<i32> {
    let [mut interrupt, mut terminate, mut hang_up] =
        [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let (interrupt, terminate, hang_up) = (interrupt.as_mut(), terminate.as_mut(), hang_up.as_mut());
    let (Ok(interrupt), Ok(terminate), Ok(hang_up)) = (interrupt, terminate, hang_up) else {
        return Err(io::Error::other("signals cannot be listened to"));
    };
    let kind = tokio::select! {
        _ = interrupt.recv() => SignalKind::interrupt(),
        _ = terminate.recv() => SignalKind::terminate(),
        _ = hang_up.recv() => SignalKind::hangup(),
    };
    Ok(kind.as_raw_value())
}

/// The lines that are typed, read on a thread of their own: a read of standard input cannot be given up.
fn lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The conversation.
pub(super) struct Plain<B, W> {
    backend: B,
    out: W,
    lines: mpsc::Receiver<String>,
    /// What the screen would know; it is never drawn.
    model: Model,
    found: look::Found,
    trail: look::Trail,
    jobs: jobs::Listed,
    /// Where the time comes from; tests have their own.
    pub(super) clock: fn() -> Timestamp,
    /// Time to think again before many are dealt with; tests wait less.
    pub(super) countdown: Duration,
    /// Whether lines come from a person, who sees what is typed.
    echoes: bool,
}

/// The answer to a question, or that there is none any more.
type Said = Option<String>;

impl<B: Backend, W: Write> Plain<B, W> {
    pub(super) fn new(
        backend: B,
        out: W,
        lines: mpsc::Receiver<String>,
        operator: &Operator,
        options: &Options,
    ) -> Self {
        let theme = Theme { colours: Colours::Mono, unicode: false };
        let mut model = Model::new(theme, (80, 24), clock::now());
        if !is_nameless(operator) {
            model.operator.clone_from(&operator.name);
        }
        if options.read_only {
            model.writes = Writes::Forbidden;
        } else if options.write && !model.operator.is_empty() {
            model.writes = Writes::On { until: model.now.plus_seconds(WRITES_SECONDS) };
        }
        Self {
            backend,
            out,
            lines,
            model,
            found: look::Found::default(),
            trail: look::Trail::default(),
            jobs: jobs::Listed::default(),
            clock: clock::now,
            countdown: Duration::from_secs(COUNTDOWN_SECONDS.unsigned_abs()),
            echoes: io::stdin().is_terminal(),
        }
    }

    /// Talks until the end of the input or `quit`; whether there was a way to the users.
    pub(super) async fn talk(&mut self, query: Option<&str>, home: bool) -> io::Result<bool> {
        self.say("Doorward console, line by line. help tells the commands, quit ends.")?;
        match self.perform(Request::Connect).await {
            Ok(Reply::Connected { live }) => self.model.link = if live { LinkState::Live } else { LinkState::Offline },
            Ok(_) => {}
            Err(failure) => {
                self.tell_failure(&failure)?;
                return Ok(false);
            }
        }
        self.read_status().await?;
        self.command(Command::Status).await?;
        if home {
            self.command(Command::Home).await?;
        }
        if let Some(query) = query {
            self.command(Command::Find(query.to_owned())).await?;
        }
        while let Some(line) = self.hear(PROMPT).await? {
            let news = self.look_up().await;
            self.say_all(&news)?;
            match parse(&line) {
                Ok(Command::Quit) => break,
                Ok(command) => self.command(command).await?,
                Err(_) if line.trim().is_empty() => {}
                Err(text) => self.say(&text)?,
            }
        }
        let mut news = self.look_up().await;
        let unknown = self.model.unknown.iter();
        news.extend(unknown.map(|unknown| format!("Still not known whether this was done: {}.", unknown.what)));
        self.say_all(&news)?;
        self.say("Good-bye.")?;
        Ok(true)
    }

    async fn command(&mut self, command: Command) -> io::Result<()> {
        self.now();
        match command {
            Command::Find(words) => self.find(&words).await,
            Command::More => self.more().await,
            Command::Filters => self.filters(),
            Command::Show(whom, part) => self.show(&whom, part).await,
            Command::Explain(whom, code) => self.explain(&whom, code).await,
            Command::Do(act, whom, part) => self.act(act, &whom, part).await,
            Command::Audit(filter) => self.audit(&filter).await,
            Command::Entry(number) => self.entry(number).await,
            Command::Export(path) => self.export(&path).await,
            Command::Home => self.home().await,
            Command::Jobs | Command::Approvals => self.jobs().await,
            Command::Job(which) => self.job(&which).await,
            Command::Steer(word, which) => self.steer(word, &which).await,
            Command::Approve(id) => self.decide(&id, true).await,
            Command::Refuse(id) => self.decide(&id, false).await,
            Command::Bulk(word, date) => self.bulk(word, date).await,
            Command::Writes(on) => self.switch_writes(on).await,
            Command::Status => self.status(),
            Command::OpenStore => self.open_store().await,
            Command::Help(word) => {
                let lines = command::help(word.as_deref());
                self.say_all(&lines)
            }
            Command::Quit => Ok(()),
        }
    }

    // ----------------------------------------------------------------------------------------------- saying, hearing

    /// Says something on a line of its own.
    fn say(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    fn say_all(&mut self, lines: &[String]) -> io::Result<()> {
        lines.iter().try_for_each(|line| self.say(line))
    }

    /// Asks for a line, and tells what happens meanwhile; `None` at the end of the input.
    async fn hear(&mut self, prompt: &str) -> io::Result<Said> {
        self.prompt(prompt)?;
        loop {
            let line = tokio::select! {
                line = self.lines.recv() => Some(line),
                () = tokio::time::sleep(WATCH) => None,
            };
            self.now();
            if let Some(line) = line {
                // Through a pipe nothing shows what was typed; the next text begins on a line of its own.
                if !self.echoes || line.is_none() {
                    writeln!(self.out)?;
                }
                return Ok(line);
            }
            let news = self.watch().await;
            if !news.is_empty() {
                writeln!(self.out)?;
                self.say_all(&news)?;
                self.prompt(prompt)?;
            }
        }
    }

    fn prompt(&mut self, prompt: &str) -> io::Result<()> {
        write!(self.out, "{prompt}")?;
        self.out.flush()
    }

    /// Asks a question of a dialog; `None` when it was answered with `cancel`, or not at all.
    async fn question(&mut self, question: &str) -> io::Result<Said> {
        let line = self.hear(&format!("{question}: ")).await?;
        Ok(line.map(|line| line.trim().to_owned()).filter(|line| line != "cancel"))
    }

    /// Asks until the answer is yes or no; anything that ends the questions is a no.
    async fn yes(&mut self, question: &str) -> io::Result<bool> {
        loop {
            match self.question(&format!("{question} yes or no")).await?.as_deref() {
                Some("yes" | "y") => return Ok(true),
                Some("no" | "n") | None => return Ok(false),
                Some(_) => self.say("Answer yes or no.")?,
            }
        }
    }

    /// Asks `why`, until the answer is a reason; `None` as for any question.
    async fn ask_reason(&mut self, why: &str) -> io::Result<Said> {
        loop {
            let said = self.question(&format!("{why}, for the audit trail, eight letters or more")).await?;
            if said.as_deref().is_none_or(is_reason) {
                return Ok(said);
            }
            self.say("The reason needs eight letters or more.")?;
        }
    }

    // ------------------------------------------------------------------------------------------------------- the link

    fn now(&mut self) {
        self.model.now = (self.clock)();
    }

    async fn perform(&self, request: Request) -> Answer {
        self.backend.perform(&Link::new_request_id(), request).await
    }

    /// Connects again when the last connection was lost.
    async fn reach(&mut self) -> Result<(), Failure> {
        if matches!(self.model.link, LinkState::Lost { .. }) {
            self.perform(Request::Reconnect).await?;
            self.model.link = LinkState::Live;
        }
        Ok(())
    }

    /// Asks the operations, through a new connection when the last one was lost.
    async fn ask(&mut self, request: Request) -> Answer {
        self.reach().await?;
        self.ask_as(&Link::new_request_id(), request).await
    }

    async fn ask_as(&mut self, id: &str, request: Request) -> Answer {
        let answer = self.backend.perform(id, request).await;
        self.now();
        if matches!(answer, Err(Failure::Lost)) {
            self.lose();
        }
        answer
    }

    /// Changes something, if that is still allowed after all the questions. `None` when it was not sent, or when its
    /// answer was lost: that is told here, and looked up as soon as there is a server.
    async fn write(&mut self, what: String, request: Request) -> io::Result<Option<Result<Reply, Error>>> {
        self.now();
        if self.model.writes_left().is_none() {
            self.say(&format!("Writes are off again. {NOTHING}"))?;
            return Ok(None);
        }
        if let Err(failure) = self.reach().await {
            self.tell_failure(&failure)?;
            self.say(NOTHING)?;
            return Ok(None);
        }
        let id = Link::new_request_id();
        match self.ask_as(&id, request).await {
            Ok(reply) => Ok(Some(Ok(reply))),
            Err(Failure::Refused(error)) => Ok(Some(Err(error))),
            Err(Failure::Lost) => {
                let unknown = UnknownWrite::new(id, what);
                self.say(&unknown.lost())?;
                self.model.unknown.push_back(unknown);
                Ok(None)
            }
            Err(failure) => {
                self.tell_failure(&failure)?;
                self.say(NOTHING)?;
                Ok(None)
            }
        }
    }

    /// What became of the writes whose answers were lost, where it can be known by now.
    async fn look_up(&mut self) -> Vec<String> {
        let mut news = Vec::new();
        for unknown in std::mem::take(&mut self.model.unknown) {
            let request = Request::LookUp(LookUpRequest { request_id: unknown.id.clone() });
            let told = match self.ask(request).await {
                Ok(Reply::LookedUp(outcome)) => unknown.told(&outcome),
                Err(Failure::Refused(error)) => Some(Err(unknown.lost_for_good(&shown(&error.to_string())))),
                _ => None,
            };
            match told {
                Some(Ok(text) | Err(text)) => news.push(text),
                None => self.model.unknown.push_back(unknown),
            }
        }
        news
    }

    fn lose(&mut self) {
        let now = self.model.now;
        self.model.link = LinkState::Lost { since: now, tries: 0, next_try_at: now };
    }

    /// Asks, and tells why there is no answer.
    async fn look(&mut self, request: Request) -> io::Result<Option<Reply>> {
        match self.ask(request).await {
            Ok(reply) => Ok(Some(reply)),
            Err(failure) => {
                self.tell_failure(&failure)?;
                Ok(None)
            }
        }
    }

    fn tell_failure(&mut self, failure: &Failure) -> io::Result<()> {
        match failure {
            Failure::Lost => {
                self.say("No server: it is tried again with the next command; `open` opens the store directly.")
            }
            Failure::NoWay(why) | Failure::Mismatch(why) => self.say(&format!("Not connected: {}.", shown(why))),
            Failure::Refused(error) => self.say(&format!("Refused: {}.", shown(&error.to_string()))),
        }
    }

    async fn read_status(&mut self) -> io::Result<()> {
        if let Ok(Reply::Status(status)) = self.ask(Request::Status).await {
            self.model.status = Some(status);
        }
        Ok(())
    }

    /// What has changed by itself, in words.
    async fn watch(&mut self) -> Vec<String> {
        let mut news = Vec::new();
        if matches!(self.model.writes, Writes::On { .. }) && self.model.writes_left().is_none() {
            self.model.writes = Writes::Off;
            news.push("Writes are off again.".to_owned());
        }
        let was_lost = matches!(self.model.link, LinkState::Lost { .. });
        let before = self.model.status.as_ref().map(|status| status.audit_newest);
        match self.ask(Request::Status).await {
            Ok(Reply::Status(status)) => {
                if was_lost {
                    news.push("The server is back.".to_owned());
                }
                if before.is_some_and(|before| before != status.audit_newest) {
                    news.extend(self.follow().await);
                }
                self.model.status = Some(status);
                news.extend(self.look_up().await);
            }
            Err(Failure::Lost | Failure::NoWay(_)) if !was_lost => {
                self.lose();
                news.push("No server: it is tried again and again; `open` opens the store directly.".to_owned());
            }
            _ => {}
        }
        news
    }

    async fn open_store(&mut self) -> io::Result<()> {
        if !matches!(self.model.link, LinkState::Lost { .. }) {
            return self.say("There is nothing to open: the users are here.");
        }
        match self.perform(Request::Connect).await {
            Ok(Reply::Connected { live }) => {
                self.model.link = if live { LinkState::Live } else { LinkState::Offline };
                self.say(if live { "The server is back." } else { "The store is open; no server can start meanwhile." })
            }
            Ok(_) => Ok(()),
            Err(failure) => self.tell_failure(&failure),
        }
    }

    fn status(&mut self) -> io::Result<()> {
        let link = match &self.model.link {
            LinkState::Live => "live",
            LinkState::Offline => "offline, the store is open here",
            LinkState::Connecting | LinkState::Lost { .. } | LinkState::Absent(_) => "no server",
        };
        let place = self.model.status.as_ref().map(|status| {
            let users = if status.users == 1 {
                "1 user".to_owned()
            } else {
                format!("{} users", super::text::thousands(status.users))
            };
            format!("{}, {users}, audit #{}. ", shown(&status.public_url), super::text::thousands(status.audit_newest))
        });
        let writes = match (self.model.writes, self.model.writes_left()) {
            (Writes::Forbidden, _) => "Started with --read-only.".to_owned(),
            _ if self.model.may_look_only() => "Your group may look only.".to_owned(),
            (_, Some(left)) => format!("Writes are on for {left} s."),
            (_, None) => "Writes are off.".to_owned(),
        };
        self.say(&format!("{}Link: {link}. {writes}", place.unwrap_or_default()))
    }

    /// Turns writes on or off; root is asked for a name first.
    async fn switch_writes(&mut self, on: bool) -> io::Result<()> {
        if self.model.writes == Writes::Forbidden {
            return self.say("Started with --read-only: writes stay off.");
        }
        if self.model.may_look_only() {
            return self.say("Your group may look only: writes stay off.");
        }
        if !on {
            self.model.writes = Writes::Off;
            return self.say("Writes are off.");
        }
        if self.model.operator.is_empty() {
            let Some(name) = self.question("Root alone does not say who acts. Your name for the audit trail").await?
            else {
                return self.say("Writes stay off.");
            };
            if name.is_empty() {
                return self.say("Writes stay off.");
            }
            if let Err(failure) = self.perform(Request::ConnectAs(name.clone())).await {
                self.lose();
                return self.tell_failure(&failure);
            }
            self.model.operator = name;
        }
        self.model.writes = Writes::On { until: self.model.now.plus_seconds(WRITES_SECONDS) };
        self.say("Writes are on for ten minutes.")
    }
}
