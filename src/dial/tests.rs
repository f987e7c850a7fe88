//! The test phone against a phone: exit codes, the file played, the file saved.

use clap::Parser;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn args(line: &[&str]) -> Args {
    let line = ["dial"].iter().chain(line);
    Line::try_parse_from(line).unwrap().args
}

async fn callee(answering: Answering) -> Phone {
    Phone::start(Setting {
        identity: Identity {
            user: "bob".to_owned(),
            realm: "localhost".to_owned(),
            password: None,
        },
        server: "127.0.0.1:9".parse().unwrap(),
        codecs: vec![Codec::Pcmu],
        answering,
    })
    .await
    .unwrap()
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

fn is_loud(pcm: &Pcm) -> bool {
    level(&pcm.samples) > 1000
}

fn code_of(code: ExitCode) -> String {
    format!("{code:?}")
}

#[tokio::test]
async fn a_file_is_played_and_what_is_heard_is_saved() {
    let dir = tempfile::tempdir().unwrap();
    let (clip, saved) = (dir.path().join("clip.wav"), dir.path().join("heard.wav"));
    write_wav(&clip, &tone(440.0, 500)).unwrap();
    let callee = callee(Answering::After(Duration::ZERO)).await;
    let target = format!("sip:bob@{}", callee.address());
    let line = args(&[
        &target,
        "--play",
        clip.to_str().unwrap(),
        "--save",
        saved.to_str().unwrap(),
        "--digits",
        "42",
    ]);
    let calling = tokio::spawn(run(line));
    let call = callee.next_call().await.unwrap();
    call.answered().await.unwrap();
    call.say(&tone(800.0, 300)).await.unwrap();
    let code = calling.await.unwrap().unwrap();
    assert_eq!(code_of(code), code_of(ExitCode::SUCCESS));
    assert_eq!(call.ended().await.1, Ending::Theirs);
    assert_eq!(call.heard().digits, "42");
    let heard = call.heard().pcm;
    let length = heard.samples.iter().filter(|s| **s != 0).count() / 8;
    assert!((450..550).contains(&length), "{length} ms heard");
    assert!(is_loud(&read_clip(&saved).unwrap()));
}

#[tokio::test]
async fn a_refused_call_has_its_own_exit_code() {
    let callee = callee(Answering::Refuse(480)).await;
    let target = format!("sip:bob@{}", callee.address());
    let code = run(args(&[&target])).await.unwrap();
    assert_eq!(code_of(code), code_of(ExitCode::from(NOT_ANSWERED)));
}

#[tokio::test]
async fn seconds_limit_a_call_without_a_file() {
    let callee = callee(Answering::After(Duration::ZERO)).await;
    let target = format!("sip:bob@{}", callee.address());
    let code = run(args(&[&target, "--seconds", "0.3"])).await.unwrap();
    assert_eq!(code_of(code), code_of(ExitCode::SUCCESS));
}

#[test]
fn targets_are_taken_apart() {
    let parsed = Target::parse("sip:2000@example.com:5070").unwrap();
    assert_eq!(
        (parsed.user.as_str(), parsed.host.as_str(), parsed.port),
        ("2000", "example.com", 5070)
    );
    assert_eq!(Target::parse("sip:a@10.0.0.1").unwrap().port, SIP_PORT);
    for wrong in [
        "2000",
        "sip:example.com",
        "http://a@b",
        "",
        "sip:a@b;transport=tcp",
    ] {
        assert!(Target::parse(wrong).is_err(), "{wrong}");
    }
}
