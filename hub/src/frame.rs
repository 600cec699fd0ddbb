//! Whole WebSocket frames: encoded once per wire format and shared by all who get them.
//!
//! Server frames are unmasked (RFC 6455 section 5.1), so the same bytes serve every socket.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use hubbub_protocol::codec::{self, Format};
use hubbub_protocol::frame::close::CloseCode;
use hubbub_protocol::frame::server::ServerFrame;
use serde_json::json;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// A frame for many sockets, encoded when the first of each format asks.
pub(crate) struct SharedFrame {
    frame: ServerFrame,
    encoded: [OnceLock<Bytes>; Format::ALL.len()],
}

impl SharedFrame {
    pub(crate) fn new(frame: impl Into<ServerFrame>) -> Arc<Self> {
        Arc::new(Self { frame: frame.into(), encoded: [OnceLock::new(), OnceLock::new()] })
    }

    /// Its bytes on a socket of this format.
    pub(crate) fn bytes(&self, format: Format) -> Bytes {
        self.encoded[format.index()].get_or_init(|| encode(&self.frame, format)).clone()
    }

    /// The frame itself.
    pub(crate) const fn frame(&self) -> &ServerFrame {
        &self.frame
    }
}

/// Shows the frame, not its bytes.
impl std::fmt::Debug for SharedFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.frame.fmt(f)
    }
}

/// A frame for one socket.
pub(crate) fn encode(frame: &ServerFrame, format: Format) -> Bytes {
    match codec::encode(frame, format) {
        Ok(payload) => {
            let data = match format {
                Format::Json => Data::Text,
                Format::MessagePack => Data::Binary,
            };
            whole(Frame::message(payload, OpCode::Data(data), true))
        }
        Err(error) => {
            // The types of the protocol encode; should one ever not, its socket starts anew rather than miss a frame.
            tracing::error!(%error, frame = frame.word(), "a frame could not be encoded");
            close(CloseCode::Internal, None)
        }
    }
}

/// A ping without a payload.
pub(crate) fn ping() -> Bytes {
    whole(Frame::ping(Bytes::new()))
}

/// A close frame. Its reason is JSON, so that the action reaches programs that see only code and reason.
pub(crate) fn close(code: CloseCode, retry_after_ms: Option<u64>) -> Bytes {
    let mut reason = json!({"reason": code.reason(), "action": code.action()});
    if let Some(ms) = retry_after_ms {
        reason["retry_after_ms"] = ms.into();
    }
    whole(Frame::close(Some(CloseFrame { code: code.number().into(), reason: reason.to_string().into() })))
}

fn whole(frame: Frame) -> Bytes {
    let mut bytes = Vec::with_capacity(frame.len());
    match frame.format(&mut bytes) {
        Ok(()) => bytes.into(),
        // Writing into a Vec does not fail; no bytes rather than half a frame if it ever did.
        Err(_) => Bytes::new(),
    }
}
