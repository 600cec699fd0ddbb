//! Whether the people that a body names exist. The rules of a conversation see ids alone, so this is asked before them.

use futures_util::{StreamExt, TryStreamExt, stream};
use hubbub_domain::refusal::never_stored;
use hubbub_protocol::limits::MAX_MEMBERS_PER_REQUEST;
use hubbub_protocol::{ErrorBody, ErrorCode, UserId};

use crate::error::ApiResult;
use crate::state::RestState;

/// Reads at once: enough to hide the store's latency, too few to crowd others out.
const READS_AT_ONCE: usize = 16;
/// Ids that a refusal names; more would only be long.
const NAMED_MAX: usize = 10;

/// Refuses a list that names somebody who is not there, and says whom.
pub(super) async fn check_exist(state: &RestState, field: &str, user_ids: &[UserId]) -> ApiResult<()> {
    // More than that is refused by the rules, with their limit: not worth the reads.
    if user_ids.len() > MAX_MEMBERS_PER_REQUEST {
        return Ok(());
    }
    let missing: Vec<UserId> = stream::iter(user_ids.iter().copied())
        .map(|user_id| async move {
            let exists = state.accounts().exists(user_id).await;
            exists.map(|exists| (!exists).then_some(user_id)).map_err(|error| never_stored(&error))
        })
        .buffered(READS_AT_ONCE)
        .try_filter_map(|missing| async move { Ok(missing) })
        .try_collect()
        .await?;
    if missing.is_empty() {
        return Ok(());
    }
    let named: Vec<_> = missing.iter().take(NAMED_MAX).map(ToString::to_string).collect();
    let message = format!("`{field}` names {} that is nobody's id", named.join(", "));
    let body = ErrorBody::new(ErrorCode::ValidationFailed, message);
    Err(body.with("field", field).with("unknown", named.join(",")).into())
}
