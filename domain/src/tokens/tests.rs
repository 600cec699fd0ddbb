//! Tokens that were not made here as access tokens, or whose time is not now: all refused.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use hubbub_protocol::member::SenderType;
use hubbub_protocol::{DeviceId, ErrorCode, SessionId, Timestamp, UserId};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use sha2::Sha256;

use super::access::Refused;
use super::{ACCESS_LIFE_MS, KeyRing};
use crate::identity::Caller;

const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);
const NOW_S: u64 = 1_800_000_000;

fn caller() -> Caller {
    Caller {
        user_id: UserId::from_bytes([1; 16]),
        session_id: SessionId::from_bytes([2; 16]),
        device_id: DeviceId::from_bytes([3; 16]),
        kind: SenderType::Human,
        expires_at: NOW.plus_ms(ACCESS_LIFE_MS),
    }
}

fn keys() -> KeyRing {
    KeyRing::from_seed(&[42; 32])
}

fn verify(keys: &KeyRing, token: &str, now: Timestamp) -> Result<Caller, ErrorCode> {
    keys.public_keys().verify(token, now).map_err(|refused| match refused {
        // Of fixed keys, none other will come.
        Refused::UnknownKey => ErrorCode::InvalidToken,
        Refused::For(error) => error.code,
    })
}

fn header(keys: &KeyRing) -> Value {
    json!({"alg": "EdDSA", "typ": "at+jwt", "kid": keys.key_id})
}

fn claims() -> Value {
    json!({
        "iss": "hubbub", "aud": "hubbub", "kind": "human",
        "sub": UserId::from_bytes([1; 16]), "sid": SessionId::from_bytes([2; 16]), "did": DeviceId::from_bytes([3; 16]),
        "iat": NOW_S, "nbf": NOW_S, "exp": NOW_S + 300,
    })
}

fn encode(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}

/// Signed with our own key, whatever it says.
fn signed(keys: &KeyRing, header: &Value, claims: &Value) -> String {
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &keys.signing, Algorithm::EdDSA).unwrap();
    format!("{message}.{signature}")
}

fn with(mut base: Value, name: &str, value: Value) -> Value {
    base[name] = value;
    base
}

fn without(mut base: Value, name: &str) -> Value {
    base.as_object_mut().unwrap().remove(name);
    base
}

fn assert_refused(keys: &KeyRing, forged: Vec<(String, String)>, code: ErrorCode) {
    for (name, token) in forged {
        assert_eq!(verify(keys, &token, NOW), Err(code), "{name}: {token}");
    }
}

#[test]
fn our_own_tokens_are_taken_as_issued() {
    let keys = keys();
    let token = keys.issue(&caller(), NOW).unwrap();
    assert_eq!(verify(&keys, &token, NOW), Ok(caller()));
    assert_eq!(verify(&keys, &signed(&keys, &header(&keys), &claims()), NOW), Ok(caller()), "the table's base is good");
    assert!(token.len() < 600, "{}", token.len());
}

#[test]
fn the_same_seed_gives_the_same_keys() {
    let token = keys().issue(&caller(), NOW).unwrap();
    assert_eq!(verify(&keys(), &token, NOW), Ok(caller()));
    assert!(verify(&KeyRing::from_seed(&[43; 32]), &token, NOW).is_err());
    assert_ne!(KeyRing::generate().unwrap().key_id, KeyRing::generate().unwrap().key_id);
}

#[test]
fn a_header_that_is_not_ours_is_refused_though_our_key_signed_it() {
    let keys = keys();
    let cases = [
        ("alg none", with(header(&keys), "alg", json!("none"))),
        ("alg in another case", with(header(&keys), "alg", json!("EDDSA"))),
        ("alg of another family", with(header(&keys), "alg", json!("ES256"))),
        ("alg HS256", with(header(&keys), "alg", json!("HS256"))),
        ("alg missing", without(header(&keys), "alg")),
        ("alg a list", with(header(&keys), "alg", json!(["EdDSA"]))),
        ("kid of another", with(header(&keys), "kid", json!("AAAAAAAAAAAAAAAA"))),
        ("kid a path", with(header(&keys), "kid", json!("../../dev/null"))),
        ("kid missing", without(header(&keys), "kid")),
        ("typ of another use", with(header(&keys), "typ", json!("JWT"))),
        ("typ in another case", with(header(&keys), "typ", json!("AT+JWT"))),
        ("typ missing", without(header(&keys), "typ")),
        ("an extension that must be understood", with(header(&keys), "crit", json!(["exp"]))),
    ];
    let forged = cases.into_iter().map(|(name, header)| (name.to_owned(), signed(&keys, &header, &claims()))).collect();
    assert_refused(&keys, forged, ErrorCode::InvalidToken);
}

