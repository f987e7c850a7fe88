//! Takes what arrives at the node's queues, and reads which message it is, and whether it is one at all. Acts on nothing.

use std::sync::Arc;

use callreel_bus::{Delivery, Subscription};
use callreel_proto::{
    CallEvent, ChannelStatusResp, Envelope, EventName, Exchange, Headers, LiveReq,
    MalformedMessage, MetaflowAction, MetaflowFlow, OffnetReq, OffnetResp, RecordRequest,
    Requested, RouteReq, RouteWin, UsurpControl,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Something that arrived.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A new call, or one that asks again.
    Request(Box<Envelope<RouteReq>>),
    /// A call is ours.
    Win(Box<RouteWin>),
    /// A channel did something.
    Event(EventName, Box<CallEvent>),
    /// A call has another controller.
    Usurp(Box<UsurpControl>),
    /// A switch says how a channel is; with the question's `Msg-ID`.
    Status(String, Box<ChannelStatusResp>),
    /// Stepswitch says how a call to the public network ended; with the request's `Msg-ID`.
    Offnet(String, Box<OffnetResp>),
    /// Another application wants a channel of ours recorded.
    Record(Box<Envelope<RecordRequest>>),
    /// A program wants something of a live call, ours or another's.
    Action(Box<Envelope<MetaflowAction>>),
    /// Several things that a program wants of a live call.
    Flow(Box<Envelope<MetaflowFlow>>),
    /// Somebody asks which calls of an account are here.
    Live(Box<Envelope<LiveReq>>),
    /// Nothing for us: topics carry the talk of others, too.
    Nothing,
}

/// A message that cannot be used.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// What kind of message it is, or what is wrong with it, in few different words.
    pub(crate) kind: String,
    /// What is wrong with this one.
    pub(crate) why: String,
}

impl Refusal {
    fn new(kind: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            why: why.into(),
        }
    }
}

impl From<MalformedMessage> for Refusal {
    fn from(error: MalformedMessage) -> Self {
        Self::new(format!("malformed {}", error.what), error.to_string())
    }
}

/// The next message of a queue, with its place among those in hand. While no place is free, the queue's own bound holds the rest.
pub(crate) async fn next(
    queue: &mut Subscription,
    places: &Arc<Semaphore>,
) -> Option<(Delivery, OwnedSemaphorePermit)> {
    let delivery = queue.recv().await?;
    let place = Arc::clone(places).acquire_owned().await;
    Some((delivery, place.expect("the semaphore is never closed")))
}

/// Reads a message.
///
/// # Errors
/// It is none that belongs where it came.
pub(crate) fn read(delivery: &Delivery) -> Result<Heard, Refusal> {
    let headers = headers(&delivery.body)?;
    let category = headers.event_category.as_str();
    let name = headers.event_name.as_str();
    match (delivery.exchange, category, name) {
        (Exchange::Callmgr, "dialplan", "route_req") => Ok(Heard::Request(body(delivery)?)),
        (Exchange::Targeted, "dialplan", "route_win") => {
            let win: Box<Envelope<RouteWin>> = body(delivery)?;
            Ok(Heard::Win(Box::new(win.body)))
        }
        (Exchange::Targeted, "call_event", ChannelStatusResp::NAME) => {
            let status: Box<Envelope<ChannelStatusResp>> = body(delivery)?;
            Ok(Heard::Status(status.headers.msg_id, Box::new(status.body)))
        }
        (Exchange::Targeted, OffnetReq::CATEGORY, OffnetResp::NAME) => {
            let answer: Box<Envelope<OffnetResp>> = body(delivery)?;
            Ok(Heard::Offnet(answer.headers.msg_id, Box::new(answer.body)))
        }
        (Exchange::Targeted | Exchange::Kapps, "call", "command") => {
            Ok(Heard::Record(body(delivery)?))
        }
        (Exchange::Kapps, LiveReq::CATEGORY, LiveReq::NAME) => Ok(Heard::Live(body(delivery)?)),
        (Exchange::Metaflow, MetaflowAction::CATEGORY, MetaflowAction::NAME) => {
            Ok(Heard::Action(body(delivery)?))
        }
        (Exchange::Metaflow, MetaflowAction::CATEGORY, MetaflowFlow::NAME) => {
            Ok(Heard::Flow(body(delivery)?))
        }
        (Exchange::Callevt, "call_event", UsurpControl::NAME) => {
            let usurp: Box<Envelope<UsurpControl>> = body(delivery)?;
            Ok(Heard::Usurp(Box::new(usurp.body)))
        }
        (Exchange::Callevt, "call_event", _) => event(delivery),
        (Exchange::Callevt, "error", "dialplan") => event(delivery),
        // Replies that came after we had stopped waiting, and talk about our calls that is not meant for us.
        (Exchange::Targeted, "error", _) | (Exchange::Callevt, _, _) => Ok(Heard::Nothing),
        _ => Err(Refusal::new(
            format!("unexpected on {}", delivery.exchange.name()),
            format!("{category}/{name} does not belong there"),
        )),
    }
}

