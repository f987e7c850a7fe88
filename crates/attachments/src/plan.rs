//! Which handler the storage documents name for an account's recordings: Kazoo's storage plans. Decides; reads no store.

use std::fmt;

use callreel_store::{SYSTEM_DATA, is_soft_deleted};
use serde_json::Value;

use crate::{
    Error,
    handler::{Handler, Settings},
};

/// The document that holds for every account.
pub(crate) const SYSTEM: &str = "system";

/// Where a plan says what holds for recordings: the type's own word, then that of all month databases.
const TYPE: &str = "/plan/modb/types/call_recording";
const MODB: &str = "/plan/modb";

/// What must be an object wherever it is: a plan that is not one would otherwise name nothing, in silence.
const OBJECTS: [&str; 9] = [
    "/plan",
    "/plan/modb",
    "/plan/modb/attachments",
    "/plan/modb/attachments/params",
    "/plan/modb/types",
    "/plan/modb/types/call_recording",
    "/plan/modb/types/call_recording/attachments",
    "/plan/modb/types/call_recording/attachments/params",
    "/attachments",
];

/// Something in a storage document that cannot be acted on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("storage document {SYSTEM_DATA}/{document} at {pointer}: {message}")]
pub struct Malformed {
    /// The document's id.
    pub document: String,
    /// JSON pointer to the spot (RFC 6901).
    pub pointer: String,
    /// What is wrong there. Shows no value, which may be a secret in the wrong place.
    pub message: String,
}

/// Where an account's recordings go.
#[derive(Debug, Clone)]
pub struct Plan {
    /// First.
    pub handler: Handler,
    /// When that one fails.
    pub backup: Option<Handler>,
}

/// Tries that the first handler gets for itself, unless it refuses.
const TRIES_BEFORE_BACKUP: u32 = 2;

impl Plan {
    /// The handler that the same try goes on with, after the first one failed: the backup, if there is one and the first
    /// refused, or this is the third try or a later one. `attempt` counts from 1.
    pub fn backup_for(&self, error: &Error, attempt: u32) -> Option<&Handler> {
        let now = error.is_refused() || attempt > TRIES_BEFORE_BACKUP;
        self.backup.as_ref().filter(|_| now)
    }
}

/// The storage documents that hold for an account, the strongest first: its own, its reseller's plan, the system's.
#[derive(Debug, Default)]
pub(crate) struct Layers(Vec<Layer>);

struct Layer {
    id: String,
    doc: Value,
}

impl fmt::Debug for Layer {
    /// The document holds credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Layer").field(&self.id).finish()
    }
}

struct Found<'a> {
    layer: &'a Layer,
    pointer: String,
    value: &'a Value,
}

impl Found<'_> {
    fn wrong(&self, message: impl Into<String>) -> Malformed {
        Malformed {
            document: self.layer.id.clone(),
            pointer: self.pointer.clone(),
            message: message.into(),
        }
    }

    fn text(&self) -> Result<&str, Malformed> {
        let text = self.value.as_str().filter(|text| !text.is_empty());
        text.ok_or_else(|| self.wrong("must be a non-empty string"))
    }
}

impl Layers {
    /// Adds the next weaker document, if it is one.
    pub(crate) fn push(&mut self, id: &str, doc: Option<Value>) {
        if let Some(doc) = doc.filter(|doc| !is_soft_deleted(doc)) {
            let id = id.to_owned();
            self.0.push(Layer { id, doc });
        }
    }

    /// The reseller's plan that the account's own document names (Kazoo: `pvt_plan_id`).
    pub(crate) fn reseller_plan(&self) -> Option<String> {
        let named = self.0.first()?.doc.get("pvt_plan_id")?.as_str()?;
        Some(named.to_owned()).filter(|id| !id.is_empty() && id != SYSTEM)
    }

    /// Whether a recording of this account is stored somewhere by its plan. A plan that cannot be read counts: the recording
    /// is kept until it can.
    pub(crate) fn stores(&self) -> bool {
        !matches!(self.plan(), Ok(None))
    }

    /// What the documents say of recordings; `None`: they go into the account's database.
    pub(crate) fn plan(&self) -> Result<Option<Plan>, Malformed> {
        self.check_shapes()?;
        if let Some(connection) = self.of_recordings("/connection")
            && connection.text()? != "local"
        {
            return Err(connection.wrong(
                "not supported: recordings can only go to another CouchDB by store.url; use \"local\" and an attachment handler",
            ));
        }
        let Some(named) = self.of_recordings("/attachments/handler") else {
            return Ok(None);
        };
        let folder = self.of_recordings("/attachments/params/folder_path");
        let folder = folder.as_ref().map(Found::text).transpose()?;
        let backup = self.of_recordings("/attachments/backup");
        Ok(Some(Plan {
            handler: self.named(&named, folder)?,
            backup: backup.map(|named| self.named(&named, folder)).transpose()?,
        }))
    }

    /// The handler of this id, which a stored recording names. Its objects are found by their recorded names.
    pub(crate) fn handler(&self, id: &str) -> Result<Option<Handler>, Malformed> {
        let layer = self.0.iter().find(|layer| definition(layer, id).is_some());
        let Some((layer, value)) = layer.and_then(|l| Some((l, definition(l, id)?))) else {
            return Ok(None);
        };
        Handler::read(id, Settings::new(&layer.id, id, value), None).map(Some)
    }

    fn named(&self, named: &Found<'_>, folder: Option<&str>) -> Result<Handler, Malformed> {
        let id = named.text()?;
        // Taken whole from one document: an account must not point a reseller's credentials at a host of its own.
        let layer = self.0.iter().find(|layer| definition(layer, id).is_some());
        let Some((layer, value)) = layer.and_then(|l| Some((l, definition(l, id)?))) else {
            let message =
                format!("names {id:?}, but no storage document has it in \"attachments\"");
            return Err(named.wrong(message));
        };
        Handler::read(id, Settings::new(&layer.id, id, value), folder)
    }

    fn of_recordings(&self, tail: &str) -> Option<Found<'_>> {
        let at = |base: &str| self.find(format!("{base}{tail}"));
        at(TYPE).or_else(|| at(MODB))
    }

    /// The strongest document's word. `null` takes a weaker one's away.
    fn find(&self, pointer: String) -> Option<Found<'_>> {
        let said = |layer| Option::zip(Some(layer), Layer::at(layer, &pointer));
        let (layer, value) = self.0.iter().find_map(said)?;
        (!value.is_null()).then_some(Found {
            layer,
            pointer,
            value,
        })
    }

    fn check_shapes(&self) -> Result<(), Malformed> {
        for layer in &self.0 {
            for pointer in OBJECTS {
                let value = layer.at(pointer);
                if value.is_some_and(|value| !value.is_object() && !value.is_null()) {
                    return Err(Malformed {
                        document: layer.id.clone(),
                        pointer: pointer.to_owned(),
                        message: "must be an object".to_owned(),
                    });
                }
            }
        }
        Ok(())
    }
}

impl Layer {
    fn at(&self, pointer: &str) -> Option<&Value> {
        self.doc.pointer(pointer)
    }
}

fn definition<'a>(layer: &'a Layer, id: &str) -> Option<&'a Value> {
    let value = layer.doc.get("attachments")?.get(id)?;
    (!value.is_null()).then_some(value)
}

#[cfg(test)]
mod tests;
