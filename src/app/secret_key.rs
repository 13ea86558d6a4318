//! The file with the secret key: made on the first start, read, and changed when the key is.
//!
//! One key a line, the newest first: 64 hexadecimal digits; what stands behind them is for people. A store names the key
//! that it is sealed with, and with no other one anything is sealed or opened. Older keys stay in the file for backups
//! that were made before. The file is replaced whole, and durable before anything is sealed with a new key.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::instance::OpenError;
use super::random;
use crate::config::Config;
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::domain::vault::{KEY_BYTES, Vault};

/// The keys of the file, and which file it is.
pub(super) struct KeyFile {
    path: PathBuf,
    keys: Vec<Key>,
}

struct Key {
    key: Zeroizing<[u8; KEY_BYTES]>,
    /// What stands behind it.
    note: String,
}

impl KeyFile {
    /// Reads the file; `None` when it is not there. Blocks.
    pub fn read(config: &Config) -> Result<Option<Self>, OpenError> {
        let path = path(config);
        let shown = path.display();
        let text = match fs::read_to_string(&path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(OpenError::Io(format!("cannot read the secret key {shown}: {error}"))),
        };
        let keys: Option<Vec<Key>> = text.lines().filter(|line| !line.trim().is_empty()).map(Key::parse).collect();
        let keys = keys.filter(|keys| !keys.is_empty()).ok_or_else(|| {
            OpenError::SecretKey(format!("{shown} does not hold a secret key (64 hexadecimal digits a line)"))
        })?;
        Ok(Some(Self { path, keys }))
    }

    /// Reads the file, or makes it for a store that has never seen one. Blocks.
    pub fn read_or_make(config: &Config, may_make: bool) -> Result<Self, OpenError> {
        if let Some(file) = Self::read(config)? {
            return Ok(file);
        }
        let path = path(config);
        if !may_make {
            return Err(OpenError::SecretKey(format!(
                "{} is missing, and without it the second factors in this store cannot be read; put it back",
                path.display()
            )));
        }
        let mut file = Self { path, keys: Vec::new() };
        file.add_key(None)?;
        Ok(file)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The key that new stores are sealed with.
    pub fn newest(&self) -> Result<Vault, OpenError> {
        let key = self.keys.first().ok_or_else(|| OpenError::SecretKey("there is no secret key".to_owned()))?;
        Ok(Vault::new(&key.key))
    }

    /// The key of this id.
    pub fn named(&self, id: &[u8]) -> Option<Vault> {
        self.keys.iter().map(|key| Vault::new(&key.key)).find(|vault| vault.key_id() == id)
    }

    /// The ids of the keys, the newest first.
    pub fn ids(&self) -> Vec<String> {
        self.keys.iter().map(|key| text::hex(&Vault::new(&key.key).key_id())).collect()
    }

    /// Puts a new key before the others, of which the first was in use `until` now. Durable when it returns. Blocks.
    pub fn add_key(&mut self, until: Option<Timestamp>) -> Result<(), OpenError> {
        let key = random::bytes::<KEY_BYTES>().map_err(|error| OpenError::Io(error.to_string()))?;
        if let (Some(before), Some(until)) = (self.keys.first_mut(), until) {
            before.note = format!("until {}", Timestamp::from_seconds(until.as_seconds()).to_rfc3339_z());
        }
        self.keys.insert(0, Key { key: Zeroizing::new(key), note: String::new() });
        self.write()
    }

    /// Forgets all keys but the newest. Durable when it returns. Blocks.
    pub fn drop_older(&mut self) -> Result<(), OpenError> {
        self.keys.truncate(1);
        self.write()
    }

    fn write(&self) -> Result<(), OpenError> {
        replace(&self.path, &self.keys)
            .map_err(|error| OpenError::Io(format!("cannot write the secret key {}: {error}", self.path.display())))
    }
}

/// Writes the file whole and makes it durable. A link leads to it still.
fn replace(path: &Path, keys: &[Key]) -> io::Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let draft = PathBuf::from(format!("{}.new", path.display()));
    let mut out = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    out.set_permissions(fs::Permissions::from_mode(0o600))?;
    for Key { key, note } in keys {
        let digits = Zeroizing::new(text::hex(key.as_slice()));
        let space = if note.is_empty() { "" } else { " " };
        writeln!(out, "{}{space}{note}", *digits)?;
    }
    out.sync_all()?;
    fs::rename(&draft, &path)?;
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => fs::File::open(parent)?.sync_all(),
        None => fs::File::open(".")?.sync_all(),
    }
}

impl Key {
    fn parse(line: &str) -> Option<Self> {
        let (digits, note) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
        let bytes = Zeroizing::new(text::unhex(digits)?);
        let key = Zeroizing::new(bytes.as_slice().try_into().ok()?);
        Some(Self { key, note: note.trim().to_owned() })
    }
}

/// Where the secret key lies.
pub(super) fn path(config: &Config) -> PathBuf {
    if config.server.secret_key_file.as_os_str().is_empty() {
        config.server.data_dir.join("secret.key")
    } else {
        config.server.secret_key_file.clone()
    }
}

/// What to tell the operator where others than its owner may read the secret key, or write it.
#[must_use]
pub fn open_key_warning(config: &Config) -> Option<String> {
    let file = path(config);
    let mode = fs::metadata(&file).ok()?.permissions().mode() & 0o777;
    let shown = file.display();
    (mode & 0o077 != 0).then(|| {
        format!("the secret key {shown} is open to others than its owner (mode {mode:03o}): chmod 600 {shown}")
    })
}
