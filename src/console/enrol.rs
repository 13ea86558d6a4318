//! Enrolment in person: the key on the screen for a minute, and the digits that the phone makes of it. Does not draw.
//!
//! The key is not on the clipboard and not in a log, and is wiped here when it is hidden. What was drawn of it is in the
//! terminal's memory, and in that of the drawing library until the frames that follow have replaced it.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use qrcode::{EcLevel, QrCode};
use zeroize::Zeroizing;

use crate::app::reset::EnrolmentStarted;
use crate::app::safety::Proof;
use crate::app::views::UserRef;
use crate::domain::secret::Secret;
use crate::domain::session::PENDING_TOTP_FAILURES_MAX;
use crate::domain::time::Timestamp;
use crate::domain::totp::CODE_DIGITS;

/// Seconds a key is shown.
pub const SHOWN_SECONDS: i64 = 60;
/// Characters of the key that stand together.
const GROUP: usize = 4;

/// An enrolment under way.
#[derive(Debug)]
pub struct Enrol {
    pub user: UserRef,
    pub email: String,
    pub name: String,
    /// What was given when it began; the end of it is on record with the same.
    pub proof: Proof,
    /// `None` once hidden: it does not come back.
    pub key: Option<Key>,
    pub hidden_at: Timestamp,
    pub digits: String,
    pub tries_left: u32,
    /// Light on dark, for a terminal that shows colours the other way round.
    pub is_inverted: bool,
    pub as_text: bool,
    /// Sent, not yet answered.
    pub sent: bool,
    pub problem: Option<String>,
}

/// The key as people and phones read it. Wiped when dropped.
pub struct Key {
    /// In groups of four.
    pub text: Secret,
    /// The squares row by row, true where dark; empty when the text is too long for any code.
    pub squares: Zeroizing<Vec<bool>>,
    /// Squares on a side.
    pub side: usize,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("[secret]")
    }
}

impl Key {
    #[must_use]
    pub fn new(started: &EnrolmentStarted) -> Self {
        let (squares, side) = squares(started.uri.expose()).unwrap_or_default();
        Self { text: grouped(started.secret.expose()), squares, side }
    }

    /// Whether the square is dark; there is light round them.
    #[must_use]
    pub fn is_dark(&self, column: usize, row: usize) -> bool {
        column < self.side && self.squares.get(row * self.side + column).is_some_and(|dark| *dark)
    }
}

fn squares(text: &str) -> Option<(Zeroizing<Vec<bool>>, usize)> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let side = code.width();
    Some((Zeroizing::new(code.into_colors().into_iter().map(|colour| colour == qrcode::Color::Dark).collect()), side))
}

/// `ABCD EFGH ...`.
#[must_use]
pub fn grouped(key: &str) -> Secret {
    let mut text = Zeroizing::new(String::with_capacity(key.len() * 2));
    for (index, letter) in key.chars().enumerate() {
        if index > 0 && index.is_multiple_of(GROUP) {
            text.push(' ');
        }
        text.push(letter);
    }
    Secret::from(text.as_str())
}

/// What follows from a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Stay,
    Leave,
    Send,
}

impl Enrol {
    #[must_use]
    pub fn new(started: &EnrolmentStarted, user: UserRef, name: String, proof: Proof, now: Timestamp) -> Self {
        Self {
            user,
            email: started.email.clone(),
            name,
            proof,
            key: Some(Key::new(started)),
            hidden_at: now.plus_seconds(SHOWN_SECONDS),
            digits: String::new(),
            tries_left: PENDING_TOTP_FAILURES_MAX,
            is_inverted: false,
            as_text: false,
            sent: false,
            problem: None,
        }
    }

    /// Seconds until the key is hidden; `None` once it is, or when the clock was set back.
    #[must_use]
    pub fn seconds_left(&self, now: Timestamp) -> Option<i64> {
        let left = self.hidden_at.seconds_since(now);
        self.key.as_ref().filter(|_| (1..=SHOWN_SECONDS).contains(&left)).map(|_| left)
    }

    /// Forgets the key. Digits can still be typed: the phone may have it already.
    pub fn hide(&mut self) {
        self.key = None;
    }

    pub fn press(&mut self, key: KeyEvent) -> Step {
        let plain = key.modifiers.difference(KeyModifiers::SHIFT).is_empty();
        if self.sent || !plain {
            return Step::Stay;
        }
        match key.code {
            KeyCode::Esc => return Step::Leave,
            KeyCode::Char(digit @ '0'..='9') if self.digits.len() < CODE_DIGITS => self.digits.push(digit),
            KeyCode::Backspace => {
                self.digits.pop();
            }
            KeyCode::Char('i') => self.is_inverted = !self.is_inverted,
            KeyCode::Char('t') => self.as_text = !self.as_text,
            KeyCode::Enter if self.digits.len() == CODE_DIGITS => {
                self.sent = true;
                self.problem = None;
                return Step::Send;
            }
            KeyCode::Enter => self.problem = Some("type all six digits first".to_owned()),
            _ => {}
        }
        Step::Stay
    }

    /// The digits were wrong, or nobody knows.
    pub fn refused(&mut self, problem: String, is_wrong_code: bool) {
        self.sent = false;
        self.digits.clear();
        self.tries_left = self.tries_left.saturating_sub(u32::from(is_wrong_code));
        self.problem = Some(problem);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_in_groups_of_four() {
        assert_eq!(grouped("GEZDGNBVGY").expose(), "GEZD GNBV GY");
        assert_eq!(grouped("").expose(), "");
    }

    #[test]
    fn a_usual_address_makes_thirty_seven_squares_at_most() {
        let uri = crate::domain::totp::short_otpauth_uri("Doorward", "anna.schmidt@corp.example.com", &"A2".repeat(16));
        let (squares, side) = squares(&uri).unwrap();
        assert!(side <= 37, "{side}");
        assert_eq!(squares.len(), side * side);
        assert!(super::squares(&"x".repeat(5_000)).is_none(), "nothing is drawn of what does not fit");
    }
}
