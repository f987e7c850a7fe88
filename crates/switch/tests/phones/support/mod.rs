//! What the tests share: a switch with an account, phones and a controller.

mod controller;
mod conversation;
mod ears;
mod phone;
mod scene;

pub(crate) use controller::Controller;
pub(crate) use conversation::{
    Link, Talk, bridge_to, bridging, connect, converse, dialled, endpoint, hears, is_ended, talking,
};
pub(crate) use ears::{Ears, Forked, packet, payload};
pub(crate) use phone::{Call, Message, Phone, sdp_with};
pub(crate) use scene::{ACCOUNT, REALM, Scene, attachments};

use std::time::Duration;

/// How long anything awaited may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Awaits with patience.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(outcome) => outcome,
        Err(_) => panic!("waited in vain for {what}"),
    }
}
