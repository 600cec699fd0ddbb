//! A person as the server knows them: registration, tokens and their renewal, conversations, history.
//!
//! Shared by all sockets of the person. Renewal is single-flight: of many sockets whose token ends at once, one asks.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hubbub_protocol::error::Param;
use hubbub_protocol::frame::server::Event;
use hubbub_protocol::{ConversationId, ErrorBody, Sequence, UserId, limits};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::ClientError;
use super::http::{Answer, Http, Target};

/// The password of every account that this crate makes: long enough for any rule, secret to nobody.
const PASSWORD: &str = "correct-horse-battery-staple-7";
/// How often a call that is refused as `overloaded` or `rate_limited` is repeated, and the first pause.
const TRIES: u32 = 12;
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Repeats a call for as long as the server says that it is only busy.
macro_rules! patiently {
    ($call:expr) => {{
        let mut pause = FIRST_PAUSE;
        let mut tries = 0;
        loop {
            tries += 1;
            match $call.await {
                Err(ClientError::Refused { error, .. }) if error.retryable && tries < TRIES => {
                    tokio::time::sleep(asked_pause(&error).unwrap_or(pause)).await;
                    pause = (pause * 2).min(Duration::from_secs(2));
                }
                outcome => break outcome,
            }
        }
    }};
}

/// The pause that a refusal asks for.
fn asked_pause(error: &ErrorBody) -> Option<Duration> {
    match error.params.get("retry_after")? {
        Param::Number(seconds) => Some(Duration::from_secs(*seconds)),
        Param::Text(_) => None,
    }
}

/// A registered person with their tokens.
#[derive(Debug)]
pub struct Account {
    target: Target,
    /// Where they come from: a server limits logins by address, and a load test is many people.
    source: Option<IpAddr>,
    email: String,
    /// Who they are.
    pub user_id: UserId,
    tokens: Mutex<Tokens>,
    renewing: Semaphore,
}

#[derive(Debug, Clone)]
struct Tokens {
    access: String,
    refresh: Option<String>,
    ends: Instant,
}

#[derive(Serialize)]
struct Registration<'a> {
    email: &'a str,
    account_password: &'a str,
    display_name: &'a str,
    token_transport: &'a str,
}

#[derive(Serialize)]
struct Login<'a> {
    email: &'a str,
    account_password: &'a str,
    token_transport: &'a str,
}

#[derive(Serialize)]
struct Refresh<'a> {
    refresh_token: &'a str,
}

#[derive(Deserialize)]
struct LoggedIn {
    #[serde(default)]
    user_id: Option<UserId>,
    access_token: String,
    #[serde(default)]
    refresh_token: Option<String>,
    expires_in_seconds: u64,
}

impl LoggedIn {
    fn tokens(self, asked: Instant) -> Tokens {
        let ends = asked + Duration::from_secs(self.expires_in_seconds);
        Tokens { access: self.access_token, refresh: self.refresh_token, ends }
    }
}

#[derive(Serialize)]
struct OpenDirect {
    user_id: UserId,
}

#[derive(Serialize)]
struct NewGroup<'a> {
    name: &'a str,
    member_ids: &'a [UserId],
}

#[derive(Serialize)]
struct NewMembers<'a> {
    user_ids: &'a [UserId],
}

#[derive(Deserialize)]
struct Opened {
    #[serde(rename = "conversation_id")]
    id: ConversationId,
}

/// A page of a conversation, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The events.
    pub events: Vec<Event>,
    /// The newest sequence that this member may read.
    pub head: Sequence,
}

impl Account {
    /// Registers a new person. Costs the server a password hash.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: refused for good, lost or unreadable.
    pub async fn register(
        target: &Target,
        source: Option<IpAddr>,
        email: &str,
        name: &str,
    ) -> Result<Self, ClientError> {
        let mut http = Http::from_source(target.clone(), source);
        let body = Registration { email, account_password: PASSWORD, display_name: name, token_transport: "body" };
        let asked = Instant::now();
        let answer: Answer<LoggedIn> = patiently!(http.post("/auth/register", None, &body))?;
        let user_id = answer
            .data
            .user_id
            .ok_or_else(|| ClientError::Unreadable("/auth/register answered without user_id".to_owned()))?;
        Ok(Self {
            target: target.clone(),
            source,
            email: email.to_owned(),
            user_id,
            tokens: Mutex::new(answer.data.tokens(asked)),
            renewing: Semaphore::new(1),
        })
    }

    /// A REST caller that comes from where this person does.
    pub fn http(&self) -> Http {
        Http::from_source(self.target.clone(), self.source)
    }

