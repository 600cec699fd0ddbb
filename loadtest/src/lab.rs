//! The lab: the whole table of budgets against a server that it starts itself, each row by a process of its own.
//!
//! Every row gets servers of its own on cores of their own, with fresh folders, so that no row inherits what another
//! left. Blocking, and no load is made here.

mod child;
mod rows;
mod stand;
mod start;
mod table;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::Args;
use serde_json::json;

use self::rows::{ROWS, Row};
use self::table::{Entry, Measured, markdown};
use crate::host::cores::Cores;
use crate::host::stop;

pub(crate) use self::child::Told;
pub(crate) use self::stand::{Folder, Stand, Store};
pub(crate) use self::table::number;

/// The options of `lab`.
#[derive(Debug, Args)]
pub struct Lab {
    /// The server's program.
    #[arg(long, value_name = "FILE", default_value = "target/release/hubbub")]
    server: PathBuf,
    /// The rows to run, separated by commas; all but the long ones, if not said.
    #[arg(long, value_name = "ROW", value_delimiter = ',')]
    rows: Vec<String>,
    /// Only lists the rows.
    #[arg(long)]
    list: bool,
    /// A folder on the disk that is to be measured, for data that is removed afterwards.
    #[arg(long, value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Rounds of a row with its floor.
    #[arg(long, value_name = "N", default_value_t = 7)]
    rounds: u32,
    /// Messages that a server holds whose start is timed.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    messages: u64,
    /// Where to write all of it as JSON.
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,
    /// Where to write the table for a document.
    #[arg(long, value_name = "FILE.md")]
    markdown: Option<PathBuf>,
    /// A folder for a page with plots of each row.
    #[arg(long, value_name = "DIR")]
    pages: Option<PathBuf>,
}

impl Lab {
    /// Runs it. `true` if every row was valid and clean, whether or not its budget was met.
    ///
    /// # Errors
    ///
    /// The server cannot be started, a row does not exist, or what was found cannot be written.
    pub fn run(&self) -> anyhow::Result<bool> {
        if self.list {
            for row in ROWS {
                println!("{:18}{}{}", row.name, row.what, if row.is_long { " (only if named)" } else { "" });
            }
            println!("{:18}{}", start::NAME, start::WHAT);
            return Ok(true);
        }
        self.know_rows()?;
        stop::listen()?;
        let server =
            fs::canonicalize(&self.server).with_context(|| format!("{} is not there", self.server.display()))?;
        let cores = Cores::for_a_server();
        let folder = Folder::below(&self.folder)?;
        let mut entries = Vec::new();
        for row in ROWS.iter().filter(|row| self.wants(row.name, row.is_long)) {
            let entry = self.measure(row, &server, &folder, &cores);
            self.keep(&mut entries, entry.with_context(|| format!("row {}", row.name)))?;
            ensure!(!stop::is_asked(), "interrupted");
        }
        if self.wants(start::NAME, false) {
            let entry = start::measure(&server, &folder.path().join(start::NAME), &cores, self.messages);
            self.keep(&mut entries, entry)?;
            ensure!(!stop::is_asked(), "interrupted");
        }
        Ok(!entries.is_empty() && entries.iter().all(|entry| entry.valid && entry.clean))
    }

    fn know_rows(&self) -> anyhow::Result<()> {
        for name in &self.rows {
            let known = name == start::NAME || ROWS.iter().any(|row| row.name == name);
            ensure!(known, "there is no row {name}; --list shows them");
        }
        Ok(())
    }

    fn wants(&self, name: &str, is_long: bool) -> bool {
        if self.rows.is_empty() { !is_long } else { self.rows.iter().any(|row| row == name) }
    }

    /// Shows a row, and writes all so far: what was found stays found, whatever comes.
    fn keep(&self, entries: &mut Vec<Entry>, entry: anyhow::Result<Entry>) -> anyhow::Result<()> {
        match entry {
            Ok(entry) => {
                print!("{}", entry.lines());
                entries.push(entry);
            }
            // A row that fails does not take the others with it.
            Err(error) => eprintln!("loadtest: {error:#}"),
        }
        if let Some(path) = &self.report {
            let json = json!({ "server": self.server, "rows": entries });
            fs::write(path, serde_json::to_vec_pretty(&json)?)
                .with_context(|| format!("{} could not be written", path.display()))?;
        }
        if let Some(path) = &self.markdown {
            fs::write(path, markdown(entries)).with_context(|| format!("{} could not be written", path.display()))?;
        }
        Ok(())
    }

    fn measure(&self, row: &Row, server: &Path, folder: &Folder, cores: &Cores) -> anyhow::Result<Entry> {
        let own = folder.path().join(row.name);
        let stands = (0..row.servers)
            .map(|number| Stand::start(server, row.store, &own.join(number.to_string()), cores))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let joined = |of: &dyn Fn(&Stand) -> String| stands.iter().map(of).collect::<Vec<_>>().join(",");
        let mut words: Vec<String> = row.words.iter().map(|word| (*word).to_owned()).collect();
        words.extend(["--format", "json", "--floor-turns"].map(str::to_owned));
        words.push(self.rounds.to_string());
        if row.store == Store::Memory {
            words.push("--in-memory".to_owned());
        }
        let command = format!("loadtest {}", words.join(" "));
        words.extend(["--url".to_owned(), joined(&|stand| stand.url.clone())]);
        words.extend(["--server-pid".to_owned(), joined(&|stand| stand.pid().to_string())]);
        if let Some(pages) = &self.pages {
            fs::create_dir_all(pages)?;
            let page = fs::canonicalize(pages)?.join(format!("{}.html", row.name));
            words.extend(["--html".to_owned(), page.display().to_string()]);
        }
        let told = Told::by(&words, &own)?;
        for stand in stands {
            stand.stop();
        }
        fs::remove_dir_all(&own)?;
        Ok(entry(row, command, &told))
    }
}

fn entry(row: &Row, command: String, told: &Told) -> Entry {
    let figures =
        row.figures.iter().map(|figure| Measured::new(figure.name, figure.of(told), figure.unit, figure.budget));
    Entry {
        row: row.name.to_owned(),
        what: row.what.to_owned(),
        command,
        valid: told.is_valid(),
        clean: told.is_clean(),
        figures: figures.collect(),
        floor: told.text("/floor/name").map(str::to_owned),
        floor_cpu_us: told.number("/floor/cpu_us"),
        ratio: told.number("/ratio"),
        low: told.number("/ratio_interval/low"),
        high: told.number("/ratio_interval/high"),
        rounds: told.number("/ratio_interval/rounds"),
        notes: told.notes(),
        report: told.value().clone(),
    }
}
