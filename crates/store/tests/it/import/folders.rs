//! Which document each folder of a tree becomes, and where it is kept.

use serde_json::json;

use super::{ACCOUNT, DB, Tree, doc, problems, run, store};

#[tokio::test]
async fn what_flows_are_made_with_has_a_folder_each() {
    let (_dir, store) = store();
    let tree = Tree::good();
    let places = "menus: menu, directories: directory, temporal_rules: temporal_rule, lists: list, \
                  temporal_rules_sets: temporal_rule_set, list_entries: list_entry, groups: group, resources: resource";
    let places = places.split(", ").map(|one| one.split_once(": ").unwrap());
    for (folder, _) in places.clone() {
        let doc = json!({"id": format!("a-{folder}"), "cycle": "daily", "list_id": "a-lists"});
        tree.own(&format!("{folder}/a.json"), doc);
    }
    let report = run(&store, &tree).await.unwrap().to_string();
    let told = "1 menu, 1 directory, 2 rules of time, 2 list documents, 1 group, 1 trunk,";
    assert!(report.contains(told), "{report}");
    for (folder, pvt_type) in places {
        let doc = doc(&store, DB, &format!("a-{folder}")).await;
        assert_eq!(doc["pvt_type"], pvt_type);
    }
}

#[tokio::test]
async fn trunks_of_everybody_and_numbers_have_databases_of_their_own() {
    let (_dir, store) = store();
    let tree = Tree::good();
    tree.write("offnet/resources/north.json", "{\"rules\": [\".+\"]}")
        .write(
            "numbers/+14155550100.json",
            json!({"pvt_assigned_to": ACCOUNT}).to_string(),
        );
    let report = run(&store, &tree).await.unwrap().to_string();
    assert!(report.contains("1 trunk, 1 number"), "{report}");
    assert_eq!(doc(&store, "offnet", "north").await["pvt_type"], "resource");
    let number = doc(&store, "numbers/+1415", "+14155550100").await;
    assert_eq!(number["pvt_assigned_to"], ACCOUNT);
    tree.write("numbers/204.json", "{}");
    let wrong = problems(&store, &tree).await.join("\n");
    assert!(wrong.contains("named like +14155550100"), "{wrong}");
    assert!(wrong.contains("/pvt_assigned_to: is missing"), "{wrong}");
}
