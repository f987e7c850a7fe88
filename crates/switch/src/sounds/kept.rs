//! Recently used sounds, bounded by what they weigh.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use callreel_media::Pcm;

use crate::shared::locked;

/// Samples kept: about ten minutes of speech at 16 kHz, 20 MB. Prompts and greetings of a busy box fit many times over.
const MAX_KEPT_SAMPLES: usize = 10_000_000;
/// A sound that is longer by itself would drive too many others out.
const MAX_SAMPLES: usize = MAX_KEPT_SAMPLES / 4;

struct Entry {
    name: String,
    pcm: Arc<Pcm>,
    /// It may have changed where it comes from after this.
    until: Option<Instant>,
}

/// The newest last.
#[derive(Default)]
pub(super) struct Kept(Mutex<Vec<Entry>>);

impl Kept {
    /// The sound of this name.
    pub(super) fn get(&self, name: &str) -> Option<Arc<Pcm>> {
        let mut kept = locked(&self.0);
        let at = kept.iter().position(|entry| entry.name == name)?;
        let entry = kept.remove(at);
        if entry.until.is_some_and(|until| Instant::now() >= until) {
            return None;
        }
        let pcm = entry.pcm.clone();
        kept.push(entry);
        Some(pcm)
    }

    /// Remembers a sound, until a time if that matters.
    pub(super) fn put(&self, name: String, pcm: &Arc<Pcm>, until: Option<Instant>) {
        if pcm.samples.len() > MAX_SAMPLES {
            return;
        }
        let mut kept = locked(&self.0);
        // Two calls may have made it at the same time.
        kept.retain(|entry| entry.name != name);
        let pcm = pcm.clone();
        kept.push(Entry { name, pcm, until });
        let mut samples: usize = kept.iter().map(|entry| entry.pcm.samples.len()).sum();
        while samples > MAX_KEPT_SAMPLES {
            samples -= kept.remove(0).pcm.samples.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_kept_is_bounded_and_the_recent_stay() {
        let kept = Kept::default();
        let long = Arc::new(Pcm::silence(Duration::from_secs(150), 16_000));
        for name in ["a", "b", "c", "d"] {
            kept.put(name.to_owned(), &long, None);
        }
        assert!(kept.get("a").is_some());
        kept.put("e".to_owned(), &long, None);
        assert!(kept.get("a").is_some() && kept.get("b").is_none());
        let huge = Arc::new(Pcm::silence(Duration::from_secs(200), 16_000));
        kept.put("huge".to_owned(), &huge, None);
        assert!(kept.get("huge").is_none() && kept.get("a").is_some());
        kept.put("a".to_owned(), &long, Some(Instant::now()));
        assert!(kept.get("a").is_none());
    }
}
