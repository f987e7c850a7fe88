//! The design documents that a database must have: Kazoo's names for Kazoo's keys, so that either finds what the other
//! writes. Sends nothing.

use serde_json::{Value, json};

use crate::{ACCOUNTS, WEBHOOKS};

/// A view and its map function, a file in `crates/store/views`. Whoever changes what a function emits gives the view a
/// new name: a database keeps the design document it has.
pub(super) struct Listing {
    name: &'static str,
    map: &'static str,
    reduce: Option<&'static str>,
}

/// The field that design documents of ours have.
const MARK: &str = "callreel";

/// A design document.
pub(super) struct Design {
    pub(super) name: &'static str,
    listings: &'static [Listing],
}

macro_rules! listing {
    ($design:literal, $view:literal) => {
        listing!($design, $view, None)
    };
    ($design:literal, $view:literal, $reduce:expr) => {
        Listing {
            name: $view,
            map: include_str!(concat!("../../views/", $design, "/", $view, ".js")),
            reduce: $reduce,
        }
    };
}

const RECORDINGS: Design = Design {
    name: "recordings",
    listings: &[
        listing!("recordings", "crossbar_listing"),
        listing!("recordings", "listing_by_user"),
    ],
};
const MAILBOX_MESSAGES: Design = Design {
    name: "mailbox_messages",
    listings: &[
        // Crossbar lists by it.
        listing!("mailbox_messages", "listing_by_mailbox"),
        listing!("mailbox_messages", "count_per_folder", Some("_count")),
    ],
};
const VMBOXES: Design = Design {
    name: "vmboxes",
    listings: &[listing!("vmboxes", "listing_by_mailbox")],
};
const ATTRIBUTES: Design = Design {
    name: "attributes",
    listings: &[listing!("attributes", "owned")],
};
const CALLFLOWS: Design = Design {
    name: "callflows",
    listings: &[
        listing!("callflows", "listing_by_number"),
        listing!("callflows", "listing_by_pattern"),
    ],
};
const DEVICES: Design = Design {
    name: "devices",
    listings: &[
        listing!("devices", "listing_by_owner"),
        listing!("devices", "sip_credentials"),
    ],
};
const LISTS: Design = Design {
    name: "lists",
    listings: &[listing!("lists", "entries")],
};
const DIRECTORIES: Design = Design {
    name: "directories",
    listings: &[listing!("directories", "users_listing")],
};
const ACCOUNT_TREE: Design = Design {
    name: "accounts",
    listings: &[
        listing!("accounts", "listing_by_api"),
        listing!("accounts", "listing_by_name"),
        listing!("accounts", "listing_by_realm"),
    ],
};
const HOOKS: Design = Design {
    name: "webhooks",
    // Kazoo counts its own; who lists documents asks for no reduction.
    listings: &[listing!("webhooks", "accounts_listing", Some("_count"))],
};
const MAINTENANCE: Design = Design {
    name: "maintenance",
    listings: &[listing!("maintenance", "listing_by_type")],
};

/// Every design document.
pub(super) const ALL: [&Design; 11] = [
    &RECORDINGS,
    &MAILBOX_MESSAGES,
    &CALLFLOWS,
    &DEVICES,
    &VMBOXES,
    &ATTRIBUTES,
    &LISTS,
    &DIRECTORIES,
    &ACCOUNT_TREE,
    &HOOKS,
    &MAINTENANCE,
];

impl Design {
    /// Those a new database gets, by what Kazoo keeps in a database of that name.
    pub(super) fn of(db: &str) -> &'static [&'static Self] {
        match db {
            ACCOUNTS => &[&ACCOUNT_TREE, &MAINTENANCE],
            WEBHOOKS => &[&HOOKS, &MAINTENANCE],
            month if is_month_db(month) => &[&RECORDINGS, &MAILBOX_MESSAGES, &MAINTENANCE],
            account if account.starts_with("account/") => &[
                &CALLFLOWS,
                &DEVICES,
                &VMBOXES,
                &ATTRIBUTES,
                &LISTS,
                &DIRECTORIES,
                &MAINTENANCE,
            ],
            _ => &[&MAINTENANCE],
        }
    }

    pub(super) fn named(name: &str) -> Option<&'static Self> {
        ALL.into_iter().find(|design| design.name == name)
    }

    pub(super) fn id(&self) -> String {
        format!("_design/{}", self.name)
    }

    /// The document.
    pub(super) fn document(&self) -> Value {
        let views = self.listings.iter().map(|listing| {
            let mut view = json!({"map": listing.map.trim_end()});
            if let Some(reduce) = listing.reduce {
                view["reduce"] = reduce.into();
            }
            (listing.name.to_owned(), view)
        });
        let views: serde_json::Map<String, Value> = views.collect();
        json!({"_id": self.id(), "language": "javascript", "views": views, MARK: true})
    }

    /// Whether Callreel wrote it, so that a newer Callreel may write it again.
    pub(super) fn is_ours(stored: &Value) -> bool {
        stored[MARK] == true
    }

    /// A view that a design document of this name should have and this one has not.
    pub(super) fn lacking(&self, stored: &Value) -> Option<&'static str> {
        let mut names = self.listings.iter().map(|listing| listing.name);
        names.find(|name| stored["views"].get(name).is_none())
    }
}

/// `account/ab/cd/…-YYYYMM`.
fn is_month_db(db: &str) -> bool {
    let month = db
        .strip_prefix("account/")
        .and_then(|_| db.rsplit_once('-'));
    month.is_some_and(|(_, month)| month.len() == 6 && month.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_database_gets_what_crossbar_lists_recordings_by() {
        let month = "account/ab/cd/0123456789abcdef0123456789ab-202403";
        let names: Vec<_> = Design::of(month).iter().map(|design| design.name).collect();
        assert_eq!(names, ["recordings", "mailbox_messages", "maintenance"]);
        let document = RECORDINGS.document();
        assert_eq!(document["_id"], "_design/recordings");
        let map = document["views"]["listing_by_user"]["map"].as_str();
        assert!(map.unwrap().starts_with("function (doc) {"), "{map:?}");
    }

    #[test]
    fn a_design_document_of_others_is_only_asked_whether_it_has_the_views() {
        assert_eq!(RECORDINGS.lacking(&RECORDINGS.document()), None);
        let old = json!({"views": {"crossbar_listing": {}}});
        assert_eq!(RECORDINGS.lacking(&old), Some("listing_by_user"));
    }
}
