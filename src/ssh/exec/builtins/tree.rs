//! `mkdir`, `rmdir`, `touch`, and the `ln` that cannot be.

use crate::drop::{DropError, Open};

use super::super::explain::Teller;
use super::super::fault::Fault;
use super::super::grammar::Word;
use super::super::options::{Call, Known, Value};
use super::super::shell::{Done, Shell};
use super::{Builtin, quote, some};

/// `mkdir [-p] [-v] [-m MODE] DIR…`; modes are ours alone.
#[derive(Debug)]
struct Mkdir {
    parents: bool,
    verbose: bool,
    dirs: Vec<Word>,
}

pub(super) fn mkdir(call: &Call<'_>) -> Result<Box<dyn Builtin>, Fault> {
    const KNOWN: Known =
        &[('p', "parents", Value::None), ('v', "verbose", Value::None), ('m', "mode", Value::Needed)];
    let options = call.options(KNOWN)?;
    let (parents, verbose) = (options.has('p'), options.has('v'));
    Ok(Box::new(Mkdir { parents, verbose, dirs: some(call, options.operands, "mkdir [-p] DIR…")? }))
}

impl Builtin for Mkdir {
    fn run(&self, shell: &mut Shell<'_>) -> Done {
        let mut status = 0;
        for name in shell.expand(&self.dirs) {
            let made = shell.path(&name).and_then(|path| {
                let is_new = shell.view.stat(&path).is_err();
                shell.changes(&path);
                shell.view.mkdir(&path, self.parents).map(|()| is_new)
            });
            match made {
                Ok(true) if self.verbose => {
                    shell.line(format!("mkdir: created directory {}", quote(&name)))?
                }
                Ok(_) => {}
                Err(error) => {
                    status = 1;
                    let text = format!(
                        "mkdir: cannot create directory {}: {}",
                        quote(&name),
                        shell.strerror(&error)
                    );
                    shell.err(text)?;
                }
            }
        }
        Ok(status)
    }

    fn tell(&self, teller: &Teller<'_>) -> String {
        teller.about("crea la carpeta", "makes folder", &self.dirs)
    }
}

/// `rmdir [-p] DIR…`.
#[derive(Debug)]
struct Rmdir {
    quiet: bool,
    dirs: Vec<Word>,
}

pub(super) fn rmdir(call: &Call<'_>) -> Result<Box<dyn Builtin>, Fault> {
    let options = call.options(&[('→', "ignore-fail-on-non-empty", Value::None)])?;
    let quiet = options.has('→');
    Ok(Box::new(Rmdir { quiet, dirs: some(call, options.operands, "rmdir DIR…")? }))
}

impl Builtin for Rmdir {
    fn run(&self, shell: &mut Shell<'_>) -> Done {
        let mut status = 0;
        for name in shell.expand(&self.dirs) {
            let removed = shell.path(&name).and_then(|path| {
                shell.changes(&path);
                shell.view.remove_dir(&path, false)
            });
            match removed {
                Ok(()) => {}
                Err(DropError::NotEmpty) if self.quiet => {}
                Err(error) => {
                    status = 1;
                    let text =
                        format!("rmdir: failed to remove {}: {}", quote(&name), shell.strerror(&error));
                    shell.err(text)?;
                }
            }
        }
        Ok(status)
    }

    fn tell(&self, teller: &Teller<'_>) -> String {
        teller.about("quita la carpeta vacía", "removes the empty folder", &self.dirs)
    }
}

/// `touch [-c] FILE…`.
#[derive(Debug)]
struct Touch {
    no_create: bool,
    files: Vec<Word>,
}

pub(super) fn touch(call: &Call<'_>) -> Result<Box<dyn Builtin>, Fault> {
    const KNOWN: Known = &[('c', "no-create", Value::None), ('a', "", Value::None), ('m', "", Value::None)];
    let options = call.options(KNOWN)?;
    let no_create = options.has('c');
    Ok(Box::new(Touch { no_create, files: some(call, options.operands, "touch [-c] FILE…")? }))
}

impl Touch {
    fn one(&self, shell: &mut Shell<'_>, name: &[u8]) -> Result<(), DropError> {
        let path = shell.path(name)?;
        match shell.view.stat(&path) {
            Ok(_) => {
                shell.changes(&path);
                let now = shell.setup.clock.now().as_second();
                shell.view.set_mtime(&path, now)
            }
            Err(DropError::NotFound) if self.no_create => Ok(()),
            Err(DropError::NotFound) => {
                // An empty file is never a package, so there is no verdict to wait for.
                let upload = shell.create(&path, Open::New, Some(0))?;
                upload.close().map(|_| ())
            }
            Err(error) => Err(error),
        }
    }
}

impl Builtin for Touch {
    fn run(&self, shell: &mut Shell<'_>) -> Done {
        let mut status = 0;
        for name in shell.expand(&self.files) {
            if let Err(error) = self.one(shell, &name) {
                status = 1;
                let text = format!("touch: cannot touch {}: {}", quote(&name), shell.strerror(&error));
                shell.err(text)?;
            }
        }
        Ok(status)
    }

    fn tell(&self, teller: &Teller<'_>) -> String {
        teller.about(
            "crea vacío o pone la hora actual a",
            "makes empty or gives the present time to",
            &self.files,
        )
    }
}

/// Links would show readers a name that changes by itself; there are none.
pub(super) fn ln(_: &Call<'_>) -> Result<Box<dyn Builtin>, Fault> {
    Err(Fault::Link)
}
