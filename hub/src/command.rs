//! What becomes of a client's frame: an act for the conversation's home, a wish for the edge, or an answer at once.
//!
//! Runs in the connection's task. Nothing is decided here: acts are made and handed on. Each command gets exactly one
//! reply; the ephemeral ones and `read` only if they have an id.

use std::rc::Rc;

use hubbub_domain::conversation::{Act, Command, React, Recall};
use hubbub_protocol::frame::client::{
    AuthRenew, ClientFrame, MessageSend, Presence, PresenceStatus, ReactionAdd, ReactionRemove, Resume,
    Subscribe as SubscribeFrame, Typing,
};
use hubbub_protocol::frame::server::{CommandError, CommandOk, Pong};
use hubbub_protocol::frame::{CommandId, Cursor};
use hubbub_protocol::limits::MAX_CURSORS;
use hubbub_protocol::record::{Message, ReactionChange};
use hubbub_protocol::{ClientMessageId, ConversationId, ErrorBody, ErrorCode, MessageId};

use crate::connection::{Connection, Who};
use crate::message::{Asked, HomeInput, OpenCount, ReplyTo, Subscribe, Way};
use crate::shard::local::Local;

mod history;

/// Ephemeral frames of one socket in one second that go on; the rest is dropped, as it may be.
const MAX_EPHEMERAL_PER_SECOND: u8 = 10;

/// What cannot be done at once.
pub(crate) enum Later {
    /// Its home has too much to do: to be handed on when there is room.
    Home(Box<HomeInput>),
    /// A token is to be looked at.
    Renew(AuthRenew),
}

/// Waits until it can be done, and does it.
pub(crate) async fn wait(connection: &Rc<Connection>, who: Who, local: &Rc<Local>, later: Later) {
    match later {
        Later::Home(input) => local.to_home_later(input).await,
        Later::Renew(renew) => Asker { connection, who, local, bytes: 0 }.renew(renew).await,
    }
}

/// Does what a frame of so many bytes asks, or gives back what has to be waited for.
pub(crate) fn handle(
    connection: &Rc<Connection>,
    who: Who,
    local: &Rc<Local>,
    frame: ClientFrame,
    bytes: u32,
) -> Option<Later> {
    let asker = Asker { connection, who, local, bytes };
    if local.is_draining() && !matches!(frame, ClientFrame::Ping(_)) {
        let error = ErrorBody::new(ErrorCode::Draining, "this server is stopping: come back when it said, and resume");
        asker.refuse(frame.id().cloned(), error);
        return None;
    }
    match frame {
        ClientFrame::MessageSend(send) => return asker.send(send),
        ClientFrame::MessageRecall(recall) => {
            let command = Command::Recall(Recall { target: recall.message_id.sequence });
            return asker.act(recall.id, recall.message_id.conversation_id, None, command);
        }
        ClientFrame::ReactionAdd(ReactionAdd { id, message_id, emoji }) => {
            return asker.react(id, message_id, emoji, ReactionAdd::CHANGE);
        }
        ClientFrame::ReactionRemove(ReactionRemove { id, message_id, emoji }) => {
            return asker.react(id, message_id, emoji, ReactionRemove::CHANGE);
        }
        ClientFrame::Read(read) => {
            let (conversation, user, seq) = (read.conversation_id, who.caller.user_id, read.seq);
            let quiet = read.id.is_none();
            let reply = asker.reply_to(conversation, read.id, None, quiet);
            return asker.to_home(HomeInput::Read { conversation, user, seq, reply });
        }
        ClientFrame::Typing(typing) => return asker.typing(&typing),
        ClientFrame::Presence(presence) => asker.presence(presence),
        ClientFrame::Subscribe(SubscribeFrame { id, conversation_id, after_seq }) => {
            let command = Some(Asked { id, open: asker.open() });
            asker.subscribe(conversation_id, after_seq, command);
        }
        ClientFrame::Unsubscribe(unsubscribe) => {
            local.leave(who.key, unsubscribe.conversation_id);
            asker.say_ok(unsubscribe.id);
        }
        ClientFrame::Resume(resume) => asker.resume(resume),
        ClientFrame::History(query) => asker.history(query),
        ClientFrame::AuthRenew(renew) => return Some(Later::Renew(renew)),
        ClientFrame::Ping(ping) => {
            connection.frame(&Pong { id: ping.id, server_time: local.now() }.into());
            local.flush_later(connection);
        }
        ClientFrame::Auth(_) => {
            asker.refuse(None, ErrorBody::new(ErrorCode::Conflict, "this socket is logged in: use auth.renew"));
        }
    }
    None
}

/// Who asks, over which socket, and how long the frame was.
struct Asker<'a> {
    connection: &'a Rc<Connection>,
    who: Who,
    local: &'a Rc<Local>,
    bytes: u32,
}

