//! What a document tells of the audio itself: whose voice is where, what was masked and by whom, who heard that the call is
//! recorded, what was lost. Pure.

use callreel_proto::{AudioReport, Channels, Leg};
use callreel_spool::{Announcement, Mask, RenditionInfo, Source, Ticket};
use serde_json::{Map, Value, json};

#[cfg(test)]
mod tests;

/// Writes it into the document.
pub(super) fn describe(doc: &mut Map<String, Value>, ticket: &Ticket, rendition: &RenditionInfo) {
    let ruler = Ruler::of(ticket, rendition);
    place_legs(doc, ticket);
    let masks = ticket.masks();
    if !masks.is_empty() {
        let in_ms = |mask: &Mask| {
            let until = mask.until_ns.map(|ns| ruler.ms(ns));
            json!([ruler.ms(mask.from_ns), until])
        };
        doc.insert("masked_ms".into(), masks.iter().map(in_ms).collect());
        let whole = masks.iter().map(|mask| masked(&ruler, mask));
        doc.insert("masked".into(), whole.collect());
    }
    let announcements = ticket.announcements();
    if !announcements.is_empty() {
        let told = announcements.iter().map(|one| announced(&ruler, one));
        doc.insert("announcements".into(), told.collect());
    }
    let report = rendition.report.as_ref();
    if let Some(report) = report.filter(|report| !report.legs.is_empty()) {
        describe_gaps(doc, report);
    }
    if ticket.promise().redact_dtmf {
        let spans = report.into_iter().flat_map(|report| &report.redacted_ms);
        let spans = spans.map(|(from, until)| json!({"from_ms": from, "until_ms": until}));
        doc.insert("redacted".into(), spans.collect());
    }
}

fn describe_gaps(doc: &mut Map<String, Value>, report: &AudioReport) {
    let legs = report.legs.iter();
    let legs = legs.map(|(leg, audio)| (name(*leg).to_owned(), json!(audio)));
    doc.insert("gap_report".into(), Value::Object(legs.collect()));
    let us = u32::try_from(report.worst_misalignment_us).unwrap_or(u32::MAX);
    doc.insert(
        "worst_misalignment_ms".into(),
        (f64::from(us) / 1000.0).into(),
    );
}

fn name(leg: Leg) -> &'static str {
    match leg {
        Leg::A => "a",
        Leg::B => "b",
    }
}

/// Says of the legs the call knew where in the file they are heard. The Call-ID of the recorded leg is always known.
fn place_legs(doc: &mut Map<String, Value>, ticket: &Ticket) {
    let promise = ticket.promise();
    let mut legs = match doc.get_mut("legs").map(Value::take) {
        Some(Value::Object(legs)) => legs,
        _ => Map::from_iter([("a".to_owned(), json!({"call_id": promise.call_id}))]),
    };
    for leg in [Leg::A, Leg::B] {
        if let Some(Value::Object(known)) = legs.get_mut(name(leg)) {
            known.insert("channel".into(), channel(leg, promise.channels).into());
        }
    }
    doc.insert("legs".into(), Value::Object(legs));
}

/// Where a leg is heard.
fn channel(leg: Leg, channels: Channels) -> &'static str {
    match (channels, leg) {
        (Channels::Stereo, Leg::A) => "left",
        (Channels::Stereo, Leg::B) => "right",
        (Channels::Mono, _) | (Channels::Caller, Leg::A) | (Channels::Callee, Leg::B) => "only",
        (Channels::Caller, Leg::B) | (Channels::Callee, Leg::A) => "none",
    }
}

fn masked(ruler: &Ruler, mask: &Mask) -> Value {
    let mut told = ruler.span(mask.from_ns, mask.until_ns);
    let hands = [("by", &mask.by), ("ended_by", &mask.ended_by)];
    for (key, hand) in hands {
        if let Some(hand) = hand {
            told.insert(key.into(), json!(hand));
        }
    }
    Value::Object(told)
}

fn announced(ruler: &Ruler, one: &Announcement) -> Value {
    let mut told = Map::new();
    told.insert("what".into(), json!(one.what));
    told.insert("heard_by".into(), json!(one.heard_by));
    told.extend(ruler.span(one.from_ns, one.until_ns));
    Value::Object(told)
}

/// Measures instants of the ticket from the beginning of the file, never beyond its end.
struct Ruler {
    start_ns: u64,
    length_ns: u64,
    sample_rate: u64,
}

impl Ruler {
    fn of(ticket: &Ticket, rendition: &RenditionInfo) -> Self {
        let start_ns = ticket.promise().start_ns;
        let by_ticket = ticket.end_ns().unwrap_or(u64::MAX).saturating_sub(start_ns);
        Self {
            start_ns,
            length_ns: match ticket.promise().source {
                Source::Capture(_) => by_ticket,
                // The file is the switch's: its own length counts, not that of our watch.
                Source::Switch(_) => rendition.duration_ms.saturating_mul(1_000_000),
            },
            sample_rate: u64::from(rendition.sample_rate),
        }
    }

    fn offset_ns(&self, at_ns: u64) -> u64 {
        at_ns.saturating_sub(self.start_ns).min(self.length_ns)
    }

    fn ms(&self, at_ns: u64) -> u64 {
        self.offset_ns(at_ns) / 1_000_000
    }

    /// As masks are cut: from the sample that the first instant lies in to before the first one wholly behind the last.
    fn span(&self, from_ns: u64, until_ns: Option<u64>) -> Map<String, Value> {
        let position = |ns: u64| u128::from(self.offset_ns(ns)) * u128::from(self.sample_rate);
        let sample = |position: u128| u64::try_from(position).unwrap_or(u64::MAX);
        let first = sample(position(from_ns) / 1_000_000_000);
        let last = until_ns.map(|ns| sample(position(ns).div_ceil(1_000_000_000)));
        Map::from_iter([
            ("from_ms".to_owned(), json!(self.ms(from_ns))),
            ("until_ms".to_owned(), json!(until_ns.map(|ns| self.ms(ns)))),
            ("from_sample".to_owned(), json!(first)),
            ("until_sample".to_owned(), json!(last)),
        ])
    }
}
