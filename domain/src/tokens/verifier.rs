//! Who a token's bearer is, by public keys alone: fixed ones, or a set that somebody else keeps and this process follows.
//!
//! A key that is not known may be a new one: then the set is looked at again, at once, by whoever holds the [`KeyFeed`],
//! one look for all who wait. BOUNDED: they wait for [`LOOK_PATIENCE`] at the most, in no queue of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hubbub_protocol::{ErrorBody, ErrorCode, Timestamp};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::access::{Refused, invalid, still_good};
use super::proven::{self, Proven};
use super::public::PublicKeys;
use crate::identity::Caller;

/// How long a token under an unknown key waits for the next look at the set. Less than a socket's login may take.
const LOOK_PATIENCE: Duration = Duration::from_secs(4);

/// Knows access tokens when it sees them, and can make none. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Verifier {
    known: watch::Receiver<Known>,
    /// Where a look at the set is asked for; nowhere if the keys are fixed.
    looks: Option<Arc<Looks>>,
    proven: Arc<Proven>,
}

/// The other end of a verifier that follows a set: whoever holds it looks when asked, and tells what was found.
#[derive(Debug)]
pub struct KeyFeed {
    known: watch::Sender<Known>,
    looks: Arc<Looks>,
}

#[derive(Debug)]
struct Known {
    keys: Arc<PublicKeys>,
    /// The last look that has ended.
    looked: u64,
    /// Whether it found a set.
    found: bool,
}

#[derive(Debug, Default)]
struct Looks {
    wanted: Notify,
    /// The last look that was begun.
    begun: AtomicU64,
}

impl Verifier {
    /// One that knows these keys for good.
    #[must_use]
    pub fn fixed(keys: PublicKeys) -> Self {
        let (_ended, known) = watch::channel(Known { keys: Arc::new(keys), looked: 0, found: true });
        Self { known, looks: None, proven: Arc::default() }
    }

    /// One that knows these keys until the feed tells of others.
    #[must_use]
    pub fn following(keys: PublicKeys) -> (Self, KeyFeed) {
        let (sender, known) = watch::channel(Known { keys: Arc::new(keys), looked: 0, found: true });
        let looks = Arc::new(Looks::default());
        (Self { known, looks: Some(Arc::clone(&looks)), proven: Arc::default() }, KeyFeed { known: sender, looks })
    }

    /// Whom a token names, if we made it as an access token and its time is now.
    ///
    /// # Errors
    ///
    /// `expired_token` if it was good and its time is over; `overloaded` if its key is unknown and the set cannot be
    /// looked at now; `invalid_token` for everything else, without saying why.
    pub async fn verify(&self, token: &str, now: Timestamp) -> Result<Caller, ErrorBody> {
        let known = |keys: &Arc<PublicKeys>| self.prove(keys, token, now);
        match known(&self.keys()) {
            Ok(caller) => Ok(caller),
            Err(Refused::For(error)) => Err(error),
            Err(Refused::UnknownKey) => {
                let found = self.look_again().await;
                match known(&self.keys()) {
                    Ok(caller) => Ok(caller),
                    Err(Refused::For(error)) => Err(error),
                    Err(Refused::UnknownKey) if found => Err(invalid()),
                    Err(Refused::UnknownKey) => Err(no_keys()),
                }
            }
        }
    }

    /// The same by these keys, which may have told before.
    fn prove(&self, keys: &Arc<PublicKeys>, token: &str, now: Timestamp) -> Result<Caller, Refused> {
        let name = proven::name(token);
        if let Some(caller) = self.proven.find(keys, &name) {
            return still_good(caller, now).map_err(Refused::For);
        }
        let caller = keys.verify(token, now)?;
        self.proven.note(keys, name, caller, now);
        Ok(caller)
    }

    fn keys(&self) -> Arc<PublicKeys> {
        Arc::clone(&self.known.borrow().keys)
    }

