//! The order that both sides count by, duplicates, and the check that every name hangs below
//! a listed directory.
//!
//! From protocol 29 on a directory's files come before its directories, and names compare as
//! bytes with a slash behind a directory's. So the order is: directories by their key, and
//! within one first itself, then its files by name. Below 29 whole paths compare as bytes.

use std::cmp::Ordering;
use std::ops::Range;

use super::record::{CONTENT, DEAD, TOP, Tag};
use super::{FileList, Shape};
use crate::rsync::error::Error;
use crate::rsync::options::Options;

/// Sorts a decoded list and settles what depends on the order.
pub(super) fn sort(list: &mut FileList, options: &Options, shape: &Shape) -> Result<(), Error> {
    list.names.rank();
    let by_arrival = list.by_arrival || list.sum_len > 0 || !list.leaders.is_empty();
    list.order = if by_arrival { list.arrivals.clone() } else { std::mem::take(&mut list.arrivals) };
    order(list);
    duplicates(list);
    rivals(list);
    parents(list, options.relative && shape.protocol < 30)?;
    leaders(list);
    let live = list.order.iter().map(|at| list.records.get(*at));
    let files = live.filter(|raw| raw.tag == Tag::File && !raw.has(DEAD));
    list.bytes = files.fold(0, |sum: u64, raw| sum.saturating_add(raw.size));
    Ok(())
}

/// Sorts each directory's share by itself, which halves the comparisons; of one name what came
/// first stays first.
fn order(list: &mut FileList) {
    let mut order = std::mem::take(&mut list.order);
    if list.plain {
        order.sort_unstable_by(|a, b| plain(list, *a, *b).then(a.cmp(b)));
        list.order = order;
        return;
    }
    let rank = |at: u32| list.names.rank_of(list.records.dir(at)) as usize;
    let mut starts = vec![0_u32; list.names.dirs() + 1];
    for at in &order {
        if let Some(count) = starts.get_mut(rank(*at) + 1) {
            *count += 1;
        }
    }
    let mut sum = 0;
    for start in &mut starts {
        sum += *start;
        *start = sum;
    }
    group(&mut order, &starts, rank);
    for dir in 0..list.names.dirs() {
        let share = order.get_mut(share(&starts, dir)).unwrap_or_default();
        let base = |at: &u32| list.records.base(*at);
        share.sort_unstable_by(|a, b| base(a).cmp(base(b)).then(a.cmp(b)));
    }
    (list.order, list.starts) = (order, starts);
}

/// Brings each record into the share of its directory, in place: whatever stands where it does not
/// belong goes to the next free place of its own share.
fn group(order: &mut [u32], starts: &[u32], rank: impl Fn(u32) -> usize) {
    let mut free = starts.to_vec();
    for dir in 0..starts.len().saturating_sub(1) {
        loop {
            let here = free.get(dir).copied().unwrap_or_default() as usize;
            if here >= share(starts, dir).end {
                break;
            }
            let Some(belongs) = order.get(here).map(|at| rank(*at)) else { break };
            let Some(next) = free.get_mut(belongs) else { break };
            if belongs != dir {
                order.swap(here, *next as usize);
            }
            *next += 1;
        }
    }
}

/// Positions of a directory and what it holds directly, by the directory's rank.
fn share(starts: &[u32], rank: usize) -> Range<usize> {
    let edge = |at: usize| starts.get(at).copied().unwrap_or_default() as usize;
    edge(rank)..edge(rank + 1)
}

/// Whether two records have one name, from 29 on.
fn same(list: &FileList, a: u32, b: u32) -> bool {
    list.records.dir(a) == list.records.dir(b) && list.records.base(a) == list.records.base(b)
}

/// Order of two records below 29.
fn plain(list: &FileList, a: u32, b: u32) -> Ordering {
    let files = |at| list.records.marks(at).0 != Tag::Dir;
    if files(a) && files(b) && list.records.dir(a) == list.records.dir(b) {
        return list.records.base(a).cmp(list.records.base(b));
    }
    chained(path(list, a), path(list, b))
}

/// The two halves of a path as protocols below 29 compare it.
fn path(list: &FileList, at: u32) -> (&[u8], &[u8]) {
    let key = list.names.key(list.records.dir(at));
    match (list.records.marks(at).0, key) {
        (Tag::Dir, b"") => (b".", b""),
        (Tag::Dir, b"/") => (key, b""),
        (Tag::Dir, _) => (key.strip_suffix(b"/").unwrap_or(key), b""),
        _ => (key, list.records.base(at)),
    }
}

fn chained(a: (&[u8], &[u8]), b: (&[u8], &[u8])) -> Ordering {
    a.0.iter().chain(a.1).cmp(b.0.iter().chain(b.1))
}

