//! What is owed, step by step and at random.

use proptest::{collection::vec, prelude::*};

use super::*;

const WAITS: Policy = Policy {
    first: Duration::from_secs(5),
    max: Duration::from_secs(900),
    give_up_after: Duration::from_hours(72),
};

fn id(n: u8) -> RecordingId {
    RecordingId::parse(&format!("202403-{n:032x}")).unwrap()
}

fn account(n: u8) -> AccountId {
    AccountId::parse(&format!("{n:032x}")).unwrap()
}

fn at(ms: i64) -> Tick {
    Tick::from_ms(ms)
}

fn way(to: &str) -> Way {
    Way {
        name: to.to_owned(),
        most: 1,
    }
}

fn book() -> Book {
    Book::new(WAITS)
}

fn open(book: &mut Book, n: u8, stage: Stage, due: i64) {
    book.open(id(n), account(1), stage, at(0), at(due), at(0));
}

#[test]
fn recordings_come_out_in_the_order_they_became_due_each_to_its_stage() {
    let mut book = book();
    open(&mut book, 1, Stage::Deliver, 30);
    open(&mut book, 2, Stage::Deliver, 10);
    open(&mut book, 3, Stage::Render, 20);
    assert_eq!(book.next_due(), Some(at(10)));
    assert_eq!(book.take(Stage::Deliver), None, "nothing is due yet");
    book.advance(at(25));
    assert_eq!(book.next_due(), Some(at(30)));
    book.advance(at(30));
    assert_eq!(book.take(Stage::Deliver), Some(id(2)));
    assert_eq!(book.take(Stage::Deliver), Some(id(1)));
    assert_eq!(book.take(Stage::Deliver), None);
    assert_eq!(book.take(Stage::Render), Some(id(3)));
    assert_eq!((book.out(Stage::Deliver), book.out(Stage::Render)), (2, 1));
}

#[test]
fn accounts_take_turns_at_every_stage() {
    let mut book = book();
    for n in 1..=4 {
        open(&mut book, n, Stage::Render, 0);
    }
    book.open(id(9), account(2), Stage::Render, at(0), at(5), at(0));
    book.advance(at(9));
    let order: Vec<_> = std::iter::from_fn(|| book.take(Stage::Render)).collect();
    assert_eq!(order, [1, 9, 2, 3, 4].map(id));
}

#[test]
fn what_is_held_takes_no_worker_and_what_is_ordered_goes_first() {
    let mut book = book();
    for n in 1..=4 {
        open(&mut book, n, Stage::Deliver, i64::from(n));
    }
    book.advance(at(9));
    let direct = |book: &mut Book| {
        let next = book.take(Stage::Deliver).unwrap();
        let goes = book.direct(&next, &way("hangs"), WAITS.give_up_after, at(9));
        (next, goes)
    };
    assert_eq!(direct(&mut book), (id(1), true));
    assert_eq!(direct(&mut book), (id(2), false));
    assert_eq!((book.out(Stage::Deliver), book.held()), (1, 1));
    book.put(&id(4), Stage::Deliver, Tick::FIRST, at(9));
    book.advance(at(9));
    assert_eq!(direct(&mut book), (id(4), false));
    book.put(&id(1), Stage::Deliver, at(20), at(10));
    book.advance(at(10));
    assert_eq!(
        direct(&mut book),
        (id(4), true),
        "before those of its account"
    );
    assert_eq!(book.waited(&id(1), at(17)), Duration::from_millis(7));
}

#[test]
fn what_is_out_is_not_handed_out_twice_and_may_be_unwanted() {
    let mut book = book();
    open(&mut book, 1, Stage::Render, 0);
    book.advance(at(0));
    book.take(Stage::Render).unwrap();
    book.advance(at(1000));
    assert_eq!(book.take(Stage::Render), None);
    assert!(book.is_out(&id(1)));
    book.unwant(&id(1));
    assert!(book.entries[&id(1)].unwanted);
    book.put(&id(1), Stage::Deliver, at(5), at(0));
    assert_eq!(book.out(Stage::Render), 0);
    assert_eq!(book.place(&id(1)), Some(Place::Waiting));
}

#[test]
fn what_rests_is_known_until_it_is_owed_again_or_gone() {
    let mut book = book();
    book.rest(id(1));
    assert!(book.knows(&id(1)) && !book.contains(&id(1)));
    open(&mut book, 1, Stage::Deliver, 0);
    book.rest(id(1));
    book.remove(&id(1), at(0));
    assert!(!book.knows(&id(1)));
}

proptest! {
    #[test]
    fn the_lists_always_agree_with_the_entries(steps in vec((0u8..8, 0u8..6, 0i64..50), 0..200)) {
        let mut book = book();
        for (step, n, ms) in steps {
            let stage = Stage::ALL[usize::from(n) % 3];
            match step {
                0 | 1 => book.open(id(n), account(n % 2), stage, at(0), at(ms), at(ms)),
                2 => book.put(&id(n), stage, at(ms), at(ms)),
                3 => book.advance(at(ms)),
                4 => drop(book.take(stage)),
                5 | 6 => if let Some(taken) = book.take(Stage::Deliver) {
                    let to = if ms % 2 == 0 { "a" } else { "b" };
                    book.direct(&taken, &way(to), WAITS.give_up_after, at(ms));
                },
                _ => { book.remove(&id(n), at(ms)); }
            }
            let count = |wanted| book.iter().filter(|(_, entry)| entry.place == wanted).count();
            prop_assert_eq!(count(Place::Waiting), book.waiting.len());
            prop_assert_eq!(count(Place::Ready), book.ready.iter().map(Turns::len).sum::<usize>());
            prop_assert_eq!(count(Place::Out), book.out.iter().sum::<usize>());
            prop_assert_eq!(count(Place::Held), book.held());
        }
    }
}
