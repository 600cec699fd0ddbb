//! The handle of a hub: start it, give it a listener, ask it to act, drain it.

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::FutureExt;
use hubbub_domain::cluster::Word;
use hubbub_domain::conversation::Act;
use hubbub_domain::conversations::{Conversations, Stored};
use hubbub_domain::sessions::Sessions;
use hubbub_protocol::{ConversationId, ErrorBody, ErrorCode, Sequence, SessionId, UserId};
use hubbub_storage::bus::{OpenBus, Topic};
use hubbub_storage::clock::Clock;
use hubbub_storage::store::Store;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accept::{self, Doorkeeper, Doors, HttpDoor};
use crate::cluster::Cluster;
use crate::cluster::task::ClusterTask;
use crate::config::HubConfig;
use crate::directory::Directory;
use crate::drain;
use crate::error::HubError;
use crate::login;
use crate::message::{Control, HomeInput, OpenCount, ReplyTo, Way};
use crate::shard::local::Local;
use crate::shard::task::{Inbox, ShardTask};
use crate::shard::work::Services;
use crate::shared::{ADOPT_QUEUE, COMMAND_QUEUE, CONTROL_QUEUE, EDGE_QUEUE, ShardHandle, Shared, home_of};
use crate::transport::Tls;

/// A running hub. Clones are the same hub; it ends when it was drained or the last clone is dropped.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

/// What clones share.
struct Inner {
    shared: Arc<Shared>,
    keeper: Arc<Doorkeeper>,
    tasks: TaskTracker,
    threads: std::sync::Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

impl Hub {
    /// Starts the shards, each a thread of its own, and the task that hears the other nodes over `bus`. Called inside a
    /// runtime.
    ///
    /// # Errors
    ///
    /// [`HubError::Shard`] when the operating system gives no thread or runtime.
    pub fn start(
        config: HubConfig,
        store: Store,
        conversations: Conversations,
        sessions: Sessions,
        clock: Arc<dyn Clock>,
        bus: OpenBus,
    ) -> Result<Self, HubError> {
        let (homes, inboxes): (Vec<_>, Vec<_>) = (0..config.shard_count()).map(|_| shard_queues()).unzip();
        let shared = Arc::new(Shared {
            config,
            homes,
            directory: Arc::new(Directory::default()),
            sessions,
            cluster: Arc::new(Cluster::new(bus.bus)),
            clock,
            open_commands: Arc::default(),
            partings: Arc::default(),
            leaving: CancellationToken::new(),
            draining: CancellationToken::new(),
            stop: CancellationToken::new(),
            failed: CancellationToken::new(),
        });
        let services = Services { store, conversations, cluster: Arc::clone(&shared.cluster) };
        let threads = (0..).zip(inboxes).map(|(id, inbox)| spawn_shard(id, inbox, &shared, &services));
        let threads = std::sync::Mutex::new(threads.collect::<Result<_, _>>()?);
        let (keeper, tasks) = (Doorkeeper::new(Arc::clone(&shared)), TaskTracker::new());
        if shared.cluster.view().is_some() {
            drop(tasks.spawn(ClusterTask::new(Arc::clone(&shared), tasks.clone()).run(bus.events)));
        }
        Ok(Self { inner: Arc::new(Inner { shared, keeper, tasks, threads }) })
    }

    /// Takes sockets in until the hub drains; over TLS if so told.
    pub async fn serve(&self, listener: TcpListener, tls: Option<Tls>, http: Arc<dyn HttpDoor>) {
        accept::run(Arc::clone(&self.inner.keeper), listener, Doors { tls, http }).await;
    }

    /// Does an act, exactly as a socket's command would be done.
    ///
    /// # Errors
    ///
    /// The refusal to answer; `unknown_outcome` when it may have been stored (HONEST).
    pub fn submit(
        &self,
        conversation: ConversationId,
        act: Act,
    ) -> impl Future<Output = Result<Stored, ErrorBody>> + Send + 'static {
        self.ask(move |reply| HomeInput::Act { conversation, act: Box::new(act), reply, way: Way::Home })
    }

