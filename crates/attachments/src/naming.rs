//! What a handler calls a recording: Kazoo's `field_list`, `field_separator`, `folder_base_path` and `folder_path`. Pure.

use serde_json::Value;

use crate::{
    handler::{Facts, Settings},
    plan::Malformed,
};

/// Which of Kazoo's default names a handler has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Database, then id and file name.
    Object,
    /// Account, owner, id, file name: a path of a URL.
    Http,
}

/// How names are made. They are relative, never empty, and no step of them is `.` or `..`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Naming {
    folders: Vec<String>,
    fields: Vec<Field>,
    separator: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Field {
    Arg(Arg),
    /// A field of the document.
    Document(String),
    /// Itself, as it is written.
    Const(String),
    /// Its parts without a separator.
    Group(Vec<Field>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arg {
    AccountId,
    Db,
    Id,
    Attachment,
}

impl Naming {
    pub(crate) fn read(
        settings: &Settings<'_>,
        style: Style,
        folder_path: Option<&str>,
    ) -> Result<Self, Malformed> {
        let fields = match settings.value("field_list") {
            None => usual(style),
            Some(Value::Array(list)) => {
                let read = |field| Field::read(field).map_err(|e| settings.wrong("field_list", e));
                list.iter().map(read).collect::<Result<_, _>>()?
            }
            Some(_) => return Err(settings.wrong("field_list", "must be an array")),
        };
        if !fields.iter().any(Field::tells_apart) {
            let message = "would give all recordings one name; put {\"arg\": \"id\"} or {\"arg\": \"attachment\"} into it";
            return Err(settings.wrong("field_list", message));
        }
        let base = settings.text("folder_base_path")?;
        let folders = base.into_iter().chain(folder_path);
        let naming = Self {
            folders: folders.map(str::to_owned).collect(),
            fields,
            separator: settings.text("field_separator")?.unwrap_or("/").to_owned(),
        };
        let control = |text: &String| text.chars().any(char::is_control);
        if naming.folders.iter().any(control) || control(&naming.separator) {
            return Err(settings.wrong("folder_base_path", CONTROL));
        }
        Ok(naming)
    }

    /// The name of a recording's object.
    pub(crate) fn key(&self, facts: &Facts<'_>) -> String {
        let made = self.fields.iter().filter_map(|field| field.made(facts));
        let name = made.collect::<Vec<_>>().join(&self.separator);
        let parts = self.folders.iter().map(String::as_str).chain([&*name]);
        let steps = parts.flat_map(|part| part.split('/'));
        let steps = steps.filter(|step| !step.is_empty());
        steps.map(harmless).collect::<Vec<_>>().join("/")
    }
}

const CONTROL: &str = "has a control character in it";

/// Kazoo's default names.
fn usual(style: Style) -> Vec<Field> {
    let arg = Field::Arg;
    match style {
        Style::Object => {
            let name = vec![
                arg(Arg::Id),
                Field::Const("_".to_owned()),
                arg(Arg::Attachment),
            ];
            vec![arg(Arg::Db), Field::Group(name)]
        }
        Style::Http => vec![
            arg(Arg::AccountId),
            Field::Document("owner_id".to_owned()),
            arg(Arg::Id),
            arg(Arg::Attachment),
        ],
    }
}

impl Field {
    fn read(value: &Value) -> Result<Self, String> {
        let wrong = || {
            "must hold only {\"arg\": …}, {\"field\": …}, {\"const\": …} and {\"group\": […]}"
                .to_owned()
        };
        if let Value::String(text) = value {
            return Self::constant(text);
        }
        let object = value.as_object().filter(|object| object.len() == 1);
        let (key, value) = object.and_then(|o| o.iter().next()).ok_or_else(wrong)?;
        match (key.as_str(), value) {
            ("arg", Value::String(arg)) => Arg::read(arg).map(Self::Arg),
            // It tells when the document was saved last, so that a second try would have another name.
            ("field", Value::String(field)) if field == "pvt_modified" => {
                Err("must not use pvt_modified, which changes with every try".to_owned())
            }
            ("field", Value::String(field)) => Ok(Self::Document(field.clone())),
            ("const", Value::String(text)) => Self::constant(text),
            ("group", Value::Array(list)) => {
                let parts = list.iter().map(Self::read).collect::<Result<_, _>>()?;
                Ok(Self::Group(parts))
            }
            _ => Err(wrong()),
        }
    }

    fn constant(text: &str) -> Result<Self, String> {
        if text.chars().any(char::is_control) {
            return Err(CONTROL.to_owned());
        }
        Ok(Self::Const(text.to_owned()))
    }

    /// Whether it differs from recording to recording.
    fn tells_apart(&self) -> bool {
        match self {
            Self::Arg(arg) => matches!(arg, Arg::Id | Arg::Attachment),
            Self::Group(parts) => parts.iter().any(Self::tells_apart),
            Self::Document(_) | Self::Const(_) => false,
        }
    }

    /// What it is for this recording; nothing if it is missing.
    fn made(&self, facts: &Facts<'_>) -> Option<String> {
        let made = match self {
            Self::Arg(Arg::AccountId) => encode(facts.account_id.as_str(), false),
            Self::Arg(Arg::Db) => encode(facts.db, false),
            Self::Arg(Arg::Id) => encode(facts.doc.get("_id")?.as_str()?, false),
            // File names are percent-encoded already, where they are made of Call-IDs.
            Self::Arg(Arg::Attachment) => encode(facts.name, true),
            Self::Document(field) => match facts.doc.get(field)? {
                Value::String(text) => encode(text, false),
                Value::Number(number) => encode(&number.to_string(), false),
                Value::Bool(flag) => flag.to_string(),
                Value::Null | Value::Array(_) | Value::Object(_) => return None,
            },
            Self::Const(text) => text.clone(),
            Self::Group(parts) => parts.iter().filter_map(|part| part.made(facts)).collect(),
        };
        (!made.is_empty()).then_some(made)
    }
}

impl Arg {
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "account_id" => Ok(Self::AccountId),
            "db" => Ok(Self::Db),
            "id" => Ok(Self::Id),
            "attachment" => Ok(Self::Attachment),
            _ => Err("knows the args account_id, db, id and attachment".to_owned()),
        }
    }
}

