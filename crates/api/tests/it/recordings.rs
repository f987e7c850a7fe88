//! Recordings as Crossbar shows them.

use callreel_proto::{GREGORIAN_UNIX_OFFSET, Utc, month_db};
use serde_json::{Value, json};

use crate::world::{ACCOUNT, World, account};

fn path(rest: &str) -> String {
    format!("/v2/accounts/{ACCOUNT}/{rest}")
}

#[tokio::test]
async fn a_listing_is_newest_first_in_crossbars_envelope_without_private_fields() {
    let world = World::new().await;
    let old = world
        .recording(60, json!({"name": "old.mp3", "from": "a@b"}))
        .await;
    let new = world.recording(1, json!({"name": "new.mp3"})).await;
    world.recording(40 * 86_400, json!({})).await;
    world.attach(&old, "old.mp3", "audio/mpeg", vec![1]).await;
    let answer = world.get(&path("recordings")).await;
    assert_eq!(answer.ids(), [new, old]);
    let body = answer.json();
    assert_eq!(body["page_size"], 2);
    assert!(body.get("next_start_key").is_none());
    assert_eq!(
        (&body["status"], &body["auth_token"]),
        (&json!("success"), &json!(""))
    );
    assert_eq!(body["node"], "callreel@test");
    for field in ["revision", "timestamp", "version", "request_id"] {
        assert!(
            body[field].as_str().is_some_and(|text| !text.is_empty()),
            "{field}"
        );
    }
    let doc = &body["data"][1];
    assert_eq!(doc["from"], "a@b");
    assert_eq!(doc["_read_only"]["content_types"], json!(["audio/mpeg"]));
    let created = doc["_read_only"]["created"].as_i64().unwrap();
    assert_eq!(
        doc["_read_only"]["created_unix"],
        created - GREGORIAN_UNIX_OFFSET
    );
    let private =
        |key: &&String| key.starts_with("pvt_") || (key.starts_with('_') && *key != "_read_only");
    assert_eq!(doc.as_object().unwrap().keys().find(private), None);
}

#[tokio::test]
async fn pages_go_on_where_the_last_one_ended_across_months() {
    let world = World::new().await;
    let mut expected = Vec::new();
    for age in (0..25).map(|n| n * 86_400) {
        expected.push(world.recording(age, json!({})).await);
    }
    let (mut seen, mut start) = (Vec::new(), String::new());
    loop {
        let answer = world
            .get(&path(&format!("recordings?page_size=7{start}")))
            .await;
        seen.extend(answer.ids());
        match answer.json()["next_start_key"].as_str() {
            Some(next) => start = format!("&start_key={next}"),
            None => break,
        }
    }
    assert_eq!(seen, expected);
    let all = world
        .get(&path("recordings?paginate=false&page_size=2"))
        .await;
    assert_eq!(all.ids().len(), 25);
}

#[tokio::test]
async fn a_recording_that_ended_in_the_month_after_its_start_is_found_by_list_and_id() {
    let world = World::new().await;
    let id = "202402-0123456789abcdef0123456789abcdef";
    let ended = Utc::from_unix_ms(1_709_251_205_000);
    world.recording_named(id, ended, json!({})).await;
    let (from, to) = (1_709_251_200, 1_709_251_300);
    let span = format!("recordings?created_from={from}&created_to={to}");
    assert_eq!(world.get(&path(&span)).await.ids(), [id]);
    assert_eq!(
        world.get(&path(&format!("recordings/{id}"))).await.status,
        200
    );
}

#[tokio::test]
async fn filters_fill_pages_with_what_passes() {
    let world = World::new().await;
    let mut wanted = Vec::new();
    for n in 0..9 {
        let id = world.recording(n, json!({"n": n, "odd": n % 2 == 1})).await;
        wanted.extend((n % 2 == 1).then_some(id));
    }
    let first = world
        .get(&path("recordings?filter_odd=true&page_size=3"))
        .await;
    assert_eq!(first.ids(), wanted[..3]);
    let next = first.json()["next_start_key"].as_str().unwrap().to_owned();
    let uri = format!("recordings?filter_odd=true&page_size=3&start_key={next}");
    let rest = world.get(&path(&uri)).await;
    assert_eq!(rest.ids(), wanted[3..]);
    assert!(rest.json().get("next_start_key").is_none());
}

