//! The contract, on memory.

use hubbub_storage::conformance_suite;

conformance_suite!(contract, (hubbub_storage::memory::open(), ()));
