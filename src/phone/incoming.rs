//! What reaches the phone over SIP: calls that ring, and what happens in the dialogs it has. It decides no more than a
//! telephone does.

use std::sync::Arc;

use rsipstack::{
    dialog::dialog::{DialogState, DialogStateReceiver, TransactionHandle},
    sip::{Header, Method, Request, StatusCode},
    transaction::{TransactionReceiver, key::TransactionRole, transaction::Transaction},
};
use tokio::sync::{mpsc, watch};

use super::{
    Answering, Error, Line,
    call::{Call, Ending, ending},
    sdp,
};

/// Takes requests until the phone is off.
pub(super) async fn serve(
    line: Arc<Line>,
    mut incoming: TransactionReceiver,
    rung: mpsc::Sender<Call>,
) {
    loop {
        let next = tokio::select! {
            () = line.off.cancelled() => return,
            next = incoming.recv() => next,
        };
        let Some(transaction) = next else { return };
        if let Err(error) = receive(&line, transaction, &rung).await {
            tracing::debug!(%error, user = %line.setting.identity.user, "request not served");
        }
    }
}

async fn receive(
    line: &Arc<Line>,
    mut transaction: Transaction,
    rung: &mpsc::Sender<Call>,
) -> Result<(), Error> {
    if let Some(mut dialog) = line.dialogs.match_dialog(&transaction) {
        tokio::spawn(async move {
            if let Err(error) = dialog.handle(&mut transaction).await {
                tracing::debug!(%error, "request in a dialog");
            }
        });
        return Ok(());
    }
    match transaction.original.method {
        Method::Invite => ring(line, transaction, rung).await,
        Method::Options => Ok(transaction.reply(StatusCode::OK).await?),
        Method::Ack => Ok(()),
        _ => Ok(transaction
            .reply(StatusCode::CallTransactionDoesNotExist)
            .await?),
    }
}

/// A call for us.
async fn ring(
    line: &Arc<Line>,
    mut transaction: Transaction,
    rung: &mpsc::Sender<Call>,
) -> Result<(), Error> {
    let (told, states) = line.dialogs.new_dialog_state_channel();
    let dialog = line.dialogs.get_or_create_server_invite(
        &transaction,
        told,
        None,
        Some(line.contact.clone()),
    )?;
    let codecs = &line.setting.codecs;
    let call = Call {
        dialog: dialog.clone(),
        audio: line.audio().await?,
        progress: Arc::new(watch::Sender::default()),
        codec: codecs[0],
    };
    tokio::spawn(follow(line.clone(), call.clone(), states));

    let theirs = sdp::read(&transaction.original.body, codecs);
    let mut handler = dialog.clone();
    tokio::spawn(async move {
        if let Err(error) = handler.handle(&mut transaction).await {
            tracing::debug!(%error, "a call that rings");
        }
    });
    let (theirs, answering) = match (theirs, line.setting.answering) {
        (_, Answering::Refuse(code)) => {
            return Ok(dialog.reject(Some(StatusCode::from(code)), None)?);
        }
        (Err(why), _) => {
            tracing::debug!(%why, "a call is refused");
            return Ok(dialog.reject(Some(StatusCode::NotAcceptableHere), None)?);
        }
        (Ok(theirs), answering) => (theirs, answering),
    };
    dialog.ringing(None, None)?;
    if let Answering::After(delay) = answering {
        tokio::spawn(answer_after(delay, call.clone(), theirs));
    }
    if rung.try_send(call).is_err() {
        tracing::debug!("a call rang and nobody looks at this phone");
    }
    Ok(())
}

async fn answer_after(delay: std::time::Duration, call: Call, theirs: sdp::Remote) {
    tokio::select! {
        () = tokio::time::sleep(delay) => {}
        _ = call.ended() => return,
    }
    let body = sdp::answer(call.audio.address(), &theirs, 1);
    match call.dialog.accept(Some(vec![sdp_type()]), Some(body)) {
        Ok(()) => call.answer(theirs).await,
        Err(error) => call.end(Ending::Failed(error.to_string())).await,
    }
}

fn sdp_type() -> Header {
    Header::ContentType("application/sdp".into())
}

/// Follows one dialog until it ends or the phone is off, and tells its call.
pub(super) async fn follow(line: Arc<Line>, call: Call, mut states: DialogStateReceiver) {
    let mut version = 1;
    let client = call.dialog.role() == TransactionRole::Client;
    loop {
        let state = tokio::select! {
            () = line.off.cancelled() => None,
            state = states.recv() => state,
        };
        let Some(state) = state else { break };
        match state {
            DialogState::Early(_, response) if response.status_code != StatusCode::Trying => {
                call.ring();
            }
            // The callee's own 200 shows here too, with its own description: only a caller reads it.
            DialogState::Confirmed(_, response) if client && call.progress().answered.is_none() => {
                match sdp::read(&response.body, &line.setting.codecs) {
                    Ok(remote) => call.answer(remote).await,
                    Err(why) => give_up(&call, why.to_string()),
                }
            }
            DialogState::Updated(_, request, reply) => {
                version += 1;
                renegotiate(&line, &call, &request, reply, version).await;
            }
            DialogState::Terminated(id, reason) => {
                call.end(ending(call.dialog.role(), &reason)).await;
                line.dialogs.remove_dialog(&id);
                return;
            }
            other => acknowledge(other).await,
        }
    }
    call.end(Ending::Failed("the phone was switched off".to_owned()))
        .await;
}

/// An answer nobody can use ends the call, but politely.
fn give_up(call: &Call, why: String) {
    let call = call.clone();
    tokio::spawn(async move {
        call.end(Ending::Failed(why)).await;
        call.hang_up().await;
    });
}

/// A re-INVITE or UPDATE: hold, resume, a new address or codec (RFC 3264 §8).
async fn renegotiate(
    line: &Line,
    call: &Call,
    request: &Request,
    reply: TransactionHandle,
    version: u64,
) {
    if request.body.is_empty() {
        // A refresh or a request for our offer (RFC 3261 §14.2).
        let offer = sdp::offer(call.audio.address(), &line.setting.codecs, version);
        let body = (request.method == Method::Invite).then_some(offer);
        respond(&reply, StatusCode::OK, body).await;
        return;
    }
    match sdp::read(&request.body, &line.setting.codecs) {
        Ok(remote) => {
            let body = sdp::answer(call.audio.address(), &remote, version);
            call.audio.order(super::rtp::Order::Tune(remote)).await;
            respond(&reply, StatusCode::OK, Some(body)).await;
        }
        Err(_) => respond(&reply, StatusCode::NotAcceptableHere, None).await,
    }
}

async fn respond(reply: &TransactionHandle, code: StatusCode, body: Option<Vec<u8>>) {
    let headers = body.is_some().then(|| vec![sdp_type()]);
    // The transaction may have ended before we could answer: nothing is left to do then.
    drop(reply.respond(code, headers, body).await);
}

/// Requests in a dialog that change nothing for a telephone.
async fn acknowledge(state: DialogState) {
    match state {
        DialogState::Info(_, _, reply)
        | DialogState::Options(_, _, reply)
        | DialogState::Message(_, _, reply)
        | DialogState::Notify(_, _, reply) => respond(&reply, StatusCode::OK, None).await,
        DialogState::Refer(_, _, reply) | DialogState::Publish(_, _, reply) => {
            respond(&reply, StatusCode::Decline, None).await;
        }
        _ => {}
    }
}
