//! Drives what the black-box tests need: the node, the phones, the receiver, and ears.

pub(crate) mod audio;
pub(crate) mod baresip;
pub(crate) mod broker;
pub(crate) mod browser;
pub(crate) mod callee;
pub(crate) mod caller;
pub(crate) mod clock;
pub(crate) mod cluster;
pub(crate) mod collector;
pub(crate) mod couch;
pub(crate) mod disk;
pub(crate) mod ecallmgr;
pub(crate) mod estate;
pub(crate) mod node;
pub(crate) mod phone;
pub(crate) mod process;
pub(crate) mod raw;
pub(crate) mod receiver;
pub(crate) mod server;
pub(crate) mod sipp;
pub(crate) mod site;
pub(crate) mod voice;
pub(crate) mod volume;
pub(crate) mod web_server;

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU16, AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// Longest any single thing in a test may take before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The program under test.
pub(crate) fn this_build() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_callreel"))
}

/// Waits until `check` gives a value, looking every few milliseconds.
///
/// # Panics
/// After [`PATIENCE`], saying what never happened.
pub(crate) fn eventually<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = check() {
            return value;
        }
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// Runs a program to its end and gives its standard output.
///
/// # Panics
/// The program is missing (install it: `make test` does) or fails.
pub(crate) fn run(program: &str, args: &[&str]) -> Vec<u8> {
    let output = Command::new(program)
        .args(args)
        .output()
        .unwrap_or_else(|error| panic!("cannot run {program}: {error}; `make test` installs it"));
    assert!(
        output.status.success(),
        "{program} {args:?} failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// A port that nobody uses now over UDP or TCP, below those the system gives out to whoever asks for any, and given to nobody
/// else in this test run for a long while. Runs beside each other begin elsewhere.
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 30_100;
    const PORTS: u32 = 2_600;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let at = std::process::id() * 97 + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (at % PORTS) as u16;
        let free = std::net::UdpSocket::bind(("127.0.0.1", port)).is_ok()
            && std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
        if free {
            return port;
        }
    }
}

/// Ten UDP ports in a row for one phone's media, below those the system gives out, and given to no other phone of this
/// test run for its next thousand calls. Runs beside each other begin elsewhere.
pub(crate) fn media_ports() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let run = (std::process::id() * 97 % 1_000) as u16;
        let first = 10_000 + (run + NEXT.fetch_add(1, Ordering::Relaxed) % 1_000) % 1_000 * 10;
        let free = (first..first + 10).all(|p| std::net::UdpSocket::bind(("127.0.0.1", p)).is_ok());
        if free {
            return first;
        }
    }
}

/// A child process that dies with the test.
pub(crate) struct Reaped(pub(crate) std::process::Child);

impl Reaped {
    /// Waits for its end and says whether it succeeded.
    pub(crate) fn succeeded(&mut self, what: &str) -> bool {
        eventually(what, || self.0.try_wait().expect("child can be waited for")).success()
    }
}

impl Drop for Reaped {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The text of a file, or nothing when there is none.
pub(crate) fn text_of(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Asks an HTTP server at this address, without any credentials: status and body.
pub(crate) fn get(address: &str, path: &str) -> (u16, String) {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP head");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}
