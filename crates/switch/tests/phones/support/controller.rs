//! A controller of calls: claims them, sends commands, hears events.

use callreel_bus::{Binding, Bus, QueueOptions, Subscription};
use callreel_proto::{CallId, Envelope, Exchange, Headers, RouteMethod, RouteReq, RouteResp};
use serde_json::{Value, json};

use super::soon;

/// A controller on the bus.
pub(crate) struct Controller {
    bus: Bus,
    queue: String,
    subscription: Subscription,
    control: String,
    /// Its `App-Name`.
    app: String,
    /// Events heard and not asked for yet, oldest first.
    heard: Vec<Value>,
}

impl Controller {
    pub(crate) async fn new(bus: &Bus) -> Self {
        let queue = bus.unique_queue_name();
        let options = QueueOptions {
            name: Some(queue.clone()),
            shared: false,
            capacity: 10_000,
        };
        let bindings = vec![
            Binding::new(Exchange::Callmgr, "route.req.audio.*"),
            Binding::new(Exchange::Callevt, "call.#"),
            Binding::new(Exchange::Kapps, "callreel.record.*"),
            Binding::new(Exchange::Targeted, &queue),
        ];
        Self {
            bus: bus.clone(),
            subscription: bus.subscribe(options, bindings).await.unwrap(),
            queue,
            control: String::new(),
            app: "callreel".to_owned(),
            heard: Vec::new(),
        }
    }

    /// The same controller as another application.
    pub(crate) fn named(mut self, app: &str) -> Self {
        app.clone_into(&mut self.app);
        self
    }

    /// The next message of this name that is not an event, or that event.
    pub(crate) async fn take(&mut self, name: &str, call_id: Option<&str>) -> Value {
        let wanted =
            |m: &Value| m["Event-Name"] == name && call_id.is_none_or(|id| m["Call-ID"] == id);
        if let Some(at) = self.heard.iter().position(wanted) {
            return self.heard.remove(at);
        }
        loop {
            let delivery = soon(
                &format!("{name}; heard {:#?}", self.names()),
                self.subscription.recv(),
            )
            .await
            .expect("the bus is open");
            let message: Value = serde_json::from_slice(&delivery.body).unwrap();
            if wanted(&message) {
                return message;
            }
            self.heard.push(message);
        }
    }

    /// Names of what was heard and not taken.
    pub(crate) fn names(&self) -> Vec<String> {
        self.heard
            .iter()
            .map(|m| format!("{} {}", m["Event-Name"].as_str().unwrap(), m["Call-ID"]))
            .collect()
    }

    /// The next `route_req`.
    pub(crate) async fn asked(&mut self) -> Envelope<RouteReq> {
        let message = self.take("route_req", None).await;
        Envelope::from_bytes(message.to_string().as_bytes()).unwrap()
    }

    /// Answers a `route_req`.
    pub(crate) async fn respond(
        &self,
        request: &Envelope<RouteReq>,
        fill: impl FnOnce(&mut RouteResp),
    ) {
        let mut body = RouteResp::new(RouteMethod::Park);
        fill(&mut body);
        let mut headers = Headers::new("dialplan", "route_resp")
            .msg_id(&request.headers.msg_id)
            .server_id(&self.queue);
        headers.app_name.clone_from(&self.app);
        headers.node = format!("{}@n1", self.app);
        let envelope = Envelope { headers, body };
        self.answer(request, &envelope.to_bytes()).await;
    }

    /// Sends anything where the answer to a `route_req` belongs.
    pub(crate) async fn answer(&self, request: &Envelope<RouteReq>, body: &[u8]) {
        let to = request.headers.server_id.as_ref().unwrap();
        let body = body.to_vec();
        self.bus.send(Exchange::Targeted, to, body).await.unwrap();
    }

    /// Claims the next call; returns its request.
    pub(crate) async fn claims(&mut self) -> RouteReq {
        let request = self.asked().await;
        self.respond(&request, |_| {}).await;
        self.wins(&request.body.call_id).await;
        request.body
    }

    /// Waits for the `route_win` of this call.
    pub(crate) async fn wins(&mut self, call_id: &CallId) -> Value {
        let win = self.take("route_win", None).await;
        assert_eq!(win["Msg-ID"], call_id.as_str());
        self.control = win["Control-Queue"].as_str().unwrap().to_owned();
        win
    }

    /// Asks every switch something; answers come to this controller's queue.
    pub(crate) async fn ask(&self, key: &str, name: &str, fields: Value) {
        let mut message = json!({
            "App-Name": "test", "App-Version": "1", "Event-Category": "call_event", "Event-Name": name,
            "Msg-ID": format!("{name}-1"), "Server-ID": self.queue,
        });
        let fields = fields.as_object().unwrap().clone();
        message.as_object_mut().unwrap().extend(fields);
        let (exchange, body) = (Exchange::Callevt, message.to_string());
        self.bus.publish(exchange, key, body).await.unwrap();
    }

    /// Sends anything to the control queue.
    pub(crate) async fn throw(&self, exchange: Exchange, body: impl Into<Vec<u8>>) {
        let body = body.into();
        self.bus.send(exchange, &self.control, body).await.unwrap();
    }

    /// Sends a command.
    pub(crate) async fn command(&self, call_id: &CallId, application: &str, fields: Value) {
        let mut message = json!({
            "App-Name": "test", "App-Version": "1", "Event-Category": "call", "Event-Name": "command",
            "Msg-ID": format!("{application}-1"), "Application-Name": application, "Call-ID": call_id,
        });
        let fields = fields.as_object().unwrap().clone();
        message.as_object_mut().unwrap().extend(fields);
        self.bus
            .send(Exchange::Callctl, &self.control, message.to_string())
            .await
            .unwrap();
    }

    /// Waits for an event of a leg.
    pub(crate) async fn event(&mut self, name: &str, call_id: &CallId) -> Value {
        self.take(name, Some(call_id.as_str())).await
    }

    /// Waits for the completion of a command.
    pub(crate) async fn completion(&mut self, call_id: &CallId, application: &str) -> Value {
        let event = self.event("CHANNEL_EXECUTE_COMPLETE", call_id).await;
        assert_eq!(event["Application-Name"], application, "{event:#}");
        event
    }
}
