//! The command `transfer`: which leg it sends elsewhere. How a leg goes there is the same as with a phone's REFER.

use callreel_proto::{Transfer, TransferKind, TransferLeg};

use super::commands::Execution;
use super::referring::{Terms, TransferOrder};
use super::{Channel, ChannelMsg};
use crate::queue::Slip;
use crate::refer::{self, Referral, Target};

impl Channel {
    /// `transfer`.
    pub(super) async fn execute_transfer(&mut self, transfer: Transfer, slip: Slip) -> Execution {
        let Some(number) = refer::number_in(&transfer.to) else {
            let reason = "Transfer-To is neither a number nor a SIP URI of one";
            return self.fail(slip, reason).await;
        };
        if self.is_transferring() {
            let reason = "the call is being transferred already";
            return self.fail(slip, reason).await;
        }
        if transfer.kind == TransferKind::Attended {
            return self.consult(number, transfer, slip).await;
        }
        let leg = transfer.leg;
        let terms = terms_of(transfer);
        match leg {
            None => {
                let order = self.own_order(number, terms);
                self.go(order, slip);
            }
            Some(TransferLeg::Bleg) => self.send_other(&number, terms, slip).await,
            Some(TransferLeg::Both) => {
                let order = self.own_order(number, terms);
                self.send_both(order, slip).await;
            }
        }
        Execution::Done
    }

    /// What makes a leg go to this number of its account.
    pub(super) fn referral_to(&self, number: &str) -> Referral {
        Referral {
            target: Target::Number(number.to_owned()),
            refer_to: format!("sip:{number}@{}", self.realm()),
            referred_by: None,
            tell: false,
        }
    }

    pub(super) fn own_order(&mut self, number: String, terms: Terms) -> TransferOrder {
        let referral = self.referral_to(&number);
        let token = self.number();
        self.transfer_order(token, &number, &referral, terms)
    }

    /// This leg goes; whom it talks to is left.
    fn go(&mut self, order: TransferOrder, slip: Slip) {
        self.on_transfer(order);
        if let Some(transferred) = &mut self.transferred {
            transferred.slip = Some(slip);
        }
    }

    /// Whom this leg talks to goes, and this leg leaves.
    async fn send_other(&mut self, number: &str, terms: Terms, slip: Slip) {
        let referral = self.referral_to(number);
        match self.refer(&referral, terms) {
            Ok((whom, ask)) => {
                self.note_command(slip);
                self.begin_referring(&referral, &whom, ask);
            }
            Err(_) => {
                let reason = "the channel is not bridged: there is no other leg to transfer";
                self.fail(slip, reason).await;
            }
        }
    }

    /// Both go, each by itself: they part at once, for neither has anybody to come back to.
    async fn send_both(&mut self, order: TransferOrder, slip: Slip) {
        if let Some(partner) = self.partner() {
            // One that has ended goes nowhere.
            drop(
                partner
                    .actor
                    .cast(ChannelMsg::Transfer(Box::new(order.clone()))),
            );
            drop(
                partner
                    .actor
                    .cast(ChannelMsg::TransferorGone(order.from.clone())),
            );
        }
        self.go(order, slip);
        self.leave_for_transfer().await;
    }
}

/// How the leg shall go.
pub(super) fn terms_of(transfer: Transfer) -> Terms {
    Terms {
        caller_name: transfer.caller_id_name,
        caller_number: transfer.caller_id_number,
        vars: transfer.custom_channel_vars,
    }
}
