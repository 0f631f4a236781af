//! The order that both sides count by, duplicates, and the check that every name hangs below
//! a listed directory.
//!
//! From protocol 29 on a directory's files come before its directories, and names compare as
//! bytes with a slash behind a directory's. So the order is: directories by their key, and
//! within one first itself, then its files by name. Below 29 whole paths compare as bytes.

use std::cmp::Ordering;
use std::ops::Range;

use super::{CONTENT, DEAD, FileList, Raw, Shape, TOP, Tag};
use crate::rsync::error::Error;
use crate::rsync::options::Options;

/// Sorts a decoded list and settles what depends on the order.
pub(super) fn sort(list: &mut FileList, options: &Options, shape: &Shape) -> Result<(), Error> {
    let ranks = list.names.rank();
    for raw in &mut list.entries {
        raw.dir = ranks.get(raw.dir as usize).copied().unwrap_or_default();
    }
    drop(ranks);
    let mut starts = Vec::new();
    list.order = order(list, &mut starts);
    list.starts = starts;
    duplicates(list);
    rivals(list);
    parents(list, options.relative && shape.protocol < 30)?;
    leaders(list);
    let live = list.entries.iter().filter(|raw| raw.tag == Tag::File && !raw.has(DEAD));
    list.bytes = live.fold(0, |sum: u64, raw| sum.saturating_add(raw.size()));
    Ok(())
}

/// Sorts each directory's share by itself, which halves the comparisons. `starts` says where
/// each share begins in the order.
fn order(list: &FileList, starts: &mut Vec<u32>) -> Vec<u32> {
    if list.plain {
        let mut order: Vec<u32> = (0..list.entries.len() as u32).collect();
        order.sort_by(|a, b| plain(list, at(list, *a), at(list, *b)));
        return order;
    }
    starts.resize(list.names.dirs() + 1, 0);
    for raw in &list.entries {
        if let Some(count) = starts.get_mut(raw.dir as usize + 1) {
            *count += 1;
        }
    }
    let mut sum = 0;
    for start in starts.iter_mut() {
        sum += *start;
        *start = sum;
    }
    let mut order = vec![0; list.entries.len()];
    let mut free = starts.clone();
    for (arrival, raw) in list.entries.iter().enumerate() {
        let Some(next) = free.get_mut(raw.dir as usize) else { continue };
        if let Some(place) = order.get_mut(*next as usize) {
            *place = arrival as u32;
        }
        *next += 1;
    }
    for dir in 0..list.names.dirs() {
        let share = share(starts, dir as u32);
        let names = |a: &u32, b: &u32| list.names.base(at(list, *a)).cmp(list.names.base(at(list, *b)));
        order.get_mut(share).unwrap_or_default().sort_unstable_by(|a, b| names(a, b).then(a.cmp(b)));
    }
    order
}

/// Positions of a directory and what it holds directly.
fn share(starts: &[u32], dir: u32) -> Range<usize> {
    let edge = |at: usize| starts.get(at).copied().unwrap_or_default() as usize;
    edge(dir as usize)..edge(dir as usize + 1)
}

fn at(list: &FileList, arrival: u32) -> &Raw {
    const NONE: &Raw = &Raw {
        secs: 0,
        nanos: 0,
        dir: 0,
        base: 0,
        size_low: 0,
        size_high: 0,
        base_len: 0,
        mode: 0,
        tag: Tag::File,
        bits: DEAD,
    };
    list.entries.get(arrival as usize).unwrap_or(NONE)
}

/// Order of two entries, from 29 on.
fn modern(list: &FileList, a: &Raw, b: &Raw) -> Ordering {
    a.dir.cmp(&b.dir).then_with(|| list.names.base(a).cmp(list.names.base(b)))
}

/// Order of two entries below 29.
fn plain(list: &FileList, a: &Raw, b: &Raw) -> Ordering {
    if a.dir == b.dir && a.tag != Tag::Dir && b.tag != Tag::Dir {
        return list.names.base(a).cmp(list.names.base(b));
    }
    chained(path(list, a), path(list, b))
}

