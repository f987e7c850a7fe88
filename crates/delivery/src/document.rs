//! The metadata document of a rendered recording, as Kazoo's applications expect it. Pure; saves nothing.

use callreel_proto::{AccountDb, Destination, Hold, Utc, month_db, pvt_type};
use callreel_spool::{RenditionInfo, Ticket, TicketKind};
use serde_json::{Map, Value, json};

mod evidence;

/// The database the document belongs to: that of its id's month, so that whoever knows the id finds it; a greeting is the
/// account's own.
pub(crate) fn database(ticket: &Ticket) -> String {
    let promise = ticket.promise();
    match promise.kind {
        TicketKind::Greeting => AccountDb::name(&promise.account_id),
        TicketKind::Recording | TicketKind::Voicemail => {
            month_db(&promise.account_id, promise.recording_id.month())
        }
    }
}

/// The document's id: the recording's, but for a greeting, whose id is like those of all media: 32 hex digits, and no month.
pub(crate) fn id(ticket: &Ticket) -> &str {
    let promise = ticket.promise();
    let whole = promise.recording_id.as_str();
    match promise.kind {
        TicketKind::Greeting => whole.rsplit('-').next().unwrap_or(whole),
        TicketKind::Recording | TicketKind::Voicemail => whole,
    }
}

/// The document: what the call knew of itself, completed with what only the end could tell. Saving it again at another
/// `now` changes nothing but `pvt_modified`.
pub(crate) fn document(ticket: &Ticket, rendition: &RenditionInfo, now: Utc) -> Value {
    let promise = ticket.promise();
    let mut doc = ticket.document().clone();
    doc.insert("_id".into(), id(ticket).into());
    describe_audio(&mut doc, ticket, rendition);
    match promise.kind {
        TicketKind::Recording => describe_recording(&mut doc, ticket, rendition),
        TicketKind::Voicemail => describe_message(&mut doc, ticket, rendition),
        TicketKind::Greeting => {}
    }
    let ended_at = promise.started_at.plus_ms(signed(rendition.duration_ms));
    let kind = match promise.kind {
        TicketKind::Recording => pvt_type::CALL_RECORDING,
        TicketKind::Voicemail => pvt_type::MAILBOX_MESSAGE,
        TicketKind::Greeting => pvt_type::MEDIA,
    };
    doc.insert("pvt_created".into(), ended_at.gregorian_seconds().into());
    if let Some(hold) = ticket.hold() {
        doc.insert(Hold::FIELD.into(), json!(hold));
    }
    if let Some(placed) = &ticket.delivery().placed {
        doc.extend(placed.fields.clone());
        let attachments = json!({promise.delivered_name(): placed.attachment});
        doc.insert("pvt_attachments".into(), attachments);
    }
    let account = Some(&promise.account_id);
    callreel_store::stamp(&mut doc, kind, &database(ticket), account, now);
    Value::Object(doc)
}

/// What both kinds carry, most of it our own.
fn describe_audio(doc: &mut Map<String, Value>, ticket: &Ticket, rendition: &RenditionInfo) {
    let promise = ticket.promise();
    overwrite(
        doc,
        json!({
            "content_type": promise.delivered_type(),
            "media_type": promise.format.extension(),
            "channels": rendition.channels,
            "sample_rate": rendition.sample_rate,
            "sha256": rendition.sha256,
            "completion_cause": ticket.end_reason(),
        }),
    );
    if let Some(recipient) = &promise.recipient {
        doc.insert("sealed_to".into(), recipient.as_str().into());
    }
    evidence::describe(doc, ticket, rendition);
}

/// `call_recording`: length, and where the file is.
fn describe_recording(doc: &mut Map<String, Value>, ticket: &Ticket, rendition: &RenditionInfo) {
    let promise = ticket.promise();
    overwrite(
        doc,
        json!({
            "name": promise.delivered_name(),
            "start": promise.started_at.gregorian_seconds(),
            "duration": rendition.duration_ms / 1000,
            "duration_ms": rendition.duration_ms,
            "call_id": promise.call_id,
        }),
    );
    if let to @ Destination::Http { .. } = &promise.delivered_to() {
        doc.insert("url".into(), to.describe().into());
    }
}

/// `mailbox_message`: length, inside the metadata that a mailbox lists.
fn describe_message(doc: &mut Map<String, Value>, ticket: &Ticket, rendition: &RenditionInfo) {
    let promise = ticket.promise();
    let started = promise.started_at.gregorian_seconds();
    let mut metadata = match doc.get_mut("metadata").map(Value::take) {
        Some(Value::Object(metadata)) => metadata,
        _ => Map::new(),
    };
    overwrite(
        &mut metadata,
        json!({
            "media_id": promise.recording_id,
            "call_id": promise.call_id,
            "length": rendition.duration_ms,
            "timestamp": started,
        }),
    );
    metadata.entry("folder").or_insert_with(|| "new".into());
    overwrite(
        doc,
        json!({
            "media_filename": promise.delivered_name(),
            "streamable": true,
            "utc_seconds": started,
            "metadata": metadata,
        }),
    );
}

