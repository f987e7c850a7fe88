//! When a rule of time holds: Kazoo's `temporal_rule` against a date and a time of day. Knows no clock and no document.

use callreel_proto::TemporalRule;
use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// Unix's zero in Kazoo's gregorian seconds.
const GREGORIAN_UNIX_ZERO: i64 = 62_167_219_200;

/// A rule that can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    cycle: Cycle,
    /// Cycles are counted from here, and there is nothing before.
    start: Date,
    /// There is nothing after.
    end: Option<Date>,
    /// Seconds of the day, both of them within.
    window: [i64; 2],
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Cycle {
    /// The start alone.
    Date,
    /// Every so many days.
    Daily(i64),
    /// These days of every so many weeks; weeks begin on Monday (ISO 8601).
    Weekly(i64, Vec<Weekday>),
    Monthly(i64, Days),
    /// In this month of every so many years.
    Yearly(i64, i8, Days),
}

/// Which days of a month.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Days {
    Numbered(Vec<u64>),
    Every(Vec<Weekday>),
    /// The first of such a weekday, the second and so on; a month may have no fifth.
    Nth(i8, Vec<Weekday>),
    Last(Vec<Weekday>),
}

impl Rule {
    /// What the document says, in this timezone. A rule without a start begins today.
    ///
    /// # Errors
    /// It cannot be understood; a sentence for its author.
    pub(crate) fn of(
        document: &TemporalRule,
        today: Date,
        zone: &TimeZone,
    ) -> Result<Self, String> {
        let date = |seconds: u64| {
            let unix = i64::try_from(seconds).unwrap_or(i64::MAX) - GREGORIAN_UNIX_ZERO;
            let instant = Timestamp::from_second(unix);
            let instant = instant.map_err(|_| format!("there is no time {seconds}"))?;
            Ok::<_, String>(instant.to_zoned(zone.clone()).date())
        };
        let start = document.start_date.map(date).transpose()?;
        let window = [document.time_window_start, document.time_window_stop];
        Ok(Self {
            cycle: Cycle::of(document)?,
            start: start.unwrap_or(today),
            end: document.end_date.map(date).transpose()?,
            window: window.map(|seconds| i64::try_from(seconds).unwrap_or(i64::MAX)),
        })
    }

    /// Whether the rule begins later than this day.
    pub(crate) fn is_yet_to_come(&self, today: Date) -> bool {
        self.start > today
    }

    /// Whether it holds at this time. A window whose end is before its start reaches over midnight.
    pub(crate) fn holds(&self, now: DateTime) -> bool {
        let time = now.time();
        let second = i64::from(time.hour()) * 3600
            + i64::from(time.minute()) * 60
            + i64::from(time.second());
        let [from, to] = self.window;
        let today = self.occurs_on(now.date());
        if from <= to {
            return today && (from..=to).contains(&second);
        }
        let yesterday = || now.date().yesterday().is_ok_and(|day| self.occurs_on(day));
        (today && second >= from) || (second <= to && yesterday())
    }

    /// Whether this day is one of the rule's.
    fn occurs_on(&self, day: Date) -> bool {
        if day < self.start || self.end.is_some_and(|end| day > end) {
            return false;
        }
        let years = i64::from(day.year()) - i64::from(self.start.year());
        let months = years * 12 + i64::from(day.month()) - i64::from(self.start.month());
        match &self.cycle {
            Cycle::Date => day == self.start,
            Cycle::Daily(interval) => days_between(self.start, day) % interval == 0,
            Cycle::Weekly(interval, days) => {
                let weeks = days_between(monday(self.start), monday(day)) / 7;
                weeks % interval == 0 && days.contains(&day.weekday())
            }
            Cycle::Monthly(interval, days) => months % interval == 0 && days.have(day),
            Cycle::Yearly(interval, month, days) => {
                years % interval == 0 && day.month() == *month && days.have(day)
            }
        }
    }
}

impl Cycle {
    fn of(document: &TemporalRule) -> Result<Self, String> {
        let interval = i64::try_from(document.interval).unwrap_or(i64::MAX);
        match document.cycle.as_deref() {
            Some("date") => Ok(Self::Date),
            Some("daily") => Ok(Self::Daily(interval)),
            Some("weekly") if document.wdays.is_empty() => Ok(Self::Weekly(interval, every_day())),
            Some("weekly") => Ok(Self::Weekly(interval, weekdays(&document.wdays)?)),
            Some("monthly") => Ok(Self::Monthly(interval, Days::of(document)?)),
            Some("yearly") => {
                let month = i8::try_from(document.month).ok();
                let month = month.filter(|month| (1..=12).contains(month));
                let month = month.ok_or_else(|| format!("there is no month {}", document.month))?;
                Ok(Self::Yearly(interval, month, Days::of(document)?))
            }
            Some(other) => Err(format!("{other:?} is no cycle")),
            None => Err("it has no cycle".to_owned()),
        }
    }
}

impl Days {
    fn of(document: &TemporalRule) -> Result<Self, String> {
        if !document.days.is_empty() {
            return Ok(Self::Numbered(document.days.clone()));
        }
        if document.wdays.is_empty() {
            return Err("it has neither \"days\" nor \"wdays\"".to_owned());
        }
        let days = weekdays(&document.wdays)?;
        let ordinals = ["first", "second", "third", "fourth", "fifth"];
        let nth = (1..).zip(ordinals);
        match document.ordinal.as_str() {
            "every" => Ok(Self::Every(days)),
            "last" => Ok(Self::Last(days)),
            ordinal => nth
                .filter(|(_, word)| *word == ordinal)
                .map(|(nth, _)| Self::Nth(nth, days.clone()))
                .next()
                .ok_or_else(|| format!("{ordinal:?} is no ordinal")),
        }
    }

    fn have(&self, day: Date) -> bool {
        let number = day.day();
        match self {
            Self::Numbered(days) => days
                .iter()
                .any(|wanted| *wanted == u64::from(number.unsigned_abs())),
            Self::Every(days) => days.contains(&day.weekday()),
            Self::Nth(nth, days) => days.contains(&day.weekday()) && (number - 1) / 7 + 1 == *nth,
            Self::Last(days) => days.contains(&day.weekday()) && number + 7 > day.days_in_month(),
        }
    }
}

fn every_day() -> Vec<Weekday> {
    Weekday::Monday.cycle_forward().take(7).collect()
}

/// Weekdays by their English names; Kazoo's own spelling of the third is one.
fn weekdays(names: &[String]) -> Result<Vec<Weekday>, String> {
    let weekday = |name: &String| match name.as_str() {
        "monday" => Ok(Weekday::Monday),
        "tuesday" => Ok(Weekday::Tuesday),
        "wednesday" | "wensday" => Ok(Weekday::Wednesday),
        "thursday" => Ok(Weekday::Thursday),
        "friday" => Ok(Weekday::Friday),
        "saturday" => Ok(Weekday::Saturday),
        "sunday" => Ok(Weekday::Sunday),
        other => Err(format!("{other:?} is no day of the week")),
    };
    names.iter().map(weekday).collect()
}

fn monday(day: Date) -> Date {
    let since = i64::from(day.weekday().to_monday_zero_offset());
    day.saturating_sub(since.days())
}

fn days_between(from: Date, to: Date) -> i64 {
    let days = |day: Date| day.to_datetime(jiff::civil::Time::MIN);
    days(from).duration_until(days(to)).as_hours() / 24
}

#[cfg(test)]
mod tests;
