//! What one push has made of the site so far.

use std::collections::{BTreeMap, BTreeSet};

use super::super::super::DropError;
use super::super::super::room::Room;
use super::super::super::tree::Transaction;
use super::super::seconds;
use super::parent;
use super::shown::{Link, Shown};
use crate::rsync::Found;

#[derive(Debug)]
pub(super) struct Work {
    pub(super) tree: Transaction,
    pub(super) dirs: BTreeMap<String, i64>,
    pub(super) files: BTreeMap<String, i64>,
    pub(super) links: BTreeMap<String, Link>,
    /// Names of the left-out files that this session removed.
    pub(super) gone: BTreeSet<String>,
}

impl Work {
    pub(super) fn look(&self, path: &str, shown: &Shown) -> Option<Found> {
        if let Some(link) = self.links.get(path) {
            return Some(link.found());
        }
        let Some(seen) = self.tree.see(path) else {
            return shown.left_out(path).filter(|_| !self.gone.contains(path));
        };
        let mtime = if seen.is_dir() { self.dirs.get(path) } else { self.files.get(path) };
        match mtime {
            Some(mtime) => Some(Found { mtime: seconds(*mtime), ..seen.found() }),
            None => Some(shown.found(path, seen)),
        }
    }

    /// A new thing comes to stand there: nothing that was remembered holds.
    pub(super) fn forget(&mut self, path: &str) {
        self.links.remove(path);
        self.files.remove(path);
        self.dirs.remove(path);
    }

    /// Makes every link of the session, and every one still shown, the content it leads to.
    pub(super) fn follow_links(&mut self, room: &Room, shown: &Shown) -> Result<(), DropError> {
        // A link of an earlier push whose target has changed in this one.
        for (path, (digest, link)) in &shown.links {
            let stands = self.tree.see(path).and_then(|seen| seen.digest()) == Some(*digest);
            if stands && !self.links.contains_key(path) {
                self.links.insert(path.clone(), link.clone());
            }
        }
        for path in self.links.keys() {
            let Some(target) = self.target(path) else {
                // It leads nowhere: nobody could have followed it.
                if self.tree.see(path).is_some() {
                    self.tree.remove(path)?;
                }
                continue;
            };
            match self.tree.see(&target) {
                None => {}
                Some(seen) if seen.is_dir() => {
                    let link = room.denied(
                        &format!(
                            "el enlace «{path}» lleva a una carpeta: envíe la carpeta misma (rsync -L o -k)"
                        ),
                        &format!("link '{path}' leads to a folder: send the folder itself (rsync -L or -k)"),
                    );
                    return Err(link);
                }
                Some(_) => self.tree.copy_file(&target, path)?,
            }
        }
        Ok(())
    }

    /// Where a link leads in the end, inside the site, by the letters of its targets.
    pub(super) fn target(&self, path: &str) -> Option<String> {
        let mut at = path.to_owned();
        for _ in 0..LINKS_MAX {
            let Some(link) = self.links.get(&at) else { return self.tree.see(&at).map(|_| at) };
            let mut parts: Vec<&str> = parent(&at).split('/').filter(|part| !part.is_empty()).collect();
            for part in link.target.split('/') {
                match part {
                    "" | "." => {}
                    ".." => drop(parts.pop()?),
                    part => parts.push(part),
                }
            }
            at = parts.join("/");
        }
        None
    }

    /// What the next push should find besides the cut.
    pub(super) fn left(&self, shown: &Shown) -> Shown {
        let mut left = shown.clone();
        left.dirs.extend(self.dirs.iter().map(|(path, mtime)| (path.clone(), *mtime)));
        let digest = |path: &String| self.tree.see(path).and_then(|seen| seen.digest());
        let files = self.files.iter().filter_map(|(path, at)| Some((path.clone(), (digest(path)?, *at))));
        left.files.extend(files);
        left.files.extend(self.tree.rewritten());
        left.left_out.retain(|path, _| !self.gone.contains(path));
        left.left_out.extend(self.tree.left_out());
        while left.left_out.len() > LEFT_OUT_MAX {
            left.left_out.pop_last();
        }
        left.links = self
            .links
            .iter()
            .filter_map(|(path, link)| Some((path.clone(), (digest(path)?, link.clone()))))
            .collect();
        left.dirs.retain(|path, _| path.is_empty() || self.tree.see(path).is_some_and(|seen| seen.is_dir()));
        left.files.retain(|path, (known, _)| digest(path) == Some(*known));
        left
    }
}

/// Left-out files remembered: a site has a handful.
const LEFT_OUT_MAX: usize = 1_000;

/// Links that lead to links: as the kernel bounds them.
const LINKS_MAX: usize = 40;
