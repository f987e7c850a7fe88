//! The role's neighbours: a bus, a store, a spool, and the queue of a switch that the test plays.

use std::time::Duration;

use callreel_attachments::{Outside, OutsideConfig};
use callreel_bus::{Binding, Bus, QueueOptions, Subscription};
use callreel_calls::{Calls, CallsConfig, RecordingConfig};
use callreel_proto::{
    AccountDb, AccountId, Application, CallEvent, CallId, Command, Envelope, EventName, Exchange,
    HangupCause, Headers, Leg, MediaFork, RecordAction, RecordingFact, RecordingInfo,
    RecordingNotice, RouteReq, RouteResp, RouteWin, Utc,
};
use callreel_spool::{Record, SpoolConfig, Ticket, Writer};
use callreel_store::Store;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

pub(crate) const ACCOUNT: &str = "a0000000000000000000000000000001";
pub(crate) const CALL: &str = "3e7f@10.0.0.1";
/// Longer than anything here takes; only a hang reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Everything around the role, and the switch's queue.
pub(crate) struct World {
    pub(crate) bus: Bus,
    pub(crate) store: Store,
    pub(crate) spool: Writer,
    pub(crate) calls: Calls,
    pub(crate) switch: Subscription,
    pub(crate) notices: Subscription,
    pub(crate) control: String,
    _dir: TempDir,
}

impl World {
    /// A world in which number 2000 runs `flow`.
    pub(crate) async fn with_flow(flow: Value) -> Self {
        Self::with(flow, CallsConfig::default(), &[]).await
    }

    /// The same with these settings and these further documents, each in its database.
    pub(crate) async fn with(flow: Value, config: CallsConfig, docs: &[(&str, Value)]) -> Self {
        Self::with_settings(flow, config, RecordingConfig::default(), docs).await
    }

    /// The same with these settings of recordings, too.
    pub(crate) async fn with_settings(
        flow: Value,
        config: CallsConfig,
        recording: RecordingConfig,
        docs: &[(&str, Value)],
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store.sqlite")).unwrap();
        let account = AccountId::parse(ACCOUNT).unwrap();
        let doc = json!({"_id": "f1", "pvt_type": "callflow", "name": "test", "numbers": ["2000"], "flow": flow});
        store.save(&AccountDb::name(&account), doc).await.unwrap();
        for (db, doc) in docs {
            store.save(db, doc.clone()).await.unwrap();
        }
        let spool = Writer::open(dir.path().join("spool"), &SpoolConfig::default()).unwrap();
        let bus = Bus::embedded();
        let control = bus.unique_queue_name();
        let settings = (config, recording);
        Self::around(bus, &control, settings, store, spool, dir).await
    }

    /// A world without documents on this bus, whose switch has this queue.
    pub(crate) async fn on(bus: Bus, control: &str, spool: Writer, dir: TempDir) -> Self {
        let store = Store::open(&dir.path().join("store.sqlite")).unwrap();
        let settings = (CallsConfig::default(), RecordingConfig::default());
        Self::around(bus, control, settings, store, spool, dir).await
    }

    async fn around(
        bus: Bus,
        control: &str,
        (config, recording): (CallsConfig, RecordingConfig),
        store: Store,
        spool: Writer,
        dir: TempDir,
    ) -> Self {
        let options = QueueOptions {
            name: Some(control.to_owned()),
            ..QueueOptions::private(1000)
        };
        let own = |exchange| Binding::new(exchange, control);
        let bindings = vec![own(Exchange::Targeted), own(Exchange::Callctl)];
        let switch = bus.subscribe(options, bindings).await.unwrap();
        let notices = queue(&bus, &[Binding::new(Exchange::Kapps, RecordingNotice::ALL)]).await;
        let (role_bus, role_spool, role_store) = (bus.clone(), spool.clone(), store.clone());
        // Servers of a test are on this machine.
        let outside = OutsideConfig {
            allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
            ..OutsideConfig::default()
        };
        let calls = Calls::start(
            config,
            recording,
            role_bus,
            role_store,
            role_spool,
            Outside::new(&outside).unwrap(),
            "callreel@test",
        )
        .await
        .unwrap();
        Self {
            bus,
            store,
            spool,
            calls,
            switch,
            notices,
            control: control.to_owned(),
            _dir: dir,
        }
    }

    pub(crate) async fn ask(&self, number: &str) {
        self.ask_as(number, "fetch-1").await;
    }

    async fn ask_as(&self, number: &str, fetch_id: &str) {
        let mut vars = Map::new();
        vars.insert("Account-ID".to_owned(), json!(ACCOUNT));
        let dialled = format!("{number}@acme.test");
        let request = RouteReq {
            caller_id_number: "1001".to_owned(),
            caller_id_name: "Alice".to_owned(),
            switch_nodename: "switch@test".to_owned(),
            media_fork: Some(true),
            custom_channel_vars: vars,
            ..RouteReq::new(CallId::new(CALL), "alice@acme.test", &dialled, &dialled)
        };
        let key = request.routing_key();
        let headers = Headers::new("dialplan", "route_req")
            .msg_id(fetch_id)
            .server_id(self.control.clone());
        let bytes = Envelope {
            headers,
            body: request,
        }
        .to_bytes();
        self.bus
            .publish(Exchange::Callmgr, &key, bytes)
            .await
            .unwrap();
    }

