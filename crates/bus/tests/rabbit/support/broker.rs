//! A broker of the tests' own, for tests that run on tokio.

use std::{ops::Deref, time::Duration};

use callreel_proto::random_hex;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::{
    sync::OnceCell,
    time::{sleep, timeout},
};

use super::{PATIENCE, server::Server};

/// A broker that runs.
pub struct Broker(Server);

impl Broker {
    /// The broker that all tests share who leave it as it is.
    pub async fn shared() -> &'static Broker {
        static SHARED: OnceCell<Broker> = OnceCell::const_new();
        SHARED.get_or_init(Broker::start).await
    }

    /// A broker of one's own.
    pub async fn start() -> Self {
        let mut broker = Self(Server::new());
        broker.configure("");
        broker.resume().await;
        broker
    }

    /// A broker of one's own that takes clients with TLS too, with a certificate for `localhost` of an authority of its own.
    pub async fn start_with_tls() -> Self {
        let mut broker = Self(Server::new());
        broker.make_certificates();
        let (port, dir) = (broker.tls_port(), broker.dir().display());
        let tls = format!(
            "listeners.ssl.1 = 127.0.0.1:{port}\n\
             ssl_options.certfile = {dir}/cert.pem\n\
             ssl_options.keyfile = {dir}/key.pem\n\
             ssl_options.cacertfile = {dir}/ca.pem\n\
             ssl_options.verify = verify_none\n"
        );
        broker.configure(&tls);
        broker.resume().await;
        broker
    }

    fn make_certificates(&self) {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate().unwrap();
        let ca = authority.self_signed(&authority_key).unwrap();
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate().unwrap();
        let server = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let cert = server.signed_by(&key, &issuer).unwrap();
        for (name, pem) in [
            ("ca.pem", ca.pem()),
            ("cert.pem", cert.pem()),
            ("key.pem", key.serialize_pem()),
        ] {
            std::fs::write(self.dir().join(name), pem).unwrap();
        }
    }

    pub fn url(&self) -> String {
        self.url_of("guest", "guest")
    }

    /// Starts it, again if need be, with the data it has; returns when it lets a client in.
    pub async fn resume(&mut self) {
        self.0.launch();
        let up = timeout(PATIENCE, async {
            while !self.is_up() {
                sleep(Duration::from_millis(20)).await;
            }
        });
        let up = up.await;
        assert!(up.is_ok(), "the broker did not start: {}", self.output());
    }

    /// What an operator does with `rabbitmqctl`.
    pub async fn control(&self, words: &[&str]) {
        let mut command = tokio::process::Command::from(self.0.control(words));
        let done = timeout(PATIENCE, command.output()).await;
        let done = done.expect("it answers").unwrap();
        assert!(done.status.success(), "{words:?}: {done:?}");
    }

    /// Kills it, like a power cut; its data stay. Returns when nothing listens any more.
    pub async fn kill(&mut self) {
        self.0.kill();
    }
}

impl Deref for Broker {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

/// A vhost-wide unique word.
pub fn word() -> String {
    random_hex(16)
}
