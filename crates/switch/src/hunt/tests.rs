//! Hunts told what happens, and what they want done.

use super::*;

const S: Duration = Duration::from_secs(1);

fn plan(endpoints: &[usize], one_by_one: bool) -> Plan {
    Plan {
        targets: endpoints
            .iter()
            .map(|endpoint| Target {
                endpoint: *endpoint,
                delay: Duration::ZERO,
                timeout: None,
                progress: None,
                trunk: false,
            })
            .collect(),
        one_by_one,
        timeout: 20 * S,
        fail_on_single_reject: false,
        everybody: false,
    }
}

fn acts(hunt: &mut Hunt) -> Vec<Act> {
    std::iter::from_fn(|| hunt.poll_output()).collect()
}

#[test]
fn all_ring_at_once_and_the_first_answer_wins() {
    let now = Instant::now();
    let mut hunt = Hunt::new(now, plan(&[0, 1, 1], false));
    assert_eq!(acts(&mut hunt), [Act::Dial(0), Act::Dial(1), Act::Dial(2)]);
    hunt.handle_input(now, Input::Failed(0, HangupCause::UserBusy, Some(486)));
    assert_eq!(acts(&mut hunt), []);
    hunt.handle_input(now + S, Input::Answered(2));
    assert_eq!(
        acts(&mut hunt),
        [Act::Cancel(1, HangupCause::LoseRace), Act::Won(2)]
    );
    hunt.handle_input(now + S, Input::Answered(1));
    assert_eq!(acts(&mut hunt), []);
    assert_eq!(hunt.deadline(), None);
}

#[test]
fn one_by_one_gives_each_endpoint_its_own_time() {
    let now = Instant::now();
    let mut hunt = Hunt::new(now, plan(&[0, 1], true));
    assert_eq!(acts(&mut hunt), [Act::Dial(0)]);
    assert_eq!(hunt.deadline(), Some(now + 20 * S));
    hunt.handle_input(now + 20 * S, Input::Tick);
    assert_eq!(
        acts(&mut hunt),
        [Act::Cancel(0, HangupCause::NoAnswer), Act::Dial(1)]
    );
    assert_eq!(hunt.deadline(), Some(now + 40 * S));
    hunt.handle_input(
        now + 30 * S,
        Input::Failed(1, HangupCause::UserBusy, Some(486)),
    );
    assert_eq!(
        acts(&mut hunt),
        [Act::Lost(HangupCause::UserBusy, Some(486))]
    );
}

#[test]
fn nobody_answers_in_time() {
    let now = Instant::now();
    let mut hunt = Hunt::new(now, plan(&[0, 1], false));
    acts(&mut hunt);
    hunt.handle_input(now + 20 * S, Input::Tick);
    assert_eq!(
        acts(&mut hunt),
        [
            Act::Cancel(0, HangupCause::NoAnswer),
            Act::Cancel(1, HangupCause::NoAnswer),
            Act::Lost(HangupCause::NoAnswer, None)
        ]
    );
}

#[test]
fn delays_and_own_timeouts_of_legs_are_kept() {
    let now = Instant::now();
    let mut wanted = plan(&[0, 1], false);
    wanted.targets[0].timeout = Some(5 * S);
    wanted.targets[1].delay = 10 * S;
    let mut hunt = Hunt::new(now, wanted);
    assert_eq!(acts(&mut hunt), [Act::Dial(0)]);
    assert_eq!(hunt.deadline(), Some(now + 5 * S));
    hunt.handle_input(now + 5 * S, Input::Tick);
    assert_eq!(acts(&mut hunt), [Act::Cancel(0, HangupCause::NoAnswer)]);
    assert_eq!(hunt.deadline(), Some(now + 10 * S));
    hunt.handle_input(now + 10 * S, Input::Tick);
    assert_eq!(acts(&mut hunt), [Act::Dial(1)]);
    assert_eq!(hunt.deadline(), Some(now + 20 * S));
}