/// The two halves of a path as protocols below 29 compare it.
fn path<'a>(list: &'a FileList, raw: &Raw) -> (&'a [u8], &'a [u8]) {
    let key = list.names.key(raw.dir);
    match (raw.tag, key) {
        (Tag::Dir, b"") => (b".", b""),
        (Tag::Dir, b"/") => (key, b""),
        (Tag::Dir, _) => (key.strip_suffix(b"/").unwrap_or(key), b""),
        _ => (key, list.names.base(raw)),
    }
}

fn chained(a: (&[u8], &[u8]), b: (&[u8], &[u8])) -> Ordering {
    a.0.iter().chain(a.1).cmp(b.0.iter().chain(b.1))
}

/// Marks all but one of the entries of one name dead: a directory stays, else the first.
fn duplicates(list: &mut FileList) {
    let mut kept: Option<u32> = None;
    for position in 0..list.order.len() {
        let Some(arrival) = list.order.get(position).copied() else { break };
        let Some(before) = kept else {
            kept = Some(arrival);
            continue;
        };
        let (a, b) = (at(list, before), at(list, arrival));
        let same = if list.plain { plain(list, a, b) } else { modern(list, a, b) } == Ordering::Equal;
        let dirs = (a.tag == Tag::Dir, b.tag == Tag::Dir);
        let inherited = if dirs == (true, true) { b.bits & (TOP | CONTENT) } else { 0 };
        match (same, dirs) {
            (false, _) => kept = Some(arrival),
            (true, (false, true)) => {
                kill(list, before);
                kept = Some(arrival);
            }
            (true, _) => {
                kill(list, arrival);
                mark(list, before, inherited);
            }
        }
    }
}

/// From 29 on a directory and something else of one name are not neighbours: the directory
/// stays.
fn rivals(list: &mut FileList) {
    let dead: Vec<u32> = (list.order.iter())
        .filter(|arrival| at(list, **arrival).tag == Tag::Dir && !list.plain)
        .filter_map(|arrival| rival(list, list.names.key(at(list, *arrival).dir)))
        .collect();
    for arrival in dead {
        kill(list, arrival);
    }
}

/// What lives under a directory's name without being one.
fn rival(list: &FileList, key: &[u8]) -> Option<u32> {
    let path = key.strip_suffix(b"/").filter(|path| !path.is_empty())?;
    let position = if list.plain {
        search_plain(list, path)?
    } else {
        let (parent, base) = split(path);
        search(list, list.names.find(parent)?, base)?
    };
    let arrival = *list.order.get(position)?;
    let raw = at(list, arrival);
    (raw.tag != Tag::Dir && !raw.has(DEAD)).then_some(arrival)
}

/// A path as its parent's key and its last component.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let slash = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    path.split_at_checked(slash).unwrap_or((&[], path))
}

fn kill(list: &mut FileList, arrival: u32) {
    mark(list, arrival, DEAD);
}

fn mark(list: &mut FileList, arrival: u32, bits: u8) {
    if let Some(raw) = list.entries.get_mut(arrival as usize) {
        raw.bits |= bits;
    }
}

/// Every directory that holds something must be listed itself, or a link listed under its name
/// could lead the rest astray. `unlisted`: below 30 a client with `-R --no-implied-dirs` lists none
/// of them, and does not say so; then nothing else may be listed under their names.
fn parents(list: &FileList, unlisted: bool) -> Result<(), Error> {
    let mut listed = vec![false; list.names.dirs()];
    let live = || list.entries.iter().filter(|raw| !raw.has(DEAD));
    for raw in live().filter(|raw| raw.tag == Tag::Dir) {
        if let Some(known) = listed.get_mut(raw.dir as usize) {
            *known = true;
        }
    }
    if unlisted {
        let missing = (0..).zip(&listed).filter(|(_, known)| !**known);
        let blocked = missing.map(|(rank, _)| list.names.key(rank)).find(|key| rival(list, key).is_some());
        return blocked.map_or(Ok(()), |key| Err(astray(key)));
    }
    let mut checked = None;
    for raw in live().filter(|raw| raw.tag != Tag::Missing) {
        let key = list.names.key(raw.dir);
        let parent = if raw.tag == Tag::Dir { split(key.strip_suffix(b"/").unwrap_or(key)).0 } else { key };
        if matches!(parent, b"" | b"/") || checked == Some(parent) {
            continue;
        }
        let found = list.names.find(parent).and_then(|rank| listed.get(rank as usize));
        if found != Some(&true) {
            return Err(astray(parent));
        }
        checked = Some(parent);
    }
    Ok(())
}

