//! The command palette: what can be done here, found by typing a part of it. Knows the commands, not how they are done.

use super::dialog;
use super::keys::{Action, Place};
use super::model::Model;
use crate::domain::id::UserId;

/// Something that the palette does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    Act(Action),
    /// The line of the action menu with this letter.
    Deed(char),
    /// To so many percent of the list.
    Jump(u8),
}

/// A line of the palette.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The keys that do the same.
    pub key: String,
    pub name: String,
    pub help: String,
    pub command: Command,
    /// Why it cannot be done now.
    pub refused: Option<String>,
}

/// The commands of a place, and for the user it was opened at, that match what was typed, best first.
#[must_use]
pub fn entries(model: &Model, (place, user): (Place, Option<UserId>), typed: &str) -> Vec<Entry> {
    if let Some(percent) = percent(typed) {
        let help = format!("go to {percent} % of the list");
        let command = Command::Jump(percent);
        return vec![Entry { key: String::new(), name: format!("{percent}%"), help, command, refused: None }];
    }
    let mut scored: Vec<(u32, Entry)> = all(model, place, user)
        .into_iter()
        .filter_map(|entry| {
            Some((score(&entry.name, typed).max(score(&entry.help, typed).map(|score| score / 2))?, entry))
        })
        .collect();
    // Stable: among equals the order of the table.
    scored.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    scored.into_iter().map(|(_, entry)| entry).collect()
}

fn all(model: &Model, place: Place, user: Option<UserId>) -> Vec<Entry> {
    let place = if place == Place::Find { Place::List } else { place };
    let mut entries: Vec<Entry> = Vec::new();
    for bound in model.keys.bindings(place) {
        let action = bound.binding.action;
        let listed = entries.iter().any(|entry| entry.command == Command::Act(action));
        if !listed && !action.is_fixed() && action != Action::Palette {
            entries.push(Entry {
                key: bound.first(),
                name: action.name(),
                help: bound.binding.help.to_owned(),
                command: Command::Act(action),
                refused: None,
            });
        }
    }
    if matches!(place, Place::List | Place::Detail) && user.is_some() && user == model.users.chosen {
        let actions = model.keys.first(place, Action::Actions);
        entries.extend(dialog::items(model).into_iter().map(|item| Entry {
            key: format!("{actions} {}", item.letter),
            name: item.label,
            help: item.refused.as_deref().map_or("this user".to_owned(), |why| format!("({why})")),
            command: Command::Deed(item.letter),
            refused: item.refused,
        }));
    }
    entries
}

/// `50%`, `50 %`.
fn percent(typed: &str) -> Option<u8> {
    let number = typed.trim().strip_suffix('%')?.trim_end();
    number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok()).flatten().filter(|p| *p <= 100)
}

/// How well `text` fits what was typed; every word of it must be there somehow. More is better.
fn score(text: &str, typed: &str) -> Option<u32> {
    let text = text.to_lowercase();
    typed.to_lowercase().split_whitespace().try_fold(0, |sum, word| Some(sum + word_score(&text, word)?))
}

/// A word at the start of a word is best, then inside, then its letters in order, then a slip of the fingers.
fn word_score(text: &str, word: &str) -> Option<u32> {
    const SLIP_LEAST: f64 = 0.7;
    let starts = |part: &str| part.starts_with(word);
    let parts = || text.split(|c: char| !c.is_alphanumeric());
    if text.starts_with(word) {
        Some(100)
    } else if parts().any(starts) {
        Some(80)
    } else if text.contains(word) {
        Some(60)
    } else if in_order(text, word) {
        Some(40)
    } else {
        let slip =
            word.len() > 2 && parts().any(|part| strsim::normalized_damerau_levenshtein(part, word) >= SLIP_LEAST);
        slip.then_some(20)
    }
}

fn in_order(text: &str, letters: &str) -> bool {
    let mut text = text.chars();
    letters.chars().all(|letter| text.any(|other| other == letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn better_matches_score_more() {
        let ranked = ["reset 2FA...", "the preset", "run every sort of test", "rset"];
        let scores: Vec<_> = ranked.iter().map(|text| score(text, "reset")).collect();
        assert_eq!(scores, [Some(100), Some(60), Some(40), Some(20)]);
        assert_eq!(score("unlock...", "reset"), None);
        assert_eq!(score("drop-filter", "filter drop"), Some(180));
        assert_eq!(score("anything", ""), Some(0));
    }

    #[test]
    fn percents_are_places() {
        assert_eq!(percent("50%"), Some(50));
        assert_eq!(percent(" 7 %"), Some(7));
        for text in ["", "%", "101%", "-1%", "x%", "50"] {
            assert_eq!(percent(text), None, "{text}");
        }
    }
}
