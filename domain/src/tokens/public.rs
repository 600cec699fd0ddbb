//! Public keys of access tokens, and the set of them as others fetch it: a JWK Set (RFC 7517) of Ed25519 keys (RFC 8037).
//!
//! A set comes from another process, over the network or from a file, so it is read with suspicion: bounded in bytes and
//! keys, each key a good point on the curve under the id that follows from it, and one that is not spoils the whole set.
//! Keys of other types are passed over, as the RFC asks.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::VerifyingKey;
use jsonwebtoken::DecodingKey;
use serde::{Deserialize, Serialize};

use super::{key_id, provider};

/// Bytes of a JWK Set that are read at the most. One of our keys has about 150.
pub const MAX_JWKS_BYTES: usize = 64 * 1024;

/// Keys of a set at the most: one that signs, one before it, and room for whatever an operator is in the middle of.
pub const MAX_KEYS: usize = 32;

const KEY_TYPE: &str = "OKP";
const CURVE: &str = "Ed25519";
const ALGORITHM: &str = "EdDSA";
const USE: &str = "sig";

/// One public key, with its id.
#[derive(Clone)]
pub(super) struct PublicKey {
    key_id: String,
    raw: [u8; 32],
    decoding: DecodingKey,
}

impl PublicKey {
    pub(super) fn new(raw: [u8; 32]) -> Self {
        Self { key_id: key_id(&raw), raw, decoding: DecodingKey::from_ed_der(&raw) }
    }

    pub(super) fn key_id(&self) -> &str {
        &self.key_id
    }

    pub(super) fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }
}

/// Keys that verify access tokens; never none. They are no secret.
#[derive(Clone)]
pub struct PublicKeys(Vec<PublicKey>);

/// Why a text is no set of keys to rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// It is longer than anybody's.
    #[error("it has more than {MAX_JWKS_BYTES} bytes")]
    TooLong,
    /// It is something else.
    #[error("it is no JWK Set (RFC 7517)")]
    NoSet,
    /// It holds more keys than anybody's.
    #[error("it has more than {MAX_KEYS} keys")]
    TooMany,
    /// One of its Ed25519 keys is none, or has an id that does not follow from it.
    #[error("one of its Ed25519 keys is malformed, weak, or not under the id that Hubbub gives it")]
    BadKey,
    /// It holds no Ed25519 key.
    #[error("it has no Ed25519 key")]
    NoKey,
}

/// A set as it is written. What else it says is not needed.
#[derive(Serialize, Deserialize)]
struct Jwks {
    keys: Vec<Jwk>,
}

#[derive(Serialize, Deserialize)]
struct Jwk {
    kty: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crv: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alg: Option<String>,
    #[serde(default, rename = "use", skip_serializing_if = "Option::is_none")]
    used_for: Option<String>,
}

impl PublicKeys {
    pub(super) fn of(key: PublicKey) -> Self {
        Self(vec![key])
    }

    pub(super) fn add(&mut self, key: PublicKey) {
        if self.find(&key.key_id).is_none() {
            self.0.push(key);
        }
    }

    pub(super) fn find(&self, key_id: &str) -> Option<&PublicKey> {
        self.0.iter().find(|key| key.key_id == key_id)
    }

    /// The keys' ids, as in the head of a token.
    pub fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(PublicKey::key_id)
    }

    /// The set as others fetch it: one JSON object.
    pub fn to_jwks(&self) -> String {
        let keys = self.0.iter().map(Jwk::of).collect();
        // Names and texts always have a JSON form.
        serde_json::to_string(&Jwks { keys }).unwrap_or_default()
    }

    /// The keys of a set that somebody serves.
    ///
    /// # Errors
    ///
    /// [`JwksError`]: then nothing of it is to be relied on.
    pub fn from_jwks(text: &[u8]) -> Result<Self, JwksError> {
        provider::install();
        if text.len() > MAX_JWKS_BYTES {
            return Err(JwksError::TooLong);
        }
        let Jwks { keys } = serde_json::from_slice(text).map_err(|_| JwksError::NoSet)?;
        if keys.len() > MAX_KEYS {
            return Err(JwksError::TooMany);
        }
        let mut found: Option<Self> = None;
        for jwk in keys.iter().filter(|jwk| jwk.is_for_signatures()) {
            let key = jwk.read().ok_or(JwksError::BadKey)?;
            match &mut found {
                Some(keys) => keys.add(key),
                None => found = Some(Self::of(key)),
            }
        }
        found.ok_or(JwksError::NoKey)
    }
}

/// Shows which keys they are.
impl fmt::Debug for PublicKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.key_ids()).finish()
    }
}

/// The same keys in the same order.
impl PartialEq for PublicKeys {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().map(|key| key.raw).eq(other.0.iter().map(|key| key.raw))
    }
}

impl Eq for PublicKeys {}

