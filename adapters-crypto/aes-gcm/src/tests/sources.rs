//! Keys from files and from the environment, and the errors when there is none.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;
use crate::{KeyError, KeySource, KeySourceError, KeyringError};

fn text() -> String {
    RootKey::generate(&Stream::default()).unwrap().to_string()
}

fn folder_with(name: &str, content: &[u8], mode: u32) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), name, content, mode);
    folder
}

fn write(folder: &Path, name: &str, content: &[u8], mode: u32) {
    fs::write(folder.join(name), content).unwrap();
    fs::set_permissions(folder.join(name), Permissions::from_mode(mode)).unwrap();
}

fn file(name: &str) -> KeySource {
    KeySource::File(PathBuf::from(name))
}

#[test]
fn r75_sources_are_parsed() {
    assert_eq!(KeySource::parse("file:primary.key"), Ok(file("primary.key")));
    assert_eq!(KeySource::parse("file:/run/keys/a:b"), Ok(file("/run/keys/a:b")));
    assert_eq!(KeySource::parse("env:GRANTRY_KEY_1"), Ok(KeySource::Environment("GRANTRY_KEY_1".to_owned())));
    for source in ["file:primary.key", "env:GRANTRY_KEY_1"] {
        assert_eq!(KeySource::parse(source).unwrap().to_string(), source);
    }
}

#[test]
fn r75_r78_a_key_in_place_of_its_source_is_refused_and_not_repeated() {
    let key = text();
    for wrong in ["", "primary.key", "file:", "env:", "env:1ST", "env:A B", "env:A=B", "http:x", "FILE:x", &key] {
        assert_eq!(KeySource::parse(wrong), Err(KeySourceError::Malformed), "{wrong:?}");
    }
    for kind in ["", "file:", "env:", "base64:"] {
        let error = KeySource::parse(&format!("{kind}{key}")).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(&key));
    }
}

#[test]
fn r75_a_key_file_is_loaded_if_only_its_owner_can_read_it() {
    let key = text();
    let folder = folder_with("primary.key", format!("{key}\n").as_bytes(), 0o600);
    for mode in [0o600, 0o400] {
        write_mode(&folder, mode);
        assert!(file("primary.key").load(folder.path()).is_ok(), "{mode:o}");
    }
    for mode in [0o640, 0o604, 0o610, 0o644, 0o666, 0o777] {
        write_mode(&folder, mode);
        let error = file("primary.key").load(folder.path()).err().unwrap();
        assert_eq!(error, KeySourceError::Exposed(file("primary.key"), mode));
        assert_eq!(
            error.to_string(),
            format!("the key at `file:primary.key` is open to other users (mode {mode:04o}); set its mode to 0600")
        );
    }
}

fn write_mode(folder: &TempDir, mode: u32) {
    fs::set_permissions(folder.path().join("primary.key"), Permissions::from_mode(mode)).unwrap();
}

#[test]
fn r75_an_absolute_path_does_not_depend_on_the_folder() {
    let folder = folder_with("primary.key", text().as_bytes(), 0o600);
    let source = KeySource::File(folder.path().join("primary.key"));
    assert!(source.load(Path::new("/nonexistent")).is_ok());
}

#[test]
fn r75_errors_of_missing_and_unreadable_files_contain_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let missing = file("primary.key").load(folder.path()).err().unwrap();
    assert_eq!(missing.to_string(), "there is no key at `file:primary.key`; make one there with `grantry keys generate`");
    fs::create_dir(folder.path().join("folder")).unwrap();
    fs::set_permissions(folder.path().join("folder"), Permissions::from_mode(0o700)).unwrap();
    let unreadable = file("folder").load(folder.path()).err();
    assert_eq!(unreadable, Some(KeySourceError::Unreadable(file("folder"), io::ErrorKind::IsADirectory)));
}

#[test]
fn r75_r78_refused_content_is_not_repeated() {
    let long = "canary".repeat(1000);
    for (content, fault) in [("canary", KeyError::Length), ("", KeyError::Length), (long.as_str(), KeyError::Length)] {
        let folder = folder_with("primary.key", content.as_bytes(), 0o600);
        let error = file("primary.key").load(folder.path()).err().unwrap();
        assert_eq!(error, KeySourceError::Unusable(file("primary.key"), fault));
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
    let weak = folder_with("primary.key", b"YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=", 0o600);
    let error = file("primary.key").load(weak.path()).err().unwrap();
    assert_eq!(error, KeySourceError::Unusable(file("primary.key"), KeyError::Weak));
    assert!(!format!("{error} {error:?}").contains("YWFh"));
}

#[test]
fn r75_a_variable_is_loaded_if_it_contains_a_key() {
    let source = KeySource::parse("env:GRANTRY_KEY").unwrap();
    let load = |value: Option<&str>| {
        let variable = |name: &str| {
            assert_eq!(name, "GRANTRY_KEY");
            value.map(Into::into)
        };
        source.load_with(Path::new("."), variable).map(drop)
    };
    assert_eq!(load(Some(&text())), Ok(()));
    assert_eq!(load(None), Err(KeySourceError::Missing(source.clone())));
    assert_eq!(load(Some("")), Err(KeySourceError::Missing(source.clone())));
    assert_eq!(load(Some("canary")), Err(KeySourceError::Unusable(source.clone(), KeyError::Length)));
}

#[test]
fn r75_a_keyring_is_loaded_from_its_sources() {
    let stream = Stream::default();
    let folder = tempfile::tempdir().unwrap();
    for name in ["new.key", "old.key"] {
        write(folder.path(), name, RootKey::generate(&stream).unwrap().as_bytes(), 0o600);
    }
    let load = |write: &str, read: &[&str]| {
        let read: Vec<KeySource> = read.iter().map(|name| file(name)).collect();
        Keyring::load(&file(write), &read, folder.path())
    };
    let ring = load("new.key", &["old.key"]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(ring.ids().count(), 2);
    assert_eq!(Some(ring.write_key()), load("new.key", &[]).ok().map(|ring| ring.write_key()));
    assert_eq!(load("new.key", &["new.key"]).err(), Some(KeyringError::Duplicate(ring.write_key())));
    let missing = KeyringError::Source(KeySourceError::Missing(file("gone.key")));
    assert_eq!(load("new.key", &["gone.key"]).err(), Some(missing));
}
