//! The calendar against what Kazoo's own tests say of `cf_temporal_route`, and against every document.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn rule(document: &Value, start: Date) -> Rule {
    let document = TemporalRule::read(document);
    Rule::of(&document, start, &TimeZone::UTC).unwrap()
}

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

/// The first day after this one on which the rule holds.
fn next(rule: &Rule, after: Date) -> Option<Date> {
    let days = after.series(1.day()).skip(1).take(20 * 366);
    days.into_iter().find(|day| rule.occurs_on(*day))
}

/// A rule, its start, a day, and the next one on which the rule holds.
const FACTS: &[(&str, &str, &str, &str)] = &[
    // Every day, every so many days.
    (
        r#"{"cycle": "daily"}"#,
        "2011-01-01",
        "2011-01-01",
        "2011-01-02",
    ),
    (
        r#"{"cycle": "daily"}"#,
        "2010-06-01",
        "2010-12-31",
        "2011-01-01",
    ),
    (
        r#"{"cycle": "daily"}"#,
        "2008-01-01",
        "2008-02-28",
        "2008-02-29",
    ),
    (
        r#"{"cycle": "daily", "interval": 4}"#,
        "2011-01-01",
        "2011-01-29",
        "2011-02-02",
    ),
    (
        r#"{"cycle": "daily", "interval": 7}"#,
        "2010-01-01",
        "2010-12-31",
        "2011-01-07",
    ),
    (
        r#"{"cycle": "daily", "interval": 48}"#,
        "2010-01-01",
        "2010-12-31",
        "2011-01-20",
    ),
    (
        r#"{"cycle": "daily", "interval": 85}"#,
        "2011-06-01",
        "2011-06-01",
        "2011-08-25",
    ),
    (
        r#"{"cycle": "daily", "interval": 4}"#,
        "1983-04-11",
        "2011-04-11",
        "2011-04-12",
    ),
    // Days of the week.
    (
        r#"{"cycle": "weekly", "wdays": ["monday"]}"#,
        "2011-01-01",
        "2011-01-02",
        "2011-01-03",
    ),
    (
        r#"{"cycle": "weekly", "wdays": ["wensday"]}"#,
        "2011-01-01",
        "2011-01-27",
        "2011-02-02",
    ),
    (
        r#"{"cycle": "weekly", "wdays": ["friday"]}"#,
        "2008-01-01",
        "2008-02-28",
        "2008-02-29",
    ),
    (
        r#"{"cycle": "weekly", "wdays": ["friday", "saturday"]}"#,
        "2011-01-01",
        "2011-01-02",
        "2011-01-07",
    ),
    (
        r#"{"cycle": "weekly", "interval": 2, "wdays": ["sunday"]}"#,
        "2010-12-25",
        "2011-01-01",
        "2011-01-09",
    ),
    (
        r#"{"cycle": "weekly", "interval": 2, "wdays": ["sunday"]}"#,
        "2011-01-01",
        "2011-01-01",
        "2011-01-02",
    ),
    (
        r#"{"cycle": "weekly", "interval": 2, "wdays": ["sunday"]}"#,
        "2011-01-01",
        "2011-01-03",
        "2011-01-16",
    ),
    (
        r#"{"cycle": "weekly", "interval": 3, "wdays": ["friday"]}"#,
        "2011-01-01",
        "2011-01-01",
        "2011-01-21",
    ),
    (
        r#"{"cycle": "weekly", "interval": 24, "wdays": ["sunday"]}"#,
        "2010-12-25",
        "2010-12-31",
        "2011-06-12",
    ),
    (
        r#"{"cycle": "weekly", "interval": 37, "wdays": ["tuesday"]}"#,
        "2011-01-01",
        "2011-01-01",
        "2011-09-13",
    ),
    (
        r#"{"cycle": "weekly", "interval": 2, "wdays": ["monday", "wensday", "friday"]}"#,
        "2011-01-01",
        "2011-01-09",
        "2011-01-10",
    ),
    (
        r#"{"cycle": "weekly", "interval": 2, "wdays": ["monday", "wensday", "friday"]}"#,
        "2011-01-01",
        "2011-01-10",
        "2011-01-12",
    ),
    (
        r#"{"cycle": "weekly", "interval": 2, "wdays": ["monday", "wensday", "friday"]}"#,
        "2011-01-01",
        "2011-01-15",
        "2011-01-24",
    ),
    (
        r#"{"cycle": "weekly", "interval": 5, "wdays": ["tuesday"]}"#,
        "2005-02-08",
        "2011-01-01",
        "2011-01-18",
    ),
    (
        r#"{"cycle": "weekly", "interval": 5, "wdays": ["thursday"]}"#,
        "2007-04-22",
        "2011-01-01",
        "2011-01-13",
    ),
    (
        r#"{"cycle": "weekly", "interval": 4, "wdays": ["monday"]}"#,
        "1983-04-11",
        "2011-04-11",
        "2011-05-02",
    ),
    (
        r#"{"cycle": "weekly", "wdays": ["sunday"]}"#,
        "1983-04-11",
        "2018-01-15",
        "2018-01-21",
    ),
    // Every such weekday of a month.
    (
        r#"{"cycle": "monthly", "ordinal": "every", "wdays": ["wensday"]}"#,
        "2011-01-01",
        "2011-01-26",
        "2011-02-02",
    ),
    (
        r#"{"cycle": "monthly", "ordinal": "every", "wdays": ["saturday"]}"#,
        "2010-01-01",
        "2010-12-25",
        "2011-01-01",
    ),
    (
        r#"{"cycle": "monthly", "interval": 2, "ordinal": "every", "wdays": ["monday"]}"#,
        "2011-01-01",
        "2011-01-31",
        "2011-03-07",
    ),
    (
        r#"{"cycle": "monthly", "interval": 3, "ordinal": "every", "wdays": ["thursday"]}"#,
        "2011-06-01",
        "2011-06-30",
        "2011-09-01",
    ),
    (
        r#"{"cycle": "monthly", "interval": 5, "ordinal": "every", "wdays": ["tuesday"]}"#,
        "2005-02-01",
        "2011-01-01",
        "2011-05-03",
    ),
    (
        r#"{"cycle": "monthly", "interval": 5, "ordinal": "every", "wdays": ["monday"]}"#,
        "1983-04-11",
        "2011-01-01",
        "2011-03-07",
    ),
    // The last one of a month.
    (
        r#"{"cycle": "monthly", "ordinal": "last", "wdays": ["monday"]}"#,
        "2011-01-01",
        "2011-01-01",
        "2011-01-31",
    ),
    (
        r#"{"cycle": "monthly", "ordinal": "last", "wdays": ["tuesday"]}"#,
        "2011-01-01",
        "2011-01-01",
        "2011-01-25",
    ),
    // The first to fifth.
    (
        r#"{"cycle": "monthly", "interval": 3, "wdays": ["friday"]}"#,
        "2011-01-01",
        "2011-01-31",
        "2011-04-01",
    ),
    (
        r#"{"cycle": "monthly", "interval": 3, "ordinal": "fourth", "wdays": ["monday"]}"#,
        "2011-01-01",
        "2011-01-31",
        "2011-04-25",
    ),
    (
        r#"{"cycle": "monthly", "interval": 3, "ordinal": "fifth", "wdays": ["saturday"]}"#,
        "2011-01-01",
        "2011-01-31",
        "2011-04-30",
    ),
    (
        r#"{"cycle": "monthly", "interval": 5, "ordinal": "second", "wdays": ["tuesday"]}"#,
        "2005-02-01",
        "2011-01-01",
        "2011-05-10",
    ),
    (
        r#"{"cycle": "monthly", "interval": 5, "ordinal": "fifth", "wdays": ["tuesday"]}"#,
        "1983-04-11",
        "2011-01-01",
        "2011-03-29",
    ),
    // Days of a month.
    (
        r#"{"cycle": "monthly", "days": [25]}"#,
        "2011-01-01",
        "2011-03-24",
        "2011-03-25",
    ),
    (
        r#"{"cycle": "monthly", "days": [29]}"#,
        "2008-01-01",
        "2008-02-28",
        "2008-02-29",
    ),
    (
        r#"{"cycle": "monthly", "days": [1]}"#,
        "2010-01-01",
        "2010-12-31",
        "2011-01-01",
    ),
    (
        r#"{"cycle": "monthly", "days": [5, 10, 15]}"#,
        "2011-01-01",
        "2011-01-05",
        "2011-01-10",
    ),
    (
        r#"{"cycle": "monthly", "days": [5, 10, 15]}"#,
        "2011-01-01",
        "2011-01-15",
        "2011-02-05",
    ),
    // Years.
    (
        r#"{"cycle": "yearly", "month": 4, "days": [11]}"#,
        "2011-01-01",
        "2011-04-11",
        "2012-04-11",
    ),
    (
        r#"{"cycle": "yearly", "interval": 3, "month": 2, "days": [29]}"#,
        "2008-01-01",
        "2008-02-29",
        "2020-02-29",
    ),
    (
        r#"{"cycle": "yearly", "month": 11, "ordinal": "fourth", "wdays": ["thursday"]}"#,
        "2011-01-01",
        "2011-01-01",
        "2011-11-24",
    ),
    (
        r#"{"cycle": "yearly", "month": 5, "ordinal": "last", "wdays": ["monday"]}"#,
        "2011-01-01",
        "2011-05-30",
        "2012-05-28",
    ),
];

