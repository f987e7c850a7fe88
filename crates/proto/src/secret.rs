//! A value that nobody is shown: a key, a password, a token.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::lenient::loose_by_serde;

loose_by_serde!(Secret);

/// A key or password. Debuggers and logs see that there is one, and not which; serde writes it, because settings and
/// tickets must hold it.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// This value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for whoever signs or proves with it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether it is nothing at all, which protects nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_written_and_not_shown() {
        let secret = Secret::new("s3cret");
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"s3cret\"");
    }
}
