//! What one node sees of the machine in a mount namespace of its own: a small disk that can be filled, emptied and made
//! read-only, and names that lead where a test wants. It outlives the node.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::Reaped;

/// Ways into a namespace: as an ordinary user, and as root where users have none. With each, how to follow there.
const WAYS: [(&str, &[&str]); 2] = [
    ("-Urm", &["-U", "--preserve-credentials", "-m"]),
    ("-m", &["-m"]),
];

/// A process that lives in a namespace of its own and holds it open.
struct Holder {
    process: Reaped,
    follow: &'static [&'static str],
}

impl Holder {
    /// Makes a namespace, and mounts in it what this line of shell does with these words.
    fn mounts(mount: &str, words: &[&str]) -> Self {
        let script = format!("{mount} && echo mounted && exec cat");
        for (unshare, follow) in WAYS {
            let mut holder = Command::new("unshare")
                .args([unshare, "sh", "-c", &script, "sh"])
                .args(words)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .expect("unshare belongs to every Debian");
            let mut said = BufReader::new(holder.stdout.take().unwrap());
            let (process, mut line) = (Reaped(holder), String::new());
            said.read_line(&mut line).unwrap();
            if line == "mounted\n" {
                return Self { process, follow };
            }
        }
        panic!(
            "nothing can be mounted for this test: allow user namespaces (unshare -Urm), or run the tests as root"
        );
    }

    /// What is put before a command that is to be in there.
    fn entrance(&self) -> Vec<String> {
        let holder = self.process.0.id().to_string();
        let enter = ["nsenter", "-t", &holder].into_iter();
        let enter = enter.chain(self.follow.iter().copied()).chain(["--"]);
        enter.map(str::to_owned).collect()
    }
}

/// Names of hosts that a node resolves as a test says. They are forgotten when this is dropped.
pub(crate) struct Names {
    holder: Holder,
}

impl Names {
    /// What this file says instead of the machine's own /etc/hosts.
    pub(crate) fn of(hosts: &Path) -> Self {
        let words = [hosts.to_str().unwrap()];
        Self {
            holder: Holder::mounts("mount --bind \"$1\" /etc/hosts", &words),
        }
    }

    /// What is put before a command that is to go by these names.
    pub(crate) fn entrance(&self) -> Vec<String> {
        self.holder.entrance()
    }
}

/// A small disk. It is gone when this is dropped.
pub(crate) struct Volume {
    holder: Holder,
    place: PathBuf,
}

impl Volume {
    /// Mounts an empty disk of this size at `place`, for those who [`enter`](Self::entrance).
    pub(crate) fn mounted(place: &Path, size: &str) -> Self {
        std::fs::create_dir_all(place).unwrap();
        let mount = "mount -t tmpfs -o size=\"$1\",mode=700 none \"$2\"";
        Self {
            holder: Holder::mounts(mount, &[size, place.to_str().unwrap()]),
            place: place.to_owned(),
        }
    }

    /// The folder, as it is seen from outside.
    pub(crate) fn path(&self) -> PathBuf {
        let place = self.place.strip_prefix("/").expect("an absolute path");
        let holder = self.holder.process.0.id();
        PathBuf::from(format!("/proc/{holder}/root")).join(place)
    }

    /// What is put before a command that is to see this disk.
    pub(crate) fn entrance(&self) -> Vec<String> {
        self.holder.entrance()
    }

    /// Fills it to the last byte.
    pub(crate) fn fill(&self) {
        let mut ballast = File::create(self.path().join("ballast")).unwrap();
        for block in [65_536, 4096, 1] {
            while ballast.write_all(&vec![0; block]).is_ok() {}
        }
    }

    /// Fills it but for so many bytes.
    pub(crate) fn fill_but(&self, free: u64) {
        self.fill();
        let ballast = File::options()
            .write(true)
            .open(self.path().join("ballast"))
            .unwrap();
        let length = ballast.metadata().unwrap().len();
        ballast.set_len(length - free).unwrap();
    }

    /// Takes away what [`fill`](Self::fill) put there.
    pub(crate) fn clear(&self) {
        std::fs::remove_file(self.path().join("ballast")).unwrap();
    }

    /// From now on it is read-only (`ro`) or not (`rw`).
    pub(crate) fn remount(&self, mode: &str) {
        let [first, rest @ ..] = &self.entrance()[..] else {
            unreachable!("nsenter comes first");
        };
        let status = Command::new(first)
            .args(rest)
            .args(["mount", "-o", &format!("remount,{mode}")])
            .arg(&self.place)
            .status();
        assert!(status.unwrap().success(), "remount,{mode}");
    }
}
