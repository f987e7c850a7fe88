//! The leg whose phone sends REFER: asks the leg it is joined to to go elsewhere, tells the phone what came of it, and leaves.

use std::time::Duration;

use callreel_proto::{CallId, EventName, HangupCause};
use ractor::ActorRef;
use rsipstack::dialog::dialog::TransactionHandle;
use rsipstack::dialog::invite_dialog::InviteDialog;
use rsipstack::sip::{Header, Request, StatusCode};
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use super::dialog::reply;
use super::joining::JoinOrder;
use super::{Channel, ChannelMsg, Due};
use crate::queue::Slip;
use crate::refer::{self, Referral, Target, notify_headers, sipfrag};

/// How long a phone has to answer that it was told; it is left all the same.
const NOTIFY_PATIENCE: Duration = Duration::from_secs(2);

/// A REFER that nobody has decided about for so long has failed: whoever was asked is gone.
const DECISION_PATIENCE: Duration = Duration::from_secs(32);

/// A REFER of this leg's phone, or a command that wants the same, that is being carried out.
pub(super) struct Referring {
    pub(super) number: u64,
    kind: Kind,
    /// Where the other leg goes: the dialled `user@realm`, or the Call-ID of the leg it is joined to.
    to: String,
    /// Takes the final status.
    teller: Option<oneshot::Sender<StatusCode>>,
    pub(super) stage: Stage,
    /// The command, if no phone wants it.
    slip: Option<Slip>,
    /// The leg that the phone talked to nobody on: it leaves, too.
    second: Option<ActorRef<ChannelMsg>>,
}

impl Referring {
    fn new(number: u64, kind: Kind, to: String) -> Self {
        Self {
            number,
            kind,
            to,
            teller: None,
            stage: Stage::Asked,
            slip: None,
            second: None,
        }
    }

    /// That the other leg go where the phone's second one has gone, for it talks to nobody there.
    pub(super) fn go_on_blind(&mut self, to: String, second: ActorRef<ChannelMsg>) {
        self.kind = Kind::Blind;
        self.to = to;
        self.second = Some(second);
    }

    /// That the other ends of this leg's two conversations be joined.
    pub(super) fn attended(number: u64) -> Self {
        Self::new(number, Kind::Attended, String::new())
    }
}

/// Whether the transferor has talked to the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No.
    Blind,
    /// Yes.
    Attended,
}

impl Kind {
    /// As events have it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Blind => "blind",
            Self::Attended => "attended",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The other leg looks for where to go.
    Asked,
    /// It has gone: this leg only tells its phone and ends.
    Left,
    /// Nobody wants it: the conversation goes on.
    Failed,
}

/// What a leg is asked by the leg it is joined to.
#[derive(Debug, Clone)]
pub(crate) struct TransferOrder {
    /// Who asks.
    pub(crate) by: ActorRef<ChannelMsg>,
    /// Its leg.
    pub(crate) from: CallId,
    /// Its number for this.
    pub(crate) number: u64,
    /// The number that shall be called.
    pub(crate) to: String,
    /// The URI in `Refer-To`.
    pub(crate) refer_to: String,
    /// Who asked for it, as a SIP header's value.
    pub(crate) referred_by: String,
    /// How it shall go.
    pub(super) terms: Terms,
}

/// How a command wants a leg to go: with which name and number, and which variables beside its own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Terms {
    pub(super) caller_name: Option<String>,
    pub(super) caller_number: Option<String>,
    pub(super) vars: Map<String, Value>,
}

impl Channel {
    /// REFER.
    pub(super) async fn on_refer(&mut self, request: &Request, handle: TransactionHandle) {
        match self.accept_referral(request) {
            Ok((referral, whom, ask)) => {
                let sub = (!referral.tell)
                    .then(|| Header::Other("Refer-Sub".to_owned(), "false".to_owned()));
                let headers = sub.into_iter().collect();
                reply(&handle, StatusCode::Accepted, headers, None).await;
                sent(&handle, StatusCode::Accepted).await;
                self.begin_referring(&referral, &whom, ask);
            }
            Err(status) => reply(&handle, status, Vec::new(), None).await,
        }
    }

