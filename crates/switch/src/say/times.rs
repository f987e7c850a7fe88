//! Times, lengths of time, money and ordinals in English words. Knows no clock.

use jiff::{Timestamp, Zoned, civil::Date, tz::TimeZone};

/// Seconds from the year 0, from which Kazoo counts, to 1970.
const GREGORIAN_TO_UNIX: i64 = 62_167_219_200;
/// A number of seconds from here on counts from the year 0: as one from 1970 it would be in the year 2286 at the earliest.
const FIRST_GREGORIAN: i64 = 10_000_000_000;

/// A moment: seconds from the year 0 are told in the listener's place. Seconds from 1970 are told as UTC, because Kazoo's senders
/// have shifted them to that place. Nothing, or 0, is now.
pub(super) fn told(
    text: &str,
    kind: &str,
    now: Timestamp,
    place: &TimeZone,
) -> Result<String, String> {
    let wrong = || format!("{text:?} cannot be said as a time: it is no number of seconds");
    let seconds: i64 = match text {
        "" => 0,
        text => text.parse().map_err(|_| wrong())?,
    };
    let (moment, zone) = match seconds {
        0 => (now, place.clone()),
        FIRST_GREGORIAN.. => {
            let unix = Timestamp::from_second(seconds - GREGORIAN_TO_UNIX);
            (unix.map_err(|_| wrong())?, place.clone())
        }
        unix => (
            Timestamp::from_second(unix).map_err(|_| wrong())?,
            TimeZone::UTC,
        ),
    };
    let there = moment.to_zoned(zone);
    let today = now.to_zoned(place.clone()).date();
    Ok(match kind {
        "current_date" => date(there.date()),
        "current_time" => time(&there),
        "short_date_time" => format!("{} at {}", near(there.date(), today), time(&there)),
        _ => format!("{} at {}", date(there.date()), time(&there)),
    })
}

/// Such as `Monday, November 23rd, 2026`.
fn date(date: Date) -> String {
    format!(
        "{}, {} {}, {}",
        date.strftime("%A"),
        date.strftime("%B"),
        ordinal(date.day().unsigned_abs().into()),
        date.year()
    )
}

/// Today and yesterday, a day of this week by its name, else the date without its year.
fn near(date: Date, today: Date) -> String {
    let ago = date.until(today).map_or(i32::MAX, |span| span.get_days());
    match ago {
        0 => "today".to_owned(),
        1 => "yesterday".to_owned(),
        2..7 => date.strftime("%A").to_string(),
        _ => {
            let day = ordinal(date.day().unsigned_abs().into());
            format!("{} {day}", date.strftime("%B"))
        }
    }
}

/// Such as `5:07 PM`, as a voice reads it.
fn time(there: &Zoned) -> String {
    let half = if there.hour() < 12 { "A M" } else { "P M" };
    let hour = match there.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    match there.minute() {
        0 => format!("{hour} o'clock {half}"),
        minute @ 1..10 => format!("{hour} oh {minute} {half}"),
        minute => format!("{hour} {minute} {half}"),
    }
}

/// Such as `21st`.
pub(super) fn ordinal(number: u64) -> String {
    let suffix = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{suffix}")
}

/// Such as `12 dollars and 50 cents`, of `12.50`.
pub(super) fn money(text: &str) -> Result<String, String> {
    let wrong = || format!("{text:?} is no amount of money; write it as 12.50");
    let amount = text.trim_start_matches('$').replace(',', "");
    let (minus, amount) = match amount.strip_prefix('-') {
        Some(amount) => ("minus ", amount),
        None => ("", amount.as_str()),
    };
    let (whole, part) = amount.split_once('.').unwrap_or((amount, ""));
    let dollars: u64 = whole.parse().map_err(|_| wrong())?;
    let cents: u64 = match part {
        "" => 0,
        _ if part.len() > 2 || !part.bytes().all(|b| b.is_ascii_digit()) => return Err(wrong()),
        _ => format!("{part:0<2}").parse().map_err(|_| wrong())?,
    };
    let whole = some(dollars, "dollar");
    Ok(match (dollars, cents) {
        (_, 0) => format!("{minus}{whole}"),
        (0, cents) => format!("{minus}{}", some(cents, "cent")),
        (_, cents) => format!("{minus}{whole} and {}", some(cents, "cent")),
    })
}

