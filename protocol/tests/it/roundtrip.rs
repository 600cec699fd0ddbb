//! Properties of the codec: what is written is read back the same, in both formats, for any content.

use hubbub_protocol::codec::{self, Format};
use hubbub_protocol::frame::client::ClientFrame;
use hubbub_protocol::frame::server::{HistoryPage, ServerFrame};
use hubbub_protocol::{ClientMessageId, ErrorCode, MessageId, Timestamp};
use proptest::prelude::*;

use crate::{generate, samples};

#[test]
fn every_frame_type_is_generated() {
    let client: Vec<&str> = generate::client_frames().iter().map(|(word, _)| *word).collect();
    assert_eq!(client, ClientFrame::TYPES, "the generator's types, in the order of the enum");
    let mut server: Vec<&str> = generate::server_frames().iter().map(|(word, _)| *word).collect();
    let mut types = ServerFrame::TYPES.to_vec();
    server.sort_unstable();
    types.sort_unstable();
    assert_eq!(server, types);
}

/// Crockford's base 32, written from its definition: the reader's other half.
fn to_ulid(bytes: [u8; 16]) -> String {
    let value = u128::from_be_bytes(bytes);
    let digit = |place: u32| {
        let five_bits = usize::try_from((value >> (5 * place)) & 31).unwrap();
        char::from(b"0123456789ABCDEFGHJKMNPQRSTVWXYZ"[five_bits])
    };
    (0..26).rev().map(digit).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn client_frames_come_back_the_same_in_both_formats(frame in generate::any_of(generate::client_frames())) {
        for format in Format::ALL {
            let bytes = codec::encode(&frame, format).unwrap();
            let back = codec::decode_client(&bytes, format).unwrap();
            prop_assert_eq!(&back, &frame);
            prop_assert_eq!(codec::encode(&back, format).unwrap(), bytes, "one frame has one spelling");
        }
    }

    #[test]
    fn server_frames_come_back_the_same_in_both_formats(frame in generate::any_of(generate::server_frames())) {
        for format in Format::ALL {
            let bytes = codec::encode(&frame, format).unwrap();
            let back = codec::decode_server(&bytes, format).unwrap();
            prop_assert_eq!(&back, &frame);
            prop_assert_eq!(codec::encode(&back, format).unwrap(), bytes, "one frame has one spelling");
        }
    }

    #[test]
    fn a_frame_carried_from_one_format_to_the_other_and_back_is_the_same(
        frame in generate::any_of(generate::server_frames())
    ) {
        let json = codec::encode(&frame, Format::Json).unwrap();
        let read = codec::decode_server(&json, Format::Json).unwrap();
        let packed = codec::encode(&read, Format::MessagePack).unwrap();
        let read = codec::decode_server(&packed, Format::MessagePack).unwrap();
        prop_assert_eq!(codec::encode(&read, Format::Json).unwrap(), json);
    }

    /// An event is the same object alone and in a page, though the two are read by different ways.
    #[test]
    fn an_event_is_read_the_same_alone_and_in_a_page(event in generate::event()) {
        let place = event.place();
        let page = HistoryPage {
            id: None, conversation_id: place.conversation_id, events: vec![event.clone()], head_seq: place.sequence
        };
        for format in Format::ALL {
            let alone = codec::encode(&event, format).unwrap();
            let alone = codec::decode_server(&alone, format).unwrap().into_event();
            prop_assert_eq!(alone.as_ref(), Some(&event));
            let paged = codec::encode(&ServerFrame::from(page.clone()), format).unwrap();
            prop_assert_eq!(codec::decode_server(&paged, format).unwrap(), ServerFrame::from(page.clone()));
        }
    }

    #[test]
    fn stored_bodies_come_back_the_same(body in generate::any_of(generate::bodies())) {
        let bytes = samples::stored(&body);
        prop_assert_eq!(codec::decode_body(&bytes).unwrap(), body);
    }

    #[test]
    fn times_come_back_the_same_and_sort_as_their_text(one in generate::time(), other in generate::time()) {
        prop_assert_eq!(one.to_string().parse::<Timestamp>().unwrap(), one);
        prop_assert_eq!(one.to_string().cmp(&other.to_string()), one.cmp(&other));
    }

    #[test]
    fn message_ids_come_back_the_same(id in generate::message_id()) {
        prop_assert_eq!(id.to_string().len(), 32);
        prop_assert_eq!(id.to_string().parse::<MessageId>().unwrap(), id);
    }

    #[test]
    fn a_client_message_id_is_the_same_as_uuid_and_as_ulid(id in generate::any_client_message_id()) {
        prop_assert_eq!(id.to_string().parse::<ClientMessageId>().unwrap(), id);
        prop_assert_eq!(to_ulid(*id.as_bytes()).parse::<ClientMessageId>().unwrap(), id, "ONCE");
        prop_assert_eq!(to_ulid(*id.as_bytes()).to_lowercase().parse::<ClientMessageId>().unwrap(), id, "ONCE");
    }
}

#[test]
fn error_codes_come_back_the_same_and_a_newer_one_is_not_an_error() {
    for code in ErrorCode::ALL {
        let json = serde_json::to_string(code).unwrap();
        assert_eq!(json, format!("\"{code}\""));
        assert_eq!(serde_json::from_str::<ErrorCode>(&json).unwrap(), *code);
    }
    assert_eq!(serde_json::from_str::<ErrorCode>("\"from_the_future\"").unwrap(), ErrorCode::UnknownCode);
    let packed = rmp_serde::to_vec_named("from_the_future").unwrap();
    assert_eq!(rmp_serde::from_slice::<ErrorCode>(&packed).unwrap(), ErrorCode::UnknownCode);
}
