//! What the lab found, row by row: as lines for a terminal, as a table for a document, and as JSON.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use super::rows::Budget;

/// One figure of a row, and what was asked of it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Measured {
    pub(super) name: String,
    pub(super) value: Option<f64>,
    pub(super) unit: String,
    pub(super) budget: String,
    pub(super) met: bool,
}

impl Measured {
    pub(super) fn new(name: &str, value: Option<f64>, unit: &str, budget: Budget) -> Self {
        let met = value.is_some_and(|value| budget.is_met(value));
        Self { name: name.to_owned(), value, unit: unit.to_owned(), budget: budget.words(), met }
    }
}

/// One row.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Entry {
    pub(super) row: String,
    pub(super) what: String,
    pub(super) command: String,
    /// The generator kept up.
    pub(super) valid: bool,
    /// The ledger is clean.
    pub(super) clean: bool,
    pub(super) figures: Vec<Measured>,
    pub(super) floor: Option<String>,
    pub(super) floor_cpu_us: Option<f64>,
    pub(super) ratio: Option<f64>,
    pub(super) low: Option<f64>,
    pub(super) high: Option<f64>,
    pub(super) rounds: Option<f64>,
    pub(super) notes: Vec<String>,
    /// All that its scenario told.
    pub(super) report: Value,
}

impl Entry {
    fn verdict(&self) -> &'static str {
        match (self.clean, self.valid, self.figures.iter().all(|figure| figure.met)) {
            (false, ..) => "LEDGER BROKEN",
            (true, false, _) => "invalid",
            (true, true, true) => "met",
            (true, true, false) => "not met",
        }
    }

    /// For a terminal.
    pub(super) fn lines(&self) -> String {
        let mut text = format!("{}: {}  ({})\n", self.row, self.verdict(), self.what);
        // Writing to a string cannot fail.
        let mut put = |line: std::fmt::Arguments<'_>| text.write_fmt(line).ok();
        for Measured { name, value, unit, budget, met } in &self.figures {
            let mark = if *met { "" } else { "  <- not met" };
            put(format_args!("  {name}: {} {unit}  {budget}{mark}\n", number(*value)));
        }
        if let Some(floor) = &self.floor {
            put(format_args!("  floor: {floor}, {} µs\n", number(self.floor_cpu_us)));
        }
        if self.ratio.is_some() {
            put(format_args!("  ratio: {}\n", self.interval()));
        }
        for note in &self.notes {
            put(format_args!("  note: {note}\n"));
        }
        text
    }

    fn interval(&self) -> String {
        let bounds = format!("{} [{}..{}]", number(self.ratio), number(self.low), number(self.high));
        if self.ratio.is_some() { bounds } else { "-".to_owned() }
    }

    fn markdown(&self) -> String {
        let figures: Vec<String> = self
            .figures
            .iter()
            .map(|figure| format!("{}: **{}** {} {}", figure.name, number(figure.value), figure.unit, figure.budget))
            .collect();
        let floor = self
            .floor
            .as_ref()
            .map_or_else(|| "-".to_owned(), |floor| format!("{floor}, {} µs", number(self.floor_cpu_us)));
        let rounds = self.rounds.map_or_else(|| "1".to_owned(), |rounds| rounds.to_string());
        format!(
            "| {} | {} | {} | {floor} | {} | {rounds} | `{}` |\n",
            self.what,
            figures.join("<br>"),
            self.verdict(),
            self.interval(),
            self.command
        )
    }
}

/// A table for a document.
pub(super) fn markdown(entries: &[Entry]) -> String {
    let rows: String = entries.iter().map(Entry::markdown).collect();
    format!(
        "| What | Figures | Verdict | Floor | Ratio [95 %] | Rounds | Command |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n{rows}"
    )
}

/// A number with as many digits as say something.
pub(crate) fn number(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value.abs() >= 100.0 => format!("{value:.0}"),
        Some(value) => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            row: "ack".to_owned(),
            what: "acks".to_owned(),
            command: "loadtest ack".to_owned(),
            valid: true,
            clean: true,
            figures: vec![Measured::new("CPU", Some(9.0), "µs", Budget::AtMost(18.0))],
            floor: Some("echo".to_owned()),
            floor_cpu_us: Some(1.0),
            ratio: Some(9.0),
            low: Some(8.5),
            high: Some(9.5),
            rounds: Some(7.0),
            notes: vec![],
            report: Value::Null,
        }
    }

    #[test]
    fn a_row_says_its_figure_its_budget_its_floor_and_its_bounds() {
        let table = markdown(&[entry()]);
        let row = table.lines().last().expect("a row");
        assert_eq!(
            row,
            "| acks | CPU: **9.00** µs ≤ 18 | met | echo, 1.00 µs | 9.00 [8.50..9.50] | 7 | `loadtest ack` |"
        );
        assert!(table.lines().all(|line| line.matches('|').count() == 8), "{table}");
    }

    #[test]
    fn a_ratio_is_told_with_its_bounds_where_there_is_no_floor_too() {
        let mut entry = entry();
        entry.floor = None;
        assert!(entry.lines().contains("ratio: 9.00 [8.50..9.50]"), "{}", entry.lines());
        assert!(markdown(&[entry]).contains("| - | 9.00 [8.50..9.50] | 7 |"));
    }

    #[test]
    fn a_figure_that_is_missing_meets_no_budget() {
        assert!(!Measured::new("CPU", None, "µs", Budget::AtMost(18.0)).met);
    }

    #[test]
    fn a_broken_ledger_is_worse_than_a_figure_that_is_not_met() {
        let mut entry = entry();
        entry.figures[0].met = false;
        assert_eq!(entry.verdict(), "not met");
        entry.valid = false;
        assert_eq!(entry.verdict(), "invalid");
        entry.clean = false;
        assert_eq!(entry.verdict(), "LEDGER BROKEN");
    }
}
