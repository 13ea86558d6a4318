//! What earlier versions wrote, this one reads: for each release there is a store as a killed server left it, a backup and an
//! export of it, and what people had then. Every one of them has to open, to be whole, and to let those people in.
//!
//! A release adds its own: `cargo test --test it -- --ignored releases::make_the_sample_of_this_version`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::furnished::Furnished;
use crate::harness::{Authenticator, Client, Person, Server, text};
use crate::writers::all_is_well;

const COOKIES: [&str; 2] = ["sessionid", "posthog_csrftoken"];

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/samples/releases")
}

/// A stopped server as it was a minute after a sample was made, on what `fill` makes of the sample.
fn open(sample: &Path, fill: impl FnOnce(&Server)) -> Furnished {
    let people: Value = serde_json::from_slice(&fs::read(sample.join("people.json")).unwrap()).unwrap();
    let of = |value: &Value| value.as_str().unwrap().to_owned();
    let server = Furnished::builder().stopped();
    server.advance(people["made_at"].as_i64().unwrap() + 60 - server.now());
    fill(&server);
    let client = |cookies: &Value| {
        let client = server.client();
        for name in COOKIES {
            client.set_cookie(name, cookies[name].as_str().unwrap());
        }
        client
    };
    let (session, enrolling) = (client(&people["session"]), client(&people["enrolling"]));
    let dana = &people["dana"];
    let dana = Person {
        email: of(&dana["email"]),
        password: of(&dana["password"]),
        uuid: of(&dana["uuid"]),
        id: dana["id"].as_i64().unwrap(),
    };
    Furnished {
        dana,
        authenticator: Authenticator::of_hex(people["authenticator"].as_str().unwrap()),
        codes: serde_json::from_value(people["codes"].clone()).unwrap(),
        key: server.with_key(people["key"].as_str().unwrap()),
        enrolled: Authenticator::of_hex(people["enrolled"].as_str().unwrap()),
        session,
        enrolling,
        server,
    }
}

fn tar(arguments: &[&str]) {
    assert!(Command::new("tar").args(arguments).status().unwrap().success(), "{arguments:?}");
}

#[test]
fn what_every_release_wrote_is_read() {
    let mut releases: Vec<PathBuf> = fs::read_dir(samples()).unwrap().map(|entry| entry.unwrap().path()).collect();
    releases.sort();
    assert!(!releases.is_empty());
    for sample in releases {
        let file = |name: &str| text(&sample.join(name));
        let from_store = |server: &Server| {
            let folder = text(server.data_dir().parent().unwrap());
            tar(&["-xzf", &file("data.tar.gz"), "-C", &folder]);
        };
        let from_backup = |server: &Server| {
            server.cli(&["restore", &file("doorward.backup")]).is(0);
            fs::copy(sample.join("secret.key"), server.data_dir().join("secret.key")).unwrap();
        };
        let from_export = |server: &Server| drop(server.cli(&["import", &file("export.jsonl")]).is(0));
        for mut furnished in [open(&sample, from_store), open(&sample, from_backup), open(&sample, from_export)] {
            all_is_well(&furnished.server);
            furnished.server.start_again();
            furnished.everybody_gets_in();
            furnished.server.stop();
            all_is_well(&furnished.server);
        }
    }
}

#[test]
#[ignore = "writes into the repository: for a release"]
fn make_the_sample_of_this_version() {
    let mut furnished = Furnished::start();
    let server = &mut furnished.server;
    let sample = samples().join(env!("CARGO_PKG_VERSION"));
    fs::create_dir_all(&sample).unwrap();
    let cookies = |client: &Client| {
        let all = COOKIES.map(|name| (name.to_owned(), json!(client.cookie(name).unwrap())));
        Value::Object(all.into_iter().collect())
    };
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let Person { email, password, uuid, id } = &furnished.dana;
    let people = json!({
        "made_at": server.now(),
        "dana": {"email": email, "password": password, "uuid": uuid, "id": id},
        "authenticator": hex(furnished.authenticator.secret()),
        "codes": furnished.codes,
        "session": cookies(&furnished.session),
        "key": furnished.key.key(),
        "enrolling": cookies(&furnished.enrolling),
        "enrolled": hex(furnished.enrolled.secret()),
    });
    fs::write(sample.join("people.json"), serde_json::to_string_pretty(&people).unwrap() + "\n").unwrap();
    server.kill();
    let folder = text(server.data_dir().parent().unwrap());
    let sockets = ["--exclude=data/admin.sock", "--exclude=data/backups"];
    tar(&["-czf", &text(&sample.join("data.tar.gz")), "-C", &folder, sockets[0], sockets[1], "data"]);
    fs::copy(server.data_dir().join("secret.key"), sample.join("secret.key")).unwrap();
    server.cli(&["backup", &text(&sample.join("doorward.backup"))]).is(0);
    drop(fs::remove_file(sample.join("export.jsonl")));
    server.cli(&["export", &text(&sample.join("export.jsonl")), "--yes"]).is(0);
}
