//! What storage documents choose, and what is said of those that choose nothing sensible.

use serde_json::json;

use super::*;

const ACCOUNT: &str = "0123456789abcdef0123456789abcdef";

fn layers(docs: &[(&str, Value)]) -> Layers {
    let mut layers = Layers::default();
    for (id, doc) in docs {
        layers.push(id, Some(doc.clone()));
    }
    layers
}

fn folder(path: &str) -> Value {
    json!({"handler": "folder", "name": "share", "settings": {"path": path}})
}

fn naming(handler: &str) -> Value {
    json!({"modb": {"types": {"call_recording": {"attachments": {"handler": handler}}}}})
}

fn place(docs: &[(&str, Value)]) -> Option<String> {
    let plan = layers(docs).plan().unwrap();
    plan.map(|plan| plan.handler.place())
}

#[test]
fn without_a_word_for_recordings_they_stay_in_the_accounts_database() {
    for doc in [
        json!({}),
        json!({"plan": {"modb": {"connection": "local"}}}),
        json!({"plan": {"modb": {"types": {"fax": {"attachments": {"handler": "a"}}}}}}),
        json!({"plan": {"account": {"attachments": {"handler": "a"}}}}),
        json!({"plan": naming("a"), "attachments": {"a": folder("/r")}, "pvt_deleted": true}),
    ] {
        let layers = layers(&[(ACCOUNT, doc.clone())]);
        assert!(layers.plan().unwrap().is_none(), "{doc}");
        assert!(!layers.stores(), "{doc}");
    }
}

#[test]
fn the_account_outdoes_its_resellers_plan_and_that_the_systems() {
    let of = |id: &str| json!({"plan": naming(id), "attachments": {id: folder(&format!("/{id}"))}});
    let docs = [
        (ACCOUNT, of("own")),
        ("gold", of("gold")),
        (SYSTEM, of("all")),
    ];
    assert_eq!(place(&docs).unwrap(), "folder /own");
    assert_eq!(place(&docs[1..]).unwrap(), "folder /gold");
    assert_eq!(place(&docs[2..]).unwrap(), "folder /all");
    let named = json!({"plan": naming("all")});
    assert_eq!(
        place(&[(ACCOUNT, named), docs[1].clone(), docs[2].clone()]).unwrap(),
        "folder /all",
        "a handler that a weaker document defines can be named"
    );
    let none = json!({"plan": naming("all")["modb"]["types"].take()});
    assert_eq!(
        place(&[(ACCOUNT, none), docs[2].clone()]).unwrap(),
        "folder /all"
    );
    let nulled = json!({"plan": {"modb": {"types": {"call_recording": {"attachments": {"handler": null}}}}}});
    assert_eq!(
        place(&[(ACCOUNT, nulled), docs[2].clone()]),
        None,
        "null takes the system's word away"
    );
}

#[test]
fn the_types_own_word_outdoes_that_of_all_month_databases() {
    let doc = json!({
        "plan": {"modb": {
            "attachments": {"handler": "a", "params": {"folder_path": "all"}},
            "types": {"call_recording": {"attachments": {"handler": "b", "backup": "a"}}},
        }},
        "attachments": {"a": folder("/a"), "b": folder("/b")},
    });
    let plan = layers(&[(ACCOUNT, doc)]).plan().unwrap().unwrap();
    assert_eq!(plan.handler.place(), "folder /b");
    assert_eq!(plan.backup.unwrap().place(), "folder /a");
}

#[test]
fn a_handler_is_taken_whole_from_the_strongest_document_that_has_it() {
    let system = json!({"plan": naming("s"), "attachments": {"s": {"handler": "s3", "settings": {"bucket": "b", "key": "k", "secret": "topsecret"}}}});
    let account = json!({"attachments": {"s": {"settings": {"host": "evil.example"}}}});
    let refused = layers(&[(ACCOUNT, account), (SYSTEM, system)])
        .plan()
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!(
            "storage document system_data/{ACCOUNT} at /attachments/s/handler: must be the name of a handler, such as \"s3\""
        )
    );
}

#[test]
fn the_backup_is_used_after_a_refusal_or_two_tries() {
    let mut doc =
        json!({"plan": naming("a"), "attachments": {"a": folder("/a"), "b": folder("/b")}});
    let refused = || Error::Refused {
        place: String::new(),
        reason: String::new(),
    };
    let failed = || Error::Unavailable {
        place: String::new(),
        reason: String::new(),
    };
    let alone = layers(&[(ACCOUNT, doc.clone())]).plan().unwrap().unwrap();
    assert!(alone.backup_for(&refused(), 9).is_none());
    doc["plan"]["modb"]["types"]["call_recording"]["attachments"]["backup"] = "b".into();
    let plan = layers(&[(ACCOUNT, doc)]).plan().unwrap().unwrap();
    assert_eq!(plan.backup_for(&refused(), 1).unwrap().id(), "b");
    assert!(plan.backup_for(&failed(), 2).is_none());
    assert_eq!(plan.backup_for(&failed(), 3).unwrap().id(), "b");
}

/// What is said of this document; that it is told where, shows nothing of the document, and counts as a plan.
fn refused(doc: &Value) -> String {
    let layers = layers(&[(ACCOUNT, doc.clone())]);
    let error = layers
        .plan()
        .map(|plan| plan.map(|p| p.handler))
        .unwrap_err();
    let said = error.to_string();
    let shown = format!("{said} {layers:?} {error:?}");
    assert!(!shown.contains("topsecret"), "{shown}");
    assert!(layers.stores(), "{doc}");
    let start = format!("storage document system_data/{ACCOUNT} at ");
    said.strip_prefix(&start).unwrap().to_owned()
}

