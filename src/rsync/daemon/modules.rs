//! What the host knows of a daemon's modules, and what a module refuses.
//!
//! Imports options and errors. Asked by name, so that nothing is listed that may not be seen.

use crate::rsync::error::{Error, Exit};
use crate::rsync::options::Options;

/// The host's side of the daemon.
pub trait Modules {
    /// The message of the day, lines without newline.
    fn motd(&self) -> Vec<String>;
    /// Names and comments to list.
    fn list(&self) -> Vec<(String, String)>;
    /// A module, if this peer may know of it.
    fn find(&self, name: &[u8]) -> Option<Module>;
    /// Takes a place (`max connections`), kept until the connection ends; the error is the
    /// maximum. The sentence of refusal is rsync's own.
    fn enter(&self, name: &[u8]) -> Result<(), u32>;
    /// The secret of a user of this module, if it may come in.
    fn secret(&self, module: &[u8], user: &[u8]) -> Option<Vec<u8>>;
    /// Random bytes for the challenge.
    fn random(&self) -> [u8; 32];
}

/// A module as the greeting needs it.
#[derive(Clone, Debug, Default)]
pub struct Module {
    /// Asks for user and password.
    pub auth: bool,
    /// Weakest digest accepted, e.g. `sha256`.
    pub floor: Option<String>,
    /// Takes no pushes.
    pub read_only: bool,
    /// `refuse options`: names or patterns with `*`, without dashes.
    pub refuse: Vec<String>,
    /// `timeout` of the module, seconds; 0 is none.
    pub timeout: u32,
}

impl Module {
    /// Why this may not be pushed here, in the words of stock daemons and with their codes.
    pub(super) fn objection(&self, options: &Options) -> Option<Error> {
        if self.read_only {
            return Some(Error::new(
                Exit::Syntax,
                "ERROR: module is read only (el módulo es de solo lectura)",
                "ERROR: module is read only",
            ));
        }
        let asked = options.used.iter().find(|name| self.refuses(name))?;
        Some(Error::new(
            Exit::Unsupported,
            format!("The server is configured to refuse --{asked} (este módulo no admite esa opción)"),
            format!("The server is configured to refuse --{asked}"),
        ))
    }

    /// `delete` stands for every `--delete…` and `compress` for its choices, as in stock daemons.
    fn refuses(&self, name: &str) -> bool {
        // What makes a session of it is not an option of the user's.
        !matches!(name, "server" | "rsh" | "sender")
            && self.refuse.iter().any(|pattern| {
                matches(pattern, name)
                    || (pattern == "delete" && name.starts_with("delete"))
                    || (pattern == "compress" && name.ends_with("-compress"))
            })
    }
}

/// A pattern with `*`.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => name.strip_prefix(head).is_some_and(|rest| {
            (0..=rest.len()).any(|at| rest.get(at..).is_some_and(|rest| matches(tail, rest)))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(refuse: &[&str], used: &[&'static str]) -> Option<String> {
        let module = Module { refuse: refuse.iter().map(ToString::to_string).collect(), ..Module::default() };
        module.objection(&Options { used: used.to_vec(), ..Options::default() }).map(|error| error.en)
    }

    #[test]
    fn a_module_refuses_what_its_list_names() {
        let says = |name: &str| Some(format!("The server is configured to refuse --{name}"));
        assert_eq!(objects(&[], &["server", "delete-during", "times"]), None);
        assert_eq!(objects(&["delete"], &["server", "times", "delete-during"]), says("delete-during"));
        assert_eq!(objects(&["c*m"], &["compress", "checksum"]), says("checksum"));
        assert_eq!(objects(&["compress"], &["new-compress"]), says("new-compress"));
        assert_eq!(objects(&["time"], &["times"]), None);
        assert_eq!(objects(&["*"], &["server", "rsh"]), None, "what every session has");
    }

    #[test]
    fn a_module_that_is_read_only_takes_nothing() {
        let module = Module { read_only: true, ..Module::default() };
        let error = module.objection(&Options::default()).unwrap();
        assert_eq!((error.exit, error.en.as_str()), (Exit::Syntax, "ERROR: module is read only"));
    }

    #[test]
    fn patterns_match_as_a_shell_would() {
        for (pattern, name, fits) in [
            ("*", "", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*b*c", "aXbYc", true),
            ("a*b", "abc", false),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }
}
