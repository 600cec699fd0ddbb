//! Who is alive, by the hellos that were heard, and who is home to a conversation, by rendezvous.
//!
//! A node's hello is its lease: one that says none for [`DEAD_AFTER_MS`] is gone, with its people. Silence counts only
//! while this node hears itself, so that a bus that is down kills nobody. Two nodes may see the cluster differently for a
//! moment, and then both take a conversation home: that costs speed, never safety, since every append names its head.

use std::collections::HashMap;
use std::sync::Arc;

use hubbub_protocol::{ConversationId, NodeId};

/// How often a node says that it is here, in milliseconds.
pub const HELLO_EVERY_MS: u64 = 1_000;
/// A node that said nothing for so long is gone: four hellos.
pub const DEAD_AFTER_MS: u64 = 4_000;
/// A node that left acts unanswered takes no conversation home for so long.
pub const SUSPECT_FOR_MS: u64 = 5_000;
/// How far two clocks may part between two hellos, in milliseconds.
const DRIFT_MS: i128 = 1;
/// Nodes that are kept in mind (BOUNDED): beyond any cluster we know. Further ones are not heard.
const MAX_NODES: usize = 1_024;

/// The cluster as one node sees it at one moment. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    me: NodeId,
    homes: Arc<[NodeId]>,
    /// The others that are alive, in order, whether or not they take conversations home.
    others: Arc<[NodeId]>,
}

impl View {
    /// The view of a node that is by itself.
    #[must_use]
    pub fn alone(me: NodeId) -> Self {
        Self { me, homes: Arc::new([]), others: Arc::new([]) }
    }

    /// The other node that is home to this conversation; `None` if it is this one (Thaler and Ravishankar 1998: each
    /// node draws a number for the conversation, the highest wins; so a node that comes or goes moves only its own).
    pub fn other_home(&self, conversation: ConversationId) -> Option<NodeId> {
        let best = self.homes.iter().max_by_key(|node| (draw(**node, conversation), **node))?;
        (*best != self.me).then_some(*best)
    }

    /// Whether this other node is known to be alive.
    pub fn knows(&self, node: NodeId) -> bool {
        self.others.binary_search(&node).is_ok()
    }

    /// How many nodes take conversations home, this one included if it does.
    pub fn homes(&self) -> usize {
        self.homes.len()
    }
}

/// The nodes that were heard of. Times are milliseconds of any clock that does not go back.
#[derive(Debug)]
pub struct Nodes {
    me: NodeId,
    /// Whether this node takes conversations home.
    homes: Homes,
    /// Since when this node hears itself; `None` while it does not.
    up_since: Option<u64>,
    others: HashMap<NodeId, Other>,
}

/// Whether a node takes conversations home, in the order of its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Homes {
    NotYet,
    Yes,
    NoMore,
}

#[derive(Debug)]
struct Other {
    heard: u64,
    homes: bool,
    suspect_until: u64,
    /// This node's clock less its own when a hello came fastest: what is more than that, something was under way.
    offset: i128,
}

impl Nodes {
    /// A node that has heard nobody yet.
    #[must_use]
    pub fn new(me: NodeId, homes: bool) -> Self {
        let homes = if homes { Homes::Yes } else { Homes::NotYet };
        Self { me, homes, up_since: None, others: HashMap::new() }
    }

    /// The bus carries, or does not.
    pub fn set_up(&mut self, up: bool, now: u64) {
        self.up_since = up.then_some(self.up_since.unwrap_or(now));
    }

    /// Somebody said that they are here, at `clock` by their own clock; true if they were not known.
    pub fn hello(&mut self, node: NodeId, homes: bool, clock: u64, now: u64) -> bool {
        let offset = i128::from(now) - i128::from(clock);
        if node == self.me {
            return false;
        }
        if let Some(other) = self.others.get_mut(&node) {
            (other.heard, other.homes) = (now, homes);
            other.offset = offset.min(other.offset + DRIFT_MS);
            return false;
        }
        if self.others.len() >= MAX_NODES {
            return false;
        }
        self.others.insert(node, Other { heard: now, homes, suspect_until: 0, offset });
        true
    }

    /// How long something was under way that this node said at `clock` by its own clock, in milliseconds; `None` if it is
    /// not known. No clock of day has part in it.
    pub fn age(&self, node: NodeId, clock: u64, now: u64) -> Option<u64> {
        let age = i128::from(now) - i128::from(clock) - self.others.get(&node)?.offset;
        Some(u64::try_from(age).unwrap_or(0))
    }

