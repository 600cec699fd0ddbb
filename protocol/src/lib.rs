//! The words and bytes of Hubbub: what can be said on its wire, and how it is spelt.
//!
//! Pure: no runtime, no I/O and no clock, so that a stranger's client and the hub itself can both be written on it.
//!
//! A glossary, in the order a newcomer meets the words:
//!
//! * a **conversation** is an ordered log of [`record::Record`]s, numbered 1, 2, 3 … by [`sequence::Sequence`];
//! * a **member** belongs to it with a [`member::Role`];
//! * a **frame** is one message on a socket: [`frame::client::ClientFrame`] inwards, [`frame::server::ServerFrame`] outwards;
//! * an **event** is the frame that tells of one record: [`frame::server::Event`], the same bytes live, replayed or read by REST;
//! * a **cursor** is the sequence that a reader holds; everything retained above it can be had again (RESUMABLE).
//!
//! One exchange from hello to close: the client opens a socket, says [`frame::client::Auth`] and hears
//! [`frame::server::AuthOk`]; it says [`frame::client::MessageSend`] and hears [`frame::server::MessageAck`], while the
//! other members hear [`frame::server::MessageNew`]; the hub ends it with a [`frame::close::CloseCode`] that says whether
//! to come back.

pub mod codec;
mod decode;
pub mod error;
pub mod frame;
pub mod id;
pub mod limits;
pub mod member;
pub mod payload;
pub mod record;
pub mod sequence;
pub mod time;

pub use error::{ErrorBody, ErrorCode};
pub use id::{ClientMessageId, ConversationId, DeviceId, MessageId, NodeId, SessionId, UserId};
pub use payload::Payload;
pub use record::{Record, RecordBody};
pub use sequence::Sequence;
pub use time::Timestamp;
