//! The documents of whom a bridge may ring: those asked for, and everybody they lead to. Never decides who is rung.

use std::collections::{BTreeSet, VecDeque};

use callreel_callflow::{Endpoints, Member, MemberKind, members_of};
use callreel_proto::{Account, AccountDb, AccountId, Device, User, Utc, random_hex};
use callreel_store::{Error, View};

use super::live;
use crate::documents::Documents;

/// One call may ask for so many users, devices and groups: each costs a read or two, and a bridge rings a hundred phones at
/// most.
const MOST_MEMBERS: usize = 200;

/// Reads them all. What does not exist, or was deleted, is left out.
pub(super) async fn endpoints(
    store: &Documents,
    account: &AccountId,
    members: &[Member],
) -> Result<Endpoints, Error> {
    let db = AccountDb::name(account);
    let own = store.get(&db, account.as_str()).await?.unwrap_or_default();
    let own = Account::read(&own);
    let mut found = Endpoints {
        realm: own.realm.unwrap_or_default(),
        ringtones: own.ringtones,
        hold_media: own.hold_media,
        now_s: u64::try_from(Utc::now().gregorian_seconds()).unwrap_or_default(),
        chance: u64::from_str_radix(&random_hex(16), 16).unwrap_or_default(),
        ..Endpoints::default()
    };
    let mut wanted: VecDeque<Member> = members.iter().cloned().collect();
    let mut seen = BTreeSet::new();
    while let Some(member) = wanted.pop_front() {
        if seen.contains(&member) {
            continue;
        }
        if seen.len() >= MOST_MEMBERS {
            tracing::warn!(account_id = %account, MOST_MEMBERS, "too many are to be rung at once; others are left out");
            break;
        }
        read(store, &db, &member, &mut found, &mut wanted).await?;
        seen.insert(member);
    }
    owners(store, &db, &mut found).await?;
    Ok(found)
}

async fn read(
    store: &Documents,
    db: &str,
    member: &Member,
    found: &mut Endpoints,
    wanted: &mut VecDeque<Member>,
) -> Result<(), Error> {
    let Some(doc) = live(store, db, &member.id).await? else {
        return Ok(());
    };
    match member.kind {
        MemberKind::Device => add_device(found, Device::read(&doc)),
        MemberKind::User => {
            found.users.push(User::read(&doc));
            let view = View::DevicesByOwner(member.id.clone());
            for device in store.query(db, view).await? {
                add_device(found, Device::read(&device));
            }
        }
        MemberKind::Group => {
            wanted.extend(members_of(&doc));
            found.groups.push(doc);
        }
    }
    Ok(())
}

fn add_device(found: &mut Endpoints, device: Device) {
    if found.devices.iter().all(|other| other.id != device.id) {
        found.devices.push(device);
    }
}

/// Whether a device may be rung is its owner's to say, too.
async fn owners(store: &Documents, db: &str, found: &mut Endpoints) -> Result<(), Error> {
    let mut ids = BTreeSet::new();
    for device in &found.devices {
        let owner = device.owner_id.as_deref();
        ids.extend(owner.filter(|id| found.users.iter().all(|user| user.id != **id)));
    }
    let ids: Vec<_> = ids.into_iter().map(str::to_owned).collect();
    for id in ids {
        if let Some(doc) = live(store, db, &id).await? {
            found.users.push(User::read(&doc));
        }
    }
    Ok(())
}
