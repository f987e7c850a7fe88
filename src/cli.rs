//! The command line: what can be asked of the program, and which file answers.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{Config, Role};

/// The version of this program, and the commit it was built from if that was known.
pub(crate) const VERSION: &str = env!("CALLREEL_VERSION");

/// Runs Kazoo-style callflows, records the calls and never loses a recording.
#[derive(Parser)]
#[command(name = "callreel", version = VERSION, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Place a real recorded call on this machine and check the file that arrives
    Demo(crate::demo::Args),
    /// Run a node until it is told to stop
    Serve(Serve),
    /// Load account documents (JSON) into the store
    Import(Import),
    /// Look at a callflow document
    #[command(subcommand)]
    Flow(Flow),
    /// Look at stored recordings
    #[command(subcommand)]
    Recordings(Recordings),
    /// Look at recordings that are still owed to somebody
    #[command(subcommand)]
    Deliveries(Deliveries),
    /// Look at live calls and control their recordings, through a running node's API
    #[command(subcommand)]
    Calls(Calls),
    /// Make, list and end tokens for the HTTP API
    #[command(subcommand)]
    Token(Token),
    /// Check spool, manifest and store for damage, and say what could be repaired
    Check {
        /// Repair what can be repaired without losing anything; not while a delivery runs on this spool, which repairs it itself
        #[arg(long, conflicts_with = "head")]
        repair: bool,
        /// Only print number and hash of the manifest's last line, to be kept elsewhere
        #[arg(long)]
        head: bool,
        #[command(flatten)]
        place: Place,
    },
    /// The keys with which journals and audio files in the spool are sealed
    #[command(subcommand)]
    Keys(crate::keys::KeysCommand),
    /// A test phone: call somebody
    Dial(crate::dial::Args),
    /// A receiver of recordings sent by HTTP PUT
    Receive(crate::receive::Args),
    /// Measure this build
    #[command(subcommand)]
    Bench(crate::bench::Bench),
    /// The configuration
    #[command(subcommand)]
    Config(ConfigCommand),
}

/// Which configuration and which data.
#[derive(Args, Clone, Default)]
pub(crate) struct Place {
    /// Configuration file (TOML); `callreel config print` shows every key
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Folder of the embedded store and the spool; overrides node.data
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

impl Place {
    /// The configuration with this command line's changes.
    ///
    /// # Errors
    /// See [`Config::load`].
    pub(crate) fn load(&self) -> anyhow::Result<Config> {
        let mut config = Config::load(self.config.as_deref())?;
        if let Some(data) = &self.data {
            config.node.data.clone_from(data);
        }
        Ok(config)
    }
}

/// `callreel serve`.
#[derive(Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Roles to run in this process; all when absent
    #[arg(long, value_delimiter = ',', value_name = "ROLE")]
    pub(crate) role: Vec<Role>,
}

/// `callreel import`.
#[derive(Args)]
pub(crate) struct Import {
    /// Folder with accounts/ACCOUNT_ID/… and system_config/…
    pub(crate) dir: PathBuf,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Subcommand)]
