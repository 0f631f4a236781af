//! Trees to push, the changes between the first and the second push, and snapshots to compare.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

/// First instant of the made-up night; every file's time is this plus seconds that say which push.
const NIGHT: u64 = 1_780_000_000;

/// What is pushed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flavour {
    /// A results site: pages, many small files, two large ones, an empty one, directories.
    Site,
    /// Names that break scripts.
    Names,
    /// Symbolic links that stay inside, and hard links.
    Links,
    /// Modes, extended attributes, a FIFO.
    Attributes,
    /// Files that become directories and the reverse.
    Types,
    /// Nothing but the root.
    Empty,
    /// Only directories.
    Hollow,
    /// More files than one write of a list holds.
    Many,
    /// Names in Latin-1, for --iconv.
    Latin,
}

/// Bytes that do not compress to nothing and differ per seed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // Half the bytes are text-like, so that compression has something to find.
        let word = if state & 1 == 0 { state } else { state & 0x0707_0707_0707_0707 | 0x6060_6060_6060_6060 };
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

fn at(seconds: u64) -> Timestamps {
    let time = Timespec { tv_sec: (NIGHT + seconds).cast_signed(), tv_nsec: 123_456_000 };
    Timestamps { last_access: time, last_modification: time }
}

/// Sets the time of a path itself, links included.
pub fn date(path: &Path, seconds: u64) {
    utimensat(CWD, path, &at(seconds), AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// Writes a file and its directories, dated.
pub fn file(path: PathBuf, bytes: &[u8], seconds: u64) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    date(&path, seconds);
}

/// Directories last and deepest first: writing into them moves their time.
fn date_directories(root: &Path, seconds: u64) {
    for entry in fs::read_dir(root).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            date_directories(&entry.path(), seconds);
        }
    }
    date(root, seconds);
}

/// Builds the tree of the first push.
pub fn first(root: &Path, flavour: Flavour) {
    fs::create_dir_all(root).unwrap();
    match flavour {
        Flavour::Site => site(root),
        Flavour::Names => names(root, 0),
        Flavour::Links => links(root),
        Flavour::Attributes => attributes(root),
        Flavour::Types => {
            file(root.join("was_file"), b"file", 1);
            file(root.join("was_dir/inside"), b"inside", 1);
            fs::create_dir(root.join("was_empty_dir")).unwrap();
            symlink("was_file", root.join("was_link")).unwrap();
            date(&root.join("was_link"), 1);
        }
        Flavour::Empty => {}
        Flavour::Hollow => fs::create_dir_all(root.join("a/b/c")).unwrap(),
        Flavour::Many => many(root),
        Flavour::Latin => {
            file(root.join(OsStr::from_bytes(b"caf\xe9/a\xf1o.txt")), b"latin", 1);
            file(root.join(OsStr::from_bytes(b"zeta\xe9")), b"latin", 1);
            file(root.join("plain"), b"ascii", 1);
        }
    }
    date_directories(root, 5);
}

fn site(root: &Path) {
    file(root.join("index.html"), &noise(1, 3000), 1);
    file(root.join("css/main.css"), &noise(2, 9000), 1);
    file(root.join("js/app.js"), &noise(3, 5000), 1);
    file(root.join("big.bin"), &noise(4, 300_000), 1);
    file(root.join("huge.bin"), &noise(5, 700_001), 1);
    file(root.join("empty.txt"), b"", 1);
    file(root.join("one_byte"), b"1", 1);
    for n in 1..=20u64 {
        file(root.join(format!("data/r{n:04}.json")), &noise(100 + n, 200 + 37 * n as usize), n % 3);
    }
    file(root.join("data/deep/a/b/c/d/e/f/g/file.txt"), b"deep", 1);
    file(root.join("cache/x.tmp"), b"temporary", 1);
    file(root.join("notes.tmp"), b"notes", 1);
    file(root.join("page.bak"), b"old page", 1);
    file(root.join("run.log"), b"log", 1);
    file(root.join("keep/a.tmp"), b"a", 1);
    file(root.join("keep/b.txt"), b"b", 1);
    file(root.join("old_dir/sub/gone.txt"), b"gone", 1);
    file(root.join("foo.d/x"), b"sorts before foo/", 1);
    file(root.join("foo/x"), b"sorts after foo.d/", 1);
    file(root.join("foo-bar"), b"a file between", 1);
    file(root.join(".cvsignore"), b"*.log\n", 1);
    file(root.join(".rsync-filter"), b"- *.bak\n", 1);
    fs::create_dir(root.join("empty_dir")).unwrap();
}

