//! What the last process left in the journal, looked at and brought in order at the next start.
//!
//! `log.db` says which segment was applied last; those in the folder must go on from there without a hole. Every one but
//! the last must be whole and as long as the next one says; the last may end in a torn frame, which is cut off and
//! logged. Whatever else is found refuses the start and names file and place: it may be acknowledged messages.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::super::error::OpenError;
use super::JOURNAL;
use super::frame::{End, HEADER_BYTES, Header};
use super::part::Part;
use super::segment;
use crate::error::Reason;

/// What is in the folder.
pub(in crate::sqlite) struct Found {
    /// The segments that SQLite does not have, oldest first.
    pub(in crate::sqlite) parts: Vec<Part>,
    /// The number of the next segment, and the length of the one before it.
    pub(super) next_number: u64,
    pub(super) last_length: u64,
    /// Bytes that are no whole frame, at the end of the last.
    pub(in crate::sqlite) torn_bytes: u64,
    /// What is to be cut to a length.
    cut: Option<(PathBuf, u64)>,
    /// What SQLite has already, and what was never finished being made.
    superfluous: Vec<PathBuf>,
}

fn damaged(reason: String) -> OpenError {
    OpenError::Damaged { file: JOURNAL, reason: Reason::new(reason) }
}

fn io_at(path: &Path) -> impl FnOnce(std::io::Error) -> OpenError {
    let path = path.to_path_buf();
    move |source| OpenError::Io { path, source }
}

/// Reads the segments above the one that was applied last; changes nothing.
///
/// `expected`: the last process had a journal and did not close it, so there must be one.
pub(in crate::sqlite) fn look(dir: &Path, applied: u64, expected: bool) -> Result<Found, OpenError> {
    let mut found = Found {
        parts: Vec::new(),
        next_number: applied + 1,
        last_length: 0,
        torn_bytes: 0,
        cut: None,
        superfluous: Vec::new(),
    };
    let files = segment::list(dir).map_err(io_at(dir))?;
    let last = files.last().map_or(0, |(number, _)| *number);
    for (number, path) in files {
        if number <= applied {
            found.superfluous.push(path);
            continue;
        }
        if number != found.next_number {
            return Err(hole(found.next_number, number, applied));
        }
        found.take(number, path, number == last)?;
    }
    // A new segment is there before the one before is applied: an open store has one that is not.
    if expected && found.parts.is_empty() {
        return Err(damaged(format!(
            "{} is missing or empty: the store was not closed, and then there is always one that log.db does not have",
            segment::name(applied + 1)
        )));
    }
    Ok(found)
}

fn hole(missing: u64, found: u64, applied: u64) -> OpenError {
    let missing = if missing + 1 == found {
        format!("{} is missing", segment::name(missing))
    } else {
        format!("{} to {} are missing", segment::name(missing), segment::name(found - 1))
    };
    damaged(format!(
        "{missing}: log.db has what came up to {}, and the next file is {}. Either those files were lost, or log.db is an \
         older one or has lost its log.db-wal",
        segment::name(applied),
        segment::name(found)
    ))
}

impl Found {
    fn take(&mut self, number: u64, path: PathBuf, last: bool) -> Result<(), OpenError> {
        let bytes = std::fs::read(&path).map_err(io_at(&path))?;
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
        let Some(header) = Header::decode(&bytes).filter(|header| header.number == number) else {
            // It was just being made: the first frame comes after the header is synced.
            if last && bytes.len() <= HEADER_BYTES {
                self.superfluous.push(path);
                return Ok(());
            }
            return Err(damaged(format!("{}, byte 0: its header cannot be read", segment::name(number))));
        };
        if header.before != 0 && self.last_length != 0 && header.before != self.last_length {
            return Err(damaged(format!(
                "{}, byte {}: it was {} bytes long",
                segment::name(number - 1),
                self.last_length,
                header.before
            )));
        }
        let (part, end) = Part::read(header, bytes);
        match end {
            End::Whole(_) => {}
            End::Torn(at) if last => {
                self.torn_bytes = used.saturating_sub(at as u64);
                self.cut = Some((path, at as u64));
            }
            End::Torn(at) | End::Damaged(at) => {
                return Err(damaged(format!("{}, byte {at}: a group of records is not whole", segment::name(number))));
            }
        }
        self.next_number = number + 1;
        self.last_length = part.length() as u64;
        self.parts.push(part);
        Ok(())
    }

    /// Cuts the torn tail off, and removes what is not needed any more.
    pub(in crate::sqlite) fn mend(&self, dir: &Path) -> Result<(), OpenError> {
        if let Some((path, length)) = &self.cut {
            let file = File::options().write(true).open(path).map_err(io_at(path))?;
            file.set_len(*length).and_then(|()| file.sync_all()).map_err(io_at(path))?;
            let (path, torn_bytes) = (path.display(), self.torn_bytes);
            tracing::warn!(%path, at = length, torn_bytes, "the journal ended in a group that is not whole, as one does that was being written; it was cut off");
        }
        segment::remove_spare(dir).map_err(io_at(dir))?;
        for path in &self.superfluous {
            std::fs::remove_file(path).map_err(io_at(path))?;
        }
        Ok(())
    }

    /// Records in the segments.
    pub(in crate::sqlite) fn records(&self) -> u64 {
        self.parts.iter().map(|part| part.rows() as u64).sum()
    }
}
