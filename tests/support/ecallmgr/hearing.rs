//! What the scripted ecallmgr makes of what it is told: every word is held against the rule book, then obeyed.

use serde_json::{Value, json};

use super::{
    book,
    control::text,
    pages,
    shape::{Fields, SWITCH, fields},
    tape::{Transfer, upload},
    wire::{Incoming, enc},
    world::{Upload, World},
};

/// Senders that are this peer.
const MYSELF: &[&str] = &["ecallmgr", "freeswitch", "stepswitch"];

impl World {
    /// Hears a message.
    pub(super) fn hear(&mut self, incoming: &Incoming) {
        let Ok(Value::Object(message)) = serde_json::from_slice(&incoming.body) else {
            let body = String::from_utf8_lossy(&incoming.body);
            return self.fault(format!("{}: no JSON object: {body}", incoming.key));
        };
        if MYSELF.contains(&text(&message, "App-Name").unwrap_or_default()) {
            return;
        }
        if incoming.content_type.as_deref() != Some("application/json") {
            self.fault(format!(
                "content_type {:?}: {message:?}",
                incoming.content_type
            ));
        }
        match (
            incoming.exchange.as_str(),
            text(&message, "Event-Name").unwrap_or_default(),
        ) {
            ("targeted", _) => self.route_offered(incoming, message),
            ("callctl", _) => self.commanded(incoming, message),
            ("switch", _) => self.switch_commanded(incoming, &message),
            ("callevt", "channel_status_req") => self.status_asked(incoming, &message),
            ("kapps", _) => self.noticed(incoming, message),
            ("resources", "offnet_req") => self.offnet_asked(incoming, message),
            ("presence", "mwi_update" | "mwi_unsolicited_update") => {
                self.counted(incoming, message);
            }
            ("nodes", "advertise") => self.advertised(&message),
            ("notifications", "voicemail_new") => {
                self.notified(incoming, message, &pages::MESSAGE_LEFT, "voicemail.new");
            }
            ("notifications", "voicemail_saved") => {
                self.notified(incoming, message, &pages::MESSAGE_LEFT, "voicemail.saved");
            }
            ("notifications", "missed_call") => {
                self.notified(incoming, message, &pages::CALL_MISSED, "sip.missed_call");
            }
            (exchange, name) => {
                self.fault(format!(
                    "{exchange} {}: nobody but Kazoo says {name}: {message:?}",
                    incoming.key
                ));
            }
        }
    }

    pub(super) fn judge(&mut self, message: &Fields, wrong: Vec<String>) {
        for what in wrong {
            self.fault(format!("{what}; in {}", Value::Object(message.clone())));
        }
    }

    /// For whom behind a queue a message is: 5.0's processes share one, 4.3 has one for each.
    fn token(&mut self, incoming: &Incoming) -> Option<String> {
        match self.tree {
            super::Tree::V43 => Some(incoming.queue.clone()),
            super::Tree::V50 => {
                if incoming.deliver_to.is_none() {
                    self.fault(format!("{}: no Deliver-To-PID", incoming.key));
                }
                incoming.deliver_to.clone()
            }
        }
    }

    fn route_offered(&mut self, incoming: &Incoming, offer: Fields) {
        let mut wrong = book::envelope(&offer, "dialplan", "route_resp");
        wrong.extend(book::check(&pages::ROUTE_RESP, &offer));
        let msg_id = text(&offer, "Msg-ID").unwrap_or_default().to_owned();
        let token = self.token(incoming);
        let asked = self
            .calls
            .iter()
            .find(|(_, call)| call.fetch_id == msg_id)
            .map(|(id, _)| id.clone());
        let Some(id) = asked else {
            wrong.push("its Msg-ID is no request's".to_owned());
            return self.judge(&offer, wrong);
        };
        let call = self.calls.get_mut(&id).expect("just found");
        if text(&offer, "Method") == Some("park") && offer.get("Routes") != Some(&json!([])) {
            wrong.push("a park has no routes".to_owned());
        }
        if token.is_some_and(|token| {
            !text(&call.request, "Server-ID").is_some_and(|asker| asker.contains(&token))
        }) {
            wrong.push("it went to another asker".to_owned());
        }
        if text(&offer, "Call-ID").is_some_and(|told| told != id) {
            wrong.push("another Call-ID".to_owned());
        }
        if text(&offer, "Server-ID").is_none_or(str::is_empty) {
            wrong.push("no Server-ID: the win could not be told".to_owned());
        }
        if call.hushed {
            wrong.push("nobody asked this one".to_owned());
        }
        call.offers.push(offer.clone());
        self.judge(&offer, wrong);
        // 5.0 waits until the channel has come to its park: the script says when.
        if self.tree == super::Tree::V43
            && self.calls[&id].controller.is_none()
            && !self.quirks.undecided
        {
            self.win(&id);
        }
    }

