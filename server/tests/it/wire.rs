//! Clients for the tests of promises: a server with people on it, their sockets, and what those hear.
//!
//! A [`Peer`] waits for one thing at a time and keeps for later what comes meanwhile, so that no test sleeps. Built on the
//! stranger of `hubbub-loadtest`, which knows the protocol and nothing else of the house.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use hubbub_loadtest::client::ClientError;
use hubbub_loadtest::client::account::Account;
use hubbub_loadtest::client::http::Target;
use hubbub_loadtest::client::socket::{Ending, Incoming, Socket, SocketOptions};
use hubbub_protocol::codec::Format;
use hubbub_protocol::frame::Cursor;
use hubbub_protocol::frame::client::{ClientFrame, MessageSend, Ping};
use hubbub_protocol::frame::server::{AuthOk, Event, Gap, ServerFrame};
use hubbub_protocol::{ClientMessageId, ConversationId, ErrorBody, Payload, Sequence, UserId};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;

use crate::support::{Hubbub, PATIENCE, Running, new_data};

/// Tests that measure, or that take all cores, take the machine one after the other.
pub(crate) async fn alone() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::const_new(());
    MACHINE.lock().await
}

/// A server with a data folder, which can end and start again in the same place.
pub(crate) struct Host {
    pub(crate) server: Running,
    pub(crate) target: Target,
    pub(crate) data: PathBuf,
    settings: Vec<String>,
    _folder: TempDir,
}

impl Host {
    /// A server with the defaults, but for limits of rates.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// A server with these settings.
    pub(crate) fn with(settings: &[&str]) -> Self {
        let (folder, data) = new_data();
        let rates = ["rest.auth_per_minute=0", "rest.general_per_minute=0"];
        let settings: Vec<String> = rates.iter().chain(settings).map(|&setting| setting.to_owned()).collect();
        let server = configured(Hubbub::serve(&data), &settings).start();
        let target = Target::from(server.address().parse::<std::net::SocketAddr>().expect("an address"));
        Self { server, target, data, settings, _folder: folder }
    }

    /// Starts a server again where the one before has ended.
    pub(crate) fn start_again(&mut self) {
        self.server = self.next_server().start();
    }

    /// The next server in the same place, about to run.
    pub(crate) fn next_server(&self) -> Hubbub {
        configured(Hubbub::serve_at(&self.target.authority, &self.data), &self.settings)
    }

    /// A new person. Names are not used twice on one server.
    pub(crate) async fn person(&self, name: &str) -> Person {
        let email = format!("{name}@example.org");
        let account = Account::register(&self.target, None, &email, name).await.expect("registered");
        Person { account: Arc::new(account), target: self.target.clone() }
    }

    /// The server's resident memory, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server.pid())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
        line.trim().trim_end_matches(" kB").parse().expect("a number of KiB")
    }

    /// How many descriptors the server has open.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.server.pid())).expect("it runs").count()
    }

    /// One of its numbers, over all labels that have this in them.
    pub(crate) fn metric(&self, name: &str, label: &str) -> u64 {
        let text = self.server.get("/metrics");
        let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }
}

fn configured(mut hubbub: Hubbub, settings: &[String]) -> Hubbub {
    for setting in settings {
        hubbub = hubbub.set(setting);
    }
    hubbub
}

/// Somebody with an account.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) account: Arc<Account>,
    pub(crate) target: Target,
}

impl Person {
    pub(crate) fn id(&self) -> UserId {
        self.account.user_id
    }

    /// The same person, at another server of the same cluster.
    pub(crate) fn at(&self, process: &Target) -> Self {
        Self { account: Arc::clone(&self.account), target: process.clone() }
    }

    /// A socket at the live edge of everything.
    pub(crate) async fn connect(&self, format: Format) -> Peer {
        self.resume(format, &[]).await
    }

    /// A socket that resumes from these cursors.
    pub(crate) async fn resume(&self, format: Format, cursors: &[Cursor]) -> Peer {
        self.resume_as(&SocketOptions { format, ..SocketOptions::default() }, cursors).await
    }

