//! The console in a real browser: every page with what really happened, for people who see it and for those who do not.

use serde_json::{Value, json};

use crate::support::{
    audio::listen,
    browser::Browser,
    estate::{ACCOUNT, CALLEE_USER, Estate},
    eventually,
    node::Node,
    phone::{Phone, Talk},
    receiver::Receiver,
    voice::Speech,
};

/// The caller's voice and the callee's, hertz.
const VOICES: [f32; 2] = [1000.0, 440.0];
const ADMIN: &str = "0123456789abcdef0123456789abcdef";
const SETTINGS: &str = "[delivery]\nallow_networks = [\"127.0.0.0/8\"]\n";

/// Rings the callee; what is recorded is stored.
fn ringing() -> Estate {
    let ring = json!({"module": "user", "data": {"id": CALLEE_USER}, "children": {}});
    let estate = Estate::with_flow(&ring);
    estate.media_config(&json!({"store_recordings": true}));
    estate
}

/// A script that counts the points of the picture in these parts of its height and width that have the colour of `style`.
fn drawn(style: &str, (top, bottom): (f64, f64), (left, right): (f64, f64)) -> String {
    format!(
        r#"(() => {{
            const canvas = document.querySelector("canvas"), pen = canvas.getContext("2d");
            const probe = document.createElement("canvas").getContext("2d");
            probe.fillStyle = getComputedStyle(canvas).getPropertyValue("{style}").trim();
            probe.fillRect(0, 0, 1, 1);
            const wanted = probe.getImageData(0, 0, 1, 1).data;
            const [x, y] = [canvas.width * {left}, canvas.height * {top}].map(Math.floor);
            const [w, h] = [canvas.width * ({right} - {left}), canvas.height * ({bottom} - {top})].map(Math.ceil);
            const {{ data }} = pen.getImageData(x, y, w, h);
            let found = 0;
            for (let at = 0; at < data.length; at += 4) {{
                if ([0, 1, 2].every((n) => Math.abs(data[at + n] - wanted[n]) < 12)) found += 1;
            }}
            return found;
        }})()"#
    )
}

