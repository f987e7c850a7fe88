//! Masks: what nobody may hear is never on disk, and what others need is silence in one file only.

use std::net::{SocketAddr, UdpSocket};

use callreel_calls::{CallsConfig, RecordingConfig};
use callreel_proto::{
    EventName, Leg, MediaFork, RecordAction, RecordCall, RecordingFact, RecordingNotice,
    RecordingSource,
};
use callreel_spool::{Record, SpoolConfig, Ticket, Writer};
use serde_json::{Value, json};

use crate::{
    kazoo::{Kazoo, TREES, forever, play, record},
    others::{ask, request_of},
    world::{CALL, World},
};

const AUDIO: u8 = 0;
const KEYS: u8 = 101;

/// Twenty milliseconds whose every byte says which part of the call they belong to.
fn rtp(sequence: u16, payload_type: u8, part: u8) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&(u32::from(sequence) * 160).to_be_bytes());
    packet.extend_from_slice(&7u32.to_be_bytes());
    packet.extend_from_slice(&[part; 160]);
    packet
}

/// A phone that says one part of a call after the other, on both legs.
struct Phone {
    socket: UdpSocket,
    to: [SocketAddr; 2],
    sequence: u16,
}

impl Phone {
    fn of(fork: MediaFork) -> Self {
        Self {
            socket: UdpSocket::bind("127.0.0.1:0").unwrap(),
            to: [fork.a, fork.b],
            sequence: 0,
        }
    }

    fn says(&mut self, part: u8) {
        for _ in 0..5 {
            for to in self.to {
                for payload_type in [AUDIO, KEYS] {
                    let packet = rtp(self.sequence, payload_type, part);
                    self.socket.send_to(&packet, to).unwrap();
                }
            }
            self.sequence += 1;
        }
    }
}

/// The bytes of a ticket's journal, as they are on disk.
fn journal(world: &World, ticket: &Ticket) -> Vec<u8> {
    let id = ticket.capture_id().unwrap().as_str();
    let path = world.spool.view().dir().join("captures").join(id);
    std::fs::read(path.join("journal")).unwrap()
}

fn holds(bytes: &[u8], part: u8) -> bool {
    bytes.windows(8).any(|window| window == [part; 8])
}

/// Sequence numbers of audio packets without a payload, and how many packets there are in all.
fn emptied(world: &World, ticket: &Ticket) -> (Vec<u16>, usize) {
    let capture = ticket.capture_id().unwrap();
    let mut reader = world.spool.view().read_journal(capture).unwrap();
    let (mut empty, mut all) = (Vec::new(), 0);
    while let Some(record) = reader.next_record().unwrap() {
        let Record::Packet(packet) = record else {
            continue;
        };
        all += 1;
        if packet.payload.is_empty() && packet.leg == Leg::A && packet.payload_type == AUDIO {
            assert_eq!(
                (packet.ssrc, packet.timestamp),
                (7, u32::from(packet.sequence) * 160)
            );
            empty.push(packet.sequence);
        }
    }
    (empty, all)
}

impl World {
    /// Another application begins a recording of this name.
    async fn records(&mut self, name: &str) -> (MediaFork, RecordingNotice) {
        let terms = RecordCall {
            transfer_destination: Some("http://r.test/in".to_owned()),
            ..RecordCall::default()
        };
        ask(
            self,
            &request_of(self, RecordAction::Start, Some(name), terms),
        )
        .await;
        let (fork, _) = self.started().await;
        (fork, self.noticed(RecordingFact::Started).await)
    }

    /// It wants this done to the recording of this name, or to the call.
    async fn wants(&self, action: RecordAction, name: Option<&str>) {
        ask(self, &request_of(self, action, name, RecordCall::default())).await;
    }

    /// Returns when so many packets have reached the capture.
    async fn received(&self, packets: u64) {
        let is_so = |described: &Value| {
            let [call, recorder] = [&described["calls"][0], &described["recorders"][0]];
            let of = |actor: &Value| {
                let counts = &actor["recorder"]["received"]["packets"];
                counts[0].as_u64().unwrap_or(0) + counts[1].as_u64().unwrap_or(0)
            };
            of(call) + of(recorder) >= packets
        };
        self.until(is_so).await;
    }