#[test]
fn a_plan_that_cannot_be_acted_on_is_told_with_its_spot() {
    let recordings = "/plan/modb/types/call_recording";
    for (plan, expected) in [
        (json!([]), "/plan: must be an object".to_owned()),
        (json!({"modb": {"types": {"call_recording": "topsecret"}}}), format!("{recordings}: must be an object")),
        (naming(""), format!("{recordings}/attachments/handler: must be a non-empty string")),
        (naming("u"), format!("{recordings}/attachments/handler: names \"u\", but no storage document has it in \"attachments\"")),
        (json!({"modb": {"connection": "c1"}}), "/plan/modb/connection: not supported: recordings can only go to another CouchDB by store.url; use \"local\" and an attachment handler".to_owned()),
    ] {
        assert_eq!(refused(&json!({"plan": plan})), expected);
    }
}

fn defined(kind: &str, settings: Value) -> Value {
    let handler = json!({"handler": kind, "settings": settings});
    json!({"plan": naming("u"), "attachments": {"u": handler}})
}

#[test]
fn a_handler_that_cannot_be_used_is_told_with_its_setting() {
    for (kind, settings, expected) in [
        (
            "dropbox",
            json!({}),
            "handler: not supported: dropbox; use s3, azure, google_storage, folder or http (the recording is kept until the plan names one of them)",
        ),
        (
            "topsecret",
            json!({}),
            "handler: not supported: this handler; use",
        ),
        (
            "s3",
            json!({"bucket": "b", "key": "k"}),
            "settings/secret: is missing",
        ),
        ("s3", json!("topsecret"), "settings: must be an object"),
        (
            "azure",
            json!({"account": "A", "container": "c", "key": "topsecret"}),
            "settings/account: has a character other than a-z, 0-9 and -",
        ),
        (
            "google_storage",
            json!({"bucket": "b"}),
            "settings/service_account: is missing: the JSON key of a service account",
        ),
        (
            "google_storage",
            json!({"bucket": "b", "oauth_doc_id": "o"}),
            "settings/oauth_doc_id: not supported: Kazoo's OAuth documents; put the key of a service account into \"service_account\"",
        ),
        (
            "google_storage",
            json!({"bucket": "b", "service_account": "topsecret"}),
            "settings/service_account: is no JSON; put the key file's object here",
        ),
        (
            "google_storage",
            json!({"bucket": "b", "service_account": {}}),
            "settings/service_account: has no private_key",
        ),
        (
            "folder",
            json!({"path": "a/topsecret"}),
            "settings/path: must be an absolute path without \"..\"",
        ),
        (
            "folder",
            json!({"path": "/a/../topsecret"}),
            "settings/path: must be an absolute path without \"..\"",
        ),
    ] {
        let said = refused(&defined(kind, settings));
        assert!(
            said.starts_with(&format!("/attachments/u/{expected}")),
            "{said}"
        );
    }
}

#[test]
fn a_request_that_cannot_be_made_is_told_with_its_setting() {
    for (kind, settings, expected) in [
        (
            "http",
            json!({"url": "ftp://topsecret@h"}),
            "settings/url: must be a URL of http or https",
        ),
        (
            "http",
            json!({"url": "http://h", "verb": "topsecret"}),
            "settings/verb: must be put or post",
        ),
        (
            "http",
            json!({"url": "http://h", "document_url_field": "pvt_x"}),
            "settings/document_url_field: must be a public field: beginning neither with _ nor with pvt_",
        ),
    ] {
        let said = refused(&defined(kind, settings));
        assert_eq!(said, format!("/attachments/u/{expected}"));
    }
}

#[test]
fn a_setting_of_s3_that_cannot_be_used_is_told() {
    for (key, value, expected) in [
        ("port", json!("topsecret"), "must be a port, 1 to 65535"),
        (
            "host",
            json!("http://topsecret"),
            "must be a name or an address; scheme and port are settings of their own",
        ),
        ("scheme", json!("ftp"), "must be http or https"),
        (
            "bucket",
            json!("a/topsecret"),
            "has a character no bucket has",
        ),
        (
            "bucket_access_method",
            json!("x"),
            "must be auto, vhost or path",
        ),
        ("bucket_after_host", json!("x"), "must be true or false"),
        ("key", json!(["topsecret"]), "must be a string"),
    ] {
        let mut settings = json!({"bucket": "b", "key": "k", "secret": "topsecret"});
        settings[key] = value;
        let said = refused(&defined("s3", settings));
        assert_eq!(said, format!("/attachments/u/settings/{key}: {expected}"));
    }
}

#[test]
fn no_credential_is_shown_of_a_handler() {
    let key = "dG9wc2VjcmV0";
    let google = json!({"private_key": key, "private_key_id": "1", "client_email": "a@b"});
    for (kind, settings) in [
        ("s3", json!({"bucket": "b", "key": key, "secret": key})),
        (
            "azure",
            json!({"account": "a", "container": "b", "key": key}),
        ),
        (
            "google_storage",
            json!({"bucket": "b", "service_account": google}),
        ),
        (
            "google_storage",
            json!({"bucket": "b", "service_account": google.to_string()}),
        ),
        (
            "http",
            json!({"url": format!("https://u:{key}@h/p?token={key}")}),
        ),
    ] {
        let doc = json!({"plan": naming("u"), "attachments": {"u": {"handler": kind, "settings": settings}}});
        let plan = layers(&[(ACCOUNT, doc)]).plan().unwrap().unwrap();
        let handler = plan.handler;
        let shown = format!(
            "{handler:?} {:?} {} {}",
            handler.kind(),
            handler.place(),
            handler.host()
        );
        assert!(!shown.contains(key), "{shown}");
    }
}
