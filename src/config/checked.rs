//! What of a configuration can be told wrong without starting anything: `callreel config check`.

use std::path::Path;

use callreel_store::Store;
use tracing_subscriber::EnvFilter;

use super::Config;

impl Config {
    /// Reads `file` as a node would, and tries every value that can be tried on any machine: no port is bound, no file it
    /// names is opened and nobody is asked.
    ///
    /// # Errors
    /// As [`Config::load`]; a value that no node could work with, with its key.
    pub(crate) fn check(file: &Path) -> anyhow::Result<Self> {
        let config = Self::load(Some(file))?;
        config.delivery.validate()?;
        config.webhooks.validate()?;
        config.api.validate()?;
        let log = &config.telemetry.log;
        EnvFilter::try_new(log)
            .map_err(|error| anyhow::anyhow!("telemetry.log = {log:?}: {error}"))?;
        crate::telemetry::validate(&config.telemetry)?;
        if !config.store.is_embedded() && config.store.ca_file.is_none() {
            Store::connect(&config.store.url, &config.store.couch())?;
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let checked = Config::check(file.path());
        checked.map(drop).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn what_no_node_could_work_with_is_told_with_its_key() {
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        for (text, word) in [
            ("[switch]\nrtp_prots = \"1-2\"\n", "rtp_prots"),
            ("[node]\nroles = [\"calsl\"]\n", "calsl"),
            ("[node\n", "TOML"),
            ("[delivery]\nupload_workers = 0\n", "upload_workers"),
            (
                "[webhooks]\nurl = \"https://hook.example.com\"\n",
                "webhooks.secret",
            ),
            ("[api]\nadmin_token = \"short\"\n", "api.admin_token"),
            ("[telemetry]\nlog = \"info,=\"\n", "telemetry.log"),
            (
                "[telemetry]\notlp_endpoint = \"collector:4318\"\n",
                "telemetry.otlp_endpoint",
            ),
            ("[telemetry]\ntrace_ratio = 1.5\n", "telemetry.trace_ratio"),
            (
                "[telemetry.otlp_headers]\n\"A B\" = \"x\"\n",
                "telemetry.otlp_headers",
            ),
            ("[store]\nurl = \"ftp://db.example.com\"\n", "store.url"),
        ] {
            let said = check(text).unwrap_err();
            assert!(said.contains(word), "{text}: {said}");
        }
        check("[node]\nroles = [\"api\"]\n").unwrap();
    }

    #[test]
    fn the_configurations_of_the_kubernetes_overlays_name_no_unknown_key() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("k8s");
        let mut folders = vec![root];
        let mut checked = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|e| e == "toml") {
                    // Some of their values come from the pod's environment.
                    Config::load(Some(&path))
                        .unwrap_or_else(|e| panic!("{}: {e:#}", path.display()));
                    checked += 1;
                }
            }
        }
        assert!(checked > 0, "they are elsewhere now");
    }

    #[test]
    fn a_configuration_of_0_1_is_still_one() {
        let of_0_1 = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/data/formats/0.1/callreel.toml"
        );
        Config::check(Path::new(of_0_1)).unwrap();
    }
}
