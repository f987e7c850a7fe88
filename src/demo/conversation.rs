//! The demo's call: Ann dials, Ben answers, both speak, Ann hangs up. It knows phones, and nothing of recordings.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::{
    account::EXTENSION,
    script::{Line, Party, Script, Turn},
};
use crate::{
    phone::{Call, Ending, Heard, Phone, Played},
    steps::{Mark, Steps},
};

/// Whatever the switch does for a call on loopback, it does within this.
const PATIENCE: Duration = Duration::from_secs(10);
/// People pause between sentences, and before they hang up.
const PAUSE: Duration = Duration::from_millis(250);

/// A line and when it was said.
pub(super) struct Spoken {
    pub(super) line: Line,
    pub(super) played: Played,
    pub(super) alone: bool,
}

/// The call, once it is over.
pub(super) struct Held {
    pub(super) call_id: String,
    /// The INVITE was sent then.
    pub(super) invited: Instant,
    /// The BYE was sent then.
    pub(super) hung_up: Instant,
    pub(super) spoken: Vec<Spoken>,
    pub(super) heard_by_caller: Heard,
    pub(super) heard_by_callee: Heard,
}

/// Holds the conversation.
pub(super) async fn hold(
    steps: &Steps,
    ann: &Phone,
    ben: &Phone,
    script: &Script,
) -> anyhow::Result<Held> {
    steps.step(Mark::Waiting, "Ann dials", EXTENSION);
    let invited = Instant::now();
    let call = ann.call(EXTENSION).await?;
    let rung = within("Ben's phone did not ring", connect(&call, ben)).await??;
    steps.step(Mark::Waiting, "Ben's phone rings", "");
    let answered = within("nobody answered", call.answered())
        .await?
        .map_err(|ending| anyhow::anyhow!("the call was not answered: {}", reason(&ending)))?;
    let remote = answered.remote;
    steps.step(
        Mark::Good,
        "Ben answers",
        format!("{} through {}", remote.codec.name(), remote.address),
    );
    let spoken = talk(steps, &call, &rung, script).await?;
    tokio::time::sleep(PAUSE).await;
    let hung_up = call.hang_up().await;
    steps.step(Mark::Done, "Ann hangs up", "");
    let (_, ending) = within("Ben was not told of the end", rung.ended()).await?;
    if ending != Ending::Theirs {
        bail!("Ben's call ended by itself: {}", reason(&ending));
    }
    Ok(Held {
        call_id: call.id(),
        invited,
        hung_up,
        spoken,
        heard_by_caller: call.heard(),
        heard_by_callee: rung.heard(),
    })
}

async fn within<T>(otherwise: &'static str, what: impl Future<Output = T>) -> anyhow::Result<T> {
    tokio::time::timeout(PATIENCE, what)
        .await
        .with_context(|| format!("{otherwise} within {} s", PATIENCE.as_secs()))
}

/// Waits for the call to ring at the other phone, or to be refused.
async fn connect(call: &Call, ben: &Phone) -> anyhow::Result<Call> {
    tokio::select! {
        rung = ben.next_call() => rung.context("Ben's phone is off"),
        (_, ending) = call.ended() => bail!("the call did not get through: {}", reason(&ending)),
    }
}

fn reason(ending: &Ending) -> String {
    match ending {
        Ending::Ours | Ending::Theirs => "somebody hung up".to_owned(),
        Ending::Refused(code, phrase) => format!("{code} {phrase}"),
        Ending::Failed(why) => why.clone(),
    }
}

async fn talk(
    steps: &Steps,
    ann: &Call,
    ben: &Call,
    script: &Script,
) -> anyhow::Result<Vec<Spoken>> {
    let mut spoken = Vec::new();
    for turn in &script.turns {
        tokio::time::sleep(PAUSE).await;
        match turn {
            Turn::Alone(line) => {
                let by = match line.who {
                    Party::Caller => ann,
                    Party::Callee => ben,
                };
                announce(steps, line);
                spoken.push(say(by, line, true).await?);
            }
            Turn::Both(hers, his) => {
                announce(steps, hers);
                announce(steps, his);
                let (hers, his) = tokio::join!(say(ann, hers, false), say(ben, his, false));
                spoken.extend([hers?, his?]);
            }
        }
    }
    Ok(spoken)
}

fn announce(steps: &Steps, line: &Line) {
    let who = format!("{} says", line.who.name());
    steps.step(Mark::Voice, &who, format!("“{}”", line.text));
}

async fn say(call: &Call, line: &Line, alone: bool) -> anyhow::Result<Spoken> {
    let played = call
        .say(&line.sound)
        .await
        .with_context(|| format!("{} was cut off", line.who.name()))?;
    Ok(Spoken {
        line: line.clone(),
        played,
        alone,
    })
}
