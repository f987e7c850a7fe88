//! Who asks: tokens and where they come from, what each may reach, and how often somebody may guess.

mod brake;
mod caller;
mod gate;
mod login;
mod tokens;

pub use gate::Gate;
pub use tokens::{Grant, TokenInfo, Tokens};

pub(crate) use caller::{By, Caller};
pub(crate) use gate::{forbidden, identify, keep_to_account};
pub(crate) use login::{by_api_key, by_password};
