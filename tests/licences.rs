//! What we link is licensed for us and comes from where it should: deny.toml, held without the network that advisories need.

use std::{collections::BTreeMap, path::Path, process::Command};

use figment::{
    Figment,
    providers::{Format, Toml},
};
use serde_json::Value;
use spdx::{Expression, ParseMode};

/// Everything that is linked on Linux, with what it says of itself.
fn packages() -> Vec<Value> {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let told = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--locked",
            "--format-version=1",
            "--filter-platform",
            &platform,
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&told.stderr);
    assert!(told.status.success(), "{said}");
    let mut told: Value = serde_json::from_slice(&told.stdout).unwrap();
    let Value::Array(all) = told["packages"].take() else {
        panic!("no packages")
    };
    assert!(all.len() > 300, "{} packages", all.len());
    all
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|text| text.as_str().unwrap())
        .collect()
}

#[test]
fn every_package_has_a_licence_that_deny_toml_allows() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deny.toml");
    let deny: Value = Figment::from(Toml::file(file)).extract().unwrap();
    let allowed = texts(&deny["licenses"]["allow"]);
    let exceptions = deny["licenses"]["exceptions"].as_array().unwrap();
    let exceptions: BTreeMap<&str, Vec<&str>> = exceptions
        .iter()
        .map(|one| (one["name"].as_str().unwrap(), texts(&one["allow"])))
        .collect();
    let mut offenders = Vec::new();
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        let licence = package["license"].as_str().unwrap_or_default();
        let also = exceptions.get(name).map_or(&[][..], Vec::as_slice);
        let takes = |wanted: &spdx::LicenseReq| {
            let wanted = wanted.to_string();
            allowed.contains(&wanted.as_str()) || also.contains(&wanted.as_str())
        };
        // Old packages write a slash for "or".
        let mode = ParseMode {
            allow_slash_as_or_operator: true,
            ..ParseMode::LAX
        };
        let fits = Expression::parse_mode(licence, mode)
            .is_ok_and(|expression| expression.evaluate(takes));
        if !fits {
            offenders.push(format!("{name}: {licence:?}"));
        }
    }
    assert!(
        offenders.is_empty(),
        "not allowed by deny.toml; docs/adr/001-licences.md says what it takes:\n  {}",
        offenders.join("\n  ")
    );
}

#[test]
fn every_package_comes_from_the_registry_or_this_repository() {
    let mut offenders = Vec::new();
    for package in packages() {
        let from = package["source"].as_str();
        let ours = package["name"].as_str().unwrap().starts_with("callreel");
        let fits = match from {
            None => ours,
            Some(source) => source.starts_with("registry+") && !ours,
        };
        if !fits {
            offenders.push(format!("{}: {from:?}", package["name"]));
        }
    }
    assert!(offenders.is_empty(), "{offenders:?}");
}
