//! What the calls of a bench say: a conversation in PCMU packets, each call from another place in it. Pure, but for the speech engine.

use callreel_media::{Codec, Pcm};

use super::fidelity::{Conversation, PACKETS_PER_SECOND, Sent};

/// Length of the conversation, seconds. It goes round.
const SECONDS: u32 = 60;
/// Samples and bytes of a packet of 20 ms.
pub(super) const FRAME: usize = 160;
/// Places in the conversation from one call to the next: prime, so that neighbours say different things.
const STRIDE: usize = 617;

/// Both legs, packet by packet.
pub(super) struct Talk {
    legs: [Sent; 2],
}

impl Talk {
    /// Speaks it.
    ///
    /// # Errors
    /// There is no speech engine in this binary.
    pub(super) fn speak() -> anyhow::Result<Self> {
        let conversation = Conversation::speak(SECONDS)?;
        let said = |leg| conversation.leg(leg, Codec::Pcmu.sample_rate());
        let legs = [0, 1].map(|leg| Sent::encode(Codec::Pcmu, &said(leg)));
        Ok(Self { legs })
    }

    /// The payload of a call's packet.
    pub(super) fn payload(&self, call: usize, leg: usize, packet: usize) -> &[u8] {
        let payloads = &self.legs[leg].payloads;
        &payloads[(call * STRIDE + packet) % payloads.len()]
    }

    /// Packets that a leg sends in so many seconds.
    ///
    /// # Errors
    /// More than this machine can count.
    pub(super) fn packets_in(seconds: u64) -> anyhow::Result<usize> {
        Ok(usize::try_from(seconds * u64::from(PACKETS_PER_SECOND))?)
    }

    /// What a perfect receiver hears of so many packets of a call, leg by leg.
    pub(super) fn heard(&self, call: usize, packets: usize) -> [Vec<i16>; 2] {
        [0, 1].map(|leg| {
            let all = &self.legs[leg].decoded.samples;
            let frames = all.len() / FRAME;
            (0..packets)
                .flat_map(|packet| {
                    let first = (call * STRIDE + packet) % frames * FRAME;
                    all[first..first + FRAME].iter().copied()
                })
                .collect()
        })
    }

    /// The whole conversation, once.
    pub(super) fn sound(&self) -> [Pcm; 2] {
        [0, 1].map(|leg| self.legs[leg].decoded.clone())
    }

    /// Packets until it goes round.
    pub(super) fn packets(&self) -> usize {
        self.legs[0].payloads.len()
    }
}
