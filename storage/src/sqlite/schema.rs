//! The two files: their tables, how they come to their newest form, and how connections to them are set.
//!
//! A file carries our mark (`application_id`) and its form's number (`user_version`). A form, once released, never
//! changes: what is new is one more migration at the end of the list, carried out in one transaction.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::error::{OpenError, opening};
use crate::error::Reason;
use crate::families;
use crate::records::FamilyDef;

/// "HUBB": whose files they are.
const APPLICATION_ID: i32 = 0x4855_4242;
/// How long a connection waits for another of this process: the longest read is far below it.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Statements kept ready on each connection: more than there are in the code, for all families together.
const STATEMENTS: usize = 128;

/// One of the files.
#[derive(Debug)]
pub(super) struct FileDef {
    /// Its name in the folder.
    pub(super) name: &'static str,
    /// What its threads are called.
    pub(super) short: &'static str,
    /// Pages that its writer keeps, in KiB.
    pub(super) cache_kib: u32,
    /// From form n to form n + 1, for each n from 0 on.
    pub(super) migrations: &'static [&'static str],
}

/// The conversations' logs, apart from the rest so that their commits wait for nothing else.
///
/// Records stand in the order of their arrival, so that a commit touches the file's end and not a page for each
/// conversation; the small index finds them by conversation. Client ids stand in their own order, which is that of time.
pub(super) const LOG: FileDef = FileDef {
    name: "log.db",
    short: "store-log",
    // The index pages of some hundred thousand conversations.
    cache_kib: 64 * 1024,
    migrations: &[
        "
        CREATE TABLE log (
            id INTEGER PRIMARY KEY,
            conversation BLOB NOT NULL,
            sequence INTEGER NOT NULL,
            record BLOB NOT NULL
        ) STRICT;
        CREATE UNIQUE INDEX log_place ON log (conversation, sequence);
        CREATE TABLE client_ids (
            client_id BLOB NOT NULL,
            conversation BLOB NOT NULL,
            sender BLOB NOT NULL,
            sequence INTEGER NOT NULL,
            PRIMARY KEY (client_id, conversation, sender)
        ) STRICT, WITHOUT ROWID;
    ",
        "
        CREATE TABLE journal (
            -- The number of the journal's last segment that is in the tables above.
            applied INTEGER NOT NULL
        ) STRICT;
        INSERT INTO journal (applied) VALUES (0);
    ",
    ],
};

/// The record families and the claims.
pub(super) const META: FileDef = FileDef {
    name: "meta.db",
    short: "store-meta",
    // The pages of some ten thousand people who are here now; the operating system keeps more.
    cache_kib: 16 * 1024,
    migrations: &["
        CREATE TABLE claims (
            name TEXT NOT NULL,
            value BLOB NOT NULL,
            owner BLOB NOT NULL,
            checksum INTEGER NOT NULL,
            PRIMARY KEY (name, value)
        ) STRICT, WITHOUT ROWID;
    "],
};

/// Opens a file to write, in its newest form.
pub(super) fn open_writer(file: &'static FileDef, dir: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let engine = opening(file.name);
    let mut connection = Connection::open_with_flags(dir.join(file.name), flags).map_err(&engine)?;
    migrate(&mut connection, file)?;
    set_writer(&connection, file).map_err(&engine)?;
    Ok(connection)
}

/// Opens a file to read, which has its newest form already.
pub(super) fn open_reader(file: &'static FileDef, dir: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let engine = opening(file.name);
    let connection = Connection::open_with_flags(dir.join(file.name), flags).map_err(&engine)?;
    match form(&connection, file)? {
        found if found == newest(file) => {}
        found => {
            let reason = Reason::new(format_args!("its form is {found}: start the server once to bring it up"));
            return Err(OpenError::Engine { file: file.name, reason });
        }
    }
    connection.busy_timeout(BUSY_TIMEOUT).map_err(&engine)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // 4 MiB: the pages that are read just now.
    connection.execute_batch("PRAGMA query_only = 1; PRAGMA cache_size = -4096;").map_err(&engine)?;
    Ok(connection)
}

/// A commit is synced (FULL), and the write-ahead file is folded in by the writer itself, between groups and never by
/// chance. What is deleted is overwritten, so that a recalled payload is gone from the file.
fn set_writer(connection: &Connection, file: &FileDef) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA fullfsync = 1;
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA secure_delete = 1;
         PRAGMA cell_size_check = 1;
         PRAGMA temp_store = MEMORY;",
    )?;
    connection.pragma_update(None, "cache_size", -i64::from(file.cache_kib))
}

fn newest(file: &FileDef) -> u32 {
    u32::try_from(file.migrations.len()).unwrap_or(u32::MAX)
}

