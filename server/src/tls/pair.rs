//! A certificate and its key in their files: read, joined and looked at.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, Error, InconsistentKeys, RootCertStore};
use zeroize::Zeroizing;

use crate::secret_file::{self, SecretError};

/// A longer file holds something else than a certificate and its chain.
const MAX_BYTES: u64 = 1024 * 1024;
/// Whoever renews certificates by hand wants to know so long before.
const SOON: Duration = Duration::from_hours(14 * 24);

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The operating system refused.
    #[error("cannot read {}: {source}; tls.certificate_file and tls.key_file name the files", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Its words.
        source: io::Error,
    },
    /// Others can read the key.
    #[error(transparent)]
    Exposed(#[from] SecretError),
    /// The file of the certificate holds none.
    #[error("{} holds no certificate in PEM (from -----BEGIN CERTIFICATE----- on); tls.certificate_file names it", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The file of the key holds none.
    #[error(
        "{} holds no key in PEM (from -----BEGIN PRIVATE KEY----- on, without a passphrase); tls.key_file names it", path.display()
    )]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// They are of two different certificates.
    #[error("the key in {} does not go with the certificate in {}: name the pair that belongs together", key.display(), certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's.
        key: PathBuf,
    },
    /// They are of a kind that is not known.
    #[error("{} and {} cannot be used: {source}; an ECDSA, RSA or Ed25519 key and its X.509 certificate are wanted", certificate.display(), key.display())]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's.
        key: PathBuf,
        /// Why.
        source: Error,
    },
    /// The cryptography gave up, for want of randomness as a rule.
    #[error("TLS cannot be set up: {0}")]
    Setup(Error),
}

/// The certificate with its chain and its key.
///
/// # Errors
///
/// [`TlsError`] says what to do about it.
pub(super) fn read(certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&bytes_of(certificate)?)
        .collect::<Result<_, _>>()
        .ok()
        .filter(|chain: &Vec<_>| !chain.is_empty())
        .ok_or_else(|| TlsError::NoCertificate { path: certificate.to_path_buf() })?;
    let key_bytes = bytes_of(key)?;
    secret_file::refuse_exposed(key, 0o600)?;
    let private = PrivateKeyDer::from_pem_slice(&key_bytes).map_err(|_| TlsError::NoKey { path: key.to_path_buf() })?;
    CertifiedKey::from_der(chain, private, &ring::default_provider()).map_err(|error| {
        let (certificate, key) = (certificate.to_path_buf(), key.to_path_buf());
        match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::Mismatch { certificate, key },
            source => TlsError::Unusable { certificate, key, source },
        }
    })
}

fn bytes_of(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let mut bytes = Zeroizing::new(Vec::new());
    let read = File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes));
    read.map(|_| bytes).map_err(|source| TlsError::Io { path: path.to_path_buf(), source })
}

/// What clients may not like about a certificate that can be used.
pub(super) fn doubt(pair: &CertifiedKey, path: &Path) -> Option<String> {
    let what = match (age(pair, Duration::ZERO)?, age(pair, SOON)?) {
        (Age::Over, _) => "has expired: clients refuse it",
        (Age::NotYet, _) => "is not valid yet: clients refuse it",
        (Age::Fine, Age::Over) => "expires within 14 days",
        (Age::Fine, _) => return None,
    };
    Some(format!("the certificate in {} {what}", path.display()))
}

/// Where a time lies in a certificate's own.
enum Age {
    NotYet,
    Fine,
    Over,
}

/// Where the time so far from now lies in the certificate's own; nothing if it cannot be read.
fn age(pair: &CertifiedKey, from_now: Duration) -> Option<Age> {
    let certificate = ParsedCertificate::try_from(pair.end_entity_cert().ok()?).ok()?;
    let at = UnixTime::since_unix_epoch(Duration::from_secs(UnixTime::now().as_secs()) + from_now);
    // Trusted by nobody here, which is found out after its times were looked at.
    let algorithms = ring::default_provider().signature_verification_algorithms.all;
    let nobody = Arc::new(RootCertStore::empty());
    match verify_server_cert_signed_by_trust_anchor(&certificate, &nobody, &[], at, algorithms) {
        Err(Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })) => {
            Some(Age::Over)
        }
        Err(Error::InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. })) => {
            Some(Age::NotYet)
        }
        Ok(()) | Err(_) => Some(Age::Fine),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertificateParams, CertifiedKey as Made, KeyPair, date_time_ymd, generate_simple_self_signed};
    use tempfile::TempDir;

    use super::*;

    /// A folder with these two files, the key its owner's alone.
    fn files(certificate: &str, key: &str) -> (TempDir, PathBuf, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
        for (path, text) in paths.iter().zip([certificate, key]) {
            fs::write(path, text).unwrap();
            #[cfg(unix)]
            fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        }
        let [certificate, key] = paths;
        (folder, certificate, key)
    }

    fn made() -> (String, String) {
        let Made { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (cert.pem(), signing_key.serialize_pem())
    }

    fn from(year: i32, to: i32) -> (String, String) {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(year, 1, 1), date_time_ymd(to, 1, 1));
        let key = KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    fn refused(certificate: &str, key: &str) -> TlsError {
        let (_folder, certificate, key) = files(certificate, key);
        read(&certificate, &key).unwrap_err()
    }

    #[test]
    fn a_pair_is_used_and_what_is_none_is_refused_with_the_file_and_the_reason() {
        let ((certificate, key), (_, other)) = (made(), made());
        let (_folder, certificate_file, key_file) = files(&certificate, &key);
        let pair = read(&certificate_file, &key_file).unwrap();
        assert_eq!(doubt(&pair, &certificate_file), None);

        assert!(matches!(refused("words", &key), TlsError::NoCertificate { .. }));
        assert!(matches!(refused(&key, &key), TlsError::NoCertificate { .. }));
        assert!(matches!(refused(&certificate, "words"), TlsError::NoKey { .. }));
        assert!(matches!(refused(&certificate, &certificate), TlsError::NoKey { .. }));
        assert!(matches!(refused(&certificate, &other), TlsError::Mismatch { .. }));
        let broken = certificate.replacen("\nM", "\nA", 1);
        assert!(matches!(refused(&broken, &key), TlsError::Unusable { .. } | TlsError::NoCertificate { .. }));
        assert!(matches!(read(Path::new("/nowhere"), &key_file), Err(TlsError::Io { .. })));
        #[cfg(unix)]
        {
            fs::set_permissions(&key_file, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
            assert!(matches!(read(&certificate_file, &key_file), Err(TlsError::Exposed(_))));
        }
    }

    #[test]
    fn a_certificate_out_of_its_time_is_told() {
        for ((certificate, key), wanted) in
            [(from(2000, 2001), Some("expired")), (from(2990, 2999), Some("not valid yet")), (from(2000, 2999), None)]
        {
            let (_folder, certificate, key) = files(&certificate, &key);
            let doubt = doubt(&read(&certificate, &key).unwrap(), &certificate);
            match wanted {
                Some(words) => assert!(doubt.as_ref().is_some_and(|doubt| doubt.contains(words)), "{doubt:?}"),
                None => assert_eq!(doubt, None),
            }
        }
    }
}
