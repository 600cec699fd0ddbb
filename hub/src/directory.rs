//! Who is connected where, across shards: for joining people to new conversations, and for presence.
//!
//! Written by the edge shards as sockets come and go, read by the home shards. No lock is held beyond one call.

use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use hubbub_protocol::UserId;
use hubbub_protocol::frame::client::PresenceStatus;

/// The directory.
#[derive(Default)]
pub(crate) struct Directory {
    users: DashMap<UserId, Present>,
    sockets: AtomicU64,
}

struct Present {
    /// Sockets by shard; few shards, so a list.
    sockets: Vec<(u8, u32)>,
    away: bool,
}

impl Present {
    fn count(&self) -> usize {
        self.sockets.iter().map(|(_, count)| *count as usize).sum()
    }

    const fn status(&self) -> PresenceStatus {
        if self.away { PresenceStatus::Away } else { PresenceStatus::Online }
    }
}

/// What a socket's coming meant for its person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It is their first.
    First,
    /// They were here already.
    Another,
    /// They have too many; it was not counted.
    Refused,
}

impl Directory {
    /// Counts a socket of this person on this shard, unless they have `max` already.
    pub(crate) fn arrive(&self, user: UserId, shard: u8, max: usize) -> Arrival {
        let mut present = self.users.entry(user).or_insert_with(|| Present { sockets: Vec::new(), away: false });
        let before = present.count();
        if before >= max {
            return Arrival::Refused;
        }
        match present.sockets.iter_mut().find(|(known, _)| *known == shard) {
            Some((_, count)) => *count += 1,
            None => present.sockets.push((shard, 1)),
        }
        self.sockets.fetch_add(1, Ordering::Relaxed);
        if before == 0 { Arrival::First } else { Arrival::Another }
    }

    /// Takes a socket away again; true if it was the person's last.
    pub(crate) fn leave(&self, user: UserId, shard: u8) -> bool {
        self.sockets.fetch_sub(1, Ordering::Relaxed);
        self.users
            .remove_if_mut(&user, |_, present| {
                if let Some((_, count)) = present.sockets.iter_mut().find(|(known, _)| *known == shard) {
                    *count = count.saturating_sub(1);
                }
                present.sockets.retain(|(_, count)| *count > 0);
                present.sockets.is_empty()
            })
            .is_some()
    }

    /// Notes whether a person who is here looks; true if that changed.
    pub(crate) fn set_away(&self, user: UserId, away: bool) -> bool {
        self.users.get_mut(&user).is_some_and(|mut present| std::mem::replace(&mut present.away, away) != away)
    }

    /// The shards that hold a socket of this person.
    pub(crate) fn shards_of(&self, user: UserId) -> Vec<u8> {
        self.users.get(&user).map_or_else(Vec::new, |present| present.sockets.iter().map(|(shard, _)| *shard).collect())
    }

    /// How a person is, if they are here.
    pub(crate) fn status(&self, user: UserId) -> Option<PresenceStatus> {
        self.users.get(&user).map(|present| present.status())
    }

    /// Sockets that are logged in.
    pub(crate) fn sockets(&self) -> u64 {
        self.sockets.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presence_follows_the_first_and_the_last_socket() {
        let directory = Directory::default();
        let user = UserId::generate();
        assert_eq!(directory.arrive(user, 0, 2), Arrival::First);
        assert_eq!(directory.arrive(user, 1, 2), Arrival::Another);
        assert_eq!(directory.arrive(user, 1, 2), Arrival::Refused, "BOUNDED sockets a person");
        assert_eq!(directory.shards_of(user), vec![0, 1]);
        assert!(!directory.leave(user, 0));
        assert_eq!(directory.shards_of(user), vec![1]);
        assert!(directory.set_away(user, true));
        assert_eq!(directory.status(user), Some(PresenceStatus::Away));
        assert!(directory.leave(user, 1));
        assert_eq!(directory.status(user), None);
        assert_eq!(directory.sockets(), 0);
    }
}
