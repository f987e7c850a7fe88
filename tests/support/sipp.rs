//! sipp, as a caller and a callee: scenarios written for each test, media streamed from a file.

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

pub(crate) use super::caller::Caller;
use super::{
    Reaped, audio,
    callee::Callee,
    estate::{CALLEE, CALLER, NUMBER, PASSWORD, REALM},
    eventually, free_port, media_ports,
};

/// Calls that one phone's media ports are enough for.
const CALLS_AT_ONCE: u32 = 4;

/// One phone played by sipp.
pub(crate) struct Sipp {
    user: &'static str,
    proxy: SocketAddr,
    port: u16,
    transport: &'static str,
    dir: tempfile::TempDir,
    runs: std::cell::Cell<u32>,
}

/// A run of one scenario.
pub(crate) struct Run {
    process: Reaped,
    dir: PathBuf,
    name: String,
    messages: PathBuf,
    call_id: String,
}

impl Run {
    /// The Call-ID it uses.
    pub(crate) fn call_id(&self) -> &str {
        &self.call_id
    }

    /// Where the node wants this phone's audio: waits for the first session description that came.
    pub(crate) fn media(&self) -> SocketAddr {
        let port = eventually("a session description", || {
            let port = self.described()?.split_once(' ')?.0.parse().ok()?;
            Some(port)
        });
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    /// Waits until the call is answered and that is acknowledged.
    pub(crate) fn established(&self) {
        eventually("the call to be answered", || {
            self.described()?.contains("\nACK sip:").then_some(())
        });
    }

    /// Makes sure that the call is not answered yet.
    pub(crate) fn is_not_answered(&self) {
        let answered = self.described().is_some_and(|d| d.contains("\nACK sip:"));
        assert!(!answered, "{} has been answered", self.name);
    }

    /// Waits until it has sent a message with these words.
    pub(crate) fn sent(&self, words: &str) {
        self.noted("message sent", "message received", words);
    }

    /// Waits until it has been sent a message with these words.
    pub(crate) fn received(&self, words: &str) {
        self.noted("message received", "message sent", words);
    }

    /// Waits for a message with this header, and tells what is in the first one.
    pub(crate) fn received_header(&self, name: &str) -> String {
        let header = format!("{name}: ");
        eventually(&format!("a message with {name}"), || {
            let messages = super::text_of(&self.messages);
            let mut lines = messages.lines();
            lines.find_map(|line| Some(line.strip_prefix(&header)?.trim().to_owned()))
        })
    }

    /// Waits for a message that begins with one heading and ends before the other, and has these words.
    fn noted(&self, heading: &str, other: &str, words: &str) {
        eventually(&format!("{heading} with {words:?}"), || {
            let messages = super::text_of(&self.messages);
            let mut noted = messages.split(heading).skip(1);
            let noted = noted.any(|text| {
                let own = text.split(other).next();
                own.is_some_and(|own| own.contains(words))
            });
            noted.then_some(())
        });
    }

    /// All messages from the port on that the first received session description names.
    fn described(&self) -> Option<String> {
        let messages = super::text_of(&self.messages);
        let (mut at, media) = (0, "m=audio ");
        for message in messages.split_inclusive("-----------------------") {
            if let (Some(found), true) = (message.find(media), message.contains("message received"))
            {
                return Some(messages[at + found + media.len()..].to_owned());
            }
            at += message.len();
        }
        None
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// The scenario met something it did not expect; the error log says what.
    pub(crate) fn completed(mut self) {
        let good = self.process.succeeded(&self.name);
        assert!(good, "sipp {} failed:\n{}", self.name, self.errors());
    }

    /// Waits for its end for so long, and says whether all went as the scenario has it. Whoever is late is hung up on.
    pub(crate) fn completed_within(mut self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Some(status) = self.process.0.try_wait().expect("sipp can be waited for") {
                return status.success();
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        false
    }

    fn errors(&self) -> String {
        let logs = std::fs::read_dir(&self.dir).unwrap().flatten();
        logs.map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|e| e == "log"))
            .map(|path| super::text_of(&path))
            .collect()
    }
}

impl Sipp {
    /// A phone of `user` that talks to the node at `proxy` over UDP.
    pub(crate) fn new(user: &'static str, proxy: SocketAddr) -> Self {
        Self {
            user,
            proxy,
            port: free_port(),
            transport: "u1",
            dir: tempfile::tempdir().unwrap(),
            runs: std::cell::Cell::new(0),
        }
    }

