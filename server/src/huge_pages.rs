//! The system's large pages of memory, which this program does without.

/// Has the system give memory by small pages from now on. Of a page of 2 MiB the whole counts as soon as a little of it
/// is used, in every thread's share of the allocator anew: docs/performance.md has what that comes to.
#[cfg(target_os = "linux")]
pub fn decline() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "memory comes by large pages, where the system is set up so");
    }
}

/// There are none that come unasked here.
#[cfg(not(target_os = "linux"))]
pub fn decline() {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn none_come_once_they_are_declined() {
        super::decline();
        assert_eq!(rustix::thread::transparent_huge_pages_are_disabled(), Ok(true));
    }
}