#[test]
fn the_next_day_of_a_rule_is_kazoos() {
    for (document, start, after, expected) in FACTS {
        let rule = rule(&serde_json::from_str(document).unwrap(), day(start));
        let found = next(&rule, day(after));
        assert_eq!(
            found,
            Some(day(expected)),
            "{document} from {start} after {after}"
        );
    }
}

#[test]
fn a_day_that_a_month_does_not_have_is_not_made_up() {
    let last = rule(
        &json!({"cycle": "monthly", "days": [31]}),
        day("2011-01-01"),
    );
    assert_eq!(next(&last, day("2011-01-31")), Some(day("2011-03-31")));
    let fifth = json!({"cycle": "monthly", "ordinal": "fifth", "wdays": ["monday"]});
    let fifth = rule(&fifth, day("2011-01-01"));
    assert_eq!(next(&fifth, day("2011-01-31")), Some(day("2011-05-30")));
}

#[test]
fn a_start_counts_and_so_does_an_end() {
    let seconds = |date: &str| {
        let zoned = day(date).to_zoned(TimeZone::UTC).unwrap();
        zoned.timestamp().as_second() + GREGORIAN_UNIX_ZERO
    };
    let document = json!({
        "cycle": "daily", "interval": 3, "start_date": seconds("2024-03-01"), "end_date": seconds("2024-03-07")
    });
    let rule = rule(&document, day("2024-05-05"));
    assert!(rule.is_yet_to_come(day("2024-02-29")));
    assert!(!rule.is_yet_to_come(day("2024-03-01")));
    let days = [
        "2024-02-27",
        "2024-03-01",
        "2024-03-04",
        "2024-03-05",
        "2024-03-07",
        "2024-03-10",
    ];
    let held: Vec<_> = days
        .into_iter()
        .filter(|text| rule.occurs_on(day(text)))
        .collect();
    assert_eq!(held, ["2024-03-01", "2024-03-04", "2024-03-07"]);
}

