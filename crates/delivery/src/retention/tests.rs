//! Terms, ends and months; and whole rounds against a real store.

use std::sync::Arc;

use callreel_attachments::{Attachments, Outside, OutsideConfig};
use callreel_bus::{Binding, Bus, BusConfig, QueueOptions};
use callreel_proto::{Envelope, Exchange, RecordingFact, RecordingNotice};
use callreel_spool::{Manifest, What};
use callreel_store::Store;
use serde_json::json;

use super::{
    clock::Clock,
    keeper::{Rounds, Settings},
    *,
};

/// A recording of a hundred days ago.
const OLD: &str = "202511-0123456789abcdef0123456789abcdef";

const DAY: i64 = 86_400;
/// 2026-03-10T00:00:00Z.
const NOW: Utc = Utc::from_unix_ms(1_773_100_800_000);

#[test]
fn a_term_is_written_in_days_hours_minutes_or_seconds() {
    for (text, seconds) in [
        ("90d", 90 * 86_400),
        ("12h", 43_200),
        ("30m", 1800),
        ("45s", 45),
        ("3600", 3600),
        (" 1d ", 86_400),
    ] {
        assert_eq!(Term::parse(text), Ok(Term::Seconds(seconds)), "{text}");
    }
    assert_eq!(Term::parse("forever"), Ok(Term::Forever));
    for text in [
        "",
        "d",
        "0",
        "0d",
        "-1d",
        "1.5d",
        "1w",
        "90 d",
        "90D",
        "1d12h",
        "99999999999999999d",
        "200000d",
        "+5",
        "٣d",
    ] {
        let refused = Term::parse(text).unwrap_err();
        assert!(refused.contains("write 90d, 12h"), "{text}: {refused}");
    }
}

#[test]
fn an_account_says_how_long_or_the_default_holds_and_nonsense_is_refused() {
    let of = |value: Value| {
        let doc = json!({"call_recording": {"retain_for": value}});
        Term::of(&doc, Term::Seconds(7))
    };
    assert_eq!(of(json!("2d")), Ok(Term::Seconds(172_800)));
    assert_eq!(of(json!(60)), Ok(Term::Seconds(60)));
    assert_eq!(of(json!("forever")), Ok(Term::Forever));
    assert_eq!(of(Value::Null), Ok(Term::Seconds(7)));
    assert_eq!(Term::of(&json!({}), Term::Seconds(7)), Ok(Term::Seconds(7)));
    for nonsense in [
        json!("soon"),
        json!(1.5),
        json!(true),
        json!([]),
        json!({"d": 1}),
        json!(0),
    ] {
        assert!(of(nonsense.clone()).is_err(), "{nonsense}");
    }
}

#[test]
fn a_recording_goes_when_its_end_is_as_old_as_its_term() {
    let doc = |fields: Value| {
        let mut doc = json!({"pvt_type": "call_recording"});
        doc.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        doc
    };
    for (fields, ended) in [
        (
            json!({"start": 100, "duration_ms": 2001, "duration": 2}),
            Some(103),
        ),
        (json!({"start": 100, "duration": 2}), Some(102)),
        (json!({"start": 100, "pvt_created": 150}), Some(100)),
        (json!({"pvt_created": 150}), Some(150)),
        (json!({"name": "x"}), None),
    ] {
        let doc = doc(fields);
        assert_eq!(super::ended(&doc), ended, "{doc}");
        let Some(ended) = ended else {
            assert_eq!(fate(&doc, i64::MAX), Fate::Stays);
            continue;
        };
        assert_eq!(fate(&doc, ended - 1), Fate::Stays);
        assert_eq!(fate(&doc, ended), Fate::Goes);
    }
    let held = doc(json!({"start": 1, "hold": {"by": "x"}}));
    assert_eq!(fate(&held, 100), Fate::Held);
    let odd = doc(json!({"start": 1, "hold": true}));
    assert_eq!(fate(&odd, 100), Fate::Held);
    let message = json!({"pvt_type": "mailbox_message", "start": 1});
    assert_eq!(fate(&message, 100), Fate::Stays);
}

