//! Bytes that block sums are made of: one file, or several as if they were one.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use crate::rsync::Basis;

/// Files in a row. The client is told of blocks only, so that a kept partial file and the
/// file it was to replace both lend their bytes.
#[derive(Debug)]
pub(super) struct Pieces {
    files: Vec<(File, u64)>,
    size: u64,
}

impl Pieces {
    pub(super) fn of(files: impl IntoIterator<Item = File>) -> io::Result<Self> {
        let mut pieces = Self { files: Vec::new(), size: 0 };
        for file in files {
            let bytes = file.metadata()?.len();
            pieces.size = pieces.size.saturating_add(bytes);
            pieces.files.push((file, bytes));
        }
        Ok(pieces)
    }

    /// As a basis, unless there is nothing in it.
    pub(super) fn or_none(self) -> Option<Box<dyn Basis>> {
        (self.size > 0).then(|| Box::new(self) as Box<dyn Basis>)
    }
}

impl Basis for Pieces {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let (mut rest, mut at) = (buffer, offset);
        for (file, bytes) in &self.files {
            if rest.is_empty() {
                return Ok(());
            }
            if at >= *bytes {
                at -= *bytes;
                continue;
            }
            let here = usize::try_from(*bytes - at).unwrap_or(usize::MAX).min(rest.len());
            let (now, later) = rest.split_at_mut(here);
            file.read_exact_at(now, at)?;
            (rest, at) = (later, 0);
        }
        if rest.is_empty() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn pieces_read_as_one() {
        let file = |text: &str| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file
        };
        let pieces = Pieces::of([file("abc"), file(""), file("defgh")]).unwrap();
        let mut buffer = [0; 4];
        for (at, wanted) in [(0, "abcd"), (2, "cdef"), (4, "efgh")] {
            pieces.read_at(&mut buffer, at).unwrap();
            assert_eq!(buffer, wanted.as_bytes());
        }
        assert!(pieces.read_at(&mut buffer, 5).is_err());
    }
}
