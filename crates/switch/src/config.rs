//! The switch's settings and what they mean. Reads no file and no environment: the product does.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use callreel_media::Codec;
use callreel_proto::{PortRange, Secret};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// A digest algorithm offered to phones (RFC 8760).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DigestAlgorithm {
    /// RFC 3261's own: every phone knows it.
    #[serde(rename = "MD5")]
    Md5,
    /// RFC 8760's; phones that do not know it may stumble over the second challenge header.
    #[serde(rename = "SHA-256")]
    Sha256,
}

impl DigestAlgorithm {
    /// The name in a challenge.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }
}

/// Who speaks texts that name no engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SpeechEngine {
    /// The one inside this program.
    Embedded,
    /// The one at `speech_url`.
    Http,
}

/// Codecs, the preferred first; at least one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Codecs(pub Vec<Codec>);

impl TryFrom<Vec<String>> for Codecs {
    type Error = String;

    fn try_from(names: Vec<String>) -> Result<Self, String> {
        let known = Codec::ALL.map(Codec::name).join(", ");
        if names.is_empty() {
            return Err(format!("at least one codec is needed, of {known}"));
        }
        let codecs = names.iter().map(|name| {
            let codec = Codec::from_name(name);
            codec.ok_or_else(|| format!("{name:?} is no codec of the switch; it has {known}"))
        });
        codecs.collect::<Result<_, _>>().map(Self)
    }
}

impl From<Codecs> for Vec<String> {
    fn from(codecs: Codecs) -> Self {
        let names = codecs.0.into_iter().map(|codec| codec.name().to_owned());
        names.collect()
    }
}

/// Section `switch` of the configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SwitchConfig {
    /// Address and port of SIP, UDP and TCP alike; port 0 takes a free one.
    pub bind: SocketAddr,
    /// Whether SIP over TCP is served beside UDP.
    pub tcp: bool,
    /// Address and port of SIP over TLS; none when absent.
    pub tls_bind: Option<SocketAddr>,
    /// PEM file of the certificate shown there, with those that vouch for it behind.
    pub tls_certificate: Option<PathBuf>,
    /// PEM file of its key.
    pub tls_key: Option<PathBuf>,
    /// The address phones are told in Via, Contact and SDP; absent: `bind`'s, or if that is unspecified the address
    /// of the interface towards the phone.
    pub advertised: Option<IpAddr>,
    /// Codecs of phones whose device document names none, in the order they are offered after those the other phone has. A phone that offers
    /// itself is answered in its own order.
    pub codecs: Codecs,
    /// UDP ports of RTP and RTCP.
    pub rtp_ports: PortRange,
    /// Local address forks of recorded calls are sent from.
    pub fork_bind: IpAddr,
    /// Seconds without RTP after which an answered call that is not on hold is ended; 0 is never.
    pub rtp_inactivity_s: u64,
    /// Calls into the switch at once; more are refused with 503.
    pub max_calls: usize,
    /// Milliseconds a controller has to claim a call before the caller hears 404.
    pub route_timeout_ms: u64,
    /// Seconds the controller of a call may be away from the bus before the call ends as soon as nothing runs on it; 0 is
    /// for ever.
    pub controller_timeout_s: u64,
    /// Seconds a call may stay unanswered before it is refused with 480.
    pub answer_timeout_s: u64,
    /// Shortest registration a phone may ask for, seconds.
    pub register_min_s: u32,
    /// Longest registration a phone is given, seconds.
    pub register_max_s: u32,
    /// What the switch calls itself in `User-Agent` and `Server` (RFC 3261 §20.35, which warns of telling versions).
    pub user_agent: String,
    /// Whether the switch registers at carriers whose gateways say so: of several switches, one.
    pub register_trunks: bool,
    /// Seconds after which the documents of trunks are read again; at least 1.
    pub trunks_reread_s: u64,
    /// Seconds a digest nonce is good for.
    pub nonce_lifetime_s: u64,
    /// Wrong passwords of one source in a row after which it is banned; 0 bans nobody.
    pub ban_after: u32,
    /// How long it is, seconds.
    pub ban_s: u64,
    /// SIP messages of one source in a second, on average; 0 limits nobody.
    pub requests_per_second: u32,
    /// Networks whose sources are neither limited nor banned.
    pub trusted_networks: Vec<IpNet>,
    /// Digest algorithms offered, the preferred first. All known ones are accepted.
    pub digest_algorithms: Vec<DigestAlgorithm>,
    /// Shortest session timer accepted, seconds (RFC 4028 Min-SE; at least 90).
    pub session_timer_min_s: u32,
    /// Who speaks texts that name no engine.
    pub speech_engine: SpeechEngine,
    /// Where the HTTP engine is; `{text}`, `{voice}` and `{language}` in it are filled in. Absent: there is none.
    pub speech_url: Option<String>,
    /// How it is asked: `GET`, `POST` or `PUT`.
    pub speech_method: String,
    /// Headers it is sent, such as its key.
    pub speech_headers: BTreeMap<String, Secret>,
    /// What is posted, with the same places to fill in; a JSON object with `text`, `voice`, `language` and `format` when absent.
    pub speech_body: Option<String>,
    /// Milliseconds it may take for a sentence or two; then the built-in engine speaks.
    pub speech_timeout_ms: u64,
    /// PEM file with certificate authorities to trust beside the system's.
    pub speech_ca_file: Option<PathBuf>,
}

