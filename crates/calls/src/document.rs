//! The metadata document of a recording as it is known at its start: Kazoo's `call_recording` and `mailbox_message`.
//! Delivery adds what is known at the end (length, checksum, end reason).

use callreel_callflow::{OrderDestination, RecordingKind, RecordingOrder};
use callreel_proto::{CallId, RecordingId, RouteReq, Utc, pvt_type, user_and_realm};
use serde_json::{Map, Value, json};

/// Everything about the call that a document may want.
pub(crate) struct Subject<'a> {
    pub(crate) route: &'a RouteReq,
    pub(crate) order: &'a RecordingOrder,
    pub(crate) id: &'a RecordingId,
    pub(crate) file_name: &'a str,
    pub(crate) started_at: Utc,
    /// The recorded leg, and the one it is bridged with.
    pub(crate) legs: [Option<&'a CallId>; 2],
}

/// The document without its length.
pub(crate) fn at_start(subject: &Subject<'_>) -> Map<String, Value> {
    let doc = match &subject.order.kind {
        RecordingKind::Voicemail {
            box_id, mailbox, ..
        } => message(subject, box_id, mailbox.as_deref()),
        RecordingKind::Greeting {
            box_id,
            owner_id,
            name,
            used_by,
        } => json!({
            "pvt_type": pvt_type::MEDIA,
            "name": name,
            "description": format!("{} recorded/prompt media", subject.order.origin),
            "source_type": subject.order.origin,
            "source_id": box_id,
            "owner_id": owner_id,
            "media_source": "recording",
            "streamable": true,
            "used_by": used_by,
        }),
        RecordingKind::Recording | RecordingKind::Message => recording(subject),
    };
    let Value::Object(doc) = doc else {
        unreachable!("json! of a map is an object");
    };
    doc.into_iter().filter(|(_, v)| !v.is_null()).collect()
}

fn recording(subject: &Subject<'_>) -> Value {
    let Subject {
        route,
        order,
        id,
        file_name,
        started_at,
        legs: [leg, peer],
    } = subject;
    let legs = [("a", leg), ("b", peer)].into_iter();
    let legs = legs.filter_map(|(name, leg)| Some((name.to_owned(), json!({"call_id": (*leg)?}))));
    let url = match &order.destination {
        OrderDestination::Url { .. } => Some(order.destination.describe()),
        OrderDestination::AccountDb => None,
    };
    json!({
        "_id": id,
        "pvt_type": pvt_type::CALL_RECORDING,
        "name": file_name,
        "description": format!("recording {file_name}"),
        "content_type": order.format.content_type(),
        "media_type": order.format.extension(),
        "media_source": "recorded",
        "source_type": "callreel",
        "from": route.from,
        "to": route.to,
        "request": route.request,
        "direction": route.call_direction,
        "start": started_at.gregorian_seconds(),
        "caller_id_name": route.caller_id_name,
        "caller_id_number": route.caller_id_number,
        "callee_id_number": route.dialled(),
        "call_id": leg,
        "cdr_id": leg.map(|leg| format!("{}-{leg}", id.month())),
        "legs": Value::Object(legs.collect()),
        "interaction_id": route.channel_var("Call-Interaction-ID"),
        "owner_id": route.channel_var("Owner-ID"),
        "origin": order.origin,
        "ordered_by": order.by,
        "url": url,
        "custom_channel_vars": route.custom_channel_vars,
    })
}

fn message(subject: &Subject<'_>, box_id: &str, mailbox: Option<&str>) -> Value {
    let Subject {
        route,
        id,
        file_name,
        started_at,
        ..
    } = subject;
    let (from_user, from_realm) = user_and_realm(&route.from);
    let (to_user, to_realm) = user_and_realm(&route.to);
    json!({
        "_id": id,
        "pvt_type": pvt_type::MAILBOX_MESSAGE,
        "name": format!("mailbox {} message {}", mailbox.unwrap_or(box_id), started_at.rfc3339()),
        "description": "voicemail message with media",
        "source_type": "voicemail",
        "source_id": box_id,
        "media_source": "recording",
        "media_filename": file_name,
        "streamable": true,
        "utc_seconds": started_at.gregorian_seconds(),
        "metadata": {
            "media_id": id,
            "call_id": route.call_id,
            "caller_id_name": route.caller_id_name,
            "caller_id_number": route.caller_id_number,
            "from": route.from,
            "from_user": from_user,
            "from_realm": from_realm,
            "to": route.to,
            "to_user": to_user,
            "to_realm": to_realm,
            "timestamp": started_at.gregorian_seconds(),
            "folder": "new",
        },
    })
}
