//! Backup files: everything in a store at one version, in a form that notices each changed, missing or added byte.
//!
//! A file is a line that says what it is, a header, blocks and a trailer. Blocks hold frames, compressed: first a scan of
//! the whole store, page by page, while it is written to; then all changes from the version at which the scan began up to
//! the one at which it ended, in order. Loading both in this order gives the store at that last version, whichever
//! state each page was read in. Every part has a CRC-32, and the trailer the numbers of both and the SHA-256 of all
//! before it. Values are as they lie in the store: secrets stay sealed, and the secret key is not in the file.

#[cfg(any(test, fuzzing))]
pub(super) mod fuzz;

use std::io::{self, Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::frames::{self, Frame, PAYLOAD_BYTES_MAX};
use super::journal::StoreId;
use super::{Batch, Change, Commit, Cursor, Order, PAGE_ENTRIES_MAX, Receipt, Store, StoreError, Version};

const MAGIC: &[u8] = b"doorward backup, format 1\n";
/// Largest part of a file that is believed.
const PART_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + 1024;
/// Changes that share a block.
const CHANGES_PER_BLOCK: usize = 1_000;

/// What stands at the head of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The store that it was made from.
    pub store: StoreId,
    /// When, in microseconds since 1970.
    pub made_at: i64,
    /// The version of the program that made it.
    pub program: String,
    /// The version of the store when the backup was begun.
    pub begun: u64,
}

/// What stands at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trailer {
    /// The version of the store that the backup is of.
    pub version: u64,
    /// Entries of the scan.
    pub entries: u64,
    /// Changes that came meanwhile.
    pub changes: u64,
}

/// Trouble with a backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("it is not a backup of Doorward, or of a later version")]
    NotABackup,
    #[error("it is damaged {0} bytes from its beginning")]
    Damaged(u64),
    #[error("it ends before it should, after {0} bytes")]
    Torn(u64),
    #[error("nobody takes it any more")]
    Gone,
    /// More was written while it was made than the store keeps.
    #[error("too much was written meanwhile; try again")]
    FellBehind,
}

type Result<T> = std::result::Result<T, BackupError>;

const KIND_HEADER: u8 = 1;
const KIND_BLOCK: u8 = 2;
const KIND_TRAILER: u8 = 3;

/// Writes a backup of a store that may be written to meanwhile, piece by piece into `out`. `mark` is committed behind the
/// scan: the backup is of the version before it.
pub async fn write(store: &dyn Store, header: &Header, mark: Batch, out: mpsc::Sender<Bytes>) -> Result<Trailer> {
    let mut writer = Writer { out, hash: Sha256::new() };
    writer.send(MAGIC.to_vec()).await?;
    writer.part(KIND_HEADER, &to_json(header)?).await?;
    let begun = Version(header.begun);
    let mut trailer = Trailer { version: 0, entries: 0, changes: 0 };
    let mut after: Option<Cursor> = None;
    loop {
        let page = store.scan(b"", after.as_ref(), PAGE_ENTRIES_MAX, Order::Ascending).await?;
        let changes: Vec<Change> = page
            .entries
            .into_iter()
            .map(|entry| Change { key: entry.key, value: Some(entry.value), version: entry.version })
            .collect();
        trailer.entries += changes.len() as u64;
        writer.block(begun, changes).await?;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let Commit::Done(Receipt { version: marked, .. }) = store.commit(mark).await? else {
        return Err(BackupError::FellBehind);
    };
    let version = Version(marked.0 - 1);
    let mut changes = Vec::new();
    let mut watch = store.watch(b"", begun);
    // The mark is the sign that all before it has come.
    loop {
        let change = match watch.next().await {
            Some(Ok(change)) => change,
            Some(Err(StoreError::Lagged)) | None => return Err(BackupError::FellBehind),
            Some(Err(error)) => return Err(error.into()),
        };
        if change.version >= marked {
            break;
        }
        changes.push(change);
        trailer.changes += 1;
        if changes.len() >= CHANGES_PER_BLOCK {
            writer.block(version, std::mem::take(&mut changes)).await?;
        }
    }
    drop(watch);
    writer.block(version, changes).await?;
    trailer.version = version.0;
    let digest = writer.hash.clone().finalize();
    writer.part(KIND_TRAILER, &[to_json(&trailer)?, digest.to_vec()].concat()).await?;
    Ok(trailer)
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    Ok(serde_json::to_vec(value).map_err(io::Error::from)?)
}

struct Writer {
    out: mpsc::Sender<Bytes>,
    hash: Sha256,
}

impl Writer {
    async fn block(&mut self, to: Version, changes: Vec<Change>) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let compressed = tokio::task::spawn_blocking(move || {
            let mut frame = Vec::new();
            frames::encode(to, to, &changes, &mut frame).map_err(io::Error::other)?;
            let mut encoder = DeflateEncoder::new(Vec::with_capacity(frame.len() / 2), Compression::fast());
            encoder.write_all(&frame)?;
            encoder.finish()
        });
        let compressed = compressed.await.map_err(io::Error::other)??;
        self.part(KIND_BLOCK, &compressed).await
    }

    async fn part(&mut self, kind: u8, body: &[u8]) -> Result<()> {
        let length = u32::try_from(body.len()).map_err(io::Error::other)?;
        self.send([&part_head(kind, length, body)[..], body].concat()).await
    }

    async fn send(&mut self, bytes: Vec<u8>) -> Result<()> {
        self.hash.update(&bytes);
        self.out.send(bytes.into()).await.map_err(|_| BackupError::Gone)
    }
}

