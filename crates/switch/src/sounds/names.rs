//! What a `Media-Name` means, as Kazoo writes it. Looks nothing up.

use std::time::Duration;

use callreel_proto::AccountId;

/// What a `Media-Name` means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    Silence(Duration),
    ToneStream,
    /// An http or https URL.
    Web(String),
    Document {
        account: AccountId,
        id: String,
    },
    Prompt {
        /// Whose own words go before the system's.
        account: Option<AccountId>,
        id: String,
        language: Option<String>,
    },
    Unsupported(&'static str),
}

/// Reads a `Media-Name`.
pub(super) fn parse(name: &str) -> Name {
    if name.is_empty() || name == "silence" {
        return Name::Silence(Duration::from_millis(5));
    }
    let name = name.strip_prefix("http_cache://").unwrap_or(name);
    match name.split_once("://") {
        Some(("silence_stream", rest)) => silence(rest),
        Some(("tone_stream", _)) => Name::ToneStream,
        Some(("http" | "https", _)) => Name::Web(name.to_owned()),
        Some(("prompt", rest)) => prompt(rest),
        Some(_) => Name::Unsupported("media of this kind are not known here"),
        None => match name.strip_prefix("/system_media/") {
            Some(id) => system(id),
            None => document(name),
        },
    }
}

fn silence(rest: &str) -> Name {
    let ms = rest.split(',').next().and_then(|ms| ms.trim().parse().ok());
    match ms {
        Some(ms) => Name::Silence(Duration::from_millis(ms)),
        None => Name::Unsupported("the length of the silence is no number of milliseconds"),
    }
}

/// `<account or system_media>/<prompt id>/<language>`.
fn prompt(rest: &str) -> Name {
    let mut parts = rest.splitn(3, '/');
    let account = parts.next().and_then(|id| AccountId::parse(id).ok());
    match parts.next().filter(|id| !id.is_empty()) {
        Some(id) => Name::Prompt {
            account,
            id: id.to_owned(),
            language: parts.next().map(str::to_lowercase),
        },
        None => Name::Unsupported("a prompt:// name has three parts"),
    }
}

/// `<prompt id>` or `<language>/<prompt id>`.
fn system(id: &str) -> Name {
    let id = id.replace("%2F", "/").replace("%2f", "/");
    let (language, id) = match id.split_once('/') {
        Some((language, id)) => (Some(language.to_lowercase()), id),
        None => (None, id.as_str()),
    };
    Name::Prompt {
        account: None,
        id: id.to_owned(),
        language,
    }
}

fn document(name: &str) -> Name {
    let parts = name.strip_prefix('/').and_then(|rest| rest.split_once('/'));
    match parts.map(|(account, id)| (AccountId::parse(account), id)) {
        Some((Ok(account), id)) => Name::Document {
            account,
            id: id.to_owned(),
        },
        _ => Name::Unsupported(
            "it is neither /<account id>/<media id>, nor a prompt, nor an http or https URL",
        ),
    }
}

/// The languages a prompt is looked for in, the best first: `fr-ca` and `fr` of `fr-ca` (Kazoo's rule).
pub(super) fn languages(language: &str) -> Vec<&str> {
    let mut all = vec![language];
    let bytes = language.as_bytes();
    if bytes.len() == 11 && bytes[5] == b'_' {
        all.extend(language.get(..5));
    }
    let last = all.last().copied().unwrap_or_default();
    if last.len() == 5 && last.as_bytes()[2] == b'-' {
        all.extend(last.get(..2));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "abcd0123456789abcdef0123456789ab";

    #[test]
    fn media_names_are_understood_as_kazoo_writes_them() {
        let account = AccountId::parse(ACCOUNT).unwrap();
        let prompt = |account: Option<&AccountId>, language: Option<&str>| Name::Prompt {
            account: account.cloned(),
            id: "vm-saved".into(),
            language: language.map(str::to_owned),
        };
        for (name, expected) in [
            ("", Name::Silence(Duration::from_millis(5))),
            (
                "silence_stream://1500,1400",
                Name::Silence(Duration::from_millis(1500)),
            ),
            ("tone_stream://%(500,100,440)", Name::ToneStream),
            ("/system_media/vm-saved", prompt(None, None)),
            (
                "/system_media/en-US%2Fvm-saved",
                prompt(None, Some("en-us")),
            ),
            ("/system_media/fr/vm-saved", prompt(None, Some("fr"))),
            (
                "prompt://system_media/vm-saved/en-us",
                prompt(None, Some("en-us")),
            ),
            (
                &format!("prompt://{ACCOUNT}/vm-saved/fr-FR"),
                prompt(Some(&account), Some("fr-fr")),
            ),
            (
                "http_cache://https://h/a.mp3",
                Name::Web("https://h/a.mp3".into()),
            ),
            ("http://h/a.mp3", Name::Web("http://h/a.mp3".into())),
            (
                &format!("/{ACCOUNT}/greeting1"),
                Name::Document {
                    account: account.clone(),
                    id: "greeting1".into(),
                },
            ),
        ] {
            assert_eq!(parse(name), expected, "{name}");
        }
        for name in [
            "ftp://h/a.mp3",
            "/etc/passwd",
            "vm-saved",
            "silence_stream://x",
            "prompt://system_media",
        ] {
            assert!(matches!(parse(name), Name::Unsupported(_)), "{name}");
        }
    }

    #[test]
    fn a_language_is_looked_for_from_the_exact_to_the_general() {
        assert_eq!(languages("fr-ca"), ["fr-ca", "fr"]);
        assert_eq!(languages("en-us_fr-fr"), ["en-us_fr-fr", "en-us", "en"]);
        assert_eq!(languages("en"), ["en"]);
        assert_eq!(languages("foo-bar"), ["foo-bar"]);
        assert_eq!(languages("å-ö"), ["å-ö", "å"]);
    }
}
