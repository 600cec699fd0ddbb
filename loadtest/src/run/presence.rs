//! Who is there, and who was told so: both are compared once nobody comes or goes any more.
//!
//! Presence promises nothing while it changes; what has to be so is that it becomes right, soon, on every node, also
//! after a node has died. Plain data, told by the players.

use std::collections::{HashMap, HashSet};

use hubbub_protocol::UserId;
use hubbub_protocol::frame::client::PresenceStatus;

/// What one player was told.
#[derive(Debug, Default)]
struct Told {
    user: Option<UserId>,
    /// With whom they share a small conversation.
    neighbours: HashSet<UserId>,
    online: HashSet<UserId>,
    is_here: bool,
}

/// Who is there, and who was told so.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    sockets: HashMap<UserId, u64>,
    told: Vec<Told>,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Mistakes {
    /// Pairs that were compared.
    pub(crate) pairs: u64,
    /// Told to be there, and is not.
    pub(crate) ghosts: u64,
    /// There, and not told.
    pub(crate) unseen: u64,
}

impl Presence {
    /// Enters a player. Gives its number.
    pub(crate) fn enter(&mut self, user: UserId, neighbours: HashSet<UserId>) -> usize {
        self.told.push(Told { user: Some(user), neighbours, ..Told::default() });
        self.told.len() - 1
    }

    /// Its socket is open: what it knew is forgotten, as it will be told anew.
    pub(crate) fn came(&mut self, player: usize) {
        let Some(told) = self.told.get_mut(player) else { return };
        told.online.clear();
        if let Some(user) = told.user.filter(|_| !std::mem::replace(&mut told.is_here, true)) {
            *self.sockets.entry(user).or_default() += 1;
        }
    }

    /// Its socket is gone.
    pub(crate) fn went(&mut self, player: usize) {
        let Some(told) = self.told.get_mut(player) else { return };
        if let Some(user) = told.user.filter(|_| std::mem::replace(&mut told.is_here, false)) {
            let sockets = self.sockets.entry(user).or_default();
            *sockets = sockets.saturating_sub(1);
        }
    }

    /// It was told of somebody.
    pub(crate) fn told(&mut self, player: usize, who: UserId, status: PresenceStatus) {
        let Some(told) = self.told.get_mut(player) else { return };
        match status {
            PresenceStatus::Online | PresenceStatus::Away => told.online.insert(who),
            PresenceStatus::Offline => told.online.remove(&who),
        };
    }

    /// Compares.
    pub(crate) fn mistakes(&self) -> Mistakes {
        let mut mistakes = Mistakes::default();
        for told in self.told.iter().filter(|told| told.is_here) {
            for who in told.neighbours.iter().filter(|who| Some(**who) != told.user) {
                let is_there = self.sockets.get(who).is_some_and(|sockets| *sockets > 0);
                let is_told = told.online.contains(who);
                mistakes.pairs += 1;
                mistakes.ghosts += u64::from(is_told && !is_there);
                mistakes.unseen += u64::from(is_there && !is_told);
            }
        }
        mistakes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ghosts_and_the_unseen_are_told_apart() {
        let [one, two, three] = [1, 2, 3].map(|number| UserId::from_bytes([number; 16]));
        let all: HashSet<UserId> = [one, two, three].into();
        let mut presence = Presence::default();
        let [a, b, c] = [one, two, three].map(|user| presence.enter(user, all.clone()));
        for player in [a, b] {
            presence.came(player);
        }
        presence.told(a, two, PresenceStatus::Online);
        assert_eq!(presence.mistakes(), Mistakes { pairs: 4, ghosts: 0, unseen: 1 }, "two was not told of one");
        presence.told(b, one, PresenceStatus::Away);
        assert_eq!(presence.mistakes(), Mistakes { pairs: 4, ghosts: 0, unseen: 0 });
        presence.told(a, three, PresenceStatus::Online);
        assert_eq!(presence.mistakes().ghosts, 1, "three is not there");
        presence.came(c);
        presence.went(b);
        assert_eq!(
            presence.mistakes(),
            Mistakes { pairs: 4, ghosts: 1, unseen: 1 },
            "two is gone, three hears of nobody"
        );
        presence.came(a);
        assert_eq!(presence.mistakes().ghosts, 0, "a new socket knows of nobody");
    }
}
