//! The Pusher wire, protocol 7, as Sockudo speaks it: client events on a private channel.
//!
//! It acknowledges no client event: what is answered there goes over HTTP, which is no row of ours.

use std::borrow::Cow;
use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use sha2::Sha256;

use super::{Door, Frame, Heard, Publish, Unreadable, Wire};

/// The application that the harness uses: a key and a secret, which are secret to nobody.
pub(crate) const APP_ID: &str = "load";
pub(crate) const APP_KEY: &str = "load-key";
pub(crate) const APP_SECRET: &str = "load-secret";

/// A connection to a Pusher server.
#[derive(Default)]
pub(crate) struct Pusher {
    socket_id: String,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(default, borrow)]
    data: Data<'a>,
}

/// An event's data: text, which may be JSON once more, or JSON at once, which is of no use here.
#[derive(Default)]
struct Data<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Data<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any).map(Data)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the data of an event")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(""))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Cow::Borrowed(""))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Cow::Borrowed(""))
    }
}

#[derive(Deserialize)]
struct Established {
    socket_id: String,
}

/// HMAC-SHA256 with the application's secret, in hexadecimal.
pub(crate) fn sign(text: &str) -> String {
    use fmt::Write as _;

    let mut signed = String::with_capacity(64);
    // A key of any length is taken.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(APP_SECRET.as_bytes()) {
        mac.update(text.as_bytes());
        for byte in mac.finalize().into_bytes() {
            // Writing into a string cannot fail.
            let _written = write!(signed, "{byte:02x}");
        }
    }
    signed
}

impl Wire for Pusher {
    fn door(&self) -> Door {
        Door::at(&format!("/app/{APP_KEY}?protocol=7&client=loadtest&version=1&flash=false"))
    }

    fn hello(&mut self) -> Option<Frame> {
        None
    }

    fn join(&mut self, room: &str) -> Option<Frame> {
        let auth = sign(&format!("{}:{room}", self.socket_id));
        Some(Frame::Text(format!(
            r#"{{"event":"pusher:subscribe","data":{{"channel":"{room}","auth":"{APP_KEY}:{auth}"}}}}"#
        )))
    }

    fn publish(&mut self, publish: &Publish<'_>) -> Frame {
        let Publish { room, payload, .. } = publish;
        Frame::Text(format!(r#"{{"event":"client-m","channel":"{room}","data":"{payload}"}}"#))
    }

    fn read(&mut self, frame: &[u8], tell: &mut dyn FnMut(Heard<'_>)) -> Result<(), Unreadable> {
        let event: Event<'_> = serde_json::from_slice(frame).map_err(|_| Unreadable::frame(frame))?;
        match event.event.as_ref() {
            "client-m" => tell(Heard::Payload(event.data.0.as_bytes())),
            "pusher:connection_established" => {
                let established: Established =
                    serde_json::from_str(&event.data.0).map_err(|_| Unreadable::frame(frame))?;
                self.socket_id = established.socket_id;
                tell(Heard::Ready);
            }
            "pusher_internal:subscription_succeeded" => tell(Heard::Joined),
            "pusher:ping" => tell(Heard::Say(Frame::Text(r#"{"event":"pusher:pong","data":{}}"#.to_owned()))),
            "pusher:error" | "pusher:subscription_error" => tell(Heard::refused(frame)),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Ack;
    use super::super::testing::{heard, is_unreadable, published, text};
    use super::*;

    #[test]
    fn a_session_is_read_event_by_event_whatever_the_form_of_its_data() {
        let mut wire = Pusher::default();
        let said = [
            r#"{"event":"pusher:connection_established","data":"{\"socket_id\":\"123.456\",\"activity_timeout\":120}"}"#,
            r#"{"event":"pusher_internal:subscription_succeeded","channel":"private-all","data":"{}"}"#,
            r#"{"event":"pusher_internal:subscription_succeeded","data":{},"channel":"private-all"}"#,
            r#"{"event":"client-m","channel":"private-all","data":"hub-7"}"#,
            r#"{"channel":"private-all","data":"hub-8","event":"client-m","user_id":"x"}"#,
            r#"{"event":"pusher:ping","data":{}}"#,
            r#"{"event":"pusher:pong"}"#,
            r#"{"event":"pusher:error","data":{"code":4301,"message":"too fast"}}"#,
        ];
        let expected = [
            "ready",
            "joined",
            "joined",
            "payload hub-7",
            "payload hub-8",
            r#"say {"event":"pusher:pong","data":{}}"#,
            r#"refused {"event":"pusher:error","data":{"code":4301,"message":"too fast"}}"#,
        ];
        assert_eq!(heard(&mut wire, &said), expected);
        assert!(is_unreadable(&mut wire, "hello"));
    }

    #[test]
    fn a_private_channel_is_joined_with_the_signature_of_this_very_socket() {
        let mut wire = Pusher::default();
        heard(&mut wire, &[r#"{"event":"pusher:connection_established","data":"{\"socket_id\":\"1.2\"}"}"#]);
        let joined = wire.join("private-all").map(|frame| text(&frame)).unwrap_or_default();
        assert!(joined.contains(&format!("load-key:{}", sign("1.2:private-all"))), "{joined}");
        // By `openssl dgst -sha256 -hmac load-secret`.
        assert_eq!(sign("1.2:private-all"), "ab82a99ea9877e30811d42aa9b995a464d5aa57895af89b3da44bbaee145c7f4");
        assert_eq!(published(&mut wire, Ack::Wanted), r#"{"event":"client-m","channel":"room","data":"hub-7"}"#);
    }
}
