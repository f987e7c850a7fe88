//! baresip, as a phone with ears: it plays a file to the other side and writes down what it hears.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Command, Stdio},
    time::Instant,
};

use serde_json::{Value, json};

use super::{
    PATIENCE, Reaped,
    audio::{self, Heard},
    estate::{PASSWORD, REALM},
    eventually, free_port, media_ports,
};

/// A running baresip, registered at the node.
pub(crate) struct Baresip {
    dir: tempfile::TempDir,
    _process: Reaped,
    control: TcpStream,
    /// Bytes of the control connection not yet understood.
    pending: Vec<u8>,
    /// Events in the order they came.
    events: Vec<Value>,
}

/// How the phone behaves.
pub(crate) struct Habits {
    /// Answers calls by itself.
    pub(crate) answers: bool,
    /// Codecs it offers, in baresip's spelling: `PCMU/8000`, `PCMA/8000`, `G722/16000`, `opus/48000/2`. The first is
    /// the one it can speak.
    pub(crate) codecs: &'static str,
    /// `udp`, `tcp` or `tls`.
    pub(crate) transport: &'static str,
    /// The tone it plays, Hz.
    pub(crate) plays: f32,
    /// Asks how many messages wait. Only for who needs it: at times this baresip does nothing else any more, thousands of times a second.
    pub(crate) asks_for_messages: bool,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            answers: true,
            codecs: "PCMU/8000,PCMA/8000",
            transport: "udp",
            plays: 440.0,
            asks_for_messages: false,
        }
    }
}

impl Baresip {
    /// Starts a phone of `user` and waits until the node has registered it.
    pub(crate) fn start(user: &str, proxy: SocketAddr, habits: &Habits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let control_port = free_port();
        // It plays only files that are as its codec wants them.
        let (rate, channels) = match habits.codecs.split('/').next() {
            Some("opus") => (48_000, 2),
            Some("G722") => (16_000, 1),
            _ => (8_000, 1),
        };
        let voice = audio::sine_at(habits.plays, 60.0, rate);
        audio::write_wav_of(&dir.path().join("plays.wav"), &voice, rate, channels);
        std::fs::write(
            dir.path().join("config"),
            config(dir.path(), control_port, habits),
        )
        .unwrap();
        std::fs::write(dir.path().join("accounts"), account(user, proxy, habits)).unwrap();
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let child = Command::new("baresip")
            .arg("-f")
            .arg(dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("baresip is installed by `make test`");
        let process = Reaped(child);
        let control = eventually("baresip's control port", || {
            TcpStream::connect(("127.0.0.1", control_port)).ok()
        });
        let phone = Self {
            dir,
            _process: process,
            control,
            pending: Vec::new(),
            events: Vec::new(),
        };
        // The registration may have been confirmed before we were listening.
        eventually("baresip's registration", || {
            phone.said("200 OK").then_some(())
        });
        phone
    }

    /// Dials a number of the account.
    pub(crate) fn dial(&mut self, number: &str) {
        self.command("dial", &format!("sip:{number}@{REALM}"));
    }

    /// Hangs up.
    pub(crate) fn hang_up(&mut self) {
        self.command("hangup", "");
    }

    /// Puts the call on hold.
    pub(crate) fn hold(&mut self) {
        self.command("hold", "");
    }

    /// Takes the call back.
    pub(crate) fn resume(&mut self) {
        self.command("resume", "");
    }

    /// Transfers the other party to a number of the account.
    pub(crate) fn transfer(&mut self, number: &str) {
        self.command("transfer", &format!("sip:{number}@{REALM}"));
    }

    /// Waits for an event of this type, such as `CALL_ESTABLISHED`, after those already waited for.
    pub(crate) fn awaits(&mut self, kind: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.events.iter().position(|e| e["type"] == kind) {
                return self.events.drain(..=at).next_back().unwrap();
            }
            assert!(
                Instant::now() < deadline,
                "baresip never said {kind}; its log:\n{}",
                self.log()
            );
            self.hear();
        }
    }

