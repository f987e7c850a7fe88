//! Beeps and announcements that tell the parties of a recording: sounded once it has begun, one after the other, and kept as
//! evidence of who heard them and when.

use callreel_proto::{Application, CallEvent, Hearers, InsertAt, random_hex};
use callreel_spool::{Announcement, Ticket};

use super::{
    State,
    audio::Audio,
    running::{Key, Sounding},
};

impl State {
    /// Sounds the next announcement of a recording that runs: to the caller, and to the other party if there is one.
    pub(super) async fn announce(&mut self, key: Key) {
        let bridged = self.peer.is_some();
        let mut heard_by = vec![self.call_id().clone()];
        heard_by.extend(self.peer.clone());
        let Some(running) = self.running.get_mut(&key).filter(|r| r.sounding.is_none()) else {
            return;
        };
        let Some(application) = running.announcements.pop_front() else {
            return;
        };
        let application = to_all(application, bridged);
        let msg_id = random_hex(32);
        running.sounding = Some(Sounding {
            name: application.name(),
            msg_id: msg_id.clone(),
        });
        let what = what(&application);
        // The instant of the order: the disk may take longer for the evidence than the switch for the sound.
        let now_ns = self.now_ns();
        let control = &self.args.control;
        control.send(InsertAt::Now, application, Some(msg_id)).await;
        self.keep_evidence(key, now_ns, |ticket, from_ns| {
            ticket.announcing(Announcement {
                what: what.clone(),
                heard_by: heard_by.clone(),
                from_ns,
                until_ns: None,
            })
        })
        .await;
    }

    /// The switch has done something: perhaps an announcement. The next one follows.
    pub(super) async fn announced(&mut self, event: &CallEvent) {
        let name = event.application_name.as_deref();
        let Some(key) = self.sounding(|sounding| is_done(sounding.name, name)) else {
            return;
        };
        let now_ns = self.now_ns();
        self.keep_evidence(key, now_ns, Ticket::announced).await;
        self.announce_next(key).await;
    }

    /// The switch cannot do it: the evidence keeps it without an end, for nobody said that it was heard.
    pub(super) async fn announcement_refused(&mut self, msg_id: Option<&str>) {
        if let Some(key) = self.sounding(|sounding| Some(sounding.msg_id.as_str()) == msg_id) {
            tracing::error!(call_id = %self.call_id(), account_id = %self.args.account, "an announcement of a recording was not sounded");
            self.announce_next(key).await;
        }
    }

    async fn announce_next(&mut self, key: Key) {
        if let Some(running) = self.running.get_mut(&key) {
            running.sounding = None;
        }
        self.announce(key).await;
    }

    /// The oldest recording whose announcement this is.
    fn sounding(&self, is_it: impl Fn(&Sounding) -> bool) -> Option<Key> {
        let mut oldest_first = self.running.iter();
        let found = oldest_first.find(|(_, r)| r.sounding.as_ref().is_some_and(&is_it));
        found.map(|(key, _)| *key)
    }

    /// What the capture's clock shows, if there is one.
    fn now_ns(&self) -> Option<u64> {
        match &self.audio {
            Audio::Fork(fork) => fork.now_ns(),
            Audio::File => None,
        }
    }

    /// Writes it into the ticket, and into that of the other party's recording if both are kept separate; as of this
    /// instant of the capture's, or of now on the clock of a switch's file.
    async fn keep_evidence<E: std::fmt::Display>(
        &mut self,
        key: Key,
        now_ns: Option<u64>,
        write: impl Fn(&mut Ticket, u64) -> Result<(), E>,
    ) {
        for key in self.pair(key) {
            let Some(running) = self.running.get_mut(&key) else {
                continue;
            };
            let at_ns = now_ns.unwrap_or_else(|| running.file_ns());
            if let Err(error) = write(&mut running.ticket, at_ns) {
                tracing::error!(%error, "evidence of an announcement is not kept");
                continue;
            }
            let ticket = running.ticket.clone();
            self.save(ticket).await;
        }
    }
}

/// Who hears it is named only where there is a choice.
fn to_all(mut application: Application, bridged: bool) -> Application {
    let hearers = bridged.then_some(Hearers::Both);
    if let Application::Play { leg, .. }
    | Application::Tones { leg, .. }
    | Application::Tts { leg, .. }
    | Application::Say { leg, .. } = &mut application
    {
        *leg = hearers;
    }
    application
}

/// An announcement in a few words.
fn what(application: &Application) -> String {
    match application {
        Application::Tones { .. } => "beep".to_owned(),
        Application::Play { media_name, .. } => media_name.clone(),
        Application::Tts { text, .. } => text.clone(),
        other => other.name().to_owned(),
    }
}

/// Kazoo names what it plays from files `play`, also a spoken text and tones.
fn is_done(sounding: &str, done: Option<&str>) -> bool {
    done.is_some_and(|done| done == sounding || done == "play")
}
