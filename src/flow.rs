//! `callreel flow`: looks at a callflow document without running it.

use std::{path::Path, process::ExitCode, time::Instant};

use anyhow::Context;
use callreel_api::Documents;
use callreel_callflow::{
    Severity, Source,
    explain::{self, Script},
    lint,
};
use callreel_proto::AccountId;

use crate::{
    cli::{Flow, Place},
    node::open_store,
    serve::say,
};

/// Checks or explains a document.
pub(crate) async fn run(command: Flow) -> anyhow::Result<ExitCode> {
    match command {
        Flow::Check {
            file,
            strict,
            account,
            place,
        } => check(&file, strict, documents(account.as_deref(), &place)?).await,
        Flow::Explain {
            file,
            script,
            account,
            place,
        } => {
            let documents = documents(account.as_deref(), &place)?;
            explain(&file, script.as_deref(), documents).await
        }
    }
}

fn documents(account: Option<&str>, place: &Place) -> anyhow::Result<Option<Documents>> {
    let Some(account) = account else {
        return Ok(None);
    };
    let store = open_store(&place.load()?)?;
    Ok(Some(Documents::of(store, AccountId::parse(account)?)))
}

async fn check(
    file: &Path,
    strict: bool,
    documents: Option<Documents>,
) -> anyhow::Result<ExitCode> {
    let name = file.display().to_string();
    let text = read(file)?;
    let source = match Source::read(&text) {
        Ok(source) => source,
        Err(error) => {
            say(&error.report(&name, &text));
            return Ok(ExitCode::FAILURE);
        }
    };
    let mut problems = lint::check(&source.document, strict);
    if let Some(documents) = documents {
        problems.extend(documents.missing(&source.document).await?);
    }
    say(&source.report(&name, &problems));
    if problems.iter().any(|p| p.severity == Severity::Error) {
        return Ok(ExitCode::FAILURE);
    }
    if problems.is_empty() {
        say(&format!("{name}: nothing to remark\n"));
    }
    Ok(ExitCode::SUCCESS)
}

async fn explain(
    file: &Path,
    script: Option<&Path>,
    documents: Option<Documents>,
) -> anyhow::Result<ExitCode> {
    let name = || file.display().to_string();
    let text = read(file)?;
    let callflow = Source::read(&text).with_context(name)?.document;
    let script = match script {
        None => Script::default(),
        Some(file) => Script::read(&read(file)?).with_context(|| file.display().to_string())?,
    };
    let walk = move || match documents {
        Some(documents) => documents.explain(&callflow, &script),
        None => explain::explain(&callflow, &script, &mut |_| None, Instant::now()),
    };
    let talk = tokio::task::spawn_blocking(walk).await?;
    say(&talk.with_context(name)?);
    Ok(ExitCode::SUCCESS)
}

fn read(file: &Path) -> anyhow::Result<String> {
    let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
    String::from_utf8(bytes).with_context(|| format!("{} is no UTF-8", file.display()))
}
