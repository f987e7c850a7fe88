//! Settings of the sections `calls` and `recording`.

use std::{net::IpAddr, time::Duration};

use callreel_proto::{AccountId, AudioFormat, MetadataQuery, PortRange};
use serde::{Deserialize, Serialize};

/// Which calls are taken, and what is expected of a switch of others.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CallsConfig {
    /// Accounts whose calls are taken; all when empty.
    pub accounts: Vec<AccountId>,
    /// What a switch that records into files of its own records.
    pub switch_format: SwitchFormat,
    /// Seconds such a switch is given to say that it records; then that is noted, and the file fetched at the end all the
    /// same.
    pub record_start_timeout_s: u64,
    /// Seconds it is given to say that it has ended a recording.
    pub record_stop_timeout_s: u64,
    /// Seconds a call may be silent before the switches are asked whether its channel is still there.
    pub channel_check_s: u64,
    /// Calls and actions an account may run at once, beyond what flows in; 0 limits nobody.
    pub flow_tokens: u32,
    /// Calls and actions it may run each second, for as long as it likes.
    pub flow_tokens_per_s: u32,
}

impl Default for CallsConfig {
    fn default() -> Self {
        Self {
            accounts: Vec::new(),
            switch_format: SwitchFormat::Wav,
            record_start_timeout_s: 5,
            record_stop_timeout_s: 30,
            channel_check_s: 60,
            flow_tokens: 20_000,
            flow_tokens_per_s: 2000,
        }
    }
}

impl CallsConfig {
    /// Whether calls of this account are ours to take.
    pub(crate) fn takes(&self, account: &AccountId) -> bool {
        self.accounts.is_empty() || self.accounts.contains(account)
    }

    pub(crate) fn record_start_timeout(&self) -> Duration {
        Duration::from_secs(self.record_start_timeout_s)
    }

    pub(crate) fn record_stop_timeout(&self) -> Duration {
        Duration::from_secs(self.record_stop_timeout_s)
    }

    pub(crate) fn channel_check(&self) -> Duration {
        Duration::from_secs(self.channel_check_s)
    }
}

/// The format a switch of others records in. Delivery makes of it what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SwitchFormat {
    /// WAV: every FreeSWITCH can.
    Wav,
    /// MP3: needs `mod_shout` there.
    Mp3,
    /// What the recording is asked for in.
    Asked,
}

impl SwitchFormat {
    /// The format of the switch's file for a recording asked for in `asked`.
    pub(crate) fn of(self, asked: AudioFormat) -> AudioFormat {
        match self {
            Self::Wav => AudioFormat::Wav,
            Self::Mp3 => AudioFormat::Mp3,
            Self::Asked => asked,
        }
    }
}

/// How calls are captured and recorded.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecordingConfig {
    /// Address the capture sockets bind to.
    pub capture_bind: IpAddr,
    /// Address the switch is told to send to; `capture_bind` when absent.
    pub capture_advertised: Option<IpAddr>,
    /// Ports of the capture sockets, `first-last`; any free port when absent.
    pub capture_ports: Option<PortRange>,
    /// Seconds a won call may wait for its `route_win`.
    pub route_win_timeout_s: u64,
    /// Calls this node runs at once; more are left to others.
    pub max_calls: usize,
    /// Keys are taken out of the audio: their tones and their telephone events.
    pub redact_dtmf: bool,
    /// Which metadata of the call the delivery's URL carries as query parameters.
    pub metadata_query: MetadataQuery,
    /// Whether `{ACCOUNT_ID}` and its like are filled into an action's `url`.
    pub expand_url: bool,
}

impl Default for RecordingConfig {
    fn default() -> Self {
        Self {
            capture_bind: IpAddr::from([127, 0, 0, 1]),
            capture_advertised: None,
            capture_ports: None,
            route_win_timeout_s: 3,
            max_calls: 4000,
            redact_dtmf: false,
            metadata_query: MetadataQuery::None,
            expand_url: true,
        }
    }
}

impl RecordingConfig {
    /// The address packets must be sent to.
    pub(crate) fn advertised(&self) -> IpAddr {
        self.capture_advertised.unwrap_or(self.capture_bind)
    }
}

/// Every key of the section `calls` and its meaning.
pub const CALLS_CONFIG_KEYS: &[(&str, &str)] = &[
    (
        "accounts",
        "ids of the accounts whose calls are taken; all accounts when empty",
    ),
    (
        "switch_format",
        "what a FreeSWITCH behind ecallmgr records: wav, mp3 (needs its mod_shout) or asked (what each recording asks for); it is converted here",
    ),
    (
        "record_start_timeout_s",
        "seconds such a switch is given to say that it records; then a warning is logged, and the file fetched at the end all the same",
    ),
    (
        "record_stop_timeout_s",
        "seconds it is given to say that a recording has ended; else its file is fetched without its word",
    ),
    (
        "channel_check_s",
        "seconds without an event after which the switches are asked whether a call's channel is still there",
    ),
    (
        "flow_tokens",
        "calls and actions of callflows an account may run at once on this node, beyond flow_tokens_per_s; then its new calls are left alone and its flows stop; 0 limits nobody",
    ),
    (
        "flow_tokens_per_s",
        "calls and actions an account may run each second for as long as it likes",
    ),
];

/// Every key of the section `recording` and its meaning.
pub const CONFIG_KEYS: &[(&str, &str)] = &[
    ("capture_bind", "address the recorder's RTP sockets bind to"),
    (
        "capture_advertised",
        "address the switch forks audio to; capture_bind when absent",
    ),
    (
        "capture_ports",
        "UDP ports of the recorder, \"first-last\", two a recorded call; any free port when absent",
    ),
    (
        "route_win_timeout_s",
        "seconds to wait for a call we bid for, as Kazoo's callflow/route_win_timeout",
    ),
    (
        "max_calls",
        "calls this node runs at once; beyond it, it no longer bids",
    ),
    (
        "redact_dtmf",
        "take the keys the parties press out of recordings: their tones and their RFC 4733 events",
    ),
    (
        "metadata_query",
        "metadata added to delivery URLs: none (exactly URL/call_recording_CALL_ID.EXT), kazoo-4.0 or kazoo-4.3",
    ),
    (
        "expand_url",
        "fill {ACCOUNT_ID} {USER_ID} {OWNER_ID} {CALL_ID} {RECORDING_ID} {DATE} into an action's url; false sends them as they are, as Kazoo does",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(settings: &impl Serialize) -> Vec<String> {
        let value = serde_json::to_value(settings).unwrap();
        value.as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn every_key_is_documented() {
        let documented = |keys: &[(&str, &str)]| {
            keys.iter()
                .map(|(key, _)| (*key).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(keys(&RecordingConfig::default()), documented(CONFIG_KEYS));
        assert_eq!(keys(&CallsConfig::default()), documented(CALLS_CONFIG_KEYS));
    }

    #[test]
    fn an_account_that_is_none_is_refused_with_what_it_must_be() {
        let refused = serde_json::from_str::<CallsConfig>(r#"{"accounts": ["ACME"]}"#);
        let error = refused.unwrap_err().to_string();
        assert!(
            error.contains("\"ACME\"") && error.contains("32 lower-case hex"),
            "{error}"
        );
    }

    #[test]
    fn no_accounts_are_all_accounts() {
        let (ours, theirs) = (AccountId::random(), AccountId::random());
        assert!(CallsConfig::default().takes(&theirs));
        let config = CallsConfig {
            accounts: vec![ours.clone()],
            ..CallsConfig::default()
        };
        assert!(config.takes(&ours) && !config.takes(&theirs));
    }
}
