//! The public keys of logins, for a process that lets people in and logs nobody in: fetched from those that do, and
//! followed as they change.
//!
//! The start waits for a first set, so a hub may start before the others. After that nothing here can keep anybody out
//! who was let in before: a set that cannot be had, or is none, leaves the one before in force, and a key is good until
//! it is gone from a good set. BOUNDED: a look takes [`LOOK_WITHIN`] for each source and comes at most once in
//! [`AT_LEAST_BETWEEN`], however many tokens come under unknown keys; a set's size has limits of its own.
//!
//! By plain HTTP, so whoever can pass for the source can log in as anybody: over a network of one's own, or from a file.

use std::io;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hubbub_domain::tokens::{KeyFeed, MAX_JWKS_BYTES, PublicKeys, Verifier};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::config::{KeySource, KeysSection};
use crate::secret_file::refuse_exposed;
use crate::start_error::StartError;

/// How often the set is looked at.
const EVERY: Duration = Duration::from_mins(5);
/// How soon again, after a look that found none.
const AGAIN_AFTER: Duration = Duration::from_secs(10);
/// Between two looks, however many are asked for.
const AT_LEAST_BETWEEN: Duration = Duration::from_secs(1);
/// How long one source may take.
const LOOK_WITHIN: Duration = Duration::from_secs(2);
/// At the start: between two tries, and between two lines that tell of them.
const TRY_EVERY: Duration = Duration::from_millis(250);
const TELL_EVERY: Duration = Duration::from_secs(5);

/// A set of keys that is followed.
pub(crate) struct Following {
    sources: Vec<KeySource>,
    feed: KeyFeed,
    looked: Instant,
}

/// Fetches the first set, and a verifier that goes by it and by those to come.
///
/// # Errors
///
/// [`StartError::NoKeys`] when none can be had in time.
pub(crate) async fn open(config: &KeysSection) -> Result<(Verifier, Following), StartError> {
    let begun = Instant::now();
    let mut told = begun;
    loop {
        match look(&config.jwks).await {
            Ok(keys) => {
                tracing::info!(keys = keys.key_ids().count(), "the public keys of logins are here");
                let (verifier, feed) = Verifier::following(keys);
                return Ok((verifier, Following { sources: config.jwks.clone(), feed, looked: Instant::now() }));
            }
            Err(error) if begun.elapsed() >= config.wait => {
                return Err(StartError::NoKeys { error, seconds: begun.elapsed().as_secs() });
            }
            Err(error) => {
                if told == begun || told.elapsed() >= TELL_EVERY {
                    told = Instant::now();
                    let elapsed_s = begun.elapsed().as_secs();
                    tracing::warn!(error, elapsed_s, "the public keys of logins cannot be had yet; trying again");
                }
                sleep(TRY_EVERY).await;
            }
        }
    }
}

impl Following {
    /// Looks at the set now and then, and when a token comes under an unknown key; until it is dropped.
    pub(crate) async fn follow(mut self) {
        let mut found = true;
        loop {
            let regular = self.looked + if found { EVERY } else { AGAIN_AFTER };
            tokio::select! {
                () = sleep_until(regular) => {}
                () = self.feed.wanted() => sleep_until(self.looked + AT_LEAST_BETWEEN).await,
            }
            self.feed.begin();
            let set = look(&self.sources).await;
            self.looked = Instant::now();
            let found_before = std::mem::replace(&mut found, set.is_ok());
            // Told when it changes: a stranger's tokens must not fill the log.
            if let Some(error) = set.as_ref().err().filter(|_| found_before) {
                tracing::warn!(error, "the public keys of logins cannot be had; those known stay in force");
            } else if found && !found_before {
                tracing::info!("the public keys of logins can be had again");
            }
            let changed = self.feed.end(set.ok());
            if changed {
                tracing::info!("the public keys of logins have changed");
            }
            let outcome = if changed {
                "changed"
            } else if found {
                "same"
            } else {
                "failed"
            };
            metrics::counter!("hubbub_jwks_looks_total", "outcome" => outcome).increment(1);
        }
    }
}

