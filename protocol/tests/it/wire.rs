//! How values look on the wire, seen by a reader of MessagePack that knows nothing of our types.

use std::collections::BTreeMap;

use hubbub_protocol::codec::{self, Format};
use hubbub_protocol::frame::server::ServerFrame;
use serde::Serialize;

use crate::samples;

/// A MessagePack value by its family, straight from the format's specification.
#[derive(Debug, Clone, PartialEq)]
enum Packed {
    Nil,
    Flag(bool),
    Number(u64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Packed>),
    /// With the keys in their order.
    Map(Vec<(String, Packed)>),
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take(&mut self, count: usize) -> &[u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    /// A big-endian number of so many bytes.
    fn number(&mut self, bytes: usize) -> u64 {
        self.take(bytes).iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    fn length(&mut self, bytes: usize) -> usize {
        usize::try_from(self.number(bytes)).unwrap()
    }

    fn value(&mut self) -> Packed {
        match u8::try_from(self.number(1)).unwrap() {
            number @ 0x00..=0x7f => Packed::Number(number.into()),
            marker @ 0x80..=0x8f => self.map(usize::from(marker & 0x0f)),
            marker @ 0x90..=0x9f => self.list(usize::from(marker & 0x0f)),
            marker @ 0xa0..=0xbf => self.text(usize::from(marker & 0x1f)),
            0xc0 => Packed::Nil,
            flag @ 0xc2..=0xc3 => Packed::Flag(flag == 0xc3),
            marker @ 0xc4..=0xc6 => {
                let length = self.length(1 << (marker - 0xc4));
                Packed::Bytes(self.take(length).to_vec())
            }
            marker @ 0xcc..=0xcf => Packed::Number(self.number(1 << (marker - 0xcc))),
            marker @ 0xd9..=0xdb => {
                let length = self.length(1 << (marker - 0xd9));
                self.text(length)
            }
            marker @ 0xdc..=0xdd => {
                let length = self.length(2 << (marker - 0xdc));
                self.list(length)
            }
            marker @ 0xde..=0xdf => {
                let length = self.length(2 << (marker - 0xde));
                self.map(length)
            }
            other => panic!("our frames do not use the marker {other:#x}"),
        }
    }

    fn text(&mut self, length: usize) -> Packed {
        Packed::Text(String::from_utf8(self.take(length).to_vec()).unwrap())
    }

    fn list(&mut self, length: usize) -> Packed {
        Packed::List((0..length).map(|_| self.value()).collect())
    }

    fn map(&mut self, length: usize) -> Packed {
        let entry = |reader: &mut Self| match reader.value() {
            Packed::Text(key) => (key, reader.value()),
            other => panic!("a key is text, not {other:?}"),
        };
        Packed::Map((0..length).map(|_| entry(self)).collect())
    }
}

fn unpack(frame: &impl Serialize) -> Vec<(String, Packed)> {
    let bytes = codec::encode(frame, Format::MessagePack).unwrap();
    let mut reader = Reader(&bytes);
    let value = reader.value();
    assert!(reader.0.is_empty(), "one value and no more");
    match value {
        Packed::Map(entries) => entries,
        other => panic!("a frame is a map, not {other:?}"),
    }
}

/// The forms that the fields of a value have, by name, however deep.
fn forms(entries: &[(String, Packed)], into: &mut BTreeMap<String, Vec<Packed>>) {
    for (key, value) in entries {
        into.entry(key.clone()).or_default().push(value.clone());
        let inner = match value {
            Packed::List(list) => list.as_slice(),
            single => std::slice::from_ref(single),
        };
        for element in inner {
            if let Packed::Map(entries) = element {
                forms(entries, into);
            }
        }
    }
}

fn all_forms() -> BTreeMap<String, Vec<Packed>> {
    let mut all = BTreeMap::new();
    for sample in samples::client_frames() {
        forms(&unpack(&sample.frame), &mut all);
    }
    for sample in samples::server_frames() {
        forms(&unpack(&sample.frame), &mut all);
    }
    all
}

#[test]
fn the_type_comes_first_in_both_formats() {
    let check = |name: &str, word: &str, json: &[u8], packed: &[(String, Packed)]| {
        assert!(json.starts_with(format!("{{\"type\":\"{word}\"").as_bytes()), "{name} in JSON");
        assert_eq!(packed[0], ("type".to_owned(), Packed::Text(word.to_owned())), "{name} in MessagePack");
    };
    for sample in samples::client_frames() {
        let json = codec::encode(&sample.frame, Format::Json).unwrap();
        check(sample.name, sample.frame.word(), &json, &unpack(&sample.frame));
    }
    for sample in samples::server_frames() {
        let json = codec::encode(&sample.frame, Format::Json).unwrap();
        check(sample.name, sample.frame.word(), &json, &unpack(&sample.frame));
    }
}

#[test]
fn ids_are_16_raw_bytes_and_message_ids_24() {
    let all = all_forms();
    let sixteen = ["conversation_id", "session_id", "sender_id", "device_id", "user_id", "client_message_id"];
    for (names, length) in [(sixteen.as_slice(), 16), (&["message_id", "target_id", "reply_to"], 24)] {
        for name in names {
            for form in &all[*name] {
                assert!(matches!(form, Packed::Bytes(bytes) if bytes.len() == length), "{name} is {form:?}");
            }
        }
    }
    let Packed::Map(actor) = &all["actor"][0] else { panic!("an actor is a map") };
    assert!(matches!(&actor[0], (key, Packed::Bytes(bytes)) if key == "id" && bytes.len() == 16));
}

#[test]
fn payloads_are_raw_bytes() {
    for form in &all_forms()["encrypted_payload"] {
        assert!(matches!(form, Packed::Bytes(bytes) if bytes.len() == 8), "OPAQUE: a payload is {form:?}");
    }
}

#[test]
fn times_are_milliseconds() {
    let all = all_forms();
    for name in ["created_at", "server_time"] {
        assert!(all[name].iter().all(|form| *form == Packed::Number(1_769_860_800_000)), "{name}");
    }
    assert!(all["expires_at"].iter().all(|form| matches!(form, Packed::Number(_))));
}

#[test]
fn both_formats_have_the_same_names_in_the_same_order() {
    for sample in samples::server_frames() {
        let json = codec::encode(&sample.frame, Format::Json).unwrap();
        let names: Vec<String> = unpack(&sample.frame).into_iter().map(|(name, _)| name).collect();
        assert_eq!(top_level_names(&json), names, "{}", sample.name);
    }
}

/// The keys of one JSON object in their order, which a parsed object may not keep.
fn top_level_names(json: &[u8]) -> Vec<String> {
    struct Names(Vec<String>);
    impl<'de> serde::Deserialize<'de> for Names {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visit;
            impl<'de> serde::de::Visitor<'de> for Visit {
                type Value = Names;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object")
                }
                fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
                    let mut names = Vec::new();
                    while let Some((name, serde::de::IgnoredAny)) = map.next_entry()? {
                        names.push(name);
                    }
                    Ok(Names(names))
                }
            }
            deserializer.deserialize_map(Visit)
        }
    }
    serde_json::from_slice::<Names>(json).unwrap().0
}

