//! SEALED: the receiving side of the rsync wire protocol, versions 27 to 32, over any two
//! byte streams.
//!
//! Owns the protocol and nothing else: no clock, no file system, no configuration, no
//! elections. Imports nothing of this crate. The destination is a [`Tree`] that the host
//! implements; every length, count, index and path that the peer sends is bounded by
//! [`Limits`] before memory is taken.
//!
//! The one flow: argument vector → [`options::Options`] → [`serve`] (or [`daemon`], which
//! reads the vector itself): versions and names are negotiated, the filter list and the file
//! list are read, the generator asks for what differs, the receiver rebuilds files from
//! tokens, and [`Tree::commit`] is called before the last goodbye.

pub mod checksum;
pub mod daemon;
pub mod error;
pub mod filter;
pub mod flist;
pub mod mux;
pub mod negotiate;
pub mod options;
pub mod session;
pub mod signature;
pub mod token;
pub mod tree;
pub mod wire;

pub use error::{Error, Exit, Lang};
pub use options::Options;
pub use session::{ForeignLinks, Settings, refuse, serve};
pub use tree::{Basis, Committed, Found, Intent, Kind, Meta, NewFile, Refused, Summary, Time, Tree};

/// Absolute bounds of one session; a peer that passes one breaks the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Entries of a file list.
    pub entries: u32,
    /// Bytes of memory that a file list may take, names included.
    pub list_bytes: u64,
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Bytes of all files.
    pub total_bytes: u64,
    /// Bytes of a path.
    pub name_bytes: u32,
    /// Words of an argument vector.
    pub args: usize,
    /// Bytes of one word.
    pub arg_bytes: usize,
    /// Filter rules, and bytes of one.
    pub rules: usize,
    /// Bytes of one filter rule.
    pub rule_bytes: usize,
    /// Log2 of the largest zstd window.
    pub zstd_window_log: u32,
    /// Bytes that `-c` and block sums may read of what we hold.
    pub hashed_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 500_000,
            list_bytes: 256 << 20,
            file_bytes: 4 << 30,
            total_bytes: 32 << 30,
            name_bytes: 4095,
            args: 100,
            arg_bytes: 4096,
            rules: 10_000,
            rule_bytes: 4096,
            zstd_window_log: 23,
            hashed_bytes: 64 << 30,
        }
    }
}
