//! `callreel demo`: a node, two phones and a receiver on this machine; one recorded call; and a judgement of the file
//! that arrives. Nothing in it is simulated.

mod account;
mod conversation;
mod picture;
mod script;
mod stage;
#[cfg(test)]
mod tests;
mod verdict;
mod watcher;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, bail};
use callreel_media::{Codec, Pcm, read_audio};
use callreel_proto::{AudioFormat, RecordingFact};
use tempfile::TempDir;

use crate::{
    correlation::find,
    phone::{Answering, Phone, Setting},
    receive::{Arrival, Receiver},
    steps::{Mark, Steps, size},
};
use account::{Account, EXTENSION, REALM};
use conversation::Held;
use script::{Party, Script, Turn};
use stage::Stage;
use verdict::{Finding, Said, Span, judge};
use watcher::Watcher;

/// Ben lets it ring this long.
const RINGING: Duration = Duration::from_secs(1);
/// Encoding and delivering a quarter of a minute takes well below a second; a busy machine gets more.
const DELIVERY_PATIENCE: Duration = Duration::from_secs(20);
/// The last notices follow within milliseconds.
const NOTICE_PATIENCE: Duration = Duration::from_secs(5);
/// Wide enough to tell the lines apart, narrow enough for a terminal of 80 columns.
const PICTURE_COLUMNS: usize = 46;
/// What a shell sees of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;
/// A free port of the loopback interface.
const ANY_LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// `callreel demo`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Leave the node up afterwards, with Ben at his phone, until Ctrl-C
    #[arg(long)]
    keep: bool,
    /// Keep spool, store and the delivered file in this folder; without it they are removed at the end
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Format of the recording: mp3 or wav
    #[arg(long, value_name = "FORMAT", default_value = "mp3")]
    format: AudioFormat,
}

/// Where the demo's files are.
struct Folder {
    root: PathBuf,
    /// Removes the folder when the demo ends.
    temporary: Option<TempDir>,
}

impl Folder {
    fn open(out: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(out) = out {
            std::fs::create_dir_all(out)
                .with_context(|| format!("cannot make the folder {}", out.display()))?;
            return Ok(Self {
                root: out.to_owned(),
                temporary: None,
            });
        }
        let temporary = tempfile::Builder::new()
            .prefix("callreel-demo-")
            .tempdir()
            .context("cannot make a temporary folder; name one by --out")?;
        Ok(Self {
            root: temporary.path().to_owned(),
            temporary: Some(temporary),
        })
    }

    /// Whether it outlives the demo.
    fn stays(&self) -> bool {
        self.temporary.is_none()
    }

    fn place(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}

/// Everything on the stage.
struct Cast {
    steps: Steps,
    stage: Stage,
    receiver: Receiver,
    account: Account,
    format: AudioFormat,
    /// Whether everything held; `None` until the file has been judged.
    verdict: Option<bool>,
}

/// Plays the demo. The exit code is a success only if the file arrived and is what was spoken.
///
/// # Errors
/// Something could not even start, or the call did not come about.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let steps = Steps::start();
    steps.title("callreel demo: one recorded call, from the first ring to the delivered file");
    let folder = Folder::open(args.out.as_deref())?;
    let receiver = Receiver::open(&folder.place("received"), ANY_LOOPBACK).await?;
    let account = Account::new(&format!("http://{}", receiver.address()), args.format);
    account
        .write(&folder.place("import"))
        .context("cannot write the demo's account")?;
    let stage = Stage::open(&folder.place("data")).await?;
    let mut cast = Cast {
        steps,
        stage,
        receiver,
        account,
        format: args.format,
        verdict: None,
    };
    let outcome = tokio::select! {
        outcome = Box::pin(cast.perform(&folder, args.keep)) => outcome,
        pressed = tokio::signal::ctrl_c() => {
            cast.steps.step(Mark::Waiting, "stopping", "by Ctrl-C");
            pressed.context("Ctrl-C")
        }
    };
    let verdict = cast.verdict;
    cast.stage.stop().await;
    cast.receiver.stop().await;
    outcome?;
    Ok(match verdict {
        Some(true) => ExitCode::SUCCESS,
        Some(false) => ExitCode::FAILURE,
        None => ExitCode::from(INTERRUPTED),
    })
}

