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