/// Marks all but one of the entries of one name dead: a directory stays, else the first.
fn duplicates(list: &mut FileList) {
    let mut kept: Option<u32> = None;
    for position in 0..list.order.len() {
        let Some(at) = list.order.get(position).copied() else { break };
        let Some(before) = kept else {
            kept = Some(at);
            continue;
        };
        let same =
            if list.plain { plain(list, before, at) == Ordering::Equal } else { same(list, before, at) };
        let ((a, _), (b, bits)) = (list.records.marks(before), list.records.marks(at));
        match (same, (a == Tag::Dir, b == Tag::Dir)) {
            (false, _) => kept = Some(at),
            (true, (false, true)) => {
                list.records.mark(before, DEAD);
                kept = Some(at);
            }
            (true, dirs) => {
                list.records.mark(at, DEAD);
                if dirs == (true, true) {
                    list.records.mark(before, bits & (TOP | CONTENT));
                }
            }
        }
    }
}

/// From 29 on a directory and something else of one name are not neighbours: the directory
/// stays.
fn rivals(list: &mut FileList) {
    let dead: Vec<u32> = (list.order.iter())
        .filter(|at| !list.plain && list.records.marks(**at).0 == Tag::Dir)
        .filter_map(|at| rival(list, list.names.key(list.records.dir(*at))))
        .collect();
    for at in dead {
        list.records.mark(at, DEAD);
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
    let at = *list.order.get(position)?;
    let (tag, bits) = list.records.marks(at);
    (tag != Tag::Dir && bits & DEAD == 0).then_some(at)
}

/// A path as its parent's key and its last component.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let slash = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    path.split_at_checked(slash).unwrap_or((&[], path))
}

/// Every directory that holds something must be listed itself, or a link listed under its name
/// could lead the rest astray. `unlisted`: below 30 a client with `-R --no-implied-dirs` lists none
/// of them, and does not say so; then nothing else may be listed under their names.
fn parents(list: &FileList, unlisted: bool) -> Result<(), Error> {
    let mut listed = vec![false; list.names.dirs()];
    let live = || {
        let marked = list.order.iter().map(|at| (*at, list.records.marks(*at)));
        marked.filter(|(_, (_, bits))| bits & DEAD == 0).map(|(at, (tag, _))| (list.records.dir(at), tag))
    };
    for (dir, _) in live().filter(|(_, tag)| *tag == Tag::Dir) {
        if let Some(known) = listed.get_mut(dir as usize) {
            *known = true;
        }
    }
    if unlisted {
        let missing = (0..).zip(&listed).filter(|(_, known)| !**known);
        let blocked = missing.map(|(dir, _)| list.names.key(dir)).find(|key| rival(list, key).is_some());
        return blocked.map_or(Ok(()), |key| Err(astray(key)));
    }
    let mut checked = None;
    for (dir, tag) in live().filter(|(_, tag)| *tag != Tag::Missing) {
        let key = list.names.key(dir);
        let parent = if tag == Tag::Dir { split(key.strip_suffix(b"/").unwrap_or(key)).0 } else { key };
        if matches!(parent, b"" | b"/") || checked == Some(parent) {
            continue;
        }
        let found = list.names.find(parent).and_then(|dir| listed.get(dir as usize));
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
    let dead = |at: u32| list.records.marks(at).1 & DEAD != 0;
    let live = list.order.iter().enumerate().filter(|(_, at)| !dead(**at));
    for (position, arrival) in live.filter_map(|(position, at)| Some((position, list.arrival(*at)?))) {
        let ndx = if list.by_arrival { arrival } else { position } as u32;
        let first = list.leaders.get(arrival).and_then(|first| first.checked_sub(1));
        let Some(group) = first.and_then(|first| groups.get_mut(first as usize)) else { continue };
        if group.0 == 0 {
            group.1 = ndx + 1;
        }
        group.0 += 1;
    }
    for (at, leader) in list.arrivals.iter().zip(&mut list.leaders) {
        let group = leader.checked_sub(1).and_then(|first| groups.get(first as usize));
        *leader = match group {
            Some((2.., ndx)) if !dead(*at) => *ndx,
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
    let dead = |at: &u32| list.records.marks(*at).1 & DEAD != 0;
    let live = |position: &usize| list.order.get(*position).is_some_and(|at| !dead(at));
    let (parent, base) = split(path);
    let file = list.names.find(parent).and_then(|dir| search(list, dir, base));
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
    let share = share(&list.starts, list.names.rank_of(dir) as usize);
    let here = list.order.get(share.clone())?;
    let within = here.partition_point(|at| list.records.base(*at) < base);
    (list.records.base(*here.get(within)?) == base).then_some(share.start + within)
}

/// The same below 29.
fn search_plain(list: &FileList, wanted: &[u8]) -> Option<usize> {
    let order = |at: &u32| chained(path(list, *at), (wanted, b""));
    let position = list.order.partition_point(|at| order(at) == Ordering::Less);
    let same = list.order.get(position).is_some_and(|at| order(at) == Ordering::Equal);
    same.then_some(position)
}

/// Of several entries of one name below 29, the one that lives.
fn survivor(list: &FileList, first: usize) -> Option<usize> {
    let name = *list.order.get(first)?;
    let twins = list.order.get(first..)?.iter().take_while(|at| plain(list, name, **at) == Ordering::Equal);
    let lives = |at: &u32| list.records.marks(*at).1 & DEAD == 0;
    (first..).zip(twins).find(|(_, at)| lives(at)).map(|(position, _)| position)
}