impl Default for SwitchConfig {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 5060)),
            tcp: true,
            tls_bind: None,
            tls_certificate: None,
            tls_key: None,
            advertised: None,
            codecs: Codecs(vec![Codec::Opus, Codec::G722, Codec::Pcmu, Codec::Pcma]),
            rtp_ports: PortRange {
                first: 20_000,
                last: 29_999,
            },
            fork_bind: Ipv4Addr::LOCALHOST.into(),
            rtp_inactivity_s: 300,
            max_calls: 2_000,
            route_timeout_ms: 2_600,
            controller_timeout_s: 20,
            answer_timeout_s: 180,
            register_min_s: 60,
            register_max_s: 3_600,
            user_agent: "callreel".to_owned(),
            register_trunks: true,
            trunks_reread_s: 30,
            nonce_lifetime_s: 300,
            ban_after: 20,
            ban_s: 600,
            requests_per_second: 500,
            trusted_networks: vec![
                IpNet::new_assert(Ipv4Addr::new(127, 0, 0, 0).into(), 8),
                IpNet::new_assert(Ipv6Addr::LOCALHOST.into(), 128),
            ],
            digest_algorithms: vec![DigestAlgorithm::Md5],
            session_timer_min_s: 90,
            speech_engine: SpeechEngine::Embedded,
            speech_url: None,
            speech_method: "POST".to_owned(),
            speech_headers: BTreeMap::new(),
            speech_body: None,
            speech_timeout_ms: 5_000,
            speech_ca_file: None,
        }
    }
}

