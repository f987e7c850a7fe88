//! A store, a spool and a bus with an API over them, and requests to it without a socket.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::ConnectInfo,
    http::{HeaderMap, Request, Response, StatusCode, header},
};
use bytes::Bytes;
use callreel_api::{ApiConfig, Asker, Gate, Nodes, Shared, Switches, router};
use callreel_attachments::{Attachments, Outside, OutsideConfig};
use callreel_bus::Bus;
use callreel_proto::{AccountDb, AccountId, Utc, month_db};
use callreel_spool::{CaptureHeader, Outbox, SpoolConfig, Ticket, View, Writer};
use callreel_store::{ACCOUNTS, Store, stamp};
use futures::stream;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;
use tower::ServiceExt;

pub(crate) const ACCOUNT: &str = "abcd0123456789abcdef0123456789ab";
/// Where requests come from.
const CLIENT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 18)), 40_000);
/// Far above any answer of these tests.
const MAX_BODY: usize = 16 << 20;

pub(crate) struct World {
    _dir: TempDir,
    pub(crate) store: Store,
    spool: Writer,
    pub(crate) bus: Bus,
    pub(crate) ready: watch::Sender<bool>,
    app: Router,
}

/// An answer, its body read.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), "application/json");
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    /// The sentence of a refusal.
    pub(crate) fn message(&self) -> String {
        let body = self.json();
        assert_eq!(body["status"], "error");
        assert_eq!(body["error"], self.status.as_u16().to_string());
        body["data"]["message"].as_str().unwrap().to_owned()
    }

    /// The ids of a listing.
    pub(crate) fn ids(&self) -> Vec<String> {
        let body = self.json();
        let ids = body["data"].as_array().expect("a listing").iter();
        ids.map(|doc| doc["id"].as_str().unwrap().to_owned())
            .collect()
    }
}

impl World {
    /// Puts a ticket, and an empty capture for it, into the spool.
    pub(crate) fn owe(&self, ticket: &Ticket) {
        let promise = ticket.promise();
        let header = CaptureHeader {
            capture_id: ticket.capture_id().unwrap().clone(),
            call_id: promise.call_id.clone(),
            account_id: promise.account_id.clone(),
            started_at: promise.started_at,
        };
        let journal = self.spool.create_capture(header).unwrap();
        self.spool.create_ticket(ticket).unwrap();
        journal.seal().unwrap();
    }

    /// The spool as anybody may look at it.
    pub(crate) fn spool(&self) -> &View {
        self.spool.view()
    }

    /// All lines of the manifest.
    pub(crate) fn manifest(&self) -> String {
        let dir = self.spool().dir().join("manifest");
        let files = std::fs::read_dir(dir).into_iter().flatten();
        let paths = files.map(|file| file.unwrap().path());
        let lines = paths.filter(|path| path.extension().is_some_and(|e| e == "jsonl"));
        lines
            .map(|path| std::fs::read_to_string(path).unwrap())
            .collect()
    }

    /// Takes a recording that is owed out of the spool.
    pub(crate) fn delivers(&self, ticket: &Ticket) {
        let outbox = Outbox::open(self.spool.view().dir()).unwrap();
        outbox.settle(ticket).unwrap();
    }

    pub(crate) async fn new() -> Self {
        Self::with(ApiConfig::default()).await
    }

    /// One whose API has these settings.
    pub(crate) async fn with(config: ApiConfig) -> Self {
        let dir = TempDir::new().unwrap();
        let store = Store::open(&dir.path().join("store.db")).unwrap();
        let spool = Writer::open(dir.path().join("spool"), &SpoolConfig::default()).unwrap();
        let bus = Bus::embedded();
        let (ready, is_ready) = watch::channel(true);
        let app = router(Arc::new(Shared {
            bus: bus.clone(),
            asker: Asker::start(bus.clone(), "callreel@test").await.unwrap(),
            switches: Switches::default(),
            nodes: Nodes::start(&bus).await.unwrap(),
            spool: spool.view().clone(),
            store: store.clone(),
            attachments: attachments(store.clone()),
            gate: Gate::new(&config, store.clone()),
            node: "callreel@test".into(),
            ready: is_ready,
        }));
        let world = Self {
            _dir: dir,
            store,
            spool,
            bus,
            ready,
            app,
        };
        let account = json!({"_id": ACCOUNT, "pvt_type": "account", "realm": "r"});
        world.store.put(ACCOUNTS, account).await.unwrap();
        let user = json!({"_id": "u1", "pvt_type": "user"});
        world.store.put(&own_db(), user).await.unwrap();
        world
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.app.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn call(&self, method: &str, uri: &str, headers: &[(&str, &str)]) -> Answer {
        self.call_with(method, uri, headers, Body::empty()).await
    }

    /// The same, with a body.
    pub(crate) async fn call_with(
        &self,
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(body).unwrap();
        request.extensions_mut().insert(ConnectInfo(CLIENT));
        let response = self.send(request).await;
        let (parts, body) = response.into_parts();
        let answer = Answer {
            status: parts.status,
            headers: parts.headers,
            body: to_bytes(body, MAX_BODY).await.unwrap(),
        };
        assert_eq!(
            answer.header(header::X_CONTENT_TYPE_OPTIONS.as_str()),
            "nosniff"
        );
        answer
    }

    pub(crate) async fn get(&self, uri: &str) -> Answer {
        self.call("GET", uri, &[]).await
    }

    /// Stores a recording that was created `age_s` seconds ago; its id.
    pub(crate) async fn recording(&self, age_s: i64, more: Value) -> String {
        let created = Utc::now().plus_ms(-1000 * age_s);
        let id = callreel_proto::RecordingId::random(created).to_string();
        self.recording_named(&id, created, more).await;
        id
    }

    pub(crate) async fn recording_named(&self, id: &str, created: Utc, more: Value) {
        let account = account();
        let db = month_db(&account, &id[..6]);
        let mut doc = more.as_object().unwrap().clone();
        stamp(&mut doc, "call_recording", &db, Some(&account), created);
        doc.insert("_id".into(), id.into());
        doc.insert("start".into(), (created.gregorian_seconds() - 5).into());
        self.store.put(&db, Value::Object(doc)).await.unwrap();
    }

    pub(crate) async fn attach(&self, id: &str, name: &str, content_type: &str, bytes: Vec<u8>) {
        let db = month_db(&account(), &id[..6]);
        let length = bytes.len() as u64;
        let body = stream::iter([Ok(Bytes::from(bytes))]);
        let put = self
            .store
            .put_attachment(&db, id, name, content_type, length, body);
        put.await.unwrap();
    }
}

pub(crate) fn account() -> AccountId {
    AccountId::parse(ACCOUNT).unwrap()
}

fn own_db() -> String {
    AccountDb::name(&account())
}

/// Stored recordings, and a way out.
pub(crate) fn attachments(store: Store) -> Attachments {
    Attachments::new(store, Outside::new(&OutsideConfig::default()).unwrap())
}