fn overwrite(doc: &mut Map<String, Value>, fields: Value) {
    if let Value::Object(fields) = fields {
        doc.extend(fields);
    }
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use callreel_proto::{EndReason, HttpMethod};

    use super::*;
    use crate::testing;

    fn ticket(kind: TicketKind, destination: Destination, known: &Value) -> Box<Ticket> {
        let mut ticket = testing::ticket(|promise| {
            promise.kind = kind;
            promise.destination = destination;
            promise.start_ns = 1_000_000_000;
        });
        *ticket.document_mut() = known.as_object().unwrap().clone();
        ticket.masked(2_000_000_000, None).unwrap();
        ticket.unmasked(3_500_000_000, None).unwrap();
        ticket.end(3_520_000_000, EndReason::Stopped).unwrap();
        ticket
    }

    #[test]
    fn a_greeting_is_a_media_document_of_the_account() {
        let known = json!({"name": "mailbox 1001 unavailable greeting", "source_id": "box"});
        let ticket = ticket(TicketKind::Greeting, Destination::AccountDb, &known);
        assert_eq!(
            database(&ticket),
            "account/ab/cd/0123456789abcdef0123456789ab"
        );
        let doc: Value = serde_json::from_str(&made_of(&ticket)).unwrap();
        assert_eq!(doc["_id"], "0123456789abcdef0123456789abcdef");
        assert_eq!(doc["pvt_type"], "media");
        assert_eq!(doc["content_type"], "audio/wav");
        assert_eq!(doc["name"], "mailbox 1001 unavailable greeting");
    }

    fn made_of(ticket: &Ticket) -> String {
        let rendition = RenditionInfo {
            bytes: 80_684,
            sha256: "ab".repeat(32),
            sealed_bytes: None,
            duration_ms: 2520,
            sample_rate: 8000,
            channels: 2,
            report: None,
        };
        let doc = document(ticket, &rendition, Utc::from_unix_ms(1_709_260_000_000));
        serde_json::to_string_pretty(&doc).unwrap()
    }

    #[test]
    fn a_recording_sent_over_the_turn_of_a_month_stays_in_the_month_of_its_id() {
        let url = "https://u:secret@h/r/call_recording_x%40y.wav?token=secret"
            .parse()
            .unwrap();
        let destination = Destination::http(url, HttpMethod::Put);
        let known = json!({"owner_id": "u1", "from": "1001@realm"});
        let ticket = ticket(TicketKind::Recording, destination, &known);
        assert_eq!(
            database(&ticket),
            "account/ab/cd/0123456789abcdef0123456789ab-202402"
        );
        insta::assert_snapshot!(made_of(&ticket), @r#"
        {
          "owner_id": "u1",
          "from": "1001@realm",
          "_id": "202402-0123456789abcdef0123456789abcdef",
          "content_type": "audio/wav",
          "media_type": "wav",
          "channels": 2,
          "sample_rate": 8000,
          "sha256": "abababababababababababababababababababababababababababababababab",
          "completion_cause": "stopped",
          "legs": {
            "a": {
              "call_id": "x@y",
              "channel": "left"
            }
          },
          "masked_ms": [
            [
              1000,
              2500
            ]
          ],
          "masked": [
            {
              "from_ms": 1000,
              "until_ms": 2500,
              "from_sample": 8000,
              "until_sample": 20000
            }
          ],
          "name": "call_recording_x%40y.wav",
          "start": 63876470399,
          "duration": 2,
          "duration_ms": 2520,
          "call_id": "x@y",
          "url": "https://h/r/call_recording_x%40y.wav",
          "pvt_created": 63876470402,
          "pvt_type": "call_recording",
          "pvt_account_id": "abcd0123456789abcdef0123456789ab",
          "pvt_account_db": "account/ab/cd/0123456789abcdef0123456789ab-202402",
          "pvt_modified": 63876479200
        }
        "#);
    }

    #[test]
    fn a_voicemail_message_lists_its_length_in_its_metadata() {
        let known = json!({
            "name": "mailbox 1001 message",
            "source_id": "box",
            "metadata": {"from": "1002@realm", "folder": "new"},
        });
        let ticket = ticket(TicketKind::Voicemail, Destination::AccountDb, &known);
        insta::assert_snapshot!(made_of(&ticket), @r#"
        {
          "name": "mailbox 1001 message",
          "source_id": "box",
          "metadata": {
            "from": "1002@realm",
            "folder": "new",
            "media_id": "202402-0123456789abcdef0123456789abcdef",
            "call_id": "x@y",
            "length": 2520,
            "timestamp": 63876470399
          },
          "_id": "202402-0123456789abcdef0123456789abcdef",
          "content_type": "audio/wav",
          "media_type": "wav",
          "channels": 2,
          "sample_rate": 8000,
          "sha256": "abababababababababababababababababababababababababababababababab",
          "completion_cause": "stopped",
          "legs": {
            "a": {
              "call_id": "x@y",
              "channel": "left"
            }
          },
          "masked_ms": [
            [
              1000,
              2500
            ]
          ],
          "masked": [
            {
              "from_ms": 1000,
              "until_ms": 2500,
              "from_sample": 8000,
              "until_sample": 20000
            }
          ],
          "media_filename": "call_recording_x%40y.wav",
          "streamable": true,
          "utc_seconds": 63876470399,
          "pvt_created": 63876470402,
          "pvt_type": "mailbox_message",
          "pvt_account_id": "abcd0123456789abcdef0123456789ab",
          "pvt_account_db": "account/ab/cd/0123456789abcdef0123456789ab-202402",
          "pvt_modified": 63876479200
        }
        "#);
    }
}