/// Every key of section `switch` and what it means.
pub const CONFIG_KEYS: &[(&str, &str)] = &[
    (
        "bind",
        "address and port of SIP, UDP and TCP alike; port 0 takes a free one",
    ),
    ("tcp", "whether SIP over TCP is served beside UDP"),
    (
        "tls_bind",
        "address and port of SIP over TLS beside them, such as 0.0.0.0:5061; nowhere when absent",
    ),
    (
        "tls_certificate",
        "PEM file of the certificate shown there, with those that vouch for it behind; a renewed file is read within a minute",
    ),
    ("tls_key", "PEM file of that certificate's key"),
    (
        "advertised",
        "IP address phones are told in Via, Contact and SDP; absent: the one of `bind`, or of the interface towards the phone",
    ),
    (
        "codecs",
        "codecs of phones whose device document names none, in the order they are offered after those the other phone has",
    ),
    ("rtp_ports", "UDP ports of RTP and RTCP, as \"first-last\""),
    (
        "fork_bind",
        "local IP address the audio of recorded calls is sent to the recorder from",
    ),
    (
        "rtp_inactivity_s",
        "seconds without RTP after which an answered call that is not on hold is ended; 0 is never",
    ),
    (
        "max_calls",
        "calls into the switch at once; more are refused with 503",
    ),
    (
        "route_timeout_ms",
        "milliseconds a controller has to claim a call before the caller hears 404",
    ),
    (
        "controller_timeout_s",
        "seconds the controller of a call may be away from the bus before the call ends, as soon as nothing runs on it; 0 is for ever",
    ),
    (
        "answer_timeout_s",
        "seconds a call may stay unanswered before it is refused with 480",
    ),
    (
        "register_min_s",
        "shortest registration a phone may ask for, seconds",
    ),
    (
        "register_max_s",
        "longest registration a phone is given, seconds",
    ),
    (
        "user_agent",
        "what the switch calls itself towards phones and carriers (User-Agent, Server)",
    ),
    (
        "register_trunks",
        "whether the switch registers at trunks whose gateways say so; of several switches, one",
    ),
    (
        "trunks_reread_s",
        "seconds after which the documents of trunks are read again; at least 1",
    ),
    ("nonce_lifetime_s", "seconds a digest nonce is good for"),
    (
        "ban_after",
        "wrong passwords of one source in a row after which it is not heard for switch.ban_s; every 30 seconds one is forgiven; 0 bans nobody",
    ),
    ("ban_s", "seconds a source is banned"),
    (
        "requests_per_second",
        "SIP messages of one source that are heard in a second, on average over four; 0 limits nobody",
    ),
    (
        "trusted_networks",
        "networks whose sources are neither limited nor banned, such as those of carriers and session border controllers",
    ),
    (
        "digest_algorithms",
        "digest algorithms offered to phones, the preferred first: \"MD5\", \"SHA-256\"",
    ),
    (
        "session_timer_min_s",
        "shortest SIP session timer accepted, seconds; at least 90",
    ),
    (
        "speech_engine",
        "who speaks texts that name no engine: \"embedded\" or \"http\"",
    ),
    (
        "speech_url",
        "http or https URL of the HTTP speech engine; {text}, {voice} and {language} in it are filled in; absent: there is none",
    ),
    (
        "speech_method",
        "how the HTTP speech engine is asked: \"GET\", \"POST\" or \"PUT\"",
    ),
    (
        "speech_headers",
        "headers the HTTP speech engine is sent, such as {\"Authorization\" = \"Bearer …\"}",
    ),
    (
        "speech_body",
        "what the HTTP speech engine is posted, with the same places to fill in; absent: a JSON object with text, voice, language and format",
    ),
    (
        "speech_timeout_ms",
        "milliseconds the HTTP speech engine may take for a sentence or two; then the built-in one speaks",
    ),
    (
        "speech_ca_file",
        "PEM file with certificate authorities the HTTP speech engine may be vouched for by, beside the system's",
    ),
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_key_is_described_and_every_description_has_a_key() {
        let config = SwitchConfig {
            advertised: Some(Ipv4Addr::LOCALHOST.into()),
            ..SwitchConfig::default()
        };
        let json = serde_json::to_value(config).unwrap();
        let keys: Vec<_> = json.as_object().unwrap().keys().collect();
        let described: Vec<_> = CONFIG_KEYS.iter().map(|(key, _)| key).collect();
        assert_eq!(keys, described);
    }

    #[test]
    fn unknown_keys_and_odd_ranges_are_refused() {
        for bad in [
            json!({"binds": "0.0.0.0:5060"}),
            json!({"rtp_ports": "20000"}),
            json!({"rtp_ports": "3000-2000"}),
            json!({"rtp_ports": "0-10"}),
            json!({"digest_algorithms": ["MD4"]}),
            json!({"codecs": ["PCMU", "speex"]}),
            json!({"codecs": []}),
        ] {
            assert!(
                serde_json::from_value::<SwitchConfig>(bad.clone()).is_err(),
                "{bad}"
            );
        }
        let good: SwitchConfig =
            serde_json::from_value(json!({"rtp_ports": "30000-30010"})).unwrap();
        assert_eq!(good.rtp_ports.inclusive(), 30000..=30010);
    }
}
