//! The journal: every group of commits, in files that only grow at their end, durable before anything is acknowledged.
//!
//! It makes up for what sled lacks. The store may be behind it after a crash and takes the rest from it when it opens;
//! when the store cannot be opened at all, a backup and the journal rebuild it.
//!
//! The directory holds segments, named for the version before their first group. A segment is a header (what it is, the
//! id of the store, a checksum) and frames. Each group is one write and one `fdatasync`, so a crash leaves at most one torn
//! frame, at the end of the last segment; anything else that is not a frame is damage, and is never passed over. Where the
//! journal is missing a part (its files were taken away), it begins anew at the version of the store: the groups before
//! and behind such a gap cannot be joined without a backup that lies between.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::frames::{self, Broken, Frame};
use super::{Change, Version};

/// Bytes after which a segment takes no further group. A segment is read as a whole.
const SEGMENT_BYTES_MAX: u64 = 16 * 1024 * 1024;
const EXTENSION: &str = ".journal";
const MAGIC: &[u8; 27] = b"doorward journal, format 1\n";
const ID_BYTES: usize = 16;
const HEADER_BYTES: usize = MAGIC.len() + ID_BYTES + 4;

/// Says which store a journal or a backup belongs to.
pub type StoreId = [u8; ID_BYTES];

/// Trouble with the journal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    #[error("cannot use the journal in {}: {reason}", directory.display())]
    Io { directory: PathBuf, reason: String },
    #[error("the journal is damaged in {} at byte {at}", file.display())]
    Damaged { file: PathBuf, at: usize },
    #[error("the journal has nothing between version {} and version {}", after.0, next.0)]
    Gap { after: Version, next: Version },
    #[error("{} belongs to another store", file.display())]
    Foreign { file: PathBuf },
}

/// The end of a journal, where groups are appended.
#[derive(Debug)]
pub(super) struct Journal {
    directory: PathBuf,
    id: StoreId,
    /// The segment that grows; none in a journal that has none yet.
    file: Option<File>,
    segment_bytes: u64,
    version: Version,
    /// Kept between groups for its room.
    bytes: Vec<u8>,
}

impl Journal {
    /// Opens the journal of a store, cutting off what a crash left unfinished. Reads the last segment.
    pub fn open(directory: &Path, id: StoreId) -> Result<Self, JournalError> {
        let failed = failed(directory);
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(&failed)?;
        let mut journal = Self {
            directory: directory.into(),
            id,
            file: None,
            segment_bytes: 0,
            version: Version::default(),
            bytes: Vec::new(),
        };
        let mut segments = segments(directory)?;
        while let Some(segment) = segments.pop() {
            let bytes = fs::read(&segment.path).map_err(&failed)?;
            let Some(frames) = segment.open(&bytes, Some(id))? else {
                // Its creation did not finish, so nothing in it was acknowledged.
                fs::remove_file(&segment.path).map_err(&failed)?;
                continue;
            };
            let (version, end) = last_good(&segment, frames)?;
            let file = OpenOptions::new().append(true).open(&segment.path).map_err(&failed)?;
            if end < bytes.len() {
                tracing::info!(file = %segment.path.display(), bytes = bytes.len() - end, "cut off what a crash left unfinished");
                file.set_len(end as u64).map_err(&failed)?;
            }
            // A kill may have left the last group to the system to write, and what is taken over from it is not to be ahead.
            file.sync_all().map_err(&failed)?;
            (journal.file, journal.segment_bytes, journal.version) = (Some(file), end as u64, version);
            break;
        }
        Ok(journal)
    }

    pub const fn id(&self) -> StoreId {
        self.id
    }

