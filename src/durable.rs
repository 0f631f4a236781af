//! Files that survive a power cut, reached beneath a root that nothing escapes.
//!
//! Owns every `rename`, `fsync` and `syncfs` of the house. A [`Dir`] is an open
//! directory; names given to it are relative paths, resolved by `openat2` with
//! `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS`, so no link that somebody plants and no
//! `..` leads outside. Imports nothing of this crate.
//!
//! The order that a power cut respects: write in scratch, sync the file (or the
//! whole file system once), rename, sync the directory.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{self, AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, ResolveFlags, Stat};

/// Mode of every file we make: the site is public, the rest lies below a 0700 directory.
const FILE_MODE: u32 = 0o644;
/// Mode of every directory we make.
const DIR_MODE: u32 = 0o755;

/// An open directory. Clones share the handle.
#[derive(Clone, Debug)]
pub struct Dir {
    handle: Arc<OwnedFd>,
    path: PathBuf,
}

/// One name in a directory.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The name.
    pub name: OsString,
    /// What `lstat` says of it.
    pub stat: Stat,
}

impl Listed {
    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        FileType::from_raw_mode(self.stat.st_mode) == FileType::Directory
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        FileType::from_raw_mode(self.stat.st_mode) == FileType::RegularFile
    }
}

/// Room left on a file system, for somebody who is not root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes in all.
    pub total_bytes: u64,
    /// Bytes that may still be written.
    pub free_bytes: u64,
    /// Inodes that may still be made; `u64::MAX` where the file system has no count.
    pub free_inodes: u64,
}

