//! product.md §3, spec §4.10: mails wait in the store until a mail server takes them.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use mail_parser::MessageParser;
use serde_json::json;

use crate::harness::{Builder, Server};

const REQUEST: &str = "/api/users/request_email_verification";
const SUBJECT: &str = "Verify your email address";

/// A mail server that refuses everything for now until it is told to take mails.
struct MailServer {
    port: u16,
    takes: Arc<AtomicBool>,
    received: mpsc::Receiver<String>,
}

impl MailServer {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let takes = Arc::new(AtomicBool::new(false));
        let (messages, received) = mpsc::channel();
        let is_taking = Arc::clone(&takes);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // A client may go whenever it likes.
                drop(take_mail(&stream.unwrap(), &is_taking, &messages));
            }
        });
        Self { port, takes, received }
    }

    fn builder(&self) -> Builder {
        Server::builder()
            .setting("email.transport", "smtp")
            .setting("email.smtp.host", "127.0.0.1")
            .setting("email.smtp.port", &self.port.to_string())
            .setting("email.smtp.tls", "none")
    }

    fn take_mails(&self) {
        self.takes.store(true, Ordering::SeqCst);
    }

    /// The next message, whole.
    fn wait(&self) -> String {
        self.received.recv_timeout(Duration::from_mins(1)).unwrap()
    }
}

fn take_mail(stream: &TcpStream, takes: &AtomicBool, messages: &mpsc::Sender<String>) -> std::io::Result<()> {
    let mut out = stream;
    let mut message: Option<String> = None;
    write!(out, "220 ready\r\n")?;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        match &mut message {
            Some(text) if line == "." => {
                let _ = messages.send(std::mem::take(text));
                message = None;
                write!(out, "250 taken\r\n")?;
            }
            Some(text) => text.extend([&line, "\r\n"]),
            None if line == "DATA" => {
                message = Some(String::new());
                write!(out, "354 go on\r\n")?;
            }
            None if line.starts_with("RCPT") && !takes.load(Ordering::SeqCst) => write!(out, "451 later\r\n")?,
            None => write!(out, "250 fine\r\n")?,
        }
    }
    Ok(())
}

/// product.md §3: an outbox with retry; the log says nothing about people.
#[test]
fn a_mail_that_was_refused_for_now_is_sent_again() {
    let mails = MailServer::start();
    let server = mails.builder().start();
    let person = server.person("ada@example.com", &[]);
    server.client().post(REQUEST, json!({"uuid": person.uuid})).is_body(200, r#"{"success":true}"#);
    server.wait_for_log("451");
    mails.take_mails();
    server.advance(11);
    let message = mails.wait();
    let mail = MessageParser::default().parse(message.as_bytes()).unwrap();
    assert_eq!(mail.subject(), Some(SUBJECT));
    assert!(mail.body_text(0).unwrap().contains(&person.uuid));
    assert!(!server.log().contains("ada@example.com"), "{}", server.log());
}

/// product.md §3: while no mail server takes mails everything else works, and what waits survives a kill.
#[test]
fn an_outbox_that_waits_survives_a_restart() {
    let mails = MailServer::start();
    let mut server = mails.builder().start();
    let person = server.person("ada@example.com", &[]);
    server.client().post(REQUEST, json!({"uuid": person.uuid})).is(200);
    server.wait_for_log("451");
    server.client().get("/_readyz").is(200);
    server.logged_in("bob@example.com").1.get("/api/users/@me").is(200);
    server.kill();
    server.start_again();
    mails.take_mails();
    server.advance(3_600);
    let message = mails.wait();
    let mail = MessageParser::default().parse(message.as_bytes()).unwrap();
    let text = mail.body_text(0).unwrap();
    let link = text.lines().map(str::trim).find(|line| line.starts_with("http")).unwrap();
    let token = link.rsplit('/').next().unwrap();
    server.secret(token);
    server.client().post("/api/users/verify_email", json!({"uuid": person.uuid, "token": token})).is(200);
    server.wait_for_log("mail delivered");
    server.stop();
    assert!(mails.received.try_recv().is_err(), "one mail, once");
}
