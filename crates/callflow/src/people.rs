//! People and the keys that spell their names (ITU-T E.161). Knows no call.

use std::cmp::Ordering;

use callreel_proto::Directory;
use serde_json::Value;

/// Somebody who can be called by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    first_name: String,
    last_name: String,
    /// Media document of the name as the person speaks it.
    pub(crate) spoken_name: Option<String>,
    /// What a call to the person runs.
    pub(crate) callflow_id: String,
}

impl Person {
    /// The people of a directory among the account's users, in the directory's order.
    pub(crate) fn of(directory: &Directory, users: &[Value]) -> Vec<Self> {
        let mut people: Vec<_> = users
            .iter()
            .filter_map(|user| Self::read(directory, user))
            .collect();
        people.sort_by(|a, b| match directory.sort_by_first_name {
            true => a.by_first_name(b),
            false => a.by_last_name(b),
        });
        people
    }

    fn read(directory: &Directory, user: &Value) -> Option<Self> {
        let text = |pointer: &str| user.pointer(pointer).and_then(Value::as_str);
        let id = text("/_id")?;
        let own = user["directories"][&directory.id].as_str();
        let listed = || directory.users.iter().find(|(user, _)| user == id);
        let callflow_id = own.or_else(|| listed().map(|(_, callflow)| callflow.as_str()))?;
        Some(Self {
            first_name: text("/first_name").unwrap_or_default().to_owned(),
            last_name: text("/last_name").unwrap_or_default().to_owned(),
            spoken_name: text("/media/name")
                .filter(|id| !id.is_empty())
                .map(str::to_owned),
            callflow_id: callflow_id.to_owned(),
        })
    }

    fn by_first_name(&self, other: &Self) -> Ordering {
        let key = |p: &Self| (p.first_name.to_lowercase(), p.last_name.to_lowercase());
        key(self).cmp(&key(other))
    }

    fn by_last_name(&self, other: &Self) -> Ordering {
        let key = |p: &Self| (p.last_name.to_lowercase(), p.first_name.to_lowercase());
        key(self).cmp(&key(other))
    }

    /// First and last name.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.first_name, self.last_name)
            .trim()
            .to_owned()
    }

    /// Whether these keys begin the person's name, with the first name or with the last one, as the directory has it.
    pub(crate) fn is_spelled(&self, directory: &Directory, keys: &str) -> bool {
        let begins = |one: &str, two: &str| (spelled(one) + &spelled(two)).starts_with(keys);
        let (first, last) = (&self.first_name, &self.last_name);
        (directory.search_first_name && begins(first, last))
            || (directory.search_last_name && begins(last, first))
    }
}

/// The keys of a name; what is on no key is left out.
fn spelled(name: &str) -> String {
    name.to_lowercase().chars().filter_map(key).collect()
}

/// The key a letter is on; letters with marks are on that of their own.
fn key(letter: char) -> Option<char> {
    Some(match letter {
        'a'..='c' | 'à'..='ç' => '2',
        'd'..='f' | 'è'..='ë' => '3',
        'g'..='i' | 'ì'..='ï' => '4',
        'j'..='l' | 'ł' => '5',
        'm'..='o' | 'ñ'..='ö' | 'ø' | 'œ' => '6',
        'p'..='s' | 'ß' | 'š' | 'ś' => '7',
        't'..='v' | 'ù'..='ü' => '8',
        'w'..='z' | 'ý' | 'ÿ' | 'ž' | 'ź' | 'ż' => '9',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn user(id: &str, first: &str, last: &str) -> Value {
        json!({"_id": id, "first_name": first, "last_name": last, "directories": {"d": format!("call-{id}")}})
    }

    #[test]
    fn names_are_spelled_on_a_telephone() {
        assert_eq!(spelled("Zoë O'Hara-Ångström"), "9636427226478766");
        assert_eq!(spelled("李"), "");
    }

    #[test]
    fn only_the_people_of_the_directory_are_in_it_and_in_its_order() {
        let directory = |more: Value| {
            let mut document = json!({"_id": "d"});
            document
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            Directory::read(&document)
        };
        let elsewhere = json!({"_id": "x", "first_name": "X", "directories": {"other": "c"}});
        let users = [
            user("1", "Bo", "Alm"),
            user("2", "Al", "bergh"),
            elsewhere,
            user("3", "Cy", "Alm"),
        ];
        let names = |more: Value| {
            let people = Person::of(&directory(more), &users);
            people.iter().map(Person::name).collect::<Vec<_>>()
        };
        assert_eq!(names(json!({})), ["Bo Alm", "Cy Alm", "Al bergh"]);
        assert_eq!(
            names(json!({"sort_by": "first_name"})),
            ["Al bergh", "Bo Alm", "Cy Alm"]
        );
        let listed = json!({"users": [{"user_id": "x", "callflow_id": "cx"}]});
        assert_eq!(Person::of(&directory(listed), &users)[0].callflow_id, "cx");
    }

    #[test]
    fn keys_begin_the_first_name_or_the_last() {
        let found = |fields: &str, keys: &str| {
            let directory = Directory::read(&json!({"_id": "d", "search_fields": fields}));
            Person::of(&directory, &[user("1", "Bo", "Alm")])[0].is_spelled(&directory, keys)
        };
        assert!(found("both", "262") && found("both", "256"));
        assert!(found("first_name", "26256") && !found("first_name", "256"));
        assert!(found("last_name", "25626") && !found("last_name", "262"));
        assert!(!found("both", "262562"), "longer than the name");
    }
}
