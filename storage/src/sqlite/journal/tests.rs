//! The journal under crashes, failing disks, torn tails and flipped bytes.
//!
//! A child, this test binary again, appends to a store with tiny segments and ends itself, as `kill -9` would, at the
//! n-th of all steps that the journal takes ([`Step`]), or has that step fail; the parent goes through all n. What was
//! acknowledged stands in a file that the child writes besides.

mod crash;
mod damage;

use std::io::{Error, ErrorKind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

use super::steps::Step;

/// A folder in memory where there is one: a process that ends takes nothing of it along, and a sync costs nothing.
fn tempdir() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Tells a child what to do at which step: `kill N` or `fail STEP N`.
const PLAN: &str = "HUBBUB_TEST_JOURNAL_PLAN";

enum Plan {
    Kill(usize),
    Fail(String, usize),
}

fn plan() -> Option<&'static Plan> {
    static READ: OnceLock<Option<Plan>> = OnceLock::new();
    let read = || {
        let said = std::env::var(PLAN).ok()?;
        match said.split(' ').collect::<Vec<_>>()[..] {
            ["kill", at] => Some(Plan::Kill(at.parse().unwrap())),
            ["fail", step, at] => Some(Plan::Fail(step.to_owned(), at.parse().unwrap())),
            _ => panic!("no plan: {said}"),
        }
    };
    READ.get_or_init(read).as_ref()
}

/// A step is reached: as the plan wants it.
pub(super) fn reached(step: Step) -> std::io::Result<()> {
    static REACHED: AtomicUsize = AtomicUsize::new(0);
    let fits = match plan() {
        Some(Plan::Fail(name, _)) => *name == format!("{step:?}"),
        Some(Plan::Kill(_)) => true,
        None => false,
    };
    let now = REACHED.fetch_add(usize::from(fits), Ordering::SeqCst) + 1;
    match plan() {
        // No destructor runs, nothing is flushed.
        Some(Plan::Kill(at)) if *at == now => std::process::abort(),
        Some(Plan::Fail(_, at)) if fits && *at == now => {
            Err(Error::new(ErrorKind::StorageFull, format!("{step:?} fails on purpose")))
        }
        _ => Ok(()),
    }
}
