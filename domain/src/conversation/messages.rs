//! Sending, recalling and reacting. Payloads are measured and never read (OPAQUE).

use std::sync::Arc;

use hubbub_protocol::limits::{MAX_CONTENT_TYPE_BYTES, MAX_EMOJI_BYTES, MAX_PAYLOAD_BYTES, RECALL_WINDOW_MS};
use hubbub_protocol::member::{ConversationKind, Role};
use hubbub_protocol::record::{Message, Reaction, Recalled};
use hubbub_protocol::{ErrorBody, ErrorCode, Record, RecordBody, Sequence};
use smallvec::smallvec;

use super::case::Case;
use super::command::{React, Recall};
use super::decide::Bodies;
use super::refuse::{conflict, forbidden, no_such_message};
use crate::fields::{check_bytes, invalid};

pub(super) fn send(case: Case<'_>, send: &Arc<Message>) -> Result<Bodies, ErrorBody> {
    check_content_type(&send.content_type)?;
    check_bytes("encrypted_payload", send.payload.len(), "max_payload_bytes", MAX_PAYLOAD_BYTES)?;
    // An empty payload is the mark of a recalled message.
    if send.payload.is_empty() {
        return Err(invalid("encrypted_payload", "`encrypted_payload` is empty: a message has at least one byte"));
    }
    if let Some(reply_to) = send.reply_to
        && !may_read(case, reply_to)
    {
        return Err(invalid("reply_to", "`reply_to` names no message of this conversation that you may read"));
    }
    Ok(smallvec![RecordBody::Message(Arc::clone(send))])
}

fn check_content_type(content_type: &str) -> Result<(), ErrorBody> {
    check_bytes("content_type", content_type.len(), "max_content_type_bytes", MAX_CONTENT_TYPE_BYTES)?;
    let printable = !content_type.is_empty() && content_type.bytes().all(|byte| byte.is_ascii_graphic());
    if printable { Ok(()) } else { Err(invalid("content_type", "`content_type` is one word of ASCII, such as `text`")) }
}

/// Members read from the record by which they joined.
fn may_read(case: Case<'_>, sequence: Sequence) -> bool {
    sequence >= case.membership.joined && sequence <= case.state.head()
}

/// The record that a command is about, if the author may read it and it is a message.
fn target_message(case: Case<'_>, target: Sequence) -> Result<(&Record, &Message), ErrorBody> {
    let readable = case.context.target.filter(|record| record.sequence == target && may_read(case, target));
    let record = readable.ok_or_else(no_such_message)?;
    match &record.body {
        RecordBody::Message(message) => Ok((record, message)),
        RecordBody::Opened(_)
        | RecordBody::Recalled(_)
        | RecordBody::Reaction(_)
        | RecordBody::MemberAdded(_)
        | RecordBody::MemberRemoved(_)
        | RecordBody::RoleChanged(_)
        | RecordBody::GroupUpdated(_) => Err(invalid("message_id", "`message_id` names an event that is no message")),
    }
}

/// The author may within the window; a group's owner and admins may always. What is recalled stays so: nothing to store.
pub(super) fn recall(case: Case<'_>, recall: Recall) -> Result<Bodies, ErrorBody> {
    let (record, message) = target_message(case, recall.target)?;
    let moderates = case.state.kind() == Some(ConversationKind::Group) && case.membership.role >= Role::Admin;
    if record.author.sender_id != case.author && !moderates {
        return Err(forbidden("admin", "recalling another's message"));
    }
    if message.payload.is_empty() {
        return Ok(Bodies::new());
    }
    if !moderates && case.context.now > record.created_at.plus_ms(RECALL_WINDOW_MS) {
        let seconds = RECALL_WINDOW_MS / 1000;
        let message = format!("a message can be recalled for {seconds} seconds after it was sent, and they are over");
        return Err(ErrorBody::new(ErrorCode::Expired, message)
            .with("limit", "recall_window_ms")
            .with("max", RECALL_WINDOW_MS.unsigned_abs()));
    }
    Ok(smallvec![RecordBody::Recalled(Recalled { target: recall.target })])
}

pub(super) fn react(case: Case<'_>, react: &React) -> Result<Bodies, ErrorBody> {
    check_emoji(&react.emoji)?;
    let (_, message) = target_message(case, react.target)?;
    if message.payload.is_empty() {
        return Err(conflict("this message was recalled, and its reactions went with it"));
    }
    let reaction = Reaction { target: react.target, emoji: react.emoji.clone(), change: react.change };
    Ok(smallvec![RecordBody::Reaction(reaction)])
}

fn check_emoji(emoji: &str) -> Result<(), ErrorBody> {
    check_bytes("emoji", emoji.len(), "max_emoji_bytes", MAX_EMOJI_BYTES)?;
    let one_word = !emoji.is_empty() && !emoji.chars().any(|character| character.is_control() || character == ' ');
    if one_word { Ok(()) } else { Err(invalid("emoji", "`emoji` is one emoji, or one word")) }
}
