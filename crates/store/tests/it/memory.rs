//! That attachments are never whole in memory, measured on a process that does nothing else.

use std::process::Command;

use bytes::Bytes;
use callreel_store::Store;
use futures::{TryStreamExt, stream};
use serde_json::json;

use crate::server::{Server, patient};

const STORE: &str = "CALLREEL_STORE_TEST_MEMORY";
/// The attachment, bytes.
const LENGTH: u64 = 32 << 20;
/// What the process may grow by, kilobytes: blocks on their way, and the caches of a database that has been written to.
const GROWTH: u64 = 12 << 10;

/// Not a test of its own: the process that is measured.
#[tokio::test]
async fn measured_process() {
    let Ok(place) = std::env::var(STORE) else {
        return;
    };
    let store = match place.strip_prefix("http") {
        Some(_) => Store::connect(&place, &patient()).unwrap(),
        None => Store::open(place.as_ref()).unwrap(),
    };
    store.put("db", json!({"_id": "a"})).await.unwrap();
    pass(&store, 1 << 20).await;
    let before = peak();
    pass(&store, LENGTH).await;
    println!("grew by {} kB", peak() - before);
}

/// Writes and reads an attachment of so many bytes.
async fn pass(store: &Store, length: u64) {
    let blocks = (0..length / 65_536).map(|_| Ok(Bytes::from(vec![7; 65_536])));
    let body = stream::iter(blocks);
    let put = store.put_attachment("db", "a", "x.wav", "audio/x-wav", length, body);
    put.await.unwrap();
    let found = store.attachment("db", "a", "x.wav").await.unwrap().unwrap();
    let read = found
        .body
        .try_fold(0, |sum, block| async move { Ok(sum + block.len() as u64) });
    assert_eq!(read.await.unwrap(), length);
}

/// The most memory this process has had, kilobytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn growth(place: &str) -> u64 {
    let done = Command::new(std::env::current_exe().unwrap())
        .args(["memory::measured_process", "--exact", "--nocapture"])
        .env(STORE, place)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    let grew = said
        .lines()
        .find_map(|line| line.split_once("grew by ")?.1.strip_suffix(" kB"));
    let Some(grew) = grew else {
        panic!("{said}{}", String::from_utf8_lossy(&done.stderr));
    };
    grew.parse().unwrap()
}

#[test]
fn a_large_attachment_takes_no_large_memory_on_its_way_into_the_file() {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("store.db");
    let grew = growth(path.to_str().unwrap());
    assert!(grew < GROWTH, "{grew} kB");
}

#[test]
fn a_large_attachment_takes_no_large_memory_on_its_way_to_couchdb() {
    let server = Server::start();
    let grew = growth(&server.url());
    assert!(grew < GROWTH, "{grew} kB");
}
