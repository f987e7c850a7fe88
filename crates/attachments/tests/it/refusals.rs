//! What a handler that says no, is not there, or may not be reached is told of, and that no credential is in it.

use callreel_attachments::{Error, How, OutsideConfig};
use serde_json::{Value, json};

use crate::{
    server::{SECRET, Server, Speaks},
    world::{DB, File, World},
};

/// A key that opens nothing; Azure wants base64.
const WRONG: &str = "d3Jvbmcta2V5LW9mLXRoZS10ZXN0cw==";

async fn put(world: &World) -> Error {
    let error = world.put(&File::of(1000)).await.unwrap_err();
    let shown = format!("{error} {error:?}");
    for secret in [SECRET, WRONG, "PRIVATE KEY"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    error
}

fn with(mut handler: Value, key: &str, value: Value) -> Value {
    handler["settings"][key] = value;
    handler
}

#[tokio::test]
async fn wrong_keys_and_missing_buckets_are_refusals() {
    let (s3, azure) = (Server::start(Speaks::S3), Server::start(Speaks::Azure));
    let google = Server::start(Speaks::Google);
    let other = Server::start(Speaks::Google);
    let foreign = other.handler()["settings"]["service_account"].take();
    for (handler, said) in [
        (
            with(s3.handler(), "key", "nobody".into()),
            "it answered 403: InvalidAccessKeyId",
        ),
        (
            with(s3.handler(), "secret", WRONG.into()),
            "it answered 403: SignatureDoesNotMatch",
        ),
        (
            with(s3.handler(), "bucket", "nowhere".into()),
            "it answered 404: NoSuchBucket",
        ),
        (
            with(azure.handler(), "key", WRONG.into()),
            "it answered 403: AuthorizationFailure",
        ),
        (
            with(azure.handler(), "key", "not base64!".into()),
            "its settings cannot be used",
        ),
        (
            with(azure.handler(), "container", "nowhere".into()),
            "it answered 404: ContainerNotFound",
        ),
        (
            with(google.handler(), "service_account", foreign),
            "it answered 401: AuthenticationRequired",
        ),
        (
            with(google.handler(), "bucket", "nowhere".into()),
            "it answered 404: NoSuchBucket",
        ),
    ] {
        let error = put(&World::new(handler).await).await;
        assert!(error.is_refused(), "{error}");
        assert!(error.to_string().contains(said), "{error}\nhas no\n{said}");
    }
}

#[tokio::test]
async fn a_handler_that_is_away_may_come_back() {
    let mut server = Server::start(Speaks::S3);
    let world = World::new(server.handler()).await;
    server.kill();
    let error = put(&world).await;
    assert!(!error.is_refused());
    assert!(error.to_string().contains("tcp connect error"), "{error}");
    server.launch();
    world.put(&File::of(1000)).await.unwrap();
}

#[tokio::test]
async fn the_guard_holds_for_every_host_a_plan_names() {
    let server = Server::start(Speaks::S3);
    let named = with(server.handler(), "host", "localhost".into());
    let endpoint = |endpoint: &str| {
        let settings =
            json!({"account": "a", "container": "c", "key": SECRET, "endpoint": endpoint});
        json!({"handler": "azure", "settings": settings})
    };
    for handler in [
        server.handler(),
        named,
        endpoint("http://169.254.169.254/a"),
        endpoint("http://[::ffff:127.0.0.1]/a"),
    ] {
        let world = World::with(handler, OutsideConfig::default()).await;
        let error = put(&world).await;
        assert!(!error.is_refused(), "{error}");
        assert!(
            error.to_string().contains("delivery.allow_networks"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_deleted_at_its_handler_keeps_its_document() {
    let mut server = Server::start(Speaks::S3);
    let world = World::new(server.handler()).await;
    let file = File::of(1000);
    let placed = world.put(&file).await.unwrap();
    let mut doc = world.keep(&file, &placed).await;
    let delete = || world.attachments.delete(DB, file.id(), How::Hard);
    let kept = || world.attachments.store().get(DB, file.id());

    doc["hold"] = json!({"by": "law@acme.example", "reason": "court", "since": 1});
    world
        .attachments
        .store()
        .save(DB, doc.clone())
        .await
        .unwrap();
    assert!(matches!(delete().await, Err(Error::Held(_))));
    assert!(world.fetch(&doc, 0..9).await.unwrap().is_some());
    doc["hold"] = Value::Null;
    world
        .attachments
        .store()
        .save(DB, doc.clone())
        .await
        .unwrap();

    server.kill();
    assert!(matches!(delete().await, Err(Error::Unavailable { .. })));
    assert!(kept().await.unwrap().is_some());
    server.launch();
    world
        .plan_names(json!({"handler": "folder", "settings": {"path": "/x"}}))
        .await;
    let error = delete().await.unwrap_err();
    assert!(error.to_string().contains("put it back"), "{error}");
    assert!(kept().await.unwrap().is_some());
    world.plan_names(server.handler()).await;
    delete().await.unwrap().unwrap();
    assert!(kept().await.unwrap().is_none());
}
