//! What other versions left in a spool is rendered and delivered.

use std::{fs, path::Path};

use callreel_delivery::WebhooksConfig;
use callreel_proto::{AccountId, month_db};
use callreel_spool::{Keys, Outbox, SpoolConfig, Writer};

use crate::node::{Home, config};

/// The spools that those versions left, one folder each (docs/upgrades.md).
const FORMATS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/formats");
/// The account of all that is in them.
const ACCOUNT: &str = "0123456789abcdef0123456789abcdef";
/// A recording, and how long it is once it is delivered, milliseconds.
const OWED: [(&str, u64); 4] = [
    // It grew when its process died, 60 ms after its start.
    ("202403-00000000000000000000000000000001", 60),
    // Its journal is sealed.
    ("202403-00000000000000000000000000000002", 80),
    // It had been rendered, into a file of this length as its ticket says, and its first delivery had failed.
    ("202403-00000000000000000000000000000003", 1000),
    // A foreign switch recorded it, into a file of this length.
    ("202403-00000000000000000000000000000005", 20),
];
const GIVEN_UP: &str = "202403-00000000000000000000000000000004";

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_all(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

#[tokio::test]
async fn what_0_1_left_is_delivered_and_what_it_gave_up_stays() {
    let from = Path::new(FORMATS).join("0.1");
    let home = Home::new();
    copy_all(&from.join("spool"), &home.spool_dir());
    // Only its owner may read a key, which no repository knows of.
    let key = tempfile::NamedTempFile::new().unwrap();
    fs::write(key.path(), fs::read(from.join("spool.key")).unwrap()).unwrap();
    let keys = Keys::load(key.path()).unwrap();
    let writer = Writer::open(home.spool_dir(), &SpoolConfig::default()).unwrap();
    assert_eq!(writer.recover().unwrap().len(), 1);
    let outbox = Outbox::open_with(home.spool_dir(), keys).unwrap();
    let webhooks = WebhooksConfig::default();
    let mut node = home.start_on(config(), writer, outbox, &webhooks).await;
    node.hear_delivered(OWED.len()).await;

    let db = month_db(&AccountId::parse(ACCOUNT).unwrap(), "202403");
    for (id, ms) in OWED {
        let doc = node.store.get(&db, id).await.unwrap().unwrap();
        let length = doc.get("duration_ms").unwrap_or(&doc["metadata"]["length"]);
        assert_eq!(length, ms, "{id}");
        let name = "call_recording_3e7f%4010.0.0.1.wav";
        let audio = node.store.attachment(&db, id, name).await.unwrap();
        assert!(audio.is_some_and(|audio| audio.length > 44), "{id}");
    }
    let left = node.spool.view().tickets().unwrap();
    let left: Vec<&str> = left.iter().map(|one| one.recording_id().as_str()).collect();
    assert_eq!(left, [GIVEN_UP]);
}
