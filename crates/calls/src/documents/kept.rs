//! Answers of the store that are remembered: how many, for how long, and which no longer. Reads nothing and knows no clock.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use serde_json::Value;
use tokio::time::Instant;

/// Answers kept at most: a few of each account that has calls at the moment.
const MOST: usize = 20_000;
/// Bytes of JSON kept at most, of all answers together.
const MOST_BYTES: usize = 64 << 20;
/// Databases that changed lately and are known by name: as many as may change while one answer is under way.
const LATELY: usize = 1024;

/// What a database was asked.
#[derive(Debug, Clone, Copy)]
pub(super) enum Question<'a> {
    /// For a document, by its id.
    Document(&'a str),
    /// For a view, by its name and key.
    View(&'a str),
}

impl Question<'_> {
    fn key(self) -> String {
        match self {
            Self::Document(id) => format!("document {id}"),
            Self::View(name) => format!("view {name}"),
        }
    }
}

/// The answers, by database and question.
#[derive(Debug, Default)]
pub(super) struct Kept {
    answers: HashMap<String, HashMap<String, Answer>>,
    /// In the order they came, and so of their age; some of them are gone, or were replaced, already.
    ages: VecDeque<(String, String, u64)>,
    count: usize,
    bytes: usize,
    /// Counts answers and changes: which was first.
    clock: u64,
    /// Databases that changed, the latest last.
    changed: VecDeque<(u64, String)>,
    /// Changes up to here are not in `changed` any more.
    lost: u64,
}

#[derive(Debug)]
struct Answer {
    found: Arc<[Value]>,
    until: Instant,
    bytes: usize,
    nth: u64,
}

impl Kept {
    /// What is remembered, if it is fresh.
    pub(super) fn answer(
        &self,
        db: &str,
        question: Question<'_>,
        now: Instant,
    ) -> Option<Arc<[Value]>> {
        let answer = self.answers.get(db)?.get(&question.key())?;
        (now < answer.until).then(|| Arc::clone(&answer.found))
    }

    /// A point in time: whoever reads takes it before.
    pub(super) fn since(&self) -> u64 {
        self.clock
    }

    /// Remembers an answer whose reading began at `since`, unless the database has changed meanwhile.
    pub(super) fn keep(
        &mut self,
        db: &str,
        question: Question<'_>,
        found: &Arc<[Value]>,
        until: Instant,
        since: u64,
    ) {
        let stale = self
            .changed
            .iter()
            .any(|(at, name)| *at > since && name == db);
        let bytes = found.iter().map(weight).sum();
        if stale || self.lost > since || bytes > MOST_BYTES {
            return;
        }
        self.clock += 1;
        let key = question.key();
        let answer = Answer {
            found: Arc::clone(found),
            until,
            bytes,
            nth: self.clock,
        };
        self.remove(db, &key, None);
        self.count += 1;
        self.bytes += bytes;
        let of_db = self.answers.entry(db.to_owned()).or_default();
        of_db.insert(key.clone(), answer);
        self.ages.push_back((db.to_owned(), key, self.clock));
        self.make_room();
    }

    fn make_room(&mut self) {
        // Those that are gone leave their ages behind.
        while self.count > MOST || self.bytes > MOST_BYTES || self.ages.len() > 2 * MOST {
            let Some((db, key, nth)) = self.ages.pop_front() else {
                return;
            };
            self.remove(&db, &key, Some(nth));
        }
    }

    fn remove(&mut self, db: &str, key: &str, nth: Option<u64>) {
        let Some(of_db) = self.answers.get_mut(db) else {
            return;
        };
        let meant = |answer: &Answer| nth.is_none_or(|nth| answer.nth == nth);
        if !of_db.get(key).is_some_and(meant) {
            return;
        }
        let gone = of_db.remove(key).expect("seen just now");
        self.count -= 1;
        self.bytes -= gone.bytes;
        if of_db.is_empty() {
            self.answers.remove(db);
        }
    }

