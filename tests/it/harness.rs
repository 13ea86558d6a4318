//! The real server in a folder of its own, and what is needed to talk to it.
//!
//! The harness checks what tests forget: [`Server::stop`] wants exit code 0, every error of the API is in the envelope,
//! and when a server is dropped none of the secrets that went over the wire may be in its log.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use mail_parser::MessageParser;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::described::{self, Answered};

/// Longest wait for anything: a start, a stop, a mail. Far beyond what a loaded machine needs.
const PATIENCE: Duration = Duration::from_mins(1);

/// A password that every rule accepts; people get their own variation of it.
pub const PASSWORD: &str = "correct horse battery staple 7";

// ---- server -----------------------------------------------------------------------------------------------------

/// A running server. Killed when dropped.
pub struct Server {
    shared: Arc<Shared>,
    process: Option<Process>,
}

struct Process {
    child: Child,
    log: JoinHandle<()>,
}

struct Shared {
    folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
    address: Mutex<String>,
    log: Mutex<String>,
    secrets: Mutex<BTreeSet<String>>,
    offset_seconds: Mutex<i64>,
}

/// Settings of a server that is not started yet.
pub struct Builder {
    settings: Vec<(String, String)>,
}

impl Builder {
    /// A setting by its name in `config.toml`, such as `two_factor.issuer`.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        let variable = format!("DOORWARD__{}", name.to_uppercase().replace('.', "__"));
        self.settings.push((variable, value.to_owned()));
        self
    }

    /// Mails are written as files and can be read with [`Server::wait_for_mail`].
    pub fn mail_file(self) -> Self {
        self.setting("email.transport", "file")
    }

    pub fn start(self) -> Server {
        let mut server = self.stopped();
        server.start_again();
        server
    }

    /// A server that was never started: an empty folder.
    pub fn stopped(self) -> Server {
        let folder = tempfile::tempdir().unwrap();
        let mut environment = vec![
            ("DOORWARD__SERVER__LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
            ("DOORWARD__SERVER__DATA_DIR".to_owned(), text(&folder.path().join("data"))),
            ("DOORWARD__PASSWORD__MEMORY_KIB".to_owned(), "64".to_owned()),
            ("DOORWARD__PASSWORD__ITERATIONS".to_owned(), "1".to_owned()),
            ("DOORWARD_TEST_CLOCK".to_owned(), text(&folder.path().join("clock"))),
        ];
        environment.extend(self.settings);
        let shared = Shared {
            folder,
            environment,
            address: Mutex::default(),
            log: Mutex::default(),
            secrets: Mutex::default(),
            offset_seconds: Mutex::default(),
        };
        Server { shared: Arc::new(shared), process: None }
    }
}

impl Server {
    /// Without mail.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// With mails in files.
    pub fn with_mail() -> Self {
        Self::builder().mail_file().start()
    }

    pub fn builder() -> Builder {
        Builder { settings: Vec::new() }
    }

    /// Starts the program on the same data, after [`Server::stop`] or [`Server::kill`].
    pub fn start_again(&mut self) {
        let command = self.command(&["serve"]);
        self.start_by(command).unwrap_or_else(|error| panic!("the server did not start: {error}\n{}", self.log()));
    }

