//! `page_group`: speaks to several phones at once, which answer by themselves.

use std::time::Duration;

use callreel_proto::{Application, CallEvent, Page, PageOptions};
use serde_json::{Map, json};

use crate::ring::{LONGEST_RING_S, RING_GUARD, Ringing, unreached_by, wanted};
use crate::stage::{Module, Stage, Turn};
use crate::talk::{Answer, Endpoints};
use crate::wait::{Await, Outcome};

/// Kazoo's ring time of a page, seconds: a phone that answers by itself does so at once.
const RING_S: u64 = 5;
/// Nobody speaks to a house for so long: the handset was left off the hook, or the switch has forgotten to say that it is over.
const LONGEST_PAGE: Duration = Duration::from_secs(3600);

#[derive(Debug, Default)]
pub(crate) struct PageGroup {
    ringing: Ringing,
}

impl Module for PageGroup {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        let members = wanted(stage);
        if members.is_empty() {
            stage.warn("the group has no members; nobody is paged");
            return Turn::next();
        }
        let timeout_s = stage.whole("timeout").filter(|s| *s > 0);
        self.ringing = Ringing {
            members,
            timeout_s: timeout_s.unwrap_or(RING_S).min(LONGEST_RING_S),
            group: true,
            ..Ringing::default()
        };
        self.ringing.begin(stage)
    }

    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        match outcome {
            Outcome::Reply(Answer::Endpoints(found)) => self.page(stage, &found),
            Outcome::Completed(event) => over(stage, &event),
            Outcome::Refused => Turn::next(),
            Outcome::TimedOut if stage.answered => {
                stage.warn("the page has lasted for an hour; the call is ended");
                Turn::Stop
            }
            Outcome::TimedOut => {
                stage.warn("the switch did not say how the page went; going on without it");
                Turn::next()
            }
            _ => {
                stage.warn("the account's documents cannot be read; nobody is paged");
                Turn::next()
            }
        }
    }
}

impl PageGroup {
    fn page(&self, stage: &mut Stage, found: &Endpoints) -> Turn {
        let endpoints = self.ringing.endpoints(stage, found);
        if endpoints.is_empty() {
            return Turn::next();
        }
        let caller = stage.caller_shown();
        let two_way_audio = Some(two_way(stage));
        let barge = stage.flag("barge_calls") == Some(true);
        let mut custom_channel_vars = caller.vars;
        custom_channel_vars.insert(
            "Auto-Answer-Suppress-Notify".to_owned(),
            json!((!barge).to_string()),
        );
        stage.command(Application::Page(Box::new(Page {
            endpoints,
            timeout_s: Some(self.ringing.timeout_s),
            caller_id_name: caller.name,
            caller_id_number: caller.number,
            custom_channel_vars,
            custom_sip_headers: Map::new(),
            options: PageOptions { two_way_audio },
        })));
        let ringing = Duration::from_secs(self.ringing.timeout_s) + RING_GUARD;
        let give_up = stage.after(if stage.answered {
            LONGEST_PAGE
        } else {
            ringing
        });
        let longest = LONGEST_PAGE;
        Turn::Wait(Await::Page { give_up, longest })
    }
}

fn two_way(stage: &mut Stage) -> bool {
    match stage.text("audio").as_deref() {
        None | Some("one-way") => false,
        Some("two-way") => true,
        Some(other) => {
            let message =
                format!("{other:?} is no audio; use \"one-way\" or \"two-way\"; one-way is used");
            stage.warn_of("audio", message);
            false
        }
    }
}

/// A page that reached somebody ends the flow, one that did not goes on as a bridge would.
fn over(stage: &mut Stage, event: &CallEvent) -> Turn {
    match event.application_response.as_deref() {
        None | Some("" | "SUCCESS") => Turn::Stop,
        Some(_) => match unreached_by(stage, event) {
            Ok(turn) => turn,
            Err(unreached) => unreached.turn(),
        },
    }
}
