//! Addresses as Kazoo writes them in messages and documents: `user@realm`.

/// User and realm of `user@realm`; without an `@` all of it is the user, and the realm is empty.
pub fn user_and_realm(address: &str) -> (&str, &str) {
    address.split_once('@').unwrap_or((address, ""))
}
