//! Changes some places of a document: a feature code that somebody dialled, a greeting that somebody recorded.

use serde_json::{Map, Value};

use crate::{Error, Store, is_soft_deleted};

/// How often somebody else may be faster: two phones of one user are, a dozen is a storm.
const TRIES: usize = 8;

impl Store {
    /// Sets these places of a document, JSON pointers, and gives it as it is then; none if there is no such document. Objects
    /// on the way are made, null removes; what an array does not have is not put anywhere. Tried again when somebody else
    /// changed it meanwhile.
    ///
    /// # Errors
    /// The name is not valid, the database cannot be written, or others are always faster.
    pub async fn change(
        &self,
        db: &str,
        id: &str,
        set: &[(String, Value)],
    ) -> Result<Option<Value>, Error> {
        let mut tries = 1;
        loop {
            let found = self.get(db, id).await?;
            let Some(mut doc) = found.filter(|doc| !is_soft_deleted(doc)) else {
                return Ok(None);
            };
            for (pointer, value) in set {
                put(&mut doc, pointer, value.clone());
            }
            match self.put(db, doc.clone()).await {
                Ok(rev) => {
                    doc["_rev"] = rev.into();
                    return Ok(Some(doc));
                }
                Err(Error::Conflict { .. }) if tries < TRIES => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }
}

/// Puts a value where a JSON pointer says (RFC 6901), making the objects on the way; null removes. What an array does not have
/// is not put anywhere.
fn put(doc: &mut Value, pointer: &str, value: Value) {
    let keys: Vec<_> = pointer.split('/').skip(1).map(unescaped).collect();
    let Some((last, way)) = keys.split_last() else {
        return;
    };
    let mut place = doc;
    for key in way {
        place = match within(place, key) {
            Some(place) => place,
            None => return,
        };
    }
    match (place, value) {
        (Value::Array(_), Value::Null) => {}
        (place, Value::Null) => drop(object(place).remove(last)),
        (place, value) => {
            if let Some(place) = within(place, last) {
                *place = value;
            }
        }
    }
}

/// The value under a key, made if it is not there; of an array, the item of that number, if there is one.
fn within<'a>(place: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    match place {
        Value::Array(items) => items.get_mut(key.parse::<usize>().ok()?),
        place => Some(object(place).entry(key.to_owned()).or_insert(Value::Null)),
    }
}

fn object(place: &mut Value) -> &mut Map<String, Value> {
    if !place.is_object() {
        *place = Value::Object(Map::new());
    }
    place.as_object_mut().expect("it was just made an object")
}

fn unescaped(key: &str) -> String {
    key.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_put_where_pointers_say_and_null_removes() {
        let mut doc = json!({"a": {"b": 1}, "c": "text"});
        put(&mut doc, "/a/b", json!(2));
        put(&mut doc, "/d/e~1f", json!(true));
        put(&mut doc, "/c/x", json!("in the place of a text"));
        put(&mut doc, "/a/none", Value::Null);
        put(&mut doc, "", json!("nothing"));
        let expected =
            json!({"a": {"b": 2}, "c": {"x": "in the place of a text"}, "d": {"e/f": true}});
        assert_eq!(doc, expected);
        put(&mut doc, "/a", Value::Null);
        assert_eq!(doc.get("a"), None);
    }

    #[test]
    fn items_of_an_array_are_changed_and_none_is_made() {
        let mut doc = json!({"endpoints": [{"id": "a"}, {"id": "b"}]});
        put(&mut doc, "/endpoints/1/disable_until", json!(5));
        put(&mut doc, "/endpoints/2/disable_until", json!(5));
        put(&mut doc, "/endpoints/x", json!(5));
        put(&mut doc, "/endpoints/0", Value::Null);
        let expected = json!({"endpoints": [{"id": "a"}, {"id": "b", "disable_until": 5}]});
        assert_eq!(doc, expected);
    }

    #[tokio::test]
    async fn a_document_is_changed_and_what_is_not_there_stays_so() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let db = "account/ab/cd/0123456789abcdef0123456789ab".to_owned();
        let user = json!({"_id": "bob", "pvt_type": "user", "do_not_disturb": {"enabled": false}});
        store.put(&db, user).await.unwrap();
        let set = [("/do_not_disturb/enabled".to_owned(), json!(true))];
        let changed = store.change(&db, "bob", &set).await.unwrap();
        assert_eq!(changed.unwrap()["do_not_disturb"]["enabled"], true);
        let stored = store.get(&db, "bob").await.unwrap().unwrap();
        assert_eq!(stored["do_not_disturb"]["enabled"], true);
        assert_eq!(store.change(&db, "eve", &set).await.unwrap(), None);
        assert_eq!(store.get(&db, "eve").await.unwrap(), None);
    }
}
