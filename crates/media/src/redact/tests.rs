//! Keys of every kind in silence, noise and speech: what is silenced, to the millisecond, and what is not.

use super::*;

const KEYS: [[char; 4]; 4] = [
    ['1', '2', '3', 'A'],
    ['4', '5', '6', 'B'],
    ['7', '8', '9', 'C'],
    ['*', '0', '#', 'D'],
];

struct Sound {
    rate: u32,
    pcm: Vec<f64>,
    seed: u64,
}

impl Sound {
    fn new(rate: u32) -> Self {
        Self {
            rate,
            pcm: Vec::new(),
            seed: 7,
        }
    }

    fn samples(&self, ms: usize) -> usize {
        self.rate as usize * ms / 1000
    }

    /// Noise of this peak.
    fn noise(&mut self, ms: usize, peak: f64) {
        for _ in 0..self.samples(ms) {
            self.seed = self
                .seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let dice = (self.seed >> 33) as f64 / (1u64 << 31) as f64;
            self.pcm.push((dice * 2.0 - 1.0) * peak);
        }
    }

    /// A key: frequencies off by a factor, the upper group louder or softer by some decibels. Gives where it lies, in milliseconds.
    fn key(&mut self, key: char, ms: usize, factor: f64, twist_db: f64) -> (f64, f64) {
        let at = KEYS.iter().flatten().position(|k| *k == key).unwrap();
        let (low, high) = (ROWS[at / 4] * factor, COLUMNS[at % 4] * factor);
        let (soft, loud) = (3000.0, 3000.0 * 10f64.powf(twist_db / 20.0));
        let from = self.pcm.len();
        for n in 0..self.samples(ms) {
            let turn = n as f64 / f64::from(self.rate) * TAU;
            self.pcm
                .push((turn * low).sin() * soft + (turn * high).sin() * loud);
        }
        let ms = |sample: usize| sample as f64 * 1000.0 / f64::from(self.rate);
        (ms(from), ms(self.pcm.len()))
    }

    fn pcm(&self) -> Vec<i16> {
        self.pcm.iter().map(|s| *s as i16).collect()
    }
}

/// What is given back, and the spans in milliseconds.
fn redact(pcm: &[i16], rate: u32, piece: usize) -> (Vec<i16>, Vec<(f64, f64)>) {
    let mut redactor = Redactor::new(rate);
    let mut out = Vec::new();
    for piece in pcm.chunks(piece) {
        redactor.push(piece, &mut out);
    }
    redactor.drain(&mut out);
    assert_eq!(out.len(), pcm.len(), "the length is kept");
    let ms = |sample: u64| sample as f64 * 1000.0 / f64::from(rate);
    let spans = redactor
        .spans()
        .iter()
        .map(|(from, until)| (ms(*from), ms(*until)));
    (out, spans.collect())
}

/// Each key is within its span, which reaches no more than 20 ms beyond it; nothing else was touched and nothing of the key is left.
fn assert_silenced(case: &str, rate: u32, sound: &[i16], keys: &[(f64, f64)]) {
    let (clean, spans) = redact(sound, rate, 160);
    assert_eq!(spans.len(), keys.len(), "{case}: {spans:?} for {keys:?}");
    for ((from, until), (began, ended)) in spans.iter().zip(keys) {
        let (before, after) = (began - from, until - ended);
        assert!((0.0..=20.0).contains(&before), "{case}: {before} ms before");
        assert!((0.0..=20.0).contains(&after), "{case}: {after} ms after");
    }
    for (n, (clean, sound)) in clean.iter().zip(sound).enumerate() {
        let ms = n as f64 * 1000.0 / f64::from(rate);
        let silent = spans.iter().any(|(from, until)| ms >= *from && ms < *until);
        assert_eq!(
            *clean,
            if silent { 0 } else { *sound },
            "{case}: at {ms} ms"
        );
    }
    for hz in ROWS.into_iter().chain(COLUMNS) {
        for window in clean.chunks(rate as usize / 50) {
            let left = amplitude(window, hz, f64::from(rate));
            assert!(left < 100.0, "{case}: {left} of {hz} Hz are left");
        }
    }
}

#[test]
fn every_key_is_silenced_to_the_millisecond_and_nothing_else() {
    for rate in [8000, 16_000] {
        for key in KEYS.into_iter().flatten() {
            let mut sound = Sound::new(rate);
            sound.noise(203, 200.0);
            let key_at = sound.key(key, 100, 1.0, 0.0);
            sound.noise(311, 200.0);
            assert_silenced(
                &format!("{key} at {rate} Hz"),
                rate,
                &sound.pcm(),
                &[key_at],
            );
        }
    }
}

