//! The control queue of one channel, as ecallmgr keeps it: which command runs now and which waits. Executes nothing itself.

mod reading;

use std::collections::VecDeque;

use callreel_proto::{Application, CallId, InsertAt, TraceParent};
use callreel_telemetry::{CALL_ID, Span};
use serde_json::{Map, Value};

use reading::{insert_at, text, unpack};

/// Commands that may wait on one channel: a callflow queues a handful; more than this is a controller gone wild.
const MAX_WAITING: usize = 256;
/// The kind of a command beyond those.
const TOO_MANY: &str = "too many commands wait";

/// What an error event about a command needs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Slip {
    /// The command's `Msg-ID`: completion of a `noop` and every error carry it.
    pub(crate) msg_id: String,
    /// The command as it came.
    pub(crate) command: Map<String, Value>,
}

impl Slip {
    fn of(command: Map<String, Value>) -> Self {
        Self {
            msg_id: text(&command, "Msg-ID").to_owned(),
            command,
        }
    }

    /// Who sent it: where answers go.
    pub(crate) fn sender(&self) -> &str {
        text(&self.command, "Server-ID")
    }

    fn call_id(&self) -> &str {
        text(&self.command, "Call-ID")
    }

    /// The span that it was sent in.
    fn asked_in(&self) -> Option<TraceParent> {
        text(&self.command, "Trace-Parent").parse().ok()
    }

    /// Media commands of one group end together.
    pub(crate) fn group(&self) -> Option<&str> {
        Some(text(&self.command, "Group-ID")).filter(|group| !group.is_empty())
    }
}

/// One command to execute.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Order {
    /// What to do.
    pub(crate) application: Application,
    pub(crate) slip: Slip,
}

impl Order {
    /// Whether an item of `Filter-Applications` means this command: an application's name, or an object with the application or
    /// the group, whose `Fields` are all as here (ecallmgr's rule).
    fn is_meant_by(&self, filter: &Value) -> bool {
        match filter {
            Value::String(name) => self.application.name() == name,
            Value::Object(object) => {
                let text = |key| object.get(key).and_then(Value::as_str);
                let named = text("Application-Name") == Some(self.application.name());
                let group = self.slip.group();
                let grouped = group.is_some() && text("Group-ID") == group;
                let fields = object.get("Fields").and_then(Value::as_object);
                let mut fields = fields.into_iter().flatten();
                (named || grouped)
                    && fields.all(|(key, value)| self.slip.command.get(key) == Some(value))
            }
            _ => false,
        }
    }
}

/// A command that will not be executed, and why.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) slip: Slip,
    /// For the `dialplan` error event.
    pub(crate) reason: String,
    /// For the counters.
    pub(crate) kind: &'static str,
}

/// What the channel must do about a command at once.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// Execute it beside the running one.
    Now(Box<Order>),
    /// Break the running media.
    Break,
    /// Publish a `dialplan` error event.
    Refuse(Refusal),
}

/// The waiting and the running command of a channel.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: VecDeque<Order>,
    running: Option<Running>,
}

/// The command that runs.
#[derive(Debug)]
struct Running {
    name: &'static str,
    /// Ends with it.
    span: Span,
}