fn names(root: &Path, push: u64) {
    let long = [b'n'; 255];
    let plain: [&[u8]; 18] = [
        b"with space",
        b" leading and trailing ",
        b"new\nline",
        b"carriage\rreturn",
        b"tab\there",
        b"not utf-8 \xff\xfe\x80",
        b"-dash",
        b"--delete",
        b"quote'\"`$HOME",
        b"back\\slash",
        b"star*?[a]{b}",
        b"caf\xc3\xa9",
        b"cafe\xcc\x81",
        b"#hash#",
        b"semi;colon&|<>",
        b"dot.",
        b"..twodots",
        b"esc\x1b[31m",
    ];
    for (n, name) in plain.iter().enumerate() {
        let bytes = noise(n as u64 + push * 50, 100 + n * 300);
        file(root.join(OsStr::from_bytes(name)), &bytes, 1 + push);
    }
    file(root.join(OsStr::from_bytes(&long)), b"255 bytes of name", 1 + push);
    let nested = (0..40).fold(root.to_owned(), |dir, n| dir.join(format!("level {n}")));
    file(nested.join("bottom"), &noise(9 + push, 900), 1 + push);
    let wide = root.join(OsStr::from_bytes(&long[..200])).join(OsStr::from_bytes(&long[..200]));
    file(wide.join("leaf"), &noise(10 + push, 700), 1 + push);
}

fn links(root: &Path) {
    file(root.join("a/target.txt"), b"target", 1);
    file(root.join("b/other.txt"), b"other", 1);
    for (name, target) in
        [("here", "a/target.txt"), ("a/up", "../b/other.txt"), ("dir_link", "a"), ("dangling", "a/nothing")]
    {
        symlink(target, root.join(name)).unwrap();
        date(&root.join(name), 1);
    }
    file(root.join("h/one"), &noise(20, 4000), 1);
    fs::hard_link(root.join("h/one"), root.join("h/two")).unwrap();
    fs::hard_link(root.join("h/one"), root.join("a/three")).unwrap();
    file(root.join("h/empty1"), b"", 1);
    fs::hard_link(root.join("h/empty1"), root.join("h/empty2")).unwrap();
}

fn many(root: &Path) {
    for n in 0..1500u32 {
        file(root.join(format!("{:02}/page {n}.html", n % 30)), format!("page {n}").as_bytes(), 1);
    }
}

