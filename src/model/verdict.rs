//! What became of a package, in the words its sender and the ledger get.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Code, Cut, Detail, Digest, Lang};

/// The four places in which the calls want a failure to be reported
/// (INE VII.a, Nuevo León 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Bytes on their way to us.
    #[serde(rename = "transferencia")]
    Transfer,
    /// Container, sums and content agree with themselves and the rules.
    #[serde(rename = "integridad")]
    Integrity,
    /// Files written beneath the scratch directory.
    #[serde(rename = "extracción")]
    Extraction,
    /// The swap that readers see.
    #[serde(rename = "publicación")]
    Publication,
}

impl Stage {
    /// The calls' own word, or its translation.
    pub fn label(self, lang: Lang) -> &'static str {
        match self {
            Self::Transfer => lang.pick("transferencia", "transfer"),
            Self::Integrity => lang.pick("integridad", "integrity"),
            Self::Extraction => lang.pick("extracción", "extraction"),
            Self::Publication => lang.pick("publicación", "publication"),
        }
    }
}

/// The way something came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// The SFTP subsystem: modern scp, sftp, lftp, sshfs, rclone…
    Sftp,
    /// The legacy scp protocol (`scp -O`, `scp -t`).
    Scp,
    /// A command line over SSH: `cat >`, `tar x`, `mv`…
    Exec,
    /// rsync over SSH.
    Rsync,
    /// The rsync daemon's own protocol, plain or under TLS.
    RsyncDaemon,
    /// The watched drop directory.
    Drop,
    /// `difusor publish`.
    Operator,
}

impl Via {
    /// The name used in ledger and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sftp => "sftp",
            Self::Scp => "scp",
            Self::Exec => "exec",
            Self::Rsync => "rsync",
            Self::RsyncDaemon => "rsync-daemon",
            Self::Drop => "drop",
            Self::Operator => "operator",
        }
    }
}

/// Who sent it, as proved at the door.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sender {
    /// Name of the trusted key, or of the operator or file owner.
    pub name: String,
    /// SHA-256 fingerprint of the key in OpenSSH's form, where there was one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
    /// Address of the peer, where there was one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub addr: Option<IpAddr>,
    /// The way it came.
    pub via: Via,
}

/// The facts of one transfer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The name the sender gave, control characters and invalid UTF-8 escaped.
    pub name: String,
    /// Who.
    pub sender: Sender,
    /// When the first byte came.
    pub first_byte: Timestamp,
    /// When the last byte came: publication delay is counted from here.
    pub last_byte: Timestamp,
    /// How many bytes.
    pub bytes: u64,
}

/// Name of a release: sortable, unique in the store, safe as a file name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReleaseId(String);

impl ReleaseId {
    /// The id of the `sequence`-th release, of this cut and content.
    pub fn new(sequence: u64, cut: Option<Cut>, tree: &Digest) -> Self {
        let cut = cut.map_or_else(|| "sin-corte".to_owned(), Cut::id);
        Self(format!("{sequence:06}-{cut}-{}", tree.short()))
    }

    /// An id read back from disk or typed by an operator; `None` if it could not
    /// be the name of a release directory.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let fits = !text.is_empty() && text.len() <= 64 && text.chars().all(plain);
        fits.then(|| Self(text.to_owned()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The running number in front.
    pub fn sequence(&self) -> u64 {
        self.0.split('-').next().and_then(|n| n.parse().ok()).unwrap_or(0)
    }
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A refusal: what, where, and (through its code) what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// Why.
    pub code: Code,
    /// The entry, file or field at fault; control characters escaped.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub entry: Option<String>,
    /// What helps beside: sizes, limits, offsets, expected and found values.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<Detail>,
}

impl Rejection {
    /// A refusal that is about the whole package.
    pub fn new(code: Code) -> Self {
        Self { code, entry: None, detail: None }
    }

    /// Names the culprit.
    pub fn entry(mut self, entry: impl AsRef<[u8]>) -> Self {
        self.entry = Some(escape(entry.as_ref()));
        self
    }

    /// Adds figures, or a phrase in Spanish and English.
    pub fn detail(mut self, detail: impl Into<Detail>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// What helps beside the code, in the language of the reader.
    pub fn detail_text(&self, lang: Lang) -> Option<&str> {
        self.detail.as_ref().map(|detail| lang.pick(&detail.es, &detail.en))
    }

    /// The stage of the code.
    pub fn stage(&self) -> Stage {
        self.code.stage()
    }

    /// `el nombre sale del sitio con «..» («../x»)`.
    pub fn message(&self, lang: Lang) -> String {
        let mut text = self.code.what(lang).to_owned();
        if let Some(entry) = &self.entry {
            text.push_str(&format!(": «{entry}»"));
        }
        if let Some(detail) = self.detail_text(lang) {
            text.push_str(&format!(" ({detail})"));
        }
        text
    }

    /// The whole sentence for the sender, with code and remedy.
    pub fn line(&self, lang: Lang) -> String {
        let stage = self.stage().label(lang);
        let (message, todo) = (self.message(lang), self.code.todo(lang));
        match lang {
            Lang::Es => format!("rechazado en {stage}: {message} [{}]; {todo}", self.code),
            Lang::En => format!("rejected in {stage}: {message} [{}]; {todo}", self.code),
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message(Lang::En))
    }
}

impl std::error::Error for Rejection {}

/// Shows foreign bytes on one line: control characters and bytes that are not
/// UTF-8 become `\xNN` or `\u{N}`, everything else stays as it is.
pub fn escape(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control()
                || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            {
                shown.extend(c.escape_default());
            } else {
                shown.push(c);
            }
        }
        for byte in chunk.invalid() {
            shown.push_str(&format!("\\x{byte:02x}"));
        }
    }
    shown
}

/// What became of an arrival that was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Readers see it.
    Published {
        /// Its cut, where one was found.
        cut: Option<Cut>,
        /// The release that shows it.
        release: ReleaseId,
        /// From the last byte received to the swap.
        delay: Duration,
    },
    /// Verified and staged; readers see it when what it waits for comes.
    Staged {
        /// Its cut, where one was found.
        cut: Option<Cut>,
        /// What it waits for.
        wait: Wait,
    },
    /// An increment without the package it builds on: stored, and applied when that comes.
    Held {
        /// Its cut, where one was found.
        cut: Option<Cut>,
    },
    /// The very same bytes came before: nothing to do.
    Repeated {
        /// SHA-256 of the package.
        package: Digest,
    },
    /// A sum that came after its package says the same.
    Agreed,
    /// Refused; the site is as it was and the package is kept.
    Rejected(Rejection),
}