impl Queue {
    /// Takes a message from the control queue. `legs` are the ids it may name.
    pub(crate) fn receive(&mut self, message: &Value, legs: &[&CallId]) -> Vec<Step> {
        let (orders, refusals) = unpack(message, legs);
        let mut steps: Vec<_> = refusals.into_iter().map(Step::Refuse).collect();
        let insert_at = insert_at(message);
        match insert_at {
            _ if never_waits(&orders) => {
                steps.extend(orders.into_iter().map(|order| Step::Now(Box::new(order))))
            }
            InsertAt::Now => {
                for order in orders {
                    self.filter(&order);
                    steps.push(Step::Now(Box::new(order)));
                }
            }
            InsertAt::Head => {
                for order in orders.into_iter().rev() {
                    self.waiting.push_front(order);
                }
            }
            // Kazoo's senders put the trailing noop first: an array is inserted right to left.
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
                slip: order.slip,
                reason: format!("more than {MAX_WAITING} commands wait on this channel"),
                kind: TOO_MANY,
            }));
        }
        steps
    }

    /// The next command to execute, if none runs. It counts as running until [`Queue::finish`].
    pub(crate) fn start_next(&mut self) -> Option<Order> {
        if self.running.is_some() {
            return None;
        }
        let order = self.waiting.pop_front()?;
        let name = order.application.name();
        let span = Span::serving(order.slip.asked_in(), name).with(CALL_ID, order.slip.call_id());
        self.running = Some(Running { name, span });
        Some(order)
    }

    /// A `noop` drops what it filters: from the front of what waits, item by item (ecallmgr's rule).
    fn filter(&mut self, order: &Order) {
        let Application::Noop { filter } = &order.application else {
            return;
        };
        for item in filter {
            while self.waiting.front().is_some_and(|o| o.is_meant_by(item)) {
                self.waiting.pop_front();
            }
        }
    }

    /// Drops the waiting commands of this application and group: a key has ended one of them.
    pub(crate) fn drop_group(&mut self, application: &str, group: &str) {
        self.waiting.retain(|order| {
            order.application.name() != application || order.slip.group() != Some(group)
        });
    }

    /// The running command is done.
    pub(crate) fn finish(&mut self) {
        self.running = None;
    }

    /// Nothing that waits or runs counts any more: the channel is gone, or its controller.
    pub(crate) fn close(&mut self) {
        self.waiting.clear();
        self.running = None;
    }

    /// Name of the running command.
    pub(crate) fn running(&self) -> Option<&'static str> {
        self.running.as_ref().map(|running| running.name)
    }

    /// The span in which it runs.
    pub(crate) fn runs_in(&self) -> Option<TraceParent> {
        self.running.as_ref()?.span.parent()
    }

    /// The running command cannot be executed.
    pub(crate) fn failed(&mut self, reason: &str) {
        if let Some(running) = &mut self.running {
            running.span.failed("refused", reason);
        }
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

/// Stopping what plays makes no sense in its turn: Kazoo allows no other place for it than `now`.
fn never_waits(orders: &[Order]) -> bool {
    matches!(
        orders,
        [Order {
            application: Application::Break | Application::Playstop,
            ..
        }]
    )
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
            ran.push(order.slip.msg_id);
            queue.finish();
        }
        ran
    }

    #[test]
    fn one_command_runs_at_a_time_in_order_of_arrival() {
        let mut queue = Queue::default();
        assert!(receive(&mut queue, noop("tail", "1")).is_empty());
        receive(&mut queue, noop("tail", "2"));
        assert_eq!(queue.start_next().unwrap().slip.msg_id, "1");
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
                Step::Now(order) => order.slip.msg_id,
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
        for name in ["break", "playstop"] {
            let fields = json!({"Application-Name": name});
            let steps = receive(&mut queue, message("tail", "b", fields));
            assert!(matches!(steps.as_slice(), [Step::Now(_)]), "{name}");
        }
        assert_eq!(queue.waiting(), 0);
    }

    fn play(msg_id: &str, name: &str, group: &str) -> Value {
        let fields = json!({"Application-Name": "play", "Media-Name": name, "Group-ID": group});
        message("tail", msg_id, fields)
    }

    #[test]
    fn a_noop_drops_from_the_front_what_it_filters() {
        for (filter, left) in [
            (json!(["play"]), vec!["n", "4"]),
            (json!([{"Group-ID": "a"}]), vec!["3", "n", "4"]),
            (
                json!([{"Application-Name": "play", "Fields": {"Media-Name": "/x"}}]),
                vec!["2", "3", "n", "4"],
            ),
            (json!(["tts", {"Group-ID": "a"}, "play"]), vec!["n", "4"]),
            (json!(["noop"]), vec!["1", "2", "3", "n", "4"]),
            (json!("play"), vec!["1", "2", "3", "n", "4"]),
        ] {
            let mut queue = Queue::default();
            receive(&mut queue, play("1", "/x", "a"));
            receive(&mut queue, play("2", "/y", "a"));
            receive(&mut queue, play("3", "/x", "b"));
            receive(&mut queue, noop("tail", "n"));
            receive(&mut queue, play("4", "/x", "a"));
            let fields = json!({"Application-Name": "noop", "Filter-Applications": filter});
            let steps = receive(&mut queue, message("now", "f", fields));
            assert!(matches!(steps.as_slice(), [Step::Now(_)]));
            assert_eq!(run_all(&mut queue), left, "{filter}");
        }
    }

    #[test]
    fn a_group_is_dropped_wherever_it_waits() {
        let mut queue = Queue::default();
        receive(&mut queue, play("1", "/x", "a"));
        receive(&mut queue, noop("tail", "n"));
        receive(&mut queue, play("2", "/y", "a"));
        receive(&mut queue, play("3", "/y", ""));
        queue.drop_group("play", "a");
        assert_eq!(run_all(&mut queue), ["n", "3"]);
    }

    #[test]
    fn what_cannot_be_executed_is_refused_with_its_msg_id() {
        let mut queue = Queue::default();
        let cases = [
            (
                json!({"Application-Name": "levitate"}),
                "application unknown",
            ),
            (json!({"Application-Name": "play"}), "dialplan action: play"),
            (json!({}), "dialplan action: "),
        ];
        for (fields, reason) in cases {
            let steps = receive(&mut queue, message("tail", "x", fields));
            let [Step::Refuse(refusal)] = steps.as_slice() else {
                panic!("{steps:?}");
            };
            assert_eq!(refusal.slip.msg_id, "x");
            assert_eq!(refusal.slip.command["Call-ID"], "a");
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
