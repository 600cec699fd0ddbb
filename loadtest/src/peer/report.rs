//! What a comparison found: all its samples, what they say together, and how it was made.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::kind::{Kept, Kind};
use super::ledger::Tally;
use super::sample::{Measure, Sample};
use crate::statistics::{Interval, median};

/// A generator that used more of its core than this was the limit.
const GENERATOR_FULL: f64 = 0.95;
const COLUMNS: usize = 7;
/// What the columns of a table are.
const TITLES: [&str; COLUMNS] =
    ["Peer", "Server µs for each", "Times ours", "Each a second", "KiB for each", "Busy: server / generator", "Ledger"];

/// How it was made. Rounds can be added to those that were made alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Conditions {
    pub(super) seconds: u64,
    pub(super) receivers: u32,
    pub(super) payload_bytes: usize,
    pub(super) senders: u32,
    pub(super) depth: u32,
    pub(super) idle: u32,
    pub(super) people: u32,
    /// Which cores the server had, and which the generator.
    pub(super) cores: Option<(String, String)>,
    /// The file system of the durable rows.
    pub(super) disk: String,
}

/// Samples and how they were made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Comparison {
    pub(super) conditions: Conditions,
    /// What each peer says of itself.
    pub(super) versions: Vec<(Kind, String)>,
    pub(super) samples: Vec<Sample>,
}

/// What the rounds of one peer and measure say together.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Row {
    pub(super) peer: Kind,
    pub(super) measure: Measure,
    pub(super) server_us: Option<Interval>,
    pub(super) rate: Option<Interval>,
    pub(super) kib: Option<Interval>,
    /// The rounds' medians.
    pub(super) server_busy: Option<f64>,
    pub(super) generator_busy: Option<f64>,
    pub(super) took_p50_us: Option<f64>,
    pub(super) took_p99_us: Option<f64>,
    /// Its CPU, or its memory, over that of ours in the same round.
    pub(super) times_hubbub: Option<Interval>,
    pub(super) ledger: Tally,
    pub(super) troubles: Vec<String>,
}

#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    comparison: &'a Comparison,
    summary: Vec<Row>,
}

impl Comparison {
    /// The next round's number.
    pub(super) fn next_round(&self) -> usize {
        self.samples.iter().map(|sample| sample.round + 1).max().unwrap_or(0)
    }

    /// What was written before.
    pub(super) fn read(file: &Path) -> anyhow::Result<Self> {
        let text = fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is no comparison", file.display()))
    }

    /// Writes all.
    pub(super) fn write(&self, file: &Path) -> anyhow::Result<()> {
        let json = serde_json::to_vec_pretty(&Whole { comparison: self, summary: self.rows() })?;
        fs::write(file, json).with_context(|| format!("{} could not be written", file.display()))
    }

    /// Whether there is anything, and nothing is to be said against any of it.
    pub(super) fn is_clean(&self) -> bool {
        !self.samples.is_empty() && self.samples.iter().all(Sample::is_clean)
    }

    /// A row for each peer and measure, by measure.
    pub(super) fn rows(&self) -> Vec<Row> {
        let mut keys: Vec<(Measure, Kind)> = self.samples.iter().map(|one| (one.measure, one.peer)).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter().map(|(measure, peer)| self.row(measure, peer)).collect()
    }

    fn row(&self, measure: Measure, peer: Kind) -> Row {
        let of = |peer: Kind| {
            self.samples.iter().filter(move |one| one.measure == measure && one.peer == peer).collect::<Vec<_>>()
        };
        let own = of(peer);
        let clean: Vec<&Sample> = own.iter().copied().filter(|one| one.is_clean()).collect();
        let all = |of: &dyn Fn(&Sample) -> Option<f64>| clean.iter().filter_map(|one| of(one)).collect::<Vec<f64>>();
        let middle = |values: Vec<f64>| (!values.is_empty()).then(|| median(&values));
        let ours = of(if measure == Measure::Ack(Kept::Memory) { Kind::HubbubMemory } else { Kind::Hubbub });
        let times = clean.iter().filter_map(|one| {
            let same = ours.iter().find(|our| our.round == one.round && our.is_clean())?;
            let (theirs, ours) = one.server_us.zip(same.server_us).or(one.kib.zip(same.kib))?;
            (ours > 0.0).then(|| theirs / ours)
        });
        Row {
            peer,
            measure,
            server_us: Interval::of(&all(&|one| one.server_us)),
            rate: Interval::of(&all(&|one| one.rate)),
            kib: Interval::of(&all(&|one| one.kib)),
            server_busy: middle(all(&|one| one.server_busy)),
            generator_busy: middle(all(&|one| one.generator_busy)),
            took_p50_us: middle(all(&|one| Some(crate::measure::as_f64(one.took_us?.p50)))),
            took_p99_us: middle(all(&|one| Some(crate::measure::as_f64(one.took_us?.p99)))),
            times_hubbub: if peer.is_hubbub() { None } else { Interval::of(&times.collect::<Vec<f64>>()) },
            ledger: own.iter().fold(Tally::default(), |sum, one| sum.and(one.ledger)),
            troubles: own.iter().filter_map(|one| one.trouble.clone()).collect(),
        }
    }

