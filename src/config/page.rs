//! docs/configuration.md: every key with its default. The page is made here, and a test holds the file to it.

use std::fmt::Write;

use super::{Config, keys::sections, toml_value};

/// What is above the tables.
const HEAD: &str = "# Configuration

Made of the code by `make pages`; change the meaning of a key there.

Every key has a default, so that `callreel serve` needs no file. `--config FILE` names a TOML file with the sections below;
`CALLREEL_<SECTION>_<KEY>` in the environment wins over it, as in `CALLREEL_SWITCH_RTP_PORTS=20000-20999`; and
`CALLREEL_<SECTION>_<KEY>_FILE` names a file whose text is the value, which is how a secret gets in without being seen.
`callreel config print` shows what a node would run with. A key that does not exist is refused by name.
";

/// The page.
fn page(config: &Config) -> String {
    let values = serde_json::to_value(config).expect("settings are plain data");
    let mut page = HEAD.to_owned();
    for (section, keys) in sections() {
        write!(
            page,
            "\n## {section}\n\n| Key | Default | Meaning |\n|---|---|---|\n"
        )
        .expect("text is always written");
        for (key, meaning) in keys {
            let default = toml_value(&values[section][key]);
            let default = default.map_or_else(String::new, |value| format!("`{value}`"));
            writeln!(page, "| `{key}` | {default} | {} |", cell(meaning))
                .expect("text is always written");
        }
    }
    page
}

/// Words in capitals between `<` and `>` are no HTML, and a bar ends no cell.
fn cell(meaning: &str) -> String {
    meaning.replace('|', "\\|").replace('<', "&lt;")
}

#[test]
fn the_page_of_the_configuration_is_what_the_code_says() {
    let mut config = Config::default();
    // The one default that the machine decides.
    config.node.name = "callreel@HOST".to_owned();
    crate::pages::hold("docs/configuration.md", &page(&config));
}
