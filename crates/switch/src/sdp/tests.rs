//! What offers and answers must look like, by example.

use super::*;

fn theirs(lines: &str) -> Result<Theirs, Error> {
    let body = format!(
        "v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\n{}",
        lines.replace('\n', "\r\n")
    );
    Theirs::read(body.as_bytes())
}

const OURS: [Codec; 4] = [Codec::Opus, Codec::G722, Codec::Pcmu, Codec::Pcma];

fn any() -> Allowed {
    Allowed::from_names(&[], &OURS)
}

fn only(names: &[&str]) -> Allowed {
    let names: Vec<_> = names.iter().map(|n| (*n).to_owned()).collect();
    Allowed::from_names(&names, &OURS)
}

fn ours() -> Ours {
    Ours::new("192.0.2.1:20000".parse().unwrap(), 77)
}

fn text(body: Vec<u8>) -> String {
    String::from_utf8(body).unwrap()
}

#[test]
fn the_device_documents_order_counts_then_the_phones() {
    let offer =
        theirs("m=audio 4000 RTP/AVP 9 8 0 96\na=rtpmap:96 telephone-event/8000\n").unwrap();
    let chosen = offer.choose(&any(), None).unwrap();
    assert_eq!(chosen.codec, Codec::G722);
    let chosen = offer
        .choose(&only(&["speex", "PCMU", "G722"]), None)
        .unwrap();
    assert_eq!(chosen.codec, Codec::Pcmu);
    assert_eq!(chosen.keys, Some(Keys::usual(96)));
    assert_eq!(chosen.addr, "10.0.0.9:4000".parse().unwrap());
    assert!(chosen.send && chosen.receive);
    let wanted = offer.choose(&any(), Some(Codec::Pcma)).unwrap();
    assert_eq!((wanted.codec, wanted.payload_type), (Codec::Pcma, 8));
}

#[test]
fn a_dynamic_number_names_its_codec() {
    let offer = theirs(
        "m=audio 4000 RTP/AVP 111 112\na=rtpmap:111 opus/48000/2\na=rtpmap:112 PCMA/8000/1\n",
    )
    .unwrap();
    let chosen = offer.choose(&any(), None).unwrap();
    assert_eq!((chosen.codec, chosen.payload_type), (Codec::Opus, 111));
    let chosen = offer.choose(&only(&["PCMA"]), None).unwrap();
    assert_eq!((chosen.codec, chosen.payload_type), (Codec::Pcma, 112));
}

#[test]
fn nothing_in_common_is_an_error_not_a_guess() {
    for lines in [
        "m=audio 4000 RTP/AVP 18\n",
        "m=audio 4000 RTP/SAVP 0\n",
        "m=audio 0 RTP/AVP 0\n",
        "m=video 4000 RTP/AVP 0\n",
        "m=audio 4000 RTP/AVP 0\na=rtpmap:0 speex/8000\n",
        "m=audio 4000 RTP/AVP 96\na=rtpmap:96 opus/48000\n",
        "m=audio 4000 RTP/AVP 96\na=rtpmap:96 opus/16000/2\n",
        "m=audio 4000 RTP/AVP 111\n",
    ] {
        let outcome = theirs(lines).and_then(|offer| offer.choose(&any(), None));
        assert_eq!(outcome, Err(Error::NothingInCommon), "{lines}");
    }
    assert!(matches!(Theirs::read(b"hello"), Err(Error::Malformed(_))));
}

#[test]
fn holds_are_recognised_in_all_three_spellings() {
    let only = theirs("m=audio 4000 RTP/AVP 0\na=sendonly\n").unwrap();
    assert!(only.holds());
    let chosen = only.choose(&any(), None).unwrap();
    assert!(!chosen.send && chosen.receive);
    assert!(text(ours().answer(&only, &chosen)).contains("a=recvonly"));

    let inactive = theirs("m=audio 4000 RTP/AVP 0\na=inactive\n").unwrap();
    let chosen = inactive.choose(&any(), None).unwrap();
    assert!(inactive.holds() && !chosen.send && !chosen.receive);
    assert!(text(ours().answer(&inactive, &chosen)).contains("a=inactive"));

    let old = theirs("m=audio 4000 RTP/AVP 0\nc=IN IP4 0.0.0.0\n").unwrap();
    assert!(old.holds());
    assert!(!old.choose(&any(), None).unwrap().send);
}