    async fn hangs_up(&mut self) -> Ticket {
        self.says(EventName::ChannelDestroy, |_| {}).await;
        let ended = self.noticed(RecordingFact::Ended).await;
        self.ticket_of(&ended)
    }
}

#[tokio::test]
async fn what_the_call_says_while_it_is_masked_never_reaches_the_disk() {
    let mut world = World::with_flow(forever()).await;
    let (fork, begun) = world.records("x.wav").await;
    let mut phone = Phone::of(fork);
    phone.says(0x11);
    world.wants(RecordAction::Mask, None).await;
    let masked = world.noticed(RecordingFact::Masked).await;
    let by = masked.ordered_by.clone().unwrap();
    assert_eq!(by.source, RecordingSource::Application);
    assert_eq!(by.who.as_deref(), Some("compliance"));
    phone.says(0x22);
    world.received(40).await;
    // What a killed process leaves behind is what is on disk now.
    let crashed = recovered(&world, &begun);
    assert_eq!(crashed.masks().len(), 1, "{crashed:?}");
    world.wants(RecordAction::Unmask, None).await;
    world.noticed(RecordingFact::Unmasked).await;
    phone.says(0x33);
    world.received(60).await;
    let ticket = world.hangs_up().await;
    let bytes = journal(&world, &ticket);
    let (before, after) = (holds(&bytes, 0x11), holds(&bytes, 0x33));
    assert!(before && after, "what was not masked is there");
    assert!(!holds(&bytes, 0x22), "what was masked is not");
    assert_eq!(emptied(&world, &ticket), ((5..10).collect(), 60));
    let [mask] = ticket.masks() else {
        panic!("one mask: {ticket:?}");
    };
    assert_eq!(mask.by.as_ref(), Some(&by));
    assert!(mask.ended_by.is_some() && mask.until_ns.unwrap() > mask.from_ns);
    let offset = (mask.from_ns - ticket.promise().start_ns) / 1_000_000;
    assert_eq!(masked.offset_ms, Some(offset));
}

