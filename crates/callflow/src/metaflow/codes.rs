//! The feature codes of one party, read from the `metaflows` of its documents. Hears no key.

use std::collections::BTreeMap;
use std::time::Duration;

use callreel_proto::{Terminators, lenient_u64};
use serde_json::{Map, Value, json};

use super::{MetaflowRules, Step, step};
use crate::flow::escaped;
use crate::pattern::Pattern;
use crate::problem::{Problem, Severity, object};

/// Kazoo's binding key.
const BINDING: char = '*';
/// Kazoo's time between two keys, milliseconds.
const TIMEOUT_MS: u64 = 800;
/// Between two keys nobody is faster, or slower and still dialling.
const TIMEOUTS_MS: std::ops::RangeInclusive<u64> = 100..=10_000;

/// What a party can dial.
#[derive(Debug)]
pub(super) struct Codes {
    binding: char,
    timeout: Duration,
    /// To the party itself, and to its peer.
    listen_on: [bool; 2],
    numbers: BTreeMap<String, Vec<Step>>,
    patterns: Vec<(Pattern, Vec<Step>)>,
}

impl Codes {
    /// The codes of these documents, and what in them cannot be used.
    pub(super) fn read(rules: &MetaflowRules) -> (Self, Vec<Problem>) {
        let mut reader = Reader::default();
        let documents = [
            ("account", &rules.account),
            ("callflow", &rules.callflow),
            ("device", &rules.device),
            ("user", &rules.user),
        ];
        for (whose, document) in documents {
            reader.document(document, &format!("{whose}#/metaflows"));
        }
        (reader.codes, reader.problems)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.numbers.is_empty() && self.patterns.is_empty()
    }

    pub(super) fn binding(&self) -> char {
        self.binding
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn listen_on(&self) -> [bool; 2] {
        self.listen_on
    }

    /// Whether these digits are a code that no further key could change.
    pub(super) fn is_complete(&self, digits: &str) -> bool {
        let longer = |number: &String| number.len() > digits.len() && number.starts_with(digits);
        self.patterns.is_empty()
            && self.numbers.contains_key(digits)
            && !self.numbers.keys().any(longer)
    }

    /// What these digits mean: a number goes before a pattern. What a pattern takes out of them goes into the data.
    pub(super) fn find(&self, digits: &str) -> Option<Vec<Step>> {
        if let Some(steps) = self.numbers.get(digits) {
            return Some(steps.clone());
        }
        let mut taken = self
            .patterns
            .iter()
            .filter_map(|(pattern, steps)| Some((pattern.take(digits)?, steps)));
        let (taken, steps) = taken.next()?;
        let mut steps = steps.clone();
        for step in &mut steps {
            step.data.insert("collected".to_owned(), json!(digits));
            step.data.insert("captures".to_owned(), json!(taken.groups));
        }
        Some(steps)
    }
}

struct Reader {
    codes: Codes,
    problems: Vec<Problem>,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            codes: Codes {
                binding: BINDING,
                timeout: Duration::from_millis(TIMEOUT_MS),
                listen_on: [true, false],
                numbers: BTreeMap::new(),
                patterns: Vec::new(),
            },
            problems: Vec::new(),
        }
    }
}

impl Reader {
    /// Takes over what a document says: it goes before those read already.
    fn document(&mut self, document: &Value, place: &str) {
        let Some(document) = self.object(document, place) else {
            return;
        };
        if let Some(value) = said(document, "binding_digit") {
            self.binding(value, place);
        }
        for key in ["digit_timeout", "digit_timeout_ms"] {
            if let Some(value) = said(document, key) {
                self.timeout(value, &format!("{place}/{key}"));
            }
        }
        if let Some(value) = said(document, "listen_on") {
            self.listen_on(value, place);
        }
        for (key, is_pattern) in [("numbers", false), ("patterns", true)] {
            let place = format!("{place}/{key}");
            let map = document.get(key).unwrap_or(&Value::Null);
            for (name, flow) in self.object(map, &place).into_iter().flatten() {
                let place = format!("{place}/{}", escaped(name));
                self.code(name, flow, is_pattern, &place);
            }
        }
    }

    fn binding(&mut self, value: &Value, place: &str) {
        let mut keys = value.as_str().unwrap_or_default().chars();
        match (keys.next(), keys.next()) {
            (Some(key), None) if Terminators::any().contains(key) => self.codes.binding = key,
            _ => self.warn(
                format!("{place}/binding_digit"),
                format!("it is no key of a telephone; {BINDING} is used"),
            ),
        }
    }

    fn timeout(&mut self, value: &Value, place: &str) {
        let ms = match lenient_u64(value) {
            Some(ms) if TIMEOUTS_MS.contains(&ms) => ms,
            asked => {
                let (least, most) = TIMEOUTS_MS.into_inner();
                let used = asked.map_or(TIMEOUT_MS, |ms| ms.clamp(least, most));
                let message = format!("it is not within {least} to {most} ms; {used} is used");
                self.warn(place.to_owned(), message);
                used
            }
        };
        self.codes.timeout = Duration::from_millis(ms);
    }

    fn listen_on(&mut self, value: &Value, place: &str) {
        self.codes.listen_on = match value.as_str() {
            Some("self" | "a") => [true, false],
            Some("peer" | "b") => [false, true],
            Some("both" | "ab") => [true, true],
            _ => {
                let message = "use \"self\", \"peer\" or \"both\"; self is used";
                self.warn(format!("{place}/listen_on"), message.to_owned());
                [true, false]
            }
        };
    }

    /// One code: `{"module": …, "data": {…}, "children": {"_": …}}`. One that means nothing here hides those of documents read
    /// before.
    fn code(&mut self, name: &str, flow: &Value, is_pattern: bool, place: &str) {
        if !is_pattern {
            self.codes.numbers.remove(name);
        }
        let (steps, problems) = step::chain(flow, place);
        self.problems.extend(problems);
        if steps.is_empty() {
            return;
        }
        if is_pattern {
            return self.pattern(name, steps, place);
        }
        self.codes.numbers.insert(name.to_owned(), steps);
    }

    fn pattern(&mut self, pattern: &str, steps: Vec<Step>, place: &str) {
        match Pattern::read(pattern) {
            // What is read last goes before.
            Ok(pattern) => self.codes.patterns.insert(0, (pattern, steps)),
            Err(reason) => self.warn(place.to_owned(), format!("{reason}; it matches nothing")),
        }
    }

    fn object<'a>(&mut self, value: &'a Value, place: &str) -> Option<&'a Map<String, Value>> {
        object(value, |message| self.warn(place.to_owned(), message))
    }

    fn warn(&mut self, place: String, message: String) {
        let problem = Problem::new(Severity::Warning, place, message);
        self.problems.push(problem);
    }
}

fn said<'a>(document: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    document.get(key).filter(|value| !value.is_null())
}
