//! Pictures of the real console: drives it in a terminal of its own, and draws what the terminal shows as SVG, once for
//! a dark page and once for a light one.
//!
//! `cargo run --release --example picture -- --data-dir DIR [--size 120x32] STEP...` with these steps, in turn:
//! `type:TEXT`, `press:NAME` (`Enter`, `Tab`, `Esc`, `Space`, `Down`, `PageDown` and so on), `shows:TEXT` (waits for it), `save:PATH` (writes `PATH-dark.svg` and `PATH-light.svg`), `print` (the screen as text).
//! `scripts/screenshot` has the steps of the pictures in the README.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a program that may stop at an error"
)]

#[path = "common/terminal.rs"]
mod terminal;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use terminal::{DOWN, END, ESC, HOME, PAGE_DOWN, Start, Terminal, UP};
use vt100::{Cell, Color, Screen};

/// A cell, and the text in it, in pixels.
const CELL_WIDTH: f64 = 8.4;
const CELL_HEIGHT: u16 = 18;
const BASELINE: f64 = 13.0;
const FONT_SIZE: u16 = 14;
/// Around the cells.
const MARGIN: u16 = 12;
/// How long a console must have been still before it is drawn: its spinner and dialogs have settled.
const STILL: Duration = Duration::from_millis(400);

#[derive(Parser)]
struct Arguments {
    #[arg(long, default_value = "target/release/doorward")]
    program: PathBuf,
    #[arg(long)]
    data_dir: PathBuf,
    /// Columns and rows
    #[arg(long, default_value = "120x32", value_parser = size)]
    size: (u16, u16),
    #[arg(required = true)]
    steps: Vec<String>,
    /// Arguments of the console, separated by blanks
    #[arg(long, default_value = "")]
    console: String,
}

fn size(text: &str) -> Result<(u16, u16), &'static str> {
    let (columns, rows) = text.split_once('x').ok_or("not a size such as 120x32")?;
    Ok((columns.parse().map_err(|_| "no number of columns")?, rows.parse().map_err(|_| "no number of rows")?))
}

fn main() {
    let arguments = Arguments::parse();
    let program = arguments.program.canonicalize().expect("the program");
    let data_dir = arguments.data_dir.canonicalize().expect("the data directory");
    let flags: Vec<&str> = arguments.console.split_whitespace().collect();
    let mut console = Terminal::open(&Start {
        program: program.to_str().unwrap(),
        data_dir: &data_dir,
        size: arguments.size,
        arguments: &flags,
        ignores_hang_up: false,
        is_colourful: true,
    });
    console.until("the first users", |console| console.text().contains("live") || console.text().contains("offline"));
    for step in &arguments.steps {
        console.listen(STILL);
        let (what, value) = step.split_once(':').unwrap_or((step, ""));
        match what {
            "type" => drop(console.press(value)),
            "press" => drop(console.press(sequence(value))),
            "shows" => drop(console.shows(value)),
            "save" => save(console.screen(), value),
            "print" => println!("{}\n", console.text()),
            _ => panic!("{step}: not a step"),
        }
    }
}

fn sequence(name: &str) -> &'static str {
    match name {
        "Enter" => "\r",
        "Tab" => "\t",
        "Esc" => ESC,
        "Space" => " ",
        "Down" => DOWN,
        "Up" => UP,
        "Left" => "\x1b[D",
        "Right" => "\x1b[C",
        "PageDown" => PAGE_DOWN,
        "End" => END,
        "Home" => HOME,
        _ => panic!("{name}: not a key"),
    }
}

fn save(screen: &Screen, path: &str) {
    for (name, palette) in [("dark", &DARK), ("light", &LIGHT)] {
        std::fs::write(format!("{path}-{name}.svg"), svg(screen, palette)).expect("the picture");
    }
}

