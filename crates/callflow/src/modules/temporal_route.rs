//! `temporal_route`: goes on at the first rule of time that holds now, or switches such rules on and off.

use std::collections::BTreeMap;
use std::time::Duration;

use callreel_proto::{TemporalRule, temporal_rules};
use jiff::Zoned;
use serde_json::{Value, json};

use crate::calendar::Rule;
use crate::stage::{Module, Stage, Turn};
use crate::talk::{Answer, Query};
use crate::wait::Outcome;

/// The branch of the rules of the action's `rule_set`.
const RULE_SET: &str = "rule_set";
/// Kazoo waits this long for a choice.
const CHOICE: Duration = Duration::from_secs(5);
/// Kazoo asks for ever; nobody needs more.
const MOST_QUESTIONS: u32 = 3;

#[derive(Debug, Default)]
pub(crate) struct TemporalRoute {
    step: Step,
    action: Option<Action>,
    now: Option<Zoned>,
    /// Rules and sets of them with their branches, in the order they are asked.
    routes: Vec<Route>,
    /// The documents of rules and sets that there are.
    documents: BTreeMap<String, Value>,
    questions: u32,
}

/// What a feature code does to the rules.
#[derive(Debug, Clone, Copy)]
enum Action {
    Menu,
    /// True or false, or no more of either.
    Switch(Option<bool>),
}

#[derive(Debug, Clone)]
struct Route {
    id: String,
    branch: String,
}

/// What has been asked for; the outcome is its answer.
#[derive(Debug, Default)]
enum Step {
    #[default]
    LearnTime,
    Load,
    LoadSets,
    Answer,
    Choose,
    /// The rules yet to be switched, last first.
    Switch(Vec<String>),
    Say,
}

impl Module for TemporalRoute {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        self.action = action(stage);
        self.routes = routes(stage, self.action.is_none());
        if self.action.is_some() {
            return self.load(stage);
        }
        let place = stage.text("timezone");
        let timezone = place.filter(|place| place != "inherit");
        Turn::Wait(stage.ask(Query::LocalTime { timezone }))
    }

    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        match (std::mem::take(&mut self.step), outcome) {
            (Step::LearnTime, Outcome::Reply(Answer::LocalTime(now))) => {
                self.now = Some(now);
                self.load(stage)
            }
            (Step::LearnTime, _) => {
                stage.warn("the time cannot be had; no rule holds");
                Turn::next()
            }
            (Step::Load, outcome) => {
                self.loaded(outcome);
                self.load_sets(stage)
            }
            (Step::LoadSets, outcome) => {
                self.loaded(outcome);
                self.ready(stage)
            }
            (Step::Answer, _) => self.act(stage),
            (Step::Choose, Outcome::Digits(digits)) => self.chosen(stage, &digits.keys),
            (Step::Switch(left), outcome) => self.switched(stage, left, &outcome),
            (Step::Choose | Step::Say, _) => Turn::next(),
        }
    }
}

impl TemporalRoute {
    fn load(&mut self, stage: &mut Stage) -> Turn {
        self.step = Step::Load;
        let ids = self.routes.iter().map(|route| route.id.clone()).collect();
        Turn::Wait(stage.ask(Query::Documents { ids }))
    }

    fn loaded(&mut self, outcome: Outcome) {
        let Outcome::Reply(Answer::Documents(documents)) = outcome else {
            return;
        };
        let named = |document: Value| Some((document["_id"].as_str()?.to_owned(), document));
        self.documents
            .extend(documents.into_iter().filter_map(named));
    }

    /// Puts the rules of sets in the place of the sets, and loads those.
    fn load_sets(&mut self, stage: &mut Stage) -> Turn {
        let routes = std::mem::take(&mut self.routes);
        let mut missing = Vec::new();
        for route in routes {
            let rules = self.documents.get(&route.id).map(temporal_rules);
            let rules = rules.filter(|rules| !rules.is_empty());
            let Some(rules) = rules else {
                self.routes.push(route);
                continue;
            };
            missing.extend(
                rules
                    .iter()
                    .filter(|id| !self.documents.contains_key(*id))
                    .cloned(),
            );
            let branch = route.branch;
            let rules = rules.into_iter().map(|id| Route {
                id,
                branch: branch.clone(),
            });
            self.routes.extend(rules);
        }
        if missing.is_empty() {
            return self.ready(stage);
        }
        self.step = Step::LoadSets;
        Turn::Wait(stage.ask(Query::Documents { ids: missing }))
    }