#[test]
fn an_answer_has_as_many_streams_as_the_offer() {
    let offer = theirs("m=video 5000 RTP/AVP 99\na=rtpmap:99 H264/90000\nm=audio 4000 RTP/AVP 0 101\na=rtpmap:101 telephone-event/8000\n").unwrap();
    let chosen = offer.choose(&any(), None).unwrap();
    let answer = text(ours().answer(&offer, &chosen));
    assert!(answer.contains("m=video 0 RTP/AVP 99\r\n"), "{answer}");
    assert!(
        answer.contains("m=audio 20000 RTP/AVP 0 101\r\n"),
        "{answer}"
    );
    assert!(answer.contains("c=IN IP4 192.0.2.1\r\n"), "{answer}");
    assert!(answer.contains("a=fmtp:101 0-16"), "{answer}");
    assert!(answer.contains("a=ptime:20"), "{answer}");
}

#[test]
fn the_version_grows_only_when_the_description_changes() {
    let mut ours = ours();
    let offer = theirs("m=audio 4000 RTP/AVP 0\n").unwrap();
    let held = theirs("m=audio 4000 RTP/AVP 0\na=sendonly\n").unwrap();
    let chosen = offer.choose(&any(), None).unwrap();
    let origin = |body: Vec<u8>| text(body).lines().nth(1).unwrap().to_owned();
    assert_eq!(
        origin(ours.answer(&offer, &chosen)),
        "o=callreel 77 77 IN IP4 192.0.2.1"
    );
    assert_eq!(
        origin(ours.answer(&offer, &chosen)),
        "o=callreel 77 77 IN IP4 192.0.2.1"
    );
    assert_eq!(
        origin(ours.answer(&held, &chosen)),
        "o=callreel 77 78 IN IP4 192.0.2.1"
    );
}

#[test]
fn our_offer_can_be_answered_by_ourselves() {
    let offer = ours().offer(&[Codec::G722, Codec::Pcma]);
    let read = Theirs::read(&offer).unwrap();
    let chosen = read.choose(&only(&["PCMA", "PCMU"]), None).unwrap();
    assert_eq!(chosen.codec, Codec::Pcma);
    assert_eq!(chosen.keys, Some(Keys::usual(TELEPHONE_EVENT)));
}

#[test]
fn an_offer_begins_with_the_other_legs_codecs() {
    assert_eq!(
        any().offered(&[Codec::Pcma, Codec::G722]),
        [Codec::Pcma, Codec::G722, Codec::Opus, Codec::Pcmu]
    );
    assert_eq!(only(&["PCMA"]).offered(&[Codec::G722]), [Codec::Pcma]);
}

#[test]
fn opus_is_described_as_its_rfc_wants_with_keys_under_its_own_clock() {
    let offer = text(ours().offer(&[Codec::Opus, Codec::Pcmu]));
    for line in [
        "m=audio 20000 RTP/AVP 111 0 101 110",
        "a=rtpmap:111 opus/48000/2",
        "a=fmtp:111 useinbandfec=1",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=rtpmap:110 telephone-event/48000",
    ] {
        assert!(offer.contains(&format!("{line}\r\n")), "{line}: {offer}");
    }
    let plain = text(ours().offer(&[Codec::Pcmu]));
    assert!(!plain.contains("48000"), "{plain}");

    let both = "m=audio 4000 RTP/AVP 107 0 96 97\na=rtpmap:107 opus/48000/2\n\
        a=rtpmap:96 telephone-event/8000\na=rtpmap:97 telephone-event/48000\n";
    let both = theirs(both).unwrap();
    let chosen = both.choose(&any(), None).unwrap();
    let keys = Keys {
        payload_type: 97,
        clock: 48_000,
    };
    assert_eq!((chosen.payload_type, chosen.keys), (107, Some(keys)));
    let answer = text(ours().answer(&both, &chosen));
    assert!(answer.contains("RTP/AVP 107 97\r\n"), "{answer}");
    let narrow = both.choose(&any(), Some(Codec::Pcmu)).unwrap();
    assert_eq!(narrow.keys, Some(Keys::usual(96)));

    let odd = "m=audio 4000 RTP/AVP 107 96\na=rtpmap:107 opus/48000/2\na=rtpmap:96 telephone-event/8000\n";
    let chosen = theirs(odd).unwrap().choose(&any(), None).unwrap();
    assert_eq!(chosen.keys, Some(Keys::usual(96)), "the only one it has");
}
