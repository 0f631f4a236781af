//! What a line's `command=` may name: one of our intakes, and nothing else.

use std::fmt;

use super::fault::Wrong;

/// The one way by which a key may bring packages, where its line (or its certificate's
/// `force-command`) names one. Written as sshd reads it, so that the same file serves both.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Intake {
    /// `internal-sftp`: SFTP, which is also what scp of OpenSSH 9 speaks.
    Sftp,
    /// `rrsync -wo DIR`: rsync, whatever its options, below DIR.
    Rrsync {
        /// In the sender's virtual root.
        dir: String,
    },
    /// `scp -t DIR`, `rsync --server … DIR`, `cat > FILE`, `tar x…`: this very line runs,
    /// whatever the client asks of the same program.
    Line {
        /// As written.
        line: String,
    },
}

impl Intake {
    /// Reads the value of `command=`.
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let wrong = || Wrong::Command(text.to_owned());
        if text.len() > LINE_BYTES_MAX || text.contains(|c: char| c.is_control() || STEERING.contains(&c)) {
            return Err(wrong());
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        let (first, rest) = words.split_first().ok_or_else(wrong)?;
        match (base(first), rest) {
            ("internal-sftp" | "sftp-server", []) => Ok(Self::Sftp),
            ("rrsync", options) => rrsync(options).ok_or_else(wrong),
            ("scp", options) if options.iter().any(|o| is_scp_sink(o)) => Ok(Self::line(text)),
            ("rsync", ["--server", options @ ..]) if !options.contains(&"--sender") => Ok(Self::line(text)),
            ("cat", [">" | ">>", file]) if !file.contains('>') => Ok(Self::line(text)),
            ("tar", [options, ..])
                if options.trim_start_matches('-').contains('x') && !text.contains('>') =>
            {
                Ok(Self::line(text))
            }
            _ => Err(wrong()),
        }
    }

    /// The program whose commands it takes.
    pub fn program(&self) -> &str {
        match self {
            Self::Sftp => "sftp",
            Self::Rrsync { .. } => "rsync",
            Self::Line { line } => base(line.split_whitespace().next().unwrap_or_default()),
        }
    }

    /// Whether a command line asks for this intake's program, alone.
    pub fn covers(&self, command: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(command) else { return false };
        let asked = base(text.split_whitespace().next().unwrap_or_default());
        match self {
            Self::Sftp => matches!(asked, "internal-sftp" | "sftp-server"),
            Self::Rrsync { .. } => {
                let alone = !text.contains([';', '&', '|', '`', '\n']);
                asked == "rsync" && alone && text.split_whitespace().nth(1) == Some("--server")
            }
            Self::Line { .. } => asked == self.program(),
        }
    }

    fn line(text: &str) -> Self {
        Self::Line { line: text.trim().to_owned() }
    }
}

impl fmt::Display for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sftp => f.write_str("internal-sftp"),
            Self::Rrsync { dir } => write!(f, "rrsync -wo {dir}"),
            Self::Line { line } => f.write_str(line),
        }
    }
}

fn rrsync(options: &[&str]) -> Option<Intake> {
    let dir = match options {
        [] | ["-wo"] => "/",
        [dir] | ["-wo", dir] if !dir.starts_with('-') => dir,
        _ => return None,
    };
    let outside = dir.split('/').any(|part| part == "..");
    (!outside).then(|| Intake::Rrsync { dir: dir.to_owned() })
}

/// `-t`, alone or among scp's other flags (`-pt`, `-rpt`).
fn is_scp_sink(option: &str) -> bool {
    option.strip_prefix('-').is_some_and(|flags| !flags.starts_with('-') && flags.contains('t'))
}

fn base(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// What would make a line more than one command.
const STEERING: &[char] = &[';', '&', '|', '`', '$', '(', ')', '<', '{', '}', '\\'];
/// A line of options is short.
const LINE_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_intakes_can_be_named() {
        for good in [
            "internal-sftp",
            "/usr/lib/openssh/sftp-server",
            "rrsync -wo /sitio",
            "/usr/bin/rrsync",
            "scp -t /paquetes",
            "scp -r -p -t .",
            "scp -pt x",
            "rsync --server -logDtpre.iLsfx --delete . /sitio/",
            "cat > prep.tar.gz",
            "tar xzf - -C sitio",
        ] {
            assert!(Intake::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/bin/sh",
            "bash -c 'cat > x'",
            "scp -f /paquetes",
            "rsync --server --sender . /",
            "rrsync -ro /sitio",
            "rrsync -wo ../x",
            "cat > x; rm -rf sitio",
            "cat x",
            "cat > x > y",
            "tar czf - .",
            "scp -t $(id)",
            "internal-sftp -R",
            "cat > x\nls",
        ] {
            assert_eq!(Intake::parse(bad), Err(Wrong::Command(bad.to_owned())), "{bad}");
        }
    }

    #[test]
    fn a_command_is_covered_by_its_own_intake_only() {
        let rrsync = Intake::parse("rrsync -wo /sitio").unwrap();
        assert!(rrsync.covers(b"rsync --server -logDtpre.iLsfx . /x"));
        assert!(!rrsync.covers(b"rsync --server . x; rm -rf sitio") && !rrsync.covers(b"ls"));
        let scp = Intake::parse("scp -t /paquetes").unwrap();
        assert!(scp.covers(b"scp -t .") && !scp.covers(b"rsync --server . ."));
        assert!(!Intake::Sftp.covers(b"scp -t .") && Intake::Sftp.covers(b"/usr/lib/sftp-server"));
    }
}
