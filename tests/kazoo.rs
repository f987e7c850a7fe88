//! Callreel as a guest on an existing Kazoo: a scripted ecallmgr of either tree owns the calls, the real binary answers for one
//! account beside it.

mod control;
mod files;
mod habits;
mod ladders;
mod offers;
mod trunks;

use std::ops::Deref;

use serde_json::{Value, json};

use crate::support::{
    broker::Broker,
    ecallmgr::{Ecallmgr, Tree},
    estate::{ACCOUNT, Estate},
    free_port,
    process::Process,
    site::Site,
};

/// Callreel without a switch of its own, beside a Kazoo.
struct Guest {
    site: Site,
    process: Process,
    /// Where switches bring their files.
    intake: String,
}

impl Guest {
    /// Starts it on this broker.
    fn start(broker: &str, estate: &Estate) -> Self {
        Self::recording_in("wav", broker, estate)
    }

    /// The same with this `switch_format`.
    fn recording_in(format: &str, broker: &str, estate: &Estate) -> Self {
        let intake = format!("127.0.0.1:{}", free_port());
        let settings = format!(
            "[bus]\nurl = \"{broker}\"\n[recording]\nroute_win_timeout_s = 1\n\
             [calls]\naccounts = [\"{ACCOUNT}\"]\nswitch_format = \"{format}\"\nrecord_stop_timeout_s = 2\nchannel_check_s = 2\n\
             [delivery]\nallow_networks = [\"127.0.0.0/8\"]\nbackoff_first_s = 1\n\
             intake_listen = \"{intake}\"\nintake_token_ttl_s = 2\n"
        );
        let site = Site::new(estate, &settings);
        let args = ["--role", "calls,delivery,api"];
        let process = Process::new(site.config(), &args, site.data().join("guest.log"));
        let mut guest = Self {
            site,
            process,
            intake: format!("http://{intake}"),
        };
        guest.process.launch();
        guest
    }
}

impl Deref for Guest {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.last_words();
        }
    }
}

/// A place on the shared broker, one for each test: what it plays one after the other leaves nothing behind there.
fn vhost() -> String {
    thread_local! {
        static VHOST: String = Broker::shared().vhost();
    }
    VHOST.with(Clone::clone)
}

/// A Kazoo of this tree that was there before, and the guest whose account's number runs `flow`.
fn beside(tree: Tree, estate: &Estate) -> (Ecallmgr, Guest) {
    let broker = vhost();
    let kazoo = Ecallmgr::join(&broker, tree);
    let guest = Guest::start(&broker, estate);
    (kazoo, guest)
}

/// An action with what follows it.
fn action(module: &str, data: Value, then: Option<Value>) -> Value {
    let children = then.map_or_else(|| json!({}), |next| json!({ "_": next }));
    json!({"module": module, "data": data, "children": children})
}
