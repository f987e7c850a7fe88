//! Two phones call each other over loopback, without a switch between them.

use std::time::Duration;

use callreel_media::{Pcm, level};
use rsipstack::sip::Method;
use tokio::time::timeout;

use super::*;

/// Whatever a loopback call does, it does within this, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn setting(user: &str, server: SocketAddr, codecs: &[Codec], answering: Answering) -> Setting {
    Setting {
        identity: Identity {
            user: user.to_owned(),
            realm: "test.callreel".to_owned(),
            password: None,
        },
        server,
        codecs: codecs.to_vec(),
        answering,
    }
}

/// A caller whose server is the callee.
async fn pair(codecs: &[Codec], answering: Answering) -> (Phone, Phone) {
    let nowhere = "127.0.0.1:9".parse().unwrap();
    let callee = Phone::start(setting("bob", nowhere, codecs, answering))
        .await
        .unwrap();
    let caller = Phone::start(setting("alice", callee.address(), codecs, Answering::Never))
        .await
        .unwrap();
    (caller, callee)
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("it took too long")
}

fn tone(hertz: f64, ms: usize) -> Pcm {
    let samples = (0..8 * ms)
        .map(|n| (9000.0 * (n as f64 * hertz * std::f64::consts::TAU / 8000.0).sin()) as i16)
        .collect();
    Pcm {
        sample_rate: 8000,
        samples,
    }
}

/// Share of the track's energy at one frequency (Goertzel), 0 to 1.
fn share_of(pcm: &Pcm, hertz: f64) -> f64 {
    let step = hertz * std::f64::consts::TAU / f64::from(pcm.sample_rate);
    let (mut re, mut im, mut energy) = (0.0, 0.0, 0.0);
    for (n, sample) in pcm.samples.iter().enumerate() {
        let sample = f64::from(*sample);
        re += sample * (n as f64 * step).cos();
        im += sample * (n as f64 * step).sin();
        energy += sample * sample;
    }
    2.0 * (re * re + im * im) / (pcm.samples.len() as f64 * energy)
}

/// Where a track becomes loud, as long as `length`; and how loud the rest is, but for 20 ms in which a codec rings out.
fn loud_part(pcm: &Pcm, length: Duration) -> (Pcm, u32) {
    let rate = pcm.sample_rate as usize;
    let first = pcm
        .samples
        .iter()
        .position(|s| s.unsigned_abs() > 1000)
        .expect("it is silent");
    let end = first + length.as_millis() as usize * rate / 1000;
    let part = Pcm {
        sample_rate: pcm.sample_rate,
        samples: pcm.samples[first..end].to_vec(),
    };
    (part, level(&pcm.samples[end + rate / 50..]))
}

fn assert_heard(pcm: &Pcm, hertz: f64) {
    let (part, rest) = loud_part(pcm, Duration::from_millis(590));
    let share = share_of(&part, hertz);
    assert!(share > 0.9, "only {share} of it is {hertz} Hz");
    assert!(rest < 100, "after 600 ms the level is still {rest}");
}

async fn both_talk(codec: Codec) {
    let (caller, callee) = pair(&[codec], Answering::After(Duration::from_millis(50))).await;
    let ours = caller.call("bob").await.unwrap();
    let theirs = soon(callee.next_call()).await.unwrap();
    assert_eq!(ours.id(), theirs.id());
    let answered = soon(ours.answered()).await.unwrap();
    assert_eq!(answered.remote.codec, codec);
    soon(theirs.answered()).await.unwrap();
    assert!(ours.progress().ringing.is_some_and(|r| r < answered.at));

    let (low, high) = (tone(440.0, 600), tone(1200.0, 600));
    let (first, second) = soon(async { tokio::join!(ours.say(&low), theirs.say(&high)) }).await;
    let length = first.unwrap();
    let length = length.ended - length.started;
    assert!(
        length > Duration::from_millis(500) && length < Duration::from_millis(900),
        "{length:?}"
    );
    second.unwrap();
    soon(ours.dial("12#A")).await.unwrap();

    let moment = soon(theirs.hang_up()).await;
    let (ended, ending) = soon(ours.ended()).await;
    assert_eq!(ending, Ending::Theirs);
    assert!(ended >= moment);
    assert_eq!(soon(theirs.ended()).await.1, Ending::Ours);

    let (at_callee, at_caller) = (theirs.heard(), ours.heard());
    assert_eq!(at_callee.digits, "12#A");
    assert_eq!(at_callee.pcm.sample_rate, codec.sample_rate());
    assert_heard(&at_callee.pcm, 440.0);
    assert_heard(&at_caller.pcm, 1200.0);
    assert!(ours.say(&low).await.is_err(), "nobody is there any more");
}

