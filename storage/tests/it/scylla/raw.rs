//! The server's own words, for what no store would say: broken rows, other forms, keyspaces that go.

use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::value::Row;

/// A session of its own, on the test's runtime.
pub(super) struct Raw(Session);

impl Raw {
    pub(super) async fn connect(server: &str) -> Self {
        Self(SessionBuilder::new().known_node(server).build().await.unwrap())
    }

    pub(super) async fn run(&self, cql: &str) {
        self.0.query_unpaged(cql, ()).await.unwrap();
    }

    pub(super) async fn rows(&self, cql: &str) -> Vec<Row> {
        let result = self.0.query_unpaged(cql, ()).await.unwrap().into_rows_result().unwrap();
        result.rows::<Row>().unwrap().map(Result::unwrap).collect()
    }
}
