//! `user import` and `user export`: people of a Django site log in here with their old passwords and authenticators.
//!
//! The sample is made by `scripts/django-dump 8 --real 4`: Django's own hashers, four users at their default costs.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::harness::{Authenticator, CliOutput, Client, Server, wait_for};

const SAMPLE: &str = include_str!("samples/posthog.json");
const SAMPLE_USERS: usize = 8;
/// The one of the sample's users without a second factor.
const PLAIN_USER: usize = 5;

/// A PBKDF2 hash that Django 5.2 made of [`OLD_PASSWORD`], in a thousand rounds.
const OLD_HASH: &str = "pbkdf2_sha256$1000$q7koZUBJVwT0t3zNyHhwvu$fFywlaDNZ5V5vfChAj6agaqwS8oED1Ag2I8GG1lBmX8=";
const OLD_PASSWORD: &str = "correct horse battery staple 7";

fn sample_password(number: usize) -> String {
    format!("lorry-cinnamon-quartz {number}")
}

/// Writes a file into the server's folder.
fn file(server: &Server, name: &str, text: &str) -> String {
    let path: PathBuf = server.data_dir().parent().unwrap().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn lines(objects: &[Value]) -> String {
    objects.iter().map(Value::to_string).collect::<Vec<_>>().join("\n")
}

fn object(model: &str, pk: impl Into<Value>, fields: Value) -> Value {
    json!({"model": model, "pk": pk.into(), "fields": fields})
}

/// A user of `auth.user` with these fields on top of the ordinary ones.
fn user(pk: i64, email: &str, fields: Value) -> Value {
    let mut all = json!({
        "password": OLD_HASH, "last_login": "2024-01-01T10:00:00Z", "is_superuser": false,
        "username": format!("user{pk}"), "first_name": "", "last_name": "", "email": email, "is_staff": false,
        "is_active": true, "date_joined": "2023-05-17T09:31:00.123Z", "groups": [], "user_permissions": [],
    });
    all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    object("auth.user", pk, all)
}

/// A device of django-otp with these fields on top of the ordinary ones.
fn device(pk: i64, user: i64, fields: Value) -> Value {
    let mut all = json!({
        "user": user, "name": "default", "confirmed": true, "throttling_failure_timestamp": null,
        "throttling_failure_count": 0, "created_at": null, "last_used_at": null, "step": 30, "t0": 0, "digits": 6,
        "key": "3132333435363738393031323334353637383930", "tolerance": 1, "drift": 0, "last_t": -1,
    });
    all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    object("otp_totp.totpdevice", pk, all)
}

fn import(server: &Server, path: &str) -> Value {
    server.cli(&["user", "import", "--format", "django", path, "--json"]).json()
}

fn export(server: &Server) -> Vec<Value> {
    let exported = server.cli(&["user", "export", "--format", "django", "--yes", "--json"]).is(0);
    serde_json::from_str(&exported.out).unwrap()
}

fn of_model<'a>(objects: &'a [Value], model: &'a str) -> impl Iterator<Item = &'a Value> {
    objects.iter().filter(move |object| object["model"] == model)
}

#[track_caller]
fn fails(output: CliOutput, code: i32, words: &str) {
    assert_eq!((output.code, output.out.as_str()), (code, ""), "{output:?}");
    assert!(output.err.contains(words), "{output:?}");
}

/// What the sample says of each user: the authenticator's secret, and a backup code.
fn factors_of_sample() -> BTreeMap<usize, (String, String)> {
    let objects: Vec<Value> = serde_json::from_str(SAMPLE).unwrap();
    let mut factors = BTreeMap::new();
    for device in of_model(&objects, "otp_totp.totpdevice") {
        let user = device["fields"]["user"].as_u64().unwrap();
        let token = of_model(&objects, "otp_static.statictoken").find(|token| token["fields"]["device"] == user);
        let code = token.unwrap()["fields"]["token"].as_str().unwrap().to_owned();
        let secret = device["fields"]["key"].as_str().unwrap().to_owned();
        factors.insert(usize::try_from(user).unwrap(), (secret, code));
    }
    factors
}

/// Logs a user of the sample in with the old password and an old code.
fn log_in(server: &Server, number: usize, code: Option<&str>) -> Client {
    let client = server.client();
    let password = sample_password(number);
    server.secret(&password);
    let email = format!("user{number}@example.com");
    let reply = client.post("/api/login", json!({"email": email, "password": password}));
    match code {
        None => drop(reply.is(200)),
        Some(code) => {
            reply.wants_second_factor();
            client.post("/api/login/token", json!({"token": code, "remember": false})).is(200);
        }
    }
    client
}

/// All four hashers of Django, authenticators, backup codes, organizations; while the server runs. Old
/// hashes become ours at the first login (spec §2.5), old codes work once (spec §2.12, §2.13).
#[test]
fn people_of_a_django_site_log_in_as_before() {
    let mut server = Server::start();
    let path = file(&server, "dump.json", SAMPLE);
    let before = server.newest_entry()["number"].clone();
    let dry = server.cli(&["user", "import", "--format", "django", &path, "--dry-run", "--json"]).json();
    assert_eq!(
        (&dry["created"], &dry["dry_run"], server.newest_entry()["number"].clone()),
        (&json!(8), &json!(true), before)
    );

    let report = import(&server, &path);
    for (name, value) in [
        ("users", 8),
        ("created", 8),
        ("present", 0),
        ("conflicts", 0),
        ("refused", 0),
        ("authenticators", 7),
        ("backup_codes", 70),
        ("memberships", 8),
        ("organizations_created", 2),
    ] {
        assert_eq!(report[name], value, "{name} {report}");
    }
    assert_eq!(report["problems"], json!([]));
    let imported = server.cli(&["audit", "list", "--event", "user.imported", "--json"]).json();
    assert_eq!(imported["rows"].as_array().unwrap().len(), SAMPLE_USERS);

    let mut authenticators = BTreeMap::new();
    for (number, (secret, backup)) in factors_of_sample() {
        server.secret(&secret);
        server.secret(&backup);
        let mut authenticator = Authenticator::of_hex(&secret);
        log_in(&server, number, Some(&authenticator.code(&server)));
        let client = log_in(&server, number, Some(&backup));
        assert_eq!(client.get("/api/users/@me/two_factor_status").is(200).json()["backup_codes_remaining"], 9);
        let again = server.client();
        let email = format!("user{number}@example.com");
        again.post("/api/login", json!({"email": email, "password": sample_password(number)})).wants_second_factor();
        again.post("/api/login/token", json!({"token": backup})).is(400);
        authenticators.insert(number, authenticator);
    }
    let me = log_in(&server, PLAIN_USER, None).me();
    assert_eq!(me["date_joined"], "2023-05-17T09:35:00.123000Z");
    assert_eq!(
        (&me["first_name"], &me["last_name"], &me["theme_mode"]),
        (&json!("User"), &json!("Number 5"), &json!("dark"))
    );
    assert_eq!(
        (&me["is_email_verified"], &me["has_password"], &me["is_2fa_enabled"]),
        (&json!(true), &json!(true), &json!(false))
    );
    let theirs: Vec<Value> = serde_json::from_str(SAMPLE).unwrap();
    let theirs = of_model(&theirs, "posthog.user").find(|user| user["pk"] == 5).unwrap();
    assert_eq!((&me["uuid"], &me["distinct_id"]), (&theirs["fields"]["uuid"], &theirs["fields"]["distinct_id"]));

    let objects = export(&server);
    for user in of_model(&objects, "posthog.user") {
        let hash = user["fields"]["password"].as_str().unwrap();
        server.secret(hash);
        assert!(hash.starts_with("argon2$argon2id$v=19$m=64,t=1,p=1$"), "upgraded at login: {hash}");
    }
    // Staff and superusers are staff.
    let staff: Vec<&Value> =
        of_model(&objects, "posthog.user").filter(|user| user["fields"]["is_staff"] == true).collect();
    assert_eq!(staff.len(), 2);

    // Once more, without the server: nothing changes, although the passwords' hashes have.
    server.stop();
    let before = server.newest_entry()["number"].clone();
    let report = import(&server, &path);
    assert_eq!(
        (&report["created"], &report["present"], &report["organizations_present"]),
        (&json!(0), &json!(8), &json!(2))
    );
    assert_eq!((report["problems"].clone(), server.newest_entry()["number"].clone()), (json!([]), before));
    server.start_again();
    for (number, mut authenticator) in authenticators {
        log_in(&server, number, Some(&authenticator.code(&server)));
    }
}

/// Spec §3.5, row 5, §2.2: an account of a site that verified no addresses is an old one. The user gets in, and at each login
/// a mail goes out, whose link works, although the login has brought a new hash and more.
#[test]
fn an_old_account_need_not_verify() {
    let server = Server::with_mail();
    import(&server, &file(&server, "dump.json", &lines(&[user(1, "ada@example.com", json!({}))])));
    let credentials = json!({"email": "ada@example.com", "password": OLD_PASSWORD});
    let log_in = |count: usize| {
        let client = server.client();
        client.post("/api/login", credentials.clone()).is(200);
        let me = client.me();
        assert_eq!(me["is_email_verified"], json!(null));
        let mail = server.wait_for_mails("ada@example.com", "Verify your email address", count).pop().unwrap();
        json!({"uuid": me["uuid"], "token": mail.token()})
    };
    let verify = |body: &Value| server.client().post("/api/users/verify_email", body.clone());
    let first = log_in(1);
    let second = log_in(2);
    verify(&first).is(400);
    verify(&second).is(200);
    let client = server.client();
    client.post("/api/login", credentials.clone()).is(200);
    assert_eq!(client.me()["is_email_verified"], true);
    assert_eq!(server.count_mails("ada@example.com", "Verify", "w@example.com"), 2);
}

/// What is left out is said, with its line; what cannot be honoured is not guessed. Without a server.
#[test]
fn the_report_names_what_is_left_out() {
    let mut server = Server::builder().stopped();
    server.cli(&["user", "create", "--email", "taken@example.com"]).is(0);
    let natural = object("otp_totp.totpdevice", 9, json!({"user": ["user1"], "confirmed": true}));
    let dump = lines(&[
        object("contenttypes.contenttype", 1, json!({})),
        user(1, "Ada@Example.com", json!({"first_name": "https://evil.example", "is_superuser": true})),
        user(2, "taken@example.com", json!({})),
        user(3, "ada@example.com", json!({})),
        user(4, "no address", json!({})),
        user(5, "", json!({"username": "eve@example.com", "password": "md5$salt$0123456789abcdef0123456789abcdef"})),
        user(6, "fay@example.com", json!({"password": "!never"})),
        user(
            7,
            "gil@example.com",
            json!({"password": "argon2$argon2id$v=19$m=4194304,t=2,p=8$amE4RnpaTFJRVVBpbGlvdDRTa1RiNw$uQV3B5VFfg8HrPvieZrWQPop0O0k/qcxQmAq1VLGv1M"}),
        ),
        user(8, "hal@example.com", json!({"date_joined": "yesterday"})),
        user(9, "ida@example.com", json!({"is_active": false})),
        device(1, 1, json!({"digits": 8})),
        device(2, 5, json!({"step": 60, "name": "old"})),
        device(3, 5, json!({})),
        device(4, 5, json!({"key": "00112233445566778899aabbccddeeff00112233", "name": "phone"})),
        device(5, 6, json!({"confirmed": false})),
        device(6, 7, json!({"key": "not hexadecimal"})),
        device(7, 99, json!({})),
        natural,
        object("otp_static.staticdevice", 1, json!({"user": 5, "name": "backup", "confirmed": true})),
        object("otp_static.statictoken", 1, json!({"device": 1, "token": "abcd2345"})),
        object("otp_static.statictoken", 2, json!({"device": 1, "token": "short"})),
        object("otp_static.staticdevice", 2, json!({"user": 6, "name": "backup", "confirmed": true})),
        object("otp_static.statictoken", 3, json!({"device": 2, "token": "efgh2345"})),
        object("otp_static.statictoken", 4, json!({"token": "efgh2345"})),
    ]);
    let path = file(&server, "dump.jsonl", &dump);
    let report = import(&server, &path);
    let problems: Vec<String> = report["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| {
            let text = |name: &str| problem[name].as_str().unwrap().to_owned();
            format!("{} {}: {}", problem["line"], text("object"), text("problem"))
        })
        .collect();
    let expected = [
        "18 otp_totp.totpdevice 9: `user` is a natural key: make the dump without --natural-foreign",
        "24 otp_static.statictoken 4: has no `device`",
        "0 : 1 second factor of users who are not in the file",
        "2 auth.user 1: otp_totp.totpdevice 1 is left out: `digits` is 8, and only 6 is supported",
        "2 auth.user 1: has to enrol a new authenticator at the next login",
        "4 auth.user 3: has the e-mail address of auth.user 1",
        "6 auth.user 5: otp_totp.totpdevice 2 is left out: `step` is 60, and only 30 is supported",
        "6 auth.user 5: otp_totp.totpdevice 4 is left out: a user has one authenticator",
        "6 auth.user 5: 1 of the backup codes left out: not 8 characters of base 32, or more than 50",
        "7 auth.user 6: backup codes are left out: there is no authenticator beside them",
        "7 auth.user 6: has to enrol a new authenticator at the next login",
        "8 auth.user 7: otp_totp.totpdevice 6 is left out: its `key` is not hexadecimal",
        "8 auth.user 7: has to enrol a new authenticator at the next login",
        "9 auth.user 8: `date_joined` is not a date and time",
        "2 auth.user 1: `first_name` is left out: URLs are not allowed in this field.",
        "3 auth.user 2: another account has this e-mail address",
        "5 auth.user 4: the e-mail address is not a valid one",
        "6 auth.user 5: comes without a password: a password hash of a kind that is not supported",
        "8 auth.user 7: comes without a password: a password hash that is damaged or asks for more work than is allowed",
    ];
    assert_eq!(problems, expected);
    for (name, value) in [("users", 9), ("created", 5), ("conflicts", 2), ("refused", 2), ("must_enrol", 3)] {
        assert_eq!(report[name], value, "{name} {report}");
    }
    assert_eq!(report["not_read"], json!({"contenttypes.contenttype": 1}));

    let show = |email: &str| server.cli(&["user", "show", email, "--json"]).json();
    let ada = show("ada@example.com");
    assert_eq!(
        (&ada["row"]["state"], &ada["row"]["is_staff"], &ada["has_password"]),
        (&json!("enrol"), &json!(true), &json!(true))
    );
    assert_eq!((&ada["row"]["name"], &ada["row"]["is_email_verified"]), (&json!(""), &Value::Null));
    let eve = show("eve@example.com");
    assert_eq!(
        (&eve["row"]["state"], &eve["row"]["backup_codes"], &eve["has_password"]),
        (&json!("on"), &json!(1), &json!(false))
    );
    assert_eq!(show("ida@example.com")["row"]["is_active"], false);

    // The gate of spec §4.8: the old password alone opens nothing but a new enrolment.
    server.start_again();
    let client = server.client();
    client.post("/api/login", json!({"email": "ada@example.com", "password": OLD_PASSWORD})).is(200);
    assert_eq!(client.get("/api/personal_api_keys").is(403).json()["code"], "two_factor_setup_required");
    client.enrol(&server);
    client.get("/api/personal_api_keys").is(200);
    server.client().post("/api/login", json!({"email": "ida@example.com", "password": OLD_PASSWORD})).is(400);
}

