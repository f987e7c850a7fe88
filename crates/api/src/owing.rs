//! What all spools owe together: reads the node's own, and asks every delivery role on the bus. Shows and orders nothing.

use callreel_proto::{OwedReq, OwedResp};

use crate::{
    Shared,
    refusal::{Refusal, Why},
};

/// What is owed anywhere.
pub(crate) async fn gather(shared: &Shared, asked: OwedReq) -> Result<OwedResp, Refusal> {
    let spool = shared.spool.clone();
    let question = asked.clone();
    let own = tokio::task::spawn_blocking(move || spool.owed(&question)).await;
    let own =
        own.map_err(|e| Refusal::new(Why::Broken, format!("reading the spool failed: {e}")))??;
    Ok(own)
}