/// A step that leads nowhere else, in no spelling a URL parser or a file system knows.
fn harmless(step: &str) -> String {
    let spelled = step.to_ascii_lowercase().replace("%2e", ".");
    match spelled.as_str() {
        "." | ".." => "_".repeat(spelled.len()),
        _ => step.to_owned(),
    }
}

/// Everything but letters, digits and `.-_~` percent-encoded (RFC 3986 §2.3); what is so already is `kept`.
fn encode(text: &str, kept: bool) -> String {
    let bytes = text.as_bytes();
    let hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    let mut encoded = String::with_capacity(bytes.len());
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' => {
                encoded.push(char::from(*byte));
            }
            b'%' if kept && hex(at + 1) && hex(at + 2) => encoded.push('%'),
            other => encoded += &format!("%{other:02X}"),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use callreel_proto::AccountId;
    use serde_json::json;

    use super::*;

    const DB: &str = "account/01/23/456789abcdef0123456789abcdef-202611";

    fn read(settings: Value, style: Style, folder: Option<&str>) -> Result<Naming, Malformed> {
        let handler = json!({"handler": "s3", "settings": settings});
        Naming::read(&Settings::new("doc", "uuid", &handler), style, folder)
    }

    fn made(settings: Value, style: Style, folder: Option<&str>) -> String {
        made_of(
            &json!({"owner_id": "0wner"}),
            "call_recording_ab12%4010.0.0.5.mp3",
            settings,
            style,
            folder,
        )
    }

    fn made_of(
        doc: &Value,
        name: &str,
        settings: Value,
        style: Style,
        folder: Option<&str>,
    ) -> String {
        let mut doc = doc.clone();
        doc["_id"] = json!("202611-89ab");
        let account = AccountId::parse("0123456789abcdef0123456789abcdef").unwrap();
        let facts = Facts {
            account_id: &account,
            db: DB,
            doc: &doc,
            name,
            content_type: "audio/mpeg",
            bytes: 1,
            sha256: "",
        };
        read(settings, style, folder).unwrap().key(&facts)
    }

    #[test]
    fn default_names_are_kazoos() {
        assert_eq!(
            made(json!({}), Style::Object, None),
            "account%2F01%2F23%2F456789abcdef0123456789abcdef-202611/202611-89ab_call_recording_ab12%4010.0.0.5.mp3"
        );
        assert_eq!(
            made(json!({}), Style::Http, None),
            "0123456789abcdef0123456789abcdef/0wner/202611-89ab/call_recording_ab12%4010.0.0.5.mp3"
        );
        assert_eq!(
            made_of(&json!({}), "a.mp3", json!({}), Style::Http, None),
            "0123456789abcdef0123456789abcdef/202611-89ab/a.mp3",
            "what is missing leaves no empty step"
        );
        assert_eq!(
            made(
                json!({"folder_base_path": "/rec/", "field_list": [{"arg": "id"}]}),
                Style::Object,
                Some("acme//eu/")
            ),
            "rec/acme/eu/202611-89ab"
        );
    }

    #[test]
    fn a_field_list_is_followed() {
        let list = json!([
            {"const": "calls"},
            {"field": "from"},
            {"field": "missing"},
            {"field": "duration"},
            {"group": [{"arg": "id"}, {"const": "-"}, {"field": "missing"}, {"arg": "attachment"}]},
        ]);
        let doc = json!({"from": "a b@ü/x", "duration": 12});
        for (separator, expected) in [
            (None, "calls/a%20b%40%C3%BC%2Fx/12/202611-89ab-a%2Fb.mp3"),
            (
                Some("--"),
                "calls--a%20b%40%C3%BC%2Fx--12--202611-89ab-a%2Fb.mp3",
            ),
        ] {
            let settings = json!({"field_list": list, "field_separator": separator});
            assert_eq!(
                made_of(&doc, "a/b.mp3", settings, Style::Object, None),
                expected
            );
        }
    }

    #[test]
    fn no_name_leads_out_of_its_folder() {
        let list = json!([{"field": "from"}, {"const": "%2E./../x"}, {"arg": "attachment"}]);
        let made = |from: &str, name: &str| {
            let settings = json!({"field_list": list, "folder_base_path": "../b"});
            made_of(
                &json!({"from": from}),
                name,
                settings,
                Style::Object,
                Some("/.."),
            )
        };
        assert_eq!(
            made("..", "../../etc\0"),
            "__/b/__/__/__/__/x/..%2F..%2Fetc%00"
        );
        assert_eq!(made(".", "%2e%2e"), "__/b/__/_/__/__/x/__");
    }

    #[test]
    fn lists_that_cannot_be_followed_are_refused_with_the_reason() {
        for (list, reason) in [
            (json!("id"), "must be an array"),
            (
                json!([{"const": "a"}]),
                "would give all recordings one name",
            ),
            (
                json!([{"arg": "call_id"}]),
                "knows the args account_id, db, id and attachment",
            ),
            (json!([{"arg": "id", "const": "a"}]), "must hold only"),
            (json!([{"group": {"arg": "id"}}]), "must hold only"),
            (
                json!([{"const": "a\nb"}, {"arg": "id"}]),
                "has a control character in it",
            ),
            (
                json!([{"field": "pvt_modified"}, {"arg": "id"}]),
                "must not use pvt_modified",
            ),
        ] {
            let refused = read(json!({"field_list": list}), Style::Object, None).unwrap_err();
            assert_eq!(refused.pointer, "/attachments/uuid/settings/field_list");
            assert!(refused.message.starts_with(reason), "{refused}");
        }
        assert!(read(json!({"folder_base_path": "a\0"}), Style::Object, None).is_err());
    }
}
