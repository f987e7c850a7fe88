//! One leg's way from packets to lanes: reorders, decodes and places them, mends short gaps, and counts what it did.

mod run;

use std::{collections::BTreeMap, time::Duration};

use callreel_proto::Leg;

use run::Missing;

use super::{gaps::Gaps, keys::Keys, lane::Lane, report::LegReport, tally::Tally};
use crate::{
    Codec, Decoder, TELEPHONE_EVENT,
    packet::{Kind, Packet, TICKS_PER_SECOND, ns_of_ticks, ticks_per_rtp},
    timeline::{
        Timeline,
        follow::{Follower, Novelty, REORDER_WINDOW_NS},
    },
};

/// Packets of a leg held for reordering. Twice what 10 ms packets need for the whole window; a flood beyond it shortens the window.
const MAX_HELD: usize = 4096;
/// Audio before the cut that is decoded all the same: an adaptive codec needs some to settle.
const WARM_UP_NS: i64 = 200_000_000;
/// Decoded audio remembered for covering a gap: twice the longest pitch period.
const REMEMBERED_MS: usize = 30;

/// Order of release: by place, then by number, so that the order of arrival does not matter.
type Key = (i64, usize, i64);

struct Held {
    segment: usize,
    tick: i64,
    /// `None` for packets that only use up a sequence number. An empty payload is audio that was taken away.
    audio: Option<(Codec, Vec<u8>)>,
}

/// Where the last audio ended.
struct Cursor {
    stream: usize,
    segment: usize,
    ssrc: u32,
    codec: Codec,
    end_tick: i64,
    sequence: i64,
    /// Capture time at which the next sample would lie, as written.
    end: i64,
    /// In samples of the codec's lane, since the cut's start.
    end_position: i64,
    /// Whether packets without audio came since.
    interrupted: bool,
}

pub(crate) struct LegRenderer {
    leg: Leg,
    start: i64,
    end: i64,
    follower: Follower,
    ssrcs: Vec<u32>,
    held: BTreeMap<Key, Held>,
    /// Everything before it is written and may have been taken.
    released: i64,
    decoder: Option<Decoder>,
    cursor: Option<Cursor>,
    recent: Vec<i16>,
    narrow: Lane,
    wide: Lane,
    narrow_out: Vec<i16>,
    wide_out: Vec<i16>,
    tally: Tally,
    keys: Keys,
    gaps: Gaps,
    report: LegReport,
    written_ns: i64,
}

fn rate(codec: Codec) -> i64 {
    i64::from(codec.sample_rate())
}

/// Samples in a span of time, to the nearest.
fn samples_of(ns: i64, rate: i64) -> i64 {
    (ns * rate + 500_000_000).div_euclid(1_000_000_000)
}

/// Samples in so many common ticks, rounded down.
fn samples_of_ticks(ticks: i64, codec: Codec) -> i64 {
    (ticks * rate(codec)).div_euclid(TICKS_PER_SECOND)
}

fn ns_of(samples: i64, rate: i64) -> i64 {
    samples * 1_000_000_000 / rate
}

impl LegRenderer {
    pub(crate) fn new(leg: Leg, start: i64, end: i64, output_rate: u32) -> Self {
        Self {
            leg,
            start,
            end,
            follower: Follower::default(),
            ssrcs: Vec::new(),
            held: BTreeMap::new(),
            released: i64::MIN,
            decoder: None,
            cursor: None,
            recent: Vec::new(),
            narrow: Lane::new(8000, output_rate),
            wide: Lane::new(16000, output_rate),
            narrow_out: Vec::new(),
            wide_out: Vec::new(),
            tally: Tally::default(),
            keys: Keys::default(),
            gaps: Gaps::default(),
            report: LegReport::default(),
            written_ns: 0,
        }
    }

