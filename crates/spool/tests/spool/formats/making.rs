//! Makes the spool that the version at hand leaves when it is killed: a recording in every state, some hundred bytes of audio.

use std::{fs, path::Path};

use callreel_proto::{AudioFormat, CaptureId, Destination, EndReason, Hold, HttpMethod, Leg};
use callreel_spool::{
    Announcement, Journal, Mark, PacketRecord, Promise, Record, RenditionInfo, Source, SwitchFile,
    Ticket, TicketKind, Writer,
};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{FETCHED, GIVEN_UP, GROWING, MESSAGE, MS, PACKETS, TRIED, id};
use crate::{START, Spool, header, mark, packet, promise};

/// Writes the spool of the version at hand, as it is when its process is killed, into the folder that `CALLREEL_FORMATS`
/// names.
#[test]
#[ignore = "writes the fixtures of a version that is about to be released (docs/upgrades.md)"]
fn write_the_fixtures() {
    let to = std::env::var("CALLREEL_FORMATS").unwrap();
    let dir = Path::new(&to).join("spool");
    fs::create_dir_all(&dir).unwrap();
    let secret = format!(
        "# Opens the spool beside it, and nothing else.\n{}",
        crate::identity()
    );
    fs::write(Path::new(&to).join("spool.key"), &secret).unwrap();
    let key = crate::key_file(&[&secret]);
    let spool = Spool::open(&dir);
    let journal = growing(&spool);
    let keyed = crate::writer_with(&dir, Some(&key));
    message(&keyed);
    tried(&spool);
    given_up(&spool);
    fetched(&spool);
    drop((journal, keyed));
    spool.crash();
    for lock in ["lock", "delivery.lock", "recovery.lock", "manifest/lock"] {
        fs::remove_file(dir.join(lock)).unwrap();
    }
}

/// One that is masked for a while, and announced by a beep that is not over.
fn growing(spool: &Spool) -> Journal {
    let capture = capture_id(1);
    let mut journal = talk(&spool.writer, &capture);
    let mut ticket = grows(&spool.writer, GROWING, Source::Capture(capture), &|_| {});
    for (at, step) in [
        (20 * MS, Mark::Masked(id(GROWING))),
        (40 * MS, Mark::Unmasked(id(GROWING))),
    ] {
        journal.append(&mark(at, step)).unwrap();
    }
    journal.flush().unwrap();
    ticket.masked(20 * MS, None).unwrap();
    let beep = Announcement {
        what: "beep".to_owned(),
        heard_by: vec![ticket.promise().call_id.clone()],
        from_ns: 10 * MS,
        until_ns: None,
    };
    ticket.announcing(beep).unwrap();
    spool.writer.save_ticket(&ticket).unwrap();
    journal
}

/// One whose journal is sealed.
fn message(keyed: &Writer) {
    let capture = capture_id(2);
    let journal = talk(keyed, &capture);
    let ticket = grows(keyed, MESSAGE, Source::Capture(capture), &|promise| {
        promise.kind = TicketKind::Voicemail;
    });
    end(keyed, ticket);
    journal.seal().unwrap();
}

fn tried(spool: &Spool) {
    let mut ticket = rendered(spool, TRIED, &|_| {});
    ticket
        .attempt_failed(START, "the disk is full", START)
        .unwrap();
    spool.outbox.save_ticket(&ticket).unwrap();
}

fn given_up(spool: &Spool) {
    let mut ticket = rendered(spool, GIVEN_UP, &|promise| {
        let url = "http://192.0.2.1/r/call.wav".parse().unwrap();
        promise.destination = Destination::http(url, HttpMethod::Put);
        if let Destination::Http { headers, .. } = &mut promise.destination {
            headers.insert("X-Case".to_owned(), "7".to_owned());
        }
    });
    ticket.undeliverable(START, "nobody is there").unwrap();
    let hold = Hold {
        by: "someone".to_owned(),
        reason: "a lawsuit".to_owned(),
        since: START.gregorian_seconds(),
    };
    ticket.set_hold(Some(hold)).unwrap();
    spool.outbox.save_ticket(&ticket).unwrap();
}

