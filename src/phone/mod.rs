//! A small real SIP phone: registers, calls, is called, speaks and listens. Used by `dial`, the demo and the tests;
//! it knows nothing of the product it calls.

mod call;
mod hearing;
mod incoming;
#[cfg(test)]
mod registrar;
mod rtp;
mod sdp;
mod speaker;
#[cfg(test)]
mod tests;

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use callreel_media::Codec;
use rsipstack::{
    EndpointBuilder,
    dialog::{
        authenticate::Credential,
        dialog_layer::DialogLayer,
        invitation::InviteOption,
        registration::{Registration, refresh_interval},
    },
    sip::{Auth, Host, HostWithPort, Scheme, StatusCodeKind, Uri},
    transaction::{Endpoint, endpoint::EndpointOption},
    transport::{SipAddr, TransportLayer, transport_layer::DomainResolver, udp::UdpConnection},
};
use tokio::sync::{Mutex, mpsc, watch};
use tokio_util::sync::CancellationToken;

pub(crate) use call::{Call, Ending};
pub(crate) use hearing::Heard;
pub(crate) use speaker::Played;

use rtp::Audio;

/// Calls that rang and were not yet taken from [`Phone::next_call`]. Nobody rings a test phone more often.
const WAITING_CALLS: usize = 16;
/// Registrations are asked for this long, seconds.
const REGISTRATION_S: u32 = 300;
/// The registrar may be gone when the phone stops; it need not wait long.
const UNREGISTER_PATIENCE: Duration = Duration::from_secs(1);

/// What can go wrong with a phone.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No socket.
    #[error("cannot open a socket at {address}: {source}")]
    Socket {
        /// Where.
        address: IpAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The stack refused.
    #[error("sip: {0}")]
    Sip(String),
    /// A SIP address that is none.
    #[error("{0:?} is not a sip address; write sip:USER@HOST or sip:USER@HOST:PORT")]
    Address(String),
    /// The registrar said no.
    #[error("registration as {user} was refused: {code} {reason}")]
    Unregistered {
        /// As whom.
        user: String,
        /// SIP status code.
        code: u16,
        /// Its phrase.
        reason: String,
    },
    /// Nothing more can be said or dialled.
    #[error("the call is over")]
    CallEnded,
    /// The other side's session description has no telephone-event.
    #[error("the other side takes no digits: its session description has no telephone-event")]
    NoDigits,
    /// Only keys of a telephone can be dialled.
    #[error("{0:?} is not a digit; use 0-9, *, # and A-D")]
    NotADigit(char),
}

impl From<rsipstack::Error> for Error {
    fn from(error: rsipstack::Error) -> Self {
        Self::Sip(error.to_string())
    }
}

/// What the phone does when it is called.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answering {
    /// Rings, then answers.
    After(Duration),
    /// Rings until the caller gives up.
    Never,
    /// Refuses with this SIP status code.
    Refuse(u16),
}

/// Who the phone is and where it lives.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// Its SIP username.
    pub(crate) user: String,
    /// Its SIP domain (the account's realm).
    pub(crate) realm: String,
    /// For digest authentication; `None` answers no challenge.
    pub(crate) password: Option<String>,
}

/// Settings of a phone.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    /// Who it is.
    pub(crate) identity: Identity,
    /// The server all requests go to.
    pub(crate) server: SocketAddr,
    /// Codecs it offers, best first.
    pub(crate) codecs: Vec<Codec>,
    /// What it does when it is called.
    pub(crate) answering: Answering,
}

/// What all parts of one phone share.
struct Line {
    setting: Setting,
    endpoint: Endpoint,
    dialogs: Arc<DialogLayer>,
    address: SocketAddr,
    contact: Uri,
    off: CancellationToken,
}

/// Every name leads to the phone's server, as with an outbound proxy: a realm need not exist in the DNS, and CANCEL has
/// only the realm to go by.
struct ServerForAll(SocketAddr);

#[async_trait::async_trait]
impl DomainResolver for ServerForAll {
    async fn resolve(&self, target: &SipAddr) -> rsipstack::Result<SipAddr> {
        Ok(SipAddr {
            r#type: target.r#type,
            addr: self.0.into(),
        })
    }
}

