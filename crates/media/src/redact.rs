//! Finds the tones of telephone keys in audio and silences them: nothing of a key is left, and speech is left alone.
//!
//! A tone is known by its pure sound: for as long as 35 ms nearly all of the energy lies in one frequency of each group (ITU-T Q.23), which no
//! voice does. Its edges are then found with short windows at exactly these frequencies.

use std::f64::consts::TAU;

/// The two groups of frequencies, Hz (ITU-T Q.23).
const ROWS: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
const COLUMNS: [f64; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
/// How far off a telephone's frequencies may be: Q.24 asks receivers to hear 1.5 %.
const DETUNINGS: [f64; 7] = [-0.015, -0.01, -0.005, 0.0, 0.005, 0.01, 0.015];
/// Length of the windows that are looked at, and how far they are apart.
const WINDOW_MS: usize = 20;
const HOP_MS: usize = 5;
/// Windows in a row that must sound of the same key: 35 ms. Q.24 lets a tone be as short as 40 ms.
const LEAST_WINDOWS: usize = 4;
/// Share of the energy that the strongest frequency of each group must have, before and after their exact frequencies were found.
const PROMISING: f64 = 0.35;
const PURE: f64 = 0.94;
/// From one window to the next a tone keeps its strength and its frequencies within these factors; a voice slides.
const STEADY: f64 = 1.4;
const STEADY_HZ: f64 = 0.008;
/// The stronger group may have this many times the amplitude of the weaker: 10 dB, Q.24 asks for 8.
const MOST_TWIST: f64 = 3.2;
/// Amplitude below which nobody hears a tone, of 32767: -55 dBFS.
const LEAST_AMPLITUDE: f64 = 60.0;
/// Two tones of the same key this close are one that suffered from losses: what covers the losses sounds of it too.
const ONE_PRESS_MS: usize = 80;
/// Windows by which edges are found, the share of the tone's strength at which a tone is over, and how far edges are looked for.
const EDGE_MS: usize = 10;
const EDGE_SHARE: f64 = 0.15;
const EDGE_REACH_MS: usize = 15;
/// Silence around a tone beyond its edges: what its filters let ring.
const GUARD_MS: usize = 5;
/// Before a window that is looked at, so much is still needed to find an edge.
const BEHIND_MS: usize = 40;

/// The sound of a key.
#[derive(Debug, Clone, Copy)]
struct Tone {
    row: usize,
    column: usize,
    hz: [f64; 2],
    amplitude: [f64; 2],
}

impl Tone {
    fn is_same_key(&self, other: &Self) -> bool {
        (self.row, self.column) == (other.row, other.column)
    }

    fn goes_on_as(&self, other: &Self) -> bool {
        self.is_same_key(other)
            && (0..2).all(|n| {
                let louder = self.amplitude[n] / other.amplitude[n];
                let higher = self.hz[n] / other.hz[n] - 1.0;
                (1.0 / STEADY..STEADY).contains(&louder) && higher.abs() < STEADY_HZ
            })
    }
}

/// How strong one frequency is (Goertzel), as a sum over the samples.
fn strength(samples: impl Iterator<Item = f64>, hz: f64, rate: f64) -> f64 {
    let coefficient = 2.0 * (TAU * hz / rate).cos();
    let (mut one, mut two) = (0.0, 0.0);
    for sample in samples {
        let now = sample + coefficient * one - two;
        (two, one) = (one, now);
    }
    let power = one * one + two * two - coefficient * one * two;
    power.max(0.0).sqrt()
}

/// Amplitude of one frequency.
fn amplitude(pcm: &[i16], hz: f64, rate: f64) -> f64 {
    let samples = pcm.iter().map(|s| f64::from(*s));
    2.0 * strength(samples, hz, rate) / pcm.len().max(1) as f64
}

/// Looks at windows of one length. They are weighed (Hann), so that one frequency does not leak into the measure of another.
struct Ear {
    rate: f64,
    weights: Vec<f64>,
    sum: f64,
    squares: f64,
    weighed: Vec<f64>,
}

impl Ear {
    fn new(window: usize, rate: f64) -> Self {
        let weight = |n| 0.5 - 0.5 * (TAU * (n as f64 + 0.5) / window as f64).cos();
        let weights: Vec<f64> = (0..window).map(weight).collect();
        Self {
            rate,
            sum: weights.iter().sum(),
            squares: weights.iter().map(|w| w * w).sum(),
            weights,
            weighed: Vec::new(),
        }
    }

    fn amplitude(&self, hz: f64) -> f64 {
        2.0 * strength(self.weighed.iter().copied(), hz, self.rate) / self.sum
    }

    /// The strongest of some frequencies: which, and how strong.
    fn strongest(&self, group: impl IntoIterator<Item = f64>) -> (usize, f64, f64) {
        let heard = group.into_iter().enumerate();
        heard
            .map(|(n, hz)| (n, hz, self.amplitude(hz)))
            .fold(
                (0, 0.0, 0.0),
                |best, next| {
                    if next.2 > best.2 { next } else { best }
                },
            )
    }

    /// The key a window sounds of, if it sounds of nothing else.
    fn listen(&mut self, pcm: &[i16]) -> Option<Tone> {
        self.weighed.clear();
        let weighed = pcm.iter().zip(&self.weights);
        self.weighed
            .extend(weighed.map(|(s, weight)| f64::from(*s) * weight));
        let power = self.weighed.iter().map(|s| s * s).sum::<f64>() / self.squares;
        if power < LEAST_AMPLITUDE * LEAST_AMPLITUDE {
            return None;
        }
        let share = |a: f64, b: f64| (a * a + b * b) / 2.0 / power;
        let (row, _, low) = self.strongest(ROWS);
        let (column, _, high) = self.strongest(COLUMNS);
        if share(low, high) < PROMISING {
            return None;
        }
        let tuned = |hz: f64| self.strongest(DETUNINGS.map(|off| hz * (1.0 + off)));
        let (_, low_hz, low) = tuned(ROWS[row]);
        let (_, high_hz, high) = tuned(COLUMNS[column]);
        let balanced = low < high * MOST_TWIST && high < low * MOST_TWIST;
        (balanced && share(low, high) >= PURE).then_some(Tone {
            row,
            column,
            hz: [low_hz, high_hz],
            amplitude: [low, high],
        })
    }
}

/// A tone that may turn out to be long enough.
struct Candidate {
    tone: Tone,
    start: usize,
    windows: usize,
}

/// A tone that is one. Places are in samples from the beginning of the audio.
struct Press {
    tone: Tone,
    from: usize,
    until: usize,
}

/// Takes audio, gives it back without keys, somewhat later.
pub(crate) struct Redactor {
    per_ms: usize,
    ear: Ear,
    /// Place of `heard[0]` and `given[0]`.
    base: usize,
    heard: Vec<i16>,
    given: Vec<i16>,
    /// Where the next window begins.
    at: usize,
    candidate: Option<Candidate>,
    press: Option<Press>,
    spans: Vec<(u64, u64)>,
}

impl Redactor {
    /// For audio of this many samples per second.
    pub(crate) fn new(sample_rate: u32) -> Self {
        let per_ms = (sample_rate as usize / 1000).max(1);
        Self {
            per_ms,
            ear: Ear::new(WINDOW_MS * per_ms, f64::from(sample_rate)),
            base: 0,
            heard: Vec::new(),
            given: Vec::new(),
            at: 0,
            candidate: None,
            press: None,
            spans: Vec::new(),
        }
    }

    /// Takes the next audio; appends what is certain by now.
    pub(crate) fn push(&mut self, pcm: &[i16], out: &mut Vec<i16>) {
        self.heard.extend_from_slice(pcm);
        self.given.extend_from_slice(pcm);
        let (window, hop) = (WINDOW_MS * self.per_ms, HOP_MS * self.per_ms);
        // What lies beyond the window must be there too, to find the edge of a tone that ends.
        let ahead = (EDGE_REACH_MS + EDGE_MS) * self.per_ms;
        while self.at + window + ahead <= self.base + self.heard.len() {
            let from = self.at - self.base;
            let tone = self.ear.listen(&self.heard[from..from + window]);
            self.judge(tone);
            self.at += hop;
        }
        let certain = match (&self.press, &self.candidate) {
            (Some(press), _) => press
                .from
                .max(press.until.saturating_sub(BEHIND_MS * self.per_ms)),
            (None, Some(candidate)) => candidate.start,
            (None, None) => self.at,
        };
        let certain = certain.saturating_sub(BEHIND_MS * self.per_ms);
        self.give(certain.saturating_sub(self.base), out);
    }

    /// The audio has ended; appends what is left.
    pub(crate) fn drain(&mut self, out: &mut Vec<i16>) {
        // A tone at the very end has no window beyond it: silence stands in.
        let end = self.base + self.heard.len();
        let silence = vec![0; (WINDOW_MS + EDGE_REACH_MS + EDGE_MS) * self.per_ms];
        self.push(&silence, out);
        self.close();
        let left = end.saturating_sub(self.base);
        self.given.truncate(left);
        self.give(left, out);
    }

    /// What was silenced so far: places in samples, from and until.
    pub(crate) fn spans(&self) -> &[(u64, u64)] {
        &self.spans
    }

    fn give(&mut self, samples: usize, out: &mut Vec<i16>) {
        let samples = samples.min(self.given.len());
        out.extend(self.given.drain(..samples));
        self.heard.drain(..samples);
        self.base += samples;
    }

    fn part(&self, from: usize, until: usize) -> &[i16] {
        let within = |place: usize| place.saturating_sub(self.base).min(self.heard.len());
        &self.heard[within(from)..within(until)]
    }

    fn judge(&mut self, tone: Option<Tone>) {
        let end = self.at + WINDOW_MS * self.per_ms;
        let Some(tone) = tone else {
            self.candidate = None;
            let over = |press: &Press| self.at > press.until + ONE_PRESS_MS * self.per_ms;
            if self.press.as_ref().is_some_and(over) {
                self.close();
            }
            return;
        };
        let candidate = match self.candidate.take() {
            Some(known) if known.tone.goes_on_as(&tone) => Candidate {
                windows: known.windows + 1,
                tone,
                ..known
            },
            _ => Candidate {
                tone,
                start: self.at,
                windows: 1,
            },
        };
        if candidate.windows >= LEAST_WINDOWS {
            let again = self.press.as_ref().is_some_and(|press| {
                press.tone.is_same_key(&tone)
                    && candidate.start <= press.until + ONE_PRESS_MS * self.per_ms
            });
            if !again {
                self.close();
                let from = self.left_edge(&tone, candidate.start);
                self.press = Some(Press {
                    tone,
                    from,
                    until: from,
                });
            }
            self.silence_until(end);
        }
        self.candidate = Some(candidate);
    }

    fn silence_until(&mut self, until: usize) {
        if let Some(press) = &mut self.press {
            let within = |place: usize| place.saturating_sub(self.base).min(self.given.len());
            let span = within(press.until.min(until))..within(until);
            self.given[span].fill(0);
            press.until = press.until.max(until);
        }
    }

    fn close(&mut self) {
        let Some(Press { tone, until, .. }) = self.press else {
            return;
        };
        self.silence_until(self.right_edge(&tone, until));
        if let Some(press) = self.press.take() {
            self.spans.push((press.from as u64, press.until as u64));
        }
    }

    /// Whether a short window from here still sounds of the tone.
    fn sounds(&self, tone: &Tone, from: usize) -> bool {
        let part = self.part(from, from + EDGE_MS * self.per_ms);
        part.len() == EDGE_MS * self.per_ms
            && (0..2).all(|n| {
                amplitude(part, tone.hz[n], self.ear.rate) >= tone.amplitude[n] * EDGE_SHARE
            })
    }

    /// Where the tone began that was heard first in a window at `start`.
    fn left_edge(&self, tone: &Tone, start: usize) -> usize {
        let ms = self.per_ms;
        let last = start.saturating_sub(EDGE_REACH_MS * ms);
        let mut from = start;
        while from > last && from >= ms && self.sounds(tone, from - ms) {
            from -= ms;
        }
        // In the window before, the tone fills the very end at most.
        let rest = (EDGE_MS as f64 * (1.0 - EDGE_SHARE)) as usize - 1;
        let edge = if from > last { from + rest * ms } else { from };
        edge.min(start).saturating_sub(GUARD_MS * ms)
    }

    /// Where the tone ended that was heard last in a window up to `until`.
    fn right_edge(&self, tone: &Tone, until: usize) -> usize {
        let ms = self.per_ms;
        let mut from = until.saturating_sub(EDGE_MS / 2 * ms);
        let last = from + EDGE_REACH_MS * ms;
        while from < last && self.sounds(tone, from + ms) {
            from += ms;
        }
        let rest = (EDGE_MS as f64 * EDGE_SHARE).ceil() as usize;
        (from + (rest + GUARD_MS) * ms).max(until)
    }
}

#[cfg(test)]
mod tests;