pub(crate) enum Flow {
    /// Report what is wrong or doubtful, with the place of each
    Check {
        /// A callflow document, or a bare flow
        file: PathBuf,
        /// Refuse what is only accepted for leniency
        #[arg(long)]
        strict: bool,
        /// Say which documents it names that this account does not have
        #[arg(long, value_name = "ID")]
        account: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Walk it with a made-up call and print what would happen
    Explain {
        /// A callflow document, or a bare flow
        file: PathBuf,
        /// What people do: lines such as `2s press 1`, `5s answer`, `busy`, `no_answer`, `refuse CAUSE`, `part`, `hangup`
        #[arg(long, value_name = "FILE")]
        script: Option<PathBuf>,
        /// With the documents of this account, instead of made-up ones
        #[arg(long, value_name = "ID")]
        account: Option<String>,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Subcommand)]
pub(crate) enum Recordings {
    /// List an account's recordings, newest first
    List {
        /// Account id
        account: String,
        #[command(flatten)]
        place: Place,
    },
    /// Print a recording's document
    Show {
        /// Account id
        account: String,
        /// Recording id
        id: String,
        #[command(flatten)]
        place: Place,
    },
    /// Write a recording's audio to a file
    Get {
        /// Account id
        account: String,
        /// Recording id
        id: String,
        /// Where to write it; the recording's own name when absent
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        place: Place,
    },
    /// Delete a recording, unless a legal hold is on it
    Delete {
        /// Account id
        account: String,
        /// Recording id
        id: String,
        /// Document and audio go, at the account's storage too; otherwise they are hidden
        #[arg(long)]
        hard: bool,
        /// Why, for the manifest
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Put a legal hold on a recording, stored or still owed: nobody and nothing removes it
    Hold(HoldOrder),
    /// Lift a recording's legal hold
    Release(HoldOrder),
}

/// `callreel recordings hold` and `release`.
#[derive(Args)]
pub(crate) struct HoldOrder {
    /// Account id
    pub(crate) account: String,
    /// Recording id
    pub(crate) id: String,
    /// Why; kept with the recording and in the manifest
    #[arg(long)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Subcommand)]
pub(crate) enum Deliveries {
    /// List what is owed, month by month
    List {
        /// Only those in this state: growing, ended, rendered, delivering, undeliverable
        #[arg(long)]
        state: Option<String>,
        /// Only those of this account
        #[arg(long)]
        account: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// List the receivers that fail, so that they are left alone between probes
    Receivers {
        #[command(flatten)]
        place: Place,
    },
    /// Try one again now, also if it was given up on
    Retry(Owed),
    /// Give one up and delete its audio, unless a legal hold is on it
    Drop(Owed),
    /// Put a legal hold on one
    Hold(Owed),
    /// Lift the legal hold of one
    Release(Owed),
}

/// An order about a recording that is owed.
#[derive(Args)]
pub(crate) struct Owed {
    /// Recording id
    pub(crate) id: String,
    /// Why; kept in the manifest
    #[arg(long)]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Subcommand)]
pub(crate) enum Calls {
    /// List an account's live channels, oldest first
    List {
        /// Account id
        account: String,
        #[command(flatten)]
        place: Place,
    },
    /// Start, stop or mask a recording of a live call
    Record(Record),
}

/// `callreel calls record`.
#[derive(Args)]
pub(crate) struct Record {
    /// Account id
    pub(crate) account: String,
    /// Call-ID of one of its live channels
    pub(crate) call_id: String,
    /// What to do
    pub(crate) action: RecordAction,
    /// The recording's name; without one, the newest that the API began, or the whole call's mask
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Id of the one recording to stop or mask
    #[arg(long, value_name = "ID")]
    pub(crate) recording: Option<String>,
    /// Where a started recording is sent
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// Format of a started recording: mp3 or wav
    #[arg(long)]
    pub(crate) format: Option<String>,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Subcommand)]
pub(crate) enum Token {
    /// Make one, and print it this one time
    New {
        /// Account it reaches, with the accounts below it
        #[arg(long)]
        account: String,
        /// What it is called in lists, and in what is kept of its orders
        #[arg(long, default_value = "token")]
        name: String,
        /// Days it lasts; until it is revoked when absent
        #[arg(long)]
        days: Option<u32>,
        /// What it may be used for, such as recordings:read; may be given several times, and is everything when absent
        #[arg(long, value_name = "SCOPE")]
        scope: Vec<callreel_api::Scope>,
        #[command(flatten)]
        place: Place,
    },
    /// List all tokens, by their ids; the tokens themselves are not kept
    List {
        #[command(flatten)]
        place: Place,
    },
    /// End one; nodes that have just let it in do so for five seconds more
    Revoke {
        /// Its id, or as many of its first digits as tell it from the others, at least eight
        id: String,
        #[command(flatten)]
        place: Place,
    },
}

/// What can be done with a live call's recordings.
#[derive(ValueEnum, Clone, Copy)]
pub(crate) enum RecordAction {
    /// Begin one
    Start,
    /// End one
    Stop,
    /// Record nothing of the call
    Mask,
    /// Record it again
    Unmask,
    /// Stop it if it runs, else start it
    Toggle,
}

impl RecordAction {
    /// As a `record_call` says it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Mask => "mask",
            Self::Unmask => "unmask",
            Self::Toggle => "toggle",
        }
    }
}

#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every key, its value and what it means
    Print(Place),
    /// Read a file, and the variables CALLREEL_… of this shell, as a node would; say whether every key is known and every value
    /// one to work with. Starts nothing
    Check {
        /// Configuration file (TOML)
        file: PathBuf,
    },
}
