//! A node with nothing but the delivery role, and an ear on its notices.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use callreel_attachments::{Attachments, Outside};
use callreel_bus::{Binding, Bus, QueueOptions, Subscription};
use callreel_delivery::{Delivery, DeliveryConfig, WebhooksConfig};
use callreel_proto::{
    DeliveryAction, DeliveryOrder, Envelope, Exchange, RecordingFact, RecordingId, RecordingNotice,
};
use callreel_spool::{Outbox, SpoolConfig, Ticket, Writer};
use callreel_store::Store;

/// The node's name on the bus.
pub(crate) const NAME: &str = "callreel@here.example.com";

/// Longest wait for anything that must happen: far beyond what a loaded machine needs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Node {
    /// A recorder beside the role.
    pub(crate) spool: Writer,
    pub(crate) store: Store,
    pub(crate) delivery: Delivery,
    pub(crate) bus: Bus,
    notices: Subscription,
    _home: Home,
}

/// Settings for receivers on loopback and quick retries.
pub(crate) fn config() -> DeliveryConfig {
    DeliveryConfig {
        allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
        backoff_first_s: 1,
        backoff_max_s: 1,
        encode_threads: 1,
        ..DeliveryConfig::default()
    }
}

/// Where a node keeps everything; survives its restarts.
#[derive(Clone)]
pub(crate) struct Home(Arc<tempfile::TempDir>);

impl Home {
    pub(crate) fn new() -> Self {
        Self(Arc::new(tempfile::tempdir().unwrap()))
    }

    pub(crate) fn dir(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn spool_dir(&self) -> PathBuf {
        self.0.path().join("spool")
    }

    pub(crate) async fn start(&self, config: DeliveryConfig) -> Node {
        self.start_with(config, self.writer()).await
    }

    pub(crate) fn writer(&self) -> Writer {
        Writer::open(self.spool_dir(), &SpoolConfig::default()).unwrap()
    }

    pub(crate) async fn start_with(&self, config: DeliveryConfig, spool: Writer) -> Node {
        self.start_told(config, spool, &WebhooksConfig::default())
            .await
    }

    pub(crate) async fn start_told(
        &self,
        config: DeliveryConfig,
        spool: Writer,
        webhooks: &WebhooksConfig,
    ) -> Node {
        let outbox = Outbox::open(self.spool_dir()).unwrap();
        self.start_on(config, spool, outbox, webhooks).await
    }

    /// The same on a spool that was opened otherwise.
    pub(crate) async fn start_on(
        &self,
        config: DeliveryConfig,
        spool: Writer,
        outbox: Outbox,
        webhooks: &WebhooksConfig,
    ) -> Node {
        let store = Store::open(&self.0.path().join("store.db")).unwrap();
        let bus = Bus::embedded();
        let hears = [
            RecordingFact::Rendered,
            RecordingFact::Retrying,
            RecordingFact::Delivered,
            RecordingFact::Undeliverable,
            RecordingFact::Discarded,
        ]
        .map(|fact| Binding::new(Exchange::Kapps, RecordingNotice::pattern(fact)));
        let notices = bus
            .subscribe(QueueOptions::private(100), hears.into())
            .await
            .unwrap();
        let bus_of_role = bus.clone();
        let attachments = attachments(&config, store.clone());
        let delivery =
            callreel_delivery::start(config, webhooks, bus_of_role, outbox, attachments, NAME)
                .await
                .unwrap();
        Node {
            spool,
            store,
            delivery,
            bus,
            notices,
            _home: self.clone(),
        }
    }
}

impl Node {
    /// Tells the world that a recording has ended, as calls do.
    pub(crate) async fn tell_ended(&self, ticket: &Ticket) {
        let promise = ticket.promise();
        let (account_id, call_id) = (promise.account_id.clone(), promise.call_id.clone());
        let notice = RecordingNotice {
            recording_id: Some(ticket.recording_id().clone()),
            end_reason: ticket.end_reason(),
            ..RecordingNotice::new(RecordingFact::Ended, account_id, call_id)
        };
        self.tell(notice).await;
    }

    /// Tells the world a fact.
    pub(crate) async fn tell(&self, notice: RecordingNotice) {
        let key = notice.routing_key();
        let body = notice.into_envelope().to_bytes();
        let told = self.bus.publish(Exchange::Kapps, &key, body).await;
        told.unwrap();
    }

    pub(crate) async fn order(&self, action: DeliveryAction, id: &RecordingId) {
        self.send(DeliveryOrder::new(action, id.clone())).await;
    }

    pub(crate) async fn send(&self, order: DeliveryOrder) {
        let key = order.routing_key();
        let body = order.into_envelope().to_bytes();
        let told = self.bus.publish(Exchange::Kapps, &key, body).await;
        told.unwrap();
    }

    pub(crate) async fn next_notice(&mut self) -> RecordingNotice {
        let next = tokio::time::timeout(PATIENCE, self.notices.recv()).await;
        let delivery = next.expect("a notice comes in time").unwrap();
        let notice = Envelope::<RecordingNotice>::from_bytes(&delivery.body).unwrap();
        assert_eq!(notice.headers.node, NAME);
        assert_eq!(delivery.routing_key, notice.body.routing_key());
        notice.body
    }

    /// The next notices tell of these facts; the last one is returned.
    pub(crate) async fn hear(&mut self, facts: &[RecordingFact]) -> RecordingNotice {
        let mut last = None;
        for fact in facts {
            let notice = self.next_notice().await;
            assert_eq!(notice.fact, *fact, "{notice:?}");
            last = Some(notice);
        }
        last.expect("at least one fact is waited for")
    }

    /// Waits until so many recordings are delivered, in whatever order their steps are told.
    pub(crate) async fn hear_delivered(&mut self, mut count: usize) {
        while count > 0 {
            match self.next_notice().await.fact {
                RecordingFact::Delivered => count -= 1,
                fact => assert_eq!(fact, RecordingFact::Rendered),
            }
        }
    }

    /// Waits until the queue has heard the order to drop the recording it is working on.
    pub(crate) async fn until_unwanted(&self) {
        let heard = async {
            while self.delivery.describe().await["recordings"][0]["unwanted"] != true {
                tokio::task::yield_now().await;
            }
        };
        let heard = tokio::time::timeout(PATIENCE, heard).await;
        heard.expect("the order is heard in time");
    }

    /// Nothing of any recording is left on disk.
    pub(crate) fn assert_nothing_owed(&self) {
        assert!(self.spool.view().tickets().unwrap().is_empty());
        let findings = self.spool.view().check().unwrap();
        assert!(findings.is_empty(), "{findings:?}");
    }

    /// Stops the role and lets go of everything, as the end of a process does.
    pub(crate) async fn stop(self) {
        tokio::time::timeout(PATIENCE, self.delivery.stop())
            .await
            .expect("the role stops in time");
    }
}

/// Stored recordings, and the way out that these settings leave.
pub(crate) fn attachments(config: &DeliveryConfig, store: Store) -> Attachments {
    Attachments::new(store, Outside::new(&config.outside()).unwrap())
}
