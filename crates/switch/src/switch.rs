//! One switch, from its start to its end.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use callreel_attachments::Attachments;
use callreel_bus::{Bus, Mishaps, Subscription};
use callreel_proto::HangupCause;
use ractor::{Actor, ActorRef};
use rsipstack::EndpointBuilder;
use rsipstack::dialog::dialog_layer::DialogLayer;
use rsipstack::transaction::Endpoint;
use rsipstack::transport::TransportLayer;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::channel::ChannelMsg;
use crate::identity::Identity;
use crate::location::Location;
use crate::mwi::{self, Lamps};
use crate::nonce::Nonces;
use crate::peer::OwnAddress;
use crate::port::{PortMsg, SipPort};
use crate::rtp::{MediaEngine, RtpConfig};
use crate::shared::{Channels, Counters, Shared, locked};
use crate::sounds::Sounds;
use crate::streams::Door;
use crate::transport::{Sockets, ViaInspector};
use crate::trunks::{Trunks, registering};
use crate::{
    Error, SwitchConfig, SwitchPicture, controls, message, requests, status, streams, transport,
    watch,
};

/// How long a stopping switch waits for its phones' answers to BYE.
const STOP_PATIENCE: Duration = Duration::from_secs(2);
/// How long a channel may take to show itself.
const PICTURE_PATIENCE: Duration = Duration::from_millis(500);

/// A running switch. Dropping it without [`Switch::stop`] leaves phones to find out by themselves.
pub struct Switch {
    shared: Arc<Shared>,
    addresses: Vec<(String, SocketAddr)>,
    port: ActorRef<PortMsg>,
    /// Cancelled first: registrations at carriers are taken back while the network is still there.
    leaving: CancellationToken,
    cancel: CancellationToken,
    serving: JoinHandle<()>,
}

fn addresses(
    config: &SwitchConfig,
    addr: SocketAddr,
    tls: Option<SocketAddr>,
) -> Vec<(String, SocketAddr)> {
    let tcp = config.tcp.then_some(("tcp", addr));
    let tls = tls.map(|addr| ("tls", addr));
    let all = [("udp", addr)].into_iter().chain(tcp).chain(tls);
    all.map(|(way, addr)| (way.to_owned(), addr)).collect()
}

fn nonces(config: &SwitchConfig) -> Nonces {
    let lifetime = Duration::from_secs(config.nonce_lifetime_s);
    Nonces::new(rand::random(), Instant::now(), lifetime)
}

fn endpoint(
    sockets: Sockets,
    own: Arc<OwnAddress>,
    counters: &Arc<Counters>,
    config: &SwitchConfig,
    cancel: &CancellationToken,
) -> Endpoint {
    // A phone that registers over TCP is reached by its connection: it must outlive the longest registration.
    let idle = Duration::from_secs(u64::from(config.register_max_s) + 60);
    let layer = TransportLayer::new(cancel.child_token());
    layer.set_stream_idle_timeout(idle);
    layer.add_transport(sockets.udp);
    let door = |own, tls| Door {
        layer: TransportLayer {
            outbound: None,
            inner: layer.inner.clone(),
        },
        own,
        tls,
        streams: sockets.guard.streams.clone(),
        counters: counters.clone(),
        sources: sockets.guard.sources.clone(),
        cancel: cancel.clone(),
    };
    if let Some(listener) = sockets.tcp {
        let door = door(sockets.external, None);
        tokio::spawn(streams::serve(listener, door));
    }
    if let Some(tls) = sockets.tls {
        let own = SocketAddr::new(sockets.external.ip(), tls.bound.port());
        let acceptor = TlsAcceptor::from(tls.certificate.server(&[]));
        tokio::spawn(streams::serve(tls.listener, door(own, Some(acceptor))));
        let renewing = tls.certificate.keep_fresh("switch");
        tokio::spawn(cancel.clone().run_until_cancelled_owned(renewing));
    }
    EndpointBuilder::new()
        .with_user_agent(&config.user_agent)
        .with_cancel_token(cancel.child_token())
        .with_transport_layer(layer)
        .with_allows(message::METHODS.to_vec())
        .with_inspector(Box::new(ViaInspector { own }))
        .with_transport_inspector(Box::new(sockets.guard))
        .build()
}

