//! What `k8s/` would run: every overlay is valid Kubernetes, and says of callreel only what is so. No cluster is needed.

mod monitoring;

use std::{collections::BTreeMap, path::Path, process::Command, sync::LazyLock};

use figment::{
    Figment,
    providers::{Format, Toml},
};
use serde_json::{Value, json};

use crate::support::{estate::Estate, free_port, get, node::Node};

/// What is rendered: the base and every overlay.
const FOLDERS: [&str; 6] = [
    "k8s/base",
    MONITORING,
    "k8s/overlays/autoscaled",
    "k8s/overlays/cluster",
    "k8s/overlays/kazoo",
    "k8s/overlays/trial",
];

/// The one without a workload.
const MONITORING: &str = "k8s/monitoring";

/// The objects of every folder, rendered by kubectl and valid by the schemas of the oldest and newest Kubernetes that is promised.
static RENDERED: LazyLock<BTreeMap<String, Vec<Value>>> = LazyLock::new(|| {
    let tools = root().join("target/test-tools/python/bin");
    let rendered = Command::new(tools.join("python"))
        .arg(root().join("tests/tools/k8s.py"))
        .arg(tools.join("kubectl"))
        .args(FOLDERS)
        .current_dir(root())
        .output()
        .expect("`make tools` installs Python's tools");
    let said = String::from_utf8_lossy(&rendered.stderr);
    assert!(rendered.status.success(), "{said}");
    serde_json::from_slice(&rendered.stdout).unwrap()
});

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A workload: where it is from, its object, and its pod.
struct Workload {
    place: String,
    object: &'static Value,
}

impl Workload {
    fn all() -> Vec<Self> {
        let mut found = Vec::new();
        for (folder, objects) in RENDERED.iter() {
            for object in objects {
                if object.pointer("/spec/template/spec/containers").is_some() {
                    let place = format!("{folder}: {}", object["metadata"]["name"]);
                    found.push(Self { place, object });
                }
            }
        }
        assert!(found.len() > 10, "{} workloads", found.len());
        found
    }

    /// Those that run callreel.
    fn ours() -> Vec<Self> {
        let mut ours = Self::all();
        ours.retain(|workload| workload.container()["name"] == "callreel");
        assert!(ours.len() >= 8, "{} workloads of ours", ours.len());
        ours
    }

    fn folder(&self) -> &str {
        self.place.split(": ").next().unwrap()
    }

    fn pod(&self) -> &'static Value {
        &self.object["spec"]["template"]["spec"]
    }

    fn container(&self) -> &'static Value {
        &self.pod()["containers"][0]
    }

    /// The configuration it mounts, read.
    fn settings(&self) -> Value {
        let config = Figment::from(Toml::string(&self.config()));
        config.extract().unwrap()
    }

    /// The configuration it mounts.
    fn config(&self) -> String {
        let volumes = list(&self.pod()["volumes"]);
        let name = volumes
            .iter()
            .find(|volume| volume["name"] == "config")
            .and_then(|volume| volume.pointer("/configMap/name"))
            .unwrap_or_else(|| panic!("{}: no configuration", self.place));
        let map = objects(self.folder(), "ConfigMap")
            .find(|map| map["metadata"]["name"] == *name)
            .unwrap_or_else(|| panic!("{}: no {name}", self.place));
        map["data"]["callreel.toml"].as_str().unwrap().to_owned()
    }
}

fn objects(folder: &str, kind: &str) -> impl Iterator<Item = &'static Value> {
    RENDERED[folder].iter().filter(move |o| o["kind"] == kind)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Whether the labels of a pod are those that are looked for.
fn selects(wanted: &Value, pod: &Value) -> bool {
    let wanted = wanted.as_object().unwrap();
    wanted
        .iter()
        .all(|(key, value)| pod.get(key) == Some(value))
}

/// The workloads of a folder that a selector means.
fn selected(folder: &str, wanted: &Value) -> Vec<Workload> {
    let mut found = Workload::all();
    found.retain(|workload| {
        let labels = &workload.object["spec"]["template"]["metadata"]["labels"];
        workload.folder() == folder && selects(wanted, labels)
    });
    found
}

#[test]
fn every_overlay_is_valid_and_has_a_workload() {
    for folder in FOLDERS.into_iter().filter(|folder| *folder != MONITORING) {
        let objects = &RENDERED[folder];
        let kinds: Vec<&Value> = objects.iter().map(|object| &object["kind"]).collect();
        assert!(
            kinds.contains(&&json!("StatefulSet")),
            "{folder}: {kinds:?}"
        );
    }
}

