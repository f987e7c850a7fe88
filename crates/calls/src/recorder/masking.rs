//! Masks: which recordings hear silence, from when, and who wanted that. What nobody hears is never written down.

use callreel_callflow::Meant;
use callreel_proto::{Application, InsertAt, OrderedBy, RecordAction, RecordingFact};
use callreel_spool::{Mark, Ticket};

use super::{
    RecorderMsg, State,
    audio::Audio,
    running::{Key, Running},
};
use crate::order;

/// What a mask or an unmask is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whom {
    /// The call: all that records it now or later.
    Call,
    /// One recording; what the others hear is theirs.
    One(Key),
}

impl State {
    /// What the flow wants silent, or heard again.
    pub(super) async fn mask_meant(&mut self, meant: &Meant, on: bool, by: OrderedBy) {
        let whom = match meant {
            Meant::Usual => Some(Whom::Call),
            Meant::Named(_) | Meant::Id(_) | Meant::Slot(_) => self.meant(meant).map(Whom::One),
        };
        match whom {
            Some(Whom::Call) => self.mask_call(on, by).await,
            Some(whom) => self.mask(whom, on, by).await,
            None => {
                tracing::warn!(call_id = %self.call_id(), account_id = %self.args.account, ?meant, "nothing of this name to mask")
            }
        }
    }

    /// Masks the call for all recorders that this node has at it: one that began before a transfer goes on beside ours.
    pub(super) async fn mask_call(&mut self, on: bool, by: OrderedBy) {
        for other in self.context().held.others(self.call_id(), self.owner) {
            // One that is gone records nothing.
            drop(other.cast(RecorderMsg::CallMasked(on, by.clone())));
        }
        self.mask(Whom::Call, on, by).await;
    }

    /// From here, or no longer, silence is heard. The call's mask covers one recording's own; to unmask the call ends both.
    pub(super) async fn mask(&mut self, whom: Whom, on: bool, by: OrderedBy) {
        match whom {
            Whom::Call => {
                self.masked_by = on.then(|| by.clone());
                let own = self.running.values_mut().filter(|_| !on);
                own.for_each(|running| running.masked_alone = false);
            }
            Whom::One(key) => {
                if let Some(running) = self.running.get_mut(&key) {
                    running.masked_alone = on;
                }
            }
        }
        let call_masked = self.masked_by.is_some();
        let changed: Vec<Key> = self
            .running
            .iter()
            .filter(|(_, r)| r.ticket.is_masked() != (call_masked || r.masked_alone))
            .map(|(key, _)| *key)
            .collect();
        if !changed.is_empty() {
            tracing::info!(call_id = %self.call_id(), account_id = %self.args.account, masked = on, recordings = changed.len(), ?by, "mask");
            self.turn(&changed, &by).await;
        }
    }

    /// These hear silence from now on if they heard audio, and audio if they heard silence.
    async fn turn(&mut self, changed: &[Key], by: &OrderedBy) {
        let in_capture = match &mut self.audio {
            Audio::Fork(fork) => {
                let marks = changed.iter().filter_map(|key| self.running.get(key));
                let marks = marks.map(turning).collect();
                let deaf =
                    |(key, r): (&Key, &Running)| r.ticket.is_masked() != changed.contains(key);
                let shut = self.running.iter().all(deaf);
                let context = std::sync::Arc::clone(&self.args.control.context);
                fork.turn(&context, marks, shut).await
            }
            Audio::File => None,
        };
        for key in changed {
            let Some(running) = self.running.get_mut(key) else {
                continue;
            };
            let at_ns = in_capture.unwrap_or_else(|| running.file_ns());
            let on = !running.ticket.is_masked();
            let turned = if on {
                running.ticket.masked(at_ns, Some(by.clone()))
            } else {
                running.ticket.unmasked(at_ns, Some(by.clone()))
            };
            if let Err(error) = turned {
                tracing::error!(%error, "a mask for a recording that is over");
                continue;
            }
            let ticket = running.ticket.clone();
            self.tell_switch_to_mask(*key, on).await;
            self.save(ticket.clone()).await;
            self.notify_masked(&ticket, on, by, at_ns).await;
        }
    }

    /// Says that one recording hears silence from then on, or audio again.
    pub(super) async fn notify_masked(
        &self,
        ticket: &Ticket,
        on: bool,
        by: &OrderedBy,
        at_ns: u64,
    ) {
        let fact = if on {
            RecordingFact::Masked
        } else {
            RecordingFact::Unmasked
        };
        let offset_ns = at_ns.saturating_sub(ticket.promise().start_ns);
        let mut notice = self.notice(fact, ticket);
        notice.ordered_by = Some(by.clone());
        notice.offset_ms = Some(offset_ns / 1_000_000);
        self.context().notify(notice).await;
    }

    /// A switch that keeps the file leaves the audio out of it. It cannot do so with a message: what the ticket says is then
    /// taken out when the file is converted.
    pub(super) async fn tell_switch_to_mask(&self, key: Key, on: bool) {
        let Some(running) = self.running.get(&key).filter(|r| r.is_beside()) else {
            return;
        };
        if self.silenced || !matches!(self.audio, Audio::File) {
            return;
        }
        let action = if on {
            RecordAction::Mask
        } else {
            RecordAction::Unmask
        };
        let name = running.names.media_name.clone();
        let mask: Application = order::about(action, None, name, None);
        self.control_of(key).send(InsertAt::Now, mask, None).await;
    }

    /// Whether nothing that runs hears audio.
    pub(super) fn all_masked(&self) -> bool {
        !self.running.is_empty() && self.running.values().all(|r| r.ticket.is_masked())
    }
}

/// The journal's word for what a recording hears next.
fn turning(running: &Running) -> Mark {
    let id = running.ticket.recording_id().clone();
    if running.ticket.is_masked() {
        Mark::Unmasked(id)
    } else {
        Mark::Masked(id)
    }
}
