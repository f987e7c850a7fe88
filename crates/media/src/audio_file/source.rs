//! What a decoder reads from: the bytes of a file, but for the lengths in the head of a WAV whose writer died before it knew
//! them. Those read as "to the end of the file".

use std::io::{self, Read, Seek, SeekFrom};

use symphonia::core::io::MediaSource;

/// Length of a chunk's own head: its name and its length.
const CHUNK_HEAD: u64 = 8;
/// Where the length of the whole stands.
const RIFF_LENGTH: u64 = 4;
/// How the length of what has no known end is written.
const UNKNOWN: [u8; 4] = [0xff; 4];
/// Chunks before the audio that are looked at; real files have three or four.
const MOST_CHUNKS: usize = 64;

/// A file for a decoder.
pub(super) struct Source<R> {
    from: R,
    length: u64,
    position: u64,
    /// Where the lengths stand that are not true.
    untrue: Vec<u64>,
}

impl<R: Read + Seek> Source<R> {
    pub(super) fn new(mut from: R) -> io::Result<Self> {
        let length = from.seek(SeekFrom::End(0))?;
        let data = unfinished(&mut from, length)?;
        from.rewind()?;
        Ok(Self {
            from,
            length,
            position: 0,
            untrue: data.map_or(Vec::new(), |at| vec![RIFF_LENGTH, at]),
        })
    }

    /// Whether its writer died: the head does not say what follows.
    pub(super) fn is_unfinished(&self) -> bool {
        !self.untrue.is_empty()
    }
}

/// Where the length of a WAV's audio stands, if it says that there is none and yet something follows.
fn unfinished<R: Read + Seek>(from: &mut R, length: u64) -> io::Result<Option<u64>> {
    let mut at = 12;
    if length < at || !starts_as_wav(from)? {
        return Ok(None);
    }
    for _ in 0..MOST_CHUNKS {
        if at + CHUNK_HEAD >= length {
            break;
        }
        from.seek(SeekFrom::Start(at))?;
        let mut head = [0; CHUNK_HEAD as usize];
        from.read_exact(&mut head)?;
        let [a, b, c, d] = [head[4], head[5], head[6], head[7]];
        let chunk = u64::from(u32::from_le_bytes([a, b, c, d]));
        if head.starts_with(b"data") {
            return Ok((chunk == 0).then_some(at + 4));
        }
        // Chunks begin at even places.
        at += CHUNK_HEAD + chunk + chunk % 2;
    }
    Ok(None)
}

fn starts_as_wav<R: Read + Seek>(from: &mut R) -> io::Result<bool> {
    let mut head = [0; 12];
    from.rewind()?;
    from.read_exact(&mut head)?;
    Ok(head.starts_with(b"RIFF") && head.ends_with(b"WAVE"))
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        for at in &self.untrue {
            for (n, byte) in (0..).zip(UNKNOWN) {
                let place = (at + n).checked_sub(self.position);
                let place = place.and_then(|place| usize::try_from(place).ok());
                if let Some(place) = place.and_then(|place| into[..read].get_mut(place)) {
                    *place = byte;
                }
            }
        }
        self.position += read as u64;
        Ok(read)
    }
}

impl<R: Seek> Seek for Source<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = self.from.seek(to)?;
        Ok(self.position)
    }
}

impl<R: Read + Seek + Send + Sync> MediaSource for Source<R> {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.length)
    }
}