    /// Takes a packet of this leg in the order of the journal.
    pub(crate) fn push(&mut self, packet: &Packet<'_>, timeline: &Timeline) {
        let kind = packet.kind();
        let arrived_within = (self.start..self.end).contains(&packet.arrival());
        if kind == Kind::Unknown && arrived_within {
            self.report.unknown += 1;
        }
        let Some(seen) = self.follower.sight(packet) else {
            self.report.refused += u64::from(arrived_within && matches!(kind, Kind::Audio(_)));
            return;
        };
        if seen.stream == self.ssrcs.len() {
            self.ssrcs.push(packet.ssrc);
        }
        // A stream beyond the timeline belongs to a journal that has grown since: it lies after the cut.
        let Some(place) = timeline.place(self.leg, seen.stream, seen.tick) else {
            return;
        };
        if !(self.start - WARM_UP_NS..self.end).contains(&place.ns) {
            return;
        }
        let within = place.ns >= self.start;
        if packet.payload_type == TELEPHONE_EVENT {
            let until = timeline.place(self.leg, seen.stream, seen.tick + seen.length);
            let until = until.map_or(place.ns, |until| until.ns);
            self.keys.press(place.ns, until);
        }
        match seen.novelty {
            Novelty::Repeated => self.report.duplicate += u64::from(within),
            Novelty::Ancient => self.report.late += u64::from(within),
            Novelty::Fresh => {
                let audio = match kind {
                    Kind::Audio(codec) => Some((codec, packet.payload.to_vec())),
                    Kind::Silent | Kind::Unknown => None,
                };
                if within {
                    self.tally.count(seen.stream, seen.sequence);
                    let empty = audio.is_some() && packet.payload.is_empty();
                    self.report.packets += u64::from(audio.is_some() && !empty);
                    self.report.redacted += u64::from(empty);
                }
                if place.ns < self.released {
                    self.report.late += u64::from(within && audio.is_some());
                    return;
                }
                let key = (place.ns, seen.stream, seen.sequence);
                self.held.insert(
                    key,
                    Held {
                        segment: place.segment,
                        tick: seen.tick,
                        audio,
                    },
                );
                if self.held.len() > MAX_HELD {
                    self.release_first();
                }
            }
        }
    }

    /// Writes everything that can no longer be overtaken at this instant of the capture.
    pub(crate) fn advance(&mut self, now: i64) {
        let until = now - REORDER_WINDOW_NS;
        while self
            .held
            .first_key_value()
            .is_some_and(|(key, _)| key.0 < until)
        {
            self.release_first();
        }
        self.released = self.released.max(until);
    }

    /// Writes everything.
    pub(crate) fn drain(&mut self) {
        while !self.held.is_empty() {
            self.release_first();
        }
    }

    fn release_first(&mut self) {
        let Some((key, held)) = self.held.pop_first() else {
            return;
        };
        self.released = self.released.max(key.0);
        match held.audio {
            Some((codec, payload)) => self.release(key, held.segment, held.tick, codec, &payload),
            None => {
                if let Some(cursor) = &mut self.cursor {
                    cursor.interrupted = true;
                }
            }
        }
    }

    /// Whether the source has changed, the older one still talks, and the newer one talks too: then the newer one has the floor.
    fn is_talked_over(&self, stream: usize, from: i64, to: i64) -> bool {
        let newer = |(_, other, _): &Key, held: &Held| *other > stream && held.audio.is_some();
        self.cursor.as_ref().is_some_and(|cursor| {
            let upcoming = (from, 0, i64::MIN)..(to, 0, i64::MIN);
            stream < cursor.stream
                && (from < cursor.end
                    || self
                        .held
                        .range(upcoming)
                        .any(|(key, held)| newer(key, held)))
        })
    }

