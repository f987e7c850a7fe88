//! Playing files, speech and tones to the phone, to the one it is joined to, or to both, and the keys it presses meanwhile.

use std::sync::Arc;

use callreel_proto::{AccountId, Application, EventName, Hearers, Terminators};

use super::commands::Execution;
use super::{Channel, ChannelMsg};
use crate::queue::Slip;
use crate::rtp::{MediaLeg, PlayId, Playback, Tape};
use crate::say::Saying;
use crate::sounds::{Request, Rest, Sound, Text};

/// What a caller who waits hears where the command names no music: a slow run of the pentatonic scale, so that nobody takes
/// the line for dead.
pub(super) const HOLD_MUSIC: &str = "tone_stream://%(700,100,523.25);%(700,100,659.25);%(700,100,783.99);\
    %(1500,900,880);%(700,100,783.99);%(700,100,659.25);%(700,100,587.33);%(1500,1700,523.25)";

/// The sounds of a channel: one is heard, another may be on its way.
#[derive(Default)]
pub(super) struct Playing {
    sounds: Vec<Item>,
    /// The keys that end what names none.
    pub(super) terminators: Terminators,
}

/// A media command.
#[derive(Debug, Clone)]
struct What {
    /// Its `Application-Name`.
    name: &'static str,
    slip: Slip,
    /// What is played, as the switch itself would be told.
    data: String,
    terminators: Terminators,
    /// `None` is endless.
    times: Option<u32>,
    hearers: Hearers,
    /// It runs beside the queue.
    now: bool,
}

struct Item {
    token: u64,
    what: What,
    /// The sound is there and is, or was, played.
    begun: bool,
    /// What is to be heard after it.
    rest: Option<Rest>,
    /// While this leg hears it.
    here: Option<PlayId>,
    /// While the leg it is joined to hears it.
    there: Option<PlayId>,
    terminator: Option<char>,
}

impl Item {
    fn is_heard(&self) -> bool {
        self.here.is_some() || self.there.is_some()
    }
}

/// A sound to make, and how often it is played.
struct Media {
    request: Request,
    data: String,
    terminators: Terminators,
    times: Option<u32>,
    hearers: Hearers,
}

impl Media {
    fn once(request: Request, data: String, terminators: Terminators) -> Self {
        Self {
            request,
            data,
            terminators,
            times: Some(1),
            hearers: Hearers::Own,
        }
    }

    fn heard_by(self, leg: Option<Hearers>) -> Self {
        Self {
            hearers: leg.unwrap_or(Hearers::Own),
            ..self
        }
    }
}

/// What a media command plays; the error is a sentence for the controller.
fn media_of(application: Application, account: Option<AccountId>) -> Result<Media, String> {
    Ok(match application {
        Application::Play {
            media_name,
            terminators,
            endless,
            loop_count,
            leg,
        } => Media {
            times: match (endless, loop_count) {
                (Some(true), _) => None,
                (_, count) => Some(count.unwrap_or(1).clamp(1, u64::from(u32::MAX)) as u32),
            },
            ..Media::once(Request::Named(media_name.clone()), media_name, terminators).heard_by(leg)
        },
        Application::Hold { media_name } => {
            let name = media_name.unwrap_or_else(|| HOLD_MUSIC.to_owned());
            Media {
                times: None,
                ..Media::once(Request::Named(name.clone()), name, Terminators::none())
            }
        }
        Application::Tts {
            text,
            voice,
            language,
            voice_name,
            engine,
            terminators,
            leg,
        } => {
            let data = text.clone();
            let request = Request::Text(Text {
                text,
                voice,
                voice_name,
                language,
                engine,
            });
            Media::once(request, data, terminators).heard_by(leg)
        }
        Application::Say {
            text,
            kind,
            method,
            language,
            leg,
        } => {
            let data = text.clone();
            let saying = Saying {
                text,
                kind,
                method,
                language,
            };
            let request = Request::Said(saying, account);
            Media::once(request, data, Terminators::none()).heard_by(leg)
        }
        Application::Tones {
            tones,
            terminators,
            leg,
        } => Media::once(Request::Tones(tones), String::new(), terminators).heard_by(leg),
        other => return Err(format!("{} plays nothing", other.name())),
    })
}

/// Decodes what was said, where it holds up no socket.
async fn taped(tape: Arc<Tape>) -> Result<Sound, String> {
    let sound = tokio::task::spawn_blocking(move || tape.sound()).await;
    let sound = sound.map_err(|error| format!("the message cannot be heard: {error}"))?;
    Ok(Sound {
        pcm: Arc::new(sound),
        times: Some(1),
        rest: None,
    })
}