    /// The version that it leads to.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Goes on at the version of the store, of which it has nothing before.
    pub fn begin(&mut self, version: Version) -> io::Result<()> {
        let path = self.directory.join(segment_name(version));
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)?;
        file.write_all(&header(&self.id))?;
        file.sync_all()?;
        File::open(&self.directory)?.sync_all()?;
        (self.file, self.segment_bytes, self.version) = (Some(file), HEADER_BYTES as u64, version);
        Ok(())
    }

    /// Makes a group durable. After an error nobody knows what is on the disk.
    pub fn append(&mut self, to: Version, changes: &[Change]) -> io::Result<()> {
        if self.file.is_none() || self.segment_bytes >= SEGMENT_BYTES_MAX {
            self.begin(self.version)?;
        }
        self.bytes.clear();
        frames::encode(self.version, to, changes, &mut self.bytes).map_err(io::Error::other)?;
        if let Some(file) = &mut self.file {
            file.write_all(&self.bytes)?;
            file.sync_data()?;
        }
        self.segment_bytes += self.bytes.len() as u64;
        self.version = to;
        Ok(())
    }
}

#[cfg(test)]
impl Journal {
    /// Makes every later append fail: the kernel has no `fdatasync` for `/dev/null`.
    pub fn fail(&mut self) {
        self.file = OpenOptions::new().write(true).open("/dev/null").ok();
    }
}

/// What a store at `version` has to take over from a journal whose last segment is damaged: every whole group in it behind
/// that version, where they follow on each other. Otherwise what is missing may have been acknowledged: `None`.
pub(super) fn salvage(directory: &Path, version: Version) -> Result<Option<Vec<Frame>>, JournalError> {
    let Some(last) = segments(directory)?.pop() else { return Ok(None) };
    let bytes = fs::read(&last.path).map_err(failed(directory))?;
    let (mut found, mut at, mut reached) = (Vec::new(), 0, version);
    while let Some((frame, end)) = frames::find_after(bytes.get(at..).unwrap_or_default(), version) {
        if frame.from != reached {
            return Ok(None);
        }
        (reached, at) = (frame.to, at + end);
        found.push(frame);
    }
    Ok(Some(found))
}

/// Removes the segments whose groups all lie at or before a version: what a verified backup covers. The last segment
/// stays. Says how many bytes went.
pub fn remove_covered(directory: &Path, version: Version) -> Result<u64, JournalError> {
    let failed = failed(directory);
    let segments = segments(directory)?;
    let mut removed = 0;
    for (segment, next) in segments.iter().zip(segments.iter().skip(1)) {
        if next.from > version {
            break;
        }
        removed += fs::metadata(&segment.path).map_err(&failed)?.len();
        fs::remove_file(&segment.path).map_err(&failed)?;
    }
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(&failed)?;
    Ok(removed)
}

/// The id of the store whose journal lies here, as the first segment says that can be read; `None` when there is none.
pub fn store_id(directory: &Path) -> Result<Option<StoreId>, JournalError> {
    let mut damage = None;
    for segment in segments(directory)? {
        let bytes = fs::read(&segment.path).map_err(failed(directory))?;
        match segment.id(&bytes) {
            Ok(Some(id)) => return Ok(Some(id)),
            Ok(None) => {}
            Err(error) => damage = damage.or(Some(error)),
        }
    }
    damage.map_or(Ok(None), Err)
}

/// The versions at which the journal begins anew or for the first time, and the last to which it leads.
pub fn extent(directory: &Path) -> Result<(Vec<Version>, Version), JournalError> {
    let mut beginnings = Vec::new();
    let mut last = None;
    for segment in segments(directory)? {
        if last != Some(segment.from) {
            beginnings.push(segment.from);
        }
        let bytes = fs::read(&segment.path).map_err(failed(directory))?;
        let Some(frames) = segment.open(&bytes, None)? else { continue };
        last = Some(last_good(&segment, frames)?.0);
    }
    Ok((beginnings, last.unwrap_or_default()))
}

