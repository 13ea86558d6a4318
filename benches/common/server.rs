//! Servers as processes of their own: the real program, and a bare hyper that answers "hello".
#![allow(dead_code, reason = "each bench uses a part")]

use std::convert::Infallible;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Response, server::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

/// The argument that makes a bench the bare server.
pub const HELLO: &str = "--serve-hello";

/// Ticks of `/proc/<pid>/stat` in a second; the same on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// A server process. Killed when dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

impl Server {
    /// The real program on a folder; its log goes to a file there, at the default level.
    pub fn doorward(folder: &Path) -> Self {
        Self::on(&folder.join("data"), &folder.join("log"))
    }

    /// The same with settings of its own, by their variables without `DOORWARD__`.
    pub fn with(folder: &Path, settings: &[(&str, &str)]) -> Self {
        let log = File::options().create(true).append(true).open(folder.join("log")).unwrap();
        let settings = settings.iter().map(|(name, value)| (format!("DOORWARD__{name}"), value));
        Self::start(doorward(&folder.join("data")).envs(settings).arg("serve").stderr(log))
    }

    /// The real program on a data directory.
    pub fn on(data_dir: &Path, log: &Path) -> Self {
        let log = File::options().create(true).append(true).open(log).unwrap();
        Self::start(doorward(data_dir).arg("serve").stderr(log))
    }

    /// hyper and nothing else.
    pub fn hello() -> Self {
        Self::start(Command::new(std::env::current_exe().unwrap()).arg(HELLO))
    }

    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on http://").expect("the server did not start");
        Self { child, address: address.parse().unwrap() }
    }

    /// Asks it to end, and waits.
    pub fn stop(mut self) {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap();
    }

    /// Memory that is resident now, in MiB.
    pub fn resident_mib(&self) -> f64 {
        resident_mib(self.child.id())
    }

    /// Processor time used so far, in seconds.
    pub fn processor_seconds(&self) -> f64 {
        processor_seconds(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been stopped.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Processor time that a process has used so far, in seconds.
pub fn processor_seconds(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    let ticks: u32 = fields.skip(11).take(2).filter_map(|field| field.parse::<u32>().ok()).sum();
    f64::from(ticks) / TICKS_PER_SECOND
}

/// Memory of a process that is resident now, in MiB.
pub fn resident_mib(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kib: u32 = line.trim().trim_end_matches(" kB").parse().unwrap_or_default();
    f64::from(kib) / 1024.0
}

/// Runs a command of the real program while its server runs.
pub fn operate(folder: &Path, arguments: &[&str], input: &str) -> Value {
    operate_on(&folder.join("data"), arguments, input)
}

/// The same, by the data directory.
pub fn operate_on(data_dir: &Path, arguments: &[&str], input: &str) -> Value {
    let mut command = doorward(data_dir);
    command.arg("--json").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{arguments:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The program that `cargo bench` has built.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_doorward");

fn doorward(data_dir: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .current_dir(data_dir.parent().unwrap_or(data_dir))
        .env("DOORWARD__SERVER__LISTEN", "127.0.0.1:0")
        .env("DOORWARD__SERVER__DATA_DIR", data_dir);
    command
}

/// Serves "hello" for ever.
pub fn serve_hello() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("listening on http://{}", listener.local_addr().unwrap());
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let answer =
                service_fn(|_| async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"hello")))) });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
        }
    });
}
