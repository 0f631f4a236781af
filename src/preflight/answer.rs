//! What a question before the night is answered with.

use serde::{Serialize, Serializer};

use crate::model::Lang;

/// How an answer reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It cannot be known from here; never taken for good.
    Unknown,
    /// The operator should look at it; the night can go well all the same.
    Attention,
    /// The night will not go well.
    Fault,
}

impl Verdict {
    /// The word for people.
    pub fn word(self, lang: Lang) -> &'static str {
        match self {
            Self::Good => lang.pick("bien", "good"),
            Self::Unknown => lang.pick("desconocido", "unknown"),
            Self::Attention => lang.pick("atención", "attention"),
            Self::Fault => lang.pick("falla", "fault"),
        }
    }

    /// The word for machines, the same in any language.
    pub fn code(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Unknown => "unknown",
            Self::Attention => "attention",
            Self::Fault => "fault",
        }
    }
}

macro_rules! topics {
    ($($variant:ident $code:literal $es:literal $en:literal;)*) => {
        /// What a question is about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "each is described by its two names")]
        pub enum Topic { $($variant,)* }

        impl Topic {
            /// All, in the order in which they are answered.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word for machines, the same in any language.
            pub fn code(self) -> &'static str {
                match self { $(Self::$variant => $code),* }
            }

            /// The name for people.
            pub fn name(self, lang: Lang) -> &'static str {
                match self { $(Self::$variant => lang.pick($es, $en)),* }
            }
        }
    };
}

topics! {
    Instance "instance" "instancia" "instance";
    Clock "clock" "reloj" "clock";
    ClockKeeper "clock-keeper" "cliente NTP" "NTP client";
    Tzdata "tzdata" "zonas horarias" "time zones";
    Windows "windows" "ventanas" "windows";
    Certificate "certificate" "certificado" "certificate";
    Names "dns" "DNS" "DNS";
    Address "public-address" "dirección pública" "public address";
    Ports "ports" "puertos" "ports";
    Port22 "port-22" "puerto 22" "port 22";
    Liveness "liveness" "página viva" "page alive";
    Keys "keys" "llaves" "keys";
    Networks "networks" "redes de confianza" "trusted networks";
    Firewall "firewall" "cortafuegos" "firewall";
    Disk "disk" "disco" "disk";
    Inodes "inodes" "inodos" "inodes";
    History "history" "historia" "history";
    Hardware "hardware" "equipo" "hardware";
    Bandwidth "bandwidth" "ancho de banda" "bandwidth";
}

impl Serialize for Topic {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.code())
    }
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.code())
    }
}

/// A sentence in Spanish and English.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    es: String,
    en: String,
}

impl Said {
    /// The sentence in both languages.
    pub fn new(es: impl Into<String>, en: impl Into<String>) -> Self {
        Self { es: es.into(), en: en.into() }
    }

    /// It, in `lang`.
    pub fn text(&self, lang: Lang) -> &str {
        lang.pick(&self.es, &self.en)
    }
}

/// One line: what was asked, how it stands, what was found, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What it is about.
    pub topic: Topic,
    /// How it stands.
    pub verdict: Verdict,
    /// What was found.
    pub found: Said,
    /// What to do; none where all is well.
    pub remedy: Option<Said>,
}

impl Answer {
    /// All is well.
    pub fn good(topic: Topic, es: impl Into<String>, en: impl Into<String>) -> Self {
        Self { topic, verdict: Verdict::Good, found: Said::new(es, en), remedy: None }
    }

    /// Something else; [`Answer::todo`] says what to do about it.
    pub fn of(topic: Topic, verdict: Verdict, es: impl Into<String>, en: impl Into<String>) -> Self {
        Self { topic, verdict, found: Said::new(es, en), remedy: None }
    }

    /// Adds what to do.
    pub fn todo(mut self, es: impl Into<String>, en: impl Into<String>) -> Self {
        self.remedy = Some(Said::new(es, en));
        self
    }
}
