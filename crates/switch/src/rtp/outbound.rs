//! What a leg's phone is sent, whoever it comes from: a bridged phone, a mixer, a playback, keys. Owns no task and no timer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use callreel_media::{Codec, Encoder};

use super::dial::{Dialer, Step};
use super::ear::Ear;
use super::fork::Copies;
use super::mixer::Share;
use super::packet::{DATAGRAM_ROOM, Header, Incoming, Kind, frame_ticks, write};
use super::playback::Player;
use super::stream::Stream;
use super::transcode::{Reframer, Rescale, frame_samples, rescaled};
use super::wire::Wire;
use super::{Error, Keys, PlayId, Remote};

/// The longest a phone that sends is sent nothing: a frame of silence then keeps NATs open and its own watch for dead
/// media content (RFC 6263). It is not forked: a recorder knows silence without being sent it.
const KEEP_ALIVE_AFTER: Duration = Duration::from_secs(1);

/// How a frame of a playback went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Played {
    /// The frame's time has been used; sent unless the leg is on hold.
    Frame,
    /// No frames are left; the playback is over.
    Ended,
    /// Another playback or a stop has taken its place, and told so.
    Replaced,
}

/// A leg's sending half.
pub(super) struct Outbound {
    line: Line,
    rescale: Rescale,
    reframer: Reframer,
    frame: Vec<i16>,
    playing: Option<PlayId>,
    pub(super) copies: Copies,
    /// Numbering of our own sound in the fork.
    fork_stream: Stream,
    dialer: Dialer,
    dialling: bool,
    /// Timestamp of the key being pressed.
    key_timestamp: u32,
}

/// The way to the phone: agreement, numbering, codec, socket.
struct Line {
    wire: Option<Arc<Wire>>,
    remote: Option<Remote>,
    target: Option<SocketAddr>,
    stream: Stream,
    encoder: Option<Encoder>,
    payload: Vec<u8>,
    buffer: [u8; DATAGRAM_ROOM],
    last_sent: Option<Instant>,
    sent: u64,
    failed: u64,
}

impl Line {
    /// The agreement, if it lets us send.
    fn open(&self) -> Option<Remote> {
        self.remote.filter(|remote| remote.send)
    }

    fn send(&mut self, now: Instant, header: Header, payload_type: u8, payload: &[u8]) {
        let (Some(wire), Some(target)) = (&self.wire, self.target) else {
            return;
        };
        let Some(datagram) = write(&mut self.buffer, header, payload_type, payload) else {
            return;
        };
        match wire.send(datagram, target) {
            Ok(()) => self.sent += 1,
            Err(_) => self.failed += 1,
        }
        self.last_sent = Some(now);
    }

    fn encode(&mut self, codec: Codec, pcm: &[i16]) {
        if self.encoder.as_ref().is_none_or(|e| e.codec() != codec) {
            self.encoder = Some(Encoder::new(codec));
        }
        self.payload.clear();
        if let Some(encoder) = &mut self.encoder {
            encoder.encode(pcm, &mut self.payload);
        }
    }

    /// Sends samples at the codec's rate.
    fn send_sound(&mut self, now: Instant, header: Header, remote: &Remote, pcm: &[i16]) {
        self.encode(remote.codec, pcm);
        let payload = std::mem::take(&mut self.payload);
        self.send(now, header, remote.payload_type, &payload);
        self.payload = payload;
    }
}

impl Outbound {
    pub(super) fn new(wire: Arc<Wire>, copies: Copies) -> Self {
        let line = Line {
            wire: Some(wire),
            remote: None,
            target: None,
            stream: new_stream(Codec::Pcmu),
            encoder: None,
            payload: Vec::new(),
            buffer: [0; DATAGRAM_ROOM],
            last_sent: None,
            sent: 0,
            failed: 0,
        };
        Self {
            line,
            rescale: Rescale::default(),
            reframer: Reframer::default(),
            frame: Vec::new(),
            playing: None,
            copies,
            fork_stream: new_stream(Codec::Pcmu),
            dialer: Dialer::default(),
            dialling: false,
            key_timestamp: 0,
        }
    }

    /// Takes a new agreement, and where to send for now.
    pub(super) fn set_remote(&mut self, remote: Remote, target: Option<SocketAddr>) {
        let clock = remote.codec.rtp_clock();
        if self.line.stream.clock() != clock {
            // Timestamps of two clocks are no one stream (RFC 7160 §4).
            self.line.stream = new_stream(remote.codec);
            self.fork_stream = new_stream(remote.codec);
            self.reframer.reset();
        }
        self.reframer.set_clock(clock);
        self.line.remote = Some(remote);
        self.line.target = target;
    }

