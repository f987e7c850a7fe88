//! RTP payloads in, aligned two-leg audio out, as WAV or MP3; prompts, tones, DTMF. A mind: it never opens a socket or reads a clock.
//!
//! Two halves share this crate. The **live half** is what a switch needs while a call lives: [`Decoder`], [`Encoder`], [`Resampler`],
//! [`tones`], [`speak`], [`dtmf`], [`level`]. The **late half** turns a capture's journal into a file after the fact:
//! a first pass over all packets builds a [`Timeline`], a second pass feeds a [`Renderer`], which writes the cut of one recording.
//! Where a switch has recorded by itself, an [`AudioReader`] and a [`Converter`] make the file that was asked for out of the switch's.
//!
//! The one thing here that touches the file system is [`speak`]: its engine reads its data from a folder.

mod audio_file;
mod codec;
mod convert;
pub mod dtmf;
mod error;
mod packet;
mod pcm;
mod prompts;
mod redact;
mod render;
mod resample;
#[cfg(test)]
mod sample;
mod speech;
mod timeline;
mod tones;

pub use audio_file::{AudioReader, AudioShape, read_audio};
pub use codec::{Codec, Decoder, Encoder, TELEPHONE_EVENT};
pub use convert::Converter;
pub use error::Error;
pub use packet::Packet;
pub use pcm::{Pcm, level};
pub use prompts::prompt_text;
pub use render::{Cut, LegReport, Mp3Settings, Profile, Renderer, Summary};
pub use resample::Resampler;
pub use speech::{LANGUAGES, MAX_SPOKEN_BYTES, pieces, speak, speaks};
pub use timeline::{Timeline, TimelineBuilder};
pub use tones::{ToneStream, tone_stream, tones};
