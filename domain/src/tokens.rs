//! skeleton
use crate::identity::Caller;
use hubbub_protocol::{ErrorBody, Timestamp};
/// The server's secrets for tokens.
pub struct KeyRing {}
#[expect(clippy::todo, clippy::missing_errors_doc, clippy::missing_panics_doc, reason = "skeleton")]
impl KeyRing {
    /// A ring with a new random seed.
    pub fn generate() -> Result<Self, ErrorBody> {
        todo!()
    }
    /// The ring of this seed (32 bytes, what the key file holds).
    #[must_use]
    pub fn from_seed(_seed: &[u8; 32]) -> Self {
        todo!()
    }
    /// An access token.
    pub fn issue(&self, _caller: &Caller, _now: Timestamp) -> Result<String, ErrorBody> {
        todo!()
    }
    /// The caller whom a token names.
    pub fn verify(&self, _token: &str, _now: Timestamp) -> Result<Caller, ErrorBody> {
        todo!()
    }
}
