//! The data folder: one process at a time, and a mark that tells whether the last one closed it.

use std::fs::{DirBuilder, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::error::OpenError;
use crate::error::Reason;

/// Held locked while the folder is open; its content says nothing.
const LOCK: &str = "lock";
/// There while the folder is open, and after a stop that was no close.
const MARK: &str = "open";
/// What the mark says once the journal's first segment is there.
const WITH_JOURNAL: &[u8] = b"journal\n";

/// A holder that was just killed, or a program that was just forked from one, lets go within this time.
const PATIENCE: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// There once all files were made: from then on, one that is missing was lost.
const MADE: &str = "made";

/// How the last process left the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// It closed it, or there was none.
    Closed,
    /// It did not close it, and had no journal yet.
    Open,
    /// It did not close it, and there is a journal.
    OpenWithJournal,
}

/// A folder that this process has to itself.
pub(super) struct Folder {
    dir: PathBuf,
    lock: Mutex<Option<File>>,
}

impl Folder {
    /// Makes the folder if need be, and locks it.
    pub(super) fn lock(dir: &Path) -> Result<Self, OpenError> {
        make(dir).map_err(io_at(dir))?;
        Self::lock_existing(dir)
    }

    /// Locks a folder that is there.
    pub(super) fn lock_existing(dir: &Path) -> Result<Self, OpenError> {
        let path = dir.join(LOCK);
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(io_at(&path))?;
        let patience = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { dir: dir.to_path_buf(), lock: Mutex::new(Some(file)) }),
                Err(TryLockError::WouldBlock) if Instant::now() < patience => std::thread::sleep(LOOK_AGAIN),
                Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { dir: dir.to_path_buf() }),
                Err(TryLockError::Error(source)) => return Err(OpenError::Io { path, source }),
            }
        }
    }

    /// How the last process left the folder.
    pub(super) fn left(&self) -> Result<Left, OpenError> {
        let path = self.dir.join(MARK);
        match std::fs::read(&path) {
            Ok(said) if said == WITH_JOURNAL => Ok(Left::OpenWithJournal),
            Ok(_) => Ok(Left::Open),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Left::Closed),
            Err(error) => Err(io_at(&path)(error)),
        }
    }

    /// Leaves the mark, where it is not there already.
    pub(super) fn mark_open(&self) -> Result<(), OpenError> {
        let path = self.dir.join(MARK);
        if !path.try_exists().map_err(io_at(&path))? {
            File::create(&path).and_then(|file| file.sync_all()).map_err(io_at(&path))?;
            self.sync().map_err(io_at(&self.dir))?;
        }
        Ok(())
    }

    /// Has the mark say that there is a journal.
    pub(super) fn expect_journal(&self) -> io::Result<()> {
        let mut file = File::options().write(true).open(self.dir.join(MARK))?;
        file.write_all(WITH_JOURNAL)?;
        file.sync_all()
    }

    /// Refuses a folder that has lost one of these files, before an empty one is made in its place.
    pub(super) fn check_whole(&self, files: &[&'static str]) -> Result<(), OpenError> {
        let path = self.dir.join(MADE);
        if !path.try_exists().map_err(io_at(&path))? {
            return Ok(());
        }
        for file in files {
            let size = std::fs::metadata(self.dir.join(file)).map_or(0, |found| found.len());
            if size == 0 {
                let reason =
                    Reason::new("it is missing or empty, though this folder had one: put it back from a backup");
                return Err(OpenError::Damaged { file, reason });
            }
        }
        Ok(())
    }

    /// Notes that all files are there.
    pub(super) fn mark_made(&self) -> Result<(), OpenError> {
        let path = self.dir.join(MADE);
        if !path.try_exists().map_err(io_at(&path))? {
            File::create(&path).and_then(|file| file.sync_all()).map_err(io_at(&path))?;
            self.sync().map_err(io_at(&self.dir))?;
        }
        Ok(())
    }

    /// Takes the mark away. Only after every file was synced and closed.
    pub(super) fn mark_closed(&self) -> io::Result<()> {
        std::fs::remove_file(self.dir.join(MARK))?;
        self.sync()
    }

    /// Where it is.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Lets others in, the mark left as it is.
    pub(super) fn unlock(&self) {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Makes the names of new files durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }
}

/// Only its owner may look inside.
fn make(dir: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_path_buf();
    move |source| OpenError::Io { path, source }
}
