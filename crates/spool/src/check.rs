//! Looks through a spool for what does not fit together (`callreel check`), and says it in words. Repairs nothing.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    path::{Path, PathBuf},
};

use callreel_proto::{CaptureId, RecordingId, RecordingState};

use crate::{
    Error, Ticket, View, captures, quarantine, recovery, repair,
    view::{Content, list},
};

mod story;

/// Something in a spool that a person should know about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong with it, and what can be done.
    pub words: String,
    /// What [`Outbox::repair`](crate::Outbox::repair) would do about it, to be read behind "it would"; none if only a person can
    /// help.
    pub repair: Option<&'static str>,
}

impl Finding {
    pub(crate) fn new(path: &Path, words: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            words: words.into(),
            repair: None,
        }
    }

    pub(crate) fn mended_by(self, repair: &'static str) -> Self {
        Self {
            repair: Some(repair),
            ..self
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.words)
    }
}

impl View {
    /// Reads the whole spool and tells what does not fit together. A spool in use may show what has just changed;
    /// [`View::writers`] tells who uses it.
    ///
    /// # Errors
    /// The disk refused.
    pub fn check(&self) -> Result<Vec<Finding>, Error> {
        let mut found = Findings(Vec::new());
        let mut served: HashMap<CaptureId, HashSet<RecordingId>> = HashMap::new();
        self.for_each_entry(|entry| {
            match entry.content {
                Content::Ticket(ticket) => {
                    self.check_ticket(&ticket, &entry.path, &mut found)?;
                    if let Some(capture) = ticket.capture_id() {
                        let needed = served.entry(capture.clone()).or_default();
                        needed.insert(ticket.recording_id().clone());
                    }
                }
                Content::Unreadable(reason) => found.add(
                    &entry.path,
                    format!("its ticket cannot be read ({reason}); the next start moves it to quarantine/"),
                ),
                Content::Newer(reason, _) => found.add(&entry.path, reason),
                Content::Leftover => found.add_mendable(
                    &entry.path,
                    "a crash left it before anything was promised; the next start removes it",
                    "remove it",
                ),
                Content::Foreign => {
                    found.add(&entry.path, "it is not a recording; nothing uses it: move it away");
                }
            }
            Ok::<_, Error>(())
        })?;
        self.check_captures(&served, &mut found)?;
        self.check_writers(&mut found)?;
        self.check_manifest(&mut found)?;
        for one in repair::set_aside(self)? {
            if one.may_return(self) {
                let words = "its ticket could not be read, and can be now";
                found.add_mendable(&one.path, words, "move it back to recordings/");
                continue;
            }
            let name = one.path.file_name().unwrap_or_default().display();
            found.add(
                &one.path,
                format!("its ticket could not be read: see {name}.reason.txt, mend it, and move it back to recordings/"),
            );
        }
        Ok(found.0)
    }

    fn check_ticket(&self, ticket: &Ticket, dir: &Path, found: &mut Findings) -> Result<(), Error> {
        use RecordingState::{Ended, Growing};
        if let Some(capture) = ticket.capture_id()
            && matches!(ticket.state(), Growing | Ended)
            && !self.journal_path(capture).exists()
        {
            found.add(
                dir,
                format!(
                    "its capture {capture} is gone: there is nothing to render; `callreel deliveries drop {}` ends it",
                    ticket.recording_id()
                ),
            );
        }
        if ticket.state() == Growing && recovery::is_orphan(self, ticket.recording_id())? {
            let words = "the process that recorded it is gone; a running delivery ends it within minutes, else the next start does";
            match ticket.capture_id() {
                Some(_) => found.add_mendable(dir, words, "end it where its journal ends"),
                // The switch may still be recording.
                None => found.add(dir, words),
            }
        }
        let over = repair::is_over(ticket);
        if over {
            found.add_mendable(
                dir,
                "its story is over; delivery removes it at the next start",
                "remove it",
            );
        }
        self.check_rendition(ticket, over, found);
        let fetched = self.switch_file_path(ticket);
        if fetched.exists() && !over {
            found.add_error(&fetched, self.open_switch_file(ticket));
        }
        for path in repair::half_written(self, ticket.recording_id())? {
            let words = "a crash left it half written; nothing uses it";
            if ticket.state() == Growing {
                found.add(&path, words);
            } else {
                found.add_mendable(&path, words, "remove it");
            }
        }
        Ok(())
    }

