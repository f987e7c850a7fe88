//! Tokens: random words that let a program in, of which only the SHA-256 is kept. Knows no request.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use callreel_proto::{
    Account, AccountDb, AccountId, GREGORIAN_UNIX_OFFSET, Secret, User, Utc, pvt_type, random_hex,
};
use callreel_store::{ACCOUNTS, Error, Store, View, is_soft_deleted, stamp};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::Scopes;

/// The database of tokens, and the `pvt_type` of what is in it. The name is Kazoo's.
const TOKEN_AUTH: &str = "token_auth";
/// Hex digits of a token: 256 bits, which nobody guesses.
const TOKEN_DIGITS: usize = 64;
/// How long the store is not asked again for a token: what is revoked works for so long, and a page of a hundred players asks
/// once.
const REMEMBERED: Duration = Duration::from_secs(5);
/// Tokens remembered at once: some hundred bytes each, more than programs ask at a time.
const MAX_REMEMBERED: usize = 1024;
/// Fewest digits that name a token in a list: enough that two seldom begin alike.
const MIN_ID_DIGITS: usize = 8;

/// What tokens were found to grant, by their ids, and when.
type Remembered = HashMap<String, (Instant, Arc<Grant>)>;

/// Whom a token lets in, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The account it reaches, with the accounts below it.
    pub account: AccountId,
    /// The user who logged in, if one did.
    pub owner: Option<String>,
    /// What it is called in lists, and in what is kept of orders.
    pub name: String,
    /// When it ends; never if absent.
    pub expires: Option<Utc>,
    /// What it may be used for.
    pub scopes: Scopes,
}

/// A token as a list shows it: what it grants, and its id, which is the SHA-256 of the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenInfo {
    /// Hex digits of the token's SHA-256.
    pub id: String,
    /// When it was made.
    pub created: Utc,
    /// What it grants.
    pub grant: Grant,
}

/// The tokens of a store. Clones share what is remembered.
#[derive(Debug, Clone)]
pub struct Tokens {
    store: Store,
    remembered: Arc<Mutex<Remembered>>,
}

impl Tokens {
    /// The tokens of this store.
    pub fn new(store: Store) -> Self {
        Self {
            store,
            remembered: Arc::default(),
        }
    }

