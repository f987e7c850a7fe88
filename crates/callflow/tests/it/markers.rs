//! The marker behind what is played, and what becomes of a call where it is not heard of.

use insta::assert_snapshot;
use serde_json::json;

use crate::support::Talk;

#[test]
fn a_marker_that_is_not_heard_of_is_queued_again_and_again_but_ever_less_often() {
    let mut talk = Talk::with(
        &json!({"module": "play", "data": {"id": "x"}}),
        |call, _| call.answered = true,
    );
    talk.tick(29.9);
    assert_eq!(talk.text().matches("< noop").count(), 1);
    talk.tick(30.0);
    talk.tick(90.0);
    assert!(
        talk.text().contains("   < noop m-3\n   wait until 210s"),
        "{}",
        talk.text()
    );
    talk.marked(91.0, 4);
    assert!(talk.position().is_some_and(|at| at.module == "play"));
    // The completion of any of them will do: the others are lost.
    talk.marked(91.0, 2);
    assert!(talk.text().contains("wait until 131s"), "{}", talk.text());
}

#[test]
fn a_lost_end_of_a_question_is_asked_for_again_and_then_the_keys_have_their_time() {
    let ask = json!({"module": "collect_dtmf", "data": {"timeout": 4000}, "children": {"_": {"module": "noop", "data": {}}}});
    let mut talk = Talk::with(&ask, |call, _| call.answered = true);
    talk.tick(30.0);
    talk.marked(30.1, 2);
    talk.tick(34.1);
    assert_snapshot!(talk.text(), @r#"
    0s > Started
       < noop m-1
       at collect_dtmf (root)
       wait until 30s
    30s > Tick
       < noop m-2
       wait until 90s
    30.1s > CHANNEL_EXECUTE_COMPLETE noop m-2
       wait until 34.1s
    34.1s > Tick
       < hangup
       wait until 74.1s
    "#);
}

#[test]
fn an_endless_playback_has_few_markers_behind_it() {
    let endless = json!({"module": "play", "data": {"id": "x", "endless_playback": true}});
    let mut talk = Talk::with(&endless, |call, _| call.answered = true);
    for hour in 1..=24 * 365 {
        talk.tick(f64::from(hour) * 3600.0);
    }
    let markers = talk.text().matches("< noop").count();
    assert!((10..=21).contains(&markers), "{markers}");
}
