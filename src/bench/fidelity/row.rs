//! One leg of one case, measured: its figures, and which goals they miss.

use callreel_media::Pcm;
use callreel_proto::{Leg, LegAudio};
use serde_json::{Value, json};

use super::{
    align::Alignment,
    grid::Case,
    network::{Loss, Network},
    place::Place,
    quality::{is_bit_exact, segmental_snr},
    recording::Files,
    sender::Sent,
};

/// How far speech may lie from its place, ms: under any network, and under a clean one.
const MOST_ALIGN_MS: f64 = 20.0;
const MOST_CLEAN_ALIGN_MS: f64 = 1.0;
/// How much longer or shorter than the recording the file may be, ms.
const MOST_LENGTH_ERROR_MS: f64 = 20.0;
/// The rest of the speech may have been lost in bursts.
const LEAST_FOUND: f64 = 0.8;

/// What was made of one case.
pub(crate) struct Outcome<'c> {
    pub(crate) case: &'c Case,
    /// What each leg sent, and where it belongs in the files.
    pub(crate) legs: [(&'c Sent, Place); 2],
    /// What was recorded, seconds.
    pub(crate) length_s: f64,
    pub(crate) files: Files,
}

/// The figures of one leg.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) case: String,
    pub(crate) leg: Leg,
    /// Farthest and median distance of the speech in the MP3 from where it belongs, ms.
    pub(crate) align_ms_worst: f64,
    pub(crate) align_ms_typical: f64,
    /// Share of the speech that was found in the MP3.
    pub(crate) found: f64,
    /// Of the worse of both files, ms.
    pub(crate) length_error_ms: f64,
    /// Segmental signal to noise of the MP3 and of the WAV, dB.
    pub(crate) quality: f64,
    pub(crate) quality_wav: f64,
    /// Whether the WAV is what was sent, sample by sample; `None` where it cannot be.
    pub(crate) bit_exact: Option<bool>,
    /// What delivery says of it.
    pub(crate) report: LegAudio,
    clean: bool,
}

impl Outcome<'_> {
    /// Measures both legs.
    pub(crate) fn measure(&self) -> [Row; 2] {
        [self.row(0, Leg::A), self.row(1, Leg::B)]
    }

    fn row(&self, leg: usize, name: Leg) -> Row {
        let (sent, place) = &self.legs[leg];
        let (mp3, wav) = (&self.files.mp3.channels[leg], &self.files.wav.channels[leg]);
        let speech = sent.decoded.resampled(mp3.sample_rate).samples;
        let rate = mp3.sample_rate;
        let aligned = Alignment::measure(&speech, &mp3.samples, place, rate);
        let aligned_wav = Alignment::measure(&speech, &wav.samples, place, rate);
        Row {
            case: self.case.name(),
            leg: name,
            align_ms_worst: aligned.worst_ms(),
            align_ms_typical: aligned.typical_ms(),
            found: aligned.share_found(),
            length_error_ms: self.length_error_ms(mp3).max(self.length_error_ms(wav)),
            quality: segmental_snr(&speech, &mp3.samples, place, &aligned, rate),
            quality_wav: segmental_snr(&speech, &wav.samples, place, &aligned_wav, rate),
            bit_exact: self
                .can_be_exact(sent, wav)
                .then(|| is_exact(&speech, wav, place, &aligned_wav)),
            report: self
                .files
                .mp3
                .report
                .legs
                .get(&name)
                .cloned()
                .unwrap_or_default(),
            clean: self.case.network == Network::CLEAN,
        }
    }

    fn length_error_ms(&self, file: &Pcm) -> f64 {
        let length_s = file.samples.len() as f64 / f64::from(file.sample_rate);
        (length_s - self.length_s).abs() * 1000.0
    }

    /// Nothing was lost, no clock had to be followed, and the file has the leg's own rate.
    fn can_be_exact(&self, sent: &Sent, wav: &Pcm) -> bool {
        let network = &self.case.network;
        network.loss == Loss::NONE
            && network.drift_ppm == 0.0
            && sent.decoded.sample_rate == wav.sample_rate
    }
}

fn is_exact(speech: &[i16], wav: &Pcm, place: &Place, aligned: &Alignment) -> bool {
    let first = place.of(0) + aligned.median().unwrap_or(0.0);
    is_bit_exact(speech, &wav.samples, first.round().max(0.0) as usize)
}

impl Row {
    /// The goals it misses, in a few words each.
    pub(crate) fn missed(&self) -> Vec<&'static str> {
        let align = if self.clean {
            MOST_CLEAN_ALIGN_MS
        } else {
            MOST_ALIGN_MS
        };
        let goals = [
            (self.align_ms_worst <= align, "alignment"),
            (self.found >= LEAST_FOUND, "speech not found"),
            (self.length_error_ms <= MOST_LENGTH_ERROR_MS, "length"),
            (self.bit_exact != Some(false), "not bit-exact"),
        ];
        let missed = goals.into_iter().filter(|(holds, _)| !holds);
        missed.map(|(_, goal)| goal).collect()
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        let missed = self.missed();
        json!({
            "bench": "fidelity",
            "case": self.case,
            "leg": self.leg,
            "align_ms_worst": rounded(self.align_ms_worst),
            "align_ms_typical": rounded(self.align_ms_typical),
            "found": rounded(self.found),
            "length_error_ms": rounded(self.length_error_ms),
            "quality": rounded(self.quality),
            "quality_wav": rounded(self.quality_wav),
            "bit_exact": self.bit_exact,
            "lost": self.report.lost,
            "late": self.report.late,
            "concealed_ms": self.report.concealed_ms,
            "complete": if missed.is_empty() { 1.0 } else { 0.0 },
            "missed": missed,
        })
    }
}

/// To a thousandth. What is infinite becomes null in JSON.
fn rounded(figure: f64) -> f64 {
    (figure * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Row {
        Row {
            case: "pcmu-loss1".to_owned(),
            leg: Leg::A,
            align_ms_worst: 19.9,
            align_ms_typical: 0.1,
            found: 1.0,
            length_error_ms: 0.0,
            quality: 12.345_678,
            quality_wav: 30.0,
            bit_exact: None,
            report: LegAudio::default(),
            clean: false,
        }
    }

    #[test]
    fn each_goal_is_missed_for_itself() {
        assert!(good().missed().is_empty());
        let missed = |change: fn(&mut Row)| {
            let mut row = good();
            change(&mut row);
            row.missed()
        };
        assert_eq!(missed(|row| row.clean = true), ["alignment"]);
        assert_eq!(missed(|row| row.align_ms_worst = 20.1), ["alignment"]);
        assert_eq!(
            missed(|row| row.align_ms_worst = f64::INFINITY),
            ["alignment"]
        );
        assert_eq!(missed(|row| row.found = 0.5), ["speech not found"]);
        assert_eq!(missed(|row| row.length_error_ms = 21.0), ["length"]);
        assert_eq!(missed(|row| row.bit_exact = Some(false)), ["not bit-exact"]);
    }

    #[test]
    fn programs_get_figures_and_a_verdict() {
        let row = good().json();
        assert_eq!(row["bench"], "fidelity");
        assert_eq!(row["leg"], "A");
        assert_eq!(row["quality"], 12.346);
        assert_eq!(row["complete"], 1.0);
        assert_eq!(row["bit_exact"], Value::Null);
        let mut lost = good();
        lost.align_ms_worst = f64::INFINITY;
        assert_eq!(lost.json()["align_ms_worst"], Value::Null);
        assert_eq!(lost.json()["complete"], 0.0);
    }
}
