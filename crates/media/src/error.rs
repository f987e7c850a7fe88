//! The one error type of this crate: what was wrong with the audio or the request, and what to do.

/// Why audio could not be read, made or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not a WAV or MP3 file that can be decoded.
    #[error("cannot decode the audio: {0}; give a WAV or MP3 file")]
    Undecodable(String),
    /// A `tone_stream://` address that does not parse.
    #[error("cannot read the tone stream at {at:?}: {reason}")]
    ToneStream {
        /// The part that is wrong.
        at: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The text cannot be spoken.
    #[error("cannot speak the text: {0}")]
    Speech(String),
    /// A sample rate, bit rate or channel layout that the format cannot have.
    #[error("cannot write such a file: {0}")]
    Profile(String),
    /// The encoder failed.
    #[error("the {encoder} encoder failed: {reason}")]
    Encoder {
        /// Which encoder.
        encoder: &'static str,
        /// What it said.
        reason: String,
    },
    /// The output could not be written.
    #[error("cannot write the rendition: {0}")]
    Write(#[from] std::io::Error),
}