    /// What to ask of whom for this REFER, or the status that refuses it.
    fn accept_referral(
        &mut self,
        request: &Request,
    ) -> Result<(Referral, ActorRef<ChannelMsg>, ChannelMsg), StatusCode> {
        let referral = refer::read(request)?;
        let (whom, ask) = self.refer(&referral, Terms::default())?;
        Ok((referral, whom, ask))
    }

    /// It is being transferred, or transfers another.
    pub(super) fn is_transferring(&self) -> bool {
        self.referring.is_some() || self.transferred.is_some() || self.consulting.is_some()
    }

    /// What to ask of whom, or the status that refuses it.
    pub(super) fn refer(
        &mut self,
        referral: &Referral,
        terms: Terms,
    ) -> Result<(ActorRef<ChannelMsg>, ChannelMsg), StatusCode> {
        if self.is_transferring() {
            // One after the other: this also bounds what a phone gone wild can have us do.
            return Err(StatusCode::RequestPending);
        }
        let partner = self.partner().ok_or(StatusCode::Forbidden)?;
        let number = self.number();
        let (kind, to, whom, ask) = match &referral.target {
            Target::Number(to) => {
                let order = self.transfer_order(number, to, referral, terms);
                let ask = ChannelMsg::Transfer(Box::new(order));
                let to = format!("{to}@{}", self.realm());
                (Kind::Blind, to, partner.actor, ask)
            }
            Target::Call { call_id, tags } => {
                let channels = &self.shared.channels;
                let second = channels.find(call_id);
                // Its own call, or the other end of it, is no other call.
                let own = [&self.call_id, &partner.leg.call_id].contains(&call_id);
                let second = second.filter(|_| !own);
                let second = second.ok_or(StatusCode::CallTransactionDoesNotExist)?;
                let order = JoinOrder {
                    by: self.me.clone(),
                    number,
                    account: self.channel_vars.get("Account-ID").map(str::to_owned),
                    tags: tags.clone(),
                    referral: referral.clone(),
                };
                let ask = ChannelMsg::Join(Box::new(order));
                (Kind::Attended, String::new(), second, ask)
            }
        };
        self.referring = Some(Referring::new(number, kind, to));
        Ok((whom, ask))
    }

    /// Asks, and has the phone told what comes of it.
    pub(super) fn begin_referring(
        &mut self,
        referral: &Referral,
        whom: &ActorRef<ChannelMsg>,
        ask: ChannelMsg,
    ) {
        self.tell_phone(referral);
        // Who has ended has told this leg, or will.
        drop(whom.cast(ask));
        if let Some(referring) = &self.referring {
            self.set_timer(DECISION_PATIENCE, Due::Refer(referring.number));
        }
    }

    /// It is this command that wants it.
    pub(super) fn note_command(&mut self, slip: Slip) {
        if let Some(referring) = &mut self.referring {
            referring.slip = Some(slip);
        }
    }

    pub(super) fn transfer_order(
        &self,
        number: u64,
        to: &str,
        referral: &Referral,
        terms: Terms,
    ) -> TransferOrder {
        TransferOrder {
            by: self.me.clone(),
            from: self.call_id.clone(),
            number,
            to: to.to_owned(),
            refer_to: referral.refer_to.clone(),
            referred_by: match &referral.referred_by {
                Some(by) => by.clone(),
                None => format!("<sip:{}>", self.parties.phone),
            },
            terms,
        }
    }

    /// Tells the phone that it is tried, and later how it went. After that the channel hears that it was told.
    fn tell_phone(&mut self, referral: &Referral) {
        let (Some(referring), Some(dialog)) = (&mut self.referring, &self.dialog) else {
            return;
        };
        let (teller, told) = oneshot::channel();
        referring.teller = Some(teller);
        let (me, number) = (self.me.clone(), referring.number);
        let dialog = referral.tell.then(|| dialog.clone());
        self.shared.tasks.spawn(async move {
            if let Some(dialog) = &dialog {
                notify(dialog, &StatusCode::Trying, false).await;
            }
            // A channel that ends has nothing more to tell.
            let Ok(status) = told.await else { return };
            if let Some(dialog) = &dialog {
                notify(dialog, &status, true).await;
            }
            drop(me.cast(ChannelMsg::Told(number)));
        });
    }

