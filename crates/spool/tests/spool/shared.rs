//! Several writers and one delivery on one folder: who may end what, and how long a capture stays. Handles of one process
//! stand for processes here: to the locks they are the same.

use std::{collections::BTreeSet, fs, path::Path};

use callreel_proto::{CaptureId, EndReason, RecordingId, RecordingState};
use callreel_spool::{Journal, Outbox, Ticket, View, Writer};
use proptest::prelude::*;

use crate::{START, Spool, capture, packet, recorded, settle, spool, ticket, writer};

#[test]
fn a_living_writers_recordings_are_nobody_elses_to_end() {
    let (dir, spool) = spool();
    let (other, view) = (writer(dir.path()), View::open(dir.path()));
    let (_growing, _journal) = recorded(&spool.writer);
    // Its journal is closed and its end is not saved yet: the writer is about to do that.
    let (mut closed, journal) = recorded(&spool.writer);
    journal.seal().unwrap();
    assert_eq!(other.recover().unwrap(), []);
    assert_eq!(spool.outbox.recover(&view.tickets().unwrap()).unwrap(), []);
    closed.end(2, EndReason::Hangup).unwrap();
    spool.writer.save_ticket(&closed).unwrap();
    assert_eq!(spool.ticket_of(&closed), Some(closed));
}

#[test]
fn an_end_that_a_writer_saved_before_it_died_is_not_made_twice() {
    let (dir, spool) = spool();
    let (mut ended, journal) = recorded(&spool.writer);
    let seen = spool.view().tickets().unwrap();
    assert_eq!(seen[0].state(), RecordingState::Growing);
    ended.end(2, EndReason::Hangup).unwrap();
    spool.writer.save_ticket(&ended).unwrap();
    drop(journal);
    spool.crash();
    let outbox = Outbox::open(dir.path()).unwrap();
    assert_eq!(outbox.recover(&seen).unwrap(), []);
    let kept = outbox.view().ticket(ended.recording_id()).unwrap();
    assert_eq!(kept, Some(ended));
}

#[test]
fn a_writer_knows_its_own_growing_recordings_from_those_of_others() {
    let (dir, spool) = spool();
    let other = writer(dir.path());
    let (mine, _journal) = recorded(&spool.writer);
    let (mut ended, _journal) = recorded(&spool.writer);
    let (theirs, _journal) = recorded(&other);
    ended.end(2, EndReason::Hangup).unwrap();
    spool.writer.save_ticket(&ended).unwrap();
    assert_eq!(spool.writer.growing().unwrap(), [mine]);
    assert_eq!(other.growing().unwrap(), [theirs]);
}

#[test]
fn recovery_ends_a_ticket_as_its_writer_saved_it_last() {
    let (dir, spool) = spool();
    let (mut growing, mut journal) = recorded(&spool.writer);
    let seen = spool.view().tickets().unwrap();
    growing.begin(3, START.plus_ms(1)).unwrap();
    spool.writer.save_ticket(&growing).unwrap();
    journal.append(&packet(9, b"audio")).unwrap();
    drop(journal);
    spool.crash();
    let outbox = Outbox::open(dir.path()).unwrap();
    let ended = outbox.recover(&seen).unwrap();
    assert_eq!(
        (ended[0].promise().start_ns, ended[0].end_ns()),
        (3, Some(9))
    );
}

#[test]
fn of_many_who_recover_at_once_one_does_it() {
    let (dir, spool) = spool();
    let recordings: Vec<Ticket> = (0..20).map(|_| recorded(&spool.writer).0).collect();
    spool.crash();
    let outbox = Outbox::open(dir.path()).unwrap();
    let tickets = outbox.view().tickets().unwrap();
    let ended: Vec<Ticket> = std::thread::scope(|scope| {
        let mut all = vec![scope.spawn(|| outbox.recover(&tickets).unwrap())];
        for _ in 0..3 {
            all.push(scope.spawn(|| writer(dir.path()).recover().unwrap()));
        }
        let results = all.into_iter().map(|one| one.join().unwrap());
        results.flatten().collect()
    });
    let once: BTreeSet<&RecordingId> = ended.iter().map(Ticket::recording_id).collect();
    assert_eq!((ended.len(), once.len()), (20, 20));
    assert!(
        recordings
            .iter()
            .all(|one| once.contains(one.recording_id()))
    );
    assert_eq!(outbox.view().writers().unwrap(), []);
}

