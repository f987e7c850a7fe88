//! Reads a manifest from its first line to its last and tells what is wrong with the chain. Repairs nothing.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use super::{Head, Line, Manifest, Receipt, line};
use crate::{Error, Finding, error::At, locks::Lock};

/// What a repair does about a head that is not there.
const GO_ON: &str = "go on after the last line and say so";

/// What a reading of the whole manifest found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    /// Lines read that are what was written.
    pub lines: u64,
    /// The number of the first line that is here; those before it are archived, or were removed.
    pub first: Option<u64>,
    /// The last line: who keeps it elsewhere can tell later that nothing before it was changed.
    pub head: Option<Receipt>,
    /// What is wrong, with file and line.
    pub findings: Vec<Finding>,
}

impl Manifest {
    /// Reads every line, tells each that is what was written with its file and its number there, and checks the chain. Lines that are appended meanwhile are not
    /// looked at.
    ///
    /// # Errors
    /// The disk refused.
    pub fn verify(&self, mut each: impl FnMut(&Path, u64, &Line)) -> Result<Verified, Error> {
        let mut reading = Reading::default();
        let (head, months) = self.picture(&mut reading)?;
        for (path, length) in &months {
            reading.month(path, *length, head.as_ref(), &mut each)?;
        }
        reading.compare(&self.head_path(), head.as_ref(), !months.is_empty());
        reading.tell_newer();
        Ok(reading.done)
    }

    /// Head, files and their lengths at one moment between two appends.
    #[allow(clippy::type_complexity, reason = "it is taken apart at once")]
    fn picture(&self, reading: &mut Reading) -> Result<(Option<Head>, Vec<(PathBuf, u64)>), Error> {
        // On a disk that is read-only nobody appends either.
        let _still = self
            .dir
            .exists()
            .then(|| Lock::wait(&self.dir.join("lock")).ok());
        let head = match self.stored_head() {
            Ok(head) => head,
            Err(Error::Manifest { path, reason }) => {
                let words = format!(
                    "it cannot be read ({reason}): nothing tells whether lines are missing at the end; the next entry mends it"
                );
                let finding = Finding::new(&path, words).mended_by(GO_ON);
                reading.done.findings.push(finding);
                None
            }
            Err(error) => return Err(error),
        };
        let mut months = Vec::new();
        for (_, path) in self.months()? {
            let length = path.metadata().at("look at", &path)?.len();
            months.push((path, length));
        }
        Ok((head, months))
    }
}

/// A walk along the chain.
#[derive(Default)]
struct Reading {
    done: Verified,
    /// Lines just before that are not what was written, so that the next one follows nothing that is known.
    broken: u64,
    /// Lines that only a newer version understands, and the first of them: its file and its number there.
    newer: u64,
    first_newer: Option<(PathBuf, u64)>,
    /// The hash of the line that the head names, as it was read.
    at_head: Option<String>,
}

impl Reading {
    fn month(
        &mut self,
        path: &Path,
        length: u64,
        head: Option<&Head>,
        each: &mut impl FnMut(&Path, u64, &Line),
    ) -> Result<(), Error> {
        let file = File::open(path).at("open", path)?;
        let mut lines = BufReader::new(file.take(length));
        for number in 1_u64.. {
            let mut text = Vec::new();
            if lines.read_until(b'\n', &mut text).at("read", path)? == 0 {
                break;
            }
            if text.pop() != Some(b'\n') {
                let words = format!(
                    "line {number}: it was never finished: a crash left it, and the next entry cuts it away"
                );
                let finding = Finding::new(path, words).mended_by("cut it away and say so");
                self.done.findings.push(finding);
                break;
            }
            match line::read(&text) {
                Ok(line) => {
                    self.link(path, number, &line);
                    if head.is_some_and(|head| head.last.seq == line.seq) {
                        self.at_head = Some(line.hash.clone());
                    }
                    if line.entry.is_none() {
                        self.newer += 1;
                        self.first_newer.get_or_insert((path.to_owned(), number));
                    }
                    each(path, number, &line);
                    self.done.lines += 1;
                    self.done.first.get_or_insert(line.seq);
                    self.done.head = Some(Receipt {
                        seq: line.seq,
                        hash: line.hash,
                    });
                    self.broken = 0;
                }
                Err(reason) => {
                    self.find(path, number, &reason);
                    self.broken += 1;
                }
            }
        }
        Ok(())
    }

    /// Whether a line follows the one before it.
    fn link(&mut self, path: &Path, number: u64, line: &Line) {
        let Some(before) = self.done.head.clone() else {
            if line.seq == 1 && line.prev != line::NOTHING_BEFORE {
                self.find(
                    path,
                    number,
                    "it is the first line of all and names one before it",
                );
            }
            return;
        };
        let expected = before.seq + 1;
        if line.seq > expected + self.broken {
            let words = format!("lines {expected} to {} are missing before it", line.seq - 1);
            self.find(path, number, &words);
        } else if line.seq <= before.seq {
            let words = format!(
                "it is line {} and stands after line {}",
                line.seq, before.seq
            );
            self.find(path, number, &words);
        } else if self.broken == 0 && line.prev != before.hash {
            self.find(
                path,
                number,
                "it does not follow the line before it: that one was replaced",
            );
        }
    }

    /// Whether the lines reach as far as the head says.
    fn compare(&mut self, path: &Path, head: Option<&Head>, months: bool) {
        let last = self.done.head.as_ref().map_or(0, |last| last.seq);
        let words = match head {
            None if months && self.done.findings.is_empty() => {
                let words = "it is missing: nothing tells whether lines are missing at the end; the next entry mends it";
                let finding = Finding::new(path, words).mended_by(GO_ON);
                return self.done.findings.push(finding);
            }
            None => return,
            Some(head) if head.last.seq > last => format!(
                "it names line {}, and the last one is {last}: lines are missing at the end",
                head.last.seq
            ),
            Some(head) if self.at_head.as_ref() != Some(&head.last.hash) => format!(
                "it names another line {} than the one that is there: that one was replaced",
                head.last.seq
            ),
            Some(_) => return,
        };
        self.done.findings.push(Finding::new(path, words));
    }

    /// A line that nobody here understands may be the end of a recording that seems to have none.
    fn tell_newer(&mut self) {
        if let Some((path, number)) = self.first_newer.take() {
            let words = format!(
                "from here on {} lines tell what this callreel does not understand: check with the newer one that wrote them",
                self.newer
            );
            self.find(&path, number, &words);
        }
    }

    fn find(&mut self, path: &Path, number: u64, words: &str) {
        let words = format!("line {number}: {words}");
        self.done.findings.push(Finding::new(path, words));
    }
}
