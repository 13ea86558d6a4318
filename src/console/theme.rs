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

/// Which colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colours {
    /// The 16 named ones, on the terminal's own background.
    #[default]
    Sixteen,
    /// None: bold, reversed and underlined say it.
    Mono,
    /// The bright ones, nothing dimmed, and weight as well.
    Contrast,
}

impl Colours {
    /// With the names by which `--theme` and `console.toml` choose.
    pub const ALL: [(&'static str, Self); 3] =
        [("16", Self::Sixteen), ("mono", Self::Mono), ("contrast", Self::Contrast)];
}

/// How to draw: which colours, Unicode or ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    pub colours: Colours,
    pub unicode: bool,
}

impl Theme {
    /// The theme for these values of `NO_COLOR` and of the first set one of `LC_ALL`, `LC_CTYPE` and `LANG`.
    #[must_use]
    pub fn from_environment(no_color: Option<&str>, locale: Option<&str>) -> Self {
        let locale = locale.unwrap_or_default().to_ascii_lowercase();
        Self {
            colours: if no_color.unwrap_or_default().is_empty() { Colours::Sixteen } else { Colours::Mono },
            unicode: locale.contains("utf-8") || locale.contains("utf8"),
        }
    }

    #[must_use]
    pub fn style(self, tone: Tone) -> Style {
        let style = Style::new();
        let strong = style.add_modifier(Modifier::BOLD);
        let (usual, bright) = match tone {
            Tone::Plain | Tone::Off => return style,
            Tone::Title => return strong,
            Tone::Quiet if self.colours == Colours::Contrast => return style,
            Tone::Good => (Color::Green, Color::LightGreen),
            Tone::Care => (Color::Yellow, Color::LightYellow),
            Tone::Waiting | Tone::Key => (Color::Cyan, Color::LightCyan),
            Tone::Bad => (Color::Red, Color::LightRed),
            Tone::Quiet => (Color::DarkGray, Color::Reset),
        };
        match self.colours {
            Colours::Contrast => strong.fg(bright),
            Colours::Sixteen if matches!(tone, Tone::Bad | Tone::Key) => strong.fg(usual),
            Colours::Sixteen => style.fg(usual),
            Colours::Mono if matches!(tone, Tone::Bad | Tone::Key) => strong,
            Colours::Mono => style,
        }
    }

    /// The style of the chosen row.
    #[must_use]
    pub fn chosen(self) -> Style {
        let style = Style::new().add_modifier(Modifier::REVERSED);
        if self.colours == Colours::Contrast { style.add_modifier(Modifier::BOLD) } else { style }
    }

    /// The style of what matched the search.
    #[must_use]
    pub fn matched(self) -> Style {
        let style = Style::new().add_modifier(Modifier::UNDERLINED);
        if self.colours == Colours::Contrast { style.add_modifier(Modifier::BOLD) } else { style }
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

    /// Which way a column is sorted.
    #[must_use]
    pub const fn sorted(self, ascending: bool) -> &'static str {
        match (ascending, self.unicode) {
            (true, true) => "↑",
            (false, true) => "↓",
            (true, false) => "^",
            (false, false) => "v",
        }
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
        let theme = |colours, unicode| Theme { colours, unicode };
        for (no_color, locale, expected) in [
            (None, Some("de_DE.UTF-8"), theme(Colours::Sixteen, true)),
            (Some(""), Some("C.utf8"), theme(Colours::Sixteen, true)),
            (Some("1"), Some("C.UTF-8"), theme(Colours::Mono, true)),
            (None, Some("POSIX"), theme(Colours::Sixteen, false)),
            (None, None, theme(Colours::Sixteen, false)),
        ] {
            assert_eq!(Theme::from_environment(no_color, locale), expected);
        }
    }

    #[test]
    fn without_colour_weight_stays() {
        let mono = Theme { colours: Colours::Mono, unicode: true };
        assert_eq!(mono.style(Tone::Bad).fg, None);
        assert!(mono.style(Tone::Bad).add_modifier.contains(Modifier::BOLD));
    }

    #[test]
    fn contrast_dims_nothing() {
        let contrast = Theme { colours: Colours::Contrast, unicode: true };
        assert_eq!(contrast.style(Tone::Quiet), Style::new());
        assert_eq!(contrast.style(Tone::Bad).fg, Some(Color::LightRed));
    }
}
