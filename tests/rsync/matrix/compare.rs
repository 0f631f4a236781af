//! Equality of two pushes, aspect by aspect.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::expected::{self, Aspect, Instead, ROWS};
use super::options::Case;
use super::push::{Pushed, Side};
use crate::tree::{self, Snapshot, What};

/// The differences found so far in a case.
pub struct Both<'a> {
    case: &'a Case,
    protocol: u8,
    found: Vec<(u32, Aspect, String)>,
    /// Our pushes, for what must hold instead.
    codes: Vec<Option<i32>>,
    arrived: Vec<Result<(), String>>,
    without: Vec<(Snapshot, Snapshot)>,
}

impl<'a> Both<'a> {
    pub fn new(case: &'a Case, protocol: u8) -> Self {
        let (codes, arrived, without) = (Vec::new(), Vec::new(), Vec::new());
        Self { case, protocol, found: Vec::new(), codes, arrived, without }
    }

    pub fn compare(&mut self, push: u32, stock: &Pushed, ours: &Pushed, at: &Side, our_side: &Side) {
        let mut add = |aspect, text: String| self.found.push((push, aspect, text));
        // A server that closes first is a broken socket or a broken stream to the client, by chance.
        let broken = |code| matches!(code, Some(10 | 12));
        if stock.end.code != ours.end.code && !(broken(stock.end.code) && broken(ours.end.code)) {
            add(Aspect::Code, format!("exit {:?}, stock {:?}", ours.end.code, stock.end.code));
        }
        trees(&stock.dest, &ours.dest, self.protocol >= 31, &mut add);
        for (path, node) in &ours.source {
            if stock.source.get(path).map(|there| &there.what) != Some(&node.what) {
                add(Aspect::Source, format!("source keeps {}", path.escape_ascii()));
            }
        }
        for path in stock.source.keys().filter(|path| !ours.source.contains_key(*path)) {
            add(Aspect::Source, format!("source lost {}", path.escape_ascii()));
        }
        let (mut theirs, mut mine) = (lines(&stock.end.out, at), lines(&ours.end.out, our_side));
        if self.protocol < 29 {
            // Stock's own -i says `*deleting` without a name there; what is gone the trees tell.
            theirs.retain(|line| !line.starts_with("*deleting"));
            mine.retain(|line| !line.starts_with("*deleting"));
        }
        if theirs != mine {
            add(Aspect::Output, line_differences(&theirs, &mine));
        }
        if stock.end.err.is_empty() != ours.end.err.is_empty() {
            add(Aspect::Errors, format!("stderr {:?}, stock {:?}", ours.end.err, stock.end.err));
        }
        delta(&stock.end.out, &ours.end.out, &mut add);
        self.codes.push(ours.end.code);
        self.arrived.push(expected::arrived(&ours.source, &ours.dest));
        self.without.push((stock.dest.clone(), ours.dest.clone()));
        if !self.case.fails
            && stock.end.code != Some(0)
            && !self.case.name().contains("RSYNC_CHECKSUM_LIST=md5,xxh128")
        {
            add(
                Aspect::Code,
                format!("the case proves nothing: stock ends with {:?}: {}", stock.end.code, stock.end.err),
            );
        }
    }

    /// Error with what differs and is not expected, or is expected and does not.
    pub fn verdict(mut self, ours: bool) -> Result<(), String> {
        let name = self.case.name();
        let mut report = String::new();
        if ours {
            for (push, (_, dest)) in self.without.iter().enumerate() {
                odd_modes(push + 1, dest, &mut report);
            }
            for row in ROWS.iter().filter(|row| row.applies(&name)) {
                let before = self.found.len();
                self.found.retain(|(_, aspect, _)| !row.aspects.contains(aspect));
                if row.always && before == self.found.len() {
                    writeln!(report, "  equals stock, although «{}» is expected", row.reason).unwrap();
                }
                let met = row.always || before != self.found.len();
                if met && let Err(why) = self.instead(row.instead) {
                    writeln!(report, "  {why} (instead of stock's: {})", row.reason).unwrap();
                }
            }
        }
        for (push, aspect, text) in &self.found {
            writeln!(report, "  push {push}, {aspect:?}: {text}").unwrap();
        }
        if report.is_empty() { Ok(()) } else { Err(report) }
    }

    fn instead(&self, instead: Instead) -> Result<(), String> {
        match instead {
            Instead::Refused
                if self.protocol < 31 && self.codes.iter().all(|code| matches!(code, Some(4 | 10 | 12))) =>
            {
                Ok(())
            }
            Instead::Refused => self.instead(Instead::Code(4)),
            Instead::Code(code) if self.codes.contains(&Some(code)) => Ok(()),
            Instead::Code(code) => {
                Err(format!("exit codes {:?}, not {code} (protocol {})", self.codes, self.protocol))
            }
            Instead::SourceArrived => self.arrived.iter().cloned().collect(),
            Instead::Without(removed) => {
                for (stock, ours) in &self.without {
                    let kept = |(path, node): &(&Vec<u8>, &tree::Node)| {
                        (!removed(&String::from_utf8_lossy(path)))
                            .then(|| ((*path).clone(), node.what.clone()))
                    };
                    let stock: BTreeMap<Vec<u8>, What> =
                        stock.iter().filter_map(|pair| kept(&pair)).collect();
                    let ours: BTreeMap<Vec<u8>, What> =
                        ours.iter().map(|(path, node)| (path.clone(), node.what.clone())).collect();
                    if let Some(odd) = ours.iter().find(|(path, what)| stock.get(*path) != Some(what)) {
                        return Err(format!("{} differs: {:?}", odd.0.escape_ascii(), odd.1));
                    }
                    if let Some(lost) = stock.keys().find(|path| !ours.contains_key(*path)) {
                        return Err(format!("{} is missing", lost.escape_ascii()));
                    }
                }
                Ok(())
            }
        }
    }
}

