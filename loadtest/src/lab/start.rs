//! How long a server takes to its first connection with many messages stored.
//!
//! It is filled over its own sockets, stopped, and started again.

use std::path::Path;

use anyhow::ensure;
use serde_json::json;

use super::child::Told;
use super::rows::Budget;
use super::stand::{Stand, Store};
use super::table::{Entry, Measured};
use crate::host::cores::Cores;
use crate::host::stop;

pub(super) const NAME: &str = "start";
pub(super) const WHAT: &str = "from the start to the first connection, with a million messages stored";

/// Seconds of each filling.
const FILLING: &str = "10";
/// Fillings, at most: a slow disk makes the row smaller, not endless.
const FILLINGS_MAX: usize = 12;
/// Starts that are timed, of which the median counts.
const STARTS: usize = 5;

/// Fills, stops and starts. Blocks.
pub(super) fn measure(server: &Path, folder: &Path, cores: &Cores, wanted: u64) -> anyhow::Result<Entry> {
    let stand = Stand::start(server, Store::Sqlite, folder, cores)?;
    let words = ["ack", "--people", "8", "--warm-up", "0", "--no-floor", "--max-late", "100"];
    let mut words: Vec<String> = words.map(str::to_owned).to_vec();
    words.extend(["--seconds".to_owned(), FILLING.to_owned(), "--url".to_owned(), stand.url.clone()]);
    let (mut stored, mut clean) = (0.0, true);
    for _ in 0..FILLINGS_MAX {
        let told = Told::by(&words, folder)?;
        stored += told.number("/acked").unwrap_or_default();
        clean &= told.is_clean();
        if stored >= crate::measure::as_f64(wanted) {
            break;
        }
    }
    ensure!(stored > 0.0, "nothing was stored");
    stand.stop();
    let mut times = Vec::new();
    for _ in 0..STARTS {
        ensure!(!stop::is_asked(), "interrupted");
        let again = Stand::start(server, Store::Sqlite, folder, cores)?;
        times.push(again.ready_after.as_secs_f64());
        again.stop();
    }
    std::fs::remove_dir_all(folder)?;
    let fewer = (stored < crate::measure::as_f64(wanted))
        .then(|| format!("{stored} messages in place of {wanted}: the disk took no more in {FILLINGS_MAX} fillings"));
    let figures = vec![
        Measured::new("time", Some(crate::statistics::median(&times)), "s", Budget::AtMost(1.0)),
        Measured::new("messages", Some(stored), "", Budget::Told),
    ];
    Ok(Entry {
        row: NAME.to_owned(),
        what: WHAT.to_owned(),
        command: "loadtest lab --rows start".to_owned(),
        valid: true,
        clean,
        figures,
        notes: fewer.into_iter().collect(),
        report: json!({ "seconds": times, "messages": stored }),
        ..Entry::default()
    })
}
