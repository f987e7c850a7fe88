//! The control queue of one channel (kazoo-wire §7): which command runs now and which waits. Executes nothing itself.

use std::collections::VecDeque;

use callreel_proto::{Application, CallId, Command, InsertAt};
use serde_json::{Map, Value};

/// Commands that may wait on one channel: a callflow queues a handful; more than this is a controller gone wild.
const MAX_WAITING: usize = 256;

/// One command to execute.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Order {
    /// The command's `Msg-ID`: completion of a `noop` and every error carry it.
    pub(crate) msg_id: String,
    /// What to do.
    pub(crate) application: Application,
}

/// A command that will not be executed, and why.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    /// The command's `Msg-ID`.
    pub(crate) msg_id: String,
    /// The command as it came.
    pub(crate) command: Map<String, Value>,
    /// For the `dialplan` error event.
    pub(crate) reason: String,
}

/// What the channel must do about a command at once.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// Execute it beside the running one.
    Now(Order),
    /// Break the running media.
    Break,
    /// Publish a `dialplan` error event.
    Refuse(Refusal),
}

/// The waiting and the running command of a channel.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: VecDeque<Order>,
    running: Option<Order>,
}

impl Queue {
    /// Takes a message from the control queue. `legs` are the ids it may name.
    pub(crate) fn receive(&mut self, message: &Value, legs: &[&CallId]) -> Vec<Step> {
        let (orders, refusals) = unpack(message, legs);
        let mut steps: Vec<_> = refusals.into_iter().map(Step::Refuse).collect();
        let insert_at = insert_at(message);
        let is_break = matches!(
            orders.as_slice(),
            [Order {
                application: Application::Break,
                ..
            }]
        );
        match insert_at {
            _ if is_break => steps.push(Step::Break),
            InsertAt::Now => steps.extend(orders.into_iter().map(Step::Now)),
            InsertAt::Head => {
                for order in orders.into_iter().rev() {
                    self.waiting.push_front(order);
                }
            }
            // Kazoo's senders put the trailing noop first: an array is inserted right to left (§7.3).
            InsertAt::Tail => self.waiting.extend(orders.into_iter().rev()),
            InsertAt::Flush if !orders.is_empty() => {
                self.waiting.clear();
                self.waiting.extend(orders.into_iter().rev());
                steps.push(Step::Break);
            }
            InsertAt::Flush => {}
        }
        while self.waiting.len() > MAX_WAITING {
            let order = self.waiting.pop_back().expect("longer than the bound");
            steps.push(Step::Refuse(Refusal {
                msg_id: order.msg_id.clone(),
                command: echo(&order),
                reason: format!("more than {MAX_WAITING} commands wait on this channel"),
            }));
        }
        steps
    }

    /// The next command to execute, if none runs. It counts as running until [`Queue::finish`].
    pub(crate) fn start_next(&mut self) -> Option<Order> {
        if self.running.is_some() {
            return None;
        }
        self.running = self.waiting.pop_front();
        self.running.clone()
    }

    /// The running command is done.
    pub(crate) fn finish(&mut self) {
        self.running = None;
    }

    /// The channel is gone: nothing will run any more.
    pub(crate) fn close(&mut self) {
        self.waiting.clear();
        self.running = None;
    }