    /// The same by a command of the caller's, or what kept it from starting.
    pub fn start_by(&mut self, mut command: Command) -> Result<(), String> {
        assert!(self.process.is_none(), "the server runs already");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let err = BufReader::new(child.stderr.take().unwrap());
        let shared = Arc::clone(&self.shared);
        let log = std::thread::spawn(move || {
            for line in err.lines().map_while(Result::ok) {
                let mut log = shared.log.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let Some(address) = line.trim_end().strip_prefix("listening on ") else {
            let status = child.wait();
            log.join().unwrap();
            return Err(format!("{status:?}, `{line}`"));
        };
        address.clone_into(&mut self.shared.address.lock().unwrap());
        // The rest of standard output must stay empty, and somebody has to read it.
        std::thread::spawn(move || {
            let mut rest = String::new();
            drop(out.read_to_string(&mut rest));
            assert_eq!(rest, "", "one line on standard output, and no more");
        });
        self.process = Some(Process { child, log });
        Ok(())
    }

    /// SIGTERM; the program must end by itself with exit code 0.
    pub fn stop(&mut self) {
        self.terminate();
        self.ends_with(0);
    }

    /// SIGTERM, and nothing more.
    pub fn terminate(&self) {
        self.signal(rustix::process::Signal::TERM);
    }

    /// SIGHUP.
    pub fn hang_up(&self) {
        self.signal(rustix::process::Signal::HUP);
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let process = self.process.as_ref().expect("the server does not run");
        rustix::process::kill_process(rustix::process::Pid::from_child(&process.child), signal).unwrap();
    }

    /// How many sockets it has open, and the memory that is resident, in bytes.
    pub fn sockets_and_memory(&self) -> (usize, usize) {
        let process = self.process.as_ref().expect("the server does not run").child.id();
        let files = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().filter_map(Result::ok);
        let sockets = files.filter_map(|file| std::fs::read_link(file.path()).ok());
        let sockets = sockets.filter(|target| target.to_string_lossy().starts_with("socket:")).count();
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let kib = status.split("VmRSS:").nth(1).unwrap().split_whitespace().next().unwrap();
        (sockets, kib.parse::<usize>().unwrap() * 1024)
    }

    /// Waits for the program to end by itself.
    #[track_caller]
    pub fn ends_with(&mut self, code: i32) {
        let mut process = self.process.take().expect("the server does not run");
        let status = wait_for("the server to stop", || process.child.try_wait().unwrap());
        process.log.join().unwrap();
        assert_eq!(status.code(), Some(code), "{status}\n{}", self.log());
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.child.kill().unwrap();
            process.child.wait().unwrap();
            process.log.join().unwrap();
        }
    }

    /// `http://127.0.0.1:12345`.
    pub fn url(&self) -> String {
        self.shared.address.lock().unwrap().clone()
    }

    /// What the server wrote to standard error so far.
    pub fn log(&self) -> String {
        self.shared.log.lock().unwrap().clone()
    }

    /// Waits until the log has these words.
    pub fn wait_for_log(&self, words: &str) {
        wait_for(&format!("`{words}` in the log"), || self.log().contains(words).then_some(()));
    }

    /// A place beside the data directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.shared.folder.path().join(name)
    }

    pub fn data_dir(&self) -> PathBuf {
        self.shared.folder.path().join("data")
    }

    /// From now on this text must not be in the log.
    pub fn secret(&self, secret: &str) {
        self.shared.keep_secret(secret);
    }

    /// Lets time pass for the server and the command line.
    pub fn advance(&self, seconds: i64) {
        let mut offset = self.shared.offset_seconds.lock().unwrap();
        *offset += seconds;
        let unfinished = self.shared.folder.path().join("clock.tmp");
        std::fs::write(&unfinished, offset.to_string()).unwrap();
        std::fs::rename(unfinished, self.shared.folder.path().join("clock")).unwrap();
    }

    /// Lets the server's time be in the middle of a TOTP step, so that the next few seconds do not end it.
    pub fn go_to_the_middle_of_a_step(&self) {
        self.advance((10 - self.now()).rem_euclid(30));
    }

    /// The server's time, in seconds since the epoch.
    #[allow(clippy::disallowed_methods, reason = "the server's clock is this one and an offset")]
    pub fn now(&self) -> i64 {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        i64::try_from(since_epoch.as_secs()).unwrap() + *self.shared.offset_seconds.lock().unwrap()
    }

    /// Runs the command line against the same data, whether the server runs or not.
    pub fn cli(&self, arguments: &[&str]) -> CliOutput {
        self.cli_with_input(arguments, "")
    }

    pub fn cli_with_input(&self, arguments: &[&str], input: &str) -> CliOutput {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A program that fails at once closes its input; what it says then is what counts.
        drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
        let output = child.wait_with_output().unwrap();
        CliOutput {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs an operation over the admin socket, as this program's own client does: its reply, or the refusal's code.
    pub fn operate(&self, operation: &str, body: &Value) -> Result<Value, String> {
        self.operate_as("test", operation, body)
    }

    /// The same under a claimed name.
    pub fn operate_as(&self, name: &str, operation: &str, body: &Value) -> Result<Value, String> {
        self.exchange(&admin_request(name, "", operation, body))
    }

    /// The same under a request's id.
    pub fn operate_under(&self, id: &str, operation: &str, body: &Value) -> Result<Value, String> {
        self.exchange(&admin_request("test", id, operation, body))
    }

    fn exchange(&self, request: &str) -> Result<Value, String> {
        let mut socket = self.socket();
        socket.write_all(request.as_bytes()).unwrap();
        let mut said = String::new();
        socket.read_to_string(&mut said).unwrap();
        admin_answer(&said)
    }

    /// The newest entry of the audit trail.
    pub fn newest_entry(&self) -> Value {
        self.cli(&["audit", "list", "--limit", "1", "--json"]).json()["rows"][0].clone()
    }

    /// A connection to the admin socket.
    pub fn socket(&self) -> UnixStream {
        UnixStream::connect(self.data_dir().join("admin.sock")).unwrap()
    }

    /// Another program, in the folder of the data directory and with the settings of the server.
    pub fn program(&self, name: &str) -> Command {
        self.shared.program(name)
    }

    /// The program in the server's folder, with its settings.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.shared.command(arguments)
    }

    /// A verified account, made with the command line.
    pub fn user(&self, email: &str) -> Person {
        self.person(email, &["--verified"])
    }

    /// A verified staff account.
    pub fn staff(&self, email: &str) -> Person {
        self.person(email, &["--verified", "--staff"])
    }

    /// The owner of a new organization of this name, logged in.
    pub fn owner(&self, email: &str, organization: &str) -> (Person, Client) {
        let person = self.person(email, &["--verified", "--organization", organization]);
        let client = self.login(&person);
        (person, client)
    }

    /// A member of an organization.
    pub fn member(&self, email: &str, organization: &str, level: &str) -> Person {
        self.person(email, &["--verified", "--organization", organization, "--level", level])
    }

    /// An account with these further options of `user create`.
    pub fn person(&self, email: &str, options: &[&str]) -> Person {
        let password = format!("{PASSWORD} of {email}");
        self.secret(&password);
        let arguments = ["user", "create", "--email", email, "--password-stdin", "--json"];
        let created = self.cli_with_input(&[&arguments[..], options].concat(), &format!("{password}\n")).json();
        let uuid = created["uuid"].as_str().unwrap().to_owned();
        Person { email: email.to_owned(), password, uuid, id: created["id"].as_i64().unwrap() }
    }

    /// Somebody without any credential.
    pub fn client(&self) -> Client {
        Client { shared: Arc::clone(&self.shared), cookies: Arc::default(), bearer: None, sends_csrf: true }
    }

    /// Somebody with a personal API key.
    pub fn with_key(&self, key: &str) -> Client {
        self.secret(key);
        Client { bearer: Some(key.to_owned()), ..self.client() }
    }

    /// Logs in with the password alone.
    pub fn login(&self, person: &Person) -> Client {
        let client = self.client();
        client.login(person).is(200);
        client
    }

    /// A verified account, logged in.
    pub fn logged_in(&self, email: &str) -> (Person, Client) {
        let person = self.user(email);
        let client = self.login(&person);
        (person, client)
    }

    /// A key of this account, made over HTTP.
    pub fn key_of(&self, client: &Client, scopes: &[&str]) -> Client {
        let body = json!({"label": "test", "scopes": scopes, "scoped_teams": [], "scoped_organizations": []});
        let made = client.post("/api/personal_api_keys", body).is(201).json();
        self.with_key(made["value"].as_str().unwrap())
    }

    /// Every mail that was delivered, in order of time.
    pub fn mails(&self) -> Vec<Mail> {
        let Ok(folder) = std::fs::read_dir(self.data_dir().join("outbox")) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
        paths.sort();
        paths.iter().map(|path| Mail::read(path)).collect()
    }

    /// The newest mail to this address whose subject has these words, as soon as there is one.
    pub fn wait_for_mail(&self, to: &str, subject: &str) -> Mail {
        self.wait_for_mails(to, subject, 1).pop().unwrap()
    }

    /// The mails to this address whose subject has these words, as soon as there are so many.
    pub fn wait_for_mails(&self, to: &str, subject: &str, count: usize) -> Vec<Mail> {
        wait_for(&format!("{count} mails `{subject}` to {to}"), || {
            let mut mails = self.mails();
            mails.retain(|mail| mail.to == to && mail.subject.contains(subject));
            (mails.len() >= count).then_some(mails)
        })
    }

    /// How many such mails there are once everything that was queued before is delivered. A password change of
    /// `witness`, who must have done nothing else, is the last mail in the queue.
    pub fn count_mails(&self, to: &str, subject: &str, witness: &str) -> usize {
        let (person, client) = self.logged_in(witness);
        let password = format!("{PASSWORD} again");
        client.patch("/api/users/@me", json!({"current_password": person.password, "password": password})).is(200);
        self.wait_for_mail(witness, "password has been changed");
        self.mails().iter().filter(|mail| mail.to == to && mail.subject.contains(subject)).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if !std::thread::panicking() {
            let log = self.log();
            for secret in &*self.shared.secrets.lock().unwrap() {
                assert!(!says(&log, secret), "the log has the secret `{secret}`:\n{log}");
            }
        }
    }
}

impl Shared {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.program(env!("CARGO_BIN_EXE_doorward"));
        command.args(arguments);
        command
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Words that a log may well contain are no use as secrets here.
    fn keep_secret(&self, text: &str) {
        let is_code = text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit()) && text != "000000";
        let is_long = text.len() >= 8 && text.chars().any(|c| !c.is_ascii_lowercase());
        if is_code || is_long {
            self.secrets.lock().unwrap().insert(text.to_owned());
        }
    }

    /// Everything in this JSON text that must not be in a log.
    fn keep_secrets_of(&self, value: &Value) {
        const NAMES: [&str; 9] = [
            "password",
            "current_password",
            "token",
            "code",
            "secret",
            "value",
            "backup_codes",
            "personal_api_key",
            "link",
        ];
        for name in NAMES {
            match &value[name] {
                Value::String(text) => self.keep_secret(text),
                Value::Array(texts) => texts.iter().filter_map(Value::as_str).for_each(|text| self.keep_secret(text)),
                _ => {}
            }
        }
    }
}

/// A request to the admin socket, as this program's own client sends it.
pub fn admin_request(name: &str, id: &str, operation: &str, body: &Value) -> String {
    let body = body.to_string();
    let id = if id.is_empty() { String::new() } else { format!("doorward-request-id: {id}\r\n") };
    let length = body.len();
    format!(
        "POST /op/{operation} HTTP/1.1\r\nhost: doorward\r\ndoorward-protocol: 1\r\ndoorward-operator: {name}\r\n{id}\
         connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// The reply, or the refusal's code.
fn admin_answer(said: &str) -> Result<Value, String> {
    let (head, body) = said.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {said:?}"));
    let body: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {said}"));
    if head.starts_with("HTTP/1.1 200") {
        return Ok(body);
    }
    Err(body["code"].as_str().or_else(|| body["kind"].as_str()).unwrap().to_owned())
}

/// Whether a text has these words, and not as a part of a longer number or word.
fn says(text: &str, words: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    text.match_indices(words)
        .any(|(at, _)| !is_part(text[..at].chars().next_back()) && !is_part(text[at + words.len()..].chars().next()))
}

/// Asks again and again until there is an answer.
#[allow(clippy::disallowed_methods, reason = "the patience of a test is real time")]
pub fn wait_for<T>(what: &str, mut answer: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = answer() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// What the command line answered.
#[derive(Debug)]
pub struct CliOutput {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl CliOutput {
    #[track_caller]
    pub fn is(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }

    /// The JSON on standard output of a command that succeeded.
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

// ---- people -----------------------------------------------------------------------------------------------------

/// An account and its password.
#[derive(Clone, Debug)]
pub struct Person {
    pub email: String,
    pub password: String,
    pub uuid: String,
    pub id: i64,
}

impl Person {
    pub fn credentials(&self) -> Value {
        json!({"email": self.email, "password": self.password})
    }

    /// A path under the account's own UUID.
    pub fn path(&self, rest: &str) -> String {
        format!("/api/users/{}{rest}", self.uuid)
    }
}

/// An authenticator: RFC 6238, written here a second time so that it does not share the server's mistakes.
pub struct Authenticator {
    secret: Vec<u8>,
    last_step: i64,
}

impl Authenticator {
    pub fn new(base32: &str) -> Self {
        Self { secret: decode_base32(base32), last_step: -1 }
    }

    /// One whose secret is written in hexadecimal, as Django keeps it.
    pub fn of_hex(hex: &str) -> Self {
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        Self { secret: (0..hex.len()).step_by(2).map(byte).collect(), last_step: -1 }
    }

    /// The bytes of its secret.
    pub fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// A code that this authenticator did not show yet and that the server accepts. Lets time pass when it has to.
    pub fn code(&mut self, server: &Server) -> String {
        let now = server.now() / 30;
        let step = now.max(self.last_step + 1);
        if step > now + 1 {
            server.advance((step - now) * 30);
        }
        self.last_step = step;
        let code = self.code_of(step);
        server.secret(&code);
        code
    }

    /// The last code once more.
    pub fn last_code(&self) -> String {
        self.code_of(self.last_step)
    }

    /// A code of six digits that is wrong now and in the steps around.
    pub fn wrong_code(&self, server: &Server) -> String {
        self.code_beyond(3, server)
    }

    /// A code that this authenticator does not show within a day: of the some 3,000 codes of the twelve hours that the
    /// server looks through, one in 350 sets holds any code that a test could name.
    pub fn foreign_code(&self, server: &Server) -> String {
        self.code_beyond(24 * 60 * 2, server)
    }

    fn code_beyond(&self, steps: i64, server: &Server) -> String {
        let now = server.now() / 30;
        let right: HashSet<String> = (now - steps..=now + steps).map(|step| self.code_of(step)).collect();
        (111_111..=199_999).map(|n| n.to_string()).find(|code| !right.contains(code)).unwrap()
    }

    /// The code of one step.
    pub fn code_of(&self, step: i64) -> String {
        let mut mac = Hmac::<sha1::Sha1>::new_from_slice(&self.secret).unwrap();
        mac.update(&step.to_be_bytes());
        let digest = mac.finalize().into_bytes();
        let offset = usize::from(digest[19] & 15);
        let word = u32::from_be_bytes(digest[offset..offset + 4].try_into().unwrap()) & 0x7fff_ffff;
        format!("{:06}", word % 1_000_000)
    }
}

fn decode_base32(text: &str) -> Vec<u8> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let values: Vec<usize> = text.chars().map(|c| ALPHABET.find(c).unwrap()).collect();
    let bits: Vec<usize> = values.iter().flat_map(|value| (0..5).rev().map(move |bit| value >> bit & 1)).collect();
    bits.chunks_exact(8).map(|bits| u8::try_from(bits.iter().fold(0, |byte, bit| byte << 1 | bit)).unwrap()).collect()
}

/// Spec §7.1.
#[test]
fn the_authenticator_knows_the_golden_codes() {
    let authenticator = Authenticator::new("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    assert_eq!(authenticator.secret, b"12345678901234567890");
    for (seconds, code) in [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")] {
        assert_eq!(authenticator.code_of(seconds / 30), code);
    }
}

// ---- HTTP -------------------------------------------------------------------------------------------------------

/// A caller with a cookie jar. Sends the CSRF header that belongs to its cookie, unless told not to.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    cookies: Arc<Mutex<BTreeMap<String, String>>>,
    bearer: Option<String>,
    sends_csrf: bool,
}

/// A request that is put together.
pub struct Request {
    client: Client,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Client {
    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.request("GET", path).send()
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: Value) -> Reply {
        self.request("POST", path).json(body).send()
    }

    #[track_caller]
    pub fn patch(&self, path: &str, body: Value) -> Reply {
        self.request("PATCH", path).json(body).send()
    }

    #[track_caller]
    pub fn put(&self, path: &str, body: Value) -> Reply {
        self.request("PUT", path).json(body).send()
    }

    #[track_caller]
    pub fn delete(&self, path: &str) -> Reply {
        self.request("DELETE", path).send()
    }

    /// Any other request.
    pub fn request(&self, method: &str, path: &str) -> Request {
        let method = method.parse().unwrap();
        Request { client: self.clone(), method, path: path.to_owned(), headers: HeaderMap::new(), body: Vec::new() }
    }

    #[track_caller]
    pub fn login(&self, person: &Person) -> Reply {
        self.post("/api/login", person.credentials())
    }

    /// The caller's own user object.
    #[track_caller]
    pub fn me(&self) -> Value {
        self.get("/api/users/@me").is(200).json()
    }

    /// Switches 2FA on.
    #[track_caller]
    pub fn enrol(&self, server: &Server) -> Authenticator {
        let setup = self.get("/api/users/@me/two_factor_start_setup").is(200).json();
        let mut authenticator = Authenticator::new(setup["secret"].as_str().unwrap());
        let code = authenticator.code(server);
        self.post("/api/users/@me/two_factor_validate", json!({"token": code})).is_body(200, r#"{"success":true}"#);
        authenticator
    }

    /// Makes a new set of backup codes.
    #[track_caller]
    pub fn new_backup_codes(&self) -> Vec<String> {
        let made = self.post("/api/users/@me/two_factor_backup_codes", json!({})).is(200).json();
        serde_json::from_value(made["backup_codes"].clone()).unwrap()
    }

    /// The same caller without the CSRF header.
    pub fn without_csrf(&self) -> Self {
        Self { sends_csrf: false, ..self.clone() }
    }

    /// The same cookies, and a key besides.
    pub fn and_key_of(&self, other: &Self) -> Self {
        Self { bearer: other.bearer.clone(), ..self.clone() }
    }

    /// The key itself.
    pub fn key(&self) -> &str {
        self.bearer.as_deref().unwrap()
    }

    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.lock().unwrap().get(name).cloned()
    }

    pub fn set_cookie(&self, name: &str, value: &str) {
        self.cookies.lock().unwrap().insert(name.to_owned(), value.to_owned());
    }

    pub fn remove_cookie(&self, name: &str) {
        self.cookies.lock().unwrap().remove(name);
    }

    /// Another caller with a copy of the cookies.
    pub fn copy(&self) -> Self {
        Self { cookies: Arc::new(Mutex::new(self.cookies.lock().unwrap().clone())), ..self.clone() }
    }

    pub fn keep_cookies(&self, headers: &HeaderMap) {
        for header in headers.get_all("set-cookie") {
            let cookie = header.to_str().unwrap();
            let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
            let (name, value) = pair.split_once('=').unwrap();
            if value.is_empty() || attributes.to_lowercase().contains("max-age=0") {
                self.remove_cookie(name);
            } else {
                self.shared.keep_secret(value);
                self.set_cookie(name, value);
            }
        }
    }
}

impl Request {
    pub fn header(self, name: &str, value: &str) -> Self {
        self.header_bytes(name, value.as_bytes())
    }

    pub fn header_bytes(mut self, name: &str, value: &[u8]) -> Self {
        let name: HeaderName = name.parse().unwrap();
        self.headers.insert(name, HeaderValue::from_bytes(value).unwrap());
        self
    }

    pub fn json(self, body: Value) -> Self {
        self.client.shared.keep_secrets_of(&body);
        self.body("application/json", body.to_string())
    }

    /// A form post of these fields.
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let mut body = form_urlencoded::Serializer::new(String::new());
        self.body("application/x-www-form-urlencoded", body.extend_pairs(fields).finish())
    }

    pub fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("content-type", content_type)
    }

    #[track_caller]
    pub fn send(self) -> Reply {
        let call = self.call();
        self.try_send().unwrap_or_else(|error| panic!("{call}: {error:?}"))
    }

    /// For servers that may go away in the middle.
    pub fn try_send(mut self) -> reqwest::Result<Reply> {
        self.add_credentials();
        let (client, call, method, path) = (&self.client, self.call(), self.method.clone(), self.path.clone());
        let is_api = self.path.starts_with("/api/") && self.method != Method::HEAD;
        let url = format!("{}{}", client.shared.address.lock().unwrap(), self.path);
        let answer = http().request(self.method, url).headers(self.headers).body(self.body).send()?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text()?;
        client.keep_cookies(&headers);
        if let Ok(value) = serde_json::from_str(&text) {
            client.shared.keep_secrets_of(&value);
        }
        let reply = Reply { call, status, headers, text };
        if status >= 400 && is_api && !reply.text.is_empty() && !reply.is_bare() {
            reply.check_envelope();
        }
        let answered = Answered {
            method: method.as_str(),
            path: &path,
            status,
            content_type: reply.headers.get("content-type").and_then(|kind| kind.to_str().ok()),
            body: &reply.text,
        };
        described::check(&answered).unwrap_or_else(|error| panic!("{}: {error}", reply.call));
        Ok(reply)
    }

    /// The bytes on the wire, for those who send them themselves. The connection is for this request alone.
    pub fn into_bytes(mut self) -> Vec<u8> {
        self.add_credentials();
        let mut bytes = format!("{} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n", self.call()).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", self.body.len()).as_bytes());
        bytes.extend_from_slice(&self.body);
        bytes
    }

    fn call(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn add_credentials(&mut self) {
        let client = &self.client;
        let cookies: Vec<String> =
            client.cookies.lock().unwrap().iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut default = |name: &'static str, value: String| {
            self.headers.entry(name).or_insert(HeaderValue::from_str(&value).unwrap());
        };
        if !cookies.is_empty() {
            default("cookie", cookies.join("; "));
        }
        if let Some(key) = &client.bearer {
            default("authorization", format!("Bearer {key}"));
        }
        if let Some(token) = client.cookie("posthog_csrftoken").filter(|_| client.sends_csrf && !self.method.is_safe())
        {
            default("x-csrftoken", token);
        }
    }
}

/// One for all: connections are not used again, so a server that stops takes nobody by surprise.
fn http() -> &'static reqwest::blocking::Client {
    static HTTP: OnceLock<reqwest::blocking::Client> = OnceLock::new();
    HTTP.get_or_init(|| {
        reqwest::blocking::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(0)
            .timeout(PATIENCE)
            .build()
            .unwrap()
    })
}

/// An answer. The checks return it, so that they can be chained.
#[derive(Debug)]
pub struct Reply {
    call: String,
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Reply {
    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{} answered {}", self.call, self.text);
        self
    }

    /// Status and body, byte for byte.
    #[track_caller]
    pub fn is_body(self, status: u16, body: &str) -> Self {
        assert_eq!((self.status, self.text.as_str()), (status, body), "{}", self.call);
        self
    }

    /// Whether this is a refusal in the shape of spec §3.10, on the one route that has it.
    fn is_bare(&self) -> bool {
        let value = self.json();
        let keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        self.call.contains(" /api/reset_2fa/")
            && matches!(*keys, ["success", "error"] | ["success", "error", "requires_login"])
    }

    /// Exactly the keys of spec §1.5, in their order (W-42).
    #[track_caller]
    fn check_envelope(&self) {
        let value = self.json();
        let keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["type", "code", "detail", "attr"], "{self:?}");
        let text = |key: &str| value[key].as_str().is_some_and(|text| !text.is_empty());
        assert!(text("type") && text("code") && text("detail") && value["code"] != "invalid", "{self:?}");
    }

    /// The envelope of spec §1.5, byte for byte.
    #[track_caller]
    pub fn is_error(self, status: u16, kind: &str, code: &str, detail: &str, attr: Option<&str>) -> Self {
        let body = json!({"type": kind, "code": code, "detail": detail, "attr": attr});
        self.is_body(status, &body.to_string())
    }

    /// A 400 of type `validation_error`.
    #[track_caller]
    pub fn is_invalid(self, code: &str, detail: &str, attr: Option<&str>) -> Self {
        self.is_error(400, "validation_error", code, detail, attr)
    }

    /// `This field is required.`
    #[track_caller]
    pub fn is_required(self, attr: &str) -> Self {
        self.is_invalid("required", "This field is required.", Some(attr))
    }

    /// The 401 of a caller without a credential.
    #[track_caller]
    pub fn is_anonymous(self) -> Self {
        let detail = "Authentication credentials were not provided.";
        self.is_error(401, "authentication_error", "not_authenticated", detail, None)
    }

    /// A 403 of code `permission_denied`.
    #[track_caller]
    pub fn is_denied(self, detail: &str) -> Self {
        self.is_error(403, "authentication_error", "permission_denied", detail, None)
    }

    /// The 403 of a session that authenticated too long ago.
    #[track_caller]
    pub fn wants_reauth(self) -> Self {
        let detail = "This action requires you to be recently authenticated.";
        self.is_error(403, "authentication_error", "sensitive_action_required_reauth", detail, None)
    }

    /// The 401 of a login that waits for the second factor.
    #[track_caller]
    pub fn wants_second_factor(self) -> Self {
        self.is_error(401, "server_error", "2fa_required", "2FA is required.", None)
    }

    #[track_caller]
    pub fn is_not_found(self) -> Self {
        self.is_missing("Not found.")
    }

    /// A 404 with its sentence.
    #[track_caller]
    pub fn is_missing(self, detail: &str) -> Self {
        self.is_error(404, "invalid_request", "not_found", detail, None)
    }

    /// The 429 of spec §1.11, with the seconds in words and in `Retry-After`.
    #[track_caller]
    pub fn is_throttled(self) -> Self {
        let seconds: u64 = self.header("retry-after").parse().unwrap();
        let unit = if seconds == 1 { "second" } else { "seconds" };
        let detail = format!("Request was throttled. Expected available in {seconds} {unit}.");
        self.is_error(429, "throttled_error", "throttled", &detail, None)
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{}: {error}: {}", self.call, self.text))
    }

    /// A header, empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The `Set-Cookie` header of the cookie whose name starts so.
    pub fn set_cookie(&self, name: &str) -> Option<&str> {
        self.headers.get_all("set-cookie").iter().map(|header| header.to_str().unwrap()).find(|c| c.starts_with(name))
    }
}

// ---- mails ------------------------------------------------------------------------------------------------------

/// A mail that was delivered.
#[derive(Clone, Debug)]
pub struct Mail {
    pub to: String,
    /// Empty when answers go nowhere else.
    pub reply_to: String,
    pub subject: String,
    pub text: String,
    pub html: String,
}

impl Mail {
    fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let mail = MessageParser::default().parse(&bytes).unwrap();
        let to = mail.to().and_then(|to| to.first()).and_then(|to| to.address()).unwrap();
        let reply_to = mail.reply_to().and_then(|to| to.first()).and_then(|to| to.address()).unwrap_or_default();
        Self {
            to: to.to_owned(),
            reply_to: reply_to.to_owned(),
            subject: mail.subject().unwrap().to_owned(),
            text: mail.body_text(0).unwrap().into_owned(),
            html: mail.body_html(0).unwrap().into_owned(),
        }
    }

    /// The link on a line of its own.
    #[track_caller]
    pub fn link(&self) -> &str {
        self.text.lines().map(str::trim).find(|line| line.starts_with("http")).unwrap()
    }

    /// The single-use token at the end of the link.
    #[track_caller]
    pub fn token(&self) -> &str {
        let path = self.link().split('?').next().unwrap();
        path.rsplit('/').next().unwrap()
    }

    /// The six-digit code on a line of its own.
    #[track_caller]
    pub fn code(&self) -> &str {
        let is_code = |line: &&str| line.len() == 6 && line.bytes().all(|byte| byte.is_ascii_digit());
        self.text.lines().map(str::trim).find(is_code).unwrap()
    }
}