/// Damaged files change nothing, and the error names the line.
#[test]
fn damaged_files_are_refused_whole() {
    let server = Server::start();
    let good = user(1, "ada@example.com", json!({})).to_string();
    let secret_text = "\"not-to-be-repeated";
    for (text, words) in [
        (format!("[{good},\n"), "line 2: the file ends within the list"),
        (format!("[\n{good},\n{{\"model\": \"auth.user\""), "line 3: the file ends within this object"),
        (format!("{good}\n{{\"model\": {secret_text}}}\n"), "line 2: the file ends within this object"),
        (format!("{good}\n{{\"model\": nonsense}}\n"), "line 2: not valid JSON"),
        (format!("{good}\n\n{{\"pk\": 1, \"fields\": {{}}}}\n"), "line 3: has no `model`"),
        (format!("{good}\nid,email\n"), "line 2: an object is expected here"),
        (format!("{good}\n{}\n", object("posthog.user", 1, json!({}))), "line 2: there are users of two models"),
        ("\u{1}\u{2}".to_owned(), "line 1: an object is expected here"),
    ] {
        let path = file(&server, "dump.json", &text);
        let output = server.cli(&["user", "import", &path]);
        assert!(!output.err.contains("not-to-be"), "{output:?}");
        fails(output, 1, words);
    }
    fails(server.cli(&["user", "import", "nowhere.json"]), 1, "cannot read nowhere.json");
    fails(server.cli(&["user", "import", "."]), 1, "cannot read .");
    assert_eq!(server.cli(&["user", "list", "--json"]).json()["total"], 0);
    // Nothing in it is nothing to do; a model of the project's own has to be named.
    let path = file(&server, "dump.json", &good.replace("auth.user", "accounts.person"));
    assert_eq!(import(&server, &path)["not_read"], json!({"accounts.person": 1}));
    let report = server.cli(&["user", "import", &path, "--user-model", "accounts.Person", "--json"]).json();
    assert_eq!(report["created"], 1);
}

