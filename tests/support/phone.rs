//! A phone whose signalling is sipp's and whose audio is ours ([`Voice`]): for tests that must know every packet.

use super::{
    callee::Callee,
    estate::{CALLEE, CALLER, NUMBER},
    sipp::{Caller, Run, Sipp},
    site::Site,
    voice::{Speech, Voice},
};

/// A registered phone.
pub(crate) struct Phone {
    sipp: Sipp,
    pub(crate) voice: Voice,
}

impl Phone {
    /// A phone of `user`, registered at the node.
    pub(crate) fn registered(user: &'static str, node: &Site) -> Self {
        let sipp = Sipp::new(user, node.sip());
        sipp.register();
        Self {
            sipp,
            voice: Voice::new(),
        }
    }

    /// Alice calls, and speaks until she is hung up on. Returns when she has begun.
    pub(crate) fn calls(node: &Site, speech: Speech) -> (Self, Run) {
        let caller = Self::registered(CALLER, node);
        let stays = Caller::dials(NUMBER).answered(NUMBER).awaits_bye();
        let calling = caller.runs("call", &stays.scenario());
        caller.speaks(&calling, speech);
        (caller, calling)
    }

    /// Runs a scenario with its own audio.
    pub(crate) fn runs(&self, name: &str, scenario: &str) -> Run {
        self.sipp.run(name, &self.voice.of(scenario))
    }

    /// Waits until the call is answered and speaks from then on.
    pub(crate) fn speaks(&self, run: &Run, speech: Speech) {
        run.established();
        self.voice.speaks(run.media(), speech);
    }
}

/// Two such phones that talk.
pub(crate) struct Talk {
    pub(crate) caller: Phone,
    pub(crate) callee: Phone,
    calling: Run,
    answering: Run,
}

impl Talk {
    /// Alice calls, Bob rings for `ring_ms` and answers, both speak, and Alice hangs up after `talk_ms`. Returns when they
    /// have begun to speak.
    pub(crate) fn begins(node: &Site, ring_ms: u32, talk_ms: u32, speech: [Speech; 2]) -> Self {
        let callee = Phone::registered(CALLEE, node);
        let answers = Callee::rings(ring_ms).answers().awaits_bye();
        let answering = callee.runs("answer", &answers.scenario());
        let caller = Phone::registered(CALLER, node);
        let talks = Caller::dials(NUMBER).answered(NUMBER).waits(talk_ms);
        let calling = caller.runs("call", &talks.hangs_up(NUMBER).scenario());
        let talk = Self {
            caller,
            callee,
            calling,
            answering,
        };
        let [left, right] = speech;
        // The caller may have been answered before, by the flow itself.
        talk.callee.speaks(&talk.answering, right);
        talk.caller.speaks(&talk.calling, left);
        talk
    }

    /// The caller's Call-ID.
    pub(crate) fn call_id(&self) -> &str {
        self.calling.call_id()
    }

    /// Waits until the caller has hung up, and everybody has agreed; gives the caller and the callee.
    pub(crate) fn ends(self) -> [Phone; 2] {
        self.calling.completed();
        self.answering.completed();
        [self.caller, self.callee]
    }
}
