//! The Kazoo's stepswitch: hears what it is asked to call, has the switch bridge it, and says how it ended, as the script tells it.

use serde_json::{Value, json};

use super::{
    Call, book,
    control::text,
    pages::{Kind, Page},
    shape::{Fields, fields},
    wire::Incoming,
    world::World,
};
use crate::support::eventually;

/// `resource`/`offnet_req`, as `kapi_offnet_resource` has it.
const OFFNET_REQ: Page = Page {
    name: "offnet_req",
    required: &["Application-Name", "Resource-Type", "To-DID"],
    optional: &[
        "Account-Realm",
        "B-Leg-Events",
        "Bypass-E164",
        "Control-Queue",
        "Custom-Channel-Vars",
        "Custom-SIP-Headers",
        "Emergency-Caller-ID-Name",
        "Emergency-Caller-ID-Number",
        "Flags",
        "Format-From-URI",
        "From-URI-Realm",
        "Hunt-Account-ID",
        "Ignore-Early-Media",
        "Inception",
        "Media",
        "Outbound-Caller-ID-Name",
        "Outbound-Caller-ID-Number",
        "Presence-ID",
        "Requestor-Custom-Channel-Vars",
        "Ringback",
        "Timeout",
    ],
    kinds: &[
        ("Application-Name", Kind::OneOf(&["bridge"])),
        ("Resource-Type", Kind::OneOf(&["audio"])),
        ("To-DID", Kind::Text),
        ("Account-Realm", Kind::Text),
        ("B-Leg-Events", Kind::Array),
        ("Bypass-E164", Kind::Boolean),
        ("Control-Queue", Kind::Text),
        ("Custom-Channel-Vars", Kind::Object),
        ("Custom-SIP-Headers", Kind::Object),
        ("Flags", Kind::Array),
        ("Requestor-Custom-Channel-Vars", Kind::Object),
    ],
};

impl World {
    /// Somebody wants a call to the public network.
    pub(super) fn offnet_asked(&mut self, incoming: &Incoming, request: Fields) {
        let mut wrong = book::envelope(&request, "resource", "offnet_req");
        wrong.extend(book::check(&OFFNET_REQ, &request));
        if incoming.key != "offnet.resource.req.audio" {
            wrong.push(format!("its key is {}", incoming.key));
        }
        if text(&request, "Server-ID").is_none_or(str::is_empty) {
            wrong.push("no Server-ID: nobody would hear how it ends".to_owned());
        }
        let id = text(&request, "Call-ID").unwrap_or_default().to_owned();
        match self.calls.get_mut(&id) {
            Some(call) => {
                if text(&request, "Control-Queue") != Some(&call.control_address) {
                    wrong.push("the Control-Queue is not the call's".to_owned());
                }
                call.offnet.push(request.clone());
            }
            None => wrong.push("there is no such call".to_owned()),
        }
        self.judge(&request, wrong);
    }
}

impl Call<'_> {
    /// Waits until stepswitch is asked to call a number.
    pub(crate) fn asks_stepswitch(&self) -> Fields {
        eventually(&format!("{} asks stepswitch", self.id), || {
            self.world().calls[&self.id].offnet.last().cloned()
        })
    }

    /// Stepswitch has the switch bridge the call over a trunk.
    pub(crate) fn stepswitch_bridges(&self) {
        let request = self.asks_stepswitch();
        let number = &request["To-DID"];
        let bridge = json!({
            "App-Name": "stepswitch", "Event-Category": "call", "Event-Name": "command", "Msg-ID": "offnet-bridge",
            "Application-Name": "bridge", "Call-ID": self.id, "Dial-Endpoint-Method": "single",
            "Endpoints": [{"Invite-Format": "route", "Route": format!("sip:{}@carrier.test", number.as_str().unwrap_or_default()), "To-Username": "carrier"}],
        });
        self.world().obey(&self.id, fields(&bridge));
    }

    /// Stepswitch says how it ended.
    pub(crate) fn stepswitch_says(&self, message: &str, code: &str) {
        let request = self.asks_stepswitch();
        let word = |key| text(&request, key).unwrap_or_default().to_owned();
        let mut world = self.world();
        let mut response = world
            .tree
            .headers("resource", "offnet_resp", &word("Msg-ID"));
        response.insert("App-Name".to_owned(), json!("stepswitch"));
        let said = json!({"Call-ID": self.id, "Response-Message": message, "Response-Code": code, "Resource-Response": Value::Null});
        response.extend(fields(&said));
        world.answer(&word("Server-ID"), response);
    }
}