/// The groups behind a version, in order and without a gap. Ends behind the last whole group, or with what is wrong.
pub fn frames_after(directory: &Path, id: Option<StoreId>, version: Version) -> Result<Frames, JournalError> {
    let mut segments = segments(directory)?;
    // The one that holds the version and those behind it.
    let first = segments.partition_point(|segment| segment.from <= version).saturating_sub(1);
    segments.drain(..first);
    segments.reverse();
    Ok(Frames { directory: directory.into(), id, version, segments, bytes: Vec::new(), at: 0, open: None })
}

/// See [`frames_after`].
pub struct Frames {
    directory: PathBuf,
    id: Option<StoreId>,
    version: Version,
    /// Those still to be read, the next one last.
    segments: Vec<Segment>,
    bytes: Vec<u8>,
    at: usize,
    open: Option<Segment>,
}

impl Frames {
    /// Opens the next segment; false when there is none.
    fn turn(&mut self) -> Result<bool, JournalError> {
        self.open = None;
        let Some(segment) = self.segments.pop() else { return Ok(false) };
        if segment.from > self.version {
            return Err(JournalError::Gap { after: self.version, next: segment.from });
        }
        self.bytes = fs::read(&segment.path).map_err(failed(&self.directory))?;
        let Some(frames) = segment.open(&self.bytes, self.id)? else { return self.turn() };
        self.at = frames.at;
        self.open = Some(segment);
        Ok(true)
    }

    fn advance(&mut self) -> Result<Option<Frame>, JournalError> {
        loop {
            let Some(segment) = &self.open else {
                if self.turn()? {
                    continue;
                }
                return Ok(None);
            };
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            if rest.is_empty() {
                self.open = None;
                continue;
            }
            match frames::decode(rest) {
                Ok((frame, read)) => {
                    self.at += read;
                    if frame.to <= self.version && frame.from < frame.to {
                        continue;
                    }
                    if frame.from > self.version {
                        return Err(JournalError::Gap { after: self.version, next: frame.from });
                    }
                    self.version = frame.to;
                    return Ok(Some(frame));
                }
                // Torn, or just being written.
                Err(_) if self.segments.is_empty() && !is_damage(rest, self.version) => return Ok(None),
                Err(_) => return Err(JournalError::Damaged { file: segment.path.clone(), at: self.at }),
            }
        }
    }
}

impl Iterator for Frames {
    type Item = Result<Frame, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance().transpose();
        if !matches!(next, Some(Ok(_))) {
            (self.open, self.segments) = (None, Vec::new());
        }
        next
    }
}

struct Segment {
    path: PathBuf,
    /// The version before its first group.
    from: Version,
}

/// Where the frames of a segment lie.
#[derive(Clone, Copy)]
struct Body<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Segment {
    /// The store that the header names; `None` when the header was never finished.
    fn id(&self, bytes: &[u8]) -> Result<Option<StoreId>, JournalError> {
        let Some((found, _)) = bytes.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let id = found.get(MAGIC.len()..).and_then(<[u8]>::first_chunk::<ID_BYTES>).copied().unwrap_or_default();
        if header(&id) == *found {
            return Ok(Some(id));
        }
        // A file whose blocks never reached the disk.
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        Err(JournalError::Damaged { file: self.path.clone(), at: 0 })
    }

    /// Checks the header.
    fn open<'a>(&self, bytes: &'a [u8], wanted: Option<StoreId>) -> Result<Option<Body<'a>>, JournalError> {
        match (self.id(bytes)?, wanted) {
            (None, _) => Ok(None),
            (Some(id), Some(wanted)) if id != wanted => Err(JournalError::Foreign { file: self.path.clone() }),
            (Some(_), _) => Ok(Some(Body { bytes, at: HEADER_BYTES })),
        }
    }
}

/// The version behind the last whole frame, and where that ends; an error when more than a torn frame follows.
fn last_good(segment: &Segment, frames: Body<'_>) -> Result<(Version, usize), JournalError> {
    let (mut version, mut at) = (segment.from, frames.at);
    loop {
        let rest = frames.bytes.get(at..).unwrap_or_default();
        match frames::decode(rest) {
            Ok((frame, read)) => (version, at) = (frame.to, at + read),
            Err(Broken::Short | Broken::Damaged) if is_damage(rest, version) => {
                return Err(JournalError::Damaged { file: segment.path.clone(), at });
            }
            Err(_) => return Ok((version, at)),
        }
    }
}