#[test]
fn a_writer_that_comes_waits_until_the_dead_are_swept_up() {
    let (dir, spool) = spool();
    let path = dir.path().join("recovery.lock");
    let recovering = fs::File::create(&path).unwrap();
    recovering.lock().unwrap();
    std::thread::scope(|scope| {
        let coming = scope.spawn(|| writer(dir.path()));
        // Long enough for many writers to come, if nothing held this one up.
        for _ in 0..5000 {
            assert_eq!(spool.view().writers().unwrap().len(), 1);
        }
        recovering.unlock().unwrap();
        let _came = coming.join().unwrap();
        assert_eq!(spool.view().writers().unwrap().len(), 2);
    });
}

#[test]
fn a_capture_stays_until_the_last_of_its_recordings_is_settled() {
    let (dir, spool) = spool();
    let (mut first, mut journal) = recorded(&spool.writer);
    let mut second = ticket(first.capture_id().unwrap());
    spool.writer.create_ticket(&second).unwrap();
    journal.append(&packet(1, b"audio")).unwrap();
    let read = || spool.view().read_journal(first.capture_id().unwrap());
    let mut ended = first.clone();
    ended.end(2, EndReason::Stopped).unwrap();
    spool.writer.save_ticket(&ended).unwrap();
    settle(&spool.outbox, &ended);
    read().unwrap();
    journal.seal().unwrap();
    read().unwrap();
    // Another process delivers the rest.
    let capture = first.capture_id().unwrap().clone();
    second.end(2, EndReason::Hangup).unwrap();
    spool.writer.save_ticket(&second).unwrap();
    let Spool {
        writer: _living,
        outbox,
    } = spool;
    drop(outbox);
    let outbox = Outbox::open(dir.path()).unwrap();
    outbox.view().read_journal(&capture).unwrap();
    settle(&outbox, &second);
    assert!(outbox.view().read_journal(&capture).is_err());
    first.end(2, EndReason::Stopped).unwrap();
    assert_eq!(outbox.view().check().unwrap(), []);
}

#[test]
fn a_capture_whose_recordings_are_settled_before_it_is_closed_goes_then() {
    let (_dir, spool) = spool();
    let (mut ticket, journal) = recorded(&spool.writer);
    ticket.end(2, EndReason::Stopped).unwrap();
    spool.writer.save_ticket(&ticket).unwrap();
    settle(&spool.outbox, &ticket);
    let capture = ticket.capture_id().unwrap();
    spool.view().read_journal(capture).unwrap();
    journal.seal().unwrap();
    assert!(spool.view().read_journal(capture).is_err());
    assert_eq!(spool.view().check().unwrap(), []);
}

/// Makes a spool look as the version before left it: no claims, no writers, no word in the tickets of who wrote them.
fn age(dir: &Path) {
    for capture in fs::read_dir(dir.join("captures")).unwrap() {
        for file in fs::read_dir(capture.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            if path.file_name().unwrap() != "journal" {
                fs::remove_file(path).unwrap();
            }
        }
    }
    for recording in fs::read_dir(dir.join("recordings")).unwrap() {
        let path = recording.unwrap().path().join("ticket.json");
        let mut ticket: serde_json::Value =
            serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        ticket.as_object_mut().unwrap().remove("writer");
        fs::write(&path, ticket.to_string()).unwrap();
    }
    fs::remove_dir_all(dir.join("writers")).unwrap();
    fs::remove_file(dir.join("delivery.lock")).unwrap();
    fs::remove_file(dir.join("recovery.lock")).unwrap();
    fs::write(dir.join("lock"), "4711\n").unwrap();
}