    fn ready(&mut self, stage: &mut Stage) -> Turn {
        self.routes.retain(|route| {
            let there = self.documents.contains_key(&route.id);
            if !there {
                stage.warn(format!("there is no rule {:?} in the account", route.id));
            }
            there
        });
        match (self.action, self.now.take()) {
            (None, Some(now)) => Turn::Continue(self.first(stage, &now)),
            _ if self.routes.is_empty() => {
                stage.warn_of("rules", "there are no rules to switch; skipped");
                Turn::next()
            }
            _ => {
                self.step = Step::Answer;
                stage.answer_first()
            }
        }
    }

    /// The branch of the first rule that holds.
    fn first(&self, stage: &mut Stage, now: &Zoned) -> String {
        for Route { id, branch } in &self.routes {
            let document = TemporalRule::read(&self.documents[id]);
            let rule = match Rule::of(&document, now.date(), now.time_zone()) {
                Ok(rule) => rule,
                Err(_) if document.enabled == Some(true) => return branch.clone(),
                Err(reason) => {
                    stage.warn(format!("the rule {id:?} is passed over: {reason}"));
                    continue;
                }
            };
            // In Kazoo also what is switched on begins when it begins.
            let holds = document
                .enabled
                .unwrap_or_else(|| rule.holds(now.datetime()));
            if holds && !rule.is_yet_to_come(now.date()) {
                return branch.clone();
            }
        }
        "_".to_owned()
    }

    fn act(&mut self, stage: &mut Stage) -> Turn {
        match self.action {
            Some(Action::Switch(_)) => {
                let rules = self.routes.iter().rev().map(|route| route.id.clone());
                self.switch_next(stage, rules.collect())
            }
            _ if self.questions < MOST_QUESTIONS => {
                self.questions += 1;
                stage.prompt("temporal-menu");
                self.step = Step::Choose;
                stage.ask_key(CHOICE)
            }
            _ => Turn::next(),
        }
    }

    fn chosen(&mut self, stage: &mut Stage, key: &str) -> Turn {
        let enabled = match key {
            "1" => Some(true),
            "2" => Some(false),
            "3" => None,
            _ => return self.act(stage),
        };
        self.action = Some(Action::Switch(enabled));
        self.act(stage)
    }

    fn switch_next(&mut self, stage: &mut Stage, mut left: Vec<String>) -> Turn {
        let Some(Action::Switch(enabled)) = self.action else {
            return Turn::next();
        };
        let Some(id) = left.pop() else {
            return self.confirm(stage, enabled);
        };
        self.step = Step::Switch(left);
        let set = vec![("/enabled".to_owned(), json!(enabled))];
        Turn::Wait(stage.ask(Query::Change { id, set }))
    }

    fn switched(&mut self, stage: &mut Stage, left: Vec<String>, outcome: &Outcome) -> Turn {
        if !matches!(outcome, Outcome::Reply(Answer::Document(_))) {
            stage.warn("a rule could not be changed");
        }
        self.switch_next(stage, left)
    }

    fn confirm(&mut self, stage: &mut Stage, enabled: Option<bool>) -> Turn {
        stage.prompt(match enabled {
            Some(true) => "temporal-marked_enabled",
            Some(false) => "temporal-marked_disabled",
            None => "temporal-marker_reset",
        });
        self.step = Step::Say;
        stage.until_heard()
    }
}

/// What is to be done to the rules; none if they are to be asked.
fn action(stage: &mut Stage) -> Option<Action> {
    match stage.text("action")?.as_str() {
        "menu" => Some(Action::Menu),
        "enable" => Some(Action::Switch(Some(true))),
        "disable" => Some(Action::Switch(Some(false))),
        "reset" => Some(Action::Switch(None)),
        other => {
            let message = format!("{other:?} is no action; the rules are asked");
            stage.warn_of("action", message);
            None
        }
    }
}

/// The rules that the data names, those that children are named for, and those of the set.
fn routes(stage: &mut Stage, children: bool) -> Vec<Route> {
    let mut ids: Vec<String> = stage.data(|data| {
        let listed = data.list("rules").iter().filter_map(Value::as_str);
        listed.map(str::to_owned).collect()
    });
    let node = stage.node.clone().filter(|_| children);
    let keys = node.iter().flat_map(|node| &node.children);
    for (key, _) in keys {
        if key != "_" && key != RULE_SET && !ids.contains(key) {
            ids.push(key.clone());
        }
    }
    let own = ids.into_iter().map(|id| Route {
        branch: id.clone(),
        id,
    });
    let set = stage.text(RULE_SET).map(|id| Route {
        id,
        branch: RULE_SET.to_owned(),
    });
    own.chain(set).collect()
}
