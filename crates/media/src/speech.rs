//! Text to speech with the built-in engine (feature `espeak`). It needs no network and no installed files.

mod pieces;

#[cfg(feature = "espeak")]
mod data;

pub use pieces::pieces;

use crate::{Error, Pcm};

/// Languages the built-in engine speaks, by their first subtag.
pub const LANGUAGES: &[&str] = &[
    "da", "de", "en", "es", "fi", "fr", "it", "nl", "no", "pl", "pt", "sv",
];

/// Whether the built-in engine speaks the language of this tag.
pub fn speaks(language: &str) -> bool {
    let first = language.split(['-', '_']).next().unwrap_or_default();
    let first = first.to_ascii_lowercase();
    LANGUAGES.contains(&first.as_str()) || matches!(first.as_str(), "nb" | "nn")
}

/// Longest text spoken in one go, in bytes: about five minutes of speech.
pub const MAX_SPOKEN_BYTES: usize = 5_000;

/// Speaks a text. The audio is mono at the engine's own rate (22050 Hz), about -18 dBFS loud.
///
/// `voice` is `male` or `female` (Kazoo's default; also taken for anything else). `language` is a tag such as `en-us` (the default) whose first
/// part is one of [`LANGUAGES`], in any case.
/// The first call of a process unpacks the engine's data into a folder of its own below the system's temporary folder.
///
/// # Errors
/// [`Error::Speech`] when the language is not built in, the text is longer than [`MAX_SPOKEN_BYTES`] or has nothing to say in it,
/// the data cannot be unpacked, or this binary was built without the feature.
pub fn speak(text: &str, voice: Option<&str>, language: Option<&str>) -> Result<Pcm, Error> {
    if text.len() > MAX_SPOKEN_BYTES {
        return Err(Error::Speech(format!(
            "it is {} bytes long; at most {MAX_SPOKEN_BYTES} are spoken",
            text.len()
        )));
    }
    if !text.chars().any(char::is_alphanumeric) {
        return Err(Error::Speech("there are no words in it".to_owned()));
    }
    engine::speak(text, voice, language)
}

#[cfg(not(feature = "espeak"))]
mod engine {
    use crate::{Error, Pcm};

    pub(super) fn speak(_: &str, _: Option<&str>, _: Option<&str>) -> Result<Pcm, Error> {
        Err(Error::Speech(
            "this binary was built without a speech engine; build it with the feature `espeak`, or play a file".to_owned(),
        ))
    }
}

#[cfg(feature = "espeak")]
mod engine {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use espeak_ng::{EspeakNg, Parameter};

    use super::{LANGUAGES, data};
    use crate::{Error, Pcm};

    /// -18 dBFS: the usual loudness of speech on a telephone line.
    const SPEECH_RMS: f64 = 4125.0;
    /// Words per minute; the engine's own default of 175 is hard to follow on a telephone.
    const WORDS_PER_MINUTE: i32 = 160;