#[test]
fn a_start_is_a_day_of_its_place() {
    let zone = TimeZone::get("America/New_York").unwrap();
    // Midnight of 1 March 2024, UTC: still February there.
    let document = json!({"cycle": "date", "start_date": 1_709_251_200 + GREGORIAN_UNIX_ZERO});
    let rule = Rule::of(&TemporalRule::read(&document), day("2020-01-01"), &zone).unwrap();
    assert!(rule.occurs_on(day("2024-02-29")));
    assert!(!rule.occurs_on(day("2024-03-01")));
}

#[test]
fn what_cannot_be_understood_is_said() {
    let said = |document: Value| {
        let document = TemporalRule::read(&document);
        Rule::of(&document, day("2024-01-01"), &TimeZone::UTC).unwrap_err()
    };
    assert_eq!(said(json!({})), "it has no cycle");
    assert_eq!(said(json!({"cycle": "hourly"})), "\"hourly\" is no cycle");
    let days = "it has neither \"days\" nor \"wdays\"";
    assert_eq!(said(json!({"cycle": "monthly"})), days);
    assert_eq!(
        said(json!({"cycle": "weekly", "wdays": ["funday"]})),
        "\"funday\" is no day of the week"
    );
    assert_eq!(
        said(json!({"cycle": "yearly", "month": 13, "days": [1]})),
        "there is no month 13"
    );
    assert_eq!(
        said(json!({"cycle": "monthly", "ordinal": "sixth", "wdays": ["monday"]})),
        "\"sixth\" is no ordinal"
    );
    assert!(said(json!({"cycle": "date", "start_date": u64::MAX})).starts_with("there is no time"));
}

