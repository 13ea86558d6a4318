//! Showing answers: JSON for scripts, aligned text for people. Foreign text never reaches the terminal raw.

use std::io::{self, Write};
use std::process::ExitCode;

use serde::Serialize;
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use super::{Failure, Global};
use crate::domain::text::for_display;
use crate::domain::time::Timestamp;

/// Where answers and errors go.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
    quiet: bool,
}

impl Output {
    #[must_use]
    pub fn new(global: &Global) -> Self {
        Self { json: global.json, quiet: global.quiet }
    }

    pub(super) fn json() -> Self {
        Self { json: true, quiet: false }
    }

    /// The answer: `value` with `--json`, else `text`.
    pub(super) fn answer(self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
        if !self.json {
            return print(&text());
        }
        print(&json_line(value)?)
    }

    /// A remark beside the answer, on standard error; not with `--json` or `-q`.
    pub(super) fn note(self, text: &str) {
        if self.has_notes() {
            complain(text);
        }
    }

    /// Whether there are remarks at all.
    pub(super) fn has_notes(self) -> bool {
        !self.json && !self.quiet
    }

    /// Shows why the command failed; the result is its exit code.
    #[must_use]
    pub fn fail(self, failure: &Failure) -> ExitCode {
        let message = for_display(&failure.to_string());
        if self.json {
            let error = json!({"error": {"code": failure.code(), "message": message}});
            complain(&escape_json(&error.to_string()));
        } else {
            complain(&format!("doorward: {message}"));
        }
        ExitCode::from(failure.exit_code())
    }
}

/// A value as scripts get it, on one line.
pub(super) fn json_line(value: &impl Serialize) -> Result<String, Failure> {
    let mut value = serde_json::to_value(value).map_err(|error| Failure::Failed(error.to_string()))?;
    spell_times_out(&mut value);
    Ok(escape_json(&value.to_string()))
}

/// JSON itself escapes the lower control characters only; a terminal obeys more. They stand in strings alone, where an
/// escape means the same.
fn escape_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if is_safe(c) {
            escaped.push(c);
        } else {
            escaped.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    escaped
}

fn is_safe(c: char) -> bool {
    c.is_ascii_graphic() || c == ' ' || for_display(c.encode_utf8(&mut [0; 4])).len() == c.len_utf8()
}

/// Writes to standard output. A reader that has seen enough (`| head`) is no failure.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let written = writeln!(stdout, "{}", text.trim_end_matches('\n')).and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::io("cannot write the answer")(error)),
        _ => Ok(()),
    }
}

/// Writes to standard error; nobody is left to tell when that fails.
pub(super) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Inside the program a moment is a number; scripts get RFC 3339. Moments are the integers under these names.
fn spell_times_out(value: &mut Value) {
    let is_moment = |name: &str| {
        name.ends_with("_at")
            || name.ends_with("_until")
            || name.ends_with("_from")
            || matches!(
                name,
                "at" | "failures_since"
                    | "enrol_from"
                    | "from"
                    | "date_joined"
                    | "last_login"
                    | "last_activity"
                    | "server_time"
            )
    };
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field.as_i64() {
                    Some(micros) if is_moment(name) => *field = Timestamp::from_micros(micros).to_rfc3339_z().into(),
                    _ => spell_times_out(field),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(spell_times_out),
        _ => {}
    }
}

/// Columns under a head, as wide as their widest cell; the last one is not padded.
pub(super) fn table<const N: usize>(head: [&str; N], rows: Vec<[String; N]>) -> String {
    let rows: Vec<[String; N]> = rows.into_iter().map(|row| row.map(|cell| for_display(&cell))).collect();
    let mut widths = head.map(UnicodeWidthStr::width);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    let line = |cells: [&str; N]| {
        let mut line = String::new();
        for (cell, width) in cells.into_iter().zip(widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width.saturating_sub(cell.width()) + 2));
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    };
    let body: String = rows.iter().map(|row| line(row.each_ref().map(String::as_str))).collect();
    line(head) + &body
}

/// Names and values below each other; empty values are left out.
pub(super) fn facts(facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.width()).max().unwrap_or_default();
    let lines = facts.iter().filter(|(_, value)| !value.is_empty());
    let lines = lines.map(|(name, value)| format!("{name:width$}  {}\n", for_display(value)));
    lines.collect::<Vec<_>>().concat()
}

/// A moment to the minute, UTC.
pub(super) fn moment(at: Timestamp) -> String {
    wire_moment(&at.to_rfc3339_z())
}

/// The same of a moment in its wire format.
pub(super) fn wire_moment(text: &str) -> String {
    text.get(..16).map_or_else(|| text.to_owned(), |minute| format!("{}Z", minute.replace('T', " ")))
}

/// The same, or what to say when it never came.
pub(super) fn moment_or(at: Option<Timestamp>, otherwise: &str) -> String {
    at.map_or_else(|| otherwise.to_owned(), moment)
}

/// `1 session`, `2 sessions`.
pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_holds_nothing_that_a_terminal_obeys() {
        let value = json!({"label": "Jörg \u{9b}31m\u{202e}\u{1b}[0m \u{7f}\u{e0041}"});
        let shown = escape_json(&value.to_string());
        assert_eq!(shown, "{\"label\":\"Jörg \\u009b31m\\u202e\\u001b[0m \\u007f\\udb40\\udc41\"}");
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), value);
    }

    #[test]
    fn tables_are_aligned_and_safe() {
        let rows = vec![
            ["é@example.com".to_owned(), "on".to_owned()],
            ["\u{1b}[2J".to_owned(), String::new()],
            ["漢字".to_owned(), "x".to_owned()],
        ];
        let shown = table(["E-MAIL", "STATE"], rows);
        assert_eq!(shown, "E-MAIL         STATE\né@example.com  on\n\\u{1b}[2J\n漢字           x\n");
    }

    #[test]
    fn moments_are_spelt_out_for_scripts() {
        let mut value = json!({
            "enrolled_at": 1_756_730_096_000_000_i64,
            "rows": [{"last_login": null, "waiting_until": 1_756_730_096_789_012_i64, "id": 5}],
            "created_at": "2025-09-01T12:34:56Z",
        });
        spell_times_out(&mut value);
        assert_eq!(
            value,
            json!({
                "enrolled_at": "2025-09-01T12:34:56Z",
                "rows": [{"last_login": null, "waiting_until": "2025-09-01T12:34:56.789012Z", "id": 5}],
                "created_at": "2025-09-01T12:34:56Z",
            })
        );
        assert_eq!(moment(Timestamp::from_seconds(1_756_730_096)), "2025-09-01 12:34Z");
    }
}