fn attributes(root: &Path) {
    for mode in [0o600, 0o644, 0o755, 0o4755, 0o666, 0o444] {
        let path = root.join(format!("mode{mode:o}"));
        file(path.clone(), format!("{mode:o}").as_bytes(), 1);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    file(root.join("private/x"), b"x", 1);
    fs::set_permissions(root.join("private"), fs::Permissions::from_mode(0o700)).unwrap();
    file(root.join("with_xattr"), b"x", 1);
    let none = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(root.join("with_xattr"), "user.short", b"value", none).unwrap();
    rustix::fs::setxattr(root.join("with_xattr"), "user.long", &[7; 300], none).unwrap();
    rustix::fs::setxattr(root.join("private"), "user.dir", b"on a directory", none).unwrap();
    date(&root.join("with_xattr"), 1);
    let mode = rustix::fs::Mode::from_raw_mode(0o644);
    rustix::fs::mknodat(CWD, root.join("fifo"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    date(&root.join("fifo"), 1);
}

/// Changes the source between the pushes.
pub fn second(root: &Path, flavour: Flavour) {
    match flavour {
        Flavour::Site => site_changed(root),
        Flavour::Names => {
            fs::remove_file(root.join("-dash")).unwrap();
            names(root, 1);
            fs::remove_file(root.join("with space")).unwrap();
        }
        Flavour::Links => {
            fs::remove_file(root.join("here")).unwrap();
            symlink("b/other.txt", root.join("here")).unwrap();
            date(&root.join("here"), 10);
            fs::remove_file(root.join("h/two")).unwrap();
            file(root.join("h/two"), &noise(21, 4000), 10);
            fs::hard_link(root.join("h/one"), root.join("h/four")).unwrap();
        }
        Flavour::Attributes => {
            file(root.join("mode755"), b"changed", 10);
            fs::set_permissions(root.join("mode644"), fs::Permissions::from_mode(0o600)).unwrap();
        }
        Flavour::Types => {
            fs::remove_file(root.join("was_file")).unwrap();
            file(root.join("was_file/now/deep"), b"deep", 10);
            fs::remove_dir_all(root.join("was_dir")).unwrap();
            file(root.join("was_dir"), b"now a file", 10);
            fs::remove_dir(root.join("was_empty_dir")).unwrap();
            symlink("was_dir", root.join("was_empty_dir")).unwrap();
            date(&root.join("was_empty_dir"), 10);
            fs::remove_file(root.join("was_link")).unwrap();
            file(root.join("was_link"), b"now a file", 10);
        }
        Flavour::Empty => {}
        Flavour::Hollow => {
            fs::remove_dir(root.join("a/b/c")).unwrap();
            fs::create_dir(root.join("a/d")).unwrap();
        }
        Flavour::Many => {
            for n in (0..1500).step_by(13) {
                file(
                    root.join(format!("{:02}/page {n}.html", n % 30)),
                    format!("changed {n}").as_bytes(),
                    10,
                );
            }
            fs::remove_dir_all(root.join("07")).unwrap();
        }
        Flavour::Latin => {
            file(root.join(OsStr::from_bytes(b"caf\xe9/a\xf1o.txt")), b"changed", 10);
            fs::remove_file(root.join(OsStr::from_bytes(b"zeta\xe9"))).unwrap();
        }
    }
    date_directories(root, 15);
}

fn site_changed(root: &Path) {
    let change = |name: &str, bytes: &[u8]| {
        if root.join(name).exists() {
            file(root.join(name), bytes, 10);
        }
    };
    let mut big = noise(4, 300_000);
    big.splice(150_000..150_100, noise(44, 110));
    big[7] ^= 0xff;
    let mut huge = noise(5, 700_001);
    huge.extend(noise(55, 5_000));
    change("index.html", &noise(1, 3000).iter().copied().chain(noise(11, 400)).collect::<Vec<u8>>());
    change("css/main.css", &noise(2, 9000)[..4000]);
    change("js/app.js", &noise(33, 5000));
    change("big.bin", &big);
    change("huge.bin", &huge);
    change("empty.txt", b"no longer empty");
    change("one_byte", b"");
    if root.join("data/r0005.json").exists() {
        date(&root.join("data/r0005.json"), 10);
    }
    let _ = fs::remove_file(root.join("data/r0003.json"));
    let _ = fs::remove_dir_all(root.join("old_dir"));
    file(root.join("data/r0021.json"), &noise(121, 900), 10);
    file(root.join("new_dir/page.html"), &noise(122, 900), 10);
    file(root.join("data/deep/a/new.txt"), b"new", 10);
}

/// Changes the destination between the pushes, as somebody with a shell there might.
pub fn disturb(root: &Path) {
    if !root.join("data").is_dir() {
        return;
    }
    for name in ["extra.txt", "extra.tmp", "data/extra.json", "data/extra_dir/sub/x", "data/x.tmp"] {
        file(root.join(name), b"only here", 3);
    }
    fs::create_dir_all(root.join("extra_empty")).unwrap();
    for kept in ["keep/mine.tmp", "cache/junk.tmp"] {
        if root.join(kept).parent().unwrap().is_dir() {
            file(root.join(kept), b"only here", 3);
        }
    }
    let there = |name: &str| root.join(name).exists();
    if there("data/r0007.json") {
        file(root.join("data/r0007.json"), b"newer at the destination", 20);
    }
    if there("data/r0008.json") {
        let len = fs::metadata(root.join("data/r0008.json")).unwrap().len() as usize;
        file(root.join("data/r0008.json"), &noise(999, len), 8 % 3);
    }
    if there("data/r0009.json") {
        let bytes = fs::read(root.join("data/r0009.json")).unwrap();
        file(root.join("data/r0009.json"), &bytes[..bytes.len() / 2], 2);
    }
    date_directories(root, 7);
}

/// One path of a snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    pub what: What,
    pub mtime: (i64, i64),
    pub mode: u32,
    /// First path, in order, of the inode's other names; itself when it has none.
    pub leader: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq)]
pub enum What {
    File(Vec<u8>),
    Dir,
    Link(Vec<u8>),
    Other,
}

impl std::fmt::Debug for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(bytes) => write!(f, "file of {} bytes ({:08x})", bytes.len(), sum(bytes)),
            Self::Dir => f.write_str("directory"),
            Self::Link(target) => write!(f, "link to {}", target.escape_ascii()),
            Self::Other => f.write_str("special"),
        }
    }
}

