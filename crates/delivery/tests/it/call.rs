//! Made-up recorded calls: the caller hums 440 Hz, the other party 1000 Hz, in PCMU packets of 20 ms.

use std::f64::consts::TAU;

use callreel_media::{Codec, Encoder, Pcm, read_audio};
use callreel_proto::{
    AccountId, AudioFormat, CallId, CaptureId, Channels, Destination, EndReason, HttpMethod, Leg,
    RecordingId, Utc,
};
use callreel_spool::{
    CaptureHeader, Journal, PacketRecord, Promise, Record, Source, Ticket, TicketKind, Writer,
};
use serde_json::json;

pub(crate) const CALLER_HZ: f64 = 440.0;
pub(crate) const OTHER_HZ: f64 = 1000.0;
/// Key 1 (ITU-T Q.23).
pub(crate) const KEY_HZ: [f64; 2] = [697.0, 1209.0];
const RATE: u32 = 8000;
const PACKET: u32 = 160;
const PACKET_NS: u64 = 20_000_000;

/// What a test may change before the recording starts.
pub(crate) type Change<'a> = &'a dyn Fn(&mut Promise);

/// A call being recorded.
pub(crate) struct Call {
    pub(crate) ticket: Ticket,
    journal: Journal,
    legs: [(Leg, f64, Encoder); 2],
    packets: u64,
}

impl Call {
    /// The call begins, and with it its one recording.
    pub(crate) fn begin(spool: &Writer, to: Destination, change: Change<'_>) -> Self {
        let ticket = ticket(to, change);
        let promise = ticket.promise();
        let header = CaptureHeader {
            capture_id: ticket.capture_id().unwrap().clone(),
            call_id: promise.call_id.clone(),
            account_id: promise.account_id.clone(),
            started_at: promise.started_at,
        };
        let journal = spool.create_capture(header).unwrap();
        spool.create_ticket(&ticket).unwrap();
        let leg = |leg, hz| (leg, hz, Encoder::new(Codec::Pcmu));
        Self {
            ticket,
            journal,
            legs: [leg(Leg::A, CALLER_HZ), leg(Leg::B, OTHER_HZ)],
            packets: 0,
        }
    }

    /// Both parties hum, and the journal has it.
    pub(crate) fn talk(&mut self, seconds: u64) {
        self.send(seconds * 50, |_, hum| hum);
    }

    /// The caller presses a key for so many packets, as a phone that sends it as audio; the other party hums on.
    pub(crate) fn press(&mut self, packets: u64) {
        self.send(packets, |leg, hum| match leg {
            Leg::A => KEY_HZ,
            Leg::B => hum,
        });
    }

    fn send(&mut self, packets: u64, sound: impl Fn(Leg, [f64; 2]) -> [f64; 2]) {
        for n in self.packets..self.packets + packets {
            for (leg, hz, encoder) in &mut self.legs {
                let timestamp = u32::try_from(n).unwrap() * PACKET;
                let mut payload = Vec::new();
                let [low, high] = sound(*leg, [*hz, *hz]);
                let (low, high) = (tone(low, timestamp), tone(high, timestamp));
                let mixed = low.iter().zip(high).map(|(low, high)| low / 2 + high / 2);
                encoder.encode(&mixed.collect::<Vec<_>>(), &mut payload);
                let packet = PacketRecord {
                    leg: *leg,
                    arrival_ns: n * PACKET_NS,
                    payload_type: 0,
                    marker: n == 0,
                    sequence: u16::try_from(n).unwrap(),
                    timestamp,
                    ssrc: *leg as u32 + 1,
                    payload: &payload,
                };
                self.journal.append(&Record::Packet(packet)).unwrap();
            }
        }
        self.packets += packets;
        self.journal.flush().unwrap();
    }

    /// The recording ends; the call may go on.
    pub(crate) fn stop_recording(&mut self, spool: &Writer, reason: EndReason) {
        self.ticket.end(self.packets * PACKET_NS, reason).unwrap();
        spool.save_ticket(&self.ticket).unwrap();
    }

