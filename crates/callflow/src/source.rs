//! A document as its author wrote it: where in the text each place is, and what is wrong printed under it. Reads no file.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use jsonc_parser::ast::{ObjectProp, Value as Node};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use serde_json::Value;

use crate::print::place;
use crate::problem::{Problem, Severity};

/// A JSON text that was read.
#[derive(Debug)]
pub struct Source<'a> {
    text: &'a str,
    /// What it says.
    pub document: Value,
    /// The same with the place of everything.
    tree: Option<Node<'a>>,
}

/// A text that is no JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: it is no JSON: {reason}")]
pub struct NoJson {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// What the reader says.
    pub reason: String,
    /// Where in the text, in bytes.
    at: usize,
}

impl<'a> Source<'a> {
    /// Reads a text.
    ///
    /// # Errors
    /// It is no JSON (RFC 8259).
    pub fn read(text: &'a str) -> Result<Self, NoJson> {
        // Some editors begin a file with a byte order mark; import ignores it too.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let document = serde_json::from_str(text).map_err(|error| NoJson::of(&error, text))?;
        // What one reader takes the other takes, too; if ever not, places are missing and nothing else.
        let tree = parse_to_ast(text, &CollectOptions::default(), &ParseOptions::default());
        Ok(Self {
            text,
            document,
            tree: tree.ok().and_then(|found| found.value),
        })
    }

    /// Line and column, counted from 1, of a place given as a JSON pointer (RFC 6901); of its nearest neighbour above if it is
    /// not there.
    pub fn line_and_column(&self, pointer: &str) -> (usize, usize) {
        line_and_column(self.text, self.span(pointer).start)
    }

    /// The problems, each with its line of the text and the place underlined. `name` is what the text is called.
    pub fn report(&self, name: &str, problems: &[Problem]) -> String {
        let mut report = String::new();
        for problem in problems {
            let level = level(problem.severity);
            let note = format!("at {}", place(&problem.pointer));
            let span = self.span(&problem.pointer);
            report += &underlined(self.text, name, level, &problem.message, span, Some(&note));
        }
        report
    }

    /// What to underline: a key with its value, the key alone where the value goes over several lines.
    fn span(&self, pointer: &str) -> Range<usize> {
        let mut found = 0..self.text.len().min(1);
        let Some(mut node) = self.tree.as_ref() else {
            return found;
        };
        found = first_line(self.text, node);
        for word in pointer.split('/').skip(1) {
            let word = word.replace("~1", "/").replace("~0", "~");
            let next = match node {
                Node::Object(object) => {
                    let property = object.properties.iter().rfind(|p| p.name.as_str() == word);
                    property.map(|p| (property_span(self.text, p), &p.value))
                }
                Node::Array(array) => {
                    let item = word
                        .parse()
                        .ok()
                        .and_then(|at: usize| array.elements.get(at));
                    item.map(|item| (first_line(self.text, item), item))
                }
                _ => None,
            };
            let Some((span, below)) = next else { break };
            (found, node) = (span, below);
        }
        found
    }
}

impl NoJson {
    fn of(error: &serde_json::Error, text: &str) -> Self {
        let before: usize = text
            .split_inclusive('\n')
            .take(error.line().saturating_sub(1))
            .map(str::len)
            .sum();
        let at = before + error.column().saturating_sub(1);
        let at = (0..=at.min(text.len()))
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or_default();
        let (line, column) = line_and_column(text, at);
        let reason = error.to_string();
        let reason = reason.split(" at line ").next().unwrap_or_default();
        Self {
            line,
            column,
            reason: reason.to_owned(),
            at,
        }
    }

    /// The error with its line of the text and the place underlined.
    pub fn report(&self, name: &str, text: &str) -> String {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let message = format!("this is no JSON: {}", self.reason);
        let width = text[self.at..].chars().next().map_or(0, char::len_utf8);
        let span = self.at..self.at + width;
        underlined(text, name, Level::ERROR, &message, span, None)
    }
}

fn level(severity: Severity) -> Level<'static> {
    match severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Info => Level::INFO,
    }
}

fn underlined(
    text: &str,
    name: &str,
    level: Level<'static>,
    message: &str,
    span: Range<usize>,
    note: Option<&str>,
) -> String {
    let snippet = Snippet::source(text)
        .path(name)
        .annotation(AnnotationKind::Primary.span(span));
    let mut group = level.primary_title(message).element(snippet);
    if let Some(note) = note {
        group = group.element(Level::NOTE.message(note));
    }
    format!("{}\n", Renderer::plain().render(&[group]))
}

fn property_span(text: &str, property: &ObjectProp<'_>) -> Range<usize> {
    let (name, value) = (property.name.range(), property.value.range());
    if text[name.start..value.end].contains('\n') {
        return name.start..name.end;
    }
    name.start..value.end
}

fn first_line(text: &str, node: &Node<'_>) -> Range<usize> {
    let range = node.range();
    let whole = &text[range.start..range.end];
    let length = whole.lines().next().unwrap_or_default().trim_end().len();
    range.start..range.start + length
}

fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    (line, before[start..].chars().count() + 1)
}
