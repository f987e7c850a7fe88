//! What the phone says and reads in session descriptions (RFC 8866, RFC 3264): one audio stream, never a socket.

use std::net::{IpAddr, SocketAddr};

use callreel_media::{Codec, TELEPHONE_EVENT};
use sdp_types::{Connection, Direction, Media, MediaType, Origin, RtpMap, Session, TransportProto};

/// Payload type of digits under Opus' clock in our offers.
const TELEPHONE_EVENT_48: u8 = 110;

/// Why a session description cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// It is not a session description.
    #[error("the session description cannot be read: {0}")]
    Malformed(String),
    /// No audio stream that is switched on.
    #[error("the session description offers no audio")]
    NoAudio,
    /// The stream's address is not an IP address.
    #[error("the session description names no usable address")]
    NoAddress,
    /// No codec in common.
    #[error("no codec in common: the other side offers payload types {0:?}")]
    NoCodec(String),
}

/// What the other side wants: where to send and what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Remote {
    /// Its RTP address.
    pub(crate) address: SocketAddr,
    /// The codec both know.
    pub(crate) codec: Codec,
    /// The codec's payload type in this session.
    pub(crate) payload_type: u8,
    /// Payload type of RFC 4733 digits under the codec's clock, if it takes them.
    pub(crate) telephone_event: Option<u8>,
    /// It sends to us.
    pub(crate) sends: bool,
    /// It wants to hear us.
    pub(crate) hears: bool,
}

/// An offer of audio at `local`, codecs in order of preference.
pub(crate) fn offer(local: SocketAddr, codecs: &[Codec], version: u64) -> Vec<u8> {
    let formats: Vec<(u8, Codec)> = codecs.iter().map(|c| (c.payload_type(), *c)).collect();
    let wanted = |clock| codecs.iter().any(|codec| codec.rtp_clock() == clock);
    let mut events = vec![(TELEPHONE_EVENT, 8000), (TELEPHONE_EVENT_48, 48_000)];
    events.retain(|(_, clock)| wanted(*clock));
    write(local, &formats, &events, Direction::SendRecv, version)
}

/// The answer that accepts what [`read`] found in an offer.
pub(crate) fn answer(local: SocketAddr, theirs: &Remote, version: u64) -> Vec<u8> {
    let direction = match (theirs.sends, theirs.hears) {
        (true, true) => Direction::SendRecv,
        (true, false) => Direction::RecvOnly,
        (false, true) => Direction::SendOnly,
        (false, false) => Direction::Inactive,
    };
    let event = theirs.telephone_event;
    let event: Vec<_> = event
        .map(|number| (number, theirs.codec.rtp_clock()))
        .into_iter()
        .collect();
    write(
        local,
        &[(theirs.payload_type, theirs.codec)],
        &event,
        direction,
        version,
    )
}

fn write(
    local: SocketAddr,
    formats: &[(u8, Codec)],
    events: &[(u8, u32)],
    direction: Direction,
    version: u64,
) -> Vec<u8> {
    let list = formats
        .iter()
        .map(|(number, _)| *number)
        .chain(events.iter().map(|(number, _)| *number))
        .map(|number| number.to_string())
        .collect::<Vec<_>>()
        .join(" ");
    let mut audio = Media::new(MediaType::Audio, local.port(), TransportProto::RtpAvp, list);
    for (number, codec) in formats {
        let mut map = RtpMap::new(*number, codec.name(), codec.rtp_clock());
        if *codec == Codec::Opus {
            // Always called stereo (RFC 7587 §7).
            map.set_encoding_params(2);
        }
        audio.add_attribute(map);
    }
    for (number, clock) in events {
        audio.add_attribute(RtpMap::new(*number, "telephone-event", *clock));
        audio.add_attribute_with_value("fmtp", format!("{number} 0-15"));
    }
    audio.add_attribute_with_value("ptime", 20);
    audio.add_attribute(direction);

    let origin = Origin::builder_with_ip_addr(u64::from(local.port()), version, local.ip())
        .username("-")
        .build();
    let mut session = Session::new(origin, "-");
    session.connection = Some(Connection::from_ip_addr(local.ip()));
    session.medias.push(audio);
    let mut text = Vec::new();
    session
        .write(&mut text)
        .expect("writing to a Vec cannot fail");
    text
}

/// Reads an offer or answer: the first codec of theirs that we know too.
pub(crate) fn read(body: &[u8], ours: &[Codec]) -> Result<Remote, Unusable> {
    let session = Session::parse(body).map_err(|e| Unusable::Malformed(e.to_string()))?;
    let audio = session
        .medias
        .iter()
        .find(|m| m.media == "audio" && m.port != 0)
        .ok_or(Unusable::NoAudio)?;
    let ip = audio
        .connections
        .first()
        .or(session.connection.as_ref())
        .and_then(|c| c.try_address().ok())
        .ok_or(Unusable::NoAddress)?
        .ip;
    let offered: Vec<u8> = audio
        .fmt
        .split_ascii_whitespace()
        .filter_map(|number| number.parse().ok())
        .collect();
    let (payload_type, codec) = offered
        .iter()
        .filter_map(|number| Some((*number, codec_of(audio, *number)?)))
        .find(|(_, codec)| ours.contains(codec))
        .ok_or_else(|| Unusable::NoCodec(audio.fmt.clone()))?;
    let (sends, hears) = directions(&session, audio, ip);
    Ok(Remote {
        address: SocketAddr::new(ip, audio.port),
        codec,
        payload_type,
        telephone_event: offered
            .iter()
            .copied()
            .find(|n| map_of(audio, *n).is_some_and(|m| is_telephone_event(&m, codec))),
        sends,
        hears,
    })
}

