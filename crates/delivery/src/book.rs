//! The queue's picture of what is owed: which recording waits until when, which can be worked on, which is being worked
//! on. Pure: holds ids and instants, never a ticket, never a clock.

use std::collections::{BTreeSet, HashMap, VecDeque};

use callreel_proto::{RecordingId, Utc};
use serde::Serialize;

/// The next work on a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// Get what a foreign switch has recorded.
    Fetch,
    /// Make the audio file.
    Render,
    /// Bring it, or its document, where it must go.
    Deliver,
}

impl Stage {
    /// In the order of a recording's way.
    pub(crate) const ALL: [Self; 3] = [Self::Fetch, Self::Render, Self::Deliver];
}

/// Where a recording stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "place")]
pub(crate) enum Place {
    /// Until this instant there is nothing to do.
    Waiting {
        /// Unix milliseconds.
        until: Utc,
    },
    /// It waits for a free thread or worker.
    Ready,
    /// It waits until fewer deliveries to its host, or fetches from its switch, are under way.
    Held,
    /// A thread or worker has it.
    Out,
}

/// One owed recording.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Entry {
    stage: Stage,
    #[serde(flatten)]
    place: Place,
    /// Someone wants it gone as soon as it comes back.
    unwanted: bool,
}

/// All recordings that are owed. Given up ones are not in it.
#[derive(Debug, Default)]
pub(crate) struct Book {
    entries: HashMap<RecordingId, Entry>,
    waiting: BTreeSet<(Utc, RecordingId)>,
    ready: [VecDeque<RecordingId>; Stage::ALL.len()],
    out: [usize; Stage::ALL.len()],
    /// Where deliveries go, or files are fetched from, that are out or held, or were held before they became ready.
    ways: HashMap<RecordingId, Way>,
    hosts: HashMap<String, Host>,
}

#[derive(Debug)]
struct Way {
    host: String,
    /// It is one of the host's `out`.
    counted: bool,
}

/// A receiver to which, or a switch from which, something is under way.
#[derive(Debug, Default)]
struct Host {
    /// Recordings with a way to it.
    ways: usize,
    out: usize,
    held: VecDeque<RecordingId>,
}

impl Book {
    pub(crate) fn contains(&self, id: &RecordingId) -> bool {
        self.entries.contains_key(id)
    }

    pub(crate) fn is_out(&self, id: &RecordingId) -> bool {
        self.place(id) == Some(Place::Out)
    }

    pub(crate) fn place(&self, id: &RecordingId) -> Option<Place> {
        self.entries.get(id).map(|entry| entry.place)
    }

    /// Recordings that are being worked on.
    pub(crate) fn out(&self, stage: Stage) -> usize {
        self.out[stage as usize]
    }

    /// Recordings owed, of all places.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The recording is due at this instant, whatever was known of it before.
    pub(crate) fn put(&mut self, id: RecordingId, stage: Stage, until: Utc) {
        self.remove(&id);
        self.waiting.insert((until, id.clone()));
        let entry = Entry {
            stage,
            place: Place::Waiting { until },
            unwanted: false,
        };
        self.entries.insert(id, entry);
    }

    /// Nothing is owed any more; false if nothing was.
    pub(crate) fn remove(&mut self, id: &RecordingId) -> bool {
        let Some(entry) = self.entries.remove(id) else {
            return false;
        };
        match entry.place {
            Place::Waiting { until } => {
                self.waiting.remove(&(until, id.clone()));
            }
            Place::Ready => self.ready[entry.stage as usize].retain(|other| other != id),
            Place::Held => {}
            Place::Out => self.out[entry.stage as usize] -= 1,
        }
        self.leave_host(id);
        true
    }

