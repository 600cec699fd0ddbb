//! The nodes of a run as its clients meet them: who is where, how long each went without, and what crosses over.
//!
//! Plain data, told by the players. A client's gap begins when it loses its node (or when a node that fell silent was
//! last heard) and ends when it is live again in all conversations, on whichever node.

use std::collections::VecDeque;

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
    /// The logins after the first of each client, of the last moment.
    recent: VecDeque<u64>,
    burst: u64,
}

impl Nodes {
    pub(crate) fn new(urls: &[String]) -> Self {
        let counts = urls.iter().map(|url| report::Node { url: url.clone(), ..report::Node::default() }).collect();
        Self { counts, ..Self::default() }
    }

    /// A sender's socket is open on a node; `again` if it had one before.
    pub(crate) fn connected(&mut self, sender: u32, node: Option<usize>, again: bool, now_ns: u64) {
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
        if again {
            self.recent.push_back(now_ns);
            while self.recent.front().is_some_and(|then| now_ns.saturating_sub(*then) > BURST_NS) {
                self.recent.pop_front();
            }
            self.burst = self.burst.max(self.recent.len() as u64);
        }
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
        report.reconnects_in_100_ms = self.burst;
        report.deliver_cross_us = cross(&self.cross);
        report.deliver_same_us = cross(&self.same);
    }
}
