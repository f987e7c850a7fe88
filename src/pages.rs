//! Pages of docs that are made of the code: a test holds each file to it, and `make pages` writes them.

/// Holds a page to what the code says, or writes it where `make pages` asks for that.
pub(crate) fn hold(page: &str, text: &str) {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    if std::env::var_os("CALLREEL_WRITE_PAGES").is_some() {
        std::fs::write(&file, text).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == text,
        "{page} is not what the code says: run `make pages` and read what changes"
    );
}
