//! Access tokens (JWT, `EdDSA`) and the marks on refresh tokens: what only the holder of the server's seed can make.
//!
//! What makes them and what tells them from others are two types: a [`KeyRing`] issues and holds the secrets, a
//! [`Verifier`] knows [`PublicKeys`] alone, so that a process which only lets people in cannot log anybody in.
//! Owned by [`crate::sessions`]; pure, with the time of day passed in. One algorithm, keys chosen by their id; every
//! claim is required, typed and checked here, whatever the library's defaults are.
//! Leaves to [`crate::sessions`] whether the login behind a token still stands.

mod access;
mod proven;
mod provider;
mod public;
mod refresh;
#[cfg(test)]
mod tests;
mod verifier;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::EncodingKey;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

pub(crate) use access::{expired, invalid};
pub use public::{JwksError, MAX_JWKS_BYTES, MAX_KEYS, PublicKeys};
pub use verifier::{KeyFeed, Verifier};

use public::PublicKey;

/// How long an access token works, in milliseconds.
pub const ACCESS_LIFE_MS: i64 = 300_000;

/// The seed of everything secret here, as the key file holds it.
pub type Seed = [u8; 32];

/// Each secret is drawn from the seed under its own label. They never change: tokens rest on them.
const SIGNING_LABEL: &[u8] = b"hubbub access token signing key v1";
const REFRESH_LABEL: &[u8] = b"hubbub refresh token mark v1";

/// HMAC's key block for SHA-256: a shorter key is filled up with zeros.
const BLOCK_BYTES: usize = 64;

/// The server's secrets for tokens. They leave memory with it.
pub struct KeyRing {
    key_id: String,
    signing: EncodingKey,
    refresh: Hmac<Sha256>,
    /// What marked refresh tokens before, or will: taken, and never given.
    other_refresh: Option<Hmac<Sha256>>,
    public: PublicKeys,
}

/// Shows which key it is, and no secret.
impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

impl KeyRing {
    /// A new random seed, to be kept in the key file.
    ///
    /// # Errors
    ///
    /// The operating system gives no randomness.
    pub fn new_seed() -> Result<Zeroizing<Seed>, getrandom::Error> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut_slice())?;
        Ok(seed)
    }

    /// A ring of a new random seed, whose tokens end with the process.
    ///
    /// # Errors
    ///
    /// As [`KeyRing::new_seed`].
    pub fn generate() -> Result<Self, getrandom::Error> {
        Ok(Self::from_seed(&*Self::new_seed()?))
    }

    /// The ring of this seed: the same seed, the same keys.
    #[must_use]
    pub fn from_seed(seed: &Seed) -> Self {
        provider::install();
        let signing = Zeroizing::new(draw(seed, SIGNING_LABEL));
        let public = public_of(&signing);
        Self {
            key_id: public.key_id().to_owned(),
            signing: EncodingKey::from_ed_der(signing.as_slice()),
            refresh: refresh_of(seed),
            other_refresh: None,
            public: PublicKeys::of(public),
        }
    }

    /// The ring that takes what another seed's ring gave, too, and goes on giving its own: how keys are changed without
    /// anybody being logged out.
    #[must_use]
    pub fn accepting(mut self, seed: &Seed) -> Self {
        let signing = Zeroizing::new(draw(seed, SIGNING_LABEL));
        self.public.add(public_of(&signing));
        self.other_refresh = Some(refresh_of(seed));
        self
    }

    /// What verifies the access tokens that this ring gives and takes: its own key first.
    pub fn public_keys(&self) -> &PublicKeys {
        &self.public
    }
}

fn public_of(signing: &[u8; 32]) -> PublicKey {
    PublicKey::new(SigningKey::from_bytes(signing).verifying_key().to_bytes())
}

fn refresh_of(seed: &Seed) -> Hmac<Sha256> {
    keyed(&Zeroizing::new(draw(seed, REFRESH_LABEL)))
}

/// A secret of its own for each label (HMAC as a key derivation, as HKDF's expand step does).
fn draw(seed: &Seed, label: &[u8]) -> [u8; 32] {
    keyed(seed).chain_update(label).finalize().into_bytes().into()
}

fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    let mut block = Zeroizing::new([0; BLOCK_BYTES]);
    block[..key.len()].copy_from_slice(key);
    Hmac::new((&*block).into())
}

/// The header's `kid`: 96 bits of the public key's digest.
fn key_id(public: &[u8; 32]) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(public)[..12])
}
