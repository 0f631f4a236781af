//! Where a push goes: the destination as stock reads it, and which links stay inside.

use super::push::{Target, parent};
use crate::rsync::error::{Error, Exit, Lang};
use crate::rsync::flist::{EntryKind, FileList};
use crate::rsync::options::Options;
use crate::rsync::tree::{Found, Kind, Refused, Tree};

/// What stands at the destination decides what the names of the list mean.
pub(super) struct Plan {
    pub(super) target: Target,
    /// The directory is not there yet.
    make: bool,
    /// More than one name, or a slash at the end, asked for it.
    asked: bool,
    /// The client's own word for it.
    word: Vec<u8>,
}

impl Plan {
    /// Reads the destination: a directory that is or will be, or the name of a single file.
    pub(super) fn new(
        options: &Options,
        list: &FileList,
        tree: &dyn Tree,
        lang: Lang,
    ) -> Result<Self, Refused> {
        let word = options.destination.clone().unwrap_or_default();
        let path = tree.destination(&word)?;
        let found = tree.look(&path)?;
        let slash = word.last() == Some(&b'/');
        let entries = list.len();
        let plan = |single: bool, make: bool| Self {
            target: Target { path: path.clone(), single, made: make },
            make,
            asked: entries > 1 || slash,
            word: word.clone(),
        };
        match found.map(|found: Found| found.kind) {
            Some(Kind::Dir) => Ok(plan(false, false)),
            Some(_) if entries > 1 || slash => Err(not_a_directory(lang)),
            Some(_) if list.get(0).is_some_and(|entry| matches!(entry.kind(), EntryKind::Dir { .. })) => {
                Err(directory_over_file(lang))
            }
            Some(_) => Ok(plan(true, false)),
            None if entries > 1 || slash || path.is_empty() => Ok(plan(false, true)),
            None if list.get(0).is_some_and(|entry| entry.name().is_empty()) => Ok(plan(false, true)),
            None => Ok(plan(true, false)),
        }
    }

    /// Makes the destination directory, and with `--mkpath` what leads to it. Gives the line that
    /// stock says with `-v` and `-i`.
    pub(super) fn prepare(&mut self, options: &Options, tree: &dyn Tree) -> Result<Option<Vec<u8>>, Refused> {
        let word = self.word.strip_suffix(b"/").unwrap_or(&self.word);
        if options.mkpath && !options.dry_run {
            let path = &self.target.path;
            let made = if self.make {
                make_path(tree, path)?
            } else {
                parent(path).map_or(Ok(0), |dir| make_path(tree, dir))?
            };
            self.target.made &= made == 0;
            let plural = if made == 1 { "directory" } else { "directories" };
            let word = if self.target.single { parent(word).unwrap_or(word) } else { word };
            return Ok(
                (made > 0).then(|| [format!("created {made} {plural} for ").as_bytes(), word].concat())
            );
        }
        if !self.make {
            return Ok(None);
        }
        if !options.dry_run {
            tree.make_dir(&self.target.path).map_err(|refused| Refused {
                exit: Exit::FileIo,
                text: format!("mkdir \"{}\" failed: {}", String::from_utf8_lossy(&self.word), refused.text),
            })?;
        }
        Ok(self.asked.then(|| [b"created directory ", word].concat()))
    }
}

/// Makes a directory and those above it that are not there; gives how many.
pub(super) fn make_path(tree: &dyn Tree, path: &[u8]) -> Result<u32, Refused> {
    let mut made = 0;
    let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    for end in slashes.chain(Some(path.len())) {
        let Some(dir) = path.get(..end).filter(|dir| !dir.is_empty()) else { continue };
        if tree.look(dir)?.is_none() {
            tree.make_dir(dir)?;
            made += 1;
        }
    }
    Ok(made)
}

/// Whether a link's target can only lead to names below the destination. `..` may stand at the
/// front alone: behind a name it could climb out of wherever that name, a link itself, leads.
pub(super) fn stays_inside(name: &[u8], target: &[u8]) -> bool {
    if target.is_empty() || target.first() == Some(&b'/') || target.contains(&0) {
        return false;
    }
    let mut room = name.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).count().saturating_sub(1);
    let mut named = false;
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if named || room == 0 => return false,
            b".." => room -= 1,
            _ => named = true,
        }
    }
    true
}

fn not_a_directory(lang: Lang) -> Refused {
    let (es, en) = (
        "ERROR: el destino debe ser un directorio para copiar más de un archivo",
        "ERROR: destination must be a directory when copying more than 1 file",
    );
    Refused { exit: Exit::FileSelect, text: lang.pick(es, en).to_owned() }
}

fn directory_over_file(lang: Lang) -> Refused {
    let (es, en) = (
        "ERROR: un directorio no puede reemplazar a lo que no lo es",
        "ERROR: cannot overwrite non-directory with a directory",
    );
    Refused { exit: Exit::FileSelect, text: lang.pick(es, en).to_owned() }
}

/// A refusal as the end of a session.
pub(super) fn hard(refused: &Refused) -> Error {
    Error::new(refused.exit, refused.text.clone(), refused.text.clone())
}

#[cfg(test)]
mod tests {
    use super::stays_inside;

    #[test]
    fn links_lead_nowhere_else() {
        let inside: [(&[u8], &[u8]); 6] = [
            (b"l", b"a"),
            (b"l", b"./a/b"),
            (b"d/l", b"../a"),
            (b"d/e/l", b"../../a"),
            (b"l", b"."),
            (b"l", b"..a"),
        ];
        for (name, target) in inside {
            assert!(stays_inside(name, target), "{target:?}");
        }
        let outside: [(&[u8], &[u8]); 8] = [
            (b"l", b"/etc"),
            (b"l", b".."),
            (b"l", b""),
            (b"d/l", b"../../a"),
            (b"l", b"a/../.."),
            (b"a", b"b/.."),
            (b"d/l", b"x/../a"),
            (b"d/l", b".././../a"),
        ];
        for (name, target) in outside {
            assert!(!stays_inside(name, target), "{target:?}");
        }
    }
}