#[test]
fn only_months_that_can_hold_something_old_are_looked_at() {
    let at = cutoff(NOW, 30 * 86_400);
    assert_eq!(looks("202603", at), Ordering::Less);
    assert_eq!(looks("202602", at), Ordering::Equal);
    assert_eq!(looks("202601", at), Ordering::Greater);
    assert_eq!(looks("202512", at), Ordering::Greater);
    assert_eq!(looks("202603", cutoff(NOW, LONGEST)), Ordering::Less);
}

#[test]
fn databases_of_months_are_told_from_others() {
    let account = "0123456789abcdef0123456789abcdef";
    let db = "account/01/23/456789abcdef0123456789abcdef-202603";
    let (id, month) = month_database(db).unwrap();
    assert_eq!((id.as_str(), month), (account, "202603"));
    for other in [
        "account/01/23/456789abcdef0123456789abcdef",
        "account/01/23/456789abcdef0123456789abcdef-2026",
        "account/01/234/56789abcdef0123456789abcdef-202603",
        "accounts",
        "numbers/+1202-202603",
    ] {
        assert_eq!(month_database(other), None, "{other}");
    }
}

#[test]
fn rounds_are_spread_by_a_tenth() {
    let hour = Duration::from_hours(1);
    for dice in [0, 1, 12_345_678_901, u64::MAX] {
        let waited = wait(hour, dice);
        assert!(
            waited >= hour * 9 / 10 && waited <= hour * 11 / 10,
            "{waited:?}"
        );
    }
    assert_eq!(wait(Duration::ZERO, 7), Duration::ZERO);
}

/// A store with an account's recordings, and rounds over it.
struct House {
    dir: tempfile::TempDir,
    rounds: Rounds,
    store: Store,
    account: AccountId,
}

impl House {
    async fn with(retain_for: Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store.sqlite")).unwrap();
        let account = AccountId::random();
        let doc = json!({"_id": account, "call_recording": {"retain_for": retain_for}});
        store.save(&AccountDb::name(&account), doc).await.unwrap();
        let outside = Outside::new(&OutsideConfig::default()).unwrap();
        let settings = Settings {
            default: Term::Forever,
            interval: Duration::from_secs(1),
            most: Duration::from_hours(24),
        };
        let rounds = Rounds {
            clock: Arc::new(Clock::beside(dir.path(), settings.most)),
            settings,
            attachments: Attachments::new(store.clone(), outside),
            bus: Bus::open(&BusConfig::default(), "callreel@one")
                .await
                .unwrap(),
            manifest: Manifest::open(dir.path()),
            node: "callreel@one".to_owned(),
            picture: Arc::default(),
        };
        Self {
            dir,
            rounds,
            store,
            account,
        }
    }

    fn month(&self, ended: i64) -> String {
        let at = Utc::from_unix_ms((ended - GREGORIAN_UNIX_OFFSET) * 1000);
        callreel_proto::month_db(&self.account, &at.year_month())
    }

    /// A recording that ended so many days before now.
    async fn recorded(&self, name: &str, days: i64, more: Value) {
        let ended = NOW.gregorian_seconds() - days * DAY;
        let mut doc = json!({
            "_id": name, "pvt_type": "call_recording", "pvt_created": ended, "call_id": "x@y",
            "start": ended - 60, "duration_ms": 60_000,
        });
        doc.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        self.store.save(&self.month(ended), doc).await.unwrap();
    }

    /// The ids of all documents of all months.
    async fn left(&self) -> Vec<String> {
        let mut ids = Vec::new();
        for db in self.store.month_databases(&self.account).await.unwrap() {
            for doc in self.store.page(&db, "", 1000).await.unwrap() {
                ids.push(doc["_id"].as_str().unwrap().to_owned());
            }
        }
        ids.sort();
        ids
    }
}