#[test]
fn short_detuned_and_lopsided_keys_are_found_too() {
    for (ms, factor, twist_db) in [
        (40, 1.0, 0.0),
        (50, 1.014, 4.0),
        (50, 0.986, -8.0),
        (70, 1.007, 6.0),
        (3000, 0.993, -4.0),
    ] {
        for shift in 0..5 {
            let mut sound = Sound::new(8000);
            sound.noise(100 + shift, 50.0);
            let keys = ['5', '#', '1'].map(|key| {
                let at = sound.key(key, ms, factor, twist_db);
                sound.noise(60, 50.0);
                at
            });
            sound.noise(40, 50.0);
            let case = format!("{ms} ms, {factor}, {twist_db} dB, shift {shift}");
            assert_silenced(&case, 8000, &sound.pcm(), &keys);
        }
    }
}

#[test]
fn keys_at_the_very_edges_are_silenced_and_pieces_do_not_matter() {
    let mut sound = Sound::new(8000);
    let first = sound.key('7', 80, 1.0, 0.0);
    sound.noise(500, 100.0);
    let last = sound.key('8', 80, 1.0, 0.0);
    let pcm = sound.pcm();
    let (clean, spans) = redact(&pcm, 8000, 8000);
    assert_eq!(spans.len(), 2);
    assert!(spans[0].0 <= first.0 && spans[1].1 >= last.1, "{spans:?}");
    assert!(clean[..640].iter().chain(&clean[4640..]).all(|s| *s == 0));
    for piece in [1, 37, 999] {
        assert_eq!(redact(&pcm, 8000, piece).0, clean, "pieces of {piece}");
    }
}

#[test]
fn a_tone_with_holes_is_one_press() {
    let mut sound = Sound::new(8000);
    sound.noise(100, 30.0);
    let (from, _) = sound.key('4', 100, 1.0, 0.0);
    let (_, until) = {
        // What covers a lost packet: the tone goes on, fading.
        let at = sound.pcm.len();
        sound.key('4', 20, 1.0, 0.0);
        for (n, sample) in sound.pcm[at..].iter_mut().enumerate() {
            *sample *= 1.0 - n as f64 / 160.0;
        }
        sound.noise(20, 30.0);
        sound.key('4', 100, 1.0, 0.0)
    };
    sound.noise(200, 30.0);
    assert_silenced("with holes", 8000, &sound.pcm(), &[(from, until)]);
}

#[test]
fn other_tones_music_and_a_singing_voice_are_left_alone() {
    let mut pcm = Vec::new();
    // Dial tone, ring-back, a fax's call, the beep of a recorder, then a scale of two notes, then a voice that slides over two octaves.
    for pair in [
        [350.0, 440.0],
        [440.0, 480.0],
        [1100.0, 1100.0],
        [1400.0, 1400.0],
        [697.0, 770.0],
        [1209.0, 1336.0],
    ] {
        pcm.extend((0..4000).map(|n| {
            let turn = f64::from(n) / 8000.0 * TAU;
            ((turn * pair[0]).sin() * 4000.0 + (turn * pair[1]).sin() * 4000.0) as i16
        }));
    }
    let mut phase = 0.0;
    pcm.extend((0..160_000).map(|n| {
        let pitch = 90.0 * 2f64.powf(f64::from(n) / 80_000.0);
        phase += pitch / 8000.0 * TAU;
        let voice: f64 = (1..12)
            .map(|harmonic| {
                let hz = pitch * f64::from(harmonic);
                let formant = |centre: f64| 1.0 / (1.0 + ((hz - centre) / 120.0).powi(2));
                (phase * f64::from(harmonic)).sin() * (formant(750.0) + formant(1300.0) + 0.05)
            })
            .sum();
        (voice * 4000.0) as i16
    }));
    let (clean, spans) = redact(&pcm, 8000, 800);
    assert_eq!(spans, []);
    assert_eq!(clean, pcm);
}

#[cfg(feature = "espeak")]
#[test]
fn minutes_of_speech_are_left_alone() {
    use crate::{prompts, speak};

    let texts = prompts::texts().collect::<Vec<_>>().join(" ");
    let mut seconds = 0.0;
    for voice in ["male", "female"] {
        for text in texts.split_inclusive(". ").collect::<Vec<_>>().chunks(20) {
            let spoken = speak(&text.concat(), Some(voice), None).unwrap();
            for rate in [8000, 16_000] {
                let pcm = spoken.resampled(rate).samples;
                let (_, spans) = redact(&pcm, rate, 8000);
                assert_eq!(spans, [], "{voice} at {rate} Hz: {}", text.concat());
                seconds += pcm.len() as f64 / f64::from(rate);
            }
        }
    }
    assert!(seconds > 600.0, "only {seconds} s");
}
