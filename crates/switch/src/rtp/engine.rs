//! Opens legs: owns the port range and the fork socket they share. Moves no packet itself.

use tokio::sync::mpsc;

use super::{Error, MediaEvent, MediaLeg, RtpConfig};

/// The media engine; clones share it.
#[derive(Debug, Clone)]
pub struct MediaEngine {}

impl MediaEngine {
    /// Checks the port range and opens the fork socket.
    pub fn start(_config: RtpConfig) -> Result<Self, Error> {
        unimplemented!("being written")
    }

    /// Opens a leg on a free pair of ports. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`Error::PortsExhausted`] when every pair is taken, [`Error::Bind`] when the system refuses sockets.
    pub fn open(&self) -> Result<(MediaLeg, mpsc::Receiver<MediaEvent>), Error> {
        unimplemented!("being written")
    }
}
