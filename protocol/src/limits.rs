//! Every limit of the wire, in one place (BOUNDED).
//!
//! They are told in `auth.ok` and by `GET /limits`, and each refusal names the one it kept. A limit that an operator may
//! change has its default here and its setting in the server's configuration.

use serde::{Deserialize, Serialize};

/// The sealed payload of one message, in bytes. Larger things go by upload.
pub const MAX_PAYLOAD_BYTES: usize = 64 * 1024;
/// One frame, in bytes: a payload in base64 (4/3 of 64 KiB is 85.4 KiB) and 10.6 KiB for the other fields.
pub const MAX_FRAME_BYTES: usize = 96 * 1024;
/// The first frame, in bytes: an access token (under 1 KiB) and cursors for a hundred conversations.
/// A client with more cursors names the rest with `resume` after `auth.ok`.
pub const MAX_AUTH_FRAME_BYTES: usize = 16 * 1024;
/// A JSON request body of REST, in bytes: the same content as the largest frame.
pub const MAX_BODY_BYTES: usize = MAX_FRAME_BYTES;
/// How deep a MessagePack value may nest. Our frames nest 4 deep; the rest is room for unknown fields.
pub const MAX_DEPTH: usize = 16;
/// A command's `id`, in bytes.
pub const MAX_COMMAND_ID_BYTES: usize = 64;
/// A message's `content_type`, in bytes.
pub const MAX_CONTENT_TYPE_BYTES: usize = 64;
/// A reaction's `emoji`, in bytes: the longest family emoji take 35.
pub const MAX_EMOJI_BYTES: usize = 64;
/// A display name or a group's name, in bytes.
pub const MAX_NAME_BYTES: usize = 128;
/// A group's or profile's description, in bytes.
pub const MAX_DESCRIPTION_BYTES: usize = 1024;
/// Members of a group.
pub const MAX_GROUP_MEMBERS: usize = 10_000;
/// Members that one request may name: one record each, and all of them in one append.
pub const MAX_MEMBERS_PER_REQUEST: usize = 250;
/// Conversations that one person can be in.
pub const MAX_CONVERSATIONS_PER_USER: usize = 5_000;
/// Cursors in one `auth` or `resume`.
pub const MAX_CURSORS: usize = 500;
/// Records in one page of history.
pub const MAX_PAGE: usize = 200;
/// Records in a page of history when the client names no number.
pub const DEFAULT_PAGE: usize = 50;
/// Commands of one socket that may wait for their answer. The next is read only when one was answered.
pub const MAX_COMMANDS_IN_FLIGHT: usize = 64;
/// Bytes that may wait for one socket: 10 of the largest frames. A slower reader is closed with a resume point.
pub const MAX_OUTBOX_BYTES: usize = 1024 * 1024;
/// Time from `accept` to a whole request head, in milliseconds.
pub const HEAD_DEADLINE_MS: u64 = 5_000;
/// Time from the upgrade to a whole `auth` frame, in milliseconds.
pub const LOGIN_DEADLINE_MS: u64 = 5_000;
/// The server pings a silent socket this often, in milliseconds.
pub const HEARTBEAT_MS: u64 = 25_000;
/// A socket silent for this long is gone, in milliseconds: one heartbeat and 8 s for the pong.
pub const DEAD_AFTER_MS: u64 = 33_000;
/// How long after sending a message can be recalled, in milliseconds.
pub const RECALL_WINDOW_MS: i64 = 120_000;
/// A typing mark lasts this long, in milliseconds; renew it every 4 s.
pub const TYPING_MS: u64 = 5_000;
/// `auth.expiring` comes this long before the token ends, in milliseconds.
pub const EXPIRING_NOTICE_MS: i64 = 60_000;

/// The limits as clients are told them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// See [`MAX_PAYLOAD_BYTES`].
    pub max_payload_bytes: u64,
    /// See [`MAX_FRAME_BYTES`].
    pub max_frame_bytes: u64,
    /// See [`MAX_BODY_BYTES`].
    pub max_body_bytes: u64,
    /// See [`MAX_COMMAND_ID_BYTES`].
    pub max_command_id_bytes: u64,
    /// See [`MAX_CONTENT_TYPE_BYTES`].
    pub max_content_type_bytes: u64,
    /// See [`MAX_EMOJI_BYTES`].
    pub max_emoji_bytes: u64,
    /// See [`MAX_NAME_BYTES`].
    pub max_name_bytes: u64,
    /// See [`MAX_DESCRIPTION_BYTES`].
    pub max_description_bytes: u64,
    /// See [`MAX_GROUP_MEMBERS`].
    pub max_group_members: u64,
    /// See [`MAX_MEMBERS_PER_REQUEST`].
    pub max_members_per_request: u64,
    /// See [`MAX_CONVERSATIONS_PER_USER`].
    pub max_conversations_per_user: u64,
    /// See [`MAX_CURSORS`].
    pub max_cursors: u64,
    /// See [`MAX_PAGE`].
    pub max_page: u64,
    /// See [`MAX_COMMANDS_IN_FLIGHT`].
    pub max_commands_in_flight: u64,
    /// See [`MAX_OUTBOX_BYTES`].
    pub max_outbox_bytes: u64,
    /// See [`HEAD_DEADLINE_MS`].
    pub head_deadline_ms: u64,
    /// See [`LOGIN_DEADLINE_MS`].
    pub login_deadline_ms: u64,
    /// See [`HEARTBEAT_MS`].
    pub heartbeat_ms: u64,
    /// See [`RECALL_WINDOW_MS`].
    pub recall_window_ms: u64,
    /// See [`TYPING_MS`].
    pub typing_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_payload_bytes: MAX_PAYLOAD_BYTES as u64,
            max_frame_bytes: MAX_FRAME_BYTES as u64,
            max_body_bytes: MAX_BODY_BYTES as u64,
            max_command_id_bytes: MAX_COMMAND_ID_BYTES as u64,
            max_content_type_bytes: MAX_CONTENT_TYPE_BYTES as u64,
            max_emoji_bytes: MAX_EMOJI_BYTES as u64,
            max_name_bytes: MAX_NAME_BYTES as u64,
            max_description_bytes: MAX_DESCRIPTION_BYTES as u64,
            max_group_members: MAX_GROUP_MEMBERS as u64,
            max_members_per_request: MAX_MEMBERS_PER_REQUEST as u64,
            max_conversations_per_user: MAX_CONVERSATIONS_PER_USER as u64,
            max_cursors: MAX_CURSORS as u64,
            max_page: MAX_PAGE as u64,
            max_commands_in_flight: MAX_COMMANDS_IN_FLIGHT as u64,
            max_outbox_bytes: MAX_OUTBOX_BYTES as u64,
            head_deadline_ms: HEAD_DEADLINE_MS,
            login_deadline_ms: LOGIN_DEADLINE_MS,
            heartbeat_ms: HEARTBEAT_MS,
            recall_window_ms: RECALL_WINDOW_MS.unsigned_abs(),
            typing_ms: TYPING_MS,
        }
    }
}