    /// Waits for a look at the set that begins after this; answers whether there was one that found a set.
    async fn look_again(&self) -> bool {
        let Some(looks) = &self.looks else { return true };
        let needed = looks.begun.load(Ordering::SeqCst) + 1;
        looks.wanted.notify_one();
        let mut known = self.known.clone();
        let looked = timeout(LOOK_PATIENCE, known.wait_for(|known| known.looked >= needed)).await;
        matches!(looked, Ok(Ok(known)) if known.found)
    }
}

impl KeyFeed {
    /// Waits until a token came under a key that is not known.
    pub async fn wanted(&self) {
        self.looks.wanted.notified().await;
    }

    /// Notes that a look begins: whoever asks from here on needs another.
    pub fn begin(&self) {
        self.looks.begun.fetch_add(1, Ordering::SeqCst);
    }

    /// Tells what the look found: the set as it is now, or nothing, when what was known stays known. Answers whether the
    /// keys are others than before.
    pub fn end(&self, found: Option<PublicKeys>) -> bool {
        let looked = self.looks.begun.load(Ordering::SeqCst);
        let mut changed = false;
        self.known.send_modify(|known| {
            known.looked = looked;
            known.found = found.is_some();
            if let Some(keys) = found {
                changed = *known.keys != keys;
                if changed {
                    known.keys = Arc::new(keys);
                }
            }
        });
        changed
    }
}

fn no_keys() -> ErrorBody {
    ErrorBody::new(ErrorCode::Overloaded, "the keys of logins cannot be looked up right now: try again shortly")
}

#[cfg(test)]
mod tests {
    use hubbub_protocol::member::SenderType;
    use hubbub_protocol::{DeviceId, SessionId, UserId};

