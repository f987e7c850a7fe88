//! `callreel check`: whether spool, manifest and store are what they should be, and with `--repair` makes of them what can be made
//! without losing anything.

use std::{collections::HashSet, process::ExitCode};

use callreel_proto::RecordingId;
use callreel_spool::{Finding, Outbox, Space, Ticket, View as SpoolView};

use crate::{cli::Place, config::Config, defaults, node::open_store, serve::say};

/// Names the last line of the manifest.
pub(crate) fn head(place: &Place) -> anyhow::Result<ExitCode> {
    let head = SpoolView::open(place.load()?.spool_dir())
        .manifest()
        .head()?;
    say(&head.map_or_else(
        || "nothing is in the manifest\n".to_owned(),
        |head| format!("{} {}\n", head.seq, head.hash),
    ));
    Ok(ExitCode::SUCCESS)
}

/// Looks at everything, and says what is wrong and what a repair would do about it; with `repair`, does that first.
pub(crate) async fn run(place: &Place, repair: bool) -> anyhow::Result<ExitCode> {
    let config = place.load()?;
    let spool = SpoolView::open(config.spool_dir()).with_keys(config.spool.settings().keys()?);
    let store = (!config.store.is_embedded() || config.store_file().exists())
        .then(|| open_store(&config))
        .transpose()?;
    for writer in spool.writers()?.iter().filter(|writer| writer.lives) {
        let process = writer
            .process
            .map_or_else(|| "a process".to_owned(), |id| format!("process {id}"));
        say(&format!("writer {} lives: {process}\n", writer.id));
    }
    keys(&spool)?;
    if repair {
        if let Some(store) = &store {
            for done in store.repair().await? {
                say(&format!("repaired: {done}\n"));
            }
        }
        mend(&spool).await?;
    }
    let mut findings: Vec<String> = spool.check()?.iter().map(told).collect();
    for (ticket, reason) in spoilt(&spool).await? {
        let path = spool.rendition_path(&ticket).display().to_string();
        // Something may be told of it already.
        if !findings.iter().any(|finding| finding.starts_with(&path)) {
            let can = spool.may_render_again(&ticket);
            let finding = Finding {
                path: path.into(),
                words: reason,
                repair: can.then_some("have it rendered again"),
            };
            findings.push(told(&finding));
        }
    }
    findings.extend(room(&config));
    if let Some(store) = &store {
        findings.extend(store.check().await?);
        findings.extend(defaults::known_secret(&config, store).await);
    }
    for finding in &findings {
        say(&format!("{finding}\n"));
    }
    if findings.is_empty() {
        say("nothing wrong\n");
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}

fn told(finding: &Finding) -> String {
    match finding.repair {
        Some(repair) => format!("{finding} (`callreel check --repair` would {repair})"),
        None => finding.to_string(),
    }
}

/// Repairs the spool, and says what is no longer wrong.
async fn mend(spool: &SpoolView) -> anyhow::Result<()> {
    if !spool.dir().exists() {
        return Ok(());
    }
    let before = spool.check()?;
    let mut spoilt = spoilt(spool).await?;
    spoilt.retain(|(ticket, _)| {
        let path = spool.rendition_path(ticket);
        spool.may_render_again(ticket) && before.iter().all(|finding| finding.path != path)
    });
    let ids: HashSet<RecordingId> = spoilt
        .iter()
        .map(|(ticket, _)| ticket.recording_id().clone())
        .collect();
    Outbox::open_with(spool.dir(), spool.keys().clone())?.repair(&ids)?;
    let after = spool.check()?;
    for (ticket, reason) in &spoilt {
        let path = spool.rendition_path(ticket);
        let path = path.display();
        say(&format!(
            "repaired: {path}: {reason} (have it rendered again)\n"
        ));
    }
    for finding in before.iter().filter(|one| !after.contains(one)) {
        if let Some(repair) = finding.repair {
            say(&format!("repaired: {finding} ({repair})\n"));
        }
    }
    Ok(())
}

/// Says which keys are still needed.
fn keys(spool: &SpoolView) -> anyhow::Result<()> {
    for (nth, used) in spool.key_use()?.into_iter().enumerate() {
        let role = match (nth, used.files) {
            (0, _) => "seals",
            (_, 0) => "is needed no more",
            _ => "still opens",
        };
        let (key, files) = (used.key, used.files);
        say(&format!("key {key} {role}: {files} sealed files\n"));
    }
    Ok(())
}

/// The recordings whose audio files are not what their tickets say, and why.
async fn spoilt(spool: &SpoolView) -> anyhow::Result<Vec<(Ticket, String)>> {
    let mut spoilt = Vec::new();
    for ticket in spool.tickets()? {
        if let Err(reason) = callreel_delivery::verify(spool, &ticket).await
            && still_there(spool, &ticket)?
        {
            spoilt.push((ticket, reason));
        }
    }
    Ok(spoilt)
}

/// A node at work may have delivered it meanwhile, or made its file anew.
fn still_there(spool: &SpoolView, seen: &Ticket) -> anyhow::Result<bool> {
    let now = spool.ticket(seen.recording_id())?;
    Ok(now.is_some_and(|now| now.rendition() == seen.rendition()))
}

fn room(config: &Config) -> Option<String> {
    let dir = config.spool_dir();
    let disk = Space::of(&dir, &config.spool.settings()).picture();
    let refused = match (disk.refuses_recordings, disk.refuses_fetches) {
        (true, _) => "new recordings are refused",
        (false, true) => "files of foreign switches are not fetched",
        (false, false) => return None,
    };
    let free_mb = disk.free_bytes >> 20;
    Some(format!(
        "{}: only {free_mb} MB are free: {refused}",
        dir.display()
    ))
}