    /// Where the other leg goes is known.
    pub(super) fn note_goal(&mut self, to: &CallId) {
        if let Some(referring) = &mut self.referring {
            referring.to = to.to_string();
        }
    }

    /// The other leg has gone elsewhere, or nobody wants it there.
    pub(super) async fn on_transfer_outcome(&mut self, number: u64, refused: Option<u16>) {
        let Some(referring) = self.referring.as_mut().filter(|r| r.number == number) else {
            return;
        };
        let status = match refused {
            Some(code) => {
                referring.stage = Stage::Failed;
                if let Some(slip) = referring.slip.take() {
                    self.fail(slip, &nobody(code)).await;
                }
                StatusCode::from(code)
            }
            None => {
                self.leave().await;
                StatusCode::OK
            }
        };
        let teller = self.referring.as_mut().and_then(|r| r.teller.take());
        if let Some(teller) = teller {
            drop(teller.send(status));
        }
    }

    /// The other leg has ended, or nobody decides: the phone is told that there is nobody to go elsewhere.
    pub(super) async fn give_up_referring(&mut self, number: Option<u64>) {
        let asked = self.referring.as_ref().filter(|r| r.stage == Stage::Asked);
        let asked = asked.map(|referring| referring.number);
        if let Some(asked) = asked.filter(|asked| number.is_none_or(|number| number == *asked)) {
            self.on_transfer_outcome(asked, Some(480)).await;
        }
    }

    /// The phone knows how its REFER went.
    pub(super) async fn on_told(&mut self, number: u64) {
        if self.referring.as_ref().is_some_and(|r| r.number == number) {
            let referring = self.referring.take();
            if referring.is_some_and(|r| r.stage == Stage::Left) {
                self.end(HangupCause::NormalClearing).await;
            }
        }
    }

    /// The leg ends while the other one still looks for where to go: that one goes on without it.
    pub(super) async fn leave_if_referring(&mut self) {
        let asked = |r: &Referring| r.stage == Stage::Asked && r.kind == Kind::Blind;
        if self.referring.as_ref().is_some_and(asked)
            && let Some(partner) = self.partner()
        {
            let gone = ChannelMsg::TransferorGone(self.call_id.clone());
            drop(partner.actor.cast(gone));
            self.leave().await;
        }
    }

    /// Lets go of the other leg, which is another's now.
    async fn leave(&mut self) {
        let Some(referring) = &mut self.referring else {
            return;
        };
        referring.stage = Stage::Left;
        if let Some(second) = referring.second.take() {
            // It may have ended by itself.
            drop(second.cast(ChannelMsg::HangUp(HangupCause::NormalClearing)));
        }
        let (kind, to) = (referring.kind, referring.to.clone());
        self.publish(EventName::ChannelTransferor, |event| {
            event.transfer_type = Some(kind.name().to_owned());
            event.transfer_to = Some(to);
        })
        .await;
        self.let_go().await;
    }
}

/// Why a command to transfer was not carried out.
pub(super) fn nobody(code: u16) -> String {
    format!("nobody takes the call where it was to go (SIP status {code}); it stays")
}

/// Waits until a final answer has left: a phone may not expect a NOTIFY before it, though RFC 6665 §4.1.2.4 wants it to. The
/// handle takes more answers until then, of which none is sent, and none thereafter.
async fn sent(handle: &TransactionHandle, status: StatusCode) {
    while handle.respond(status.clone(), None, None).await.is_ok() {}
}

/// One NOTIFY. A phone that does not answer is none the worse off.
async fn notify(dialog: &InviteDialog, status: &StatusCode, is_final: bool) {
    let told = dialog.notify(Some(notify_headers(is_final)), Some(sipfrag(status)));
    match tokio::time::timeout(NOTIFY_PATIENCE, told).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a phone was not told of its REFER"),
        Err(_) => tracing::debug!("a phone does not answer that it was told of its REFER"),
    }
}
