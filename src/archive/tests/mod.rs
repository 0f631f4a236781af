//! The room from outside: hostile archives made by hand, good ones made by real packers,
//! and every single-bit damage of small ones.

mod build;
mod damage;
mod hostile;
mod packers;

use std::collections::BTreeMap;
use std::io::{self, Write as _};

use super::{Error, Format, Limits, Reason, Refusal, Report, Sink, Stream, read, read_bytes};

/// What a sink was given: directories as `None`, files with their bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Memory {
    entries: BTreeMap<String, Option<Vec<u8>>>,
    open: Option<(String, u64)>,
}

impl Sink for Memory {
    fn dir(&mut self, path: &str) -> io::Result<()> {
        self.entries.entry(path.to_owned()).or_default();
        Ok(())
    }

    fn file(&mut self, path: &str, size: u64, _mtime: i64) -> io::Result<()> {
        assert!(self.open.is_none(), "one file at a time");
        self.open = Some((path.to_owned(), size));
        assert!(self.entries.insert(path.to_owned(), Some(Vec::new())).is_none(), "{path} twice");
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (path, _) = self.open.as_ref().expect("data only inside a file");
        self.entries.get_mut(path).unwrap().as_mut().unwrap().extend_from_slice(bytes);
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        let (path, size) = self.open.take().expect("end only of an open file");
        assert_eq!(self.entries[&path].as_ref().unwrap().len() as u64, size);
        Ok(())
    }
}

impl Memory {
    /// Its files alone: what readers would see.
    fn files(&self) -> BTreeMap<&str, &[u8]> {
        self.entries.iter().filter_map(|(path, bytes)| Some((path.as_str(), bytes.as_deref()?))).collect()
    }
}

type Verdict = Result<(Report, Memory), Refusal>;

fn verdict(result: Result<Report, Error>, memory: Memory) -> Verdict {
    match result {
        Ok(report) => {
            assert_eq!(report.files as usize, memory.files().len());
            Ok((report, memory))
        }
        Err(Error::Refused(refusal)) => Err(refusal),
        Err(other) => panic!("{other:?}"),
    }
}

/// The verdict on bytes in memory.
fn judge(name: &str, bytes: &[u8], limits: &Limits) -> Verdict {
    let mut memory = Memory::default();
    let result = read_bytes(bytes, name, limits, &mut memory);
    verdict(result, memory)
}

/// The verdict of the pushed reader, fed in pieces of `piece` bytes.
fn push(format: Format, bytes: &[u8], piece: usize, limits: &Limits) -> Verdict {
    let mut memory = Memory::default();
    let mut stream = Stream::new(format, limits).unwrap();
    let mut run = || {
        for piece in bytes.chunks(piece) {
            stream.feed(piece, &mut memory)?;
        }
        Ok(())
    };
    let result = match run() {
        Ok(()) => stream.finish(),
        Err(error) => Err(error),
    };
    verdict(result, memory)
}

/// What must hold of every archive: file, memory and pushed pieces give one verdict.
fn agreed(name: &str, bytes: &[u8], limits: &Limits) -> Verdict {
    let judged = judge(name, bytes, limits);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let mut memory = Memory::default();
    let result = read(&file, name, limits, &mut memory);
    assert_eq!(verdict(result, memory), judged, "{name} as a file");
    if let Some(format) = Format::from_name(name).filter(|format| *format != Format::Zip)
        && Format::sniff(bytes) == Some(format)
    {
        for piece in [1, 7, 512, 4099] {
            if piece > 1 || bytes.len() < 1 << 16 {
                assert_eq!(push(format, bytes, piece, limits), judged, "{name} in pieces of {piece}");
            }
        }
    }
    judged
}

fn reason(name: &str, bytes: &[u8]) -> Option<Reason> {
    agreed(name, bytes, &Limits::default()).err().map(|refusal| refusal.reason)
}
