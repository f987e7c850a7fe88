//! The node under test: all roles of the real binary in one process.

use std::ops::Deref;

use super::{
    clock::Clock,
    estate::Estate,
    process::Process,
    site::Site,
    volume::{Names, Volume},
};

/// A running node.
pub(crate) struct Node {
    site: Site,
    process: Process,
}

impl Node {
    /// Imports the account and starts the node. Loopback receivers are allowed, as the demo allows them.
    pub(crate) fn start(estate: &Estate) -> Self {
        Self::with_settings(estate, "[delivery]\nallow_networks = [\"127.0.0.0/8\"]\n")
    }

    /// The same with these settings and no others but ports and folders ([`Site::new`]).
    pub(crate) fn with_settings(estate: &Estate, settings: &str) -> Self {
        let mut node = Self::asleep(estate, settings);
        node.launch();
        node
    }

    /// The same, imported and not started.
    pub(crate) fn asleep(estate: &Estate, settings: &str) -> Self {
        let site = Site::new(estate, settings);
        let process = Process::new(site.config(), &[], site.data().join("node.log"));
        Self { site, process }
    }

    /// Puts its spool on a small disk of its own. Before its first start.
    pub(crate) fn with_small_spool(&mut self, size: &str) -> Volume {
        let volume = Volume::mounted(&self.data().join("data/spool"), size);
        self.process.enter(volume.entrance());
        volume
    }

    /// Lets it resolve names by this file instead of /etc/hosts. Before its first start.
    pub(crate) fn with_names(&mut self, hosts: &str) -> Names {
        let file = self.data().join("hosts");
        std::fs::write(&file, hosts).unwrap();
        let names = Names::of(&file);
        self.process.enter(names.entrance());
        names
    }

    /// Lets its next lives go by a clock that can be set.
    pub(crate) fn with_clock(&mut self) -> Clock {
        let clock = Clock::right(self.data());
        for (key, value) in clock.variables() {
            self.process.set_env(key, &value);
        }
        clock
    }

    /// Ends it without warning, as a crash would.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Asks it to end, as a supervisor does.
    pub(crate) fn terminate(&self) {
        self.process.terminate();
    }

    /// Waits until it has ended by itself, and says whether it called that a success.
    pub(crate) fn ended(&mut self) -> bool {
        self.process.ended()
    }

    /// Starts it again on the same data and ports.
    pub(crate) fn launch(&mut self) {
        self.process.launch();
    }

    /// The same, without waiting until it is ready.
    pub(crate) fn begin(&mut self) {
        drop(self.process.begin());
    }

    /// Starts it, expects it to refuse, and gives what it said.
    pub(crate) fn refuses(&mut self) -> String {
        self.process.refuses()
    }

    /// Sets a key of the configuration by its variable, for its next lives.
    pub(crate) fn set_env(&mut self, key: &str, value: &str) {
        self.process.set_env(key, value);
    }
}

impl Deref for Node {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.last_words();
        }
    }
}
