//! Section `[doctor]`: what is asked before the night.

use std::net::IpAddr;
use std::time::Duration;

use toml::de::DeTable;

use super::read::Reader;
use super::value::Bad;
use super::{expected, list, positive};

/// Section `[doctor]`.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "documented in `keys`")]
pub struct Doctor {
    pub ntp: Vec<String>,
    pub timeout: Duration,
    pub public: Vec<IpAddr>,
}

pub(super) fn section<'t>(r: &mut Reader<'t>, root: &DeTable<'t>) -> Option<Doctor> {
    let s = r.section(root, "doctor");
    Some(Doctor {
        ntp: r.get(s, "ntp", |v| list(v, |t| Ok(t.to_owned())))?,
        timeout: r.get(s, "timeout", positive)?,
        public: r.get(s, "public", |v| list(v, address))?,
    })
}

fn address(text: &str) -> Result<IpAddr, Bad> {
    text.parse().map_err(|_| {
        expected(
            format!("«{text}» no es una dirección, por ejemplo 203.0.113.10"),
            format!("'{text}' is not an address, for example 203.0.113.10"),
        )
    })
}
