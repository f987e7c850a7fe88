//! Who may come in to the API: two accounts, each with its own way to a token, and the operator.

use std::process::{Command, Output};

use callreel_proto::{AccountId, RecordingId, Utc, month_db};
use callreel_store::{Store, stamp};
use serde_json::{Value, json};

use crate::support::{
    estate::{ACCOUNT, CALLER_USER, Estate},
    eventually,
    process::Process,
    site::Site,
};

const OTHER: &str = "a0000000000000000000000000000002";
const KEY: &str = "k3y-of-the-other-account";
/// Of `alice:open sesame`.
const ALICE_MD5: &str = "5743fa79cb5751787c3904fe588402ab";
const ADMIN: &str = "0123456789abcdef0123456789abcdef";

/// Two accounts: one with a user who has a password, one with an API key.
fn two_accounts() -> Estate {
    let estate = Estate::with_flow(&json!({"module": "hangup", "data": {}, "children": {}}));
    estate.write(
        "users/alice.json",
        &json!({"id": CALLER_USER, "username": "alice", "pvt_md5_auth": ALICE_MD5}),
    );
    let other = json!({"id": OTHER, "name": "Other", "realm": "other.test", "pvt_api_key": KEY});
    let place = estate.path().join("accounts").join(OTHER);
    std::fs::create_dir_all(&place).unwrap();
    std::fs::write(place.join("account.json"), other.to_string()).unwrap();
    estate
}

/// Puts a recording into the account's database, as if it had been delivered there.
fn store_recording(site: &Site, account: &str) -> String {
    let store = Store::open(&site.data().join("data/store.sqlite")).unwrap();
    let account = AccountId::parse(account).unwrap();
    let id = RecordingId::random(Utc::now());
    let db = month_db(&account, id.month());
    let mut doc = serde_json::Map::new();
    doc.insert("_id".into(), id.as_str().into());
    stamp(&mut doc, "call_recording", &db, Some(&account), Utc::now());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let put = store.put(&db, Value::Object(doc));
    runtime.block_on(put).unwrap();
    id.to_string()
}