/// A published site has files 0644 and directories 0755.
fn odd_modes(push: usize, dest: &Snapshot, report: &mut String) {
    for (path, node) in dest {
        let wanted = match node.what {
            What::File(_) => 0o644,
            What::Dir => 0o755,
            What::Link(_) | What::Other => continue,
        };
        if node.mode != wanted {
            writeln!(report, "  push {push}: mode {:o} of {}", node.mode, path.escape_ascii()).unwrap();
        }
    }
}

fn trees(stock: &Snapshot, ours: &Snapshot, nanoseconds: bool, add: &mut impl FnMut(Aspect, String)) {
    for (path, node) in ours {
        let name = path.escape_ascii();
        let Some(there) = stock.get(path) else {
            add(Aspect::Tree, format!("{name} should not be there: {:?}", node.what));
            continue;
        };
        if there.what != node.what {
            add(Aspect::Tree, format!("{name} is {:?}, stock {:?}", node.what, there.what));
        }
        let dated = tree::of_the_night(there.mtime);
        if dated != tree::of_the_night(node.mtime)
            || dated && (there.mtime.0 != node.mtime.0 || nanoseconds && there.mtime.1 != node.mtime.1)
        {
            add(Aspect::Times, format!("{name} of {:?}, stock {:?}", node.mtime, there.mtime));
        }
        if there.leader != node.leader {
            add(
                Aspect::Links,
                format!(
                    "{name} is linked to {}, stock {}",
                    node.leader.escape_ascii(),
                    there.leader.escape_ascii()
                ),
            );
        }
    }
    for path in stock.keys().filter(|path| !ours.contains_key(*path)) {
        add(Aspect::Tree, format!("{} is missing", path.escape_ascii()));
    }
}

/// What a client prints, sorted, without what depends on speed, on bytes of protocol and on
/// whether the list came in one piece.
fn lines(text: &str, side: &Side) -> Vec<String> {
    const FIGURES: [&str; 15] = [
        "sent ",
        "Total bytes ",
        "File list ",
        "Literal data",
        "Matched data",
        "sending incremental file list",
        "building file list",
        "total: matches=",
        "done",
        "opening ",
        "server_",
        "delta-transmission",
        "[sender]",
        "send_file",
        "  ",
    ];
    let mut lines: Vec<String> = text
        .replace(side.work.to_str().unwrap(), "{work}")
        .lines()
        .filter(|line| !line.is_empty() && !FIGURES.iter().any(|figure| line.starts_with(figure)))
        .map(|line| line.split("  speedup").next().unwrap().to_owned())
        .collect();
    lines.sort();
    lines
}

fn line_differences(stock: &[String], ours: &[String]) -> String {
    let mut counts: BTreeMap<&str, i32> = BTreeMap::new();
    for line in ours {
        *counts.entry(line).or_default() += 1;
    }
    for line in stock {
        *counts.entry(line).or_default() -= 1;
    }
    let mut text = String::new();
    for (line, count) in counts.iter().filter(|(_, count)| **count != 0).take(8) {
        write!(text, "\n    {} {line}", if *count > 0 { "ours " } else { "stock" }).unwrap();
    }
    text
}

/// A figure of --stats, if it was printed.
fn figure(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    let digits: String = line.split(": ").nth(1)?.chars().filter(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// What travels each way within 2 % of stock's, and literal data too (and a kilobyte, for small trees);
/// nothing lost in between.
fn delta(stock: &str, ours: &str, add: &mut impl FnMut(Aspect, String)) {
    for name in ["Total bytes sent", "Total bytes received"] {
        let (Some(theirs), Some(mine)) = (figure(stock, name), figure(ours, name)) else { continue };
        if mine > theirs + theirs / 50 + 1024 {
            add(Aspect::Delta, format!("{name} {mine}, stock {theirs}"));
        }
    }
    let both = |text| Some((figure(text, "Literal data")?, figure(text, "Matched data")?));
    let Some((literal, matched)) = both(stock) else { return };
    let Some((our_literal, our_matched)) = both(ours) else {
        return add(Aspect::Delta, "no figures".to_owned());
    };
    if our_literal > literal + literal / 50 + 1024 {
        add(Aspect::Delta, format!("literal data {our_literal}, stock {literal}"));
    }
    if our_literal + our_matched != literal + matched {
        add(
            Aspect::Delta,
            format!("literal + matched {our_literal} + {our_matched}, stock {literal} + {matched}"),
        );
    }
}