proptest! {
    #[test]
    fn a_window_holds_from_its_start_to_its_end_also_over_midnight(from in 0..=86_400_i64, to in 0..=86_400_i64, second in 0..86_400_i64) {
        let document = json!({"cycle": "daily", "time_window_start": from, "time_window_stop": to});
        let rule = rule(&document, day("2024-01-01"));
        let now = day("2024-02-01").at(0, 0, 0, 0).saturating_add(second.seconds());
        let expected = if from <= to { from <= second && second <= to } else { second >= from || second <= to };
        prop_assert_eq!(rule.holds(now), expected);
    }

    #[test]
    fn a_night_belongs_to_the_day_it_began_on(from in 43_200..86_400_i64, to in 0..43_200_i64, offset in -50..50_i64) {
        let document = json!({"cycle": "weekly", "wdays": ["friday"], "time_window_start": from, "time_window_stop": to});
        let rule = rule(&document, day("2024-01-01"));
        let friday = day("2024-02-02").checked_add((7 * offset).days()).unwrap_or(day("2024-02-02"));
        let at = |date: Date, second: i64| date.at(0, 0, 0, 0).saturating_add(second.seconds());
        let counts = friday >= day("2024-01-01");
        prop_assert_eq!(rule.holds(at(friday, from)), counts);
        prop_assert_eq!(rule.holds(at(friday.tomorrow().unwrap(), to)), counts);
        prop_assert!(!rule.holds(at(friday, to)));
        prop_assert!(!rule.holds(at(friday.tomorrow().unwrap(), from)));
    }

    #[test]
    fn no_document_is_too_odd(
        cycle in "date|daily|weekly|monthly|yearly|odd", interval: u64, days in prop::collection::vec(any::<u64>(), 0..3),
        wdays in prop::collection::vec("monday|sunday|odd", 0..3), ordinal in "every|first|fifth|last|odd",
        month: u64, start in 0..400_000_000_000_u64, window: [u64; 2], at in 0..3_600_000_i64
    ) {
        let document = json!({
            "cycle": cycle, "interval": interval, "days": days, "wdays": wdays, "ordinal": ordinal, "month": month,
            "start_date": start, "time_window_start": window[0], "time_window_stop": window[1]
        });
        let today = Date::MIN.checked_add(at.days()).unwrap_or(Date::MAX);
        if let Ok(rule) = Rule::of(&TemporalRule::read(&document), today, &TimeZone::UTC) {
            rule.holds(today.at(12, 0, 0, 0));
        }
    }
}
