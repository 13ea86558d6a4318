//! The commands of the line-by-line mode: what can be typed, and what it means. Does not carry anything out.

use crate::console::text::shown;

/// Whom or which one a command is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// The number a list gave it.
    Number(usize),
    /// An e-mail address.
    Email(String),
    /// The one shown last.
    Same,
}

/// What to do to a user; the rest is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Reset,
    Unlock,
    Codes,
    Demand,
    Enrol,
    Verify,
    Cancel,
    SignOut,
    EndSession,
    RevokeKey,
}

/// What of a user is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Overview,
    TwoFactor,
    Sessions,
    Keys,
    Audit,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Find(String),
    More,
    Filters,
    Show(Whom, Part),
    /// The last number names a session or a key.
    Do(Act, Whom, Option<usize>),
    Explain(Whom, Option<String>),
    Audit(String),
    Entry(u64),
    Export(String),
    Home,
    Jobs,
    Job(Whom),
    Steer(JobWord, Whom),
    Approvals,
    Approve(String),
    Refuse(String),
    Bulk(BulkWord, Option<String>),
    Writes(bool),
    Status,
    OpenStore,
    Help(Option<String>),
    Quit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobWord {
    Pause,
    Resume,
    Stop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BulkWord {
    Remind,
    Require,
    Demand,
    Reset,
}

/// One row of the help, in the order it is told.
struct Row {
    name: &'static str,
    arguments: &'static str,
    help: &'static str,
}

const fn row(name: &'static str, arguments: &'static str, help: &'static str) -> Row {
    Row { name, arguments, help }
}

const ROWS: &[Row] = &[
    row("find", "WORDS", "search e-mail and name; also role:staff, 2fa:off and the other filters"),
    row("more", "", "the next users found, or the next entries of the audit trail"),
    row("filters", "", "the filters that find takes"),
    row(
        "show",
        "USER [2fa|sessions|keys|audit]",
        "tell about a user; USER is a number of the list or an e-mail address",
    ),
    row("explain", "USER [CODE]", "say why a code is or is not accepted"),
    row("reset", "USER", "remove the second factor and demand a new one"),
    row("unlock", "USER", "end the waiting after wrong codes and failed logins"),
    row("codes", "USER", "revoke the backup codes"),
    row("demand", "USER", "demand a new device; the old one stays valid until then"),
    row("enrol", "USER", "enrol a new device together with the user, with the key as text"),
    row("verify", "USER", "send the verification mail again"),
    row("cancel", "USER", "cancel the pending e-mail change"),
    row("signout", "USER", "sign out everywhere"),
    row("end", "USER SESSION", "end one session, by its number in `show USER sessions`"),
    row("revoke", "USER KEY", "revoke one API key, by its number in `show USER keys`"),
    row(
        "audit",
        "[FILTER]",
        "the audit trail; FILTER as in by:jdoe on:anna@example.com event:two_factor since:7d operators",
    ),
    row("entry", "NUMBER", "one entry of the audit trail in full"),
    row("export", "FILE", "write the entries of the last `audit` to a file, as JSON lines"),
    row("home", "", "the figures, and what needs attention"),
    row("remind", "", "to all that the last find matches: ask by mail to enrol"),
    row("require", "DATE", "to all that the last find matches: demand a device from that day on"),
    row("demand-all", "", "to all that the last find matches: demand a new device"),
    row("reset-all", "", "to all that the last find matches, 20 at most: reset"),
    row("jobs", "", "the jobs, and what waits for approval"),
    row("job", "NUMBER", "what a job did, user by user"),
    row("pause", "NUMBER", "pause a job; resume NUMBER and stop NUMBER as well"),
    row("resume", "NUMBER", "let a paused job go on"),
    row("stop", "NUMBER", "end a job; what is done stays done"),
    row("approvals", "", "what waits for a second operator, and the jobs; the same as jobs"),
    row("approve", "ID", "carry out what another operator asked for"),
    row("refuse", "ID", "refuse it, with a reason"),
    row("writes", "on|off", "allow changes for ten minutes, or forbid them"),
    row("status", "", "server, link, writes"),
    row("open", "", "without a server: open the store directly"),
    row("help", "[COMMAND]", "this list, or one command of it"),
    row("quit", "", "end; Ctrl-D does the same"),
];

/// The help, one line for each command, or for those whose name begins with the word.
#[must_use]
pub fn help(word: Option<&str>) -> Vec<String> {
    let rows = ROWS.iter().filter(|row| word.is_none_or(|word| row.name.starts_with(word)));
    rows.map(|row| {
        let usage = format!("{} {}", row.name, row.arguments);
        format!("{}: {}", usage.trim_end(), row.help)
    })
    .collect()
}

/// Reads a line. The error says what was expected.
pub fn parse(line: &str) -> Result<Command, String> {
    let line = line.trim();
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    let word = word.to_lowercase();
    let nothing_more = |command: Command| if rest.is_empty() { Ok(command) } else { Err(usage(&word)) };
    let act = |act: Act, is_part: bool| {
        let mut words = rest.split_whitespace();
        let whom = whom(words.next());
        let part = words.next().map(str::parse).transpose().map_err(|_| usage(&word))?;
        match (whom, part, words.next()) {
            (Some(whom), part, None) if part.is_some() == is_part => Ok(Command::Do(act, whom, part)),
            _ => Err(usage(&word)),
        }
    };
    let job = |steer: JobWord| number(rest).map(|which| Command::Steer(steer, which)).ok_or_else(|| usage(&word));
    match word.as_str() {
        "find" | "f" | "/" => Ok(Command::Find(rest.to_owned())),
        "more" | "m" => nothing_more(Command::More),
        "filters" => nothing_more(Command::Filters),
        "show" | "s" => show(rest).ok_or_else(|| usage("show")),
        "explain" => {
            let (user, code) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            let code = Some(code.trim().to_owned()).filter(|code| !code.is_empty());
            whom(Some(user).filter(|user| !user.is_empty()))
                .map(|user| Command::Explain(user, code))
                .ok_or_else(|| usage("explain"))
        }
        "reset" => act(Act::Reset, false),
        "unlock" => act(Act::Unlock, false),
        "codes" => act(Act::Codes, false),
        "demand" => act(Act::Demand, false),
        "enrol" => act(Act::Enrol, false),
        "verify" => act(Act::Verify, false),
        "cancel" => act(Act::Cancel, false),
        "signout" => act(Act::SignOut, false),
        "end" => act(Act::EndSession, true),
        "revoke" => act(Act::RevokeKey, true),
        "audit" | "a" => Ok(Command::Audit(rest.to_owned())),
        "entry" => rest.trim_start_matches('#').parse().map(Command::Entry).map_err(|_| usage("entry")),
        "export" if !rest.is_empty() => Ok(Command::Export(rest.to_owned())),
        "home" => nothing_more(Command::Home),
        "remind" => nothing_more(Command::Bulk(BulkWord::Remind, None)),
        "require" if !rest.is_empty() => Ok(Command::Bulk(BulkWord::Require, Some(rest.to_owned()))),
        "demand-all" => nothing_more(Command::Bulk(BulkWord::Demand, None)),
        "reset-all" => nothing_more(Command::Bulk(BulkWord::Reset, None)),
        "jobs" => nothing_more(Command::Jobs),
        "job" => number(rest).map(Command::Job).ok_or_else(|| usage("job")),
        "pause" => job(JobWord::Pause),
        "resume" => job(JobWord::Resume),
        "stop" => job(JobWord::Stop),
        "approvals" => nothing_more(Command::Approvals),
        "approve" if !rest.is_empty() => Ok(Command::Approve(rest.to_owned())),
        "refuse" if !rest.is_empty() => Ok(Command::Refuse(rest.to_owned())),
        "writes" if rest == "on" => Ok(Command::Writes(true)),
        "writes" if rest == "off" => Ok(Command::Writes(false)),
        "status" => nothing_more(Command::Status),
        "open" => nothing_more(Command::OpenStore),
        "help" | "?" => Ok(Command::Help(Some(rest.to_owned()).filter(|rest| !rest.is_empty()))),
        "quit" | "q" | "exit" => nothing_more(Command::Quit),
        _ => Err(usage(&word)),
    }
}

fn usage(word: &str) -> String {
    match ROWS.iter().find(|row| row.name == word) {
        Some(row) => format!("usage: {} {}", row.name, row.arguments).trim_end().to_owned(),
        None => format!("there is no command `{}`; help tells them all", shown(word)),
    }
}

fn whom(word: Option<&str>) -> Option<Whom> {
    let Some(word) = word else { return Some(Whom::Same) };
    if word.contains('@') { Some(Whom::Email(word.to_owned())) } else { number(word) }
}

fn number(word: &str) -> Option<Whom> {
    word.parse().ok().filter(|number| *number > 0).map(Whom::Number)
}

fn show(rest: &str) -> Option<Command> {
    let mut words: Vec<&str> = rest.split_whitespace().collect();
    let part = match words.last().copied() {
        Some("2fa") => Part::TwoFactor,
        Some("sessions") => Part::Sessions,
        Some("keys") => Part::Keys,
        Some("audit") => Part::Audit,
        _ => Part::Overview,
    };
    if part != Part::Overview {
        words.pop();
    }
    match words.as_slice() {
        [] => Some(Command::Show(Whom::Same, part)),
        [user] => whom(Some(user)).map(|whom| Command::Show(whom, part)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_commands() {
        let email = || Whom::Email("anna@example.com".to_owned());
        for (line, command) in [
            ("find anna role:staff", Command::Find("anna role:staff".to_owned())),
            ("  FIND  ", Command::Find(String::new())),
            ("show 2", Command::Show(Whom::Number(2), Part::Overview)),
            ("show anna@example.com sessions", Command::Show(email(), Part::Sessions)),
            ("show", Command::Show(Whom::Same, Part::Overview)),
            ("show keys", Command::Show(Whom::Same, Part::Keys)),
            ("reset 2", Command::Do(Act::Reset, Whom::Number(2), None)),
            ("reset", Command::Do(Act::Reset, Whom::Same, None)),
            ("end 2 1", Command::Do(Act::EndSession, Whom::Number(2), Some(1))),
            ("explain 2 123456", Command::Explain(Whom::Number(2), Some("123456".to_owned()))),
            ("explain anna@example.com abcd efgh", Command::Explain(email(), Some("abcd efgh".to_owned()))),
            ("explain", Command::Explain(Whom::Same, None)),
            ("audit by:jdoe", Command::Audit("by:jdoe".to_owned())),
            ("entry #12", Command::Entry(12)),
            ("writes on", Command::Writes(true)),
            ("pause 1", Command::Steer(JobWord::Pause, Whom::Number(1))),
            ("require 2026-12-01", Command::Bulk(BulkWord::Require, Some("2026-12-01".to_owned()))),
            ("q", Command::Quit),
        ] {
            assert_eq!(parse(line), Ok(command), "{line}");
        }
    }

    #[test]
    fn what_is_no_command_says_what_is() {
        for (line, says) in [
            ("reset anna", "usage: reset USER"),
            ("reset 0", "usage: reset USER"),
            ("end 2", "usage: end USER SESSION"),
            ("writes", "usage: writes on|off"),
            ("export", "usage: export FILE"),
            ("quit now", "usage: quit"),
            ("dance", "there is no command `dance`; help tells them all"),
        ] {
            assert_eq!(parse(line), Err(says.to_owned()), "{line}");
        }
    }

    #[test]
    fn every_command_of_the_help_is_one() {
        for row in ROWS {
            let arguments = match row.arguments {
                "[COMMAND]" | "" => "",
                "on|off" => "on",
                "USER SESSION" | "USER KEY" => "1 1",
                "WORDS" | "FILE" | "DATE" | "ID" => "x",
                _ => "1",
            };
            assert!(parse(&format!("{} {arguments}", row.name)).is_ok(), "{}", row.name);
        }
        assert_eq!(help(Some("res")).len(), 3, "reset, reset-all, resume");
    }
}
