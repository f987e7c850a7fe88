//! `callreel token`: makes, lists and ends tokens for the HTTP API, in the store.

use std::process::ExitCode;

use anyhow::{Context, ensure};
use callreel_api::{Grant, TokenInfo, Tokens};
use callreel_proto::{AccountId, Utc};
use callreel_store::{ACCOUNTS, is_soft_deleted};

use crate::{cli::Token, node::open_store, serve::say};

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// `callreel token …`.
pub(crate) async fn run(command: Token) -> anyhow::Result<ExitCode> {
    match command {
        Token::New {
            account,
            name,
            days,
            scope,
            place,
        } => {
            let store = open_store(&place.load()?)?;
            let account = AccountId::parse(&account)?;
            let found = store.get(ACCOUNTS, account.as_str()).await?;
            ensure!(
                found.is_some_and(|doc| !is_soft_deleted(&doc)),
                "there is no account {account}; `callreel import` brings accounts in"
            );
            let expires = days.map(|days| Utc::now().plus_ms(i64::from(days) * DAY_MS));
            let grant = Grant {
                account,
                owner: None,
                name,
                expires,
                scopes: scope.into_iter().collect(),
            };
            let token = Tokens::new(store).issue(&grant).await?;
            say(&format!("{}\n", token.reveal()));
        }
        Token::List { place } => {
            let tokens = Tokens::new(open_store(&place.load()?)?);
            for token in tokens.list().await? {
                say(&line(&token));
            }
        }
        Token::Revoke { id, place } => {
            let tokens = Tokens::new(open_store(&place.load()?)?);
            let revoked = tokens.revoke(&id).await?.with_context(|| {
                format!("{id} names no token, or several: give eight digits or more of an id of `callreel token list`")
            })?;
            say(&format!("revoked {}\n", revoked.id));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn line(token: &TokenInfo) -> String {
    let grant = &token.grant;
    let ends = match grant.expires {
        None => "until revoked".to_owned(),
        Some(at) if at <= Utc::now() => "ended".to_owned(),
        Some(at) => format!("until {}", at.rfc3339()),
    };
    let owner = grant.owner.as_deref().unwrap_or("-");
    format!(
        "{}  {}  {owner}  {}  {ends}  {}\n",
        token.id, grant.account, grant.name, grant.scopes
    )
}
