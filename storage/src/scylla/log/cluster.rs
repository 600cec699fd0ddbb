//! The log's partitions over CQL: the statements, and what their answers say.

use std::sync::Arc;

use hubbub_protocol::Sequence;
use scylla::errors::PrepareError;
use scylla::statement::batch::{Batch as Statements, BatchType};
use scylla::statement::prepared::PreparedStatement;
use uuid::Uuid;

use super::super::outcome::{Answer, Failure, Named};
use super::super::session::{Cluster, Reading};
use super::super::value::Value;
use super::buckets::{number, sequence};
use super::partition::{ActKey, Batch, Bucket, Cas, Erasure, NewRow, Partitions, Sight, StoredRow};
use crate::error::Reason;

/// The log's table.
pub(in crate::scylla) struct LogTable {
    cluster: Arc<Cluster>,
    move_head: PreparedStatement,
    put_act: PreparedStatement,
    put_record: PreparedStatement,
    put_message: PreparedStatement,
    erase_here: PreparedStatement,
    erase: PreparedStatement,
    intend: PreparedStatement,
    head: Reading,
    winner: Reading,
    rows: Reading,
    acts: Reading,
    all_acts: Reading,
}

impl LogTable {
    /// Makes every statement ready.
    pub(in crate::scylla) async fn prepare(cluster: Arc<Cluster>, keyspace: &str) -> Result<Self, PrepareError> {
        let table = format!("{keyspace}.log");
        let place = "conversation = ? AND bucket = ?";
        let record = format!("{place} AND kind = 0 AND sequence = ? AND act = 0x");
        let key = "conversation, bucket, kind, sequence, act";
        let insert = format!("INSERT INTO {table} ({key}, append, record");
        let erase = format!("UPDATE {table} SET payload = null, erased = ? WHERE {record}");
        let write = async |cql: String| cluster.prepare_write(&cql).await;
        let read = async |cql: String| cluster.prepare_read(&cql).await;
        Ok(Self {
            move_head: write(format!("UPDATE {table} SET head = ? WHERE {place} IF head = ?")).await?,
            put_act: write(format!("INSERT INTO {table} ({key}, place) VALUES (?, ?, 1, 0, ?, ?) IF NOT EXISTS"))
                .await?,
            put_record: write(format!("{insert}) VALUES (?, ?, 0, ?, 0x, ?, ?)")).await?,
            put_message: write(format!("{insert}, payload) VALUES (?, ?, 0, ?, 0x, ?, ?, ?)")).await?,
            erase: write(format!("{erase} IF EXISTS")).await?,
            erase_here: write(erase).await?,
            intend: write(format!("UPDATE {table} SET recalls = recalls + ? WHERE {record} IF EXISTS")).await?,
            head: read(format!("SELECT head FROM {table} WHERE {place} LIMIT 1")).await?,
            winner: read(format!("SELECT append FROM {table} WHERE {record}")).await?,
            rows: read(format!(
                "SELECT sequence, head, record, payload, erased, recalls FROM {table} \
                 WHERE {place} AND kind = 0 AND sequence >= ? AND sequence <= ?"
            ))
            .await?,
            acts: read(format!(
                "SELECT act, place FROM {table} WHERE {place} AND kind = 1 AND sequence = 0 AND act IN ?"
            ))
            .await?,
            all_acts: read(format!("SELECT act FROM {table} WHERE {place} AND kind = 1")).await?,
            cluster,
        })
    }

    /// The batch's statements and their values. The one that moves the head stands first, as it says which partition.
    fn statements<'a>(&self, batch: &'a Batch) -> (Statements, Vec<Vec<Value<'a>>>) {
        let mut statements = Statements::new(BatchType::Unlogged);
        let mut values = Vec::with_capacity(1 + batch.acts.len() + batch.rows.len() + batch.erasures.len());
        let bucket = batch.bucket;
        let mut add = |statement: &PreparedStatement, of: Vec<Value<'a>>| {
            statements.append_statement(statement.clone());
            values.push(of);
        };
        let expected = Value::Number(batch.expected.map(number));
        add(&self.move_head, vec![number(batch.head).into(), conversation(bucket), bucket.number.into(), expected]);
        for (act, at) in &batch.acts {
            add(&self.put_act, vec![conversation(bucket), bucket.number.into(), act[..].into(), number(*at).into()]);
        }
        for NewRow { sequence, record, payload } in batch.rows.iter() {
            let mut of = vec![conversation(bucket), bucket.number.into(), number(*sequence).into()];
            of.extend([batch.append.into(), record[..].into()]);
            match payload {
                Some(payload) => {
                    of.push(payload[..].into());
                    add(&self.put_message, of);
                }
                None => add(&self.put_record, of),
            }
        }
        for erasure in &batch.erasures {
            add(&self.erase_here, erasing(bucket, *erasure));
        }
        (statements, values)
    }

    async fn read(
        &self,
        reading: &Reading,
        sight: Sight,
        values: &[Value<'_>],
        each: impl FnMut(&Answer) + Send,
    ) -> Result<(), Reason> {
        self.cluster.read(reading, sight, values, each).await
    }
}