#[test]
fn claims_that_are_missing_or_of_another_type_or_meaning_are_refused() {
    let keys = keys();
    let mut cases: Vec<(String, Value)> = ["iss", "aud", "sub", "sid", "did", "kind", "iat", "nbf", "exp"]
        .map(|name| (format!("{name} missing"), without(claims(), name)))
        .into();
    let changed = [
        ("exp", json!((NOW_S + 300).to_string())),
        ("exp", json!(1e300)),
        ("exp", json!(-1)),
        ("exp", json!(null)),
        ("exp", json!([NOW_S + 300])),
        ("exp", json!(NOW_S + 301)),
        ("exp", json!(u64::MAX)),
        ("nbf", json!(NOW_S.to_string())),
        ("nbf", json!(NOW_S + 6)),
        ("iat", json!(NOW_S + 6)),
        ("iat", json!("now")),
        ("aud", json!("another")),
        ("aud", json!(["hubbub"])),
        ("aud", json!("")),
        ("iss", json!("another")),
        ("iss", json!("hubbub ")),
        ("sub", json!("not a uuid")),
        ("sub", json!(7)),
        ("kind", json!("god")),
    ];
    cases.extend(changed.map(|(name, value)| (format!("{name} = {value}"), with(claims(), name, value))));
    let forged = cases.into_iter().map(|(name, claims)| (name, signed(&keys, &header(&keys), &claims))).collect();
    assert_refused(&keys, forged, ErrorCode::InvalidToken);
}

#[test]
fn a_token_whose_time_is_over_says_so_and_only_then() {
    let keys = keys();
    let token = keys.issue(&caller(), NOW).unwrap();
    let at = |ms| verify(&keys, &token, NOW.plus_ms(ms)).map(|_| ());
    assert_eq!(at(ACCESS_LIFE_MS + 4_999), Ok(()), "within the leeway of 5 s");
    assert_eq!(at(ACCESS_LIFE_MS + 5_000), Err(ErrorCode::ExpiredToken));
    assert_eq!(at(-5_000), Ok(()), "within the leeway of 5 s");
    assert_eq!(at(-6_000), Err(ErrorCode::InvalidToken), "from the future");
    // Expired and forged is forged: nobody learns that it was good once.
    let other = KeyRing::from_seed(&[1; 32]).issue(&caller(), NOW).unwrap();
    let answer = verify(&keys, &other, NOW.plus_ms(ACCESS_LIFE_MS * 2));
    assert_eq!(answer, Err(ErrorCode::InvalidToken));
}

