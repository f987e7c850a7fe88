//! Sums what several legs say and sends each of them the others, 20 ms at a time. Knows no call and no socket.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

use callreel_media::Resampler;

use super::core::{Core, frames};
use super::packet::Header;
use super::transcode::frame_samples;
use super::{locked, now};

/// The rates our codecs have, in Hz: all is summed at both, so that nobody's sound is converted for each who hears it.
const RATES: [u32; 2] = [8000, 16_000];
/// Frames that must have come before a phone's sound is let in: what a packet may be late without a gap.
const PRIMED: usize = 2;
/// Frames that may wait: later than this is no conversation, so the oldest go.
const MOST: usize = 10;
/// How far behind the newest packet a late one may be (RFC 3550 appendix A.1, `MAX_MISORDER`).
const MAX_MISORDER: i16 = 100;

/// What one frame is at each of [`RATES`]; empty is silence.
type AtRates<S> = [Vec<S>; 2];

/// Lets its members hear each other. It mixes until it is dropped; whoever goes elsewhere leaves it by that.
pub struct Mixer {
    members: Arc<Mutex<Members>>,
}

impl Mixer {
    /// One that runs, with nobody in it. Must be called within a tokio runtime.
    pub fn start() -> Self {
        let members = Arc::new(Mutex::new(Members::default()));
        tokio::spawn(mix(Arc::downgrade(&members)));
        Self { members }
    }

    /// Takes a leg in; gives where its phone's sound belongs. The leg is a member as long as it keeps that.
    pub(super) fn admit(&self, core: Weak<Core>, speaks: bool) -> Arc<Mutex<Mic>> {
        let mic = Arc::new(Mutex::new(Mic::new(speaks)));
        locked(&self.members).0.push(Member {
            core,
            mic: Arc::downgrade(&mic),
            voice: Voice::default(),
        });
        mic
    }
}

async fn mix(members: Weak<Mutex<Members>>) {
    let mut frames = frames();
    loop {
        frames.tick().await;
        let Some(members) = members.upgrade() else {
            return;
        };
        locked(&members).mix(now());
    }
}

#[derive(Default)]
struct Members(Vec<Member>);

struct Member {
    core: Weak<Core>,
    mic: Weak<Mutex<Mic>>,
    voice: Voice,
}

impl Members {
    fn mix(&mut self, now: Instant) {
        self.0.retain_mut(|member| match member.mic.upgrade() {
            Some(mic) => {
                member.voice.hear(&mut locked(&mic));
                true
            }
            None => false,
        });
        let mut sum = RATES.map(|rate| vec![0; frame_samples(rate)]);
        for member in &self.0 {
            add(&mut sum, &member.voice.frame);
        }
        for member in &self.0 {
            if let Some(core) = member.core.upgrade() {
                let own = &member.voice.frame;
                locked(&core.outbound).send_mix(now, &Share { sum: &sum, own });
            }
        }
    }
}

fn add(sum: &mut AtRates<i32>, frame: &AtRates<i16>) {
    for (sum, frame) in sum.iter_mut().zip(frame) {
        for (sum, sample) in sum.iter_mut().zip(frame) {
            *sum += i32::from(*sample);
        }
    }
}

/// What one member is to hear: all but itself.
pub(super) struct Share<'a> {
    sum: &'a AtRates<i32>,
    own: &'a AtRates<i16>,
}

impl Share<'_> {
    /// Its frame at a codec's rate.
    pub(super) fn frame(&self, rate: u32, frame: &mut Vec<i16>) {
        let at = usize::from(rate != RATES[0]);
        let own = self.own[at].iter().copied().chain(std::iter::repeat(0));
        let others = self.sum[at].iter().zip(own);
        let others = others.map(|(sum, own)| sum - i32::from(own));
        frame.clear();
        frame.extend(others.map(|sum| sum.clamp(i16::MIN.into(), i16::MAX.into()) as i16));
    }
}

/// What a member says in this frame, at each rate.
#[derive(Default)]
struct Voice {
    frame: AtRates<i16>,
    /// The rate its phone has, and the way to the other one.
    resampler: Option<(u32, Resampler)>,
}

impl Voice {
    fn hear(&mut self, mic: &mut Mic) {
        self.frame.iter_mut().for_each(Vec::clear);
        let Some(rate) = mic.ready() else { return };
        let own = usize::from(rate != RATES[0]);
        let other = 1 - own;
        mic.take(&mut self.frame[own]);
        if self
            .resampler
            .as_ref()
            .is_none_or(|(from, _)| *from != rate)
        {
            self.resampler = Some((rate, Resampler::new(rate, RATES[other])));
        }
        let [first, second] = &mut self.frame;
        let (from, to) = match own {
            0 => (first, second),
            _ => (second, first),
        };
        if let Some((_, resampler)) = &mut self.resampler {
            resampler.push(from, to);
        }
    }
}

/// Where a member's phone puts what it says, and the mixer takes it.
pub(super) struct Mic {
    speaks: bool,
    rate: u32,
    pending: VecDeque<i16>,
    /// Enough has come to be let in.
    primed: bool,
    /// The newest packet: its source and number.
    newest: Option<(u32, u16)>,
}

