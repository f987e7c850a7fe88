//! What is said of modules that are not built: Kazoo's others, those that are refused, and words that are none.

/// What needs a conference: refused, and the flow goes on at `_`.
const CONFERENCES: &[&str] = &["conference", "conference_feature"];
/// What needs a fax machine: refused, too.
const FAXES: &[&str] = &["fax_detect", "faxbox", "receive_fax"];
/// Kazoo's other modules that are not built here. They are skipped to `_`, like any unknown module.
const OTHERS: &[&str] = &[
    "acdc_agent",
    "acdc_member",
    "acdc_queue",
    "acdc_wait_time",
    "call_waiting",
    "camping_feature",
    "disa",
    "dynamic_cid",
    "eavesdrop",
    "eavesdrop_feature",
    "edr",
    "function",
    "group_pickup",
    "group_pickup_feature",
    "hotdesk",
    "intercept",
    "intercept_feature",
    "intercom",
    "manual_presence",
    "move",
    "nomorobo",
    "notification",
    "set",
    "skel",
];

/// Why there is no such module.
pub(crate) fn why(module: &str) -> String {
    if CONFERENCES.contains(&module) {
        return format!("{module:?} is refused: there are no conferences here");
    }
    if FAXES.contains(&module) {
        return format!("{module:?} is refused: faxes are neither taken nor sent here");
    }
    if OTHERS.contains(&module) {
        return format!("Kazoo's module {module:?} is not built here");
    }
    format!("there is no module {module:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_is_not_said_to_be_missing() {
        let all = [CONFERENCES, FAXES, OTHERS].concat();
        let built: Vec<_> = crate::modules::names()
            .filter(|name| all.contains(name))
            .collect();
        assert_eq!(built, Vec::<&str>::new());
    }
}
