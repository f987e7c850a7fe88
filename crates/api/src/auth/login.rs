//! Logins: an account's API key, or a user's name and password, for a token. In Crossbar's words.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Extension,
    extract::{ConnectInfo, State},
    http::StatusCode,
    response::Response,
};
use callreel_proto::{AccountDb, AccountId, pvt_type};
use callreel_store::{ACCOUNTS, Store, View};
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use super::{
    Grant, Scopes,
    gate::peer,
    tokens::{is_open_account, is_open_user},
};
use crate::{
    Shared,
    envelope::Answer,
    refusal::{Refusal, Why},
    request::Posted,
};

type From = Option<Extension<ConnectInfo<SocketAddr>>>;
type Answered = Result<Response, Refusal>;

/// Where Kazoo keeps which account a number belongs to: a database for each beginning.
const NUMBERS: &str = "numbers";
/// How much of a number names its database: `+` and four digits.
const NUMBER_PREFIX: usize = 5;

/// `PUT /v2/api_auth`: `{"data": {"api_key": …}}`.
pub(crate) async fn by_api_key(
    State(shared): State<Arc<Shared>>,
    from: From,
    Posted(body): Posted,
) -> Answered {
    let data = data(&body)?;
    let key = required(&data, "api_key")?;
    let peer = peer(from.map(|Extension(ConnectInfo(from))| from));
    shared.gate.try_by(peer)?;
    let view = View::AccountByApiKey(key.to_owned());
    let found = shared.store.query(ACCOUNTS, view).await?;
    let account = found
        .iter()
        .find(|doc| is_open_account(doc) && is_same(&doc["pvt_api_key"], key));
    let account = account.ok_or_else(unknown)?;
    let grant = Grant {
        account: account_id(account)?,
        owner: None,
        name: "API key".to_owned(),
        expires: None,
        scopes: Scopes::All,
    };
    let (token, grant) = shared.gate.admit(peer, grant).await?;
    Ok(answer(&shared, token, &grant, account))
}

/// `PUT /v2/user_auth`: `{"data": {"credentials": HASH, "method": "md5", "account_name": …}}`, where the hash is that of
/// `USER:PASSWORD` and the account may be named by `account_name`, `account_realm` (or `realm`) or `phone_number`.
pub(crate) async fn by_password(
    State(shared): State<Arc<Shared>>,
    from: From,
    Posted(body): Posted,
) -> Answered {
    let data = data(&body)?;
    let credentials = required(&data, "credentials")?.to_ascii_lowercase();
    let field = match data["method"].as_str() {
        None | Some("md5") => "pvt_md5_auth",
        Some("sha") => "pvt_sha1_auth",
        Some(_) => return Err(wrong("method", "must be md5 or sha")),
    };
    let peer = peer(from.map(|Extension(ConnectInfo(from))| from));
    shared.gate.try_by(peer)?;
    for account in accounts(&shared.store, &data).await? {
        let id = account_id(&account)?;
        let users = View::OfType(pvt_type::USER.to_owned());
        let users = shared.store.query(&AccountDb::name(&id), users).await?;
        let user = users
            .iter()
            .find(|user| is_open_user(user) && is_same(&user[field], &credentials));
        let Some(user) = user else { continue };
        let name = user["username"].as_str().or(user["_id"].as_str());
        let grant = Grant {
            account: id,
            owner: user["_id"].as_str().map(str::to_owned),
            name: name.unwrap_or_default().to_owned(),
            expires: None,
            scopes: Scopes::All,
        };
        let (token, grant) = shared.gate.admit(peer, grant).await?;
        return Ok(answer(&shared, token, &grant, &account));
    }
    Err(unknown())
}

/// The accounts that a login names; those that let nobody in are left out.
async fn accounts(store: &Store, data: &Value) -> Result<Vec<Value>, Refusal> {
    let text = |key: &str| data[key].as_str().filter(|text| !text.is_empty());
    let mut accounts = if let Some(number) = text("phone_number") {
        of_number(store, number).await?
    } else if let Some(realm) = text("account_realm").or_else(|| text("realm")) {
        let view = View::AccountByRealm(realm.to_owned());
        store.query(ACCOUNTS, view).await?
    } else if let Some(name) = text("account_name") {
        let view = View::AccountByName(name.to_owned());
        store.query(ACCOUNTS, view).await?
    } else {
        let message = "name the account by account_name, account_realm or phone_number";
        return Err(wrong("account_name", message));
    };
    accounts.retain(is_open_account);
    Ok(accounts)
}

/// The account a number is assigned to, as Kazoo's databases of numbers say it.
async fn of_number(store: &Store, number: &str) -> Result<Vec<Value>, Refusal> {
    let is_number = number.starts_with('+') && number[1..].bytes().all(|b| b.is_ascii_digit());
    let Some(prefix) = number.get(..NUMBER_PREFIX).filter(|_| is_number) else {
        return Err(wrong("phone_number", "must be as in +14155550100"));
    };
    let found = store.get(&format!("{NUMBERS}/{prefix}"), number).await?;
    let assigned = found
        .as_ref()
        .and_then(|doc| doc["pvt_assigned_to"].as_str());
    let Some(id) = assigned.and_then(|id| AccountId::parse(id).ok()) else {
        return Ok(Vec::new());
    };
    let account = store.get(ACCOUNTS, id.as_str()).await?;
    Ok(account.into_iter().collect())
}

/// Compares in a time that tells nothing of where two words differ.
fn is_same(kept: &Value, shown: &str) -> bool {
    kept.as_str()
        .is_some_and(|kept| !kept.is_empty() && kept.as_bytes().ct_eq(shown.as_bytes()).into())
}

fn account_id(doc: &Value) -> Result<AccountId, Refusal> {
    let id = doc["_id"].as_str().unwrap_or_default();
    AccountId::parse(id).map_err(|e| Refusal::new(Why::Broken, e.to_string()).cause(id))
}

fn answer(shared: &Shared, token: String, grant: &Grant, account: &Value) -> Response {
    let mut data = json!({
        "account_id": grant.account,
        "account_name": account["name"],
        "expires": grant.expires.map(|at| at.gregorian_seconds()),
    });
    if let Some(owner) = &grant.owner {
        data["owner_id"] = owner.as_str().into();
    }
    let answer = Answer {
        status: StatusCode::CREATED,
        token: Some(token),
        ..Answer::new(data)
    };
    answer.wrap(shared)
}

fn data(body: &[u8]) -> Result<Value, Refusal> {
    let body: Value = serde_json::from_slice(body)
        .map_err(|e| Refusal::new(Why::Invalid, format!("the body is no JSON: {e}")))?;
    Ok(body["data"].clone())
}

fn required<'a>(data: &'a Value, key: &str) -> Result<&'a str, Refusal> {
    let text = data[key].as_str().filter(|text| !text.is_empty());
    text.ok_or_else(|| wrong(key, "is required"))
}

fn wrong(key: &str, message: &str) -> Refusal {
    Refusal::new(Why::Invalid, format!("data.{key} {message}")).cause(key)
}

fn unknown() -> Refusal {
    let message = "no account and no user has these credentials";
    Refusal::new(Why::Credentials, message)
}