#[tokio::test]
async fn a_user_has_their_own_recordings_and_no_others() {
    let world = World::new().await;
    let mine = world.recording(1, json!({"owner_id": "u1"})).await;
    let other = world.recording(2, json!({"owner_id": "u2"})).await;
    let list = world.get(&path("users/u1/recordings")).await;
    assert_eq!(list.ids(), [mine.as_str()]);
    for (id, status) in [(mine, 200), (other, 404)] {
        let one = world.get(&path(&format!("users/u1/recordings/{id}"))).await;
        assert_eq!(one.status, status);
    }
    let nobody = world.get(&path("users/u9/recordings")).await;
    assert_eq!(nobody.status, 404);
    assert!(nobody.message().contains("no user \"u9\""));
}

#[tokio::test]
async fn requests_that_cannot_be_met_say_why() {
    let world = World::new().await;
    let id = world.recording(1, json!({"url": "http://h/x.mp3"})).await;
    let absent = "202403-0123456789abcdef0123456789abcdef";
    let other = "0bcd0123456789abcdef0123456789ab";
    for (method, uri, status, says) in [
        ("GET", path("recordings/x"), 404, "YYYYMM-"),
        (
            "GET",
            path(&format!("recordings/{absent}")),
            404,
            "/deliveries/",
        ),
        ("GET", path("recordings?page_size=x"), 400, "page_size"),
        (
            "GET",
            path("recordings?created_from=1&created_to=99999999"),
            400,
            "shorter spans",
        ),
        (
            "GET",
            path("recordings?start_key=%21"),
            400,
            "next_start_key",
        ),
        (
            "GET",
            path(&format!("recordings/{id}?accept=audio/mpeg")),
            404,
            "it went to http://h/x.mp3",
        ),
        (
            "GET",
            format!("/v2/accounts/{other}/recordings"),
            404,
            "callreel import",
        ),
        (
            "GET",
            "/v2/accounts/..%2F..%2Fetc/recordings".into(),
            404,
            "32 lower-case hex",
        ),
        ("GET", "/v2/elsewhere".into(), 404, "docs/api.md"),
        ("PUT", path("recordings"), 405, "method"),
        ("POST", path(&format!("recordings/{id}")), 405, "method"),
        (
            "DELETE",
            path(&format!("recordings/{id}?should_soft_delete=x")),
            400,
            "true or false",
        ),
    ] {
        let answer = world.call(method, &uri, &[]).await;
        assert_eq!(answer.status, status, "{method} {uri}");
        let message = answer.message();
        assert!(message.contains(says), "{uri}: {message}");
    }
}

#[tokio::test]
async fn audio_comes_by_header_or_parameter_whole_or_in_parts() {
    let world = World::new().await;
    let id = world
        .recording(1, json!({"name": "call_recording_a%40b.wav"}))
        .await;
    let bytes: Vec<u8> = (0..1_200_000_u32).map(|n| (n % 251) as u8).collect();
    world
        .attach(&id, "call_recording_a%40b.wav", "audio/wav", bytes.clone())
        .await;
    let uri = path(&format!("recordings/{id}"));
    assert_eq!(world.get(&uri).await.json()["data"]["id"], id.as_str());
    let whole = world.call("GET", &uri, &[("accept", "audio/x-wav")]).await;
    assert_eq!(whole.status, 200);
    assert!(whole.body == bytes, "the audio differs");
    assert_eq!(whole.header("content-type"), "audio/wav");
    assert_eq!(whole.header("content-length"), "1200000");
    assert!(
        whole
            .header("content-disposition")
            .starts_with("attachment; filename=")
    );
    let part = [("range", "bytes=524280-524299"), ("accept", "audio/*")];
    let part = world.call("GET", &uri, &part).await;
    assert_eq!(part.status, 206);
    assert!(part.body == bytes[524_280..524_300], "the part differs");
    assert_eq!(part.header("content-range"), "bytes 524280-524299/1200000");
    let inline = world
        .get(&format!("{uri}?accept=audio/wav&inline=true"))
        .await;
    assert!(inline.header("content-disposition").starts_with("inline"));
    let wrong = world.get(&format!("{uri}?accept=audio/mp3")).await;
    assert_eq!(wrong.status, 406);
    assert!(wrong.message().contains("audio/wav"));
    let beyond = [("range", "bytes=1200000-"), ("accept", "audio/wav")];
    let beyond = world.call("GET", &uri, &beyond).await;
    assert_eq!(
        (beyond.status.as_u16(), beyond.header("content-range")),
        (416, "bytes */1200000")
    );
}