fn conversation<'a>(bucket: Bucket) -> Value<'a> {
    Uuid::from_bytes(*bucket.conversation.as_bytes()).into()
}

fn place<'a>(bucket: Bucket) -> [Value<'a>; 2] {
    [conversation(bucket), bucket.number.into()]
}

fn erasing<'a>(bucket: Bucket, erasure: Erasure) -> Vec<Value<'a>> {
    let [conversation, number_of] = place(bucket);
    vec![number(erasure.recall).into(), conversation, number_of, number(erasure.target).into()]
}

/// What a server says of a batch, whichever kind of server it is.
fn cas(answer: &Answer) -> Result<Cas, Failure> {
    if answer.applied()? {
        return Ok(Cas::Applied);
    }
    let head = answer.rows().find_map(|row| row.number("head")).and_then(sequence);
    let known = answer.rows().filter_map(|row| {
        // A record's row is none of the conditions', and a row that is not there is all null.
        let act = row.bytes("act")?.try_into().ok()?;
        Some((act, sequence(row.number("place")?)?))
    });
    Ok(Cas::Refused { head, known: known.collect() })
}

fn stored_row(row: Named<'_>) -> Option<StoredRow> {
    Some(StoredRow {
        sequence: sequence(row.number("sequence")?)?,
        record: row.bytes("record").unwrap_or_default().to_vec(),
        payload: row.bytes("payload").map(<[u8]>::to_vec),
        erased: row.number("erased").and_then(sequence),
        recalls: row.numbers("recalls").into_iter().filter_map(sequence).collect(),
        head: row.number("head").and_then(sequence),
    })
}

impl Partitions for LogTable {
    async fn cas(&self, batch: &Batch) -> Result<Cas, Failure> {
        let (mut statements, values) = self.statements(batch);
        cas(&self.cluster.batch("append", &mut statements, &values).await?)
    }

    async fn head(&self, at: Bucket, sight: Sight) -> Result<Option<Sequence>, Reason> {
        let mut head = None;
        self.read(&self.head, sight, &place(at), |page| {
            head = head.or(page.first().and_then(|row| row.number("head")).and_then(sequence));
        })
        .await?;
        Ok(head)
    }

    async fn winner(&self, at: Bucket, sequence: Sequence, sight: Sight) -> Result<Option<Uuid>, Reason> {
        let [conversation, bucket] = place(at);
        let mut winner = None;
        self.read(&self.winner, sight, &[conversation, bucket, number(sequence).into()], |page| {
            winner = winner.or(page.first().and_then(|row| row.uuid("append")));
        })
        .await?;
        Ok(winner)
    }

    async fn rows(&self, at: Bucket, from: Sequence, to: Sequence, sight: Sight) -> Result<Vec<StoredRow>, Reason> {
        let [conversation, bucket] = place(at);
        let mut rows = Vec::new();
        self.read(&self.rows, sight, &[conversation, bucket, number(from).into(), number(to).into()], |page| {
            rows.extend(page.rows().filter_map(stored_row));
        })
        .await?;
        Ok(rows)
    }

    async fn acts(&self, at: Bucket, acts: &[ActKey]) -> Result<Vec<(ActKey, Sequence)>, Reason> {
        let [conversation, bucket] = place(at);
        let wanted = Value::Blobs(acts.iter().map(|act| &act[..]).collect());
        let mut found = Vec::new();
        self.read(&self.acts, Sight::Quorum, &[conversation, bucket, wanted], |page| {
            let act = |row: Named<'_>| Some((row.bytes("act")?.try_into().ok()?, sequence(row.number("place")?)?));
            found.extend(page.rows().filter_map(act));
        })
        .await?;
        Ok(found)
    }