    /// Notes how far somebody has read; answers how far that is now.
    ///
    /// # Errors
    ///
    /// The refusal to answer: not a member, above the head, or the store's.
    pub fn mark_read(
        &self,
        conversation: ConversationId,
        user: UserId,
        seq: Sequence,
    ) -> impl Future<Output = Result<Sequence, ErrorBody>> + Send + 'static {
        let asked = self.ask(move |reply| HomeInput::Read { conversation, user, seq, reply });
        async move { asked.await.map(|stored| stored.last) }
    }

    fn ask(
        &self,
        input: impl FnOnce(ReplyTo) -> HomeInput,
    ) -> impl Future<Output = Result<Stored, ErrorBody>> + Send + 'static {
        let shared = Arc::clone(&self.inner.shared);
        let (answer, answered) = oneshot::channel();
        let open = OpenCount::new(&shared.open_commands);
        let input = input(ReplyTo::Caller { answer, open });
        async move {
            if shared.is_draining() {
                return Err(ErrorBody::new(ErrorCode::Draining, "this server is stopping: try again in a few seconds"));
            }
            let gone = |_| {
                // Its home ended with the act in hand: whether it was stored, only a retry can tell (HONEST).
                ErrorBody::new(ErrorCode::UnknownOutcome, "the server stopped before it could answer: repeat the same")
            };
            let home = home_of(input.conversation(), shared.homes.len());
            let refused = |_| ErrorBody::new(ErrorCode::Draining, "this server is stopping: nothing was stored");
            shared.homes[home].commands.send(input).await.map_err(refused)?;
            answered.await.map_err(gone)?
        }
    }

    /// Closes the sockets of a session within the second, on other nodes too (MEMBERS-ONLY).
    pub fn end_session(&self, session: SessionId) {
        let shared = Arc::clone(&self.inner.shared);
        shared.cluster.say(Topic::Cluster, &Word::SessionEnded { session_id: session });
        drop(self.inner.tasks.spawn(async move {
            for home in &shared.homes {
                // A shard that has ended has no sockets.
                let _ended = home.control.send(Control::EndSession(session)).await;
            }
        }));
    }

    /// Sockets that are logged in.
    pub fn connections(&self) -> u64 {
        self.inner.shared.directory.sockets()
    }

    /// Whether it takes no more sockets, because it stops.
    pub fn is_draining(&self) -> bool {
        self.inner.shared.is_leaving()
    }

    /// Waits until a shard has ended although nobody asked it to: the process should end, loudly.
    pub async fn failed(&self) {
        self.inner.shared.failed.cancelled().await;
    }

    /// Stops softly within `grace`: takes no new socket, hands those it has to the other nodes or tells them when to come
    /// back, answers every accepted command, closes (DRAINED). Then ends the shards.
    pub async fn drain(&self, grace: Duration) {
        let deadline = tokio::time::Instant::now() + grace;
        self.inner.shared.cluster.leave();
        drain::run(&self.inner.shared, deadline).await;
        // Requests that came in at the last moment are still on their way through the door.
        let _late = tokio::time::timeout_at(deadline, self.inner.keeper.finished()).await;
        self.inner.shared.stop.cancel();
        self.inner.tasks.close();
        let _late = tokio::time::timeout(Duration::from_secs(1), self.inner.tasks.wait()).await;
        self.inner.shared.cluster.bus().close().await;
        let threads = self.inner.threads.lock().map(|mut threads| std::mem::take(&mut *threads)).unwrap_or_default();
        let joined = tokio::task::spawn_blocking(move || threads.into_iter().for_each(|thread| drop(thread.join())));
        // The threads end by themselves a moment after `stop`.
        let _late = tokio::time::timeout(Duration::from_secs(2), joined).await;
    }
}

fn shard_queues() -> (ShardHandle, Inbox) {
    let (commands, commands_in) = mpsc::channel(COMMAND_QUEUE);
    let (edges, edges_in) = mpsc::channel(EDGE_QUEUE);
    let (adopt, adopt_in) = mpsc::channel(ADOPT_QUEUE);
    let (control, control_in) = mpsc::channel(CONTROL_QUEUE);
    let handle = ShardHandle { commands, edges, adopt, control };
    (handle, Inbox { commands: commands_in, edges: edges_in, adopt: adopt_in, control: control_in })
}

fn spawn_shard(id: u8, inbox: Inbox, shared: &Arc<Shared>, services: &Services) -> Result<JoinHandle<()>, HubError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (shared, services) = (Arc::clone(shared), services.clone());
    let thread = std::thread::Builder::new().name(format!("shard-{id}")).spawn(move || {
        let stop = shared.stop.clone();
        // Dropped when the thread ends for whatever reason, a panic too: a shard that ends unasked is a failure.
        let _noticed = Noticed { failed: shared.failed.clone(), stop };
        LocalSet::new().block_on(&runtime, async move {
            let local = Local::new(id, shared, services.clone());
            let adopt = |local, adopted| login::login(local, adopted).boxed_local();
            ShardTask::new(Rc::clone(&local), services, inbox, adopt).run().await;
        });
    })?;
    Ok(thread)
}

struct Noticed {
    failed: CancellationToken,
    stop: CancellationToken,
}

impl Drop for Noticed {
    fn drop(&mut self) {
        if !self.stop.is_cancelled() {
            self.failed.cancel();
        }
    }
}
