//! The access token: `EdDSA` JWT, five minutes, every claim required and checked. A [`KeyRing`] makes it, [`PublicKeys`] tell it
//! from others.

use hubbub_protocol::member::SenderType;
use hubbub_protocol::{DeviceId, ErrorBody, ErrorCode, SessionId, Timestamp, UserId};
use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};

use super::{ACCESS_LIFE_MS, KeyRing, PublicKeys};
use crate::identity::Caller;

/// RFC 9068: an access token, so that nothing else that was signed passes for one.
const TYPE: &str = "at+jwt";
const ISSUER: &str = "hubbub";
const AUDIENCE: &str = "hubbub";

/// Between the clocks of two nodes.
const LEEWAY_S: u64 = 5;

/// Ours have about 480 characters.
const MAX_TOKEN_BYTES: usize = 1024;

/// What a token says. Times are whole seconds, as numbers and nothing else.
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: UserId,
    sid: SessionId,
    did: DeviceId,
    kind: SenderType,
    iat: u64,
    nbf: u64,
    exp: u64,
}

impl KeyRing {
    /// A token that says who the caller is, until [`Caller::expires_at`].
    ///
    /// # Errors
    ///
    /// `internal`, if it cannot be written down.
    pub fn issue(&self, caller: &Caller, now: Timestamp) -> Result<String, ErrorBody> {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: caller.user_id,
            sid: caller.session_id,
            did: caller.device_id,
            kind: caller.kind,
            iat: seconds(now),
            nbf: seconds(now),
            exp: seconds(caller.expires_at),
        };
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(self.key_id.clone());
        encode(&header, &claims, &self.signing).map_err(|error| {
            tracing::error!(%error, "an access token could not be signed");
            ErrorBody::new(ErrorCode::Internal, "the access token could not be made")
        })
    }
}

/// Why a token is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refused {
    /// It says that a key signed it which is not among these, and is well formed as far as can be seen without.
    UnknownKey,
    /// For good.
    For(ErrorBody),
}

impl PublicKeys {
    /// Whom a token names, if one of these keys signed it as an access token and its time is now.
    pub(super) fn verify(&self, token: &str, now: Timestamp) -> Result<Caller, Refused> {
        let key_id = read_key_id(token).ok_or_else(|| Refused::For(invalid()))?;
        let key = self.find(&key_id).ok_or(Refused::UnknownKey)?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        // The claims are checked below: by our clock, by our leeway, and required by their type.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let decoded = decode::<Claims>(token, key.decoding(), &validation).map_err(|_| Refused::For(invalid()))?;
        check(&decoded.claims, now).map_err(Refused::For)
    }
}

/// Which key a token says it was signed with, if its head is that of our access tokens.
fn read_key_id(token: &str) -> Option<String> {
    if token.len() > MAX_TOKEN_BYTES {
        return None;
    }
    let header = decode_header(token).ok()?;
    let ours = header.alg == Algorithm::EdDSA
        && header.typ.as_deref() == Some(TYPE)
        // Extensions that must be understood (RFC 7515 section 4.1.11), of which we know none.
        && header.crit.is_none();
    header.kid.filter(|_| ours)
}

fn check(claims: &Claims, now: Timestamp) -> Result<Caller, ErrorBody> {
    let now = seconds(now);
    let meant_for_us = claims.iss == ISSUER && claims.aud == AUDIENCE;
    let begun = claims.nbf <= now + LEEWAY_S && claims.iat <= now + LEEWAY_S;
    let life = claims.exp.saturating_sub(claims.iat);
    if !meant_for_us || !begun || life > ACCESS_LIFE_MS.unsigned_abs() / 1000 {
        return Err(invalid());
    }
    if is_over(claims.exp, now) {
        return Err(expired());
    }
    Ok(Caller {
        user_id: claims.sub,
        session_id: claims.sid,
        device_id: claims.did,
        kind: claims.kind,
        expires_at: Timestamp::from_ms(i64::try_from(claims.exp).unwrap_or(i64::MAX).saturating_mul(1000)),
    })
}

/// A caller whose token was good before, if its time is not over.
pub(super) fn still_good(caller: Caller, now: Timestamp) -> Result<Caller, ErrorBody> {
    if is_over(seconds(caller.expires_at), seconds(now)) { Err(expired()) } else { Ok(caller) }
}

const fn is_over(end: u64, now: u64) -> bool {
    end.saturating_add(LEEWAY_S) <= now
}

fn seconds(moment: Timestamp) -> u64 {
    moment.as_ms().unsigned_abs() / 1000
}

pub(crate) fn invalid() -> ErrorBody {
    ErrorBody::new(ErrorCode::InvalidToken, "this token is not valid here: log in again")
}

pub(crate) fn expired() -> ErrorBody {
    ErrorBody::new(ErrorCode::ExpiredToken, "the time of this token is over: refresh it, or log in again")
}
