//! The end of a run: what was sent, what was seen and the history are laid beside one another.
//!
//! As the log gives a total order, no search is needed: every rule is a pass or a sort, O(n log n) in all.

use std::collections::HashMap;

use super::rules::{Findings, Rule};
use super::{Ledger, Outcome, Sent};

impl Ledger {
    /// Judges all that was told. Tell every history before.
    #[must_use]
    pub fn judge(&self) -> Findings {
        let mut findings = self.findings.clone();
        self.judge_readers(&mut findings);
        self.judge_sends(&mut findings);
        self.judge_order_of_senders(&mut findings);
        self.judge_real_time(&mut findings);
        findings
    }

    fn judge_readers(&self, findings: &mut Findings) {
        for stream in &self.streams {
            let Some(log) = self.logs.get(stream.conversation) else { continue };
            stream.end(log.head(), findings, || log.id.to_string());
        }
        for log in &self.logs {
            let Some(history) = log.history_head else { continue };
            let seen = log.highest_seen();
            let gone = seen.saturating_sub(history);
            findings
                .add(Rule::StaysThere, gone, || format!("{}: {seen} was seen, the history ends at {history}", log.id));
        }
    }

    fn judge_sends(&self, findings: &mut Findings) {
        for (sender, sent) in self.all_sent() {
            let Some(log) = self.logs.get(sent.conversation as usize) else { continue };
            match sent.outcome {
                // Only a history tells what is not there.
                Outcome::Acked if !sent.kept && log.history_head.is_some() => {
                    findings.add(Rule::AckedIsKept, 1, || {
                        format!("{}: sender {sender}'s message was acked at {} and is not there", log.id, sent.sequence)
                    });
                }
                Outcome::Refused if sent.kept => {
                    findings.add(Rule::RefusedIsNotKept, 1, || {
                        format!("{}: sender {sender}'s message was refused and is there", log.id)
                    });
                }
                Outcome::Acked | Outcome::Refused | Outcome::Unknown => {}
            }
        }
    }

    fn judge_order_of_senders(&self, findings: &mut Findings) {
        for (sender, all) in self.sent.iter().enumerate() {
            let mut last: HashMap<u32, u64> = HashMap::new();
            for sent in all.iter().filter(|sent| sent.outcome == Outcome::Acked && !sent.repeated) {
                let before = last.entry(sent.conversation).or_default();
                if *before >= sent.sequence {
                    let id = self.logs.get(sent.conversation as usize).map(|log| log.id);
                    findings.add(Rule::SenderOrder, 1, || {
                        format!(
                            "{id:?}: sender {sender}'s message stands at {}, an earlier one at {before}",
                            sent.sequence
                        )
                    });
                }
                *before = sent.sequence.max(*before);
            }
        }
    }

    /// What was acked before another was sent stands before it: a sweep over both instants in order.
    fn judge_real_time(&self, findings: &mut Findings) {
        let mut by_conversation: HashMap<u32, Vec<&Sent>> = HashMap::new();
        for (_, sent) in self.all_sent().filter(|(_, sent)| sent.outcome == Outcome::Acked) {
            by_conversation.entry(sent.conversation).or_default().push(sent);
        }
        for (conversation, mut invoked) in by_conversation {
            let mut settled = invoked.clone();
            invoked.sort_unstable_by_key(|sent| sent.invoked_ns);
            settled.sort_unstable_by_key(|sent| sent.settled_ns);
            let mut earlier = settled.into_iter().peekable();
            let mut highest = 0;
            let id = self.logs.get(conversation as usize).map(|log| log.id);
            for sent in invoked {
                while let Some(before) = earlier.next_if(|before| before.settled_ns < sent.invoked_ns) {
                    highest = highest.max(before.sequence);
                }
                findings.add(Rule::RealTime, u64::from(highest >= sent.sequence), || {
                    format!(
                        "{id:?}: a message stands at {}, though {highest} was acked before it was sent",
                        sent.sequence
                    )
                });
            }
        }
    }

    fn all_sent(&self) -> impl Iterator<Item = (usize, &Sent)> {
        self.sent.iter().enumerate().flat_map(|(sender, all)| all.iter().map(move |sent| (sender, sent)))
    }
}