impl Channel {
    /// `play`, `tts`, `say`, `tones`, `hold`.
    pub(super) async fn execute_media(
        &mut self,
        application: Application,
        slip: Slip,
        now: bool,
    ) -> Execution {
        let name = application.name();
        let mut media = match media_of(application, self.account()) {
            Ok(media) => media,
            Err(reason) => return self.fail(slip, &reason).await,
        };
        let named = slip.command.contains_key("Terminators");
        if !named && media.terminators == Terminators::none() {
            media.terminators.clone_from(&self.playing.terminators);
        }
        let what = What {
            name,
            slip,
            data: media.data,
            terminators: media.terminators,
            times: media.times,
            hearers: media.hearers,
            now,
        };
        self.start_sound(what, media.request);
        Execution::Running
    }

    /// Begins to make a sound; it is played as soon as it is there.
    fn start_sound(&mut self, what: What, request: Request) {
        let token = self.number();
        self.playing.sounds.push(Item {
            token,
            what,
            begun: false,
            rest: None,
            here: None,
            there: None,
            terminator: None,
        });
        let sounds = self.shared.sounds.clone();
        let tape = self.tape_of(&request);
        self.await_sound(token, async move {
            match tape {
                Some(tape) => taped(tape).await,
                None => sounds.fetch(request).await,
            }
        });
    }

    fn await_sound(
        &self,
        token: u64,
        coming: impl Future<Output = Result<Sound, String>> + Send + 'static,
    ) {
        let me = self.me.clone();
        tokio::spawn(async move {
            let sound = coming.await.map(Box::new);
            drop(me.cast(ChannelMsg::Fetched { token, sound }));
        });
    }

    /// Whose account the call is on.
    fn account(&self) -> Option<AccountId> {
        let id = self.channel_vars.get("Account-ID")?;
        AccountId::parse(id).ok()
    }

    /// The message that was just recorded, if its speaker is to hear it (FreeSWITCH's `local_stream://`).
    fn tape_of(&self, request: &Request) -> Option<Arc<Tape>> {
        let Request::Named(name) = request else {
            return None;
        };
        let wanted = name.strip_prefix("local_stream://")?;
        let (named, tape) = self.recordings.tape.as_ref()?;
        (named == wanted).then(|| Arc::clone(tape))
    }

    /// A sound is there, or will never be.
    pub(super) async fn on_fetched(&mut self, token: u64, sound: Result<Box<Sound>, String>) {
        let Some(at) = self.playing.sounds.iter().position(|s| s.token == token) else {
            return;
        };
        let begun = match sound {
            Ok(sound) => self.play(at, *sound).await,
            Err(reason) => Err(reason),
        };
        if let Err(reason) = begun {
            let item = self.playing.sounds.remove(at);
            self.fail(item.what.slip, &reason).await;
            if !item.what.now {
                self.completed().await;
            }
        }
    }

    /// Plays a sound to whoever shall hear it.
    async fn play(&mut self, at: usize, sound: Sound) -> Result<(), String> {
        let hearers = self.playing.sounds[at].what.hearers;
        let partner = self.partner();
        if hearers == Hearers::Other && partner.is_none() {
            return Err("the channel is not bridged: there is no other leg to hear it".to_owned());
        }
        if hearers != Hearers::Other {
            self.open_early().await;
        }
        let item = &mut self.playing.sounds[at];
        let times = match (item.what.times, sound.times) {
            (None, _) | (_, None) => None,
            (Some(asked), Some(own)) => Some(asked.saturating_mul(own)),
        };
        let pcm = sound.pcm;
        let playback = Playback { pcm, times };
        item.begun = true;
        item.rest = sound.rest;
        if hearers != Hearers::Other {
            item.here = Some(self.media.play(playback.clone()));
        }
        if hearers != Hearers::Own {
            item.there = partner.map(|partner| partner.media.play(playback));
        }
        Ok(())
    }

    /// The media engine is done with a playback to this leg. What it does not know, the leg it is joined to has played to it.
    pub(super) async fn on_playback_ended(&mut self, id: PlayId, broken: bool) {
        if !self.end_playback(id, broken).await
            && let Some(partner) = self.partner()
        {
            // A leg that has ended waits for nothing.
            drop(partner.actor.cast(ChannelMsg::PlayedThere(id, broken)));
        }
    }