#[test]
fn a_spool_of_the_version_before_is_recovered_and_its_captures_stay_as_long_as_needed() {
    let (dir, spool) = spool();
    let (growing, journal) = recorded(&spool.writer);
    let mut ended = ticket(growing.capture_id().unwrap());
    spool.writer.create_ticket(&ended).unwrap();
    ended.end(2, EndReason::Stopped).unwrap();
    spool.writer.save_ticket(&ended).unwrap();
    drop(journal);
    drop(spool);
    age(dir.path());

    let spool = Spool::open(dir.path());
    let recovered = spool.writer.recover().unwrap();
    assert_eq!(recovered.len(), 1);
    assert_eq!(recovered[0].recording_id(), growing.recording_id());
    settle(&spool.outbox, &ended);
    let capture = growing.capture_id().unwrap();
    spool.view().read_journal(capture).unwrap();
    settle(&spool.outbox, &recovered[0]);
    assert!(spool.view().read_journal(capture).is_err());
    assert_eq!(spool.view().check().unwrap(), []);
}

/// One thing that happens to a spool with two writers; numbers choose among what there is.
#[derive(Debug, Clone)]
enum Event {
    /// A writer begins a capture with a recording.
    Record(usize),
    /// Another recording of a capture that is open.
    RecordToo(usize),
    /// A growing recording ends.
    End(usize),
    /// A capture is closed.
    Close(usize),
    /// A recording that has ended is settled.
    Settle(usize),
    /// The same, and the power of the delivering process ends where the claim is released.
    SettleHalf(usize),
    /// A writer is killed and another takes its place.
    Kill(usize),
    /// A writer, or else delivery, recovers.
    Recover(usize),
    /// Delivery starts anew.
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    let n = || any::<usize>();
    prop_oneof![
        3 => n().prop_map(Event::Record),
        3 => n().prop_map(Event::RecordToo),
        4 => n().prop_map(Event::End),
        3 => n().prop_map(Event::Close),
        4 => n().prop_map(Event::Settle),
        1 => n().prop_map(Event::SettleHalf),
        1 => n().prop_map(Event::Kill),
        2 => n().prop_map(Event::Recover),
        1 => Just(Event::Restart),
    ]
}

/// A spool and what its processes hold.
struct Story {
    dir: tempfile::TempDir,
    writers: Vec<Writer>,
    outbox: Option<Outbox>,
    /// Open journals, each with the number of its writer.
    open: Vec<(usize, Journal)>,
    /// Growing recordings, each with the number of its writer.
    growing: Vec<(usize, Ticket)>,
}

