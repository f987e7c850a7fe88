//! The demo's call between two phones without a switch, and its judgement of a recording made by hand.

use std::time::Instant;

use super::*;
use crate::phone::Identity;
use conversation::hold;
use script::{Line, tones};

async fn phone(name: &str, server: SocketAddr, answering: Answering) -> Phone {
    Phone::start(Setting {
        identity: Identity {
            user: name.to_owned(),
            realm: REALM.to_owned(),
            password: None,
        },
        server,
        codecs: vec![Codec::Pcmu],
        answering,
    })
    .await
    .unwrap()
}

fn line(who: Party, text: &'static str) -> Line {
    Line {
        who,
        text,
        sound: tones(text, who.pitch()),
    }
}

fn script() -> Script {
    Script {
        turns: vec![
            Turn::Alone(line(Party::Caller, "left and nowhere else")),
            Turn::Alone(line(Party::Callee, "right, always right")),
            Turn::Both(
                line(Party::Caller, "both of us at once"),
                line(Party::Callee, "now we are talking"),
            ),
        ],
        toneless: None,
    }
}

/// What a perfect recorder would have written, had it run since `from`.
fn recording(held: &Held, from: Instant) -> Vec<Pcm> {
    let samples = (held.hung_up - from).as_millis() as usize * 8;
    let mut sides = vec![
        Pcm {
            sample_rate: script::RATE,
            samples: vec![0; samples],
        };
        2
    ];
    for spoken in &held.spoken {
        let side = usize::from(spoken.line.who == Party::Callee);
        let at = (spoken.played.started - from).as_micros() as usize * 8 / 1000;
        let sound = &spoken.line.sound.samples;
        sides[side].samples[at..at + sound.len()].copy_from_slice(sound);
    }
    sides
}

#[tokio::test]
async fn a_conversation_is_held_heard_and_judged() {
    let nowhere = "127.0.0.1:9".parse().unwrap();
    let ben = phone("ben", nowhere, Answering::After(Duration::from_millis(100))).await;
    let ann = phone("ann", ben.address(), Answering::Never).await;
    let held = hold(&Steps::start(), &ann, &ben, &script()).await.unwrap();
    assert_eq!(held.spoken.len(), 4);
    let live = live(&held);
    assert!(live.holds, "{live:?}");

    let (together, alone): (Vec<_>, Vec<_>) = held.spoken.iter().partition(|s| !s.alone);
    assert_eq!((together.len(), alone.len()), (2, 2));
    let apart = together[0]
        .played
        .started
        .max(together[1].played.started)
        .duration_since(together[0].played.started.min(together[1].played.started));
    assert!(apart < Duration::from_millis(100), "{apart:?}");

    let said: Vec<Said> = held
        .spoken
        .iter()
        .map(|spoken| Said {
            who: spoken.line.who,
            sound: spoken.line.sound.clone(),
            at: spoken.played.started - held.invited,
            alone: spoken.alone,
        })
        .collect();
    let whole = held.hung_up - held.invited;
    let span = Span {
        least: whole,
        most: whole,
    };
    let good = judge(&recording(&held, held.invited), &said, span);
    assert!(good.iter().all(|finding| finding.holds), "{good:#?}");

    let mut swapped = recording(&held, held.invited);
    swapped.reverse();
    let bad = judge(&swapped, &said, span);
    assert!(bad.iter().any(|finding| !finding.holds), "{bad:#?}");
}

#[tokio::test]
async fn a_call_that_is_refused_says_with_what() {
    let nowhere = "127.0.0.1:9".parse().unwrap();
    let ben = phone("ben", nowhere, Answering::Refuse(404)).await;
    let ann = phone("ann", ben.address(), Answering::Never).await;
    let error = hold(&Steps::start(), &ann, &ben, &script())
        .await
        .err()
        .expect("nobody answered");
    assert!(error.to_string().contains("404"), "{error:#}");
}
