//! A RabbitMQ for the black-box tests: one that they share, a vhost each, or one of a test's own that it may kill.

#[allow(
    dead_code,
    unreachable_pub,
    reason = "the bus's own tests use all of it"
)]
#[path = "../../crates/bus/tests/rabbit/support/server.rs"]
mod server;

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use self::server::Server;

/// It needs some seconds, on a busy machine many more.
const START_PATIENCE: Duration = Duration::from_secs(90);

/// Vhosts of the shared broker; each test takes one. A vhost made later would cost seconds.
const VHOSTS: usize = 50;

/// `guest` with the password `guest`, as RabbitMQ keeps it: a salt, and the SHA-256 of salt and password.
const GUEST: &str = "Y2FsbJ8qYSg5HgvcCHOgxgTtDKozcrGxnpUmQs/Z78X820UY";

/// A broker that runs.
pub(crate) struct Broker {
    server: Server,
    vhosts: usize,
    taken: AtomicUsize,
}

impl Broker {
    /// The broker that all tests share who leave it as it is.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Broker> = OnceLock::new();
        SHARED.get_or_init(|| Self::with(VHOSTS))
    }

    /// A broker of one's own, with one vhost: each makes every start slower.
    pub(crate) fn start() -> Self {
        Self::with(1)
    }

    fn with(vhosts: usize) -> Self {
        let server = Server::new();
        let definitions = server.dir().join("definitions.json");
        std::fs::write(&definitions, definitions_of(vhosts).to_string()).unwrap();
        server.configure(&format!("load_definitions = {}\n", definitions.display()));
        let mut broker = Self {
            server,
            vhosts,
            taken: AtomicUsize::new(0),
        };
        broker.resume();
        broker
    }

    /// The URL of a vhost that nobody else is given.
    pub(crate) fn vhost(&self) -> String {
        let n = self.taken.fetch_add(1, Ordering::Relaxed);
        assert!(n < self.vhosts, "all vhosts are taken: raise VHOSTS");
        format!("{}/v{n}", self.server.url_of("guest", "guest"))
    }

    /// The names of the queues of a vhost.
    pub(crate) fn queues(&self, url: &str) -> Vec<String> {
        let vhost = url.rsplit('/').next().unwrap();
        let words = [
            "-q",
            "-p",
            vhost,
            "list_queues",
            "--no-table-headers",
            "name",
        ];
        let listed = self.server.control(&words).output().unwrap();
        assert!(listed.status.success(), "{listed:?}");
        let names = String::from_utf8(listed.stdout).unwrap();
        names.lines().map(str::to_owned).collect()
    }

    /// Kills it, like a power cut.
    pub(crate) fn kill(&mut self) {
        self.server.kill();
    }

    /// Starts it again; returns when it lets a client in.
    pub(crate) fn resume(&mut self) {
        self.server.launch();
        let deadline = Instant::now() + START_PATIENCE;
        while !self.server.is_up() {
            let late = Instant::now() > deadline;
            assert!(!late, "the broker did not start: {}", self.server.output());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

fn definitions_of(vhosts: usize) -> Value {
    let names = || (0..vhosts).map(|n| format!("v{n}")).chain(["/".to_owned()]);
    let all = ".*";
    json!({
        "users": [{
            "name": "guest",
            "password_hash": GUEST,
            "hashing_algorithm": "rabbit_password_hashing_sha256",
            "tags": "administrator",
        }],
        "vhosts": names().map(|name| json!({"name": name})).collect::<Vec<_>>(),
        "permissions": names()
            .map(|name| json!({"user": "guest", "vhost": name, "configure": all, "write": all, "read": all}))
            .collect::<Vec<_>>(),
    })
}
