//! Which topics a node wants, which of them Redis has confirmed, and who waits for that.
//!
//! Pure; owned by the bus behind a lock, worked off by its link in batches. A wish is noted once and holds until it is
//! taken back; a confirmation holds for one connection. Whoever was refused meanwhile is owed a `Missed`.

use std::collections::{HashMap, VecDeque};

use tokio::sync::oneshot;

use crate::bus::Topic;

/// Wants and confirmations.
pub(super) struct Topics {
    states: HashMap<Topic, State>,
    /// Those whose wish and confirmation may differ; each once.
    differing: VecDeque<Topic>,
    /// Asked for and not confirmed yet.
    asked: usize,
    /// Anything was asked for since the last loss.
    has_asked: bool,
    waiting: usize,
    limits: TopicLimits,
}

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct TopicLimits {
    /// Topics watched at once.
    pub(super) topics: usize,
    /// Calls that wait for a confirmation.
    pub(super) waiting: usize,
}

#[derive(Default)]
struct State {
    wanted: bool,
    confirmed: Confirmed,
    /// In `differing`.
    queued: bool,
    /// Somebody was told that it is not watched.
    refused: bool,
    waiting: Vec<oneshot::Sender<()>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Confirmed {
    #[default]
    No,
    Asked,
    Yes,
}

/// How a wish to watch is met.
pub(super) enum Watching {
    /// It is watched already.
    Already,
    /// This comes when it is; dropped: the connection was lost first, or the wish taken back.
    Soon(oneshot::Receiver<()>),
    /// There is no room; it is not noted.
    Full,
}

/// What to ask of Redis next.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) watch: Vec<Topic>,
    pub(super) unwatch: Vec<Topic>,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.watch.is_empty() && self.unwatch.is_empty()
    }
}

impl Topics {
    pub(super) fn new(limits: TopicLimits) -> Self {
        Self { states: HashMap::new(), differing: VecDeque::new(), asked: 0, has_asked: false, waiting: 0, limits }
    }

    pub(super) fn watch(&mut self, topic: Topic) -> Watching {
        let is_watched = |state: &State| state.confirmed == Confirmed::Yes;
        if self.states.get(&topic).is_some_and(is_watched) {
            self.note(topic);
            return Watching::Already;
        }
        if self.waiting >= self.limits.waiting || !self.note(topic) {
            return Watching::Full;
        }
        let Some(state) = self.states.get_mut(&topic) else { return Watching::Full };
        let (confirm, confirmed) = oneshot::channel();
        state.waiting.push(confirm);
        self.waiting += 1;
        Watching::Soon(confirmed)
    }

    /// Notes that it is wanted, for nobody who waits; false if there is no room.
    pub(super) fn note(&mut self, topic: Topic) -> bool {
        if !self.states.contains_key(&topic) && self.states.len() >= self.limits.topics {
            return false;
        }
        self.states.entry(topic).or_default().wanted = true;
        self.queue(topic);
        true
    }

    pub(super) fn unwatch(&mut self, topic: Topic) {
        if let Some(state) = self.states.get_mut(&topic) {
            state.wanted = false;
            state.refused = false;
            self.waiting -= state.waiting.len();
            state.waiting = Vec::new();
            self.queue(topic);
        }
    }

    /// Somebody is told that this is not watched; false if it is.
    pub(super) fn refuse(&mut self, topic: Topic) -> bool {
        match self.states.get_mut(&topic) {
            Some(state) if state.confirmed == Confirmed::Yes => false,
            Some(state) => {
                state.refused |= state.wanted;
                true
            }
            None => true,
        }
    }

    /// What differs, as many at a time; what is to be watched counts as asked for.
    pub(super) fn next_batch(&mut self, most: usize) -> Batch {
        let mut batch = Batch::default();
        while batch.watch.len() < most
            && batch.unwatch.len() < most
            && let Some(topic) = self.differing.pop_front()
        {
            let Some(state) = self.states.get_mut(&topic) else { continue };
            state.queued = false;
            match (state.wanted, state.confirmed) {
                (true, Confirmed::No) => {
                    state.confirmed = Confirmed::Asked;
                    self.asked += 1;
                    self.has_asked = true;
                    batch.watch.push(topic);
                }
                (false, Confirmed::Yes) => {
                    self.states.remove(&topic);
                    batch.unwatch.push(topic);
                }
                (false, Confirmed::No) => {
                    self.states.remove(&topic);
                }
                // Asked for: looked at again when it is confirmed.
                (true, Confirmed::Yes) | (_, Confirmed::Asked) => {}
            }
        }
        batch
    }

    /// Redis has confirmed these; whether somebody had been refused one of them.
    pub(super) fn confirmed(&mut self, topics: &[Topic]) -> bool {
        let mut refused = false;
        for topic in topics {
            let Some(state) = self.states.get_mut(topic).filter(|state| state.confirmed == Confirmed::Asked) else {
                continue;
            };
            state.confirmed = Confirmed::Yes;
            self.asked -= 1;
            self.waiting -= state.waiting.len();
            refused |= std::mem::take(&mut state.refused);
            for waiting in state.waiting.drain(..) {
                // Whoever is gone need not be told.
                waiting.send(()).ok();
            }
            self.queue(*topic);
        }
        refused
    }

    /// The connection is gone: nothing is confirmed, and who waits is refused.
    pub(super) fn lost(&mut self) {
        if !std::mem::take(&mut self.has_asked) && self.waiting == 0 {
            return;
        }
        self.differing.clear();
        self.asked = 0;
        self.waiting = 0;
        self.states.retain(|_, state| state.wanted);
        for (topic, state) in &mut self.states {
            *state = State { wanted: true, queued: true, refused: state.refused, ..State::default() };
            self.differing.push_back(*topic);
        }
    }

    /// Whether all that is wanted is confirmed.
    pub(super) fn is_settled(&self) -> bool {
        self.differing.is_empty() && self.asked == 0
    }

    pub(super) fn len(&self) -> usize {
        self.states.len()
    }

    fn queue(&mut self, topic: Topic) {
        if let Some(state) = self.states.get_mut(&topic)
            && !state.queued
            && state.wanted != (state.confirmed == Confirmed::Yes)
            && state.confirmed != Confirmed::Asked
        {
            state.queued = true;
            self.differing.push_back(topic);
        }
    }
}

#[cfg(test)]
mod tests;