    /// Makes a token. It is told this one time only.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn issue(&self, grant: &Grant) -> Result<Secret, Error> {
        let token = random_hex(TOKEN_DIGITS);
        let mut doc = Map::new();
        doc.insert("_id".into(), hash(&token).into());
        doc.insert("account_id".into(), grant.account.as_str().into());
        doc.insert("name".into(), grant.name.as_str().into());
        if let Some(owner) = &grant.owner {
            doc.insert("owner_id".into(), owner.as_str().into());
        }
        if let Some(expires) = grant.expires {
            doc.insert("expires".into(), expires.gregorian_seconds().into());
        }
        if let Scopes::Only(scopes) = &grant.scopes {
            let names: Vec<&str> = scopes.iter().map(|scope| scope.name()).collect();
            doc.insert("scopes".into(), names.into());
        }
        let account = Some(&grant.account);
        stamp(&mut doc, TOKEN_AUTH, TOKEN_AUTH, account, Utc::now());
        self.store.put(TOKEN_AUTH, Value::Object(doc)).await?;
        Ok(Secret::new(token))
    }

    /// All tokens, those of one account together, the oldest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn list(&self) -> Result<Vec<TokenInfo>, Error> {
        let docs = self
            .store
            .query(TOKEN_AUTH, View::OfType(TOKEN_AUTH.to_owned()))
            .await?;
        let mut tokens: Vec<TokenInfo> = docs.iter().filter_map(read).collect();
        tokens.sort_by_cached_key(|t| (t.grant.account.to_string(), t.created, t.id.clone()));
        Ok(tokens)
    }

    /// Ends the token with this id; of the id its first digits are enough if no other token's begins so. Processes that have
    /// just let it in do so for a few seconds more. `None` if it names none, or several.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn revoke(&self, id: &str) -> Result<Option<TokenInfo>, Error> {
        let meant = |token: &TokenInfo| id.len() >= MIN_ID_DIGITS && token.id.starts_with(id);
        let tokens = self.list().await?;
        let mut meant = tokens.into_iter().filter(meant);
        let (Some(token), None) = (meant.next(), meant.next()) else {
            return Ok(None);
        };
        self.store.delete(TOKEN_AUTH, &token.id).await?;
        self.remembered().remove(&token.id);
        Ok(Some(token))
    }

    /// Removes tokens that ended before `now`; how many.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn sweep(&self, now: Utc) -> Result<usize, Error> {
        let mut swept = 0;
        for token in self.list().await? {
            if is_over(&token.grant, now) {
                swept += usize::from(self.store.delete(TOKEN_AUTH, &token.id).await?);
            }
        }
        Ok(swept)
    }

    /// What a token grants; nothing if it is none of ours, has ended, or its account or user is no more.
    pub(crate) async fn grant_of(&self, token: &str) -> Result<Option<Arc<Grant>>, Error> {
        if token.len() != TOKEN_DIGITS || !token.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let id = hash(token);
        if let Some(grant) = self.remember(&id) {
            return Ok(Some(grant).filter(|grant| !is_over(grant, Utc::now())));
        }
        let found = self.store.get(TOKEN_AUTH, &id).await?;
        let Some(token) = found.as_ref().and_then(read) else {
            return Ok(None);
        };
        if is_over(&token.grant, Utc::now()) || !self.stands(&token.grant).await? {
            return Ok(None);
        }
        let grant = Arc::new(token.grant);
        let mut remembered = self.remembered();
        if remembered.len() >= MAX_REMEMBERED {
            remembered.retain(|_, (since, _)| since.elapsed() < REMEMBERED);
        }
        if remembered.len() < MAX_REMEMBERED {
            remembered.insert(id, (Instant::now(), Arc::clone(&grant)));
        }
        drop(remembered);
        Ok(Some(grant))
    }

    /// Whether the account and the user of a grant are still there and may still come in.
    async fn stands(&self, grant: &Grant) -> Result<bool, Error> {
        let account = self.store.get(ACCOUNTS, grant.account.as_str()).await?;
        if !account.as_ref().is_some_and(is_open_account) {
            return Ok(false);
        }
        let Some(owner) = &grant.owner else {
            return Ok(true);
        };
        let db = AccountDb::name(&grant.account);
        let user = self.store.get(&db, owner).await?;
        Ok(user.as_ref().is_some_and(is_open_user))
    }

    fn remember(&self, id: &str) -> Option<Arc<Grant>> {
        let remembered = self.remembered();
        let (since, grant) = remembered.get(id)?;
        (since.elapsed() < REMEMBERED).then(|| Arc::clone(grant))
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an account's document lets anybody in.
pub(super) fn is_open_account(doc: &Value) -> bool {
    !is_soft_deleted(doc) && Account::read(doc).enabled
}

/// Whether a user's document lets anybody in.
pub(super) fn is_open_user(doc: &Value) -> bool {
    doc["pvt_type"] == pvt_type::USER && !is_soft_deleted(doc) && User::read(doc).enabled
}

/// What is kept of a token.
pub(super) fn hash(token: &str) -> String {
    hex::encode(Sha256::digest(token))
}

fn is_over(grant: &Grant, now: Utc) -> bool {
    grant.expires.is_some_and(|expires| expires <= now)
}

fn read(doc: &Value) -> Option<TokenInfo> {
    if doc["pvt_type"] != TOKEN_AUTH || is_soft_deleted(doc) {
        return None;
    }
    let text = |key: &str| doc[key].as_str().map(str::to_owned);
    // An end that cannot be read is no reason to let somebody in for ever.
    let expires = match &doc["expires"] {
        Value::Null => None,
        at => Some(gregorian(at)?),
    };
    Some(TokenInfo {
        id: text("_id")?,
        created: gregorian(&doc["pvt_created"])?,
        grant: Grant {
            account: AccountId::parse(doc["account_id"].as_str()?).ok()?,
            owner: text("owner_id"),
            name: text("name").unwrap_or_default(),
            expires,
            scopes: scopes(&doc["scopes"]),
        },
    })
}

/// A scope that is not known gives nothing: a newer callreel made it.
fn scopes(said: &Value) -> Scopes {
    if said.is_null() {
        return Scopes::All;
    }
    let names = said.as_array().into_iter().flatten();
    let known = names.filter_map(|name| name.as_str()?.parse().ok());
    Scopes::Only(known.collect())
}

fn gregorian(seconds: &Value) -> Option<Utc> {
    let unix_s = seconds.as_i64()?.checked_sub(GREGORIAN_UNIX_OFFSET)?;
    Some(Utc::from_unix_ms(unix_s.checked_mul(1000)?))
}
