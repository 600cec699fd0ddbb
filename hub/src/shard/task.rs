//! The loop of one shard: the only part of it that awaits.
//!
//! One turn takes what is there (bounded), lets the cores work, and then says it all at once: to homes, to edges, to
//! sockets. So writes are joined without any added delay: under load a turn has more in it.
//!
//! What another shard has no room for waits here in order. While much of that waits, no commands are taken, but what
//! edges are told always is; so two shards that are full of each other still go on.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use hubbub_domain::conversations::Stored;
use hubbub_protocol::frame::server::{CommandError, CommandOk, MessageAck, ServerFrame};
use hubbub_protocol::{ConversationId, ErrorBody, MessageId};
use hubbub_storage::bus::Topic;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::MissedTickBehavior;

use super::home::{Done, HomeCore, HomeOutput, HomeWork};
use super::local::Local;
use super::recheck;
use super::replay;
use super::work::Services;
use crate::adopted::Adopted;
use crate::message::{Control, EdgeInput, HomeInput, ReplyTo};

/// Inputs of one kind that one turn takes: enough to join writes, few enough that no kind starves.
const TURN: usize = 256;
/// Sockets that one turn takes, however busy it is: a login must not wait for a quiet moment.
const ADOPTIONS: usize = 16;
/// Conversations that all shards together load at once; the others wait here, each once. A reader's queue in the store
/// has room for them and for others' reads, so that a storm of logins is slow rather than refused.
const MAX_LOADS: usize = 512;
/// Works that may be under way before commands wait: the store's queue is the next to fill.
const MAX_WORKS: usize = 2_048;
/// Inputs that may wait for another edge before commands wait.
const MAX_UNSAID: usize = 65_536;
/// Outputs of a turn for which room is kept, once it was needed: what commands and answers of a busy turn come to.
const MAX_ROOM: usize = 4 * TURN;
/// How soon what another shard had no room for is tried again. It takes its queue every turn.
const RETRY: Duration = Duration::from_millis(1);

/// The receiving ends of a [`crate::shared::ShardHandle`].
pub(crate) struct Inbox {
    pub(crate) commands: mpsc::Receiver<HomeInput>,
    pub(crate) edges: mpsc::Receiver<Vec<EdgeInput>>,
    pub(crate) adopt: mpsc::Receiver<Adopted>,
    pub(crate) control: mpsc::Receiver<Control>,
}

/// What becomes of a socket that its door hands over: the task that logs it in.
pub(crate) type Adopt = fn(Rc<Local>, Adopted) -> LocalBoxFuture<'static, ()>;

/// A shard at work.
pub(crate) struct ShardTask {
    local: Rc<Local>,
    home: HomeCore,
    services: Services,
    inbox: Inbox,
    adopt: Adopt,
    works: FuturesUnordered<LocalBoxFuture<'static, Done>>,
    loading: usize,
    loads: VecDeque<HomeWork>,
    out: Vec<HomeOutput>,
    /// Empty between turns; its room is kept.
    said: Vec<HomeOutput>,
    /// What is to be said to the edges of other shards.
    to_edges: Vec<Vec<EdgeInput>>,
    blocked: bool,
}

/// What wakes the loop.
enum Wake {
    Control(Control),
    Edges(Vec<EdgeInput>),
    Done(Done),
    Command(HomeInput),
    Adopt(Adopted),
    Tick,
    Turn,
    Stop,
}

impl ShardTask {
    pub(crate) fn new(local: Rc<Local>, services: Services, inbox: Inbox, adopt: Adopt) -> Self {
        let shared = local.shared();
        let view = shared.cluster.view();
        let home = HomeCore::new(shared.directory.clone(), shared.config.max_idle_conversations, view);
        let to_edges = (0..shared.homes.len()).map(|_| Vec::new()).collect();
        let works = FuturesUnordered::new();
        Self {
            local,
            home,
            services,
            inbox,
            adopt,
            works,
            loading: 0,
            loads: VecDeque::new(),
            out: Vec::new(),
            said: Vec::new(),
            to_edges,
            blocked: false,
        }
    }

