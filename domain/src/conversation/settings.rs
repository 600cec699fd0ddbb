//! A group's face: its name and description.

use hubbub_protocol::limits::{MAX_DESCRIPTION_BYTES, MAX_NAME_BYTES};
use hubbub_protocol::member::Role;
use hubbub_protocol::record::GroupUpdated;
use hubbub_protocol::{ErrorBody, RecordBody};
use smallvec::smallvec;

use super::case::Case;
use super::command::UpdateGroup;
use super::decide::Bodies;
use crate::fields::check_text;

/// Stores only what changes.
pub(super) fn update(case: Case<'_>, update: &UpdateGroup) -> Result<Bodies, ErrorBody> {
    case.check_group()?;
    case.check_rank(Role::Admin, "changing the group")?;
    if let Some(name) = &update.name {
        check_text("name", name, "max_name_bytes", MAX_NAME_BYTES)?;
    }
    if let Some(description) = &update.description {
        check_text("description", description, "max_description_bytes", MAX_DESCRIPTION_BYTES)?;
    }
    let changed = |wanted: &Option<String>, held: &str| wanted.clone().filter(|wanted| wanted != held);
    let updated = GroupUpdated {
        name: changed(&update.name, case.state.name()),
        description: changed(&update.description, case.state.description()),
    };
    let nothing = updated == GroupUpdated::default();
    Ok(if nothing { Bodies::new() } else { smallvec![RecordBody::GroupUpdated(updated)] })
}