fn get(site: &Site, path: &str, token: Option<&str>) -> (u16, Value) {
    let header = token.map_or_else(String::new, |t| format!("X-Auth-Token: {t}\r\n"));
    let (status, body) = site.request(&format!("GET {path}"), &header, "");
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

fn ids(answer: &Value) -> Vec<&str> {
    let docs = answer["data"].as_array().unwrap().iter();
    docs.map(|doc| doc["id"].as_str().unwrap()).collect()
}

fn list(account: &str) -> String {
    format!("/v2/accounts/{account}/recordings")
}

fn cli(site: &Site, args: &[&str], admin: Option<&str>) -> Output {
    let token = admin.map(|admin| ("CALLREEL_API_ADMIN_TOKEN", admin));
    cli_with(site, args, token.as_slice())
}

fn cli_with(site: &Site, args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_callreel"));
    command.args(args).arg("--config").arg(site.config());
    command.envs(env.iter().copied()).output().unwrap()
}

#[test]
fn two_accounts_see_only_their_own_and_the_operator_sees_both() {
    let site = Site::new(&two_accounts(), "");
    let (mine, theirs) = (
        store_recording(&site, ACCOUNT),
        store_recording(&site, OTHER),
    );
    let secret = site.data().join("admin-token");
    std::fs::write(&secret, format!("{ADMIN}\n")).unwrap();
    let mut node = Process::new(site.config(), &[], site.data().join("node.log"))
        .with_env("CALLREEL_API_AUTH", "on")
        .with_env("CALLREEL_API_ADMIN_TOKEN_FILE", secret.to_str().unwrap());
    node.launch();
    assert_eq!(get(&site, "/healthz", None).0, 200);
    for wrong in [None, Some("wrong")] {
        let (status, answer) = get(&site, &list(ACCOUNT), wrong);
        assert_eq!(
            (status, &answer["message"]),
            (401, &json!("invalid_credentials"))
        );
        assert_eq!(get(&site, "/deliveries", wrong).0, 401);
    }
    let login = json!({"data": {"credentials": ALICE_MD5, "account_realm": "acme.test"}});
    let (status, alice) = site.put("/v2/user_auth", &login);
    assert_eq!(
        (status, &alice["data"]["owner_id"]),
        (201, &json!(CALLER_USER))
    );
    let (status, other) = site.put("/v2/api_auth", &json!({"data": {"api_key": KEY}}));
    assert_eq!((status, &other["data"]["account_id"]), (201, &json!(OTHER)));
    for (login, own, recording, foreign) in [
        (&alice, ACCOUNT, &mine, OTHER),
        (&other, OTHER, &theirs, ACCOUNT),
    ] {
        let token = login["auth_token"].as_str();
        let (status, listed) = get(&site, &list(own), token);
        assert_eq!((status, ids(&listed)), (200, vec![recording.as_str()]));
        let (status, refused) = get(&site, &list(foreign), token);
        assert_eq!((status, &refused["message"]), (403, &json!("forbidden")));
    }
    for (account, recording) in [(ACCOUNT, &mine), (OTHER, &theirs)] {
        let (_, listed) = get(&site, &list(account), Some(ADMIN));
        assert_eq!(ids(&listed), [recording.as_str()]);
    }
    assert!(
        !site.log().contains(ADMIN),
        "the operator's token is in the log"
    );
}

#[test]
fn the_operator_makes_tokens_and_ends_them_and_his_commands_come_in() {
    let site = Site::new(&two_accounts(), "");
    let mut node = Process::new(site.config(), &[], site.data().join("node.log"))
        .with_env("CALLREEL_API_AUTH", "on")
        .with_env("CALLREEL_API_ADMIN_TOKEN", ADMIN);
    node.launch();
    let made = cli(
        &site,
        &["token", "new", "--account", OTHER, "--name", "desk"],
        None,
    );
    let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    assert_eq!(get(&site, &list(OTHER), Some(&token)).0, 200);
    assert_eq!(get(&site, &list(ACCOUNT), Some(&token)).0, 403);
    let listed = String::from_utf8(cli(&site, &["token", "list"], None).stdout).unwrap();
    assert!(
        listed.contains("desk") && !listed.contains(&token),
        "{listed}"
    );
    let id = listed.split_whitespace().next().unwrap();
    assert!(
        cli(&site, &["token", "revoke", &id[..8]], None)
            .status
            .success()
    );
    eventually("the revoked token is refused", || {
        (get(&site, &list(OTHER), Some(&token)).0 == 401).then_some(())
    });
    let refused = cli(&site, &["calls", "list", ACCOUNT], None);
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(
        !refused.status.success() && why.contains("api.admin_token"),
        "{why}"
    );
    assert!(
        cli(&site, &["calls", "list", ACCOUNT], Some(ADMIN))
            .status
            .success()
    );
}

#[test]
fn over_tls_commands_come_in_by_the_nodes_own_certificate_and_by_no_other() {
    let site = Site::new(&two_accounts(), "");
    let files = ["tls", "other"].map(|name| {
        let made = rcgen::generate_simple_self_signed(["node.example".to_owned()]).unwrap();
        let file = |end: &str| format!("{}/{name}.{end}", site.data().display());
        std::fs::write(file("crt"), made.cert.pem()).unwrap();
        std::fs::write(file("key"), made.signing_key.serialize_pem()).unwrap();
        (file("crt"), file("key"))
    });
    let env = files.each_ref().map(|(certificate, key)| {
        [
            ("CALLREEL_API_TLS_CERTIFICATE", certificate.as_str()),
            ("CALLREEL_API_TLS_KEY", key.as_str()),
        ]
    });
    let mut node = Process::new(site.config(), &[], site.data().join("node.log"));
    for (key, value) in env[0] {
        node.set_env(key, value);
    }
    node.launch();
    let asked = ["calls", "list", ACCOUNT];
    let said = cli_with(&site, &asked, &env[0]);
    assert!(said.status.success(), "{said:?}");
    let another = cli_with(&site, &asked, &env[1]);
    assert!(!another.status.success(), "{another:?}");
    let plain = cli_with(&site, &asked, &[]);
    assert!(!plain.status.success(), "{plain:?}");
}
