//! What a token may be used for, beside whose things it reaches. Checks nothing itself.

use std::{collections::BTreeSet, fmt, str::FromStr};

macro_rules! scopes {
    ($($(#[doc = $about:literal])+ $scope:ident = $name:literal;)*) => {
        /// A part of the API that a token may be kept to.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Scope {
            $($(#[doc = $about])+ $scope,)*
        }

        impl Scope {
            /// Every scope.
            pub const ALL: &'static [Self] = &[$(Self::$scope),*];

            /// Its name, as it is given to a token.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$scope => $name,)*
                }
            }
        }
    };
}

scopes! {
    /// Lists of recordings and their documents.
    RecordingsRead = "recordings:read";
    /// Deleting them, and legal holds.
    RecordingsWrite = "recordings:write";
    /// Listening to them.
    AudioRead = "audio:read";
    /// Live calls, and what Pivot asked and heard of them.
    CallsRead = "calls:read";
    /// Starting, stopping and masking recordings of live calls.
    CallsControl = "calls:control";
    /// What is owed.
    DeliveriesRead = "deliveries:read";
    /// Orders about it.
    DeliveriesWrite = "deliveries:write";
    /// Checking and explaining callflows.
    FlowsCheck = "flows:check";
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|scope| scope.name() == text);
        found.copied().ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|scope| scope.name()).collect();
            format!("is no scope; scopes are {}", names.join(", "))
        })
    }
}

/// What a token is kept to: everything it reaches, or these scopes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Scopes {
    /// No limit: what tokens had before there were scopes.
    #[default]
    All,
    /// These, and nothing else.
    Only(BTreeSet<Scope>),
}

impl Scopes {
    /// Whether it may be used for this.
    pub fn have(&self, scope: Scope) -> bool {
        match self {
            Self::All => true,
            Self::Only(scopes) => scopes.contains(&scope),
        }
    }
}

impl FromIterator<Scope> for Scopes {
    /// None named is no limit.
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let scopes: BTreeSet<Scope> = scopes.into_iter().collect();
        if scopes.is_empty() {
            Self::All
        } else {
            Self::Only(scopes)
        }
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Only(scopes) => {
                let names: Vec<&str> = scopes.iter().map(|scope| scope.name()).collect();
                f.write_str(&names.join(","))
            }
        }
    }
}
