//! What the tests of all wires share: frames in, what they say out, in words that can be compared.

use super::{Ack, Frame, Heard, Publish, Wire};

/// What these frames say, one after the other.
pub(super) fn heard(wire: &mut dyn Wire, frames: &[&str]) -> Vec<String> {
    let mut all = Vec::new();
    for frame in frames {
        wire.read(frame.as_bytes(), &mut |heard| all.push(words(&heard))).unwrap();
    }
    all
}

/// The same of one byte at a time.
pub(super) fn heard_in_bytes(wire: &mut dyn Wire, frames: &str) -> Vec<String> {
    let mut all = Vec::new();
    for byte in frames.as_bytes() {
        wire.read(&[*byte], &mut |heard| all.push(words(&heard))).unwrap();
    }
    all
}

fn words(heard: &Heard<'_>) -> String {
    match heard {
        Heard::Ready => "ready".to_owned(),
        Heard::Joined => "joined".to_owned(),
        Heard::Payload(payload) => format!("payload {}", String::from_utf8_lossy(payload)),
        Heard::Acked { number, place } => format!("acked {number} at {place:?}"),
        Heard::Say(frame) => format!("say {}", text(frame)),
        Heard::Refused(words) => format!("refused {words}"),
    }
}

/// A frame's text.
pub(super) fn text(frame: &Frame) -> String {
    match frame {
        Frame::Text(text) => text.clone(),
        Frame::Binary(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// A publish to `room` with the number 7.
pub(super) fn published(wire: &mut dyn Wire, ack: Ack) -> String {
    text(&wire.publish(&Publish { room: "room", number: 7, payload: "hub-7", ack }))
}

/// Whether a frame is taken for what it is not.
pub(super) fn is_unreadable(wire: &mut dyn Wire, frame: &str) -> bool {
    wire.read(frame.as_bytes(), &mut |heard| panic!("{frame}: {}", words(&heard))).is_err()
}
