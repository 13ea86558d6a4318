//! The operator console: finds a user, shows the state of the second factor, resets it.
//!
//! Here is the loop, the only place that waits: keys, answers, signals and time come in, [`update`] decides, [`view`]
//! draws. Neither knows I/O. No rule lives here; every change is an operation.

pub mod audit_filter;
pub mod bulk;
pub mod confirm;
pub mod copy;
pub mod dialog;
pub mod enrol;
pub mod explain;
pub mod export;
pub mod factor;
pub mod field;
pub mod jobs;
pub mod keys;
pub mod link;
pub mod lookalike;
pub mod model;
pub mod palette;
mod plain;
pub mod settings;
pub mod term;
pub mod text;
pub mod theme;
pub mod update;
pub mod view;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::future::poll_fn;
use std::io::{self, Write};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crossterm::event::Event;
use futures_util::{Stream, StreamExt};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tui_input::Input;

use crate::admin::link::{Link, Operator};
use crate::clock;
use crate::config::Config;
use crate::error::Error;
use link::{Answer, Backend, Failure, LinkBackend, Request};
use model::{Focus, LinkState, Model, Overlay, Slot, WRITES_SECONDS, Writes};
use settings::Settings;
use term::Term;
use theme::{Colours, Theme};
use update::{Cmd, Msg};

/// How the console is started.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Searched for at the start.
    pub query: Option<String>,
    /// Writes can never be turned on.
    pub read_only: bool,
    /// Writes are on for the first ten minutes.
    pub write: bool,
    /// Line by line instead of a screen.
    pub plain: bool,
    /// Begins with Home.
    pub home: bool,
    /// No colours, as `NO_COLOR` asks for.
    pub no_color: bool,
    /// These colours, whatever else asks for others.
    pub theme: Option<Colours>,
    /// What `console.toml` says, and flags over it.
    pub settings: Settings,
}

/// Characters of what begins the ids of one console's requests.
const SESSION_CHARS: usize = 12;

/// Exit codes.
const WRONG_USAGE: i32 = 2;
const OTHER_VERSION: i32 = 3;
const NO_CONNECTION: i32 = 5;
/// What a shell adds to the number of the signal that ended a program.
const SIGNALLED: i32 = 128;
/// Events taken from the terminal before the screen is drawn, at most: a held key must not starve the screen.
const EVENTS_PER_FRAME: usize = 64;

/// What the loop draws on.
pub trait Screen {
    /// Columns and rows.
    fn size(&self) -> io::Result<(u16, u16)>;
    fn draw(&mut self, model: &Model) -> io::Result<()>;
    /// Has the next frame draw everything.
    fn repaint(&mut self) -> io::Result<()>;
    /// Gives the terminal back, stops the process, and takes it again when the process goes on.
    fn suspend(&mut self) -> io::Result<()>;
    /// Hands a text to the terminal's clipboard.
    fn copy(&mut self, text: &str) -> io::Result<()>;
    /// Takes clicks and the wheel, or leaves them to the terminal.
    fn mouse(&mut self, taken: bool) -> io::Result<()>;
}

/// Runs the console until it is left. When a signal ends it, or there was no way to the users, the process exits here
/// with the code for that, after terminal and store were given back.
///
/// Must be awaited on the main thread (`Runtime::block_on`): a panic there gives the terminal back, a panic anywhere
/// else becomes a message.
pub async fn run(config: Arc<Config>, operator: Operator, options: Options) -> io::Result<()> {
    if options.plain {
        return plain::run(config, operator, options).await;
    }
    if !term::is_usable() {
        let _ = writeln!(io::stderr(), "{}", instead(options.query.as_deref()));
        std::process::exit(WRONG_USAGE);
    }
    let backend = LinkBackend::new(config, operator.clone());
    let ended = on_terminal(&backend, &operator, &options).await;
    backend.close().await;
    // A frame on its way into a terminal that goes away fails before the hang-up is noticed.
    let ended = match ended {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => TERMINAL_GONE,
        ended => ended?,
    };
    match ended {
        Ended::Quit { connected: true } => Ok(()),
        Ended::Quit { connected: false } => std::process::exit(NO_CONNECTION),
        Ended::OtherVersion(text) => {
            let _ = writeln!(io::stderr(), "doorward: {text}");
            std::process::exit(OTHER_VERSION)
        }
        Ended::Signal(number) => std::process::exit(SIGNALLED + number),
    }
}

async fn on_terminal(backend: &LinkBackend, operator: &Operator, options: &Options) -> io::Result<Ended> {
    let mut signals = Signals::new()?;
    let mut screen = Term::enter()?;
    let model = first_model(options, operator, screen.size()?);
    drive(&mut screen, term::events(), &mut signals, backend, model).await
}

/// The line for those who are no terminal: the command that does the same.
fn instead(query: Option<&str>) -> String {
    let command = match query {
        Some(query) => format!("doorward user list {}", text::shown(query)),
        None => "doorward user list".to_owned(),
    };
    format!(
        "doorward: this terminal cannot show a screen; `doorward console --plain` works line by line, and `{command}` in a \
         script"
    )
}