fn serve(
    shared: &Arc<Shared>,
    endpoint: Endpoint,
    commands: Subscription,
    questions: Subscription,
    cancel: &CancellationToken,
) -> Result<JoinHandle<()>, Error> {
    let incoming = endpoint.incoming_transactions().map_err(Error::sip)?;
    let cancelled = cancel.clone();
    let [a, b, c, d] = [0; 4].map(|_| shared.clone());
    Ok(tokio::spawn(async move {
        // The endpoint is held here: it is the transport's owner.
        tokio::select! {
            // First: whoever is stopped stops the others, and theirs is no end to report.
            biased;
            () = cancelled.cancelled() => {}
            () = endpoint.serve() => tracing::error!("the SIP stack has ended"),
            () = requests::serve(a, incoming) => {}
            () = controls::serve(b, commands) => tracing::warn!("the bus has ended"),
            () = status::serve(c, questions) => tracing::warn!("the bus has ended"),
            () = watch::run(d) => {}
        }
    }))
}

/// Tells phones of waiting messages until the switch stops.
async fn tell_lamps(shared: Arc<Shared>, lamps: Subscription, cancel: CancellationToken) {
    // Either the bus has ended, or the switch: nothing is left to tell.
    let _ = cancel.run_until_cancelled(mwi::serve(shared, lamps)).await;
}

/// Registers at trunks, if it is this switch that does, until what it returns is cancelled.
fn register(shared: &Arc<Shared>, cancel: &CancellationToken) -> CancellationToken {
    let leaving = cancel.child_token();
    if shared.config.register_trunks {
        let work = registering::keep(shared.clone(), leaving.clone());
        shared.tasks.spawn(work);
    }
    leaving
}

impl Switch {
    /// Starts a switch. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Bind`] when the SIP port is taken, naming it and the key that changes it; the others as they say.
    pub async fn start(
        config: SwitchConfig,
        bus: Bus,
        attachments: Attachments,
        node: &str,
    ) -> Result<Self, Error> {
        let sounds = Arc::new(Sounds::new(attachments.clone(), &config)?);
        let cancel = CancellationToken::new();
        let guard = cancel.clone().drop_guard();
        let counters = Arc::new(Counters::default());
        let sockets = transport::open(&config, &counters, &cancel).await?;
        let sources = sockets.guard.sources.clone();
        let tls = sockets.tls.as_ref().map(|tls| tls.bound);
        let addresses = addresses(&config, sockets.bound, tls);
        let own = OwnAddress::new(sockets.bound, config.advertised);
        let own = Arc::new(own.with_tls(tls.map(|tls| tls.port())));
        let engine = MediaEngine::start(RtpConfig {
            bind: config.bind.ip(),
            ports: config.rtp_ports.inclusive(),
            fork_bind: config.fork_bind,
            inactivity_s: config.rtp_inactivity_s,
        })?;
        let endpoint = endpoint(sockets, own.clone(), &counters, &config, &cancel);
        let commands = controls::subscribe(&bus).await?;
        let questions = status::subscribe(&bus).await?;
        let lamps = mwi::subscribe(&bus).await?;
        let late = Arc::new(OnceLock::new());
        let port = SipPort::spawn(None, SipPort, late.clone()).await;
        let (port, _) = port.map_err(|e| Error::Sip(e.to_string()))?;
        let nonces = nonces(&config);
        let trunks = Trunks::new(Duration::from_secs(config.trunks_reread_s.max(1)));
        let shared = Arc::new(Shared {
            config,
            identity: Arc::new(Identity::new(node, &own)),
            bus,
            store: attachments.store().clone(),
            engine,
            own,
            dialogs: Arc::new(DialogLayer::new(endpoint.inner.clone())),
            sip: endpoint.inner.clone(),
            location: Mutex::new(Location::default()),
            lamps: Lamps::default(),
            nonces: Mutex::new(nonces),
            channels: Channels::default(),
            askings: Default::default(),
            sounds,
            loopbacks: Default::default(),
            trunks,
            counters,
            sources,
            mishaps: Mishaps::default(),
            queue: commands.queue().to_owned(),
            draining: AtomicBool::new(false),
            tasks: TaskTracker::new(),
            supervisor: port.get_cell(),
        });
        drop(late.set(shared.clone()));
        let serving = serve(&shared, endpoint, commands, questions, &cancel)?;
        tokio::spawn(tell_lamps(shared.clone(), lamps, cancel.clone()));
        let leaving = register(&shared, &cancel);
        guard.disarm();
        for (transport, address) in &addresses {
            tracing::info!(transport, %address, "SIP is served");
        }
        Ok(Self {
            shared,
            addresses,
            port,
            leaving,
            cancel,
            serving,
        })
    }