/// An import that was killed goes on, and everybody is there once.
#[test]
fn an_interrupted_import_goes_on() {
    const USERS: i64 = 400;
    let server = Server::start();
    let users: Vec<Value> = (1..=USERS).map(|n| user(n, &format!("user{n}@example.com"), json!({}))).collect();
    let path = file(&server, "dump.jsonl", &lines(&users));
    let mut command = server.command(&["user", "import", &path]);
    let mut first = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let total = || server.cli(&["user", "list", "--limit", "1", "--json"]).json()["total"].as_i64().unwrap();
    wait_for("the first users", || (total() > 0).then_some(()));
    first.kill().unwrap();
    first.wait().unwrap();
    let report = import(&server, &path);
    assert_eq!(report["created"].as_i64().unwrap() + report["present"].as_i64().unwrap(), USERS, "{report}");
    assert_eq!((&report["conflicts"], total()), (&json!(0), USERS));
    let numbers: Vec<i64> =
        of_model(&export(&server), "posthog.user").map(|user| user["pk"].as_i64().unwrap()).collect();
    assert_eq!(numbers, (1..=USERS).collect::<Vec<_>>());
}

/// A file that names one place of a user twice does not make two of it.
#[test]
fn a_place_that_is_there_twice_counts_once() {
    const ENGINES: &str = "c8c49e23-4269-48ab-b87f-286c1172f028";
    let server = Server::start();
    let place = |pk: &str, day: &str| {
        let fields = json!({"organization": ENGINES, "user": 1, "level": 15, "joined_at": day, "updated_at": day});
        object("posthog.organizationmembership", pk, fields)
    };
    let dump = [
        user(1, "ada@example.com", json!({"is_email_verified": true})),
        object("posthog.organization", ENGINES, json!({"name": "Engines", "slug": "engines"})),
        place("0d0f7020-58a8-43b4-8683-d96d20e84c4b", "2023-05-17T09:37:00.123Z"),
        place("3cbd06dc-edcc-493e-a670-98944957c34a", "2023-05-18T09:37:00.123Z"),
    ];
    let report = import(&server, &file(&server, "dump.jsonl", &lines(&dump)));
    assert_eq!(report["created"], 1, "{report}");
    assert!(report["problems"].to_string().contains("twice"), "{report}");
    assert_eq!(of_model(&export(&server), "posthog.organizationmembership").count(), 1);
    let client = server.client();
    client.post("/api/login", json!({"email": "ada@example.com", "password": OLD_PASSWORD})).is(200);
    assert_eq!(client.get("/api/organizations/@current/members").is(200).json()["count"], 1);
}

