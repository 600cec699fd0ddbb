//! Passwords: Argon2id off the async threads, as many at once as there are cores, and few more waiting (BOUNDED).
//!
//! Every hash takes 19 MiB and some 20 ms: unbounded, a crowd of logins would take the memory and the cores of everything
//! else. What was begun runs to its end and gives its place back, even if nobody waits for it any more.

use std::sync::{Arc, Mutex, PoisonError};

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
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
    /// The memory of those that are not running. Kept, because allocators do not give blocks of this size back: as many
    /// as ever ran at once, which is the cores.
    memory: Arc<Mutex<Vec<Vec<Block>>>>,
}

/// Both places of one hash.
struct Place {
    _admitted: OwnedSemaphorePermit,
    _running: OwnedSemaphorePermit,
}

impl Passwords {
    pub(super) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self::with_places(cores + MAX_WAITING, cores)
    }

    fn with_places(admitted: usize, running: usize) -> Self {
        Self {
            admitted: Arc::new(Semaphore::new(admitted)),
            running: Arc::new(Semaphore::new(running)),
            memory: Arc::default(),
        }
    }

    /// The password's hash with a new salt, as a PHC string.
    pub(super) async fn hash(&self, password: &str) -> Result<String, ErrorBody> {
        self.run(password, |password, memory| {
            Ok(new_hash(password, memory).map_err(|error| failed(&error))?.to_string())
        })
        .await
    }

    /// Whether it is the password of this hash. Without a hash it is not, after the same time.
    pub(super) async fn verify(&self, password: &str, hash: Option<&str>) -> Result<bool, ErrorBody> {
        let hash = hash.unwrap_or(DUMMY).to_owned();
        self.run(password, move |password, memory| fits(password, &hash, memory).map_err(|error| failed(&error))).await
    }

    async fn run<T: Send + 'static>(
        &self,
        password: &str,
        work: impl FnOnce(&str, &mut Vec<Block>) -> Result<T, ErrorBody> + Send + 'static,
    ) -> Result<T, ErrorBody> {
        let place = self.place().await?;
        let spare = Arc::clone(&self.memory);
        let password = Zeroizing::new(password.to_owned());
        let task = tokio::task::spawn_blocking(move || {
            // Held until the work is done, though the caller may be gone by then.
            let _place = place;
            let mut memory = spare.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
            let result = work(&password, &mut memory);
            spare.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
            result
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

/// The password's hash with a new salt and our parameters.
fn new_hash(password: &str, memory: &mut Vec<Block>) -> argon2::password_hash::Result<PasswordHash> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)?;
    let salt = Salt::generate();
    let hash = Some(digest(password, &salt, &params, memory)?);
    Ok(PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params)?,
        salt: Some(salt),
        hash,
    })
}

/// Whether it is the password of this hash. The parameters are the hash's own, so that raising ours leaves old ones valid.
fn fits(password: &str, hash: &str, memory: &mut Vec<Block>) -> argon2::password_hash::Result<bool> {
    let hash = PasswordHash::new(hash)?;
    let (Some(salt), Some(expected)) = (&hash.salt, &hash.hash) else { return Ok(false) };
    let ours = hash.algorithm == Algorithm::Argon2id.ident() && hash.version == Some(Version::V0x13.into());
    // Outputs compare in constant time.
    Ok(ours && digest(password, salt, &Params::try_from(&hash)?, memory)? == *expected)
}

fn digest(
    password: &str,
    salt: &[u8],
    params: &Params,
    memory: &mut Vec<Block>,
) -> argon2::password_hash::Result<Output> {
    let blocks = params.block_count();
    if memory.len() < blocks {
        memory.resize(blocks, Block::default());
    }
    let mut out = Zeroizing::new([0; Params::DEFAULT_OUTPUT_LEN]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone()).hash_password_into_with_memory(
        password.as_bytes(),
        salt,
        out.as_mut_slice(),
        &mut memory[..blocks],
    )?;
    Ok(Output::new(out.as_slice())?)
}

fn failed(error: &dyn std::fmt::Display) -> ErrorBody {
    tracing::error!(%error, "a password could not be hashed");
    ErrorBody::new(ErrorCode::Internal, "the password could not be checked: try again")
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use super::*;

    #[test]
    fn the_dummy_has_the_parameters_of_a_real_hash() {
        let dummy = PasswordHash::new(DUMMY).unwrap();
        let real = new_hash("some password", &mut Vec::new()).unwrap();
        assert_eq!((dummy.algorithm, dummy.version, dummy.params), (real.algorithm, real.version, real.params));
        assert_eq!(dummy.hash.unwrap().len(), real.hash.unwrap().len());
        assert_eq!(dummy.salt.unwrap().len(), real.salt.unwrap().len());
    }

    #[tokio::test]
    async fn a_password_fits_its_hash_and_no_other_does() {
        let passwords = Passwords::with_places(2, 1);
        let hash = passwords.hash("some password").await.unwrap();
        assert!(passwords.verify("some password", Some(&hash)).await.unwrap());
        assert!(!passwords.verify("some passwore", Some(&hash)).await.unwrap());
        assert!(!passwords.verify("some password", None).await.unwrap());
        let memory = passwords.memory.lock().unwrap();
        assert_eq!(memory.len(), 1, "BOUNDED: the memory of one hash serves them all");
    }

    #[test]
    fn the_library_itself_agrees_with_our_hashes() {
        use argon2::PasswordVerifier;
        let hash = new_hash("some password", &mut Vec::new()).unwrap().to_string();
        Argon2::default().verify_password(b"some password", hash.as_str()).unwrap();
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_an_abandoned_hash_gives_its_place_back() {
        let passwords = Passwords::with_places(2, 1);
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
