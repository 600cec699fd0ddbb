//! The nodes of a run as its clients meet them: who is where, how long each went without, and what crosses over.
//!
//! Plain data, told by the players. A client's gap begins when it loses its node (or when a node that fell silent was
//! last heard) and ends when it is live again in all conversations, on whichever node.

use crate::measure::{Latencies, Percentiles};
use crate::report;

/// Within this time reconnects count as one burst.
const BURST_NS: u64 = 100_000_000;

/// What is known of the nodes.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    counts: Vec<report::Node>,
    /// Where each sender's socket is, or was last.
    senders: Vec<Option<usize>>,
    longest_gaps: Latencies,
    cross: Latencies,
    same: Latencies,
    /// When clients came to the door again.
    returns: Vec<u64>,
}

impl Nodes {
    pub(crate) fn new(urls: &[String]) -> Self {
        let counts = urls.iter().map(|url| report::Node { url: url.clone(), ..report::Node::default() }).collect();
        Self { counts, ..Self::default() }
    }

    /// A sender's socket is open on a node; and when it knocked, if it had one before.
    pub(crate) fn connected(&mut self, sender: u32, node: Option<usize>, again_ns: Option<u64>) {
        let sender = sender as usize;
        if self.senders.len() <= sender {
            self.senders.resize(sender + 1, None);
        }
        if let Some(place) = self.senders.get_mut(sender) {
            *place = node;
        }
        if let Some(count) = self.count(node) {
            count.logins += 1;
        }
        self.returns.extend(again_ns);
    }

    /// A socket on a node was lost.
    pub(crate) fn lost(&mut self, node: Option<usize>) {
        if let Some(count) = self.count(node) {
            count.lost += 1;
        }
    }

    pub(crate) fn acked(&mut self, node: Option<usize>) {
        if let Some(count) = self.count(node) {
            count.acked += 1;
        }
    }

    pub(crate) fn delivered(&mut self, node: Option<usize>) {
        if let Some(count) = self.count(node) {
            count.delivered += 1;
        }
    }

    /// A message of this sender came to a reader on this node, as it happened.
    pub(crate) fn heard(&mut self, sender: u32, node: Option<usize>, from_ns: u64, now_ns: u64) {
        let there = self.senders.get(sender as usize).copied().flatten();
        let latencies = if there == node { &mut self.same } else { &mut self.cross };
        latencies.record(from_ns, now_ns);
    }

    /// A client goes home: its longest gap, if it ever lost a node.
    pub(crate) fn longest_gap(&mut self, gap_ns: u64) {
        self.longest_gaps.record(0, gap_ns);
    }

    fn count(&mut self, node: Option<usize>) -> Option<&mut report::Node> {
        self.counts.get_mut(node?)
    }

    /// Enters all of it.
    pub(crate) fn report(&self, report: &mut report::Report) {
        let cross = |latencies: &Latencies| -> Option<Percentiles> {
            latencies.percentiles().filter(|_| self.counts.len() > 1)
        };
        report.nodes.clone_from(&self.counts);
        report.gap_us = self.longest_gaps.percentiles();
        report.clients_cut = self.longest_gaps.count();
        report.reconnects_in_100_ms = herd(&self.returns);
        report.deliver_cross_us = cross(&self.cross);
        report.deliver_same_us = cross(&self.same);
    }
}

/// The most that come within one burst.
fn herd(returns: &[u64]) -> u64 {
    let mut sorted = returns.to_vec();
    sorted.sort_unstable();
    let mut first = 0;
    let mut most = 0;
    for (last, at) in sorted.iter().enumerate() {
        while sorted.get(first).is_some_and(|from| at - from > BURST_NS) {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_herd_is_the_most_that_come_within_a_tenth_of_a_second_in_whatever_order_they_are_told() {
        let ms = |times: &[u64]| times.iter().map(|ms| ms * 1_000_000).collect::<Vec<_>>();
        assert_eq!(herd(&[]), 0);
        assert_eq!(herd(&ms(&[0, 101, 202])), 1);
        assert_eq!(herd(&ms(&[500, 0, 590, 600, 90, 601])), 3);
    }
}