#[tokio::test]
async fn two_phones_talk_and_press_keys_in_pcmu() {
    both_talk(Codec::Pcmu).await;
}

#[tokio::test]
async fn two_phones_talk_and_press_keys_in_g722() {
    both_talk(Codec::G722).await;
}

#[tokio::test]
async fn two_phones_talk_and_press_keys_in_opus() {
    both_talk(Codec::Opus).await;
}

#[tokio::test]
async fn a_refusal_is_told_with_its_code() {
    let (caller, _callee) = pair(&[Codec::Pcmu], Answering::Refuse(486)).await;
    let call = caller.call("bob").await.unwrap();
    let Err(Ending::Refused(code, _)) = soon(call.answered()).await else {
        panic!("{:?}", call.progress());
    };
    assert_eq!(code, 486);
}

#[tokio::test]
async fn a_caller_who_gives_up_cancels_and_both_know() {
    let (caller, callee) = pair(&[Codec::Pcmu], Answering::Never).await;
    let ours = caller.call("bob").await.unwrap();
    let theirs = soon(callee.next_call()).await.unwrap();
    let mut watch = ours.watch();
    soon(watch.wait_for(|p| p.ringing.is_some())).await.unwrap();
    ours.hang_up().await;
    assert_eq!(soon(ours.answered()).await.unwrap_err(), Ending::Ours);
    assert_eq!(soon(theirs.ended()).await.1, Ending::Theirs);
}

#[tokio::test]
async fn no_common_codec_is_refused_with_488() {
    let nowhere = "127.0.0.1:9".parse().unwrap();
    let after = Answering::After(Duration::ZERO);
    let callee = Phone::start(setting("bob", nowhere, &[Codec::G722], after))
        .await
        .unwrap();
    let caller = Phone::start(setting(
        "alice",
        callee.address(),
        &[Codec::Pcma],
        Answering::Never,
    ))
    .await
    .unwrap();
    let call = caller.call("bob").await.unwrap();
    assert!(matches!(
        soon(call.answered()).await,
        Err(Ending::Refused(488, _))
    ));
}

#[tokio::test]
async fn only_keys_of_a_telephone_can_be_dialled() {
    let (caller, _callee) = pair(&[Codec::Pcmu], Answering::After(Duration::ZERO)).await;
    let call = caller.call("bob").await.unwrap();
    soon(call.answered()).await.unwrap();
    assert!(matches!(call.dial("1x").await, Err(Error::NotADigit('x'))));
    call.hang_up().await;
}

async fn registered_phone(server: SocketAddr, password: &str) -> Phone {
    let mut setting = setting("alice", server, &[Codec::Pcmu], Answering::Never);
    setting.identity.password = Some(password.to_owned());
    Phone::start(setting).await.unwrap()
}

fn answered(method: Method, code: u16, expires: Option<&str>) -> registrar::Answered {
    registrar::Answered {
        method,
        code,
        expires: expires.map(str::to_owned),
    }
}

#[tokio::test]
async fn a_phone_registers_with_digest_refreshes_and_unregisters() {
    let (server, mut answers) = registrar::open("s3cret", 1).await;
    let phone = registered_phone(server, "s3cret").await;
    assert_eq!(soon(phone.register()).await.unwrap(), 1);
    let (challenged, taken) = (
        answered(Method::Register, 401, Some("300")),
        answered(Method::Register, 200, Some("300")),
    );
    assert_eq!(soon(answers.recv()).await.as_ref(), Some(&challenged));
    assert_eq!(soon(answers.recv()).await.as_ref(), Some(&taken));
    // One second was granted: the phone comes back by itself.
    assert_eq!(soon(answers.recv()).await.as_ref(), Some(&challenged));
    assert_eq!(soon(answers.recv()).await.as_ref(), Some(&taken));
    soon(phone.stop()).await;
    let gone = answered(Method::Register, 200, Some("0"));
    soon(async { while answers.recv().await.expect("not unregistered") != gone {} }).await;
}

#[tokio::test]
async fn a_wrong_password_is_told() {
    let (server, _answers) = registrar::open("s3cret", 60).await;
    let phone = registered_phone(server, "wrong").await;
    let error = soon(phone.register()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "registration as alice was refused: 403 Forbidden"
    );
}

#[tokio::test]
async fn a_challenged_call_is_placed_again_with_digest() {
    let (server, mut answers) = registrar::open("s3cret", 60).await;
    let phone = registered_phone(server, "s3cret").await;
    let call = phone.call("2001").await.unwrap();
    assert!(matches!(
        soon(call.answered()).await,
        Err(Ending::Refused(404, _))
    ));
    let codes = [answers.recv().await, answers.recv().await].map(|a| a.unwrap().code);
    assert_eq!(codes, [401, 404]);
}
