//! Offer and answer (RFC 3264): what a phone wants, what it gets, and what the media engine is told. Pure.

use std::net::{IpAddr, SocketAddr};

use callreel_media::{Codec, TELEPHONE_EVENT};
use sdp_types::{Attribute, Connection, Media, Origin, Session as Description};

use crate::rtp::{Keys, Remote};

/// Payload type of telephone events under Opus' clock in our own offers (RFC 4733 §2.1 wants the clock of the audio).
const TELEPHONE_EVENT_48: u8 = 110;

/// The codecs one leg may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Allowed {
    codecs: Vec<Codec>,
    /// The device's document says so: its order counts, not the phone's.
    configured: bool,
}

impl Allowed {
    /// From a device document's codec names; unknown ones are skipped, and none at all means all of `ours`.
    pub(crate) fn from_names(names: &[String], ours: &[Codec]) -> Self {
        let known = names.iter().filter_map(|name| Codec::from_name(name));
        let codecs: Vec<_> = known.collect();
        let configured = !codecs.is_empty();
        Self {
            codecs: if configured { codecs } else { ours.to_vec() },
            configured,
        }
    }

    /// The codecs to offer, `first` (those the other leg has) before the others, so that nothing need be transcoded.
    pub(crate) fn offered(&self, first: &[Codec]) -> Vec<Codec> {
        let first = first.iter().filter(|c| self.codecs.contains(c)).copied();
        let mut offered: Vec<_> = first.collect();
        let others = self.codecs.iter().filter(|c| !offered.contains(c)).copied();
        let others: Vec<_> = others.collect();
        offered.extend(others);
        offered
    }
}

/// Why a session description cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// Not SDP at all: 400.
    #[error("the body is no session description: {0}")]
    Malformed(String),
    /// Nothing both sides can speak: 488.
    #[error("no audio stream with a codec of ours (PCMU, PCMA, G722, opus) over RTP/AVP")]
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
    keys: Vec<Keys>,
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
        let (codecs, keys) = formats(media);
        Ok(Self {
            audio,
            address: SocketAddr::new(ip, media.port),
            direction,
            codecs,
            keys,
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

    /// The codecs that may be agreed on: in the device document's order if it has one, else in the phone's.
    pub(crate) fn common(&self, allowed: &Allowed) -> Vec<Codec> {
        let theirs = || self.codecs.iter().map(|(codec, _)| *codec);
        let ours = || allowed.codecs.iter().copied();
        match allowed.configured {
            true => ours().filter(|o| theirs().any(|t| t == *o)).collect(),
            false => theirs().filter(|t| ours().any(|o| o == *t)).collect(),
        }
    }

    /// Agrees on a codec: `wanted` if both have it, else the first they have in common.
    pub(crate) fn choose(&self, allowed: &Allowed, wanted: Option<Codec>) -> Result<Remote, Error> {
        let common = self.common(allowed);
        let wanted = wanted.filter(|codec| common.contains(codec));
        let chosen = wanted.or(common.first().copied());
        let (codec, payload_type) = chosen
            .and_then(|chosen| self.codecs.iter().find(|(codec, _)| *codec == chosen))
            .copied()
            .ok_or(Error::NothingInCommon)?;
        let clock = codec.rtp_clock();
        let keys = self.keys.iter().find(|keys| keys.clock == clock);
        Ok(Remote {
            addr: self.address,
            codec,
            payload_type,
            keys: keys.or(self.keys.first()).copied(),
            send: self.direction.receives() && !self.address.ip().is_unspecified(),
            receive: self.direction.sends(),
        })
    }
}

fn is_plain_rtp(proto: &str) -> bool {
    proto.eq_ignore_ascii_case("RTP/AVP") || proto.eq_ignore_ascii_case("RTP/AVPF")
}

fn formats(media: &Media) -> (Vec<(Codec, u8)>, Vec<Keys>) {
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
    let mut keys = Vec::new();
    for number in media
        .fmt
        .split_whitespace()
        .filter_map(|f| f.parse::<u8>().ok())
    {
        let encoding = mapped(number);
        let Some(encoding) = encoding else {
            // Only static numbers go without a name (RFC 3551 §6).
            let known = Codec::from_payload_type(number).filter(|_| number < FIRST_DYNAMIC);
            codecs.extend(known.map(|codec| (codec, number)));
            continue;
        };
        let mut parts = encoding.split('/');
        let name = parts.next().unwrap_or_default();
        let clock = parts.next().and_then(|clock| clock.parse().ok());
        let channels = parts.next().unwrap_or("1");
        match (Codec::from_name(name), clock) {
            (None, Some(clock @ (8000 | 48_000))) if name == "TELEPHONE-EVENT" => {
                let payload_type = number;
                keys.push(Keys {
                    payload_type,
                    clock,
                });
            }
            (Some(codec), Some(clock))
                if clock == codec.rtp_clock() && channels == channels_of(codec) =>
            {
                codecs.push((codec, number));
            }
            _ => {}
        }
    }
    (codecs, keys)
}

/// The least dynamic payload type (RFC 3551 §6).
const FIRST_DYNAMIC: u8 = 96;

/// Channels in SDP: Opus is always called stereo (RFC 7587 §7).
fn channels_of(codec: Codec) -> &'static str {
    match codec {
        Codec::Opus => "2",
        Codec::Pcmu | Codec::Pcma | Codec::G722 => "1",
    }
}

/// The telephone events that belong beside these codecs: one format for each clock.
fn keys_beside(codecs: &[Codec]) -> Vec<Keys> {
    let formats = [(TELEPHONE_EVENT, 8000), (TELEPHONE_EVENT_48, 48_000)];
    let wanted = |clock| codecs.iter().any(|codec| codec.rtp_clock() == clock);
    let wanted = formats.into_iter().filter(|(_, clock)| wanted(*clock));
    let keys = wanted.map(|(payload_type, clock)| Keys {
        payload_type,
        clock,
    });
    keys.collect()
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
        let audio = self.audio(&formats, &keys_beside(codecs), Direction::SendRecv);
        self.write(vec![audio])
    }

    /// The answer to an offer that `chosen` was agreed on for: every other stream is refused.
    pub(crate) fn answer(&mut self, theirs: &Theirs, chosen: &Remote) -> Vec<u8> {
        let audio = self.audio(
            &[(chosen.codec, chosen.payload_type)],
            chosen.keys.as_slice(),
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

    fn audio(&self, codecs: &[(Codec, u8)], keys: &[Keys], direction: Direction) -> Media {
        let numbers: Vec<String> = codecs
            .iter()
            .map(|(_, number)| *number)
            .chain(keys.iter().map(|keys| keys.payload_type))
            .map(|number| number.to_string())
            .collect();
        let mut attributes = Vec::new();
        let mut say = |name: &str, value: String| {
            attributes.push(Attribute::with_value(name, value));
        };
        for (codec, number) in codecs {
            let (name, clock) = (codec.name(), codec.rtp_clock());
            match codec {
                Codec::Opus => {
                    say("rtpmap", format!("{number} {name}/{clock}/2"));
                    say("fmtp", format!("{number} useinbandfec=1"));
                }
                _ => say("rtpmap", format!("{number} {name}/{clock}")),
            }
        }
        for Keys {
            payload_type,
            clock,
        } in keys
        {
            say("rtpmap", format!("{payload_type} telephone-event/{clock}"));
            say("fmtp", format!("{payload_type} 0-16"));
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
