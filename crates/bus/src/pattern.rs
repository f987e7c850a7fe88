//! A set of topic patterns, each with its queues: finds who hears a routing key by the words of the key, not by the number
//! of patterns, because every live call binds patterns of its own.

use std::collections::HashMap;

/// Patterns bound by `T`s (AMQP 0-9-1 §3.1.3.3): `*` is exactly one word, `#` any number.
#[derive(Debug)]
pub(crate) struct Patterns<T> {
    root: Node<T>,
}

#[derive(Debug)]
struct Node<T> {
    words: HashMap<String, Node<T>>,
    bound: Vec<T>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self {
            words: HashMap::new(),
            bound: Vec::new(),
        }
    }
}

impl<T> Default for Patterns<T> {
    fn default() -> Self {
        Self {
            root: Node::default(),
        }
    }
}

impl<T: Clone + PartialEq> Patterns<T> {
    /// Binds; no change if it is bound already.
    pub(crate) fn bind(&mut self, pattern: &str, to: T) {
        let mut node = &mut self.root;
        for word in words(pattern) {
            node = node.words.entry(word.to_owned()).or_default();
        }
        if !node.bound.contains(&to) {
            node.bound.push(to);
        }
    }

    /// Unbinds, and forgets the words nobody needs any more.
    pub(crate) fn unbind(&mut self, pattern: &str, to: &T) {
        let words: Vec<&str> = words(pattern).collect();
        self.root.unbind(&words, to);
    }

    /// Adds to `heard` everyone one of whose patterns matches, each once.
    pub(crate) fn matching(&self, key: &str, heard: &mut Vec<T>) {
        let words: Vec<&str> = words(key).collect();
        self.root.matching(&words, heard);
    }

    /// Everyone who is bound at all, each once.
    pub(crate) fn everyone(&self, heard: &mut Vec<T>) {
        self.root.everyone(heard);
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.root.is_bare()
    }
}

impl<T: Clone + PartialEq> Node<T> {
    fn is_bare(&self) -> bool {
        self.bound.is_empty() && self.words.is_empty()
    }

    fn unbind(&mut self, words: &[&str], to: &T) {
        let [word, rest @ ..] = words else {
            self.bound.retain(|bound| bound != to);
            return;
        };
        if let Some(node) = self.words.get_mut(*word) {
            node.unbind(rest, to);
            if node.is_bare() {
                self.words.remove(*word);
            }
        }
    }

    fn matching(&self, key: &[&str], heard: &mut Vec<T>) {
        if let Some(any_number) = self.words.get("#") {
            for skip in 0..=key.len() {
                any_number.matching(&key[skip..], heard);
            }
        }
        let [word, rest @ ..] = key else {
            hear(&self.bound, heard);
            return;
        };
        // A word of the key may itself read "*" or "#": that branch is walked twice then, and nobody hears twice.
        for branch in ["*", *word] {
            if let Some(node) = self.words.get(branch) {
                node.matching(rest, heard);
            }
        }
    }

    fn everyone(&self, heard: &mut Vec<T>) {
        hear(&self.bound, heard);
        for node in self.words.values() {
            node.everyone(heard);
        }
    }
}

fn hear<T: Clone + PartialEq>(bound: &[T], heard: &mut Vec<T>) {
    for one in bound {
        if !heard.contains(one) {
            heard.push(one.clone());
        }
    }
}

/// The empty text has no words.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split('.').filter(move |_| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use callreel_proto::topic_matches;
    use proptest::prelude::*;

    use super::*;

    fn heard(patterns: &Patterns<usize>, key: &str) -> Vec<usize> {
        let mut heard = Vec::new();
        patterns.matching(key, &mut heard);
        heard.sort_unstable();
        heard
    }

    fn phrase(word: &'static str) -> impl Strategy<Value = String> {
        prop::collection::vec(word, 1..5).prop_map(|words| words.join("."))
    }

    proptest! {
        #[test]
        fn patterns_match_one_by_one_as_they_do_together(
            bound in prop::collection::vec(phrase("[ab*#]"), 0..12),
            keys in prop::collection::vec(phrase("[abc]"), 1..8),
        ) {
            let mut patterns = Patterns::default();
            for (id, pattern) in bound.iter().enumerate() {
                patterns.bind(pattern, id);
            }
            for key in &keys {
                let expected: Vec<usize> = (0..bound.len()).filter(|id| topic_matches(&bound[*id], key)).collect();
                prop_assert_eq!(heard(&patterns, key), expected, "{}", key);
            }
            for (id, pattern) in bound.iter().enumerate() {
                patterns.unbind(pattern, &id);
            }
            prop_assert!(patterns.is_empty(), "unbinding leaves nothing behind");
        }
    }

    #[test]
    fn a_receiver_with_two_matching_patterns_hears_once() {
        let mut patterns = Patterns::default();
        patterns.bind("call.*.x", 1);
        patterns.bind("call.#", 1);
        patterns.bind("call.#", 1);
        assert_eq!(heard(&patterns, "call.DTMF.x"), [1]);
        patterns.unbind("call.#", &1);
        assert_eq!(heard(&patterns, "call.DTMF.x"), [1]);
        patterns.unbind("call.*.x", &1);
        assert_eq!(heard(&patterns, "call.DTMF.x"), [0; 0]);
    }

    #[test]
    fn the_empty_key_has_no_words() {
        let mut patterns = Patterns::default();
        patterns.bind("#", 1);
        patterns.bind("*", 2);
        patterns.bind("", 3);
        assert_eq!(heard(&patterns, ""), [1, 3]);
    }
}
