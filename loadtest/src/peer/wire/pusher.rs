//! The Pusher wire, protocol 7, as Sockudo speaks it: client events on a private channel.
//!
//! It acknowledges no client event; a publish that is answered goes over HTTP ([`super::super::pusher_http`]).

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
