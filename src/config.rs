//! The node's settings: one TOML file, overridden by `CALLREEL_<SECTION>_<KEY>`, with every key documented in one place.

use std::{
    net::SocketAddr,
    num::NonZeroU64,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use callreel_api::ApiConfig;
use callreel_bus::BusConfig;
use callreel_calls::{CallsConfig, RecordingConfig};
use callreel_delivery::{DeliveryConfig, WebhooksConfig};
use callreel_spool::SpoolConfig;
use callreel_store::CouchConfig;
use callreel_switch::SwitchConfig;
use figment::{
    Figment,
    providers::{Env, Format, Serialized, Toml},
    value::Value,
};
use serde::{Deserialize, Serialize};

mod shown;

use shown::shown;

/// Prefix of the environment variables that set keys.
const ENV_PREFIX: &str = "CALLREEL_";

/// All settings of a node.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) node: NodeConfig,
    pub(crate) bus: BusConfig,
    pub(crate) store: StoreConfig,
    pub(crate) spool: SpoolSection,
    pub(crate) switch: SwitchConfig,
    pub(crate) calls: CallsConfig,
    pub(crate) recording: RecordingConfig,
    pub(crate) delivery: DeliveryConfig,
    pub(crate) webhooks: WebhooksConfig,
    pub(crate) api: ApiConfig,
    pub(crate) telemetry: TelemetryConfig,
}

/// Who this node is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NodeConfig {
    pub(crate) name: String,
    pub(crate) data: PathBuf,
    pub(crate) roles: Vec<Role>,
    pub(crate) drain_limit_s: u64,
    pub(crate) health_listen: Option<SocketAddr>,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            name: format!("callreel@{}", hostname()),
            data: PathBuf::from(".callreel"),
            roles: Role::ALL.to_vec(),
            drain_limit_s: 20,
            health_listen: None,
        }
    }
}

/// A part of the program that can run in a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// SIP and RTP.
    Switch,
    /// Callflows and recorders.
    Calls,
    /// Rendering and uploads.
    Delivery,
    /// HTTP.
    Api,
}

impl Role {
    /// Every role: the default.
    pub(crate) const ALL: [Self; 4] = [Self::Switch, Self::Calls, Self::Delivery, Self::Api];
}

/// Where documents rest.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StoreConfig {
    pub(crate) url: String,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) request_timeout_s: NonZeroU64,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            url: "embedded:".to_owned(),
            ca_file: None,
            request_timeout_s: CouchConfig::default().request_timeout_s,
        }
    }
}

impl StoreConfig {
    /// Whether documents are in a file of this machine.
    pub(crate) fn is_embedded(&self) -> bool {
        self.url == "embedded:"
    }

    /// The settings a CouchDB is spoken to with.
    pub(crate) fn couch(&self) -> CouchConfig {
        CouchConfig {
            ca_file: self.ca_file.clone(),
            request_timeout_s: self.request_timeout_s,
        }
    }
}

/// Where recordings wait.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SpoolSection {
    pub(crate) dir: Option<PathBuf>,
    pub(crate) sync_interval_ms: u64,
    pub(crate) key_file: Option<PathBuf>,
    pub(crate) refuse_recordings_percent: u64,
    pub(crate) refuse_recordings_mb: u64,
    pub(crate) refuse_fetches_percent: u64,
    pub(crate) refuse_fetches_mb: u64,
}

impl Default for SpoolSection {
    fn default() -> Self {
        let settings = SpoolConfig::default();
        Self {
            dir: None,
            sync_interval_ms: settings.sync_interval_ms,
            key_file: None,
            refuse_recordings_percent: settings.refuse_recordings_percent,
            refuse_recordings_mb: settings.refuse_recordings_mb,
            refuse_fetches_percent: settings.refuse_fetches_percent,
            refuse_fetches_mb: settings.refuse_fetches_mb,
        }
    }
}

impl SpoolSection {
    /// The settings the spool itself knows.
    pub(crate) fn settings(&self) -> SpoolConfig {
        SpoolConfig {
            sync_interval_ms: self.sync_interval_ms,
            key_file: self.key_file.clone(),
            refuse_recordings_percent: self.refuse_recordings_percent,
            refuse_recordings_mb: self.refuse_recordings_mb,
            refuse_fetches_percent: self.refuse_fetches_percent,
            refuse_fetches_mb: self.refuse_fetches_mb,
        }
    }
}

/// What the node says about itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TelemetryConfig {
    pub(crate) log: String,
    pub(crate) log_format: LogFormat,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            // lapin logs every outage as an error of its own; the bus says what it means.
            log: "info,rsipstack=error,lapin=off".to_owned(),
            log_format: LogFormat::Text,
        }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Every key of section `spool` and what it means.