/// The headers alone: they say how the body is to be read.
fn headers(bytes: &[u8]) -> Result<Headers, Refusal> {
    serde_json::from_slice(bytes)
        .map_err(|error| Refusal::new("no envelope", format!("not an envelope: {error}")))
}

fn body<T: DeserializeOwned>(delivery: &Delivery) -> Result<Box<Envelope<T>>, Refusal> {
    Ok(Box::new(Envelope::from_bytes(&delivery.body)?))
}

fn event(delivery: &Delivery) -> Result<Heard, Refusal> {
    let mut event: Box<Envelope<CallEvent>> = body(delivery)?;
    let name = event.name();
    if name == EventName::Unknown {
        return Ok(Heard::Nothing);
    }
    if name == EventName::DialplanError {
        name_refused(&mut event);
    }
    Ok(Heard::Event(name, Box::new(event.body)))
}

/// An error event's `Msg-ID` is the refused command's; Kazoo 5 has it nowhere else.
fn name_refused(event: &mut Envelope<CallEvent>) {
    if let Some(Requested::Command(command)) = &mut event.body.request {
        command
            .entry("Msg-ID")
            .or_insert_with(|| Value::String(event.headers.msg_id.clone()));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn delivery(exchange: Exchange, body: impl Into<Vec<u8>>) -> Delivery {
        Delivery {
            exchange,
            routing_key: "k".to_owned(),
            deliver_to: None,
            call_id: None,
            body: body.into().into(),
        }
    }

    fn message(category: &str, name: &str, more: &Value) -> String {
        let mut message = json!({
            "App-Name": "ecallmgr", "App-Version": "4.0.0", "Event-Category": category, "Event-Name": name,
            "Msg-ID": "m1", "Call-ID": "a"
        });
        let fields = message.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        message.to_string()
    }

    #[test]
    fn what_is_no_message_is_refused_by_its_kind() {
        let deep = "[".repeat(100_000);
        for (exchange, body, kind) in [
            (Exchange::Callevt, "{".to_owned(), "no envelope"),
            (Exchange::Callevt, deep, "no envelope"),
            (Exchange::Callevt, "\u{0}\u{1}".to_owned(), "no envelope"),
            (
                Exchange::Callevt,
                message("call_event", "CHANNEL_ANSWER", &json!({"Call-ID": {}})),
                "malformed call_event/CHANNEL_ANSWER",
            ),
            (
                Exchange::Targeted,
                message("dialplan", "route_req", &json!({})),
                "unexpected on targeted",
            ),
            (
                Exchange::Callmgr,
                message("call_event", "DTMF", &json!({})),
                "unexpected on callmgr",
            ),
        ] {
            let refused = read(&delivery(exchange, body)).unwrap_err();
            assert_eq!(refused.kind, kind);
        }
    }

    #[test]
    fn the_talk_of_others_on_our_topics_is_neither_heard_nor_refused() {
        for (category, name) in [
            ("call_event", "channel_status_req"),
            ("call_event", "usurp_publisher"),
            ("call_event", "CHANNEL_METAFLOW"),
            ("configuration", "doc_edited"),
        ] {
            let body = message(category, name, &json!({}));
            let heard = read(&delivery(Exchange::Callevt, body)).unwrap();
            assert!(matches!(heard, Heard::Nothing), "{name}");
        }
    }

    #[test]
    fn an_error_names_the_command_it_is_about_in_either_tree() {
        for (request, named) in [
            (json!({"Application-Name": "play"}), "m1"),
            (json!({"Application-Name": "play", "Msg-ID": "p7"}), "p7"),
        ] {
            let body = message("error", "dialplan", &json!({"Request": request}));
            let Heard::Event(EventName::DialplanError, event) =
                read(&delivery(Exchange::Callevt, body)).unwrap()
            else {
                panic!("not an error event");
            };
            let command = event.request.as_ref().and_then(Requested::command).unwrap();
            assert_eq!(command["Msg-ID"], named);
        }
    }
}
