//! Damage: what each fault does to the files, the container and its bytes.

use std::sync::Arc;

use super::build::{File, Origin, Role};
use super::container::{self, Built, Ending, Entry, Kind, Packed};
use super::deflate::Effort;
use super::fault::{Fault, Hostile, hostile};
use super::manifest::Class;
use super::objects;
use super::profile::Container;
use crate::model::Digest;

/// Changes the list of files, before anything is packed.
pub(super) fn files(files: &mut Vec<File>, fault: Fault, render: &dyn Fn(&File) -> Arc<[u8]>) {
    match fault {
        Fault::NoIndex => files.retain(|file| file.path != "index.html"),
        Fault::IndexWithoutBase => edit(files, "index.html", render, |page| {
            let text = String::from_utf8_lossy(page);
            let lines = text.split_inclusive('\n').filter(|line| !line.starts_with("<base"));
            lines.collect::<String>().into_bytes()
        }),
        Fault::BadJson => {
            edit_json(files, render, |json| json.get(..json.len() / 2).unwrap_or_default().to_vec())
        }
        Fault::GzInJson => edit_json(files, render, container::gzip),
        Fault::Legit52 => {
            add(files, "assets/api/actas_sin_capturar.json", objects::untouched_actas().as_bytes(), DATA);
        }
        Fault::NfdNames => add(files, "assets/img/nin\u{303}o.txt", b"simulado\n", DATA),
        Fault::CaseTwins => add(files, "INDEX.html", b"<!doctype html><title>otro</title>\n", DATA),
        Fault::DsStore => {
            for n in 0..11 {
                let folder = if n == 0 { "assets".to_owned() } else { format!("assets/carpeta_{n:02}") };
                add(files, &format!("{folder}/.DS_Store"), b"\0\0\0\x01Bud1", Role::Junk);
            }
            add(files, "__MACOSX/._index.html", b"\0\x05\x16\x07", Role::Junk);
        }
        _ => {}
    }
}

const DATA: Role = Role::Shown(Class::Data);

fn add(files: &mut Vec<File>, path: &str, bytes: &[u8], role: Role) {
    // A template may ship the same junk already.
    if files.iter().all(|file| file.path != path) {
        files.push(File { path: path.to_owned(), origin: Origin::Bytes(bytes.into()), role });
    }
}

fn edit(
    files: &mut [File],
    path: &str,
    render: &dyn Fn(&File) -> Arc<[u8]>,
    change: impl Fn(&[u8]) -> Vec<u8>,
) {
    for file in files.iter_mut().filter(|file| file.path == path) {
        file.origin = Origin::Bytes(change(&render(file)).into());
    }
}

/// Edits one JSON of the data that is not the one with the hour.
fn edit_json(files: &mut [File], render: &dyn Fn(&File) -> Arc<[u8]>, change: impl Fn(&[u8]) -> Vec<u8>) {
    let is_json =
        |path: &&String| path.ends_with("entidad.json") || path.ends_with("estadisticaNacional.json");
    let path = files.iter().map(|file| &file.path).find(is_json).cloned();
    if let Some(path) = path {
        edit(files, &path, render, change);
    }
}

