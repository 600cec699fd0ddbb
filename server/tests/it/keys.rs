//! Claims about the secrets in the data folder.
#![cfg(unix)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::{Hubbub, new_data};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn keys_are_made_at_the_first_start_for_their_owner_alone_and_kept() {
    let (_folder, data) = new_data();
    assert!(Hubbub::serve(&data).start().stop().0.success());
    let (folder, file) = (data.join("keys"), data.join("keys/token.key"));
    assert_eq!((mode(&folder), mode(&file)), (0o700, 0o600));
    let made = fs::read_to_string(&file).unwrap();
    assert_eq!(made.trim_end().len(), 64);
    assert!(Hubbub::serve(&data).start().stop().0.success());
    assert_eq!(fs::read_to_string(&file).unwrap(), made);
}

#[test]
fn a_key_file_or_folder_that_others_can_read_is_refused() {
    let (_folder, data) = new_data();
    assert!(Hubbub::serve(&data).start().stop().0.success());
    for (name, open, closed) in [("keys/token.key", 0o644, 0o600), ("keys", 0o750, 0o700)] {
        let path = data.join(name);
        fs::set_permissions(&path, Permissions::from_mode(open)).unwrap();
        let ran = Hubbub::serve(&data).run();
        assert_eq!(ran.code, Some(1));
        let advice = format!("chmod {closed:03o}");
        assert!(ran.stderr.contains(name) && ran.stderr.contains(&advice), "{}", ran.stderr);
        fs::set_permissions(&path, Permissions::from_mode(closed)).unwrap();
    }
    assert!(Hubbub::serve(&data).start().stop().0.success());
}

#[test]
fn a_malformed_key_file_is_refused_and_neither_replaced_nor_shown() {
    let (_folder, data) = new_data();
    assert!(Hubbub::serve(&data).start().stop().0.success());
    let file = data.join("keys/token.key");
    fs::write(&file, "half a key").unwrap();
    let ran = Hubbub::serve(&data).run();
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("token.key") && ran.stderr.contains("restore it"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("half a key"));
    assert_eq!(fs::read_to_string(&file).unwrap(), "half a key");
}
