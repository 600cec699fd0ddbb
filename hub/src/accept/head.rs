//! The head of a request: which door it asks for, and whether its upgrade is in order (RFC 6455 section 4.2).
//!
//! Pure. Keeps tokens out of URLs, and browsers of foreign origins out of sockets.

use hubbub_protocol::codec::Format;
use hubbub_protocol::{ErrorBody, ErrorCode};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// A request's head, in bytes. A browser's is under 2 KiB.
pub(super) const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Its headers.
const MAX_HEADERS: usize = 64;
/// A `Sec-WebSocket-Key` is 16 bytes in base64.
const KEY_CHARACTERS: usize = 24;

/// Which way a connection goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// To the REST sidecar.
    Http,
    /// To a shard.
    WebSocket(Upgrade),
}

/// An upgrade that is in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Upgrade {
    pub(super) format: Format,
    /// Whether its path is for agents alone.
    pub(super) for_agents: bool,
    /// The answer to send.
    pub(super) response: String,
    /// Where the head ends in what was read.
    pub(super) head_bytes: usize,
}

/// Whether the head's end has come.
pub(super) fn is_whole(read: &[u8]) -> bool {
    read.windows(4).any(|end| end == b"\r\n\r\n")
}

/// Whether this begins a TLS handshake, which HTTP refuses at once and nobody need wait for.
pub(super) fn is_tls(read: &[u8]) -> bool {
    read.starts_with(&[0x16])
}

/// Which door a whole head asks for.
///
/// # Errors
///
/// The refusal to answer: an upgrade that is not in order. Anything else that is odd is for HTTP to judge.
pub(super) fn door(read: &[u8], allowed_origins: &[String]) -> Result<Door, ErrorBody> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let Ok(httparse::Status::Complete(head_bytes)) = request.parse(read) else { return Ok(Door::Http) };
    let (path, query) = request.path.map_or(("", ""), |path| path.split_once('?').unwrap_or((path, "")));
    if !matches!(path, "/ws" | "/ws/human" | "/ws/agent") {
        return Ok(Door::Http);
    }
    let head = Head { request: &request };
    check_query(query)?;
    head.check_origin(allowed_origins)?;
    let key = head.check_upgrade()?;
    let (format, echoed) = head.format()?;
    let mut response =
        String::from("HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n");
    response.push_str("sec-websocket-accept: ");
    response.push_str(&derive_accept_key(key));
    if echoed {
        response.push_str("\r\nsec-websocket-protocol: ");
        response.push_str(format.subprotocol());
    }
    response.push_str("\r\n\r\n");
    Ok(Door::WebSocket(Upgrade { format, for_agents: path == "/ws/agent", response, head_bytes }))
}

struct Head<'a, 'headers, 'buffer> {
    request: &'a httparse::Request<'headers, 'buffer>,
}

impl Head<'_, '_, '_> {
    fn all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.request
            .headers
            .iter()
            .filter(move |header| header.name.eq_ignore_ascii_case(name))
            .map(|header| header.value)
    }

    /// The header, if it is there once.
    fn once(&self, name: &str) -> Option<&str> {
        let mut all = self.all(name);
        let value = all.next().filter(|_| all.next().is_none())?;
        std::str::from_utf8(value).ok().map(str::trim)
    }

    fn lists(&self, name: &str, word: &str) -> bool {
        self.all(name)
            .filter_map(|value| std::str::from_utf8(value).ok())
            .flat_map(|value| value.split(','))
            .any(|item| item.trim().eq_ignore_ascii_case(word))
    }

    fn check_origin(&self, allowed: &[String]) -> Result<(), ErrorBody> {
        if self.all("origin").next().is_none() {
            return Ok(());
        }
        match self.once("origin") {
            Some(origin) if allowed.iter().any(|known| known == origin) => Ok(()),
            _ => Err(ErrorBody::new(
                ErrorCode::OriginRefused,
                "pages of this origin may not open a socket here: add the origin to the server's `allowed_origins`",
            )),
        }
    }

    /// The key of an upgrade that is in order.
    fn check_upgrade(&self) -> Result<&[u8], ErrorBody> {
        let wrong = |message: &str| Err(ErrorBody::new(ErrorCode::ValidationFailed, message));
        if self.request.method != Some("GET") || self.request.version != Some(1) {
            return wrong("a WebSocket is opened by a GET of HTTP/1.1");
        }
        if !self.lists("connection", "upgrade") || !self.lists("upgrade", "websocket") {
            return wrong(
                "this path speaks WebSocket: send the headers `connection: Upgrade` and `upgrade: websocket`",
            );
        }
        if self.once("sec-websocket-version") != Some("13") {
            return wrong("the only version of WebSocket spoken here is 13");
        }
        let has_body =
            self.all("transfer-encoding").next().is_some() || self.all("content-length").any(|length| length != b"0");
        if has_body {
            return wrong("an upgrade has no body");
        }
        match self.once("sec-websocket-key") {
            Some(key) if key.len() == KEY_CHARACTERS => Ok(key.as_bytes()),
            _ => wrong("`sec-websocket-key` has to be there once, 16 bytes in base64"),
        }
    }

    /// The format that the client asks for, and whether it named it.
    fn format(&self) -> Result<(Format, bool), ErrorBody> {
        let mut asked = self
            .all("sec-websocket-protocol")
            .filter_map(|value| std::str::from_utf8(value).ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .peekable();
        if asked.peek().is_none() {
            return Ok((Format::Json, false));
        }
        match asked.find_map(Format::from_subprotocol) {
            Some(format) => Ok((format, true)),
            None => Err(ErrorBody::new(
                ErrorCode::ValidationFailed,
                "no subprotocol that was named is spoken here: hubbub.v1.json and hubbub.v1.msgpack are",
            )),
        }
    }
}

