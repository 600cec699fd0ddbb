//! From the upgrade to a connection that is logged in, under one deadline. A short task on the edge shard.
//!
//! Keeps MEMBERS-ONLY: nothing is said to a socket before its token stands. A socket is known to the edge *before* its
//! person's conversations are listed, so that what they join in between is not missed.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use hubbub_domain::identity::Caller;
use hubbub_protocol::codec::{self, Format};
use hubbub_protocol::frame::Cursor;
use hubbub_protocol::frame::client::{Auth, ClientFrame};
use hubbub_protocol::frame::close::CloseCode;
use hubbub_protocol::frame::server::{Actor, AuthError, AuthOk};
use hubbub_protocol::limits::{Limits, MAX_AUTH_FRAME_BYTES, MAX_CURSORS};
use hubbub_protocol::member::SenderType;
use hubbub_protocol::{ConversationId, ErrorBody, ErrorCode, Sequence};

use crate::adopted::Adopted;
use crate::connection::{Connection, Who};
use crate::directory::Arrival;
use crate::message::Subscribe;
use crate::metrics;
use crate::reader::{self, Next, Socket, Talk};
use crate::shard::local::Local;

/// Who is not let in gets this long to take the reason: a silent or dripping peer is not worth more.
const PARTING: Duration = Duration::from_millis(500);

/// Why somebody is not let in.
struct Refused {
    error: ErrorBody,
    code: CloseCode,
}

impl From<ErrorBody> for Refused {
    fn from(error: ErrorBody) -> Self {
        // The server's own faults are no reason to get another token.
        let code = if error.retryable { CloseCode::Internal } else { CloseCode::LoginRefused };
        Self { error, code }
    }
}

/// Lets a socket in or sends it away.
pub(crate) async fn login(local: Rc<Local>, adopted: Adopted) {
    let Adopted { transport, read, format, for_agents, permit, pending } = adopted;
    let Ok(transport) = transport.attach() else { return };
    let connection = Rc::new(Connection::new(format, transport, local.config().max_outbox_bytes, permit));
    connection.last_heard.set(local.second());
    let mut socket = Socket::new(&read);
    let entered =
        tokio::time::timeout(local.config().login_deadline, enter(&connection, &mut socket, &local, for_agents)).await;
    let result = match entered {
        Ok(Ok(who)) => {
            drop(pending);
            metrics::login("ok");
            local.spawn(Talk::new(connection, socket, who, Rc::clone(&local)).run());
            return;
        }
        Ok(Err(None)) => "gone",
        Ok(Err(Some(Refused { error, code }))) => {
            let ErrorBody { code: reason, message, i18n_key, .. } = error;
            connection.frame(&AuthError { reason: reason.to_string(), message, i18n_key }.into());
            connection.close(code);
            "refused"
        }
        Err(_) => {
            connection.close(CloseCode::LoginTimeout);
            "late"
        }
    };
    metrics::login(result);
    drop(pending);
    connection.flush();
    // Late or not: who was not let in is gone soon after its deadline.
    let _late = tokio::time::timeout(PARTING, reader::say_goodbye(&connection, &mut socket)).await;
}

