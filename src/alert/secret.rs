//! Secrets that a configuration names and never holds.

use std::io::{self, Read as _};
use std::path::PathBuf;

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// In a file.
    File(PathBuf),
    /// Handed over by systemd (`LoadCredential=`).
    Credential(String),
    /// In a variable of the environment.
    Env(String),
}

/// A password or key; no more is read.
const SECRET_BYTES_MAX: u64 = 4096;

impl Secret {
    /// Reads it, without the line end behind it. Read at each use, so that a new one holds at once.
    pub fn read(&self) -> io::Result<String> {
        let path = match self {
            Self::File(path) => path.clone(),
            Self::Credential(name) => {
                let folder = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| {
                    io::Error::new(io::ErrorKind::NotFound, "CREDENTIALS_DIRECTORY is not set")
                })?;
                PathBuf::from(folder).join(name)
            }
            Self::Env(name) => {
                return std::env::var(name)
                    .map_err(|_| io::Error::new(io::ErrorKind::NotFound, format!("{name} is not set")));
            }
        };
        let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
        let mut text = String::new();
        let file = std::fs::File::open(&path).map_err(named)?;
        file.take(SECRET_BYTES_MAX).read_to_string(&mut text).map_err(named)?;
        Ok(text.trim_end_matches(['\r', '\n']).to_owned())
    }
}
