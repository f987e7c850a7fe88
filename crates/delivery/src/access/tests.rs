//! Who gives what to which receiver, and what is told of it.

use serde_json::json;

use super::*;

fn url(text: &str) -> Url {
    text.parse().unwrap()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn account(call_recording: Value) -> AccountAccess {
    AccountAccess::read(Some(&json!({"call_recording": call_recording}))).unwrap()
}

fn house(credentials: Value) -> HouseAccess {
    HouseAccess {
        headers: map(&[("X-Site", "north"), ("X-Who", "config")]),
        credentials: serde_json::from_value(credentials).unwrap(),
        signing_secret: Some(Secret::new("k-of-config")),
    }
}

fn sent(access: &Access) -> Vec<(&str, &str)> {
    let mut sent: Vec<_> = access
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    sent.sort_unstable();
    sent
}

#[test]
fn the_action_goes_before_the_account_and_the_account_before_the_configuration() {
    let house = house(json!([{"origin": "https://h", "user": "cfg", "password": "pw"}]));
    let account = account(json!({
        "auth": {"bearer": "of-account"}, "headers": {"X-Who": "account", "X-Team": "7"},
        "signing_secret": "k-of-account",
    }));
    let action = map(&[("authorization", "Key of-action"), ("X-Team", "action")]);
    let nobody = (AccountAccess::default(), HouseAccess::default());
    let to = url("https://h/r/x.mp3");
    let all = Access::new(&to, &action, &account, &house);
    assert_eq!(
        sent(&all),
        [
            ("authorization", "Key of-action"),
            ("x-site", "north"),
            ("x-team", "action"),
            ("x-who", "account")
        ]
    );
    assert_eq!(all.signing_secret, Some(Secret::new("k-of-account")));

    let without_action = Access::new(&to, &map(&[]), &account, &house);
    assert_eq!(without_action.headers["authorization"], "Bearer of-account");
    let configured = Access::new(&to, &map(&[]), &nobody.0, &house);
    assert_eq!(configured.headers["authorization"], "Basic Y2ZnOnB3");
    assert_eq!(configured.headers["x-who"], "config");
    assert_eq!(configured.signing_secret, Some(Secret::new("k-of-config")));
    let nothing = Access::new(&to, &map(&[]), &nobody.0, &nobody.1);
    assert!(nothing.headers.is_empty() && nothing.signing_secret.is_none());
}

#[test]
fn a_user_and_password_in_the_url_are_the_actions_word() {
    let house = house(json!([{"origin": "https://h", "bearer": "of-config"}]));
    let account = account(json!({"auth": {"basic": {"user": "u", "password": "p"}}}));
    let action = map(&[("Authorization", "Key x"), ("Cookie", "a=b")]);
    let access = Access::new(&url("https://u:p@h/"), &action, &account, &house);
    assert!(!access.headers.contains_key("authorization"));
    assert_eq!(access.headers["cookie"], "a=b");
}

#[test]
fn credentials_of_the_configuration_are_for_their_origin_alone() {
    let house = house(json!([
        {"origin": "https://rec.example.com", "bearer": "t1"},
        {"origin": "http://10.0.0.9:8080", "headers": {"X-Api-Key": "t2"}},
    ]));
    let keys = |to: &str| {
        let access = Access::new(&url(to), &map(&[]), &AccountAccess::default(), &house);
        let key = |name: &str| access.headers.get(name).is_some();
        (key("authorization"), key("x-api-key"))
    };
    for (to, expected) in [
        ("https://rec.example.com/r/x.mp3", (true, false)),
        ("https://rec.example.com:443/", (true, false)),
        ("https://REC.example.com/", (true, false)),
        ("http://rec.example.com/", (false, false)),
        ("https://rec.example.com:8443/", (false, false)),
        ("https://rec.example.com.evil.example/", (false, false)),
        ("http://10.0.0.9:8080/x", (false, true)),
        ("http://10.0.0.9/x", (false, false)),
    ] {
        assert_eq!(keys(to), expected, "{to}");
    }
}

#[test]
fn what_frames_a_request_or_is_ours_is_left_out() {
    let names = |asked: &[(&str, &str)]| {
        let (account, house) = (AccountAccess::default(), HouseAccess::default());
        let access = Access::new(&url("http://h/"), &map(asked), &account, &house);
        let names = access.headers.keys();
        let mut names: Vec<String> = names.map(ToString::to_string).collect();
        names.sort();
        names
    };
    for name in [
        "connection",
        "content-digest",
        "content-encoding",
        "content-length",
        "content-md5",
        "content-range",
        "content-type",
        "digest",
        "expect",
        "host",
        "http2-settings",
        "idempotency-key",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "repr-digest",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-callreel-attempt",
        "x-callreel-delivery",
        "x-callreel-signature",
        "x-callreel-recording-id",
    ] {
        assert!(names(&[(name, "1")]).is_empty(), "{name}");
        assert!(names(&[(&name.to_uppercase(), "1")]).is_empty(), "{name}");
    }
    let odd = [
        ("a b", "1"),
        ("", "1"),
        ("x-fine", "1"),
        ("x-odd", "a\r\nb: c"),
    ];
    assert_eq!(names(&odd), ["x-fine"]);
}

#[test]
fn an_account_whose_credentials_cannot_be_understood_is_told_where_and_no_value() {
    for (said, place) in [
        (json!({"auth": "s3cret"}), "call_recording.auth"),
        (json!({"auth": {"bearer": 5}}), "call_recording.auth"),
        (
            json!({"auth": {"bearer": "s3cret two"}}),
            "call_recording.auth",
        ),
        (
            json!({"auth": {"bearer": "s3cret\r\n"}}),
            "call_recording.auth",
        ),
        (
            json!({"auth": {"basic": {"user": "u:s3cret", "password": "p"}}}),
            "call_recording.auth",
        ),
        (
            json!({"auth": {"basic": {"user": "u"}}}),
            "call_recording.auth",
        ),
        (
            json!({"auth": {"bearer": "s3cret", "basic": {}}}),
            "call_recording.auth",
        ),
        (json!({"headers": ["s3cret"]}), "call_recording.headers"),
        (
            json!({"signing_secret": ["s3cret"]}),
            "call_recording.signing_secret",
        ),
        (
            json!({"signing_secret": ""}),
            "call_recording.signing_secret",
        ),
    ] {
        let refused = AccountAccess::read(Some(&json!({"call_recording": said}))).unwrap_err();
        assert!(refused.starts_with(place), "{refused}");
        assert!(!refused.contains("s3cret"), "{refused}");
    }
    let says_nothing = [None, Some(json!({})), Some(json!({"call_recording": null}))];
    for doc in says_nothing {
        let read = AccountAccess::read(doc.as_ref());
        assert_eq!(read, Ok(AccountAccess::default()));
    }
}

#[test]
fn credentials_of_the_configuration_must_name_an_origin_and_a_proof() {
    let usable = |one: Value| {
        let one: Credentials = serde_json::from_value(one).unwrap();
        one.can_be_used()
    };
    assert!(usable(json!({"origin": "https://h:1", "bearer": "t"})));
    assert!(usable(
        json!({"origin": "http://h/", "headers": {"X-Key": "t"}})
    ));
    for odd in [
        json!({"origin": "https://h"}),
        json!({"origin": "https://h/path", "bearer": "t"}),
        json!({"origin": "https://u@h/", "bearer": "t"}),
        json!({"origin": "https://h/?a", "bearer": "t"}),
        json!({"origin": "ftp://h/", "bearer": "t"}),
        json!({"origin": "https://h", "bearer": "t", "user": "u", "password": "p"}),
        json!({"origin": "https://h", "user": "u"}),
        json!({"origin": "https://h", "user": "u", "headers": {"X-Key": "t"}}),
        json!({"origin": "https://h", "bearer": "t\n"}),
        json!({"origin": "https://h", "headers": {"Host": "t"}}),
    ] {
        assert!(!usable(odd.clone()), "{odd}");
    }
}

#[test]
fn no_secret_is_shown_to_debuggers_nor_repeated_by_receivers() {
    let house = house(json!([{"origin": "http://h", "headers": {"X-Key": "config-s3cret"}}]));
    let account = account(json!({
        "auth": {"basic": {"user": "u", "password": "account-s3cret"}},
        "headers": {"X-Other": "other-s3cret"}, "signing_secret": "signing-s3cret",
    }));
    let action = map(&[("X-Mine", "action-s3cret")]);
    let to = url("http://us:url-s3cret@h/r?token=query-s3cret%21");
    let repeated = "Cannot PUT /r?token=query-s3cret%21 by Basic dXM6dXJsLXMzY3JldA==";
    for (to, repeated) in [(to, repeated), (url("http://h/"), "no")] {
        let access = Access::new(&to, &action, &account, &house);
        let shown = format!("{access:?} {account:?} {house:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
        let values = access.headers.values();
        let mut said: Vec<&str> = values.map(|v| v.to_str().unwrap()).collect();
        said.push(repeated);
        let told = access.without_secrets(said.join(", "));
        for secret in ["s3cret", "dXM6", "dTph"] {
            assert!(!told.contains(secret), "{told}");
        }
    }
}
