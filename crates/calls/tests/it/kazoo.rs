//! A Kazoo as our role sees it: an ecallmgr that the test plays word by word, in the shapes of either tree.

use callreel_calls::CallsConfig;
use callreel_proto::{Exchange, RecordingFact, RecordingNotice, RecordingState, encode_word};
use callreel_spool::Ticket;
use serde_json::{Value, json};

use crate::world::{ACCOUNT, CALL, PATIENCE, World};

pub(crate) const FETCH: &str = "7b0f0c1e-90c4-4a1e-8a55-2b9f6d1f0001";
pub(crate) const NODE: &str = "freeswitch@fs1.acme.test";

/// Which Kazoo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tree {
    V43,
    V50,
}

pub(crate) const TREES: [Tree; 2] = [Tree::V43, Tree::V50];

/// A Kazoo with one call.
pub(crate) struct Kazoo {
    pub(crate) world: World,
    pub(crate) tree: Tree,
    pub(crate) call: String,
    /// Commands that came before the one that was waited for: the recorder writes its ticket while the flow goes on.
    early: Vec<Value>,
}

impl Kazoo {
    /// A Kazoo whose number 2000 runs `flow`; its call is ours already.
    pub(crate) async fn with_call(tree: Tree, flow: Value) -> Self {
        let mut kazoo = Self::with(tree, flow, CallsConfig::default(), &[]).await;
        kazoo.offer(&json!({})).await;
        kazoo.take_bid().await;
        kazoo.give(&json!({})).await;
        kazoo
    }

    /// A Kazoo in which nothing has happened yet.
    pub(crate) async fn with(
        tree: Tree,
        flow: Value,
        config: CallsConfig,
        docs: &[(&str, Value)],
    ) -> Self {
        Self {
            world: World::with(flow, config, docs).await,
            tree,
            call: CALL.to_owned(),
            early: Vec::new(),
        }
    }

    /// Its address for commands and replies, as this tree writes it.
    pub(crate) fn address(&self) -> String {
        match self.tree {
            Tree::V43 => self.world.control.clone(),
            Tree::V50 => format!("pid://<0.{}.0>/{}", 4711, self.world.control),
        }
    }

    /// Asks who wants the call; `change` is laid over the request.
    pub(crate) async fn offer(&self, change: &Value) {
        let mut request = json!({
            "App-Name": "ecallmgr", "App-Version": "4.0.0", "Event-Category": "dialplan", "Event-Name": "route_req",
            "Node": "ecallmgr@kz1.acme.test", "Msg-ID": FETCH, "Server-ID": self.address(), "Call-ID": self.call,
            "From": "alice@acme.test", "To": "2000@acme.test", "Request": "2000@acme.test",
            "Caller-ID-Name": "Alice", "Caller-ID-Number": "1001", "Resource-Type": "audio", "Call-Direction": "inbound",
            "Switch-Nodename": NODE, "Unheard-Of": {"a": [1]},
            "Custom-Channel-Vars": {"Account-ID": ACCOUNT, "Fetch-ID": FETCH, "Authorizing-Type": "user"}
        });
        lay_over(&mut request, change);
        let account = request["Custom-Channel-Vars"]["Account-ID"]
            .as_str()
            .unwrap();
        let kind = request["Resource-Type"].as_str().unwrap();
        let key = format!("route.req.{kind}.{account}");
        self.publish(Exchange::Callmgr, &key, &request).await;
    }

    /// The bid: a `route_resp`.
    pub(crate) async fn take_bid(&mut self) -> Value {
        let bid = self.hears().await;
        assert_eq!(bid["Event-Name"], "route_resp", "{bid}");
        bid
    }

    /// Gives the call to whoever bid.
    pub(crate) async fn give(&self, change: &Value) {
        let described = self.world.calls.describe().await;
        assert_ne!(described["calls"], json!([]));
        let mut win = json!({
            "App-Name": "ecallmgr", "App-Version": "4.0.0", "Event-Category": "dialplan", "Event-Name": "route_win",
            "Msg-ID": self.call, "Call-ID": self.call, "Control-Queue": self.address(),
            "Custom-Channel-Vars": {"Account-ID": ACCOUNT, "Fetch-ID": FETCH}
        });
        lay_over(&mut win, change);
        let queue = self.queue().await;
        let bytes = win.to_string();
        self.world
            .bus
            .send(Exchange::Targeted, &queue, bytes)
            .await
            .unwrap();
    }

    /// The role's own queue.
    pub(crate) async fn queue(&self) -> String {
        let queues = self.world.bus.describe().queues;
        let ours = queues
            .into_iter()
            .find(|q| q.name.starts_with("callreel@test-calls-"));
        ours.unwrap().name
    }

    /// The next message to the switch.
    pub(crate) async fn hears(&mut self) -> Value {
        let heard = tokio::time::timeout(PATIENCE, self.world.switch.recv()).await;
        let heard = heard.expect("the switch hears something").unwrap();
        serde_json::from_slice(&heard.body).unwrap()
    }

    /// The next command of this name.
    pub(crate) async fn commanded(&mut self, application: &str) -> Value {
        let is_it = |command: &Value| command["Application-Name"] == application;
        let command = match self.early.iter().position(is_it) {
            Some(at) => self.early.remove(at),
            None => loop {
                let command = self.hears().await;
                assert_eq!(command["Event-Name"], "command", "{command}");
                if is_it(&command) {
                    break command;
                }
                self.early.push(command);
            },
        };
        assert_eq!(command["Call-ID"], json!(self.call), "{command}");
        command
    }

