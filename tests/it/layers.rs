//! Keeps the picture of the modules honest: who may use whom, and where each large dependency lives. Reads the sources
//! as text; comments and test modules do not count.

use std::collections::BTreeSet;
use std::path::Path;

/// Each module and the modules it may use. Nothing points up.
const ALLOWED: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    ("build", &[]),
    ("lib", &[]),
    ("fuzz", &["http", "admin", "app", "records", "domain", "store"]),
    ("cli", &["http", "admin", "console", "mail", "app", "config", "domain", "error", "clock"]),
    ("console", &["admin", "app", "config", "domain", "error", "clock"]),
    ("http", &["app", "config", "domain", "error", "clock"]),
    ("admin", &["app", "config", "domain", "error"]),
    ("mail", &["app", "config", "domain", "error", "clock"]),
    ("app", &["records", "store", "config", "domain", "error", "clock"]),
    ("records", &["store", "domain", "error"]),
    ("config", &["domain"]),
    ("error", &["domain", "store"]),
    ("clock", &["domain"]),
    ("domain", &[]),
    ("store", &[]),
];

/// Each large dependency and its home: files, or folders with a slash at the end.
const HOMES: &[(&str, &[&str])] = &[
    ("hyper", &["http/", "admin/"]),
    ("hyper_util", &["http/", "admin/"]),
    ("http_body_util", &["http/", "admin/"]),
    ("matchit", &["http/"]),
    ("multer", &["http/"]),
    ("proxy_header", &["http/proxy_protocol.rs"]),
    ("tokio_rustls", &["http/tls.rs"]),
    // What is sent says how it looks: in `app` by a derive, the rest is put together in `http/openapi`.
    ("utoipa", &["http/", "app/"]),
    ("ratatui", &["console/"]),
    ("crossterm", &["console/"]),
    ("tui_input", &["console/"]),
    ("sled", &["store/sled.rs", "store/sled/"]),
    ("bincode", &["records/codec.rs", "store/frames.rs"]),
    ("flate2", &["store/backup.rs"]),
    ("argon2", &["domain/"]),
    ("totp_rs", &["domain/"]),
    ("zxcvbn", &["domain/"]),
    ("pbkdf2", &["domain/foreign_hash.rs"]),
    ("scrypt", &["domain/foreign_hash.rs"]),
    ("bcrypt", &["domain/foreign_hash.rs"]),
    ("chacha20poly1305", &["domain/"]),
    // Of rustls, in `http/tls.rs`, it is a part.
    ("ring::signature", &["domain/checkpoint.rs"]),
    ("lettre", &["mail/"]),
    ("minijinja", &["mail/", "http/pages.rs"]),
    ("clap", &["cli/"]),
    ("clap_complete", &["cli/"]),
    ("clap_mangen", &["cli/"]),
    ("indicatif", &["cli/progress.rs"]),
    ("toml", &["config/", "cli/config.rs", "console/settings.rs"]),
];

/// What the rules of the domain must not do, by the paths that doing it takes.
const IMPURE: &[&str] = &["tokio::", "futures_util::", "getrandom::", "std::fs", "std::io", "std::env", "async "];

