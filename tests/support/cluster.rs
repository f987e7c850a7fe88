//! The program in pieces: one process per role, two for `calls`, on one configuration, one data folder and one RabbitMQ.

use std::{collections::BTreeMap, ops::Deref, path::Path};

use super::{broker::Broker, estate::Estate, process::Process, site::Site};

/// Loopback receivers are allowed, and a failed delivery is tried again soon.
const SETTINGS: &str = "[delivery]\nallow_networks = [\"127.0.0.0/8\"]\nbackoff_first_s = 1\n";

/// The processes, by name, with their roles.
const MEMBERS: [(&str, &str); 5] = [
    ("api", "api"),
    ("delivery", "delivery"),
    ("calls-1", "calls"),
    ("calls-2", "calls"),
    ("switch", "switch"),
];

/// A running cluster.
pub(crate) struct Cluster {
    site: Site,
    members: BTreeMap<&'static str, Process>,
}

impl Cluster {
    /// Imports the account and starts all processes on a vhost of the shared broker.
    pub(crate) fn start(estate: &Estate) -> Self {
        Self::with(estate, &Broker::shared().vhost(), &[])
    }

    /// The same on this broker, with these variables for these members.
    pub(crate) fn with(
        estate: &Estate,
        broker: &str,
        variables: &[(&'static str, &str, &str)],
    ) -> Self {
        Self::at(Site::new(estate, SETTINGS), None, broker, variables)
    }

    /// The same, all of another build, on the shared broker and this store.
    pub(crate) fn of_build(program: &Path, estate: &Estate, store: &str) -> Self {
        let settings = format!("{SETTINGS}[store]\nurl = \"{store}\"\n");
        let site = Site::of_build(program, estate, &settings);
        Self::at(site, Some(program), &Broker::shared().vhost(), &[])
    }

    fn at(
        site: Site,
        program: Option<&Path>,
        broker: &str,
        variables: &[(&'static str, &str, &str)],
    ) -> Self {
        let mut cluster = Self {
            site,
            members: BTreeMap::new(),
        };
        for (name, role) in MEMBERS {
            let log = cluster.data().join(format!("{name}.log"));
            let args = ["--role", role];
            let mut member = Process::new(cluster.config(), &args, log)
                .with_env("CALLREEL_BUS_URL", broker)
                .with_env("CALLREEL_NODE_NAME", &format!("callreel@{name}"));
            for (_, key, value) in variables.iter().filter(|(of, ..)| *of == name) {
                member = member.with_env(key, value);
            }
            if let Some(program) = program {
                member.becomes(program);
            }
            member.launch();
            cluster.members.insert(name, member);
        }
        cluster
    }

    /// One of its processes.
    pub(crate) fn member(&mut self, name: &str) -> &mut Process {
        self.members.get_mut(name).expect("MEMBERS has it")
    }

    /// The names of its processes.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.members.keys().copied()
    }

    /// What one of them has logged.
    pub(crate) fn log_of(&self, name: &str) -> String {
        self.members[name].log()
    }
}

impl Deref for Cluster {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.last_words();
        }
    }
}
