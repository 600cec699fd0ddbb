//! `hubbub verify`: checks a stopped store from the first byte to the last, and changes nothing.

use std::io;
use std::path::Path;

use hubbub_storage::sqlite::{self, OpenError, Problem, VerifyError, VerifySummary};
use serde::Serialize;

use crate::start_error::{advice, in_one_line};

/// What a check found, as people and machines are told.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The folder.
    data: String,
    /// Whether all is sound.
    ok: bool,
    /// What was counted, where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<Summary>,
    /// What is wrong where.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<Wrong>,
    /// Why nothing could be checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Summary {
    conversations: u64,
    log_records: u64,
    journal_records: u64,
    journal_torn_bytes: u64,
    client_ids: u64,
    rows: u64,
    claims: u64,
}

#[derive(Debug, Serialize)]
struct Wrong {
    file: &'static str,
    what: String,
}

/// Checks the store in this folder. Blocks.
pub fn verify(data: &Path) -> Report {
    let mut report =
        Report { data: data.display().to_string(), ok: false, summary: None, problems: Vec::new(), error: None };
    match check(data) {
        Ok(summary) => {
            report.ok = true;
            report.summary = Some(summary.into());
        }
        Err(VerifyError::Damaged(problems)) => report.problems = problems.into_iter().map(Wrong::from).collect(),
        Err(VerifyError::Open(error)) => {
            report.error = Some(format!("{}; {}", in_one_line(&error), advice_on_checking(&error)));
        }
    }
    report
}

fn check(data: &Path) -> Result<VerifySummary, VerifyError> {
    // A folder that is not there is told, not made.
    if let Err(source) = std::fs::read_dir(data) {
        return Err(OpenError::Io { path: data.to_path_buf(), source }.into());
    }
    sqlite::verify(data)
}

fn advice_on_checking(error: &OpenError) -> &'static str {
    match error {
        OpenError::InUse { .. } => "stop that process first, since a check needs the store at rest",
        OpenError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            "name the folder that `hubbub serve` was given with --data"
        }
        OpenError::Damaged { .. } => "move the folder aside and restore a backup",
        other => advice(other),
    }
}

impl Report {
    /// Whether all is sound.
    pub fn is_ok(&self) -> bool {
        self.ok
    }

    /// For machines: one JSON object.
    pub fn as_json(&self) -> String {
        // Text, numbers and lists of them: nothing of it can fail to be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// For people.
    pub fn as_text(&self) -> String {
        if let Some(summary) = &self.summary {
            let mut parts = vec![format!(
                "{} is sound: {} conversations with {} records and {} client ids, {} rows with {} claims",
                self.data, summary.conversations, summary.log_records, summary.client_ids, summary.rows, summary.claims
            )];
            if summary.journal_records > 0 {
                parts
                    .push(format!("{} records are in the journal only, until the next start", summary.journal_records));
            }
            if summary.journal_torn_bytes > 0 {
                parts.push(format!(
                    "the journal's last {} bytes are no whole group, and the next start cuts them off",
                    summary.journal_torn_bytes
                ));
            }
            return parts.join("; ");
        }
        if let Some(error) = &self.error {
            return format!("{} was not checked: {error}", self.data);
        }
        let places = if self.problems.len() == 1 { "place" } else { "places" };
        let mut lines = vec![format!("{} is damaged in {} {places}:", self.data, self.problems.len())];
        lines.extend(self.problems.iter().map(|Wrong { file, what }| format!("  {file}: {what}")));
        lines.join("\n")
    }
}

impl From<VerifySummary> for Summary {
    fn from(summary: VerifySummary) -> Self {
        let VerifySummary { conversations, log_records, journal_records, journal_torn_bytes, client_ids, rows, claims } =
            summary;
        Self { conversations, log_records, journal_records, journal_torn_bytes, client_ids, rows, claims }
    }
}

impl From<Problem> for Wrong {
    fn from(problem: Problem) -> Self {
        Self { file: problem.file, what: problem.what }
    }
}
