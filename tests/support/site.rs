//! Where the program under test runs: a data folder, ports, a configuration, and what it shows from outside.

use std::{
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use super::{estate::Estate, eventually, free_port};

/// A place of its own for one node, or for the processes of a cluster.
pub(crate) struct Site {
    program: PathBuf,
    data: tempfile::TempDir,
    sip: SocketAddr,
    api: SocketAddr,
}

impl Site {
    /// Writes the configuration and imports the account. `[switch]`, `[api]`, `[node]` and `[telemetry]` are taken.
    pub(crate) fn new(estate: &Estate, settings: &str) -> Self {
        Self::of_build(&super::this_build(), estate, settings)
    }

    /// The same, made by another build, which also answers [`Site::cli`].
    pub(crate) fn of_build(program: &Path, estate: &Estate, settings: &str) -> Self {
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let site = Self {
            program: program.to_owned(),
            data: tempfile::tempdir().unwrap(),
            sip: loopback(free_port()),
            api: loopback(free_port()),
        };
        site.write_config(settings);
        let import = site.cli(&["import", estate.path().to_str().unwrap()]);
        assert!(
            import.status.success(),
            "import: {}",
            String::from_utf8_lossy(&import.stderr)
        );
        site
    }

    /// Where phones find the switch.
    pub(crate) fn sip(&self) -> SocketAddr {
        self.sip
    }

    /// The folder of everything.
    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    /// What its processes have logged, one after the other.
    pub(crate) fn log(&self) -> String {
        let logs = self.logs();
        logs.iter().map(|path| super::text_of(path)).collect()
    }

    /// Prints the end of each log, for a test that fails.
    pub(crate) fn last_words(&self) {
        for path in self.logs() {
            let log = super::text_of(&path);
            let tail: Vec<&str> = log.lines().rev().take(120).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            let name = path.file_name().unwrap_or_default().display();
            eprintln!("--- the last words of {name} ---\n{}", tail.join("\n"));
        }
    }

    fn logs(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.data()).unwrap().flatten();
        let mut logs: Vec<PathBuf> = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|e| e == "log"))
            .collect();
        logs.sort();
        logs
    }

    /// Runs the binary against this configuration.
    pub(crate) fn cli(&self, args: &[&str]) -> std::process::Output {
        Command::new(&self.program)
            .args(args)
            .arg("--config")
            .arg(self.config())
            .output()
            .unwrap()
    }

    /// Where its API and its console are.
    pub(crate) fn api_url(&self) -> String {
        format!("http://{}", self.api)
    }

    /// GETs a path of the API as JSON.
    pub(crate) fn api(&self, path: &str) -> Value {
        let (_, body) = self.fetch(path, "application/json");
        serde_json::from_slice(&body)
            .unwrap_or_else(|error| panic!("{path}: {error}: {}", String::from_utf8_lossy(&body)))
    }

    /// GETs a path of the API: status and body.
    pub(crate) fn fetch(&self, path: &str, accept: &str) -> (u16, Vec<u8>) {
        self.request(&format!("GET {path}"), &format!("Accept: {accept}\r\n"), "")
    }

    /// PUTs JSON to a path of the API: status and answer.
    pub(crate) fn put(&self, path: &str, body: &Value) -> (u16, Value) {
        let body = body.to_string();
        let headers = format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
        let (status, answer) = self.request(&format!("PUT {path}"), &headers, &body);
        (status, serde_json::from_slice(&answer).unwrap_or_default())
    }

    /// Sends a request with these headers: status and body.
    pub(crate) fn request(&self, what: &str, headers: &str, body: &str) -> (u16, Vec<u8>) {
        use std::io::Read;
        let mut stream = std::net::TcpStream::connect(self.api).unwrap();
        stream.set_read_timeout(Some(super::PATIENCE)).unwrap();
        write!(
            stream,
            "{what} HTTP/1.0\r\nHost: node\r\n{headers}\r\n{body}"
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
        use futures::TryStreamExt;
        let (runtime, store, db) = self.store();
        let mut found = Vec::new();
        for doc in self.documents(kind) {
            let names = doc["_attachments"].as_object().cloned().unwrap_or_default();
            let Some(name) = names.keys().next() else {
                continue;
            };
            let id = doc["_id"].as_str().unwrap();
            let read = async {
                let attachment = store.attachment(&db, id, name).await.unwrap().unwrap();
                attachment.body.try_collect::<Vec<_>>().await.unwrap()
            };
            let audio = runtime.block_on(read).concat();
            found.push((doc, audio));
        }
        found
    }

    /// This month's documents of a type in the account's month database.
    pub(crate) fn documents(&self, kind: &str) -> Vec<Value> {
        let (runtime, store, db) = self.store();
        let view = callreel_store::View::OfType(kind.to_owned());
        runtime.block_on(store.query(&db, view)).unwrap()
    }

    /// The embedded store, and the name of this month's database of the account.
    fn store(&self) -> (tokio::runtime::Runtime, callreel_store::Store, String) {
        use callreel_proto::{AccountId, Utc, month_db};
        let store = callreel_store::Store::open(&self.data().join("data/store.sqlite")).unwrap();
        let account = AccountId::parse(super::estate::ACCOUNT).unwrap();
        let db = month_db(&account, &Utc::now().year_month());
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        (runtime.enable_all().build().unwrap(), store, db)
    }

    /// The tickets waiting in the spool.
    pub(crate) fn tickets(&self) -> Vec<Value> {
        tickets_in(&self.data().join("data/spool"))
    }

    /// What the spool's manifest tells, the oldest first.
    pub(crate) fn manifest(&self) -> Vec<Value> {
        let folder = std::fs::read_dir(self.data().join("data/spool/manifest"));
        let months = folder
            .into_iter()
            .flatten()
            .flatten()
            .map(|file| file.path());
        let mut months: Vec<PathBuf> = months
            .filter(|path| path.extension().is_some_and(|e| e == "jsonl"))
            .collect();
        months.sort();
        let text: String = months.iter().map(|path| super::text_of(path)).collect();
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        self.data().join("callreel.toml")
    }

    fn write_config(&self, settings: &str) {
        let text = format!(
            "[node]\ndata = {data:?}\n[switch]\nbind = \"{sip}\"\n[api]\nlisten = \"{api}\"\n[telemetry]\nlog = \"debug,rsipstack=warn,hyper=info,lapin=off\"\n{settings}",
            data = self.data().join("data"),
            sip = self.sip,
            api = self.api,
        );
        std::fs::write(self.config(), text).unwrap();
    }
}

/// The tickets in a spool.
pub(crate) fn tickets_in(spool: &Path) -> Vec<Value> {
    let Ok(entries) = std::fs::read_dir(spool.join("recordings")) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| std::fs::read(entry.ok()?.path().join("ticket.json")).ok())
        .filter_map(|bytes| serde_json::from_slice(&bytes).ok())
        .collect()
}
