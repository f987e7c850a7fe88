//! A new INVITE: refuses what must be refused, opens a leg for the rest and hands it to a channel of its own.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use callreel_proto::{CallId, Utc, random_hex};
use ractor::Actor;
use rsipstack::sip::headers::untyped::ToTypedHeader;
use rsipstack::sip::prelude::HeadersExt;
use rsipstack::sip::{Header, Request, StatusCode, Unsupported, Uri, Warning};
use rsipstack::transaction::Transaction;

use crate::channel::{Begin, ChannelActor, Inbound};
use crate::controls::is_addressable;
use crate::directory::Phone;
use crate::events::{Direction, Parties};
use crate::message::{custom_headers, sdp_of, user_agent};
use crate::peer::{Peer, reachable, unescaped, user_at_host};
use crate::requests::{authenticated, busy};
use crate::rtp::{MediaEvent, MediaLeg};
use crate::sdp::{Allowed, Theirs};
use crate::session_timer::{Verdict, negotiate};
use crate::shared::{Entry, Shared, count};
use crate::vars::Vars;

/// Option tags a caller may require of us.
const SUPPORTED: [&str; 1] = ["timer"];

/// Serves one INVITE that begins a call. Returns once the INVITE has its final answer and the caller's ACK.
pub(crate) async fn invite(shared: &Arc<Shared>, mut tx: Transaction) -> rsipstack::Result<()> {
    tx.send_trying().await?;
    if let Some((status, headers)) = unacceptable(&tx.original) {
        return refuse(shared, &mut tx, status, headers).await;
    }
    let Some(phone) = authenticated(shared, &mut tx).await? else {
        return Ok(());
    };
    let full = shared.channels.calls() >= shared.config.max_calls;
    if full || shared.draining.load(Ordering::Relaxed) {
        count(&shared.counters.refused);
        return busy(&mut tx).await;
    }
    let call_id = match unique_call(shared, &tx.original) {
        Ok(call_id) => call_id,
        Err(status) => return refuse(shared, &mut tx, status, Vec::new()).await,
    };
    let (timer, theirs, allowed) = match negotiated(shared, &tx.original, &phone) {
        Ok(agreed) => agreed,
        Err((status, headers)) => return refuse(shared, &mut tx, status, headers).await,
    };
    let (media, events) = match shared.engine.open() {
        Ok(opened) => opened,
        Err(error) => {
            tracing::error!(%error, "a call was refused");
            count(&shared.counters.refused);
            return busy(&mut tx).await;
        }
    };
    let offer = Offer {
        call_id,
        phone,
        timer,
        theirs,
        allowed,
        media,
        events,
    };
    begin(shared, tx, offer).await
}

struct Offer {
    call_id: CallId,
    phone: Phone,
    timer: Option<crate::session_timer::Timer>,
    theirs: Option<Theirs>,
    allowed: Allowed,
    media: MediaLeg,
    events: tokio::sync::mpsc::Receiver<MediaEvent>,
}