#[test]
fn a_live_call_is_recorded_masked_and_stopped_by_buttons_and_then_heard() {
    let node = Node::start(&ringing());
    let mut browser = Browser::at(&node.api_url());
    browser.opens("/");
    browser.sees("No calls at the moment");
    browser.is_sound("no-calls");
    let [caller, callee] = VOICES.map(|hz| Speech::tone(hz, 30.0));
    let speech = [caller, callee.losing_each_second(100)];
    let talk = Talk::begins(&node, 0, 9000, speech);
    browser.sees("talking");
    let name = browser
        .evaluate(r#"document.querySelector('[data-act^="start"]').getAttribute("aria-label")"#);
    let name = name.as_str().unwrap().to_owned();
    let call = name.strip_prefix("Record: ").unwrap().to_owned();
    let mut does = |verb: &str, said: &str| {
        browser.clicks("button", &format!("{verb}: {call}"));
        browser.sees(said);
    };
    // Told by the call itself, on both legs, and not by what this page has asked for.
    does("Record", "recording: api");
    second();
    does("Mask", "masked: api");
    second();
    does("Unmask", "recording: api");
    second();
    browser.sees("user at /flow, waits for the bridge to end");
    browser.is_sound("a-call");
    browser.clicks("button", &format!("Stop: {call}"));
    browser.sees("Done: stopped");
    let stored = node.recordings(1).remove(0);
    talk.ends();
    let masked = &stored["masked_ms"][0];
    let [from, until] = [0, 1].map(|n| masked[n].as_f64().unwrap() / 1000.0);
    let length = stored["duration_ms"].as_f64().unwrap() / 1000.0;
    assert!(until - from > 0.9, "{masked}");
    let gaps = |leg: &str| {
        stored["gap_report"][leg]["gaps_ms"]
            .as_array()
            .map(Vec::len)
    };
    assert_eq!(gaps("a"), None, "{stored}");
    assert!(gaps("b").is_some_and(|gaps| gaps > 0), "{stored}");
    the_list(&mut browser);
    the_picture(&mut browser, (from / length, until / length));
    the_player(&mut browser, length);
    its_orders(&mut browser, &node, &stored);
}

fn second() {
    std::thread::park_timeout(std::time::Duration::from_secs(1));
}

/// The page of recordings finds it, and does not where it is not.
fn the_list(browser: &mut Browser) {
    browser.clicks("link", "Recordings");
    browser.sees("1 shown");
    browser.is_sound("recordings");
    browser.chooses("Legal hold", "has_key");
    browser.clicks("button", "Search");
    browser.sees("No recordings match");
    browser.chooses("Legal hold", "");
    browser.fills("Caller’s number", "nobody");
    browser.clicks("button", "Search");
    browser.sees("No recordings match");
    browser.fills("Caller’s number", "");
    browser.presses("Enter");
    browser.sees("1 shown");
    let link = browser.evaluate(r#"document.querySelector("table a").textContent"#);
    browser.clicks("link", link.as_str().unwrap());
}

/// Both parties are drawn where they speak, the mask where it was, and what was lost with whom it was lost.
fn the_picture(browser: &mut Browser, (from, until): (f64, f64)) {
    const ABOVE: (f64, f64) = (0.05, 0.45);
    const BELOW: (f64, f64) = (0.55, 0.95);
    browser.sees("On the picture");
    browser.waits_until(r#"document.querySelector("audio").duration > 0"#);
    browser.is_sound("a-recording");
    let (whole, before) = ((0.02, 0.98), (0.02, from - 0.02));
    browser.waits_until(&format!("{} > 50", drawn("--gap", BELOW, whole)));
    assert_eq!(
        browser.evaluate(&drawn("--gap", ABOVE, whole)),
        0,
        "only the callee's packets were lost"
    );
    let within = (from + 0.04, until - 0.04);
    for (lane, style, other) in [(ABOVE, "--leg-a", "--leg-b"), (BELOW, "--leg-b", "--leg-a")] {
        let spoken = drawn(style, lane, before);
        // Drawn anew when the theme has changed.
        browser.waits_until(&format!("{spoken} > 500"));
        assert_eq!(
            browser.evaluate(&drawn(other, lane, before)),
            0,
            "each in its half"
        );
        let masked = drawn(style, lane, within);
        let silent = format!("{masked} * 10 < {spoken}");
        assert_eq!(
            browser.evaluate(&silent),
            true,
            "{style} is silent while masked"
        );
    }
}

fn the_player(browser: &mut Browser, length: f64) {
    const AT: &str = r#"document.querySelector("audio").currentTime"#;
    browser.evaluate(r#"document.querySelector("canvas").focus()"#);
    browser.presses("End");
    browser.waits_until(&format!("{AT} > {}", length - 0.3));
    browser.presses("Home");
    browser.waits_until(&format!("{AT} === 0"));
    browser.chooses("Speed", "2");
    assert_eq!(
        browser.evaluate(r#"document.querySelector("audio").playbackRate"#),
        2
    );
    browser.clicks("button", "Only the other party");
    let pressed = r#"[...document.querySelectorAll('[aria-pressed="true"]')].map((one) => one.textContent).join()"#;
    assert_eq!(browser.evaluate(pressed), "Only the other party");
    browser.evaluate(r#"document.querySelector("canvas").focus()"#);
    browser.presses(" ");
    browser.waits_until(&format!("{AT} > 0.5"));
    browser.presses(" ");
    browser.waits_until(r#"document.querySelector("audio").paused"#);
    let (name, bytes) = browser.saves("button", "Download");
    assert!(name.ends_with(".mp3"), "{name}");
    let heard = listen(&bytes).seconds();
    assert!((heard - length).abs() < 0.2, "{heard} of {length}");
}

/// A hold is put and lifted, and what is held cannot be deleted; then it is.
fn its_orders(browser: &mut Browser, node: &Node, stored: &Value) {
    let with_reason = |browser: &mut Browser, button: &str, verb: &str| {
        browser.clicks("button", button);
        browser.fills("Reason, kept with the evidence", "case 7");
        browser.clicks("button", verb);
    };
    with_reason(browser, "Put a legal hold on it…", "Hold it");
    browser.sees("While it is held");
    browser.sees("case 7");
    let disabled = r#"[...document.querySelectorAll("button.risky")].every((one) => one.disabled)"#;
    assert_eq!(browser.evaluate(disabled), true);
    browser.is_sound("held");
    with_reason(browser, "Lift the legal hold…", "Lift it");
    browser.misses("While it is held");
    with_reason(browser, "Delete…", "Delete it");
    browser.sees("No recordings match");
    let id = stored["id"].as_str().unwrap();
    let (status, _) = node.fetch(&format!("/v2/accounts/{ACCOUNT}/recordings/{id}"), "");
    assert_eq!(status, 404);
}

#[test]
fn what_is_owed_is_shown_with_its_reason_tried_again_and_dropped() {
    // Refused for good: five tries each, but not the one that a person orders.
    let receiver = Receiver::answering(&[404; 10]);
    let sleep = json!({"module": "sleep", "data": {"duration": 1}, "children": {}});
    let data = json!({"action": "start", "format": "wav", "url": receiver.url("/r")});
    let record = json!({"module": "record_call", "data": data, "children": {"_": sleep}});
    let flow = json!({"module": "answer", "data": {}, "children": {"_": record}});
    let settings = format!("{SETTINGS}backoff_first_s = 1\n");
    let node = Node::with_settings(&Estate::with_flow(&flow), &settings);
    let mut browser = Browser::at(&node.api_url());
    browser.opens("/#/deliveries");
    browser.sees("Nothing is owed");
    browser.is_sound("nothing-owed");
    for _ in 0..2 {
        let (_, run) = Phone::calls(&node, Speech::tone(1000.0, 5.0));
        run.completed();
    }
    eventually("both to be given up", || {
        let owed = node.api("/deliveries?state=undeliverable");
        (owed["data"].as_array()?.len() == 2).then_some(())
    });
    browser.sees("404 – 5 tries");
    browser.waits_until(r#"document.querySelectorAll(".tag.bad").length === 2"#);
    browser.is_sound("owed");
    let tickets = node.api("/deliveries")["data"].clone();
    let id = |n: usize| tickets[n]["id"].as_str().unwrap().to_owned();
    let act = |browser: &mut Browser, what: &str, id: &str| {
        browser.evaluate(&format!(
            r#"document.querySelector('[data-act="{what} {id}"]').click()"#
        ));
    };
    act(&mut browser, "retry", &id(0));
    browser.sees("Ordered: it is tried now");
    receiver.accepted();
    browser.misses(&id(0));
    act(&mut browser, "drop", &id(1));
    browser.fills("Reason, kept with the evidence", "a test call");
    browser.clicks("button", "Drop it");
    browser.sees("Nothing is owed");
    assert_eq!(
        receiver.arrivals().len(),
        11,
        "the other was never tried again"
    );
    assert!(
        node.manifest()
            .iter()
            .any(|line| line.to_string().contains("a test call"))
    );
    browser.complains_of(&[]);
}

#[test]
fn the_page_of_nodes_shows_this_one_and_that_it_drains() {
    let node = Node::start(&ringing());
    let mut browser = Browser::at(&node.api_url());
    browser.opens("/#/nodes");
    browser.sees("running");
    browser.sees("switch, calls, delivery, api");
    browser.sees("free");
    browser.is_sound("nodes");
    // A call that lasts keeps it from ending.
    let talk = Talk::begins(&node, 0, 6000, VOICES.map(|hz| Speech::tone(hz, 10.0)));
    node.terminate();
    browser.sees("draining");
    talk.ends();
}

/// Signs in with a token, by keys alone: from the password by the name of the account and the button to the token.
fn sign_in(browser: &mut Browser, token: &str, account: &str) {
    browser.sees("With a token");
    browser.evaluate(r#"document.querySelector("[name=password]").focus()"#);
    for _ in 0..3 {
        browser.presses("Tab");
    }
    browser.presses("Control+A");
    browser.types(token);
    browser.presses("Tab");
    browser.presses("Control+A");
    browser.types(account);
    browser.presses("Enter");
}

/// Goes on by the Tab key until what has the focus has this text, and presses Enter.
fn enters(browser: &mut Browser, text: &str) {
    for _ in 0..30 {
        browser.presses("Tab");
        if browser.evaluate("document.activeElement.textContent") == text {
            return browser.presses("Enter");
        }
    }
    panic!("no key leads to {text}");
}

#[test]
fn who_signs_in_by_keyboard_alone_sees_what_the_token_may_and_no_more() {
    let mut node = Node::asleep(&ringing(), SETTINGS);
    node.set_env("CALLREEL_API_AUTH", "on");
    node.set_env("CALLREEL_API_ADMIN_TOKEN", ADMIN);
    node.launch();
    let made = node.cli(&[
        "token",
        "new",
        "--account",
        ACCOUNT,
        "--name",
        "desk",
        "--scope",
        "recordings:read",
    ]);
    let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    let mut browser = Browser::at(&node.api_url());
    browser.opens("/");
    browser.sees("With a token");
    // The browser itself tells of every refusal.
    browser.complains_of(&["401"]);
    browser.is_sound("sign-in");
    sign_in(&mut browser, "nonsense", ACCOUNT);
    browser.sees("this token is none");
    sign_in(&mut browser, &token, ACCOUNT);
    browser.sees("calls:read");
    browser.complains_of(&["401", "403"]);
    browser.is_sound("refused");
    enters(&mut browser, "Recordings");
    browser.sees("No recordings match");
    assert_eq!(
        browser.evaluate("document.querySelector('nav').innerText.includes('Nodes')"),
        false
    );
    enters(&mut browser, "Sign out");
    sign_in(&mut browser, ADMIN, "");
    browser.sees("No calls at the moment");
    enters(&mut browser, "Nodes");
    browser.sees("running");
    let stays =
        browser.evaluate("JSON.stringify([location.href, document.cookie, {...localStorage}])");
    assert!(!stays.to_string().contains(ADMIN), "{stays}");
}
