//! Failed logins to addresses that have no account: counted and locked like those that have one, so that a lock does not
//! tell which is which.
//!
//! In memory and bounded, as anybody can make addresses up: what falls out of it is an address that a guesser of addresses
//! would have to try among ten thousand others again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use hubbub_protocol::{ErrorBody, Timestamp};
use sha2::{Digest, Sha256};

use super::login::{Failures, LOCK_MS};

/// 64 bytes each: 640 KB. When full, what is not locked any more goes, and then everything.
const MAX_STRANGERS: usize = 10_000;

/// Addresses by their digest, which is not an address.
#[derive(Default)]
pub(super) struct Strangers(Mutex<HashMap<[u8; 16], Seen>>);

struct Seen {
    failures: Failures,
    at: Timestamp,
}

impl Strangers {
    pub(super) fn check(&self, email: &str, now: Timestamp) -> Result<(), ErrorBody> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&digest(email)).map_or(Ok(()), |seen| seen.failures.check(now))
    }

    /// Counts one more, unless locked by now.
    pub(super) fn fail(&self, email: &str, now: Timestamp) -> Result<(), ErrorBody> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= MAX_STRANGERS {
            seen.retain(|_, seen| seen.at.plus_ms(LOCK_MS) > now);
        }
        if seen.len() >= MAX_STRANGERS {
            seen.clear();
        }
        let entry = seen.entry(digest(email)).or_insert(Seen { failures: Failures::default(), at: now });
        entry.failures.check(now)?;
        *entry = Seen { failures: entry.failures.next(now), at: now };
        Ok(())
    }
}

fn digest(email: &str) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&Sha256::digest(email)[..16]);
    short
}

#[cfg(test)]
mod tests {
    use super::super::login::MAX_FAILED_LOGINS;
    use super::*;

    #[test]
    fn a_crowd_of_made_up_addresses_stays_within_its_bound() {
        let strangers = Strangers::default();
        for number in 0..3 * MAX_STRANGERS {
            strangers.fail(&format!("{number}@example.org"), Timestamp::from_ms(1)).unwrap();
        }
        let held = strangers.0.lock().unwrap().len();
        assert!(held <= MAX_STRANGERS, "BOUNDED: {held} addresses are held");
    }

    #[test]
    fn a_stranger_is_locked_as_an_account_is_and_free_again_by_time() {
        let strangers = Strangers::default();
        let now = Timestamp::from_ms(1_000);
        for _ in 0..MAX_FAILED_LOGINS {
            strangers.check("nobody@example.org", now).unwrap();
            strangers.fail("nobody@example.org", now).unwrap();
        }
        assert!(strangers.check("nobody@example.org", now).is_err());
        assert!(strangers.check("somebody@example.org", now).is_ok());
        assert!(strangers.check("nobody@example.org", now.plus_ms(LOCK_MS)).is_ok());
    }
}
