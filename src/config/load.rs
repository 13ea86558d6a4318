//! Puts the layers together: built-in < file < environment < flags. Every key is looked up in the built-in
//! configuration, which names them all, so an unknown one is an error with its place and the nearest that exists.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::de::DeTable;
use toml::{Table, Value};

use super::{Config, check};

/// The commented configuration of the repository.
const BUILT_IN: &str = include_str!("../../config.toml");
/// Looked for in the working directory when `--config` is not given.
const DEFAULT_FILE: &str = "config.toml";
const ENVIRONMENT_PREFIX: &str = "DOORWARD__";
/// Settings whose value no message may show.
const SECRETS: &[&str] = &["email.smtp.password"];

/// What is wrong with the configuration: where, which key, and what to do. One line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", .place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default())]
pub struct ConfigError {
    place: Option<Place>,
    message: String,
}

impl ConfigError {
    /// For what shows only when a setting is put to use; the message names the setting.
    pub fn in_use(message: impl fmt::Display) -> Self {
        Self::new(None, message.to_string())
    }

    pub(super) fn new(place: Option<Place>, message: String) -> Self {
        Self { place, message }
    }
}

/// Where a setting was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Line { file: PathBuf, line: usize },
    Variable(String),
    Flag(&'static str),
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { file, line } => write!(formatter, "{}:{line}", file.display()),
            Self::Variable(name) => formatter.write_str(name),
            Self::Flag(name) => formatter.write_str(name),
        }
    }
}

/// What the configuration is made of, besides the built-in one.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    pub file: Option<PathBuf>,
    /// Variables that start with `DOORWARD__`.
    pub environment: Vec<(String, String)>,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
}

impl Sources {
    /// Those of this process: the file given or `./config.toml` if it exists, and the environment.
    pub fn of_process(file: Option<PathBuf>, data_dir: Option<PathBuf>) -> Result<Self, ConfigError> {
        let file = file.or_else(|| Path::new(DEFAULT_FILE).is_file().then(|| DEFAULT_FILE.into()));
        let mut environment = Vec::new();
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.to_str().filter(|name| name.starts_with(ENVIRONMENT_PREFIX)) else { continue };
            let Some(value) = value.to_str() else {
                return Err(ConfigError::new(Some(Place::Variable(name.to_owned())), "is not UTF-8".to_owned()));
            };
            environment.push((name.to_owned(), value.to_owned()));
        }
        environment.sort();
        Ok(Self { file, environment, data_dir })
    }
}

/// A checked configuration and where it came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub config: Config,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
}

/// Reads and checks everything. The first problem found is the error.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let mut layers = Layers::built_in()?;
    if let Some(file) = &sources.file {
        layers.add_file(file)?;
    }
    for (name, value) in &sources.environment {
        layers.add_variable(name, value)?;
    }
    if let Some(data_dir) = &sources.data_dir {
        layers.add_flag("--data-dir", "server.data_dir", data_dir)?;
    }
    let config = layers.config()?;
    match check::problem(&config) {
        None => Ok(Loaded { config, file: sources.file.clone() }),
        Some((key, problem)) => {
            Err(ConfigError::new(layers.places.get(key).cloned(), format!("bad value for `{key}`: {problem}")))
        }
    }
}

/// The configuration as it grows, and where each changed key was set.
struct Layers {
    built_in: Table,
    merged: Table,
    places: BTreeMap<String, Place>,
}

impl Layers {
    fn built_in() -> Result<Self, ConfigError> {
        let built_in: Table = BUILT_IN.parse().map_err(|error: toml::de::Error| {
            ConfigError::new(None, format!("the built-in configuration is broken: {}", error.message()))
        })?;
        Ok(Self { merged: built_in.clone(), built_in, places: BTreeMap::new() })
    }

