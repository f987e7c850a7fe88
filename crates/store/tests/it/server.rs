//! A server of the tests' own that speaks CouchDB's API: loopback only, a folder of its own, gone with the test process. The
//! black-box tests use this file too.

use std::{
    io::{BufRead as _, BufReader},
    num::NonZeroU64,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
};

use callreel_store::CouchConfig;
use tempfile::TempDir;

pub(crate) const USER: &str = "kazoo";
/// With a character that a URL must escape.
pub(crate) const PASSWORD: &str = "p@ssword";

/// A server that runs, or was killed.
pub(crate) struct Server {
    child: Option<(Child, ChildStdin)>,
    folder: TempDir,
    port: u16,
}

impl Server {
    /// Starts one on a free port.
    pub(crate) fn start() -> Self {
        let mut server = Self {
            child: None,
            folder: tempfile::Builder::new()
                .prefix("callreel-couch-")
                .tempdir()
                .unwrap(),
            port: 0,
        };
        server.launch();
        server
    }

    /// Starts it, again if need be, on its port and with the data it has. It listens when this returns.
    pub(crate) fn launch(&mut self) {
        let root = root();
        let tools = root.join("target/test-tools");
        assert!(
            tools.join("package-lock.json").is_file(),
            "{} has no packages from npm: run `make tools`",
            tools.display()
        );
        let mut child = Command::new("node")
            .arg("--no-deprecation")
            .arg(root.join("tests/tools/couchdb.js"))
            .arg(self.folder.path().join("db"))
            .args([USER, PASSWORD, &self.port.to_string()])
            .env("TEST_TOOLS", tools)
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node is there: run `make tools`");
        let mut line = String::new();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        self.port = line.trim().parse().expect("it says its port");
        let input = child.stdin.take().unwrap();
        self.child = Some((child, input));
    }

    /// As a power cut would end it.
    pub(crate) fn kill(&mut self) {
        if let Some((mut child, _)) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// As `store.url` has it.
    pub(crate) fn url(&self) -> String {
        url_at(self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// For requests to a machine that does many things at once, and a server that takes seconds to digest a large attachment.
pub(crate) fn patient() -> CouchConfig {
    CouchConfig {
        request_timeout_s: NonZeroU64::new(300).unwrap(),
        ..CouchConfig::default()
    }
}

/// `store.url` of a server at this port of this machine.
pub(crate) fn url_at(port: u16) -> String {
    let password = PASSWORD.replace('@', "%40");
    format!("http://{USER}:{password}@127.0.0.1:{port}")
}

/// The folder of the workspace, whichever of its crates is tested.
fn root() -> PathBuf {
    let mut folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let root = folders.find(|folder| folder.join("tests/tools/couchdb.js").is_file());
    root.expect("tests/tools is in the workspace").to_owned()
}