#[test]
fn nothing_points_up() {
    let mut wrong = Vec::new();
    for source in sources() {
        let module = source.module();
        let allowed = ALLOWED.iter().find(|(name, _)| *name == module);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("{module} is not in the table: say what it may use"));
        for used in source.modules_used() {
            if used != module && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{} uses {used}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn large_dependencies_have_one_home() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (dependency, homes) in HOMES {
            let at_home = homes
                .iter()
                .any(|home| if home.ends_with('/') { source.path.starts_with(home) } else { source.path == *home });
            if !at_home && source.uses_crate(dependency) {
                wrong.push(format!("{} uses {dependency}, whose home is {}", source.path, homes.join(" and ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_rules_are_pure() {
    let mut wrong = Vec::new();
    for source in sources().into_iter().filter(|source| source.module() == "domain") {
        for word in IMPURE.iter().filter(|word| source.text.contains(**word)) {
            wrong.push(format!("{} has {word}", source.path));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reader_of_sources_sees_what_it_should() {
    let source = Source::new(
        "http/mod.rs".to_owned(),
        "//! use crate::console;\nuse crate::{app::App, store::{self, sled::Db}};\nuse hyper::body;\n\
         fn f() { crate::clock::now(); ::bincode::x(); a_sled::b() } // sled::c\n\
         #[cfg(test)]\nuse lettre::x;\n#[cfg(test)]\nmod tests {\n    use crate::cli;\n}\n",
    );
    let used: Vec<String> = source.modules_used().into_iter().collect();
    assert_eq!(used, ["app", "clock", "store"]);
    let crates: Vec<&str> =
        HOMES.iter().map(|(dependency, _)| *dependency).filter(|name| source.uses_crate(name)).collect();
    assert_eq!(crates, ["hyper", "bincode"]);
}

/// A source file without comments and test modules.
struct Source {
    /// Below `src/`.
    path: String,
    text: String,
}

impl Source {
    fn new(path: String, text: &str) -> Self {
        let mut kept = String::new();
        let mut lines = text.lines().map(|line| line.split("//").next().unwrap_or_default()).peekable();
        while let Some(line) = lines.next() {
            if line.trim() == "#[cfg(test)]" {
                let next = lines.next().unwrap_or_default();
                // A module of tests is the last thing in its file.
                if next.starts_with("mod ") && next.ends_with('{') {
                    break;
                }
                continue;
            }
            kept.push_str(line);
            kept.push('\n');
        }
        Self { path, text: kept }
    }

    /// The top-level module that the file belongs to.
    fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.trim_end_matches(".rs")
    }

    fn modules_used(&self) -> BTreeSet<String> {
        // The binary sees the library from outside; elsewhere `doorward::` is a name in a log filter.
        let root = if self.module() == "main" { "doorward::" } else { "crate::" };
        names_behind(&self.text, root).into_iter().collect()
    }

    fn uses_crate(&self, name: &str) -> bool {
        let text = without_internal_uses(&self.text);
        let path = format!("{name}::");
        starts(&text, &path).next().is_some() || text.contains(&format!("use {name};"))
    }
}

/// Where a path starts with `root`: not in the middle of a word or of a longer path (`::root` at the start is one).
fn starts<'a>(text: &'a str, root: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(root).map(|(at, _)| at).filter(move |at| {
        let before = text[..*at].strip_suffix("::").unwrap_or(&text[..*at]);
        let in_word = |text: &str| text.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '>');
        !in_word(&text[..*at]) && !in_word(before)
    })
}

/// The names that follow `root`: one, or those of a group.
fn names_behind(text: &str, root: &str) -> Vec<String> {
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut names = Vec::new();
    for at in starts(text, root) {
        let rest = &text[at + root.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            names.push(name(rest));
            continue;
        };
        let mut depth = 0_i32;
        let mut expected = true;
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => expected = true,
                c if expected && !c.is_whitespace() => {
                    names.push(name(&group[at..]));
                    expected = false;
                }
                _ => {}
            }
        }
    }
    names
}

/// The text without `use` statements of our own modules, whose groups hold names that look like crates (`sled::`).
fn without_internal_uses(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(at) = ["use crate::", "use super::", "use self::"].iter().filter_map(|start| rest.find(start)).min()
    {
        kept.push_str(&rest[..at]);
        rest = rest[at..].split_once(';').map_or("", |(_, behind)| behind);
    }
    kept + rest
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    collect(&root, &root, &mut sources);
    assert!(sources.len() > 20, "the sources are not where this test looks");
    sources
}

/// Files that only tests compile are left out.
fn collect(root: &Path, folder: &Path, into: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let below = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            into.push(Source::new(below, &text));
        }
    }
}
