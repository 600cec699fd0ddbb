//! One run made by several processes: more sockets than one process may hold, each part with its share of them.
//!
//! Each part is this program again, with one of the servers. It says a word at each stage and waits for one back, so
//! that all parts are live before anything is measured, and the parent can look at servers and kernel in between. The
//! parent makes no load; it adds up what the parts report.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use crate::host::child;
use crate::measure::Latencies;
use crate::options::Common;
use crate::report::Report;

/// One process of the run.
struct Part {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    report: PathBuf,
}

/// All of them.
pub(crate) struct Parts {
    parts: Vec<Part>,
    held: Held,
}

/// Which parts run: for whoever cannot wait for them, as [`Parts`] blocks.
pub(crate) type Held = Arc<Mutex<Vec<u32>>>;

/// Asks the parts that run to stop when it is dropped; whoever blocks for them then hears that they ended.
#[derive(Default)]
pub(crate) struct Leash(Held);

impl Leash {
    /// For [`Parts::start`].
    pub(crate) fn held(&self) -> Held {
        Arc::clone(&self.0)
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        for pid in self.0.lock().map(|mut held| std::mem::take(&mut *held)).unwrap_or_default() {
            child::ask(pid);
        }
    }
}

impl Parts {
    /// Starts the parts: for each the words of its scenario, as they stand after `loadtest`.
    pub(crate) fn start(common: &Common, words: impl Iterator<Item = Vec<String>>, held: Held) -> anyhow::Result<Self> {
        let mut whole = Self { parts: Vec::new(), held };
        for (number, words) in words.enumerate() {
            let report = std::env::temp_dir().join(format!("loadtest-{}-{number}.json", std::process::id()));
            let url = common.url.get(number % common.url.len().max(1)).context("no server is named")?;
            let seed = common.seed.wrapping_add(number as u64);
            let mut child = Command::new(std::env::current_exe()?)
                .args(words)
                .args(["--part", "--no-floor", "--pin", "false", "--url", url])
                .args(["--seed", &seed.to_string(), "--seconds", &common.seconds.to_string()])
                .args(["--warm-up", &common.warm_up.to_string(), "--payload", &common.payload.to_string()])
                .args(["--drain", &common.drain.to_string(), "--max-late", &common.max_late.to_string()])
                .arg("--report")
                .arg(&report)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .context("a part could not be started")?;
            let input = child.stdin.take().context("no input")?;
            let output = BufReader::new(child.stdout.take().context("no output")?);
            if let Ok(mut held) = whole.held.lock() {
                held.push(child.id());
            }
            whole.parts.push(Part { child, input, output, report });
        }
        Ok(whole)
    }

    /// Waits until every part has said this word. Blocks.
    pub(crate) fn all_say(&mut self, word: &str) -> anyhow::Result<()> {
        for part in &mut self.parts {
            let mut line = String::new();
            while line.trim() != word {
                line.clear();
                ensure!(part.output.read_line(&mut line)? > 0, "a part ended before it was {word}");
            }
        }
        Ok(())
    }

    /// Lets all go on.
    pub(crate) fn go_on(&mut self) -> anyhow::Result<()> {
        for part in &mut self.parts {
            part.input.write_all(b"\n")?;
        }
        Ok(())
    }

    /// Waits for all to end and adds up what they report.
    pub(crate) fn finish(mut self, report: &mut Report) -> anyhow::Result<()> {
        let mut deliveries = Latencies::default();
        for (number, part) in self.parts.iter_mut().enumerate() {
            let mut rest = String::new();
            while part.output.read_line(&mut rest)? > 0 {
                rest.clear();
            }
            let status = part.child.wait()?;
            let text =
                std::fs::read(&part.report).with_context(|| format!("part {number} left no report: {status}"))?;
            add(report, &serde_json::from_slice(&text)?, number, &mut deliveries)?;
        }
        report.deliver_us = deliveries.percentiles();
        report.deliver_distribution = deliveries.distribution();
        Ok(())
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        // Their numbers may soon be others'.
        drop(self.held.lock().map(|mut held| held.clear()));
        for part in &mut self.parts {
            // Those that ended by themselves are gone already.
            part.child.kill().ok();
            part.child.wait().ok();
            std::fs::remove_file(&part.report).ok();
        }
    }
}

/// Adds one part's report to the whole.
fn add(report: &mut Report, part: &Value, number: usize, deliveries: &mut Latencies) -> anyhow::Result<()> {
    let count = |key: &str| part.get(key).and_then(Value::as_u64).with_context(|| format!("a report without {key}"));
    report.clients += count("clients")?;
    report.sent += count("sent")?;
    report.acked += count("acked")?;
    report.unknown += count("unknown")?;
    report.refused += count("refused")?;
    report.delivered += count("delivered")?;
    report.lost += count("lost")?;
    report.doubled += count("doubled")?;
    report.reordered += count("reordered")?;
    report.gaps += count("gaps")?;
    report.false_ += count("false")?;
    report.reconnects += count("reconnects")?;
    let rate = |key: &str| part.get(key).and_then(Value::as_f64);
    for (sum, key) in [(&mut report.send_rate, "send_rate"), (&mut report.delivery_rate, "delivery_rate")] {
        if let Some(rate) = rate(key) {
            *sum = Some(sum.unwrap_or_default() + rate);
        }
    }
    for pair in part.get("deliver_distribution").and_then(Value::as_array).into_iter().flatten() {
        let Some([us, count]) = pair.as_array().map(Vec::as_slice) else { bail!("a distribution of something else") };
        deliveries.record_many(us.as_u64().unwrap_or(0), count.as_u64().unwrap_or(0));
    }
    if part.get("valid").and_then(Value::as_bool) != Some(true) {
        let notes = part.get("notes").map(ToString::to_string).unwrap_or_default();
        report.invalid(format!("part {number}: {notes}"));
    }
    Ok(())
}

/// As a part: says a word and waits for one back. As no part, does nothing.
pub(crate) async fn say(common: &Common, word: &'static str) -> anyhow::Result<()> {
    if !common.part {
        return Ok(());
    }
    let answered = tokio::task::spawn_blocking(move || {
        println!("{word}");
        std::io::stdin().read_line(&mut String::new())
    });
    ensure!(answered.await?? > 0, "the parent is gone");
    Ok(())
}
