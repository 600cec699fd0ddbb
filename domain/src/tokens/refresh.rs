//! The refresh token: session and generation with a mark that only we can make, so that the store holds nothing usable.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use hubbub_protocol::SessionId;
use sha2::Sha256;

use super::KeyRing;

const SESSION_BYTES: usize = 16;
const GENERATION_BYTES: usize = 8;
const MARK_BYTES: usize = 32;
const TOKEN_BYTES: usize = SESSION_BYTES + GENERATION_BYTES + MARK_BYTES;
/// 56 bytes in base64 without padding.
const TOKEN_CHARACTERS: usize = 75;

impl KeyRing {
    /// The token of a session's generation: always the same.
    pub(crate) fn refresh_token(&self, session_id: SessionId, generation: u64) -> String {
        let mut token = [0; TOKEN_BYTES];
        token[..SESSION_BYTES].copy_from_slice(session_id.as_bytes());
        token[SESSION_BYTES..][..GENERATION_BYTES].copy_from_slice(&generation.to_be_bytes());
        let mark = self.refresh.clone().chain_update(&token[..SESSION_BYTES + GENERATION_BYTES]).finalize();
        token[SESSION_BYTES + GENERATION_BYTES..].copy_from_slice(&mark.into_bytes());
        URL_SAFE_NO_PAD.encode(token)
    }

    /// What a token that we made says, with either secret; the mark is compared in constant time.
    pub(crate) fn read_refresh_token(&self, token: &str) -> Option<(SessionId, u64)> {
        // Measured first: a long one is not decoded.
        if token.len() != TOKEN_CHARACTERS {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (said, mark) = bytes.split_at_checked(SESSION_BYTES + GENERATION_BYTES)?;
        let ours = [Some(&self.refresh), self.other_refresh.as_ref()];
        let made_by = |key: &Hmac<Sha256>| key.clone().chain_update(said).verify_slice(mark).is_ok();
        ours.into_iter().flatten().any(made_by).then_some(())?;
        let (session, generation) = said.split_at_checked(SESSION_BYTES)?;
        let session_id = SessionId::from_bytes(session.try_into().ok()?);
        Some((session_id, u64::from_be_bytes(generation.try_into().ok()?)))
    }
}