/// What a verified cut waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The opening of its window; its hour, where one is known.
    Opening(Option<Timestamp>),
    /// The end of a hold that an operator set.
    Hold(Timestamp),
    /// The end of the institute's notice.
    Notice,
    /// An operator's decision: the night is over.
    Decision,
}

impl Wait {
    fn line(self, lang: Lang) -> String {
        let until = |at: Timestamp| format!(" ({at})");
        match self {
            Self::Opening(opens) => {
                let done =
                    lang.pick("verificado y en espera de la apertura", "verified, waiting for the opening");
                format!("{done}{}", opens.map_or_else(String::new, until))
            }
            Self::Hold(end) => {
                let done = lang.pick(
                    "verificado y guardado: el difusor retiene la publicación",
                    "verified and kept: the difusor holds publication",
                );
                format!("{done}{}", until(end))
            }
            Self::Notice => lang
                .pick(
                    "verificado y guardado: está puesto el aviso del instituto",
                    "verified and kept: the notice of the institute is up",
                )
                .to_owned(),
            Self::Decision => lang
                .pick(
                    "verificado y guardado: la noche ya cerró y decide el operador",
                    "verified and kept: the night is closed and the operator decides",
                )
                .to_owned(),
        }
    }
}

impl Outcome {
    /// Whether the sender's command should end with 0.
    pub fn is_success(&self) -> bool {
        !matches!(self, Self::Rejected(_))
    }

    /// The one line the sender reads: `publicado corte 20:15, 1.2 s`.
    pub fn line(&self, lang: Lang) -> String {
        let hour = |cut: &Option<Cut>| match cut {
            Some(cut) => format!("{} {}", lang.pick("corte", "cut"), cut.label()),
            None => lang.pick("corte sin hora", "cut without hour").to_owned(),
        };
        match self {
            Self::Published { cut, delay, .. } => {
                let done = lang.pick("publicado", "published");
                format!("{done} {}, {:.1} s", hour(cut), delay.as_secs_f64())
            }
            Self::Staged { cut, wait } => format!("{}: {}", wait.line(lang), hour(cut)),
            Self::Held { cut } => {
                let why = lang.pick(
                    "recibido y retenido: es un incremento y falta el primer paquete completo; \
                     se aplicará cuando llegue",
                    "received and held: it is an increment and the first whole package is missing; \
                     it will be applied when that comes",
                );
                format!("{why}: {}", hour(cut))
            }
            Self::Agreed => {
                lang.pick("la suma coincide con el paquete", "the sum agrees with the package").to_owned()
            }
            Self::Repeated { package } => {
                let done = lang.pick("ya recibido antes, sin cambios", "received before, nothing changed");
                format!("{done}: {}", package.short())
            }
            Self::Rejected(rejection) => rejection.line(lang),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejection_says_what_where_and_what_to_do() {
        let no = Rejection::new(Code::PathTraversal).entry(b"../\x1b[2Jx");
        assert_eq!(
            no.line(Lang::Es),
            "rechazado en extracción: el nombre sale del sitio con «..»: «../\\u{1b}[2Jx» \
             [PATH_TRAVERSAL]; empaquete desde la carpeta del sitio, sin rutas con «..»"
        );
    }

    #[test]
    fn only_plain_names_are_release_ids() {
        assert!(ReleaseId::parse("../x").is_none());
        assert_eq!(ReleaseId::parse("000012-sin-corte-ab").unwrap().sequence(), 12);
    }
}
