//! Wall-clock instants as Kazoo writes them. Durations and deadlines inside a process never use these.

use serde::{Deserialize, Serialize};

/// Seconds between year 0 (the epoch of Kazoo's "gregorian" seconds) and 1970.
pub const GREGORIAN_UNIX_OFFSET: i64 = 62_167_219_200;

/// A UTC instant with millisecond resolution, stored as Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Utc(i64);

impl Utc {
    /// The instant `ms` milliseconds after 1970-01-01T00:00:00Z.
    pub const fn from_unix_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// The system clock, read now. Minds never call this: time is told to them.
    pub fn now() -> Self {
        Self(jiff::Timestamp::now().as_millisecond())
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn unix_ms(self) -> i64 {
        self.0
    }

    /// Kazoo's gregorian seconds: whole seconds since year 0.
    pub fn gregorian_seconds(self) -> i64 {
        self.0.div_euclid(1000) + GREGORIAN_UNIX_OFFSET
    }

    /// The month as `YYYYMM`, the suffix of a month database and the prefix of a recording id.
    pub fn year_month(self) -> String {
        self.stamp().strftime("%Y%m").to_string()
    }

    /// RFC 3339 with milliseconds, for people.
    pub fn rfc3339(self) -> String {
        self.stamp().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
    }

    /// This instant moved by `ms` milliseconds.
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    fn stamp(self) -> jiff::Zoned {
        jiff::Timestamp::from_millisecond(self.0)
            .unwrap_or_default()
            .to_zoned(jiff::tz::TimeZone::UTC)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gregorian_seconds_count_from_year_zero() {
        assert_eq!(
            Utc::from_unix_ms(0).gregorian_seconds(),
            GREGORIAN_UNIX_OFFSET
        );
        assert_eq!(Utc::from_unix_ms(1_709_251_199_999).year_month(), "202402");
        assert_eq!(Utc::from_unix_ms(1_709_251_200_000).year_month(), "202403");
        assert_eq!(
            Utc::from_unix_ms(1_709_251_200_123).rfc3339(),
            "2024-03-01T00:00:00.123Z"
        );
    }
}
