//! The secret behind every token: one seed in the data folder, made at the first start and kept from then on.
//!
//! Whoever reads it can log in as anybody, so its file is for its owner alone, and one that others can read is refused
//! rather than used. Called once at the start, when the store holds the folder's lock, so nobody else makes one meanwhile.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use hubbub_domain::tokens::KeyRing;
use zeroize::Zeroizing;

/// The folder of secrets, in the data folder.
const FOLDER: &str = "keys";
/// The file of the seed: 64 hexadecimal digits.
const FILE: &str = "token.key";
/// Bytes of a seed.
const SEED_BYTES: usize = 32;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The operating system refused.
    #[error("cannot use the key file {}: {source}; check that this user owns the folder and may write there", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Its words.
        source: io::Error,
    },
    /// Others than its owner can read it.
    #[error("others can read {} (mode {mode:03o}), so its secret may be known: run chmod {wanted:03o} on it, or delete \
             it to have a new one made (which ends all logins)", path.display())]
    Exposed {
        /// The file or folder.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// What they should be.
        wanted: u32,
    },
    /// It holds no seed.
    #[error("{} is no key file of Hubbub's: restore it, or delete it to have a new one made (which ends all logins)",
            path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// The operating system has no randomness to give.
    #[error("the operating system gave no random bytes for a new key")]
    NoRandomness,
}

/// The keys of this data folder, made if there are none.
///
/// # Errors
///
/// [`KeyError`] says what to do about it.
pub fn load_or_make(data: &Path) -> Result<KeyRing, KeyError> {
    let folder = data.join(FOLDER);
    make_folder(&folder).map_err(|source| KeyError::Io { path: folder.clone(), source })?;
    refuse_exposed(&folder, 0o700)?;
    let path = folder.join(FILE);
    let at_path = |source| KeyError::Io { path: path.clone(), source };
    match fs::read_to_string(&path) {
        Ok(text) => {
            let text = Zeroizing::new(text);
            refuse_exposed(&path, 0o600)?;
            let seed = from_hex(text.trim_end()).ok_or_else(|| KeyError::Malformed { path: path.clone() })?;
            Ok(KeyRing::from_seed(&seed))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let seed = KeyRing::new_seed().map_err(|_| KeyError::NoRandomness)?;
            write_durably(&folder, &path, &to_hex(&seed)).map_err(at_path)?;
            tracing::info!("made a new key for tokens; logins of an earlier one have ended");
            Ok(KeyRing::from_seed(&seed))
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(KeyError::Malformed { path }),
        Err(error) => Err(at_path(error)),
    }
}

/// Keys that end with the process, for a store that does too.
///
/// # Errors
///
/// [`KeyError::NoRandomness`].
pub fn passing() -> Result<KeyRing, KeyError> {
    KeyRing::generate().map_err(|_| KeyError::NoRandomness)
}

/// Never leaves half a key: the name appears once the bytes are on disk.
fn write_durably(folder: &Path, path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("key.new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = owner_only(OpenOptions::new().write(true).create_new(true)).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(folder)?.sync_all()
}

fn to_hex(seed: &[u8; SEED_BYTES]) -> Zeroizing<String> {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    // Room for all of it at once: growing would leave copies behind.
    let mut text = Zeroizing::new(String::with_capacity(2 * SEED_BYTES));
    for byte in seed {
        text.push(DIGITS[usize::from(byte >> 4)]);
        text.push(DIGITS[usize::from(byte & 0xf)]);
    }
    text
}

fn from_hex(text: &str) -> Option<Zeroizing<[u8; SEED_BYTES]>> {
    let digits = text.as_bytes();
    if digits.len() != 2 * SEED_BYTES {
        return None;
    }
    let digit = |at: usize| char::from(digits[at]).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut seed = Zeroizing::new([0; SEED_BYTES]);
    for (at, byte) in seed.iter_mut().enumerate() {
        *byte = digit(2 * at)? << 4 | digit(2 * at + 1)?;
    }
    Some(seed)
}

#[cfg(unix)]
fn owner_only(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600)
}

#[cfg(not(unix))]
fn owner_only(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(unix)]
fn refuse_exposed(path: &Path, wanted: u32) -> Result<(), KeyError> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = fs::metadata(path).map_err(|source| KeyError::Io { path: path.to_path_buf(), source })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Exposed { path: path.to_path_buf(), mode, wanted });
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_exposed(_path: &Path, _wanted: u32) -> Result<(), KeyError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_reads_back_as_it_was_written() {
        let seed = KeyRing::new_seed().unwrap();
        assert_eq!(from_hex(&to_hex(&seed)).unwrap(), seed);
    }

    #[test]
    fn what_is_no_seed_is_refused() {
        let good = "0123456789abcdef".repeat(4);
        assert!(from_hex(&good).is_some());
        for wrong in [String::new(), good[1..].to_owned(), format!("{good}0"), good.replace('0', "g"), "é".repeat(32)]
        {
            assert!(from_hex(&wrong).is_none(), "{wrong:?}");
        }
    }
}