async fn begin(shared: &Arc<Shared>, mut tx: Transaction, offer: Offer) -> rsipstack::Result<()> {
    let Some(peer) = Peer::of(&tx) else {
        return tx.reply(StatusCode::BadRequest).await;
    };
    let (states, states_of) = shared.dialogs.new_dialog_state_channel();
    let contact = Some(shared.own.contact(peer));
    let dialog = match shared
        .dialogs
        .get_or_create_server_invite(&tx, states, None, contact)
    {
        Ok(dialog) => dialog,
        Err(_) => return tx.reply(StatusCode::BadRequest).await,
    };
    if let Some(uri) = caller_contact(&tx.original) {
        let contact = tx.original.contact_header().ok().cloned();
        rsipstack::dialog::dialog::Dialog::Invite(dialog.clone())
            .set_remote_target(reachable(&uri, peer), contact);
    }
    let fetch_id = random_hex(32);
    let parties = parties(&tx.original, &offer.phone);
    let max_forwards = tx
        .original
        .max_forwards_header()
        .ok()
        .and_then(|h| h.value().trim().parse().ok());
    let call_id = offer.call_id.clone();
    let arguments = Inbound {
        peer,
        dialog: dialog.clone(),
        states: states_of,
        parties,
        channel_vars: channel_vars(&offer.phone, &offer.call_id, &fetch_id),
        fetch_id,
        sip_headers: custom_headers(&tx.original),
        user_agent: user_agent(&tx.original),
        media: offer.media,
        events: offer.events,
        theirs: offer.theirs,
        allowed: offer.allowed,
        timer: offer.timer,
        max_forwards: max_forwards.unwrap_or(70u32),
    };
    let begin = Begin::Inbound(Box::new(arguments));
    let spawned = Actor::spawn_linked(
        None,
        ChannelActor,
        (shared.clone(), call_id.clone(), begin),
        shared.supervisor.clone(),
    )
    .await;
    if let Err(error) = spawned {
        tracing::error!(%call_id, %error, "a channel did not start");
        shared.channels.remove(&call_id);
        drop(dialog.reject(Some(StatusCode::ServerInternalError), None));
    }
    let mut dialog = dialog;
    dialog.handle(&mut tx).await
}

type Refusal = (StatusCode, Vec<Header>);

async fn refuse(
    shared: &Shared,
    tx: &mut Transaction,
    status: StatusCode,
    headers: Vec<Header>,
) -> rsipstack::Result<()> {
    count(&shared.counters.refused);
    tx.reply_with(status, headers, None).await
}

/// What is wrong with the request before anybody is asked (RFC 3261 §8.2, §16.3).
fn unacceptable(request: &Request) -> Option<Refusal> {
    let hops = request
        .max_forwards_header()
        .ok()
        .map(|h| h.value().trim().parse::<u32>());
    match hops {
        Some(Ok(0)) => return Some((StatusCode::TooManyHops, Vec::new())),
        Some(Err(_)) => return Some((StatusCode::BadRequest, Vec::new())),
        Some(Ok(_)) | None => {}
    }
    let required = request.headers.iter().filter_map(|header| match header {
        Header::Require(require) => Some(require.value()),
        _ => None,
    });
    let unknown: Vec<_> = required
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|tag| !tag.is_empty() && !SUPPORTED.iter().any(|s| s.eq_ignore_ascii_case(tag)))
        .collect();
    if !unknown.is_empty() {
        let headers = vec![Header::Unsupported(Unsupported::new(unknown.join(", ")))];
        return Some((StatusCode::BadExtension, headers));
    }
    if caller_contact(request).is_none() {
        return Some((StatusCode::BadRequest, Vec::new()));
    }
    if sdp_of(request).is_err() {
        let headers = vec![Header::Accept("application/sdp".into())];
        return Some((StatusCode::UnsupportedMediaType, headers));
    }
    None
}

fn caller_contact(request: &Request) -> Option<rsipstack::sip::Uri> {
    let contacts = request.typed_contact_headers().ok()?;
    contacts.into_iter().next().map(|c| unescaped(c.uri))
}

/// The call's id, unless it is so long that no message could be about it, or a call with it is here already: then the request has come
/// back to us, or by two ways (RFC 3261 §8.2.2.2).
fn unique_call(shared: &Shared, request: &Request) -> Result<CallId, StatusCode> {
    let header = request.call_id_header().ok();
    let call_id = header.and_then(|h| CallId::parse(h.value()).ok());
    let call_id = call_id.filter(is_addressable);
    let call_id = call_id.ok_or(StatusCode::BadRequest)?;
    match shared.channels.find(&call_id) {
        None => Ok(call_id),
        Some(_) => Err(StatusCode::LoopDetected),
    }
}

type Negotiated = (Option<crate::session_timer::Timer>, Option<Theirs>, Allowed);

