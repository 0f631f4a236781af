//! Hard link groups (`-H`): one name is brought, the others get its content.
//!
//! As with stock, a group whose names are all new is brought under its last name, so that an
//! earlier one that is up to date can serve instead.

use std::collections::HashMap;

use super::push::Push;

/// What to do with a name of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Treat it as any file.
    File,
    /// Another name of the group was asked for.
    Wait,
    /// Link it to this index.
    Link(u32),
}

#[derive(Debug, Default)]
enum State {
    /// Nothing was found or asked for yet.
    #[default]
    Open,
    /// This index was asked for.
    Asked(u32),
    /// This index is what it should be.
    Found(u32),
}

#[derive(Debug, Default)]
struct Group {
    /// Names not yet visited.
    left: u32,
    state: State,
    waiting: Vec<u32>,
}

/// The groups of a list.
#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: HashMap<u32, Group>,
}

impl Groups {
    pub(super) fn new(push: &Push<'_>) -> Self {
        let mut groups: HashMap<u32, Group> = HashMap::new();
        if push.options.hard_links {
            for (_, entry) in push.list.iter() {
                if let Some(leader) = push.linked(entry) {
                    groups.entry(leader).or_default().left += 1;
                }
            }
        }
        Self { groups }
    }

    /// Visits a name of a group.
    pub(super) fn turn(&mut self, leader: Option<u32>, ndx: u32) -> Turn {
        let Some(group) = leader.and_then(|leader| self.groups.get_mut(&leader)) else { return Turn::File };
        group.left = group.left.saturating_sub(1);
        match group.state {
            State::Found(first) => Turn::Link(first),
            State::Asked(_) => {
                group.waiting.push(ndx);
                Turn::Wait
            }
            State::Open => Turn::File,
        }
    }

    /// The visited name differs or is not there: whether it waits for another of its group. If
    /// not, it is asked for.
    pub(super) fn waits(&mut self, leader: Option<u32>, ndx: u32, stands: bool) -> bool {
        let Some(group) = leader.and_then(|leader| self.groups.get_mut(&leader)) else { return false };
        let waits = !stands && group.left > 0;
        if waits {
            group.waiting.push(ndx);
        } else {
            group.state = State::Asked(ndx);
        }
        waits
    }

    /// The visited name is what it should be: gives those that waited for it, last first.
    pub(super) fn found(&mut self, leader: Option<u32>, ndx: u32) -> Vec<u32> {
        let Some(group) = leader.and_then(|leader| self.groups.get_mut(&leader)) else { return Vec::new() };
        group.state = State::Found(ndx);
        std::mem::take(&mut group.waiting).into_iter().rev().collect()
    }

    /// One name of each group that waits and asked for nothing; it counts as asked for.
    pub(super) fn unasked(&mut self) -> Vec<u32> {
        let mut asked = Vec::new();
        for group in self.groups.values_mut().filter(|group| matches!(group.state, State::Open)) {
            if let Some(last) = group.waiting.pop() {
                group.state = State::Asked(last);
                asked.push(last);
            }
        }
        asked
    }

    /// What was asked for and who waits for it, last first.
    pub(super) fn drain(&mut self) -> Vec<(u32, Vec<u32>)> {
        let mut all: Vec<_> = std::mem::take(&mut self.groups)
            .into_values()
            .filter_map(|group| match group.state {
                State::Asked(first) => Some((first, group.waiting.into_iter().rev().collect())),
                State::Open | State::Found(_) => None,
            })
            .collect();
        all.sort_unstable_by_key(|(first, _)| *first);
        all
    }
}
