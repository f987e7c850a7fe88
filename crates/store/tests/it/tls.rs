//! TLS to CouchDB: certificates are verified, and `store.ca_file` says who else may vouch for one.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use callreel_store::{CouchConfig, Store};
use rustls::{crypto::ring, pki_types::PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

/// A TLS server whose certificate nobody knows; it answers every connection's first request alike.
async fn private_server(folder: &Path) -> (u16, PathBuf) {
    let issued = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let ca_file = folder.join("ca.pem");
    std::fs::write(&ca_file, issued.cert.pem()).unwrap();
    let key = PrivatePkcs8KeyDer::from(issued.signing_key.serialize_der());
    let config = rustls::ServerConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![issued.cert.der().clone()], key.into())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // A client that does not trust us leaves here.
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            drop(stream.read(&mut [0; 4096]).await);
            let body = r#"{"_id":"a","_rev":"1-a"}"#;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            drop(stream.write_all(format!("{head}{body}").as_bytes()).await);
            drop(stream.shutdown().await);
        }
    });
    (port, ca_file)
}

#[tokio::test]
async fn a_certificate_is_believed_only_if_its_authority_is() {
    let folder = tempfile::TempDir::new().unwrap();
    let (port, ca_file) = private_server(folder.path()).await;
    let url = format!("https://127.0.0.1:{port}");
    let stranger = Store::connect(&url, &CouchConfig::default()).unwrap();
    let away = stranger.get("accounts", "a").await.unwrap_err();
    assert!(away.to_string().contains("certificate"), "{away}");
    let config = CouchConfig {
        ca_file: Some(ca_file),
        ..CouchConfig::default()
    };
    let store = Store::connect(&url, &config).unwrap();
    assert!(store.get("accounts", "a").await.unwrap().is_some());
    let config = CouchConfig {
        ca_file: Some(folder.path().join("nothing.pem")),
        ..CouchConfig::default()
    };
    let refused = Store::connect(&url, &config).unwrap_err().to_string();
    assert!(
        refused.contains("store.ca_file") && refused.contains("nothing.pem"),
        "{refused}"
    );
}
