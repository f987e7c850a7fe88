//! The neighbours of the recorder under test: a bus, a store with one account, a spool, delivery, and a switch that does what it is told at
//! once and has no phones. Everything of the product's own runs as it does in a node.

use std::{collections::HashMap, net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context, bail};
use callreel_attachments::{Attachments, Outside};
use callreel_bus::{Binding, Bus, QueueOptions, Subscription};
use callreel_calls::{Calls, CallsConfig, RecordingConfig};
use callreel_delivery::{Delivery, DeliveryConfig, WebhooksConfig};
use callreel_proto::{
    AccountDb, AccountId, Application, AudioFormat, CallEvent, CallId, Command, Envelope,
    EventName, Exchange, HangupCause, Headers, MediaFork, RecordAction, RecordingFact,
    RecordingInfo, RecordingNotice, RouteReq, RouteResp, RouteWin, Utc,
};
use callreel_spool::{Outbox, SpoolConfig, Writer};
use callreel_store::Store;
use serde_json::{Map, Value, json};
use url::Url;

const ACCOUNT: &str = "be4c0000000000000000000000000001";
const NODE: &str = "callreel@bench.example.com";
const NUMBER: &str = "2000";
/// Longer than a call of a bench.
const FOREVER_S: u64 = 86_400;
/// Messages of all calls that may wait for this switch.
const QUEUE: usize = 100_000;
/// Nothing here takes as long.
const PATIENCE: Duration = Duration::from_secs(120);

/// A call that is being recorded.
pub(super) struct Live {
    pub(super) id: CallId,
    pub(super) fork: [SocketAddr; 2],
}

/// All of them together.
pub(super) struct Stage {
    bus: Bus,
    calls: Calls,
    delivery: Option<Delivery>,
    switch: Subscription,
    notices: Subscription,
    control: String,
}

impl Stage {
    /// Sets it up in this folder. Recordings go to `url` in this format; without one none is made.
    pub(super) async fn open(
        dir: &Path,
        url: &Url,
        format: Option<AudioFormat>,
    ) -> anyhow::Result<Self> {
        let store = Store::open(&dir.join("store.db"))?;
        let account = AccountId::parse(ACCOUNT)?;
        let extension = format.unwrap_or(AudioFormat::Wav).extension();
        let flow = json!({
            "module": "record_call",
            "data": {"action": "start", "url": url, "format": extension, "channels": "stereo", "time_limit": 10_800},
            "children": {"_": {"module": "sleep", "data": {"duration": FOREVER_S}, "children": {}}},
        });
        let doc = json!({"_id": "bench", "pvt_type": "callflow", "name": "bench", "numbers": [NUMBER], "flow": flow});
        store.save(&AccountDb::name(&account), doc).await?;
        let bus = Bus::embedded();
        let config = DeliveryConfig {
            allow_networks: vec!["127.0.0.0/8".parse()?],
            ..DeliveryConfig::default()
        };
        let outside = Outside::new(&config.outside())?;
        let spool = dir.join("spool");
        let delivery = match format {
            Some(_) => {
                let attachments = Attachments::new(store.clone(), outside.clone());
                let outbox = Outbox::open(&spool)?;
                let webhooks = WebhooksConfig::default();
                let started = callreel_delivery::start(
                    config,
                    &webhooks,
                    bus.clone(),
                    outbox,
                    attachments,
                    NODE,
                );
                Some(started.await?)
            }
            None => None,
        };
        let control = bus.unique_queue_name();
        let queue = |name| QueueOptions {
            name,
            ..QueueOptions::private(QUEUE)
        };
        let own = [Exchange::Targeted, Exchange::Callctl]
            .map(|exchange| Binding::new(exchange, control.clone()));
        let switch = bus
            .subscribe(queue(Some(control.clone())), own.to_vec())
            .await?;
        let told = vec![Binding::new(Exchange::Kapps, RecordingNotice::ALL)];
        let notices = bus.subscribe(queue(None), told).await?;
        let writer = Writer::open(&spool, &SpoolConfig::default())?;
        let calls = Calls::start(
            CallsConfig::default(),
            RecordingConfig::default(),
            bus.clone(),
            store,
            writer,
            outside,
            NODE,
        );
        Ok(Self {
            calls: calls.await?,
            bus,
            delivery,
            switch,
            notices,
            control,
        })
    }

    /// Begins so many calls and returns when all of them are being recorded, in the order of their numbers.
    pub(super) async fn begin(
        &mut self,
        calls: std::ops::Range<usize>,
        source: SocketAddr,
    ) -> anyhow::Result<Vec<Live>> {
        for n in calls.clone() {
            self.ask(&call_id(n)).await?;
        }
        let mut forks = HashMap::new();
        while forks.len() < calls.len() {
            let heard = tokio::time::timeout(PATIENCE, self.switch.recv()).await;
            let heard = heard.context("the calls were not set up")?;
            let body = heard.context("the bus has ended")?.body;
            if let Ok(bid) = Envelope::<RouteResp>::from_bytes(&body) {
                self.win(&bid).await?;
            } else if let Ok(command) = Envelope::<Command>::from_bytes(&body) {
                let id = command.body.call_id.clone();
                if let Some(fork) = self.obey(command.body, source).await? {
                    forks.insert(id, fork);
                }
            }
        }
        let live = |n| {
            let id = call_id(n);
            let fork: &MediaFork = forks
                .get(&id)
                .with_context(|| format!("{id} is not recorded"))?;
            Ok(Live {
                fork: [fork.a, fork.b],
                id,
            })
        };
        calls.map(live).collect()
    }