    fn add_file(&mut self, file: &Path) -> Result<(), ConfigError> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| ConfigError::new(None, format!("cannot read {}: {error}", file.display())))?;
        let place = |span: Option<Range<usize>>| Place::Line {
            file: file.to_owned(),
            line: span.map_or(1, |span| line_of(&text, span.start)),
        };
        let syntax = |error: toml::de::Error| ConfigError::new(Some(place(error.span())), error.message().to_owned());
        let table: Table = text.parse().map_err(syntax)?;
        let spans = DeTable::parse(&text).map_err(syntax)?;
        for (path, value) in self.settings(&table, "", &|path| place(span_of(spans.get_ref(), path)))? {
            let place = place(span_of(spans.get_ref(), &path));
            self.set(path, value, place)?;
        }
        Ok(())
    }

    fn add_variable(&mut self, name: &str, text: &str) -> Result<(), ConfigError> {
        let place = Place::Variable(name.to_owned());
        let path = name.strip_prefix(ENVIRONMENT_PREFIX).unwrap_or(name).to_lowercase().replace("__", ".");
        let value = match value_at(&self.built_in, &path) {
            None | Some(Value::Table(_)) => return Err(self.unknown(&path, place)),
            // Text needs no quotes, and digits in a password stay text.
            Some(Value::String(_)) => parse_value(text).filter(Value::is_str).unwrap_or_else(|| text.into()),
            Some(_) => parse_value(text).unwrap_or_else(|| text.into()),
        };
        self.set(path, value, place)
    }

    fn add_flag(&mut self, flag: &'static str, path: &str, value: &Path) -> Result<(), ConfigError> {
        let place = Place::Flag(flag);
        let Some(text) = value.to_str() else { return Err(ConfigError::new(Some(place), "is not UTF-8".to_owned())) };
        self.set(path.to_owned(), text.into(), place)
    }

    /// The single settings of a layer with their paths, or the first key that does not exist.
    fn settings(
        &self,
        table: &Table,
        prefix: &str,
        place: &dyn Fn(&str) -> Place,
    ) -> Result<Vec<(String, Value)>, ConfigError> {
        let mut settings = Vec::new();
        for (key, value) in table {
            let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            match (value_at(&self.built_in, &path), value) {
                (None, _) => return Err(self.unknown(&path, place(&path))),
                (Some(Value::Table(_)), Value::Table(section)) => {
                    settings.extend(self.settings(section, &path, place)?);
                }
                (Some(Value::Table(_)), _) => {
                    let message = format!("`{path}` is a section, not a setting: write [{path}]");
                    return Err(ConfigError::new(Some(place(&path)), message));
                }
                (Some(_), value) => settings.push((path, value.clone())),
            }
        }
        Ok(settings)
    }

    /// Sets one key, and sees at once whether the value has the right form, while the place is known.
    fn set(&mut self, path: String, value: Value, place: Place) -> Result<(), ConfigError> {
        if let Some(slot) = slot_at(&mut self.merged, &path) {
            *slot = value;
        }
        if let Err(error) = Config::deserialize(self.merged.clone()) {
            let reason = match (path.as_str(), value_at(&self.built_in, &path)) {
                (path, _) if SECRETS.contains(&path) => "it must be text in quotes",
                ("server.listen", _) => "it must be an address and a port, as in \"127.0.0.1:8000\"",
                (_, Some(Value::Array(_))) => "it must be a list of texts, as in [\"a\", \"b\"]",
                _ => error.message(),
            };
            return Err(ConfigError::new(Some(place), format!("bad value for `{path}`: {reason}")));
        }
        self.places.insert(path, place);
        Ok(())
    }

    fn config(&self) -> Result<Config, ConfigError> {
        Config::deserialize(self.merged.clone()).map_err(|error| {
            ConfigError::new(None, format!("the built-in configuration is broken: {}", error.message()))
        })
    }

    fn unknown(&self, path: &str, place: Place) -> ConfigError {
        let mut known = Vec::new();
        paths(&self.built_in, "", &mut known);
        let nearest = known.into_iter().max_by(|a, b| {
            let likeness = |known: &str| strsim::normalized_damerau_levenshtein(known, path);
            likeness(a).total_cmp(&likeness(b))
        });
        let nearest = nearest.unwrap_or_default();
        ConfigError::new(Some(place), format!("unknown key `{path}`; the nearest valid key is `{nearest}`"))
    }
}

/// All keys and sections, as dotted paths.
fn paths(table: &Table, prefix: &str, into: &mut Vec<String>) {
    for (key, value) in table {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        if let Value::Table(section) = value {
            paths(section, &path, into);
        }
        into.push(path);
    }
}