    /// The engine's name of a language, and of the ways it is spoken that it knows.
    fn language_of(language: Option<&str>) -> Result<&'static str, Error> {
        let asked = language.filter(|l| !l.is_empty()).unwrap_or("en-us");
        let tag = asked.to_ascii_lowercase().replace('_', "-");
        let (first, region) = tag.split_once('-').unwrap_or((&tag, ""));
        let known = match (first, region) {
            ("en", "" | "us") => "en-us",
            ("en", "gb" | "au" | "nz" | "ie" | "za" | "in") => "en-gb",
            ("en", _) => "en-us",
            ("es", "" | "es") => "es",
            ("es", _) => "es-419",
            ("pt", "br") => "pt-br",
            ("fr", "be") => "fr-be",
            ("fr", "ch") => "fr-ch",
            ("no" | "nb" | "nn", _) => "nb",
            _ => LANGUAGES
                .iter()
                .find(|l| **l == first)
                .copied()
                .unwrap_or_default(),
        };
        if known.is_empty() {
            return Err(Error::Speech(format!(
                "the language {asked:?} is not built in; there are {}: use one of them, an HTTP engine, or a file",
                LANGUAGES.join(", ")
            )));
        }
        Ok(known)
    }

    pub(super) fn speak(
        text: &str,
        voice: Option<&str>,
        language: Option<&str>,
    ) -> Result<Pcm, Error> {
        let male = voice.is_some_and(|voice| voice.eq_ignore_ascii_case("male"));
        let variant = if male { "m3" } else { "f2" };
        let voice = format!("{}+{variant}", language_of(language)?);
        let (samples, sample_rate) = synthesise(text, &voice, &data::folder()?).or_else(|_| {
            // Temporary folders are swept; the data may have gone since it was unpacked.
            synthesise(text, &voice, &data::fresh_folder()?)
        })?;
        let mut pcm = Pcm {
            sample_rate,
            samples,
        };
        if crate::level(&pcm.samples) == 0 {
            return Err(Error::Speech(format!(
                "the engine made no sound of {text:?}"
            )));
        }
        pcm.normalise(SPEECH_RMS);
        Ok(pcm)
    }

    fn synthesise(
        text: &str,
        voice: &str,
        data: &std::path::Path,
    ) -> Result<(Vec<i16>, u32), Error> {
        let speaking = || {
            let mut engine = EspeakNg::with_data_dir(voice, data)?;
            engine.set_parameter(Parameter::Rate, WORDS_PER_MINUTE);
            engine.synth(text)
        };
        // The engine is a young port that may panic on odd texts, and a text comes from a document: a call must survive it.
        catch_unwind(AssertUnwindSafe(speaking))
            .map_err(|_| Error::Speech(format!("the engine broke on {text:?}")))?
            .map_err(|e| Error::Speech(e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_spoken_is_refused_in_words() {
        for text in ["", "  ", "?!", &"x".repeat(MAX_SPOKEN_BYTES + 1)] {
            let error = speak(text, None, None).unwrap_err().to_string();
            assert!(error.starts_with("cannot speak the text"), "{error}");
        }
    }

    #[cfg(not(feature = "espeak"))]
    #[test]
    fn without_the_engine_the_error_says_how_to_get_it() {
        let error = speak("hello", None, None).unwrap_err().to_string();
        assert!(error.contains("feature `espeak`"), "{error}");
    }

    #[cfg(feature = "espeak")]
    mod with_the_engine {
        use super::*;
        use crate::level;

        fn rms(samples: &[i16]) -> f64 {
            let energy: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
            (energy / samples.len() as f64).sqrt()
        }

        /// Strongest repetition of the waveform between 60 and 400 Hz, in Hz.
        fn pitch(pcm: &Pcm) -> f64 {
            let rate = pcm.sample_rate as usize;
            let voiced = pcm
                .samples
                .chunks_exact(rate / 10)
                .max_by_key(|chunk| level(chunk))
                .expect("there is audio");
            let likeness = |lag: usize| -> f64 {
                let pairs = || voiced.iter().zip(&voiced[lag..]);
                let product: f64 = pairs().map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                let energy: f64 = pairs().map(|(_, b)| f64::from(*b).powi(2)).sum();
                product / energy.sqrt().max(1.0)
            };
            let best = (rate / 400..rate / 60)
                .max_by(|a, b| likeness(*a).total_cmp(&likeness(*b)))
                .expect("the range is not empty");
            rate as f64 / best as f64
        }

        #[test]
        fn a_sentence_lasts_as_long_as_a_person_would_take() {
            let text = "Please leave your message after the beep";
            let spoken = speak(text, Some("female"), Some("en-US")).unwrap();
            assert_eq!(spoken.sample_rate, 22050);
            let seconds = spoken.duration().as_secs_f64();
            assert!((1.8..4.5).contains(&seconds), "{seconds} s");
            let loudness = 20.0 * (rms(&spoken.samples) / 32767.0).log10();
            assert!((-21.0..=-17.5).contains(&loudness), "{loudness} dBFS");
            let parts: Vec<u32> = spoken.samples.chunks(2205).map(level).collect();
            let loud = parts.iter().filter(|l| **l > 500).count();
            assert!(loud * 2 > parts.len(), "mostly voice: {parts:?}");
        }

        #[test]
        fn more_words_take_longer_and_the_voices_differ() {
            let short = speak("Hello", Some("male"), None).unwrap();
            let long = speak("Hello, this is a much longer text", Some("male"), None).unwrap();
            assert!(long.samples.len() > short.samples.len() * 3 / 2);
            let sentence = "I am reading all of my mail";
            let (male, female) = (
                pitch(&speak(sentence, Some("male"), None).unwrap()),
                pitch(&speak(sentence, Some("female"), None).unwrap()),
            );
            assert!(female > male * 1.2, "male {male} Hz, female {female} Hz");
        }

        #[test]
        fn a_language_that_is_not_built_in_is_named() {
            let error = speak("kaixo", None, Some("eu-es")).unwrap_err();
            let error = error.to_string();
            assert!(
                error.contains("eu-es") && error.contains("da, de, en"),
                "{error}"
            );
        }

        #[test]
        fn what_is_said_to_be_spoken_is() {
            for language in ["en", "en-US", "fr_CA", "nb-no", "pt-BR", "sv"] {
                assert!(
                    speaks(language) && speak("ja", None, Some(language)).is_ok(),
                    "{language}"
                );
            }
            for language in ["", "eu", "zh-cn", "english"] {
                assert!(!speaks(language), "{language}");
            }
        }

        #[test]
        fn every_language_is_spoken_and_in_its_own_way() {
            let text = "Martin, 21";
            let english = speak(text, None, None).unwrap().samples;
            let regions = ["en-GB", "es-MX", "pt_BR", "fr-be", "fr-CH", "nb-no"];
            for language in LANGUAGES.iter().filter(|l| **l != "en").chain(&regions) {
                let spoken = speak(text, Some("male"), Some(language))
                    .unwrap_or_else(|e| panic!("{language}: {e}"));
                let seconds = spoken.duration().as_secs_f64();
                assert!((0.6..4.0).contains(&seconds), "{language}: {seconds} s");
                let female = speak(text, None, Some(language)).unwrap().samples;
                assert_ne!(female, english, "{language}");
            }
        }

        #[test]
        fn odd_texts_never_panic() {
            for text in [
                "1e999",
                "a\0b",
                "[[x]]",
                "<say>&amp;",
                "é𝄞漢字a",
                "12:34:56 $9.99 0x7f",
                "....a....",
                "AAAA BBBB",
            ] {
                drop(speak(text, Some("robot"), Some("")));
            }
        }

        #[test]
        fn many_speak_at_once() {
            let voices: Vec<_> = (0..4)
                .map(|n| std::thread::spawn(move || speak(&format!("number {n}"), None, None)))
                .collect();
            for voice in voices {
                assert!(!voice.join().unwrap().unwrap().samples.is_empty());
            }
        }
    }
}