    fn check_rendition(&self, ticket: &Ticket, over: bool, found: &mut Findings) {
        let path = self.rendition_path(ticket);
        let Some(rendition) = ticket.rendition().filter(|_| !over) else {
            return;
        };
        let words = match path.metadata() {
            Err(_) => "the audio file is missing: it must be rendered again".to_owned(),
            Ok(file) if file.len() != rendition.bytes_on_disk() => format!(
                "it has {} bytes, its ticket says {}: it must be rendered again",
                file.len(),
                rendition.bytes_on_disk()
            ),
            Ok(_) => return found.add_error(&path, self.open_rendition(ticket)),
        };
        let id = ticket.recording_id();
        if self.may_render_again(ticket) {
            found.add_mendable(&path, words, "have it rendered again");
        } else if ticket.state() == RecordingState::Undeliverable {
            let way_out = format!("{words}; `callreel deliveries retry {id}` tries that");
            found.add(&path, way_out);
        } else {
            let way_out = format!(
                "{words}, and what it was made from is gone, too; `callreel deliveries drop {id}` ends it"
            );
            found.add(&path, way_out);
        }
    }

    fn check_captures(
        &self,
        served: &HashMap<CaptureId, HashSet<RecordingId>>,
        found: &mut Findings,
    ) -> Result<(), Error> {
        let (nobody, aside) = (HashSet::new(), quarantine::ids(self)?);
        for (name, path) in list(&self.captures_dir())? {
            let id = name.to_str().and_then(|name| CaptureId::parse(name).ok());
            let Some(id) = id else {
                found.add(&path, "it is not a capture; nothing uses it: move it away");
                continue;
            };
            let open = captures::is_open(self, &id)?;
            self.check_journal(&id, open, found)?;
            if open {
                continue;
            }
            let needed = served.get(&id).unwrap_or(&nobody);
            let claims = captures::claims(self, &id)?;
            let set_aside = claims.iter().any(|by| aside.contains(by.as_str()));
            if needed.is_empty() && !set_aside && !self.any_has_ticket(&claims)? {
                found.add(
                    &path,
                    "no ticket needs it: its recordings were delivered or dropped; if the manifest says so of each, remove it",
                );
            }
            for by in needed.difference(&claims) {
                let words = format!(
                    "recording {by} needs it and has no claim here; the next start of delivery mends that"
                );
                found.add_mendable(&path, words, "mend the claim");
            }
            for by in claims.difference(needed) {
                if !aside.contains(by.as_str()) && !captures::has_ticket(self, by)? {
                    let words =
                        "this recording has no ticket; the next start of delivery mends that";
                    found.add_mendable(&self.claim_path(&id, by), words, "remove it");
                }
            }
        }
        Ok(())
    }

    /// Of a ticket that cannot be read now nobody knows which capture it needs.
    fn any_has_ticket(&self, claims: &HashSet<RecordingId>) -> Result<bool, Error> {
        for by in claims {
            if captures::has_ticket(self, by)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn check_writers(&self, found: &mut Findings) -> Result<(), Error> {
        for writer in self.writers()?.into_iter().filter(|writer| !writer.lives) {
            found.add_mendable(
                &self.writer_dir(&writer.id),
                "the process of this writer is gone; a running delivery removes this within minutes, else the next start does",
                "remove it",
            );
        }
        Ok(())
    }

    fn check_journal(&self, id: &CaptureId, open: bool, found: &mut Findings) -> Result<(), Error> {
        let path = self.journal_path(id);
        let mut reader = match self.read_journal(id) {
            Ok(reader) => reader,
            Err(
                error @ (Error::NotAJournal { .. } | Error::Newer { .. } | Error::Sealed { .. }),
            ) => {
                found.add(&path, error.to_string());
                return Ok(());
            }
            Err(Error::NoCapture(_)) => {
                found.add(&path, "the journal is missing");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        while reader.next_record()?.is_some() {}
        if let Some(tail) = reader.tail()?.filter(|_| !open) {
            found.add(
                &path,
                format!(
                    "{}: {} bytes from byte {} on are not used",
                    tail.reason, tail.bytes, tail.offset
                ),
            );
        }
        if reader.unknown() > 0 {
            found.add(
                &path,
                format!(
                    "{} records are of a newer version and not used: only the callreel that wrote them renders all of it",
                    reader.unknown()
                ),
            );
        }
        Ok(())
    }
}

struct Findings(Vec<Finding>);

impl Findings {
    /// What does not open is a finding, in its own words.
    fn add_error<T>(&mut self, path: &Path, opened: Result<T, Error>) {
        if let Err(error) = opened {
            self.add(path, error.to_string());
        }
    }

    /// What only a person can help with.
    fn add(&mut self, path: &Path, words: impl Into<String>) {
        self.0.push(Finding::new(path, words));
    }

    /// What a repair would do this about.
    fn add_mendable(&mut self, path: &Path, words: impl Into<String>, repair: &'static str) {
        self.0.push(Finding::new(path, words).mended_by(repair));
    }
}