const PART_HEAD_BYTES: usize = 1 + 4 + 4;

/// Kind, length and checksum.
fn part_head(kind: u8, length: u32, body: &[u8]) -> [u8; PART_HEAD_BYTES] {
    let length = length.to_le_bytes();
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[kind]);
    hasher.update(&length);
    hasher.update(body);
    let mut head = [kind; PART_HEAD_BYTES];
    let rest = length.into_iter().chain(hasher.finalize().to_le_bytes());
    for (to, from) in head.iter_mut().skip(1).zip(rest) {
        *to = from;
    }
    head
}

/// Reads a backup from its beginning to its end. What it hands out is checked piece by piece; that nothing is missing is
/// known only when [`Reader::changes`] has said `None`.
pub struct Reader<R> {
    input: Hashing<R>,
    header: Header,
    trailer: Option<Trailer>,
    counted: Trailer,
}

impl<R: Read> Reader<R> {
    pub fn open(input: R) -> Result<Self> {
        let mut input = Hashing { inner: input, hash: Sha256::new(), bytes: 0 };
        let mut magic = [0; MAGIC.len()];
        if read_up_to(&mut input, &mut magic)? < magic.len() || magic != MAGIC {
            return Err(BackupError::NotABackup);
        }
        let (kind, body) = part(&mut input)?;
        let header = serde_json::from_slice(&body).ok().filter(|_| kind == KIND_HEADER);
        let header = header.ok_or(BackupError::Damaged(input.bytes))?;
        Ok(Self { input, header, trailer: None, counted: Trailer { version: 0, entries: 0, changes: 0 } })
    }

    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// What the end says, once it is reached.
    pub const fn trailer(&self) -> Option<&Trailer> {
        self.trailer.as_ref()
    }

    /// Bytes read so far.
    pub const fn bytes(&self) -> u64 {
        self.input.bytes
    }

    /// The next changes to take over; `None` at an end that is as it should be.
    pub fn changes(&mut self) -> Result<Option<Vec<Change>>> {
        if self.trailer.is_some() {
            return Ok(None);
        }
        let hash = self.input.hash.clone();
        let (kind, body) = part(&mut self.input)?;
        let damaged = BackupError::Damaged(self.input.bytes);
        match kind {
            KIND_BLOCK => {
                let frame = inflate(&body).ok_or(damaged)?;
                let count = frame.changes.len() as u64;
                // The scan comes first, and knows the version at which it began only.
                if frame.to.0 == self.header.begun && self.counted.changes == 0 {
                    self.counted.entries += count;
                } else {
                    self.counted.changes += count;
                }
                Ok(Some(frame.changes))
            }
            KIND_TRAILER => {
                let trailer = body.split_last_chunk::<32>().filter(|(_, digest)| digest[..] == hash.finalize()[..]);
                let trailer = trailer.and_then(|(json, _)| serde_json::from_slice::<Trailer>(json).ok());
                let trailer = trailer.ok_or(damaged)?;
                let counted = Trailer { version: trailer.version, ..self.counted.clone() };
                if trailer != counted || read_up_to(&mut self.input, &mut [0])? > 0 {
                    return Err(BackupError::Damaged(self.input.bytes));
                }
                self.trailer = Some(trailer);
                Ok(None)
            }
            _ => Err(damaged),
        }
    }
}

fn inflate(body: &[u8]) -> Option<Frame> {
    let mut bytes = Vec::new();
    DeflateDecoder::new(body).take(PART_BYTES_MAX as u64).read_to_end(&mut bytes).ok()?;
    let (frame, read) = frames::decode(&bytes).ok()?;
    (read == bytes.len()).then_some(frame)
}