const SPOOL_KEYS: &[(&str, &str)] = &[
    (
        "dir",
        "folder of tickets, journals and renditions; node.data/spool when absent",
    ),
    (
        "sync_interval_ms",
        "milliseconds between two syncs of the spool's file system: a power loss costs about as much audio",
    ),
    (
        "key_file",
        "file of age identities, from `callreel keys new`: journals and audio files in the spool are sealed to the first and opened with any (docs/encryption.md); not sealed when absent",
    ),
    (
        "refuse_recordings_percent",
        "new recordings are refused while less than this share of the disk is free, percent; 0 never",
    ),
    (
        "refuse_recordings_mb",
        "however large the disk is, recordings are taken while this much is free, MB",
    ),
    (
        "refuse_fetches_percent",
        "files of foreign switches are not fetched while less than this share is free, percent; 0 never",
    ),
    (
        "refuse_fetches_mb",
        "however large the disk is, they are fetched while this much is free, MB",
    ),
];

/// Every section with the meaning of every key.
fn sections() -> [(&'static str, &'static [(&'static str, &'static str)]); 11] {
    [
        (
            "node",
            &[
                ("name", "name of this node on the bus, callreel@HOST"),
                ("data", "folder of the embedded store and the spool"),
                (
                    "roles",
                    "which of switch, calls, delivery, api run in this process",
                ),
                (
                    "drain_limit_s",
                    "seconds running calls are given to end after SIGTERM, while new ones are refused; Ctrl-C waits for none",
                ),
                (
                    "health_listen",
                    "address and port of /healthz and /readyz for supervisors, whatever the roles (docs/cluster.md); nowhere when absent",
                ),
            ],
        ),
        ("bus", callreel_bus::CONFIG_KEYS),
        (
            "store",
            &[
                (
                    "url",
                    "where documents and stored recordings are: \"embedded:\" is one database file in node.data; \
                     http(s)://USER:PASSWORD@HOST:PORT is a CouchDB, as Kazoo's",
                ),
                (
                    "ca_file",
                    "PEM file of the authority that signed CouchDB's certificate, beside the system's",
                ),
                (
                    "request_timeout_s",
                    "seconds a request to CouchDB may take; for an attachment, seconds it may stand still",
                ),
            ],
        ),
        ("spool", SPOOL_KEYS),
        ("switch", callreel_switch::CONFIG_KEYS),
        ("calls", callreel_calls::CALLS_CONFIG_KEYS),
        ("recording", callreel_calls::CONFIG_KEYS),
        ("delivery", callreel_delivery::CONFIG_KEYS),
        ("webhooks", callreel_delivery::WEBHOOKS_CONFIG_KEYS),
        ("api", callreel_api::CONFIG_KEYS),
        (
            "telemetry",
            &[
                ("log", "log filter, as RUST_LOG (which wins when set)"),
                ("log_format", "text or json"),
            ],
        ),
    ]
}

impl Config {
    /// Reads defaults, then `file`, then the environment.
    ///
    /// # Errors
    /// The file cannot be read, a key is unknown, or a value has the wrong type: the error names key and source.
    pub(crate) fn load(file: Option<&Path>) -> anyhow::Result<Self> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(path) = file {
            if !path.is_file() {
                bail!("configuration file {} does not exist", path.display());
            }
            figment = figment.merge(Toml::file_exact(path));
        }
        let figment = figment.merge(environment()).merge(secret_files()?);
        figment
            .extract()
            .map_err(|error| anyhow::anyhow!("{error}"))
            .context("configuration refused; `callreel config print` lists every key")
    }

    /// The spool's folder.
    pub(crate) fn spool_dir(&self) -> PathBuf {
        self.spool
            .dir
            .clone()
            .unwrap_or_else(|| self.node.data.join("spool"))
    }

    /// The embedded store's file.
    pub(crate) fn store_file(&self) -> PathBuf {
        self.node.data.join("store.sqlite")
    }

    /// Every key as TOML, each with its meaning above it; secrets only as being set.
    pub(crate) fn print(&self) -> String {
        let values = serde_json::to_value(self).expect("settings are plain data");
        let mut out = String::new();
        for (section, keys) in sections() {
            out.push_str(&format!("[{section}]\n"));
            for (key, meaning) in keys {
                out.push_str(&format!("# {meaning}\n"));
                match toml_value(&shown(key, &values[section][key])) {
                    Some(value) => out.push_str(&format!("{key} = {value}\n")),
                    None => out.push_str(&format!("# {key} =\n")),
                }
            }
            out.push('\n');
        }
        out
    }
}