fn first_model(options: &Options, operator: &Operator, size: (u16, u16)) -> Model {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = variable("LC_ALL").or_else(|| variable("LC_CTYPE")).or_else(|| variable("LANG"));
    let mut theme = Theme::from_environment(variable("NO_COLOR").as_deref(), locale.as_deref());
    if theme.colours != Colours::Mono {
        theme.colours = options.settings.theme.unwrap_or_default();
    }
    if options.no_color {
        theme.colours = Colours::Mono;
    }
    theme.colours = options.theme.unwrap_or(theme.colours);
    let mut model = Model::new(theme, size, clock::now());
    model.session = Link::new_request_id().chars().take(SESSION_CHARS).collect();
    model.keys.clone_from(&options.settings.keys);
    model.calm = options.settings.calm;
    model.mouse = options.settings.mouse;
    let nameless = is_nameless(operator);
    if !nameless {
        model.operator.clone_from(&operator.name);
    }
    if let Some(query) = &options.query {
        model.users.find = Input::from(query.as_str());
        model.screen = model::Screen::Users(Focus::List);
    }
    if options.home {
        model.screen = model::Screen::Home;
    }
    if options.read_only {
        model.writes = Writes::Forbidden;
    } else if options.write && nameless {
        model.overlay = Some(Overlay::Name(Input::default()));
    } else if options.write {
        model.writes = Writes::On { until: model.now.plus_seconds(WRITES_SECONDS) };
    }
    model
}

/// Whether nobody knows who sits there: root alone does not say.
fn is_nameless(operator: &Operator) -> bool {
    operator.uid == 0 && matches!(operator.name.as_str(), "" | "root")
}

/// How the loop ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ended {
    Quit {
        connected: bool,
    },
    /// The server is older or newer; one line that names both.
    OtherVersion(String),
    /// By the signal of this number; a terminal that is gone counts as SIGHUP.
    Signal(i32),
}

const TERMINAL_GONE: Ended = Ended::Signal(1);

/// Signals from outside. In raw mode the terminal sends none for keys.
struct Signals {
    ending: [(Signal, SignalKind); 4],
    stop: Signal,
    hang_up: oneshot::Receiver<()>,
}

enum Caught {
    End(i32),
    HangUp,
    Stop,
}

impl Signals {
    fn new() -> io::Result<Self> {
        let ending = |kind: SignalKind| signal(kind).map(|stream| (stream, kind));
        Ok(Self {
            ending: [
                ending(SignalKind::interrupt())?,
                ending(SignalKind::terminate())?,
                ending(SignalKind::hangup())?,
                ending(SignalKind::quit())?,
            ],
            stop: signal(SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw()))?,
            hang_up: term::hang_up(),
        })
    }
}

/// The signals of the loop; tests have none.
trait Interrupts {
    fn next(&mut self) -> impl Future<Output = Caught> + Send;
}

impl Interrupts for Signals {
    async fn next(&mut self) -> Caught {
        let [a, b, c, d] = &mut self.ending;
        let (kind, stop) = tokio::select! {
            _ = a.0.recv() => (Some(a.1), false),
            _ = b.0.recv() => (Some(b.1), false),
            _ = c.0.recv() => (Some(c.1), false),
            _ = d.0.recv() => (Some(d.1), false),
            _ = self.stop.recv() => (None, true),
            _ = &mut self.hang_up => (None, false),
        };
        match kind {
            Some(kind) => Caught::End(kind.as_raw_value()),
            None if stop => Caught::Stop,
            None => Caught::HangUp,
        }
    }
}

/// The loop: one message at a time to [`update::update`], and a frame when something changed and no event waits.
async fn drive<S, E, I, B>(screen: &mut S, events: E, signals: &mut I, backend: &B, model: Model) -> io::Result<Ended>
where
    S: Screen,
    E: Stream<Item = io::Result<Event>> + Unpin,
    I: Interrupts,
    B: Backend,
{
    let mut events = events.fuse();
    let (answers, mut answered) = mpsc::unbounded_channel();
    let mut desk = Desk { backend: backend.clone(), answers, under_way: HashMap::new() };
    let mut model = model;
    let mut idle = IdleMark::from_environment();
    let commands = update::start(&mut model);
    desk.carry_out(screen, &mut model, commands)?;
    loop {
        if model.dirty {
            screen.draw(&model)?;
            model.dirty = false;
        }
        if update::is_idle(&model) {
            idle.write();
        }
        let pause = update::next_tick(&model).as_micros().saturating_sub(clock::now().as_micros());
        let pause = Duration::from_micros(u64::try_from(pause).unwrap_or(0)).min(Duration::from_mins(1));
        let messages = tokio::select! {
            biased;
            caught = signals.next() => match caught {
                Caught::End(number) => {
                    update::unseen(&mut model);
                    // The terminal may be gone with the signal.
                    let _ = screen.draw(&model);
                    return Ok(Ended::Signal(number));
                }
                Caught::HangUp => return Ok(TERMINAL_GONE),
                Caught::Stop => {
                    suspend(screen, &mut model)?;
                    continue;
                }
            },
            event = events.next() => match event {
                Some(Ok(event)) => waiting(event, &mut events, &mut idle).await,
                Some(Err(error)) => return Err(error),
                None => return Ok(TERMINAL_GONE),
            },
            Some((slot, serial, answer)) = answered.recv() => vec![Msg::Answer { slot, serial, answer }],
            () = tokio::time::sleep(pause) => vec![Msg::Tick],
        };
        for message in messages {
            let commands = update::update(&mut model, message, clock::now());
            desk.carry_out(screen, &mut model, commands)?;
            if let Some(text) = model.mismatch.take() {
                return Ok(Ended::OtherVersion(text));
            }
            if model.quit {
                let connected = !matches!(model.link, LinkState::Absent(_) | LinkState::Connecting);
                return Ok(Ended::Quit { connected });
            }
        }
    }
}

