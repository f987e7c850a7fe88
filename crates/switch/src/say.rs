//! The command `say`: what a voice must read so that numbers, letters and times are said as Kazoo's senders mean it. Pure.

mod times;

use jiff::{Timestamp, tz::TimeZone};

/// Something to say, as the command has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Saying {
    /// `Say-Text`.
    pub(crate) text: String,
    /// `Type`.
    pub(crate) kind: String,
    /// `Method`.
    pub(crate) method: String,
    /// Such as `en-us`.
    pub(crate) language: Option<String>,
}

/// The words of it, and their language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) text: String,
    pub(crate) language: Option<String>,
}

impl Saying {
    /// Whether the place of the listener matters.
    pub(crate) fn is_of_time(&self) -> bool {
        matches!(
            self.kind.as_str(),
            "current_date" | "current_time" | "current_date_time" | "short_date_time"
        )
    }

    /// The words; the error is a sentence for the controller.
    pub(crate) fn words(&self, now: Timestamp, place: &TimeZone) -> Result<Words, String> {
        let text = self.text.trim();
        let english = match self.kind.as_str() {
            _ if self.method == "iterated" => {
                return Ok(self.in_its_language(&spelled(text, plain)));
            }
            "" | "number" | "items" | "persons" | "messages" => {
                return self.number(text);
            }
            "telephone_number"
            | "telephone_extension"
            | "account_number"
            | "name_spelled"
            | "ip_address"
            | "url"
            | "e-mail_address" => spelled(text, plain),
            "name_phonetic" => spelled(text, phonetic),
            "postal_address" => return Ok(self.in_its_language(text)),
            "currency" => times::money(text)?,
            "time_measurement" => times::length(text)?,
            kind if self.is_of_time() => times::told(text, kind, now, place)?,
            kind => return Err(format!("this switch cannot say a {kind}")),
        };
        // Digits alone are read in any language; words of ours are English.
        if !english.chars().any(|c| c.is_ascii_lowercase()) {
            return Ok(self.in_its_language(&english));
        }
        let own = self.language.as_deref().unwrap_or_default();
        let is_english = own.get(..2).is_some_and(|l| l.eq_ignore_ascii_case("en"));
        Ok(Words {
            text: english,
            language: self.language.clone().filter(|_| is_english),
        })
    }

    fn in_its_language(&self, text: &str) -> Words {
        Words {
            text: text.to_owned(),
            language: self.language.clone(),
        }
    }

    fn number(&self, text: &str) -> Result<Words, String> {
        if self.method != "counted" {
            return Ok(self.in_its_language(text));
        }
        let number: u64 = text
            .parse()
            .map_err(|_| format!("{text:?} cannot be counted: it is no whole number"))?;
        Ok(Words {
            text: times::ordinal(number),
            language: Some("en-us".to_owned()),
        })
    }
}

/// Every character on its own, with a pause after it.
fn spelled(text: &str, name: impl Fn(char) -> Option<String>) -> String {
    let names: Vec<String> = text.chars().filter_map(name).collect();
    names.join(", ")
}

fn plain(character: char) -> Option<String> {
    let name = match character {
        '.' => "dot",
        '*' => "star",
        '#' => "pound",
        '+' => "plus",
        '@' => "at",
        '/' => "slash",
        ':' => "colon",
        '-' => "dash",
        '_' => "underscore",
        '&' => "and",
        '%' => "percent",
        '=' => "equals",
        '?' => "question mark",
        // A single capital letter is read as its name; a small one may be read as a word.
        c if c.is_alphabetic() => return Some(c.to_uppercase().to_string()),
        c if c.is_alphanumeric() => return Some(c.to_string()),
        _ => return None,
    };
    Some(name.to_owned())
}

fn phonetic(character: char) -> Option<String> {
    const ALPHABET: [&str; 26] = [
        "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india",
        "juliett", "kilo", "lima", "mike", "november", "oscar", "papa", "quebec", "romeo",
        "sierra", "tango", "uniform", "victor", "whiskey", "x-ray", "yankee", "zulu",
    ];
    let letter = character.to_ascii_lowercase();
    match letter {
        'a'..='z' => Some(ALPHABET[usize::from(letter as u8 - b'a')].to_owned()),
        other => plain(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, kind: &str, method: &str, language: Option<&str>) -> Result<Words, String> {
        let saying = Saying {
            text: text.to_owned(),
            kind: kind.to_owned(),
            method: method.to_owned(),
            language: language.map(str::to_owned),
        };
        saying.words(Timestamp::UNIX_EPOCH, &TimeZone::UTC)
    }

    #[test]
    fn numbers_and_letters_are_read_spelled_or_counted_as_asked() {
        for (text, kind, method, words) in [
            ("204", "number", "pronounced", "204"),
            ("204", "number", "iterated", "2, 0, 4"),
            ("21", "number", "counted", "21st"),
            ("112", "items", "counted", "112th"),
            ("3", "messages", "pronounced", "3"),
            ("+46 8*1", "telephone_number", "", "plus, 4, 6, 8, star, 1"),
            ("2000", "telephone_extension", "pronounced", "2, 0, 0, 0"),
            ("Ek", "name_spelled", "pronounced", "E, K"),
            ("Ek2", "name_phonetic", "pronounced", "echo, kilo, 2"),
            (
                "10.0.0.1",
                "ip_address",
                "pronounced",
                "1, 0, dot, 0, dot, 0, dot, 1",
            ),
            (
                "a@b.se",
                "e-mail_address",
                "pronounced",
                "A, at, B, dot, S, E",
            ),
            ("a.io/x", "url", "pronounced", "A, dot, I, O, slash, X"),
            ("A1", "account_number", "pronounced", "A, 1"),
            ("5 Main St", "postal_address", "pronounced", "5 Main St"),
            ("12.50", "currency", "pronounced", "12 dollars and 50 cents"),
            (
                "3725",
                "time_measurement",
                "pronounced",
                "1 hour, 2 minutes and 5 seconds",
            ),
        ] {
            assert_eq!(
                said(text, kind, method, None).unwrap().text,
                words,
                "{kind}"
            );
        }
        for (text, kind, method) in [
            ("x", "number", "counted"),
            ("soon", "current_time", ""),
            ("1", "song", ""),
            ("x", "currency", ""),
        ] {
            assert!(said(text, kind, method, None).is_err(), "{kind}");
        }
    }

    #[test]
    fn words_of_ours_are_spoken_in_english_and_digits_in_the_calls_language() {
        let language =
            |text, kind, own| said(text, kind, "pronounced", Some(own)).unwrap().language;
        for (text, kind, own, expected) in [
            ("42", "number", "fr-fr", Some("fr-fr")),
            ("1001", "name_spelled", "fr-fr", Some("fr-fr")),
            ("BO", "name_spelled", "fr-fr", Some("fr-fr")),
            ("*1", "telephone_number", "fr-fr", None),
            ("*1", "telephone_number", "en-gb", Some("en-gb")),
            ("0", "current_time", "sv-se", None),
        ] {
            assert_eq!(
                language(text, kind, own).as_deref(),
                expected,
                "{text} {own}"
            );
        }
    }
}
