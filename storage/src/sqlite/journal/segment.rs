//! One file of the journal: made, appended to with a sync, listed, removed.
//!
//! Its writer is the log's writer thread. A file's name carries its number; making and removing a name is made durable
//! by whoever asked for it, as the folder is theirs.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::frame::{Frame, HEADER_BYTES, Header};
use super::part::Part;
use super::steps::{Step, reached};

const PREFIX: &str = "journal-";

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

/// The segment that is appended to.
pub(super) struct Segment {
    file: File,
    header: Header,
    length: u64,
}

impl Segment {
    /// Makes a segment and syncs it; its name is not synced yet.
    pub(super) fn create(dir: &Path, number: u64, before: u64) -> io::Result<Self> {
        reached(Step::Create)?;
        let mut salt = [0; 8];
        getrandom::fill(&mut salt)?;
        let header = Header { number, salt, before };
        let mut file = File::options().create_new(true).write(true).open(dir.join(name(number)))?;
        file.write_all(&header.encode())?;
        file.sync_all()?;
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

    /// What stands in it, in memory: nothing yet.
    pub(super) fn begin_part(&self) -> Part {
        Part::new(self.header)
    }

    pub(super) const fn number(&self) -> u64 {
        self.header.number
    }

    pub(super) const fn length(&self) -> u64 {
        self.length
    }
}