    fn heading(&self, measure: Measure) -> String {
        let Conditions { receivers, payload_bytes, senders, depth, idle, .. } = self.conditions;
        match measure {
            Measure::FanOut(window) => {
                format!("Fan-out: a room of {receivers} receivers, {payload_bytes} B, {window} out at a time")
            }
            Measure::Ack(kept) => {
                format!("Acknowledged publishes, {}: {senders} senders, {depth} deep, {payload_bytes} B", kept.words())
            }
            Measure::Connects => "Connections a second, login included".to_owned(),
            Measure::Idle => format!("Memory: {idle} connections that do nothing"),
        }
    }

    /// A table for each measure: its heading and a line for each peer.
    fn tables(&self) -> Vec<(String, Vec<[String; COLUMNS]>)> {
        let rows = self.rows();
        let tables = rows.chunk_by(|one, other| one.measure == other.measure);
        tables
            .filter_map(|rows| Some((self.heading(rows.first()?.measure), rows.iter().map(Self::cells).collect())))
            .collect()
    }

    /// The tables for people.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (heading, lines) in self.tables() {
            let _written = write!(text, "\n{heading}\n");
            line(&mut text, &TITLES.map(str::to_owned));
            for cells in &lines {
                line(&mut text, cells);
            }
        }
        text
    }

    /// The tables as Markdown.
    pub(super) fn markdown(&self) -> String {
        let mut text = String::new();
        for (heading, lines) in self.tables() {
            let _written = write!(text, "\n### {heading}\n\n| {} |\n", TITLES.join(" | "));
            text.push_str("| --- | ---: | ---: | ---: | ---: | ---: | --- |\n");
            for cells in lines {
                let _written = writeln!(text, "| {} |", cells.join(" | "));
            }
        }
        let _written = write!(text, "\n{}\n", self.words());
        text
    }

    /// How it was made, in a few sentences.
    pub(super) fn words(&self) -> String {
        let Conditions { seconds, people, cores, disk, .. } = &self.conditions;
        let rounds = self.next_round();
        let pinned = cores.as_ref().map_or_else(
            || "Nobody was pinned to a core.".to_owned(),
            |(server, generator)| format!("The server had core {server}, the generator core {generator}."),
        );
        let versions: Vec<String> =
            self.versions.iter().map(|(kind, version)| format!("{}: {version}", kind.title())).collect();
        format!(
            "Medians of {rounds} rounds of {seconds} s, each over all peers and each beginning with another, and the \
             bounds between which the median lies (95 %). {pinned} A rate with * was the generator's limit. Hubbub's \
             sockets belong to {people} people. What is durable was on {disk}. Sockudo acknowledges no publish over a \
             socket. {}.",
            versions.join("; ")
        )
    }

    fn cells(row: &Row) -> [String; COLUMNS] {
        let limited = row.generator_busy.is_some_and(|busy| busy > GENERATOR_FULL);
        let busy = |busy: Option<f64>| busy.map_or_else(|| "–".to_owned(), |busy| format!("{:.0} %", busy * 100.0));
        [
            row.peer.title().to_owned(),
            cell(row.server_us, 2),
            row.times_hubbub.map_or_else(|| "–".to_owned(), |times| format!("{:.2}", times.median)),
            format!("{}{}", cell(row.rate, 0), if limited && row.rate.is_some() { " *" } else { "" }),
            cell(row.kib, 1),
            format!("{} / {}", busy(row.server_busy), busy(row.generator_busy)),
            verdict(row),
        ]
    }
}

