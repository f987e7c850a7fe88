//! The API on a real socket: start, readiness, stop.

use std::time::Duration;

use axum::Router;
use callreel_api::{Api, ApiConfig, Error};
use callreel_bus::Bus;
use callreel_spool::View;
use callreel_store::Store;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::world::{World, attachments};

/// Longer than anything here takes; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(20);

async fn start(dir: &TempDir, listen: &str) -> Result<Api, Error> {
    let store = Store::open(&dir.path().join("store.db")).unwrap();
    let spool = View::open(dir.path().join("spool"));
    let config = ApiConfig {
        listen: listen.parse().unwrap(),
        ..ApiConfig::default()
    };
    Api::start(
        config,
        Bus::embedded(),
        spool,
        attachments(store),
        "callreel@test",
        Router::new(),
    )
    .await
}

async fn ask(api: &Api, path: &str) -> String {
    let mut stream = TcpStream::connect(api.address()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn readiness_follows_what_the_node_says_and_a_stop_frees_the_port() {
    let dir = TempDir::new().unwrap();
    let api = start(&dir, "127.0.0.1:0").await.unwrap();
    assert!(ask(&api, "/healthz").await.starts_with("HTTP/1.1 200"));
    let early = ask(&api, "/readyz").await;
    assert!(
        early.starts_with("HTTP/1.1 503") && early.contains("starting"),
        "{early}"
    );
    api.ready(true);
    assert!(ask(&api, "/readyz").await.starts_with("HTTP/1.1 200"));
    let address = api.address();
    tokio::time::timeout(PATIENCE, api.stop()).await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn an_occupied_port_is_named_with_the_key_that_changes_it() {
    let (one, two) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let api = start(&one, "127.0.0.1:0").await.unwrap();
    let taken = api.address().to_string();
    let refused = start(&two, &taken).await.unwrap_err().to_string();
    assert!(
        refused.contains(&taken) && refused.contains("api.listen"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_node_that_stops_is_not_ready_but_alive() {
    let world = World::new().await;
    assert_eq!(world.get("/readyz").await.status, 200);
    world.ready.send_replace(false);
    assert_eq!(world.get("/readyz").await.status, 503);
    assert_eq!(world.get("/healthz").await.status, 200);
}
