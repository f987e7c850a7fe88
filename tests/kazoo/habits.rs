//! Kazoos that are not tidy: everything twice, other types, nothing optional, more than anybody knows, and in another order.

use super::{beside, ladders};
use crate::support::{
    ecallmgr::{End, Quirks, Tree},
    receiver::Receiver,
};

/// A habit, and its name for who reads a failure.
type Habit = (&'static str, fn(&mut Quirks));

/// After a hangup only: who leaves a message waits for its end before it hangs up.
const LATE_END: Habit = ("the recording ends after the channel", |quirks| {
    quirks.late = vec![("RECORD_STOP", "CHANNEL_DESTROY")];
});

const HABITS: &[Habit] = &[
    ("every event twice", |quirks| quirks.twice = true),
    ("strings for numbers, numbers for strings", |quirks| {
        quirks.loose = true
    }),
    ("nothing that is optional", |quirks| quirks.sparing = true),
    ("fields nobody knows", |quirks| quirks.adorned = true),
    ("all of it", |quirks| {
        (quirks.twice, quirks.loose, quirks.adorned) = (true, true, true);
    }),
    ("the answer comes after the bridge", |quirks| {
        quirks.late = vec![
            ("CHANNEL_ANSWER", "CHANNEL_BRIDGE"),
            ("CHANNEL_CREATE", "CHANNEL_ANSWER"),
        ];
    }),
    ("the recording begins after it ended", |quirks| {
        quirks.late = vec![("RECORD_START", "RECORD_STOP")];
    }),
];

/// Whatever the habit, both kinds of call and a message end as they should.
fn holds(tree: Tree) {
    let receiver = Receiver::start();
    let (kazoo, guest) = beside(tree, &ladders::estate(&receiver, "wav"));
    for (name, habit) in HABITS.iter().chain([&LATE_END]) {
        eprintln!("{tree:?}: {name}");
        kazoo.behaves(|quirks| {
            *quirks = Quirks::default();
            habit(quirks);
        });
        ladders::answered(&kazoo, &receiver, "wav");
        ladders::message(&kazoo, &receiver, "wav", End::Hangup);
        if *name != LATE_END.0 {
            ladders::unanswered(&kazoo, &guest, &receiver, "wav", "NO_ANSWER");
        }
    }
}

#[test]
fn an_untidy_kazoo_4_3_is_understood() {
    holds(Tree::V43);
}

#[test]
fn an_untidy_kazoo_5_0_is_understood() {
    holds(Tree::V50);
}
