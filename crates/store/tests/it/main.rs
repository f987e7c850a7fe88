//! The store and its importer, tested from outside with real files and a real server.

#[cfg(test)]
mod couch;
#[cfg(test)]
mod embedded;
#[cfg(test)]
mod formats;
#[cfg(test)]
mod import;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod server;
#[cfg(test)]
mod tls;