    /// The same over a socket made like this.
    pub(crate) async fn resume_as(&self, options: &SocketOptions, cursors: &[Cursor]) -> Peer {
        Peer::login(&self.target, options, &self.account.token(), cursors).await.expect("logged in")
    }

    /// A new group of this person's.
    pub(crate) async fn group(&self, others: &[&Self]) -> ConversationId {
        let others: Vec<UserId> = others.iter().map(|other| other.id()).collect();
        self.account.create_group(&mut self.account.http(), "Crew", &others).await.expect("a group")
    }

    /// Everything this person may read, by REST and forwards, in pages of this size.
    pub(crate) async fn history(&self, conversation: ConversationId, page: usize) -> Vec<Event> {
        let mut http = self.account.http();
        let mut events: Vec<Event> = Vec::new();
        loop {
            let after = events.last().map_or(Sequence::ZERO, |event| event.place().sequence);
            let found = self.account.history(&mut http, conversation, after, page).await.expect("a page");
            if found.events.is_empty() {
                return events;
            }
            events.extend(found.events);
        }
    }
}

/// A cursor.
pub(crate) fn cursor(conversation_id: ConversationId, after: u64) -> Cursor {
    Cursor { conversation_id, after_seq: Sequence::new(after) }
}

/// A message to send, with a new client message id.
pub(crate) fn message(conversation_id: ConversationId, payload: impl Into<Vec<u8>>) -> MessageSend {
    MessageSend {
        id: None,
        conversation_id,
        client_message_id: ClientMessageId::generate(),
        content_type: "text".to_owned(),
        encrypted_payload: Payload::from(payload.into()),
        reply_to: None,
        epoch: None,
    }
}

/// One socket of somebody's.
pub(crate) struct Peer {
    socket: Socket,
    pub(crate) ok: AuthOk,
    kept: VecDeque<ServerFrame>,
    commands: u64,
}

impl Peer {
    /// A socket that is logged in with this token.
    pub(crate) async fn login(
        target: &Target,
        options: &SocketOptions,
        token: &str,
        cursors: &[Cursor],
    ) -> Result<Self, ClientError> {
        let (socket, ok) = Socket::login(target, options, token, cursors).await?;
        Ok(Self { socket, ok, kept: VecDeque::new(), commands: 0 })
    }

    /// An id for a command.
    #[expect(clippy::unnecessary_wraps, reason = "as frames hold it, where it may be left out")]
    pub(crate) fn command(&mut self) -> Option<String> {
        self.commands += 1;
        Some(self.commands.to_string())
    }

    /// How many commands got an id so far.
    pub(crate) const fn said(&self) -> u64 {
        self.commands
    }

    pub(crate) async fn say(&mut self, frame: impl Into<ClientFrame>) {
        self.socket.send(&frame.into()).await.expect("the socket takes it");
    }

    /// The same where the socket may be gone.
    pub(crate) async fn try_say(&mut self, frame: impl Into<ClientFrame>) -> bool {
        self.socket.send(&frame.into()).await.is_ok()
    }

    /// The next frame, or how the socket ended.
    pub(crate) async fn hear_or_end(&mut self) -> Result<ServerFrame, Ending> {
        match self.kept.pop_front() {
            Some(frame) => Ok(frame),
            None => self.hear_new().await,
        }
    }

    async fn hear_new(&mut self) -> Result<ServerFrame, Ending> {
        let incoming = timeout(PATIENCE, self.socket.recv()).await.expect("something comes");
        match incoming.expect("it can be read") {
            Incoming::Frame(frame) => Ok(*frame),
            Incoming::Ended(ending) => Err(ending),
        }
    }

    /// The next frame.
    pub(crate) async fn hear(&mut self) -> ServerFrame {
        self.hear_or_end().await.expect("the socket is open")
    }