impl Dir {
    /// Opens an existing directory by its full path (links in it are followed: the
    /// operator chose it).
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let handle =
            fs::openat(CWD, path, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { handle: Arc::new(handle), path: path.to_owned() })
    }

    /// Opens a directory by its full path, making it and its parents (mode 0755)
    /// where they are missing.
    pub fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        std::fs::create_dir_all(&path)?;
        Self::open(path)
    }

    /// Where it was when it was opened; for messages and for handing to others.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory `relative`, which exists.
    pub fn sub(&self, relative: impl AsRef<Path>) -> io::Result<Self> {
        let relative = relative.as_ref();
        let handle = self.beneath(relative, OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty())?;
        Ok(Self { handle: Arc::new(handle), path: self.path.join(relative) })
    }

    /// The directory `relative`, made with its parents where missing.
    pub fn sub_create(&self, relative: impl AsRef<Path>) -> io::Result<Self> {
        self.create_dir_all(&relative)?;
        self.sub(relative)
    }

    /// Makes one directory, mode 0755.
    pub fn create_dir(&self, relative: impl AsRef<Path>) -> io::Result<()> {
        let (parent, name) = self.parent(relative.as_ref())?;
        Ok(fs::mkdirat(parent.at(self), name, Mode::from_raw_mode(DIR_MODE))?)
    }

    /// Makes a directory and its parents; what exists is left alone.
    pub fn create_dir_all(&self, relative: impl AsRef<Path>) -> io::Result<()> {
        let mut made = PathBuf::new();
        for part in relative.as_ref().components() {
            let Component::Normal(part) = part else { return Err(outside()) };
            made.push(part);
            match self.create_dir(&made) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
                _ => {}
            }
        }
        Ok(())
    }

    /// Makes a new file for reading and writing; fails if the name exists.
    pub fn create_file(&self, relative: impl AsRef<Path>) -> io::Result<File> {
        let (parent, name) = self.parent(relative.as_ref())?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(fs::openat(parent.at(self), name, flags, Mode::from_raw_mode(FILE_MODE))?.into())
    }

    /// Opens a regular file for reading. A FIFO or device never blocks us: it is refused.
    pub fn open_file(&self, relative: impl AsRef<Path>) -> io::Result<File> {
        self.open_regular(relative.as_ref(), OFlags::RDONLY)
    }

    /// Opens a regular file for reading and writing, without truncating it.
    pub fn open_file_rw(&self, relative: impl AsRef<Path>) -> io::Result<File> {
        self.open_regular(relative.as_ref(), OFlags::RDWR)
    }

    /// Opens a regular file for reading and writing, making an empty one where there is none.
    pub fn open_or_create(&self, relative: impl AsRef<Path>) -> io::Result<File> {
        self.made_regular(relative.as_ref(), OFlags::RDWR)
    }

    /// Opens a regular file to which every write goes at the end, whatever others
    /// wrote meanwhile; makes an empty one where there is none.
    pub fn append_file(&self, relative: impl AsRef<Path>) -> io::Result<File> {
        self.made_regular(relative.as_ref(), OFlags::RDWR | OFlags::APPEND)
    }

    fn made_regular(&self, relative: &Path, mode: OFlags) -> io::Result<File> {
        let (parent, name) = self.parent(relative)?;
        let flags = mode | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let handle = fs::openat(parent.at(self), name, flags, Mode::from_raw_mode(FILE_MODE))?;
        regular(handle)
    }

    fn open_regular(&self, relative: &Path, mode: OFlags) -> io::Result<File> {
        let handle = self.beneath(relative, mode | OFlags::NONBLOCK | OFlags::NOCTTY, Mode::empty())?;
        regular(handle)
    }

    /// The whole of a small file; an error beyond `limit` bytes.
    pub fn read(&self, relative: impl AsRef<Path>, limit: u64) -> io::Result<Vec<u8>> {
        use std::io::Read as _;
        let mut bytes = Vec::new();
        self.open_file(relative)?.take(limit + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "file is larger than its bound"));
        }
        Ok(bytes)
    }

    /// Writes a whole file: scratch beside it, sync, rename over, sync the directory.
    pub fn write_atomic(&self, relative: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
        self.write_over(relative.as_ref(), bytes, None)
    }

    /// The same for a file that somebody edits: it keeps its mode and, as far as we may set
    /// them, its owner and group.
    pub fn replace(&self, relative: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
        let like = self.stat(relative.as_ref())?;
        self.write_over(relative.as_ref(), bytes, Some(like))
    }

    fn write_over(&self, relative: &Path, bytes: &[u8], like: Option<Stat>) -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        let mut scratch = relative.as_os_str().to_owned();
        scratch.push(".tmp~");
        let scratch = PathBuf::from(scratch);
        match self.remove_file(&scratch) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = self.create_file(&scratch)?;
        if let Some(like) = like {
            let _ = std::os::unix::fs::fchown(&file, Some(like.st_uid), Some(like.st_gid));
            file.set_permissions(std::fs::Permissions::from_mode(like.st_mode & 0o7777))?;
        }
        file.write_all(bytes)?;
        file.sync_all()?;
        self.rename(&scratch, relative)?;
        self.parent_of(relative)?.sync()
    }

    /// Renames within this root, replacing what stood there.
    pub fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
        self.rename_to(from, self, to)
    }

    /// Renames into another root of the same file system, replacing what stood there.
    pub fn rename_to(&self, from: impl AsRef<Path>, other: &Self, to: impl AsRef<Path>) -> io::Result<()> {
        let (from_parent, from) = self.parent(from.as_ref())?;
        let (to_parent, to) = other.parent(to.as_ref())?;
        Ok(fs::renameat(from_parent.at(self), from, to_parent.at(other), to)?)
    }

    /// Renames within this root; fails with `AlreadyExists` instead of replacing.
    pub fn rename_new(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
        let (from_parent, from) = self.parent(from.as_ref())?;
        let (to_parent, to) = self.parent(to.as_ref())?;
        Ok(fs::renameat_with(from_parent.at(self), from, to_parent.at(self), to, RenameFlags::NOREPLACE)?)
    }

    /// Gives a file a second name in another root (or this one). The two share one
    /// inode: neither may be written to afterwards.
    pub fn link_to(&self, from: impl AsRef<Path>, other: &Self, to: impl AsRef<Path>) -> io::Result<()> {
        let (from_parent, from) = self.parent(from.as_ref())?;
        let (to_parent, to) = other.parent(to.as_ref())?;
        Ok(fs::linkat(from_parent.at(self), from, to_parent.at(other), to, AtFlags::empty())?)
    }

    /// Replaces the symbolic link `name` (one component) by one that leads to
    /// `target`, in a single step that no reader can see half done, and syncs.
    pub fn point(&self, name: &str, target: &Path) -> io::Result<()> {
        let scratch = format!(".{name}.tmp~");
        match fs::unlinkat(&*self.handle, scratch.as_str(), AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(e) => return Err(e.into()),
        }
        fs::symlinkat(target, &*self.handle, scratch.as_str())?;
        fs::renameat(&*self.handle, scratch.as_str(), &*self.handle, name)?;
        self.sync()
    }

    /// Where the symbolic link `name` (one component) leads.
    pub fn pointee(&self, name: &str) -> io::Result<PathBuf> {
        let target = fs::readlinkat(&*self.handle, name, Vec::new())?;
        Ok(PathBuf::from(OsStr::from_bytes(target.as_bytes())))
    }

    /// Removes a file or link.
    pub fn remove_file(&self, relative: impl AsRef<Path>) -> io::Result<()> {
        let (parent, name) = self.parent(relative.as_ref())?;
        Ok(fs::unlinkat(parent.at(self), name, AtFlags::empty())?)
    }

    /// Removes an empty directory.
    pub fn remove_dir(&self, relative: impl AsRef<Path>) -> io::Result<()> {
        let (parent, name) = self.parent(relative.as_ref())?;
        Ok(fs::unlinkat(parent.at(self), name, AtFlags::REMOVEDIR)?)
    }

    /// Removes a file or a directory with all it holds; links are removed, never followed.
    pub fn remove_all(&self, relative: impl AsRef<Path>) -> io::Result<()> {
        let relative = relative.as_ref();
        let is_dir = FileType::from_raw_mode(self.stat(relative)?.st_mode) == FileType::Directory;
        if !is_dir {
            return self.remove_file(relative);
        }
        let sub = self.sub(relative)?;
        for entry in sub.list()? {
            sub.remove_all(&entry.name)?;
        }
        self.remove_dir(relative)
    }

    /// `lstat` of a name; `.` is the directory itself.
    pub fn stat(&self, relative: impl AsRef<Path>) -> io::Result<Stat> {
        let relative = relative.as_ref();
        if relative == Path::new(".") || relative.as_os_str().is_empty() {
            return Ok(fs::fstat(&*self.handle)?);
        }
        let (parent, name) = self.parent(relative)?;
        Ok(fs::statat(parent.at(self), name, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Whether the name exists, whatever it is.
    pub fn exists(&self, relative: impl AsRef<Path>) -> bool {
        self.stat(relative).is_ok()
    }

    /// What lies directly in this directory, in name order.
    pub fn list(&self) -> io::Result<Vec<Listed>> {
        let mut names = Vec::new();
        for entry in fs::Dir::read_from(&*self.handle)? {
            let name = OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned();
            if name == "." || name == ".." {
                continue;
            }
            match fs::statat(&*self.handle, &*name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => names.push(Listed { name, stat }),
                // Gone between the two calls: as if it had never been listed.
                Err(rustix::io::Errno::NOENT) => {}
                Err(e) => return Err(e.into()),
            }
        }
        names.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(names)
    }

    /// Makes the names in this directory durable.
    pub fn sync(&self) -> io::Result<()> {
        Ok(fs::fsync(&*self.handle)?)
    }

    /// Makes the whole file system durable: one call for a tree of many files.
    pub fn sync_filesystem(&self) -> io::Result<()> {
        Ok(fs::syncfs(&*self.handle)?)
    }

    /// How much room is left.
    pub fn space(&self) -> io::Result<Space> {
        let s = fs::fstatvfs(&*self.handle)?;
        Ok(Space {
            total_bytes: s.f_blocks.saturating_mul(s.f_frsize),
            free_bytes: s.f_bavail.saturating_mul(s.f_frsize),
            free_inodes: if s.f_files == 0 { u64::MAX } else { s.f_favail },
        })
    }

    /// The directory that holds `relative`.
    pub fn parent_of(&self, relative: impl AsRef<Path>) -> io::Result<Self> {
        match relative.as_ref().parent() {
            Some(parent) if !parent.as_os_str().is_empty() => self.sub(parent),
            _ => Ok(self.clone()),
        }
    }

    fn beneath(&self, relative: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let relative = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
        Ok(fs::openat2(&*self.handle, relative, flags | OFlags::CLOEXEC, mode, resolve)?)
    }

    fn parent<'a>(&self, relative: &'a Path) -> io::Result<(Parent, &'a OsStr)> {
        let Some(Component::Normal(name)) = relative.components().next_back() else { return Err(outside()) };
        let parent = match relative.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => {
                Parent::Below(self.beneath(parent, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?)
            }
            _ => Parent::Root,
        };
        Ok((parent, name))
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

/// The directory a name lies in: the root itself, or one opened for this call.
enum Parent {
    Root,
    Below(OwnedFd),
}

impl Parent {
    fn at<'a>(&'a self, dir: &'a Dir) -> BorrowedFd<'a> {
        match self {
            Self::Root => dir.handle.as_fd(),
            Self::Below(handle) => handle.as_fd(),
        }
    }
}

fn regular(handle: OwnedFd) -> io::Result<File> {
    if FileType::from_raw_mode(fs::fstat(&handle)?.st_mode) != FileType::RegularFile {
        return Err(io::Error::from_raw_os_error(rustix::io::Errno::INVAL.raw_os_error()));
    }
    Ok(handle.into())
}

/// Makes the bytes and the length of a file durable; its times may be lost. After an
/// error the kernel may have dropped the bytes: never try again on the same file.
pub fn sync_data(file: &File) -> io::Result<()> {
    file.sync_data()
}

/// Makes a file durable with all that is known of it. See [`sync_data`] for errors.
pub fn sync_file(file: &File) -> io::Result<()> {
    file.sync_all()
}

/// Gives a file `bytes` bytes of real room on the disk, not a hole.
pub fn preallocate(file: &mut File, bytes: u64) -> io::Result<()> {
    match fs::fallocate(&*file, fs::FallocateFlags::empty(), 0, bytes) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => fill(file, bytes),
        Err(e) => Err(e.into()),
    }
}

/// Writes bytes that no file system can fold away: a counter run through a mixer.
fn fill(file: &mut File, bytes: u64) -> io::Result<()> {
    let (mut state, mut left) = (0x9e37_79b9_7f4a_7c15_u64, bytes);
    while left > 0 {
        let mut block = Vec::with_capacity(64 * 1024);
        while block.len() < 64 * 1024 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            block.extend_from_slice(&state.to_le_bytes());
        }
        let now = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
        block.truncate(now);
        file.write_all(&block)?;
        left -= now as u64;
    }
    Ok(())
}

fn outside() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "name leads outside the directory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_outside_the_root() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Dir::create(scratch.path().join("root")).unwrap();
        std::fs::write(scratch.path().join("secret"), "x").unwrap();
        std::os::unix::fs::symlink("..", scratch.path().join("root/up")).unwrap();
        std::os::unix::fs::symlink("../secret", scratch.path().join("root/link")).unwrap();
        assert!(root.open_file("../secret").is_err());
        assert!(root.open_file("up/secret").is_err());
        assert!(root.open_file("link").is_err());
        assert!(root.open_file("/etc/passwd").is_err());
        assert!(root.create_file("up/made").is_err());
        assert!(root.rename("link", "../moved").is_err());
    }

    #[test]
    fn a_file_is_replaced_in_one_step() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Dir::create(scratch.path()).unwrap();
        root.create_dir_all("a/b").unwrap();
        root.write_atomic("a/b/f", b"one").unwrap();
        root.write_atomic("a/b/f", b"two").unwrap();
        assert_eq!(root.read("a/b/f", 10).unwrap(), b"two");
        assert!(root.read("a/b/f", 2).is_err());
        assert_eq!(root.sub("a/b").unwrap().list().unwrap().len(), 1);
    }

    #[test]
    fn a_pointer_is_swapped_without_a_gap() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Dir::create(scratch.path()).unwrap();
        root.point("current", Path::new("one")).unwrap();
        root.point("current", Path::new("two")).unwrap();
        assert_eq!(root.pointee("current").unwrap(), Path::new("two"));
    }

    #[test]
    fn preallocated_room_is_real() {
        use std::os::unix::fs::MetadataExt as _;
        let scratch = tempfile::tempdir().unwrap();
        let root = Dir::create(scratch.path()).unwrap();
        for (name, make) in [("a", preallocate as fn(&mut File, u64) -> io::Result<()>), ("b", fill)] {
            let mut file = root.create_file(name).unwrap();
            make(&mut file, 300_000).unwrap();
            file.sync_all().unwrap();
            let stat = file.metadata().unwrap();
            assert_eq!(stat.len(), 300_000);
            assert!(stat.blocks() * 512 >= 300_000, "{name} is a hole");
        }
    }

    #[test]
    fn a_pipe_or_link_is_never_appended_to() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Dir::create(scratch.path()).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", scratch.path().join("link")).unwrap();
        fs::mkfifoat(CWD, scratch.path().join("pipe"), Mode::from_raw_mode(0o600)).unwrap();
        assert!(root.append_file("link").is_err() && root.open_or_create("link").is_err());
        assert!(root.append_file("pipe").is_err() && root.open_or_create("pipe").is_err());
        assert!(root.append_file("new").is_ok() && root.open_or_create("new").is_ok());
    }

    #[test]
    fn removing_a_tree_does_not_follow_links() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Dir::create(scratch.path().join("root")).unwrap();
        std::fs::create_dir(scratch.path().join("kept")).unwrap();
        std::fs::write(scratch.path().join("kept/f"), "x").unwrap();
        root.create_dir_all("t/d").unwrap();
        std::os::unix::fs::symlink("../../kept", scratch.path().join("root/t/l")).unwrap();
        root.remove_all("t").unwrap();
        assert!(!root.exists("t") && scratch.path().join("kept/f").exists());
    }
}
