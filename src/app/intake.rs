//! What a key's `command=` makes of what its client asks for.

use crate::access::{Grant, Intake};
use crate::model::Lang;

/// What is run.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    /// This command line.
    Line(Vec<u8>),
    /// This rsync command line, below this folder.
    Below(String, Vec<u8>),
    /// SFTP.
    Sftp,
    /// Nothing.
    Nothing(Refusal),
}

/// A key that may do one thing asked for another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// What was asked for; a sender's text, shortened and escaped.
    pub(super) asked: String,
    /// What its key may do.
    pub(super) only: String,
}

impl Refusal {
    fn new(asked: &[u8], intake: &Intake) -> Self {
        let asked = String::from_utf8_lossy(asked);
        let asked = asked.chars().take(ASKED_CHARS_MAX).flat_map(char::escape_debug).collect();
        Self { asked, only: intake.to_string() }
    }

    pub(super) fn text(&self, lang: Lang) -> String {
        let Self { asked, only } = self;
        match lang {
            Lang::Es => format!(
                "esta llave sólo puede «{only}» (command= en su línea) y se pidió «{asked}»; envíe de esa manera, o pida otra llave"
            ),
            Lang::En => format!(
                "this key may only '{only}' (command= in its line), and '{asked}' was asked for; push that way, or ask for another key"
            ),
        }
    }
}

/// For a command line.
pub(super) fn chosen(grant: &Grant, command: &[u8]) -> Chosen {
    let Some(intake) = &grant.rights.intake else { return Chosen::Line(command.to_vec()) };
    if !intake.covers(command) {
        return Chosen::Nothing(Refusal::new(command, intake));
    }
    match intake {
        Intake::Sftp => Chosen::Sftp,
        Intake::Rrsync { dir } => Chosen::Below(dir.clone(), command.to_vec()),
        Intake::Line { line } => Chosen::Line(line.clone().into_bytes()),
    }
}

/// For the SFTP subsystem.
pub(super) fn sftp(grant: &Grant) -> Chosen {
    match &grant.rights.intake {
        None | Some(Intake::Sftp) => Chosen::Sftp,
        Some(intake) => Chosen::Nothing(Refusal::new(b"sftp", intake)),
    }
}

/// Enough to know one's own command by.
const ASKED_CHARS_MAX: usize = 80;
