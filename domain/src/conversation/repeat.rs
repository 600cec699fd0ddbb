//! Whether a record is what an act would have stored: how a retry is told from another act under a used id (ONCE).

use hubbub_protocol::{Record, RecordBody};

use super::command::{Act, Command};

/// Whether `record`, stored under the act's client id, is this act's first record. If not, the client used one id for two
/// acts, and answering with the first's sequence would say that the second is stored (HONEST).
pub fn repeats(record: &Record, act: &Act) -> bool {
    match (&record.body, &act.command) {
        (RecordBody::Opened(opened), Command::Open(open)) => opened.kind == open.kind && opened.name == open.name,
        (RecordBody::Message(message), Command::Send(send)) => {
            // A recall erased the payload: then the rest has to do.
            let same_payload = message.payload.is_empty() || message.payload == send.payload;
            same_payload
                && message.content_type == send.content_type
                && message.reply_to == send.reply_to
                && message.epoch == send.epoch
        }
        (RecordBody::Recalled(recalled), Command::Recall(recall)) => recalled.target == recall.target,
        (RecordBody::Reaction(reaction), Command::React(react)) => {
            reaction.target == react.target && reaction.emoji == react.emoji && reaction.change == react.change
        }
        (RecordBody::MemberAdded(added), Command::AddMembers(add)) => add.user_ids.contains(&added.member.user_id),
        (RecordBody::MemberRemoved(removed), Command::RemoveMember(remove)) => removed.user_id == remove.user_id,
        (RecordBody::RoleChanged(changed), Command::ChangeRole(change)) => {
            changed.member.user_id == change.user_id && changed.member.role == change.role
        }
        (RecordBody::GroupUpdated(updated), Command::UpdateGroup(update)) => {
            // Only what changed was stored.
            (updated.name.is_none() || updated.name == update.name)
                && (updated.description.is_none() || updated.description == update.description)
        }
        _ => false,
    }
}
