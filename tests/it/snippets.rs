//! The snippets of `docs/api.md` do what the document says: `curl` in a shell, Python with `requests`, and `fetch` in a
//! real browser. Each language has a server of its own and goes through the flows in their order.
//!
//! Where there is no `requests`, a stand-in of the same shape is used; where there is no Python or no browser, its
//! snippets are left out with a word. `DOORWARD_TEST_EVERYTHING` makes that a failure.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::harness::{Authenticator, Server, wait_for};
use crate::tour::{Shell, fits};

const DOCUMENT: &str = include_str!("../../docs/api.md");
const BASE: &str = "http://127.0.0.1:8000";

#[test]
fn the_curl_snippets_work() {
    let server = server();
    let mut shell = Shell::start(&server);
    go_through("bash", &mut Reader::new(&server, "ada@example.com"), |code, lines| shell.run_with(code, lines));
}

#[test]
fn the_python_snippets_work() {
    if !is_there("python3") {
        return leave_out("no python3");
    }
    let server = server();
    let mut python = Python::start(&server);
    go_through("python", &mut Reader::new(&server, "bea@example.com"), |code, lines| python.run(code, lines));
}

#[test]
fn the_browser_snippets_work() {
    if !is_there("chromedriver") {
        return leave_out("no chromedriver");
    }
    let server = server();
    let mut browser = Browser::start(&server);
    go_through("js", &mut Reader::new(&server, "cleo@example.com"), |code, lines| browser.run(code, lines));
}

fn server() -> Server {
    Server::with_mail()
}

pub fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

#[allow(clippy::print_stderr, reason = "whoever runs the tests should see it")]
pub fn leave_out(why: &str) {
    assert!(std::env::var_os("DOORWARD_TEST_EVERYTHING").is_none(), "{why}");
    eprintln!("left out: {why}");
}

/// Runs the blocks of one language, and compares what they print with the document.
fn go_through(
    language: &str,
    reader: &mut Reader<'_>,
    mut run: impl FnMut(&str, &mut dyn Iterator<Item = String>) -> String,
) {
    let blocks = blocks();
    let count = blocks.iter().filter(|block| block.language == language).count();
    assert!(count > 5, "the document has {count} blocks of {language}");
    for (at, block) in blocks.iter().enumerate().filter(|(_, block)| block.language == language) {
        let code = block.code.replace(BASE, &reader.server.url());
        let questions = questions(&code);
        let printed = run(&code, &mut questions.into_iter().map(|question| reader.answer(question)));
        reader.learn(&printed);
        // The answers stand behind the last of the three languages.
        let expected = blocks[at..].iter().take(4).find(|block| block.language == "text");
        let expected = if at < 3 { "" } else { &expected.expect("an answer in the document").code };
        assert!(fits(&printed, expected), "after\n{code}{language} printed\n{printed}, not\n{expected}");
    }
}

struct Block {
    language: &'static str,
    code: String,
}

fn blocks() -> Vec<Block> {
    let blocks = DOCUMENT.split("```").skip(1).step_by(2).map(|block| block.split_once('\n').unwrap());
    blocks.map(|(language, code)| Block { language, code: code.to_owned() }).collect()
}

/// What a snippet asks the person for, in order.
fn questions(code: &str) -> Vec<&'static str> {
    const ASKED: [&str; 2] = ["the link in the mail", "the code"];
    let asks = |line: &str| ["read -rp", "input(", "prompt("].iter().any(|word| line.contains(word));
    let question = |line: &str| ASKED.into_iter().find(|question| line.contains(question)).expect("a known question");
    code.lines().filter(|line| asks(line)).map(question).collect()
}

/// The person who reads the document: has a mailbox and an authenticator.
struct Reader<'a> {
    server: &'a Server,
    email: &'static str,
    authenticator: Option<Authenticator>,
    used_links: HashSet<String>,
}

impl<'a> Reader<'a> {
    fn new(server: &'a Server, email: &'static str) -> Self {
        Self { server, email, authenticator: None, used_links: HashSet::new() }
    }

    fn answer(&mut self, question: &str) -> String {
        match question {
            "the code" => self.authenticator.as_mut().expect("a secret was shown").code(self.server),
            _ => self.next_link(),
        }
    }

    /// The link of the next mail that has one.
    fn next_link(&mut self) -> String {
        let link = wait_for("a mail with a link", || {
            let mails = self.server.mails();
            let links = mails.iter().filter(|mail| mail.to == self.email).flat_map(|mail| mail.text.split_whitespace());
            let mut links = links.filter(|word| word.contains("/verify_email/") || word.contains("/reset/"));
            links.find(|link| !self.used_links.contains(*link)).map(str::to_owned)
        });
        self.used_links.insert(link.clone());
        link
    }

    /// Keeps the secret that was shown.
    fn learn(&mut self, printed: &str) {
        if let Some(secret) = printed.lines().find(|line| is_totp_secret(line)) {
            let _ = self.authenticator.get_or_insert_with(|| Authenticator::new(secret));
        }
    }
}

fn is_totp_secret(line: &str) -> bool {
    line.len() == 32 && line.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7'))
}

// ---- Python -----------------------------------------------------------------------------------------------------

