//! The scenarios: one file each, one line each in the table below.
//!
//! Every scenario makes its own people, puts players to work, and ends with a report. What it is told on the command
//! line are its own `Args` and the options that all share.

mod ack;
mod ack_one;
mod busy_room;
mod chatter;
mod cluster;
mod connect;
mod fan_out;
mod idle_crowd;
mod knee;
mod presence;
mod reconnect_storm;
mod removals;
mod room_mix;
mod slow_reader;
mod soak;
mod typing_storm;

use clap::Subcommand;

use crate::options::Common;
use crate::report::Report;

macro_rules! scenarios {
    ($($(#[doc = $doc:literal])* $name:ident in $module:ident = $word:literal,)*) => {
        /// What to run.
        #[derive(Debug, Clone, Subcommand)]
        pub enum Scenario {
            $(
                $(#[doc = $doc])*
                #[command(name = $word)]
                $name {
                    /// Its own options.
                    #[command(flatten)]
                    args: $module::Args,
                    /// The shared options.
                    #[command(flatten)]
                    common: Box<Common>,
                },
            )*
        }

        impl Scenario {
            /// Each scenario's name and what it does.
            pub const LIST: &'static [(&'static str, &'static str)] = &[$(($word, concat!($($doc, " ",)*)),)*];

            /// The shared options.
            pub fn common(&self) -> &Common {
                match self { $(Self::$name { common, .. } => common,)* }
            }

            pub(crate) fn common_mut(&mut self) -> &mut Common {
                match self { $(Self::$name { common, .. } => common,)* }
            }

            /// Runs it.
            ///
            /// # Errors
            ///
            /// The server cannot be reached, or refuses what the scenario needs before it can begin.
            pub async fn run(&self) -> anyhow::Result<Report> {
                match self { $(Self::$name { args, common } => Box::pin($module::run(args, common)).await,)* }
            }
        }
    };
}

scenarios! {
    /// Sends as fast as acks come back, from many senders: durable sends a second, and the server's CPU for each.
    Ack in ack = "ack",
    /// One sender that waits for each ack: what a message takes when it is alone.
    AckOne in ack_one = "ack_one",
    /// One conversation, many senders over all nodes: what a message costs the store.
    BusyRoom in busy_room = "busy_room",
    /// Many small conversations in which everybody sends and reads, at a fixed rate.
    Chatter in chatter = "chatter",
    /// Rooms whose members sit on different nodes: the load under which nodes are broken.
    Cluster in cluster = "cluster",
    /// Logins, one after another from many sides: how many a second, and the server's CPU for each.
    Connect in connect = "connect",
    /// A few senders in large rooms: deliveries a second, and the server's CPU for each.
    FanOut in fan_out = "fan_out",
    /// Many sockets that do nothing, each with one conversation: what each costs.
    IdleCrowd in idle_crowd = "idle_crowd",
    /// Rooms of ten under a rising load until messages come late, then under half of it.
    Knee in knee = "knee",
    /// People come and go over the nodes: everybody is told rightly who is there.
    Presence in presence = "presence",
    /// Many lose their connection at once and come back: how long until all are live, and how long a door stays shut.
    ReconnectStorm in reconnect_storm = "reconnect_storm",
    /// A member is removed and taken in again while they send from several nodes, thousands of times.
    Removals in removals = "removals",
    /// Rooms of every size at once, from pairs to one with everybody.
    RoomMix in room_mix = "room_mix",
    /// Some of a room stop reading: they are cut and come back, and the others do not notice.
    SlowReader in slow_reader = "slow_reader",
    /// The same moderate load for a long time: what grows that should not.
    Soak in soak = "soak",
    /// Everybody in a large room types at once: what that does to messages.
    TypingStorm in typing_storm = "typing_storm",
}
