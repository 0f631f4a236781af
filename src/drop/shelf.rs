//! What arrived of pushes that broke off, for the next push to go on from.
//!
//! Owns `var/partial/<key name>/<module>/`: one file for each path, under the hash of the
//! path. What lies here is never published and never shown: it only lends its bytes to
//! the block sums of the next push, whose whole-file sum proves the result. Bounded in
//! bytes and age; after an error less lies here and more is sent again.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex};

use super::inbox::folder;
use super::room::{Room, lock, size};
use crate::durable::Dir;
use crate::model::Digest;

/// The shelf of one sender and module.
#[derive(Debug)]
pub(super) struct Shelf {
    room: Arc<Room>,
    key: String,
    module: String,
    /// What lies here; `None` until somebody asks.
    names: Mutex<Option<HashSet<String>>>,
}

impl Shelf {
    pub(super) fn new(room: &Arc<Room>, key: &str, module: &str) -> Self {
        let (key, module) = (folder(key), folder(module));
        Self { room: Arc::clone(room), key, module, names: Mutex::default() }
    }

    /// What is kept for a path.
    pub(super) fn find(&self, path: &[u8]) -> Option<File> {
        let name = name(path);
        self.has(&name).then(|| self.dir()?.open_file(&name)).and_then(Result::ok)
    }

    /// Takes a file in under a path, unless more of it is here already. `from` loses it.
    pub(super) fn put(&self, path: &[u8], from: &Dir, scratch: &OsStr) -> io::Result<()> {
        let (name, bytes) = (name(path), size(&from.stat(scratch)?));
        let dir = self.room.partial.sub_create(format!("{}/{}", self.key, self.module))?;
        let before = dir.stat(&name).map_or(0, |raw| size(&raw));
        if bytes == 0 || bytes < before || bytes > self.room.config.partial_bytes {
            return from.remove_file(scratch);
        }
        from.rename_to(scratch, &dir, &name)?;
        if let Some(names) = lock(&self.names).as_mut() {
            names.insert(name);
        }
        Ok(())
    }

    /// Gives up what was kept for a path: it is whole now.
    pub(super) fn forget(&self, path: &[u8]) {
        let name = name(path);
        if self.has(&name)
            && let Ok(dir) = self.dir()
        {
            let _ = dir.remove_file(&name);
        }
    }

    /// Gives up everything: the push went through.
    pub(super) fn clear(&self) {
        let empty = lock(&self.names).replace(HashSet::new()).is_some_and(|names| names.is_empty());
        if !empty && let Ok(key) = self.room.partial.sub(&self.key) {
            // Not there: nothing was kept.
            let _ = key.remove_all(&self.module);
        }
    }

    /// Makes the shelves fit their bound, the oldest going first.
    pub(super) fn tidy(&self) {
        if let Err(error) = sweep(&self.room, i64::MIN) {
            tracing::warn!(%error, "kept partial files could not be counted");
        }
    }

    fn has(&self, name: &str) -> bool {
        let mut names = lock(&self.names);
        names.get_or_insert_with(|| self.listed().unwrap_or_default()).contains(name)
    }

    fn listed(&self) -> io::Result<HashSet<String>> {
        let listed = self.dir()?.list()?;
        Ok(listed.into_iter().filter_map(|listed| listed.name.into_string().ok()).collect())
    }

    fn dir(&self) -> io::Result<Dir> {
        self.room.partial.sub(format!("{}/{}", self.key, self.module))
    }
}

/// Removes what is older than `oldest` (seconds since 1970), and then the oldest until the
/// rest fits. Returns how many files went.
pub(super) fn sweep(room: &Room, oldest: i64) -> io::Result<usize> {
    let (mut kept, mut swept) = (Vec::new(), 0);
    for key in room.partial.list()? {
        let Ok(key) = room.partial.sub(&key.name) else { continue };
        for module in key.list()? {
            let Ok(dir) = key.sub(&module.name) else { continue };
            for listed in dir.list()? {
                // The time of the last write, which the rename left.
                if listed.stat.st_ctime < oldest {
                    swept += usize::from(dir.remove_file(&listed.name).is_ok());
                } else {
                    kept.push((listed.stat.st_ctime, size(&listed.stat), dir.clone(), listed.name));
                }
            }
        }
    }
    kept.sort_by_key(|(at, ..)| std::cmp::Reverse(*at));
    let mut bytes = 0_u64;
    for (_, size, dir, name) in kept {
        bytes = bytes.saturating_add(size);
        if bytes > room.config.partial_bytes {
            swept += usize::from(dir.remove_file(&name).is_ok());
        }
    }
    Ok(swept)
}

/// Of fixed length, whatever the path.
fn name(path: &[u8]) -> String {
    Digest::of(path).to_string()
}