/// What one server exports, another imports, and both export the same.
#[test]
fn an_export_makes_the_same_users_elsewhere() {
    let server = Server::start();
    import(&server, &file(&server, "dump.json", SAMPLE));
    let (person, client) = server.logged_in("grace@example.com");
    let mut authenticator = client.enrol(&server);
    let codes = client.new_backup_codes();
    client.patch("/api/users/@me", json!({"theme_mode": "light", "role_at_organization": "founder"})).is(200);

    let path = server.data_dir().parent().unwrap().join("users.json");
    let path = path.to_str().unwrap();
    fails(server.cli(&["user", "export", path]), 2, "add --yes");
    assert!(!std::fs::exists(path).unwrap());
    let answer = server.cli(&["user", "export", path, "--yes", "--json"]).json();
    assert_eq!(answer, json!({"users": SAMPLE_USERS + 1, "file": path}));
    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    fails(server.cli(&["user", "export", path, "--yes"]), 1, "cannot write");
    let trail = server.cli(&["audit", "list", "--event", "user.exported", "--json"]).json();
    assert_eq!(trail["rows"].as_array().unwrap().len(), 1, "one for each page that was read");
    let exported = std::fs::read_to_string(path).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Value>>(&exported).unwrap(), export(&server));

    let other = Server::start();
    let report = import(&other, path);
    assert_eq!((&report["created"], &report["problems"]), (&json!(9), &json!([])), "{report}");
    assert_eq!(export(&other), serde_json::from_str::<Vec<Value>>(&exported).unwrap());
    other.advance(server.now() - other.now());
    let client = other.client();
    client.login(&person).wants_second_factor();
    client.post("/api/login/token", json!({"token": authenticator.last_code()})).is(400);
    client.post("/api/login/token", json!({"token": codes[0]})).is(200);
    let client = other.client();
    client.login(&person).wants_second_factor();
    client.post("/api/login/token", json!({"token": authenticator.code(&other)})).is(200);
    assert_eq!(client.me()["role_at_organization"], "founder");
}
