//! Whose process it becomes, from the machine's own lists.

use std::fmt;
use std::io;

use rustix::process::{Gid, Uid};

/// A user of this machine with its groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
}

/// A name that is no user of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown(pub String);

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no user '{}' in /etc/passwd", self.0)
    }
}

impl Identity {
    /// The user of this name in `/etc/passwd` and `/etc/group`. A directory service is not asked: the
    /// service's user is one of this machine.
    pub fn of(name: &str) -> Result<Self, Unknown> {
        let read = |file| std::fs::read_to_string(file).unwrap_or_default();
        Self::in_lists(name, &read("/etc/passwd"), &read("/etc/group"))
            .ok_or_else(|| Unknown(name.to_owned()))
    }

    fn in_lists(name: &str, passwd: &str, group: &str) -> Option<Self> {
        let fields = |line: &'_ str| -> Option<(u32, u32)> {
            let mut fields = line.split(':');
            (fields.next()? == name).then_some(())?;
            Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
        };
        let (uid, gid) = passwd.lines().find_map(fields)?;
        let member = |line: &str| -> Option<u32> {
            let fields: Vec<&str> = line.split(':').collect();
            let [_, _, gid, members] = fields.as_slice() else { return None };
            members.split(',').any(|m| m == name).then(|| gid.parse().ok())?
        };
        let mut groups: Vec<u32> = group.lines().filter_map(member).collect();
        groups.push(gid);
        groups.sort_unstable();
        groups.dedup();
        Some(Self { uid, gid, groups })
    }

    /// Becomes it, with no way back. Of the calling thread.
    pub(super) fn become_it(&self) -> io::Result<()> {
        let groups: Vec<Gid> = self.groups.iter().map(|g| Gid::from_raw(*g)).collect();
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        rustix::thread::set_thread_groups(&groups)?;
        rustix::thread::set_thread_res_gid(gid, gid, gid)?;
        Ok(rustix::thread::set_thread_res_uid(uid, uid, uid)?)
    }

    /// Its number.
    pub fn uid(&self) -> u32 {
        self.uid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_with_its_groups() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\ndifusor:x:990:988::/:/usr/sbin/nologin\n";
        let group = "root:x:0:\ndifusor:x:988:\nssl-cert:x:110:nginx,difusor\nadm:x:4:difusor2\n";
        let found = Identity::in_lists("difusor", passwd, group).unwrap();
        assert_eq!(found, Identity { uid: 990, gid: 988, groups: vec![110, 988] });
        assert_eq!(Identity::in_lists("dif", passwd, group), None);
    }
}
