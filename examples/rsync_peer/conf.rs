//! The part of rsyncd.conf(5) that a receiving stand-in needs.

use std::net::IpAddr;
use std::path::PathBuf;

/// A whole configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conf {
    pub(crate) port: Option<u16>,
    pub(crate) address: Option<String>,
    pub(crate) motd: Option<PathBuf>,
    pub(crate) modules: Vec<Module>,
}

/// One module.
#[derive(Clone, Debug)]
pub(crate) struct Module {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) comment: String,
    pub(crate) list: bool,
    pub(crate) read_only: bool,
    pub(crate) write_only: bool,
    pub(crate) auth_users: Vec<String>,
    pub(crate) secrets: Option<PathBuf>,
    pub(crate) strict_modes: bool,
    pub(crate) allow: Vec<String>,
    pub(crate) deny: Vec<String>,
    pub(crate) max_connections: u32,
    pub(crate) refuse: Vec<String>,
    pub(crate) timeout: u32,
}

impl Default for Module {
    fn default() -> Self {
        Self {
            name: String::new(),
            path: PathBuf::new(),
            comment: String::new(),
            list: true,
            read_only: true,
            write_only: false,
            auth_users: Vec::new(),
            secrets: None,
            strict_modes: true,
            allow: Vec::new(),
            deny: Vec::new(),
            max_connections: 0,
            refuse: Vec::new(),
            timeout: 0,
        }
    }
}

impl Conf {
    /// Reads a configuration. Parameters before the first module are defaults of all; unknown ones
    /// are passed over, as what they would restrict is not offered here.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut conf = Self::default();
        let mut global = Module::default();
        for line in lines(text) {
            let line = line.trim();
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                conf.modules.push(Module { name: name.trim().to_owned(), ..global.clone() });
                continue;
            }
            let (key, value) =
                line.split_once('=').ok_or_else(|| format!("rsyncd.conf: no \"=\" in \"{line}\""))?;
            let key: String = key.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
            let value = value.trim();
            match (key.as_str(), conf.modules.last_mut()) {
                ("port", None) => conf.port = Some(number(&key, value)?),
                ("address", None) => conf.address = Some(value.to_owned()),
                ("motd file", None) => conf.motd = Some(PathBuf::from(value)),
                (key, None) => set(&mut global, key, value)?,
                (key, Some(module)) => set(module, key, value)?,
            }
        }
        match conf.modules.iter().find(|module| module.path.as_os_str().is_empty()) {
            Some(module) => Err(format!("rsyncd.conf: module [{}] has no path", module.name)),
            None => Ok(conf),
        }
    }
}

fn set(module: &mut Module, key: &str, value: &str) -> Result<(), String> {
    match key {
        "path" => module.path = PathBuf::from(value),
        "comment" => module.comment = value.to_owned(),
        "list" => module.list = yes(key, value)?,
        "read only" => module.read_only = yes(key, value)?,
        "write only" => module.write_only = yes(key, value)?,
        "auth users" => module.auth_users = words(value),
        "secrets file" => module.secrets = Some(PathBuf::from(value)),
        "strict modes" => module.strict_modes = yes(key, value)?,
        "hosts allow" => module.allow = words(value),
        "hosts deny" => module.deny = words(value),
        "max connections" => module.max_connections = number::<i64>(key, value)?.try_into().unwrap_or(0),
        "refuse options" => module.refuse = words(value),
        "timeout" => module.timeout = number(key, value)?,
        // The default of "use chroot" asks for root and falls back all the same.
        _ => {}
    }
    Ok(())
}

/// Lines without comments; a backslash at the end joins the next.
fn lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for part in text.lines() {
        if line.is_empty() && (part.trim_start().starts_with(['#', ';']) || part.trim().is_empty()) {
            continue;
        }
        match part.strip_suffix('\\') {
            Some(part) => line.push_str(part),
            None => lines.push(std::mem::take(&mut line) + part),
        }
    }
    lines.extend(Some(line).filter(|line| !line.trim().is_empty()));
    lines
}

fn words(value: &str) -> Vec<String> {
    value.split([' ', ',', '\t']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn yes(key: &str, value: &str) -> Result<bool, String> {
    match value.to_lowercase().as_str() {
        "yes" | "true" | "1" | "on" => Ok(true),
        "no" | "false" | "0" | "off" => Ok(false),
        _ => Err(format!("rsyncd.conf: {key}: \"{value}\" is neither yes nor no")),
    }
}

fn number<T: std::str::FromStr>(key: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("rsyncd.conf: {key}: \"{value}\" is not a number here"))
}

impl Module {
    /// Whether a peer may use this module: rsyncd.conf(5), "hosts allow" and "hosts deny".
    pub(crate) fn admits(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        if !self.allow.is_empty() {
            if matches(&self.allow, peer) {
                return true;
            }
            if self.deny.is_empty() {
                return false;
            }
        }
        !matches(&self.deny, peer)
    }
}

/// Addresses, networks and `*`. Host names match nobody: the resolver is not asked.
fn matches(patterns: &[String], peer: IpAddr) -> bool {
    patterns.iter().any(|pattern| pattern == "*" || covers(pattern, peer).unwrap_or(false))
}

fn covers(pattern: &str, peer: IpAddr) -> Option<bool> {
    let (net, mask) = pattern.split_once('/').map_or((pattern, None), |(net, mask)| (net, Some(mask)));
    let net: IpAddr = net.parse().ok()?;
    let (net, peer, bits) = match (net, peer) {
        (IpAddr::V4(net), IpAddr::V4(peer)) => {
            (u128::from(net.to_bits()) << 96, u128::from(peer.to_bits()) << 96, 32)
        }
        (IpAddr::V6(net), IpAddr::V6(peer)) => (net.to_bits(), peer.to_bits(), 128),
        _ => return None,
    };
    let length: u32 = match mask {
        None => bits,
        Some(mask) => mask.parse().ok().or_else(|| dotted(mask))?,
    };
    let mask = if length == 0 { 0 } else { u128::MAX.checked_shl(128_u32.checked_sub(length)?)? };
    (length <= bits).then_some(net & mask == peer & mask)
}

/// The length of a mask written as an address.
fn dotted(mask: &str) -> Option<u32> {
    let mask: std::net::Ipv4Addr = mask.parse().ok()?;
    (mask.to_bits().leading_ones() == mask.to_bits().count_ones()).then(|| mask.to_bits().count_ones())
}
