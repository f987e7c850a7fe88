//! Where phones are: contact bindings of the registrar (RFC 3261 §10.3). In memory; reads no clock and no socket.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use callreel_proto::AccountId;
use rsipstack::sip::Uri;

use crate::peer::Peer;

/// Contacts one phone's credentials may register at once: more than any person has phones, few enough that an
/// INVITE to all of them is no amplifier.
pub(crate) const MAX_CONTACTS: usize = 10;

/// One registered contact.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Binding {
    /// The account of the phone.
    pub(crate) account: AccountId,
    /// Realms the phone is known under: its account's, its own, the one it registered at.
    pub(crate) realms: Vec<String>,
    /// Its device document.
    pub(crate) device: String,
    /// Its user, if it has one.
    pub(crate) owner: Option<String>,
    /// Codec names of the device document.
    pub(crate) codecs: Vec<String>,
    /// Where it says it is.
    pub(crate) contact: Uri,
    /// Where its REGISTER came from: where it can be reached through a NAT.
    pub(crate) peer: Peer,
    /// RFC 5626's `+sip.instance`: the same instance replaces its own binding.
    pub(crate) instance: Option<String>,
    /// When it ends.
    pub(crate) expires: Instant,
    call_id: String,
    cseq: u32,
}

impl Binding {
    fn is_same_contact(&self, contact: &Contact) -> bool {
        let same_instance = self.instance.is_some() && self.instance == contact.instance;
        same_instance
            || (self.contact.auth == contact.uri.auth
                && self.contact.host_with_port == contact.uri.host_with_port)
    }
}

/// One contact of a REGISTER.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Contact {
    pub(crate) uri: Uri,
    pub(crate) instance: Option<String>,
    /// For how long; zero removes it.
    pub(crate) lifetime: Duration,
}

/// A REGISTER that passed authentication.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Registration {
    pub(crate) account: AccountId,
    pub(crate) username: String,
    pub(crate) realms: Vec<String>,
    pub(crate) device: String,
    pub(crate) owner: Option<String>,
    pub(crate) codecs: Vec<String>,
    pub(crate) peer: Peer,
    pub(crate) call_id: String,
    pub(crate) cseq: u32,
    pub(crate) change: Change,
}

/// What a REGISTER wants.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    /// No Contact: only tell.
    Nothing,
    /// `Contact: *`.
    RemoveAll,
    /// Add, refresh or (zero lifetime) remove these.
    Contacts(Vec<Contact>),
}

/// Why a REGISTER is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// An older request of the same registration overtook a newer one.
    OutOfOrder,
    /// More than [`MAX_CONTACTS`] at once.
    TooMany,
}

/// All bindings, by lower-case SIP username.
#[derive(Debug, Default)]
pub(crate) struct Location {
    bindings: HashMap<String, Vec<Binding>>,
}

impl Location {
    /// Applies a REGISTER: all of it or nothing. Returns the phone's bindings afterwards.
    pub(crate) fn register(
        &mut self,
        now: Instant,
        registration: &Registration,
    ) -> Result<Vec<Binding>, Refusal> {
        let key = registration.username.to_ascii_lowercase();
        let mut bindings = self.bindings.remove(&key).unwrap_or_default();
        bindings.retain(|b| b.expires > now);
        let outcome = apply(now, registration, &bindings);
        if let Ok(changed) = &outcome {
            bindings.clone_from(changed);
        }
        let own = bindings
            .iter()
            .filter(|b| b.account == registration.account)
            .cloned()
            .collect();
        if !bindings.is_empty() {
            self.bindings.insert(key, bindings);
        }
        outcome.map(|_| own)
    }

    /// Live bindings of a phone, the newest first. Without a realm, the account decides; without both, a username that
    /// belongs to one account only.
    pub(crate) fn find(
        &self,
        now: Instant,
        username: &str,
        realm: Option<&str>,
        account: Option<&str>,
    ) -> Vec<Binding> {
        let all = self.bindings.get(&username.to_ascii_lowercase());
        let mut found: Vec<_> = all
            .into_iter()
            .flatten()
            .filter(|b| b.expires > now)
            .filter(|b| account.is_none_or(|id| b.account.as_str() == id))
            .filter(|b| {
                realm.is_none_or(|r| b.realms.iter().any(|own| own.eq_ignore_ascii_case(r)))
            })
            .cloned()
            .collect();
        let accounts_differ = found
            .windows(2)
            .any(|pair| pair[0].account != pair[1].account);
        if realm.is_none() && account.is_none() && accounts_differ {
            found.clear();
        }
        found.sort_by_key(|b| std::cmp::Reverse(b.expires));
        found
    }

    /// Forgets what has expired; returns how many bindings live.
    pub(crate) fn sweep(&mut self, now: Instant) -> usize {
        self.bindings.retain(|_, bindings| {
            bindings.retain(|b| b.expires > now);
            !bindings.is_empty()
        });
        self.bindings.values().map(Vec::len).sum()
    }
}

/// The bindings under one username after a REGISTER.
fn apply(now: Instant, r: &Registration, before: &[Binding]) -> Result<Vec<Binding>, Refusal> {
    let is_own = |b: &Binding| b.account == r.account;
    let is_stale = |b: &Binding| b.call_id == r.call_id && b.cseq >= r.cseq;
    let mut after = before.to_vec();
    match &r.change {
        Change::Nothing => {}
        Change::RemoveAll => {
            if before.iter().any(|b| is_own(b) && is_stale(b)) {
                return Err(Refusal::OutOfOrder);
            }
            after.retain(|b| !is_own(b));
        }
        Change::Contacts(contacts) if contacts.len() > MAX_CONTACTS => {
            return Err(Refusal::TooMany);
        }
        Change::Contacts(contacts) => {
            for contact in contacts {
                let known = |b: &Binding| is_own(b) && b.is_same_contact(contact);
                if after.iter().any(|b| known(b) && is_stale(b)) {
                    return Err(Refusal::OutOfOrder);
                }
                after.retain(|b| !known(b));
                if !contact.lifetime.is_zero() {
                    after.push(bind(now, r, contact));
                }
            }
        }
    }
    // A phone that restarts on another port leaves a binding behind each time: the oldest make room.
    let surplus = after
        .iter()
        .filter(|b| is_own(b))
        .count()
        .saturating_sub(MAX_CONTACTS);
    for _ in 0..surplus {
        let oldest = after.iter().position(is_own).expect("counted above");
        after.remove(oldest);
    }
    Ok(after)
}

fn bind(now: Instant, r: &Registration, contact: &Contact) -> Binding {
    Binding {
        account: r.account.clone(),
        realms: r.realms.clone(),
        device: r.device.clone(),
        owner: r.owner.clone(),
        codecs: r.codecs.clone(),
        contact: contact.uri.clone(),
        peer: r.peer,
        instance: contact.instance.clone(),
        expires: now + contact.lifetime,
        call_id: r.call_id.clone(),
        cseq: r.cseq,
    }
}

#[cfg(test)]
mod tests;
