//! The command `say`: what a voice must read so that numbers and letters are said as Kazoo's senders mean it. Pure.

/// The words of a thing to say, or why it cannot be said.
pub(crate) fn words(text: &str, kind: &str, method: &str) -> Result<String, String> {
    let spelled = matches!(method, "iterated")
        || matches!(
            kind,
            "name_spelled"
                | "name_phonetic"
                | "account_number"
                | "telephone_number"
                | "telephone_extension"
                | "ip_address"
                | "url"
                | "e-mail_address"
        );
    match kind {
        _ if spelled => Ok(spelled_out(text)),
        "" | "number" | "items" | "persons" | "messages" | "postal_address" => Ok(text.to_owned()),
        _ => Err(format!("this switch cannot say a {kind}")),
    }
}

/// Every character on its own, with a pause after it.
fn spelled_out(text: &str) -> String {
    let names = text.chars().filter_map(|character| match character {
        '.' => Some("dot".to_owned()),
        '*' => Some("star".to_owned()),
        '#' => Some("pound".to_owned()),
        '+' => Some("plus".to_owned()),
        '@' => Some("at".to_owned()),
        '/' => Some("slash".to_owned()),
        ':' => Some("colon".to_owned()),
        '-' => Some("dash".to_owned()),
        '_' => Some("underscore".to_owned()),
        c if c.is_alphanumeric() => Some(c.to_string()),
        _ => None,
    });
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_or_spelled_as_asked() {
        for (text, kind, method, words_of) in [
            ("204", "number", "pronounced", Some("204")),
            ("204", "number", "iterated", Some("2, 0, 4")),
            (
                "+46 8*1",
                "telephone_number",
                "",
                Some("plus, 4, 6, 8, star, 1"),
            ),
            ("Ek", "name_spelled", "pronounced", Some("E, k")),
            ("3", "messages", "pronounced", Some("3")),
            ("63961833600", "current_date_time", "pronounced", None),
        ] {
            assert_eq!(
                words(text, kind, method).ok().as_deref(),
                words_of,
                "{kind}"
            );
        }
    }
}