impl Jwk {
    fn of(key: &PublicKey) -> Self {
        let text = |text: &str| Some(text.to_owned());
        Self {
            kty: KEY_TYPE.to_owned(),
            crv: text(CURVE),
            x: Some(URL_SAFE_NO_PAD.encode(key.raw)),
            kid: text(&key.key_id),
            alg: text(ALGORITHM),
            used_for: text(USE),
        }
    }

    /// Whether it is of our type at all.
    fn is_for_signatures(&self) -> bool {
        let or_unsaid = |said: &Option<String>, ours| said.as_deref().is_none_or(|said| said == ours);
        self.kty == KEY_TYPE
            && self.crv.as_deref() == Some(CURVE)
            && or_unsaid(&self.alg, ALGORITHM)
            && or_unsaid(&self.used_for, USE)
    }

    fn read(&self) -> Option<PublicKey> {
        let raw: [u8; 32] = URL_SAFE_NO_PAD.decode(self.x.as_deref()?).ok()?.try_into().ok()?;
        let point = VerifyingKey::from_bytes(&raw).ok().filter(|point| !point.is_weak())?;
        let key = PublicKey::new(point.to_bytes());
        (self.kid.as_deref() == Some(key.key_id())).then_some(key)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::KeyRing;
    use super::*;

    fn ring() -> KeyRing {
        KeyRing::from_seed(&[42; 32]).accepting(&[43; 32])
    }

    fn jwks() -> Value {
        serde_json::from_str(&ring().public_keys().to_jwks()).unwrap()
    }

    fn read(set: &Value) -> Result<PublicKeys, JwksError> {
        PublicKeys::from_jwks(set.to_string().as_bytes())
    }

    #[test]
    fn a_set_reads_back_as_it_was_written_in_the_words_of_the_rfcs() {
        assert_eq!(read(&jwks()).as_ref(), Ok(ring().public_keys()));
        let first = &jwks()["keys"][0];
        for (name, value) in [("kty", "OKP"), ("crv", "Ed25519"), ("alg", "EdDSA"), ("use", "sig")] {
            assert_eq!(first[name], value);
        }
        assert_eq!(first["kid"], ring().public_keys().key_ids().next().unwrap());
        assert_eq!(first["x"].as_str().unwrap().len(), 43, "32 bytes without padding");
        assert_eq!(first.as_object().unwrap().len(), 6, "and nothing secret: {first}");
    }

    #[test]
    fn keys_of_other_types_and_what_is_not_known_are_passed_over() {
        let mut set = jwks();
        set["more"] = json!({});
        set["keys"][0]["x5t"] = json!("ignored");
        for foreign in [json!({"kty": "RSA", "n": "AQ", "e": "AQAB"}), json!({"kty": "OKP", "crv": "X25519", "x": "A"})]
        {
            set["keys"].as_array_mut().unwrap().insert(0, foreign);
        }
        assert_eq!(read(&set).as_ref(), Ok(ring().public_keys()));
    }

    #[test]
    fn one_bad_key_spoils_the_set() {
        let other_id = jwks()["keys"][1]["kid"].clone();
        // The neutral element: under it, signatures of anything verify that should not.
        let weak = PublicKey::new({
            let mut raw = [0; 32];
            raw[0] = 1;
            raw
        });
        let changes = [
            ("x", json!("AAAA")),
            ("x", json!(null)),
            ("x", json!("!")),
            ("x", jwks()["keys"][1]["x"].clone()),
            ("kid", other_id),
            ("kid", json!("")),
            ("kid", json!(null)),
        ];
        for (name, value) in changes {
            let mut set = jwks();
            set["keys"][0][name] = value.clone();
            assert_eq!(read(&set), Err(JwksError::BadKey), "{name} = {value}");
        }
        let mut set = jwks();
        set["keys"][0] = serde_json::to_value(Jwk::of(&weak)).unwrap();
        assert_eq!(read(&set), Err(JwksError::BadKey), "a weak key");
    }

    #[test]
    fn what_is_no_set_and_sets_beyond_all_bounds_are_refused() {
        for text in ["", "null", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[7]}", "<html>", "{\"keys\":[{}]}", "\0"] {
            assert_eq!(PublicKeys::from_jwks(text.as_bytes()), Err(JwksError::NoSet), "{text:?}");
        }
        assert_eq!(read(&json!({"keys": []})), Err(JwksError::NoKey));
        let many = json!({"keys": vec![jwks()["keys"][0].clone(); MAX_KEYS + 1]});
        assert_eq!(read(&many), Err(JwksError::TooMany), "BOUNDED");
        let long = " ".repeat(MAX_JWKS_BYTES + 1);
        assert_eq!(PublicKeys::from_jwks(long.as_bytes()), Err(JwksError::TooLong), "BOUNDED");
    }
}
