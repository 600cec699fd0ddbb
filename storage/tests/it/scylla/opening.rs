//! Opening a keyspace: by several at once, a second time, of a newer form, and not at all.

use futures_util::future::join_all;
use hubbub_protocol::{ConversationId, Sequence};
use hubbub_storage::conformance::{any_message, append_at_head};
use hubbub_storage::scylla::{CqlConfig, OpenError, open};
use hubbub_storage::store::Health;
use scylla::value::CqlValue;

use super::raw::Raw;
use super::{RUNTIME, config, server};

/// A keyspace of the test's own, dropped before and after.
fn in_keyspace(keyspace: &str, test: impl AsyncFnOnce(CqlConfig, &Raw)) {
    let Some(server) = server() else { return };
    RUNTIME.block_on(async {
        let raw = Raw::connect(&server).await;
        let drop = format!("DROP KEYSPACE IF EXISTS {keyspace}");
        raw.run(&drop).await;
        test(config(server, keyspace), &raw).await;
        raw.run(&drop).await;
    });
}

#[test]
fn many_that_start_at_once_make_one_keyspace_and_agree_on_it() {
    in_keyspace("hubbub_opening", async |config, raw| {
        let sizes = [100, 200, 300, 400];
        let configs = sizes.map(|bucket_size| CqlConfig { bucket_size, ..config.clone() });
        let stores: Vec<_> = join_all(configs.iter().map(open)).await.into_iter().map(Result::unwrap).collect();
        let id = ConversationId::generate();
        for store in &stores {
            append_at_head(store, id, vec![any_message(b"x")]).await;
            assert_eq!(store.engine.health(), Health::Ready);
        }
        for store in &stores {
            assert_eq!(store.log.head(id).await, Ok(Sequence::new(4)), "they do not share one log");
            store.engine.close().await.unwrap();
        }
        let asked = format!("SELECT number FROM {}.meta WHERE name = 'bucket_size'", config.keyspace);
        let settled = raw.rows(&asked).await[0].columns[0].clone();
        let again = CqlConfig { bucket_size: 999, ..config };
        open(&again).await.unwrap().engine.close().await.unwrap();
        assert_eq!(raw.rows(&asked).await[0].columns[0], settled, "a bucket size is for ever");
        assert!(sizes.iter().any(|size| settled == Some(CqlValue::BigInt(i64::from(*size)))));
    });
}

#[test]
fn a_keyspace_of_a_newer_form_is_left_alone() {
    in_keyspace("hubbub_newer", async |config, raw| {
        open(&config).await.unwrap().engine.close().await.unwrap();
        raw.run(&format!("INSERT INTO {}.meta (name, number) VALUES ('form', 999)", config.keyspace)).await;
        let refused = open(&config).await.err().unwrap();
        assert!(matches!(refused, OpenError::Newer { found: 999, .. }), "{refused}");
        assert!(refused.to_string().contains("newer Hubbub"), "{refused}");
    });
}

#[test]
fn whoever_stopped_in_the_middle_of_making_tables_is_not_waited_for_for_ever() {
    in_keyspace("hubbub_halfway", async |config, raw| {
        open(&config).await.unwrap().engine.close().await.unwrap();
        let keyspace = &config.keyspace;
        raw.run(&format!("DROP TABLE {keyspace}.f_snapshots")).await;
        let lock = format!("INSERT INTO {keyspace}.meta (name, holder) VALUES ('lock', uuid()) USING TTL 3");
        raw.run(&lock).await;
        let store = open(&config).await.unwrap();
        let made = store.records.get(&hubbub_storage::records::FamilyDef { name: "snapshots" }, Vec::new(), Vec::new());
        assert_eq!(made.await, Ok(None), "the missing table is there again, and an empty key is a key");
        store.engine.close().await.unwrap();
    });
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // Bound and gone: nobody listens there.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = CqlConfig::at([format!("127.0.0.1:{port}")], "hubbub");
        let refused = open(&config).await.err().unwrap();
        assert!(matches!(refused, OpenError::Unreachable { .. }), "{refused}");
        assert!(refused.to_string().contains(&port.to_string()), "{refused}");
    });
}

#[test]
fn a_datacenter_that_is_not_there_is_told_with_those_that_are() {
    let Some(server) = server() else { return };
    let config = CqlConfig { datacenter: Some("nowhere".to_owned()), ..config(server, "hubbub_nowhere") };
    let refused = RUNTIME.block_on(open(&config)).err().unwrap();
    assert!(matches!(refused, OpenError::NoDatacenter { .. }), "{refused}");
}
