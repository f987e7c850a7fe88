//! The account that is kept of every recording: what each death left on the disk, and in the end where each of them is.

use std::collections::{BTreeMap, BTreeSet};

use callreel_proto::Utc;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{
    load::Made,
    receiver::{Arrival, Moody},
};
use crate::support::{
    audio::{Heard, listen},
    node::Node,
};

/// What kills fell into.
#[derive(Debug, Default)]
pub(super) struct Struck {
    pub(super) starting: u32,
    pub(super) growing: u32,
    pub(super) rendering: u32,
    pub(super) uploading: u32,
    pub(super) backing_off: u32,
}

impl Struck {
    /// How many fell into what was hit least.
    pub(super) fn least(&self) -> u32 {
        let all = [
            self.starting,
            self.growing,
            self.rendering,
            self.uploading,
            self.backing_off,
        ];
        all.into_iter().fold(u32::MAX, u32::min)
    }
}

/// A recording as the disk showed it.
#[derive(Debug)]
struct Owed {
    call_id: String,
    /// Where it is to go, as JSON: null if into the account's database.
    url: String,
    /// The life at whose end it was delivered or dropped, as far as the disk knew.
    noted: Option<u32>,
    /// Whether a life ended in the middle of it.
    cut: bool,
}

/// What the disk has ever shown.
#[derive(Debug, Default)]
pub(super) struct Account {
    owed: BTreeMap<String, Owed>,
}

impl Account {
    /// Looks at the disk between two lives.
    pub(super) fn observe(&mut self, node: &Node, life: u32, struck: &mut Struck) {
        let now = Utc::now().unix_ms();
        let tickets = node.tickets();
        let mut there = BTreeSet::new();
        let (mut growing, mut backing_off) = (false, false);
        for ticket in &tickets {
            let (id, state) = (text(ticket, "recording_id"), text(ticket, "state"));
            let owed = self.owed.entry(id.clone()).or_insert_with(|| Owed {
                call_id: text(ticket, "call_id"),
                url: ticket["destination"]["url"].to_string(),
                noted: None,
                cut: false,
            });
            let delivery = &ticket["delivery"];
            let next = delivery["next_attempt_at"].as_i64();
            backing_off |= state == "delivering" && next > Some(now);
            growing |= state == "growing";
            owed.cut |= state == "growing";
            let over = ["delivered", "discarded"].contains(&&*state);
            if !over && delivery["uploaded_at"].is_null() {
                there.insert(id);
            }
        }
        for (id, owed) in &mut self.owed {
            if !there.contains(id) {
                owed.noted.get_or_insert(life);
            }
        }
        struck.growing += u32::from(growing);
        struck.backing_off += u32::from(backing_off);
    }

    /// Whether the disk has shown anything of a call.
    fn knows(&self, call_id: &str) -> bool {
        self.owed.values().any(|owed| owed.call_id == call_id)
    }

    /// Settles the account: where is each recording? Gives how many were delivered.
    pub(super) fn settle(
        &self,
        node: &Node,
        receiver: &Moody,
        calls: &BTreeMap<String, Made>,
    ) -> usize {
        let arrivals = receiver.arrivals();
        let mut by_key: BTreeMap<&str, Vec<&Arrival>> = BTreeMap::new();
        for arrival in &arrivals {
            by_key.entry(&arrival.key).or_default().push(arrival);
        }
        let manifest = Manifest::read(node);
        let mut delivered = BTreeSet::new();
        for (id, arrivals) in &by_key {
            self.check_arrivals(id, arrivals);
            if arrivals.iter().any(|arrival| arrival.accepted) {
                let (call_id, body) = (call_of(&arrivals[0].name), receiver.body(id));
                manifest.tells_of(id, &body);
                check_audio(&call_id, &listen(&body), calls);
                delivered.insert(call_id);
            }
        }
        for (doc, audio) in &node.stored("call_recording") {
            let call_id = text(doc, "call_id");
            manifest.tells_of(&text(doc, "_id"), audio);
            check_audio(&call_id, &listen(audio), calls);
            assert!(delivered.insert(call_id), "stored and sent: {doc}");
        }
        for (id, owed) in &self.owed {
            assert!(
                delivered.contains(&owed.call_id) || manifest.dropped.contains(id),
                "{id} was lost: {owed:?}; the log says of it:\n{}",
                lines_of(&node.log(), id)
            );
        }
        let completed = calls.iter().filter(|(_, made)| made.completed);
        for (call_id, made) in completed {
            assert!(
                delivered.contains(call_id),
                "{call_id} was lost: {made:?}; seen on disk: {}",
                self.knows(call_id)
            );
        }
        self.check_documents(node, delivered.len());
        delivered.len()
    }