/// The colours of a terminal.
struct Palette {
    ground: &'static str,
    text: &'static str,
    edge: &'static str,
    /// Black, red, green, yellow, blue, magenta, cyan, white; then the same, bright.
    named: [&'static str; 16],
}

#[rustfmt::skip]
static DARK: Palette = Palette {
    ground: "#0d1117", text: "#e6edf3", edge: "#30363d",
    named: [
        "#484f58", "#ff7b72", "#3fb950", "#d29922", "#58a6ff", "#bc8cff", "#39c5cf", "#b1bac4",
        "#6e7681", "#ffa198", "#56d364", "#e3b341", "#79c0ff", "#d2a8ff", "#56d4dd", "#ffffff",
    ],
};
#[rustfmt::skip]
static LIGHT: Palette = Palette {
    ground: "#ffffff", text: "#1f2328", edge: "#d1d9e0",
    named: [
        "#24292f", "#cf222e", "#116329", "#9a6700", "#0969da", "#8250df", "#1b7c83", "#6e7781",
        "#57606a", "#a40e26", "#1a7f37", "#633c01", "#218bff", "#a475f9", "#3192aa", "#8c959f",
    ],
};

/// How a run of cells looks.
#[derive(Clone, Copy, PartialEq)]
struct Look {
    text: &'static str,
    ground: Option<&'static str>,
    bold: bool,
    underlined: bool,
    dim: bool,
}

impl Look {
    fn of(cell: &Cell, palette: &'static Palette) -> Self {
        let colour = |colour| match colour {
            Color::Idx(index @ 0..=15) => Some(palette.named[usize::from(index)]),
            _ => None,
        };
        let (text, ground) = (colour(cell.fgcolor()), colour(cell.bgcolor()));
        let (text, ground) = if cell.inverse() {
            (ground.unwrap_or(palette.ground), Some(text.unwrap_or(palette.text)))
        } else {
            (text.unwrap_or(palette.text), ground)
        };
        Self { text, ground, bold: cell.bold(), underlined: cell.underline(), dim: cell.dim() }
    }
}

fn svg(screen: &Screen, palette: &'static Palette) -> String {
    let (rows, columns) = screen.size();
    let (rows, columns) = (rows.get(), columns.get());
    let width = f64::from(columns) * CELL_WIDTH + f64::from(2 * MARGIN);
    let height = rows * CELL_HEIGHT + 2 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height}\" width=\"{width:.0}\" \
         height=\"{height}\" font-family=\"ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace\" \
         font-size=\"{FONT_SIZE}\">\n<rect x=\".5\" y=\".5\" width=\"{:.0}\" height=\"{}\" rx=\"8\" fill=\"{}\" \
         stroke=\"{}\"/>\n",
        width - 1.0,
        height - 1,
        palette.ground,
        palette.edge,
    );
    let mut lines = Lines::default();
    for row in 0..rows {
        let mut column = 0;
        while column < columns {
            let Some(cell) = screen.cell(row, column) else { break };
            let (look, begin) = (Look::of(cell, palette), column);
            let mut text = String::new();
            while column < columns
                && let Some(cell) = screen.cell(row, column)
                && Look::of(cell, palette) == look
                // A wide letter stands alone, so that its neighbours keep their places.
                && (column == begin || !(cell.is_wide() || text.chars().any(is_wide_text)))
            {
                let letter = if cell.has_contents() { cell.contents() } else { " " };
                if lines.add(letter, row, column, look) {
                    text.push(' ');
                } else {
                    text.push_str(letter);
                }
                column += if cell.is_wide() { 2 } else { 1 };
            }
            run(&mut svg, &text, row, (begin, column), look);
        }
    }
    lines.draw(&mut svg);
    if !screen.hide_cursor() {
        let (row, column) = screen.cursor_position();
        let (x, y) = corner(row, column);
        let colour = palette.text;
        writeln!(svg, "<rect x=\"{x:.1}\" y=\"{y}\" width=\"2\" height=\"{CELL_HEIGHT}\" fill=\"{colour}\"/>").unwrap();
    }
    svg.push_str("</svg>\n");
    svg
}

/// Asian letters, which take two cells.
fn is_wide_text(letter: char) -> bool {
    matches!(letter, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ff60}')
}

/// The upper left corner of a cell.
fn corner(row: u16, column: u16) -> (f64, u16) {
    (f64::from(MARGIN) + f64::from(column) * CELL_WIDTH, MARGIN + row * CELL_HEIGHT)
}

