//! A phone whose signalling is sipp's and whose audio is ours ([`Voice`]): for tests that must know every packet.

use super::{
    audio::Heard,
    callee::Callee,
    estate::{CALLEE, CALLER, NUMBER},
    eventually,
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

    /// Dials a number as this user, registered or not, and stays until it is hung up on; answered when this returns.
    pub(crate) fn dials(user: &'static str, node: &Site, number: &str) -> InCall {
        let phone = Self {
            sipp: Sipp::new(user, node.sip()),
            voice: Voice::new(),
        };
        let stays = Caller::of(user, number).answered(number).awaits_bye();
        let run = phone.runs("call", &stays.scenario());
        run.established();
        InCall { phone, run }
    }

    /// A registered phone of this user, which answers the next call at once, and stays until it is hung up on.
    pub(crate) fn answers(user: &'static str, node: &Site) -> InCall {
        Self::callee(user, node, Callee::rings(0).answers().awaits_bye())
    }

    /// The same, but it hangs up after so long.
    pub(crate) fn answers_for(user: &'static str, node: &Site, ms: u32) -> InCall {
        Self::callee(user, node, Callee::rings(0).answers().waits(ms).hangs_up())
    }

    /// A registered phone of this user, which does this when it is called.
    pub(crate) fn callee(user: &'static str, node: &Site, does: Callee) -> InCall {
        let phone = Self::registered(user, node);
        let run = phone.runs("answer", &does.scenario());
        InCall { phone, run }
    }

    /// A carrier's switch at this port, which nobody knows as a phone, and which does this.
    pub(crate) fn carrier(node: &Site, port: u16, does: &str) -> InCall {
        let phone = Self {
            sipp: Sipp::new("carrier", node.sip()).at(port),
            voice: Voice::new(),
        };
        let run = phone.runs("trunk", does);
        InCall { phone, run }
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

/// A phone in a call that others end.
pub(crate) struct InCall {
    pub(crate) phone: Phone,
    run: Run,
}

impl InCall {
    /// Presses keys, one after the other.
    pub(crate) fn presses(&self, keys: &str) {
        self.says(Speech::keys(keys));
    }

    /// Begins to say this, once it is in the call.
    pub(crate) fn says(&self, speech: Speech) {
        self.phone.speaks(&self.run, speech);
    }

    /// Waits until it has heard a tone.
    pub(crate) fn hears(&self, hz: u16) {
        eventually(&format!("{hz} Hz to be heard"), || {
            let spans = self.heard().tone(0, f32::from(hz));
            (!spans.is_empty()).then_some(())
        });
    }

    /// Waits until it hears a tone a second from now: still, or again.
    pub(crate) fn goes_on_hearing(&self, hz: u16) {
        let now = self.heard().seconds();
        eventually(&format!("{hz} Hz to be heard after {now} s"), || {
            let spans = self.heard().tone(0, f32::from(hz));
            spans.last().filter(|last| last.1 > now + 1.0).map(|_| ())
        });
    }

    /// Waits until it has heard words from now on: more than the rest of a beep.
    pub(crate) fn hears_words(&self) {
        let before = self.heard().seconds();
        eventually("words to be heard", || {
            let heard = self.heard();
            let ends = heard.seconds();
            (ends > before + 1.5 && heard.loudness(0, ends - 0.5, ends) > 0.02).then_some(())
        });
    }

    /// Waits until it has been sent a message with these words.
    pub(crate) fn received(&self, words: &str) {
        self.run.received(words);
    }

    /// What it has heard so far.
    pub(crate) fn heard(&self) -> Heard {
        self.phone.voice.heard()
    }

    /// Waits until it was hung up on.
    pub(crate) fn ends(self) -> Phone {
        self.run.completed();
        self.phone
    }
}
