//! Secrets that everybody knows, because they stand in the examples: a node does not serve strangers with them.

use callreel_proto::{AccountDb, AccountId};
use callreel_store::{Store, is_soft_deleted};

use crate::config::{Config, Role};

/// The account of `examples/acme`.
const ACCOUNT: &str = "ac3e0000000000000000000000000001";
/// Its phones and their passwords.
const PHONES: [(&str, &str); 2] = [
    ("de000000000000000000000000000001", "wonderland"),
    ("de000000000000000000000000000002", "builder"),
];

/// What is wrong with serving strangers by these settings, and the way out; nothing if all is well or nobody else comes.
pub(crate) async fn known_secret(config: &Config, store: &Store) -> Option<String> {
    let bind = config.switch.bind;
    if bind.ip().is_loopback() || !config.node.roles.contains(&Role::Switch) {
        return None;
    }
    let account = AccountId::parse(ACCOUNT).expect("it is 32 hex digits");
    let db = AccountDb::name(&account);
    for (phone, password) in PHONES {
        // A store that cannot be read is told of by whoever needs it.
        let Ok(Some(device)) = store.get(&db, phone).await else {
            continue;
        };
        if !is_soft_deleted(&device) && device["sip"]["password"] == password {
            let user = device["sip"]["username"].as_str().unwrap_or(phone);
            return Some(format!(
                "the phone {user} of account {ACCOUNT} has the password of examples/acme, which everybody can read, and switch.bind = {bind} lets everybody come: change sip.password and import again, delete the device, or listen here only (CALLREEL_SWITCH_BIND=127.0.0.1:5060)"
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use callreel_store::import::import;

    use super::*;

    #[tokio::test]
    async fn the_examples_passwords_are_for_this_machine_alone() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store.sqlite")).unwrap();
        let mut config = Config::default();
        assert_eq!(known_secret(&config, &store).await, None, "nobody is there");
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/acme");
        import(&store, &examples, |_| Vec::new()).await.unwrap();
        for (bind, wrong) in [
            ("0.0.0.0:5060", true),
            ("192.0.2.1:5060", true),
            ("[::]:5060", true),
            ("127.0.0.1:5060", false),
            ("[::1]:5060", false),
        ] {
            config.switch.bind = bind.parse().unwrap();
            let said = known_secret(&config, &store).await;
            assert_eq!(said.is_some(), wrong, "{bind}: {said:?}");
        }
        config.switch.bind = "0.0.0.0:5060".parse().unwrap();
        config.node.roles = vec![Role::Calls];
        assert_eq!(
            known_secret(&config, &store).await,
            None,
            "no phone comes here"
        );
    }
}