/// Cells of one look. Blanks at the ends are not drawn; the length is given, so that every font keeps the columns.
fn run(svg: &mut String, text: &str, row: u16, (begin, end): (u16, u16), look: Look) {
    let (x, y) = corner(row, begin);
    if let Some(ground) = look.ground {
        let width = f64::from(end - begin) * CELL_WIDTH;
        writeln!(svg, "<rect x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{CELL_HEIGHT}\" fill=\"{ground}\"/>")
            .unwrap();
    }
    // Several blanks in a row are a gap between columns: what stands behind them gets a place of its own.
    let mut rest = text;
    let mut column = begin;
    while !rest.trim().is_empty() {
        let blanks = rest.len() - rest.trim_start_matches(' ').len();
        column += u16::try_from(blanks).unwrap();
        rest = rest.trim_start_matches(' ');
        let (word, behind) = rest.split_at(rest.find("   ").unwrap_or_else(|| rest.trim_end().len()));
        let letters =
            u16::try_from(word.chars().map(|letter| 1 + usize::from(is_wide_text(letter))).sum::<usize>()).unwrap();
        let (x, _) = corner(row, column);
        let y = f64::from(y) + BASELINE;
        let width = f64::from(letters) * CELL_WIDTH;
        write!(svg, "<text x=\"{x:.1}\" y=\"{y}\" textLength=\"{width:.1}\" fill=\"{}\"", look.text).unwrap();
        for (is_so, attribute) in [
            (look.bold, " font-weight=\"bold\""),
            (look.underlined, " text-decoration=\"underline\""),
            (look.dim, " opacity=\".6\""),
            (word.contains("  "), " xml:space=\"preserve\""),
        ] {
            svg.push_str(if is_so { attribute } else { "" });
        }
        let escaped = word.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        writeln!(svg, ">{escaped}</text>").unwrap();
        column += letters;
        rest = behind;
    }
}

/// The colour of a line, whether it is level, and where it runs.
type Place = (&'static str, bool, u32);
/// From where to where.
type Stretch = (u32, u32);

/// Lines of boxes are drawn, not written: no font joins them from row to row. All in tenths of a
/// pixel.
#[derive(Default)]
struct Lines(BTreeMap<Place, Vec<Stretch>>);

impl Lines {
    /// Adds what a letter draws, if it is one of a box.
    fn add(&mut self, letter: &str, row: u16, column: u16, look: Look) -> bool {
        // Up, down, left, right.
        let ends = match letter {
            "─" => [false, false, true, true],
            "│" => [true, true, false, false],
            "┌" => [false, true, false, true],
            "┐" => [false, true, true, false],
            "└" => [true, false, false, true],
            "┘" => [true, false, true, false],
            "├" => [true, true, false, true],
            "┤" => [true, true, true, false],
            "┬" => [false, true, true, true],
            "┴" => [true, false, true, true],
            "┼" => [true, true, true, true],
            _ => return false,
        };
        let (width, height, margin) = (84, 10 * u32::from(CELL_HEIGHT), 10 * u32::from(MARGIN));
        let (left, top) = (margin + u32::from(column) * width, margin + u32::from(row) * height);
        let (x, y) = (left + width / 2, top + height / 2);
        let stretches =
            [(false, x, (top, y)), (false, x, (y, top + height)), (true, y, (left, x)), (true, y, (x, left + width))];
        for ((level, place, stretch), _) in stretches.into_iter().zip(ends).filter(|(_, is_so)| *is_so) {
            let line = self.0.entry((look.text, level, place)).or_default();
            match line.last_mut() {
                Some(last) if last.1 == stretch.0 => last.1 = stretch.1,
                _ => line.push(stretch),
            }
        }
        true
    }

    fn draw(&self, svg: &mut String) {
        for ((colour, level, place), stretches) in &self.0 {
            write!(svg, "<path stroke=\"{colour}\" d=\"").unwrap();
            let tenths = |tenths: u32| f64::from(tenths) / 10.0;
            let place = tenths(*place);
            for (from, to) in stretches {
                let (from, to) = (tenths(*from), tenths(*to));
                if *level {
                    write!(svg, "M{from} {place}H{to}").unwrap();
                } else {
                    write!(svg, "M{place} {from}V{to}").unwrap();
                }
            }
            svg.push_str("\"/>\n");
        }
    }
}