    /// Runs until it is told to stop.
    pub(crate) async fn run(mut self) {
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let takes_commands = self.takes_commands();
            let wake = tokio::select! {
                biased;
                () = self.local.shared().stop.cancelled() => Wake::Stop,
                _ = tick.tick() => Wake::Tick,
                Some(order) = self.inbox.control.recv() => Wake::Control(order),
                Some(batch) = self.inbox.edges.recv() => Wake::Edges(batch),
                Some(done) = self.works.next(), if !self.works.is_empty() => Wake::Done(done),
                Some(command) = self.inbox.commands.recv(), if takes_commands => Wake::Command(command),
                () = self.local.turn() => Wake::Turn,
                Some(adopted) = self.inbox.adopt.recv() => Wake::Adopt(adopted),
                () = tokio::time::sleep(RETRY), if self.blocked => Wake::Turn,
            };
            if !self.take(wake) {
                break;
            }
            self.take_more();
            self.turn();
            // Connections read and write between turns.
            tokio::task::yield_now().await;
        }
        self.local.tasks().close();
    }

    fn takes_commands(&self) -> bool {
        self.works.len() < MAX_WORKS && self.to_edges.iter().all(|unsaid| unsaid.len() < MAX_UNSAID)
    }

    /// Takes one input; false if it was the order to stop.
    fn take(&mut self, wake: Wake) -> bool {
        match wake {
            Wake::Stop => return false,
            Wake::Control(Control::EndSession(session)) => self.local.end_session(session),
            Wake::Control(Control::HandOver(window)) => self.local.hand_over(window),
            Wake::Control(Control::Drain) => self.local.announce_drain(),
            Wake::Control(Control::CloseAll) => self.local.close_all(),
            Wake::Control(Control::Cluster { view, up }) => self.home.cluster_changed(view, up),
            Wake::Control(Control::CompareHeads) => self.home.compare_heads(),
            Wake::Control(Control::NodeLost(node)) => self.home.node_lost(node, &mut self.out),
            Wake::Control(Control::Recheck) => {
                self.local.want_recheck();
                self.local.spawn(recheck::run(Rc::clone(&self.local)));
            }
            Wake::Edges(batch) => self.hear(batch),
            Wake::Done(done) => self.done(done),
            Wake::Command(command) => self.home.take(command, &mut self.out),
            Wake::Adopt(adopted) => self.local.spawn((self.adopt)(Rc::clone(&self.local), adopted)),
            Wake::Tick => {
                self.local.tick();
                self.home.sweep(&mut self.out);
                self.home.look_around(self.local.now(), &mut self.out);
            }
            Wake::Turn => {}
        }
        true
    }

    fn hear(&self, batch: Vec<EdgeInput>) {
        for input in batch {
            self.local.hear(input);
        }
    }

    /// Takes what else is there, without waiting.
    fn take_more(&mut self) {
        for _ in 0..TURN {
            let Ok(batch) = self.inbox.edges.try_recv() else { break };
            self.hear(batch);
        }
        for _ in 0..ADOPTIONS {
            let Ok(adopted) = self.inbox.adopt.try_recv() else { break };
            self.local.spawn((self.adopt)(Rc::clone(&self.local), adopted));
        }
        for _ in 0..TURN {
            let Some(Some(done)) = self.works.next().now_or_never() else { break };
            self.done(done);
        }
        for _ in 0..TURN {
            if !self.takes_commands() {
                break;
            }
            let Ok(command) = self.inbox.commands.try_recv() else { break };
            self.home.take(command, &mut self.out);
        }
    }

    /// Says everything that is to be said.
    fn turn(&mut self) {
        self.say_outputs();
        self.blocked = false;
        for shard in 0..self.to_edges.len() {
            self.tell_home(shard);
            self.tell_edge(shard);
        }
        self.local.made_room();
        for replay in self.local.take_replays() {
            self.local.spawn(replay::run(Rc::clone(&self.local), replay));
        }
        self.local.flush();
    }

    /// Starts works, answers callers, and tells this shard's own edge and home, until nothing new comes of it.
    fn say_outputs(&mut self) {
        let now = self.local.now();
        let mut said = std::mem::take(&mut self.said);
        loop {
            self.take_own();
            self.home.go_on(now, &mut self.out);
            if self.out.is_empty() {
                // The memory of a burst is given back.
                said.shrink_to(MAX_ROOM);
                self.out.shrink_to(MAX_ROOM);
                self.said = said;
                return;
            }
            std::mem::swap(&mut said, &mut self.out);
            for output in said.drain(..) {
                match output {
                    HomeOutput::Work(load @ (HomeWork::Load { .. } | HomeWork::CatchUp { .. })) => self.load(load),
                    HomeOutput::Work(work) => self.start(work),
                    HomeOutput::ToEdge { shard, input } => self.say(shard, input),
                    HomeOutput::Reply { to, result } => self.reply(to, result),
                    HomeOutput::Say { topic, word } => self.local.shared().cluster.say(topic, &word),
                    HomeOutput::Unwatch(id) => self.local.shared().cluster.bus().unwatch(Topic::Conversation(id)),
                }
            }
        }
    }

    /// Takes what this shard's own edge and its sockets ask.
    fn take_own(&mut self) {
        let own = usize::from(self.local.id());
        while self.takes_commands() {
            let Some(input) = self.local.next_for_home(own) else { return };
            self.home.take(input, &mut self.out);
        }
    }

    fn start(&mut self, work: HomeWork) {
        let mut work = self.services.start(work);
        // A store in memory has done it already.
        match (&mut work).now_or_never() {
            Some(done) => self.done(done),
            None => self.works.push(work),
        }
    }

    fn load(&mut self, load: HomeWork) {
        if self.loading < (MAX_LOADS / self.local.shared().homes.len()).max(1) {
            self.loading += 1;
            self.works.push(self.services.start(load));
        } else {
            self.loads.push_back(load);
        }
    }

    /// Takes the end of some work.
    fn done(&mut self, done: Done) {
        if matches!(done, Done::Loaded { .. } | Done::CaughtUp { .. }) {
            self.loading -= 1;
            if let Some(next) = self.loads.pop_front() {
                self.load(next);
            }
        }
        self.home.done(done, self.local.now(), &mut self.out);
    }

    fn say(&mut self, shard: u8, input: EdgeInput) {
        if shard == self.local.id() {
            self.local.hear(input);
        } else {
            self.to_edges[usize::from(shard)].push(input);
        }
    }

    fn tell_edge(&mut self, shard: usize) {
        if self.to_edges[shard].is_empty() {
            return;
        }
        let batch = std::mem::take(&mut self.to_edges[shard]);
        match self.local.shared().homes[shard].edges.try_send(batch) {
            Ok(()) | Err(TrySendError::Closed(_)) => {}
            Err(TrySendError::Full(batch)) => {
                self.to_edges[shard] = batch;
                self.blocked = true;
            }
        }
    }

    fn tell_home(&mut self, shard: usize) {
        while let Some(input) = self.local.next_for_home(shard) {
            match self.local.shared().homes[shard].commands.try_send(input) {
                Ok(()) | Err(TrySendError::Closed(_)) => {}
                Err(TrySendError::Full(input)) => {
                    self.local.not_yet(shard, input);
                    self.blocked = true;
                    return;
                }
            }
        }
    }

    fn reply(&mut self, to: ReplyTo, result: Result<Stored, ErrorBody>) {
        match to {
            ReplyTo::Connection { key, id, ack, conversation, quiet, open } => {
                let frame: Option<ServerFrame> = match result {
                    Ok(_) if quiet => None,
                    Ok(stored) => Some(success(conversation, id, ack, stored)),
                    Err(error) => Some(CommandError { id, error }.into()),
                };
                if key.shard == self.local.id() {
                    self.local.answer(key, frame.as_ref(), open);
                } else {
                    self.say(key.shard, EdgeInput::Reply { key, frame: frame.map(Box::new), open });
                }
            }
            ReplyTo::Caller { answer, open } => {
                // A caller that went away wants no answer.
                drop(answer.send(result));
                drop(open);
            }
        }
    }
}

fn success(
    conversation: ConversationId,
    id: Option<String>,
    ack: Option<hubbub_protocol::ClientMessageId>,
    stored: Stored,
) -> ServerFrame {
    match ack {
        Some(client_message_id) => MessageAck {
            id,
            client_message_id,
            message_id: MessageId::new(conversation, stored.first),
            conversation_seq: stored.first,
        }
        .into(),
        None => CommandOk { id, conversation_seq: Some(stored.last) }.into(),
    }
}
