//! A QR code of coloured cells: dark on light whatever the theme, since phones read nothing else with certainty.

use ratatui::Frame;
use ratatui::style::{Color, Style};

use crate::console::enrol::Key;

/// Light squares round the code: what the standard asks for, and what readers still take.
const QUIET: [usize; 2] = [4, 2];

/// A code with the quiet zone that there is room for.
pub(super) struct Code<'a> {
    key: &'a Key,
    quiet: usize,
    /// Two squares one above the other in a cell; else a square is two cells wide, for terminals without half blocks.
    halves: bool,
}

impl<'a> Code<'a> {
    /// The code as it fits into so many columns and rows, with as much of the quiet zone as fits.
    pub(super) fn fitting(key: &'a Key, (columns, rows): (u16, u16), halves: bool) -> Option<Self> {
        let mut codes = QUIET.into_iter().map(|quiet| Self { key, quiet, halves });
        codes.find(|code| key.side > 0 && code.columns() <= columns && code.rows() <= rows)
    }

    fn side(&self) -> usize {
        self.key.side + 2 * self.quiet
    }

    pub(super) fn columns(&self) -> u16 {
        u16::try_from(if self.halves { self.side() } else { self.side() * 2 }).unwrap_or(u16::MAX)
    }

    pub(super) fn rows(&self) -> u16 {
        u16::try_from(if self.halves { self.side().div_ceil(2) } else { self.side() }).unwrap_or(u16::MAX)
    }

    /// Draws it with its top left corner there.
    pub(super) fn draw(&self, frame: &mut Frame<'_>, (x, y): (u16, u16), is_inverted: bool) {
        let colour = |dark: bool| if dark == is_inverted { Color::White } else { Color::Black };
        let buffer = frame.buffer_mut();
        for row in 0..self.rows() {
            for column in 0..self.columns() {
                let Some(cell) = buffer.cell_mut((x + column, y + row)) else { continue };
                let (across, down) = (usize::from(column), usize::from(row));
                if self.halves {
                    let style = Style::new()
                        .fg(colour(self.is_dark(across, down * 2)))
                        .bg(colour(self.is_dark(across, down * 2 + 1)));
                    cell.set_symbol("▀").set_style(style);
                } else {
                    cell.set_symbol(" ").set_style(Style::new().bg(colour(self.is_dark(across / 2, down))));
                }
            }
        }
    }

    /// Squares of the quiet zone are light; so is the lower half of a last row that has none.
    fn is_dark(&self, column: usize, row: usize) -> bool {
        match (column.checked_sub(self.quiet), row.checked_sub(self.quiet)) {
            (Some(column), Some(row)) => self.key.is_dark(column, row),
            _ => false,
        }
    }
}
