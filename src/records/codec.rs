//! The form of a stored record, and the only place that knows how one lies in bincode.
//!
//! A record is: format number (one byte), body (bincode 2, standard configuration), CRC-32 of the key, the format
//! number and the body (four bytes, little endian). The key is part of the checksum, so that a record found under
//! another key is noticed. The body is not self-describing: each format has a struct of its own that never changes
//! again, and golden bytes in the tests. The same struct is how a record looks in an export, as JSON.

pub use bincode::{Decode, Encode};
pub use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::text;
use crate::store::{StoreError, VALUE_BYTES_MAX};

/// A domain type that is stored.
pub trait Record: Sized {
    /// The present format number.
    const FORMAT: u8;

    /// The body in the present format.
    fn encode_body(&self) -> Vec<u8>;

    /// Reads a body of this or an older format; `None` when it is not one.
    fn decode_body(format: u8, body: &[u8]) -> Option<Self>;

    /// The present format as JSON. What is sealed has to have been opened.
    fn to_json(&self) -> serde_json::Result<Value>;

    /// Reads JSON of this or an older format.
    fn from_json(format: u8, json: Value) -> Option<Self>;
}

/// Derives [`Record`] for a type through a struct of its only format so far.
macro_rules! record {
    ($domain:ty, $stored:ty, $format:literal) => {
        impl $crate::records::codec::Record for $domain {
            const FORMAT: u8 = $format;

            fn encode_body(&self) -> Vec<u8> {
                $crate::records::codec::to_body(&<$stored>::from(self))
            }

            fn decode_body(format: u8, body: &[u8]) -> Option<Self> {
                (format == $format)
                    .then(|| $crate::records::codec::from_body::<$stored>(body)?.try_into().ok())
                    .flatten()
            }

            fn to_json(&self) -> serde_json::Result<serde_json::Value> {
                serde_json::to_value(<$stored>::from(self))
            }

            fn from_json(format: u8, json: serde_json::Value) -> Option<Self> {
                (format == $format).then(|| serde_json::from_value::<$stored>(json).ok()?.try_into().ok()).flatten()
            }
        }
    };
}
pub(super) use record;

const CHECKSUM_BYTES: usize = 4;

/// The stored form of a record at its key.
pub fn encode<T: Record>(key: &[u8], record: &T) -> Vec<u8> {
    let mut bytes = vec![T::FORMAT];
    bytes.extend_from_slice(&record.encode_body());
    let checksum = checksum(key, &bytes);
    bytes.extend_from_slice(&checksum);
    bytes
}

/// Reads a record; every deviation is [`StoreError::Corrupt`] with the key's name.
pub fn decode<T: Record>(key: &[u8], bytes: &[u8]) -> Result<T, StoreError> {
    let (format, body) = open(key, bytes, T::FORMAT)?;
    T::decode_body(format, body).ok_or_else(|| corrupt(key, "does not decode"))
}

/// Reads the struct of a record's format, where that is all that is needed.
pub fn decode_stored<T: Decode<()>>(key: &[u8], bytes: &[u8], format: u8) -> Result<T, StoreError> {
    let (found, body) = open(key, bytes, format)?;
    (found == format).then(|| from_body(body)).flatten().ok_or_else(|| corrupt(key, "does not decode"))
}

/// The format and body of a record, after the checks that need no more.
fn open<'a>(key: &[u8], bytes: &'a [u8], newest: u8) -> Result<(u8, &'a [u8]), StoreError> {
    let (content, found) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or_else(|| corrupt(key, "too short"))?;
    if *found != checksum(key, content) {
        return Err(corrupt(key, "checksum does not match"));
    }
    let (&format, body) = content.split_first().ok_or_else(|| corrupt(key, "empty"))?;
    if format > newest {
        return Err(corrupt(key, "written by a newer version of this program"));
    }
    Ok((format, body))
}

/// The error for a record that is not as it should be.
pub fn corrupt(key: &[u8], what: &str) -> StoreError {
    StoreError::Corrupt(format!("record {}: {what}", name(key)))
}

/// Encodes a struct of a format.
pub fn to_body<T: Encode>(value: &T) -> Vec<u8> {
    // Encoding to a vector fails only for types that cannot be encoded at all (an unsized sequence), which none of the
    // formats is; an empty body would not decode.
    bincode::encode_to_vec(value, bincode::config::standard()).unwrap_or_default()
}

/// Decodes a struct of a format; `None` unless the bytes are exactly one.
pub fn from_body<T: Decode<()>>(body: &[u8]) -> Option<T> {
    let config = bincode::config::standard().with_limit::<VALUE_BYTES_MAX>();
    let (value, read) = bincode::decode_from_slice(body, config).ok()?;
    (read == body.len()).then_some(value)
}

/// The content with the checksum that fits it.
#[cfg(any(test, fuzzing))]
pub(super) fn signed(key: &[u8], content: &[u8]) -> Vec<u8> {
    [content, &checksum(key, content)].concat()
}

fn checksum(key: &[u8], content: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(content);
    hasher.finalize().to_le_bytes()
}

/// A key for people: its words, and hex where it is not text.
pub fn name(key: &[u8]) -> String {
    let readable = key.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    let (words, rest) = key.split_at(readable.min(key.len()));
    // Of a damaged key nothing is known; it is shown on terminals.
    let mut name = text::for_display(&String::from_utf8_lossy(words));
    match std::str::from_utf8(rest) {
        Ok(text) if text.chars().all(|c| c.is_ascii_graphic()) => name.push_str(text),
        _ => name.push_str(&text::hex(rest)),
    }
    name
}