    /// The phone turned out to be elsewhere.
    pub(super) fn set_target(&mut self, target: Option<SocketAddr>) {
        self.line.target = target;
    }

    /// Packets sent, and packets the network stack did not take.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.line.sent, self.line.failed)
    }

    /// What was sent so far has ended: whatever comes next begins a new stretch.
    pub(super) fn end_source(&mut self) {
        self.line.stream.end_source();
        self.fork_stream.end_source();
        self.reframer.reset();
    }

    /// Sends nothing ever again and lets go of the socket.
    pub(super) fn close(&mut self) -> Option<PlayId> {
        self.line.wire = None;
        self.copies.aim(Vec::new());
        self.playing.take()
    }

    /// Sends on a packet of the bridged phone. A playback has precedence over it; then it is neither sent nor forked.
    pub(super) fn relay(&mut self, now: Instant, packet: &Incoming, ear: &mut Ear) {
        let Some(remote) = self.line.open() else {
            return self.end_source();
        };
        if self.playing.is_some() || self.line.wire.is_none() {
            return;
        }
        // Two phones whose SDP named our own ports would make one packet go round for ever.
        if self.line.stream.is_looped(&packet.header) {
            return;
        }
        self.copies.received(&mut self.line.buffer, packet);
        let clock = self.line.stream.clock();
        let header = self.rescale.header(packet.clock, clock, packet.header);
        let packet = &Incoming { header, ..*packet };
        match packet.kind {
            Kind::Event(clock) => match remote.keys {
                Some(keys) => self.pass_key(now, packet, clock, keys),
                None => self.line.stream.skipped(&packet.header),
            },
            Kind::Audio(codec) if codec == remote.codec => {
                let ticks = codec.ticks(packet.payload);
                self.pass(now, packet, remote.payload_type, ticks);
            }
            Kind::Audio(codec) => self.transcode(now, packet, codec, &remote, ear),
        }
    }

    fn pass_key(&mut self, now: Instant, packet: &Incoming, clock: u32, keys: Keys) {
        let told = with_duration(packet.payload, clock, keys.clock);
        let payload = told.as_ref().map_or(packet.payload, |told| told);
        let packet = &Incoming { payload, ..*packet };
        self.pass(now, packet, keys.payload_type, 0);
    }

    fn pass(&mut self, now: Instant, packet: &Incoming, payload_type: u8, ticks: u32) {
        let header = self.line.stream.relayed(now, &packet.header, ticks);
        self.line.send(now, header, payload_type, packet.payload);
    }

    /// Codecs have a memory, so a packet that was overtaken is lost here; recordings still get it.
    fn transcode(
        &mut self,
        now: Instant,
        packet: &Incoming,
        codec: Codec,
        remote: &Remote,
        ear: &mut Ear,
    ) {
        let from = packet.header;
        let Self {
            line,
            reframer,
            frame,
            ..
        } = self;
        if line.stream.is_late(&from) {
            return;
        }
        if !line.stream.is_from(&from) {
            reframer.reset();
        }
        let clock = line.stream.clock();
        let frame_ticks = frame_ticks(clock);
        if let Some(timestamp) = reframer.finish_before(from.timestamp, frame) {
            let header = line.stream.following(now, timestamp, frame_ticks);
            line.send_sound(now, header, remote, frame);
        }
        let pcm = ear.hear(codec, packet.payload);
        let rates = (codec.sample_rate(), remote.codec.sample_rate());
        let ticks = rescaled(codec.ticks(packet.payload), packet.clock, clock);
        reframer.push(from.timestamp, ticks, pcm, rates);
        let mut first = true;
        while let Some(timestamp) = reframer.next_frame(frame) {
            let header = if std::mem::take(&mut first) {
                let of_frame = Header { timestamp, ..from };
                line.stream.relayed(now, &of_frame, frame_ticks)
            } else {
                line.stream.following(now, timestamp, frame_ticks)
            };
            line.send_sound(now, header, remote, frame);
        }
        if first {
            line.stream.skipped(&from);
        }
    }

    /// Begins a playback; gives the one it replaces.
    pub(super) fn start_playing(&mut self, id: PlayId) -> Option<PlayId> {
        self.end_source();
        self.playing.replace(id)
    }

    /// Whether this is the running playback.
    pub(super) fn plays(&self, id: PlayId) -> bool {
        self.playing == Some(id)
    }

    /// Ends the running playback; gives it.
    pub(super) fn stop_playing(&mut self) -> Option<PlayId> {
        self.end_source();
        self.playing.take()
    }

    /// Sends the next 20 ms of a playback.
    pub(super) fn play_frame(&mut self, now: Instant, id: PlayId, player: &mut Player) -> Played {
        if self.playing != Some(id) || self.line.wire.is_none() {
            return Played::Replaced;
        }
        let codec = self.line.remote.map_or(Codec::Pcmu, |remote| remote.codec);
        if !player.next_frame(codec.sample_rate(), &mut self.frame) {
            self.stop_playing();
            return Played::Ended;
        }
        let Some(remote) = self.line.open() else {
            // On hold time goes on: the next frame's timestamp will show how long it was.
            self.end_source();
            return Played::Frame;
        };
        self.send_frame(now, &remote);
        Played::Frame
    }

    /// Sends 20 ms of what a mixer has for this leg. A playback has precedence over it, as over a bridged phone.
    pub(super) fn send_mix(&mut self, now: Instant, share: &Share) {
        if self.playing.is_some() || self.line.wire.is_none() {
            return;
        }
        let Some(remote) = self.line.open() else {
            return self.end_source();
        };
        share.frame(remote.codec.sample_rate(), &mut self.frame);
        self.send_frame(now, &remote);
    }

    /// Sends the frame, which is sound of our own making, and copies it.
    fn send_frame(&mut self, now: Instant, remote: &Remote) {
        let ticks = frame_ticks(self.line.stream.clock());
        let header = self.line.stream.own(now, ticks);
        self.line.send_sound(now, header, remote, &self.frame);
        let copied = self.fork_stream.own(now, ticks);
        let Line {
            buffer, payload, ..
        } = &mut self.line;
        self.copies
            .generated(buffer, copied, remote.codec.payload_type(), payload);
    }

    /// Keeps a phone that sends from hearing nothing at all for long.
    pub(super) fn keep_alive(&mut self, now: Instant) {
        let Some(remote) = self.line.open() else {
            return;
        };
        let last = *self.line.last_sent.get_or_insert(now);
        let recent = now.saturating_duration_since(last) < KEEP_ALIVE_AFTER;
        if recent || self.playing.is_some() {
            return;
        }
        self.end_source();
        let ticks = frame_ticks(self.line.stream.clock());
        let header = self.line.stream.own(now, ticks);
        self.frame.clear();
        self.frame
            .resize(frame_samples(remote.codec.sample_rate()), 0);
        self.line.send_sound(now, header, &remote, &self.frame);
        self.end_source();
    }

    /// Queues digits; true if the caller must start stepping.
    pub(super) fn dial(&mut self, digits: &str) -> Result<bool, Error> {
        if self.line.remote.is_none_or(|remote| remote.keys.is_none()) {
            return Err(Error::NoTelephoneEvent);
        }
        self.dialer.push(digits)?;
        Ok(!std::mem::replace(&mut self.dialling, true))
    }

    /// Sends the next packet of the queued digits; false when all are sent. Keys of ours are not forked: they are not sound,
    /// and another SSRC among a bridged phone's packets would look like a change of source.
    pub(super) fn dial_frame(&mut self, now: Instant) -> bool {
        let keys = self.line.remote.and_then(|remote| remote.keys);
        match self.dialer.step(keys.map_or(0, |keys| keys.clock)) {
            Step::Done => self.dialling = false,
            Step::Pause => {}
            Step::Press { payload, first } => {
                if first {
                    self.key_timestamp = self.line.stream.begin_event(now);
                }
                if let (Some(_), Some(keys)) = (self.line.open(), keys) {
                    let header = self.line.stream.event(self.key_timestamp, first);
                    self.line.send(now, header, keys.payload_type, &payload);
                }
            }
        }
        self.dialling
    }
}

/// A stream with an identity of its own.
fn new_stream(codec: Codec) -> Stream {
    let clock = codec.rtp_clock();
    Stream::new(clock, rand::random(), rand::random(), rand::random())
}

/// A key's payload with its duration told by another clock; `None` where that changes nothing. One that is too long to be told
/// keeps the longest (RFC 4733 §2.3.5).
fn with_duration(payload: &[u8], from: u32, to: u32) -> Option<[u8; 4]> {
    let &[event, volume, high, low] = payload.first_chunk::<4>()?;
    let ticks = u16::from_be_bytes([high, low]);
    let there = rescaled(ticks.into(), from, to);
    let [high, low] = u16::try_from(there).unwrap_or(u16::MAX).to_be_bytes();
    (from != to).then_some([event, volume, high, low])
}