    /// This node stood still for a while: what others said meanwhile, it has not heard yet.
    pub fn woke(&mut self, now: u64) {
        self.up_since = self.up_since.map(|_| now);
    }

    /// Somebody said that they go; true if they were known.
    pub fn bye(&mut self, node: NodeId) -> bool {
        self.others.remove(&node).is_some()
    }

    /// Somebody left acts unanswered.
    pub fn suspect(&mut self, node: NodeId, now: u64) {
        if let Some(other) = self.others.get_mut(&node) {
            other.suspect_until = now + SUSPECT_FOR_MS;
        }
    }

    /// Whether somebody left acts unanswered a short while ago.
    pub fn suspects(&self, node: NodeId, now: u64) -> bool {
        self.others.get(&node).is_some_and(|other| other.suspect_until > now)
    }

    /// This node takes conversations home from now on, unless it has stopped already.
    pub fn take_homes(&mut self) {
        if self.homes == Homes::NotYet {
            self.homes = Homes::Yes;
        }
    }

    /// This node stops taking conversations home, for good.
    pub fn give_up_homes(&mut self) {
        self.homes = Homes::NoMore;
    }

    /// Those who said nothing for too long: they are gone.
    pub fn tick(&mut self, now: u64) -> Vec<NodeId> {
        let Some(up_since) = self.up_since else { return Vec::new() };
        // What was said while this node was deaf, it could not hear.
        let silent = |other: &Other| now.saturating_sub(other.heard.max(up_since)) > DEAD_AFTER_MS;
        let gone: Vec<NodeId> = self.others.iter().filter(|(_, other)| silent(other)).map(|(node, _)| *node).collect();
        for node in &gone {
            self.others.remove(node);
        }
        gone
    }

    /// Whether this node takes conversations home.
    pub const fn takes_homes(&self) -> bool {
        matches!(self.homes, Homes::Yes)
    }

    /// How many others are known to be alive.
    pub fn others(&self) -> usize {
        self.others.len()
    }

    /// The cluster as it is seen now. A node that is deaf is home to everything itself.
    pub fn view(&self, now: u64) -> View {
        let mut alive: Vec<NodeId> = self.others.keys().copied().collect();
        alive.sort_unstable();
        if self.up_since.is_none() {
            return View { others: alive.into(), ..View::alone(self.me) };
        }
        let takes = |other: &Other| other.homes && other.suspect_until <= now;
        let others = self.others.iter().filter(|(_, other)| takes(other)).map(|(node, _)| *node);
        let mut homes: Vec<NodeId> = others.chain(self.takes_homes().then_some(self.me)).collect();
        homes.sort_unstable();
        View { me: self.me, homes: homes.into(), others: alive.into() }
    }
}

/// A node's number for a conversation: the same on every node and in every version.
fn draw(node: NodeId, conversation: ConversationId) -> u64 {
    let bytes = [*node.as_bytes(), *conversation.as_bytes()];
    let words =
        bytes.as_flattened().chunks_exact(8).map(|word| word.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)));
    words.fold(0, |state, word| mix(state ^ word))
}

