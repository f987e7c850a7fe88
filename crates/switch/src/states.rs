//! How far a leg has come, in FreeSWITCH's words. Pure.

use crate::events::Direction;

/// How far an unanswered call has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Progress {
    /// 100.
    Trying,
    /// 180.
    Ringing,
    /// 183 with a session description.
    Early,
    /// 200.
    Answered,
}

/// All that the states of a leg follow from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stage {
    pub(crate) direction: Direction,
    pub(crate) progress: Progress,
    /// A controller has it.
    pub(crate) controlled: bool,
    /// Joined to another leg.
    pub(crate) joined: bool,
    /// The phone holds the call.
    pub(crate) held: bool,
    pub(crate) over: bool,
}

impl Stage {
    /// `Channel-State`: FreeSWITCH's state machine, without `CS_`.
    pub(crate) fn channel(self) -> &'static str {
        match self.direction {
            _ if self.over => "REPORTING",
            _ if self.controlled => "EXECUTE",
            Direction::Inbound => "ROUTING",
            Direction::Outbound if self.joined => "EXCHANGE_MEDIA",
            Direction::Outbound => "CONSUME_MEDIA",
        }
    }

    /// `Channel-Call-State`: what a person would say.
    pub(crate) fn call(self) -> &'static str {
        match self.progress {
            _ if self.over => "HANGUP",
            Progress::Trying => "DOWN",
            Progress::Ringing => "RINGING",
            Progress::Early => "EARLY",
            Progress::Answered if self.held => "HELD",
            Progress::Answered => "ACTIVE",
        }
    }

    /// `Channel-Answer-State`.
    pub(crate) fn answer(self) -> &'static str {
        match self.progress {
            _ if self.over => "hangup",
            Progress::Trying | Progress::Ringing => "ringing",
            Progress::Early => "early",
            Progress::Answered => "answered",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_goes_through_freeswitchs_states() {
        let new = Stage {
            direction: Direction::Inbound,
            progress: Progress::Trying,
            controlled: false,
            joined: false,
            held: false,
            over: false,
        };
        let parked = Stage {
            controlled: true,
            progress: Progress::Early,
            ..new
        };
        let held = Stage {
            progress: Progress::Answered,
            held: true,
            ..parked
        };
        let callee = Stage {
            direction: Direction::Outbound,
            controlled: false,
            joined: true,
            held: false,
            ..held
        };
        let transferred = Stage {
            controlled: true,
            joined: false,
            ..callee
        };
        let over = Stage { over: true, ..held };
        for (stage, states) in [
            (new, ("ROUTING", "DOWN", "ringing")),
            (parked, ("EXECUTE", "EARLY", "early")),
            (held, ("EXECUTE", "HELD", "answered")),
            (callee, ("EXCHANGE_MEDIA", "ACTIVE", "answered")),
            (transferred, ("EXECUTE", "ACTIVE", "answered")),
            (over, ("REPORTING", "HANGUP", "hangup")),
        ] {
            assert_eq!((stage.channel(), stage.call(), stage.answer()), states);
        }
    }
}
