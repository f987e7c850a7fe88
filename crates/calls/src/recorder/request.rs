//! What other applications want recorded of a channel of our switch: reads their `record_call` commands, and answers those
//! that cannot be obeyed.

use std::{collections::BTreeMap, time::Duration};

use callreel_callflow::{
    OrderDestination, RecordedLeg, RecordingKind, RecordingOrder, Slot, http_url,
};
use callreel_proto::{
    Application, AudioFormat, CallEvent, Channels, Envelope, EventName, Exchange, HttpMethod,
    MediaConfig, OrderedBy, RecordAction, RecordCall, RecordRequest, RecordingSource, Requested,
    Terminators, Utc,
};
use ractor::ActorRef;
use serde_json::Value;

use super::{RecorderMsg, State, audio::Audio, masking::Whom, running::Orderer};
use crate::{context::Context, lookup};

/// The rates a telephone recording can sensibly have, Hz; what is outside is for the renderer to choose.
const SAMPLE_RATES: std::ops::RangeInclusive<u64> = 8_000..=48_000;
/// What another application orders has no place in a flow's talk.
const NO_SLOT: Slot = Slot(0);

impl State {
    /// Obeys another application, or says why not.
    pub(super) async fn asked(
        &mut self,
        request: Box<Envelope<RecordRequest>>,
        myself: &ActorRef<RecorderMsg>,
    ) {
        let Application::RecordCall {
            action,
            media_name,
            terms,
            ..
        } = request.body.command.application.clone()
        else {
            return self
                .answer_error(&request, "only record_call is taken")
                .await;
        };
        if let Audio::File = self.audio {
            let reason = "the switch that has the channel records by itself: tell it";
            return self.answer_error(&request, reason).await;
        }
        let by = by(&request);
        let (id, name) = (terms.recording_id.as_deref(), media_name.as_deref());
        let nameless = id.is_none() && name.is_none();
        let meant = self.newest(|r| r.is_beside() && (nameless || r.names.are(id, name)));
        match (action, meant) {
            (RecordAction::Start, _) => {
                self.asked_to_start(request, media_name, *terms, myself)
                    .await
            }
            (RecordAction::Mask, _) if nameless => self.mask_call(true, by).await,
            (RecordAction::Unmask, _) if nameless => self.mask_call(false, by).await,
            // As in Kazoo, it is no error to stop what does not run.
            (_, None) => tracing::debug!(call_id = %self.call_id(), ?action, "no such recording"),
            (RecordAction::Stop, Some(key)) => self.end_by(key, by, myself).await,
            (RecordAction::Mask, Some(key)) => self.mask(Whom::One(key), true, by).await,
            (RecordAction::Unmask, Some(key)) => self.mask(Whom::One(key), false, by).await,
        }
    }

    async fn asked_to_start(
        &mut self,
        request: Box<Envelope<RecordRequest>>,
        media_name: Option<String>,
        terms: RecordCall,
        myself: &ActorRef<RecorderMsg>,
    ) {
        let (id, name) = (terms.recording_id.as_deref(), media_name.as_deref());
        let running = self.running.values();
        if running.into_iter().any(|r| r.names.are(id, name)) {
            // FreeSWITCH, too, takes a second start of the same file for done.
            tracing::debug!(call_id = %self.call_id(), id, name, "it is being recorded already");
            return;
        }
        let media = lookup::media_config(&self.context().store, &self.args.account).await;
        let by = by(&request);
        match order(media_name, &terms, &media, by.clone()) {
            Ok(order) => {
                let terms = RecordCall {
                    transfer_method: None,
                    transfer_destination: None,
                    ..terms
                };
                let by = Orderer::Other(request);
                // Refused, it has been said.
                drop(self.begin(order, by, Some(terms), myself).await);
            }
            Err(reason) => self.refuse(Orderer::Other(request), by, reason).await,
        }
    }

    /// Tells who ordered it that it will not be done.
    pub(super) async fn answer_error(&self, request: &Envelope<RecordRequest>, reason: &str) {
        answer_error(self.context(), request, reason).await;
    }
}

/// Tells an application that its command will not be executed: the dialplan error its switch would send.
pub(crate) async fn answer_error(
    context: &Context,
    request: &Envelope<RecordRequest>,
    reason: &str,
) {
    let command = &request.body.command;
    tracing::warn!(call_id = %command.call_id, app = request.headers.app_name, reason, "another application's recording is refused");
    let mut event = CallEvent::new(command.call_id.clone(), Utc::now());
    event.error_message = Some(format!(
        "Could not execute dialplan action: record_call: {reason}"
    ));
    event.dialplan_error = Some(reason.to_owned());
    event.application_name = Some("record_call".to_owned());
    event.request = serde_json::to_value(command)
        .ok()
        .and_then(|command| match command {
            Value::Object(command) => Some(Requested::Command(command)),
            _ => None,
        });
    // Kazoo 5 demands both. The switch handed the command on, so that the channel is there; more is not known here.
    event.channel_state = Some("EXECUTE".to_owned());
    event.channel_call_state = Some("ACTIVE".to_owned());
    let key = event.routing_key(EventName::DialplanError);
    let mut envelope = event.into_envelope(EventName::DialplanError);
    envelope.headers.node.clone_from(&context.node);
    envelope.headers.msg_id.clone_from(&request.headers.msg_id);
    let (call_id, bytes) = (command.call_id.as_str(), envelope.to_bytes());
    let sent = context
        .bus
        .publish_about(call_id, Exchange::Callevt, &key, bytes)
        .await;
    if let Err(error) = sent {
        tracing::warn!(%error, "an error event was not published");
    }
}

