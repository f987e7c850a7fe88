//! Where a long text is divided, so that its beginning can be heard while the rest is being spoken.

/// A sentence that ends sooner takes the next one along: every piece has an intonation of its own.
const SHORTEST: usize = 60;
/// A piece is no longer, in characters: about twenty seconds of speech, made in a fraction of a second.
const LONGEST: usize = 300;

/// The pieces of a text, whole sentences where they are not too long; none of them without a word in it.
pub fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (piece, next) = rest.split_at(end(rest));
        pieces.push(piece.trim_end());
        rest = next.trim_start();
    }
    pieces.retain(|piece| piece.chars().any(char::is_alphanumeric));
    pieces
}

/// Where the first piece ends: behind a sentence, else before the last space that is near enough, else anywhere.
fn end(text: &str) -> usize {
    let mut space = None;
    let mut before = None;
    for (n, (at, character)) in text.char_indices().enumerate() {
        if n >= LONGEST {
            return space.unwrap_or(at);
        }
        if character.is_whitespace() {
            let ends =
                character == '\n' || matches!(before, Some('.' | '!' | '?' | ';' | ':' | '…'));
            if ends && n >= SHORTEST {
                return at;
            }
            space = Some(at);
        }
        before = Some(character);
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_stay_whole_and_short_ones_together() {
        assert_eq!(pieces(" Hello. How are you? "), ["Hello. How are you?"]);
        let long = "This is the first sentence, and it is long enough to stand by itself.";
        let text = format!("{long} So. {long}\n{long}");
        assert_eq!(pieces(&text), [long, &format!("So. {long}"), long]);
    }

    #[test]
    fn nothing_is_lost_and_no_piece_is_too_long() {
        let words = "word ".repeat(400);
        let unbroken = "漢".repeat(1000);
        for text in [words.trim(), &unbroken, "x"] {
            let all = pieces(text);
            assert!(all.iter().all(|piece| piece.chars().count() <= LONGEST));
            let letters = |text: &str| text.split_whitespace().collect::<String>();
            assert_eq!(letters(&all.concat()), letters(text));
        }
        assert_eq!(pieces("?!\n\n ..."), Vec::<&str>::new());
    }
}
