//! Which known fields a document of each kind has, and of which type: the fields Callreel reads, as Kazoo's schemas type
//! them. Unknown fields are nobody's business here.

use callreel_proto::{lenient_bool, lenient_u64};
use serde_json::Value;

use super::Kind;

/// What a field must be if it is there. `null` counts as absent, as Kazoo has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Text,
    /// `true`, `false`, or a string of either.
    Flag,
    /// A whole number from 0, or a string of one.
    Count,
    Object,
    /// An array of non-empty strings.
    Texts,
    /// `Text`, `true` or `false`: media by its id, Kazoo's own, or none.
    TextOrFlag,
    /// As `Text`, and it must be there and not be empty.
    NeededText,
    /// As `Object`, and it must be there.
    NeededObject,
}

type Field = (&'static str, Shape);

const ACCOUNT: &[Field] = &[
    ("/name", Shape::Text),
    ("/realm", Shape::NeededText),
    ("/enabled", Shape::Flag),
];

const USER: &[Field] = &[
    ("/username", Shape::Text),
    ("/first_name", Shape::Text),
    ("/last_name", Shape::Text),
    ("/email", Shape::Text),
    ("/enabled", Shape::Flag),
    ("/do_not_disturb", Shape::Object),
    ("/do_not_disturb/enabled", Shape::Flag),
    ("/caller_id", Shape::Object),
];

const DEVICE: &[Field] = &[
    ("/name", Shape::Text),
    ("/owner_id", Shape::Text),
    ("/enabled", Shape::Flag),
    ("/do_not_disturb", Shape::Object),
    ("/do_not_disturb/enabled", Shape::Flag),
    ("/caller_id", Shape::Object),
    ("/sip", Shape::Object),
    ("/sip/username", Shape::Text),
    ("/sip/password", Shape::Text),
    ("/sip/realm", Shape::Text),
    ("/sip/method", Shape::Text),
    ("/sip/invite_format", Shape::Text),
    ("/sip/route", Shape::Text),
    ("/sip/ip", Shape::Text),
    ("/sip/expire_seconds", Shape::Count),
    ("/sip/custom_sip_headers", Shape::Object),
    ("/media", Shape::Object),
    ("/media/audio", Shape::Object),
    ("/media/audio/codecs", Shape::Texts),
];

const CALLFLOW: &[Field] = &[
    ("/name", Shape::Text),
    ("/owner_id", Shape::Text),
    ("/numbers", Shape::Texts),
    ("/patterns", Shape::Texts),
    ("/flow", Shape::NeededObject),
    ("/flow/module", Shape::NeededText),
    ("/flow/data", Shape::Object),
    ("/flow/children", Shape::Object),
];

const VMBOX: &[Field] = &[
    ("/name", Shape::Text),
    ("/mailbox", Shape::Text),
    ("/owner_id", Shape::Text),
    ("/skip_greeting", Shape::Flag),
    ("/skip_instructions", Shape::Flag),
    ("/max_message_count", Shape::Count),
    ("/media_extension", Shape::Text),
    ("/media", Shape::Object),
    ("/media/unavailable", Shape::Text),
    ("/media/temporary_unavailable", Shape::Text),
];

const WEBHOOK: &[Field] = &[
    ("/name", Shape::Text),
    ("/uri", Shape::NeededText),
    ("/hook", Shape::NeededText),
    ("/http_verb", Shape::Text),
    ("/retries", Shape::Count),
    ("/custom_data", Shape::Object),
    ("/enabled", Shape::Flag),
    ("/secret", Shape::Text),
];

const MENU: &[Field] = &[
    ("/name", Shape::Text),
    ("/retries", Shape::Count),
    ("/timeout", Shape::Count),
    ("/interdigit_timeout", Shape::Count),
    ("/max_extension_length", Shape::Count),
    ("/hunt", Shape::Flag),
    ("/hunt_allow", Shape::Text),
    ("/hunt_deny", Shape::Text),
    ("/record_pin", Shape::Text),
    ("/allow_record_from_offnet", Shape::Flag),
    ("/media", Shape::Object),
    ("/media/greeting", Shape::Text),
    ("/media/invalid_media", Shape::TextOrFlag),
    ("/media/transfer_media", Shape::TextOrFlag),
    ("/media/exit_media", Shape::TextOrFlag),
];

const DIRECTORY: &[Field] = &[
    ("/name", Shape::Text),
    ("/min_dtmf", Shape::Count),
    ("/max_dtmf", Shape::Count),
    ("/sort_by", Shape::Text),
    ("/search_fields", Shape::Text),
    ("/confirm_match", Shape::Flag),
];

const TEMPORAL_RULE: &[Field] = &[
    ("/name", Shape::Text),
    ("/cycle", Shape::NeededText),
    ("/interval", Shape::Count),
    ("/ordinal", Shape::Text),
    ("/wdays", Shape::Texts),
    ("/month", Shape::Count),
    ("/time_window_start", Shape::Count),
    ("/time_window_stop", Shape::Count),
    ("/start_date", Shape::Count),
    ("/end_date", Shape::Count),
    ("/enabled", Shape::Flag),
];

const TEMPORAL_RULE_SET: &[Field] = &[("/name", Shape::Text), ("/temporal_rules", Shape::Texts)];

const LIST: &[Field] = &[("/name", Shape::Text)];

const LIST_ENTRY: &[Field] = &[
    ("/list_id", Shape::NeededText),
    ("/number", Shape::Text),
    ("/pattern", Shape::Text),
];

const GROUP: &[Field] = &[("/name", Shape::Text), ("/endpoints", Shape::Object)];

const RESOURCE: &[Field] = &[
    ("/name", Shape::Text),
    ("/enabled", Shape::Flag),
    ("/weight_cost", Shape::Count),
    ("/rules", Shape::Texts),
    ("/cid_rules", Shape::Texts),
    ("/flags", Shape::Texts),
    ("/require_flags", Shape::Flag),
    ("/emergency", Shape::Flag),
];

const NUMBER: &[Field] = &[
    ("/pvt_assigned_to", Shape::NeededText),
    ("/pvt_state", Shape::Text),
];

const MEDIA: &[Field] = &[
    ("/name", Shape::Text),
    ("/description", Shape::Text),
    ("/media_source", Shape::Text),
    ("/streamable", Shape::Flag),
    ("/tts", Shape::Object),
    ("/tts/text", Shape::Text),
];

/// Settings stand in a section named for a node, a zone, or `default`; the last is the one Callreel reads, and the top
/// of the document for people who left it out.
const SETTINGS: &[Field] = &[
    ("/default", Shape::Object),
    ("/default/max_recording_time_limit", Shape::Count),
    ("/default/store_recordings", Shape::Flag),
    ("/default/record_min_sec", Shape::Count),
    ("/default/call_recording", Shape::Object),
    ("/default/call_recording/extension", Shape::Text),
    ("/max_recording_time_limit", Shape::Count),
    ("/store_recordings", Shape::Flag),
    ("/record_min_sec", Shape::Count),
    ("/call_recording", Shape::Object),
    ("/call_recording/extension", Shape::Text),
];

/// What a handler's settings mean is for whoever stores by it; here only what would otherwise name nothing, in silence.
const STORAGE: &[Field] = &[
    ("/plan", Shape::Object),
    ("/plan/modb", Shape::Object),
    ("/plan/modb/attachments", Shape::Object),
    ("/plan/modb/types", Shape::Object),
    ("/plan/modb/types/call_recording", Shape::Object),
    ("/plan/modb/types/call_recording/attachments", Shape::Object),
    ("/attachments", Shape::Object),
    ("/connections", Shape::Object),
];

/// Every known field of a wrong type or missing: its pointer and what is wrong.
pub(super) fn check(kind: Kind, doc: &Value) -> Vec<(String, String)> {
    let fields = match kind {
        Kind::Account => ACCOUNT,
        Kind::User => USER,
        Kind::Device => DEVICE,
        Kind::Callflow => CALLFLOW,
        Kind::Vmbox => VMBOX,
        Kind::Webhook => WEBHOOK,
        Kind::Menu => MENU,
        Kind::Directory => DIRECTORY,
        Kind::TemporalRule => TEMPORAL_RULE,
        Kind::TemporalRuleSet => TEMPORAL_RULE_SET,
        Kind::List => LIST,
        Kind::ListEntry => LIST_ENTRY,
        Kind::Group => GROUP,
        Kind::Resource => RESOURCE,
        Kind::Number => NUMBER,
        Kind::Media => MEDIA,
        Kind::Settings => SETTINGS,
        Kind::Storage => STORAGE,
    };
    let mut wrong: Vec<(String, String)> = Vec::new();
    for (pointer, shape) in fields {
        let within_wrong = |(at, _): &(String, String)| pointer.starts_with(&format!("{at}/"));
        if wrong.iter().any(within_wrong) {
            continue;
        }
        let value = doc.pointer(pointer).filter(|value| !value.is_null());
        wrong.extend(judge(pointer, *shape, value));
    }
    wrong
}

fn judge(pointer: &str, shape: Shape, value: Option<&Value>) -> Vec<(String, String)> {
    let must = |what: &str, value: &Value| {
        let message = format!("must be {what}, is {}", kind_of(value));
        vec![(pointer.to_owned(), message)]
    };
    match (shape, value) {
        (Shape::NeededText | Shape::NeededObject, None) => {
            vec![(pointer.to_owned(), "is missing".to_owned())]
        }
        (_, None) => Vec::new(),
        (Shape::NeededText, Some(value)) if value == "" => {
            vec![(pointer.to_owned(), "must not be empty".to_owned())]
        }
        (Shape::Text | Shape::NeededText, Some(value)) if !value.is_string() => {
            must("a string", value)
        }
        (Shape::Object | Shape::NeededObject, Some(value)) if !value.is_object() => {
            must("an object", value)
        }
        (Shape::TextOrFlag, Some(value)) if !value.is_string() && !value.is_boolean() => {
            must("a string, true or false", value)
        }
        (Shape::Flag, Some(value)) if lenient_bool(value).is_none() => must("true or false", value),
        (Shape::Count, Some(value)) if lenient_u64(value).is_none() => {
            must("a whole number, 0 or more", value)
        }
        (Shape::Texts, Some(Value::Array(values))) => texts(pointer, values),
        (Shape::Texts, Some(value)) => must("an array of strings", value),
        _ => Vec::new(),
    }
}

fn texts(pointer: &str, values: &[Value]) -> Vec<(String, String)> {
    let wrong = |(i, value): (usize, &Value)| {
        let message = match value {
            Value::String(text) if text.is_empty() => "must not be empty".to_owned(),
            Value::String(_) => return None,
            other => format!("must be a string, is {}", kind_of(other)),
        };
        Some((format!("{pointer}/{i}"), message))
    };
    values.iter().enumerate().filter_map(wrong).collect()
}

/// What a value is, without showing it: it may be a password in the wrong place.
pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problems(kind: Kind, doc: Value) -> Vec<String> {
        let found = check(kind, &doc);
        found
            .iter()
            .map(|(at, why)| format!("{at} {why}"))
            .collect()
    }

    #[test]
    fn every_wrong_field_is_named_once() {
        let doc = json!({"name": 1, "enabled": "yes", "sip": "secret", "media": {"audio": {"codecs": ["PCMU", 8, ""]}}});
        assert_eq!(
            problems(Kind::Device, doc),
            [
                "/name must be a string, is a number",
                "/enabled must be true or false, is a string",
                "/sip must be an object, is a string",
                "/media/audio/codecs/1 must be a string, is a number",
                "/media/audio/codecs/2 must not be empty",
            ]
        );
    }

    #[test]
    fn a_callflow_needs_a_flow_with_a_module() {
        assert_eq!(
            problems(Kind::Callflow, json!({"numbers": "100"})),
            [
                "/numbers must be an array of strings, is a string",
                "/flow is missing"
            ]
        );
        let doc = json!({"flow": {"module": "", "children": []}});
        assert_eq!(
            problems(Kind::Callflow, doc),
            [
                "/flow/module must not be empty",
                "/flow/children must be an object, is an array"
            ]
        );
    }

    #[test]
    fn a_menu_s_media_may_be_named_left_out_or_kazoo_s_own() {
        let media = json!({"greeting": true, "exit_media": false, "invalid_media": "m1", "transfer_media": 5});
        assert_eq!(
            problems(Kind::Menu, json!({"media": media})),
            [
                "/media/greeting must be a string, is true or false",
                "/media/transfer_media must be a string, true or false, is a number"
            ]
        );
    }

    #[test]
    fn spelled_numbers_and_flags_and_nulls_pass() {
        let doc = json!({"max_message_count": "100", "skip_greeting": "true", "owner_id": null});
        assert!(problems(Kind::Vmbox, doc).is_empty());
    }
}