    async fn ask(&self, id: &CallId) -> anyhow::Result<()> {
        let to = format!("{NUMBER}@bench.example.com");
        let request = RouteReq {
            caller_id_number: "1001".to_owned(),
            caller_id_name: "Alice".to_owned(),
            switch_nodename: "switch@bench.example.com".to_owned(),
            media_fork: Some(true),
            custom_channel_vars: Map::from_iter([("Account-ID".to_owned(), json!(ACCOUNT))]),
            ..RouteReq::new(id.clone(), "alice@bench.example.com", &to, &to)
        };
        let key = request.routing_key();
        let headers = Headers::new("dialplan", "route_req")
            .msg_id(id.as_str())
            .server_id(self.control.clone());
        let body = Envelope {
            headers,
            body: request,
        }
        .to_bytes();
        Ok(self.bus.publish(Exchange::Callmgr, &key, body).await?)
    }

    async fn win(&self, bid: &Envelope<RouteResp>) -> anyhow::Result<()> {
        let id = &bid.headers.msg_id;
        let win = RouteWin {
            call_id: CallId::new(id.clone()),
            control_queue: self.control.clone(),
            switch_hostname: None,
            custom_channel_vars: Map::from_iter([("Fetch-ID".to_owned(), json!(id))]),
        };
        let headers = Headers::new("dialplan", "route_win").msg_id(id.clone());
        let body = Envelope { headers, body: win }.to_bytes();
        let bidder = bid
            .headers
            .server_id
            .as_deref()
            .context("a bid without a queue")?;
        Ok(self.bus.send(Exchange::Targeted, bidder, body).await?)
    }

    /// Says that it records where it is to, and gives where to.
    async fn obey(
        &self,
        command: Command,
        source: SocketAddr,
    ) -> anyhow::Result<Option<MediaFork>> {
        let Application::RecordCall {
            action: RecordAction::Start,
            fork: Some(fork),
            terms,
            media_name,
        } = command.application
        else {
            return Ok(None);
        };
        let recording = RecordingInfo {
            id: terms.recording_id,
            name: media_name,
            fork_source: Some(source),
            ..RecordingInfo::default()
        };
        self.says(EventName::RecordStart, &command.call_id, |event| {
            event.application_name = Some("record".to_owned());
            event.application_response.clone_from(&recording.name);
            event.recording = Some(recording);
        })
        .await?;
        Ok(Some(fork))
    }

    async fn says(
        &self,
        name: EventName,
        id: &CallId,
        change: impl FnOnce(&mut CallEvent),
    ) -> anyhow::Result<()> {
        let mut event = CallEvent::new(id.clone(), Utc::now());
        change(&mut event);
        let key = event.routing_key(name);
        let body = event.into_envelope(name).to_bytes();
        Ok(self.bus.publish(Exchange::Callevt, &key, body).await?)
    }

    /// Hangs this call up.
    pub(super) async fn hang_up(&self, id: &CallId) -> anyhow::Result<()> {
        let cause = Some(HangupCause::NormalClearing);
        self.says(EventName::ChannelDestroy, id, |event| {
            event.hangup_cause = cause
        })
        .await
    }

    /// Waits for this fact of so many recordings, and gives each one's call and the length of its audio.
    pub(super) async fn told(
        &mut self,
        fact: RecordingFact,
        times: usize,
    ) -> anyhow::Result<HashMap<CallId, Option<u64>>> {
        let mut all = HashMap::new();
        while all.len() < times {
            let next = tokio::time::timeout(PATIENCE, self.notices.recv()).await;
            let next = next.with_context(|| {
                format!("{} of {times} recordings are {}", all.len(), fact.name())
            })?;
            let body = next.context("the bus has ended")?.body;
            let notice = Envelope::<RecordingNotice>::from_bytes(&body)?.body;
            if notice.fact == RecordingFact::Undeliverable {
                bail!("{} is undeliverable: {:?}", notice.call_id, notice.detail);
            }
            if notice.fact == fact {
                all.insert(notice.call_id, notice.duration_ms);
            }
        }
        Ok(all)
    }

    /// Packets that are in the journals of calls that live.
    pub(super) async fn received(&self) -> u64 {
        packets(&self.calls.describe().await)
    }

    pub(super) async fn close(self) {
        self.calls.stop(Duration::ZERO).await;
        if let Some(delivery) = self.delivery {
            delivery.stop().await;
        }
    }
}

fn call_id(n: usize) -> CallId {
    CallId::new(format!("{n}@bench"))
}

/// What this call's recording is called.
pub(super) fn file_name(n: usize, format: AudioFormat) -> String {
    format!("call_recording_{n}@bench.{}", format.extension())
}

/// All packets that a description tells of, wherever in it.
fn packets(described: &Value) -> u64 {
    match described {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, field)| match (name.as_str(), field) {
                ("packets", Value::Array(legs)) => legs.iter().filter_map(Value::as_u64).sum(),
                _ => packets(field),
            })
            .sum(),
        Value::Array(fields) => fields.iter().map(packets).sum(),
        _ => 0,
    }
}