    /// Returns when everything said so far has been heard: a stray message behind it has been counted, and a description
    /// passes through every actor's mailbox.
    pub(crate) async fn settle(&self) {
        let strays = |described: &Value| {
            described["refused"]["unexpected on targeted"]
                .as_u64()
                .unwrap_or(0)
        };
        let before = strays(&self.world.calls.describe().await);
        let stray = json!({"App-Name": "x", "App-Version": "1", "Event-Category": "x", "Event-Name": "x", "Msg-ID": "x"});
        let queue = self.queue().await;
        let bus = &self.world.bus;
        bus.send(Exchange::Targeted, &queue, stray.to_string())
            .await
            .unwrap();
        let counted = self.world.until(|described| strays(described) > before);
        counted.await;
        self.world.calls.describe().await;
    }

    /// The only call, as it describes itself once everything said so far has been heard.
    pub(crate) async fn described(&self) -> Value {
        self.settle().await;
        self.world.calls.describe().await["calls"][0].clone()
    }

    /// Nothing has been said to the switch that has not been heard.
    pub(crate) async fn nothing_more_is_said(&mut self) {
        self.settle().await;
        assert!(self.early.is_empty(), "{:?}", self.early);
        let soon = std::time::Duration::from_millis(20);
        let said = tokio::time::timeout(soon, self.world.switch.recv()).await;
        assert!(said.is_err(), "{said:?}");
    }

    /// Something happens to the call.
    pub(crate) async fn event(&self, name: &str, fields: &Value) {
        let mut event = json!({
            "App-Name": if self.tree == Tree::V43 { "ecallmgr" } else { "freeswitch" }, "App-Version": "1.0",
            "Event-Category": "call_event", "Event-Name": name, "Msg-ID": "1732350000000000",
            "Call-ID": self.call, "Timestamp": 63_900_000_000_i64, "Switch-Nodename": NODE,
            "Channel-Call-State": "ACTIVE", "Channel-State": "EXECUTE",
            "Custom-Channel-Vars": {"Account-ID": ACCOUNT, "Fetch-ID": FETCH, "Channel-Authorized": "true"}
        });
        lay_over(&mut event, fields);
        let call = event["Call-ID"].as_str().unwrap();
        let key = format!("call.{name}.{}", encode_word(call));
        self.publish(Exchange::Callevt, &key, &event).await;
    }

    /// A command is done.
    pub(crate) async fn done(&self, application: &str, response: &str) {
        let fields = json!({"Application-Name": application, "Application-Response": response});
        self.event("CHANNEL_EXECUTE_COMPLETE", &fields).await;
    }

    /// The switch begins, or has ended, the recording of this name.
    pub(crate) async fn record(&self, event: &str, started: &Value, more: &Value) {
        let name = &started["Media-Name"];
        let path = format!("/tmp/{}", name.as_str().unwrap());
        let mut fields = json!({"Application-Name": "record", "Application-Response": path});
        let vars = &started["Recording-Variables"];
        if self.tree == Tree::V50 && vars.is_object() {
            fields["Recording"] = vars.clone();
            fields["Recording"]["File-Path"] = json!(path);
        }
        lay_over(&mut fields, more);
        self.event(event, &fields).await;
    }

    /// A command could not be executed, in the words of this tree.
    pub(crate) async fn refuses(&self, command: &Value) {
        let mut request = command.clone();
        let error = json!("Could not execute dialplan action");
        let mut fields =
            json!({"Event-Category": "error", "Msg-ID": command["Msg-ID"], "Error-Message": error});
        if self.tree == Tree::V50 {
            request.as_object_mut().unwrap().remove("Msg-ID");
            fields["Dialplan-Error"] = error;
        }
        fields["Request"] = request;
        self.event("dialplan", &fields).await;
    }

    pub(crate) async fn publish(&self, exchange: Exchange, key: &str, message: &Value) {
        let bytes = message.to_string();
        self.world.bus.publish(exchange, key, bytes).await.unwrap();
    }

    pub(crate) async fn noticed(&mut self, fact: RecordingFact) -> RecordingNotice {
        self.world.noticed(fact).await
    }

    /// The ticket of a recording that has ended.
    pub(crate) async fn ended(&mut self) -> Ticket {
        let ended = self.noticed(RecordingFact::Ended).await;
        let ticket = self.world.ticket_of(&ended);
        assert_eq!(ticket.state(), RecordingState::Ended);
        assert_eq!(ticket.end_reason(), ended.end_reason);
        ticket
    }

    /// Waits until no call is left.
    pub(crate) async fn over(&self) {
        let none = |described: &Value| described["calls"] == json!([]);
        self.world.until(none).await;
    }
}

/// Objects are merged; everything else replaces what is there.
pub(crate) fn lay_over(under: &mut Value, over: &Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                lay_over(under.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over.clone(),
    }
}

/// `record_call start`, then this.
pub(crate) fn record(then: Value) -> Value {
    json!({"module": "record_call", "data": {"action": "start", "url": "http://r.test/x", "format": "mp3", "time_limit": 600},
        "children": {"_": then}})
}

/// `record_call stop`, then this.
pub(crate) fn stop(then: Value) -> Value {
    json!({"module": "record_call", "data": {"action": "stop"}, "children": {"_": then}})
}

pub(crate) fn forever() -> Value {
    json!({"module": "sleep", "data": {"duration": 86_000}, "children": {}})
}

/// Something to wait at: the flow goes on when it is told that it has been played.
pub(crate) fn play(then: Value) -> Value {
    json!({"module": "play", "data": {"id": "silence_stream://1", "answer": false}, "children": {"_": then}})
}