#[test]
fn every_configuration_is_one_that_callreel_takes() {
    for workload in Workload::ours() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("callreel.toml");
        std::fs::write(&file, workload.config()).unwrap();
        let mut check = Command::new(env!("CARGO_BIN_EXE_callreel"));
        check.args(["config", "check"]).arg(&file).env_clear();
        for variable in list(&workload.container()["env"]) {
            let name = variable["name"].as_str().unwrap();
            let value = variable["value"].as_str().unwrap_or("192.0.2.7");
            let value = value
                .replace("$(POD_NAME)", "callreel-0")
                .replace("$(POD_IP)", "192.0.2.7")
                .replace("$(HOST_IP)", "192.0.2.8");
            assert!(
                !value.contains("$("),
                "{}: {name} = {value}",
                workload.place
            );
            match name
                .strip_prefix("CALLREEL_")
                .filter(|_| name.ends_with("_FILE"))
            {
                Some(key) => {
                    let secret = dir.path().join(key);
                    std::fs::write(&secret, secret_for(key)).unwrap();
                    check.env(name, secret);
                }
                None => drop(check.env(name, value)),
            }
        }
        let checked = check.output().unwrap();
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{}: {said}", workload.place);
    }
}

fn secret_for(key: &str) -> &'static str {
    match key {
        "BUS_URL_FILE" => "amqp://user:password@broker/vhost",
        "STORE_URL_FILE" => "https://user:password@couchdb:5984",
        "API_ADMIN_TOKEN_FILE" => "0123456789abcdef0123456789abcdef",
        other => panic!("{other} is a secret that k8s/README.md does not know"),
    }
}

#[test]
fn a_pod_is_given_longer_to_end_than_its_calls_are() {
    for workload in Workload::ours() {
        let config = workload.settings();
        let limit = config["node"]["drain_limit_s"].as_i64().unwrap();
        let grace = workload.pod()["terminationGracePeriodSeconds"].as_i64();
        let hook = workload
            .container()
            .pointer("/lifecycle/preStop/sleep/seconds");
        let hook = hook.and_then(Value::as_i64).unwrap_or(0);
        let grace = grace.expect("a grace period") - hook;
        assert!(
            grace >= limit + 30,
            "{}: {grace} s for {limit} s",
            workload.place
        );
    }
}

#[test]
fn a_pod_may_do_no_more_than_it_must() {
    for workload in Workload::all() {
        let place = &workload.place;
        let pod = workload.pod();
        assert_eq!(pod["automountServiceAccountToken"], false, "{place}");
        assert_eq!(pod["enableServiceLinks"], false, "{place}");
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{place}");
        let profile = &pod["securityContext"]["seccompProfile"]["type"];
        assert_eq!(profile, "RuntimeDefault", "{place}");
        for container in list(&pod["containers"]) {
            let context = &container["securityContext"];
            assert_eq!(context["allowPrivilegeEscalation"], false, "{place}");
            assert_eq!(context["capabilities"]["drop"], json!(["ALL"]), "{place}");
            for kind in ["cpu", "memory"] {
                let asked = &container["resources"]["requests"][kind];
                assert!(asked.is_string(), "{place} asks for no {kind}");
            }
        }
    }
    for workload in Workload::ours() {
        let context = &workload.container()["securityContext"];
        assert_eq!(
            context["readOnlyRootFilesystem"], true,
            "{}",
            workload.place
        );
    }
}

#[test]
fn what_is_written_lies_on_a_volume() {
    for workload in Workload::ours() {
        let config = workload.settings();
        let data = config["node"]["data"].as_str().unwrap();
        let mounts = list(&workload.container()["volumeMounts"]);
        let writable = |path: &str| {
            let mount = mounts.iter().find(|mount| mount["mountPath"] == path);
            mount.is_some_and(|mount| mount["readOnly"] != true)
        };
        // Voices of the built-in speech engine.
        assert!(writable("/tmp"), "{}", workload.place);
        let args = workload.container()["args"].to_string();
        let keeps = !args.contains("--role\",\"switch\"");
        assert!(!keeps || writable(data), "{}: {data}", workload.place);
        let records = !args.contains("--role") || args.contains("calls");
        let claims = list(&workload.object["spec"]["volumeClaimTemplates"]);
        let claimed = claims.iter().any(|claim| {
            let name = &claim["metadata"]["name"];
            let mount = mounts.iter().find(|mount| mount["name"] == *name);
            mount.is_some_and(|mount| mount["mountPath"] == data)
        });
        assert_eq!(
            records, claimed,
            "{}: recordings lie on a claim",
            workload.place
        );
        if records {
            let kept = &workload.object["spec"]["persistentVolumeClaimRetentionPolicy"];
            assert_eq!(
                *kept,
                json!({"whenDeleted": "Retain", "whenScaled": "Retain"})
            );
        }
    }
}