/// The form that a file has: 0 for a new one.
fn form(connection: &Connection, file: &'static FileDef) -> Result<u32, OpenError> {
    let engine = opening(file.name);
    let number = |pragma| connection.query_row(pragma, [], |row| row.get::<_, i32>(0)).map_err(&engine);
    let tables = number("SELECT COUNT(*) FROM sqlite_schema")?;
    let ours = number("PRAGMA application_id")? == APPLICATION_ID;
    let found = number("PRAGMA user_version")?;
    if tables == 0 && found == 0 {
        return Ok(0);
    }
    let found = u32::try_from(found).ok().filter(|found| ours && *found > 0);
    let Some(found) = found else { return Err(OpenError::Foreign { file: file.name }) };
    let supported = newest(file);
    if found > supported { Err(OpenError::Newer { file: file.name, found, supported }) } else { Ok(found) }
}

fn migrate(connection: &mut Connection, file: &'static FileDef) -> Result<(), OpenError> {
    let from = form(connection, file)?;
    let engine = opening(file.name);
    for (to, sql) in (1..=newest(file)).zip(file.migrations) {
        if to <= from {
            continue;
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&engine)?;
        transaction.execute_batch(sql).map_err(&engine)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(&engine)?;
        transaction.pragma_update(None, "user_version", to).map_err(&engine)?;
        transaction.commit().map_err(&engine)?;
        tracing::info!(file = file.name, form = to, "brought a file to a newer form");
    }
    Ok(())
}

/// Makes the tables of the families that this version knows.
pub(super) fn make_families(connection: &mut Connection) -> Result<(), OpenError> {
    let engine = opening(META.name);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&engine)?;
    for family in families::ALL {
        let sql = format!(
            "CREATE TABLE IF NOT EXISTS {} (
                partition BLOB NOT NULL,
                sort BLOB NOT NULL,
                version INTEGER NOT NULL,
                value BLOB NOT NULL,
                checksum INTEGER NOT NULL,
                PRIMARY KEY (partition, sort)
            ) STRICT, WITHOUT ROWID;",
            table(family)
        );
        transaction.execute_batch(&sql).map_err(&engine)?;
    }
    transaction.commit().map_err(&engine)
}

/// A family's table.
pub(super) fn table(family: &FamilyDef) -> String {
    format!("f_{}", family.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "CREATE TABLE t (x INTEGER) STRICT; INSERT INTO t VALUES (7);";
    const SECOND: &str = "ALTER TABLE t ADD COLUMN y INTEGER NOT NULL DEFAULT 5;";
    static FORM_1: FileDef = FileDef { name: "log.db", short: "test", cache_kib: 64, migrations: &[FIRST] };
    static FORM_2: FileDef = FileDef { name: "log.db", short: "test", cache_kib: 64, migrations: &[FIRST, SECOND] };
    static BROKEN: FileDef = FileDef {
        name: "log.db",
        short: "test",
        cache_kib: 64,
        migrations: &[FIRST, "CREATE TABLE u (x INTEGER) STRICT; NONSENSE;"],
    };

    fn row(connection: &Connection) -> (i64, i64) {
        connection.query_row("SELECT x, y FROM t", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    }

    #[test]
    fn an_older_file_is_brought_to_the_newest_form_once_and_keeps_what_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        drop(open_writer(&FORM_1, dir.path()).unwrap());
        assert!(matches!(open_reader(&FORM_2, dir.path()), Err(OpenError::Engine { .. })), "only a writer migrates");
        for _ in 0..2 {
            let connection = open_writer(&FORM_2, dir.path()).unwrap();
            assert_eq!(row(&connection), (7, 5));
            assert_eq!(form(&connection, &FORM_2).unwrap(), 2);
        }
        let refused = open_writer(&FORM_1, dir.path());
        assert!(matches!(refused, Err(OpenError::Newer { found: 2, supported: 1, .. })));
    }

    #[test]
    fn a_migration_that_fails_leaves_the_older_form_whole() {
        let dir = tempfile::tempdir().unwrap();
        drop(open_writer(&FORM_1, dir.path()).unwrap());
        assert!(matches!(open_writer(&BROKEN, dir.path()), Err(OpenError::Engine { .. })));
        let connection = open_writer(&FORM_1, dir.path()).unwrap();
        let tables = "SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table'";
        assert_eq!(connection.query_row(tables, [], |row| row.get::<_, i32>(0)).unwrap(), 1);
    }

    #[test]
    fn commits_are_synced_and_never_folded_in_by_chance() {
        let dir = tempfile::tempdir().unwrap();
        let connection = open_writer(&LOG, dir.path()).unwrap();
        let setting = |name: &str| {
            connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, rusqlite::types::Value>(0)).unwrap()
        };
        assert_eq!(setting("journal_mode"), "wal".to_owned().into(), "DURABLE");
        assert_eq!(setting("synchronous"), 2.into(), "DURABLE: FULL syncs at each commit");
        assert_eq!(setting("wal_autocheckpoint"), 0.into());
        assert_eq!(setting("secure_delete"), 1.into(), "a recalled payload is overwritten");
    }
}
