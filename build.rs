//! Tells the program which commit it is built from: `CALLREEL_COMMIT` where there is no repository, such as in an image, or else git.

use std::process::Command;

/// Digits of a commit's name that are shown.
const DIGITS: usize = 9;

fn main() {
    println!("cargo:rerun-if-env-changed=CALLREEL_COMMIT");
    // Says of every commit, checkout and rebase.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo:rerun-if-changed={log}");
    }
    let told = std::env::var("CALLREEL_COMMIT").ok();
    let told = told.filter(|commit| !commit.trim().is_empty());
    let commit = told.or_else(|| git(&["rev-parse", "HEAD"]));
    let version = env!("CARGO_PKG_VERSION");
    let version = match commit {
        Some(commit) => {
            let short: String = commit.trim().chars().take(DIGITS).collect();
            format!("{version} ({short})")
        }
        None => version.to_owned(),
    };
    println!("cargo:rustc-env=CALLREEL_VERSION={version}");
}

/// What git says in one line; nothing if it is not there, or this is no repository.
fn git(args: &[&str]) -> Option<String> {
    let said = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(said.stdout).ok()?;
    (said.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
