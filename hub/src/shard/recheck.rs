//! Asks the store what the bus may not have told: whether the sessions of this shard's sockets stand, and what their
//! people joined meanwhile (MEMBERS-ONLY, REDIS-FREE TRUTH).
//!
//! At an even pace, one round at a time: a store that just came back is not flooded. A round that was asked for while one
//! is under way comes after it, as it may be about what that one has passed already; one that fails is begun again.

use std::rc::Rc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use hubbub_protocol::{ConversationId, Sequence, Timestamp};

use super::local::Local;
use crate::connection::Who;
use crate::message::Subscribe;

/// Sockets that are looked up at once.
const AT_ONCE: usize = 8;
/// Sockets looked at before a breath: 2,000 in a second at the most.
const STRIDE: usize = 100;
const BREATH: Duration = Duration::from_millis(50);
/// Before a round that failed is begun again.
const PAUSE: Duration = Duration::from_secs(1);
/// Rows of lists are as old as their writer's clock says; this is more than two clocks are apart.
const MARGIN_MS: i64 = 120_000;

/// Rounds over all sockets, until every one that was asked for is done.
pub(crate) async fn run(local: Rc<Local>) {
    let Some(_turn) = local.begin_recheck() else { return };
    while local.wants_recheck() && !local.is_draining() {
        let began = local.now();
        if round(&local).await.is_some() {
            local.rechecked(began);
        } else {
            local.want_recheck();
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Looks every socket up that is here now. `None`: the store did not answer.
async fn round(local: &Rc<Local>) -> Option<()> {
    let since = local.last_recheck().plus_ms(-MARGIN_MS);
    for some in local.seated().chunks(STRIDE) {
        let looks = some.iter().map(|who| look(local, *who, since));
        let mut looks = stream::iter(looks.collect::<Vec<_>>()).buffer_unordered(AT_ONCE);
        while let Some(looked) = looks.next().await {
            looked?;
        }
        tokio::time::sleep(BREATH).await;
        if local.is_draining() {
            break;
        }
    }
    Some(())
}

async fn look(local: &Rc<Local>, who: Who, since: Timestamp) -> Option<()> {
    if !local.sessions().stands(who.caller.session_id).await.ok()? {
        local.end_session(who.caller.session_id);
        return Some(());
    }
    let joined = local.conversations().candidates_since(who.caller.user_id, since).await.ok()?;
    for conversation in joined.into_iter().filter(|conversation| local.could_follow(who.key, *conversation)) {
        ask(local, who, conversation);
    }
    Some(())
}

/// From the beginning, as with everything they joined: what was before them is told as a gap.
fn ask(local: &Rc<Local>, who: Who, conversation: ConversationId) {
    let (user, key, after) = (who.caller.user_id, who.key, Some(Sequence::ZERO));
    local.ask(Subscribe { conversation, user, key, wish: 0, after, command: None });
}
