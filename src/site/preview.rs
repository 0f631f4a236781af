//! Content of a release that is still being made, kept so that the swap need not read it again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Site;
use super::content::Content;
use crate::model::{Digest, ReleaseId};
use crate::release::{Release, Witness};

/// Contents by their hash.
pub(super) type Contents = HashMap<Digest, Arc<Content>>;

/// The release that will be shown next, and what is in memory of it.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) release: Release,
    pub(super) contents: Contents,
}

/// Takes in files while a release is staged. Gone with the release, if it comes to nothing.
#[derive(Debug)]
pub struct Preview {
    site: Arc<Site>,
    /// What readers see has these already.
    known: HashSet<Digest>,
    contents: Contents,
    bytes: u64,
}

impl Preview {
    /// A preview that has seen nothing.
    pub fn new(site: Arc<Site>) -> Self {
        let live = site.live();
        let known = live.entries().map(|(_, entry)| entry.content.sha256).collect();
        Self { site, known, contents: HashMap::new(), bytes: 0 }
    }
}

impl Witness for Preview {
    fn file(&mut self, sha256: Digest, bytes: &[u8]) {
        let (size, config) = (bytes.len() as u64, &self.site.config);
        let total = self.bytes.saturating_add(size);
        let fits = size <= config.memory_file_bytes_max && total <= config.memory_bytes;
        if fits && !self.known.contains(&sha256) && !self.contents.contains_key(&sha256) {
            self.contents.insert(sha256, Arc::new(Content::of(sha256, bytes)));
            self.bytes = total;
        }
    }

    fn next(self: Box<Self>, release: &Release) {
        let next = Next { release: release.clone(), contents: self.contents };
        *self.site.next() = Some(next);
    }
}

impl Site {
    /// What is known of a release before it is read. Whatever was expected instead is gone.
    pub(super) fn take_next(&self, id: &ReleaseId) -> Option<Next> {
        self.next().take().filter(|next| next.release.id == *id)
    }
}
