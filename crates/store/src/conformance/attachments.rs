//! Conformance of attachments: whole, in parts, kept, replaced and interrupted.

use std::io;

use bytes::Bytes;
use callreel_proto::{Utc, month_db, pvt_type};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use serde_json::json;

use super::{account, get, ids, put};
use crate::{Error, Recordings, Store, View, stamp};

fn blocks(bytes: &[u8], size: usize) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
    let parts: Vec<_> = bytes.chunks(size).map(Bytes::copy_from_slice).collect();
    stream::iter(parts.into_iter().map(Ok))
}

pub(super) async fn attach(store: &Store, db: &str, id: &str, name: &str, bytes: &[u8]) -> String {
    let length = bytes.len() as u64;
    let body = blocks(bytes, 10_007);
    let done = store.put_attachment(db, id, name, "audio/mpeg", length, body);
    done.await.expect("the attachment is taken")
}

pub(super) async fn read(store: &Store, db: &str, id: &str, name: &str) -> Vec<u8> {
    let found = store.attachment(db, id, name).await;
    let found = found.expect("the look-up succeeds").expect("it is there");
    let parts: Vec<Bytes> = found.body.try_collect().await.expect("the body is read");
    parts.concat()
}

/// Bytes in which every block differs from the next.
fn noise(length: usize) -> Vec<u8> {
    (0..length as u64)
        .map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8)
        .collect()
}

pub(super) async fn sizes(store: Store) {
    let (_, db) = account();
    put(&store, &db, json!({"_id": "a"})).await;
    for length in [0, 1, 524_287, 524_288, 524_289, 1_700_000] {
        let bytes = noise(length);
        let rev = attach(&store, &db, "a", "x.mp3", &bytes).await;
        let same = read(&store, &db, "a", "x.mp3").await == bytes;
        assert!(same, "{length} bytes differ");
        let doc = get(&store, &db, "a").await;
        assert_eq!(doc["_rev"], json!(rev));
        let stub = &doc["_attachments"]["x.mp3"];
        assert_eq!(stub["length"], json!(length));
        assert_eq!(stub["stub"], true);
        assert_eq!(stub["content_type"], "audio/mpeg");
    }
    attach(&store, &db, "a", "abc", b"abc").await;
    let found = store.attachment(&db, "a", "abc").await.expect("looked up");
    let found = found.expect("it is there");
    assert_eq!(found.digest, "md5-kAFQmDzST7DWlj99KOF/cg==");
    assert_eq!(found.length, 3);
}

pub(super) async fn ranges(store: Store) {
    let (_, db) = account();
    let bytes = noise(1_300_000);
    put(&store, &db, json!({"_id": "a"})).await;
    attach(&store, &db, "a", "x", &bytes).await;
    for (start, end) in [
        (0, 1),
        (524_288, 524_289),
        (500_000, 1_100_000),
        (1_299_999, u64::MAX),
        (9_999_999, u64::MAX),
        (5, 5),
    ] {
        let part = store.attachment_range(&db, "a", "x", start..end).await;
        let part = part.expect("looked up").expect("it is there");
        assert_eq!(part.length, bytes.len() as u64);
        let got: Vec<Bytes> = part.body.try_collect().await.expect("read");
        let end = end.min(bytes.len() as u64) as usize;
        let start = (start as usize).min(end);
        assert!(got.concat() == bytes[start..end], "{start}..{end} differs");
    }
}

pub(super) async fn failed_uploads(store: Store) {
    let (_, db) = account();
    put(&store, &db, json!({"_id": "a"})).await;
    let rev = attach(&store, &db, "a", "x", b"before").await;
    let bytes = noise(1_200_000);
    let length = bytes.len() as u64;
    let whole = || blocks(&bytes, 100_000);
    let upload = |length, body: stream::BoxStream<'static, io::Result<Bytes>>| {
        store.put_attachment(&db, "a", "x", "audio/wav", length, body)
    };
    let short = upload(length + 1, whole().boxed()).await;
    assert!(matches!(short, Err(Error::Length { .. })), "{short:?}");
    let long = upload(length - 1, whole().boxed()).await;
    assert!(matches!(long, Err(Error::Length { .. })), "{long:?}");
    // The promised length is reached at the end of a block, or before the first.
    for promised in [length - 100_000, 0] {
        let long = upload(promised, whole().boxed()).await;
        assert!(matches!(long, Err(Error::Length { .. })), "{long:?}");
    }
    let broken = whole().chain(stream::iter([Err(io::Error::other("line cut"))]));
    let broken = upload(length + 1, broken.boxed()).await;
    assert!(matches!(broken, Err(Error::Upload { .. })), "{broken:?}");
    assert_eq!(get(&store, &db, "a").await["_rev"], json!(rev));
    assert_eq!(read(&store, &db, "a", "x").await, b"before");
}

