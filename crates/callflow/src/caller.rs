//! Who the caller is to those who are called: name, number, what is put before them, and what is hidden. Never rings anybody.

use callreel_proto::{Application, InsertAt, SetVars};
use serde_json::{Map, Value, json};

use crate::stage::Stage;
use crate::talk::CallInfo;

/// Names and numbers grow with each prefix; no display shows more, and no SIP header needs to carry more.
const LONGEST: usize = 256;
/// RFC 3323 §4.1.1.3: what an anonymous caller is called.
const ANONYMOUS: (&str, &str) = ("Anonymous", "anonymous");
/// Kazoo's variables for what is hidden.
const HIDE_NAME: &str = "Privacy-Hide-Name";
const HIDE_NUMBER: &str = "Privacy-Hide-Number";
/// Kazoo's variable for the header of that name.
const ALERT_INFO: &str = "Alert-Info";

/// A name and a number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Identity {
    pub(crate) name: Option<String>,
    pub(crate) number: Option<String>,
}

/// How a callee sees the caller.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) name: Option<String>,
    pub(crate) number: Option<String>,
    /// Variables of the bridge that tell the switch what to hide (RFC 3323).
    pub(crate) vars: Map<String, Value>,
}

/// What the flow has made of the caller's identity. [`CallInfo`] has what comes of it.
#[derive(Debug, Default)]
pub(crate) struct Caller {
    /// As it came, or as a list or rule of the account knows it.
    given: Identity,
    /// Put before it.
    prefix: Identity,
    /// In its place, prefix or not.
    instead: Identity,
}

impl Caller {
    /// As the call came.
    pub(crate) fn of(call: &CallInfo) -> Self {
        let given = Identity {
            name: call.caller_id_name.clone(),
            number: call.caller_id_number.clone(),
        };
        Self {
            given,
            ..Self::default()
        }
    }

    fn shown(&self) -> Identity {
        let one = |instead: &Option<String>, prefix: &Option<String>, given: &Option<String>| {
            let prefixed = || match prefix {
                Some(prefix) => Some(format!("{prefix}{}", given.as_deref().unwrap_or_default())),
                None => given.clone(),
            };
            let text = instead.clone().or_else(prefixed)?;
            Some(text.chars().take(LONGEST).collect())
        };
        Identity {
            name: one(&self.instead.name, &self.prefix.name, &self.given.name),
            number: one(
                &self.instead.number,
                &self.prefix.number,
                &self.given.number,
            ),
        }
    }
}

impl Stage {
    /// The caller has this name or number, as the account knows them; what is none stays as it is.
    pub(crate) fn know_caller(&mut self, known: Identity) {
        let given = &mut self.caller.given;
        given.name = known.name.or(given.name.take());
        given.number = known.number.or(given.number.take());
        self.show_caller();
    }

    /// Puts this before name and number, and before what was put there earlier.
    pub(crate) fn prefix_caller(&mut self, before: Identity, keep: bool) {
        let join = |new: Option<String>, old: Option<String>| {
            let old = old.filter(|_| keep).unwrap_or_default();
            let joined: String = (new.unwrap_or_default() + &old)
                .chars()
                .take(LONGEST)
                .collect();
            Some(joined).filter(|text| !text.is_empty())
        };
        let prefix = &mut self.caller.prefix;
        prefix.name = join(before.name, prefix.name.take());
        prefix.number = join(before.number, prefix.number.take());
        self.show_caller();
    }

    /// Shows this in the place of name and number; what is none is shown as it came.
    pub(crate) fn replace_caller(&mut self, instead: Identity) {
        self.caller.instead = instead;
        self.show_caller();
    }

    /// What has changed is told to the switch, too: its events and its bridges tell of the caller.
    fn show_caller(&mut self) {
        let shown = self.caller.shown();
        let mut changed = Map::new();
        for (key, now, new) in [
            ("Caller-ID-Name", &mut self.call.caller_id_name, shown.name),
            (
                "Caller-ID-Number",
                &mut self.call.caller_id_number,
                shown.number,
            ),
        ] {
            if *now != new {
                changed.insert(key.to_owned(), json!(new.as_deref().unwrap_or_default()));
                *now = new;
            }
        }
        if !changed.is_empty() {
            self.send_vars(SetVars {
                channel: changed,
                ..SetVars::default()
            });
        }
    }

    /// How those see the caller who are called. A step's `suppress_clid` hides both, whatever the flow has set.
    pub(crate) fn caller_shown(&mut self) -> Shown {
        let suppressed = self.flag("suppress_clid") == Some(true);
        let mut vars = Map::new();
        let mut one = |key: &str, plain: &Option<String>, anonymous: &str| {
            if !suppressed && !is_hidden(&self.call, key) {
                return plain.clone();
            }
            vars.insert(key.to_owned(), json!("true"));
            Some(anonymous.to_owned())
        };
        let (name, number) = ANONYMOUS;
        Shown {
            name: one(HIDE_NAME, &self.call.caller_id_name, name),
            number: one(HIDE_NUMBER, &self.call.caller_id_number, number),
            vars,
        }
    }

    /// The header that has phones ring in another way, if the flow wants one.
    pub(crate) fn alert_info(&self) -> Option<String> {
        let text = self.call.channel_vars.get(ALERT_INFO)?.as_str()?;
        Some(text.to_owned())
    }

    /// Has the phones that are rung from here on ring in another way.
    pub(crate) fn set_alert_info(&mut self, text: String) {
        let variable = (ALERT_INFO.to_owned(), Value::String(text));
        self.set_call_vars([variable].into_iter().collect());
    }

    /// Hides name or number, or shows them again.
    pub(crate) fn hide_caller(&mut self, name: bool, number: bool) {
        let vars = [(HIDE_NAME, name), (HIDE_NUMBER, number)];
        let vars = vars.map(|(key, hide)| (key.to_owned(), json!(hide.to_string())));
        self.set_channel_vars(vars.into_iter().collect());
    }

    /// Sets variables of the channel (CCVs).
    pub(crate) fn set_channel_vars(&mut self, vars: Map<String, Value>) {
        self.call.channel_vars.extend(vars.clone());
        self.send_vars(SetVars {
            channel: vars,
            ..SetVars::default()
        });
    }

    /// Sets variables of this channel and of those it is bridged to from now on.
    pub(crate) fn set_call_vars(&mut self, vars: Map<String, Value>) {
        self.call.channel_vars.extend(vars.clone());
        self.send_vars(SetVars {
            call: vars,
            ..SetVars::default()
        });
    }

    /// Sets variables of applications (CAVs).
    pub(crate) fn set_application_vars(&mut self, vars: Map<String, Value>) {
        self.call.application_vars.extend(vars.clone());
        self.send_vars(SetVars {
            application: vars,
            ..SetVars::default()
        });
    }

    fn send_vars(&mut self, vars: SetVars) {
        let vars = Box::new(vars);
        self.command_at(InsertAt::Now, Application::Set { vars });
    }
}

fn is_hidden(call: &CallInfo, key: &str) -> bool {
    call.channel_vars.get(key).and_then(Value::as_str) == Some("true")
}
