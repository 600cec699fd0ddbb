//! What a server's answer to a conditional write means: done, refused, not done, or unknown (HONEST).
//!
//! The two kinds of server spell a refused batch differently. ScyllaDB sends one row for each conditional statement, in
//! the order of the statements, applied or not, with the old values (all null where there was no row). Cassandra sends
//! `[applied]` alone when applied; refused, one row for each row that *exists*, in clustering order, or one with the
//! partition's key and statics when none does, or `[applied]` alone when the partition is empty. So columns are found by
//! their name and rows by their key, never by place.
//!
//! An error is only then "not done" when the server or the driver says so of the whole round: `Unavailable` at a serial
//! consistency, no connection to send on, a request that never left. Everything else (timeouts, cut connections, what
//! goes wrong while a decided round is taught to the replicas) leaves it unknown.

use scylla::errors::{BadQuery, DbError, ExecutionError, RequestAttemptError};
use scylla::frame::types::Consistency;
use scylla::response::query_result::QueryResult;
use scylla::value::{CqlValue, Row};
use uuid::Uuid;

use crate::error::Reason;

/// How a write failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nothing happened, nor ever will by this try.
    NotDone(Reason),
    /// It may have happened, and may happen yet.
    Unknown(Reason),
}

impl Failure {
    /// What the driver's error means for a conditional write that was sent once.
    pub(super) fn of_write(error: &ExecutionError) -> Self {
        let reason = Reason::new(error);
        if never_ran(error) { Self::NotDone(reason) } else { Self::Unknown(reason) }
    }
}

fn never_ran(error: &ExecutionError) -> bool {
    match error {
        ExecutionError::EmptyPlan
        | ExecutionError::ConnectionPoolError(_)
        | ExecutionError::PrepareError(_)
        | ExecutionError::BadQuery(BadQuery::SerializationError(_) | BadQuery::TooManyQueriesInBatchStatement(_)) => {
            true
        }
        ExecutionError::LastAttemptError(attempt) => match attempt {
            RequestAttemptError::SerializationError(_)
            | RequestAttemptError::CqlRequestSerialization(_)
            | RequestAttemptError::UnableToAllocStreamId
            // Both come after the server said that it does not know the statement, so that it ran nothing.
            | RequestAttemptError::RepreparedIdChanged { .. }
            | RequestAttemptError::RepreparedIdMissingInBatch => true,
            RequestAttemptError::DbError(error, _) => server_ran_nothing(error),
            _ => false,
        },
        _ => false,
    }
}

fn server_ran_nothing(error: &DbError) -> bool {
    match error {
        // At another consistency it comes from teaching what was decided.
        DbError::Unavailable { consistency, .. } => {
            matches!(consistency, Consistency::Serial | Consistency::LocalSerial)
        }
        DbError::RateLimitReached { rejected_by_coordinator, .. } => *rejected_by_coordinator,
        DbError::SyntaxError
        | DbError::Invalid
        | DbError::Unauthorized
        | DbError::ConfigError
        | DbError::IsBootstrapping
        | DbError::ProtocolError => true,
        _ => false,
    }
}

/// The rows of an answer, with the names of their columns.
#[derive(Debug, Default)]
pub(super) struct Answer {
    names: Vec<String>,
    rows: Vec<Vec<Option<CqlValue>>>,
}

/// One row of it.
#[derive(Clone, Copy)]
pub(super) struct Named<'a> {
    names: &'a [String],
    columns: &'a [Option<CqlValue>],
}

impl Answer {
    /// The driver's answer; what cannot be read says so.
    pub(super) fn of(result: QueryResult) -> Result<Self, Reason> {
        if !result.is_rows() {
            return Ok(Self::default());
        }
        let result = result.into_rows_result().map_err(Reason::new)?;
        let names = result.column_specs().iter().map(|spec| spec.name().to_owned()).collect();
        let rows = result.rows::<Row>().map_err(Reason::new)?;
        let rows = rows.map(|row| row.map(|row| row.columns).map_err(Reason::new)).collect::<Result<_, _>>()?;
        Ok(Self { names, rows })
    }

    /// Its rows.
    pub(super) fn rows(&self) -> impl Iterator<Item = Named<'_>> {
        self.rows.iter().map(|columns| Named { names: &self.names, columns })
    }

    /// The first row.
    pub(super) fn first(&self) -> Option<Named<'_>> {
        self.rows().next()
    }

    /// Whether a conditional write was applied; an answer that does not say so leaves it unknown.
    pub(super) fn applied(&self) -> Result<bool, Failure> {
        let silent = || Failure::Unknown(Reason::new("the answer does not say whether the write was applied"));
        let mut applied = true;
        let mut said = false;
        for row in self.rows() {
            let CqlValue::Boolean(value) = row.get("[applied]").ok_or_else(silent)? else { return Err(silent()) };
            applied &= *value;
            said = true;
        }
        if said { Ok(applied) } else { Err(silent()) }
    }
}