#[tokio::test]
async fn a_round_deletes_what_is_over_and_nothing_else_and_says_so() {
    let house = House::with(json!("30d")).await;
    let deleted = Binding::new(
        Exchange::Kapps,
        RecordingNotice::pattern(RecordingFact::Deleted),
    );
    let queue = QueueOptions::private(16);
    let mut heard = house
        .rounds
        .bus
        .subscribe(queue, vec![deleted])
        .await
        .unwrap();
    house.recorded("fresh", 1, json!({})).await;
    house.recorded("almost", 29, json!({})).await;
    house.recorded("over", 30, json!({})).await;
    house
        .recorded(
            "held",
            31,
            json!({"hold": {"by": "ann", "reason": "court"}}),
        )
        .await;
    house
        .recorded("message", 31, json!({"pvt_type": "mailbox_message"}))
        .await;
    house.recorded(OLD, 100, json!({})).await;
    house
        .recorded("old, hidden", 100, json!({"pvt_deleted": true}))
        .await;
    house
        .recorded(
            "old, held",
            100,
            json!({"hold": {"by": "ann", "reason": "court"}}),
        )
        .await;
    house.rounds.round(NOW).await.unwrap();
    let kept = ["almost", "fresh", "held", "message", "old, held"];
    assert_eq!(house.left().await, kept);
    let mut said = Vec::new();
    house
        .rounds
        .manifest
        .verify(|_, _, line| said.extend(line.entry.clone()))
        .unwrap();
    assert_eq!(said.len(), 3);
    for entry in said {
        assert_eq!(entry.account_id.as_ref(), Some(&house.account));
        let What::Deleted { by, receipts, .. } = entry.what else {
            panic!("{entry:?}");
        };
        assert_eq!(by, "retention");
        assert!(!receipts.is_empty());
    }
    let told = heard.recv().await.unwrap();
    let notice: Envelope<RecordingNotice> = Envelope::from_bytes(&told.body).unwrap();
    assert_eq!(notice.body.account_id, house.account);
    assert!(notice.body.detail.unwrap().contains("retain_for"));
    house.rounds.round(NOW).await.unwrap();
    assert_eq!(
        house.left().await,
        kept,
        "a second round finds nothing more"
    );
    drop(house.dir);
}

#[tokio::test]
async fn more_than_a_page_goes_in_one_round_whatever_is_held_in_between() {
    let house = House::with(json!("30d")).await;
    for n in 0..250 {
        let hold = if n % 50 == 0 {
            json!({"hold": {"by": "ann"}})
        } else {
            json!({})
        };
        house
            .recorded(&format!("recent {n:03}"), 31, hold.clone())
            .await;
        house.recorded(&format!("old {n:03}"), 100, hold).await;
    }
    house.rounds.round(NOW).await.unwrap();
    assert_eq!(house.left().await.len(), 10);
}

#[tokio::test]
async fn while_it_cannot_be_told_how_long_nothing_is_deleted() {
    for says in [json!("soon"), json!("forever"), Value::Null] {
        let house = House::with(says).await;
        house.recorded("old", 4000, json!({})).await;
        house.rounds.round(NOW).await.unwrap();
        assert_eq!(house.left().await, ["old"]);
        let db = AccountDb::name(&house.account);
        house
            .store
            .delete(&db, house.account.as_str())
            .await
            .unwrap();
        house.rounds.round(NOW).await.unwrap();
        assert_eq!(house.left().await, ["old"]);
    }
}

#[tokio::test]
async fn several_nodes_on_one_store_delete_each_recording_once() {
    let house = House::with(json!("1d")).await;
    for n in 0..40 {
        house.recorded(&format!("old {n:02}"), 100, json!({})).await;
    }
    let other = Rounds {
        settings: house.rounds.settings.clone(),
        clock: Arc::clone(&house.rounds.clock),
        attachments: house.rounds.attachments.clone(),
        bus: house.rounds.bus.clone(),
        manifest: house.rounds.manifest.clone(),
        node: "callreel@two".to_owned(),
        picture: Arc::default(),
    };
    let (one, two) = tokio::join!(house.rounds.round(NOW), other.round(NOW));
    one.and(two).unwrap();
    assert!(house.left().await.is_empty());
    assert_eq!(
        house.rounds.manifest.verify(|_, _, _| ()).unwrap().lines,
        40
    );
}
