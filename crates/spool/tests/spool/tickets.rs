//! A ticket moves only along its states, survives the disk word for word, and cannot point outside the spool.

use callreel_proto::{CaptureId, EndReason, Hold, RecordingState, Utc};
use callreel_spool::{Error, ImpossibleTransition, Ticket, check_file_name};
use serde_json::{Map, json};

use crate::{header, promise, rendition, spool, ticket};

type Step = (
    &'static str,
    fn(&mut Ticket) -> Result<(), ImpossibleTransition>,
);

fn at(s: i64) -> Utc {
    crate::START.plus_ms(s * 1000)
}

const STEPS: [Step; 14] = [
    ("mask", |t| t.masked(2_000_000_000, None)),
    ("unmask", |t| t.unmasked(3_000_000_000, None)),
    ("end", |t| t.end(5_000_000_000, EndReason::Stopped)),
    ("rendered", |t| t.rendered(rendition(10))),
    ("rendering failed", |t| {
        t.rendering_failed(at(8), "disk full", at(9))
    }),
    ("rendition lost", Ticket::rendition_lost),
    ("attempt failed", |t| {
        t.attempt_failed(at(1), "HTTP 500", at(6))
    }),
    ("uploaded", |t| t.uploaded(at(2), None)),
    ("delivered", |t| t.delivered(at(3))),
    ("undeliverable", |t| t.undeliverable(at(4), "gave up")),
    ("discarded", |t| t.discarded(at(5), "dropped by an order")),
    ("retry", Ticket::retry),
    ("fetched", Ticket::fetched),
    ("begin", |t| t.begin(1_500_000_000, at(0))),
];

/// A ticket brought into this state by the shortest way.
fn ticket_in(state: RecordingState) -> Ticket {
    let mut ticket = ticket(&CaptureId::random());
    let way: &[usize] = match state {
        RecordingState::Growing => &[],
        RecordingState::Ended => &[2],
        RecordingState::Rendered => &[2, 3],
        RecordingState::Delivering => &[2, 3, 6],
        RecordingState::Delivered => &[2, 3, 8],
        RecordingState::Undeliverable => &[2, 3, 6, 9],
        RecordingState::Discarded => &[2, 10],
    };
    for step in way {
        STEPS[*step].1(&mut ticket).unwrap();
    }
    assert_eq!(ticket.state(), state);
    ticket
}

#[test]
fn what_a_legal_hold_is_on_is_never_discarded() {
    use RecordingState::{Delivering, Ended, Rendered, Undeliverable};
    let hold = Hold {
        by: "records@example.com".to_owned(),
        reason: "court order".to_owned(),
        since: 63_876_470_399,
    };
    for state in [Ended, Rendered, Delivering, Undeliverable] {
        let mut ticket = ticket_in(state);
        ticket.set_hold(Some(hold.clone())).unwrap();
        let refused = ticket.discarded(at(5), "an order").unwrap_err();
        assert!(refused.to_string().contains("legal hold"), "{refused}");
        assert!(ticket.too_short(at(5)).is_err());
        assert_eq!(ticket.state(), state);
        ticket.set_hold(None).unwrap();
        ticket.discarded(at(5), "an order").unwrap();
        assert!(ticket.set_hold(Some(hold.clone())).is_err());
    }
}