impl Asker<'_> {
    fn send(&self, send: MessageSend) -> Option<Later> {
        if let Some(other) = send.reply_to.filter(|message| message.conversation_id != send.conversation_id) {
            let message = format!("reply_to {other} is a message of another conversation");
            self.refuse(send.id, ErrorBody::new(ErrorCode::ValidationFailed, message).with("field", "reply_to"));
            return None;
        }
        let message = Message {
            content_type: send.content_type,
            payload: send.encrypted_payload,
            reply_to: send.reply_to.map(|message| message.sequence),
            epoch: send.epoch,
        };
        self.act(send.id, send.conversation_id, Some(send.client_message_id), Command::Send(message.into()))
    }

    fn react(&self, id: Option<CommandId>, message: MessageId, emoji: String, change: ReactionChange) -> Option<Later> {
        let command = Command::React(React { target: message.sequence, emoji, change });
        self.act(id, message.conversation_id, None, command)
    }

    fn act(
        &self,
        id: Option<CommandId>,
        conversation: ConversationId,
        client_message_id: Option<ClientMessageId>,
        command: Command,
    ) -> Option<Later> {
        let ack = client_message_id.filter(|_| matches!(command, Command::Send(_)));
        let act = Box::new(Act { author: self.who.caller.author(), client_message_id, command });
        let reply = self.reply_to(conversation, id, ack, false);
        self.to_home(HomeInput::Act { conversation, act, reply, way: Way::Home })
    }

    fn typing(&self, typing: &Typing) -> Option<Later> {
        if typing.id.is_some() {
            self.say_ok(typing.id.clone());
        }
        if !self.may_be_ephemeral() {
            return None;
        }
        let Typing { conversation_id: conversation, active, .. } = *typing;
        self.to_home(HomeInput::Typing { conversation, user: self.who.caller.user_id, active })
    }

    fn presence(&self, presence: Presence) {
        let Presence { id, status } = presence;
        if status == PresenceStatus::Offline {
            let message = "status is online or away; closing the socket says offline";
            self.refuse(id, ErrorBody::new(ErrorCode::ValidationFailed, message).with("field", "status"));
            return;
        }
        if self.may_be_ephemeral() {
            self.local.set_presence(self.who, status);
        }
        if id.is_some() {
            self.say_ok(id);
        }
    }

    fn resume(&self, resume: Resume) {
        let count = resume.conversations.len();
        if count > MAX_CURSORS {
            let message = format!("conversations has {count} cursors; at most {MAX_CURSORS} are read");
            let error = ErrorBody::new(ErrorCode::TooLarge, message).with("field", "conversations");
            self.refuse(resume.id, error.with("limit", "max_cursors").with("max", MAX_CURSORS));
            return;
        }
        self.say_ok(resume.id);
        for Cursor { conversation_id, after_seq } in resume.conversations {
            self.subscribe(conversation_id, Some(after_seq), None);
        }
    }

    fn subscribe(
        &self,
        conversation: ConversationId,
        after: Option<hubbub_protocol::Sequence>,
        command: Option<Asked>,
    ) {
        let (user, key) = (self.who.caller.user_id, self.who.key);
        self.local.ask(Subscribe { conversation, user, key, wish: 0, after, command });
    }

    async fn renew(&self, renew: AuthRenew) {
        match self.local.sessions().authenticate(&renew.access_token).await {
            Ok(caller) if caller.session_id == self.who.caller.session_id => {
                self.connection.expires_at.set(caller.expires_at);
                self.connection.warned.set(false);
                self.local.look_anew(self.connection, self.who.key);
                self.say_ok(renew.id);
            }
            Ok(_) => {
                let message = "the token is of another session: open another socket for it";
                self.refuse(renew.id, ErrorBody::new(ErrorCode::InvalidToken, message));
            }
            Err(error) => self.refuse(renew.id, error),
        }
    }

    /// Counts a command as taken, until its answer.
    fn open(&self) -> OpenCount {
        self.connection.took_command(self.bytes);
        self.local.open_command(self.bytes)
    }

    fn reply_to(
        &self,
        conversation: ConversationId,
        id: Option<CommandId>,
        ack: Option<ClientMessageId>,
        quiet: bool,
    ) -> ReplyTo {
        ReplyTo::Connection { key: self.who.key, id, conversation, ack, quiet, open: self.open() }
    }

    fn to_home(&self, input: HomeInput) -> Option<Later> {
        self.local.to_home(input).err().map(Later::Home)
    }

    fn may_be_ephemeral(&self) -> bool {
        let second = self.local.second();
        let (last, count) = self.connection.ephemeral.get();
        let count = if last == second { count.saturating_add(1) } else { 1 };
        self.connection.ephemeral.set((second, count));
        count <= MAX_EPHEMERAL_PER_SECOND
    }

    fn say_ok(&self, id: Option<CommandId>) {
        self.connection.frame(&CommandOk { id, conversation_seq: None }.into());
        self.local.flush_later(self.connection);
    }

    fn refuse(&self, id: Option<CommandId>, error: ErrorBody) {
        self.connection.frame(&CommandError { id, error }.into());
        self.local.flush_later(self.connection);
    }
}
