//! Processes that are killed: real ones, because only the kernel can show that it lets go of what they held.

use std::{
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
};

use callreel_proto::{EndReason, RecordingId, RecordingState};
use callreel_spool::{Keys, Outbox, Ticket, View, Writer};

use crate::{identity, key_file, packet, recorded, settle, ticket, writer, writer_with};

/// Names the spool to the process that [`a_process_of_its_own`] runs in.
const SPOOL: &str = "CALLREEL_TEST_SPOOL";
/// Names its key file, if it has one.
const KEY_FILE: &str = "CALLREEL_TEST_KEY_FILE";
/// Begins what that process tells, among what the test harness prints.
const TOLD: &str = "told: ";

/// Another process on the same spool: it has one growing recording, and delivers if it is told to.
struct Process {
    child: Child,
    stdin: ChildStdin,
    told: BufReader<std::process::ChildStdout>,
}

impl Process {
    fn start(dir: &Path) -> Self {
        Self::start_with(dir, None)
    }

    fn start_with(dir: &Path, key_file: Option<&Path>) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .envs(key_file.map(|file| (KEY_FILE, file)))
            .args([
                "--exact",
                "killed::a_process_of_its_own",
                "--ignored",
                "--nocapture",
            ])
            .env(SPOOL, dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            stdin: child.stdin.take().unwrap(),
            told: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    fn tells(&mut self) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.told.read_line(&mut line).unwrap(), 0, "it has ended");
            // The harness may have begun the line.
            if let Some((_, told)) = line.split_once(TOLD) {
                return told.trim().to_owned();
            }
        }
    }

    fn does(&mut self, order: &str) {
        writeln!(self.stdin, "{order}").unwrap();
        assert_eq!(self.tells(), order);
    }

    /// Kills it as nothing can be killed more.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn ends(mut self) {
        drop(self.stdin);
        let mut rest = String::new();
        self.told.read_to_string(&mut rest).unwrap();
        assert!(self.child.wait().unwrap().success(), "{rest}");
    }
}

#[test]
#[ignore = "the tests of this file run it as a process of its own"]
fn a_process_of_its_own() {
    let tell = |what: &str| println!("{TOLD}{what}");
    let dir = std::env::var(SPOOL).unwrap();
    let key_file = std::env::var(KEY_FILE).ok();
    let writer = writer_with(Path::new(&dir), key_file.as_deref().map(Path::new));
    let (mut ticket, mut journal) = recorded(&writer);
    let mut outbox = None;
    journal.append(&packet(7_000_000_000, b"audio")).unwrap();
    journal.flush().unwrap();
    tell(ticket.recording_id().as_str());
    for order in std::io::stdin().lines() {
        let order = order.unwrap();
        match order.as_str() {
            "end" => {
                ticket.end(8_000_000_000, EndReason::Hangup).unwrap();
                writer.save_ticket(&ticket).unwrap();
            }
            "deliver" => outbox = Some(Outbox::open(&dir).unwrap()),
            other => panic!("nobody taught it to {other}"),
        }
        tell(&order);
    }
    drop(outbox);
}

fn growing(view: &View, id: &str) -> Ticket {
    let ticket = view.ticket(&RecordingId::parse(id).unwrap()).unwrap();
    ticket.unwrap()
}

#[test]
fn what_a_killed_writer_left_is_ended_by_whoever_lives_and_a_living_ones_goes_on() {
    one_is_killed_and_one_lives(None);
}

#[test]
fn what_a_killed_writer_left_sealed_is_ended_by_whoever_has_the_key() {
    one_is_killed_and_one_lives(Some(&key_file(&[&identity(), &identity()])));
}

fn one_is_killed_and_one_lives(key_file: Option<&Path>) {
    let dir = tempfile::tempdir().unwrap();
    let start = || Process::start_with(dir.path(), key_file);
    let (mut killed, mut living) = (start(), start());
    let (lost, kept) = (killed.tells(), living.tells());
    let keys = key_file.map_or_else(Keys::default, |file| Keys::load(file).unwrap());
    let outbox = Outbox::open_with(dir.path(), keys).unwrap();
    let view = outbox.view();
    let recover = || outbox.recover(&view.tickets().unwrap()).unwrap();
    assert_eq!(recover(), []);
    assert_eq!(view.check().unwrap(), []);
    assert_eq!(view.writers().unwrap().len(), 2);

    killed.kill();
    let ended = recover();
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0].recording_id().as_str(), lost);
    assert_eq!(ended[0].end_reason(), Some(EndReason::Interrupted));
    assert_eq!(ended[0].end_ns(), Some(7_000_000_000));
    assert_eq!(growing(view, &kept).state(), RecordingState::Growing);
    assert_eq!(view.writers().unwrap().len(), 1);
    assert_eq!(view.check().unwrap(), []);

    living.does("end");
    living.ends();
    let mut done = growing(view, &kept);
    assert_eq!(done.end_reason(), Some(EndReason::Hangup));
    for ticket in [&ended[0], &mut done] {
        view.read_journal(ticket.capture_id().unwrap()).unwrap();
        settle(&outbox, ticket);
        assert!(view.read_journal(ticket.capture_id().unwrap()).is_err());
    }
    assert_eq!(view.check().unwrap(), []);
}

#[test]
fn a_killed_writers_capture_is_shared_to_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = Process::start(dir.path());
    let told = process.tells();
    process.does("end");
    let (outbox, mine) = (Outbox::open(dir.path()).unwrap(), writer(dir.path()));
    let first = growing(outbox.view(), &told);
    let capture = first.capture_id().unwrap();
    // A second recording of the same capture, whoever has promised it.
    let mut second = ticket(capture);
    mine.create_ticket(&second).unwrap();
    outbox.settle(&first).unwrap();
    process.kill();
    outbox.view().read_journal(capture).unwrap();
    second.end(8_000_000_000, EndReason::Hangup).unwrap();
    mine.save_ticket(&second).unwrap();
    mine.recover().unwrap();
    outbox.view().read_journal(capture).unwrap();
    outbox.settle(&second).unwrap();
    assert!(outbox.view().read_journal(capture).is_err());
}

#[test]
fn delivery_is_free_once_its_process_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = Process::start(dir.path());
    process.tells();
    process.does("deliver");
    let refused = Outbox::open(dir.path()).err().unwrap().to_string();
    let holder = format!("process {}", process.child.id());
    assert!(refused.contains(&holder), "{refused}");
    process.kill();
    Outbox::open(dir.path()).unwrap();
}

#[test]
fn a_process_that_ends_in_order_leaves_no_writer_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = Process::start(dir.path());
    let told = process.tells();
    process.ends();
    let writer: Writer = writer(dir.path());
    assert_eq!(writer.view().writers().unwrap().len(), 1);
    let ended = writer.recover().unwrap();
    assert_eq!(ended.len(), 1, "it left its recording growing");
    assert_eq!(ended[0].recording_id().as_str(), told);
}