    /// Tells who answered first that the call is theirs, and everybody that it has a controller.
    pub(super) fn win(&mut self, id: &str) {
        let (tree, fetch_id) = (self.tree, self.calls[id].fetch_id.clone());
        let offer = self.calls[id].offers[0].clone();
        let controller = text(&offer, "Server-ID").unwrap_or_default().to_owned();
        let queue = match tree {
            super::Tree::V43 => format!("ecallmgr@kz1.acme.test-<0.2204.0>-{fetch_id}"),
            super::Tree::V50 => self.controlling.clone(),
        };
        if tree == super::Tree::V43 {
            self.open_control(queue.clone());
        }
        let control = self.address(&process_of(&fetch_id), &queue);
        let given = fields(offer.get("Custom-Channel-Vars").unwrap_or(&Value::Null));
        self.set_vars(id, &given);
        let call = self.calls.get_mut(id).expect("offered");
        call.controller = Some(controller.clone());
        call.control_address.clone_from(&control);
        let vars = match tree {
            super::Tree::V43 => {
                let mut vars = given;
                vars.insert("Application-Name".into(), offer["App-Name"].clone());
                vars.insert(
                    "Application-Node".into(),
                    offer.get("Node").cloned().unwrap_or_default(),
                );
                vars
            }
            super::Tree::V50 => self.channels[id].channel_vars.clone(),
        };
        let mut win = tree.headers("dialplan", "route_win", id);
        win.extend(fields(&json!({
            "Server-ID": queue, "Call-ID": id, "Control-Queue": control, "Custom-Channel-Vars": vars,
        })));
        if self.quirks.sparing {
            win.remove("Custom-Channel-Vars");
        }
        self.answer(&controller, win);
        self.usurp(id, &fetch_id, "Route-Win");
    }

    /// Says that a call is controlled by the session of this fetch.
    pub(super) fn usurp(&mut self, id: &str, fetch_id: &str, reason: &str) {
        let mut usurp = self
            .tree
            .headers("call_event", "usurp_control", &self.now_us.to_string());
        usurp.extend(fields(
            &json!({"Call-ID": id, "Fetch-ID": fetch_id, "Reason": reason, "Media-Node": SWITCH}),
        ));
        self.publish_event("usurp_control", id, usurp);
    }

