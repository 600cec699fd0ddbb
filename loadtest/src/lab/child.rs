//! One scenario run by a process of its own, and its report as JSON.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::host::{child, stop};

/// A scenario that takes longer to stop is ended.
const STOPPING: Duration = Duration::from_secs(5);

/// A report, as it was written.
#[derive(Debug, Clone)]
pub(crate) struct Told(Value);

impl Told {
    /// Runs `loadtest` with these words and reads its report. Blocks; stops it when this process is asked to stop.
    pub(crate) fn by(words: &[String], folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("report.json");
        std::fs::remove_file(&path).ok();
        let mut child = Command::new(std::env::current_exe()?)
            .args(words)
            .arg("--report")
            .arg(&path)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let Some(status) = child::wait(&mut child, STOPPING, stop::is_asked)? else { bail!("interrupted") };
        let text = std::fs::read(&path).with_context(|| format!("no report of {}: {status}", words.join(" ")))?;
        Ok(Self(serde_json::from_slice(&text)?))
    }

    /// A number in it, by its path.
    pub(crate) fn number(&self, pointer: &str) -> Option<f64> {
        self.0.pointer(pointer).and_then(Value::as_f64)
    }

    pub(crate) fn text(&self, pointer: &str) -> Option<&str> {
        self.0.pointer(pointer).and_then(Value::as_str)
    }

    /// The generator kept up.
    pub(crate) fn is_valid(&self) -> bool {
        self.0.pointer("/valid").and_then(Value::as_bool) == Some(true)
    }

    /// The ledger is clean.
    pub(crate) fn is_clean(&self) -> bool {
        let counts = ["/lost", "/doubled", "/reordered", "/gaps", "/false", "/unknown"];
        counts.iter().all(|pointer| self.0.pointer(pointer).and_then(Value::as_u64) == Some(0))
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        let notes = self.0.pointer("/notes").and_then(Value::as_array);
        notes.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// All of it.
    pub(crate) const fn value(&self) -> &Value {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Report;

    #[test]
    fn what_a_report_says_is_found_by_its_path() {
        let mut report = Report { valid: true, ratio: Some(1.5), ..Report::default() };
        report.server.cpu_us_per_send = Some(9.0);
        report.notes.push("so".to_owned());
        let told = Told(serde_json::to_value(&report).expect("JSON"));
        assert!(told.is_valid() && told.is_clean());
        assert_eq!((told.number("/ratio"), told.number("/server/cpu_us_per_send")), (Some(1.5), Some(9.0)));
        assert_eq!((told.number("/send_rate"), told.notes()), (None, vec!["so".to_owned()]));
        report.gaps = 1;
        assert!(!Told(serde_json::to_value(&report).expect("JSON")).is_clean());
    }
}
