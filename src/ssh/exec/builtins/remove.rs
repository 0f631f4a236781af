//! `rm`: only what the sender itself put there, as far as the view allows.

use crate::drop::{DropError, VPath};

use super::super::explain::Teller;
use super::super::fault::Fault;
use super::super::grammar::Word;
use super::super::options::{Call, Known, Value};
use super::super::shell::{Done, Shell};
use super::{Builtin, quote};

#[derive(Debug)]
struct Rm {
    recursive: bool,
    force: bool,
    dirs: bool,
    verbose: bool,
    names: Vec<Word>,
}

const KNOWN: Known = &[
    ('r', "recursive", Value::None),
    ('R', "", Value::None),
    ('f', "force", Value::None),
    ('v', "verbose", Value::None),
    ('d', "dir", Value::None),
];

pub(super) fn rm(call: &Call<'_>) -> Result<Box<dyn Builtin>, Fault> {
    let options = call.options(KNOWN)?;
    let force = options.has('f');
    if options.operands.is_empty() && !force {
        return Err(call.usage("rm [-r] [-f] [-v] NAME…"));
    }
    Ok(Box::new(Rm {
        recursive: options.has('r') || options.has('R'),
        force,
        dirs: options.has('d'),
        verbose: options.has('v'),
        names: options.operands,
    }))
}

impl Rm {
    /// What was removed, or why not. `Ok(None)` is nothing to do.
    fn one(&self, shell: &mut Shell<'_>, path: &VPath) -> Result<Option<&'static str>, DropError> {
        let stat = match shell.view.stat(path) {
            Err(DropError::NotFound) if self.force => return Ok(None),
            other => other?,
        };
        shell.changes(path);
        match (stat.is_dir, self.recursive, self.dirs) {
            (false, ..) => shell.view.remove(path).map(|()| Some("removed")),
            (true, false, false) => Err(DropError::IsDir),
            (true, recursive, _) => {
                shell.view.remove_dir(path, recursive).map(|()| Some("removed directory"))
            }
        }
    }
}

impl Builtin for Rm {
    fn run(&self, shell: &mut Shell<'_>) -> Done {
        let mut status = 0;
        for name in shell.expand(&self.names) {
            let last = name.rsplit(|b| *b == b'/').find(|part| !part.is_empty());
            if matches!(last, Some(b"." | b"..")) {
                let text = format!("rm: refusing to remove '.' or '..' directory: skipping {}", quote(&name));
                shell.err(text)?;
                status = 1;
                continue;
            }
            let removed = match shell.path(&name) {
                Ok(path) if path.components().is_empty() => {
                    shell.err("rm: it is dangerous to operate recursively on '/'")?;
                    status = 1;
                    continue;
                }
                Ok(path) => self.one(shell, &path),
                Err(error) => Err(error),
            };
            match removed {
                Ok(Some(what)) if self.verbose => shell.line(format!("{what} {}", quote(&name)))?,
                Ok(_) => {}
                Err(DropError::NotFound) if self.force => {}
                Err(error) => {
                    status = 1;
                    let text = format!("rm: cannot remove {}: {}", quote(&name), shell.strerror(&error));
                    shell.err(text)?;
                }
            }
        }
        Ok(status)
    }

    fn tell(&self, teller: &Teller<'_>) -> String {
        match self.recursive {
            true => teller.about("borra con todo su contenido", "removes with all it holds", &self.names),
            false => teller.about("borra", "removes", &self.names),
        }
    }
}
