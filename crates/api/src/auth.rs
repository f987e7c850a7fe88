//! Who asks: tokens and where they come from, what each may reach, and how often somebody may guess.

mod caller;
mod gate;
mod login;
mod scopes;
mod tokens;

pub use gate::Gate;
pub use scopes::{Scope, Scopes};
pub use tokens::{Grant, TokenInfo, Tokens};

pub(crate) use caller::{By, Caller};
pub(crate) use gate::{
    beyond, forbidden, identify, keep_pace, keep_to_account, keep_to_operator, keep_to_scope,
};
pub(crate) use login::{by_api_key, by_password};
