//! The switch over real sockets: phones made of plain SIP text on one side, a controller on the embedded bus on the other.

#![cfg(test)]

mod after;
mod bridging;
mod calling;
mod consultations;
mod forwarding;
mod hardship;
mod holding;
mod joins;
mod lamps;
#[cfg(test)]
mod locked;
mod orphans;
mod others;
mod paging;
mod pickups;
mod platform;
mod recording;
mod registered;
mod registering;
mod sent_elsewhere;
mod speech;
mod status;
mod support;
mod transfers;
mod trunks;
mod unreadable;
