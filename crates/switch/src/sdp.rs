//! Offer and answer (RFC 3264): what a phone wants, what it gets, and what the media engine is told. Pure.

use std::net::{IpAddr, SocketAddr};

use callreel_media::{Codec, TELEPHONE_EVENT};
use sdp_types::{Attribute, Connection, Media, Origin, Session as Description};

use crate::rtp::Remote;

/// Codecs of the switch, in the order it offers them when nobody prefers otherwise.
pub(crate) const CODECS: [Codec; 3] = [Codec::Pcmu, Codec::Pcma, Codec::G722];

/// The codecs one leg may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Allowed {
    codecs: Vec<Codec>,
    /// The device's document says so: its order counts, not the phone's.
    configured: bool,
}

impl Allowed {
    /// From a device document's codec names; unknown ones are skipped, and none at all means all of ours.
    pub(crate) fn from_names(names: &[String]) -> Self {
        let codecs: Vec<_> = names
            .iter()
            .filter_map(|name| Codec::from_name(&name.to_ascii_uppercase()))
            .collect();
        Self {
            configured: !codecs.is_empty(),
            codecs: if codecs.is_empty() {
                CODECS.to_vec()
            } else {
                codecs
            },
        }
    }

    /// The codecs to offer, `first` (the other leg's) before the others, so that nothing need be transcoded.
    pub(crate) fn offered(&self, first: Option<Codec>) -> Vec<Codec> {
        let first = first.filter(|codec| self.codecs.contains(codec));
        let others = self.codecs.iter().copied().filter(|c| Some(*c) != first);
        first.into_iter().chain(others).collect()
    }
}

/// Why a session description cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// Not SDP at all: 400.
    #[error("the body is no session description: {0}")]
    Malformed(String),
    /// Nothing both sides can speak: 488.
    #[error("no audio stream with a codec of ours (PCMU, PCMA, G722) over RTP/AVP")]
    NothingInCommon,
}

/// Who may send, from the phone's point of view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    fn read(attributes: &[Attribute]) -> Option<Self> {
        attributes.iter().find_map(|a| match a.attribute.as_str() {
            "sendrecv" => Some(Self::SendRecv),
            "sendonly" => Some(Self::SendOnly),
            "recvonly" => Some(Self::RecvOnly),
            "inactive" => Some(Self::Inactive),
            _ => None,
        })
    }

    /// How our answer says the same thing.
    fn mirrored(self) -> Self {
        match self {
            Self::SendOnly => Self::RecvOnly,
            Self::RecvOnly => Self::SendOnly,
            same => same,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }
}

/// What a phone's session description says about its audio.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Theirs {
    /// The `m=` lines, for an answer that has as many.
    lines: Vec<Media>,
    /// Which of them is the audio stream.
    audio: usize,
    address: SocketAddr,
    direction: Direction,
    /// Codec and payload type, in the phone's order.
    codecs: Vec<(Codec, u8)>,
    dtmf: Option<u8>,
    text: String,
}

impl Theirs {
    /// Reads a session description.
    pub(crate) fn read(body: &[u8]) -> Result<Self, Error> {
        let description = Description::parse(body).map_err(|e| Error::Malformed(e.to_string()))?;
        let audio = description
            .medias
            .iter()
            .position(|m| m.media == "audio" && m.port != 0 && is_plain_rtp(&m.proto))
            .ok_or(Error::NothingInCommon)?;
        let media = &description.medias[audio];
        let ip = media
            .connections
            .first()
            .or(description.connection.as_ref())
            .ok_or_else(|| Error::Malformed("no c= line".to_owned()))?
            .try_address()
            .map_err(|e| Error::Malformed(e.to_string()))?
            .ip;
        let mut direction = Direction::read(&media.attributes)
            .or_else(|| Direction::read(&description.attributes))
            .unwrap_or(Direction::SendRecv);
        if ip.is_unspecified() && direction.receives() {
            // RFC 2543's way of saying hold: nothing may be sent there.
            direction = if direction.sends() {
                Direction::SendOnly
            } else {
                Direction::Inactive
            };
        }
        let (codecs, dtmf) = formats(media);
        Ok(Self {
            audio,
            address: SocketAddr::new(ip, media.port),
            direction,
            codecs,
            dtmf,
            lines: description.medias,
            text: String::from_utf8_lossy(body).into_owned(),
        })
    }

    /// The description as it came.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether the phone has put the call on hold.
    pub(crate) fn holds(&self) -> bool {
        !self.direction.receives()
    }

    /// Agrees on a codec: `wanted` if both have it, else the device document's first, else the phone's first.
    pub(crate) fn choose(&self, allowed: &Allowed, wanted: Option<Codec>) -> Result<Remote, Error> {
        let mut common = self
            .codecs
            .iter()
            .copied()
            .filter(|(codec, _)| allowed.codecs.contains(codec));
        let find = |codec: Codec| common.clone().find(|(c, _)| *c == codec);
        let preferred = wanted.and_then(find).or_else(|| {
            allowed
                .configured
                .then(|| allowed.codecs.iter().find_map(|codec| find(*codec)))
                .flatten()
        });
        let (codec, payload_type) = preferred
            .or_else(|| common.next())
            .ok_or(Error::NothingInCommon)?;
        Ok(Remote {
            addr: self.address,
            codec,
            payload_type,
            dtmf_payload_type: self.dtmf,
            send: self.direction.receives() && !self.address.ip().is_unspecified(),
            receive: self.direction.sends(),
        })
    }
}

