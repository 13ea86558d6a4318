//! Colours and signs, and nothing else: what a tone means is the same on every screen.
//!
//! Only the 16 named colours on the terminal's own background; colour is never the only carrier, since each tone that
//! says something also has a sign.

use ratatui::style::{Color, Modifier, Style};

/// What a piece of text means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Plain,
    /// On, done.
    Good,
    /// Absent, off.
    Off,
    /// Needs care.
    Care,
    /// Waiting for somebody.
    Waiting,
    /// Locked, failed, destroys.
    Bad,
    /// A key to press.
    Key,
    /// Headings.
    Title,
    /// Explanations beside what matters.
    Quiet,
}

/// How to draw: colours or not, Unicode or ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    pub colour: bool,
    pub unicode: bool,
}

impl Theme {
    /// The theme for these values of `NO_COLOR` and of the first set one of `LC_ALL`, `LC_CTYPE` and `LANG`.
    #[must_use]
    pub fn from_environment(no_color: Option<&str>, locale: Option<&str>) -> Self {
        let locale = locale.unwrap_or_default().to_ascii_lowercase();
        Self {
            colour: no_color.unwrap_or_default().is_empty(),
            unicode: locale.contains("utf-8") || locale.contains("utf8"),
        }
    }

    #[must_use]
    pub fn style(self, tone: Tone) -> Style {
        let style = Style::new();
        let coloured = |colour| if self.colour { style.fg(colour) } else { style };
        match tone {
            Tone::Plain | Tone::Off => style,
            Tone::Good => coloured(Color::Green),
            Tone::Care => coloured(Color::Yellow),
            Tone::Waiting => coloured(Color::Cyan),
            Tone::Bad => coloured(Color::Red).add_modifier(Modifier::BOLD),
            Tone::Key => coloured(Color::Cyan).add_modifier(Modifier::BOLD),
            Tone::Title => style.add_modifier(Modifier::BOLD),
            Tone::Quiet => coloured(Color::DarkGray),
        }
    }

    /// The style of the chosen row.
    #[must_use]
    pub fn chosen(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// The style of what matched the search.
    #[must_use]
    pub fn matched(self) -> Style {
        Style::new().add_modifier(Modifier::UNDERLINED)
    }

    /// The sign that goes with a tone; a space for those that have none.
    #[must_use]
    pub const fn sign(self, tone: Tone) -> &'static str {
        match (tone, self.unicode) {
            (Tone::Good, true) => "●",
            (Tone::Good, false) => "*",
            (Tone::Off, true) => "○",
            (Tone::Off, false) => "o",
            (Tone::Care, true) => "▲",
            (Tone::Care, false) => "!",
            (Tone::Waiting, true) => "◌",
            (Tone::Waiting, false) => "~",
            (Tone::Bad, true) => "✖",
            (Tone::Bad, false) => "x",
            (Tone::Plain | Tone::Key | Tone::Title | Tone::Quiet, _) => " ",
        }
    }

    /// The tick before a step that is done.
    #[must_use]
    pub const fn tick(self) -> &'static str {
        if self.unicode { "✔" } else { "v" }
    }

    #[must_use]
    pub const fn ellipsis(self) -> &'static str {
        if self.unicode { "…" } else { ".." }
    }

    #[must_use]
    pub const fn arrow(self) -> &'static str {
        if self.unicode { "→" } else { "->" }
    }

    /// Horizontal and vertical line.
    #[must_use]
    pub const fn lines(self) -> (&'static str, &'static str) {
        if self.unicode { ("─", "│") } else { ("-", "|") }
    }

    /// Corners: top left, top right, bottom left, bottom right.
    #[must_use]
    pub const fn corners(self) -> [&'static str; 4] {
        if self.unicode { ["┌", "┐", "└", "┘"] } else { ["+"; 4] }
    }

    /// The glyph that turns while an answer is awaited; `step` counts tenths of a second.
    #[must_use]
    pub fn spinner(self, step: u64) -> &'static str {
        let glyphs: &[&str] = if self.unicode { &["◐", "◓", "◑", "◒"] } else { &["|", "/", "-", "\\"] };
        let index = usize::try_from(step % 4).unwrap_or(0);
        glyphs.get(index).copied().unwrap_or("|")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_chooses() {
        let colour_utf8 = Theme { colour: true, unicode: true };
        assert_eq!(Theme::from_environment(None, Some("de_DE.UTF-8")), colour_utf8);
        assert_eq!(Theme::from_environment(Some(""), Some("C.utf8")), colour_utf8);
        assert_eq!(Theme::from_environment(Some("1"), Some("C.UTF-8")), Theme { colour: false, unicode: true });
        assert_eq!(Theme::from_environment(None, Some("POSIX")), Theme { colour: true, unicode: false });
        assert_eq!(Theme::from_environment(None, None), Theme { colour: true, unicode: false });
    }

    #[test]
    fn without_colour_weight_stays() {
        let mono = Theme { colour: false, unicode: true };
        assert_eq!(mono.style(Tone::Bad).fg, None);
        assert!(mono.style(Tone::Bad).add_modifier.contains(Modifier::BOLD));
    }
}
