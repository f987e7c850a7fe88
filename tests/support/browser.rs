//! A real browser: Chromium without a screen, by tests/tools/browser.js. Finds things as people do: by role and name.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{Reaped, root};

/// A wide and a narrow screen, pixels.
const SCREENS: [(u32, u32); 2] = [(1440, 900), (360, 740)];

/// A browser with one page.
pub(crate) struct Browser {
    _running: Reaped,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Browser {
    /// One that may ask nobody but `url`.
    pub(crate) fn at(url: &str) -> Self {
        let script = root().join("tests/tools/browser.js");
        let tools = root().join("target/test-tools");
        let mut running: Child = Command::new("node")
            .args([script.as_path(), Path::new(url)])
            .env("TEST_TOOLS", tools)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node is installed by `make test`");
        Self {
            requests: running.stdin.take().unwrap(),
            answers: BufReader::new(running.stdout.take().unwrap()),
            _running: Reaped(running),
        }
    }

    fn tries(&mut self, what: &str, request: &Value) -> Result<Value, String> {
        let mut request = request.clone();
        request["do"] = json!(what);
        writeln!(self.requests, "{request}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        let answer: Value = serde_json::from_str(&answer).expect("the browser answers");
        match answer.get("error") {
            Some(error) => Err(error.to_string()),
            None => Ok(answer["value"].clone()),
        }
    }

    #[track_caller]
    fn does(&mut self, what: &str, request: &Value) -> Value {
        let done = self.tries(what, request);
        done.unwrap_or_else(|error| {
            let page = self.evaluate("document.body.innerText");
            panic!("{what} {request}: {error}\nthe page:\n{page}");
        })
    }

    /// Goes to this path, anew.
    #[track_caller]
    pub(crate) fn opens(&mut self, at: &str) {
        self.does("open", &json!({ "at": at }));
    }

    /// Clicks what has this role and name.
    #[track_caller]
    pub(crate) fn clicks(&mut self, role: &str, name: &str) {
        self.does("click", &json!({"role": role, "name": name}));
    }

    /// Writes into the field of this label.
    #[track_caller]
    pub(crate) fn fills(&mut self, label: &str, text: &str) {
        self.does("fill", &json!({"label": label, "text": text}));
    }

    /// Chooses from the list of this label.
    #[track_caller]
    pub(crate) fn chooses(&mut self, label: &str, text: &str) {
        self.does("choose", &json!({"label": label, "text": text}));
    }

    /// Presses a key.
    #[track_caller]
    pub(crate) fn presses(&mut self, key: &str) {
        self.does("press", &json!({ "key": key }));
    }

    /// Types a text where the keyboard's focus is.
    #[track_caller]
    pub(crate) fn types(&mut self, text: &str) {
        self.does("type", &json!({ "text": text }));
    }

    /// Waits until this is to be read.
    #[track_caller]
    pub(crate) fn sees(&mut self, text: &str) {
        self.does("see", &json!({ "text": text }));
    }

    /// Waits until this is to be read no more.
    #[track_caller]
    pub(crate) fn misses(&mut self, text: &str) {
        self.does("miss", &json!({ "text": text }));
    }

    /// What a script comes to.
    #[track_caller]
    pub(crate) fn evaluate(&mut self, script: &str) -> Value {
        self.tries("evaluate", &json!({ "script": script }))
            .unwrap()
    }

    /// Waits until a script comes to something true.
    #[track_caller]
    pub(crate) fn waits_until(&mut self, script: &str) {
        self.does("until", &json!({ "script": script }));
    }

    /// Clicks what has this role and name, which gives a file: its name and bytes.
    #[track_caller]
    pub(crate) fn saves(&mut self, role: &str, name: &str) -> (String, Vec<u8>) {
        let saved = self.does("save", &json!({"role": role, "name": name}));
        let bytes = STANDARD.decode(saved["bytes"].as_str().unwrap()).unwrap();
        (saved["name"].as_str().unwrap().to_owned(), bytes)
    }

    /// Whether the page can be used: by people who cannot see it, on a narrow and on a wide screen, by day and by night, with
    /// nothing wrong behind it. With `CALLREEL_TEST_PICTURES=FOLDER` it is pictured there under this name.
    #[track_caller]
    pub(crate) fn is_sound(&mut self, name: &str) {
        for (width, height) in SCREENS {
            for dark in [false, true] {
                let screen = json!({"width": width, "height": height, "dark": dark});
                self.does("size", &screen);
                if let Some(folder) = std::env::var_os("CALLREEL_TEST_PICTURES") {
                    let shade = if dark { "dark" } else { "light" };
                    let file = Path::new(&folder).join(format!("{name}-{width}-{shade}.png"));
                    self.does("picture", &json!({ "file": file }));
                }
                assert_eq!(self.does("axe", &json!({})), json!([]), "{name} {screen}");
                let page = "document.scrollingElement";
                let overhang = format!("{page}.scrollWidth - {page}.clientWidth");
                assert_eq!(
                    self.evaluate(&overhang),
                    0,
                    "{name} {screen}: scrolls sideways"
                );
            }
        }
        self.does(
            "size",
            &json!({"width": 1440, "height": 900, "dark": false}),
        );
        self.complains_of(&[]);
    }

    /// What it complained of since it was asked last: nothing but what begins so.
    #[track_caller]
    pub(crate) fn complains_of(&mut self, expected: &[&str]) {
        let said = self.does("complaints", &json!({}));
        let other = said.as_array().unwrap().iter().filter(|complaint| {
            let text = complaint.as_str().unwrap();
            !expected.iter().any(|known| text.contains(known))
        });
        assert_eq!(other.collect::<Vec<_>>(), Vec::<&Value>::new());
    }
}
