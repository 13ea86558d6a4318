//! Text as the screen shows it: display widths, cutting, times and numbers. Does not know about styles or positions.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use crate::domain::time::Timestamp;

/// Text that came from a user, safe to draw: control, bidirectional and zero-width characters made visible.
pub use crate::domain::text::for_display as shown;

/// Columns the text takes on a terminal.
#[must_use]
pub fn width(text: &str) -> usize {
    text.width()
}

/// At most `columns` wide; what is left out at the end is replaced by `ellipsis`.
#[must_use]
pub fn cut(text: &str, columns: usize, ellipsis: &str) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut kept = start_of(text, columns.saturating_sub(width(ellipsis)));
    if width(ellipsis) <= columns {
        kept.push_str(ellipsis);
    }
    kept
}

/// Columns from which on the beginning of an address is kept also when its domain is too long.
const BEGINNING_FROM_COLUMNS: usize = 24;

/// At most `columns` wide, cut in the middle of the local part: look-alike addresses differ at either end, and the
/// domain says whose person it is. Only a domain that does not fit by itself loses its beginning.
#[must_use]
pub fn cut_email(email: &str, columns: usize, ellipsis: &str) -> String {
    if width(email) <= columns {
        return email.to_owned();
    }
    let (local, domain) = email.rsplit_once('@').unwrap_or((email, ""));
    let room = columns.saturating_sub(width(domain) + 1);
    if room < width(ellipsis) + 2 {
        let letters = columns.saturating_sub(width(ellipsis));
        let start = start_of(local, if columns < BEGINNING_FROM_COLUMNS { 0 } else { letters / 3 });
        let tail = end_of(email, letters - width(&start));
        return cut(&format!("{start}{ellipsis}{tail}"), columns, "");
    }
    let letters = room - width(ellipsis);
    let end = end_of(local, letters / 2);
    let start = start_of(local, letters - width(&end));
    format!("{start}{ellipsis}{end}@{domain}")
}

/// The text, cut or filled with spaces to exactly `columns`.
#[must_use]
pub fn fit(text: &str, columns: usize, ellipsis: &str) -> String {
    let mut text = cut(text, columns, ellipsis);
    text.extend(std::iter::repeat_n(' ', columns.saturating_sub(width(&text))));
    text
}

fn start_of(text: &str, columns: usize) -> String {
    let mut used = 0;
    text.graphemes(true)
        .take_while(|grapheme| {
            used += width(grapheme);
            used <= columns
        })
        .collect()
}

/// The end of the text that fits into so many columns.
#[must_use]
pub fn end_of(text: &str, columns: usize) -> String {
    let mut used = 0;
    let mut kept: Vec<&str> = text
        .graphemes(true)
        .rev()
        .take_while(|grapheme| {
            used += width(grapheme);
            used <= columns
        })
        .collect();
    kept.reverse();
    kept.concat()
}

/// Breaks a text at spaces into lines of at most `columns`; a longer word is broken where it must be.
#[must_use]
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && width(&line) + 1 + width(word) > columns {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        for grapheme in word.graphemes(true) {
            if !line.is_empty() && width(&line) + width(grapheme) > columns {
                lines.push(std::mem::take(&mut line));
            }
            line.push_str(grapheme);
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// How long ago, in one unit: `now`, `2 min`, `3 h`, `41 d`.
#[must_use]
pub fn ago(now: Timestamp, then: Timestamp) -> String {
    span(now.seconds_since(then))
}

/// How long until then, in one unit.
#[must_use]
pub fn until(now: Timestamp, then: Timestamp) -> String {
    span(then.seconds_since(now))
}

fn span(seconds: i64) -> String {
    match seconds {
        i64::MIN..=0 => "now".to_owned(),
        1..=59 => format!("{seconds} s"),
        60..=3_599 => format!("{} min", seconds / 60),
        3_600..=86_399 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// `2026-02-11`, UTC.
#[must_use]
pub fn date(at: Timestamp) -> String {
    at.to_rfc3339_z().chars().take(10).collect()
}

/// The beginning of a day that was typed as `2026-02-11`, UTC.
#[must_use]
pub fn day(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    (text.len() == "2026-02-11".len()).then(|| Timestamp::parse(text)).flatten()
}

/// `2026-02-11 10:22`, UTC.
#[must_use]
pub fn date_time(at: Timestamp) -> String {
    at.to_rfc3339_z().chars().take(16).map(|c| if c == 'T' { ' ' } else { c }).collect()
}

/// `10:22:31`, UTC.
#[must_use]
pub fn time_of_day(at: Timestamp) -> String {
    at.to_rfc3339_z().chars().skip(11).take(8).collect()
}

/// `10:22`, UTC.
#[must_use]
pub fn minute(at: Timestamp) -> String {
    at.to_rfc3339_z().chars().skip(11).take(5).collect()
}

/// Minutes and seconds left, `09:41`; never negative.
#[must_use]
pub fn countdown(seconds: i64) -> String {
    let seconds = seconds.max(0);
    format!("{:02}:{:02}", seconds / 60, seconds % 60)
}

/// `1,000,000`.
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 session`, `3 sessions`.
#[must_use]
pub fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_cut_in_the_local_part() {
        for (columns, expected) in [
            (34, "anna.schmidt-long@corp.example.com"),
            (30, "anna.s..-long@corp.example.com"),
            (24, "ann..ng@corp.example.com"),
            (12, "..xample.com"),
            (1, "."),
            (0, ""),
        ] {
            assert_eq!(cut_email("anna.schmidt-long@corp.example.com", columns, ".."), expected, "{columns}");
        }
        let long = "anna.schmidt@a-subdomain.of-a-very-long-domain.example.com";
        assert_eq!(cut_email(long, 30, ".."), "anna.schm..-domain.example.com", "who and whose");
    }

    #[test]
    fn wide_letters_are_never_halved() {
        assert_eq!(cut("漢字漢字", 5, ".."), "漢..");
        assert_eq!(fit("漢字", 5, ".."), "漢字 ");
        assert_eq!(wrap("aa bb cccccc", 5), ["aa bb", "ccccc", "c"]);
    }

    #[test]
    fn numbers_and_times() {
        assert_eq!(thousands(1_000_000), "1,000,000");
        assert_eq!(thousands(12), "12");
        let now = Timestamp::from_seconds(1_000_000);
        for (seconds, text) in [(-5, "now"), (59, "59 s"), (60, "1 min"), (7_200, "2 h"), (90_000, "1 d")] {
            assert_eq!(ago(now, now.plus_seconds(-seconds)), text);
        }
        assert_eq!(countdown(581), "09:41");
        assert_eq!(date_time(Timestamp::from_seconds(1_756_730_096)), "2025-09-01 12:34");
    }
}