/// What is optional and absent is left out, but for the two texts of `group.updated`, where absent means "stayed".
#[test]
fn nothing_is_null_but_what_stayed_in_a_group_update() {
    for sample in samples::server_frames() {
        if matches!(sample.frame, ServerFrame::GroupUpdated(_) | ServerFrame::HistoryPage(_)) {
            continue;
        }
        let mut all = BTreeMap::new();
        forms(&unpack(&sample.frame), &mut all);
        assert!(all.values().flatten().all(|form| *form != Packed::Nil), "{}: {all:?}", sample.name);
    }
}

#[test]
fn debug_shows_no_token_and_no_payload() {
    for sample in samples::client_frames() {
        let shown = format!("{:?} {:#?}", sample.frame, sample.frame);
        for secret in ["an.access.token", "a.new.token", "251, 239", "AP9/"] {
            assert!(!shown.contains(secret), "OPAQUE: the Debug of {} shows {secret}: {shown}", sample.name);
        }
    }
}

/// Whatever holds one is shown by the same code, so no spelling of the bytes (text, numbers, hex) can get into a log.
#[test]
fn opaque_the_debug_of_a_payload_is_its_length_alone() {
    let payload = hubbub_protocol::Payload::from(b"sealed words".to_vec());
    assert_eq!(format!("{payload:?} {payload:#?}"), "Payload(12 bytes) Payload(12 bytes)", "OPAQUE");
}
