//! What a stranger may send: nothing of it panics, takes more memory than its own size, or is half understood.

use hubbub_protocol::codec::{self, DecodeError, Format};
use hubbub_protocol::frame::client::{ClientFrame, Ping};
use hubbub_protocol::{ErrorBody, ErrorCode, limits};
use proptest::prelude::*;

use crate::golden::from_hex;
use crate::samples;

fn json(text: &str) -> Result<ClientFrame, DecodeError> {
    codec::decode_client(text.as_bytes(), Format::Json)
}

fn packed(hex: &str) -> Result<ClientFrame, DecodeError> {
    codec::decode_client(&from_hex(hex), Format::MessagePack)
}

/// `{"type": "…"` of a map with so many entries; the rest follows.
fn packed_start(entries: u8, word: &str) -> Vec<u8> {
    let mut bytes = vec![0x80 | entries, 0xa4];
    bytes.extend(b"type");
    bytes.push(0xa0 | u8::try_from(word.len()).unwrap());
    bytes.extend(word.bytes());
    bytes
}

fn packed_text(text: &str) -> Vec<u8> {
    let mut bytes = vec![0xa0 | u8::try_from(text.len()).unwrap()];
    bytes.extend(text.bytes());
    bytes
}

const CONVERSATION: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        for format in Format::ALL {
            drop((codec::decode_client(&bytes, format), codec::decode_server(&bytes, format)));
        }
        drop(codec::decode_body(&bytes));
    }

    /// Garbage that looks like a frame for a while: one byte of a good one changed, or its end cut off.
    #[test]
    fn damaged_frames_never_panic(place in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut all = Vec::new();
        for format in Format::ALL {
            all.extend(samples::client_frames().iter().map(|one| (format, codec::encode(&one.frame, format).unwrap())));
            all.extend(samples::server_frames().iter().map(|one| (format, codec::encode(&one.frame, format).unwrap())));
        }
        for (format, bytes) in all {
            let mut bytes = bytes.to_vec();
            let at = place.index(bytes.len());
            if cut { bytes.truncate(at) } else { bytes[at] = byte }
            let client = codec::decode_client(&bytes, format);
            let server = codec::decode_server(&bytes, format);
            prop_assert!(!cut || (client.is_err() && server.is_err()), "a part of a frame was taken for a whole one");
        }
        for sample in samples::bodies() {
            let mut bytes = samples::stored(&sample.frame);
            let at = place.index(bytes.len());
            if cut { bytes.truncate(at) } else { bytes[at] = byte }
            let body = codec::decode_body(&bytes);
            prop_assert!(!cut || body.is_err(), "a part of a record was taken for a whole one");
        }
    }
}

#[test]
fn a_frame_over_the_limit_is_refused_by_its_size_alone() {
    for format in Format::ALL {
        // Not a frame at all, so only its size can have been looked at.
        let garbage = vec![0xc1; limits::MAX_FRAME_BYTES + 1];
        let error = codec::decode_client(&garbage, format).unwrap_err();
        assert_eq!(error, DecodeError::TooLarge { bytes: garbage.len(), max: limits::MAX_FRAME_BYTES }, "BOUNDED");
        let body = ErrorBody::from(&error);
        assert_eq!(body.code, ErrorCode::TooLarge);
        assert_eq!(body.params["limit"], "max_frame_bytes".into());
        assert_eq!(body.params["max"], limits::MAX_FRAME_BYTES.into());
    }
}

#[test]
fn the_largest_message_fits_into_a_frame_in_both_formats() {
    let sample = samples::client_frames().into_iter().find(|sample| sample.name == "message.send").unwrap();
    let ClientFrame::MessageSend(mut send) = sample.frame else { panic!("message.send is a MessageSend") };
    send.id = Some("x".repeat(limits::MAX_COMMAND_ID_BYTES));
    send.content_type = "x".repeat(limits::MAX_CONTENT_TYPE_BYTES);
    send.encrypted_payload = vec![0xff; limits::MAX_PAYLOAD_BYTES].into();
    for format in Format::ALL {
        let bytes = codec::encode(&send, format).unwrap();
        assert_eq!(codec::decode_client(&bytes, format), Ok(send.clone().into()), "{format:?}: {} bytes", bytes.len());
    }
}

