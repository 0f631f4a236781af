//! One rsync session on the virtual root: the [`Tree`] that the protocol writes into.
//!
//! Below `sitio/` a push is a transaction on the published tree (`site`), elsewhere its
//! files are those of the packages area (`packages`). Nothing that readers see changes
//! before [`Tree::commit`]; what a broken push brought lies on the [`Shelf`] for the next.
//!
//! What rsync can say and a published site cannot hold: modes (0644 and 0755 here), owners,
//! devices, and links. A link to a file of the site becomes a second name of its content;
//! a link to a directory is refused with what to do instead.

mod basis;
mod packages;
mod site;

use std::io;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::inbox::Inbox;
use super::room::{Room, lock};
use super::shelf::Shelf;
use super::view::SITE;
use super::{DropError, Submission, VPath};
use crate::model::{Lang, Outcome, Sender};
use crate::rsync::{
    self, Basis, Committed, Found, Intent, Kind, Meta, NewFile, Refused, Summary, Time, Tree,
};

pub(super) use site::Shown;
use site::Site;

/// What becomes of a push whose source lost files while it was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Vanished {
    /// Nothing is published: what is left may not fit together.
    #[default]
    Refuse,
    /// What is left is published.
    Publish,
}

/// What the door says of a push.
#[derive(Clone, Debug)]
pub struct PushConfig {
    /// Where names begin.
    pub start: Start,
    /// Separates what is kept of broken pushes.
    pub module: String,
    /// How long the sender waits for its verdict.
    pub verdict_wait: Duration,
    /// Whether a new name may be rebuilt from a kin under another one.
    pub similar: bool,
    /// What becomes of a source that lost files.
    pub vanished: Vanished,
}

/// Where the names of a push begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// In a directory of the virtual root, all of which can be named.
    Within(VPath),
    /// In a directory that nothing leads out of.
    Confined(VPath),
}

/// A push on its way. Dropped without [`Tree::commit`], it changes nothing that is seen.
#[derive(Debug)]
pub struct Push {
    room: Arc<Room>,
    sender: Sender,
    config: PushConfig,
    inbox: OnceLock<Inbox>,
    shelf: Arc<Shelf>,
    site: Site,
    submissions: Arc<Mutex<Vec<Submission>>>,
    dry_run: OnceLock<bool>,
}

/// Where a path of the session leads.
enum Spot<'p> {
    /// Below `sitio`; empty for `sitio` itself.
    Site(std::borrow::Cow<'p, str>),
    /// The packages area.
    Packages(std::path::PathBuf),
}

impl Push {
    pub(super) fn new(room: Arc<Room>, sender: Sender, config: PushConfig) -> Self {
        let shelf = Arc::new(Shelf::new(&room, &sender.name, &config.module));
        Self {
            site: Site::new(&room, &shelf, config.similar),
            inbox: OnceLock::new(),
            submissions: Arc::default(),
            dry_run: OnceLock::new(),
            shelf,
            room,
            sender,
            config,
        }
    }

    fn lang(&self) -> Lang {
        self.room.config.lang
    }

    fn spot<'p>(&self, path: &'p [u8]) -> Result<Spot<'p>, DropError> {
        let inside = path.strip_prefix(SITE.as_bytes());
        match inside {
            Some([]) => Ok(Spot::Site("".into())),
            Some([b'/', rest @ ..]) => self.site.path(rest).map(Spot::Site),
            // What an alias leads to the site is found by its components.
            _ => {
                let path = self.room.aliases.follow(VPath::resolve(&VPath::root(), path));
                match path.components() {
                    [first, rest @ ..] if first == SITE => {
                        let rest: std::path::PathBuf = rest.iter().collect();
                        let rest = rest.into_os_string().into_encoded_bytes();
                        Ok(Spot::Site(self.site.path(&rest)?.into_owned().into()))
                    }
                    _ => Ok(Spot::Packages(path.to_relative())),
                }
            }
        }
    }

    fn inbox(&self) -> io::Result<&Inbox> {
        if let Some(inbox) = self.inbox.get() {
            return Ok(inbox);
        }
        let inbox = Inbox::open(&self.room, &self.sender.name)?;
        Ok(self.inbox.get_or_init(|| inbox))
    }

    /// A refusal in the sender's words.
    fn refused(&self, error: &DropError) -> Refused {
        refused(error, self.lang())
    }

    fn say(&self, es: &str, en: &str) -> Refused {
        Refused::partial(format!("difusor: {}", self.lang().pick(es, en)))
    }

    /// Why nothing of this push may be published, as far as its source is concerned.
    fn unfit(&self, summary: &Summary) -> Option<Refused> {
        let lang = self.lang();
        let stays = lang.pick(
            "no se publica nada y lo anterior sigue vigente; corrija el origen y envíe de nuevo",
            "nothing is published and what was live stays; mend the source and send again",
        );
        if let Some(why) = &summary.incomplete {
            let what = lang.pick("el envío no está completo", "the push is not whole");
            return Some(Refused::partial(format!("difusor: {what} ({why}); {stays}")));
        }
        if summary.vanished && self.config.vanished == Vanished::Refuse {
            let what = lang.pick(
                "el origen perdió archivos mientras se enviaba",
                "the source lost files while it was sent",
            );
            return Some(Refused::partial(format!("difusor: {what}; {stays}")));
        }
        None
    }

    /// Waits for every verdict, all together at most as long as the door allows.
    fn verdicts(&self, submissions: Vec<Submission>) -> Result<Committed, Refused> {
        let (begun, lang) = (Instant::now(), self.lang());
        let (mut told, mut open) = (None, false);
        for submission in submissions {
            let left = self.config.verdict_wait.saturating_sub(begun.elapsed());
            match submission.wait(left) {
                Some(Outcome::Rejected(rejection)) => {
                    return Err(Refused::partial(format!("difusor: {}", rejection.line(lang))));
                }
                Some(outcome) => told = Some(format!("difusor: {}", outcome.line(lang))),
                None => {
                    told = Some(format!("difusor: {}", pending(lang)));
                    open = true;
                }
            }
        }
        Ok(if open { Committed::Pending(told) } else { Committed::Done(told) })
    }
}

