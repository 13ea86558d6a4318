//! Editing a field of text with the keys of readline. Does not draw it.

use std::collections::VecDeque;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use tui_input::{Input, InputRequest};

/// Longest text of a field, in characters.
const CHARS_MAX: usize = 240;

/// Applies a key to the field; whether the text changed. Keys that mean nothing here are ignored.
pub fn edit(input: &mut Input, key: KeyEvent) -> bool {
    let Some(request) = request(key) else { return false };
    if matches!(request, InputRequest::InsertChar(_)) && input.value().chars().count() >= CHARS_MAX {
        return false;
    }
    input.handle(request).is_some_and(|changed| changed.value)
}

/// Whether the key would be taken by a field: such keys never do anything else while one has the keyboard.
#[must_use]
pub fn takes(key: KeyEvent) -> bool {
    request(key).is_some()
}

/// Which of the texts given before is in a field; `Up` and `Down` go through them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Recall(Option<usize>);

impl Recall {
    /// Puts the next older or newer of the texts, which are newest first, into the field.
    pub fn step(&mut self, is_older: bool, texts: &VecDeque<String>, input: &mut Input) {
        let next = match (self.0, is_older) {
            (None, true) => Some(0),
            (Some(index), true) => Some((index + 1).min(texts.len().saturating_sub(1))),
            (Some(index), false) => index.checked_sub(1),
            (None, false) => None,
        };
        let Some(text) = next.and_then(|index| texts.get(index)) else { return };
        *input = Input::from(text.as_str());
        self.0 = next;
    }
}

/// Puts pasted text into the field, on one line and without control characters; whether the text changed.
pub fn paste(input: &mut Input, text: &str) -> bool {
    let before = input.value().len();
    let line = text.trim().chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| !c.is_control());
    for letter in line {
        if input.value().chars().count() >= CHARS_MAX {
            break;
        }
        input.handle(InputRequest::InsertChar(letter));
    }
    input.value().len() != before
}

fn request(key: KeyEvent) -> Option<InputRequest> {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let alt = key.modifiers.contains(KeyModifiers::ALT);
    Some(match key.code {
        KeyCode::Char('a') if control => InputRequest::GoToStart,
        KeyCode::Char('e') if control => InputRequest::GoToEnd,
        KeyCode::Char('w') if control => InputRequest::DeletePrevWord,
        KeyCode::Char('u') if control => InputRequest::DeleteFromStart,
        KeyCode::Char('k') if control => InputRequest::DeleteTillEnd,
        KeyCode::Char('b') if alt && !control => InputRequest::GoToPrevWord,
        KeyCode::Char('f') if alt && !control => InputRequest::GoToNextWord,
        KeyCode::Left if control || alt => InputRequest::GoToPrevWord,
        KeyCode::Right if control || alt => InputRequest::GoToNextWord,
        KeyCode::Left => InputRequest::GoToPrevChar,
        KeyCode::Right => InputRequest::GoToNextChar,
        KeyCode::Home => InputRequest::GoToStart,
        KeyCode::End => InputRequest::GoToEnd,
        KeyCode::Backspace => InputRequest::DeletePrevChar,
        KeyCode::Delete => InputRequest::DeleteNextChar,
        // AltGr arrives as Control and Alt together on some terminals.
        KeyCode::Char(letter) if control == alt && !letter.is_control() => InputRequest::InsertChar(letter),
        _ => return None,
    })
}

/// The part of a window so many places after `from`, and round again.
#[must_use]
pub fn step<T: Copy + PartialEq>(parts: &[T], from: T, places: usize) -> T {
    let index = parts.iter().position(|part| *part == from).unwrap_or(0);
    parts.get((index + places) % parts.len().max(1)).copied().unwrap_or(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pasted_lines_become_one() {
        let mut input = Input::default();
        assert!(paste(&mut input, "lost phone,\r\n\u{1b}[31mticket\n"));
        assert_eq!(input.value(), "lost phone,  [31mticket");
        assert!(paste(&mut input, &"x".repeat(1_000)));
        assert_eq!(input.value().chars().count(), CHARS_MAX);
    }

    #[test]
    fn readline_keys() {
        let mut input = Input::from("one two");
        edit(&mut input, KeyEvent::new(KeyCode::Char('w'), KeyModifiers::CONTROL));
        assert_eq!(input.value(), "one ");
        edit(&mut input, KeyEvent::new(KeyCode::Char('a'), KeyModifiers::CONTROL));
        edit(&mut input, KeyEvent::new(KeyCode::Char('X'), KeyModifiers::SHIFT));
        assert_eq!(input.value(), "Xone ");
        assert!(!takes(KeyEvent::new(KeyCode::Char('z'), KeyModifiers::CONTROL)));
    }
}
