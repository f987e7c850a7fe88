//! How much each account may still do: a bucket of tokens that fills with time (Kazoo's `kz_buckets`). Knows no clock and no call.

use std::{collections::HashMap, time::Duration};

use callreel_proto::AccountId;
use tokio::time::Instant;

/// Accounts whose buckets are known; the buckets of those that rest are full and need not be.
const MOST_ACCOUNTS: usize = 10_000;

/// The buckets of all accounts. A call costs one token, and so does each of its actions.
#[derive(Debug)]
pub(crate) struct Buckets {
    /// What a bucket holds; 0 is a bucket without a bottom.
    size: f64,
    fill_per_s: f64,
    of: HashMap<AccountId, Bucket>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Buckets {
    /// Buckets of this size, which fill with so many tokens a second; size 0 limits nobody.
    pub(crate) fn new(size: u32, fill_per_s: u32) -> Self {
        Self {
            size: size.into(),
            fill_per_s: fill_per_s.into(),
            of: HashMap::new(),
        }
    }

    /// Takes so many tokens, if there are as many; else none.
    pub(crate) fn take(&mut self, account: &AccountId, tokens: u64, now: Instant) -> bool {
        if self.size == 0.0 {
            return true;
        }
        let mut bucket = self.of.get(account).map_or(
            Bucket {
                tokens: self.size,
                at: now,
            },
            |bucket| self.filled(*bucket, now),
        );
        // An f64 counts to 2^53, and no call has as many actions.
        let wanted = tokens as f64;
        let enough = bucket.tokens >= wanted;
        if enough {
            bucket.tokens -= wanted;
        }
        self.make_room(now);
        self.of.insert(account.clone(), bucket);
        enough
    }

    fn filled(&self, bucket: Bucket, now: Instant) -> Bucket {
        let passed: Duration = now.saturating_duration_since(bucket.at);
        let tokens = bucket.tokens + passed.as_secs_f64() * self.fill_per_s;
        Bucket {
            tokens: tokens.min(self.size),
            at: now,
        }
    }

    /// Forgets full buckets, which is no loss, where there are too many.
    fn make_room(&mut self, now: Instant) {
        if self.of.len() < MOST_ACCOUNTS {
            return;
        }
        let mut of = std::mem::take(&mut self.of);
        of.retain(|_, bucket| self.filled(*bucket, now).tokens < self.size);
        self.of = of;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_account_takes_what_is_there_and_gets_it_back_with_time() {
        let (ours, theirs) = (AccountId::random(), AccountId::random());
        let mut buckets = Buckets::new(10, 2);
        let start = Instant::now();
        assert!(buckets.take(&ours, 9, start));
        assert!(
            !buckets.take(&ours, 2, start),
            "nothing is taken of too little"
        );
        assert!(buckets.take(&ours, 1, start));
        assert!(!buckets.take(&ours, 1, start));
        assert!(buckets.take(&theirs, 10, start), "each has its own");
        let later = start + Duration::from_secs(1);
        assert!(buckets.take(&ours, 2, later));
        assert!(!buckets.take(&ours, 1, later));
        let much_later = start + Duration::from_secs(3600);
        assert!(buckets.take(&ours, 10, much_later));
        assert!(
            !buckets.take(&ours, 1, much_later),
            "it holds no more than its size"
        );
    }

    #[test]
    fn a_bucket_of_size_nothing_limits_nobody() {
        let mut buckets = Buckets::new(0, 0);
        assert!(buckets.take(&AccountId::random(), 1_000_000, Instant::now()));
    }

    #[test]
    fn accounts_that_rest_are_forgotten() {
        let mut buckets = Buckets::new(10, 10);
        let start = Instant::now();
        for nth in 0..2 * MOST_ACCOUNTS {
            let now = start + Duration::from_millis(nth as u64);
            assert!(buckets.take(&AccountId::random(), 1, now));
            assert!(buckets.of.len() <= MOST_ACCOUNTS);
        }
    }

    proptest! {
        #[test]
        fn nobody_takes_more_than_the_bucket_and_what_flowed_in(takes in prop::collection::vec((0u64..5, 0u64..400), 0..200)) {
            let account = AccountId::random();
            let mut buckets = Buckets::new(20, 10);
            let start = Instant::now();
            let (mut now, mut taken) = (start, 0u64);
            for (tokens, pause_ms) in takes {
                now += Duration::from_millis(pause_ms);
                if buckets.take(&account, tokens, now) {
                    taken += tokens;
                }
                let flowed = (now - start).as_secs_f64() * 10.0;
                prop_assert!(taken as f64 <= 20.0 + flowed + 1e-6);
            }
        }
    }
}