/// Another application, as evidence.
fn by(request: &Envelope<RecordRequest>) -> OrderedBy {
    let app = request.headers.app_name.clone();
    OrderedBy {
        who: Some(app).filter(|app| !app.is_empty()),
        ..OrderedBy::new(RecordingSource::Application)
    }
}

/// The order that another application's `record_call` means.
///
/// # Errors
/// It says nothing of where the file shall go, and the system keeps none of its own accord.
fn order(
    media_name: Option<String>,
    terms: &RecordCall,
    media: &MediaConfig,
    by: OrderedBy,
) -> Result<RecordingOrder, String> {
    let most = media.max_recording_time_limit;
    let limit = terms.time_limit_s.filter(|s| *s > 0).unwrap_or(most);
    let min = terms.min_s.unwrap_or(media.record_min_sec);
    Ok(RecordingOrder {
        slot: NO_SLOT,
        name: None,
        by,
        separate: false,
        leg: RecordedLeg::A,
        announcements: Vec::new(),
        kind: RecordingKind::Recording,
        format: format(media_name.as_deref(), media),
        destination: destination(terms, media)?,
        time_limit: Duration::from_secs(limit.min(most)),
        min: Duration::from_secs(min),
        channels: match terms.stereo {
            Some(false) => Channels::Mono,
            _ => Channels::Stereo,
        },
        sample_rate: terms
            .sample_rate
            .filter(|hz| SAMPLE_RATES.contains(hz))
            .and_then(|hz| u32::try_from(hz).ok()),
        terminators: Terminators::none(),
        silence: None,
        media_name,
        review: false,
        follow_transfer: terms.follow_transfer.unwrap_or(true),
        origin: terms
            .origin
            .clone()
            .unwrap_or_else(|| "record_call".to_owned()),
        pointer: String::new(),
    })
}

/// By the name's extension, else the system's.
fn format(media_name: Option<&str>, media: &MediaConfig) -> AudioFormat {
    let extension = media_name
        .and_then(|name| name.rsplit_once('.'))
        .map(|(_, extension)| extension.to_ascii_lowercase());
    let named = extension.and_then(|extension| extension.parse().ok());
    let usual = || media.call_recording_extension.parse().ok();
    named.or_else(usual).unwrap_or_default()
}

fn destination(terms: &RecordCall, media: &MediaConfig) -> Result<OrderDestination, String> {
    let url = terms.transfer_destination.as_deref();
    if let Some(url) = url.filter(|url| !url.is_empty()) {
        let method = terms.transfer_method.as_deref().unwrap_or("put");
        return Ok(OrderDestination::Url {
            base: http_url(url)?,
            method: match method.to_ascii_lowercase().as_str() {
                "post" => HttpMethod::Post,
                _ => HttpMethod::Put,
            },
            headers: BTreeMap::new(),
        });
    }
    if media.store_recordings {
        return Ok(OrderDestination::AccountDb);
    }
    Err(
        "it has no Media-Transfer-Destination, store_recordings in system_config/media is false, and no storage plan of the account says where recordings go"
            .to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn media(doc: &Value) -> MediaConfig {
        MediaConfig::read(doc)
    }

    fn to(url: &str) -> RecordCall {
        RecordCall {
            transfer_destination: Some(url.to_owned()),
            ..RecordCall::default()
        }
    }

    #[test]
    fn a_name_chooses_the_format_and_the_system_else() {
        let usual = media(&json!({"call_recording": {"extension": "wav"}}));
        let of = |name: Option<&str>| format(name, &usual);
        assert_eq!(of(Some("x.mp3")), AudioFormat::Mp3);
        assert_eq!(of(Some("x.WAV")), AudioFormat::Wav);
        assert_eq!(of(Some("x.mp4")), AudioFormat::Wav);
        assert_eq!(of(None), AudioFormat::Wav);
    }

    #[test]
    fn limits_are_those_of_the_system() {
        let media = media(&json!({"max_recording_time_limit": 60}));
        let limit = |asked: Option<u64>| {
            let terms = RecordCall {
                time_limit_s: asked,
                ..to("http://r.test/x")
            };
            order(
                None,
                &terms,
                &media,
                OrderedBy::new(RecordingSource::Application),
            )
            .unwrap()
            .time_limit
            .as_secs()
        };
        assert_eq!(
            (limit(None), limit(Some(0)), limit(Some(7200))),
            (60, 60, 60)
        );
        assert_eq!(limit(Some(7)), 7);
    }

    #[test]
    fn a_file_goes_where_the_command_says_else_to_the_account_else_it_is_not_made() {
        let (keeps, discards) = (
            media(&json!({"store_recordings": true})),
            media(&Value::Null),
        );
        assert!(matches!(
            destination(&to("https://u:p@r.test/x"), &discards),
            Ok(OrderDestination::Url { .. })
        ));
        let refused = destination(&to("ftp://u:secret@r.test/x"), &keeps).unwrap_err();
        assert!(!refused.contains("secret"), "{refused}");
        let nowhere = RecordCall::default();
        assert_eq!(
            destination(&nowhere, &keeps),
            Ok(OrderDestination::AccountDb)
        );
        assert!(destination(&nowhere, &discards).is_err());
    }
}
