//! Who is to be told of a call that nobody took, and when there was one. Never looks an address up.

use callreel_proto::{CallEvent, Notification, NotificationName, user_and_realm};
use serde_json::Value;

use crate::stage::Stage;
use crate::talk::Effect;

/// Alerts that wait for the end of one call: a flow that loops through more says nothing new.
const MOST_ALERTS: usize = 16;

/// What a call's end decides.
#[derive(Debug, Default)]
pub(crate) struct Missed {
    /// The event that ended the call, once it has.
    pub(crate) end: Option<CallEvent>,
    /// Mail addresses of each alert; none of them stands for the account's own.
    alerts: Vec<Vec<String>>,
    /// Somebody spoke with the caller.
    pub(crate) bridged: bool,
    /// The caller left a message.
    pub(crate) message_left: bool,
}

impl Stage {
    /// A notification that says whose call this is.
    pub(crate) fn notification(&self) -> Notification {
        let call = &self.call;
        let (from_user, from_realm) = user_and_realm(&call.from);
        let (to_user, to_realm) = user_and_realm(&call.to);
        Notification {
            call_id: Some(call.call_id.clone()),
            from_user: Some(from_user.to_owned()),
            from_realm: Some(from_realm.to_owned()),
            to_user: Some(to_user.to_owned()),
            to_realm: Some(to_realm.to_owned()),
            caller_id_name: call.caller_id_name.clone(),
            caller_id_number: call.caller_id_number.clone(),
            ..Notification::new(call.account_id.clone())
        }
    }

    /// Publishes it.
    pub(crate) fn notify(&mut self, name: NotificationName, fields: Notification) {
        let fields = Box::new(fields);
        self.effect(Effect::Notification { name, fields });
    }

    /// If nobody takes the call, write to these addresses. The same alert twice is one.
    pub(crate) fn alert_if_missed(&mut self, addresses: Vec<String>) {
        let alerts = &mut self.missed.alerts;
        if alerts.len() < MOST_ALERTS && !alerts.contains(&addresses) {
            alerts.push(addresses);
        }
    }

    /// The call is gone: if nobody took it, those who wanted to know are told.
    pub(crate) fn tell_missed(&mut self) {
        let alerts = std::mem::take(&mut self.missed.alerts);
        if self.missed.bridged || self.missed.message_left {
            return;
        }
        for addresses in alerts {
            let notify = serde_json::to_value(&self.missed.end).unwrap_or_default();
            let fields = Notification {
                to: Some(addresses).filter(|to| !to.is_empty()),
                notify: match notify {
                    Value::Object(event) => Some(event),
                    _ => None,
                },
                call_bridged: Some(false),
                message_left: Some(false),
                ..self.notification()
            };
            self.notify(NotificationName::MissedCall, fields);
        }
    }
}
