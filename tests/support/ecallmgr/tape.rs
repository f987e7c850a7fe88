//! The files a scripted switch has recorded: tones of the length the script gave the call, as WAV or MP3, and their way over
//! HTTP to whoever the switch is told to send them to.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    time::Duration,
};

use super::shape::{Fields, Tree, fields};
use crate::support::{audio, run};
use serde_json::{Value, json};

/// The callee's voice.
pub(crate) const CALLEE_HZ: f32 = 440.0;
/// The caller's voice on a switch's first tape.
const CALLER_HZ: f32 = 800.0;
/// So much higher it is on the next one; after [`VOICES`] the first comes again.
const STEP: f32 = 200.0;
/// Up to 2600 Hz, so that a telephone's rate has room for it.
const VOICES: usize = 10;

/// Who has ordered a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// `record_call`, beside the other commands.
    Beside,
    /// `record`, in its turn.
    InTurn,
}

/// A recording on the switch.
#[derive(Clone)]
pub(super) struct Tape {
    pub(super) order: Order,
    /// `Media-Name` as it was ordered.
    pub(super) name: String,
    /// Where the file is on the switch.
    pub(super) path: String,
    pub(super) started_us: u64,
    pub(super) stereo: bool,
    pub(super) rate: u32,
    pub(super) hz: f32,
    /// 5.0's `Recording` object without the file's figures.
    pub(super) variables: Fields,
}

/// How a recording ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Stopped,
    Key(char),
    Silence,
    Limit,
    Hangup,
}

impl Tape {
    /// What a command to record makes the switch do.
    pub(super) fn of(order: Order, command: &Fields, nth: usize, now_us: u64) -> Self {
        let word = |key: &str| command.get(key).and_then(Value::as_str).map(str::to_owned);
        let name = word("Media-Name").unwrap_or_default();
        let stereo =
            order == Order::Beside && command.get("Channels-As-Stereo") != Some(&json!(false));
        let usual_rate = if stereo { 16_000 } else { 8_000 };
        let rate = command
            .get("Record-Sample-Rate")
            .and_then(Value::as_u64)
            .unwrap_or(usual_rate);
        let mut variables = fields(command.get("Recording-Variables").unwrap_or(&Value::Null));
        for (key, header) in [
            ("Name", "Media-Name"),
            ("Recorder", "Media-Recorder"),
            ("ID", "Media-Recording-ID"),
            ("Endpoint-ID", "Media-Recording-Endpoint-ID"),
            ("Origin", "Media-Recording-Origin"),
        ] {
            if let Some(value) = word(header) {
                variables.insert(key.to_owned(), json!(value));
            }
        }
        Self {
            order,
            path: path_of(&name),
            name,
            started_us: now_us,
            stereo,
            rate: rate as u32,
            hz: CALLER_HZ + STEP * (nth % VOICES) as f32,
            variables,
        }
    }

    /// The file's bytes after so many milliseconds.
    pub(super) fn file(&self, length_ms: u64) -> Vec<u8> {
        let seconds = length_ms as f32 / 1000.0;
        let caller = audio::sine_at(self.hz, seconds, self.rate);
        let wav = if self.stereo {
            let callee = audio::sine_at(CALLEE_HZ, seconds, self.rate);
            let both: Vec<i16> = caller
                .iter()
                .zip(&callee)
                .flat_map(|(a, b)| [*a, *b])
                .collect();
            wav(&both, 2, self.rate)
        } else {
            wav(&caller, 1, self.rate)
        };
        if self.path.ends_with(".wav") {
            wav
        } else {
            mp3(&wav)
        }
    }

    /// 5.0's `Recording` object.
    pub(super) fn recording(&self, ended: Option<(End, u64, usize)>) -> Value {
        let mut recording = self.variables.clone();
        let Some((end, length_ms, size)) = ended else {
            return Value::Object(recording);
        };
        recording.extend(fields(&json!({
            "File-Path": self.path, "File-Size": size, "File-MilliSeconds": length_ms,
            "File-Seconds": length_ms / 1000, "File-Samples": length_ms * u64::from(self.rate) / 1000,
            "Completion-Cause": format!("success-{end:?}").to_lowercase(),
        })));
        Value::Object(recording)
    }

