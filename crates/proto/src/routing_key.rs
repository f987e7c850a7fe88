//! Words of a routing key and the matching of topic patterns.

use std::fmt::Write;

/// Encodes one variable word of a routing key as Kazoo's `kz_amqp_util:encode/1` does: a dot or any other byte that
/// is not unreserved becomes `%XX`, a space becomes `+`; an empty word, `*` and `#` stay.
pub fn encode_word(word: &str) -> String {
    if matches!(word, "*" | "#") {
        return word.to_owned();
    }
    let mut out = String::with_capacity(word.len());
    for byte in word.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'~' | b'_' => out.push(byte as char),
            b' ' => out.push('+'),
            _ => write!(out, "%{byte:02X}").expect("writing to a String cannot fail"),
        }
    }
    out
}

/// Whether a topic pattern matches a routing key (AMQP 0-9-1 §3.1.3.3): `*` is exactly one word, `#` any number.
pub fn topic_matches(pattern: &str, key: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('.').collect();
    let key: Vec<&str> = if key.is_empty() {
        Vec::new()
    } else {
        key.split('.').collect()
    };
    words_match(&pattern, &key)
}

fn words_match(pattern: &[&str], key: &[&str]) -> bool {
    match pattern {
        [] => key.is_empty(),
        ["#", rest @ ..] => (0..=key.len()).any(|skip| words_match(rest, &key[skip..])),
        [""] if key.is_empty() => true,
        [first, rest @ ..] => match key {
            [word, more @ ..] if *first == "*" || first == word => words_match(rest, more),
            _ => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_encoded_as_kazoo_does() {
        for (plain, encoded) in [
            ("sip.example.com", "sip%2Eexample%2Ecom"),
            ("a b@c", "a+b%40c"),
            ("3e7f@10.0.0.1", "3e7f%4010%2E0%2E0%2E1"),
            ("+1415", "%2B1415"),
            ("*", "*"),
            ("", ""),
            ("é", "%C3%A9"),
        ] {
            assert_eq!(encode_word(plain), encoded);
        }
    }

    #[test]
    fn topics_match_as_the_broker_does() {
        for (pattern, key, expected) in [
            ("call.*.abc", "call.DTMF.abc", true),
            ("call.*.abc", "call.DTMF.abd", false),
            ("call.*", "call.DTMF.abc", false),
            ("call.#", "call", true),
            ("call.#", "call.DTMF.abc", true),
            ("#", "", true),
            ("#.abc", "call.DTMF.abc", true),
            ("route.req.audio.*", "route.req.audio.r.u", false),
        ] {
            assert_eq!(
                topic_matches(pattern, key),
                expected,
                "{pattern} against {key}"
            );
        }
    }
}
