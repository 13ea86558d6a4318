//! The tour of the README, pasted line by line into a shell, gives what the README says it gives.
//!
//! In the text of an answer `…` stands for anything. Blanks are compared as one.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use crate::harness::{Authenticator, Server};

const README: &str = include_str!("../../README.md");
const TOUR: &str = "## A tour in five minutes";

/// What needs a terminal of its own. The harness starts the server; the console has its own tests.
const BY_HAND: [&str; 2] = ["DOORWARD__EMAIL__TRANSPORT=file cargo run --release -- serve\n", "doorward console ada\n"];

#[test]
fn the_tour_works_when_pasted() {
    let server = Server::with_mail();
    let mut shell = Shell::start(&server);
    let steps = steps();
    for by_hand in BY_HAND {
        assert!(steps.iter().any(|step| step.commands == by_hand), "the README has no `{by_hand}`");
    }
    for step in steps.iter().filter(|step| !BY_HAND.contains(&step.commands.as_str())) {
        if step.commands.contains("outbox") {
            server.wait_for_mail("ada@example.com", "was reset");
        }
        let answer = shell.run(&step.commands.replace("http://127.0.0.1:8000", &server.url()));
        if let Some(expected) = &step.answer {
            assert!(fits(&answer, expected), "after\n{}the answer was\n{answer}, not\n{expected}", step.commands);
        }
    }
}

/// Commands, and the text that the README shows behind them.
struct Step {
    commands: String,
    answer: Option<String>,
}

fn steps() -> Vec<Step> {
    let (_, tour) = README.split_once(TOUR).expect("the README has a tour");
    let tour = tour.split("\n## ").next().unwrap();
    let mut steps: Vec<Step> = Vec::new();
    // Every second part is a block.
    for block in tour.split("```").skip(1).step_by(2) {
        match block.split_once('\n').unwrap() {
            ("bash", commands) => steps.push(Step { commands: commands.to_owned(), answer: None }),
            ("text", answer) => steps.last_mut().unwrap().answer = Some(answer.to_owned()),
            (other, _) => panic!("the tour has a block of `{other}`"),
        }
    }
    assert!(steps.len() > BY_HAND.len() + 3, "the tour is not where this test looks");
    steps
}

/// A shell that keeps its variables from step to step, as a person's does.
pub struct Shell {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

const END: &str = "-- end of the answer --";

impl Shell {
    pub fn start(server: &Server) -> Self {
        let stand_ins = server.data_dir().with_file_name("bin");
        std::fs::create_dir(&stand_ins).unwrap();
        write_stand_in(&stand_ins.join("oathtool"));
        let doorward = Path::new(env!("CARGO_BIN_EXE_doorward")).parent().unwrap();
        let path = std::env::var("PATH").unwrap();
        // The real oathtool wins over the stand-in.
        let path = format!("{}:{path}:{}", doorward.display(), stand_ins.display());
        let mut command = server.program("bash");
        command.args(["--noprofile", "--norc"]).env("PATH", path).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        writeln!(input, "exec 2>&1").unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, input, output }
    }

    /// What the commands print. They are asked for nothing.
    pub fn run(&mut self, commands: &str) -> String {
        self.run_with(&format!("{{\n{commands}\n}} < /dev/null"), std::iter::empty())
    }

    /// What the commands print, when these lines are typed while they run.
    pub fn run_with(&mut self, commands: &str, lines: impl Iterator<Item = String>) -> String {
        // The shell reads the braces whole before it begins, so that what follows is left for `read`.
        writeln!(self.input, "{{\n{commands}\n}}; echo '{END}'").unwrap();
        for line in lines {
            writeln!(self.input, "{line}").unwrap();
        }
        let mut answer = String::new();
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "the shell ended after\n{commands}{answer}");
            if line.trim_end() == END {
                return answer;
            }
            answer.push_str(&line);
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Whether a text is what another describes.
pub fn fits(text: &str, pattern: &str) -> bool {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    text.lines().count() == pattern.lines().count()
        && text.lines().zip(pattern.lines()).all(|(line, pattern)| line_fits(&words(line), &words(pattern)))
}

fn line_fits(line: &str, pattern: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('…') else { return line == pattern };
    let Some(behind) = line.strip_prefix(start) else { return false };
    let mut tails = behind.char_indices().map(|(at, _)| &behind[at..]).chain([""]);
    tails.any(|tail| line_fits(tail, rest))
}

#[test]
fn dots_stand_for_anything() {
    for (text, pattern, expected) in [
        ("created  ada (id 1)\n", "created ada (id …)\n", true),
        ("a b c d", "a … d", true),
        ("a b c", "a … d", false),
        ("a\nb", "a…", false),
    ] {
        assert_eq!(fits(text, pattern), expected, "{text:?} {pattern:?}");
    }
}

/// As much of oathtool as the README asks for, where there is no real one.
fn write_stand_in(path: &Path) {
    const SCRIPT: &str = r#"#!/usr/bin/env bash
set -eu
ahead=0
for argument; do
  case $argument in
    -*) ;;
    'now + 30 seconds') ahead=1 ;;
    *) secret=$argument ;;
  esac
done
bytes() { printf "$(sed 's/../\\x&/g' <<< "$1")"; }
padded() { for ((i = 0; i < 128; i += 2)); do byte=${key:i:2}; printf %02x $((16#${byte:-0} ^ $1)); done; }
hash() { sha1sum | cut -c 1-40; }
key=$(printf %s "$secret" | base32 -d | od -An -v -tx1 | tr -d ' \n')
step=$(printf %016x $(($(date +%s) / 30 + ahead)))
inner=$(bytes "$(padded 0x36)$step" | hash)
outer=$(bytes "$(padded 0x5c)$inner" | hash)
offset=$((2 * 16#${outer:39:1}))
printf '%06d\n' $(((16#${outer:offset:8} & 0x7fffffff) % 1000000))
"#;
    std::fs::write(path, SCRIPT).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn the_stand_in_shows_the_right_codes() {
    const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    let server = Server::start();
    let script = server.data_dir().with_file_name("oathtool");
    write_stand_in(&script);
    let authenticator = Authenticator::new(SECRET);
    for (arguments, ahead) in [(&[][..], 0), (&["-N", "now + 30 seconds"][..], 1)] {
        let before = server.now() / 30;
        let output =
            server.program("bash").arg(&script).args(["--totp", "-b", SECRET]).args(arguments).output().unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        let right = (before..=server.now() / 30).any(|step| authenticator.code_of(step + ahead) == shown.trim_end());
        assert!(right, "{shown}");
    }
}