/// Such as `1 hour, 2 minutes and 5 seconds`, of seconds, `M:S` or `H:M:S`.
pub(super) fn length(text: &str) -> Result<String, String> {
    let wrong = || format!("{text:?} is no length of time; write seconds, or H:M:S");
    let parts: Result<Vec<u64>, _> = text.split(':').map(str::parse).collect();
    let total = match *parts.map_err(|_| wrong())? {
        [seconds] => Some(seconds),
        [minutes, seconds] => minutes.checked_mul(60).and_then(|m| m.checked_add(seconds)),
        [hours, minutes, seconds] => hours.checked_mul(60).and_then(|h| {
            h.checked_add(minutes)?
                .checked_mul(60)?
                .checked_add(seconds)
        }),
        _ => None,
    };
    let total = total.ok_or_else(wrong)?;
    let counts = [
        (total / 3600, "hour"),
        (total / 60 % 60, "minute"),
        (total % 60, "second"),
    ];
    let mut words: Vec<String> = counts
        .into_iter()
        .filter(|(count, unit)| *count > 0 || (total == 0 && *unit == "second"))
        .map(|(count, unit)| some(count, unit))
        .collect();
    let last = words.pop().unwrap_or_default();
    Ok(match words.is_empty() {
        true => last,
        false => format!("{} and {last}", words.join(", ")),
    })
}

fn some(count: u64, unit: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Monday, November 23rd, 2026, 18:05 UTC.
    const NOW: i64 = 1_795_457_100;

    #[test]
    fn a_moment_is_told_where_the_listener_is() {
        let now = Timestamp::from_second(NOW).unwrap();
        let stockholm = TimeZone::get("Europe/Stockholm").unwrap();
        let gregorian = (NOW + GREGORIAN_TO_UNIX).to_string();
        let shifted = (NOW + 3600).to_string();
        let say = |text: &str, kind: &str| told(text, kind, now, &stockholm).unwrap();
        for text in ["0", "", gregorian.as_str(), shifted.as_str()] {
            assert_eq!(say(text, "current_time"), "7 oh 5 P M", "{text}");
        }
        assert_eq!(
            say(&gregorian, "current_date"),
            "Monday, November 23rd, 2026"
        );
        assert_eq!(
            say(&gregorian, "current_date_time"),
            "Monday, November 23rd, 2026 at 7 oh 5 P M"
        );
        let ago = |days: i64| {
            say(
                &(NOW - days * 86_400 + GREGORIAN_TO_UNIX).to_string(),
                "short_date_time",
            )
        };
        assert_eq!(ago(0), "today at 7 oh 5 P M");
        assert_eq!(ago(1), "yesterday at 7 oh 5 P M");
        assert_eq!(ago(3), "Friday at 7 oh 5 P M");
        assert_eq!(ago(20), "November 3rd at 7 oh 5 P M");
        assert_eq!(
            told("1795392000", "current_time", now, &TimeZone::UTC).unwrap(),
            "12 o'clock A M"
        );
        for odd in ["soon", "-99999999999999", &i64::MAX.to_string(), "1e9"] {
            assert!(told(odd, "current_date", now, &stockholm).is_err(), "{odd}");
        }
    }

    #[test]
    fn money_and_lengths_of_time_are_told_in_words() {
        for (text, words) in [
            ("1", "1 dollar"),
            ("$1,000.05", "1000 dollars and 5 cents"),
            ("0.5", "50 cents"),
            ("-2", "minus 2 dollars"),
        ] {
            assert_eq!(money(text).unwrap(), words);
        }
        for (text, words) in [
            ("0", "0 seconds"),
            ("60", "1 minute"),
            ("1:00:01", "1 hour and 1 second"),
            ("2:03", "2 minutes and 3 seconds"),
        ] {
            assert_eq!(length(text).unwrap(), words);
        }
        for odd in ["", "x", "1.234", "1.x", ".", "99999999999999999999"] {
            assert!(money(odd).is_err(), "{odd}");
        }
        for odd in [
            "",
            "x",
            "1:2:3:4",
            "99999999999999999999",
            "9999999999999999999:0",
        ] {
            assert!(length(odd).is_err(), "{odd}");
        }
    }
}
