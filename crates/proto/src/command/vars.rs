//! The variables that a `set` command sets, by whose they are.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::lenient::loose_or_default;

/// What a `set` command sets; an empty value removes the variable.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SetVars {
    /// On this leg.
    #[serde(
        rename = "Custom-Channel-Vars",
        default,
        deserialize_with = "loose_or_default"
    )]
    pub channel: Map<String, Value>,
    /// On this leg and those to come.
    #[serde(
        rename = "Custom-Call-Vars",
        default,
        deserialize_with = "loose_or_default"
    )]
    pub call: Map<String, Value>,
    /// Of the application, on this leg.
    #[serde(
        rename = "Custom-Application-Vars",
        default,
        deserialize_with = "loose_or_default",
        skip_serializing_if = "Map::is_empty"
    )]
    pub application: Map<String, Value>,
}