#[test]
fn the_telling_failure_wins_over_the_technical_one() {
    let now = Instant::now();
    let mut hunt = Hunt::new(now, plan(&[0, 1], false));
    acts(&mut hunt);
    hunt.handle_input(now, Input::Failed(0, HangupCause::CallRejected, Some(603)));
    hunt.handle_input(now, Input::Failed(1, HangupCause::UserNotRegistered, None));
    assert_eq!(
        acts(&mut hunt),
        [Act::Lost(HangupCause::CallRejected, Some(603))]
    );
}

#[test]
fn a_single_reject_ends_it_when_asked_to() {
    let now = Instant::now();
    let mut wanted = plan(&[0, 1], false);
    wanted.fail_on_single_reject = true;
    let mut hunt = Hunt::new(now, wanted);
    acts(&mut hunt);
    hunt.handle_input(now, Input::Failed(0, HangupCause::UserBusy, Some(486)));
    assert_eq!(
        acts(&mut hunt),
        [
            Act::Cancel(1, HangupCause::UserBusy),
            Act::Lost(HangupCause::UserBusy, Some(486))
        ]
    );
}

#[test]
fn a_trunk_that_says_nothing_makes_room_and_one_that_rings_in_vain_does_not() {
    let now = Instant::now();
    let mut wanted = plan(&[0, 1, 2], true);
    wanted.fail_on_single_reject = true;
    for target in &mut wanted.targets {
        target.progress = Some(8 * S);
        target.trunk = true;
    }
    let mut hunt = Hunt::new(now, wanted);
    assert_eq!(acts(&mut hunt), [Act::Dial(0)]);
    assert_eq!(hunt.deadline(), Some(now + 8 * S));
    hunt.handle_input(now + 8 * S, Input::Tick);
    let silent = HangupCause::NoUserResponse;
    assert_eq!(acts(&mut hunt), [Act::Cancel(0, silent), Act::Dial(1)]);
    let refused = Input::Failed(1, HangupCause::CallRejected, Some(403));
    hunt.handle_input(now + 9 * S, refused);
    assert_eq!(acts(&mut hunt), [Act::Dial(2)]);
    hunt.handle_input(now + 10 * S, Input::Progressed(2));
    assert_eq!(hunt.deadline(), Some(now + 29 * S));
    hunt.handle_input(now + 29 * S, Input::Tick);
    let vain = HangupCause::NoAnswer;
    assert_eq!(
        acts(&mut hunt),
        [Act::Cancel(2, vain), Act::Lost(vain, None)]
    );
}

#[test]
fn everybody_who_answers_is_wanted_until_time_is_up() {
    let now = Instant::now();
    let mut wanted = plan(&[0, 1, 2], false);
    wanted.everybody = true;
    let mut hunt = Hunt::new(now, wanted);
    assert_eq!(acts(&mut hunt).len(), 3);
    hunt.handle_input(now + S, Input::Answered(1));
    assert_eq!(acts(&mut hunt), [Act::Won(1)]);
    hunt.handle_input(now + S, Input::Failed(0, HangupCause::UserBusy, Some(486)));
    hunt.handle_input(now + 19 * S, Input::Answered(1));
    assert_eq!(acts(&mut hunt), []);
    assert!(!hunt.is_over());
    hunt.handle_input(now + 20 * S, Input::Tick);
    assert_eq!(acts(&mut hunt), [Act::Cancel(2, HangupCause::NoAnswer)]);
    assert!(hunt.is_over(), "and not lost: one has answered");
}

#[test]
fn a_busy_callee_is_busy_over_every_trunk() {
    let now = Instant::now();
    let mut wanted = plan(&[0, 1], true);
    wanted.fail_on_single_reject = true;
    wanted.targets[0].trunk = true;
    let mut hunt = Hunt::new(now, wanted);
    acts(&mut hunt);
    hunt.handle_input(now, Input::Failed(0, HangupCause::UserBusy, Some(486)));
    assert_eq!(
        acts(&mut hunt),
        [Act::Lost(HangupCause::UserBusy, Some(486))]
    );
}
