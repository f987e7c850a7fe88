//! One page of an account's recordings: which span of time, where it begins, from which month databases. Answers no
//! request itself.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use callreel_proto::{AccountId, GREGORIAN_UNIX_OFFSET, Utc, month_db};
use callreel_store::{RecordingKey, Recordings, Store, View};
use serde_json::Value;

use crate::{
    filter::Filters,
    refusal::Refusal,
    request::{Params, invalid},
};

/// The longest span of a listing, seconds: Crossbar's 31 days, and an hour for a change of clocks.
const MAX_SPAN_S: i64 = 31 * 86_400 + 3_600;
/// Recordings of a page unless `page_size` says otherwise: Crossbar's default.
const PAGE: usize = 50;
/// Most recordings of a page, also with `paginate=false`: a document has about 2 kB, so an answer stays below some MB.
const MAX_PAGE: usize = 1000;

/// What a listing was asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    from: i64,
    to: i64,
    pub(crate) start: Option<RecordingKey>,
    size: usize,
    filters: Filters,
}

impl Asked {
    /// Reads the parameters; `now` in gregorian seconds.
    pub(crate) fn read(params: &Params, now: i64) -> Result<Self, Refusal> {
        let (from, to) = span(params, now)?;
        let start = params.text("start_key").map(parse_key).transpose()?;
        let size = match params.number("page_size")? {
            _ if !params.flag("paginate", true)? => MAX_PAGE,
            None => PAGE,
            Some(0) => return Err(invalid("page_size", "must be at least 1")),
            Some(size) => usize::try_from(size).unwrap_or(MAX_PAGE).min(MAX_PAGE),
        };
        Ok(Self {
            from,
            to,
            start,
            size,
            filters: Filters::read(params),
        })
    }
}

fn span(params: &Params, now: i64) -> Result<(i64, i64), Refusal> {
    let from = params.number("created_from")?.map(gregorian);
    let to = params.number("created_to")?.map(gregorian);
    let (from, to) = match (from, to) {
        (Some(from), Some(to)) => (from, to),
        (Some(from), None) => (from, from.saturating_add(MAX_SPAN_S)),
        (None, to) => {
            let to = to.unwrap_or(now);
            (to.saturating_sub(MAX_SPAN_S), to)
        }
    };
    if to < from {
        return Err(invalid("created_to", "must not be before created_from"));
    }
    if to - from > MAX_SPAN_S {
        let message =
            format!("must be within {MAX_SPAN_S} seconds of created_from; ask for shorter spans");
        return Err(invalid("created_to", &message));
    }
    Ok((from, to))
}

/// Numbers too small for a gregorian time after 1970 are Unix seconds.
fn gregorian(seconds: i64) -> i64 {
    if seconds < GREGORIAN_UNIX_OFFSET {
        seconds + GREGORIAN_UNIX_OFFSET
    } else {
        seconds
    }
}

/// A key as the envelope shows it: opaque to callers.
pub(crate) fn print_key(key: &RecordingKey) -> String {
    URL_SAFE_NO_PAD.encode(format!("{} {}", key.created, key.id))
}

fn parse_key(text: &str) -> Result<RecordingKey, Refusal> {
    let parse = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (created, id) = text.split_once(' ')?;
        Some(RecordingKey {
            created: created.parse().ok()?,
            id: id.to_owned(),
        })
    };
    parse().ok_or_else(|| invalid("start_key", "must be the next_start_key of the page before"))
}

