//! How far a long command is: a bar on a terminal, a line now and then elsewhere. The home of indicatif.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressStyle};

use super::Output;
use crate::app::recovery::Step;

/// Steps between two lines, where there is no terminal, at least; and how many lines there are at most.
const STEPS_PER_LINE: u64 = 1_000;
const LINES_MAX: u64 = 20;

/// Shows the steps of what is done to the store as a whole, one bar after the other.
pub(super) struct Steps {
    output: Output,
    progress: Option<Progress>,
}

impl Steps {
    pub(super) fn new(output: Output) -> Self {
        Self { output, progress: None }
    }

    pub(super) fn take(&mut self, step: Step) {
        match step {
            Step::Begin(what, of) => self.progress = Some(Progress::start(self.output, what, of)),
            Step::Done(steps) => {
                if let Some(progress) = &mut self.progress {
                    progress.advance(steps);
                }
            }
        }
    }
}

pub(super) struct Progress {
    output: Output,
    what: &'static str,
    /// `None` where a line has to do.
    bar: Option<ProgressBar>,
    done: u64,
    total: u64,
}

impl Progress {
    /// Begins. `what` is said before the numbers: `importing`. A `total` of 0: nobody knows it.
    pub(super) fn start(output: Output, what: &'static str, total: u64) -> Self {
        let bar = (output.has_notes() && io::stderr().is_terminal()).then(|| {
            let (bar, template) = match total {
                0 => (ProgressBar::no_length(), "{msg}: {pos}, {per_sec}"),
                total => (ProgressBar::new(total), "{msg} [{wide_bar}] {pos}/{len}, {eta} left"),
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("=> "));
            }
            bar.set_message(what);
            bar
        });
        Self { output, what, bar, done: 0, total }
    }

    /// Begins something of which nobody knows how much it is; bytes are shown as they pass.
    pub(super) fn bytes(output: Output, what: &'static str) -> Self {
        let bar = (output.has_notes() && io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::no_length();
            if let Ok(style) = ProgressStyle::with_template("{msg}: {bytes}, {bytes_per_sec}") {
                bar.set_style(style);
            }
            bar.set_message(what);
            bar
        });
        Self { output, what, bar, done: 0, total: 0 }
    }

    /// Shows so many bytes.
    pub(super) fn advance_to(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(bytes);
        }
    }

    pub(super) fn advance(&mut self, steps: u64) {
        let before = self.done;
        self.done += steps;
        match &self.bar {
            Some(bar) => bar.inc(steps),
            None if self.done / self.steps_per_line() > before / self.steps_per_line() => {
                // A total is an estimate, or not known.
                let of = if self.done > self.total { String::new() } else { format!(" of {}", self.total) };
                self.output.note(&format!("{}: {}{of}", self.what, self.done));
            }
            None => {}
        }
    }

    fn steps_per_line(&self) -> u64 {
        // Without a total: at each doubling.
        let step = if self.total == 0 { self.done.next_power_of_two() / 2 } else { self.total / LINES_MAX };
        STEPS_PER_LINE.max(step)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