/// JSON scalars are TOML, and its arrays and objects are TOML's arrays and inline tables of such; null has no spelling there.
fn toml_value(value: &serde_json::Value) -> Option<String> {
    use serde_json::Value::{Array, Null, Object};
    match value {
        Null => None,
        Array(items) => {
            let items: Vec<String> = items.iter().filter_map(toml_value).collect();
            Some(format!("[{}]", items.join(", ")))
        }
        Object(fields) => {
            let fields = fields
                .iter()
                .filter_map(|(key, value)| Some((key, toml_value(value)?)));
            let fields: Vec<String> = fields
                .map(|(key, value)| format!("{} = {value}", serde_json::json!(key)))
                .collect();
            Some(format!("{{{}}}", fields.join(", ")))
        }
        plain => Some(plain.to_string()),
    }
}

/// `CALLREEL_SWITCH_RTP_PORTS` is `switch.rtp_ports`: the first word is the section. Other variables are not ours.
fn environment() -> Env {
    Env::prefixed(ENV_PREFIX)
        .filter(|name| {
            section_and_key(name.as_str()).is_some() && !is_file_reference(name.as_str())
        })
        .map(|name| dotted(name.as_str()).into())
}

/// `CALLREEL_STORE_URL_FILE=/run/secrets/couch` sets `store.url` to that file's text.
fn secret_files() -> anyhow::Result<Figment> {
    let mut figment = Figment::new();
    for (name, path) in std::env::vars() {
        let Some(name) = name.strip_prefix(ENV_PREFIX) else {
            continue;
        };
        let name = name.to_ascii_lowercase();
        if !is_file_reference(&name) {
            continue;
        }
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("{ENV_PREFIX}{} names {path}", name.to_ascii_uppercase()))?;
        let key = dotted(name.trim_end_matches("_file"));
        let value: Value = text.trim().parse().unwrap_or_else(|never| match never {});
        figment = figment.merge(Serialized::default(&key, value));
    }
    Ok(figment)
}

fn section_and_key(name: &str) -> Option<(String, String)> {
    let name = name.to_ascii_lowercase();
    let (section, key) = name.split_once('_')?;
    sections()
        .iter()
        .any(|(known, _)| *known == section)
        .then(|| (section.to_owned(), key.to_owned()))
}

/// Whether a variable means "read the key from this file": its name without `_file` is a key, with it is none.
fn is_file_reference(name: &str) -> bool {
    let Some((section, key)) = section_and_key(name) else {
        return false;
    };
    let is_key = |wanted: &str| {
        sections()
            .iter()
            .any(|(known, keys)| *known == section && keys.iter().any(|(key, _)| *key == wanted))
    };
    key.strip_suffix("_file")
        .is_some_and(|plain| is_key(plain) && !is_key(&key))
}

fn dotted(name: &str) -> String {
    name.to_ascii_lowercase().replacen('_', ".", 1)
}

fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_meaning_and_every_meaning_a_key() {
        let values = serde_json::to_value(Config::default()).unwrap();
        for (section, keys) in sections() {
            let actual: Vec<&String> = values[section].as_object().unwrap().keys().collect();
            let documented: Vec<&&str> = keys.iter().map(|(key, _)| key).collect();
            assert_eq!(actual, documented, "section {section}");
        }
        assert_eq!(values.as_object().unwrap().len(), sections().len());
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[switch]\nrtp_prots = \"1-2\"\n").unwrap();
        let error = format!("{:#}", Config::load(Some(file.path())).unwrap_err());
        assert!(error.contains("rtp_prots"), "{error}");
    }

    #[test]
    fn the_printed_configuration_is_one_that_loads() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), Config::default().print()).unwrap();
        Config::load(Some(file.path())).unwrap();
    }

    #[test]
    fn tables_in_a_list_can_come_from_a_file_and_are_printed_so_that_they_load() {
        let said = r#"[{origin = "https://rec.example.com", bearer = "t"}]"#;
        let value: Value = said.parse().unwrap_or_else(|never| match never {});
        let config: Config = Figment::from(Serialized::defaults(Config::default()))
            .merge(Serialized::default("delivery.credentials", value))
            .extract()
            .unwrap();
        config.delivery.validate().unwrap();
        assert_eq!(config.delivery.credentials.len(), 1);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), config.print()).unwrap();
        let loaded = Config::load(Some(file.path())).unwrap();
        assert_eq!(loaded.delivery.credentials.len(), 1);
    }

    #[test]
    fn variables_name_section_and_key() {
        assert_eq!(dotted("SWITCH_RTP_PORTS"), "switch.rtp_ports");
        assert!(section_and_key("TESTS_RTP").is_none());
        assert!(is_file_reference("store_url_file"));
        assert!(!is_file_reference("store_url"));
    }
}