    /// What is out goes to this host, unless as many as `most` do already: then it is held until one of them is back,
    /// and the answer is false.
    pub(crate) fn direct(&mut self, id: &RecordingId, host: &str, most: usize) -> bool {
        if self.ways.get(id).is_some_and(|way| way.host != host) {
            self.leave_host(id);
        }
        let Some(entry) = self.entries.get_mut(id) else {
            return false;
        };
        let at = self.hosts.entry(host.to_owned()).or_default();
        let goes = at.out < most;
        if goes {
            at.out += 1;
        } else {
            entry.place = Place::Held;
            self.out[entry.stage as usize] -= 1;
            at.held.push_back(id.clone());
        }
        let way = Way {
            host: host.to_owned(),
            counted: goes,
        };
        if self.ways.insert(id.clone(), way).is_none() {
            at.ways += 1;
        }
        goes
    }

    /// One less for its host. Unless it was held itself, the one held longest becomes ready in its stead, and passes the
    /// turn on in the same way.
    fn leave_host(&mut self, id: &RecordingId) {
        let Some(way) = self.ways.remove(id) else {
            return;
        };
        let host = self.hosts.get_mut(&way.host).expect("it has a way there");
        host.ways -= 1;
        host.out -= usize::from(way.counted);
        if let Some(held) = host.held.iter().position(|other| other == id) {
            host.held.remove(held);
        } else if let Some(next) = host.held.pop_front() {
            let entry = self.entries.get_mut(&next).expect("all held are owed");
            entry.place = Place::Ready;
            self.ready[entry.stage as usize].push_back(next);
        }
        if host.ways == 0 {
            self.hosts.remove(&way.host);
        }
    }

