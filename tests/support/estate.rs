//! A small account on disk, as `callreel import` reads it: users, devices, callflows, a mailbox.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::root;

/// The account every test uses.
pub(crate) const ACCOUNT: &str = "a0000000000000000000000000000001";
/// Its SIP realm.
pub(crate) const REALM: &str = "acme.test";
/// The caller's user, whose device is [`CALLER`].
pub(crate) const CALLER_USER: &str = "c0000000000000000000000000000001";
/// The callee's user, whose device is [`CALLEE`].
pub(crate) const CALLEE_USER: &str = "c0000000000000000000000000000002";
/// The callee's device.
pub(crate) const CALLEE_DEVICE: &str = "d0000000000000000000000000000002";
/// A third party's user, whose device is [`THIRD`].
pub(crate) const THIRD_USER: &str = "c0000000000000000000000000000003";
/// The callee's mailbox.
pub(crate) const MAILBOX: &str = "b0000000000000000000000000000001";
/// SIP username of the caller's device.
pub(crate) const CALLER: &str = "alice";
/// SIP username of the callee's device.
pub(crate) const CALLEE: &str = "bob";
/// SIP username of the third party's device.
pub(crate) const THIRD: &str = "carol";
/// All devices' password.
pub(crate) const PASSWORD: &str = "s3cret-word";
/// What the caller dials to run the flow under test.
pub(crate) const NUMBER: &str = "2000";

/// The files of an account.
pub(crate) struct Estate {
    dir: tempfile::TempDir,
}

impl Estate {
    /// An account whose number [`NUMBER`] runs `flow`.
    pub(crate) fn with_flow(flow: &Value) -> Self {
        let estate = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        estate.write(
            "account.json",
            &json!({"id": ACCOUNT, "name": "Acme", "realm": REALM}),
        );
        for (user, device, name) in [
            (CALLER_USER, "d0000000000000000000000000000001", CALLER),
            (CALLEE_USER, CALLEE_DEVICE, CALLEE),
            (THIRD_USER, "d0000000000000000000000000000003", THIRD),
        ] {
            estate.user(name, user, &json!({}));
            estate.write(
                &format!("devices/{name}.json"),
                // A scripted phone hears no more than its script says; one that wants to know of messages asks.
                &json!({"id": device, "name": name, "owner_id": user, "mwi_unsolicited_updates": false, "sip": {"username": name, "password": PASSWORD}}),
            );
        }
        estate.write(
            "vmboxes/callee.json",
            &json!({"id": MAILBOX, "name": "callee", "mailbox": "1002", "owner_id": CALLEE_USER}),
        );
        estate.flow(NUMBER, flow);
        estate
    }

    /// A user, with these keys besides its names.
    pub(crate) fn user(&self, name: &str, id: &str, more: &Value) {
        let mut doc = json!({"id": id, "first_name": name, "last_name": "Test", "username": name});
        let keys = doc.as_object_mut().unwrap();
        keys.extend(more.as_object().unwrap().clone());
        self.write(&format!("users/{name}.json"), &doc);
    }

    /// A media document of two seconds of this tone; gives its id.
    pub(crate) fn tone(&self, hz: u16) -> String {
        let id = format!("e{hz:0>31}");
        self.write(
            &format!("media/tone-{hz}.json"),
            &json!({"id": id, "name": format!("{hz} Hz"), "content_type": "audio/wav"}),
        );
        self.audio(
            &format!("media/tone-{hz}.wav"),
            &super::audio::sine(f32::from(hz), 2.0),
        );
        id
    }

    /// One of the accounts in `examples`, with words replaced in its documents.
    pub(crate) fn example(name: &str, words: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy(&root().join("examples").join(name), dir.path(), words);
        Self { dir }
    }

    /// Adds a callflow for a number.
    pub(crate) fn flow(&self, number: &str, flow: &Value) {
        let id = format!("f{number:0>31}");
        self.write(
            &format!("callflows/{number}.json"),
            &json!({"id": id, "name": format!("flow {number}"), "numbers": [number], "flow": flow}),
        );
    }

    /// Sets the `system_config/media` document's `default` section.
    pub(crate) fn media_config(&self, default: &Value) {
        let doc = json!({"id": "media", "default": default});
        self.write_for_all("system_config/media.json", &doc);
    }

    /// Writes a document beside the accounts.
    pub(crate) fn write_for_all(&self, name: &str, doc: &Value) {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, doc.to_string()).unwrap();
    }

    /// Writes a document under the account's folder.
    pub(crate) fn write(&self, name: &str, doc: &Value) {
        self.write_for_all(&format!("accounts/{ACCOUNT}/{name}"), doc);
    }

    /// Writes a WAV file under the account's folder.
    pub(crate) fn audio(&self, name: &str, samples: &[i16]) {
        let path = self.dir.path().join("accounts").join(ACCOUNT).join(name);
        super::audio::write_wav(&path, samples, 8000);
    }

    /// The folder `callreel import` is given.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

fn copy(from: &Path, to: &Path, words: &[(&str, &str)]) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (from, to) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        if from.is_dir() {
            copy(&from, &to, words);
            continue;
        }
        let mut text = std::fs::read_to_string(&from).unwrap();
        for (word, other) in words {
            text = text.replace(word, other);
        }
        std::fs::write(to, text).unwrap();
    }
}

/// One of the mission's four samples, as it stands in tests/data/mission.
pub(crate) fn sample(name: &str) -> String {
    let path: PathBuf = root().join(format!("tests/data/mission/{name}.json"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A sample with words replaced: its placeholders and its server.
pub(crate) fn filled(name: &str, words: &[(&str, &str)]) -> Value {
    let mut text = sample(name);
    for (placeholder, word) in words {
        assert!(text.contains(placeholder), "{name} has no {placeholder}");
        text = text.replace(placeholder, word);
    }
    serde_json::from_str(&text).unwrap()
}
