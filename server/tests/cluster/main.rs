//! Many nodes as an operator has them: real processes of the hub, a CQL cluster of three and a Redis, and what is done
//! to them under load. The promises must hold through all of it.
//!
//! * [`hubs`]: a node is killed, and comes back; presence and revocation across nodes;
//! * [`rolling`]: all are restarted in turn, as for an upgrade;
//! * [`owner`]: the node that is home to conversations stands still, and wakes;
//! * [`cql`]: a CQL node is killed, and stands still;
//! * [`lone_cql`]: the only CQL server is away for a while;
//! * [`redis`]: Redis is killed, emptied, stands still, and lies;
//! * [`removals`]: removals race with the removed member's sends.
//!
//! [`kit`] starts and ends what is needed. The load is that of `hubbub-loadtest`, whose ledger judges over all nodes.
//!
//! One test runs at a time. `HUBBUB_CHAOS=full` makes them long (the figures of docs/proof.md), `HUBBUB_CHAOS_PAUSE=60`
//! says for how many seconds something stands still, `HUBBUB_CHAOS_SEED=7` repeats a run. `HUBBUB_TEST_CQL_CLUSTER` names
//! the folder of three CQL nodes that run already (`tools/cql up 3 --folder …`), instead of starting some.

// Says to clippy what cargo knows: all of this is test code, the helpers too.
#![cfg(test)]

mod cql;
mod hubs;
mod kit;
mod lone_cql;
mod owner;
mod redis;
mod removals;
mod rolling;
