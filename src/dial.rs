//! `callreel dial`: a test phone that calls somebody, plays a file, keeps what it hears. Its exit code says whether
//! anybody answered.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, anyhow};
use callreel_media::{Codec, Pcm, level, read_audio};
use rsipstack::sip::{Host, Scheme, Transport, Uri, uri::ParamsExt};

use crate::{
    phone::{Answering, Call, Ending, Identity, Phone, Setting},
    steps::{Mark, Steps, size},
};

/// Exit code when the call was placed and not answered; 1 is left to everything that went wrong before.
const NOT_ANSWERED: u8 = 3;
/// The registered port of SIP (RFC 3261 §19.1.2).
const SIP_PORT: u16 = 5060;

/// `callreel dial`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Whom to call: sip:USER@HOST:PORT
    target: String,
    /// Play this file (WAV or MP3) once answered; hang up after it unless --seconds says otherwise
    #[arg(long, value_name = "FILE")]
    play: Option<PathBuf>,
    /// Press these keys once answered (0-9, *, #, A-D), before the file is played
    #[arg(long, value_name = "DIGITS")]
    digits: Option<String>,
    /// Hang up so many seconds after the answer; without it the call lasts until the file ends, the other side hangs up, or Ctrl-C
    #[arg(long, value_name = "N")]
    seconds: Option<f64>,
    /// Write what was heard to this WAV file
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// SIP username to call as
    #[arg(long, value_name = "USER", default_value = "callreel")]
    user: String,
    /// Its password, for digest authentication
    #[arg(long, value_name = "PASSWORD")]
    password: Option<String>,
    /// SIP realm (domain) of both, if it is not HOST
    #[arg(long, value_name = "REALM")]
    realm: Option<String>,
    /// Codecs to offer, best first: PCMU, PCMA, G722, opus
    #[arg(
        long = "codec",
        value_name = "CODEC",
        value_delimiter = ',',
        default_value = "PCMU",
        value_parser = codec
    )]
    codecs: Vec<Codec>,
}

fn codec(name: &str) -> Result<Codec, String> {
    Codec::from_name(&name.to_ascii_uppercase())
        .ok_or_else(|| format!("{name:?} is not a codec; use PCMU, PCMA, G722 or opus"))
}

/// A SIP address taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    user: String,
    host: String,
    port: u16,
}

impl Target {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let wrong = || anyhow!("{text:?} is not a SIP address; write sip:USER@HOST:PORT");
        let uri = Uri::try_from(text)
            .ok()
            .filter(|uri| uri.scheme == Some(Scheme::Sip))
            .ok_or_else(wrong)?;
        if uri
            .transport()
            .is_some_and(|transport| *transport != Transport::Udp)
        {
            return Err(anyhow!("dial speaks SIP over UDP only"));
        }
        let user = uri
            .auth
            .map(|auth| auth.user)
            .filter(|user| !user.is_empty())
            .ok_or_else(wrong)?;
        Ok(Self {
            user,
            host: match uri.host_with_port.host {
                Host::Domain(name) => name.0,
                Host::IpAddr(ip) => ip.to_string(),
            },
            port: uri
                .host_with_port
                .port
                .map_or(SIP_PORT, |port| port.value()),
        })
    }

    async fn resolve(&self) -> anyhow::Result<SocketAddr> {
        tokio::net::lookup_host((self.host.as_str(), self.port))
            .await
            .with_context(|| format!("cannot find {}", self.host))?
            .next()
            .ok_or_else(|| anyhow!("{} has no address", self.host))
    }
}

/// Places the call and prints how it goes.
///
/// # Errors
/// The target or a file cannot be used, or no socket can be opened. A call nobody answers is no error but an exit code.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let target = Target::parse(&args.target)?;
    let clip = args.play.as_deref().map(read_clip).transpose()?;
    let phone = Phone::start(Setting {
        identity: Identity {
            user: args.user.clone(),
            realm: args.realm.clone().unwrap_or_else(|| target.host.clone()),
            password: args.password.clone(),
        },
        server: target.resolve().await?,
        codecs: args.codecs.clone(),
        answering: Answering::Refuse(486),
    })
    .await?;
    let steps = Steps::start();
    steps.step(
        Mark::Waiting,
        "calling",
        format!("{} as {}", args.target, args.user),
    );
    let call = phone.call(&target.user).await?;
    let answered = ring(&call, &steps).await;
    if answered {
        converse(&call, &args, clip.as_ref(), &steps).await?;
        report(&call, args.save.as_deref(), &steps)?;
    }
    phone.stop().await;
    Ok(if answered {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(NOT_ANSWERED)
    })
}