/// The finaliser of `SplitMix64` (Steele, Lea and Flood 2014).
const fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u8) -> NodeId {
        NodeId::from_bytes([number; 16])
    }

    fn conversations() -> impl Iterator<Item = ConversationId> {
        (0..3_000_u128).map(|number| ConversationId::from_bytes(number.to_be_bytes()))
    }

    fn three(me: u8) -> Nodes {
        let mut nodes = Nodes::new(node(me), true);
        nodes.set_up(true, 0);
        for other in 1..=3 {
            nodes.hello(node(other), true, 0, 0);
        }
        nodes
    }

    fn home(view: &View, conversation: ConversationId) -> NodeId {
        view.other_home(conversation).unwrap_or(view.me)
    }

    #[test]
    fn all_nodes_agree_on_homes_and_share_them_evenly() {
        let views: Vec<View> = (1..=3).map(|me| three(me).view(0)).collect();
        let mut counts = [0; 3];
        for conversation in conversations() {
            let homes: Vec<NodeId> = views.iter().map(|view| home(view, conversation)).collect();
            assert!(homes.windows(2).all(|pair| pair[0] == pair[1]), "{homes:?}");
            counts[usize::from(homes[0].as_bytes()[0]) - 1] += 1;
        }
        assert!(counts.iter().all(|count| (900..1_100).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_node_that_goes_moves_only_its_own_conversations() {
        let mut nodes = three(1);
        let before = nodes.view(0);
        assert!(nodes.bye(node(3)));
        let after = nodes.view(0);
        for conversation in conversations() {
            let was = home(&before, conversation);
            assert!(was == node(3) || home(&after, conversation) == was);
            assert_ne!(home(&after, conversation), node(3));
        }
    }

    #[test]
    fn silence_is_death_but_not_while_nothing_can_be_heard() {
        let mut nodes = three(1);
        assert!(nodes.tick(DEAD_AFTER_MS).is_empty());
        nodes.hello(node(2), true, 0, DEAD_AFTER_MS);
        assert_eq!(nodes.tick(DEAD_AFTER_MS + 1), vec![node(3)]);
        nodes.set_up(false, 5_000);
        assert!(nodes.tick(60_000).is_empty(), "a bus that is down kills nobody");
        nodes.set_up(true, 60_000);
        assert!(nodes.tick(60_000 + DEAD_AFTER_MS).is_empty(), "nor does its return");
        assert_eq!(nodes.tick(60_001 + DEAD_AFTER_MS), vec![node(2)]);
    }

    #[test]
    fn a_node_takes_homes_once_it_has_arrived_and_none_any_more_after_it_left() {
        let mut nodes = Nodes::new(node(1), false);
        nodes.set_up(true, 0);
        assert_eq!(nodes.view(0).homes(), 0, "it has not heard of the others yet");
        nodes.take_homes();
        assert_eq!(nodes.view(0).homes(), 1);
        nodes.give_up_homes();
        nodes.take_homes();
        assert_eq!(nodes.view(0).homes(), 0, "DRAINED: a late arrival undoes no leaving");
    }

    #[test]
    fn whoever_is_gone_is_known_no_longer_and_whoever_is_suspected_still_is() {
        let mut nodes = three(1);
        nodes.suspect(node(2), 0);
        assert!(nodes.bye(node(3)));
        for up in [true, false] {
            nodes.set_up(up, 0);
            assert!(nodes.view(0).knows(node(2)) && !nodes.view(0).knows(node(3)), "up: {up}");
        }
    }

    #[test]
    fn what_was_long_under_way_is_told_from_what_comes_at_once_whatever_the_clocks_say() {
        let mut nodes = Nodes::new(node(1), true);
        assert_eq!(nodes.age(node(2), 900_000, 50), None);
        nodes.hello(node(2), true, 900_000, 50);
        nodes.hello(node(2), true, 901_000, 1_850);
        assert_eq!(nodes.age(node(2), 902_000, 2_050), Some(0));
        assert_eq!(nodes.age(node(2), 902_000, 4_550), Some(2_499), "less the drift that clocks are allowed");
    }

    #[test]
    fn whoever_stood_still_takes_nobody_for_dead_before_it_has_listened() {
        let mut nodes = three(1);
        nodes.woke(60_000);
        assert!(nodes.tick(60_000).is_empty());
        assert_eq!(nodes.tick(60_001 + DEAD_AFTER_MS).len(), 2);
    }

    #[test]
    fn a_deaf_node_is_its_own_home_to_all() {
        let mut nodes = three(1);
        nodes.set_up(false, 1);
        assert!(conversations().all(|conversation| nodes.view(1).other_home(conversation).is_none()));
    }

    #[test]
    fn whoever_does_not_answer_is_no_home_for_a_while() {
        let mut nodes = three(1);
        nodes.suspect(node(2), 10);
        assert!(nodes.suspects(node(2), 10) && !nodes.suspects(node(3), 10));
        assert_eq!(nodes.view(10).homes(), 2);
        assert_eq!(nodes.view(10 + SUSPECT_FOR_MS).homes(), 3);
    }

    #[test]
    fn a_node_that_stops_or_is_rest_alone_is_home_to_nothing() {
        let mut nodes = three(1);
        nodes.give_up_homes();
        nodes.hello(node(2), false, 0, 1);
        assert!(conversations().all(|conversation| nodes.view(1).other_home(conversation) == Some(node(3))));
    }

    #[test]
    fn bounded_a_flood_of_nodes_is_not_heard() {
        let mut nodes = Nodes::new(node(1), true);
        for number in 0..2 * MAX_NODES as u128 {
            nodes.hello(NodeId::from_bytes((number << 64).to_be_bytes()), true, 0, 0);
        }
        assert_eq!(nodes.others(), MAX_NODES);
    }
}
