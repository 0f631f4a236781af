//! Somebody who looks at a package while it still arrives.
//!
//! This room only tells how far the bytes have come: who looks reads them from the scratch
//! file, as fast as it can and without holding up the sender. Who looks, and what for, is
//! wired from outside; what was seen travels with the [`super::Arrival`] and means nothing here.

use std::any::Any;
use std::fmt::Debug;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Digest, Receipt};

/// Looks at packages ahead of their last byte.
pub trait Ahead: Send + Sync + Debug {
    /// A file begins that may be a package when it is whole. `None`: nobody looks at this one.
    fn begin(&self, file: File) -> Option<Box<dyn Look>>;

    /// The disk is full: gives up what was put there for packages that are not whole yet, and
    /// returns whether that was anything.
    fn give_way(&self, patience: Duration) -> bool;
}

/// One look. Dropped before the file is whole, it is over and leaves nothing behind.
pub trait Look: Send + Debug {
    /// The first `bytes` bytes are in the file and do not change any more.
    fn grown(&mut self, bytes: u64);

    /// The file is whole: its SHA-256, and what is known of it.
    fn whole(self: Box<Self>, sha256: Digest, receipt: &Receipt) -> Early;
}

/// What was seen of a package by its last byte, for whoever sent the looker.
#[derive(Debug)]
pub struct Early(Box<dyn Any + Send>);

impl Early {
    /// Wraps what only its maker understands.
    pub fn new(seen: impl Any + Send) -> Self {
        Self(Box::new(seen))
    }

    /// What its maker wrapped.
    pub fn open<T: Any>(self) -> Option<Box<T>> {
        self.0.downcast().ok()
    }
}

/// The looker that an instance has, if any.
pub type Lookers = Option<Arc<dyn Ahead>>;