    fn commanded(&mut self, incoming: &Incoming, command: Fields) {
        let mut wrong = book::envelope(&command, "call", "command");
        wrong.extend(book::check_command(&command));
        for part in command
            .get("Commands")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let mut whole = command.clone();
            whole.retain(|key, _| key != "Commands" && key != "Insert-At");
            whole.extend(fields(part));
            wrong.extend(book::check_command(&whole));
        }
        let token = self.token(incoming);
        let owner = self.calls.iter().find(|(_, call)| {
            !call.control_address.is_empty()
                && token
                    .as_deref()
                    .is_some_and(|token| call.control_address.contains(token))
        });
        let Some((id, call)) = owner.map(|(id, call)| (id.clone(), call)) else {
            wrong.push("to nobody's control".to_owned());
            return self.judge(&command, wrong);
        };
        if call.hushed {
            wrong.push("its sender has no say in this call".to_owned());
        }
        let told = text(&command, "Call-ID").unwrap_or_default();
        let other = self.channels[&id].other_leg.as_deref();
        let known = told == id || other == Some(told);
        self.judge(&command, wrong);
        if known {
            self.obey(&id, command);
        } else {
            self.fault(format!(
                "{told}: call command provided with a command for a different call id"
            ));
        }
    }

    /// Answers as every ecallmgr does: it knows the channel, or the channel is gone.
    fn status_asked(&mut self, incoming: &Incoming, request: &Fields) {
        let mut wrong = book::envelope(request, "call_event", "channel_status_req");
        wrong.extend(book::check(&pages::STATUS_REQ, request));
        let id = text(request, "Call-ID").unwrap_or_default().to_owned();
        if incoming.key != format!("call.status_req.{}", enc(&id)) {
            wrong.push(format!("its key is {}", incoming.key));
        }
        self.judge(request, wrong);
        if let Some(call) = self.calls.get_mut(&id) {
            call.questions += 1;
        }
        let alive = self.channels.get(&id).is_some_and(|channel| !channel.gone);
        let asker = text(request, "Server-ID").unwrap_or_default().to_owned();
        let msg_id = text(request, "Msg-ID").unwrap_or_default().to_owned();
        let mut status = self
            .tree
            .headers("call_event", "channel_status_resp", &msg_id);
        status.extend(fields(
            &json!({"Call-ID": id, "Status": if alive { "active" } else { "terminated" }}),
        ));
        self.answer(&asker, status);
    }

    /// The product's own notices: category and key are its own affair, the envelope is not.
    fn noticed(&mut self, incoming: &Incoming, notice: Fields) {
        let word = |key| text(&notice, key).unwrap_or_default();
        let (category, name) = (word("Event-Category"), word("Event-Name"));
        let mut wrong = book::envelope(&notice, category, name);
        if !["recording", "delivery"].contains(&category) {
            wrong.push(format!("{}: a notice of category {category}", incoming.key));
        }
        self.judge(&notice, wrong);
        self.notices.push(notice);
    }

    /// How many messages a box has: its number, its owner's phones and who never asked are told, as Kazoo's callflow tells them.
    fn counted(&mut self, incoming: &Incoming, update: Fields) {
        let name = text(&update, "Event-Name").unwrap_or_default();
        let mut wrong = book::envelope(&update, "presence", name);
        wrong.extend(book::check(&pages::MESSAGES_WAITING, &update));
        let to = text(&update, "To").unwrap_or_default();
        let (user, realm) = to.split_once('@').unwrap_or_default();
        let key = match name {
            "mwi_update" => format!("mwi_updates.{}.{}", enc(realm), enc(user)),
            _ => format!("mwi_unsolicited_updates.{}", enc(realm)),
        };
        if incoming.key != key {
            wrong.push(format!("its key is {}", incoming.key));
        }
        self.judge(&update, wrong);
        self.notices.push(update);
    }

    /// Kazoo's teletype is to tell people of something.
    fn advertised(&mut self, node: &Fields) {
        let mut wrong = book::envelope(node, "nodes", "advertise");
        wrong.extend(book::check(&pages::ADVERTISE, node));
        let apps = node.get("WhApps").and_then(Value::as_object);
        for app in apps.into_iter().flatten().map(|(name, _)| name) {
            // Others would wait for its answers to what only those answer.
            if app != "callreel" {
                wrong.push(format!("it says it is {app}"));
            }
        }
        self.judge(node, wrong);
    }

    fn notified(&mut self, incoming: &Incoming, notice: Fields, page: &pages::Page, key: &str) {
        let name = text(&notice, "Event-Name").unwrap_or_default();
        let mut wrong = book::envelope(&notice, "notification", name);
        wrong.extend(book::check(page, &notice));
        if incoming.key != format!("notifications.{key}") {
            wrong.push(format!("its key is {}", incoming.key));
        }
        self.judge(&notice, wrong);
        self.notices.push(notice);
    }

    fn switch_commanded(&mut self, incoming: &Incoming, command: &Fields) {
        // The spy overhears it too.
        if incoming.queue.contains("spy") {
            if !self.is_my_switch(&incoming.key) {
                self.fault(format!("{}: no switch of this name", incoming.key));
            }
            return;
        }
        let arguments = fields(command.get("Args").unwrap_or(&Value::Null));
        let mut wrong = book::envelope(command, "switch_event", "command");
        wrong.extend(book::check(&pages::SWITCH_COMMAND, command));
        wrong.extend(book::check_arguments(&arguments));
        if text(command, "FreeSWITCH-Node").is_some_and(|node| node != SWITCH) {
            wrong.push("FreeSWITCH-Node is another".to_owned());
        }
        self.judge(command, wrong);
        let word = |key| text(&arguments, key).unwrap_or_default().to_owned();
        let transfer = self.transfers.pop_front().unwrap_or(Transfer::Whole);
        let job = Job {
            path: word("File-Name"),
            url: word("Url"),
            method: word("Http-Method").to_uppercase(),
            transfer,
            asker: text(command, "Server-ID").unwrap_or_default().to_owned(),
            msg_id: text(command, "Msg-ID").unwrap_or_default().to_owned(),
            deletes: command
                .get("Delete-On-Success")
                .is_some_and(|flag| flag == "true" || flag == true),
        };
        let file = self.disk.get(&job.path).cloned();
        if file.is_none() {
            self.fault(format!("{}: no such file on the switch", job.path));
        }
        self.uploads.push(Upload {
            url: job.url.clone(),
            transfer,
            statuses: Vec::new(),
        });
        let (this, place) = (self.this.clone(), self.uploads.len() - 1);
        std::thread::spawn(move || {
            let statuses = job.run(file.as_deref());
            if let Some(world) = this.upgrade() {
                let mut world = world
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                world.uploads[place].statuses.clone_from(&statuses);
                world.uploaded(&job, &statuses);
            }
        });
    }

    /// The switch's word on an upload.
    fn uploaded(&mut self, job: &Job, statuses: &[Option<u16>]) {
        if matches!(job.transfer, Transfer::Silent | Transfer::Unconfirmed) {
            return;
        }
        // What mod_http_cache takes for success.
        let good = matches!(statuses.first(), Some(Some(200 | 201 | 202 | 204)));
        if good && job.deletes {
            self.disk.remove(&job.path);
        }
        let mut reply = self.tree.headers("switch_event", "reply", &job.msg_id);
        reply.extend(fields(&json!({
            "Command": "send_http", "FreeSWITCH-Node": SWITCH, "Result": if good { "success" } else { "error" },
        })));
        if !good {
            let status = statuses.first().copied().flatten();
            reply.extend(fields(&json!({
                "Error": "failure", "Event-Data": {"API-Error": format!("-ERR error uploading, HTTP {status:?}")},
            })));
        }
        self.answer(&job.asker, reply);
    }

    /// Sets variables of a channel; they come back as strings.
    pub(super) fn set_vars(&mut self, id: &str, given: &Fields) {
        let vars = &mut self.channels.get_mut(id).expect("it is there").channel_vars;
        for (key, value) in given {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            vars.insert(key.clone(), json!(text));
        }
    }
}