    /// Plays the switch up to the point where the call is won.
    pub(crate) async fn give_call(&mut self) {
        self.give_call_as("fetch-1").await;
    }

    /// The same as this control session.
    pub(crate) async fn give_call_as(&mut self, fetch_id: &str) {
        self.ask_as("2000", fetch_id).await;
        let bid = self.hears().await;
        let bid = Envelope::<RouteResp>::from_bytes(&bid).unwrap();
        assert_eq!(bid.headers.msg_id, fetch_id);
        let win = RouteWin {
            call_id: CallId::new(CALL),
            control_queue: self.control.clone(),
            switch_hostname: None,
            custom_channel_vars: Map::from_iter([("Fetch-ID".to_owned(), json!(fetch_id))]),
        };
        let headers = Headers::new("dialplan", "route_win").msg_id(CALL);
        let bytes = Envelope { headers, body: win }.to_bytes();
        let bidder = bid.headers.server_id.unwrap();
        self.bus
            .send(Exchange::Targeted, &bidder, bytes)
            .await
            .unwrap();
    }

    /// Waits until the role describes itself so.
    pub(crate) async fn until(&self, is_so: impl Fn(&Value) -> bool) {
        let looking = async {
            while !is_so(&self.calls.describe().await) {
                tokio::task::yield_now().await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, looking).await;
        found.expect("the role comes to describe itself so");
    }

    pub(crate) async fn hears(&mut self) -> bytes::Bytes {
        let heard = tokio::time::timeout(PATIENCE, self.switch.recv()).await;
        heard.expect("the switch hears something").unwrap().body
    }

    /// The next command that is not a mere marker.
    pub(crate) async fn commanded(&mut self) -> Application {
        let bytes = self.hears().await;
        Envelope::<Command>::from_bytes(&bytes)
            .unwrap()
            .body
            .application
    }

    pub(crate) async fn started(&mut self) -> (MediaFork, RecordingInfo) {
        let Application::RecordCall {
            action: RecordAction::Start,
            fork,
            terms,
            media_name,
        } = self.commanded().await
        else {
            panic!("not a start");
        };
        let info = RecordingInfo {
            id: terms.recording_id,
            name: media_name,
            ..RecordingInfo::default()
        };
        (fork.expect("a place for the audio"), info)
    }

    pub(crate) async fn says(&self, name: EventName, change: impl FnOnce(&mut CallEvent)) {
        let mut event = CallEvent::new(CallId::new(CALL), Utc::now());
        event.hangup_cause =
            (name == EventName::ChannelDestroy).then_some(HangupCause::NormalClearing);
        change(&mut event);
        if let Some(recording) = &event.recording {
            event.application_name = Some("record".to_owned());
            event.application_response.clone_from(&recording.name);
        }
        let key = event.routing_key(name);
        let bytes = event.into_envelope(name).to_bytes();
        self.bus
            .publish(Exchange::Callevt, &key, bytes)
            .await
            .unwrap();
    }

    pub(crate) async fn noticed(&mut self, fact: RecordingFact) -> RecordingNotice {
        loop {
            let delivery = tokio::time::timeout(PATIENCE, self.notices.recv()).await;
            let bytes = delivery
                .unwrap_or_else(|_| panic!("{fact:?} was never noticed"))
                .unwrap()
                .body;
            let notice = Envelope::<RecordingNotice>::from_bytes(&bytes)
                .unwrap()
                .body;
            if notice.fact == fact {
                return notice;
            }
        }
    }

    pub(crate) fn ticket_of(&self, notice: &RecordingNotice) -> Ticket {
        self.spool
            .view()
            .ticket(notice.recording_id.as_ref().unwrap())
            .unwrap()
            .unwrap()
    }

    /// Sequence numbers in the ticket's journal, per leg.
    pub(crate) fn journalled(&self, ticket: &Ticket) -> [Vec<u16>; 2] {
        let mut reader = self
            .spool
            .view()
            .read_journal(ticket.capture_id().unwrap())
            .unwrap();
        let mut found = [Vec::new(), Vec::new()];
        while let Some(record) = reader.next_record().unwrap() {
            if let Record::Packet(packet) = record {
                found[usize::from(packet.leg == Leg::B)].push(packet.sequence);
            }
        }
        found
    }
}

/// Lets so much time pass at once for everything that waits for it, and nothing for what does not.
pub(crate) async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

pub(crate) async fn queue(bus: &Bus, bindings: &[Binding]) -> Subscription {
    let options = QueueOptions {
        name: None,
        shared: false,
        capacity: 1000,
    };
    bus.subscribe(options, bindings.to_vec()).await.unwrap()
}
