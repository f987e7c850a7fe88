//! Goes into another callflow: of a document, of a number that was hunted for. Never looks one up.

use serde_json::Value;

use crate::flow::Flow;
use crate::pattern::Pattern;
use crate::stage::{Stage, Turn};
use crate::talk::Dialled;

/// Which numbers may be hunted for.
#[derive(Debug, Default)]
pub(crate) struct Hunted {
    /// Those that this regular expression matches; all if there is none.
    pub(crate) allow: Option<String>,
    /// But not those that this one matches.
    pub(crate) deny: Option<String>,
}

impl Hunted {
    /// Whether this number is one of them. What cannot be read allows nothing: the error says so.
    pub(crate) fn allows(&self, number: &str) -> Result<bool, String> {
        let matches = |pattern: &String| {
            let pattern = Pattern::read(pattern);
            let matched = pattern.map(|pattern| pattern.is_match(number));
            matched.map_err(|reason| format!("{reason}; nothing is hunted for"))
        };
        let allowed = self.allow.as_ref().map(matches).transpose()?;
        let denied = self.deny.as_ref().map(matches).transpose()?;
        Ok(allowed.unwrap_or(true) && !denied.unwrap_or(false))
    }
}

impl Stage {
    /// The way into that callflow; the error says why there is none.
    pub(crate) fn branch_to(&self, id: &str, document: &Value) -> Result<Turn, String> {
        let origin = format!("{id}#");
        let flow = Flow::parse_below(&origin, document, self.settings.strict);
        flow.map(Turn::Branch)
            .map_err(|malformed| malformed.to_string())
    }

    /// The same for a number that was hunted for: what its pattern took out of it is from now on what the call was dialled with.
    pub(crate) fn branch_hunted(&mut self, found: Dialled) -> Result<Turn, String> {
        let id = found.document["_id"].as_str().unwrap_or_default();
        let turn = self.branch_to(id, &found.document)?;
        self.call.captures = found.captures;
        Ok(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_hunted_for_if_it_is_allowed_and_not_denied() {
        let allows = |allow: Option<&str>, deny: Option<&str>| {
            let [allow, deny] = [allow, deny].map(|pattern| pattern.map(str::to_owned));
            Hunted { allow, deny }.allows("2001")
        };
        assert_eq!(allows(None, None), Ok(true));
        assert_eq!(allows(Some("^2"), None), Ok(true));
        assert_eq!(allows(Some("^3"), None), Ok(false));
        assert_eq!(allows(Some("^2"), Some("1$")), Ok(false));
        assert_eq!(allows(None, Some("^3")), Ok(true));
        assert!(allows(Some("("), None).is_err());
        assert!(allows(None, Some("(a{1000}){1000}")).is_err());
    }
}
