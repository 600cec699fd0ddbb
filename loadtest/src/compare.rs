//! Two servers, or two builds of one, by turns under the same scenario: what differs, and how surely.
//!
//! A server that is named by its program is started here, on cores of its own and with a fresh folder; one that is named
//! by its URL runs already. Which goes first changes from round to round. Blocking: each run is a process of its own.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::Args;
use serde_json::json;

use crate::host::cores::Cores;
use crate::host::stop;
use crate::lab::{Folder, Stand, Store, Told, number};
use crate::statistics::{Interval, median};

/// The figures that are compared, where both sides have them, by their place in the report.
const FIGURES: [(&str, &str); 14] = [
    ("server CPU a send, µs", "/server/cpu_us_per_send"),
    ("server CPU a delivery, µs", "/server/cpu_us_per_delivery"),
    ("server CPU a connect, µs", "/extra/cpu_us_per_connect"),
    ("sends a second", "/send_rate"),
    ("deliveries a second", "/delivery_rate"),
    ("connects a second", "/extra/connect_rate"),
    ("ack p50, µs", "/ack_us/p50"),
    ("ack p99, µs", "/ack_us/p99"),
    ("delivery p50, µs", "/deliver_us/p50"),
    ("delivery p99, µs", "/deliver_us/p99"),
    ("server memory, KiB", "/server/rss_kib"),
    ("server memory a connection, KiB", "/server/rss_kib_per_connection"),
    ("server CPU, %", "/server/cpu_percent"),
    ("knee, sends a second", "/extra/knee_sends_per_second"),
];

/// The options of `compare`.
#[derive(Debug, Args)]
pub struct Compare {
    /// One server: its URL, or its program.
    #[arg(long, value_name = "URL|FILE")]
    a: String,
    /// The other.
    #[arg(long, value_name = "URL|FILE")]
    b: String,
    /// The process of the one, if it is named by its URL.
    #[arg(long, value_name = "PID")]
    a_pid: Option<u32>,
    /// The process of the other.
    #[arg(long, value_name = "PID")]
    b_pid: Option<u32>,
    /// Rounds of both.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Where servers that are started keep their messages.
    #[arg(long, value_enum, default_value_t = Store::Sqlite)]
    store: Store,
    /// A folder on the disk that is to be measured, for data that is removed afterwards.
    #[arg(long, value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Where to write what was found as JSON.
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,
    /// The scenario and its options.
    #[arg(value_name = "SCENARIO", trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    scenario: Vec<String>,
}

/// One of the two.
struct Side {
    url: String,
    pid: Option<u32>,
    /// The server, if it was started here.
    _stand: Option<Stand>,
    told: Vec<Told>,
}

impl Compare {
    /// Runs it. `true` if every run passed.
    ///
    /// # Errors
    ///
    /// A server cannot be started or reached, or the scenario is none.
    pub fn run(&self) -> anyhow::Result<bool> {
        let words: Vec<&str> = self.scenario.iter().map(String::as_str).collect();
        crate::cli::scenario(&words)?;
        stop::listen()?;
        let folder = Folder::below(&self.folder)?;
        let cores = Cores::for_a_server();
        let side = |name: &str, of: &str, pid| {
            if of.contains("://") {
                if let Some(pid) = pid {
                    cores.with_server(pid);
                }
                return anyhow::Ok(Side { url: of.to_owned(), pid, _stand: None, told: Vec::new() });
            }
            let program = std::fs::canonicalize(of).with_context(|| format!("{of} is neither a URL nor a file"))?;
            let stand = Stand::start(&program, self.store, &folder.path().join(name), &cores)?;
            Ok(Side { url: stand.url.clone(), pid: Some(stand.pid()), _stand: Some(stand), told: Vec::new() })
        };
        let mut sides = [side("a", &self.a, self.a_pid)?, side("b", &self.b, self.b_pid)?];
        let mut passed = true;
        for round in 0..self.rounds {
            let first = round as usize % 2;
            for number in [first, 1 - first] {
                let Some(side) = sides.get_mut(number) else { continue };
                let told = Told::by(&self.words(side), folder.path())?;
                ensure!(told.is_clean(), "the ledger of {} is broken: {:?}", side.url, told.notes());
                passed &= told.is_valid();
                side.told.push(told);
            }
            eprintln!("round {} of {}", round + 1, self.rounds);
        }
        let [a, b] = &sides;
        let lines = lines(&a.told, &b.told);
        print!("{}", text(&lines));
        if !passed {
            println!("the generator lagged in some rounds");
        }
        if let Some(path) = &self.report {
            let json =
                json!({ "a": self.a, "b": self.b, "scenario": self.scenario, "figures": lines, "valid": passed });
            std::fs::write(path, serde_json::to_vec_pretty(&json)?)?;
        }
        Ok(passed)
    }

    fn words(&self, side: &Side) -> Vec<String> {
        let mut words = self.scenario.clone();
        words.extend(["--url", &side.url, "--no-floor"].map(str::to_owned));
        if let Some(pid) = side.pid {
            words.extend(["--server-pid".to_owned(), pid.to_string()]);
        }
        words
    }
}

/// One figure of both.
#[derive(Debug, Clone, serde::Serialize)]
struct Line {
    name: &'static str,
    a: f64,
    b: f64,
    /// The second over the first, round by round.
    ratio: Interval,
}

fn lines(a: &[Told], b: &[Told]) -> Vec<Line> {
    let compared = FIGURES.iter().filter_map(|(name, pointer)| {
        let of = |all: &[Told]| all.iter().map(|told| told.number(pointer)).collect::<Option<Vec<f64>>>();
        let (a, b) = (of(a)?, of(b)?);
        let ratios: Vec<f64> = a.iter().zip(&b).filter(|(a, _)| **a > 0.0).map(|(a, b)| b / a).collect();
        Some(Line { name, a: median(&a), b: median(&b), ratio: Interval::of(&ratios)? })
    });
    compared.collect()
}

fn text(lines: &[Line]) -> String {
    let mut text = format!("{:34}{:>12}{:>12}  b / a\n", "", "a", "b");
    for Line { name, a, b, ratio } in lines {
        let sure = if ratio.low > 1.0 || ratio.high < 1.0 { "" } else { "  (no difference shown)" };
        // Writing to a string cannot fail.
        writeln!(text, "{name:34}{:>12}{:>12}  {ratio}{sure}", number(Some(*a)), number(Some(*b))).ok();
    }
    text
}