/// One that a foreign switch has recorded, and whose file is here.
fn fetched(spool: &Spool) {
    let wav = wav();
    let file = SwitchFile {
        node: "freeswitch@192.0.2.2".to_owned(),
        media_name: "0f1e.wav".to_owned(),
        control_queue: "control".to_owned(),
        path: Some("/tmp/0f1e.wav".to_owned()),
        bytes: Some(wav.len() as u64),
        ..SwitchFile::default()
    };
    let ticket = grows(&spool.writer, FETCHED, Source::Switch(file), &|_| {});
    let ticket = end(&spool.writer, ticket);
    fs::write(spool.view().switch_file_path(&ticket), &wav).unwrap();
}

/// One that has its audio file.
fn rendered(spool: &Spool, name: &str, change: &dyn Fn(&mut Promise)) -> Ticket {
    let ticket = grows(&spool.writer, name, Source::Capture(capture_id(1)), change);
    let mut ticket = end(&spool.writer, ticket);
    let wav = wav();
    let rendition = RenditionInfo {
        sha256: hex::encode(Sha256::digest(&wav)),
        ..crate::rendition(wav.len() as u64)
    };
    ticket.rendered(rendition).unwrap();
    fs::write(spool.view().rendition_path(&ticket), &wav).unwrap();
    spool.outbox.save_ticket(&ticket).unwrap();
    ticket
}

fn capture_id(nth: u8) -> CaptureId {
    CaptureId::parse(&format!("{nth:032x}")).unwrap()
}

/// Both parties are heard for 80 ms.
fn talk(writer: &Writer, id: &CaptureId) -> Journal {
    let mut journal = writer.create_capture(header(id)).unwrap();
    for nth in 0..PACKETS {
        for leg in [Leg::A, Leg::B] {
            let payload = [0xD5 ^ leg as u8; 160];
            let Record::Packet(like) = packet(u64::from(nth) * 20 * MS, &payload) else {
                unreachable!("it is a packet");
            };
            let heard = PacketRecord {
                leg,
                sequence: nth,
                timestamp: u32::from(nth) * 160,
                ssrc: leg as u32 + 1,
                ..like
            };
            journal.append(&Record::Packet(heard)).unwrap();
        }
    }
    journal.flush().unwrap();
    journal
}

fn grows(writer: &Writer, name: &str, source: Source, change: &dyn Fn(&mut Promise)) -> Ticket {
    let mut promise = Promise {
        recording_id: id(name),
        source,
        format: AudioFormat::Wav,
        file_name: "call_recording_3e7f%4010.0.0.1.wav".to_owned(),
        destination: Destination::AccountDb,
        start_ns: 0,
        ..promise(&capture_id(1))
    };
    change(&mut promise);
    let document = json!({"owner_id": "u1"});
    let ticket = Ticket::new(promise, document.as_object().unwrap().clone()).unwrap();
    writer.create_ticket(&ticket).unwrap();
    ticket
}

fn end(writer: &Writer, mut ticket: Ticket) -> Ticket {
    ticket.end(80 * MS, EndReason::Hangup).unwrap();
    writer.save_ticket(&ticket).unwrap();
    ticket
}

/// 20 ms of silence, 8 kHz, as a plain WAV file.
fn wav() -> Vec<u8> {
    let data = [0_u8; 320];
    let length = data.len() as u32;
    let head: [&[u8]; 10] = [
        b"RIFF",
        &(36 + length).to_le_bytes(),
        b"WAVEfmt ",
        &16_u32.to_le_bytes(),
        &[1, 0, 1, 0],
        &8000_u32.to_le_bytes(),
        &16_000_u32.to_le_bytes(),
        &[2, 0, 16, 0],
        b"data",
        &length.to_le_bytes(),
    ];
    [head.concat(), data.to_vec()].concat()
}
