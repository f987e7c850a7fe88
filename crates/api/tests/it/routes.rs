//! The table of routes: every line lets in whom it names and nobody else, by account and by scope.

use callreel_api::{Grant, Scope, Scopes, Tokens, Who, routes};
use serde_json::json;

use crate::{
    access::{ask, grant, guarded, token},
    world::{ACCOUNT, World},
};

/// What a caller shows who has a token of [`ACCOUNT`] with these scopes.
async fn scoped(world: &World, scopes: Scopes) -> Option<String> {
    let grant = Grant {
        scopes,
        ..grant(ACCOUNT, None)
    };
    let token = Tokens::new(world.store.clone()).issue(&grant).await;
    Some(token.expect("the store takes it").reveal().to_owned())
}

#[tokio::test(start_paused = true)]
async fn every_route_there_is_lets_in_whom_its_line_names_and_nobody_else() {
    let world = guarded().await;
    let mut walked = 0;
    for route in routes() {
        let uri = route
            .path
            .replace("{account}", ACCOUNT)
            .replace("{user}", "u1")
            .replace("{device}", "d1")
            .replace("{call_id}", "c%40h")
            .replace("{file}", "app.js")
            .replace("{id}", "202611-0123456789abcdef0123456789abcdef");
        assert!(!uri.contains('{'), "{uri}: say what this parameter is");
        let own_scope = match route.who {
            Who::Account(scope) | Who::Known(scope) => Some(scope),
            Who::Open | Who::Operator => None,
        };
        let others = Scope::ALL.iter().copied();
        let others = others.filter(|scope| Some(*scope) != own_scope);
        for caller in [
            "nobody", "wrong", "other", "own", "without", "with", "admin",
        ] {
            let token = match caller {
                "without" => scoped(&world, others.clone().collect()).await,
                "with" => scoped(&world, own_scope.into_iter().collect()).await,
                caller => token(&world, caller, ACCOUNT).await,
            };
            let answer = ask(&world, route.method.as_str(), &uri, token.as_deref()).await;
            let status = answer.status.as_u16();
            let what = format!(
                "{} {uri} ({:?}) by {caller}: {status}",
                route.method, route.who
            );
            let refused = match (route.who, caller) {
                (Who::Open, _) => None,
                (_, "nobody" | "wrong") => Some(401),
                (_, "admin") => None,
                (Who::Operator, _) => Some(403),
                (Who::Account(_), "other") => Some(403),
                (_, "without") => Some(403),
                _ => None,
            };
            match refused {
                Some(refused) => assert_eq!(status, refused, "{what}"),
                None => assert!(!matches!(status, 401 | 403 | 405 | 429 | 500), "{what}"),
            }
            walked += 1;
        }
    }
    assert!(walked > 150, "{walked}");
}

#[tokio::test]
async fn who_may_read_documents_hears_nothing_without_the_scope_and_listening_is_told() {
    let world = guarded().await;
    let doc = json!({"call_id": "c@h", "media_type": "wav"});
    let id = world.recording(60, doc).await;
    world
        .attach(&id, "a.wav", "audio/wav", b"RIFF....".to_vec())
        .await;
    let uri = format!("/v2/accounts/{ACCOUNT}/recordings/{id}");
    let reads = scoped(&world, [Scope::RecordingsRead].into_iter().collect()).await;
    let hears = scoped(
        &world,
        [Scope::RecordingsRead, Scope::AudioRead]
            .into_iter()
            .collect(),
    )
    .await;
    let fetch = async |token: &Option<String>, range: Option<&str>, method: &str| {
        let token = token.as_deref().unwrap();
        let mut headers = vec![("x-auth-token", token), ("accept", "audio/wav")];
        headers.extend(range.map(|range| ("range", range)));
        world.call(method, &uri, &headers).await.status.as_u16()
    };
    assert_eq!(ask(&world, "GET", &uri, reads.as_deref()).await.status, 200);
    assert_eq!(fetch(&reads, None, "GET").await, 403);
    assert_eq!(fetch(&hears, None, "HEAD").await, 200);
    let listened = || {
        let text = world.manifest();
        text.lines()
            .filter(|line| line.contains("\"listened\""))
            .count()
    };
    assert_eq!(listened(), 0, "nobody has heard it yet");
    assert_eq!(fetch(&hears, Some("bytes=0-3"), "GET").await, 206);
    assert_eq!(fetch(&hears, Some("bytes=4-"), "GET").await, 206);
    assert_eq!(listened(), 1, "a player's parts are one fetch");
    assert_eq!(fetch(&hears, None, "GET").await, 200);
    assert_eq!(listened(), 2);
    assert!(world.manifest().contains("quality desk at 192.0.2.18"));
}
