//! How a channel looks: to its events, to people, and to whoever asks for its state.

use rsipstack::dialog::invite_dialog::InviteDialog;

use serde_json::Value;

use super::{Channel, Progress};
use crate::describe::ChannelPicture;
use crate::events::{Direction, Look};
use crate::states::Stage;
use crate::status::Row;

/// What of a channel's row are its variables.
const OF_VARIABLES: [&str; 14] = [
    "Account-ID",
    "Authorizing-ID",
    "Authorizing-Type",
    "Bridge-ID",
    "Call-Interaction-ID",
    "CallFlow-ID",
    "Channel-Authorized",
    "Fetch-ID",
    "Owner-ID",
    "Precedence",
    "Realm",
    "Reseller-ID",
    "Resource-ID",
    "Username",
];

impl Channel {
    fn stage(&self) -> Stage {
        Stage {
            direction: self.direction,
            progress: self.progress,
            controlled: self.controller.is_some(),
            joined: self.joined,
            held: self.held,
            over: self.over,
        }
    }

    /// Somebody controls it, or the call it is a leg of.
    fn has_control(&self) -> bool {
        self.controller.is_some() || self.owner.is_some() || self.consulting.is_some()
    }

    /// For its events.
    pub(super) fn look(&self) -> Look<'_> {
        Look {
            stage: self.stage(),
            parties: &self.parties,
            channel_vars: &self.channel_vars,
            application_vars: &self.application_vars,
            sip_headers: &self.sip_headers,
            other: self.other_leg.as_ref(),
            control_queue: self.has_control().then_some(self.shared.queue.as_str()),
            tags: self.tags(),
            user_agent: self.user_agent.as_deref(),
        }
    }

    /// Tags of From and To (RFC 3261 §12.1), as far as they are known.
    pub(super) fn tags(&self) -> (Option<String>, Option<String>) {
        let Some(id) = self.dialog.as_ref().map(InviteDialog::id) else {
            return (None, None);
        };
        let known = |tag: String| Some(tag).filter(|tag| !tag.is_empty());
        match self.direction {
            Direction::Inbound => (known(id.remote_tag), known(id.local_tag)),
            Direction::Outbound => (known(id.local_tag), known(id.remote_tag)),
        }
    }

    /// For whoever asks about channels: as Kazoo's table of channels has it.
    pub(super) fn row(&self) -> Row {
        let mut row = Row::new();
        let mut tell = |key: &str, value: Value| drop(row.insert(key.to_owned(), value));
        for key in OF_VARIABLES {
            if let Some(value) = self.channel_vars.get(key) {
                tell(key, value.into());
            }
        }
        let parties = &self.parties;
        let (from_tag, to_tag) = self.tags();
        let presence = self.channel_vars.get("Presence-ID");
        let other = self.other_leg.as_ref();
        for (key, text) in [
            ("Call-ID", Some(self.call_id.as_str())),
            ("Call-Direction", Some(self.direction.name())),
            ("Caller-ID-Name", Some(parties.caller_name.as_str())),
            ("Caller-ID-Number", Some(parties.caller_number.as_str())),
            ("Callee-ID-Name", parties.callee_name.as_deref()),
            ("Callee-ID-Number", parties.callee_number.as_deref()),
            ("Destination", Some(parties.destination())),
            ("From", Some(parties.from.as_str())),
            ("From-Tag", from_tag.as_deref()),
            ("Media-Node", Some(self.shared.identity.node.as_str())),
            (
                "Other-Leg-Call-ID",
                other.map(|other| other.call_id.as_str()),
            ),
            ("Presence-ID", presence.or(Some(parties.phone.as_str()))),
            ("Switch-URL", Some(self.shared.identity.url.as_str())),
            ("To", Some(parties.to.as_str())),
            ("To-Tag", to_tag.as_deref()),
        ] {
            if let Some(text) = text {
                tell(key, text.into());
            }
        }
        tell("Answered", self.answered.is_some().into());
        tell("Elapsed-Seconds", self.created.elapsed().as_secs().into());
        tell("Is-Loopback", false.into());
        tell("Is-On-Hold", self.held.into());
        tell(
            "Timestamp",
            self.reporter.created().gregorian_seconds().into(),
        );
        tell(
            "Custom-Channel-Vars",
            self.channel_vars.map().clone().into(),
        );
        tell(
            "Custom-Application-Vars",
            self.application_vars.map().clone().into(),
        );
        row
    }

    /// For people.
    pub(super) fn picture(&self) -> ChannelPicture {
        ChannelPicture {
            call_id: self.call_id.to_string(),
            direction: self.direction.name(),
            state: match self.progress {
                Progress::Trying => "trying",
                Progress::Ringing => "ringing",
                Progress::Early => "early",
                Progress::Answered => "answered",
            },
            from: self.parties.from.clone(),
            to: self.parties.request.clone(),
            age_s: self.created.elapsed().as_secs(),
            answered_s: self.answered.map(|at| at.elapsed().as_secs()),
            other_leg: self.other_leg.as_ref().map(|o| o.call_id.to_string()),
            bridged: self.joined,
            held: self.held,
            codec: self.agreed.map(|agreed| agreed.codec.name()),
            running: self.queue.running(),
            waiting: self.queue.waiting(),
            recordings: self.recordings.len(),
            peer: self.peer.addr.to_string(),
            rtp: self.media.stats(),
        }
    }
}