pub(super) async fn without_document(store: Store) {
    let (_, db) = account();
    let body = blocks(b"abc", 3);
    let refused = store.put_attachment(&db, "a", "x", "audio/wav", 3, body);
    let refused = refused.await;
    assert!(matches!(refused, Err(Error::Missing { .. })), "{refused:?}");
}

pub(super) async fn kept_by_save(store: Store) {
    let (_, db) = account();
    store.save(&db, json!({"_id": "a"})).await.expect("saved");
    attach(&store, &db, "a", "x.mp3", b"sound").await;
    let over = json!({"_id": "a", "_rev": "7-odd", "n": 2});
    let rev = store
        .save(&db, over)
        .await
        .expect("saved over any revision");
    let doc = get(&store, &db, "a").await;
    assert_eq!((&doc["n"], &doc["_rev"]), (&json!(2), &json!(rev)));
    assert_eq!(read(&store, &db, "a", "x.mp3").await, b"sound");
}

pub(super) async fn kept_by_stubs(store: Store) {
    let (_, db) = account();
    put(&store, &db, json!({"_id": "a"})).await;
    attach(&store, &db, "a", "one", b"1").await;
    attach(&store, &db, "a", "two", b"2").await;
    let mut doc = get(&store, &db, "a").await;
    let stubs = doc["_attachments"].as_object_mut();
    stubs.expect("it has stubs").remove("two");
    put(&store, &db, doc).await;
    assert_eq!(read(&store, &db, "a", "one").await, b"1");
    let gone = store.attachment(&db, "a", "two").await;
    assert!(gone.expect("the look-up succeeds").is_none());
    let mut doc = get(&store, &db, "a").await;
    doc["_attachments"]["three"] = json!({"stub": true});
    let refused = store.put(&db, doc).await;
    assert!(refused.is_err(), "a stub of nothing was taken");
}

/// A delivery whose acknowledgement was lost is done again.
pub(super) async fn saved_again(store: Store) {
    let (account, _) = account();
    let db = month_db(&account, "202403");
    let mut doc = serde_json::Map::new();
    doc.insert("_id".into(), "202403-ab".into());
    let kind = pvt_type::CALL_RECORDING;
    stamp(&mut doc, kind, &db, Some(&account), Utc::from_unix_ms(0));
    for _ in 0..3 {
        let saved = store.save(&db, doc.clone().into()).await;
        saved.expect("saved");
        attach(&store, &db, "202403-ab", "a.mp3", b"sound").await;
    }
    let listed = ids(&store, &db, View::Recordings(Recordings::default())).await;
    assert_eq!(listed, ["202403-ab"]);
    let stored = get(&store, &db, "202403-ab").await;
    let names: Vec<_> = stored["_attachments"]
        .as_object()
        .iter()
        .flat_map(|a| a.keys())
        .collect();
    assert_eq!(names, ["a.mp3"]);
    assert_eq!(read(&store, &db, "202403-ab", "a.mp3").await, b"sound");
}

/// Half an hour in WAV. Neither the body nor what is read of it is ever whole in memory here.
pub(super) async fn large(store: Store) {
    const BLOCKS: u64 = 480;
    const BLOCK: usize = 65_536;
    let (_, db) = account();
    put(&store, &db, json!({"_id": "a"})).await;
    let block = |n: u64| Bytes::from(vec![(n % 251) as u8; BLOCK]);
    let body = stream::iter((0..BLOCKS).map(move |n| Ok(block(n))));
    let length = BLOCKS * BLOCK as u64;
    let done = store.put_attachment(&db, "a", "x.wav", "audio/x-wav", length, body);
    done.await.expect("the attachment is taken");
    let found = store.attachment(&db, "a", "x.wav").await;
    let found = found.expect("looked up").expect("it is there");
    assert_eq!(found.length, length);
    let (mut body, mut at) = (found.body, 0);
    while let Some(part) = body.try_next().await.expect("read") {
        assert!(part.len() <= 512 << 10, "a block of {} bytes", part.len());
        for (i, byte) in part.iter().enumerate() {
            let wanted = ((at + i) / BLOCK % 251) as u8;
            assert_eq!(*byte, wanted, "at {}", at + i);
        }
        at += part.len();
    }
    assert_eq!(at as u64, length);
}