fn value_at<'a>(table: &'a Table, path: &str) -> Option<&'a Value> {
    match path.split_once('.') {
        None => table.get(path),
        Some((section, rest)) => value_at(table.get(section)?.as_table()?, rest),
    }
}

fn slot_at<'a>(table: &'a mut Table, path: &str) -> Option<&'a mut Value> {
    match path.split_once('.') {
        None => table.get_mut(path),
        Some((section, rest)) => slot_at(table.get_mut(section)?.as_table_mut()?, rest),
    }
}

/// Where in the text the last key of a path stands.
fn span_of(table: &DeTable<'_>, path: &str) -> Option<Range<usize>> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == first)?;
    match rest {
        None => Some(key.span()),
        Some(rest) => span_of(value.get_ref().as_table()?, rest),
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

/// A bare TOML value, as in `true`, `["a", "b"]` or `12`.
fn parse_value(text: &str) -> Option<Value> {
    let mut table: Table = format!("value = {text}").parse().ok()?;
    if table.len() == 1 { table.remove("value") } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Loads a file of this text (if any) with these variables and `--data-dir`.
    fn load_text(file: Option<&str>, environment: &[(&str, &str)], data_dir: Option<&str>) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        if let Some(text) = file {
            std::fs::write(&path, text).unwrap();
        }
        let sources = Sources {
            file: file.map(|_| path),
            environment: environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            data_dir: data_dir.map(PathBuf::from),
        };
        let shown = format!("{}/", folder.path().display());
        load(&sources).map(|loaded| loaded.config).map_err(|error| error.to_string().replace(&shown, ""))
    }

    #[test]
    fn the_built_in_configuration_is_complete_and_good() {
        let config = load_text(None, &[], None).unwrap();
        assert_eq!(config.server.listen.to_string(), "127.0.0.1:8000");
        assert_eq!(config.password.memory_kib, 19_456);
    }

    #[test]
    fn later_layers_win() {
        let file = "[server]\ndata_dir = 'from-file'\nlisten = '127.0.0.1:1'\n[store.sled]\ncache_mib = 12\n";
        let variables = [("DOORWARD__SERVER__DATA_DIR", "from-environment"), ("DOORWARD__SERVER__LISTEN", "[::1]:2")];
        let data_dir = |config: Config| config.server.data_dir.display().to_string();
        assert_eq!(data_dir(load_text(None, &[], None).unwrap()), "data");
        assert_eq!(data_dir(load_text(Some(file), &[], None).unwrap()), "from-file");
        assert_eq!(data_dir(load_text(Some(file), &variables, None).unwrap()), "from-environment");
        assert_eq!(data_dir(load_text(Some(file), &variables, Some("from-flag")).unwrap()), "from-flag");
        let config = load_text(Some(file), &variables, None).unwrap();
        assert_eq!((config.server.listen.to_string().as_str(), config.store.sled.cache_mib), ("[::1]:2", 12));
    }

    #[test]
    fn variables_are_read_by_the_type_of_their_setting() {
        let config = load_text(
            None,
            &[
                ("DOORWARD__EMAIL__TRANSPORT", "smtp"),
                ("DOORWARD__EMAIL__SMTP__HOST", "\"mail.example.com\""),
                ("DOORWARD__EMAIL__SMTP__USERNAME", "0123"),
                ("DOORWARD__EMAIL__SMTP__PASSWORD", "45678"),
                ("DOORWARD__SERVER__MAX_CONNECTIONS", "7"),
                ("DOORWARD__SERVER__TRUSTED_PROXIES", "[\"10.0.0.0/8\", \"::1\"]"),
                ("DOORWARD__SIGNUP__ENABLED", "false"),
                ("DOORWARD__LIMITS__VERIFY_EMAIL", "3/2h"),
            ],
            None,
        )
        .unwrap();
        assert_eq!(config.email.smtp.host, "mail.example.com");
        assert_eq!(config.email.smtp.username, "0123");
        assert!(config.email.smtp.password.matches("45678"));
        assert_eq!(config.server.max_connections, 7);
        assert_eq!(config.server.trusted_proxies, ["10.0.0.0/8", "::1"]);
        assert!(!config.signup.enabled);
        assert_eq!(String::from(config.limits.verify_email), "3/2h");
    }

    #[test]
    fn a_mistake_is_named_with_its_place() {
        for (file, expected) in [
            (
                "[server]\n\nlistne = 'x'\n",
                "config.toml:3: unknown key `server.listne`; the nearest valid key is `server.listen`",
            ),
            ("[servr]\nlisten = 'x'\n", "config.toml:1: unknown key `servr`; the nearest valid key is `server`"),
            (
                "[email]\nsmtp.prot = 25\n",
                "config.toml:2: unknown key `email.smtp.prot`; the nearest valid key is `email.smtp.port`",
            ),
            ("store = 'sled'\n", "config.toml:1: `store` is a section, not a setting: write [store]"),
            (
                "[server]\nlisten = 'here'\n",
                "config.toml:2: bad value for `server.listen`: it must be an address and a port, as in \"127.0.0.1:8000\"",
            ),
            (
                "[server]\nmax_connections = 'many'\n",
                "config.toml:2: bad value for `server.max_connections`: invalid type: string \"many\", expected usize",
            ),
            (
                "[store]\nengine = 'sledge'\n",
                "config.toml:2: bad value for `store.engine`: unknown variant `sledge`, expected `sled` or `memory`",
            ),
            (
                "[email.smtp]\npassword = 12345\n",
                "config.toml:2: bad value for `email.smtp.password`: it must be text in quotes",
            ),
            (
                "[limits]\nverify_email = '6'\n",
                "config.toml:2: bad value for `limits.verify_email`: `6` is not a rate such as \"6/20m\" (count 1 to 5000; period in s, m, h, d)",
            ),
            (
                "[server]\n# say https\npublic_url = 'example.com'\n",
                "config.toml:3: bad value for `server.public_url`: it must start with http:// or https://",
            ),
        ] {
            assert_eq!(load_text(Some(file), &[], None).unwrap_err(), expected);
        }
        let syntax = load_text(Some("[server]\nlisten = \n"), &[], None).unwrap_err();
        assert!(syntax.starts_with("config.toml:2: "), "{syntax}");
        assert!(!syntax.contains('\n'), "{syntax}");
    }

    #[test]
    fn a_mistake_in_the_environment_names_the_variable() {
        for (name, value, expected) in [
            (
                "DOORWARD__SERVER__LISTNE",
                "x",
                "DOORWARD__SERVER__LISTNE: unknown key `server.listne`; the nearest valid key is `server.listen`",
            ),
            (
                "DOORWARD__SERVER__TRUSTED_PROXIES",
                "10.0.0.0/8",
                "DOORWARD__SERVER__TRUSTED_PROXIES: bad value for `server.trusted_proxies`: it must be a list of texts, as in [\"a\", \"b\"]",
            ),
            ("DOORWARD__SERVER", "x", "DOORWARD__SERVER: unknown key `server`; the nearest valid key is `server`"),
            (
                "DOORWARD__AUTH__SESSION_DAYS",
                "0",
                "DOORWARD__AUTH__SESSION_DAYS: bad value for `auth.session_days`: it must be between 1 and 365",
            ),
        ] {
            assert_eq!(load_text(None, &[(name, value)], None).unwrap_err(), expected);
        }
    }

    #[test]
    fn a_file_that_was_asked_for_must_be_there() {
        let sources = Sources { file: Some("/nonexistent/doorward.toml".into()), ..Sources::default() };
        assert!(load(&sources).unwrap_err().to_string().starts_with("cannot read /nonexistent/doorward.toml: "));
    }

    #[test]
    fn what_is_printed_can_be_read_back_and_holds_no_secret() {
        let config = load_text(Some("[email.smtp]\nusername = 'ada'\npassword = 'hunter22'\n"), &[], None).unwrap();
        let printed = toml::to_string(&config).unwrap();
        assert!(!printed.contains("hunter22"), "{printed}");
        assert_eq!(toml::to_string(&load_text(Some(&printed), &[], None).unwrap()).unwrap(), printed);
    }
}