    /// Where phones reach it: `udp`, `tcp` or `tls`, and the address.
    pub fn sip_addresses(&self) -> Vec<(String, SocketAddr)> {
        self.addresses.clone()
    }

    /// Refuses new calls from now on and waits until the running ones have ended.
    pub async fn drain(&self) {
        self.shared.draining.store(true, Ordering::Relaxed);
        self.shared.channels.empty().await;
    }

    /// Waits until the role ends without having been told to: something in it broke.
    pub async fn ended(&mut self) {
        if !self.serving.is_finished() {
            // How it ended is in the log.
            drop((&mut self.serving).await);
        }
    }

    /// Ends all calls and lets go of the network.
    pub async fn stop(self) {
        self.shared.draining.store(true, Ordering::Relaxed);
        self.leaving.cancel();
        for channel in self.shared.channels.all() {
            // A channel that has just ended needs no telling.
            drop(channel.cast(ChannelMsg::HangUp(HangupCause::ManagerRequest)));
        }
        let settled = async {
            self.shared.channels.empty().await;
            self.shared.tasks.close();
            self.shared.tasks.wait().await;
        };
        if tokio::time::timeout(STOP_PATIENCE, settled).await.is_err() {
            tracing::warn!("some phones did not answer the end of their call");
        }
        self.cancel.cancel();
        self.port.stop(None);
    }

    /// Counts what it has, for as long as it runs.
    pub fn gauge(&self) -> Gauge {
        Gauge(Arc::clone(&self.shared))
    }

    /// What it looks like now in short: the keys of a [`SwitchPicture`] for which no channel is asked, and how many
    /// channels there are.
    pub fn vitals(&self) -> Value {
        json!({
            "draining": self.shared.draining.load(Ordering::Relaxed),
            "channels": self.shared.channels.all().len(),
            "registrations": locked(&self.shared.location).sweep(Instant::now()),
            "trunks": self.shared.trunks.pictures(),
            "counts": self.shared.counters.read(),
        })
    }

    /// What it looks like now: a [`SwitchPicture`] as JSON.
    pub async fn describe(&self) -> Value {
        serde_json::to_value(self.picture().await).unwrap_or_default()
    }

    /// What it looks like now.
    pub async fn picture(&self) -> SwitchPicture {
        let mut channels = Vec::new();
        for channel in self.shared.channels.all() {
            let asked = channel
                .call(ChannelMsg::Describe, Some(PICTURE_PATIENCE))
                .await;
            // One that ends or is busy for so long is left out.
            if let Ok(ractor::rpc::CallResult::Success(picture)) = asked {
                channels.push(picture);
            }
        }
        channels.sort_by(|a, b| {
            b.age_s
                .cmp(&a.age_s)
                .then_with(|| a.call_id.cmp(&b.call_id))
        });
        SwitchPicture {
            node: self.shared.identity.node.clone(),
            addresses: self
                .addresses
                .iter()
                .map(|(transport, addr)| format!("sip:{addr};transport={transport}"))
                .collect(),
            draining: self.shared.draining.load(Ordering::Relaxed),
            registrations: locked(&self.shared.location).sweep(Instant::now()),
            trunks: self.shared.trunks.pictures(),
            counts: self.shared.counters.read(),
            mishaps: self.shared.mishaps.counts(),
            channels,
        }
    }
}

/// Counts what the switch has.
#[derive(Clone)]
pub struct Gauge(Arc<Shared>);

impl Gauge {
    /// Legs.
    pub fn channels(&self) -> usize {
        self.0.channels.all().len()
    }

    /// Contacts registered now.
    pub fn registrations(&self) -> usize {
        locked(&self.0.location).sweep(Instant::now())
    }
}