fn sum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(5381, |sum: u32, byte| sum.wrapping_mul(33) ^ u32::from(*byte))
}

pub type Snapshot = BTreeMap<Vec<u8>, Node>;

/// Everything below `root`, by path relative to it; the root itself is ".". Empty if it is not there.
pub fn snapshot(root: &Path) -> Snapshot {
    let mut nodes = Snapshot::new();
    let mut inodes = BTreeMap::new();
    if fs::symlink_metadata(root).is_ok() {
        walk(root, b".", &mut nodes, &mut inodes);
    }
    for (path, (ino, _)) in &inodes {
        let mut names: Vec<&Vec<u8>> =
            inodes.iter().filter(|(_, other)| other.0 == *ino).map(|(name, _)| name).collect();
        names.sort();
        nodes.get_mut(path).unwrap().leader.clone_from(names[0]);
    }
    nodes
}

fn walk(path: &Path, name: &[u8], nodes: &mut Snapshot, inodes: &mut BTreeMap<Vec<u8>, (u64, u64)>) {
    let meta = fs::symlink_metadata(path).unwrap();
    let kind = meta.file_type();
    let what = if kind.is_dir() {
        What::Dir
    } else if kind.is_symlink() {
        What::Link(fs::read_link(path).unwrap().into_os_string().into_vec())
    } else if kind.is_fifo() || kind.is_socket() || kind.is_char_device() || kind.is_block_device() {
        What::Other
    } else {
        What::File(fs::read(path).unwrap())
    };
    if kind.is_file() && meta.nlink() > 1 {
        inodes.insert(name.to_vec(), (meta.ino(), meta.nlink()));
    }
    let node = Node {
        what,
        mtime: (meta.mtime(), meta.mtime_nsec()),
        mode: meta.mode() & 0o7777,
        leader: name.to_vec(),
    };
    nodes.insert(name.to_vec(), node);
    if !kind.is_dir() {
        return;
    }
    for entry in fs::read_dir(path).unwrap().map(Result::unwrap) {
        let below = entry.file_name();
        let below =
            if name == b"." { below.as_bytes().to_vec() } else { [name, b"/", below.as_bytes()].concat() };
        walk(&entry.path(), &below, nodes, inodes);
    }
}

/// Whether a time was given by this room, whole seconds included, rather than by the clock.
pub fn of_the_night(mtime: (i64, i64)) -> bool {
    (NIGHT.cast_signed()..=NIGHT.cast_signed() + 60).contains(&mtime.0)
}
