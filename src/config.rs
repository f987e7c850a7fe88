//! The node's settings: one TOML file, overridden by `CALLREEL_<SECTION>_<KEY>`, with every key documented in one place.

use std::{
    collections::BTreeMap,
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
    providers::{Format, Serialized, Toml},
};
use serde::{Deserialize, Serialize};
use url::Url;

mod checked;
mod environment;
mod keys;
#[cfg(test)]
mod page;
mod shown;

use environment::{environment, secret_files};
use keys::sections;
use shown::shown;

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

    /// Its name in configurations and heartbeats.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Switch => "switch",
            Self::Calls => "calls",
            Self::Delivery => "delivery",
            Self::Api => "api",
        }
    }
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
    pub(crate) otlp_endpoint: Option<Url>,
    pub(crate) otlp_ca_file: Option<PathBuf>,
    pub(crate) otlp_headers: BTreeMap<String, String>,
    pub(crate) trace_ratio: f64,
    pub(crate) phone_numbers: bool,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            // lapin logs every outage as an error of its own; the bus says what it means.
            log: "info,rsipstack=error,lapin=off,opentelemetry=warn".to_owned(),
            log_format: LogFormat::Text,
            otlp_endpoint: None,
            otlp_ca_file: None,
            otlp_headers: BTreeMap::new(),
            trace_ratio: 1.0,
            phone_numbers: false,
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

fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

#[cfg(test)]
mod tests {
    use figment::value::Value;

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
}