    /// When it comes back it is to be dropped.
    pub(crate) fn unwant(&mut self, id: &RecordingId) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.unwanted = true;
        }
    }

    pub(crate) fn is_unwanted(&self, id: &RecordingId) -> bool {
        self.entries.get(id).is_some_and(|entry| entry.unwanted)
    }

    /// Everything due by now becomes ready, oldest first.
    pub(crate) fn advance(&mut self, now: Utc) {
        while let Some((until, _)) = self.waiting.first()
            && *until <= now
        {
            let (_, id) = self.waiting.pop_first().expect("it was there just now");
            let entry = self.entries.get_mut(&id).expect("all that waits is owed");
            entry.place = Place::Ready;
            self.ready[entry.stage as usize].push_back(id);
        }
    }

    /// Hands out the recording that has been ready longest.
    pub(crate) fn take(&mut self, stage: Stage) -> Option<RecordingId> {
        let id = self.ready[stage as usize].pop_front()?;
        let entry = self
            .entries
            .get_mut(&id)
            .expect("all that is ready is owed");
        entry.place = Place::Out;
        self.out[stage as usize] += 1;
        Some(id)
    }

    /// When [`Book::advance`] has something to do next.
    pub(crate) fn next_due(&self) -> Option<Utc> {
        self.waiting.first().map(|(until, _)| *until)
    }

    /// Every owed recording, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&RecordingId, &Entry)> {
        self.entries.iter()
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn id(n: u8) -> RecordingId {
        RecordingId::parse(&format!("202403-{n:032x}")).unwrap()
    }

    fn at(ms: i64) -> Utc {
        Utc::from_unix_ms(ms)
    }

    #[test]
    fn recordings_come_out_in_the_order_they_became_due_each_to_its_stage() {
        let mut book = Book::default();
        book.put(id(1), Stage::Deliver, at(30));
        book.put(id(2), Stage::Deliver, at(10));
        book.put(id(3), Stage::Render, at(20));
        assert_eq!(book.next_due(), Some(at(10)));
        assert_eq!(book.take(Stage::Deliver), None, "nothing is due yet");
        book.advance(at(25));
        assert_eq!(book.next_due(), Some(at(30)));
        book.advance(at(30));
        assert_eq!(book.take(Stage::Deliver), Some(id(2)));
        assert_eq!(book.take(Stage::Deliver), Some(id(1)));
        assert_eq!(book.take(Stage::Deliver), None);
        assert_eq!(book.take(Stage::Render), Some(id(3)));
        assert_eq!((book.out(Stage::Deliver), book.out(Stage::Render)), (2, 1));
    }

    #[test]
    fn a_host_with_enough_under_way_holds_its_own_and_no_other() {
        let mut book = Book::default();
        for n in 1..=5 {
            book.put(id(n), Stage::Deliver, at(i64::from(n)));
        }
        book.advance(at(9));
        let hand_out = |book: &mut Book, host: &str| {
            let next = book.take(Stage::Deliver).unwrap();
            book.direct(&next, host, 2)
        };
        assert!(hand_out(&mut book, "hangs") && hand_out(&mut book, "hangs"));
        assert!(!hand_out(&mut book, "hangs") && !hand_out(&mut book, "hangs"));
        assert_eq!(book.out(Stage::Deliver), 2, "the held take no worker");
        assert!(hand_out(&mut book, "lives"));
        assert_eq!(book.place(&id(3)), Some(Place::Held));
        book.remove(&id(3));
        book.put(id(1), Stage::Deliver, at(20));
        assert_eq!(book.take(Stage::Deliver), Some(id(4)), "next in its stead");
        assert!(book.direct(&id(4), "hangs", 2));
    }

    #[test]
    fn what_is_out_is_not_handed_out_twice_and_may_be_unwanted() {
        let mut book = Book::default();
        book.put(id(1), Stage::Render, at(0));
        book.advance(at(0));
        book.take(Stage::Render).unwrap();
        book.advance(at(1000));
        assert_eq!(book.take(Stage::Render), None);
        assert!(book.is_out(&id(1)) && !book.is_unwanted(&id(1)));
        book.unwant(&id(1));
        assert!(book.is_unwanted(&id(1)));
        book.put(id(1), Stage::Deliver, at(5));
        assert_eq!(book.out(Stage::Render), 0);
        assert_eq!(book.place(&id(1)), Some(Place::Waiting { until: at(5) }));
    }

    proptest! {
        #[test]
        fn the_lists_always_agree_with_the_entries(steps in vec((0u8..8, 0u8..6, 0i64..50), 0..200)) {
            let mut book = Book::default();
            for (step, n, ms) in steps {
                match step {
                    0 => book.put(id(n), Stage::Render, at(ms)),
                    1 => book.put(id(n), Stage::Deliver, at(ms)),
                    2 => book.advance(at(ms)),
                    3 => drop(book.take(Stage::ALL[usize::from(n) % 3])),
                    4 => if let Some(taken) = book.take(Stage::Deliver) {
                        book.direct(&taken, if ms % 2 == 0 { "a" } else { "b" }, 1);
                    },
                    5 => book.put(id(n), Stage::Fetch, at(ms)),
                    6 => if let Some(taken) = book.take(Stage::Fetch) {
                        book.direct(&taken, if ms % 2 == 0 { "switch a" } else { "switch b" }, 1);
                    },
                    _ => { book.remove(&id(n)); }
                }
                let places: Vec<Place> = book.iter().map(|(_, entry)| entry.place).collect();
                let count = |wanted: fn(&Place) -> bool| places.iter().filter(|p| wanted(p)).count();
                prop_assert_eq!(count(|p| matches!(p, Place::Waiting { .. })), book.waiting.len());
                prop_assert_eq!(count(|p| *p == Place::Ready), book.ready.iter().map(VecDeque::len).sum::<usize>());
                prop_assert_eq!(count(|p| *p == Place::Out), book.out.iter().sum::<usize>());
                prop_assert_eq!(count(|p| *p == Place::Held), book.hosts.values().map(|h| h.held.len()).sum::<usize>());
                for (name, host) in &book.hosts {
                    let ways = book.ways.values().filter(|way| way.host == *name);
                    prop_assert_eq!(ways.count(), host.ways);
                    prop_assert!(host.ways > host.held.len(), "somebody passes the turn on");
                    prop_assert!(host.out <= 1);
                }
            }
        }
    }
}
