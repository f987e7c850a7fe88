//! The handler `folder`: files with their names, none half written.

use callreel_attachments::{Error, How};
use serde_json::{Value, json};

use crate::world::{DB, File, World};

fn folder(world_root: &std::path::Path, settings: Value) -> Value {
    let mut settings = settings;
    settings["path"] = world_root.join("share/acme").to_string_lossy().into();
    json!({"handler": "folder", "settings": settings})
}

#[tokio::test]
async fn a_folder_keeps_recordings_under_their_names() {
    let world = World::new(json!({})).await;
    std::fs::create_dir(world.folder.path().join("share")).unwrap();
    let names = json!({"field_list": [{"const": "calls"}, {"arg": "attachment"}]});
    world.plan_names(folder(world.folder.path(), names)).await;
    let path = world
        .folder
        .path()
        .join("share/acme/calls/call_recording_ab12%4010.0.0.5.mp3");
    for length in [0, 1000, 20_000_000] {
        let file = File::of(length);
        let placed = world.put(&file).await.unwrap();
        assert_eq!(placed.told(), path.to_string_lossy());
        assert!(std::fs::read(&path).unwrap() == file.bytes);
        let doc = world.keep(&file, &placed).await;
        let some = world.fetch(&doc, 5..500).await.unwrap().unwrap();
        assert!(some == file.bytes[5.min(length)..500.min(length)]);
        world
            .attachments
            .delete(DB, file.id(), How::Hard)
            .await
            .unwrap()
            .unwrap();
        assert!(!path.exists());
    }
}

#[tokio::test]
async fn a_share_that_is_not_mounted_takes_nothing_and_may_be_mounted_later() {
    let world = World::new(json!({})).await;
    world
        .plan_names(folder(world.folder.path(), json!({})))
        .await;
    let file = File::of(10);
    let error = world.put(&file).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    std::fs::create_dir(world.folder.path().join("share")).unwrap();
    world.put(&file).await.unwrap();
}
