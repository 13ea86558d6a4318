//! The terminal: taken once, given back always. Entering and restoring can be repeated without harm.
//!
//! Mouse reporting is off until it is asked for, so that the terminal's own selection works.

use std::cell::RefCell;
use std::io::{self, IsTerminal, Write};
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ThreadId;

use crossterm::clipboard::CopyToClipboard;
use crossterm::cursor::{MoveTo, Show};
use crossterm::event::{DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture, Event};
use crossterm::style::force_color_output;
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use crossterm::{execute, queue};
use futures_util::Stream;
use futures_util::stream;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use rustix::event::{PollFd, PollFlags, poll};
use tokio::sync::{mpsc, oneshot};

use super::model::Model;
use super::{Screen, view};

/// Events that may wait for the loop; a longer paste waits in the terminal.
const EVENTS_AHEAD_MAX: usize = 1_024;

/// Whether the terminal is ours at the moment; the panic hook and the guard both look at it.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// Whether clicks are ours too, while the terminal is.
static MOUSE: AtomicBool = AtomicBool::new(false);
/// The thread whose panic ends the console. A worker's panic becomes a message and must not tear the screen down.
static UI_THREAD: OnceLock<ThreadId> = OnceLock::new();

/// Whether both ends of the conversation are a terminal that can show a screen.
#[must_use]
pub fn is_usable() -> bool {
    let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
    io::stdin().is_terminal() && io::stdout().is_terminal() && !dumb
}

/// The terminal while the console runs. Dropping it gives the terminal back.
pub struct Term {
    /// Never dropped: its own drop complains on standard error when it cannot show the cursor, and on a terminal that
    /// is gone that complaint panics. [`restore`] shows the cursor.
    terminal: ManuallyDrop<Terminal<CrosstermBackend<Outbox>>>,
    outbox: Outbox,
    /// What the last frame said of the cursor.
    cursor: Vec<u8>,
}

/// What goes to the terminal: kept until a frame is whole, or at once.
#[derive(Clone)]
struct Outbox(Rc<RefCell<Option<Vec<u8>>>>);

impl Outbox {
    /// Keeps what comes from now on.
    fn begin_frame(&self) {
        *self.0.borrow_mut() = Some(Vec::new());
    }

    /// What was kept.
    fn end_frame(&self) -> Vec<u8> {
        self.0.borrow_mut().take().unwrap_or_default()
    }
}

impl Write for Outbox {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.borrow_mut().as_mut() {
            Some(frame) => frame.write(bytes),
            None => io::stdout().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.0.borrow().is_some() { Ok(()) } else { io::stdout().flush() }
    }
}

/// The marks around a frame.
const FRAME_MARKS_BYTES: usize = 16;
/// Behind the cells of a frame, before the cursor, also where there are no cells: how the backend ends a drawing.
const CELLS_END: &[u8] = b"\x1b[39m\x1b[49m\x1b[59m\x1b[0m";

impl Term {
    /// Takes the terminal.
    pub fn enter() -> io::Result<Self> {
        hook_panics();
        enter()?;
        let outbox = Outbox(Rc::default());
        let terminal = Terminal::new(CrosstermBackend::new(outbox.clone())).inspect_err(|_| restore())?;
        Ok(Self { terminal: ManuallyDrop::new(terminal), outbox, cursor: Vec::new() })
    }
}

impl Drop for Term {
    fn drop(&mut self) {
        restore();
    }
}

impl Screen for Term {
    fn size(&self) -> io::Result<(u16, u16)> {
        self.terminal.size().map(|size| (size.width, size.height))
    }

    /// A frame in which nothing is new sends nothing: over a slow line, silence says that nothing happens.
    fn draw(&mut self, model: &Model) -> io::Result<()> {
        self.outbox.begin_frame();
        let drawn = self.terminal.draw(|frame| view::draw(model, frame)).map(drop);
        let frame = self.outbox.end_frame();
        drawn?;
        let cells = frame.windows(CELLS_END.len()).rposition(|window| window == CELLS_END);
        let (cells, cursor) = frame.split_at(cells.unwrap_or(0));
        if cells.is_empty() && cursor == self.cursor {
            return Ok(());
        }
        self.cursor = cursor.to_vec();
        let mut whole = Vec::with_capacity(frame.len() + FRAME_MARKS_BYTES);
        queue!(whole, BeginSynchronizedUpdate)?;
        whole.extend_from_slice(&frame);
        queue!(whole, EndSynchronizedUpdate)?;
        self.outbox.write_all(&whole)?;
        self.outbox.flush()
    }

