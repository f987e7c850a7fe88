//! REGISTER: reads what a phone asks of the registrar, applies it to the location table, answers, and tells the bus.

use std::sync::Arc;
use std::time::{Duration, Instant};

use callreel_proto::{AccountDb, Envelope, Exchange, Headers, RegSuccess, Utc};
use rsipstack::sip::prelude::HeadersExt;
use rsipstack::sip::typed::Contact as ContactHeader;
use rsipstack::sip::{Header, MinExpires, Param, Scheme, StatusCode};
use rsipstack::transaction::Transaction;

use crate::directory::Phone;
use crate::location::{Binding, Change, Contact, Refusal, Registration};
use crate::mwi;
use crate::peer::{Peer, reachable, unescaped, user_at_host};
use crate::requests::authenticated;
use crate::shared::{Shared, count, locked};

/// Serves one REGISTER.
pub(crate) async fn register(shared: &Arc<Shared>, mut tx: Transaction) -> rsipstack::Result<()> {
    let Some(phone) = authenticated(shared, &mut tx).await? else {
        return Ok(());
    };
    let Some(peer) = Peer::of(&tx) else {
        return tx.reply(StatusCode::BadRequest).await;
    };
    let change = match wanted(shared, &tx) {
        Ok(change) => change,
        Err(Bad::Request) => return tx.reply(StatusCode::BadRequest).await,
        Err(Bad::TooBrief) => {
            let min = MinExpires::new(shared.config.register_min_s.to_string());
            let headers = vec![Header::MinExpires(min)];
            return tx
                .reply_with(StatusCode::IntervalTooBrief, headers, None)
                .await;
        }
    };
    let Some(registration) = registration(&phone, &tx, peer, change) else {
        return tx.reply(StatusCode::BadRequest).await;
    };
    let now = Instant::now();
    let known = locked(&shared.location).find(now, &phone.username, Some(&phone.realm), None);
    let outcome = locked(&shared.location).register(now, &registration);
    match outcome {
        Ok(bindings) => {
            count(&shared.counters.registrations);
            let contacts = bindings.iter().map(|b| listed(b, now)).collect();
            tx.reply_with(StatusCode::OK, contacts, None).await?;
            if let Some(binding) = bindings.first() {
                tell(shared, &phone, binding, now).await;
                if known.is_empty() {
                    mwi::registered(shared, &phone).await;
                }
            }
            Ok(())
        }
        Err(Refusal::OutOfOrder) => tx.reply(StatusCode::ServerInternalError).await,
        Err(Refusal::TooMany) => tx.reply(StatusCode::Forbidden).await,
    }
}

enum Bad {
    Request,
    TooBrief,
}

/// RFC 3261 §10.3, steps 5 to 7.
fn wanted(shared: &Shared, tx: &Transaction) -> Result<Change, Bad> {
    let request = &tx.original;
    let headers = request.typed_contact_headers().map_err(|_| Bad::Request)?;
    let expires = request
        .expires_header()
        .and_then(|h| h.value().trim().parse::<u32>().ok());
    let is_wildcard =
        |c: &ContactHeader| matches!(&c.uri.scheme, Some(Scheme::Other(s)) if s == "*");
    if headers.iter().any(is_wildcard) {
        return match (headers.len(), expires) {
            (1, Some(0)) => Ok(Change::RemoveAll),
            _ => Err(Bad::Request),
        };
    }
    if headers.is_empty() {
        return Ok(Change::Nothing);
    }
    let config = &shared.config;
    let contacts = headers.into_iter().map(|header| {
        let asked = header
            .expires()
            .or(expires)
            .unwrap_or(config.register_max_s);
        if asked > 0 && asked < config.register_min_s {
            return Err(Bad::TooBrief);
        }
        let seconds = asked.min(config.register_max_s);
        Ok(Contact {
            instance: instance(&header.params),
            uri: unescaped(header.uri),
            lifetime: Duration::from_secs(seconds.into()),
        })
    });
    contacts.collect::<Result<_, _>>().map(Change::Contacts)
}

fn instance(params: &[Param]) -> Option<String> {
    params.iter().find_map(|param| match param {
        Param::Other(name, Some(value)) if name.value().eq_ignore_ascii_case("+sip.instance") => {
            Some(value.value().to_owned())
        }
        _ => None,
    })
}

fn registration(
    phone: &Phone,
    tx: &Transaction,
    peer: Peer,
    change: Change,
) -> Option<Registration> {
    let request = &tx.original;
    let asked = request.uri.host_with_port.host.to_string();
    let mut realms = vec![phone.realm.clone(), asked];
    realms.extend(phone.device.realm.clone());
    realms.dedup();
    Some(Registration {
        account: phone.account.clone(),
        username: phone.username.clone(),
        realms,
        device: phone.device.id.clone(),
        owner: phone.device.owner_id.clone(),
        codecs: phone.device.codecs.clone(),
        peer,
        call_id: request.call_id_header().ok()?.value().to_owned(),
        cseq: request.cseq_header().ok()?.seq().ok()?,
        change,
    })
}

fn listed(binding: &Binding, now: Instant) -> Header {
    let left = binding.expires.saturating_duration_since(now).as_secs();
    let value = format!("<{}>;expires={left}", binding.contact);
    Header::Contact(value.into())
}

/// `reg_success` (Kazoo `kapi_registration`), for registrars and caches beside us.
async fn tell(shared: &Shared, phone: &Phone, binding: &Binding, now: Instant) {
    let source = binding.peer.addr;
    let body = RegSuccess {
        realm: phone.realm.clone(),
        username: phone.username.clone(),
        contact: binding.contact.to_string(),
        original_contact: Some(binding.contact.to_string()),
        bridge_ruri: Some(reachable(&binding.contact, binding.peer).to_string()),
        aor: Some(user_at_host(&binding.contact, Some(&phone.realm))),
        expires_s: binding.expires.saturating_duration_since(now).as_secs(),
        timestamp: Utc::now().gregorian_seconds(),
        account_id: Some(phone.account.to_string()),
        account_db: Some(AccountDb::name(&phone.account)),
        authorizing_id: Some(phone.device.id.clone()),
        source_ip: Some(source.ip().to_string()),
        source_port: Some(source.port().to_string()),
        registrar_node: Some(shared.identity.node.clone()),
        status: Some("Registered".to_owned()),
    };
    let key = body.routing_key();
    let headers = Headers::new("directory", "reg_success");
    let envelope = Envelope { headers, body };
    shared.tell(Exchange::Registrar, &key, envelope).await;
}
