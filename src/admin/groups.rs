//! The Unix groups that may come in through the admin socket, and what each may do (`[admin] group`, `readers_group`).

use std::ffi::CString;
use std::fs::{DirBuilder, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::Path;

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

use crate::app::permission::Rights;
use crate::config::{Admin, ConfigError};

const DIR_MODE: u32 = 0o750;
const SOCKET_MODE: u32 = 0o660;
/// In a folder where these may write they could put another socket in the place of ours.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// The groups of the configuration, by number.
#[derive(Clone, Copy, Debug)]
pub struct Groups {
    /// Who may come in at all.
    group: Gid,
    /// Who of them may look only.
    readers: Option<Gid>,
}

impl Groups {
    /// The groups that the configuration names, each by name or number; `None` where it names none. Blocks while the
    /// system looks them up.
    pub fn from_config(admin: &Admin) -> Result<Option<Self>, ConfigError> {
        let group = find("admin.group", &admin.group)?;
        let readers = find("admin.readers_group", &admin.readers_group)?;
        Ok(group.map(|group| Self { group, readers }))
    }

    /// What a caller may do, by the groups of its user and the one its process runs with: nothing if it is in none.
    /// Blocks while the system looks the user's groups up.
    pub(super) fn rights(self, uid: u32, gid: u32) -> Option<Rights> {
        let groups = groups_of(Uid::from_raw(uid), Gid::from_raw(gid));
        if self.readers.is_some_and(|readers| groups.contains(&readers)) {
            return Some(Rights::Reader);
        }
        groups.contains(&self.group).then_some(Rights::Operator)
    }

    /// Makes the socket's folder, for the group to enter, if it is not there. One that is there stays as it is, and must
    /// not let others write.
    pub(super) fn make_dir(self, dir: &Path) -> io::Result<()> {
        match DirBuilder::new().mode(DIR_MODE).create(dir) {
            Ok(()) => self.give(dir, DIR_MODE),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => check_dir(dir, &std::fs::metadata(dir)?),
            Err(error) => Err(said(&error, &format!("cannot make {}", dir.display()))),
        }
    }

    /// Lets the group use the socket.
    pub(super) fn give_socket(self, socket: &Path) -> io::Result<()> {
        self.give(socket, SOCKET_MODE)
    }

    fn give(self, path: &Path, mode: u32) -> io::Result<()> {
        chown(path, None, Some(self.group.as_raw())).map_err(|error| {
            let what = format!("cannot give {} to group {}", path.display(), self.group);
            said(&error, &format!("{what}, of which the server's user must be a member (admin.group)"))
        })?;
        // Said again for a folder too: the mode it was made with passed through the umask.
        std::fs::set_permissions(path, Permissions::from_mode(mode))
    }
}

/// A group by name or number; `None` for no text.
fn find(setting: &str, text: &str) -> Result<Option<Gid>, ConfigError> {
    if text.is_empty() {
        return Ok(None);
    }
    match Group::from_name(text) {
        Ok(Some(group)) => Ok(Some(group.gid)),
        Ok(None) => match text.parse() {
            Ok(number) => Ok(Some(Gid::from_raw(number))),
            Err(_) => Err(ConfigError::in_use(format!("{setting}: there is no group {text:?} on this system"))),
        },
        Err(error) => Err(ConfigError::in_use(format!("{setting}: cannot look up group {text:?}: {error}"))),
    }
}

/// The group that a process runs with and those that its user is a member of. Where the system does not know the user,
/// or cannot say, the first is all there is.
fn groups_of(uid: Uid, gid: Gid) -> Vec<Gid> {
    let mut groups = vec![gid];
    let listed = User::from_uid(uid).and_then(|user| {
        let Some(user) = user else { return Ok(Vec::new()) };
        let name = CString::new(user.name).map_err(|_| nix::errno::Errno::EINVAL)?;
        getgrouplist(&name, user.gid)
    });
    match listed {
        Ok(listed) => groups.extend(listed),
        Err(error) => tracing::warn!(%uid, %error, "admin socket: cannot look up the groups of a caller"),
    }
    groups
}

fn check_dir(dir: &Path, metadata: &Metadata) -> io::Result<()> {
    if !metadata.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotADirectory, format!("{} is no folder", dir.display())));
    }
    if metadata.mode() & WRITABLE_BY_OTHERS == 0 {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!(
            "others may write in {} (admin.socket_dir) and could put their own socket there: name a folder of its own",
            dir.display()
        ),
    ))
}

fn said(error: &io::Error, what: &str) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A user that no system knows.
    const STRANGER: u32 = 3_999_999_999;

    fn groups(group: u32, readers: Option<u32>) -> Groups {
        Groups { group: Gid::from_raw(group), readers: readers.map(Gid::from_raw) }
    }

    #[test]
    fn readers_look_members_act_and_others_stay_out() {
        assert_eq!(groups(70_001, None).rights(STRANGER, 70_001), Some(Rights::Operator));
        assert_eq!(groups(70_001, Some(70_002)).rights(STRANGER, 70_001), Some(Rights::Operator));
        assert_eq!(groups(70_001, Some(70_002)).rights(STRANGER, 70_002), Some(Rights::Reader));
        assert_eq!(groups(70_001, Some(70_001)).rights(STRANGER, 70_001), Some(Rights::Reader));
        assert_eq!(groups(70_001, Some(70_002)).rights(STRANGER, 70_003), None);
    }

    #[test]
    fn a_user_is_in_the_groups_that_the_system_names() {
        let Ok(Some(root)) = User::from_uid(Uid::from_raw(0)) else { return };
        assert_eq!(groups(root.gid.as_raw(), None).rights(0, 70_003), Some(Rights::Operator));
        assert_eq!(groups(70_001, Some(root.gid.as_raw())).rights(0, 70_001), Some(Rights::Reader));
    }

    #[test]
    fn groups_have_names_or_numbers() {
        assert_eq!(find("admin.group", "").unwrap(), None);
        assert_eq!(find("admin.group", "70001").unwrap(), Some(Gid::from_raw(70_001)));
        assert_eq!(find("admin.group", "root").unwrap(), Some(Gid::from_raw(0)));
        let unknown = find("admin.readers_group", "no-such-group").unwrap_err().to_string();
        assert_eq!(unknown, "admin.readers_group: there is no group \"no-such-group\" on this system");
    }

    #[test]
    fn a_folder_where_others_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o1777)).unwrap();
        let refused = groups(70_001, None).make_dir(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("others may write in"), "{refused}");
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        groups(70_001, None).make_dir(folder.path()).unwrap();
    }
}