fn negotiated(shared: &Shared, request: &Request, phone: &Phone) -> Result<Negotiated, Refusal> {
    let timer = match negotiate(request, shared.config.session_timer_min_s) {
        Verdict::None => None,
        Verdict::Kept(timer) => Some(timer),
        Verdict::TooShort(min) => {
            return Err((
                StatusCode::SessionIntervalTooSmall,
                vec![Header::MinSE(min)],
            ));
        }
    };
    let allowed = Allowed::from_names(&phone.device.codecs, &shared.config.codecs.0);
    let body = sdp_of(request).unwrap_or_default();
    let theirs = match body.map(Theirs::read).transpose() {
        Ok(theirs) => theirs,
        Err(error) => return Err(sdp_refusal(&error)),
    };
    if let Some(theirs) = &theirs {
        theirs.choose(&allowed, None).map_err(|e| sdp_refusal(&e))?;
    }
    Ok((timer, theirs, allowed))
}

/// 400 or 488, with the reason in a Warning (RFC 3261 §20.43).
pub(crate) fn sdp_refusal(error: &crate::sdp::Error) -> Refusal {
    let (status, code) = match error {
        crate::sdp::Error::Malformed(_) => (StatusCode::BadRequest, 399),
        crate::sdp::Error::NothingInCommon => (StatusCode::NotAcceptableHere, 305),
    };
    let text = error.to_string().replace(['"', '\\', '\r', '\n'], "'");
    let warning = Warning::new(format!("{code} callreel \"{text}\""));
    (status, vec![Header::Warning(warning)])
}

fn parties(request: &Request, phone: &Phone) -> Parties {
    let realm = Some(phone.realm.as_str());
    let from = request.from_header().ok().and_then(|h| h.typed().ok());
    let to = request.to_header().ok().and_then(|h| h.uri().ok());
    let number = from
        .as_ref()
        .and_then(|f| unescaped(f.uri.clone()).auth)
        .map_or_else(|| phone.username.clone(), |auth| auth.user);
    let name = from.as_ref().and_then(|f| f.display_name.clone());
    let party = |uri: Option<&Uri>, realm| uri.map_or_else(String::new, |u| user_at_host(u, realm));
    let caller = from.as_ref().map(|f| &f.uri);
    let dialled = unescaped(request.uri.clone()).auth.map(|auth| auth.user);
    Parties {
        from: party(caller, realm),
        to: party(to.as_ref(), realm),
        request: user_at_host(&request.uri, realm),
        from_uri: party(caller, None),
        to_uri: party(to.as_ref(), None),
        phone: format!("{}@{}", phone.username, phone.realm),
        caller_name: name
            .filter(|n| !n.is_empty())
            .or_else(|| phone.device.name.clone())
            .unwrap_or_else(|| number.clone()),
        caller_number: number,
        callee_name: None,
        callee_number: dialled,
    }
}

fn channel_vars(phone: &Phone, call_id: &CallId, fetch_id: &str) -> Vars {
    // Kazoo's shape: all legs of a conversation share it.
    let interaction = format!("{}-{}", Utc::now().gregorian_seconds(), random_hex(8));
    let vars = [
        ("Account-ID", Some(phone.account.as_str().to_owned())),
        ("Account-Realm", Some(phone.realm.clone())),
        ("Realm", Some(phone.realm.clone())),
        ("Username", Some(phone.username.clone())),
        ("Authorizing-ID", Some(phone.device.id.clone())),
        ("Authorizing-Type", Some("device".to_owned())),
        ("Owner-ID", phone.device.owner_id.clone()),
        ("Fetch-ID", Some(fetch_id.to_owned())),
        ("Call-Interaction-ID", Some(interaction)),
        ("Bridge-ID", Some(call_id.to_string())),
        ("Channel-Authorized", Some("true".to_owned())),
    ];
    vars.into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect()
}

/// The registry's entry for a new channel.
pub(crate) fn entry(
    actor: ractor::ActorRef<crate::channel::ChannelMsg>,
    direction: Direction,
) -> Entry {
    Entry {
        actor,
        direction,
        dialog: None,
        controller: None,
    }
}