    /// The call ends.
    pub(crate) fn hang_up(self) -> Ticket {
        self.journal.seal().unwrap();
        self.ticket
    }
}

/// Records a call of so many seconds: its journal is sealed and its ticket ended, as calls leave them.
pub(crate) fn record(spool: &Writer, seconds: u64, to: Destination, change: Change<'_>) -> Ticket {
    let mut call = Call::begin(spool, to, change);
    call.talk(seconds);
    call.stop_recording(spool, EndReason::Hangup);
    call.hang_up()
}

pub(crate) fn ticket(to: Destination, change: Change<'_>) -> Ticket {
    let now = Utc::now();
    let mut promise = Promise {
        recording_id: RecordingId::random(now),
        source: Source::Capture(CaptureId::random()),
        account_id: account(),
        call_id: CallId::new("ab12@10.0.0.5"),
        kind: TicketKind::Recording,
        format: AudioFormat::Wav,
        channels: Channels::Stereo,
        sample_rate: None,
        destination: to,
        file_name: "call_recording_ab12%4010.0.0.5.wav".to_owned(),
        started_at: now,
        start_ns: 0,
        time_limit_s: 3600,
        min_ms: 0,
        redact_dtmf: false,
        recipient: None,
        span: None,
        of_leg: callreel_proto::Leg::A,
    };
    change(&mut promise);
    let known = json!({"owner_id": "u1", "from": "1001@realm"});
    Ticket::new(promise, known.as_object().unwrap().clone()).unwrap()
}

/// Whose recordings these are.
pub(crate) fn account() -> AccountId {
    AccountId::parse("abcd0123456789abcdef0123456789ab").unwrap()
}

/// PUT to this receiver.
pub(crate) fn put(at: std::net::SocketAddr) -> Destination {
    Destination::http(
        format!("http://{at}/call_recording_ab12%4010.0.0.5.wav")
            .parse()
            .unwrap(),
        HttpMethod::Put,
    )
}

pub(crate) fn tone(hz: f64, from: u32) -> Vec<i16> {
    let sample = |n: u32| (TAU * hz * f64::from(n) / f64::from(RATE)).sin() * 8000.0;
    #[allow(clippy::cast_possible_truncation, reason = "8000 fits")]
    (from..from + PACKET).map(|n| sample(n) as i16).collect()
}

/// Asserts that the file is a stereo call of so many seconds with each voice on its side.
pub(crate) fn assert_heard(file: Vec<u8>, extension: &str, seconds: u32) {
    let channels = read_audio(file, Some(extension)).unwrap();
    let [left, right] = &channels[..] else {
        panic!("{} channels", channels.len());
    };
    for (pcm, own, other) in [(left, CALLER_HZ, OTHER_HZ), (right, OTHER_HZ, CALLER_HZ)] {
        let expected = usize::try_from(seconds * pcm.sample_rate).unwrap();
        assert_eq!(pcm.samples.len(), expected);
        let (heard, leaked) = (strength(pcm, own), strength(pcm, other));
        assert!(heard > 6000.0, "{own} Hz is heard at {heard}");
        assert!(leaked < 300.0, "{other} Hz leaks at {leaked}");
    }
}

/// The amplitude of one frequency over the whole channel.
pub(crate) fn strength(pcm: &Pcm, hz: f64) -> f64 {
    let (mut re, mut im) = (0.0, 0.0);
    for (n, sample) in (0u32..).zip(&pcm.samples) {
        let angle = TAU * hz * f64::from(n) / f64::from(pcm.sample_rate);
        re += f64::from(*sample) * angle.cos();
        im += f64::from(*sample) * angle.sin();
    }
    let count = f64::from(u32::try_from(pcm.samples.len()).unwrap());
    2.0 * re.hypot(im) / count
}