impl Mic {
    fn new(speaks: bool) -> Self {
        Self {
            speaks,
            rate: RATES[0],
            pending: VecDeque::new(),
            primed: false,
            newest: None,
        }
    }

    /// Whether this packet is to be heard. Codecs have a memory, so one that was overtaken is lost.
    pub(super) fn wants(&mut self, header: &Header) -> bool {
        let late = self.newest.is_some_and(|(ssrc, newest)| {
            let step = header.sequence.wrapping_sub(newest).cast_signed();
            ssrc == header.ssrc && (-MAX_MISORDER..=0).contains(&step)
        });
        if !self.speaks || late {
            return false;
        }
        self.newest = Some((header.ssrc, header.sequence));
        true
    }

    /// Takes a packet's sound.
    pub(super) fn push(&mut self, rate: u32, pcm: &[i16]) {
        if rate != self.rate {
            self.rate = rate;
            self.primed = false;
            self.pending.clear();
        }
        self.pending.extend(pcm);
        let frame = frame_samples(rate);
        if self.pending.len() > MOST * frame {
            let late = self.pending.len() - PRIMED * frame;
            self.pending.drain(..late);
        }
    }

    /// The rate of the next frame, if there is one. After a pause it waits anew, so that the first late packet makes no gap.
    fn ready(&mut self) -> Option<u32> {
        let frame = frame_samples(self.rate);
        let needed = if self.primed { frame } else { PRIMED * frame };
        self.primed = self.pending.len() >= needed;
        self.primed.then_some(self.rate)
    }

    fn take(&mut self, frame: &mut Vec<i16>) {
        let whole = frame_samples(self.rate).min(self.pending.len());
        frame.extend(self.pending.drain(..whole));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sequence: u16) -> Header {
        Header {
            marker: false,
            sequence,
            timestamp: 0,
            ssrc: 7,
        }
    }

    #[test]
    fn sound_is_let_in_when_a_packet_may_be_late_and_again_after_a_pause() {
        let mut mic = Mic::new(true);
        let mut voice = Voice::default();
        let mut heard = |mic: &mut Mic| {
            voice.hear(mic);
            voice.frame[0].first().copied()
        };
        mic.push(8000, &[1; 160]);
        assert_eq!(heard(&mut mic), None);
        mic.push(8000, &[2; 160]);
        assert_eq!(heard(&mut mic), Some(1));
        assert_eq!(heard(&mut mic), Some(2));
        assert_eq!(heard(&mut mic), None);
        mic.push(8000, &[3; 160]);
        assert_eq!(heard(&mut mic), None);
        mic.push(8000, &[4; 160]);
        assert_eq!(heard(&mut mic), Some(3));
    }

    #[test]
    fn what_is_too_old_for_a_conversation_goes() {
        let mut mic = Mic::new(true);
        (0..=MOST).for_each(|n| mic.push(8000, &[n as i16; 160]));
        let mut frame = Vec::new();
        assert!(mic.ready().is_some());
        mic.take(&mut frame);
        assert_eq!(frame, [(MOST + 1 - PRIMED) as i16; 160]);
    }

    #[test]
    fn packets_that_were_overtaken_and_those_of_the_mute_are_not_heard() {
        let mut mic = Mic::new(true);
        assert!(mic.wants(&packet(u16::MAX)));
        assert!(mic.wants(&packet(1)));
        assert!(!mic.wants(&packet(0)));
        assert!(!mic.wants(&packet(1)));
        assert!(mic.wants(&packet(30_000)), "a phone may begin anew");
        assert!(!Mic::new(false).wants(&packet(1)));
    }

    #[test]
    fn everybody_hears_all_but_itself_without_wrapping_around() {
        let voices = [20_000i16, 20_000, -5].map(|s| [vec![s; 160], vec![s; 320]]);
        let mut sum = RATES.map(|rate| vec![0; frame_samples(rate)]);
        voices.iter().for_each(|voice| add(&mut sum, voice));
        let heard = |own| {
            let mut frame = Vec::new();
            Share { sum: &sum, own }.frame(8000, &mut frame);
            frame
        };
        assert_eq!(heard(&voices[0]), [19_995; 160]);
        assert_eq!(heard(&voices[2]), [i16::MAX; 160]);
        assert_eq!(heard(&[Vec::new(), Vec::new()]), [i16::MAX; 160]);
    }

    #[test]
    fn a_wideband_phone_is_heard_at_both_rates() {
        let (mut mic, mut voice) = (Mic::new(true), Voice::default());
        for _ in 0..4 {
            mic.push(16_000, &[1000; 320]);
        }
        for _ in 0..3 {
            voice.hear(&mut mic);
        }
        assert_eq!(voice.frame[1], [1000; 320]);
        assert_eq!(voice.frame[0].len(), 160);
        assert!(voice.frame[0].iter().all(|s| (990..1010).contains(s)));
    }
}