#[test]
fn the_most_cursors_fit_into_a_frame_in_both_formats() {
    let cursor = hubbub_protocol::frame::Cursor {
        conversation_id: samples::conversation(),
        after_seq: hubbub_protocol::Sequence::new(u64::MAX),
    };
    let resume = hubbub_protocol::frame::client::Resume {
        id: Some("x".repeat(limits::MAX_COMMAND_ID_BYTES)),
        conversations: vec![cursor; limits::MAX_CURSORS],
    };
    for format in Format::ALL {
        let bytes = codec::encode(&resume, format).unwrap();
        assert_eq!(codec::decode_client(&bytes, format), Ok(resume.clone().into()), "{} bytes", bytes.len());
    }
}

#[test]
fn a_claimed_length_of_four_thousand_million_is_refused_at_once() {
    let field = |name: &str, claim: &str| {
        let mut bytes = packed_start(2, "resume");
        bytes.extend(packed_text(name));
        bytes.extend(from_hex(claim));
        bytes
    };
    let bombs = [
        field("conversations", "ddffffffff"),       // array 32
        field("conversations", "ddffffffff82"),     // and the beginning of an element
        field("id", "dbffffffff"),                  // str 32
        field("unknown", "c6ffffffff"),             // bin 32
        field("unknown", "dfffffffff"),             // map 32
        field("unknown", "c9ffffffff01"),           // ext 32
        from_hex("dfffffffff"),                     // the frame itself
        from_hex("dfffffffffa474797065a470696e67"), // the frame itself, with a type
    ];
    for bomb in bombs {
        let error = codec::decode_client(&bomb, Format::MessagePack).unwrap_err();
        assert!(!matches!(error, DecodeError::TooLarge { .. }), "BOUNDED: {error}");
    }
    let mut payload = packed_start(2, "message.send");
    payload.extend(packed_text("encrypted_payload"));
    payload.extend(from_hex("c6ffffffff00"));
    assert!(codec::decode_client(&payload, Format::MessagePack).is_err(), "BOUNDED");
}

