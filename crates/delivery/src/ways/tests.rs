//! Destinations that hang, die and come back, as stories and properties.

use std::time::Duration;

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::breaker::FAILURES;

const WAITS: Policy = Policy {
    first: Duration::from_secs(5),
    max: Duration::from_secs(900),
    give_up_after: Duration::from_hours(72),
};
const NEVER: Tick = Tick::from_ms(i64::MAX);

fn id(n: u32) -> RecordingId {
    RecordingId::parse(&format!("202403-{n:032x}")).unwrap()
}

fn at(ms: i64) -> Tick {
    Tick::from_ms(ms)
}

struct Story {
    ways: Ways,
    now: i64,
}

impl Story {
    fn new() -> Self {
        Self {
            ways: Ways::new(WAITS),
            now: 0,
        }
    }

    fn go(&mut self, n: u32, account: u8, to: &str) -> bool {
        self.press(n, account, to, NEVER).0
    }

    fn press(&mut self, n: u32, account: u8, to: &str, from: Tick) -> (bool, Vec<RecordingId>) {
        let way = Way {
            name: to.to_owned(),
            most: 2,
        };
        let claim = Claim {
            account: AccountId::parse(&format!("{account:032x}")).unwrap(),
            due: at(i64::from(n)),
            pressing_from: from,
        };
        self.ways.direct(&id(n), &way, claim, at(self.now))
    }

    fn hear(&mut self, n: u32, sign: Sign) {
        let instant = Instant {
            tick: at(self.now),
            wall: Utc::from_unix_ms(self.now),
            seed: 7,
        };
        self.ways.hear(&id(n), sign, instant);
    }

    fn fail(&mut self, n: u32) -> Vec<RecordingId> {
        let reason = "no route".to_owned();
        self.hear(
            n,
            Sign::Failed {
                reason,
                retry_after: None,
            },
        );
        self.ways.back(&id(n), at(self.now))
    }

    fn succeed(&mut self, n: u32) -> Vec<RecordingId> {
        self.hear(n, Sign::Alive);
        self.ways.forget(&id(n), at(self.now))
    }

    /// A destination that has just been found dead, with recording 100 owed to it.
    fn dead(to: &str) -> Self {
        let mut story = Self::new();
        for _ in 0..FAILURES {
            assert!(story.go(100, 1, to));
            story.fail(100);
        }
        assert_eq!(story.ways.troubled().count(), 1);
        story
    }

    fn probe_time(&mut self) {
        let probe = self.ways.next_wake().expect("a probe is planned");
        self.now = probe.since(at(0)).as_millis().try_into().unwrap();
    }
}

#[test]
fn a_destination_with_enough_under_way_holds_its_own_and_no_other() {
    let mut story = Story::new();
    assert!(story.go(1, 1, "hangs") && story.go(2, 1, "hangs"));
    assert!(!story.go(3, 1, "hangs") && !story.go(4, 1, "hangs"));
    assert!(story.go(5, 1, "lives"));
    assert_eq!(story.succeed(1), [id(3)]);
    assert!(!story.go(6, 1, "hangs"), "its turn is kept for the held");
    assert!(story.go(3, 1, "hangs"));
}

#[test]
fn the_held_of_one_account_do_not_stand_before_those_of_another() {
    let mut story = Story::new();
    for n in 1..=9 {
        story.go(n, 1, "busy");
    }
    story.go(50, 2, "busy");
    assert_eq!(story.succeed(1), [id(3)]);
    assert_eq!(story.succeed(2), [id(50)]);
}