    /// One recording's arrivals: always the same bytes under the same name, and none after the node knew better.
    fn check_arrivals(&self, id: &str, arrivals: &[&Arrival]) {
        let first = arrivals[0];
        let mut accepted_by = BTreeSet::new();
        for arrival in arrivals {
            assert_eq!(arrival.digest, arrival.declared, "{id}: other bytes came");
            assert_eq!(
                arrival.digest, first.digest,
                "{id}: other bytes than before"
            );
            assert_eq!(arrival.name, first.name, "{id}: another name than before");
            let once = !arrival.accepted || accepted_by.insert(arrival.life);
            assert!(
                once,
                "{id} was sent again after it was taken: {arrivals:#?}"
            );
            let Some(owed) = self.owed.get(id) else {
                continue;
            };
            let promised = owed.url.trim_matches('"').rsplit('/').next();
            assert_eq!(
                Some(&*arrival.name),
                promised,
                "{id}: another name than promised"
            );
            assert!(
                owed.noted.is_none_or(|noted| arrival.life <= noted),
                "{id} was sent again although that was noted: {owed:?} {arrivals:#?}"
            );
        }
    }

    /// Each delivered recording has its document, and it says how the recording ended.
    fn check_documents(&self, node: &Node, delivered: usize) {
        let docs = node.documents("call_recording");
        assert_eq!(docs.len(), delivered, "one document for each recording");
        let causes: BTreeMap<String, String> = docs
            .iter()
            .map(|doc| (text(doc, "_id"), text(doc, "completion_cause")))
            .collect();
        let cut: Vec<_> = self.owed.iter().filter(|(_, owed)| owed.cut).collect();
        let interrupted = cut.iter().filter(|(id, _)| {
            let cause = causes.get(*id).map(String::as_str);
            // The journal may have had its end already, and the ticket not.
            assert!(
                matches!(cause, None | Some("interrupted" | "hangup")),
                "{id} was cut: {cause:?}"
            );
            cause == Some("interrupted")
        });
        assert!(interrupted.count() * 2 > cut.len(), "{causes:#?}");
    }
}

/// What the manifest says became of recordings.
struct Manifest {
    /// The checksums of each delivered one.
    delivered: BTreeSet<(String, String)>,
    /// Those that a rule dropped, and it says which.
    dropped: BTreeSet<String>,
}

impl Manifest {
    fn read(node: &Node) -> Self {
        let mut read = Self {
            delivered: BTreeSet::new(),
            dropped: BTreeSet::new(),
        };
        for line in node.manifest() {
            // A kill in the middle of a line leaves one that tells of its repair, and of no recording.
            let id = || text(&line, "recording_id");
            match &*text(&line, "what") {
                "delivered" => drop(read.delivered.insert((id(), text(&line, "sha256")))),
                "discarded" if !text(&line, "rule").is_empty() => drop(read.dropped.insert(id())),
                _ => {}
            }
        }
        read
    }

    fn tells_of(&self, id: &str, body: &[u8]) {
        let line = (id.to_owned(), hex::encode(Sha256::digest(body)));
        assert!(
            self.delivered.contains(&line),
            "the manifest does not say that {id} was delivered"
        );
    }
}

fn lines_of(log: &str, id: &str) -> String {
    let lines = log.lines().filter(|line| line.contains(id));
    lines.collect::<Vec<_>>().join("\n")
}

fn text(doc: &Value, key: &str) -> String {
    let text = doc[key].as_str();
    text.unwrap_or_else(|| panic!("no {key} in {doc}"))
        .to_owned()
}

/// The call whose file this is.
fn call_of(name: &str) -> String {
    let call = name.strip_prefix("call_recording_");
    let call = call.and_then(|call| call.rsplit_once('.'));
    call.unwrap_or_else(|| panic!("{name}"))
        .0
        .replace("%40", "@")
}

/// The file is this call's and no other's, and as long as the call was.
fn check_audio(call_id: &str, heard: &Heard, calls: &BTreeMap<String, Made>) {
    let made = calls.get(call_id);
    let made = made.unwrap_or_else(|| panic!("nobody made the call {call_id}"));
    let share = heard.share_of(0, made.hz);
    assert!(
        share.is_none_or(|share| share > 0.5),
        "{call_id} is not what is heard in its file: {share:?} of {made:?}"
    );
    let seconds = heard.seconds();
    let expected = f64::from(made.ms) / 1000.0;
    // A node that has just started among others takes so long, at the most, from the answer to the recording.
    assert!(
        !made.completed || seconds > expected - 0.6,
        "{call_id} has {seconds} s: {made:?}"
    );
}
