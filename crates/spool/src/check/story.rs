//! Holds what the manifest tells of every recording against what is in the spool: each has exactly one end. Repairs nothing.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

use callreel_proto::RecordingId;

use super::Findings;
use crate::{Error, Line, View, What};

/// What the manifest tells of one recording.
#[derive(Default)]
struct Story {
    /// Where it last said something of it.
    month: usize,
    line: u64,
    recorded: bool,
    delivered: bool,
    discarded: bool,
    held: bool,
    rendered: Option<String>,
}

/// The manifest as it was read.
#[derive(Default)]
struct Stories {
    months: Vec<PathBuf>,
    of: HashMap<RecordingId, Story>,
    /// Removed while a legal hold was on them: month, line, recording.
    broken_holds: Vec<(usize, u64, RecordingId)>,
}

impl View {
    /// Tells what is wrong with the manifest, and which recordings have no end or two.
    pub(super) fn check_manifest(&self, found: &mut Findings) -> Result<(), Error> {
        let mut stories = Stories::default();
        let verified = self
            .manifest()
            .verify(|at, line, entry| stories.hear(at, line, entry))?;
        found.0.extend(verified.findings);
        let aside: HashSet<String> = self.quarantined()?.into_iter().collect();
        let mut open: Vec<RecordingId> = Vec::new();
        for (id, story) in &stories.of {
            let ends = usize::from(story.delivered) + usize::from(story.discarded);
            if story.recorded
                && ends == 0
                && !aside.contains(id.as_str())
                && !self.ticket_path(id).exists()
            {
                open.push(id.clone());
            }
            if ends == 2 {
                stories.find(
                    story,
                    id,
                    "is said to be delivered and to be discarded",
                    found,
                );
            }
            self.check_rendered(&stories, id, story, found);
        }
        if !open.is_empty() {
            // A spool in use: its end may have been written since.
            let mut again = Stories::default();
            self.manifest()
                .verify(|at, line, entry| again.hear(at, line, entry))?;
            for id in open {
                let story = &again.of[&id];
                if !story.delivered && !story.discarded {
                    let words = "has no end and no ticket: it was neither delivered nor discarded, and is not in the spool";
                    again.find(story, &id, words, found);
                }
            }
        }
        for (month, line, id) in &stories.broken_holds {
            let words =
                format!("line {line}: recording {id} was removed while a legal hold was on it");
            found.add(&stories.months[*month], words);
        }
        Ok(())
    }

    /// Whether the ticket still names the audio file that was made.
    fn check_rendered(
        &self,
        stories: &Stories,
        id: &RecordingId,
        story: &Story,
        found: &mut Findings,
    ) {
        let Some(made) = story
            .rendered
            .as_ref()
            .filter(|_| !story.delivered && !story.discarded)
        else {
            return;
        };
        // A ticket that cannot be read is told elsewhere.
        let ticket = self.ticket(id).ok().flatten();
        if ticket.is_some_and(|ticket| ticket.rendition().is_some_and(|now| now.sha256 != *made)) {
            let words = "was made into an audio file with another checksum than its ticket names";
            stories.find(story, id, words, found);
        }
    }
}

impl Stories {
    fn hear(&mut self, at: &Path, number: u64, line: &Line) {
        let Some(entry) = &line.entry else {
            return;
        };
        let Some(id) = &entry.recording_id else {
            return;
        };
        if self.months.last().is_none_or(|last| last != at) {
            self.months.push(at.to_owned());
        }
        let story = self.of.entry(id.clone()).or_default();
        (story.month, story.line) = (self.months.len() - 1, number);
        let removed = matches!(entry.what, What::Discarded { .. } | What::Deleted { .. });
        if removed && story.held {
            self.broken_holds.push((story.month, number, id.clone()));
        }
        match &entry.what {
            What::Recorded { .. } => story.recorded = true,
            What::Rendered { sha256, .. } => story.rendered = Some(sha256.clone()),
            What::Delivered { .. } => story.delivered = true,
            What::Discarded { .. } => story.discarded = true,
            What::Held { .. } => story.held = true,
            What::Released { .. } => story.held = false,
            What::Undeliverable { .. }
            | What::Ordered { .. }
            | What::Deleted { .. }
            | What::Listened { .. }
            | What::Repaired { .. } => {}
        }
    }

    fn find(&self, story: &Story, id: &RecordingId, words: &str, found: &mut Findings) {
        let words = format!("line {}: recording {id} {words}", story.line);
        found.add(&self.months[story.month], words);
    }
}
