//! The places at which a test may end the process or fail the disk. Nothing at all outside this crate's own tests.

/// What was just done, or is just about to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A frame is about to be written.
    Write,
    /// It is written and not synced.
    Sync,
    /// It is synced and nobody was told.
    Publish,
    /// A new segment is about to be made.
    Create,
    /// It is made, its name not yet synced.
    NameSegment,
    /// The segment before is about to be given to the applier.
    Seal,
    /// A segment is about to be applied.
    Apply,
    /// Half of it is applied.
    ApplyHalf,
    /// All of it is applied and not committed.
    Commit,
    /// It is committed and still there.
    Remove,
    /// It is removed, and that is not yet synced.
    NameRemoval,
    /// It is gone.
    Forget,
    /// A file is about to be made for the next but one.
    Spare,
}

/// A step is reached.
#[cfg(not(test))]
#[expect(clippy::unnecessary_wraps, reason = "it fails where a test wants it to")]
pub(super) const fn reached(_: Step) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
pub(super) use super::tests::reached;
