//! `callreel keys`: makes and shows the keys with which a spool is sealed.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use callreel_spool::{Keys, new_key};
use clap::Subcommand;

use crate::serve::say;

/// Nobody but its owner reads a secret.
const PRIVATE: u32 = 0o600;

/// `callreel keys …`.
#[derive(Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a new key for spool.key_file; its public key is told on standard error
    New {
        /// Where to write it, readable by nobody else; standard output when absent
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Print the public keys of a key file, the one that seals first
    Public {
        /// The key file
        file: PathBuf,
    },
}

/// Answers.
pub(crate) fn run(command: &KeysCommand) -> anyhow::Result<ExitCode> {
    match command {
        KeysCommand::New { out } => {
            let (secret, recipient) = new_key();
            match out {
                Some(path) => write_new(path, secret.reveal())
                    .with_context(|| format!("cannot write the key to {}", path.display()))?,
                None => say(secret.reveal()),
            }
            eprintln!("Public key: {recipient}");
        }
        KeysCommand::Public { file } => {
            for recipient in Keys::load(file)?.recipients() {
                say(&format!("{recipient}\n"));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Never over a file that is there: it may be the only copy of another key.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(PRIVATE)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    match path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        Some(dir) => File::open(dir)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}
