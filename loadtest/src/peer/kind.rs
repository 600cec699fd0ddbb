//! The peers: one line each, with where they usually are and how to get them.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A server that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    /// Ours with the embedded store; found running, with whatever store it has.
    Hubbub,
    /// Ours with the store in memory.
    HubbubMemory,
    /// NATS over WebSocket, and its streams for what is acknowledged.
    Nats,
    /// Socket.IO in Node.
    Socketio,
    /// Sockudo, on the Pusher wire.
    Sockudo,
    /// A plain room over the npm package `ws`.
    Ws,
    /// Centrifugo, in JSON.
    Centrifugo,
}

/// Where what is acknowledged is kept by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kept {
    /// On disk, synced.
    Durable,
    /// In the server's memory.
    Memory,
    /// Nowhere: the server has read it and passed it on.
    Nowhere,
    /// As the server that was found is set up.
    AsItRuns,
}

impl Kept {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Durable => "on disk, synced",
            Self::Memory => "in memory",
            Self::Nowhere => "not kept, passed on",
            Self::AsItRuns => "as it runs",
        }
    }
}

impl Kind {
    /// All of them, in the order of a round.
    pub(super) const ALL: [Self; 7] =
        [Self::Hubbub, Self::HubbubMemory, Self::Nats, Self::Socketio, Self::Sockudo, Self::Ws, Self::Centrifugo];

    /// Its name on the command line and in reports.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Hubbub => "hubbub",
            Self::HubbubMemory => "hubbub-memory",
            Self::Nats => "nats",
            Self::Socketio => "socketio",
            Self::Sockudo => "sockudo",
            Self::Ws => "ws",
            Self::Centrifugo => "centrifugo",
        }
    }

    /// Its name for people.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Hubbub => "Hubbub, embedded store",
            Self::HubbubMemory => "Hubbub, store in memory",
            Self::Nats => "NATS over WebSocket",
            Self::Socketio => "Socket.IO",
            Self::Sockudo => "Sockudo",
            Self::Ws => "ws, plain room",
            Self::Centrifugo => "Centrifugo, JSON",
        }
    }

    /// Where it usually listens; `None` for what is only started.
    pub(super) const fn usual(self) -> Option<&'static str> {
        match self {
            Self::Hubbub => Some("http://127.0.0.1:8080"),
            Self::HubbubMemory => None,
            Self::Nats => Some("ws://127.0.0.1:9222"),
            Self::Socketio => Some("ws://127.0.0.1:3000"),
            Self::Sockudo => Some("ws://127.0.0.1:6001"),
            Self::Ws => Some("ws://127.0.0.1:3001"),
            Self::Centrifugo => Some("ws://127.0.0.1:8000"),
        }
    }

    /// The program that is it, or runs it.
    pub(super) const fn program(self) -> &'static str {
        match self {
            Self::Hubbub | Self::HubbubMemory => "hubbub",
            Self::Nats => "nats-server",
            Self::Socketio | Self::Ws => "node",
            Self::Sockudo => "sockudo",
            Self::Centrifugo => "centrifugo",
        }
    }

    /// The npm package that it is.
    pub(super) const fn package(self) -> Option<&'static str> {
        match self {
            Self::Socketio => Some("socket.io"),
            Self::Ws => Some("ws"),
            Self::Hubbub | Self::HubbubMemory | Self::Nats | Self::Sockudo | Self::Centrifugo => None,
        }
    }

    /// How to get it.
    pub(super) const fn how_to_get(self) -> &'static str {
        match self {
            Self::Hubbub | Self::HubbubMemory => "cargo build --release, then --hubbub-program target/release/hubbub",
            Self::Nats => "go install github.com/nats-io/nats-server/v2@latest",
            Self::Socketio => "npm install socket.io in a folder, then --node-folder FOLDER",
            Self::Sockudo => {
                "cargo install sockudo --locked --no-default-features --features local,v2 (its build needs protoc)"
            }
            Self::Ws => "npm install ws in a folder, then --node-folder FOLDER",
            Self::Centrifugo => {
                "it is in no registry that a build machine may reach: build it from its repository; \
                 settings: loadtest peers --show centrifugo"
            }
        }
    }

    /// What its acknowledgements can stand for; none where it gives none over a socket.
    pub(super) const fn kept(self, started: bool) -> &'static [Kept] {
        match self {
            Self::Hubbub if started => &[Kept::Durable],
            Self::Hubbub => &[Kept::AsItRuns],
            Self::HubbubMemory | Self::Centrifugo => &[Kept::Memory],
            Self::Nats => &[Kept::Durable, Kept::Memory],
            Self::Socketio | Self::Ws => &[Kept::Nowhere],
            Self::Sockudo => &[],
        }
    }

    /// Whether it is ours.
    pub(super) const fn is_hubbub(self) -> bool {
        matches!(self, Self::Hubbub | Self::HubbubMemory)
    }
}