async fn enter(
    connection: &Rc<Connection>,
    socket: &mut Socket,
    local: &Rc<Local>,
    for_agents: bool,
) -> Result<Who, Option<Refused>> {
    let auth = match reader::first(connection, socket, local).await {
        Next::Frame(bytes) => read_auth(&bytes, connection.format)?,
        Next::Broken(code) => {
            let error = ErrorBody::new(ErrorCode::ValidationFailed, "the first frame broke the WebSocket protocol");
            return Err(Some(Refused { error, code }));
        }
        Next::ClosedByClient | Next::Closing | Next::Gone => return Err(None),
    };
    let caller = local.sessions().authenticate(&auth.token).await.map_err(Refused::from)?;
    if for_agents && caller.kind != SenderType::Agent {
        let error = ErrorBody::new(ErrorCode::Forbidden, "this door is for agents: use /ws/human or /ws");
        return Err(Some(error.into()));
    }
    // Nothing is waited for from here to the seat, so whoever is seated is there when all are told (DRAINED).
    if local.is_leaving() {
        let error = ErrorBody::new(ErrorCode::Draining, "this server is stopping: come back in a few seconds");
        return Err(Some(Refused { error, code: CloseCode::Restart }));
    }
    let arrival = local.arrive(caller.user_id);
    if arrival == Arrival::Refused {
        let max = local.config().max_connections_per_user;
        let message = format!("this person has {max} sockets open already: close one first");
        let error = ErrorBody::new(ErrorCode::LimitReached, message);
        return Err(Some(Refused { error, code: CloseCode::TooManyConnections }));
    }
    connection.expires_at.set(caller.expires_at);
    let who = local.seat(connection, caller);
    // From here on the way out is by `forget`, also when the deadline drops this future.
    let seated = Seated { local: Some(Rc::clone(local)), who };
    let candidates = local.conversations().candidates(caller.user_id).await;
    let candidates = candidates.map_err(|error| Refused::from(hubbub_domain::refusal::never_stored(&error)))?;
    if local.has_ended(caller.session_id) {
        let error = ErrorBody::new(ErrorCode::InvalidToken, "this session was ended");
        return Err(Some(Refused { error, code: CloseCode::SessionRevoked }));
    }
    welcome(connection, local, who, &auth, candidates);
    seated.stays();
    Ok(who)
}

fn read_auth(bytes: &[u8], format: Format) -> Result<Auth, Refused> {
    let invalid = |message: String| ErrorBody::new(ErrorCode::ValidationFailed, message);
    if bytes.len() > MAX_AUTH_FRAME_BYTES {
        let message = format!("the first frame has {} bytes; at most {MAX_AUTH_FRAME_BYTES} are read", bytes.len());
        return Err(Refused { error: invalid(message), code: CloseCode::TooLarge });
    }
    match codec::decode_client(bytes, format) {
        Ok(ClientFrame::Auth(auth)) if auth.resume.len() > MAX_CURSORS => {
            let message = format!(
                "resume has {} cursors; at most {MAX_CURSORS} are read: name the rest with a resume frame",
                auth.resume.len()
            );
            Err(invalid(message).into())
        }
        Ok(ClientFrame::Auth(auth)) => Ok(auth),
        Ok(_) => {
            let error = ErrorBody::new(ErrorCode::MissingToken, "the first frame has to be auth, with a token");
            Err(error.into())
        }
        Err(error) => Err(invalid(error.to_string()).into()),
    }
}

/// Says `auth.ok` and asks for every conversation.
fn welcome(connection: &Rc<Connection>, local: &Rc<Local>, who: Who, auth: &Auth, candidates: Vec<ConversationId>) {
    let mut wanted: HashMap<ConversationId, Option<Sequence>> = candidates.into_iter().map(|id| (id, None)).collect();
    for Cursor { conversation_id, after_seq } in &auth.resume {
        wanted.insert(*conversation_id, Some(*after_seq));
    }
    connection.frame(&auth_ok(local, &who.caller, wanted.len()).into());
    for (conversation, held) in local.ready(who.key) {
        wanted.entry(conversation).or_insert(Some(held)).get_or_insert(held);
    }
    for (conversation, after) in wanted {
        let (user, key) = (who.caller.user_id, who.key);
        local.ask(Subscribe { conversation, user, key, wish: 0, after, command: None });
    }
    local.flush_later(connection);
}

fn auth_ok(local: &Local, caller: &Caller, conversations: usize) -> AuthOk {
    AuthOk {
        session_id: caller.session_id,
        actor: Actor { id: caller.user_id, kind: caller.kind },
        server_time: local.now(),
        expires_at: caller.expires_at,
        heartbeat_ms: u64::try_from(local.config().heartbeat.as_millis()).unwrap_or(u64::MAX),
        limits: Limits { max_outbox_bytes: local.config().max_outbox_bytes as u64, ..Limits::default() },
        features: Vec::new(),
        conversations: conversations as u64,
    }
}

/// Gives a seat back if the login does not come to its end.
struct Seated {
    local: Option<Rc<Local>>,
    who: Who,
}

impl Seated {
    fn stays(mut self) {
        self.local = None;
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        if let Some(local) = self.local.take() {
            local.forget(self.who);
        }
    }
}
