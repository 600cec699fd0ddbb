//! Files of secrets: 32 random bytes as 64 hexadecimal digits, or a password, for their owner alone.
//!
//! One that others can read is refused rather than used, since whoever read it can do what it is for. Nothing here shows
//! what is in one. Called at the start, from a thread that may wait for the disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use hubbub_domain::tokens::{KeyRing, Seed};
use zeroize::Zeroizing;

use crate::config::Secret;

/// Longer files hold something else.
const MAX_BYTES: u64 = 4096;

/// Bytes of a secret.
const SECRET_BYTES: usize = 32;

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The operating system refused.
    #[error("cannot use {}: {source}; check that it is there, and that this user owns it", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Its words.
        source: io::Error,
    },
    /// It is not there, and several processes have to have the same.
    #[error("there is no {0}: make it once with `hubbub secret {0}`, and copy it to every process that shares it", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// It is there, and what others rely on is not replaced.
    #[error("{} is there already: name another file, or move that one aside", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Others than its owner can read it, or change it.
    #[error("others can use {} (mode {mode:03o}), so what is in it cannot be relied on: run chmod {wanted:03o} on it, and \
             replace it if somebody may have seen it", path.display())]
    Exposed {
        /// The file or folder.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// What they should be.
        wanted: u32,
    },
    /// It holds no secret.
    #[error("{} is no secret of Hubbub's (64 hexadecimal digits): restore it, or make a new one with `hubbub secret` \
             (which ends all logins, if it is that of logins)", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// It holds no password.
    #[error("{} holds no password: one line of text is wanted", path.display())]
    NoPassword {
        /// The file.
        path: PathBuf,
    },
    /// The operating system has no randomness to give.
    #[error("the operating system gave no random bytes for a new secret")]
    NoRandomness,
}

/// The secret in this file.
///
/// # Errors
///
/// [`SecretError`] says what to do about it.
pub fn read(path: &Path) -> Result<Zeroizing<Seed>, SecretError> {
    let malformed = || SecretError::Malformed { path: path.to_path_buf() };
    let text = read_text(path)?.ok_or_else(malformed)?;
    from_hex(text.trim_end()).ok_or_else(malformed)
}

/// The password in this file: what it holds, without the end of its line.
///
/// # Errors
///
/// [`SecretError`] says what to do about it.
pub fn read_password(path: &Path) -> Result<Secret, SecretError> {
    let text = read_text(path)?.map(|text| text.trim_end_matches(['\r', '\n']).to_owned());
    let password = text.filter(|text| !text.is_empty() && !text.contains('\n'));
    password.map(Secret::new).ok_or_else(|| SecretError::NoPassword { path: path.to_path_buf() })
}

/// A new random secret in a new file.
///
/// # Errors
///
/// [`SecretError`] says what to do about it; a file that is there is left alone.
pub fn make(path: &Path) -> Result<Zeroizing<Seed>, SecretError> {
    let at_path = |source| SecretError::Io { path: path.to_path_buf(), source };
    if path.try_exists().map_err(at_path)? {
        return Err(SecretError::Exists { path: path.to_path_buf() });
    }
    let secret = KeyRing::new_seed().map_err(|_| SecretError::NoRandomness)?;
    write_durably(path, &to_hex(&secret)).map_err(at_path)?;
    Ok(secret)
}

/// What is in a file that is its owner's alone, if it is text of any such length.
fn read_text(path: &Path) -> Result<Option<Zeroizing<String>>, SecretError> {
    let at_path = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => SecretError::Missing { path: path.to_path_buf() },
        _ => SecretError::Io { path: path.to_path_buf(), source },
    };
    let file = File::open(path).map_err(at_path)?;
    refuse_exposed(path, 0o600)?;
    let mut text = Zeroizing::new(String::new());
    match file.take(MAX_BYTES).read_to_string(&mut text) {
        Ok(_) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
        Err(error) => Err(at_path(error)),
    }
}

/// Never leaves half a secret: the name appears once the bytes are on disk.
fn write_durably(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let new = path.with_extension("new");
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

fn to_hex(secret: &Seed) -> Zeroizing<String> {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    // Room for all of it at once: growing would leave copies behind.
    let mut text = Zeroizing::new(String::with_capacity(2 * SECRET_BYTES));
    for byte in secret {
        text.push(DIGITS[usize::from(byte >> 4)]);
        text.push(DIGITS[usize::from(byte & 0xf)]);
    }
    text
}

fn from_hex(text: &str) -> Option<Zeroizing<Seed>> {
    let digits = text.as_bytes();
    if digits.len() != 2 * SECRET_BYTES {
        return None;
    }
    let digit = |at: usize| char::from(digits[at]).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut secret = Zeroizing::new([0; SECRET_BYTES]);
    for (at, byte) in secret.iter_mut().enumerate() {
        *byte = digit(2 * at)? << 4 | digit(2 * at + 1)?;
    }
    Some(secret)
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

/// Refuses a file or folder that others may do more with than `wanted` says.
#[cfg(unix)]
pub(crate) fn refuse_exposed(path: &Path, wanted: u32) -> Result<(), SecretError> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = fs::metadata(path).map_err(|source| SecretError::Io { path: path.to_path_buf(), source })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 & !wanted != 0 {
        return Err(SecretError::Exposed { path: path.to_path_buf(), mode, wanted });
    }
    Ok(())
}

#[cfg(not(unix))]
pub(crate) fn refuse_exposed(_path: &Path, _wanted: u32) -> Result<(), SecretError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_reads_back_as_it_was_made_and_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let made = make(&path).unwrap();
        assert_eq!(read(&path).unwrap(), made);
        assert!(matches!(make(&path), Err(SecretError::Exists { .. })));
        assert_eq!(read(&path).unwrap(), made);
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        let good = "0123456789abcdef".repeat(4);
        assert!(from_hex(&good).is_some());
        for wrong in [String::new(), good[1..].to_owned(), format!("{good}0"), good.replace('0', "g"), "é".repeat(32)]
        {
            assert!(from_hex(&wrong).is_none(), "{wrong:?}");
        }
        let missing = read(Path::new("/nowhere/secret"));
        assert!(matches!(missing, Err(SecretError::Missing { .. })));
    }

    #[test]
    fn a_password_is_one_line_and_its_file_is_its_owners() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let write = |text: &str| {
            drop(fs::remove_file(&path));
            let mut file = owner_only(OpenOptions::new().write(true).create_new(true)).open(&path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        for text in ["p4ss word", "p4ss word\n", "p4ss word\r\n"] {
            write(text);
            assert_eq!(read_password(&path).unwrap().reveal(), "p4ss word");
        }
        for wrong in ["", "\n", "two\nlines\n"] {
            write(wrong);
            assert!(matches!(read_password(&path), Err(SecretError::NoPassword { .. })), "{wrong:?}");
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
            assert!(matches!(read_password(&path), Err(SecretError::Exposed { mode: 0o640, wanted: 0o600, .. })));
        }
    }
}
