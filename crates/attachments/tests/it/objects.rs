//! One suite for everything that keeps objects: what is put is what is fetched, whole and in parts, until it is deleted; and what
//! breaks in the middle leaves nothing that looks whole.

use std::time::Duration;

use callreel_attachments::{Deleted, Error, How};
use futures::{StreamExt as _, stream::BoxStream};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::{
    server::{Server, Speaks},
    world::{DB, File, NAME, World},
};

/// More than one part of 8 MiB, and no whole number of them.
const LARGE: usize = 40_000_001;
/// Longer than anything here takes; only a promise that is not kept reaches it.
const PATIENCE: Duration = Duration::from_secs(60);
/// What is enough to be cut in the middle.
const MIDDLING: usize = 24_000_001;

async fn all_is_kept(speaks: Speaks) {
    let server = Server::start(speaks);
    let world = World::new(server.handler()).await;
    for length in [0, 1000, LARGE] {
        let file = File::of(length);
        let placed = world.put(&file).await.unwrap();
        assert_eq!(
            world.put(&file).await.unwrap(),
            placed,
            "again, as after a lost answer"
        );
        let doc = world.keep(&file, &placed).await;
        whole_and_ranges(&world, &doc, &file).await;
        let deleted = world
            .attachments
            .delete(DB, file.id(), How::Hard)
            .await
            .unwrap();
        told(deleted, &format!("{} deleted", placed.told()));
        assert_eq!(
            world.attachments.store().get(DB, file.id()).await.unwrap(),
            None
        );
        let left = world.fetch(&doc, 0..u64::MAX).await.unwrap();
        assert_eq!(left.is_none(), length > 0, "an empty file needs no request");
    }
}

fn told(deleted: Option<Deleted>, expected: &str) {
    let receipts = deleted.unwrap().receipts;
    assert_eq!(receipts, [expected, "document and audio deleted"]);
}

async fn whole_and_ranges(world: &World, doc: &Value, file: &File) {
    let length = file.bytes.len() as u64;
    // Not 0..1: s3rver takes its last byte, 0, for none said.
    let ends = [
        (0, u64::MAX),
        (0, 2),
        (10, 20),
        (length / 2, length),
        (length, u64::MAX),
    ];
    for (start, end) in ends {
        let fetched = world.fetch(doc, start..end).await.unwrap().unwrap();
        let cut = |at: u64| usize::try_from(at.min(length)).unwrap();
        let expected = &file.bytes[cut(start)..cut(end).max(cut(start))];
        assert!(
            fetched == expected,
            "{start}..{end} of {length}: {} bytes",
            fetched.len()
        );
    }
}

#[tokio::test]
async fn s3_keeps_recordings() {
    all_is_kept(Speaks::S3).await;
}

#[tokio::test]
async fn azure_keeps_recordings() {
    all_is_kept(Speaks::Azure).await;
}

#[tokio::test]
async fn google_storage_keeps_recordings() {
    all_is_kept(Speaks::Google).await;
}

/// The file, held up after its first 18 MB until the test says how it goes on.
fn held_up(file: &File) -> (BoxStream<'static, std::io::Result<bytes::Bytes>>, Held) {
    let (reached, is_reached) = oneshot::channel();
    let (go_on, goes_on) = oneshot::channel();
    let mut gate = Some((reached, goes_on));
    let mut read = 0;
    let body = file.blocks().then(move |block| {
        read += block.as_ref().map_or(0, bytes::Bytes::len);
        let gate = if read > 18_000_000 { gate.take() } else { None };
        async move {
            if let Some((reached, goes_on)) = gate {
                reached.send(()).unwrap();
                goes_on.await.map_err(std::io::Error::other)?;
            }
            block
        }
    });
    (body.boxed(), Held { is_reached, go_on })
}

struct Held {
    is_reached: oneshot::Receiver<()>,
    go_on: oneshot::Sender<()>,
}

async fn a_death_in_the_middle_leaves_nothing(speaks: Speaks) {
    let mut server = Server::start(speaks);
    let world = World::new(server.handler()).await;
    let file = File::of(MIDDLING);
    let (body, held) = held_up(&file);
    let killed = async {
        held.is_reached.await.unwrap();
        server.kill();
        held.go_on.send(()).unwrap();
    };
    let (put, ()) = tokio::join!(world.put_as(&file, body), killed);
    let error = put.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    server.launch();
    let placed = world.handler().await.placed(&file.facts(&world.account));
    let doc = world.keep(&file, &placed).await;
    assert_eq!(
        world.fetch(&doc, 0..u64::MAX).await.unwrap(),
        None,
        "nothing is there"
    );
    world.put(&file).await.unwrap();
    assert!(world.fetch(&doc, 0..u64::MAX).await.unwrap().unwrap() == file.bytes);
}

#[tokio::test]
async fn s3_that_dies_in_the_middle_has_nothing_and_takes_it_when_it_lives_again() {
    a_death_in_the_middle_leaves_nothing(Speaks::S3).await;
}

#[tokio::test]
async fn azure_that_dies_in_the_middle_has_nothing_and_takes_it_when_it_lives_again() {
    a_death_in_the_middle_leaves_nothing(Speaks::Azure).await;
}

#[tokio::test]
async fn parts_are_taken_back_when_the_try_is_cut_off_or_the_file_fails() {
    let server = Server::start(Speaks::Google);
    let world = World::new(server.handler()).await;
    let file = File::of(MIDDLING);
    let idle = || async {
        let asked = reqwest::get(format!("{}/idle", server.url()));
        let answered = tokio::time::timeout(PATIENCE, asked).await;
        answered.expect("parts are left there").unwrap();
    };

    let (body, held) = held_up(&file);
    let cut_off = tokio::select! {
        put = world.put_as(&file, body) => Err(put),
        reached = held.is_reached => reached.map_err(|_| unreachable!("it is sent")),
    };
    assert!(cut_off.is_ok(), "it was in the middle: {cut_off:?}");
    idle().await;

    let (body, held) = held_up(&file);
    let failing = async {
        held.is_reached.await.unwrap();
        drop(held.go_on);
    };
    let (put, ()) = tokio::join!(world.put_as(&file, body), failing);
    assert!(matches!(put, Err(Error::Source(_))), "{put:?}");
    idle().await;
}

#[tokio::test]
async fn a_file_that_is_not_the_one_promised_never_becomes_an_object() {
    let server = Server::start(Speaks::S3);
    let world = World::new(server.handler()).await;
    for length in [1000, MIDDLING] {
        let file = File::of(length);
        let mut spoilt = File::of(length);
        *spoilt.bytes.last_mut().unwrap() ^= 1;
        let mut short = File::of(length);
        short.bytes.pop();
        for wrong in [spoilt, short] {
            let error = world.put_as(&file, wrong.blocks()).await.unwrap_err();
            assert!(matches!(error, Error::Source(_)), "{error}");
            assert!(
                error
                    .to_string()
                    .starts_with("the file is not the one that was rendered")
            );
        }
        let placed = world.handler().await.placed(&file.facts(&world.account));
        let doc = world.keep(&file, &placed).await;
        assert_eq!(
            world
                .attachments
                .fetch(DB, &doc, NAME, 0..9)
                .await
                .unwrap()
                .map(|_| ()),
            None
        );
    }
}