    /// The same phone at this port.
    pub(crate) fn at(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// The same phone over TCP.
    pub(crate) fn over_tcp(mut self) -> Self {
        self.transport = "t1";
        self
    }

    /// Registers, and waits until it is.
    pub(crate) fn register(&self) {
        self.run("register", &register_scenario(self.user, PASSWORD, 200))
            .completed();
    }

    /// Tries to register with a wrong password, and expects to be refused.
    pub(crate) fn register_in_vain(&self) {
        self.run("register", &register_scenario(self.user, "wrong", 403))
            .completed();
    }

    /// Keeps audio for a scenario to stream; gives the name to use in it.
    pub(crate) fn audio(&self, mulaw: &[u8]) -> String {
        let path = self
            .dir
            .path()
            .join(format!("audio-{}.ulaw", self.runs.get()));
        self.runs.set(self.runs.get() + 1);
        std::fs::write(&path, mulaw).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Alice calls, lets this tone sound until she is hung up on, and has hung up when this returns.
    pub(crate) fn calls(proxy: SocketAddr, hz: f32) {
        let caller = Self::new(CALLER, proxy);
        caller.register();
        let voice = caller.audio(&audio::mulaw_tone(hz, 5.0));
        let stays = Caller::dials(NUMBER).answered(NUMBER).streams(&voice);
        caller
            .run("call", &stays.awaits_bye().scenario())
            .completed();
    }

    /// Runs a scenario.
    pub(crate) fn run(&self, name: &str, scenario: &str) -> Run {
        self.run_at_once(name, scenario, 1)
    }

    /// Runs a scenario in so many calls at once; `%u` in [`Run::call_id`] is a call's number, from 1.
    pub(crate) fn run_at_once(&self, name: &str, scenario: &str, calls: u32) -> Run {
        assert!(calls <= CALLS_AT_ONCE, "each needs ports for its media");
        let number = if calls > 1 { "-%u" } else { "" };
        let (n, port) = (self.runs.get(), self.port);
        let call_id = format!("{name}-{n}-{port}{number}@phone.test");
        self.start(name, scenario, calls, call_id)
    }

    /// Runs a scenario with a Call-ID of the test's own, in which `%%` is sent as `%`, and `%u` as 1.
    pub(crate) fn run_as(&self, name: &str, scenario: &str, call_id: &str) -> Run {
        self.start(name, scenario, 1, call_id.to_owned())
    }

    fn start(&self, name: &str, scenario: &str, calls: u32, call_id: String) -> Run {
        let n = self.runs.get();
        self.runs.set(n + 1);
        let file = self.dir.path().join(format!("{n}-{name}.xml"));
        std::fs::write(&file, scenario).unwrap();
        let messages = self.dir.path().join(format!("{n}-{name}.sip"));
        let rtp = media_ports();
        let calls = calls.to_string();
        let child = Command::new("sipp")
            .current_dir(self.dir.path())
            .arg(self.proxy.to_string())
            .args(["-sf", file.to_str().unwrap()])
            .args(["-m", &calls, "-l", &calls, "-r", "100"])
            .args([
                "-i",
                "127.0.0.1",
                "-mi",
                "127.0.0.1",
                "-p",
                &self.port.to_string(),
            ])
            .args(["-mp", &rtp.to_string(), "-cid_str", &call_id])
            .args([
                "-t",
                self.transport,
                "-nostdin",
                "-trace_err",
                "-trace_msg",
                "-message_file",
                messages.to_str().unwrap(),
                "-timeout",
                "60",
                "-timeout_error",
            ])
            .args(["-key", "realm", REALM, "-key", "me", self.user])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sipp is installed by `make test`");
        Run {
            process: Reaped(child),
            dir: self.dir.path().to_owned(),
            name: format!("{} {name}", self.user),
            messages,
            call_id,
        }
    }
}

/// A callee's scenario: rings for `ring_ms`, answers, streams `file`, and waits for (or sends) the BYE.
pub(crate) fn callee_answers(ring_ms: u32, file: &str, hang_up_after_ms: Option<u32>) -> String {
    let talks = Callee::rings(ring_ms).answers().streams(file);
    match hang_up_after_ms {
        None => talks.awaits_bye(),
        Some(ms) => talks.waits(ms).hangs_up(),
    }
    .scenario()
}

/// A callee's scenario: refuses with this code.
pub(crate) fn callee_refuses(code: u16, reason: &str) -> String {
    let mut text = callee_head(100);
    text.push_str(&send(&format!(
        "SIP/2.0 {code} {reason}\n[last_Via:]\n[last_From:]\n[last_To:];tag=[call_number]callee\n[last_Call-ID:]\n[last_CSeq:]\nContent-Length: 0\n"
    )));
    text + "<recv request=\"ACK\"/>\n</scenario>\n"
}

/// A carrier's registrar: challenges who registers, and takes nobody but this user with this password.
pub(crate) fn registrar(user: &str, password: &str) -> String {
    let reply = |status: &str, more: &str| {
        send(&format!(
            "SIP/2.0 {status}\n[last_Via:]\n[last_From:]\n[last_To:];tag=[call_number]registrar\n[last_Call-ID:]\n[last_CSeq:]\n{more}Content-Length: 0\n"
        ))
    };
    let challenge = "WWW-Authenticate: Digest realm=\"carrier.test\", nonce=\"5f2b1c\", algorithm=MD5, qop=\"auth\"\n";
    let verified = format!(
        "<recv request=\"REGISTER\"><action><verifyauth assign_to=\"good\" username=\"{user}\" password=\"{password}\"/></action></recv>\n<nop test=\"good\" next=\"1\"/>\n"
    );
    header("registrar")
        + "<recv request=\"REGISTER\"/>\n"
        + &reply("401 Unauthorized", challenge)
        + &verified
        // With another password the scenario waits for what nobody sends, and fails.
        + &reply("403 Forbidden", "")
        + "<recv request=\"ACK\" timeout=\"1\"/>\n<label id=\"1\"/>\n"
        + &reply("200 OK", "[last_Contact:]\nExpires: 3600\n")
        + "</scenario>\n"
}

/// A callee's scenario: rings and is cancelled.
pub(crate) fn callee_never_answers() -> String {
    let mut text = callee_head(0);
    text.push_str("<recv request=\"CANCEL\"/>\n");
    text.push_str(&send("SIP/2.0 200 OK\n[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n[last_CSeq:]\nContent-Length: 0\n"));
    text.push_str(&send("SIP/2.0 487 Request Terminated\n[last_Via:]\n[last_From:]\n[last_To:];tag=[call_number]callee\n[last_Call-ID:]\nCSeq: [$1] INVITE\nContent-Length: 0\n"));
    text + "<recv request=\"ACK\"/>\n</scenario>\n"
}

fn callee_head(ring_ms: u32) -> String {
    let mut text = header("callee");
    text.push_str("<recv request=\"INVITE\" rrs=\"true\"><action><ereg regexp=\"[0-9]+\" search_in=\"hdr\" header=\"CSeq:\" assign_to=\"1\"/><ereg regexp=\".*\" search_in=\"hdr\" header=\"From:\" assign_to=\"2\"/><ereg regexp=\"&lt;.*&gt;\" search_in=\"hdr\" header=\"To:\" assign_to=\"3\"/></action></recv>\n<Reference variables=\"1,2,3\"/>\n");
    text.push_str(&send(&format!(
        "SIP/2.0 180 Ringing\n[last_Via:]\n[last_From:]\n[last_To:];tag=[call_number]callee\n[last_Call-ID:]\n[last_CSeq:]\n[last_Record-Route:]\nContact: <sip:{CALLEE}@[local_ip]:[local_port];transport=[transport]>\nContent-Length: 0\n"
    )));
    if ring_ms > 0 {
        text += &pause(ring_ms);
    }
    text
}

pub(super) fn stream(file: &str) -> String {
    format!("<nop><action><exec rtp_stream=\"{file},1,0\"/></action></nop>\n")
}

pub(super) fn pause(ms: u32) -> String {
    format!("<pause milliseconds=\"{ms}\"/>\n")
}

pub(super) fn header(name: &str) -> String {
    format!("<?xml version=\"1.0\" encoding=\"ISO-8859-1\" ?>\n<scenario name=\"{name}\">\n")
}

/// A request is sent again until it is answered, after half a second first (RFC 3261 §17.1); answers and ACK are not.
pub(super) fn send(message: &str) -> String {
    let once = message.starts_with("SIP/2.0") || message.starts_with("ACK");
    let again = if once { "" } else { " retrans=\"500\"" };
    format!("<send{again}><![CDATA[\n\n{message}\n]]></send>\n")
}

/// One audio stream: µ-law, A-law and digits, in this direction.
pub(super) fn sdp(direction: &str) -> String {
    format!(
        "v=0\no=sipp 1 1 IN IP4 [local_ip]\ns=-\nc=IN IP4 [media_ip]\nt=0 0\nm=audio [rtpstream_audio_port] RTP/AVP 0 8 101\na=rtpmap:0 PCMU/8000\na=rtpmap:8 PCMA/8000\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15\na=ptime:20\na={direction}\n"
    )
}

fn register_scenario(user: &str, password: &str, final_code: u16) -> String {
    let register = |cseq: u32, auth: &str| {
        send(&format!(
            "REGISTER sip:[realm] SIP/2.0\nVia: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\nMax-Forwards: 70\nFrom: <sip:{user}@[realm]>;tag=[call_number]reg\nTo: <sip:{user}@[realm]>\nCall-ID: [call_id]\nCSeq: {cseq} REGISTER\nContact: <sip:{user}@[local_ip]:[local_port];transport=[transport]>\nExpires: 300\n{auth}Content-Length: 0\n"
        ))
    };
    let auth = format!("[authentication username={user} password={password}]\n");
    header("register")
        + &register(1, "")
        + "<recv response=\"401\" auth=\"true\"/>\n"
        + &register(2, &auth)
        + &format!("<recv response=\"{final_code}\"/>\n</scenario>\n")
}