/// A page's documents, newest first and as `show` makes them, and the key of the recording after it.
pub(crate) async fn page(
    store: &Store,
    account: &AccountId,
    owner: Option<&str>,
    asked: Asked,
    show: impl Fn(&Value) -> Value,
) -> Result<(Vec<Value>, Option<RecordingKey>), Refusal> {
    let databases = databases(store, account, asked.from, asked.to).await?;
    let mut which = Recordings {
        owner: owner.map(str::to_owned),
        created_from: Some(asked.from),
        created_to: Some(asked.to),
        start: asked.start,
        limit: asked.size + 1,
    };
    let mut page = Vec::new();
    loop {
        let mut batch = merged(store, &databases, &which).await?;
        let next = batch.get(asked.size).map(RecordingKey::of);
        batch.truncate(asked.size);
        for doc in &batch {
            if page.len() == asked.size {
                return Ok((page, Some(RecordingKey::of(doc))));
            }
            page.extend(Some(show(doc)).filter(|doc| asked.filters.accept(doc)));
        }
        if next.is_none() || page.len() == asked.size {
            return Ok((page, next));
        }
        which.start = next;
    }
}

/// The newest of several month databases together.
async fn merged(
    store: &Store,
    databases: &[String],
    which: &Recordings,
) -> Result<Vec<Value>, Refusal> {
    let mut docs = Vec::new();
    for db in databases {
        docs.extend(store.query(db, View::Recordings(which.clone())).await?);
    }
    docs.sort_by_cached_key(|doc| std::cmp::Reverse(RecordingKey::of(doc)));
    docs.truncate(which.limit);
    Ok(docs)
}

/// The month databases a span can have recordings in. A recording is in the month it started, and was created when it
/// ended: that may be the month after.
async fn databases(
    store: &Store,
    account: &AccountId,
    from: i64,
    to: i64,
) -> Result<Vec<String>, Refusal> {
    let utc =
        |seconds: i64| Utc::from_unix_ms((seconds - GREGORIAN_UNIX_OFFSET).saturating_mul(1000));
    let first = month_db(account, &utc(from.saturating_sub(MAX_SPAN_S)).year_month());
    let last = month_db(account, &utc(to).year_month());
    let mut months = store.month_databases(account).await?;
    months.retain(|name| (first.as_str()..=last.as_str()).contains(&name.as_str()));
    Ok(months)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 63_900_000_000;

    fn asked(pairs: &[(&str, &str)]) -> Result<Asked, Refusal> {
        let pairs = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Asked::read(&Params(pairs.collect()), NOW)
    }

    #[test]
    fn the_span_is_the_last_month_unless_told() {
        for (pairs, from, to) in [
            (&[][..], NOW - MAX_SPAN_S, NOW),
            (
                &[("created_to", "63800000000")],
                63_800_000_000 - MAX_SPAN_S,
                63_800_000_000,
            ),
            (
                &[("created_from", "63800000000")],
                63_800_000_000,
                63_800_000_000 + MAX_SPAN_S,
            ),
            (
                &[("created_from", "1700000000"), ("created_to", "1700000001")],
                1_700_000_000 + GREGORIAN_UNIX_OFFSET,
                1_700_000_001 + GREGORIAN_UNIX_OFFSET,
            ),
        ] {
            let asked = asked(pairs).unwrap();
            assert_eq!((asked.from, asked.to), (from, to), "{pairs:?}");
        }
    }

    #[test]
    fn bad_parameters_are_named() {
        for (pairs, cause) in [
            (&[("created_from", "x")][..], "created_from"),
            (
                &[
                    ("created_from", "63800000000"),
                    ("created_to", "63700000000"),
                ],
                "created_to",
            ),
            (
                &[
                    ("created_from", "63800000000"),
                    ("created_to", "63900000000"),
                ],
                "created_to",
            ),
            (&[("page_size", "0")], "page_size"),
            (&[("page_size", "-1")], "page_size"),
            (&[("start_key", "!")], "start_key"),
            (&[("paginate", "maybe")], "paginate"),
            (
                &[("created_to", "9223372036854775807"), ("created_from", "0")],
                "created_to",
            ),
        ] {
            let refusal = asked(pairs).unwrap_err();
            assert_eq!(refusal.cause.as_deref(), Some(cause), "{pairs:?}");
        }
    }

    #[test]
    fn keys_are_read_as_they_are_printed() {
        let key = RecordingKey {
            created: NOW,
            id: "202403-x y".to_owned(),
        };
        assert_eq!(parse_key(&print_key(&key)), Ok(key));
    }
}