/// A telephone. Dropping it switches it off without a word; [`Phone::stop`] says goodbye.
pub(crate) struct Phone {
    line: Arc<Line>,
    calls: Mutex<mpsc::Receiver<Call>>,
    registration: Mutex<Option<Arc<Mutex<Registration>>>>,
}

impl Drop for Phone {
    fn drop(&mut self) {
        self.line.off.cancel();
    }
}

impl Phone {
    /// Switches a phone on at a free port of the address from which `server` is reached.
    pub(crate) async fn start(setting: Setting) -> Result<Self, Error> {
        let ip = address_towards(setting.server)?;
        let off = CancellationToken::new();
        let resolver = Box::new(ServerForAll(setting.server));
        let transport = TransportLayer::new_with_domain_resolver(off.child_token(), resolver);
        let socket =
            UdpConnection::create_connection((ip, 0).into(), None, Some(off.child_token())).await?;
        let address = socket.get_addr().get_socketaddr()?;
        transport.add_transport(socket.into());
        let endpoint = EndpointBuilder::new()
            .with_user_agent(concat!("callreel-phone/", env!("CARGO_PKG_VERSION")))
            .with_transport_layer(transport)
            .with_cancel_token(off.child_token())
            .with_option(EndpointOption {
                callid_suffix: Some(setting.identity.realm.clone()),
                ..EndpointOption::default()
            })
            .build();
        let incoming = endpoint.incoming_transactions()?;
        let line = Arc::new(Line {
            dialogs: Arc::new(DialogLayer::new(endpoint.inner.clone())),
            contact: uri(&setting.identity.user, address.into()),
            setting,
            endpoint,
            address,
            off,
        });
        let (rung, calls) = mpsc::channel(WAITING_CALLS);
        let inner = line.endpoint.inner.clone();
        tokio::spawn(async move { inner.serve().await });
        tokio::spawn(incoming::serve(line.clone(), incoming, rung));
        Ok(Self {
            line,
            calls: Mutex::new(calls),
            registration: Mutex::new(None),
        })
    }

    /// Its SIP address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.line.address
    }

    /// Registers and keeps the registration fresh until the phone stops; how long the registrar grants, in seconds.
    pub(crate) async fn register(&self) -> Result<u32, Error> {
        let mut registration = Registration::new(
            self.line.endpoint.inner.clone(),
            self.line.setting.identity.credential(),
        );
        registration.outbound_proxy = Some(self.line.setting.server);
        let granted_s = self
            .line
            .register(&mut registration, REGISTRATION_S)
            .await?;
        let registration = Arc::new(Mutex::new(registration));
        *self.registration.lock().await = Some(registration.clone());
        tokio::spawn(keep_registered(self.line.clone(), registration, granted_s));
        Ok(granted_s)
    }

    /// Calls `user` of its own realm. Returns as soon as the INVITE is on its way.
    pub(crate) async fn call(&self, user: &str) -> Result<Call, Error> {
        let line = &self.line;
        let realm = host(&line.setting.identity.realm)?;
        let callee = match realm.host {
            // CANCEL and ACK follow the request URI: an address without its port would lead astray.
            Host::IpAddr(_) => uri(user, line.setting.server.into()),
            Host::Domain(_) => uri(user, realm.clone()),
        };
        let codec = line.setting.codecs.first().copied().unwrap_or(Codec::Pcmu);
        let audio = line.audio().await?;
        let option = InviteOption {
            caller: uri(&line.setting.identity.user, realm),
            callee,
            destination: Some(SipAddr::from(line.setting.server)),
            contact: line.contact.clone(),
            credential: line.setting.identity.credential(),
            offer: Some(sdp::offer(audio.address(), &line.setting.codecs, 1)),
            ..InviteOption::default()
        };
        let (told, states) = line.dialogs.new_dialog_state_channel();
        let (dialog, outcome) = line.dialogs.do_invite_async(option, told)?;
        let call = Call {
            dialog,
            audio,
            progress: Arc::new(watch::Sender::default()),
            codec,
        };
        tokio::spawn(incoming::follow(line.clone(), call.clone(), states));
        let calling = call.clone();
        tokio::spawn(async move {
            // Only what never became a dialog state is told here; the first ending told is the one that counts.
            let ending = match outcome.await {
                Ok(Ok((_, Some(_)))) => return,
                Ok(Ok((_, None))) => "no final answer to the INVITE".to_owned(),
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            calling.end(Ending::Failed(ending)).await;
        });
        Ok(call)
    }

    /// The next call that rings here; `None` when the phone is off.
    pub(crate) async fn next_call(&self) -> Option<Call> {
        self.calls.lock().await.recv().await
    }

    /// Unregisters and switches off. Calls must have been hung up before.
    pub(crate) async fn stop(self) {
        let Some(registration) = self.registration.lock().await.take() else {
            return;
        };
        let leaving = async {
            let mut registration = registration.lock().await;
            self.line.register(&mut registration, 0).await
        };
        if !matches!(
            tokio::time::timeout(UNREGISTER_PATIENCE, leaving).await,
            Ok(Ok(_))
        ) {
            tracing::debug!(user = %self.line.setting.identity.user, "not unregistered");
        }
    }
}

