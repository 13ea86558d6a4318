//! Tells the program which commit and target it was built from. Works without git: then the commit is `unknown`, or what
//! `DOORWARD_COMMIT` says. Takes the indentation out of the API's description, half of its size, before it is compiled in.

use std::path::Path;
use std::process::Command;

fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-env-changed=DOORWARD_COMMIT");
    println!("cargo::rerun-if-changed=src/build.rs");
    println!("cargo::rerun-if-changed=assets/openapi.json");
    shrink_description()?;
    // While developing, a new commit alone need not compile everything again.
    if std::env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        for file in ["HEAD", "logs/HEAD"].iter().filter_map(|name| git(&["rev-parse", "--git-path", name])) {
            if Path::new(&file).exists() {
                println!("cargo::rerun-if-changed={file}");
            }
        }
    }
    let commit = std::env::var("DOORWARD_COMMIT").ok().or_else(|| git(&["rev-parse", "--short=12", "HEAD"]));
    println!("cargo::rustc-env=DOORWARD_COMMIT={}", commit.unwrap_or_else(|| "unknown".to_owned()));
    println!("cargo::rustc-env=DOORWARD_TARGET={}", std::env::var("TARGET").unwrap_or_default());
    Ok(())
}

/// No text of a JSON document goes over the end of a line, so blanks in front of one mean nothing.
fn shrink_description() -> std::io::Result<()> {
    let text = std::fs::read_to_string("assets/openapi.json")?;
    let folder = std::env::var_os("OUT_DIR").unwrap_or_default();
    std::fs::write(Path::new(&folder).join("openapi.json"), text.lines().map(str::trim_start).collect::<String>())
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}