#[test]
fn nesting_is_bounded_in_both_formats() {
    let nested = |depth: usize| {
        let mut bytes = packed_start(2, "ping");
        bytes.extend(packed_text("unknown"));
        bytes.extend(vec![0x91; depth]);
        bytes.push(0xc0);
        codec::decode_client(&bytes, Format::MessagePack)
    };
    assert_eq!(nested(limits::MAX_DEPTH - 2), Ok(Ping { id: None }.into()), "room for a newer peer's fields");
    assert!(nested(limits::MAX_DEPTH + 1).is_err(), "BOUNDED");
    assert!(nested(90_000).is_err(), "BOUNDED");

    let deep = |depth: usize, field: &str| {
        json(&format!(r#"{{"type":"resume","{field}":{}0{}}}"#, "[".repeat(depth), "]".repeat(depth)))
    };
    for field in ["conversations", "unknown", "id", "type"] {
        assert!(deep(40_000, field).is_err(), "BOUNDED: {field}");
    }
    assert!(json(&"[".repeat(90_000)).is_err(), "BOUNDED");
    assert!(json(&r#"{"type":"#.repeat(10_000)).is_err(), "BOUNDED");
}

#[test]
fn a_key_that_comes_twice_is_refused() {
    for twice in [
        r#"{"type":"ping","type":"ping"}"#,
        r#"{"type":"ping","id":"a","id":"b"}"#,
        r#"{"type":"auth","token":"a","token":"b"}"#,
    ] {
        assert!(json(twice).is_err(), "{twice}");
    }
    let seq = format!(r#"{{"type":"read","conversation_id":"{CONVERSATION}","seq":1,"seq":2}}"#);
    assert!(matches!(json(&seq), Err(DecodeError::BadField { problem, .. }) if problem.contains("duplicate")));

    let mut bytes = packed_start(3, "ping");
    for _ in 0..2 {
        bytes.extend(packed_text("id"));
        bytes.extend(packed_text("a"));
    }
    assert!(codec::decode_client(&bytes, Format::MessagePack).is_err());
}

#[test]
fn the_field_that_cannot_be_read_is_named_in_both_formats() {
    let field = |bytes: &[u8], format| {
        let error = ErrorBody::from(&codec::decode_client(bytes, format).unwrap_err());
        error.params.get("field").map(|field| format!("{field:?}"))
    };
    let start = format!(r#"{{"type":"resume","conversations":[{{"conversation_id":"{CONVERSATION}","after_seq":1}}"#);
    for (text, name) in [
        (format!(r#"{{"type":"read","conversation_id":"{CONVERSATION}"}}"#), "seq"),
        (format!(r#"{{"type":"read","conversation_id":"{CONVERSATION}","seq":1,"seq":1}}"#), "seq"),
        (
            format!(r#"{start},{{"conversation_id":"{CONVERSATION}","after_seq":true}}]}}"#),
            "conversations[1].after_seq",
        ),
        (format!(r#"{start},{{"conversation_id":7,"after_seq":1}}]}}"#), "conversations[1].conversation_id"),
        (r#"{"type":"message.send","encrypted_payload":"QQ"}"#.to_owned(), "encrypted_payload"),
    ] {
        let expected = Some(format!("{:?}", hubbub_protocol::error::Param::from(name)));
        assert_eq!(field(text.as_bytes(), Format::Json), expected, "{text}");
    }
    let mut packed = packed_start(2, "read");
    packed.extend(packed_text("seq"));
    packed.extend(packed_text("1"));
    let expected = Some(format!("{:?}", hubbub_protocol::error::Param::from("seq")));
    assert_eq!(field(&packed, Format::MessagePack), expected);
}

#[test]
fn a_field_of_the_wrong_kind_is_refused_under_the_command_id() {
    for (field, value) in [
        ("seq", r#""5""#),
        ("seq", "-1"),
        ("seq", "1.5"),
        ("seq", "1e3"),
        ("seq", "null"),
        ("seq", "18446744073709551616"),
        ("seq", "[1]"),
        ("conversation_id", "7"),
        ("conversation_id", r#""not an id""#),
        ("conversation_id", r#""01890a5d-ac96-774b-bcce-b302099a805""#),
    ] {
        let good = [("conversation_id", format!("\"{CONVERSATION}\"")), ("seq", "1".to_owned())];
        let fields = good.map(|(name, right)| format!(r#""{name}":{}"#, if name == field { value } else { &right }));
        let text = format!(r#"{{"type":"read","id":"c1",{}}}"#, fields.join(","));
        let error = json(&text).unwrap_err();
        assert!(matches!(&error, DecodeError::BadField { word, .. } if word == "read"), "{text}: {error}");
        assert_eq!(error.command_id().as_deref(), Some("c1"), "HONEST: the refusal names its command");
        let body = ErrorBody::from(&error);
        assert_eq!((body.code, body.retryable), (ErrorCode::ValidationFailed, false));
        // What is no JSON at all is in no field.
        assert_eq!(body.params.get("field"), Some(&field.into()), "{text}");
    }
}

#[test]
fn a_missing_field_is_named() {
    let error = json(&format!(r#"{{"type":"read","conversation_id":"{CONVERSATION}"}}"#)).unwrap_err();
    assert!(error.to_string().contains("`seq`"), "{error}");
}

#[test]
fn a_refusal_repeats_no_value() {
    let secret = "eyJ0eXAi".repeat(2_000);
    for text in [
        format!(r#"{{"type":"auth","token":7,"resume":"{secret}"}}"#),
        format!(r#"{{"type":"presence","status":"{secret}"}}"#),
        format!(r#"{{"type":"read","conversation_id":"{CONVERSATION}","seq":"{secret}"}}"#),
        format!(r#"{{"type":"read","conversation_id":"{CONVERSATION}","seq":"\", expected {secret}"}}"#),
        format!(r#"{{"type":{{"{secret}":1}}}}"#),
        format!(r#""{secret}""#),
    ] {
        let told = json(&text).unwrap_err().to_string();
        assert!(!told.contains("eyJ0"), "OPAQUE: {told}");
        assert!(told.len() < 400, "BOUNDED: {} bytes", told.len());
    }
    let mut bytes = packed_start(2, "auth");
    bytes.extend(packed_text("resume"));
    bytes.extend([0xda, 0x3e, 0x80]);
    bytes.extend(secret.bytes());
    let told = codec::decode_client(&bytes, Format::MessagePack).unwrap_err().to_string();
    assert!(!told.contains("eyJ0"), "OPAQUE: {told}");
}

#[test]
fn a_command_id_over_its_limit_is_refused_without_being_repeated() {
    let with_id = |length: usize| json(&format!(r#"{{"type":"ping","id":"{}"}}"#, "x".repeat(length)));
    assert!(with_id(limits::MAX_COMMAND_ID_BYTES).is_ok());
    let error = with_id(limits::MAX_COMMAND_ID_BYTES + 1).unwrap_err();
    assert!(matches!(error, DecodeError::BadField { id: None, .. }), "BOUNDED: {error}");
    assert!(!error.to_string().contains("xxx"));
}

#[test]
fn a_type_over_the_limit_is_refused_without_being_repeated() {
    let error = json(&format!(r#"{{"type":"{}"}}"#, "x".repeat(65))).unwrap_err();
    assert!(matches!(error, DecodeError::Malformed(_)), "BOUNDED: {error}");
    assert!(!error.to_string().contains("xxx"));
}

#[test]
fn an_unknown_type_is_refused_under_the_command_id() {
    let unknown = DecodeError::UnknownType { word: "message.pin".to_owned(), id: Some("c1".to_owned()) };
    let error = json(r#"{"type":"message.pin","id":"c1","message_id":5}"#).unwrap_err();
    assert_eq!(error, unknown);
    assert_eq!(error.command_id().as_deref(), Some("c1"));
    let body = ErrorBody::from(&error);
    assert_eq!(body.code, ErrorCode::UnknownType);
    assert_eq!(body.params["type"], "message.pin".into());

    let mut bytes = packed_start(2, "message.pin");
    bytes.extend(packed_text("id"));
    bytes.extend(packed_text("c1"));
    assert_eq!(codec::decode_client(&bytes, Format::MessagePack), Err(unknown));
    // A server's word is no client's.
    assert!(matches!(json(r#"{"type":"message.new"}"#), Err(DecodeError::UnknownType { .. })));
}

#[test]
fn fields_of_a_newer_peer_are_ignored_at_any_depth() {
    let text = format!(
        r#"{{"newer":{{"a":[1,{{"b":null}}]}},"type":"resume","id":"c1","conversations":
            [{{"conversation_id":"{CONVERSATION}","newer":[[]],"after_seq":41}}],"x":1e400}}"#
    );
    let sample = samples::client_frames().into_iter().find(|sample| sample.name == "resume").unwrap();
    let ClientFrame::Resume(mut expected) = sample.frame else { panic!("resume is a Resume") };
    expected.id = Some("c1".to_owned());
    assert_eq!(json(&text), Ok(expected.into()));

    let mut bytes = packed_start(3, "ping");
    bytes.extend(packed_text("newer"));
    bytes.extend(from_hex("83 a161 93010203 a162 c403000102 07 d6ff00000000")); // list, bytes, a number as key, an ext
    bytes.extend(packed_text("id"));
    bytes.extend(packed_text("c1"));
    assert_eq!(codec::decode_client(&bytes, Format::MessagePack), Ok(Ping { id: Some("c1".to_owned()) }.into()));
}

#[test]
fn bytes_after_a_frame_are_refused() {
    for text in [r#"{"type":"ping"}x"#, r#"{"type":"ping"}{"type":"ping"}"#, "{\"type\":\"ping\"}\0"] {
        assert!(matches!(json(text), Err(DecodeError::Malformed(_))), "{text}");
    }
    assert_eq!(json(" \n{\"type\" : \"ping\"}\t "), Ok(Ping { id: None }.into()), "space around it is JSON's own");
    for after in ["c0", "00", "81a474797065a470696e67"] {
        let error = packed(&format!("81a474797065a470696e67{after}")).unwrap_err();
        assert!(matches!(error, DecodeError::Malformed(_)), "{error}");
    }
    let mut body = samples::stored(&samples::bodies()[0].frame);
    body.push(0xc0);
    assert!(codec::decode_body(&body).is_err());
}

#[test]
fn what_is_no_object_is_no_frame() {
    for text in ["", " ", "null", "1", r#""ping""#, "[]", r#"["ping"]"#, r#"["ping",null]"#, "{}", "{", "\u{feff}{}"] {
        assert!(matches!(json(text), Err(DecodeError::Malformed(_))), "{text}");
    }
    // nothing, nil, text, a list of the fields, an empty map, the reserved byte
    for hex in ["", "c0", "a470696e67", "91a470696e67", "80", "c1"] {
        assert!(matches!(packed(hex), Err(DecodeError::Malformed(_))), "{hex}");
    }
}

#[test]
fn text_that_is_not_utf_8_is_refused() {
    let bytes = b"{\"type\":\"ping\",\"id\":\"\xff\xfe\"}";
    assert!(codec::decode_client(bytes, Format::Json).is_err());
    assert!(packed("82a474797065a470696e67a26964a2fffe").is_err());
    assert!(packed("81a474797065a4ff696e67").is_err());
}

#[test]
fn nul_is_a_character_in_text_and_nothing_outside() {
    assert_eq!(json(r#"{"type":"ping","id":"a\u0000"}"#), Ok(Ping { id: Some("a\0".to_owned()) }.into()));
    assert!(json("{\"type\":\"ping\",\"id\":\"a\0\"}").is_err(), "a raw control character is not JSON");
    assert!(json("{\"type\":\"ping\0\"}").is_err());
    assert!(matches!(json(r#"{"type":"ping\u0000"}"#), Err(DecodeError::UnknownType { .. })));
}

/// Base64 in MessagePack would be stored as it came and read by others as garbage.
#[test]
fn neither_format_reads_the_other_ones_bytes() {
    let sample = samples::client_frames().into_iter().find(|sample| sample.name == "message.send").unwrap();
    let text = String::from_utf8(codec::encode(&sample.frame, Format::Json).unwrap().to_vec()).unwrap();
    let as_numbers = text.replace(r#""AP9/gPvvvgo=""#, "[0,255,127,128,251,239,190,10]");
    assert_ne!(as_numbers, text);
    assert!(json(&as_numbers).is_err());
    for spelling in ["AP9/gPvvvgo", "AP9_gPvvvgo=", "AP9/ gPvvvgo=", "AP9/gPvvvgp="] {
        assert!(json(&text.replace("AP9/gPvvvgo=", spelling)).is_err(), "{spelling} is another base64");
    }

    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let stringly = rmp_serde::to_vec_named(&value).unwrap();
    let error = codec::decode_client(&stringly, Format::MessagePack).unwrap_err();
    assert_eq!(error.command_id().as_deref(), Some("c1"), "{error}");
    // Each of the fields alone as well.
    let ClientFrame::MessageSend(send) = sample.frame else { panic!("message.send is a MessageSend") };
    for field in ["conversation_id", "client_message_id", "encrypted_payload", "reply_to"] {
        let mut bytes = packed_start(2, "message.send");
        bytes.extend(packed_text(field));
        bytes.extend(rmp_serde::to_vec_named(&value[field]).unwrap());
        let error = codec::decode_client(&bytes, Format::MessagePack).unwrap_err();
        assert!(!error.to_string().contains("missing"), "{field} was taken as text: {error}");
    }
    assert_eq!(send.encrypted_payload.len(), 8);
}

#[test]
fn a_time_that_no_year_of_four_digits_has_is_refused() {
    for ms in ["ff", "d3fffffffffffffff0", "cf7fffffffffffffff", "cb3ff0000000000000", "a0"] {
        let mut bytes = packed_start(2, "pong");
        bytes.extend(packed_text("server_time"));
        bytes.extend(from_hex(ms));
        assert!(codec::decode_server(&bytes, Format::MessagePack).is_err(), "{ms}");
    }
}

#[test]
fn an_event_of_a_page_that_lacks_a_field_is_refused() {
    for sample in samples::server_frames().iter().filter(|sample| sample.frame.clone().into_event().is_some()) {
        let mut event = serde_json::to_value(&sample.frame).unwrap();
        let names: Vec<String> = event.as_object().unwrap().keys().cloned().collect();
        for name in names {
            let taken = event.as_object_mut().unwrap().remove(&name).unwrap();
            let alone = codec::decode_server(event.to_string().as_bytes(), Format::Json);
            let page =
                format!(r#"{{"type":"history","conversation_id":"{CONVERSATION}","head_seq":42,"events":[{event}]}}"#);
            let paged = codec::decode_server(page.as_bytes(), Format::Json);
            assert_eq!(alone.is_ok(), paged.is_ok(), "{} without {name}: {alone:?}, {paged:?}", sample.name);
            event.as_object_mut().unwrap().insert(name, taken);
        }
    }
}