impl Tree for Push {
    fn destination(&self, raw: &[u8]) -> Result<Vec<u8>, Refused> {
        let path = match &self.config.start {
            Start::Within(cwd) => self.room.resolve(cwd, raw).map_err(|e| self.refused(&e))?,
            Start::Confined(root) => {
                let inside = VPath::resolve(&VPath::root(), raw);
                root.extended(inside.components())
            }
        };
        Ok(path.to_bytes().strip_prefix(b"/").unwrap_or_default().to_vec())
    }

    fn begin(&self, intent: &Intent) -> Result<(), Refused> {
        let _ = self.dry_run.set(intent.dry_run);
        let is_site = matches!(self.spot(&intent.destination), Ok(Spot::Site(_)));
        if is_site && intent.deletes && intent.entries <= 1 && !intent.single {
            return Err(self.say(
                "el envío está vacío y pide borrar: no se publica nada; revise la carpeta de origen",
                "the push is empty and asks for deletion: nothing is published; look at the source folder",
            ));
        }
        if intent.dry_run || !is_site {
            return Ok(());
        }
        self.site.begin().map_err(|e| self.refused(&e))
    }

    fn look(&self, path: &[u8]) -> io::Result<Option<Found>> {
        let found = match self.spot(path) {
            Ok(Spot::Site(path)) => Ok(self.site.look(&path)),
            Ok(Spot::Packages(at)) => packages::look(self.inbox()?, &at),
            // A name that could not stand here does not.
            Err(_) => Ok(None),
        };
        match found.map_err(unexpected)? {
            None if self.room.aliases.leads_on(&VPath::resolve(&VPath::root(), path)) => {
                Ok(Some(directory(0)))
            }
            found => Ok(found),
        }
    }

    fn list(&self, path: &[u8]) -> io::Result<Vec<(Vec<u8>, Found)>> {
        match self.spot(path).map_err(unexpected)? {
            Spot::Site(path) => Ok(self.site.list(&path)),
            Spot::Packages(path) => packages::list(self.inbox()?, &path).map_err(unexpected),
        }
    }

    fn content(&self, path: &[u8]) -> io::Result<Box<dyn Basis>> {
        let file = match self.spot(path).map_err(unexpected)? {
            Spot::Site(path) => self.site.read(&path).map_err(unexpected)?,
            Spot::Packages(path) => packages::whole(self.inbox()?, &path).map_err(unexpected)?,
        };
        Ok(Box::new(basis::Pieces::of([file])?))
    }

    fn basis(&self, path: &[u8], size: u64) -> io::Result<Option<Box<dyn Basis>>> {
        match self.spot(path).map_err(unexpected)? {
            Spot::Site(at) => self.site.basis(path, &at, size),
            Spot::Packages(at) => {
                packages::basis(self.inbox()?, &self.shelf, (path, &at), size, self.config.similar)
            }
        }
    }

    fn create(&self, path: &[u8], size: u64) -> Result<Box<dyn NewFile>, Refused> {
        match self.spot(path) {
            Ok(Spot::Site(at)) => self.site.create(path, &at, size).map_err(|e| self.site.refuse(&e)),
            Ok(Spot::Packages(at)) => {
                let (shelf, submissions) = (Arc::clone(&self.shelf), Arc::clone(&self.submissions));
                let inbox = self.inbox()?;
                packages::PackageFile::create(
                    inbox,
                    shelf,
                    submissions,
                    (path, &at),
                    size,
                    self.sender.clone(),
                )
                .map_err(|e| self.refused(&e))
            }
            Err(e) => Err(self.site.refuse(&e)),
        }
    }

