//! The secret behind every token: one seed, in the data folder of a process by itself or in a file that several share.
//!
//! Whoever reads it can log in as anybody, so its file is for its owner alone. A process by itself makes its seed at the
//! first start and keeps it from then on; where several log the same people in, a seed that each made for itself would
//! make strangers of the others' tokens, so there the file has to be given.

use std::fs::DirBuilder;
use std::io;
use std::path::{Path, PathBuf};

use hubbub_domain::tokens::KeyRing;

use crate::config::{Config, StoreKind};
use crate::secret_file::{self, SecretError, refuse_exposed};

/// The folder of secrets, in the data folder.
const FOLDER: &str = "keys";
/// The file of the seed.
const FILE: &str = "token.key";

/// The keys that this configuration names.
///
/// # Errors
///
/// [`SecretError`] says what to do about it.
pub fn open(config: &Config) -> Result<KeyRing, SecretError> {
    let ring = match &config.keys.file {
        Some(file) => KeyRing::from_seed(&*secret_file::read(file)?),
        None if config.store == StoreKind::Memory => KeyRing::generate().map_err(|_| SecretError::NoRandomness)?,
        None if config.shares_logins() => KeyRing::from_seed(&*secret_file::read(&default_file(&config.data))?),
        None => load_or_make(&config.data)?,
    };
    match &config.keys.previous_file {
        Some(file) => Ok(ring.accepting(&*secret_file::read(file)?)),
        None => Ok(ring),
    }
}

/// Where the seed is, unless the configuration says otherwise.
pub(crate) fn default_file(data: &Path) -> PathBuf {
    data.join(FOLDER).join(FILE)
}

/// The keys of this data folder, made if there are none. Nobody else makes any meanwhile: over a store in the folder, its
/// lock is held.
///
/// # Errors
///
/// [`SecretError`] says what to do about it.
pub fn load_or_make(data: &Path) -> Result<KeyRing, SecretError> {
    let folder = data.join(FOLDER);
    make_folder(&folder).map_err(|source| SecretError::Io { path: folder.clone(), source })?;
    refuse_exposed(&folder, 0o700)?;
    let path = folder.join(FILE);
    match secret_file::read(&path) {
        Err(SecretError::Missing { .. }) => {
            let seed = secret_file::make(&path)?;
            tracing::info!("made a new key for tokens; logins of an earlier one have ended");
            Ok(KeyRing::from_seed(&seed))
        }
        seed => Ok(KeyRing::from_seed(&*seed?)),
    }
}

fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
