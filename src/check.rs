//! `callreel check`: whether spool, manifest and store are what they should be, and with `--repair` makes of them what can be made
//! without losing anything.

use std::process::ExitCode;

use callreel_spool::{Finding, Outbox, Space, Ticket, View as SpoolView};

use crate::{cli::Place, config::Config, node::open_store, serve::say};

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
        mend(&spool)?;
    }
    let mut findings: Vec<String> = spool.check()?.iter().map(told).collect();
    audio(&spool, &mut findings).await?;
    findings.extend(room(&config));
    if let Some(store) = &store {
        findings.extend(store.check().await?);
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
fn mend(spool: &SpoolView) -> anyhow::Result<()> {
    if !spool.dir().exists() {
        return Ok(());
    }
    let before = spool.check()?;
    Outbox::open_with(spool.dir(), spool.keys().clone())?.repair()?;
    let after = spool.check()?;
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

/// Adds the audio files that are not what their tickets say, unless something is told of them already.
async fn audio(spool: &SpoolView, findings: &mut Vec<String>) -> anyhow::Result<()> {
    for ticket in spool.tickets()? {
        if let Err(reason) = callreel_delivery::verify(spool, &ticket).await
            && still_there(spool, &ticket)?
        {
            let path = spool.rendition_path(&ticket).display().to_string();
            if !findings.iter().any(|finding| finding.starts_with(&path)) {
                findings.push(format!("{path}: {reason}"));
            }
        }
    }
    Ok(())
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
