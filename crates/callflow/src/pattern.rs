//! Regular expressions that documents name. They are Kazoo's, so PCRE's: looking ahead and behind is part of them. Never runs long.

use fancy_regex::{Regex, RegexBuilder};

/// What one pattern may cost in memory, bytes: those of telephone numbers take a hundredth of it.
const SIZE: usize = 256 << 10;
/// What one match may cost, steps back: telephone numbers take a few. Only patterns that look ahead, behind or back can need more.
const STEPS: usize = 10_000;

/// A pattern of a document.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

/// What a pattern takes out of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken<'t> {
    /// All that matches.
    pub all: &'t str,
    /// Its groups in their order; empty where a group had no part in the match.
    pub groups: Vec<&'t str>,
    /// The groups that have names and took something.
    pub named: Vec<(String, &'t str)>,
}

impl Pattern {
    /// Reads it.
    ///
    /// # Errors
    /// It cannot be read, or would be too large; for people.
    pub fn read(text: &str) -> Result<Self, String> {
        let read = RegexBuilder::new(text)
            .delegate_size_limit(SIZE)
            .backtrack_limit(STEPS)
            .build();
        read.map(Self).map_err(|error| {
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or_default();
            format!("the pattern {text:?} cannot be read ({reason})")
        })
    }

    /// Whether it matches somewhere. What would take too long does not.
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text).unwrap_or(false)
    }

    /// What it takes out of a text; none if it does not match, or would take too long.
    pub fn take<'t>(&self, text: &'t str) -> Option<Taken<'t>> {
        let found = self.0.captures(text).ok()??;
        let group = |at: usize| found.get(at).map_or("", |part| part.as_str());
        let named = self.0.capture_names().flatten().filter_map(|name| {
            let part = found.name(name)?.as_str();
            (!part.is_empty()).then(|| (name.to_owned(), part))
        });
        Some(Taken {
            all: group(0),
            groups: (1..found.len()).map(group).collect(),
            named: named.collect(),
        })
    }
}

impl<'t> Taken<'t> {
    /// What counts of a match in Kazoo: the longest group, of several the first; without groups all of it.
    pub fn longest(&self) -> &'t str {
        let longer =
            |best: &'t str, part: &&'t str| if part.len() > best.len() { *part } else { best };
        match self.groups.split_first() {
            None => self.all,
            Some((first, others)) => others.iter().fold(*first, longer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn longest<'t>(pattern: &str, text: &'t str) -> Option<&'t str> {
        Pattern::read(pattern)
            .unwrap()
            .take(text)
            .map(|taken| taken.longest())
    }

    #[test]
    fn the_longest_group_counts() {
        assert_eq!(
            longest(r"^\+?(1)?(\d{10})$", "+14155550100"),
            Some("4155550100")
        );
        assert_eq!(
            longest(r"^\+?(1)?(\d{10})$", "4155550100"),
            Some("4155550100")
        );
        assert_eq!(longest(r"^(\d\d)(\d\d)$", "1234"), Some("12"));
        assert_eq!(longest(r"^\*72([0-9]*)$", "*72"), Some(""));
        assert_eq!(longest(r"^\d{4}$", "2000"), Some("2000"));
        assert_eq!(longest(r"^\d{4}$", "200"), None);
    }

    #[test]
    fn groups_have_their_order_and_their_names() {
        let pattern = Pattern::read(r"^\*5(x)?(?P<slot>\d*)(?<rest>#?)$").unwrap();
        let taken = pattern.take("*512").unwrap();
        assert_eq!(taken.groups, ["", "12", ""]);
        assert_eq!(taken.named, [("slot".to_owned(), "12")]);
    }

    #[test]
    fn a_pattern_looks_ahead_and_behind_as_pcre_does() {
        assert_eq!(longest(r"^(?!911$)(\d+)$", "912"), Some("912"));
        assert_eq!(longest(r"^(?!911$)(\d+)$", "911"), None);
        assert_eq!(longest(r"(?<=^\+)1(\d+)$", "+1415"), Some("415"));
    }

    #[test]
    fn what_costs_too_much_is_refused_or_matches_nothing() {
        let nested = format!("{}1{}", "(".repeat(10_000), ")".repeat(10_000));
        for hostile in ["(a{1000}){1000}", "(", &nested] {
            assert!(Pattern::read(hostile).is_err(), "{hostile:.20}");
        }
        let slow = Pattern::read(r"^(?:1+)+(?=2)$").unwrap();
        assert!(!slow.is_match(&"1".repeat(200)));
        assert!(slow.take(&"1".repeat(200)).is_none());
    }
}
