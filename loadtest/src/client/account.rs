//! A person as the server knows them: registration, tokens and their renewal, conversations, history.
//!
//! Shared by all sockets of the person. Renewal is single-flight: of many sockets whose token ends at once, one asks.
//! Where several servers are named, a call that one of them loses is repeated at the next: each is such that repeating
//! it does no harm.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
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
/// How often each server is asked before a call is given up as lost, where there are several.
const ROUNDS: usize = 4;

/// Repeats a call for as long as the server says that it is only busy; and at the next server, if one loses it.
macro_rules! patiently {
    ($http:ident, $call:expr) => {{
        let mut pause = FIRST_PAUSE;
        let (mut tries, mut losses) = (0, 0);
        loop {
            tries += 1;
            let outcome = $call.await;
            match &outcome {
                Err(ClientError::Refused { error, .. }) if error.retryable && tries < TRIES => {
                    tokio::time::sleep(asked_pause(error).unwrap_or(pause)).await;
                }
                Err(ClientError::Lost(_) | ClientError::Io(_)) if losses + 1 < ROUNDS * $http.servers() => {
                    losses += 1;
                    tokio::time::sleep(pause).await;
                }
                _ => break outcome,
            }
            pause = (pause * 2).min(Duration::from_secs(2));
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
    /// Where REST is served, and which of them this person asks first.
    rest: Arc<[Target]>,
    first: usize,
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
        Self::register_at(&Arc::from([target.clone()]), 0, source, email, name).await
    }

    /// The same where there are several servers, of which this person asks that one first.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: refused for good, lost or unreadable.
    pub async fn register_at(
        rest: &Arc<[Target]>,
        first: usize,
        source: Option<IpAddr>,
        email: &str,
        name: &str,
    ) -> Result<Self, ClientError> {
        let mut http = Http::over(rest, first, source);
        let body = Registration { email, account_password: PASSWORD, display_name: name, token_transport: "body" };
        let asked = Instant::now();
        let registered = patiently!(http, http.post("/auth/register", None, &body));
        let answer: Answer<LoggedIn> = match registered {
            // An earlier try was lost with its answer: the address is taken, by this very person.
            Err(ClientError::Refused { status: 409, .. }) if rest.len() > 1 => login(&mut http, email).await,
            outcome => outcome,
        }?;
        let user_id = answer
            .data
            .user_id
            .ok_or_else(|| ClientError::Unreadable("/auth/register answered without user_id".to_owned()))?;
        Ok(Self {
            rest: Arc::clone(rest),
            first,
            source,
            email: email.to_owned(),
            user_id,
            tokens: Mutex::new(answer.data.tokens(asked)),
            renewing: Semaphore::new(1),
        })
    }

    /// A REST caller that comes from where this person does.
    pub fn http(&self) -> Http {
        self.http_at(self.first)
    }

    /// The same, who asks that one of the servers first.
    pub fn http_at(&self, first: usize) -> Http {
        Http::over(&self.rest, first, self.source)
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
                patiently!(http, http.post("/auth/refresh", None, &body))
            }
            None => login(&mut http, &self.email).await,
        };
        let renewed = match renewed {
            // A refresh whose answer was lost can end the session: the password opens another.
            Err(ClientError::Refused { status: 400..=499, .. }) if refresh.is_some() => {
                login(&mut http, &self.email).await
            }
            other => other,
        }?;
        let mut tokens = renewed.data.tokens(asked);
        let mut held = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.refresh = tokens.refresh.or_else(|| refresh.clone());
        *held = tokens;
        Ok(held.access.clone())
    }

    /// Opens the direct conversation with another person, or finds it.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: refused, lost or unreadable.
    pub async fn open_direct(&self, http: &mut Http, with: UserId) -> Result<ConversationId, ClientError> {
        let token = self.fresh_token(Duration::from_secs(30)).await?;
        let body = OpenDirect { user_id: with };
        let answer: Answer<Opened> = patiently!(http, http.post("/conversations", Some(&token), &body))?;
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
        let key = ConversationId::generate().to_string();
        let answer: Answer<Opened> = patiently!(http, http.post_once("/groups", Some(&token), &key, &body))?;
        let path = format!("/groups/{}/members", answer.data.id);
        for more in rest.chunks(limits::MAX_MEMBERS_PER_REQUEST) {
            let body = NewMembers { user_ids: more };
            patiently!(http, http.call(http::Method::POST, &path, Some(&token), &body))?;
        }
        Ok(answer.data.id)
    }

    /// Makes somebody a member of a group of this person's, who may be one already.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: refused, lost or unreadable.
    pub async fn add_member(&self, http: &mut Http, group: ConversationId, who: UserId) -> Result<(), ClientError> {
        let token = self.fresh_token(Duration::from_secs(30)).await?;
        let path = format!("/groups/{group}/members");
        let body = NewMembers { user_ids: &[who] };
        patiently!(http, http.call(http::Method::POST, &path, Some(&token), &body)).map(drop)
    }

    /// Removes somebody from a group of this person's, who may be gone already.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: refused, lost or unreadable.
    pub async fn remove_member(&self, http: &mut Http, group: ConversationId, who: UserId) -> Result<(), ClientError> {
        let token = self.fresh_token(Duration::from_secs(30)).await?;
        let path = format!("/groups/{group}/members/{who}");
        let nothing = serde_json::json!({});
        match patiently!(http, http.call(http::Method::DELETE, &path, Some(&token), &nothing)) {
            // An earlier try was lost with its answer.
            Err(ClientError::Refused { status: 404, .. }) if http.servers() > 1 => Ok(()),
            outcome => outcome.map(drop),
        }
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
        let answer: Answer<Vec<Event>> = patiently!(http, http.get(&path, Some(&token)))?;
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

async fn login(http: &mut Http, email: &str) -> Result<Answer<LoggedIn>, ClientError> {
    let body = Login { email, account_password: PASSWORD, token_transport: "body" };
    patiently!(http, http.post("/auth/login", None, &body))
}