#[tokio::test]
async fn a_strong_tag_saves_downloads_and_guards_parts() {
    let world = World::new().await;
    let id = world.recording(1, json!({"name": "x.mp3"})).await;
    world
        .attach(&id, "x.mp3", "audio/mpeg", b"0123456789".to_vec())
        .await;
    let uri = path(&format!("recordings/{id}?accept=audio/mp3"));
    let tag = world.get(&uri).await.header("etag").to_owned();
    assert!(tag.starts_with("\"md5-"), "{tag}");
    let again = world.call("GET", &uri, &[("if-none-match", &tag)]).await;
    assert_eq!((again.status.as_u16(), again.body.len()), (304, 0));
    world
        .attach(&id, "x.mp3", "audio/mpeg", b"abcdefghij".to_vec())
        .await;
    let part = [("range", "bytes=5-"), ("if-range", tag.as_str())];
    let part = world.call("GET", &uri, &part).await;
    assert_eq!(
        (part.status.as_u16(), &part.body[..]),
        (200, &b"abcdefghij"[..])
    );
    let head = world.call("HEAD", &uri, &[]).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), "10");
}

#[tokio::test]
async fn a_deleted_recording_is_hidden_or_gone() {
    let world = World::new().await;
    let (soft, hard) = (
        world.recording(1, json!({})).await,
        world.recording(2, json!({})).await,
    );
    let deleted = world
        .call("DELETE", &path(&format!("recordings/{soft}")), &[])
        .await;
    assert_eq!(deleted.json()["data"]["_read_only"]["deleted"], true);
    let uri = path(&format!("recordings/{hard}?should_soft_delete=false"));
    assert_eq!(world.call("DELETE", &uri, &[]).await.status, 200);
    assert!(world.get(&path("recordings")).await.ids().is_empty());
    for id in [&soft, &hard] {
        assert_eq!(
            world.get(&path(&format!("recordings/{id}"))).await.status,
            404
        );
    }
    let stored = |id: String| {
        let db = month_db(&account(), &id[..6]);
        let store = world.store.clone();
        async move { store.get(&db, &id).await.unwrap() }
    };
    assert_eq!(
        stored(soft).await.unwrap()["pvt_deleted"],
        Value::Bool(true)
    );
    assert_eq!(stored(hard).await, None);
}

#[tokio::test]
async fn a_page_of_another_site_may_look_at_nothing_it_could_break() {
    let world = World::new().await;
    let id = world.recording(1, json!({})).await;
    let uri = path(&format!("recordings/{id}"));
    let stranger = [
        ("origin", "http://evil.example"),
        ("host", "127.0.0.1:8000"),
    ];
    let refused = world.call("DELETE", &uri, &stranger).await;
    assert_eq!(refused.status, 403);
    assert!(refused.message().contains("another site"));
    let own = [
        ("origin", "http://127.0.0.1:8000"),
        ("host", "127.0.0.1:8000"),
    ];
    assert_eq!(world.call("DELETE", &uri, &own).await.status, 200);
}
