//! Lines of recordings, one per account, that are served in turn. Pure.

use std::collections::{BTreeSet, HashMap, VecDeque};

use callreel_proto::{AccountId, RecordingId};

use crate::watch::Tick;

/// Within an account what has been due longest comes first; between accounts each is served once before any is served
/// again. So an account with ten thousand recordings delays another one's by at most one of them.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// None is empty.
    lines: HashMap<AccountId, BTreeSet<(Tick, RecordingId)>>,
    /// Every account with a line, once; the next to be served in front.
    order: VecDeque<AccountId>,
    len: usize,
}

impl Turns {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn put(&mut self, account: &AccountId, due: Tick, id: RecordingId) {
        let line = self.lines.entry(account.clone()).or_insert_with(|| {
            self.order.push_back(account.clone());
            BTreeSet::new()
        });
        self.len += usize::from(line.insert((due, id)));
    }

    /// The next recording, whose account goes to the end.
    pub(crate) fn next(&mut self) -> Option<RecordingId> {
        let account = self.order.pop_front()?;
        let line = self.lines.get_mut(&account).expect("it has a line");
        let (_, id) = line.pop_first().expect("no line is empty");
        if line.is_empty() {
            self.lines.remove(&account);
        } else {
            self.order.push_back(account);
        }
        self.len -= 1;
        Some(id)
    }

    /// Takes this one out of its line; false if it stands in none.
    pub(crate) fn remove(&mut self, account: &AccountId, due: Tick, id: &RecordingId) -> bool {
        let Some(line) = self.lines.get_mut(account) else {
            return false;
        };
        let removed = line.remove(&(due, id.clone()));
        if line.is_empty() {
            self.lines.remove(account);
            self.order.retain(|other| other != account);
        }
        self.len -= usize::from(removed);
        removed
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn account(n: u8) -> AccountId {
        AccountId::parse(&format!("{n:032x}")).unwrap()
    }

    fn id(n: u32) -> RecordingId {
        RecordingId::parse(&format!("202403-{n:032x}")).unwrap()
    }

    fn put(turns: &mut Turns, whose: u8, due: i64, n: u32) {
        turns.put(&account(whose), Tick::from_ms(due), id(n));
    }

    #[test]
    fn an_account_with_ten_thousand_delays_anothers_by_one() {
        let mut turns = Turns::default();
        for n in 0..10_000 {
            put(&mut turns, 1, i64::from(n), n);
        }
        assert_eq!(turns.next(), Some(id(0)));
        put(&mut turns, 2, 99_999, 77_777);
        assert_eq!(turns.next(), Some(id(1)));
        assert_eq!(turns.next(), Some(id(77_777)));
        assert_eq!(turns.next(), Some(id(2)));
        assert_eq!(turns.len(), 9_997);
    }

    proptest! {
        #[test]
        fn everyone_is_served_once_before_anyone_is_served_again(
            steps in vec((0u8..4, 0i64..9, any::<bool>()), 1..80),
        ) {
            let mut turns = Turns::default();
            let mut put_in = BTreeSet::new();
            for (n, (whose, due, gone)) in (0u32..).zip(&steps) {
                put(&mut turns, *whose, *due, n);
                if *gone {
                    prop_assert!(turns.remove(&account(*whose), Tick::from_ms(*due), &id(n)));
                } else {
                    put_in.insert((*whose, *due, n));
                }
            }
            prop_assert_eq!(turns.len(), put_in.len());
            while !put_in.is_empty() {
                let waiting: BTreeSet<u8> = put_in.iter().map(|(whose, ..)| *whose).collect();
                let mut served = BTreeSet::new();
                for _ in 0..waiting.len() {
                    let next = turns.next().unwrap();
                    let (whose, due, n) = *put_in.iter().find(|(.., n)| id(*n) == next).unwrap();
                    let oldest = put_in.iter().filter(|(other, ..)| *other == whose).min();
                    prop_assert_eq!(oldest, Some(&(whose, due, n)));
                    prop_assert!(served.insert(whose));
                    put_in.remove(&(whose, due, n));
                }
                prop_assert_eq!(served, waiting);
            }
            prop_assert_eq!(turns.next(), None);
            prop_assert!(turns.lines.is_empty());
        }
    }
}
