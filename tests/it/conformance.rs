//! `docs/conformance.md`: which test holds the server to which section of the specification, from the comments above
//! the tests. `scripts/conformance` writes it anew.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

const INTRODUCTION: &str = "\
# Conformance

Which black-box test (`tests/it`) holds the server to which section of the specification of the HTTP API, to which
row of its checklist (section 7.4), and to which of the weaknesses that it names (section 6). Generated from the
comments above the tests by `scripts/conformance`; a test checks that it is current.
";

/// What has no black-box test, and why. What gets one is taken out; a test checks that.
const WITHOUT: &[(&str, &str)] = &[
    ("§3.11", "passkeys are not offered; their constants are tested with status and user"),
    ("§4.9", "impersonation is not offered; its constants are tested with the user"),
    ("§1.5: 503 and 500", "the store cannot be made to fail from outside; the answers are tested beside their code"),
    ("W-42", "the harness checks that every error of every test is in the envelope"),
];

#[test]
fn the_table_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/conformance.md");
    let table = table();
    if std::env::var_os("DOORWARD_WRITE_CONFORMANCE").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == table, "docs/conformance.md is not current: run scripts/conformance");
}

fn table() -> String {
    let mut tests: BTreeMap<Reference, Vec<String>> = BTreeMap::new();
    for (name, comment) in commented_tests() {
        for reference in references(&comment) {
            let names = tests.entry(reference).or_default();
            if !names.contains(&name) {
                names.push(name.clone());
            }
        }
    }
    let mut table = format!("{INTRODUCTION}\n| Section | Tests |\n|---|---|\n");
    for (reference, names) in &tests {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        writeln!(table, "| {} | {} |", reference.text(), names.join("<br>")).unwrap();
    }
    table.push_str("\n## Without a black-box test\n\n| Section | Why |\n|---|---|\n");
    for (section, why) in WITHOUT {
        assert!(!tests.keys().any(|tested| tested.text() == *section), "{section} has a test: take it out");
        writeln!(table, "| {section} | {why} |").unwrap();
    }
    table
}

/// Every test of this folder with the comment above it.
fn commented_tests() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs")) {
        let module = file.file_stem().unwrap().to_str().unwrap();
        let (mut comment, mut is_test) = (String::new(), false);
        for line in std::fs::read_to_string(file).unwrap().lines() {
            if let Some(text) = line.strip_prefix("/// ") {
                comment.push_str(text);
                comment.push(' ');
            } else if line == "#[test]" {
                is_test = true;
            } else {
                if let Some(rest) = line.strip_prefix("fn ").filter(|_| is_test) {
                    let name = rest.split('(').next().unwrap();
                    found.push((format!("{module}::{name}"), std::mem::take(&mut comment)));
                }
                comment.clear();
                is_test = false;
            }
        }
    }
    found
}

/// What a comment refers to, in the order of the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reference {
    Section(u32, Option<u32>),
    ChecklistRow(u32),
    Weakness(u32),
}

impl Reference {
    fn text(self) -> String {
        match self {
            Self::Section(chapter, None) => format!("§{chapter}"),
            Self::Section(chapter, Some(section)) => format!("§{chapter}.{section}"),
            Self::ChecklistRow(row) => format!("§7.4 row {row}"),
            Self::Weakness(number) => format!("W-{number}"),
        }
    }
}

/// Reads `§1.2`, `§7.4 rows 3 and 4` and `W-5`; sections of other documents, which
/// are named before them, do not count.
fn references(comment: &str) -> Vec<Reference> {
    let mut found = Vec::new();
    let (mut is_foreign, mut in_checklist, mut in_rows) = (false, false, false);
    for word in comment.split_whitespace() {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '§');
        if let Some(section) = bare.strip_prefix('§') {
            let mut numbers = section.split('.').map(|number| number.parse().unwrap());
            let (chapter, section) = (numbers.next().unwrap(), numbers.next());
            (in_checklist, in_rows) = ((chapter, section) == (7, Some(4)) && !is_foreign, false);
            if !is_foreign && !in_checklist {
                found.push(Reference::Section(chapter, section));
            }
        } else if let Some(number) = bare.strip_prefix("W-").and_then(|number| number.parse().ok()) {
            found.push(Reference::Weakness(number));
            in_rows = false;
        } else if matches!(bare, "row" | "rows") {
            in_rows = in_checklist;
        } else if let Some(row) = bare.parse().ok().filter(|_| in_rows) {
            found.push(Reference::ChecklistRow(row));
        } else if bare != "and" {
            in_rows = false;
        }
        is_foreign = Path::new(bare).extension().is_some_and(|extension| extension == "md");
    }
    found
}

#[test]
fn references_are_read_from_comments() {
    use Reference::{ChecklistRow, Section, Weakness};
    let check = |comment: &str, expected: &[Reference]| assert_eq!(references(comment), expected, "{comment}");
    check(
        "Spec §1.2, §7.4 rows 3 and 47; W-9: five 5.",
        &[Section(1, Some(2)), ChecklistRow(3), ChecklistRow(47), Weakness(9)],
    );
    check("Spec §3.5, row 1; W-28.", &[Section(3, Some(5)), Weakness(28)]);
    check("Spec §7.4 row 51: no 6.", &[ChecklistRow(51)]);
    check("NIST SP 800-63B-4 has 3 parts", &[]);
}
