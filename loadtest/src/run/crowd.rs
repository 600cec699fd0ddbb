//! Many sockets of few people: pairs who share one conversation, and rooms of equal size.
//!
//! Registering somebody costs the server a password hash, so a crowd of sockets has few people with many sockets each.
//! Whoever asks for a crowd says what it then does.

use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;

use super::{Conversation, Crew, Part, People, Run};

/// Sockets from one address: well below the 28,231 ports it has.
const SOCKETS_PER_SOURCE: usize = 20_000;
/// What a socket of a crowd reads at once: there are too many of them for more.
const READ_BYTES: usize = 1_024;

/// People of whom every two have a conversation, so that each of their sockets follows exactly one.
pub(crate) struct Pairs {
    run: Rc<Run>,
    pub(crate) people: People,
    pub(crate) conversations: Vec<Conversation>,
}

impl Pairs {
    /// Registers so many, or one more: everybody has another.
    pub(crate) async fn gather(run: &Rc<Run>, count: usize) -> anyhow::Result<Self> {
        let count = count.next_multiple_of(2);
        let people = People::register(run, count).await?;
        let pairs = (0..count / 2).map(|pair| vec![2 * pair, 2 * pair + 1]).collect();
        let conversations = people.converse(pairs).await?;
        Ok(Self { run: Rc::clone(run), people, conversations })
    }

    /// The socket with this number, whose person is the next by turns.
    pub(crate) fn socket(&self, number: usize, timed: bool) -> Option<Part> {
        let person = number % self.people.accounts.len();
        let mut options = self.people.options(number, person)?;
        options.socket.read_bytes = READ_BYTES;
        options.socket.source = source(number).filter(|_| self.run.is_local());
        let conversations = self.conversations.get(person / 2).cloned().into_iter().collect();
        Some(Part { options, conversations, depth: 0, timed })
    }
}

/// Which loopback address a socket comes from: the first of them is the system's choice.
fn source(socket: usize) -> Option<IpAddr> {
    let turn = u8::try_from(socket / SOCKETS_PER_SOURCE).unwrap_or(u8::MAX);
    (turn > 0).then(|| IpAddr::V4(Ipv4Addr::new(127, 0, 0, turn.saturating_add(1))))
}

impl Crew {
    /// So many people with one socket each, in rooms of so many; all of them live. A player has its person's number, and
    /// its room is its slot 0.
    pub(crate) async fn in_rooms(
        run: &Rc<Run>,
        people: usize,
        members: usize,
    ) -> anyhow::Result<(Self, Vec<Conversation>)> {
        let registered = People::register(run, people).await?;
        let everybody: Vec<usize> = (0..people).collect();
        let rooms = registered.converse(everybody.chunks(members).map(<[usize]>::to_vec).collect()).await?;
        let mut crew = Self::new(run);
        for person in everybody {
            let Some(options) = registered.options(person, person) else { continue };
            let own = rooms.get(person / members).cloned().into_iter().collect();
            crew.add(Part { options, conversations: own, depth: 0, timed: true });
        }
        crew.assemble().await?;
        Ok((crew, rooms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_has_more_sockets_than_ports() {
        assert_eq!([0, 19_999].map(source), [None, None]);
        assert_eq!(source(20_000), Some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2))));
        assert_eq!(source(499_999), Some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 25))));
    }
}
