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
fn a_key_file_of_its_own_is_used_and_no_other_is_made() {
    let (folder, data) = new_data();
    let seed = folder.path().join("seed");
    assert_eq!(Hubbub::new(["secret"]).arg(&seed).run().code, Some(0));
    assert_eq!((mode(&seed), fs::read_to_string(&seed).unwrap().len()), (0o600, 65));
    let again = Hubbub::new(["secret"]).arg(&seed).run();
    assert!(again.code == Some(1) && again.stderr.contains("is there already"), "{again:?}");
    let signing = format!("keys.file={}", seed.display());
    let server = Hubbub::serve(&data).set(&signing).start();
    let one = server.get("/.well-known/jwks.json");
    assert!(server.stop().0.success());
    assert!(!data.join("keys").exists());
    // Another process with the same file gives the same keys, and one that takes a second file gives that one's, too.
    let (_other_folder, other) = new_data();
    assert!(Hubbub::serve(&other).start().stop().0.success());
    let previous = format!("keys.previous_file={}", other.join("keys/token.key").display());
    let (_third_folder, third) = new_data();
    let server = Hubbub::serve(&third).set(&signing).set(&previous).start();
    let both = server.get("/.well-known/jwks.json");
    let key_ids =
        |answer: &str| answer.split("\"kid\":\"").skip(1).map(|rest| rest[..16].to_owned()).collect::<Vec<_>>();
    assert_eq!((key_ids(&one).len(), key_ids(&both).len()), (1, 2));
    assert_eq!(key_ids(&both)[0], key_ids(&one)[0], "the one that signs comes first");
}

#[test]
fn a_file_that_several_share_has_to_be_there_and_is_asked_for_before_the_cluster() {
    let (folder, data) = new_data();
    // Nobody answers at port 1; nobody is asked.
    let rest = || Hubbub::serve(&data).args(&["--role", "rest", "--store", "cql", "--cql", "127.0.0.1:1"]);
    let ran = rest().run();
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("there is no") && ran.stderr.contains("hubbub secret"), "{}", ran.stderr);
    let secret = folder.path().join("secret");
    assert_eq!(Hubbub::new(["secret"]).arg(&secret).run().code, Some(0));
    fs::set_permissions(&secret, Permissions::from_mode(0o640)).unwrap();
    let ran = rest().set(&format!("keys.file={}", secret.display())).run();
    assert!(ran.code == Some(1) && ran.stderr.contains("chmod 600"), "{}", ran.stderr);
    assert!(!data.exists());
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