/// The Erlang process of a fetch.
pub(super) fn process_of(fetch_id: &str) -> String {
    let number = fetch_id
        .bytes()
        .fold(0_u32, |sum, byte| sum.wrapping_mul(31) + u32::from(byte));
    format!("<0.{}.{}>", number % 30_000, number / 30_000)
}

/// An upload the switch was told to do.
struct Job {
    path: String,
    url: String,
    method: String,
    transfer: Transfer,
    asker: String,
    msg_id: String,
    deletes: bool,
}

impl Job {
    /// Does it, and gives the answers.
    fn run(&self, file: Option<&[u8]>) -> Vec<Option<u16>> {
        let (Some(file), Ok(url)) = (file, self.url.parse::<url::Url>()) else {
            return vec![None];
        };
        let method = if self.method.is_empty() {
            "PUT"
        } else {
            &self.method
        };
        let once = |file: &[u8], sent| upload(method, &url, file, sent);
        match self.transfer {
            Transfer::Whole | Transfer::Unconfirmed => vec![once(file, file.len())],
            Transfer::Replayed => vec![once(file, file.len()), once(file, file.len())],
            Transfer::Swollen => {
                let twice = [file, file].concat();
                vec![once(&twice, twice.len())]
            }
            Transfer::Cut => vec![once(file, file.len() / 2)],
            Transfer::Refused | Transfer::Silent => vec![None],
        }
    }
}
