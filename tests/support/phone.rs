//! A phone whose signalling is sipp's and whose audio is ours ([`Voice`]): for tests that must know every packet.

use super::{
    sipp::{Run, Sipp},
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