    async fn all_acts(&self, at: Bucket) -> Result<Vec<ActKey>, Reason> {
        let mut acts = Vec::new();
        self.read(&self.all_acts, Sight::Quorum, &place(at), |page| {
            acts.extend(page.rows().filter_map(|row| ActKey::try_from(row.bytes("act")?).ok()));
        })
        .await?;
        Ok(acts)
    }

    async fn intend(&self, at: Bucket, erasure: Erasure) -> Result<(), Failure> {
        let [conversation, bucket] = place(at);
        let recalls = Value::Numbers(vec![number(erasure.recall)]);
        let values = [recalls, conversation, bucket, number(erasure.target).into()];
        self.cluster.write("recall", &self.intend, &values).await.map(|_| ())
    }

    async fn erase(&self, at: Bucket, erasure: Erasure) -> Result<(), Failure> {
        self.cluster.write("recall", &self.erase, &erasing(at, erasure)).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use scylla::value::CqlValue;

    use super::super::super::outcome::shapes::answer;
    use super::*;

    fn at(number: u64) -> Sequence {
        Sequence::new(number)
    }

    fn blob(bytes: &[u8]) -> CqlValue {
        CqlValue::Blob(bytes.to_vec())
    }

    const ALL: [&str; 7] = ["[applied]", "conversation", "kind", "sequence", "act", "head", "place"];

    /// A row of a refused batch; whatever is not given is null.
    fn row(applied: bool, act: Option<&[u8]>, head: Option<i64>, place: Option<i64>) -> Vec<Option<CqlValue>> {
        let kind = act.map(|_| CqlValue::TinyInt(1));
        let sequence = act.map(|_| CqlValue::BigInt(0));
        let head = head.map(CqlValue::BigInt);
        vec![Some(CqlValue::Boolean(applied)), None, kind, sequence, act.map(blob), head, place.map(CqlValue::BigInt)]
    }

    #[test]
    fn cassandra_tells_what_exists_in_the_order_of_its_keys() {
        assert_eq!(cas(&answer(&["[applied]"], vec![vec![Some(CqlValue::Boolean(true))]])), Ok(Cas::Applied));
        let stale = answer(&ALL, vec![row(false, None, Some(7), None)]);
        assert_eq!(cas(&stale), Ok(Cas::Refused { head: Some(at(7)), known: vec![] }));
        let empty = answer(&["[applied]"], vec![vec![Some(CqlValue::Boolean(false))]]);
        assert_eq!(cas(&empty), Ok(Cas::Refused { head: None, known: vec![] }));
        let (a, b) = ([1; 32], [2; 32]);
        let known = answer(&ALL, vec![row(false, Some(&a), Some(9), Some(3)), row(false, Some(&b), Some(9), Some(2))]);
        assert_eq!(cas(&known), Ok(Cas::Refused { head: Some(at(9)), known: vec![(a, at(3)), (b, at(2))] }));
        let values = [blob(&a), CqlValue::BigInt(9), CqlValue::BigInt(3), CqlValue::Boolean(false)];
        let other_columns = answer(&["act", "head", "place", "[applied]"], vec![values.map(Some).to_vec()]);
        assert_eq!(cas(&other_columns), Ok(Cas::Refused { head: Some(at(9)), known: vec![(a, at(3))] }));
    }

    #[test]
    fn scylla_tells_a_row_for_each_condition_in_the_order_of_the_statements() {
        let b = [2; 32];
        let applied = vec![row(true, None, Some(6), None), row(true, None, None, None), row(true, None, None, None)];
        assert_eq!(cas(&answer(&ALL, applied)), Ok(Cas::Applied), "old values come with an applied batch too");
        let stale = vec![row(false, None, Some(7), None), row(false, None, None, None)];
        assert_eq!(cas(&answer(&ALL, stale)), Ok(Cas::Refused { head: Some(at(7)), known: vec![] }));
        let known =
            vec![row(false, None, Some(9), None), row(false, None, None, None), row(false, Some(&b), Some(9), Some(2))];
        assert_eq!(cas(&answer(&ALL, known)), Ok(Cas::Refused { head: Some(at(9)), known: vec![(b, at(2))] }));
        let never_begun = vec![row(false, None, None, None), row(false, None, None, None)];
        assert_eq!(cas(&answer(&ALL, never_begun)), Ok(Cas::Refused { head: None, known: vec![] }));
    }
}
