//! What environment variables say of the configuration: keys by `CALLREEL_<SECTION>_<KEY>`, and files that hold one's value.

use anyhow::Context;
use figment::{
    Figment,
    providers::{Env, Serialized},
    value::Value,
};

use super::keys::sections;

/// Prefix of the environment variables that set keys.
const ENV_PREFIX: &str = "CALLREEL_";

/// `CALLREEL_SWITCH_RTP_PORTS` is `switch.rtp_ports`: the first word is the section. Other variables are not ours.
pub(super) fn environment() -> Env {
    Env::prefixed(ENV_PREFIX)
        .filter(|name| {
            section_and_key(name.as_str()).is_some() && !is_file_reference(name.as_str())
        })
        .map(|name| dotted(name.as_str()).into())
}

/// `CALLREEL_STORE_URL_FILE=/run/secrets/couch` sets `store.url` to that file's text.
pub(super) fn secret_files() -> anyhow::Result<Figment> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_name_section_and_key() {
        assert_eq!(dotted("SWITCH_RTP_PORTS"), "switch.rtp_ports");
        assert!(section_and_key("TESTS_RTP").is_none());
        assert!(is_file_reference("store_url_file"));
        assert!(!is_file_reference("store_url"));
    }
}
