//! A switch on loopback with one account and two devices.

use callreel_attachments::{Attachments, Outside, OutsideConfig};
use callreel_bus::Bus;
use callreel_proto::{AccountDb, AccountId};
use callreel_store::{ACCOUNTS, Store};
use callreel_switch::{Switch, SwitchConfig};
use serde_json::{Value, json};

use super::{Controller, Phone};

/// The account.
pub(crate) const ACCOUNT: &str = "a0000000000000000000000000000001";
/// Its realm.
pub(crate) const REALM: &str = "acme.test";

/// Where media is, and the way to other machines: this one counts as one of them.
pub(crate) fn attachments(store: &Store) -> Attachments {
    let config = OutsideConfig {
        allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
        ..OutsideConfig::default()
    };
    Attachments::new(store.clone(), Outside::new(&config).unwrap())
}

/// A running switch and its places.
pub(crate) struct Scene {
    pub(crate) switch: Switch,
    pub(crate) bus: Bus,
    pub(crate) store: Store,
    _dir: tempfile::TempDir,
}

impl Scene {
    /// A switch with short patience.
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A switch with changed settings.
    pub(crate) async fn with(change: impl FnOnce(&mut SwitchConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store.db")).unwrap();
        let account =
            json!({"_id": ACCOUNT, "pvt_type": "account", "name": "Acme", "realm": REALM});
        store.save(ACCOUNTS, account).await.unwrap();
        let bus = Bus::embedded();
        let mut config = SwitchConfig {
            bind: "127.0.0.1:0".parse().unwrap(),
            rtp_ports: "21000-28999".parse().unwrap(),
            route_timeout_ms: 1500,
            ..SwitchConfig::default()
        };
        change(&mut config);
        let switch = Switch::start(config, bus.clone(), attachments(&store), "callreel@test")
            .await
            .unwrap();
        let scene = Self {
            switch,
            bus,
            store,
            _dir: dir,
        };
        for user in ["alice", "bob"] {
            scene.device(user, json!({})).await;
        }
        scene
    }

    /// Saves a device whose password is its username and `-pw`.
    pub(crate) async fn device(&self, user: &str, extra: Value) {
        let mut document = json!({
            "_id": format!("device-{user}"), "pvt_type": "device", "name": format!("{user}'s phone"),
            "owner_id": format!("user-{user}"),
            "sip": {"username": user, "password": format!("{user}-pw")}
        });
        let fields = extra.as_object().unwrap().clone();
        document.as_object_mut().unwrap().extend(fields);
        let account = AccountId::parse(ACCOUNT).unwrap();
        let db = AccountDb::name(&account);
        self.store.save(&db, document).await.unwrap();
    }

    /// A phone that knows the right password.
    pub(crate) async fn phone(&self, user: &str) -> Phone {
        let (_, address) = self.switch.sip_addresses().remove(0);
        Phone::new(user, &format!("{user}-pw"), address).await
    }

    /// A phone that is registered.
    pub(crate) async fn registered(&self, user: &str) -> Phone {
        let phone = self.phone(user).await;
        assert_eq!(phone.register(300).await.status(), 200);
        phone
    }

    /// Whoever claims calls and hears events.
    pub(crate) async fn controller(&self) -> Controller {
        Controller::new(&self.bus).await
    }
}