/// What the next start makes of a copy of the spool as it lies on the disk now.
fn recovered(world: &World, begun: &RecordingNotice) -> Ticket {
    let ticket = world.ticket_of(begun);
    let copy = tempfile::tempdir().unwrap();
    copy_folder(world.spool.view().dir(), copy.path());
    let writer = Writer::open(copy.path(), &SpoolConfig::default()).unwrap();
    writer.recover().unwrap();
    let recovered = writer.view().ticket(ticket.recording_id()).unwrap();
    let id = ticket.capture_id().unwrap().as_str();
    let bytes = std::fs::read(copy.path().join("captures").join(id).join("journal")).unwrap();
    assert!(holds(&bytes, 0x11) && !holds(&bytes, 0x22));
    recovered.unwrap()
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn a_mask_by_name_is_silence_in_one_file_and_audio_for_the_other() {
    let mut world = World::with_flow(forever()).await;
    let (fork, one) = world.records("one.wav").await;
    world.records("two.wav").await;
    let mut phone = Phone::of(fork);
    world.wants(RecordAction::Mask, Some("one.wav")).await;
    let masked = world.noticed(RecordingFact::Masked).await;
    assert_eq!(masked.recording_id, one.recording_id);
    phone.says(0x11);
    world.received(20).await;
    // Without the other, nobody needs what the first must not hear.
    world.wants(RecordAction::Stop, Some("two.wav")).await;
    let two = world.noticed(RecordingFact::Ended).await;
    assert!(world.ticket_of(&two).masks().is_empty());
    assert_eq!(world.commanded().await.name(), "record_call");
    phone.says(0x22);
    world.received(40).await;
    // A newcomer does, from its start.
    world.records("three.wav").await;
    phone.says(0x33);
    world.received(60).await;
    world.wants(RecordAction::Stop, Some("three.wav")).await;
    world.noticed(RecordingFact::Ended).await;
    let ticket = world.hangs_up().await;
    assert_eq!(Some(ticket.recording_id()), one.recording_id.as_ref());
    let bytes = journal(&world, &ticket);
    assert!(holds(&bytes, 0x11) && holds(&bytes, 0x33));
    assert!(!holds(&bytes, 0x22));
    let [mask] = ticket.masks() else {
        panic!("one mask: {ticket:?}");
    };
    assert_eq!(mask.until_ns, ticket.end_ns());
}

#[tokio::test]
async fn what_begins_while_the_call_is_masked_is_masked_from_its_start() {
    let mut world = World::with_flow(forever()).await;
    let (fork, _) = world.records("one.wav").await;
    world.wants(RecordAction::Mask, None).await;
    world.noticed(RecordingFact::Masked).await;
    world.wants(RecordAction::Stop, Some("one.wav")).await;
    world.noticed(RecordingFact::Ended).await;
    let stop = world.commanded().await;
    assert_eq!(stop.name(), "record_call");
    // It has a capture of its own, from its first packet without audio.
    let (other, _) = world.records("two.wav").await;
    assert_ne!(other, fork);
    let masked = world.noticed(RecordingFact::Masked).await;
    assert_eq!((masked.call_id.as_str(), masked.offset_ms), (CALL, Some(0)));
    Phone::of(other).says(0x22);
    world.received(20).await;
    let ticket = world.ticket_of(&masked);
    assert_eq!(ticket.masks()[0].from_ns, ticket.promise().start_ns);
    let ticket = world.hangs_up().await;
    assert!(!holds(&journal(&world, &ticket), 0x22));
    assert_eq!(emptied(&world, &ticket), ((0..5).collect(), 20));
}

#[tokio::test]
async fn keys_that_are_to_be_redacted_are_never_written_down() {
    let config = RecordingConfig {
        redact_dtmf: true,
        ..RecordingConfig::default()
    };
    let mut world = World::with_settings(forever(), CallsConfig::default(), config, &[]).await;
    let (fork, _) = world.records("x.wav").await;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for leg in [fork.a, fork.b] {
        socket.send_to(&rtp(1, AUDIO, 0x11), leg).unwrap();
        socket.send_to(&rtp(2, KEYS, 0x22), leg).unwrap();
    }
    world.received(4).await;
    let ticket = world.hangs_up().await;
    assert!(ticket.promise().redact_dtmf);
    let bytes = journal(&world, &ticket);
    assert!(holds(&bytes, 0x11) && !holds(&bytes, 0x22));
    assert_eq!(world.journalled(&ticket), [vec![1, 2], vec![1, 2]]);
}

#[tokio::test]
async fn a_switch_of_others_is_told_to_leave_the_audio_out_of_each_file() {
    let unmask = json!({"module": "record_call", "data": {"action": "unmask"}, "children": {"_": forever()}});
    let mask = json!({"module": "record_call", "data": {"action": "mask"}, "children": {"_": play(unmask)}});
    for tree in TREES {
        let flow = record(record(play(mask.clone())));
        let mut kazoo = Kazoo::with_call(tree, flow).await;
        let mut names = Vec::new();
        let mut begun = Vec::new();
        for _ in 0..2 {
            let start = kazoo.commanded("record_call").await;
            kazoo.record("RECORD_START", &start, &json!({})).await;
            begun.push(kazoo.noticed(RecordingFact::Started).await);
            names.push(start["Media-Name"].clone());
        }
        for action in ["mask", "unmask"] {
            let mark = kazoo.commanded("noop").await;
            kazoo.done("noop", mark["Msg-ID"].as_str().unwrap()).await;
            for name in &names {
                let told = kazoo.commanded("record_call").await;
                assert_eq!(
                    (&told["Record-Action"], &told["Media-Name"]),
                    (&json!(action), name)
                );
                assert_eq!(told.get("Media-Fork"), None);
            }
        }
        for begun in &begun {
            kazoo.noticed(RecordingFact::Unmasked).await;
            let ticket = kazoo.world.ticket_of(begun);
            let [mask] = ticket.masks() else {
                panic!("one mask: {ticket:?}");
            };
            assert!(mask.until_ns.is_some_and(|until| until > mask.from_ns));
        }
    }
}