    fn make_dir(&self, path: &[u8]) -> Result<(), Refused> {
        let made = match self.spot(path) {
            Ok(Spot::Site(path)) => return self.site.make_dir(&path).map_err(|e| self.site.refuse(&e)),
            Ok(Spot::Packages(path)) => self.inbox()?.mkdir(&path),
            Err(e) => return Err(self.site.refuse(&e)),
        };
        match made {
            Ok(()) | Err(DropError::Exists) => Ok(()),
            Err(e) => Err(self.refused(&e)),
        }
    }

    fn make_link(&self, path: &[u8], target: &[u8], meta: &Meta) -> Result<(), Refused> {
        match self.spot(path) {
            Ok(Spot::Site(path)) => {
                self.site.make_link(&path, target, meta).map_err(|e| self.site.refuse(&e))
            }
            Ok(Spot::Packages(_)) => Err(self.say(
                "entre los paquetes no hay enlaces: envíe el archivo mismo (rsync -L)",
                "there are no links among the packages: send the file itself (rsync -L)",
            )),
            Err(e) => Err(self.site.refuse(&e)),
        }
    }

    fn hard_link(&self, existing: &[u8], path: &[u8]) -> Result<(), Refused> {
        match (self.spot(existing), self.spot(path)) {
            (Ok(Spot::Site(from)), Ok(Spot::Site(to))) => {
                self.site.hard_link(&from, &to).map_err(|e| self.site.refuse(&e))
            }
            _ => Err(self.say(
                "entre los paquetes no hay enlaces duros: envíe sin -H",
                "there are no hard links among the packages: send without -H",
            )),
        }
    }

    fn set(&self, path: &[u8], meta: &Meta) -> Result<(), Refused> {
        let Some(mtime) = meta.mtime else { return Ok(()) };
        let set = match self.spot(path) {
            Ok(Spot::Site(path)) => self.site.set_mtime(&path, mtime.secs),
            Ok(Spot::Packages(path)) => self.inbox()?.set_mtime(&path, mtime.secs),
            Err(e) => Err(e),
        };
        set.map_err(|e| self.refused(&e))
    }

    fn remove(&self, path: &[u8]) -> Result<(), Refused> {
        let removed = match self.spot(path) {
            Ok(Spot::Site(path)) => self.site.remove(&path),
            Ok(Spot::Packages(path)) => packages::remove(self.inbox()?, &path),
            Err(e) => Err(e),
        };
        removed.map_err(|e| self.refused(&e))
    }

    fn commit(&self, summary: &Summary) -> Result<Committed, Refused> {
        let mut submissions = std::mem::take(&mut *lock(&self.submissions));
        if self.site.is_begun() {
            if let Some(refused) = self.unfit(summary) {
                return Err(refused);
            }
            submissions.extend(self.site.commit(self.sender.clone()).map_err(|e| self.refused(&e))?);
        }
        let told = self.verdicts(submissions)?;
        self.site.settled();
        Ok(told)
    }
}

impl From<Lang> for rsync::Lang {
    fn from(lang: Lang) -> Self {
        match lang {
            Lang::Es => Self::Es,
            Lang::En => Self::En,
        }
    }
}

fn refused(error: &DropError, lang: Lang) -> Refused {
    Refused::partial(format!("difusor: {}", error.explain(lang)))
}

fn pending(lang: Lang) -> &'static str {
    lang.pick(
        "recibido y a salvo; el veredicto sigue pendiente, no lo envíe de nuevo",
        "received and safe; the verdict is still pending, do not send it again",
    )
}

/// For calls that the session makes about what it has just seen.
fn unexpected(error: DropError) -> io::Error {
    match error {
        DropError::Io(error) => error,
        DropError::NotFound => io::ErrorKind::NotFound.into(),
        DropError::IsDir => io::ErrorKind::IsADirectory.into(),
        DropError::NotDir => io::ErrorKind::NotADirectory.into(),
        other => io::Error::other(other.to_string()),
    }
}

fn directory(mtime: i64) -> Found {
    Found { kind: Kind::Dir, size: 0, mtime: seconds(mtime), mode: DIR_MODE, inode: None }
}

fn seconds(secs: i64) -> Time {
    Time { secs, nanos: 0 }
}

/// Modes of everything here, whatever the source has.
const FILE_MODE: u32 = 0o644;
const DIR_MODE: u32 = 0o755;
