//! The backend of many nodes: ScyllaDB, or Apache Cassandra, which speaks the same CQL.
