//! Packages of our own generator, most of them small.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use serde_json::Value;

use crate::night::{DIFUSOR, shown};

/// Packages, cut by cut.
pub struct Cuts {
    dir: tempfile::TempDir,
}

impl Cuts {
    /// Cuts `0..=last`, all good.
    pub fn good(last: u32) -> Self {
        Self::with(&format!("0..{last}"), &[])
    }

    /// A range with further options of `simulate packages`.
    pub fn with(range: &str, options: &[&str]) -> Self {
        Self::try_with(range, options).unwrap()
    }

    /// The same; `None` where the generator says that the options do not go together.
    pub fn try_with(range: &str, options: &[&str]) -> Option<Self> {
        Self::made("mini", range, options)
    }

    /// Packages of another profile, which may be as large as an institute's.
    pub fn of(profile: &str, range: &str, options: &[&str]) -> Self {
        Self::made(profile, range, options).unwrap()
    }

    fn made(profile: &str, range: &str, options: &[&str]) -> Option<Self> {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _guard = ONE_AT_A_TIME.lock();
        let dir = tempfile::tempdir().unwrap();
        let made = Command::new(DIFUSOR)
            .args(["simulate", "packages", "--profile", profile, "--seed", "7", "--cuts", range])
            .args(options)
            .arg("--out")
            .arg(dir.path())
            .output()
            .unwrap();
        assert!(matches!(made.status.code(), Some(0 | 2)), "{}", shown(&made));
        made.status.success().then_some(Self { dir })
    }

    /// The folder that holds them all.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Sums that lie beside the archive of a cut.
    pub fn sidecars(&self, n: u32) -> Vec<PathBuf> {
        let folder = self.dir.path().join(format!("cut_{n:03}"));
        let files = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
        files.filter(|p| *p != self.path(n)).collect()
    }

    /// The archive of a cut.
    pub fn path(&self, n: u32) -> PathBuf {
        let folder = self.dir.path().join(format!("cut_{n:03}"));
        let files = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path());
        let is_archive = |p: &PathBuf| [".tar.gz", ".zip"].iter().any(|s| p.to_string_lossy().ends_with(s));
        files.into_iter().find(is_archive).unwrap()
    }

    /// Its name.
    pub fn name(&self, n: u32) -> String {
        self.path(n).file_name().unwrap().to_str().unwrap().to_owned()
    }

    /// Its bytes.
    pub fn bytes(&self, n: u32) -> Vec<u8> {
        std::fs::read(self.path(n)).unwrap()
    }

    /// The generator's manifest of a cut.
    pub fn manifest(&self, n: u32) -> Value {
        let file = self.dir.path().join(format!("cut_{n:03}.manifest.json"));
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
    }

    /// A cut unpacked by GNU tar into a new folder.
    pub fn unpacked(&self, n: u32) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        unpack(&self.path(n), dir.path());
        dir
    }
}

/// GNU tar's own idea of what is in a package.
pub fn unpack(package: &Path, into: &Path) {
    let done = Command::new("tar").arg("xzf").arg(package).arg("-C").arg(into).output().unwrap();
    assert!(done.status.success(), "{}", shown(&done));
}

/// Every regular file below a folder that is published (junk and dotfiles are left out): path relative to it → SHA-256.
pub fn tree(dir: &Path) -> std::collections::BTreeMap<String, String> {
    let mut found = std::collections::BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(folder) = left.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_str().unwrap().starts_with('.') {
                continue;
            }
            if path.is_dir() {
                left.push(path);
            } else {
                let name = path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
                found.insert(name, crate::night::sha256(&path));
            }
        }
    }
    found
}
