//! The demo's node: every role in this process, everything on loopback, every port one the system chose.

use std::{net::SocketAddr, path::Path};

use anyhow::{Context, bail};
use axum::Router;
use callreel_bus::Bus;
use callreel_store::import::{Report, import};

use super::ANY_LOOPBACK;
use crate::{config::Config, import::refusals, node::Node, telemetry::Telemetry};

/// A running node, as far as the demo needs it.
pub(super) struct Stage {
    node: Node,
    /// Where phones find it, by UDP.
    pub(super) sip: SocketAddr,
    /// Its HTTP API.
    pub(super) api: SocketAddr,
    /// Where news of recordings are heard.
    pub(super) bus: Bus,
}

impl Stage {
    /// Starts a node whose store and spool lie in `data`.
    pub(super) async fn open(data: &Path) -> anyhow::Result<Self> {
        let config = config(data);
        // Nobody is sent anything: what is told goes to standard error.
        Telemetry::start(&config)?;
        let node = Node::start(&config, Router::new()).await?;
        let sip = node
            .sip_addresses()
            .into_iter()
            .find(|(transport, _)| transport.eq_ignore_ascii_case("udp"))
            .context("the node has no SIP over UDP")?
            .1;
        let api = node.api_address().context("the node has no API")?;
        let bus = node.bus().clone();
        Ok(Self {
            node,
            sip,
            api,
            bus,
        })
    }

    /// Imports a folder as `callreel import` does.
    pub(super) async fn import(&self, tree: &Path) -> anyhow::Result<Report> {
        match import(self.node.store(), tree, refusals).await {
            Ok(report) => Ok(report),
            Err(problems) => {
                let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
                bail!("the account was not imported: {}", problems.join("; "))
            }
        }
    }

    /// Stops the node.
    pub(super) async fn stop(self) {
        self.node.stop().await;
    }
}

fn config(data: &Path) -> Config {
    let mut config = Config::default();
    config.node.data = data.to_owned();
    config.node.name = "callreel@demo".to_owned();
    // The steps tell the story; the log is for what goes wrong. RUST_LOG shows more.
    config.telemetry.log = "error,rsipstack=off".to_owned();
    config.api.listen = ANY_LOOPBACK;
    config.switch.bind = ANY_LOOPBACK;
    // The receiver is on this machine, where recordings are not sent without leave.
    config.delivery.allow_networks = vec!["127.0.0.0/8".parse().expect("a network")];
    config
}
