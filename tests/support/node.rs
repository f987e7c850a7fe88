//! The node under test: the real binary with a data folder and ports of its own.

use std::{
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
};

use serde_json::Value;

use super::{PATIENCE, Reaped, estate::Estate, eventually, free_port};

/// A running node.
pub(crate) struct Node {
    data: tempfile::TempDir,
    settings: String,
    process: Option<Reaped>,
    sip: SocketAddr,
    api: SocketAddr,
}

impl Node {
    /// Imports the account and starts the node. Loopback receivers are allowed, as the demo allows them.
    pub(crate) fn start(estate: &Estate) -> Self {
        Self::with_settings(estate, "[delivery]\nallow_networks = [\"127.0.0.0/8\"]\n")
    }

    /// The same with these settings and no others but ports and folders. `[switch]`, `[api]` and `[node]` are taken.
    pub(crate) fn with_settings(estate: &Estate, settings: &str) -> Self {
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let mut node = Self {
            data: tempfile::tempdir().unwrap(),
            settings: settings.to_owned(),
            process: None,
            sip: loopback(free_port()),
            api: loopback(free_port()),
        };
        node.write_config();
        let import = node.cli(&["import", estate.path().to_str().unwrap()]);
        assert!(
            import.status.success(),
            "import: {}",
            String::from_utf8_lossy(&import.stderr)
        );
        node.launch();
        node
    }

    /// Where phones find it.
    pub(crate) fn sip(&self) -> SocketAddr {
        self.sip
    }

    /// Its data folder.
    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    /// Ends it without warning, as a crash would.
    pub(crate) fn kill(&mut self) {
        // `Child::kill` is SIGKILL.
        self.process.take();
    }

    /// Asks it to end, as a supervisor does.
    pub(crate) fn terminate(&self) {
        let pid = self.process.as_ref().expect("it runs").0.id();
        super::run("sh", &["-c", &format!("kill -TERM {pid}")]);
    }

    /// Waits until it has ended by itself, and says whether it called that a success.
    pub(crate) fn ended(&mut self) -> bool {
        let mut process = self.process.take().expect("it runs");
        process.succeeded("the node's end")
    }

    /// Starts it again on the same data and ports.
    pub(crate) fn launch(&mut self) {
        assert!(self.process.is_none(), "already running");
        let mut child = Command::new(env!("CARGO_BIN_EXE_callreel"))
            .args(["serve", "--config"])
            .arg(self.config())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(
                std::fs::OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(self.log_file())
                    .unwrap(),
            )
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        self.process = Some(Reaped(child));
        let (said, hear) = mpsc::sync_channel(16);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if said.send(line).is_err() {
                    return;
                }
            }
        });
        loop {
            match hear.recv_timeout(PATIENCE) {
                Ok(line) if line.starts_with("ready") => return,
                Ok(_) => {}
                Err(_) => panic!("the node never became ready:\n{}", self.log()),
            }
        }
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        super::text_of(&self.log_file())
    }

    /// Runs the binary against this node's configuration.
    pub(crate) fn cli(&self, args: &[&str]) -> std::process::Output {
        Command::new(env!("CARGO_BIN_EXE_callreel"))
            .args(args)
            .arg("--config")
            .arg(self.config())
            .output()
            .unwrap()
    }

    /// GETs a path of its API as JSON.
    pub(crate) fn api(&self, path: &str) -> Value {
        let (_, body) = self.fetch(path, "application/json");
        serde_json::from_slice(&body)
            .unwrap_or_else(|error| panic!("{path}: {error}: {}", String::from_utf8_lossy(&body)))
    }

    /// GETs a path of its API: status and body.
    pub(crate) fn fetch(&self, path: &str, accept: &str) -> (u16, Vec<u8>) {
        use std::io::Read;
        let mut stream = std::net::TcpStream::connect(self.api).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.0\r\nHost: node\r\nAccept: {accept}\r\n\r\n"
        )
        .unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer
            .windows(4)
            .position(|w| w == b"\r\n\r\n")
            .expect("an HTTP head");
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer[end + 4..].to_vec())
    }

    /// The recordings of the test account, once there are this many.
    pub(crate) fn recordings(&self, count: usize) -> Vec<Value> {
        let path = format!("/v2/accounts/{}/recordings", super::estate::ACCOUNT);
        eventually(&format!("{count} recordings listed"), || {
            let list = self.api(&path)["data"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            (list.len() >= count).then_some(list)
        })
    }

    /// This month's documents of a type in the account's month database, each with its audio.
    pub(crate) fn stored(&self, kind: &str) -> Vec<(Value, Vec<u8>)> {
        use callreel_proto::{AccountId, Utc, month_db};
        use futures::TryStreamExt;
        let store = callreel_store::Store::open(&self.data().join("data/store.sqlite")).unwrap();
        let account = AccountId::parse(super::estate::ACCOUNT).unwrap();
        let db = month_db(&account, &Utc::now().year_month());
        let read = async {
            let view = callreel_store::View::OfType(kind.to_owned());
            let mut found = Vec::new();
            for doc in store.query(&db, view).await.unwrap() {
                let names = doc["_attachments"].as_object().cloned().unwrap_or_default();
                let Some(name) = names.keys().next() else {
                    continue;
                };
                let id = doc["_id"].as_str().unwrap();
                let attachment = store.attachment(&db, id, name).await.unwrap().unwrap();
                let parts: Vec<_> = attachment.body.try_collect().await.unwrap();
                found.push((doc.clone(), parts.concat()));
            }
            found
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(read)
    }

    /// The tickets waiting in its spool.
    pub(crate) fn tickets(&self) -> Vec<Value> {
        let Ok(entries) = std::fs::read_dir(self.data().join("data/spool/recordings")) else {
            return Vec::new();
        };
        entries
            .filter_map(|entry| std::fs::read(entry.ok()?.path().join("ticket.json")).ok())
            .filter_map(|bytes| serde_json::from_slice(&bytes).ok())
            .collect()
    }

    fn config(&self) -> PathBuf {
        self.data().join("callreel.toml")
    }

    fn log_file(&self) -> PathBuf {
        self.data().join("node.log")
    }

    fn write_config(&self) {
        let text = format!(
            "[node]\ndata = {data:?}\n[switch]\nbind = \"{sip}\"\n[api]\nlisten = \"{api}\"\n[telemetry]\nlog = \"debug,rsipstack=warn,hyper=info\"\n{more}",
            data = self.data().join("data"),
            sip = self.sip,
            api = self.api,
            more = self.settings,
        );
        std::fs::write(self.config(), text).unwrap();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(120).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            eprintln!("--- the node's last words ---\n{}", tail.join("\n"));
        }
    }
}
