//! What a history may not show, rule by rule, and what was found.

use serde::Serialize;

/// How many findings are kept in words; the others are only counted (BOUNDED).
const EXAMPLES: usize = 20;

/// What a finding counts as in a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Something that had to be there is not.
    Lost,
    /// Something is there more than once.
    Doubled,
    /// Something is at the wrong place.
    Reordered,
    /// A range was announced as missing, where none may be.
    Gap,
    /// Something is there that must not be.
    False,
}

/// A rule that was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// DURABLE: what was acked is in the log.
    AckedIsKept,
    /// DURABLE: what was acked is in the log where the ack said.
    AckedWhereItStands,
    /// ONCE: a client message id is in the log at most once.
    KeptOnce,
    /// ONCE: every ack of one client message id names the same sequence.
    AckedOnce,
    /// GAPLESS: the log's sequences are dense.
    Dense,
    /// IN-ORDER: what one sender sent first stands first, if neither was repeated.
    SenderOrder,
    /// IN-ORDER: what was acked before another was sent stands before it.
    RealTime,
    /// IN-ORDER: a reader's stream has no hole.
    NoSkip,
    /// IN-ORDER: a reader's stream repeats nothing.
    NoRepeat,
    /// IN-ORDER: a reader's stream does not go back.
    NoReturn,
    /// RESUMABLE: a reader has all up to the head at the end.
    Complete,
    /// RESUMABLE: nothing is announced as missing where all is retained.
    NoGap,
    /// GAPLESS: all readers and the history agree on what stands where.
    Agreement,
    /// DURABLE: what a reader saw does not disappear.
    StaysThere,
    /// HONEST: what was refused is not in the log.
    RefusedIsNotKept,
    /// HONEST: there is nothing in the log that nobody sent.
    NothingForeign,
    /// MEMBERS-ONLY: nothing of somebody stands between their removal and their next joining.
    NothingFromOutside,
}

impl Rule {
    /// All of them, for tests.
    pub const ALL: &'static [Self] = &[
        Self::AckedIsKept,
        Self::AckedWhereItStands,
        Self::KeptOnce,
        Self::AckedOnce,
        Self::Dense,
        Self::SenderOrder,
        Self::RealTime,
        Self::NoSkip,
        Self::NoRepeat,
        Self::NoReturn,
        Self::Complete,
        Self::NoGap,
        Self::Agreement,
        Self::StaysThere,
        Self::RefusedIsNotKept,
        Self::NothingForeign,
        Self::NothingFromOutside,
    ];

    /// What breaking it counts as.
    pub const fn kind(self) -> Kind {
        match self {
            Self::AckedIsKept | Self::Dense | Self::NoSkip | Self::Complete | Self::StaysThere => Kind::Lost,
            Self::KeptOnce | Self::NoRepeat => Kind::Doubled,
            Self::SenderOrder | Self::RealTime | Self::NoReturn | Self::Agreement => Kind::Reordered,
            Self::NoGap => Kind::Gap,
            Self::AckedWhereItStands
            | Self::AckedOnce
            | Self::RefusedIsNotKept
            | Self::NothingForeign
            | Self::NothingFromOutside => Kind::False,
        }
    }

    /// The promise of the house that it belongs to.
    pub const fn promise(self) -> &'static str {
        match self {
            Self::AckedIsKept | Self::AckedWhereItStands | Self::StaysThere => "DURABLE",
            Self::KeptOnce | Self::AckedOnce => "ONCE",
            Self::Dense | Self::Agreement => "GAPLESS",
            Self::SenderOrder | Self::RealTime | Self::NoSkip | Self::NoRepeat | Self::NoReturn => "IN-ORDER",
            Self::Complete | Self::NoGap => "RESUMABLE",
            Self::RefusedIsNotKept | Self::NothingForeign => "HONEST",
            Self::NothingFromOutside => "MEMBERS-ONLY",
        }
    }
}

/// One finding in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// The promise that it belongs to.
    pub promise: &'static str,
    /// Where, and what.
    pub what: String,
}

/// All that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    counts: [u64; Rule::ALL.len()],
    examples: Vec<Violation>,
}

impl Findings {
    pub(super) fn add(&mut self, rule: Rule, count: u64, what: impl FnOnce() -> String) {
        if count == 0 {
            return;
        }
        if let Some(counted) = self.counts.get_mut(rule as usize) {
            *counted += count;
        }
        if self.examples.len() < EXAMPLES {
            self.examples.push(Violation { rule, promise: rule.promise(), what: what() });
        }
    }

    /// How often a rule was broken.
    pub fn of(&self, rule: Rule) -> u64 {
        self.counts.get(rule as usize).copied().unwrap_or(0)
    }

    /// How much of a kind was found.
    pub fn count(&self, kind: Kind) -> u64 {
        Rule::ALL.iter().filter(|rule| rule.kind() == kind).map(|rule| self.of(*rule)).sum()
    }

    /// Nothing was found.
    pub fn is_clean(&self) -> bool {
        self.counts.iter().all(|count| *count == 0)
    }

    /// The first findings, in words.
    pub fn examples(&self) -> &[Violation] {
        &self.examples
    }
}
