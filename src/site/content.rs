//! The bytes of one file, shared by every snapshot in which it is the same.

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::model::{Digest, Hasher};

/// A content coding (RFC 9110 §8.4.1; br: RFC 7932, zstd: RFC 8878 with the window of
/// RFC 9659).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// As it came.
    Identity,
    /// gzip.
    Gzip,
    /// Brotli.
    Brotli,
    /// Zstandard.
    Zstd,
}

impl Coding {
    /// All of them, in the order in which a snapshot keeps what belongs to them.
    pub const ALL: [Self; 4] = [Self::Identity, Self::Gzip, Self::Brotli, Self::Zstd];

    /// The token in `Content-Encoding`.
    pub fn token(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    /// What the entity tag of this representation ends in.
    pub fn tag_suffix(self) -> &'static str {
        match self {
            Self::Identity => "",
            Self::Gzip => "-gzip",
            Self::Brotli => "-br",
            Self::Zstd => "-zstd",
        }
    }
}

/// Where the bytes are.
#[derive(Clone, Debug)]
pub enum Stored {
    /// In memory, in an allocation of their own: a slice of something larger would keep
    /// all of it alive for as long as this one file stays the same.
    Memory(Bytes),
    /// In a file that is held open, so that pruning its tree does not cut a reader off.
    Disk(Arc<File>),
}

/// The content of a file. Immutable but for its compressed variants, which come later.
#[derive(Debug)]
pub struct Content {
    /// SHA-256 of the bytes.
    pub sha256: Digest,
    /// How many bytes.
    pub size: u64,
    /// The bytes.
    pub stored: Stored,
    /// Whether they are UTF-8 as a whole: CSV files of some institutes are Latin-1.
    pub is_utf8: bool,
    /// Whether they begin as a gzip stream does (RFC 1952 §2.3).
    pub is_gzip: bool,
    variants: [OnceLock<Option<Bytes>>; 3],
}

/// Why bytes could not be taken from the tree.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// They cannot be read.
    #[error("cannot be read")]
    Io(#[from] io::Error),
    /// They are not what the manifest says.
    #[error("is not what the manifest says")]
    Changed,
}

impl Content {
    /// Reads a file to its end and checks it against its manifest's hash and size.
    pub(super) fn read(file: File, sha256: Digest, size: u64, place: Place) -> Result<Self, ContentError> {
        if file.metadata()?.len() != size {
            return Err(ContentError::Changed);
        }
        let seen = match place {
            Place::Memory => whole(file, size)?,
            Place::Disk => in_passing(file)?,
        };
        if seen.sha256 != sha256 || seen.size != size {
            return Err(ContentError::Changed);
        }
        let Seen { stored, is_utf8, is_gzip, .. } = seen;
        Ok(Self { sha256, size, stored, is_utf8, is_gzip, variants: Default::default() })
    }

    /// Bytes in memory whose hash is known.
    pub(super) fn of(sha256: Digest, bytes: &[u8]) -> Self {
        let (is_utf8, is_gzip) = (std::str::from_utf8(bytes).is_ok(), bytes.starts_with(GZIP_MAGIC));
        let stored = Stored::Memory(Bytes::copy_from_slice(bytes));
        Self { sha256, size: bytes.len() as u64, stored, is_utf8, is_gzip, variants: Default::default() }
    }

    /// The bytes, where they are in memory.
    pub fn bytes(&self) -> Option<&Bytes> {
        match &self.stored {
            Stored::Memory(bytes) => Some(bytes),
            Stored::Disk(_) => None,
        }
    }

    /// A compressed variant, once it has been made and if it is smaller.
    pub fn variant(&self, coding: Coding) -> Option<&Bytes> {
        self.slot(coding)?.get()?.as_ref()
    }

    /// Whether a variant has still to be tried.
    pub(super) fn lacks(&self, coding: Coding) -> bool {
        self.slot(coding).is_some_and(|slot| slot.get().is_none())
    }

    /// Keeps a variant, or the fact that there is no good one. The first word counts.
    pub(super) fn keep(&self, coding: Coding, variant: Option<Bytes>) {
        if let Some(slot) = self.slot(coding) {
            let _ = slot.set(variant);
        }
    }

    fn slot(&self, coding: Coding) -> Option<&OnceLock<Option<Bytes>>> {
        let [gzip, brotli, zstd] = &self.variants;
        match coding {
            Coding::Identity => None,
            Coding::Gzip => Some(gzip),
            Coding::Brotli => Some(brotli),
            Coding::Zstd => Some(zstd),
        }
    }
}

/// Where the bytes of a file are to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Memory,
    Disk,
}

struct Seen {
    sha256: Digest,
    size: u64,
    is_utf8: bool,
    is_gzip: bool,
    stored: Stored,
}

fn whole(file: File, size: u64) -> io::Result<Seen> {
    // The length was that of the open file a moment ago: no promise of a sender.
    let mut bytes = Vec::with_capacity(usize::try_from(size).map_err(io::Error::other)?);
    file.take(size + 1).read_to_end(&mut bytes)?;
    bytes.shrink_to_fit();
    Ok(Seen {
        sha256: Digest::of(&bytes),
        size: bytes.len() as u64,
        is_utf8: std::str::from_utf8(&bytes).is_ok(),
        is_gzip: bytes.starts_with(GZIP_MAGIC),
        stored: Stored::Memory(Bytes::from(bytes)),
    })
}

fn in_passing(mut file: File) -> io::Result<Seen> {
    let (mut hasher, mut block, mut size, mut is_gzip) = (Hasher::new(), vec![0; READ_BLOCK], 0, false);
    loop {
        let count = file.read(&mut block)?;
        let read = block.get(..count).unwrap_or_default();
        if read.is_empty() {
            break;
        }
        is_gzip |= size == 0 && read.starts_with(GZIP_MAGIC);
        hasher.update(read);
        size += count as u64;
    }
    let stored = Stored::Disk(Arc::new(file));
    // Whether so large a file is UTF-8 is not worth another pass: no charset is named.
    Ok(Seen { sha256: hasher.finish(), size, is_utf8: false, is_gzip, stored })
}

/// First bytes of a gzip member with the one method there is.
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b, 0x08];
/// Bytes read at a time.
const READ_BLOCK: usize = 256 * 1024;