    /// Something in this database has changed: nothing of before is told again, not even what is being read now.
    pub(super) fn forget(&mut self, db: &str) {
        self.clock += 1;
        if let Some(of_db) = self.answers.remove(db) {
            self.count -= of_db.len();
            self.bytes -= of_db.values().map(|answer| answer.bytes).sum::<usize>();
        }
        self.changed.push_back((self.clock, db.to_owned()));
        if self.changed.len() > LATELY {
            let eldest = self.changed.pop_front();
            self.lost = eldest.map_or(self.lost, |(at, _)| at);
        }
    }

    /// Anything may have changed.
    pub(super) fn forget_all(&mut self) {
        self.clock += 1;
        self.lost = self.clock;
        self.answers.clear();
        self.ages.clear();
        self.changed.clear();
        self.count = 0;
        self.bytes = 0;
    }
}

/// What a value takes, near enough: its text, and some for each of its parts.
fn weight(value: &Value) -> usize {
    const PART: usize = 32;
    PART + match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(weight).sum(),
        Value::Object(map) => map
            .iter()
            .map(|(key, v)| PART + key.len() + weight(v))
            .sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    const BOB: Question<'_> = Question::Document("bob");

    fn found(value: Value) -> Arc<[Value]> {
        Arc::from([value])
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn what_changes_while_it_is_read_is_not_remembered() {
        let mut kept = Kept::default();
        let since = kept.since();
        kept.forget("a");
        kept.keep("a", BOB, &found(json!(1)), soon(), since);
        kept.keep("b", BOB, &found(json!(2)), soon(), since);
        assert!(kept.answer("a", BOB, Instant::now()).is_none());
        assert!(kept.answer("b", BOB, Instant::now()).is_some());
        let since = kept.since();
        for db in 0..=LATELY {
            kept.forget(&format!("{db}"));
        }
        kept.keep("a", BOB, &found(json!(1)), soon(), since);
        let known = kept.answer("a", BOB, Instant::now());
        assert!(
            known.is_none(),
            "it may have been among those whose names are lost"
        );
        let since = kept.since();
        kept.forget_all();
        kept.keep("a", BOB, &found(json!(1)), soon(), since);
        assert!(kept.answer("a", BOB, Instant::now()).is_none());
    }

    #[test]
    fn the_eldest_make_room() {
        let mut kept = Kept::default();
        for nth in 0..=MOST {
            let (id, since) = (format!("{nth}"), kept.since());
            kept.keep(
                "a",
                Question::Document(&id),
                &found(json!(nth)),
                soon(),
                since,
            );
        }
        assert_eq!(kept.count, MOST);
        let now = Instant::now();
        assert!(kept.answer("a", Question::Document("0"), now).is_none());
        assert!(kept.answer("a", Question::Document("1"), now).is_some());
        let large = json!("x".repeat(MOST_BYTES / 2));
        for id in ["p", "q", "r"] {
            let since = kept.since();
            kept.keep(
                "b",
                Question::View(id),
                &found(large.clone()),
                soon(),
                since,
            );
            assert!(kept.bytes <= MOST_BYTES);
        }
        assert!(kept.answer("b", Question::View("r"), now).is_some());
        kept.forget("a");
        kept.forget("b");
        assert_eq!((kept.count, kept.bytes), (0, 0));
    }

    #[test]
    fn a_document_that_is_read_again_and_again_is_kept_once() {
        let mut kept = Kept::default();
        for nth in 0..3 * MOST {
            let since = kept.since();
            kept.keep("a", BOB, &found(json!(nth)), soon(), since);
        }
        assert_eq!(kept.count, 1);
        assert!(kept.ages.len() <= 2 * MOST);
        let known = kept.answer("a", BOB, Instant::now()).unwrap();
        assert_eq!(known[0], json!(3 * MOST - 1));
    }
}