    /// Waits until a message of the node has told it these words, which it writes down.
    pub(crate) fn is_told(&self, words: &str) {
        eventually(&format!("baresip to be told {words:?}"), || {
            self.said(words).then_some(())
        });
    }

    /// What it has heard in its last call. The file is complete once the call is closed.
    pub(crate) fn heard(&self) -> Heard {
        let path: PathBuf = eventually("baresip's ears", || {
            let mut files: Vec<PathBuf> = std::fs::read_dir(self.dir.path())
                .unwrap()
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| path.to_string_lossy().ends_with("-dec.wav"))
                .collect();
            files.sort();
            files.pop()
        });
        audio::listen(&std::fs::read(path).unwrap())
    }

    fn said(&self, words: &str) -> bool {
        self.log().contains(words)
    }

    fn log(&self) -> String {
        super::text_of(&self.dir.path().join("log"))
    }

    fn command(&mut self, command: &str, params: &str) {
        let text = json!({"command": command, "params": params}).to_string();
        write!(self.control, "{}:{text},", text.len()).unwrap();
    }

    /// Reads what baresip has to say, for at most 100 ms.
    fn hear(&mut self) {
        self.control
            .set_read_timeout(Some(std::time::Duration::from_millis(100)))
            .unwrap();
        let mut chunk = [0; 4096];
        match self.control.read(&mut chunk) {
            Ok(0) => panic!("baresip ended; its log:\n{}", self.log()),
            Ok(n) => self.pending.extend_from_slice(&chunk[..n]),
            Err(_) => return,
        }
        while let Some((message, rest)) = netstring(&self.pending) {
            let message: Value = serde_json::from_slice(message).unwrap();
            if message["event"] == true {
                self.events.push(message);
            }
            self.pending = rest.to_vec();
        }
    }
}

/// The first `length:bytes,` of a buffer, and what follows it.
fn netstring(buffer: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = buffer.iter().position(|b| *b == b':')?;
    let length: usize = std::str::from_utf8(&buffer[..colon]).ok()?.parse().ok()?;
    let (message, rest) = buffer[colon + 1..].split_at_checked(length)?;
    Some((message, rest.get(1..)?))
}

fn account(user: &str, proxy: SocketAddr, habits: &Habits) -> String {
    let Habits {
        codecs, transport, ..
    } = habits;
    let mode = if habits.answers { "auto" } else { "manual" };
    format!(
        "<sip:{user}@{REALM};transport={transport}>;auth_user={user};auth_pass={PASSWORD};outbound=\"sip:{proxy};transport={transport}\";regint=60;answermode={mode};audio_codecs={codecs}\n"
    )
}

fn config(dir: &std::path::Path, control_port: u16, habits: &Habits) -> String {
    let dir = dir.display();
    let asks = if habits.asks_for_messages {
        "module_app mwi.so\n"
    } else {
        ""
    };
    let rtp = media_ports();
    let modules: String = ["g711", "g722", "opus", "aufile", "sndfile", "uuid"]
        .map(|m| format!("module {m}.so\n"))
        .concat();
    format!(
        "poll_method epoll\nnet_interface 127.0.0.1\nsip_listen 127.0.0.1:0\nrtp_ports {rtp}-{}\naudio_player aufile,{dir}/none.wav\naudio_source aufile,{dir}/plays.wav\naudio_alert aufile,{dir}/none.wav\naudio_txmode poll\nausrc_format s16\nauplay_format s16\nsnd_path {dir}\nctrl_tcp_listen 127.0.0.1:{control_port}\nmodule_path /usr/lib/baresip/modules\n{modules}module_app menu.so\nmodule_app ctrl_tcp.so\nmodule_app account.so\n{asks}",
        rtp + 9
    )
}

impl Drop for Baresip {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- baresip's log ---\n{}", self.log());
        }
    }
}