/// A token in a URL ends in logs and histories.
fn check_query(query: &str) -> Result<(), ErrorBody> {
    let names = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default());
    for name in names {
        if ["token", "access_token", "jwt"].iter().any(|secret| name.eq_ignore_ascii_case(secret)) {
            let message = format!("`{name}` has no place in a URL: send the token in the auth frame");
            return Err(ErrorBody::new(ErrorCode::ValidationFailed, message).with("field", name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str, extra: &str) -> String {
        format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{extra}\r\n"
        )
    }

    fn refused(path: &str, extra: &str) -> ErrorCode {
        door(request(path, extra).as_bytes(), &["https://chat.example".to_owned()]).unwrap_err().code
    }

    #[test]
    fn an_upgrade_in_order_is_answered_and_what_follows_is_kept() {
        let head = request(
            "/ws/human?v=1",
            "origin: https://chat.example\r\nsec-websocket-protocol: x, hubbub.v1.msgpack\r\n",
        );
        let read = format!("{head}rest");
        let Door::WebSocket(upgrade) = door(read.as_bytes(), &["https://chat.example".to_owned()]).unwrap() else {
            panic!("not a WebSocket")
        };
        assert_eq!(upgrade.format, Format::MessagePack);
        assert_eq!(&read[upgrade.head_bytes..], "rest");
        // The example of RFC 6455 section 1.3.
        assert!(upgrade.response.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert!(upgrade.response.contains("sec-websocket-protocol: hubbub.v1.msgpack\r\n"));
    }

    #[test]
    fn all_else_is_for_http() {
        for head in
            ["GET /health HTTP/1.1\r\n\r\n", "GET /wsx HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\n", "garbage\r\n\r\n"]
        {
            assert_eq!(door(head.as_bytes(), &[]), Ok(Door::Http), "{head}");
        }
    }

    #[test]
    fn foreign_origins_are_refused_and_those_on_the_list_are_matched_exactly() {
        for origin in [
            "null",
            "https://evil.example",
            "https://chat.example.evil",
            "https://sub.chat.example",
            "HTTPS://CHAT.EXAMPLE",
            "http://chat.example",
        ] {
            assert_eq!(refused("/ws", &format!("origin: {origin}\r\n")), ErrorCode::OriginRefused, "{origin}");
        }
        let twice = "origin: https://chat.example\r\norigin: https://chat.example\r\n";
        assert_eq!(refused("/ws", twice), ErrorCode::OriginRefused);
    }

    #[test]
    fn tokens_in_urls_bodies_doubled_keys_and_unknown_subprotocols_are_refused() {
        for (path, extra) in [
            ("/ws?token=x", ""),
            ("/ws?a=b&Access_Token=x", ""),
            ("/ws", "content-length: 5\r\n"),
            ("/ws", "transfer-encoding: chunked\r\n"),
            ("/ws", "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
            ("/ws", "sec-websocket-protocol: soap\r\n"),
        ] {
            assert_eq!(refused(path, extra), ErrorCode::ValidationFailed, "{path} {extra}");
        }
    }
}