impl Cast {
    async fn perform(&mut self, folder: &Folder, keep: bool) -> anyhow::Result<()> {
        let preparing = tokio::task::spawn_blocking(Script::prepare);
        self.introduce(folder).await?;
        let watcher = Watcher::start(&self.stage.bus, self.steps.clone()).await?;
        let ann = self.phone(Party::Caller, Answering::Never).await?;
        let ben = self.phone(Party::Callee, Answering::After(RINGING)).await?;
        let script = preparing.await.context("no sound could be prepared")?;
        if let Some(why) = &script.toneless {
            self.steps
                .step(Mark::Waiting, "tones for words", format!("speech: {why}"));
        }
        let held = conversation::hold(&self.steps, &ann, &ben, &script).await?;
        let arrival = self.arrival(&held, &watcher).await?;
        let announced = watcher
            .until(&held.call_id, RecordingFact::Started, NOTICE_PATIENCE)
            .await?
            .into_std();
        watcher
            .until(&held.call_id, RecordingFact::Delivered, NOTICE_PATIENCE)
            .await?;
        let channels = self.decode(&arrival)?;
        self.draw(&channels);
        let findings = self.findings(&channels, &arrival, &held, announced);
        self.verdict = Some(self.show(&findings));
        if folder.stays() || keep {
            self.steps.plain(&format!("  {}", arrival.file.display()));
        } else {
            self.steps.plain(
                "  Its files are removed now; --out DIR keeps them, --keep leaves the node up.",
            );
        }
        ann.stop().await;
        if keep {
            self.stay(&ben, &script, folder).await;
        }
        ben.stop().await;
        Ok(())
    }

    async fn introduce(&self, folder: &Folder) -> anyhow::Result<()> {
        self.steps.step(
            Mark::Done,
            "a node is up",
            format!("SIP at {}, HTTP at {}", self.stage.sip, self.stage.api),
        );
        self.steps.step(
            Mark::Done,
            "a receiver is up",
            format!("http://{}", self.receiver.address()),
        );
        let report = self.stage.import(&folder.place("import")).await?;
        self.steps
            .step(Mark::Done, "account imported", format!("{REALM}: {report}"));
        Ok(())
    }

    async fn phone(&self, who: Party, answering: Answering) -> anyhow::Result<Phone> {
        let phone = Phone::start(Setting {
            identity: self.account.identity(who),
            server: self.stage.sip,
            codecs: vec![Codec::Pcmu],
            answering,
        })
        .await?;
        let granted_s = phone.register().await?;
        self.steps.step(
            Mark::Done,
            &format!("{} registers", who.name()),
            format!("from {} by digest, for {granted_s} s", phone.address()),
        );
        Ok(phone)
    }

    /// Waits for the call's file; a bad end of the recording is told at once.
    async fn arrival(&mut self, held: &Held, watcher: &Watcher) -> anyhow::Result<Arrival> {
        let name = format!("/call_recording_{}.{}", held.call_id, self.format);
        let file = async {
            while let Some(arrival) = self.receiver.next_arrival().await {
                if decoded(&arrival.request).ends_with(&name) {
                    return Ok(arrival);
                }
            }
            bail!("the receiver has stopped")
        };
        // Resolves early only when the recording came to a bad end.
        let trouble = async {
            let delivered = watcher
                .until(&held.call_id, RecordingFact::Delivered, DELIVERY_PATIENCE)
                .await;
            match delivered {
                Ok(_) => std::future::pending().await,
                Err(error) => error,
            }
        };
        let arrival = tokio::select! {
            arrival = tokio::time::timeout(DELIVERY_PATIENCE, file) => arrival
                .with_context(|| format!("no file arrived within {} s", DELIVERY_PATIENCE.as_secs()))??,
            error = trouble => return Err(error),
        };
        let file = arrival.request.rsplit('/').next().unwrap_or_default();
        self.steps
            .step(Mark::Good, "the file arrives", format!("…/{file}"));
        self.steps.more(format!(
            "{} by HTTP {}, {}",
            size(arrival.bytes),
            arrival.method,
            arrival.content_type.as_deref().unwrap_or("of no type")
        ));
        Ok(arrival)
    }

    fn decode(&self, arrival: &Arrival) -> anyhow::Result<Vec<Pcm>> {
        let bytes = std::fs::read(&arrival.file)
            .with_context(|| format!("cannot read {}", arrival.file.display()))?;
        read_audio(bytes, Some(self.format.extension()))
            .context("the file that arrived cannot be decoded")
    }

    /// Shows who spoke when.
    fn draw(&self, channels: &[Pcm]) {
        for (channel, name) in channels.iter().zip(["left", "right"]) {
            let picture = picture::bars(&channel.samples, PICTURE_COLUMNS);
            self.steps.step(Mark::Voice, name, picture);
        }
    }

