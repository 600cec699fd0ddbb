//! TLS at the door: the certificate, its key, and who may come in without.

use std::path::PathBuf;

use super::form::{MaybeFile, Switch};
use super::reader::Reader;

/// Settings below `[tls]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSection {
    /// The certificate with its chain; nothing for no TLS.
    pub certificate_file: Option<PathBuf>,
    /// The certificate's key.
    pub key_file: Option<PathBuf>,
    /// Whether plain HTTP is let in from other machines too.
    pub allow_plain: bool,
}

impl TlsSection {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            certificate_file: reader.setting(
                "tls.certificate_file",
                "The file of the certificate, and behind it those that lead to its root, in PEM. With it and its key, \
                 https:// and wss:// are spoken on the one port. Both files are looked at every few seconds, and a new \
                 pair is taken without a restart.",
                None,
                &MaybeFile,
            ),
            key_file: reader.setting(
                "tls.key_file",
                "The file of the certificate's key, in PEM, for its owner alone.",
                None,
                &MaybeFile,
            ),
            allow_plain: reader.setting(
                "tls.allow_plain",
                "Whether plain HTTP and WebSocket are let in beside TLS from other machines too: from this one they \
                 always are.",
                false,
                &Switch,
            ),
        }
    }

    pub(super) fn check(&self, reader: &mut Reader) {
        match (&self.certificate_file, &self.key_file) {
            (Some(_), None) => reader.refuse_beside("tls.key_file", "the key that goes with", "tls.certificate_file"),
            (None, Some(_)) => reader.refuse_beside("tls.certificate_file", "what goes with", "tls.key_file"),
            (Some(_), Some(_)) | (None, None) => {}
        }
    }

    /// Both files, where TLS is wanted.
    pub fn files(&self) -> Option<(&PathBuf, &PathBuf)> {
        self.certificate_file.as_ref().zip(self.key_file.as_ref())
    }
}
