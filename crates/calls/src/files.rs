//! Files that foreign switches record for us: which recorder waits for which, and what the switch's events say about them.
//! An event may come under the id of another leg (after a transfer), so it finds its recorder by the file.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use callreel_proto::{CallEvent, RecordingId};
use callreel_spool::{SwitchFile, Ticket};
use ractor::ActorRef;

use crate::recorder::RecorderMsg;

/// Where FreeSWITCH behind ecallmgr records when nobody said otherwise (Kazoo's `ecallmgr/recording_file_path`).
const USUAL_FOLDER: &str = "/tmp/";

/// What a foreign switch calls a file of ours.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct FileNames {
    /// The `Media-Recording-ID` it was ordered under.
    pub(crate) id: RecordingId,
    /// The `Media-Name` it was ordered under: unique also without its extension.
    pub(crate) media_name: String,
}

impl FileNames {
    /// How the switch names a recording; none if it does not keep its audio.
    pub(crate) fn of(ticket: &Ticket) -> Option<Self> {
        ticket.switch_file().map(|file| Self {
            id: ticket.recording_id().clone(),
            media_name: file.media_name.clone(),
        })
    }

    /// Whether an event is about this file: it names our id (Kazoo 5), or a path or name whose stem is ours. An extension may
    /// have been added to, and the folder is the switch's.
    pub(crate) fn fit(&self, event: &CallEvent) -> bool {
        named_by(event).any(|name| name == self.id.as_str() || name == stem(&self.media_name))
    }
}

/// The words by which an event may name a file.
fn named_by(event: &CallEvent) -> impl Iterator<Item = &str> {
    let info = event.recording.as_ref();
    let id = info.and_then(|info| info.id.as_deref());
    let name = info.and_then(|info| info.name.as_deref());
    let path = event.application_response.as_deref();
    id.into_iter().chain(name.map(stem)).chain(path.map(stem))
}

/// `/tmp/0f1e.wav` is `0f1e`.
fn stem(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.split('.').next().unwrap_or_default()
}

/// Takes over what an event says about the file.
pub(crate) fn learn(file: &mut SwitchFile, event: &CallEvent) {
    let info = event.recording.as_ref();
    let path = info
        .and_then(|info| info.file_path.as_ref())
        .or(event.application_response.as_ref())
        .filter(|path| path.starts_with('/'));
    if let Some(path) = path {
        file.path = Some(path.clone());
    }
    if let Some(node) = event.switch_nodename.as_ref().filter(|n| !n.is_empty()) {
        file.node.clone_from(node);
    }
    if let Some(bytes) = info.and_then(|info| info.file_size) {
        file.bytes = Some(bytes);
    }
}

/// Where the file must be if the switch never named it, and says whether it had to be guessed.
pub(crate) fn assume_path(file: &mut SwitchFile) -> bool {
    let unknown = file.path.is_none();
    if unknown {
        file.path = Some(format!("{USUAL_FOLDER}{}", file.media_name));
    }
    unknown
}

/// The recording's length by its `RECORD_STOP`, milliseconds.
pub(crate) fn length_ms(event: &CallEvent) -> Option<u64> {
    let info = event.recording.as_ref();
    // ecallmgr 4.3 writes 0 where the switch said nothing.
    event
        .length_ms
        .filter(|ms| *ms > 0)
        .or_else(|| info.and_then(|info| info.file_milliseconds))
}

/// All files this node waits for.
#[derive(Default)]
pub(crate) struct Files(Mutex<HashMap<String, ActorRef<RecorderMsg>>>);

impl Files {
    /// From now on, events about this file go to this recorder.
    pub(crate) fn expect(&self, names: &FileNames, recorder: &ActorRef<RecorderMsg>) {
        let mut files = self.lock();
        for name in [names.id.as_str(), stem(&names.media_name)] {
            files.insert(name.to_owned(), recorder.clone());
        }
    }

    /// Nobody waits for this file any more.
    pub(crate) fn forget(&self, names: &FileNames) {
        let mut files = self.lock();
        for name in [names.id.as_str(), stem(&names.media_name)] {
            files.remove(name);
        }
    }

    /// The recorder that waits for the file an event is about.
    pub(crate) fn recorder(&self, event: &CallEvent) -> Option<ActorRef<RecorderMsg>> {
        let files = self.lock();
        named_by(event).find_map(|name| files.get(name).cloned())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, ActorRef<RecorderMsg>>> {
        // A map of strings is whole after any panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use callreel_proto::{CallId, RecordingInfo, Utc};

    use super::*;

    #[test]
    fn a_file_is_known_by_id_name_or_path_and_by_nothing_else() {
        let ours = FileNames {
            id: RecordingId::parse("202403-0123456789abcdef0123456789abcdef").unwrap(),
            media_name: "0f1e.wav".to_owned(),
        };
        let about = |id: Option<&str>, name: Option<&str>, path: Option<&str>| {
            let mut event = CallEvent::new(CallId::new("a"), Utc::from_unix_ms(0));
            event.recording = Some(RecordingInfo {
                id: id.map(str::to_owned),
                name: name.map(str::to_owned),
                ..RecordingInfo::default()
            });
            event.application_response = path.map(str::to_owned);
            ours.fit(&event)
        };
        assert!(about(Some(ours.id.as_str()), None, None));
        assert!(about(None, Some("0f1e.wav"), None));
        assert!(about(None, None, Some("/tmp/0f1e.wav")));
        assert!(about(None, None, Some("/var/rec/0f1e.wav.wav")));
        assert!(!about(Some("1"), Some("0f1e2.wav"), Some("/0f1e/x.wav")));
        assert!(!about(None, None, Some("")));
    }

    fn stop(change: impl FnOnce(&mut CallEvent)) -> CallEvent {
        let mut event = CallEvent::new(CallId::new("a"), Utc::from_unix_ms(0));
        change(&mut event);
        event
    }

    #[test]
    fn a_length_of_zero_is_no_length() {
        assert_eq!(length_ms(&stop(|e| e.length_ms = Some(0))), None);
        let info = RecordingInfo {
            file_milliseconds: Some(4200),
            ..RecordingInfo::default()
        };
        let event = stop(|e| {
            e.length_ms = Some(0);
            e.recording = Some(info);
        });
        assert_eq!(length_ms(&event), Some(4200));
    }

    #[test]
    fn what_the_switch_names_is_taken_and_else_its_usual_folder() {
        let mut file = SwitchFile {
            media_name: "0f1e.wav".to_owned(),
            ..SwitchFile::default()
        };
        learn(
            &mut file,
            &stop(|e| e.application_response = Some("0f1e.wav".into())),
        );
        assert_eq!(file.path, None);
        assert!(assume_path(&mut file));
        assert_eq!(file.path.as_deref(), Some("/tmp/0f1e.wav"));
        learn(
            &mut file,
            &stop(|e| {
                e.application_response = Some("/var/rec/0f1e.wav".into());
                e.switch_nodename = Some("freeswitch@fs1".into());
            }),
        );
        assert!(!assume_path(&mut file));
        assert_eq!(file.path.as_deref(), Some("/var/rec/0f1e.wav"));
        assert_eq!(file.node, "freeswitch@fs1");
    }
}
