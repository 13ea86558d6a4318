//! Signed statements about the audit trail: which entry was its newest at a moment, and behind which entry it begins.
//!
//! The chain alone shows that an entry was changed; whoever writes a whole new chain is not found out by it. A checkpoint
//! names an entry by its hash, which stands for all before it, and is signed with a key that belongs to the store (Ed25519).
//! Kept elsewhere it shows what the trail was, to anybody who has the public key.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use super::text;
use super::time::Timestamp;

/// Length of the secret that a signing key is made of, in bytes.
pub const SEED_BYTES: usize = 32;

/// What stands before the 32 bytes of a key of Ed25519 where it says what it is (RFC 8410).
const KEY_PREFIX: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// What is said of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statement {
    /// It was the newest.
    Checkpoint,
    /// It and all before it were removed for their age: the trail begins behind it.
    Start,
}

impl Statement {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Checkpoint => "checkpoint",
            Self::Start => "start",
        }
    }
}

/// A signed statement about an entry of the trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    pub statement: Statement,
    /// The entry's number.
    pub number: u64,
    #[serde(with = "hex")]
    pub hash: [u8; 32],
    /// When it was signed.
    pub at: Timestamp,
    pub public_key: PublicKey,
    #[serde(with = "base64_text")]
    pub signature: [u8; 64],
}

impl Checkpoint {
    /// Whether it says what was signed.
    #[must_use]
    pub fn is_genuine(&self) -> bool {
        let message = message(self.statement, self.number, &self.hash, self.at);
        UnparsedPublicKey::new(&ED25519, self.public_key.0).verify(message.as_bytes(), &self.signature).is_ok()
    }

    /// Whether whoever holds this key said it.
    #[must_use]
    pub fn is_of(&self, key: PublicKey) -> bool {
        self.public_key == key && self.is_genuine()
    }
}

/// What is signed: text, so that other programs can put it together from the fields.
fn message(statement: Statement, number: u64, hash: &[u8; 32], at: Timestamp) -> String {
    format!("doorward audit {}\n{number}\n{}\n{}\n", statement.as_str(), text::hex(hash), at.to_rfc3339_z())
}

/// A public key of Ed25519. Written as in a PEM file (`SubjectPublicKeyInfo`, base 64).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(pub [u8; 32]);

impl std::fmt::Display for PublicKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&BASE64_STANDARD.encode([KEY_PREFIX, &self.0].concat()))
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}

impl TryFrom<String> for PublicKey {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = BASE64_STANDARD.decode(text).ok();
        let key = bytes.as_ref().and_then(|bytes| bytes.strip_prefix(KEY_PREFIX)?.try_into().ok());
        key.map(Self).ok_or("not a public key of Ed25519")
    }
}

/// The key that signs. Does not print.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// The key of a secret; the same one each time.
    #[must_use]
    pub fn from_seed(seed: &[u8]) -> Option<Self> {
        Ed25519KeyPair::from_seed_unchecked(seed).ok().map(Self)
    }

    /// `None` only if the key were not one of Ed25519, all of which have 32 bytes.
    #[must_use]
    pub fn public_key(&self) -> Option<PublicKey> {
        self.0.public_key().as_ref().try_into().ok().map(PublicKey)
    }

    /// Signs a statement; `None` as [`SigningKey::public_key`].
    #[must_use]
    pub fn sign(&self, statement: Statement, number: u64, hash: [u8; 32], at: Timestamp) -> Option<Checkpoint> {
        let signature = self.0.sign(message(statement, number, &hash, at).as_bytes());
        let signature = signature.as_ref().try_into().ok()?;
        Some(Checkpoint { statement, number, hash, at, public_key: self.public_key()?, signature })
    }
}

mod hex {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::text;

    pub fn serialize<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&text::hex(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let bytes = text::unhex(&String::deserialize(deserializer)?).and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or_else(|| serde::de::Error::custom("not 32 bytes in hex"))
    }
}

mod base64_text {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8; 64], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 64], D::Error> {
        let bytes = BASE64_STANDARD.decode(String::deserialize(deserializer)?).ok();
        bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| serde::de::Error::custom("not 64 bytes in base 64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_micros(1_800_000_000_123_456);

    fn key(byte: u8) -> SigningKey {
        SigningKey::from_seed(&[byte; SEED_BYTES]).unwrap()
    }

    fn checkpoint() -> Checkpoint {
        key(7).sign(Statement::Checkpoint, 42, [3; 32], AT).unwrap()
    }

    /// The first test vector of RFC 8032, §7.1.
    #[test]
    fn keys_are_those_of_ed25519() {
        let seed = text::unhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(text::hex(&SigningKey::from_seed(&seed).unwrap().public_key().unwrap().0), public);
        assert!(SigningKey::from_seed(&seed[1..]).is_none());
    }

    #[test]
    fn what_was_not_signed_is_not_genuine() {
        let good = checkpoint();
        assert!(good.is_genuine() && good.is_of(key(7).public_key().unwrap()));
        assert!(!good.is_of(key(8).public_key().unwrap()));
        for bad in [
            Checkpoint { statement: Statement::Start, ..good.clone() },
            Checkpoint { number: 43, ..good.clone() },
            Checkpoint { hash: [4; 32], ..good.clone() },
            Checkpoint { at: AT.plus_seconds(1), ..good.clone() },
            Checkpoint { public_key: key(8).public_key().unwrap(), ..good.clone() },
            Checkpoint { signature: [0; 64], ..good },
        ] {
            assert!(!bad.is_genuine(), "{bad:?}");
        }
    }

    #[test]
    fn checkpoints_come_back_from_json() {
        let text = serde_json::to_string(&checkpoint()).unwrap();
        assert_eq!(serde_json::from_str::<Checkpoint>(&text).unwrap(), checkpoint());
        assert!(text.contains(r#""public_key":"MCowBQYDK2VwAyEA"#), "{text}");
        for bad in [text.replace("MCow", "MCox"), text.replace("0303", "03"), text.replace("\"signature\":\"", "$0A")] {
            assert!(serde_json::from_str::<Checkpoint>(&bad).is_err(), "{bad}");
        }
    }

    /// Others put it together by themselves.
    #[test]
    fn the_message_is_text() {
        let message = message(Statement::Checkpoint, 42, &[3; 32], AT);
        let hash = "03".repeat(32);
        assert_eq!(message, format!("doorward audit checkpoint\n42\n{hash}\n2027-01-15T08:00:00.123456Z\n"));
    }
}
