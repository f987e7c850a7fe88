//! Emulators of object storage for the tests: loopback only, a folder of their own, gone with the test process. The black-box
//! tests use this file too.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// The one bucket or container.
pub(crate) const BUCKET: &str = "recordings";
/// Who may write it.
const USER: &str = "callreel";
/// Base64, as Azure wants it.
pub(crate) const SECRET: &str = "dG9wLXNlY3JldC1vZi10aGUtdGVzdHM=";

/// What a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// s3rver.
    S3,
    /// Azurite.
    Azure,
    /// Our own stand-in.
    Google,
}

/// A server that runs, or was killed.
pub(crate) struct Server {
    speaks: Speaks,
    child: Option<(Child, ChildStdin)>,
    folder: TempDir,
    port: u16,
}

impl Server {
    /// Starts one on a free port.
    pub(crate) fn start(speaks: Speaks) -> Self {
        let mut server = Self {
            speaks,
            child: None,
            folder: tempfile::Builder::new()
                .prefix("callreel-objects-")
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
            tools.join("node_modules/s3rver").is_dir(),
            "{} has no packages from npm: run `make tools`",
            tools.display()
        );
        let (script, arguments): (_, &[&str]) = match self.speaks {
            Speaks::S3 => ("s3.js", &[BUCKET, USER, SECRET]),
            Speaks::Azure => ("azure.js", &[BUCKET, USER, SECRET]),
            Speaks::Google => ("gcs.js", &[BUCKET]),
        };
        let mut child = Command::new("node")
            .arg("--no-deprecation")
            .arg(root.join("tests/tools").join(script))
            .arg(self.folder.path())
            .args(arguments)
            .arg(self.port.to_string())
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

    /// `attachments.<id>` of a storage document that puts recordings here.
    pub(crate) fn handler(&self) -> Value {
        match self.speaks {
            Speaks::S3 => json!({"handler": "s3", "settings": {
                "bucket": BUCKET, "key": USER, "secret": SECRET,
                "scheme": "http", "host": "127.0.0.1", "port": self.port,
            }}),
            Speaks::Azure => json!({"handler": "azure", "settings": {
                "container": BUCKET, "account": USER, "key": SECRET,
                "endpoint": format!("{}/{USER}", self.url()),
            }}),
            Speaks::Google => {
                let key = fs::read(self.folder.path().join("service-account.json")).unwrap();
                let key: Value = serde_json::from_slice(&key).unwrap();
                json!({"handler": "google_storage", "settings": {
                    "bucket": BUCKET, "service_account": key, "endpoint": self.url(),
                }})
            }
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The folder of the workspace, whichever of its crates is tested.
fn root() -> PathBuf {
    let mut folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let root = folders.find(|folder| folder.join("tests/tools/s3.js").is_file());
    root.expect("tests/tools is in the workspace").to_owned()
}