#[test]
fn one_that_is_dead_is_probed_by_one_recording_at_a_time() {
    let mut story = Story::dead("dead");
    for n in 1..=9 {
        assert!(!story.go(n, 1, "dead"));
    }
    assert_eq!(story.ways.wake(at(story.now)), []);
    story.probe_time();
    assert_eq!(story.ways.wake(at(story.now)), [id(1)]);
    assert!(story.go(1, 1, "dead"));
    story.now += 1_000_000;
    assert_eq!(story.ways.wake(at(story.now)), [], "one at a time");
    assert_eq!(story.fail(1), [], "and then a pause");
    assert_eq!(story.ways.troubled().next().unwrap().waiting, 10);

    story.probe_time();
    assert_eq!(story.ways.wake(at(story.now)), [id(2)]);
    assert!(story.go(2, 1, "dead"));
    assert_eq!(story.succeed(2), [id(3), id(4)], "as many as there is room");
    assert_eq!(story.ways.troubled().count(), 0);
}

#[test]
fn what_presses_waits_for_no_probe_but_for_the_one_before_it() {
    let mut story = Story::dead("dead");
    let (goes, _) = story.press(1, 1, "dead", Tick::FIRST);
    assert!(goes, "a person wants it");
    assert!(!story.press(2, 1, "dead", Tick::FIRST).0);
    assert!(!story.press(3, 1, "dead", at(60)).0);
    assert_eq!(story.fail(1), [id(2)]);
    assert!(story.go(2, 1, "dead"));
    story.now = 60;
    assert_eq!(story.fail(2), [id(3)], "its patience is over");
}

#[test]
fn a_recording_that_goes_elsewhere_gives_its_turn_to_the_next() {
    let mut story = Story::new();
    for n in 1..=3 {
        story.go(n, 1, "a");
    }
    story.ways.back(&id(1), at(0));
    let (goes, ready) = story.press(3, 1, "b", NEVER);
    assert!(goes && ready.is_empty());
    assert_eq!(story.ways.destinations["a"].invited, 0);
}

proptest! {
    #[test]
    fn nothing_is_held_for_ever_and_nothing_is_kept_of_what_is_gone(
        steps in vec((0u8..5, 0u32..8, 0i64..2_000_000), 0..150),
    ) {
        let mut story = Story::new();
        let mut known = BTreeSet::new();
        for (step, n, ms) in steps {
            let to = if n % 2 == 0 { "a" } else { "b" };
            match step {
                0 | 1 => {
                    let pressing = if ms % 5 == 0 { at(ms) } else { NEVER };
                    let standing = story.ways.courses.get(&id(n)).map(|course| &course.standing);
                    if !matches!(standing, Some(Standing::Out { .. } | Standing::Held(_))) {
                        story.press(n, n as u8 % 3, to, pressing);
                        known.insert(n);
                    }
                }
                2 => drop(story.fail(n)),
                3 => {
                    story.succeed(n);
                    known.remove(&n);
                }
                _ => {
                    story.now += ms;
                    story.ways.wake(at(story.now));
                }
            }
            for there in story.ways.destinations.values() {
                prop_assert!(there.out + there.invited <= there.most);
                prop_assert_eq!(there.held.len(), there.pressing.len());
                prop_assert!(there.courses > 0);
                let idle = there.out + there.invited == 0 && there.breaker.probe_at().is_none();
                prop_assert!(!idle || there.held.len() == 0, "room and nobody is called");
            }
        }
        // The destinations are back: all that is owed gets its turn.
        for _ in 0..3 * known.len() {
            story.now += 3_600_000;
            story.ways.wake(at(story.now));
            for n in known.clone() {
                let to = if n % 2 == 0 { "a" } else { "b" };
                let standing = story.ways.courses.get(&id(n)).map(|course| &course.standing);
                let goes = match standing {
                    Some(Standing::Held(_)) => false,
                    Some(Standing::Out { .. }) => true,
                    _ => story.go(n, n as u8 % 3, to),
                };
                if goes {
                    story.succeed(n);
                    known.remove(&n);
                }
            }
        }
        prop_assert!(known.is_empty(), "{:?}", known);
        prop_assert!(story.ways.destinations.is_empty() && story.ways.troubled.is_empty());
    }
}
