//! Files that are made, and what of them is seen on disk.

use std::{fs, path::Path};

use callreel_spool::{AtRest, Keys, SpoolConfig, Writer};

use super::*;
use crate::testing;

/// What is spoken, as it must not lie on a disk.
const SPOKEN: &[u8] = b"the number of my card is 4111 1111 1111 1111";

struct Scene {
    _dir: tempfile::TempDir,
    spool: View,
    ticket: Box<Ticket>,
}

/// An ended recording in the spool of a node with these keys; `recipient` is its account's.
fn scene(keys: Keys, recipient: Option<String>) -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let writer = Writer::open(dir.path(), &SpoolConfig::default()).unwrap();
    let ticket = testing::ended_on_switch(&writer, |promise| promise.recipient = recipient);
    Scene {
        spool: writer.view().clone().with_keys(keys),
        _dir: dir,
        ticket,
    }
}

impl Scene {
    /// Writes as an encoder does: the head again at the end.
    fn made(&self, contents: &[u8]) -> Made {
        let mut making = Making::begin(&self.spool, &self.ticket).unwrap();
        making.write_all(b"head").unwrap();
        for piece in contents[4..].chunks(70_000) {
            making.write_all(piece).unwrap();
            assert!(!self.shows(SPOKEN) || self.spool.keys().seals_to().is_none());
        }
        making.rewind().unwrap();
        making.write_all(&contents[..4]).unwrap();
        assert_eq!(
            making.seek(SeekFrom::End(0)).unwrap(),
            contents.len() as u64
        );
        making.flush().unwrap();
        making.keep().unwrap()
    }

    fn folder(&self) -> Vec<(String, Vec<u8>)> {
        let path = self.spool.rendition_path(&self.ticket);
        let files = fs::read_dir(path.parent().unwrap()).unwrap();
        let files = files.map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        });
        let mut files: Vec<_> = files.filter(|(name, _)| name != "ticket.json").collect();
        files.sort();
        files
    }

    fn shows(&self, bytes: &[u8]) -> bool {
        let mut files = self.folder().into_iter();
        files.any(|(_, contents)| contents.windows(bytes.len()).any(|it| it == bytes))
    }

    fn names(&self) -> Vec<String> {
        self.folder().into_iter().map(|(name, _)| name).collect()
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn opened(path: &Path, keys: &Keys) -> Vec<u8> {
    let mut read = Vec::new();
    let mut file = AtRest::sealed(path, keys).unwrap();
    file.read_to_end(&mut read).unwrap();
    read
}

#[test]
fn without_keys_a_file_is_what_was_written() {
    let contents = SPOKEN.repeat(5000);
    let scene = scene(Keys::default(), None);
    let made = scene.made(&contents);
    assert_eq!(scene.names(), ["call_recording_x%40y.wav"]);
    assert!(scene.folder()[0].1 == contents);
    let expected = Made {
        bytes: contents.len() as u64,
        sha256: sha256(&contents),
        sealed_bytes: None,
    };
    assert_eq!(made, expected);
}

#[test]
fn a_nodes_seal_hides_a_file_and_tells_of_what_is_inside() {
    for length in [44, HEAD - 1, HEAD, HEAD + 1, 200_000] {
        let contents = SPOKEN.repeat(5000)[..length].to_vec();
        let keys = testing::keys();
        let scene = scene(keys.clone(), None);
        let made = scene.made(&contents);
        assert_eq!(scene.names(), ["call_recording_x%40y.wav.age"]);
        assert!(!scene.shows(SPOKEN));
        let path = scene.spool.rendition_path(&scene.ticket);
        assert!(opened(&path, &keys) == contents);
        let expected = Made {
            bytes: contents.len() as u64,
            sha256: sha256(&contents),
            sealed_bytes: Some(path.metadata().unwrap().len()),
        };
        assert_eq!(made, expected);
    }
}

#[test]
fn an_accounts_seal_is_around_the_file_that_is_delivered_and_the_node_cannot_open_it() {
    let contents = SPOKEN.repeat(5000);
    let account = testing::keys();
    let recipient = account.seals_to().map(ToString::to_string);
    for node in [Keys::default(), testing::keys()] {
        let scene = scene(node.clone(), recipient.clone());
        let made = scene.made(&contents);
        assert_eq!(scene.names(), ["call_recording_x%40y.wav.age"]);
        assert!(!scene.shows(SPOKEN));
        let path = scene.spool.rendition_path(&scene.ticket);
        let delivered = fs::read(&path).unwrap();
        let expected = Made {
            bytes: delivered.len() as u64,
            sha256: sha256(&delivered),
            sealed_bytes: None,
        };
        assert_eq!(made, expected);
        assert!(opened(&path, &account) == contents);
        assert!(AtRest::sealed(&path, &node).is_err());
    }
}

#[test]
fn an_accounts_key_that_is_none_is_named_and_nothing_is_made() {
    let scene = scene(testing::keys(), Some("age1nobody".to_owned()));
    let Err(Failure::Passing(why)) = Making::begin(&scene.spool, &scene.ticket) else {
        panic!("it may be mended, and must not be sent open");
    };
    let said = "call_recording.public_key of account abcd0123456789abcdef0123456789ab cannot be used: \"age1nobody\" is no age public key";
    assert!(why.starts_with(said), "{why}");
    assert!(scene.names().is_empty());
}

#[test]
fn what_is_given_up_leaves_nothing_and_only_the_head_is_written_again() {
    let scene = scene(testing::keys(), None);
    let mut making = Making::begin(&scene.spool, &scene.ticket).unwrap();
    making.write_all(&SPOKEN.repeat(5000)).unwrap();
    making.seek(SeekFrom::Start(HEAD as u64)).unwrap();
    let refused = making.write(b"again").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
    making.seek(SeekFrom::Start(HEAD as u64 - 2)).unwrap();
    assert_eq!(making.write(b"again").unwrap(), 2);
    assert!(making.seek(SeekFrom::End(1)).is_err());
    drop(making);
    assert!(scene.names().is_empty());
}