    /// All that comes until the end, and the end.
    pub(crate) async fn hear_to_the_end(mut self) -> (Vec<ServerFrame>, Ending) {
        let mut frames = Vec::new();
        loop {
            match self.hear_or_end().await {
                Ok(frame) => frames.push(frame),
                Err(ending) => return (frames, ending),
            }
        }
    }

    /// The first thing that is wanted; what comes before it is dropped.
    pub(crate) async fn hear_until<T>(&mut self, mut wanted: impl FnMut(ServerFrame) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(self.hear().await) {
                return found;
            }
        }
    }

    /// Says a command, which must have an id, and waits for its reply. What comes meanwhile is kept.
    pub(crate) async fn ask(&mut self, frame: impl Into<ClientFrame>) -> ServerFrame {
        let frame = frame.into();
        let id = frame.id().expect("the command has an id").clone();
        self.say(frame).await;
        loop {
            let frame = self.hear_new().await.expect("the socket is open");
            if answers(&frame, &id) {
                return frame;
            }
            self.kept.push_back(frame);
        }
    }

    /// Sends a message and waits for what becomes of it.
    pub(crate) async fn send(&mut self, message: MessageSend) -> Result<Sequence, ErrorBody> {
        let id = self.command();
        match self.ask(MessageSend { id, ..message }).await {
            ServerFrame::MessageAck(ack) => Ok(ack.conversation_seq),
            ServerFrame::CommandError(refused) => Err(refused.error),
            other => panic!("{other:?} is no answer to a send"),
        }
    }

    /// Everything that comes up to the end of a replay: its gap, its events, and where it is live.
    pub(crate) async fn replay(&mut self, conversation: ConversationId) -> Replay {
        let mut replay = Replay::default();
        loop {
            match self.hear().await {
                ServerFrame::Live(live) if live.conversation_id == conversation => {
                    replay.live = live.seq.get();
                    return replay;
                }
                ServerFrame::Gap(gap) if gap.conversation_id == conversation => replay.gap = Some(gap),
                frame => replay.events.extend(event_of(frame, conversation)),
            }
        }
    }

    /// The events of a conversation that were sent to this socket by now.
    pub(crate) async fn events_by_now(&mut self, conversation: ConversationId) -> Vec<Event> {
        let id = self.command();
        self.say(Ping { id: id.clone() }).await;
        let mut events = Vec::new();
        loop {
            match self.hear().await {
                ServerFrame::Pong(pong) if pong.id == id => return events,
                frame => events.extend(event_of(frame, conversation)),
            }
        }
    }

    /// The events of a conversation up to this sequence.
    pub(crate) async fn events_up_to(&mut self, conversation: ConversationId, last: u64) -> Vec<Event> {
        let mut events = Vec::new();
        while events.last().is_none_or(|event: &Event| event.place().sequence.get() < last) {
            events.extend(event_of(self.hear().await, conversation));
        }
        events
    }

    pub(crate) async fn close(self) {
        self.socket.close().await;
    }
}

/// What a cursor brought.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    pub(crate) gap: Option<Gap>,
    pub(crate) events: Vec<Event>,
    pub(crate) live: u64,
}

/// The event of this conversation that a frame is, if it is one.
pub(crate) fn event_of(frame: ServerFrame, conversation: ConversationId) -> Option<Event> {
    frame.into_event().filter(|event| event.place().conversation_id == conversation)
}

/// The sequences of events.
pub(crate) fn sequences(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.place().sequence.get()).collect()
}

/// Whether a frame is the reply to this command.
fn answers(frame: &ServerFrame, command: &str) -> bool {
    let id = match frame {
        ServerFrame::CommandOk(ok) => &ok.id,
        ServerFrame::CommandError(error) => &error.id,
        ServerFrame::MessageAck(ack) => &ack.id,
        ServerFrame::HistoryPage(page) => &page.id,
        ServerFrame::Pong(pong) => &pong.id,
        _ => return false,
    };
    id.as_deref() == Some(command)
}
