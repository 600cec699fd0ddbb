//! TLS at the door: opens the certificate and its key, and takes a new pair while it runs.
//!
//! What is asked for: TLS 1.2 and 1.3 with what rustls holds to be safe, HTTP/1.1 by ALPN, tickets for cheap returns. A
//! pair that cannot be used keeps the one before, and says so. The hub speaks it; nothing here is in the way of a byte.

mod pair;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use hubbub_hub::Tls;
use rustls::crypto::ring;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};

pub use self::pair::TlsError;

use crate::config::TlsSection;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A returning client needs one ticket; each is 200 bytes of every handshake.
const TICKETS: usize = 1;

/// The certificate in use.
#[derive(Debug)]
struct InUse(RwLock<Arc<CertifiedKey>>);

impl InUse {
    fn replace(&self, key: Arc<CertifiedKey>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = key;
    }
}

impl ResolvesServerCert for InUse {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// The files, and what is in use of them.
pub(crate) struct Certificate {
    files: (PathBuf, PathBuf),
    in_use: Arc<InUse>,
    /// What the files looked like when they were last read.
    seen: Option<Look>,
    /// What they have looked like since they changed.
    changed: Option<Look>,
}

/// What tells one pair of files from another without reading them.
type Look = [(SystemTime, u64); 2];

/// Opens what the settings name; nothing if they name nothing. Waits for the disk.
///
/// # Errors
///
/// [`TlsError`] says what to do about it.
pub(crate) fn open(section: &TlsSection) -> Result<Option<(Tls, Certificate)>, TlsError> {
    let Some((certificate, key)) = section.files() else { return Ok(None) };
    // Looked at first: what changes while it is read is read again.
    let seen = look(certificate, key).ok();
    let in_use = Arc::new(InUse(RwLock::new(Arc::new(pair::read(certificate, key)?))));
    let config = server_config(Arc::clone(&in_use) as _)?;
    let certificate = Certificate { files: (certificate.clone(), key.clone()), in_use, seen, changed: None };
    Ok(Some((Tls::new(Arc::new(config), section.allow_plain), certificate)))
}

/// Opens both files as a start would, and leaves it at that. Answers what may be wrong and is no reason not to start.
///
/// # Errors
///
/// [`TlsError`] says what to do about it.
pub fn check(section: &TlsSection) -> Result<Option<String>, TlsError> {
    let Some((certificate, key)) = section.files() else { return Ok(None) };
    Ok(pair::doubt(&pair::read(certificate, key)?, certificate))
}

fn server_config(certificates: Arc<dyn ResolvesServerCert>) -> Result<ServerConfig, TlsError> {
    let versions = [&version::TLS13, &version::TLS12];
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&versions)
        .map_err(TlsError::Setup)?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ticketer = ring::Ticketer::new().map_err(TlsError::Setup)?;
    config.send_tls13_tickets = TICKETS;
    // What a client needs to come back is in its ticket.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

fn look(certificate: &Path, key: &Path) -> io::Result<Look> {
    let look = |path: &Path| {
        let metadata = std::fs::metadata(path)?;
        Ok::<_, io::Error>((metadata.modified()?, metadata.len()))
    };
    Ok([look(certificate)?, look(key)?])
}

impl Certificate {
    /// Tells at the start what may be wrong with it.
    pub(crate) fn tell_doubts(&self) {
        let in_use = Arc::clone(&self.in_use.0.read().unwrap_or_else(PoisonError::into_inner));
        if let Some(doubt) = pair::doubt(&in_use, &self.files.0) {
            tracing::warn!("{doubt}");
        }
    }

    /// Takes every new pair, for as long as it is polled.
    pub(crate) async fn follow(mut self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let looking = tokio::task::spawn_blocking(move || {
                self.look_again();
                self
            });
            // A mistake in this program, which is in the log: the pair in use stays.
            let Ok(back) = looking.await else { return };
            self = back;
        }
    }

    /// Reads the files again if they have changed and then stood still for one look: two files are not replaced at once.
    fn look_again(&mut self) {
        let (certificate, key) = &self.files;
        let now = look(certificate, key).ok();
        if now == self.seen || now.is_none() {
            self.changed = None;
            return;
        }
        if self.changed != now {
            self.changed = now;
            return;
        }
        (self.seen, self.changed) = (now, None);
        match pair::read(certificate, key) {
            Ok(pair) => {
                self.in_use.replace(Arc::new(pair));
                tracing::info!(certificate = %certificate.display(), "a new certificate is in use");
                self.tell_doubts();
            }
            Err(error) => tracing::error!(%error, "the new certificate cannot be used, so the one before stays in use"),
        }
    }
}