    /// Name of the running command.
    pub(crate) fn running(&self) -> Option<&'static str> {
        self.running.as_ref().map(|order| order.application.name())
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

/// A command as an error event shows it.
pub(crate) fn echo(order: &Order) -> Map<String, Value> {
    let Ok(Value::Object(mut command)) = serde_json::to_value(&order.application) else {
        return Map::new();
    };
    command.insert("Msg-ID".to_owned(), Value::String(order.msg_id.clone()));
    command
}

fn insert_at(message: &Value) -> InsertAt {
    message
        .get("Insert-At")
        .and_then(|value| serde_json::from_value(value.clone()).ok())
        .unwrap_or_default()
}

fn unpack(message: &Value, legs: &[&CallId]) -> (Vec<Order>, Vec<Refusal>) {
    let mut orders = Vec::new();
    let mut refusals = Vec::new();
    for command in flatten(message) {
        match read(&command, legs) {
            Ok(order) => orders.push(order),
            Err(reason) => refusals.push(Refusal {
                msg_id: text(&command, "Msg-ID").to_owned(),
                command: command.as_object().cloned().unwrap_or_default(),
                reason,
            }),
        }
    }
    (orders, refusals)
}

/// The bare commands of a message: itself, or the elements of a `queue`, completed from its envelope.
fn flatten(message: &Value) -> Vec<Value> {
    if text(message, "Application-Name") != "queue" {
        return vec![message.clone()];
    }
    let mut envelope: Map<String, Value> = message.as_object().cloned().unwrap_or_default();
    envelope.remove("Commands");
    envelope.remove("Application-Name");
    let commands = message.get("Commands").and_then(Value::as_array);
    commands
        .into_iter()
        .flatten()
        .take(MAX_WAITING)
        .map(|element| {
            let mut command = envelope.clone();
            command.extend(element.as_object().cloned().unwrap_or_default());
            Value::Object(command)
        })
        .collect()
}

fn read(command: &Value, legs: &[&CallId]) -> Result<Order, String> {
    let name = text(command, "Application-Name");
    let read: Command = serde_json::from_value(command.clone()).map_err(|error| {
        if error.to_string().starts_with("unknown variant") {
            format!("application unknown: {name:?}")
        } else {
            format!("command {name:?} is malformed: {error}")
        }
    })?;
    if !legs.contains(&&read.call_id) {
        return Err("call command provided with a command for a different call id".to_owned());
    }
    if matches!(read.application, Application::Queue { .. }) {
        return Err("a queue within a queue is not executed".to_owned());
    }
    Ok(Order {
        msg_id: text(command, "Msg-ID").to_owned(),
        application: read.application,
    })
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(insert_at: &str, msg_id: &str, mut fields: Value) -> Value {
        let object = fields.as_object_mut().unwrap();
        object.insert("Call-ID".into(), json!("a"));
        object.insert("Msg-ID".into(), json!(msg_id));
        object.insert("Insert-At".into(), json!(insert_at));
        fields
    }

    fn noop(insert_at: &str, msg_id: &str) -> Value {
        message(insert_at, msg_id, json!({"Application-Name": "noop"}))
    }

    fn batch(insert_at: &str) -> Value {
        let elements: Vec<_> = ["1", "2", "3"]
            .map(|id| json!({"Application-Name": "noop", "Msg-ID": id}))
            .into();
        message(
            insert_at,
            "outer",
            json!({"Application-Name": "queue", "Commands": elements}),
        )
    }

    fn receive(queue: &mut Queue, message: Value) -> Vec<Step> {
        queue.receive(&message, &[&CallId::new("a")])
    }

    fn run_all(queue: &mut Queue) -> Vec<String> {
        let mut ran = Vec::new();
        while let Some(order) = queue.start_next() {
            ran.push(order.msg_id);
            queue.finish();
        }
        ran
    }

    #[test]
    fn one_command_runs_at_a_time_in_order_of_arrival() {
        let mut queue = Queue::default();
        assert!(receive(&mut queue, noop("tail", "1")).is_empty());
        receive(&mut queue, noop("tail", "2"));
        assert_eq!(queue.start_next().unwrap().msg_id, "1");
        assert_eq!(queue.start_next(), None);
        receive(&mut queue, noop("head", "3"));
        queue.finish();
        assert_eq!(run_all(&mut queue), ["3", "2"]);
    }

    #[test]
    fn a_queue_is_inserted_right_to_left_at_the_tail_and_left_to_right_at_the_head() {
        for (insert_at, expected) in [
            ("tail", ["3", "2", "1"]),
            ("flush", ["3", "2", "1"]),
            ("head", ["1", "2", "3"]),
        ] {
            let mut queue = Queue::default();
            receive(&mut queue, batch(insert_at));
            assert_eq!(run_all(&mut queue), expected, "{insert_at}");
        }
        let mut queue = Queue::default();
        let now: Vec<_> = receive(&mut queue, batch("now"))
            .into_iter()
            .map(|step| match step {
                Step::Now(order) => order.msg_id,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(now, ["1", "2", "3"]);
        assert_eq!(queue.waiting(), 0);
    }

    #[test]
    fn a_flush_breaks_the_running_media_and_replaces_what_waits() {
        let mut queue = Queue::default();
        receive(&mut queue, noop("tail", "running"));
        receive(&mut queue, noop("tail", "waiting"));
        queue.start_next();
        assert_eq!(receive(&mut queue, noop("flush", "new")), [Step::Break]);
        queue.finish();
        assert_eq!(run_all(&mut queue), ["new"]);
    }

    #[test]
    fn a_break_never_waits() {
        let mut queue = Queue::default();
        let step = receive(
            &mut queue,
            message("tail", "b", json!({"Application-Name": "break"})),
        );
        assert_eq!(step, [Step::Break]);
        assert_eq!(queue.waiting(), 0);
    }

    #[test]
    fn what_cannot_be_executed_is_refused_with_its_msg_id() {
        let mut queue = Queue::default();
        let cases = [
            (
                json!({"Application-Name": "levitate"}),
                "application unknown",
            ),
            (json!({"Application-Name": "play"}), "malformed"),
            (json!({}), "malformed"),
        ];
        for (fields, reason) in cases {
            let steps = receive(&mut queue, message("tail", "x", fields));
            let [Step::Refuse(refusal)] = steps.as_slice() else {
                panic!("{steps:?}");
            };
            assert_eq!(refusal.msg_id, "x");
            assert!(refusal.reason.contains(reason), "{}", refusal.reason);
        }
        let steps = queue.receive(&noop("tail", "y"), &[&CallId::new("other")]);
        assert!(matches!(steps.as_slice(), [Step::Refuse(_)]));
        assert_eq!(run_all(&mut queue), Vec::<String>::new());
    }

    #[test]
    fn a_controller_gone_wild_is_bounded() {
        let mut queue = Queue::default();
        for _ in 0..MAX_WAITING {
            assert!(receive(&mut queue, noop("tail", "n")).is_empty());
        }
        assert!(matches!(
            receive(&mut queue, noop("tail", "n")).as_slice(),
            [Step::Refuse(_)]
        ));
        assert_eq!(queue.waiting(), MAX_WAITING);
    }
}