/// Whether bytes that do not begin with a frame are more than the torn end of a journal.
fn is_damage(rest: &[u8], version: Version) -> bool {
    frames::find_after(rest.get(1..).unwrap_or_default(), version).is_some()
}

/// The segments there are, oldest first.
fn segments(directory: &Path) -> Result<Vec<Segment>, JournalError> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed(directory))?,
    };
    let mut segments = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed(directory))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(Ok(version)) = name.strip_suffix(EXTENSION).map(str::parse) {
            segments.push(Segment { path, from: Version(version) });
        }
    }
    segments.sort_by_key(|segment| segment.from);
    Ok(segments)
}

fn segment_name(version: Version) -> String {
    format!("{:020}{EXTENSION}", version.0)
}

fn header(id: &StoreId) -> [u8; HEADER_BYTES] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(MAGIC);
    hasher.update(id);
    let mut header = [0; HEADER_BYTES];
    let parts = [&MAGIC[..], id, &hasher.finalize().to_le_bytes()].concat();
    for (to, from) in header.iter_mut().zip(parts) {
        *to = from;
    }
    header
}

fn failed(directory: &Path) -> impl Fn(io::Error) -> JournalError {
    let directory = directory.to_path_buf();
    move |error| JournalError::Io { directory: directory.clone(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: StoreId = [7; ID_BYTES];

    fn change(version: u64) -> Change {
        Change { key: format!("k{version}").into(), value: Some(vec![b'v'; 100]), version: Version(version) }
    }

    /// A journal with groups of one commit each, up to a version.
    fn filled(directory: &Path, from: u64, to: u64) -> Journal {
        let mut journal = Journal::open(directory, ID).unwrap();
        for version in from + 1..=to {
            journal.append(Version(version), &[change(version)]).unwrap();
        }
        journal
    }

    fn versions(directory: &Path, after: u64) -> Vec<Result<u64, JournalError>> {
        let frames = frames_after(directory, Some(ID), Version(after)).unwrap();
        frames.map(|frame| frame.map(|frame| frame.to.0)).collect()
    }

    fn only_file(directory: &Path) -> PathBuf {
        let segments = segments(directory).unwrap();
        assert_eq!(segments.len(), 1);
        segments.into_iter().next().unwrap().path
    }

    #[test]
    fn goes_on_where_it_ended() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Journal::open(directory.path(), ID).unwrap().version(), Version(0));
        drop(filled(directory.path(), 0, 3));
        drop(filled(directory.path(), 3, 5));
        assert_eq!(Journal::open(directory.path(), ID).unwrap().version(), Version(5));
        assert_eq!(versions(directory.path(), 0), [1, 2, 3, 4, 5].map(Ok));
        assert_eq!(versions(directory.path(), 3), [4, 5].map(Ok));
        assert_eq!(versions(directory.path(), 5), []);
        assert_eq!(store_id(directory.path()), Ok(Some(ID)));
    }

    /// Every prefix of the file is a journal with the groups that are whole in it; and what is appended then is there.
    #[test]
    fn a_torn_end_is_cut_off() {
        let original = tempfile::tempdir().unwrap();
        drop(filled(original.path(), 0, 3));
        let file = only_file(original.path());
        let bytes = fs::read(&file).unwrap();
        let frame = (bytes.len() - HEADER_BYTES) / 3;
        for cut in 0..bytes.len() {
            let directory = tempfile::tempdir().unwrap();
            fs::write(directory.path().join(file.file_name().unwrap()), &bytes[..cut]).unwrap();
            let whole = cut.saturating_sub(HEADER_BYTES) / frame;
            assert_eq!(versions(directory.path(), 0), (1..=whole as u64).map(Ok).collect::<Vec<_>>(), "{cut}");
            let mut journal = Journal::open(directory.path(), ID).unwrap();
            assert_eq!(journal.version(), Version(whole as u64), "{cut}");
            journal.append(Version(9), &[change(9)]).unwrap();
            assert_eq!(versions(directory.path(), whole as u64), [Ok(9)]);
        }
    }

    /// One flipped bit costs at most the last group (which a torn write cannot be told from) and never goes unnoticed
    /// before it.
    #[test]
    fn damage_is_not_taken_for_a_torn_end() {
        let directory = tempfile::tempdir().unwrap();
        drop(filled(directory.path(), 0, 3));
        let file = only_file(directory.path());
        let bytes = fs::read(&file).unwrap();
        let last = bytes.len() - (bytes.len() - HEADER_BYTES) / 3;
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            fs::write(&file, &damaged).unwrap();
            let opened = Journal::open(directory.path(), ID);
            if at < last {
                assert!(matches!(opened, Err(JournalError::Damaged { .. })), "{at}: {opened:?}");
            } else {
                assert_eq!(opened.unwrap().version(), Version(2), "{at}");
            }
            fs::write(&file, &bytes).unwrap();
        }
    }

    /// A store that has all that was lost needs nothing of a damaged journal; one that lacks something is told so.
    #[test]
    fn what_lies_behind_damage_is_salvaged() {
        let directory = tempfile::tempdir().unwrap();
        drop(filled(directory.path(), 0, 3));
        let file = only_file(directory.path());
        let mut bytes = fs::read(&file).unwrap();
        let frame = (bytes.len() - HEADER_BYTES) / 3;
        bytes[HEADER_BYTES + frame + 30] ^= 1;
        fs::write(&file, bytes).unwrap();
        let salvaged = |version| {
            let frames = salvage(directory.path(), Version(version)).unwrap();
            frames.map(|frames| frames.iter().map(|frame| frame.to.0).collect::<Vec<_>>())
        };
        assert_eq!(salvaged(3), Some(vec![]));
        assert_eq!(salvaged(2), Some(vec![3]));
        assert_eq!(salvaged(1), None, "the second is lost");
        assert_eq!(salvaged(0), None);
    }

    #[test]
    fn a_gap_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let mut journal = filled(directory.path(), 0, 3);
        journal.begin(Version(10)).unwrap();
        journal.append(Version(11), &[change(11)]).unwrap();
        let gap = JournalError::Gap { after: Version(3), next: Version(10) };
        assert_eq!(versions(directory.path(), 1), [Ok(2), Ok(3), Err(gap)]);
        assert_eq!(versions(directory.path(), 10), [Ok(11)]);
        assert_eq!(extent(directory.path()), Ok((vec![Version(0), Version(10)], Version(11))));
    }

    #[test]
    fn what_a_backup_covers_goes() {
        let directory = tempfile::tempdir().unwrap();
        let mut journal = filled(directory.path(), 0, 3);
        for from in [3, 6] {
            journal.begin(Version(from)).unwrap();
            for version in from + 1..=from + 3 {
                journal.append(Version(version), &[change(version)]).unwrap();
            }
        }
        assert_eq!(remove_covered(directory.path(), Version(2)), Ok(0));
        assert!(remove_covered(directory.path(), Version(5)).unwrap() > 0);
        assert_eq!(versions(directory.path(), 3).first(), Some(&Ok(4)));
        assert!(matches!(versions(directory.path(), 2)[..], [Err(JournalError::Gap { .. })]));
        remove_covered(directory.path(), Version(99)).unwrap();
        assert_eq!(versions(directory.path(), 6), [7, 8, 9].map(Ok), "the last segment stays");
    }

    #[test]
    fn another_stores_journal_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        drop(filled(directory.path(), 0, 1));
        let opened = Journal::open(directory.path(), [8; ID_BYTES]);
        assert!(matches!(opened, Err(JournalError::Foreign { .. })), "{opened:?}");
    }
}