/// Packs the entries, and breaks what shall be broken.
pub(super) fn pack(
    mut entries: Vec<Entry>,
    container: Container,
    offset_seconds: i32,
    faults: &[Fault],
) -> Vec<u8> {
    let mut wrong_crc = None;
    let mut ending = Ending::Whole;
    for fault in faults {
        match fault {
            Fault::Empty => entries.retain(|entry| entry.kind == Kind::Dir && entry.name == b"./"),
            Fault::Traversal(kind) => entries.push(hostile_entry(*kind)),
            Fault::DupEntry => duplicate(&mut entries),
            Fault::BombEntries => {
                entries.extend((0..BOMB_ENTRIES).map(|n| small(&format!("zz-bomba/{n:06}.txt"), b"")))
            }
            Fault::BombSize => {
                let body = Arc::new(Packed::zeros(BOMB_FILE_MEBIBYTES));
                let bomb = |n| Entry { body: Arc::clone(&body), ..small(&format!("zz-bomba/{n}.json"), b"") };
                entries.extend((0..BOMB_FILES).map(bomb));
            }
            Fault::Cp437Names => entries.iter_mut().for_each(|entry| entry.name = cp437(&entry.name)),
            Fault::CrcZip => wrong_crc = entries.iter().position(|entry| entry.body.len > 0),
            Fault::TruncateTar => ending = Ending::Torn,
            _ => {}
        }
    }
    let Built { mut bytes, bodies } = match container {
        Container::Zip => container::zip(&entries, offset_seconds, wrong_crc),
        Container::TarGz | Container::Tree => container::tar_gz(&entries, ending),
    };
    for fault in faults {
        match fault {
            Fault::TruncateGz => bytes.truncate(bytes.len() / 5 * 3),
            Fault::HtmlErrorPage => bytes = ERROR_PAGE.to_vec(),
            Fault::BitFlip => {
                // In a stored block: it still unpacks, only the checksum can tell.
                let stored =
                    |entry: &Entry| entry.body.len > 1000 && entry.body.packed_len() as u64 > entry.body.len;
                let place = entries
                    .iter()
                    .zip(&bodies)
                    .find(|(entry, _)| stored(entry))
                    .map(|(_, at)| at.start + 500);
                bytes.iter_mut().skip(place.unwrap_or(0)).take(1).for_each(|byte| *byte ^= 0x10);
            }
            _ => {}
        }
    }
    bytes
}

fn hostile_entry(kind: u8) -> Entry {
    let (name, kind) = match hostile(kind).0 {
        Hostile::Name(name) => (name, Kind::File),
        Hostile::Symlink(name, to) => (name, Kind::Symlink(to)),
        Hostile::Hardlink(name, to) => (name, Kind::Hardlink(to)),
        Hostile::Fifo(name) => (name, Kind::Fifo),
    };
    let body: &[u8] = if kind == Kind::File { b"fuera del sitio\n" } else { b"" };
    Entry { kind, ..small(name, body) }
}

fn duplicate(entries: &mut Vec<Entry>) {
    let index =
        entries.iter().find(|entry| entry.name.ends_with(b"index.html")).map(|entry| entry.name.clone());
    if let Some(name) = index {
        entries.push(Entry { name, ..small("", b"<!doctype html><base href=\"/\"><title>otra</title>\n") });
    }
}

fn small(name: &str, body: &[u8]) -> Entry {
    let body = Arc::new(Packed::new(body, Effort::Match));
    Entry { name: name.as_bytes().to_vec(), kind: Kind::File, mtime: 0, body }
}

/// A name in code page 437, as far as Spanish needs it.
fn cp437(name: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(name);
    let byte = |c: char| match c {
        '\u{f1}' => 0xa4,
        '\u{d1}' => 0xa5,
        '\u{e1}' => 0xa0,
        '\u{e9}' => 0x82,
        '\u{ed}' => 0xa1,
        '\u{f3}' => 0xa2,
        '\u{fa}' => 0xa3,
        _ if c.is_ascii() => c as u8,
        _ => b'?',
    };
    text.chars().map(byte).collect()
}

/// The sums that go beside a package.
pub(super) fn sidecars(name: &str, mut faults: impl Iterator<Item = Fault>) -> Vec<(String, Vec<u8>)> {
    if !faults.any(|fault| fault == Fault::WrongSidecar) {
        return Vec::new();
    }
    let line = format!("{}  {name}\n", Digest::of(b"otro paquete"));
    vec![(format!("{name}.sha256"), line.into_bytes())]
}

const BOMB_ENTRIES: u32 = 60_000;
/// 9 × 128 MiB: each file below the usual bound of a file, all above that of a package.
const BOMB_FILES: u32 = 9;
const BOMB_FILE_MEBIBYTES: u32 = 128;
const ERROR_PAGE: &[u8] = b"<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head>\n\
<body><center><h1>502 Bad Gateway</h1></center><hr><center>nginx</center></body></html>\n";
