//! Receivers behind TLS: whom the role trusts.

use std::{fs, net::SocketAddr, path::PathBuf, sync::Arc};

use axum::serve::Listener;
use callreel_delivery::DeliveryConfig;
use callreel_proto::{Destination, HttpMethod, RecordingFact};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
    server::TlsStream,
};

use crate::{
    call::{assert_heard, record},
    node::{Home, config},
    receiver::Receiver,
};

/// A receiver with a certificate of its own making.
struct Tls {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (stream, peer) = self.tcp.accept().await.unwrap();
            // Those who do not trust it hang up in the handshake.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, peer);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

/// The receiver, its destination, and the file with its certificate.
async fn receiver(home: &Home) -> (Receiver, Destination, PathBuf) {
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let pem = home.dir().join("ca.pem");
    fs::write(&pem, own.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    let listener = Tls {
        tcp: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        acceptor: TlsAcceptor::from(Arc::new(tls)),
    };
    let receiver = Receiver::serve(listener, &[]);
    let to = Destination::http(
        format!("https://{}/x.wav", receiver.at).parse().unwrap(),
        HttpMethod::Put,
    );
    (receiver, to, pem)
}

#[tokio::test]
async fn a_receiver_of_a_private_authority_is_trusted_when_the_operator_says_so() {
    let home = Home::new();
    let (receiver, to, pem) = receiver(&home).await;
    let trusting = DeliveryConfig {
        ca_file: Some(pem),
        ..config()
    };
    let mut node = home.start(trusting).await;
    let ticket = record(&node.spool, 1, to, &|_| {});
    node.tell_ended(&ticket).await;
    node.hear(&[RecordingFact::Rendered, RecordingFact::Delivered])
        .await;
    assert_heard(receiver.received()[0].body.to_vec(), "wav", 1);
}

#[tokio::test]
async fn a_receiver_nobody_vouches_for_gets_nothing() {
    let home = Home::new();
    let (receiver, to, _) = receiver(&home).await;
    let mut node = home.start(config()).await;
    let ticket = record(&node.spool, 1, to, &|_| {});
    node.tell_ended(&ticket).await;
    let notice = node
        .hear(&[RecordingFact::Rendered, RecordingFact::Retrying])
        .await;
    let reason = notice.detail.unwrap();
    assert!(reason.contains("certificate"), "{reason}");
    assert!(receiver.received().is_empty());
}
