//! Passwords: Argon2id off the async threads, as many at once as there are cores, and few more waiting (BOUNDED).
//!
//! Every hash takes 19 MiB and some 20 ms: unbounded, a crowd of logins would take the memory and the cores of everything
//! else. What was begun runs to its end and gives its place back, even if nobody waits for it any more.

use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use hubbub_protocol::{ErrorBody, ErrorCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

/// At registration. A password of eight words or eight letters: only its owner can tell.
pub const MIN_PASSWORD_CHARACTERS: usize = 8;
/// Longer ones are refused, as their hashing starts with reading them.
pub const MAX_PASSWORD_BYTES: usize = 1024;

/// OWASP's floor for Argon2id: 19 MiB, 2 passes, 1 lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Hashes that may wait for a core: 64 of 20 ms on two cores are over in 0.7 s. Beyond: `overloaded`.
const MAX_WAITING: usize = 64;

/// A hash of no password, with our parameters: verifying against it takes as long as against a real one.
const DUMMY: &str = "$argon2id$v=19$m=19456,t=2,p=1$aHViYnViIGhhcyBub25lLg$bm8gcGFzc3dvcmQgZXZlciBoYXMgdGhpcyBkaWdlc3Q";

/// The queue before the hashing.
#[derive(Clone)]
pub(super) struct Passwords {
    /// Running and waiting.
    admitted: Arc<Semaphore>,
    /// Running.
    running: Arc<Semaphore>,
}

/// Both places of one hash.
struct Place {
    _admitted: OwnedSemaphorePermit,
    _running: OwnedSemaphorePermit,
}

impl Passwords {
    pub(super) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { admitted: Arc::new(Semaphore::new(cores + MAX_WAITING)), running: Arc::new(Semaphore::new(cores)) }
    }

    /// The password's hash with a new salt, as a PHC string.
    pub(super) async fn hash(&self, password: &str) -> Result<String, ErrorBody> {
        self.run(password, |password| {
            let hash = hasher()?.hash_password(password.as_bytes()).map_err(|error| failed(&error))?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Whether it is the password of this hash. Without a hash it is not, after the same time.
    pub(super) async fn verify(&self, password: &str, hash: Option<&str>) -> Result<bool, ErrorBody> {
        let hash = hash.unwrap_or(DUMMY).to_owned();
        self.run(password, move |password| {
            // The parameters are the hash's own, so that raising ours leaves old ones valid.
            Ok(hasher()?.verify_password(password.as_bytes(), hash.as_str()).is_ok())
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        password: &str,
        work: impl FnOnce(&str) -> Result<T, ErrorBody> + Send + 'static,
    ) -> Result<T, ErrorBody> {
        let place = self.place().await?;
        let password = Zeroizing::new(password.to_owned());
        let task = tokio::task::spawn_blocking(move || {
            // Held until the work is done, though the caller may be gone by then.
            let _place = place;
            work(&password)
        });
        task.await.map_err(|error| failed(&error))?
    }

    async fn place(&self) -> Result<Place, ErrorBody> {
        let full = || ErrorBody::new(ErrorCode::Overloaded, "too many logins at once: try again shortly");
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| full())?;
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(|_| full())?;
        Ok(Place { _admitted: admitted, _running: running })
    }
}

fn hasher() -> Result<Argon2<'static>, ErrorBody> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| failed(&error))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn failed(error: &dyn std::fmt::Display) -> ErrorBody {
    tracing::error!(%error, "a password could not be hashed");
    ErrorBody::new(ErrorCode::Internal, "the password could not be checked: try again")
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use argon2::PasswordHash;

    use super::*;

    #[test]
    fn the_dummy_has_the_parameters_of_a_real_hash() {
        let dummy = PasswordHash::new(DUMMY).unwrap();
        let real = hasher().unwrap().hash_password(b"some password").unwrap();
        assert_eq!((dummy.algorithm, dummy.version, dummy.params), (real.algorithm, real.version, real.params));
        assert_eq!(dummy.hash.unwrap().len(), real.hash.unwrap().len());
        assert_eq!(dummy.salt.unwrap().len(), real.salt.unwrap().len());
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_an_abandoned_hash_gives_its_place_back() {
        let passwords = Passwords { admitted: Arc::new(Semaphore::new(2)), running: Arc::new(Semaphore::new(1)) };
        let held = passwords.place().await.unwrap();
        let waiting = passwords.clone();
        let mut waiting = Box::pin(async move { waiting.hash("some password").await });
        let first_poll = poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context).is_pending()));
        assert!(first_poll.await);
        let refused = passwords.hash("some password").await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::Overloaded, "BOUNDED: what does not fit is refused at once");
        drop(waiting);
        drop(held);
        passwords.hash("some password").await.unwrap();
    }
}
