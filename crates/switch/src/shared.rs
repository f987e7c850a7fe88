//! What all parts of one switch share: its settings, places, registries and counters. Decides nothing.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use callreel_bus::{Bus, Mishaps};
use callreel_proto::{CallId, Envelope, Exchange};
use callreel_store::Store;
use ractor::ActorRef;
use rsipstack::dialog::dialog_layer::DialogLayer;
use rsipstack::dialog::invite_dialog::InviteDialog;
use rsipstack::transaction::endpoint::EndpointInnerRef;
use serde::Serialize;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use crate::SwitchConfig;
use crate::channel::ChannelMsg;
use crate::events::Direction;
use crate::identity::Identity;
use crate::location::Location;
use crate::loopback::Loopbacks;
use crate::mwi::Lamps;
use crate::nonce::Nonces;
use crate::peer::OwnAddress;
use crate::routing::Askings;
use crate::rtp::MediaEngine;
use crate::sounds::Sounds;
use crate::sources::Sources;
use crate::trunks::Trunks;

/// Locks a mutex whose holder may have panicked: the data is plain and stays usable.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What all parts of one switch share.
pub(crate) struct Shared {
    pub(crate) config: SwitchConfig,
    pub(crate) identity: Arc<Identity>,
    pub(crate) bus: Bus,
    pub(crate) store: Store,
    pub(crate) engine: MediaEngine,
    pub(crate) own: Arc<OwnAddress>,
    pub(crate) dialogs: Arc<DialogLayer>,
    /// The way for requests outside of calls.
    pub(crate) sip: EndpointInnerRef,
    pub(crate) location: Mutex<Location>,
    /// Who wants to be told of waiting messages.
    pub(crate) lamps: Lamps,
    pub(crate) nonces: Mutex<Nonces>,
    pub(crate) channels: Channels,
    pub(crate) askings: Askings,
    pub(crate) sounds: Arc<Sounds>,
    pub(crate) loopbacks: Loopbacks,
    pub(crate) trunks: Trunks,
    pub(crate) counters: Arc<Counters>,
    pub(crate) sources: Arc<Sources>,
    /// Bus messages nothing could be done with.
    pub(crate) mishaps: Mishaps,
    /// The queue on the bus where replies and commands for this switch arrive.
    pub(crate) queue: String,
    /// No new calls.
    pub(crate) draining: AtomicBool,
    /// Requests being served and dialogs being ended: what a stopping switch waits for.
    pub(crate) tasks: TaskTracker,
    /// The actor channels are children of.
    pub(crate) supervisor: ractor::ActorCell,
}

impl Shared {
    /// Counts a bus message nothing can be done with; the first of its kind is logged where operators look, the others,
    /// however many a broken or hostile peer sends, where developers do.
    pub(crate) fn note(&self, kind: &'static str, what: impl Display) {
        if self.mishaps.count(kind) {
            tracing::warn!(kind, %what, "a bus message was not usable; more of its kind are only counted");
        } else {
            tracing::debug!(kind, %what, "a bus message was not usable");
        }
    }

    /// Publishes a message of the switch, for which nobody waits.
    pub(crate) async fn tell<T: Serialize>(
        &self,
        exchange: Exchange,
        key: &str,
        envelope: Envelope<T>,
    ) {
        let node = &self.identity.node;
        self.bus.tell(node, exchange, key, envelope).await;
    }
}

/// One channel in the registry.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) actor: ActorRef<ChannelMsg>,
    pub(crate) direction: Direction,
    /// Its dialog, once there is one: to end it if the actor dies.
    pub(crate) dialog: Option<InviteDialog>,
    /// The address of who controls it, once somebody does.
    pub(crate) controller: Option<String>,
}

/// The channels that live, by Call-ID.
#[derive(Default)]
pub(crate) struct Channels {
    entries: Mutex<HashMap<CallId, Entry>>,
    changed: Notify,
}

impl Channels {
    /// Adds a channel.
    pub(crate) fn insert(&self, call_id: CallId, entry: Entry) {
        locked(&self.entries).insert(call_id, entry);
    }

    /// Remembers a channel's dialog.
    pub(crate) fn set_dialog(&self, call_id: &CallId, dialog: &InviteDialog) {
        if let Some(entry) = locked(&self.entries).get_mut(call_id) {
            entry.dialog = Some(dialog.clone());
        }
    }

    /// Remembers a channel's controller.
    pub(crate) fn set_controller(&self, call_id: &CallId, controller: &str) {
        if let Some(entry) = locked(&self.entries).get_mut(call_id) {
            entry.controller = Some(controller.to_owned());
        }
    }

    /// The channels that somebody controls, by who it is.
    pub(crate) fn by_controller(&self) -> HashMap<String, Vec<ActorRef<ChannelMsg>>> {
        let mut calls: HashMap<_, Vec<_>> = HashMap::new();
        for entry in locked(&self.entries).values() {
            if let Some(controller) = &entry.controller {
                let channels = calls.entry(controller.clone()).or_default();
                channels.push(entry.actor.clone());
            }
        }
        calls
    }

    /// Removes a channel.
    pub(crate) fn remove(&self, call_id: &CallId) -> Option<Entry> {
        let removed = locked(&self.entries).remove(call_id);
        self.changed.notify_waiters();
        removed
    }

    /// Removes the channel of an actor that died.
    pub(crate) fn remove_actor(&self, id: ractor::ActorId) -> Option<(CallId, Entry)> {
        let mut entries = locked(&self.entries);
        let call_id = entries
            .iter()
            .find(|(_, entry)| entry.actor.get_id() == id)
            .map(|(call_id, _)| call_id.clone())?;
        let entry = entries.remove(&call_id)?;
        drop(entries);
        self.changed.notify_waiters();
        Some((call_id, entry))
    }

    /// The channel of a call.
    pub(crate) fn find(&self, call_id: &CallId) -> Option<ActorRef<ChannelMsg>> {
        locked(&self.entries).get(call_id).map(|e| e.actor.clone())
    }

    /// All channels.
    pub(crate) fn all(&self) -> Vec<ActorRef<ChannelMsg>> {
        locked(&self.entries)
            .values()
            .map(|entry| entry.actor.clone())
            .collect()
    }

    /// Calls into the switch.
    pub(crate) fn calls(&self) -> usize {
        locked(&self.entries)
            .values()
            .filter(|entry| entry.direction == Direction::Inbound)
            .count()
    }

    /// Waits until there is no channel.
    pub(crate) async fn empty(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if locked(&self.entries).is_empty() {
                return;
            }
            changed.await;
        }
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What happened so far, for people and metrics.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $($(#[$doc])* pub(crate) $name: AtomicU64,)*
        }

        /// Counters of a switch since it started.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            /// All of them now.
            pub(crate) fn read(&self) -> Counts {
                Counts {
                    $($name: self.$name.load(Ordering::Relaxed),)*
                }
            }
        }
    };
}

counters! {
    /// Calls that were offered to controllers.
    calls,
    /// Calls refused before that: not authenticated, no codec, no capacity.
    refused,
    /// Successful registrations and refreshes.
    registrations,
    /// Requests whose credentials were wrong.
    forbidden,
    /// Datagrams that were no SIP.
    malformed,
    /// SIP messages of banned sources, and of those that send too many, which nobody looked at.
    unheard,
    /// SIP messages dropped or refused because the switch had too much to do.
    shed,
}

/// Adds one to a counter.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