#[test]
fn only_the_steps_of_the_lifecycle_are_possible() {
    use RecordingState::{
        Delivered, Delivering, Discarded, Ended, Growing, Rendered, Undeliverable,
    };
    let allowed: [(RecordingState, &[(&str, RecordingState)]); 7] = [
        (
            Growing,
            &[
                ("mask", Growing),
                ("unmask", Growing),
                ("end", Ended),
                ("begin", Growing),
            ],
        ),
        (
            Ended,
            &[
                ("rendered", Rendered),
                ("rendering failed", Ended),
                ("fetched", Ended),
                ("undeliverable", Undeliverable),
                ("discarded", Discarded),
                ("retry", Ended),
            ],
        ),
        (
            Rendered,
            &[
                ("rendition lost", Ended),
                ("attempt failed", Delivering),
                ("uploaded", Delivering),
                ("delivered", Delivered),
                ("undeliverable", Undeliverable),
                ("discarded", Discarded),
                ("retry", Rendered),
            ],
        ),
        (
            Delivering,
            &[
                ("rendition lost", Ended),
                ("attempt failed", Delivering),
                ("uploaded", Delivering),
                ("delivered", Delivered),
                ("undeliverable", Undeliverable),
                ("discarded", Discarded),
                ("retry", Delivering),
            ],
        ),
        (Delivered, &[]),
        (
            Undeliverable,
            &[("discarded", Discarded), ("retry", Delivering)],
        ),
        (Discarded, &[]),
    ];
    for (from, steps) in allowed {
        for (name, step) in STEPS {
            let mut ticket = ticket_in(from);
            let before = ticket.clone();
            let expected = steps.iter().find(|(allowed, _)| *allowed == name);
            match (step(&mut ticket), expected) {
                (Ok(()), Some((_, to))) => assert_eq!(ticket.state(), *to, "{name} from {from:?}"),
                (Err(_), None) => assert_eq!(ticket, before, "a refused {name} changed the ticket"),
                (done, _) => panic!("{name} from {from:?}: {done:?}"),
            }
        }
    }
}

#[test]
fn every_state_survives_the_disk_word_for_word() {
    let (_dir, spool) = spool();
    for state in [
        RecordingState::Growing,
        RecordingState::Ended,
        RecordingState::Rendered,
        RecordingState::Delivering,
        RecordingState::Delivered,
        RecordingState::Undeliverable,
        RecordingState::Discarded,
    ] {
        let mut ticket = ticket_in(state);
        ticket
            .document_mut()
            .insert("from".to_owned(), json!("1001@r"));
        let _journal = spool
            .writer
            .create_capture(header(ticket.capture_id().unwrap()));
        spool.writer.create_ticket(&ticket).unwrap();
        assert_eq!(spool.ticket_of(&ticket), Some(ticket));
    }
}

#[test]
fn a_ticket_on_disk_is_json_a_person_can_read() {
    let written = serde_json::to_value(ticket_in(RecordingState::Delivering)).unwrap();
    assert_eq!(written["ticket"], 1);
    assert_eq!(written["state"], "delivering");
    assert_eq!(written["destination"]["to"], "http");
    assert_eq!(written["destination"]["method"], "put");
    assert_eq!(written["end_reason"], "stopped");
    assert_eq!(written["delivery"]["attempts"], 1);
    assert_eq!(written["delivery"]["last_error"], "HTTP 500");
}

#[test]
fn attempts_are_counted_and_the_first_is_remembered() {
    let mut ticket = ticket_in(RecordingState::Rendered);
    ticket.attempt_failed(at(1), "refused", at(6)).unwrap();
    ticket.attempt_failed(at(6), "HTTP 500", at(16)).unwrap();
    let log = ticket.delivery();
    assert_eq!((log.attempts, log.first_attempt_at), (2, Some(at(1))));
    assert_eq!(log.next_attempt_at, Some(at(16)));
    ticket.uploaded(at(16), Some(at(20))).unwrap();
    ticket.delivered(at(20)).unwrap();
    let log = ticket.delivery();
    assert_eq!((log.attempts, log.last_error.as_deref()), (3, None));
    assert_eq!(
        (log.uploaded_at, log.finished_at),
        (Some(at(16)), Some(at(20)))
    );
    assert_eq!(log.next_attempt_at, None);
}

