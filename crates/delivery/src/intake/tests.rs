//! Stories of single addresses: who may come when, and what of a file is kept. Time is made up.

use std::fs;

use bytes::Bytes;
use callreel_proto::Utc;
use futures::{FutureExt as _, Stream, StreamExt as _, stream};

use callreel_spool::AtRest;

use super::{
    taking::{BLOCK, Length, take},
    *,
};
use crate::testing;

const TTL: Duration = Duration::from_secs(300);
const PATIENCE: Duration = Duration::from_secs(60);

struct Scene {
    dir: tempfile::TempDir,
    desk: Arc<Desk>,
    awaited: Awaited,
}

fn scene(limit: u64) -> Scene {
    scene_with(limit, None)
}

/// A node whose files are sealed to this key.
fn scene_with(limit: u64, seal_to: Option<Recipient>) -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let desk = Arc::<Desk>::default();
    let id = RecordingId::random(Utc::from_unix_ms(0));
    let path = dir.path().join("file");
    Scene {
        awaited: desk.expect(id, Shelf { path, seal_to }, limit, TTL),
        dir,
        desk,
    }
}

/// A body that comes to its end.
fn body(pieces: &[&'static str]) -> impl Stream<Item = Result<Bytes, &'static str>> + use<> {
    let pieces: Vec<_> = pieces
        .iter()
        .map(|p| Ok(Bytes::from_static(p.as_bytes())))
        .collect();
    stream::iter(pieces)
}

impl Scene {
    fn come(&self) -> Result<Arriving, Refusal> {
        self.desk.come(self.awaited.token())
    }

    async fn bring(
        &self,
        length: Length,
        body: impl Stream<Item = Result<Bytes, &'static str>>,
    ) -> Result<(), Refusal> {
        let mut arriving = self.come()?;
        let taken = take(&mut arriving, length, body, PATIENCE).await;
        match &taken {
            Ok(()) => arriving.arrived(),
            Err(refusal) => arriving.refusal = Some(refusal.clone()),
        }
        taken
    }

    fn names(&self) -> Vec<String> {
        let dir = fs::read_dir(self.dir.path()).unwrap();
        dir.map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_takes_one_file_and_then_no_other() {
    let scene = scene(10);
    assert!(scene.awaited.arrived().now_or_never().is_none());
    let pieces = body(&["RIFF", "WAVE"]);
    scene.bring(Length::Told(8), pieces).await.unwrap();
    scene.awaited.arrived().now_or_never().expect("it is there");
    assert_eq!(
        fs::read(scene.dir.path().join("file")).unwrap(),
        b"RIFFWAVE"
    );
    assert_eq!(scene.names(), ["file"]);
    let again = scene.bring(Length::Told(4), body(&["RIFF"])).await;
    assert_eq!(again, Err(Refusal::UsedUp));
    assert!(scene.awaited.close().await);

    let Scene { dir, desk, awaited } = scene;
    let token = awaited.token().to_owned();
    drop(awaited);
    assert_eq!(desk.come(&token).err(), Some(Refusal::UsedUp));
    assert_eq!(fs::read(dir.path().join("file")).unwrap(), b"RIFFWAVE");
    assert_eq!(
        desk.describe(),
        serde_json::json!({
            "awaited": 0,
            "arriving": 0,
            "since_start": {"received": 1, "received_bytes": 8, "refused": 0},
        })
    );
}

#[tokio::test(start_paused = true)]
async fn a_file_is_sealed_while_it_arrives() {
    let keys = testing::keys();
    let scene = scene_with(1 << 20, keys.seals_to().cloned());
    let path = scene.dir.path().join("file.part");
    let mut shown = Vec::new();
    let pieces = stream::iter(0..400).map(|n| {
        // What has arrived is on disk, a block at a time.
        shown = fs::read(&path).unwrap();
        let piece: &[u8] = if n % 2 == 0 {
            &[b'R'; 1024]
        } else {
            &[b'I'; 1024]
        };
        Ok(Bytes::from_static(piece))
    });
    scene.bring(Length::Chunked, pieces).await.unwrap();
    assert!(shown.len() > BLOCK / 2, "{}", shown.len());
    for seen in [&shown, &fs::read(scene.dir.path().join("file")).unwrap()] {
        assert!(!seen.windows(16).any(|it| it == [b'R'; 16]));
    }
    let mut file = AtRest::sealed(&scene.dir.path().join("file"), &keys).unwrap();
    let mut read = Vec::new();
    std::io::Read::read_to_end(&mut file, &mut read).unwrap();
    assert!(read == [[b'R'; 1024], [b'I'; 1024]].concat().repeat(200));
}

#[tokio::test(start_paused = true)]
async fn an_address_that_was_never_given_out_takes_nothing() {
    let scene = scene(10);
    for token in [
        "",
        "x",
        &"0".repeat(TOKEN_DIGITS),
        &scene.awaited.token()[1..],
    ] {
        assert_eq!(scene.desk.come(token).err(), Some(Refusal::Unknown));
    }
    assert_eq!(scene.awaited.token().len(), TOKEN_DIGITS);
    let other = self::scene(10);
    assert_ne!(scene.awaited.token(), other.awaited.token());
}

#[tokio::test(start_paused = true)]
async fn a_file_must_begin_in_time_and_may_end_later() {
    let late = scene(10);
    tokio::time::advance(TTL).await;
    late.awaited.expired().now_or_never().expect("it is over");
    assert_eq!(late.come().err(), Some(Refusal::Expired));
    assert!(!late.awaited.close().await);

    let slow = scene(10);
    let pieces = stream::unfold(0, |n| async move {
        if n == 9 {
            return None;
        }
        tokio::time::sleep(PATIENCE - Duration::from_secs(1)).await;
        Some((Ok(Bytes::from_static(b"R")), n + 1))
    });
    slow.bring(Length::Told(9), pieces).await.unwrap();
    assert!(slow.awaited.expired().now_or_never().is_some());
    assert!(slow.awaited.close().await);
}

#[tokio::test(start_paused = true)]
async fn a_second_file_is_refused_while_the_first_is_arriving() {
    let scene = scene(10);
    let first = scene.come().unwrap();
    assert_eq!(scene.come().err(), Some(Refusal::Busy));
    drop(first);
    assert_eq!(scene.awaited.trouble(), Some(Refusal::CutShort(0)));
    scene.bring(Length::Chunked, body(&["RIFF"])).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_cut_short_or_stands_still_leaves_nothing_and_may_come_again() {
    let scene = scene(10);
    let cut = body(&["RIFF"]).chain(stream::iter([Err("connection lost")]));
    let refused = scene.bring(Length::Told(8), cut).await;
    assert_eq!(refused, Err(Refusal::CutShort(4)));
    assert_eq!(scene.awaited.trouble(), Some(Refusal::CutShort(4)));
    let stands = body(&["RI"]).chain(stream::pending());
    let refused = scene.bring(Length::Told(8), stands).await;
    let stalled = Refusal::Stalled {
        bytes: 2,
        patience: PATIENCE,
    };
    assert_eq!(refused, Err(stalled.clone()));
    assert_eq!(stalled.to_string(), "nothing came for 60 s after 2 bytes");
    assert!(scene.names().is_empty());
    scene.bring(Length::Told(4), body(&["RIFF"])).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn no_more_is_taken_than_is_awaited() {
    let scene = scene(5);
    let never = stream::pending();
    let told = scene.bring(Length::Told(6), never).await;
    assert_eq!(told, Err(Refusal::TooLarge(5)));
    let chunked = scene.bring(Length::Chunked, body(&["RIFF", "WA"])).await;
    assert_eq!(chunked, Err(Refusal::TooLarge(5)));
    let untold = scene.bring(Length::Untold, body(&[])).await;
    assert_eq!(untold, Err(Refusal::NoLength));
    assert!(scene.names().is_empty());
    scene
        .bring(Length::Told(5), body(&["RIFFW"]))
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_may_give_up_in_the_middle_of_a_file() {
    let scene = scene(10);
    let endless = stream::repeat(Ok(Bytes::new())).then(|chunk| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        chunk
    });
    let giving_up = async {
        tokio::time::sleep(PATIENCE).await;
        scene.awaited.close().await
    };
    let bringing = scene.bring(Length::Told(8), endless);
    let (taken, arrived) = tokio::join!(bringing, giving_up);
    assert_eq!((taken, arrived), (Err(Refusal::Expired), false));
    assert_eq!(scene.come().err(), Some(Refusal::Expired));
    assert!(scene.names().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_refuses_is_named_and_the_file_may_come_again() {
    let scene = scene(10);
    let place = scene.dir.path().join("file");
    fs::create_dir(&place).unwrap();
    let refused = scene.bring(Length::Told(4), body(&["RIFF"])).await;
    let Err(Refusal::Disk(reason)) = refused else {
        panic!("{refused:?}");
    };
    assert!(reason.contains(place.to_str().unwrap()), "{reason}");
    fs::remove_dir(&place).unwrap();
    assert!(scene.names().is_empty());
    scene.bring(Length::Told(4), body(&["RIFF"])).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn addresses_of_long_ago_are_forgotten_and_refused_all_the_same() {
    let scene = scene(10);
    let token = scene.awaited.token().to_owned();
    let Scene { desk, awaited, dir } = scene;
    drop(awaited);
    let expect = || {
        let id = RecordingId::random(Utc::from_unix_ms(0));
        let path = dir.path().join("file");
        let seal_to = None;
        desk.expect(id, Shelf { path, seal_to }, 10, TTL)
    };
    for _ in 1..REMEMBERED {
        drop(expect());
    }
    assert_eq!(desk.come(&token).err(), Some(Refusal::Expired));
    drop(expect());
    assert_eq!(desk.come(&token).err(), Some(Refusal::Unknown));
    assert_eq!(lock(&desk.passes).known.len(), REMEMBERED);
}
