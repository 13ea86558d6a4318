//! Groups of changes as bytes in a file: what the journal's segments and the blocks of a backup are made of.
//!
//! A frame is a header of [`HEADER_BYTES`] (length of the payload, CRC-32 of everything else in the frame, the versions
//! before and after the group; all little endian) and the payload, the changes in bincode. Knows nothing of files.

#[cfg(any(test, fuzzing))]
pub(super) mod fuzz;

use bincode::{BorrowDecode, Encode};

use super::{Change, Version};

/// Length, checksum, and the versions before and after.
pub(super) const HEADER_BYTES: usize = 4 + 4 + 8 + 8;
/// Largest payload that is believed: a group holds 4 MiB of batches and one more batch, and what its writes add.
pub(super) const PAYLOAD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The changes between two versions of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The version before the first of the changes.
    pub from: Version,
    /// The version after the last.
    pub to: Version,
    pub changes: Vec<Change>,
}

/// Why bytes are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// They end before the frame does.
    Short,
    /// The checksum or the form is wrong.
    Damaged,
}

#[derive(Encode, BorrowDecode)]
struct Packed<'a> {
    key: &'a [u8],
    version: u64,
    value: Option<&'a [u8]>,
}

/// Adds a frame to `bytes`.
pub fn encode(from: Version, to: Version, changes: &[Change], bytes: &mut Vec<u8>) -> Result<(), String> {
    let start = bytes.len();
    bytes.resize(start + HEADER_BYTES, 0);
    let config = bincode::config::standard();
    bincode::encode_into_std_write(changes.len() as u64, bytes, config).map_err(|error| error.to_string())?;
    for Change { key, value, version } in changes {
        let packed = Packed { key, version: version.0, value: value.as_deref() };
        bincode::encode_into_std_write(packed, bytes, config).map_err(|error| error.to_string())?;
    }
    let (_, frame) = bytes.split_at_mut(start);
    let length = u32::try_from(frame.len() - HEADER_BYTES).map_err(|_| "the group is too large".to_owned())?;
    let Some((header, payload)) = frame.split_first_chunk_mut::<HEADER_BYTES>() else { return Ok(()) };
    let header_now = Header { length, sum: 0, from, to };
    let sum = header_now.checksum(payload);
    *header = Header { sum, ..header_now }.bytes();
    Ok(())
}

/// The frame that `bytes` begins with, and how long it is.
pub fn decode(bytes: &[u8]) -> Result<(Frame, usize), Broken> {
    let (header, rest) = Header::read(bytes).ok_or(Broken::Short)?;
    let length = usize::try_from(header.length).unwrap_or(usize::MAX);
    if length > PAYLOAD_BYTES_MAX {
        return Err(Broken::Damaged);
    }
    let payload = rest.get(..length).ok_or(Broken::Short)?;
    if header.sum != header.checksum(payload) || header.to < header.from {
        return Err(Broken::Damaged);
    }
    let changes = changes(payload).ok_or(Broken::Damaged)?;
    Ok((Frame { from: header.from, to: header.to, changes }, HEADER_BYTES + length))
}

/// The first whole frame that follows `version`, wherever it begins in `bytes`, and where it ends.
pub fn find_after(bytes: &[u8], version: Version) -> Option<(Frame, usize)> {
    (0..bytes.len().saturating_sub(HEADER_BYTES)).find_map(|at| {
        let rest = bytes.get(at..)?;
        // Cheap before dear: almost no place passes the first test.
        let (header, _) = Header::read(rest)?;
        let is_plausible = header.from >= version && header.to >= header.from;
        let (frame, read) = is_plausible.then(|| decode(rest).ok()).flatten()?;
        Some((frame, at + read))
    })
}

