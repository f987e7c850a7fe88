//! Who waits for what: one line per receiver, kept in order, one letter of it under way at a time. All lines together are
//! bounded, and who has most waiting pays first. Pure.

use std::collections::{HashMap, VecDeque};

/// What a letter that was put in led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Put<T> {
    /// To be sent now: nothing of its line is under way.
    pub(super) go: Option<T>,
    /// There was no room: the oldest of the longest line, or this one if all others are under way.
    pub(super) dropped: Option<T>,
}

/// The lines, by the receiver's key. A line is there as long as a letter of it is under way.
#[derive(Debug)]
pub(super) struct Lines<T> {
    waiting: HashMap<String, VecDeque<T>>,
    /// Letters waiting and under way.
    letters: usize,
    capacity: usize,
}

impl<T> Lines<T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            waiting: HashMap::new(),
            letters: 0,
            capacity,
        }
    }

    /// Letters waiting and under way.
    pub(super) fn len(&self) -> usize {
        self.letters
    }

    /// Takes a letter.
    pub(super) fn put(&mut self, key: &str, letter: T) -> Put<T> {
        let dropped = if self.letters < self.capacity {
            None
        } else {
            let longest = self.waiting.values_mut().max_by_key(|line| line.len());
            let Some(oldest) = longest.and_then(VecDeque::pop_front) else {
                let (go, dropped) = (None, Some(letter));
                return Put { go, dropped };
            };
            self.letters -= 1;
            Some(oldest)
        };
        self.letters += 1;
        let go = match self.waiting.get_mut(key) {
            Some(line) => {
                line.push_back(letter);
                None
            }
            None => {
                self.waiting.insert(key.to_owned(), VecDeque::new());
                Some(letter)
            }
        };
        Put { go, dropped }
    }

    /// The letter under way has arrived or was given up: the next of its line is to be sent.
    pub(super) fn next(&mut self, key: &str) -> Option<T> {
        let line = self.waiting.get_mut(key)?;
        self.letters -= 1;
        let next = line.pop_front();
        if next.is_none() {
            self.waiting.remove(key);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(lines: &mut Lines<u32>, key: &str, letter: u32) -> (Option<u32>, Option<u32>) {
        let Put { go, dropped } = lines.put(key, letter);
        (go, dropped)
    }

    #[test]
    fn a_line_keeps_its_order_and_lets_one_go_at_a_time() {
        let mut lines = Lines::new(10);
        assert_eq!(put(&mut lines, "a", 1), (Some(1), None));
        assert_eq!(put(&mut lines, "a", 2), (None, None));
        assert_eq!(put(&mut lines, "b", 3), (Some(3), None));
        assert_eq!(put(&mut lines, "a", 4), (None, None));
        assert_eq!(lines.len(), 4);
        assert_eq!([(); 3].map(|()| lines.next("a")), [Some(2), Some(4), None]);
        assert_eq!(put(&mut lines, "a", 5), (Some(5), None));
        assert_eq!(lines.next("b"), None);
        assert_eq!(lines.next("b"), None);
        assert_eq!(lines.len(), 1);
    }

    #[test]
    fn a_full_house_costs_the_longest_line_its_oldest() {
        let mut lines = Lines::new(5);
        for letter in 1..=3 {
            lines.put("dead", letter);
        }
        lines.put("slow", 4);
        lines.put("slow", 5);
        assert_eq!(put(&mut lines, "slow", 6), (None, Some(2)));
        assert_eq!(put(&mut lines, "fine", 7), (Some(7), Some(5)));
        assert_eq!((lines.len(), lines.next("fine")), (5, None));
        assert_eq!((lines.next("dead"), lines.next("slow")), (Some(3), Some(6)));
    }

    #[test]
    fn what_is_under_way_is_not_dropped() {
        let mut lines = Lines::new(2);
        lines.put("a", 1);
        lines.put("b", 2);
        assert_eq!(put(&mut lines, "c", 3), (None, Some(3)));
        assert_eq!((lines.next("a"), lines.len()), (None, 1));
        assert_eq!(put(&mut lines, "c", 4), (Some(4), None));
    }
}
