//! Claims about payloads: the server carries them and never tells of what is in them (OPAQUE).

use std::fmt::Write as _;

use hubbub_protocol::Payload;
use hubbub_protocol::codec::Format;
use hubbub_protocol::frame::client::MessageSend;
use serde_json::{Value, json};

use crate::raw::{Raw, TEXT, masked};
use crate::wire::{Host, cursor, message};

/// 24 bytes, so that their base64 stands as such in every text that has it.
const SEALED: &[u8; 24] = b"nobody reads these words";

#[tokio::test]
async fn opaque_no_payload_stands_in_the_log_at_any_level() {
    let host = Host::with(&["log.level=trace"]);
    let ann = host.person("ann").await;
    let conversation = ann.group(&[]).await;
    for format in Format::ALL {
        let mut peer = ann.connect(format).await;
        peer.send(message(conversation, *SEALED)).await.unwrap();
        let nameless = MessageSend { content_type: String::new(), ..message(conversation, *SEALED) };
        peer.send(nameless).await.expect_err("refused");
        let mut reader = ann.resume(format, &[cursor(conversation, 0)]).await;
        reader.replay(conversation).await;
    }
    let spelt = serde_json::to_string(&Payload::from(SEALED.to_vec())).unwrap();
    let spelt = spelt.trim_matches('"');
    let mut raw = Raw::login(&host.target, Format::Json, &ann.account.token()).await;
    raw.write(&masked(TEXT, format!(r#"{{"type":"message.send","encrypted_payload":"{spelt}"}}"#).as_bytes())).await;
    let path = format!("/conversations/{conversation}/messages");
    for content_type in ["text", ""] {
        let id = hubbub_protocol::ClientMessageId::generate();
        let body = json!({"client_message_id": id, "content_type": content_type, "encrypted_payload": spelt});
        let sent = ann.account.http().post::<_, Value>(&path, Some(&ann.account.token()), &body).await;
        assert_eq!(sent.is_ok(), content_type == "text");
    }
    assert_eq!(ann.history(conversation, 10).await.len(), 4, "opened and sent three times");
    drop(raw);
    let (status, log) = host.server.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("stopped"), "a log to look in: {log}");
    let numbers = format!("{SEALED:?}");
    let mut hex = String::new();
    for byte in SEALED {
        write!(hex, "{byte:02x}").unwrap();
    }
    let words = String::from_utf8_lossy(SEALED);
    for told in [&*words, spelt, numbers.trim_matches(['[', ']']), &*hex] {
        let line = log.lines().find(|line| line.contains(told));
        assert_eq!(line, None, "OPAQUE: a payload stands in the log");
    }
}