impl Identity {
    fn credential(&self) -> Option<Credential> {
        self.password.as_ref().map(|password| Credential {
            username: self.user.clone(),
            password: password.clone(),
            realm: None,
            auth_username: None,
        })
    }
}

impl Line {
    async fn audio(&self) -> Result<Audio, Error> {
        let ip = self.address.ip();
        Audio::open(ip, &self.setting.codecs)
            .await
            .map_err(|source| Error::Socket {
                address: ip,
                source,
            })
    }

    async fn register(&self, registration: &mut Registration, for_s: u32) -> Result<u32, Error> {
        let registrar = Uri {
            scheme: Some(Scheme::Sip),
            host_with_port: host(&self.setting.identity.realm)?,
            ..Uri::default()
        };
        let response = registration.register(registrar, Some(for_s)).await?;
        if response.status_code.kind() == StatusCodeKind::Successful {
            return Ok(registration.expires());
        }
        Err(Error::Unregistered {
            user: self.setting.identity.user.clone(),
            code: response.status_code.code(),
            reason: response.status_code.text().to_owned(),
        })
    }
}

/// Registers again after three quarters of what was granted, until the phone is off.
async fn keep_registered(
    line: Arc<Line>,
    registration: Arc<Mutex<Registration>>,
    mut granted_s: u32,
) {
    loop {
        tokio::select! {
            () = line.off.cancelled() => return,
            () = tokio::time::sleep(refresh_interval(granted_s)) => {}
        }
        let mut registration = registration.lock().await;
        match line.register(&mut registration, REGISTRATION_S).await {
            Ok(granted) => granted_s = granted,
            Err(error) => tracing::warn!(%error, "registration not refreshed"),
        }
    }
}

fn uri(user: &str, host_with_port: HostWithPort) -> Uri {
    Uri {
        scheme: Some(Scheme::Sip),
        auth: Some(Auth {
            user: user.to_owned(),
            password: None,
        }),
        host_with_port,
        ..Uri::default()
    }
}

fn host(text: &str) -> Result<HostWithPort, Error> {
    HostWithPort::try_from(text).map_err(|_| Error::Address(text.to_owned()))
}

/// Our address on the way to `server`, as the kernel routes it; nothing is sent.
fn address_towards(server: SocketAddr) -> Result<IpAddr, Error> {
    let any: IpAddr = if server.is_ipv4() {
        std::net::Ipv4Addr::UNSPECIFIED.into()
    } else {
        std::net::Ipv6Addr::UNSPECIFIED.into()
    };
    UdpSocket::bind((any, 0))
        .and_then(|probe| probe.connect(server).and_then(|()| probe.local_addr()))
        .map(|address| address.ip())
        .map_err(|source| Error::Socket {
            address: server.ip(),
            source,
        })
}
