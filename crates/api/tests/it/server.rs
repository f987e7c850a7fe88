//! The API on a real socket: start, readiness, stop.

use std::{path::PathBuf, sync::Arc, time::Duration};

use axum::Router;
use callreel_api::{Api, ApiConfig, Error};
use callreel_bus::Bus;
use callreel_spool::View;
use callreel_store::Store;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::world::{World, attachments};

/// Longer than anything here takes; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(20);
const REQUEST: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";

async fn start(dir: &TempDir, listen: &str) -> Result<Api, Error> {
    start_with(dir, |config| config.listen = listen.parse().unwrap()).await
}

async fn start_with(dir: &TempDir, set: impl Fn(&mut ApiConfig)) -> Result<Api, Error> {
    let store = Store::open(&dir.path().join("store.db")).unwrap();
    let spool = View::open(dir.path().join("spool"));
    let mut config = ApiConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        ..ApiConfig::default()
    };
    set(&mut config);
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

/// A certificate and its key in a folder.
fn certificate(dir: &TempDir) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["api.example".to_owned()]).unwrap();
    let files = (dir.path().join("tls.crt"), dir.path().join("tls.key"));
    std::fs::write(&files.0, made.cert.pem()).unwrap();
    std::fs::write(&files.1, made.signing_key.serialize_pem()).unwrap();
    files
}

#[tokio::test]
async fn with_a_certificate_it_speaks_https_only() {
    let dir = TempDir::new().unwrap();
    let (certificate, key) = certificate(&dir);
    let api = start_with(&dir, |config| {
        config.tls_certificate = Some(certificate.clone());
        config.tls_key = Some(key.clone());
    });
    let api = api.await.unwrap();
    // Somebody who says nothing keeps nobody from the door.
    let _silent = TcpStream::connect(api.address()).await.unwrap();
    let mut plain = TcpStream::connect(api.address()).await.unwrap();
    plain.write_all(REQUEST).await.unwrap();
    let mut answer = Vec::new();
    // An alert of TLS, or a connection that breaks.
    drop(
        timeout(PATIENCE, plain.read_to_end(&mut answer))
            .await
            .unwrap(),
    );
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    let client = Arc::new(callreel_doors::pinned(&certificate).unwrap());
    let stream = TcpStream::connect(api.address()).await.unwrap();
    let name = "api.example".try_into().unwrap();
    let mut stream = TlsConnector::from(client)
        .connect(name, stream)
        .await
        .unwrap();
    stream.write_all(REQUEST).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

#[tokio::test]
async fn a_certificate_without_its_key_is_refused_with_the_keys_that_name_them() {
    let dir = TempDir::new().unwrap();
    let (certificate, key) = certificate(&dir);
    let alone = start_with(&dir, |config| {
        config.tls_certificate = Some(certificate.clone())
    });
    let said = alone.await.unwrap_err().to_string();
    assert!(
        said.contains("api.tls_certificate") && said.contains("api.tls_key"),
        "{said}"
    );
    std::fs::write(&key, "no key").unwrap();
    let broken = start_with(&dir, |config| {
        config.tls_certificate = Some(certificate.clone());
        config.tls_key = Some(key.clone());
    });
    let said = broken.await.unwrap_err().to_string();
    assert!(
        said.contains("api.tls_key") && said.contains("tls.key cannot be used"),
        "{said}"
    );
}