impl Named<'_> {
    /// The value of a column; `None` where it is null or absent.
    pub(super) fn get(&self, name: &str) -> Option<&CqlValue> {
        let place = self.names.iter().position(|found| found == name)?;
        self.columns.get(place)?.as_ref()
    }

    pub(super) fn number(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            CqlValue::BigInt(number) => Some(*number),
            CqlValue::Int(number) => Some(i64::from(*number)),
            CqlValue::TinyInt(number) => Some(i64::from(*number)),
            _ => None,
        }
    }

    pub(super) fn bytes(&self, name: &str) -> Option<&[u8]> {
        match self.get(name)? {
            CqlValue::Blob(bytes) => Some(bytes),
            // An empty blob may be told so.
            CqlValue::Empty => Some(&[]),
            _ => None,
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            CqlValue::Text(text) | CqlValue::Ascii(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn uuid(&self, name: &str) -> Option<Uuid> {
        if let CqlValue::Uuid(uuid) = self.get(name)? { Some(*uuid) } else { None }
    }

    /// The members of a set of numbers; none where it is null.
    pub(super) fn numbers(&self, name: &str) -> Vec<i64> {
        let Some(CqlValue::Set(members)) = self.get(name) else { return Vec::new() };
        let number = |member: &CqlValue| if let CqlValue::BigInt(number) = member { Some(*number) } else { None };
        members.iter().filter_map(number).collect()
    }
}

#[cfg(test)]
pub(super) mod shapes {
    //! Answers as servers send them, for tests.

    use super::*;

    /// An answer with these columns and rows.
    pub(in crate::scylla) fn answer(names: &[&str], rows: Vec<Vec<Option<CqlValue>>>) -> Answer {
        Answer { names: names.iter().map(|name| (*name).to_owned()).collect(), rows }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(error: DbError) -> Failure {
        Failure::of_write(&ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, String::new())))
    }

    fn unavailable(consistency: Consistency) -> DbError {
        DbError::Unavailable { consistency, required: 2, alive: 1 }
    }

    #[test]
    fn only_what_surely_never_ran_is_called_not_done() {
        use scylla::errors::WriteType;
        let not_done = [
            unavailable(Consistency::Serial),
            unavailable(Consistency::LocalSerial),
            DbError::Invalid,
            DbError::Unauthorized,
            DbError::IsBootstrapping,
        ];
        for error in not_done {
            assert!(matches!(failure(error.clone()), Failure::NotDone(_)), "HONEST: {error}");
        }
        let timeout =
            |consistency, write_type| DbError::WriteTimeout { consistency, received: 1, required: 2, write_type };
        let unknown = [
            unavailable(Consistency::LocalQuorum),
            unavailable(Consistency::Quorum),
            timeout(Consistency::LocalSerial, WriteType::Cas),
            timeout(Consistency::LocalQuorum, WriteType::Simple),
            DbError::Overloaded,
            DbError::ServerError,
            DbError::Other(0x1700),
        ];
        for error in unknown {
            assert!(matches!(failure(error.clone()), Failure::Unknown(_)), "HONEST: {error}");
        }
        let timed_out = ExecutionError::RequestTimeout(std::time::Duration::from_secs(1));
        assert!(matches!(Failure::of_write(&timed_out), Failure::Unknown(_)), "HONEST");
        assert!(matches!(Failure::of_write(&ExecutionError::EmptyPlan), Failure::NotDone(_)));
    }

    #[test]
    fn an_answer_that_does_not_say_whether_it_was_applied_leaves_it_unknown() {
        let yes = || Some(CqlValue::Boolean(true));
        let no = || Some(CqlValue::Boolean(false));
        assert_eq!(shapes::answer(&["[applied]"], vec![vec![yes()]]).applied(), Ok(true));
        assert_eq!(shapes::answer(&["[applied]"], vec![vec![no()], vec![no()]]).applied(), Ok(false));
        for silent in [
            Answer::default(),
            shapes::answer(&["[applied]"], vec![]),
            shapes::answer(&["[applied]"], vec![vec![None]]),
            shapes::answer(&["head"], vec![vec![Some(CqlValue::BigInt(1))]]),
        ] {
            assert!(matches!(silent.applied(), Err(Failure::Unknown(_))), "HONEST: {silent:?}");
        }
    }
}