/// Signatures that are none of ours over the claims we would make.
#[test]
fn signatures_that_are_not_ours_are_refused() {
    let keys = keys();
    let good = keys.issue(&caller(), NOW).unwrap();
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (head, body) = message.split_once('.').unwrap();
    let other = KeyRing::from_seed(&[1; 32]);
    let public = keys.public_keys().find(&keys.key_id).unwrap().decoding().try_get_as_bytes().unwrap();
    let hs = |key: &[u8]| {
        let message = format!("{}.{body}", encode(&with(header(&keys), "alg", json!("HS256"))));
        let mark = Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(&message).finalize();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(mark.into_bytes()))
    };
    let none = format!("{}.{body}.", encode(&with(header(&keys), "alg", json!("none"))));
    let edited = encode(&with(claims(), "sub", json!(UserId::from_bytes([9; 16]))));
    let last = signature.chars().last().unwrap();
    let trailing = format!("{}{}", &good[..good.len() - 1], if last == 'A' { 'B' } else { (last as u8 + 1) as char });
    let forged = [
        ("alg none without a signature", none),
        ("HS256 with the public key", hs(public)),
        ("HS256 with the public key in text", hs(STANDARD.encode(public).as_bytes())),
        ("HS256 with nothing", hs(b"")),
        (
            "another key with our kid",
            signed(&KeyRing { key_id: keys.key_id.clone(), ..other }, &header(&keys), &claims()),
        ),
        ("another subject under the same signature", format!("{head}.{edited}.{signature}")),
        ("empty signature", format!("{message}.")),
        ("no signature", message.to_owned()),
        ("signature of zeros", format!("{message}.{}", URL_SAFE_NO_PAD.encode([0; 64]))),
        ("signature cut short", good[..good.len() - 2].to_owned()),
        (
            "signature with a byte more",
            format!(
                "{message}.{}",
                URL_SAFE_NO_PAD.encode([&URL_SAFE_NO_PAD.decode(signature).unwrap()[..], &[0]].concat())
            ),
        ),
        ("signature with another spelling of its last bits", trailing),
        ("padding", format!("{good}==")),
        ("a fourth part", format!("{good}.AAAA")),
        ("white space", format!(" {good}")),
        ("a line more", format!("{good}\n")),
        ("a scheme", format!("Bearer {good}")),
        ("nothing", String::new()),
        ("dots", "..".to_owned()),
        ("not base64", "a!.b!.c!".to_owned()),
        ("not JSON", format!("{0}.{0}.{0}", URL_SAFE_NO_PAD.encode("x"))),
        ("a refresh token", keys.refresh_token(caller().session_id, 0)),
        ("too long", format!("{good}.{}", "A".repeat(100_000))),
    ];
    let forged = forged.into_iter().map(|(name, token)| (name.to_owned(), token)).collect();
    assert_refused(&keys, forged, ErrorCode::InvalidToken);
}

#[test]
fn no_single_changed_character_of_a_token_is_taken() {
    let keys = keys();
    let good = keys.issue(&caller(), NOW).unwrap();
    for place in 0..good.len() {
        let other = if good.as_bytes()[place] == b'A' { "B" } else { "A" };
        let forged = format!("{}{other}{}", &good[..place], &good[place + 1..]);
        assert!(verify(&keys, &forged, NOW).is_err(), "changed at {place}");
    }
}

#[test]
fn refresh_tokens_say_what_they_were_made_for() {
    let keys = keys();
    let session = SessionId::from_bytes([5; 16]);
    for generation in [0, 1, u64::MAX] {
        let token = keys.refresh_token(session, generation);
        assert_eq!(keys.read_refresh_token(&token), Some((session, generation)));
        assert_eq!(keys.refresh_token(session, generation), token, "the same successor for a retry");
    }
    assert_eq!(keys.read_refresh_token(&keys.issue(&caller(), NOW).unwrap()), None);
}

#[test]
fn a_ring_that_accepts_another_seed_takes_what_that_gave_and_gives_its_own() {
    let (old, new) = (KeyRing::from_seed(&[1; 32]), KeyRing::from_seed(&[2; 32]).accepting(&[1; 32]));
    let (session, token) = (SessionId::from_bytes([5; 16]), old.issue(&caller(), NOW).unwrap());
    assert_eq!(verify(&new, &token, NOW), Ok(caller()));
    assert_eq!(new.read_refresh_token(&old.refresh_token(session, 7)), Some((session, 7)));
    assert_eq!(verify(&old, &new.issue(&caller(), NOW).unwrap(), NOW), Err(ErrorCode::InvalidToken), "its own key");
    assert_eq!(old.read_refresh_token(&new.refresh_token(session, 7)), None, "its own mark");
    assert_eq!(new.public_keys().key_ids().collect::<Vec<_>>(), [new.key_id.as_str(), &old.key_id]);
    let third = KeyRing::from_seed(&[3; 32]);
    assert_eq!(verify(&new, &third.issue(&caller(), NOW).unwrap(), NOW), Err(ErrorCode::InvalidToken));
    assert_eq!(new.read_refresh_token(&third.refresh_token(session, 7)), None);
}
