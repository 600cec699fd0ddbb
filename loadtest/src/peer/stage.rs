//! One peer that stands ready: where it is, which process it is, and whose connections are opened to it.

use super::cast::Cast;
use super::kind::{Kept, Kind};
use super::link::Link;
use super::wire::centrifugo::Centrifugo;
use super::wire::hubbub::{Following, Hubbub};
use super::wire::nats::Nats;
use super::wire::pusher::Pusher;
use super::wire::room::Room;
use super::wire::socketio::SocketIo;
use super::wire::{Ack, Heard, Publish, Wire};
use crate::client::http::Target;

/// Connections that share a room while they do nothing.
const ROOM_OF_IDLERS: usize = 100;

/// What opens a connection, and the room it is for.
pub(super) type Part = (Box<dyn Wire>, String);

/// A peer that can be measured.
pub(super) struct Stage {
    pub(super) kind: Kind,
    pub(super) target: Target,
    pub(super) pid: Option<u32>,
    pub(super) round: usize,
    /// Tells its messages from those of others.
    pub(super) run: u32,
    /// Ours alone has people.
    pub(super) cast: Option<Cast>,
}

impl Stage {
    /// A connection that is only let in.
    fn plain(&self) -> Box<dyn Wire> {
        match self.kind {
            Kind::Hubbub | Kind::HubbubMemory => self.hubbub(0, Following::Login),
            Kind::Nats => Box::new(Nats::new(None)),
            Kind::Socketio => Box::new(SocketIo),
            Kind::Sockudo => Box::new(Pusher::default()),
            Kind::Ws => Box::new(Room::default()),
            Kind::Centrifugo => Box::new(Centrifugo),
        }
    }

    fn hubbub(&self, turn: usize, following: Following) -> Box<dyn Wire> {
        let token = self.cast.as_ref().map_or_else(String::new, |cast| cast.token(turn));
        Box::new(Hubbub::new(token, following, self.run, u32::try_from(turn).unwrap_or(u32::MAX)))
    }

    /// The name of a room, where names are free.
    fn room(&self, name: &str) -> String {
        // Only private channels take what clients publish.
        if self.kind == Kind::Sockudo { format!("private-{name}") } else { name.to_owned() }
    }

    /// A receiver of the room of all.
    pub(super) fn receiver(&self, turn: usize) -> Part {
        match self.cast.as_ref().and_then(Cast::all) {
            Some(all) => (self.hubbub(turn, Following::Live(all)), all.to_string()),
            None => (self.plain(), self.room("all")),
        }
    }

    /// Who publishes to it.
    pub(super) fn publisher(&self) -> Part {
        match self.cast.as_ref().and_then(Cast::all) {
            Some(all) => (self.hubbub(0, Following::Nothing(vec![all])), all.to_string()),
            None => (self.plain(), self.room("all")),
        }
    }

    /// Whether it must have joined what it publishes to. It does not hear itself there.
    pub(super) fn publisher_joins(&self) -> bool {
        self.kind == Kind::Sockudo
    }

    /// Who publishes to a room of its own and is answered.
    pub(super) fn sender(&self, turn: usize, kept: Kept) -> Part {
        if let Some(own) = self.cast.as_ref().and_then(|cast| cast.own(turn)) {
            return (self.hubbub(turn, Following::Nothing(vec![own])), own.to_string());
        }
        match self.kind {
            Kind::Nats => (Box::new(Nats::new(Some(turn as u64))), format!("{}.{turn}", stream(kept))),
            // The namespace with a history.
            Kind::Centrifugo => (self.plain(), format!("kept:{turn}")),
            _ => (self.plain(), self.room(&format!("own-{turn}"))),
        }
    }

    /// One of a crowd that does nothing.
    pub(super) fn idler(&self, turn: usize) -> Part {
        match self.cast.as_ref().and_then(|cast| cast.pair(turn)) {
            Some(pair) => (self.hubbub(turn, Following::Live(pair)), pair.to_string()),
            None => (self.plain(), self.room(&format!("idle-{}", turn / ROOM_OF_IDLERS))),
        }
    }

    /// One who comes again and again.
    pub(super) fn visitor(&self, turn: usize) -> impl Fn() -> Box<dyn Wire> + 'static {
        let again = Self {
            kind: self.kind,
            target: self.target.clone(),
            pid: None,
            round: self.round,
            run: self.run,
            cast: None,
        };
        let token = self.cast.as_ref().map(|cast| cast.token(turn));
        move || match &token {
            Some(token) => Box::new(Hubbub::new(token.clone(), Following::Login, 0, 0)),
            None => again.plain(),
        }
    }

    /// Makes what keeps acknowledged publishes, where it must be made.
    pub(super) async fn keep(&self, kept: Kept) -> anyhow::Result<()> {
        if self.kind != Kind::Nats {
            return Ok(());
        }
        self.forget(kept).await;
        let (name, storage) = (stream(kept), if kept == Kept::Durable { "file" } else { "memory" });
        let config = format!(
            r#"{{"name":"{name}","subjects":["{name}.*"],"storage":"{storage}","retention":"limits","discard":"old","max_bytes":1000000000,"num_replicas":1}}"#
        );
        self.ask_jetstream("CREATE", name, &config).await
    }

    /// Takes it away again.
    pub(super) async fn forget(&self, kept: Kept) {
        if self.kind == Kind::Nats {
            // Before a first run there is nothing to take away.
            drop(self.ask_jetstream("DELETE", stream(kept), "").await);
        }
    }

    async fn ask_jetstream(&self, what: &str, name: &str, body: &str) -> anyhow::Result<()> {
        let wire = Box::new(Nats::new(Some(u64::MAX)));
        let mut link = Link::open(&self.target, wire, 4_096).await?;
        let subject = format!("$JS.API.STREAM.{what}.{name}");
        link.publish(&Publish { room: &subject, number: 0, payload: body, ack: Ack::Wanted });
        link.flush().await?;
        let (mut answered, mut refused) = (false, None);
        while !answered {
            let answer = link.listen(|heard| match heard {
                Heard::Refused(words) => (answered, refused) = (true, Some(words)),
                heard => answered |= matches!(heard, Heard::Acked { .. }),
            });
            tokio::time::timeout(std::time::Duration::from_secs(10), answer).await??;
        }
        refused.map_or(Ok(()), |words| Err(anyhow::anyhow!("JetStream: {words}")))
    }
}

/// The stream of what is kept so.
const fn stream(kept: Kept) -> &'static str {
    match kept {
        Kept::Durable => "hubbub-peers-disk",
        Kept::Memory | Kept::Nowhere | Kept::AsItRuns => "hubbub-peers-memory",
    }
}