#[test]
fn every_port_that_is_named_is_there_and_every_selector_means_a_pod() {
    for folder in FOLDERS {
        for service in objects(folder, "Service") {
            let name = &service["metadata"]["name"];
            let meant = selected(folder, &service["spec"]["selector"]);
            assert!(!meant.is_empty(), "{folder}: {name} means no pod");
            for port in list(&service["spec"]["ports"]) {
                let target = &port["targetPort"];
                for workload in &meant {
                    let ports = list(&workload.container()["ports"]);
                    let there = ports.iter().any(|port| port["name"] == *target);
                    assert!(there, "{folder}: {name} sends to {target}");
                }
            }
        }
        for kind in ["PodDisruptionBudget", "NetworkPolicy"] {
            let field = if kind == "NetworkPolicy" {
                "podSelector"
            } else {
                "selector"
            };
            for object in objects(folder, kind) {
                let Some(wanted) = object["spec"][field].get("matchLabels") else {
                    continue;
                };
                let meant = selected(folder, wanted);
                assert!(
                    !meant.is_empty(),
                    "{folder}: {kind} {}",
                    object["metadata"]["name"]
                );
            }
        }
    }
    for workload in Workload::ours() {
        let budgets = objects(workload.folder(), "PodDisruptionBudget");
        let labels = &workload.object["spec"]["template"]["metadata"]["labels"];
        let held = budgets
            .filter(|budget| selects(&budget["spec"]["selector"]["matchLabels"], labels))
            .count();
        assert_eq!(held, 1, "{}: one disruption budget", workload.place);
    }
}

#[test]
fn no_secret_stands_in_a_configuration() {
    for folder in FOLDERS {
        assert_eq!(
            objects(folder, "Secret").count(),
            0,
            "{folder}: secrets come from outside"
        );
        for map in objects(folder, "ConfigMap") {
            let text = map["data"].to_string();
            for word in ["password", "token", "secret", "://"] {
                assert!(
                    !text.contains(&format!("{word} =")),
                    "{folder}: {word} in {text}"
                );
            }
            assert!(
                !text.contains('@'),
                "{folder}: credentials of a URL in {text}"
            );
        }
    }
}

#[test]
fn every_probe_asks_what_a_node_answers() {
    let mut node = Node::asleep(
        &Estate::with_flow(&json!({"module": "hangup", "data": {}})),
        "",
    );
    let listen = format!("127.0.0.1:{}", free_port());
    node.set_env("CALLREEL_NODE_HEALTH_LISTEN", &listen);
    node.launch();
    let mut paths = Vec::new();
    for workload in Workload::ours() {
        let container = workload.container();
        for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
            let asked = &container[probe]["httpGet"];
            let ports = list(&container["ports"]);
            let port = ports.iter().find(|port| port["name"] == asked["port"]);
            let port = port.unwrap_or_else(|| panic!("{}: {probe} asks no port", workload.place));
            let config = workload.settings();
            let (section, key) = match asked["port"].as_str() {
                Some("api") => ("api", "listen"),
                _ => ("node", "health_listen"),
            };
            let listens = config[section][key].as_str().unwrap();
            let number = port["containerPort"].to_string();
            assert!(
                listens.ends_with(&format!(":{number}")),
                "{}: {probe}",
                workload.place
            );
            paths.push(asked["path"].as_str().unwrap().to_owned());
        }
    }
    paths.sort();
    paths.dedup();
    assert_eq!(paths, ["/healthz", "/readyz"]);
    for path in paths {
        assert_eq!(get(&listen, &path).0, 200, "{path} of the health listener");
        assert_eq!(
            node.fetch(&path, "application/json").0,
            200,
            "{path} of the API"
        );
    }
    node.terminate();
    assert!(node.ended(), "it drains and ends");
}

#[test]
fn the_image_is_built_of_what_is_there_and_runs_as_nobody() {
    let dockerfile = std::fs::read_to_string(root().join("Dockerfile")).unwrap();
    let ignored = std::fs::read_to_string(root().join(".dockerignore")).unwrap();
    let copied = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("COPY "));
    for line in copied.filter(|line| !line.contains("--from")) {
        let (sources, _) = line.rsplit_once(' ').unwrap();
        for source in sources.split(' ') {
            assert!(root().join(source).exists(), "COPY {source}");
            assert!(
                ignored.contains(&format!("!{source}")),
                "{source} is not sent to the build"
            );
        }
    }
    let user = dockerfile
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("USER "));
    let user = user.expect("a user").split(':').next().unwrap();
    assert!(user.parse::<u32>().is_ok_and(|id| id > 0), "USER {user}");
    for workload in Workload::ours() {
        let runs_as = &workload.pod()["securityContext"]["runAsUser"];
        assert_eq!(runs_as.to_string(), user, "{}", workload.place);
    }
}
