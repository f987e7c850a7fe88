//! A RabbitMQ of the tests' own: private ports, data, cookie and port mapper. It ends with the test process, however that
//! ends, because it is held by a pipe.

use std::{
    io::Write as _,
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use callreel_proto::random_hex;
use lapin::{Connection, ConnectionProperties};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::{
    net::TcpStream,
    sync::OnceCell,
    time::{sleep, timeout},
};

use super::PATIENCE;

/// The server without Debian's wrapper, which insists on its own user and log folder.
const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

const CONTROL: &str = "/usr/lib/rabbitmq/bin/rabbitmqctl";

/// Starts the port mapper and the server, each in a process group of its own; when its input ends it kills both groups,
/// and removes the folder unless told to keep it. `detached` makes the server's script become the server.
const KEEPER: &str = r#"
set -m
exec 3>>"$DIR/output"
epmd -port "$ERL_EPMD_PORT" -address 127.0.0.1 </dev/null >&3 2>&1 &
mapper=$!
detached=true "$SERVER" </dev/null >&3 2>&1 &
server=$!
set +m
read -r word
{ kill -KILL -- "-$server" "-$mapper"; wait "$server" "$mapper"; } 2>/dev/null
if [ "$word" != keep ]; then rm -rf "$DIR"; fi
"#;

/// A broker that runs.
pub struct Broker {
    keeper: Option<Child>,
    dir: PathBuf,
    ports: [u16; 4],
}

impl Broker {
    /// The broker that all tests share who leave it as it is.
    pub async fn shared() -> &'static Broker {
        static SHARED: OnceCell<Broker> = OnceCell::const_new();
        SHARED.get_or_init(Broker::start).await
    }

    /// A broker of one's own.
    pub async fn start() -> Self {
        let mut broker = Self::new();
        broker.configure("");
        broker.resume().await;
        broker
    }

    /// A broker of one's own that takes clients with TLS too, with a certificate for `localhost` of an authority of its own.
    pub async fn start_with_tls() -> Self {
        let mut broker = Self::new();
        broker.make_certificates();
        let (port, dir) = (broker.tls_port(), broker.dir.display());
        let tls = format!(
            "listeners.ssl.1 = 127.0.0.1:{port}\n\
             ssl_options.certfile = {dir}/cert.pem\n\
             ssl_options.keyfile = {dir}/key.pem\n\
             ssl_options.cacertfile = {dir}/ca.pem\n\
             ssl_options.verify = verify_none\n"
        );
        broker.configure(&tls);
        broker.resume().await;
        broker
    }

    fn new() -> Self {
        assert!(
            Path::new(SERVER).is_file(),
            "{SERVER} is missing: install the Debian package rabbitmq-server (make tools does)"
        );
        let dir = tempfile::Builder::new()
            .prefix("callreel-rabbit-")
            .tempdir()
            .unwrap();
        Self {
            keeper: None,
            dir: dir.keep(),
            ports: free_ports(),
        }
    }

    fn make_certificates(&self) {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate().unwrap();
        let ca = authority.self_signed(&authority_key).unwrap();
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate().unwrap();
        let server = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let cert = server.signed_by(&key, &issuer).unwrap();
        for (name, pem) in [
            ("ca.pem", ca.pem()),
            ("cert.pem", cert.pem()),
            ("key.pem", key.serialize_pem()),
        ] {
            std::fs::write(self.dir.join(name), pem).unwrap();
        }
    }

    pub fn url(&self) -> String {
        self.url_of("guest", "guest")
    }

    pub fn url_of(&self, user: &str, password: &str) -> String {
        format!("amqp://{user}:{password}@127.0.0.1:{}", self.port())
    }

    pub fn port(&self) -> u16 {
        self.ports[0]
    }

    pub fn tls_port(&self) -> u16 {
        self.ports[3]
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn configure(&self, more: &str) {
        let port = self.port();
        // Alarms of a full test machine are not what is tested.
        let text = format!(
            "listeners.tcp.1 = 127.0.0.1:{port}\n\
             disk_free_limit.absolute = 1MB\n\
             vm_memory_high_watermark.absolute = 4GB\n\
             log.console = true\nlog.console.level = warning\nlog.file = false\n{more}"
        );
        std::fs::write(self.dir.join("rabbitmq.conf"), text).unwrap();
        std::fs::write(self.dir.join("enabled_plugins"), "[].\n").unwrap();
    }

    /// Starts it, again if need be, with the data it has; returns when it lets a client in.
    pub async fn resume(&mut self) {
        let [port, distribution, ..] = self.ports.map(|port| port.to_string());
        let at = |name: &str| self.dir.join(name);
        let keeper = self
            .command("bash")
            .args(["-c", KEEPER])
            .env("SERVER", SERVER)
            .env("DIR", &self.dir)
            .env("RABBITMQ_NODE_PORT", &port)
            .env("RABBITMQ_DIST_PORT", &distribution)
            .env("RABBITMQ_CONFIG_FILE", at("rabbitmq"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", at("enabled_plugins"))
            .env("RABBITMQ_MNESIA_BASE", at("mnesia"))
            .env("RABBITMQ_LOG_BASE", at("log"))
            .env("RABBITMQ_PID_FILE", at("pid"))
            // One scheduler that sleeps when idle: tests share the machine.
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+S 1:1 +sbwt none")
            .process_group(0)
            .stdin(Stdio::piped())
            .spawn()
            .expect("bash is there");
        self.keeper = Some(keeper);
        let up = timeout(PATIENCE, self.lets_in()).await;
        assert!(up.is_ok(), "the broker did not start: {}", self.output());
    }

    /// A program that knows this broker and no other.
    fn command(&self, program: &str) -> Command {
        let [port, _, mapper, _] = self.ports.map(|port| port.to_string());
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
            .env("LANG", "C.UTF-8")
            .env("HOME", &self.dir)
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_EPMD_PORT", &mapper)
            .env("RABBITMQ_NODENAME", format!("callreel{port}@localhost"))
            .env("RABBITMQ_CONF_ENV_FILE", self.dir.join("none"));
        command
    }

    /// What an operator does with `rabbitmqctl`.
    pub async fn control(&self, words: &[&str]) {
        let mut command = tokio::process::Command::from(self.command(CONTROL));
        let done = timeout(PATIENCE, command.args(words).output()).await;
        let done = done.expect("it answers").unwrap();
        assert!(done.status.success(), "{words:?}: {done:?}");
    }

    async fn lets_in(&mut self) {
        loop {
            if TcpStream::connect(("127.0.0.1", self.port())).await.is_ok() {
                let properties = ConnectionProperties::default();
                if let Ok(client) = Connection::connect(&self.url(), properties).await {
                    client.close(200, "".into()).await.unwrap();
                    return;
                }
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Kills it, like a power cut; its data stay. Returns when nothing listens any more.
    pub async fn kill(&mut self) {
        let mut keeper = self.keeper.take().expect("it runs");
        // Closes the pipe too.
        let mut input = keeper.stdin.take().expect("it is piped");
        input.write_all(b"keep\n").unwrap();
        drop(input);
        keeper.wait().unwrap();
        while TcpStream::connect(("127.0.0.1", self.port())).await.is_ok() {
            sleep(Duration::from_millis(5)).await;
        }
    }

    fn output(&self) -> String {
        std::fs::read_to_string(self.dir.join("output")).unwrap_or_default()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            drop(keeper.wait());
        } else {
            drop(std::fs::remove_dir_all(&self.dir));
        }
    }
}

/// For clients, for other Erlang nodes, for the port mapper, for clients with TLS.
fn free_ports() -> [u16; 4] {
    let listeners = [(); 4].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// A vhost-wide unique word.
pub fn word() -> String {
    random_hex(16)
}