fn part<R: Read>(input: &mut Hashing<R>) -> Result<(u8, Vec<u8>)> {
    let start = input.bytes;
    let mut head = [0; PART_HEAD_BYTES];
    if read_up_to(input, &mut head)? < head.len() {
        return Err(BackupError::Torn(start));
    }
    let [kind, length @ .., _, _, _, _] = head;
    let length = u32::from_le_bytes(length);
    let bytes = usize::try_from(length).ok().filter(|bytes| *bytes <= PART_BYTES_MAX);
    let bytes = bytes.ok_or(BackupError::Damaged(start))?;
    let mut body = Vec::new();
    if input.take(bytes as u64).read_to_end(&mut body)? < bytes {
        return Err(BackupError::Torn(start));
    }
    if part_head(kind, length, &body) != head {
        return Err(BackupError::Damaged(start));
    }
    Ok((kind, body))
}

fn read_up_to(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while let Some(rest) = buffer.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match input.read(rest) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// Counts and hashes what passes.
struct Hashing<T> {
    inner: T,
    hash: Sha256,
    bytes: u64,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(buffer.get(..read).unwrap_or_default());
        self.bytes += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::memory::MemoryStore;
    use super::*;

    const MARK: &[u8] = b"mark";

    fn header(store: &dyn Store) -> Header {
        Header { store: store.id(), made_at: 7, program: "0.0.0".into(), begun: store.version().0 }
    }

    /// Takes a backup while `meanwhile` runs after the first piece.
    async fn taken(store: &dyn Store, meanwhile: impl Future<Output = ()>) -> Vec<u8> {
        let (out, mut pieces) = mpsc::channel(1);
        let header = header(store);
        let writing = write(store, &header, Batch::default().put(MARK, ""), out);
        let reading = async {
            let mut bytes = pieces.recv().await.unwrap().to_vec();
            meanwhile.await;
            while let Some(piece) = pieces.recv().await {
                bytes.extend(piece);
            }
            bytes
        };
        let (written, bytes) = tokio::join!(writing, reading);
        written.unwrap();
        bytes
    }

    fn read(bytes: &[u8]) -> Result<(MemoryStore, Trailer)> {
        let mut reader = Reader::open(bytes)?;
        let store = MemoryStore::new();
        while let Some(changes) = reader.changes()? {
            store.apply(changes)?;
        }
        Ok((store, reader.trailer().cloned().unwrap()))
    }

    async fn everything(store: &dyn Store) -> Vec<super::super::Entry> {
        let page = store.scan(b"", None, 1_000, Order::Ascending).await.unwrap();
        assert_eq!(page.next, None);
        page.entries.into_iter().filter(|entry| entry.key != MARK).collect()
    }

    async fn put(store: &dyn Store, key: &str, value: &str) {
        let done = store.commit(Batch::default().put(key, value).add("count", 1)).await.unwrap();
        assert!(matches!(done, Commit::Done(_)));
    }

    #[tokio::test]
    async fn holds_what_was_written_while_it_was_made() {
        let store = MemoryStore::new();
        for number in 0..20 {
            put(&store, &format!("k{number}"), "before").await;
        }
        let bytes = taken(&store, async {
            put(&store, "k3", "meanwhile").await;
            put(&store, "k99", "new").await;
            let deleted = store.commit(Batch::default().delete("k4").add("count", 1)).await.unwrap();
            assert!(matches!(deleted, Commit::Done(_)));
        })
        .await;
        let (restored, trailer) = read(&bytes).unwrap();
        assert_eq!(everything(&restored).await, everything(&store).await);
        assert_eq!(restored.get(b"count").await.unwrap().unwrap().value, 23_i64.to_le_bytes());
        assert_eq!(trailer.version, store.version().0 - 1);
    }

    #[tokio::test]
    async fn of_nothing_is_a_backup_too() {
        let store = MemoryStore::new();
        let bytes = taken(&store, async {}).await;
        let (restored, trailer) = read(&bytes).unwrap();
        assert!(everything(&restored).await.is_empty());
        assert_eq!(trailer, Trailer { version: 0, entries: 0, changes: 0 });
    }

    #[tokio::test]
    async fn every_change_and_every_cut_is_noticed() {
        let store = MemoryStore::new();
        for number in 0..5 {
            put(&store, &format!("k{number}"), "value").await;
        }
        let bytes = taken(&store, put(&store, "k3", "meanwhile")).await;
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                assert!(read(&damaged).is_err(), "bit {bit} of byte {at}");
            }
            assert!(read(&bytes[..at]).is_err(), "cut at {at}");
        }
        assert!(read(&[&bytes[..], b"more"].concat()).is_err());
    }

    proptest! {
        #[test]
        fn foreign_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(read(&bytes).is_err());
            prop_assert!(read(&[MAGIC, &bytes].concat()).is_err());
        }
    }
}
