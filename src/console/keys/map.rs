//! Which keys do what for this operator: the table, with the keys that `console.toml` gives instead.

use std::borrow::Cow;
use std::collections::HashMap;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{Action, BINDINGS, Binding, EVERYWHERE, Place};
use crate::console::field;

/// A key, and what is held with it. Shift counts only where the character does not say it.
pub type Key = (KeyCode, KeyModifiers);

/// The table as it holds for this operator.
#[derive(Clone, Debug, Default)]
pub struct Keymap {
    changed: HashMap<Action, Vec<Key>>,
}

/// A row of the table with the keys it has.
#[derive(Clone, Copy, Debug)]
pub struct Bound<'a> {
    pub binding: &'static Binding,
    changed: Option<&'a [Key]>,
}

impl<'a> Bound<'a> {
    /// How its keys are written.
    #[must_use]
    pub fn shown(&self) -> Cow<'static, str> {
        match self.changed {
            None => Cow::Borrowed(self.binding.shown),
            Some(keys) => Cow::Owned(keys.iter().map(|key| key_name(*key)).collect::<Vec<_>>().join(" ")),
        }
    }

    /// How the first of its keys is written.
    #[must_use]
    pub fn first(&self) -> String {
        self.keys().first().map(|key| key_name(*key)).unwrap_or_default()
    }

    fn keys(&self) -> &'a [Key] {
        self.changed.unwrap_or(self.binding.keys)
    }
}

/// Two actions want the same key in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clash {
    pub key: Key,
    pub actions: (Action, Action),
}

/// Why an action cannot have this key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// There is no such key.
    Unknown,
    /// Ctrl-C cancels and quits, wherever it is pressed: nothing else may have it.
    Kept,
}

impl Keymap {
    /// Gives an action these keys in the place of those of the table.
    pub fn set(&mut self, action: Action, keys: Vec<Key>) {
        self.changed.insert(action, keys);
    }

    /// The rows for a place, in the order of the table.
    pub fn bindings(&self, place: Place) -> impl Iterator<Item = Bound<'_>> {
        BINDINGS.iter().filter(move |binding| binding.places.contains(&place)).map(|binding| self.bound(binding))
    }

    /// The row of an action at a place.
    #[must_use]
    pub fn binding(&self, place: Place, action: Action) -> Option<Bound<'_>> {
        self.bindings(place).find(|bound| bound.binding.action == action)
    }

    /// How the first key of an action at a place is written.
    #[must_use]
    pub fn first(&self, place: Place, action: Action) -> String {
        self.binding(place, action).map(|bound| bound.first()).unwrap_or_default()
    }

    /// What `event` does at `place`. What a field takes is the field's, so letters type; who handles a field decides
    /// whether it is empty.
    #[must_use]
    pub fn action(&self, place: Place, event: KeyEvent) -> Option<Action> {
        let key = (event.code, event.modifiers.difference(KeyModifiers::SHIFT));
        let types = is_field(place) && field::takes(event);
        self.bindings(place)
            .filter(|bound| !types || matches!(bound.binding.action, Action::Help | Action::Palette))
            .find(|bound| bound.keys().contains(&key))
            .map(|bound| bound.binding.action)
    }

    /// The first key that has two meanings in one place.
    #[must_use]
    pub fn clash(&self) -> Option<Clash> {
        EVERYWHERE.iter().find_map(|place| {
            let mut seen: HashMap<Key, Action> = HashMap::new();
            let all = self
                .bindings(*place)
                .flat_map(|bound| bound.keys().iter().map(move |key| (*key, bound.binding.action)).collect::<Vec<_>>());
            all.into_iter().find_map(|(key, action)| {
                seen.insert(key, action).map(|earlier| Clash { key, actions: (earlier, action) })
            })
        })
    }

    fn bound(&self, binding: &'static Binding) -> Bound<'_> {
        Bound { binding, changed: self.changed.get(&binding.action).map(Vec::as_slice) }
    }
}

const fn is_field(place: Place) -> bool {
    matches!(place, Place::Find | Place::AuditFilter | Place::Help | Place::Palette | Place::Dialog)
}

/// Keys with names; of two for one code the first is written.
const NAMES: &[(&str, KeyCode)] = &[
    ("Enter", KeyCode::Enter),
    ("Esc", KeyCode::Esc),
    ("Tab", KeyCode::Tab),
    ("Shift-Tab", KeyCode::BackTab),
    ("Space", KeyCode::Char(' ')),
    ("Up", KeyCode::Up),
    ("Down", KeyCode::Down),
    ("Left", KeyCode::Left),
    ("Right", KeyCode::Right),
    ("Home", KeyCode::Home),
    ("End", KeyCode::End),
    ("PgUp", KeyCode::PageUp),
    ("PgDn", KeyCode::PageDown),
    ("Insert", KeyCode::Insert),
    ("Delete", KeyCode::Delete),
    ("Backspace", KeyCode::Backspace),
    ("PageUp", KeyCode::PageUp),
    ("PageDown", KeyCode::PageDown),
];

