//! How long delivered recordings are kept, and which are over: pure functions of settings, documents and a time that is told.
//! Deletes nothing; [`keeper`] does.

use std::{cmp::Ordering, time::Duration};

use callreel_proto::{
    AccountDb, AccountId, GREGORIAN_UNIX_OFFSET, Hold, Utc, lenient_u64, pvt_type,
};
use serde_json::Value;

mod clock;
mod keeper;
#[cfg(test)]
mod tests;

pub(crate) use keeper::{Keeper, Settings};

/// Where an account's document says how long its recordings are kept.
const RETAIN_FOR: &str = "/call_recording/retain_for";

/// Nothing is kept by a clock for longer, seconds: a hundred years, which no reckoning below overflows.
const LONGEST: u64 = 100 * 366 * 24 * 3600;

/// How long recordings are kept after their end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Term {
    /// Until somebody deletes them.
    Forever,
    /// So many seconds.
    Seconds(u64),
}

/// What becomes of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It stays: its time is not over, or it is no recording.
    Stays,
    /// Its time is over, and a legal hold is on it.
    Held,
    /// Its time is over.
    Goes,
}

impl Term {
    /// Reads `90d`, `12h`, `30m`, `45s`, whole seconds or `forever`; the error is a sentence for people.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == "forever" {
            return Ok(Self::Forever);
        }
        let units = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1), ("", 1)];
        let count = units.into_iter().find_map(|(unit, seconds)| {
            let digits = text.strip_suffix(unit)?;
            let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
            plain.then(|| digits.parse::<u64>().ok()?.checked_mul(seconds))?
        });
        count
            .filter(|seconds| (1..=LONGEST).contains(seconds))
            .map(Self::Seconds)
            .ok_or_else(|| {
                format!("{text:?} is no time to keep recordings for: write 90d, 12h, 30m, 45s, whole seconds or forever")
            })
    }

    /// What the account's document says; `default` if it says nothing.
    fn of(account: &Value, default: Self) -> Result<Self, String> {
        match account.pointer(RETAIN_FOR) {
            None | Some(Value::Null) => Ok(default),
            Some(Value::String(text)) => Self::parse(text),
            Some(other) => Self::parse(&other.to_string()),
        }
    }
}

/// When a recording ended, gregorian seconds, rounded up; none if the document does not tell.
fn ended(doc: &Value) -> Option<i64> {
    let whole = |key: &str| doc.get(key).and_then(lenient_u64);
    let started = doc.get("start").and_then(Value::as_i64);
    let Some(started) = started else {
        return doc.get("pvt_created").and_then(Value::as_i64);
    };
    let seconds = whole("duration_ms").map(|ms| ms.div_ceil(1000));
    let seconds = seconds.or_else(|| whole("duration")).unwrap_or(0);
    started.checked_add(i64::try_from(seconds).ok()?)
}

/// What becomes of a document whose recording must be kept until `cutoff` has passed its end (gregorian seconds).
fn fate(doc: &Value, cutoff: i64) -> Fate {
    let is_recording = doc["pvt_type"] == pvt_type::CALL_RECORDING;
    if !is_recording || ended(doc).is_none_or(|ended| ended > cutoff) {
        return Fate::Stays;
    }
    match doc.as_object().and_then(Hold::of) {
        Some(_) => Fate::Held,
        None => Fate::Goes,
    }
}

/// The last instant whose recordings are over, gregorian seconds.
fn cutoff(now: Utc, seconds: u64) -> i64 {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    now.gregorian_seconds().saturating_sub(seconds)
}

/// What a month database can hold of recordings that are over: none, some, or little else. A recording never ends before the
/// month of its id.
fn looks(month: &str, cutoff: i64) -> Ordering {
    let cutoff = Utc::from_unix_ms((cutoff - GREGORIAN_UNIX_OFFSET).saturating_mul(1000));
    cutoff.year_month().as_str().cmp(month)
}

/// The account and month whose database this is.
fn month_database(name: &str) -> Option<(AccountId, &str)> {
    let (account, month) = name.rsplit_once('-')?;
    let id: String = account.strip_prefix("account/")?.split('/').collect();
    let id = AccountId::parse(&id).ok()?;
    let is_month = month.len() == 6 && month.bytes().all(|digit| digit.is_ascii_digit());
    (is_month && AccountDb::name(&id) == account).then_some((id, month))
}

/// A wait around `usual`, a tenth more or less, so that nodes started together do not work together for ever; `dice` is any
/// number.
fn wait(usual: Duration, dice: u64) -> Duration {
    let tenth = u64::try_from(usual.as_millis() / 10).unwrap_or(u64::MAX);
    usual.saturating_sub(Duration::from_millis(tenth))
        + Duration::from_millis(dice % tenth.saturating_mul(2).max(1))
}
