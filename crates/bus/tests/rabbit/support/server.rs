//! A RabbitMQ server of the tests' own: private ports, data, cookie and port mapper, loopback only. It ends with the test
//! process, however that ends, because it is held by a pipe. The black-box tests use this file too.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

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

/// A server that runs, or was killed.
pub struct Server {
    keeper: Option<Child>,
    dir: PathBuf,
    ports: [u16; 4],
}

impl Server {
    /// Prepares a server; it does not run yet.
    pub fn new() -> Self {
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

    pub fn url_of(&self, user: &str, password: &str) -> String {
        format!("amqp://{user}:{password}@127.0.0.1:{}", self.port())
    }

    pub fn port(&self) -> u16 {
        self.ports[0]
    }

    /// For clients with TLS, if it is configured.
    pub fn tls_port(&self) -> u16 {
        self.ports[3]
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes its configuration, with these lines more.
    pub fn configure(&self, more: &str) {
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

    /// Starts it, again if need be, with the data it has. It is up when it lets a client in.
    pub fn launch(&mut self) {
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
    }

    /// Whether it lets a client in.
    pub fn is_up(&self) -> bool {
        self.lets_in().is_ok()
    }

    /// Greets, logs in and opens the default vhost, byte by byte: AMQP 0-9-1.
    fn lets_in(&self) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port()))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let login = b"\0\x0a\0\x0b\0\0\0\0\x05PLAIN\0\0\0\x0c\0guest\0guest\x05en_US";
        let tuned = b"\0\x0a\0\x1f\x07\xff\0\x02\0\0\0\0";
        let opened = b"\0\x0a\0\x28\x01/\0\0";
        stream.write_all(b"AMQP\x00\x00\x09\x01")?;
        hear(&mut stream)?;
        say(&mut stream, login)?;
        hear(&mut stream)?;
        say(&mut stream, tuned)?;
        say(&mut stream, opened)?;
        hear(&mut stream)?;
        // Connection.close, so that its log has no complaint.
        say(&mut stream, b"\0\x0a\0\x32\0\xc8\0\0\0\0\0")?;
        hear(&mut stream)
    }

    /// What an operator does with `rabbitmqctl`.
    pub fn control(&self, words: &[&str]) -> Command {
        let mut command = self.command(CONTROL);
        command.args(words);
        command
    }

    /// Kills it, like a power cut; its data stay. Returns when nothing listens any more.
    pub fn kill(&mut self) {
        let mut keeper = self.keeper.take().expect("it runs");
        // Closes the pipe too.
        let mut input = keeper.stdin.take().expect("it is piped");
        input.write_all(b"keep\n").unwrap();
        drop(input);
        keeper.wait().unwrap();
        while TcpStream::connect(("127.0.0.1", self.port())).is_ok() {
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// All it has said.
    pub fn output(&self) -> String {
        std::fs::read_to_string(self.dir.join("output")).unwrap_or_default()
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
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            drop(keeper.wait());
        } else {
            drop(std::fs::remove_dir_all(&self.dir));
        }
    }
}

/// Sends a method on channel 0.
fn say(stream: &mut TcpStream, method: &[u8]) -> std::io::Result<()> {
    let mut frame = vec![1, 0, 0];
    frame.extend(u32::try_from(method.len()).unwrap().to_be_bytes());
    frame.extend(method);
    frame.push(0xce);
    stream.write_all(&frame)
}

/// Reads a frame; a refusal ends the stream.
fn hear(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut head = [0; 7];
    stream.read_exact(&mut head)?;
    let length = u32::from_be_bytes(head[3..].try_into().unwrap());
    let mut rest = vec![0; length as usize + 1];
    stream.read_exact(&mut rest)
}

/// For clients, for other Erlang nodes, for the port mapper, for clients with TLS.
fn free_ports() -> [u16; 4] {
    let listeners = [(); 4].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
