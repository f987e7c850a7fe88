//! The embedded store and its importer, tested from outside with real files.

#[cfg(test)]
mod embedded;
#[cfg(test)]
mod import;
