//! Whoever answers a forwarded call must press a key before it is put through, so that no voicemail box of a mobile phone takes it
//! (FreeSWITCH's `group_confirm`).

use callreel_proto::Endpoint;
use serde_json::Value;

use super::aside::Aside;
use super::{Channel, LegFact};

/// What is asked of whoever answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Confirm {
    key: char,
    /// The prompt, as in `play`.
    file: Option<String>,
}

impl Confirm {
    /// What the variables of an endpoint ask for (Kazoo's `Confirm-Key` and `Confirm-File`).
    pub(crate) fn of(endpoint: &Endpoint) -> Option<Self> {
        let text = |key| {
            endpoint
                .custom_channel_vars
                .get(key)
                .and_then(Value::as_str)
        };
        Some(Self {
            key: text("Confirm-Key")?.chars().next()?,
            file: text("Confirm-File")
                .filter(|file| !file.is_empty())
                .map(str::to_owned),
        })
    }
}

impl Channel {
    /// Somebody has answered: plays the prompt again and again. The bridge gives it up in time.
    pub(super) fn ask_to_confirm(&mut self) {
        /// What is heard when there is no prompt.
        const BEEPS: &str = "tone_stream://%(200,1800,440)";
        self.tell_owner(LegFact::Confirming);
        if let Some(confirm) = &self.confirm {
            let file = confirm.file.clone();
            self.fetch_aside(Aside::Confirm, file.unwrap_or_else(|| BEEPS.to_owned()));
        }
    }

    /// A key of whoever answered; true if it was the one asked for, or still is not.
    pub(super) fn confirm_digit(&mut self, digit: char) -> bool {
        let Some(confirm) = &self.confirm else {
            return false;
        };
        if confirm.key == digit
            && let Some(agreed) = self.agreed
        {
            self.confirm = None;
            self.media.stop_playback();
            self.tell_owner(LegFact::Answered(agreed.codec));
        }
        true
    }
}
