//! A callflow document as a tree of actions, each knowing its place. Never says what an action does.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::print::place;
use crate::problem::{Problem, Severity};

/// A flow nested deeper is refused. A JSON text cannot nest deeper either: the reader takes 127 levels, of which every action costs
/// two and the last one's data another.
const MAX_DEPTH: usize = 63;
/// A flow of more actions is refused: the largest IVRs have some hundred, and a call walks them without yielding.
const MAX_ACTIONS: usize = 4096;
/// No more remarks than this about one document: a person reads the first few, a log keeps the rest.
const MAX_PROBLEMS: usize = 256;
/// Kazoo's schema limits a module's name to this.
const MAX_MODULE_NAME: usize = 64;

/// A callflow that can be walked.
#[derive(Debug, Clone)]
pub struct Flow {
    root: Option<Arc<Node>>,
    warnings: Arc<[Problem]>,
}

/// One action.
#[derive(Debug)]
pub(crate) struct Node {
    /// Its place; in a branched-to document, the document's id and `#` stand before it.
    pub(crate) pointer: String,
    /// Its module; empty when the document names none.
    pub(crate) module: String,
    /// What the module is told.
    pub(crate) data: Map<String, Value>,
    /// What may come next, by branch key.
    pub(crate) children: Vec<(String, Child)>,
}

/// What a branch key leads to.
#[derive(Debug)]
pub(crate) enum Child {
    /// `{}`: the flow stops there.
    Empty,
    /// Another action.
    Action(Arc<Node>),
}

/// A document that is no callflow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", summary(problems))]
pub struct MalformedFlow {
    /// Everything found, the worst first; never empty.
    pub problems: Vec<Problem>,
}

fn summary(problems: &[Problem]) -> String {
    let errors = problems
        .iter()
        .filter(|p| p.severity == Severity::Error)
        .count();
    let first = problems.first().map_or_else(
        || "the callflow is malformed".to_owned(),
        |p| {
            format!(
                "the callflow is malformed at {}: {}",
                place(&p.pointer),
                p.message
            )
        },
    );
    match errors {
        0 | 1 => first,
        n => format!("{first} (and {} more)", n - 1),
    }
}

impl Flow {
    /// Reads a callflow document (with a `flow`), or a bare action (as Pivot serves it).
    ///
    /// # Errors
    /// The document has no action to begin with, or is too deep or too large; with `strict`, whatever leniency would have
    /// put right.
    pub fn parse(document: &Value, strict: bool) -> Result<Self, MalformedFlow> {
        Self::parse_below("", document, strict)
    }

    /// The same for a document another one branches to: `origin` goes before every pointer.
    pub(crate) fn parse_below(
        origin: &str,
        document: &Value,
        strict: bool,
    ) -> Result<Self, MalformedFlow> {
        let (root, mut problems) = read(origin, document, strict);
        let refused = problems.iter().any(|p| p.severity == Severity::Error);
        if refused {
            problems.sort_by_key(|p| std::cmp::Reverse(p.severity));
        } else {
            problems.retain(|p| p.severity >= Severity::Warning);
        }
        problems.truncate(MAX_PROBLEMS);
        if refused {
            return Err(MalformedFlow { problems });
        }
        Ok(Self {
            root,
            warnings: problems.into(),
        })
    }

    /// The same flow, behind another callflow of the account (Kazoo's `preflow.always`): where that one stops, this begins.
    #[must_use]
    pub fn after(self, id: &str) -> Self {
        let first = self.root.map_or(Child::Empty, Child::Action);
        let before = Node {
            pointer: "(preflow)".to_owned(),
            module: "callflow".to_owned(),
            data: Map::from_iter([("id".to_owned(), Value::from(id))]),
            children: vec![("_".to_owned(), first)],
        };
        Self {
            root: Some(Arc::new(before)),
            warnings: self.warnings,
        }
    }

    /// What leniency put right, in the order of the document. The cursor repeats it as [`crate::Effect::Warn`].
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// The first action; none for `{}`.
    pub(crate) fn root(&self) -> Option<&Arc<Node>> {
        self.root.as_ref()
    }
}

impl Node {
    /// The child under this key.
    pub(crate) fn child(&self, key: &str) -> Option<&Child> {
        self.children
            .iter()
            .find_map(|(name, child)| (name == key).then_some(child))
    }

    /// The action under this key; none if there is none, or `{}`.
    pub(crate) fn action(&self, key: &str) -> Option<&Arc<Self>> {
        match self.child(key)? {
            Child::Action(action) => Some(action),
            Child::Empty => None,
        }
    }

    /// The place of one of its data keys.
    pub(crate) fn pointer_to(&self, key: &str) -> String {
        format!("{}/data/{}", self.pointer, escaped(key))
    }
}

/// Reads a document as far as it can be read, with every remark about its shape.
pub(crate) fn read(
    origin: &str,
    document: &Value,
    strict: bool,
) -> (Option<Arc<Node>>, Vec<Problem>) {
    let mut reader = Reader {
        strict,
        actions: 0,
        problems: Vec::new(),
    };
    let root = reader.document(origin, document);
    (root, reader.problems)
}

struct Reader {
    strict: bool,
    actions: usize,
    problems: Vec<Problem>,
}