/// The terminal may have another size when the process goes on.
fn suspend<S: Screen>(screen: &mut S, model: &mut Model) -> io::Result<()> {
    update::unseen(model);
    screen.draw(model)?;
    screen.suspend()?;
    model.size = screen.size()?;
    model.dirty = true;
    Ok(())
}

/// Carries commands out, and keeps what is under way.
struct Desk<B> {
    backend: B,
    answers: mpsc::UnboundedSender<(Slot, u64, Answer)>,
    under_way: HashMap<Slot, JoinHandle<()>>,
}

impl<B: Backend> Desk<B> {
    fn carry_out<S: Screen>(&mut self, screen: &mut S, model: &mut Model, commands: Vec<Cmd>) -> io::Result<()> {
        for command in commands {
            match command {
                Cmd::Perform { slot, serial, id, request } => self.perform(slot, serial, id, request),
                Cmd::Forget(slot) => self.forget(slot),
                Cmd::Copy(text) => screen.copy(&text)?,
                Cmd::Mouse(taken) => screen.mouse(taken)?,
                Cmd::Repaint => screen.repaint()?,
                Cmd::Suspend => suspend(screen, model)?,
            }
        }
        Ok(())
    }

    /// A newer question takes the older one of its slot back; a write is never taken back.
    fn perform(&mut self, slot: Slot, serial: u64, id: String, request: Request) {
        self.forget(slot);
        let (backend, answers) = (self.backend.clone(), self.answers.clone());
        let task = tokio::spawn(async move {
            let worker = tokio::spawn(async move { backend.perform(&id, request).await });
            let guard = AbortOnDrop(worker.abort_handle());
            let answer = worker.await.unwrap_or_else(|error| {
                let what = if error.is_panic() { "the request crashed" } else { "the request was stopped" };
                Err(Failure::Refused(Error::internal(what)))
            });
            drop(guard);
            // The loop is gone only when the console ends.
            let _ = answers.send((slot, serial, answer));
        });
        self.under_way.insert(slot, task);
    }

    fn forget(&mut self, slot: Slot) {
        if let Some(task) = self.under_way.remove(&slot)
            && slot != Slot::Write
        {
            task.abort();
        }
    }
}

/// The event, and those that wait behind it, as messages. They are asked for with the loop's own waker: the reader of
/// events keeps the first one it is given until an event comes.
async fn waiting<E>(first: Event, events: &mut E, idle: &mut IdleMark) -> Vec<Msg>
where
    E: Stream<Item = io::Result<Event>> + Unpin,
{
    let mut messages: Vec<Msg> = message(first).into_iter().collect();
    while messages.len() < EVENTS_PER_FRAME
        && let Poll::Ready(Some(Ok(event))) = poll_fn(|cx| Poll::Ready(events.poll_next_unpin(cx))).await
    {
        messages.extend(message(event));
    }
    idle.keys += messages.iter().filter(|msg| matches!(msg, Msg::Key(_) | Msg::Paste(_))).count();
    messages
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn message(event: Event) -> Option<Msg> {
    match event {
        Event::Key(key) => Some(Msg::Key(key)),
        Event::Paste(text) => Some(Msg::Paste(text)),
        Event::Resize(columns, rows) => Some(Msg::Resize(columns, rows)),
        Event::Mouse(mouse) => Some(Msg::Mouse(mouse)),
        Event::FocusGained | Event::FocusLost => None,
    }
}

/// In debug builds, a line with the number of keys taken so far goes to the file that `DOORWARD_CONSOLE_IDLE_FILE`
/// names, each time the loop has nothing left to do. Tests of the real binary wait for it instead of sleeping.
struct IdleMark {
    file: Option<std::fs::File>,
    keys: usize,
    written: Option<usize>,
}

impl IdleMark {
    fn from_environment() -> Self {
        let path = if cfg!(debug_assertions) { std::env::var_os("DOORWARD_CONSOLE_IDLE_FILE") } else { None };
        let file = path.and_then(|path| std::fs::OpenOptions::new().create(true).append(true).open(path).ok());
        Self { file, keys: 0, written: None }
    }

    fn write(&mut self) {
        if let Some(file) = &mut self.file
            && self.written != Some(self.keys)
        {
            // A test that cannot read the mark fails by itself.
            let _ = writeln!(file, "{}", self.keys);
            self.written = Some(self.keys);
        }
    }
}
