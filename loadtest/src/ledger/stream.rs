//! One reader's view of one conversation: contiguous, or caught (IN-ORDER).

use super::outside::Outside;
use super::rules::{Findings, Rule};

/// Holes that are remembered in case their content comes late. More than these are counted as lost at once (BOUNDED).
const HOLES: usize = 1_000;

/// What one reader has of one conversation.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    pub(super) conversation: usize,
    /// The highest sequence that came.
    pub(super) cursor: u64,
    /// Who is not a member at the cursor.
    pub(super) outside: Outside,
    /// Ranges below the cursor that did not come.
    holes: Vec<(u64, u64)>,
}

impl Stream {
    pub(super) fn new(conversation: usize, cursor: u64) -> Self {
        Self { conversation, cursor, outside: Outside::default(), holes: Vec::new() }
    }

    pub(super) fn delivered(&mut self, sequence: u64, findings: &mut Findings, name: impl Fn() -> String) {
        let due = self.cursor + 1;
        if sequence == due {
            self.cursor = sequence;
        } else if sequence > due {
            self.hole(due, sequence - 1, findings, &name);
            self.cursor = sequence;
        } else if self.fill(sequence) {
            findings.add(Rule::NoReturn, 1, || format!("{}: {sequence} came after {}", name(), self.cursor));
        } else {
            findings.add(Rule::NoRepeat, 1, || format!("{}: {sequence} came again, {} was held", name(), self.cursor));
        }
    }

    /// A range was announced as missing.
    pub(super) fn gap(&mut self, from: u64, to: u64, findings: &mut Findings, name: impl Fn() -> String) {
        findings.add(Rule::NoGap, 1, || format!("{}: a gap from {from} to {to}", name()));
        let due = self.cursor + 1;
        if from > due {
            self.hole(due, from - 1, findings, &name);
        }
        self.cursor = self.cursor.max(to);
    }

    /// The end: what did not come is lost.
    pub(super) fn end(&self, head: u64, findings: &mut Findings, name: impl Fn() -> String) {
        for (from, to) in &self.holes {
            findings.add(Rule::NoSkip, to - from + 1, || format!("{}: {from} to {to} never came", name()));
        }
        let missing = head.saturating_sub(self.cursor);
        findings.add(Rule::Complete, missing, || format!("{}: ends at {}, the head is {head}", name(), self.cursor));
    }

    fn hole(&mut self, from: u64, to: u64, findings: &mut Findings, name: &impl Fn() -> String) {
        if self.holes.len() < HOLES {
            self.holes.push((from, to));
        } else {
            findings.add(Rule::NoSkip, to - from + 1, || format!("{}: {from} to {to} did not come", name()));
        }
    }

    /// Something came late; `false` if it had come before.
    fn fill(&mut self, sequence: u64) -> bool {
        let Some(at) = self.holes.iter().position(|(from, to)| (*from..=*to).contains(&sequence)) else { return false };
        let (from, to) = self.holes.swap_remove(at);
        if from < sequence {
            self.holes.push((from, sequence - 1));
        }
        if sequence < to {
            self.holes.push((sequence + 1, to));
        }
        true
    }
}
