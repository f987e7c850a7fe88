//! Orders what the account's documents want recorded, as the call's legs come and go. Never reads those documents.

use callreel_proto::{CallId, Device, User};

use crate::data::Data;
use crate::mandate::{EndpointRules, Mandate, Mandates};
use crate::order::{Meant, RecordedLeg, RecordingKind, RecordingOrder, Slot};
use crate::pending::Start;
use crate::recording::{self, Origin, Terms};
use crate::stage::Stage;
use crate::talk::Effect;

/// The legs that the newest bridge may join to the caller's.
#[derive(Debug, Default)]
pub(crate) struct Callees {
    /// How many were rung before in this talk: no two may have the same Call-ID.
    legs: u32,
    /// Those that ring. Bounded by the devices of one user.
    rung: Vec<(CallId, EndpointRules)>,
    /// The leg that is joined and is recorded for its own sake.
    recorded: Option<(CallId, Slot)>,
}

impl Callees {
    /// Whether the flow has rung anybody yet.
    pub(crate) fn any_rung(&self) -> bool {
        self.legs > 0
    }

    /// The device that answers under this Call-ID. Of several registrations the second has `-2` at its end, and so on.
    fn find(&self, leg: &CallId) -> Option<&EndpointRules> {
        let is = |own: &CallId| {
            let rest = leg.as_str().strip_prefix(own.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        let found = self.rung.iter().find(|(own, _)| is(own));
        found.map(|(_, rules)| rules)
    }
}

impl Stage {
    /// Orders what is wanted of the caller's leg, before the flow's first action.
    pub(crate) fn mandates(&mut self) {
        let found = self.call.standing.of_caller(&self.call.account_id);
        for (order, start) in self.ordered(found) {
            self.recordings.add(order, start);
        }
        self.start_due();
    }

    /// Nobody rings any more, or others will.
    pub(crate) fn ring_anew(&mut self) {
        self.callees.rung.clear();
    }

    /// The Call-ID for the leg to this device.
    pub(crate) fn ring(&mut self, device: &Device, owner: Option<&User>) -> CallId {
        self.callees.legs += 1;
        let id = format!("{}-b{}", self.call.talk_id, self.callees.legs);
        let leg = CallId::new(id);
        let rules = EndpointRules::of(device, owner);
        self.callees.rung.push((leg.clone(), rules));
        leg
    }

    /// The device that was rung under this Call-ID.
    pub(crate) fn device_of(&self, leg: &CallId) -> Option<&str> {
        self.callees.find(leg).map(|rules| rules.id.as_str())
    }

    /// The caller is joined to this leg: what is wanted of it begins.
    pub(crate) fn joined(&mut self, leg: &CallId) {
        let recorded = self.callees.recorded.as_ref();
        if recorded.is_some_and(|(joined, _)| joined == leg) {
            return;
        }
        self.parted();
        let Some(rules) = self.callees.find(leg) else {
            return;
        };
        let found = self.call.standing.of_callee(rules);
        for (order, _) in self.ordered(found) {
            let slot = order.slot;
            let call_id = leg.clone();
            self.callees.recorded = Some((call_id.clone(), slot));
            let leg = RecordedLeg::B { call_id };
            let order = RecordingOrder { leg, ..order };
            self.recordings.add(order, Start::default());
        }
        self.start_due();
    }

    /// The legs are parted: what was wanted of the callee's ends.
    pub(crate) fn parted(&mut self) {
        if let Some((_, slot)) = self.callees.recorded.take() {
            self.recordings.ended(slot);
            let meant = Meant::Slot(slot);
            self.effect(Effect::StopRecording { meant, by: None });
        }
    }

    /// A recording has ended by itself, or never began.
    pub(crate) fn recording_over(&mut self, slot: Slot) {
        self.recordings.ended(slot);
        self.callees.recorded.take_if(|(_, own)| *own == slot);
    }

    /// The orders of what is wanted; what is wrong with them is told.
    fn ordered(&mut self, found: Mandates) -> Vec<(RecordingOrder, Start)> {
        for problem in found.warnings {
            self.warn_at(&problem.pointer, problem.message);
        }
        let wanted = found.wanted.iter();
        wanted.filter_map(|m| self.order_of(m)).collect()
    }

    fn order_of(&mut self, mandate: &Mandate) -> Option<(RecordingOrder, Start)> {
        let mut data = Data::new(&mandate.parameters, mandate.pointer.clone());
        let terms = Terms {
            media: &self.settings.media,
            account: &self.call.account_id,
            kind: RecordingKind::Recording,
            by: mandate.by.clone(),
            origin: Origin::Exactly(mandate.origin.clone()),
            pointer: mandate.pointer.clone(),
        };
        let ordered = recording::order(&mut data, terms);
        let start = recording::when(&mut data);
        for (place, message) in data.warnings {
            self.warn_at(&place, message);
        }
        match ordered {
            Ok(order) => {
                let slot = self.slot();
                Some((RecordingOrder { slot, ..order }, start))
            }
            Err(reason) => {
                let (by, pointer) = (mandate.by.clone(), mandate.pointer.clone());
                self.effect(Effect::Skipped {
                    pointer,
                    reason,
                    by,
                });
                None
            }
        }
    }
}
