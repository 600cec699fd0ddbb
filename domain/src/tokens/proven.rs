//! Access tokens whose signature was found good a short while ago: whoever comes back with the same one, as all do after a
//! server went away, costs a digest instead of a signature's check, which is most of a login.
//!
//! What is remembered is that these keys signed exactly this token, and nothing else: its time is looked at anew each
//! time, its session is asked for by the caller, and other keys forget everything. BOUNDED: by [`MAX_PROVEN`], the oldest
//! go first.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use hubbub_protocol::Timestamp;
use sha2::{Digest, Sha256};

use super::public::PublicKeys;
use crate::identity::Caller;

/// Tokens that are remembered, in each of two halves: some 5 MiB in all. Full: the older half is forgotten.
const MAX_PROVEN: usize = 16_384;

/// A token's name in here.
pub(super) type Name = [u8; 32];

/// The memory.
#[derive(Default)]
pub(super) struct Proven(Mutex<Halves>);

#[derive(Default)]
struct Halves {
    /// Whose signatures these are.
    keys: Option<Arc<PublicKeys>>,
    young: HashMap<Name, Caller>,
    old: HashMap<Name, Caller>,
}

/// The name of a token: nobody can make another of the same.
pub(super) fn name(token: &str) -> Name {
    Sha256::digest(token).into()
}

impl Proven {
    /// Whom this token was found to name under these keys.
    pub(super) fn find(&self, keys: &Arc<PublicKeys>, name: &Name) -> Option<Caller> {
        let halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        halves.keys.as_ref().filter(|known| Arc::ptr_eq(known, keys))?;
        halves.young.get(name).or_else(|| halves.old.get(name)).copied()
    }

    /// Notes whom it names.
    pub(super) fn note(&self, keys: &Arc<PublicKeys>, name: Name, caller: Caller, now: Timestamp) {
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !halves.keys.as_ref().is_some_and(|known| Arc::ptr_eq(known, keys)) {
            *halves = Halves { keys: Some(Arc::clone(keys)), ..Halves::default() };
        }
        if halves.young.len() >= MAX_PROVEN {
            halves.old = std::mem::take(&mut halves.young);
            halves.old.retain(|_, caller| caller.expires_at > now);
        }
        halves.young.insert(name, caller);
    }
}

/// Shows nothing: names of tokens are no business of a log.
impl fmt::Debug for Proven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proven").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use hubbub_protocol::member::SenderType;
    use hubbub_protocol::{DeviceId, SessionId, UserId};

    use super::*;
    use crate::tokens::KeyRing;

    const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);

    fn caller(expires_at: Timestamp) -> Caller {
        Caller {
            user_id: UserId::from_bytes([1; 16]),
            session_id: SessionId::from_bytes([2; 16]),
            device_id: DeviceId::from_bytes([3; 16]),
            kind: SenderType::Human,
            expires_at,
        }
    }

    fn sizes(proven: &Proven) -> (usize, usize) {
        let halves = proven.0.lock().unwrap();
        (halves.young.len(), halves.old.len())
    }

    #[test]
    fn bounded_the_oldest_are_forgotten_first_and_those_whose_time_is_over_with_them() {
        let (proven, keys) = (Proven::default(), Arc::new(KeyRing::from_seed(&[1; 32]).public_keys().clone()));
        let names: Vec<Name> = (0..3 * MAX_PROVEN).map(|number| name(&number.to_string())).collect();
        for (number, name) in names.iter().enumerate() {
            proven.note(&keys, *name, caller(NOW.plus_ms(1)), NOW);
            let (young, old) = sizes(&proven);
            assert!(young <= MAX_PROVEN && old <= MAX_PROVEN, "BOUNDED: {young} and {old} after {number}");
        }
        let known = |place: usize| proven.find(&keys, &names[place]).is_some();
        assert!(!known(0) && !known(MAX_PROVEN - 1), "the oldest third is forgotten");
        assert!(known(MAX_PROVEN) && known(3 * MAX_PROVEN - 1), "and no other");
        proven.note(&keys, name("one more"), caller(NOW), NOW.plus_ms(1));
        assert_eq!(sizes(&proven), (1, 0), "whose time is over is not kept for the second half");
    }
}
