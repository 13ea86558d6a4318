//! `console.toml`: how this operator likes the console. Read once at the start; a mistake is told with file, line and
//! the nearest name there is, and nothing starts.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::keys::{Action, Keymap, Unusable, key_name, read_own_key};
use super::theme::Colours;

/// The file's name, beside the configuration file and in the operator's own folder.
const FILE: &str = "console.toml";
const SETTINGS: [&str; 4] = ["theme", "calm", "mouse", "keys"];
const THEMES: &str = "there are \"16\", \"mono\" and \"contrast\"";
/// Keys that one action may have.
const KEYS_MAX: usize = 8;

/// What can be chosen. `None`: nothing was said.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub theme: Option<Colours>,
    /// Nothing on the screen turns.
    pub calm: bool,
    /// Clicks and the wheel come to the console.
    pub mouse: bool,
    pub keys: Keymap,
}

/// Where settings are looked for, the later ones over the earlier: beside the configuration file, for all who use it;
/// then in the operator's own folder. `--keys FILE` stands in the place of both.
#[must_use]
pub fn files(given: Option<&Path>, config: Option<&Path>) -> Vec<PathBuf> {
    if let Some(given) = given {
        return vec![given.to_owned()];
    }
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let own = variable("XDG_CONFIG_HOME").or_else(|| variable("HOME").map(|home| home.join(".config")));
    let beside = config.map(|file| file.with_file_name(FILE));
    let own = own.map(|folder| folder.join("doorward").join(FILE));
    beside.into_iter().chain(own).filter(|file| file.is_file()).collect()
}

impl Settings {
    /// Reads the files one over the other. The error is one line.
    pub fn read(files: &[PathBuf]) -> Result<Self, String> {
        let mut settings = Self::default();
        for file in files {
            let text =
                std::fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
            settings.add(&text).map_err(|(line, problem)| format!("{}:{line}: {problem}", file.display()))?;
        }
        Ok(settings)
    }

    /// Takes what a file says; the error has its line.
    fn add(&mut self, text: &str) -> Result<(), (usize, String)> {
        let line = |span: Range<usize>| 1 + text.bytes().take(span.start).filter(|byte| *byte == b'\n').count();
        let table = DeTable::parse(text).map_err(|error| (error.span().map_or(1, line), error.message().to_owned()))?;
        for (name, value) in table.get_ref() {
            let at = |problem: String| (line(name.span()), problem);
            match (name.get_ref().as_ref(), value.get_ref()) {
                ("theme", DeValue::String(theme)) => {
                    let found = Colours::ALL.into_iter().find(|(name, _)| *name == theme.as_ref());
                    self.theme = Some(found.ok_or_else(|| at(format!("unknown theme `{theme}`; {THEMES}")))?.1);
                }
                ("calm", DeValue::Boolean(calm)) => self.calm = *calm,
                ("mouse", DeValue::Boolean(mouse)) => self.mouse = *mouse,
                ("keys", DeValue::Table(keys)) => {
                    for (action, keys) in keys {
                        let problem = self.add_keys(action.get_ref(), keys.get_ref());
                        problem.map_err(|problem| (line(action.span()), problem))?;
                    }
                    self.check_clash(text, keys, &line)?;
                }
                ("theme", _) => return Err(at(format!("`theme` is a text; {THEMES}"))),
                (name @ ("calm" | "mouse"), _) => return Err(at(format!("`{name}` is true or false"))),
                ("keys", _) => return Err(at("`keys` is a section: write [keys]".to_owned())),
                (name, _) => return Err(at(unknown("setting", name, &SETTINGS))),
            }
        }
        Ok(())
    }

