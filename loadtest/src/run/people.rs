//! The people of a run and their conversations: made over REST before, read over REST after.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::{StreamExt, TryStreamExt, stream};
use hubbub_protocol::{ConversationId, Sequence, UserId, limits};

use super::Run;
use crate::client::account::Account;
use crate::client::http::Http;
use crate::client::{Options, Seen, socket::SocketOptions};
use crate::progress::Phase;

/// Requests that are made at one time. Registration costs the server a password hash each, on every core it has.
const AT_ONCE: usize = 8;

/// A server of several gets this long at least to open a socket.
const OPENING_MIN: Duration = Duration::from_secs(3);

/// A conversation of the run.
#[derive(Debug, Clone)]
pub(crate) struct Conversation {
    pub(crate) id: ConversationId,
    /// Its number in the ledger.
    pub(crate) number: usize,
    /// What stood there before the run.
    pub(crate) base: Sequence,
    /// Its members, who can read its history.
    pub(crate) members: Arc<[Arc<Account>]>,
}

/// The registered people of a run.
pub(crate) struct People {
    run: Rc<Run>,
    pub(crate) accounts: Vec<Arc<Account>>,
}

impl People {
    /// Registers so many.
    pub(crate) async fn register(run: &Rc<Run>, count: usize) -> anyhow::Result<Self> {
        let phase = Phase::begin("registering", count as u64);
        let accounts = stream::iter(0..count)
            .map(|person| {
                let phase = &phase;
                async move {
                    let email = format!("lt-{:08x}-{person}@load.test", run.number);
                    let name = format!("Load {person}");
                    let account = Account::register_at(&run.rest, person, run.source(person), &email, &name).await;
                    phase.step();
                    anyhow::Ok(Arc::new(account.with_context(|| format!("{email} could not be registered"))?))
                }
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        Ok(Self { run: Rc::clone(run), accounts })
    }

    /// Opens conversations, each between the people with these numbers; the first one opens it. Two people have a
    /// direct conversation, any other number a group.
    pub(crate) async fn converse(&self, plan: Vec<Vec<usize>>) -> anyhow::Result<Vec<Conversation>> {
        let phase = Phase::begin("conversing", plan.len() as u64);
        let mut conversations: Vec<Conversation> = stream::iter(plan)
            .map(|people| {
                let phase = &phase;
                async move {
                    let conversation = self.open(people).await;
                    phase.step();
                    conversation
                }
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let mut ledger = self.run.ledger.borrow_mut();
        for conversation in &mut conversations {
            conversation.number = ledger.conversation(conversation.id, conversation.base);
        }
        Ok(conversations)
    }

    async fn open(&self, people: Vec<usize>) -> anyhow::Result<Conversation> {
        let members: Arc<[Arc<Account>]> =
            people.iter().filter_map(|person| self.accounts.get(*person).map(Arc::clone)).collect();
        let owner = members.first().context("a conversation of nobody")?;
        let others: Vec<UserId> = members.iter().skip(1).map(|account| account.user_id).collect();
        let mut http = owner.http();
        let id = match others.as_slice() {
            [other] => owner.open_direct(&mut http, *other).await,
            others => owner.create_group(&mut http, "load", others).await,
        };
        let id = id.context("a conversation could not be opened")?;
        let base = owner.head(&mut http, id).await.context("a history could not be read")?;
        Ok(Conversation { id, number: 0, base, members })
    }

    /// How the socket with this number is opened by the person with that number.
    pub(crate) fn options(&self, socket: usize, person: usize) -> Option<Options> {
        let account = Arc::clone(self.accounts.get(person)?);
        let target = self.run.targets.first()?.clone();
        let mut options = Options::new(account, target);
        options.targets = Arc::clone(&self.run.targets);
        options.silence = self.run.common.silence();
        options.socket = SocketOptions { format: self.run.common.format.of(socket), ..SocketOptions::default() };
        if let Some(silence) = options.silence {
            options.socket.deadline = options.socket.deadline.min(silence.max(OPENING_MIN));
        }
        options.seed = self.run.common.seed.wrapping_add(socket as u64);
        Some(options)
    }
}

/// Tells the ledger the history of every conversation.
pub(super) async fn read_histories(run: &Rc<Run>, conversations: &[Conversation]) -> anyhow::Result<()> {
    let phase = Phase::begin("comparing", conversations.len() as u64);
    let phase = &phase;
    stream::iter(conversations)
        .map(|conversation| async move {
            read_history(run, conversation).await?;
            phase.step();
            anyhow::Ok(())
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

async fn read_history(run: &Run, conversation: &Conversation) -> anyhow::Result<()> {
    let mut after = conversation.base;
    // By turns, as a server limits each person's requests. A connection serves them all.
    let mut readers = conversation.members.iter().cycle();
    let mut http = conversation.members.first().map(|account| account.http()).context("a conversation of nobody")?;
    loop {
        // Who was taken in anew reads from there on: what they lack, another has, unless it is missing for all.
        let mut page = None;
        for _ in 0..conversation.members.len() {
            let reader = readers.next().context("a conversation of nobody")?;
            let read = self::page(reader, &mut http, conversation.id, after).await?;
            let whole = read.events.first().is_none_or(|first| first.place().sequence == after.next());
            page = Some(read);
            if whole {
                break;
            }
        }
        let page = page.context("a conversation of nobody")?;
        let mut ledger = run.ledger.borrow_mut();
        for event in &page.events {
            ledger.history(conversation.number, &Seen::of(event));
        }
        let Some(last) = page.events.last() else {
            ledger.history_ends(conversation.number);
            return Ok(());
        };
        after = last.place().sequence;
    }
}

async fn page(
    reader: &Account,
    http: &mut Http,
    id: ConversationId,
    after: Sequence,
) -> anyhow::Result<crate::client::account::History> {
    // Reading changes nothing, so a lost connection is tried once more.
    match reader.history(http, id, after, limits::MAX_PAGE).await {
        Ok(page) => Ok(page),
        Err(_) => Ok(reader.history(http, id, after, limits::MAX_PAGE).await?),
    }
}