fn changes(payload: &[u8]) -> Option<Vec<Change>> {
    let config = bincode::config::standard().with_limit::<PAYLOAD_BYTES_MAX>();
    let (count, mut at) = bincode::decode_from_slice::<u64, _>(payload, config).ok()?;
    let mut changes = Vec::new();
    for _ in 0..count {
        let (packed, read) = bincode::borrow_decode_from_slice::<Packed<'_>, _>(payload.get(at..)?, config).ok()?;
        at += read;
        changes.push(Change {
            key: packed.key.to_vec(),
            value: packed.value.map(<[u8]>::to_vec),
            version: Version(packed.version),
        });
    }
    (at == payload.len()).then_some(changes)
}

struct Header {
    length: u32,
    sum: u32,
    from: Version,
    to: Version,
}

impl Header {
    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (sum, rest) = rest.split_first_chunk::<4>()?;
        let (from, rest) = rest.split_first_chunk::<8>()?;
        let (to, rest) = rest.split_first_chunk::<8>()?;
        let header = Self {
            length: u32::from_le_bytes(*length),
            sum: u32::from_le_bytes(*sum),
            from: Version(u64::from_le_bytes(*from)),
            to: Version(u64::from_le_bytes(*to)),
        };
        Some((header, rest))
    }

    fn bytes(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let parts = [
            &self.length.to_le_bytes()[..],
            &self.sum.to_le_bytes(),
            &self.from.0.to_le_bytes(),
            &self.to.0.to_le_bytes(),
        ];
        for (to, from) in bytes.iter_mut().zip(parts.concat()) {
            *to = from;
        }
        bytes
    }

    fn checksum(&self, payload: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.length.to_le_bytes());
        hasher.update(&self.from.0.to_le_bytes());
        hasher.update(&self.to.0.to_le_bytes());
        hasher.update(payload);
        hasher.finalize()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn change(key: &str, value: Option<&str>, version: u64) -> Change {
        Change { key: key.into(), value: value.map(Into::into), version: Version(version) }
    }

    fn frame(from: u64, changes: &[Change]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let to = Version(from + changes.len() as u64);
        encode(Version(from), to, changes, &mut bytes).unwrap();
        bytes
    }

    proptest! {
        #[test]
        fn what_is_encoded_comes_back(
            from in 0..u64::MAX / 2,
            changes in prop::collection::vec(
                (prop::collection::vec(any::<u8>(), 0..40), prop::option::of(prop::collection::vec(any::<u8>(), 0..300)), any::<u64>()),
                0..20,
            ),
            behind in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let changes: Vec<Change> = changes
                .into_iter()
                .map(|(key, value, version)| Change { key, value, version: Version(version) })
                .collect();
            let mut bytes = frame(from, &changes);
            let length = bytes.len();
            bytes.extend(behind);
            let (found, read) = decode(&bytes).unwrap();
            prop_assert_eq!(read, length);
            prop_assert_eq!(found, Frame { from: Version(from), to: Version(from + changes.len() as u64), changes });
        }

        #[test]
        fn foreign_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(decode(&bytes).is_err());
        }
    }

    #[test]
    fn every_change_of_a_byte_and_every_cut_is_noticed() {
        let bytes = frame(7, &[change("user/1", Some("value"), 8), change("email/a", None, 8)]);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                assert!(decode(&damaged).is_err(), "bit {bit} of byte {at}");
            }
            assert_eq!(decode(&bytes[..at]), Err(Broken::Short));
        }
    }

    #[test]
    fn a_frame_behind_damage_is_found() {
        let first = frame(7, &[change("a", Some("1"), 8)]);
        let second = frame(8, &[change("b", Some("2"), 9)]);
        let both = [first.clone(), second].concat();
        let (found, end) = find_after(&both[3..], Version(8)).unwrap();
        assert_eq!((found.from, found.to, end), (Version(8), Version(9), both.len() - 3));
        assert_eq!(find_after(&both[first.len() + 1..], Version(8)), None);
        assert_eq!(find_after(&both[3..], Version(9)), None);
        assert_eq!(find_after(&[0; 100], Version(1)), None);
    }
}
