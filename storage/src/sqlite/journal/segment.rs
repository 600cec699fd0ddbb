//! One file of the journal: made, appended to with a sync, listed, removed.
//!
//! A file that grows makes each sync wait for the file system's own journal, and that for whatever else was written. So
//! while segments fill up, the applier makes the next file ahead, full of zeros, and what is appended to it changes
//! nothing but bytes. A store with little to do needs none.
//!
//! Its writer is the log's writer thread. A file's name carries its number; making and removing a name is made durable
//! by whoever asked for it, as the folder is theirs.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::frame::{Frame, HEADER_BYTES, Header};
use super::part::Part;
use super::steps::{Step, reached};

const PREFIX: &str = "journal-";
/// A file of zeros that becomes the next segment.
const SPARE: &str = "journal-next";
/// Zeros that are written at once.
const ZEROS: usize = 256 * 1024;

/// The name of a segment's file. Ten digits: at ten segments a second, thirty years.
pub(super) fn name(number: u64) -> String {
    format!("{PREFIX}{number:010}")
}

/// The segments in a folder, by number.
pub(super) fn list(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(PREFIX)).and_then(|digits| digits.parse().ok());
        found.extend(number.map(|number| (number, entry.path())));
    }
    found.sort_unstable();
    Ok(found)
}

/// Makes a file of zeros for the next segment. It is one only once this has returned.
pub(super) fn make_spare(dir: &Path, bytes: usize) -> io::Result<()> {
    reached(Step::Spare)?;
    let mut file = File::create(dir.join(SPARE))?;
    let zeros = vec![0; ZEROS.min(bytes)];
    let mut left = bytes;
    while left > 0 {
        let now = left.min(zeros.len());
        file.write_all(&zeros[..now])?;
        left -= now;
    }
    file.sync_all()
}

/// Removes what was made for a segment that was never begun.
pub(super) fn remove_spare(dir: &Path) -> io::Result<()> {
    match std::fs::remove_file(dir.join(SPARE)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether a segment's file holds no frame.
pub(super) fn is_empty(path: &Path) -> io::Result<bool> {
    let bytes = std::fs::read(path)?;
    Ok(bytes.iter().skip(HEADER_BYTES).all(|byte| *byte == 0))
}

/// The segment that is appended to.
pub(super) struct Segment {
    file: File,
    header: Header,
    length: u64,
}

impl Segment {
    /// Makes a segment and syncs it, out of the spare file if there is one; its name is not synced yet.
    pub(super) fn create(dir: &Path, number: u64, before: u64, spare: bool) -> io::Result<Self> {
        reached(Step::Create)?;
        let mut salt = [0; 8];
        getrandom::fill(&mut salt).map_err(|error| io::Error::other(error.to_string()))?;
        let header = Header { number, salt, before };
        let path = dir.join(name(number));
        let mut file = if spare {
            File::options().write(true).open(dir.join(SPARE))?
        } else {
            File::options().create_new(true).write(true).open(&path)?
        };
        file.write_all(&header.encode())?;
        file.sync_all()?;
        if spare {
            std::fs::rename(dir.join(SPARE), path)?;
        }
        reached(Step::NameSegment)?;
        Ok(Self { file, header, length: HEADER_BYTES as u64 })
    }

    /// Appends a frame and syncs it (DURABLE). Where in the segment it stands.
    ///
    /// After a failure nobody knows what the file holds: it must not be appended to again.
    pub(super) fn append(&mut self, frame: &mut Frame) -> io::Result<u64> {
        let at = self.length;
        let bytes = frame.seal(self.header.salt, at);
        reached(Step::Write)?;
        self.file.write_all(bytes)?;
        self.length += bytes.len() as u64;
        reached(Step::Sync)?;
        self.file.sync_data()?;
        reached(Step::Publish)?;
        Ok(at)
    }

    /// What stands in it, in memory: nothing yet. It comes after another, but for the first.
    pub(super) fn begin_part(&self, before: Option<&Part>) -> Part {
        before.map_or_else(|| Part::new(self.header), |before| before.next(self.header))
    }

    pub(super) const fn number(&self) -> u64 {
        self.header.number
    }

    pub(super) const fn length(&self) -> u64 {
        self.length
    }
}