    /// The variables 4.3 leaves on the channel, which the next recording overwrites.
    pub(super) fn leaves(&self, tree: Tree, command: &Fields, channel_vars: &mut Fields) {
        if tree != Tree::V43 {
            return;
        }
        for (list, key) in [
            ("Media-Names", "Media-Name"),
            ("Media-Recordings", "Media-Recording-ID"),
        ] {
            let Some(value) = command.get(key) else {
                continue;
            };
            let mut all = vec![value.clone()];
            all.extend(
                channel_vars
                    .get(list)
                    .and_then(Value::as_array)
                    .cloned()
                    .unwrap_or_default(),
            );
            channel_vars.insert(list.to_owned(), Value::Array(all));
        }
        for key in [
            "Media-Name",
            "Media-Recorder",
            "Media-Recording-ID",
            "Media-Recording-Endpoint-ID",
            "Media-Recording-Origin",
        ] {
            if let Some(value) = command.get(key) {
                channel_vars.insert(key.to_owned(), value.clone());
            }
        }
    }
}

/// Where the switch puts a file of that name: a known extension stays, what is not safe is encoded.
fn path_of(name: &str) -> String {
    let (root, extension) = match name.rsplit_once('.') {
        Some((root, extension @ ("mp3" | "mp4" | "wav"))) => (root, extension),
        _ => (name, "mp3"),
    };
    format!("/tmp/{}.{extension}", super::wire::enc(root))
}

fn wav(samples: &[i16], channels: u16, rate: u32) -> Vec<u8> {
    let bytes = u32::try_from(samples.len() * 2).unwrap();
    let mut wav = b"RIFF".to_vec();
    wav.extend((36 + bytes).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0\x01\0");
    wav.extend(channels.to_le_bytes());
    wav.extend(rate.to_le_bytes());
    wav.extend((rate * 2 * u32::from(channels)).to_le_bytes());
    wav.extend((2 * channels).to_le_bytes());
    wav.extend(b"\x10\0data");
    wav.extend(bytes.to_le_bytes());
    samples
        .iter()
        .for_each(|sample| wav.extend(sample.to_le_bytes()));
    wav
}

fn mp3(wav: &[u8]) -> Vec<u8> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(wav).unwrap();
    let path = file.path().to_str().unwrap();
    run(
        "ffmpeg",
        &["-v", "error", "-i", path, "-b:a", "64k", "-f", "mp3", "-"],
    )
}

/// How an upload goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transfer {
    /// The file, whole.
    Whole,
    /// The file, and then once more to the same URL.
    Replayed,
    /// The file and more than that: twice its bytes.
    Swollen,
    /// Half of what was announced in `Content-Length`, then the connection breaks.
    Cut,
    /// Nothing is sent; the switch says it failed.
    Refused,
    /// Nothing is sent and nothing said: the switch is gone.
    Silent,
    /// The file arrives; the switch's word of it is lost.
    Unconfirmed,
}

/// Sends a file as the switch's HTTP client does, and gives the status it was answered with; none when the line broke.
pub(crate) fn upload(method: &str, url: &url::Url, file: &[u8], sent: usize) -> Option<u16> {
    let address = (url.host_str()?, url.port_or_known_default()?);
    let mut stream = TcpStream::connect(address).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: {}:{}\r\nUser-Agent: freeswitch-http-cache/1.0\r\nAccept: */*\r\n\
         Content-Type: application/octet-stream\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        address.0,
        address.1,
        file.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    let invited = status(&mut stream)?;
    if invited != 100 {
        return Some(invited);
    }
    // Who answers before it has heard all may close the line under our words.
    drop(stream.write_all(&file[..sent]));
    if sent < file.len() {
        drop(stream.shutdown(Shutdown::Both));
        return None;
    }
    status(&mut stream)
}

/// The status line of the next answer; its other lines are read and dropped.
fn status(stream: &mut TcpStream) -> Option<u16> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head)
        .split(' ')
        .nth(1)?
        .parse()
        .ok()
}
