//! The contract, on a CQL server: the one that `HUBBUB_TEST_CQL` names (`host:port`).
//!
//! Without it these tests are skipped, loudly; where `CI` is `true` they fail. Two keyspaces serve all of them, one with
//! buckets of the usual size and one with buckets so small that their edges are met all the time. Conversations have
//! random ids, and each test's rows and claims stand under a prefix of their own; so tables are made once and stay for
//! the next run.

mod erase;
mod opening;
mod prefixed;
mod proxy;
mod raw;
mod rough;
mod size;

use std::io::{Write, stderr};
use std::sync::{LazyLock, Once};

use hubbub_storage::conformance_suite;
use hubbub_storage::faulty::{Plan, over};
use hubbub_storage::scylla::{CqlConfig, open};
use hubbub_storage::store::Store;
use tokio::runtime::Runtime;

use self::prefixed::prefixed;

/// The server's address.
pub(crate) const SERVER: &str = "HUBBUB_TEST_CQL";
/// Buckets of the usual size.
const USUAL: u32 = 10_000;
/// Buckets that are full after a few appends, and overflow with many a one.
pub(crate) const TINY: u32 = 8;

/// The stores' tasks outlive each test's own runtime.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

static SKIPPED: Once = Once::new();

conformance_suite!(contract, fresh(USUAL));
conformance_suite!(contract_at_bucket_edges, fresh(TINY));
conformance_suite!(contract_without_faults, fresh(USUAL).map(|(store, ())| (over(store, Plan::none()).0, ())));

/// Where the server is; `None`, said loudly, where there is none.
fn server() -> Option<String> {
    let server = std::env::var(SERVER).ok().filter(|server| !server.is_empty());
    if server.is_none() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{SERVER} names no CQL server");
        SKIPPED.call_once(|| {
            say(&format!("SKIPPED: every test of the CQL store, as {SERVER} names no server (host:port)"));
        });
    }
    server
}

/// Not by a macro, whose words a passing test keeps to itself.
fn say(words: &str) {
    writeln!(stderr(), "{words}").unwrap();
}

fn config(server: String, keyspace: &str) -> CqlConfig {
    CqlConfig { replication: Some(1), ..CqlConfig::at([server], keyspace) }
}

/// A store whose conversations, rows and claims are nobody else's.
pub(crate) fn fresh(bucket_size: u32) -> Option<(Store, ())> {
    let config = CqlConfig { bucket_size, ..config(server()?, &format!("hubbub_contract_{bucket_size}")) };
    let store = RUNTIME.block_on(open(&config)).unwrap();
    Some((prefixed(store), ()))
}
