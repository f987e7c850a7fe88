//! Digest nonces: made without remembering them, so that a flood of strangers costs no memory. Reads no clock itself.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

/// Nonces whose counters are remembered at once: only those a phone has answered rightly. If as many are in use, all are
/// forgotten, which only means that a request somebody overheard could be replayed until its nonce expires.
const MAX_COUNTED: usize = 50_000;
const STAMP_DIGITS: usize = 16;
const SALT_DIGITS: usize = 8;
const PROOF_DIGITS: usize = 32;

/// What a nonce in a request is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Ours and fresh.
    Good,
    /// Ours, but old or its counter was used before: challenge again with `stale=true`.
    Stale,
    /// Never ours.
    Foreign,
}

/// Makes nonces and recognises them.
#[derive(Debug)]
pub(crate) struct Nonces {
    secret: [u8; 32],
    epoch: Instant,
    lifetime: Duration,
    /// Highest counter seen per nonce, and when the nonce expires.
    counted: HashMap<String, (u32, Instant)>,
}

impl Nonces {
    /// `secret` must be random; `epoch` is any instant not after the first `now`.
    pub(crate) fn new(secret: [u8; 32], epoch: Instant, lifetime: Duration) -> Self {
        Self {
            secret,
            epoch,
            lifetime,
            counted: HashMap::new(),
        }
    }

    /// A nonce for a challenge in this realm.
    pub(crate) fn issue(&self, now: Instant, salt: u32, realm: &str) -> String {
        let stamp = now.saturating_duration_since(self.epoch).as_millis() as u64;
        let head = format!("{stamp:016x}{salt:08x}");
        let proof = self.proof(&head, realm);
        head + &proof
    }

    /// Whether a nonce is ours and fresh.
    pub(crate) fn check(&self, now: Instant, nonce: &str, realm: &str) -> Verdict {
        let head_digits = STAMP_DIGITS + SALT_DIGITS;
        if nonce.len() != head_digits + PROOF_DIGITS || !nonce.is_ascii() {
            return Verdict::Foreign;
        }
        let (head, proof) = nonce.split_at(head_digits);
        if self.proof(head, realm) != proof {
            return Verdict::Foreign;
        }
        let stamp = u64::from_str_radix(&head[..STAMP_DIGITS], 16).unwrap_or_default();
        let issued = self.epoch + Duration::from_millis(stamp);
        if now.saturating_duration_since(issued) > self.lifetime {
            return Verdict::Stale;
        }
        Verdict::Good
    }

    /// Uses up counter `count` of a good nonce whose response was right: a replay is stale.
    pub(crate) fn spend(&mut self, now: Instant, nonce: &str, count: u32) -> Verdict {
        if let Some((seen, _)) = self.counted.get_mut(nonce) {
            if count <= *seen {
                return Verdict::Stale;
            }
            *seen = count;
            return Verdict::Good;
        }
        if self.counted.len() >= MAX_COUNTED {
            self.counted.retain(|_, (_, expires)| *expires > now);
        }
        if self.counted.len() >= MAX_COUNTED {
            self.counted.clear();
        }
        self.counted
            .insert(nonce.to_owned(), (count, now + self.lifetime));
        Verdict::Good
    }

    fn proof(&self, head: &str, realm: &str) -> String {
        let mut hash = Sha256::new();
        hash.update(self.secret);
        hash.update(head.as_bytes());
        hash.update(realm.as_bytes());
        let mut text = hex::encode(hash.finalize());
        text.truncate(PROOF_DIGITS);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nonces() -> (Nonces, Instant) {
        let epoch = Instant::now();
        (Nonces::new([7; 32], epoch, Duration::from_secs(300)), epoch)
    }

    #[test]
    fn a_nonce_is_good_for_its_realm_until_it_expires() {
        let (nonces, epoch) = nonces();
        let later = epoch + Duration::from_secs(10);
        let nonce = nonces.issue(later, 1, "acme");
        assert_eq!(nonces.check(later, &nonce, "acme"), Verdict::Good);
        assert_eq!(nonces.check(later, &nonce, "other"), Verdict::Foreign);
        let too_late = later + Duration::from_secs(301);
        assert_eq!(nonces.check(too_late, &nonce, "acme"), Verdict::Stale);
    }

    #[test]
    fn nobody_else_can_make_one() {
        let (nonces, epoch) = nonces();
        let other = Nonces::new([8; 32], epoch, Duration::from_secs(300));
        for forged in [
            other.issue(epoch, 1, "acme"),
            "0".repeat(56),
            "é".repeat(28),
            String::new(),
        ] {
            assert_eq!(nonces.check(epoch, &forged, "acme"), Verdict::Foreign);
        }
    }

    #[test]
    fn a_counter_works_once() {
        let (mut nonces, epoch) = nonces();
        let nonce = nonces.issue(epoch, 1, "acme");
        assert_eq!(nonces.spend(epoch, &nonce, 1), Verdict::Good);
        assert_eq!(nonces.spend(epoch, &nonce, 1), Verdict::Stale);
        assert_eq!(nonces.spend(epoch, &nonce, 2), Verdict::Good);
    }
}
