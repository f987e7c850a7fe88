//! A range of UDP ports, as configuration files write it.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use serde::{Deserialize, Serialize};

/// A range of UDP ports, written `first-last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PortRange {
    /// The first port, included.
    pub first: u16,
    /// The last port, included.
    pub last: u16,
}

impl PortRange {
    /// As the media engine takes it.
    pub fn inclusive(self) -> RangeInclusive<u16> {
        self.first..=self.last
    }
}

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a port range; write it as \"20000-29999\"");
        let (first, last) = text.split_once('-').ok_or_else(wrong)?;
        let first = first.trim().parse().map_err(|_| wrong())?;
        let last = last.trim().parse().map_err(|_| wrong())?;
        if first == 0 || first >= last {
            return Err(wrong());
        }
        Ok(Self { first, last })
    }
}

impl TryFrom<String> for PortRange {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl From<PortRange> for String {
    fn from(range: PortRange) -> Self {
        range.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_range_reads_as_it_is_written() {
        let range: PortRange = "20000-20999".parse().unwrap();
        assert_eq!(String::from(range), "20000-20999");
        for bad in ["", "1", "5-5", "9-1", "0-5", "a-b", "1-99999"] {
            assert!(bad.parse::<PortRange>().is_err(), "{bad}");
        }
    }
}
