//! Recordings at rest on real handlers: emulators of object storage, folders, and a receiver of HTTP. One binary, so that it is
//! linked once.

#[cfg(test)]
mod folder;
#[cfg(test)]
mod http;
#[cfg(test)]
mod objects;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod server;
#[cfg(test)]
mod world;