/// How a key is written: `a`, `Ctrl-R`, `F5`, `PgDn`.
#[must_use]
pub fn key_name((code, modifiers): Key) -> String {
    let base = match (NAMES.iter().find(|(_, named)| *named == code), code) {
        (Some((name, _)), _) => (*name).to_owned(),
        (None, KeyCode::F(number)) => format!("F{number}"),
        (None, KeyCode::Char(letter)) if modifiers.contains(KeyModifiers::CONTROL) => letter.to_uppercase().to_string(),
        (None, KeyCode::Char(letter)) => letter.to_string(),
        (None, other) => format!("{other:?}"),
    };
    let control = if modifiers.contains(KeyModifiers::CONTROL) { "Ctrl-" } else { "" };
    let alt = if modifiers.contains(KeyModifiers::ALT) { "Alt-" } else { "" };
    format!("{control}{alt}{base}")
}

/// Reads what [`key_name`] writes; names in any case. Letters with Ctrl have no case: a terminal does not tell it.
pub fn read_key(text: &str) -> Result<Key, Unusable> {
    let mut rest = text.trim();
    let mut modifiers = KeyModifiers::NONE;
    loop {
        let lower = rest.to_ascii_lowercase();
        if lower.starts_with("ctrl-") && rest.len() > 5 {
            modifiers |= KeyModifiers::CONTROL;
            rest = rest.get(5..).unwrap_or_default();
        } else if lower.starts_with("alt-") && rest.len() > 4 {
            modifiers |= KeyModifiers::ALT;
            rest = rest.get(4..).unwrap_or_default();
        } else {
            break;
        }
    }
    let named = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(rest)).map(|(_, code)| *code);
    let mut letters = rest.chars();
    let code = match (named, letters.next(), letters.as_str()) {
        (Some(code), ..) => code,
        (None, Some(letter), "") if !letter.is_control() => KeyCode::Char(letter),
        (None, Some('F' | 'f'), number) => match number.parse() {
            Ok(number @ 1..=12) => KeyCode::F(number),
            _ => return Err(Unusable::Unknown),
        },
        _ => return Err(Unusable::Unknown),
    };
    let code = match code {
        KeyCode::Char(letter) if modifiers.contains(KeyModifiers::CONTROL) => {
            KeyCode::Char(letter.to_ascii_lowercase())
        }
        code => code,
    };
    Ok((code, modifiers))
}

/// The same for `console.toml`, where some keys cannot be had.
pub fn read_own_key(text: &str) -> Result<Key, Unusable> {
    match read_key(text)? {
        (KeyCode::Char('c'), KeyModifiers::CONTROL) => Err(Unusable::Kept),
        key => Ok(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written() {
        for name in
            ["a", "W", ":", "Ctrl-R", "Alt-x", "Ctrl-Alt-T", "Enter", "Shift-Tab", "Space", "F1", "F12", "PgDn", "é"]
        {
            assert_eq!(read_key(name).map(key_name).as_deref(), Ok(name));
        }
        assert_eq!(read_key("ctrl-r"), read_key("Ctrl-R"));
        assert_eq!(read_key("-").map(key_name).as_deref(), Ok("-"));
        for name in ["", "aa", "F0", "F13", "Ctrl-", "Super-x", "Entr"] {
            assert_eq!(read_key(name), Err(Unusable::Unknown), "{name}");
        }
        assert_eq!(read_own_key("Ctrl-C"), Err(Unusable::Kept));
    }

    #[test]
    fn a_changed_key_is_shown_does_it_and_the_old_one_does_not() {
        let mut keys = Keymap::default();
        keys.set(Action::Actions, vec![(KeyCode::F(2), KeyModifiers::NONE), (KeyCode::Char('A'), KeyModifiers::NONE)]);
        let press = |code| KeyEvent::new(code, KeyModifiers::NONE);
        assert_eq!(keys.action(Place::List, press(KeyCode::F(2))), Some(Action::Actions));
        assert_eq!(keys.action(Place::List, press(KeyCode::Char('a'))), None);
        assert_eq!(keys.binding(Place::List, Action::Actions).unwrap().shown(), "F2 A");
        keys.set(Action::Find, vec![(KeyCode::F(2), KeyModifiers::NONE)]);
        let clash = keys.clash().unwrap();
        assert_eq!((key_name(clash.key).as_str(), clash.actions), ("F2", (Action::Actions, Action::Find)));
    }

    #[test]
    fn letters_type_in_fields_whatever_they_mean_elsewhere() {
        let mut keys = Keymap::default();
        keys.set(Action::Back, vec![(KeyCode::Char('q'), KeyModifiers::NONE)]);
        let q = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE);
        assert_eq!(keys.action(Place::Find, q), None);
        keys.set(Action::Suspend, vec![(KeyCode::Char('y'), KeyModifiers::NONE)]);
        let y = KeyEvent::new(KeyCode::Char('y'), KeyModifiers::NONE);
        assert_eq!(keys.action(Place::Dialog, y), None, "y confirms, and is a letter of reasons");
        assert_eq!(keys.action(Place::Detail, q), Some(Action::Back));
    }
}
