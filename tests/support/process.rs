//! One process of the real binary: started, killed, asked to end, and started again.

use std::{
    ffi::OsStr,
    fs::OpenOptions,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
};

use super::{PATIENCE, Reaped};

/// A process that runs, or did.
pub(crate) struct Process {
    program: PathBuf,
    config: PathBuf,
    args: Vec<String>,
    env: Vec<(String, String)>,
    /// What is put before the program.
    entrance: Vec<String>,
    log: PathBuf,
    running: Option<Reaped>,
}

impl Process {
    /// `callreel serve` with this configuration and these arguments; what it logs is added to `log`.
    pub(crate) fn new(config: PathBuf, args: &[&str], log: PathBuf) -> Self {
        Self {
            program: super::this_build(),
            config,
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            env: Vec::new(),
            entrance: Vec::new(),
            log,
            running: None,
        }
    }

    /// The same with a key of the configuration set by its variable.
    pub(crate) fn with_env(mut self, key: &str, value: &str) -> Self {
        self.env.push((key.to_owned(), value.to_owned()));
        self
    }

    /// The same in its next life.
    pub(crate) fn set_env(&mut self, key: &str, value: &str) {
        self.env.retain(|(set, _)| set != key);
        self.env.push((key.to_owned(), value.to_owned()));
    }

    /// Its next lives are those of another build.
    pub(crate) fn becomes(&mut self, program: &Path) {
        self.program = program.to_owned();
    }

    /// Its next lives are in the place that these words lead to.
    pub(crate) fn enter(&mut self, entrance: Vec<String>) {
        self.entrance = entrance;
    }

    /// Starts it, and waits until it is ready.
    pub(crate) fn launch(&mut self) {
        let hear = self.begin();
        loop {
            match hear.recv_timeout(PATIENCE) {
                Ok(line) if line.starts_with("ready") => return,
                Ok(_) => {}
                Err(_) => panic!("it never became ready:\n{}", self.log()),
            }
        }
    }

    /// Starts it and waits for nothing; gives the lines it prints.
    pub(crate) fn begin(&mut self) -> mpsc::Receiver<String> {
        assert!(self.running.is_none(), "already running");
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let mut words = self.entrance.iter().map(OsStr::new);
        let program = self.program.as_os_str();
        let first = words.next();
        let words = words.chain(first.is_some().then_some(program));
        let mut child = Command::new(first.unwrap_or(program))
            .args(words)
            .arg("serve")
            .args(&self.args)
            .arg("--config")
            .arg(&self.config)
            .envs(self.env.clone())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.unwrap())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        self.running = Some(Reaped(child));
        let (said, hear) = mpsc::sync_channel(16);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if said.send(line).is_err() {
                    return;
                }
            }
        });
        hear
    }

    /// Starts it, expects it to refuse, and gives what it said.
    pub(crate) fn refuses(&mut self) -> String {
        let before = self.log().len();
        drop(self.begin());
        assert!(!self.ended(), "it started:\n{}", &self.log()[before..]);
        self.log()[before..].to_owned()
    }

    /// Ends it without warning, as a crash would.
    pub(crate) fn kill(&mut self) {
        // `Child::kill` is SIGKILL.
        self.running.take();
    }

    /// Asks it to end, as a supervisor does.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// Stops it as it is, like a machine that hangs.
    pub(crate) fn suspend(&self) {
        self.signal("STOP");
    }

    /// Lets a suspended one go on.
    pub(crate) fn go_on(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let pid = self.running.as_ref().expect("it runs").0.id();
        super::run("sh", &["-c", &format!("kill -{name} {pid}")]);
    }

    /// Waits until it has ended by itself, and says whether it called that a success.
    pub(crate) fn ended(&mut self) -> bool {
        let mut process = self.running.take().expect("it runs");
        process.succeeded("the process's end")
    }

    /// What it has logged, in all its lives.
    pub(crate) fn log(&self) -> String {
        super::text_of(&self.log)
    }
}