    /// By `resize`, since `Terminal::clear` asks the terminal for its cursor and fights the reader of events for the
    /// answer.
    fn repaint(&mut self) -> io::Result<()> {
        let (columns, rows) = self.size()?;
        self.terminal.resize(Rect::new(0, 0, columns, rows))
    }

    fn suspend(&mut self) -> io::Result<()> {
        restore();
        // To this very thread: one sent to the process may stop it a moment later, when the terminal is taken again.
        signal_hook::low_level::raise(signal_hook::consts::SIGSTOP)?;
        enter()?;
        self.repaint()
    }

    fn copy(&mut self, text: &str) -> io::Result<()> {
        execute!(self.terminal.backend_mut(), CopyToClipboard::to_clipboard_from(text))
    }

    fn mouse(&mut self, taken: bool) -> io::Result<()> {
        MOUSE.store(taken, Ordering::SeqCst);
        if taken {
            execute!(self.terminal.backend_mut(), EnableMouseCapture)
        } else {
            execute!(self.terminal.backend_mut(), DisableMouseCapture)
        }
    }
}

fn enter() -> io::Result<()> {
    if TAKEN.swap(true, Ordering::SeqCst) {
        return Ok(());
    }
    // Colours or not is the theme's matter: left to itself, the library drops bold and reverse with them.
    force_color_output(true);
    let mut taken = enable_raw_mode().and_then(|()| execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste));
    if MOUSE.load(Ordering::SeqCst) {
        taken = taken.and_then(|()| execute!(io::stdout(), EnableMouseCapture));
    }
    if taken.is_err() {
        restore();
    }
    taken
}

/// Gives the terminal back. Errors are of no use here: the terminal may be gone.
pub fn restore() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        if MOUSE.load(Ordering::SeqCst) {
            let _ = execute!(io::stdout(), DisableMouseCapture);
        }
        // Cleared as well: where the terminal has no other screen to leave, what was shown would stay.
        let _ = execute!(
            io::stdout(),
            EndSynchronizedUpdate,
            DisableBracketedPaste,
            Clear(ClearType::All),
            MoveTo(0, 0),
            LeaveAlternateScreen,
            Show
        );
        let _ = io::stdout().flush();
        let _ = disable_raw_mode();
    }
}

fn hook_panics() {
    if UI_THREAD.set(std::thread::current().id()).is_err() {
        return;
    }
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let ours = UI_THREAD.get() == Some(&std::thread::current().id());
        if ours || !TAKEN.load(Ordering::SeqCst) {
            restore();
            before(info);
        }
    }));
}

/// Keys, pastes and resizes, as a thread of their own reads them: on a terminal that goes away the reader spins inside
/// its own library and never comes back, and must not take the loop with it.
pub fn events() -> impl Stream<Item = io::Result<Event>> + Unpin {
    let (sender, mut receiver) = mpsc::channel(EVENTS_AHEAD_MAX);
    std::thread::spawn(move || {
        loop {
            let event = crossterm::event::read();
            let is_last = event.is_err();
            if sender.blocking_send(event).is_err() || is_last {
                return;
            }
        }
    });
    stream::poll_fn(move |cx| receiver.poll_recv(cx))
}

/// Resolves when the terminal is gone. The reader of events would spin on a closed terminal when SIGHUP is ignored.
pub fn hang_up() -> oneshot::Receiver<()> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let stdin = io::stdin();
        // With no event asked for, only an error or a hang-up ends the wait.
        while let Err(rustix::io::Errno::INTR) = poll(&mut [PollFd::new(&stdin, PollFlags::empty())], None) {}
        let _ = sender.send(());
    });
    receiver
}
