//! What all spools owe together: reads the node's own, and asks every other delivery role on the bus. Shows and orders nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use callreel_proto::{Exchange, Owed, OwedReq, OwedResp};
use tokio::time::Instant;

use crate::{
    Shared,
    refusal::{Refusal, Why},
};

/// How long a delivery role may take to answer: it reads all tickets of its spool, and a backlog of a hundred thousand takes
/// seconds.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked whether those who have not answered still live.
const LOOK: Duration = Duration::from_secs(1);

/// What is owed anywhere, as far as it was told.
#[derive(Debug, Default)]
pub(crate) struct Owing {
    /// The oldest, not more than were asked for.
    pub(crate) tickets: Vec<Owed>,
    /// The key of the first that had no room.
    pub(crate) next: Option<String>,
    /// The receivers that are left alone, as their deliveries tell of them.
    pub(crate) receivers: Vec<serde_json::Map<String, serde_json::Value>>,
    /// Nodes that deliver and have not answered: what they owe is missing here.
    pub(crate) silent: BTreeSet<String>,
}

/// What is owed anywhere.
pub(crate) async fn gather(shared: &Shared, asked: OwedReq) -> Result<Owing, Refusal> {
    let mut answers = vec![own(shared, asked.clone()).await?];
    let mut silent = BTreeSet::new();
    if asked.recording_id.is_none() || answers[0].tickets.is_empty() {
        silent = others(shared, asked.clone(), &mut answers).await;
    }
    let size = usize::try_from(asked.page_size).unwrap_or(usize::MAX);
    let size = if asked.recording_id.is_some() {
        1
    } else {
        size
    };
    Ok(Owing {
        silent,
        ..merged(answers, size)
    })
}

/// What the spool of this node owes; that of a node without one is empty.
async fn own(shared: &Shared, asked: OwedReq) -> Result<OwedResp, Refusal> {
    let spool = shared.spool.clone();
    let read = tokio::task::spawn_blocking(move || spool.owed(&asked)).await;
    let broken = |e| Refusal::new(Why::Broken, format!("reading the spool failed: {e}"));
    Ok(read.map_err(broken)??)
}

/// Asks the other nodes that deliver; those that live and have not answered are named.
async fn others(shared: &Shared, asked: OwedReq, answers: &mut Vec<OwedResp>) -> BTreeSet<String> {
    let deliver = || {
        let mut nodes = shared.nodes.with("delivery");
        nodes.remove(&shared.node);
        nodes
    };
    let mut silent = deliver();
    if silent.is_empty() {
        return silent;
    }
    let one = asked.recording_id.is_some();
    let asking = shared
        .asker
        .ask(Exchange::Kapps, OwedReq::KEY, asked.into_envelope());
    let Ok(mut told) = asking.await else {
        return silent;
    };
    let until = Instant::now() + PATIENCE;
    while !silent.is_empty() && Instant::now() < until {
        let look = until.min(Instant::now() + LOOK);
        let Some(answer) = told.next::<OwedResp>(look).await else {
            // Who has died meanwhile is not waited for.
            let living = deliver();
            silent.retain(|node| living.contains(node));
            continue;
        };
        silent.remove(&answer.headers.node);
        let found = one && !answer.body.tickets.is_empty();
        answers.push(answer.body);
        if found {
            silent.clear();
        }
    }
    silent
}

/// The answers as one. Each has the oldest of its spool, so that nothing up to the first key that anybody left out is missing.
/// Two nodes at one spool tell of the same tickets.
fn merged(answers: Vec<OwedResp>, size: usize) -> Owing {
    let mut tickets = BTreeMap::new();
    let mut owing = Owing::default();
    for answer in answers {
        owing.next = [owing.next, answer.next].into_iter().flatten().min();
        for receiver in answer.receivers {
            if !owing.receivers.contains(&receiver) {
                owing.receivers.push(receiver);
            }
        }
        let keyed = answer.tickets.into_iter();
        tickets.extend(keyed.map(|ticket| (ticket.key.clone(), ticket)));
    }
    let cut = tickets.keys().nth(size).cloned();
    owing.next = [owing.next, cut].into_iter().flatten().min();
    let before = |key: &String| owing.next.as_ref().is_none_or(|next| key < next);
    owing.tickets = tickets
        .into_iter()
        .filter(|(key, _)| before(key))
        .map(|(_, ticket)| ticket)
        .collect();
    owing
}

#[cfg(test)]
mod tests {
    use callreel_proto::{AccountId, RecordingId, RecordingState, Utc};

    use super::*;

    fn answer(keys: &[&str], next: Option<&str>) -> OwedResp {
        let ticket = |key: &&str| Owed {
            key: (*key).to_owned(),
            id: RecordingId::random(Utc::from_unix_ms(0)),
            account_id: AccountId::parse(&"a".repeat(32)).unwrap(),
            state: RecordingState::Ended,
            hold: None,
            rest: serde_json::Map::new(),
        };
        OwedResp {
            tickets: keys.iter().map(ticket).collect(),
            next: next.map(str::to_owned),
            receivers: Vec::new(),
        }
    }

    #[test]
    fn a_page_of_several_spools_is_that_of_one_with_all_of_it() {
        for (answers, keys, next) in [
            (vec![answer(&["1", "4"], None)], &["1", "4"][..], None),
            (
                vec![answer(&["1", "4"], Some("6")), answer(&["2"], None)],
                &["1", "2"],
                Some("4"),
            ),
            (
                vec![
                    answer(&["5", "8"], Some("9")),
                    answer(&["1", "2"], Some("3")),
                ],
                &["1", "2"],
                Some("3"),
            ),
            // Two nodes at one spool.
            (
                vec![answer(&["1", "2"], None), answer(&["1", "2"], None)],
                &["1", "2"],
                None,
            ),
            (vec![answer(&[], None)], &[], None),
        ] {
            let page = merged(answers, 2);
            let told: Vec<&str> = page.tickets.iter().map(|t| t.key.as_str()).collect();
            assert_eq!((told.as_slice(), page.next.as_deref()), (keys, next));
        }
    }
}