fn astray(key: &[u8]) -> Error {
    let name = String::from_utf8_lossy(key).escape_debug().to_string();
    Error::protocol(format!("entries below '{name}', which is not a listed directory"))
}

/// Turns groups by first arrival into groups by the first index; a group of one is none.
fn leaders(list: &mut FileList) {
    if list.leaders.is_empty() {
        return;
    }
    let mut groups: Vec<(u32, u32)> = vec![(0, 0); list.leaders.len()];
    let indices = (list.order.iter().enumerate())
        .filter(|(_, arrival)| !at(list, **arrival).has(DEAD))
        .map(|(position, arrival)| (if list.by_arrival { *arrival } else { position as u32 }, *arrival));
    for (ndx, arrival) in indices {
        let first = list.leaders.get(arrival as usize).and_then(|first| first.checked_sub(1));
        let Some(group) = first.and_then(|first| groups.get_mut(first as usize)) else { continue };
        if group.0 == 0 {
            group.1 = ndx + 1;
        }
        group.0 += 1;
    }
    for (raw, leader) in list.entries.iter().zip(&mut list.leaders) {
        let group = leader.checked_sub(1).and_then(|first| groups.get(first as usize));
        *leader = match group {
            Some((2.., ndx)) if !raw.has(DEAD) => *ndx,
            _ => 0,
        };
    }
}

/// The sorted position of a live entry of this path.
pub(super) fn find(list: &FileList, path: &[u8]) -> Option<usize> {
    let found = if list.plain { find_plain(list, path) } else { find_modern(list, path) };
    // With -R what began with a slash keeps it in its key.
    found.or_else(|| if list.rooted { find_rooted(list, path) } else { None })
}

fn find_rooted(list: &FileList, path: &[u8]) -> Option<usize> {
    let path = [b"/", path].concat();
    if list.plain { find_plain(list, &path) } else { find_modern(list, &path) }
}

fn find_modern(list: &FileList, path: &[u8]) -> Option<usize> {
    let live =
        |position: &usize| list.order.get(*position).is_some_and(|arrival| !at(list, *arrival).has(DEAD));
    let (parent, base) = split(path);
    let file = list.names.find(parent).and_then(|rank| search(list, rank, base));
    file.filter(live).or_else(|| {
        let key = if matches!(path, b"" | b"/") { path.to_vec() } else { [path, b"/"].concat() };
        search(list, list.names.find(&key)?, b"").filter(live)
    })
}

fn find_plain(list: &FileList, path: &[u8]) -> Option<usize> {
    let first = search_plain(list, if path.is_empty() { b"." } else { path })?;
    survivor(list, first)
}

/// Position of the first entry of a directory's number and a last component.
fn search(list: &FileList, dir: u32, base: &[u8]) -> Option<usize> {
    let share = share(&list.starts, dir);
    let arrivals = list.order.get(share.clone())?;
    let within = arrivals.partition_point(|arrival| list.names.base(at(list, *arrival)) < base);
    let found = arrivals.get(within)?;
    (list.names.base(at(list, *found)) == base).then_some(share.start + within)
}

/// The same below 29.
fn search_plain(list: &FileList, wanted: &[u8]) -> Option<usize> {
    let order = |arrival: &u32| chained(path(list, at(list, *arrival)), (wanted, b""));
    let position = list.order.partition_point(|arrival| order(arrival) == Ordering::Less);
    let same = list.order.get(position).is_some_and(|arrival| order(arrival) == Ordering::Equal);
    same.then_some(position)
}

/// Of several entries of one name below 29, the one that lives.
fn survivor(list: &FileList, first: usize) -> Option<usize> {
    let twin = |position: usize| list.order.get(position).map(|arrival| at(list, *arrival));
    let name = twin(first)?;
    let same = |raw: &&Raw| plain(list, name, raw) == Ordering::Equal;
    (first..)
        .map_while(|position| Some((position, twin(position).filter(same)?)))
        .find(|(_, raw)| !raw.has(DEAD))
        .map(|(position, _)| position)
}
