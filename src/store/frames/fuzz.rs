//! Bytes of a journal. See [`crate::fuzz`].
#![allow(clippy::missing_panics_doc, clippy::panic, reason = "what must not be ends the program")]

use super::{HEADER_BYTES, Header, decode, encode, find_after};
use crate::store::Version;

/// Some bytes, and the same with the length and checksum that they should have.
///
/// What is read as a frame is written as one that is read as the same; a frame is found wherever it begins.
pub fn frames(data: &[u8]) {
    check(data);
    if let Some(signed) = signed(data) {
        check(&signed);
        let behind = [&[7; 3], &signed[..]].concat();
        if let Ok((frame, _)) = decode(&signed) {
            let found = find_after(&behind, frame.from);
            assert!(found.is_some_and(|(found, _)| found.from >= frame.from));
        }
    }
}

fn check(bytes: &[u8]) {
    if let Ok((frame, read)) = decode(bytes) {
        assert!(read <= bytes.len());
        let mut again = Vec::new();
        assert_eq!(encode(frame.from, frame.to, &frame.changes, &mut again), Ok(()));
        assert_eq!(decode(&again), Ok((frame, again.len())));
    }
    if let Some((frame, end)) = find_after(bytes, Version(1)) {
        assert!(frame.from >= Version(1) && end <= bytes.len());
    }
}

/// The header again, as it fits the payload.
pub(in crate::store) fn signed(bytes: &[u8]) -> Option<Vec<u8>> {
    let (header, _) = Header::read(bytes)?;
    let payload = bytes.get(HEADER_BYTES..)?;
    let header = Header { length: u32::try_from(payload.len()).ok()?, ..header };
    let header = Header { sum: header.checksum(payload), ..header };
    Some([&header.bytes()[..], payload].concat())
}