#[test]
fn a_retry_starts_the_time_to_give_up_anew() {
    let mut ticket = ticket_in(RecordingState::Undeliverable);
    ticket.retry().unwrap();
    let log = ticket.delivery();
    assert_eq!(
        (log.first_attempt_at, log.next_attempt_at, log.finished_at),
        (None, None, None)
    );
    assert_eq!(log.attempts, 1, "what was tried stays known");
    let mut never_rendered = ticket_in(RecordingState::Ended);
    never_rendered
        .undeliverable(at(1), "cannot be rendered")
        .unwrap();
    never_rendered.retry().unwrap();
    assert_eq!(never_rendered.state(), RecordingState::Ended);
}

#[test]
fn an_end_closes_what_was_open_and_never_lies_before_the_start() {
    let mut ticket = ticket(&CaptureId::random());
    ticket.masked(2_000_000_000, None).unwrap();
    ticket.masked(2_500_000_000, None).unwrap();
    assert_eq!(ticket.masks()[0].from_ns, 2_000_000_000);
    assert_eq!((ticket.masks().len(), ticket.is_masked()), (1, true));
    ticket.end(4_500_000_000, EndReason::Hangup).unwrap();
    assert_eq!(ticket.closed_masks(), [(2_000_000_000, 4_500_000_000)]);
    assert_eq!(ticket.length_ms(), Some(3500));
    let mut early = crate::ticket(&CaptureId::random());
    early.end(5, EndReason::Interrupted).unwrap();
    assert_eq!(
        (early.end_ns(), early.length_ms()),
        (Some(1_000_000_000), Some(0))
    );
}

#[test]
fn a_recording_that_begins_late_is_as_long_as_its_audio() {
    let mut ticket = ticket(&CaptureId::random());
    ticket.begin(3_000_000_000, at(2)).unwrap();
    ticket.end(5_000_000_000, EndReason::Silence).unwrap();
    assert_eq!(ticket.length_ms(), Some(2000));
    assert_eq!(ticket.promise().started_at, at(2));
}

#[test]
fn a_recording_that_is_too_short_says_so_as_its_end_reason() {
    let mut ticket = ticket_in(RecordingState::Ended);
    ticket.too_short(at(1)).unwrap();
    assert_eq!(ticket.state(), RecordingState::Discarded);
    assert_eq!(ticket.end_reason(), Some(EndReason::TooShort));
    assert!(
        ticket
            .delivery()
            .last_error
            .as_ref()
            .unwrap()
            .contains("minimum")
    );
}

#[test]
fn file_names_cannot_leave_the_recordings_folder() {
    let long = "x".repeat(241);
    for bad in [
        "",
        ".",
        "..",
        ".hidden",
        "a/b",
        "../a",
        "a\\b",
        "a\0b",
        "a\nb",
        "ticket.json",
        "ticket.json.tmp",
        "x.mp3.part",
        "switch-file",
        &long,
    ] {
        assert!(check_file_name(bad).is_err(), "{bad:?}");
        let mut bad_promise = promise(&CaptureId::random());
        bad_promise.file_name = bad.to_owned();
        assert!(matches!(
            Ticket::new(bad_promise, Map::new()),
            Err(Error::FileName { .. })
        ));
    }
    for good in ["call_recording_a%40b.mp3", "x..mp3", "é.wav", &long[..240]] {
        check_file_name(good).unwrap();
    }
}

#[test]
fn a_ticket_that_contradicts_itself_or_leaves_the_spool_is_not_read() {
    let good = serde_json::to_value(ticket_in(RecordingState::Rendered)).unwrap();
    let read = |value: &serde_json::Value| serde_json::from_value::<Ticket>(value.clone());
    read(&good).unwrap();
    for (key, bad) in [
        ("ticket", json!(2)),
        ("recording_id", json!("../../etc")),
        ("capture_id", json!("..")),
        ("account_id", json!("x")),
        ("file_name", json!("../x")),
        ("destination", json!({"to": "moon"})),
        ("state", json!("lost")),
    ] {
        let mut broken = good.clone();
        broken[key] = bad;
        assert!(read(&broken).is_err(), "{key}");
    }
    let mut versionless = good;
    versionless.as_object_mut().unwrap().remove("ticket");
    assert!(read(&versionless).is_err());
}