    fn findings(
        &self,
        channels: &[Pcm],
        arrival: &Arrival,
        held: &Held,
        announced: std::time::Instant,
    ) -> Vec<Finding> {
        let said: Vec<Said> = held
            .spoken
            .iter()
            .map(|spoken| Said {
                who: spoken.line.who,
                sound: spoken.line.sound.clone(),
                at: spoken.played.started.saturating_duration_since(announced),
                alone: spoken.alone,
            })
            .collect();
        let span = Span {
            least: held.hung_up.saturating_duration_since(announced),
            most: held.hung_up.saturating_duration_since(held.invited),
        };
        let mut findings = vec![self.request_finding(arrival, held)];
        findings.push(live(held));
        findings.extend(judge(channels, &said, span));
        findings
    }

    /// The request was the one the mission asks for.
    fn request_finding(&self, arrival: &Arrival, held: &Held) -> Finding {
        let wanted = format!(
            "{}/call_recording_{}.{}",
            self.account.flow_url(),
            held.call_id,
            self.format
        );
        let got = format!(
            "http://{}{}",
            self.receiver.address(),
            decoded(&arrival.request)
        );
        let kind = arrival.content_type.as_deref().unwrap_or("no type");
        Finding {
            holds: got == wanted
                && arrival.method == axum::http::Method::PUT
                && kind == self.format.content_type(),
            what: "request".to_owned(),
            detail: format!(
                "{} of {kind} to URL/call_recording_CALL_ID.{}",
                arrival.method, self.format
            ),
        }
    }

    /// Prints the findings and the verdict.
    fn show(&self, findings: &[Finding]) -> bool {
        for finding in findings {
            let mark = if finding.holds { Mark::Good } else { Mark::Bad };
            self.steps.step(mark, &finding.what, &finding.detail);
        }
        let broken: Vec<&str> = findings
            .iter()
            .filter(|finding| !finding.holds)
            .map(|finding| finding.what.as_str())
            .collect();
        self.steps.plain("");
        self.steps.title(&if broken.is_empty() {
            "The recording is what was spoken.".to_owned()
        } else {
            format!(
                "The recording is NOT what was spoken; see: {}.",
                broken.join(", ")
            )
        });
        broken.is_empty()
    }

    /// Keeps everything up, with Ben at his phone, until the caller of this future drops it (Ctrl-C).
    async fn stay(&mut self, ben: &Phone, script: &Script, folder: &Folder) {
        let identity = self.account.identity(Party::Caller);
        let (sip, api, account) = (self.stage.sip, self.stage.api, self.account.id());
        self.steps.plain("");
        self.steps
            .title("The node stays up; Ctrl-C stops it. Look at");
        self.steps
            .plain(&format!("  http://{api}/v2/accounts/{account}/recordings"));
        self.steps.plain(&format!("  http://{api}/deliveries"));
        self.steps.plain(&format!("  {}", folder.root.display()));
        self.steps.title("or call Ben yourself:");
        let program = std::env::args().next().unwrap_or("callreel".to_owned());
        self.steps.plain(&format!(
            "  {program} dial sip:{EXTENSION}@{sip} --realm {REALM} --user {} --password {} --seconds 8",
            identity.user,
            identity.password.unwrap_or_default()
        ));
        loop {
            tokio::select! {
                call = ben.next_call() => {
                    let Some(call) = call else { return };
                    tokio::spawn(greet(call, script.clone()));
                }
                arrival = self.receiver.next_arrival() => {
                    let Some(arrival) = arrival else { return };
                    let detail = format!("{} · {}", arrival.file.display(), size(arrival.bytes));
                    self.steps.step(Mark::Good, "a file arrives", detail);
                }
            }
        }
    }
}

/// Ben answers and says his lines to whoever called.
async fn greet(call: crate::phone::Call, script: Script) {
    if call.answered().await.is_err() {
        return;
    }
    for turn in &script.turns {
        if let Turn::Alone(line) = turn
            && line.who == Party::Callee
            && call.say(&line.sound).await.is_err()
        {
            return;
        }
    }
}

/// Both heard each other while the call lived.
fn live(held: &Held) -> Finding {
    let worst = held
        .spoken
        .iter()
        .map(|spoken| {
            let heard = match spoken.line.who {
                Party::Caller => &held.heard_by_callee,
                Party::Callee => &held.heard_by_caller,
            };
            let heard: Pcm = heard.pcm.resampled(script::RATE);
            find(&spoken.line.sound.samples, &heard.samples).map_or(0.0, |m| m.score)
        })
        .fold(1.0, f64::min);
    Finding {
        holds: worst >= verdict::LEAST_LIKENESS,
        what: "on the line".to_owned(),
        detail: format!("both phones heard the other, likeness {worst:.3} or better"),
    }
}

fn decoded(path: &str) -> String {
    percent_encoding::percent_decode_str(path)
        .decode_utf8_lossy()
        .into_owned()
}
