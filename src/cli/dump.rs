//! Reads a file of objects as `dumpdata` writes it, one object at a time, each with its line.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use super::Failure;
use crate::domain::django::Object;
use crate::domain::dump::{DumpError, Found, Splitter};

/// Bytes read at once.
const BLOCK_BYTES: usize = 64 * 1024;

/// What is wrong with the file, for people.
pub(super) fn file_failure(path: &Path, error: &DumpError) -> Failure {
    Failure::Failed(format!("{}, {error}; nothing was imported", path.display()))
}

/// The objects of a file, with their lines. Ends behind the first failure.
pub(super) fn objects(path: &Path) -> Result<impl Iterator<Item = Result<(u64, Object), Failure>> + use<>, Failure> {
    let path = path.to_owned();
    let file = File::open(&path).map_err(Failure::io(format!("cannot read {}", path.display())))?;
    let mut reader = BufReader::with_capacity(BLOCK_BYTES, file);
    let mut splitter = Some(Splitter::default());
    Ok(std::iter::from_fn(move || {
        let found = match next_object(&mut reader, splitter.as_mut()?) {
            Ok(Some(found)) => found,
            Ok(None) => return splitter.take()?.finish().err().map(|error| Err(file_failure(&path, &error))),
            Err(ReadError::Dump(error)) => {
                splitter = None;
                return Some(Err(file_failure(&path, &error)));
            }
            Err(ReadError::Io(error)) => {
                splitter = None;
                return Some(Err(Failure::io(format!("cannot read {}", path.display()))(error)));
            }
        };
        let Found { line, json } = found;
        let object = Object::parse(&json).map_err(|problem| file_failure(&path, &DumpError { line, problem }));
        Some(object.map(|object| (line, object)))
    }))
}

enum ReadError {
    Io(io::Error),
    Dump(DumpError),
}

fn next_object(reader: &mut impl BufRead, splitter: &mut Splitter) -> Result<Option<Found>, ReadError> {
    loop {
        let block = reader.fill_buf().map_err(ReadError::Io)?;
        if block.is_empty() {
            return Ok(None);
        }
        let mut used = 0;
        let mut found = None;
        for byte in block {
            used += 1;
            found = splitter.push(*byte).map_err(ReadError::Dump)?;
            if found.is_some() {
                break;
            }
        }
        reader.consume(used);
        if found.is_some() {
            return Ok(found);
        }
    }
}