    fn release(&mut self, key: Key, segment: usize, tick: i64, codec: Codec, payload: &[u8]) {
        let (place, stream, sequence) = key;
        let ticks = i64::from(codec.ticks(payload)) * ticks_per_rtp(codec);
        if self.is_talked_over(stream, place, place + ns_of_ticks(ticks)) {
            self.report.superseded += u64::from(place >= self.start);
            return;
        }
        self.note_gap(key);
        if payload.is_empty() {
            self.pass_over(key, segment, tick, codec);
            return;
        }
        let continues = self.continues(stream, segment, codec);
        let missing = continues.then(|| self.missing(sequence, tick, codec));
        // A decoder that missed a long stretch knows nothing of the sender's state any more: what it would make of it is a bang.
        let keeps = self.cursor.as_ref().is_some_and(|cursor| {
            let astray = missing == Some(Missing::Silence) && sequence > cursor.sequence + 1;
            cursor.stream == stream && !astray
        });
        let mut decoder = match self.decoder.take() {
            Some(decoder) if keeps && decoder.codec() == codec => decoder,
            _ => Decoder::new(codec),
        };
        let mut covered = Vec::new();
        if let Some(Missing::Packets(samples)) = missing {
            decoder.conceal(samples, payload, &mut covered);
        }
        let mut pcm = Vec::with_capacity(payload.len() * 2);
        let invalid = decoder.invalid();
        decoder.decode(payload, &mut pcm);
        if place >= self.start {
            self.report.invalid += decoder.invalid() - invalid;
        }
        self.decoder = Some(decoder);
        let target = samples_of(place - self.start, rate(codec)) - codec.lag();
        let position = if let Some(missing) = missing {
            self.continued(missing, codec, target, covered, &mut pcm)
        } else {
            Some(self.begin(stream, segment, codec, target, &mut pcm))
        };
        if let Some(position) = position {
            let misplaced = ns_of((target - position).abs(), rate(codec));
            self.report.misalign(misplaced);
            self.write(codec, position, &pcm);
            let end_position = position + pcm.len() as i64;
            self.cursor = Some(Cursor {
                stream,
                segment,
                ssrc: self.ssrcs[stream],
                codec,
                end_tick: tick + ticks,
                sequence,
                end: self.start + ns_of(end_position, rate(codec)),
                end_position,
                interrupted: false,
            });
        }
    }

    fn write(&mut self, codec: Codec, position: i64, pcm: &[i16]) {
        let lane = if codec.is_wideband() {
            &mut self.wide
        } else {
            &mut self.narrow
        };
        let last = (self.end - self.start) * rate(codec) / 1_000_000_000 + 1;
        let room = usize::try_from((last - position).max(0)).unwrap_or(usize::MAX);
        let within = &pcm[..pcm.len().min(room)];
        lane.write(position, within);
        let first = (-position).clamp(0, within.len() as i64);
        self.written_ns += ns_of(within.len() as i64 - first, rate(codec));
        let keep = REMEMBERED_MS * codec.sample_rate() as usize / 1000;
        self.recent.extend_from_slice(pcm);
        self.recent.drain(..self.recent.len().saturating_sub(keep));
    }

    /// Takes one second off both lanes; gives the samples that have become ready.
    pub(crate) fn take_second(&mut self, out: &mut Vec<i16>) {
        self.narrow.take_second(&mut self.narrow_out);
        self.wide.take_second(&mut self.wide_out);
        let ready = self.narrow_out.len().min(self.wide_out.len());
        for (narrow, wide) in self.narrow_out[..ready].iter_mut().zip(&self.wide_out) {
            *narrow = narrow.saturating_add(*wide);
        }
        out.extend_from_slice(&self.narrow_out[..ready]);
        self.narrow_out.drain(..ready);
        self.wide_out.drain(..ready);
    }

    /// When telephone events said that a key was pressed.
    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    #[cfg(test)]
    pub(crate) fn held_packets(&self) -> usize {
        self.held.len()
    }

    pub(crate) fn report(&self) -> LegReport {
        let mut report = self.report.clone();
        report.lost = self.tally.lost();
        report.gaps_ms = self.gaps.spans();
        let whole = self.end - self.start;
        let silent = whole - self.written_ns.min(whole);
        report.silence = Duration::from_nanos(silent.cast_unsigned());
        report
    }
}