fn is_plain_rtp(proto: &str) -> bool {
    proto.eq_ignore_ascii_case("RTP/AVP") || proto.eq_ignore_ascii_case("RTP/AVPF")
}

fn formats(media: &Media) -> (Vec<(Codec, u8)>, Option<u8>) {
    let mapped = |wanted: u8| {
        media
            .attributes
            .iter()
            .filter(|a| a.attribute == "rtpmap")
            .filter_map(|a| a.value.as_deref()?.split_once(' '))
            .find(|(number, _)| number.parse() == Ok(wanted))
            .map(|(_, encoding)| encoding.trim().to_ascii_uppercase())
    };
    let mut codecs = Vec::new();
    let mut dtmf = None;
    for number in media
        .fmt
        .split_whitespace()
        .filter_map(|f| f.parse::<u8>().ok())
    {
        let encoding = mapped(number);
        let name = encoding.as_deref().and_then(|e| {
            let mut parts = e.split('/');
            let name = parts.next()?;
            // All ours run on an 8 kHz RTP clock; G.722's is 8000 by decree (RFC 3551 §4.5.2).
            (parts.next()? == "8000" && parts.next().is_none_or(|channels| channels == "1"))
                .then_some(name)
        });
        match name {
            Some("TELEPHONE-EVENT") => dtmf = dtmf.or(Some(number)),
            Some(name) => codecs.extend(Codec::from_name(name).map(|codec| (codec, number))),
            None if encoding.is_none() => {
                codecs.extend(Codec::from_payload_type(number).map(|codec| (codec, number)));
            }
            None => {}
        }
    }
    (codecs, dtmf)
}

/// Our end of one leg's session: numbers its descriptions.
#[derive(Debug, Clone)]
pub(crate) struct Ours {
    address: SocketAddr,
    id: u64,
    version: u64,
    last: Option<Vec<Media>>,
    text: Option<String>,
}

impl Ours {
    /// A session at this RTP address; `id` is any number that is unique for the leg.
    pub(crate) fn new(address: SocketAddr, id: u64) -> Self {
        Self {
            address,
            id,
            version: id,
            last: None,
            text: None,
        }
    }

    /// What was said last.
    pub(crate) fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// An offer of these codecs, the preferred first.
    pub(crate) fn offer(&mut self, codecs: &[Codec]) -> Vec<u8> {
        let formats: Vec<_> = codecs.iter().map(|c| (*c, c.payload_type())).collect();
        let audio = self.audio(&formats, Some(TELEPHONE_EVENT), Direction::SendRecv);
        self.write(vec![audio])
    }

    /// The answer to an offer that `chosen` was agreed on for: every other stream is refused.
    pub(crate) fn answer(&mut self, theirs: &Theirs, chosen: &Remote) -> Vec<u8> {
        let audio = self.audio(
            &[(chosen.codec, chosen.payload_type)],
            chosen.dtmf_payload_type,
            theirs.direction.mirrored(),
        );
        let lines = theirs.lines.iter().enumerate().map(|(index, line)| {
            if index == theirs.audio {
                return Media {
                    proto: line.proto.clone(),
                    ..audio.clone()
                };
            }
            Media {
                port: 0,
                num_ports: None,
                attributes: Vec::new(),
                connections: Vec::new(),
                bandwidths: Vec::new(),
                key: None,
                media_title: None,
                ..line.clone()
            }
        });
        self.write(lines.collect())
    }

    fn audio(&self, codecs: &[(Codec, u8)], dtmf: Option<u8>, direction: Direction) -> Media {
        let numbers: Vec<String> = codecs
            .iter()
            .map(|(_, number)| *number)
            .chain(dtmf)
            .map(|number| number.to_string())
            .collect();
        let mut attributes: Vec<_> = codecs
            .iter()
            .map(|(codec, number)| {
                Attribute::with_value("rtpmap", format!("{number} {}/8000", codec.name()))
            })
            .collect();
        if let Some(number) = dtmf {
            attributes.push(Attribute::with_value(
                "rtpmap",
                format!("{number} telephone-event/8000"),
            ));
            attributes.push(Attribute::with_value("fmtp", format!("{number} 0-16")));
        }
        attributes.push(Attribute::with_value("ptime", "20"));
        attributes.push(Attribute::new(direction.name()));
        Media {
            media: "audio".to_owned(),
            port: self.address.port(),
            num_ports: None,
            proto: "RTP/AVP".to_owned(),
            fmt: numbers.join(" "),
            media_title: None,
            connections: Vec::new(),
            bandwidths: Vec::new(),
            key: None,
            attributes,
        }
    }

    fn write(&mut self, medias: Vec<Media>) -> Vec<u8> {
        if self.last.as_ref().is_some_and(|last| *last != medias) {
            self.version += 1;
        }
        let ip: IpAddr = self.address.ip();
        let mut origin = Origin::with_ip_addr(self.id, self.version, ip);
        origin.set_username("callreel");
        let mut description = Description::new(origin, "callreel");
        description.connection = Some(Connection::from_ip_addr(ip));
        description.medias = medias.clone();
        self.last = Some(medias);
        let mut body = Vec::new();
        description
            .write(&mut body)
            .expect("writing to a Vec cannot fail");
        self.text = Some(String::from_utf8_lossy(&body).into_owned());
        body
    }
}

#[cfg(test)]
mod tests;
