//! The certificate a node shows to those who connect to it: read from two PEM files, and read anew when they change.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use crate::provider;

/// How often the files are looked at. Whoever renews certificates does so days before they end.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Why a certificate cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read as what it should hold.
    #[error("{path} cannot be used: {reason}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, for people.
        reason: String,
    },
    /// The two do not belong together, or nobody could be shown them.
    #[error("{key} is not the key of {certificate}: {reason}", key = key.display(), certificate = certificate.display())]
    Pair {
        /// The file with the certificate.
        certificate: PathBuf,
        /// The file with the key.
        key: PathBuf,
        /// What is wrong with them, for people.
        reason: String,
    },
}

/// A certificate, with those that vouch for it, and its key.
#[derive(Debug)]
pub struct Certificate {
    certificate: PathBuf,
    key: PathBuf,
    shown: RwLock<Arc<CertifiedKey>>,
}

impl Certificate {
    /// Reads a PEM file of certificates, the node's own first, and one with its key (PKCS #8, PKCS #1 or SEC 1).
    ///
    /// # Errors
    /// [`Error`] says which file is at fault.
    pub fn load(certificate: &Path, key: &Path) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Self {
            shown: RwLock::new(Arc::new(read(certificate, key)?)),
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        }))
    }

    /// How connections are accepted: TLS 1.2 and 1.3, of anybody, speaking one of `protocols` (ALPN) if they say which.
    pub fn server(self: &Arc<Self>, protocols: &[&str]) -> Arc<ServerConfig> {
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("every provider has ciphers for them")
            .with_no_client_auth();
        let mut config = config.with_cert_resolver(self.clone());
        config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// Reads the files anew. New connections are shown what they hold now; true if that is another.
    ///
    /// # Errors
    /// [`Error`] says which file is at fault; what was shown before still is.
    pub fn reload(&self) -> Result<bool, Error> {
        let found = read(&self.certificate, &self.key)?;
        let mut shown = self.shown.write().unwrap_or_else(PoisonError::into_inner);
        let changed = shown.cert != found.cert;
        if changed {
            *shown = Arc::new(found);
        }
        Ok(changed)
    }

    /// Reads the files anew each minute, for ever. `of` is whose they are, for the log.
    pub async fn keep_fresh(self: Arc<Self>, of: &'static str) {
        let mut minutes = tokio::time::interval(LOOK_EVERY);
        let mut was_wrong = false;
        loop {
            minutes.tick().await;
            let certificate = self.clone();
            let tried = tokio::task::spawn_blocking(move || certificate.reload()).await;
            let wrong = matches!(tried, Ok(Err(_)));
            match tried {
                Ok(Ok(true)) => {
                    tracing::info!(of, certificate = %self.certificate.display(), "a new certificate is shown")
                }
                Ok(Err(error)) if !was_wrong => {
                    tracing::error!(of, %error, "the certificate that was shown so far still is: mend the files before it ends");
                }
                _ => {}
            }
            was_wrong = wrong;
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&shown))
    }
}

fn read(certificate: &Path, key: &Path) -> Result<CertifiedKey, Error> {
    let chain = certificates(certificate)?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|reason| Error::File {
        path: key.to_owned(),
        reason: reason.to_string(),
    })?;
    CertifiedKey::from_der(chain, secret, &provider()).map_err(|reason| Error::Pair {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        reason: reason.to_string(),
    })
}

/// The certificates of a PEM file.
pub(crate) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let failed = |reason: String| Error::File {
        path: file.to_owned(),
        reason,
    };
    let all = CertificateDer::pem_file_iter(file).map_err(|e| failed(e.to_string()))?;
    let chain: Result<Vec<_>, _> = all.collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(failed("it holds no certificate".to_owned())),
        chain => chain.map_err(|e| failed(e.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;
    use crate::pinned;

    /// A folder with a certificate for a name, its key, and the names of the two files.
    struct Files(tempfile::TempDir);

    impl Files {
        fn of(name: &str) -> Self {
            let files = Self(tempfile::tempdir().unwrap());
            files.renew(name);
            files
        }

        fn renew(&self, name: &str) {
            let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
            std::fs::write(self.certificate(), made.cert.pem()).unwrap();
            std::fs::write(self.key(), made.signing_key.serialize_pem()).unwrap();
        }

        fn certificate(&self) -> PathBuf {
            self.0.path().join("tls.crt")
        }

        fn key(&self) -> PathBuf {
            self.0.path().join("tls.key")
        }

        fn load(&self) -> Result<Arc<Certificate>, Error> {
            Certificate::load(&self.certificate(), &self.key())
        }
    }

    /// Whether who trusts nothing but `trusted` gets through to who shows `shown`.
    async fn meet(shown: &Arc<Certificate>, trusted: &Path) -> bool {
        let (ours, theirs) = tokio::io::duplex(16 << 10);
        let server = TlsAcceptor::from(shown.server(&["http/1.1"]));
        let client = TlsConnector::from(Arc::new(pinned(trusted).unwrap()));
        let name = "anything.example".try_into().unwrap();
        let (_, met) = tokio::join!(server.accept(ours), client.connect(name, theirs));
        met.is_ok()
    }

    #[tokio::test]
    async fn a_renewed_certificate_is_shown_to_those_who_come_next() {
        let files = Files::of("one.example");
        let other = Files::of("two.example");
        let shown = files.load().unwrap();
        assert!(meet(&shown, &files.certificate()).await);
        assert!(!meet(&shown, &other.certificate()).await);
        assert!(!shown.reload().unwrap(), "nothing has changed");
        std::fs::copy(other.certificate(), files.certificate()).unwrap();
        let said = shown.reload().unwrap_err().to_string();
        assert!(said.contains("tls.key is not the key of"), "{said}");
        assert!(
            !meet(&shown, &other.certificate()).await,
            "half a renewal is none"
        );
        std::fs::copy(other.key(), files.key()).unwrap();
        assert!(shown.reload().unwrap());
        assert!(meet(&shown, &other.certificate()).await);
    }

    #[test]
    fn a_file_that_is_not_what_it_should_be_is_named() {
        let files = Files::of("one.example");
        std::fs::write(files.key(), "-----BEGIN NONSENSE-----").unwrap();
        let said = files.load().unwrap_err().to_string();
        assert!(said.contains("tls.key"), "{said}");
        std::fs::write(files.certificate(), "").unwrap();
        let said = files.load().unwrap_err().to_string();
        assert!(
            said.contains("tls.crt cannot be used: it holds no certificate"),
            "{said}"
        );
        std::fs::remove_file(files.certificate()).unwrap();
        let said = files.load().unwrap_err().to_string();
        assert!(said.contains("tls.crt"), "{said}");
    }
}
