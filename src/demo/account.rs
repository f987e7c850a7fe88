//! The demo's account as files for `callreel import`: two users, two phones, a mailbox, and the mission's per-user callflow.

use std::{io, path::Path};

use callreel_proto::{AccountId, AudioFormat, random_hex};
use serde_json::{Value, json};

use super::script::Party;
use crate::phone::Identity;

/// The realm of both phones. Nobody has to resolve it.
pub(crate) const REALM: &str = "demo.callreel.test";
/// What Ann dials.
pub(crate) const EXTENSION: &str = "2001";
/// What reaches Ann.
const CALLER_EXTENSION: &str = "2000";

// The same ids in every run: a second demo in one folder replaces the documents of the first.
const ACCOUNT_ID: &str = "c0a11ab1e0000000000000000000de30";
const BOX_ID: &str = "c0a11ab1e0000000000000000000b0c5";
const RECORDED_FLOW_ID: &str = "c0a11ab1e0000000000000000000f10a";
const PLAIN_FLOW_ID: &str = "c0a11ab1e0000000000000000000f10b";

struct Person {
    user_id: &'static str,
    device_id: &'static str,
    username: &'static str,
    /// A new one in every run.
    password: String,
}

impl Person {
    fn ann() -> Self {
        Self {
            user_id: "c0a11ab1e00000000000000000000a11",
            device_id: "c0a11ab1e00000000000000000000a12",
            username: "ann",
            password: random_hex(24),
        }
    }

    fn ben() -> Self {
        Self {
            user_id: "c0a11ab1e00000000000000000000b11",
            device_id: "c0a11ab1e00000000000000000000b12",
            username: "ben",
            password: random_hex(24),
        }
    }
}

/// The account, before it is imported.
pub(crate) struct Account {
    id: AccountId,
    caller: Person,
    callee: Person,
    flow_url: String,
    format: AudioFormat,
}

impl Account {
    /// An account whose recordings go below `receiver` (an origin without a slash at its end).
    pub(crate) fn new(receiver: &str, format: AudioFormat) -> Self {
        let id = AccountId::parse(ACCOUNT_ID).expect("it is 32 hex digits");
        let callee = Person::ben();
        Self {
            flow_url: format!("{receiver}/{id}/{}", callee.user_id),
            id,
            caller: Person::ann(),
            callee,
            format,
        }
    }

    /// Its id.
    pub(crate) fn id(&self) -> &AccountId {
        &self.id
    }

    /// The `url` of the callflow's recording.
    pub(crate) fn flow_url(&self) -> &str {
        &self.flow_url
    }

    /// How a party's phone registers.
    pub(crate) fn identity(&self, who: Party) -> Identity {
        let person = self.person(who);
        Identity {
            user: person.username.to_owned(),
            realm: REALM.to_owned(),
            password: Some(person.password.clone()),
        }
    }

    fn person(&self, who: Party) -> &Person {
        match who {
            Party::Caller => &self.caller,
            Party::Callee => &self.callee,
        }
    }

    /// Writes the tree that `callreel import` reads.
    pub(crate) fn write(&self, root: &Path) -> io::Result<()> {
        let home = root.join("accounts").join(self.id.as_str());
        let save = |place: &str, document: &Value| {
            let path = home.join(place);
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            std::fs::write(path, format!("{document:#}\n"))
        };
        let account =
            json!({"id": self.id, "name": "Callreel demo", "realm": REALM, "enabled": true});
        save("account.json", &account)?;
        for who in [Party::Caller, Party::Callee] {
            let person = self.person(who);
            let name = person.username;
            save(&format!("users/{name}.json"), &user(who, person))?;
            save(&format!("devices/{name}-phone.json"), &device(who, person))?;
        }
        save("vmboxes/ben.json", &self.mailbox())?;
        save("callflows/ben.json", &self.recorded_flow())?;
        save("callflows/ann.json", &self.plain_flow())
    }

    fn mailbox(&self) -> Value {
        json!({
            "id": BOX_ID,
            "name": "Ben's mailbox",
            "mailbox": EXTENSION,
            "owner_id": self.callee.user_id,
        })
    }

    /// The mission's "sample recording per user" with its placeholders filled, as it stands there: the last `children`
    /// has no `_`.
    fn recorded_flow(&self) -> Value {
        let user_id = &self.callee.user_id;
        json!({
            "id": RECORDED_FLOW_ID,
            "name": "Ring Ben and record",
            "numbers": [EXTENSION],
            "flow": {
                "module": "record_call",
                "data": {
                    "action": "start",
                    "format": self.format,
                    "url": self.flow_url,
                    "time_limit": 360
                },
                "children": {
                    "_": {
                        "module": "user",
                        "data": {"id": user_id},
                        "children": {
                            "_": {
                                "module": "record_call",
                                "data": {"action": "stop"},
                                "children": {
                                    "module": "voicemail",
                                    "data": {"id": BOX_ID},
                                    "children": {}
                                }
                            }
                        }
                    }
                }
            }
        })
    }

    fn plain_flow(&self) -> Value {
        json!({
            "id": PLAIN_FLOW_ID,
            "name": "Ring Ann",
            "numbers": [CALLER_EXTENSION],
            "flow": {
                "module": "user",
                "data": {"id": self.caller.user_id},
                "children": {}
            }
        })
    }
}

fn user(who: Party, person: &Person) -> Value {
    json!({
        "id": person.user_id,
        "username": person.username,
        "first_name": who.name(),
        "last_name": "Demo",
        "enabled": true,
    })
}

fn device(who: Party, person: &Person) -> Value {
    json!({
        "id": person.device_id,
        "name": format!("{}'s phone", who.name()),
        "owner_id": person.user_id,
        "enabled": true,
        "sip": {
            "method": "password",
            "invite_format": "username",
            "username": person.username,
            "password": person.password,
        },
    })
}

#[cfg(test)]
mod tests {
    use callreel_store::{Store, View, import::import};

    use super::*;

    #[tokio::test]
    async fn the_account_is_one_that_can_be_imported() {
        let dir = tempfile::tempdir().unwrap();
        let account = Account::new("http://127.0.0.1:1", AudioFormat::Wav);
        account.write(&dir.path().join("tree")).unwrap();
        let store = Store::open(&dir.path().join("store.sqlite")).unwrap();
        let report = import(&store, &dir.path().join("tree"), |_| Vec::new())
            .await
            .unwrap();
        assert_eq!(
            (
                report.users,
                report.devices,
                report.callflows,
                report.vmboxes
            ),
            (2, 2, 2, 1)
        );
        let db = callreel_proto::AccountDb::name(account.id());
        let found = store
            .query(&db, View::CallflowsByNumber(EXTENSION.to_owned()))
            .await
            .unwrap();
        assert_eq!(found[0]["flow"]["data"]["url"], account.flow_url());
        assert_eq!(found[0]["flow"]["data"]["format"], "wav");
        let stop = &found[0]["flow"]["children"]["_"]["children"]["_"];
        assert_eq!(stop["children"]["module"], "voicemail");
    }
}