fn map_of(audio: &Media, number: u8) -> Option<RtpMap> {
    audio
        .attributes_typed::<RtpMap>()
        .filter_map(Result::ok)
        .find(|m| m.payload_type == number)
}

fn is_telephone_event(map: &RtpMap, beside: Codec) -> bool {
    map.encoding_name.eq_ignore_ascii_case("telephone-event")
        && map.clock_rate == beside.rtp_clock()
}

fn codec_of(audio: &Media, number: u8) -> Option<Codec> {
    match map_of(audio, number) {
        Some(map) => Codec::from_name(&map.encoding_name.to_ascii_uppercase())
            .filter(|codec| codec.rtp_clock() == map.clock_rate),
        // Static payload types need no rtpmap (RFC 3551 §6).
        None => Codec::from_payload_type(number).filter(|codec| *codec != Codec::Opus),
    }
}

/// Whether the other side sends and hears. An unspecified address is the old way to hold (RFC 2543).
fn directions(session: &Session, audio: &Media, ip: IpAddr) -> (bool, bool) {
    let has = |name: &str| {
        audio.has_attribute(name)
            || (!["sendrecv", "sendonly", "recvonly", "inactive"]
                .iter()
                .any(|other| audio.has_attribute(other))
                && session.attributes.iter().any(|a| a.attribute == name))
    };
    if has("inactive") {
        return (false, false);
    }
    (!has("recvonly"), !has("sendonly") && !ip.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> SocketAddr {
        "127.0.0.1:4000".parse().unwrap()
    }

    #[test]
    fn an_offer_is_read_as_it_was_meant() {
        let theirs = read(
            &offer(here(), &[Codec::G722, Codec::Pcmu], 1),
            &[Codec::Pcmu, Codec::G722],
        )
        .unwrap();
        assert_eq!(theirs.address, here());
        assert_eq!(theirs.codec, Codec::G722, "their preference counts");
        assert_eq!(theirs.telephone_event, Some(TELEPHONE_EVENT));
        assert!(theirs.sends && theirs.hears);
    }

    #[test]
    fn opus_has_digits_under_its_own_clock() {
        let codecs = [Codec::Opus, Codec::Pcmu];
        let theirs = read(&offer(here(), &codecs, 1), &codecs).unwrap();
        assert_eq!((theirs.codec, theirs.payload_type), (Codec::Opus, 111));
        assert_eq!(theirs.telephone_event, Some(TELEPHONE_EVENT_48));
        let text = String::from_utf8(answer(here(), &theirs, 1)).unwrap();
        for line in [
            "a=rtpmap:111 opus/48000/2",
            "a=rtpmap:110 telephone-event/48000",
        ] {
            assert!(text.contains(line), "{text}");
        }
        let narrow = read(&offer(here(), &codecs, 1), &[Codec::Pcmu]).unwrap();
        assert_eq!(narrow.telephone_event, Some(TELEPHONE_EVENT));
    }

    #[test]
    fn an_answer_mirrors_a_hold() {
        let mut theirs = read(&offer(here(), &[Codec::Pcmu], 1), &[Codec::Pcmu]).unwrap();
        theirs.hears = false;
        let text = String::from_utf8(answer(here(), &theirs, 2)).unwrap();
        assert!(text.contains("a=recvonly\r\n"), "{text}");
        let ours = read(text.as_bytes(), &[Codec::Pcmu]).unwrap();
        assert!(!ours.sends && ours.hears);
    }

    #[test]
    fn a_plain_description_without_maps_is_understood() {
        let text = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.2\r\nt=0 0\r\nm=audio 5000 RTP/AVP 8 0\r\n";
        let theirs = read(text.as_bytes(), &[Codec::Pcmu]).unwrap();
        assert_eq!(theirs.codec, Codec::Pcmu);
        assert_eq!(theirs.address, "10.0.0.2:5000".parse().unwrap());
        assert_eq!(theirs.telephone_event, None);
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        assert!(matches!(
            read(b"hello", &[Codec::Pcmu]),
            Err(Unusable::Malformed(_))
        ));
        assert!(matches!(
            read(&offer(here(), &[Codec::Pcma], 1), &[Codec::Pcmu]),
            Err(Unusable::NoCodec(_))
        ));
        let off = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.2\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\n";
        assert_eq!(read(off.as_bytes(), &[Codec::Pcmu]), Err(Unusable::NoAudio));
    }
}
