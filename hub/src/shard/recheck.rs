//! Asks the store what the bus may not have told: whether the sessions of this shard's sockets stand, and what their
//! people joined meanwhile (MEMBERS-ONLY, REDIS-FREE TRUTH).
//!
//! At an even pace, one round at a time: a store that just came back is not flooded.

use std::rc::Rc;
use std::time::Duration;

use hubbub_protocol::{ConversationId, Sequence, Timestamp};

use super::local::Local;
use crate::connection::Who;
use crate::message::Subscribe;

/// Sockets looked at before a breath: 2,000 in a second.
const STRIDE: usize = 100;
const BREATH: Duration = Duration::from_millis(50);
/// Rows of lists are as old as their writer's clock says; this is more than two clocks are apart, and than a round takes.
const MARGIN_MS: i64 = 120_000;

/// One round over all sockets, unless one is under way.
pub(crate) async fn run(local: Rc<Local>) {
    let Some(_turn) = local.begin_recheck() else { return };
    let since = local.now().plus_ms(-MARGIN_MS);
    for (place, who) in local.seated().into_iter().enumerate() {
        if place % STRIDE == STRIDE - 1 {
            tokio::time::sleep(BREATH).await;
        }
        if local.is_draining() || look(&local, who, since).await.is_none() {
            // The store does not answer: the next round will ask again.
            return;
        }
    }
}

async fn look(local: &Rc<Local>, who: Who, since: Timestamp) -> Option<()> {
    if !local.sessions().stands(who.caller.session_id).await.ok()? {
        local.end_session(who.caller.session_id);
        return Some(());
    }
    let joined = local.conversations().candidates_since(who.caller.user_id, since).await.ok()?;
    for conversation in joined.into_iter().filter(|conversation| !local.follows(who.key, *conversation)) {
        ask(local, who, conversation);
    }
    Some(())
}

/// From the beginning, as with everything they joined: what was before them is told as a gap.
fn ask(local: &Rc<Local>, who: Who, conversation: ConversationId) {
    let (user, key, after) = (who.caller.user_id, who.key, Some(Sequence::ZERO));
    local.ask(Subscribe { conversation, user, key, wish: 0, after, command: None });
}
