//! Files that are said to be backups. See [`crate::fuzz`].
#![allow(clippy::missing_panics_doc, clippy::panic, reason = "what must not be ends the program")]

use std::io::Write;

use super::{BackupError, Compression, DeflateEncoder, KIND_BLOCK, KIND_TRAILER, MAGIC, Reader, part_head};
use crate::store::frames;
use crate::store::memory::MemoryStore;

/// How what follows the first byte is made into a file: not at all, or by parts with checksums that fit.
const AS_IT_IS: u8 = b'f';
const PARTS: u8 = b'p';
/// A part that is compressed first, with the checksum of its frame set right.
const COMPRESSED: u8 = b'c';

/// A file, or parts of one: each its kind, its length in two bytes, and its body.
///
/// What is read to its end says how much it is, and is applied without trouble.
pub fn backup(data: &[u8]) {
    let Some((form, rest)) = data.split_first() else { return };
    match *form {
        AS_IT_IS => read(rest),
        PARTS => read(&assembled(rest)),
        _ => {}
    }
}

fn read(bytes: &[u8]) {
    let store = MemoryStore::new();
    let Ok(mut reader) = Reader::open(bytes) else { return };
    let mut count = 0;
    loop {
        match reader.changes() {
            Ok(Some(changes)) => {
                count += changes.len() as u64;
                assert!(store.apply(changes).is_ok());
            }
            Ok(None) => break,
            Err(BackupError::Damaged(at) | BackupError::Torn(at)) => {
                assert!(at <= bytes.len() as u64);
                return;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(reader.trailer().is_some_and(|trailer| trailer.entries + trailer.changes == count));
    assert_eq!(reader.bytes(), bytes.len() as u64);
}

/// Parts behind each other, each with a head that fits.
fn assembled(mut rest: &[u8]) -> Vec<u8> {
    let mut file = MAGIC.to_vec();
    while let Some(([kind, high, low], behind)) = rest.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(behind.len());
        let (body, behind) = behind.split_at(length);
        rest = behind;
        let (kind, body) = match *kind {
            COMPRESSED => (KIND_BLOCK, compressed(&frames::fuzz::signed(body).unwrap_or_default())),
            // Its digest is right as well.
            KIND_TRAILER => (KIND_TRAILER, [body, &digest(&file)].concat()),
            kind => (kind, body.to_vec()),
        };
        let Ok(length) = u32::try_from(body.len()) else { return file };
        file.extend_from_slice(&part_head(kind, length, &body));
        file.extend_from_slice(&body);
    }
    file
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    let written = encoder.write_all(bytes);
    written.and_then(|()| encoder.finish()).unwrap_or_default()
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).into()
}
