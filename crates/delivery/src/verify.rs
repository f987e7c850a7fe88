//! Whether an audio file in the spool is still the one that was made. Repairs nothing.

use callreel_spool::{Ticket, View};
use futures::TryStreamExt as _;
use sha2::{Digest as _, Sha256};

use crate::rendition::Rendition;

/// Reads the audio file of a recording that is owed, and compares it with the checksum in its ticket. One without a file, or
/// whose file has been delivered, is right.
///
/// # Errors
/// A sentence for people: it cannot be read, or it is another one.
pub async fn verify(spool: &View, ticket: &Ticket) -> Result<(), String> {
    let delivered = ticket.delivery().uploaded_at.is_some();
    let Some(info) = ticket.rendition().filter(|_| !delivered) else {
        return Ok(());
    };
    let file = Rendition::of(spool, ticket, info).looked_at();
    let mut digest = Sha256::new();
    let mut blocks = Box::pin(file.blocks(0).await.map_err(|error| error.to_string())?);
    while let Some(block) = blocks.try_next().await.map_err(|error| error.to_string())? {
        digest.update(&block);
    }
    let found = hex::encode(digest.finalize());
    if found == info.sha256 {
        return Ok(());
    }
    Err(format!(
        "its checksum is {found}, and its ticket says {}: it was changed, and must be rendered again",
        info.sha256
    ))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use callreel_spool::{RenditionInfo, SpoolConfig, Writer};

    use super::*;
    use crate::testing;

    #[tokio::test]
    async fn a_file_with_one_changed_byte_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let writer = Writer::open(dir.path(), &SpoolConfig::default()).unwrap();
        let mut ticket = testing::ended(&writer, |_| {});
        assert_eq!(verify(writer.view(), &ticket).await, Ok(()));
        let path = writer.view().rendition_path(&ticket);
        fs::write(&path, b"audio").unwrap();
        let made = RenditionInfo {
            bytes: 5,
            sha256: hex::encode(Sha256::digest(b"audio")),
            duration_ms: 1,
            sample_rate: 8000,
            channels: 1,
            report: None,
            sealed_bytes: None,
        };
        ticket.rendered(made).unwrap();
        assert_eq!(verify(writer.view(), &ticket).await, Ok(()));
        fs::write(&path, b"audia").unwrap();
        let refused = verify(writer.view(), &ticket).await.unwrap_err();
        assert!(refused.contains("it was changed"), "{refused}");
    }
}