    /// The access token as it is now.
    pub fn token(&self) -> String {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).access.clone()
    }

    /// An access token that is good for at least `left`; renewed if need be.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: the server is away, or refuses both the refresh token and the password.
    pub async fn fresh_token(&self, left: Duration) -> Result<String, ClientError> {
        if let Some(token) = self.good_for(left) {
            return Ok(token);
        }
        let _turn = self.renewing.acquire().await.map_err(|_| ClientError::Lost("renewal is over".to_owned()))?;
        if let Some(token) = self.good_for(left) {
            return Ok(token);
        }
        self.renew().await
    }

    fn good_for(&self, left: Duration) -> Option<String> {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        (tokens.ends > Instant::now() + left).then(|| tokens.access.clone())
    }

    /// Forgets this access token, as the server refused it; a newer one stays.
    pub fn token_refused(&self, token: &str) {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.access == token {
            tokens.ends = Instant::now();
        }
    }

    async fn renew(&self) -> Result<String, ClientError> {
        let mut http = self.http();
        let refresh = self.tokens.lock().unwrap_or_else(PoisonError::into_inner).refresh.clone();
        let asked = Instant::now();
        let renewed: Result<Answer<LoggedIn>, ClientError> = match &refresh {
            Some(refresh) => {
                let body = Refresh { refresh_token: refresh };
                http.post("/auth/refresh", None, &body).await
            }
            None => self.login(&mut http).await,
        };
        let renewed = match renewed {
            // A refresh whose answer was lost can end the session: the password opens another.
            Err(ClientError::Refused { status: 400..=499, .. }) if refresh.is_some() => self.login(&mut http).await,
            other => other,
        }?;
        let mut tokens = renewed.data.tokens(asked);
        let mut held = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.refresh = tokens.refresh.or_else(|| refresh.clone());
        *held = tokens;
        Ok(held.access.clone())
    }

    async fn login(&self, http: &mut Http) -> Result<Answer<LoggedIn>, ClientError> {
        let body = Login { email: &self.email, account_password: PASSWORD, token_transport: "body" };
        patiently!(http.post("/auth/login", None, &body))
    }

    /// Opens the direct conversation with another person, or finds it.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: refused, lost or unreadable.
    pub async fn open_direct(&self, http: &mut Http, with: UserId) -> Result<ConversationId, ClientError> {
        let token = self.fresh_token(Duration::from_secs(30)).await?;
        let body = OpenDirect { user_id: with };
        let answer: Answer<Opened> = patiently!(http.post("/conversations", Some(&token), &body))?;
        Ok(answer.data.id)
    }

    /// Creates a group of any size; who does not fit into the first request is added by others.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: refused, lost or unreadable.
    pub async fn create_group(
        &self,
        http: &mut Http,
        name: &str,
        others: &[UserId],
    ) -> Result<ConversationId, ClientError> {
        let token = self.fresh_token(Duration::from_secs(30)).await?;
        // One place is the creator's own.
        let (first, rest) = others.split_at(others.len().min(limits::MAX_MEMBERS_PER_REQUEST - 1));
        let body = NewGroup { name, member_ids: first };
        let answer: Answer<Opened> = patiently!(http.post("/groups", Some(&token), &body))?;
        let path = format!("/groups/{}/members", answer.data.id);
        for more in rest.chunks(limits::MAX_MEMBERS_PER_REQUEST) {
            let body = NewMembers { user_ids: more };
            patiently!(http.call(http::Method::POST, &path, Some(&token), &body))?;
        }
        Ok(answer.data.id)
    }

    /// A page of a conversation's history above `after`.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: refused, lost or unreadable.
    pub async fn history(
        &self,
        http: &mut Http,
        conversation_id: ConversationId,
        after: Sequence,
        limit: usize,
    ) -> Result<History, ClientError> {
        let token = self.fresh_token(Duration::from_secs(30)).await?;
        let path = format!("/conversations/{conversation_id}/messages?after_seq={after}&limit={limit}");
        let answer: Answer<Vec<Event>> = patiently!(http.get(&path, Some(&token)))?;
        let last = answer.data.last().map_or(after, |event| event.place().sequence);
        Ok(History { events: answer.data, head: answer.head_seq.unwrap_or(last) })
    }

    /// The newest sequence of a conversation.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: refused, lost or unreadable.
    pub async fn head(&self, http: &mut Http, conversation_id: ConversationId) -> Result<Sequence, ClientError> {
        Ok(self.history(http, conversation_id, Sequence::ZERO, 1).await?.head)
    }
}
