//! Who may use the admin socket beside the server's own user and root: the members of a Unix group, some of whom may look
//! only. Groups are numbers here, so that the system need not know them.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::harness::{Builder, Server};
use crate::snippets::leave_out;

/// A user and a group that no system knows.
const STRANGER: u32 = 12_345;
const GROUP: u32 = 12_346;

/// A folder that everybody may enter, and a server whose socket is for this group in a folder within.
fn builder(group: u32) -> (tempfile::TempDir, PathBuf, Builder) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let dir = folder.path().join("run");
    let builder = Server::builder()
        .mail_file()
        .setting("admin.group", &group.to_string())
        .setting("admin.socket_dir", &dir.display().to_string());
    (folder, dir, builder)
}

/// The command line as run by another user, with this group.
fn run_as(server: &Server, group: u32, arguments: &[&str]) -> std::io::Result<Output> {
    // The folder of the server is closed to others.
    server.command(arguments).uid(STRANGER).gid(group).current_dir("/").env_remove("DOORWARD_TEST_CLOCK").output()
}

#[track_caller]
fn says(output: &Output, code: i32, words: &str) {
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.code() == Some(code) && said.contains(words), "{output:?}");
}

/// Whether programs can be run as another user here. If not, says so.
fn can_be_others(server: &Server) -> bool {
    let tried = run_as(server, GROUP, &["--version"]);
    if let Err(error) = &tried {
        leave_out(&format!("nothing can be run as another user here ({error}); run this as root"));
    }
    tried.is_ok()
}

fn mode_and_group(path: &Path) -> (u32, u32) {
    let metadata = std::fs::metadata(path).unwrap();
    (metadata.mode() & 0o7777, metadata.gid())
}

const DRAFT: [&str; 5] = ["job", "draft", "--kind", "remind", "--query"];

/// A group that whoever runs the tests can give files to: its own.
#[test]
fn the_socket_is_made_for_the_group() {
    let own = rustix::process::getegid().as_raw();
    let (_folder, dir, builder) = builder(own);
    let mut server = builder.start();
    let socket = dir.join("admin.sock");
    assert_eq!(mode_and_group(&dir), (0o750, own));
    assert_eq!(mode_and_group(&socket), (0o660, own));
    assert!(!server.data_dir().join("admin.sock").exists());
    server.user("ada@example.com");
    // Another server keeps off a socket that is in use.
    let (_, _, other) = self::builder(own);
    let other = other.setting("admin.socket_dir", &dir.display().to_string()).stopped();
    let refused = other.cli(&["serve"]).is(1);
    assert!(refused.err.contains("another server answers there"), "{}", refused.err);
    server.cli(&["user", "show", "ada@example.com"]).is(0);
    server.stop();
    assert!(!socket.exists());
    // A folder that is there is good enough, as it is after a restart.
    server.start_again();
    server.cli(&["user", "show", "ada@example.com"]).is(0);
}

#[test]
fn members_of_the_group_act_and_others_stay_out() {
    let (_folder, _, builder) = builder(GROUP);
    let mut server = builder.stopped();
    if !can_be_others(&server) {
        return;
    }
    server.start_again();
    server.user("ada@example.com");
    says(&run_as(&server, GROUP, &["user", "show", "ada@example.com"]).unwrap(), 0, "ada@example.com");
    says(&run_as(&server, GROUP, &[&DRAFT[..], &["2fa:off"]].concat()).unwrap(), 0, "");
    let other = run_as(&server, GROUP + 1, &["user", "show", "ada@example.com"]).unwrap();
    says(&other, 5, "run this as a member of group \"12346\"");
}

#[test]
fn readers_look_and_change_nothing() {
    let (_folder, _, builder) = builder(GROUP);
    let mut server = builder.setting("admin.readers_group", &GROUP.to_string()).stopped();
    if !can_be_others(&server) {
        return;
    }
    server.start_again();
    server.user("ada@example.com");
    says(&run_as(&server, GROUP, &["user", "show", "ada@example.com"]).unwrap(), 0, "ada@example.com");
    says(&run_as(&server, GROUP, &["audit", "list"]).unwrap(), 0, "ada@example.com");
    let draft = run_as(&server, GROUP, &[&DRAFT[..], &["2fa:off"]].concat()).unwrap();
    says(&draft, 4, "your group may look only");
    // The server's own user is no reader.
    server.cli(&[&DRAFT[..], &["2fa:off"]].concat()).is(0);
}

/// Bad groups stop the start; what needs no look at the system, `config check` says too.
#[test]
fn groups_that_will_not_do_are_bad_configuration() {
    let refused = |settings: &[(&str, &str)], command: &[&str], words: &str| {
        let builder = settings.iter().fold(Server::builder(), |builder, (name, value)| builder.setting(name, value));
        let said = builder.stopped().cli(command).is(78);
        assert!(said.err.contains(words), "{}", said.err);
    };
    for command in [&["serve"][..], &["config", "check"]] {
        refused(&[("admin.group", "root")], command, "admin.group is set, which needs a folder for the admin socket");
        let relative = [("admin.group", "root"), ("admin.socket_dir", "run")];
        refused(&relative, command, "it must be an absolute path");
        let inside =
            [("server.data_dir", "/srv/doorward"), ("admin.group", "root"), ("admin.socket_dir", "/srv/doorward/run")];
        refused(&inside, command, "it must be outside of server.data_dir");
        refused(&[("admin.readers_group", "root")], command, "it has no effect without admin.group");
    }
    let unknown = [("admin.group", "no-such-group"), ("admin.socket_dir", "/nonexistent/run")];
    refused(&unknown, &["serve"], "admin.group: there is no group \"no-such-group\" on this system");
}
