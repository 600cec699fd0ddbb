//! The contract, on SQLite, and what only an engine with a disk can show.

use hubbub_storage::conformance_suite;
use hubbub_storage::sqlite::{self, SqliteConfig};
use hubbub_storage::store::Store;
use tempfile::TempDir;

conformance_suite!(contract, fresh());

fn fresh() -> (Store, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let opened = sqlite::open(&SqliteConfig::at(dir.path())).unwrap();
    assert_eq!(opened.recovered, None);
    (opened.store, dir)
}
