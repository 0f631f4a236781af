//! Section `[service]`: whose process it is, and what it gives up.

use toml::de::DeTable;

use super::read::Reader;
use super::{one_of, optional};

/// Section `[service]`.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "documented in `keys`")]
pub struct Service {
    pub user: Option<String>,
    pub sandbox: Sandboxing,
}

/// What becomes of a process that cannot be confined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sandboxing {
    /// It works on with what there is, and says so.
    On,
    /// It does not start.
    Required,
    /// Nothing is tried.
    Off,
}

pub(super) fn section<'t>(r: &mut Reader<'t>, root: &DeTable<'t>) -> Option<Service> {
    let s = r.section(root, "service");
    Some(Service {
        user: r.get(s, "user", |v| optional(v, |t| Ok(t.to_owned())))?,
        sandbox: r.get(s, "sandbox", |v| one_of(v, SANDBOX))?,
    })
}

const SANDBOX: &[(&str, Sandboxing)] =
    &[("on", Sandboxing::On), ("required", Sandboxing::Required), ("off", Sandboxing::Off)];