fn line(text: &mut String, cells: &[String; COLUMNS]) {
    let [peer, server, times, rate, kib, busy, ledger] = cells;
    let _written = writeln!(text, "  {peer:24} {server:>24} {times:>10} {rate:>30} {kib:>20} {busy:>24}  {ledger}");
}

fn cell(interval: Option<Interval>, digits: usize) -> String {
    interval.map_or_else(
        || "–".to_owned(),
        |Interval { median, low, high, .. }| format!("{median:.digits$} [{low:.digits$}..{high:.digits$}]"),
    )
}

fn verdict(row: &Row) -> String {
    let Tally { due, came, lost, doubled, reordered, foreign, refused, .. } = row.ledger;
    if row.ledger.is_clean() && row.troubles.is_empty() {
        return format!("clean: {came} of {due}");
    }
    let trouble = row.troubles.first().map_or_else(String::new, |words| format!(": {words}"));
    format!(
        "{came} of {due}, {lost} lost, {doubled} doubled, {reordered} reordered, {foreign} foreign, {refused} refused{trouble}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(peer: Kind, round: usize, server_us: f64) -> Sample {
        let ledger = Tally { sent: 1, due: 10, came: 10, ..Tally::default() };
        let mut sample = Sample::failed(peer, Measure::FanOut(16), round, String::new());
        (sample.server_us, sample.rate, sample.generator_busy) = (Some(server_us), Some(1e5), Some(0.99));
        (sample.ledger, sample.trouble) = (ledger, None);
        sample
    }

    fn comparison(samples: Vec<Sample>) -> Comparison {
        let conditions = Conditions {
            seconds: 2,
            receivers: 10,
            payload_bytes: 128,
            senders: 1,
            depth: 16,
            idle: 5,
            people: 2,
            cores: Some(("0".to_owned(), "1".to_owned())),
            disk: "ext4".to_owned(),
        };
        Comparison { conditions, versions: vec![(Kind::Ws, "ws 8".to_owned())], samples }
    }

    #[test]
    fn rounds_are_compared_with_ours_of_the_same_round() {
        let samples = [(Kind::Hubbub, 0, 1.0), (Kind::Ws, 0, 4.0), (Kind::Hubbub, 1, 2.0), (Kind::Ws, 1, 8.0)];
        let comparison = comparison(samples.map(|(peer, round, us)| sample(peer, round, us)).into());
        let rows = comparison.rows();
        assert_eq!(rows.iter().map(|row| row.peer).collect::<Vec<_>>(), [Kind::Hubbub, Kind::Ws]);
        assert_eq!(rows[1].times_hubbub.map(|times| times.median.round()), Some(4.0));
        assert!(comparison.is_clean());
        assert_eq!(comparison.next_round(), 2);
        for text in [comparison.text(), comparison.markdown()] {
            assert!(text.contains("6.00 [") && text.contains("100000 [100000..100000] *"), "{text}");
            assert!(text.contains("clean: 20 of 20"), "{text}");
            assert_eq!(text.matches("Fan-out: a room of 10 receivers").count(), 1, "one table for all: {text}");
        }
    }

    #[test]
    fn a_round_with_a_loss_is_told_and_its_figures_are_not() {
        let mut bad = sample(Kind::Ws, 0, 4.0);
        bad.ledger.lost = 3;
        let comparison = comparison(vec![bad, Sample::failed(Kind::Nats, Measure::Idle, 0, "gone".to_owned())]);
        assert!(!comparison.is_clean());
        assert!(comparison.rows().iter().all(|row| row.server_us.is_none()));
        let text = comparison.text();
        assert!(text.contains("3 lost") && text.contains("gone"), "{text}");
    }

    #[test]
    fn what_was_written_is_read_again_and_added_to() {
        let file = std::env::temp_dir().join(format!("peers-{}.json", std::process::id()));
        let comparison = comparison(vec![sample(Kind::Ws, 4, 4.0)]);
        comparison.write(&file).unwrap();
        let read = Comparison::read(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!((read.conditions, read.samples), (comparison.conditions, comparison.samples));
    }
}
