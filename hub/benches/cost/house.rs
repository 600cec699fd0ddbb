//! A hub of one shard over the store in memory, and people to visit it.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hubbub_domain::conversation::{Act, AddMembers, Command, Open};
use hubbub_domain::conversations::Conversations;
use hubbub_domain::sessions::{Device, Logins, Sessions, Tokens};
use hubbub_domain::tokens::{KeyRing, Verifier};
use hubbub_hub::{HttpDoor, Hub, HubConfig, Stream};
use hubbub_protocol::limits::MAX_MEMBERS_PER_REQUEST;
use hubbub_protocol::member::ConversationKind;
use hubbub_protocol::{ConversationId, UserId};
use hubbub_storage::bus::local;
use hubbub_storage::clock::{Clock, SystemClock};
use hubbub_storage::memory;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use crate::Outcome;

/// The house.
pub(crate) struct House {
    runtime: Runtime,
    hub: Hub,
    logins: Logins,
    pub(crate) address: SocketAddr,
}

/// Somebody who has logged in.
pub(crate) struct Person {
    pub(crate) tokens: Tokens,
}

struct NoHttp;

impl HttpDoor for NoHttp {
    fn serve(&self, _: Stream, _: SocketAddr) -> BoxFuture<'static, ()> {
        async {}.boxed()
    }
}

impl House {
    /// Opens it on a port of its own.
    pub(crate) fn open() -> Outcome<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("door").enable_all().build()?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = memory::open();
        let keys = KeyRing::generate()?;
        let sessions = Sessions::new(store.clone(), Arc::clone(&clock), Verifier::fixed(keys.public_keys().clone()));
        let logins = Logins::new(store.clone(), Arc::clone(&clock), Arc::new(keys));
        let conversations = Conversations::new(store.clone(), Arc::clone(&clock));
        let config = HubConfig { shards: 1, ..HubConfig::default() };
        let (hub, listener) = runtime.block_on(async {
            let hub = Hub::start(config, store, conversations, sessions, clock, local::alone());
            (hub, TcpListener::bind("127.0.0.1:0").await)
        });
        let (hub, listener) = (hub?, listener?);
        let address = listener.local_addr()?;
        let door = hub.clone();
        drop(runtime.spawn(async move { door.serve(listener, None, Arc::new(NoHttp)).await }));
        Ok(Self { runtime, hub, logins, address })
    }

    /// A new person with a session.
    pub(crate) fn person(&self) -> Outcome<Person> {
        let device = Device { id: None, name: String::new() };
        let tokens = self.runtime.block_on(self.logins.open(UserId::generate(), device));
        Ok(Person { tokens: tokens.map_err(|error| error.message)? })
    }

    /// The same person with a new session.
    pub(crate) fn log_in_again(&self, person: &mut Person) -> Outcome<()> {
        let device = Device { id: None, name: String::new() };
        let tokens = self.runtime.block_on(self.logins.open(person.tokens.caller.user_id, device));
        person.tokens = tokens.map_err(|error| error.message)?;
        Ok(())
    }

    /// A new group of these people; the first is its owner.
    pub(crate) fn room(&self, people: &[&Person]) -> Outcome<ConversationId> {
        let id = ConversationId::generate();
        let users: Vec<UserId> = people.iter().map(|person| person.tokens.caller.user_id).collect();
        let open = Open { kind: ConversationKind::Group, name: "room".to_owned(), others: Vec::new() };
        self.act(id, people[0], Command::Open(open))?;
        for user_ids in users[1..].chunks(MAX_MEMBERS_PER_REQUEST) {
            self.act(id, people[0], Command::AddMembers(AddMembers { user_ids: user_ids.to_vec() }))?;
        }
        Ok(id)
    }

    fn act(&self, id: ConversationId, person: &Person, command: Command) -> Outcome<()> {
        let act = Act { author: person.tokens.caller.author(), client_message_id: None, command };
        self.runtime.block_on(self.hub.submit(id, act)).map_err(|error| error.message)?;
        Ok(())
    }
}