/// The set of the first source that has a good one, or what was wrong with each.
async fn look(sources: &[KeySource]) -> Result<PublicKeys, String> {
    let mut wrong = Vec::new();
    for source in sources {
        let (name, read) = match source {
            KeySource::Http { authority, path } => {
                (format!("http://{authority}{path}"), timeout(LOOK_WITHIN, fetch(authority, path)).await)
            }
            KeySource::File(path) => (path.display().to_string(), timeout(LOOK_WITHIN, read(path)).await),
        };
        let late = |_| Err(format!("no answer within {} s", LOOK_WITHIN.as_secs()));
        match read.unwrap_or_else(late).and_then(|text| PublicKeys::from_jwks(&text).map_err(|error| error.to_string()))
        {
            Ok(keys) => return Ok(keys),
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    Err(wrong.join("; "))
}

/// The body of a 200 to a GET, of a set's size at the most. No redirect is followed.
async fn fetch(authority: &str, path: &str) -> Result<Bytes, String> {
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    let address = if has_port { authority.to_owned() } else { format!("{authority}:80") };
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let shaken = http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(|error| error.to_string())?;
    let request = Request::get(path)
        .header(HOST, authority)
        .header(ACCEPT, "application/jwk-set+json, application/json")
        .header(hyper::header::CONNECTION, "close")
        .body(Empty::new())
        .map_err(|error| error.to_string())?;
    let mut asked = pin!(async move {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        if response.status() != StatusCode::OK {
            return Err(format!("answered with status {}", response.status().as_u16()));
        }
        let body = Limited::new(response.into_body(), MAX_JWKS_BYTES).collect().await;
        body.map(http_body_util::Collected::to_bytes).map_err(|error| error.to_string())
    });
    tokio::select! {
        biased;
        body = &mut asked => body,
        // Closed as asked for, or broken: what has come of the answer is in hand.
        _ended = connection => asked.await,
    }
}

/// What is in a file that nobody but its owner can change, of a set's size at the most.
async fn read(path: &Path) -> Result<Bytes, String> {
    let told = |error: io::Error| error.to_string();
    refuse_exposed(path, 0o644).map_err(|error| error.to_string())?;
    let mut text = Vec::new();
    let limit = MAX_JWKS_BYTES as u64 + 1;
    let file = tokio::fs::File::open(path).await.map_err(told)?;
    file.take(limit).read_to_end(&mut text).await.map_err(told)?;
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::{Arc, Mutex};

    use hubbub_domain::identity::Caller;
    use hubbub_domain::tokens::{KeyRing, MAX_KEYS};
    use hubbub_protocol::member::SenderType;
    use hubbub_protocol::{DeviceId, SessionId, Timestamp, UserId};
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);

    fn token_of(ring: &KeyRing) -> String {
        let caller = Caller {
            user_id: UserId::from_bytes([1; 16]),
            session_id: SessionId::from_bytes([2; 16]),
            device_id: DeviceId::from_bytes([3; 16]),
            kind: SenderType::Human,
            expires_at: NOW.plus_ms(300_000),
        };
        ring.issue(&caller, NOW).unwrap()
    }

    fn ring(seed: u8) -> KeyRing {
        KeyRing::from_seed(&[seed; 32])
    }

    fn answer(status: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    fn good(seed: u8) -> String {
        answer("200 OK", &ring(seed).public_keys().to_jwks())
    }

    /// A server that gives each who asks what it has at that time, and closes.
    struct Source {
        has: Arc<Mutex<String>>,
        at: KeySource,
    }

    impl Source {
        async fn with(has: impl Into<String>) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let authority = listener.local_addr().unwrap().to_string();
            let has = Arc::new(Mutex::new(has.into()));
            let given = Arc::clone(&has);
            tokio::spawn(async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    let given = given.lock().unwrap().clone();
                    tokio::spawn(async move {
                        let mut asked = [0; 1024];
                        let read = stream.read(&mut asked).await.unwrap();
                        assert!(asked[..read].starts_with(b"GET /jwks?v=1 HTTP/1.1\r\n"));
                        // Somebody who has heard enough may have gone.
                        drop(stream.write_all(given.as_bytes()).await);
                        if given.is_empty() {
                            std::future::pending::<()>().await;
                        }
                    });
                }
            });
            Self { has, at: KeySource::Http { authority, path: "/jwks?v=1".into() } }
        }

        fn now_has(&self, has: impl Into<String>) {
            *self.has.lock().unwrap() = has.into();
        }
    }

    fn section(jwks: Vec<KeySource>, wait_ms: u64) -> KeysSection {
        KeysSection { file: None, previous_file: None, jwks, wait: Duration::from_millis(wait_ms) }
    }

    #[tokio::test]
    async fn a_set_is_had_from_the_first_source_that_has_a_good_one() {
        let (broken, first, second) =
            (Source::with(answer("500 No", "")).await, Source::with(good(1)).await, Source::with(good(2)).await);
        let found = look(&[broken.at.clone(), first.at, second.at]).await;
        assert_eq!(found.as_ref(), Ok(ring(1).public_keys()));
        let wrong = look(&[broken.at, KeySource::File("/nowhere".into())]).await.unwrap_err();
        assert!(wrong.contains("status 500") && wrong.contains("/nowhere"), "{wrong}");
    }

    #[tokio::test]
    async fn bounded_what_is_no_set_is_refused_however_it_comes() {
        let set = ring(1).public_keys().to_jwks();
        let key = set.trim_start_matches("{\"keys\":[").trim_end_matches("]}");
        let many = format!("{{\"keys\":[{}]}}", vec![key; MAX_KEYS + 1].join(","));
        let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", " ".repeat(MAX_JWKS_BYTES * 2));
        let chunks =
            format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}", "1\r\n \r\n".repeat(MAX_JWKS_BYTES + 1));
        let cases = [
            ("no HTTP", "garbage\r\n\r\n".to_owned(), ""),
            ("no JSON", answer("200 OK", "<html>"), "no JWK Set"),
            ("no keys", answer("200 OK", "{\"keys\":[]}"), "no Ed25519 key"),
            ("a bad key", answer("200 OK", &set.replace("\"kid\":\"", "\"kid\":\"x")), "malformed"),
            ("another status", answer("404 Not Found", &set), "status 404"),
            (
                "elsewhere",
                "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/\r\ncontent-length: 0\r\n\r\n".into(),
                "status 302",
            ),
            ("more keys than anybody has", answer("200 OK", &many), "more than 32 keys"),
            ("more than was said", endless, "length limit exceeded"),
            ("more, in chunks", chunks, "length limit exceeded"),
            ("cut short", good(1).replace("content-length: ", "content-length: 1"), ""),
        ];
        for (name, has, told) in cases {
            let error = look(&[Source::with(has).await.at]).await.expect_err(name);
            assert!(error.contains(told), "{name}: {error}");
        }
    }

    #[tokio::test]
    async fn bounded_a_source_that_is_silent_is_left_for_the_next() {
        let begun = Instant::now();
        let found = look(&[Source::with("").await.at, Source::with(good(1)).await.at]).await;
        assert_eq!(found.as_ref(), Ok(ring(1).public_keys()));
        assert!(begun.elapsed() < LOOK_WITHIN * 2, "BOUNDED: {:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn a_start_waits_for_a_first_set_and_not_for_ever() {
        let source = Source::with(answer("503 Not Yet", "")).await;
        let error = open(&section(vec![source.at.clone()], 300)).await.err().unwrap().to_string();
        assert!(error.contains("status 503") && error.contains("keys.wait_ms"), "{error}");
        let section = section(vec![source.at.clone()], 60_000);
        let (opened, ()) = tokio::join!(open(&section), async {
            sleep(Duration::from_millis(300)).await;
            source.now_has(good(1));
        });
        assert!(opened.is_ok());
    }

    #[tokio::test]
    async fn a_set_is_followed_when_a_new_key_is_met_and_what_is_no_set_changes_nothing() {
        let source = Source::with(good(1)).await;
        let (verifier, following) = open(&section(vec![source.at.clone()], 0)).await.unwrap();
        let followed = tokio::spawn(following.follow());
        let knows = async |seed| verifier.verify(&token_of(&ring(seed)), NOW).await.is_ok();
        assert!(knows(1).await && !knows(2).await);
        source.now_has(answer("200 OK", "garbage"));
        assert!(!knows(2).await);
        assert!(knows(1).await, "the set before stays in force");
        source.now_has(answer("200 OK", &ring(2).accepting(&[1; 32]).public_keys().to_jwks()));
        assert!(knows(2).await && knows(1).await, "the old key is good until it is gone");
        source.now_has(good(2));
        assert!(!knows(3).await, "which looks at the set again");
        assert!(knows(2).await && !knows(1).await, "gone");
        followed.abort();
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_file_of_keys_is_one_that_others_cannot_change() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwks.json");
        fs::write(&path, ring(1).public_keys().to_jwks()).unwrap();
        let sources = [KeySource::File(path.clone())];
        for (mode, good) in [(0o644, true), (0o600, true), (0o664, false), (0o646, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(look(&sources).await.is_ok(), good, "{mode:o}");
        }
    }
}