    use super::super::{ACCESS_LIFE_MS, KeyRing};
    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);

    fn ring(seed: u8) -> KeyRing {
        KeyRing::from_seed(&[seed; 32])
    }

    fn token(ring: &KeyRing) -> String {
        let caller = Caller {
            user_id: UserId::from_bytes([1; 16]),
            session_id: SessionId::from_bytes([2; 16]),
            device_id: DeviceId::from_bytes([3; 16]),
            kind: SenderType::Human,
            expires_at: NOW.plus_ms(ACCESS_LIFE_MS),
        };
        ring.issue(&caller, NOW).unwrap()
    }

    async fn code(verifier: &Verifier, token: &str) -> Result<(), ErrorCode> {
        verifier.verify(token, NOW).await.map(|_| ()).map_err(|error| error.code)
    }

    /// A feed that finds this each time it is asked, and counts.
    fn keeper(feed: KeyFeed, found: Option<PublicKeys>) -> (tokio::task::JoinHandle<()>, Arc<AtomicU64>) {
        let count = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&count);
        let task = tokio::spawn(async move {
            loop {
                feed.wanted().await;
                feed.begin();
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_secs(1)).await;
                feed.end(found.clone());
            }
        });
        (task, count)
    }

    #[tokio::test]
    async fn fixed_keys_tell_at_once() {
        let verifier = Verifier::fixed(ring(1).accepting(&[2; 32]).public_keys().clone());
        assert_eq!(code(&verifier, &token(&ring(1))).await, Ok(()));
        assert_eq!(code(&verifier, &token(&ring(2))).await, Ok(()), "the other seed's are taken too");
        assert_eq!(code(&verifier, &token(&ring(3))).await, Err(ErrorCode::InvalidToken));
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_under_a_new_key_is_taken_after_one_look_for_all_who_wait() {
        let (verifier, feed) = Verifier::following(ring(1).public_keys().clone());
        let both = ring(2).accepting(&[1; 32]).public_keys().clone();
        let (_task, count) = keeper(feed, Some(both));
        let good = token(&ring(2));
        let waiting: Vec<_> = (0..100).map(|_| code(&verifier, &good)).collect();
        assert!(futures_util::future::join_all(waiting).await.iter().all(Result::is_ok));
        assert_eq!(count.load(Ordering::SeqCst), 1, "one look for all");
        assert_eq!(code(&verifier, &token(&ring(1))).await, Ok(()), "the old key is in the set still");
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_left_the_set_is_not_taken_any_more() {
        let (verifier, feed) = Verifier::following(ring(1).public_keys().clone());
        assert_eq!(code(&verifier, &token(&ring(1))).await, Ok(()), "and is remembered to have been good");
        assert!(feed.end(Some(ring(2).public_keys().clone())));
        assert!(!feed.end(Some(ring(2).public_keys().clone())), "the same again is no change");
        let (_task, _count) = keeper(feed, Some(ring(2).public_keys().clone()));
        assert_eq!(code(&verifier, &token(&ring(1))).await, Err(ErrorCode::InvalidToken));
        assert_eq!(code(&verifier, &token(&ring(2))).await, Ok(()));
    }

    #[tokio::test]
    async fn a_token_that_was_good_before_is_no_longer_good_when_its_time_is_over() {
        let verifier = Verifier::fixed(ring(1).public_keys().clone());
        let (token, end) = (token(&ring(1)), NOW.plus_ms(ACCESS_LIFE_MS));
        let mut answers = Vec::new();
        for moment in [NOW, NOW, end.plus_ms(4_999), end.plus_ms(5_000), NOW] {
            answers.push(verifier.verify(&token, moment).await.map(|_| ()).map_err(|error| error.code));
        }
        let over = Err(ErrorCode::ExpiredToken);
        assert_eq!(answers, [Ok(()), Ok(()), Ok(()), over, Ok(())], "as if it were looked at for the first time");
    }

    #[test]
    fn a_look_that_finds_the_same_keys_forgets_no_token() {
        let (verifier, feed) = Verifier::following(ring(1).public_keys().clone());
        let good = token(&ring(1));
        assert!(verifier.prove(&verifier.keys(), &good, NOW).is_ok());
        feed.end(Some(ring(1).public_keys().clone()));
        assert!(verifier.proven.find(&verifier.keys(), &proven::name(&good)).is_some());
        feed.end(Some(ring(1).accepting(&[2; 32]).public_keys().clone()));
        assert_eq!(verifier.proven.find(&verifier.keys(), &proven::name(&good)), None, "other keys forget everything");
    }

    #[tokio::test]
    async fn a_token_that_was_good_before_makes_no_other_good() {
        let verifier = Verifier::fixed(ring(1).public_keys().clone());
        let good = token(&ring(1));
        assert_eq!(code(&verifier, &good).await, Ok(()));
        for place in 0..good.len() {
            let mut other = good.clone().into_bytes();
            other[place] = if other[place] == b'A' { b'B' } else { b'A' };
            let other = String::from_utf8(other).unwrap();
            assert_eq!(code(&verifier, &other).await, Err(ErrorCode::InvalidToken), "character {place}");
        }
        assert_eq!(code(&verifier, &format!("{good} ")).await, Err(ErrorCode::InvalidToken));
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_set_cannot_be_had_known_keys_stay_good_and_unknown_ones_may_be() {
        let (verifier, feed) = Verifier::following(ring(1).public_keys().clone());
        let (task, _count) = keeper(feed, None);
        assert_eq!(code(&verifier, &token(&ring(1))).await, Ok(()));
        assert_eq!(code(&verifier, &token(&ring(2))).await, Err(ErrorCode::Overloaded), "HONEST: perhaps it is good");
        assert_eq!(code(&verifier, "nonsense").await, Err(ErrorCode::InvalidToken), "no key can make that good");
        task.abort();
        drop(task.await);
        assert_eq!(code(&verifier, &token(&ring(2))).await, Err(ErrorCode::Overloaded), "nobody looks any more");
        assert_eq!(code(&verifier, &token(&ring(1))).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn bounded_nobody_waits_for_a_look_that_does_not_end() {
        let (verifier, _feed) = Verifier::following(ring(1).public_keys().clone());
        let begun = tokio::time::Instant::now();
        assert_eq!(code(&verifier, &token(&ring(2))).await, Err(ErrorCode::Overloaded));
        assert_eq!(begun.elapsed(), LOOK_PATIENCE, "BOUNDED");
    }
}