impl Reader {
    fn document(&mut self, origin: &str, document: &Value) -> Option<Arc<Node>> {
        let place = origin.to_owned();
        let (action, place) = match document.get("flow") {
            Some(flow) => (flow, format!("{place}/flow")),
            None if document.get("module").is_some() => (document, place),
            None => {
                let message = "there is no \"flow\" here, nor a \"module\"; a callflow needs one";
                self.remark(Severity::Error, &place, message);
                return None;
            }
        };
        if !action.is_object() {
            self.remark(
                Severity::Error,
                &place,
                format!("an action is an object, not {}", kind(action)),
            );
            return None;
        }
        match self.child(action, place, 1) {
            Child::Empty => None,
            Child::Action(node) => Some(node),
        }
    }

    fn child(&mut self, value: &Value, pointer: String, depth: usize) -> Child {
        let object = match value {
            Value::Object(object) if object.is_empty() => return Child::Empty,
            Value::Array(items) if items.is_empty() => return Child::Empty,
            Value::Object(object) => object,
            other => {
                let message = format!("an action is an object, not {}; taken as {{}}", kind(other));
                self.remark(Severity::Warning, &pointer, message);
                return Child::Empty;
            }
        };
        self.actions += 1;
        if self.actions > MAX_ACTIONS || depth > MAX_DEPTH {
            // Said once: a document that is too large need not be read to its end.
            if self.actions <= MAX_ACTIONS + 1 {
                let message = format!("a flow has at most {MAX_ACTIONS} actions, {MAX_DEPTH} deep");
                self.problems
                    .push(Problem::new(Severity::Error, pointer, message));
            }
            self.actions = self.actions.max(MAX_ACTIONS + 1);
            return Child::Empty;
        }
        let module = self.module(object, &pointer);
        let data = self.data(object, &pointer);
        self.unknown_keys(object, &pointer);
        let children = self.children(object.get("children"), &pointer, depth);
        Child::Action(Arc::new(Node {
            pointer,
            module,
            data,
            children,
        }))
    }

    fn module(&mut self, action: &Map<String, Value>, pointer: &str) -> String {
        match action.get("module") {
            Some(Value::String(name)) if (1..=MAX_MODULE_NAME).contains(&name.chars().count()) => {
                name.clone()
            }
            Some(Value::String(_)) => {
                let message = format!("a module's name has 1 to {MAX_MODULE_NAME} characters");
                self.remark(Severity::Warning, &format!("{pointer}/module"), message);
                String::new()
            }
            Some(other) => {
                let message = format!("a module's name is a string, not {}", kind(other));
                self.remark(Severity::Warning, &format!("{pointer}/module"), message);
                String::new()
            }
            None => {
                let message = "the action names no \"module\"; it is skipped";
                self.remark(Severity::Warning, pointer, message);
                String::new()
            }
        }
    }

    fn data(&mut self, action: &Map<String, Value>, pointer: &str) -> Map<String, Value> {
        match action.get("data") {
            Some(Value::Object(data)) => data.clone(),
            // What PHP makes of an empty array.
            Some(Value::Array(items)) if items.is_empty() => Map::new(),
            None | Some(Value::Null) => {
                self.remark(Severity::Info, pointer, "no \"data\"; taken as {}");
                Map::new()
            }
            Some(other) => {
                let message = format!("\"data\" is an object, not {}; taken as {{}}", kind(other));
                self.remark(Severity::Warning, &format!("{pointer}/data"), message);
                Map::new()
            }
        }
    }

    fn unknown_keys(&mut self, action: &Map<String, Value>, pointer: &str) {
        for key in action.keys() {
            if !matches!(key.as_str(), "module" | "data" | "children") {
                let place = format!("{pointer}/{}", escaped(key));
                let message =
                    "an action has \"module\", \"data\" and \"children\"; this is ignored";
                self.remark(Severity::Info, &place, message);
            }
        }
    }

    fn children(
        &mut self,
        children: Option<&Value>,
        pointer: &str,
        depth: usize,
    ) -> Vec<(String, Child)> {
        let place = format!("{pointer}/children");
        match children {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(items)) if items.is_empty() => Vec::new(),
            // The mission's third sample: an action where a map of actions belongs. No branch can be meant by it, since
            // the value of a branch is an object.
            Some(action @ Value::Object(map))
                if map.get("module").is_some_and(Value::is_string) =>
            {
                let message = "an action stands where a map of branches belongs; taken as if it were under \"_\"";
                self.remark(Severity::Warning, &place, message);
                vec![("_".to_owned(), self.child(action, place, depth + 1))]
            }
            Some(Value::Object(map)) => map
                .iter()
                .map(|(key, action)| {
                    let place = format!("{place}/{}", escaped(key));
                    (key.clone(), self.child(action, place, depth + 1))
                })
                .collect(),
            Some(other) => {
                let message = format!("\"children\" is an object, not {}; ignored", kind(other));
                self.remark(Severity::Warning, &place, message);
                Vec::new()
            }
        }
    }

    fn remark(&mut self, severity: Severity, pointer: &str, message: impl Into<String>) {
        let severity = severity.when(self.strict);
        self.problems
            .push(Problem::new(severity, pointer, message.into()));
    }
}

/// What a JSON value is, in words.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// A key as a word of a JSON pointer (RFC 6901 §3).
pub(crate) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
