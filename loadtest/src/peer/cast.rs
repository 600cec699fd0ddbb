//! Hubbub's people and their conversations, made over REST before anything is measured, since it lets in only members.
//!
//! Each person has one conversation with another at first, so that an idle socket follows exactly one. The room of all
//! and the senders' own come later.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::{StreamExt, TryStreamExt, stream};
use hubbub_protocol::{ConversationId, UserId};

use crate::client::account::Account;
use crate::client::http::Target;

/// Requests that are made at one time.
const AT_ONCE: usize = 8;
/// What a token must be good for: one measurement and its end.
const GOOD_FOR: Duration = Duration::from_mins(2);

/// The people of one server.
#[derive(Debug, Default)]
pub(super) struct Cast {
    people: Vec<(Arc<Account>, String)>,
    pairs: Vec<ConversationId>,
    all: Option<ConversationId>,
    own: Vec<ConversationId>,
}

impl Cast {
    /// Registers people, and opens a conversation for every two.
    pub(super) async fn gather(target: &Target, count: usize, run: u32) -> anyhow::Result<Self> {
        let people: Vec<(Arc<Account>, String)> = stream::iter(0..count.next_multiple_of(2).max(2))
            .map(|person| async move {
                let (email, name) = (format!("peer-{run:08x}-{person}@load.test"), format!("Peer {person}"));
                let account = Account::register(target, None, &email, &name).await;
                let account = account.with_context(|| format!("{email} could not be registered"))?;
                let token = account.token();
                anyhow::Ok((Arc::new(account), token))
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let mut cast = Self { people, ..Self::default() };
        cast.pairs = stream::iter(cast.people.chunks(2))
            .map(|pair| async move {
                let [(one, _), (other, _)] = pair else { anyhow::bail!("a person is alone") };
                Ok(one.open_direct(&mut one.http(), other.user_id).await?)
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await
            .context("a conversation could not be opened")?;
        Ok(cast)
    }

    /// Opens the room of all, and one of each sender's own. Once.
    pub(super) async fn open_rooms(&mut self, senders: usize) -> anyhow::Result<()> {
        let Some((owner, _)) = self.people.first() else { return Ok(()) };
        if self.all.is_none() {
            let others: Vec<UserId> = self.people.iter().skip(1).map(|(account, _)| account.user_id).collect();
            let room = owner.create_group(&mut owner.http(), "all", &others).await;
            self.all = Some(room.context("the room could not be opened")?);
        }
        let people = &self.people;
        let missing = self.own.len()..senders;
        let opened: Vec<ConversationId> = stream::iter(missing)
            .map(|sender| async move {
                let (account, _) = &people[sender % people.len()];
                account.create_group(&mut account.http(), "own", &[]).await
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await
            .context("a sender's room could not be opened")?;
        self.own.extend(opened);
        Ok(())
    }

    /// Renews tokens that end soon.
    pub(super) async fn refresh(&mut self) -> anyhow::Result<()> {
        for (account, token) in &mut self.people {
            *token = account.fresh_token(GOOD_FOR).await?;
        }
        Ok(())
    }

    /// The token of the person whose turn it is.
    pub(super) fn token(&self, turn: usize) -> String {
        self.person(turn).map_or_else(String::new, |(_, token)| token.clone())
    }

    fn person(&self, turn: usize) -> Option<&(Arc<Account>, String)> {
        self.people.get(turn % self.people.len().max(1))
    }

    /// The conversation that the person whose turn it is has with another.
    pub(super) fn pair(&self, turn: usize) -> Option<ConversationId> {
        self.pairs.get(turn % self.people.len().max(1) / 2).copied()
    }

    /// The room of all.
    pub(super) const fn all(&self) -> Option<ConversationId> {
        self.all
    }

    /// The room of this sender.
    pub(super) fn own(&self, sender: usize) -> Option<ConversationId> {
        self.own.get(sender).copied()
    }
}
