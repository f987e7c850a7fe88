//! A new INVITE: refuses what must be refused, opens a leg for the rest and hands it to a channel of its own.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use callreel_proto::{CallId, random_hex};
use ractor::Actor;
use rsipstack::sip::prelude::HeadersExt;
use rsipstack::sip::{Header, Request, StatusCode, Unsupported, Warning};
use rsipstack::transaction::Transaction;

use crate::caller::Caller;
use crate::channel::{Begin, ChannelActor, Inbound};
use crate::controls::is_addressable;
use crate::events::Direction;
use crate::message::{custom_headers, sdp_of, user_agent};
use crate::peer::{Peer, reachable, unescaped};
use crate::requests::{authenticated, busy};
use crate::rtp::{MediaEvent, MediaLeg};
use crate::sdp::{Allowed, Theirs};
use crate::session_timer::{Verdict, negotiate};
use crate::shared::{Entry, Shared, count};
use crate::trunks;

/// Option tags a caller may require of us.
const SUPPORTED: [&str; 1] = ["timer"];

/// Serves one INVITE that begins a call. Returns once the INVITE has its final answer and the caller's ACK.
pub(crate) async fn invite(shared: &Arc<Shared>, mut tx: Transaction) -> rsipstack::Result<()> {
    tx.send_trying().await?;
    if let Some((status, headers)) = unacceptable(&tx.original) {
        return refuse(shared, &mut tx, status, headers).await;
    }
    let Some(caller) = caller(shared, &mut tx).await? else {
        return Ok(());
    };
    let full = shared.channels.calls() >= shared.config.max_calls;
    if full || shared.draining.load(Ordering::Relaxed) {
        count(&shared.counters.refused);
        return busy(&mut tx).await;
    }
    let call_id = match unique_call(shared, &caller, &tx.original) {
        Ok(call_id) => call_id,
        Err(status) => return refuse(shared, &mut tx, status, Vec::new()).await,
    };
    let (timer, theirs, allowed) = match negotiated(shared, &tx.original, &caller) {
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
        caller,
        timer,
        theirs,
        allowed,
        media,
        events,
    };
    begin(shared, tx, offer).await
}

/// Who calls; none if the INVITE has been refused, or has yet to prove it.
async fn caller(shared: &Shared, tx: &mut Transaction) -> rsipstack::Result<Option<Caller>> {
    if let Some(looped) = shared.loopbacks.take(&tx.original) {
        return Ok(Some(Caller::Looped(Box::new(looped))));
    }
    let Some(peer) = Peer::of(tx) else {
        tx.reply(StatusCode::BadRequest).await?;
        return Ok(None);
    };
    let trunks = &shared.trunks;
    match trunks.recognise(&shared.store, &tx.original, peer).await {
        Ok(trunks::Inbound::Call(carrier)) => Ok(Some(Caller::Carrier(carrier))),
        Ok(trunks::Inbound::Unknown) => {
            count(&shared.counters.refused);
            tracing::info!(number = %tx.original.uri, from = %peer.addr, "a trunk calls a number that is no account's");
            tx.reply(StatusCode::NotFound).await?;
            Ok(None)
        }
        Ok(trunks::Inbound::Stranger) => {
            let phone = authenticated(shared, tx).await?;
            Ok(phone.map(|phone| Caller::Phone(Box::new(phone))))
        }
        Err(error) => {
            tracing::error!(%error, "trunks and numbers could not be looked up");
            tx.reply(StatusCode::ServerInternalError).await?;
            Ok(None)
        }
    }
}

struct Offer {
    call_id: CallId,
    caller: Caller,
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
    let parties = offer.caller.parties(&tx.original);
    let caller = &offer.caller;
    let channel_vars = caller.channel_vars(&tx.original, &offer.call_id, &fetch_id);
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
        channel_vars,
        fetch_id,
        sip_headers: custom_headers(&tx.original),
        user_agent: user_agent(&tx.original),
        media: offer.media,
        events: offer.events,
        theirs: offer.theirs,
        allowed: offer.allowed,
        timer: offer.timer,
        max_forwards: max_forwards.unwrap_or(70u32),
        asked_in: caller.asked_in(),
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
fn unique_call(shared: &Shared, caller: &Caller, request: &Request) -> Result<CallId, StatusCode> {
    if matches!(caller, Caller::Looped(_)) {
        // Its Call-ID is that of the leg that sent it.
        return Ok(CallId::new(random_hex(32)));
    }
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

fn negotiated(shared: &Shared, request: &Request, caller: &Caller) -> Result<Negotiated, Refusal> {
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
    let allowed = Allowed::from_names(caller.codecs(), &shared.config.codecs.0);
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