/// Waits for the answer; Ctrl-C gives up.
async fn ring(call: &Call, steps: &Steps) -> bool {
    let mut watch = call.watch();
    let mut told = false;
    loop {
        let now = watch.borrow_and_update().clone();
        if now.ringing.is_some() && !told {
            told = true;
            steps.step(Mark::Waiting, "ringing", "");
        }
        if let Some(answered) = now.answered {
            let remote = answered.remote;
            let rang = now.ringing.map_or(Duration::ZERO, |since| {
                answered.at.saturating_duration_since(since)
            });
            steps.step(
                Mark::Good,
                "answered",
                format!(
                    "after {:.1} s of ringing, {} with {}",
                    rang.as_secs_f64(),
                    remote.codec.name(),
                    remote.address
                ),
            );
            return true;
        }
        if let Some((_, ending)) = now.ended {
            steps.step(Mark::Bad, "not answered", explain(&ending));
            return false;
        }
        tokio::select! {
            _ = watch.changed() => {}
            _ = tokio::signal::ctrl_c() => {
                call.hang_up().await;
            }
        }
    }
}

/// Plays, presses, waits, hangs up.
async fn converse(
    call: &Call,
    args: &Args,
    clip: Option<&Pcm>,
    steps: &Steps,
) -> anyhow::Result<()> {
    let seconds = args
        .seconds
        .map(Duration::try_from_secs_f64)
        .transpose()
        .context("--seconds must be a time that can pass")?;
    let talk = async {
        if let Some(digits) = &args.digits {
            call.dial(digits).await?;
            steps.step(Mark::Voice, "keys pressed", digits);
        }
        if let Some(clip) = clip {
            steps.step(
                Mark::Voice,
                "playing",
                format!("{:.1} s", clip.duration().as_secs_f64()),
            );
            let played = call.say(clip).await?;
            let took = played.ended - played.started;
            steps.step(
                Mark::Done,
                "played",
                format!("in {:.1} s", took.as_secs_f64()),
            );
        }
        if clip.is_none() || seconds.is_some() {
            std::future::pending::<()>().await;
        }
        anyhow::Ok(())
    };
    let limit = async {
        match seconds {
            Some(seconds) => tokio::time::sleep(seconds).await,
            None => std::future::pending().await,
        }
    };
    let said = tokio::select! {
        said = talk => said,
        () = limit => Ok(()),
        _ = call.ended() => Ok(()),
        _ = tokio::signal::ctrl_c() => Ok(()),
    };
    call.hang_up().await;
    let (_, ending) = call.ended().await;
    steps.step(Mark::Done, "ended", explain(&ending));
    // A call the other side ended in the middle of a clip is a call all the same.
    match said {
        Err(error) if ending == Ending::Ours => Err(error),
        _ => Ok(()),
    }
}

fn explain(ending: &Ending) -> String {
    match ending {
        Ending::Ours => "we hung up".to_owned(),
        Ending::Theirs => "the other side hung up".to_owned(),
        Ending::Refused(code, reason) => format!("{code} {reason}"),
        Ending::Failed(why) => why.clone(),
    }
}

fn report(call: &Call, save: Option<&Path>, steps: &Steps) -> anyhow::Result<()> {
    let heard = call.heard();
    let mut detail = format!(
        "{:.1} s in {} packets, level {}",
        heard.pcm.duration().as_secs_f64(),
        heard.packets,
        level(&heard.pcm.samples)
    );
    if let (Some(began), Some(answered)) = (heard.began, call.progress().answered) {
        let late = began.saturating_duration_since(answered.at);
        detail.push_str(&format!(", from {} ms after the answer", late.as_millis()));
    }
    if !heard.digits.is_empty() {
        detail.push_str(&format!(", keys {}", heard.digits));
    }
    steps.step(Mark::Done, "heard", detail);
    if let Some(path) = save {
        write_wav(path, &heard.pcm).with_context(|| format!("cannot write {}", path.display()))?;
        let bytes = std::fs::metadata(path)?.len();
        steps.step(
            Mark::Done,
            "saved",
            format!("{} · {}", path.display(), size(bytes)),
        );
    }
    Ok(())
}

/// All channels of a file in one.
fn read_clip(path: &Path) -> anyhow::Result<Pcm> {
    let context = || format!("cannot play {}", path.display());
    let bytes = std::fs::read(path).with_context(context)?;
    let extension = path.extension().and_then(|extension| extension.to_str());
    let channels = read_audio(bytes, extension).with_context(context)?;
    let count = i32::try_from(channels.len()).unwrap_or(i32::MAX).max(1);
    let longest = channels.iter().map(|c| c.samples.len()).max().unwrap_or(0);
    let samples = (0..longest)
        .map(|n| {
            let sum: i32 = channels
                .iter()
                .filter_map(|channel| channel.samples.get(n))
                .map(|sample| i32::from(*sample))
                .sum();
            i16::try_from(sum / count).expect("a mean of 16-bit samples fits")
        })
        .collect();
    Ok(Pcm {
        sample_rate: channels.first().map_or(8000, |c| c.sample_rate),
        samples,
    })
}

/// A mono 16-bit WAV file.
fn write_wav(path: &Path, pcm: &Pcm) -> Result<(), hound::Error> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: pcm.sample_rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec)?;
    let frames = u32::try_from(pcm.samples.len()).expect("an hour of audio fits");
    let mut block = writer.get_i16_writer(frames);
    for sample in &pcm.samples {
        block.write_sample(*sample);
    }
    block.flush()?;
    writer.finalize()
}

#[cfg(test)]
mod tests;
