//! The files of the web console. What its pages do is tested in a browser.

use std::collections::BTreeSet;

use callreel_api::{ApiConfig, Auth};

use crate::world::World;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/console");

#[tokio::test]
async fn every_file_of_the_console_is_served_to_anybody_under_a_strict_policy() {
    let world = World::with(ApiConfig {
        auth: Auth::On,
        ..ApiConfig::default()
    })
    .await;
    let mut paths = vec![("/".to_owned(), "index.html".to_owned())];
    for file in std::fs::read_dir(FOLDER).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        paths.push((format!("/console/{name}"), name));
    }
    for (path, name) in paths {
        let answer = world.get(&path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(
            answer.body,
            std::fs::read(format!("{FOLDER}/{name}")).unwrap()
        );
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        let tag = answer.header("etag").to_owned();
        let again = world.call("GET", &path, &[("if-none-match", &tag)]).await;
        assert_eq!(again.status, 304, "{path}");
        assert!(again.body.is_empty());
    }
    assert_eq!(world.get("/console/..%2fCargo.toml").await.status, 404);
}

#[test]
fn the_console_loads_nothing_from_elsewhere_and_has_no_script_in_its_page() {
    for file in std::fs::read_dir(FOLDER).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for word in ["http://", "https://", "innerHTML", "eval(", " style="] {
            assert!(!text.contains(word), "{}: {word}", path.display());
        }
    }
    let page = std::fs::read_to_string(format!("{FOLDER}/index.html")).unwrap();
    let scripts: BTreeSet<&str> = page.split("<script").skip(1).collect();
    assert!(
        scripts
            .iter()
            .all(|script| script.contains(" src=\"/console/"))
    );
}
