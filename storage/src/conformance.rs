//! The suite that every backend and every wrapper passes: the contract, said as tests.
//!
//! One property a function, in [`log`], [`recall`] and [`records`]; one backend a call of
//! [`conformance_suite!`](crate::conformance_suite), which yields a named test for each. A property gets a fresh store and
//! knows nothing of its engine. What only one engine can show (a crash, a full disk, a flipped bit) is in that engine's
//! own tests.
#![expect(clippy::expect_used, clippy::missing_panics_doc, reason = "these are tests: what is not as expected fails")]

pub mod log;
pub mod recall;
pub mod records;

use std::future::Future;

use hubbub_protocol::member::SenderType;
use hubbub_protocol::record::{Author, Message};
use hubbub_protocol::{ClientMessageId, ConversationId, Sequence, Timestamp, UserId};

use crate::log::{Append, Appended, NewRecord};
use crate::store::Store;

/// Yields a module with a named test for each property of the contract.
///
/// The expression makes a fresh store and whatever has to live as long as it does, such as a folder:
/// `conformance_suite!(memory, (hubbub_storage::memory::open(), ()));`
#[macro_export]
macro_rules! conformance_suite {
    ($name:ident, $fresh:expr) => {
        mod $name {
            #[allow(unused_imports, reason = "the expression may need what its caller imported, or nothing")]
            use super::*;

            $crate::conformance_suite! { @group log $fresh =>
                acked_append_is_read_back
                sequences_begin_at_one_and_have_no_holes
                concurrent_appenders_leave_no_hole
                a_stale_append_stores_nothing
                a_retry_gets_its_first_sequence_whatever_came_since
                a_batch_with_a_known_act_is_refused_whole
                a_client_id_is_its_authors_and_its_conversations
                acts_without_a_client_id_are_never_duplicates
                one_act_sent_a_hundred_times_at_once_is_stored_once
                ranges_and_limits_cut_the_same_log
                a_read_sees_whatever_was_acked_before_it
                lookup_finds_an_act_and_nothing_else
                an_empty_conversation_is_empty_and_no_error
                an_append_that_breaks_the_contract_is_refused
                the_largest_append_and_the_largest_payload_come_back
                every_kind_of_record_comes_back
                appends_handed_over_in_order_are_tried_in_order
                a_dropped_future_does_not_undo_its_append
                conversations_do_not_touch_one_another
                closing_finishes_what_was_handed_over_and_refuses_the_rest
            }
            $crate::conformance_suite! { @group recall $fresh =>
                a_recall_erases_the_payload_and_nothing_else
                a_recall_reaches_a_message_of_its_own_append
                a_recall_of_no_message_is_stored_and_erases_nothing
            }
            $crate::conformance_suite! { @group records $fresh =>
                a_row_comes_back_and_its_version_rises_by_one
                a_write_happens_only_if_what_it_expects_is_so
                a_conflict_tells_the_version_and_changes_nothing
                a_deleted_row_is_gone_and_begins_anew
                rows_are_listed_in_the_order_of_their_keys
                a_slice_keeps_to_its_prefix_its_bound_and_its_limit
                a_list_has_a_largest_answer_and_goes_on_after_it
                a_list_is_full_however_many_rows_were_deleted_before_its_end
                a_prefix_of_the_highest_bytes_has_an_end
                partitions_and_families_are_apart
                empty_keys_and_values_and_large_values_come_back
                racing_writers_lose_no_update
                a_claim_has_one_winner
                a_claim_is_its_owners_again_and_others_hear_whose
                only_its_owner_releases_a_claim
                a_typed_table_reads_what_it_wrote
                a_family_outside_the_list_is_served_or_refused_as_invalid
                a_closed_store_refuses_records
            }
        }
    };
    (@group $group:ident $fresh:expr => $($property:ident)*) => {$(
        #[test]
        fn $property() {
            $crate::conformance::run($fresh, $crate::conformance::$group::$property);
        }
    )*};
}

/// A store to try the contract on, if there is one.
pub trait Fresh {
    /// What has to live as long as it does.
    type Kept;
    /// The store.
    fn fresh(self) -> Option<(Store, Self::Kept)>;
}

impl<K> Fresh for (Store, K) {
    type Kept = K;

    fn fresh(self) -> Option<Self> {
        Some(self)
    }
}

/// A store over a service that need not be there: whoever makes it says loudly that the test is skipped.
impl<K> Fresh for Option<(Store, K)> {
    type Kept = K;

    fn fresh(self) -> Self {
        self
    }
}

/// Runs a property on a store, with more than one thread so that races are real, and closes the store after it.
///
/// # Panics
///
/// If the property fails.
pub fn run<F: Future<Output = ()>>(fresh: impl Fresh, property: impl FnOnce(Store) -> F) {
    let Some((store, kept)) = fresh.fresh() else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build();
    runtime.expect("a runtime").block_on(async {
        property(store.clone()).await;
        store.engine.close().await.expect("the store closes");
    });
    drop(kept);
}

/// The person with this number.
#[must_use]
pub fn person(number: u8) -> Author {
    Author { sender_id: UserId::from_bytes([number; 16]), sender_type: SenderType::Human, device_id: None }
}

/// A message of a person, with a client id or without.
#[must_use]
pub fn message(author: Author, client_message_id: Option<ClientMessageId>, payload: &[u8]) -> NewRecord {
    let message =
        Message { content_type: "text".to_owned(), payload: payload.to_vec().into(), reply_to: None, epoch: None };
    NewRecord { author, created_at: Timestamp::from_ms(1_700_000_000_000), client_message_id, body: message.into() }
}

/// A message of the first person with a client id of its own.
#[must_use]
pub fn any_message(payload: &[u8]) -> NewRecord {
    message(person(1), Some(ClientMessageId::generate()), payload)
}

/// Appends, and answers how it ended.
///
/// # Panics
///
/// If the store answers with an error.
pub async fn append(store: &Store, id: ConversationId, head: Sequence, records: Vec<NewRecord>) -> Appended {
    let append = Append { conversation_id: id, expected_head: head, records };
    store.log.append(append).await.expect("the store answers an append")
}

/// Appends at the head that it finds, and answers the first sequence.
///
/// # Panics
///
/// If that is refused.
pub async fn append_at_head(store: &Store, id: ConversationId, records: Vec<NewRecord>) -> Sequence {
    let head = store.log.head(id).await.expect("the store answers a head");
    let count = records.len() as u64;
    let appended = append(store, id, head, records).await;
    assert_eq!(appended, Appended::Committed { first: head.next(), last: head.plus(count) }, "GAPLESS");
    head.next()
}