impl Story {
    fn begin() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            writers: vec![writer(dir.path()), writer(dir.path())],
            outbox: Some(Outbox::open(dir.path()).unwrap()),
            open: Vec::new(),
            growing: Vec::new(),
            dir,
        }
    }

    fn outbox(&self) -> &Outbox {
        self.outbox.as_ref().unwrap()
    }

    fn happens(&mut self, event: &Event) {
        match event {
            Event::Record(n) => {
                let by = n % self.writers.len();
                let (id, journal) = capture(&self.writers[by]);
                self.open.push((by, journal));
                self.promise(by, &id);
            }
            Event::RecordToo(n) if !self.open.is_empty() => {
                let (by, journal) = &self.open[n % self.open.len()];
                let (by, id) = (*by, journal.header().capture_id.clone());
                self.promise(by, &id);
            }
            Event::End(n) if !self.growing.is_empty() => {
                let (by, ticket) = self.growing.swap_remove(n % self.growing.len());
                self.end(by, ticket);
            }
            Event::Close(n) if !self.open.is_empty() => {
                let (_, journal) = self.open.swap_remove(n % self.open.len());
                journal.seal().unwrap();
            }
            Event::Settle(n) => {
                if let Some(ticket) = self.pick_ended(*n) {
                    settle(self.outbox(), &ticket);
                }
            }
            Event::SettleHalf(n) => {
                if let Some(ticket) = self.pick_ended(*n) {
                    fs::remove_file(self.claim(&ticket)).unwrap();
                    self.restart();
                }
            }
            Event::Kill(n) => self.kill(n % self.writers.len()),
            Event::Recover(n) => drop(match self.writers.get(n % (self.writers.len() + 1)) {
                Some(writer) => writer.recover().unwrap(),
                None => self.outbox().recover(&self.tickets()).unwrap(),
            }),
            Event::Restart => self.restart(),
            Event::RecordToo(_) | Event::End(_) | Event::Close(_) => {}
        }
    }

    fn promise(&mut self, by: usize, id: &CaptureId) {
        let ticket = ticket(id);
        self.writers[by].create_ticket(&ticket).unwrap();
        self.growing.push((by, ticket));
    }

    fn end(&self, by: usize, mut ticket: Ticket) {
        ticket.end(2, EndReason::Stopped).unwrap();
        self.writers[by].save_ticket(&ticket).unwrap();
    }

    fn claim(&self, ticket: &Ticket) -> std::path::PathBuf {
        let capture = ticket.capture_id().unwrap();
        let journal = self.outbox().view().journal_path(capture);
        journal.with_file_name(format!("for-{}", ticket.recording_id()))
    }

    fn tickets(&self) -> Vec<Ticket> {
        self.outbox().view().tickets().unwrap()
    }

    fn pick_ended(&self, n: usize) -> Option<Ticket> {
        let growing = |ticket: &Ticket| ticket.state() == RecordingState::Growing;
        let mut ended = self.tickets();
        ended.retain(|ticket| !growing(ticket));
        (!ended.is_empty()).then(|| ended.swap_remove(n % ended.len()))
    }

    fn restart(&mut self) {
        self.outbox = None;
        self.outbox = Some(Outbox::open(self.dir.path()).unwrap());
    }

    /// As SIGKILL does it: no journal's end is noticed, and the writer's folder stays, without its lock.
    fn kill(&mut self, by: usize) {
        let (captures, away) = (
            self.dir.path().join("captures"),
            self.dir.path().join("away"),
        );
        let place = self.dir.path().join("writers");
        let place = place.join(self.writers[by].describe().id.to_string());
        fs::rename(&captures, &away).unwrap();
        self.open.retain(|(of, _)| *of != by);
        self.growing.retain(|(of, _)| *of != by);
        self.writers[by] = writer(self.dir.path());
        fs::rename(&away, &captures).unwrap();
        fs::create_dir(&place).unwrap();
        fs::write(place.join("lock"), "").unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn no_recording_ever_misses_its_capture_and_no_capture_outlives_its_recordings(
        events in prop::collection::vec(event(), 1..40),
    ) {
        let mut story = Story::begin();
        for event in &events {
            story.happens(event);
            for ticket in story.tickets() {
                let journal = story.outbox().view().read_journal(ticket.capture_id().unwrap());
                prop_assert!(journal.is_ok(), "{event:?} took the capture of {ticket:?}");
            }
            for (_, ticket) in &story.growing {
                let found = story.outbox().view().ticket(ticket.recording_id()).unwrap();
                prop_assert_eq!(found.as_ref(), Some(ticket), "after {:?}", event);
            }
        }
        for (by, ticket) in std::mem::take(&mut story.growing) {
            story.end(by, ticket);
        }
        story.open.clear();
        story.outbox().recover(&story.tickets()).unwrap();
        while let Some(ticket) = story.pick_ended(0) {
            settle(story.outbox(), &ticket);
        }
        drop(story.writers);
        let left = |folder: &str| fs::read_dir(story.dir.path().join(folder)).unwrap().count();
        prop_assert_eq!((left("captures"), left("recordings"), left("writers")), (0, 0, 0));
    }
}

#[test]
fn what_dead_writers_had_begun_to_make_goes_with_them() {
    let (dir, spool) = spool();
    let id = spool.writer.describe().id.to_string();
    spool.crash();
    let half = dir
        .path()
        .join("writers")
        .join(id)
        .join(RecordingId::random(START).as_str());
    fs::create_dir(&half).unwrap();
    fs::write(half.join("ticket.json.tmp"), "{").unwrap();
    let spool = Spool::open(dir.path());
    assert_eq!(spool.writer.recover().unwrap(), []);
    assert!(!half.exists());
    assert_eq!(spool.view().tickets().unwrap(), []);
}
