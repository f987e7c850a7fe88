//! Names that only one document may have: ids and numbers and usernames of an account, realms of all accounts. Compares
//! the documents of the tree with each other and with those the store already has.

use std::collections::{HashMap, HashSet};

use callreel_proto::AccountId;
use serde_json::Value;

use super::{Item, Kind, Problem};
use crate::{ACCOUNTS, Error, Store, View, is_soft_deleted, view::fold};

/// A name a document wants for itself.
struct Claim {
    what: &'static str,
    /// As it is written.
    name: String,
    /// As it is compared.
    key: String,
    /// The database it is the only one in.
    db: String,
    pointer: String,
    view: View,
}

/// Every clash.
pub(super) async fn find(items: &[Item], store: &Store) -> Result<Vec<Problem>, Error> {
    let mut problems = same_ids(items);
    let imported: HashSet<(String, &str)> = items
        .iter()
        .flat_map(|item| {
            [
                (item.db(), item.id.as_str()),
                (ACCOUNTS.to_owned(), item.id.as_str()),
            ]
        })
        .collect();
    problems.extend(foreign_webhooks(items, store).await?);
    let mut owners: HashMap<(&'static str, String, String), &Item> = HashMap::new();
    for item in items {
        for claim in claims(item) {
            let place = (claim.what, claim.db.clone(), claim.key.clone());
            let owner = *owners.entry(place).or_insert(item);
            if owner.file != item.file {
                problems.push(taken(item, &claim, &owner.file.display().to_string()));
                continue;
            }
            for stored in store.query(&claim.db, claim.view.clone()).await? {
                let id = stored["_id"].as_str().unwrap_or_default();
                if !imported.contains(&(claim.db.clone(), id)) {
                    problems.push(taken(item, &claim, &format!("document {id} of the store")));
                }
            }
        }
    }
    Ok(problems)
}

/// Webhooks of all accounts share a database: an import must not take over another account's.
async fn foreign_webhooks(items: &[Item], store: &Store) -> Result<Vec<Problem>, Error> {
    let mut problems = Vec::new();
    for item in items.iter().filter(|item| item.kind == Kind::Webhook) {
        let Some(stored) = store.get(&item.db(), &item.id).await? else {
            continue;
        };
        let owner = stored["pvt_account_id"].as_str();
        if owner != item.account.as_ref().map(AccountId::as_str) {
            let message = format!("the id {:?} belongs already to another account", item.id);
            problems.push(item.problem("/id", message));
        }
    }
    Ok(problems)
}

fn taken(item: &Item, claim: &Claim, by: &str) -> Problem {
    let message = format!(
        "the {} {:?} belongs already to {by}",
        claim.what, claim.name
    );
    item.problem(&claim.pointer, message)
}

fn same_ids(items: &[Item]) -> Vec<Problem> {
    let mut owners: HashMap<(String, &str), &Item> = HashMap::new();
    let mut problems = Vec::new();
    for item in items {
        let owner = *owners.entry((item.db(), &item.id)).or_insert(item);
        if owner.file != item.file {
            let message = format!(
                "the id {:?} belongs already to {}",
                item.id,
                owner.file.display()
            );
            problems.push(item.problem("/id", message));
        }
    }
    problems
}

fn claims(item: &Item) -> Vec<Claim> {
    let doc = Value::Object(item.doc.clone());
    if is_soft_deleted(&doc) {
        return Vec::new();
    }
    match item.kind {
        Kind::Callflow => numbers(item, &doc),
        Kind::Device => one(&doc, "/sip/username", |name| Claim {
            what: "SIP username",
            name: name.to_owned(),
            key: fold(name),
            db: item.db(),
            pointer: "/sip/username".to_owned(),
            view: View::DeviceBySipUsername(name.to_owned()),
        }),
        Kind::Account => one(&doc, "/realm", |realm| Claim {
            what: "realm",
            name: realm.to_owned(),
            key: fold(realm),
            db: ACCOUNTS.to_owned(),
            pointer: "/realm".to_owned(),
            view: View::AccountByRealm(realm.to_owned()),
        }),
        _ => Vec::new(),
    }
}

fn one(doc: &Value, pointer: &str, claim: impl FnOnce(&str) -> Claim) -> Vec<Claim> {
    let name = doc.pointer(pointer).and_then(Value::as_str);
    let name = name.filter(|name| !name.is_empty());
    name.map(claim).into_iter().collect()
}

fn numbers(item: &Item, doc: &Value) -> Vec<Claim> {
    let list = doc.get("numbers").and_then(Value::as_array);
    let numbers = list.into_iter().flatten().enumerate();
    numbers
        .filter_map(|(i, number)| Some((i, number.as_str()?)))
        .map(|(i, number)| Claim {
            what: "number",
            name: number.to_owned(),
            key: number.to_owned(),
            db: item.db(),
            pointer: format!("/numbers/{i}"),
            view: View::CallflowsByNumber(number.to_owned()),
        })
        .collect()
}
