//! Telephone numbers of the public network, as they are keys of Kazoo's documents.

/// Characters of a number that name its database: `+1415` of `+14155550100`.
const PREFIX: usize = 5;

/// A number of the public network in the form of E.164: `+` and digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct E164(String);

impl E164 {
    /// The number that was dialled or called, by Kazoo's default converters: `+` and digits; ten digits of North America, with or without 1;
    /// `011` or `00` before an international number; eight digits or more that begin with none of 0 and 1.
    /// None if it is no number of the public network.
    pub fn of(dialled: &str) -> Option<Self> {
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let high = |text: &str| matches!(text.bytes().next(), Some(b'2'..=b'9'));
        let plain = dialled.strip_prefix('+').unwrap_or(dialled);
        if !digits(plain) {
            return None;
        }
        if plain.len() < dialled.len() {
            return (plain.len() > PREFIX).then(|| Self(dialled.to_owned()));
        }
        let national = plain.strip_prefix('1').unwrap_or(plain);
        if national.len() == 10 && high(national) && national[3..].starts_with(|c| c >= '2') {
            return Some(Self(format!("+1{national}")));
        }
        let abroad = plain.strip_prefix("011").or(plain.strip_prefix("00"));
        if let Some(abroad) = abroad.filter(|number| number.len() >= PREFIX) {
            return Some(Self(format!("+{abroad}")));
        }
        (high(plain) && plain.len() >= 8).then(|| Self(format!("+{plain}")))
    }

    /// As text: a number document's id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The database of its document, such as `numbers/+1415`.
    pub fn database(&self) -> String {
        format!("numbers/{}", self.0.get(..PREFIX).unwrap_or(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_from_extensions_and_put_in_one_form() {
        let of = |dialled| E164::of(dialled).map(|number| number.0);
        for dialled in ["4155550100", "14155550100", "+14155550100"] {
            assert_eq!(of(dialled).as_deref(), Some("+14155550100"), "{dialled}");
        }
        for dialled in [
            "0114687012345",
            "004687012345",
            "+4687012345",
            "4687012345678",
        ] {
            assert!(
                of(dialled).is_some_and(|n| n.starts_with("+4687012345")),
                "{dialled}"
            );
        }
        for own in [
            "",
            "+",
            "+123",
            "204",
            "2000000",
            "*97",
            "0112",
            "no_match",
            "415555010x",
        ] {
            assert_eq!(of(own), None, "{own}");
        }
    }

    #[test]
    fn a_number_names_its_database() {
        let database = |dialled| E164::of(dialled).map(|number| number.database());
        assert_eq!(database("4155550100").as_deref(), Some("numbers/+1415"));
        assert_eq!(database("+4687012345").as_deref(), Some("numbers/+4687"));
    }
}