/// An interpreter that runs one block after the other.
struct Python {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

const END: &str = "-- end of the block --";

/// Blocks come as one line of JSON each; what `input` asks for is in the lines behind.
const LOOP: &str = r#"
import json, sys, traceback
names = {}
while line := sys.stdin.readline():
    try:
        exec(json.loads(line), names)
    except BaseException:
        traceback.print_exc(file=sys.stdout)
    print("-- end of the block --", flush=True)
"#;

/// As much of `requests` as the document needs.
const REQUESTS: &str = r#"
import http.cookiejar, json as json_, urllib.error, urllib.request

class Answer:
    def __init__(self, answer):
        self.status_code, self.text = answer.status, answer.read().decode()
    def json(self):
        return json_.loads(self.text)

class Cookies(http.cookiejar.CookieJar):
    def get(self, name, default=None):
        return next((cookie.value for cookie in self if cookie.name == name), default)

class Session:
    def __init__(self):
        self.cookies = Cookies()
    def request(self, method, url, headers=None, json=None):
        data = None if json is None else json_.dumps(json).encode()
        headers = {**(headers or {}), **({"Content-Type": "application/json"} if data else {})}
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))
        try:
            return Answer(opener.open(urllib.request.Request(url, data, headers, method=method)))
        except urllib.error.HTTPError as error:
            return Answer(error)
    def get(self, url, **options): return self.request("GET", url, **options)
    def post(self, url, **options): return self.request("POST", url, **options)
    def patch(self, url, **options): return self.request("PATCH", url, **options)

def get(url, **options): return Session().get(url, **options)
def patch(url, **options): return Session().patch(url, **options)
"#;

impl Python {
    fn start(server: &Server) -> Self {
        let mut command = server.program("python3");
        command.args(["-u", "-c", LOOP]).stdin(Stdio::piped()).stdout(Stdio::piped());
        if !Command::new("python3").args(["-c", "import requests"]).stderr(Stdio::null()).status().unwrap().success() {
            leave_out("no requests for Python: using a stand-in");
            let folder = server.data_dir().with_file_name("python");
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("requests.py"), REQUESTS).unwrap();
            command.env("PYTHONPATH", folder);
        }
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    fn run(&mut self, code: &str, lines: &mut dyn Iterator<Item = String>) -> String {
        writeln!(self.input, "{}", json!(code)).unwrap();
        for line in lines {
            writeln!(self.input, "{line}").unwrap();
        }
        let mut printed = String::new();
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "python ended after\n{code}{printed}");
            if line.trim_end() == END {
                // `input` shows its question without a line's end.
                return printed.replace("the link in the mail: ", "").replace("the code: ", "");
            }
            printed.push_str(&line);
        }
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

// ---- browser ----------------------------------------------------------------------------------------------------

/// A real browser, driven over the protocol of W3C's `WebDriver`.
pub struct Browser {
    driver: Child,
    http: reqwest::blocking::Client,
    /// The address of the session.
    session: String,
    _profile: tempfile::TempDir,
}

/// How a snippet runs: `prompt` is answered from outside, `console.log` is kept.
const WRAPPER: &str = r"
window.answers = []; window.printed = []; window.ended = null;
const console = { log: (text) => printed.push(text) };
const ask = async () => {
  while (!answers.length) await new Promise((wake) => setTimeout(wake, 5));
  return answers.shift();
};
(async () => {
  CODE
  if (typeof api === 'function') window.api = api;
})().then(() => { ended = 'done'; }, (error) => { ended = String(error.stack); });
";

impl Browser {
    pub fn start(server: &Server) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut command = server.program("chromedriver");
        let mut driver = command.arg("--port=0").stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(driver.stdout.take().unwrap());
        let port = loop {
            let mut line = String::new();
            assert!(output.read_line(&mut line).unwrap() > 0, "chromedriver ended");
            if let Some((_, port)) = line.trim_end().split_once("successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        // Somebody has to read the rest.
        std::thread::spawn(move || output.lines().map_while(Result::ok).count());
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            &format!("--user-data-dir={}", profile.path().display()),
        ];
        let options = json!({"goog:chromeOptions": {"args": arguments}, "goog:loggingPrefs": {"browser": "ALL"}});
        let wanted = json!({"capabilities": {"alwaysMatch": options}});
        let http = reqwest::blocking::Client::new();
        let mut browser = Self { driver, http, session: format!("http://127.0.0.1:{port}"), _profile: profile };
        let made = browser.call("/session", &wanted);
        browser.session = format!("{}/session/{}", browser.session, made["sessionId"].as_str().unwrap());
        // Any address of the origin will do.
        browser.call("/url", &json!({"url": format!("{}/_health", server.url())}));
        browser
    }

    pub fn call(&self, path: &str, body: &Value) -> Value {
        let answer = self.http.post(format!("{}{path}", self.session)).json(body).send().unwrap();
        let mut answer: Value = answer.json().unwrap();
        assert!(answer["value"]["error"].is_null(), "{path}: {answer}");
        answer["value"].take()
    }

    pub fn script(&self, script: &str, arguments: Value) -> Value {
        self.call("/execute/sync", &json!({"script": script, "args": arguments}))
    }

    fn run(&mut self, code: &str, lines: &mut dyn Iterator<Item = String>) -> String {
        let asking = code
            .replace("prompt(\"the code\")", "(await ask())")
            .replace("prompt(\"the link in the mail\")", "(await ask())");
        self.script(&WRAPPER.replace("CODE", &asking), json!([]));
        for line in lines {
            self.script("answers.push(arguments[0])", json!([line]));
        }
        let ended = wait_for("the snippet to end", || {
            let ended = self.script("return window.ended", json!([]));
            ended.as_str().map(str::to_owned)
        });
        assert_eq!(ended, "done", "after\n{code}");
        let printed: Vec<String> = serde_json::from_value(self.script("return window.printed", json!([]))).unwrap();
        printed.join("\n") + if printed.is_empty() { "" } else { "\n" }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser itself.
        drop(self.http.delete(&self.session).send());
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}
