//! The HTTP API, tested from outside over a real store, a real spool and the embedded bus.

#[cfg(test)]
mod access;
#[cfg(test)]
mod channels;
#[cfg(test)]
mod console;
#[cfg(test)]
mod control;
#[cfg(test)]
mod deliveries;
mod flows;
#[cfg(test)]
mod holds;
#[cfg(test)]
mod nodes;
#[cfg(test)]
mod pivot;
mod recordings;
mod routes;
#[cfg(test)]
mod server;
#[cfg(test)]
mod switches;
#[cfg(test)]
mod world;
