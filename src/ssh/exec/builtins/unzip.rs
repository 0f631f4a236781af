//! `unzip [-o|-n] [-q] [-d DIR] FILE`, and `unzip -t`.

use crate::archive::Format;
use crate::drop::VPath;
use crate::model::escape;
use crate::ssh::io::Gone;

use super::super::explain::Teller;
use super::super::fault::Fault;
use super::super::grammar::Word;
use super::super::options::{Call, Known, Value};
use super::super::shell::{Done, Shell};
use super::super::source::Broken;
use super::unpack::{Existing, Failure, Purpose, Unpacking};
use super::{Builtin, broken};

#[derive(Debug)]
struct Unzip {
    file: Word,
    folder: Option<Vec<u8>>,
    existing: Existing,
    quiet: bool,
    purpose: Purpose,
}

pub(super) fn unzip(call: &Call<'_>) -> Result<Box<dyn Builtin>, Fault> {
    const KNOWN: Known = &[
        ('o', "", Value::None),
        ('n', "", Value::None),
        ('q', "", Value::None),
        ('t', "", Value::None),
        ('d', "", Value::Needed),
        // Names keep their case here whatever it says; DOS volumes and owners are nothing to us.
        ('X', "", Value::None),
        ('K', "", Value::None),
    ];
    let options = call.options(KNOWN)?;
    let [file] = options.operands.as_slice() else {
        return Err(call.usage("unzip [-o] [-q] [-d DIR] FILE"));
    };
    Ok(Box::new(Unzip {
        file: file.clone(),
        folder: options.value('d').map(<[u8]>::to_vec),
        existing: match options.last_of(&['o', 'n']) {
            Some('o') => Existing::Replace,
            Some(_) => Existing::Skip,
            // unzip would ask, and nobody is there to answer.
            None => Existing::Refuse,
        },
        quiet: options.has('q'),
        purpose: if options.has('t') { Purpose::Look } else { Purpose::Extract },
    }))
}

impl Unzip {
    fn base(&self, shell: &mut Shell<'_>) -> Result<Option<VPath>, Gone> {
        let Some(folder) = &self.folder else { return Ok(Some(shell.cwd.clone())) };
        // unzip makes the folder, but not its parents; making those too hurts nobody.
        let made = shell.path(folder).and_then(|path| {
            if self.purpose == Purpose::Extract {
                shell.changes(&path);
                shell.view.mkdir(&path, true)?;
            }
            Ok(path)
        });
        match made {
            Ok(path) => Ok(Some(path)),
            Err(error) => {
                let text = format!("checkdir:  cannot create extraction directory: {}", escape(folder));
                let text = format!("{text}\n           {}", shell.strerror(&error));
                shell.err(text)?;
                Ok(None)
            }
        }
    }
}

impl Builtin for Unzip {
    fn run(&self, shell: &mut Shell<'_>) -> Done {
        let names = shell.expand(std::slice::from_ref(&self.file));
        let name = names.into_iter().next().unwrap_or_default();
        let read = |name: &[u8]| shell.path(name).and_then(|path| shell.view.read(&path));
        let found = read(&name).or_else(|_| read(&[name.as_slice(), b".zip"].concat()));
        let Ok(file) = found else {
            let name = escape(&name);
            shell.err(format!("unzip:  cannot find or open {name}, {name}.zip or {name}.ZIP."))?;
            return Ok(9);
        };
        let Some(base) = self.base(shell)? else { return Ok(2) };
        if !self.quiet {
            shell.line([b"Archive:  ", name.as_slice()].concat())?;
        }
        let word = if self.purpose == Purpose::Look { "    testing: " } else { "  inflating: " };
        let how = Unpacking {
            existing: self.existing,
            purpose: self.purpose,
            verbose: (!self.quiet).then_some(word),
            ..Unpacking::into(base)
        };
        let failure = match how.file(shell, &file, &[Format::Zip]) {
            Ok(()) => return Ok(0),
            Err(failure) => failure,
        };
        shell.spoil();
        match failure {
            Failure::Gone | Failure::Read(Broken::Gone) => Err(Gone),
            Failure::Rejected(rejection) => {
                shell.reject(&rejection)?;
                Ok(3)
            }
            Failure::Write { name, error } => {
                let text = format!(
                    "error:  cannot create {}\n        {}",
                    escape(name.as_bytes()),
                    shell.strerror(&error)
                );
                shell.err(text)?;
                Ok(50)
            }
            Failure::NoMember(_) => Ok(11),
            Failure::Read(why) => {
                broken(shell, "unzip", &escape(&name), why)?;
                Ok(2)
            }
        }
    }

    fn tell(&self, teller: &Teller<'_>) -> String {
        let file = teller.path(&self.file);
        if self.purpose == Purpose::Look {
            return format!("{} {file}", teller.say("revisa", "checks"));
        }
        let base = teller.folder(self.folder.as_slice());
        let (unpacks, into) = (teller.say("desempaca", "unpacks"), teller.say("en", "into"));
        format!("{unpacks} {file} {into} {base}")
    }
}