    fn add_keys(&mut self, name: &str, value: &DeValue<'_>) -> Result<(), String> {
        let actions = Action::mappable();
        let Some(action) = actions.iter().find(|action| action.name() == name) else {
            let names: Vec<String> = actions.iter().map(|action| action.name()).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            return Err(unknown("action", name, &names));
        };
        let texts: Vec<&str> = match value {
            DeValue::String(text) => vec![text.as_ref()],
            DeValue::Array(list) => list.iter().filter_map(|text| text.get_ref().as_str()).collect(),
            _ => Vec::new(),
        };
        let complete = matches!(value, DeValue::String(_)) || value.as_array().is_some_and(|l| l.len() == texts.len());
        if texts.is_empty() || texts.len() > KEYS_MAX || !complete {
            return Err(format!("`{name}` is a key, as in \"F2\", or a list of keys, as in [\"F2\", \"Ctrl-T\"]"));
        }
        let mut keys = Vec::new();
        for text in texts {
            keys.push(read_own_key(text).map_err(|problem| match problem {
                Unusable::Unknown => {
                    format!(
                        "there is no key {text:?} for `{name}`: write it like \"a\", \"Ctrl-R\", \"F2\" or \"PgDn\""
                    )
                }
                Unusable::Kept => format!("{text} cannot be the key of `{name}`: it always cancels"),
            })?);
        }
        self.keys.set(*action, keys);
        Ok(())
    }

    fn check_clash(
        &self,
        text: &str,
        keys: &DeTable<'_>,
        line: &dyn Fn(Range<usize>) -> usize,
    ) -> Result<(), (usize, String)> {
        let Some(clash) = self.keys.clash() else { return Ok(()) };
        let (one, other) = (clash.actions.0.name(), clash.actions.1.name());
        let at = keys.iter().filter(|(name, _)| *name.get_ref() == one || *name.get_ref() == other);
        let at = at.map(|(name, _)| line(name.span())).max().unwrap_or_else(|| line(text.len()..text.len()));
        Err((at, format!("{} would do two things in one place: `{one}` and `{other}`", key_name(clash.key))))
    }
}

fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    let likeness = |known: &&&str| strsim::normalized_damerau_levenshtein(known, name);
    let nearest = known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b))).copied().unwrap_or_default();
    format!("unknown {what} `{name}`; the nearest is `{nearest}`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::keys::Place;

    fn read(text: &str) -> Result<Settings, (usize, String)> {
        let mut settings = Settings::default();
        settings.add(text).map(|()| settings)
    }

    #[test]
    fn everything_can_be_said() {
        let text = "theme = \"contrast\"\ncalm = true\nmouse = true\n[keys]\nactions = [\"F2\", \"Ctrl-T\"]\nopen = \"Enter\"\n";
        let settings = read(text).unwrap();
        assert_eq!((settings.theme, settings.calm, settings.mouse), (Some(Colours::Contrast), true, true));
        assert_eq!(settings.keys.binding(Place::List, Action::Actions).unwrap().shown(), "F2 Ctrl-T");
        assert!(read("").is_ok());
    }

    #[test]
    fn mistakes_are_told_with_line_and_nearest_name() {
        for (text, line, problem) in [
            ("them = \"16\"", 1, "unknown setting `them`; the nearest is `theme`"),
            ("\ntheme = \"dark\"", 2, "unknown theme `dark`; there are"),
            ("calm = 1", 1, "`calm` is true or false"),
            ("[keys]\nopne = \"Enter\"", 2, "unknown action `opne`; the nearest is `open`"),
            ("[keys]\ninterrupt = \"x\"", 2, "unknown action `interrupt`; the nearest is"),
            ("[keys]\nopen = \"Entr\"", 2, "there is no key \"Entr\" for `open`"),
            ("[keys]\nopen = \"Ctrl-C\"", 2, "Ctrl-C cannot be the key of `open`: it always cancels"),
            ("[keys]\nopen = []", 2, "`open` is a key"),
            ("[keys]\nopen = [1]", 2, "`open` is a key"),
            ("[keys]\n\nactions = \"/\"", 3, "/ would do two things in one place: `actions` and `find`"),
            ("keys = 1", 1, "`keys` is a section: write [keys]"),
            ("x = = 1", 1, ""),
        ] {
            let (at, told) = read(text).unwrap_err();
            assert!(at == line && told.contains(problem), "{text:?}: {at}: {told}");
        }
    }

    #[test]
    fn a_file_over_another_changes_only_what_it_says() {
        let mut settings = read("calm = true\n[keys]\nactions = \"F2\"").unwrap();
        settings.add("[keys]\nfind = \"F3\"").unwrap();
        assert!(settings.calm);
        let shown = |action| settings.keys.binding(Place::List, action).unwrap().shown().into_owned();
        assert_eq!((shown(Action::Actions).as_str(), shown(Action::Find).as_str()), ("F2", "F3"));
    }
}