    /// A playback to this leg, or of ours to the other, is over; true if it is known. What was broken is not gone on with.
    pub(super) async fn end_playback(&mut self, id: PlayId, broken: bool) -> bool {
        let own = |s: &&mut Item| s.here == Some(id) || s.there == Some(id);
        let Some(item) = self.playing.sounds.iter_mut().find(own) else {
            return false;
        };
        item.here = item.here.filter(|here| *here != id);
        item.there = item.there.filter(|there| *there != id);
        item.rest = item.rest.take().filter(|_| !broken);
        self.finish_heard().await;
        true
    }

    /// The leg this one is joined to is parted from it: it hears nothing of ours any more.
    pub(super) async fn unhear(&mut self, partner: Option<MediaLeg>) {
        self.stop_hold_music();
        let mut heard = false;
        for item in &mut self.playing.sounds {
            heard |= item.there.take().is_some();
            item.rest = item
                .rest
                .take()
                .filter(|_| item.what.hearers != Hearers::Other);
        }
        if let Some(partner) = partner.filter(|_| heard) {
            partner.stop_playback();
        }
        self.finish_heard().await;
    }

    /// Completes what was played and is heard no more, or goes on with its next piece.
    async fn finish_heard(&mut self) {
        let over = |s: &Item| s.begun && !s.is_heard();
        while let Some(at) = self.playing.sounds.iter().position(over) {
            let item = &mut self.playing.sounds[at];
            if let Some(rest) = item.rest.take().filter(|_| item.terminator.is_none()) {
                item.begun = false;
                let token = item.token;
                self.await_sound(token, rest.next());
                continue;
            }
            let item = self.playing.sounds.remove(at);
            self.heard(item).await;
        }
    }

    /// Stops what is heard here and there. Its end is told by the media engine.
    fn stop_hearing(&self) {
        self.media.stop_playback();
        let there = self.playing.sounds.iter().any(|s| s.there.is_some());
        if let Some(partner) = self.partner().filter(|_| there) {
            partner.media.stop_playback();
        }
    }

    async fn heard(&mut self, item: Item) {
        let What {
            name, slip, data, ..
        } = item.what;
        if let (Some(_), Some(group)) = (item.terminator, slip.group()) {
            self.queue.drop_group(name, group);
        }
        self.complete(name, |event| {
            event.application_response = Some("FILE PLAYED".to_owned());
            event.raw_application_data = Some(data);
            event.dtmf_digit = item.terminator.map(String::from);
        })
        .await;
        if !item.what.now {
            self.completed().await;
        }
    }

    /// Stops what takes its time, but for bridges: all of it completes.
    pub(super) async fn break_media(&mut self) {
        // Taken at once: whatever completes lets the next command begin, and that one is not to be broken.
        let sleeps = self.waits.take_sleeps();
        let message = self.recordings.message_number();
        self.stop_sounds().await;
        self.break_message(message).await;
        for sleep in sleeps {
            self.wake(sleep).await;
        }
    }

    /// Nothing of the queue waits for what plays any more.
    pub(super) fn orphan_sounds(&mut self) {
        for item in &mut self.playing.sounds {
            item.what.now = true;
        }
    }

    /// Stops what plays, and what is about to; all of it completes.
    pub(super) async fn stop_sounds(&mut self) {
        let all = std::mem::take(&mut self.playing.sounds);
        let (playing, coming): (Vec<_>, Vec<_>) = all.into_iter().partition(Item::is_heard);
        if !playing.is_empty() {
            self.playing.sounds = playing;
            self.stop_hearing();
        }
        for item in coming {
            self.heard(item).await;
        }
    }

    /// The phone's user pressed a key.
    pub(super) async fn on_digit(&mut self, digit: char, ticks: u64) {
        self.publish(EventName::Dtmf, |event| {
            event.dtmf_digit = Some(digit.to_string());
            event.dtmf_duration = Some(ticks);
        })
        .await;
        if self.confirm_digit(digit) {
            return;
        }
        self.consulting_digit(digit).await;
        let mut ends = false;
        for sound in &mut self.playing.sounds {
            if sound.terminator.is_none() && sound.what.terminators.contains(digit) {
                sound.terminator = Some(digit);
                ends |= sound.is_heard();
            }
        }
        if ends {
            self.stop_hearing();
        }
        let ready = |s: &Item| s.terminator.is_some() && !s.is_heard();
        while let Some(at) = self.playing.sounds.iter().position(ready) {
            let item = self.playing.sounds.remove(at);
            self.heard(item).await;
        }
        self.message_digit(digit).await;
    }
}
