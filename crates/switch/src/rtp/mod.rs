//! The switch's media engine: RTP sockets, relay, transcoding, playback, digits, forks. Knows nothing of SIP or calls.

mod engine;
mod leg;
mod types;

pub use engine::MediaEngine;
pub use leg::MediaLeg;
pub use types::{Error, LegStats, MediaEvent, PlayId, Playback, Remote, RtpConfig, SilenceWatch};
